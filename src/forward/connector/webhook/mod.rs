//! Connector `webhook`: anything that takes HTTP.
//!
//! ```text
//! POST {url}{path}   application/cloudevents+json: one record, whole        (the default)
//!                    application/cloudevents-batch+json: many of them       (batch = true)
//!                    what a template renders                                (template, templates, …)
//! idempotency-key: "OP"   webhook-id: OP   webhook-timestamp, webhook-signature (with secret)
//! ```
//! The operation key is the same for every repetition, so that a receiver can tell them: delivery is at least
//! once. Nothing is looked for before a repetition, because an unknown product has no known search.

mod options;
mod sample;
mod template;

use std::time::Duration;

use serde_json::{Map as Object, Value as Json, json};
use sha2::{Digest, Sha256};

use self::options::{LOGINS, Map, OPTIONS, kind_word, operation_word};
use self::template::{Escape, render};
use super::classify::{Class, class, is_page, outcome, sentence};
use super::wanted::Wanted;
use super::{Body, Connector, Done, Exchange, Method, Next, Place, Reply, Request, Target, WireKind, desk};
use crate::engine::effect::{Job, Outcome, RecordKind};
use crate::engine::moment::Stamp;
use crate::engine::option::{DoorSpec, Options};
use crate::engine::record::HostRef;

/// The connector.
pub const CONNECTOR: Connector = Connector {
    door: DoorSpec {
        kind: "webhook",
        about: "anything that takes HTTP: CloudEvents, signed, or a body by template",
        options: OPTIONS,
        signals: &[],
        check,
    },
    batch: 32,
    concurrency: 2,
    wire: WireKind::Http,
    logins: LOGINS,
    hello: None,
    heartbeat: None,
    next,
    read: None,
    read_batch: 1,
};

const EVENT_TYPE: &str = "application/cloudevents+json; charset=UTF-8";
const BATCH_TYPE: &str = "application/cloudevents-batch+json; charset=UTF-8";
/// How often a 409 is taken for an earlier attempt that is still at work.
const STILL_AT_WORK: u32 = 10;

/// Answers of so many bytes end a batch: what was not sent yet goes with the next.
const HEARD_MOST: usize = 1 << 20;

fn heard(exchanges: &[Exchange]) -> usize {
    let bodies = exchanges.iter().filter_map(|exchange| exchange.result.as_ref().ok());
    bodies.map(|reply| reply.body.len()).sum()
}

fn for_the_next() -> Outcome {
    let reason = "the answers to others before it were too large".to_owned();
    Outcome::Retry { after: Some(Duration::ZERO), unknown: false, reason }
}

/// The next request, or the outcomes.
pub fn next(target: &Target, jobs: &[Job], exchanges: &[Exchange]) -> Next {
    let map = Map::of(target);
    if map.is_events() && map.batch() {
        let events: Vec<Json> = jobs.iter().map(|job| desk::event(target, job)).collect();
        let post = |jobs: &[Job], body: Json| {
            let path = path(&map, target, &jobs[0]).unwrap_or_default();
            signed(
                Request::write(map.method(jobs[0].kind, jobs[0].operation), path, BATCH_TYPE, body),
                &digest(jobs),
            )
        };
        return desk::batch(jobs, &events, exchanges, post, batch_results);
    }
    let mut said = exchanges.iter();
    let (mut outcomes, mut warning) = (Vec::with_capacity(jobs.len()), None);
    let mut stop: Option<Outcome> = None;
    for job in jobs {
        if let Some(stop) = &stop {
            outcomes.push(stop.clone());
            continue;
        }
        let request = match request(&map, target, job) {
            Ok(Some(request)) => request,
            Ok(None) => {
                outcomes.push(Outcome::stored(None));
                continue;
            }
            Err(reason) => {
                outcomes.push(Outcome::Refused { reason });
                continue;
            }
        };
        let Some(exchange) = said.next() else {
            if !exchanges.is_empty() && heard(exchanges) > HEARD_MOST {
                stop = Some(for_the_next());
                outcomes.extend(stop.clone());
                continue;
            }
            return Next::send(request);
        };
        let (outcome, flaw) = judge(&map, job, exchange);
        stop = for_the_rest(&outcome, exchange);
        warning = warning.or(flaw);
        outcomes.push(outcome);
    }
    Next::Done(Done { outcomes, warning, ..Done::default() })
}

