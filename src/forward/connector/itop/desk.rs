//! The verbs of iTop.

use serde_json::{Map as JsonMap, Value as Json, json};

use super::super::classify::clip;
use super::super::talk::Talk;
use super::super::tickets::{Found, Product, Say, pause, refused};
use super::super::wanted::{Wanted, cut};
use super::super::{Next, footer, markup, times};
use super::api::{ATTEMPTS, Api, Object, Refusal, like, quoted};
use super::loose;
use super::options::Map;
use crate::engine::effect::{Job, RecordKind, Stage};

/// The most characters of a title; the attribute holds 255.
const TITLE: usize = 250;
/// The most bytes of a description, markup included; the attribute holds 65535.
const DESCRIPTION: usize = 60_000;
/// The most bytes of an entry in a log, or of a solution. A log is read as a whole.
const ENTRY: usize = 6_000;
/// Classes of hardware and its like, taken when several things bear one name.
const MACHINES: &[&str] = &["Server", "VirtualMachine", "PC", "NetworkDevice"];

/// Services that an organisation, whose id follows, has a contract for.
const CONTRACTS: &str = "SELECT Service AS s JOIN lnkCustomerContractToService AS l ON l.service_id = s.id \
                         JOIN CustomerContract AS c ON l.customercontract_id = c.id WHERE c.org_id = ";

/// Id and name of what a map entry names, and whether there was nothing to choose from; `None`: there is
/// nothing.
pub type Picked = Option<(u64, String, bool)>;

/// One iTop.
pub struct Itop<'a> {
    /// How it is asked.
    pub api: Api<'a>,
    /// Its names.
    pub map: Map<'a>,
}

