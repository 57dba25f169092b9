//! Connector `servicenow-event`: ServiceNow Event Management.
//!
//! ```text
//! POST {url}/api/global/em/jsonv2   {"records":[{"source","event_class","node","resource","metric_name",
//!   "type","severity","message_key","resolution_state","time_of_event","description","additional_info"}, …]}
//! 200: all are queued; what becomes of them is up to event and alert rules
//! ```
//! `message_key` is the alert key of an incident, the record key of a problem candidate: events of one key
//! are one alert, so that any event may be sent twice. An alert is cleared by severity 0. A link has no form
//! here; the problem's events name its members. A post that is refused as a whole is
//! halved until the culprit stands alone.

use std::collections::VecDeque;
use std::ops::Range;

use serde_json::{Value as Json, json};

use super::classify::{Class, class, outcome};
use super::servicenow::table::told;
use super::servicenow::{LOGINS, OPTIONS};
use super::talk::{IN_DOUBT, LAG, left_of_doubt};
use super::told::{Tell, spaced, tell};
use super::wanted::{Subject, Wanted, cut};
use super::{Connector, Done, Exchange, Login, Method, Next, Request, Target, WireKind};
use crate::engine::effect::{Job, Outcome, RecordKind};
use crate::engine::moment::Stamp;
use crate::engine::option::{DoorSpec, OptionValue, Options};
use crate::engine::record::Priority;

/// The connector. One conversation at a time; events of one alert keep their order, see [`super::told`].
pub const CONNECTOR: Connector = Connector {
    door: DoorSpec {
        kind: "servicenow-event",
        about: "ServiceNow Event Management: events in batches, alerts by key",
        options: OPTIONS,
        signals: &[],
        check,
    },
    batch: 50,
    concurrency: 1,
    wire: WireKind::Http,
    logins: LOGINS,
    hello: Some(hello),
    heartbeat: None,
    next,
    read: None,
    read_batch: 1,
};

/// Defaults of the option `map`.
const DEFAULTS: &[(&str, &str)] = &[
    ("path", "/api/global/em/jsonv2"),
    ("source", "sexton"),
    ("event_class", "sexton"),
    ("severity.p1", "1"),
    ("severity.p2", "2"),
    ("severity.p3", "3"),
    ("severity.p4", "4"),
    ("severity.p5", "5"),
];

/// The most characters of source, node, type and resource.
const NAME_CHARS: usize = 100;
/// The most characters of a description.
const TEXT_CHARS: usize = 4000;

fn check(options: &Options) -> Result<(), String> {
    Login::choose(LOGINS, options)?;
    let Some(OptionValue::Map(map)) = options.0.get("map") else { return Ok(()) };
    match map.keys().find(|entry| !DEFAULTS.iter().any(|(name, _)| name == entry)) {
        Some(entry) => Err(format!("map has no entry '{entry}': see docs/forwarding.md, ServiceNow events")),
        None if map.get("path").is_some_and(|p| !p.starts_with('/')) => {
            Err("map entry path must begin with a slash".to_owned())
        }
        None => Ok(()),
    }
}

fn get<'a>(target: &'a Target, entry: &str) -> &'a str {
    let default = DEFAULTS.iter().find(|(name, _)| *name == entry).map_or("", |(_, value)| value);
    target.options.mapped("map", entry).unwrap_or(default)
}

fn post(target: &Target, events: &[Json]) -> Request {
    Request::json(Method::Post, get(target, "path"), json!({ "records": events }))
}

/// Sends no events, which makes none: credentials, role and plug-in must be right for that too.
pub fn hello(target: &Target, exchanges: &[Exchange]) -> Next {
    let Some(exchange) = exchanges.first() else { return Next::send(post(target, &[]).reading()) };
    let pause = |reason: String| Next::Done(Done { pause: Some(reason), ..Done::default() });
    match &exchange.result {
        Ok(reply) => match class(reply.status) {
            Class::Success | Class::Permanent => Next::Done(Done::default()),
            Class::Denied => pause(format!("{}: grant role evt_mgmt_integration", told(reply))),
            Class::Gone => pause(format!(
                "{}: Event Management (plug-in com.glideapp.itom.snac) is not active, or map entry path is wrong",
                told(reply)
            )),
            _ => super::talk::end(outcome(reply, false).unwrap_or(Outcome::stored(None))),
        },
        Err(failure) => {
            super::talk::end(Outcome::Retry { after: None, unknown: false, reason: failure.reason.clone() })
        }
    }
}

