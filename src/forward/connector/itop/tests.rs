//! The connector as a table: what is asked, and what comes of each answer.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::*;
use crate::engine::effect::{Operation, Outcome, Stage};
use crate::engine::moment::Stamp;
use crate::engine::option::{OptionValue, SecretRef};
use crate::engine::record::HostRef;
use crate::forward::connector::fixture::*;
use crate::forward::connector::{Body, Place, Request, footer};

fn options(entries: &[(&str, &str)], map: &[(&str, &str)]) -> Options {
    let map = map.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let mut all = BTreeMap::from([("map".to_owned(), OptionValue::Map(map))]);
    for (key, value) in entries {
        let value = match *key {
            "token" | "password" => OptionValue::Secret(SecretRef::Env((*value).to_owned())),
            _ => OptionValue::Text((*value).to_owned()),
        };
        all.insert((*key).to_owned(), value);
    }
    Options(all)
}

fn target(map: &[(&str, &str)]) -> Target {
    let host = HostRef { id: "0123456789abcdef".into(), name: "web-01".into() };
    let login = [("user", "sexton"), ("password", "P")];
    let map = [&[("class.incident", "Incident")], map].concat();
    Target { id: "itop".into(), host, born: Stamp(0), options: options(&login, &map) }
}

const REST: &str = "POST /webservices/rest.php?version=1.3";

fn objects(all: &[(u64, Json)]) -> Json {
    let object = |(id, fields): &(u64, Json)| {
        (format!("X::{id}"), json!({"code": 0, "class": "X", "key": id.to_string(), "fields": fields}))
    };
    let all: serde_json::Map<String, Json> = all.iter().map(object).collect();
    json!({"code": 0, "message": "", "objects": if all.is_empty() { Json::Null } else { Json::Object(all) }})
}

fn no(code: i64, words: &str) -> Json {
    json!({"code": code, "message": format!("Error: {words}"), "objects": null})
}

fn ticket(status: &str) -> Json {
    let description = footer::line(KEY, "sx-a-0123456789abcdef-00000000000000aa");
    json!({"id": "20", "ref": "I-000020", "org_id": "2", "status": status, "description": description, "impact": "2",
        "urgency": "3", "team_id": "6", "agent_id": "5", "service_id": "9", "agent_id_friendlyname": "Jane Doe",
        "solution": "", "pending_reason": "", "private_log": {"entries": []}})
}

fn one(status: &str) -> Json {
    objects(&[(20, ticket(status))])
}

fn play(job: &Job, map: &[(&str, &str)], answers: Vec<Json>) -> (Done, Vec<Json>) {
    let target = target(map);
    let steps = answers.into_iter().map(|a| ok(REST, a)).collect();
    let (done, asked) = converse(|said| next(&target, std::slice::from_ref(job), said), steps);
    (done, asked.iter().map(operation).collect())
}

fn operation(request: &Request) -> Json {
    let Body::Form(fields) = &request.body else { panic!("no form") };
    serde_json::from_str(&fields[0].1).unwrap()
}

fn stored() -> [Outcome; 1] {
    [Outcome::stored(Some("20".into()))]
}

#[test]
fn a_ticket_is_made_for_the_accounts_person_and_organisation() {
    let cis =
        objects(&[(31, json!({"finalclass": "Server"})), (32, json!({"finalclass": "WebApplication"}))]);
    let map =
        [("incident.servicesubcategory_id", "SELECT ServiceSubcategory WHERE name='x'"), ("caller", "7")];
    let answers = vec![objects(&[]), cis, one("new"), one("new")];
    let (done, asked) = play(&create(), &map, answers);
    assert_eq!(done.outcomes, stored());
    let fields = &asked[2]["fields"];
    assert_eq!((&asked[2]["operation"], &asked[2]["class"]), (&json!("core/create"), &json!("Incident")));
    let description = fields["description"].as_str().unwrap();
    assert_eq!(footer::key(description), KEY);
    assert!(description.starts_with("<p>/data is 91 % full</p>"), "{description}");
    for (field, wanted) in [
        ("title", json!("web-01: /data is 91 % full")),
        ("caller_id", json!(7)),
        ("impact", json!("2")),
        ("urgency", json!("3")),
        ("origin", json!("monitoring")),
        ("functionalcis_list", json!([{"functionalci_id": 31, "impact_code": "manual"}])),
        ("servicesubcategory_id", json!("SELECT ServiceSubcategory WHERE name='x'")),
        ("ref", Json::Null),
        ("priority", Json::Null),
    ] {
        assert_eq!(fields[field], wanted, "{field}");
    }
    assert!(fields["org_id"].as_str().unwrap().contains(":current_contact_id"));
}

