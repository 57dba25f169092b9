//! A small HTTP server on loopback that can misbehave, and a desk when it behaves.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the server does with a request.
#[derive(Clone, Debug)]
pub enum Act {
    /// Takes the events as a desk does.
    Desk,
    /// Takes the events, then closes without an answer.
    DeskThenCut,
    /// Closes without an answer, nothing taken.
    Cut,
    /// Answers with this status, these headers and this body.
    Answer(u16, &'static str, String),
    /// Never answers.
    Stall,
    /// Sends a success whose body comes a byte at a time and never ends.
    Trickle,
    /// Sends a success whose body never ends.
    Flood,
    /// Sends bytes that are no HTTP.
    Garbage,
}

/// What the server saw and holds.
#[derive(Default)]
pub struct Seen {
    /// Head of each request, lower case.
    pub heads: Vec<String>,
    /// Events of each request.
    pub events: Vec<Vec<Json>>,
    /// Ids of all events taken, each once.
    pub taken: BTreeSet<String>,
    /// Ids that came again after they were taken.
    pub again: u32,
}

/// A running server.
pub struct Server {
    pub url: String,
    pub seen: Rc<RefCell<Seen>>,
}

impl Server {
    /// Starts one; `script` is asked for each request with its number from 0.
    pub async fn start(script: impl Fn(usize) -> Act + 'static) -> Self {
        Self::on("127.0.0.1:0", script).await
    }

    /// Starts one on that address.
    pub async fn on(address: &str, script: impl Fn(usize) -> Act + 'static) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Rc::new(RefCell::new(Seen::default()));
        let (inside, script) = (Rc::clone(&seen), Rc::new(script));
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, script) = (Rc::clone(&inside), Rc::clone(&script));
                tokio::task::spawn_local(async move {
                    let _ = serve(stream, &seen, &*script).await;
                });
            }
        });
        Self { url, seen }
    }

    /// How many requests have come.
    pub fn requests(&self) -> usize {
        self.seen.borrow().heads.len()
    }
}

async fn serve(
    mut stream: TcpStream,
    seen: &RefCell<Seen>,
    script: &dyn Fn(usize) -> Act,
) -> std::io::Result<()> {
    loop {
        let Some((head, body)) = request(&mut stream).await? else { return Ok(()) };
        let events = body.as_array().cloned().unwrap_or_default();
        let number = {
            let mut seen = seen.borrow_mut();
            seen.heads.push(head);
            seen.events.push(events.clone());
            seen.heads.len() - 1
        };
        let text = match script(number) {
            Act::Desk => answer(200, "", &take(seen, &events)),
            Act::DeskThenCut => {
                take(seen, &events);
                return Ok(());
            }
            Act::Cut => return Ok(()),
            Act::Answer(status, headers, body) => answer(status, headers, &body),
            Act::Stall => std::future::pending().await,
            Act::Garbage => "\u{1}\u{2} what? \r\n\r\n".repeat(9),
            Act::Trickle => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n").await?;
                loop {
                    stream.write_all(b" ").await?;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            Act::Flood => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9999999999\r\n\r\n").await?;
                loop {
                    stream.write_all(&[b' '; 65536]).await?;
                }
            }
        };
        stream.write_all(text.as_bytes()).await?;
    }
}

fn take(seen: &RefCell<Seen>, events: &[Json]) -> String {
    let mut seen = seen.borrow_mut();
    let mut results = Vec::new();
    for event in events {
        let id = event["id"].as_str().unwrap().to_owned();
        let fresh = seen.taken.insert(id.clone());
        seen.again += u32::from(!fresh);
        results.push(json!({"id": id, "status": if fresh { "stored" } else { "duplicate" }}));
    }
    json!({ "results": results }).to_string()
}

fn answer(status: u16, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}

async fn request(stream: &mut TcpStream) -> std::io::Result<Option<(String, Json)>> {
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0; 16384];
        let n = stream.read(&mut piece).await?;
        if n == 0 {
            return Ok(None);
        }
        bytes.extend_from_slice(&piece[..n]);
        let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let length = head.split("content-length: ").nth(1).and_then(|l| l.split("\r\n").next());
        let length: usize = length.and_then(|l| l.parse().ok()).unwrap_or(0);
        if bytes.len() >= end + 4 + length {
            return Ok(Some((head, serde_json::from_slice(&bytes[end + 4..]).unwrap_or(Json::Null))));
        }
    }
}
