//! Connector `servicenow`: incidents and problems of ServiceNow by its Table API.
//!
//! An incident is a row of `incident`, a problem candidate a row of `problem`, a link the incident's
//! `problem_id`. The record key stands in `correlation_id`, the alert key in `correlation_display`. What the
//! API gets wrong is handled in [`table`]; the conversation is the one of all ticket desks
//! ([`super::tickets`]). Times are never read: the instance writes UTC without saying so, and shows each user
//! another zone.

mod hello;
pub mod options;
mod product;
pub mod table;
#[cfg(test)]
mod tests;
mod write;

use super::login::{ANY_TOKEN, OAUTH_CLIENT, OAUTH_SCOPE, OAUTH_SECRET, OAUTH_URL, PASSWORD, USER};
use super::talk::Talk;
use super::{CA, Connector, Done, Exchange, Login, MAP, Next, PROXY, Target, URL, WireKind};
use crate::engine::effect::{Held, Job, RecordKind, Remote};
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
    let all = kinds.iter().try_fold(Vec::new(), |before, kind| {
        let more = remotes(&mut talk, map, *kind, held)?;
        Ok::<_, Next>([before, more].concat())
    });
    match all {
        Ok(remotes) => Next::Done(Done { remotes, ..Done::default() }),
        Err(next) => next,
    }
}

fn remotes(talk: &mut Talk, map: Map, kind: RecordKind, held: &[Held]) -> Result<Vec<Remote>, Next> {
    let of_kind = |h: &&Held| h.kind == kind && table::is_plain(&h.remote_id);
    let wanted: Vec<&Held> = held.iter().filter(of_kind).collect();
    let name = map.table(kind);
    if wanted.is_empty() || name.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<&str> = wanted.iter().map(|h| h.remote_id.as_str()).collect();
    let query = format!("sys_idIN{}", ids.join(","));
    let request = table::search(name, &query, &product::fields(map, kind), wanted.len(), true);
    let page = table::rows(talk, name, request)?;
    let of = |h: &&Held| {
        let row = page.rows.iter().find(|row| table::value(row, "sys_id") == h.remote_id)?;
        product::found(map, kind, row.clone()).remote(&h.record, h.rev)
    };
    Ok(wanted.iter().filter_map(of).collect())
}
