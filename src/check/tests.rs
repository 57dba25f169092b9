//! Checks against real servers on loopback: well, refusing, silent, talking garbage, redirecting, behind TLS.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{Receiver, channel};

use super::*;
use crate::clock::Clock;
use crate::engine::moment::{DAY, SECOND};
use crate::engine::option::{OptionKind, OptionValue, Options};
use crate::engine::signal::{Metric, Observation, Value, metric};

const UP: Metric = metric("check.up");
const LATENCY: Metric = metric("check.latency");
const CERT_LEFT: Metric = metric("check.cert_left");

fn text(value: &str) -> OptionValue {
    OptionValue::Text(value.to_owned())
}

/// A check as `config` would hand it over: with the defaults of its table.
fn plan(spec: &Spec, given: &[(&str, OptionValue)]) -> CheckPlan {
    let mut options = BTreeMap::new();
    for option in spec.door.options {
        let default = match option.kind {
            OptionKind::Choice(words) => Some(text(words[0])),
            OptionKind::List(list) => Some(OptionValue::List(list.iter().map(|s| (*s).to_owned()).collect())),
            OptionKind::Bool(b) => Some(OptionValue::Bool(b)),
            _ => None,
        };
        options.extend(default.map(|v| (option.key.to_owned(), v)));
    }
    options.extend(given.iter().map(|(k, v)| ((*k).to_owned(), v.clone())));
    let (interval, timeout) = (SECOND / 5, 5 * SECOND);
    CheckPlan { id: "front".to_owned(), kind: spec.door.kind, interval, timeout, options: Options(options) }
}

fn tcp(given: &[(&str, OptionValue)]) -> CheckPlan {
    plan(&tcp::SPEC, given)
}

fn http(url: &str, given: &[(&str, OptionValue)]) -> CheckPlan {
    plan(&http::SPEC, &[&[("url", text(url))], given].concat())
}

async fn next(rx: &mut Receiver<Vec<Observation>>) -> Observation {
    let batch = tokio::time::timeout(Duration::from_secs(20), rx.recv()).await.expect("no probe was made");
    batch.expect("the checks have stopped").remove(0)
}

/// Runs a check until its first probe is done: what was observed, and why it is down.
async fn probe(plan: CheckPlan) -> (Observation, Option<String>) {
    let (tx, mut rx) = channel(8);
    let checks = spawn(&[plan], Clock::start(), tx);
    let seen = next(&mut rx).await;
    (seen, checks.status()[0].error.clone())
}

fn value(seen: &Observation, metric: Metric) -> Option<Value> {
    seen.samples.iter().find(|(m, _)| *m == metric).and_then(|(_, v)| v.clone())
}

fn assert_up(seen: &Observation, error: Option<&String>) {
    assert_eq!(value(seen, UP), Some(true.into()), "{error:?}");
    assert!(matches!(value(seen, LATENCY), Some(Value::Num(n)) if n > 0.0));
}

fn assert_down(seen: &Observation, error: Option<String>, words: &str) {
    assert_eq!((value(seen, UP), value(seen, LATENCY)), (Some(false.into()), None));
    let error = error.unwrap_or_default();
    assert!(error.contains(words), "{error:?} does not hold {words:?}");
}

/// A server that answers every connection with the same bytes once something was sent; with none, never.
async fn server(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            if answer.is_empty() {
                open.push(stream);
                continue;
            }
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(answer).await;
            });
        }
    });
    address
}

/// An address on which nobody listens.
async fn refusing() -> String {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string()
}

#[tokio::test]
async fn a_tcp_port_that_accepts_is_up() {
    let (seen, error) = probe(tcp(&[("address", text(&server(b"").await))])).await;
    assert_up(&seen, error.as_ref());
    assert_eq!(seen.instance.key(), "check{check=front}");
    assert_eq!((seen.instance.label("kind"), seen.interval), ("tcp", SECOND / 5));
}

#[tokio::test]
async fn a_tcp_answer_is_compared() {
    let talk = |address: &str, expect: &str| {
        tcp(&[("address", text(address)), ("send", text("PING\r\n")), ("expect", text(expect))])
    };
    let address = server(b"+PONG\r\n").await;
    let (seen, error) = probe(talk(&address, "PONG")).await;
    assert_up(&seen, error.as_ref());
    let (seen, error) = probe(talk(&address, "READY")).await;
    assert_down(&seen, error, "ended without \"READY\"");
}

