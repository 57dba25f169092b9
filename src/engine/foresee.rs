//! What putting a plan in force would do to what is raised: tried out on a copy of the engine.
//!
//! The copy judges everything by the plan in force, swaps, and judges everything by the new one, at one and
//! the same moment; what differs is the doing of the swap and of nothing else. What is true and waits for its
//! `for` counts too: it will be raised, only later. What a maintenance window or a parent keeps back does
//! not, until the swap frees it. Nothing of the copy is ever stored or sent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use super::core::Engine;
use super::effect::Step;
use super::moment::Moment;
use super::record::Severity;
use super::rules::{Carried, Prepared, Stance};
use super::signal::{Instance, Observation};

/// Most changes of each sort that are told one by one.
const TOLD: usize = 1000;

/// What a swap would do.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Outlook {
    /// What would be raised, or raised to a higher severity.
    pub raise: Changes,
    /// What would be closed.
    pub close: Changes,
    /// What would get a lower severity.
    pub lower: Changes,
    /// Conditions that would hold and be kept back by a maintenance window or a parent.
    pub kept_back: usize,
    /// What becomes of machines and windows.
    pub carried: Carried,
}

/// Changes of one sort, the most severe first.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Changes {
    /// All of them.
    pub count: usize,
    /// The first 1 000.
    pub list: Vec<Foreseen>,
}

/// What would become of a rule on an instance.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Foreseen {
    /// Rule id.
    pub rule: String,
    /// Instance key.
    pub instance: String,
    /// Severity afterwards; of what is closed, before.
    pub severity: Severity,
    /// Severity before, of what is raised already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Severity>,
    /// After this many ns, if it holds on; 0 = at once.
    pub after: i64,
    /// The numbers; empty when there are none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub why: String,
}

type Stances = BTreeMap<(String, String), Stance>;

impl Engine {
    /// Tries a plan out, with which `lost` would be seen no more. Takes a copy of the engine: what is left of
    /// it must not go on.
    pub fn foresee(mut self, now: Moment, prepared: Prepared, lost: &[Arc<Instance>]) -> Outlook {
        self.incidents.keep_time(now);
        self.suppression.keep_time(now);
        let before = self.stand_now(now);
        let kept_before = self.kept_now(now);
        let carried = self.swap(now, prepared, &mut Step::default());
        self.forget(now, lost);
        let after = self.stand_now(now);
        let kept_after = self.kept_now(now);
        let mut outlook = Outlook { carried, ..Outlook::default() };
        outlook.kept_back = kept_after.difference(&kept_before).count();
        let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
        let none = Stance::default();
        for key in keys {
            // What is kept back is no incident, neither before nor after.
            let stance = |all: &'_ Stances, kept: &BTreeSet<_>| {
                let stance = all.get(key).unwrap_or(&none).clone();
                if kept.contains(key) { Stance { severity: None, ..stance } } else { stance }
            };
            let is_kept = kept_after.contains(key);
            self.compare(
                key,
                &stance(&before, &kept_before),
                &stance(&after, &kept_after),
                is_kept,
                &mut outlook,
            );
        }
        for changes in [&mut outlook.raise, &mut outlook.close, &mut outlook.lower] {
            changes.settle();
        }
        outlook
    }

    /// These are gone, as whoever saw them will say.
    fn forget(&mut self, now: Moment, lost: &[Arc<Instance>]) {
        let farewell = |instance: &Arc<Instance>| {
            let mut last = Observation::new(now, Arc::clone(instance), 0);
            last.gone = true;
            last
        };
        let farewells: Vec<_> = lost.iter().map(farewell).collect();
        self.observe(now, &farewells, &mut Step::default());
    }

    fn stand_now(&mut self, now: Moment) -> Stances {
        self.judge_all(now, &mut Step::default());
        self.rules.stances()
    }

    fn kept_now(&self, now: Moment) -> BTreeSet<(String, String)> {
        self.suppression.kept(now, &self.incidents).into_iter().map(|k| (k.rule, k.instance)).collect()
    }

    fn compare(
        &self,
        key: &(String, String),
        before: &Stance,
        after: &Stance,
        is_kept: bool,
        out: &mut Outlook,
    ) {
        let foreseen = |severity, from, after, why| {
            let (rule, instance) = key.clone();
            Foreseen { rule, instance, severity, from, after, why }
        };
        let why = || self.rules.why(&key.0, &key.1);
        match (before.severity, after.severity) {
            (None, Some(severity)) => out.raise.add(foreseen(severity, None, 0, why())),
            (Some(severity), None) if !is_kept => out.close.add(foreseen(severity, None, 0, String::new())),
            (Some(old), Some(new)) if new > old => out.raise.add(foreseen(new, Some(old), 0, why())),
            (Some(old), Some(new)) if new < old => out.lower.add(foreseen(new, Some(old), 0, String::new())),
            (Some(severity), Some(_)) if before.clearing.is_none() && after.clearing.is_some() => {
                out.close.add(foreseen(severity, None, after.clearing.unwrap_or(0), String::new()));
            }
            _ => {}
        }
        // On its way up, and it was not before.
        if let (Some((severity, left)), false) = (after.raising, is_kept)
            && before.raising.is_none_or(|(old, _)| severity > old)
            && before.severity.is_none_or(|old| severity > old)
            && after.severity.is_none_or(|now| severity > now && before.severity.is_some())
        {
            out.raise.add(foreseen(severity, before.severity, left, why()));
        }
    }
}

impl Changes {
    fn add(&mut self, foreseen: Foreseen) {
        self.list.push(foreseen);
    }

    fn settle(&mut self) {
        let weight = |f: &Foreseen| (std::cmp::Reverse(f.severity), f.after);
        self.list.sort_by(|a, b| {
            weight(a).cmp(&weight(b)).then_with(|| (&a.rule, &a.instance).cmp(&(&b.rule, &b.instance)))
        });
        self.count = self.list.len();
        self.list.truncate(TOLD);
    }
}
