//! Records as hosts send them, made from the real types: a shop with a filling disk, a dead unit that keeps
//! returning, a slow check, memory pressure, and some that are over.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use crate::engine::moment::{DAY, HOUR, MINUTE, SECOND, Stamp};
use crate::engine::record::*;

/// A host of the sample fleet.
pub fn host(name: &str) -> HostRef {
    let id = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    HostRef { id: format!("{id:016x}"), name: name.to_owned() }
}

/// A plain open incident, breach at `breach`, raised two minutes later.
pub fn incident(n: u64, host_name: &str, title: &str, breach: Stamp) -> Incident {
    let raised = breach.plus(2 * MINUTE);
    let clock = |target: i64| SlaClock {
        target: target as f64 / SECOND as f64,
        due: raised.plus(target),
        met_at: None,
        warned_at: None,
        breached_at: None,
    };
    let host = host(host_name);
    let fingerprint = format!("{:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    Incident {
        id: format!("0197a2c4-5e1f-7{:03x}-8a3b-{n:012x}", n & 0xfff),
        schema: "incident/1".to_owned(),
        number: format!("INC{n:06}"),
        seq: 100 + n,
        rev: 1,
        at: raised,
        labels: [("env", "prod"), ("site", "sha")].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        alert_key: format!("sx-a-{}-{fingerprint}", host.id),
        fleet_key: fingerprint.clone(),
        fingerprint,
        title: title.to_owned(),
        description: String::new(),
        rule: RuleRef { id: "unit-failed".to_owned(), hash: "5d0c1f6b7a8e9012".to_owned() },
        source: "monitor".to_owned(),
        nature: Nature::Fault,
        category: "service/unit".to_owned(),
        severity: Severity::Critical,
        outage: false,
        state: State::New,
        ci: Ci { id: host.id.clone(), class: "host".to_owned(), name: host.name.clone() },
        host,
        instance: "unit{unit=nginx.service}".to_owned(),
        service: Some("shop".to_owned()),
        tier: 2,
        impact: 2,
        urgency: 2,
        priority: Priority::P3,
        priority_reason: "impact 2 from tier 2 of service shop, urgency 2 from severity critical".to_owned(),
        priority_max: Priority::P3,
        breach_at: breach,
        detected_at: breach,
        raised_at: raised,
        acknowledged_at: None,
        first_action_at: None,
        resolved_at: None,
        confirmed_at: None,
        closed_at: None,
        intervals: vec![Interval { from: breach, to: None }],
        sla: Sla {
            respond: clock(4 * HOUR),
            resolve: clock(24 * HOUR),
            calendar: "24x7".to_owned(),
            paused_total: 0.0,
            paused_since: None,
        },
        closure: None,
        hold_reason: None,
        assignee: None,
        flapping: false,
        disputed: false,
        links: Links::default(),
        counters: Counters { events: 1, ..Counters::default() },
        evidence: Evidence::default(),
        timeline: vec![entry(raised, 1, Actor::Rule, "raised", Some((None, State::New)), "")],
    }
}

/// A line of a timeline.
pub fn entry(
    at: Stamp,
    rev: u64,
    actor: Actor,
    kind: &str,
    change: Option<(Option<State>, State)>,
    note: &str,
) -> TimelineEntry {
    let (from, to) = change.map_or((None, None), |(from, to)| (from, Some(to)));
    TimelineEntry { at, rev, actor, kind: kind.to_owned(), from, to, note: note.to_owned() }
}

/// Sets priority and the SLA targets that go with it.
pub fn weigh(incident: &mut Incident, impact: u8, urgency: u8, respond: i64, resolve: i64) {
    let number = usize::from((impact + urgency).saturating_sub(2)).min(4);
    incident.impact = impact;
    incident.urgency = urgency;
    incident.priority = Priority::ALL[number];
    incident.priority_max = incident.priority;
    incident.priority_reason =
        format!("impact {impact} from tier {impact} of service shop, urgency {urgency} from the rule's step");
    let raised = incident.raised_at;
    for (clock, target) in [(&mut incident.sla.respond, respond), (&mut incident.sla.resolve, resolve)] {
        clock.target = target as f64 / SECOND as f64;
        clock.due = raised.plus(target);
    }
}

