//! An iTop as its source behaves: 200 whatever happened, one code for wrong values and for a database that is
//! away, keys by OQL that must find exactly one, attributes demanded by the state to come, no `ev_reopen` on
//! problems, timers that move tickets, a log that is only added to.

#[path = "itop/catalogue.rs"]
mod catalogue;
#[path = "itop/tests.rs"]
mod tests;

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use sexton::engine::effect::{RecordKind, Stage};

use crate::world::{Act, Answer, Ask, Desk, View};

/// Its state.
pub struct Itop {
    /// The classes that are installed, the incident's first.
    pub classes: Vec<&'static str>,
    /// PHP 7: a foreign key that is not set counts as missing. PHP 8 takes its 0 for a value.
    pub strict: bool,
    /// The account has the profile REST Services User.
    pub rest: bool,
    /// The account is tied to a person.
    pub person: bool,
    /// Persons by id: 5 is the account's, 3 is alice. Its organisation is 2.
    pub services: Vec<(u64, &'static str)>,
    /// Services that the account's organisation has a contract for.
    pub contracts: Vec<u64>,
    /// The account's person is in the team.
    pub member: bool,
    /// An attribute that new tickets lack.
    pub demanded: Option<&'static str>,
    /// Computers by name and class.
    pub cis: Vec<(u64, &'static str, &'static str)>,
    /// Every so many writes the database is away; 0: never.
    pub weak: u32,
    writes: u32,
    /// Changes so far, one in each second of its clock.
    changes: u32,
    tickets: BTreeMap<u64, Json>,
    last: u64,
}

impl Default for Itop {
    fn default() -> Self {
        Self {
            classes: vec!["Incident", "Problem"],
            strict: true,
            rest: true,
            person: true,
            services: vec![(9, "Hosting")],
            contracts: Vec::new(),
            member: true,
            demanded: None,
            cis: vec![(31, "web-01", "Server"), (32, "web-01", "WebApplication")],
            weak: 0,
            writes: 0,
            changes: 0,
            tickets: BTreeMap::new(),
            last: 0,
        }
    }
}

/// What code and words an operation ends with when it is not carried out.
struct Trouble(i64, String);

type Outcome<T> = Result<T, Trouble>;

fn wrong<T>(words: impl Into<String>) -> Outcome<T> {
    Err(Trouble(100, words.into()))
}

impl Desk for Itop {
    fn handle(&mut self, ask: &Ask) -> Answer {
        if ask.parts() != ("POST", vec!["itop", "webservices", "rest.php"]) {
            return Answer::text(404, "<html>Not Found</html>");
        }
        let json = match self.operation(ask) {
            Ok(json) => json,
            Err(Trouble(code, words)) => {
                json!({"code": code, "message": format!("Error: {words}"), "objects": null})
            }
        };
        Answer::json(200, json)
    }

    fn tickets(&self) -> Vec<View> {
        self.tickets.iter().map(|(id, ticket)| view(*id, ticket)).collect()
    }

