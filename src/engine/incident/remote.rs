//! Follows what people do to incidents and problems at destinations, and finds what a destination has lost.
//!
//! What a reading means is judged by [`Desks`](crate::engine::desks::Desks); here it is carried out on the
//! life cycle. A reading of an older revision is ignored: newer ones are on their way. A revision that came
//! from a destination is marked as known there, so that it does not come back as an echo; all others are
//! told.

use std::sync::Arc;

use crate::engine::desks::{Decision, Verdict};
use crate::engine::effect::{Fallen, Remote, Resend, Stage, Step};
use crate::engine::moment::Moment;
use crate::engine::plan::Plan;
use crate::engine::problem;
use crate::engine::record::{Actor, Incident, Record, State};

use super::held::{Change, Held};
use super::person::Who;
use super::{BY_MAX, Id, Incidents, NOTE_MAX, evidence};

/// What became of a reading.
enum Read {
    Nothing,
    Kept(Change),
    Lost(u64),
}

impl Incidents {
    /// Takes a reading of a record at a destination.
    pub(super) fn remote(
        &mut self,
        now: Moment,
        destination: &str,
        remote: &Remote,
        out: &mut Step,
    ) -> Result<(), String> {
        let id: Id = remote.record.as_str().into();
        let Some(held) = self.held.get(&id) else {
            return self.remote_problem(now, destination, remote, out);
        };
        if held.record.rev != remote.rev {
            return Ok(());
        }
        let (rival, plan) = (self.rival(&id), Arc::clone(&self.plan));
        let Some(held) = self.held.get_mut(&id) else { return Ok(()) };
        match held.read(&plan, now, destination, remote, rival.as_deref()) {
            Read::Nothing => return Ok(()),
            Read::Kept(change) => {
                self.mark(&id, change);
                if change == Change::Revision {
                    out.known.push((id.to_string(), destination.to_owned()));
                }
            }
            Read::Lost(rev) => {
                let record = held.record.clone();
                self.mark(&id, Change::Row);
                let over = !remote.stage.is_open();
                self.send_again(now, destination, record, Fallen { rev, over }, out);
            }
        }
        self.flush(now, out);
        Ok(())
    }

    /// Takes notice that a ticket is gone: what is open is made anew, with its links.
    pub(super) fn gone(&mut self, now: Moment, destination: &str, id: &str, rev: u64, out: &mut Step) {
        let fallen = Fallen { rev: 0, over: false };
        let id: Id = id.into();
        if let Some(held) = self.held.get_mut(&id).filter(|held| held.record.rev == rev) {
            let forgot = held.side.desks.forget(destination);
            let record = held.record.clone();
            if forgot {
                self.mark(&id, Change::Row);
            }
            if record.state.is_open() {
                self.link_again(now, destination, std::slice::from_ref(&record.id), out);
                self.send_again(now, destination, record, fallen, out);
            }
        } else if let Some(record) = self.problems.gone(destination, &id, rev) {
            let members: Vec<_> = record.members.iter().map(|m| m.incident.clone()).collect();
            self.tell_lost(now, destination, &record.number, fallen, out);
            self.link_again(now, destination, &members, out);
            let record = Record::Problem(Box::new(record));
            out.resend.push(Resend { destination: destination.to_owned(), record, fallen: Some(fallen) });
        }
        self.flush(now, out);
    }

    fn remote_problem(
        &mut self,
        now: Moment,
        destination: &str,
        remote: &Remote,
        out: &mut Step,
    ) -> Result<(), String> {
        match self.problems.remote(now, destination, remote) {
            problem::Read::Unknown => {
                return Err(format!("no incident or problem {} here: unknown or closed", remote.record));
            }
            problem::Read::Nothing => return Ok(()),
            problem::Read::Kept => {}
            problem::Read::Followed => out.known.push((remote.record.clone(), destination.to_owned())),
            problem::Read::Lost(rev, record) => {
                let fallen = Fallen { rev, over: !remote.stage.is_open() };
                self.tell_lost(now, destination, &record.number, fallen, out);
                let record = Record::Problem(record);
                out.resend.push(Resend { destination: destination.to_owned(), record, fallen: Some(fallen) });
            }
        }
        self.flush(now, out);
        Ok(())
    }

    fn send_again(
        &mut self,
        now: Moment,
        destination: &str,
        record: Incident,
        fallen: Fallen,
        out: &mut Step,
    ) {
        self.tell_lost(now, destination, &record.number, fallen, out);
        let record = Record::Incident(Box::new(record));
        out.resend.push(Resend { destination: destination.to_owned(), record, fallen: Some(fallen) });
    }

    /// The links of these incidents to their problem.
    fn link_again(&mut self, now: Moment, destination: &str, incidents: &[String], out: &mut Step) {
        for id in incidents {
            let Some(held) = self.held.get(id.as_str()) else { continue };
            let Some(problem) = &held.record.links.problem else { continue };
            let record = Record::Link(problem::link(&held.record, problem, now));
            let fallen = Some(Fallen { rev: 0, over: false });
            out.resend.push(Resend { destination: destination.to_owned(), record, fallen });
        }
    }

