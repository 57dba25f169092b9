//! A scripted Jira: each request must be the expected one.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::*;
use crate::engine::effect::{Operation, Outcome, RecordKind, Stage};
use crate::engine::moment::{SECOND, Stamp};
use crate::engine::option::{OptionValue, SecretRef};
use crate::engine::record::HostRef;
use crate::forward::connector::fixture::*;
use crate::forward::connector::{Done, Request};

fn target(api: &str, map: &[(&str, &str)]) -> Target {
    let map: BTreeMap<_, _> = map.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let options = Options(BTreeMap::from([
        ("project".to_owned(), OptionValue::Text("OPS".to_owned())),
        ("api".to_owned(), OptionValue::Text(api.to_owned())),
        ("map".to_owned(), OptionValue::Map(map)),
    ]));
    let host = HostRef { id: "0123456789abcdef".into(), name: "web-01".into() };
    Target { id: "jira".into(), host, born: Stamp(0), options }
}

fn play(job: &Job, steps: Vec<Step>) -> (Done, Vec<Request>) {
    let target = target("3", &[]);
    converse(|said| next(&target, std::slice::from_ref(job), said), steps)
}

/// An issue in a status, with the ways out of it.
fn issue(key: &str, (status, category): (&str, &str), ways: &[(&str, &str, &str)]) -> Json {
    let way = |(id, name, category): &(&str, &str, &str)| {
        let to = json!({"name": name, "statusCategory": {"key": category}});
        json!({"id": id, "name": name, "to": to, "fields": {}})
    };
    json!({
        "key": key,
        "fields": {"labels": ["sexton", KEY], "summary": "x", "priority": {"name": "Low"},
            "status": {"name": status, "statusCategory": {"key": category}}},
        "transitions": ways.iter().map(way).collect::<Vec<_>>(),
    })
}

fn found(issues: &[Json]) -> Json {
    json!({"issues": issues, "isLast": true})
}

fn outcome(done: &Done) -> &Outcome {
    assert_eq!(done.outcomes.len(), 1, "{done:?}");
    &done.outcomes[0]
}

const NEW: (&str, &str) = ("Open", "new");
const SEARCH: &str = "POST /rest/api/3/search/jql";
const ISSUE: &str = "GET /rest/api/3/issue/OPS-7?";

#[test]
fn a_first_create_is_read_back_and_carries_both_keys() {
    let (done, asked) = play(
        &create(),
        vec![
            ok(SEARCH, found(&[])),
            says("POST /rest/api/3/issue", 201, json!({"id": "10007", "key": "OPS-7"})),
            ok(ISSUE, issue("OPS-7", NEW, &[])),
        ],
    );
    assert_eq!(outcome(&done), &Outcome::stored(Some("OPS-7".into())));
    let fields = &asked[1].json_body()["fields"];
    assert_eq!(fields["labels"][1], KEY);
    assert!(fields["labels"][2].as_str().unwrap().starts_with("sx-a-"), "{fields}");
    assert_eq!(
        (&fields["project"]["key"], &fields["issuetype"]["name"]),
        (&json!("OPS"), &json!("[System] Incident"))
    );
    assert_eq!(fields["description"]["type"], "doc");
    assert_eq!(asked[1].json_body()["properties"][0]["value"]["key"], KEY);
}

#[test]
fn a_field_that_the_project_does_not_show_is_left_out() {
    let refusal = json!({"errorMessages": [], "errors": {"priority": "Field 'priority' cannot be set."}});
    let (done, asked) = play(
        &create(),
        vec![
            ok(SEARCH, found(&[])),
            says("POST /rest/api/3/issue", 400, refusal),
            says("POST /rest/api/3/issue", 201, json!({"key": "OPS-7"})),
            ok(ISSUE, issue("OPS-7", NEW, &[])),
        ],
    );
    assert_eq!(outcome(&done), &Outcome::stored(Some("OPS-7".into())));
    assert!(asked[2].json_body()["fields"].get("priority").is_none());
}

