//! Deadlines: when a machine wants to be judged although no sample came, and the playing of what is due.

use crate::engine::cond::program::{Clock, Num};
use crate::engine::event::Event;
use crate::engine::moment::{MINUTE, Moment, SECOND};
use crate::engine::plan::OnMissing;
use crate::engine::window::silence;

use super::bound::Part;
use super::machine::Verdicts;
use super::series::Series;
use super::{Machine, Rules, Sight, Timer};

/// A condition in which `age` or `held` is part of a calculation is judged this often.
const TICK: i64 = 10 * SECOND;
/// What turns by time alone is played at its own times for this long after a standstill; before that it is
/// skipped.
const CATCH_UP: i64 = 10 * MINUTE;

impl Rules {
    /// Plays every deadline up to `t`, each at the time it was due.
    pub(super) fn advance(&mut self, t: Moment, now: Moment, out: &mut Vec<Event>) {
        while let Some((due, timer)) = self.timers.first().copied().filter(|(due, _)| *due <= t.mono) {
            self.timers.pop_first();
            let at = Moment { mono: due, wall: now.stamp_of(due).0 };
            match timer {
                Timer::Machine(id) => {
                    if let Some(machine) = self.machines.get_mut(id) {
                        machine.due = i64::MAX;
                    }
                    self.judge(id, 0, at, now, out);
                }
                Timer::Series(id) => self.watch(id, at, now, out),
                Timer::Saved => self.give_up_saved(now, out),
                Timer::Alive => self.still_alive(due),
                Timer::Past => self.past = None,
            }
        }
        if t.mono >= self.clock.mono {
            self.clock = t;
        }
    }

    /// A polled series that feeds windows may have fallen silent: from then on they change by time.
    fn watch(&mut self, id: u32, at: Moment, now: Moment, out: &mut Vec<Event>) {
        let Some(series) = self.series.get_mut(id) else { return };
        let due = series.newest.saturating_add(silence(series.interval)).saturating_add(1);
        if due > at.mono && series.interval > 0 {
            self.timers.insert((due, Timer::Series(id)));
            return;
        }
        series.watched = false;
        for machine in series.machines.clone() {
            if self.machines.get(machine).is_some_and(|m| m.bound.is_timed) {
                self.judge(machine, 0, at, now, out);
            }
        }
    }

    /// Sets the deadline of a machine that was judged at `t`. A deadline is only ever moved nearer: one that
    /// comes too early costs a judgement, moving it at every sample would cost more. After a polled sample
    /// (`pace` above 0) windows need none: the next sample comes, and if it does not, the series is watched.
    pub(super) fn schedule(&mut self, id: u32, pace: i64, t: i64, now: i64) {
        let Some(machine) = self.machines.get(id) else { return };
        let turns = machine.bound.is_timed && (pace == 0 || machine.bound.has_clocks);
        if !turns && !machine.bound.may_miss && machine.steps.iter().all(|s| s.hold.is_none()) {
            return;
        }
        let mut due = Due { t, next: i64::MAX };
        self.holds(machine, &mut due);
        self.absences(machine, &mut due);
        if turns {
            let mut turning = Due { t, next: i64::MAX };
            for part in machine.bound.conditions() {
                self.turns(machine, part, &mut turning);
            }
            due.at(if turning.next == i64::MAX { i64::MAX } else { turning.next.max(now - CATCH_UP) });
        }
        self.wake(id, due.next);
    }

    /// Has a machine judged at `due` at the latest.
    pub(super) fn wake(&mut self, id: u32, due: i64) {
        let Some(machine) = self.machines.get_mut(id).filter(|m| due < m.due) else { return };
        self.timers.remove(&(machine.due, Timer::Machine(id)));
        machine.due = due;
        self.timers.insert((due, Timer::Machine(id)));
    }

