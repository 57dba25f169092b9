//! A GLPI as its source behaves (10.0 and 11.0): sessions that run out, application tokens, errors as pairs,
//! HTML stored encoded, a search with anchors, requesters whose followups reopen, statuses dropped without a
//! word, closed tickets that take nothing, unique links, rules that change the urgency.

#[path = "glpi/search.rs"]
mod search;
#[path = "glpi/tests.rs"]
mod tests;
#[path = "glpi/v2.rs"]
mod v2;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};
use sexton::engine::effect::{RecordKind, Stage};

use crate::world::{Act, Answer, Ask, Desk, View};

/// The account of sexton; alice is 2.
const ME: u64 = 7;
/// After so many requests a session has run out.
const SESSION: u32 = 40;
/// A rule of the installation sets this urgency on tickets whose title contains [`RULED`].
pub const RULE_URGENCY: i64 = 4;
/// See [`RULE_URGENCY`].
pub const RULED: &str = "/data-003";

/// The columns of tickets and problems that may be written.
const COLUMNS: &[&str] =
    &["name", "content", "status", "urgency", "impact", "entities_id", "itilcategories_id"];

/// Its state.
pub struct Glpi {
    /// 10 or 11.
    pub version: u32,
    /// The high-level API, which stands beside the older one.
    pub v2: v2::V2,
    /// The application token of the API client; empty when it has none.
    pub app_token: String,
    /// The account's profile.
    pub profile: Json,
    /// Entities the account may work in.
    pub entities: Vec<u64>,
    /// Computers by name.
    pub computers: Vec<(u64, String)>,
    /// A field that the template of tickets demands.
    pub mandatory: Option<&'static str>,
    /// Transitions that the profile's life cycle drops.
    pub forbidden: Vec<(i64, i64)>,
    /// Sessions that were opened.
    pub opened: u32,
    sessions: BTreeMap<String, u32>,
    /// `Ticket`, `Problem`.
    items: BTreeMap<(String, u64), Json>,
    /// Followups and solutions, in order: class, item, author, content.
    children: Vec<(String, (String, u64), u64, Json)>,
    /// Item, user, type.
    actors: BTreeSet<((String, u64), u64, u8)>,
    /// Problem, ticket.
    links: BTreeSet<(u64, u64)>,
    /// Item and computer.
    pub assets: BTreeSet<((String, u64), u64)>,
}

impl Default for Glpi {
    fn default() -> Self {
        Self {
            version: 11,
            v2: v2::V2::default(),
            app_token: "app-token".into(),
            profile: json!({"id": 9, "name": "Monitoring", "interface": "central", "ticket": 4 | 2 | 1024,
                "problem": 4 | 2 | 1024, "followup": 4 | 4096 | 1 | 8192, "computer": 1, "ticket_status": []}),
            entities: vec![0],
            computers: vec![(42, "web-01".into())],
            mandatory: None,
            forbidden: Vec::new(),
            opened: 0,
            sessions: BTreeMap::new(),
            items: BTreeMap::new(),
            children: Vec::new(),
            actors: BTreeSet::new(),
            links: BTreeSet::new(),
            assets: BTreeSet::new(),
        }
    }
}

fn error(status: u16, code: &str, words: &str) -> Answer {
    Answer::json(status, json!([code, words]))
}

fn denied() -> Answer {
    error(403, "ERROR_RIGHT_MISSING", "You don't have permission to perform this action.")
}

fn not_added(words: &str) -> Answer {
    error(400, "ERROR_GLPI_ADD", words)
}

/// A number that came as number or text.
fn int(json: &Json) -> i64 {
    json.as_i64().or_else(|| json.as_str()?.parse().ok()).unwrap_or(0)
}