/// Ends an incident at `at`.
pub fn resolve(incident: &mut Incident, at: Stamp, note: &str) {
    let confirmed = at.plus(2 * MINUTE);
    incident.rev += 1;
    incident.state = State::Resolved;
    incident.resolved_at = Some(at);
    incident.confirmed_at = Some(confirmed);
    incident.at = confirmed;
    incident.sla.resolve.met_at = Some(at);
    incident.closure = Some(Closure { code: ClosureCode::AutoCleared, note: note.to_owned() });
    if let Some(last) = incident.intervals.last_mut() {
        last.to = Some(at);
    }
    let change = Some((Some(State::New), State::Resolved));
    incident.timeline.push(entry(at, incident.rev, Actor::Rule, "resolved", change, note));
}

/// A series from `from`, one point each `step` seconds.
pub fn series(
    signal: &str,
    unit: &str,
    from: Stamp,
    step: i64,
    limit: Option<f64>,
    points: Vec<Option<f64>>,
) -> Series {
    let at = |i: usize| from.seconds() + (i as i64 * step) as f64;
    let points = points.into_iter().enumerate().map(|(i, v)| (at(i), v)).collect();
    Series { signal: signal.to_owned(), unit: unit.to_owned(), points, limit }
}

/// The disk that fills up: P2, capacity, with plots, evidence and a history.
pub fn disk(now: Stamp) -> Incident {
    let breach = now.plus(-52 * MINUTE);
    let mut i = incident(42, "web-01.sha", "/data will be full in 3h 40m", breach);
    weigh(&mut i, 2, 1, 30 * MINUTE, 8 * HOUR);
    i.nature = Nature::Capacity;
    i.category = "storage/fs".to_owned();
    i.rule.id = "disk-full".to_owned();
    i.instance = "fs{mount=/data}".to_owned();
    i.service = Some("shop-db".to_owned());
    i.state = State::Acknowledged;
    i.acknowledged_at = Some(now.plus(-38 * MINUTE));
    i.sla.respond.met_at = i.acknowledged_at;
    i.assignee = Some("m.weber".to_owned());
    i.rev = 4;
    i.links.runbook = Some("https://wiki.example/runbooks/disk-full".to_owned());
    i.counters = Counters { events: 3, peak: Some(0.9645), ..Counters::default() };
    i.description =
        "The file system /data on web-01.sha is filling: 95.1 % used, growing by 1.4 % an hour.\n\n\
                     When it is full, PostgreSQL stops accepting writes and the shop cannot take orders."
            .to_owned();
    let from = breach.plus(-10 * MINUTE);
    let used = (0..60).map(|n| (!(31..34).contains(&n)).then(|| 0.935 + f64::from(n) * 0.0005)).collect();
    let writes =
        (0..60).map(|n| Some(11.0e6 + 5.0e6 * (f64::from(n) * 0.7).sin() + f64::from(n) * 1.2e5)).collect();
    i.evidence = Evidence {
        series: vec![
            series("fs.used", "ratio", from, 20, Some(0.95), used),
            series("disk.write", "bytes/s", from, 20, None, writes),
        ],
        exhibits: vec![Exhibit {
            title: "largest directories under /data".to_owned(),
            at: breach.plus(2 * MINUTE),
            text: "  412G  /data/pgsql/16/main/base\n\
                   \x20 118G  /data/pgsql/16/main/pg_wal\n   31G  /data/backup/2026-11-21\n"
                .to_owned(),
        }],
    };
    let acknowledged = Some((Some(State::New), State::Acknowledged));
    i.timeline = vec![
        entry(
            i.raised_at,
            1,
            Actor::Rule,
            "raised",
            Some((None, State::New)),
            "fs.used 95.1 % > 95 % or (fs.used 95.1 % > 80 % and eta(fs.used, 100%, 6h) 3h 40m < 4h)",
        ),
        entry(i.raised_at.plus(SECOND), 2, Actor::Rule, "evidence", None, "2 series and 1 exhibit captured"),
        entry(now.plus(-38 * MINUTE), 3, Actor::Operator, "acknowledged", acknowledged, "m.weber is on it"),
        entry(
            now.plus(-20 * MINUTE),
            4,
            Actor::Operator,
            "note",
            None,
            "Old WAL segments are held by the replica; asked DBA.",
        ),
    ];
    i
}

