//! Connector `opsgenie`: alerts of Opsgenie and of Jira Service Management Operations (the same requests at
//! another address).
//!
//! The alert key is the alias, which the far end deduplicates while an alert is open: a create may be
//! repeated. Every request is only queued there (202): what became of a new alert is asked afterwards, where
//! the key may (Opsgenie itself, not Jira Service Management). An alert that is closed is not reopened: what
//! comes back is a new alert with the same alias. There are no problems: a link writes the problem's key into
//! the incident's alert.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::classify::{Class, class, sentence};
use super::request::encode;
use super::talk::{LAG, Talk, end};
use super::tickets::{minted, refused, success};
use super::told::{self, Tell};
use super::wanted::{Subject, Wanted, cut};
use super::{
    CA, Connector, Done, Exchange, Login, Method, Next, PROXY, Reply, Request, TOKEN, Target, WireKind, times,
};
use crate::engine::effect::{Held, Job, Operation, Outcome, RecordKind, Remote, Stage};
use crate::engine::option::{DoorSpec, OptionKind, OptionSpec, Options};

/// An integration key.
const LOGINS: &[Login] = &[Login::Secret { option: "token", header: "authorization", prefix: "GenieKey " }];

/// Limits of the far end in characters.
const MESSAGE_CHARS: usize = 130;
const DESCRIPTION_CHARS: usize = 15_000;
const ENTITY_CHARS: usize = 512;
const NOTE_CHARS: usize = 25_000;
const TAG_CHARS: usize = 50;

/// The connector.
pub const CONNECTOR: Connector = Connector {
    door: DoorSpec {
        kind: "opsgenie",
        about: "Opsgenie and Jira Service Management Operations: alerts",
        options: &[
            OptionSpec {
                key: "url",
                kind: OptionKind::Text(Some("https://api.opsgenie.com")),
                about: "https://api.opsgenie.com, https://api.eu.opsgenie.com, or https://api.atlassian.com/jsm/ops/integration",
            },
            TOKEN,
            OptionSpec {
                key: "tags",
                kind: OptionKind::List(&["sexton"]),
                about: "tags of each alert, at most 18 of 50 characters",
            },
            OptionSpec {
                key: "responders",
                kind: OptionKind::List(&[]),
                about: "names of teams that are told; by default those of the integration",
            },
            PROXY,
            CA,
        ],
        signals: &[],
        check,
    },
    wire: WireKind::Http,
    logins: LOGINS,
    batch: 1,
    concurrency: 4,
    hello: Some(hello),
    heartbeat: None,
    next,
    read: Some(read),
    read_batch: 20,
};

/// How long after a request its end is asked for, again and again; an alert is usually there within a second.
const PROCESSED: &[Duration] =
    &[Duration::from_millis(500), Duration::from_millis(1000), Duration::from_millis(2000)];

/// Tags at most, one being the service's.
const TAGS: usize = 18;

fn check(options: &Options) -> Result<(), String> {
    let tags = options.list("tags");
    if tags.len() > TAGS || tags.iter().any(|t| t.chars().count() > TAG_CHARS) {
        return Err(format!("tags: at most {TAGS} of {TAG_CHARS} characters each"));
    }
    Ok(())
}

/// A list of one alert shows whether the key is known. Integrations of JSM may only write: 403 is fit there.
fn hello(_: &Target, exchanges: &[Exchange]) -> Next {
    let mut talk = Talk::new(exchanges, false);
    let reply = match talk.ask(Request::get("/v2/alerts?limit=1")) {
        Ok(reply) => reply,
        Err(next) => return next,
    };
    match reply.status {
        402 => pause("the plan of this account has no API", &sentence(reply)),
        422 => pause("the token is no integration key", &sentence(reply)),
        _ => Next::Done(Done::default()),
    }
}

fn pause(what: &str, told: &str) -> Next {
    super::tickets::pause(format!("{what} ({told})"))
}

fn next(target: &Target, jobs: &[Job], exchanges: &[Exchange]) -> Next {
    let [job] = jobs else {
        return refused("this connector takes one job at a time".to_owned());
    };
    let mut talk = Talk::new(exchanges, job.unknown);
    let told = match (job.kind, Wanted::of(job)) {
        (RecordKind::Link, _) => link(&mut talk, job),
        // The links of its incidents name it.
        (RecordKind::Problem, _) => Ok(None),
        (RecordKind::Incident, Ok(wanted)) => tell(&mut talk, target, job, &wanted).map(Some),
        (_, Err(reason)) => Err(refused(reason)),
    };
    match told {
        Ok(alias) => end(Outcome::stored(alias)),
        Err(next) => next,
    }
}

