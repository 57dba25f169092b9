//! The verbs of Jira.

use std::time::Duration;

use serde_json::{Map as JsonMap, Value as Json, json};

use super::super::classify::{Class, class, sentence};
use super::super::names::Names;
use super::super::request::encode;
use super::super::talk::Talk;
use super::super::tickets::{self, Found, Product, Say, pause, refused, success};
use super::super::wanted::{Wanted, cut};
use super::super::{Done, Method, Next, Reply, Request};
use super::adf::{self, TEXT_CHARS};
use super::issue::{FIELDS, Way, found, ways};
use crate::engine::effect::{Held, Job, RecordKind, Stage};

/// The most characters of a summary.
const SUMMARY_CHARS: usize = 255;
/// Steps on the way to a status at most: from new over in progress to resolved.
const HOPS: usize = 3;
/// Comments that are looked through for a marker, newest first.
const COMMENTS: usize = 50;

/// Jira as one destination knows it.
pub struct Issues<'a> {
    /// Names at this site.
    pub names: Names<'a>,
    /// Key of the project.
    pub project: &'a str,
    /// API 3; else API 2.
    pub cloud: bool,
    /// How long the search may not show what was written; zero: as the product usually lags.
    pub lag: Duration,
}

impl Issues<'_> {
    /// The path of a resource of the API.
    pub fn path(&self, rest: &str) -> String {
        format!("/rest/api/{}{rest}", if self.cloud { 3 } else { 2 })
    }

    /// The project for that kind of record.
    pub fn project_of(&self, kind: RecordKind) -> &str {
        match (kind, self.names.get("project.problem")) {
            (RecordKind::Problem, project) if !project.is_empty() => project,
            _ => self.project,
        }
    }

    /// The name of the issue type for that kind of record.
    pub fn type_of(&self, kind: RecordKind) -> &str {
        self.names.get(if kind == RecordKind::Problem { "type.problem" } else { "type.incident" })
    }

    fn text(&self, plain: &str) -> Json {
        let plain = cut(plain, TEXT_CHARS);
        if self.cloud { adf::document(&plain) } else { json!(plain) }
    }

    fn search(&self, talk: &mut Talk, jql: &str, most: usize) -> Result<Vec<Json>, Next> {
        let (path, mut body) = (if self.cloud { "/search/jql" } else { "/search" }, json!({"jql": jql}));
        body["fields"] = json!(FIELDS);
        body["maxResults"] = json!(most);
        if !self.cloud {
            body["validateQuery"] = json!(false);
        }
        let reply = talk.ask(Request::json(Method::Post, self.path(path), body).reading())?;
        if class(reply.status) == Class::Permanent {
            return Err(pause(format!("Jira does not understand the search: {}", told(reply))));
        }
        success(talk, reply)?;
        match reply.json()["issues"].as_array() {
            Some(issues) => Ok(issues.clone()),
            None => Err(talk.retry(None, "Jira's answer to the search is no list of issues".to_owned())),
        }
    }

    fn labelled(
        &self,
        talk: &mut Talk,
        kind: RecordKind,
        label: &str,
        more: &str,
    ) -> Result<Vec<Found>, Next> {
        let (project, label_) = (quoted(self.project_of(kind)), quoted(label));
        let jql = format!("project = {project} AND labels = {label_}{more} ORDER BY created ASC");
        let issues = self.search(talk, &jql, 20)?;
        let carries =
            |issue: &&Json| issue["fields"]["labels"].as_array().is_some_and(|l| l.contains(&json!(label)));
        Ok(issues.iter().filter(carries).map(|issue| found(&self.names, issue)).collect())
    }

    fn fields(&self, wanted: &Wanted, key: &str) -> JsonMap<String, Json> {
        let mut fields = JsonMap::new();
        let labels = [self.names.get("label"), key, &wanted.alert_key];
        let labels: Vec<&str> = labels.into_iter().filter(|label| !label.is_empty()).collect();
        fields.insert("project".to_owned(), json!({"key": self.project_of(wanted.kind)}));
        fields.insert("issuetype".to_owned(), json!({"name": self.type_of(wanted.kind)}));
        fields.insert("summary".to_owned(), json!(cut(&wanted.subject, SUMMARY_CHARS)));
        fields.insert("labels".to_owned(), json!(labels));
        for (field, value) in self.names.beginning("set.") {
            let value = serde_json::from_str(value).unwrap_or_else(|_| json!(value));
            fields.insert(field.to_owned(), value);
        }
        fields
    }

    fn priority(&self, wanted: &Wanted) -> &str {
        self.names.get(&format!("priority.p{}", wanted.priority.number()))
    }

    /// Whether the record weighs more than the issue says; a priority that the map does not know is a
    /// person's.
    fn rises(&self, wanted: &Wanted, priority: &Json) -> bool {
        let numbers = 1..=5;
        let has = numbers
            .into_iter()
            .find(|n| self.names.lists(&format!("priority.p{n}"), priority["name"].as_str().unwrap_or("")));
        has.is_some_and(|has| wanted.priority.number() < has)
    }

    /// Walks to a status, over others when no way leads there at once.
    fn walk(&self, talk: &mut Talk, ticket: &Found, to: Stage) -> Result<Option<String>, Next> {
        let mut at = ticket.stage;
        let mut listed = ways(&self.names, &ticket.raw);
        for hop in 0..HOPS {
            let Some(way) = choose(&self.names, &listed, to, at, hop + 1 < HOPS) else { break };
            let mut body = json!({"transition": {"id": way.id}});
            let resolution = self.names.get("resolution");
            if way.resolution && !way.stage.is_open() && !resolution.is_empty() {
                body["fields"] = json!({"resolution": {"name": resolution}});
            }
            let path = self.path(&format!("/issue/{}/transitions", encode(&ticket.id)));
            let reply = talk.ask(Request::json(Method::Post, path, body))?;
            match class(reply.status) {
                Class::Success => written(talk, reply)?,
                // Somebody was faster, or an earlier attempt of our own: look again.
                Class::Permanent | Class::Gone => {
                    let now = self.get(talk, &ticket.id)?;
                    if now.as_ref().and_then(|n| n.stage).is_some_and(|s| reached(s, to)) {
                        return Ok(None);
                    }
                    return Err(refused(format!(
                        "transition '{}' of {}: {}",
                        way.name,
                        ticket.id,
                        told(reply)
                    )));
                }
                _ => return Err(talk.give_up(reply, true)),
            }
            at = Some(way.stage);
            if reached(way.stage, to) {
                return Ok(None);
            }
            let Some(now) = self.get(talk, &ticket.id)? else { break };
            listed = ways(&self.names, &now.raw);
        }
        let known: Vec<&str> = listed.iter().map(|way| way.name.as_str()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let why = format!("{}: no transition leads to {to:?} (there are: {known})", ticket.id).to_lowercase();
        // That it is over must arrive; that somebody works on it is a courtesy.
        if to.is_open() && at.is_some_and(Stage::is_open) { Ok(Some(why)) } else { Err(refused(why)) }
    }

    fn get(&self, talk: &mut Talk, id: &str) -> Result<Option<Found>, Next> {
        let query = format!("fields={}&expand=transitions.fields", FIELDS.join(","));
        let reply = talk.ask(Request::get(self.path(&format!("/issue/{}?{query}", encode(id)))))?;
        match class(reply.status) {
            Class::Success => match found(&self.names, &reply.json()) {
                ticket if is_key(&ticket.id) => Ok(Some(ticket)),
                _ => Err(foreign(talk, reply)),
            },
            // An issue that may not be seen is 404 as well: only where the project is seen is it gone.
            Class::Gone => self.is_project_seen(talk, RecordKind::Incident).map(|()| None),
            _ => Err(talk.give_up(reply, false)),
        }
    }

    /// Ends the conversation when the project is not there for this account.
    pub fn is_project_seen(&self, talk: &mut Talk, kind: RecordKind) -> Result<(), Next> {
        let project = self.project_of(kind);
        let reply = talk.ask(Request::get(self.path(&format!("/project/{}", encode(project)))))?;
        match class(reply.status) {
            Class::Success if reply.json()["key"].is_string() => Ok(()),
            Class::Success => Err(foreign(talk, reply)),
            Class::Gone => Err(pause(format!(
                "project {project} is not there or hidden from this account: check `url` and `project`, and grant \
                 Browse projects ({})",
                told(reply)
            ))),
            _ => Err(talk.give_up(reply, false)),
        }
    }

    /// Where the issues of these records stand. What one answer about all does not show is asked for by
    /// itself: an issue that was moved answers there to its old key, one that was deleted does not.
    pub fn remotes(&self, talk: &mut Talk, held: &[Held]) -> Result<Done, Next> {
        let ids: Vec<&str> = held.iter().map(|h| h.remote_id.as_str()).filter(|id| is_key(id)).collect();
        if ids.is_empty() {
            return Ok(Done::default());
        }
        let issues = if self.cloud {
            let body = json!({"issueIdsOrKeys": ids, "fields": FIELDS});
            let reply =
                talk.ask(Request::json(Method::Post, self.path("/issue/bulkfetch"), body).reading())?;
            success(talk, reply)?;
            match reply.json()["issues"].as_array() {
                Some(issues) => issues.clone(),
                None => return Err(foreign(talk, reply)),
            }
        } else {
            self.search(talk, &format!("issuekey in ({})", ids.join(", ")), ids.len())?
        };
        let mut all = Done::default();
        let mut missing = Vec::new();
        for held in held.iter().filter(|h| is_key(&h.remote_id)) {
            match issues.iter().find(|issue| issue["key"] == held.remote_id) {
                Some(issue) => all.remotes.extend(found(&self.names, issue).remote(&held.record, held.rev)),
                None => missing.push(held),
            }
        }
        tickets::read_each(talk, missing, &mut all, |talk, held| match self.get(talk, &held.remote_id)? {
            Some(issue) => Ok(issue.remote(&held.record, held.rev)),
            None => Err(tickets::gone(held)),
        })?;
        Ok(all)
    }
}

