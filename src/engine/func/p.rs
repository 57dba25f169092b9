//! `p`: quantile over the window by nearest rank: p(check.latency, 95%, 10m).

use super::{Form, Gives, Shape, Spec, param};
use crate::engine::window::Keeps;

/// See the module.
pub const SPEC: Spec = Spec {
    name: "p",
    params: &[param("x", Shape::Numeric), param("q", Shape::Share), param("w", Shape::Window)],
    repeats: false,
    gives: Gives::SameAsFirst,
    form: Form::Window { keeps: Keeps::Quantiles, value: |r, [q, _]| r.quantile(q) },
    about: "quantile over the window by nearest rank: p(check.latency, 95%, 10m)",
};
