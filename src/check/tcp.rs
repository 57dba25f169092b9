//! A TCP check: a connection is accepted and, if asked for, the right bytes come back.

use std::future::Future;
use std::pin::Pin;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Check, Probe, Spec};
use crate::engine::option::{CheckPlan, DoorSpec, OptionKind, OptionSpec, Options};

/// The check.
pub const SPEC: Spec = Spec {
    door: DoorSpec {
        kind: "tcp",
        about: "a TCP port accepts connections and, if asked for, answers as expected",
        options: &[
            OptionSpec {
                key: "address",
                kind: OptionKind::RequiredText,
                about: "host:port; an IPv6 address in brackets",
            },
            OptionSpec { key: "send", kind: OptionKind::Text(None), about: "text sent after connecting" },
            OptionSpec {
                key: "expect",
                kind: OptionKind::Text(None),
                about: "text that must occur in the first 64 KiB of the answer",
            },
        ],
        signals: &["check.up", "check.latency"],
        check: |options| address(options).map(|_| ()),
    },
    build: |plan| Ok(Box::new(Tcp::new(plan)?)),
};

/// Bytes of an answer that are looked through.
const ANSWER_MAX: usize = 64 << 10;

struct Tcp {
    address: String,
    send: String,
    expect: String,
}

impl Tcp {
    fn new(plan: &CheckPlan) -> Result<Self, String> {
        let text = |key: &str| plan.options.text(key).to_owned();
        Ok(Self { address: address(&plan.options)?, send: text("send"), expect: text("expect") })
    }

    async fn talk(&self) -> Result<(), String> {
        let connected = TcpStream::connect(&self.address).await;
        let mut stream = connected.map_err(|e| format!("cannot connect to {}: {e}", self.address))?;
        if !self.send.is_empty() {
            stream.write_all(self.send.as_bytes()).await.map_err(|e| format!("cannot send: {e}"))?;
        }
        if self.expect.is_empty() { Ok(()) } else { self.listen(&mut stream).await }
    }

    async fn listen(&self, stream: &mut TcpStream) -> Result<(), String> {
        let wanted = self.expect.as_bytes();
        let mut answer = Vec::with_capacity(1024);
        loop {
            if answer.windows(wanted.len()).any(|part| part == wanted) {
                return Ok(());
            }
            if answer.len() >= ANSWER_MAX {
                return Err(format!("the first 64 KiB of the answer do not hold {:?}", self.expect));
            }
            match stream.read_buf(&mut answer).await {
                Ok(0) => return Err(format!("the answer ended without {:?}", self.expect)),
                Ok(_) => {}
                Err(e) => return Err(format!("cannot read the answer: {e}")),
            }
        }
    }
}

/// `host:port`, unless it cannot be one.
fn address(options: &Options) -> Result<String, String> {
    let address = options.text("address");
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    if port.parse::<u16>().ok().is_none_or(|port| port == 0) {
        return Err(format!("address {address:?} is not host:port"));
    }
    let is_part = |c: char| c.is_alphanumeric() || "-._:[]%".contains(c);
    if host.is_empty() || host.starts_with('-') || !host.chars().all(is_part) {
        return Err(format!("address {address:?}: {host:?} is neither a host name nor an IP address"));
    }
    Ok(address.to_owned())
}

impl Check for Tcp {
    fn probe(&mut self) -> Pin<Box<dyn Future<Output = Probe> + Send + '_>> {
        Box::pin(async { Probe::plain(self.talk().await) })
    }
}
