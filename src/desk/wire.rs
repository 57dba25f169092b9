//! Reads what arrives: one CloudEvent or a batch of them, each carrying one whole record (docs/records.md).
//!
//! Pure: bytes in, deliveries out; knows neither HTTP nor the database. A body that is no JSON, or not of the
//! announced shape, is one error; within a batch every event is judged on its own, so that one bad event
//! never holds back its neighbours. Unknown fields are kept: what is stored is the JSON as it came, only what
//! the desk needs is looked into.

use serde::Deserialize;
use serde_json::Value as Json;

use crate::engine::effect::RecordKind;
use crate::engine::moment::Stamp;
use crate::engine::record::{HostRef, Incident, Link, Problem, ProblemState};

/// Events in one batch at most; a larger batch is refused whole, before anything is stored.
pub(super) const MAX_EVENTS: usize = 5_000;
/// Largest record as JSON text, in bytes; a larger one is refused on its own.
pub(super) const MAX_RECORD: usize = 256 * 1024;
/// Longest event id, in bytes.
const MAX_EVENT_ID: usize = 256;
/// Longest record or host id, in bytes.
const MAX_ID: usize = 128;

/// A body, taken apart.
#[derive(Debug)]
pub(super) struct Batch {
    /// It was one event, not a list.
    pub single: bool,
    /// The events in the order they came.
    pub events: Vec<Delivery>,
}

/// One event: its id, and what it carries or why it is refused.
#[derive(Debug)]
pub(super) struct Delivery {
    /// The CloudEvents `id`; empty when it had none.
    pub id: String,
    /// What it carries.
    pub content: Result<Content, String>,
}

/// What an event carries.
#[derive(Debug)]
pub(super) enum Content {
    /// An incident or a problem.
    Record(Box<Row>),
    /// Membership of an incident in a problem.
    Link(Box<LinkRow>),
    /// A sign of life.
    Heartbeat(Box<HeartbeatRow>),
}

/// An incident or problem as the database holds it: what is searched and sorted by, and the JSON.
#[derive(Debug)]
pub(super) struct Row {
    /// Incident or problem.
    pub kind: RecordKind,
    /// The host it comes from.
    pub host: HostRef,
    /// Record id.
    pub id: String,
    /// Revision.
    pub rev: i64,
    /// Life-cycle state as on the wire.
    pub state: String,
    /// Incident: not yet resolved, closed or cancelled. Problem: still to be worked on.
    pub open: bool,
    /// 1 for P1 … 5 for P5.
    pub priority: u8,
    /// Incident: raised. Problem: first opening.
    pub since: Stamp,
    /// Incident: when it was over. Problem: last opening.
    pub until: Option<Stamp>,
    /// Problem: its pain; incidents have none.
    pub weight: f64,
    /// The record as it came, with the long parts emptied.
    pub summary: String,
    /// The record as it came.
    pub body: String,
}

/// A link as the database holds it.
#[derive(Debug)]
pub(super) struct LinkRow {
    /// The link.
    pub link: Link,
    /// The link as it came.
    pub body: String,
}

/// A heartbeat as the database holds it.
#[derive(Debug)]
pub(super) struct HeartbeatRow {
    /// The heartbeat.
    pub heartbeat: Heartbeat,
    /// The heartbeat as it came.
    pub body: String,
}

/// A host's sign of life (`heartbeat/1`); only `host` and `at` are required.
#[derive(Debug, Deserialize)]
pub(super) struct Heartbeat {
    /// Whose.
    pub host: HostRef,
    /// When it was made.
    pub at: Stamp,
    /// Seconds until the next one.
    #[serde(default)]
    pub interval: Option<f64>,
    /// Version of the agent.
    #[serde(default)]
    pub version: Option<String>,
}

