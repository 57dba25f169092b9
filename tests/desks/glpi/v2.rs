//! The high-level API of GLPI 11 as its source behaves (11.0): access tokens that run out with 400, RSQL,
//! lists that show what is deleted, refusals that are 500, timelines that are empty without the right to see
//! them, a web server that follows the `Location` of what was made.

use serde_json::{Value as Json, json};

use super::{Glpi, SESSION, int};
use crate::world::{Answer, Ask};

/// Properties of tickets and problems that may be written.
const FIELDS: &[&str] =
    &["name", "content", "type", "status", "urgency", "impact", "external_id", "entity", "category"];

/// What this API knows beside the tickets.
pub struct V2 {
    /// Every so many creates the web server answers with the page behind `Location`, which is not there.
    pub misleads: u32,
    /// Whether the OAuth client may have the scope `api`.
    pub scope: bool,
    /// Password of the account.
    pub password: String,
    made: u32,
}

impl Default for V2 {
    fn default() -> Self {
        Self { misleads: 0, scope: true, password: "password".into(), made: 0 }
    }
}

fn error(status: u16, code: &str, title: &str) -> Answer {
    Answer::json(status, json!({"status": code, "title": title, "detail": null}))
}

fn denied() -> Answer {
    error(403, "ERROR_RIGHT_MISSING", "You don't have permission to perform this action.")
}

fn not_found() -> Answer {
    error(404, "ERROR_ITEM_NOT_FOUND", "Not found")
}

fn failed(action: &str, words: &str) -> Answer {
    let message = json!([{"priority": "error", "message": words}]);
    let title = format!("Failed to {action} item(s)");
    Answer::json(
        500,
        json!({"status": "ERROR", "title": title, "detail": null, "additional_messages": message}),
    )
}

impl Glpi {
    pub(super) fn v2(&mut self, rest: &[&str], ask: &Ask) -> Answer {
        if rest == ["token"] {
            return self.token(ask);
        }
        let token = ask.header("authorization").strip_prefix("Bearer ").unwrap_or_default();
        match self.sessions.get_mut(token) {
            None if token.is_empty() => {
                return error(401, "ERROR_UNAUTHENTICATED", "You are not authenticated");
            }
            Some(left) if *left > 0 => *left -= 1,
            _ => return error(400, "ERROR_INVALID_PARAMETER", "Invalid OAuth token"),
        }
        if !self.v2.scope {
            return denied();
        }
        match (ask.method.as_str(), rest) {
            ("GET", ["session"]) => {
                let name = &self.profile["name"];
                let profile = json!({"id": 9, "name": name, "interface": self.profile["interface"]});
                Answer::json(200, json!({"active_profile": profile, "active_entities": self.entities}))
            }
            ("GET", ["Assistance", itemtype]) => self.search_v2(itemtype, ask),
            ("POST", ["Assistance", itemtype]) => self.create_v2(itemtype, &ask.json()),
            ("GET", ["Assistance", itemtype, id]) => match self.at(itemtype, id) {
                Some(at) => Answer::json(200, self.shown_v2(&at)),
                None => not_found(),
            },
            ("PATCH", ["Assistance", itemtype, id]) => self.patch_v2(itemtype, id, &ask.json()),
            (method, ["Assistance", itemtype, id, "Timeline", child]) => {
                let Some(at) = self.at(itemtype, id) else { return not_found() };
                match method {
                    "GET" => self.timeline(&at, child, ask),
                    _ => self.say(&at, child, &ask.json()),
                }
            }
            _ => Answer::text(404, ""),
        }
    }

