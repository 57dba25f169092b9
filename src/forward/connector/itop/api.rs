//! The REST/JSON services of iTop: how an operation is asked, and what an answer means.
//!
//! ```text
//! POST {url}/webservices/rest.php?version=1.3   json_data={"operation":…}   [auth_user=…&auth_pwd=…]
//! 200 {"code":0,"message":"","objects":{"Incident::12":{"code":0,"key":"12","fields":{…}}}}
//! ```
//! HTTP says 200 whatever happened. Code 0 is done; 1 to 13 speak of login, rights and service; 100 is
//! everything else, a wrong value as well as a database that is away, so that its words decide.

use serde_json::{Value as Json, json};

use super::super::classify::{Class, class, clip, sentence};
use super::super::request::loose;
use super::super::talk::Talk;
use super::super::tickets::{pause, refused};
use super::super::{Next, Place, Request, Target};

/// Where the service is; 1.3 is spoken since iTop 2.2.
const PATH: &str = "/webservices/rest.php?version=1.3";
/// The most bytes of iTop's words that are quoted.
const WORDS: usize = 240;
/// Attempts after which words that we do not know are taken for a refusal.
pub const ATTEMPTS: u32 = 8;

/// Words of code 100 that speak of the moment: something may have been carried out.
const AWAY: &[&str] = &[
    "mysql",
    "mariadb",
    "gone away",
    "deadlock",
    "lock wait",
    "too many connections",
    "connection",
    "maintenance",
    "read-only mode",
    "timeout",
    "timed out",
    "concurrent",
];
/// Words of code 100 that will be the same next time: nothing was carried out.
const FINAL: &[&str] = &[
    "no item found",
    "several items found",
    "missing mandatory",
    "invalid stimulus",
    "unknown class",
    "unknown attribute",
    "invalid attribute",
    "not a valid class",
    "is not valid",
    "invalid value",
    "unexpected value",
    "value not allowed",
    "null not allowed",
    "string too long",
    "wrong format",
    "query failed",
    "missing parameter",
    "target object not found",
    "uniqueness",
    "read-only attribute",
    "read only attribute",
];

/// An object of an answer.
#[derive(Clone, Debug)]
pub struct Object {
    /// Its id.
    pub key: u64,
    /// Its attributes.
    pub fields: Json,
}

/// What iTop does not want, in its words.
#[derive(Clone, Debug)]
pub struct Refusal(pub String);

impl Refusal {
    /// True when its words contain these, in lower case.
    pub fn says(&self, words: &str) -> bool {
        self.0.to_lowercase().contains(words)
    }
}

/// One iTop.
pub struct Api<'a> {
    /// The destination.
    pub target: &'a Target,
    /// Attempts at the present job so far.
    pub attempts: u32,
}

