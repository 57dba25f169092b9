//! The verbs of the API v2.
//!
//! A followup of the ticket's requester takes it off its hold and undoes a solution, and this API has no way
//! to say that it should not: the status is put back where a followup has moved it.

use serde_json::{Value as Json, json};

use super::super::super::request::loose;
use super::super::super::talk::Talk;
use super::super::super::tickets::{Found, Product, pause, refused};
use super::super::super::wanted::Wanted;
use super::super::super::{Method, Next, Request, markup};
use super::super::options::{Map, typed};
use super::super::verbs::{HITS, Refusal, Verbs, itemtype, made, not_made, shown};
use super::api::{ask, get, place, search, write};
use crate::engine::effect::{Job, RecordKind, Stage};

/// One GLPI.
pub struct GlpiV2<'a> {
    /// Its names.
    pub map: Map<'a>,
    /// Address of the pages that people see.
    pub pages: &'a str,
}

impl Verbs for GlpiV2<'_> {
    const EXTERNAL_ID: &'static str = "external_id";
    const ENTITY: &'static str = "entity";

    fn map(&self) -> Map<'_> {
        self.map
    }

    fn holding(&self, talk: &mut Talk, kind: RecordKind, text: &str, open: bool) -> Result<Vec<Found>, Next> {
        let open = if open { ";status.id=out=(5,6)" } else { "" };
        list(talk, kind, &format!("content=like=\"*{text}*\"{open}"))
    }

    fn external(&self, talk: &mut Talk, key: &str) -> Result<Vec<Found>, Next> {
        list(talk, RecordKind::Incident, &format!("external_id==\"{key}\""))
    }

    fn make(&self, talk: &mut Talk, wanted: &Wanted, key: &str, fields: Json) -> Result<String, Next> {
        let said = write(talk, Method::Post, place(wanted.kind).to_owned(), fields)?;
        match said.done {
            true => made(talk, wanted.kind, &said.json),
            false if said.is_misled() => {
                let made = self.find(talk, wanted, key)?.into_iter().next();
                made.map(|t| t.id).ok_or_else(|| said.end(talk))
            }
            false if said.is_refused() => Err(not_made(wanted.kind, &said.words)),
            false => Err(said.end(talk)),
        }
    }

    fn fetch(&self, talk: &mut Talk, kind: RecordKind, id: &str) -> Result<Option<Found>, Next> {
        let said = ask(talk, Request::get(format!("{}/{id}", place(kind))))?;
        if said.is_gone() || said.json["is_deleted"] == true {
            return Ok(None);
        }
        if said.done { Ok(Some(found(&said.json))) } else { Err(said.end(talk)) }
    }

    fn change(&self, talk: &mut Talk, kind: RecordKind, id: &str, fields: Json) -> Result<Refusal, Next> {
        let said = write(talk, Method::Patch, format!("{}/{id}", place(kind)), fields)?;
        match said.done {
            true => Ok(None),
            false if said.is_refused() => Ok(Some(said.words)),
            false => Err(said.end(talk)),
        }
    }

    fn set(&self, talk: &mut Talk, kind: RecordKind, id: &str, status: u8) -> Result<Refusal, Next> {
        self.change(talk, kind, id, json!({"status": {"id": status}}))
    }

    fn holds(&self, talk: &mut Talk, kind: RecordKind, id: &str, marker: &str) -> Result<bool, Next> {
        for child in ["Followup", "Solution"] {
            if told(talk, kind, id, child, marker)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn solve(&self, talk: &mut Talk, wanted: &Wanted, ticket: &Found, text: &str) -> Result<bool, Next> {
        let path = format!("{}/{}/Timeline/Solution", place(wanted.kind), ticket.id);
        let said = write(talk, Method::Post, path, json!({ "content": markup::html(text) }))?;
        match said.done {
            true => Ok(true),
            false if said.is_misled() => told(talk, wanted.kind, &ticket.id, "Solution", &wanted.marker),
            // Solved by a person this very moment, or one awaits approval.
            false if said.is_refused() => Ok(false),
            false => Err(said.end(talk)),
        }
    }

    fn comment(&self, talk: &mut Talk, wanted: &Wanted, ticket: &Found, text: &str) -> Result<Refusal, Next> {
        self.follow(talk, wanted.kind, ticket, text, &wanted.marker)
    }

    /// This API cannot tie a ticket to a problem: a followup names it, on the problem where the ticket is
    /// closed already.
    fn tie(&self, talk: &mut Talk, job: &Job, incident: &str, problem: &str) -> Result<(), Next> {
        let gone = |what: &str| refused(format!("GLPI does not show {what}: nothing to link"));
        let ticket = self.fetch(talk, RecordKind::Incident, incident)?;
        let ticket = ticket.ok_or_else(|| gone(&format!("ticket {incident}")))?;
        let parent = self.fetch(talk, RecordKind::Problem, problem)?;
        let parent = parent.ok_or_else(|| gone(&format!("problem {problem}")))?;
        let marker = format!("[{}]", job.operation_key);
        let ends = [
            (RecordKind::Incident, &ticket, RecordKind::Problem, &parent),
            (RecordKind::Problem, &parent, RecordKind::Incident, &ticket),
        ];
        let Some((kind, at, of, other)) = ends.into_iter().find(|(_, t, ..)| t.stage != Some(Stage::Closed))
        else {
            return Ok(());
        };
        if told(talk, kind, &at.id, "Followup", &marker)? {
            return Ok(());
        }
        let (what, page) = (itemtype(of), itemtype(of).to_lowercase());
        let text = format!(
            "{what} {}: {}\n{}/front/{page}.form.php?id={}\n\n{marker}",
            other.id,
            loose(&other.raw["name"]),
            self.pages,
            other.id
        );
        self.follow(talk, kind, at, &text, &marker).map(|_| ())
    }
}

impl GlpiV2<'_> {
    /// Adds a followup that leaves the status as it is, and sees whether it can be read back: a profile that
    /// does not show followups hides them without a word, and each would be written twice.
    fn follow(
        &self,
        talk: &mut Talk,
        kind: RecordKind,
        ticket: &Found,
        text: &str,
        marker: &str,
    ) -> Result<Refusal, Next> {
        let path = format!("{}/{}/Timeline/Followup", place(kind), ticket.id);
        let private = self.map.get("followup.private") == "1";
        let body = json!({ "content": markup::html(text), "is_private": private });
        let said = write(talk, Method::Post, path, body)?;
        if said.is_refused() && ticket.stage == Some(Stage::Closed) {
            // A closed ticket takes no word any more.
            return Ok(Some(format!("GLPI takes no followup on {}: {}", ticket.id, said.words)));
        }
        if said.is_refused() {
            return Err(pause(format!(
                "GLPI takes no followup: {}; the profile needs the right to add followups to all items",
                said.words
            )));
        }
        let shown = (said.done || said.is_misled()) && told(talk, kind, &ticket.id, "Followup", marker)?;
        if !shown && !said.done {
            return Err(said.end(talk));
        }
        let moved = self.keep(talk, kind, ticket)?;
        let hidden = "GLPI does not show the account its own followups: give the profile Assistance > \
                      Followups > See public ones, or a repeated one stands there twice";
        Ok(if shown { moved } else { Some(hidden.to_owned()) })
    }

    /// Puts back the status that our followup, being the requester's, has changed.
    fn keep(&self, talk: &mut Talk, kind: RecordKind, ticket: &Found) -> Result<Refusal, Next> {
        let at_rest = matches!(ticket.stage, Some(Stage::OnHold | Stage::Resolved | Stage::Closed));
        if !at_rest {
            return Ok(None);
        }
        let now = self.fetch(talk, kind, &ticket.id)?;
        let was = loose(&ticket.raw["status"]["id"]);
        if now.is_none_or(|t| loose(&t.raw["status"]["id"]) == was) {
            return Ok(None);
        }
        let refusal = self.change(talk, kind, &ticket.id, json!({"status": {"id": typed(&was)}}))?;
        Ok(refusal.map(|words| format!("a followup reopened {}, and GLPI keeps it so: {words}", ticket.id)))
    }
}

