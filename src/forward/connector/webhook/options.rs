//! What may be set for a webhook, and how the options are read.

use std::collections::BTreeSet;

use super::super::login::{
    ANY_TOKEN, BEARER, CA, CLIENT_CERTIFICATE, CLIENT_KEY, Login, OAUTH_CLIENT, OAUTH_SCOPE, OAUTH_SECRET,
    OAUTH_STYLE, OAUTH_URL, PASSWORD, PROXY, URL, USER,
};
use super::super::{Method, Target};
use crate::engine::effect::{Operation, RecordKind};
use crate::engine::option::{OptionKind, OptionSpec, OptionValue, Options};

/// A key in the header that many products name so; `api_key_header` and `api_key_prefix` say otherwise.
const API_KEY: Login = Login::Secret { option: "api_key", header: "x-api-key", prefix: "" };

/// All of them may be left out: a receiver can also trust the signature or the network.
pub const LOGINS: &[Login] =
    &[BEARER, API_KEY, Login::Basic, Login::OAuth2, Login::Certificate, Login::Anonymous];

const fn text(key: &'static str, default: Option<&'static str>, about: &'static str) -> OptionSpec {
    OptionSpec { key, kind: OptionKind::Text(default), about }
}

const fn table(key: &'static str, about: &'static str) -> OptionSpec {
    OptionSpec { key, kind: OptionKind::Map, about }
}

/// Everything that may be set.
pub const OPTIONS: &[OptionSpec] = &[
    URL,
    text("path", Some(""), "path behind url, a template: \"/tickets/{{ remote_id }}\""),
    table("paths", "path by operation: update = \"/tickets/{{ remote_id }}\""),
    OptionSpec {
        key: "method",
        kind: OptionKind::Choice(&["POST", "PUT", "PATCH", "DELETE"]),
        about: "HTTP method",
    },
    table("methods", "method by operation: update = \"PATCH\""),
    OptionSpec {
        key: "batch",
        kind: OptionKind::Bool(false),
        about: "CloudEvents in batches: only where the receiver asks for them",
    },
    OptionSpec {
        key: "secret",
        kind: OptionKind::Secret,
        about: "where the secret of the Standard Webhooks signature is read (whsec_…)",
    },
    OptionSpec {
        key: "url_secret",
        kind: OptionKind::Secret,
        about: "where a secret last part of the address is read, which stands behind the path",
    },
    text("template", None, "template of the body, in place of CloudEvents"),
    OptionSpec {
        key: "template_file",
        kind: OptionKind::FileText,
        about: "file that holds the template of the body, by its absolute path",
    },
    table("templates", "template by operation; an empty one: not sent"),
    text("content_type", Some("application/json"), "content type of what the template renders"),
    table("headers", "further headers, each a template"),
    OptionSpec {
        key: "success",
        kind: OptionKind::List(&[]),
        about: "answers that mean stored, [\"200\", \"409\"]; empty: 200 to 299",
    },
    text("fault", None, "JSON pointer: a success with something there is a refusal"),
    text(
        "remote_id",
        None,
        "JSON pointer to the id in the answer, or \"location\" for that header's last part",
    ),
    ANY_TOKEN,
    OptionSpec {
        key: "api_key",
        kind: OptionKind::Secret,
        about: "where the key for the header api_key_header is read",
    },
    text("api_key_header", Some("x-api-key"), "name of the header that carries api_key"),
    text("api_key_prefix", Some(""), "what stands there before api_key: \"GenieKey\", \"Token token=\""),
    USER,
    PASSWORD,
    OAUTH_URL,
    OAUTH_CLIENT,
    OAUTH_SECRET,
    OAUTH_SCOPE,
    OAUTH_STYLE,
    CLIENT_CERTIFICATE,
    CLIENT_KEY,
    PROXY,
    CA,
];

/// Headers that are not the user's to set.
const RESERVED: &[&str] = &[
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "host",
    "idempotency-key",
    "transfer-encoding",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
];

