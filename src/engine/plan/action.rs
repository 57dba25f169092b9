//! The repair that a rule names, as data: what would be run, when, how often, and how its success is told.
//!
//! Nothing here runs anything. Whoever guards actions evaluates `only_if` and `verify` on the instance and
//! asks the budget; the arguments are an argv that never sees a shell. Durations are nanoseconds.

use crate::engine::cond::Cond;
use crate::engine::moment::{HOUR, MINUTE};
use crate::engine::signal::Instance;

/// `[rule.action]`.
#[derive(Clone, Debug)]
pub struct Action {
    /// Program and arguments; at least one.
    pub run: Vec<Argument>,
    /// How long the incident must have been open.
    pub after: i64,
    /// Longest time the program may take.
    pub timeout: i64,
    /// How often over all instances of the rule; beyond it: as after a failure.
    pub budget: Budget,
    /// Least time between two runs on one instance.
    pub cooldown: i64,
    /// Must hold at the start; may name the facts of the incident.
    pub only_if: Option<Cond>,
    /// Holds when it has helped; may name signals only.
    pub verify: Option<Cond>,
    /// How long `verify` may take to become true.
    pub verify_in: i64,
    /// What follows a failure.
    pub on_fail: OnFail,
    /// Whether it is really run.
    pub mode: Mode,
}

/// How many runs in how much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Runs.
    pub count: u32,
    /// In this much time, nanoseconds.
    pub per: i64,
}

/// What follows a run that failed, or that did not help.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFail {
    /// People are called: the incident says that the repair failed, and it is not tried again.
    #[default]
    Escalate,
    /// It is noted on the incident, and may be tried again within the budget.
    Note,
}

/// Whether an action is really run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Only said on the incident.
    #[default]
    DryRun,
    /// Run.
    Auto,
}

/// One argument, in pieces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Argument(pub Vec<Part>);

/// A piece of an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// As it stands.
    Text(String),
    /// The value of a label of the instance.
    Label(String),
}

impl Action {
    /// Least time between two runs on an instance, when the rule does not say.
    pub const COOLDOWN: i64 = 10 * MINUTE;
    /// Longest time of a run, when the rule does not say.
    pub const TIMEOUT: i64 = MINUTE;
    /// How long `verify` may take, when the rule does not say.
    pub const VERIFY_IN: i64 = 2 * MINUTE;
    /// How often, when the rule does not say.
    pub const BUDGET: Budget = Budget { count: 3, per: HOUR };

    /// The argv for an instance. Each argument stays one argument, whatever its labels hold.
    pub fn argv(&self, instance: &Instance) -> Vec<String> {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Label(name) => instance.label(name).to_owned(),
        };
        self.run.iter().map(|argument| argument.0.iter().map(part).collect()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::signal::Class;

    #[test]
    fn a_label_fills_its_place_and_no_other() {
        let text = |t: &str| Part::Text(t.to_owned());
        let run = vec![
            Argument(vec![text("systemctl")]),
            Argument(vec![text("restart")]),
            Argument(vec![text("x-"), Part::Label("unit".to_owned()), Part::Label("none".to_owned())]),
        ];
        let action = Action {
            run,
            after: 0,
            timeout: 0,
            budget: Action::BUDGET,
            cooldown: 0,
            only_if: None,
            verify: None,
            verify_in: 0,
            on_fail: OnFail::default(),
            mode: Mode::default(),
        };
        let unit = Instance::of(Class::Unit, &[("unit", "a b; reboot {unit}")]);
        assert_eq!(action.argv(&unit), ["systemctl", "restart", "x-a b; reboot {unit}"]);
        assert_eq!(action.mode, Mode::DryRun, "nothing is run unless it is asked for in words");
    }
}
