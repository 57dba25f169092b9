//! `forecast`: the value some time ahead, last + slope × ahead, so that `forecast(x, w, eta(x, l, w))` is
//! `l`.

use super::{Form, Gives, Shape, Spec, param};
use crate::engine::window::Keeps;

/// See the module.
pub const SPEC: Spec = Spec {
    name: "forecast",
    params: &[
        param("x", Shape::Numeric),
        param("w", Shape::Window),
        param("ahead", Shape::Seconds),
        param("method", Shape::Method),
    ],
    repeats: false,
    gives: Gives::SameAsFirst,
    form: Form::Window { keeps: Keeps::Line, value: |r, [ahead, _]| r.last() + r.slope() * ahead },
    about: "value some time ahead if it goes on as in the window",
};
