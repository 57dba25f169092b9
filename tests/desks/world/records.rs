//! The truth: records as the engine would revise them, without the engine.

use serde_json::{Value as Json, json};
use sexton::clock::Clock;
use sexton::engine::effect::{OutboxRow, RecordKind};
use sexton::engine::moment::Stamp;
use sexton::engine::option::DestinationPlan;
use sexton::engine::record::Priority;

/// What happens to a record next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A note.
    Update,
    /// Higher severity and priority.
    Worsen,
    /// A person takes note of it on the host.
    Acknowledge,
    /// Over.
    Resolve,
    /// It came back.
    Reopen,
    /// Over for good.
    Close,
}

/// A record with its newest revision.
#[derive(Clone, Debug)]
pub struct Truth {
    /// Incident, problem or link.
    pub kind: RecordKind,
    /// The whole record.
    pub body: Json,
    /// It is over at that revision.
    pub over: bool,
}

/// A UUIDv7 of this very moment (RFC 9562, 5.7); `n` makes it unique.
pub fn fresh_id(n: u64) -> String {
    let millis = Clock::start().now().wall / 1_000_000;
    let hex = format!("{millis:012x}");
    format!("{}-{}-7{:03x}-8000-{n:012x}", &hex[..8], &hex[8..], n & 0xfff)
}

impl Truth {
    /// Incident number `n`, new.
    pub fn incident(n: u64) -> Self {
        let mut body: Json = serde_json::from_str(include_str!("../../data/forward/incident.json")).unwrap();
        body["id"] = json!(fresh_id(n));
        body["number"] = json!(format!("INC{n:06}"));
        body["title"] = json!(format!("/data-{n:03} is 91 % full"));
        body["fingerprint"] = json!(format!("{n:016x}"));
        body["alert_key"] = json!(format!("sx-a-0123456789abcdef-{n:016x}"));
        Self { kind: RecordKind::Incident, body, over: false }
    }

    /// Problem number `n`, a candidate.
    pub fn problem(n: u64) -> Self {
        let mut body: Json = serde_json::from_str(include_str!("../../data/forward/problem.json")).unwrap();
        body["id"] = json!(fresh_id(n));
        body["number"] = json!(format!("PRB{n:06}"));
        body["title"] = json!(format!("/data-{n:03} fills up again and again"));
        Self { kind: RecordKind::Problem, body, over: false }
    }

    /// The link of the two.
    pub fn link(incident: &Truth, problem: &Truth) -> Self {
        let (i, p) = (incident.id(), problem.id());
        let body = json!({"id": format!("{i}-{p}"), "incident": i, "problem": p,
            "host": incident.body["host"], "at": "2026-11-22T11:00:00Z", "rev": 1});
        Self { kind: RecordKind::Link, body, over: false }
    }

    /// Record id.
    pub fn id(&self) -> String {
        self.body["id"].as_str().unwrap().to_owned()
    }

    /// The row that carries the newest revision to that destination.
    pub fn row(&self, plan: &DestinationPlan) -> OutboxRow {
        let text = |name: &str| self.body[name].as_str().unwrap_or_default().to_owned();
        OutboxRow {
            destination: plan.id.clone(),
            kind: self.kind,
            record: text("id"),
            rev: self.body["rev"].as_u64().unwrap(),
            priority: serde_json::from_value(self.body["priority"].clone()).unwrap_or(Priority::P3),
            over: self.over,
            alert_key: self.body["alert_key"].as_str().map(str::to_owned),
            opens: true,
            body: self.body.to_string(),
            link: (self.kind == RecordKind::Link).then(|| (text("incident"), text("problem"))),
            terms: sexton::engine::effect::Terms::default(),
        }
    }

    /// The next revision.
    pub fn step(&mut self, step: Step) {
        let rev = self.body["rev"].as_u64().unwrap() + 1;
        let now = json!(Stamp(Clock::start().now().wall));
        let (from, word) = (self.body["state"].clone(), self.word(step));
        let mut entry = json!({"at": now, "rev": rev, "actor": "rule", "kind": kind(step),
            "note": format!("revision {rev}: {step:?}")});
        if let Some(to) = word.filter(|to| from != *to) {
            self.body["state"] = json!(to);
            if self.kind == RecordKind::Incident {
                (entry["from"], entry["to"]) = (from, json!(to));
            }
        }
        match step {
            Step::Worsen => {
                let worse = json!({"severity": "critical", "priority": "P2", "impact": 2, "urgency": 1});
                self.body.as_object_mut().unwrap().extend(worse.as_object().unwrap().clone());
            }
            Step::Resolve | Step::Close => {
                self.over = true;
                if self.kind == RecordKind::Incident {
                    self.body["resolved_at"] = now.clone();
                    self.body["closure"] = json!({"code": "auto_cleared", "note": "fs.used 60 % < 80 %"});
                }
            }
            Step::Reopen => self.over = false,
            Step::Update | Step::Acknowledge => {}
        }
        self.body["rev"] = json!(rev);
        self.body["at"] = now;
        self.body["timeline"].as_array_mut().unwrap().push(entry);
    }

    /// The state after a step; `None` when it stays.
    fn word(&self, step: Step) -> Option<&'static str> {
        let incident = self.kind == RecordKind::Incident;
        match step {
            Step::Update | Step::Worsen => None,
            Step::Acknowledge if incident => Some("acknowledged"),
            Step::Acknowledge => Some("open"),
            Step::Resolve => Some("resolved"),
            Step::Close => Some("closed"),
            Step::Reopen if incident => Some("in_progress"),
            Step::Reopen => Some("open"),
        }
    }
}

fn kind(step: Step) -> &'static str {
    match step {
        Step::Update => "note",
        Step::Worsen => "step",
        Step::Acknowledge => "acknowledged",
        Step::Resolve => "resolved",
        Step::Reopen => "reopened",
        Step::Close => "closed",
    }
}
