//! The connector as a table: what is asked, and what comes of each answer.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::engine::effect::{Operation, Outcome, RecordKind};
use crate::engine::moment::Stamp;
use crate::engine::option::{OptionValue, SecretRef};
use crate::engine::record::HostRef;
use crate::forward::connector::Done;
use crate::forward::connector::fixture::*;
use crate::forward::connector::{Body, footer};

fn options(entries: &[(&str, &str)], map: &[(&str, &str)]) -> Options {
    let map = map.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let mut all = BTreeMap::from([("map".to_owned(), OptionValue::Map(map))]);
    for (key, value) in entries {
        let value = match *key {
            "url" | "user" | "oauth_client" => OptionValue::Text((*value).to_owned()),
            _ => OptionValue::Secret(SecretRef::Env((*value).to_owned())),
        };
        all.insert((*key).to_owned(), value);
    }
    Options(all)
}

fn target(map: &[(&str, &str)]) -> Target {
    let host = HostRef { id: "0123456789abcdef".into(), name: "web-01".into() };
    Target { id: "glpi".into(), host, born: Stamp(0), options: options(&[], map) }
}

fn ticket(status: u8) -> Json {
    let content = format!("<p>x</p><p>{}</p>", footer::line(KEY, "sx-a-0123456789abcdef-00000000000000aa"));
    json!({"id": 20, "name": "x", "status": status, "urgency": 2, "impact": 3, "is_deleted": 0, "content": content,
        "users_id_recipient": 7})
}

fn play(job: &Job, map: &[(&str, &str)], steps: Vec<Step>) -> (Done, Vec<Request>) {
    let target = target(map);
    converse(|said| next(&target, std::slice::from_ref(job), said), steps)
}

fn hits(ids: &[u64]) -> Json {
    let rows: Vec<Json> = ids.iter().map(|id| json!({"1": "x", "2": id})).collect();
    json!({"totalcount": ids.len(), "count": ids.len(), "data": rows})
}

const CI: &str =
    "GET /search/Computer?criteria[0][field]=1&criteria[0][searchtype]=contains&criteria[0][value]=%5E";
const CONTENT: &str = "GET /search/Ticket?criteria[0][field]=21&";
const EXTERNAL: &str = "GET /search/Ticket?criteria[0][field]=87&";
const OPEN: &str =
    "GET /search/Ticket?criteria[0][field]=12&criteria[0][searchtype]=equals&criteria[0][value]=notold";
const READ: &str = "GET /Ticket/20?get_hateoas=false";
const FOLLOWUPS: &str = "GET /Ticket/20/ITILFollowup?get_hateoas=false&sort=id&order=DESC&range=0-99";
const SOLUTIONS: &str = "GET /Ticket/20/ITILSolution?";

fn made() -> Json {
    json!({"id": 20, "message": ""})
}

fn error(code: &str) -> Json {
    json!([code, "in the account's language"])
}

#[test]
fn a_ticket_is_made_with_its_keys_its_weight_and_its_ci() {
    let map = [("entity", "4"), ("incident.itilcategories_id", "12"), ("incident._groups_id_assign", "3")];
    let steps = vec![
        ok(OPEN, hits(&[])),
        ok(CI, hits(&[42])),
        says("POST /Ticket", 201, made()),
        ok(READ, ticket(1)),
    ];
    let (done, asked) = play(&create(), &map, steps);
    assert_eq!(done.outcomes, [Outcome::stored(Some("20".into()))]);
    let input = &asked[2].json_body()["input"];
    let content = input["content"].as_str().unwrap();
    assert_eq!(footer::key(content), KEY);
    assert_eq!(footer::alert_key(content), "sx-a-0123456789abcdef-00000000000000aa");
    for (field, wanted) in [
        ("name", json!("web-01: /data is 91 % full")),
        ("externalid", json!(KEY)),
        ("type", json!(1)),
        ("impact", json!(3)),
        ("urgency", json!(2)),
        ("entities_id", json!(4)),
        ("itilcategories_id", json!(12)),
        ("_groups_id_assign", json!(3)),
        ("items_id", json!({"Computer": [42]})),
        ("priority", Json::Null),
    ] {
        assert_eq!(input[field], wanted, "{field}");
    }
    for request in &asked {
        assert_eq!(request.header("x-glpi-sanitized-content"), Some("false"));
        assert_eq!(request.secrets, [api::APP_TOKEN]);
        let get = request.method == super::super::Method::Get;
        assert!(!get || request.body == Body::None, "GLPI refuses a GET with a body");
    }
}

