//! `avg`: mean over the window; of a told signal, weighted by time.

use super::{Form, Gives, Spec, X_W};
use crate::engine::window::Keeps;

/// See the module.
pub const SPEC: Spec = Spec {
    name: "avg",
    params: X_W,
    repeats: false,
    gives: Gives::SameAsFirst,
    form: Form::Window { keeps: Keeps::Total, value: |r, _| r.mean() },
    about: "mean over the window; of a told signal, weighted by time",
};
