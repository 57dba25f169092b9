//! Answers that lie, never end, or never come; connections that close at the wrong moment.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::ToSocketAddrs;

use sexton::clock::Clock;
use sexton::engine::effect::Outcome;
use sexton::forward::connector::classify::outcome;
use sexton::forward::connector::{Failure, Reply, Request};
use sexton::forward::secrets::Secrets;
use sexton::forward::wire::Wire;
use sexton::forward::wire::http::{BODY_BYTES, Http};

use super::far::{Act, Far, answer};
use super::{Setup, create, local, word};

fn at(far: &Far) -> Setup {
    Setup::new(format!("http://127.0.0.1:{}", far.port))
}

fn head(lines: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\n{lines}\r\n").into_bytes()
}

fn with(lines: &str, body: &str) -> Vec<u8> {
    [head(lines), body.as_bytes().to_vec()].concat()
}

/// Much more than is taken, packed into little.
fn bomb(status: &str) -> Vec<u8> {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for _ in 0..64 {
        gz.write_all(&vec![0; 1024 * 1024]).unwrap();
    }
    let packed = gz.finish().unwrap();
    let length = packed.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-encoding: gzip\r\ncontent-length: {length}\r\n\r\n");
    [head.into_bytes(), packed].concat()
}

#[test]
fn an_answer_that_cannot_be_used_leaves_the_request_in_doubt() {
    let long = |n: usize| format!("x-long: {}\r\n", "a".repeat(n));
    let many: String = (0..300).map(|n| format!("x-{n}: y\r\n")).collect();
    let cases = [
        ("head by drops", Act::Drip(b"HTTP/1.1 200 OK\r\nx: ".to_vec()), "sent? "),
        ("body by drops", Act::Drip(head("content-length: 9999\r\n")), "sent? the answer broke off"),
        (
            "body without an end",
            Act::Endless(head("content-length: 9999999999\r\n"), vec![b' '; 65536]),
            "sent? the answer is larger",
        ),
        (
            "chunks without an end",
            Act::Endless(
                head("transfer-encoding: chunked\r\n"),
                b"4000\r\n".iter().copied().chain(vec![b' '; 0x4000]).chain(*b"\r\n").collect(),
            ),
            "sent? the answer is larger",
        ),
        (
            "headers without an end",
            Act::Endless(b"HTTP/1.1 200 OK\r\n".to_vec(), b"x: y\r\n".to_vec()),
            "sent? ",
        ),
        ("a header of a megabyte", Act::Say(head(&long(1024 * 1024))), "sent? "),
        ("hundreds of headers", Act::Say(head(&many)), "sent? "),
        ("a gzip bomb", Act::Say(bomb("200 OK")), "sent? the answer is larger"),
        (
            "gzip that is none",
            Act::Last(with("content-encoding: gzip\r\ncontent-length: 5\r\n", "hello")),
            "sent? the answer broke off",
        ),
        (
            "a length too long",
            Act::Last(with("content-length: 100\r\n", "short")),
            "sent? the answer broke off",
        ),
        ("two lengths", Act::Last(with("content-length: 2\r\ncontent-length: 3\r\n", "{}")), "sent? "),
        ("a length below zero", Act::Last(with("content-length: -2\r\n", "{}")), "sent? "),
        (
            "chunks that are none",
            Act::Last(with("transfer-encoding: chunked\r\n", "zz\r\n")),
            "sent? the answer broke off",
        ),
        (
            "reset in the body",
            Act::Reset(with("content-length: 100\r\n", "half")),
            "sent? the answer broke off",
        ),
        ("reset", Act::Reset(Vec::new()), "sent? "),
        ("closed", Act::Last(Vec::new()), "sent? "),
        ("no HTTP", Act::Last(b"hello\r\n\r\n".to_vec()), "sent? "),
        ("an old dialect", Act::Last(b"<html>hello".to_vec()), "sent? "),
    ];
    for (what, act, wanted) in cases {
        local(async {
            let far = Far::start(None, move |_| act.clone()).await;
            let setup = at(&far);
            let wire = Http::new(&setup.options(), &[], std::time::Duration::from_millis(700)).unwrap();
            let result = create(&wire, &setup).await;
            assert!(word(&result).starts_with(wanted), "{what}: {}", word(&result));
            assert_eq!(far.count(), 1, "{what}: never repeated by the wire itself");
        });
    }
}

#[test]
fn an_answer_that_can_be_used_is_used() {
    let redirect = |status: u16| answer(status, "location: https://elsewhere.example/\r\n", "");
    let at_most = format!("500 with {BODY_BYTES} bytes");
    let cases = [
        ("HTTP/1.0", Act::Last(b"HTTP/1.0 201 Created\r\n\r\nhello".to_vec()), "201 with 5 bytes"),
        ("no length", Act::Last(with("", "hello")), "200 with 5 bytes"),
        (
            "after a 100",
            Act::Say([b"HTTP/1.1 100 Continue\r\n\r\n".to_vec(), answer(201, "", "{}")].concat()),
            "201 with 2 bytes",
        ),
        ("301", Act::Say(redirect(301)), "301 with 0 bytes"),
        ("302", Act::Say(redirect(302)), "302 with 0 bytes"),
        ("307", Act::Say(redirect(307)), "307 with 0 bytes"),
        ("308", Act::Say(redirect(308)), "308 with 0 bytes"),
        (
            "an error whose words broke off",
            Act::Last(b"HTTP/1.1 422 X\r\ncontent-length: 100\r\n\r\nwhy".to_vec()),
            "422 with 3 bytes",
        ),
        (
            "an error reset",
            Act::Reset(b"HTTP/1.1 422 X\r\ncontent-length: 100\r\n\r\n".to_vec()),
            "422 with 0 bytes",
        ),
        ("an error that is a bomb", Act::Say(bomb("500 Oops")), at_most.as_str()),
        (
            "more than its length",
            Act::Say(with("content-length: 2\r\n", "{}HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n")),
            "200 with 2 bytes",
        ),
    ];
    for (what, act, wanted) in cases {
        local(async {
            let far = Far::start(None, move |_| act.clone()).await;
            let setup = at(&far);
            let wire = setup.wire(&[]);
            for _ in 0..2 {
                assert_eq!(word(&create(&wire, &setup).await), wanted, "{what}");
            }
            assert_eq!(far.count(), 2, "{what}");
        });
    }
}