    fn act(&mut self, ticket: &str, act: Act) {
        let id = ticket.parse().unwrap();
        if act == Act::Delete {
            self.tickets.remove(&id);
            return;
        }
        self.touch(id);
        let ticket = self.tickets.get_mut(&id).expect("it is there");
        let mut set =
            |fields: Json| ticket.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let alice =
            json!({"status": "assigned", "team_id": "6", "agent_id": "3", "agent_id_friendlyname": "alice"});
        match act {
            Act::Acknowledge | Act::Reopen => set(alice),
            Act::Assign(user) => {
                assert_eq!(user, "alice");
                set(alice);
            }
            Act::Hold(reason) => set(json!({"status": "pending", "pending_reason": reason})),
            Act::Resolve(text) => set(json!({"status": "resolved", "solution": text})),
            Act::Close => set(json!({"status": "closed"})),
            Act::Cancel | Act::Delete => panic!("iTop knows no cancelled incidents"),
        }
    }
}

impl Itop {
    fn operation(&mut self, ask: &Ask) -> Outcome<Json> {
        let form: BTreeMap<String, String> = ask.form().into_iter().collect();
        let field = |name: &str| form.get(name).map_or("", String::as_str);
        assert_eq!(ask.param("version"), "1.3");
        match (field("auth_user"), field("auth_pwd"), ask.header("auth-token")) {
            ("sexton", "pass & word", "") | ("", "", "auth-token") => {}
            ("", _, "") => return Err(Trouble(4, "Missing parameter 'auth_user'".into())),
            _ => return Err(Trouble(1, "Invalid login".into())),
        }
        if !self.rest {
            let words = "This user is not authorized to use the web services. (The profile REST Services User is \
                         required to access the REST web services)";
            return Err(Trouble(1, words.into()));
        }
        let json: Json = serde_json::from_str(field("json_data"))
            .map_err(|_| Trouble(3, "Parameter json_data is not a valid JSON structure".into()))?;
        let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
        let class = text("class");
        match text("operation").as_str() {
            "core/get" => self.get(&class, &json["key"], &text("output_fields")),
            "core/create" => self.write(|i| i.create(&class, &json["fields"])),
            "core/update" => self.write(|i| {
                let id = i.single(&class, &json["key"])?;
                i.set(id, &json["fields"])?;
                Ok(id)
            }),
            "core/apply_stimulus" => {
                self.write(|i| i.stimulate(&class, &json["key"], &text("stimulus"), &json["fields"]))
            }
            other => Err(Trouble(11, format!("Unknown verb '{other}' in version '1.3'"))),
        }
    }

    /// Notes when a ticket changed: in the server's own zone, which nothing tells.
    fn touch(&mut self, id: u64) {
        self.changes += 1;
        let (minutes, seconds) = (self.changes / 60, self.changes % 60);
        let at = format!("2026-11-22 {:02}:{:02}:{seconds:02}", minutes / 60, minutes % 60);
        self.tickets.get_mut(&id).expect("it is there")["last_update"] = json!(at);
    }

    /// A database that is away answers like a wrong value; now and then the change was made all the same.
    fn write(&mut self, change: impl FnOnce(&mut Self) -> Outcome<u64>) -> Outcome<Json> {
        self.writes += 1;
        let away = self.weak > 0 && self.writes.is_multiple_of(self.weak);
        if away && self.writes.is_multiple_of(2) {
            return wrong("MySQL server has gone away");
        }
        let id = change(self)?;
        self.touch(id);
        if away {
            return wrong("Lock wait timeout exceeded; try restarting transaction");
        }
        let class = self.tickets[&id]["finalclass"].as_str().unwrap();
        let fields = json!({"id": id.to_string(), "status": self.tickets[&id]["status"]});
        let object = json!({"code": 0, "message": "updated", "class": class, "key": id.to_string(),
            "fields": fields});
        Ok(json!({"code": 0, "message": "", "objects": {format!("{class}::{id}"): object}}))
    }

    fn get(&mut self, class: &str, key: &Json, columns: &str) -> Outcome<Json> {
        let found = self.query(class, key)?;
        let mut objects = serde_json::Map::new();
        for (id, mut row) in found {
            row["id"] = json!(id.to_string());
            let mut fields = serde_json::Map::new();
            for column in columns.split(',') {
                if row[column].is_null() {
                    return wrong(format!("output_fields: invalid attribute code '{column}'"));
                }
                fields.insert(column.to_owned(), row[column].clone());
            }
            let object =
                json!({"code": 0, "message": "", "class": class, "key": id.to_string(), "fields": fields});
            objects.insert(format!("{class}::{id}"), object);
        }
        let message = format!("Found: {}", objects.len());
        let objects = if objects.is_empty() { Json::Null } else { Json::Object(objects) };
        Ok(json!({"code": 0, "message": message, "objects": objects}))
    }

