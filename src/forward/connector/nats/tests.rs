//! What is published, and what each word of the wire comes to.

use super::super::fixture::*;
use super::super::{Failure, Reply};
use super::*;
use crate::engine::moment::Stamp;
use crate::engine::option::OptionValue;
use crate::engine::record::HostRef;

fn options(url: &str, map: &[(&str, &str)]) -> Options {
    let map = map.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Options(BTreeMap::from([
        ("url".to_owned(), OptionValue::Text(url.to_owned())),
        ("map".to_owned(), OptionValue::Map(map)),
    ]))
}

fn target(map: &[(&str, &str)]) -> Target {
    let host = HostRef { id: "0123456789abcdef".into(), name: "web-01.example".into() };
    Target { id: "nats".into(), host, born: Stamp(0), options: options("nats://localhost", map) }
}

fn kind(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Stored { remote_id, .. } => format!("stored {}", remote_id.clone().unwrap_or_default()),
        Outcome::Retry { unknown, .. } => format!("retry {unknown}"),
        Outcome::Pause { reason } => format!("pause {reason}"),
        Outcome::Refused { .. } => "refused".to_owned(),
    }
}

#[test]
fn events_go_to_their_subjects_under_their_operation_keys() {
    let jobs = [create(), link(), repeated(create())];
    let answer = ok("POST /publish", json!({"results": []}));
    let target = target(&[("subject.link", "links.{host}")]);
    let (done, requests) = converse(|said| next(&target, &jobs, said), vec![answer]);
    let messages = &requests[0].json_body()["messages"];
    assert_eq!(messages[0]["subject"], "sexton.web-01-example.incident");
    assert_eq!(messages[1]["subject"], "links.web-01-example");
    assert_eq!(messages[0]["id"], format!("{KEY}-1-c"));
    assert_eq!(messages[0]["data"]["type"], "org.sexton.incident.created.v1");
    assert_eq!(messages[0]["data"]["data"], jobs[0].body);
    assert_eq!(messages[0], messages[2], "a repetition is the same message");
    assert!(done.outcomes.iter().all(|o| kind(o) == "retry true"), "{:?}", done.outcomes);
}

#[test]
fn each_word_of_the_wire_has_its_outcome() {
    for (status, wanted) in [
        ("stored", "stored why"),
        ("duplicate", "stored why"),
        ("missing", "pause why"),
        ("denied", "pause why"),
        ("refused", "refused"),
        ("later", "retry false"),
        ("unknown", "retry true"),
        ("what", "retry true"),
    ] {
        let row = json!({"id": format!("{KEY}-1-c"), "status": status, "reason": "why"});
        let steps = vec![ok("POST /publish", json!({"results": [row]}))];
        let (done, _) = converse(|said| next(&target(&[]), &[create()], said), steps);
        assert_eq!(kind(&done.outcomes[0]), wanted, "{status}");
    }
    let known = later(crate::engine::effect::Operation::Update, None);
    let row = json!({"id": format!("{KEY}-2-u"), "status": "stored", "reason": "S/9"});
    let steps = vec![ok("POST /publish", json!({"results": [row]}))];
    let (done, _) = converse(|said| next(&target(&[]), std::slice::from_ref(&known), said), steps);
    assert_eq!(kind(&done.outcomes[0]), "stored 20", "the record keeps its name");
    for (result, wanted) in [
        (
            Ok(reply(401, &json!({"detail": "Authorization Violation"}))),
            "pause HTTP 401: Authorization Violation",
        ),
        (Ok(reply(503, &json!({}))), "retry false"),
        (Err(Failure { sent: true, reason: "cut".into() }), "retry true"),
        (Err(Failure { sent: false, reason: "refused".into() }), "retry false"),
    ] {
        let jobs = [create(), create()];
        let (done, _) = converse(|said| next(&target(&[]), &jobs, said), vec![("POST /publish", result)]);
        assert!(done.outcomes.iter().all(|o| kind(o) == wanted), "{wanted}: {:?}", done.outcomes);
        assert_eq!(done.outcomes.len(), 2);
    }
}

#[test]
fn the_hello_wants_a_stream_for_each_subject() {
    let ask = |result: Result<Reply, Failure>| {
        converse(|said| hello(&target(&[]), said), vec![("GET /streams", result)])
    };
    let rows = |window: i64, last: Json| {
        let row =
            |subject: &str, stream: Json| json!({"subject": subject, "stream": stream, "window": window});
        Ok(reply(
            200,
            &json!({"streams": [row("sexton.a.incident", json!("S")), row("sexton.a.problem", last)]}),
        ))
    };
    let (done, requests) = ask(rows(WINDOW, json!("S")));
    assert_eq!(done, Done::default());
    assert_eq!(requests[0].json_body()["subjects"].as_array().unwrap().len(), 3);
    assert!(ask(rows(WINDOW, Json::Null)).0.pause.unwrap().contains("no stream takes sexton.a.problem"));
    assert!(
        ask(rows(120 * crate::engine::moment::SECOND, json!("S"))).0.warning.unwrap().contains("after 120 s")
    );
    assert!(ask(Ok(reply(403, &json!({"detail": "JetStream is not enabled"})))).0.pause.is_some());
    assert!(ask(Ok(reply(404, &json!({"detail": "Permissions Violation"})))).0.warning.is_some());
    assert_eq!(ask(Err(Failure { sent: false, reason: "refused".into() })).0, Done::default());
}

#[test]
fn options_that_cannot_work_are_named() {
    for (url, map, wanted) in [
        ("http://localhost", &[][..], "write nats://host:4222"),
        ("nats://localhost/x", &[], "write nats://host:4222"),
        ("nats://u:p@localhost", &[], "write nats://host:4222"),
        ("nats://localhost", &[("subject.incident", "sexton.*")], "no subject"),
        ("nats://localhost", &[("subject.incident", "a..b")], "no subject"),
        ("nats://localhost", &[("subject.problem", "a b")], "no subject"),
        ("nats://localhost", &[("subject.problem", "")], "no subject"),
    ] {
        let reason = check(&options(url, map)).unwrap_err();
        assert!(reason.contains(wanted), "{url} {map:?}: {reason}");
    }
    assert_eq!(check(&options("tls://nats.example:4222", &[("subject.link", "a.{host}.b")])), Ok(()));
}
