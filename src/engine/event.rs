//! What the rule machines tell the incident layer: a condition holds, changed its severity, or is over.

use std::sync::Arc;

use super::moment::Moment;
use super::plan::Rule;
use super::record::{Series, Severity};
use super::signal::Instance;

/// What happened to a rule instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// The raise condition has held for `for`.
    Raise,
    /// Another step is now the highest latched one.
    Step,
    /// No step is latched any more; the clear has held for `keep`.
    Clear,
    /// The rule or the instance has gone while raised (rule removed, unmounted): nothing will clear it.
    Retire,
}

impl EventKind {
    /// All kinds.
    pub const ALL: [EventKind; 4] = [EventKind::Raise, EventKind::Step, EventKind::Clear, EventKind::Retire];

    /// As `events('raise/…', 1h)` calls it.
    pub fn name(self) -> &'static str {
        match self {
            EventKind::Raise => "raise",
            EventKind::Step => "step",
            EventKind::Clear => "clear",
            EventKind::Retire => "retire",
        }
    }
}

/// A transition of one rule instance.
#[derive(Clone, Debug)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// The rule, with the overrides of this instance applied.
    pub rule: Arc<Rule>,
    /// The instance.
    pub instance: Arc<Instance>,
    /// Index into `rule.steps` of the highest latched step (the last one latched, for `Clear` and `Retire`).
    pub step: usize,
    /// Severity of that step.
    pub severity: Severity,
    /// When the condition was first true (`Raise`, `Step`), or when the clear that held began (`Clear`).
    pub since: Moment,
    /// When it was decided.
    pub at: Moment,
    /// The value of the first numeric comparison, and its limit, when there is one.
    pub value: Option<f64>,
    /// See `value`.
    pub limit: Option<f64>,
    /// The numbers in a sentence: `fs.used 91.2 % > 85 % and eta(fs.used, 100%, 6h) 2d 3h < 3d`.
    pub why: String,
    /// The title with `{placeholders}` filled.
    pub title: String,
    /// The last 10 minutes of the signals the condition names; empty for `Retire`.
    pub series: Vec<Series>,
}
