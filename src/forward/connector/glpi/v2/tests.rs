//! The API v2 as a table: what is asked, and what comes of each answer.

use std::collections::BTreeMap;

use serde_json::json;

use super::super::CONNECTOR;
use super::*;
use crate::engine::effect::{Outcome, RecordKind};
use crate::engine::moment::Stamp;
use crate::engine::option::{OptionValue, Options};
use crate::engine::record::HostRef;
use crate::forward::connector::Done;
use crate::forward::connector::fixture::*;
use crate::forward::connector::footer;

fn target(map: &[(&str, &str)]) -> Target {
    let map = map.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let options = BTreeMap::from([
        ("url".to_owned(), OptionValue::Text("https://glpi.example/glpi/api.php/v2".to_owned())),
        ("map".to_owned(), OptionValue::Map(map)),
    ]);
    let host = HostRef { id: "0123456789abcdef".into(), name: "web-01".into() };
    Target { id: "glpi".into(), host, born: Stamp(0), options: Options(options) }
}

fn ticket(status: u8) -> Json {
    let content = format!("<p>x</p><p>{}</p>", footer::line(KEY, "sx-a-0123456789abcdef-00000000000000aa"));
    json!({"id": 20, "name": "x", "status": {"id": status, "name": "?"}, "urgency": 2, "impact": 3,
        "is_deleted": false, "content": content, "external_id": KEY})
}

fn play(job: &Job, map: &[(&str, &str)], steps: Vec<Step>) -> (Done, Vec<Request>) {
    let target = target(map);
    converse(|said| (CONNECTOR.next)(&target, std::slice::from_ref(job), said), steps)
}

const LIST: &str = "GET /Assistance/Ticket?filter=content%3Dlike%3D%22%2A%5Bsx-";
const EXTERNAL: &str = "GET /Assistance/Ticket?filter=external_id%3D%3D%22sx-";
const MAKE: &str = "POST /Assistance/Ticket";
const READ: &str = "GET /Assistance/Ticket/20";
const FOLLOWUPS: &str = "GET /Assistance/Ticket/20/Timeline/Followup?filter=content%3Dlike%3D";
const SOLUTIONS: &str = "GET /Assistance/Ticket/20/Timeline/Solution?filter=content%3Dlike%3D";
const SOLVE: &str = "POST /Assistance/Ticket/20/Timeline/Solution";
const COMMENT: &str = "POST /Assistance/Ticket/20/Timeline/Followup";
const PATCH: &str = "PATCH /Assistance/Ticket/20";

fn made() -> Json {
    json!({"id": 20, "href": "/Assistance/Ticket/20"})
}

fn failed(words: &str) -> Json {
    let messages = json!([{"priority": "error", "message": words}]);
    json!({"status": "ERROR", "title": "Failed to create item(s)", "detail": null, "additional_messages": messages})
}

fn lost() -> Json {
    json!({"error": true, "title": "Item not found", "message": "The requested item has not been found."})
}

fn entry(text: &str) -> Json {
    json!([{"type": "Followup", "item": {"id": 1, "content": text}}])
}

#[test]
fn a_ticket_is_made_with_its_keys_and_weight() {
    let map = [("entity", "4"), ("incident.category", "12")];
    let (done, asked) =
        play(&create(), &map, vec![ok(LIST, json!([])), ok(MAKE, made()), ok(READ, ticket(1))]);
    assert_eq!(done.outcomes, [Outcome::stored(Some("20".into()))]);
    let fields = asked[1].json_body();
    let content = fields["content"].as_str().unwrap();
    assert_eq!(footer::key(content), KEY);
    assert_eq!(footer::alert_key(content), "sx-a-0123456789abcdef-00000000000000aa");
    for (field, wanted) in [
        ("name", json!("web-01: /data is 91 % full")),
        ("external_id", json!(KEY)),
        ("type", json!(1)),
        ("impact", json!(3)),
        ("urgency", json!(2)),
        ("entity", json!(4)),
        ("category", json!(12)),
        ("items_id", Json::Null),
    ] {
        assert_eq!(fields[field], wanted, "{field}");
    }
}

#[test]
fn a_refusal_is_one_although_it_is_a_500_and_another_500_is_in_doubt() {
    let pauses = |step: Step| {
        let (done, _) = play(&create(), &[], vec![ok(LIST, json!([])), step]);
        format!("{:?}", done.outcomes[0])
    };
    let template = pauses(says(MAKE, 500, failed("Mandatory fields are not filled: Category")));
    assert!(template.contains("Pause") && template.contains("Category"), "{template}");
    let right = pauses(says(MAKE, 403, json!({"status": "ERROR_RIGHT_MISSING", "title": "no"})));
    assert!(right.contains("Pause") && right.contains("rights"), "{right}");
    for body in [json!({"status": "ERROR", "title": "An unexpected error occurred"}), json!(null)] {
        let doubt = pauses(says(MAKE, 500, body));
        assert!(doubt.contains("Retry") && doubt.contains("unknown: true"), "{doubt}");
    }
    let elsewhere = pauses(ok(MAKE, Json::Null));
    assert!(elsewhere.contains("Retry"), "{elsewhere}");
}