#[test]
fn only_the_one_asset_of_that_name_is_tied() {
    for (name, map, steps, tied) in [
        ("web-01", "Computer", vec![hits(&[42])], Some(42)),
        ("web-01", "Computer", vec![hits(&[])], None),
        ("web-01", "Computer", vec![hits(&[42, 43])], None),
        ("web-01.example.org", "Computer", vec![hits(&[]), hits(&[9])], Some(9)),
        ("web-01.example.org", "Computer", vec![hits(&[5])], Some(5)),
        ("we^b", "Computer", vec![], None),
        ("web-01", "", vec![], None),
    ] {
        let mut job = create();
        job.body["ci"]["name"] = json!(name);
        let mut script = vec![ok(OPEN, hits(&[]))];
        script.extend(steps.into_iter().map(|s| ok(CI, s)));
        script.extend([says("POST /Ticket", 201, made()), ok(READ, ticket(1))]);
        let (_, asked) = play(&job, &[("ci", map)], script);
        let input = &asked[asked.len() - 2].json_body()["input"];
        assert_eq!(input["items_id"]["Computer"][0].as_u64(), tied, "{name}");
    }
}

#[test]
fn a_repeated_create_looks_by_description_then_by_external_id() {
    let told = || vec![ok(FOLLOWUPS, json!([])), ok(SOLUTIONS, json!([]))];
    let comment = says("POST /ITILFollowup", 201, made());
    let mut by_id =
        vec![ok(CONTENT, hits(&[])), ok(EXTERNAL, hits(&[20])), ok(READ, ticket(1)), ok(READ, ticket(1))];
    by_id.extend(told());
    by_id.push(comment.clone());
    let mut by_text = vec![ok(CONTENT, hits(&[20])), ok(READ, ticket(1)), ok(READ, ticket(1))];
    by_text.extend(told());
    by_text.push(comment);
    // GLPI 10 has no such field: the search is refused, and nothing is there.
    let none = vec![
        ok(CONTENT, hits(&[])),
        says(EXTERNAL, 400, error("ERROR")),
        ok(OPEN, hits(&[])),
        ok(CI, hits(&[])),
        says("POST /Ticket", 201, made()),
        ok(READ, ticket(1)),
        ok(CONTENT, hits(&[20])),
        ok(READ, ticket(1)),
    ];
    for steps in [by_id, by_text, none] {
        let (done, _) = play(&repeated(create()), &[], steps);
        assert_eq!(done.outcomes, [Outcome::stored(Some("20".into()))]);
    }
}

#[test]
fn hits_that_are_not_ours_are_not_adopted() {
    let mut other = ticket(1);
    other["content"] = json!("quotes [sx-019ab000-0000-7000-8000-000000000001] somewhere");
    let steps = vec![
        ok(CONTENT, hits(&[20])),
        ok(READ, other),
        ok(EXTERNAL, hits(&[])),
        ok(OPEN, hits(&[])),
        ok(CI, hits(&[])),
        cut("POST /Ticket", true),
    ];
    let (done, _) = play(&repeated(create()), &[], steps);
    assert!(matches!(done.outcomes[0], Outcome::Retry { unknown: true, .. }));
}

#[test]
fn a_refused_ticket_stops_the_destination_and_a_refused_problem_does_not() {
    let refusal = || says("POST /Ticket", 400, error("ERROR_GLPI_ADD"));
    let (done, _) = play(&create(), &[], vec![ok(OPEN, hits(&[])), ok(CI, hits(&[])), refusal()]);
    assert!(
        matches!(&done.outcomes[0], Outcome::Pause { reason } if reason.contains("incident.<field>")),
        "{done:?}"
    );
    let mut job = create();
    (job.kind, job.body) =
        (RecordKind::Problem, body(include_str!("../../../../tests/data/forward/problem.json")));
    let steps = vec![ok(CI, hits(&[])), says("POST /Problem", 400, error("ERROR_GLPI_ADD"))];
    let (done, _) = play(&job, &[], steps);
    assert!(
        matches!(&done.outcomes[0], Outcome::Refused { reason } if reason.contains("problem.<field>")),
        "{done:?}"
    );
}

