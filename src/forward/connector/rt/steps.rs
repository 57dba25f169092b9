//! The conversations with RT, each straight-line code over a [`Talk`].

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::super::classify::{Class, class, clip, sentence};
use super::super::talk::{Talk, end};
use super::super::{Done, Method, Next, Reply, Request};
use super::options::Map;
use super::read::{orphan, quote, unkeyed};
use super::speech::{Said, refusal, speak};
use super::ticket::{Ticket, Wanted};
use super::{encode, loose};
use crate::engine::effect::{Job, Operation, Outcome};
use crate::engine::moment::MINUTE;

/// When a link whose ends are not stored yet is looked at again.
const ENDS_MISSING: Duration = Duration::from_secs(60);
/// Before what a lost attempt should have done is looked for a second time: RT may still be at work on it, or
/// may just have come back.
pub(super) const SECOND_LOOK: Duration = Duration::from_secs(3);
/// When a ticket that lacks fields is written again, and for how long after the record's last change, in
/// nanoseconds.
const MEND: Duration = Duration::from_secs(60);
const MEND_FOR: i64 = 10 * MINUTE;
pub(super) const JSON: &str = "application/json";

/// Reads a queue and returns the custom fields it lacks; ends with a pause when the key's field is among
/// them.
pub(super) fn check_queue(
    talk: &mut Talk,
    map: &Map,
    kind: crate::engine::effect::RecordKind,
) -> Result<Vec<String>, Next> {
    let queue = map.queue(kind);
    let reply = talk.ask(Request::get(format!("/queue/{}", encode(queue))))?;
    if class(reply.status) != Class::Success {
        return Err(pause(format!(
            "queue '{queue}' is not there or hidden from this token ({})",
            sentence(reply)
        )));
    }
    let json = reply.json();
    if loose(&json["id"]).is_empty() {
        let said = sentence(reply);
        return Err(
            talk.retry(None, format!("RT's answer for queue '{queue}' is no queue, check url ({said})"))
        );
    }
    let listed = json["TicketCustomFields"].as_array().cloned().unwrap_or_default();
    let has = |name: &str| listed.iter().any(|f| f["name"] == name);
    if !has(map.key_field()) {
        let key = map.key_field();
        return Err(pause(format!(
            "queue '{queue}' shows no custom field '{key}' to this token: create it and grant SeeCustomField"
        )));
    }
    Ok(map.fields(kind).filter(|name| !has(name)).map(|name| format!("{queue}.{name}")).collect())
}

/// A record that has no ticket yet, or whose ticket has to be found again.
pub(super) fn create(talk: &mut Talk, map: &Map, job: &Job, wanted: &Wanted) -> Result<Done, Next> {
    let repeated = is_repeated(job) || job.operation != Operation::Create;
    let mut found = if repeated { find(talk, map, job, Duration::ZERO)?.into_iter().next() } else { None };
    if found.is_none() && job.unknown {
        found = find(talk, map, job, SECOND_LOOK)?.into_iter().next();
    }
    if found.is_none()
        && let Some(id) = orphan(talk, map, job, wanted)?
    {
        return amend_ticket(talk, map, job, wanted, &id);
    }
    if found.is_none() && repeated {
        // A search by a field that the queue has lost finds nothing, without a word.
        check_queue(talk, map, job.kind)?;
        if job.unknown {
            found = unkeyed(talk, map, job)?;
        }
    }
    let fresh = found.is_none();
    let mut id = match found {
        Some(ticket) => ticket.id,
        None => post(talk, map, job, wanted)?,
    };
    if !fresh && job.operation != Operation::Create {
        return amend_ticket(talk, map, job, wanted, &id);
    }
    let mut ticket = read(talk, map, job, &id)?;
    if ticket.id != id {
        // A person has merged it, and the other one has a key of its own, or none.
        let is_over = wanted.over.is_some();
        return if is_over { amend_ticket(talk, map, job, wanted, &id) } else { Ok(stored(&id).into()) };
    }
    // It is there and known by its number, but the next one would not be found after a crash.
    let keyless = (ticket.field(map.key_field()) != job.record_key).then(|| keyless(map, &id));
    if repeated && fresh && keyless.is_none() {
        // The first attempt may have been carried out after we had searched: then there are two, and the
        // older one counts.
        let oldest = find(talk, map, job, Duration::ZERO)?.into_iter().next();
        if let Some(oldest) = oldest.filter(|t| t.id != id) {
            id = oldest.id;
            ticket = read(talk, map, job, &id)?;
        }
    }
    if repeated {
        reject_twins(talk, map, job, &ticket)?;
    }
    let warning = if fresh { fields_warning(wanted, &ticket) } else { None };
    let mut done = match &wanted.over {
        // One that was found may be of an attempt whose answer was lost: over already, without its fields.
        Some(over) if !fresh || !map.is_inactive(&ticket.status) => {
            let said = Said { own: &id, text: wanted.comment.as_deref(), status: Some(over), fields: true };
            speak(talk, map, job, wanted, ticket, &said, !fresh)?
        }
        // A ticket that was found may be of an earlier revision, of which the answer was never understood.
        None if !fresh => {
            ticket = reweigh(talk, map, job, wanted, ticket)?;
            let said = Said { own: &id, text: None, status: None, fields: true };
            speak(talk, map, job, wanted, ticket, &said, false)?
        }
        _ => Done::default(),
    };
    done.warning = done.warning.or(warning);
    done.pause = done.pause.or(keyless);
    done.outcomes = vec![told(&id, job, wanted, done.warning.is_some() || done.pause.is_some())];
    Ok(done)
}

