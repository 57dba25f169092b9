//! What one step of the engine produces, and the contract between the outbox and those who empty it.
//!
//! A [`Step`] becomes one transaction: journal entries, changed state, outbox rows. Only after the commit
//! does anything take effect. [`Job`], [`Outcome`] and [`Outbox`] let the pump (`forward`) and the store
//! (`store`) work together without knowing each other.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::moment::Stamp;
use super::record::{Priority, Record};

/// Everything one engine step produced. Empty means: nothing to commit.
#[derive(Debug, Default)]
pub struct Step {
    /// What happened, for ever.
    pub journal: Vec<Entry>,
    /// Rows of engine state to write or delete.
    pub state: Vec<StateChange>,
    /// Records whose new revision is to be forwarded.
    pub records: Vec<Record>,
    /// Incidents that want text evidence from outside the engine (top processes, unit status).
    pub evidence_wanted: Vec<EvidenceWanted>,
    /// Revisions among `records` that came from a destination, as (record id, destination id): it is not
    /// told what it said itself.
    pub known: Vec<(String, String)>,
    /// Records that single destinations are to be told though they are not new.
    pub resend: Vec<Resend>,
    /// Where what may be written over stands.
    pub(in crate::engine) places: Places,
}

/// Where the rows and records of a step stand, as far as a later change in the same step replaces an earlier
/// one: a storm writes thousands. Who plays an engine may take them out of a step that goes on, so a place is
/// to be looked at before it is believed.
#[derive(Debug, Default)]
pub(in crate::engine) struct Places {
    /// Of a state row, by kind and key.
    pub state: BTreeMap<(&'static str, String), usize>,
    /// Of an incident or problem, by id.
    pub records: BTreeMap<String, usize>,
}

/// A record that one destination is told again, or for the first time, without a new revision.
#[derive(Clone, Debug, PartialEq)]
pub struct Resend {
    /// Destination id.
    pub destination: String,
    /// The newest revision.
    pub record: Record,
    /// What the far end has fallen back to, when it has.
    pub fallen: Option<Fallen>,
}

/// What is left at a far end that has lost our writes, such as one restored from a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fallen {
    /// The newest revision it still has, as far as is known; 0 when the ticket is gone.
    pub rev: u64,
    /// The ticket is over there.
    pub over: bool,
}

impl Step {
    /// True when there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        let Self { journal, state, records, resend, .. } = self;
        journal.is_empty() && state.is_empty() && records.is_empty() && resend.is_empty()
    }
}

/// A request for evidence, answered by `Command::Evidence`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceWanted {
    /// Incident id.
    pub incident: String,
    /// Category of the incident, decides what is captured (`cpu/…`, `memory/…`, `service/unit`).
    pub category: String,
    /// Instance class and name.
    pub class: &'static str,
    /// Name of the instance.
    pub name: String,
}

/// One journal entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Gapless per host.
    pub seq: u64,
    /// When.
    pub at: Stamp,
    /// `incident`, `problem`, `config`, `boot`, …
    pub kind: &'static str,
    /// Id of what it is about.
    pub subject: String,
    /// JSON text.
    pub body: String,
}

/// A row of engine state: `(kind, key)` names it, the body is JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateChange {
    /// `incident`, `problem`, `machine`, `recurrence`, `engine`.
    pub kind: &'static str,
    /// Unique within its kind.
    pub key: String,
    /// The new body; `None` deletes the row.
    pub body: Option<String>,
}

/// Kind of a forwarded record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "plain words")]
pub enum RecordKind {
    Incident,
    Problem,
    Link,
}

/// What is to be done at the far end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "plain words")]
pub enum Operation {
    Create,
    Update,
    Resolve,
    Reopen,
    Link,
}

impl Outcome {
    /// Stored for good, under that id.
    pub fn stored(remote_id: Option<String>) -> Self {
        Self::Stored { remote_id, again: None }
    }
}

impl Operation {
    /// The letter in an operation key `sx-<id>-<rev>-<letter>`.
    pub fn letter(self) -> char {
        match self {
            Operation::Create => 'c',
            Operation::Update => 'u',
            Operation::Resolve => 'r',
            Operation::Reopen => 'o',
            Operation::Link => 'l',
        }
    }
}

