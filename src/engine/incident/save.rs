//! How incidents are written down and taken back: state rows, revisions, timers.
//!
//! What [`Incidents::flush`] writes is all that [`Incidents::restore`] needs: a process that ends after any
//! step goes on as if it had not.

use std::sync::Arc;

use crate::engine::effect::Step;
use crate::engine::id;
use crate::engine::moment::Moment;
use crate::engine::problem::{self, RECURRENCE_ROW};
use crate::engine::record::{Incident, Problem, Record, State};
use crate::engine::rules::Raised;
use crate::engine::signal::{Class, Instance};

use super::held::{Change, Held};
use super::ledger::{ENGINE_ROW, Revised, json, put};
use super::{Id, Incidents};

impl Incidents {
    /// Takes back saved rows of the kinds `incident`, `problem`, `recurrence` and `engine`; other kinds are
    /// not ours. Returns a sentence for each row that cannot be read; such a row is left out.
    pub fn restore(&mut self, now: Moment, rows: Vec<(String, String, String)>) -> Vec<String> {
        self.shift = now.mono - now.wall;
        let mut bad = Vec::new();
        for (kind, key, body) in rows {
            let taken = match kind.as_str() {
                ENGINE_ROW => self.restore_ledger(&body),
                Incident::KIND => self.restore_incident(now, &body),
                Problem::KIND => self.problems.restore_problem(&key, &body).map(|(seq, number)| {
                    self.ledger.at_least(seq, 0, number);
                }),
                RECURRENCE_ROW => self.problems.restore_recurrence(&key, &body),
                _ => Ok(()),
            };
            if let Err(reason) = taken {
                bad.push(format!("cannot read state row {kind}/{key}: {reason}"));
            }
        }
        self.rearm();
        self.problems.rearm();
        bad
    }

    /// The raises that held incidents wait for the end of; each has a rule machine somewhere.
    pub fn raised(&self, now: Moment) -> Vec<Raised> {
        self.held.values().filter(|held| held.side.raised).filter_map(|held| raise_of(held, now)).collect()
    }

    /// Goes on after that sequence number, should the books be lost or older than the journal.
    pub fn resume_journal(&mut self, seq: u64) {
        self.ledger.at_least(seq, 0, 0);
    }

    /// Writes down what has changed: incidents, then problems, then the links between them.
    pub(super) fn flush(&mut self, now: Moment, out: &mut Step) {
        for (id, change) in std::mem::take(&mut self.changed) {
            let Some(held) = self.held.get_mut(&id) else { continue };
            if change == Change::Revision {
                held.settle();
                self.ledger.revise(now, &mut held.record, out);
            }
            if held.record.state == State::Closed {
                put(out, Incident::KIND, &id, None);
                self.forget(&id);
            } else {
                put(out, Incident::KIND, &id, Some(json(held)));
                self.arm(&id);
            }
        }
        self.problems.flush(now, &mut self.ledger, out);
        for (id, problem) in std::mem::take(&mut self.linked) {
            let Some(held) = self.held.get(&id) else { continue };
            let link = problem::link(&held.record, &problem, now);
            self.ledger.enter(now, "link", &link.id, json(&link), out);
            out.records.push(Record::Link(link));
        }
    }

    pub(super) fn forget(&mut self, id: &Id) {
        self.wall.set(id, None);
        self.mono.set(id, None);
        let Some(held) = self.held.remove(id) else { return };
        let print = self.print_of(&held.record);
        if self.newest.get(&print) == Some(id) {
            self.newest.remove(&print);
        }
    }

    /// The fingerprint by which events find the incident: that of its condition on this host, whose id may
    /// have changed since it was raised.
    pub(super) fn print_of(&self, record: &Incident) -> String {
        let host = &self.plan.host.host.id;
        match instance_of(record).filter(|_| record.host.id != *host) {
            Some(instance) => id::fingerprint(&record.rule.id, host, &instance),
            None => record.fingerprint.clone(),
        }
    }

    /// Events are about a host of another id from now on.
    pub(super) fn index_anew(&mut self) {
        self.newest.clear();
        let ids: Vec<Id> = self.held.keys().cloned().collect();
        ids.iter().for_each(|id| self.index(id));
    }

    /// A held incident is the newest of its condition, unless another one is.
    fn index(&mut self, id: &Id) {
        let Some(held) = self.held.get(id) else { return };
        let number = |held: &Held| id::counter(&held.record.number).unwrap_or(0);
        let (own, print) = (number(held), self.print_of(&held.record));
        let rival = self.newest.get(&print).and_then(|rival| self.held.get(rival)).map(number);
        if rival.is_none_or(|rival| own > rival) {
            self.newest.insert(print, Arc::clone(id));
        }
    }

    pub(super) fn arm(&mut self, id: &Id) {
        if let Some(held) = self.held.get(id) {
            self.wall.set(id, held.wall_due());
            self.mono.set(id, held.mono_due(self.plan.correlate.flap_half_life));
        }
    }

    pub(super) fn rearm(&mut self) {
        let ids: Vec<Id> = self.held.keys().cloned().collect();
        ids.iter().for_each(|id| self.arm(id));
    }

    fn restore_ledger(&mut self, body: &str) -> Result<(), String> {
        self.ledger.resume(serde_json::from_str(body).map_err(|e| e.to_string())?);
        Ok(())
    }

    fn restore_incident(&mut self, now: Moment, body: &str) -> Result<(), String> {
        let mut held: Held = serde_json::from_str(body).map_err(|e| e.to_string())?;
        held.side.rewind(now.mono);
        let record = &held.record;
        let number = id::counter(&record.number).unwrap_or(0);
        self.ledger.at_least(record.seq, number, 0);
        let id: Id = record.id.as_str().into();
        self.held.insert(Arc::clone(&id), held);
        self.index(&id);
        Ok(())
    }
}

/// `None` when the instance is of a class that this version does not know.
pub(super) fn raise_of(held: &Held, now: Moment) -> Option<Raised> {
    let record = &held.record;
    let instance = instance_of(record)?;
    let since = record.intervals.last().map_or(record.breach_at, |interval| interval.from);
    let since = Moment { mono: since.0.saturating_add(now.mono - now.wall), wall: since.0 };
    Some(Raised { rule: record.rule.id.clone(), instance, severity: held.side.facts.severity, since })
}

/// On what it was raised; `None` when that is of a class that this version does not know.
fn instance_of(record: &Incident) -> Option<Arc<Instance>> {
    let class = Class::parse(record.instance.split('{').next()?)?;
    // The record's labels are those of host, rule and instance.
    let spec = class.spec();
    let own = spec.identity.iter().chain(spec.other);
    let labels = own.filter_map(|l| Some(((*l).to_owned(), record.labels.get(*l)?.clone())));
    let instance = Arc::new(Instance::new(class, labels.collect()));
    (instance.key() == record.instance).then_some(instance)
}
