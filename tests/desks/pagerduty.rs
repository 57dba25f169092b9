//! PagerDuty: Events API v2 with alerts by dedup key, change events, and the REST API for reading.

use serde_json::{Value as Json, json};
use sexton::engine::effect::{RecordKind, Stage};

use crate::world::records::{Step, Truth};
use crate::world::server::Fault;
use crate::world::{Act, Answer, Ask, Desk, Product, Unfit, View, World, alert_read_back, episodes, is_fit};

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// An alert, which is also an incident here: one per trigger of a key that is not open.
#[derive(Clone)]
struct Alert {
    key: String,
    record: String,
    summary: String,
    severity: String,
    status: &'static str,
    assignee: String,
    by: String,
    /// How often somebody was woken.
    pages: usize,
}

/// An account with one service.
#[derive(Default)]
pub struct Pager {
    alerts: Vec<Alert>,
    changes: Vec<Json>,
    other_key: bool,
}

const PRODUCT: Product<Pager> = Product {
    kind: "pagerduty",
    desk: Pager::default,
    options: |base| {
        let (url, key) = (base.text(base.url), base.secret(KEY));
        vec![("url", url.clone()), ("api_url", url), ("routing_key", key), ("api_token", base.secret("rest"))]
    },
    comments: false,
    links: false,
    check: |ticket, record| {
        if record["schema"] == "incident/1" && ticket.stage.is_open() {
            let severity = if record["priority"] == "P2" { "error" } else { "warning" };
            assert_eq!(ticket.priority, severity);
        }
    },
};

impl Desk for Pager {
    fn handle(&mut self, ask: &Ask) -> Answer {
        let body = ask.json();
        match ask.parts() {
            ("GET", parts) if parts == ["incidents"] => self.list(ask),
            ("POST", parts) if parts[0] == "v2" => {
                let key = body["routing_key"].as_str().unwrap_or_default();
                if key.len() != 32 {
                    return invalid("Length of 'routing_key' is incorrect (should be 32 characters)");
                }
                if key != KEY || self.other_key {
                    return Answer::json(
                        400,
                        json!({"status": "invalid event", "message": "Invalid Routing Key"}),
                    );
                }
                match parts[1..] {
                    ["enqueue"] => self.event(&body),
                    ["change", "enqueue"] => self.change(&body),
                    _ => Answer::error(404, "not found"),
                }
            }
            _ => Answer::error(404, "not found"),
        }
    }

    /// One view per record: what was told of it last.
    fn tickets(&self) -> Vec<View> {
        let mut views: Vec<View> = Vec::new();
        let mut put = |view: View| match views.iter_mut().find(|v| v.key == view.key) {
            Some(old) => *old = view,
            None => views.push(view),
        };
        let view = |key: &str, record: &str, kind, stage, subject: &str, severity: &str| View {
            id: key.to_owned(),
            key: record.to_owned(),
            kind: Some(kind),
            stage,
            comments: Vec::new(),
            parents: Vec::new(),
            assignee: String::new(),
            subject: subject.to_owned(),
            priority: severity.to_owned(),
        };
        for change in &self.changes {
            let text = |field: &str| change[field].as_str().unwrap().to_owned();
            let (summary, record) = (text("summary"), change["custom_details"]["record"].as_str().unwrap());
            let problem = summary.starts_with("Problem ");
            let kind = if problem { RecordKind::Problem } else { RecordKind::Incident };
            let stage = if summary.contains(" is a candidate: ") { Stage::New } else { Stage::Resolved };
            put(view("", record, kind, stage, &summary, ""));
        }
        for alert in &self.alerts {
            let stage = match alert.status {
                "triggered" => Stage::New,
                "acknowledged" => Stage::Acknowledged,
                _ => Stage::Resolved,
            };
            put(view(
                &alert.key,
                &alert.record,
                RecordKind::Incident,
                stage,
                &alert.summary,
                &alert.severity,
            ));
        }
        views
    }

    fn act(&mut self, ticket: &str, act: Act) {
        let alert = self.alerts.iter_mut().rev().find(|a| a.key == ticket).unwrap();
        alert.by = "alice".to_owned();
        match act {
            Act::Acknowledge => alert.status = "acknowledged",
            Act::Assign(who) => alert.assignee = who.to_owned(),
            Act::Resolve(_) => alert.status = "resolved",
            other => panic!("there is no {other:?} here"),
        }
    }
}

fn invalid(error: &str) -> Answer {
    let message = "Event object is invalid";
    Answer::json(400, json!({"status": "invalid event", "message": message, "errors": [error]}))
}

