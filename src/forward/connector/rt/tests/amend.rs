//! Updates, resolves and reopenings of a known ticket.

use super::*;

#[test]
fn an_update_comments_only_what_is_new_and_leaves_the_status_to_people() {
    let job = later(Operation::Update, None);
    let steps = vec![
        ok("GET /ticket/20", ticket(20, "stalled")),
        says("POST /ticket/20/comment", 201, comments(&["OccurrenceCount 1 changed to 2"])),
    ];
    let (done, asked) = play(&[], &job, steps);
    assert_eq!(done.outcomes, [stored("20")]);
    let body = asked[1].json_body();
    assert_eq!(body.get("Status"), None);
    assert_eq!(body["ContentType"], "text/plain");
    assert_eq!(body["Subject"], format!("INC000042 updated [{KEY}-2-u]"));
    let text = body["Content"].as_str().unwrap();
    assert!(text.contains("what is new") && !text.contains("91.2 %"), "{text}");
    assert!(text.ends_with(&format!("[{KEY}-2-u]")), "{text}");
    assert!(asked[1].headers.iter().all(|h| h.0 != "if-match"), "RT refuses every If-Match on a comment");
}

#[test]
fn a_history_that_makes_no_sense_does_not_say_that_nothing_was_said() {
    let job = repeated(later(Operation::Update, None));
    let steps = vec![ok("GET /ticket/20", ticket(20, "open")), ok(HISTORY, json!("<html>hello"))];
    let (done, _) = play(&[], &job, steps);
    assert_eq!(done.outcomes, [retry(true, None, "RT's answer for the history of ticket 20 is no list")]);
}

#[test]
fn a_new_ticket_names_the_key_of_the_ticket_before_it() {
    let mut job = create();
    job.body["links"]["previous"] = json!("019aaf00-0000-7000-8000-000000000009");
    let Next::Send(request) = next(&target(&[]), &[job], &[]) else { panic!("must send") };
    let body = request.json_body().clone();
    assert!(
        body["Content"].as_str().unwrap().contains("Previous    sx-019aaf00-0000-7000-8000-000000000009 (")
    );
}

#[test]
fn a_comment_says_what_has_become_of_it_and_nothing_twice() {
    let first_lines = |job: &Job| {
        let incident = serde_json::from_value(job.body.clone()).unwrap();
        let text = text::incident_comment(&incident, job).unwrap();
        assert_eq!(text.matches("what is new").count(), 1, "{text}");
        text.lines().take_while(|l| !l.is_empty()).collect::<Vec<_>>().join(" / ")
    };
    let mut over = resolve();
    over.body["resolved_at"] = json!("2026-11-22T10:10:00Z");
    over.body["closure"] = json!({"code": "auto_cleared", "note": "what is new"});
    assert_eq!(
        first_lines(&over),
        "INC000042 is resolved (warning, P4) / auto cleared: over since 2026-11-22 10:10:00Z, lasted 19m 59s"
    );
    over.body["closure"]["note"] = json!("said by a person");
    assert!(first_lines(&over).ends_with(" / said by a person"));
    let mut back = later(Operation::Reopen, Some(("resolved", "new")));
    back.body["timeline"][1]["kind"] = json!("reopened");
    assert_eq!(first_lines(&back), "INC000042 is open again (warning, P4)");
    let update = later(Operation::Update, None);
    assert_eq!(first_lines(&update), "INC000042 is open (warning, P4)");
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
        let words =
            vec![ok("GET /ticket/20", ticket(20, now)), says("POST /ticket/20/comment", 201, comments(&[]))];
        let then = wanted.map_or(Vec::new(), |to| moved(now, to));
        let (_, asked) = play(&[], &job, [words, then].concat_steps());
        assert_eq!(status_of(&asked), wanted, "{change:?} on a ticket that is {now}");
    }
}

#[test]
fn a_resolve_closes_unless_it_is_closed() {
    for (now, wanted) in
        [("new", Some("resolved")), ("stalled", Some("resolved")), ("resolved", None), ("rejected", None)]
    {
        let words = vec![
            ok("GET /ticket/20", ticket(20, now)),
            ok(FIND, tickets(&[ticket(20, now)])),
            says("POST /ticket/20/comment", 201, comments(&[])),
        ];
        let then = wanted.map_or(Vec::new(), |to| moved(now, to));
        let (done, asked) = play(&[], &resolve(), [words, then].concat_steps());
        assert_eq!(done.outcomes, [stored("20")], "{now}");
        assert_eq!(status_of(&asked), wanted, "{now}");
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
        says("POST /ticket/20/comment", 201, comments(&[])),
    ];
    let steps = [steps, moved("open", "resolved")].concat_steps();
    assert_eq!(play(&[], &resolve(), steps).0.outcomes, [stored("20")]);
}

