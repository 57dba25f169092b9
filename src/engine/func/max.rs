//! `max`: largest value in the window.

use super::{Form, Gives, Spec, X_W};
use crate::engine::window::Keeps;

/// See the module.
pub const SPEC: Spec = Spec {
    name: "max",
    params: X_W,
    repeats: false,
    gives: Gives::SameAsFirst,
    form: Form::Window { keeps: Keeps::Extremes, value: |r, _| r.max() },
    about: "largest value in the window",
};
