//! Connector `glpi`: GLPI 9.5 to 11 by its REST API, and GLPI 11 by its high-level one (`v2`).
//!
//! An incident is a ticket of type incident, a problem candidate a problem, a link a row of `Problem_Ticket`.
//! The record key and the alert key stand in the last line of the description ([`super::footer`]), which both
//! kinds can be searched by in every version; tickets of GLPI 11 carry the record key as external id too. The
//! end of a record is told as a solution, so that the approval and the automatic closing of the installation
//! take their course.
//!
//! The address says which API it is. Here is the older one; what both share is the map and `verbs`.

mod api;
mod desk;
mod options;
mod v2;
mod verbs;

use serde_json::Value as Json;

use super::classify::clip;
use super::login::{ANY_TOKEN, OAUTH_CLIENT, OAUTH_SCOPE, OAUTH_SECRET, OAUTH_URL, PASSWORD, USER};
use super::markup;
use super::request::loose;
use super::talk::Talk;
use super::tickets::{self, pause};
use super::{CA, Connector, Exchange, Login, MAP, Next, PROXY, Request, Session, Target, WireKind};
use crate::engine::effect::{Held, Job, Remote, Stage};
use crate::engine::option::{DoorSpec, OptionKind, OptionSpec, Options};
use desk::Glpi;
use options::Map;
use verbs::itemtype;

/// A session for all conversations; GLPI logs each one that is opened.
static SESSION: Session = Session {
    path: "/initSession",
    token: "/session_token",
    header: "session-token",
    slots: &[api::APP_TOKEN],
};

const LOGINS: &[Login] = &[
    Login::Secret { option: "token", header: "authorization", prefix: "user_token " },
    V2_LOGIN,
    Login::Basic,
];
/// That of the API v2, which knows no other for machines.
const V2_LOGIN: Login = Login::OAuthPassword { path: "/token", scope: "api" };

/// The connector.
pub const CONNECTOR: Connector = Connector {
    door: DoorSpec {
        kind: "glpi",
        about: "GLPI 9.5 to 11 by its REST API or, from 11 on, API v2: tickets and problems",
        options: &[
            OptionSpec {
                key: "url",
                kind: OptionKind::RequiredText,
                about: "address of the REST API, https://host/apirest.php, or of API v2, https://host/api.php/v2",
            },
            ANY_TOKEN,
            OptionSpec {
                key: "app_token",
                kind: OptionKind::Secret,
                about: "where the application token of the API client is read, when it has one",
            },
            USER,
            PASSWORD,
            OAUTH_CLIENT,
            OAUTH_SECRET,
            OAUTH_URL,
            OAUTH_SCOPE,
            MAP,
            PROXY,
            CA,
        ],
        signals: &[],
        check,
    },
    wire: WireKind::Session(&SESSION),
    logins: LOGINS,
    batch: 1,
    concurrency: 2,
    hello: Some(hello),
    heartbeat: None,
    next,
    read: Some(read),
    read_batch: 10,
};

fn check(options: &Options) -> Result<(), String> {
    options::check(options, LOGINS)
}

/// The next request for one job, or its outcome.
pub fn next(target: &Target, jobs: &[Job], exchanges: &[Exchange]) -> Next {
    if options::is_v2(&target.options) {
        return v2::next(target, jobs, exchanges);
    }
    tickets::next(&Glpi { map: Map::of(target) }, target, jobs, exchanges)
}

/// What a profile must allow: its name in the session, the bits of which one must be there, and how the
/// form of the profile calls it.
const RIGHTS: &[(&str, i64, &str)] = &[
    ("ticket", 4, "Assistance > Tickets > Create"),
    ("ticket", 2, "Assistance > Tickets > Update"),
    ("ticket", 1024, "Assistance > Tickets > See all tickets"),
    ("followup", 4 | 4096, "Assistance > Followups > Add to all items"),
    ("followup", 1 | 8192, "Assistance > Followups > See public ones"),
];
/// The same for problems; without them only incidents arrive.
const PROBLEM_RIGHTS: &[(&str, i64, &str)] = &[
    ("problem", 4, "Assistance > Problems > Create"),
    ("problem", 2, "Assistance > Problems > Update"),
    ("problem", 1024, "Assistance > Problems > See all"),
];

/// Proves login, rights and entity.
pub fn hello(target: &Target, exchanges: &[Exchange]) -> Next {
    if options::is_v2(&target.options) {
        return v2::hello(target, exchanges);
    }
    tickets::proven(prove(&mut Talk::new(exchanges, false), Map::of(target)))
}

