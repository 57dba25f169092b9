//! `frac`: share of the samples in the window for which the condition is true; of a told signal, share of the
//! time.

use super::{C_W, Form, Gives, Spec};
use crate::engine::window::Keeps;

/// See the module.
pub const SPEC: Spec = Spec {
    name: "frac",
    params: C_W,
    repeats: false,
    gives: Gives::Ratio,
    form: Form::Window { keeps: Keeps::Total, value: |r, _| r.mean() },
    about: "share of the samples in the window for which the condition is true; of a told signal, share of the time",
};
