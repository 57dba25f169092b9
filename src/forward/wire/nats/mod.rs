//! NATS JetStream: messages published and acknowledged, over one connection that is kept for a short while.
//!
//! ```text
//! publish  POST /publish {"messages":[{"subject","id","data"}, …]}
//!          → 200 {"results":[{"id","status","reason"}, …]}
//!            stored, duplicate; missing (no stream), denied (rights), refused (too big), later, unknown
//! look     GET /streams {"subjects":[…]} → 200 {"streams":[{"subject","stream","window"}, …]}
//! ```
//! An operation is stored when the stream says so, not when it was written. What was written and not
//! acknowledged is unknown, and repeated under the same `Nats-Msg-Id`, which the stream takes once within its
//! window. Nothing is written before a connection is there, and nothing is kept for one to come: whoever
//! waits is the outbox. Tokens and passwords do not travel in the clear beyond this machine.

mod key;
pub mod protocol;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value as Json, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use self::protocol::{Connection, LINE_BYTES, Said, publish};
use super::client::{CONNECT, IDLE};
use super::stream::{Endpoint, connect, secure};
use super::tls::Configs;
use super::{Sending, Wire};
use crate::engine::moment::Stamp;
use crate::engine::option::Options;
use crate::forward::connector::classify::clip;
use crate::forward::connector::request::READING;
use crate::forward::connector::{Failure, Reply, Request};
use crate::forward::secrets::Secrets;

/// A server of NATS.
pub struct Nats {
    address: Endpoint,
    /// TLS before the first word of ours, whatever the server asks.
    secure: bool,
    /// Secrets may travel in the clear: the server is this machine, or it was said so.
    open: bool,
    options: Options,
    timeout: Duration,
    tls: Configs,
    idle: RefCell<Option<(Live, Stamp)>>,
}

/// A connection that is logged in and listens for answers.
struct Live {
    connection: Connection,
    inbox: String,
    max_payload: usize,
    /// Answers asked for so far.
    asked: u64,
}

/// Why nothing came of it.
enum End {
    Reply(u16, String),
    Broken(String),
}

impl From<std::io::Error> for End {
    fn from(error: std::io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

/// How each message fares, by its place.
type Results = RefCell<BTreeMap<usize, (&'static str, String)>>;

impl Wire for Nats {
    fn send<'a>(&'a self, request: &'a Request, secrets: &'a Secrets, now: Stamp) -> Sending<'a> {
        Box::pin(self.deliver(request, secrets, now))
    }
}

impl Nats {
    /// A wire by the options `url` (`nats://host[:4222]` or `tls://…`), `tls`, `token`, `user`, `password`,
    /// `nkey`, `creds`, `ca`, `client_certificate`, `client_key`.
    ///
    /// # Errors
    /// A sentence naming the option that cannot be used.
    pub fn new(options: &Options, timeout: Duration) -> Result<Self, String> {
        let address = Self::address(options)?;
        let never = options.text("tls") == "never";
        let secure = address.scheme == "tls" || options.text("tls") == "required";
        let tls = Configs::new(options);
        if secure || !options.text("ca").is_empty() {
            tls.get(&Secrets::read(options)?)?;
        }
        let (open, options, idle) = (address.here || never, options.clone(), RefCell::new(None));
        Ok(Self { address, secure, open, options, timeout, tls, idle })
    }

    /// Where the server is.
    ///
    /// # Errors
    /// A sentence when the option `url` is no such address.
    pub fn address(options: &Options) -> Result<Endpoint, String> {
        let text = options.text("url");
        let wrong = || format!("url '{text}': write nats://host:4222 or tls://host:4222");
        let address = Endpoint::parse(text).ok_or_else(wrong)?;
        match address.scheme.as_str() {
            "tls" if options.text("tls") == "never" => {
                Err("tls:// with tls = \"never\" contradict each other".to_owned())
            }
            "nats" | "tls" => Ok(address),
            _ => Err(wrong()),
        }
    }

