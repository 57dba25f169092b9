//! Connector `syslog`: one message per operation, RFC 5424.
//!
//! ```text
//! <PRI>1 TIME HOST sexton - incident.create [sexton@32473 op="OP" key="sx-…" rev="1" …] INC000042 raised: …
//! <PRI>sexton: INC000042 raised: … [sexton@32473 …]          to the local socket, whose readers know no 5424
//! ```
//! The structured data names record, revision and state, so that a receiver can tell a message that came
//! twice (the same `op`) and find the newest of a record (the highest `rev`). How far "stored" can be trusted
//! depends on the way and is told at the wire.

use std::fmt::Write;

use serde_json::{Value as Json, json};

use super::login::{CA, CLIENT_CERTIFICATE, CLIENT_KEY, Login, MAP};
use super::wanted::{Subject, Wanted, cut};
use super::{Body, Connector, Done, Exchange, Method, Next, Request, Target, WireKind, classify};
use crate::engine::effect::{Job, Operation, Outcome, RecordKind};
use crate::engine::moment::Stamp;
use crate::engine::option::{DoorSpec, OptionKind, OptionSpec, OptionValue, Options};
use crate::engine::record::Severity;
use crate::forward::wire::syslog::Place;

/// The connector.
pub const CONNECTOR: Connector = Connector {
    door: DoorSpec {
        kind: "syslog",
        about: "syslog by RFC 5424: TLS, TCP, UDP or the local socket",
        options: OPTIONS,
        signals: &[],
        check,
    },
    batch: 100,
    concurrency: 1,
    wire: WireKind::Syslog,
    logins: &[],
    hello: Some(hello),
    heartbeat: None,
    next,
    read: None,
    read_batch: 1,
};

const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        key: "url",
        kind: OptionKind::Text(Some("unix:///dev/log")),
        about: "tls://host:6514, tcp://host:601, udp://host:514 or unix:///dev/log",
    },
    OptionSpec {
        key: "confirm",
        kind: OptionKind::Bool(true),
        about: "by TLS and TCP: stored is what the receiver has read to the end",
    },
    OptionSpec {
        key: "format",
        kind: OptionKind::Choice(&["auto", "rfc5424", "local"]),
        about: "auto: local for the local socket, else rfc5424",
    },
    OptionSpec { key: "facility", kind: OptionKind::Choice(FACILITIES), about: "facility of all messages" },
    OptionSpec {
        key: "app_name",
        kind: OptionKind::Text(Some("sexton")),
        about: "name of the application, up to 48 visible characters",
    },
    OptionSpec {
        key: "sd_id",
        kind: OptionKind::Text(Some("sexton@32473")),
        about: "name of the structured data: NAME@ENTERPRISE-NUMBER",
    },
    OptionSpec {
        key: "most_bytes",
        kind: OptionKind::Int(0, 480, 65_000),
        about: "longest message in bytes; without it 2048 by UDP, else 8192",
    },
    MAP,
    CLIENT_CERTIFICATE,
    CLIENT_KEY,
    CA,
];

/// Facilities, the default first.
const FACILITIES: &[&str] = &[
    "daemon", "kern", "user", "mail", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];
/// Their numbers.
const NUMBERS: &[u8] = &[3, 0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 16, 17, 18, 19, 20, 21, 22, 23];
/// Severities in the order of their numbers.
const SEVERITIES: &[&str] = &["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];
/// Defaults of the option `map`.
const DEFAULTS: &[(&str, &str)] = &[
    ("severity.critical", "crit"),
    ("severity.warning", "warning"),
    ("severity.info", "info"),
    ("severity.over", "notice"),
];
/// The most characters of a value in the structured data.
const VALUE: usize = 128;
/// The most bytes of a host name (RFC 5424, 6).
const HOSTNAME: usize = 255;

/// What the options must satisfy together.
fn check(options: &Options) -> Result<(), String> {
    Login::choose(&[], options)?;
    let place = Place::parse(options.text("url"))?;
    if !matches!(place, Place::Tls(..))
        && ["ca", "client_certificate"].iter().any(|o| !options.text(o).is_empty())
    {
        return Err("ca and client_certificate are for tls://".to_owned());
    }
    let app = options.text("app_name");
    if app.is_empty() || app.len() > 48 || !app.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("app_name must have 1 to 48 visible ASCII characters".to_owned());
    }
    let id = options.text("sd_id");
    let number = id.split_once('@').map(|(name, number)| (is_sd_name(name), number));
    let dotted = |n: &str| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if id.len() > 32 || !number.is_some_and(|(name, number)| name && dotted(number)) {
        return Err(format!("sd_id: '{id}' is not of the form name@number, at most 32 characters"));
    }
    let Some(OptionValue::Map(map)) = options.0.get("map") else { return Ok(()) };
    for (entry, word) in map {
        if !DEFAULTS.iter().any(|(known, _)| known == entry) {
            let known: Vec<&str> = DEFAULTS.iter().map(|(name, _)| *name).collect();
            return Err(format!("map has no entry '{entry}'; there are {}", known.join(", ")));
        }
        if !SEVERITIES.contains(&word.as_str()) {
            return Err(format!("map: '{word}' is no severity; there are {}", SEVERITIES.join(", ")));
        }
    }
    Ok(())
}

