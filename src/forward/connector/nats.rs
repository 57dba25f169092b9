//! Connector `nats`: CloudEvents into a stream of NATS JetStream.
//!
//! ```text
//! hello    the stream of each subject, and how long it remembers ids
//! record   publish up to 100 events with `Nats-Msg-Id` = operation key; each is stored when acknowledged
//! ```
//! The subject is `sexton.<host>.<kind>`, changed by the option `map`. What was published without an
//! acknowledgement is published again under the same id, and the stream takes it once within its
//! `duplicate_window`. Nothing is read back.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::classify::{Class, class, clip, outcome, sentence};
use super::login::{ANY_TOKEN, PASSWORD, USER};
use super::{
    CA, CLIENT_CERTIFICATE, CLIENT_KEY, Connector, Done, Exchange, Login, MAP, Method, Next, Request, Target,
    WireKind,
};
use crate::engine::effect::{Job, Outcome, RecordKind};
use crate::engine::option::{DoorSpec, OptionKind, OptionSpec, Options};
use crate::forward::wire::nats::Nats;
use crate::forward::wire::nats::protocol::token;

/// The connector.
pub const CONNECTOR: Connector = Connector {
    door: DoorSpec {
        kind: "nats",
        about: "CloudEvents into a stream of NATS JetStream, each acknowledged",
        options: &[
            OptionSpec {
                key: "url",
                kind: OptionKind::RequiredText,
                about: "server, nats://host:4222 or tls://host:4222",
            },
            OptionSpec {
                key: "tls",
                kind: OptionKind::Choice(&["auto", "required", "never"]),
                about: "auto: when url says tls:// or the server asks for it; never: in the clear",
            },
            ANY_TOKEN,
            USER,
            PASSWORD,
            OptionSpec {
                key: "nkey",
                kind: OptionKind::Secret,
                about: "where the user's seed is read (SU…)",
            },
            OptionSpec {
                key: "creds",
                kind: OptionKind::Secret,
                about: "where the user's credentials are read: a .creds file",
            },
            CLIENT_CERTIFICATE,
            CLIENT_KEY,
            CA,
            MAP,
        ],
        signals: &[],
        check,
    },
    batch: 100,
    concurrency: 1,
    wire: WireKind::Nats,
    logins: LOGINS,
    hello: Some(hello),
    heartbeat: None,
    next,
    read: None,
    read_batch: 1,
};

/// The wire shows whichever is set; a server may want none.
const LOGINS: &[Login] = &[Login::Basic, Login::Anonymous];

/// A window of less than this many nanoseconds is shorter than many an outage.
const WINDOW: i64 = 3600 * crate::engine::moment::SECOND;
/// The most bytes of a subject.
const SUBJECT: usize = 255;

/// Defaults of the option `map`; `{host}` is the host's name, dots and the like written as `-`.
pub const DEFAULTS: &[(&str, &str)] = &[
    ("subject.incident", "sexton.{host}.incident"),
    ("subject.problem", "sexton.{host}.problem"),
    ("subject.link", "sexton.{host}.link"),
];

fn check(options: &Options) -> Result<(), String> {
    Login::choose(LOGINS, options)?;
    Nats::address(options)?;
    for (entry, _) in DEFAULTS {
        let subject = subject(options, "host", entry);
        let plain =
            |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_graphic() && !"*>".contains(c));
        if subject.len() > SUBJECT || !subject.split('.').all(plain) {
            return Err(format!("map: {entry} = '{}' is no subject to publish on", clip(&subject, 80)));
        }
    }
    Ok(())
}

fn subject(options: &Options, host: &str, entry: &str) -> String {
    let default = DEFAULTS.iter().find(|(name, _)| *name == entry).map_or("", |(_, value)| value);
    options.mapped("map", entry).unwrap_or(default).replace("{host}", &token(host))
}

fn subject_of(target: &Target, kind: RecordKind) -> String {
    let entry = match kind {
        RecordKind::Incident => "subject.incident",
        RecordKind::Problem => "subject.problem",
        RecordKind::Link => "subject.link",
    };
    subject(&target.options, &target.host.name, entry)
}

