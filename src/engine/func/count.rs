//! `count`: number of samples in the window for which the condition is true, or of all.

use super::{Form, Gives, Shape, Spec, param};
use crate::engine::window::Keeps;

/// See the module.
pub const SPEC: Spec = Spec {
    name: "count",
    params: &[param("c", Shape::Counted), param("w", Shape::Window)],
    repeats: false,
    gives: Gives::Number,
    form: Form::Window { keeps: Keeps::Total, value: |r, _| r.sum() },
    about: "number of samples in the window for which the condition is true; of an expression, of all samples",
};
