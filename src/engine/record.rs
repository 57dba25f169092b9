//! The records that leave the host: incidents, problem candidates and the links between them.
//!
//! Field names are the wire format ("incident/1", "problem/1", described in docs/records.md). A record is
//! always whole: whoever holds the highest `rev` of an id knows everything. Terms follow ITIL 4 and ISO/IEC
//! 20000-1 (8.6.1, 8.6.3). Adding an optional field is a compatible change; anything else is a new schema
//! number.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::moment::Stamp;

/// Severity of a rule step, worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "plain words")]
pub enum Severity {
    Info,
    Warning,
    Critical,
}

/// What kind of disturbance an incident is; decides how long it can be reopened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Nature {
    /// Something is down.
    Fault,
    /// Something is slower or worse than agreed.
    Degradation,
    /// Something is running out.
    Capacity,
    /// The monitoring itself does not see.
    Monitoring,
}

/// Priority by the impact × urgency matrix; P1 is the most pressing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(missing_docs, reason = "plain words")]
pub enum Priority {
    P1,
    P2,
    P3,
    P4,
    P5,
}

impl Priority {
    /// All five, most pressing first.
    pub const ALL: [Priority; 5] = [Self::P1, Self::P2, Self::P3, Self::P4, Self::P5];

    /// 1 for P1 … 5 for P5.
    pub fn number(self) -> u8 {
        self as u8 + 1
    }
}

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

/// Who did something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "plain words")]
pub enum Actor {
    Rule,
    Timer,
    Operator,
    Action,
    Itsm,
    Correlator,
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

/// The host a record comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRef {
    /// First 16 hex digits of HMAC-SHA256(machine-id, "sexton").
    pub id: String,
    /// The name people use.
    pub name: String,
}

/// A configuration item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ci {
    /// Host id, or the `ci` a check names.
    pub id: String,
    /// `host`, or the class of the named CI.
    pub class: String,
    /// The name people use.
    pub name: String,
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

/// State of a problem candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "plain words")]
pub enum ProblemState {
    Candidate,
    Open,
    KnownError,
    FixPending,
    Resolved,
    Closed,
    Dismissed,
    Expired,
}

/// One test that speaks for a problem, with its numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// `recurrence` in this version.
    pub test: String,
    /// What was counted.
    pub observed: f64,
    /// What the test asks for.
    pub expected: f64,
    /// Window in seconds.
    pub window: f64,
    /// The sentence a person reads: `4th time in 7 d, usual gap 38 h`.
    pub text: String,
}

/// A member incident of a problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Incident id.
    pub incident: String,
    /// Its number.
    pub number: String,
    /// `primary` or `symptom`.
    pub role: String,
    /// Openings of this incident, each the moment of its raise; at most the newest 32.
    pub openings: Vec<Stamp>,
}

/// A problem candidate: the cause, unknown yet, behind incidents that repeat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// UUIDv7.
    pub id: String,
    /// `problem/1`.
    pub schema: String,
    /// Readable number: `PRB000007`.
    pub number: String,
    /// Where it comes from.
    pub host: HostRef,
    /// Journal sequence number of this revision.
    pub seq: u64,
    /// Revision, from 1.
    pub rev: u64,
    /// When this revision was made.
    pub at: Stamp,
    /// Labels shared by all members.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// What repeats: `fingerprint:<16 hex>` in this version.
    pub key: String,
    /// `recurrence` in this version.
    pub kind: String,
    /// Life-cycle state.
    pub state: ProblemState,
    /// One line.
    pub title: String,
    /// Paragraphs.
    pub description: String,
    /// The configuration item.
    pub ci: Ci,
    /// Business service, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Category of the members.
    pub category: String,
    /// Worst severity among the members.
    pub severity: Severity,
    /// Best (lowest) impact number among the members.
    pub impact: u8,
    /// 1 high … 3 low.
    pub urgency: u8,
    /// By the matrix.
    pub priority: Priority,
    /// The tests that hold.
    pub why: Vec<Reason>,
    /// Member incidents, oldest first.
    pub members: Vec<Member>,
    /// Openings counted.
    pub openings: u64,
    /// First opening.
    pub first_at: Stamp,
    /// Last opening.
    pub last_at: Stamp,
    /// Median seconds between openings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub median_gap: Option<f64>,
    /// Mean seconds from resolve to the next breach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtbf: Option<f64>,
    /// Mean seconds to restore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mttr: Option<f64>,
    /// Seconds of trouble so far.
    pub downtime: f64,
    /// Open minutes weighted by priority: P1 81, P2 27, P3 9, P4 3, P5 1.
    pub pain: f64,
    /// History.
    pub timeline: Vec<TimelineEntry>,
}

/// Membership of an incident in a problem, to be told to the desk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// `<incident id>-<problem id>`.
    pub id: String,
    /// Incident id.
    pub incident: String,
    /// Problem id.
    pub problem: String,
    /// Where it comes from.
    pub host: HostRef,
    /// When it was made.
    pub at: Stamp,
}

/// Anything that is forwarded.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "see the types")]
pub enum Record {
    Incident(Box<Incident>),
    Problem(Box<Problem>),
    Link(Link),
}
