//! The swap: a plan made ready beside the engine, and put in force between two observations.
//!
//! State goes on by rule id and instance, also when a threshold has changed; windows go on by what they hold.
//! A window that is new takes up what the history recorded, where somebody has asked for it. Making a plan
//! ready costs most and needs no engine; the swap itself only binds. It must not judge: that is for the next
//! sample.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use crate::engine::cond::program::WindowSpec;
use crate::engine::event::Event;
use crate::engine::moment::Moment;
use crate::engine::plan::{Plan, Rule};
use crate::engine::signal::{Metric, Observation};

use super::Rules;
use super::index::Index;
use super::past::{self, Past};

/// A plan made ready to be put in force.
#[derive(Clone, Debug)]
pub struct Prepared {
    plan: Arc<Plan>,
    index: Arc<Index>,
    past: Option<Box<Past>>,
}

/// What becomes of the rule machines and their windows in a swap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Carried {
    /// Rule instances that go on as they are.
    pub kept: usize,
    /// Rule instances whose rule says something else now: their state goes on and is judged anew.
    pub judged_anew: usize,
    /// Rule instances that begin.
    pub begun: usize,
    /// Rule instances that end.
    pub ended: usize,
    /// Windows that go on.
    pub windows_kept: usize,
    /// Windows that begin.
    pub windows_begun: usize,
    /// Those of them that begin with what was recorded.
    pub windows_filled: usize,
}

impl Prepared {
    /// Makes a plan ready.
    pub fn new(plan: Arc<Plan>) -> Self {
        let index = Arc::new(Index::new(&plan));
        Self { plan, index, past: None }
    }

    /// The plan.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Takes in what was recorded, in order of time, for windows that `rules` does not have; see
    /// [`Rules::wants_of_history`].
    pub fn recall(&mut self, observation: &Observation) {
        if let Some(past) = &mut self.past {
            past.relive(observation);
        }
    }
}

impl Rules {
    /// Puts a plan in force. Machines that have no rule any more retire.
    pub fn reload(&mut self, now: Moment, prepared: Prepared, out: &mut Vec<Event>) -> Carried {
        self.advance(now, now, out);
        Prepared { plan: self.plan, index: self.index, past: self.refill } = prepared;
        self.carried = Carried::default();
        for series in self.series.values_mut() {
            series.machines.clear();
        }
        let subjects: Vec<u32> = self.subjects.iter().map(|(id, _)| id).collect();
        let old: Vec<_> = subjects.iter().map(|s| self.unbind(*s)).collect();
        let mut left = Vec::new();
        for (subject, old) in subjects.into_iter().zip(old) {
            left.extend(self.rebind(subject, old, now));
        }
        self.carried.ended = left.len();
        self.retire_all(left, now, "the rule is gone or no longer binds this instance", out);
        self.carried.windows_kept = self.panes.iter().count().saturating_sub(self.carried.windows_begun);
        self.await_declared(now, out);
        self.check_saved(now);
        self.refill = None;
        self.carried
    }

    /// Which recorded signals would fill the windows and plots that a plan needs and that are not there yet,
    /// and how far back, ns. From then on [`Prepared::recall`] takes them in.
    pub fn wants_of_history(&self, prepared: &mut Prepared) -> BTreeMap<Metric, i64> {
        let (mut wants, mut rules) = (BTreeMap::new(), BTreeSet::new());
        for (id, subject) in self.subjects.iter() {
            for bound in prepared.index.of(&subject.instance) {
                if prepared.plan.effective(&bound.rule, &subject.instance).is_none() {
                    continue;
                }
                let parts = bound.parts.iter();
                let is_new = |spec: &WindowSpec| !self.has_pane(id, spec);
                let mut missing: Vec<_> = parts.flat_map(|part| past::windows(part, &is_new)).collect();
                let trails = bound.raised_by().into_iter().filter(|m| !self.has_trail(id, *m));
                missing.extend(trails.map(|metric| (metric, past::PAST)));
                if missing.is_empty() {
                    continue;
                }
                rules.insert(bound.rule.id.clone());
                for (metric, span) in missing {
                    let most = wants.entry(metric).or_insert(0);
                    *most = span.max(*most);
                }
            }
        }
        prepared.past = (!rules.is_empty()).then(|| {
            let index = prepared.index.only(|rule| rules.contains(&rule.id));
            Box::new(Past::new(Arc::clone(&prepared.plan), Arc::new(index)))
        });
        wants
    }
}

/// The rule says the same of an instance, the edits of its overrides included.
pub(super) fn says_the_same(a: &Rule, b: &Rule) -> bool {
    let steps = |r: &Rule| {
        let one = |s: &crate::engine::plan::StepPlan| (s.severity, s.impact, s.urgency, s.for_, s.keep);
        r.steps.iter().map(one).collect::<Vec<_>>()
    };
    let words = |r: &Rule| (r.reopen, r.title.clone(), r.runbook.clone(), r.labels.clone());
    a.hash == b.hash && (std::ptr::eq(a, b) || steps(a) == steps(b) && words(a) == words(b))
}
