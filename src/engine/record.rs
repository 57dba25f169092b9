//! The records that leave the host: incidents, problem candidates and the links between them.
//!
//! Field names are the wire format ("incident/1", "problem/1", described in docs/records.md). A record is
//! always whole: whoever holds the highest `rev` of an id knows everything. Terms follow ITIL 4 and ISO/IEC
//! 20000-1 (8.6.1, 8.6.3). Adding an optional field is a compatible change; anything else is a new schema
//! number.

mod incident;
mod problem;

use serde::{Deserialize, Serialize};

use super::moment::{DAY, Stamp};

pub use incident::{
    Closure, ClosureCode, Counters, Evidence, Exhibit, Incident, Interval, Links, RuleRef, Series, Sla,
    SlaClock, State, TimelineEntry,
};
pub use problem::{Member, Problem, ProblemState, Reason};

/// How long after its resolve an incident can be reopened at most, whatever its rule says: what destinations
/// hold of it is known for longer.
pub const REOPEN_MOST: i64 = 30 * DAY;

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