fn is_sd_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && !b"=]\"@".contains(&b))
}

/// Proves that there is a receiver, with TLS where it belongs.
pub fn hello(_: &Target, exchanges: &[Exchange]) -> Next {
    let Some(exchange) = exchanges.first() else { return Next::send(Request::get("/status")) };
    Next::Done(match &exchange.result {
        Ok(_) => Done::default(),
        Err(failure) => {
            Done::from(Outcome::Retry { after: None, unknown: false, reason: failure.reason.clone() })
        }
    })
}

/// The post of a batch, or its outcomes.
pub fn next(target: &Target, jobs: &[Job], exchanges: &[Exchange]) -> Next {
    let Some(exchange) = exchanges.first() else {
        let messages: Vec<String> = jobs.iter().map(|job| message(target, job)).collect();
        let body = Body::Json(json!(messages));
        return Next::send(Request { method: Method::Post, body, ..Request::get("/") });
    };
    let fault = match &exchange.result {
        Ok(reply) => classify::outcome(reply, true),
        Err(failure) => {
            let (unknown, reason) = (failure.sent, failure.reason.clone());
            Some(Outcome::Retry { after: None, unknown, reason })
        }
    };
    let stored = |job: &Job| fault.clone().unwrap_or_else(|| Outcome::stored(Some(job.record.clone())));
    Next::Done(Done { outcomes: jobs.iter().map(stored).collect(), ..Done::default() })
}

/// The message of one operation.
fn message(target: &Target, job: &Job) -> String {
    let options = &target.options;
    let place = Place::parse(options.text("url")).ok();
    let local = match options.text("format") {
        "rfc5424" => false,
        "local" => true,
        _ => matches!(place, Some(Place::Local(_))),
    };
    let usual = if matches!(place, Some(Place::Udp(..))) { 2048 } else { 8192 };
    let most = usize::try_from(options.int("most_bytes")).ok().filter(|m| *m > 0).unwrap_or(usual);
    let told = told(job);
    let data = data(options.text("sd_id"), &told.data);
    let priority = priority(options, told.severity, told.over);
    let app = options.text("app_name");
    if local {
        let room = most.saturating_sub(data.len() + app.len() + 8);
        return format!("<{priority}>{app}: {} {data}", classify::clip(&told.text, room));
    }
    let time = time(job.body["at"].as_str().unwrap_or_default());
    let visible = |c: char| if c.is_ascii_graphic() { c } else { '-' };
    let host: String = target.host.name.chars().take(HOSTNAME).map(visible).collect();
    let host = if host.is_empty() { "-".to_owned() } else { host };
    let head = format!("<{priority}>1 {time} {host} {app} - {}.{} {data} ", told.kind, told.operation);
    let text = classify::clip(&told.text, most.saturating_sub(head.len() + 3));
    // UTF-8 is announced (RFC 5424, 6.4); plain ASCII needs no announcement.
    let mark = if text.is_ascii() { "" } else { "\u{feff}" };
    format!("{head}{mark}{text}")
}

