//! The life of one outbox row: what may be done next, what is frozen while it is being done, what an outcome
//! means.
//!
//! ```text
//!            put                claim               settle Stored
//!   (none) ───────► pending ───────────► sending ─────────────────► acked ──put──► pending
//!                                            ▲                        │
//!                                            └──── claim, when due ───┘  (a far end that forgets)
//!                    ▲   ▲                │ │ │
//!                    │   └─ Retry, Pause ─┘ │ └─ Refused ─► parked ──requeue, put (not a create)──► pending
//!                    └── the same ── unknown ◄── Retry{unknown}, crash
//! ```
//! Pure: no SQL, no clock. Invariants: an operation, its key and its body stay the same from the first claim
//! until the far end has stored or refused them; `doubt` (an attempt may have reached the far end) ends only
//! with `Stored`; a row whose create may have left is never dropped.

use std::time::Duration;

use crate::engine::effect::{Fallen, Operation, OutboxRow, Outcome, RecordKind};
use crate::engine::moment::{DAY, Stamp};
use crate::engine::record::Priority;

/// Longest time a row may wait for its next try, whatever the far end asks for; guards against clocks that
/// step.
pub const WAIT_MOST: i64 = DAY;

/// Longest `last_error` in bytes.
const ERROR_MOST: usize = 500;

/// State of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RowState {
    /// Something is to be sent.
    Pending,
    /// It is being sent now.
    Sending,
    /// The far end holds the newest revision.
    Acked,
    /// It was sent, and nobody knows whether it arrived.
    Unknown,
    /// The far end refused it for good: a dead letter.
    Parked,
}

/// A revision and whether the record is over at it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Revision {
    /// From 1; 0 means none.
    pub rev: u64,
    /// Resolved, closed or cancelled.
    pub over: bool,
}

/// A body in the table of bodies. Bodies are never changed, only replaced.
pub type BodyId = i64;

/// An operation that was claimed and is not settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frozen {
    /// What is done.
    pub operation: Operation,
    /// `sx-<id>-<rev>-<letter>`.
    pub key: String,
    /// The revision that is sent.
    pub revision: Revision,
    /// Its body.
    pub body: BodyId,
}

/// A row of the outbox: all that is known of one record at one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Row id; 0 until it is inserted.
    pub id: i64,
    /// Destination id.
    pub destination: String,
    /// Record id.
    pub record: String,
    /// Kind of record.
    pub kind: RecordKind,
    /// Where it stands.
    pub state: RowState,
    /// When it may be claimed; `None` when it does not wait, or waits for both ends of its link.
    pub due: Option<Stamp>,
    /// Of the newest revision.
    pub priority: Priority,
    /// Place in the line: grows with each row that begins to wait.
    pub queued: i64,
    /// The newest revision.
    pub wanted: Revision,
    /// Its body; `None` once it is stored.
    pub body: Option<BodyId>,
    /// The revision the far end holds.
    pub acked: Revision,
    /// The far end's id of the record.
    pub remote_id: Option<String>,
    /// When the row was made.
    pub created_at: Stamp,
    /// When the far end last stored something.
    pub settled_at: Option<Stamp>,
    /// The claimed operation.
    pub op: Option<Frozen>,
    /// An operation was claimed at least once.
    pub sent: bool,
    /// An attempt may have reached the far end, and when the last such one ended.
    pub doubt: Option<Stamp>,
    /// Failed attempts since the far end last stored something.
    pub attempts: u32,
    /// Why the last one failed.
    pub last_error: Option<String>,
    /// For a link: incident id and problem id.
    pub link: Option<(String, String)>,
    /// The alert key of an incident; `None` also in rows of an older version.
    pub alert_key: Option<String>,
}

