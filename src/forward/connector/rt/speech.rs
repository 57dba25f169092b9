//! What is told to a ticket: one call with comment, status and fields, looked back for and verified.

use std::time::Duration;

use serde_json::json;

use super::super::classify::{Class, class, clip};
use super::super::talk::Talk;
use super::super::{Done, Method, Next, Reply, Request};
use super::options::Map;
use super::steps::{
    JSON, SECOND_LOOK, fields_warning, hidden, is_success, pause, read, read_after, refused, sentences,
    success,
};
use super::ticket::{Ticket, Wanted};
use super::{encode, loose};
use crate::engine::effect::Job;

/// How often a ticket that keeps changing is read anew and written within one conversation.
const TRIES: usize = 3;
/// When a resolve that only people can make possible is tried again.
const BLOCKED: Duration = Duration::from_secs(600);

/// What is to be said in one call.
pub struct Said<'a> {
    pub text: Option<&'a str>,
    pub status: Option<&'a str>,
    pub fields: bool,
}

/// Comments, sets status and fields in one call and verifies; leaves out what was already done. `look`: it
/// may have been.
pub fn speak(
    talk: &mut Talk,
    map: &Map,
    job: &Job,
    wanted: &Wanted,
    mut ticket: Ticket,
    said: &Said,
    look: bool,
) -> Result<Done, Next> {
    let mut text = said.text;
    if look {
        (ticket, text) = look_back(talk, map, job, wanted, ticket, said)?;
    }
    for _ in 0..TRIES {
        let status = said.status.filter(|s| *s != ticket.status);
        let Some(request) = speech(map, job, wanted, &ticket, &Said { text, status, ..*said }) else {
            return Ok(Done::default());
        };
        let reply = talk.ask(request)?;
        match class(reply.status) {
            Class::Changed => {
                // Somebody was faster, perhaps an earlier attempt of our own.
                let id = ticket.id.clone();
                ticket = read(talk, map, job, &id)?;
                continue;
            }
            Class::Denied => return Err(hidden(talk, map, job, &ticket.id)),
            _ => {}
        }
        let fields = if said.fields { wanted.lacking(&ticket) } else { Vec::new() };
        return verify(talk, map, job, wanted, &ticket, reply, status, &fields);
    }
    Err(talk.retry(None, format!("ticket {} changes faster than it can be written", ticket.id)))
}

/// What an earlier attempt has left to do: the ticket as it is now, and the text unless it was said. RT takes
/// neither `If-Match` nor a key with a comment, and writes comment, fields and status one after the other; so
/// what a lost attempt lacks is looked for once more, when RT has had time to finish it.
fn look_back<'a>(
    talk: &mut Talk,
    map: &Map,
    job: &Job,
    wanted: &Wanted,
    ticket: Ticket,
    said: &Said<'a>,
) -> Result<(Ticket, Option<&'a str>), Next> {
    let mut text = said.text;
    if text.is_some() && is_said(talk, &ticket.id, job)? {
        text = None;
    }
    let status = said.status.filter(|s| *s != ticket.status);
    if !job.unknown || speech(map, job, wanted, &ticket, &Said { text, status, ..*said }).is_none() {
        return Ok((ticket, text));
    }
    let ticket = read_after(talk, map, job, &ticket.id, SECOND_LOOK)?;
    if text.is_some() && is_said(talk, &ticket.id, job)? {
        text = None;
    }
    Ok((ticket, text))
}

