//! What the tests of forwarding share: records, an outbox in memory, and waiting on a condition.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value as Json, json};
use sexton::clock::Clock;
use sexton::engine::effect::{Held, Job, Operation, Outbox, Outcome, RecordKind, Settled};
use sexton::engine::moment::{SECOND, Stamp};
use sexton::engine::option::{DestinationPlan, Filter, OptionValue, Options, SecretRef};
use sexton::engine::record::HostRef;
use sexton::forward::pace::Backoff;
use sexton::forward::{Setting, Tuning};

/// The host of all records here.
pub fn host() -> HostRef {
    HostRef { id: "0123456789abcdef".to_owned(), name: "web-01".to_owned() }
}

/// A record id that no other test run has.
pub fn fresh_id() -> String {
    thread_local!(static COUNT: Cell<u64> = const { Cell::new(0) });
    let count = COUNT.with(|c| c.replace(c.get() + 1));
    let wall = Clock::start().now().wall;
    format!("019ab000-{:04x}-7{:03x}-8000-{wall:012x}", std::process::id() & 0xffff, count & 0xfff)
}

/// The incident of the fixture under another id, edited.
pub fn incident(id: &str, edit: impl FnOnce(&mut Json)) -> Json {
    let mut body: Json = serde_json::from_str(include_str!("../data/forward/incident.json")).unwrap();
    body["id"] = json!(id);
    edit(&mut body);
    body
}

/// A destination with the token "secret" in a file.
pub fn plan(kind: &'static str, url: &str, token_file: &str) -> DestinationPlan {
    let options = BTreeMap::from([
        ("url".to_owned(), OptionValue::Text(url.to_owned())),
        ("token".to_owned(), OptionValue::Secret(SecretRef::File(token_file.to_owned()))),
    ]);
    DestinationPlan {
        id: kind.to_owned(),
        kind,
        filter: Filter::default(),
        pace: 0.0,
        timeout: 5 * SECOND,
        read_back: 0,
        gone: sexton::engine::option::Gone::default(),
        fallback: None,
        digest: None,
        options: Options(options),
    }
}

/// The real world with other waits.
pub fn setting(tuning: Tuning) -> Setting {
    let (remotes, _) = tokio::sync::mpsc::channel(1);
    Setting { tuning, ..Setting::new(host(), Stamp(0), Clock::start(), remotes) }
}

/// Short waits, so that a test of many failures takes no minutes.
pub fn quick() -> Tuning {
    Tuning {
        backoff: Backoff { least: SECOND / 50, most: SECOND / 5 },
        pause: SECOND / 5,
        tick: Duration::from_secs(1),
        grace: Duration::from_millis(300),
        store_retry: Duration::from_millis(20),
        ..Tuning::default()
    }
}

/// Waits until the condition holds; panics after a bound that is generous on a busy machine.
pub async fn until(what: &str, condition: impl FnMut() -> bool) {
    assert!(within_a_minute(condition).await, "not within a minute: {what}");
}

