//! The verbs of Znuny, each straight-line code over a [`Talk`].

use serde_json::{Value as Json, json};

use super::super::classify::clip;
use super::super::names::Names;
use super::super::request::loose;
use super::super::talk::Talk;
use super::super::tickets::{Found, Product, Say, pause, refused};
use super::super::wanted::Wanted;
use super::super::{Login, Method, Next, Place, Request};
use super::answer;
use super::ticket::{dynamic, found, title};
use crate::engine::effect::{Job, RecordKind, Stage};
use crate::engine::option::Options;
use crate::engine::record::Priority;

/// The most tickets of one search.
const HITS: usize = 20;
/// The newest articles of a ticket that are looked through.
const ARTICLES: usize = 20;
/// How long a ticket is put on hold, in minutes: Znuny knows no hold without an end.
const HOLD_MINUTES: u32 = 24 * 60;

/// One Znuny within one conversation.
pub struct Znuny<'a> {
    /// Names used there.
    pub names: Names<'a>,
    /// Options of the destination, for the agent's login.
    pub options: &'a Options,
}

/// What the interface says went wrong.
struct Trouble {
    /// `TicketGet.AccessDenied`.
    code: String,
    /// Code and message.
    text: String,
}

impl Trouble {
    fn is(&self, what: &str) -> bool {
        self.code.ends_with(what)
    }
}

impl Product for Znuny<'_> {
    fn find(&self, talk: &mut Talk, _wanted: &Wanted, key: &str) -> Result<Vec<Found>, Next> {
        let mut tickets = self.search(talk, key)?;
        tickets.retain(|t| t.key == key);
        Ok(tickets)
    }

    fn fit(&self, talk: &mut Talk, _wanted: &Wanted) -> Result<(), Next> {
        self.probe(talk)
    }

    fn orphans(&self, talk: &mut Talk, wanted: &Wanted) -> Result<Vec<Found>, Next> {
        let field = self.names.get("field.key");
        if field.is_empty() {
            return Ok(Vec::new());
        }
        let mut tickets = self.search(talk, &wanted.alert_key)?;
        tickets.retain(|t| dynamic(&t.raw, field).split_whitespace().nth(1) == Some(&wanted.alert_key));
        Ok(tickets)
    }

    fn adopt(&self, talk: &mut Talk, wanted: &Wanted, ticket: &Found) -> Result<(), Next> {
        // Alone in its request: beside an article it would be a field of the article.
        let fields = self.fields(wanted, &wanted.key);
        self.update(talk, &ticket.id, json!({ "DynamicField": fields })).map(|_| ())
    }

    fn create(
        &self,
        talk: &mut Talk,
        wanted: &Wanted,
        key: &str,
        before: Option<&Found>,
    ) -> Result<String, Next> {
        let names = &self.names;
        let succeeds = before.map_or(String::new(), |b| {
            format!("Succeeds Ticket#{}, which is closed for good.\n\n", loose(&b.raw["TicketNumber"]))
        });
        let mut ticket = json!({
            "Title": title(names, &wanted.subject, key),
            "Queue": names.of_kind("queue", wanted.kind),
            "State": names.get("state.new"),
            "Priority": names.priority(wanted.priority),
            "CustomerUser": names.get("customer"),
        });
        let kind = names.of_kind("type", wanted.kind);
        if !kind.is_empty() {
            ticket["Type"] = json!(kind);
        }
        let mut body = json!({
            "Ticket": ticket,
            "Article": article(&wanted.subject, &format!("{succeeds}{}", wanted.content)),
        });
        let fields = self.fields(wanted, key);
        if !fields.is_empty() {
            body["DynamicField"] = json!(fields);
        }
        let made = match self.ask(talk, "route.create", body, false)? {
            Ok(json) => loose(&json["TicketID"]),
            Err(trouble) => {
                return Err(pause(format!("Znuny takes no ticket as map describes it: {}", trouble.text)));
            }
        };
        if made.is_empty() {
            return Err(talk.retry(None, "Znuny does not say which ticket it made".to_owned()));
        }
        Ok(made)
    }

    fn read(&self, talk: &mut Talk, _kind: RecordKind, id: &str) -> Result<Option<Found>, Next> {
        Ok(self.get(talk, id, json!({}))?.into_iter().next())
    }

    fn is_said(&self, talk: &mut Talk, wanted: &Wanted, ticket: &Found) -> Result<bool, Next> {
        self.has_subject(talk, &ticket.id, &wanted.marker)
    }

    fn tell(
        &self,
        talk: &mut Talk,
        wanted: &Wanted,
        ticket: &Found,
        say: &Say,
    ) -> Result<Option<String>, Next> {
        let mut change = json!({});
        // One that was merged stays so: opened again it would be a husk that nobody works on.
        let merged = ticket.raw["StateType"] == "merged";
        let state = say.stage.filter(|_| !merged).map(|stage| self.state(stage));
        if let Some(state) = state.filter(|s| ticket.raw["State"] != *s) {
            change["State"] = json!(state);
            if state == self.names.get("state.hold") {
                change["PendingTime"] = json!({ "Diff": HOLD_MINUTES });
            }
        }
        if say.fields && self.is_heavier(wanted, ticket) {
            change["Priority"] = json!(self.names.priority(wanted.priority));
        }
        let mut body = json!({});
        if change != json!({}) {
            body["Ticket"] = change;
        }
        if let Some(text) = say.text {
            body["Article"] = article(&wanted.headline, text);
        }
        if body != json!({}) {
            self.update(talk, &ticket.id, body)?;
        }
        Ok(None)
    }

    fn link(&self, talk: &mut Talk, job: &Job, incident: &str, problem: &str) -> Result<(), Next> {
        let gone = |id: &str| refused(format!("ticket {id} is gone or hidden: nothing to link"));
        let Some(from) = self.read(talk, RecordKind::Incident, incident)? else { return Err(gone(incident)) };
        let Some(to) = self.read(talk, RecordKind::Problem, problem)? else { return Err(gone(problem)) };
        let number = loose(&to.raw["TicketNumber"]);
        let field = self.names.get("field.problem");
        if !field.is_empty() {
            if dynamic(&from.raw, field) == number {
                return Ok(());
            }
            let body = json!({ "DynamicField": [{ "Name": field, "Value": number }] });
            return self.update(talk, incident, body).map(|_| ());
        }
        let marker = format!("[{}]", job.operation_key);
        if self.has_subject(talk, incident, &marker)? {
            return Ok(());
        }
        let text = format!("Member of problem Ticket#{number}: {}", loose(&to.raw["Title"]));
        let body = json!({ "Article": article(&format!("Problem Ticket#{number} {marker}"), &text) });
        self.update(talk, incident, body).map(|_| ())
    }
}

