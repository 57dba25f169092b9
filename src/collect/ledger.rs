//! What is known of each collector: how it fares, what it costs, and which instances it has spoken of.
//!
//! From this come `collect`'s status, the signal `sexton.ok` of each collector, and the farewell (`gone`) to
//! instances that a collector no longer sees. A failure is logged when it begins, changes its reason, or
//! ends: never per tick.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::engine::moment::{Moment, Stamp};
use crate::engine::signal::{Class, Instance, Metric, Observation, metric};

const OK: Metric = metric("sexton.ok");
/// Weight of the newest reading in the mean cost.
const COST_WEIGHT: f64 = 0.125;

/// How a collector fares.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CollectorStatus {
    /// Its name in `[collect]`.
    pub kind: &'static str,
    /// Last good reading.
    pub last_ok: Option<Stamp>,
    /// Why the last reading failed; `None` when it was good.
    pub error: Option<String>,
    /// Readings so far, good and bad.
    pub runs: u64,
    /// What a reading costs in nanoseconds: exponentially weighted mean of the wall time, which is processor
    /// time as nothing in a reading waits; 0 for one that only tells.
    pub cost_ns: u64,
}

/// The ledger of one collector.
pub(super) struct Ledger {
    status: CollectorStatus,
    known: BTreeSet<Arc<Instance>>,
    me: Arc<Instance>,
    cost: f64,
}

/// A ledger that the frame and the collector's own tasks share.
pub(super) type Shared = Arc<Mutex<Ledger>>;

/// Locks a ledger; one poisoned by a panic elsewhere is still true.
pub(super) fn lock(ledger: &Shared) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ledger {
    /// An empty ledger of the collector `kind`.
    pub fn new(kind: &'static str) -> Self {
        let me = Instance::of(Class::Sexton, &[("part", "collector"), ("name", kind)]);
        let status = CollectorStatus { kind, ..CollectorStatus::default() };
        Self { status, known: BTreeSet::new(), me, cost: 0.0 }
    }

    /// A copy of the status.
    pub fn status(&self) -> CollectorStatus {
        self.status.clone()
    }

    /// Enters a good reading, `batch[from..]`, which holds every instance there is: whatever was known before
    /// and is not among them has gone.
    pub fn whole(&mut self, now: Moment, interval: i64, batch: &mut Vec<Observation>, from: usize) {
        let seen = || batch[from..].iter().filter(|o| !o.gone && o.instance.class != Class::Host);
        let same = seen().count() == self.known.len() && seen().all(|o| self.known.contains(&o.instance));
        if !same {
            let fresh: BTreeSet<_> = seen().map(|o| Arc::clone(&o.instance)).collect();
            let gone: Vec<_> = self.known.difference(&fresh).map(|i| farewell(now, i)).collect();
            batch.extend(gone);
            self.known = fresh;
        }
        self.good(now, interval, batch);
    }

    /// Enters a good reading of some instances only.
    pub fn some(&mut self, batch: &[Observation]) {
        for observation in batch {
            if observation.gone {
                self.known.remove(&observation.instance);
            } else if observation.instance.class != Class::Host {
                self.known.insert(Arc::clone(&observation.instance));
            }
        }
    }

    /// Enters a good turn: adds `sexton.ok`.
    pub fn good(&mut self, now: Moment, interval: i64, batch: &mut Vec<Observation>) {
        let kind = self.status.kind;
        if self.status.error.take().is_some() {
            tracing::info!(collector = kind, "collector works again");
        }
        self.status.runs += 1;
        self.status.last_ok = Some(now.stamp());
        batch.push(Observation::new(now, Arc::clone(&self.me), interval).with(OK, true));
    }

    /// Enters a failure: adds `sexton.ok = false`. What it spoke of stays known.
    pub fn failed(&mut self, now: Moment, interval: i64, reason: &str, batch: &mut Vec<Observation>) {
        let kind = self.status.kind;
        self.status.runs += 1;
        if self.status.error.as_deref() != Some(reason) {
            tracing::warn!(collector = kind, reason, "collector failed");
            self.status.error = Some(reason.to_owned());
        }
        batch.push(Observation::new(now, Arc::clone(&self.me), interval).with(OK, false));
    }

    /// Enters what a reading cost, in nanoseconds.
    pub fn cost(&mut self, ns: i64) {
        let ns = ns.max(0) as f64;
        self.cost = if self.cost == 0.0 { ns } else { self.cost + COST_WEIGHT * (ns - self.cost) };
        self.status.cost_ns = self.cost as u64;
    }

    /// Everything it has spoken of, itself last.
    pub fn instances(&self) -> Vec<Arc<Instance>> {
        self.known.iter().chain([&self.me]).map(Arc::clone).collect()
    }

    /// Says farewell to everything it has spoken of, itself included: the collector is switched off.
    pub fn end(&mut self, now: Moment, batch: &mut Vec<Observation>) {
        batch.extend(self.instances().iter().map(|i| farewell(now, i)));
        self.known.clear();
    }
}

fn farewell(now: Moment, instance: &Arc<Instance>) -> Observation {
    let mut last = Observation::new(now, Arc::clone(instance), 0);
    last.gone = true;
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: Metric = metric("disk.read");

    fn disk(name: &str) -> Observation {
        let disk = Instance::of(Class::Disk, &[("disk", name)]);
        Observation::new(Moment::at(1), disk, 1).with(READ, 1.0)
    }

    fn keys(batch: &[Observation]) -> Vec<String> {
        batch.iter().map(|o| format!("{}{}", o.instance.key(), if o.gone { " gone" } else { "" })).collect()
    }

    #[test]
    fn an_instance_missing_from_a_whole_reading_has_gone_once() {
        let mut ledger = Ledger::new("disk");
        let mut first = vec![disk("a"), disk("b")];
        ledger.whole(Moment::at(1), 1, &mut first, 0);
        let me = "sexton{part=collector,name=disk}";
        assert_eq!(keys(&first), ["disk{disk=a}", "disk{disk=b}", me]);
        let mut second = vec![disk("other collector's"), disk("b")];
        ledger.whole(Moment::at(2), 1, &mut second, 1);
        assert_eq!(keys(&second)[1..], ["disk{disk=b}", "disk{disk=a} gone", me]);
        let mut third = vec![disk("b")];
        ledger.whole(Moment::at(3), 1, &mut third, 0);
        assert_eq!(keys(&third), ["disk{disk=b}", me]);
    }

    #[test]
    fn a_failure_keeps_what_was_known_and_the_end_lets_go() {
        let mut ledger = Ledger::new("disk");
        ledger.whole(Moment::at(1), 1, &mut vec![disk("a")], 0);
        let mut batch = Vec::new();
        ledger.failed(Moment::at(2), 1, "cannot read", &mut batch);
        assert_eq!(batch[0].samples, [(OK, Some(false.into()))]);
        assert_eq!(ledger.status().error.as_deref(), Some("cannot read"));
        assert_eq!(ledger.status().last_ok, Some(Stamp(1)));
        batch.clear();
        ledger.good(Moment::at(3), 1, &mut batch);
        assert_eq!(ledger.status().error, None);
        batch.clear();
        ledger.end(Moment::at(4), &mut batch);
        assert_eq!(keys(&batch), ["disk{disk=a} gone", "sexton{part=collector,name=disk} gone"]);
    }

    #[test]
    fn cost_is_a_weighted_mean() {
        let mut ledger = Ledger::new("disk");
        ledger.cost(800);
        ledger.cost(1600);
        assert_eq!(ledger.status().cost_ns, 900);
    }
}
