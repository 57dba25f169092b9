//! `deriv`: slope per second of the least-squares line through the window.

use super::{Form, Gives, Spec, X_W};
use crate::engine::window::Keeps;

/// See the module.
pub const SPEC: Spec = Spec {
    name: "deriv",
    params: X_W,
    repeats: false,
    gives: Gives::FirstPerSecond,
    form: Form::Window { keeps: Keeps::Line, value: |r, _| r.slope() },
    about: "slope per second of the least-squares line through the window",
};
