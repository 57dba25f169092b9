//! Events as they are encoded, when they are left out, and what answers mean.

use std::collections::BTreeMap;

use super::*;
use crate::engine::effect::Operation;
use crate::engine::moment::SECOND;
use crate::engine::option::SecretRef;
use crate::engine::record::HostRef;
use crate::forward::connector::fixture::{self, *};

const EVENT: &str = "POST /v2/enqueue";
const CHANGE: &str = "POST /v2/change/enqueue";
const ALERT: &str = "sx-a-0123456789abcdef-00000000000000aa";

fn target(past: &str) -> Target {
    let text = |t: &str| OptionValue::Text(t.to_owned());
    let options = Options(BTreeMap::from([
        ("past".to_owned(), text(past)),
        ("api_url".to_owned(), text("https://api.example")),
        ("api_token".to_owned(), OptionValue::Secret(SecretRef::Env("X".into()))),
    ]));
    let host = HostRef { id: "0123456789abcdef".into(), name: "web-01".into() };
    Target { id: "pd".into(), host, born: Stamp(0), options }
}

fn play(past: &str, job: &Job, steps: Vec<Step>) -> (Done, Vec<Request>) {
    let target = target(past);
    converse(|said| next(&target, std::slice::from_ref(job), said), steps)
}

fn queued(path: &'static str) -> Step {
    says(path, 202, json!({"status": "success", "message": "Event processed"}))
}

fn stored() -> Done {
    Outcome::stored(Some(ALERT.to_owned())).into()
}

fn entry(job: &mut Job, kind: &str) {
    let timeline = job.body["timeline"].as_array_mut().unwrap();
    timeline.last_mut().unwrap()["kind"] = json!(kind);
}

#[test]
fn a_trigger_says_where_how_bad_and_since_when() {
    let (done, asked) = play("change", &create(), vec![queued(EVENT)]);
    assert_eq!(done, stored());
    let event = asked[0].json_body();
    assert_eq!((&event["event_action"], &event["dedup_key"]), (&json!("trigger"), &json!(ALERT)));
    assert_eq!(event["links"], json!([{"href": "https://runbooks.example/disk", "text": "Runbook"}]));
    let payload = &event["payload"];
    for (field, value) in [
        ("summary", "web-01: /data is 91 % full"),
        ("source", "web-01"),
        ("severity", "warning"),
        ("component", "fs{mount=/data}"),
        ("group", "shop"),
        ("class", "capacity/disk"),
        ("timestamp", "2026-11-22T09:50:00.25Z"),
    ] {
        assert_eq!(payload[field], value, "{field}");
    }
    assert_eq!(payload["custom_details"]["record"], KEY);
    assert!(event.get("routing_key").is_none(), "placed by the wire");
    assert_eq!(asked[0].secrets[0].place, Place::Json("/routing_key"));
}

#[test]
fn only_real_news_may_wake_somebody() {
    for (kind, to, actions) in [
        ("sla", None, &[][..]),
        ("evidence", None, &[]),
        ("step", None, &["trigger"]),
        ("acknowledged", Some(("new", "acknowledged")), &["acknowledge"]),
        ("state", Some(("new", "on_hold")), &["acknowledge"]),
    ] {
        let mut job = later(Operation::Update, to);
        entry(&mut job, kind);
        let (done, asked) = play("change", &job, actions.iter().map(|_| queued(EVENT)).collect());
        assert_eq!(done, stored(), "{kind}");
        let sent: Vec<_> = asked.iter().map(|r| r.json_body()["event_action"].as_str().unwrap()).collect();
        assert_eq!(sent, actions, "{kind}");
    }
    let mut job = later(Operation::Reopen, Some(("resolved", "new")));
    entry(&mut job, "reopened");
    let (_, asked) = play("change", &job, vec![queued(EVENT)]);
    assert_eq!(asked[0].json_body()["event_action"], "trigger", "there is no reopening: a new alert");
    let mut taken = create();
    taken.body["state"] = json!("acknowledged");
    let (_, asked) = play("change", &taken, vec![queued(EVENT), queued(EVENT)]);
    assert_eq!(asked[1].json_body()["event_action"], "acknowledge");
}