/// The request of one job; `None` when this operation is not sent.
///
/// # Errors
/// Why it cannot be written.
fn request(map: &Map, target: &Target, job: &Job) -> Result<Option<Request>, String> {
    let method = map.method(job.kind, job.operation);
    let context = context(target, job)?;
    let path = checked_path(&render("path", map.path(job.kind, job.operation), Escape::Address, &context)?)?;
    let mut request = if map.is_events() {
        Request::write(method, path, EVENT_TYPE, desk::event(target, job))
    } else {
        let Some((name, source)) = map.template(job.kind, job.operation) else { return Ok(None) };
        let body = render(name, source, Escape::of(map.content_type()), &context)?;
        let body =
            if method == Method::Delete && body.trim().is_empty() { Body::None } else { Body::Text(body) };
        let request = Request { method, body, ..Request::get(path) };
        request.with("content-type", map.content_type())
    };
    for (name, source) in map.headers() {
        let value = render(&format!("header {name}"), source, Escape::Plain, &context)?;
        // What a header cannot carry would keep the whole record back.
        let visible = |c: char| if (' '..='~').contains(&c) { c } else { '?' };
        request = request.with(name, value.trim().chars().map(visible).collect::<String>());
    }
    Ok(Some(signed(request, &job.operation_key)))
}

fn path(map: &Map, target: &Target, job: &Job) -> Result<String, String> {
    let context = context(target, job)?;
    checked_path(&render("path", map.path(job.kind, job.operation), Escape::Address, &context)?)
}

/// Begins with a slash, a question mark or nothing at all.
fn checked_path(path: &str) -> Result<String, String> {
    let path = path.trim();
    let begins = path.is_empty() || path.starts_with('/') || path.starts_with('?');
    if !begins || path.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(format!("path: '{path}' must begin with a slash and have no spaces"));
    }
    Ok(path.to_owned())
}

/// With the keys by which a receiver tells a repetition, and its secrets.
fn signed(request: Request, key: &str) -> Request {
    request
        .with("idempotency-key", format!("\"{key}\""))
        .with("webhook-id", key)
        .secret("secret", Place::Signature)
        .secret("url_secret", Place::Path)
}

/// A key of its own for a batch: the same as long as the same operations are in it.
fn digest(jobs: &[Job]) -> String {
    let mut hash = Sha256::new();
    for job in jobs {
        hash.update(job.operation_key.as_bytes());
        hash.update([0]);
    }
    let hex: String = hash.finalize().iter().take(16).map(|b| format!("{b:02x}")).collect();
    format!("sx-b-{hex}")
}

/// Everything that a template can name.
fn context(target: &Target, job: &Job) -> Result<Json, String> {
    let mut names = Object::new();
    let mut set = |name: &str, value: Json| names.insert(name.to_owned(), value);
    set("kind", json!(kind_word(job.kind)));
    set("operation", json!(operation_word(job.operation)));
    set("operation_key", json!(job.operation_key));
    set("record_key", json!(job.record_key));
    set("remote_id", json!(job.remote_id));
    set("remote_problem", json!(job.remote_problem));
    set("rev", json!(job.rev));
    set("host", json!(target.host));
    set("record", job.body.clone());
    if job.kind != RecordKind::Link {
        let wanted = Wanted::of(job)?;
        set("alert_key", json!(wanted.alert_key));
        set("marker", json!(wanted.marker));
        set("number", json!(wanted.number));
        set("subject", json!(wanted.subject));
        set("title", job.body["title"].clone());
        set("content", json!(wanted.content));
        set("comment", json!(wanted.comment.unwrap_or_default()));
        set("closure", json!(wanted.closure));
        set("ci", json!(wanted.ci));
        set("service", json!(wanted.service.unwrap_or_default()));
        set("category", json!(wanted.category));
        set("impact", json!(wanted.impact));
        set("urgency", json!(wanted.urgency));
        set("priority", json!(wanted.priority));
        set("severity", json!(wanted.severity));
        set("state", json!(wanted.stage));
        set("over", json!(!wanted.stage.is_open()));
    }
    Ok(Json::Object(names))
}

