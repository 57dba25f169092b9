//! What is sent for each operation, and what is read back.

use std::collections::BTreeMap;

use super::*;
use crate::engine::moment::Stamp;
use crate::engine::option::OptionValue;
use crate::engine::record::HostRef;
use crate::forward::connector::fixture::*;

fn target() -> Target {
    let host = HostRef { id: "0123456789abcdef".into(), name: "web-01".into() };
    let tags = OptionValue::List(vec!["sexton".to_owned()]);
    let options = Options(BTreeMap::from([("tags".to_owned(), tags)]));
    Target { id: "og".into(), host, born: Stamp(0), options }
}

fn play(job: &Job, steps: Vec<Step>) -> (Done, Vec<Request>) {
    let target = target();
    converse(|said| next(&target, std::slice::from_ref(job), said), steps)
}

fn queued(asked: &'static str) -> Step {
    says(asked, 202, json!({"result": "Request will be processed"}))
}

#[test]
fn what_became_of_a_new_alert_is_asked() {
    let taken = || says("POST /v2/alerts", 202, json!({"requestId": "r-1"}));
    let asked = "GET /v2/alerts/requests/r-1";
    let not_yet =
        || says(asked, 404, json!({"message": "Request not found. It might not be processed, yet."}));
    let done = |done: bool| ok(asked, json!({"data": {"isSuccess": done, "status": "Filtered out"}}));
    for (steps, refused) in [
        (vec![taken(), done(true)], false),
        (vec![taken(), not_yet(), done(false)], true),
        (vec![taken(), not_yet(), not_yet(), not_yet()], false),
        (vec![taken(), says(asked, 403, json!({}))], false),
    ] {
        let (end, _) = play(&create(), steps);
        let reason = format!("{:?}", end.outcomes[0]);
        assert_eq!(reason.contains("Refused") && reason.contains("Filtered out"), refused, "{reason}");
    }
}

#[test]
fn an_incident_is_an_alert_under_its_alert_key() {
    let job = create();
    let (done, asked) = play(&job, vec![queued("POST /v2/alerts")]);
    let alias = job.body["alert_key"].as_str().unwrap();
    assert_eq!(done.outcomes, [Outcome::stored(Some(alias.to_owned()))]);
    let body = asked[0].json_body();
    assert_eq!((&body["alias"], &body["details"]["record"]), (&json!(alias), &json!(KEY)));
    assert!(body["message"].as_str().unwrap().chars().count() <= MESSAGE_CHARS);
    assert!(body["priority"].as_str().unwrap().starts_with('P'));
}

#[test]
fn a_repeated_create_weighs_what_an_earlier_attempt_may_have_made() {
    let steps = vec![queued("POST /v2/alerts"), queued("PUT /v2/alerts/sx-a-")];
    let (done, asked) = play(&repeated(create()), steps);
    assert!(matches!(done.outcomes[0], Outcome::Stored { .. }), "{done:?}");
    assert_eq!(asked[1].json_body()["priority"], asked[0].json_body()["priority"]);
}

#[test]
fn a_resolve_closes_and_a_reopening_is_a_new_alert() {
    let (done, asked) = play(&resolve(), vec![queued("POST /v2/alerts/sx-a-")]);
    assert!(matches!(done.outcomes[0], Outcome::Stored { .. }));
    assert!(asked[0].path.ends_with("/close?identifierType=alias"), "{}", asked[0].path);
    let (_, asked) =
        play(&later(Operation::Reopen, Some(("resolved", "new"))), vec![queued("POST /v2/alerts")]);
    assert!(asked[0].json_body().get("alias").is_some());
}

#[test]
fn a_close_in_doubt_waits_until_the_first_one_cannot_come_late() {
    assert!(waits(&play(&in_doubt(resolve()), Vec::new()).0));
    let (done, _) = play(&repeated(resolve()), vec![queued("POST /v2/alerts/sx-a-")]);
    assert!(matches!(done.outcomes[0], Outcome::Stored { .. }));
}

#[test]
fn what_came_and_went_unsent_is_told_and_closed() {
    let mut job = resolve();
    (job.operation, job.acked_rev, job.remote_id) = (Operation::Create, 0, None);
    let (_, asked) = play(&job, vec![queued("POST /v2/alerts"), queued("POST /v2/alerts/sx-a-")]);
    assert!(asked[1].path.contains("/close?"));
}

