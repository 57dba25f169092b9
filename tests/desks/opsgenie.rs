//! Opsgenie: a queue that answers 202 whatever comes of it, one open alert per alias, limits answered with
//! 422, throttling that is told in headers of its own.

use serde_json::{Value as Json, json};
use sexton::engine::effect::{RecordKind, Stage};

use crate::world::records::{Step, Truth};
use crate::world::server::Fault;
use crate::world::{Act, Answer, Ask, Desk, Product, Unfit, View, World, alert_read_back, episodes, is_fit};

/// An alert.
#[derive(Clone)]
struct Alert {
    alias: String,
    record: String,
    message: String,
    priority: String,
    open: bool,
    acknowledged: bool,
    owner: String,
    closed_by: String,
    notes: Vec<String>,
    /// How often it was asked for while it was open.
    count: u32,
    problem: String,
}

/// What was taken and is not carried out yet: its id, the path behind the alias, alias and body.
type Queued = (usize, String, String, Json);

/// An account with one API integration.
#[derive(Default)]
pub struct Genie {
    alerts: Vec<Alert>,
    queue: Vec<Queued>,
    /// Requests by id: carried out or not, and in which words; asked for so often.
    requests: Vec<(bool, &'static str, u32)>,
    /// The key that is known, when it is not ours.
    other_key: bool,
    /// The integration has a filter that nothing passes.
    filter: bool,
    /// So many requests are answered 429, with the time in headers of Opsgenie's own.
    throttle: u32,
}

const PRODUCT: Product<Genie> = Product {
    kind: "opsgenie",
    desk: Genie::default,
    options: |base| vec![("url", base.text(base.url)), ("token", base.secret("integration-key"))],
    comments: false,
    links: false,
    check: |ticket, record| {
        if ticket.stage.is_open() {
            assert_eq!(ticket.priority, record["priority"], "{}", ticket.subject);
        }
    },
};

fn refuse(status: u16, message: &str) -> Answer {
    Answer::json(status, json!({"message": message, "took": 0.001, "requestId": "none"}))
}

fn limit(json: &Json, most: usize, what: &str) -> Result<(), Answer> {
    let long = json.as_str().is_some_and(|text| text.chars().count() > most);
    if long { Err(refuse(422, &format!("{what} cannot be longer than {most} characters"))) } else { Ok(()) }
}

impl Desk for Genie {
    fn handle(&mut self, ask: &Ask) -> Answer {
        match (ask.header("authorization"), self.other_key) {
            ("", _) => return refuse(401, "Could not authenticate"),
            ("GenieKey integration-key", false) => {}
            _ => return refuse(422, "Key format is not valid!"),
        }
        if self.throttle > 0 {
            self.throttle -= 1;
            let answer = refuse(429, "You are making too many requests!");
            return answer
                .with("X-RateLimit-State", "THROTTLED")
                .with("X-RateLimit-Reason", "INTEGRATION")
                .with("X-RateLimit-Period-In-Sec", "1");
        }
        self.carry_out();
        let body = ask.json();
        let (method, parts) = ask.parts();
        match (method, &parts[..]) {
            ("GET", ["v2", "alerts"]) => self.list(ask),
            ("GET", ["v2", "alerts", "requests", id]) => self.request(id),
            ("POST", ["v2", "alerts"]) => match check_alert(&body) {
                Ok(()) => self.take(String::new(), String::new(), body),
                Err(answer) => answer,
            },
            ("POST" | "PUT", ["v2", "alerts", alias, what]) => {
                assert_eq!(ask.param("identifierType"), "alias", "without it this is an id");
                assert_eq!(method == "PUT", *what == "priority");
                match limit(&body["note"], 25_000, "Note") {
                    Ok(()) => self.take((*what).to_owned(), (*alias).to_owned(), body),
                    Err(answer) => answer,
                }
            }
            _ => refuse(404, "not found"),
        }
    }

