//! How long a job waits after an outage that it has been through: it is not to blame for it.

use std::cell::RefCell;

use tokio::sync::mpsc;

use super::*;
use crate::engine::moment::SECOND;
use crate::forward::connector::fixture::create;
use crate::forward::connector::{Failure, Reply, Request};
use crate::forward::health::BREAKER;
use crate::forward::pace::Backoff;
use crate::forward::wire::Sending;

/// Has one job that has failed often before, and remembers how long it is to wait after each failure.
#[derive(Clone, Default)]
struct Line {
    waits: Rc<RefCell<Vec<i64>>>,
    claimed: Rc<Cell<bool>>,
}

impl Outbox for Line {
    async fn claim(&self, _destination: &str, _max: usize, now: Stamp) -> Result<Vec<Job>, String> {
        let job = Job { attempts: 12, claimed_at: now, ..create() };
        Ok(if self.claimed.replace(true) { Vec::new() } else { vec![job] })
    }

    async fn settle(&self, _destination: &str, settled: Vec<Settled>, now: Stamp) -> Result<(), String> {
        self.waits.borrow_mut().extend(settled.iter().map(|one| one.next.0 - now.0));
        self.claimed.set(false);
        Ok(())
    }

    async fn held(&self, _destination: &str, _after: i64, _max: usize) -> Result<Vec<Held>, String> {
        Ok(Vec::new())
    }

    async fn next_due(&self, _destination: &str) -> Result<Option<Stamp>, String> {
        Ok(Some(Stamp(0)))
    }
}

/// An RT that shows its queues and then is not there any more.
struct Away;

impl Wire for Away {
    fn send<'a>(&'a self, request: &'a Request, _secrets: &'a Secrets, _now: Stamp) -> Sending<'a> {
        let queue = br#"{"id": 3, "TicketCustomFields": [{"name": "CorrelationKey"}]}"#;
        let answer = if request.path.starts_with("/queue/") {
            Ok(Reply { status: 200, body: queue.to_vec(), ..Reply::default() })
        } else {
            Err(Failure { sent: false, reason: "connection refused".to_owned() })
        };
        Box::pin(async move { answer })
    }
}

#[test]
fn a_job_does_not_wait_for_the_outages_it_has_been_through() {
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "secret").unwrap();
    let plan = DestinationPlan { kind: "rt", ..plan(&token) };
    let (remotes, _told) = mpsc::channel(1);
    let backoff = Backoff { least: 100 * SECOND, most: 10_000 * SECOND };
    let tuning = Tuning { store_retry: Duration::from_millis(1), backoff, ..Tuning::default() };
    let setting = Setting {
        tuning,
        wires: Rc::new(|_, _, _| Ok(Rc::new(Away) as Rc<dyn Wire>)),
        ..Setting::new(host(), Stamp(0), Clock::start(), remotes)
    };
    let line = Line::default();
    let breaker = BREAKER as usize;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let forward = spawn(&[plan], line.clone(), setting);
        let failing = async {
            while line.waits.borrow().len() < breaker {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), failing).await.expect("the pump does not turn");
        forward.stop().await;
    });
    let waits = line.waits.take();
    assert!(waits[0] <= 100 * SECOND, "the first failure in this life: {waits:?}");
    assert!(waits[breaker - 1] <= AWAY_MOST, "the destination is down, its gate does the waiting: {waits:?}");
}
