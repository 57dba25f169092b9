//! A bench that drives [`Incidents`] with explicit moments and checks the invariants at every step: `seq`
//! gapless, revisions one by one, the saved rows equal to what is held.

mod cycle;
mod desks;
mod flap;
mod people;
mod random;
mod repeat;
mod restore;
mod times;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::engine::cond;
use crate::engine::effect::Resend;
use crate::engine::moment::{HOUR, MINUTE, SECOND, Stamp};
use crate::engine::plan::{Correlate, Host, MATRIX, Plan, Rule, SLA, StepPlan};
use crate::engine::record::{HostRef, Nature, Priority, Record, Series, Severity};
use crate::engine::signal::Instance;

/// 2026-09-21T14:13:20Z.
const T0: i64 = 1_790_000_000 * SECOND;

/// A moment so many minutes after the start.
fn min(minutes: i64) -> i64 {
    T0 + minutes * MINUTE
}

fn plan() -> Plan {
    Plan {
        host: Host {
            host: HostRef { id: "00c0ffee00c0ffee".to_owned(), name: "web-01".to_owned() },
            labels: [("env".to_owned(), "prod".to_owned())].into(),
            service: None,
            tier: None,
        },
        rules: Vec::new(),
        overrides: Vec::new(),
        services: Vec::new(),
        declared: Vec::new(),
        correlate: Correlate::default(),
        matrix: MATRIX,
        sla: SLA,
        suppress: Default::default(),
    }
}

fn step(severity: Severity, impact: u8, urgency: u8) -> StepPlan {
    let compile = |text| cond::compile(text, Class::Fs, &[]).expect("a condition that compiles");
    StepPlan {
        severity,
        impact: Some(impact),
        urgency,
        raise: compile("fs.used > 85%"),
        clear: compile("fs.used < 80%"),
        for_: 10 * MINUTE,
        keep: 5 * MINUTE,
    }
}

/// warning 2×3 P4, critical 2×1 P2; can be reopened for four hours.
fn rule() -> Rule {
    Rule {
        id: "disk-full".to_owned(),
        hash: "0123456789abcdef".to_owned(),
        origin: "rules.d/10-disk.toml:1".to_owned(),
        class: Class::Fs,
        matches: Default::default(),
        title: String::new(),
        description: "Writers will fail soon.".to_owned(),
        runbook: Some("https://wiki.example/disk".to_owned()),
        nature: Nature::Capacity,
        category: "storage/filesystem".to_owned(),
        outage: false,
        service: None,
        labels: BTreeMap::new(),
        reopen: 4 * HOUR,
        stale: 0,
        min_coverage: 0.5,
        steps: vec![step(Severity::Warning, 2, 3), step(Severity::Critical, 2, 1)],
        lets: Vec::new(),
        silence: Default::default(),
        every: 0,
        cause_hint: Some(crate::engine::plan::Cause::Load),
        action: None,
    }
}

struct Bench {
    engine: Incidents,
    plan: Arc<Plan>,
    rule: Arc<Rule>,
    mount: &'static str,
    rows: BTreeMap<(String, String), String>,
    seq: u64,
    revs: BTreeMap<String, u64>,
    sent: Vec<Record>,
    wanted: Vec<EvidenceWanted>,
    /// Revisions that a destination knows: (record, destination), newest step only.
    known: Vec<(String, String)>,
    resent: Vec<Resend>,
    kinds: Vec<&'static str>,
    /// Restore from the saved rows after so many steps.
    restart_after: Option<usize>,
    steps: usize,
}

impl Bench {
    fn new() -> Self {
        Self::with(plan(), rule())
    }

    fn with(plan: Plan, rule: Rule) -> Self {
        let plan = Arc::new(plan);
        Self {
            engine: Incidents::new(Arc::clone(&plan), 42),
            plan,
            rule: Arc::new(rule),
            mount: "/data",
            rows: BTreeMap::new(),
            seq: 0,
            revs: BTreeMap::new(),
            sent: Vec::new(),
            wanted: Vec::new(),
            known: Vec::new(),
            resent: Vec::new(),
            kinds: Vec::new(),
            restart_after: None,
            steps: 0,
        }
    }

    fn make(&self, kind: EventKind, at: i64, since: i64, step: usize) -> Event {
        let value = [0.91, 0.97][step];
        Event {
            kind,
            rule: Arc::clone(&self.rule),
            instance: Instance::of(Class::Fs, &[("mount", self.mount), ("fstype", "ext4")]),
            step,
            severity: self.rule.steps[step].severity,
            since: Moment::at(since),
            at: Moment::at(at),
            value: Some(value),
            limit: Some(0.85),
            why: format!("fs.used {:.1} % > 85 %", value * 100.0),
            title: format!("{} {:.0} % used", self.mount, value * 100.0),
            series: vec![Series {
                signal: "fs.used".to_owned(),
                unit: "ratio".to_owned(),
                points: vec![
                    (Stamp(since).seconds(), Some((since % 9973) as f64 / 9973.0)),
                    (Stamp(at).seconds(), Some(value)),
                ],
                limit: Some(0.85),
            }],
        }
    }

