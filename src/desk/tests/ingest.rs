//! What goes in: once, in the right order, or not at all, and it stays.

use reqwest::StatusCode;
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::sample::{self, day, heartbeat, incident, of_incident, of_link, of_problem, recurring};
use super::{BATCH, Running, SINGLE, TOKEN, dir, now, open};

#[tokio::test]
async fn the_highest_revision_stays_whatever_the_order() {
    let (dir, now) = (dir(), now());
    let desk = Running::start(&dir).await;
    let mut i = incident(1, "web-01", "first", now);
    let mut revision = |rev: u64, title: &str| {
        (i.rev, i.title) = (rev, title.to_owned());
        of_incident(&i)
    };
    let (first, third, second) = (revision(1, "first"), revision(3, "third"), revision(2, "second"));
    let said = desk.send(&[first.clone(), third.clone(), second, third, first]).await;
    assert_eq!(said, ["stored", "stored", "stale", "duplicate", "stale"]);
    let held = desk.json(&format!("/v1/incidents/{}", i.id)).await;
    assert_eq!((held["title"].as_str(), held["rev"].as_u64()), (Some("third"), Some(3)));
    desk.end().await;
}

#[tokio::test]
async fn the_same_id_on_two_hosts_is_two_records() {
    let (dir, now) = (dir(), now());
    let desk = Running::start(&dir).await;
    let (a, b) = (incident(1, "web-01", "a", now), incident(1, "web-02", "b", now));
    assert_eq!(a.id, b.id);
    assert_eq!(desk.send(&[of_incident(&a), of_incident(&b)]).await, ["stored", "stored"]);
    for wanted in [&a, &b] {
        let held = desk.json(&format!("/v1/incidents/{}?host={}", wanted.id, wanted.host.id)).await;
        assert_eq!(held["title"], wanted.title.as_str());
    }
    desk.end().await;
}

#[tokio::test]
async fn one_bad_event_does_not_hold_back_its_neighbours() {
    let (dir, now) = (dir(), now());
    let desk = Running::start(&dir).await;
    let (members, problem, links) = recurring(now);
    let good = of_incident(&members[0]);
    let with = |path: &[&str], value: Json| {
        let mut event = good.clone();
        let spot = path.iter().fold(&mut event, |at, key| &mut at[*key]);
        *spot = value;
        event
    };
    let mut without_id = good.clone();
    without_id.as_object_mut().expect("an object").remove("id");
    let bad = [
        (json!(42), "must be a JSON object"),
        (without_id, "`id` is missing"),
        (with(&["specversion"], json!("2.0")), "only 1.0"),
        (with(&["type"], json!("org.sexton.incident.created.v2")), "newer kind"),
        (with(&["type"], json!("com.example.thing")), "not understood"),
        (with(&["data"], json!("text")), "`data` must hold"),
        (with(&["data", "schema"], json!("incident/2")), "this desk understands incident/1"),
        (with(&["data", "id"], json!("../../etc")), "`id` must be"),
        (with(&["data", "rev"], json!(u64::MAX)), "out of range"),
        (with(&["data", "rev"], json!(0)), "out of range"),
        (with(&["data", "state"], json!("exploded")), "not a incident"),
        (with(&["data", "description"], json!("x".repeat(300_000))), "at most"),
        (with(&["data", "host", "id"], json!("")), "`host.id` must be"),
    ];
    let mut events: Vec<Json> = bad.iter().map(|(event, _)| event.clone()).collect();
    events.extend([good.clone(), of_problem(&problem), of_link(&links[0]), of_link(&links[0])]);
    events.push(heartbeat("app-03.sha", now));
    let (status, body) = desk.post(BATCH, json!(events).to_string()).await;
    assert_eq!(status, StatusCode::OK);
    let results = body["results"].as_array().expect("results");
    assert_eq!(results.len(), events.len());
    for ((_, wanted), result) in bad.iter().zip(results) {
        let reason = result["reason"].as_str().unwrap_or_default();
        assert!(result["status"] == "refused" && reason.contains(wanted), "{wanted}: {result}");
    }
    let rest: Vec<&str> = results[bad.len()..].iter().filter_map(|r| r["status"].as_str()).collect();
    assert_eq!(rest, ["stored", "stored", "stored", "duplicate", "stored"]);
    desk.end().await;
}