impl Product for Itop<'_> {
    fn find(&self, talk: &mut Talk, wanted: &Wanted, key: &str) -> Result<Vec<Found>, Next> {
        let class = self.map.class(wanted.kind);
        let mut oql = format!("SELECT {class} WHERE description LIKE {}", like(&footer::needle(key)));
        if !self.map.get("field.key").is_empty() {
            oql.push_str(&format!(" OR {} = {}", self.map.get("field.key"), quoted(key)));
        }
        let found = self.get(talk, wanted.kind, &oql)?;
        Ok(found.into_iter().filter(|t| t.key == key).collect())
    }

    fn orphans(&self, talk: &mut Talk, wanted: &Wanted) -> Result<Vec<Found>, Next> {
        let class = self.map.class(wanted.kind);
        let needle = like(&footer::needle(&wanted.alert_key));
        let oql = format!(
            "SELECT {class} WHERE status NOT IN ('resolved','closed','rejected') AND description LIKE {needle}"
        );
        let found = self.get(talk, wanted.kind, &oql)?;
        let ours = |t: &Found| footer::alert_key(&loose(&t.raw["description"])) == wanted.alert_key;
        Ok(found.into_iter().filter(ours).collect())
    }

    fn adopt(&self, talk: &mut Talk, wanted: &Wanted, ticket: &Found) -> Result<(), Next> {
        let description = loose(&ticket.raw["description"]);
        let description = description.replace(&footer::needle(&ticket.key), &footer::needle(&wanted.key));
        let mut fields = json!({ "description": description });
        if !self.map.get("field.key").is_empty() {
            fields[self.map.get("field.key")] = json!(wanted.key);
        }
        let at = (self.map.class(wanted.kind), ticket.id.as_str());
        match self.api.change(talk, at, None, fields, &said_by(wanted))? {
            Ok(_) => Ok(()),
            Err(Refusal(words)) => Err(pause(format!("iTop does not change {}: {words}", ticket.id))),
        }
    }

    fn create(
        &self,
        talk: &mut Talk,
        wanted: &Wanted,
        key: &str,
        before: Option<&Found>,
    ) -> Result<String, Next> {
        let class = self.map.class(wanted.kind);
        let ci = self.ci(talk, &wanted.ci)?;
        let fields = self.fields(wanted, key, before, ci);
        match self.api.create(talk, class, fields, &said_by(wanted))? {
            Ok(made) => match made.first() {
                Some(object) => Ok(object.key.to_string()),
                None => Err(talk.retry(None, format!("iTop made a {class} without an id"))),
            },
            // Without rights or fields for problems incidents still arrive.
            Err(Refusal(words)) if wanted.kind == RecordKind::Problem => Err(refused(format!(
                "iTop takes no new {class}: {words}; give attributes that it demands as map problem.<attribute>"
            ))),
            Err(Refusal(words)) => Err(pause(format!(
                "iTop takes no new {class}: {words}; see map org and caller, and give attributes that it demands \
                 as map incident.<attribute>"
            ))),
        }
    }

    fn read(&self, talk: &mut Talk, kind: RecordKind, id: &str) -> Result<Option<Found>, Next> {
        let class = self.map.class(kind);
        let Ok(id) = id.parse::<u64>() else { return Ok(None) };
        let found = self.get(talk, kind, &format!("SELECT {class} WHERE id = {id}"))?;
        Ok(found.into_iter().find(|t| t.id == id.to_string()))
    }

    fn is_said(&self, talk: &mut Talk, wanted: &Wanted, ticket: &Found) -> Result<bool, Next> {
        if loose(&ticket.raw["solution"]).contains(&wanted.marker) {
            return Ok(true);
        }
        let (class, log) = (self.map.class(wanted.kind), self.map.get("field.log"));
        let found = self.api.get(talk, class, &format!("SELECT {class} WHERE id = {}", ticket.id), log)?;
        let entries = found.ok().and_then(|all| Some(all.first()?.fields[log]["entries"].clone()));
        let said = |entry: &Json| loose(&entry["message"]).contains(&wanted.marker);
        Ok(entries.as_ref().and_then(Json::as_array).is_some_and(|all| all.iter().any(said)))
    }

    fn tell(
        &self,
        talk: &mut Talk,
        wanted: &Wanted,
        ticket: &Found,
        say: &Say,
    ) -> Result<Option<String>, Next> {
        let mut fields = self.weight(wanted, ticket, say);
        if let Some(text) = say.text {
            fields.insert(self.map.get("field.log").to_owned(), entry(&clip(&wanted.message(text), ENTRY)));
        }
        let at = (self.map.class(wanted.kind), ticket.id.as_str());
        if !fields.is_empty() {
            match self.api.change(talk, at, None, Json::Object(fields), &said_by(wanted))? {
                Ok(_) => {}
                Err(Refusal(words)) if !ticket.is_open() => {
                    return Ok(Some(format!("iTop takes no word on {}: {words}", ticket.id)));
                }
                Err(Refusal(words)) => {
                    return Err(refused(format!("iTop does not change {}: {words}", ticket.id)));
                }
            }
        }
        match say.stage {
            Some(stage) => self.move_to(talk, wanted, ticket, stage),
            None => Ok(None),
        }
    }

    fn link(&self, talk: &mut Talk, job: &Job, incident: &str, problem: &str) -> Result<(), Next> {
        let field = self.map.get("field.parent");
        let class = self.map.class(RecordKind::Incident);
        let oql = format!("SELECT {class} WHERE id = {}", incident.parse::<u64>().unwrap_or(0));
        let found = match self.api.get(talk, class, &oql, &format!("id,{field}"))? {
            Ok(found) => found,
            Err(Refusal(words)) => {
                return Err(refused(format!("iTop cannot tie a {class} to a problem: {words}")));
            }
        };
        let Some(object) = found.first() else {
            return Err(refused(format!("iTop has no {class} {incident} any more")));
        };
        // A person may have tied it to a problem already: that stays.
        if !is_unset(&object.fields[field]) {
            return Ok(());
        }
        let Ok(parent) = problem.parse::<u64>() else {
            return Err(refused(format!("'{problem}' is no id of a problem")));
        };
        let comment = format!("sexton {}", job.operation_key);
        match self.api.change(talk, (class, incident), None, json!({ field: parent }), &comment)? {
            Ok(_) => Ok(()),
            Err(Refusal(words)) => {
                Err(refused(format!("iTop does not tie {incident} to problem {problem}: {words}")))
            }
        }
    }
}

