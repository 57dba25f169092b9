//! Reading back, and adopting what a lost store left behind.

use super::*;
use crate::engine::effect::{Held, Remote, Stage};

const FOUND: &str = "GET /tickets?query=id%20%3D%2020";

fn held(record: &str, ticket: &str, kind: RecordKind, over: bool) -> Held {
    let (record, remote_id) = (record.to_owned(), ticket.to_owned());
    Held { cursor: 1, kind, record, rev: 4, remote_id, over }
}

fn item(id: u64, status: &str, owner: &str, by: &str) -> Json {
    json!({"id": id.to_string(), "Status": status, "Owner": {"id": owner}, "LastUpdatedBy": {"id": by},
        "Creator": {"id": "sexton"}, "LastUpdated": "2026-11-22T10:00:00Z",
        "CustomFields": [{"name": "KnownError", "values": ["yes"]}]})
}

fn read_back(held: &[Held], steps: Vec<Step>) -> Done {
    let target = target(&[]);
    converse(|said| super::super::read::read(&target, held, said), steps).0
}

fn one(kind: RecordKind, over: bool, shown: Json) -> Remote {
    let steps = vec![ok(FOUND, tickets(&[shown]))];
    read_back(&[held("i", "20", kind, over)], steps).remotes.remove(0)
}

#[test]
fn stages_owner_and_who_changed_it_come_back() {
    use Stage::{Acknowledged, Cancelled, InProgress, New, OnHold, Resolved};
    for (status, owner, stage) in [
        ("new", "Nobody", New),
        ("new", "alice", Acknowledged),
        ("open", "alice", InProgress),
        ("stalled", "Nobody", OnHold),
        ("resolved", "alice", Resolved),
        ("rejected", "Nobody", Cancelled),
        ("deleted", "Nobody", Cancelled),
    ] {
        let remote = one(RecordKind::Incident, true, item(20, status, owner, "alice"));
        assert_eq!((remote.stage, remote.rev, remote.by.as_deref()), (stage, 4, Some("alice")), "{status}");
        assert_eq!(remote.assignee.as_deref(), Some("alice").filter(|_| owner == "alice"));
        assert_eq!(remote.updated, "2026-11-22T10:00:00Z".parse().ok());
        assert!(!remote.known_error, "an incident is none");
    }
    let ours = one(RecordKind::Problem, false, item(20, "open", "Nobody", "sexton"));
    assert_eq!((ours.by, ours.known_error), (None, true), "our own write is nobody's");
    let steps = vec![ok(FOUND, tickets(&[item(20, "approved", "Nobody", "alice")]))];
    let strange = read_back(&[held("i", "20", RecordKind::Incident, false)], steps);
    assert_eq!(strange, Done::default(), "a status that the map does not know says nothing");
}

#[test]
fn what_a_person_wrote_last_goes_with_the_end() {
    let words = json!({"items": [
        {"id": "5", "Creator": {"id": "sexton"}, "ContentType": "text/plain", "Content": "INC000001 updated"},
        {"id": "7", "Creator": {"id": "alice"}, "ContentType": "text/plain", "Content": "moved\n the logs"},
        {"id": "6", "Creator": {"id": "alice"}, "ContentType": "text/plain", "Content": "looking"},
        {"id": "8", "Creator": {"id": "alice"}, "ContentType": "image/png", "Content": "…"}]});
    let steps = vec![
        ok(FOUND, tickets(&[item(20, "resolved", "alice", "alice")])),
        ok("GET /ticket/20/attachments", words),
    ];
    let done = read_back(&[held("i", "20", RecordKind::Incident, false)], steps);
    assert_eq!(done.remotes[0].note.as_deref(), Some("moved the logs"));
}

