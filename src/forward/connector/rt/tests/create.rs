//! Creates: first, repeated, raced, misconfigured.

use super::*;

#[test]
fn a_first_create_posts_and_reads_back() {
    let made = says("POST /ticket", 201, json!({"id": "20", "type": "ticket"}));
    let (done, asked) = play(&[], &create(), vec![made, ok("GET /ticket/20", ticket(20, "new"))]);
    assert_eq!(done, Done::from(stored("20")), "no warning, no pause");
    let body = asked[0].json_body();
    assert_eq!(body["Queue"], "Incidents");
    assert_eq!(body["Subject"], "web-01: /data is 91 % full");
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
        ok(FIND, tickets(&strangers)),
        still_keyed(),
        ok(UNKEYED, tickets(&[])),
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
    let twin = asked[3].json_body();
    assert_eq!(twin["Status"], "rejected");
    assert!(twin["Content"].as_str().unwrap().starts_with("Duplicate of ticket 20"));
}

#[test]
fn a_create_that_lost_the_race_against_its_first_attempt_adopts_that_one() {
    let both = || tickets(&[ticket(20, "new"), ticket(21, "new")]);
    let steps = vec![
        ok(FIND, tickets(&[])),
        ok(FIND, tickets(&[])),
        still_keyed(),
        ok(UNKEYED, tickets(&[])),
        says("POST /ticket", 201, json!({"id": "21"})),
        ok("GET /ticket/21", ticket(21, "new")),
        ok(FIND, both()),
        ok("GET /ticket/20", ticket(20, "new")),
        ok(FIND, both()),
        says("POST /ticket/21/comment", 201, comments(&[])),
    ];
    assert_eq!(play(&[], &repeated(create()), steps).0, Done::from(stored("20")));
}

/// As a search shows a ticket that a person has merged into another.
fn merged(id: u64, into: u64) -> Json {
    let mut item = ticket(id, "new");
    item["EffectiveId"] = json!(into.to_string());
    item
}

/// The ticket it was merged into, which is a person's own.
fn other(id: u64, status: &str) -> Json {
    json!({"id": id, "Status": status, "Creator": {"id": "alice"}, "CustomFields": []})
}

#[test]
fn a_lost_create_that_a_person_has_merged_meanwhile_is_not_made_again() {
    let steps = vec![ok(FIND, tickets(&[merged(20, 30)])), ok("GET /ticket/20", other(30, "open"))];
    let (done, asked) = play(&[], &repeated(create()), steps);
    assert_eq!(
        done,
        Done::from(stored("20")),
        "the other ticket is neither written to nor asked for our key"
    );
    assert!(asked[0].path.contains("%20AND%20EffectiveId%20%3E%200&"), "{}", asked[0].path);

    let made = says("POST /ticket", 201, json!({"id": "20"}));
    let (done, _) = play(&[], &create(), vec![made, ok("GET /ticket/20", other(30, "open"))]);
    assert_eq!(done, Done::from(stored("20")), "merged before it was read back");
}

#[test]
fn the_end_of_a_merged_ticket_is_told_where_it_is_now() {
    let mut job = create();
    job.body["state"] = json!("resolved");
    job.body["resolved_at"] = json!("2026-11-22T10:20:00Z");
    let history = || ok("GET /ticket/30/history", json!({"items": []}));
    for status in ["open", "resolved"] {
        let steps = vec![
            ok(FIND, tickets(&[merged(20, 30)])),
            ok("GET /ticket/20", other(30, status)),
            ok("GET /ticket/20", other(30, status)),
            history(),
            ok("GET /ticket/30", other(30, status)),
            history(),
            says("POST /ticket/30/comment", 201, comments(&[])),
        ];
        let (done, asked) = play(&[], &repeated(job.clone()), steps);
        assert_eq!(done.outcomes, [stored("20")], "{status}");
        let said = asked[6].json_body();
        assert_eq!((said.get("Status"), said.get("CustomFields")), (None, None), "not closed or overwritten");
    }
}

#[test]
fn a_twin_merged_by_a_person_is_not_rejected() {
    let found = || ok(FIND, tickets(&[merged(19, 20), ticket(20, "new"), merged(21, 20), merged(22, 30)]));
    let steps = vec![found(), ok("GET /ticket/20", ticket(20, "new")), found()];
    let (done, _) = play(&[], &repeated(create()), steps);
    assert_eq!(done, Done::from(stored("20")), "the one that is still there counts, however old the others");
}

#[test]
fn a_lost_create_is_looked_for_twice_before_it_is_repeated() {
    let steps = vec![
        ok(FIND, tickets(&[])),
        ok(FIND, tickets(&[ticket(20, "new")])),
        ok("GET /ticket/20", ticket(20, "new")),
        ok(FIND, tickets(&[ticket(20, "new")])),
    ];
    let (done, asked) = play(&[], &repeated(create()), steps);
    assert_eq!(done, Done::from(stored("20")), "RT was still at work at the first look");
    let waits: Vec<u64> = asked.iter().map(|r| r.after.as_secs()).collect();
    assert_eq!(waits, [0, 3, 0, 0]);
}