#[test]
fn a_connection_closed_between_requests_neither_loses_nor_doubles_one() {
    for (what, reset) in [("closed", false), ("reset", true)] {
        local(async {
            let script = move |_: &super::far::Heard| match reset {
                true => Act::Reset(answer(200, "", "")),
                false => Act::Last(answer(200, "", "")),
            };
            let far = Far::start(None, script).await;
            let setup = at(&far);
            let wire = setup.wire(&[]);
            let secrets = Secrets::read(&setup.options()).unwrap();
            let mut results: BTreeMap<String, Result<Reply, Failure>> = BTreeMap::new();
            for n in 0..100 {
                let path = format!("/ticket/{n:03}");
                let request =
                    Request::json(sexton::forward::connector::Method::Post, path.as_str(), 1.into());
                let result = wire.send(&request, &secrets, Clock::start().now().stamp()).await;
                // The farewell comes before the next request, after it, or at the same time.
                if n % 2 == 0 {
                    tokio::task::yield_now().await;
                }
                results.insert(path, result);
            }
            let heard = far.heard.borrow();
            for (path, result) in &results {
                let times = heard.iter().filter(|h| h.head.contains(&format!("{path} HTTP"))).count();
                match result {
                    Ok(_) => assert_eq!(times, 1, "{what}: {path}"),
                    Err(f) if f.sent => assert!(times <= 1, "{what}: {path} came {times} times"),
                    Err(f) => assert_eq!(times, 0, "{what}: {path}: {}", f.reason),
                }
            }
            let answered = results.values().filter(|r| r.is_ok()).count();
            assert!(answered > 50, "{what}: only {answered} of 100 were answered");
        });
    }
}

#[test]
fn a_request_that_was_read_on_an_old_connection_is_not_sent_again() {
    local(async {
        let script = |heard: &super::far::Heard| match heard.connection {
            0 if heard.body.contains("first") => Act::Say(answer(200, "", "")),
            0 => Act::Last(Vec::new()),
            _ => Act::Say(answer(200, "", "")),
        };
        let far = Far::start(None, script).await;
        let setup = at(&far);
        let (wire, secrets) = (setup.wire(&[]), Secrets::read(&setup.options()).unwrap());
        let now = Clock::start().now().stamp();
        let post =
            |word: &str| Request::json(sexton::forward::connector::Method::Post, "/ticket", word.into());
        assert_eq!(wire.send(&post("first"), &secrets, now).await.unwrap().status, 200);
        let result = wire.send(&post("second"), &secrets, now).await;
        assert!(word(&result).starts_with("sent? "), "{}", word(&result));
        let heard = far.heard.borrow();
        assert_eq!(heard.iter().map(|h| h.connection).collect::<Vec<_>>(), [0, 0]);
    });
}

#[test]
fn a_name_that_is_none_was_never_reached_and_both_families_are_tried() {
    local(async {
        let nowhere = Setup::new("http://no-such-host.invalid/".to_owned());
        let result = create(&nowhere.wire(&[]), &nowhere).await;
        assert!(word(&result).starts_with("unsent: "), "{}", word(&result));
        // localhost has an address of each family on most machines, and the far end listens on one.
        let far = Far::start(None, |_| Act::Say(answer(200, "", ""))).await;
        let families = ("localhost", 1).to_socket_addrs().map_or(0, Iterator::count);
        assert!(families >= 1);
        let setup = Setup::new(format!("http://localhost:{}", far.port));
        assert_eq!(word(&create(&setup.wire(&[]), &setup).await), "200 with 0 bytes", "{families} addresses");
    });
}

#[test]
fn a_proxy_that_refuses_is_the_destinations_trouble() {
    for (url, status, wanted) in [
        ("https://far.example", 407, "unsent: "),
        ("https://far.example", 502, "unsent: "),
        ("http://far.example", 407, "407 with 0 bytes"),
        ("http://far.example", 503, "503 with 0 bytes"),
    ] {
        local(async {
            let proxy = Far::start(None, move |_| Act::Say(answer(status, "", ""))).await;
            let setup = Setup::new(url.to_owned()).text("proxy", format!("http://127.0.0.1:{}", proxy.port));
            let result = create(&setup.wire(&[]), &setup).await;
            assert!(word(&result).starts_with(wanted), "{url} {status}: {}", word(&result));
            let first = proxy.heard.borrow()[0].head.clone();
            let verb =
                if url.starts_with("https") { "CONNECT far.example:443" } else { "POST http://far.example/" };
            assert!(first.starts_with(verb), "{first}");
            if let Ok(reply) = &result {
                let outcome = outcome(reply, true).unwrap();
                let kept = matches!(outcome, Outcome::Pause { .. } | Outcome::Retry { unknown: false, .. });
                assert!(kept, "{outcome:?}");
            }
        });
    }
}
