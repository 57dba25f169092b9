//! What the tests of all connectors share: jobs about one record, and scripted answers.

use serde_json::{Value as Json, json};

use super::{Done, Exchange, Failure, Method, Next, Reply, Request};
use crate::engine::effect::{Job, Operation, Outcome, RecordKind};
use crate::engine::moment::{SECOND, Stamp};

/// Key of the fixture's incident.
pub const KEY: &str = "sx-019ab000-0000-7000-8000-000000000001";

pub fn body(file: &str) -> Json {
    serde_json::from_str(file).unwrap()
}

/// The first revision of the fixture's incident, not sent yet.
pub fn create() -> Job {
    let body = body(include_str!("../../../tests/data/forward/incident.json"));
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
        doubt_at: None,
        claimed_at: Stamp(0),
        attempts: 0,
        body,
    }
}

/// A later revision of it, ticket 20 being known; `to` is the state it changed to.
pub fn later(operation: Operation, to: Option<(&str, &str)>) -> Job {
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

pub fn resolve() -> Job {
    later(Operation::Resolve, Some(("new", "resolved")))
}

pub fn link() -> Job {
    let mut job = create();
    (job.kind, job.operation) = (RecordKind::Link, Operation::Link);
    (job.remote_id, job.remote_problem) = (Some("20".to_owned()), Some("30".to_owned()));
    job
}

pub fn repeated(mut job: Job) -> Job {
    (job.unknown, job.attempts) = (true, 1);
    job
}

/// Repeated a second after an attempt that may have arrived.
pub fn in_doubt(job: Job) -> Job {
    Job { doubt_at: Some(Stamp(0)), claimed_at: Stamp(SECOND), ..repeated(job) }
}

/// The outcome of one that waits for that attempt: for two seconds more, the doubt being the same.
pub fn waits(done: &Done) -> bool {
    let two = std::time::Duration::from_secs(2);
    matches!(&done.outcomes[..], [Outcome::Retry { after: Some(after), unknown: false, .. }] if *after == two)
}

pub fn reply(status: u16, body: &Json) -> Reply {
    Reply { status, body: body.to_string().into_bytes(), ..Reply::default() }
}

/// One step of a conversation: what must be asked, and what RT answers.
pub type Step = (&'static str, Result<Reply, Failure>);

pub fn ok(asked: &'static str, body: Json) -> Step {
    (asked, Ok(reply(200, &body)))
}

pub fn says(asked: &'static str, status: u16, body: Json) -> Step {
    (asked, Ok(reply(status, &body)))
}

pub fn cut(asked: &'static str, sent: bool) -> Step {
    (asked, Err(Failure { sent, reason: "connection reset".into() }))
}

/// Plays the steps against a conversation; every request must begin as expected ("GET /ticket/20"). Returns
/// the end and the requests.
pub fn converse(ask: impl Fn(&[Exchange]) -> Next, steps: Vec<Step>) -> (Done, Vec<Request>) {
    let mut said: Vec<Exchange> = Vec::new();
    let mut steps = steps.into_iter();
    loop {
        match ask(&said) {
            Next::Done(done) => {
                assert_eq!(steps.next().map(|s| s.0), None, "ended early with {done:?}");
                return (done, said.into_iter().map(|e| e.request).collect());
            }
            Next::Send(request) => {
                let asked = format!("{} {}", method(request.method), request.path);
                let (expected, result) = steps.next().unwrap_or_else(|| panic!("did not expect {asked}"));
                assert!(asked.starts_with(expected), "expected {expected}, got {asked}");
                said.push(Exchange { request: *request, result });
            }
        }
    }
}

fn method(method: Method) -> &'static str {
    match method {
        Method::Get => "GET",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Patch => "PATCH",
        Method::Delete => "DELETE",
    }
}