impl Product for Issues<'_> {
    /// The index of the search is minutes behind at worst.
    fn lag(&self) -> Duration {
        if self.lag.is_zero() { Duration::from_secs(if self.cloud { 300 } else { 30 }) } else { self.lag }
    }

    fn find(&self, talk: &mut Talk, wanted: &Wanted, key: &str) -> Result<Vec<Found>, Next> {
        self.labelled(talk, wanted.kind, key, "")
    }

    fn orphans(&self, talk: &mut Talk, wanted: &Wanted) -> Result<Vec<Found>, Next> {
        self.labelled(talk, wanted.kind, &wanted.alert_key, " AND statusCategory != Done")
    }

    fn adopt(&self, talk: &mut Talk, wanted: &Wanted, ticket: &Found) -> Result<(), Next> {
        let mut labels = vec![json!({"add": wanted.key})];
        if ticket.key != wanted.key && !ticket.key.is_empty() {
            labels.insert(0, json!({"remove": ticket.key}));
        }
        let path = self.path(&format!("/issue/{}", encode(&ticket.id)));
        let body = json!({"update": {"labels": labels}});
        let reply = talk.ask(Request::json(Method::Put, path, body))?;
        written(talk, reply)
    }

    fn create(
        &self,
        talk: &mut Talk,
        wanted: &Wanted,
        key: &str,
        before: Option<&Found>,
    ) -> Result<String, Next> {
        let mut content = format!("{}\n\n{}", wanted.content, wanted.marker);
        if let Some(before) = before {
            content = format!("Goes on from {}, which is closed.\n\n{content}", before.id);
        }
        let mut fields = self.fields(wanted, key);
        fields.insert("description".to_owned(), self.text(&content));
        if !self.priority(wanted).is_empty() {
            fields.insert("priority".to_owned(), json!({"name": self.priority(wanted)}));
        }
        let property = json!([{"key": "sexton", "value": {"key": key, "op": wanted.marker}}]);
        let mut body = json!({"fields": fields, "properties": property});
        let mut reply = talk.ask(Request::json(Method::Post, self.path("/issue"), body.clone()))?;
        // Which fields are on the screen is the project's choice: what is not needed is left out.
        let errors = reply.json()["errors"].clone();
        let optional: Vec<&str> =
            ["priority", "description"].into_iter().filter(|f| errors[*f].is_string()).collect();
        if reply.status == 400 && !optional.is_empty() {
            for field in optional {
                body["fields"].as_object_mut().map(|fields| fields.remove(field));
            }
            reply = talk.ask(Request::json(Method::Post, self.path("/issue"), body))?;
        }
        if class(reply.status) != Class::Success {
            return Err(not_made(talk, reply));
        }
        let key = reply.json()["key"].as_str().unwrap_or_default().to_owned();
        if is_key(&key) {
            Ok(key)
        } else {
            Err(talk.retry(None, "Jira made an issue but did not tell its key".to_owned()))
        }
    }

    /// An issue that a person moved to another project has another key there and answers to the old one: it
    /// is the record's all the same, and keeps the id it is known by.
    fn read(&self, talk: &mut Talk, _kind: RecordKind, id: &str) -> Result<Option<Found>, Next> {
        Ok(self.get(talk, id)?.map(|issue| Found { id: id.to_owned(), ..issue }))
    }

    fn is_said(&self, talk: &mut Talk, wanted: &Wanted, ticket: &Found) -> Result<bool, Next> {
        let query = format!("orderBy=-created&maxResults={COMMENTS}");
        let path = self.path(&format!("/issue/{}/comment?{query}", encode(&ticket.id)));
        let reply = talk.ask(Request::get(path))?;
        success(talk, reply)?;
        let json = reply.json();
        let Some(comments) = json["comments"].as_array() else { return Err(foreign(talk, reply)) };
        Ok(comments.iter().any(|comment| comment["body"].to_string().contains(&wanted.marker)))
    }

    fn tell(
        &self,
        talk: &mut Talk,
        wanted: &Wanted,
        ticket: &Found,
        say: &Say,
    ) -> Result<Option<String>, Next> {
        let fields = &ticket.raw["fields"];
        let mut flaw = None;
        if say.fields && ticket.is_open() && wanted.weighs && self.rises(wanted, &fields["priority"]) {
            let summary = cut(&wanted.subject, SUMMARY_CHARS);
            let body = json!({"fields": {"priority": {"name": self.priority(wanted)}, "summary": summary}});
            let path = self.path(&format!("/issue/{}", encode(&ticket.id)));
            let reply = talk.ask(Request::json(Method::Put, path, body))?;
            match class(reply.status) {
                Class::Success => written(talk, reply)?,
                Class::Permanent => flaw = Some(format!("{}: {}", ticket.id, told(reply))),
                _ => return Err(talk.give_up(reply, true)),
            }
        }
        if let Some(text) = say.text {
            let body = json!({"body": self.text(&format!("{text}\n\n{}", wanted.marker))});
            let path = self.path(&format!("/issue/{}/comment", encode(&ticket.id)));
            let reply = talk.ask(Request::json(Method::Post, path, body))?;
            written(talk, reply)?;
        }
        match say.stage {
            Some(stage) => Ok(self.walk(talk, ticket, stage)?.or(flaw)),
            None => Ok(flaw),
        }
    }

    fn link(&self, talk: &mut Talk, _job: &Job, incident: &str, problem: &str) -> Result<(), Next> {
        let mut name = self.names.get("link");
        loop {
            let body = json!({"type": {"name": name}, "inwardIssue": {"key": problem}, "outwardIssue": {"key": incident}});
            let reply = talk.ask(Request::json(Method::Post, self.path("/issueLink"), body))?;
            match class(reply.status) {
                Class::Success => return written(talk, reply),
                // Not every site has that type; this one is always there.
                Class::Gone | Class::Permanent if name != "Relates" => name = "Relates",
                Class::Gone => {
                    return Err(refused(format!("{incident} or {problem} is gone: {}", told(reply))));
                }
                _ => return Err(talk.give_up(reply, true)),
            }
        }
    }
}