impl Desk for Glpi {
    fn handle(&mut self, ask: &Ask) -> Answer {
        let (method, parts) = ask.parts();
        let rest = match &parts[..] {
            ["apirest.php", rest @ ..] => rest,
            ["api.php", "v2", rest @ ..] => return self.v2(rest, ask),
            _ => return Answer::text(404, "<h1>Not Found</h1>"),
        };
        if method == "GET" && !ask.body.is_empty() {
            return error(400, "ERROR_JSON_PAYLOAD_FORBIDDEN", "GET Request should not have json payload");
        }
        if !self.app_token.is_empty() && ask.header("app-token") != self.app_token {
            return match ask.header("app-token") {
                "" => error(400, "ERROR_APP_TOKEN_PARAMETERS_MISSING", "missing parameter app_token"),
                _ => error(400, "ERROR_WRONG_APP_TOKEN_PARAMETER", "parameter app_token seems wrong"),
            };
        }
        if rest == ["initSession"] {
            return self.open(ask);
        }
        match self.sessions.get_mut(ask.header("session-token")) {
            None if ask.header("session-token").is_empty() => {
                return error(
                    400,
                    "ERROR_SESSION_TOKEN_MISSING",
                    "parameter session_token is missing or empty",
                );
            }
            Some(left) if *left > 0 => *left -= 1,
            _ => return error(401, "ERROR_SESSION_TOKEN_INVALID", "session_token seems invalid"),
        }
        assert_eq!(ask.header("authorization"), "", "the user token is shown once, not on every request");
        match (method, rest) {
            ("GET", ["getActiveProfile"]) => Answer::json(200, json!({"active_profile": self.profile})),
            ("GET", ["getMyEntities"]) => {
                let all: Vec<Json> = self.entities.iter().map(|id| json!({"id": id, "name": "e"})).collect();
                Answer::json(200, json!({"myentities": all}))
            }
            ("GET", ["search", itemtype]) => self.search(itemtype, ask),
            ("GET", [itemtype, id]) => self.get(itemtype, id.parse().unwrap_or(0), ask),
            ("GET", [itemtype, id, child]) => self.list(itemtype, id.parse().unwrap_or(0), child, ask),
            ("POST", [itemtype]) => self.add(itemtype, &ask.json()["input"]),
            ("PUT", [itemtype, id]) => self.update(itemtype, id.parse().unwrap_or(0), &ask.json()["input"]),
            _ => error(405, "ERROR_METHOD_NOT_ALLOWED", "Method Not Allowed"),
        }
    }

    fn tickets(&self) -> Vec<View> {
        let mut all: Vec<_> = self.items.iter().filter(|(_, i)| i["is_deleted"] == 0).collect();
        all.sort_by_key(|((_, id), _)| *id);
        all.into_iter().map(|(at, item)| self.view(at, item)).collect()
    }

    fn act(&mut self, ticket: &str, act: Act) {
        let at = ("Ticket".to_owned(), ticket.parse().unwrap());
        match act {
            Act::Acknowledge => self.set(&at, "status", json!(2)),
            Act::Assign(user) => {
                assert_eq!(user, "alice");
                self.actors.insert((at.clone(), 2, 2));
                self.set(&at, "status", json!(2));
            }
            Act::Hold(_) => self.set(&at, "status", json!(4)),
            Act::Resolve(text) => {
                let content = json!(self.encode(&format!("<p>{text}</p>")));
                self.children.push(("ITILSolution".into(), at.clone(), 2, content));
                self.set(&at, "status", json!(5));
            }
            Act::Close => self.set(&at, "status", json!(6)),
            Act::Reopen => self.set(&at, "status", json!(2)),
            Act::Delete => self.set(&at, "is_deleted", json!(1)),
            Act::Cancel => panic!("GLPI knows no cancelled tickets"),
        }
    }
}

impl Glpi {
    fn open(&mut self, ask: &Ask) -> Answer {
        if ask.header("authorization") != "user_token user-token" {
            return error(401, "ERROR_GLPI_LOGIN_USER_TOKEN", "parameter user_token seems invalid");
        }
        self.opened += 1;
        let token = format!("session-{}", self.opened);
        self.sessions.insert(token.clone(), SESSION);
        Answer::json(200, json!({"session_token": token}))
    }

    fn has(&self, right: &str, bits: i64) -> bool {
        int(&self.profile[right]) & bits != 0
    }

    fn set(&mut self, at: &(String, u64), field: &str, value: Json) {
        self.items.get_mut(at).expect("the ticket is there")[field] = value;
    }

    /// GLPI 10 stores texts encoded once more.
    fn encode(&self, text: &str) -> String {
        match self.version {
            10 => text.replace('&', "&#38;").replace('<', "&#60;").replace('>', "&#62;"),
            _ => text.to_owned(),
        }
    }

    fn shown(&self, text: &str, ask: &Ask) -> Json {
        let raw = ask.header("x-glpi-sanitized-content") == "false";
        if raw { json!(decode(text)) } else { json!(text) }
    }

    fn get(&self, itemtype: &str, id: u64, ask: &Ask) -> Answer {
        let Some(item) = self.items.get(&(itemtype.to_owned(), id)) else {
            return error(404, "ERROR_ITEM_NOT_FOUND", "Item not found");
        };
        let right = itemtype.to_lowercase();
        if !self.has(&right, 1024) || !self.entities.contains(&(int(&item["entities_id"]) as u64)) {
            return denied();
        }
        let mut item = item.clone();
        item["content"] = self.shown(item["content"].as_str().unwrap(), ask);
        Answer::json(200, item)
    }

