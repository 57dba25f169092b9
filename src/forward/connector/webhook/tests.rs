//! What a webhook sends, and what it makes of each answer.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::engine::effect::Operation;
use crate::engine::option::{OptionValue, SecretRef};
use crate::forward::connector::fixture::{self, KEY, Step, converse, cut, ok, says};

fn text(value: &str) -> OptionValue {
    OptionValue::Text(value.to_owned())
}

fn table(entries: &[(&str, &str)]) -> OptionValue {
    OptionValue::Map(entries.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
}

fn list(values: &[&str]) -> OptionValue {
    OptionValue::List(values.iter().map(|v| (*v).to_owned()).collect())
}

fn target(more: &[(&str, OptionValue)]) -> Target {
    let host = HostRef { id: "0123456789abcdef".into(), name: "web-01".into() };
    let mut options = BTreeMap::from([
        ("url".to_owned(), text("https://hook.example")),
        ("path".to_owned(), text("")),
        ("method".to_owned(), text("POST")),
        ("content_type".to_owned(), text("application/json")),
    ]);
    options.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    Target { id: "hook".into(), host, born: Stamp(0), options: Options(options) }
}

/// A small REST product: tickets are made by POST and changed by PATCH.
fn rest() -> Target {
    let update = r#"{"status": {{ "done" if over else "open" }}, "note": {{ comment }}}"#;
    target(&[
        ("template", text(r#"{"subject": {{ subject }}, "key": {{ record_key }}}"#)),
        ("templates", table(&[("update", update), ("resolve", update), ("reopen", "")])),
        ("path", text("/tickets/{{ remote_id }}")),
        ("paths", table(&[("create", "/tickets")])),
        ("method", text("PATCH")),
        ("methods", table(&[("create", "POST")])),
        ("remote_id", text("/ticket/id")),
        ("headers", table(&[("X-Source", "{{ host.name }} · {{ number }}")])),
    ])
}

fn play(target: &Target, jobs: &[Job], steps: Vec<Step>) -> (Done, Vec<Request>) {
    converse(|said| next(target, jobs, said), steps)
}

fn numbered(count: usize) -> Vec<Job> {
    let with = |n: usize| {
        let mut job = fixture::create();
        job.operation_key = format!("sx-r{n}-1-c");
        job
    };
    (0..count).map(with).collect()
}

#[test]
fn the_default_is_one_signed_cloud_event() {
    let (done, requests) = play(&target(&[]), &[fixture::create()], vec![ok("POST ", json!(null))]);
    let request = &requests[0];
    assert_eq!(request.header("content-type"), Some("application/cloudevents+json; charset=UTF-8"));
    assert_eq!(request.header("webhook-id"), Some(&*format!("{KEY}-1-c")));
    assert_eq!(request.header("idempotency-key"), Some(&*format!("\"{KEY}-1-c\"")), "a structured string");
    let places: Vec<_> = request.secrets.iter().map(|s| (s.option, s.place)).collect();
    assert_eq!(places, [("secret", Place::Signature), ("url_secret", Place::Path)]);
    let event = request.json_body();
    assert_eq!(
        (&event["id"], &event["type"]),
        (&json!(format!("{KEY}-1-c")), &json!("org.sexton.incident.created.v1"))
    );
    assert_eq!(event["data"], fixture::create().body, "the whole record");
    assert_eq!(done.outcomes, [Outcome::stored(Some(fixture::create().record))]);
}

#[test]
fn a_batch_has_a_key_of_its_own_and_is_halved_when_refused() {
    let batch = target(&[("batch", OptionValue::Bool(true)), ("path", text("/in"))]);
    let jobs = numbered(3);
    let good = || ok("POST /in", json!(null));
    let (done, requests) = play(&batch, &jobs, vec![good()]);
    assert_eq!(requests[0].header("content-type"), Some("application/cloudevents-batch+json; charset=UTF-8"));
    assert!(done.outcomes.iter().all(|o| matches!(o, Outcome::Stored { .. })));

    let steps = vec![
        says("POST /in", 413, json!("too large")),
        good(),
        says("POST /in", 400, json!("bad")),
        good(),
        says("POST /in", 400, json!("bad")),
    ];
    let (done, halves) = play(&batch, &jobs, steps);
    let keys: BTreeMap<&str, usize> = halves.iter().map(|r| (r.header("webhook-id").unwrap(), 1)).collect();
    assert_eq!(keys.len(), 5, "another body is another message");
    assert!(keys.contains_key(requests[0].header("webhook-id").unwrap()), "the same body is the same one");
    let refused: Vec<bool> = done.outcomes.iter().map(|o| matches!(o, Outcome::Refused { .. })).collect();
    assert_eq!(refused, [false, false, true]);

    // A receiver that answers event by event, as sexton's desk does.
    let results = json!({"results": [{"id": "sx-r0-1-c", "status": "stored"}, {"id": "sx-r1-1-c", "status": "refused", "reason": "no"}]});
    let (done, _) = play(&batch, &jobs[..2], vec![ok("POST /in", results)]);
    assert!(matches!(done.outcomes[..], [Outcome::Stored { .. }, Outcome::Refused { .. }]), "{done:?}");
}

#[test]
fn a_product_without_connector_is_served_by_templates() {
    let made = || ok("POST /tickets", json!({"ticket": {"id": 17}}));
    let (done, requests) = play(&rest(), &[fixture::create()], vec![made()]);
    assert_eq!(done.outcomes, [Outcome::stored(Some("17".into()))]);
    let request = &requests[0];
    let Body::Text(body) = &request.body else { panic!("text") };
    assert_eq!(
        serde_json::from_str::<Json>(body).unwrap(),
        json!({"subject": "web-01: /data is 91 % full", "key": KEY})
    );
    assert_eq!(
        request.header("x-source"),
        Some("web-01 ? INC000042"),
        "what a header cannot carry is replaced"
    );

    let mut resolve = fixture::resolve();
    resolve.remote_id = Some("a/7".into());
    let (done, requests) = play(&rest(), &[resolve], vec![ok("PATCH /tickets/a%2F7", json!(null))]);
    let Body::Text(body) = &requests[0].body else { panic!("text") };
    assert_eq!(serde_json::from_str::<Json>(body).unwrap()["status"], "done");
    assert_eq!(done.warning, None, "the id is known already");

    // An empty template: nothing is sent. Links go only where a template is meant for them.
    let reopen = fixture::later(Operation::Reopen, None);
    assert_eq!(
        play(&rest(), &[reopen, fixture::link()], Vec::new()).0.outcomes,
        vec![Outcome::stored(None); 2]
    );
    // The answer lacks the id: nothing is repeated, a person is told; what needs the id is refused with its
    // reason.
    let (done, _) = play(&rest(), &[fixture::create()], vec![ok("POST /tickets", json!({}))]);
    assert_eq!(done.outcomes, [Outcome::stored(None)]);
    assert!(done.warning.unwrap().contains("no id at /ticket/id"));
    let mut update = fixture::later(Operation::Update, None);
    update.remote_id = None;
    let (done, _) = play(&rest(), &[update], Vec::new());
    assert!(
        matches!(&done.outcomes[0], Outcome::Refused { reason } if reason.contains("nothing is known")),
        "{done:?}"
    );
}

#[test]
fn the_id_may_stand_in_the_location() {
    let target = target(&[("remote_id", text("location"))]);
    for (location, id) in
        [("https://x.example/api/tickets/17?full=1", Some("17")), ("/tickets/18/", Some("18")), ("", None)]
    {
        let mut reply = fixture::reply(201, &json!(null));
        reply.headers.insert("location".into(), location.into());
        let (done, _) = play(&target, &[fixture::create()], vec![("POST ", Ok(reply))]);
        assert_eq!(done.outcomes, [Outcome::stored(id.map(str::to_owned))], "{location}");
    }
}

#[test]
fn every_answer_has_its_outcome() {
    let strict = || vec![("success", list(&["201", "409"])), ("fault", text("/error"))];
    for (options, status, body, expected) in [
        (vec![], 204, json!(null), "stored"),
        (vec![], 202, json!(null), "stored"),
        (strict(), 201, json!({"error": null}), "stored"),
        (strict(), 201, json!({"error": {"code": 7}}), "refused"),
        (strict(), 201, json!({"error": 0}), "stored"),
        (strict(), 409, json!(null), "stored"),
        (strict(), 200, json!(null), "refused"),
        (vec![], 409, json!(null), "retry"),
        (vec![], 422, json!(null), "refused"),
        (vec![], 400, json!(null), "refused"),
        (vec![], 404, json!(null), "pause"),
        (vec![], 410, json!(null), "pause"),
        (vec![], 415, json!(null), "pause"),
        (vec![], 401, json!(null), "pause"),
        (vec![], 302, json!(null), "pause"),
        (vec![], 429, json!(null), "retry"),
        (vec![], 500, json!(null), "doubt"),
    ] {
        let steps = vec![says("POST ", status, body)];
        let (done, _) = play(&target(&options), &[fixture::create()], steps);
        let got = match &done.outcomes[0] {
            Outcome::Stored { .. } => "stored",
            Outcome::Retry { unknown: true, .. } => "doubt",
            Outcome::Retry { .. } => "retry",
            Outcome::Pause { .. } => "pause",
            Outcome::Refused { .. } => "refused",
        };
        assert_eq!(got, expected, "{status}");
    }
    // A proxy's page is not believed, unless the user says what a success is.
    let mut page = fixture::reply(200, &json!(null));
    page.body = b"<!DOCTYPE html><html>log in</html>".to_vec();
    for (options, believed) in [(vec![], false), (vec![("success", list(&["200"]))], true)] {
        let (done, _) = play(&target(&options), &[fixture::create()], vec![("POST ", Ok(page.clone()))]);
        assert_eq!(matches!(done.outcomes[0], Outcome::Stored { .. }), believed, "{done:?}");
        assert!(believed || matches!(done.outcomes[0], Outcome::Retry { unknown: true, .. }));
    }
    // An earlier attempt is not at work for ever, and a ticket that is gone is no wrong address.
    let mut worn = fixture::create();
    worn.attempts = STILL_AT_WORK;
    let (done, _) = play(&target(&[]), &[worn], vec![says("POST ", 409, json!(null))]);
    assert!(matches!(done.outcomes[0], Outcome::Refused { .. }));
    let (done, _) = play(&rest(), &[fixture::resolve()], vec![says("PATCH ", 404, json!(null))]);
    assert!(matches!(done.outcomes[0], Outcome::Refused { .. }));
}

#[test]
fn one_bad_record_does_not_stop_the_others_and_an_absent_server_does() {
    let good = || ok("POST ", json!(null));
    let steps = vec![says("POST ", 400, json!("bad")), says("POST ", 500, json!("bug")), good()];
    let (done, _) = play(&target(&[]), &numbered(3), steps);
    use Outcome::{Refused, Retry, Stored};
    assert!(
        matches!(done.outcomes[..], [Refused { .. }, Retry { unknown: true, .. }, Stored { .. }]),
        "{done:?}"
    );

    let (done, _) = play(&target(&[]), &numbered(3), vec![good(), cut("POST ", true)]);
    assert!(
        matches!(
            done.outcomes[..],
            [Stored { .. }, Retry { unknown: true, .. }, Retry { unknown: false, .. }]
        ),
        "{done:?}"
    );
}

#[test]
fn mistakes_are_found_when_the_configuration_is_read() {
    assert_eq!(check(&target(&[]).options), Ok(()));
    assert_eq!(check(&rest().options), Ok(()));
    let secret = || OptionValue::Secret(SecretRef::Env("X".into()));
    let scheme =
        [("api_key", secret()), ("api_key_header", text("Authorization")), ("api_key_prefix", text("Key"))];
    assert_eq!(check(&target(&scheme).options), Ok(()));
    for (options, says) in [
        (vec![("template", text("{\n{{ titel }}}"))], "template, line 2: undefined value"),
        (vec![("template", text("{\"a\": {{ record.service }}}"))], "line 1: undefined value"),
        (vec![("template", text("{\"a\": \"{{ title }}\"}"))], "no JSON (values bring their own quotes)"),
        (vec![("templates", table(&[("problem.create", "{{ x")]))], "templates, line 1: syntax error"),
        (vec![("templates", table(&[("close", "{}")]))], "'close' is no operation; there are create"),
        (vec![("methods", table(&[("update", "patch")]))], "'patch' is none of POST"),
        (vec![("path", text("tickets"))], "must begin with a slash"),
        (vec![("path", text("/{{ remote_id }}"))], "path, line 1: undefined value: nothing is known"),
        (vec![("headers", table(&[("Content-Length", "3")]))], "'content-length' cannot be set"),
        (vec![("headers", table(&[("bad name", "3")]))], "'bad name' cannot be set"),
        (vec![("headers", table(&[("x-a", "{{ nosuch }}")]))], "header x-a, line 1"),
        (vec![("success", list(&["2xx"]))], "'2xx' is no HTTP status"),
        (vec![("remote_id", text("ticket.id"))], "is no JSON pointer"),
        (vec![("batch", OptionValue::Bool(true)), ("template", text("{}"))], "batch is for CloudEvents"),
        (vec![("template", text("{}")), ("template_file", text("{}"))], "not both"),
        (vec![("api_key", secret()), ("headers", table(&[("authorization", "x")]))], "cannot be set"),
        (
            vec![("api_key", secret()), ("api_key_header", text("Host"))],
            "api_key_header: 'host' cannot be set",
        ),
        (vec![("api_key", secret()), ("api_key_header", text("a b"))], "cannot be set"),
        (vec![("api_key", secret()), ("api_key_prefix", text("Ünique "))], "a header cannot carry"),
        (vec![("api_key_header", text("x-other"))], "api_key is missing beside"),
        (vec![("api_key", secret()), ("token", secret())], "set one of them"),
        (vec![("api_key", secret()), ("headers", table(&[("X-Api-Key", "x")]))], "is that of api_key"),
    ] {
        let error = check(&target(&options).options).unwrap_err();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn large_answers_end_a_batch_and_nothing_is_sent_again_for_them() {
    let large = || ok("POST /tickets", json!({"ticket": {"id": 7}, "page": "x".repeat(HEARD_MOST * 2 / 3)}));
    let (done, asked) = play(&rest(), &numbered(4), vec![large(), large()]);
    assert_eq!(asked.len(), 2);
    let stored = |o: &Outcome| matches!(o, Outcome::Stored { .. });
    assert!(done.outcomes[..2].iter().all(stored), "{:?}", done.outcomes);
    assert_eq!(done.outcomes[2..], [for_the_next(), for_the_next()]);
}
