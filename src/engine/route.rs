//! Which destinations a record goes to. Pure: a record and the destinations in, outbox rows out.
//!
//! A filter never takes back what it has let pass: it looks at every weight an incident has had, and a record
//! that it does not let in follows where it went before (another weight, another filter since), so that the
//! resolve follows wherever the create went.

use super::effect::{OutboxRow, RecordKind};
use super::incident::json;
use super::option::{DestinationPlan, Filter};
use super::record::{Priority, ProblemState, Record, Severity};

/// One outbox row for each destination; whether it may open a row there says its filter. Links pass only
/// where incidents and problems both do; they carry no priority and wait at the destination until both ends
/// are there.
pub fn route(record: &Record, destinations: &[DestinationPlan]) -> Vec<OutboxRow> {
    let link = matches!(record, Record::Link(_));
    let judged = destinations.iter().map(|d| (d, accepts(&d.filter, record)));
    let rows: Vec<_> = judged.filter(|(_, opens)| *opens || !link).collect();
    if rows.is_empty() {
        return Vec::new();
    }
    let row = row(record);
    rows.into_iter().map(|(d, opens)| OutboxRow { destination: d.id.clone(), opens, ..row.clone() }).collect()
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
        opens: false,
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::engine::moment::Stamp;
    use crate::engine::option::Options;
    use crate::engine::record::{HostRef, Incident, Link, State};

    fn destination(id: &str, filter: Filter) -> DestinationPlan {
        let options = Options(BTreeMap::new());
        DestinationPlan {
            id: id.to_owned(),
            kind: "desk",
            filter,
            pace: 0.0,
            timeout: 0,
            read_back: 0,
            fallback: None,
            digest: None,
            options,
        }
    }

    fn incident(priority: Priority, severity: Severity) -> Incident {
        let json = serde_json::json!({
            "id": "i1", "schema": "incident/1", "number": "INC000001", "seq": 9, "rev": 4, "at": Stamp(0),
            "host": {"id": "h", "name": "web-01"}, "ci": {"id": "h", "class": "host", "name": "web-01"},
            "fingerprint": "", "fleet_key": "", "alert_key": "", "title": "", "description": "",
            "rule": {"id": "r", "hash": ""}, "source": "monitor", "nature": "fault", "category": "",
            "severity": severity, "outage": false, "state": "new", "instance": "host", "tier": 3,
            "impact": 3, "urgency": 3, "priority": priority, "priority_reason": "", "priority_max": priority,
            "breach_at": Stamp(0), "detected_at": Stamp(0), "raised_at": Stamp(0), "intervals": [],
            "sla": {"respond": {"target": 1, "due": Stamp(0)}, "resolve": {"target": 1, "due": Stamp(0)},
                    "calendar": "24x7", "paused_total": 0},
            "timeline": [],
        });
        serde_json::from_value(json).unwrap()
    }

    fn names(record: &Record, destinations: &[DestinationPlan]) -> String {
        let rows = route(record, destinations);
        rows.iter().filter(|r| r.opens).map(|r| r.destination.as_str()).collect::<Vec<_>>().join(" ")
    }

    fn destinations() -> Vec<DestinationPlan> {
        use RecordKind::{Incident, Problem};
        vec![
            destination("all", Filter::default()),
            destination("both", Filter { record: vec![Incident, Problem], ..Filter::default() }),
            destination("incidents", Filter { record: vec![Incident], ..Filter::default() }),
            destination("problems", Filter { record: vec![Problem], ..Filter::default() }),
            destination("low", Filter { priority: vec![Priority::P4, Priority::P5], ..Filter::default() }),
            destination("urgent", Filter { severity: vec![Severity::Critical], ..Filter::default() }),
        ]
    }

    #[test]
    fn filters_go_by_kind_priority_and_severity() {
        let all = destinations();
        let i = |p, s| Record::Incident(Box::new(incident(p, s)));
        assert_eq!(names(&i(Priority::P2, Severity::Critical), &all), "all both incidents urgent");
        assert_eq!(names(&i(Priority::P4, Severity::Warning), &all), "all both incidents low");
        let host = HostRef { id: "h".to_owned(), name: "web-01".to_owned() };
        let (id, at) = ("i1-p1".to_owned(), Stamp(0));
        let link = Link { id, incident: "i1".to_owned(), problem: "p1".to_owned(), host, at };
        let link = Record::Link(link);
        assert_eq!(names(&link, &all), "all both low urgent");
        assert_eq!(route(&link, &all)[0].link, Some(("i1".to_owned(), "p1".to_owned())));
        let link_rows = route(&link, &all);
        assert!(link_rows.iter().all(|row| row.opens), "a link has no earlier revision to follow");
        assert!(route(&link, &[]).is_empty());
    }

    #[test]
    fn whoever_got_the_create_gets_the_resolve() {
        let all = destinations();
        let mut i = incident(Priority::P2, Severity::Warning);
        i.state = State::Resolved;
        i.counters.seen = [(Priority::P4, Severity::Warning), (Priority::P2, Severity::Critical)].into();
        let record = Record::Incident(Box::new(i));
        assert_eq!(names(&record, &all), "all both incidents low urgent");
        let rows = route(&record, &all);
        let problems = rows.iter().find(|r| r.destination == "problems").unwrap();
        assert!(!problems.opens, "a row that only follows goes to every other destination");
        let row = &rows[0];
        assert_eq!((row.kind, row.record.as_str(), row.rev, row.over), (RecordKind::Incident, "i1", 4, true));
        assert_eq!(row.priority, Priority::P2);
        let Record::Incident(i) = record else { unreachable!("built above") };
        assert_eq!(serde_json::from_str::<Incident>(&row.body).unwrap(), *i, "the whole record");
    }
}