impl Itop<'_> {
    /// What is read of a ticket.
    pub fn columns(&self, kind: RecordKind) -> String {
        let mut columns =
            "id,ref,org_id,status,description,impact,urgency,team_id,agent_id,service_id,agent_id_friendlyname,last_update"
                .to_owned();
        if kind != RecordKind::Problem {
            columns.push_str(",solution,pending_reason");
        }
        if !self.map.get("field.key").is_empty() {
            columns.push_str(&format!(",{}", self.map.get("field.key")));
        }
        columns
    }

    /// A ticket as iTop shows it.
    pub fn found(&self, object: &Object) -> Found {
        let text = |name: &str| loose(&object.fields[name]);
        let some = |text: String| Some(text).filter(|t| !t.is_empty());
        let stage = stage(&text("status"));
        let field = text(self.map.get("field.key"));
        let description = text("description");
        let key = if field.starts_with("sx-") { field } else { footer::key(&description).to_owned() };
        let note = match stage {
            Some(Stage::OnHold) => text("pending_reason"),
            Some(stage) if !stage.is_open() => text("solution"),
            _ => String::new(),
        };
        Found {
            id: object.key.to_string(),
            key,
            stage,
            assignee: some(text("agent_id_friendlyname")),
            by: None,
            creator: String::new(),
            note: some(note.split_whitespace().collect::<Vec<_>>().join(" ")),
            updated: times::changed(&text("last_update")),
            // Of the zone that is set there.
            wall: true,
            raw: object.fields.clone(),
            ..Found::default()
        }
    }

    /// The object that a map entry names, the oldest of several. Where the entry is left out, the first of
    /// these that finds one: a team of the account's person, any; a service named as the record's, one that
    /// the organisation has a contract for, one in production, any.
    pub fn pick(
        &self,
        talk: &mut Talk,
        entry: &str,
        service: Option<&str>,
        org: &str,
    ) -> Result<Picked, Next> {
        let (class, own) = match entry {
            "team" => ("Team", self.map.get(entry)),
            "agent" => ("Person", self.map.get(entry)),
            _ => ("Service", self.map.get(entry)),
        };
        let mut ways = Vec::new();
        match (entry, self.map.is_set(entry)) {
            (_, true) if own.is_empty() => {}
            (_, true) | ("agent", _) => ways.push(as_oql(class, own)),
            ("team", _) => ways.extend([own.to_owned(), "SELECT Team".to_owned()]),
            _ => {
                ways.extend(service.map(|name| format!("SELECT Service WHERE name = {}", quoted(name))));
                ways.extend(
                    org.parse::<u64>().ok().filter(|id| *id > 0).map(|id| format!("{CONTRACTS}{id}")),
                );
                ways.push("SELECT Service WHERE status = 'production'".to_owned());
                ways.push("SELECT Service".to_owned());
            }
        }
        for (n, oql) in ways.iter().enumerate() {
            let found = self.api.get(talk, class, oql, "id,name")?.unwrap_or_default();
            if let Some(first) = found.first() {
                let sure = self.map.is_set(entry) || entry == "agent" || n == 0 && entry == "team";
                let several = found.len();
                return Ok(Some((first.key, loose(&first.fields["name"]), sure || several == 1)));
            }
        }
        Ok(None)
    }

    fn get(&self, talk: &mut Talk, kind: RecordKind, oql: &str) -> Result<Vec<Found>, Next> {
        let class = self.map.class(kind);
        match self.api.get(talk, class, oql, &self.columns(kind))? {
            Ok(objects) => Ok(objects.iter().map(|o| self.found(o)).collect()),
            Err(Refusal(words)) => Err(refused(format!("iTop does not show the class {class}: {words}"))),
        }
    }

    /// The attributes of a new ticket.
    fn fields(&self, wanted: &Wanted, key: &str, before: Option<&Found>, ci: Option<u64>) -> Json {
        let before = before
            .map_or(String::new(), |t| format!("Follows {}, which is closed.\n\n", loose(&t.raw["ref"])));
        let mut fields = json!({
            "title": cut(&wanted.subject, TITLE),
            "description": description(&format!("{before}{}", wanted.content), key, &wanted.alert_key),
            "impact": self.map.level("impact", wanted.impact),
            "urgency": self.map.level("urgency", wanted.urgency),
        });
        for (attribute, entry) in [("org_id", "org"), ("caller_id", "caller")] {
            if !self.map.get(entry).is_empty() {
                fields[attribute] = reference(self.map.get(entry));
            }
        }
        if wanted.kind != RecordKind::Problem && !self.map.get("origin").is_empty() {
            fields["origin"] = json!(self.map.get("origin"));
        }
        if !self.map.get("field.key").is_empty() {
            fields[self.map.get("field.key")] = json!(key);
        }
        if let Some(ci) = ci {
            fields["functionalcis_list"] = json!([{"functionalci_id": ci, "impact_code": "manual"}]);
        }
        if let Some(fields) = fields.as_object_mut() {
            fields.extend(self.map.fields(wanted.kind));
        }
        fields
    }

    /// The CI of that name, or of its first label; none when it is not the only one.
    fn ci(&self, talk: &mut Talk, name: &str) -> Result<Option<u64>, Next> {
        let class = self.map.get("ci");
        let short = name.split('.').next().unwrap_or(name);
        let names = if short == name { vec![name] } else { vec![name, short] };
        for name in names.into_iter().filter(|n| !n.is_empty() && !class.is_empty()) {
            let oql = format!("SELECT {class} WHERE name = {}", quoted(name));
            let Ok(found) = self.api.get(talk, class, &oql, "id,finalclass")? else { return Ok(None) };
            let machine = |o: &&Object| MACHINES.contains(&loose(&o.fields["finalclass"]).as_str());
            let machines: Vec<&Object> = found.iter().filter(machine).collect();
            match (&found[..], &machines[..]) {
                ([], _) => {}
                ([one], _) => return Ok(Some(one.key)),
                (_, [one]) => return Ok(Some(one.key)),
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    /// The weight, when it has risen on the host; the smaller, the more pressing. What a person has raised
    /// further stays.
    fn weight(&self, wanted: &Wanted, ticket: &Found, say: &Say) -> JsonMap<String, Json> {
        let mut fields = JsonMap::new();
        if say.fields && wanted.weighs && ticket.is_open() {
            for (field, level) in [("impact", wanted.impact), ("urgency", wanted.urgency)] {
                let level = self.map.level(field, level);
                let now = loose(&ticket.raw[field]);
                let is_less = match (now.parse::<u8>(), level.parse::<u8>()) {
                    (Ok(now), Ok(level)) => now > level,
                    _ => now != level,
                };
                if is_less {
                    fields.insert(field.to_owned(), json!(level));
                }
            }
        }
        fields
    }

    /// Applies the stimuli that lead to a stage, from where the ticket stands.
    fn move_to(
        &self,
        talk: &mut Talk,
        wanted: &Wanted,
        ticket: &Found,
        stage: Stage,
    ) -> Result<Option<String>, Next> {
        let status = loose(&ticket.raw["status"]);
        for stimulus in path(wanted.kind, &status, stage) {
            let fields = self.demanded(talk, wanted, ticket, stimulus)?;
            let at = (self.map.class(wanted.kind), ticket.id.as_str());
            let Err(refusal) = self.api.change(talk, at, Some(stimulus), fields, &said_by(wanted))? else {
                continue;
            };
            if refusal.says("invalid stimulus") && self.api.attempts < ATTEMPTS {
                // Somebody has moved it since we looked.
                return Err(talk.retry(None, format!("iTop: {}", refusal.0)));
            }
            let stays = format!(
                "iTop does not let {} become {stage:?}: {}; set what it misses as map team, agent, service",
                ticket.id, refusal.0
            );
            if refusal.says("missing mandatory") && !stage.is_open() {
                // What a fresh iTop has none of yet, an administrator makes one day: it waits till then.
                return Err(talk.retry(None, stays));
            }
            return if stage.is_open() { Ok(Some(stays)) } else { Err(refused(stays)) };
        }
        Ok(None)
    }

    /// What a stimulus demands and the ticket does not have yet.
    fn demanded(
        &self,
        talk: &mut Talk,
        wanted: &Wanted,
        ticket: &Found,
        stimulus: &str,
    ) -> Result<Json, Next> {
        let mut fields = JsonMap::new();
        let wants: &[(&str, &str)] = match stimulus {
            "ev_assign" | "ev_reopen" | "ev_reassign" => &[("team_id", "team"), ("agent_id", "agent")],
            "ev_resolve" => &[("service_id", "service")],
            _ => &[],
        };
        let org = loose(&ticket.raw["org_id"]);
        for (attribute, entry) in wants {
            if is_unset(&ticket.raw[*attribute])
                && let Some((id, ..)) = self.pick(talk, entry, wanted.service.as_deref(), &org)?
            {
                fields.insert((*attribute).to_owned(), json!(id));
            }
        }
        let incident = wanted.kind != RecordKind::Problem;
        if incident && stimulus == "ev_resolve" {
            let closure = if wanted.closure.is_empty() { &wanted.headline } else { &wanted.closure };
            fields.insert("solution".to_owned(), json!(clip(closure, ENTRY)));
            fields.insert("resolution_code".to_owned(), json!(self.map.get("resolution_code")));
        }
        if incident && stimulus == "ev_pending" {
            let reason = wanted.comment.as_deref().unwrap_or(&wanted.headline);
            fields.insert("pending_reason".to_owned(), json!(clip(reason, ENTRY)));
        }
        Ok(Json::Object(fields))
    }
}

/// The stimuli from a status to a stage; none where iTop knows no way, or it is there.
pub fn path(kind: RecordKind, status: &str, to: Stage) -> &'static [&'static str] {
    let problem = kind == RecordKind::Problem;
    match (status, to) {
        ("resolved", to) if to.is_open() => {
            if problem {
                &["ev_reassign"]
            } else {
                &["ev_reopen"]
            }
        }
        ("resolved" | "closed" | "rejected", _) => &[],
        ("assigned" | "escalated_ttr", Stage::OnHold) if !problem => &["ev_pending"],
        ("new" | "escalated_tto" | "pending", Stage::Acknowledged | Stage::InProgress) => &["ev_assign"],
        (_, to) if to.is_open() => &[],
        ("assigned" | "escalated_ttr", _) => &["ev_resolve"],
        _ => &["ev_assign", "ev_resolve"],
    }
}

/// The stage of a status; `None` for one that the installation has added.
fn stage(status: &str) -> Option<Stage> {
    Some(match status {
        "new" | "escalated_tto" | "approved" => Stage::New,
        "dispatched" | "redispatched" => Stage::Acknowledged,
        "assigned" | "escalated_ttr" => Stage::InProgress,
        "pending" | "waiting_for_approval" => Stage::OnHold,
        "resolved" => Stage::Resolved,
        "closed" => Stage::Closed,
        "rejected" => Stage::Cancelled,
        _ => return None,
    })
}

/// A map entry as a search: an id, or OQL as it is.
pub fn as_oql(class: &str, entry: &str) -> String {
    match entry.parse::<u64>() {
        Ok(id) => format!("SELECT {class} WHERE id = {id}"),
        Err(_) => entry.to_owned(),
    }
}

/// A map entry as the value of a foreign key.
fn reference(entry: &str) -> Json {
    entry.parse::<u64>().map_or_else(|_| json!(entry), |id| json!(id))
}

/// A foreign key that leads nowhere.
fn is_unset(key: &Json) -> bool {
    matches!(loose(key).as_str(), "" | "0")
}

/// The text of a new ticket as HTML, short enough whatever it holds, its last line whole.
fn description(text: &str, key: &str, alert_key: &str) -> String {
    let mut room = DESCRIPTION;
    loop {
        let whole = format!("{}\n\n{}", clip(text, room), footer::line(key, alert_key));
        let html = markup::html(&whole);
        if html.len() <= DESCRIPTION || room < 1000 {
            return html;
        }
        room /= 2;
    }
}

/// A new entry of a log; the others stay.
fn entry(text: &str) -> Json {
    json!({"add_item": {"message": text, "format": "text"}})
}

/// What iTop's history says of a change.
fn said_by(wanted: &Wanted) -> String {
    format!("sexton {}", wanted.marker)
}