#[tokio::test]
async fn what_is_no_event_is_answered_with_one_sentence() {
    let dir = dir();
    let desk = Running::start(&dir).await;
    let nested = "[".repeat(100_000);
    let many = json!(vec![json!({}); 5_001]).to_string();
    let table: [(&str, &[u8], u16, &str); 11] = [
        (BATCH, b"", 400, "not JSON"),
        (BATCH, b"\xff\xfe\x00garbage", 400, "not JSON"),
        (BATCH, b"{\"specversion\":", 400, "not JSON"),
        (BATCH, nested.as_bytes(), 400, "not JSON"),
        (BATCH, b"{}", 400, "JSON array"),
        (SINGLE, b"[]", 400, "JSON object"),
        (SINGLE, b"{}", 400, "`specversion` is missing"),
        ("application/json", b"17", 400, "expected a CloudEvent"),
        ("application/json; charset=utf-8", b"true", 400, "expected a CloudEvent"),
        ("text/plain", b"[]", 415, "application/cloudevents-batch+json"),
        (BATCH, many.as_bytes(), 400, "at most 5000"),
    ];
    for (kind, body, status, wanted) in table {
        let (got, said) = desk.post(kind, body.to_vec()).await;
        let detail = said["detail"].as_str().unwrap_or_default();
        assert!(got.as_u16() == status && detail.contains(wanted), "{kind} {wanted}: {got} {said}");
    }
    assert_eq!(desk.json("/v1/incidents").await["total"], 0);
    desk.end().await;
}

