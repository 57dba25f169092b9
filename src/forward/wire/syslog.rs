//! Syslog's ways to travel: TLS (RFC 5425), TCP (RFC 6587, octet counting), UDP (RFC 5426), the local socket.
//!
//! ```text
//! GET  /status   connects, with TLS where it belongs, and says nothing
//! POST /         ["<29>1 …", …]   the messages, in this order
//! ```
//! Syslog has no acknowledgement. By TLS and TCP there is one all the same: the messages go on a connection
//! of their own, of which we close our half; a receiver closes the other one only after it has read
//! everything. With `confirm = false` they count as stored once the system has taken them, as by UDP, where
//! more cannot be known.

use std::cell::Cell;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket, UnixDatagram, UnixStream, lookup_host};
use tokio_rustls::TlsConnector;

use super::tls::{Pem, config};
use super::{Sending, Wire};
use crate::engine::moment::Stamp;
use crate::engine::option::Options;
use crate::forward::connector::{Failure, Method, Reply, Request};
use crate::forward::secrets::Secrets;

/// The longest time to connect, TLS included.
const CONNECT: Duration = Duration::from_secs(10);
/// The most bytes that a receiver may say before it closes; syslog receivers say nothing.
const CHATTER: usize = 64 * 1024;

/// Where syslog goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `tls://host:6514`.
    Tls(String, u16),
    /// `tcp://host:601`.
    Tcp(String, u16),
    /// `udp://host:514`.
    Udp(String, u16),
    /// `unix:///dev/log`.
    Local(String),
}

impl Place {
    /// Reads an address; the ports are those assigned to each way.
    ///
    /// # Errors
    /// A sentence with the forms that there are.
    pub fn parse(url: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "'{url}' is no address: write tls://host:6514, tcp://host:601, udp://host:514 or unix:///dev/log"
            )
        };
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        if scheme == "unix" {
            return if rest.starts_with('/') { Ok(Self::Local(rest.to_owned())) } else { Err(wrong()) };
        }
        let rest = rest.trim_end_matches('/');
        let (host, port) = match rest.strip_prefix('[').and_then(|r| r.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or_else(wrong)?)),
            None => rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port))),
        };
        if host.is_empty() || host.contains(['/', '@', ' ']) {
            return Err(wrong());
        }
        let port = |usual: u16| port.map_or(Ok(usual), |p| p.parse().map_err(|_| wrong()));
        match scheme {
            "tls" => Ok(Self::Tls(host.to_owned(), port(6514)?)),
            "tcp" => Ok(Self::Tcp(host.to_owned(), port(601)?)),
            "udp" => Ok(Self::Udp(host.to_owned(), port(514)?)),
            _ => Err(wrong()),
        }
    }
}

/// The syslog receiver of one destination.
pub struct Syslog {
    place: Place,
    confirm: bool,
    options: Options,
    timeout: Duration,
}

impl Wire for Syslog {
    fn send<'a>(&'a self, request: &'a Request, secrets: &'a Secrets, _: Stamp) -> Sending<'a> {
        Box::pin(async move {
            // Nothing has left before the first byte of a message; from then on everything may have.
            let begun = Cell::new(false);
            let done = match tokio::time::timeout(self.timeout, self.deliver(request, secrets, &begun)).await
            {
                Ok(done) => done,
                Err(_) if begun.get() && self.confirm => {
                    Err("the receiver did not close the connection to confirm (see confirm)".to_owned())
                }
                Err(_) => Err("the receiver does not answer".to_owned()),
            };
            match done {
                Ok(()) => Ok(Reply { status: 200, ..Reply::default() }),
                Err(reason) => Err(Failure { sent: begun.get(), reason }),
            }
        })
    }
}

impl Syslog {
    /// By the options `url`, `confirm`, `ca`, `client_certificate` and `client_key`.
    ///
    /// # Errors
    /// A sentence naming the option that cannot be used.
    pub fn new(options: &Options, timeout: Duration) -> Result<Self, String> {
        let place = Place::parse(options.text("url"))?;
        let confirm = options.bool("confirm");
        let wire = Self { place, confirm, options: options.clone(), timeout };
        if matches!(wire.place, Place::Tls(..)) {
            config(&Pem::read(options, &Secrets::read(options)?)?)?;
        }
        Ok(wire)
    }

