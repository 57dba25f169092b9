//! What the lists show of incidents, problems and hosts: plain words and numbers, still unescaped.

use serde::Serialize;

use super::sla::{SlaView, clocks};
use super::words::{brief, plain, span};
use crate::desk::db::{HostLine, Life, ProblemName};
use crate::engine::moment::Stamp;
use crate::engine::record::{ClosureCode, Incident, Nature, Problem, ProblemState, Severity, State};

/// One incident in a list, and the head of its page.
#[derive(Debug, Serialize)]
pub(super) struct IncidentRow {
    pub id: String,
    pub rev: u64,
    pub number: String,
    pub title: String,
    pub priority: u8,
    pub severity: &'static str,
    pub state: &'static str,
    pub open: bool,
    pub host: String,
    pub ci: String,
    pub instance: String,
    pub service: Option<String>,
    /// Raised, nanoseconds UTC.
    pub since: i64,
    /// Over, nanoseconds UTC.
    pub until: Option<i64>,
    /// Time of trouble so far, breach to resolve, quiet gaps between openings left out.
    pub lasted: String,
    pub reopens: u64,
    pub flapping: bool,
    pub disputed: bool,
    pub outage: bool,
    pub assignee: Option<String>,
    pub hold_reason: Option<String>,
    pub closure: Option<&'static str>,
    pub problem: Option<ProblemLink>,
    pub respond: SlaView,
    pub resolve: SlaView,
}

/// A way to the problem an incident belongs to.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ProblemLink {
    pub id: String,
    pub host: String,
    /// Its number, or `problem` while the desk does not have it.
    pub label: String,
    pub title: String,
    /// The desk has it: the link leads somewhere.
    pub known: bool,
}

impl From<&ProblemName> for ProblemLink {
    fn from(name: &ProblemName) -> Self {
        let (label, title) = name.named.clone().unwrap_or_else(|| ("problem".to_owned(), String::new()));
        let known = name.named.is_some();
        ProblemLink { id: name.problem.clone(), host: name.host.clone(), label, title, known }
    }
}

impl IncidentRow {
    /// The row of an incident at this moment.
    pub(super) fn new(incident: &Incident, problem: Option<&ProblemName>, now: Stamp) -> IncidentRow {
        let (respond, resolve) = clocks(incident, now);
        let open = incident.state.is_open();
        let over = incident.resolved_at.or(incident.closed_at).unwrap_or(incident.at);
        IncidentRow {
            id: incident.id.clone(),
            rev: incident.rev,
            number: incident.number.clone(),
            title: incident.title.clone(),
            priority: incident.priority.number(),
            severity: severity(incident.severity),
            state: state(incident.state),
            open,
            host: incident.host.name.clone(),
            ci: incident.ci.name.clone(),
            instance: incident.instance.clone(),
            service: incident.service.clone(),
            // Of the trouble that is going on now; a reopened incident was well in between.
            since: incident.intervals.last().map_or(incident.raised_at, |i| i.from).0,
            until: (!open).then_some(over.0),
            lasted: brief(trouble(incident, now)),
            reopens: incident.counters.reopens,
            flapping: incident.flapping,
            disputed: incident.disputed,
            outage: incident.outage,
            assignee: incident.assignee.clone(),
            hold_reason: incident.hold_reason.clone(),
            closure: incident.closure.as_ref().map(|c| closure(c.code)),
            problem: problem.map(ProblemLink::from),
            respond,
            resolve,
        }
    }
}

/// Nanoseconds of trouble, breach to resolve of every opening; the running one counts to `now`.
pub(super) fn trouble(incident: &Incident, now: Stamp) -> i64 {
    if incident.intervals.is_empty() {
        let to = incident.resolved_at.unwrap_or(now);
        return to.0.saturating_sub(incident.breach_at.0).max(0);
    }
    let spans = incident.intervals.iter().map(|i| i.to.unwrap_or(now).0.saturating_sub(i.from.0).max(0));
    spans.fold(0, i64::saturating_add)
}

