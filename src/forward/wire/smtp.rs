//! SMTP (RFC 5321): one mail per request, each on a connection of its own.
//!
//! ```text
//! connect [TLS] 220 → EHLO [→ STARTTLS → TLS → EHLO] [→ AUTH] → MAIL → RCPT… → DATA → mail → 250 → QUIT
//! ```
//! A request names the envelope in its headers `mail-from`, `mail-to` (separated by commas) and `mail-helo`;
//! its body is the mail. A reading request goes as far as RCPT and takes it back, which proves name, TLS,
//! login, sender and recipients. Replies become HTTP statuses: 4yz 503, a refused mail 422 (too big: 413), a
//! refused login 401, a refused sender, recipient or connection 403, because that is no fault of the one
//! mail. A reply that never came counts as sent from the first byte of the mail on.
//!
//! Invariants: nothing but EHLO and STARTTLS goes in the clear, unless the server is this machine or the
//! option `tls` says `never`; what came in the clear is forgotten when TLS begins.

use std::cell::Cell;
use std::time::Duration;

use lettre::Address;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::ClientId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::CONNECT;
use super::stream::{Bounded, Endpoint, connect, secure};
use super::tls::Configs;
use super::{Sending, Wire};
use crate::engine::moment::Stamp;
use crate::engine::option::Options;
use crate::forward::connector::classify::clip;
use crate::forward::connector::{Body, Failure, Reply, Request};
use crate::forward::secrets::Secrets;

/// The most bytes of one reply. Not more, because the library begins at the first line of a reply again with
/// each further line.
pub const READ_BYTES: usize = 8 * 1024;
/// The most recipients of a mail.
pub const RECIPIENTS: usize = 100;
/// How long the farewell may take.
const QUIT: Duration = Duration::from_secs(1);

/// How the connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// TLS from the first byte.
    Implicit,
    /// STARTTLS, without which nothing is said.
    StartTls,
    /// None.
    None,
}

/// Where the mail server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Name or address.
    pub host: String,
    /// Port: 465 for implicit TLS, 25 on this machine, else 587.
    pub port: u16,
    /// How the connection is protected.
    pub protection: Protection,
}

impl Server {
    /// By the options `url` (`smtp://host[:port]` or `smtps://host[:port]`) and `tls`.
    ///
    /// # Errors
    /// A sentence when it is no such address, or a password would travel in the clear.
    pub fn of(options: &Options) -> Result<Self, String> {
        let text = options.text("url");
        let wrong = || format!("url '{text}': write smtp://host:port or smtps://host:port");
        let Endpoint { scheme, host, port, here } = Endpoint::parse(text).ok_or_else(wrong)?;
        let protection = match (scheme.as_str(), options.text("tls")) {
            ("smtps", "never") => {
                return Err("smtps:// with tls = \"never\" contradict each other".to_owned());
            }
            ("smtps", _) => Protection::Implicit,
            ("smtp", "never") => Protection::None,
            ("smtp", "required") => Protection::StartTls,
            ("smtp", _) if here => Protection::None,
            ("smtp", _) => Protection::StartTls,
            _ => return Err(wrong()),
        };
        if protection == Protection::None && !here && options.secret("password").is_some() {
            return Err("a password does not travel in the clear: leave tls at \"auto\"".to_owned());
        }
        let usual = match protection {
            Protection::Implicit => 465,
            _ if here => 25,
            _ => 587,
        };
        Ok(Self { port: port.unwrap_or(usual), host, protection })
    }
}

/// The mail server of one destination.
pub struct Smtp {
    server: Server,
    options: Options,
    timeout: Duration,
    tls: Configs,
}

/// Why a conversation ended early.
enum End {
    Reply(Reply),
    Unsent(String),
    /// The mail was on its way.
    Doubt(String),
}

/// What was said last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Greeting,
    Login,
    Sender,
    Recipient,
    Mail,
}

impl Wire for Smtp {
    fn send<'a>(&'a self, request: &'a Request, secrets: &'a Secrets, _now: Stamp) -> Sending<'a> {
        Box::pin(self.deliver(request, secrets))
    }
}

