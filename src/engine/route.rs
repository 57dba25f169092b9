//! Which destinations a record goes to. Pure: a record and the destinations in, outbox rows out.
//!
//! A filter never takes back what it has let pass: it looks at every weight an incident has had, so that the resolve follows
//! wherever the create went.

use super::effect::{OutboxRow, RecordKind};
use super::incident::json;
use super::option::{DestinationPlan, Filter};
use super::record::{Priority, ProblemState, Record, Severity};

/// One outbox row for each destination whose filter accepts the record. Links pass where incidents and problems both do; they
/// carry no priority and wait at the destination until both ends are there.
pub fn route(record: &Record, destinations: &[DestinationPlan]) -> Vec<OutboxRow> {
    let passing: Vec<_> = destinations.iter().filter(|d| accepts(&d.filter, record)).collect();
    if passing.is_empty() {
        return Vec::new();
    }
    let row = row(record);
    passing.into_iter().map(|d| OutboxRow { destination: d.id.clone(), ..row.clone() }).collect()
}

fn accepts(filter: &Filter, record: &Record) -> bool {
    let kind = |kind: RecordKind| filter.record.is_empty() || filter.record.contains(&kind);
    let weight = |priority: Priority, severity: Severity| {
        (filter.priority.is_empty() || filter.priority.contains(&priority))
            && (filter.severity.is_empty() || filter.severity.contains(&severity))
    };
    match record {
        Record::Incident(i) => {
            let passed = i.counters.seen.iter().any(|(priority, severity)| weight(*priority, *severity));
            kind(RecordKind::Incident) && (passed || weight(i.priority, i.severity))
        }
        Record::Problem(p) => kind(RecordKind::Problem) && weight(p.priority, p.severity),
        Record::Link(_) => kind(RecordKind::Incident) && kind(RecordKind::Problem),
    }
}

fn row(record: &Record) -> OutboxRow {
    let row = |kind, id: &str, rev, priority, over, body| OutboxRow {
        destination: String::new(),
        kind,
        record: id.to_owned(),
        rev,
        priority,
        over,
        body,
        link: None,
    };
    match record {
        Record::Incident(i) => {
            row(RecordKind::Incident, &i.id, i.rev, i.priority, !i.state.is_open(), json(i))
        }
        Record::Problem(p) => row(RecordKind::Problem, &p.id, p.rev, p.priority, ended(p.state), json(p)),
        Record::Link(l) => OutboxRow {
            link: Some((l.incident.clone(), l.problem.clone())),
            ..row(RecordKind::Link, &l.id, 1, Priority::P3, false, json(l))
        },
    }
}

fn ended(state: ProblemState) -> bool {
    use ProblemState::{Closed, Dismissed, Expired, Resolved};
    matches!(state, Resolved | Closed | Dismissed | Expired)
}
