//! An HTTP server on loopback with a fault layer in front of a product's behaviour.
//!
//! It runs on a thread of its own, so that what a dying host has sent is carried out all the same. Faults
//! come from a seeded script; requests are answered by the [`Desk`] under a lock, one after the other. What
//! is late is late by its clock however busy the machine is: it is carried out before what comes after its
//! time, and no request is made late whose client had given up before it was read.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::{Answer, Ask, Desk, Dice};

/// What the layer does with a request instead of passing it on and the answer back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Closes without an answer, nothing carried out.
    CutBefore,
    /// Closes without an answer after it was carried out.
    CutAfter,
    /// Closes without an answer and carries it out only then, after so many milliseconds.
    Late(u64),
    /// Answers with that status; carried out or not.
    Status(u16, bool),
    /// Answers 429 with a `Retry-After` of one second, as seconds or as a date.
    Throttled { date: bool },
    /// Answers after so many milliseconds.
    Slow(u64),
    /// Carries it out and never answers.
    Stall,
    /// A proxy sends the browser elsewhere, nothing carried out.
    Redirect,
    /// A proxy answers 200 with a page of its own; carried out or not.
    Garbage(bool),
    /// The answer breaks off in the middle.
    Truncated,
    /// The answer has no end.
    Huge,
    /// This request and so many after it are answered with 401.
    Unauthorized(u32),
}

/// How often which faults come.
pub struct Script {
    dice: Dice,
    /// Faults in a thousand requests that read; of those that write it is four times as many.
    pub per_mille: u64,
    unauthorized: u32,
    /// Faults of the next requests that write, whatever the dice say.
    pub next: Vec<Fault>,
}

impl Script {
    fn draw(&mut self, write: bool) -> Option<Fault> {
        if self.unauthorized > 0 {
            self.unauthorized -= 1;
            return Some(Fault::Status(401, false));
        }
        let scripted = write && !self.next.is_empty();
        let fault = if scripted { self.next.remove(0) } else { self.roll(write)? };
        if let Fault::Unauthorized(more) = fault {
            self.unauthorized = more;
            return Some(Fault::Status(401, false));
        }
        Some(fault)
    }

    fn roll(&mut self, write: bool) -> Option<Fault> {
        let per_mille = if write { 4 * self.per_mille } else { self.per_mille };
        if !self.dice.chance(per_mille) {
            return None;
        }
        let dice = &mut self.dice;
        let late = 100 + dice.below(700);
        let carried = dice.below(2) == 0;
        Some(match dice.below(100) {
            0..=9 => Fault::CutBefore,
            10..=31 => Fault::CutAfter,
            32..=43 => Fault::Late(late),
            44..=52 => Fault::Status(500, carried),
            53..=61 => Fault::Status(502, carried),
            62..=66 => Fault::Status(503, false),
            67..=69 => Fault::Status(429, false),
            70 => Fault::Throttled { date: carried },
            71..=76 => Fault::Slow(late / 3),
            77 => Fault::Stall,
            78..=79 => Fault::Redirect,
            80..=87 => Fault::Garbage(carried),
            88..=92 => Fault::Truncated,
            93..=95 => Fault::Huge,
            _ => Fault::Unauthorized(late as u32 % 4),
        })
    }
}

struct Shared<D> {
    desk: Mutex<D>,
    script: Mutex<Script>,
    log: Mutex<Vec<String>>,
    began: Instant,
    /// Requests that are carried out late, by their time.
    late: Mutex<BTreeMap<(Instant, u64), Ask>>,
}

/// A running server; ends when dropped.
pub struct Server<D> {
    /// Its address, `http://127.0.0.1:port`.
    pub url: String,
    shared: Arc<Shared<D>>,
    _stop: oneshot::Sender<()>,
}

