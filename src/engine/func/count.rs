//! `count`: number of samples in the window for which the condition is true.

use super::{C_W, Form, Gives, Spec};
use crate::engine::window::Keeps;

/// See the module.
pub const SPEC: Spec = Spec {
    name: "count",
    params: C_W,
    repeats: false,
    gives: Gives::Number,
    form: Form::Window { keeps: Keeps::Total, value: |r, _| r.sum() },
    about: "number of samples in the window for which the condition is true",
};
