//! Connector `itop`: iTop 2.7 to 3 by its REST/JSON services.
//!
//! An incident is an object of class `Incident` (`UserRequest` where there is none: simple ticket management,
//! which the installer offers first), a problem candidate a `Problem`, a link
//! the incident's `parent_problem_id`. The keys stand in the last line of the description
//! ([`super::footer`]), or in an attribute that the installation has for it; the reference stays iTop's own.
//! ```text
//! new, escalated_tto ── ev_assign ──► assigned, escalated_ttr ── ev_resolve ──► resolved ──► closed
//!        pending ────── ev_assign ──►         ◄── ev_reopen (a problem: ev_reassign) ──┘
//! ```

mod api;
mod desk;
mod options;

use super::login::{ANY_TOKEN, PASSWORD, USER};
use super::request::loose;
use super::talk::Talk;
use super::tickets::{self, pause};
use super::{CA, Connector, Done, Exchange, Login, MAP, Next, PROXY, Target, WireKind};
use crate::engine::effect::{Held, Job, RecordKind};
use crate::engine::option::{DoorSpec, OptionKind, OptionSpec, Options};
use api::Api;
use desk::Itop;
use options::Map;

const LOGINS: &[Login] = &[Login::Secret { option: "token", header: "auth-token", prefix: "" }, Login::Basic];

/// The connector.
pub const CONNECTOR: Connector = Connector {
    door: DoorSpec {
        kind: "itop",
        about: "iTop 2.7 to 3 by its REST/JSON services: incidents and problems, linked",
        options: &[
            OptionSpec {
                key: "url",
                kind: OptionKind::RequiredText,
                about: "address of iTop, https://host/itop",
            },
            ANY_TOKEN,
            USER,
            PASSWORD,
            OptionSpec {
                key: "auth",
                kind: OptionKind::Choice(&["form", "basic"]),
                about: "how user and password are shown: as fields of the form, or by HTTP basic authentication",
            },
            MAP,
            PROXY,
            CA,
        ],
        signals: &[],
        check,
    },
    wire: WireKind::Http,
    logins: LOGINS,
    batch: 1,
    concurrency: 2,
    hello: Some(hello),
    heartbeat: None,
    next,
    read: Some(read),
    read_batch: 50,
};

fn check(options: &Options) -> Result<(), String> {
    options::check(options, LOGINS)
}

/// What is logged in by, for a refusal that comes with HTTP 200.
fn told(options: &Options) -> String {
    Login::choose(LOGINS, options).map(|login| login.told(options)).unwrap_or_default()
}

/// The next request for one job, or its outcome.
pub fn next(target: &Target, jobs: &[Job], exchanges: &[Exchange]) -> Next {
    let attempts = jobs.first().map_or(0, |job| job.attempts);
    let unknown = jobs.first().is_some_and(|job| job.unknown);
    match installed(Api { target, attempts }, exchanges, unknown) {
        Ok((itop, rest)) => tickets::next(&itop, target, jobs, rest),
        Err(next) => next,
    }
}

/// iTop with the class of its incidents, and what was said beside the question for it. Nobody has to be asked
/// where the configuration names the class.
fn installed<'a, 'e>(
    api: Api<'a>,
    exchanges: &'e [Exchange],
    unknown: bool,
) -> Result<(Itop<'a>, &'e [Exchange]), Next> {
    let map = Map::of(api.target);
    if map.is_set("class.incident") {
        return Ok((Itop { api, map }, exchanges));
    }
    let mut talk = Talk::new(exchanges, unknown);
    let class = match api.get(&mut talk, "Incident", "SELECT Incident WHERE id = 0", "id")? {
        Err(refusal) if refusal.says("not a valid class") => "UserRequest",
        _ => "Incident",
    };
    Ok((Itop { api, map: map.with(class) }, exchanges.get(1..).unwrap_or_default()))
}