/// The next post of a batch, or its outcomes.
pub fn next(target: &Target, jobs: &[Job], exchanges: &[Exchange]) -> Next {
    let mut outcomes: Vec<Option<Outcome>> = vec![None; jobs.len()];
    let mut events = Vec::with_capacity(jobs.len());
    for (job, outcome) in jobs.iter().zip(&mut outcomes) {
        let made = encode(target, job);
        let ends = |events: &[Json]| events.iter().any(|event| event["severity"] == "0");
        *outcome = match &made {
            Err(reason) => Some(Outcome::Refused { reason: reason.clone() }),
            Ok((key, events)) if events.is_empty() => Some(Outcome::stored(key.clone())),
            // The end of an alert that is carried out late would end the next one of its key.
            Ok((_, events)) if ends(events) => left_of_doubt(job, LAG).map(|left| Outcome::Retry {
                after: Some(left),
                unknown: false,
                reason: IN_DOUBT.to_owned(),
            }),
            Ok(_) => None,
        };
        events.push(made.unwrap_or_default());
    }
    let waiting: Vec<usize> = (0..jobs.len()).filter(|i| outcomes[*i].is_none()).collect();
    let mut posts: VecDeque<Range<usize>> = VecDeque::new();
    posts.extend((!waiting.is_empty()).then_some(0..waiting.len()));
    for exchange in exchanges {
        let Some(range) = posts.pop_front() else { break };
        let mut all = |outcome: &dyn Fn(usize) -> Outcome| {
            waiting[range.clone()].iter().for_each(|i| outcomes[*i] = Some(outcome(*i)));
        };
        let refused = match answer(exchange) {
            Answer::Taken => {
                all(&|i| Outcome::stored(events[i].0.clone()));
                continue;
            }
            Answer::Refused(reason) => reason,
            Answer::Trouble(outcome) => {
                all(&|_| outcome.clone());
                return done(outcomes, unsent(outcome));
            }
        };
        if range.len() > 1 {
            let middle = range.start + range.len() / 2;
            posts.push_front(middle..range.end);
            posts.push_front(range.start..middle);
        } else {
            all(&|_| Outcome::Refused { reason: refused.clone() });
        }
    }
    match posts.front() {
        Some(range) => {
            let chosen = waiting[range.clone()].iter().flat_map(|i| events[*i].1.clone());
            Next::send(post(target, &chosen.collect::<Vec<_>>()))
        }
        None => done(outcomes, Outcome::stored(None)),
    }
}

/// What became of one post.
enum Answer {
    Taken,
    /// As a whole, because of one of its events perhaps.
    Refused(String),
    /// No event is to blame.
    Trouble(Outcome),
}

fn answer(exchange: &Exchange) -> Answer {
    let lost = |reason: String, unknown| Answer::Trouble(Outcome::Retry { after: None, unknown, reason });
    let reply = match &exchange.result {
        Ok(reply) => reply,
        Err(failure) => return lost(failure.reason.clone(), failure.sent),
    };
    let success = class(reply.status) == Class::Success;
    if success && reply.body.trim_ascii_start().starts_with(b"<") {
        return lost("the answer is a web page: check url and proxy".to_owned(), true);
    }
    if success && reply.json()["error"].is_null() {
        return Answer::Taken;
    }
    match outcome(reply, true) {
        Some(Outcome::Refused { .. }) if class(reply.status) == Class::Gone => {
            Answer::Trouble(Outcome::Pause { reason: told(reply) })
        }
        Some(Outcome::Refused { .. }) | None => Answer::Refused(told(reply)),
        Some(Outcome::Pause { .. }) => Answer::Trouble(Outcome::Pause { reason: told(reply) }),
        Some(other) => Answer::Trouble(other),
    }
}

/// The same for what was not sent yet.
fn unsent(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Retry { after, reason, .. } => Outcome::Retry { after, unknown: false, reason },
        other => other,
    }
}

