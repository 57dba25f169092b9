//! Links, problems, hello, and odd input.

use super::*;

#[test]
fn a_link_is_a_membership_and_is_verified() {
    for sentence in ["Ticket 20 member of Ticket 30.", "Link already exists"] {
        let (done, asked) = play(&[], &link(), vec![ok("PUT /ticket/20", json!([sentence]))]);
        assert_eq!(done.outcomes, [Outcome::stored(None)]);
        assert_eq!(asked[0].json_body(), &json!({"AddMemberOf": [30]}), "never DependsOn");
    }
    let mut member = ticket(20, "open");
    member["_hyperlinks"] = json!([{"ref": "self", "id": 20}, {"ref": "parent", "id": "30"}]);
    let told = || ok("PUT /ticket/20", json!(["Ticket 20 gehört zu 30"]));
    let (done, _) = play(&[], &repeated(link()), vec![ok("GET /ticket/20", member.clone())]);
    assert_eq!(done.outcomes, [Outcome::stored(None)], "a lost attempt has made it");
    let (done, _) = play(&[], &link(), vec![told(), ok("GET /ticket/20", member)]);
    assert_eq!(done.outcomes, [Outcome::stored(None)], "another language");
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
    job.body = body(include_str!("../../../../../tests/data/forward/problem.json"));
    let target = target(&[("queue.problem", "Known trouble"), ("field.source", "")]);
    let Next::Send(request) = next(&target, &[job], &[]) else { panic!("must send") };
    let body = request.json_body().clone();
    assert_eq!(body["Subject"], "web-01: /data fills up again and again");
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
            said.push(Exchange { request: *request, result: Ok(reply) });
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
    let done = greet(vec![Reply { body: b"<html>sign in</html>".to_vec(), ..reply(200, &json!({})) }]);
    assert!(matches!(done.outcomes[0], Outcome::Retry { .. }) && done.pause.is_none(), "not RT: {done:?}");
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
    let body = request.json_body().clone();
    let subject = body["Subject"].as_str().unwrap();
    assert!(
        subject.starts_with("x x x")
            && subject.contains(" x: a bß")
            && subject.ends_with('…')
            && subject.chars().count() == 200,
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
