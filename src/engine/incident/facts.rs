//! What an event says of its incident: title, description, weight and numbers, put into words a desk operator
//! can use.

use serde::{Deserialize, Serialize};

use crate::engine::event::{Event, EventKind};
use crate::engine::moment::{Moment, SECOND, Stamp, human};
use crate::engine::plan::Plan;
use crate::engine::record::Severity;

use super::evidence::cut;
use super::priority::{self, Weight};

/// Longest title in bytes.
const TITLE_MAX: usize = 250;
/// Longest description in bytes.
const DESCRIPTION_MAX: usize = 8 * 1024;

/// Longest sentence of numbers in bytes.
const WHY_MAX: usize = 1024;

/// What the last raise or step said; kept beside the record, which takes it over at its next revision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct Facts {
    pub title: String,
    pub description: String,
    pub severity: Severity,
    pub weight: Weight,
    pub why: String,
    pub rule_hash: String,
}

/// An event as seen at `now` under a plan, with its times as wall stamps.
pub(in crate::engine) struct Sight<'a> {
    pub plan: &'a Plan,
    pub now: Moment,
    pub event: &'a Event,
    /// When it was decided.
    pub at: Stamp,
    /// When the condition was first true, or when the clear that held began.
    pub since: Stamp,
}

impl<'a> Sight<'a> {
    /// Steady times become stamps by their distance to `now`: a wall clock that stepped in between does not
    /// tear breach, raise and resolve apart.
    pub fn new(plan: &'a Plan, now: Moment, event: &'a Event) -> Self {
        let at = now.stamp_of(event.at.mono).min(now.stamp());
        let since = match event.kind {
            EventKind::Retire => at,
            _ => now.stamp_of(event.since.mono).min(at),
        };
        Self { plan, now, event, at, since }
    }

    /// The object in words: `/data of web-01`, or the host alone.
    pub fn object(&self) -> String {
        let host = &self.plan.host.host.name;
        let instance = &self.event.instance;
        if instance.class.spec().identity.is_empty() {
            host.clone()
        } else {
            format!("{} of {host}", instance.name())
        }
    }

    /// The numbers in a sentence, bounded.
    pub fn why(&self) -> &'a str {
        cut(self.event.why.trim(), WHY_MAX)
    }

    /// What this event says.
    pub fn facts(&self) -> Facts {
        let Event { rule, instance, step, severity, .. } = self.event;
        let title = match self.event.title.trim() {
            "" => format!("{} on {}", rule.id, instance.key()),
            title => cut(title, TITLE_MAX).to_owned(),
        };
        Facts {
            title,
            description: cut(&self.description(), DESCRIPTION_MAX).to_owned(),
            severity: *severity,
            weight: priority::weigh(self.plan, rule, instance, *step, *severity),
            why: self.why().to_owned(),
            rule_hash: rule.hash.clone(),
        }
    }

    fn description(&self) -> String {
        let Event { rule, severity, step, .. } = self.event;
        let mut lines = vec![format!("Seen: {}", self.seen())];
        let held = rule.steps.get(*step).map_or(0, |s| s.for_);
        let held = if held > 0 { format!(", after it had held for {}", human(held)) } else { String::new() };
        let (since, at) = (second(self.since), second(self.at));
        lines.push(match since == at {
            true => format!("True since {since}, raised at once."),
            false => format!("True since {since}; raised at {at}{held}."),
        });
        for step in rule.steps.iter().filter(|s| s.severity <= *severity) {
            let keep =
                if step.keep > 0 { format!(" has held for {}", human(step.keep)) } else { " holds".into() };
            let name =
                if rule.steps.len() > 1 { format!("Step {}", word(step.severity)) } else { "It".into() };
            lines.push(format!("{name} clears by itself when `{}`{keep}.", step.clear.source.trim()));
        }
        if !rule.description.trim().is_empty() {
            lines.push(String::new());
            lines.push(rule.description.trim().to_owned());
        }
        lines.push(String::new());
        if let Some(runbook) = &rule.runbook {
            lines.push(format!("Runbook: {runbook}"));
        }
        if let Some(cause) = rule.cause_hint {
            lines.push(format!("Most likely cause by the rule: {}.", cause.name()));
        }
        lines.push(format!("Rule {} ({}), {}, {}.", rule.id, rule.origin, word(*severity), self.object()));
        lines.join("\n")
    }

    fn seen(&self) -> String {
        match (self.why(), self.event.value, self.event.limit) {
            ("", Some(value), Some(limit)) => format!("{value}, limit {limit}"),
            ("", Some(value), None) => format!("{value}"),
            ("", None, _) => format!("the condition of rule {}", self.event.rule.id),
            (why, ..) => why.to_owned(),
        }
    }
}

/// The worse of two values, judged by the side of the limit on which the newer one lies.
pub(super) fn worse(peak: Option<f64>, value: Option<f64>, limit: Option<f64>) -> Option<f64> {
    match (peak, value) {
        (Some(peak), Some(value)) if limit.is_some_and(|l| value < l) => Some(peak.min(value)),
        (Some(peak), Some(value)) => Some(peak.max(value)),
        (peak, value) => value.or(peak),
    }
}

/// A severity as in rule files.
pub(in crate::engine) fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    }
}

/// A stamp to the second, for sentences: `2026-11-22 17:09:28Z`.
pub(in crate::engine) fn second(stamp: Stamp) -> String {
    Stamp(stamp.0.div_euclid(SECOND) * SECOND).to_string().replace('T', " ")
}
