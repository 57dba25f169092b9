//! `ewma`: exponentially weighted moving average with time constant tau.

use super::{Form, Gives, Shape, Spec, param};
use crate::engine::window::Keeps;

/// See the module.
pub const SPEC: Spec = Spec {
    name: "ewma",
    params: &[param("x", Shape::Numeric), param("tau", Shape::Window)],
    repeats: false,
    gives: Gives::SameAsFirst,
    form: Form::Window { keeps: Keeps::Smooth, value: |r, _| r.smooth() },
    about: "exponentially weighted moving average with time constant tau: what is older than tau counts for 37 %",
};
