//! What is shown: pages, the stream of changes, and to whom.

use std::time::Duration;

use reqwest::{Response, StatusCode};

use super::sample::{day, disk, hostile, incident, of_incident, outage, recurring};
use super::{Running, TOKEN, dir, now};

#[tokio::test]
async fn the_first_page_says_what_an_operator_needs() {
    let (dir, now) = (dir(), now());
    let desk = Running::start(&dir).await;
    let empty = desk.page("/").await;
    assert!(empty.contains("Nobody has reported yet") && empty.contains("kind = \"desk\""));
    desk.send(&day(now)).await;
    let page = desk.page("/").await;
    for wanted in [
        "Open incidents",
        "front is down: connection refused",
        "INC000047",
        "outage",
        "breached",
        "flapping",
        "reopened 2×",
        "PRB000007",
        "met with",
        "on hold",
        "m.weber",
        "Recently resolved",
        "cleared by itself",
        "hosts alive",
    ] {
        assert!(page.contains(wanted), "{wanted}");
    }
    let place = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text}"));
    assert!(place("INC000047") < place("INC000042"), "P1 stands before P2");
    assert!(place("INC000040") < place("INC000038"), "of equal priority the older stands first");
    assert!(place("INC000045") < place("Recently resolved"));
    desk.end().await;
}

#[tokio::test]
async fn all_is_quiet_when_nothing_is_open() {
    let (dir, now) = (dir(), now());
    let desk = Running::start(&dir).await;
    desk.send(&[super::sample::heartbeat("web-01", now)]).await;
    let page = desk.page("/").await;
    assert!(page.contains("All is quiet") && page.contains("The one host reports"), "{page}");
    assert!(!page.contains("Silent:"), "{page}");
    assert!(desk.page("/problems").await.contains("Nothing repeats"));
    assert!(desk.page("/hosts").await.contains("web-01"));
    desk.end().await;
}

#[tokio::test]
async fn the_page_of_an_incident_has_plot_evidence_and_timeline() {
    let (dir, now) = (dir(), now());
    let desk = Running::start(&dir).await;
    let (filling, down) = (disk(now), outage(now));
    desk.send(&[of_incident(&filling), of_incident(&down)]).await;
    let page = desk.page(&format!("/incidents/{}", filling.id)).await;
    for wanted in [
        "<svg class=\"plot\"",
        "limit 95 %",
        ">breach<",
        "MiB/s",
        "412G",
        "impact 2 × urgency 1",
        "Acknowledged",
        "Old WAL segments",
        "by operator",
        "https:&#x2f;&#x2f;wiki.example",
        "storage&#x2f;fs",
    ] {
        assert!(page.contains(wanted), "{wanted}: {page}");
    }
    let notes = ["by rule", "m.weber is on it", "Old WAL segments"].map(|t| page.find(t));
    assert!(notes.is_sorted(), "newest last: {notes:?}");
    let page = desk.page(&format!("/incidents/{}", down.id)).await;
    assert!(page.contains(">down<") && page.contains(">up<") && page.contains("limit 800 ms"));
    desk.end().await;
}

#[tokio::test]
async fn the_page_of_a_problem_has_reasons_members_and_figures() {
    let (dir, now) = (dir(), now());
    let desk = Running::start(&dir).await;
    let (members, problem, _) = recurring(now);
    desk.send(&day(now)).await;
    let list = desk.page("/problems").await;
    assert!(list.contains("6th time in 7 d, usual gap 20 h") && list.contains("PRB000007"));
    let page = desk.page(&format!("/problems/{}", problem.id)).await;
    for wanted in [
        "6th time in 7 d",
        "<svg class=\"strip\"",
        "INC000011",
        "MTBF",
        "11h 28m",
        "MTTR",
        "22m",
        "999",
        "Candidate",
    ] {
        assert!(page.contains(wanted), "{wanted}");
    }
    assert_eq!(page.matches("<circle").count(), 6);
    assert!(page.contains(&format!("/incidents/{}", members[3].id)));
    desk.end().await;
}

#[tokio::test]
async fn hostile_text_stays_text() {
    let (dir, now) = (dir(), now());
    let desk = Running::start(&dir).await;
    let evil = hostile(now);
    desk.send(&[of_incident(&evil)]).await;
    for path in ["/".to_owned(), format!("/incidents/{}", evil.id), "/hosts".to_owned()] {
        let page = desk.page(&path).await;
        assert!(page.contains("&lt;script&gt;"), "{path}");
        for forbidden in ["<script>", "<img", "\"javascript:", "onerror=alert(2)>"] {
            assert!(!page.contains(forbidden), "{path}: {forbidden}");
        }
        assert_eq!(page.matches("<script").count(), 1, "{path}: only the desk's own");
    }
    desk.end().await;
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let dir = dir();
    let desk = Running::start(&dir).await;
    for path in ["/", "/v1/incidents", "/assets/desk.js", "/nowhere", "/healthz", "/login"] {
        let answer = desk.client.get(desk.url(path)).send().await.expect("an answer");
        let header = |name: &str| answer.headers()[name].to_str().expect("text").to_owned();
        let policy = header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{path}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("referrer-policy"), "no-referrer", "{path}");
    }
    let page = desk.page("/").await;
    assert!(!page.contains("style=") && !page.contains("onclick"), "the policy would block it");
    desk.end().await;
}

#[tokio::test]
async fn an_open_page_gets_its_main_part_alone() {
    let dir = dir();
    let desk = Running::start(&dir).await;
    let answer = desk.client.get(desk.url("/")).header("x-part", "main").send().await.expect("an answer");
    let part = answer.text().await.expect("text");
    assert!(part.trim_start().starts_with("<main") && !part.contains("<head"), "{part}");
    desk.end().await;
}

