use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::engine::effect::Operation;
use crate::engine::moment::Stamp;
use crate::engine::option::{OptionValue, Options};
use crate::engine::record::HostRef;
use crate::forward::connector::{Failure, Method, Reply, Request};

const KEY: &str = "sx-019ab000-0000-7000-8000-000000000001";

fn target(map: &[(&str, &str)]) -> Target {
    let map: BTreeMap<_, _> = map.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let options = Options(BTreeMap::from([("map".to_owned(), OptionValue::Map(map))]));
    let host = HostRef { id: "0123456789abcdef".into(), name: "web-01".into() };
    Target { id: "rt".into(), host, options }
}

fn body(file: &str) -> Json {
    serde_json::from_str(file).unwrap()
}

/// The first revision of the fixture's incident, not sent yet.
fn create() -> Job {
    let body = body(include_str!("../../../../tests/data/forward/incident.json"));
    Job {
        kind: RecordKind::Incident,
        record: body["id"].as_str().unwrap().to_owned(),
        rev: 1,
        acked_rev: 0,
        operation: Operation::Create,
        operation_key: format!("{KEY}-1-c"),
        record_key: KEY.to_owned(),
        remote_id: None,
        remote_problem: None,
        unknown: false,
        attempts: 0,
        body,
    }
}

/// A later revision of it, ticket 20 being known; `to` is the state it changed to.
fn later(operation: Operation, to: Option<(&str, &str)>) -> Job {
    let mut job = create();
    (job.rev, job.acked_rev, job.operation) = (2, 1, operation);
    job.operation_key = format!("{KEY}-2-{}", operation.letter());
    job.remote_id = Some("20".to_owned());
    let mut entry =
        json!({"at": "2026-11-22T10:10:00Z", "rev": 2, "actor": "rule", "kind": "x", "note": "what is new"});
    if let Some((from, to)) = to {
        (entry["from"], entry["to"], job.body["state"]) = (json!(from), json!(to), json!(to));
    }
    job.body["rev"] = json!(2);
    job.body["timeline"].as_array_mut().unwrap().push(entry);
    job
}

fn resolve() -> Job {
    later(Operation::Resolve, Some(("new", "resolved")))
}

fn link() -> Job {
    let mut job = create();
    (job.kind, job.operation) = (RecordKind::Link, Operation::Link);
    (job.remote_id, job.remote_problem) = (Some("20".to_owned()), Some("30".to_owned()));
    job
}

fn repeated(mut job: Job) -> Job {
    (job.unknown, job.attempts) = (true, 1);
    job
}

fn reply(status: u16, body: &Json) -> Reply {
    Reply { status, body: body.to_string().into_bytes(), ..Reply::default() }
}

/// What RT shows of a ticket that holds everything the fixture wants.
fn ticket(id: u64, status: &str) -> Json {
    let target = target(&[]);
    let map = Map::of(&target);
    let wanted = Wanted::of(&target, &map, &create()).unwrap();
    let field = |name: &str, value: &str| json!({"name": name, "values": [value]});
    let mut fields: Vec<Json> = wanted.fields.iter().map(|(n, v)| field(n, v)).collect();
    fields.push(field("CorrelationKey", KEY));
    json!({"id": id, "Status": status, "Priority": "20", "Queue": {"id": "3"}, "Creator": {"id": "sexton"},
        "CustomFields": fields, "_hyperlinks": []})
}

fn tickets(items: &[Json]) -> Json {
    json!({"total": items.len(), "items": items})
}

fn queue(fields: &[&str]) -> Json {
    let fields: Vec<Json> = fields.iter().map(|f| json!({"name": f, "ref": "customfield"})).collect();
    json!({"id": 3, "Name": "Incidents", "TicketCustomFields": fields})
}

