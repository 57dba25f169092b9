//! `min`: smallest value in the window.

use super::{Form, Gives, Spec, X_W};
use crate::engine::window::Keeps;

/// See the module.
pub const SPEC: Spec = Spec {
    name: "min",
    params: X_W,
    repeats: false,
    gives: Gives::SameAsFirst,
    form: Form::Window { keeps: Keeps::Extremes, value: |r, _| r.min() },
    about: "smallest value in the window",
};