/// A row to put into the outbox: the newest revision of a record for one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRow {
    /// Destination id.
    pub destination: String,
    /// Kind of record.
    pub kind: RecordKind,
    /// Record id.
    pub record: String,
    /// Its revision.
    pub rev: u64,
    /// For ordering: high priority first.
    pub priority: Priority,
    /// The record is over (resolved, closed, cancelled) at this revision.
    pub over: bool,
    /// The alert key of an incident, which all episodes of its condition share; `None` for other kinds.
    pub alert_key: Option<String>,
    /// The destination's filter lets the record in. Otherwise the row only follows what the destination has
    /// been sent of it before, and goes nowhere when that is nothing.
    pub opens: bool,
    /// The whole record as JSON text.
    pub body: String,
    /// For a link: incident id and problem id, both of which must be stored at the destination first.
    pub link: Option<(String, String)>,
    /// What sets this row apart from the usual.
    pub terms: Terms,
}

/// What sets an outbox row apart: usually nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The destination knows this revision: it came from there.
    pub known: bool,
    /// The far end has lost what it was sent: the row goes again from what is left there.
    pub fallen: Option<Fallen>,
    /// The row opens only while this other destination has never stored the record and is to get it.
    pub instead_of: Option<String>,
    /// It can wait until then, to be sent together with others.
    pub not_before: Option<Stamp>,
}

/// One operation for one destination, claimed from the outbox. Body and key do not change until it is
/// settled.
#[derive(Clone, Debug)]
pub struct Job {
    /// Kind of record.
    pub kind: RecordKind,
    /// Record id.
    pub record: String,
    /// Revision carried by `body`.
    pub rev: u64,
    /// Revision the far end is known to hold; 0 when none.
    pub acked_rev: u64,
    /// What is to be done.
    pub operation: Operation,
    /// `sx-<id>-<rev>-<letter>`: the same for every repetition of this operation.
    pub operation_key: String,
    /// `sx-<id>`: names the record for ever.
    pub record_key: String,
    /// The far end's id of the record, when known. For a link: of the incident.
    pub remote_id: Option<String>,
    /// For a link: the far end's id of the problem.
    pub remote_problem: Option<String>,
    /// An earlier attempt may have reached the far end: find by key before repeating.
    pub unknown: bool,
    /// When the last such attempt was settled or cut off; `None` when `unknown` is false. A far end whose
    /// search lags behind its writes must be given that lag before "not found" means "not there".
    pub doubt_at: Option<Stamp>,
    /// When this operation was claimed this time: "now" for the connector.
    pub claimed_at: Stamp,
    /// Attempts so far, this one not included.
    pub attempts: u32,
    /// The whole record.
    pub body: Json,
}

/// What became of a [`Job`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The far end has it (also when it had it already).
    Stored {
        /// Its id there, when it gave one.
        remote_id: Option<String>,
        /// The far end forgets: the same revision is to be sent again after this time.
        again: Option<Duration>,
    },
    /// Not now; try again.
    Retry {
        /// The far end named a time.
        after: Option<Duration>,
        /// The request may have been carried out: find by key before repeating.
        unknown: bool,
        /// Why.
        reason: String,
    },
    /// The destination as a whole refuses (credentials, rights, configuration): stop sending, keep
    /// everything.
    Pause {
        /// Why.
        reason: String,
    },
    /// This operation will never be taken: park it.
    Refused {
        /// Why.
        reason: String,
    },
}

/// How a claim goes through what is due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// What has been due for longest first, whatever its rank and priority: who was sent away stands behind
    /// all others.
    pub oldest: bool,
    /// Incidents of one alert key are one thing at the far end: none goes while an older one of its key is
    /// unsettled, and the older one takes its turn.
    pub by_alert: bool,
}

/// The outbox as the pump sees it. All times are wall stamps.
pub trait Outbox {
    /// Claims up to `max` operations that are due: marks them `sending`, freezes body and key, commits, then
    /// returns them.
    fn claim(
        &self,
        destination: &str,
        max: usize,
        now: Stamp,
    ) -> impl Future<Output = Result<Vec<Job>, String>>;

    /// The same in that line.
    fn claim_in(
        &self,
        _line: Line,
        destination: &str,
        max: usize,
        now: Stamp,
    ) -> impl Future<Output = Result<Vec<Job>, String>> {
        self.claim(destination, max, now)
    }

    /// Settles claimed operations in one commit. `next` is when a `Retry` or `Pause` may be tried again.
    fn settle(
        &self,
        destination: &str,
        settled: Vec<Settled>,
        now: Stamp,
    ) -> impl Future<Output = Result<(), String>>;

    /// Up to `max` records that the destination holds under an id of its own and of which nothing waits, with
    /// cursors above `after`, in the order of cursors: those not over, dead letters of them among them, and
    /// those over since less than a day, because people reopen. Where people work, their decisions are read
    /// back from there.
    fn held(
        &self,
        destination: &str,
        after: i64,
        max: usize,
    ) -> impl Future<Output = Result<Vec<Held>, String>>;