#[test]
fn a_wrong_name_pauses_the_destination_and_a_bad_record_only_itself() {
    for (errors, paused) in [
        (json!({"issuetype": "Specify a valid issue type"}), true),
        (json!({"customfield_10001": "Team is required."}), false),
    ] {
        let refusal = json!({"errorMessages": [], "errors": errors});
        let steps = vec![ok(SEARCH, found(&[])), says("POST /rest/api/3/issue", 400, refusal)];
        let (done, _) = play(&create(), steps);
        let told = matches!(outcome(&done), Outcome::Pause { reason } if reason.contains("valid issue type"));
        assert_eq!(told, paused, "{done:?}");
        assert_eq!(matches!(outcome(&done), Outcome::Refused { .. }), !paused, "{done:?}");
    }
}

#[test]
fn a_lost_create_waits_until_the_search_must_show_it() {
    let mut job = repeated(create());
    (job.doubt_at, job.claimed_at) = (Some(Stamp(0)), Stamp(10 * SECOND));
    let (done, _) = play(&job, vec![ok(SEARCH, found(&[]))]);
    let Outcome::Retry { after: Some(after), unknown: false, .. } = outcome(&done) else {
        panic!("{done:?}")
    };
    assert!(*after <= Duration::from_secs(290), "{after:?}");
    // Rows of other keys are not ours, whatever the filter did.
    let mut other = issue("OPS-3", NEW, &[]);
    other["fields"]["labels"] = json!(["sexton", "sx-other"]);
    job.claimed_at = Stamp(301 * SECOND);
    let (done, _) = play(
        &job,
        vec![
            ok(SEARCH, found(&[other])),
            ok(SEARCH, found(&[])),
            says("POST /rest/api/3/issue", 201, json!({"key": "OPS-7"})),
            ok(ISSUE, issue("OPS-7", NEW, &[])),
            ok(SEARCH, found(&[])),
        ],
    );
    assert_eq!(outcome(&done), &Outcome::stored(Some("OPS-7".into())));
}

fn amended(operation: Operation, to: Option<(&str, &str)>) -> Job {
    Job { remote_id: Some("OPS-7".into()), ..later(operation, to) }
}

#[test]
fn a_resolve_finds_its_way_over_other_states() {
    let done_way = [("31", "Resolved", "done")];
    let (done, asked) = play(
        &amended(Operation::Resolve, Some(("new", "resolved"))),
        vec![
            ok(ISSUE, issue("OPS-7", NEW, &[("11", "Work in progress", "indeterminate")])),
            says("POST /rest/api/3/issue/OPS-7/comment", 201, json!({})),
            says("POST /rest/api/3/issue/OPS-7/transitions", 204, json!({})),
            ok(ISSUE, issue("OPS-7", ("Work in progress", "indeterminate"), &done_way)),
            says("POST /rest/api/3/issue/OPS-7/transitions", 204, json!({})),
        ],
    );
    assert_eq!(outcome(&done), &Outcome::stored(Some("OPS-7".into())));
    assert_eq!(asked[4].json_body()["transition"]["id"], "31");
    assert!(asked[4].json_body().get("fields").is_none(), "no resolution where the screen has none");
}

#[test]
fn an_issue_that_was_moved_to_another_project_is_resolved_there() {
    let steps = vec![
        ok(ISSUE, issue("NET-9", NEW, &[("31", "Resolved", "done")])),
        says("POST /rest/api/3/issue/OPS-7/comment", 201, json!({})),
        says("POST /rest/api/3/issue/OPS-7/transitions", 204, json!({})),
    ];
    let (done, asked) = play(&amended(Operation::Resolve, Some(("new", "resolved"))), steps);
    assert_eq!(outcome(&done), &Outcome::stored(Some("OPS-7".into())));
    assert_eq!(asked[2].json_body()["transition"]["id"], "31");
}