    /// One view per record: its newest alert.
    fn tickets(&self) -> Vec<View> {
        let mut views: Vec<View> = Vec::new();
        let mut all = self.alerts.clone();
        for (_, what, alias, body) in &self.queue {
            carry_out(&mut all, what, alias, body);
        }
        for alert in &all {
            let view = View {
                id: alert.alias.clone(),
                key: alert.record.clone(),
                kind: Some(RecordKind::Incident),
                stage: match (alert.open, alert.acknowledged) {
                    (true, true) => Stage::Acknowledged,
                    (true, false) => Stage::New,
                    (false, _) => Stage::Resolved,
                },
                comments: alert.notes.clone(),
                parents: Vec::from_iter(Some(alert.problem.clone()).filter(|p| !p.is_empty())),
                assignee: alert.owner.clone(),
                subject: alert.message.clone(),
                priority: alert.priority.clone(),
            };
            views.retain(|v| v.key != view.key);
            views.push(view);
        }
        views
    }

    fn act(&mut self, ticket: &str, act: Act) {
        self.carry_out();
        let alert = self.alerts.iter_mut().rev().find(|a| a.alias == ticket).unwrap();
        match act {
            Act::Acknowledge => alert.acknowledged = true,
            Act::Assign(who) => alert.owner = who.to_owned(),
            Act::Resolve(_) => (alert.open, alert.closed_by) = (false, "alice".to_owned()),
            other => panic!("there is no {other:?} here"),
        }
    }
}

fn check_alert(body: &Json) -> Result<(), Answer> {
    if body["message"].as_str().is_none_or(str::is_empty) {
        return Err(refuse(422, "Message can not be empty."));
    }
    for (field, most) in
        [("message", 130), ("alias", 512), ("description", 15_000), ("entity", 512), ("source", 100)]
    {
        limit(&body[field], most, field)?;
    }
    let tags = body["tags"].as_array().unwrap();
    if tags.len() > 20 || tags.iter().any(|t| t.as_str().unwrap().chars().count() > 50) {
        return Err(refuse(422, "Tags: at most 20 of 50 characters"));
    }
    let details = body["details"].as_object().unwrap();
    assert!(details.values().all(Json::is_string), "details are texts: {details:?}");
    let size: usize = details.iter().map(|(k, v)| k.len() + v.as_str().unwrap().len()).sum();
    let known = ["P1", "P2", "P3", "P4", "P5"].contains(&body["priority"].as_str().unwrap());
    if size > 8000 || !known {
        return Err(refuse(422, "details or priority are not valid"));
    }
    Ok(())
}

impl Genie {
    fn take(&mut self, what: String, alias: String, body: Json) -> Answer {
        let id = self.requests.len();
        self.requests.push((false, "", 0));
        self.queue.push((id, what, alias, body));
        let said =
            json!({"result": "Request will be processed", "took": 0.1, "requestId": format!("r-{id}")});
        Answer::json(202, said)
    }

    /// What was taken is carried out before the next request is looked at.
    fn carry_out(&mut self) {
        for (id, what, alias, body) in std::mem::take(&mut self.queue) {
            let filtered = self.filter && what.is_empty();
            let done = !filtered && carry_out(&mut self.alerts, &what, &alias, &body);
            let words = match (filtered, done) {
                (true, _) => "Request is discarded by a filter of the integration",
                (_, true) => "Done",
                (_, false) => "Alert does not exist",
            };
            (self.requests[id].0, self.requests[id].1) = (done, words);
        }
    }

    /// The end of a request shows a moment later.
    fn request(&mut self, id: &str) -> Answer {
        let id: usize = id.strip_prefix("r-").unwrap().parse().unwrap();
        let (done, words, asked) = &mut self.requests[id];
        *asked += 1;
        if *asked == 1 && id.is_multiple_of(3) {
            return refuse(404, "Request not found. It might not be processed, yet.");
        }
        let data = json!({"isSuccess": done, "success": done, "status": words, "action": "Create"});
        Answer::json(200, json!({"data": data, "took": 0.01, "requestId": "x"}))
    }

