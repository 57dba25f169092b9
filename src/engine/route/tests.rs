//! Filters, fallbacks and digests, with time as an argument.

use std::collections::BTreeMap;

use super::*;
use crate::engine::moment::Stamp;
use crate::engine::option::{Fallback, Gone, Options};
use crate::engine::plan::Globs;
use crate::engine::record::{HostRef, Incident, Link, Nature, State};

fn destination(id: &str, filter: Filter) -> DestinationPlan {
    let options = Options(BTreeMap::new());
    DestinationPlan {
        id: id.to_owned(),
        kind: "desk",
        filter,
        pace: 0.0,
        timeout: 0,
        read_back: 0,
        gone: Gone::default(),
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

fn route(record: &Record, destinations: &[DestinationPlan]) -> Vec<OutboxRow> {
    Routes::default().route(Stamp(0), "h", record, destinations)
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

fn status(id: &str, state: &str, since: Option<i64>) -> DestinationStatus {
    let (id, state) = (id.to_owned(), state.to_owned());
    DestinationStatus { id, state, since: since.map(Stamp), ..DestinationStatus::default() }
}

#[test]
fn a_fallback_steps_in_after_a_while_and_only_while_the_other_is_down() {
    let fallback = Some(Fallback { of: "rt".to_owned(), after: 15 * MINUTE });
    let all = [
        destination("rt", Filter::default()),
        DestinationPlan { fallback, ..destination("mail", Filter::default()) },
    ];
    let record = Record::Incident(Box::new(incident(Priority::P2, Severity::Critical)));
    let at = |minutes: i64| Stamp(minutes * MINUTE);
    let mut routes = Routes::default();
    let mut rows = BTreeMap::new();
    let mut look = |routes: &mut Routes, minutes, state: &str, since: Option<i64>| {
        let mut out = Step::default();
        let open = || vec![record.clone()];
        let seen = [status("rt", state, since.map(|m| m * MINUTE)), status("mail", "up", Some(0))];
        routes.observe(at(minutes), &seen, &all, open, &mut out);
        for row in &out.state {
            match &row.body {
                Some(body) => rows.insert(row.key.clone(), body.clone()),
                None => rows.remove(&row.key),
            };
        }
        let opens = routes.route(at(minutes), "h", &record, &all)[1].opens;
        let resent: Vec<_> = out.resend.iter().map(|r| r.destination.clone()).collect();
        (opens, resent, rows.clone())
    };
    let none = Vec::<String>::new();
    assert_eq!(look(&mut routes, 0, "up", Some(0)), (false, none.clone(), BTreeMap::new()));
    let (opens, _, kept) = look(&mut routes, 10, "down", Some(9));
    assert!(!opens && kept.contains_key("rt"));
    // A restart: the new daemon has not tried it yet and does not know how it is.
    let mut routes = Routes::default();
    kept.iter().for_each(|(key, body)| routes.restore("route", key, body));
    assert!(!look(&mut routes, 11, "up", None).0);
    let (opens, resent, _) = look(&mut routes, 25, "paused", Some(12));
    assert_eq!((opens, resent), (true, vec!["mail".to_owned()]), "down since minute 9");
    assert_eq!(look(&mut routes, 26, "down", Some(12)).1, none, "once");
    let terms = &routes.route(at(26), "h", &record, &all)[1].terms;
    assert_eq!(terms.instead_of.as_deref(), Some("rt"));
    assert_eq!(look(&mut routes, 30, "up", Some(30)), (false, none, BTreeMap::new()));
}

#[test]
fn a_digest_goes_at_whole_intervals_and_a_higher_priority_at_once() {
    let digest = Some(Digest { every: 60 * MINUTE, priority: vec![Priority::P4, Priority::P5] });
    let all = [DestinationPlan { digest, ..destination("mail", Filter::default()) }];
    let due = |minutes: i64, host: &str, priority| {
        let record = Record::Incident(Box::new(incident(priority, Severity::Warning)));
        Routes::default().route(Stamp(minutes * MINUTE), host, &record, &all)[0].terms.not_before
    };
    let first = due(70, "a", Priority::P4).unwrap();
    assert!((120 * MINUTE..125 * MINUTE).contains(&first.0), "{first:?}");
    assert_eq!(due(100, "a", Priority::P5), Some(first), "the same slot");
    assert_ne!(due(70, "b", Priority::P4), Some(first), "each host a little later");
    assert!(due(125, "a", Priority::P4).unwrap() > first);
    assert_eq!(due(70, "a", Priority::P3), None);
}

#[test]
fn filters_go_by_subject_as_well() {
    let globs = |list: &[&str]| Globs(list.iter().map(|g| (*g).to_owned()).collect());
    let mut i = incident(Priority::P3, Severity::Warning);
    i.service = Some("shop-db".to_owned());
    i.category = "storage/filesystem".to_owned();
    i.labels = [("env".to_owned(), "prod".to_owned())].into();
    i.rule.id = "disk-full".to_owned();
    i.nature = Nature::Capacity;
    let record = Record::Incident(Box::new(i));
    let label = |name: &str, glob: &[&str]| Filter {
        labels: [(name.to_owned(), globs(glob))].into(),
        ..Filter::default()
    };
    let f = Filter::default;
    for (filter, opens) in [
        (Filter { service: globs(&["shop-*"]), ..f() }, true),
        (Filter { service: globs(&["!shop-*"]), ..f() }, false),
        (Filter { category: globs(&["storage/*"]), ..f() }, true),
        (Filter { category: globs(&["network/*"]), ..f() }, false),
        (Filter { rule: globs(&["disk-*"]), ..f() }, true),
        (Filter { rule: globs(&["*", "!disk-full"]), ..f() }, false),
        (Filter { nature: vec![Nature::Capacity], ..f() }, true),
        (Filter { nature: vec![Nature::Fault], ..f() }, false),
        (label("env", &["prod"]), true),
        (label("env", &["test"]), false),
        (label("site", &["*"]), false),
    ] {
        let rows = route(&record, &[destination("d", filter.clone())]);
        assert_eq!(rows[0].opens, opens, "{filter:?}");
    }
}
