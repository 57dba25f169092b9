//! What is true: kept from what the engine committed, and held against the store at every start and against
//! every operation that is claimed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value as Json;
use sexton::engine::effect::{Job, Operation, OutboxRow, Outcome, RecordKind, Settled};
use sexton::engine::record::{Incident, Priority};
use sexton::store::{Commit, JournalRow, Loaded};

/// The newest revision of a record for one destination.
#[derive(Clone, Debug)]
pub struct Row {
    pub kind: RecordKind,
    pub rev: u64,
    pub over: bool,
    pub body: String,
    pub priority: Priority,
    pub link: Option<(String, String)>,
}

impl Row {
    fn of(row: &OutboxRow) -> Self {
        let OutboxRow { kind, rev, over, body, priority, link, .. } = row.clone();
        Self { kind, rev, over, body, priority, link }
    }
}

/// The last operation of a record that was claimed.
#[derive(Clone, Debug)]
struct Claimed {
    key: String,
    rev: u64,
    operation: Operation,
    body: Json,
    /// Claimed in this life and not settled.
    flying: bool,
    /// The far end has stored or refused it, as the store has answered.
    ended: bool,
    /// The same, and the store was only asked to write it down.
    may_have_ended: bool,
}

/// Destination and record.
pub type Place = (String, String);

/// The truth of one incarnation of the host.
#[derive(Default)]
pub struct Truth {
    pub journal: Vec<JournalRow>,
    state: BTreeMap<(String, String), String>,
    /// By destination and record.
    pub rows: BTreeMap<Place, Row>,
    /// Every incident ever committed: its fingerprint.
    pub incidents: BTreeMap<String, String>,
    under_way: Option<Arc<Commit>>,
    claimed: BTreeMap<Place, Claimed>,
    /// Dead letters that the far end has refused.
    pub refused: BTreeSet<Place>,
}

impl Truth {
    /// The engine asks for a commit.
    pub fn begin(&mut self, commit: &Arc<Commit>) {
        self.under_way = Some(Arc::clone(commit));
    }

    /// The store has answered that it is durable.
    pub fn committed(&mut self) {
        let Some(commit) = self.under_way.take() else { return };
        for entry in &commit.journal {
            self.journal.push(JournalRow {
                seq: entry.seq,
                at: entry.at,
                kind: entry.kind.to_owned(),
                subject: entry.subject.clone(),
                body: entry.body.clone(),
            });
            if entry.kind == "incident"
                && let Ok(incident) = serde_json::from_str::<Incident>(&entry.body)
            {
                self.incidents.insert(incident.id, incident.fingerprint);
            }
        }
        for change in &commit.state {
            let key = (change.kind.to_owned(), change.key.clone());
            match &change.body {
                Some(body) => self.state.insert(key, body.clone()),
                None => self.state.remove(&key),
            };
        }
        let (links, records): (Vec<_>, Vec<_>) =
            commit.outbox.iter().partition(|row| row.kind == RecordKind::Link);
        records.into_iter().chain(links).for_each(|row| self.put(row));
    }

    fn put(&mut self, row: &OutboxRow) {
        let place = (row.destination.clone(), row.record.clone());
        if row.terms.fallen.is_some() {
            // The far end has lost it: the same operation may come again.
            return self.requeued(&place);
        }
        if !self.rows.contains_key(&place) && !row.opens {
            return;
        }
        self.rows.insert(place, Row::of(row));
    }

    /// Number of the last journal entry that is surely there.
    pub fn seq(&self) -> u64 {
        self.journal.last().map_or(0, |entry| entry.seq)
    }

    /// A daemon has opened the store: everything that was answered is there, and what was under way is there
    /// whole or not at all.
    pub fn opened(&mut self, loaded: &Loaded) -> Vec<String> {
        let mut wrong = Vec::new();
        let end = self.under_way.as_ref().and_then(|commit| commit.journal.last()).map(|entry| entry.seq);
        if end.is_some_and(|end| end == loaded.seq && end > self.seq()) {
            self.committed();
        }
        // One without a journal entry shows in the state alone.
        if self.under_way.is_some() && !self.same_state(loaded) {
            self.committed();
        }
        self.under_way = None;
        if loaded.seq != self.seq() {
            wrong.push(format!("the journal ends at {}, {} was committed", loaded.seq, self.seq()));
        }
        if !self.same_state(loaded) {
            let keys: BTreeSet<_> = loaded.state.iter().map(|(k, n, _)| format!("{k} {n}")).collect();
            let mine: BTreeSet<_> = self.state.keys().map(|(k, n)| format!("{k} {n}")).collect();
            let differ: Vec<_> = keys.symmetric_difference(&mine).collect();
            wrong.push(format!("the engine's state is not what was committed; rows that differ: {differ:?}"));
        }
        if let Some(what) = &loaded.recovered {
            wrong.push(format!("the store was not found sound: {what}"));
        }
        self.claimed.values_mut().for_each(|claimed| claimed.flying = false);
        wrong
    }