/// Brings the alert to where the record stands. The remote id is the alias.
fn tell(talk: &mut Talk, target: &Target, job: &Job, wanted: &Wanted) -> Result<String, Next> {
    let alias = wanted.alert_key.clone();
    let Subject::Incident(incident) = &wanted.record else { return Ok(alias) };
    let told = told::tell(job, incident);
    if matches!(told, Tell::Over | Tell::Past) {
        // A close that is carried out late would end the next alert of this alias.
        talk.wait_for_lost(job, LAG)?;
    }
    let over = match told {
        Tell::Firing => false,
        Tell::Over => true,
        // It came and went while the far end was away: it is told, and closed at once.
        Tell::Past => {
            open(talk, target, alert(target, job, wanted))?;
            true
        }
        // The alias may be that of the next episode's alert by now.
        Tell::Nothing => return Ok(alias),
    };
    if over {
        let note = wanted.comment.clone().unwrap_or_else(|| wanted.closure.clone());
        post(talk, of(&alias, "close"), note_body(&note, wanted))?;
        return Ok(alias);
    }
    if job.operation == Operation::Create || wanted.reopens {
        open(talk, target, alert(target, job, wanted))?;
        if job.unknown || job.attempts > 0 {
            // An earlier attempt may have made it: then this one was only counted there.
            weigh(talk, &alias, wanted)?;
        }
        return Ok(alias);
    }
    if let Some(text) = &wanted.comment {
        post(talk, of(&alias, "notes"), note_body(text, wanted))?;
    }
    if wanted.weighs {
        weigh(talk, &alias, wanted)?;
    }
    if wanted.change == Some(Stage::Acknowledged) || wanted.change == Some(Stage::InProgress) {
        post(talk, of(&alias, "acknowledge"), note_body("", wanted))?;
    }
    Ok(alias)
}

/// Makes an alert, and asks what became of the request: a filter of the integration may have discarded it.
/// What is not processed within some seconds is believed.
fn open(talk: &mut Talk, target: &Target, alert: Json) -> Result<(), Next> {
    let reply = talk.ask(Request::json(Method::Post, "/v2/alerts", alert))?;
    taken(talk, reply)?;
    let json = reply.json();
    let request = json["requestId"].as_str().unwrap_or_default();
    if request.is_empty() || target.options.text("url").contains("/jsm/") {
        return Ok(());
    }
    for wait in PROCESSED {
        let ask = Request::get(format!("/v2/alerts/requests/{}", encode(request))).later(*wait);
        let reply = talk.ask(ask)?;
        match class(reply.status) {
            Class::Success => {
                let data = &reply.json()["data"];
                let done = data["isSuccess"].as_bool().or(data["success"].as_bool());
                let status = data["status"].as_str().unwrap_or("it does not say why");
                return match done {
                    Some(false) => Err(refused(format!("the alert was taken and then not made: {status}"))),
                    _ => Ok(()),
                };
            }
            // Not processed yet.
            Class::Gone => {}
            _ => return Ok(()),
        }
    }
    Ok(())
}

/// The problem's key among the details of the incident's alert.
fn link(talk: &mut Talk, job: &Job) -> Result<Option<String>, Next> {
    let Some(alias) = &job.remote_id else {
        return Err(refused("the incident has no alert".to_owned()));
    };
    let problem = job.body["problem"].as_str().unwrap_or_default();
    post(
        talk,
        of(alias, "details"),
        json!({"details": {"problem": format!("sx-{problem}")}, "source": "sexton"}),
    )?;
    Ok(None)
}

fn of(alias: &str, what: &str) -> String {
    format!("/v2/alerts/{}/{what}?identifierType=alias", encode(alias))
}

fn post(talk: &mut Talk, path: String, body: Json) -> Result<(), Next> {
    done(talk, Request::json(Method::Post, path, body))
}

fn done(talk: &mut Talk, request: Request) -> Result<(), Next> {
    let reply = talk.ask(request)?;
    match class(reply.status) {
        // A person closed and deleted it: there is nothing to do any more.
        Class::Gone => Ok(()),
        _ => taken(talk, reply),
    }
}

/// It stands in the queue: a success in any other form is that of something in between.
fn taken(talk: &Talk, reply: &Reply) -> Result<(), Next> {
    success(talk, reply)?;
    if reply.json().is_object() {
        return Ok(());
    }
    let reason = format!("not what Opsgenie answers: a proxy, or url leads elsewhere ({})", sentence(reply));
    Err(talk.retry(None, reason))
}

