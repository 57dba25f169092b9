//! Connections of wires that are not HTTP: to every address of a name in turn, and never more read between
//! two writes than a bound.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// What stands before `://`.
    pub scheme: String,
    /// Name or address, an IPv6 address without brackets.
    pub host: String,
    /// Port, when one is written.
    pub port: Option<u16>,
    /// It is this machine.
    pub here: bool,
}

impl Endpoint {
    /// Reads `scheme://host[:port]`, and nothing more than that.
    pub fn parse(text: &str) -> Option<Self> {
        let url = reqwest::Url::parse(text).ok()?;
        let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
        let bare =
            url.path().trim_matches('/').is_empty() && url.query().is_none() && url.username().is_empty();
        let ip = host.parse::<std::net::IpAddr>();
        let here = host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback());
        let (scheme, port) = (url.scheme().to_owned(), url.port());
        (bare && !host.is_empty()).then_some(Self { scheme, host, port, here })
    }
}

/// A connection of which at most so many bytes are read after each write; then it breaks.
#[derive(Debug)]
pub struct Bounded<S> {
    inner: S,
    most: usize,
    left: usize,
    /// What is read before anything of the far end's.
    first: &'static [u8],
}

impl<S> Bounded<S> {
    /// At most that many bytes are read in a row, after those in `first`.
    pub fn new(inner: S, most: usize, first: &'static [u8]) -> Self {
        Self { inner, most, left: most, first }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.first.is_empty() {
            let n = this.first.len().min(buffer.remaining());
            buffer.put_slice(&this.first[..n]);
            this.first = &this.first[n..];
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.inner).poll_read(context, buffer);
        let n = buffer.filled().len().saturating_sub(before);
        if n > this.left {
            return Poll::Ready(Err(io::Error::other("the far end says more than is read")));
        }
        this.left -= n;
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.left = this.most;
        Pin::new(&mut this.inner).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(context)
    }
}

impl lettre::transport::smtp::client::AsyncTokioStream for Bounded<TcpStream> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.inner.peer_addr()
    }
}

impl lettre::transport::smtp::client::AsyncTokioStream for Bounded<TlsStream<TcpStream>> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.inner.get_ref().0.peer_addr()
    }
}

/// Connects to the first address of the name that answers.
///
/// # Errors
/// A sentence; nothing was sent.
pub async fn connect(host: &str, port: u16) -> Result<TcpStream, String> {
    let cannot = |e: io::Error| format!("cannot connect to {host}:{port}: {e}");
    let tcp = TcpStream::connect((host, port)).await.map_err(cannot)?;
    // Commands are short, and each waits for its answer.
    let _ = tcp.set_nodelay(true);
    Ok(tcp)
}

/// Agrees on TLS with the server of that name.
///
/// # Errors
/// A sentence; nothing was sent under TLS.
pub async fn secure(
    tcp: TcpStream,
    host: &str,
    config: Arc<ClientConfig>,
) -> Result<TlsStream<TcpStream>, String> {
    let name =
        ServerName::try_from(host.to_owned()).map_err(|_| format!("'{host}' is no name of a server"))?;
    let stream = TlsConnector::from(config).connect(name, tcp).await;
    stream.map_err(|e| format!("no TLS with {host}: {e}"))
}
