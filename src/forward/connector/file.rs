//! Connector `file`: JSON lines of CloudEvents, for whatever reads files.
//!
//! ```text
//! GET  /find?OP&OP…   only for operations of which nobody knows whether they were written
//! POST /              the lines of the rest; written whole and synced before they count as stored
//! ```
//! Within the newest 16 MiB nothing is written twice: what a crash left in doubt is looked for first.

use serde_json::Value as Json;

use super::{Body, Connector, Done, Exchange, Method, Next, Request, Target, WireKind, classify, desk};
use crate::engine::effect::{Job, Outcome};
use crate::engine::option::{DoorSpec, OptionKind, OptionSpec, Options};

/// The connector.
pub const CONNECTOR: Connector = Connector {
    door: DoorSpec {
        kind: "file",
        about: "JSON lines of CloudEvents in a file, rotated",
        options: &[
            OptionSpec {
                key: "path",
                kind: OptionKind::RequiredText,
                about: "the file, by its absolute path; its directory must be there and writable",
            },
            OptionSpec {
                key: "size_mib",
                kind: OptionKind::Int(64, 1, 1_048_576),
                about: "MiB at which the file is rotated",
            },
            OptionSpec {
                key: "keep",
                kind: OptionKind::Int(10, 1, 1000),
                about: "rotated files that are kept: path.1 is the newest",
            },
        ],
        signals: &[],
        check,
    },
    batch: 100,
    concurrency: 1,
    wire: WireKind::File,
    logins: &[],
    hello: Some(hello),
    heartbeat: None,
    next,
    read: None,
    read_batch: 1,
};

fn check(options: &Options) -> Result<(), String> {
    let path = options.text("path");
    if !path.starts_with('/') || path.ends_with('/') {
        return Err(format!("path: '{path}' is no absolute path of a file"));
    }
    Ok(())
}

/// Proves that the file can be written.
pub fn hello(_: &Target, exchanges: &[Exchange]) -> Next {
    let Some(exchange) = exchanges.first() else { return Next::send(Request::get("/status")) };
    Next::Done(fault(exchange).map_or_else(Done::default, |outcome| match outcome {
        Outcome::Pause { reason } => Done { pause: Some(reason), ..Done::default() },
        other => Done::from(other),
    }))
}

/// The next request of a batch, or its outcomes.
pub fn next(target: &Target, jobs: &[Job], exchanges: &[Exchange]) -> Next {
    let mut said = exchanges.iter();
    let doubtful: Vec<&str> = jobs.iter().filter(|j| j.unknown).map(|j| j.operation_key.as_str()).collect();
    let mut there: Vec<String> = Vec::new();
    if !doubtful.is_empty() {
        let Some(exchange) = said.next() else {
            return Next::send(Request::get(format!("/find?{}", doubtful.join("&"))));
        };
        if let Some(outcome) = fault(exchange) {
            return all(jobs, &outcome);
        }
        let found = exchange.result.as_ref().map(super::Reply::json).unwrap_or_default();
        there = serde_json::from_value(found).unwrap_or_default();
    }
    let fresh = jobs.iter().filter(|job| !there.contains(&job.operation_key));
    let lines: String = fresh.map(|job| line(target, job)).collect();
    if !lines.is_empty() {
        match said.next() {
            Some(exchange) => {
                if let Some(outcome) = fault(exchange) {
                    return all(jobs, &outcome);
                }
            }
            None => {
                let request = Request { method: Method::Post, body: Body::Text(lines), ..Request::get("/") };
                return Next::send(request);
            }
        }
    }
    let stored = |job: &Job| Outcome::stored(Some(job.record.clone()));
    Next::Done(Done { outcomes: jobs.iter().map(stored).collect(), ..Done::default() })
}

/// One line: an event, which holds no line end in JSON.
fn line(target: &Target, job: &Job) -> String {
    let event: Json = desk::event(target, job);
    format!("{event}\n")
}

/// What went wrong, if anything did.
fn fault(exchange: &Exchange) -> Option<Outcome> {
    match &exchange.result {
        Ok(reply) => classify::outcome(reply, exchange.request.is_write()),
        Err(failure) => {
            let (unknown, reason) = (failure.sent, failure.reason.clone());
            Some(Outcome::Retry { after: None, unknown, reason })
        }
    }
}

fn all(jobs: &[Job], outcome: &Outcome) -> Next {
    Next::Done(Done { outcomes: vec![outcome.clone(); jobs.len()], ..Done::default() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fixture::{self, KEY, converse, cut, ok, repeated, says};
    use super::*;
    use crate::engine::moment::Stamp;
    use crate::engine::record::HostRef;

    fn target() -> Target {
        let host = HostRef { id: "0123456789abcdef".into(), name: "web-01".into() };
        Target { id: "file".into(), host, born: Stamp(0), options: Options::default() }
    }

    #[test]
    fn lines_are_whole_events_and_what_is_in_doubt_is_looked_for() {
        let (fresh, doubtful) = (fixture::create(), repeated(fixture::resolve()));
        let jobs = [fresh.clone(), doubtful.clone()];
        let find = "GET /find?sx-019ab000-0000-7000-8000-000000000001-2-r";
        for (found, lines) in [(json!([]), 2), (json!([format!("{KEY}-2-r")]), 1)] {
            let steps = vec![ok(find, found), ok("POST /", json!(null))];
            let (done, requests) = converse(|said| next(&target(), &jobs, said), steps);
            let Body::Text(text) = &requests[1].body else { panic!("text") };
            assert_eq!(text.lines().count(), lines);
            assert!(text.ends_with('\n'));
            let event: Json = serde_json::from_str(text.lines().next().unwrap()).unwrap();
            assert_eq!((&event["id"], &event["data"]), (&json!(format!("{KEY}-1-c")), &fresh.body));
            assert_eq!(done.outcomes, vec![Outcome::stored(Some(fresh.record.clone())); 2]);
        }
        let steps = vec![ok(find, json!([format!("{KEY}-2-r")]))];
        let (done, _) = converse(|said| next(&target(), std::slice::from_ref(&doubtful), said), steps);
        assert!(matches!(done.outcomes[..], [Outcome::Stored { .. }]), "nothing is left to write");
    }

    #[test]
    fn a_file_that_cannot_be_written_pauses_and_a_full_disk_waits() {
        for (step, expected) in [
            (says("POST /", 403, json!("no such directory")), "pause"),
            (says("POST /", 503, json!("no space left on device")), "retry"),
            (cut("POST /", true), "doubt"),
        ] {
            let (done, _) = converse(|said| next(&target(), &[fixture::create()], said), vec![step]);
            let got = match &done.outcomes[0] {
                Outcome::Pause { .. } => "pause",
                Outcome::Retry { unknown: true, .. } => "doubt",
                Outcome::Retry { .. } => "retry",
                other => panic!("{other:?}"),
            };
            assert_eq!(got, expected);
        }
        let (done, _) = converse(|said| hello(&target(), said), vec![says("GET /status", 403, json!("no"))]);
        assert!(done.pause.is_some());
    }
}