/// One step of a conversation: what must be asked, and what RT answers.
type Step = (&'static str, Result<Reply, Failure>);

fn ok(asked: &'static str, body: Json) -> Step {
    (asked, Ok(reply(200, &body)))
}

fn says(asked: &'static str, status: u16, body: Json) -> Step {
    (asked, Ok(reply(status, &body)))
}

fn cut(asked: &'static str, sent: bool) -> Step {
    (asked, Err(Failure { sent, reason: "connection reset".into() }))
}

/// Plays the steps; every request must be the expected one. Returns the end and the requests.
fn play(map: &[(&str, &str)], job: &Job, steps: Vec<Step>) -> (Done, Vec<Request>) {
    let target = target(map);
    let mut said: Vec<Exchange> = Vec::new();
    let mut steps = steps.into_iter();
    loop {
        match next(&target, std::slice::from_ref(job), &said) {
            Next::Done(done) => {
                assert_eq!(steps.next().map(|s| s.0), None, "ended early with {done:?}");
                assert_eq!(done.outcomes.len(), 1);
                return (done, said.into_iter().map(|e| e.request).collect());
            }
            Next::Send(request) => {
                let method = match request.method {
                    Method::Get => "GET",
                    Method::Post => "POST",
                    Method::Put => "PUT",
                };
                let asked = format!("{method} {}", request.path);
                let (expected, result) = steps.next().unwrap_or_else(|| panic!("did not expect {asked}"));
                assert!(asked.starts_with(expected), "expected {expected}, got {asked}");
                said.push(Exchange { request, result });
            }
        }
    }
}

fn stored(id: &str) -> Outcome {
    Outcome::Stored { remote_id: Some(id.to_owned()) }
}

fn comments(sentences: &[&str]) -> Json {
    json!([&["Comments added"], sentences].concat())
}

fn reason(done: &Done) -> &str {
    match &done.outcomes[0] {
        Outcome::Retry { reason, .. } | Outcome::Pause { reason } | Outcome::Refused { reason } => reason,
        Outcome::Stored { .. } => "stored",
    }
}

const FIND: &str = "GET /tickets?query=%27CF.%7BCorrelationKey%7D%27%20%3D%20%27sx-019ab000";
const HISTORY: &str = "GET /ticket/20/history?fields=Type,Data&orderby=id&order=DESC";

#[test]
fn a_first_create_posts_and_reads_back() {
    let made = says("POST /ticket", 201, json!({"id": "20", "type": "ticket"}));
    let (done, asked) = play(&[], &create(), vec![made, ok("GET /ticket/20", ticket(20, "new"))]);
    assert_eq!(done, Done::from(stored("20")), "no warning, no pause");
    let body = asked[0].body.as_ref().unwrap();
    assert_eq!(body["Queue"], "Incidents");
    assert_eq!(body["Subject"], "/data is 91 % full");
    assert_eq!((body["Priority"].as_i64(), body["Status"].as_str()), (Some(20), Some("new")));
    assert_eq!(body["ContentType"], "text/plain");
    assert_eq!(
        body["CustomFields"],
        json!({"CorrelationKey": KEY, "IdempotencyKey": KEY, "CI": "web-01", "EventSource": "sexton/web-01",
            "Impact": "2-Medium", "Urgency": "3-Low", "OccurrenceCount": "1",
            "FirstSeen": "2026-11-22T09:50:00+00:00", "LastSeen": "2026-11-22T10:00:30+00:00"})
    );
    insta::assert_snapshot!("incident_content", body["Content"].as_str().unwrap());
}

#[test]
fn a_repeated_create_looks_before_it_posts() {
    let found = ok(FIND, tickets(&[ticket(20, "new")]));
    let read = || ok("GET /ticket/20", ticket(20, "new"));
    let twins = || ok(FIND, tickets(&[ticket(20, "new")]));
    let (done, _) = play(&[], &repeated(create()), vec![found, read(), twins()]);
    assert_eq!(done, Done::from(stored("20")), "adopted");

    // Other tickets that an inexact search returns are not ours: another case, another key, no key.
    let mut upper = ticket(7, "new");
    upper["CustomFields"] = json!([{"name": "CorrelationKey", "values": [KEY.to_uppercase()]}]);
    let strangers = [upper, json!({"id": "8", "Status": "new", "CustomFields": []}), json!({})];
    let steps = vec![
        ok(FIND, tickets(&strangers)),
        says("POST /ticket", 201, json!({"id": "20"})),
        read(),
        twins(),
        twins(),
    ];
    assert_eq!(play(&[], &repeated(create()), steps).0, Done::from(stored("20")), "none adopted");

    let mut again = create();
    again.attempts = 1;
    let found = ok(FIND, tickets(&[ticket(20, "new")]));
    assert_eq!(play(&[], &again, vec![found, read(), twins()]).0, Done::from(stored("20")), "any repetition");
}

#[test]
fn of_several_tickets_the_oldest_counts_and_ours_are_rejected() {
    let mut persons = ticket(23, "open");
    persons["Creator"] = json!({"id": "alice"});
    let all = tickets(&[ticket(22, "new"), ticket(20, "new"), ticket(24, "rejected"), persons]);
    let steps = vec![
        ok(FIND, all.clone()),
        ok("GET /ticket/20", ticket(20, "new")),
        ok(FIND, all),
        says("POST /ticket/22/comment", 201, comments(&["Status changed from 'new' to 'rejected'"])),
    ];
    let (done, asked) = play(&[], &repeated(create()), steps);
    assert_eq!(done, Done::from(stored("20")));
    let twin = asked[3].body.as_ref().unwrap();
    assert_eq!(twin["Status"], "rejected");
    assert!(twin["Content"].as_str().unwrap().starts_with("Duplicate of ticket 20"));
}

#[test]
fn a_create_that_lost_the_race_against_its_first_attempt_adopts_that_one() {
    let both = || tickets(&[ticket(20, "new"), ticket(21, "new")]);
    let steps = vec![
        ok(FIND, tickets(&[])),
        says("POST /ticket", 201, json!({"id": "21"})),
        ok("GET /ticket/21", ticket(21, "new")),
        ok(FIND, both()),
        ok("GET /ticket/20", ticket(20, "new")),
        ok(FIND, both()),
        says("POST /ticket/21/comment", 201, comments(&[])),
    ];
    assert_eq!(play(&[], &repeated(create()), steps).0, Done::from(stored("20")));
}

#[test]
fn a_ticket_made_without_its_key_pauses_and_is_not_made_again() {
    let mut bare = ticket(20, "new");
    bare["CustomFields"] = json!([{"name": "CorrelationKey", "values": []}]);
    let steps = vec![says("POST /ticket", 201, json!({"id": "20"})), ok("GET /ticket/20", bare)];
    let (done, _) = play(&[], &create(), steps);
    assert_eq!(done.outcomes, [stored("20")]);
    let pause = done.pause.unwrap();
    assert!(
        pause.contains("custom field 'CorrelationKey'") && pause.contains("SetInitialCustomField"),
        "{pause}"
    );
}

#[test]
fn fields_dropped_in_silence_are_told() {
    let mut poor = ticket(20, "new");
    poor["CustomFields"] = json!([{"name": "CorrelationKey", "values": [KEY]}]);
    let steps = vec![says("POST /ticket", 201, json!({"id": "20"})), ok("GET /ticket/20", poor)];
    let warning = play(&[], &create(), steps).0.warning.unwrap();
    assert!(warning.contains("Impact") && warning.contains("FirstSeen"), "{warning}");
}

#[test]
fn a_record_already_over_is_created_and_resolved_in_one_conversation() {
    let mut job = create();
    job.body["state"] = json!("resolved");
    job.body["resolved_at"] = json!("2026-11-22T10:20:00Z");
    let steps = vec![
        says("POST /ticket", 201, json!({"id": "20"})),
        ok("GET /ticket/20", ticket(20, "new")),
        says("POST /ticket/20/comment", 201, comments(&["Status changed from 'new' to 'resolved'"])),
    ];
    let (done, asked) = play(&[], &job, steps);
    assert_eq!(done.outcomes, [stored("20")]);
    assert_eq!(asked[0].body.as_ref().unwrap()["Status"], "new");
    assert_eq!(asked[2].body.as_ref().unwrap()["Status"], "resolved");

    // Cut between the two: found again, the comment's marker is there, only the status is missing.
    let marker = format!("INC000042 reported [{}]\n", job.operation_key);
    let mut there = Reply { headers: BTreeMap::new(), ..reply(200, &ticket(20, "new")) };
    there.headers.insert("etag".to_owned(), "\"52\"".to_owned());
    let steps = vec![
        ok(FIND, tickets(&[ticket(20, "new")])),
        ("GET /ticket/20", Ok(there)),
        ok(FIND, tickets(&[ticket(20, "new")])),
        ok(HISTORY, json!({"items": [{"Type": "Comment", "Data": marker}]})),
        ok("PUT /ticket/20", json!(["Ticket 20: Status changed from 'new' to 'resolved'"])),
    ];
    let (done, asked) = play(&[], &repeated(job), steps);
    assert_eq!(done.outcomes, [stored("20")]);
    assert!(asked[4].headers.contains(&("if-match", "\"52\"".to_owned())), "{:?}", asked[4].headers);
}

#[test]
fn a_create_that_fails_says_what_may_have_happened() {
    let text = |s: &str| json!({"message": s});
    let mut after = Reply { ..reply(429, &json!({})) };
    after.retry_after = Some(Duration::from_secs(5));
    let cases: Vec<(&str, Step, Outcome)> = vec![
        ("reset", cut("POST /ticket", true), retry(true, None, "connection reset")),
        ("refused", cut("POST /ticket", false), retry(false, None, "connection reset")),
        ("502", says("POST /ticket", 502, text("bad")), retry(true, None, "HTTP 502: bad")),
        ("429", ("POST /ticket", Ok(after)), retry(false, Some(5), "HTTP 429: {}")),
        (
            "403",
            says("POST /ticket", 403, text("No permission to create tickets in the queue 'X'")),
            Outcome::Pause { reason: "HTTP 403: No permission to create tickets in the queue 'X'".into() },
        ),
        ("401", says("POST /ticket", 401, text("no")), Outcome::Pause { reason: "HTTP 401: no".into() }),
        ("400", says("POST /ticket", 400, text("bad")), Outcome::Refused { reason: "HTTP 400: bad".into() }),
    ];
    for (name, step, outcome) in cases {
        assert_eq!(play(&[], &create(), vec![step]).0.outcomes, [outcome], "{name}");
    }
    let login = Reply { status: 302, ..Reply::default() };
    let (done, _) = play(&[], &create(), vec![("POST /ticket", Ok(login))]);
    assert!(reason(&done).contains("not followed"), "{done:?}");
    let (done, _) = play(&[], &create(), vec![says("POST /ticket", 201, json!("what?"))]);
    assert!(matches!(done.outcomes[0], Outcome::Retry { unknown: true, .. }), "no number told: {done:?}");
    let steps = vec![says("POST /ticket", 201, json!({"id": "20"})), cut("GET /ticket/20", true)];
    let (done, _) = play(&[], &create(), steps);
    assert_eq!(
        done.outcomes,
        [retry(true, None, "connection reset")],
        "it was made, only the proof is missing"
    );
    let (done, _) = play(&[], &repeated(create()), vec![cut("GET /tickets", false)]);
    assert_eq!(done.outcomes, [retry(true, None, "connection reset")], "what was unknown stays unknown");
    let (done, _) = play(&[], &repeated(create()), vec![ok(FIND, json!({"message": "?"}))]);
    assert!(matches!(done.outcomes[0], Outcome::Retry { unknown: true, .. }), "an odd answer is not 'none'");
    let (done, _) = play(&[], &repeated(create()), vec![says(FIND, 400, text("parser"))]);
    assert!(matches!(done.outcomes[0], Outcome::Pause { .. }), "{done:?}");
}

fn retry(unknown: bool, after: Option<u64>, reason: &str) -> Outcome {
    Outcome::Retry { after: after.map(Duration::from_secs), unknown, reason: reason.to_owned() }
}

#[test]
fn an_update_comments_only_what_is_new_and_leaves_the_status_to_people() {
    let job = later(Operation::Update, None);
    let steps = vec![
        ok("GET /ticket/20", ticket(20, "stalled")),
        says("POST /ticket/20/comment", 201, comments(&["OccurrenceCount 1 changed to 2"])),
    ];
    let (done, asked) = play(&[], &job, steps);
    assert_eq!(done.outcomes, [stored("20")]);
    let body = asked[1].body.as_ref().unwrap();
    assert_eq!(body.get("Status"), None);
    assert_eq!(body["ContentType"], "text/plain");
    assert_eq!(body["Subject"], format!("INC000042 updated [{KEY}-2-u]"));
    let text = body["Content"].as_str().unwrap();
    assert!(text.contains("what is new") && !text.contains("91.2 %"), "{text}");
    assert!(text.ends_with(&format!("[{KEY}-2-u]")), "{text}");
    assert!(asked[1].headers.iter().all(|h| h.0 != "if-match"), "RT refuses every If-Match on a comment");
}

#[test]
fn changes_of_state_become_statuses_unless_a_person_closed_the_ticket() {
    let states = [
        (("new", "acknowledged"), "new", Some("open")),
        (("new", "acknowledged"), "open", None),
        (("new", "on_hold"), "open", Some("stalled")),
        (("on_hold", "in_progress"), "stalled", Some("open")),
        (("new", "acknowledged"), "resolved", None),
        (("new", "on_hold"), "rejected", None),
        (("resolved", "new"), "resolved", Some("open")),
        (("new", "cancelled"), "open", Some("rejected")),
        (("resolved", "closed"), "resolved", None),
        (("resolved", "closed"), "open", Some("resolved")),
    ];
    for (change, now, wanted) in states {
        let job = later(Operation::Update, Some(change));
        let sentence = format!("Status changed from '{now}' to '{}'", wanted.unwrap_or("?"));
        let told = if wanted.is_some() { vec![sentence.as_str()] } else { Vec::new() };
        let steps = vec![
            ok("GET /ticket/20", ticket(20, now)),
            says("POST /ticket/20/comment", 201, comments(&told)),
        ];
        let (_, asked) = play(&[], &job, steps);
        let status = asked[1].body.as_ref().unwrap().get("Status").and_then(Json::as_str);
        assert_eq!(status, wanted, "{change:?} on a ticket that is {now}");
    }
}

#[test]
fn a_resolve_closes_unless_it_is_closed() {
    for (now, wanted) in
        [("new", Some("resolved")), ("stalled", Some("resolved")), ("resolved", None), ("rejected", None)]
    {
        let told = wanted.map(|w| format!("Status changed from '{now}' to '{w}'"));
        let told: Vec<&str> = told.iter().map(String::as_str).collect();
        let steps = vec![
            ok("GET /ticket/20", ticket(20, now)),
            ok(FIND, tickets(&[ticket(20, now)])),
            says("POST /ticket/20/comment", 201, comments(&told)),
        ];
        let (done, asked) = play(&[], &resolve(), steps);
        assert_eq!(done.outcomes, [stored("20")], "{now}");
        assert_eq!(asked[2].body.as_ref().unwrap().get("Status").and_then(Json::as_str), wanted, "{now}");
    }
    let (done, _) = play(&[], &resolve(), vec![ok("GET /ticket/20", ticket(20, "deleted"))]);
    assert_eq!(done.outcomes, [stored("20")], "deleted: nothing is open");
    let (done, _) = play(&[], &resolve(), vec![says("GET /ticket/20", 404, json!({}))]);
    assert_eq!(done.outcomes, [stored("20")], "gone: nothing is open");
}

#[test]
fn a_resolve_rejects_what_a_race_left_open() {
    let steps = vec![
        ok("GET /ticket/20", ticket(20, "open")),
        ok(FIND, tickets(&[ticket(20, "open"), ticket(25, "new")])),
        says("POST /ticket/25/comment", 201, comments(&[])),
        says("POST /ticket/20/comment", 201, comments(&["Status changed from 'open' to 'resolved'"])),
    ];
    assert_eq!(play(&[], &resolve(), steps).0.outcomes, [stored("20")]);
}

#[test]
fn a_repeated_comment_is_looked_for_in_the_history() {
    let marked = |data: &str| json!({"items": [{"Type": "Status"}, {"Type": "Comment", "Data": data}]});
    let key = format!("{KEY}-2-u");
    let mut job = repeated(later(Operation::Update, None));
    // Read-compare-write: the ticket already holds the fields of this revision.
    let there = || vec![ok("GET /ticket/20", ticket(20, "open"))];
    let steps = [there(), vec![ok(HISTORY, marked(&format!("INC000042 updated [{key}]\n")))]].concat_steps();
    let (done, _) = play(&[], &job, steps);
    assert_eq!(done.outcomes, [stored("20")], "said already, nothing to do");
    for other in ["No Subject".to_owned(), format!("re: [{key}] is what?"), format!("[{KEY}-1-c]")] {
        let said = vec![ok(HISTORY, marked(&other)), says("POST /ticket/20/comment", 201, comments(&[]))];
        play(&[], &job, [there(), said].concat_steps());
    }
    job.unknown = false;
    let steps = [there(), vec![ok(HISTORY, marked(&format!("INC000042 updated [{key}]\n")))]].concat_steps();
    play(&[], &job, steps);
}

/// Joins parts of a script.
trait Concat {
    fn concat_steps(self) -> Vec<Step>;
}

impl<const N: usize> Concat for [Vec<Step>; N] {
    fn concat_steps(self) -> Vec<Step> {
        self.into_iter().flatten().collect()
    }
}

#[test]
fn a_refusal_inside_a_success_is_found() {
    let resolving = |told: &str, after: Json| {
        let start = vec![
            ok("GET /ticket/20", ticket(20, "open")),
            ok(FIND, tickets(&[])),
            says("POST /ticket/20/comment", 201, comments(&[told])),
            ok("GET /ticket/20", after),
        ];
        start.into_iter()
    };
    let open = || ticket(20, "open");
    let (done, _) =
        play(&[], &resolve(), resolving("That ticket has unresolved dependencies", open()).collect());
    assert!(matches!(done.outcomes[0], Outcome::Retry { after: Some(_), unknown: true, .. }), "{done:?}");

    let odd = "Status 'resolved' isn't a valid status for this ticket.";
    let (done, _) = play(&[], &resolve(), resolving(odd, open()).collect());
    assert!(matches!(&done.outcomes[0], Outcome::Refused { reason } if reason.contains(odd)), "{done:?}");

    let denied = |queue_id: i64| {
        let more = vec![ok("GET /queue/Incidents", json!({"id": queue_id}))];
        play(&[], &resolve(), resolving("Permission Denied", open()).chain(more).collect()).0
    };
    assert!(denied(3).pause.is_some(), "in our own queue: a matter of rights");
    assert!(
        matches!(denied(9).outcomes[0], Outcome::Refused { .. }),
        "moved to another queue: this ticket only"
    );

    // Sentences of another language: the ticket itself tells that all is well.
    let (done, _) =
        play(&[], &resolve(), resolving("Status von 'open' geändert", ticket(20, "resolved")).collect());
    assert_eq!(done.outcomes, [stored("20")]);

    let mut kept = ticket(20, "resolved");
    kept["CustomFields"].as_array_mut().unwrap().retain(|f| f["name"] != "Impact");
    let (done, _) = play(&[], &resolve(), resolving("Invalid value for custom field", kept).collect());
    assert_eq!(done.outcomes, [stored("20")]);
    assert!(done.warning.is_some_and(|w| w.contains("Impact")), "told, but not a reason to fail");
}

#[test]
fn a_ticket_that_people_took_away() {
    let update = || later(Operation::Update, None);
    let (done, _) = play(&[], &update(), vec![ok("GET /ticket/20", ticket(20, "deleted"))]);
    assert_eq!(reason(&done), "ticket 20 was deleted at the desk");
    let (done, _) =
        play(&[], &update(), vec![says("GET /ticket/20", 404, json!({"message": "No such ticket"}))]);
    assert_eq!(reason(&done), "ticket 20 is gone: HTTP 404: No such ticket");
    let hidden = || says("GET /ticket/20", 403, json!({}));
    let (done, _) =
        play(&[], &update(), vec![hidden(), ok("GET /queue/Incidents", queue(&["CorrelationKey"]))]);
    assert!(matches!(done.outcomes[0], Outcome::Refused { .. }), "only this ticket: {done:?}");
    let (done, _) = play(&[], &update(), vec![hidden(), says("GET /queue/Incidents", 403, json!({}))]);
    assert!(matches!(done.outcomes[0], Outcome::Pause { .. }), "all rights lost: {done:?}");
    let mut odd = update();
    odd.remote_id = Some("20/../21".to_owned());
    assert_eq!(reason(&play(&[], &odd, vec![]).0), "'20/../21' is no ticket number");

    // Merged into another incident's ticket: it is told, and not closed.
    let steps =
        vec![ok("GET /ticket/20", ticket(44, "open")), says("POST /ticket/44/comment", 201, comments(&[]))];
    let (done, asked) = play(&[], &resolve(), steps);
    assert_eq!(done.outcomes, [stored("20")]);
    let body = asked[1].body.as_ref().unwrap();
    assert!(body.get("Status").is_none() && body.get("CustomFields").is_none(), "{body}");
}

#[test]
fn more_weight_raises_priority_and_subject_once() {
    let mut job = later(Operation::Update, None);
    (job.body["impact"], job.body["priority"]) = (json!(1), json!("P3"));
    let weighed = |priority: &str| {
        let mut t = ticket(20, "open");
        t["Priority"] = json!(priority);
        t
    };
    let steps = vec![
        ok("GET /ticket/20", weighed("20")),
        ok("PUT /ticket/20", json!(["Ticket 20: Priority changed from '20' to '50'"])),
        ok("GET /ticket/20", weighed("50")),
        says("POST /ticket/20/comment", 201, comments(&["Impact 2-Medium changed to 1-High"])),
    ];
    let (_, asked) = play(&[], &job, steps);
    assert_eq!(asked[1].body, Some(json!({"Priority": 50, "Subject": "/data is 91 % full"})));
    // A person gave it more, or less while our own weight is unchanged: left alone.
    for (priority, job) in [("90", job), ("0", later(Operation::Update, None))] {
        let steps = vec![
            ok("GET /ticket/20", weighed(priority)),
            says("POST /ticket/20/comment", 201, comments(&[])),
        ];
        play(&[], &job, steps);
    }
}

#[test]
fn an_update_without_news_writes_fields_under_the_etag() {
    let mut job = later(Operation::Update, None);
    job.body["timeline"].as_array_mut().unwrap().pop();
    job.body["intervals"].as_array_mut().unwrap().push(json!({"from": "2026-11-22T11:00:00Z"}));
    let seen = |etag: &str| {
        let mut reply = reply(200, &ticket(20, "open"));
        reply.headers.insert("etag".to_owned(), etag.to_owned());
        ("GET /ticket/20", Ok(reply))
    };
    let steps = vec![
        seen("\"5\""),
        says("PUT /ticket/20", 412, json!({"message": "Precondition Failed"})),
        seen("\"6\""),
        ok("PUT /ticket/20", json!(["OccurrenceCount 1 changed to 2"])),
    ];
    let (done, asked) = play(&[], &job, steps);
    assert_eq!(done.outcomes, [stored("20")]);
    assert!(asked[3].headers.contains(&("if-match", "\"6\"".to_owned())));
    let busy = |_| [seen("\"5\""), says("PUT /ticket/20", 412, json!({}))];
    let steps = (0..3).flat_map(busy).chain([seen("\"5\"")]).collect();
    let (done, _) = play(&[], &job, steps);
    assert!(matches!(done.outcomes[0], Outcome::Retry { .. }), "{done:?}");
}

#[test]
fn a_record_without_a_known_ticket_is_found_or_made() {
    let mut job = later(Operation::Update, None);
    job.remote_id = None;
    let steps = vec![
        ok(FIND, tickets(&[ticket(20, "open")])),
        ok("GET /ticket/20", ticket(20, "open")),
        says("POST /ticket/20/comment", 201, comments(&[])),
    ];
    assert_eq!(play(&[], &job, steps).0.outcomes, [stored("20")]);
    let steps = vec![
        ok(FIND, tickets(&[])),
        says("POST /ticket", 201, json!({"id": "20"})),
        ok("GET /ticket/20", ticket(20, "new")),
    ];
    let mut done = play(&[], &job, steps_with_second_look(steps)).0;
    done.warning = None;
    assert_eq!(done.outcomes, [stored("20")]);
}

/// After a create that followed a search RT is searched again, for a ticket of an earlier attempt and for twins.
fn steps_with_second_look(mut steps: Vec<Step>) -> Vec<Step> {
    steps.push(ok(FIND, tickets(&[ticket(20, "new")])));
    steps.push(ok(FIND, tickets(&[ticket(20, "new")])));
    steps
}

#[test]
fn a_link_is_a_membership_and_is_verified() {
    for sentence in ["Ticket 20 member of Ticket 30.", "Link already exists"] {
        let (done, asked) = play(&[], &link(), vec![ok("PUT /ticket/20", json!([sentence]))]);
        assert_eq!(done.outcomes, [Outcome::Stored { remote_id: None }]);
        assert_eq!(asked[0].body, Some(json!({"AddMemberOf": [30]})), "never DependsOn");
    }
    let mut member = ticket(20, "open");
    member["_hyperlinks"] = json!([{"ref": "self", "id": 20}, {"ref": "parent", "id": "30"}]);
    let told = || ok("PUT /ticket/20", json!(["Ticket 20 gehört zu 30"]));
    let (done, _) = play(&[], &link(), vec![told(), ok("GET /ticket/20", member)]);
    assert_eq!(done.outcomes, [Outcome::Stored { remote_id: None }], "another language");
    let failed = ok("PUT /ticket/20", json!(["Couldn't resolve '30' into a Link."]));
    let (done, _) = play(&[], &link(), vec![failed, ok("GET /ticket/20", ticket(20, "open"))]);
    assert!(reason(&done).contains("Couldn't resolve"), "{done:?}");
    let (done, _) = play(&[], &link(), vec![says("PUT /ticket/20", 404, json!({}))]);
    assert!(matches!(done.outcomes[0], Outcome::Refused { .. }));
    let mut early = link();
    early.remote_problem = None;
    let (done, _) = play(&[], &early, vec![]);
    assert!(matches!(done.outcomes[0], Outcome::Retry { unknown: false, after: Some(_), .. }));
}

#[test]
fn a_problem_has_its_own_queue_and_fields() {
    let mut job = create();
    job.kind = RecordKind::Problem;
    job.body = body(include_str!("../../../../tests/data/forward/problem.json"));
    let target = target(&[("queue.problem", "Known trouble"), ("field.source", "")]);
    let Next::Send(request) = next(&target, &[job], &[]) else { panic!("must send") };
    let body = request.body.unwrap();
    assert_eq!(body["Queue"], "Known trouble");
    assert_eq!(body["CustomFields"]["KnownError"], "no");
    assert_eq!(body["CustomFields"]["OccurrenceCount"], "3");
    assert_eq!(body["CustomFields"].get("EventSource"), None, "switched off");
    insta::assert_snapshot!("problem_content", body["Content"].as_str().unwrap());
}

#[test]
fn hello_names_what_is_missing() {
    let full: Vec<&str> =
        options::DEFAULTS.iter().filter(|d| d.0.starts_with("field.")).map(|d| d.1).collect();
    let greet = |replies: Vec<Reply>| {
        let mut said = Vec::new();
        for reply in replies {
            let Next::Send(request) = hello(&target(&[]), &said) else { panic!("ended early") };
            said.push(Exchange { request, result: Ok(reply) });
        }
        match hello(&target(&[]), &said) {
            Next::Done(done) => done,
            Next::Send(request) => panic!("wants more: {request:?}"),
        }
    };
    let good = || reply(200, &queue(&full));
    assert_eq!(greet(vec![good(), good()]), Done::default());
    let done = greet(vec![good(), reply(200, &queue(&["CorrelationKey", "CI"]))]);
    assert!(done.warning.is_some_and(|w| w.contains("Problems.Impact")), "optional fields are told");
    let done = greet(vec![reply(200, &queue(&["Correlationkey", "CI"]))]);
    assert!(done.pause.is_some_and(|p| p.contains("queue 'Incidents'") && p.contains("'CorrelationKey'")));
    let done = greet(vec![good(), reply(403, &json!({}))]);
    assert!(done.pause.is_some_and(|p| p.contains("queue 'Problems'")));
    assert!(matches!(greet(vec![reply(503, &json!({}))]).outcomes[0], Outcome::Retry { .. }));
}

#[test]
fn odd_records_and_names_do_no_harm() {
    let mut job = create();
    job.body = json!({"id": 7});
    assert!(matches!(play(&[], &job, vec![]).0.outcomes[0], Outcome::Refused { .. }));
    let mut job = create();
    job.body["title"] = json!(format!("a\nb\u{7}{}", "ß".repeat(300)));
    job.body["ci"]["name"] = json!("x\n".repeat(400));
    let target = target(&[("field.key", "")]);
    let Next::Send(request) = next(&target, &[job], &[]) else { panic!("must send") };
    let body = request.body.unwrap();
    let subject = body["Subject"].as_str().unwrap();
    assert!(
        subject.starts_with("a bß") && subject.ends_with('…') && subject.chars().count() == 200,
        "{subject}"
    );
    assert!(body["CustomFields"]["CI"].as_str().unwrap().chars().count() <= 255);
    assert_eq!(body["CustomFields"]["CorrelationKey"], KEY, "the key cannot be switched off");
    assert_eq!(encode("Plant Süd/1"), "Plant%20S%C3%BCd%2F1");
}

#[test]
fn times_have_an_offset_and_no_z() {
    for (ns, text) in
        [(0, "1970-01-01T00:00:00+00:00"), (1_790_000_000_999_999_999, "2026-09-21T14:13:20+00:00")]
    {
        assert_eq!(ticket::time(Stamp(ns)), text);
    }
    let read = ticket::Ticket::from_json(
        &json!({"CustomFields": [{"name": "A", "values": ["2026-01-02T03:04:05Z"]}]}),
    );
    assert!(read.holds("A", "2026-01-02T03:04:05+00:00") && !read.holds("A", "2026-01-02T03:04:06+00:00"));
    assert!(read.holds("B", "") && !read.holds("B", "x"));
}
