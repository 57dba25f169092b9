//! Connector `desk`: sexton's own central desk.
//!
//! ```text
//! POST {url}/v1/events   application/cloudevents-batch+json, bearer token
//!   [{"specversion":"1.0","id":OP,"source":"/hosts/<host id>","type":"org.sexton.incident.updated.v1",
//!     "subject":<record id>,"time":…,"datacontenttype":"application/json","data":<whole record>}, …]
//! 200 {"results":[{"id":OP,"status":"stored|duplicate|stale|refused","reason":…}, …]}
//! ```
//! A batch is cut into posts of at most [`POST_BYTES`]. When a post as a whole is refused (too large, bad for
//! one event), it is halved until the culprit stands alone: one bad record never takes others with it. The
//! desk keeps the highest revision, so that any event may be sent twice; nothing has to be found before a
//! repetition.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use serde_json::{Value as Json, json};

use super::classify::{Class, class, outcome, sentence};
use super::login::{ANY_TOKEN, BEARER, OAUTH_CLIENT, OAUTH_SCOPE, OAUTH_SECRET, OAUTH_STYLE, OAUTH_URL};
use super::{
    CA, CLIENT_CERTIFICATE, CLIENT_KEY, Connector, Done, Exchange, Login, Method, Next, PROXY, Reply,
    Request, Target, URL, WireKind,
};
use crate::engine::effect::{Job, Operation, Outcome, RecordKind};
use crate::engine::moment::Stamp;
use crate::engine::option::DoorSpec;

/// The connector.
pub const CONNECTOR: Connector = Connector {
    door: DoorSpec {
        kind: "desk",
        about: "sexton's own desk: CloudEvents in batches",
        options: &[
            URL,
            ANY_TOKEN,
            OAUTH_URL,
            OAUTH_CLIENT,
            OAUTH_SECRET,
            OAUTH_SCOPE,
            OAUTH_STYLE,
            CLIENT_CERTIFICATE,
            CLIENT_KEY,
            PROXY,
            CA,
        ],
        signals: &[],
        check: |options| Login::choose(LOGINS, options).map(|_| ()),
    },
    batch: 100,
    concurrency: 2,
    wire: WireKind::Http,
    logins: LOGINS,
    hello: None,
    heartbeat: Some(heartbeat),
    next,
    read: None,
    read_batch: 1,
};

/// The desk itself knows tokens; a gateway before it may want another way.
const LOGINS: &[Login] = &[BEARER, Login::OAuth2, Login::Certificate];

/// The most bytes of events in one post; a single larger event goes alone.
pub const POST_BYTES: usize = 1024 * 1024;

const BATCH_TYPE: &str = "application/cloudevents-batch+json";

/// The next post of a batch, or its outcomes.
pub fn next(target: &Target, jobs: &[Job], exchanges: &[Exchange]) -> Next {
    let events: Vec<Json> = jobs.iter().map(|job| event(target, job)).collect();
    let post = |_: &[Job], body: Json| Request::write(Method::Post, "/v1/events", BATCH_TYPE, body);
    batch(jobs, &events, exchanges, post, results)
}

/// The conversation of a batch: `post` writes the request for some of the jobs, `results` reads an answer
/// that is a success.
pub(super) fn batch(
    jobs: &[Job],
    events: &[Json],
    exchanges: &[Exchange],
    post: impl Fn(&[Job], Json) -> Request,
    results: impl Fn(&Reply, &[Job], &mut [Option<Outcome>]),
) -> Next {
    let mut outcomes: Vec<Option<Outcome>> = vec![None; jobs.len()];
    let mut posts = cut(events);
    for exchange in exchanges {
        let Some(range) = posts.pop_front() else { break };
        match &exchange.result {
            Ok(reply) if class(reply.status) == Class::Success => {
                results(reply, &jobs[range.clone()], &mut outcomes[range]);
            }
            Ok(reply) => match outcome(reply, true) {
                // Nothing is wrong with the events when the address itself is unknown, or takes no batches.
                Some(Outcome::Refused { .. })
                    if class(reply.status) == Class::Gone || matches!(reply.status, 405 | 406 | 415) =>
                {
                    let reason = format!("{}: nobody takes events at this url", sentence(reply));
                    return done(outcomes, Outcome::Pause { reason });
                }
                Some(Outcome::Refused { .. }) if range.len() > 1 => {
                    let middle = range.start + range.len() / 2;
                    posts.push_front(middle..range.end);
                    posts.push_front(range.start..middle);
                }
                Some(Outcome::Refused { reason }) => {
                    outcomes[range.start] = Some(Outcome::Refused { reason })
                }
                Some(all) => return done(outcomes, all),
                None => {}
            },
            Err(failure) => {
                let reason = failure.reason.clone();
                let mut outcomes = outcomes;
                for o in &mut outcomes[range] {
                    *o = Some(Outcome::Retry { after: None, unknown: failure.sent, reason: reason.clone() });
                }
                return done(outcomes, Outcome::Retry { after: None, unknown: false, reason });
            }
        }
    }
    match posts.front() {
        Some(range) => {
            let body = Json::Array(events[range.clone()].to_vec());
            Next::send(post(&jobs[range.clone()], body))
        }
        None => done(outcomes, unanswered()),
    }
}