const KINDS: [RecordKind; 3] = [RecordKind::Incident, RecordKind::Problem, RecordKind::Link];
const OPERATIONS: [Operation; 5] =
    [Operation::Create, Operation::Update, Operation::Resolve, Operation::Reopen, Operation::Link];

/// The word of a kind of record.
pub fn kind_word(kind: RecordKind) -> &'static str {
    match kind {
        RecordKind::Incident => "incident",
        RecordKind::Problem => "problem",
        RecordKind::Link => "link",
    }
}

/// The word of an operation.
pub fn operation_word(operation: Operation) -> &'static str {
    match operation {
        Operation::Create => "create",
        Operation::Update => "update",
        Operation::Resolve => "resolve",
        Operation::Reopen => "reopen",
        Operation::Link => "link",
    }
}

/// The options of one destination.
#[derive(Clone, Copy)]
pub struct Map<'a> {
    options: &'a Options,
}

impl<'a> Map<'a> {
    /// Of that destination.
    pub fn of(target: &'a Target) -> Self {
        Self { options: &target.options }
    }

    /// Of these options.
    pub fn from(options: &'a Options) -> Self {
        Self { options }
    }

    /// What is written for this operation: `problem.create` goes before `create`.
    fn chosen(&self, table: &str, kind: RecordKind, operation: Operation) -> Option<&'a str> {
        let word = operation_word(operation);
        let exact = format!("{}.{word}", kind_word(kind));
        self.options.mapped(table, &exact).or_else(|| self.options.mapped(table, word))
    }

    /// Bodies are CloudEvents.
    pub fn is_events(&self) -> bool {
        let none = |key: &str| self.options.text(key).is_empty();
        none("template") && none("template_file") && self.is_empty("templates")
    }

    fn is_empty(&self, table: &str) -> bool {
        !matches!(self.options.0.get(table), Some(OptionValue::Map(m)) if !m.is_empty())
    }

    /// Events go in batches.
    pub fn batch(&self) -> bool {
        self.options.bool("batch")
    }

    /// The template of this operation with its name; `None`: it is not sent. Links go only where a template
    /// is meant for them.
    pub fn template(&self, kind: RecordKind, operation: Operation) -> Option<(&'static str, &'a str)> {
        let common = || match (self.options.text("template"), self.options.text("template_file")) {
            _ if kind == RecordKind::Link => None,
            ("", file) => Some(("template_file", file)),
            (inline, _) => Some(("template", inline)),
        };
        let chosen = self.chosen("templates", kind, operation).map(|t| ("templates", t));
        chosen.or_else(common).filter(|(_, source)| !source.trim().is_empty())
    }

    /// The template of the path.
    pub fn path(&self, kind: RecordKind, operation: Operation) -> &'a str {
        self.chosen("paths", kind, operation).unwrap_or(self.options.text("path"))
    }

    /// The method.
    pub fn method(&self, kind: RecordKind, operation: Operation) -> Method {
        let word = self.chosen("methods", kind, operation).unwrap_or(self.options.text("method"));
        method(word).unwrap_or(Method::Post)
    }

    /// Content type of what templates render.
    pub fn content_type(&self) -> &'a str {
        self.options.text("content_type")
    }

    /// Further headers: lower-case name and template.
    pub fn headers(&self) -> impl Iterator<Item = (String, &'a str)> {
        let map = match self.options.0.get("headers") {
            Some(OptionValue::Map(map)) => Some(map),
            _ => None,
        };
        map.into_iter().flatten().map(|(name, value)| (name.to_ascii_lowercase(), value.as_str()))
    }

    /// This status means that it was stored.
    pub fn is_success(&self, status: u16) -> bool {
        match self.options.list("success") {
            [] => (200..300).contains(&status),
            listed => listed.iter().any(|s| s.parse() == Ok(status)),
        }
    }

    /// A success may come as a web page: the statuses that mean success were named by hand.
    pub fn trusts_pages(&self) -> bool {
        !self.options.list("success").is_empty()
    }

    /// Where a refusal shows in the answer; empty when nowhere.
    pub fn fault(&self) -> &'a str {
        self.options.text("fault")
    }

    /// Where the id stands in the answer; empty when nowhere.
    pub fn id(&self) -> &'a str {
        self.options.text("remote_id")
    }
}

