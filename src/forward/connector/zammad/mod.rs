//! Connector `zammad`: Zammad 5 and later, REST.
//!
//! An incident and a problem are tickets of type Incident and Problem, tied as child and parent; what is said
//! is an internal note. Works on a stock installation: the keys stand in the ticket's own column `note`,
//! which no screen shows, and are searched by condition, which asks the database and not the search index, so
//! that what was just written is found.
//!
//! What Zammad gets wrong or does its own way is handled here: unknown attributes dropped without a word, an
//! `article` in a `PUT` being a new one, links from a number to an id, a search that drops a condition it
//! cannot read and returns everything, closed tickets that agents reopen, merged ones that remain.

mod ticket;
mod verbs;

use super::classify::{Class, class, sentence};
use super::login::{ANY_TOKEN, Login, PASSWORD, USER};
use super::names::Names;
use super::request::loose;
use super::talk::Talk;
use super::tickets::{self, Product, pause};
use super::{CA, Connector, Done, Exchange, MAP, Next, PROXY, Request, Target, URL, WireKind};
use crate::engine::effect::{Held, Job};
use crate::engine::moment::Stamp;
use crate::engine::option::{DoorSpec, Options};
use verbs::Zammad;

/// Names of a stock Zammad. An entry written as "" switches a field off.
pub const DEFAULTS: &[(&str, &str)] = &[
    ("group.incident", "Users"),
    ("group.problem", "Users"),
    ("type.incident", "Incident"),
    ("type.problem", "Problem"),
    ("customer", "guess:sexton@example.com"),
    ("field.key", "note"),
    ("field.type", "type"),
    ("field.ci", ""),
    ("tags", "sexton"),
    ("state.new", "new"),
    ("state.open", "open"),
    ("state.hold", "pending reminder"),
    ("state.resolved", "closed"),
    ("priority.p1", "3 high"),
    ("priority.p2", "3 high"),
    ("priority.p3", "2 normal"),
    ("priority.p4", "2 normal"),
    ("priority.p5", "1 low"),
    ("internal", "true"),
];

const LOGINS: &[Login] =
    &[Login::Secret { option: "token", header: "authorization", prefix: "Token token=" }, Login::Basic];

/// The connector.
pub const CONNECTOR: Connector = Connector {
    door: DoorSpec {
        kind: "zammad",
        about: "Zammad by its REST API: tickets with notes, tied as child and parent",
        options: &[URL, ANY_TOKEN, USER, PASSWORD, MAP, PROXY, CA],
        signals: &[],
        check,
    },
    batch: 1,
    concurrency: 2,
    wire: WireKind::Http,
    logins: LOGINS,
    hello: Some(hello),
    heartbeat: None,
    next,
    read: Some(read),
    read_batch: 20,
};

fn check(options: &Options) -> Result<(), String> {
    Login::choose(LOGINS, options)?;
    Names::check(options, DEFAULTS, &[])?;
    let names = Names::of(options, DEFAULTS);
    let needed = ["group.incident", "group.problem", "customer", "field.key", "state.new", "state.open"];
    match needed.into_iter().chain(["state.hold", "state.resolved"]).find(|entry| names.get(entry).is_empty())
    {
        Some(entry) => Err(format!("map entry '{entry}' cannot be empty")),
        None => Ok(()),
    }
}

/// Proves login, rights, states, priorities, and that the key can be searched. Whether the group takes
/// tickets only shows when one is made: agents may not list groups.
fn hello(target: &Target, exchanges: &[Exchange]) -> Next {
    let mut talk = Talk::new(exchanges, false);
    let names = Names::of(&target.options, DEFAULTS);
    let checked = fit(&mut talk, &names);
    checked.map_or_else(|next| next, |()| Next::Done(Done::default()))
}

/// What `hello` proves.
fn fit(talk: &mut Talk, names: &Names) -> Result<(), Next> {
    let reply = talk.ask(Request::get("/api/v1/users/me"))?;
    let json = reply.json();
    match class(reply.status) {
        Class::Success => {}
        Class::Denied => return Err(pause(format!("the login is refused: {}", sentence(reply)))),
        _ => return Err(pause(format!("there is no Zammad at this url: {}", sentence(reply)))),
    }
    let Some(login) = json["login"].as_str() else {
        let reason =
            format!("this is no Zammad, check url: it does not know /api/v1/users/me ({})", sentence(reply));
        return Err(talk.retry(None, reason));
    };
    choices(talk, login, "ticket_states", &names.all("state."))?;
    choices(talk, login, "ticket_priorities", &names.all("priority."))?;
    probe(talk, names)
}

/// All these names must be among the rows of that table.
fn choices(talk: &mut Talk, login: &str, table: &str, wanted: &[&str]) -> Result<(), Next> {
    let reply = talk.ask(Request::get(format!("/api/v1/{table}?per_page=200")))?;
    let what = table.replace('_', " ");
    if class(reply.status) == Class::Denied {
        return Err(pause(format!(
            "user '{login}' may not read {what}: give it the permission ticket.agent"
        )));
    }
    let json = reply.json();
    let Some(rows) = json.as_array() else {
        return Err(talk.retry(None, format!("Zammad's answer for {what} is no list")));
    };
    let usable = |name: &str| rows.iter().any(|r| r["name"] == name && r["active"] != false);
    match wanted.iter().find(|name| !usable(name)) {
        Some(name) => {
            let known: Vec<String> = rows.iter().map(|r| loose(&r["name"])).collect();
            let known = known.join(", ");
            Err(pause(format!("'{name}' is not among the {what} ({known}): say the right name in map")))
        }
        None => Ok(()),
    }
}

/// A search for a key that no ticket has must find nothing. Zammad answers 422 when there is no such column,
/// and everything when it cannot read the condition.
fn probe(talk: &mut Talk, names: &Names) -> Result<(), Next> {
    let field = names.get("field.key");
    let reply = talk.ask(verbs::search(&[(format!("ticket.{field}"), "contains", "sx-no-such-key")], 1))?;
    let missing = || format!("tickets cannot be searched by attribute '{field}' (map entry field.key)");
    match class(reply.status) {
        Class::Success => {}
        Class::Denied => {
            return Err(pause(format!("this user may not search tickets: {}", sentence(reply))));
        }
        _ => return Err(pause(format!("{}: {}", missing(), sentence(reply)))),
    }
    match reply.json().as_array() {
        Some(none) if none.is_empty() => Ok(()),
        Some(_) => Err(pause(format!("{}: a key that no ticket has finds some", missing()))),
        None => Err(talk.retry(None, "Zammad's answer to a search is no list".to_owned())),
    }
}

/// The next request for one job, or its outcome.
fn next(target: &Target, jobs: &[Job], exchanges: &[Exchange]) -> Next {
    let now = jobs.first().map_or(Stamp(0), |job| job.claimed_at);
    let zammad = Zammad { names: Names::of(&target.options, DEFAULTS), now };
    tickets::next(&zammad, target, jobs, exchanges)
}

/// What people did to these tickets.
fn read(target: &Target, held: &[Held], exchanges: &[Exchange]) -> Next {
    let zammad = Zammad { names: Names::of(&target.options, DEFAULTS), now: Stamp(0) };
    tickets::read_back(held, exchanges, |talk, held| {
        let Some(mut found) = zammad.read(talk, held.kind, &held.remote_id)? else {
            return Err(tickets::gone(held));
        };
        if !held.over && !found.is_open() {
            found.note = zammad.last_word(talk, &found)?;
        }
        Ok(found.remote(&held.record, held.rev))
    })
}

#[cfg(test)]
mod tests;