#[test]
fn each_code_has_its_outcome() {
    for (answer, attempts, wanted) in [
        (no(1, "Invalid login"), 0, "pause"),
        (
            no(1, "The current user does not have enough permissions for creating data of class Incident"),
            0,
            "pause",
        ),
        (no(5, "Missing parameter 'auth_pwd'"), 0, "pause"),
        (no(11, "Unknown verb 'core/create' in version '1.3'"), 0, "pause"),
        (no(100, "org_id: No item found for query: SELECT Organization"), 0, "pause"),
        (no(100, "title: String too long (found 300, limited to 255)"), 0, "pause"),
        (no(100, "MySQL server has gone away"), 99, "unknown"),
        (no(100, "Lock wait timeout exceeded; invalid value"), 99, "unknown"),
        (no(100, "something new"), 1, "unknown"),
        (no(100, "something new"), 8, "refused"),
        (json!("<html>maintenance</html>"), 0, "unknown"),
        (objects(&[]), 0, "unknown"),
    ] {
        let mut job = create();
        job.attempts = attempts;
        let mut answers = vec![objects(&[]), objects(&[]), answer.clone()];
        if attempts > 0 {
            answers.insert(0, objects(&[]));
        }
        let (done, _) = play(&job, &[], answers);
        let got = match &done.outcomes[0] {
            Outcome::Pause { .. } => "pause",
            Outcome::Retry { unknown: true, .. } => "unknown",
            Outcome::Retry { .. } => "retry",
            Outcome::Refused { .. } => "refused",
            Outcome::Stored { .. } => "stored",
        };
        assert_eq!(got, wanted, "{answer}: {done:?}");
    }
}

#[test]
fn the_way_to_a_stage_depends_on_where_the_ticket_stands() {
    for (status, to, wanted) in [
        ("new", Stage::Resolved, &["ev_assign", "ev_resolve"][..]),
        ("escalated_tto", Stage::Closed, &["ev_assign", "ev_resolve"]),
        ("pending", Stage::Cancelled, &["ev_assign", "ev_resolve"]),
        ("assigned", Stage::Resolved, &["ev_resolve"]),
        ("escalated_ttr", Stage::Resolved, &["ev_resolve"]),
        ("resolved", Stage::InProgress, &["ev_reopen"]),
        ("resolved", Stage::Resolved, &[]),
        ("closed", Stage::Resolved, &[]),
        ("new", Stage::Acknowledged, &["ev_assign"]),
        ("pending", Stage::InProgress, &["ev_assign"]),
        ("assigned", Stage::OnHold, &["ev_pending"]),
        ("new", Stage::OnHold, &[]),
        ("assigned", Stage::InProgress, &[]),
    ] {
        assert_eq!(desk::path(RecordKind::Incident, status, to), wanted, "{status} → {to:?}");
    }
    assert_eq!(desk::path(RecordKind::Problem, "resolved", Stage::InProgress), ["ev_reassign"]);
    assert_eq!(desk::path(RecordKind::Problem, "assigned", Stage::OnHold), [""; 0]);
}