/// The way that leads there; else one that leads nearer: out of the beginning into the middle, from where a
/// resolve need not be a cancellation; else one that leads to something like it.
fn choose<'w>(
    names: &Names,
    listed: &'w [Way],
    to: Stage,
    at: Option<Stage>,
    detour: bool,
) -> Option<&'w Way> {
    let entry = match to {
        Stage::New | Stage::Acknowledged | Stage::InProgress if at.is_some_and(|s| !s.is_open()) => {
            "transition.reopen"
        }
        Stage::New | Stage::Acknowledged | Stage::InProgress => "transition.in_progress",
        Stage::OnHold => "transition.on_hold",
        Stage::Resolved | Stage::Closed => "transition.resolved",
        Stage::Cancelled => "transition.cancelled",
    };
    let named = listed.iter().find(|way| names.lists(entry, &way.name) || names.lists(entry, &way.to));
    let exact = || listed.iter().find(|way| way.stage == to);
    let alike = || listed.iter().find(|way| reached(way.stage, to));
    let middle = || {
        let between = detour && !to.is_open() && at != Some(Stage::InProgress);
        listed.iter().find(|way| between && way.stage == Stage::InProgress)
    };
    named.or_else(exact).or_else(middle).or_else(alike)
}

/// Whether this is as good as what was wanted.
fn reached(at: Stage, wanted: Stage) -> bool {
    match wanted {
        Stage::New | Stage::Acknowledged | Stage::InProgress => {
            matches!(at, Stage::New | Stage::Acknowledged | Stage::InProgress)
        }
        Stage::OnHold => at == Stage::OnHold,
        Stage::Resolved | Stage::Closed | Stage::Cancelled => !at.is_open(),
    }
}