impl Row {
    /// The row of a record that the destination does not know yet. `due` is `None` for a link whose ends are
    /// not stored.
    pub fn new(new: &OutboxRow, body: BodyId, due: Option<Stamp>, now: Stamp) -> Self {
        Self {
            id: 0,
            destination: new.destination.clone(),
            record: new.record.clone(),
            kind: new.kind,
            state: RowState::Pending,
            due,
            priority: new.priority,
            queued: body,
            wanted: Revision { rev: new.rev, over: new.over },
            body: Some(body),
            acked: Revision::default(),
            remote_id: None,
            created_at: now,
            settled_at: None,
            op: None,
            sent: false,
            doubt: None,
            attempts: 0,
            last_error: None,
            link: new.link.clone(),
            alert_key: new.alert_key.clone(),
        }
    }

    /// What the next claim will do: the frozen operation, else what leads from the stored revision to the
    /// newest.
    pub fn operation(&self) -> Operation {
        if let Some(op) = &self.op {
            return op.operation;
        }
        match (self.acked, self.wanted.over) {
            _ if self.kind == RecordKind::Link => Operation::Link,
            (Revision { rev: 0, .. }, _) if self.remote_id.is_none() => Operation::Create,
            (Revision { over: false, .. }, true) => Operation::Resolve,
            (Revision { over: true, .. }, false) => Operation::Reopen,
            _ => Operation::Update,
        }
    }

    /// 0 goes before 1: creates, resolves, reopens, problems and links go before plain updates.
    pub fn rank(&self) -> i64 {
        i64::from(self.operation() == Operation::Update && self.kind == RecordKind::Incident)
    }

    /// A newer revision takes the place of the waiting one; what is frozen stays. A parked create stays
    /// parked: what was never created cannot be updated.
    pub fn supersede(&mut self, new: &OutboxRow, body: BodyId) {
        self.wanted = Revision { rev: new.rev, over: new.over };
        self.priority = new.priority;
        self.alert_key = new.alert_key.clone();
        self.body = Some(body);
        let due = new.terms.not_before.unwrap_or(Stamp(0));
        let revive = match self.state {
            RowState::Acked => true,
            RowState::Parked => self.acked.rev > 0,
            RowState::Pending | RowState::Sending | RowState::Unknown => false,
        };
        if revive {
            self.queued = body;
            self.wait(due);
        } else if self.state == RowState::Pending && self.op.is_none() && self.attempts == 0 {
            // It only waits to be sent together with others, perhaps not any more.
            self.due = self.due.map(|before| before.min(due));
        }
    }

    /// The destination knows this revision, because it came from there. False when something else is under
    /// way, and the revision has to be sent like any other.
    pub fn learn(&mut self, new: &OutboxRow, now: Stamp) -> bool {
        let idle = self.state == RowState::Acked && self.due.is_none();
        if idle {
            self.wanted = Revision { rev: new.rev, over: new.over };
            (self.acked, self.priority, self.settled_at) = (self.wanted, new.priority, Some(now));
        }
        idle
    }

    /// The far end has lost what was stored there: the newest revision goes again, from what is left. A
    /// ticket that is gone may have come back under another id: it is looked for before it is made anew.
    pub fn fall_back(&mut self, fallen: Fallen, body: BodyId, waits_for_ends: bool, now: Stamp) {
        self.acked = Revision { rev: fallen.rev, over: fallen.over };
        if fallen.rev == 0 && self.kind != RecordKind::Link {
            self.remote_id = None;
            self.doubt = Some(now);
        }
        (self.body, self.queued) = (Some(body), body);
        self.wait(Stamp(0));
        if waits_for_ends {
            self.due = None;
        }
    }

    /// Claims the row: freezes the operation unless an earlier claim did. `None` when there is nothing to
    /// send.
    pub fn freeze(&mut self) -> Option<&Frozen> {
        if self.op.is_none() {
            let operation = self.operation();
            let key = format!("sx-{}-{}-{}", self.record, self.wanted.rev, operation.letter());
            self.op = Some(Frozen { operation, key, revision: self.wanted, body: self.body? });
        }
        self.state = RowState::Sending;
        self.due = None;
        self.sent = true;
        self.op.as_ref()
    }

