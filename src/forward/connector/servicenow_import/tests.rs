//! Rows as they are staged, and results as they are judged.

use std::collections::BTreeMap;

use super::*;
use crate::engine::effect::Operation;
use crate::engine::moment::Stamp;
use crate::engine::option::OptionValue;
use crate::engine::record::HostRef;
use crate::forward::connector::fixture::*;

const POST: &str = "POST /api/now/import/u_sexton_incident";

fn target(map: &[(&str, &str)]) -> Target {
    let map: BTreeMap<_, _> = map.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let options = Options(BTreeMap::from([("map".to_owned(), OptionValue::Map(map))]));
    let host = HostRef { id: "0123456789abcdef".into(), name: "web-01".into() };
    Target { id: "snow".into(), host, born: Stamp(0), options }
}

fn play(job: &Job, steps: Vec<Step>) -> (Done, Vec<Request>) {
    let target = target(&[]);
    converse(|said| next(&target, std::slice::from_ref(job), said), steps)
}

fn result(status: &str, id: &str, message: &str) -> Json {
    json!({"import_set": "ISET0010001", "staging_table": "u_sexton_incident", "result": [{
        "transform_map": "sexton", "table": "incident", "status": status, "sys_id": id,
        "status_message": message}]})
}

fn staged(status: &str, id: &str) -> Step {
    says(POST, 201, result(status, id, "No field values changed"))
}

#[test]
fn a_create_stages_everything_and_an_update_only_the_news() {
    let (done, asked) = play(&create(), vec![staged("inserted", "20")]);
    assert_eq!(done, Outcome::stored(Some("20".into())).into());
    let body = asked[0].json_body().as_object().unwrap();
    assert!(body.keys().all(|column| COLUMNS.contains(&column.as_str())), "{body:?}");
    assert_eq!(
        [&body["u_correlation_id"], &body["u_impact"], &body["u_urgency"], &body["u_ci"]],
        [KEY, "2", "3", "web-01"]
    );
    assert!(!body.contains_key("u_state"), "the table's own default");

    let (_, asked) = play(&later(Operation::Update, None), vec![staged("updated", "20")]);
    let body = asked[0].json_body().as_object().unwrap();
    let columns: Vec<&str> = body.keys().map(String::as_str).collect();
    assert_eq!(columns, ["u_correlation_id", "u_marker", "u_short_description", "u_work_notes"]);
    assert!(body["u_work_notes"].as_str().unwrap().contains(body["u_marker"].as_str().unwrap()));
}

#[test]
fn states_bring_the_fields_that_they_need() {
    for (operation, to, expected) in [
        (Operation::Resolve, ("new", "resolved"), [Some("6"), Some("Solution provided"), None]),
        (Operation::Update, ("new", "on_hold"), [Some("3"), None, Some("5")]),
        (Operation::Reopen, ("resolved", "new"), [Some("2"), None, None]),
    ] {
        let (_, asked) = play(&later(operation, Some(to)), vec![staged("updated", "20")]);
        let body = asked[0].json_body();
        let got = ["u_state", "u_close_code", "u_hold_reason"].map(|c| body[c].as_str());
        assert_eq!(got, expected, "{operation:?}");
    }
    let mut past = resolve();
    (past.acked_rev, past.remote_id, past.operation) = (0, None, Operation::Create);
    let (_, asked) = play(&past, vec![staged("inserted", "20")]);
    assert_eq!(asked[0].json_body()["u_state"], "6", "made in its last state");
    assert!(asked[0].json_body()["u_close_notes"].is_string());
}

#[test]
fn what_may_still_be_transformed_is_not_staged_again() {
    for job in [create(), resolve()] {
        assert!(waits(&play(&in_doubt(job), vec![]).0));
    }
    let (done, _) = play(&repeated(create()), vec![staged("updated", "20")]);
    assert_eq!(done, Outcome::stored(Some("20".into())).into());
}

#[test]
fn a_link_names_both_ends_by_key() {
    let mut job = link();
    job.body = json!({"id": "i-p", "incident": "i", "problem": "p"});
    let (done, asked) = play(&job, vec![staged("updated", "20")]);
    assert_eq!(done.outcomes, [Outcome::stored(None)]);
    assert_eq!(asked[0].json_body(), &json!({"u_correlation_id": "sx-i", "u_problem": "sx-p"}));
    job.body = json!({});
    assert!(matches!(play(&job, vec![]).0.outcomes[0], Outcome::Refused { .. }));
}