#[test]
fn a_ticket_found_of_an_earlier_revision_is_brought_up_to_date() {
    let mut job = repeated(create());
    job.body["intervals"] = json!([{"from": "2026-11-22T10:00:00Z"}, {"from": "2026-11-22T10:00:00Z"}]);
    (job.body["priority"], job.body["impact"]) = (json!("P2"), json!(1));
    let steps = vec![
        ok(FIND, tickets(&[ticket(20, "open")])),
        ok("GET /ticket/20", ticket(20, "open")),
        ok(FIND, tickets(&[ticket(20, "open")])),
        ok("PUT /ticket/20", json!(["Ticket 20: Priority changed from '20' to '80'"])),
        ok("GET /ticket/20", ticket(20, "open")),
        ok("PUT /ticket/20", json!(["OccurrenceCount 1 changed to 2", "Impact 2-Medium changed to 1-High"])),
    ];
    let (done, asked) = play(&[], &job, steps);
    assert_eq!(done, Done::from(stored("20")));
    assert_eq!(asked[3].json_body()["Priority"], 80);
    assert_eq!(asked[5].json_body()["CustomFields"]["OccurrenceCount"], "2");
    assert_eq!(asked[5].json_body().get("Status"), None, "that is the people's");
}

/// The field was away at the first attempt, which was carried out to its end and then lost.
#[test]
fn a_create_found_over_already_gets_what_the_lost_attempt_left_out() {
    let mut job = repeated(create());
    job.body["state"] = json!("resolved");
    job.body["resolved_at"] = json!("2026-11-22T10:20:00Z");
    let mut poor = ticket(20, "resolved");
    poor["CustomFields"].as_array_mut().unwrap().retain(|f| f["name"] != "OccurrenceCount");
    let said = json!({"items": [{"Type": "Comment", "Data": format!("x [{KEY}-1-c]")}]});
    let start = || {
        vec![
            ok(FIND, tickets(&[poor.clone()])),
            ok("GET /ticket/20", poor.clone()),
            ok(FIND, tickets(&[poor.clone()])),
            ok(HISTORY, said.clone()),
            ok("GET /ticket/20", poor.clone()),
        ]
    };
    let written = ok("PUT /ticket/20", json!(["OccurrenceCount 1 added", SEEN]));
    let (done, asked) = play(&[], &job, [start(), vec![written]].concat_steps());
    assert_eq!(done, Done::from(stored("20")));
    assert_eq!(asked[5].json_body()["CustomFields"]["OccurrenceCount"], "1");
    let lost = vec![ok("PUT /ticket/20", json!([])), ok("GET /ticket/20", poor.clone())];
    assert_eq!(play(&[], &job, [start(), lost].concat_steps()).0.outcomes, [mended("20")]);
}

const SEEN: &str = "LastSeen 2026-11-22 10:10:00 changed to 2026-11-22 10:20:00";

#[test]
fn a_ticket_made_without_its_key_pauses_and_is_not_made_again() {
    let mut bare = ticket(20, "new");
    bare["CustomFields"] = json!([{"name": "CorrelationKey", "values": []}]);
    let steps = vec![says("POST /ticket", 201, json!({"id": "20"})), ok("GET /ticket/20", bare)];
    let (done, _) = play(&[], &create(), steps);
    assert_eq!(done.outcomes, [mended("20")]);
    let pause = done.pause.unwrap();
    assert!(
        pause.contains("custom field 'CorrelationKey'") && pause.contains("SetInitialCustomField"),
        "{pause}"
    );
}