impl Api<'_> {
    /// Objects that this OQL finds, the oldest first.
    pub fn get(
        &self,
        talk: &mut Talk,
        class: &str,
        oql: &str,
        fields: &str,
    ) -> Result<Result<Vec<Object>, Refusal>, Next> {
        let operation = json!({"operation": "core/get", "class": class, "key": oql, "output_fields": fields});
        self.ask(talk, &operation, false)
    }

    /// Creates an object.
    pub fn create(
        &self,
        talk: &mut Talk,
        class: &str,
        fields: Json,
        comment: &str,
    ) -> Result<Result<Vec<Object>, Refusal>, Next> {
        let operation = json!({"operation": "core/create", "class": class, "comment": comment,
            "output_fields": "id", "fields": fields});
        self.ask(talk, &operation, true)
    }

    /// Changes an object; `stimulus` moves it along its life cycle.
    pub fn change(
        &self,
        talk: &mut Talk,
        (class, id): (&str, &str),
        stimulus: Option<&str>,
        fields: Json,
        comment: &str,
    ) -> Result<Result<Vec<Object>, Refusal>, Next> {
        let mut operation = json!({"operation": "core/update", "class": class, "comment": comment,
            "key": number(id), "output_fields": "id,status", "fields": fields});
        if let Some(stimulus) = stimulus {
            operation["operation"] = json!("core/apply_stimulus");
            operation["stimulus"] = json!(stimulus);
        }
        self.ask(talk, &operation, true)
    }

    fn ask(
        &self,
        talk: &mut Talk,
        operation: &Json,
        write: bool,
    ) -> Result<Result<Vec<Object>, Refusal>, Next> {
        let before = talk.standing();
        let reply = talk.ask(self.request(operation, write))?;
        match class(reply.status) {
            Class::Success => {}
            Class::Gone => {
                return Err(pause(format!("{}: no iTop at this url", sentence(reply))));
            }
            _ => return Err(talk.give_up(reply, write)),
        }
        let json = reply.json();
        let Some(code) = json["code"].as_i64() else {
            let reason = format!("iTop answered something that is no JSON: {}", sentence(reply));
            return Err(talk.retry(None, reason));
        };
        let words = words(&json["message"]);
        match code {
            0 => {
                let objects = objects(&json);
                if write && objects.is_empty() {
                    return Err(talk.retry(None, format!("iTop did nothing and does not say why: {words}")));
                }
                Ok(Ok(objects))
            }
            // A right on one class; the others may do.
            1 if words.contains("enough permissions") => {
                talk.nothing_done(before);
                Ok(Err(Refusal(words)))
            }
            1..=99 => {
                talk.nothing_done(before);
                let hint = match code {
                    1 if words.contains("not authorized") => {
                        "; the account needs the profile REST Services User".to_owned()
                    }
                    1 => format!("; logged in by {}", super::told(&self.target.options)),
                    _ => String::new(),
                };
                Err(pause(format!("iTop refuses (code {code}): {words}{hint}")))
            }
            _ => {
                let low = words.to_lowercase();
                let among = |list: &[&str]| list.iter().any(|w| low.contains(w));
                if among(FINAL) && !among(AWAY) {
                    talk.nothing_done(before);
                    return Ok(Err(Refusal(words)));
                }
                if among(AWAY) || self.attempts < ATTEMPTS {
                    return Err(talk.retry(None, format!("iTop: {words}")));
                }
                Err(refused(format!("iTop, after {} attempts: {words}", self.attempts)))
            }
        }
    }

    /// The operation as a form. User and password stand in the form too: web servers tend to keep the header
    /// `Authorization` to themselves.
    fn request(&self, operation: &Json, write: bool) -> Request {
        let mut fields = vec![("json_data".into(), operation.to_string())];
        let options = &self.target.options;
        let in_form = options.secret("token").is_none() && options.text("auth") != "basic";
        if in_form {
            fields.push(("auth_user".into(), options.text("user").to_owned()));
        }
        let request = Request::form(PATH, fields);
        let request = if write { request } else { request.reading() };
        if in_form { request.anonymous().secret("password", Place::Form("auth_pwd")) } else { request }
    }
}

/// An id as iTop wants it: a number. Text would be taken for OQL.
fn number(id: &str) -> Json {
    json!(id.parse::<u64>().unwrap_or(0))
}

/// A text inside OQL.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// The same as a part of a `LIKE`.
pub fn like(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    quoted(&format!("%{text}%"))
}

fn objects(json: &Json) -> Vec<Object> {
    let all = json["objects"].as_object().into_iter().flat_map(|o| o.values());
    let object = |o: &Json| Some(Object { key: loose(&o["key"]).parse().ok()?, fields: o["fields"].clone() });
    let mut objects: Vec<Object> = all.filter_map(object).collect();
    objects.sort_by_key(|o| o.key);
    objects
}

fn words(message: &Json) -> String {
    let line = loose(message).split_whitespace().collect::<Vec<_>>().join(" ");
    let line: String = line.chars().filter(|c| !c.is_control()).collect();
    clip(line.strip_prefix("Error: ").unwrap_or(&line), WORDS)
}