    async fn deliver(&self, request: &Request, secrets: &Secrets, now: Stamp) -> Result<Reply, Failure> {
        let (results, written) = (Results::default(), RefCell::new(0));
        let work = self.converse(request, secrets, now, &results, &written);
        let end = tokio::time::timeout(self.timeout, work).await;
        let end = end.unwrap_or_else(|_| {
            Err(End::Broken(format!("no answer within {} s", self.timeout.as_secs_f64())))
        });
        match end {
            Ok(body) => Ok(reply(200, &body)),
            Err(End::Reply(status, why)) => Ok(reply(status, &json!({"detail": clip(&why, 300)}))),
            Err(End::Broken(why)) if *written.borrow() == 0 => {
                Err(Failure { sent: false, reason: clip(&why, 300) })
            }
            Err(End::Broken(why)) => {
                let mut results = results.into_inner();
                if !results.values().any(|(status, _)| *status != "unknown") {
                    return Err(Failure { sent: true, reason: clip(&why, 300) });
                }
                for at in 0..*written.borrow() {
                    results.entry(at).or_insert_with(|| ("unknown", clip(&why, 300)));
                }
                Ok(reply(200, &told(request, &results)))
            }
        }
    }

    async fn converse(
        &self,
        request: &Request,
        secrets: &Secrets,
        now: Stamp,
        results: &Results,
        written: &RefCell<usize>,
    ) -> Result<Json, End> {
        let mut live = self.live(secrets, now).await?;
        let body = match request.is_write() && request.header(READING).is_none() {
            true => {
                live.publish(request, results, written).await?;
                told(request, &results.borrow())
            }
            false => live.look(request).await?,
        };
        *self.idle.borrow_mut() = Some((live, now));
        Ok(body)
    }

    /// The connection from before when it still answers, or a new one.
    async fn live(&self, secrets: &Secrets, now: Stamp) -> Result<Live, End> {
        let held = self.idle.borrow_mut().take();
        let idle = i64::try_from(IDLE.as_nanos()).unwrap_or(i64::MAX);
        if let Some((mut live, _)) = held.filter(|(_, at)| (0..idle).contains(&now.0.saturating_sub(at.0)))
            && live.ping().await.is_ok()
        {
            return Ok(live);
        }
        self.open(secrets).await
    }

    async fn open(&self, secrets: &Secrets) -> Result<Live, End> {
        let host = &self.address.host;
        let port = self.address.port.unwrap_or(4222);
        let limit = (self.timeout / 2).min(CONNECT);
        let opening = async {
            let mut tcp = connect(host, port).await.map_err(End::Broken)?;
            let info = greeting(&mut tcp).await?;
            Ok::<_, End>((tcp, info))
        };
        let opened = tokio::time::timeout(limit, opening).await;
        let (tcp, info) =
            opened.map_err(|_| End::Broken(format!("cannot connect to {host}:{port}: no answer")))??;
        let asked = info["tls_required"] == true;
        let bare = ["token", "password"].iter().any(|option| secrets.get(option).is_some());
        let mut connection = match (self.secure || asked, self.options.text("tls")) {
            (true, "never") => {
                return Err(End::Reply(403, "the server wants TLS, and tls says \"never\"".to_owned()));
            }
            (true, _) => {
                let config = self.tls.get(secrets).map_err(End::Broken)?;
                Connection::new(Box::new(secure(tcp, host, config).await.map_err(End::Broken)?))
            }
            (false, _) if bare && !self.open => {
                let why =
                    "a token or password does not travel in the clear: use tls://, or say tls = \"never\"";
                return Err(End::Reply(403, why.to_owned()));
            }
            (false, _) => Connection::new(Box::new(tcp)),
        };
        let hello = self.hello(secrets, &info)?;
        let inbox = format!("_INBOX.{}", random()?);
        let words = format!("CONNECT {hello}\r\nSUB {inbox}.* 1\r\n");
        connection.write(words.as_bytes()).await?;
        let max_payload = info["max_payload"].as_u64().and_then(|n| usize::try_from(n).ok());
        let mut live = Live { connection, inbox, max_payload: max_payload.unwrap_or(1 << 20), asked: 0 };
        live.ping().await?;
        Ok(live)
    }