    /// What became of the claimed operation. `next` is when a `Retry` or `Pause` may be tried again.
    pub fn settle(&mut self, outcome: &Outcome, next: Stamp, now: Stamp) {
        let next = Stamp(next.0.min(now.plus(WAIT_MOST).0));
        match outcome {
            Outcome::Stored { remote_id, again } => self.stored(remote_id.clone(), *again, now),
            Outcome::Retry { unknown, reason, .. } => {
                self.doubt = if *unknown { Some(now) } else { self.doubt };
                self.failed(reason);
                self.wait(next);
            }
            Outcome::Pause { reason } => {
                // Of several requests a later one may have been refused: rights were lost in between.
                self.doubt.get_or_insert(now);
                self.last_error = Some(bounded(reason));
                self.wait(next);
            }
            Outcome::Refused { reason } => self.refused(reason, now),
        }
    }

    fn stored(&mut self, remote_id: Option<String>, again: Option<Duration>, now: Stamp) {
        if let Some(op) = self.op.take() {
            self.acked = op.revision;
        }
        self.remote_id = remote_id.or(self.remote_id.take());
        self.settled_at = Some(now);
        (self.doubt, self.attempts, self.last_error) = (None, 0, None);
        if self.wanted.rev > self.acked.rev {
            // To the end of the line: a record that changes all the time must not hold back the others.
            self.queued = self.body.unwrap_or(self.queued);
            self.wait(now);
        } else if let Some(again) = again {
            let ns = i64::try_from(again.as_nanos()).unwrap_or(WAIT_MOST).min(WAIT_MOST);
            (self.state, self.due) = (RowState::Acked, Some(now.plus(ns)));
        } else {
            (self.state, self.due, self.body) = (RowState::Acked, None, None);
        }
    }

    fn refused(&mut self, reason: &str, now: Stamp) {
        // The refusal may have been of a later request of several: the record made, or the comment written.
        if self.kind != RecordKind::Link {
            self.doubt.get_or_insert(now);
        }
        let refused = self.op.take().map_or(self.wanted.rev, |op| op.revision.rev);
        self.failed(reason);
        if self.acked.rev > 0 && self.wanted.rev > refused {
            self.wait(Stamp(0));
        } else {
            (self.state, self.due) = (RowState::Parked, None);
        }
    }

    /// Takes the row out of the line for good, without an attempt.
    pub fn park(&mut self, reason: &str) {
        self.op = None;
        self.last_error = Some(bounded(reason));
        (self.state, self.due) = (RowState::Parked, None);
    }

    /// Puts a parked row back into the line. Returns false when it is not parked.
    pub fn requeue(&mut self) -> bool {
        let parked = self.state == RowState::Parked;
        if parked {
            self.attempts = 0;
            self.wait(Stamp(0));
        }
        parked
    }

    /// Gives up what waits, keeping what the far end holds: the next revision will be sent as usual. Returns
    /// false when the far end holds nothing or the operation is under way.
    pub fn withdraw(&mut self) -> bool {
        let possible = self.acked.rev > 0 && !matches!(self.state, RowState::Sending | RowState::Acked);
        if possible {
            (self.op, self.body, self.wanted) = (None, None, self.acked);
            (self.state, self.due) = (RowState::Acked, None);
            (self.attempts, self.last_error) = (0, None);
        }
        possible
    }

    fn wait(&mut self, due: Stamp) {
        self.state = if self.doubt.is_some() { RowState::Unknown } else { RowState::Pending };
        self.due = Some(due);
    }

    fn failed(&mut self, reason: &str) {
        self.attempts = self.attempts.saturating_add(1);
        self.last_error = Some(bounded(reason));
    }
}

fn bounded(reason: &str) -> String {
    let end = (0..=ERROR_MOST.min(reason.len())).rev().find(|i| reason.is_char_boundary(*i));
    reason[..end.unwrap_or(0)].to_owned()
}

#[cfg(test)]
mod tests;
