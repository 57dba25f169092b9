//! `held`: how long the condition has been true without a break; 0 while it is false.

use super::{Form, Gives, Shape, Spec, param};
use crate::engine::window::Keeps;

/// See the module.
pub const SPEC: Spec = Spec {
    name: "held",
    params: &[param("c", Shape::Condition)],
    repeats: false,
    gives: Gives::Seconds,
    form: Form::Window { keeps: Keeps::Held, value: |r, _| r.held() },
    about: "how long the condition has been true without a break; 0 while it is false",
};
