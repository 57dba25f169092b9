//! What a connector says and hears: requests without address and secrets, answers with bounded bodies.
//!
//! A request names secrets by the option that refers to them ([`Slot`]); the wire reads and places them when
//! it sends, so that no connector, log or saved row ever holds one.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value as Json;

/// Methods of HTTP that connectors use; wires that are not HTTP take them as read and write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

/// The body of a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Body {
    /// No body.
    #[default]
    None,
    /// JSON.
    Json(Json),
    /// Text as it is: a rendered template, a mail, a line.
    Text(String),
    /// `application/x-www-form-urlencoded`.
    Form(Vec<(Cow<'static, str>, String)>),
}

/// Where a secret goes when the request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The option that refers to the secret; a slot whose option is not set stays empty.
    pub option: &'static str,
    /// Where to.
    pub place: Place,
}

/// Place of a secret in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A header, after a prefix such as `token `.
    Header {
        /// Lower-case name.
        name: &'static str,
        /// What stands before the secret.
        prefix: &'static str,
    },
    /// A member of the JSON body, by JSON pointer (RFC 6901); its parents must exist.
    Json(&'static str),
    /// A field of the form.
    Form(&'static str),
    /// Behind the path, as some products' addresses for incoming messages have it.
    Path,
    /// Signs the body by Standard Webhooks: adds `webhook-timestamp` and `webhook-signature`; `webhook-id`
    /// must be among the headers.
    Signature,
}

/// A request; address, login and secrets are added by the wire.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Method.
    pub method: Method,
    /// Another base address than the option `url`: the second server of a cluster.
    pub base: Option<String>,
    /// Path and query, appended to the base; begins with a slash.
    pub path: String,
    /// Headers beside login and `User-Agent`; names in lower case.
    pub headers: Vec<(Cow<'static, str>, String)>,
    /// The body.
    pub body: Body,
    /// Secrets to be placed.
    pub secrets: Vec<Slot>,
    /// The destination's login is added.
    pub login: bool,
    /// How long the pump waits before it sends this.
    pub after: Duration,
}

impl Request {
    /// A read.
    pub fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::Get,
            base: None,
            path: path.into(),
            headers: vec![(Cow::Borrowed("accept"), "application/json".to_owned())],
            body: Body::None,
            secrets: Vec::new(),
            login: true,
            after: Duration::ZERO,
        }
    }

    /// A write with a JSON body of the given content type.
    pub fn write(method: Method, path: impl Into<String>, content_type: &str, body: Json) -> Self {
        let request = Self { method, body: Body::Json(body), ..Self::get(path) };
        request.with("content-type", content_type)
    }

    /// A write with `application/json`.
    pub fn json(method: Method, path: impl Into<String>, body: Json) -> Self {
        Self::write(method, path, "application/json", body)
    }

    /// A form.
    pub fn form(path: impl Into<String>, fields: Vec<(Cow<'static, str>, String)>) -> Self {
        let request = Self { method: Method::Post, body: Body::Form(fields), ..Self::get(path) };
        request.with("content-type", "application/x-www-form-urlencoded")
    }

    /// The same, sent only after a while.
    #[must_use]
    pub fn later(self, after: Duration) -> Self {
        Self { after, ..self }
    }

    /// The same, to another server.
    #[must_use]
    pub fn to(self, base: impl Into<String>) -> Self {
        Self { base: Some(base.into()), ..self }
    }

    /// The same without the destination's login.
    #[must_use]
    pub fn anonymous(self) -> Self {
        Self { login: false, ..self }
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Adds a secret.
    #[must_use]
    pub fn secret(mut self, option: &'static str, place: Place) -> Self {
        self.secrets.push(Slot { option, place });
        self
    }

    /// True when it changes something at the far end. A search by `POST` is marked with
    /// [`Request::reading`].
    pub fn is_write(&self) -> bool {
        self.method != Method::Get && !self.headers.iter().any(|(n, _)| n == READING)
    }

    /// Marks a `POST` that only reads; the mark is not sent.
    #[must_use]
    pub fn reading(self) -> Self {
        self.with(READING, "")
    }

    /// The JSON body; null when it has none.
    pub fn json_body(&self) -> &Json {
        match &self.body {
            Body::Json(json) => json,
            _ => &Json::Null,
        }
    }

    /// A header that was set.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// The mark of [`Request::reading`]; wires leave it out.
pub const READING: &str = "x-sexton-reading";

/// An answer, its body bounded by the wire. A wire that is not HTTP answers with the HTTP status of the same
/// meaning and its own words in the body.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers by lower-case name; the last of several wins.
    pub headers: BTreeMap<String, String>,
    /// The body; cut at the bound when the status is no success.
    pub body: Vec<u8>,
    /// `Retry-After`, both forms, as a time from now, capped.
    pub retry_after: Option<Duration>,
}

impl Reply {
    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap_or(Json::Null)
    }

    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// No answer, or none that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The request may have reached the far end and may have been carried out.
    pub sent: bool,
    /// Why.
    pub reason: String,
}

/// A request with what came back.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchange {
    /// What was sent.
    pub request: Request,
    /// What came back.
    pub result: Result<Reply, Failure>,
}

/// Percent-encodes a value of a path or query (RFC 3986: all but the unreserved characters).
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// A text of JSON that far ends write as string or number; empty for anything else.
pub fn loose(json: &Json) -> String {
    match json {
        Json::String(s) => s.clone(),
        Json::Number(n) => n.to_string(),
        _ => String::new(),
    }
}
