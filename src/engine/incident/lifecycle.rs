//! The life cycle of an incident: which transitions there are, and what each of them does to the record.
//!
//! [`ROWS`] is the contract; anything else is refused with a sentence. Every function here changes one held
//! incident, adds its timeline entries and says whether that is worth a revision. Times are back-dated where
//! the contract says so: an incident is resolved at the start of the clear that held.

use crate::engine::moment::{Moment, Stamp, human};
use crate::engine::plan::Plan;
use crate::engine::record::{Actor, Closure, ClosureCode, Interval, Series, State};

use super::facts::{Sight, second, word};
use super::held::{AFTERMATH, Change, DISPUTE_AFTER, Held};
use super::{evidence, sla};

struct Row {
    from: &'static [State],
    to: State,
    by: &'static [Actor],
}

/// Every transition there is. The first row of all, nothing → new by the rule, is [`Held::open`].
#[rustfmt::skip]
const ROWS: &[Row] = {
    use Actor::{Action, Correlator, Itsm, Operator, Rule, Timer};
    use State::{Acknowledged, Cancelled, Closed, InProgress, New, OnHold, Resolved};
    &[
        Row { from: &[New], to: Acknowledged, by: &[Operator, Itsm] },
        Row { from: &[New, Acknowledged], to: InProgress, by: &[Operator, Itsm, Action] },
        Row { from: &[New, Acknowledged, InProgress], to: OnHold, by: &[Operator, Itsm] },
        Row { from: &[OnHold], to: InProgress, by: &[Operator, Itsm, Timer] },
        Row { from: &[New, Acknowledged, InProgress, OnHold], to: Resolved, by: &[Rule, Operator, Itsm] },
        Row { from: &[Resolved], to: New, by: &[Rule] },
        Row { from: &[Resolved], to: InProgress, by: &[Rule, Operator, Itsm] },
        Row { from: &[Resolved], to: Closed, by: &[Timer, Itsm] },
        Row { from: &[New, Acknowledged, InProgress, OnHold, Resolved], to: Cancelled,
              by: &[Operator, Itsm, Correlator] },
        Row { from: &[Cancelled], to: InProgress, by: &[Operator, Itsm] },
    ]
};

/// True when the life cycle has this transition.
pub(super) fn permits(from: State, to: State, by: Actor) -> bool {
    ROWS.iter().any(|row| row.to == to && row.from.contains(&from) && row.by.contains(&by))
}

impl Held {
    /// The first raise of a new incident.
    pub fn open(&mut self, sight: &Sight<'_>) -> Change {
        self.count(sight, true);
        self.transition(sight, true);
        self.breach_seen(sight);
        let note = format!("{} · {}", self.side.facts.why, self.record.priority_reason);
        self.note(sight.at, Actor::Rule, "raised", note);
        if let Some(entry) = self.record.timeline.last_mut() {
            entry.to = Some(State::New);
        }
        self.flap_starts(sight);
        Change::Revision
    }

    /// Keeps the series up to the breach; those after it follow at the end, or after a while.
    fn breach_seen(&mut self, sight: &Sight<'_>) {
        evidence::extend(&mut self.record.evidence, &sight.event.series);
        self.side.aftermath_due = Some(sight.now.mono.saturating_add(AFTERMATH));
    }

    /// Adds what the series did after the breach.
    pub fn aftermath(&mut self, series: &[Series]) {
        self.side.aftermath_due = None;
        evidence::extend(&mut self.record.evidence, series);
    }

    /// A raise while the incident is open: nothing new is opened.
    pub fn raise_again(&mut self, sight: &Sight<'_>) -> Change {
        self.count(sight, true);
        self.side.cleared_at = None;
        self.side.reopen = sight.event.rule.reopen;
        self.side.facts = sight.facts();
        if !self.side.raised {
            self.transition(sight, true);
        }
        if self.record.flapping {
            return self.worsen(sight);
        }
        self.apply(sight.plan, sight.at);
        let note = format!("event {}: {}", self.side.counters.events, self.side.facts.why);
        self.note(sight.at, Actor::Rule, "raised", note);
        self.flap_starts(sight);
        Change::Revision
    }

    /// A raise soon after the resolve: the same incident goes on.
    pub fn reopen(&mut self, sight: &Sight<'_>) -> Change {
        self.count(sight, true);
        if !self.side.raised {
            self.transition(sight, true);
        }
        self.side.reopen = sight.event.rule.reopen;
        self.side.facts = sight.facts();
        self.record.evidence.series.clear();
        self.breach_seen(sight);
        let nth = self.side.counters.reopens + 2;
        let note = format!("opening {nth} of {}: {}", self.record.number, self.side.facts.why);
        self.resume(sight.plan, (Actor::Rule, self.back()), sight.at, sight.since, note);
        self.flap_starts(sight);
        Change::Revision
    }