impl Smtp {
    /// A wire by the options `url`, `tls`, `user`, `password`, `ca`, `client_certificate`, `client_key`.
    ///
    /// # Errors
    /// A sentence naming the option that cannot be used.
    pub fn new(options: &Options, timeout: Duration) -> Result<Self, String> {
        let server = Server::of(options)?;
        let wire = Self { server, options: options.clone(), timeout, tls: Configs::new(options) };
        if wire.server.protection != Protection::None {
            wire.tls.get(&Secrets::read(options)?)?;
        }
        Ok(wire)
    }

    async fn deliver(&self, request: &Request, secrets: &Secrets) -> Result<Reply, Failure> {
        let written = Cell::new(false);
        let conversation =
            tokio::time::timeout(self.timeout, self.converse(request, secrets, &written)).await;
        let end = conversation.unwrap_or_else(|_| {
            let reason = format!("no end within {} s", self.timeout.as_secs_f64());
            Err(if written.get() { End::Doubt(reason) } else { End::Unsent(reason) })
        });
        match end {
            Ok((reply, mut connection)) => {
                // The mail is the server's now, whatever becomes of the farewell.
                let _ = tokio::time::timeout(QUIT, connection.quit()).await;
                Ok(reply)
            }
            Err(End::Reply(reply)) => Ok(reply),
            Err(End::Unsent(reason)) => Err(Failure { sent: false, reason: clip(&reason, 300) }),
            Err(End::Doubt(reason)) => Err(Failure { sent: true, reason: clip(&reason, 300) }),
        }
    }

    async fn converse(
        &self,
        request: &Request,
        secrets: &Secrets,
        written: &Cell<bool>,
    ) -> Result<(Reply, AsyncSmtpConnection), End> {
        let address = |text: &str| {
            text.trim().parse::<Address>().map_err(|e| End::Unsent(format!("'{}': {e}", clip(text, 80))))
        };
        let from = address(request.header("mail-from").unwrap_or_default())?;
        let to: Vec<Address> = request
            .header("mail-to")
            .unwrap_or_default()
            .split(',')
            .map(address)
            .collect::<Result<_, _>>()?;
        let mut connection = self.open(request, secrets).await?;
        let said = connection.command(Mail::new(Some(from), Vec::new())).await;
        said.map_err(|e| end(Step::Sender, &e))?;
        let mut refused = Vec::new();
        for to in to.iter().take(RECIPIENTS) {
            let said = connection.command(Rcpt::new(to.clone(), Vec::new())).await;
            match said.map_err(|e| end(Step::Recipient, &e)) {
                Ok(_) => {}
                Err(End::Reply(reply)) if reply.status == 403 => refused.push((to, reply)),
                Err(other) => return Err(other),
            }
        }
        let words =
            |(to, reply): &(&Address, Reply)| format!("{to}: {}", String::from_utf8_lossy(&reply.body));
        let told = refused.iter().map(words).collect::<Vec<_>>().join("; ");
        if refused.len() >= to.len().min(RECIPIENTS) {
            return Err(End::Reply(reply(403, &told)));
        }
        let mut good = match &request.body {
            Body::Text(mail) if request.is_write() => {
                let said = connection.command(Data).await;
                said.map_err(|e| end(Step::Mail, &e))?;
                written.set(true);
                let said = connection.message(mail.as_bytes()).await;
                let said = said.map_err(|e| match end(Step::Mail, &e) {
                    End::Unsent(reason) => End::Doubt(reason),
                    other => other,
                })?;
                reply(200, &said.message().collect::<Vec<_>>().join(" "))
            }
            _ => {
                let said = connection.command(Rset).await;
                said.map_err(|e| end(Step::Greeting, &e))?;
                reply(200, "")
            }
        };
        if !told.is_empty() {
            good.headers.insert("refused".to_owned(), clip(&told, 300));
        }
        Ok((good, connection))
    }

