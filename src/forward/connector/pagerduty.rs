//! Connector `pagerduty`: Events API v2, alerts and change events.
//!
//! ```text
//! POST {url}/v2/enqueue          {"routing_key","event_action":"trigger|acknowledge|resolve","dedup_key",
//!                                 "payload":{"summary","source","severity",…},"links":[…]}       202: queued
//! POST {url}/v2/change/enqueue   {"routing_key","payload":{"summary","source","timestamp",…}}    202: queued
//! GET  {api_url}/incidents?incident_key=DEDUP        only with an API token: what people did
//! ```
//! The dedup key is the alert key: repeats of a trigger are absorbed while the alert is open, and a resolve
//! of what is not open is dropped, so that everything may be sent twice and nothing has to be found.
//!
//! What would wake somebody for nothing is not sent: an incident that came and went before anything could be
//! told is a change event (option `past`), and an open one is triggered anew only when it rose or came back.
//! Problem candidates are change events, one when they appear and one when they end; a link has no form, the
//! next trigger names the problem.

use serde_json::{Value as Json, json};

use super::classify::{Class, class, clip, sentence};
use super::request::{encode, loose};
use super::talk::{LAG, Talk, end};
use super::tickets::minted;
use super::times;
use super::told::{Tell, tell};
use super::wanted::{Subject, Wanted, cut};
use super::{
    CA, Connector, Done, Exchange, MAP, Method, Next, PROXY, Place, Reply, Request, Target, WireKind,
};
use crate::engine::effect::{Held, Job, Outcome, RecordKind, Remote, Stage};
use crate::engine::moment::Stamp;
use crate::engine::option::{DoorSpec, OptionKind, OptionSpec, OptionValue, Options};
use crate::engine::record::Incident;

/// The connector. One conversation at a time; events of one alert keep their order, see [`super::told`].
pub const CONNECTOR: Connector = Connector {
    door: DoorSpec {
        kind: "pagerduty",
        about: "PagerDuty by Events API v2: alerts and change events",
        options: &[
            OptionSpec {
                key: "url",
                kind: OptionKind::Text(Some("https://events.pagerduty.com")),
                about: "address of the Events API; https://events.eu.pagerduty.com in the EU region",
            },
            OptionSpec {
                key: "routing_key",
                kind: OptionKind::RequiredSecret,
                about: "where the integration key of the service is read (Events API v2, 32 characters)",
            },
            OptionSpec {
                key: "past",
                kind: OptionKind::Choice(&["change", "alert"]),
                about: "what an incident becomes that was over before it could be told",
            },
            OptionSpec {
                key: "api_url",
                kind: OptionKind::Text(Some("https://api.pagerduty.com")),
                about: "address of the REST API, for api_token",
            },
            OptionSpec {
                key: "api_token",
                kind: OptionKind::Secret,
                about: "where a read-only REST API key is read; without one nothing is read back",
            },
            MAP,
            PROXY,
            CA,
        ],
        signals: &[],
        check,
    },
    batch: 1,
    concurrency: 1,
    wire: WireKind::Http,
    logins: &[],
    hello: Some(hello),
    heartbeat: None,
    next,
    read: Some(read),
    read_batch: 20,
};

/// Defaults of the option `map`.
const DEFAULTS: &[(&str, &str)] = &[
    ("severity.p1", "critical"),
    ("severity.p2", "error"),
    ("severity.p3", "warning"),
    ("severity.p4", "warning"),
    ("severity.p5", "info"),
];

/// The severities of the API.
const SEVERITIES: &[&str] = &["critical", "error", "warning", "info"];
/// The most characters of a summary.
const SUMMARY_CHARS: usize = 1024;
/// The most characters of source, component, group and class.
const NAME_CHARS: usize = 255;
/// The longest sentence of an answer that is passed on, in bytes.
const QUOTE: usize = 300;

fn check(options: &Options) -> Result<(), String> {
    let Some(OptionValue::Map(map)) = options.0.get("map") else { return Ok(()) };
    for (entry, value) in map {
        if !DEFAULTS.iter().any(|(name, _)| name == entry) {
            return Err(format!("map has no entry '{entry}': it has severity.p1 to severity.p5"));
        }
        if !SEVERITIES.contains(&value.as_str()) {
            return Err(format!("map entry {entry}: '{value}' is none of {}", SEVERITIES.join(", ")));
        }
    }
    Ok(())
}

/// Resolves an alert that was never open, which PagerDuty drops: the key must be right for that too.
pub fn hello(target: &Target, exchanges: &[Exchange]) -> Next {
    let event = json!({"event_action": "resolve", "dedup_key": format!("sx-hello-{}", target.host.id)});
    let mut talk = Talk::new(exchanges, false);
    match talk.ask(post("/v2/enqueue", event).reading()).and_then(|reply| accepted(&talk, reply)) {
        Ok(()) => Next::Done(Done::default()),
        Err(next) => next,
    }
}

