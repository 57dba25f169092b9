//! Connector `alertmanager`: Prometheus Alertmanager, API v2.
//!
//! ```text
//! [GET  /api/v2/alerts?filter=…   only when something ends: does a newer record fire under that label set?]
//!  POST /api/v2/alerts            the batch, to each server of the cluster
//!  400                            halve the batch until the culprit stands alone: the others were taken
//! ```
//! Alertmanager knows no records, only label sets that fire until their `endsAt`, and forgets them when it
//! restarts. So a firing record is sent again at every `repeat` and outlives four of them; its end is told
//! again for five minutes. The label set that was sent last is the far end's id of the record: when it
//! changes (severity, labels in the configuration), the old one is ended in the same post.
//!
//! Invariants: a record that is over and was never sent as firing is not sent; an end is never sent over the
//! alert of a newer record with the same labels.

mod alert;
mod options;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde_json::Value as Json;

use self::alert::{Alert, Labels, TOLD_AGAIN};
use self::options::{LOGINS, Map, OPTIONS};
use super::classify::{Class, class, is_page, outcome, sentence};
use super::request::encode;
use super::wanted::{Subject, Wanted};
use super::{Connector, Done, Exchange, Method, Next, Reply, Request, Target, WireKind};
use crate::engine::effect::{Job, Operation, Outcome, RecordKind};
use crate::engine::moment::Stamp;
use crate::engine::option::DoorSpec;

/// The connector.
pub const CONNECTOR: Connector = Connector {
    door: DoorSpec {
        kind: "alertmanager",
        about: "Prometheus Alertmanager by API v2: one alert per incident, repeated while it fires",
        options: OPTIONS,
        signals: &[],
        check: options::check,
    },
    batch: 64,
    concurrency: 4,
    wire: WireKind::Http,
    logins: LOGINS,
    hello: Some(hello),
    heartbeat: None,
    next,
    read: None,
    read_batch: 1,
};

const ALERTS: &str = "/api/v2/alerts";

/// Proves that one server of the cluster at least is an Alertmanager with API v2.
pub fn hello(target: &Target, exchanges: &[Exchange]) -> Next {
    let mut said = exchanges.iter();
    let mut trouble: Option<Outcome> = None;
    for server in Map::of(target).servers() {
        let Some(exchange) = said.next() else {
            return Next::send(Request::get("/api/v2/status").to(server));
        };
        let fault = match &exchange.result {
            Ok(reply) if class(reply.status) == Class::Success && !reply.json()["versionInfo"].is_null() => {
                return Next::Done(Done::default());
            }
            Ok(reply) if class(reply.status) == Class::Success => {
                Outcome::Pause { reason: format!("{server} answers, but not as an Alertmanager: check url") }
            }
            _ => fault(server, exchange, false),
        };
        trouble = Some(milder(trouble, fault));
    }
    match trouble {
        Some(Outcome::Pause { reason }) => Next::Done(Done { pause: Some(reason), ..Done::default() }),
        Some(other) => Next::Done(Done::from(other)),
        None => Next::Done(Done::default()),
    }
}

/// The next request of a batch, or its outcomes.
pub fn next(target: &Target, jobs: &[Job], exchanges: &[Exchange]) -> Next {
    let map = Map::of(target);
    let mut wishes: Vec<Wish> = jobs.iter().map(|job| wish(&map, job)).collect();
    leave_to_the_newer(&mut wishes);
    let mut said = exchanges.iter();
    if let Some(request) = look(target, &wishes) {
        match said.next() {
            Some(exchange) => leave_to_those_firing(exchange, &mut wishes),
            None => return Next::send(request),
        }
    }
    let mut told =
        Told { taken: vec![false; jobs.len()], refused: vec![None; jobs.len()], faults: Vec::new() };
    for server in map.servers() {
        if let Err(post) = tell(server, &wishes, &mut said, &mut told) {
            return post;
        }
    }
    Next::Done(told.conclude(wishes, &map))
}

/// What one job asks of the server.
struct Wish {
    /// The outcome, for what asks nothing.
    settled: Option<Outcome>,
    /// What is posted.
    posts: Vec<Json>,
    /// The label set that stands for the record from now on.
    labels: Labels,
    /// When it ended, for an end.
    ended: Option<Stamp>,
}

impl Wish {
    fn settled(outcome: Outcome) -> Self {
        let (posts, labels) = (Vec::new(), Labels::new());
        Self { settled: Some(outcome), posts, labels, ended: None }
    }

    fn is_open(&self) -> bool {
        self.settled.is_none() && self.ended.is_none()
    }