#[test]
fn a_dead_end_says_which_ways_there_are() {
    let job = amended(Operation::Resolve, Some(("new", "resolved")));
    let (done, _) = play(
        &job,
        vec![
            ok(ISSUE, issue("OPS-7", NEW, &[("9", "Escalate", "new")])),
            says("POST /rest/api/3/issue/OPS-7/comment", 201, json!({})),
        ],
    );
    let Outcome::Refused { reason } = outcome(&done) else { panic!("{done:?}") };
    assert!(reason.contains("escalate"), "{reason}");
}

#[test]
fn what_a_person_has_ended_stays_ended() {
    let over = issue("OPS-7", ("Canceled", "done"), &[("5", "Open", "new")]);
    let job = amended(Operation::Update, None);
    let steps = vec![ok(ISSUE, over), says("POST /rest/api/3/issue/OPS-7/comment", 201, json!({}))];
    let (done, _) = play(&job, steps);
    assert_eq!(outcome(&done), &Outcome::stored(Some("OPS-7".into())));
}

#[test]
fn a_hidden_project_pauses_instead_of_making_the_issue_anew() {
    let steps = vec![
        says(
            ISSUE,
            404,
            json!({"errorMessages": ["Issue does not exist or you do not have permission to see it."]}),
        ),
        says("GET /rest/api/3/project/OPS", 404, json!({"errorMessages": ["No project could be found"]})),
    ];
    let (done, _) = play(&amended(Operation::Update, None), steps);
    let Outcome::Pause { reason } = outcome(&done) else { panic!("{done:?}") };
    assert!(reason.contains("Browse projects"), "{reason}");
}

#[test]
fn a_link_falls_back_to_a_type_that_every_site_has() {
    let job = Job { remote_id: Some("OPS-7".into()), remote_problem: Some("OPS-8".into()), ..link() };
    let none = json!({"errorMessages": ["No issue link type with name 'Problem/Incident' found."]});
    let steps = vec![
        says("POST /rest/api/3/issueLink", 404, none),
        says("POST /rest/api/3/issueLink", 201, json!({})),
    ];
    let (done, asked) = play(&job, steps);
    assert_eq!(outcome(&done), &Outcome::stored(None));
    assert_eq!(asked[1].json_body()["type"]["name"], "Relates");
    assert_eq!(asked[1].json_body()["inwardIssue"]["key"], "OPS-8", "the problem causes");
}

#[test]
fn states_are_read_back() {
    let held = |n: i64, key: &str| Held {
        cursor: n,
        kind: RecordKind::Incident,
        record: format!("r{n}"),
        rev: 3,
        remote_id: key.to_owned(),
        over: false,
    };
    let mut taken = issue("OPS-1", ("Work in progress", "indeterminate"), &[]);
    taken["fields"]["assignee"] = json!({"displayName": "Ada"});
    taken["fields"]["updated"] = json!("2026-11-22T11:00:00.000+0100");
    let held = [held(1, "OPS-1"), held(2, "OPS-2"), held(3, "OPS-3"), held(4, "OPS-4"), held(5, "no key")];
    let issues = [taken, issue("OPS-2", ("Pending", "indeterminate"), &[]), issue("OPS-9", NEW, &[])];
    let target = target("3", &[]);
    let moved = ok("GET /rest/api/3/issue/OPS-3?", issue("NET-7", ("Pending", "indeterminate"), &[]));
    let steps = vec![
        ok("POST /rest/api/3/issue/bulkfetch", found(&issues)),
        moved,
        says("GET /rest/api/3/issue/OPS-4?", 404, json!({})),
        ok("GET /rest/api/3/project/OPS", json!({"key": "OPS"})),
    ];
    let (done, asked) = converse(|said| read(&target, &held, said), steps);
    assert_eq!(asked[0].json_body()["issueIdsOrKeys"], json!(["OPS-1", "OPS-2", "OPS-3", "OPS-4"]));
    let told: Vec<_> =
        done.remotes.iter().map(|r| (r.record.as_str(), r.stage, r.assignee.as_deref())).collect();
    assert_eq!(
        told,
        [("r1", Stage::InProgress, Some("Ada")), ("r2", Stage::OnHold, None), ("r3", Stage::OnHold, None)]
    );
    assert_eq!(done.gone, ["r4"], "what was moved answers to its old key, what was deleted does not");
    assert_eq!(done.remotes[0].updated, "2026-11-22T10:00:00Z".parse().ok());
    assert!(asked[0].json_body()["fields"].as_array().is_some_and(|all| all.contains(&json!("updated"))));
}