/// Proves that a stream takes what will be published.
pub fn hello(target: &Target, exchanges: &[Exchange]) -> Next {
    let subjects: Vec<String> =
        DEFAULTS.iter().map(|(entry, _)| subject(&target.options, &target.host.name, entry)).collect();
    let Some(exchange) = exchanges.first() else {
        let look = Request::json(Method::Get, "/streams", json!({ "subjects": subjects }));
        return Next::send(look);
    };
    let Ok(reply) = &exchange.result else { return Next::Done(Done::default()) };
    if class(reply.status) == Class::Gone {
        let warning =
            format!("cannot look for the stream, which is needed for nothing else: {}", sentence(reply));
        return Next::Done(Done { warning: Some(warning), ..Done::default() });
    }
    if let Some(Outcome::Pause { reason } | Outcome::Refused { reason }) = outcome(reply, false) {
        return Next::Done(Done { pause: Some(reason), ..Done::default() });
    }
    let json = reply.json();
    let empty = Vec::new();
    let rows = json["streams"].as_array().unwrap_or(&empty);
    let without = rows.iter().find(|row| row["stream"].is_null());
    let pause = without.map(|row| {
        let subject = row["subject"].as_str().unwrap_or_default();
        format!("no stream takes {subject}: create one, `nats stream add SEXTON --subjects 'sexton.>'`")
    });
    let short = rows.iter().find(|row| row["window"].as_i64().is_some_and(|ns| ns < WINDOW));
    let warning = short.map(|row| {
        let (stream, window) = (row["stream"].as_str().unwrap_or_default(), row["window"].as_i64());
        format!(
            "stream {stream} forgets message ids after {} s: what is repeated later stands there twice; \
             raise its duplicate window above the longest outage",
            window.unwrap_or_default() / crate::engine::moment::SECOND
        )
    });
    Next::Done(Done { pause, warning, ..Done::default() })
}

/// Publishes all jobs, then their outcomes.
pub fn next(target: &Target, jobs: &[Job], exchanges: &[Exchange]) -> Next {
    let Some(exchange) = exchanges.first() else {
        let message = |job: &Job| {
            let event = super::desk::event(target, job);
            json!({"subject": subject_of(target, job.kind), "id": job.operation_key, "data": event})
        };
        let messages: Vec<Json> = jobs.iter().map(message).collect();
        return Next::send(Request::json(Method::Post, "/publish", json!({ "messages": messages })));
    };
    let all = |one: Outcome| Done { outcomes: vec![one; jobs.len()], ..Done::default() };
    Next::Done(match &exchange.result {
        Err(f) => all(Outcome::Retry { after: None, unknown: f.sent, reason: f.reason.clone() }),
        Ok(reply) => match outcome(reply, true) {
            Some(one) => all(one),
            None => {
                let json = reply.json();
                let empty = Vec::new();
                let rows = json["results"].as_array().unwrap_or(&empty);
                let rows: BTreeMap<&str, &Json> =
                    rows.iter().filter_map(|row| Some((row["id"].as_str()?, row))).collect();
                let one = |job: &Job| judge(job, rows.get(job.operation_key.as_str()).copied());
                Done { outcomes: jobs.iter().map(one).collect(), ..Done::default() }
            }
        },
    })
}

fn judge(job: &Job, row: Option<&Json>) -> Outcome {
    let row = row.unwrap_or(&Json::Null);
    let reason = clip(row["reason"].as_str().unwrap_or("no word about this message"), 300);
    match row["status"].as_str() {
        // The first place in the stream names the record from then on.
        Some("stored" | "duplicate") => Outcome::stored(job.remote_id.clone().or(Some(reason))),
        Some("missing" | "denied") => Outcome::Pause { reason },
        Some("refused") => Outcome::Refused { reason },
        Some("later") => Outcome::Retry { after: None, unknown: false, reason },
        _ => Outcome::Retry { after: None, unknown: true, reason },
    }
}

#[cfg(test)]
mod tests;
