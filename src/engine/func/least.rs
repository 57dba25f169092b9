//! `least`: the smallest of its arguments, unknown if one is.

use super::{Form, Gives, Shape, Spec, param};

/// See the module.
pub const SPEC: Spec = Spec {
    name: "least",
    params: &[param("a", Shape::Numeric), param("b", Shape::Like)],
    repeats: true,
    gives: Gives::SameAsFirst,
    form: Form::Fold(f64::min),
    about: "the smallest of its arguments, unknown if one is",
};
