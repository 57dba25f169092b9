//! `sum`: sum of the samples in the window.

use super::{Form, Gives, Spec, X_W};
use crate::engine::window::Keeps;

/// See the module.
pub const SPEC: Spec = Spec {
    name: "sum",
    params: X_W,
    repeats: false,
    gives: Gives::SameAsFirst,
    form: Form::Window { keeps: Keeps::Total, value: |r, _| r.sum() },
    about: "sum of the samples in the window",
};
