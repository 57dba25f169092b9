//! The incident: its life cycle, its clocks, and what was seen, said and counted while it lived.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Actor, Ci, HostRef, Nature, Priority, Severity};
use crate::engine::moment::Stamp;

/// State of an incident in its life cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "plain words")]
pub enum State {
    New,
    Acknowledged,
    InProgress,
    OnHold,
    Resolved,
    Closed,
    Cancelled,
}

impl State {
    /// Not yet resolved, closed or cancelled.
    pub fn is_open(self) -> bool {
        matches!(self, State::New | State::Acknowledged | State::InProgress | State::OnHold)
    }
}

/// How an incident ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "plain words")]
pub enum ClosureCode {
    AutoCleared,
    AutoFixed,
    Fixed,
    Workaround,
    ChangeReverted,
    Duplicate,
    FalsePositive,
    NoFaultFound,
    CiRetired,
}

/// The rule that raised an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleRef {
    /// Rule id.
    pub id: String,
    /// Version: a hash over what the rule says, 16 hex digits.
    pub hash: String,
}

/// A span of trouble; `to` is absent while it lasts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interval {
    /// The breach.
    pub from: Stamp,
    /// The start of the clear that held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Stamp>,
}

/// One SLA clock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SlaClock {
    /// Agreed time in seconds.
    pub target: f64,
    /// When it is due, pauses included so far.
    pub due: Stamp,
    /// When it was met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub met_at: Option<Stamp>,
    /// When 75 % of the target had passed and the timeline said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warned_at: Option<Stamp>,
    /// When it was missed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breached_at: Option<Stamp>,
}

/// The two SLA clocks of an incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sla {
    /// Time to acknowledge.
    pub respond: SlaClock,
    /// Time to restore.
    pub resolve: SlaClock,
    /// `24x7` in this version.
    pub calendar: String,
    /// Seconds the resolve clock has stood still.
    pub paused_total: f64,
    /// Since when it stands still now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_since: Option<Stamp>,
}

/// How it ended, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closure {
    /// The code.
    pub code: ClosureCode,
    /// One sentence.
    pub note: String,
}

/// Links of an incident to other records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Links {
    /// The problem candidate this incident is a member of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// The earlier incident of the same fingerprint, when that one was already closed or past reopening.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
    /// Link to the runbook of the rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runbook: Option<String>,
    /// The maintenance window in which it was raised, was kept from being raised, or was open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<String>,
    /// Id of the change that this window belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<String>,
}

/// What was counted while the incident lived.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counters {
    /// Raises, steps and clears seen.
    pub events: u64,
    /// Times it was reopened.
    pub reopens: u64,
    /// Transitions between raised and ok.
    pub flaps: u64,
    /// Raises that were not forwarded on their own.
    pub suppressed: u64,
    /// The worst value of the raising signal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak: Option<f64>,
    /// Every priority and severity it has had at the same time: a destination whose filter let one pass gets
    /// all that follows.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub seen: BTreeSet<(Priority, Severity)>,
}

/// A stretch of one series around the breach, for a plot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Signal name.
    pub signal: String,
    /// `ratio`, `bytes`, `seconds`, `number`, `bool`, each optionally with `/s`.
    pub unit: String,
    /// Seconds since the epoch and value, oldest first; a missing sample is `null`.
    pub points: Vec<(f64, Option<f64>)>,
    /// The limit the raise condition compares with, when it is one number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
}

/// A piece of text evidence: top processes, unit status, last log lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exhibit {
    /// What it is, e.g. `top processes by CPU`.
    pub title: String,
    /// When it was taken.
    pub at: Stamp,
    /// Preformatted text, bounded.
    pub text: String,
}

/// What was seen around the breach; at most 16 KiB as JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Series of the signals the raise condition names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub series: Vec<Series>,
    /// Text taken at the raise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exhibits: Vec<Exhibit>,
}

/// One line of a record's history; append-only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineEntry {
    /// When it took effect (back-dated where the life cycle says so).
    pub at: Stamp,
    /// The record's `rev` that first carried this entry.
    pub rev: u64,
    /// Who.
    pub actor: Actor,
    /// `raised`, `step`, `acknowledged`, `resolved`, `reopened`, `closed`, `note`, `sla`, `evidence`,
    /// `flapping`, `problem`, `suppressed`, `maintenance`, …
    pub kind: String,
    /// State before, when the state changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<State>,
    /// State after, when the state changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<State>,
    /// One sentence with the numbers.
    pub note: String,
}

/// An incident: an unplanned interruption or loss of quality, or the near prospect of one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// UUIDv7.
    pub id: String,
    /// `incident/1`.
    pub schema: String,
    /// Readable number, unique on its host: `INC000042`.
    pub number: String,
    /// Where it comes from.
    pub host: HostRef,
    /// The host's journal sequence number of this revision; grows, with gaps on the wire.
    pub seq: u64,
    /// Revision of this record, from 1.
    pub rev: u64,
    /// When this revision was made.
    pub at: Stamp,
    /// Labels of host, rule and instance.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// FNV-1a over rule, CI and identity labels, 16 hex digits.
    pub fingerprint: String,
    /// The same without the CI.
    pub fleet_key: String,
    /// `sx-a-<host id>-<fingerprint>`: stable over all episodes.
    pub alert_key: String,
    /// One line.
    pub title: String,
    /// Paragraphs: what was seen, what it means, what to do.
    pub description: String,
    /// The rule.
    pub rule: RuleRef,
    /// `monitor` in this version (check, log, plugin, heartbeat, slo, remote, manual to come).
    pub source: String,
    /// Nature.
    pub nature: Nature,
    /// `area/topic`.
    pub category: String,
    /// Severity of the highest latched step.
    pub severity: Severity,
    /// The service is down while this is open: counts against availability.
    pub outage: bool,
    /// Life-cycle state.
    pub state: State,
    /// The configuration item.
    pub ci: Ci,
    /// The instance, e.g. `fs{mount=/data}`.
    pub instance: String,
    /// Business service, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Tier of the service, 1..3.
    pub tier: u8,
    /// 1 high … 3 low.
    pub impact: u8,
    /// 1 high … 3 low.
    pub urgency: u8,
    /// By the matrix.
    pub priority: Priority,
    /// Why this priority, in words.
    pub priority_reason: String,
    /// The highest priority it ever had.
    pub priority_max: Priority,
    /// The condition was first true.
    pub breach_at: Stamp,
    /// sexton saw it.
    pub detected_at: Stamp,
    /// After `for`.
    pub raised_at: Stamp,
    /// First acknowledgement by a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged_at: Option<Stamp>,
    /// First repair run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_action_at: Option<Stamp>,
    /// Start of the clear that held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_at: Option<Stamp>,
    /// `keep` was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_at: Option<Stamp>,
    /// Closed for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<Stamp>,
    /// Breach to resolve, one per opening.
    pub intervals: Vec<Interval>,
    /// SLA clocks.
    pub sla: Sla,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closure: Option<Closure>,
    /// Why it is on hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_reason: Option<String>,
    /// Who works on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignee: Option<String>,
    /// It goes up and down faster than a person can follow.
    #[serde(default)]
    pub flapping: bool,
    /// A person resolved it while the condition is still true.
    #[serde(default)]
    pub disputed: bool,
    /// Links.
    #[serde(default)]
    pub links: Links,
    /// Counters.
    #[serde(default)]
    pub counters: Counters,
    /// Evidence.
    #[serde(default)]
    pub evidence: Evidence,
    /// Newest 200 entries; the journal holds all.
    pub timeline: Vec<TimelineEntry>,
}
