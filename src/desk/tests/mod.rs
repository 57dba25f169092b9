//! The desk as a whole: a real listener on loopback, a real database in a throw-away directory, a real
//! client.

mod ingest;
mod life;
mod looking;
mod sample;

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{Desk, DeskError, bind};
use crate::clock::Clock;
use crate::engine::moment::Stamp;
use crate::engine::option::{DeskPlan, SecretRef};

const TOKEN: &str = "a-token-of-sufficient-length";
const BATCH: &str = "application/cloudevents-batch+json";
const SINGLE: &str = "application/cloudevents+json";

/// A desk that runs in the background of a test.
struct Running {
    address: SocketAddr,
    client: reqwest::Client,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), DeskError>>,
}

impl Running {
    async fn start(dir: &TempDir) -> Running {
        Self::listening(dir, "127.0.0.1:0").await
    }

    async fn listening(dir: &TempDir, listen: &str) -> Running {
        let desk = open(dir, listen).await.expect("the desk starts");
        let address = desk.address();
        let (stop, stopped) = oneshot::channel();
        let shutdown = async {
            let _ = stopped.await;
        };
        let task = tokio::spawn(desk.run(shutdown));
        // Installing twice is an error that changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(20))
            .build()
            .expect("a client");
        Running { address, client, stop, task }
    }

    async fn end(self) {
        self.stop.send(()).expect("the desk still runs");
        tokio::time::timeout(Duration::from_secs(20), self.task)
            .await
            .expect("the desk ends")
            .expect("without panic")
            .expect("without error");
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.address.port())
    }

    async fn post(&self, kind: &str, body: impl Into<reqwest::Body>) -> (StatusCode, Json) {
        let request = self.client.post(self.url("/v1/events")).bearer_auth(TOKEN);
        let answer = request.header("content-type", kind).body(body).send().await.expect("an answer");
        (answer.status(), answer.json().await.expect("JSON"))
    }

    /// Sends a batch and returns the statuses in order.
    async fn send(&self, events: &[Json]) -> Vec<String> {
        let (status, body) = self.post(BATCH, json!(events).to_string()).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        let results = body["results"].as_array().expect("results");
        results.iter().map(|r| r["status"].as_str().expect("a status").to_owned()).collect()
    }

    async fn json(&self, path: &str) -> Json {
        let answer = self.client.get(self.url(path)).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.json().await.expect("JSON")
    }

    async fn page(&self, path: &str) -> String {
        let answer = self.client.get(self.url(path)).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.text().await.expect("text")
    }
}

async fn open(dir: &TempDir, listen: &str) -> Result<Desk, DeskError> {
    let tokens = dir.path().join("tokens");
    std::fs::write(&tokens, format!("# the sample fleet\n{TOKEN}\n")).expect("tokens are written");
    let tokens = Some(SecretRef::File(tokens.display().to_string()));
    let plan = DeskPlan { listen: listen.to_owned(), dir: dir.path().join("desk"), tokens };
    bind(plan, Clock::start()).await
}

fn now() -> Stamp {
    Clock::start().now().stamp()
}

fn dir() -> TempDir {
    tempfile::tempdir().expect("a directory")
}