/// The next request for one job, or its outcome.
pub fn next(target: &Target, jobs: &[Job], exchanges: &[Exchange]) -> Next {
    let [job] = jobs else {
        let reason = "this connector takes one job at a time".to_owned();
        let outcome = Outcome::Retry { after: None, unknown: false, reason };
        return Next::Done(Done { outcomes: vec![outcome; jobs.len()], ..Done::default() });
    };
    let (key, requests) = match requests(target, job) {
        Ok(requests) => requests,
        Err(reason) => return end(Outcome::Refused { reason }),
    };
    let mut talk = Talk::new(exchanges, false);
    // The end of an alert that is carried out late would end the next one of its key.
    if requests.iter().any(|request| request.json_body()["event_action"] == "resolve")
        && let Err(later) = talk.wait_for_lost(job, LAG)
    {
        return later;
    }
    for request in requests {
        if let Err(next) = talk.ask(request).and_then(|reply| accepted(&talk, reply)) {
            return next;
        }
    }
    end(Outcome::stored(key))
}

/// The dedup key of the record, and what this operation sends.
type Events = (Option<String>, Vec<Request>);

fn requests(target: &Target, job: &Job) -> Result<Events, String> {
    if job.kind == RecordKind::Link {
        return Ok((None, Vec::new()));
    }
    let wanted = Wanted::of(job)?;
    let change = |text: String, at: Stamp| {
        post("/v2/change/enqueue", json!({ "payload": payload(job, &wanted, &text, at) }))
    };
    Ok(match &wanted.record {
        Subject::Problem(problem) => {
            let told = job.acked_rev > 0 && !wanted.is_over();
            let word = if wanted.is_over() { "is over" } else { "is a candidate" };
            let why: Vec<&str> = problem.why.iter().map(|w| w.text.as_str()).collect();
            let text = format!("Problem {} {word}: {} ({})", wanted.number, wanted.subject, why.join("; "));
            let events = if told { Vec::new() } else { vec![change(text, problem.at)] };
            (Some(job.record_key.clone()), events)
        }
        Subject::Incident(incident) => {
            let events = match tell(job, incident) {
                Tell::Nothing => Vec::new(),
                Tell::Firing => firing(target, job, &wanted, incident),
                Tell::Over => vec![action(incident, "resolve")],
                Tell::Past if target.options.text("past") == "alert" => {
                    vec![trigger(target, job, &wanted, incident), action(incident, "resolve")]
                }
                Tell::Past => {
                    let text = format!(
                        "Incident {} was over before PagerDuty could be told: {}",
                        wanted.number, wanted.subject
                    );
                    vec![change(text, incident.breach_at)]
                }
            };
            (Some(incident.alert_key.clone()), events)
        }
    })
}

fn firing(target: &Target, job: &Job, wanted: &Wanted, incident: &Incident) -> Vec<Request> {
    let first = job.acked_rev == 0;
    let mut fresh = incident.timeline.iter().filter(|e| e.rev > job.acked_rev);
    // A trigger of an alert that somebody has resolved by hand makes a new one: only real news may.
    let rose = fresh.any(|e| matches!(e.kind.as_str(), "raised" | "step" | "reopened"));
    let taken = |stage| matches!(stage, Stage::Acknowledged | Stage::InProgress | Stage::OnHold);
    let change = if first { Some(wanted.stage) } else { wanted.change.filter(|_| !wanted.reopens) };
    let mut events = Vec::new();
    if first || rose || wanted.reopens {
        events.push(trigger(target, job, wanted, incident));
    }
    if change.is_some_and(taken) {
        events.push(action(incident, "acknowledge"));
    }
    events
}

fn post(path: &str, event: Json) -> Request {
    Request::json(Method::Post, path, event).secret("routing_key", Place::Json("/routing_key"))
}

fn action(incident: &Incident, action: &str) -> Request {
    post("/v2/enqueue", json!({"event_action": action, "dedup_key": incident.alert_key}))
}

fn trigger(target: &Target, job: &Job, wanted: &Wanted, incident: &Incident) -> Request {
    let entry = format!("severity.p{}", wanted.priority.number());
    let default = DEFAULTS.iter().find(|(name, _)| *name == entry).map_or("error", |(_, value)| value);
    let at = if job.acked_rev == 0 { incident.breach_at } else { incident.at };
    let mut payload = payload(job, wanted, &wanted.subject, at);
    payload["severity"] = json!(target.options.mapped("map", &entry).unwrap_or(default));
    payload["component"] = json!(cut(&incident.instance, NAME_CHARS));
    payload["class"] = json!(cut(&wanted.category, NAME_CHARS));
    if let Some(service) = &wanted.service {
        payload["group"] = json!(cut(service, NAME_CHARS));
    }
    let mut event = json!({
        "event_action": "trigger",
        "dedup_key": incident.alert_key,
        "client": "sexton",
        "payload": payload,
    });
    let is_address = |link: &&String| link.starts_with("https://") || link.starts_with("http://");
    if let Some(runbook) = incident.links.runbook.as_ref().filter(is_address) {
        event["links"] = json!([{"href": runbook, "text": "Runbook"}]);
    }
    post("/v2/enqueue", event)
}

