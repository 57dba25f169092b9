//! `burn`: how fast an objective's error budget is used up; 1 uses it up exactly by the end of its period.

use super::{Form, Gives, Shape, Spec, param};
use crate::engine::signal::Class;

/// See the module.
pub const SPEC: Spec = Spec {
    name: "burn",
    params: &[param("slo", Shape::Subject), param("w", Shape::Window)],
    repeats: false,
    gives: Gives::Number,
    // Without traffic, or without a budget, something is divided by 0 and the rate is unknown.
    form: Form::Formula {
        class: Class::Slo,
        source: "increase(slo.bad, w) / increase(slo.total, w) / (100% - slo.target)",
    },
    about: "how fast the error budget is used up: share of bad ones over the window / (1 - target); unknown without traffic",
};