#[tokio::test]
async fn a_single_event_is_taken_by_type_or_by_shape_and_its_refusal_is_no_success() {
    let (dir, now) = (dir(), now());
    let desk = Running::start(&dir).await;
    for (n, kind) in
        [SINGLE, "application/json", "Application/CloudEvents+JSON; charset=UTF-8"].iter().enumerate()
    {
        let event = of_incident(&incident(n as u64, "web-01", "one", now));
        let (status, body) = desk.post(kind, event.to_string()).await;
        assert_eq!((status, &body["results"][0]["status"]), (StatusCode::OK, &json!("stored")), "{kind}");
    }
    let mut newer = of_incident(&incident(9, "web-01", "one", now));
    newer["data"]["schema"] = json!("incident/2");
    let (status, body) = desk.post(SINGLE, newer.to_string()).await;
    assert_eq!(
        (status, &body["results"][0]["status"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("refused"))
    );
    desk.end().await;
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_before_it_is_read() {
    let dir = dir();
    let desk = Running::start(&dir).await;
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nhost: localhost\r\n\
         authorization: Bearer {TOKEN}\r\ncontent-type: {BATCH}\r\n"
    );
    let announced = format!("{head}content-length: {}\r\n\r\n", super::super::MAX_BODY + 1);
    let mut chunked = format!("{head}transfer-encoding: chunked\r\n\r\n").into_bytes();
    for _ in 0..9 {
        chunked.extend_from_slice(b"100000\r\n");
        chunked.extend(std::iter::repeat_n(b' ', 1 << 20));
        chunked.extend_from_slice(b"\r\n");
    }
    for request in [announced.into_bytes(), chunked] {
        let mut stream = tokio::net::TcpStream::connect(desk.address).await.expect("a connection");
        // The desk may close before it has read everything: that is the point.
        let _ = stream.write_all(&request).await;
        let mut answer = vec![0; 12];
        stream.read_exact(&mut answer).await.expect("an answer");
        assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 413");
    }
    desk.end().await;
}

#[tokio::test]
async fn nobody_sends_without_a_token() {
    let (dir, now) = (dir(), now());
    let desk = Running::start(&dir).await;
    let body = json!([heartbeat("web-01", now)]).to_string();
    for authorization in
        [None, Some("Bearer wrong-token-of-some-length"), Some("Basic YTpi"), Some(TOKEN), Some("Bearer ")]
    {
        let mut request =
            desk.client.post(desk.url("/v1/events")).header("content-type", BATCH).body(body.clone());
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{authorization:?}");
        assert!(answer.headers()["www-authenticate"].to_str().expect("text").starts_with("Bearer"));
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
    }
    assert_eq!(desk.json("/v1/hosts").await["total"], 0);
    desk.end().await;
}

#[tokio::test]
async fn a_restart_keeps_everything_and_repeats_are_still_duplicates() {
    let (dir, now) = (dir(), now());
    let events = day(now);
    let desk = Running::start(&dir).await;
    assert!(desk.send(&events).await.iter().all(|s| s == "stored"));
    let before = desk.json("/v1/incidents?limit=1000").await;
    desk.end().await;
    let desk = Running::start(&dir).await;
    assert_eq!(desk.json("/v1/incidents?limit=1000").await, before);
    assert!(desk.send(&events).await.iter().all(|s| s == "duplicate"));
    desk.end().await;
}

#[tokio::test]
async fn a_strange_database_is_left_alone() {
    let dir = dir();
    std::fs::create_dir(dir.path().join("desk")).expect("a directory");
    let file = dir.path().join("desk/desk.db");
    let db = rusqlite::Connection::open(&file).expect("a database");
    db.execute_batch("CREATE TABLE x (y); PRAGMA user_version = 7;").expect("a table");
    drop(db);
    let error = open(&dir, "127.0.0.1:0").await.map(|_| ()).expect_err("not ours").to_string();
    assert!(error.contains("desk.db") && error.contains("not a database of the desk"), "{error}");
}

#[tokio::test]
async fn unknown_fields_are_kept() {
    let (dir, now) = (dir(), now());
    let desk = Running::start(&dir).await;
    let i = incident(5, "web-01", "from the future", now);
    let mut event = of_incident(&i);
    event["data"]["mood"] = json!({ "deep": [1, 2, 3] });
    event["traceparent"] = json!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    assert_eq!(desk.send(&[event]).await, ["stored"]);
    assert_eq!(desk.json(&format!("/v1/incidents/{}", i.id)).await["mood"], json!({ "deep": [1, 2, 3] }));
    assert_eq!(desk.json("/v1/incidents").await["incidents"][0]["mood"], json!({ "deep": [1, 2, 3] }));
    desk.end().await;
}

#[tokio::test]
async fn lists_are_ordered_filtered_and_bounded() {
    let (dir, now) = (dir(), now());
    let desk = Running::start(&dir).await;
    desk.send(&day(now)).await;
    let list = desk.json("/v1/incidents?state=open").await;
    let order: Vec<&str> =
        list["incidents"].as_array().expect("a list").iter().filter_map(|i| i["priority"].as_str()).collect();
    assert_eq!(order, ["P1", "P2", "P3", "P3", "P4", "P5"]);
    assert_eq!(list["total"], 6);
    let few = desk.json(&format!("/v1/incidents?limit=1&host={}", sample::host("app-03.sha").id)).await;
    assert_eq!((few["incidents"].as_array().map(Vec::len), few["total"].as_u64()), (Some(1), Some(4)));
    assert_eq!(few["incidents"][0]["timeline"], json!([]));
    assert_eq!(desk.json("/v1/incidents?state=over").await["total"], 4);
    assert_eq!(desk.json("/v1/problems?state=open").await["problems"][0]["number"], "PRB000007");
    for (path, status) in [
        ("/v1/incidents?state=ajar", 400),
        ("/v1/incidents?sate=open", 400),
        ("/v1/incidents/none", 404),
        ("/v1/problems/none", 404),
        ("/v1/nothing", 404),
    ] {
        let answer = desk.client.get(desk.url(path)).send().await.expect("an answer");
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-type"]),
            (status, &"application/problem+json".parse().expect("a value")),
            "{path}"
        );
    }
    desk.end().await;
}