#[test]
fn what_the_web_server_answers_in_the_place_of_glpi_is_looked_up() {
    let found =
        vec![ok(LIST, json!([])), says(MAKE, 404, lost()), ok(LIST, json!([ticket(1)])), ok(READ, ticket(1))];
    let (done, _) = play(&create(), &[], found);
    assert_eq!(done.outcomes, [Outcome::stored(Some("20".into()))]);
    let none =
        vec![ok(LIST, json!([])), says(MAKE, 404, lost()), ok(LIST, json!([])), ok(EXTERNAL, json!([]))];
    let (done, _) = play(&create(), &[], none);
    assert!(
        matches!(&done.outcomes[0], Outcome::Pause { reason } if reason.contains("not the API v2")),
        "{done:?}"
    );
    let job = resolve();
    let solved = vec![
        ok(READ, ticket(2)),
        says(SOLVE, 404, lost()),
        ok(SOLUTIONS, entry(&format!("<p>[{}]</p>", job.operation_key))),
        ok(READ, ticket(5)),
    ];
    let (done, _) = play(&job, &[], solved);
    assert_eq!(done.outcomes, [Outcome::stored(Some("20".into()))]);
}

#[test]
fn a_followup_that_reopened_the_ticket_is_undone_and_one_that_is_not_shown_is_told() {
    let mut job = later(crate::engine::effect::Operation::Update, None);
    job.body["timeline"][0]["kind"] = json!("note");
    let said = entry(&format!("<p>[{}]</p>", job.operation_key));
    for (before, after, put_back) in [(5, 1, true), (4, 2, true), (5, 5, false), (2, 2, false)] {
        let mut steps = vec![ok(READ, ticket(before)), ok(COMMENT, made()), ok(FOLLOWUPS, said.clone())];
        if before != 2 {
            steps.push(ok(READ, ticket(after)));
        }
        if put_back {
            steps.push(ok(PATCH, ticket(before)));
        }
        let (done, asked) = play(&job, &[], steps);
        assert_eq!(done.outcomes, [Outcome::stored(Some("20".into()))]);
        assert_eq!(done.warning, None);
        if put_back {
            assert_eq!(asked.last().unwrap().json_body()["status"]["id"], before);
        }
    }
    let (done, _) = play(&job, &[], vec![ok(READ, ticket(2)), ok(COMMENT, made()), ok(FOLLOWUPS, json!([]))]);
    assert!(done.warning.is_some_and(|w| w.contains("See public ones")));
}

#[test]
fn a_link_is_a_followup_on_what_is_not_closed() {
    let marker = format!("[{}]", link().operation_key);
    let problem = |status: u8| json!({"id": 30, "name": "fills up", "status": {"id": status}, "content": ""});
    let said = || entry(&format!("<p>{marker}</p>"));
    const PROBLEM: &str = "GET /Assistance/Problem/30";
    let on_ticket = vec![
        ok(READ, ticket(2)),
        ok(PROBLEM, problem(1)),
        ok(FOLLOWUPS, json!([])),
        ok(COMMENT, made()),
        ok(FOLLOWUPS, said()),
    ];
    let (done, asked) = play(&link(), &[], on_ticket);
    assert_eq!(done.outcomes, [Outcome::stored(None)]);
    let text = asked[3].json_body()["content"].as_str().unwrap().to_owned();
    assert!(text.contains("Problem 30: fills up") && text.contains(&marker), "{text}");
    assert!(text.contains("https://glpi.example/glpi/front/problem.form.php?id=30"), "{text}");
    let again = vec![ok(READ, ticket(2)), ok(PROBLEM, problem(1)), ok(FOLLOWUPS, said())];
    let on_problem = vec![
        ok(READ, ticket(6)),
        ok(PROBLEM, problem(1)),
        ok("GET /Assistance/Problem/30/Timeline/Followup", json!([])),
        ok("POST /Assistance/Problem/30/Timeline/Followup", made()),
        ok("GET /Assistance/Problem/30/Timeline/Followup", said()),
    ];
    let both_closed = vec![ok(READ, ticket(6)), ok(PROBLEM, problem(6))];
    for steps in [again, on_problem, both_closed] {
        let (done, _) = play(&link(), &[], steps);
        assert_eq!(done.outcomes, [Outcome::stored(None)]);
    }
}

#[test]
fn people_are_read_back() {
    let held = |id: &str| Held {
        cursor: 0,
        kind: RecordKind::Incident,
        record: id.to_owned(),
        rev: 3,
        remote_id: "20".to_owned(),
        over: false,
    };
    let mut solved = ticket(5);
    solved["date_mod"] = json!("2026-11-22T11:00:00+01:00");
    solved["team"] = json!([{"role": "requester", "name": "sexton"}, {"role": "assigned", "name": "doe",
        "display_name": "Doe Jane"}, {"role": "assigned", "name": "roe"}]);
    let mut trash = ticket(2);
    trash["is_deleted"] = json!(true);
    let solutions = json!([{"type": "Solution", "item": {"id": 2, "content": "<p>fan replaced</p>"}},
        {"type": "Solution", "item": {"id": 1, "content": "<p>older</p>"}}]);
    let steps = vec![
        ok(READ, solved),
        ok("GET /Assistance/Ticket/20/Timeline/Solution", solutions),
        says(READ, 404, json!({"status": "ERROR_ITEM_NOT_FOUND", "title": "Not found"})),
        ok(READ, trash),
        says(READ, 403, json!({"status": "ERROR_RIGHT_MISSING", "title": "no"})),
    ];
    let target = target(&[]);
    let held = ["a", "gone", "trash", "hidden"].map(held);
    let (done, _) = converse(|said| read(&target, &held, said), steps);
    let told: Vec<_> =
        done.remotes.iter().map(|r| (r.record.as_str(), r.stage, r.assignee.as_deref())).collect();
    assert_eq!(told, [("a", Stage::Resolved, Some("Doe Jane, roe")), ("trash", Stage::Cancelled, None)]);
    assert_eq!(done.gone, ["gone"]);
    assert_eq!(done.remotes[0].note.as_deref(), Some("fan replaced"));
    assert_eq!(done.remotes[0].updated, "2026-11-22T10:00:00Z".parse().ok());
}