impl<D: Desk> Server<D> {
    /// Starts one with that state, without faults.
    pub fn start(desk: D, seed: u64) -> Self {
        let script = Script { dice: Dice(seed), per_mille: 0, unauthorized: 0, next: Vec::new() };
        let shared = Arc::new(Shared {
            desk: Mutex::new(desk),
            script: Mutex::new(script),
            log: Mutex::new(Vec::new()),
            began: Instant::now(),
            late: Mutex::new(BTreeMap::new()),
        });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        let inside = Arc::clone(&shared);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::select! {
                    () = accept(TcpListener::from_std(listener).unwrap(), inside) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { url, shared, _stop: stop }
    }

    /// The product's state.
    pub fn desk(&self) -> MutexGuard<'_, D> {
        self.shared.desk.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// The faults to come.
    pub fn script(&self) -> MutexGuard<'_, Script> {
        self.shared.script.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// How many requests have come.
    pub fn requests(&self) -> usize {
        self.shared.log.lock().unwrap().len()
    }

    /// The last requests, one line each.
    pub fn log(&self, lines: usize) -> Vec<String> {
        let log = self.shared.log.lock().unwrap_or_else(|e| e.into_inner());
        log[log.len().saturating_sub(lines)..].to_vec()
    }
}

async fn accept<D: Desk>(listener: TcpListener, shared: Arc<Shared<D>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let _ = serve(stream, shared).await;
        });
    }
}

impl<D: Desk> Shared<D> {
    fn carry_out(&self, mut ask: Ask) -> Answer {
        let mut desk = self.catch_up();
        ask.at = self.began.elapsed();
        desk.handle(&ask)
    }

    /// Carries out what is overdue.
    fn catch_up(&self) -> MutexGuard<'_, D> {
        let mut desk = self.desk.lock().unwrap_or_else(|e| e.into_inner());
        let mut late = self.late.lock().unwrap_or_else(|e| e.into_inner());
        let now = Instant::now();
        while let Some(first) = late.first_entry().filter(|first| first.key().0 <= now) {
            let mut ask = first.remove();
            ask.at = self.began.elapsed();
            desk.handle(&ask);
        }
        drop(late);
        desk
    }

    fn keep_for_later(&self, ask: Ask, at: Instant) {
        let mut late = self.late.lock().unwrap_or_else(|e| e.into_inner());
        let number = (0..).find(|n| !late.contains_key(&(at, *n))).expect("there are more numbers");
        late.insert((at, number), ask);
    }

    fn note(&self, ask: &Ask, fault: Option<Fault>, status: u16) {
        let query: Vec<String> = ask.query.iter().map(|(n, v)| format!("{n}={v}")).collect();
        let body: String = String::from_utf8_lossy(&ask.body).chars().take(300).collect();
        let fault = fault.map_or(String::new(), |f| format!(" [{f:?}]"));
        let at = self.began.elapsed().as_millis();
        let line =
            format!("{at:>6} {} {}?{} {body} -> {status}{fault}", ask.method, ask.path, query.join("&"));
        self.log.lock().unwrap().push(line);
    }
}