#[test]
fn an_end_is_told_once_and_only_of_what_was_told() {
    let (done, asked) = play("change", &resolve(), vec![queued(EVENT)]);
    assert_eq!(done, stored());
    assert_eq!(asked[0].json_body(), &json!({"event_action": "resolve", "dedup_key": ALERT}));

    let mut past = resolve();
    (past.acked_rev, past.remote_id, past.operation) = (0, None, Operation::Create);
    let (done, asked) = play("change", &past, vec![queued(CHANGE)]);
    assert_eq!(done, stored(), "on record, and nobody is woken");
    assert!(asked[0].json_body()["payload"]["summary"].as_str().unwrap().contains("was over before"));
    let (_, asked) = play("alert", &past, vec![queued(EVENT), queued(EVENT)]);
    let sent = [0, 1].map(|i: usize| asked[i].json_body()["event_action"].as_str().unwrap());
    assert_eq!(sent, ["trigger", "resolve"]);

    let mut closed = resolve();
    (closed.rev, closed.acked_rev, closed.body["state"]) = (3, 2, json!("closed"));
    assert_eq!(play("change", &closed, vec![]).0, stored(), "the key may belong to another episode");
}

#[test]
fn an_end_in_doubt_waits_until_the_first_one_cannot_come_late() {
    assert!(waits(&play("change", &in_doubt(resolve()), vec![]).0));
    let later = Job { claimed_at: Stamp(3 * SECOND), ..in_doubt(resolve()) };
    assert_eq!(play("change", &later, vec![queued(EVENT)]).0, stored());
    assert_eq!(
        play("change", &in_doubt(create()), vec![queued(EVENT)]).0,
        stored(),
        "an alarm does not wait"
    );
}

#[test]
fn a_problem_is_a_change_when_it_appears_and_when_it_ends() {
    let mut job = create();
    (job.kind, job.record_key) = (RecordKind::Problem, "sx-p".to_owned());
    job.body = body(include_str!("../../../../tests/data/forward/problem.json"));
    let (done, asked) = play("change", &job, vec![queued(CHANGE)]);
    assert_eq!(done.outcomes, [Outcome::stored(Some("sx-p".into()))]);
    let payload = &asked[0].json_body()["payload"];
    assert!(payload["summary"].as_str().unwrap().starts_with("Problem PRB000007 is a candidate: web-01: "));
    assert_eq!(payload["custom_details"]["members"], json!(["INC000042"]));
    job.acked_rev = 1;
    play("change", &job, vec![]);
    job.body["state"] = json!("expired");
    play("change", &job, vec![queued(CHANGE)]);
    assert_eq!(play("change", &link(), vec![]).0.outcomes, [Outcome::stored(None)]);
}

#[test]
fn answers_mean_what_they_say() {
    let invalid = |error: &str| json!({"status": "invalid event", "message": "Event object is invalid", "errors": [error]});
    let key = invalid("Length of 'routing_key' is incorrect (should be 32 characters)");
    for (status, body, expected) in [
        (400, key, "pause"),
        (400, json!({"message": "Invalid Routing Key"}), "pause"),
        (400, invalid("'payload.summary' is too long"), "refused"),
        (413, json!({}), "refused"),
        (403, json!({}), "pause"),
        (404, json!({}), "pause"),
        (429, json!({}), "retry"),
        (500, json!({}), "retry"),
        (503, json!({}), "retry"),
        (302, json!({}), "pause"),
        (200, json!("a page of a proxy"), "retry"),
    ] {
        let (done, _) = play("change", &create(), vec![says(EVENT, status, body.clone())]);
        let got = match &done.outcomes[0] {
            Outcome::Pause { .. } => "pause",
            Outcome::Refused { reason } if status == 400 => {
                assert_eq!(reason, "HTTP 400: Event object is invalid: 'payload.summary' is too long");
                "refused"
            }
            Outcome::Refused { .. } => "refused",
            Outcome::Retry { .. } => "retry",
            Outcome::Stored { .. } => "stored",
        };
        assert_eq!(got, expected, "{status} {body}");
    }
    let (done, _) = play("change", &create(), vec![fixture::cut(EVENT, true)]);
    assert!(matches!(done.outcomes[0], Outcome::Retry { .. }));
}

