//! Events as they are encoded, and posts as they are cut and judged.

use super::*;
use crate::engine::effect::Operation;
use crate::engine::record::HostRef;
use crate::forward::connector::fixture::{self, *};

const POST: &str = "POST /api/global/em/jsonv2";
const ALERT: &str = "sx-a-0123456789abcdef-00000000000000aa";

fn target() -> Target {
    let host = HostRef { id: "0123456789abcdef".into(), name: "web-01".into() };
    Target { id: "em".into(), host, born: Stamp(0), options: Options::default() }
}

fn play(jobs: &[Job], steps: Vec<Step>) -> (Done, Vec<Request>) {
    let target = target();
    converse(|said| next(&target, jobs, said), steps)
}

fn queued() -> Step {
    ok(POST, json!({}))
}

fn stored(key: &str) -> Outcome {
    Outcome::stored(Some(key.to_owned()))
}

fn named(name: &str) -> Job {
    let mut job = create();
    job.body["ci"]["name"] = json!(name);
    job
}

#[test]
fn an_incident_is_an_event_of_its_alert() {
    let (done, asked) = play(&[create()], vec![queued()]);
    assert_eq!(done.outcomes, [stored(ALERT)]);
    let event = &asked[0].json_body()["records"][0];
    for (field, value) in [
        ("source", "sexton"),
        ("node", "web-01"),
        ("resource", "fs{mount=/data}"),
        ("metric_name", "disk-full"),
        ("type", "capacity/disk"),
        ("severity", "4"),
        ("message_key", ALERT),
        ("resolution_state", "New"),
        ("time_of_event", "2026-11-22 09:50:00"),
    ] {
        assert_eq!(event[field], value, "{field}");
    }
    let info: Json = serde_json::from_str(event["additional_info"].as_str().unwrap()).unwrap();
    assert_eq!(info["sexton_record"], KEY);
    assert!(info.as_object().unwrap().values().all(Json::is_string), "{info}");
}

#[test]
fn an_end_clears_and_what_is_past_does_both() {
    let (_, asked) = play(&[resolve()], vec![queued()]);
    let events = asked[0].json_body()["records"].as_array().unwrap();
    assert_eq!(
        (events.len(), &events[0]["severity"], &events[0]["message_key"]),
        (1, &json!("0"), &json!(ALERT))
    );
    let mut past = resolve();
    (past.acked_rev, past.remote_id, past.operation) = (0, None, Operation::Create);
    let (_, asked) = play(&[past], vec![queued()]);
    let events = asked[0].json_body()["records"].as_array().unwrap();
    assert_eq!([&events[0]["severity"], &events[1]["severity"]], [&json!("4"), &json!("0")]);

    let mut closed = resolve();
    (closed.rev, closed.acked_rev, closed.body["state"]) = (3, 2, json!("closed"));
    let (done, _) = play(&[closed], vec![]);
    assert_eq!(
        done.outcomes,
        [stored(ALERT)],
        "told already; the alert may belong to another episode by now"
    );
}

#[test]
fn an_end_in_doubt_waits_until_the_first_one_cannot_come_late_and_others_go() {
    assert!(waits(&play(&[in_doubt(resolve())], vec![]).0));
    let (done, asked) = play(&[in_doubt(resolve()), in_doubt(named("a"))], vec![queued()]);
    assert!(matches!(done.outcomes[..], [Outcome::Retry { .. }, Outcome::Stored { .. }]), "{done:?}");
    assert_eq!(asked[0].json_body()["records"].as_array().unwrap().len(), 1);
}

#[test]
fn a_problem_is_an_alert_without_action_and_a_link_is_none() {
    let mut problem = create();
    problem.kind = RecordKind::Problem;
    problem.body = body(include_str!("../../../../tests/data/forward/problem.json"));
    problem.record_key = "sx-p".to_owned();
    let (done, asked) = play(&[problem, link()], vec![queued()]);
    assert_eq!(done.outcomes, [stored("sx-p"), Outcome::stored(None)]);
    let events = asked[0].json_body()["records"].as_array().unwrap();
    assert_eq!((events.len(), &events[0]["severity"]), (1, &json!("5")));
    assert!(events[0]["additional_info"].as_str().unwrap().contains("INC000042"));
}

#[test]
fn names_and_texts_are_cut_to_what_is_kept() {
    let (_, asked) = play(&[named(&"é".repeat(300))], vec![queued()]);
    let event = &asked[0].json_body()["records"][0];
    assert_eq!(event["node"].as_str().unwrap().chars().count(), NAME_CHARS);
    assert!(event["node"].as_str().unwrap().ends_with('…'));
}

#[test]
fn a_batch_that_is_refused_is_halved_until_the_culprit_stands_alone() {
    let jobs = [named("a"), named("b"), named("c")];
    let bad = || says(POST, 400, json!({"error": {"message": "bad", "detail": "node"}}));
    let (done, asked) = play(&jobs, vec![bad(), queued(), bad(), queued(), bad()]);
    let sizes: Vec<_> = asked.iter().map(|r| r.json_body()["records"].as_array().unwrap().len()).collect();
    assert_eq!(sizes, [3, 1, 2, 1, 1]);
    let refused = Outcome::Refused { reason: "HTTP 400: bad: node".to_owned() };
    assert_eq!(done.outcomes, [stored(ALERT), stored(ALERT), refused]);

    let (done, _) = play(&jobs[..1], vec![ok(POST, json!({"error": "no such table"}))]);
    assert!(matches!(done.outcomes[0], Outcome::Refused { .. }), "a refusal inside a 200");
}

#[test]
fn trouble_keeps_everything() {
    let jobs = [named("a"), named("b")];
    for (status, pause) in [(401, true), (403, true), (404, true), (429, false), (500, false), (503, false)] {
        let (done, _) = play(&jobs, vec![says(POST, status, json!({}))]);
        let is_pause = done.outcomes.iter().all(|o| matches!(o, Outcome::Pause { .. }));
        let lost = status == 500;
        let is_retry =
            done.outcomes.iter().all(|o| matches!(o, Outcome::Retry { unknown, .. } if *unknown == lost));
        assert_eq!((is_pause, is_retry), (pause, !pause), "{status}: {:?}", done.outcomes);
    }
    let (done, _) = play(&jobs, vec![fixture::cut(POST, true)]);
    assert!(done.outcomes.iter().all(|o| matches!(o, Outcome::Retry { unknown: true, .. })));
}

#[test]
fn a_greeting_sends_no_event() {
    let greet = |status| converse(|said| hello(&target(), said), vec![says(POST, status, json!({}))]);
    let (done, asked) = greet(200);
    assert_eq!((done, asked[0].json_body()), (Done::default(), &json!({"records": []})));
    assert_eq!(greet(400).0, Done::default(), "an instance that wants at least one");
    assert!(greet(403).0.pause.unwrap().contains("evt_mgmt_integration"));
    assert!(greet(404).0.pause.unwrap().contains("not active"));
    assert!(matches!(greet(503).0.outcomes[0], Outcome::Retry { .. }));
}