/// A new revision of a record whose ticket is known.
pub(super) fn amend(talk: &mut Talk, map: &Map, job: &Job, wanted: &Wanted) -> Result<Done, Next> {
    let id = job.remote_id.clone().unwrap_or_default();
    amend_ticket(talk, map, job, wanted, &id)
}

fn amend_ticket(talk: &mut Talk, map: &Map, job: &Job, wanted: &Wanted, id: &str) -> Result<Done, Next> {
    let mut ticket = read(talk, map, job, id)?;
    if ticket.status == map.get("status.deleted") || ticket.status == "deleted" {
        // Nothing is left open: what a resolve wants is already so.
        if wanted.over.is_some() {
            return Ok(stored(id).into());
        }
        // A person's decision: it comes back by the next reading.
        let warning = Some(format!("ticket {id} was deleted at the desk"));
        return Ok(Done { warning, ..stored(id).into() });
    }
    let merged = ticket.id != id;
    if job.operation == Operation::Resolve && !merged {
        reject_twins(talk, map, job, &ticket)?;
    }
    if !merged && wanted.over.is_none() {
        ticket = reweigh(talk, map, job, wanted, ticket)?;
    }
    let (text, status) = (wanted.comment.as_deref(), wanted.status.as_deref());
    let fields = !is_mend(job) || can_hold(talk, map, job, wanted, &ticket)?;
    let said = Said { own: id, text, status, fields };
    let mut done = speak(talk, map, job, wanted, ticket, &said, is_repeated(job))?;
    done.outcomes = vec![told(id, job, wanted, done.warning.is_some())];
    Ok(done)
}

/// A revision that the ticket holds already, but for some of its fields.
pub(super) fn is_mend(job: &Job) -> bool {
    job.remote_id.is_some() && job.acked_rev == job.rev
}

/// False when all that the ticket lacks are fields that its queue does not have either.
fn can_hold(talk: &mut Talk, map: &Map, job: &Job, wanted: &Wanted, ticket: &Ticket) -> Result<bool, Next> {
    let lacking = wanted.lacking(ticket);
    if lacking.is_empty() {
        return Ok(true);
    }
    let absent = check_queue(talk, map, job.kind)?;
    let queue = map.queue(job.kind);
    Ok(!lacking.iter().all(|name| absent.contains(&format!("{queue}.{name}"))))
}

/// Raises the ticket's priority to the record's; returns the ticket as it is then.
fn reweigh(talk: &mut Talk, map: &Map, job: &Job, wanted: &Wanted, ticket: Ticket) -> Result<Ticket, Next> {
    if !weight_changed(wanted, &ticket) {
        return Ok(ticket);
    }
    let body = json!({ "Priority": wanted.priority, "Subject": wanted.subject });
    let reply = talk.ask(Request::write(Method::Put, format!("/ticket/{}", ticket.id), JSON, body))?;
    sentences(talk, reply)?;
    read(talk, map, job, &ticket.id)
}