#[test]
fn only_glpi_says_that_a_ticket_is_gone() {
    for (status, answer, pauses) in [
        (404, json!("<h1>Not Found</h1>"), true),
        (403, json!({"error": "blocked by the proxy"}), true),
        (400, error("ERROR_WRONG_APP_TOKEN_PARAMETER"), true),
        (403, error("ERROR_RIGHT_MISSING"), false),
    ] {
        let (done, _) = play(&resolve(), &[], vec![says(READ, status, answer.clone())]);
        let paused = matches!(done.outcomes[0], Outcome::Pause { .. });
        assert_eq!(paused, pauses, "{status} {answer} {done:?}");
    }
    let gone = [says(READ, 404, error("ERROR_ITEM_NOT_FOUND")), ok(READ, json!({"id": 20, "is_deleted": 1}))];
    for gone in gone {
        let steps = vec![gone, ok(CONTENT, hits(&[])), ok(EXTERNAL, hits(&[]))];
        let (done, _) = play(&resolve(), &[], steps);
        assert_eq!(done.outcomes, [Outcome::stored(Some("20".into()))], "what is over needs no new ticket");
    }
}

#[test]
fn the_end_is_a_solution_and_is_looked_after() {
    let solved = vec![ok(READ, ticket(2)), says("POST /ITILSolution", 201, made()), ok(READ, ticket(5))];
    let (done, asked) = play(&resolve(), &[("solution.type", "3")], solved);
    assert_eq!(done.outcomes, [Outcome::stored(Some("20".into()))]);
    let input = &asked[1].json_body()["input"];
    assert!(input["content"].as_str().unwrap().contains("-2-r]"), "with its marker");
    assert_eq!(
        (&input["itemtype"], &input["items_id"], &input["solutiontypes_id"]),
        (&json!("Ticket"), &json!(20), &json!(3))
    );
    // A solution is refused: it is said in a followup and the status is set.
    let refused = |status| {
        vec![
            ok(READ, ticket(2)),
            says("POST /ITILSolution", 400, error("ERROR_GLPI_ADD")),
            says("POST /ITILFollowup", 201, made()),
            ok("PUT /Ticket/20", json!([{"20": true, "message": ""}])),
            ok(READ, ticket(status)),
        ]
    };
    let (done, asked) = play(&resolve(), &[], refused(5));
    assert_eq!(done.outcomes, [Outcome::stored(Some("20".into()))]);
    assert_eq!(asked[2].json_body()["input"]["_no_reopen"], 1);
    assert_eq!(asked[3].json_body()["input"], json!({"status": 5}));
    // The life cycle drops the status in silence.
    let (done, _) = play(&resolve(), &[], refused(2));
    assert!(
        matches!(&done.outcomes[0], Outcome::Refused { reason } if reason.contains("life cycle")),
        "{done:?}"
    );
}

#[test]
fn what_is_solved_or_closed_already_is_commented_at_most() {
    let comment = says("POST /ITILFollowup", 201, made());
    let (done, _) = play(&resolve(), &[], vec![ok(READ, ticket(5)), comment]);
    assert_eq!(done.outcomes, [Outcome::stored(Some("20".into()))]);
    let refusal = says("POST /ITILFollowup", 400, error("ERROR_GLPI_ADD"));
    let (done, _) = play(&resolve(), &[], vec![ok(READ, ticket(6)), refusal]);
    assert_eq!(done.outcomes, [Outcome::stored(Some("20".into()))]);
    assert!(done.warning.unwrap().contains("takes no followup on 20"));
}