    /// Another step is the highest one.
    pub fn step(&mut self, sight: &Sight<'_>) -> Change {
        self.count(sight, true);
        self.side.facts = sight.facts();
        if !self.record.state.is_open() {
            return Change::Row;
        }
        if self.record.flapping {
            return self.worsen(sight);
        }
        self.change_step(sight);
        Change::Revision
    }

    /// The clear has held.
    pub fn clear(&mut self, sight: &Sight<'_>) -> Change {
        self.count(sight, false);
        if !self.side.raised {
            return Change::Row;
        }
        self.transition(sight, false);
        if !self.record.state.is_open() {
            return self.confirm(sight);
        }
        if self.record.flapping {
            self.side.cleared_at = Some(sight.since);
            return Change::Row;
        }
        if self.flaps(sight) {
            self.side.cleared_at = Some(sight.since);
            self.flap_starts(sight);
            return Change::Revision;
        }
        let lasted = self.lasted(sight.since);
        self.aftermath(&sight.event.series);
        let note = format!("the condition ended at {}{lasted}; {}", second(sight.since), sight.why());
        self.resolve(sight.since, Some(sight.at), Actor::Rule, ClosureCode::AutoCleared, note);
        Change::Revision
    }

    /// The rule or the instance has gone: nothing will clear it any more.
    pub fn retire(&mut self, sight: &Sight<'_>) -> Change {
        self.count(sight, false);
        let was_raised = std::mem::replace(&mut self.side.raised, false);
        if !self.record.state.is_open() {
            return if was_raised { self.confirm(sight) } else { Change::Row };
        }
        let from = self.side.cleared_at.take().unwrap_or(sight.at);
        self.side.aftermath_due = None;
        let (rule, instance) = (&sight.event.rule.id, sight.event.instance.key());
        let note =
            format!("{instance} is gone, or rule {rule} no longer watches it: nothing is left to clear");
        self.resolve(from, Some(sight.at), Actor::Rule, ClosureCode::CiRetired, note);
        Change::Revision
    }

    /// The transitions have become rare: the incident is what it would be without flapping.
    pub fn steady(&mut self, plan: &Plan, now: Moment) {
        self.record.flapping = false;
        let (transitions, span) = self.side.flap.bout();
        let over = format!("steady again after {transitions} transitions in {}", human(span));
        self.note(now.stamp(), Actor::Correlator, "flapping", over);
        self.apply(plan, now.stamp());
        if let Some(since) = self.side.cleared_at.take() {
            let note = format!("the condition ended at {}; told late because it flapped", second(since));
            self.resolve(since, Some(now.stamp()), Actor::Rule, ClosureCode::AutoCleared, note);
        }
    }

    /// The condition has held on after a person's resolve.
    pub fn overrule(&mut self, plan: &Plan, now: Moment) {
        // It never ended, so that the new interval begins where the old one was said to end.
        let from = self.record.resolved_at.unwrap_or(now.stamp());
        let held = human(DISPUTE_AFTER);
        let note = format!("the condition has held on for {held} after the resolve: {}", self.side.facts.why);
        self.resume(plan, (Actor::Rule, self.back()), now.stamp(), from, note);
    }

    /// Over for good: quiet for long enough, or closed by people.
    pub fn close(&mut self, now: Moment, by: Actor, note: &str) {
        self.record.closed_at = Some(now.stamp());
        self.enter(State::Closed, by, now.stamp(), "closed", note.to_owned());
    }

    /// Changes the state, with its line in the timeline.
    pub(super) fn enter(&mut self, to: State, by: Actor, at: Stamp, kind: &str, note: String) {
        if self.record.state == State::OnHold {
            self.record.hold_reason = None;
            if self.side.window.is_none() {
                sla::go_on(&mut self.record.sla, at);
            }
        }
        if !to.is_open() {
            self.leave_window(at);
        }
        let from = std::mem::replace(&mut self.record.state, to);
        debug_assert!(permits(from, to, by), "{from:?} to {to:?} by {by:?}");
        self.note(at, by, kind, note);
        if let Some(entry) = self.record.timeline.last_mut() {
            (entry.from, entry.to) = (Some(from), Some(to));
        }
    }

