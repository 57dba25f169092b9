//! Conversations with a scripted instance: tickets. The rest stands in `other`.

mod other;

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::*;
use crate::engine::effect::{Operation, Outcome};
use crate::engine::moment::Stamp;
use crate::engine::option::OptionValue;
use crate::engine::record::HostRef;
use crate::forward::connector::fixture::*;
use crate::forward::connector::{Failure, Request};

const FIND: &str = "GET /api/now/table/incident?sysparm_query=correlation_id%3Dsx-019ab000";
const ORPHANS: &str = "GET /api/now/table/incident?sysparm_query=correlation_display%3Dsx-a-";
const CI: &str = "GET /api/now/table/cmdb_ci?sysparm_query=name%3Dweb-01&";
const POST: &str = "POST /api/now/table/incident?";
const READ: &str = "GET /api/now/table/incident/20?";
const PATCH: &str = "PATCH /api/now/table/incident/20?";
const CHOICES: &str = "GET /api/now/table/sys_choice?";

fn target(map: &[(&str, &str)]) -> Target {
    let map: BTreeMap<_, _> = map.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let options = Options(BTreeMap::from([("map".to_owned(), OptionValue::Map(map))]));
    let host = HostRef { id: "0123456789abcdef".into(), name: "web-01".into() };
    // The store is older than any orphan that would be looked for.
    Target { id: "snow".into(), host, born: Stamp(-100 * crate::engine::moment::DAY), options }
}

fn play(map: &[(&str, &str)], job: &Job, steps: Vec<Step>) -> (Done, Vec<Request>) {
    let target = target(map);
    converse(|said| next(&target, std::slice::from_ref(job), said), steps)
}

/// A row as it is shown with its display values.
fn row(state: &str, more: &[(&str, &str)]) -> Json {
    let mut row = json!({});
    let base = [("sys_id", "20"), ("number", "INC0010001"), ("correlation_id", KEY), ("state", state)];
    let base = base.iter().chain(&[("impact", "2"), ("urgency", "3"), ("problem_id", "")]);
    for (field, value) in base.chain(more) {
        row[*field] = json!({"value": value, "display_value": value});
    }
    row
}

fn one(asked: &'static str, row: Json) -> Step {
    ok(asked, json!({ "result": row }))
}

fn many(asked: &'static str, rows: &[Json]) -> Step {
    ok(asked, json!({ "result": rows }))
}

fn made() -> Step {
    says(POST, 201, json!({"result": {"sys_id": "20", "number": "INC0010001"}}))
}

fn refuses(asked: &'static str, status: u16, detail: &str) -> Step {
    says(
        asked,
        status,
        json!({"error": {"message": "Operation Failed", "detail": detail}, "status": "failure"}),
    )
}

fn stored() -> Outcome {
    Outcome::stored(Some("20".to_owned()))
}

fn reason(done: &Done) -> &str {
    match &done.outcomes[0] {
        Outcome::Retry { reason, .. } | Outcome::Pause { reason } | Outcome::Refused { reason } => reason,
        Outcome::Stored { .. } => "stored",
    }
}

fn a_ci() -> Step {
    many(CI, &[json!({"sys_id": "c1", "name": "WEB-01"})])
}

#[test]
fn a_create_sends_texts_within_their_limits_and_reads_back() {
    let mut job = create();
    job.body["title"] = json!("é".repeat(300));
    job.body["description"] = json!("x".repeat(9000));
    let (done, asked) =
        play(&[("category.capacity", "hardware")], &job, vec![a_ci(), made(), one(READ, row("1", &[]))]);
    assert_eq!(done, stored().into());
    let body = asked[1].json_body().as_object().unwrap();
    assert!(body.values().all(Json::is_string), "everything is text: {body:?}");
    let chars = |field: &str| body[field].as_str().unwrap().chars().count();
    assert_eq!((chars("short_description"), chars("description")), (160, 4000));
    for (field, value) in [
        ("impact", "2"),
        ("urgency", "3"),
        ("correlation_id", KEY),
        ("correlation_display", "sx-a-0123456789abcdef-00000000000000aa"),
        ("cmdb_ci", "c1"),
        ("category", "hardware"),
    ] {
        assert_eq!(body[field], value, "{field}");
    }
    assert!(!body.contains_key("priority") && !body.contains_key("caller_id"), "{body:?}");
}

