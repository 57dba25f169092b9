//! Connector `rt`: Request Tracker 5, REST 2.0.
//!
//! An incident is a ticket in one queue, a problem candidate a ticket in another, a link makes the incident's
//! ticket a member of the problem's. RT offers no idempotency, so each step is found, done and read back:
//! ```text
//! create   [find by key, when repeated; again after 3 s, when a lost attempt may still be running;
//!          when there is none: does the queue still have the field?]
//!          → POST /ticket → GET, compare the key → [find again, adopt the oldest]
//!          → when the record is already over: as resolve
//!          a ticket found that was merged into another is the record's all the same: as update
//! update   GET (status, ETag) → [PUT weight] → [history: is the marker there? when not, and a lost attempt
//!          may still be running: both again after 3 s] → POST /comment → verify
//!          → [GET → PUT status, guarded by the ETag → verify]
//! resolve  as update, and before it twins of the same key are rejected
//! link     PUT AddMemberOf → verify
//! ```
//! What RT gets wrong is handled here: a refusal inside a 200, fields dropped in silence, times with a `Z`,
//! searches that ignore case, tickets deleted, merged, moved or closed by people behind our back. A status
//! set by a person is only changed by a change of state on the host.

mod options;
mod read;
mod speech;
mod steps;
mod ticket;

use super::login::{ANY_TOKEN, PASSWORD, USER};
use super::request::{encode, loose};
use super::talk::{Talk, end};
use super::text;
use super::{
    CA, CLIENT_CERTIFICATE, CLIENT_KEY, Connector, Done, Exchange, Login, Next, PROXY, Target, WireKind,
};
use crate::engine::effect::{Job, Outcome, RecordKind};
use crate::engine::option::{DoorSpec, OptionKind, OptionSpec};
use options::Map;
use ticket::Wanted;

/// The connector.
pub const CONNECTOR: Connector = Connector {
    door: DoorSpec {
        kind: "rt",
        about: "Request Tracker 5 by REST 2.0: tickets in two queues, linked",
        options: &[
            OptionSpec {
                key: "url",
                kind: OptionKind::RequiredText,
                about: "address of the API, https://host/REST/2.0",
            },
            ANY_TOKEN,
            USER,
            PASSWORD,
            OptionSpec {
                key: "map",
                kind: OptionKind::Map,
                about: "names used at this RT: queue.*, field.*, status.*, priority.*, choice.*",
            },
            CLIENT_CERTIFICATE,
            CLIENT_KEY,
            PROXY,
            CA,
        ],
        signals: &[],
        check: |options| Login::choose(LOGINS, options).map(|_| ()),
    },
    batch: 1,
    concurrency: 2,
    wire: WireKind::Http,
    logins: LOGINS,
    hello: Some(hello),
    heartbeat: None,
    next,
    read: Some(read::read),
    read_batch: read::BATCH,
};

/// RT's own tokens and passwords; a certificate alone where the web server before RT names the user.
const LOGINS: &[Login] = &[
    Login::Secret { option: "token", header: "authorization", prefix: "token " },
    Login::Basic,
    Login::Certificate,
];

/// Proves that both queues exist and carry the field for the key: a search on an unknown field finds nothing,
/// without a word.
pub fn hello(target: &Target, exchanges: &[Exchange]) -> Next {
    let map = Map::of(target);
    let mut talk = Talk::new(exchanges, false);
    let checked = [RecordKind::Incident, RecordKind::Problem].iter().try_fold(Vec::new(), |lacks, kind| {
        let more = steps::check_queue(&mut talk, &map, *kind)?;
        Ok::<_, Next>([lacks, more].concat())
    });
    match checked {
        Ok(lacks) if lacks.is_empty() => Next::Done(Done::default()),
        Ok(lacks) => {
            let warning = format!("queues lack custom fields, which stay empty: {}", lacks.join(", "));
            Next::Done(Done { warning: Some(warning), ..Done::default() })
        }
        Err(next) => next,
    }
}

/// The next request for one job, or its outcome.
pub fn next(target: &Target, jobs: &[Job], exchanges: &[Exchange]) -> Next {
    let [job] = jobs else {
        let reason = "rt takes one job at a time".to_owned();
        let outcome = Outcome::Retry { after: None, unknown: false, reason };
        return Next::Done(Done { outcomes: vec![outcome; jobs.len()], ..Done::default() });
    };
    let map = Map::of(target);
    let mut talk = Talk::new(exchanges, job.unknown);
    let result = match job.kind {
        RecordKind::Link => steps::link(&mut talk, &map, job),
        RecordKind::Incident | RecordKind::Problem => match Wanted::of(target, &map, job) {
            Ok(wanted) if job.remote_id.is_none() => steps::create(&mut talk, &map, job, &wanted),
            Ok(wanted) => steps::amend(&mut talk, &map, job, &wanted),
            Err(reason) => Err(end(Outcome::Refused { reason })),
        },
    };
    talk.conclude(result.map_or_else(|next| forgiven(job, next), Next::Done))
}

/// What is only cosmetic may be refused: the ticket holds the revision, and nobody is to look after it.
fn forgiven(job: &Job, next: Next) -> Next {
    match next {
        Next::Done(done) if steps::is_mend(job) => match &done.outcomes[..] {
            [Outcome::Refused { reason }] => {
                let (warning, outcome) = (Some(reason.clone()), Outcome::stored(job.remote_id.clone()));
                Next::Done(Done { warning, outcomes: vec![outcome], ..done })
            }
            _ => Next::Done(done),
        },
        next => next,
    }
}

#[cfg(test)]
mod tests;