    /// Open → resolved, back-dated to `at`.
    pub(super) fn resolve(
        &mut self,
        at: Stamp,
        confirmed: Option<Stamp>,
        by: Actor,
        code: ClosureCode,
        note: String,
    ) {
        let at = self.record.intervals.last().map_or(at, |i| at.max(i.from));
        self.record.flapping = false;
        self.tell_symptoms(at);
        self.end_at(at);
        self.record.confirmed_at = confirmed;
        self.record.closure = Some(Closure { code, note: note.clone() });
        self.enter(State::Resolved, by, at, "resolved", note);
        self.decide(at);
    }

    /// The last interval of trouble ended at `at`.
    pub(super) fn end_at(&mut self, at: Stamp) {
        self.record.resolved_at = Some(at);
        if let Some(interval) = self.record.intervals.last_mut() {
            interval.to = Some(at);
        }
    }

    fn decide(&mut self, at: Stamp) {
        for said in sla::resolved(&mut self.record.sla, at) {
            self.note(at, Actor::Timer, "sla", said);
        }
    }

    /// The condition that a person had declared over is over now.
    fn confirm(&mut self, sight: &Sight<'_>) -> Change {
        self.side.dispute_due = None;
        self.record.disputed = false;
        self.record.confirmed_at = Some(sight.at);
        let start = self.record.intervals.last().map_or(sight.since, |i| sight.since.max(i.from));
        if self.record.resolved_at.is_some_and(|at| start < at) {
            self.end_at(start);
            if self.record.state == State::Resolved {
                self.decide(start);
            }
        }
        let note = format!("the condition ended at {}; {}", second(sight.since), sight.why());
        self.note(sight.at, Actor::Rule, "cleared", note);
        Change::Revision
    }

    /// Where a reopening by the rule leads: to the people who had answered before.
    fn back(&self) -> State {
        if self.record.acknowledged_at.is_some() { State::InProgress } else { State::New }
    }

    /// Resolved or cancelled → open again; the trouble is back since `from`. The SLA clocks go on with their
    /// rest.
    pub(super) fn resume(
        &mut self,
        plan: &Plan,
        (by, to): (Actor, State),
        at: Stamp,
        from: Stamp,
        note: String,
    ) {
        let quiet = self.record.resolved_at.map_or(0, |resolved| at.0 - resolved.0);
        let earliest = self.record.intervals.last().and_then(|i| i.to).unwrap_or(from);
        sla::reopened(&mut self.record.sla, quiet);
        self.record.intervals.push(Interval { from: from.max(earliest), to: None });
        let surplus = self.record.intervals.len().saturating_sub(INTERVALS_MAX);
        self.record.intervals.drain(..surplus);
        self.record.resolved_at = None;
        self.record.confirmed_at = None;
        self.record.closure = None;
        self.record.disputed = false;
        self.side.dispute_due = None;
        self.side.counters.reopens += 1;
        self.enter(to, by, at, "reopened", note);
        self.apply(plan, at);
    }

    /// While it flaps, only a worse step is worth a revision.
    fn worsen(&mut self, sight: &Sight<'_>) -> Change {
        if self.side.facts.severity <= self.record.severity {
            return Change::Row;
        }
        self.change_step(sight);
        Change::Revision
    }

    fn change_step(&mut self, sight: &Sight<'_>) {
        let (before, after) = (word(self.record.severity), word(self.side.facts.severity));
        evidence::extend(&mut self.record.evidence, &sight.event.series);
        self.note(sight.at, Actor::Rule, "step", format!("{before} → {after}: {}", self.side.facts.why));
        self.apply(sight.plan, sight.at);
    }

    fn flap_starts(&mut self, sight: &Sight<'_>) {
        if self.record.flapping || !self.flaps(sight) {
            return;
        }
        self.record.flapping = true;
        let (transitions, span) = self.side.flap.bout();
        let note = format!("{transitions} transitions in {}: held open until it is steady", human(span));
        self.note(sight.at, Actor::Correlator, "flapping", note);
    }

    fn flaps(&self, sight: &Sight<'_>) -> bool {
        self.side.flap.starts(sight.now.mono, sight.plan.correlate.flap_half_life)
    }

    fn lasted(&self, until: Stamp) -> String {
        let from = self.record.intervals.last().map_or(until, |i| i.from);
        if until > from { format!(" after {}", human(until.0 - from.0)) } else { String::new() }
    }
}

/// Openings whose interval a record keeps; older ones are in the journal.
const INTERVALS_MAX: usize = 200;