    fn event(&mut self, kind: EventKind, at: i64, since: i64, step: usize) {
        self.run_to(at);
        let event = self.make(kind, at, since, step);
        let mut out = Step::default();
        self.engine.event(Moment::at(at), &event, &mut out);
        self.take(at, out);
    }

    /// A raise of the warning step, decided when it was first seen.
    fn raise(&mut self, at: i64) {
        self.event(EventKind::Raise, at, at, 0);
    }

    fn clear(&mut self, at: i64) {
        self.event(EventKind::Clear, at, at, 0);
    }

    fn command(&mut self, at: i64, command: Command) -> Result<(), String> {
        self.run_to(at);
        let mut out = Step::default();
        let answer = self.engine.command(Moment::at(at), &command, &mut out);
        self.take(at, out);
        answer
    }

    fn acknowledge(&mut self, at: i64) -> Result<(), String> {
        let incident = self.newest().number;
        self.command(at, Command::Acknowledge { incident, by: "ada".to_owned() })
    }

    fn resolve(&mut self, at: i64) -> Result<(), String> {
        let (incident, by) = (self.newest().number, "ada".to_owned());
        self.command(at, Command::Resolve { incident, by, note: "moved the logs".to_owned() })
    }

    /// Calls the engine whenever it wants to be called, up to `at`.
    fn run_to(&mut self, at: i64) {
        for _ in 0..1_000 {
            let Some(due) = self.engine.poll_timeout().filter(|due| *due <= at) else { return };
            let mut out = Step::default();
            self.engine.handle_timeout(Moment::at(due), &mut out);
            self.take(due, out);
        }
        panic!("the engine asks to be called for ever");
    }

    /// What the store does with a step, with the invariants checked.
    fn take(&mut self, now: i64, out: Step) {
        for entry in &out.journal {
            self.seq += 1;
            assert_eq!(entry.seq, self.seq, "seq is gapless");
            self.kinds.push(entry.kind);
            assert!(serde_json::from_str::<serde_json::Value>(&entry.body).is_ok(), "{}", entry.body);
        }
        for record in &out.records {
            let (id, rev, timeline) = match record {
                Record::Incident(i) => (&i.id, i.rev, Some(&i.timeline)),
                Record::Problem(p) => (&p.id, p.rev, Some(&p.timeline)),
                Record::Link(l) => (&l.id, 1, None),
            };
            let before = self.revs.insert(id.clone(), rev).unwrap_or(0);
            assert_eq!(rev, before + 1, "revisions of {id} go one by one");
            let news = timeline.is_none_or(|t| t.last().is_some_and(|e| e.rev == rev));
            assert!(news, "revision {rev} of {id} says what is new");
        }
        for row in out.state {
            match row.body {
                Some(body) => self.rows.insert((row.kind.to_owned(), row.key), body),
                None => self.rows.remove(&(row.kind.to_owned(), row.key)),
            };
        }
        self.sent.extend(out.records);
        self.wanted.extend(out.evidence_wanted);
        self.known = out.known;
        self.resent.extend(out.resend);
        self.steps += 1;
        if self.restart_after == Some(self.steps) {
            self.restart(now);
        }
    }

    /// A new process: only the saved rows are left.
    fn restart(&mut self, now: i64) {
        let rows = self.rows.iter().map(|((kind, key), body)| (kind.clone(), key.clone(), body.clone()));
        let rows = rows.collect();
        self.engine = Incidents::new(Arc::clone(&self.plan), 1);
        let bad = self.engine.restore(Moment::at(now), rows);
        assert_eq!(bad, Vec::<String>::new());
    }

    /// The newest revision of the newest incident.
    fn newest(&self) -> Incident {
        let incidents =
            self.sent.iter().filter_map(|r| if let Record::Incident(i) = r { Some(i) } else { None });
        incidents.max_by_key(|i| (i.number.clone(), i.rev)).map(|i| (**i).clone()).expect("an incident")
    }

    fn count(&self) -> usize {
        self.revs.keys().filter(|id| self.sent.iter().any(|r| Incident::id_in(r) == Some(id))).count()
    }

    fn problems_sent(&self) -> Vec<Problem> {
        let problems =
            self.sent.iter().filter_map(|r| if let Record::Problem(p) = r { Some(p) } else { None });
        problems.map(|p| (**p).clone()).collect()
    }

    fn links_sent(&self) -> Vec<String> {
        let links = self.sent.iter().filter_map(|r| if let Record::Link(l) = r { Some(l) } else { None });
        links.map(|l| l.id.clone()).collect()
    }
}

/// The kinds of the timeline, in order.
fn kinds(incident: &Incident) -> Vec<&str> {
    incident.timeline.iter().map(|e| e.kind.as_str()).collect()
}
