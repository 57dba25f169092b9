//! The frame that runs collectors: one task for all that are polled, one for each that tells.
//!
//! Everything due at one moment is read in one go and leaves as one batch, so that a host at rest wakes the
//! daemon once per interval. A reload restarts only what changed by value; the successor of a collector
//! inherits its ledger, so that instances it no longer sees are said farewell to. A collector that cannot be
//! made is a failing one and is tried again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::sync::mpsc::Sender;
use tokio::task::JoinHandle;

use super::ledger::{CollectorStatus, Ledger, lock};
use super::tell::{Beat, remaining};
use super::{Poll, Source, Spec, TABLE, Tell};
use crate::clock::Clock;
use crate::engine::moment::Moment;
use crate::engine::option::CollectorPlan;
use crate::engine::signal::{Instance, Observation};

/// The running collectors. Dropping it stops them all.
pub struct Collectors {
    shared: Arc<Shared>,
    clock: Clock,
    epoch: i64,
    tx: Sender<Vec<Observation>>,
    _poller: Aborting,
}

/// Starts the collectors of `plans`; the first readings are taken at once. Must be called inside a runtime.
pub fn spawn(plans: &[CollectorPlan], clock: Clock, tx: Sender<Vec<Observation>>) -> Collectors {
    spawn_from(TABLE, plans, clock, tx)
}

/// As [`spawn`], with another table.
pub(super) fn spawn_from(
    table: &'static [&'static Spec],
    plans: &[CollectorPlan],
    clock: Clock,
    tx: Sender<Vec<Observation>>,
) -> Collectors {
    let shared = Arc::new(Shared { table, crew: Mutex::default(), changed: Notify::new() });
    let poller = Aborting(tokio::spawn(run(Arc::clone(&shared), clock, tx.clone())));
    let epoch = clock.now().mono;
    let mut collectors = Collectors { shared, clock, epoch, tx, _poller: poller };
    collectors.reconfigure(plans);
    collectors
}

impl Collectors {
    /// Goes over to `plans`: starts what is new, stops what is gone, restarts what changed and leaves the
    /// rest alone.
    pub fn reconfigure(&mut self, plans: &[CollectorPlan]) {
        let now = self.clock.now();
        let mut crew = self.shared.crew();
        let mut before = std::mem::take(&mut crew.members);
        for plan in plans {
            let Some(spec) = self.shared.table.iter().find(|s| s.door.kind == plan.kind) else {
                tracing::warn!(collector = plan.kind, "this build has no such collector");
                continue;
            };
            let member = match before.remove(plan.kind) {
                Some(running) if running.plan == *plan => running,
                other => Member::new(spec, plan, self.tell(plan, other.map(|o| o.tell)), now),
            };
            crew.members.insert(plan.kind, member);
        }
        for (_, stopped) in before {
            lock(&stopped.tell.ledger).end(now, &mut crew.farewells);
        }
        drop(crew);
        self.shared.changed.notify_one();
    }

    /// What [`Collectors::reconfigure`] with `plans` would say farewell to, because its collector is switched
    /// off.
    pub fn lost(&self, plans: &[CollectorPlan]) -> Vec<Arc<Instance>> {
        let crew = self.shared.crew();
        let stopped = crew.members.values().filter(|m| plans.iter().all(|plan| plan.kind != m.plan.kind));
        stopped.flat_map(|m| lock(&m.tell.ledger).instances()).collect()
    }

    /// How each collector fares, by kind.
    pub fn status(&self) -> Vec<CollectorStatus> {
        self.shared.crew().members.values().map(|m| lock(&m.tell.ledger).status()).collect()
    }

    /// Reads every polled collector now, due or not, in place of its next tick. For those who want to know
    /// what a cycle costs.
    pub fn read_now(&self) -> Vec<Observation> {
        self.shared.tick(self.clock, i64::MAX)
    }

    fn tell(&self, plan: &CollectorPlan, before: Option<Tell>) -> Tell {
        let ledger = match before {
            Some(tell) => tell.ledger,
            None => Arc::new(Mutex::new(Ledger::new(plan.kind))),
        };
        let beat = Beat::new(self.epoch, plan.interval);
        Tell { clock: self.clock, beat, tx: self.tx.clone(), ledger }
    }
}