async fn serve<D: Desk>(mut stream: TcpStream, shared: Arc<Shared<D>>) -> std::io::Result<()> {
    let mut rest = Vec::new();
    loop {
        let Some(ask) = request(&mut stream, &mut rest).await? else { return Ok(()) };
        let drawn = shared.script.lock().unwrap().draw(ask.method != "GET");
        let fault = match drawn {
            Some(Fault::Late(_)) if has_given_up(&stream).await => Some(Fault::CutBefore),
            other => other,
        };
        let carried = !matches!(
            fault,
            Some(
                Fault::CutBefore
                    | Fault::Late(_)
                    | Fault::Status(_, false)
                    | Fault::Throttled { .. }
                    | Fault::Redirect
                    | Fault::Garbage(false)
            )
        );
        let answer = carried.then(|| shared.carry_out(ask.clone()));
        shared.note(&ask, fault, answer.as_ref().map_or(0, |a| a.status));
        let page = |status| Answer::text(status, "<html><body>The proxy is sorry</body></html>");
        let answer = answer.unwrap_or_else(|| page(502));
        let answer = match fault {
            None => answer,
            Some(Fault::CutBefore | Fault::CutAfter) => return Ok(()),
            Some(Fault::Late(wait)) => {
                let at = Instant::now() + Duration::from_millis(wait);
                shared.keep_for_later(ask, at);
                drop(stream);
                tokio::time::sleep_until(at.into()).await;
                drop(shared.catch_up());
                return Ok(());
            }
            Some(Fault::Status(401, _)) => Answer::json(401, json!({ "error": "who are you?" })),
            Some(Fault::Status(status, _)) => page(status),
            Some(Fault::Throttled { date: false }) => page(429).with("Retry-After", "1"),
            Some(Fault::Throttled { date: true }) => page(429)
                .with("Date", "Sun, 22 Nov 2026 16:00:00 GMT")
                .with("Retry-After", "Sun, 22 Nov 2026 16:00:01 GMT"),
            Some(Fault::Slow(wait)) => {
                tokio::time::sleep(Duration::from_millis(wait)).await;
                answer
            }
            Some(Fault::Stall) => std::future::pending().await,
            Some(Fault::Redirect) => page(302).with("Location", "https://login.example/"),
            Some(Fault::Garbage(_)) => page(200),
            Some(Fault::Truncated) => {
                stream.write_all(head(&answer, answer.body.len() + 100).as_bytes()).await?;
                stream.write_all(&answer.body[..answer.body.len() / 2]).await?;
                return Ok(());
            }
            Some(Fault::Huge) => {
                stream.write_all(head(&answer, usize::MAX / 2).as_bytes()).await?;
                loop {
                    stream.write_all(&[b' '; 65536]).await?;
                }
            }
            Some(Fault::Unauthorized(_)) => unreachable!("drawn as a status"),
        };
        stream.write_all(head(&answer, answer.body.len()).as_bytes()).await?;
        stream.write_all(&answer.body).await?;
    }
}

/// The client has closed the connection: while the server was kept from reading it may have repeated its
/// request.
async fn has_given_up(stream: &TcpStream) -> bool {
    let look = tokio::time::timeout(Duration::from_millis(1), stream.peek(&mut [0])).await;
    matches!(look, Ok(Ok(0) | Err(_)))
}

fn head(answer: &Answer, length: usize) -> String {
    let headers: String = answer.headers.iter().map(|(n, v)| format!("{n}: {v}\r\n")).collect();
    format!("HTTP/1.1 {} X\r\n{headers}content-length: {length}\r\n\r\n", answer.status)
}

async fn request(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> std::io::Result<Option<Ask>> {
    loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let ask = parse(&String::from_utf8_lossy(&bytes[..end]));
            let length: usize = ask.header("content-length").parse().unwrap_or(0);
            if bytes.len() >= end + 4 + length {
                let body = bytes[end + 4..end + 4 + length].to_vec();
                bytes.drain(..end + 4 + length);
                return Ok(Some(Ask { body, ..ask }));
            }
        }
        let mut piece = [0; 16384];
        let n = stream.read(&mut piece).await?;
        if n == 0 {
            return Ok(None);
        }
        bytes.extend_from_slice(&piece[..n]);
    }
}

fn parse(head: &str) -> Ask {
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or("").split(' ');
    let method = first.next().unwrap_or("").to_owned();
    let target = first.next().unwrap_or("");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers: BTreeMap<String, String> = lines
        .filter_map(|l| l.split_once(':'))
        .map(|(n, v)| (n.trim().to_lowercase(), v.trim().to_owned()))
        .collect();
    Ask { at: Duration::ZERO, method, path: decode(path), query: pairs(query), headers, body: Vec::new() }
}

/// The pairs of a query or form, decoded.
pub fn pairs(text: &str) -> Vec<(String, String)> {
    let pair = |p: &str| {
        let (name, value) = p.split_once('=').unwrap_or((p, ""));
        (decode(&name.replace('+', " ")), decode(&value.replace('+', " ")))
    };
    text.split('&').filter(|p| !p.is_empty()).map(pair).collect()
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut i) = (Vec::new(), 0);
    while i < bytes.len() {
        let hex = (bytes[i] == b'%').then(|| text.get(i + 1..i + 3)).flatten();
        match hex.and_then(|h| u8::from_str_radix(h, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                i += 3;
            }
            None => {
                out.push(bytes[i]);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
