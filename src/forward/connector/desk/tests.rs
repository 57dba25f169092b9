//! The desk connector: what it sends, and what it makes of each answer.

use std::collections::BTreeMap;

use super::*;
use crate::engine::option::Options;
use crate::engine::record::HostRef;
use crate::forward::connector::Failure;

fn target() -> Target {
    let host = HostRef { id: "0123456789abcdef".into(), name: "web-01".into() };
    Target { id: "desk".into(), host, born: Stamp(0), options: Options::default() }
}

fn job(n: usize, operation: Operation) -> Job {
    let record = format!("r{n}");
    Job {
        kind: RecordKind::Incident,
        rev: 3,
        acked_rev: 0,
        operation,
        operation_key: format!("sx-r{n}-3-{}", operation.letter()),
        record_key: format!("sx-{record}"),
        remote_id: None,
        remote_problem: None,
        unknown: false,
        doubt_at: None,
        claimed_at: Stamp(0),
        attempts: 0,
        body: json!({"id": record, "at": "2026-11-22T10:00:00.5Z", "title": "x"}),
        record,
    }
}

fn jobs(count: usize) -> Vec<Job> {
    (0..count).map(|n| job(n, Operation::Create)).collect()
}

fn reply(status: u16, body: &Json) -> Result<Reply, Failure> {
    Ok(Reply { status, body: body.to_string().into_bytes(), ..Reply::default() })
}

/// Plays a conversation: `server` sees the ids of a post and answers.
fn play(jobs: &[Job], server: impl Fn(&[String]) -> Result<Reply, Failure>) -> (Vec<Outcome>, usize) {
    let mut said = Vec::new();
    loop {
        match next(&target(), jobs, &said) {
            Next::Done(done) => return (done.outcomes, said.len()),
            Next::Send(request) => {
                let events = request.json_body().as_array().unwrap();
                let ids: Vec<String> = events.iter().map(|e| e["id"].as_str().unwrap().to_owned()).collect();
                said.push(Exchange { result: server(&ids), request: *request });
            }
        }
        assert!(said.len() < 1000, "the conversation has no end");
    }
}

fn all(status: &str) -> impl Fn(&[String]) -> Result<Reply, Failure> {
    move |ids| {
        let rows: Vec<Json> =
            ids.iter().map(|id| json!({"id": id, "status": status, "reason": "why"})).collect();
        reply(200, &json!({"results": rows}))
    }
}

fn stored(n: usize) -> Outcome {
    Outcome::stored(Some(format!("r{n}")))
}

#[test]
fn an_event_is_a_cloud_event_with_the_whole_record() {
    let job = job(7, Operation::Resolve);
    let Next::Send(request) = next(&target(), std::slice::from_ref(&job), &[]) else { panic!("must send") };
    assert_eq!((request.method, request.path.as_str()), (Method::Post, "/v1/events"));
    assert!(request.header("content-type") == Some("application/cloudevents-batch+json"));
    assert_eq!(
        request.json_body(),
        &json!([{
            "specversion": "1.0", "id": "sx-r7-3-r", "source": "/hosts/0123456789abcdef",
            "type": "org.sexton.incident.resolved.v1", "subject": "r7", "time": "2026-11-22T10:00:00.5Z",
            "datacontenttype": "application/json", "data": job.body,
        }])
    );
}

#[test]
fn each_kind_and_operation_has_its_type() {
    use Operation as O;
    use RecordKind as K;
    for (kind, operation, name) in [
        (K::Incident, O::Create, "incident.created"),
        (K::Incident, O::Update, "incident.updated"),
        (K::Incident, O::Reopen, "incident.reopened"),
        (K::Problem, O::Create, "problem.created"),
        (K::Problem, O::Resolve, "problem.resolved"),
        (K::Link, O::Link, "link.created"),
    ] {
        let job = Job { kind, ..job(0, operation) };
        assert_eq!(event(&target(), &job)["type"], format!("org.sexton.{name}.v1"));
    }
}