/// What a message says.
struct Told {
    kind: &'static str,
    operation: &'static str,
    severity: Severity,
    over: bool,
    data: Vec<(&'static str, String)>,
    text: String,
}

fn told(job: &Job) -> Told {
    let (operation, verb) = match job.operation {
        Operation::Create => ("create", "raised"),
        Operation::Update => ("update", "updated"),
        Operation::Resolve => ("resolve", "resolved"),
        Operation::Reopen => ("reopen", "reopened"),
        Operation::Link => ("link", "linked"),
    };
    let mut data = vec![
        ("op", job.operation_key.clone()),
        ("key", job.record_key.clone()),
        ("rev", job.rev.to_string()),
        ("operation", operation.to_owned()),
    ];
    let text_of = |key: &str| job.body[key].as_str().unwrap_or_default().to_owned();
    let wanted = if job.kind == RecordKind::Link { None } else { Wanted::of(job).ok() };
    let Some(wanted) = wanted else {
        let kind = match job.kind {
            RecordKind::Link => "link",
            RecordKind::Problem => "problem",
            RecordKind::Incident => "incident",
        };
        data.extend([("incident", text_of("incident")), ("problem", text_of("problem"))]);
        let text = format!("incident {} belongs to problem {}", text_of("incident"), text_of("problem"));
        return Told { kind, operation, severity: Severity::Info, over: false, data, text };
    };
    let word = |value: Json| value.as_str().unwrap_or_default().to_owned();
    data.extend([
        ("number", wanted.number.clone()),
        ("state", text_of("state")),
        ("severity", word(json!(wanted.severity))),
        ("priority", word(json!(wanted.priority))),
        ("category", wanted.category.clone()),
        ("ci", wanted.ci.clone()),
        ("service", wanted.service.clone().unwrap_or_default()),
    ]);
    let kind = match &wanted.record {
        Subject::Incident(incident) => {
            data.extend([
                ("rule", incident.rule.id.clone()),
                ("instance", incident.instance.clone()),
                ("alert", incident.alert_key.clone()),
            ]);
            "incident"
        }
        Subject::Problem(_) => "problem",
    };
    let timeline = job.body["timeline"].as_array();
    let note = timeline.and_then(|t| t.last()).and_then(|entry| entry["note"].as_str()).unwrap_or_default();
    let weight = format!("{}, {:?}", word(json!(wanted.severity)), wanted.priority);
    let text = one_line(&format!("{} {verb}: {} ({weight}) {note}", wanted.number, wanted.subject));
    Told { kind, operation, severity: wanted.severity, over: wanted.is_over(), data, text }
}

fn one_line(text: &str) -> String {
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect();
    words.join(" ")
}

/// Structured data (RFC 5424, 6.3): in a value `"`, `\` and `]` are escaped.
fn data(id: &str, values: &[(&'static str, String)]) -> String {
    let mut out = format!("[{id}");
    for (name, value) in values.iter().filter(|(_, value)| !value.is_empty()) {
        let _ = write!(out, " {name}=\"");
        for c in cut(value, VALUE).chars() {
            match c {
                '"' | '\\' | ']' => out.extend(['\\', c]),
                c if c.is_control() => out.push(' '),
                c => out.push(c),
            }
        }
        out.push('"');
    }
    out.push(']');
    out
}

fn priority(options: &Options, severity: Severity, over: bool) -> u8 {
    let entry = match severity {
        _ if over => "severity.over",
        Severity::Critical => "severity.critical",
        Severity::Warning => "severity.warning",
        Severity::Info => "severity.info",
    };
    let default = DEFAULTS.iter().find(|(name, _)| *name == entry).map_or("info", |(_, word)| word);
    let word = options.mapped("map", entry).unwrap_or(default);
    let severity = SEVERITIES.iter().position(|s| *s == word).and_then(|n| u8::try_from(n).ok()).unwrap_or(6);
    let facility = FACILITIES.iter().position(|f| *f == options.text("facility")).map_or(3, |n| NUMBERS[n]);
    facility * 8 + severity
}

/// A time with at most six digits of a second's part (RFC 5424, 6.2.3).
fn time(text: &str) -> String {
    let Ok(at) = text.parse::<Stamp>() else { return "-".to_owned() };
    Stamp(at.0.div_euclid(1000).saturating_mul(1000)).to_string()
}

#[cfg(test)]
mod tests;