    fn same_state(&self, loaded: &Loaded) -> bool {
        let rows = loaded.state.iter().map(|(kind, key, body)| ((kind, key), body));
        rows.eq(self.state.iter().map(|((kind, key), body)| ((kind, key), body)))
    }

    /// The journal as read from the store.
    pub fn read(&self, journal: &[JournalRow]) -> Option<String> {
        (journal != self.journal).then(|| "the journal is not what was committed, byte for byte".to_owned())
    }

    /// A pump has claimed a job.
    pub fn claims(&mut self, destination: &str, job: &Job) -> Option<String> {
        let place = (destination.to_owned(), job.record.clone());
        let what = format!("{} for {destination}", job.operation_key);
        let Some(row) = self.newest(&place) else { return Some(format!("{what}: was never committed")) };
        if job.rev > row.rev {
            return Some(format!("{what}: is newer than anything committed"));
        }
        if job.rev == row.rev && serde_json::from_str::<Json>(&row.body).ok().as_ref() != Some(&job.body) {
            return Some(format!("{what}: carries another body than was committed"));
        }
        let Job { rev, operation, operation_key: key, body, .. } = job.clone();
        let claimed =
            Claimed { key, rev, operation, body, flying: true, ended: false, may_have_ended: false };
        let before = self.claimed.insert(place, claimed)?;
        let same = before.key == job.operation_key;
        if before.flying {
            Some(format!("{what}: {} is still under way", before.key))
        } else if same && (before.rev, before.operation, &before.body) != (job.rev, job.operation, &job.body)
        {
            Some(format!("{what}: is not repeated byte for byte"))
        } else if same && before.ended && job.kind != RecordKind::Link && job.attempts == 0 {
            Some(format!("{what}: is done already"))
        } else if job.rev < before.rev {
            Some(format!("{what}: comes after the newer {}", before.key))
        } else if !same && !before.ended && !before.may_have_ended {
            Some(format!("{what}: {} has not ended", before.key))
        } else {
            None
        }
    }

    /// The newest revision that is committed, or in a commit that is done and whose answer is on its way.
    fn newest(&self, place: &Place) -> Option<Row> {
        let mut waiting = self.under_way.iter().flat_map(|commit| &commit.outbox);
        let new = waiting.rfind(|row| (&row.destination, &row.record) == (&place.0, &place.1));
        let known = self.rows.get(place);
        new.filter(|row| known.is_some() || row.opens).map(Row::of).or(known.cloned())
    }

    /// A pump asks the store to write down how operations ended.
    pub fn settling(&mut self, destination: &str, settled: &[Settled]) {
        for one in settled {
            let claimed = self.claimed.get_mut(&(destination.to_owned(), one.record.clone()));
            let ends = matches!(one.outcome, Outcome::Stored { .. } | Outcome::Refused { .. });
            claimed.into_iter().for_each(|claimed| claimed.may_have_ended = ends);
            if matches!(one.outcome, Outcome::Refused { .. }) {
                self.refused.insert((destination.to_owned(), one.record.clone()));
            }
        }
    }

    /// A pump has settled a job.
    pub fn settles(&mut self, destination: &str, settled: &Settled) -> Option<String> {
        let place = (destination.to_owned(), settled.record.clone());
        let Some(claimed) = self.claimed.get_mut(&place).filter(|c| c.flying && c.rev == settled.rev) else {
            return Some(format!("{} {} is settled and was not claimed", settled.record, settled.rev));
        };
        claimed.flying = false;
        claimed.ended = matches!(settled.outcome, Outcome::Stored { .. } | Outcome::Refused { .. });
        match settled.outcome {
            Outcome::Refused { .. } => self.refused.insert(place),
            _ => self.refused.remove(&place),
        };
        None
    }

    /// Somebody has put a dead letter back into the line.
    pub fn requeued(&mut self, place: &Place) {
        self.claimed.get_mut(place).into_iter().for_each(|claimed| claimed.ended = false);
    }

    /// True while that operation is claimed and not settled.
    pub fn is_claimed(&self, destination: &str, key: &str) -> bool {
        self.claimed.iter().any(|((d, _), claimed)| d == destination && claimed.flying && claimed.key == key)
    }

    /// The claims of a daemon that is gone.
    pub fn forget_claims(&mut self) {
        self.claimed.values_mut().for_each(|claimed| claimed.flying = false);
    }

    /// Both ends of a link are to be at that destination.
    pub fn has_ends(&self, destination: &str, row: &Row) -> bool {
        row.link.iter().all(|(incident, problem)| {
            [incident, problem]
                .iter()
                .all(|end| self.rows.contains_key(&(destination.to_owned(), (*end).clone())))
        })
    }
}
