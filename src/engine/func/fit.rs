//! `fit`: how well a line describes the window, for use beside eta, forecast and deriv.

use super::{Form, Gives, Spec, X_W_METHOD};
use crate::engine::window::Keeps;

/// See the module.
pub const SPEC: Spec = Spec {
    name: "fit",
    params: X_W_METHOD,
    repeats: false,
    gives: Gives::Ratio,
    form: Form::Window { keeps: Keeps::Line, value: |r, _| r.fit() },
    about: "how well a line describes the window: R², or Kendall's tau with 'theil-sen'; 100% is a line",
};
