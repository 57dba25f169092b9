//! Reading back: where tickets stand in RT, many in one search; and tickets that a lost store left behind.
//!
//! A search shows neither deleted nor merged tickets, so each that it does not show is asked for by its
//! number: deleted counts as cancelled, not there as gone, and one that was merged into another is left to
//! that one's record. A new ticket that somebody took (RT's owner) is acknowledged.

use serde_json::Value as Json;

use super::super::classify::{Class, class, clip};
use super::super::talk::Talk;
use super::super::tickets::{Found, minted};
use super::super::{Done, Exchange, Method, Next, Request, Target};
use super::options::Map;
use super::steps::success;
use super::ticket::{Ticket, Wanted};
use super::{encode, loose};
use crate::engine::effect::{Held, Job, RecordKind, Stage};
use crate::engine::moment::{DAY, Stamp};

/// Tickets of one reading; the search names each by its number.
pub(super) const BATCH: usize = 50;
/// How long after a store began tickets of the lost store before it are looked for.
const ADOPTION: i64 = 90 * DAY;
/// Tickets of a lost store that are looked into for one record.
const ORPHANS: usize = 20;
/// The most characters of a person's words that are passed on.
const NOTE_CHARS: usize = 500;

/// The next request of a reading, or what was read.
pub(super) fn read(target: &Target, held: &[Held], exchanges: &[Exchange]) -> Next {
    let map = Map::of(target);
    let mut talk = Talk::new(exchanges, false);
    match read_all(&mut talk, &map, held) {
        Ok(done) => Next::Done(done),
        Err(Next::Done(done)) => Next::Done(Done { outcomes: Vec::new(), ..done }),
        Err(next) => next,
    }
}

fn read_all(talk: &mut Talk, map: &Map, held: &[Held]) -> Result<Done, Next> {
    let ids: Vec<&Held> = held.iter().filter(|h| h.remote_id.parse::<u64>().is_ok()).collect();
    if ids.is_empty() {
        return Ok(Done::default());
    }
    let query: Vec<String> = ids.iter().map(|h| format!("id = {}", h.remote_id)).collect();
    let path = format!(
        "/tickets?query={}&fields=Status,Owner,Creator,LastUpdated,LastUpdatedBy,CustomFields&per_page=100",
        encode(&query.join(" OR "))
    );
    let reply = talk.ask(Request::get(path))?;
    if class(reply.status) != Class::Success {
        return Err(talk.give_up(reply, false));
    }
    let json = reply.json();
    let Some(items) = json["items"].as_array() else {
        return Err(talk.retry(None, "RT's answer to the search by number is no list of tickets".to_owned()));
    };
    let mut done = Done::default();
    for held in ids {
        let shown = items.iter().find(|item| loose(&item["id"]) == held.remote_id);
        match shown {
            Some(item) => see(talk, map, held, item, &mut done)?,
            None => look_for(talk, map, held, &mut done)?,
        }
    }
    Ok(done)
}

/// A ticket that the search does not show.
fn look_for(talk: &mut Talk, map: &Map, held: &Held, done: &mut Done) -> Result<(), Next> {
    let reply = talk.ask(Request::get(format!("/ticket/{}", held.remote_id)))?;
    match class(reply.status) {
        Class::Success => {
            let json = reply.json();
            // Merged into another: the record of that one follows it.
            if loose(&json["id"]) == held.remote_id { see(talk, map, held, &json, done) } else { Ok(()) }
        }
        Class::Gone => {
            done.gone.push(held.record.clone());
            Ok(())
        }
        // Moved to where this token sees nothing: it is not gone.
        Class::Denied => Ok(()),
        _ => Err(talk.give_up(reply, false)),
    }
}

fn see(talk: &mut Talk, map: &Map, held: &Held, item: &Json, done: &mut Done) -> Result<(), Next> {
    let who = |name: &str| loose(&item[name]["id"]);
    let owner = Some(who("Owner")).filter(|o| !o.is_empty() && o != "Nobody");
    let stage = stage(map, &loose(&item["Status"]), owner.is_some());
    let by = Some(who("LastUpdatedBy")).filter(|by| !by.is_empty() && *by != who("Creator"));
    let ended = stage.is_some_and(|stage| !stage.is_open()) && !held.over && by.is_some();
    let known = map.get("field.known_error");
    let found = Found {
        id: held.remote_id.clone(),
        stage,
        assignee: owner,
        note: if ended { note(talk, &held.remote_id, &who("Creator"))? } else { None },
        by,
        updated: loose(&item["LastUpdated"]).parse::<Stamp>().ok(),
        known_error: held.kind == RecordKind::Problem && Ticket::from_json(item).field(known) == "yes",
        ..Found::default()
    };
    done.remotes.extend(found.remote(&held.record, held.rev));
    Ok(())
}

fn stage(map: &Map, status: &str, owned: bool) -> Option<Stage> {
    let known = [
        ("status.new", if owned { Stage::Acknowledged } else { Stage::New }),
        ("status.open", Stage::InProgress),
        ("status.hold", Stage::OnHold),
        ("status.resolved", Stage::Resolved),
        ("status.rejected", Stage::Cancelled),
        ("status.deleted", Stage::Cancelled),
    ];
    let named = known.iter().find(|(entry, _)| map.get(entry) == status).map(|(_, stage)| *stage);
    named.or(match status {
        "resolved" => Some(Stage::Resolved),
        "rejected" | "deleted" => Some(Stage::Cancelled),
        _ => None,
    })
}