fn done(outcomes: Vec<Option<Outcome>>, rest: Outcome) -> Next {
    let outcomes = outcomes.into_iter().map(|o| o.unwrap_or_else(|| rest.clone())).collect();
    Next::Done(Done { outcomes, ..Done::default() })
}

/// The key under which the far end knows the record, and the events that this operation sends.
type Events = (Option<String>, Vec<Json>);

fn encode(target: &Target, job: &Job) -> Result<Events, String> {
    if job.kind == RecordKind::Link {
        return Ok((None, Vec::new()));
    }
    let wanted = Wanted::of(job)?;
    let at = |stamp: Stamp, over: bool| event(target, job, &wanted, stamp, over);
    let (key, events) = match &wanted.record {
        Subject::Incident(incident) => {
            let (since, until) = (incident.breach_at, incident.resolved_at.unwrap_or(incident.at));
            let events = match tell(job, incident) {
                Tell::Nothing => Vec::new(),
                Tell::Firing => vec![at(if job.acked_rev == 0 { since } else { incident.at }, false)],
                Tell::Over => vec![at(until, true)],
                // Both, so that the alert is on record, and over.
                Tell::Past => vec![at(since, false), at(until, true)],
            };
            (incident.alert_key.clone(), events)
        }
        Subject::Problem(problem) => (job.record_key.clone(), vec![at(problem.at, wanted.is_over())]),
    };
    Ok((Some(key), events))
}

fn event(target: &Target, job: &Job, wanted: &Wanted, at: Stamp, over: bool) -> Json {
    let (resource, metric, key) = match &wanted.record {
        Subject::Incident(i) => (i.instance.as_str(), i.rule.id.as_str(), i.alert_key.as_str()),
        Subject::Problem(p) => (p.key.as_str(), "problem", job.record_key.as_str()),
    };
    let severity = match (over, wanted.kind) {
        (true, _) => "0",
        // A candidate asks for no action: the alerts of its members do.
        (false, RecordKind::Problem) => "5",
        (false, _) => get(target, severity(wanted.priority)),
    };
    let description = match &wanted.comment {
        Some(comment) if job.acked_rev > 0 => format!("{}\n\n{comment}", wanted.headline),
        _ => wanted.content.clone(),
    };
    json!({
        "source": cut(get(target, "source"), NAME_CHARS),
        "event_class": cut(get(target, "event_class"), NAME_CHARS),
        "node": cut(&wanted.ci, NAME_CHARS),
        "resource": cut(resource, NAME_CHARS),
        "metric_name": cut(metric, NAME_CHARS),
        "type": cut(&wanted.category, NAME_CHARS),
        "severity": severity,
        "message_key": key,
        "resolution_state": if over { "Closing" } else { "New" },
        "time_of_event": spaced(at),
        "description": cut(&description, TEXT_CHARS),
        "additional_info": additional(job, wanted).to_string(),
    })
}

fn severity(priority: Priority) -> &'static str {
    match priority {
        Priority::P1 => "severity.p1",
        Priority::P2 => "severity.p2",
        Priority::P3 => "severity.p3",
        Priority::P4 => "severity.p4",
        Priority::P5 => "severity.p5",
    }
}

/// What alert rules can ask for; values are texts, because the field is shown as a flat list.
fn additional(job: &Job, wanted: &Wanted) -> Json {
    let mut info = json!({
        "sexton_record": job.record_key,
        "sexton_operation": job.operation_key,
        "sexton_number": wanted.number,
        "sexton_title": wanted.subject,
        "sexton_priority": format!("{:?}", wanted.priority),
        "impact": wanted.impact.to_string(),
        "urgency": wanted.urgency.to_string(),
        "service": wanted.service.clone().unwrap_or_default(),
    });
    match &wanted.record {
        Subject::Incident(incident) => {
            info["sexton_rule"] = json!(incident.rule.id);
            info["runbook"] = json!(incident.links.runbook.clone().unwrap_or_default());
            if let Some(problem) = &incident.links.problem {
                info["sexton_problem"] = json!(format!("sx-{problem}"));
            }
        }
        Subject::Problem(problem) => {
            let members: Vec<&str> = problem.members.iter().map(|m| m.number.as_str()).collect();
            info["sexton_members"] = json!(members.join(" "));
        }
    }
    info
}

#[cfg(test)]
mod tests;
