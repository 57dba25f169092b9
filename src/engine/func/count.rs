//! `count`: number of samples in the window for which the condition is true, or of all.

use super::{Form, Gives, Shape, Spec, Value, param};
use crate::engine::window::Keeps;

/// The number of all samples, when it is asked of a quantity.
pub const ALL: Value = |r, _| r.count();

/// See the module.
pub const SPEC: Spec = Spec {
    name: "count",
    params: &[param("c", Shape::Counted), param("w", Shape::Window)],
    repeats: false,
    gives: Gives::Number,
    form: Form::Window { keeps: Keeps::Total, value: |r, _| r.sum() },
    about: "number of samples in the window for which the condition is true; of an expression, of all samples",
};
