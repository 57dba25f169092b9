//! Connector `servicenow`: incidents and problems of ServiceNow by its Table API.
//!
//! An incident is a row of `incident`, a problem candidate a row of `problem`, a link the incident's
//! `problem_id`. The record key stands in `correlation_id`, the alert key in `correlation_display`. What the
//! API gets wrong is handled in [`table`]; the conversation is the one of all ticket desks
//! ([`super::tickets`]). No time is read but that of the last change, as its value: UTC without saying so;
//! what is displayed is in each user's own zone.

mod hello;
pub mod options;
mod product;
pub mod table;
#[cfg(test)]
mod tests;
mod write;

use super::login::{ANY_TOKEN, OAUTH_CLIENT, OAUTH_SCOPE, OAUTH_SECRET, OAUTH_URL, PASSWORD, USER};
use super::talk::Talk;
use super::tickets;
use super::{CA, Connector, Done, Exchange, Login, MAP, Next, PROXY, Target, URL, WireKind};
use crate::engine::effect::{Held, Job, RecordKind};
use crate::engine::option::{DoorSpec, OptionSpec, Options};
use options::Map;
use product::Table;

/// The ways to log in: an API key, OAuth 2.0, a password.
pub const LOGINS: &[Login] =
    &[Login::Secret { option: "token", header: "x-sn-apikey", prefix: "" }, Login::OAuth2, Login::Basic];

/// The options of all connectors to ServiceNow.
pub const OPTIONS: &[OptionSpec] =
    &[URL, ANY_TOKEN, OAUTH_URL, OAUTH_CLIENT, OAUTH_SECRET, OAUTH_SCOPE, USER, PASSWORD, MAP, PROXY, CA];

/// The connector.
pub const CONNECTOR: Connector = Connector {
    door: DoorSpec {
        kind: "servicenow",
        about: "ServiceNow by its Table API: incidents and problems, linked",
        options: OPTIONS,
        signals: &[],
        check,
    },
    batch: 1,
    concurrency: 2,
    wire: WireKind::Http,
    logins: LOGINS,
    hello: Some(hello::hello),
    heartbeat: None,
    next,
    read: Some(read),
    read_batch: 50,
};

fn check(options: &Options) -> Result<(), String> {
    Login::choose(LOGINS, options)?;
    options::check(options, &[])
}

/// The next request for one job, or its outcome.
pub fn next(target: &Target, jobs: &[Job], exchanges: &[Exchange]) -> Next {
    let table = Table { map: Map::of(target), acked_rev: jobs.first().map_or(0, |job| job.acked_rev) };
    super::tickets::next(&table, target, jobs, exchanges)
}

/// Reads back where tickets stand.
pub fn read(target: &Target, held: &[Held], exchanges: &[Exchange]) -> Next {
    read_by(Map::of(target), held, exchanges)
}

/// The same with the names of that map.
pub fn read_by(map: Map, held: &[Held], exchanges: &[Exchange]) -> Next {
    let mut talk = Talk::new(exchanges, false);
    let kinds = [RecordKind::Incident, RecordKind::Problem];
    let mut all = Done::default();
    let read = kinds.iter().try_for_each(|kind| remotes(&mut talk, map, *kind, held, &mut all));
    read.map_or_else(|next| next, |()| Next::Done(all))
}

/// One question about all tickets of a table, and one about each that it does not show: gone, or hidden?
fn remotes(talk: &mut Talk, map: Map, kind: RecordKind, held: &[Held], all: &mut Done) -> Result<(), Next> {
    let of_kind = |h: &&Held| h.kind == kind && table::is_plain(&h.remote_id);
    let wanted: Vec<&Held> = held.iter().filter(of_kind).collect();
    let name = map.table(kind);
    if wanted.is_empty() || name.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = wanted.iter().map(|h| h.remote_id.as_str()).collect();
    let query = format!("sys_idIN{}", ids.join(","));
    let request = table::search(name, &query, &product::fields(map, kind), wanted.len(), true);
    let page = table::rows(talk, name, request)?;
    let mut missing = Vec::new();
    for held in wanted {
        match page.rows.iter().find(|row| table::value(row, "sys_id") == held.remote_id) {
            Some(row) => {
                all.remotes.extend(product::found(map, kind, row.clone()).remote(&held.record, held.rev));
            }
            None => missing.push(held),
        }
    }
    tickets::read_each(talk, missing, all, |talk, held| {
        match table::row(talk, name, &held.remote_id, &product::fields(map, kind))? {
            Some(row) => Ok(product::found(map, kind, row).remote(&held.record, held.rev)),
            None => Err(tickets::gone(held)),
        }
    })
}