/// Takes a body apart.
///
/// # Errors
/// One sentence for whoever sent it, when nothing in it can be used.
pub(super) fn decode(shape: Shape, body: &[u8]) -> Result<Batch, String> {
    let json: Json = serde_json::from_slice(body).map_err(|e| format!("the body is not JSON: {e}"))?;
    let (single, events) = match (json, shape) {
        (Json::Array(list), Shape::Batch | Shape::Either) => (false, list),
        (one @ Json::Object(_), Shape::Single | Shape::Either) => (true, vec![one]),
        (_, Shape::Batch) => return Err("a batch must be a JSON array of CloudEvents".to_owned()),
        (_, Shape::Single) => return Err("a CloudEvent must be a JSON object".to_owned()),
        (_, Shape::Either) => return Err("expected a CloudEvent or an array of them".to_owned()),
    };
    if events.len() > MAX_EVENTS {
        return Err(format!("{} events in one batch; at most {MAX_EVENTS} are taken", events.len()));
    }
    if single && events.iter().all(|e| e.get("specversion").is_none()) {
        return Err("not a CloudEvent: `specversion` is missing".to_owned());
    }
    Ok(Batch { single, events: events.into_iter().map(delivery).collect() })
}

/// The shape a content type announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// `application/cloudevents+json`.
    Single,
    /// `application/cloudevents-batch+json`.
    Batch,
    /// `application/json`: as it looks.
    Either,
}

impl Shape {
    /// The shape of a content type, parameters ignored; `None` when the desk does not read that type.
    pub(super) fn of(content_type: &str) -> Option<Shape> {
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/cloudevents+json" => Some(Shape::Single),
            "application/cloudevents-batch+json" => Some(Shape::Batch),
            "application/json" => Some(Shape::Either),
            _ => None,
        }
    }
}

fn delivery(event: Json) -> Delivery {
    let id = event.get("id").and_then(Json::as_str).unwrap_or_default();
    let id = id.chars().take(MAX_EVENT_ID).collect();
    Delivery { id, content: content(event) }
}

fn content(mut event: Json) -> Result<Content, String> {
    if !event.is_object() {
        return Err("an event must be a JSON object".to_owned());
    }
    for attribute in ["specversion", "id", "source", "type"] {
        match event.get(attribute) {
            None => return Err(format!("not a CloudEvent: `{attribute}` is missing")),
            Some(Json::String(text)) if !text.is_empty() && text.len() <= MAX_EVENT_ID => {}
            Some(_) => return Err(format!("`{attribute}` must be a text of 1 to {MAX_EVENT_ID} bytes")),
        }
    }
    if event["specversion"] != "1.0" {
        return Err(format!("CloudEvents {} is not understood, only 1.0 is", event["specversion"]));
    }
    let kind = kind_of(event["type"].as_str().unwrap_or_default())?;
    let data = event.get_mut("data").map(Json::take).filter(Json::is_object);
    let data = data.ok_or("`data` must hold the whole record as a JSON object")?;
    let body = data.to_string();
    if body.len() > MAX_RECORD {
        return Err(format!("the record has {} bytes; at most {MAX_RECORD} are taken", body.len()));
    }
    kind.read(data, body)
}

/// What an event type announces.
#[derive(Clone, Copy)]
enum Kind {
    Incident,
    Problem,
    Link,
    Heartbeat,
}

/// Verbs of incidents and problems are hints only, since the data is always the whole record; so unknown ones
/// pass.
fn kind_of(event_type: &str) -> Result<Kind, String> {
    let words: Vec<&str> = event_type.split('.').collect();
    let ["org", "sexton", noun, verb, version] = words[..] else {
        return Err(format!("event type `{event_type}` is not understood"));
    };
    let kind = match (noun, verb) {
        ("incident", _) => Kind::Incident,
        ("problem", _) => Kind::Problem,
        ("link", "created") => Kind::Link,
        ("host", "heartbeat") => Kind::Heartbeat,
        _ => return Err(format!("event type `{event_type}` is not understood")),
    };
    if version != "v1" {
        return Err(format!("event type `{event_type}` is of a newer kind than this desk understands (v1)"));
    }
    Ok(kind)
}