#[test]
fn a_configuration_item_is_linked_only_when_there_is_one() {
    let ci = |sys_id: &str, name: &str| json!({"sys_id": sys_id, "name": name});
    let full: &'static str =
        "GET /api/now/table/cmdb_ci?sysparm_query=name%3Dweb-01.example.org%5EORname%3Dweb-01&";
    for (name, rows, wanted) in [
        ("none", vec![], None),
        ("one of the short name", vec![ci("s", "web-01")], Some("s")),
        ("the full name counts more", vec![ci("s", "web-01"), ci("f", "Web-01.example.org")], Some("f")),
        ("two", vec![ci("a", "web-01"), ci("b", "web-01")], None),
        ("a condition was left out", vec![ci("a", "db-7"), ci("b", "web-01")], Some("b")),
    ] {
        let mut job = create();
        job.body["ci"]["name"] = json!("web-01.example.org");
        let (_, asked) = play(&[], &job, vec![many(full, &rows), made(), one(READ, row("1", &[]))]);
        assert_eq!(asked[1].json_body().get("cmdb_ci").and_then(Json::as_str), wanted, "{name}");
        let note = asked[1].json_body()["work_notes"].as_str().unwrap();
        assert_eq!(note.contains("configuration item"), wanted.is_none(), "{name}: {note}");
    }
    for name in ["a^active=true", "javascript:gs.beginningOfToday()"] {
        let mut job = create();
        job.body["ci"]["name"] = json!(name);
        let (_, asked) = play(&[], &job, vec![made(), one(READ, row("1", &[]))]);
        assert!(asked[0].json_body().get("cmdb_ci").is_none(), "never part of a query: {name}");
    }
    // A name is not the ticket's reason to fail.
    play(&[], &create(), vec![refuses(CI, 403, "no"), made(), one(READ, row("1", &[]))]);
}

#[test]
fn a_search_that_does_not_filter_or_hides_makes_no_second_ticket() {
    let stranger = row("1", &[("correlation_id", "somebody-else")]);
    let (done, _) = play(&[], &repeated(create()), vec![many(FIND, &[stranger])]);
    assert!(
        matches!(&done.outcomes[0], Outcome::Pause { reason } if reason.contains("ignore correlation_id"))
    );
    let mut hidden = reply(200, &json!({"result": []}));
    hidden.headers.insert("x-total-count".to_owned(), "1".to_owned());
    let (done, _) = play(&[], &repeated(create()), vec![(FIND, Ok(hidden))]);
    assert!(
        matches!(&done.outcomes[0], Outcome::Pause { reason } if reason.contains("hidden from this user"))
    );
    // Found, adopted, its first comment looked for.
    let mut job = repeated(create());
    job.doubt_at = Some(Stamp(0));
    let journal = json!({"result": {"sys_id": {"value": "20"}, "work_notes": {"value": "", "display_value": format!("[{}]", job.operation_key)}}});
    let steps = vec![many(FIND, &[row("1", &[])]), one(READ, row("1", &[])), ok(READ, journal)];
    assert_eq!(play(&[], &job, steps).0.outcomes, [stored()]);
}

#[test]
fn a_journal_that_is_too_long_is_not_waited_for() {
    let failure = Failure { sent: true, reason: "the answer is larger than 1048576 bytes".into() };
    let job = repeated(later(Operation::Update, None));
    let open = || one(READ, row("2", &[]));
    let (done, asked) = play(&[], &job, vec![open(), (READ, Err(failure)), one(PATCH, row("2", &[]))]);
    assert_eq!(done.outcomes, [stored()]);
    assert!(asked[2].json_body()["work_notes"].is_string(), "better twice than never");
    let broken = Failure { sent: true, reason: "connection reset".into() };
    let (done, _) = play(&[], &job, vec![open(), (READ, Err(broken))]);
    assert!(matches!(done.outcomes[0], Outcome::Retry { unknown: true, .. }));
}