/// The last words that somebody other than ourselves wrote on it.
fn note(talk: &mut Talk, id: &str, ourselves: &str) -> Result<Option<String>, Next> {
    let path = format!("/ticket/{id}/attachments?fields=Content,Creator,ContentType&per_page=100");
    let reply = talk.ask(Request::get(path))?;
    if class(reply.status) != Class::Success {
        return Ok(None);
    }
    let json = reply.json();
    let items = json["items"].as_array().cloned().unwrap_or_default();
    let words = |item: &Json| {
        let person = loose(&item["Creator"]["id"]);
        let plain = loose(&item["ContentType"]).starts_with("text/plain");
        let text = loose(&item["Content"]).split_whitespace().collect::<Vec<_>>().join(" ");
        (plain && person != ourselves && !person.is_empty() && !text.is_empty()).then_some(text)
    };
    let last = items.iter().filter_map(|i| Some((loose(&i["id"]).parse::<u64>().unwrap_or(0), words(i)?)));
    Ok(last.max_by_key(|(id, _)| *id).map(|(_, text)| clip(&text, NOTE_CHARS)))
}

/// An open ticket for the same condition that this host's lost store has left behind. Its alert key stands in
/// the field for it, when there is one, else in its text.
pub(super) fn orphan(talk: &mut Talk, map: &Map, job: &Job, wanted: &Wanted) -> Result<Option<String>, Next> {
    let (born, key) = (map.target().born, wanted.alert_key.as_str());
    let young = born.0 > 0 && job.claimed_at.0.saturating_sub(born.0) < ADOPTION;
    if key.is_empty() || wanted.over.is_some() || !young {
        return Ok(None);
    }
    let (field, source) = (map.get("field.alert"), map.get("field.source"));
    let by = match (field, source) {
        ("", "") => String::new(),
        ("", source) => format!(" AND 'CF.{{{source}}}' = 'sexton/{}'", quote(&map.target().host.name)),
        (field, _) => format!(" AND 'CF.{{{field}}}' = '{}'", quote(key)),
    };
    let queue = quote(map.queue(job.kind));
    let query = format!("Queue = '{queue}' AND Status = '__Active__'{by}");
    let fields = "Status,Queue,Creator,CustomFields";
    let path = format!("/tickets?query={}&fields={fields}&orderby=id&order=ASC&per_page=100", encode(&query));
    let reply = talk.ask(Request::get(path))?;
    let json = reply.json();
    let items = json["items"].as_array().cloned().unwrap_or_default();
    let lost = |t: &Ticket| minted(t.field(map.key_field())).is_some_and(|at| at < born);
    let tickets = items.iter().map(Ticket::from_json).filter(lost);
    for ticket in tickets.take(ORPHANS) {
        let ours = if field.is_empty() {
            says(talk, &ticket.id, "Alert:", key)?
        } else {
            ticket.field(field) == key
        };
        if ours {
            give_key(talk, map, job, &ticket.id)?;
            return Ok(Some(ticket.id));
        }
    }
    Ok(None)
}

/// The ticket that a lost attempt made while its queue had no field for the key; it gets its key now. Its
/// text names the record.
pub(super) fn unkeyed(talk: &mut Talk, map: &Map, job: &Job) -> Result<Option<Ticket>, Next> {
    let (queue, key) = (quote(map.queue(job.kind)), map.key_field());
    let query = format!("Queue = '{queue}' AND Creator = '__CurrentUser__' AND 'CF.{{{key}}}' IS NULL");
    let fields = "Status,Queue,Creator,CustomFields";
    let path = format!("/tickets?query={}&fields={fields}&orderby=id&order=DESC&per_page=20", encode(&query));
    let reply = talk.ask(Request::get(path))?;
    success(talk, reply)?;
    let json = reply.json();
    let items = json["items"].as_array().cloned().unwrap_or_default();
    let tickets = items.iter().map(Ticket::from_json).filter(|t| t.field(key).is_empty() && !t.id.is_empty());
    for ticket in tickets.take(ORPHANS) {
        if says(talk, &ticket.id, "Record", &job.record_key)? {
            give_key(talk, map, job, &ticket.id)?;
            return Ok(Some(ticket));
        }
    }
    Ok(None)
}

fn give_key(talk: &mut Talk, map: &Map, job: &Job, id: &str) -> Result<(), Next> {
    let body = serde_json::json!({ "CustomFields": { map.key_field(): job.record_key } });
    talk.ask(Request::write(Method::Put, format!("/ticket/{id}"), "application/json", body))?;
    Ok(())
}

/// True when the ticket's first text has the line of this label with this key at its end. Other lines name
/// other records: the episode before this one, for one.
fn says(talk: &mut Talk, id: &str, label: &str, key: &str) -> Result<bool, Next> {
    let path = format!("/ticket/{id}/attachments?fields=Content&per_page=1");
    let json = talk.ask(Request::get(path))?.json();
    let items = json["items"].as_array().cloned().unwrap_or_default();
    let names = |line: &str| {
        let mut words = line.split_whitespace();
        words.next() == Some(label) && words.next_back() == Some(key)
    };
    Ok(items.iter().any(|i| loose(&i["Content"]).lines().any(names)))
}

/// A text as it stands between the quotes of a query.
pub(super) fn quote(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "\\'")
}