/// One problem in a list, and the head of its page.
#[derive(Debug, Serialize)]
pub(super) struct ProblemRow {
    pub id: String,
    pub rev: u64,
    pub number: String,
    pub title: String,
    pub priority: u8,
    pub severity: &'static str,
    pub state: &'static str,
    pub open: bool,
    pub host: String,
    pub ci: String,
    pub service: Option<String>,
    pub kind: String,
    /// The sentences of the tests that hold.
    pub why: Vec<String>,
    pub members: usize,
    pub openings: u64,
    pub first: i64,
    pub last: i64,
    pub gap: String,
    pub mtbf: String,
    pub mttr: String,
    pub downtime: String,
    pub pain: String,
}

impl ProblemRow {
    /// The row of a problem.
    pub(super) fn new(problem: &Problem) -> ProblemRow {
        use ProblemState::{Candidate, FixPending, KnownError, Open};
        let maybe = |seconds: Option<f64>| seconds.map_or_else(|| "–".to_owned(), span);
        ProblemRow {
            id: problem.id.clone(),
            rev: problem.rev,
            number: problem.number.clone(),
            title: problem.title.clone(),
            priority: problem.priority.number(),
            severity: severity(problem.severity),
            state: problem_state(problem.state),
            open: matches!(problem.state, Candidate | Open | KnownError | FixPending),
            host: problem.host.name.clone(),
            ci: problem.ci.name.clone(),
            service: problem.service.clone(),
            kind: plain(&problem.kind),
            why: problem.why.iter().map(|r| r.text.clone()).collect(),
            members: problem.members.len(),
            openings: problem.openings,
            first: problem.first_at.0,
            last: problem.last_at.0,
            gap: maybe(problem.median_gap),
            mtbf: maybe(problem.mtbf),
            mttr: maybe(problem.mttr),
            downtime: span(problem.downtime),
            pain: grouped(problem.pain),
        }
    }
}

/// One host in a list.
#[derive(Debug, Serialize)]
pub(super) struct HostRow {
    pub name: String,
    pub id: String,
    pub life: Life,
    pub heard: i64,
    pub first: i64,
    pub version: Option<String>,
    pub open: u64,
}

impl HostRow {
    /// The row of a host.
    pub(super) fn new(host: &HostLine) -> HostRow {
        HostRow {
            name: host.name.clone(),
            id: host.id.clone(),
            life: host.life,
            heard: host.heard_at.0,
            first: host.first_at.0,
            version: host.version.clone(),
            open: host.open,
        }
    }
}

/// A whole number with thin spaces between thousands.
pub(super) fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.clamp(0.0, 1e15));
    let mut text = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            text.push('\u{2009}');
        }
        text.push(c);
    }
    text
}

/// Severity in a word.
pub(super) fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    }
}

/// State of an incident in words.
pub(super) fn state(state: State) -> &'static str {
    match state {
        State::New => "New",
        State::Acknowledged => "Acknowledged",
        State::InProgress => "In progress",
        State::OnHold => "On hold",
        State::Resolved => "Resolved",
        State::Closed => "Closed",
        State::Cancelled => "Cancelled",
    }
}

/// State of a problem in words.
pub(super) fn problem_state(state: ProblemState) -> &'static str {
    match state {
        ProblemState::Candidate => "Candidate",
        ProblemState::Open => "Open",
        ProblemState::KnownError => "Known error",
        ProblemState::FixPending => "Fix pending",
        ProblemState::Resolved => "Resolved",
        ProblemState::Closed => "Closed",
        ProblemState::Dismissed => "Dismissed",
        ProblemState::Expired => "Expired",
    }
}

/// Closure code in words.
pub(super) fn closure(code: ClosureCode) -> &'static str {
    match code {
        ClosureCode::AutoCleared => "cleared by itself",
        ClosureCode::AutoFixed => "fixed by an action",
        ClosureCode::Fixed => "fixed",
        ClosureCode::Workaround => "worked around",
        ClosureCode::ChangeReverted => "change reverted",
        ClosureCode::Duplicate => "duplicate",
        ClosureCode::FalsePositive => "false alarm",
        ClosureCode::NoFaultFound => "no fault found",
        ClosureCode::CiRetired => "object retired",
    }
}

/// Nature in a word.
pub(super) fn nature(nature: Nature) -> &'static str {
    match nature {
        Nature::Fault => "fault",
        Nature::Degradation => "degradation",
        Nature::Capacity => "capacity",
        Nature::Monitoring => "monitoring",
    }
}