    fn create(&mut self, class: &str, fields: &Json) -> Outcome<u64> {
        if !self.classes.contains(&class) {
            return wrong(format!("class: '{class}' is not a valid class"));
        }
        if let Some(attribute) = self.demanded.filter(|a| fields[*a].is_null()) {
            return wrong(format!("Missing mandatory attribute(s): {attribute}"));
        }
        let (id, letter) = (self.last + 1, if class == "Problem" { "P" } else { "I" });
        let mut ticket = json!({"finalclass": class, "ref": format!("{letter}-{id:06}"), "status": "new",
            "team_id": "0", "agent_id": "0", "agent_id_friendlyname": "", "service_id": "0", "description": "",
            "private_log": {"entries": []}, "functionalcis_list": []});
        if class != "Problem" {
            let more = json!({"solution": "", "pending_reason": "", "parent_problem_id": "0", "origin": "phone",
                "resolution_code": "assistance"});
            ticket.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        }
        for (attribute, unset) in
            [("org_id", "0"), ("caller_id", "0"), ("title", ""), ("impact", "1"), ("urgency", "4")]
        {
            ticket[attribute] = Json::from(unset);
        }
        self.tickets.insert(id, ticket);
        if let Err(trouble) = self.set(id, fields) {
            self.tickets.remove(&id);
            return Err(trouble);
        }
        for attribute in ["org_id", "title", "description"] {
            if matches!(self.tickets[&id][attribute].as_str(), Some("" | "0")) {
                self.tickets.remove(&id);
                return wrong(format!("{attribute}: Null not allowed"));
            }
        }
        self.last = id;
        if id.is_multiple_of(5) && class != "Problem" {
            // Nobody has looked at it in time.
            self.tickets.get_mut(&id).unwrap()["status"] = json!("escalated_tto");
        }
        Ok(id)
    }

    /// Writes attributes: keys by id or OQL, logs by what is added, everything else as text.
    fn set(&mut self, id: u64, fields: &Json) -> Outcome<()> {
        let mut ticket = self.tickets.get(&id).cloned().ok_or(Trouble(100, "Object not found".into()))?;
        for (attribute, value) in fields.as_object().ok_or(Trouble(3, "fields".into()))? {
            if ticket[attribute.as_str()].is_null() {
                return wrong(format!("{attribute}: invalid attribute code '{attribute}'"));
            }
            let new = match attribute.as_str() {
                "private_log" => {
                    let message = value["add_item"]["message"].as_str().expect("an entry with a message");
                    assert_eq!(value["add_item"]["format"], "text");
                    let mut entries = ticket["private_log"]["entries"].as_array().unwrap().clone();
                    entries.insert(0, json!({"message": message, "user_login": "sexton"}));
                    json!({"entries": entries})
                }
                "functionalcis_list" => value.clone(),
                key if key.ends_with("_id") => match value.as_u64() {
                    Some(id) => json!(id.to_string()),
                    None => {
                        let class = catalogue::target(key);
                        let found =
                            self.query(class, value).map_err(|t| Trouble(t.0, format!("{key}: {}", t.1)))?;
                        let [(found, _)] = &found[..] else {
                            let many = if found.is_empty() { "No item" } else { "Several items" };
                            return wrong(format!("{key}: {many} found for query: {value}"));
                        };
                        json!(found.to_string())
                    }
                },
                _ => {
                    let text = value.as_str().unwrap_or_else(|| panic!("{attribute} is no text: {value}"));
                    let most = if attribute == "title" { 255 } else { 65_535 };
                    if text.len() > most {
                        return wrong(format!(
                            "{attribute}: String too long (found {}, limited to {most})",
                            text.len()
                        ));
                    }
                    json!(text)
                }
            };
            ticket[attribute.as_str()] = new;
        }
        self.tickets.insert(id, ticket);
        Ok(())
    }

