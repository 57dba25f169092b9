//! The high-level API of GLPI 11: what is asked, and what an answer means.
//!
//! ```text
//! errors   {"status": "ERROR_…", "title": …, "detail": …, "additional_messages": [{"message": …}]}
//! refused  500 {"status": "ERROR", "title": "Failed to create item(s)"}: not carried out, though a 500
//! misled   404 without a status after a create: carried out, and the web server followed its `Location`
//! ```

use serde_json::Value as Json;

use super::super::super::classify::{Class, class, sentence};
use super::super::super::request::{encode, loose};
use super::super::super::talk::Talk;
use super::super::super::tickets::pause;
use super::super::super::{Method, Next, Reply, Request};
use super::super::quoted;
use crate::engine::effect::RecordKind;

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
    /// GLPI says that there is no such thing, or none that the account may see.
    pub fn is_gone(&self) -> bool {
        self.code == "ERROR_ITEM_NOT_FOUND"
    }

    /// The profile lacks a right.
    pub fn is_denied(&self) -> bool {
        self.code == "ERROR_RIGHT_MISSING"
    }

    /// GLPI itself would not do it: rights, a template, a rule, a status.
    pub fn is_refused(&self) -> bool {
        self.is_denied() || is_refusal(self.reply)
    }

    /// The answer is that to another question: whether the create was carried out has to be looked up.
    pub fn is_misled(&self) -> bool {
        self.reply.status == 404 && self.code.is_empty()
    }

    /// The end of the conversation, for who has no use for this answer.
    pub fn end(&self, talk: &Talk) -> Next {
        match self.code.as_str() {
            "ERROR_RIGHT_MISSING" => pause(format!(
                "GLPI: {}: the account's profile lacks a right, its entities are too few, the scope 'api' is \
                 not allowed to the OAuth client, or the API is switched off",
                self.words
            )),
            "" => pause(format!("what answers at url is not the API v2 of GLPI: {}", sentence(self.reply))),
            _ => talk.give_up(self.reply, true),
        }
    }
}

/// A write that GLPI did not carry out, by its own words.
fn is_refusal(reply: &Reply) -> bool {
    let json = reply.json();
    let title = json["title"].as_str().unwrap_or_default();
    reply.status == 500 && json["status"] == "ERROR" && title.starts_with("Failed to ")
}

/// Asks and hears the answer, whatever it is.
pub fn ask<'a>(talk: &mut Talk<'a>, request: Request) -> Result<Said<'a>, Next> {
    let reply = talk.ask_unless(request, is_refusal)?;
    let json = reply.json();
    let done = class(reply.status) == Class::Success;
    if done && json.is_null() {
        let said = sentence(reply);
        return Err(
            talk.retry(None, format!("not what GLPI answers: a proxy, or url leads elsewhere ({said})"))
        );
    }
    let code = if done { String::new() } else { loose(&json["status"]) };
    let code = if code.starts_with("ERROR") { code } else { String::new() };
    let words = if done { String::new() } else { words(&json) };
    Ok(Said { reply, done, json, code, words })
}

/// Asks what must succeed.
pub fn get(talk: &mut Talk, path: String) -> Result<Json, Next> {
    let said = ask(talk, Request::get(path))?;
    if said.done { Ok(said.json) } else { Err(said.end(talk)) }
}

/// Writes.
pub fn write<'a>(talk: &mut Talk<'a>, method: Method, path: String, body: Json) -> Result<Said<'a>, Next> {
    ask(talk, Request::json(method, path, body))
}

/// Title, detail and messages; each may be missing, a text or an object.
fn words(json: &Json) -> String {
    let text = |part: &Json| match part {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    let messages = json["additional_messages"].as_array().into_iter().flatten().map(|m| text(&m["message"]));
    let parts = [text(&json["title"]), text(&json["detail"])].into_iter().chain(messages);
    let parts: Vec<String> = parts.map(|p| p.trim().to_owned()).filter(|p| !p.is_empty()).collect();
    quoted(&parts.join(": "))
}

/// Where that kind of record lives.
pub fn place(kind: RecordKind) -> &'static str {
    if kind == RecordKind::Problem { "/Assistance/Problem" } else { "/Assistance/Ticket" }
}

/// The path of a search by RSQL, the oldest first.
pub fn search(kind: RecordKind, filter: &str, limit: usize) -> String {
    format!("{}?filter={}&sort=id&limit={limit}", place(kind), encode(filter))
}