    async fn deliver(&self, request: &Request, secrets: &Secrets, begun: &Cell<bool>) -> Result<(), String> {
        let empty = Vec::new();
        let reading = request.method == Method::Get;
        let messages = request.json_body().as_array().unwrap_or(&empty);
        let messages: Vec<&str> = messages.iter().filter_map(|m| m.as_str()).collect();
        match &self.place {
            Place::Udp(host, port) => datagrams(host, *port, &messages, begun).await,
            Place::Local(path) => local(path, &messages, begun).await,
            Place::Tcp(host, port) => {
                let stream = connect(host, *port).await?;
                if reading { Ok(()) } else { self.stream(stream, &messages, begun).await }
            }
            Place::Tls(host, port) => {
                let tls = config(&Pem::read(&self.options, secrets)?)?;
                let name = ServerName::try_from(host.clone());
                let name = name.map_err(|_| format!("'{host}' is no name of a server"))?;
                let tcp = connect(host, *port).await?;
                let shake = tokio::time::timeout(CONNECT, TlsConnector::from(tls).connect(name, tcp)).await;
                let shaken = shake.map_err(|_| format!("no TLS with {host}: it does not answer"))?;
                let stream = shaken.map_err(|e| format!("no TLS with {host}: {e}"))?;
                if reading { Ok(()) } else { self.stream(stream, &messages, begun).await }
            }
        }
    }

    /// All messages, each with its length before it; then the confirmation.
    async fn stream<S>(&self, mut stream: S, messages: &[&str], begun: &Cell<bool>) -> Result<(), String>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let framed: String = messages.iter().map(|m| format!("{} {m}", m.len())).collect();
        begun.set(true);
        let broke = |e: io::Error| format!("the connection broke: {e}");
        stream.write_all(framed.as_bytes()).await.map_err(broke)?;
        stream.flush().await.map_err(broke)?;
        stream.shutdown().await.map_err(broke)?;
        if !self.confirm {
            return Ok(());
        }
        let (mut piece, mut heard) = ([0; 4096], 0);
        loop {
            match stream.read(&mut piece).await {
                Ok(0) => return Ok(()),
                Ok(n) => heard += n,
                // Closed without TLS's own farewell, as many receivers do.
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                Err(e) => return Err(broke(e)),
            }
            if heard > CHATTER {
                return Err("the receiver talks instead of closing: this is no syslog".to_owned());
            }
        }
    }
}

async fn connect(host: &str, port: u16) -> Result<TcpStream, String> {
    let cannot = |why: String| format!("cannot connect to {host}:{port}: {why}");
    let tcp = tokio::time::timeout(CONNECT, TcpStream::connect((host, port))).await;
    tcp.map_err(|_| cannot("no answer".to_owned()))?.map_err(|e| cannot(e.to_string()))
}

async fn datagrams(host: &str, port: u16, messages: &[&str], begun: &Cell<bool>) -> Result<(), String> {
    let cannot = |e: io::Error| format!("cannot send to {host}:{port}: {e}");
    let mut found = lookup_host((host, port)).await.map_err(cannot)?;
    let to = found.next().ok_or_else(|| format!("{host} has no address"))?;
    let from: SocketAddr = match to {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(from).await.map_err(cannot)?;
    socket.connect(to).await.map_err(cannot)?;
    for message in messages {
        begun.set(true);
        socket.send(message.as_bytes()).await.map_err(cannot)?;
    }
    // The little that can be known: this machine or a router near by said that nobody listens.
    match socket.take_error() {
        Ok(None) => Ok(()),
        Ok(Some(e)) | Err(e) => Err(cannot(e)),
    }
}

/// The socket of the local log daemon, which takes datagrams, rarely a stream.
async fn local(path: &str, messages: &[&str], begun: &Cell<bool>) -> Result<(), String> {
    let cannot = |e: io::Error| format!("cannot write to {path}: {e}");
    let socket = UnixDatagram::unbound().map_err(cannot)?;
    match socket.connect(path) {
        Ok(()) => {
            for message in messages {
                begun.set(true);
                socket.send(message.as_bytes()).await.map_err(cannot)?;
            }
            Ok(())
        }
        Err(e) if e.raw_os_error() == Some(rustix::io::Errno::PROTOTYPE.raw_os_error()) => {
            let mut stream = UnixStream::connect(path).await.map_err(cannot)?;
            let lines: String = messages.iter().map(|m| format!("{m}\n")).collect();
            begun.set(!lines.is_empty());
            stream.write_all(lines.as_bytes()).await.map_err(cannot)?;
            stream.shutdown().await.map_err(cannot)
        }
        Err(e) => Err(cannot(e)),
    }
}

#[cfg(test)]
mod tests;