/// Makes an incident's ticket a member of the problem's.
pub(super) fn link(talk: &mut Talk, map: &Map, job: &Job) -> Result<Done, Next> {
    let (Some(incident), Some(problem)) = (&job.remote_id, &job.remote_problem) else {
        return Err(
            talk.retry(Some(ENDS_MISSING), "both tickets must be stored before they are linked".to_owned())
        );
    };
    let number = ticket_number(problem)?;
    let path = format!("/ticket/{}", ticket_number(incident)?);
    if job.unknown && read_after(talk, map, job, incident, SECOND_LOOK)?.parents.contains(problem) {
        return Ok(Outcome::stored(None).into());
    }
    let body = json!({ "AddMemberOf": [number] });
    let reply = talk.ask(Request::write(Method::Put, &path, JSON, body))?;
    match class(reply.status) {
        Class::Denied => return Err(hidden(talk, map, job, incident)),
        Class::Gone => return Err(refused(format!("ticket {incident} is gone: {}", sentence(reply)))),
        _ => {}
    }
    let told = sentences(talk, reply)?;
    let linked = told.iter().any(|s| s.contains("member of") || s.contains("Link already exists"));
    if !linked {
        let ticket = read(talk, map, job, incident)?;
        if !ticket.parents.contains(problem) {
            return Err(refusal(talk, map, job, &ticket, &told, "link"));
        }
    }
    Ok(Outcome::stored(None).into())
}

fn stored(id: &str) -> Outcome {
    Outcome::stored(Some(id.to_owned()))
}

/// Its ticket holds this revision. `poor`: without some of its fields, which may only have been away for a
/// moment: it is written once more, and again while the record is young and the queue has the fields.
fn told(id: &str, job: &Job, wanted: &Wanted, poor: bool) -> Outcome {
    let young = job.claimed_at.0.saturating_sub(wanted.at.0) < MEND_FOR;
    let again = (poor && (young || job.acked_rev < job.rev)).then_some(MEND);
    Outcome::Stored { remote_id: Some(id.to_owned()), again }
}

fn is_repeated(job: &Job) -> bool {
    job.unknown || job.attempts > 0
}

/// The tickets that carry the record's key, oldest first, merged ones last; asked after a while.
fn find(talk: &mut Talk, map: &Map, job: &Job, after: Duration) -> Result<Vec<Ticket>, Next> {
    let key = quote(&job.record_key);
    // RT hides merged tickets from a search that does not speak of the effective id.
    let query = format!("'CF.{{{}}}' = '{key}' AND EffectiveId > 0", map.key_field());
    let fields = "Status,Queue,Creator,EffectiveId,CustomFields";
    let path = format!("/tickets?query={}&fields={fields}&orderby=id&order=ASC&per_page=20", encode(&query));
    let reply = talk.ask(Request::get(path).later(after))?;
    if class(reply.status) == Class::Permanent {
        return Err(pause(format!("RT does not understand the search by key: {}", sentence(reply))));
    }
    success(talk, reply)?;
    let json = reply.json();
    let Some(items) = json["items"].as_array() else {
        return Err(talk.retry(None, "RT's answer to the search by key is no list of tickets".to_owned()));
    };
    // The search ignores case, and a filter that RT dropped would return anything: only an equal key counts.
    let items = items.iter().map(Ticket::from_json);
    let mut hits: Vec<Ticket> = items.filter(|t| t.field(map.key_field()) == job.record_key).collect();
    hits.sort_by_key(|t| (t.is_merged, t.id.parse::<u64>().unwrap_or(u64::MAX)));
    Ok(hits)
}

/// Makes the ticket and returns its id.
fn post(talk: &mut Talk, map: &Map, job: &Job, wanted: &Wanted) -> Result<String, Next> {
    let reply = talk.ask(Request::write(Method::Post, "/ticket", JSON, wanted.create_body(map, job)))?;
    success(talk, reply)?;
    let id = loose(&reply.json()["id"]);
    let last = reply.header("location").and_then(|l| l.rsplit('/').next()).unwrap_or("");
    [id.as_str(), last]
        .into_iter()
        .find(|id| !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit()))
        .map(str::to_owned)
        .ok_or_else(|| {
            talk.retry(None, format!("RT made a ticket but did not tell its number ({})", sentence(reply)))
        })
}

pub(super) fn read(talk: &mut Talk, map: &Map, job: &Job, id: &str) -> Result<Ticket, Next> {
    read_after(talk, map, job, id, Duration::ZERO)
}

pub(super) fn read_after(
    talk: &mut Talk,
    map: &Map,
    job: &Job,
    id: &str,
    after: Duration,
) -> Result<Ticket, Next> {
    let id = ticket_number(id)?;
    let reply = talk.ask(Request::get(format!("/ticket/{id}")).later(after))?;
    match class(reply.status) {
        Class::Success => {}
        Class::Denied => return Err(hidden(talk, map, job, &id.to_string())),
        Class::Gone if job.operation == Operation::Resolve => {
            return Err(end(Outcome::stored(Some(id.to_string()))));
        }
        Class::Gone => return Err(refused(format!("ticket {id} is gone: {}", sentence(reply)))),
        _ => return Err(talk.give_up(reply, false)),
    }
    let ticket = Ticket::of(reply);
    if ticket.id.is_empty() || ticket.status.is_empty() {
        return Err(talk.retry(None, format!("RT's answer for ticket {id} is no ticket")));
    }
    Ok(ticket)
}

