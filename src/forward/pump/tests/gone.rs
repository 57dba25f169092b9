//! A ticket that is not there: looked for twice, with a greeting in between, before it counts as gone.

use std::cell::RefCell;

use tokio::sync::mpsc;

use super::*;
use crate::engine::effect::{Command, RecordKind};
use crate::engine::moment::SECOND;
use crate::forward::connector::{Failure, Reply, Request};
use crate::forward::wire::Sending;

/// Holds one record, whose ticket is 20.
#[derive(Clone)]
struct Holding;

impl Outbox for Holding {
    async fn claim(&self, _destination: &str, _max: usize, _now: Stamp) -> Result<Vec<Job>, String> {
        Ok(Vec::new())
    }

    async fn settle(&self, _destination: &str, _settled: Vec<Settled>, _now: Stamp) -> Result<(), String> {
        Ok(())
    }

    async fn held(&self, _destination: &str, after: i64, _max: usize) -> Result<Vec<Held>, String> {
        let (record, remote_id) = ("i".to_owned(), "20".to_owned());
        let held = Held { cursor: 1, kind: RecordKind::Incident, record, rev: 3, remote_id, over: false };
        Ok(if after < 1 { vec![held] } else { Vec::new() })
    }

    async fn next_due(&self, _destination: &str) -> Result<Option<Stamp>, String> {
        Ok(None)
    }
}

/// An RT without tickets; remembers what it was asked.
#[derive(Default)]
struct Empty(RefCell<Vec<String>>);

impl Wire for Empty {
    fn send<'a>(&'a self, request: &'a Request, _secrets: &'a Secrets, _now: Stamp) -> Sending<'a> {
        self.0.borrow_mut().push(request.path.clone());
        let (status, body) = match request.path.split(['?', '/']).nth(1) {
            Some("queue") => (200, r#"{"id": 3, "TicketCustomFields": [{"name": "CorrelationKey"}]}"#),
            Some("tickets") => (200, r#"{"items": []}"#),
            _ => (404, r#"{"message": "no such ticket"}"#),
        };
        let reply: Result<Reply, Failure> =
            Ok(Reply { status, body: body.as_bytes().to_vec(), ..Reply::default() });
        Box::pin(async move { reply })
    }
}

/// Runs a pump until it has read so many times; returns what it told and what it asked.
fn read(times: usize, gone: Gone) -> (Vec<Command>, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "secret").unwrap();
    let plan = DestinationPlan { kind: "rt", read_back: SECOND / 100, gone, ..plan(&token) };
    let (remotes, mut told) = mpsc::channel(16);
    let empty = Rc::new(Empty::default());
    let wire = Rc::clone(&empty);
    let setting = Setting {
        wires: Rc::new(move |_, _, _| Ok(Rc::clone(&wire) as Rc<dyn Wire>)),
        ..Setting::new(host(), Stamp(0), Clock::start(), remotes)
    };
    let looked = |empty: &Empty| empty.0.borrow().iter().filter(|path| *path == "/ticket/20").count();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let forward = spawn(&[plan], Holding, setting);
        let reading = async {
            while looked(&empty) < times {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), reading).await.expect("the pump does not read");
        forward.stop().await;
    });
    let mut commands = Vec::new();
    while let Ok(command) = told.try_recv() {
        commands.push(command);
    }
    (commands, empty.0.take())
}

#[test]
fn twice_not_there_with_a_greeting_in_between_is_gone() {
    let (told, asked) = read(2, Gone::Recreate);
    assert!(
        matches!(&told[..], [Command::Gone { destination, record, rev: 3 }]
            if destination == "desk" && record == "i"),
        "{told:?}"
    );
    let short: String = asked.iter().map(|path| &path[1..6]).collect::<Vec<_>>().join(" ");
    let (hello, look) = ("queue queue", "ticke ticke");
    assert_eq!(short, format!("{hello} {look} {hello} {look}"));
}

#[test]
fn what_is_to_be_left_is_left() {
    assert!(read(3, Gone::Leave).0.is_empty());
}
