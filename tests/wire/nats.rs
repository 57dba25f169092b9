//! NATS against a server that answers as a test says; the real one is a scenario of its own.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value as Json, json};
use sexton::clock::Clock;
use sexton::engine::option::OptionValue;
use sexton::forward::connector::{Failure, Method, Reply, Request};
use sexton::forward::secrets::Secrets;
use sexton::forward::wire::Wire;
use sexton::forward::wire::nats::Nats;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::certificates::{Authority, plain, put};
use super::{Setup, local, word};

/// What the server answers to a message on its reply subject; `None`: it closes.
type Answers = Rc<dyn Fn(usize, &str) -> Option<String>>;

struct Server {
    port: u16,
    /// Lines that came, `*` before those under TLS, and payloads after `=`.
    lines: Rc<RefCell<Vec<String>>>,
}

#[derive(Clone)]
struct Manners {
    info: Json,
    /// What follows CONNECT and its PING.
    welcome: &'static str,
    answers: Answers,
    tls: Option<Arc<ServerConfig>>,
}

impl Manners {
    fn good() -> Self {
        let answers: Answers = Rc::new(|n, _| Some(format!(r#"{{"stream":"S","seq":{}}}"#, n + 1)));
        Self { info: json!({"max_payload": 1000}), welcome: "PONG\r\n", answers, tls: None }
    }

    fn answering(answers: impl Fn(usize, &str) -> Option<String> + 'static) -> Self {
        Self { answers: Rc::new(answers), ..Self::good() }
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

impl Server {
    async fn start(manners: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self { port: listener.local_addr().unwrap().port(), lines: Rc::default() };
        let lines = Rc::clone(&server.lines);
        tokio::task::spawn_local(async move {
            while let Ok((mut tcp, _)) = listener.accept().await {
                let (manners, lines) = (manners.clone(), Rc::clone(&lines));
                tokio::task::spawn_local(async move {
                    let info = format!("INFO {}\r\n", manners.info);
                    if tcp.write_all(info.as_bytes()).await.is_err() {
                        return;
                    }
                    let (stream, mark): (Box<dyn Stream>, _) = match &manners.tls {
                        Some(tls) => match TlsAcceptor::from(Arc::clone(tls)).accept(tcp).await {
                            Ok(stream) => (Box::new(stream), "*"),
                            Err(_) => return,
                        },
                        None => (Box::new(tcp), ""),
                    };
                    let _ = serve(stream, &manners, &lines, mark).await;
                });
            }
        });
        server
    }

    fn setup(&self, scheme: &str) -> Setup {
        Setup::new(format!("{scheme}://127.0.0.1:{}", self.port))
    }

    fn heard(&self, word: &str) -> usize {
        self.lines.borrow().iter().filter(|l| l.contains(word)).count()
    }
}

async fn serve(
    stream: Box<dyn Stream>,
    manners: &Manners,
    lines: &RefCell<Vec<String>>,
    mark: &str,
) -> std::io::Result<()> {
    let mut stream = BufStream::new(stream);
    let (mut published, mut welcomed) = (0, false);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let line = line.trim_end();
        lines.borrow_mut().push(format!("{mark}{line}"));
        let words: Vec<&str> = line.split(' ').collect();
        let said = match words[0] {
            "PING" if !std::mem::replace(&mut welcomed, true) => manners.welcome.to_owned(),
            "PING" => "PONG\r\n".to_owned(),
            "PUB" | "HPUB" => {
                let total: usize = words.last().unwrap().parse().unwrap();
                let mut payload = vec![0; total + 2];
                stream.read_exact(&mut payload).await?;
                let payload = String::from_utf8_lossy(&payload).into_owned();
                lines.borrow_mut().push(format!("={}", payload.replace("\r\n", "|")));
                published += 1;
                match (manners.answers)(published - 1, words[1]) {
                    None => return Ok(()),
                    Some(raw) if raw.starts_with(['-', 'H', '+']) => raw.replace("REPLY", words[2]),
                    Some(json) => format!("PING\r\nMSG {} 1 {}\r\n{json}\r\n", words[2], json.len()),
                }
            }
            _ => continue,
        };
        stream.write_all(said.as_bytes()).await?;
        stream.flush().await?;
    }
}

fn messages(count: usize) -> Request {
    let message = |n: usize| json!({"subject": format!("a.b{n}"), "id": format!("id-{n}"), "data": {"n": n}});
    let messages: Vec<Json> = (0..count).map(message).collect();
    Request::json(Method::Post, "/publish", json!({ "messages": messages }))
}

async fn send(wire: &Nats, setup: &Setup, request: &Request) -> Result<Reply, Failure> {
    wire.send(request, &Secrets::read(&setup.options()).unwrap(), Clock::start().now().stamp()).await
}

fn wire(setup: &Setup) -> Nats {
    Nats::new(&setup.options(), Duration::from_millis(600)).unwrap()
}

/// Statuses of all messages, or the whole answer.
fn told(result: &Result<Reply, Failure>) -> String {
    let Ok(reply) = result else { return word(result) };
    match reply.json()["results"].as_array() {
        Some(rows) => rows.iter().map(|r| r["status"].as_str().unwrap()).collect::<Vec<_>>().join(" "),
        None => format!("{} {}", reply.status, String::from_utf8_lossy(&reply.body)),
    }
}

#[test]
fn messages_are_published_under_their_ids_and_the_connection_is_kept() {
    local(async {
        let server = Server::start(Manners::good()).await;
        let setup = server.setup("nats");
        let wire = wire(&setup);
        assert_eq!(told(&send(&wire, &setup, &messages(2)).await), "stored stored");
        let result = send(&wire, &setup, &messages(1)).await;
        assert_eq!(result.unwrap().json()["results"][0]["reason"], "S/3");
        assert_eq!((server.heard("CONNECT"), server.heard("HPUB a.b0 _INBOX.")), (1, 2));
        assert_eq!(server.heard("=NATS/1.0|Nats-Msg-Id: id-1||{\"n\":1}|"), 1);
    });
}

#[test]
fn each_answer_has_its_word() {
    let error = |code: u16, err_code: u32| {
        move |_: usize, _: &str| {
            Some(format!(r#"{{"error":{{"code":{code},"err_code":{err_code},"description":"why"}}}}"#))
        }
    };
    let raw = |text: &'static str| move |_: usize, _: &str| Some(text.to_owned());
    let cases: [(&str, Manners, &str); 12] = [
        ("duplicate", Manners::answering(raw(r#"{"stream":"S","seq":1,"duplicate":true}"#)), "duplicate"),
        ("no stream", Manners::answering(raw("HMSG REPLY 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n")), "missing"),
        ("full", Manners::answering(error(503, 10077)), "later"),
        ("too big for the stream", Manners::answering(error(400, 10054)), "refused"),
        ("sealed", Manners::answering(error(400, 10109)), "denied"),
        ("nonsense", Manners::answering(raw("{}")), "unknown"),
        (
            "denied",
            Manners::answering(raw("-ERR 'Permissions Violation for Publish to \"a.b0\"'\r\n")),
            "denied",
        ),
        ("closed", Manners::answering(|_, _| None), "sent? "),
        ("silent", Manners::answering(raw("+OK\r\n")), "sent? "),
        ("stale", Manners::answering(raw("-ERR 'Stale Connection'\r\n")), "sent? Stale Connection"),
        (
            "refused",
            Manners { welcome: "-ERR 'Authorization Violation'\r\n", ..Manners::good() },
            "401 {\"detail\":\"Authorization Violation\"}",
        ),
        (
            "full house",
            Manners { welcome: "-ERR 'maximum connections exceeded'\r\n", ..Manners::good() },
            "503 ",
        ),
    ];
    for (what, manners, wanted) in cases {
        local(async {
            let server = Server::start(manners).await;
            let setup = server.setup("nats");
            let result = send(&wire(&setup), &setup, &messages(1)).await;
            assert!(told(&result).starts_with(wanted), "{what}: {}", told(&result));
        });
    }
}

#[test]
fn what_was_acknowledged_before_the_end_is_stored_and_the_rest_in_doubt() {
    local(async {
        let two = |n: usize, _: &str| match n {
            0 | 1 => Some(format!(r#"{{"stream":"S","seq":{n}}}"#)),
            _ => Some("+OK\r\n".to_owned()),
        };
        let server = Server::start(Manners::answering(two)).await;
        let setup = server.setup("nats");
        let result = send(&wire(&setup), &setup, &messages(4)).await;
        assert_eq!(told(&result), "stored stored unknown unknown");
    });
    local(async {
        let server = Server::start(Manners::good()).await;
        let setup = server.setup("nats");
        let mut request = messages(2);
        let mut body = request.json_body().clone();
        body["messages"][0]["data"] = json!("x".repeat(2000));
        request.body = sexton::forward::connector::Body::Json(body);
        assert_eq!(told(&send(&wire(&setup), &setup, &request).await), "refused stored");
    });
}

#[test]
fn whatever_is_no_nats_was_sent_nothing() {
    local(async {
        let gone = Setup::new("nats://127.0.0.1:9".to_owned());
        let result = send(&wire(&gone), &gone, &messages(1)).await;
        assert!(told(&result).starts_with("unsent: "), "{}", told(&result));
        for (what, first) in [("no NATS", "HTTP/1.1 400\r\n\r\n"), ("no end", "INFO {")] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let odd = Setup::new(format!("nats://{}", listener.local_addr().unwrap()));
            tokio::task::spawn_local(async move {
                let (mut tcp, _) = listener.accept().await.unwrap();
                let _ = tcp.write_all(first.as_bytes()).await;
                let _ = tcp.read(&mut [0; 10]).await;
            });
            let result = send(&wire(&odd), &odd, &messages(1)).await;
            assert!(told(&result).starts_with("unsent: "), "{what}: {}", told(&result));
        }
    });
}

#[test]
fn logins_are_shown_and_never_in_the_clear() {
    let authority = Authority::new("nats");
    let tls = Some(Arc::new(plain(&authority.issue(&["127.0.0.1"]))));
    let seed = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
    let creds =
        format!("-----BEGIN NATS USER JWT-----\nj.w.t\n-----END\n-----BEGIN USER NKEY SEED-----\n{seed}\n");
    for (key, secret, shown) in [
        ("token", "t0ken", "\"auth_token\":\"t0ken\""),
        ("password", "pass", "\"pass\":\"pass\""),
        ("nkey", seed, "\"nkey\":\"UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4\""),
        ("creds", creds.as_str(), "\"jwt\":\"j.w.t\""),
    ] {
        for (scheme, required) in [("tls", false), ("nats", true)] {
            local(async {
                let dir = tempfile::tempdir().unwrap();
                let info = json!({"nonce": "abc", "tls_required": required, "max_payload": 1000});
                let server = Server::start(Manners { info, tls: tls.clone(), ..Manners::good() }).await;
                let setup = server.setup(scheme).file("ca", &put(dir.path(), "ca.pem", &authority.pem()));
                let setup = setup.text("user", "u").secret(key, &put(dir.path(), "secret", secret));
                assert_eq!(told(&send(&wire(&setup), &setup, &messages(1)).await), "stored", "{key}");
                let lines = server.lines.borrow();
                assert!(lines[0].starts_with("*CONNECT {") && lines[0].contains(shown), "{}", lines[0]);
            });
        }
    }
    local(async {
        // Another authority, TLS that the server does not speak, a seed that is none.
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(Manners { tls: tls.clone(), ..Manners::good() }).await;
        let other = put(dir.path(), "ca.pem", &Authority::new("other").pem());
        let setup = server.setup("tls").file("ca", &other);
        assert!(told(&send(&wire(&setup), &setup, &messages(1)).await).starts_with("unsent: no TLS"));
        let server = Server::start(Manners::good()).await;
        let setup = server.setup("tls");
        assert!(told(&send(&wire(&setup), &setup, &messages(1)).await).starts_with("unsent: "));
        let setup = server.setup("nats").secret("nkey", &put(dir.path(), "seed", "SUNONSENSE"));
        let result = told(&send(&wire(&setup), &setup, &messages(1)).await);
        assert!(result.starts_with("401 ") && !result.contains("SUNO"), "{result}");
        let never = OptionValue::Text("never".to_owned());
        let required = json!({"tls_required": true});
        let server = Server::start(Manners { info: required, ..Manners::good() }).await;
        let mut setup = server.setup("nats");
        setup.0.insert("tls".to_owned(), never);
        let result = told(&send(&wire(&setup), &setup, &messages(1)).await);
        assert!(result.starts_with("403 ") && result.contains("the server wants TLS"), "{result}");
    });
}

#[test]
fn the_stream_of_each_subject_is_looked_up() {
    let answers = |_: usize, subject: &str| {
        Some(match subject {
            "$JS.API.STREAM.NAMES" => r#"{"streams":["S"]}"#.to_owned(),
            _ => r#"{"config":{"duplicate_window":7200000000000}}"#.to_owned(),
        })
    };
    let no = |_: usize, _: &str| {
        Some("-ERR 'Permissions Violation for Publish to \"$JS.API.STREAM.NAMES\"'\r\n".to_owned())
    };
    let off = |_: usize, _: &str| Some("HMSG REPLY 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n".to_owned());
    let none = |_: usize, _: &str| Some(r#"{"total":0,"streams":null}"#.to_owned());
    let cases = [
        (
            Manners::answering(answers),
            r#"200 {"streams":[{"stream":"S","subject":"a.b","window":7200000000000}]}"#,
        ),
        (Manners::answering(none), r#"200 {"streams":[{"stream":null,"subject":"a.b","window":null}]}"#),
        (Manners::answering(no), r#"404 {"detail":"Permissions Violation"#),
        (Manners::answering(off), r#"403 {"detail":"JetStream is not enabled"#),
    ];
    for (manners, wanted) in cases {
        local(async {
            let server = Server::start(manners).await;
            let setup = server.setup("nats");
            let look = Request::json(Method::Get, "/streams", json!({"subjects": ["a.b"]}));
            let result = send(&wire(&setup), &setup, &look).await;
            assert!(told(&result).starts_with(wanted), "{}", told(&result));
        });
    }
}
