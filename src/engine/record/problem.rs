//! The problem candidate: members, reasons and numbers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Ci, HostRef, Priority, Severity, TimelineEntry};
use crate::engine::moment::Stamp;

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