#[test]
fn refusals_of_a_create_are_told_apart() {
    for (status, detail, pauses, words) in [
        (403, "ACL Exception Insert Failed due to security constraints", true, "grant role itil"),
        (
            403,
            "Data Policy Exception: The following fields are mandatory: Caller",
            true,
            "set.incident.<field>",
        ),
        (403, "Operation against file 'incident' was aborted by Business Rule 'x'", false, "Business Rule"),
        (400, "Invalid table incident", true, "there is no table"),
        (404, "No Record found", true, "takes no rows"),
        (400, "something else", false, "something else"),
    ] {
        let (done, _) = play(&[], &create(), vec![a_ci(), refuses(POST, status, detail)]);
        let is_pause = matches!(done.outcomes[0], Outcome::Pause { .. });
        assert_eq!(is_pause, pauses, "{detail}: {done:?}");
        assert!(reason(&done).contains(words), "{detail}: {done:?}");
    }
    let (done, _) = play(&[], &create(), vec![a_ci(), says(POST, 201, json!({}))]);
    assert!(matches!(done.outcomes[0], Outcome::Retry { unknown: true, .. }), "{done:?}");
    assert!(done.pause.unwrap().contains("cannot be read"));
}

#[test]
fn a_resolve_brings_code_and_notes() {
    let choice = |value: &str| json!({"name": "incident", "element": "close_code", "value": value});
    let old = [choice("Solved (Work Around)"), choice("Solved (Permanently)")];
    let other = json!({"name": "task", "element": "state", "value": "Solution provided"});
    for (map, steps, code) in [
        (&[("close_code", "Mine")][..], vec![], "Mine"),
        (&[], vec![many(CHOICES, &old)], "Solved (Permanently)"),
        (
            &[],
            vec![many(CHOICES, &[choice("Known error"), choice("Solution provided")])],
            "Solution provided",
        ),
        (&[], vec![many(CHOICES, &[other])], "Solution provided"),
        (&[], vec![refuses(CHOICES, 403, "no")], "Solution provided"),
    ] {
        let mut all = vec![one(READ, row("2", &[]))];
        all.extend(steps);
        all.push(one(PATCH, row("6", &[])));
        let (done, asked) = play(map, &resolve(), all);
        assert_eq!(done, stored().into());
        let body = asked.last().unwrap().json_body();
        assert_eq!((&body["state"], &body["close_code"]), (&json!("6"), &json!(code)));
        assert!(body["close_notes"].is_string() && body["work_notes"].as_str().unwrap().contains("-2-r]"));
    }
}

#[test]
fn a_state_left_alone_without_a_word_is_found() {
    let mine = &[("close_code", "Mine")];
    let (done, _) = play(mine, &resolve(), vec![one(READ, row("2", &[])), one(PATCH, row("2", &[]))]);
    assert!(reason(&done).contains("was left at 2"), "{done:?}");
    let (done, _) = play(mine, &resolve(), vec![one(READ, row("2", &[])), ok(PATCH, json!("a page"))]);
    assert!(matches!(done.outcomes[0], Outcome::Retry { unknown: true, .. }), "{done:?}");
    let policy = "Data Policy Exception: The following fields are mandatory: Cause";
    let (done, _) = play(mine, &resolve(), vec![one(READ, row("2", &[])), refuses(PATCH, 403, policy)]);
    assert!(matches!(&done.outcomes[0], Outcome::Refused { reason } if reason.contains("resolve.incident")));
    for state in ["6", "7", "8"] {
        let mut steps = vec![one(READ, row(state, &[]))];
        if state == "6" {
            steps.push(one(PATCH, row(state, &[])));
        }
        let (done, asked) = play(mine, &resolve(), steps);
        assert_eq!(done.outcomes, [stored()], "{state}");
        assert!(asked.iter().all(|r| r.json_body().get("state").is_none()), "a person was first: {state}");
    }
}

#[test]
fn a_reopen_opens_what_is_resolved_and_succeeds_what_is_closed() {
    let job = later(Operation::Reopen, Some(("resolved", "new")));
    let (_, asked) = play(&[], &job, vec![one(READ, row("6", &[])), one(PATCH, row("2", &[]))]);
    assert_eq!(asked[1].json_body()["state"], "2");
    let second = says(POST, 201, json!({"result": {"sys_id": "21"}}));
    let read = |key: &str| {
        one("GET /api/now/table/incident/21?", row("1", &[("sys_id", "21"), ("correlation_id", key)]))
    };
    let steps = vec![one(READ, row("7", &[])), a_ci(), second, read(&format!("{KEY}-2"))];
    let (done, asked) = play(&[], &job, steps);
    assert_eq!(done.outcomes, [Outcome::stored(Some("21".into()))]);
    let body = asked[2].json_body();
    assert_eq!(
        (&body["correlation_id"], &body["parent_incident"]),
        (&json!(format!("{KEY}-2")), &json!("20"))
    );
    assert!(body["work_notes"].as_str().unwrap().contains("Succeeds INC0010001"));
}