    /// A connection that is protected and logged in.
    async fn open(&self, request: &Request, secrets: &Secrets) -> Result<AsyncSmtpConnection, End> {
        let Server { host, port, protection } = &self.server;
        let helo = ClientId::Domain(domain(request.header("mail-helo").unwrap_or_default()));
        let limit = (self.timeout / 2).min(CONNECT);
        let tcp = tokio::time::timeout(limit, connect(host, *port)).await;
        let mut tcp = tcp
            .map_err(|_| End::Unsent(format!("cannot connect to {host}:{port}: no answer")))?
            .map_err(End::Unsent)?;
        let said = match protection {
            Protection::None => {
                let stream = Box::new(Bounded::new(tcp, READ_BYTES, b""));
                AsyncSmtpConnection::connect_with_transport(stream, &helo).await
            }
            Protection::Implicit => {
                let config = self.tls.get(secrets).map_err(End::Unsent)?;
                let stream = secure(tcp, host, config).await.map_err(End::Unsent)?;
                let stream = Box::new(Bounded::new(stream, READ_BYTES, b""));
                AsyncSmtpConnection::connect_with_transport(stream, &helo).await
            }
            Protection::StartTls => {
                start_tls(&mut tcp, &helo).await?;
                let config = self.tls.get(secrets).map_err(End::Unsent)?;
                let stream = secure(tcp, host, config).await.map_err(End::Unsent)?;
                // The server greets once, and has done so in the clear.
                let stream = Box::new(Bounded::new(stream, READ_BYTES, b"220 secured\r\n"));
                AsyncSmtpConnection::connect_with_transport(stream, &helo).await
            }
        };
        let mut connection = said.map_err(|e| end(Step::Greeting, &e))?;
        if let Some(password) = secrets.get("password") {
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            if connection.server_info().get_auth_mechanism(&mechanisms).is_none() {
                let why = format!("{host} offers no login by PLAIN or LOGIN");
                return Err(End::Reply(reply(401, &why)));
            }
            let credentials = Credentials::new(self.options.text("user").to_owned(), password.to_owned());
            let said = connection.auth(&mechanisms, &credentials).await;
            said.map_err(|e| end(Step::Login, &e))?;
        }
        Ok(connection)
    }
}

/// Everything before TLS: greeting, EHLO, STARTTLS.
async fn start_tls(tcp: &mut TcpStream, helo: &ClientId) -> Result<(), End> {
    let greeting = answer(tcp).await?;
    expect(&greeting, "220")?;
    command(tcp, &format!("EHLO {helo}\r\n")).await?;
    let offers = answer(tcp).await?;
    expect(&offers, "250")?;
    let offered = |line: &str| line.get(4..).is_some_and(|word| word.trim().eq_ignore_ascii_case("STARTTLS"));
    if !offers.lines().any(offered) {
        let why = "the server offers no STARTTLS: use smtps:// with its port, or say tls = \"never\"";
        return Err(End::Reply(reply(403, why)));
    }
    command(tcp, "STARTTLS\r\n").await?;
    let ready = answer(tcp).await?;
    expect(&ready, "220")
}

async fn command(tcp: &mut TcpStream, line: &str) -> Result<(), End> {
    tcp.write_all(line.as_bytes()).await.map_err(|e| End::Unsent(e.to_string()))
}

/// One reply of one or more lines, and nothing behind it: what comes early is none of ours (RFC 3207, 6).
async fn answer(tcp: &mut TcpStream) -> Result<String, End> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let n = tcp.read(&mut piece).await.map_err(|e| End::Unsent(e.to_string()))?;
        bytes.extend_from_slice(&piece[..n]);
        if n == 0 || bytes.len() > READ_BYTES {
            return Err(End::Unsent("the server broke off its answer, or says too much".to_owned()));
        }
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let is_last = |line: &&str| line.ends_with('\n') && line.as_bytes().get(3) != Some(&b'-');
        match lines.iter().position(is_last) {
            Some(at) if at + 1 == lines.len() => return Ok(text.into_owned()),
            Some(_) => return Err(End::Unsent("the server speaks out of turn before TLS".to_owned())),
            None => {}
        }
    }
}

fn expect(answer: &str, code: &str) -> Result<(), End> {
    if answer.starts_with(code) {
        return Ok(());
    }
    let status = if answer.starts_with('4') { 503 } else { 403 };
    Err(End::Reply(reply(status, answer)))
}

