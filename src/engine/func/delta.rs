//! `delta`: newest less oldest value in the window.

use super::{Form, Gives, Spec, X_W};
use crate::engine::window::Keeps;

/// See the module.
pub const SPEC: Spec = Spec {
    name: "delta",
    params: X_W,
    repeats: false,
    gives: Gives::SameAsFirst,
    form: Form::Window { keeps: Keeps::Ends, value: |r, _| r.change() },
    about: "newest less oldest value in the window",
};