#[test]
fn a_ticket_made_without_its_key_for_a_record_already_over_is_not_left_open() {
    let mut job = create();
    job.body["state"] = json!("resolved");
    job.body["resolved_at"] = json!("2026-11-22T10:20:00Z");
    let mut bare = ticket(20, "new");
    bare["CustomFields"] = json!([]);
    let steps = vec![
        says("POST /ticket", 201, json!({"id": "20"})),
        ok("GET /ticket/20", bare.clone()),
        says("POST /ticket/20/comment", 201, comments(&[])),
        ok("GET /ticket/20", bare.clone()),
        ok("GET /ticket/20", bare),
        ok("PUT /ticket/20", json!(["Ticket 20: Status changed from 'new' to 'resolved'"])),
        ok("GET /ticket/20", ticket(20, "resolved")),
    ];
    let (done, asked) = play(&[], &job, steps);
    assert_eq!(done.outcomes, [mended("20")]);
    assert!(done.pause.is_some_and(|p| p.contains("without its key")));
    assert_eq!(status_of(&asked[1..]), Some("resolved"));
    assert_eq!(asked[2].json_body()["CustomFields"]["CorrelationKey"], KEY, "perhaps it is there again");
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
    let mut made = ticket(20, "new");
    let fields = made["CustomFields"].as_array_mut().unwrap();
    fields.iter_mut().find(|f| f["name"] == "LastSeen").unwrap()["values"] = json!(["2026-11-22T10:20:00Z"]);
    let steps = vec![
        says("POST /ticket", 201, json!({"id": "20"})),
        ok("GET /ticket/20", made.clone()),
        says("POST /ticket/20/comment", 201, comments(&[])),
        ok("GET /ticket/20", made.clone()),
        ok("PUT /ticket/20", json!(["Ticket 20: Status changed from 'new' to 'resolved'"])),
    ];
    let (done, asked) = play(&[], &job, steps);
    assert_eq!(done.outcomes, [stored("20")]);
    assert_eq!(asked[0].json_body()["Status"], "new");
    assert_eq!(asked[4].json_body()["Status"], "resolved");

    // Cut between the two: found again, the comment's marker is there, only the status is missing.
    let marker = format!("INC000042 reported [{}]\n", job.operation_key);
    let mut there = Reply { headers: BTreeMap::new(), ..reply(200, &ticket(20, "new")) };
    there.headers.insert("etag".to_owned(), "\"52\"".to_owned());
    let steps = vec![
        ok(FIND, tickets(&[ticket(20, "new")])),
        ok("GET /ticket/20", ticket(20, "new")),
        ok(FIND, tickets(&[ticket(20, "new")])),
        ok(HISTORY, json!({"items": [{"Type": "Comment", "Data": marker}]})),
        ("GET /ticket/20", Ok(there)),
        ok("PUT /ticket/20", json!(["Ticket 20: Status changed from 'new' to 'resolved'", SEEN])),
    ];
    let (done, asked) = play(&[], &repeated(job), steps);
    assert_eq!(done.outcomes, [stored("20")]);
    assert!(asked[5].header("if-match") == Some("\"52\""), "{:?}", asked[5].headers);
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
        still_keyed(),
        says("POST /ticket", 201, json!({"id": "20"})),
        ok("GET /ticket/20", ticket(20, "new")),
    ];
    let mut done = play(&[], &job, steps_with_second_look(steps)).0;
    done.warning = None;
    assert_eq!(done.outcomes, [stored("20")]);
}

fn still_keyed() -> Step {
    ok("GET /queue/Incidents", queue(&["CorrelationKey"]))
}

#[test]
fn a_search_that_finds_nothing_because_the_field_is_gone_makes_no_second_ticket() {
    let nothing = || ok(FIND, tickets(&[]));
    let steps = vec![nothing(), nothing(), ok("GET /queue/Incidents", queue(&["CI"]))];
    let (done, _) = play(&[], &repeated(create()), steps);
    assert!(done.pause.is_some_and(|p| p.contains("'CorrelationKey'")));
}

#[test]
fn a_ticket_that_a_lost_attempt_made_without_its_key_is_found_by_its_text() {
    let nothing = || ok(FIND, tickets(&[]));
    let bare = |id: u64| {
        let mut bare = ticket(id, "new");
        bare["CustomFields"] = json!([]);
        bare
    };
    let text = |words: &str| json!({"items": [{"Content": format!("Record INC000042 {words}\n")}]});
    let steps = vec![
        nothing(),
        nothing(),
        still_keyed(),
        ok(UNKEYED, tickets(&[bare(22), bare(21), bare(20)])),
        ok("GET /ticket/22/attachments", text("sx-another")),
        ok("GET /ticket/21/attachments", text(&format!("sx-next\nPrevious    {KEY} (the same trouble)"))),
        ok("GET /ticket/20/attachments", text(KEY)),
        ok("PUT /ticket/20", json!(["CorrelationKey set"])),
        ok("GET /ticket/20", ticket(20, "new")),
        ok(FIND, tickets(&[ticket(20, "new")])),
    ];
    let (done, asked) = play(&[], &repeated(create()), steps);
    assert_eq!(done.outcomes, [stored("20")]);
    assert_eq!(done.pause, None);
    assert_eq!(asked[7].json_body()["CustomFields"]["CorrelationKey"], KEY);
    assert!(!asked.iter().any(|request| request.path == "/ticket"), "no second ticket");
}

#[test]
fn a_token_revoked_after_the_post_makes_no_second_ticket() {
    let made = || says("POST /ticket", 201, json!({"id": "20"}));
    let lost = [
        vec![made(), says("GET /ticket/20", 401, json!({"message": "Unauthorized"}))],
        vec![made(), says("GET /ticket/20", 403, json!({})), says("GET /queue/Incidents", 403, json!({}))],
    ];
    for steps in lost {
        let (done, _) = play(&[], &create(), steps);
        assert!(done.pause.is_some(), "the destination is left alone: {done:?}");
        assert!(matches!(done.outcomes[0], Outcome::Retry { unknown: true, .. }), "{done:?}");
    }
}
