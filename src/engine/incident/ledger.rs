//! The books: sequence numbers, readable numbers and ids, and the way a revision is written down.
//!
//! Invariants: `seq` is gapless; a record gets one revision per step, however often it changes in it;
//! whatever was taken from the books is in the same step as the row `engine/ledger` that says so.

use serde::{Deserialize, Serialize};

use crate::engine::effect::{Entry, StateChange, Step};
use crate::engine::id::{self, Generator, Uuid};
use crate::engine::moment::{Moment, Stamp};
use crate::engine::record::{Incident, Problem, Record, TimelineEntry};

/// Timeline entries a record keeps; the journal holds all.
pub(in crate::engine) const TIMELINE_MAX: usize = 200;
/// Kind of the state row that holds the books.
pub(in crate::engine) const ENGINE_ROW: &str = "engine";
const LEDGER_KEY: &str = "ledger";

/// The counters and the generator; one state row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::engine) struct Ledger {
    seq: u64,
    incidents: u64,
    problems: u64,
    generator: Generator,
}

impl Ledger {
    pub fn new(seed: u64) -> Self {
        Self { seq: 0, incidents: 0, problems: 0, generator: Generator::new(seed) }
    }

    /// Goes on where saved books ended.
    pub fn resume(&mut self, saved: Ledger) {
        self.at_least(saved.seq, saved.incidents, saved.problems);
        self.generator = saved.generator;
    }

    /// Never goes below what records already carry, should the row of the books be lost.
    pub fn at_least(&mut self, seq: u64, incidents: u64, problems: u64) {
        self.seq = self.seq.max(seq);
        self.incidents = self.incidents.max(incidents);
        self.problems = self.problems.max(problems);
    }

    pub fn incident(&mut self, now: Moment) -> (Uuid, String) {
        self.incidents += 1;
        (Uuid::v7(now.wall, &mut self.generator), id::incident_number(self.incidents))
    }

    pub fn problem(&mut self, now: Moment) -> (Uuid, String) {
        self.problems += 1;
        (Uuid::v7(now.wall, &mut self.generator), id::problem_number(self.problems))
    }

    /// Writes a journal entry and the books; returns its sequence number.
    pub fn enter(
        &mut self,
        now: Moment,
        kind: &'static str,
        subject: &str,
        body: String,
        out: &mut Step,
    ) -> u64 {
        self.seq += 1;
        out.journal.push(Entry { seq: self.seq, at: now.stamp(), kind, subject: subject.to_owned(), body });
        put(out, ENGINE_ROW, LEDGER_KEY, Some(json(self)));
        self.seq
    }

    /// Makes the next revision of a changed record: number, journal entry, record to forward. A record that
    /// this step has revised already keeps its revision and is written over.
    pub fn revise<R: Revised>(&mut self, now: Moment, record: &mut R, out: &mut Step) {
        let head = record.head();
        let place = out.places.records.entry(head.id.to_owned()).or_insert(usize::MAX);
        let before = out.records.get_mut(*place).filter(|r| R::id_in(r) == Some(head.id));
        *head.at = now.stamp();
        if before.is_none() {
            *head.rev += 1;
            *head.seq = self.seq + 1;
        }
        let (rev, seq) = (*head.rev, *head.seq);
        head.timeline.iter_mut().filter(|e| e.rev == 0).for_each(|e| e.rev = rev);
        let surplus = head.timeline.len().saturating_sub(TIMELINE_MAX);
        head.timeline.drain(..surplus);
        let id = head.id.to_owned();
        let audit = record.audit(rev);
        match before {
            Some(before) => {
                *before = record.forwarded();
                // Newest last: the entry is near the end, or whoever plays an engine has taken it out.
                let entry = out.journal.binary_search_by_key(&seq, |e| e.seq).ok();
                entry.into_iter().for_each(|i| out.journal[i].body.clone_from(&audit));
            }
            None => {
                *place = out.records.len();
                out.records.push(record.forwarded());
                self.enter(now, R::KIND, &id, audit, out);
            }
        }
    }
}

/// The parts of a record that a revision changes.
pub(in crate::engine) struct Head<'a> {
    id: &'a str,
    seq: &'a mut u64,
    rev: &'a mut u64,
    at: &'a mut Stamp,
    timeline: &'a mut Vec<TimelineEntry>,
}

/// A record with revisions.
pub(in crate::engine) trait Revised {
    /// Kind of its journal entries and state rows.
    const KIND: &'static str;
    fn head(&mut self) -> Head<'_>;
    fn forwarded(&self) -> Record;
    /// The id, if this is a record of the same kind.
    fn id_in(record: &Record) -> Option<&str>;
    /// The journal's body: the record as it is now, with the timeline entries of this revision only.
    fn audit(&self, rev: u64) -> String;
}

fn since(timeline: &[TimelineEntry], rev: u64) -> Vec<TimelineEntry> {
    timeline.iter().filter(|e| e.rev == rev).cloned().collect()
}

impl Revised for Incident {
    const KIND: &'static str = "incident";

    fn head(&mut self) -> Head<'_> {
        let Incident { id, seq, rev, at, timeline, .. } = self;
        Head { id, seq, rev, at, timeline }
    }

    fn forwarded(&self) -> Record {
        Record::Incident(Box::new(self.clone()))
    }

    fn id_in(record: &Record) -> Option<&str> {
        if let Record::Incident(i) = record { Some(&i.id) } else { None }
    }

    /// Evidence is written only by a revision that brought some.
    fn audit(&self, rev: u64) -> String {
        let timeline = since(&self.timeline, rev);
        let brings = timeline.iter().any(|e| ["raised", "reopened", "step", "evidence"].contains(&&*e.kind));
        let evidence = if brings { self.evidence.clone() } else { Default::default() };
        json(&Incident { timeline, evidence, ..self.clone() })
    }
}

impl Revised for Problem {
    const KIND: &'static str = "problem";

    fn head(&mut self) -> Head<'_> {
        let Problem { id, seq, rev, at, timeline, .. } = self;
        Head { id, seq, rev, at, timeline }
    }

    fn forwarded(&self) -> Record {
        Record::Problem(Box::new(self.clone()))
    }

    fn id_in(record: &Record) -> Option<&str> {
        if let Record::Problem(p) = record { Some(&p.id) } else { None }
    }

    fn audit(&self, rev: u64) -> String {
        json(&Problem { timeline: since(&self.timeline, rev), ..self.clone() })
    }
}

/// Writes (or with `None` deletes) a state row; a later change in the same step replaces an earlier one.
pub(in crate::engine) fn put(out: &mut Step, kind: &'static str, key: &str, body: Option<String>) {
    let place = out.places.state.entry((kind, key.to_owned())).or_insert(usize::MAX);
    match out.state.get_mut(*place).filter(|row| row.kind == kind && row.key == key) {
        Some(row) => row.body = body,
        None => {
            *place = out.state.len();
            out.state.push(StateChange { kind, key: key.to_owned(), body });
        }
    }
}

/// A value as JSON text. Our shapes have string keys only, so that serde_json cannot refuse them; should one
/// ever be refused, the reason stands in its place.
pub(in crate::engine) fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value)
        .unwrap_or_else(|e| format!("{{\"error\":\"{}\"}}", e.to_string().escape_default()))
}