#[test]
fn a_201_is_not_yet_a_success() {
    let (done, _) = play(&create(), vec![says(POST, 201, result("error", "", "Invalid impact"))]);
    let reason = "the transform map of u_sexton_incident failed: Invalid impact".to_owned();
    assert_eq!(done.outcomes, [Outcome::Refused { reason }]);
    let (done, _) = play(&create(), vec![staged("ignored", "")]);
    assert!(matches!(&done.outcomes[0], Outcome::Refused { reason } if reason.contains("ignored")));
    for job in [create(), resolve()] {
        let (done, _) = play(&job, vec![staged("ignored", "20")]);
        assert_eq!(done.outcomes, [Outcome::stored(Some("20".into()))], "nothing had changed");
        assert!(done.warning.is_some());
    }
    let (done, _) = play(&resolve(), vec![staged("skipped", "")]);
    assert_eq!(done.outcomes, [Outcome::stored(Some("20".into()))], "the ticket is known");
    // The account may not read what it staged.
    for body in [json!({}), json!({"result": []}), Json::Null] {
        let (done, _) = play(&create(), vec![says(POST, 201, body)]);
        assert!(matches!(done.outcomes[0], Outcome::Retry { unknown: true, .. }), "{done:?}");
        assert!(done.pause.unwrap().contains("grant read access"));
    }
}

#[test]
fn a_table_that_takes_nothing_pauses() {
    for (status, words) in [(403, "Insufficient rights"), (404, "Not found"), (400, "Invalid table u_x")] {
        let (done, _) = play(&create(), vec![says(POST, status, json!({"error": {"message": words}}))]);
        assert!(matches!(&done.outcomes[0], Outcome::Pause { reason } if reason.contains(words)), "{done:?}");
    }
    let (done, _) = play(&create(), vec![says(POST, 500, json!({}))]);
    assert!(matches!(done.outcomes[0], Outcome::Retry { unknown: true, .. }));
    let (done, _) = play(&create(), vec![says(POST, 413, json!({}))]);
    assert!(matches!(done.outcomes[0], Outcome::Refused { .. }));
}

#[test]
fn a_greeting_finds_missing_columns() {
    let table = |name: &'static str, row: Json| ok(name, json!({ "result": row }));
    let all: JsonMap<String, Json> = COLUMNS.iter().map(|c| ((*c).to_owned(), json!(""))).collect();
    let greet = |steps| converse(|said| hello(&target(&[]), said), steps).0;
    let first = "GET /api/now/table/u_sexton_incident?";
    let second = "GET /api/now/table/u_sexton_problem?";
    assert_eq!(greet(vec![table(first, json!([all])), table(second, json!([]))]), Done::default());
    let done = greet(vec![table(first, json!([{"u_correlation_id": ""}]))]);
    assert!(done.pause.unwrap().contains("lacks columns or hides them: u_correlation_display, "));
    let done = greet(vec![says(first, 400, json!({"error": {"message": "Invalid table"}}))]);
    assert!(done.pause.unwrap().contains("u_sexton_incident"));
}

#[test]
fn reading_back_is_asked_for() {
    let held = [Held {
        cursor: 1,
        kind: RecordKind::Incident,
        record: "r".into(),
        rev: 2,
        remote_id: "20".into(),
        over: false,
    }];
    let none = target(&[]);
    assert_eq!(converse(|said| read(&none, &held, said), vec![]).0, Done::default());
    let some = target(&[("target.incident", "incident")]);
    let rows = json!({"result": [{"sys_id": {"value": "20"}, "state": {"value": "6"}}]});
    let get = "GET /api/now/table/incident?sysparm_query=sys_idIN20";
    let (done, _) = converse(|said| read(&some, &held, said), vec![ok(get, rows)]);
    assert_eq!(done.remotes[0].stage, Stage::Resolved);
    let (done, _) = converse(|said| read(&some, &held, said), vec![says(get, 403, json!({}))]);
    assert!(done.pause.is_none() && done.warning.is_some(), "importing goes on: {done:?}");
}