    /// Nothing is to be posted; what the server holds is right.
    fn let_go(&mut self) {
        self.settled = Some(Outcome::stored(None));
        self.posts.clear();
    }
}

fn wish(map: &Map, job: &Job) -> Wish {
    let nothing = || Wish::settled(Outcome::stored(None));
    if job.kind == RecordKind::Link || (job.kind == RecordKind::Problem && !map.problems()) {
        return nothing();
    }
    let wanted = match Wanted::of(job) {
        Ok(wanted) => wanted,
        Err(reason) => return Wish::settled(Outcome::Refused { reason }),
    };
    let alert = match &wanted.record {
        Subject::Incident(incident) => Alert::incident(map, incident, &wanted.key),
        Subject::Problem(problem) => Alert::problem(map, problem, wanted.is_over(), &wanted.key),
    };
    let held: Option<Labels> = job.remote_id.as_ref().and_then(|id| serde_json::from_str(id).ok());
    match alert.ended {
        Some(ended) => {
            let told = job.operation == Operation::Update;
            let soon = job.claimed_at < alert.decided.plus(TOLD_AGAIN);
            let never_sent = job.operation == Operation::Create && !job.unknown;
            if never_sent || (told && !soon) {
                return nothing();
            }
            let labels = held.unwrap_or_else(|| alert.labels.clone());
            let posts = vec![alert.ended_as(&labels, ended)];
            Wish { settled: None, posts, labels, ended: Some(ended) }
        }
        None => {
            let mut posts = vec![alert.posted(job.claimed_at, map.repeat())];
            // After a reopening the old label set is over already.
            let old = held.filter(|old| *old != alert.labels && job.operation != Operation::Reopen);
            posts.extend(old.map(|old| alert.ended_as(&old, job.claimed_at)));
            Wish { settled: None, posts, labels: alert.labels, ended: None }
        }
    }
}

/// An end gives way to a newer record of the same batch that fires under its labels.
fn leave_to_the_newer(wishes: &mut [Wish]) {
    let firing: Vec<Labels> = wishes.iter().filter(|w| w.is_open()).map(|w| w.labels.clone()).collect();
    wishes.iter_mut().filter(|w| w.ended.is_some() && firing.contains(&w.labels)).for_each(Wish::let_go);
}

/// What is asked before something is ended: which alerts of the same names fire. Names are rule ids; other
/// characters match anything, and labels are compared here.
fn look(target: &Target, wishes: &[Wish]) -> Option<Request> {
    let ends = wishes.iter().filter(|w| w.settled.is_none() && w.ended.is_some());
    let mut names: Vec<String> = ends.filter_map(|w| w.labels.get("alertname")).map(|n| pattern(n)).collect();
    names.sort();
    names.dedup();
    if names.is_empty() {
        return None;
    }
    let filter = |text: String| format!("filter={}", encode(&text));
    let query = [
        filter(format!("sexton_host=\"{}\"", target.host.id)),
        filter(format!("alertname=~\"{}\"", names.join("|"))),
    ];
    Some(Request::get(format!("{ALERTS}?{}", query.join("&"))))
}

fn pattern(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '.' }).collect()
}

/// Lets go of ends under whose labels something fires that began later. A server that cannot say is not
/// waited for: the newer alert is sent again within one repeat.
fn leave_to_those_firing(exchange: &Exchange, wishes: &mut [Wish]) {
    let Ok(reply) = &exchange.result else { return };
    let json = reply.json();
    let empty = Vec::new();
    let begun = |alert: &Json| {
        let labels: Labels = serde_json::from_value(alert["labels"].clone()).ok()?;
        let starts: Stamp = alert["startsAt"].as_str()?.parse().ok()?;
        Some((labels, starts))
    };
    let firing: BTreeMap<Labels, Stamp> =
        json.as_array().unwrap_or(&empty).iter().filter_map(begun).collect();
    for wish in wishes {
        let newer = wish.ended.zip(firing.get(&wish.labels)).is_some_and(|(ended, starts)| *starts > ended);
        if newer {
            wish.let_go();
        }
    }
}

/// What the servers said so far, per job.
struct Told {
    taken: Vec<bool>,
    refused: Vec<Option<String>>,
    faults: Vec<Outcome>,
}