#[tokio::test]
async fn refused_and_silent_ports_are_down() {
    let (seen, error) = probe(tcp(&[("address", text(&refusing().await))])).await;
    assert_down(&seen, error, "refused");
    let mut silent = tcp(&[("address", text(&server(b"").await)), ("expect", text("x"))]);
    silent.timeout = SECOND / 10;
    let (seen, error) = probe(silent).await;
    assert_down(&seen, error, "no answer within 100ms");
}

#[tokio::test]
async fn a_check_that_cannot_be_made_is_unknown() {
    for (plan, words) in [
        (tcp(&[("address", text("localhost"))]), "not host:port"),
        (tcp(&[("address", text("localhost:99999"))]), "not host:port"),
        (http("ftp://x/", &[]), "http:// or https://"),
        (http("http://", &[]), "url"),
        (http("http://x/", &[("status", OptionValue::List(vec!["2x".to_owned()]))]), "not a code"),
        (http("https://x/", &[("ca", text("/no/such/file"))]), "cannot read /no/such/file"),
        (
            http("http://x/", &[("headers", OptionValue::Map([("a b".to_owned(), String::new())].into()))]),
            "header",
        ),
    ] {
        let (seen, error) = probe(plan).await;
        assert_eq!(seen.samples, [(UP, None), (LATENCY, None)]);
        let error = error.unwrap();
        assert!(error.contains(words), "{error:?} does not hold {words:?}");
    }
}

