//! The legacy REST API of GLPI: what is asked, and what an answer means.
//!
//! Errors are arrays of a code and a sentence in the account's language, so only the code decides. GLPI 10
//! stores and shows texts with `<` and `&` encoded once more; a header asks for them as they were sent.

use serde_json::Value as Json;

use super::super::classify::{Class, class, sentence};
use super::super::request::{encode, loose};
use super::super::talk::Talk;
use super::super::tickets::pause;
use super::super::{Method, Next, Place, Reply, Request, Slot};
use super::quoted;

/// The token of the API client, where the installation demands one.
pub const APP_TOKEN: Slot =
    Slot { option: "app_token", place: Place::Header { name: "app-token", prefix: "" } };

/// Codes that speak of the login and not of the request.
const LOGIN: &[&str] = &[
    "ERROR_APP_TOKEN_PARAMETERS_MISSING",
    "ERROR_WRONG_APP_TOKEN_PARAMETER",
    "ERROR_NOT_ALLOWED_IP",
    "ERROR_LOGIN_PARAMETERS_MISSING",
    "ERROR_LOGIN_WITH_CREDENTIALS_DISABLED",
    "ERROR_GLPI_LOGIN",
    "ERROR_GLPI_LOGIN_USER_TOKEN",
    "ERROR_SESSION_TOKEN_INVALID",
    "ERROR_SESSION_TOKEN_MISSING",
];

/// An answer.
pub struct Said<'a> {
    reply: &'a Reply,
    /// It did what was asked.
    pub done: bool,
    /// Its body.
    pub json: Json,
    /// `ERROR_…`; empty when there is none.
    pub code: String,
    /// What GLPI says of it, on one line.
    pub words: String,
}

impl Said<'_> {
    /// GLPI says that there is no such thing; a 404 alone may come from anybody.
    pub fn is_gone(&self) -> bool {
        self.code == "ERROR_ITEM_NOT_FOUND"
    }

    /// GLPI says that the account may not see it.
    pub fn is_denied(&self) -> bool {
        self.code == "ERROR_RIGHT_MISSING"
    }

    /// The end of the conversation, for who has no use for this answer.
    pub fn end(&self, talk: &Talk) -> Next {
        match self.code.as_str() {
            "ERROR_RIGHT_MISSING" => pause(format!(
                "GLPI: {}: the account's profile lacks a right, or its entities are too few",
                self.words
            )),
            "" => pause(format!("what answers at url is not GLPI: {}", sentence(self.reply))),
            "ERROR" | "ERROR_RESOURCE_NOT_FOUND_NOR_COMMONDBTM" => pause(format!("GLPI: {}", self.words)),
            _ => talk.give_up(self.reply, true),
        }
    }
}

/// Asks and hears the answer, whatever it is; a refused login ends the conversation.
pub fn ask<'a>(talk: &mut Talk<'a>, request: Request) -> Result<Said<'a>, Next> {
    let mut request = request.with("x-glpi-sanitized-content", "false");
    request.secrets.push(APP_TOKEN);
    let reply = talk.ask(request)?;
    let json = reply.json();
    let done = class(reply.status) == Class::Success && reply.status != 207;
    if done && json.is_null() {
        let said = sentence(reply);
        return Err(
            talk.retry(None, format!("not what GLPI answers: a proxy, or url leads elsewhere ({said})"))
        );
    }
    let (code, words) = if done { Default::default() } else { error(&json) };
    if LOGIN.contains(&code.as_str()) {
        return Err(pause(format!("GLPI refuses the login: {code}: {words}")));
    }
    Ok(Said { reply, done, json, code, words })
}

/// Asks what must succeed.
pub fn get(talk: &mut Talk, path: String) -> Result<Json, Next> {
    let said = ask(talk, Request::get(path))?;
    if said.done { Ok(said.json) } else { Err(said.end(talk)) }
}

/// Writes.
pub fn write<'a>(talk: &mut Talk<'a>, method: Method, path: String, input: Json) -> Result<Said<'a>, Next> {
    ask(talk, Request::json(method, path, serde_json::json!({ "input": input })))
}

fn error(json: &Json) -> (String, String) {
    let code = json.get(0).map(loose).filter(|c| c.starts_with("ERROR")).unwrap_or_default();
    let words = match json.get(1) {
        Some(Json::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => json.to_string(),
    };
    (code, quoted(&words))
}

/// A term of a search: number of the search option, how it is compared, and with what.
pub struct Term<'a> {
    /// Number of the search option.
    pub field: u32,
    /// `contains`, `equals`.
    pub by: &'static str,
    /// What it is compared with.
    pub value: &'a str,
}

/// The path of a search in which all terms hold, the oldest first. `range` is counted from 0.
pub fn search(itemtype: &str, terms: &[Term], range: &str) -> String {
    let mut path = format!("/search/{itemtype}?");
    for (i, term) in terms.iter().enumerate() {
        if i > 0 {
            path.push_str(&format!("criteria[{i}][link]=AND&"));
        }
        let value = encode(term.value);
        path.push_str(&format!(
            "criteria[{i}][field]={}&criteria[{i}][searchtype]={}&criteria[{i}][value]={value}&",
            term.field, term.by
        ));
    }
    path.push_str(&format!("forcedisplay[0]=2&sort=2&order=ASC&range={range}"));
    path
}

/// The ids in the answer to a search; only numbers are believed.
pub fn ids(json: &Json) -> Vec<u64> {
    let rows = json["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut ids: Vec<u64> = rows.iter().filter_map(|row| loose(&row["2"]).parse().ok()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}