#[test]
fn a_weight_is_only_written_when_the_host_changed_it() {
    let mut worse = later(Operation::Update, None);
    worse.body["urgency"] = json!(1);
    let mut ruled = ticket(2);
    ruled["urgency"] = json!(4);
    let comment = || says("POST /ITILFollowup", 201, made());
    play(&worse, &[], vec![ok(READ, ruled.clone()), comment()]);
    worse.body["timeline"][1]["kind"] = json!("step");
    let put = ok("PUT /Ticket/20", json!([{"20": true, "message": ""}]));
    let (_, asked) = play(&worse, &[], vec![ok(READ, ruled), put, comment()]);
    assert_eq!(asked[1].json_body()["input"], json!({"urgency": 5}));
}

#[test]
fn a_link_is_made_once() {
    const LINKS: &str = "GET /Problem/30/Problem_Ticket?";
    let there = json!([{"id": 1, "problems_id": 30, "tickets_id": 20}]);
    let other = json!([{"id": 1, "problems_id": 30, "tickets_id": 21}]);
    for (steps, stored) in [
        (vec![ok(LINKS, there)], true),
        (vec![ok(LINKS, other), says("POST /Problem_Ticket", 201, made())], true),
        (vec![ok(LINKS, json!([])), says("POST /Problem_Ticket", 400, error("ERROR_GLPI_ADD"))], false),
        (vec![says(LINKS, 404, error("ERROR_ITEM_NOT_FOUND"))], false),
    ] {
        let (done, asked) = play(&link(), &[], steps);
        assert_eq!(done.outcomes == [Outcome::stored(None)], stored, "{done:?}");
        assert!(stored || matches!(done.outcomes[0], Outcome::Refused { .. }));
        if let [_, post] = &asked[..] {
            assert_eq!(post.json_body()["input"], json!({"problems_id": 30, "tickets_id": 20}));
        }
    }
}

#[test]
fn hello_names_the_right_that_is_missing() {
    let profile = |ticket: i64, followup: i64, problem: i64, matrix: Json| {
        json!({"active_profile": {"name": "Bot", "ticket": ticket.to_string(), "followup": followup, "problem": problem,
            "computer": 1, "ticket_status": matrix}})
    };
    let (all, said) = (4 | 2 | 1024, 4 | 1);
    for (profile, pause, warning) in [
        (profile(all, said, all, json!([])), "", ""),
        (profile(all - 4, said, all, json!([])), "Tickets > Create", ""),
        (profile(all - 1024, said, all, json!([])), "See all tickets", ""),
        (profile(all, 1, all, json!([])), "Followups > Add", ""),
        (profile(all, said, 2, json!([])), "", "problems cannot be stored: the profile 'Bot'"),
        (profile(all, said, all, json!({"1": {"5": 0}})), "", "does not let it solve"),
        (profile(all, said, all, json!("{\"2\":{\"5\":\"0\"}}")), "", "does not let it solve"),
        (json!({"active_profile": null}), "shows no profile", ""),
    ] {
        let target = target(&[]);
        let steps = vec![ok("GET /getActiveProfile", profile.clone())];
        let (done, _) = converse(|said| hello(&target, said), steps);
        let (paused, warned) = (done.pause.unwrap_or_default(), done.warning.unwrap_or_default());
        assert_eq!(
            (paused.is_empty(), warned.is_empty()),
            (pause.is_empty(), warning.is_empty()),
            "{profile}"
        );
        assert!(paused.contains(pause) && warned.contains(warning), "{paused} {warned}");
    }
    let entities = json!({"myentities": [{"id": 0}, {"id": 3}]});
    let steps = vec![
        ok("GET /getActiveProfile", profile(all, said, all, json!([]))),
        ok("GET /getMyEntities?is_recursive=true", entities),
    ];
    let target = target(&[("entity", "4")]);
    let (done, _) = converse(|said| hello(&target, said), steps);
    assert!(done.pause.unwrap().contains("entity 4"));
}

