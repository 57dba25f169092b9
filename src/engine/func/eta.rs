//! `eta`: time until the line through the window reaches a limit, (limit − last) / slope.

use super::{Form, Gives, Shape, Spec, param};
use crate::engine::window::{Keeps, Reading};

/// See the module.
pub const SPEC: Spec = Spec {
    name: "eta",
    params: &[
        param("x", Shape::Numeric),
        param("limit", Shape::Like),
        param("w", Shape::Window),
        param("method", Shape::Method),
    ],
    repeats: false,
    gives: Gives::Seconds,
    form: Form::Window { keeps: Keeps::Line, value: |r, [limit, _]| eta(r, limit) },
    about: "time until the line through the window reaches a limit: 0 when it is past, infinite when it never will",
};

/// Moving away from the limit is "past" when the window began on its other side, else "never": whether a
/// limit that was passed before the window began is a ceiling or a floor cannot be told, so a rule compares
/// the level as well.
fn eta(r: &Reading<'_>, limit: f64) -> f64 {
    let (slope, gap) = (r.slope(), limit - r.last());
    if slope.is_nan() || gap.is_nan() {
        f64::NAN
    } else if gap == 0.0 {
        0.0
    } else if slope != 0.0 && gap / slope > 0.0 {
        gap / slope
    } else if (limit - r.first()) * gap < 0.0 {
        0.0
    } else {
        f64::INFINITY
    }
}
