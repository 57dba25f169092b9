//! The client protocol of NATS over any stream, as far as a publisher needs it.
//!
//! ```text
//! server → INFO {json}   MSG/HMSG subject sid [reply] [headers] bytes   PING   PONG   +OK   -ERR 'why'
//! client → CONNECT {json}   SUB subject sid   PUB/HPUB subject reply [headers] bytes   PING   PONG
//! ```
//! Everything read is bounded: a line by [`LINE_BYTES`], a message by [`MESSAGE_BYTES`].

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The most bytes of a line; INFO names every server of a cluster.
pub const LINE_BYTES: usize = 64 * 1024;
/// The most bytes of a message that is read: acknowledgements and answers of the JetStream API.
pub const MESSAGE_BYTES: usize = 1024 * 1024;

/// What a connection is made of.
pub trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// What the server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// Itself, as JSON.
    Info(String),
    /// A message on a subject: status of its headers (503: nobody listens), and its bytes.
    Message {
        /// Subject.
        subject: String,
        /// Status in its headers.
        status: Option<u16>,
        /// The payload.
        payload: Vec<u8>,
    },
    /// It answers a ping.
    Pong,
    /// It refuses something.
    Error(String),
}

/// A connection with what was read ahead.
pub struct Connection {
    stream: Box<dyn Stream>,
    ahead: Vec<u8>,
}

impl Connection {
    /// Over that stream.
    pub fn new(stream: Box<dyn Stream>) -> Self {
        Self { stream, ahead: Vec::new() }
    }

    /// Writes.
    ///
    /// # Errors
    /// The stream's.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// The next thing the server says; its pings are answered here.
    ///
    /// # Errors
    /// The stream's, its end, and anything that is no NATS.
    pub async fn next(&mut self) -> io::Result<Said> {
        loop {
            let line = self.line().await?;
            let (verb, rest) = line.split_once([' ', '\t']).unwrap_or((&line, ""));
            match verb.to_ascii_uppercase().as_str() {
                "INFO" => return Ok(Said::Info(rest.to_owned())),
                "PING" => self.write(b"PONG\r\n").await?,
                "PONG" => return Ok(Said::Pong),
                "+OK" => {}
                "-ERR" => return Ok(Said::Error(rest.trim().trim_matches('\'').to_owned())),
                "MSG" | "HMSG" => return self.message(verb.eq_ignore_ascii_case("HMSG"), rest).await,
                _ => return Err(odd("what the server says is no NATS")),
            }
        }
    }

    async fn message(&mut self, headed: bool, words: &str) -> io::Result<Said> {
        let words: Vec<&str> = words.split_whitespace().collect();
        let number = |back: usize| {
            let word = words.len().checked_sub(back).and_then(|at| words.get(at));
            word.and_then(|w| w.parse::<usize>().ok()).filter(|n| *n <= MESSAGE_BYTES)
        };
        let (Some(total), Some(subject)) = (number(1), words.first()) else {
            return Err(odd("a message without a length, or too long"));
        };
        let head = if headed { number(2).ok_or_else(|| odd("headers without a length"))? } else { 0 };
        let (subject, mut bytes) = ((*subject).to_owned(), self.take(total + 2).await?);
        bytes.truncate(total);
        if head > total {
            return Err(odd("headers longer than their message"));
        }
        let payload = bytes.split_off(head);
        // `NATS/1.0 503 …`
        let first = String::from_utf8_lossy(&bytes).lines().next().unwrap_or_default().to_owned();
        let status = first.split_whitespace().nth(1).and_then(|s| s.parse().ok());
        Ok(Said::Message { subject, status, payload })
    }

    async fn line(&mut self) -> io::Result<String> {
        let mut seen = 0;
        loop {
            if let Some(at) = self.ahead[seen..].iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.ahead.drain(..=seen + at).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned());
            }
            seen = self.ahead.len();
            if seen > LINE_BYTES {
                return Err(odd("the server says a line without an end"));
            }
            self.more().await?;
        }
    }

    async fn take(&mut self, bytes: usize) -> io::Result<Vec<u8>> {
        while self.ahead.len() < bytes {
            self.more().await?;
        }
        Ok(self.ahead.drain(..bytes).collect())
    }

    async fn more(&mut self) -> io::Result<()> {
        let mut piece = [0; 8192];
        let n = self.stream.read(&mut piece).await?;
        if n == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection"));
        }
        self.ahead.extend_from_slice(&piece[..n]);
        Ok(())
    }
}