    fn list(&self, ask: &Ask) -> Answer {
        let terms: Vec<&str> = ask.param("query").split(" OR ").filter(|t| !t.is_empty()).collect();
        let hits =
            self.alerts.iter().rev().filter(|a| {
                terms.is_empty() || terms.iter().any(|t| *t == format!("alias: \"{}\"", a.alias))
            });
        let shown = |a: &Alert| {
            let status = if a.open { "open" } else { "closed" };
            json!({"alias": a.alias, "status": status, "acknowledged": a.acknowledged, "owner": a.owner,
                "count": a.count, "report": {"closedBy": a.closed_by}})
        };
        let limit: usize = ask.param("limit").parse().unwrap_or(20);
        Answer::json(200, json!({"data": hits.take(limit).map(shown).collect::<Vec<_>>(), "paging": {}}))
    }
}

/// Carries one request out; false when there is no such alert.
fn carry_out(alerts: &mut Vec<Alert>, what: &str, alias: &str, body: &Json) -> bool {
    let text = |json: &Json| json.as_str().unwrap_or_default().to_owned();
    let wanted = if what.is_empty() { text(&body["alias"]) } else { alias.to_owned() };
    let open = alerts.iter_mut().find(|a| a.alias == wanted && a.open);
    match (what, open) {
        // The same alias while it is open: counted, and nothing else.
        ("", Some(alert)) => alert.count += 1,
        ("", None) => alerts.push(Alert {
            alias: wanted,
            record: text(&body["details"]["record"]),
            message: text(&body["message"]),
            priority: text(&body["priority"]),
            open: true,
            acknowledged: false,
            owner: String::new(),
            closed_by: String::new(),
            notes: Vec::new(),
            count: 1,
            problem: text(&body["details"]["problem"]),
        }),
        (_, None) => return false,
        ("close", Some(alert)) => (alert.open, alert.notes) = (false, noted(&alert.notes, body)),
        ("notes", Some(alert)) => alert.notes = noted(&alert.notes, body),
        ("acknowledge", Some(alert)) => alert.acknowledged = true,
        ("priority", Some(alert)) => alert.priority = text(&body["priority"]),
        ("details", Some(alert)) => alert.problem = text(&body["details"]["problem"]),
        (other, _) => panic!("there is no {other}"),
    }
    true
}

fn noted(notes: &[String], body: &Json) -> Vec<String> {
    notes.iter().cloned().chain(body["note"].as_str().map(str::to_owned)).collect()
}

#[test]
fn each_incident_is_an_alert_in_its_true_state_under_faults_and_crashes() {
    for seed in [1, 2] {
        episodes(&PRODUCT, seed, false);
    }
}

#[test]
fn the_end_of_an_episode_does_not_close_the_alert_of_the_next() {
    let mut world = World::new(&PRODUCT, 5);
    world.start();
    let mut first = Truth::incident(1);
    world.commit(vec![first.row(&world.plan)]);
    world.settle();
    world.server.script().next = vec![Fault::Status(503, false)];
    first.step(Step::Resolve);
    let mut second = Truth::incident(2);
    second.body["alert_key"] = first.body["alert_key"].clone();
    second.body["priority"] = json!("P1");
    world.commit(vec![first.row(&world.plan), second.row(&world.plan)]);
    world.settle();
    let open: Vec<bool> = world.server.desk().alerts.iter().map(|alert| alert.open).collect();
    assert_eq!(open, [false, true], "{}", world.story());
}

#[test]
fn what_people_did_comes_back() {
    alert_read_back(&PRODUCT);
}

#[test]
fn an_alert_that_is_taken_and_then_discarded_is_told() {
    let mut world = World::new(&PRODUCT, 3);
    world.server.desk().filter = true;
    world.start();
    world.commit(vec![Truth::incident(1).row(&world.plan)]);
    world.until("it is parked", |w| w.rows().iter().any(|r| r.state == "parked"));
    let row = format!("{:?}", world.rows());
    assert!(row.contains("discarded by a filter of the integration"), "{row}");
    assert_eq!(world.status().0, "up");
}

#[test]
fn throttling_is_waited_out_and_a_link_stands_in_the_details() {
    let mut world = World::new(&PRODUCT, 4);
    world.start();
    let (incident, problem) = (Truth::incident(1), Truth::problem(2));
    world.server.desk().throttle = 2;
    world.commit(vec![incident.row(&world.plan), problem.row(&world.plan)]);
    world.settle();
    world.commit(vec![Truth::link(&incident, &problem).row(&world.plan)]);
    world.settle();
    let tickets = world.server.desk().tickets();
    assert_eq!(tickets.len(), 1, "problems have no place");
    assert_eq!(tickets[0].parents, [format!("sx-{}", problem.id())]);
}

#[test]
fn the_key_is_proven() {
    let unknown = Unfit::<Genie> {
        what: "a key that is not known",
        break_it: |genie| genie.other_key = true,
        says: &["the token is no integration key", "Key format is not valid"],
        mend: |genie| genie.other_key = false,
    };
    is_fit(&PRODUCT, &[unknown]);
}