    fn list(&self, itemtype: &str, id: u64, child: &str, ask: &Ask) -> Answer {
        let at = (itemtype.to_owned(), id);
        if !self.items.contains_key(&at) {
            return error(404, "ERROR_ITEM_NOT_FOUND", "Item not found");
        }
        let mut rows: Vec<Json> = match child {
            "Problem_Ticket" => {
                let links = self.links.iter().filter(|(problem, _)| *problem == id);
                links.map(|(p, t)| json!({"id": p * 1000 + t, "problems_id": p, "tickets_id": t})).collect()
            }
            "Ticket_User" | "Problem_User" => {
                let name = |user: u64| if user == 2 { json!("alice") } else { json!("sexton") };
                let expand = ask.param("expand_dropdowns") == "true";
                let named = |user: u64| if expand { name(user) } else { json!(user) };
                let actors = self.actors.iter().filter(|(of, _, _)| *of == at);
                actors.map(|(_, user, kind)| json!({"users_id": named(*user), "type": kind})).collect()
            }
            "ITILFollowup" if !self.has("followup", 1 | 8192) => return denied(),
            _ => {
                let rows = self.children.iter().enumerate().filter(|(_, c)| c.0 == child && c.1 == at);
                let content = |c: &Json| self.shown(c.as_str().unwrap(), ask);
                rows.map(|(n, c)| json!({"id": n, "content": content(&c.3), "users_id": c.2})).collect()
            }
        };
        if ask.param("order") == "DESC" {
            rows.reverse();
        }
        let (from, to) = ask.param("range").split_once('-').unwrap_or(("0", "49"));
        let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
        let total = rows.len();
        let rows: Vec<Json> = rows.into_iter().skip(from).take(to - from + 1).collect();
        Answer::json(if rows.len() < total { 206 } else { 200 }, json!(rows))
    }

    fn add(&mut self, itemtype: &str, input: &Json) -> Answer {
        if !input.is_object() {
            return error(400, "ERROR_BAD_ARRAY", "input parameter must be an array of objects");
        }
        let made = match itemtype {
            "Ticket" | "Problem" => self.add_item(itemtype, input),
            "ITILFollowup" => self.add_followup(input),
            "ITILSolution" => self.add_solution(input),
            "Problem_Ticket" => {
                let link = (int(&input["problems_id"]) as u64, int(&input["tickets_id"]) as u64);
                let both = [("Problem", link.0), ("Ticket", link.1)];
                let there = both.iter().all(|(t, id)| self.items.contains_key(&((*t).to_owned(), *id)));
                if there && self.links.insert(link) { Ok(link.0 * 1000 + link.1) } else { Err("".into()) }
            }
            "Item_Problem" => {
                let at = ("Problem".to_owned(), int(&input["problems_id"]) as u64);
                match self.assets.insert((at, int(&input["items_id"]) as u64)) {
                    true => Ok(1),
                    false => Err("".into()),
                }
            }
            _ => return error(400, "ERROR_RESOURCE_NOT_FOUND_NOR_COMMONDBTM", "resource not found"),
        };
        match made {
            Ok(id) => Answer::json(201, json!({"id": id, "message": ""})),
            Err(words) => not_added(&words),
        }
    }

    fn add_item(&mut self, itemtype: &str, input: &Json) -> Result<u64, String> {
        if !self.has(&itemtype.to_lowercase(), 4) {
            return Err("You don't have permission to perform this action.".into());
        }
        if let Some(field) = self.mandatory.filter(|f| itemtype == "Ticket" && int(&input[*f]) == 0) {
            return Err(format!("Mandatory fields are not filled. Please correct: {field}"));
        }
        let id = 1 + self.items.keys().filter(|(t, _)| t == itemtype).map(|(_, id)| *id).max().unwrap_or(0);
        let at = (itemtype.to_owned(), id);
        let mut item = json!({"id": id, "status": 1, "urgency": 3, "impact": 3, "entities_id": 0, "is_deleted": 0,
            "users_id_recipient": ME, "externalid": null});
        for column in COLUMNS.iter().filter(|c| !input[**c].is_null()) {
            item[*column] = input[*column].clone();
        }
        item["content"] = json!(self.encode(input["content"].as_str().unwrap_or_default()));
        assert!(input["name"].as_str().unwrap().chars().count() <= 255);
        if itemtype == "Ticket" && self.version >= 11 {
            item["externalid"] = input["externalid"].clone();
        }
        if itemtype == "Ticket" {
            for computer in input["items_id"]["Computer"].as_array().into_iter().flatten() {
                self.assets.insert((at.clone(), int(computer) as u64));
            }
            if item["name"].as_str().unwrap().contains(RULED) {
                item["urgency"] = json!(RULE_URGENCY);
            }
        }
        self.actors.insert((at.clone(), ME, 1));
        self.items.insert(at, item);
        Ok(id)
    }