    /// It is in the journal, not on the record: nothing has happened to the incident.
    fn tell_lost(&mut self, now: Moment, destination: &str, number: &str, fallen: Fallen, out: &mut Step) {
        let body = serde_json::json!({
            "record": number,
            "lost": if fallen.rev == 0 { "the ticket is gone" } else { "our last writes are not there" },
            "since_rev": fallen.rev,
        });
        self.ledger.enter(now, "destination", destination, body.to_string(), out);
    }
}

impl Held {
    fn read(
        &mut self,
        plan: &Plan,
        now: Moment,
        destination: &str,
        remote: &Remote,
        rival: Option<&str>,
    ) -> Read {
        let record = &self.record;
        let moved = |since: u64| record.timeline.iter().any(|e| e.rev > since && e.to.is_some());
        let shows = shows(record, remote.stage);
        let decision = match self.side.desks.judge(destination, remote, moved, shows) {
            Verdict::Same => return Read::Nothing,
            Verdict::Noted => return Read::Kept(Change::Row),
            Verdict::Lost(rev) => return Read::Lost(rev),
            Verdict::Decided(decision) => decision,
        };
        let name = evidence::cut(remote.by.as_deref().unwrap_or_default().trim(), BY_MAX);
        let who = Who { actor: Actor::Itsm, name, place: destination };
        let change = self.decided(plan, now, &who, remote, decision, rival);
        if change == Change::Revision {
            let next = self.record.rev + 1;
            self.side.desks.followed(destination, next);
        }
        Read::Kept(change)
    }

    fn decided(
        &mut self,
        plan: &Plan,
        now: Moment,
        who: &Who<'_>,
        remote: &Remote,
        decision: Decision,
        rival: Option<&str>,
    ) -> Change {
        let mut change = Change::Row;
        let note = evidence::cut(remote.note.as_deref().unwrap_or_default().trim(), NOTE_MAX);
        if decision.assignee {
            let to = evidence::cut(remote.assignee.as_deref().unwrap_or_default().trim(), BY_MAX);
            change = change.max(self.assign(now, who, to).unwrap_or(Change::Row));
        }
        if decision.stage {
            change = change.max(self.go_to(plan, now, who, (remote.stage, note), rival));
        }
        change
    }

    /// Brings the record where people brought the ticket, step by step as the life cycle has it.
    fn go_to(
        &mut self,
        plan: &Plan,
        now: Moment,
        who: &Who<'_>,
        (stage, note): (Stage, &str),
        rival: Option<&str>,
    ) -> Change {
        let state = self.record.state;
        if let (false, true, Some(rival)) = (state.is_open(), stage.is_open(), rival) {
            let said = format!("{}, but {rival} is open for the same condition", who.did("reopened"));
            self.note(now.stamp(), who.actor, "note", said);
            return Change::Revision;
        }
        let reason = if note.is_empty() { "no reason given" } else { note };
        let steps: Vec<Result<Change, String>> = match (state, stage) {
            (State::New, Stage::Acknowledged) => vec![self.acknowledge(now, who)],
            (State::New | State::Acknowledged, Stage::InProgress) => vec![self.start(now, who)],
            (State::OnHold, Stage::Acknowledged | Stage::InProgress) => vec![self.start(now, who)],
            (s, Stage::OnHold) if s.is_open() && s != State::OnHold => vec![self.hold(now, who, reason)],
            (s, Stage::Resolved) if s.is_open() => vec![self.resolve_by(now, who, note)],
            (s, Stage::Closed) if s.is_open() => {
                vec![self.resolve_by(now, who, note), self.close_by(now, who)]
            }
            (State::Resolved, Stage::Closed) => vec![self.close_by(now, who)],
            (s, Stage::Cancelled) if s != State::Cancelled => vec![self.cancel(now, who, note)],
            (State::Resolved | State::Cancelled, Stage::OnHold) => {
                vec![self.reopen_by(plan, now, who, ""), self.hold(now, who, reason)]
            }
            (State::Resolved | State::Cancelled, s) if s.is_open() => {
                vec![self.reopen_by(plan, now, who, note)]
            }
            _ => Vec::new(),
        };
        steps.into_iter().flatten().max().unwrap_or(Change::Row)
    }
}

/// How the record's state may look at some desk: many know fewer states than we do.
fn shows(record: &Incident, stage: Stage) -> bool {
    match record.state {
        State::New if record.counters.reopens == 0 => stage == Stage::New,
        State::New | State::Acknowledged | State::InProgress => stage.is_open() && stage != Stage::OnHold,
        State::OnHold => stage.is_open(),
        State::Resolved | State::Closed | State::Cancelled => !stage.is_open(),
    }
}