/// The tickets of a search; the answer shows deleted ones too.
fn list(talk: &mut Talk, kind: RecordKind, filter: &str) -> Result<Vec<Found>, Next> {
    let json = get(talk, search(kind, filter, HITS))?;
    let there = json.as_array().into_iter().flatten().filter(|t| t["is_deleted"] != true);
    let mut all: Vec<Found> = there.map(found).collect();
    all.sort_by_key(|t| t.id.parse::<u64>().unwrap_or(u64::MAX));
    Ok(all)
}

/// Whether a followup or solution with that marker stands there. The filter keeps the answer small; what is
/// found is looked at all the same.
fn told(talk: &mut Talk, kind: RecordKind, id: &str, child: &str, marker: &str) -> Result<bool, Next> {
    let filter = super::super::super::request::encode(&format!("content=like=\"*{marker}*\""));
    let json = get(talk, format!("{}/{id}/Timeline/{child}?filter={filter}", place(kind)))?;
    Ok(entries(&json).any(|entry| loose(&entry["content"]).contains(marker)))
}

/// The followups or solutions of a timeline, which stand within another object.
pub fn entries(json: &Json) -> impl Iterator<Item = &Json> {
    let all = json.as_array().into_iter().flatten();
    all.map(|entry| if entry["item"].is_object() { &entry["item"] } else { entry })
}

/// A ticket or problem as the API shows it.
pub fn found(json: &Json) -> Found {
    shown(json, &json["status"]["id"], &json["external_id"])
}