    fn token(&mut self, ask: &Ask) -> Answer {
        let form = ask.form();
        let field = |name: &str| form.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v.as_str());
        assert_eq!((field("grant_type"), field("scope")), ("password", "api"));
        let refused = |code: &str, words: &str| {
            Answer::json(400, json!({"error": code, "error_description": words, "message": words}))
        };
        if (field("client_id"), field("client_secret")) != ("client", "client-secret") {
            let words = "Client authentication failed";
            return Answer::json(401, json!({"error": "invalid_client", "error_description": words}));
        }
        if (field("username"), field("password")) != ("sexton", &self.v2.password) {
            return refused("invalid_grant", "The user credentials were incorrect.");
        }
        self.opened += 1;
        let token = format!("access-{}", self.opened);
        self.sessions.insert(token.clone(), SESSION);
        let life = json!({"token_type": "Bearer", "expires_in": 3600, "access_token": token});
        Answer::json(200, life)
    }

    /// What is there and may be seen; the rest is as if it were not there.
    fn at(&self, itemtype: &str, id: &str) -> Option<(String, u64)> {
        let at = (itemtype.to_owned(), id.parse().ok()?);
        let item = self.items.get(&at)?;
        let mine = self.entities.contains(&(int(&item["entities_id"]) as u64));
        (mine && self.has(&itemtype.to_lowercase(), 1024)).then_some(at)
    }

    fn shown_v2(&self, at: &(String, u64)) -> Json {
        let item = &self.items[at];
        let role = |kind: u8| if kind == 2 { "assigned" } else { "requester" };
        let name = |user: u64| if user == 2 { "alice" } else { "sexton" };
        let team = self.actors.iter().filter(|(of, ..)| of == at);
        let team: Vec<Json> = team
            .map(|(_, user, kind)| json!({"role": role(*kind), "name": name(*user), "display_name": name(*user)}))
            .collect();
        let mut shown = json!({"id": at.1, "name": item["name"], "content": item["content"], "team": team,
            "is_deleted": item["is_deleted"] == 1, "urgency": item["urgency"], "impact": item["impact"],
            "status": {"id": item["status"], "name": "in the account's language"},
            "entity": {"id": item["entities_id"], "name": "Root"}, "date_mod": "2026-11-22T10:00:00+01:00"});
        if at.0 == "Ticket" {
            shown["external_id"] = item["externalid"].clone();
        }
        shown
    }

    fn search_v2(&self, itemtype: &str, ask: &Ask) -> Answer {
        if !self.has(&itemtype.to_lowercase(), 1024) {
            return denied();
        }
        let ids = self.items.keys().filter(|(t, _)| t == itemtype).map(|(_, id)| id.to_string());
        let there: Vec<Json> =
            ids.filter_map(|id| self.at(itemtype, &id)).map(|at| self.shown_v2(&at)).collect();
        let mut hits = there;
        for term in ask.param("filter").split(';').filter(|t| !t.is_empty()) {
            let known = ["id", "name", "content", "status.id", "is_deleted"].contains(&property(term))
                || property(term) == "external_id" && itemtype == "Ticket";
            if !known {
                return error(400, "ERROR_INVALID_PARAMETER", "RSQL query has invalid filters");
            }
            hits.retain(|row| holds(row, term));
        }
        let limit: usize = ask.param("limit").parse().expect("a limit");
        let more = hits.len() > limit;
        hits.truncate(limit);
        Answer::json(if more { 206 } else { 200 }, json!(hits))
    }

    /// The columns behind the properties.
    fn columns(fields: &Json) -> Json {
        let mut input = json!({});
        for (field, value) in fields.as_object().expect("an object") {
            assert!(FIELDS.contains(&field.as_str()), "{field} is no property of tickets");
            let value = if value.is_object() { value["id"].clone() } else { value.clone() };
            let column = match field.as_str() {
                "external_id" => "externalid",
                "entity" => "entities_id",
                "category" => "itilcategories_id",
                other => other,
            };
            input[column] = value;
        }
        input
    }

    fn create_v2(&mut self, itemtype: &str, fields: &Json) -> Answer {
        if !self.has(&itemtype.to_lowercase(), 4) {
            return denied();
        }
        assert!(itemtype == "Ticket" || fields["external_id"].is_null(), "problems have no such property");
        match self.add_item(itemtype, &Self::columns(fields)) {
            Ok(id) => self.made(id, &format!("/Assistance/{itemtype}/{id}")),
            Err(words) => failed("create", &words),
        }
    }

    fn made(&mut self, id: u64, place: &str) -> Answer {
        self.v2.made += 1;
        if self.v2.misleads > 0 && self.v2.made.is_multiple_of(self.v2.misleads) {
            let lost = json!({"error": true, "title": "Item not found", "message": "The requested item has not \
                been found."});
            return Answer::json(404, lost);
        }
        Answer::json(200, json!({"id": id, "href": place})).with("Location", place)
    }

    fn patch_v2(&mut self, itemtype: &str, id: &str, fields: &Json) -> Answer {
        let Some(at) = self.at(itemtype, id) else { return not_found() };
        let input = Self::columns(fields);
        let closed = int(&self.items[&at]["status"]) == 6;
        if !self.has(&itemtype.to_lowercase(), 2) || closed && input["status"].is_null() {
            return denied();
        }
        match self.update(itemtype, at.1, &input).status {
            200 => Answer::json(200, self.shown_v2(&at)),
            _ => failed("update", "no"),
        }
    }

    fn timeline(&self, at: &(String, u64), child: &str, ask: &Ask) -> Answer {
        if child == "Followup" && !self.has("followup", 1 | 8192) {
            return Answer::json(200, json!([]));
        }
        let class = format!("ITIL{child}");
        let rows = self.children.iter().enumerate().filter(|(_, c)| c.0 == class && c.1 == *at);
        let rows = rows.map(|(n, c)| json!({"id": n, "itemtype": at.0, "items_id": at.1, "content": c.3}));
        let terms: Vec<&str> = ask.param("filter").split(';').filter(|t| !t.is_empty()).collect();
        let hits = rows.filter(|row| terms.iter().all(|term| holds(row, term)));
        Answer::json(200, hits.map(|row| json!({"type": child, "item": row})).collect())
    }

    fn say(&mut self, at: &(String, u64), child: &str, fields: &Json) -> Answer {
        for field in fields.as_object().expect("an object").keys() {
            let known = field == "content" || field == "is_private" && child == "Followup";
            assert!(known, "{field} is no property of a {child}");
        }
        let input = json!({"itemtype": at.0, "items_id": at.1, "content": fields["content"]});
        let closed = int(&self.items[at]["status"]) == 6;
        let made = match child {
            "Followup" if closed || !self.has("followup", 4 | 4096) => return denied(),
            "Followup" => self.add_followup(&input),
            "Solution" => self.add_solution(&input),
            other => panic!("no {other} is added"),
        };
        match made {
            Ok(id) => self.made(id, &format!("/Assistance/{}/{}/Timeline/{child}/{id}", at.0, at.1)),
            Err(words) => failed("create", &words),
        }
    }
}

fn property(term: &str) -> &str {
    term.split(['=', '!']).next().unwrap_or_default()
}

/// One comparison of RSQL.
fn holds(row: &Json, term: &str) -> bool {
    let property = property(term);
    let value = property.split('.').fold(row, |at, part| &at[part]);
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let rest = &term[property.len()..];
    let quoted = |v: &str| v.trim_matches('"').to_owned();
    if let Some(wanted) = rest.strip_prefix("=like=") {
        let wanted = quoted(wanted);
        let inner = wanted.strip_prefix('*').and_then(|w| w.strip_suffix('*')).expect("within the text");
        return text.contains(inner);
    }
    if let Some(group) = rest.strip_prefix("=out=") {
        let group = group.strip_prefix('(').and_then(|g| g.strip_suffix(')')).expect("a group");
        return !group.split(',').any(|v| v == text);
    }
    let wanted = rest.strip_prefix("==").unwrap_or_else(|| panic!("cannot compare by {rest}"));
    text == quoted(wanted)
}
