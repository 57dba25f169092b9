//! The harness for servers that behave as a documented product does.
//!
//! A product is a [`Desk`]: its state in memory, a function from request to answer, what its tickets look
//! like to a person, and what a person can do there. Everything else any product gets for free: an HTTP
//! server with a fault layer in front (`server`), a host with the real pump on the real store that can be
//! killed at any moment (`host`), and the suite (`suite`): many seeded episodes under faults, compared with
//! the truth at the end, and the stories every ticket desk must stand (people's work read back, a lost store,
//! a ticket deleted or closed for good behind our back, an installation that is not fit).
//!
//! ```text
//! truth ─► store ─► pump ─► connector ─► HTTP ─► fault layer ─► Desk ─► tickets() compared with the truth
//! ```

#[path = "world/host.rs"]
pub mod host;
#[path = "world/records.rs"]
pub mod records;
#[path = "world/server.rs"]
pub mod server;
#[path = "world/suite.rs"]
pub mod suite;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value as Json, json};
use sexton::engine::effect::{RecordKind, Stage};

pub use host::{Base, Product, World};
pub use suite::{
    Acted, Plan, Unfit, adopts_after_a_lost_store, alert_read_back, closed_for_good, deleted_behind_our_back,
    episodes, is_fit, noticed_when_gone, read_back, suite,
};

/// A request as a product sees it.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Since the server began: what lags or expires is measured by it.
    pub at: Duration,
    /// `GET`, `POST`, …
    pub method: String,
    /// The path, percent-decoded, without the query.
    pub path: String,
    /// The query, decoded, in order.
    pub query: Vec<(String, String)>,
    /// Headers by lower-case name.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Ask {
    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap_or(Json::Null)
    }

    /// The first value of that name in the query; empty when absent.
    pub fn param(&self, name: &str) -> &str {
        self.query.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
    }

    /// A header; empty when absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// Method and the parts of the path: `("GET", ["tickets", "7"])`.
    pub fn parts(&self) -> (&str, Vec<&str>) {
        (&self.method, self.path.split('/').filter(|p| !p.is_empty()).collect())
    }

    /// The fields of a form (`application/x-www-form-urlencoded`).
    pub fn form(&self) -> Vec<(String, String)> {
        server::pairs(&String::from_utf8_lossy(&self.body))
    }
}

/// An answer of a product.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers beside `content-length`.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// JSON.
    pub fn json(status: u16, body: Json) -> Self {
        let kind = ("content-type".to_owned(), "application/json".to_owned());
        Self { status, headers: vec![kind], body: body.to_string().into_bytes() }
    }

    /// Text.
    pub fn text(status: u16, body: &str) -> Self {
        Self { status, headers: Vec::new(), body: body.as_bytes().to_vec() }
    }

    /// The same with a header more.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// JSON of the form `{"error": …}`.
    pub fn error(status: u16, why: &str) -> Self {
        Self::json(status, json!({ "error": why }))
    }
}

/// What a person sees of a ticket.
#[derive(Clone, Debug)]
pub struct View {
    /// The product's id.
    pub id: String,
    /// The record key it carries; empty when none.
    pub key: String,
    /// What the product takes it for; `None` where it does not tell incidents from problems.
    pub kind: Option<RecordKind>,
    /// Where it stands, in our words.
    pub stage: Stage,
    /// Everything written on it after it was made, oldest first.
    pub comments: Vec<String>,
    /// Ids of the problem's tickets it is tied to.
    pub parents: Vec<String>,
    /// Who works on it; empty when nobody.
    pub assignee: String,
    /// Its subject.
    pub subject: String,
    /// Its priority, in the product's words.
    pub priority: String,
}

/// What a person does at the desk, as user `alice`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Takes note of it.
    Acknowledge,
    /// Gives it to that user.
    Assign(&'static str),
    /// Lets it wait, for that reason.
    Hold(&'static str),
    /// Restored, with that explanation.
    Resolve(&'static str),
    /// Ends it for good.
    Close,
    /// Rejects it.
    Cancel,
    /// Opens it again.
    Reopen,
    /// Deletes it.
    Delete,
}

/// A product: its state and its behaviour.
pub trait Desk: Send + 'static {
    /// Answers one request, carrying it out.
    fn handle(&mut self, ask: &Ask) -> Answer;
    /// All tickets that are not deleted, the oldest first.
    fn tickets(&self) -> Vec<View>;
    /// A person at the desk does this to that ticket. Panics when the product cannot do it.
    fn act(&mut self, ticket: &str, act: Act);
}

/// Random numbers from a seed (splitmix64).
#[derive(Clone, Debug)]
pub struct Dice(pub u64);

impl Dice {
    /// A number below that bound.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }

    /// True in that many of a thousand cases.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }
}
