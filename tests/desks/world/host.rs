//! The host of the harness: the real pump on the real store, and a way to kill it at any moment.
//!
//! Pumps are tasks of one [`LocalSet`]; dropping it is the crash: what was sent is on its way, what was
//! awaited is never learned. The store is opened anew from its directory, as after a `kill -9`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use sexton::clock::Clock;
use sexton::engine::effect::{Command, Held, Job, Line, Operation, Outbox, OutboxRow, Outcome, Settled};
use sexton::engine::moment::{SECOND, Stamp};
use sexton::engine::option::{DestinationPlan, Filter, OptionValue, Options, SecretRef, StorePlan};
use sexton::engine::record::HostRef;
use sexton::forward::connector::Connector;
use sexton::forward::pace::Backoff;
use sexton::forward::{Forward, Setting, Tuning, spawn};
use sexton::store::{Commit, Loaded, OutboxView, Store, StoreError};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::LocalSet;

use super::server::Server;
use super::{Desk, View};

/// The longest any condition is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where a product is and where secrets may be put.
pub struct Base<'a> {
    /// `http://127.0.0.1:port`.
    pub url: &'a str,
    dir: &'a Path,
}

impl Base<'_> {
    /// A text.
    pub fn text(&self, value: &str) -> OptionValue {
        OptionValue::Text(value.to_owned())
    }

    /// A secret, put into a file.
    pub fn secret(&self, value: &str) -> OptionValue {
        let file = self.dir.join(format!("secret-{value}"));
        std::fs::write(&file, value).unwrap();
        OptionValue::Secret(SecretRef::File(file.to_str().unwrap().to_owned()))
    }

    /// A map of names.
    pub fn map(&self, entries: &[(&str, &str)]) -> OptionValue {
        OptionValue::Map(entries.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }
}

/// A product under test.
pub struct Product<D> {
    /// The connector's kind.
    pub kind: &'static str,
    /// A fresh installation as the documentation asks for it.
    pub desk: fn() -> D,
    /// The options of the destination.
    pub options: fn(&Base) -> Vec<(&'static str, OptionValue)>,
    /// Every operation's marker stands in the ticket exactly once.
    pub comments: bool,
    /// Incidents are tied to problems.
    pub links: bool,
    /// What must hold of a ticket beside; panics when it does not. The record is as it was sent last.
    pub check: fn(&View, &serde_json::Value),
}

/// An operation that the pump settled as stored.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stored {
    pub record: String,
    pub operation: Operation,
    /// `sx-<id>-<rev>-<letter>`.
    pub key: String,
}

/// What was claimed and what was stored, over all lives of the host.
#[derive(Default)]
pub struct Ledger {
    claimed: BTreeMap<(String, u64), Stored>,
    /// Each operation once, in no order.
    pub stored: Vec<Stored>,
}

/// The store as outbox, watched.
#[derive(Clone)]
struct Watched {
    store: Store,
    ledger: Rc<RefCell<Ledger>>,
}

impl Outbox for Watched {
    async fn claim(&self, destination: &str, max: usize, now: Stamp) -> Result<Vec<Job>, String> {
        self.claim_in(Line::default(), destination, max, now).await
    }

    async fn claim_in(
        &self,
        line: Line,
        destination: &str,
        max: usize,
        now: Stamp,
    ) -> Result<Vec<Job>, String> {
        let jobs = self.store.claim_in(line, destination, max, now).await?;
        let mut ledger = self.ledger.borrow_mut();
        for job in &jobs {
            let (record, operation, key) = (job.record.clone(), job.operation, job.operation_key.clone());
            let claimed = Stored { record: record.clone(), operation, key };
            ledger.claimed.insert((record, job.rev), claimed);
        }
        Ok(jobs)
    }

    async fn settle(&self, destination: &str, settled: Vec<Settled>, now: Stamp) -> Result<(), String> {
        {
            let mut ledger = self.ledger.borrow_mut();
            for s in settled.iter().filter(|s| matches!(s.outcome, Outcome::Stored { .. })) {
                let claimed = ledger.claimed.get(&(s.record.clone(), s.rev)).cloned();
                let claimed = claimed.expect("only what was claimed is settled");
                if !ledger.stored.contains(&claimed) {
                    ledger.stored.push(claimed);
                }
            }
        }
        self.store.settle(destination, settled, now).await
    }

