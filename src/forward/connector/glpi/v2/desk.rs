//! The verbs of the API v2: tickets for incidents, problems for problem candidates.
//!
//! A followup of the ticket's requester takes it off its hold and undoes a solution, and this API has no way
//! to say that it should not: the status is put back where a followup has moved it.

use serde_json::{Value as Json, json};

use super::super::super::request::loose;
use super::super::super::talk::Talk;
use super::super::super::tickets::{Found, Product, Say, pause, refused};
use super::super::super::wanted::{Wanted, cut};
use super::super::super::{Method, Next, Request, footer, markup, times};
use super::super::desk::{TITLE, message, stage, status};
use super::super::options::{Map, typed};
use super::api::{self, ask, get, place, search, write};
use crate::engine::effect::{Job, RecordKind, Stage};

/// The most tickets of a search that are looked at.
const HITS: usize = 10;

/// One GLPI.
pub struct GlpiV2<'a> {
    /// Its names.
    pub map: Map<'a>,
    /// Address of the pages that people see.
    pub pages: &'a str,
}

impl Product for GlpiV2<'_> {
    fn find(&self, talk: &mut Talk, wanted: &Wanted, key: &str) -> Result<Vec<Found>, Next> {
        let by_text = format!("content=like=\"*{}*\"", footer::needle(key));
        let found = self.list(talk, wanted.kind, &by_text, |t| t.key == key)?;
        if !found.is_empty() || wanted.kind == RecordKind::Problem {
            return Ok(found);
        }
        // Somebody may have rewritten the description.
        self.list(talk, wanted.kind, &format!("external_id==\"{key}\""), |t| t.key == key)
    }

    fn orphans(&self, talk: &mut Talk, wanted: &Wanted) -> Result<Vec<Found>, Next> {
        let needle = footer::needle(&wanted.alert_key);
        let filter = format!("content=like=\"*{needle}*\";status.id=out=(5,6)");
        let ours = |t: &Found| footer::alert_key(&loose(&t.raw["content"])) == wanted.alert_key;
        self.list(talk, wanted.kind, &filter, ours)
    }

    fn adopt(&self, talk: &mut Talk, wanted: &Wanted, ticket: &Found) -> Result<(), Next> {
        let content = loose(&ticket.raw["content"]);
        let content = content.replace(&footer::needle(&ticket.key), &footer::needle(&wanted.key));
        let mut fields = json!({ "content": content });
        if wanted.kind != RecordKind::Problem {
            fields["external_id"] = json!(wanted.key);
        }
        match self.patch(talk, wanted.kind, &ticket.id, fields)? {
            None => Ok(()),
            Some(words) => Err(pause(format!("GLPI does not change {}: {words}", ticket.id))),
        }
    }

    fn create(
        &self,
        talk: &mut Talk,
        wanted: &Wanted,
        key: &str,
        before: Option<&Found>,
    ) -> Result<String, Next> {
        let fields = self.fields(wanted, key, before);
        let said = write(talk, Method::Post, place(wanted.kind).to_owned(), fields)?;
        let kind = name(wanted.kind);
        if said.is_misled() {
            let made = self.find(talk, wanted, key)?.into_iter().next();
            return made.map(|t| t.id).ok_or_else(|| said.end(talk));
        }
        if said.is_refused() {
            let of = if kind == "Ticket" { "incident" } else { "problem" };
            let reason = format!(
                "GLPI takes no new {kind}: {}; check the profile's rights and entity, and give fields that a \
                 template demands as map {of}.<field>",
                said.words
            );
            // Without rights on problems incidents still arrive.
            return Err(if kind == "Ticket" { pause(reason) } else { refused(reason) });
        }
        if !said.done {
            return Err(said.end(talk));
        }
        let id = loose(&said.json["id"]);
        if id.parse::<u64>().is_err() {
            return Err(talk.retry(None, format!("GLPI made a {kind} without an id")));
        }
        Ok(id)
    }

    fn read(&self, talk: &mut Talk, kind: RecordKind, id: &str) -> Result<Option<Found>, Next> {
        let said = ask(talk, Request::get(format!("{}/{id}", place(kind))))?;
        if said.is_gone() || said.json["is_deleted"] == true {
            return Ok(None);
        }
        if said.done { Ok(Some(found(&said.json))) } else { Err(said.end(talk)) }
    }

    fn is_said(&self, talk: &mut Talk, wanted: &Wanted, ticket: &Found) -> Result<bool, Next> {
        for child in ["Followup", "Solution"] {
            if told(talk, wanted.kind, &ticket.id, child, &wanted.marker)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn tell(
        &self,
        talk: &mut Talk,
        wanted: &Wanted,
        ticket: &Found,
        say: &Say,
    ) -> Result<Option<String>, Next> {
        let mut flaw = self.weigh(talk, wanted, ticket, say)?;
        let text = say.text.map(|text| message(wanted, text));
        let over = say.stage.is_some_and(|s| !s.is_open());
        let mut solved = false;
        if let (true, Some(text)) = (over, &text) {
            solved = self.solve(talk, wanted, ticket, text)?;
        }
        if let (false, Some(text)) = (solved, &text) {
            flaw = self.comment(talk, wanted.kind, ticket, text, &wanted.marker)?.or(flaw);
        }
        if let Some(stage) = say.stage {
            flaw = self.move_to(talk, wanted, ticket, stage, solved)?.or(flaw);
        }
        Ok(flaw)
    }

    /// This API cannot tie a ticket to a problem: a followup names it, on the problem where the ticket is
    /// closed already.
    fn link(&self, talk: &mut Talk, job: &Job, incident: &str, problem: &str) -> Result<(), Next> {
        let gone = |what: &str| refused(format!("GLPI does not show {what}: nothing to link"));
        let ticket = self.read(talk, RecordKind::Incident, incident)?;
        let ticket = ticket.ok_or_else(|| gone(&format!("ticket {incident}")))?;
        let parent = self.read(talk, RecordKind::Problem, problem)?;
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
        let (what, page) = (name(of), name(of).to_lowercase());
        let text = format!(
            "{what} {}: {}\n{}/front/{page}.form.php?id={}\n\n{marker}",
            other.id,
            loose(&other.raw["name"]),
            self.pages,
            other.id
        );
        self.comment(talk, kind, at, &text, &marker).map(|_| ())
    }
}

impl GlpiV2<'_> {
    /// The fields of a new ticket.
    fn fields(&self, wanted: &Wanted, key: &str, before: Option<&Found>) -> Json {
        let before = before.map_or(String::new(), |t| format!("Follows {}, which is closed.\n\n", t.id));
        let content = format!("{before}{}\n\n{}", wanted.content, footer::line(key, &wanted.alert_key));
        let mut fields = json!({
            "name": cut(&wanted.subject, TITLE),
            "content": markup::html(&content),
            "impact": self.map.level(wanted.impact),
            "urgency": self.map.level(wanted.urgency),
        });
        if wanted.kind != RecordKind::Problem {
            fields["type"] = json!(1);
            fields["external_id"] = json!(key);
        }
        if !self.map.get("entity").is_empty() {
            fields["entity"] = typed(self.map.get("entity"));
        }
        if let Some(all) = fields.as_object_mut() {
            all.extend(self.map.fields(wanted.kind));
        }
        fields
    }

    /// The tickets of a search that really are what was looked for; deleted ones are shown too.
    fn list(
        &self,
        talk: &mut Talk,
        kind: RecordKind,
        filter: &str,
        fits: impl Fn(&Found) -> bool,
    ) -> Result<Vec<Found>, Next> {
        let json = get(talk, search(kind, filter, HITS))?;
        let there = json.as_array().into_iter().flatten().filter(|t| t["is_deleted"] != true);
        let mut all: Vec<Found> = there.map(found).filter(fits).collect();
        all.sort_by_key(|t| t.id.parse::<u64>().unwrap_or(u64::MAX));
        Ok(all)
    }

    /// Changes fields; GLPI's words when it refuses.
    fn patch(
        &self,
        talk: &mut Talk,
        kind: RecordKind,
        id: &str,
        fields: Json,
    ) -> Result<Option<String>, Next> {
        let said = write(talk, Method::Patch, format!("{}/{id}", place(kind)), fields)?;
        match said.done {
            true => Ok(None),
            false if said.is_refused() => Ok(Some(said.words)),
            false => Err(said.end(talk)),
        }
    }

    /// Writes the weight when it has changed on the host. What a rule or a person made of it stays otherwise.
    fn weigh(
        &self,
        talk: &mut Talk,
        wanted: &Wanted,
        ticket: &Found,
        say: &Say,
    ) -> Result<Option<String>, Next> {
        let mut fields = json!({});
        if say.fields && wanted.weighs && ticket.is_open() {
            for (field, level) in [("impact", wanted.impact), ("urgency", wanted.urgency)] {
                let level = self.map.level(level);
                if loose(&ticket.raw[field]) != level.to_string() {
                    fields[field] = json!(level);
                }
            }
        }
        if fields == json!({}) {
            return Ok(None);
        }
        let refusal = self.patch(talk, wanted.kind, &ticket.id, fields)?;
        Ok(refusal.map(|words| format!("GLPI does not change {}: {words}", ticket.id)))
    }

    /// Adds a solution, which solves the ticket; false when GLPI takes none.
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

    /// Adds a followup that leaves the status as it is, and sees whether it can be read back: a profile that
    /// does not show followups hides them without a word, and each would be written twice.
    fn comment(
        &self,
        talk: &mut Talk,
        kind: RecordKind,
        ticket: &Found,
        text: &str,
        marker: &str,
    ) -> Result<Option<String>, Next> {
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
    fn keep(&self, talk: &mut Talk, kind: RecordKind, ticket: &Found) -> Result<Option<String>, Next> {
        let at_rest = matches!(ticket.stage, Some(Stage::OnHold | Stage::Resolved | Stage::Closed));
        if !at_rest {
            return Ok(None);
        }
        let now = self.read(talk, kind, &ticket.id)?;
        let was = loose(&ticket.raw["status"]["id"]);
        if now.is_none_or(|t| loose(&t.raw["status"]["id"]) == was) {
            return Ok(None);
        }
        let refusal = self.patch(talk, kind, &ticket.id, json!({"status": {"id": typed(&was)}}))?;
        Ok(refusal.map(|words| format!("a followup reopened {}, and GLPI keeps it so: {words}", ticket.id)))
    }

    /// Sets the status, and looks whether it is so: a status that the life cycle of the profile forbids is
    /// dropped without a word.
    fn move_to(
        &self,
        talk: &mut Talk,
        wanted: &Wanted,
        ticket: &Found,
        stage: Stage,
        solved: bool,
    ) -> Result<Option<String>, Next> {
        let mut words = String::new();
        if !solved {
            let fields = json!({"status": {"id": status(stage)}});
            words = self.patch(talk, wanted.kind, &ticket.id, fields)?.unwrap_or_default();
        }
        let now = self.read(talk, wanted.kind, &ticket.id)?.and_then(|t| t.stage);
        let stays = format!(
            "{} {} does not become {stage:?}: allow it in the profile's life cycle, or see what its template \
             demands{}{words}",
            name(wanted.kind),
            ticket.id,
            if words.is_empty() { "" } else { ": " }
        );
        match now {
            Some(now) if now.is_open() && !stage.is_open() => Err(refused(stays)),
            Some(now) if now.is_open() != stage.is_open() => Ok(Some(stays)),
            _ => Ok(None),
        }
    }
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

/// GLPI's name for that kind of record.
fn name(kind: RecordKind) -> &'static str {
    api::place(kind).rsplit('/').next().unwrap_or_default()
}

/// A ticket or problem as the API shows it.
pub fn found(json: &Json) -> Found {
    let content = loose(&json["content"]);
    let external = loose(&json["external_id"]);
    let key = match footer::key(&content) {
        "" if external.starts_with("sx-") => external,
        key => key.to_owned(),
    };
    Found {
        id: loose(&json["id"]),
        key,
        stage: stage(&loose(&json["status"]["id"])),
        updated: times::changed(&loose(&json["date_mod"])),
        raw: json.clone(),
        ..Found::default()
    }
}
