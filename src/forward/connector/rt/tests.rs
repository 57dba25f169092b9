//! A scripted RT: each request must be the expected one. The tests themselves stand in the modules below.

mod amend;
mod create;
mod other;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::engine::effect::Operation;
use crate::engine::moment::Stamp;
use crate::engine::option::{OptionValue, Options};
use crate::engine::record::HostRef;
use crate::forward::connector::{Failure, Method, Reply, Request};

const KEY: &str = "sx-019ab000-0000-7000-8000-000000000001";

fn target(map: &[(&str, &str)]) -> Target {
    let map: BTreeMap<_, _> = map.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let options = Options(BTreeMap::from([("map".to_owned(), OptionValue::Map(map))]));
    let host = HostRef { id: "0123456789abcdef".into(), name: "web-01".into() };
    Target { id: "rt".into(), host, options }
}

fn body(file: &str) -> Json {
    serde_json::from_str(file).unwrap()
}

/// The first revision of the fixture's incident, not sent yet.
fn create() -> Job {
    let body = body(include_str!("../../../../tests/data/forward/incident.json"));
    Job {
        kind: RecordKind::Incident,
        record: body["id"].as_str().unwrap().to_owned(),
        rev: 1,
        acked_rev: 0,
        operation: Operation::Create,
        operation_key: format!("{KEY}-1-c"),
        record_key: KEY.to_owned(),
        remote_id: None,
        remote_problem: None,
        unknown: false,
        attempts: 0,
        body,
    }
}

/// A later revision of it, ticket 20 being known; `to` is the state it changed to.
fn later(operation: Operation, to: Option<(&str, &str)>) -> Job {
    let mut job = create();
    (job.rev, job.acked_rev, job.operation) = (2, 1, operation);
    job.operation_key = format!("{KEY}-2-{}", operation.letter());
    job.remote_id = Some("20".to_owned());
    let mut entry =
        json!({"at": "2026-11-22T10:10:00Z", "rev": 2, "actor": "rule", "kind": "x", "note": "what is new"});
    if let Some((from, to)) = to {
        (entry["from"], entry["to"], job.body["state"]) = (json!(from), json!(to), json!(to));
    }
    job.body["rev"] = json!(2);
    job.body["timeline"].as_array_mut().unwrap().push(entry);
    job
}

fn resolve() -> Job {
    later(Operation::Resolve, Some(("new", "resolved")))
}

fn link() -> Job {
    let mut job = create();
    (job.kind, job.operation) = (RecordKind::Link, Operation::Link);
    (job.remote_id, job.remote_problem) = (Some("20".to_owned()), Some("30".to_owned()));
    job
}

fn repeated(mut job: Job) -> Job {
    (job.unknown, job.attempts) = (true, 1);
    job
}

fn reply(status: u16, body: &Json) -> Reply {
    Reply { status, body: body.to_string().into_bytes(), ..Reply::default() }
}

/// What RT shows of a ticket that holds everything the fixture wants.
fn ticket(id: u64, status: &str) -> Json {
    let target = target(&[]);
    let map = Map::of(&target);
    let wanted = Wanted::of(&target, &map, &create()).unwrap();
    let field = |name: &str, value: &str| json!({"name": name, "values": [value]});
    let mut fields: Vec<Json> = wanted.fields.iter().map(|(n, v)| field(n, v)).collect();
    fields.push(field("CorrelationKey", KEY));
    json!({"id": id, "Status": status, "Priority": "20", "Queue": {"id": "3"}, "Creator": {"id": "sexton"},
        "CustomFields": fields, "_hyperlinks": []})
}

fn tickets(items: &[Json]) -> Json {
    json!({"total": items.len(), "items": items})
}

fn queue(fields: &[&str]) -> Json {
    let fields: Vec<Json> = fields.iter().map(|f| json!({"name": f, "ref": "customfield"})).collect();
    json!({"id": 3, "Name": "Incidents", "TicketCustomFields": fields})
}

/// One step of a conversation: what must be asked, and what RT answers.
type Step = (&'static str, Result<Reply, Failure>);

fn ok(asked: &'static str, body: Json) -> Step {
    (asked, Ok(reply(200, &body)))
}

fn says(asked: &'static str, status: u16, body: Json) -> Step {
    (asked, Ok(reply(status, &body)))
}

fn cut(asked: &'static str, sent: bool) -> Step {
    (asked, Err(Failure { sent, reason: "connection reset".into() }))
}

/// Plays the steps; every request must be the expected one. Returns the end and the requests.
fn play(map: &[(&str, &str)], job: &Job, steps: Vec<Step>) -> (Done, Vec<Request>) {
    let target = target(map);
    let mut said: Vec<Exchange> = Vec::new();
    let mut steps = steps.into_iter();
    loop {
        match next(&target, std::slice::from_ref(job), &said) {
            Next::Done(done) => {
                assert_eq!(steps.next().map(|s| s.0), None, "ended early with {done:?}");
                assert_eq!(done.outcomes.len(), 1);
                return (done, said.into_iter().map(|e| e.request).collect());
            }
            Next::Send(request) => {
                let method = match request.method {
                    Method::Get => "GET",
                    Method::Post => "POST",
                    Method::Put => "PUT",
                };
                let asked = format!("{method} {}", request.path);
                let (expected, result) = steps.next().unwrap_or_else(|| panic!("did not expect {asked}"));
                assert!(asked.starts_with(expected), "expected {expected}, got {asked}");
                said.push(Exchange { request, result });
            }
        }
    }
}

fn stored(id: &str) -> Outcome {
    Outcome::Stored { remote_id: Some(id.to_owned()) }
}

fn comments(sentences: &[&str]) -> Json {
    json!([&["Comments added"], sentences].concat())
}

fn reason(done: &Done) -> &str {
    match &done.outcomes[0] {
        Outcome::Retry { reason, .. } | Outcome::Pause { reason } | Outcome::Refused { reason } => reason,
        Outcome::Stored { .. } => "stored",
    }
}

const FIND: &str = "GET /tickets?query=%27CF.%7BCorrelationKey%7D%27%20%3D%20%27sx-019ab000";
const HISTORY: &str = "GET /ticket/20/history?fields=Type,Data&orderby=id&order=DESC";

fn retry(unknown: bool, after: Option<u64>, reason: &str) -> Outcome {
    Outcome::Retry { after: after.map(Duration::from_secs), unknown, reason: reason.to_owned() }
}

/// Joins parts of a script.
trait Concat {
    fn concat_steps(self) -> Vec<Step>;
}

impl<const N: usize> Concat for [Vec<Step>; N] {
    fn concat_steps(self) -> Vec<Step> {
        self.into_iter().flatten().collect()
    }
}

/// After a create that followed a search RT is searched again, for a ticket of an earlier attempt and for
/// twins.
fn steps_with_second_look(mut steps: Vec<Step>) -> Vec<Step> {
    steps.push(ok(FIND, tickets(&[ticket(20, "new")])));
    steps.push(ok(FIND, tickets(&[ticket(20, "new")])));
    steps
}