    /// What CONNECT says.
    fn hello(&self, secrets: &Secrets, info: &Json) -> Result<Json, End> {
        let mut hello = json!({
            "verbose": false, "pedantic": false, "headers": true, "no_responders": true, "protocol": 1,
            "lang": "sexton", "version": env!("CARGO_PKG_VERSION"), "name": "sexton",
        });
        let nonce = info["nonce"].as_str().unwrap_or_default();
        let wrong = |option: &str, why: String| End::Reply(401, format!("{option} {why}"));
        if let Some(text) = secrets.get("creds") {
            let (jwt, key) = key::creds(text).map_err(|e| wrong("creds", e))?;
            (hello["jwt"], hello["sig"]) = (json!(jwt), json!(key.sign(nonce)));
        } else if let Some(seed) = secrets.get("nkey") {
            let key = key::Key::of_seed(seed).map_err(|e| wrong("nkey", e))?;
            (hello["nkey"], hello["sig"]) = (json!(key.public()), json!(key.sign(nonce)));
        } else if let Some(token) = secrets.get("token") {
            hello["auth_token"] = json!(token);
        } else if let Some(password) = secrets.get("password") {
            (hello["user"], hello["pass"]) = (json!(self.options.text("user")), json!(password));
        }
        Ok(hello)
    }
}

impl Live {
    /// Proves that the server listens to us; what it said before is past.
    async fn ping(&mut self) -> Result<(), End> {
        self.connection.write(b"PING\r\n").await?;
        loop {
            match self.connection.next().await? {
                Said::Pong => return Ok(()),
                Said::Error(why) => return Err(refusal(&why)),
                Said::Info(_) | Said::Message { .. } => {}
            }
        }
    }

    /// Publishes all and waits until each is acknowledged.
    async fn publish(
        &mut self,
        request: &Request,
        results: &Results,
        written: &RefCell<usize>,
    ) -> Result<(), End> {
        let messages = messages(request);
        let (base, mut bytes) = (self.asked, Vec::new());
        for (at, message) in messages.iter().enumerate() {
            let data = message["data"].to_string();
            let (subject, id) = (text(message, "subject"), text(message, "id"));
            if data.len() + id.len() + 64 > self.max_payload {
                let why =
                    format!("{} bytes are more than the server takes ({})", data.len(), self.max_payload);
                results.borrow_mut().insert(at, ("refused", why));
                continue;
            }
            let answer = format!("{}.{}", self.inbox, base + at as u64);
            bytes.extend(publish(subject, &answer, id, data.as_bytes()));
        }
        self.asked += messages.len() as u64;
        *written.borrow_mut() = messages.len();
        self.connection.write(&bytes).await?;
        while results.borrow().len() < messages.len() {
            match self.connection.next().await? {
                Said::Message { subject, status, payload } => {
                    let number = subject.rsplit('.').next().and_then(|n| n.parse::<u64>().ok());
                    let at = number.and_then(|n| usize::try_from(n.checked_sub(base)?).ok());
                    let Some(at) = at.filter(|at| *at < messages.len()) else { continue };
                    let subject = text(&messages[at], "subject");
                    results.borrow_mut().insert(at, acknowledged(status, &payload, subject));
                }
                Said::Error(why) if why.starts_with("Permissions Violation") => {
                    let mut results = results.borrow_mut();
                    for (at, message) in messages.iter().enumerate() {
                        if why.contains(&format!("\"{}\"", text(message, "subject"))) {
                            results.entry(at).or_insert_with(|| ("denied", clip(&why, 200)));
                        }
                    }
                }
                Said::Error(why) => return Err(End::Broken(why)),
                Said::Info(_) | Said::Pong => {}
            }
        }
        Ok(())
    }

    /// Which stream takes each subject, and how long it remembers ids.
    async fn look(&mut self, request: &Request) -> Result<Json, End> {
        let mut rows = Vec::new();
        for subject in request.json_body()["subjects"].as_array().into_iter().flatten() {
            let names = self.ask("$JS.API.STREAM.NAMES", &json!({ "subject": subject })).await?;
            let stream = names["streams"][0].as_str();
            let window = match stream {
                Some(stream) => {
                    let info = self.ask(&format!("$JS.API.STREAM.INFO.{stream}"), &Json::Null).await?;
                    info["config"]["duplicate_window"].as_i64()
                }
                None => None,
            };
            rows.push(json!({"subject": subject, "stream": stream, "window": window}));
        }
        Ok(json!({ "streams": rows }))
    }

