//! `rate`: growth of a counter over the window per second, resets recognised, nothing extrapolated.

use super::{COUNTER_W, Form, Gives, Spec};
use crate::engine::window::Keeps;

/// See the module.
pub const SPEC: Spec = Spec {
    name: "rate",
    params: COUNTER_W,
    repeats: false,
    gives: Gives::FirstPerSecond,
    form: Form::Window { keeps: Keeps::Growth, value: |r, _| r.sum() / r.span() },
    about: "growth of a counter over the window per second, resets recognised, nothing extrapolated",
};