#[test]
fn results_map_back_by_id_in_any_order() {
    for status in ["stored", "duplicate", "stale"] {
        assert_eq!(play(&jobs(2), all(status)).0, [stored(0), stored(1)], "{status}");
    }
    let refused = || Outcome::Refused { reason: "why".into() };
    assert_eq!(play(&jobs(1), all("refused")).0, [refused()]);
    let mixed = |_: &[String]| {
        reply(
            200,
            &json!({"results": [
                {"id": "sx-r2-3-c", "status": "refused", "reason": "why"},
                {"id": "somebody else's", "status": "stored"},
                {"id": "sx-r0-3-c", "status": "stored"},
            ]}),
        )
    };
    let (outcomes, _) = play(&jobs(3), mixed);
    assert_eq!(outcomes[0], stored(0));
    assert!(matches!(outcomes[1], Outcome::Retry { unknown: true, .. }), "not named in the answer");
    assert_eq!(outcomes[2], refused());
}

#[test]
fn a_success_that_says_nothing_usable_is_not_believed() {
    for body in ["", "{}", "[]", "\u{0}garbage", r#"{"results":7}"#, r#"{"results":[{"id":5}]}"#] {
        let server = |_: &[String]| Ok(Reply { status: 200, body: body.into(), ..Reply::default() });
        let (outcomes, _) = play(&jobs(1), server);
        assert!(matches!(outcomes[0], Outcome::Retry { unknown: true, .. }), "{body:?}: {outcomes:?}");
    }
}

#[test]
fn a_refused_batch_is_halved_until_the_culprit_stands_alone() {
    let bad = "sx-r5-3-c".to_owned();
    let server = |ids: &[String]| {
        if ids.contains(&bad) { reply(413, &json!({"detail": "too large"})) } else { all("stored")(ids) }
    };
    let (outcomes, posts) = play(&jobs(8), server);
    for (n, outcome) in outcomes.iter().enumerate() {
        match n {
            5 => assert_eq!(*outcome, Outcome::Refused { reason: "HTTP 413: too large".into() }),
            _ => assert_eq!(*outcome, stored(n)),
        }
    }
    assert_eq!(posts, 7, "8, 4, 4, 2, 1, 1, 2");
    let (outcomes, posts) = play(&jobs(100), |_: &[String]| reply(422, &json!({})));
    assert!(outcomes.iter().all(|o| matches!(o, Outcome::Refused { .. })));
    assert!(posts <= crate::forward::connector::MOST_EXCHANGES, "{posts} posts");
}

#[test]
fn trouble_spares_what_was_already_taken() {
    let big = "x".repeat(POST_BYTES * 2 / 3);
    let mut jobs = jobs(3);
    jobs.iter_mut().for_each(|j| j.body["title"] = json!(big));
    let cut = |sent: bool| {
        move |ids: &[String]| match ids[0].as_str() {
            "sx-r0-3-c" => all("stored")(ids),
            _ => Err(Failure { sent, reason: "reset".into() }),
        }
    };
    for sent in [true, false] {
        let (outcomes, posts) = play(&jobs, cut(sent));
        assert_eq!(posts, 2, "three large events do not fit into one post");
        let retry = |unknown| Outcome::Retry { after: None, unknown, reason: "reset".into() };
        assert_eq!(outcomes, [stored(0), retry(sent), retry(false)]);
    }
}

#[test]
fn a_refusal_of_the_whole_pauses() {
    for status in [401, 403, 302, 404] {
        let (outcomes, posts) = play(&jobs(1), |_: &[String]| reply(status, &json!({})));
        assert!(matches!(outcomes[0], Outcome::Pause { .. }), "{status}: {outcomes:?}");
        assert_eq!(posts, 1);
    }
    let headers = BTreeMap::new();
    let busy = Reply {
        status: 429,
        headers,
        retry_after: Some(std::time::Duration::from_secs(9)),
        ..Reply::default()
    };
    let (outcomes, _) = play(&jobs(2), |_: &[String]| Ok(busy.clone()));
    let wait =
        |o: &Outcome| matches!(o, Outcome::Retry { after: Some(d), unknown: false, .. } if d.as_secs() == 9);
    assert!(outcomes.iter().all(wait), "{outcomes:?}");
}

#[test]
fn a_heartbeat_is_an_event_of_its_own() {
    let request = heartbeat(&target(), &json!({"version": "0.1.0"}), Stamp(1_790_000_000_000_000_000));
    let event = &request.json_body()[0];
    assert_eq!(event["type"], "org.sexton.host.heartbeat.v1");
    assert_eq!(event["subject"], "0123456789abcdef");
    assert_eq!(event["data"]["version"], "0.1.0");
    assert_eq!(event["id"], "sx-hb-0123456789abcdef-1790000000000000000");
}
