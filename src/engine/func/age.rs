//! `age`: time since the last value of a signal, however old.

use super::{Form, Gives, Shape, Spec, param};

/// See the module.
pub const SPEC: Spec = Spec {
    name: "age",
    params: &[param("x", Shape::Signal)],
    repeats: false,
    gives: Gives::Seconds,
    form: Form::Age,
    about: "time since the last value of a signal, however old",
};
