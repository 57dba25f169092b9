//! The verbs of Zammad, each straight-line code over a [`Talk`].

use serde_json::{Value as Json, json};

use super::super::classify::{Class, class, clip, sentence};
use super::super::markup;
use super::super::names::Names;
use super::super::request::{encode, loose};
use super::super::talk::Talk;
use super::super::tickets::{Found, Product, Say, pause, refused};
use super::super::wanted::{Wanted, cut};
use super::super::{Method, Next, Reply, Request};
use super::ticket::{found, keys, together};
use crate::engine::effect::{Job, RecordKind, Stage};
use crate::engine::moment::{DAY, SECOND, Stamp};
use crate::engine::record::Priority;

/// The most characters of a title.
const TITLE_CHARS: usize = 250;
/// The most tickets of one search.
const HITS: usize = 50;
/// The most parents that are looked at to find what a ticket was merged into.
const PARENTS: usize = 3;
/// The most notes of a ticket that is read back.
const NOTES: u64 = 30;

/// One Zammad within one conversation.
pub struct Zammad<'a> {
    /// Names used there.
    pub names: Names<'a>,
    /// When the job was claimed.
    pub now: Stamp,
}

/// A search by conditions that all hold: (attribute, operator, value). The database answers it, the oldest
/// ticket first.
pub fn search(conditions: &[(String, &str, &str)], limit: usize) -> Request {
    let pairs = conditions.iter().map(|(attribute, operator, value)| {
        let key = |part: &str| encode(&format!("condition[{attribute}][{part}]"));
        format!("{}={}&{}={}", key("operator"), encode(operator), key("value"), encode(value))
    });
    let pairs = pairs.collect::<Vec<_>>().join("&");
    Request::get(format!(
        "/api/v1/tickets/search?{pairs}&sort_by=created_at&order_by=asc&limit={limit}&expand=true"
    ))
}

impl Product for Zammad<'_> {
    fn find(&self, talk: &mut Talk, _wanted: &Wanted, key: &str) -> Result<Vec<Found>, Next> {
        let mut tickets = self.search(talk, key)?;
        tickets.retain(|t| t.key == key);
        Ok(tickets)
    }

    fn fit(&self, talk: &mut Talk, _wanted: &Wanted) -> Result<(), Next> {
        super::probe(talk, &self.names)
    }

    fn orphans(&self, talk: &mut Talk, wanted: &Wanted) -> Result<Vec<Found>, Next> {
        let mut tickets = self.search(talk, &wanted.alert_key)?;
        let field = self.names.get("field.key");
        tickets.retain(|t| keys(&loose(&t.raw[field])).1 == wanted.alert_key);
        Ok(tickets)
    }

    fn adopt(&self, talk: &mut Talk, wanted: &Wanted, ticket: &Found) -> Result<(), Next> {
        let mut body = json!({});
        body[self.names.get("field.key")] = json!(together(&wanted.key, &wanted.alert_key));
        let adopted = self.put(talk, &ticket.id, body)?;
        if adopted.key != wanted.key {
            let field = self.names.get("field.key");
            return Err(pause(format!("attribute '{field}' of ticket {} cannot be written", ticket.id)));
        }
        Ok(())
    }

    fn create(
        &self,
        talk: &mut Talk,
        wanted: &Wanted,
        key: &str,
        before: Option<&Found>,
    ) -> Result<String, Next> {
        let body = self.body(wanted, key, before);
        let reply = talk.ask(Request::json(Method::Post, "/api/v1/tickets?expand=true", body))?;
        match class(reply.status) {
            Class::Success => {}
            Class::Denied => {
                let group = self.names.of_kind("group", wanted.kind);
                let rights = format!("this user may not make tickets in group '{group}'");
                return Err(pause(format!("{rights}: give it the right 'full' there ({})", sentence(reply))));
            }
            // A name that Zammad does not know, or a field that must not be empty: all records fail alike.
            Class::Permanent if is_setup(reply) => {
                return Err(pause(format!(
                    "Zammad takes no ticket as map describes it: {}",
                    sentence(reply)
                )));
            }
            _ => return Err(talk.give_up(reply, true)),
        }
        match found(&self.names, &reply.json()) {
            Some(ticket) => Ok(ticket.id),
            None => Err(odd(talk, "to a new ticket", reply)),
        }
    }

    fn read(&self, talk: &mut Talk, kind: RecordKind, id: &str) -> Result<Option<Found>, Next> {
        let Some(ticket) = self.get(talk, kind, id)? else { return Ok(None) };
        if loose(&ticket.raw["state"]) != "merged" {
            return Ok(Some(ticket));
        }
        // The ticket it was merged into is its parent; so is its problem.
        for parent in self.parents(talk, id)?.iter().take(PARENTS) {
            let into = self.get(talk, kind, parent)?;
            let into = into.filter(|t| !self.is_problem(&t.raw) || kind == RecordKind::Problem);
            if into.is_some() {
                return Ok(into);
            }
        }
        Ok(Some(ticket))
    }

    fn is_said(&self, talk: &mut Talk, wanted: &Wanted, ticket: &Found) -> Result<bool, Next> {
        let number = loose(&ticket.raw["number"]);
        let conditions = [
            ("ticket.number".to_owned(), "is", number.as_str()),
            ("article.subject".to_owned(), "contains", wanted.marker.as_str()),
        ];
        let hits = self.hits(talk, search(&conditions, HITS))?;
        Ok(hits.iter().any(|t| t.id == ticket.id))
    }

    fn tell(
        &self,
        talk: &mut Talk,
        wanted: &Wanted,
        ticket: &Found,
        say: &Say,
    ) -> Result<Option<String>, Next> {
        let mut body = json!({});
        let state = say.stage.map(|stage| self.state(stage));
        if let Some(state) = state.filter(|s| ticket.raw["state"] != *s) {
            body["state"] = json!(state);
            if state.starts_with("pending") {
                body["pending_time"] = json!(self.now.plus(DAY - self.now.0 % SECOND));
            }
        }
        if say.fields && self.is_heavier(wanted, ticket) {
            body["priority"] = json!(self.names.priority(wanted.priority));
            body["title"] = json!(cut(&wanted.subject, TITLE_CHARS));
        }
        if let Some(text) = say.text {
            body["article"] = self.article(&wanted.headline, text);
        }
        if body == json!({}) {
            return Ok(None);
        }
        let told = self.put(talk, &ticket.id, body.clone())?;
        let kept = body["state"].is_null() || told.raw["state"] == body["state"];
        let flaw = || {
            format!("ticket {} stays '{}', {} was asked", told.id, loose(&told.raw["state"]), body["state"])
        };
        Ok((!kept).then(flaw))
    }

    fn link(&self, talk: &mut Talk, job: &Job, incident: &str, problem: &str) -> Result<(), Next> {
        let gone = |id: &str| refused(format!("ticket {id} is gone: nothing to link"));
        if self.get(talk, RecordKind::Incident, incident)?.is_none() {
            return Err(gone(incident));
        }
        if self.parents(talk, incident)?.iter().any(|p| p == problem) {
            return Ok(());
        }
        let Some(parent) = self.get(talk, RecordKind::Problem, problem)? else { return Err(gone(problem)) };
        // From a number to an id: the source is what the target gets, here its parent.
        let body = json!({
            "link_type": "parent",
            "link_object_source": "Ticket",
            "link_object_source_number": loose(&parent.raw["number"]),
            "link_object_target": "Ticket",
            "link_object_target_value": incident.parse::<u64>().ok(),
        });
        let reply = talk.ask(Request::json(Method::Post, "/api/v1/links/add", body))?;
        match class(reply.status) {
            Class::Success => {}
            Class::Denied => return Err(self.hidden(talk, incident, reply)),
            _ => return Err(talk.give_up(reply, true)),
        }
        if self.parents(talk, incident)?.iter().any(|p| p == problem) {
            return Ok(());
        }
        Err(talk.retry(None, format!("Zammad did not keep the link of {}", job.record)))
    }
}