#[test]
fn a_hold_has_a_reason_and_weight_only_rises_when_it_rose_here() {
    let job = later(Operation::Update, Some(("new", "on_hold")));
    let (_, asked) = play(&[], &job, vec![one(READ, row("1", &[])), one(PATCH, row("3", &[]))]);
    let body = asked[1].json_body();
    assert_eq!((&body["state"], &body["hold_reason"]), (&json!("3"), &json!("5")));
    let weigh = |kind: &str, has: &[(&str, &str)]| {
        let mut job = later(Operation::Update, None);
        job.body["timeline"][1]["kind"] = json!(kind);
        let (_, asked) = play(&[], &job, vec![one(READ, row("2", has)), one(PATCH, row("2", &[]))]);
        let body = asked[1].json_body();
        ["impact", "urgency"].map(|f| body.get(f).and_then(Json::as_str).map(str::to_owned))
    };
    assert_eq!(weigh("step", &[("impact", "3"), ("urgency", "3")]), [Some("2".into()), None]);
    assert_eq!(weigh("step", &[("impact", "1"), ("urgency", "1")]), [None, None], "a person gave it more");
    assert_eq!(weigh("sla", &[("impact", "3"), ("urgency", "3")]), [None, None], "a person gave it less");
}

#[test]
fn what_a_host_said_is_no_html() {
    let mut job = later(Operation::Update, None);
    job.body["timeline"][1]["note"] = json!("[code]<b>x</b>[/CODE] [co");
    let (_, asked) = play(&[], &job, vec![one(READ, row("2", &[])), one(PATCH, row("2", &[]))]);
    let note = asked[1].json_body()["work_notes"].as_str().unwrap();
    assert!(note.contains("[ code]<b>x</b>[ /CODE] [co"), "{note}");
}

#[test]
fn a_candidate_is_ended_where_the_state_model_allows_it() {
    let (read, patch) = ("GET /api/now/table/problem/20?", "PATCH /api/now/table/problem/20?");
    let mut job = create();
    (job.kind, job.operation, job.rev, job.acked_rev) = (RecordKind::Problem, Operation::Resolve, 2, 1);
    (job.remote_id, job.body) =
        (Some("20".into()), body(include_str!("../../../../tests/data/forward/problem.json")));
    job.body["state"] = json!("expired");
    let (done, asked) = play(&[], &job, vec![one(read, row("101", &[])), one(patch, row("107", &[]))]);
    assert_eq!(done, stored().into());
    let body = asked[1].json_body();
    for (field, value) in [("state", "107"), ("problem_state", "107"), ("resolution_code", "canceled")] {
        assert_eq!(body[field], value, "{field}");
    }
    let refused = refuses(patch, 403, "The following fields are mandatory: Assigned to");
    let (done, asked) =
        play(&[], &job, vec![one(read, row("101", &[])), refused, one(patch, row("101", &[]))]);
    assert_eq!(done.outcomes, [stored()]);
    assert!(done.warning.unwrap().contains("a person has to end it"));
    assert_eq!(asked[2].json_body().as_object().unwrap().len(), 1, "the note alone");
    job.operation = Operation::Reopen;
    job.body["state"] = json!("candidate");
    let cancelled = row("107", &[("resolution_code", "canceled")]);
    let made = says("POST /api/now/table/problem?", 201, json!({"result": {"sys_id": "21"}}));
    let key = format!("{KEY}-2");
    let second =
        one("GET /api/now/table/problem/21?", row("101", &[("sys_id", "21"), ("correlation_id", &key)]));
    let (done, _) = play(&[], &job, vec![one(read, cancelled.clone()), a_ci(), made, second]);
    assert_eq!(done.outcomes, [Outcome::stored(Some("21".into()))], "a successor");
    (job.operation, job.body["state"]) = (Operation::Update, json!("expired"));
    job.body["timeline"][0]["rev"] = json!(2);
    let (done, _) = play(&[], &job, vec![one(read, cancelled)]);
    assert_eq!(done.outcomes, [stored()], "closed for good, and no dead letter");
    assert!(done.warning.unwrap().contains("is closed"));
    job.operation = Operation::Resolve;
    let (_, asked) = play(&[], &job, vec![one(read, row("103", &[])), one(patch, row("103", &[]))]);
    assert!(asked[1].json_body().get("state").is_none(), "somebody works on it");
}