#[test]
fn hello_names_what_must_be_mended() {
    let types =
        json!({"issueTypes": [{"id": "10", "name": "[System] Incident"}, {"id": "11", "name": "Bug"}]});
    let field = |id: &str, required: bool| json!({"fieldId": id, "name": id, "required": required, "hasDefaultValue": false});
    let good = [
        field("summary", true),
        field("labels", false),
        field("priority", false),
        field("description", false),
    ];
    let greet = |map: &[(&str, &str)], fields: Vec<Json>| {
        let target = target("3", map);
        let mut steps = vec![
            ok("GET /rest/api/3/project/OPS", json!({"key": "OPS"})),
            ok("GET /rest/api/3/issue/createmeta/OPS/issuetypes?", types.clone()),
        ];
        if !map.iter().any(|(k, _)| *k == "type.incident") {
            steps.push(ok("GET /rest/api/3/issue/createmeta/OPS/issuetypes/10?", json!({"fields": fields})));
        }
        let (done, _) = converse(|said| hello(&target, said), steps);
        (done.pause.unwrap_or_default(), done.warning.unwrap_or_default())
    };
    let without = [("type.problem", "")];
    assert_eq!(greet(&without, good.to_vec()), (String::new(), String::new()));
    let team = [good.to_vec(), vec![field("customfield_1", true)]].concat();
    assert!(greet(&without, team.clone()).0.contains("customfield_1 (map set.customfield_1)"));
    assert_eq!(greet(&[("type.problem", ""), ("set.customfield_1", "x")], team).0, "");
    assert!(greet(&without, vec![field("summary", true)]).0.contains("no labels"));
    assert!(greet(&without, good[..3].to_vec()).1.contains("no description"));
    let wrong = greet(&[("type.incident", "Incidnt")], Vec::new()).0;
    assert!(wrong.contains("[System] Incident, Bug") && wrong.contains("map type.incident"), "{wrong}");
}

#[test]
fn options_that_make_no_sense_are_named() {
    let options = |pairs: &[(&str, OptionValue)]| {
        Options(pairs.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect())
    };
    let token = ("token", OptionValue::Secret(SecretRef::Env("T".into())));
    assert!(check(&options(&[])).unwrap_err().contains("user and password, or token"));
    assert_eq!(check(&options(std::slice::from_ref(&token))), Ok(()));
    let project = ("project", OptionValue::Text("Service desk".into()));
    assert!(check(&options(&[token, project])).unwrap_err().contains("no project key"));
}

#[test]
fn a_page_in_jiras_place_is_no_consent() {
    let page = || ok(ISSUE, json!("<html>sign in</html>"));
    let (done, _) = play(&amended(Operation::Update, None), vec![page()]);
    assert!(matches!(outcome(&done), Outcome::Retry { .. }), "an issue without a key is none: {done:?}");
    let steps = vec![
        ok(ISSUE, issue("OPS-7", NEW, &[])),
        ok("POST /rest/api/3/issue/OPS-7/comment", json!("<html>sign in</html>")),
    ];
    let (done, _) = play(&amended(Operation::Update, None), steps);
    assert!(matches!(outcome(&done), Outcome::Retry { unknown: true, .. }), "perhaps said: {done:?}");
}