impl Pager {
    fn event(&mut self, event: &Json) -> Answer {
        let text = |json: &Json| json.as_str().unwrap_or_default().to_owned();
        let key = text(&event["dedup_key"]);
        let open = self.alerts.iter_mut().find(|a| a.key == key && a.status != "resolved");
        match (event["event_action"].as_str(), open) {
            (Some("trigger"), open) => {
                let payload = &event["payload"];
                for field in ["summary", "source", "severity"] {
                    if text(&payload[field]).is_empty() {
                        return invalid(&format!("'payload.{field}' is missing or blank"));
                    }
                }
                let severity = text(&payload["severity"]);
                if !["critical", "error", "warning", "info"].contains(&severity.as_str()) {
                    return invalid("'payload.severity' is invalid (must be one of the following: …)");
                }
                if payload["summary"].as_str().unwrap().chars().count() > 1024 {
                    return invalid("'payload.summary' is too long");
                }
                match open {
                    Some(alert) => alert.severity = severity,
                    None => self.alerts.push(Alert {
                        key: key.clone(),
                        record: text(&payload["custom_details"]["record"]),
                        summary: text(&payload["summary"]),
                        severity,
                        status: "triggered",
                        assignee: String::new(),
                        by: String::new(),
                        pages: 1,
                    }),
                }
            }
            (Some("acknowledge"), Some(alert)) => alert.status = "acknowledged",
            (Some("resolve"), Some(alert)) => alert.status = "resolved",
            (Some("acknowledge" | "resolve"), None) => {}
            _ => return invalid("'event_action' is invalid"),
        }
        Answer::json(202, json!({"status": "success", "message": "Event processed", "dedup_key": key}))
    }

    fn change(&mut self, event: &Json) -> Answer {
        if event["payload"]["summary"].as_str().is_none_or(str::is_empty) {
            return invalid("'payload.summary' is missing or blank");
        }
        self.changes.push(event["payload"].clone());
        Answer::json(202, json!({"status": "success", "message": "Change event processed"}))
    }

    fn list(&self, ask: &Ask) -> Answer {
        if ask.header("authorization") != "Token token=rest" {
            return Answer::error(401, "unauthorized");
        }
        let all = self.alerts.iter().rev().filter(|a| a.key == ask.param("incident_key"));
        let shown = |a: &Alert| {
            let assignments = match a.assignee.as_str() {
                "" => json!([]),
                who => json!([{"assignee": {"summary": who}}]),
            };
            json!({"incident_key": a.key, "status": a.status, "assignments": assignments,
                "last_status_change_by": {"summary": a.by}})
        };
        let limit: usize = ask.param("limit").parse().unwrap_or(25);
        Answer::json(200, json!({"incidents": all.take(limit).map(shown).collect::<Vec<_>>()}))
    }
}

#[test]
fn pagerduty_holds_the_truth_under_faults_and_crashes() {
    for seed in [1, 2, 3] {
        episodes(&PRODUCT, seed, true);
    }
}

#[test]
fn nobody_is_woken_twice_nor_for_what_is_past() {
    let mut world = World::new(&PRODUCT, 4);
    let (mut goes_on, mut past) = (Truth::incident(1), Truth::incident(2));
    past.step(Step::Resolve);
    world.start();
    world.commit(vec![goes_on.row(&world.plan), past.row(&world.plan)]);
    world.settle();
    world.server.desk().alerts[0].status = "resolved";
    for step in [Step::Update, Step::Acknowledge] {
        goes_on.step(step);
        world.commit(vec![goes_on.row(&world.plan)]);
        world.settle();
    }
    let pages: usize = world.server.desk().alerts.iter().map(|a| a.pages).sum();
    assert_eq!(pages, 1, "a note does not undo a person's end of it\n{}", world.story());
    assert_eq!(world.server.desk().changes.len(), 1, "what was over is on record all the same");
}

#[test]
fn an_end_is_not_told_again_when_the_record_is_closed() {
    let mut world = World::new(&PRODUCT, 5);
    world.start();
    let mut first = Truth::incident(1);
    world.commit(vec![first.row(&world.plan)]);
    world.settle();
    first.step(Step::Resolve);
    world.commit(vec![first.row(&world.plan)]);
    world.settle();
    // The same trouble again, as a record of its own, while the first one waits to be closed.
    let mut second = Truth::incident(2);
    second.body["alert_key"] = first.body["alert_key"].clone();
    world.commit(vec![second.row(&world.plan)]);
    world.settle();
    first.step(Step::Close);
    world.commit(vec![first.row(&world.plan)]);
    world.settle();
    let desk = world.server.desk();
    assert_eq!(desk.alerts.last().unwrap().status, "triggered", "the second episode is still open");
}

#[test]
fn the_end_of_an_episode_does_not_close_the_alert_of_the_next() {
    let mut world = World::new(&PRODUCT, 6);
    world.start();
    let mut first = Truth::incident(1);
    world.commit(vec![first.row(&world.plan)]);
    world.settle();
    // It ends while the destination is away, and comes back as a graver one.
    world.server.script().next = vec![Fault::Status(503, false)];
    first.step(Step::Resolve);
    let mut second = Truth::incident(2);
    second.body["alert_key"] = first.body["alert_key"].clone();
    second.body["priority"] = json!("P1");
    world.commit(vec![first.row(&world.plan), second.row(&world.plan)]);
    world.settle();
    let statuses: Vec<_> = world.server.desk().alerts.iter().map(|a| a.status).collect();
    assert_eq!(statuses, ["resolved", "triggered"], "{}", world.story());
}

#[test]
fn pagerduty_tells_what_people_did() {
    alert_read_back(&PRODUCT);
}

#[test]
fn pagerduty_is_proven_fit() {
    let unknown = Unfit::<Pager> {
        what: "a key that is not known",
        break_it: |pager| pager.other_key = true,
        says: &["Invalid Routing Key", "integration key of an Events API v2 integration"],
        mend: |pager| pager.other_key = false,
    };
    is_fit(&PRODUCT, &[unknown]);
}