/// Reads a stream until `wanted` has come.
async fn until(stream: &mut Response, wanted: &str) -> String {
    let mut seen = String::new();
    while !seen.contains(wanted) {
        let chunk = tokio::time::timeout(Duration::from_secs(10), stream.chunk()).await;
        let chunk = chunk
            .expect("in time")
            .expect("no error")
            .unwrap_or_else(|| panic!("ended before {wanted}: {seen}"));
        seen.push_str(&String::from_utf8_lossy(&chunk));
    }
    seen
}

#[tokio::test]
async fn the_stream_tells_what_was_stored_and_what_was_missed_and_ends_with_the_desk() {
    let (dir, now) = (dir(), now());
    let desk = Running::start(&dir).await;
    let mut live = desk.client.get(desk.url("/v1/stream")).send().await.expect("a stream");
    assert_eq!(live.headers()["content-type"], "text/event-stream");
    until(&mut live, "retry").await;
    let (one, two) = (incident(1, "web-01", "one", now), incident(2, "web-01", "two", now));
    desk.send(&[of_incident(&one)]).await;
    let seen = until(&mut live, &one.id).await;
    assert!(seen.contains("event: change") && seen.contains("id: 1\n"), "{seen}");
    desk.send(&[of_incident(&one)]).await;
    desk.send(&[of_incident(&two)]).await;
    let seen = until(&mut live, &two.id).await;
    assert!(!seen.contains(&one.id), "a duplicate is no change: {seen}");

    let back = |id: &'static str| desk.client.get(desk.url("/v1/stream")).header("last-event-id", id).send();
    let seen = until(&mut back("1").await.expect("a stream"), &two.id).await;
    assert!(!seen.contains(&one.id), "{seen}");
    until(&mut back("77").await.expect("a stream"), "event: resync").await;

    desk.end().await;
    while let Ok(Some(_)) = live.chunk().await {}
}

#[tokio::test]
async fn from_other_machines_the_pages_ask_for_a_token() {
    let (dir, now) = (dir(), now());
    let desk = Running::listening(&dir, "0.0.0.0:0").await;
    desk.send(&[of_incident(&incident(1, "web-01", "a secret", now))]).await;
    let get = |path: &str| desk.client.get(desk.url(path));

    let answer = get("/hosts").send().await.expect("an answer");
    assert_eq!(
        (answer.status(), answer.headers()["location"].to_str().ok()),
        (StatusCode::SEE_OTHER, Some("/login?next=/hosts"))
    );
    for path in ["/v1/incidents", "/v1/stream", "/v1/hosts"] {
        assert_eq!(get(path).send().await.expect("an answer").status(), StatusCode::UNAUTHORIZED, "{path}");
    }
    assert_eq!(
        get("/v1/incidents").bearer_auth(TOKEN).send().await.expect("an answer").status(),
        StatusCode::OK
    );
    assert_eq!(get("/healthz").send().await.expect("an answer").status(), StatusCode::OK);
    assert!(
        get("/login").send().await.expect("an answer").text().await.expect("text").contains("name=\"token\"")
    );

    let log_in = |token: &str, next: &str| {
        let form = format!("token={token}&next={next}");
        desk.client
            .post(desk.url("/login"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form)
            .send()
    };
    let wrong = log_in("wrong", "/").await.expect("an answer");
    assert!(wrong.status() == StatusCode::UNAUTHORIZED && !wrong.headers().contains_key("set-cookie"));
    let right = log_in(TOKEN, "%2Fhosts").await.expect("an answer");
    assert_eq!(
        (right.status(), right.headers()["location"].to_str().ok()),
        (StatusCode::SEE_OTHER, Some("/hosts"))
    );
    let cookie = right.headers()["set-cookie"].to_str().expect("text").to_owned();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && !cookie.contains(TOKEN),
        "{cookie}"
    );
    let value = cookie.split(';').next().expect("a value").to_owned();
    let page = get("/").header("cookie", &value).send().await.expect("an answer");
    assert!(page.status() == StatusCode::OK && page.text().await.expect("text").contains("a secret"));
    let forged = value.replace(|c: char| c.is_ascii_digit(), "9");
    assert_eq!(
        get("/").header("cookie", forged).send().await.expect("an answer").status(),
        StatusCode::SEE_OTHER
    );
    let away = log_in(TOKEN, "%2F%2Fevil.example").await.expect("an answer");
    assert_eq!(away.headers()["location"], "/");
    desk.end().await;
}

#[tokio::test]
async fn on_loopback_a_foreign_name_or_a_proxy_needs_a_token_too() {
    let dir = dir();
    let desk = Running::start(&dir).await;
    let get = || desk.client.get(desk.url("/v1/incidents"));
    assert_eq!(get().send().await.expect("an answer").status(), StatusCode::OK);
    for (name, value, status) in [
        ("host", "localhost:7878", StatusCode::OK),
        ("host", "[::1]:7878", StatusCode::OK),
        ("host", "evil.example", StatusCode::UNAUTHORIZED),
        ("host", "127.0.0.1.evil.example", StatusCode::UNAUTHORIZED),
        ("x-forwarded-for", "10.0.0.7", StatusCode::UNAUTHORIZED),
    ] {
        let answer = get().header(name, value).send().await.expect("an answer");
        assert_eq!(answer.status(), status, "{name}: {value}");
    }
    desk.end().await;
}