    /// The item of a followup or solution, with its status.
    fn parent(&self, input: &Json) -> Result<((String, u64), i64), String> {
        let itemtype = input["itemtype"].as_str().unwrap_or_default().to_owned();
        let at = (itemtype, int(&input["items_id"]) as u64);
        let item = self.items.get(&at).ok_or("Item not found")?;
        if input["content"].as_str().unwrap_or_default().is_empty() {
            return Err("You can't add a followup without description".into());
        }
        Ok((at, int(&item["status"])))
    }

    fn add_followup(&mut self, input: &Json) -> Result<u64, String> {
        let (at, status) = self.parent(input)?;
        if status == 6 || !self.has("followup", 4 | 4096) {
            return Err("You don't have permission to perform this action.".into());
        }
        let content = json!(self.encode(input["content"].as_str().unwrap()));
        self.children.push(("ITILFollowup".into(), at.clone(), ME, content));
        // The requester has answered: the ticket goes on.
        if matches!(status, 4 | 5) && input["_no_reopen"].is_null() {
            let assigned = self.actors.iter().any(|(of, _, kind)| *of == at && *kind == 2);
            self.set(&at, "status", json!(if assigned { 2 } else { 1 }));
        }
        Ok(self.children.len() as u64)
    }

    fn add_solution(&mut self, input: &Json) -> Result<u64, String> {
        let (at, status) = self.parent(input)?;
        if status == 6 || !self.has(&at.0.to_lowercase(), 2) {
            return Err("You don't have permission to perform this action.".into());
        }
        if status == 5 {
            return Err("The item is already solved, did anyone pushed a solution before you?".into());
        }
        let content = json!(self.encode(input["content"].as_str().unwrap()));
        self.children.push(("ITILSolution".into(), at.clone(), ME, content));
        if !self.forbidden.contains(&(status, 5)) {
            self.set(&at, "status", json!(5));
        }
        Ok(self.children.len() as u64)
    }

    fn update(&mut self, itemtype: &str, id: u64, input: &Json) -> Answer {
        let at = (itemtype.to_owned(), id);
        let Some(item) = self.items.get(&at) else {
            return error(400, "ERROR_GLPI_UPDATE", "Item not found");
        };
        let status = int(&item["status"]);
        let fields = input.as_object().expect("an object");
        if status == 6 && !fields.contains_key("status") {
            return error(400, "ERROR_GLPI_UPDATE", "");
        }
        for (field, value) in fields {
            let external = field == "externalid" && itemtype == "Ticket" && self.version >= 11;
            match field.as_str() {
                "status" if self.forbidden.contains(&(status, int(value))) => {}
                "content" => {
                    let content = json!(self.encode(value.as_str().unwrap()));
                    self.set(&at, "content", content);
                }
                field if external || COLUMNS.contains(&field) => self.set(&at, field, value.clone()),
                _ => {}
            }
        }
        Answer::json(200, json!([{id.to_string(): true, "message": ""}]))
    }

    fn view(&self, at: &(String, u64), item: &Json) -> View {
        let text = |c: &Json| decode(c.as_str().unwrap());
        let content = text(&item["content"]);
        let key = content.rsplit_once("sexton [").and_then(|(_, rest)| rest.split_once(']'));
        let problem = at.0 == "Problem";
        let parents = self.links.iter().filter(|(_, t)| !problem && *t == at.1).map(|(p, _)| p.to_string());
        let comments: Vec<String> = self.children.iter().filter(|c| c.1 == *at).map(|c| text(&c.3)).collect();
        // Where links are followups, that is how a person sees one.
        let named = comments.iter().filter_map(|c| c.strip_prefix("<p>Problem ")?.split(':').next());
        let parents: Vec<String> = parents.chain(named.map(str::to_owned)).collect();
        let assigned = self.actors.iter().any(|(of, user, kind)| of == at && *user == 2 && *kind == 2);
        View {
            id: at.1.to_string(),
            key: key.map(|(key, _)| key.to_owned()).unwrap_or_default(),
            kind: Some(if problem { RecordKind::Problem } else { RecordKind::Incident }),
            stage: match int(&item["status"]) {
                1 => Stage::New,
                2 => Stage::InProgress,
                4 => Stage::OnHold,
                5 => Stage::Resolved,
                6 => Stage::Closed,
                other => panic!("status {other}"),
            },
            comments,
            parents,
            assignee: if assigned { "alice".into() } else { String::new() },
            subject: item["name"].as_str().unwrap().to_owned(),
            priority: format!("{}/{}", item["urgency"], item["impact"]),
        }
    }
}

fn decode(text: &str) -> String {
    text.replace("&#60;", "<").replace("&#62;", ">").replace("&#38;", "&")
}
