//! How every rule stands on every instance, for status and `explain`.

use serde::Serialize;

use crate::engine::moment::Stamp;
use crate::engine::record::Severity;
use crate::engine::signal::Metric;

use super::machine::highest;
use super::telling::numbers;
use super::{Machine, Rules, Sight};

/// State of a rule on an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// No breach.
    Ok,
    /// A breach that has not held for `for` yet.
    Pending,
    /// A step is latched.
    Raised,
    /// The condition of some step is unknown.
    Unknown,
}

/// How a rule stands on an instance.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Standing {
    /// Rule id.
    pub rule: String,
    /// Instance key.
    pub instance: String,
    /// State.
    pub state: Health,
    /// Severity of the highest latched step, or of the highest pending one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// Since when it is raised or pending.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Stamp>,
    /// Value of the first numeric comparison, when known and finite.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// What it is compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
    /// Why it is unknown: which signals have no value, or that a window has too few samples yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Rules {
    /// Every rule on every instance it binds, by rule id and instance; rules that bind none are not there.
    pub fn standing(&self) -> Vec<Standing> {
        let mut all: Vec<_> = self.machines.iter().filter_map(|(_, m)| self.stand(m)).collect();
        all.sort_by(|a, b| (&a.rule, &a.instance).cmp(&(&b.rule, &b.instance)));
        all
    }

    fn stand(&self, machine: &Machine) -> Option<Standing> {
        self.standing_of(machine, &self.sight(machine, self.clock.mono))
    }

    /// How a machine stands before that sight of its conditions.
    pub(super) fn standing_of(&self, machine: &Machine, sight: &Sight<'_>) -> Option<Standing> {
        let bound = &machine.bound;
        let latched = highest(&machine.steps, &bound.order);
        let is_pending = |i: &usize| machine.steps[*i].hold.is_some() && machine.steps[*i].latched.is_none();
        let pending = bound.order.iter().rev().copied().find(is_pending);
        let is_unknown = |i: usize| sight.at(bound.raise(i)).verdict(&bound.raise(i).program).is_none();
        let unknown = (0..bound.rule.steps.len()).find(|i| is_unknown(*i));
        let (state, step, since) = match (latched, pending) {
            (Some(i), _) => (Health::Raised, Some(i), machine.steps[i].latched),
            (None, Some(i)) => (Health::Pending, Some(i), machine.steps[i].hold.map(|h| h.since)),
            (None, None) => match unknown {
                Some(_) => (Health::Unknown, None, None),
                None => (Health::Ok, None, None),
            },
        };
        let reason = unknown.filter(|_| state == Health::Unknown).map(|i| self.ignorance(machine, i));
        let shown = step.or(bound.order.first().copied());
        let (value, limit) = shown.map_or((None, None), |i| numbers(sight, i));
        Some(Standing {
            rule: bound.rule.id.clone(),
            instance: self.subjects.get(machine.subject)?.instance.key().to_owned(),
            state,
            severity: step.and_then(|i| bound.rule.steps.get(i)).map(|s| s.severity),
            since: since.map(|m| m.stamp()),
            value,
            limit,
            reason,
        })
    }

    /// Why the raise condition of a step cannot be judged now.
    fn ignorance(&self, machine: &Machine, step: usize) -> String {
        let (bound, t) = (&machine.bound, self.clock.mono);
        let is_known = |m: &&Metric| {
            let series = self.known_series(machine.subject, **m).and_then(|s| self.series.get(s));
            series.and_then(|s| s.fresh(t, bound.rule.stale)).is_some()
        };
        let metrics = bound.raise(step).program.metrics.iter();
        let missing: Vec<_> = metrics.filter(|m| !is_known(m)).map(|m| m.name()).collect();
        if missing.is_empty() {
            return "too few samples in its window yet".to_owned();
        }
        format!("no value of {}", missing.join(", "))
    }
}
