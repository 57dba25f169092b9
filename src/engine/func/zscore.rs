//! `zscore`: how far the newest sample lies from those in the window: 0.6745·(x − median)/MAD, after Iglewicz
//! and Hoaglin (1993).

use super::{Form, Gives, Spec, X_W};
use crate::engine::window::Keeps;

/// See the module.
pub const SPEC: Spec = Spec {
    name: "zscore",
    params: X_W,
    repeats: false,
    gives: Gives::Number,
    form: Form::Window { keeps: Keeps::Spread, value: |r, _| r.z() },
    about: "how far the newest sample lies from the usual, in robust standard deviations: 0.6745 * (x - median) / MAD",
};
