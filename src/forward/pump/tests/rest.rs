//! A conversation that waits before a second look leaves its place to the next job.

use std::cell::RefCell;
use std::collections::VecDeque;

use tokio::sync::mpsc;

use super::*;
use crate::forward::connector::fixture::create;
use crate::forward::connector::{Reply, Request};
use crate::forward::wire::Sending;

/// Jobs that are given once each.
#[derive(Clone, Default)]
struct Line(Rc<RefCell<VecDeque<Job>>>);

impl Outbox for Line {
    async fn claim(&self, _destination: &str, max: usize, _now: Stamp) -> Result<Vec<Job>, String> {
        let mut jobs = self.0.borrow_mut();
        let most = max.min(jobs.len());
        Ok(jobs.drain(..most).collect())
    }

    async fn settle(&self, _destination: &str, _settled: Vec<Settled>, _now: Stamp) -> Result<(), String> {
        Ok(())
    }

    async fn held(&self, _destination: &str, _after: i64, _max: usize) -> Result<Vec<Held>, String> {
        Ok(Vec::new())
    }

    async fn next_due(&self, _destination: &str) -> Result<Option<Stamp>, String> {
        Ok(None)
    }
}

/// An RT without tickets, and what it was asked for.
#[derive(Clone, Default)]
struct Asked(Rc<RefCell<Vec<String>>>);

impl Wire for Asked {
    fn send<'a>(&'a self, request: &'a Request, _secrets: &'a Secrets, _now: Stamp) -> Sending<'a> {
        let path = request.path.split(['?', '/']).nth(1).unwrap_or_default();
        self.0.borrow_mut().push(format!("{:?} {path}", request.method));
        let answer = match path {
            "queue" => r#"{"id": 3, "TicketCustomFields": [{"name": "CorrelationKey"}]}"#,
            "tickets" => r#"{"items": []}"#,
            _ => "{}",
        };
        let reply = Reply { status: 200, body: answer.as_bytes().to_vec(), ..Reply::default() };
        Box::pin(async move { Ok(reply) })
    }
}

#[test]
fn a_fresh_job_does_not_wait_for_the_second_look_of_doubtful_ones() {
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "secret").unwrap();
    let plan = DestinationPlan { kind: "rt", ..plan(&token) };
    let job = |n: usize, unknown| {
        let attempts = u32::from(unknown);
        Job { record: format!("record-{n}"), unknown, attempts, ..create() }
    };
    let line = Line::default();
    line.0.borrow_mut().extend([job(1, true), job(2, true), job(3, false)]);
    let asked = Asked::default();
    let wire = asked.clone();
    let (remotes, _told) = mpsc::channel(1);
    let setting = Setting {
        wires: Rc::new(move |_, _, _| Ok(Rc::new(wire.clone()) as Rc<dyn Wire>)),
        ..Setting::new(host(), Stamp(0), Clock::start(), remotes)
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let forward = spawn(&[plan], line.clone(), setting);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let before = asked.0.borrow().clone();
        let searches = before.iter().filter(|a| *a == "Get tickets").count();
        assert_eq!(searches, 2, "each doubtful job has looked once: {before:?}");
        assert!(before.contains(&"Post ticket".to_owned()), "the fresh one is under way: {before:?}");
        tokio::time::sleep(Duration::from_secs(3)).await;
        let all = asked.0.borrow().clone();
        let searches = all.iter().filter(|a| *a == "Get tickets").count();
        assert_eq!(searches, 6, "each once more by its key, and once for one without: {all:?}");
        forward.stop().await;
    });
}
