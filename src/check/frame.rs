//! The frame that runs checks: one task each, at its interval, within its timeout.
//!
//! The first probe is delayed by a jitter made from the check's id, so that many checks do not start together
//! and each always starts alike. A probe never overlaps itself. A reload restarts what changed by value; a
//! check that is gone says farewell.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::mpsc::Sender;
use tokio::task::JoinHandle;

use super::{Check, Probe, Spec, TABLE, install_tls};
use crate::clock::Clock;
use crate::engine::moment::{MINUTE, Moment, SECOND, Stamp, human};
use crate::engine::option::CheckPlan;
use crate::engine::signal::{Class, Instance, Metric, Observation, metric};

const UP: Metric = metric("check.up");
const LATENCY: Metric = metric("check.latency");
const CERT_LEFT: Metric = metric("check.cert_left");
/// The shortest interval; a shorter one counts as this.
const INTERVAL_MIN: i64 = SECOND / 10;
/// The longest delay of the first probe; it is also at most a tenth of the interval.
const JITTER_MAX: i64 = SECOND;

/// How a check fares.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CheckStatus {
    /// Its id.
    pub id: String,
    /// Its kind.
    pub kind: &'static str,
    /// Result of the last probe; `None` before the first and while the check cannot be made.
    pub up: Option<bool>,
    /// Last success.
    pub last_ok: Option<Stamp>,
    /// Why the last probe failed.
    pub error: Option<String>,
    /// Duration of the last successful probe in seconds.
    pub latency: Option<f64>,
    /// Probes so far.
    pub runs: u64,
}

/// The running checks. Dropping it stops them all.
pub struct Checks {
    clock: Clock,
    tx: Sender<Vec<Observation>>,
    running: BTreeMap<String, Running>,
}

/// Starts the checks of `plans`. Must be called inside a runtime.
pub fn spawn(plans: &[CheckPlan], clock: Clock, tx: Sender<Vec<Observation>>) -> Checks {
    install_tls();
    let mut checks = Checks { clock, tx, running: BTreeMap::new() };
    checks.reconfigure(plans);
    checks
}

impl Checks {
    /// Goes over to `plans`: starts what is new, stops what is gone, restarts what changed and leaves the
    /// rest alone. Must be called inside a runtime.
    pub fn reconfigure(&mut self, plans: &[CheckPlan]) {
        let mut before = std::mem::take(&mut self.running);
        for plan in plans {
            let Some(spec) = TABLE.iter().find(|s| s.door.kind == plan.kind) else {
                tracing::warn!(check = plan.id, kind = plan.kind, "this build has no such kind of check");
                continue;
            };
            let running = match before.remove(&plan.id) {
                Some(same) if same.plan == *plan => same,
                _ => self.start(spec, plan),
            };
            self.running.insert(plan.id.clone(), running);
        }
        let now = self.clock.now();
        let gone = |r: &Running| {
            let mut last = Observation::new(now, instance(&r.plan), 0);
            last.gone = true;
            last
        };
        let farewells: Vec<_> = before.values().map(gone).collect();
        drop(before);
        if !farewells.is_empty() {
            let tx = self.tx.clone();
            // Nobody hears it while the daemon ends.
            tokio::spawn(async move { drop(tx.send(farewells).await) });
        }
    }

    /// What [`Checks::reconfigure`] with `plans` would say farewell to.
    pub fn lost(&self, plans: &[CheckPlan]) -> Vec<Arc<Instance>> {
        let is_kept = |id: &str| plans.iter().any(|plan| plan.id == id);
        self.running.values().filter(|r| !is_kept(&r.plan.id)).map(|r| instance(&r.plan)).collect()
    }

    /// How each check fares, by id.
    pub fn status(&self) -> Vec<CheckStatus> {
        self.running.values().map(|r| lock(&r.status).clone()).collect()
    }

    fn start(&self, spec: &'static Spec, plan: &CheckPlan) -> Running {
        let status = CheckStatus { id: plan.id.clone(), kind: plan.kind, ..CheckStatus::default() };
        let status = Arc::new(Mutex::new(status));
        let runner = Runner {
            spec,
            plan: plan.clone(),
            instance: instance(plan),
            clock: self.clock,
            status: Arc::clone(&status),
            check: None,
        };
        let task = tokio::spawn(runner.run(self.tx.clone()));
        Running { plan: plan.clone(), status, task }
    }
}

struct Running {
    plan: CheckPlan,
    status: Arc<Mutex<CheckStatus>>,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(status: &Mutex<CheckStatus>) -> MutexGuard<'_, CheckStatus> {
    status.lock().unwrap_or_else(PoisonError::into_inner)
}

fn instance(plan: &CheckPlan) -> Arc<Instance> {
    Instance::of(Class::Check, &[("check", &plan.id), ("kind", plan.kind)])
}

struct Runner {
    spec: &'static Spec,
    plan: CheckPlan,
    instance: Arc<Instance>,
    clock: Clock,
    status: Arc<Mutex<CheckStatus>>,
    check: Option<Box<dyn Check>>,
}

