//! `nodata`: true when a signal has had no value for d; unknown until d after the first look.

use super::{Form, Gives, Shape, Spec, param};

/// See the module.
pub const SPEC: Spec = Spec {
    name: "nodata",
    params: &[param("x", Shape::Signal), param("d", Shape::Duration)],
    repeats: false,
    gives: Gives::Bool,
    form: Form::Silent,
    about: "true when a signal has had no value for d; unknown until d after the first look",
};
