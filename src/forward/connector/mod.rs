//! What a connector is, and the table of all of them.
//!
//! A connector speaks the language of one kind of desk. It is pure: given the claimed jobs and everything
//! said so far ([`Exchange`]) it names the next request or the outcomes ([`Next`]). It never opens a socket,
//! waits, or sees a secret; the pump owns all that. So a conversation of several calls (find, create, read
//! back, link) is tested as a table.
//!
//! Invariants: `next` is deterministic (it is replayed from the start with one more exchange each time), it
//! yields one outcome per job in the order of the jobs, and it ends within [`MOST_EXCHANGES`].

pub mod classify;
pub mod desk;
pub mod rt;
mod talk;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value as Json;

use crate::engine::effect::{Job, Outcome};
use crate::engine::moment::Stamp;
use crate::engine::option::{DoorSpec, OptionKind, OptionSpec, Options};
use crate::engine::record::HostRef;

/// Every connector of this version.
pub const TABLE: &[Connector] = &[desk::CONNECTOR, rt::CONNECTOR];

/// The most requests one conversation may take; one that wants more is given up and repeated later.
pub const MOST_EXCHANGES: usize = 256;

/// One kind of destination.
pub struct Connector {
    /// Its name and options.
    pub door: DoorSpec,
    /// The most jobs in one conversation.
    pub batch: usize,
    /// The most conversations at the same time.
    pub concurrency: usize,
    /// The scheme before the token in the `Authorization` header.
    pub scheme: &'static str,
    /// A conversation without jobs that proves the destination fit, held before the first job and after a
    /// pause. No outcome means fit.
    pub hello: Option<fn(&Target, &[Exchange]) -> Next>,
    /// The request that carries a heartbeat; absent where the desk knows no heartbeats.
    pub heartbeat: Option<fn(&Target, &Json, Stamp) -> Request>,
    /// The next request or the outcomes.
    pub next: fn(&Target, &[Job], &[Exchange]) -> Next,
}

impl Connector {
    /// The connector of that kind.
    pub fn find(kind: &str) -> Option<&'static Connector> {
        TABLE.iter().find(|c| c.door.kind == kind)
    }
}

/// What a connector knows of its destination.
#[derive(Clone, Debug)]
pub struct Target {
    /// Destination id.
    pub id: String,
    /// The host all records come from.
    pub host: HostRef,
    /// The connector's options.
    pub options: Options,
}

/// What is to come of a conversation.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Send this and come back with the answer.
    Send(Request),
    /// The conversation is over.
    Done(Done),
}

/// The end of a conversation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Done {
    /// One outcome per job, in the order of the jobs.
    pub outcomes: Vec<Outcome>,
    /// The destination as a whole must stop, whatever became of these jobs.
    pub pause: Option<String>,
    /// Something that a person should mend, though nothing was lost: logged.
    pub warning: Option<String>,
}

impl From<Outcome> for Done {
    fn from(outcome: Outcome) -> Self {
        Self { outcomes: vec![outcome], ..Self::default() }
    }
}

/// HTTP methods that connectors use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Method {
    Get,
    Post,
    Put,
}

/// A request; URL and token are added by the pump.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Method.
    pub method: Method,
    /// Path and query, appended to the option `url`; begins with a slash.
    pub path: String,
    /// Headers beside `Authorization` and `User-Agent`.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Option<Json>,
    /// How long the pump waits before it sends this.
    pub after: Duration,
}

impl Request {
    /// A read.
    pub fn get(path: impl Into<String>) -> Self {
        let headers = vec![("accept", "application/json".to_owned())];
        Self { method: Method::Get, path: path.into(), headers, body: None, after: Duration::ZERO }
    }

    /// A write with a JSON body of the given content type.
    pub fn write(method: Method, path: impl Into<String>, content_type: &str, body: Json) -> Self {
        let mut request = Self { method, body: Some(body), ..Self::get(path) };
        request.headers.push(("content-type", content_type.to_owned()));
        request
    }

    /// The same, sent only after a while.
    #[must_use]
    pub fn later(self, after: Duration) -> Self {
        Self { after, ..self }
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// An answer, its body bounded by the pump.
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

/// Option of every HTTP connector: where.
pub const URL: OptionSpec =
    OptionSpec { key: "url", kind: OptionKind::RequiredText, about: "base address, https://host/path" };
/// Option of every HTTP connector: the token.
pub const TOKEN: OptionSpec = OptionSpec {
    key: "token",
    kind: OptionKind::RequiredSecret,
    about: "where the access token is read, anew each time it is needed",
};
/// Option of every HTTP connector: a proxy.
pub const PROXY: OptionSpec = OptionSpec {
    key: "proxy",
    kind: OptionKind::Text(None),
    about: "HTTP proxy for this destination; the environment's proxy variables are not obeyed",
};
/// Option of every HTTP connector: a private authority.
pub const CA: OptionSpec = OptionSpec {
    key: "ca",
    kind: OptionKind::Text(None),
    about: "PEM file of certificate authorities trusted beside the system's",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_unique_and_found() {
        for connector in TABLE {
            let same = TABLE.iter().filter(|c| c.door.kind == connector.door.kind).count();
            assert_eq!(same, 1, "{}", connector.door.kind);
            assert!(connector.batch >= 1 && connector.concurrency >= 1);
            let found = Connector::find(connector.door.kind).expect("stands in the table");
            assert_eq!(found.door.about, connector.door.about);
        }
        assert!(Connector::find("carrier-pigeon").is_none());
    }
}
