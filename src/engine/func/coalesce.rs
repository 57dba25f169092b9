//! `coalesce`: the first argument, or the second while that is unknown.

use super::{Form, Gives, Shape, Spec, param};

/// See the module.
pub const SPEC: Spec = Spec {
    name: "coalesce",
    params: &[param("x", Shape::Any), param("v", Shape::Like)],
    repeats: false,
    gives: Gives::SameAsFirst,
    form: Form::Coalesce,
    about: "the first argument, or the second while that is unknown",
};
