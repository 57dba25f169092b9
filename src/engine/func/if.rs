//! `if`: a where the condition is true, b where it is false.

use super::{Form, Gives, Shape, Spec, param};

/// See the module.
pub const SPEC: Spec = Spec {
    name: "if",
    params: &[param("c", Shape::Condition), param("a", Shape::Any), param("b", Shape::Like)],
    repeats: false,
    gives: Gives::SameAsSecond,
    form: Form::If,
    about: "a where the condition is true, b where it is false",
};
