//! `increase`: growth of a counter over the window, resets recognised, nothing extrapolated.

use super::{COUNTER_W, Form, Gives, Spec};
use crate::engine::window::Keeps;

/// See the module.
pub const SPEC: Spec = Spec {
    name: "increase",
    params: COUNTER_W,
    repeats: false,
    gives: Gives::SameAsFirst,
    form: Form::Window { keeps: Keeps::Growth, value: |r, _| r.sum() },
    about: "growth of a counter over the window, resets recognised, nothing extrapolated",
};
