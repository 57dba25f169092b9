//! sexton's own desk, as small as can be: the example of a [`Desk`], and the proof that the harness itself
//! holds.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use sexton::engine::effect::{RecordKind, Stage};

use crate::world::records::{Step, Truth};
use crate::world::server::Fault;
use crate::world::{Act, Answer, Ask, Desk, Plan, Product, View, World, suite};

/// The newest revision of each record, in the order of their coming.
#[derive(Default)]
struct Own {
    records: Vec<Json>,
    links: BTreeMap<String, String>,
    /// A firewall refuses every request with this word.
    disliked: Option<&'static str>,
}

const PRODUCT: Product<Own> = Product {
    kind: "desk",
    desk: Own::default,
    options: |base| vec![("url", base.text(base.url)), ("token", base.secret("open-sesame"))],
    comments: false,
    links: true,
    check: |ticket, record| assert_eq!(ticket.priority, record["priority"], "the whole record is there"),
};

impl Desk for Own {
    fn handle(&mut self, ask: &Ask) -> Answer {
        if ask.header("authorization") != "Bearer open-sesame" {
            return Answer::error(401, "unknown token");
        }
        if ask.parts() != ("POST", vec!["v1", "events"]) {
            return Answer::error(404, "no such place");
        }
        if self.disliked.is_some_and(|word| String::from_utf8_lossy(&ask.body).contains(word)) {
            return Answer::text(403, "blocked by rule 941100");
        }
        let json = ask.json();
        let events = json.as_array().cloned().unwrap_or_default();
        let results: Vec<Json> = events.iter().map(|e| self.take(e)).collect();
        Answer::json(200, json!({ "results": results }))
    }

    fn tickets(&self) -> Vec<View> {
        let text = |json: &Json| json.as_str().unwrap_or_default().to_owned();
        let view = |record: &Json| View {
            id: text(&record["id"]),
            key: format!("sx-{}", text(&record["id"])),
            kind: Some(match &record["schema"] {
                schema if *schema == "problem/1" => RecordKind::Problem,
                _ => RecordKind::Incident,
            }),
            stage: serde_json::from_value(record["state"].clone()).unwrap_or(Stage::New),
            comments: Vec::new(),
            parents: self.links.get(&text(&record["id"])).cloned().into_iter().collect(),
            assignee: String::new(),
            subject: text(&record["title"]),
            priority: text(&record["priority"]),
        };
        self.records.iter().map(view).collect()
    }

    fn act(&mut self, _ticket: &str, act: Act) {
        panic!("nobody works at this desk: {act:?}");
    }
}

impl Own {
    fn take(&mut self, event: &Json) -> Json {
        let data = &event["data"];
        if let (Some(incident), Some(problem)) = (data["incident"].as_str(), data["problem"].as_str()) {
            self.links.insert(incident.to_owned(), problem.to_owned());
            return json!({"id": event["id"], "status": "stored"});
        }
        let known = self.records.iter_mut().find(|r| r["id"] == data["id"]);
        let status = match known {
            Some(old) if data["rev"].as_u64() <= old["rev"].as_u64() => "duplicate",
            Some(old) => {
                *old = data.clone();
                "stored"
            }
            None => {
                self.records.push(data.clone());
                "stored"
            }
        };
        json!({"id": event["id"], "status": status})
    }
}

#[test]
fn every_record_arrives_whatever_happens() {
    suite(&PRODUCT, &Plan { faults: 250, ..Plan::seeded(1) });
}

#[test]
#[should_panic(expected = "tickets for")]
fn the_truth_table_sees_what_is_too_much() {
    let desk = || {
        let mut desk = Own::default();
        desk.records.push(json!({"id": "of-another-host", "state": "new"}));
        desk
    };
    suite(&Product { desk, ..PRODUCT }, &Plan { episodes: 2, faults: 0, crashes: 0, seed: 2 });
}

#[test]
fn a_scripted_fault_hits_the_next_write_and_a_host_goes_on_after_a_crash() {
    let mut world = World::new(&PRODUCT, 3);
    world.start();
    world.server.script().next = vec![Fault::CutAfter];
    let incident = Truth::incident(1);
    world.commit(vec![incident.row(&world.plan)]);
    world.until("it was carried out and cut", |w| w.server.requests() == 1);
    world.crash();
    assert_eq!(world.server.desk().records.len(), 1, "the far end has it, the host does not know");
    world.start();
    world.settle();
    assert!(world.server.requests() >= 2, "asked again");
    assert_eq!(world.server.desk().records.len(), 1);
}

#[test]
fn what_alone_is_refused_stops_nothing_else_and_is_parked() {
    let desk = || Own { disliked: Some("<script>"), ..Own::default() };
    let mut world = World::new(&Product { desk, ..PRODUCT }, 4);
    world.start();
    let mut bad = [Truth::incident(1), Truth::incident(2)];
    for truth in &mut bad {
        truth.body["priority"] = json!("P1");
        truth.body["title"] = json!("a line with <script> in it");
    }
    let good: Vec<Truth> = (3..=8).map(Truth::incident).collect();
    world.commit(bad.iter().chain(&good).map(|truth| truth.row(&world.plan)).collect());
    let state = |w: &World<Own>, truth: &Truth| {
        let row = w.rows().into_iter().find(|row| row.record == truth.id());
        row.map_or(String::new(), |row| row.state)
    };
    world.until("all others are stored", |w| good.iter().all(|truth| state(w, truth) == "acked"));
    let late: Vec<Truth> = (9..=13).map(Truth::incident).collect();
    for truth in &late {
        world.commit(vec![truth.row(&world.plan)]);
        world.until("it is stored", |w| state(w, truth) == "acked");
    }
    let mut more = Truth::incident(20);
    world.until("the bad ones are parked", |w| {
        more.step(Step::Update);
        w.commit(vec![more.row(&w.plan)]);
        bad.iter().all(|truth| state(w, truth) == "parked")
    });
    world.until("the destination is up", |w| w.status().0 == "up");
}

#[test]
fn a_request_is_read_as_it_was_sent() {
    let ask = Ask {
        at: std::time::Duration::ZERO,
        method: "POST".to_owned(),
        path: "/a/b/".to_owned(),
        query: Vec::new(),
        headers: BTreeMap::new(),
        body: b"grant=a+b&scope=%C3%A9%26%3D&empty=&bad=%zz".to_vec(),
    };
    let pair = |n: &str, v: &str| (n.to_owned(), v.to_owned());
    let fields = [pair("grant", "a b"), pair("scope", "é&="), pair("empty", ""), pair("bad", "%zz")];
    assert_eq!(ask.form(), fields);
    assert_eq!(ask.parts(), ("POST", vec!["a", "b"]));
}