/// Proves login, classes, organisation and caller, and says what tickets could not be resolved for.
pub fn hello(target: &Target, exchanges: &[Exchange]) -> Next {
    let installed = installed(Api { target, attempts: 0 }, exchanges, false);
    tickets::proven(installed.and_then(|(itop, rest)| prove(&mut Talk::new(rest, false), &itop)))
}

fn prove(talk: &mut Talk, itop: &Itop) -> Result<Vec<String>, Next> {
    if let Some(reason) = lacking(talk, itop, RecordKind::Incident)? {
        return Err(pause(format!("{reason}; name the class of your incidents as map class.incident")));
    }
    for (entry, class, what) in [("org", "Organization", "organisation"), ("caller", "Person", "caller")] {
        let oql = itop.map.get(entry);
        if oql.is_empty() {
            continue;
        }
        let found = itop.api.get(talk, class, &desk::as_oql(class, oql), "id")?;
        let lack = match found {
            Ok(all) if all.len() == 1 => continue,
            Ok(all) => format!("{} are found", all.len()),
            Err(refusal) => refusal.0,
        };
        return Err(pause(format!(
            "map {entry} must find one {what}: {lack} by {oql}; tie the account to a person, or set it"
        )));
    }
    let mut flaws = Vec::new();
    if let Some(reason) = lacking(talk, itop, RecordKind::Problem)? {
        flaws.push(format!("problems cannot be stored: {reason}"));
    }
    for entry in ["team", "agent", "service"] {
        match itop.pick(talk, entry, None, "")? {
            Some((.., true)) => {}
            Some((_, name, false)) => flaws.push(format!(
                "tickets that have no {entry} when they are over may get '{name}', one of several: map {entry} \
                 says which"
            )),
            None => flaws.push(format!(
                "tickets stay open when they are over until there is a {entry}: make one in iTop, or name it as \
                 map {entry}"
            )),
        }
    }
    Ok(flaws)
}

/// Why tickets of that kind cannot be read as we need them.
fn lacking(talk: &mut Talk, itop: &Itop, kind: RecordKind) -> Result<Option<String>, Next> {
    let class = itop.map.class(kind);
    let found = itop.api.get(talk, class, &format!("SELECT {class} WHERE id = 0"), &itop.columns(kind))?;
    Ok(found.err().map(|refusal| format!("iTop does not show the class {class}: {}", refusal.0)))
}

/// Reads back status, agent, and solution or reason of a wait: one question per class.
fn read(target: &Target, held: &[Held], exchanges: &[Exchange]) -> Next {
    let (itop, rest) = match installed(Api { target, attempts: 0 }, exchanges, false) {
        Ok(installed) => installed,
        Err(next) => return next,
    };
    let mut talk = Talk::new(rest, false);
    let (mut remotes, mut gone) = (Vec::new(), Vec::new());
    for kind in [RecordKind::Incident, RecordKind::Problem] {
        let ids: Vec<u64> =
            held.iter().filter(|h| h.kind == kind).filter_map(|h| h.remote_id.parse().ok()).collect();
        if ids.is_empty() {
            continue;
        }
        let class = itop.map.class(kind);
        let list = ids.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
        let oql = format!("SELECT {class} WHERE id IN ({list})");
        let found = match itop.api.get(&mut talk, class, &oql, &itop.columns(kind)) {
            Ok(Ok(found)) => found,
            // A class that may not be read tells nothing about its objects.
            Ok(Err(_)) => continue,
            Err(next) => return next,
        };
        for held in held.iter().filter(|h| h.kind == kind) {
            match found.iter().find(|o| o.key.to_string() == held.remote_id) {
                Some(object) => remotes.extend(itop.found(object).remote(&held.record, held.rev)),
                None => gone.push(held.record.clone()),
            }
        }
    }
    Next::Done(Done { remotes, gone, ..Done::default() })
}

#[cfg(test)]
mod tests;