impl Runner {
    async fn run(mut self, tx: Sender<Vec<Observation>>) {
        let interval = self.plan.interval.max(INTERVAL_MIN);
        let mut due = self.clock.now().mono + jitter(&self.plan.id, interval);
        loop {
            sleep_until(self.clock, due).await;
            let seen = self.turn().await;
            if tx.send(vec![seen]).await.is_err() {
                return;
            }
            let late = (self.clock.now().mono - due).max(0);
            due += (late / interval + 1) * interval;
        }
    }

    async fn turn(&mut self) -> Observation {
        let started = self.clock.now();
        let probe = match self.check.take().map_or_else(|| (self.spec.build)(&self.plan), Ok) {
            Ok(mut check) => {
                let limit = Duration::from_nanos(self.plan.timeout.max(1).unsigned_abs());
                let probe = tokio::time::timeout(limit, check.probe()).await;
                let silent = || Probe::plain(Err(format!("no answer within {}", human(self.plan.timeout))));
                let probe = probe.unwrap_or_else(|_| silent());
                self.check = Some(check);
                Ok(probe)
            }
            Err(reason) => Err(reason),
        };
        let now = self.clock.now();
        let latency = (now.mono - started.mono) as f64 / SECOND as f64;
        self.enter(&probe, latency, now);
        observation(&self.instance, self.plan.interval, &probe, latency, now)
    }

    /// Writes down how it went; a change is logged, a repetition is not.
    fn enter(&self, probe: &Result<Probe, String>, latency: f64, now: Moment) {
        let (up, error) = match probe {
            Ok(Probe { up: Ok(()), .. }) => (Some(true), None),
            Ok(Probe { up: Err(reason), .. }) => (Some(false), Some(reason.clone())),
            Err(reason) => (None, Some(reason.clone())),
        };
        let mut status = lock(&self.status);
        if status.up != up || status.runs == 0 {
            match &error {
                Some(reason) => tracing::warn!(check = self.plan.id, reason, "check failed"),
                None => tracing::info!(check = self.plan.id, "check is up"),
            }
        }
        status.runs += 1;
        (status.up, status.error) = (up, error);
        if up == Some(true) {
            (status.last_ok, status.latency) = (Some(now.stamp()), Some(latency));
        }
    }
}

async fn sleep_until(clock: Clock, due: i64) {
    // A bounded sleep, because the timer does not count suspension and the clock does.
    loop {
        let left = due - clock.now().mono;
        if left <= 0 {
            return;
        }
        tokio::time::sleep(Duration::from_nanos(left.min(MINUTE).unsigned_abs())).await;
    }
}

fn observation(
    instance: &Arc<Instance>,
    interval: i64,
    probe: &Result<Probe, String>,
    latency: f64,
    now: Moment,
) -> Observation {
    let seen = Observation::new(now, Arc::clone(instance), interval);
    let Ok(probe) = probe else { return seen.without(UP).without(LATENCY) };
    let up = probe.up.is_ok();
    let seen = seen.with(UP, up);
    let seen = if up { seen.with(LATENCY, latency) } else { seen.without(LATENCY) };
    match probe.not_after {
        Some(at) => seen.with(CERT_LEFT, (at as f64) - now.wall as f64 / SECOND as f64),
        None => seen,
    }
}

/// Delay of the first probe: a share of the tenth of the interval, by FNV-1a of the id.
fn jitter(id: &str, interval: i64) -> i64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let hash = id.bytes().fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    let span = (interval / 10).clamp(1, JITTER_MAX);
    i64::try_from(hash % span.unsigned_abs()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_is_the_same_each_time_and_bounded() {
        assert_eq!(jitter("front", 10 * SECOND), jitter("front", 10 * SECOND));
        assert_ne!(jitter("front", 10 * SECOND), jitter("back", 10 * SECOND));
        for (id, interval) in [("a", 0), ("b", SECOND), ("c", MINUTE), ("d", 3600 * SECOND)] {
            let jitter = jitter(id, interval);
            assert!((0..=JITTER_MAX).contains(&jitter) && jitter <= interval / 10, "{id}: {jitter}");
        }
    }

    #[test]
    fn an_unknown_check_has_no_values_and_a_failed_one_no_latency() {
        let check = Instance::of(Class::Check, &[("check", "x")]);
        let seen = |probe| observation(&check, 1, &probe, 0.5, Moment::at(10 * SECOND)).samples;
        assert_eq!(seen(Err("no".to_owned())), [(UP, None), (LATENCY, None)]);
        let down = Probe { up: Err("500".to_owned()), not_after: Some(4) };
        assert_eq!(
            seen(Ok(down)),
            [(UP, Some(false.into())), (LATENCY, None), (CERT_LEFT, Some((-6.0).into()))]
        );
        let up = Probe::plain(Ok(()));
        assert_eq!(seen(Ok(up)), [(UP, Some(true.into())), (LATENCY, Some(0.5.into()))]);
    }
}