    /// Ends of running holds, of the patience with unknown, and of the freshness of what they rest on.
    fn holds(&self, machine: &Machine, due: &mut Due) {
        let sight = self.sight(machine, due.t);
        for (i, step) in machine.steps.iter().enumerate() {
            let Some(hold) = step.hold else { continue };
            let wants = sight.wants(i);
            match hold.frozen {
                Some(frozen) => due.at(frozen.saturating_add(wants.patience)),
                None => due.at(wants.due(step.latched.is_some())(&hold)),
            }
            for part in [machine.bound.raise(i), machine.bound.clear(i)] {
                self.freshness(machine, part, due);
            }
        }
    }

    fn freshness(&self, machine: &Machine, part: &Part, due: &mut Due) {
        let (slots, _) = part.own(&machine.slots, &machine.panes);
        for series in slots.iter().filter_map(|s| self.series.get(*s)) {
            if let Some(end) = series.goes_stale(due.t, machine.bound.rule.stale) {
                due.at(end);
            }
        }
    }

    /// What turns by time alone in one condition.
    fn turns(&self, machine: &Machine, part: &Part, due: &mut Due) {
        if part.program.stale_matters {
            self.freshness(machine, part, due);
        }
        let (slots, panes) = part.own(&machine.slots, &machine.panes);
        for pane in panes.iter().filter_map(|p| self.panes.get(*p)) {
            if let Some(next) = pane.window.next_change(due.t) {
                due.at(next);
            }
        }
        let series = |slot: u16| slots.get(usize::from(slot)).and_then(|s| self.series.get(*s));
        let t = due.t;
        let seconds = |limit: &Num| limit.eval(&self.sight(machine, t).at(part));
        for clock in &part.program.clocks {
            match clock {
                Clock::Age(slot, limit) => {
                    due.grows(series(*slot).and_then(|s| s.at), limit.as_ref().map(seconds));
                }
                Clock::Silent(slot, span) => {
                    let ns = span.ns(&self.sight(machine, due.t).at(part)).unwrap_or(i64::MAX);
                    let since = |s: &Series| s.at.unwrap_or(s.since).saturating_add(s.excused);
                    due.at(series(*slot).map_or(i64::MAX, |s| since(s).saturating_add(ns)));
                }
                Clock::Missing(slot, ns) => {
                    let stale = machine.bound.rule.stale;
                    due.at(series(*slot).map_or(i64::MAX, |s| s.goes_missing(due.t, stale, *ns)));
                }
                Clock::Held(index, limit) => {
                    let pane = panes.get(usize::from(*index)).and_then(|p| self.panes.get(*p));
                    due.grows(pane.and_then(|p| p.window.since()), limit.as_ref().map(seconds));
                }
            }
        }
    }

    pub(super) fn sight<'a>(&'a self, machine: &'a Machine, t: i64) -> Sight<'a> {
        let (series, panes) = (&self.series, &self.panes);
        let (slots, windows, settled) = (&machine.slots, &machine.panes, self.settled);
        let absent = if machine.bound.may_miss { self.absent_of(machine, t) } else { OnMissing::Hold };
        Sight { bound: &machine.bound, series, panes, slots, windows, t, settled, absent }
    }
}

/// The nearest deadline after `t`.
pub(super) struct Due {
    pub(super) t: i64,
    next: i64,
}

impl Due {
    pub(super) fn at(&mut self, when: i64) {
        if when > self.t {
            self.next = self.next.min(when);
        }
    }

    /// Something grows since `since` and is compared with `limit`, or used in a way that must be looked at
    /// now and then.
    fn grows(&mut self, since: Option<i64>, limit: Option<f64>) {
        let Some(since) = since else { return };
        match limit {
            Some(seconds) if !seconds.is_finite() => {}
            Some(seconds) => {
                let limit = (seconds * 1e9) as i64;
                let turn = since.saturating_add(limit);
                self.at(turn);
                // `>` turns only beyond what counts as equal.
                self.at(turn.saturating_add(limit / 500_000_000 + 1));
            }
            None => self.at(self.t.saturating_add(TICK)),
        }
    }
}
