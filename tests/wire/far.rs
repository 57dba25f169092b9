//! A far end on loopback that does on each connection and request what a test says, with TLS or without.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// What is done with one request.
#[derive(Clone, Debug)]
pub enum Act {
    /// Says this and waits for the next request.
    Say(Vec<u8>),
    /// Says this and closes.
    Last(Vec<u8>),
    /// Says this and resets the connection.
    Reset(Vec<u8>),
    /// Says the first, then the second again and again.
    Endless(Vec<u8>, Vec<u8>),
    /// Says the first, then one byte in a while.
    Drip(Vec<u8>),
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Heard {
    /// On which connection, from 0.
    pub connection: usize,
    /// Its first line and headers; names in lower case.
    pub head: String,
    pub body: String,
}

/// A running far end.
pub struct Far {
    pub port: u16,
    pub heard: Rc<RefCell<Vec<Heard>>>,
    /// Connections that were taken.
    pub taken: Rc<Cell<usize>>,
    /// What it speaks; `None`: no TLS.
    pub tls: Rc<RefCell<Option<Arc<ServerConfig>>>>,
    /// Connections are closed in the middle of the handshake.
    pub cut_handshake: Rc<Cell<bool>>,
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

impl Far {
    /// Starts one on IPv4; `script` is asked for each request.
    pub async fn start(tls: Option<ServerConfig>, script: impl Fn(&Heard) -> Act + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let far = Self {
            port: listener.local_addr().unwrap().port(),
            heard: Rc::default(),
            taken: Rc::default(),
            tls: Rc::new(RefCell::new(tls.map(Arc::new))),
            cut_handshake: Rc::default(),
        };
        let (heard, taken) = (Rc::clone(&far.heard), Rc::clone(&far.taken));
        let (tls, cut, script) = (Rc::clone(&far.tls), Rc::clone(&far.cut_handshake), Rc::new(script));
        tokio::task::spawn_local(async move {
            while let Ok((mut tcp, _)) = listener.accept().await {
                let connection = taken.replace(taken.get() + 1);
                let (heard, script) = (Rc::clone(&heard), Rc::clone(&script));
                let (tls, cut) = (tls.borrow().clone(), cut.get());
                tokio::task::spawn_local(async move {
                    if cut {
                        let _ = tcp.read(&mut [0; 64]).await;
                    } else if let Some(config) = tls {
                        let Ok(mut stream) = TlsAcceptor::from(config).accept(tcp).await else { return };
                        serve(&mut stream, connection, &heard, &*script).await;
                    } else if serve(&mut tcp, connection, &heard, &*script).await {
                        reset(tcp);
                    }
                });
            }
        });
        far
    }

    pub fn count(&self) -> usize {
        self.heard.borrow().len()
    }
}

/// Closing with unsent data thrown away is told to the other side as a reset.
fn reset(tcp: TcpStream) {
    tcp.set_zero_linger().unwrap();
}

/// Serves one connection; true when it is to be reset.
async fn serve(
    stream: &mut dyn Stream,
    connection: usize,
    heard: &RefCell<Vec<Heard>>,
    script: &dyn Fn(&Heard) -> Act,
) -> bool {
    while let Some((head, body)) = request(stream).await {
        let one = Heard { connection, head, body };
        heard.borrow_mut().push(one.clone());
        let (said, close) = match script(&one) {
            Act::Say(bytes) => (stream.write_all(&bytes).await, false),
            Act::Last(bytes) => (stream.write_all(&bytes).await, true),
            Act::Reset(bytes) => {
                let _ = stream.write_all(&bytes).await;
                return true;
            }
            Act::Endless(first, again) => {
                let mut said = stream.write_all(&first).await;
                while said.is_ok() {
                    said = stream.write_all(&again).await;
                }
                (said, true)
            }
            Act::Drip(first) => {
                let mut said = stream.write_all(&first).await;
                while said.is_ok() {
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                    said = stream.write_all(b" ").await;
                }
                (said, true)
            }
        };
        let _ = stream.flush().await;
        if said.is_err() || close {
            let _ = stream.shutdown().await;
            return false;
        }
    }
    false
}

async fn request(stream: &mut dyn Stream) -> Option<(String, String)> {
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0; 16384];
        let n = stream.read(&mut piece).await.ok().filter(|n| *n > 0)?;
        bytes.extend_from_slice(&piece[..n]);
        let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let length = head.split("content-length: ").nth(1).and_then(|l| l.split("\r\n").next());
        let length: usize = length.and_then(|l| l.parse().ok()).unwrap_or(0);
        if bytes.len() >= end + 4 + length {
            return Some((head, String::from_utf8_lossy(&bytes[end + 4..]).into_owned()));
        }
    }
}

/// An answer of HTTP/1.1.
pub fn answer(status: u16, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}