#[test]
fn a_greeting_ends_what_never_was() {
    let target = target("change");
    let (done, asked) = converse(|said| hello(&target, said), vec![queued(EVENT)]);
    assert_eq!(done, Done::default());
    let event = json!({"event_action": "resolve", "dedup_key": "sx-hello-0123456789abcdef"});
    assert_eq!(asked[0].json_body(), &event);
    let bad = says(EVENT, 400, json!({"message": "Invalid Routing Key"}));
    let (done, _) = converse(|said| hello(&target, said), vec![bad]);
    assert!(matches!(&done.outcomes[0], Outcome::Pause { reason } if reason.contains("integration key")));
}

#[test]
fn what_people_did_is_read_of_open_incidents() {
    let held = |over: bool| Held {
        cursor: 1,
        kind: RecordKind::Incident,
        record: "r".into(),
        rev: 2,
        remote_id: ALERT.into(),
        over,
    };
    let get = "GET /incidents?incident_key=sx-a-0123456789abcdef-00000000000000aa&date_range=all&sort_by=created_at%3Adesc&limit=1";
    let target = target("change");
    let ask = |held: Held, steps| converse(|said| read(&target, std::slice::from_ref(&held), said), steps);
    let of = |status: &str, key: &str| {
        json!({"incidents": [{"incident_key": key, "status": status,
            "assignments": [{"assignee": {"summary": "Ada"}}], "last_status_change_by": {"summary": "Bob"}}]})
    };
    for (status, stage) in
        [("triggered", Stage::New), ("acknowledged", Stage::Acknowledged), ("resolved", Stage::Resolved)]
    {
        let (done, asked) = ask(held(false), vec![ok(get, of(status, ALERT))]);
        let remote = &done.remotes[0];
        assert_eq!(
            (remote.stage, remote.assignee.as_deref(), remote.by.as_deref()),
            (stage, Some("Ada"), Some("Bob"))
        );
        assert_eq!(asked[0].base.as_deref(), Some("https://api.example"));
        assert_eq!(asked[0].header("accept"), Some("application/vnd.pagerduty+json;version=2"));
    }
    let minute = crate::engine::moment::MINUTE;
    let born = minted(KEY).unwrap();
    for (at, read) in [(born.plus(-minute), 0), (born.plus(minute), 1)] {
        let mut ended = of("resolved", ALERT);
        ended["incidents"][0]["last_status_change_at"] = json!(at);
        let record = KEY.trim_start_matches("sx-").to_owned();
        let (done, _) = ask(Held { record, ..held(false) }, vec![ok(get, ended)]);
        assert_eq!(done.remotes.len(), read, "an earlier episode's end is not this record's");
    }
    assert_eq!(ask(held(false), vec![ok(get, of("resolved", "another"))]).0, Done::default());
    assert_eq!(ask(held(false), vec![ok(get, json!({"incidents": []}))]).0, Done::default());
    assert_eq!(ask(held(true), vec![]).0, Done::default());
    for step in [says(get, 401, json!({})), says(get, 403, json!({})), says(get, 429, json!({}))] {
        let (done, _) = ask(held(false), vec![step]);
        assert!(done.warning.is_some() && done.outcomes.is_empty() && done.pause.is_none(), "{done:?}");
    }
    let mut bare = target.clone();
    bare.options.0.remove("api_token");
    assert_eq!(read(&bare, &[held(false)], &[]), Next::Done(Done::default()));
}

#[test]
fn only_severities_of_the_api_are_taken() {
    let map = |entry: &str, value: &str| {
        let map = BTreeMap::from([(entry.to_owned(), value.to_owned())]);
        check(&Options(BTreeMap::from([("map".to_owned(), OptionValue::Map(map))])))
    };
    assert!(map("severity.p1", "error").is_ok());
    assert!(map("severity.p1", "high").unwrap_err().contains("critical, error"));
    assert!(map("severity.p6", "error").unwrap_err().contains("severity.p6"));
}