fn prove(talk: &mut Talk, map: Map) -> Result<Vec<String>, Next> {
    let json = api::get(talk, "/getActiveProfile".to_owned())?;
    let profile = &json["active_profile"];
    let name = loose(&profile["name"]);
    if !profile.is_object() {
        return Err(pause("GLPI shows no profile of the account: give it one".to_owned()));
    }
    if let Some(lack) = lacking(profile, RIGHTS) {
        return Err(pause(format!("the profile '{name}' of the account lacks the right {lack}")));
    }
    let entity = map.get("entity");
    if !entity.is_empty() {
        let json = api::get(talk, "/getMyEntities?is_recursive=true".to_owned())?;
        let mine = |e: &Json| loose(&e["id"]) == entity;
        if !json["myentities"].as_array().is_some_and(|all| all.iter().any(mine)) {
            return Err(pause(format!("the account may not work in the entity {entity} of map entity")));
        }
    }
    let mut flaws = Vec::new();
    if let Some(lack) = lacking(profile, PROBLEM_RIGHTS) {
        flaws.push(format!("problems cannot be stored: the profile '{name}' lacks the right {lack}"));
    }
    if !map.get("ci").is_empty() && map.get("ci") == "Computer" && bits(profile, "computer") & 1 == 0 {
        let lack = "Assets > Computers > Read";
        flaws.push(format!("tickets are not tied to computers: the profile '{name}' lacks {lack}"));
    }
    if forbids(&profile["ticket_status"]) {
        flaws.push(format!("the life cycle of the profile '{name}' does not let it solve tickets"));
    }
    Ok(flaws)
}

fn lacking(profile: &Json, rights: &[(&'static str, i64, &'static str)]) -> Option<&'static str> {
    let lack = rights.iter().find(|(name, any, _)| bits(profile, name) & any == 0);
    lack.map(|(_, _, form)| *form)
}

fn bits(profile: &Json, name: &str) -> i64 {
    loose(&profile[name]).parse().unwrap_or(0)
}

/// The matrix of the life cycle names what is forbidden only; from new and assigned to solved is our way.
fn forbids(matrix: &Json) -> bool {
    let parsed = matrix.as_str().and_then(|text| serde_json::from_str::<Json>(text).ok());
    let matrix = parsed.as_ref().unwrap_or(matrix);
    ["1", "2"].iter().any(|from| loose(&matrix[*from]["5"]) == "0")
}

/// Reads back status, technicians and solution.
fn read(target: &Target, held: &[Held], exchanges: &[Exchange]) -> Next {
    if options::is_v2(&target.options) {
        return v2::read(target, held, exchanges);
    }
    tickets::read_back(held, exchanges, remote)
}

fn remote(talk: &mut Talk, held: &Held) -> Result<Option<Remote>, Next> {
    let kind = itemtype(held.kind);
    let path = format!("/{kind}/{}", held.remote_id);
    let said = api::ask(talk, Request::get(format!("{path}?get_hateoas=false")))?;
    if said.is_gone() {
        return Err(tickets::gone(held));
    }
    if loose(&said.json["is_deleted"]) == "1" {
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
        let actors = if kind == "Problem" { "Problem_User" } else { "Ticket_User" };
        let json =
            api::get(talk, format!("{path}/{actors}?get_hateoas=false&expand_dropdowns=true&range=0-99"))?;
        let assigned = json.as_array().into_iter().flatten().filter(|a| loose(&a["type"]) == ASSIGNED);
        let names: Vec<String> = assigned.map(|a| loose(&a["users_id"])).filter(|n| !n.is_empty()).collect();
        found.assignee = (!names.is_empty()).then(|| names.join(", "));
    }
    if !found.is_open() {
        let newest = "get_hateoas=false&sort=id&order=DESC&range=0-0";
        let json = api::get(talk, format!("{path}/ITILSolution?{newest}"))?;
        found.note = json.get(0).map(|s| text_of(&loose(&s["content"]))).filter(|t| !t.is_empty());
    }
    Ok(found.remote(&held.record, held.rev))
}

/// The type of a `Ticket_User` that works on the ticket.
const ASSIGNED: &str = "2";

/// The words of a text in HTML, on one line; GLPI 10 may have encoded it once more.
fn text_of(html: &str) -> String {
    let html = html.replace("&#60;", "<").replace("&#62;", ">").replace("&#38;", "&");
    one_line(&markup::text(&html.replace('<', " <")))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The most bytes of GLPI's words that are quoted.
const WORDS: usize = 240;

/// GLPI's words, on one line.
fn quoted(words: &str) -> String {
    let line: String = one_line(words).chars().filter(|c| !c.is_control()).collect();
    clip(&line, WORDS)
}

#[cfg(test)]
mod tests;