    /// When the earliest waiting operation of this destination is due; `None` when nothing waits.
    fn next_due(&self, destination: &str) -> impl Future<Output = Result<Option<Stamp>, String>>;
}

/// A claimed operation with its outcome.
#[derive(Clone, Debug)]
pub struct Settled {
    /// Record id.
    pub record: String,
    /// Revision that was sent.
    pub rev: u64,
    /// What became of it.
    pub outcome: Outcome,
    /// When it may be tried again, for `Retry` and `Pause`.
    pub next: Stamp,
}

/// A record that a destination holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Place in the order of [`Outbox::held`].
    pub cursor: i64,
    /// Kind of record.
    pub kind: RecordKind,
    /// Record id.
    pub record: String,
    /// The newest revision: the far end holds it, or has refused it as a mere update.
    pub rev: u64,
    /// The far end's id.
    pub remote_id: String,
    /// The record is over at that revision.
    pub over: bool,
}

/// Where a record stands at the far end, in the words of our own life cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Open, and nobody has taken it yet.
    New,
    /// A person has seen it.
    Acknowledged,
    /// Somebody works on it.
    InProgress,
    /// It waits for something.
    OnHold,
    /// Restored; can be reopened.
    Resolved,
    /// Over for good.
    Closed,
    /// Rejected, deleted, a duplicate: nobody will work on it.
    Cancelled,
}

impl Stage {
    /// Somebody is still to work on it.
    pub fn is_open(self) -> bool {
        matches!(self, Self::New | Self::Acknowledged | Self::InProgress | Self::OnHold)
    }
}

/// What was read back of a record at the far end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remote {
    /// Record id.
    pub record: String,
    /// The revision the far end held when it was read: whoever has a newer one does not follow.
    pub rev: u64,
    /// Where it stands there.
    pub stage: Stage,
    /// Who it is assigned to there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignee: Option<String>,
    /// Who changed it last, when the far end says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why: resolution text, reason of a hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// When anything there last changed, by the far end's own clock. It never goes back unless the far end
    /// has lost something: so a restored backup is told apart from a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated: Option<Stamp>,
    /// `updated` is what a clock on the wall there shows, of a zone that nothing tells: once a year such a
    /// clock shows an hour twice, though nothing was lost.
    #[serde(default)]
    pub wall: bool,
    /// For a problem: it stands there as a known error.
    #[serde(default)]
    pub known_error: bool,
}

/// What people or other parts ask of the engine.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "plain words")]
pub enum Command {
    /// An operator acknowledges an incident (by id or number).
    Acknowledge { incident: String, by: String },
    /// An operator resolves an incident.
    Resolve { incident: String, by: String, note: String },
    /// An operator writes a note.
    Note { incident: String, by: String, text: String },
    /// Somebody works on an incident, also after a hold.
    Start { incident: String, by: String },
    /// An operator puts an incident on hold; the reason must say something.
    Hold { incident: String, by: String, reason: String },
    /// An operator cancels an incident: a false alarm, or a duplicate.
    Cancel { incident: String, by: String, note: String },
    /// An operator reopens an incident that is resolved or cancelled.
    Reopen { incident: String, by: String, note: String },
    /// An operator says who works on an incident; empty: nobody.
    Assign { incident: String, by: String, to: String },
    /// Where a record stands at a destination.
    Remote { destination: String, remote: Remote },
    /// A destination holds a record at that revision no longer, under any id that is known.
    Gone { destination: String, record: String, rev: u64 },
    /// Text evidence for an incident.
    Evidence { incident: String, exhibits: Vec<super::record::Exhibit> },
}

/// A maintenance window asked for from the shell. Every list lets all pass when it is empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Maintenance {
    /// How long, in nanoseconds.
    pub lasts: i64,
    /// Why; must say something.
    pub reason: String,
    /// Who.
    pub by: String,
    /// Conditions are raised, and only marked.
    pub tag: bool,
    /// Id of the change it belongs to.
    pub change: Option<String>,
    /// Globs on rule ids.
    pub rule: Vec<String>,
    /// Globs on services.
    pub service: Vec<String>,
    /// Severities.
    pub severity: Vec<super::record::Severity>,
    /// Globs on labels of host, rule and instance.
    pub labels: BTreeMap<String, Vec<String>>,
}

/// State of one destination, for status and for the engine's own signals.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DestinationStatus {
    /// Destination id.
    pub id: String,
    /// Connector kind.
    pub kind: String,
    /// `up`, `down` or `paused`.
    pub state: String,
    /// Why it is not up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when it is in that state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Stamp>,
    /// Rows by state: pending, sending, unknown, parked.
    #[serde(default)]
    pub rows: BTreeMap<String, u64>,
    /// Last stored delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_stored: Option<Stamp>,
}