/// What alerts and change events have in common.
fn payload(job: &Job, wanted: &Wanted, summary: &str, at: Stamp) -> Json {
    let mut details = json!({
        "record": job.record_key,
        "operation": job.operation_key,
        "number": wanted.number,
        "priority": format!("{:?}", wanted.priority),
        "impact": wanted.impact,
        "urgency": wanted.urgency,
        "text": wanted.comment.as_ref().filter(|_| job.acked_rev > 0).unwrap_or(&wanted.content),
    });
    match &wanted.record {
        Subject::Incident(incident) => {
            details["rule"] = json!(incident.rule.id);
            if let Some(problem) = &incident.links.problem {
                details["problem"] = json!(format!("sx-{problem}"));
            }
        }
        Subject::Problem(problem) => {
            details["members"] = problem.members.iter().map(|m| m.number.as_str()).collect();
        }
    }
    json!({
        "summary": cut(summary, SUMMARY_CHARS),
        "source": cut(&wanted.ci, NAME_CHARS),
        "timestamp": at,
        "custom_details": details,
    })
}

/// Goes on when the event is queued.
fn accepted(talk: &Talk, reply: &Reply) -> Result<(), Next> {
    let json = reply.json();
    let errors = json["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    let errors: Vec<String> = errors.iter().map(loose).filter(|e| !e.is_empty()).collect();
    let reason = match errors.is_empty() {
        true => sentence(reply),
        false => clip(&format!("{}: {}", sentence(reply), errors.join("; ")), QUOTE),
    };
    let about_key = ["routing_key", "routing key"].iter().any(|w| reason.to_lowercase().contains(w));
    match class(reply.status) {
        Class::Success if json["status"] == "success" => Ok(()),
        Class::Success => {
            Err(talk.retry(None, "the answer is not one of PagerDuty: check url and proxy".into()))
        }
        Class::Permanent if about_key => Err(end(Outcome::Pause {
            reason: format!(
                "{reason}: routing_key must be the integration key of an Events API v2 integration"
            ),
        })),
        Class::Permanent => Err(end(Outcome::Refused { reason })),
        Class::Gone => Err(end(Outcome::Pause { reason: format!("{reason}: check url") })),
        _ => Err(talk.give_up(reply, true)),
    }
}

/// Reads back from the REST API, when a token for it is set. Of records that are over nothing is read: their
/// key may belong to another episode by now, and an incident there is never reopened.
pub fn read(target: &Target, held: &[Held], exchanges: &[Exchange]) -> Next {
    if target.options.secret("api_token").is_none() {
        return Next::Done(Done::default());
    }
    let mut talk = Talk::new(exchanges, false);
    let mut done = Done::default();
    for one in held.iter().filter(|h| h.kind == RecordKind::Incident && !h.over) {
        let path = format!(
            "/incidents?incident_key={}&date_range=all&sort_by=created_at%3Adesc&limit=1",
            encode(&one.remote_id)
        );
        let mut request = Request::get(path)
            .to(target.options.text("api_url"))
            .secret("api_token", Place::Header { name: "authorization", prefix: "Token token=" });
        request.headers[0].1 = "application/vnd.pagerduty+json;version=2".to_owned();
        let reply = match talk.ask(request) {
            Ok(reply) if class(reply.status) == Class::Success => reply,
            Ok(reply) => {
                done.warning = Some(format!("what people did cannot be read: {}", sentence(reply)));
                break;
            }
            Err(Next::Done(other)) => {
                // Alerts are still taken: the other API, with another key.
                let why = other.outcomes.into_iter().find_map(|o| match o {
                    Outcome::Pause { reason } | Outcome::Retry { reason, .. } => Some(reason),
                    _ => None,
                });
                let why = why.unwrap_or_else(|| "no answer".to_owned());
                done.warning = Some(format!("what people did cannot be read: {why}"));
                break;
            }
            Err(send) => return send,
        };
        done.remotes.extend(remote(one, &reply.json()["incidents"][0]));
    }
    Next::Done(done)
}

fn remote(held: &Held, incident: &Json) -> Option<Remote> {
    if incident["incident_key"] != held.remote_id.as_str() {
        return None;
    }
    let changed = incident["last_status_change_at"].as_str().and_then(times::changed);
    let earlier = minted(&format!("sx-{}", held.record)).zip(changed).is_some_and(|(born, at)| at < born);
    let stage = match incident["status"].as_str()? {
        "triggered" => Stage::New,
        "acknowledged" => Stage::Acknowledged,
        // An earlier episode's: this record's own trigger is still queued.
        "resolved" if earlier => return None,
        "resolved" => Stage::Resolved,
        _ => return None,
    };
    let text = |json: &Json| Some(loose(json)).filter(|t| !t.is_empty());
    Some(Remote {
        record: held.record.clone(),
        rev: held.rev,
        stage,
        assignee: text(&incident["assignments"][0]["assignee"]["summary"]),
        by: text(&incident["last_status_change_by"]["summary"]),
        note: None,
        updated: None,
        wall: false,
        known_error: false,
    })
}

#[cfg(test)]
mod tests;
