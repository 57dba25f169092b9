//! What answers may take of memory, and that a reading goes on with less.

use std::cell::RefCell;
use std::collections::BTreeSet;

use tokio::sync::mpsc;

use super::*;
use crate::engine::effect::{Command, RecordKind};
use crate::engine::moment::SECOND;
use crate::forward::connector::{MOST_BYTES, Reply, Request};
use crate::forward::wire::Sending;

/// Holds four records that are stored.
#[derive(Clone)]
struct Holding;

impl Outbox for Holding {
    async fn claim(&self, _destination: &str, _max: usize, _now: Stamp) -> Result<Vec<Job>, String> {
        Ok(Vec::new())
    }

    async fn settle(&self, _destination: &str, _settled: Vec<Settled>, _now: Stamp) -> Result<(), String> {
        Ok(())
    }

    async fn held(&self, _destination: &str, after: i64, max: usize) -> Result<Vec<Held>, String> {
        let held = |n: i64| Held {
            cursor: n,
            kind: RecordKind::Incident,
            record: format!("i{n}"),
            rev: 3,
            remote_id: (20 + n).to_string(),
            over: false,
        };
        Ok((after + 1..=4).take(max).map(held).collect())
    }

    async fn next_due(&self, _destination: &str) -> Result<Option<Stamp>, String> {
        Ok(None)
    }
}

/// An RT without tickets and with much to say about that.
#[derive(Default)]
struct Verbose(RefCell<usize>);

impl Wire for Verbose {
    fn send<'a>(&'a self, request: &'a Request, _secrets: &'a Secrets, _now: Stamp) -> Sending<'a> {
        *self.0.borrow_mut() += 1;
        let (status, body, padding) = match request.path.split(['?', '/']).nth(1) {
            Some("queue") => (200, r#"{"id": 3, "TicketCustomFields": [{"name": "CorrelationKey"}]}"#, 0),
            Some("tickets") => (200, r#"{"items": []}"#, MOST_BYTES * 5 / 8),
            _ => (404, r#"{"message": "no such ticket"}"#, MOST_BYTES * 5 / 8),
        };
        let body = format!("{}{body}", " ".repeat(padding)).into_bytes();
        Box::pin(async move { Ok(Reply { status, body, ..Reply::default() }) })
    }
}

fn local(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

#[test]
fn a_conversation_with_large_answers_is_given_up() {
    let wire = Rc::new(Verbose::default());
    let asked = Rc::clone(&wire);
    local(async move {
        let ask = |_: &[Exchange]| Next::send(Request::get("/ticket/1"));
        let landing = converse(wire, Secrets::default(), Clock::start(), Rest::default(), ask).await;
        assert!(landing.too_large && landing.done.outcomes.is_empty());
    });
    assert_eq!(asked.0.take(), 2);
}

#[test]
fn a_reading_whose_answers_are_too_large_goes_on_with_fewer_records() {
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "secret").unwrap();
    let plan = DestinationPlan { kind: "rt", read_back: SECOND / 100, ..plan(&token) };
    let (remotes, mut told) = mpsc::channel(16);
    let setting = Setting {
        wires: Rc::new(|_, _, _| Ok(Rc::new(Verbose::default()) as Rc<dyn Wire>)),
        ..Setting::new(host(), Stamp(0), Clock::start(), remotes)
    };
    local(async {
        let forward = spawn(&[plan], Holding, setting);
        let all = async {
            let mut gone = BTreeSet::new();
            while gone.len() < 4 {
                if let Some(Command::Gone { record, .. }) = told.recv().await {
                    gone.insert(record);
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), all).await.expect("all are read");
        forward.stop().await;
    });
}