/// A ticket we may not see: moved away by a person, or all rights lost? The queue tells.
pub(super) fn hidden(talk: &mut Talk, map: &Map, job: &Job, id: &str) -> Next {
    match check_queue(talk, map, job.kind) {
        Ok(_) => refused(format!("ticket {id} is hidden from this token: moved to a queue without rights")),
        Err(next) => next,
    }
}

/// Rejects tickets of the same key that we made beside this one; a person's copy is left alone, and so is a
/// merged one, whose rejection would fall upon the ticket it was merged into.
fn reject_twins(talk: &mut Talk, map: &Map, job: &Job, ticket: &Ticket) -> Result<(), Next> {
    let twins = find(talk, map, job, Duration::ZERO)?;
    let twins = twins.iter().filter(|t| t.id != ticket.id && t.creator == ticket.creator && !t.is_merged);
    for twin in twins.filter(|t| !map.is_inactive(&t.status)) {
        let marker = format!("[{}]", job.operation_key);
        let text = format!("Duplicate of ticket {}: made by a repeated request.\n\n{marker}", ticket.id);
        let body = json!({
            "Subject": format!("duplicate of {} {marker}", ticket.id),
            "Content": text,
            "ContentType": "text/plain",
            "Status": map.get("status.rejected"),
        });
        let reply =
            talk.ask(Request::write(Method::Post, format!("/ticket/{}/comment", twin.id), JSON, body))?;
        sentences(talk, reply)?;
    }
    Ok(())
}

/// The status, unless a person has decided otherwise: only a reopening takes a ticket out of an inactive one.
pub(super) fn allowed<'a>(
    map: &Map,
    wanted: &Wanted,
    ticket: &Ticket,
    status: Option<&'a str>,
) -> Option<&'a str> {
    status.filter(|s| !map.is_inactive(&ticket.status) || (wanted.reopens && !map.is_inactive(s)))
}

/// True when the record weighs more than the ticket's fields and priority say; a person's priority is kept
/// while ours is unchanged.
fn weight_changed(wanted: &Wanted, ticket: &Ticket) -> bool {
    let other = |name: &String| wanted.fields.get(name).is_some_and(|v| !ticket.holds(name, v));
    wanted.priority > ticket.priority && (wanted.weight.is_empty() || wanted.weight.iter().any(other))
}

pub(super) fn fields_warning(wanted: &Wanted, ticket: &Ticket) -> Option<String> {
    let lost = wanted.lacking(ticket);
    (!lost.is_empty())
        .then(|| format!("RT did not keep custom fields of ticket {}: {}", ticket.id, lost.join(", ")))
}

fn keyless(map: &Map, id: &str) -> String {
    let key = map.key_field();
    format!(
        "ticket {id} was made without its key: grant SetInitialCustomField and ModifyCustomField on \
         custom field '{key}'"
    )
}

/// What RT says to a write: a list of sentences. A 200 without one does not come from RT, and nothing may
/// have been done.
pub(super) fn sentences(talk: &Talk, reply: &Reply) -> Result<Vec<String>, Next> {
    success(talk, reply)?;
    let json = reply.json();
    let Some(told) = json.as_array() else {
        return Err(
            talk.retry(None, format!("RT's answer to a write is no list of sentences ({})", sentence(reply)))
        );
    };
    Ok(told.iter().filter_map(Json::as_str).map(str::to_owned).collect())
}

/// RT's sentences for things done; any other makes us read back.
pub(super) fn is_success(sentence: &str) -> bool {
    let known = ["Comments added", "Status changed from", " changed to ", " changed from ", "member of"];
    known.iter().any(|k| sentence.contains(k)) || sentence.ends_with(" added")
}

pub(super) fn success(talk: &Talk, reply: &Reply) -> Result<(), Next> {
    if class(reply.status) == Class::Success { Ok(()) } else { Err(talk.give_up(reply, true)) }
}

fn ticket_number(id: &str) -> Result<u64, Next> {
    id.parse().map_err(|_| refused(format!("'{}' is no ticket number", clip(id, 40))))
}

pub(super) fn pause(reason: String) -> Next {
    Next::Done(Done { pause: Some(reason.clone()), ..Outcome::Pause { reason }.into() })
}

pub(super) fn refused(reason: String) -> Next {
    end(Outcome::Refused { reason })
}
