//! Receivers of webhooks: one that takes signed CloudEvents, alone and in batches, and a small REST product
//! that is served by templates.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value as Json, json};
use sexton::clock::Clock;
use sexton::engine::effect::{RecordKind, Stage};
use sexton::engine::option::OptionValue;
use sha2::Sha256;

use crate::schemas;
use crate::world::{Act, Answer, Ask, Desk, Plan, Product, View, suite};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The newest revision of each record, in the order of their coming.
#[derive(Default)]
struct Receiver {
    records: Vec<Json>,
    links: BTreeMap<String, String>,
}

impl Receiver {
    fn take(&mut self, event: &Json) {
        assert_eq!(schemas::event(event), Vec::<String>::new(), "{event:#}");
        let data = &event["data"];
        if let (Some(incident), Some(problem)) = (data["incident"].as_str(), data["problem"].as_str()) {
            self.links.insert(incident.to_owned(), problem.to_owned());
            return;
        }
        match self.records.iter_mut().find(|r| r["id"] == data["id"]) {
            Some(old) if data["rev"].as_u64() <= old["rev"].as_u64() => {}
            Some(old) => *old = data.clone(),
            None => self.records.push(data.clone()),
        }
    }
}

/// As the specification tells receivers to check: the exact bytes, a fresh time, a comparison of macs.
fn is_signed(ask: &Ask) -> bool {
    let key = STANDARD.decode(SECRET.strip_prefix("whsec_").unwrap()).unwrap();
    let (id, time) = (ask.header("webhook-id"), ask.header("webhook-timestamp"));
    let now = Clock::start().now().wall / 1_000_000_000;
    let fresh = time.parse::<i64>().is_ok_and(|t| (now - t).abs() < 300);
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(format!("{id}.{time}.").as_bytes());
    mac.update(&ask.body);
    let given = ask.header("webhook-signature").split(' ').filter_map(|s| s.strip_prefix("v1,"));
    let right = |s: &str| STANDARD.decode(s).is_ok_and(|s| mac.clone().verify_slice(&s).is_ok());
    fresh && given.into_iter().any(right)
}

impl Desk for Receiver {
    fn handle(&mut self, ask: &Ask) -> Answer {
        if !is_signed(ask) {
            return Answer::error(401, "no signature of ours");
        }
        assert_eq!(ask.header("idempotency-key"), format!("\"{}\"", ask.header("webhook-id")));
        let body = ask.json();
        match (ask.parts(), ask.header("content-type").split(';').next()) {
            (("POST", parts), Some("application/cloudevents+json")) if parts == ["in", "T00_B00"] => {
                assert_eq!(body["id"], ask.header("webhook-id"));
                self.take(&body);
            }
            (("POST", parts), Some("application/cloudevents-batch+json")) if parts == ["in", "T00_B00"] => {
                body.as_array().expect("a batch is a list").iter().for_each(|event| self.take(event));
            }
            other => return Answer::error(404, &format!("nothing here: {other:?}")),
        }
        Answer::text(204, "")
    }

    fn tickets(&self) -> Vec<View> {
        let text = |json: &Json| json.as_str().unwrap_or_default().to_owned();
        let view = |record: &Json| View {
            id: text(&record["id"]),
            key: format!("sx-{}", text(&record["id"])),
            kind: Some(match record["schema"] == "problem/1" {
                true => RecordKind::Problem,
                false => RecordKind::Incident,
            }),
            stage: stage(&record["state"]),
            comments: Vec::new(),
            parents: self.links.get(&text(&record["id"])).cloned().into_iter().collect(),
            assignee: String::new(),
            subject: text(&record["title"]),
            priority: text(&record["priority"]),
        };
        self.records.iter().map(view).collect()
    }

    fn act(&mut self, _: &str, act: Act) {
        panic!("nobody works here: {act:?}");
    }
}

fn stage(state: &Json) -> Stage {
    serde_json::from_value(state.clone()).unwrap_or(Stage::New)
}