#[test]
fn what_a_state_demands_is_looked_up_only_when_the_ticket_lacks_it() {
    let answers = vec![one("assigned"), one("assigned"), one("resolved")];
    let (done, asked) = play(&resolve(), &[], answers);
    assert_eq!(done.outcomes, stored());
    assert_eq!(asked[1]["fields"]["private_log"]["add_item"]["format"], "text");
    assert_eq!(asked[2]["stimulus"], "ev_resolve");
    let fields = asked[2]["fields"].as_object().unwrap();
    assert_eq!(fields.keys().collect::<Vec<_>>(), ["resolution_code", "solution"]);

    let mut bare = ticket("new");
    for field in ["team_id", "agent_id", "service_id"] {
        bare[field] = json!("0");
    }
    let answers = vec![
        objects(&[(20, bare)]),
        one("new"),
        objects(&[(6, json!({"id": "6"})), (8, json!({"id": "8"}))]),
        objects(&[(5, json!({"id": "5"}))]),
        one("assigned"),
        objects(&[]),
        no(100, "class: 'CustomerContract' is not a valid class"),
        objects(&[(1, json!({})), (2, json!({}))]),
        no(100, "Missing mandatory attribute(s) for applying the stimulus: x_id."),
    ];
    let (done, asked) = play(&resolve(), &[], answers);
    assert_eq!(asked[4]["fields"], json!({"team_id": 6, "agent_id": 5}), "the oldest team");
    assert_eq!(asked[5]["key"], "SELECT Service WHERE name = 'shop'");
    assert!(asked[6]["key"].as_str().is_some_and(|oql| oql.ends_with("WHERE c.org_id = 2")), "{}", asked[6]);
    assert_eq!(asked[7]["key"], "SELECT Service WHERE status = 'production'");
    assert_eq!(asked[8]["fields"]["service_id"], 1, "the oldest of several");
    assert!(
        matches!(&done.outcomes[0], Outcome::Retry { reason, .. } if reason.contains("x_id")),
        "what iTop lacks is made one day: {done:?}"
    );
}

#[test]
fn a_ticket_that_moved_meanwhile_is_looked_at_again() {
    let moved = no(100, "Invalid stimulus: 'ev_resolve' on the object I-000020 in state 'resolved'");
    let (done, _) = play(&resolve(), &[], vec![one("assigned"), one("assigned"), moved]);
    assert!(matches!(done.outcomes[0], Outcome::Retry { .. }), "{done:?}");
}

#[test]
fn a_link_is_set_once_and_a_persons_choice_stays() {
    for (parent, asks) in [("0", 2), ("30", 1), ("31", 1)] {
        let mut answers = vec![objects(&[(20, json!({"parent_problem_id": parent}))])];
        answers.extend((asks == 2).then(|| one("assigned")));
        let (done, asked) = play(&link(), &[], answers);
        assert_eq!(done.outcomes, [Outcome::stored(None)]);
        if let Some(update) = asked.get(1) {
            assert_eq!((&update["key"], &update["fields"]), (&json!(20), &json!({"parent_problem_id": 30})));
        }
    }
    let (done, _) = play(&link(), &[], vec![objects(&[])]);
    assert!(matches!(done.outcomes[0], Outcome::Refused { .. }));
}

#[test]
fn people_are_read_back_and_a_ticket_that_is_not_there_is_gone() {
    let held = |kind, id: &str| Held {
        cursor: 1,
        kind,
        record: format!("r{id}"),
        rev: 3,
        remote_id: id.to_owned(),
        over: false,
    };
    let all =
        [held(RecordKind::Incident, "20"), held(RecordKind::Incident, "21"), held(RecordKind::Problem, "30")];
    let mut taken = ticket("assigned");
    taken["last_update"] = json!("2026-11-22 10:00:00");
    let denied =
        no(1, "The current user does not have enough permissions for exporting data of class Problem");
    let steps = vec![ok(REST, objects(&[(20, taken)])), ok(REST, denied)];
    let target = target(&[]);
    let (done, asked) = converse(|said| read(&target, &all, said), steps);
    assert!(operation(&asked[0])["output_fields"].as_str().is_some_and(|f| f.contains("last_update")));
    let [remote] = &done.remotes[..] else { panic!("one ticket was read: {done:?}") };
    assert_eq!((remote.record.as_str(), remote.stage), ("r20", Stage::InProgress));
    assert_eq!(remote.updated, "2026-11-22T10:00:00Z".parse().ok());
    assert_eq!(done.gone, ["r21"], "and of what may not be read nothing is known");
}