/// What became of one job, and a flaw to be logged.
fn judge(map: &Map, job: &Job, exchange: &Exchange) -> (Outcome, Option<String>) {
    let reply = match &exchange.result {
        Ok(reply) => reply,
        Err(failure) => {
            let reason = failure.reason.clone();
            return (Outcome::Retry { after: None, unknown: failure.sent, reason }, None);
        }
    };
    if map.is_success(reply.status) {
        return stored(map, job, reply);
    }
    let reason = sentence(reply);
    let outcome = match reply.status {
        200..=299 => Outcome::Refused { reason: format!("{reason}, which is not among success") },
        409 if job.attempts < STILL_AT_WORK => {
            Outcome::Retry { after: reply.retry_after, unknown: false, reason }
        }
        405 | 406 | 415 => {
            Outcome::Pause { reason: format!("{reason}: check method, path and content_type") }
        }
        404 | 410 if job.remote_id.is_some() && !map.id().is_empty() => {
            let id = job.remote_id.as_deref().unwrap_or_default();
            let what = format!("the receiver has no {id} any more, or path is wrong for this operation");
            Outcome::Refused { reason: format!("{reason}: {what}") }
        }
        404 => Outcome::Pause { reason: format!("{reason}: no such address there: check url and path") },
        410 => {
            Outcome::Pause { reason: format!("{reason}: the receiver has given up this address: check url") }
        }
        _ => outcome(reply, true).unwrap_or(Outcome::Refused { reason }),
    };
    (outcome, None)
}

fn stored(map: &Map, job: &Job, reply: &Reply) -> (Outcome, Option<String>) {
    if is_page(reply) && !map.trusts_pages() {
        let reason =
            "answered with a web page: a proxy or a login page in its place? (see success)".to_owned();
        return (Outcome::Retry { after: None, unknown: true, reason }, None);
    }
    let json = reply.json();
    if !map.fault().is_empty() && json.pointer(map.fault()).is_some_and(is_something) {
        return (Outcome::Refused { reason: sentence(reply) }, None);
    }
    let id = remote_id(map, &json, reply);
    let lacks =
        job.remote_id.is_none() && id.is_none() && !map.id().is_empty() && job.kind != RecordKind::Link;
    let flaw = lacks.then(|| format!("the answer to {} has no id at {}", job.operation_key, map.id()));
    // What has no id there is known by its own.
    let own = map.id().is_empty().then(|| job.record.clone());
    let id = if job.kind == RecordKind::Link { None } else { id.or(own) };
    (Outcome::stored(id), flaw)
}

fn remote_id(map: &Map, json: &Json, reply: &Reply) -> Option<String> {
    let id = match map.id() {
        "" => return None,
        "location" => {
            let path = reply.header("location")?.split(['?', '#']).next()?;
            path.rsplit('/').find(|part| !part.is_empty())?.to_owned()
        }
        pointer => super::request::loose(json.pointer(pointer)?),
    };
    Some(id).filter(|id| !id.is_empty())
}

/// Not null, false, zero or empty.
fn is_something(json: &Json) -> bool {
    match json {
        Json::Null => false,
        Json::Bool(truth) => *truth,
        Json::Number(n) => n.as_f64() != Some(0.0),
        Json::String(text) => !text.is_empty(),
        Json::Array(list) => !list.is_empty(),
        Json::Object(map) => !map.is_empty(),
    }
}

/// What this exchange says of the jobs behind it: nothing, when it is about the one record.
fn for_the_rest(outcome: &Outcome, exchange: &Exchange) -> Option<Outcome> {
    let away = match &exchange.result {
        Err(_) => true,
        Ok(reply) => class(reply.status) == Class::NotNow || matches!(reply.status, 502 | 504),
    };
    match outcome {
        Outcome::Pause { .. } => Some(outcome.clone()),
        Outcome::Retry { after, reason, .. } if away => {
            Some(Outcome::Retry { after: *after, unknown: false, reason: reason.clone() })
        }
        _ => None,
    }
}

/// A batch that was taken, unless a web page says so: each event by its result where the receiver gives
/// results, else all of them.
fn batch_results(reply: &Reply, jobs: &[Job], outcomes: &mut [Option<Outcome>]) {
    if is_page(reply) {
        return;
    }
    if reply.json()["results"].is_array() {
        return desk::results(reply, jobs, outcomes);
    }
    for (job, outcome) in jobs.iter().zip(outcomes) {
        let id = (job.kind != RecordKind::Link).then(|| job.record.clone());
        *outcome = Some(Outcome::stored(id));
    }
}

/// Checks the options, and tries every template on made-up records of every kind.
///
/// # Errors
/// A sentence with the template's name, line and fault.
pub fn check(options: &Options) -> Result<(), String> {
    options::check(options)?;
    let map = Map::from(options);
    let host = HostRef { id: "0123456789abcdef".to_owned(), name: "web-01".to_owned() };
    let target = Target { id: String::new(), host, born: Stamp(0), options: options.clone() };
    for mut job in sample::jobs()? {
        if map.id().is_empty() && job.remote_id.is_some() {
            job.remote_id = Some(job.record.clone());
        }
        request(&map, &target, &job)
            .map_err(|e| format!("{e} (for {}.{})", kind_word(job.kind), operation_word(job.operation)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