#[test]
fn what_a_person_decides_between_our_words_and_the_status_stands() {
    let words = || {
        vec![
            ok("GET /ticket/20", ticket(20, "open")),
            ok(FIND, tickets(&[])),
            says("POST /ticket/20/comment", 201, comments(&[])),
        ]
    };
    let rejected = || ok("GET /ticket/20", ticket(20, "rejected"));
    let before = [words(), vec![rejected()]].concat_steps();
    assert_eq!(play(&[], &resolve(), before).0.outcomes, [stored("20")], "seen before it is written");
    let beaten = says("PUT /ticket/20", 412, json!({"message": "Precondition Failed"}));
    let under = vec![ok("GET /ticket/20", ticket(20, "open")), beaten, rejected()];
    let (done, _) = play(&[], &resolve(), [words(), under].concat_steps());
    assert_eq!(done.outcomes, [stored("20")], "the ETag tells of it");
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
        let look = || [there(), vec![ok(HISTORY, marked(&other))]].concat_steps();
        let said = || vec![says("POST /ticket/20/comment", 201, comments(&[]))];
        let (_, asked) = play(&[], &job, [look(), look(), said()].concat_steps());
        assert_eq!(asked[2].after, Duration::from_secs(3), "RT may still be at work on the lost attempt");
        let refused = Job { unknown: false, ..job.clone() };
        play(&[], &refused, [look(), said()].concat_steps());
    }
    job.unknown = false;
    let steps = [there(), vec![ok(HISTORY, marked(&format!("INC000042 updated [{key}]\n")))]].concat_steps();
    play(&[], &job, steps);
}

/// RT took a second for a comment whose sender was killed, and the next daemon looked in between.
#[test]
fn what_a_lost_attempt_is_still_doing_is_not_done_twice() {
    let nothing = || ok(HISTORY, json!({"items": []}));
    let said = || ok(HISTORY, json!({"items": [{"Type": "Comment", "Data": format!("x [{KEY}-2-r]")}]}));
    let open = || ok("GET /ticket/20", ticket(20, "open"));
    let over = || ok("GET /ticket/20", ticket(20, "resolved"));
    let twins = || ok(FIND, tickets(&[]));
    let job = repeated(resolve());
    for (name, steps) in [
        ("comment and status on their way", vec![open(), twins(), nothing(), over(), said()]),
        ("comment there, status on its way", vec![open(), twins(), said(), over()]),
        ("both there", vec![over(), twins(), said()]),
    ] {
        assert_eq!(play(&[], &job, steps).0.outcomes, [stored("20")], "{name}");
    }
    let rest = ok("PUT /ticket/20", json!(["Ticket 20: Status changed from 'open' to 'resolved'"]));
    let (done, asked) = play(&[], &job, vec![open(), twins(), said(), open(), rest]);
    assert_eq!(done.outcomes, [stored("20")], "the lost attempt broke off after its comment");
    assert_eq!(asked[4].json_body()["Status"], "resolved");
}