fn method(word: &str) -> Option<Method> {
    Some(match word {
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "PATCH" => Method::Patch,
        "DELETE" => Method::Delete,
        _ => return None,
    })
}

/// What the options must satisfy together; templates are tried elsewhere.
///
/// # Errors
/// A sentence about the first that is wrong.
pub fn check(options: &Options) -> Result<(), String> {
    Login::choose(LOGINS, options)?;
    let map = Map::from(options);
    if map.batch() && !map.is_events() {
        return Err("batch is for CloudEvents: leave it out beside a template".to_owned());
    }
    if !options.text("template").is_empty() && !options.text("template_file").is_empty() {
        return Err("set template or template_file, not both".to_owned());
    }
    if options.secret("secret").is_some() && map.headers().any(|(name, _)| name.starts_with("webhook-")) {
        return Err("headers: webhook-* are the signature's".to_owned());
    }
    operations(options)?;
    api_key(options, &map)?;
    if let Some((name, _)) =
        map.headers().find(|(name, _)| !is_token(name) || RESERVED.contains(&name.as_str()))
    {
        return Err(format!("headers: '{name}' cannot be set here"));
    }
    for status in options.list("success") {
        if !status.parse().is_ok_and(|s: u16| (100..600).contains(&s)) {
            return Err(format!("success: '{status}' is no HTTP status"));
        }
    }
    for (key, value) in [("fault", map.fault()), ("remote_id", map.id())] {
        let pointer =
            value.starts_with('/') || value.is_empty() || (key == "remote_id" && value == "location");
        if !pointer {
            return Err(format!("{key}: '{value}' is no JSON pointer: it begins with a slash"));
        }
    }
    Ok(())
}

/// The header of the key: `authorization` may be one, those that we write ourselves may not.
fn api_key(options: &Options, map: &Map) -> Result<(), String> {
    let (name, prefix) = (options.text("api_key_header"), options.text("api_key_prefix"));
    let name = if name.is_empty() { "x-api-key".to_owned() } else { name.to_ascii_lowercase() };
    if !is_token(&name) || name != "authorization" && RESERVED.contains(&name.as_str()) {
        return Err(format!("api_key_header: '{name}' cannot be set here"));
    }
    if !prefix.chars().all(|c| (' '..='~').contains(&c)) {
        return Err("api_key_prefix: holds characters that a header cannot carry".to_owned());
    }
    let without_key = options.secret("api_key").is_none();
    let named = name != "x-api-key" || !prefix.is_empty();
    if without_key && named {
        return Err("api_key is missing beside api_key_header or api_key_prefix".to_owned());
    }
    if !without_key && map.headers().any(|(other, _)| other == name) {
        return Err(format!("headers: '{name}' is that of api_key"));
    }
    let Ok(login) = Login::choose(LOGINS, options) else { return Ok(()) };
    if !without_key && login != API_KEY {
        return Err("api_key beside token: set one of them".to_owned());
    }
    Ok(())
}

/// Keys of tables that go by operation, and the methods in them.
fn operations(options: &Options) -> Result<(), String> {
    let words: BTreeSet<String> = OPERATIONS.iter().map(|o| operation_word(*o).to_owned()).collect();
    let exact = KINDS.iter().flat_map(|k| words.iter().map(move |w| format!("{}.{w}", kind_word(*k))));
    let known: BTreeSet<String> = exact.chain(words.iter().cloned()).collect();
    for table in ["templates", "paths", "methods"] {
        let Some(OptionValue::Map(map)) = options.0.get(table) else { continue };
        if let Some(key) = map.keys().find(|key| !known.contains(*key)) {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            return Err(format!(
                "{table}: '{key}' is no operation; there are {}, each also as incident.… or problem.…",
                words.join(", ")
            ));
        }
        if let Some(word) = map.values().find(|word| table == "methods" && method(word).is_none()) {
            return Err(format!("methods: '{word}' is none of POST, PUT, PATCH, DELETE"));
        }
    }
    Ok(())
}

fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}