/// True as soon as the condition holds, false when it does not for a minute.
pub async fn within_a_minute(mut condition: impl FnMut() -> bool) -> bool {
    for _ in 0..6000 {
        if condition() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

/// Runs a test on a current-thread runtime with a local set, as the daemon does.
pub fn local(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Pending,
    Sending,
    Stored,
    Parked,
}

/// One operation in the outbox in memory.
#[derive(Clone, Debug)]
pub struct Row {
    pub job: Job,
    pub state: State,
    pub next: Stamp,
    /// Every outcome it had.
    pub outcomes: Vec<Outcome>,
    ends: Option<(String, String)>,
}

/// An outbox that keeps the promises of the real one: one operation per record in flight, in order, each
/// settled once.
#[derive(Clone, Default)]
pub struct Memory(pub Rc<RefCell<Inside>>);

#[derive(Default)]
pub struct Inside {
    pub rows: Vec<Row>,
    pub remote: BTreeMap<String, String>,
    acked: BTreeMap<String, u64>,
    /// This many calls of `settle` fail.
    pub broken_settles: u32,
    pub claims: u32,
}

impl Memory {
    /// Adds an operation.
    pub fn push(&self, kind: RecordKind, operation: Operation, body: &Json) {
        let record = body["id"].as_str().unwrap().to_owned();
        let rev = body["rev"].as_u64().unwrap_or(1);
        let ends = (kind == RecordKind::Link).then(|| {
            (body["incident"].as_str().unwrap().to_owned(), body["problem"].as_str().unwrap().to_owned())
        });
        let job = Job {
            kind,
            rev,
            acked_rev: 0,
            operation,
            operation_key: format!("sx-{record}-{rev}-{}", operation.letter()),
            record_key: format!("sx-{record}"),
            remote_id: None,
            remote_problem: None,
            unknown: false,
            doubt_at: None,
            claimed_at: Stamp(0),
            attempts: 0,
            body: body.clone(),
            record,
        };
        let row = Row { job, state: State::Pending, next: Stamp(0), outcomes: Vec::new(), ends };
        self.0.borrow_mut().rows.push(row);
    }

    /// How many operations are in that state.
    pub fn count(&self, state: State) -> usize {
        self.0.borrow().rows.iter().filter(|r| r.state == state).count()
    }

    /// True when every operation is stored.
    pub fn all_stored(&self) -> bool {
        let inside = self.0.borrow();
        inside.rows.iter().all(|r| r.state == State::Stored)
    }

    /// All outcomes in the order of the rows.
    pub fn outcomes(&self) -> Vec<Outcome> {
        self.0.borrow().rows.iter().flat_map(|r| r.outcomes.clone()).collect()
    }
}

impl Outbox for Memory {
    async fn claim(&self, _destination: &str, max: usize, now: Stamp) -> Result<Vec<Job>, String> {
        let mut inside = self.0.borrow_mut();
        inside.claims += 1;
        let mut jobs = Vec::new();
        for i in 0..inside.rows.len() {
            let row = &inside.rows[i];
            let waits_for = |r: &Row| r.job.record == row.job.record && r.state != State::Stored;
            let blocked = inside.rows[..i].iter().any(waits_for);
            if jobs.len() == max || row.state != State::Pending || row.next > now || blocked {
                continue;
            }
            let (incident, problem) = match &row.ends {
                Some((incident, problem)) => (incident.clone(), Some(problem.clone())),
                None => (row.job.record.clone(), None),
            };
            let remote = inside.remote.get(&incident).cloned();
            let remote_problem = problem.as_ref().and_then(|p| inside.remote.get(p).cloned());
            if problem.is_some() && (remote.is_none() || remote_problem.is_none()) {
                continue;
            }
            let acked = inside.acked.get(&row.job.record).copied().unwrap_or(0);
            let row = &mut inside.rows[i];
            row.state = State::Sending;
            (row.job.remote_id, row.job.remote_problem, row.job.acked_rev) = (remote, remote_problem, acked);
            jobs.push(row.job.clone());
            row.job.attempts += 1;
        }
        Ok(jobs)
    }

    async fn settle(&self, _destination: &str, settled: Vec<Settled>, _now: Stamp) -> Result<(), String> {
        let mut inside = self.0.borrow_mut();
        if inside.broken_settles > 0 {
            inside.broken_settles -= 1;
            return Err("database is locked".to_owned());
        }
        for s in settled {
            let found =
                |r: &&mut Row| r.job.record == s.record && r.job.rev == s.rev && r.state == State::Sending;
            let row = inside.rows.iter_mut().find(found).expect("only what was claimed is settled, and once");
            row.outcomes.push(s.outcome.clone());
            row.next = s.next;
            match s.outcome {
                Outcome::Stored { remote_id, .. } => {
                    row.state = State::Stored;
                    row.job.unknown = false;
                    let (record, rev) = (row.job.record.clone(), row.job.rev);
                    inside.acked.insert(record.clone(), rev);
                    inside.remote.extend(remote_id.map(|id| (record, id)));
                }
                Outcome::Refused { .. } => row.state = State::Parked,
                Outcome::Retry { unknown, .. } => {
                    row.state = State::Pending;
                    row.job.unknown |= unknown;
                }
                Outcome::Pause { .. } => row.state = State::Pending,
            }
        }
        Ok(())
    }

    async fn held(&self, _destination: &str, _after: i64, _max: usize) -> Result<Vec<Held>, String> {
        Ok(Vec::new())
    }

    async fn next_due(&self, _destination: &str) -> Result<Option<Stamp>, String> {
        let inside = self.0.borrow();
        Ok(inside.rows.iter().filter(|r| r.state == State::Pending).map(|r| r.next).min())
    }
}
