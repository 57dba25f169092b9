//! What is told to a ticket: a comment with the fields, then the status; looked back for and verified.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::super::classify::{Class, class, clip};
use super::super::talk::Talk;
use super::super::{Done, Method, Next, Reply, Request};
use super::options::Map;
use super::steps::{
    JSON, SECOND_LOOK, allowed, fields_warning, hidden, is_success, pause, read, read_after, refused,
    sentences, success,
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
    /// Number of the record's own ticket.
    pub own: &'a str,
    pub text: Option<&'a str>,
    pub status: Option<&'a str>,
    pub fields: bool,
}

impl Said<'_> {
    /// What of it is for the ticket as it is now: one that a person has merged leads to another, which
    /// belongs to that one's incident: it is told, but not closed or overwritten.
    fn to(&self, ticket: &Ticket) -> Self {
        let is_own = ticket.id == self.own;
        Self { status: self.status.filter(|_| is_own), fields: self.fields && is_own, ..*self }
    }
}

/// Comments, then sets the status; leaves out what was already done. `look`: it may have been.
///
/// A comment cannot be guarded (RT 5.0 answers 412 to every `If-Match` on `/comment`), so it carries no
/// status: that is written by itself, on the ticket as it is then, so that nothing overrides what a person
/// decided meanwhile.
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
    let mut done = Done::default();
    if let Some(text) = text {
        let said = said.to(&ticket);
        let reply = talk.ask(comment(map, job, wanted, &ticket, text, said.fields))?;
        if class(reply.status) == Class::Denied {
            return Err(hidden(talk, map, job, &ticket.id));
        }
        let fields = if said.fields { wanted.lacking(&ticket) } else { Vec::new() };
        done = verify(talk, map, job, wanted, &ticket, reply, (None, &fields))?;
        if allowed(map, wanted, &ticket, said.status).is_none_or(|status| status == ticket.status) {
            return Ok(done);
        }
        let id = ticket.id.clone();
        ticket = read(talk, map, job, &id)?;
    }
    for _ in 0..TRIES {
        let said = said.to(&ticket);
        let status = allowed(map, wanted, &ticket, said.status).filter(|s| *s != ticket.status);
        let Some(request) = change(map, job, wanted, &ticket, status, said.fields) else { return Ok(done) };
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
        return verify(talk, map, job, wanted, &ticket, reply, (status, &fields));
    }
    Err(talk.retry(None, format!("ticket {} changes faster than it can be written", ticket.id)))
}

/// What an earlier attempt has left to do: the ticket as it is now, and the text unless it was said. RT takes
/// no key with a comment and writes comment and fields one after the other; so what a lost attempt lacks is
/// looked for once more, when RT has had time to finish it.
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
    let said = said.to(&ticket);
    let status = allowed(map, wanted, &ticket, said.status).filter(|s| *s != ticket.status);
    let left = text.is_some() || change(map, job, wanted, &ticket, status, said.fields).is_some();
    if !job.unknown || !left {
        return Ok((ticket, text));
    }
    let ticket = read_after(talk, map, job, &ticket.id, SECOND_LOOK)?;
    if text.is_some() && is_said(talk, &ticket.id, job)? {
        text = None;
    }
    Ok((ticket, text))
}

/// The fields that are to be written, the key among them when the ticket was made while its queue had none.
fn fields(map: &Map, job: &Job, wanted: &Wanted, ticket: &Ticket) -> Json {
    let mut fields = wanted.fields_json();
    if ticket.field(map.key_field()).is_empty() {
        fields[map.key_field()] = json!(job.record_key);
    }
    fields
}

fn comment(map: &Map, job: &Job, wanted: &Wanted, ticket: &Ticket, text: &str, with_fields: bool) -> Request {
    let mut body = json!({
        "Subject": wanted.headline,
        "Content": format!("{text}\n\n[{}]", job.operation_key),
        "ContentType": "text/plain",
    });
    if with_fields {
        body["CustomFields"] = fields(map, job, wanted, ticket);
    }
    Request::write(Method::Post, format!("/ticket/{}/comment", ticket.id), JSON, body)
}

/// Sets the status and what fields lack, guarded by the ETag; `None` when nothing is left to change.
fn change(
    map: &Map,
    job: &Job,
    wanted: &Wanted,
    ticket: &Ticket,
    status: Option<&str>,
    with_fields: bool,
) -> Option<Request> {
    let mut body = json!({});
    if let Some(status) = status {
        body["Status"] = json!(status);
    }
    let lacks = ticket.field(map.key_field()).is_empty() || !wanted.lacking(ticket).is_empty();
    if with_fields && lacks {
        body["CustomFields"] = fields(map, job, wanted, ticket);
    }
    if body == json!({}) {
        return None;
    }
    let request = Request::write(Method::Put, format!("/ticket/{}", ticket.id), JSON, body);
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
fn verify(
    talk: &mut Talk,
    map: &Map,
    job: &Job,
    wanted: &Wanted,
    before: &Ticket,
    reply: &Reply,
    (status, fields): (Option<&str>, &[&str]),
) -> Result<Done, Next> {
    let told = sentences(talk, reply)?;
    let known = !told.is_empty() && told.iter().all(|s| is_success(s));
    let moved = status.is_none() || told.iter().any(|sentence| sentence.contains("Status changed from"));
    let names = |field: &str| told.iter().any(|s| s.strip_prefix(field).is_some_and(|s| s.starts_with(' ')));
    if known && moved && fields.iter().all(|field| names(field)) {
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
