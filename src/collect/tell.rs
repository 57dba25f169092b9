//! How a collector speaks between two ticks of the frame, and how its own tasks keep step with them.
//!
//! A [`Tell`] belongs to one collector. Its batches go the same way as the polled ones. [`Beat`] gives every
//! task the same phase, so that timers of equal intervals fire in one wake-up.

use std::time::Duration;

use tokio::sync::mpsc::Sender;

use super::ledger::{Shared, lock};
use crate::clock::Clock;
use crate::engine::moment::{MINUTE, Moment};
use crate::engine::signal::Observation;

/// A collector's own voice; cheap to copy.
#[derive(Clone)]
pub struct Tell {
    pub(super) clock: Clock,
    pub(super) beat: Beat,
    pub(super) tx: Sender<Vec<Observation>>,
    pub(super) ledger: Shared,
}

impl Tell {
    /// Now.
    pub fn now(&self) -> Moment {
        self.clock.now()
    }

    /// The interval of the collector in nanoseconds.
    pub fn interval(&self) -> i64 {
        self.beat.interval
    }

    /// Tells everything there is: instances told before and not in `batch` have gone. `interval` is that of
    /// `sexton.ok`.
    pub async fn whole(&self, interval: i64, mut batch: Vec<Observation>) {
        lock(&self.ledger).whole(self.now(), interval, &mut batch, 0);
        self.send(batch).await;
    }

    /// Tells about some instances.
    pub async fn some(&self, batch: Vec<Observation>) {
        lock(&self.ledger).some(&batch);
        self.send(batch).await;
    }

    /// Tells that the collector cannot read, together with what it still has to say.
    pub async fn failed(&self, interval: i64, reason: &str, mut batch: Vec<Observation>) {
        lock(&self.ledger).failed(self.now(), interval, reason, &mut batch);
        self.send(batch).await;
    }

    /// Enters what a reading cost in nanoseconds.
    pub fn cost(&self, ns: i64) {
        lock(&self.ledger).cost(ns);
    }

    /// Waits for the next beat after `last` (0 = at once) and returns its time.
    pub async fn next_beat(&self, last: i64) -> i64 {
        let due = if last == 0 { self.now().mono } else { self.beat.after(self.now().mono.max(last)) };
        self.sleep_until(due).await;
        due
    }

    /// Waits until the steady time `due`.
    pub async fn sleep_until(&self, due: i64) {
        while let Some(left) = remaining(self.now(), due) {
            tokio::time::sleep(left).await;
        }
    }

    async fn send(&self, batch: Vec<Observation>) {
        // The receiver is gone only while the daemon ends; then nobody wants to hear it.
        if !batch.is_empty() && self.tx.send(batch).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// How long to sleep from `now` to `due`; `None` when it has come. Never longer than a minute, because the
/// timer does not count suspension and the clock does: ask again after the sleep.
pub(super) fn remaining(now: Moment, due: i64) -> Option<Duration> {
    let ns = due.saturating_sub(now.mono);
    (ns > 0).then(|| Duration::from_nanos(ns.min(MINUTE).unsigned_abs()))
}

/// The ticks of an interval, counted from a common start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beat {
    /// Steady time of the common start.
    pub epoch: i64,
    /// Distance of two ticks in nanoseconds, at least [`INTERVAL_MIN`].
    pub interval: i64,
}

/// The shortest interval; a shorter one counts as this.
pub(super) const INTERVAL_MIN: i64 = 100_000_000;

impl Beat {
    /// Ticks every `interval` nanoseconds from `epoch` on.
    pub fn new(epoch: i64, interval: i64) -> Self {
        Self { epoch, interval: interval.max(INTERVAL_MIN) }
    }

    /// The first tick that is at least half an interval after `now`: missed ticks are left out, and a
    /// collector that starts between two ticks does not read twice in a row.
    pub fn after(self, now: i64) -> i64 {
        let since = now - self.epoch;
        let next = self.epoch + (since.div_euclid(self.interval) + 1) * self.interval;
        if next - now < self.interval / 2 { next + self.interval } else { next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beats_keep_their_phase() {
        let beat = Beat { epoch: 5, interval: 100 };
        for (now, next) in [(5, 105), (6, 105), (55, 105), (56, 205), (104, 205), (105, 205), (391, 505)] {
            assert_eq!(beat.after(now), next, "after {now}");
        }
    }

    #[test]
    fn an_interval_of_nothing_is_not_a_busy_loop() {
        assert_eq!(Beat::new(0, 0).interval, INTERVAL_MIN);
    }
}