fn odd(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// A message with a header that names it.
pub fn publish(subject: &str, reply: &str, id: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("NATS/1.0\r\nNats-Msg-Id: {id}\r\n\r\n");
    let line = format!("HPUB {subject} {reply} {} {}\r\n", head.len(), head.len() + payload.len());
    [line.as_bytes(), head.as_bytes(), payload, b"\r\n"].concat()
}

/// A subject's part that names something: no dots, blanks and wildcards.
pub fn token(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    let token: String = name.chars().map(|c| if plain(c) { c } else { '-' }).collect();
    if token.is_empty() { "-".to_owned() } else { token }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8]) -> Vec<Result<Said, String>> {
        let (near, mut far) = tokio::io::duplex(1 << 20);
        far.write_all(bytes).await.unwrap();
        // Its writing half stays open, so that pings can be answered; the reading half ends here.
        let mut connection = Connection::new(Box::new(near));
        far.shutdown().await.unwrap();
        let mut said = Vec::new();
        loop {
            let next = connection.next().await.map_err(|e| e.to_string());
            let over = next.is_err();
            said.push(next);
            if over {
                return said;
            }
        }
    }

    #[test]
    fn what_a_server_says_is_understood_or_refused() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let message = |subject: &str, status, payload: &[u8]| {
            Ok(Said::Message { subject: subject.to_owned(), status, payload: payload.to_vec() })
        };
        let long = format!("INFO {}", "x".repeat(2 * LINE_BYTES));
        let cases: Vec<(&str, Vec<Result<Said, &str>>)> = vec![
            ("INFO {\"a\":1}\r\n", vec![Ok(Said::Info("{\"a\":1}".into()))]),
            ("PING\r\n+OK\r\nPONG\r\n", vec![Ok(Said::Pong)]),
            ("-ERR 'Authorization Violation'\r\n", vec![Ok(Said::Error("Authorization Violation".into()))]),
            ("MSG a.b 1 5\r\nhello\r\n", vec![message("a.b", None, b"hello")]),
            ("msg a.b 1 reply.to 2\r\n\r\n\r\nPONG\r\n", vec![message("a.b", None, b"\r\n"), Ok(Said::Pong)]),
            ("HMSG a 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n", vec![message("a", Some(503), b"")]),
            ("HMSG a 1 12 14\r\nNATS/1.0\r\n\r\n{}\r\n", vec![message("a", None, b"{}")]),
            ("MSG a 1 99999999\r\n", vec![Err("too long")]),
            ("MSG a 1 -1\r\n", vec![Err("without a length")]),
            ("MSG\r\n", vec![Err("without a length")]),
            ("HMSG a 1 20 10\r\n0123456789\r\n", vec![Err("longer than their message")]),
            ("HTTP/1.1 400 Bad Request\r\n", vec![Err("no NATS")]),
            ("MSG a 1 5\r\nhel", vec![Err("closed")]),
            (&long, vec![Err("without an end")]),
        ];
        for (bytes, wanted) in cases {
            let said = runtime.block_on(read(bytes.as_bytes()));
            for (at, wanted) in wanted.iter().enumerate() {
                match (&said[at], wanted) {
                    (Ok(got), Ok(wanted)) => assert_eq!(got, wanted, "{bytes}"),
                    (Err(got), Err(wanted)) => assert!(got.contains(wanted), "{bytes}: {got}"),
                    (got, wanted) => panic!("{bytes}: {got:?}, not {wanted:?}"),
                }
            }
        }
    }

    #[test]
    fn a_message_carries_its_id_and_lengths() {
        let bytes = publish("a.b", "r", "id-1", b"{}");
        assert_eq!(bytes, b"HPUB a.b r 31 33\r\nNATS/1.0\r\nNats-Msg-Id: id-1\r\n\r\n{}\r\n");
        assert_eq!(token("web-01.example"), "web-01-example");
        assert_eq!(token("a >*\r\n"), "a-----");
        assert_eq!(token(""), "-");
    }
}
