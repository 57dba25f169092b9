//! What the log says of an outbox that fails; deliveries are tested from outside, over real connections.

mod gone;
mod large;
mod outage;
mod rest;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex};

use super::*;
use crate::engine::effect::{Held, Job};
use crate::engine::moment::Stamp;
use crate::engine::option::{Filter, Gone, OptionValue, Options, SecretRef};
use crate::engine::record::HostRef;
use crate::forward::{Setting, spawn};

/// Its claims fail until the tenth and go well from then on.
#[derive(Clone, Default)]
struct Failing(Rc<Cell<u32>>);

impl Outbox for Failing {
    async fn claim(&self, _destination: &str, _max: usize, _now: Stamp) -> Result<Vec<Job>, String> {
        self.0.set(self.0.get() + 1);
        if self.0.get() < 10 { Err("disk is full".to_owned()) } else { Ok(Vec::new()) }
    }

    async fn settle(&self, _destination: &str, _settled: Vec<Settled>, _now: Stamp) -> Result<(), String> {
        Ok(())
    }

    async fn held(&self, _destination: &str, _after: i64, _max: usize) -> Result<Vec<Held>, String> {
        Ok(Vec::new())
    }

    async fn next_due(&self, _destination: &str) -> Result<Option<Stamp>, String> {
        Ok(Some(Stamp(0)))
    }
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn count(&self, what: &str) -> usize {
        String::from_utf8_lossy(&self.0.lock().unwrap()).matches(what).count()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn host() -> HostRef {
    HostRef { id: "0123456789abcdef".to_owned(), name: "web-01".to_owned() }
}

/// A desk that nobody serves, with its token in that file.
fn plan(token: &std::path::Path) -> DestinationPlan {
    DestinationPlan {
        id: "desk".to_owned(),
        kind: "desk",
        filter: Filter::default(),
        pace: 0.0,
        timeout: 0,
        read_back: 0,
        gone: Gone::default(),
        fallback: None,
        digest: None,
        options: Options(BTreeMap::from([
            ("url".to_owned(), OptionValue::Text("http://127.0.0.1:9".to_owned())),
            ("token".to_owned(), OptionValue::Secret(SecretRef::File(token.display().to_string()))),
        ])),
    }
}

#[test]
fn an_outbox_that_fails_is_told_once_and_so_is_its_return() {
    let lines = Lines::default();
    let writer = lines.clone();
    let log = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
    let _log = tracing::subscriber::set_default(log);
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "secret").unwrap();
    let plan = plan(&token);
    let (remotes, _) = tokio::sync::mpsc::channel(1);
    let tuning = Tuning { store_retry: Duration::from_millis(1), ..Tuning::default() };
    let setting = Setting { tuning, ..Setting::new(host(), Stamp(0), Clock::start(), remotes) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let outbox = Failing::default();
        let forward = spawn(&[plan], outbox.clone(), setting);
        let turns = async {
            while outbox.0.get() < 12 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), turns).await.expect("the pump does not turn");
        forward.stop().await;
    });
    assert_eq!(lines.count("cannot claim from the outbox"), 1);
    assert_eq!(lines.count("disk is full"), 1);
    assert_eq!(lines.count("can claim from the outbox again"), 1);
}
