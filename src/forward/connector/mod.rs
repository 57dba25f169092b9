//! What a connector is, and the table of all of them.
//!
//! A connector speaks the language of one kind of desk. It is pure: given the claimed jobs and everything
//! said so far ([`Exchange`]) it names the next request or the outcomes ([`Next`]). It never opens a socket,
//! waits, or sees a secret; the pump owns all that. So a conversation of several calls (find, create, read
//! back, link) is tested as a table.
//!
//! Invariants: `next` is deterministic (it is replayed from the start with one more exchange each time), it
//! yields one outcome per job in the order of the jobs, and it ends within [`MOST_EXCHANGES`].

pub mod alertmanager;
pub mod classify;
pub mod desk;
pub mod file;
#[cfg(test)]
pub(in crate::forward) mod fixture;
pub mod footer;
pub mod glpi;
pub mod itop;
pub mod jira;
pub mod login;
pub mod mail;
pub mod markup;
pub mod names;
pub mod nats;
pub mod opsgenie;
pub mod pagerduty;
pub mod request;
pub mod rt;
pub mod servicenow;
pub mod servicenow_event;
pub mod servicenow_import;
pub mod syslog;
pub mod talk;
pub mod text;
pub mod tickets;
pub mod times;
pub mod told;
pub mod wanted;
pub mod webhook;
pub mod zammad;
pub mod znuny;

use serde_json::Value as Json;

use crate::engine::effect::{Held, Job, Outcome, Remote};
use crate::engine::moment::Stamp;
use crate::engine::option::{DoorSpec, Options};
use crate::engine::record::HostRef;
pub use login::{CA, CLIENT_CERTIFICATE, CLIENT_KEY, Login, MAP, PROXY, TOKEN, URL};
pub use request::{Body, Exchange, Failure, Method, Place, Reply, Request, Slot};

/// Every connector of this version.
pub const TABLE: &[Connector] = &[
    alertmanager::CONNECTOR,
    desk::CONNECTOR,
    file::CONNECTOR,
    glpi::CONNECTOR,
    itop::CONNECTOR,
    jira::CONNECTOR,
    mail::CONNECTOR,
    nats::CONNECTOR,
    opsgenie::CONNECTOR,
    pagerduty::CONNECTOR,
    rt::CONNECTOR,
    servicenow::CONNECTOR,
    servicenow_event::CONNECTOR,
    servicenow_import::CONNECTOR,
    syslog::CONNECTOR,
    webhook::CONNECTOR,
    zammad::CONNECTOR,
    znuny::CONNECTOR,
];

/// The most requests one conversation may take; one that wants more is given up and repeated later.
pub const MOST_EXCHANGES: usize = 256;

/// The most bytes of answers that one conversation may hold; one that wants more is given up and repeated
/// later, a reading with fewer records.
pub const MOST_BYTES: usize = 8 << 20;

/// What carries a connector's requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireKind {
    /// HTTP/1.1 or 2, with TLS, proxy and login.
    Http,
    /// The same within a session that the login opens; without one where the login is an access token.
    Session(&'static Session),
    /// A file of lines.
    File,
    /// Syslog by TLS, TCP, UDP or the local socket.
    Syslog,
    /// NATS JetStream: many messages per request.
    Nats,
    /// SMTP: one mail per request.
    Smtp,
}

/// A session that a product wants to be opened first.
#[derive(Debug, PartialEq, Eq)]
pub struct Session {
    /// Path of the `GET` that opens it.
    pub path: &'static str,
    /// Where the answer holds its token (RFC 6901).
    pub token: &'static str,
    /// The header that carries the token from then on; lower-case.
    pub header: &'static str,
    /// What the opening request carries beside the login.
    pub slots: &'static [Slot],
}

/// The option under which a connector finds the priorities that go into a digest (`P4`, …); set by the pump
/// from the destination's plan.
pub const DIGEST: &str = "digest";

/// Asks for the state of records at the far end.
pub type ReadBack = fn(&Target, &[Held], &[Exchange]) -> Next;

/// One kind of destination.
pub struct Connector {
    /// Its name and options.
    pub door: DoorSpec,
    /// What carries its requests.
    pub wire: WireKind,
    /// The ways to log in, the preferred first; empty where none is needed or the connector places secrets
    /// itself.
    pub logins: &'static [Login],
    /// The most jobs in one conversation.
    pub batch: usize,
    /// The most conversations at the same time.
    pub concurrency: usize,
    /// A conversation without jobs that proves the destination fit, held before the first job and after a
    /// pause: rights, required fields, choices. No outcome means fit.
    pub hello: Option<fn(&Target, &[Exchange]) -> Next>,
    /// The request that carries a heartbeat; absent where the desk knows no heartbeats.
    pub heartbeat: Option<fn(&Target, &Json, Stamp) -> Request>,
    /// The next request or the outcomes.
    pub next: fn(&Target, &[Job], &[Exchange]) -> Next,
    /// Reads back what people did to these records; the end is [`Done::remotes`]. Absent where nobody works
    /// on them or nothing can be read.
    pub read: Option<ReadBack>,
    /// The most records of one reading.
    pub read_batch: usize,
}

impl Connector {
    /// The connector of that kind.
    pub fn find(kind: &str) -> Option<&'static Connector> {
        TABLE.iter().find(|c| c.door.kind == kind)
    }

    /// Alert desks know no records, only alerts by key, which all episodes of a condition share: the end of
    /// one must not come after the beginning of the next. Alertmanager asks for what fires instead.
    pub fn is_by_alert(&self) -> bool {
        matches!(self.door.kind, "opsgenie" | "pagerduty" | "servicenow-event")
    }

    /// The most jobs in one conversation of a destination with these options: mails go one by one, unless
    /// several go in one.
    pub fn batch(&self, options: &Options) -> usize {
        if self.wire == WireKind::Smtp && options.list(DIGEST).is_empty() { 1 } else { self.batch.max(1) }
    }
}

/// What a connector knows of its destination.
#[derive(Clone, Debug)]
pub struct Target {
    /// Destination id.
    pub id: String,
    /// The host all records come from.
    pub host: HostRef,
    /// When this host's store began: tickets of records minted before are from a lost store, and are adopted
    /// by their alert key.
    pub born: Stamp,
    /// The connector's options.
    pub options: Options,
}

/// What is to come of a conversation.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Send this and come back with the answer.
    Send(Box<Request>),
    /// The conversation is over.
    Done(Done),
}

impl Next {
    /// Send this.
    pub fn send(request: Request) -> Self {
        Self::Send(Box::new(request))
    }
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
    /// What was read back, for [`Connector::read`].
    pub remotes: Vec<Remote>,
    /// Records whose ticket was looked for and is not there, for [`Connector::read`]. What a person deleted
    /// and the product still shows is a cancelled one instead.
    pub gone: Vec<String>,
}

impl From<Outcome> for Done {
    fn from(outcome: Outcome) -> Self {
        Self { outcomes: vec![outcome], ..Self::default() }
    }
}

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
