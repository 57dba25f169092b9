//! `abs`: the value without its sign.

use super::{Form, Gives, Shape, Spec, param};

/// See the module.
pub const SPEC: Spec = Spec {
    name: "abs",
    params: &[param("x", Shape::Numeric)],
    repeats: false,
    gives: Gives::SameAsFirst,
    form: Form::Map(f64::abs),
    about: "the value without its sign",
};
