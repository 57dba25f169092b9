//! `deriv`: slope per second of the line through the window.

use super::{Form, Gives, Spec, X_W_METHOD};
use crate::engine::window::Keeps;

/// See the module.
pub const SPEC: Spec = Spec {
    name: "deriv",
    params: X_W_METHOD,
    repeats: false,
    gives: Gives::FirstPerSecond,
    form: Form::Window { keeps: Keeps::Line, value: |r, _| r.slope() },
    about: "slope per second of the line through the window, by least squares or 'theil-sen'",
};