#[test]
fn the_class_of_incidents_is_asked_for_where_none_is_named() {
    let unnamed = Target { options: options(&[("user", "sexton"), ("password", "P")], &[]), ..target(&[]) };
    for (answer, class) in [
        (objects(&[]), "Incident"),
        (no(100, "class: 'Incident' is not a valid class"), "UserRequest"),
        (
            no(1, "The current user does not have enough permissions for exporting data of class Incident"),
            "Incident",
        ),
    ] {
        let answers = vec![answer, objects(&[]), objects(&[]), one("new"), one("new")];
        let steps = answers.into_iter().map(|a| ok(REST, a)).collect();
        let (done, asked) = converse(|said| next(&unnamed, &[create()], said), steps);
        assert_eq!(done.outcomes, stored());
        let made = operation(&asked[3]);
        assert_eq!((&made["operation"], &made["class"]), (&json!("core/create"), &json!(class)));
    }
    let cut = vec![(REST, Err(crate::forward::connector::Failure { sent: true, reason: "reset".into() }))];
    let (done, _) = converse(|said| next(&unnamed, &[create()], said), cut);
    assert!(matches!(done.outcomes[0], Outcome::Retry { unknown: false, .. }), "{done:?}");
}

#[test]
fn a_marker_is_found_in_the_log() {
    let said = |marker: &str| objects(&[(20, json!({"private_log": {"entries": [{"message": marker}]}}))]);
    let job = repeated(later(Operation::Update, None));
    let (done, _) = play(&job, &[], vec![one("assigned"), said(&format!("[{KEY}-2-u]"))]);
    assert_eq!(done.outcomes, stored());
    let (done, asked) = play(&job, &[], vec![one("assigned"), said("[other]"), one("assigned")]);
    assert_eq!((done.outcomes, asked.len()), (stored().to_vec(), 3));
}

#[test]
fn text_does_not_leave_its_quotes_and_descriptions_their_room() {
    assert_eq!(api::quoted(r"o'neil \ co"), r"'o\'neil \\ co'");
    assert_eq!(api::like("50%_[sx-1]"), r"'%50\\%\\_[sx-1]%'");
    let mut job = create();
    job.body["description"] = json!("<&>".repeat(30_000));
    let (_, asked) = play(&job, &[], vec![objects(&[]), objects(&[]), one("new"), one("new")]);
    let description = asked[2]["fields"]["description"].as_str().unwrap();
    assert!(description.len() < 65_535 && footer::key(description) == KEY, "{}", description.len());
}

#[test]
fn credentials_stand_where_the_server_reads_them() {
    let ask = |entries: &[(&str, &str)]| {
        let target = Target { options: options(entries, &[]), ..target(&[]) };
        let Next::Send(request) = hello(&target, &[]) else { panic!("asks nothing") };
        assert!(!request.is_write(), "a question may be repeated");
        let Body::Form(fields) = &request.body else { panic!("no form") };
        let names: Vec<String> = fields.iter().map(|(n, _)| n.to_string()).collect();
        (names.join(" "), request.login, request.secrets.first().map(|s| s.place))
    };
    let user = [("user", "u"), ("password", "P")];
    let in_form = ("json_data auth_user".to_owned(), false, Some(Place::Form("auth_pwd")));
    assert_eq!(ask(&user), in_form);
    assert_eq!(ask(&[&user[..], &[("auth", "basic")]].concat()), ("json_data".to_owned(), true, None));
    assert_eq!(ask(&[("token", "T")]), ("json_data".to_owned(), true, None));
}

#[test]
fn options_are_checked_in_a_sentence() {
    const URL: (&str, &str) = ("url", "https://itop.example");
    const TOKEN: (&str, &str) = ("token", "T");
    for (entries, map, wanted) in [
        (&[URL, TOKEN][..], &[][..], ""),
        (&[URL, ("user", "u"), ("password", "P")], &[("class.incident", "UserRequest"), ("ci", "")], ""),
        (
            &[("url", "https://itop.example/webservices/rest.php"), TOKEN],
            &[],
            "not the address of iTop itself",
        ),
        (&[URL], &[], "no credentials: set token, or user and password"),
        (&[URL, TOKEN], &[("queue", "x")], "map has no entry 'queue'"),
        (&[URL, TOKEN], &[("field.key", "a = b")], "not a name of iTop's data model"),
        (&[URL, TOKEN], &[("org", "")], "map org is empty"),
    ] {
        let got = check(&options(entries, map)).err().unwrap_or_default();
        assert!(got.contains(wanted) && got.is_empty() == wanted.is_empty(), "{map:?}: {got}");
    }
}