/// The check that fails: P1, the service is out, respond clock breached.
pub fn outage(now: Stamp) -> Incident {
    let breach = now.plus(-19 * MINUTE);
    let mut i = incident(47, "web-02.sha", "front is down: connection refused", breach);
    weigh(&mut i, 1, 1, 15 * MINUTE, 4 * HOUR);
    i.outage = true;
    i.rule.id = "web-down".to_owned();
    i.category = "service/http".to_owned();
    i.instance = "check{check=front}".to_owned();
    i.sla.respond.warned_at = Some(i.raised_at.plus(11 * MINUTE));
    i.sla.respond.breached_at = Some(i.raised_at.plus(15 * MINUTE));
    i.counters.events = 2;
    i.description = "The shop's front page does not answer.".to_owned();
    let from = breach.plus(-10 * MINUTE);
    let up = (0..90).map(|n| Some(if n < 60 || n == 63 { 1.0 } else { 0.0 })).collect();
    let latency = (0..90)
        .map(|n| {
            (n < 60).then(|| 0.041 + 0.02 * (f64::from(n) * 1.3).sin().abs() + f64::from(n).powi(3) * 2e-6)
        })
        .collect();
    i.evidence.series = vec![
        series("check.up", "bool", from, 10, None, up),
        series("check.latency", "seconds", from, 10, Some(0.8), latency),
    ];
    i.evidence.exhibits = vec![Exhibit {
        title: "status of nginx.service".to_owned(),
        at: i.raised_at,
        text: "● nginx.service - A high performance web server\n\
             \x20    Active: failed (Result: exit-code) since Sun 2026-11-22 15:41:07 UTC\n\
             \x20   Process: 812 ExecStart=/usr/sbin/nginx -g daemon on; (code=exited, status=1/FAILURE)\n\n\
               nginx: [emerg] bind() to 0.0.0.0:443 failed (98: Address already in use)\n"
            .to_owned(),
    }];
    i.timeline[0].note = "frac(not check.up, 3m) 96 % > 60 %".to_owned();
    i.timeline.push(entry(
        i.raised_at.plus(11 * MINUTE),
        2,
        Actor::Timer,
        "sla",
        None,
        "75 % of the time to respond is used",
    ));
    i.timeline.push(entry(
        i.raised_at.plus(15 * MINUTE),
        3,
        Actor::Timer,
        "sla",
        None,
        "time to respond (15m) is over, nobody has acknowledged",
    ));
    i.rev = 3;
    i
}