impl Kind {
    fn schema(self) -> &'static str {
        match self {
            Kind::Incident => "incident/1",
            Kind::Problem => "problem/1",
            Kind::Link => "link/1",
            Kind::Heartbeat => "heartbeat/1",
        }
    }

    fn read(self, data: Json, body: String) -> Result<Content, String> {
        self.check_schema(&data)?;
        let content = match self {
            Kind::Incident => Content::Record(Box::new(incident_row(data, body)?)),
            Kind::Problem => Content::Record(Box::new(problem_row(data, body)?)),
            Kind::Link => {
                let link: Link = parse("link", &data)?;
                check_host(&link.host)?;
                for id in [&link.id, &link.incident, &link.problem] {
                    check_id("id", id)?;
                }
                Content::Link(Box::new(LinkRow { link, body }))
            }
            Kind::Heartbeat => {
                let heartbeat: Heartbeat = parse("heartbeat", &data)?;
                check_host(&heartbeat.host)?;
                Content::Heartbeat(Box::new(HeartbeatRow { heartbeat, body }))
            }
        };
        Ok(content)
    }

    /// Incidents and problems must name their schema; the small kinds may leave it out.
    fn check_schema(self, data: &Json) -> Result<(), String> {
        let required = matches!(self, Kind::Incident | Kind::Problem);
        match data.get("schema") {
            None if !required => Ok(()),
            Some(Json::String(schema)) if schema == self.schema() => Ok(()),
            None => Err(format!("`schema` is missing; this desk understands {}", self.schema())),
            Some(schema) => {
                Err(format!("schema {schema} is not understood; this desk understands {}", self.schema()))
            }
        }
    }
}

fn incident_row(data: Json, body: String) -> Result<Row, String> {
    let incident: Incident = parse("incident", &data)?;
    let over = incident.resolved_at.or(incident.closed_at).unwrap_or(incident.at);
    let open = incident.state.is_open();
    Ok(Row {
        kind: RecordKind::Incident,
        id: checked_id(&incident.host, incident.id)?,
        host: incident.host,
        rev: checked_rev(incident.rev)?,
        state: text_of(&data, "state"),
        open,
        priority: incident.priority.number(),
        since: incident.raised_at,
        until: (!open).then_some(over),
        weight: 0.0,
        summary: summary(data),
        body,
    })
}

fn problem_row(data: Json, body: String) -> Result<Row, String> {
    let problem: Problem = parse("problem", &data)?;
    use ProblemState::{Candidate, FixPending, KnownError, Open};
    Ok(Row {
        kind: RecordKind::Problem,
        id: checked_id(&problem.host, problem.id)?,
        host: problem.host,
        rev: checked_rev(problem.rev)?,
        state: text_of(&data, "state"),
        open: matches!(problem.state, Candidate | Open | KnownError | FixPending),
        priority: problem.priority.number(),
        since: problem.first_at,
        until: Some(problem.last_at),
        weight: problem.pain,
        summary: summary(data),
        body,
    })
}

/// The record with its long parts emptied, for lists; still a whole record to the parser.
fn summary(mut data: Json) -> String {
    if let Some(map) = data.as_object_mut() {
        map.remove("evidence");
        map.insert("description".to_owned(), Json::String(String::new()));
        map.insert("timeline".to_owned(), Json::Array(Vec::new()));
    }
    data.to_string()
}

fn parse<'de, T: Deserialize<'de>>(what: &str, data: &'de Json) -> Result<T, String> {
    T::deserialize(data).map_err(|e| format!("not a {what}: {e}"))
}

fn text_of(data: &Json, key: &str) -> String {
    data.get(key).and_then(Json::as_str).unwrap_or_default().to_owned()
}

fn checked_rev(rev: u64) -> Result<i64, String> {
    i64::try_from(rev).ok().filter(|r| *r > 0).ok_or_else(|| format!("`rev` {rev} is out of range"))
}

fn checked_id(host: &HostRef, id: String) -> Result<String, String> {
    check_host(host)?;
    check_id("id", &id)?;
    Ok(id)
}

fn check_host(host: &HostRef) -> Result<(), String> {
    check_id("host.id", &host.id)?;
    if host.name.is_empty() || host.name.len() > MAX_EVENT_ID {
        return Err(format!("`host.name` must have 1 to {MAX_EVENT_ID} bytes"));
    }
    Ok(())
}

/// Ids stand in addresses and keys, so they keep to a safe alphabet.
fn check_id(name: &str, id: &str) -> Result<(), String> {
    let safe = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if id.is_empty() || id.len() > MAX_ID || !id.bytes().all(safe) || id.starts_with('.') {
        return Err(format!("`{name}` must be 1 to {MAX_ID} letters, digits, `-`, `_` or `.`"));
    }
    Ok(())
}