#[tokio::test]
async fn a_page_is_judged_by_status_and_text() {
    let ok = server(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nall is ok").await;
    let teapot = server(b"HTTP/1.1 418 I'm a teapot\r\ncontent-length: 0\r\n\r\n").await;
    let url = |address: &str| format!("http://{address}/health");
    let body = |words: &str| [("body_contains", text(words))];
    let (seen, error) = probe(http(&url(&ok), &body("is ok"))).await;
    assert_up(&seen, error.as_ref());
    assert_eq!(value(&seen, CERT_LEFT), None);
    let (seen, error) = probe(http(&url(&ok), &body("degraded"))).await;
    assert_down(&seen, error, "body does not hold \"degraded\"");
    let (seen, error) = probe(http(&url(&teapot), &[])).await;
    assert_down(&seen, error, "status 418");
    let accepted = OptionValue::List(vec!["200".to_owned(), "4xx".to_owned()]);
    let (seen, error) = probe(http(&url(&teapot), &[("status", accepted)])).await;
    assert_up(&seen, error.as_ref());
}

#[tokio::test]
async fn servers_that_misbehave_are_down() {
    let (seen, error) = probe(http(&format!("http://{}/", refusing().await), &[])).await;
    assert_down(&seen, error, "refused");
    let garbage = server(b"\x00\xff\xfenot http at all\r\n\r\n").await;
    let (seen, error) = probe(http(&format!("http://{garbage}/"), &[])).await;
    assert_down(&seen, error, "invalid");
    let short = server(b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\nhalf").await;
    let (seen, error) = probe(http(&format!("http://{short}/"), &[("body_contains", text("whole"))])).await;
    assert_down(&seen, error, "end of file");
    let mut silent = http(&format!("http://{}/", server(b"").await), &[]);
    silent.timeout = SECOND / 10;
    let (seen, error) = probe(silent).await;
    assert_down(&seen, error, "no answer within 100ms");
}

#[tokio::test]
async fn redirects_are_the_answer_unless_they_are_to_be_followed() {
    let target = server(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nhere").await;
    let answer = format!("HTTP/1.1 302 Found\r\nlocation: http://{target}/\r\ncontent-length: 0\r\n\r\n");
    let url = format!("http://{}/", server(answer.leak().as_bytes()).await);
    let here = ("body_contains", text("here"));
    let (seen, error) = probe(http(&url, &[])).await;
    assert_up(&seen, error.as_ref());
    let (seen, error) = probe(http(&url, std::slice::from_ref(&here))).await;
    assert_down(&seen, error, "body does not hold");
    let (seen, error) = probe(http(&url, &[here, ("redirects", OptionValue::Bool(true))])).await;
    assert_up(&seen, error.as_ref());
}

#[tokio::test]
async fn a_redirect_without_end_is_down() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let answer = format!("HTTP/1.1 302 Found\r\nlocation: {url}\r\ncontent-length: 0\r\n\r\n");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    let (seen, error) = probe(http(&url, &[("redirects", OptionValue::Bool(true))])).await;
    assert_down(&seen, error, "too many redirects");
}

#[tokio::test]
async fn a_reload_restarts_only_what_changed_and_says_farewell() {
    let address = server(b"").await;
    let (tx, mut rx) = channel(64);
    let first = tcp(&[("address", text(&address))]);
    let other = CheckPlan { id: "other".to_owned(), ..first.clone() };
    let mut checks = spawn(&[first.clone(), other.clone()], Clock::start(), tx);
    while checks.status().iter().any(|s| s.runs == 0) {
        next(&mut rx).await;
    }
    let changed = CheckPlan { timeout: SECOND, ..other };
    checks.reconfigure(&[first.clone(), changed]);
    let runs: Vec<_> = checks.status().iter().map(|s| (s.id.clone(), s.runs == 0)).collect();
    assert_eq!(runs, [("front".to_owned(), false), ("other".to_owned(), true)]);
    let lost = checks.lost(std::slice::from_ref(&first));
    assert_eq!(lost.iter().map(|i| i.name()).collect::<Vec<_>>(), ["other"]);
    checks.reconfigure(&[first]);
    loop {
        let seen = next(&mut rx).await;
        if seen.gone {
            assert_eq!(seen.instance.name(), "other");
            break;
        }
    }
}

/// An authority (its certificate) and a server's key and certificate for 127.0.0.1 that lasts 30 days; `None`
/// without openssl.
fn certificates(dir: &Path) -> Option<(String, String, String)> {
    let file = |name: &str| dir.join(name).display().to_string();
    let (config, ca, ca_key) = (file("conf"), file("ca.pem"), file("ca.key"));
    let (pem, key) = (file("cert.pem"), file("key.pem"));
    let text = "[req]\ndistinguished_name=dn\nprompt=no\n[dn]\nCN=sexton-test\n[ca]\n\
                basicConstraints=critical,CA:TRUE\n\
                [leaf]\nbasicConstraints=CA:FALSE\nsubjectAltName=IP:127.0.0.1\n";
    std::fs::write(&config, text).unwrap();
    let make = |rest: &[&str]| {
        let args = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -config";
        let made = Command::new("openssl").args(args.split(' ')).arg(&config).args(rest).output();
        made.is_ok_and(|output| output.status.success())
    };
    let made = make(&["-extensions", "ca", "-keyout", &ca_key, "-out", &ca])
        && make(&["-extensions", "leaf", "-CA", &ca, "-CAkey", &ca_key, "-keyout", &key, "-out", &pem]);
    if !made {
        eprintln!("left out: no openssl 3 on this machine");
    }
    made.then_some((ca, key, pem))
}

/// An HTTPS server on a thread of its own, as the crate has no asynchronous one.
fn tls_server(key: &str, pem: &str) -> String {
    install_tls();
    let chain = vec![CertificateDer::from_pem_file(pem).unwrap()];
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    let (config, listener) = (Arc::new(config), std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let Ok(mut session) = rustls::ServerConnection::new(Arc::clone(&config)) else { return };
            let mut tls = rustls::Stream::new(&mut session, &mut stream);
            if tls.read(&mut [0; 4096]).is_ok() {
                let _ = tls.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
                let _ = tls.flush();
            }
        }
    });
    address
}

#[tokio::test]
async fn a_certificate_is_judged_and_its_end_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let Some((ca, key, pem)) = certificates(dir.path()) else { return };
    let url = format!("https://{}/", tls_server(&key, &pem));
    let day = (DAY / SECOND) as f64;
    for option in [("ca", text(&ca)), ("insecure", OptionValue::Bool(true))] {
        let (seen, error) = probe(http(&url, &[option])).await;
        assert_up(&seen, error.as_ref());
        let left = value(&seen, CERT_LEFT);
        assert!(matches!(left, Some(Value::Num(n)) if n > 29.0 * day && n <= 30.0 * day), "{left:?}");
    }
    let (seen, error) = probe(http(&url, &[])).await;
    assert_down(&seen, error, "certificate");
}

#[test]
fn the_table_is_well_formed() {
    for spec in TABLE {
        for signal in spec.door.signals {
            assert!(Metric::find(signal).is_some(), "{}: no signal {signal}", spec.door.kind);
        }
    }
}