#[test]
fn what_the_search_does_not_show_is_asked_for_by_number() {
    let all = ["20", "21", "22", "23"].map(|n| held(&format!("i{n}"), n, RecordKind::Incident, false));
    let steps = vec![
        ok(FOUND, tickets(&[])),
        ok("GET /ticket/20", json!({"id": 20, "Status": "deleted", "Creator": {"id": "sexton"}})),
        says("GET /ticket/21", 404, json!({"message": "No such ticket"})),
        ok("GET /ticket/22", json!({"id": 4, "Status": "open"})),
        says("GET /ticket/23", 403, json!({})),
    ];
    let done = read_back(&all, steps);
    assert_eq!(done.gone, ["i21"]);
    let told: Vec<_> = done.remotes.iter().map(|r| (r.record.as_str(), r.stage)).collect();
    assert_eq!(told, [("i20", Stage::Cancelled)], "merged and hidden ones say nothing");
}

#[test]
fn an_answer_that_is_no_list_says_nothing() {
    let all = [held("i", "20", RecordKind::Incident, false)];
    for answer in [reply(200, &json!({})), reply(503, &json!({})), reply(400, &json!({"message": "?"}))] {
        let done = read_back(&all, vec![(FOUND, Ok(answer))]);
        assert!(done.remotes.is_empty() && done.gone.is_empty() && done.outcomes.is_empty(), "{done:?}");
    }
}

#[test]
fn a_ticket_that_a_lost_store_left_behind_is_adopted() {
    const SEARCH: &str = "GET /tickets?query=Queue%20%3D%20%27Incidents%27%20AND%20Status";
    let old = "sx-01900000-0000-7000-8000-000000000009";
    let left = |id: u64, key: &str| json!({"id": id, "Status": "open", "CustomFields": [{"name": "CorrelationKey", "values": [key]}]});
    let born = minted(KEY).unwrap();
    let text = |key: &str| json!({"items": [{"Content": format!("disk\nAlert: {key}\n")}]});
    let mine = create().body["alert_key"].as_str().unwrap().to_owned();
    let steps = vec![
        ok(SEARCH, tickets(&[left(7, "sx-other"), left(8, KEY), left(9, old), left(10, old)])),
        ok("GET /ticket/9/attachments", text("sx-a-0123456789abcdef-ffffffffffffffff")),
        ok("GET /ticket/10/attachments", text(&mine)),
        ok("PUT /ticket/10", json!(["CorrelationKey changed"])),
        ok("GET /ticket/10", ticket(10, "open")),
        ok("GET /ticket/10/history", json!({"items": []})),
        says("POST /ticket/10/comment", 201, comments(&[])),
    ];
    let target = Target { born, ..target(&[]) };
    let job = Job { claimed_at: born.plus(1), attempts: 0, ..create() };
    // The first attempt looks for no key of its own, so that its comment need not be looked for either.
    let steps = steps.into_iter().filter(|(asked, _)| !asked.ends_with("history")).collect();
    let (done, asked) = converse(|said| next(&target, std::slice::from_ref(&job), said), steps);
    assert_eq!(done.outcomes, [stored("10")]);
    assert_eq!(asked[3].json_body()["CustomFields"]["CorrelationKey"], KEY);
}

#[test]
fn a_field_for_the_alert_key_is_searched_directly() {
    let target = Target { born: minted(KEY).unwrap(), ..target(&[("field.alert", "AlertKey")]) };
    let job = Job { claimed_at: target.born.plus(1), ..create() };
    let steps = vec![
        ok("GET /tickets?query=Queue", tickets(&[])),
        says("POST /ticket", 201, json!({"id": "20"})),
        ok("GET /ticket/20", ticket(20, "new")),
    ];
    let (_, asked) = converse(|said| next(&target, std::slice::from_ref(&job), said), steps);
    assert!(asked[0].path.contains("CF.%7BAlertKey%7D%27%20%3D%20%27sx-a-"), "{}", asked[0].path);
    assert_eq!(asked[1].json_body()["CustomFields"]["AlertKey"], create().body["alert_key"]);
}
