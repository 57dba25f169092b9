//! What is not there: declared objects that nothing was seen of yet, signals that are missing, and rules that
//! look only now and then.

use std::sync::Arc;

use crate::engine::event::Event;
use crate::engine::moment::{Moment, human};
use crate::engine::plan::OnMissing;

use super::timing::Due;
use super::{Machine, Rules};

impl Rules {
    /// Binds every declared object that was not seen yet, and lets go of those that are awaited and no longer
    /// declared. To be called when everything is restored; a reload does it by itself.
    pub fn await_declared(&mut self, now: Moment, out: &mut Vec<Event>) {
        let plan = Arc::clone(&self.plan);
        let awaited = self.subjects.iter().filter(|(_, s)| s.is_awaited).map(|(_, s)| &s.instance);
        let is_declared = |key: &str| plan.declared.binary_search_by(|d| d.key().cmp(key)).is_ok();
        let stale: Vec<_> = awaited.filter(|i| !is_declared(i.key())).map(Arc::clone).collect();
        for instance in stale {
            self.forget(&instance, now, out);
        }
        for instance in &plan.declared {
            self.await_one(instance, now);
        }
    }

    /// What has gone is awaited again when it is declared.
    pub(super) fn await_again(&mut self, key: &str, now: Moment) {
        let plan = Arc::clone(&self.plan);
        if let Ok(at) = plan.declared.binary_search_by(|d| d.key().cmp(key)) {
            self.await_one(&plan.declared[at], now);
        }
    }

    fn await_one(&mut self, instance: &Arc<crate::engine::signal::Instance>, now: Moment) {
        if self.by_key.contains_key(instance.key()) {
            return;
        }
        let id = self.add_subject(instance);
        if let Some(subject) = self.subjects.get_mut(id) {
            subject.is_awaited = true;
        }
        self.rebind(id, Vec::new(), now);
    }

    /// When a rule that looks only now and then looks again, if that is still to come.
    pub(super) fn next_look(&self, id: u32, t: i64) -> Option<i64> {
        let machine = self.machines.get(id)?;
        let next = machine.looked.saturating_add(machine.bound.rule.every);
        (next > t).then_some(next)
    }

    /// Notes that a rule which looks only now and then has looked, if there was something to see.
    pub(super) fn note_look(&mut self, id: u32, t: i64) {
        let Some(machine) = self.machines.get(id) else { return };
        let sight = self.sight(machine, t);
        let mut parts = (0..machine.bound.rule.steps.len()).map(|i| machine.bound.raise(i));
        let is_known = parts.any(|part| sight.at(part).verdict(&part.program).is_some());
        if let Some(machine) = self.machines.get_mut(id).filter(|_| is_known) {
            machine.looked = t;
        }
    }

    /// For `gap` ns before `now` nobody can have looked, because the machine was suspended or the daemon
    /// stood still: what says nothing is not silent for that reason. To be called before what came afterwards
    /// is observed.
    pub fn excuse(&mut self, now: Moment, gap: i64) {
        for series in self.series.values_mut() {
            series.excused = series.excused.saturating_add(gap);
        }
        self.unwatched = (now.mono, gap);
    }

    /// How much of the time since `t` the last such gap may have been: a sample can be from before it and
    /// come after.
    pub(super) fn excused_since(&self, t: i64) -> i64 {
        let (until, gap) = self.unwatched;
        until.saturating_sub(t).clamp(0, gap)
    }

    /// What the rule of a machine makes of missing data, when a signal of its conditions is missing.
    pub(super) fn absent(&self, id: u32, t: i64) -> OnMissing {
        self.machines.get(id).map_or(OnMissing::Hold, |machine| self.absent_of(machine, t))
    }

    pub(super) fn absent_of(&self, machine: &Machine, t: i64) -> OnMissing {
        match machine.bound.rule.silence.on_missing {
            OnMissing::Hold => OnMissing::Hold,
            meaning if self.missing(machine, t).next().is_some() => meaning,
            _ => OnMissing::Hold,
        }
    }

    /// The signals of a machine's conditions that are missing for long enough, with the time.
    fn missing(&self, machine: &Machine, t: i64) -> impl Iterator<Item = (&'static str, i64)> {
        let stale = machine.bound.rule.stale;
        machine.bound.metrics().into_iter().filter_map(move |metric| {
            let series = self.series.get(self.known_series(machine.subject, metric)?)?;
            let missing = series.missing_for(t, stale)?;
            (missing >= series.patience(stale)).then(|| (metric.name(), missing))
        })
    }

    /// When a signal of a rule to which that matters will be missing.
    pub(super) fn absences(&self, machine: &Machine, due: &mut Due) {
        if !machine.bound.may_miss {
            return;
        }
        let rule = &machine.bound.rule;
        for metric in machine.bound.metrics() {
            let series = self.known_series(machine.subject, metric).and_then(|s| self.series.get(s));
            if let Some(series) = series {
                due.at(series.goes_missing(due.t, rule.stale, series.patience(rule.stale)));
            }
        }
    }

    /// Why a verdict is what it is although its condition is unknown.
    pub(super) fn absence_in_words(&self, machine: &Machine, t: i64) -> String {
        let meaning = match self.absent_of(machine, t) {
            OnMissing::Hold => return String::new(),
            OnMissing::Raise => "counts as a breach",
            OnMissing::Clear => "counts as over",
        };
        let each = self.missing(machine, t).map(|(name, ns)| format!("no value of {name} for {}", human(ns)));
        format!("{}, which {meaning} (on_missing)", each.collect::<Vec<_>>().join(" and "))
    }
}