/// The call that says it; `None` when nothing is left to say. Only a `PUT` can be guarded by the ETag: RT 5.0
/// answers 412 to every `If-Match` on `/comment`.
fn speech(map: &Map, job: &Job, wanted: &Wanted, ticket: &Ticket, said: &Said) -> Option<Request> {
    let mut body = json!({});
    if let Some(status) = said.status {
        body["Status"] = json!(status);
    }
    // A ticket made while its queue had no such field gets its key now.
    let keyless = ticket.field(map.key_field()).is_empty();
    let lacks = || keyless || wanted.fields.iter().any(|(n, v)| !ticket.holds(n, v));
    if said.fields && (said.text.is_some() || lacks()) {
        body["CustomFields"] = wanted.fields_json();
        if keyless {
            body["CustomFields"][map.key_field()] = json!(job.record_key);
        }
    }
    let path = format!("/ticket/{}", ticket.id);
    if let Some(text) = said.text {
        body["Subject"] = json!(wanted.headline);
        body["Content"] = json!(format!("{text}\n\n[{}]", job.operation_key));
        body["ContentType"] = json!("text/plain");
        return Some(Request::write(Method::Post, format!("{path}/comment"), JSON, body));
    }
    if body == json!({}) {
        return None;
    }
    let request = Request::write(Method::Put, path, JSON, body);
    Some(ticket.etag.iter().fold(request, |r, etag| r.with("if-match", etag)))
}

/// True when the history holds this operation's comment.
fn is_said(talk: &mut Talk, id: &str, job: &Job) -> Result<bool, Next> {
    let path = format!("/ticket/{id}/history?fields=Type,Data&orderby=id&order=DESC&per_page=100");
    let reply = talk.ask(Request::get(path))?;
    success(talk, reply)?;
    let json = reply.json();
    let Some(items) = json["items"].as_array() else {
        return Err(talk.retry(None, format!("RT's answer for the history of ticket {id} is no list")));
    };
    let marker = format!("[{}]", job.operation_key);
    // The subject of a comment stands in `Data` of its transaction.
    Ok(items.iter().any(|i| i["Type"] == "Comment" && loose(&i["Data"]).trim_end().ends_with(&marker)))
}

/// A 200 or 201 may hold refusals: trusts known sentences that tell of the status and of each field, reads
/// back otherwise. A field that is away is passed over without a word.
#[expect(clippy::too_many_arguments, reason = "all of them are one call and its answer")]
fn verify(
    talk: &mut Talk,
    map: &Map,
    job: &Job,
    wanted: &Wanted,
    before: &Ticket,
    reply: &Reply,
    status: Option<&str>,
    fields: &[&str],
) -> Result<Done, Next> {
    let told = sentences(talk, reply)?;
    let says = |what: &str| told.iter().any(|sentence| sentence.contains(what));
    let known = !told.is_empty() && told.iter().all(|s| is_success(s));
    let moved = status.is_none() || says("Status changed from");
    if known && moved && fields.iter().all(|name| says(name)) {
        return Ok(Done::default());
    }
    let ticket = read(talk, map, job, &before.id)?;
    if let Some(status) = status
        && ticket.status != status
        && !(map.is_inactive(status) && map.is_inactive(&ticket.status))
    {
        return Err(refusal(talk, map, job, &ticket, &told, &format!("status '{status}'")));
    }
    let warning = (ticket.id == before.id).then(|| fields_warning(wanted, &ticket)).flatten();
    Ok(Done { warning, ..Done::default() })
}

/// Why RT did not do it, from its sentences: a matter of this ticket, or of the token's rights as a whole?
pub fn refusal(talk: &mut Talk, map: &Map, job: &Job, ticket: &Ticket, told: &[String], what: &str) -> Next {
    let whys: Vec<&str> = told.iter().map(String::as_str).filter(|s| !is_success(s)).collect();
    let why = if whys.is_empty() { "without a word".to_owned() } else { clip(&whys.join("; "), 300) };
    let reason = format!("RT refused the {what} on ticket {}: {why}", ticket.id);
    if why.contains("unresolved dependencies") {
        return talk.retry(Some(BLOCKED), reason);
    }
    if why.contains("Permission Denied") {
        let queue = map.queue(job.kind);
        let reply = match talk.ask(Request::get(format!("/queue/{}", encode(queue)))) {
            Ok(reply) => reply,
            Err(next) => return next,
        };
        if loose(&reply.json()["id"]) == ticket.queue {
            return pause(format!("{reason}; grant ModifyTicket in queue '{queue}'"));
        }
    }
    refused(reason)
}
