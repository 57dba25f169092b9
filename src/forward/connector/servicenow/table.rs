//! The Table API: queries, rows, and what a refusal says.
//!
//! ```text
//! GET   /api/now/table/T?sysparm_query=a=1^b=2^ORDERBYc&sysparm_fields=…&sysparm_limit=…   {"result":[{…}]}
//! GET   /api/now/table/T/SYS      POST /api/now/table/T      PATCH /api/now/table/T/SYS     {"result":{…}}
//! 4xx   {"error":{"message":"Operation Failed","detail":"ACL Exception Insert Failed …"},"status":"failure"}
//! ```
//! Everything is text. Rights act on what was found, so that rows and fields a user may not see are just
//! missing; `X-Total-Count` counts them all the same. A condition on a field that is not there is left out,
//! and all rows come back: whoever searches compares.

use serde_json::{Value as Json, json};

use super::super::classify::{Class, class, clip};
use super::super::request::{encode, loose};
use super::super::talk::Talk;
use super::super::tickets::{pause, refused};
use super::super::{Method, Next, Reply, Request};

/// The most rows that a search asks for.
pub const ROWS: usize = 10;

/// The longest sentence of the instance that is passed on, in bytes.
const QUOTE: usize = 300;

/// What a search found.
pub struct Page {
    /// Rows.
    pub rows: Vec<Json>,
    /// How many there are by the instance's count, those included that this user may not see.
    pub total: usize,
}

/// A search; `display`: each value comes with how people see it.
pub fn search(table: &str, query: &str, fields: &str, limit: usize, display: bool) -> Request {
    let form = if display { "&sysparm_display_value=all" } else { "" };
    Request::get(format!(
        "/api/now/table/{table}?sysparm_query={}&sysparm_fields={fields}&sysparm_limit={limit}\
         &sysparm_exclude_reference_link=true{form}",
        encode(query)
    ))
}

/// The rows that a search found.
///
/// # Errors
/// The end of the conversation when the table cannot be read at all.
pub fn rows(talk: &mut Talk, table: &str, request: Request) -> Result<Page, Next> {
    let reply = talk.ask(request)?;
    match class(reply.status) {
        Class::Success => {}
        // The first version of the API answered so when nothing was found.
        Class::Gone if told(reply).to_lowercase().contains("no record") => {
            return Ok(Page { rows: Vec::new(), total: 0 });
        }
        _ => return Err(pause(unreadable(table, reply))),
    }
    let Json::Array(rows) = result(reply) else { return Err(foreign(talk, reply)) };
    let counted = reply.header("x-total-count").and_then(|n| n.trim().parse().ok());
    Ok(Page { total: counted.unwrap_or(rows.len()), rows })
}

fn unreadable(table: &str, reply: &Reply) -> String {
    format!("table {table} cannot be read ({}): check its name and the roles of the user", told(reply))
}

/// A row by its sys_id; `None` when it is gone.
///
/// # Errors
/// The end of the conversation: also when the row is there and hidden, so that it is not made a second time.
pub fn row(talk: &mut Talk, table: &str, id: &str, fields: &str) -> Result<Option<Json>, Next> {
    let display = "sysparm_exclude_reference_link=true&sysparm_display_value=all";
    let path = format!("/api/now/table/{table}/{}?sysparm_fields={fields}&{display}", encode(id));
    let reply = talk.ask(Request::get(path))?;
    match class(reply.status) {
        Class::Success => return answer(talk, reply).map(Some),
        Class::Gone => {}
        Class::Denied => {
            return Err(refused(format!("{table} {id} is hidden from this user: {}", told(reply))));
        }
        _ => return Err(talk.give_up(reply, false)),
    }
    if !is_plain(id) {
        return Ok(None);
    }
    let page = rows(talk, table, search(table, &format!("sys_id={id}"), "sys_id", 1, false))?;
    if page.total > 0 && page.rows.len() < page.total && page.total < ROWS {
        return Err(refused(format!("{table} {id} is there and hidden from this user by an access control")));
    }
    Ok(None)
}

/// The row in an answer.
///
/// # Errors
/// The end of the conversation when something else has answered, such as a proxy: what was asked may not have
/// been done.
pub fn answer(talk: &Talk, reply: &Reply) -> Result<Json, Next> {
    match result(reply) {
        row @ Json::Object(_) => Ok(row),
        _ => Err(foreign(talk, reply)),
    }
}

/// What stands under `result`; null when nothing does.
fn result(reply: &Reply) -> Json {
    reply.json().get_mut("result").map(Json::take).unwrap_or_default()
}

fn foreign(talk: &Talk, reply: &Reply) -> Next {
    talk.retry(None, format!("the answer is not one of the Table API, check url and proxy: {}", told(reply)))
}

/// Writes a row.
pub fn write(
    method: Method,
    table: &str,
    id: Option<&str>,
    fields: &str,
    body: &[(String, String)],
) -> Request {
    let place = id.map_or(String::new(), |id| format!("/{}", encode(id)));
    let body: serde_json::Map<String, Json> = body.iter().map(|(k, v)| (k.clone(), json!(v))).collect();
    let form = "sysparm_exclude_reference_link=true";
    let path = format!("/api/now/table/{table}{place}?sysparm_fields={fields}&{form}");
    Request::json(method, path, Json::Object(body))
}

/// A value of a row, in each of the forms that the API has for it; empty when it is missing.
pub fn value(row: &Json, field: &str) -> String {
    match &row[field] {
        Json::Object(both) => both.get("value").map(loose).unwrap_or_default(),
        plain => loose(plain),
    }
}

/// How people see a value of a row that was asked for with its display values.
pub fn display(row: &Json, field: &str) -> Option<String> {
    let shown = match &row[field] {
        Json::Object(both) => both.get("display_value").map(loose).unwrap_or_default(),
        plain => loose(plain),
    };
    Some(shown).filter(|s| !s.is_empty())
}

/// A text that can stand in a query as it is: `^` would end the condition, `javascript:` would be carried
/// out.
pub fn is_plain(text: &str) -> bool {
    let bad = |c: char| c == '^' || c.is_control();
    !text.is_empty() && !text.chars().any(bad) && !text.to_lowercase().contains("javascript:")
}

/// What the instance says about a refusal, with its status.
pub fn told(reply: &Reply) -> String {
    let json = reply.json();
    let error = &json["error"];
    let parts = [loose(&error["message"]), loose(&error["detail"]), loose(error)];
    let parts: Vec<String> = parts.into_iter().filter(|p| !p.is_empty()).collect();
    if parts.is_empty() {
        return super::super::classify::sentence(reply);
    }
    let line = parts.join(": ").split_whitespace().collect::<Vec<_>>().join(" ");
    format!("HTTP {}: {}", reply.status, clip(&line, QUOTE))
}

/// Why a write was refused, as far as the words tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// An access control: the user lacks a role.
    Rights,
    /// A data policy: a mandatory field is missing.
    Policy,
    /// A business rule, or nobody knows.
    Other,
}

/// Sorts a refusal: ServiceNow answers 403 to rights, data policies and business rules alike.
pub fn refusal(reply: &Reply) -> Refusal {
    let words = told(reply).to_lowercase();
    if words.contains("data policy") || words.contains("mandatory") {
        Refusal::Policy
    } else if words.contains("business rule") {
        Refusal::Other
    } else if ["acl", "not authorized", "not authorised", "security constraints"]
        .iter()
        .any(|w| words.contains(w))
    {
        Refusal::Rights
    } else {
        Refusal::Other
    }
}