#[test]
fn a_record_that_is_closed_a_day_later_leaves_the_next_episodes_alert_alone() {
    let mut job = resolve();
    (job.rev, job.acked_rev, job.body["state"]) = (3, 2, json!("closed"));
    let (done, _) = play(&job, Vec::new());
    assert!(matches!(done.outcomes[0], Outcome::Stored { .. }), "{done:?}");
}

#[test]
fn what_is_over_and_what_an_earlier_episode_left_is_not_read() {
    let record = KEY.trim_start_matches("sx-");
    let held = |over: bool| Held {
        cursor: 1,
        kind: RecordKind::Incident,
        record: record.to_owned(),
        rev: 1,
        remote_id: "sx-a-1".to_owned(),
        over,
    };
    let born = super::super::tickets::minted(KEY).unwrap();
    let closed = |at: Stamp| json!({"data": [{"alias": "sx-a-1", "status": "closed", "updatedAt": at}]});
    let ask = |steps: Vec<Step>, over| converse(|said| read(&target(), &[held(over)], said), steps).0.remotes;
    let minute = crate::engine::moment::MINUTE;
    assert!(ask(Vec::new(), true).is_empty(), "its alias may be another's");
    assert!(ask(vec![ok("GET ", closed(born.plus(-minute)))], false).is_empty(), "an earlier episode's");
    assert_eq!(ask(vec![ok("GET ", closed(born.plus(minute)))], false)[0].stage, Stage::Resolved);
}

#[test]
fn an_alert_that_people_deleted_needs_no_closing() {
    let (done, _) =
        play(&resolve(), vec![says("POST /v2/alerts/", 404, json!({"message": "Alert not found"}))]);
    assert!(matches!(done.outcomes[0], Outcome::Stored { .. }), "{done:?}");
}

#[test]
fn a_page_of_a_proxy_is_no_alert() {
    let page = Reply { status: 200, body: b"<html>sorry</html>".to_vec(), ..Reply::default() };
    for (job, asked) in [(create(), "POST /v2/alerts"), (resolve(), "POST /v2/alerts/sx-a-")] {
        let (done, _) = play(&job, vec![(asked, Ok(page.clone()))]);
        assert!(matches!(done.outcomes[0], Outcome::Retry { unknown: true, .. }), "{done:?}");
    }
}

#[test]
fn refusals_have_their_class() {
    for (status, kind) in [(422, "refused"), (403, "pause"), (429, "retry"), (503, "retry")] {
        let (done, _) = play(&create(), vec![says("POST /v2/alerts", status, json!({"message": "no"}))]);
        let got = match &done.outcomes[0] {
            Outcome::Stored { .. } => "stored",
            Outcome::Retry { .. } => "retry",
            Outcome::Pause { .. } => "pause",
            Outcome::Refused { .. } => "refused",
        };
        assert_eq!(got, kind, "{status}");
    }
}

#[test]
fn acknowledgements_and_closings_come_back() {
    let held = |n: i64, alias: &str| Held {
        cursor: n,
        kind: RecordKind::Incident,
        record: format!("r{n}"),
        rev: 1,
        remote_id: alias.to_owned(),
        over: false,
    };
    let rows = json!({"data": [
        {"alias": "sx-a-1", "status": "open", "acknowledged": true, "owner": "ada@example.org"},
        {"alias": "sx-a-2", "status": "closed", "acknowledged": true, "report": {"closedBy": "bob"}},
        {"alias": "sx-a-2", "status": "open", "acknowledged": false},
    ]});
    let held = [held(1, "sx-a-1"), held(2, "sx-a-2"), held(3, "sx-a-3")];
    let (done, _) = converse(|said| read(&target(), &held, said), vec![ok("GET /v2/alerts?query=", rows)]);
    let told: Vec<_> = done.remotes.iter().map(|r| (r.record.as_str(), r.stage, r.by.as_deref())).collect();
    assert_eq!(told, [("r1", Stage::Acknowledged, None), ("r2", Stage::Resolved, Some("bob"))]);
    let (done, _) = converse(|said| read(&target(), &held, said), vec![says("GET ", 403, json!({}))]);
    assert_eq!(done, Done::default(), "a key that may only write is no trouble");
}