/// The worker that keeps dying, its problem, and the links between them: members oldest first.
pub fn recurring(now: Stamp) -> (Vec<Incident>, Problem, Vec<Link>) {
    let starts = [-52 * HOUR, -31 * HOUR, -11 * HOUR, -95 * MINUTE];
    let problem_id = "0197a2c4-9b1e-7c00-8a3b-0000000000a7".to_owned();
    let mut members: Vec<Incident> = Vec::new();
    for (n, start) in starts.iter().enumerate() {
        let breach = now.plus(*start);
        let mut i = incident(11 + n as u64 * 9, "app-03.sha", "worker@billing.service has failed", breach);
        i.instance = "unit{unit=worker@billing.service}".to_owned();
        i.links.problem = Some(problem_id.clone());
        i.fingerprint = "6ac1e0f3b2d49785".to_owned();
        if n > 0 {
            i.links.previous = members.last().map(|m| m.id.clone());
        }
        if n < 3 {
            resolve(&mut i, breach.plus((14 + 9 * n as i64) * MINUTE), "unit.state == 'active' for 5m");
        } else {
            i.counters = Counters { events: 9, reopens: 2, flaps: 5, ..Counters::default() };
            i.intervals = vec![
                Interval { from: breach, to: Some(breach.plus(18 * MINUTE)) },
                Interval { from: breach.plus(40 * MINUTE), to: Some(breach.plus(51 * MINUTE)) },
                Interval { from: breach.plus(77 * MINUTE), to: None },
            ];
            i.flapping = true;
            i.rev = 6;
        }
        members.push(i);
    }
    let openings = |i: &Incident| i.intervals.iter().map(|v| v.from.plus(15 * SECOND)).collect();
    let member = |i: &Incident| Member {
        incident: i.id.clone(),
        number: i.number.clone(),
        role: "primary".to_owned(),
        openings: openings(i),
    };
    let last = &members[3];
    let problem = Problem {
        id: problem_id,
        schema: "problem/1".to_owned(),
        number: "PRB000007".to_owned(),
        host: last.host.clone(),
        seq: 310,
        rev: 3,
        at: now.plus(-18 * MINUTE),
        labels: last.labels.clone(),
        key: format!("fingerprint:{}", last.fingerprint),
        kind: "recurrence".to_owned(),
        state: ProblemState::Candidate,
        title: "worker@billing.service keeps failing on app-03.sha".to_owned(),
        description: "Six openings of the same condition in a bit more than two days. \
                      Each time the unit came back by its own restart."
            .to_owned(),
        ci: last.ci.clone(),
        service: last.service.clone(),
        category: "service/unit".to_owned(),
        severity: Severity::Critical,
        impact: 2,
        urgency: 2,
        priority: Priority::P3,
        why: vec![
            Reason {
                test: "recurrence".to_owned(),
                observed: 3.0,
                expected: 3.0,
                window: 86_400.0,
                text: "3rd time in 24 h, usual gap 37 min".to_owned(),
            },
            Reason {
                test: "recurrence".to_owned(),
                observed: 6.0,
                expected: 4.0,
                window: 604_800.0,
                text: "6th time in 7 d, usual gap 20 h".to_owned(),
            },
        ],
        members: members.iter().map(member).collect(),
        openings: 6,
        first_at: members[0].raised_at,
        last_at: now.plus(-18 * MINUTE),
        median_gap: Some(72_000.0),
        mtbf: Some(41_280.0),
        mttr: Some(1_320.0),
        downtime: 6_660.0,
        pain: 999.0,
        timeline: vec![
            entry(
                members[2].raised_at,
                1,
                Actor::Correlator,
                "opened",
                None,
                "4th time in 7 d, usual gap 20 h",
            ),
            entry(now.plus(-18 * MINUTE), 3, Actor::Correlator, "member", None, "INC000038 opened again"),
        ],
    };
    let link = |i: &Incident| Link {
        id: format!("{}-{}", i.id, problem.id),
        incident: i.id.clone(),
        problem: problem.id.clone(),
        host: i.host.clone(),
        at: i.raised_at,
    };
    let links = members.iter().map(link).collect();
    (members, problem, links)
}

/// Two less pressing ones, and one on hold.
pub fn minor(now: Stamp) -> Vec<Incident> {
    let mut memory =
        incident(44, "app-01.sha", "memory pressure: tasks waited 14 % of the time", now.plus(-6 * HOUR));
    weigh(&mut memory, 3, 2, 8 * HOUR, 3 * DAY);
    memory.severity = Severity::Warning;
    memory.nature = Nature::Degradation;
    memory.instance = "host".to_owned();
    memory.sla.respond.warned_at = Some(now.plus(-10 * MINUTE));
    memory.counters.reopens = 1;
    let mut slow =
        incident(45, "web-01.sha", "front answers slowly: p95 of 10 m is 1.2 s", now.plus(-31 * MINUTE));
    weigh(&mut slow, 3, 3, 24 * HOUR, 5 * DAY);
    slow.severity = Severity::Warning;
    slow.service = None;
    let mut held = incident(40, "db-01.sha", "/srv/archive is read-only", now.plus(-27 * HOUR));
    weigh(&mut held, 2, 2, 4 * HOUR, 24 * HOUR);
    held.state = State::OnHold;
    held.hold_reason = Some("vendor: disk ordered, RMA 88213".to_owned());
    held.acknowledged_at = Some(held.raised_at.plus(HOUR));
    held.sla.respond.met_at = held.acknowledged_at;
    held.sla.paused_since = Some(now.plus(-20 * HOUR));
    held.disputed = true;
    vec![memory, slow, held]
}