const EVENTS: Product<Receiver> = Product {
    kind: "webhook",
    desk: Receiver::default,
    options: |base| {
        vec![
            ("url", base.text(base.url)),
            ("path", base.text("/in")),
            ("secret", base.secret(SECRET)),
            ("url_secret", base.secret("T00_B00")),
        ]
    },
    comments: false,
    links: true,
    check: |ticket, record| assert_eq!(ticket.priority, record["priority"], "the whole record is there"),
};

/// A product of which sexton knows nothing: JSON tickets, made once for each `Idempotency-Key`.
#[derive(Default)]
struct Rest {
    tickets: Vec<Json>,
    answered: BTreeMap<String, (u16, Json)>,
}

impl Rest {
    fn carry_out(&mut self, ask: &Ask) -> (u16, Json) {
        let body = ask.json();
        match ask.parts() {
            ("POST", parts) if parts == ["api", "tickets"] => {
                let id = self.tickets.len() + 1;
                let mut ticket = body;
                ticket["id"] = json!(id);
                self.tickets.push(ticket);
                (201, json!({"ticket": {"id": id}}))
            }
            ("PATCH", parts) if parts[..2] == ["api", "tickets"] => {
                let ticket = self.tickets.iter_mut().find(|t| t["id"].as_u64() == parts[2].parse().ok());
                let Some(ticket) = ticket else { return (404, json!({"error": "no such ticket"})) };
                ticket.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
                (200, json!({}))
            }
            other => (404, json!({"error": format!("nothing here: {other:?}")})),
        }
    }
}

impl Desk for Rest {
    fn handle(&mut self, ask: &Ask) -> Answer {
        if ask.header("authorization") != "GenieKey open-sesame" {
            return Answer::error(403, "no such key");
        }
        let key = ask.header("idempotency-key").to_owned();
        if !self.answered.contains_key(&key) {
            let answer = self.carry_out(ask);
            self.answered.insert(key.clone(), answer);
        }
        let (status, body) = self.answered[&key].clone();
        Answer::json(status, body)
    }

    fn tickets(&self) -> Vec<View> {
        let text = |json: &Json| json.as_str().unwrap_or_default().to_owned();
        let view = |ticket: &Json| View {
            id: ticket["id"].to_string(),
            key: text(&ticket["external"]),
            kind: None,
            stage: stage(&ticket["state"]),
            comments: Vec::new(),
            parents: Vec::new(),
            assignee: String::new(),
            subject: text(&ticket["subject"]),
            priority: text(&ticket["priority"]),
        };
        self.tickets.iter().map(view).collect()
    }

    fn act(&mut self, _: &str, act: Act) {
        panic!("nobody works here: {act:?}");
    }
}

const TEMPLATE: &str = r#"{
  "external": {{ record_key }}, "subject": {{ subject | cut(120) }}, "text": {{ content }},
  "state": {{ state }}, "priority": {{ priority }}
}"#;

const TEMPLATED: Product<Rest> = Product {
    kind: "webhook",
    desk: Rest::default,
    options: |base| {
        vec![
            ("url", base.text(base.url)),
            ("api_key", base.secret("open-sesame")),
            ("api_key_header", base.text("Authorization")),
            ("api_key_prefix", base.text("GenieKey")),
            ("template", base.text(TEMPLATE)),
            ("path", base.text("/api/tickets/{{ remote_id }}")),
            ("paths", base.map(&[("create", "/api/tickets")])),
            ("method", base.text("PATCH")),
            ("methods", base.map(&[("create", "POST")])),
            ("remote_id", base.text("/ticket/id")),
        ]
    },
    comments: false,
    links: false,
    check: |ticket, record| assert_eq!(ticket.priority, record["priority"]),
};

#[test]
fn signed_events_arrive_whatever_happens() {
    suite(&EVENTS, &Plan { faults: 200, ..Plan::seeded(11) });
}

#[test]
fn batches_arrive_whatever_happens() {
    let batch: Product<Receiver> = Product {
        options: |base| {
            let mut options = (EVENTS.options)(base);
            options.push(("batch", OptionValue::Bool(true)));
            options
        },
        ..EVENTS
    };
    suite(&batch, &Plan { faults: 200, ..Plan::seeded(12) });
}

#[test]
fn a_product_without_connector_has_one_ticket_for_each_record() {
    suite(&TEMPLATED, &Plan { faults: 200, ..Plan::seeded(13) });
}