#[test]
fn a_refusal_inside_a_success_is_found() {
    let resolving = |told: &str, after: Json| {
        let start = vec![
            ok("GET /ticket/20", ticket(20, "open")),
            ok(FIND, tickets(&[])),
            says("POST /ticket/20/comment", 201, comments(&[])),
            ok("GET /ticket/20", ticket(20, "open")),
            ok("PUT /ticket/20", json!([told])),
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
    assert_eq!(done.outcomes, [mended("20")]);
    assert!(done.warning.is_some_and(|w| w.contains("Impact")), "told, but not a reason to fail");
}

#[test]
fn a_ticket_that_people_took_away() {
    let update = || later(Operation::Update, None);
    let (done, _) = play(&[], &update(), vec![ok("GET /ticket/20", ticket(20, "deleted"))]);
    assert_eq!(done.outcomes, [stored("20")], "a decision, and no dead letter");
    assert_eq!(done.warning.as_deref(), Some("ticket 20 was deleted at the desk"));
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
    let body = asked[1].json_body();
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
    assert_eq!(asked[1].json_body(), &json!({"Priority": 50, "Subject": "web-01: /data is 91 % full"}));
    // A person gave it more, or less while our own weight is unchanged: left alone.
    let changed = comments(&["Impact 2-Medium changed to 1-High"]);
    for (priority, job, told) in [("90", job, changed), ("0", later(Operation::Update, None), comments(&[]))]
    {
        let steps = vec![ok("GET /ticket/20", weighed(priority)), says("POST /ticket/20/comment", 201, told)];
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
    assert!(asked[3].header("if-match") == Some("\"6\""));
    let busy = |_| [seen("\"5\""), says("PUT /ticket/20", 412, json!({}))];
    let steps = (0..3).flat_map(busy).chain([seen("\"5\"")]).collect();
    let (done, _) = play(&[], &job, steps);
    assert!(matches!(done.outcomes[0], Outcome::Retry { .. }), "{done:?}");
}

#[test]
fn a_ticket_made_while_its_key_had_no_field_gets_it_with_the_next_word() {
    let mut bare = ticket(20, "new");
    let keyless = |f: &Json| f["name"] != "CorrelationKey";
    bare["CustomFields"] =
        bare["CustomFields"].as_array().unwrap().iter().filter(|f| keyless(f)).cloned().collect();
    for (shown, key) in [(bare, Some(KEY)), (ticket(20, "new"), None)] {
        let steps = vec![ok("GET /ticket/20", shown), says("POST /ticket/20/comment", 201, comments(&[]))];
        let (_, asked) = play(&[], &later(Operation::Update, None), steps);
        let fields = &asked[1].json_body()["CustomFields"];
        assert_eq!(fields["CorrelationKey"].as_str(), key);
    }
}

#[test]
fn an_answer_that_is_not_from_rt_proves_nothing() {
    let page = || Reply { body: b"<html>sign in</html>".to_vec(), ..reply(200, &json!({})) };
    let strange = |asked: &'static str| (asked, Ok(page()));
    let read = || ok("GET /ticket/20", ticket(20, "open"));
    let update = later(Operation::Update, None);
    let cases = [
        ("comment", update.clone(), vec![read(), strange("POST /ticket/20/comment")]),
        ("history", repeated(update), vec![read(), strange(HISTORY)]),
        ("twin", resolve(), {
            let both = ok(FIND, tickets(&[ticket(20, "open"), ticket(25, "new")]));
            vec![read(), both, strange("POST /ticket/25/comment")]
        }),
        ("link", link(), vec![strange("PUT /ticket/20")]),
    ];
    for (name, job, steps) in cases {
        let (done, _) = play(&[], &job, steps);
        assert!(matches!(done.outcomes[0], Outcome::Retry { unknown: true, .. }), "{name}: {done:?}");
    }
}

#[test]
fn a_field_that_was_away_for_a_moment_is_written_again() {
    let mut job = later(Operation::Update, None);
    job.body["intervals"].as_array_mut().unwrap().push(json!({"from": "2026-11-22T11:00:00Z"}));
    let away = vec![
        ok("GET /ticket/20", ticket(20, "open")),
        says("POST /ticket/20/comment", 201, comments(&[])),
        ok("GET /ticket/20", ticket(20, "open")),
    ];
    let (done, _) = play(&[], &job, away);
    assert_eq!(done.outcomes, [mended("20")], "RT says nothing of the field, and does not hold it");
    assert!(done.warning.is_some_and(|w| w.contains("OccurrenceCount")));

    // The same revision once more: nothing is said twice.
    job.acked_rev = job.rev;
    let has = |name| ok("GET /queue/Incidents", queue(&["CorrelationKey", name]));
    let look = |name| vec![ok("GET /ticket/20", ticket(20, "open")), has(name)];
    let put = |sentences: Json| vec![ok("PUT /ticket/20", sentences)];
    let back = [look("OccurrenceCount"), put(json!(["OccurrenceCount 1 changed to 2"]))].concat_steps();
    assert_eq!(play(&[], &job, back).0, Done::from(stored("20")));

    // The queue has no such field: it is not asked for again, whatever the age of the record.
    assert_eq!(play(&[], &job, look("Impact")).0, Done::from(stored("20")));

    // A dead letter for a field that is only cosmetic would help nobody.
    let (done, _) = play(&[], &job, vec![says("GET /ticket/20", 404, json!({"message": "No such ticket"}))]);
    assert_eq!(done.outcomes, [stored("20")]);
    assert!(done.warning.is_some_and(|w| w.contains("is gone")));

    // It is there, and cannot be written for good: it is not asked for ever.
    job.claimed_at = "2027-01-01T00:00:00Z".parse().unwrap();
    let still = vec![ok("GET /ticket/20", ticket(20, "open"))];
    let gone = [look("OccurrenceCount"), put(json!([])), still].concat_steps();
    assert_eq!(play(&[], &job, gone).0.outcomes, [stored("20")]);
}

/// RT says "CI" in many a sentence; only one that begins with the field's name speaks of it.
#[test]
fn a_sentence_about_another_field_is_not_taken_for_this_one() {
    let mut job = later(Operation::Update, None);
    job.body["ci"]["name"] = json!("web-02");
    let steps = vec![
        ok("GET /ticket/20", ticket(20, "open")),
        says("POST /ticket/20/comment", 201, comments(&["EventSource web-01 changed to sexton/CI"])),
        ok("GET /ticket/20", ticket(20, "open")),
    ];
    let (done, _) = play(&[], &job, steps);
    assert!(done.warning.is_some_and(|w| w.ends_with(": CI")), "read back, and told");
}

#[test]
fn a_ticket_merged_between_two_looks_leaves_the_other_one_as_it_is() {
    let other = json!({"id": 30, "Status": "new", "Creator": {"id": "alice"}, "CustomFields": []});
    let job = repeated(resolve());
    let marker = format!("INC000042 resolved [{}]", job.operation_key);
    let said = || json!({"items": [{"Type": "Comment", "Data": marker}]});
    let steps = vec![
        ok("GET /ticket/20", ticket(20, "open")),
        ok(FIND, tickets(&[ticket(20, "open")])),
        ok("GET /ticket/20/history", said()),
        ok("GET /ticket/20", other),
    ];
    let (done, asked) = play(&[], &job, steps);
    assert_eq!(done.outcomes, [stored("20")]);
    assert_eq!(asked.len(), 4, "not closed or overwritten");
}