fn not_made(talk: &Talk, reply: &Reply) -> Next {
    match class(reply.status) {
        // A mistake in the names concerns every record: it is mended in the configuration.
        Class::Permanent if reply.status == 400 => {
            let json = reply.json();
            let fields =
                ["project", "issuetype", "labels"].into_iter().filter(|f| json["errors"][*f].is_string());
            match fields.collect::<Vec<_>>()[..] {
                [] => refused(told(reply)),
                _ => pause(format!("Jira does not take the issue: {}", told(reply))),
            }
        }
        _ => talk.give_up(reply, true),
    }
}

/// Goes on when a write was carried out. Jira answers 201 or 204 to it, never 200: that is somebody in its
/// place.
fn written(talk: &Talk, reply: &Reply) -> Result<(), Next> {
    success(talk, reply)?;
    if matches!(reply.status, 201 | 204) { Ok(()) } else { Err(foreign(talk, reply)) }
}

/// An answer that is not Jira's.
pub fn foreign(talk: &Talk, reply: &Reply) -> Next {
    talk.retry(None, format!("not what Jira answers: {}", sentence(reply)))
}

/// Jira's errors in a sentence.
pub fn told(reply: &Reply) -> String {
    let json = reply.json();
    let general = json["errorMessages"].as_array().cloned().unwrap_or_default();
    let mut words: Vec<String> = general.iter().filter_map(Json::as_str).map(str::to_owned).collect();
    if let Some(errors) = json["errors"].as_object() {
        words.extend(errors.iter().map(|(field, why)| format!("{field}: {}", why.as_str().unwrap_or(""))));
    }
    if words.is_empty() {
        return sentence(reply);
    }
    format!("HTTP {}: {}", reply.status, super::super::classify::clip(&words.join("; "), 300))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// `OPS-123`: nothing else goes into a query.
fn is_key(text: &str) -> bool {
    let parts = text.rsplit_once('-');
    parts.is_some_and(|(project, number)| {
        !project.is_empty()
            && project.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !number.is_empty()
            && number.bytes().all(|b| b.is_ascii_digit())
    })
}
