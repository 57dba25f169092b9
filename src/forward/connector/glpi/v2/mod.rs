//! GLPI 11 by its high-level API, `/api.php/v2`: OAuth 2.0 with a user's password, RSQL, JSON.
//!
//! It shows no rights, so that a right that is missing is told by the first operation that needs it. It ties
//! neither tickets to problems nor tickets to assets (docs/decisions/0015): a followup names the problem, the
//! description the host.

mod api;
mod desk;

use serde_json::Value as Json;

use super::super::request::loose;
use super::super::talk::Talk;
use super::super::tickets::{self, pause};
use super::super::{Exchange, Next, Request, Target};
use super::options::{Map, pages};
use super::text_of;
use crate::engine::effect::{Held, Job, RecordKind, Remote, Stage};
use desk::GlpiV2;

/// The next request for one job, or its outcome.
pub fn next(target: &Target, jobs: &[Job], exchanges: &[Exchange]) -> Next {
    let product = GlpiV2 { map: Map::of(target), pages: pages(&target.options) };
    tickets::next(&product, target, jobs, exchanges)
}

/// Proves login, API, profile, entity, and that tickets and problems may be seen.
pub fn hello(target: &Target, exchanges: &[Exchange]) -> Next {
    tickets::proven(prove(&mut Talk::new(exchanges, false), Map::of(target)))
}

fn prove(talk: &mut Talk, map: Map) -> Result<Vec<String>, Next> {
    let session = api::get(talk, "/session".to_owned())?;
    let profile = &session["active_profile"];
    let name = loose(&profile["name"]);
    if !profile.is_object() {
        return Err(pause("GLPI shows no profile of the account: give it one".to_owned()));
    }
    if loose(&profile["interface"]) == "helpdesk" {
        let reason = format!(
            "the profile '{name}' of the account has the simplified interface: give it one \
                              with the standard interface"
        );
        return Err(pause(reason));
    }
    let entity = map.get("entity");
    let mine = |e: &Json| loose(e) == entity;
    if !entity.is_empty() && !session["active_entities"].as_array().is_some_and(|all| all.iter().any(mine)) {
        return Err(pause(format!("the account may not work in the entity {entity} of map entity")));
    }
    let may_see = |talk: &mut Talk, kind| {
        let said = api::ask(talk, Request::get(format!("{}?limit=1", api::place(kind))))?;
        match said.done {
            true => Ok(true),
            false if said.is_denied() => Ok(false),
            false => Err(said.end(talk)),
        }
    };
    if !may_see(talk, RecordKind::Incident)? {
        let lack = "Assistance > Tickets > See all tickets";
        return Err(pause(format!("the profile '{name}' of the account lacks the right {lack}")));
    }
    if may_see(talk, RecordKind::Problem)? {
        return Ok(Vec::new());
    }
    let lack = "Assistance > Problems > See all";
    Ok(vec![format!("problems cannot be stored: the profile '{name}' lacks the right {lack}")])
}

/// Reads back status, technicians and solution.
pub fn read(_: &Target, held: &[Held], exchanges: &[Exchange]) -> Next {
    tickets::read_back(held, exchanges, remote)
}

fn remote(talk: &mut Talk, held: &Held) -> Result<Option<Remote>, Next> {
    let path = format!("{}/{}", api::place(held.kind), held.remote_id);
    let said = api::ask(talk, Request::get(path.clone()))?;
    if said.is_gone() {
        return Err(tickets::gone(held));
    }
    if said.json["is_deleted"] == true {
        return Ok(Some(tickets::deleted(held, "deleted in GLPI")));
    }
    if said.is_denied() {
        return Ok(None);
    }
    if !said.done {
        return Err(said.end(talk));
    }
    let mut found = desk::found(&said.json);
    if found.stage.is_some_and(|s| s != Stage::New) {
        let team = said.json["team"].as_array().into_iter().flatten();
        let assigned = team.filter(|m| m["role"] == "assigned");
        let names = assigned.map(|m| match loose(&m["display_name"]) {
            name if name.is_empty() => loose(&m["name"]),
            name => name,
        });
        let names: Vec<String> = names.filter(|n| !n.is_empty()).collect();
        found.assignee = (!names.is_empty()).then(|| names.join(", "));
    }
    if !found.is_open() {
        let json = api::get(talk, format!("{path}/Timeline/Solution"))?;
        let newest = desk::entries(&json).max_by_key(|s| s["id"].as_u64());
        found.note = newest.map(|s| text_of(&loose(&s["content"]))).filter(|t| !t.is_empty());
    }
    Ok(found.remote(&held.record, held.rev))
}

#[cfg(test)]
mod tests;
