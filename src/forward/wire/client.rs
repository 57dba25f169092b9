//! The HTTP client of one destination, made anew when a file of its TLS was replaced.
//!
//! Redirects are not followed, the environment's proxies are not obeyed, one idle connection is kept for a
//! short while. Files that cannot be used do not cost a working connection: the client from before stays, and
//! the log says so once.

use std::cell::RefCell;
use std::error::Error;
use std::time::Duration;

use secrecy::ExposeSecret;

use super::tls::{Pem, Seen, install_provider};
use crate::engine::option::Options;
use crate::forward::secrets::Secrets;

/// The longest time to connect, TLS included.
pub const CONNECT: Duration = Duration::from_secs(10);
/// How long an idle connection is kept. Shorter than most servers do, because a request that crosses the
/// server's farewell on the way may have been carried out, and must be looked for.
pub const IDLE: Duration = Duration::from_secs(20);

/// Makes the client when it is asked for.
pub struct Clients {
    options: Options,
    timeout: Duration,
    held: RefCell<Held>,
}

struct Held {
    client: reqwest::Client,
    /// The files it was made from.
    seen: Seen,
    /// Files that could not be used, so that they are tried and told once.
    unusable: Option<Seen>,
}

impl Clients {
    /// By the options `proxy`, `ca`, `client_certificate` and `client_key`; no request takes longer than
    /// `timeout`.
    ///
    /// # Errors
    /// A sentence naming the option that cannot be used.
    pub fn new(options: &Options, timeout: Duration) -> Result<Self, String> {
        let secrets = Secrets::read(options)?;
        let seen = Seen::now(options, &secrets);
        let client = build(options, &secrets, timeout)?;
        let held = RefCell::new(Held { client, seen, unusable: None });
        Ok(Self { options: options.clone(), timeout, held })
    }

    /// The client for the files as they are now.
    pub fn get(&self, secrets: &Secrets) -> reqwest::Client {
        let seen = Seen::now(&self.options, secrets);
        let mut held = self.held.borrow_mut();
        if seen == held.seen || held.unusable.as_ref() == Some(&seen) {
            return held.client.clone();
        }
        match build(&self.options, secrets, self.timeout) {
            Ok(client) => {
                tracing::info!(url = self.options.text("url"), "certificates were replaced and are taken up");
                *held = Held { client, seen, unusable: None };
            }
            Err(reason) => {
                let url = self.options.text("url");
                tracing::warn!(
                    url,
                    reason,
                    "certificates were replaced and cannot be used: the old ones stay"
                );
                held.unusable = Some(seen);
            }
        }
        held.client.clone()
    }
}

fn build(options: &Options, secrets: &Secrets, timeout: Duration) -> Result<reqwest::Client, String> {
    install_provider();
    let pem = Pem::read(options, secrets)?;
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("sexton/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .timeout(timeout)
        .read_timeout(timeout)
        .connect_timeout((timeout / 2).min(CONNECT))
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(1);
    builder = match options.text("proxy") {
        "" => builder.no_proxy(),
        proxy => builder.proxy(reqwest::Proxy::all(proxy).map_err(|e| format!("proxy '{proxy}': {e}"))?),
    };
    if !pem.ca.is_empty() {
        let ca = options.text("ca");
        let certificates =
            reqwest::Certificate::from_pem_bundle(&pem.ca).map_err(|e| format!("ca {ca}: {}", chain(&e)))?;
        if certificates.is_empty() {
            return Err(format!("ca {ca}: holds no certificate"));
        }
        builder = builder.tls_certs_merge(certificates);
    }
    if let Some(identity) = pem.identity() {
        let name = options.text("client_certificate");
        let identity = reqwest::Identity::from_pem(identity.expose_secret().as_bytes())
            .map_err(|e| format!("client_certificate {name} with client_key: {}", chain(&e)))?;
        builder = builder.identity(identity);
    }
    builder.build().map_err(|e| format!("cannot set up HTTPS: {}", chain(&e)))
}

/// An error with all its causes on one line.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let words = next.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = next.source();
    }
    crate::forward::connector::classify::clip(&text, 300)
}