#[test]
fn a_link_is_set_once_and_no_other_is_taken_away() {
    let linked = |id: &str| row("2", &[("problem_id", id)]);
    let (done, asked) = play(&[], &link(), vec![one(READ, row("2", &[])), one(PATCH, linked("30"))]);
    assert_eq!((done, asked[1].json_body()), (Outcome::stored(None).into(), &json!({"problem_id": "30"})));
    assert_eq!(play(&[], &link(), vec![one(READ, linked("30"))]).0, Outcome::stored(None).into());
    for row in [linked("31"), row("7", &[])] {
        let (done, _) = play(&[], &link(), vec![one(READ, row)]);
        assert_eq!(done.outcomes, [Outcome::stored(None)]);
        assert!(done.warning.is_some());
    }
    let (done, _) = play(&[], &link(), vec![one(READ, row("2", &[])), one(PATCH, row("2", &[]))]);
    assert!(reason(&done).contains("problem_id of incident INC0010001 was left empty"), "{done:?}");
}

#[test]
fn a_hidden_ticket_is_not_made_again() {
    let there = "GET /api/now/table/incident?sysparm_query=sys_id%3D20&";
    let mut hidden = reply(200, &json!({"result": []}));
    hidden.headers.insert("x-total-count".to_owned(), "1".to_owned());
    let update = later(Operation::Update, None);
    let (done, _) = play(&[], &update, vec![refuses(READ, 404, "No Record found"), (there, Ok(hidden))]);
    assert!(
        matches!(&done.outcomes[0], Outcome::Refused { reason } if reason.contains("hidden")),
        "{done:?}"
    );
    let steps = vec![refuses(READ, 404, "No Record found"), many(there, &[]), many(FIND, &[])];
    assert_eq!(play(&[], &resolve(), steps).0.outcomes, [stored()], "gone, and nothing is left to end");
}

#[test]
fn an_orphan_of_a_lost_store_gets_the_new_key() {
    let mut target = target(&[]);
    target.born = "2026-11-22T00:00:00Z".parse().unwrap();
    let mut job = create();
    job.claimed_at = target.born;
    job.record_key = "sx-019aaa00-0000-7000-8000-000000000009".to_owned();
    let lost = "sx-01900000-0000-7000-8000-000000000001";
    let alert = ("correlation_display", "sx-a-0123456789abcdef-00000000000000aa");
    let orphan = row("2", &[("correlation_id", lost), alert]);
    let journal = json!({"result": {"work_notes": ""}});
    let mut ours = orphan.clone();
    ours["correlation_id"] = json!(job.record_key);
    let orphans = || many(ORPHANS, std::slice::from_ref(&orphan));
    let steps = vec![
        orphans(),
        one(PATCH, ours.clone()),
        one(READ, ours.clone()),
        ok(READ, journal),
        one(PATCH, ours),
    ];
    let (done, asked) = converse(|said| next(&target, std::slice::from_ref(&job), said), steps);
    assert_eq!(done.outcomes, [stored()]);
    assert_eq!(asked[1].json_body(), &json!({"correlation_id": job.record_key}));
    let steps = vec![orphans(), one(PATCH, orphan.clone())];
    let (done, _) = converse(|said| next(&target, std::slice::from_ref(&job), said), steps);
    assert!(done.pause.is_some(), "the key cannot be written: {done:?}");
}

#[test]
fn a_create_is_only_repeated_where_the_key_can_be_searched() {
    let mut job = repeated(create());
    job.attempts = 1;
    job.unknown = false;
    let newest = "GET /api/now/table/incident?sysparm_query=ORDERBYDESCnumber&sysparm_fields=correlation_id&";
    let (done, _) = play(&[], &job, vec![many(FIND, &[]), many(newest, &[json!({})])]);
    assert!(matches!(&done.outcomes[0], Outcome::Pause { reason } if reason.contains("ignore")), "{done:?}");
    let shown = json!({"correlation_id": ""});
    let found = || many(FIND, &[row("1", &[])]);
    let steps =
        vec![many(FIND, &[]), many(newest, &[shown]), a_ci(), made(), one(READ, row("1", &[])), found()];
    assert_eq!(play(&[], &job, steps).0.outcomes, [stored()]);
}
