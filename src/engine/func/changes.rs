//! `changes`: number of times the value changed within the window.

use super::{Form, Gives, Shape, Spec, param};
use crate::engine::window::Keeps;

/// See the module.
pub const SPEC: Spec = Spec {
    name: "changes",
    params: &[param("x", Shape::Signal), param("w", Shape::Window)],
    repeats: false,
    gives: Gives::Number,
    form: Form::Window { keeps: Keeps::Changes, value: |r, _| r.sum() },
    about: "number of times the value changed within the window",
};