/// Posts everything to one server; the error is the next post.
fn tell<'a>(
    server: &str,
    wishes: &[Wish],
    said: &mut impl Iterator<Item = &'a Exchange>,
    told: &mut Told,
) -> Result<(), Next> {
    let wanted = |i: &usize| wishes[*i].settled.is_none() && told.refused[*i].is_none();
    let all: Vec<usize> = (0..wishes.len()).filter(wanted).collect();
    let mut posts = VecDeque::from([all]);
    while let Some(post) = posts.pop_front() {
        if post.is_empty() {
            continue;
        }
        let Some(exchange) = said.next() else {
            let alerts = post.iter().flat_map(|i| wishes[*i].posts.iter().cloned()).collect();
            return Err(Next::send(Request::json(Method::Post, ALERTS, Json::Array(alerts)).to(server)));
        };
        match &exchange.result {
            Ok(reply) if class(reply.status) == Class::Success && !is_page(reply) => {
                post.iter().for_each(|i| told.taken[*i] = true);
            }
            Ok(reply) if class(reply.status) == Class::Permanent && post.len() > 1 => {
                let (one, other) = post.split_at(post.len() / 2);
                posts.push_front(other.to_vec());
                posts.push_front(one.to_vec());
            }
            Ok(reply) if class(reply.status) == Class::Permanent => {
                told.refused[post[0]] = Some(sentence(reply));
            }
            _ => {
                told.faults.push(fault(server, exchange, true));
                return Ok(());
            }
        }
    }
    Ok(())
}

impl Told {
    fn conclude(self, wishes: Vec<Wish>, map: &Map) -> Done {
        let fault = self.faults.iter().cloned().fold(None, |all, one| Some(milder(all, one)));
        let mut flaw = None;
        let mut outcomes = Vec::with_capacity(wishes.len());
        for ((wish, taken), refused) in wishes.into_iter().zip(self.taken).zip(self.refused) {
            outcomes.push(match (wish.settled, taken, refused, &fault) {
                (Some(outcome), ..) => outcome,
                (None, true, _, fault) => {
                    flaw = flaw.or_else(|| fault.as_ref().map(reason));
                    let id = serde_json::to_string(&wish.labels).ok();
                    Outcome::Stored { remote_id: id, again: Some(map.pause(wish.ended.is_some())) }
                }
                (None, false, Some(reason), _) => Outcome::Refused { reason },
                (None, false, None, Some(fault)) => fault.clone(),
                (None, false, None, None) => unanswered(),
            });
        }
        let warning =
            flaw.map(|reason| format!("one server of the cluster did not take the alerts: {reason}"));
        Done { outcomes, warning, ..Done::default() }
    }
}

fn unanswered() -> Outcome {
    Outcome::Retry { after: None, unknown: true, reason: "no server has answered".to_owned() }
}

fn reason(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Retry { reason, .. } | Outcome::Pause { reason } | Outcome::Refused { reason } => {
            reason.clone()
        }
        Outcome::Stored { .. } => String::new(),
    }
}

/// What a failed exchange means for this server.
fn fault(server: &str, exchange: &Exchange, write: bool) -> Outcome {
    let at = |reason: String| format!("{server}: {reason}");
    let reply: &Reply = match &exchange.result {
        Ok(reply) => reply,
        Err(failure) => {
            let unknown = write && failure.sent;
            return Outcome::Retry { after: None, unknown, reason: at(failure.reason.clone()) };
        }
    };
    if class(reply.status) == Class::Gone {
        return Outcome::Pause { reason: at(format!("{}: no Alertmanager API v2 there", sentence(reply))) };
    }
    if is_page(reply) && class(reply.status) == Class::Success {
        return Outcome::Pause { reason: at("answers with a web page, not as an Alertmanager".to_owned()) };
    }
    match outcome(reply, write) {
        Some(Outcome::Retry { after, unknown, reason }) => {
            Outcome::Retry { after, unknown, reason: at(reason) }
        }
        Some(Outcome::Pause { reason }) => Outcome::Pause { reason: at(reason) },
        Some(Outcome::Refused { reason }) => Outcome::Pause { reason: at(reason) },
        Some(Outcome::Stored { .. }) | None => unanswered(),
    }
}

/// Of the faults of several servers: one that passes by itself weighs less than one that does not.
fn milder(all: Option<Outcome>, one: Outcome) -> Outcome {
    match (all, one) {
        (Some(Outcome::Retry { after, unknown, reason }), Outcome::Retry { unknown: too, .. }) => {
            let after: Option<Duration> = after;
            Outcome::Retry { after, unknown: unknown || too, reason }
        }
        (Some(all @ Outcome::Retry { .. }), _) => all,
        (_, one) => one,
    }
}

#[cfg(test)]
mod tests;
