//! The wires over real connections: TLS of every kind, answers that lie, logins that change while the daemon
//! runs. Each case says what a failure is: a request that surely never left may be repeated blindly, any
//! other not.

#[path = "wire/certificates.rs"]
mod certificates;
#[path = "wire/far.rs"]
mod far;
#[path = "wire/hazards.rs"]
mod hazards;
#[path = "wire/login.rs"]
mod login;
#[path = "wire/nats.rs"]
mod nats;
#[path = "wire/smtp.rs"]
mod smtp;
#[path = "wire/tls.rs"]
mod tls;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use sexton::clock::Clock;
use sexton::engine::option::{OptionValue, Options, SecretRef};
use sexton::forward::connector::{Failure, Login, Method, Reply, Request};
use sexton::forward::secrets::Secrets;
use sexton::forward::wire::Wire;
use sexton::forward::wire::http::Http;

/// Options of a destination under test.
#[derive(Clone)]
struct Setup(BTreeMap<String, OptionValue>);

impl Setup {
    fn new(url: String) -> Self {
        Self(BTreeMap::from([("url".to_owned(), OptionValue::Text(url))]))
    }

    fn text(mut self, key: &str, value: impl Into<String>) -> Self {
        self.0.insert(key.to_owned(), OptionValue::Text(value.into()));
        self
    }

    fn file(self, key: &str, path: &Path) -> Self {
        self.text(key, path.to_str().unwrap())
    }

    fn secret(mut self, key: &str, path: &Path) -> Self {
        let file = SecretRef::File(path.to_str().unwrap().to_owned());
        self.0.insert(key.to_owned(), OptionValue::Secret(file));
        self
    }

    fn options(&self) -> Options {
        Options(self.0.clone())
    }

    fn wire(&self, logins: &[Login]) -> Http {
        Http::new(&self.options(), logins, Duration::from_millis(2000)).unwrap()
    }
}

/// Sends a create as connectors do.
async fn create(wire: &Http, setup: &Setup) -> Result<Reply, Failure> {
    let secrets = Secrets::read(&setup.options()).unwrap();
    let request = Request::json(Method::Post, "/ticket", json!({"Subject": "disk full"}));
    wire.send(&request, &secrets, Clock::start().now().stamp()).await
}

/// The result in a word: a status, or whether it was sent, and why.
fn word(result: &Result<Reply, Failure>) -> String {
    match result {
        Ok(reply) => format!("{} with {} bytes", reply.status, reply.body.len()),
        Err(failure) if failure.sent => format!("sent? {}", failure.reason),
        Err(failure) => format!("unsent: {}", failure.reason),
    }
}

/// Runs a test on a current-thread runtime with a local set, as the daemon does.
fn local(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}