/// What an error of the library means at that step.
fn end(step: Step, error: &lettre::transport::smtp::Error) -> End {
    let text = error.to_string();
    match error.status() {
        Some(code) => End::Reply(reply(status(step, code.into()), &text)),
        None => End::Unsent(text),
    }
}

/// The HTTP status with the meaning of a reply code.
fn status(step: Step, code: u16) -> u16 {
    match (step, code) {
        (_, 0..=499) => 503,
        (Step::Login, _) | (_, 530 | 534 | 535 | 538) => 401,
        (_, 552) | (Step::Mail, 523) => 413,
        (_, 521) => 403,
        (Step::Mail, _) => 422,
        (Step::Greeting | Step::Sender | Step::Recipient, _) => 403,
    }
}

fn reply(status: u16, words: &str) -> Reply {
    Reply { status, body: clip(words, 1000).into_bytes(), ..Reply::default() }
}

/// A name for EHLO: letters, digits, dots and hyphens.
fn domain(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-".contains(c);
    if name.is_empty() || !name.chars().all(plain) { "localhost".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::engine::option::{OptionValue, SecretRef};

    fn options(url: &str, tls: &str, password: bool) -> Options {
        let mut map = BTreeMap::from([
            ("url".to_owned(), OptionValue::Text(url.to_owned())),
            ("tls".to_owned(), OptionValue::Text(tls.to_owned())),
        ]);
        if password {
            map.insert("password".to_owned(), OptionValue::Secret(SecretRef::Env("X".to_owned())));
        }
        Options(map)
    }

    #[test]
    fn nothing_goes_in_the_clear_by_default() {
        use Protection::{Implicit, None, StartTls};
        for (url, tls, wanted) in [
            ("smtp://mail.example", "auto", Ok((587, StartTls))),
            ("smtp://mail.example:25", "auto", Ok((25, StartTls))),
            ("smtps://mail.example", "auto", Ok((465, Implicit))),
            ("smtps://mail.example:4650/", "required", Ok((4650, Implicit))),
            ("smtp://localhost", "auto", Ok((25, None))),
            ("smtp://[::1]:2525", "auto", Ok((2525, None))),
            ("smtp://127.0.0.1:2525", "required", Ok((2525, StartTls))),
            ("smtp://mail.example:25", "never", Ok((25, None))),
            ("smtps://mail.example", "never", Err("contradict")),
            ("https://mail.example", "auto", Err("write smtp://")),
            ("mail.example:25", "auto", Err("write smtp://")),
            ("smtp://mail.example/inbox", "auto", Err("write smtp://")),
            ("smtp://u@mail.example", "auto", Err("write smtp://")),
        ] {
            match (Server::of(&options(url, tls, false)), wanted) {
                (Ok(got), Ok(wanted)) => assert_eq!((got.port, got.protection), wanted, "{url} {tls}"),
                (Err(got), Err(wanted)) => assert!(got.contains(wanted), "{url}: {got}"),
                (got, wanted) => panic!("{url} {tls}: {got:?}, not {wanted:?}"),
            }
        }
        assert!(Server::of(&options("smtp://mail.example:25", "never", true)).is_err());
        assert!(Server::of(&options("smtp://localhost:25", "never", true)).is_ok());
    }

    #[test]
    fn each_reply_has_its_meaning() {
        for (step, code, wanted) in [
            (Step::Greeting, 421, 503),
            (Step::Greeting, 554, 403),
            (Step::Login, 454, 503),
            (Step::Login, 535, 401),
            (Step::Login, 501, 401),
            (Step::Sender, 450, 503),
            (Step::Sender, 530, 401),
            (Step::Sender, 550, 403),
            (Step::Sender, 552, 413),
            (Step::Recipient, 451, 503),
            (Step::Recipient, 550, 403),
            (Step::Mail, 421, 503),
            (Step::Mail, 452, 503),
            (Step::Mail, 552, 413),
            (Step::Mail, 554, 422),
        ] {
            assert_eq!(status(step, code), wanted, "{step:?} {code}");
        }
    }
}
