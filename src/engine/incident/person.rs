//! What people decide about an incident, on this host or at a desk.
//!
//! Every decision is accepted as the life cycle allows; the rule may dispute a resolve later. The first
//! answer of a person stops the respond clock. Times are those of the moment we were told.

use crate::engine::moment::{Moment, Stamp, human};
use crate::engine::plan::Plan;
use crate::engine::record::{Actor, Closure, ClosureCode, State};

use super::held::{Change, DISPUTE_AFTER, Held};
use super::lifecycle::permits;
use super::sla;

/// A hold whose reason has one of these words stops the resolve clock: others have the next move.
const PAUSES: [&str; 8] =
    ["vendor", "supplier", "change", "maintenance", "user", "caller", "customer", "requestor"];

/// Who decided, and where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Who<'a> {
    /// Operator or ITSM.
    pub actor: Actor,
    /// Name of the person; empty when it is not known.
    pub name: &'a str,
    /// Destination id; empty for this host.
    pub place: &'a str,
}

impl Who<'_> {
    /// `acknowledged at rt by ada`.
    pub fn did(&self, what: &str) -> String {
        let mut said = what.to_owned();
        for (word, value) in [("at", self.place), ("by", self.name)] {
            if !value.is_empty() {
                said.push_str(&format!(" {word} {value}"));
            }
        }
        said
    }

    fn said(&self, what: &str, note: &str) -> String {
        let did = self.did(what);
        if note.trim().is_empty() { did } else { format!("{did}: {}", note.trim()) }
    }
}

type Done = Result<Change, String>;

impl Held {
    /// Somebody takes notice.
    pub fn acknowledge(&mut self, now: Moment, who: &Who<'_>) -> Done {
        self.allow(State::Acknowledged, who.actor, "acknowledged")?;
        self.answered(now.stamp());
        self.enter(State::Acknowledged, who.actor, now.stamp(), "acknowledged", who.did("acknowledged"));
        Ok(Change::Revision)
    }

    /// Somebody works on it.
    pub fn start(&mut self, now: Moment, who: &Who<'_>) -> Done {
        if self.record.state == State::Resolved || self.record.state == State::Cancelled {
            return Err(format!("{} is {}: reopen it first", self.record.number, word(self.record.state)));
        }
        self.allow(State::InProgress, who.actor, "taken up")?;
        self.answered(now.stamp());
        let said = if self.record.state == State::OnHold { "taken off hold" } else { "taken up" };
        self.enter(State::InProgress, who.actor, now.stamp(), "in_progress", who.did(said));
        Ok(Change::Revision)
    }

    /// It waits for something. The resolve clock stands still when that is in the hands of others.
    pub fn hold(&mut self, now: Moment, who: &Who<'_>, reason: &str) -> Done {
        self.allow(State::OnHold, who.actor, "put on hold")?;
        if reason.trim().is_empty() {
            return Err("a hold needs a reason".to_owned());
        }
        self.answered(now.stamp());
        let mut said = who.said("put on hold", reason);
        let pauses = pauses(reason);
        if pauses {
            said.push_str(" (the resolve clock stands still)");
        }
        self.enter(State::OnHold, who.actor, now.stamp(), "on_hold", said);
        self.record.hold_reason = Some(reason.trim().to_owned());
        if pauses {
            sla::pause(&mut self.record.sla, now.stamp());
        }
        Ok(Change::Revision)
    }

    /// Somebody says that it is over. That is accepted; the rule may dispute it later.
    pub fn resolve_by(&mut self, now: Moment, who: &Who<'_>, note: &str) -> Done {
        self.allow(State::Resolved, who.actor, "resolved")?;
        self.answered(now.stamp());
        let mut said = who.said("resolved", note);
        self.record.disputed = self.side.raised;
        if self.side.raised {
            self.side.dispute_due = Some(now.mono.saturating_add(DISPUTE_AFTER));
            said.push_str(&format!(
                " (the condition is still true; opens again if it is so in {})",
                human(DISPUTE_AFTER)
            ));
        }
        let confirmed = (!self.side.raised).then_some(now.stamp());
        self.side.cleared_at = None;
        self.resolve(now.stamp(), confirmed, who.actor, ClosureCode::Fixed, said);
        Ok(Change::Revision)
    }

