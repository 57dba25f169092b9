//! `events`: number of events within the window, events('raise/disk-*', 1h).

use super::{Form, Gives, Shape, Spec, param};

/// See the module.
pub const SPEC: Spec = Spec {
    name: "events",
    params: &[param("glob", Shape::Glob), param("w", Shape::Window)],
    repeats: false,
    gives: Gives::Number,
    form: Form::Events,
    about: "number of events within the window, 'raise/RULE' 'step/RULE' 'clear/RULE' 'retire/RULE'; on host those of all instances, else of this one",
};
