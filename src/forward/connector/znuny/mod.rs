//! Connector `znuny`: Znuny, and OTRS 6 from which it comes, by the generic interface.
//!
//! All four operations are asked by `POST`, with user and password in the body: a `GET` would show them in
//! every log on the way, and sessions are counted and run out. The web service that answers so is imported
//! once (docs/znuny-webservice.yml).
//!
//! What Znuny does its own way is handled here: an `Error` object inside a 200; a search by a dynamic field
//! that does not exist returns everything; dynamic fields beside an article are the article's; a ticket that
//! is gone and one that is hidden look alike; there is no operation for links, so a link is a note on the
//! incident's ticket that names the problem's.

mod ticket;
mod verbs;

use super::classify::{Class, class, sentence};
use super::login::URL;
use super::names::Names;
use super::talk::Talk;
use super::tickets::{self, Product, pause};
use super::{CA, Connector, Done, Exchange, MAP, Next, PROXY, Target, WireKind};
use crate::engine::effect::{Held, Job};
use crate::engine::option::{DoorSpec, OptionKind, OptionSpec, Options};
use verbs::Znuny;

/// Names of a stock Znuny. An entry written as "" switches a field off.
pub const DEFAULTS: &[(&str, &str)] = &[
    ("queue.incident", "Raw"),
    ("queue.problem", "Raw"),
    ("type.incident", ""),
    ("type.problem", ""),
    ("customer", "root@localhost"),
    ("field.key", ""),
    ("field.ci", ""),
    ("field.problem", ""),
    ("state.new", "new"),
    ("state.open", "open"),
    ("state.hold", "pending reminder"),
    ("state.resolved", "closed successful"),
    ("state.cancelled", "closed unsuccessful"),
    ("priority.p1", "5 very high"),
    ("priority.p2", "4 high"),
    ("priority.p3", "3 normal"),
    ("priority.p4", "2 low"),
    ("priority.p5", "1 very low"),
    ("route.create", "/TicketCreate"),
    ("route.get", "/TicketGet"),
    ("route.search", "/TicketSearch"),
    ("route.update", "/TicketUpdate"),
];

/// The connector.
pub const CONNECTOR: Connector = Connector {
    door: DoorSpec {
        kind: "znuny",
        about: "Znuny or OTRS 6 by the generic interface: tickets with notes",
        options: &[
            URL,
            OptionSpec { key: "user", kind: OptionKind::RequiredText, about: "login of an agent" },
            OptionSpec {
                key: "password",
                kind: OptionKind::RequiredSecret,
                about: "where the agent's password is read",
            },
            MAP,
            PROXY,
            CA,
        ],
        signals: &[],
        check,
    },
    batch: 1,
    concurrency: 2,
    wire: WireKind::Http,
    logins: &[],
    hello: Some(hello),
    heartbeat: None,
    next,
    read: Some(read),
    read_batch: 20,
};

fn check(options: &Options) -> Result<(), String> {
    Names::check(options, DEFAULTS, &[])?;
    let names = Names::of(options, DEFAULTS);
    let may_be_empty = |entry: &str| entry.starts_with("field.") || entry.starts_with("type.");
    match DEFAULTS.iter().find(|(entry, _)| !may_be_empty(entry) && names.get(entry).is_empty()) {
        Some((entry, _)) => Err(format!("map entry '{entry}' cannot be empty")),
        None => Ok(()),
    }
}

fn znuny(target: &Target) -> Znuny<'_> {
    Znuny { names: Names::of(&target.options, DEFAULTS), options: &target.options }
}

/// Proves address, login, and that the key can be searched. Queues, states and priorities cannot be listed:
/// what is wrong with them shows when a ticket is made, as one sentence. A web service that is not there or
/// not valid, and a route that it does not have, are a bare 500.
fn hello(target: &Target, exchanges: &[Exchange]) -> Next {
    let mut talk = Talk::new(exchanges, false);
    match znuny(target).probe(&mut talk) {
        Ok(()) => Next::Done(Done::default()),
        Err(next) => match exchanges.last().and_then(|e| e.result.as_ref().ok()) {
            Some(reply) if reply.status == 500 && !reply.json().is_object() => pause(format!(
                "no web service answers at this url: import docs/znuny-webservice.yml under the last name of \
                 the url, and see that it is valid ({})",
                sentence(reply)
            )),
            _ => next,
        },
    }
}

/// The next request for one job, or its outcome.
fn next(target: &Target, jobs: &[Job], exchanges: &[Exchange]) -> Next {
    tickets::next(&znuny(target), target, jobs, exchanges)
}

/// What people did to these tickets.
fn read(target: &Target, held: &[Held], exchanges: &[Exchange]) -> Next {
    let znuny = znuny(target);
    tickets::read_back(held, exchanges, |talk, held| {
        let Some(mut found) = znuny.read(talk, held.kind, &held.remote_id)? else {
            return Err(tickets::gone(held));
        };
        if !held.over && !found.is_open() {
            found.note = znuny.last_word(talk, &found)?;
        }
        Ok(found.remote(&held.record, held.rev))
    })
}

/// An answer of the interface that is no transport error, or the end of the conversation.
fn answer(talk: &Talk, reply: &super::Reply) -> Result<serde_json::Value, Next> {
    if class(reply.status) != Class::Success {
        return Err(match class(reply.status) {
            Class::Gone => pause(format!("there is no web service at this url: {}", sentence(reply))),
            _ => talk.give_up(reply, true),
        });
    }
    let json = reply.json();
    if !json.is_object() {
        return Err(talk.retry(None, format!("the answer is not Znuny's ({})", sentence(reply))));
    }
    Ok(json)
}

#[cfg(test)]
mod tests;