    /// One question to the JetStream API.
    async fn ask(&mut self, subject: &str, body: &Json) -> Result<Json, End> {
        let payload = if body.is_null() { String::new() } else { body.to_string() };
        let answer = format!("{}.{}", self.inbox, self.asked);
        self.asked += 1;
        let line = format!("PUB {subject} {answer} {}\r\n{payload}\r\n", payload.len());
        self.connection.write(line.as_bytes()).await?;
        loop {
            match self.connection.next().await? {
                Said::Message { subject, status, payload } if subject == answer => {
                    if status == Some(503) {
                        return Err(End::Reply(403, "JetStream is not enabled for this account".to_owned()));
                    }
                    return Ok(serde_json::from_slice(&payload).unwrap_or(Json::Null));
                }
                // A user who may only publish is good enough: the first message will show.
                Said::Error(why) if why.starts_with("Permissions Violation") => {
                    return Err(End::Reply(404, why));
                }
                Said::Error(why) => return Err(refusal(&why)),
                Said::Message { .. } | Said::Info(_) | Said::Pong => {}
            }
        }
    }
}

/// The server's INFO, and not a byte more: TLS may begin behind it.
async fn greeting(tcp: &mut TcpStream) -> Result<Json, End> {
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        if line.len() > LINE_BYTES {
            return Err(End::Broken("the server says a line without an end".to_owned()));
        }
        line.push(tcp.read_u8().await?);
    }
    let line = String::from_utf8_lossy(&line);
    let info = line.trim().strip_prefix("INFO ").and_then(|json| serde_json::from_str(json).ok());
    info.ok_or_else(|| End::Broken("what the server says is no NATS".to_owned()))
}

/// What an answer to a message means.
fn acknowledged(status: Option<u16>, payload: &[u8], subject: &str) -> (&'static str, String) {
    if status == Some(503) {
        return ("missing", format!("no stream takes {subject}: create one with this subject"));
    }
    let json: Json = serde_json::from_slice(payload).unwrap_or(Json::Null);
    let error = &json["error"];
    let why = || {
        let told = error["description"].as_str().unwrap_or("the stream's answer is not understood");
        clip(told, 200)
    };
    match (json["stream"].as_str(), error["err_code"].as_u64(), error["code"].as_u64()) {
        (Some(stream), _, _) if error.is_null() => {
            let place = format!("{stream}/{}", json["seq"]);
            (if json["duplicate"] == true { "duplicate" } else { "stored" }, place)
        }
        // Larger than the stream takes.
        (_, Some(10054), _) => ("refused", why()),
        (_, _, Some(503 | 500 | 408)) => ("later", why()),
        (_, _, Some(_)) => ("denied", why()),
        _ => ("unknown", why()),
    }
}

/// The server does not want us.
fn refusal(why: &str) -> End {
    let lower = why.to_ascii_lowercase();
    let login = ["authorization", "authentication", "account"].iter().any(|w| lower.contains(w));
    if login { End::Reply(401, why.to_owned()) } else { End::Reply(503, why.to_owned()) }
}

fn messages(request: &Request) -> &[Json] {
    request.json_body()["messages"].as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(message: &'a Json, key: &str) -> &'a str {
    message[key].as_str().unwrap_or_default()
}

fn told(request: &Request, results: &BTreeMap<usize, (&'static str, String)>) -> Json {
    let row = |(at, message): (usize, &Json)| {
        let (status, reason) = results.get(&at).cloned().unwrap_or(("unknown", String::new()));
        json!({"id": message["id"], "status": status, "reason": reason})
    };
    let rows: Vec<Json> = messages(request).iter().enumerate().map(row).collect();
    json!({ "results": rows })
}

fn reply(status: u16, body: &Json) -> Reply {
    Reply { status, body: body.to_string().into_bytes(), ..Reply::default() }
}

/// A name for answers that nobody else listens to.
fn random() -> Result<String, End> {
    let mut bytes = [0; 16];
    let filled = ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes);
    filled.map_err(|_| End::Broken("the system gives no random bytes".to_owned()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