/// The request that carries a heartbeat.
pub fn heartbeat(target: &Target, body: &Json, at: Stamp) -> Request {
    let event = json!({
        "specversion": "1.0",
        "id": format!("sx-hb-{}-{}", target.host.id, at.0),
        "source": format!("/hosts/{}", target.host.id),
        "type": "org.sexton.host.heartbeat.v1",
        "subject": target.host.id,
        "time": at,
        "datacontenttype": "application/json",
        "data": body,
    });
    Request::write(Method::Post, "/v1/events", BATCH_TYPE, Json::Array(vec![event]))
}

/// Every job has an outcome: those without one get `rest`.
fn done(outcomes: Vec<Option<Outcome>>, rest: Outcome) -> Next {
    let outcomes = outcomes.into_iter().map(|o| o.unwrap_or_else(|| rest.clone())).collect();
    Next::Done(Done { outcomes, ..Done::default() })
}

fn unanswered() -> Outcome {
    let reason = "the desk's answer does not name this event".to_owned();
    Outcome::Retry { after: None, unknown: true, reason }
}

/// What the desk says of each event; one that it does not name stays without outcome.
pub(super) fn results(reply: &Reply, jobs: &[Job], outcomes: &mut [Option<Outcome>]) {
    let json = reply.json();
    let empty = Vec::new();
    let rows = json["results"].as_array().unwrap_or(&empty);
    let by_id: BTreeMap<&str, &Json> = rows.iter().filter_map(|r| Some((r["id"].as_str()?, r))).collect();
    for (job, outcome) in jobs.iter().zip(outcomes) {
        let Some(row) = by_id.get(job.operation_key.as_str()) else { continue };
        let reason = row["reason"].as_str().unwrap_or("refused by the desk without a reason");
        *outcome = match row["status"].as_str() {
            Some("stored" | "duplicate" | "stale") => Some(Outcome::stored(Some(job.record.clone()))),
            Some("refused") => Some(Outcome::Refused { reason: super::classify::clip(reason, 300) }),
            _ => None,
        };
    }
}

/// Ranges of events that fit into one post each.
fn cut(events: &[Json]) -> VecDeque<Range<usize>> {
    let (mut posts, mut start, mut bytes) = (VecDeque::new(), 0, 0);
    for (i, event) in events.iter().enumerate() {
        let size = serde_json::to_vec(event).map_or(0, |v| v.len()) + 1;
        if i > start && bytes + size > POST_BYTES {
            posts.push_back(start..i);
            (start, bytes) = (i, 0);
        }
        bytes += size;
    }
    if start < events.len() {
        posts.push_back(start..events.len());
    }
    posts
}

/// The CloudEvent of one operation.
pub(super) fn event(target: &Target, job: &Job) -> Json {
    let kind = match job.kind {
        RecordKind::Incident => "incident",
        RecordKind::Problem => "problem",
        RecordKind::Link => "link",
    };
    let verb = match (job.kind, job.operation) {
        (RecordKind::Link, _) | (_, Operation::Create | Operation::Link) => "created",
        (_, Operation::Update) => "updated",
        (_, Operation::Resolve) => "resolved",
        (_, Operation::Reopen) => "reopened",
    };
    json!({
        "specversion": "1.0",
        "id": job.operation_key,
        "source": format!("/hosts/{}", target.host.id),
        "type": format!("org.sexton.{kind}.{verb}.v1"),
        "subject": job.record,
        "time": job.body["at"],
        "datacontenttype": "application/json",
        "data": job.body,
    })
}

#[cfg(test)]
mod tests;