impl Drop for Collectors {
    fn drop(&mut self) {
        self.shared.crew().members.clear();
    }
}

struct Shared {
    table: &'static [&'static Spec],
    crew: Mutex<Crew>,
    changed: Notify,
}

#[derive(Default)]
struct Crew {
    members: BTreeMap<&'static str, Member>,
    /// What stopped collectors leave behind, sent with the next batch.
    farewells: Vec<Observation>,
}

struct Member {
    spec: &'static Spec,
    plan: CollectorPlan,
    tell: Tell,
    work: Work,
    /// Steady time of the next reading.
    due: i64,
}

enum Work {
    Poll(Box<dyn Poll>),
    Tell(#[expect(dead_code, reason = "held to be aborted with the member")] Aborting),
    /// It could not be made, or not yet.
    Waiting,
}

/// A task that ends with its handle.
struct Aborting(JoinHandle<()>);

impl Drop for Aborting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Shared {
    fn crew(&self) -> MutexGuard<'_, Crew> {
        self.crew.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads everything that is due at the steady time `until`.
    fn tick(&self, clock: Clock, until: i64) -> Vec<Observation> {
        let mut crew = self.crew();
        let mut batch = std::mem::take(&mut crew.farewells);
        for member in crew.members.values_mut().filter(|m| m.due <= until) {
            member.turn(clock, &mut batch);
        }
        batch
    }

    /// When the next reading is due.
    fn due(&self) -> i64 {
        let crew = self.crew();
        if crew.farewells.is_empty() {
            crew.members.values().map(|m| m.due).min().unwrap_or(i64::MAX)
        } else {
            0
        }
    }
}

async fn run(shared: Arc<Shared>, clock: Clock, tx: Sender<Vec<Observation>>) {
    loop {
        match remaining(clock.now(), shared.due()) {
            None => {
                let batch = shared.tick(clock, clock.now().mono);
                if !batch.is_empty() && tx.send(batch).await.is_err() {
                    return;
                }
            }
            Some(left) => tokio::select! {
                () = shared.changed.notified() => {}
                () = tokio::time::sleep(left) => {}
            },
        }
    }
}

impl Member {
    fn new(spec: &'static Spec, plan: &CollectorPlan, tell: Tell, now: Moment) -> Self {
        Self { spec, plan: plan.clone(), tell, work: Work::Waiting, due: now.mono }
    }

    /// Takes one reading into `batch`, or makes the collector first.
    fn turn(&mut self, clock: Clock, batch: &mut Vec<Observation>) {
        let now = clock.now();
        self.due = self.tell.beat.after(now.mono);
        let from = batch.len();
        let read = self.make().and_then(|poll| match poll {
            Some(poll) => poll.poll(now, batch).map(|()| true),
            None => Ok(false),
        });
        let interval = self.tell.interval();
        let mut ledger = lock(&self.tell.ledger);
        match read {
            Ok(true) => {
                batch[from..].iter_mut().for_each(|o| o.interval = interval);
                ledger.whole(now, interval, batch, from);
                ledger.cost(clock.now().mono - now.mono);
            }
            Ok(false) => self.due = i64::MAX,
            Err(reason) => {
                batch.truncate(from);
                ledger.failed(now, interval, &reason, batch);
            }
        }
    }

    /// The collector to be asked; `None` when it tells on its own.
    fn make(&mut self) -> Result<Option<&mut dyn Poll>, String> {
        if matches!(self.work, Work::Waiting) {
            self.work = match (self.spec.build)(&self.plan, &self.tell)? {
                Source::Poll(poll) => Work::Poll(poll),
                Source::Tell(task) => Work::Tell(Aborting(tokio::spawn(task))),
            };
        }
        Ok(match &mut self.work {
            Work::Poll(poll) => Some(poll.as_mut()),
            Work::Tell(_) | Work::Waiting => None,
        })
    }
}