#[test]
fn people_are_read_back() {
    let held = |id: &str| Held {
        cursor: 1,
        kind: RecordKind::Incident,
        record: id.to_owned(),
        rev: 3,
        remote_id: "20".to_owned(),
        over: false,
    };
    let users = json!([{"users_id": "glpi", "type": 1}, {"users_id": "Doe Jane", "type": 2}, {"users_id": "Roe", "type": "2"}]);
    let mut solved = ticket(5);
    solved["date_mod"] = json!("2026-11-22 10:00:00");
    let steps = vec![
        ok(READ, solved),
        ok("GET /Ticket/20/Ticket_User?get_hateoas=false&expand_dropdowns=true", users),
        ok(
            SOLUTIONS,
            json!([{"content": "&#60;p&#62;disk &#38;amp; fan&#60;/p&#62;&#60;p&#62;replaced&#60;/p&#62;"}]),
        ),
        says(READ, 404, error("ERROR_ITEM_NOT_FOUND")),
        ok(READ, json!({"id": 20, "is_deleted": 1, "status": 2})),
        says(READ, 403, error("ERROR_RIGHT_MISSING")),
        ok(READ, ticket(1)),
    ];
    let target = target(&[]);
    let held = ["a", "gone", "trash", "hidden", "new"].map(held);
    let (done, _) = converse(|said| read(&target, &held, said), steps);
    let told: Vec<_> =
        done.remotes.iter().map(|r| (r.record.as_str(), r.stage, r.assignee.as_deref())).collect();
    assert_eq!(
        told,
        [
            ("a", Stage::Resolved, Some("Doe Jane, Roe")),
            ("trash", Stage::Cancelled, None),
            ("new", Stage::New, None)
        ]
    );
    assert_eq!(done.gone, ["gone"]);
    assert_eq!(done.remotes[0].note.as_deref(), Some("disk & fan replaced"));
    assert_eq!(done.remotes[0].updated, "2026-11-22T10:00:00Z".parse().ok());
}

#[test]
fn options_are_checked_in_a_sentence() {
    const URL: (&str, &str) = ("url", "https://glpi.example/apirest.php");
    const TOKEN: (&str, &str) = ("token", "T");
    const V2: (&str, &str) = ("url", "https://glpi.example/api.php/v2/");
    const CLIENT: (&str, &str) = ("oauth_client", "c");
    const SECRET: (&str, &str) = ("oauth_secret", "S");
    const USER: (&str, &str) = ("user", "u");
    const PASSWORD: (&str, &str) = ("password", "P");
    for (entries, map, wanted) in [
        (&[URL, TOKEN][..], &[][..], ""),
        (&[("url", "https://glpi.example/api.php/v1"), TOKEN], &[("problem.priority", "5")], ""),
        (&[URL, ("user", "u"), ("password", "P")], &[("level.3", "1")], ""),
        (&[("url", "https://glpi.example"), TOKEN], &[], "not the address of the REST API"),
        (&[URL], &[], "no credentials: set token, or oauth_client"),
        (&[URL, TOKEN], &[("queue.incident", "x")], "map has no entry 'queue.incident'"),
        (&[URL, TOKEN], &[("level.1", "high")], "map level.1 is 'high'"),
        (&[URL, TOKEN], &[("entity", "Root")], "map entity is 'Root'"),
        (&[V2, CLIENT, SECRET, USER, PASSWORD], &[("incident.category", "4")], ""),
        (&[("url", "https://glpi.example/api.php"), CLIENT, SECRET, USER, PASSWORD], &[], ""),
        (&[V2, CLIENT, SECRET, USER, PASSWORD], &[("incident._groups_id_assign", "4")], "of the older API"),
        (&[V2, CLIENT, SECRET, USER, PASSWORD], &[("ci", "Computer")], "of the older API"),
        (&[V2, USER, PASSWORD], &[], "the API v2 wants oauth_client and oauth_secret"),
        (&[V2, TOKEN], &[], "token belongs to the older API"),
        (&[V2, CLIENT, USER, PASSWORD], &[], "oauth_secret is missing beside oauth_client"),
        (&[URL, CLIENT, SECRET, USER, PASSWORD], &[], "oauth_client belongs to the API v2"),
    ] {
        let got = check(&options(entries, map)).err().unwrap_or_default();
        assert!(got.contains(wanted) && got.is_empty() == wanted.is_empty(), "{map:?}: {got}");
    }
}
