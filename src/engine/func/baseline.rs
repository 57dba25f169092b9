//! `baseline`: what is usual at this time, baseline(net.rx, 1d, 7): median of the same slot over n periods.

use super::{Form, Gives, Shape, Spec, param};
use crate::engine::window::Keeps;

/// See the module.
pub const SPEC: Spec = Spec {
    name: "baseline",
    params: &[param("x", Shape::Numeric), param("period", Shape::Window), param("n", Shape::Periods)],
    repeats: false,
    gives: Gives::SameAsFirst,
    // The number of periods takes the place of the 0.
    form: Form::Window { keeps: Keeps::Slots(0), value: |r, _| r.baseline() },
    about: "what is usual at this time: median, over the n periods before, of the mean in the same sixtieth of the period",
};