fn weigh(talk: &mut Talk, alias: &str, wanted: &Wanted) -> Result<(), Next> {
    let body = json!({"priority": priority(wanted)});
    done(talk, Request::json(Method::Put, of(alias, "priority"), body))
}

fn note_body(text: &str, wanted: &Wanted) -> Json {
    let note = format!("{text}\n{}", wanted.marker);
    json!({"source": "sexton", "note": cut(note.trim(), NOTE_CHARS)})
}

fn priority(wanted: &Wanted) -> String {
    format!("P{}", wanted.priority.number())
}

fn alert(target: &Target, job: &Job, wanted: &Wanted) -> Json {
    let mut tags: Vec<String> = target.options.list("tags").to_vec();
    tags.extend(wanted.service.iter().map(|s| cut(s, TAG_CHARS)));
    let mut details = json!({
        "record": wanted.key, "number": wanted.number, "op": job.operation_key, "host": target.host.name,
        "category": wanted.category,
    });
    if let Subject::Incident(incident) = &wanted.record {
        details["rule"] = json!(incident.rule.id);
        details["instance"] = json!(cut(&incident.instance, 200));
        if let Some(problem) = &incident.links.problem {
            details["problem"] = json!(format!("sx-{problem}"));
        }
    }
    let mut body = json!({
        "message": cut(&wanted.subject, MESSAGE_CHARS),
        "alias": wanted.alert_key,
        "description": cut(&wanted.content, DESCRIPTION_CHARS),
        "priority": priority(wanted),
        "entity": cut(&wanted.ci, ENTITY_CHARS),
        "source": "sexton",
        "tags": tags,
        "details": details,
    });
    let teams = target.options.list("responders");
    if !teams.is_empty() {
        body["responders"] = teams.iter().map(|t| json!({"name": t, "type": "team"})).collect();
    }
    body
}

/// Reads the alerts of these aliases; the newest of an alias is the one that counts. Of records that are over
/// nothing is read: their alias may be the next episode's, and a closing is only queued when it is told.
fn read(_: &Target, held: &[Held], exchanges: &[Exchange]) -> Next {
    let mut talk = Talk::new(exchanges, false);
    let incidents = || held.iter().filter(|h| h.kind == RecordKind::Incident && !h.over);
    let query: Vec<String> = incidents().map(|h| format!("alias: \"{}\"", h.remote_id)).collect();
    if query.is_empty() {
        return Next::Done(Done::default());
    }
    let query = encode(&query.join(" OR "));
    let path = format!("/v2/alerts?query={query}&sort=createdAt&order=desc&limit=100");
    let reply = match talk.ask(Request::get(path)) {
        Ok(reply) if class(reply.status) == Class::Success => reply,
        // An integration that may only write reads nothing back.
        Ok(_) => return Next::Done(Done::default()),
        Err(next) => return next,
    };
    let json = reply.json();
    let alerts = json["data"].as_array().cloned().unwrap_or_default();
    let remotes = incidents().filter_map(|h| remote(h, alerts.iter().find(|a| a["alias"] == h.remote_id)?));
    Next::Done(Done { remotes: remotes.collect(), ..Done::default() })
}

fn remote(held: &Held, alert: &Json) -> Option<Remote> {
    let owner = alert["owner"].as_str().filter(|o| !o.is_empty()).map(str::to_owned);
    let changed = alert["updatedAt"].as_str().and_then(times::changed);
    let earlier = minted(&format!("sx-{}", held.record)).zip(changed).is_some_and(|(born, at)| at < born);
    let stage = match (alert["status"].as_str()?, alert["acknowledged"].as_bool()) {
        // An earlier episode's: this record's own is still queued.
        ("closed", _) if earlier => return None,
        ("closed", _) => Stage::Resolved,
        ("open", Some(true)) => Stage::Acknowledged,
        ("open", _) => Stage::New,
        _ => return None,
    };
    let by = alert["report"]["closedBy"].as_str().or(alert["report"]["acknowledgedBy"].as_str());
    let by = by.filter(|b| !b.is_empty()).map(str::to_owned);
    Some(Remote {
        record: held.record.clone(),
        rev: held.rev,
        stage,
        assignee: owner,
        by,
        note: None,
        updated: None,
        wall: false,
        known_error: false,
    })
}

#[cfg(test)]
mod tests;
