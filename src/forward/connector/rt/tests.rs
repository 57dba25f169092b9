//! A scripted RT: each request must be the expected one. The tests themselves stand in the modules below.

mod amend;
mod create;
mod other;
mod read;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::*;
use crate::engine::effect::Operation;
use crate::engine::moment::Stamp;
use crate::engine::option::{OptionValue, Options};
use crate::engine::record::HostRef;
use crate::forward::connector::fixture::*;
use crate::forward::connector::tickets::minted;
use crate::forward::connector::{Reply, Request};

fn target(map: &[(&str, &str)]) -> Target {
    let map: BTreeMap<_, _> = map.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let options = Options(BTreeMap::from([("map".to_owned(), OptionValue::Map(map))]));
    let host = HostRef { id: "0123456789abcdef".into(), name: "web-01".into() };
    Target { id: "rt".into(), host, born: Stamp(0), options }
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

/// Plays the steps; every request must be the expected one. Returns the end and the requests.
fn play(map: &[(&str, &str)], job: &Job, steps: Vec<Step>) -> (Done, Vec<Request>) {
    let target = target(map);
    converse(|said| next(&target, std::slice::from_ref(job), said), steps)
}

fn stored(id: &str) -> Outcome {
    Outcome::stored(Some(id.to_owned()))
}

/// The status is written by itself, under the ETag of the ticket as it is then.
fn moved(now: &str, to: &str) -> Vec<Step> {
    let sentence = format!("Ticket 20: Status changed from '{now}' to '{to}'");
    vec![ok("GET /ticket/20", ticket(20, now)), ok("PUT /ticket/20", json!([sentence]))]
}

/// The status that was written.
fn status_of(asked: &[Request]) -> Option<&str> {
    asked.iter().filter(|r| r.is_write()).find_map(|r| r.json_body().get("Status")?.as_str())
}

/// Stored, and to be written once more.
fn mended(id: &str) -> Outcome {
    Outcome::Stored { remote_id: Some(id.to_owned()), again: Some(Duration::from_secs(60)) }
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
const UNKEYED: &str = "GET /tickets?query=Queue%20%3D%20%27Incidents%27%20AND%20Creator";
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
