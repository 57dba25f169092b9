//! Real sockets on loopback: receivers that read everything, half of it, or nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use tokio::net::{TcpListener, UnixListener};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::engine::option::OptionValue;
use crate::forward::connector::Body;

#[test]
fn addresses_have_four_forms() {
    let host = |h: &str| h.to_owned();
    for (url, place) in [
        ("tls://logs.example", Some(Place::Tls(host("logs.example"), 6514))),
        ("tls://logs.example:7000/", Some(Place::Tls(host("logs.example"), 7000))),
        ("tcp://[::1]:1601", Some(Place::Tcp(host("::1"), 1601))),
        ("tcp://[::1]", Some(Place::Tcp(host("::1"), 601))),
        ("udp://192.0.2.1", Some(Place::Udp(host("192.0.2.1"), 514))),
        ("unix:///dev/log", Some(Place::Local(host("/dev/log")))),
        ("unix://dev/log", None),
        ("http://logs.example", None),
        ("logs.example:514", None),
        ("tls://", None),
        ("tls://a:b", None),
        ("tls://a/b", None),
        ("tcp://[::1]601", None),
    ] {
        assert_eq!(Place::parse(url).ok(), place, "{url}");
    }
}

fn wire(url: &str, confirm: bool, ca: &str) -> Syslog {
    let mut options = BTreeMap::from([
        ("url".to_owned(), OptionValue::Text(url.to_owned())),
        ("confirm".to_owned(), OptionValue::Bool(confirm)),
    ]);
    if !ca.is_empty() {
        options.insert("ca".to_owned(), OptionValue::Text(ca.to_owned()));
    }
    Syslog::new(&Options(options), Duration::from_secs(2)).unwrap()
}

fn messages() -> Request {
    let body = Body::Json(json!(["<28>1 - - - - - - größer", "<28>1 - - - - - - b"]));
    Request { method: Method::Post, body, ..Request::get("/") }
}

const FRAMED: &str = "26 <28>1 - - - - - - größer19 <28>1 - - - - - - b";

async fn sent(wire: &Syslog, request: &Request) -> Result<u16, (bool, String)> {
    let answer = wire.send(request, &Secrets::default(), Stamp(0)).await;
    answer.map(|reply| reply.status).map_err(|failure| (failure.sent, failure.reason))
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

/// What a receiver does with a connection.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// Reads to the end and closes.
    Take,
    /// Closes at once.
    Close,
    /// Reads and never closes.
    Keep,
    /// Says something.
    Talk,
}

async fn receive<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, act: Act) -> String {
    let mut text = String::new();
    match act {
        Act::Close => {}
        Act::Take => {
            stream.read_to_string(&mut text).await.unwrap();
        }
        Act::Keep => {
            stream.read_to_string(&mut text).await.unwrap();
            std::future::pending::<()>().await;
        }
        Act::Talk => while stream.write_all(&[b'x'; 4096]).await.is_ok() {},
    }
    text
}

#[test]
fn by_tcp_stored_is_what_was_read_to_the_end() {
    run(async {
        for (act, confirm, expected) in [
            (Act::Take, true, Ok(200)),
            (Act::Take, false, Ok(200)),
            (Act::Keep, true, Err("to confirm")),
            (Act::Keep, false, Ok(200)),
            (Act::Close, true, Err("connection broke")),
            (Act::Talk, true, Err("this is no syslog")),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("tcp://{}", listener.local_addr().unwrap());
            let receiver =
                tokio::spawn(async move { receive(listener.accept().await.unwrap().0, act).await });
            match (sent(&wire(&url, confirm, ""), &messages()).await, expected) {
                (Ok(status), Ok(expected)) => assert_eq!(status, expected, "{act:?}"),
                (Err((true, reason)), Err(part)) => assert!(reason.contains(part), "{act:?}: {reason}"),
                (got, _) => panic!("{act:?}: {got:?}"),
            }
            match act {
                Act::Take => assert_eq!(receiver.await.unwrap(), FRAMED),
                _ => receiver.abort(),
            }
        }
    });
}

#[test]
fn where_nobody_listens_nothing_was_sent() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("tcp://{}", listener.local_addr().unwrap());
        drop(listener);
        assert!(matches!(sent(&wire(&url, true, ""), &messages()).await, Err((false, _))));
        let hello = sent(&wire(&url, true, ""), &Request::get("/status")).await;
        assert!(matches!(hello, Err((false, reason)) if reason.contains("cannot connect")));
        let local = sent(&wire("unix:///nowhere/log", true, ""), &messages()).await;
        assert!(matches!(local, Err((false, _))), "{local:?}");
    });
}

#[test]
fn by_udp_each_message_is_a_datagram() {
    run(async {
        let receiver = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let url = format!("udp://{}", receiver.local_addr().unwrap());
        assert_eq!(sent(&wire(&url, true, ""), &messages()).await, Ok(200));
        let mut piece = [0; 2048];
        for text in ["<28>1 - - - - - - größer", "<28>1 - - - - - - b"] {
            let n = receiver.recv(&mut piece).await.unwrap();
            assert_eq!(&piece[..n], text.as_bytes());
        }
        drop(receiver);
        let refused = sent(&wire(&url, true, ""), &messages()).await;
        assert!(matches!(refused, Err((true, _))), "this machine said that nobody listens: {refused:?}");
    });
}

#[test]
fn the_local_socket_may_be_of_either_kind() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (dir.path().join("datagram"), dir.path().join("stream"));
        let receiver = UnixDatagram::bind(&one).unwrap();
        let url = format!("unix://{}", one.display());
        assert_eq!(sent(&wire(&url, true, ""), &messages()).await, Ok(200));
        let mut piece = [0; 2048];
        let n = receiver.recv(&mut piece).await.unwrap();
        assert_eq!(&piece[..n], "<28>1 - - - - - - größer".as_bytes());

        let listener = UnixListener::bind(&other).unwrap();
        let receiver =
            tokio::spawn(async move { receive(listener.accept().await.unwrap().0, Act::Take).await });
        assert_eq!(sent(&wire(&format!("unix://{}", other.display()), true, ""), &messages()).await, Ok(200));
        assert_eq!(receiver.await.unwrap(), "<28>1 - - - - - - größer\n<28>1 - - - - - - b\n");
    });
}

#[test]
fn by_tls_only_a_receiver_that_is_trusted_gets_anything() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let stranger = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let ca = |name: &str, pem: String| {
            let path = dir.path().join(name);
            std::fs::write(&path, pem).unwrap();
            path.display().to_string()
        };
        let (good, bad) = (ca("good", made.cert.pem()), ca("bad", stranger.cert.pem()));
        let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(server));
        for (ca, host, trusted) in
            [(&good, "localhost", true), (&bad, "localhost", false), (&good, "127.0.0.1", false)]
        {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("tls://{host}:{}", listener.local_addr().unwrap().port());
            let acceptor = acceptor.clone();
            let receiver = tokio::spawn(async move {
                let tcp = listener.accept().await.unwrap().0;
                match acceptor.accept(tcp).await {
                    Ok(stream) => receive(stream, Act::Take).await,
                    Err(_) => String::new(),
                }
            });
            let got = sent(&wire(&url, true, ca), &messages()).await;
            assert_eq!(got.is_ok(), trusted, "{host} {ca}: {got:?}");
            assert!(trusted || matches!(got, Err((false, reason)) if reason.contains("no TLS")));
            assert_eq!(receiver.await.unwrap(), if trusted { FRAMED } else { "" });
        }
    });
}