impl Znuny<'_> {
    /// A search for a key that no ticket has must find nothing: by a dynamic field that is not there Znuny
    /// finds everything.
    pub fn probe(&self, talk: &mut Talk) -> Result<(), Next> {
        let field = self.names.get("field.key");
        let body = self.query("sx-no-such-key");
        match self.ask(talk, "route.search", body, true)? {
            Err(trouble) => Err(pause(format!("Znuny takes no search: {}", trouble.text))),
            Ok(json) if json["TicketID"].is_null() => Ok(()),
            Ok(_) => Err(pause(format!(
                "a search by dynamic field '{field}' finds every ticket: make it, for tickets, of type Text \
                 (map entry field.key)"
            ))),
        }
    }

    /// The newest article, when another agent than the ticket's maker wrote it: why a person ended it.
    pub fn last_word(&self, talk: &mut Talk, ticket: &Found) -> Result<Option<String>, Next> {
        let body = json!({ "AllArticles": 1, "ArticleOrder": "DESC", "ArticleLimit": 1 });
        let tickets = self.get(talk, &ticket.id, body)?;
        let article = tickets.first().map(|t| t.raw["Article"][0].clone()).unwrap_or_default();
        let theirs = !article.is_null() && loose(&article["CreateBy"]) != ticket.creator;
        let text = loose(&article["Body"]).trim().to_owned();
        Ok(Some(clip(&text, 500)).filter(|_| theirs && !text.is_empty()))
    }

    fn search(&self, talk: &mut Talk, key: &str) -> Result<Vec<Found>, Next> {
        let ids: Vec<String> = match self.ask(talk, "route.search", self.query(key), true)? {
            Ok(json) => match &json["TicketID"] {
                Json::Array(ids) => ids.iter().map(loose).collect(),
                Json::Null => Vec::new(),
                one => vec![loose(one)],
            },
            Err(trouble) => return Err(pause(format!("Znuny takes no search: {}", trouble.text))),
        };
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut tickets = self.get(talk, &ids.join(","), json!({}))?;
        tickets.sort_by_key(|t| t.id.parse::<u64>().unwrap_or(u64::MAX));
        Ok(tickets)
    }

    fn query(&self, key: &str) -> Json {
        let field = self.names.get("field.key");
        let mut body =
            json!({ "Limit": HITS, "SortBy": "Age", "OrderBy": "Up", "SearchInArchive": "AllTickets" });
        if field.is_empty() {
            body["Title"] = json!(format!("*{key}*"));
        } else {
            body[format!("DynamicField_{field}")] = json!({ "Like": format!("*{key}*") });
        }
        body
    }

    /// Tickets by their ids; none when one of them is gone or hidden.
    fn get(&self, talk: &mut Talk, ids: &str, mut body: Json) -> Result<Vec<Found>, Next> {
        (body["TicketID"], body["DynamicFields"]) = (json!(ids), json!(1));
        match self.ask(talk, "route.get", body, true)? {
            Ok(json) => {
                let tickets = json["Ticket"].as_array().map_or(&[][..], Vec::as_slice);
                let tickets: Vec<Found> = tickets.iter().filter_map(|t| found(&self.names, t)).collect();
                if tickets.is_empty() {
                    return Err(talk.retry(None, format!("Znuny's answer for ticket {ids} is none")));
                }
                Ok(tickets)
            }
            Err(trouble) if trouble.is(".AccessDenied") => Ok(Vec::new()),
            Err(trouble) => Err(refused(trouble.text)),
        }
    }

    fn update(&self, talk: &mut Talk, id: &str, mut body: Json) -> Result<Json, Next> {
        body["TicketID"] = json!(id);
        match self.ask(talk, "route.update", body, false)? {
            Ok(json) if json["TicketID"].is_null() => {
                Err(talk.retry(None, format!("Znuny does not say that it changed ticket {id}")))
            }
            Ok(json) => Ok(json),
            Err(trouble) if trouble.is(".AccessDenied") => {
                Err(refused(format!("ticket {id} may only be read: {}", trouble.text)))
            }
            // A state, a priority, a field that this Znuny does not have: all records fail alike.
            Err(trouble) => {
                Err(pause(format!("Znuny takes no change as map describes it: {}", trouble.text)))
            }
        }
    }

    fn has_subject(&self, talk: &mut Talk, id: &str, marker: &str) -> Result<bool, Next> {
        let body = json!({ "AllArticles": 1, "ArticleOrder": "DESC", "ArticleLimit": ARTICLES });
        let tickets = self.get(talk, id, body)?;
        let articles = tickets.first().and_then(|t| t.raw["Article"].as_array());
        Ok(articles.is_some_and(|list| list.iter().any(|a| loose(&a["Subject"]).contains(marker))))
    }

    /// One operation; what it says went wrong is the caller's, except a login that is refused.
    fn ask(
        &self,
        talk: &mut Talk,
        route: &str,
        mut body: Json,
        reads: bool,
    ) -> Result<Result<Json, Trouble>, Next> {
        // The password takes this place when it is sent.
        (body["UserLogin"], body["Password"]) = (json!(self.options.text("user")), json!(""));
        let request = Request::json(Method::Post, self.names.get(route), body).anonymous();
        let request = request.secret("password", Place::Json("/Password"));
        let reply = talk.ask(if reads { request.reading() } else { request })?;
        let json = answer(talk, reply)?;
        let error = &json["Error"];
        if error.is_null() {
            return Ok(Ok(json));
        }
        let code = loose(&error["ErrorCode"]);
        let trouble =
            Trouble { text: clip(&format!("{code}: {}", loose(&error["ErrorMessage"])), 300), code };
        if trouble.is(".AuthFail") {
            let (user, login) = (self.options.text("user"), Login::Basic.told(self.options));
            return Err(pause(format!("user '{user}' is refused: {}; logged in by {login}", trouble.text)));
        }
        Ok(Err(trouble))
    }

    fn fields(&self, wanted: &Wanted, key: &str) -> Vec<Json> {
        let keys = format!("{key} {}", wanted.alert_key);
        let fields = [("field.key", keys.trim_end().to_owned()), ("field.ci", wanted.ci.clone())];
        let named = fields.into_iter().map(|(entry, value)| (self.names.get(entry), value));
        let set = named.filter(|(name, value)| !name.is_empty() && !value.is_empty());
        set.map(|(name, value)| json!({ "Name": name, "Value": value })).collect()
    }

    fn state(&self, stage: Stage) -> &str {
        self.names.get(match stage {
            Stage::New => "state.new",
            Stage::Acknowledged | Stage::InProgress => "state.open",
            Stage::OnHold => "state.hold",
            Stage::Resolved | Stage::Closed => "state.resolved",
            Stage::Cancelled => "state.cancelled",
        })
    }

    /// More pressing than the ticket: weight only grows, and what a person has raised stays.
    fn is_heavier(&self, wanted: &Wanted, ticket: &Found) -> bool {
        let rank = |name: &str| self.names.is_priority(name).map_or(0, Priority::number);
        rank(self.names.priority(wanted.priority)) < rank(&loose(&ticket.raw["Priority"]))
    }
}

fn article(subject: &str, text: &str) -> Json {
    json!({
        "CommunicationChannel": "Internal",
        "SenderType": "agent",
        "IsVisibleForCustomer": 0,
        "Subject": clip(subject, 250),
        "Body": text,
        "ContentType": "text/plain; charset=utf-8",
    })
}