/// One that is over, with everything around its breach and its end on one plot.
pub fn over(now: Stamp) -> Incident {
    let breach = now.plus(-3 * HOUR);
    let mut i = incident(39, "app-01.sha", "CPU saturated for 10 minutes", breach);
    weigh(&mut i, 3, 3, 24 * HOUR, 5 * DAY);
    i.rule.id = "cpu-saturated".to_owned();
    i.category = "cpu/saturation".to_owned();
    i.instance = "host".to_owned();
    i.severity = Severity::Warning;
    resolve(&mut i, breach.plus(14 * MINUTE), "avg(cpu.busy, 10m) 61 % < 75 %");
    let busy = |n: i32| match n {
        0..60 => 0.35 + 0.1 * (f64::from(n) * 0.8).sin(),
        60..144 => 0.96 + 0.03 * (f64::from(n) * 1.7).sin(),
        _ => 0.4 + 0.12 * (f64::from(n) * 0.5).sin(),
    };
    let busy = (0..180).map(|n| Some(busy(n))).collect();
    i.evidence.series = vec![series("cpu.busy", "ratio", breach.plus(-10 * MINUTE), 10, Some(0.9), busy)];
    i
}

/// A CloudEvent around a record.
pub fn event(kind: &str, key: &str, host: &HostRef, data: &Json) -> Json {
    json!({
        "specversion": "1.0", "id": key, "source": format!("urn:sexton:{}", host.id),
        "type": format!("org.sexton.{kind}.v1"),
        "datacontenttype": "application/json", "data": data,
    })
}

/// An incident as an event.
pub fn of_incident(i: &Incident) -> Json {
    let data = serde_json::to_value(i).expect("an incident is JSON");
    event("incident.updated", &format!("sx-{}-{}-u", i.id, i.rev), &i.host, &data)
}

/// A problem as an event.
pub fn of_problem(p: &Problem) -> Json {
    let data = serde_json::to_value(p).expect("a problem is JSON");
    event("problem.created", &format!("sx-{}-{}-c", p.id, p.rev), &p.host, &data)
}

/// A link as an event.
pub fn of_link(l: &Link) -> Json {
    let data = serde_json::to_value(l).expect("a link is JSON");
    event("link.created", &format!("sx-{}-l", l.id), &l.host, &data)
}

/// A heartbeat as an event.
pub fn heartbeat(host_name: &str, at: Stamp) -> Json {
    let host = host(host_name);
    let data = json!({ "schema": "heartbeat/1", "host": host, "at": at, "interval": 60, "version": "0.1.0" });
    event("host.heartbeat", &format!("sx-{}-{}-h", host.id, at.0), &host, &data)
}

/// Everything at once: a working day at the desk.
pub fn day(now: Stamp) -> Vec<Json> {
    let (members, problem, links) = recurring(now);
    let mut events: Vec<Json> = [vec![disk(now), outage(now), over(now)], members, minor(now)]
        .concat()
        .iter()
        .map(of_incident)
        .collect();
    events.push(of_problem(&problem));
    events.extend(links.iter().map(of_link));
    let hosts = ["web-01.sha", "web-02.sha", "app-01.sha", "app-02.sha", "app-03.sha", "db-01.sha"];
    events.extend(hosts.iter().map(|h| heartbeat(h, now)));
    events
}

/// Labels that would break a page which does not escape.
pub fn hostile(now: Stamp) -> Incident {
    let evil = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&";
    let mut i = incident(66, "evil-01", evil, now.plus(-5 * MINUTE));
    i.description = evil.to_owned();
    i.service = Some(evil.to_owned());
    i.host.name = evil.to_owned();
    i.ci.name = evil.to_owned();
    i.instance = evil.to_owned();
    i.priority_reason = evil.to_owned();
    i.labels = BTreeMap::from([(evil.to_owned(), evil.to_owned())]);
    i.links.runbook = Some("javascript:alert(3)".to_owned());
    i.evidence.exhibits = vec![Exhibit { title: evil.to_owned(), at: now, text: evil.to_owned() }];
    i.evidence.series = vec![series(
        evil,
        evil,
        now.plus(-MINUTE),
        10,
        Some(1.0),
        vec![Some(1.0), Some(2.0), None, Some(0.5)],
    )];
    i.timeline = vec![entry(now, 1, Actor::Operator, evil, Some((None, State::New)), evil)];
    i
}