    async fn held(&self, destination: &str, after: i64, max: usize) -> Result<Vec<Held>, String> {
        self.store.held(destination, after, max).await
    }

    async fn next_due(&self, destination: &str) -> Result<Option<Stamp>, String> {
        self.store.next_due(destination).await
    }
}

/// One life of the host. Order matters: the pumps end before the handle of the store goes.
struct Life {
    forward: Forward,
    local: LocalSet,
    store: Store,
    remotes: mpsc::Receiver<Command>,
}

/// A host, a product, and the wire between them.
pub struct World<D: Desk> {
    /// The product's server.
    pub server: Server<D>,
    /// What the pump did.
    pub ledger: Rc<RefCell<Ledger>>,
    /// What is run against it.
    pub plan: DestinationPlan,
    life: Option<Life>,
    runtime: Runtime,
    dir: tempfile::TempDir,
}

impl<D: Desk> World<D> {
    /// A product as documented and a host with an empty store; nothing runs before [`World::start`].
    pub fn new(product: &Product<D>, seed: u64) -> Self {
        let server = Server::start((product.desk)(), seed);
        let dir = tempfile::tempdir().unwrap();
        let entries = (product.options)(&Base { url: &server.url, dir: dir.path() });
        let entries: BTreeMap<String, OptionValue> =
            entries.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        let connector = Connector::find(product.kind).expect("the connector stands in the table");
        let options = Options(defaults(connector, entries));
        (connector.door.check)(&options).expect("the options are complete");
        let plan = DestinationPlan {
            id: product.kind.to_owned(),
            kind: product.kind,
            filter: Filter::default(),
            pace: 0.0,
            timeout: SECOND,
            read_back: 0,
            gone: sexton::engine::option::Gone::default(),
            fallback: None,
            digest: None,
            options,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { server, ledger: Rc::default(), plan, life: None, runtime, dir }
    }

    /// Begins a life of the host.
    pub fn start(&mut self) {
        let (store, loaded) = self.open();
        let local = LocalSet::new();
        let (sender, remotes) = mpsc::channel(1000);
        let outbox = Watched { store: store.clone(), ledger: Rc::clone(&self.ledger) };
        let setting =
            Setting { tuning: tuning(), ..Setting::new(host(), loaded.born, Clock::start(), sender) };
        let plans = [self.plan.clone()];
        let forward = self.runtime.block_on(local.run_until(async { spawn(&plans, outbox, setting) }));
        self.life = Some(Life { forward, local, store, remotes });
    }

    /// The host dies: nothing is finished, nothing is told.
    pub fn crash(&mut self) {
        if let Some(Life { forward, local, store, remotes }) = self.life.take() {
            drop(local);
            drop((forward, store, remotes));
        }
    }

    /// The store is lost with everything in it.
    pub fn lose_store(&mut self) {
        self.crash();
        // The directory is only free once the thread of the store has ended.
        self.freed();
        std::fs::remove_dir_all(self.store_dir()).unwrap();
    }

    fn freed(&self) {
        let (store, _) = self.open();
        self.runtime.block_on(store.close());
    }

    fn store_dir(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    fn open(&self) -> (Store, Loaded) {
        let plan =
            StorePlan { dir: self.store_dir(), outbox_limit: 64 << 20, journal_limit: 400 * 86_400 * SECOND };
        let began = Instant::now();
        loop {
            match Store::open(&plan) {
                Err(StoreError::Locked { .. }) if began.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                other => return other.unwrap(),
            }
        }
    }

    fn life(&self) -> &Life {
        self.life.as_ref().expect("the host lives")
    }

    fn block<T>(&self, future: impl Future<Output = T>) -> T {
        let life = self.life();
        self.runtime.block_on(life.local.run_until(future))
    }

    /// Commits new revisions as the engine does, and wakes the pump.
    pub fn commit(&self, rows: Vec<OutboxRow>) {
        self.block(async {
            self.life().store.commit(Commit { outbox: rows, ..Commit::default() }).await.unwrap();
        });
        self.life().forward.wake();
    }

    /// Lets the pump run for so long.
    pub fn run(&self, time: Duration) {
        self.block(async { tokio::time::sleep(time).await });
    }

    /// Runs until the condition holds; panics with the product's log when it does not for a minute.
    pub fn until(&mut self, what: &str, mut condition: impl FnMut(&mut Self) -> bool) {
        let began = Instant::now();
        while !condition(self) {
            assert!(began.elapsed() < PATIENCE, "not within a minute: {what}\n{}", self.story());
            self.run(Duration::from_millis(5));
        }
    }

    /// All rows of the outbox.
    pub fn rows(&self) -> Vec<OutboxView> {
        self.block(self.life().store.outbox_rows(10_000)).unwrap()
    }

    /// Runs until the destination holds everything; panics when something was parked.
    pub fn settle(&mut self) {
        self.until("everything is stored", |w| {
            let rows = w.rows();
            if let Some(row) = rows.iter().find(|r| r.state == "parked") {
                panic!("parked: {row:?}\n{}", w.story());
            }
            rows.iter().all(|r| r.state == "acked")
        });
    }

    /// The same, for so long at most.
    pub fn settle_within(&mut self, time: Duration) {
        let began = Instant::now();
        while began.elapsed() < time && self.rows().iter().any(|r| r.state != "acked") {
            self.run(Duration::from_millis(10));
        }
    }

    /// State of the destination and why.
    pub fn status(&self) -> (String, String) {
        let status = self.life().forward.status();
        (status[0].state.clone(), status[0].reason.clone().unwrap_or_default())
    }

    /// What was read back since the last call.
    pub fn remotes(&mut self) -> Vec<Command> {
        let life = self.life.as_mut().expect("the host lives");
        std::iter::from_fn(|| life.remotes.try_recv().ok()).collect()
    }

    /// The tickets of that record, by its key or one derived from it.
    pub fn tickets(&self, record: &str) -> Vec<View> {
        let key = format!("sx-{record}");
        self.server.desk().tickets().into_iter().filter(|t| t.key.starts_with(&key)).collect()
    }

    /// The far end's id of the record.
    pub fn remote_id(&self, record: &str) -> Option<String> {
        self.rows().into_iter().find(|r| r.record == record)?.remote_id
    }

    /// What happened lately, for a failed test.
    pub fn story(&self) -> String {
        let rows: Vec<String> = match &self.life {
            Some(_) => self.rows().iter().filter(|r| r.state != "acked").map(|r| format!("{r:?}")).collect(),
            None => Vec::new(),
        };
        let state = self.life.as_ref().map(|_| self.status());
        format!("{state:?}\n{}\n{}", rows.join("\n"), self.server.log(60).join("\n"))
    }
}

impl<D: Desk> Drop for World<D> {
    fn drop(&mut self) {
        self.crash();
    }
}

/// The options with the defaults of those left out, as `config` gives them.
fn defaults(connector: &Connector, mut set: BTreeMap<String, OptionValue>) -> BTreeMap<String, OptionValue> {
    use sexton::engine::option::OptionKind as K;
    for spec in connector.door.options {
        let text = |s: &&str| (*s).to_owned();
        let default = match spec.kind {
            K::Text(Some(t)) => Some(OptionValue::Text(t.to_owned())),
            K::Choice(words) => words.first().map(|w| OptionValue::Text((*w).to_owned())),
            K::List(words) if !words.is_empty() => Some(OptionValue::List(words.iter().map(text).collect())),
            K::Bool(b) => Some(OptionValue::Bool(b)),
            K::Int(n, ..) => Some(OptionValue::Int(n)),
            K::Duration(n) if n > 0 => Some(OptionValue::Duration(n)),
            K::RequiredText | K::RequiredSecret => {
                assert!(set.contains_key(spec.key), "option {} must be set", spec.key);
                None
            }
            _ => None,
        };
        if let Some(value) = default {
            set.entry(spec.key.to_owned()).or_insert(value);
        }
    }
    for key in set.keys() {
        assert!(connector.door.options.iter().any(|o| o.key == key), "there is no option {key}");
    }
    set
}

/// Short waits, so that a run of many failures takes seconds.
fn tuning() -> Tuning {
    Tuning {
        backoff: Backoff { least: SECOND / 50, most: SECOND / 5 },
        pause: SECOND / 5,
        tick: Duration::from_secs(1),
        grace: Duration::from_millis(300),
        store_retry: Duration::from_millis(20),
        ..Tuning::default()
    }
}

/// The host of all records here.
fn host() -> HostRef {
    HostRef { id: "0123456789abcdef".to_owned(), name: "web-01".to_owned() }
}