impl Zammad<'_> {
    /// What was said last by somebody else than the ticket's maker: why a person ended it.
    pub fn last_word(&self, talk: &mut Talk, ticket: &Found) -> Result<Option<String>, Next> {
        if ticket.raw["article_count"].as_u64().unwrap_or(0) > NOTES {
            return Ok(None);
        }
        let path = format!("/api/v1/ticket_articles/by_ticket/{}?expand=true", encode(&ticket.id));
        let reply = talk.ask(Request::get(path))?;
        let json = reply.json();
        let articles = json.as_array().map_or(&[][..], Vec::as_slice);
        let theirs = articles.iter().rev().find(|a| loose(&a["created_by"]) != ticket.creator);
        let body = theirs.map(|a| markup::text(&loose(&a["body"])).trim().to_owned());
        Ok(body.filter(|b| !b.is_empty()).map(|b| clip(&b, 500)))
    }

    fn search(&self, talk: &mut Talk, key: &str) -> Result<Vec<Found>, Next> {
        let field = format!("ticket.{}", self.names.get("field.key"));
        self.hits(talk, search(&[(field, "contains", key)], HITS))
    }

    fn hits(&self, talk: &mut Talk, request: Request) -> Result<Vec<Found>, Next> {
        let reply = talk.ask(request)?;
        if class(reply.status) != Class::Success {
            return Err(pause(format!("Zammad does not take a search by condition: {}", sentence(reply))));
        }
        let json = reply.json();
        let Some(rows) = json.as_array() else { return Err(odd(talk, "to a search", reply)) };
        Ok(rows.iter().filter_map(|row| found(&self.names, row)).collect())
    }

    fn get(&self, talk: &mut Talk, kind: RecordKind, id: &str) -> Result<Option<Found>, Next> {
        let reply = talk.ask(Request::get(format!("/api/v1/tickets/{}?expand=true", encode(id))))?;
        match class(reply.status) {
            Class::Success => match found(&self.names, &reply.json()) {
                Some(ticket) => Ok(Some(ticket)),
                None => Err(odd(talk, &format!("for {kind:?} {id}"), reply)),
            },
            // Only Zammad's own word: a proxy in front of it knows 404 as well.
            Class::Gone if reply.json()["error"].is_string() => Ok(None),
            Class::Gone => Err(odd(talk, &format!("for {kind:?} {id}"), reply)),
            Class::Denied => Err(self.hidden(talk, id, reply)),
            _ => Err(talk.give_up(reply, false)),
        }
    }

    fn put(&self, talk: &mut Talk, id: &str, body: Json) -> Result<Found, Next> {
        let path = format!("/api/v1/tickets/{}?expand=true", encode(id));
        let reply = talk.ask(Request::json(Method::Put, path, body))?;
        match class(reply.status) {
            Class::Success => {}
            Class::Denied => return Err(self.hidden(talk, id, reply)),
            _ => return Err(talk.give_up(reply, true)),
        }
        found(&self.names, &reply.json()).ok_or_else(|| odd(talk, "to a change", reply))
    }

    /// Ids of the tickets that are this one's parents.
    fn parents(&self, talk: &mut Talk, id: &str) -> Result<Vec<String>, Next> {
        let path = format!("/api/v1/links?link_object=Ticket&link_object_value={}", encode(id));
        let reply = talk.ask(Request::get(path))?;
        match class(reply.status) {
            Class::Success => {}
            Class::Denied => return Err(self.hidden(talk, id, reply)),
            _ => return Err(talk.give_up(reply, false)),
        }
        let json = reply.json();
        let Some(links) = json["links"].as_array() else { return Err(odd(talk, "for links", reply)) };
        let parents = links.iter().filter(|l| l["link_type"] == "parent" && l["link_object"] == "Ticket");
        Ok(parents.map(|l| loose(&l["link_object_value"])).collect())
    }

    /// A ticket we may not see: moved away by a person, or have all rights gone?
    fn hidden(&self, talk: &mut Talk, id: &str, reply: &Reply) -> Next {
        let reason = sentence(reply);
        match super::fit(talk, &self.names) {
            Ok(()) => {
                refused(format!("ticket {id} is hidden from this user: moved to another group ({reason})"))
            }
            Err(next) => next,
        }
    }

    fn body(&self, wanted: &Wanted, key: &str, before: Option<&Found>) -> Json {
        let names = &self.names;
        let succeeds = before.map_or(String::new(), |b| {
            format!("Succeeds ticket {}, which is closed for good.\n\n", loose(&b.raw["number"]))
        });
        let mut body = json!({
            "title": cut(&wanted.subject, TITLE_CHARS),
            "group": names.of_kind("group", wanted.kind),
            "customer_id": names.get("customer"),
            "state": names.get("state.new"),
            "priority": names.priority(wanted.priority),
            "tags": names.get("tags"),
            "article": self.article(&wanted.number, &format!("{succeeds}{}", wanted.content)),
        });
        let fields = [
            ("field.key", together(key, &wanted.alert_key)),
            ("field.type", names.of_kind("type", wanted.kind).to_owned()),
            ("field.ci", wanted.ci.clone()),
        ];
        for (entry, value) in fields {
            let name = names.get(entry);
            if !name.is_empty() && !value.is_empty() {
                body[name] = json!(value);
            }
        }
        body
    }

    fn article(&self, subject: &str, text: &str) -> Json {
        json!({
            "subject": subject,
            "body": markup::html(text),
            "content_type": "text/html",
            "type": "note",
            "internal": self.names.get("internal") != "false",
        })
    }

    fn state(&self, stage: Stage) -> &str {
        self.names.get(match stage {
            Stage::New => "state.new",
            Stage::Acknowledged | Stage::InProgress => "state.open",
            Stage::OnHold => "state.hold",
            Stage::Resolved | Stage::Closed | Stage::Cancelled => "state.resolved",
        })
    }

    /// More pressing than the ticket: weight only grows, and what a person has raised stays.
    fn is_heavier(&self, wanted: &Wanted, ticket: &Found) -> bool {
        let rank = |name: &str| self.names.is_priority(name).map_or(0, Priority::number);
        let (ours, theirs) = (self.names.priority(wanted.priority), loose(&ticket.raw["priority"]));
        ours != theirs && rank(ours) < rank(&theirs)
    }

    fn is_problem(&self, ticket: &Json) -> bool {
        let (field, name) = (self.names.get("field.type"), self.names.get("type.problem"));
        !field.is_empty() && ticket[field] == name
    }
}

/// An answer that does not come from Zammad proves nothing.
fn odd(talk: &Talk, what: &str, reply: &Reply) -> Next {
    talk.retry(None, format!("the answer {what} is not Zammad's ({})", sentence(reply)))
}

/// A refusal that is about the destination's names and not about one record.
fn is_setup(reply: &Reply) -> bool {
    let text = loose(&reply.json()["error"]).to_lowercase();
    ["no lookup value", "required", "invalid email"].iter().any(|words| text.contains(words))
}