    fn single(&mut self, class: &str, key: &Json) -> Outcome<u64> {
        let found = self.query(class, key)?;
        match &found[..] {
            [(id, _)] => Ok(*id),
            [] => wrong(format!("No item found for query: {key}")),
            all => wrong(format!("Several items found ({}) for query: {key}", all.len())),
        }
    }

    fn stimulate(&mut self, class: &str, key: &Json, stimulus: &str, fields: &Json) -> Outcome<u64> {
        let id = self.single(class, key)?;
        let before = self.tickets[&id].clone();
        self.set(id, fields)?;
        let moved = self.transit(id, stimulus);
        if moved.is_err() {
            self.tickets.insert(id, before);
        }
        moved.map(|()| id)
    }

    fn transit(&mut self, id: u64, stimulus: &str) -> Outcome<()> {
        let ticket = self.tickets.get_mut(&id).unwrap();
        let problem = ticket["finalclass"] == "Problem";
        let status = ticket["status"].as_str().unwrap();
        let to = match (stimulus, status) {
            ("ev_assign", "new" | "escalated_tto" | "pending") => "assigned",
            ("ev_resolve", "assigned" | "escalated_ttr") => "resolved",
            ("ev_pending", "assigned" | "escalated_ttr") if !problem => "pending",
            ("ev_reopen", "resolved") if !problem => "assigned",
            ("ev_reassign", "resolved") if problem => "assigned",
            _ => {
                let name = &ticket["ref"];
                return wrong(format!(
                    "Invalid stimulus: '{stimulus}' on the object {name} in state '{status}'"
                ));
            }
        };
        let mut demanded = vec!["team_id", "agent_id"];
        match to {
            "resolved" if problem => demanded.push("service_id"),
            "resolved" => demanded.extend(["service_id", "resolution_code", "solution"]),
            "pending" => demanded.push("pending_reason"),
            _ => {}
        }
        let missing = |a: &&str| match ticket[*a].as_str().unwrap() {
            "" => true,
            "0" => self.strict,
            _ => false,
        };
        let missing: Vec<&str> = demanded.into_iter().filter(missing).collect();
        if !missing.is_empty() {
            let list = missing.join(", ");
            return wrong(format!("Missing mandatory attribute(s) for applying the stimulus: {list}."));
        }
        ticket["status"] = json!(to);
        if to == "assigned" && ticket["agent_id"] == "5" {
            ticket["agent_id_friendlyname"] = json!("Sexton Bot");
        }
        if to == "assigned" && id.is_multiple_of(4) && !problem {
            ticket["status"] = json!("escalated_ttr");
        }
        Ok(())
    }
}

fn view(id: u64, ticket: &Json) -> View {
    let text = |name: &str| ticket[name].as_str().unwrap_or_default().to_owned();
    let description = text("description");
    let key = description.rsplit_once("sexton [").and_then(|(_, rest)| rest.split_once(']'));
    let mut entries = ticket["private_log"]["entries"].as_array().unwrap().clone();
    entries.reverse();
    let parent = text("parent_problem_id");
    View {
        id: id.to_string(),
        key: key.map(|(key, _)| key.to_owned()).unwrap_or_default(),
        kind: Some(match ticket["finalclass"].as_str() {
            Some("Problem") => RecordKind::Problem,
            _ => RecordKind::Incident,
        }),
        stage: match text("status").as_str() {
            "new" | "escalated_tto" => Stage::New,
            "assigned" | "escalated_ttr" => Stage::InProgress,
            "pending" => Stage::OnHold,
            "resolved" => Stage::Resolved,
            "closed" => Stage::Closed,
            other => panic!("status {other}"),
        },
        comments: entries.iter().map(|e| e["message"].as_str().unwrap().to_owned()).collect(),
        parents: if matches!(parent.as_str(), "" | "0") { Vec::new() } else { vec![parent] },
        assignee: text("agent_id_friendlyname"),
        subject: text("title"),
        priority: format!("{}/{}", text("urgency"), text("impact")),
    }
}