    /// Somebody closes what is resolved. While its condition is still true that is kept open for the dispute.
    pub fn close_by(&mut self, now: Moment, who: &Who<'_>) -> Done {
        self.allow(State::Closed, who.actor, "closed")?;
        if self.side.raised {
            return Ok(Change::Row);
        }
        self.close(now, who.actor, &who.did("closed"));
        Ok(Change::Revision)
    }

    /// Nobody will work on it: a false alarm, or a duplicate of another one. The clocks stop undecided.
    pub fn cancel(&mut self, now: Moment, who: &Who<'_>, note: &str) -> Done {
        self.allow(State::Cancelled, who.actor, "cancelled")?;
        self.answered(now.stamp());
        let duplicate = note.to_lowercase().contains("duplicate");
        let code = if duplicate { ClosureCode::Duplicate } else { ClosureCode::FalsePositive };
        let said = who.said("cancelled", note);
        if self.record.state.is_open() {
            let at = self.record.intervals.last().map_or(now.stamp(), |i| now.stamp().max(i.from));
            self.end_at(at);
        }
        self.record.flapping = false;
        self.record.disputed = false;
        (self.side.dispute_due, self.side.cleared_at, self.side.aftermath_due) = (None, None, None);
        self.record.closure = Some(Closure { code, note: said.clone() });
        self.enter(State::Cancelled, who.actor, now.stamp(), "cancelled", said);
        Ok(Change::Revision)
    }

    /// It is not over. The rule resolves it with its next clear: when the condition is not true any more,
    /// only after a new raise.
    pub fn reopen_by(&mut self, plan: &Plan, now: Moment, who: &Who<'_>, note: &str) -> Done {
        if self.record.state.is_open() {
            return Err(format!("{} is open", self.record.number));
        }
        self.allow(State::InProgress, who.actor, "reopened")?;
        let said = who.said("reopened", note);
        let still = self.record.resolved_at.filter(|_| self.side.raised);
        self.resume(plan, (who.actor, State::InProgress), now.stamp(), still.unwrap_or(now.stamp()), said);
        self.answered(now.stamp());
        Ok(Change::Revision)
    }

    /// Says who works on it; empty: nobody.
    pub fn assign(&mut self, now: Moment, who: &Who<'_>, to: &str) -> Done {
        if self.record.state == State::Closed {
            return Err(format!("{} is closed", self.record.number));
        }
        let assignee = (!to.is_empty()).then(|| to.to_owned());
        if self.record.assignee == assignee {
            return Ok(Change::Row);
        }
        self.record.assignee = assignee;
        let said = if to.is_empty() { "unassigned".to_owned() } else { format!("assigned to {to}") };
        self.note(now.stamp(), who.actor, "assigned", who.did(&said));
        Ok(Change::Revision)
    }

    fn allow(&self, to: State, by: Actor, done: &str) -> Result<(), String> {
        let from = self.record.state;
        if permits(from, to, by) {
            return Ok(());
        }
        Err(format!("{} is {} and cannot be {done}", self.record.number, word(from)))
    }

    /// The first answer of a person stops the respond clock.
    fn answered(&mut self, at: Stamp) {
        if self.record.acknowledged_at.is_none() {
            self.record.acknowledged_at = Some(at);
            sla::responded(&mut self.record.sla, at);
        }
    }
}

/// A hold for that reason stops the resolve clock.
pub(super) fn pauses(reason: &str) -> bool {
    let words = reason.split(|c: char| !c.is_alphanumeric());
    words.map(str::to_lowercase).any(|word| PAUSES.contains(&word.as_str()))
}

fn word(state: State) -> &'static str {
    match state {
        State::New => "new",
        State::Acknowledged => "already acknowledged",
        State::InProgress => "in progress",
        State::OnHold => "on hold",
        State::Resolved => "already resolved",
        State::Closed => "closed",
        State::Cancelled => "cancelled",
    }
}
