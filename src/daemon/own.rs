//! The daemon's word about itself: its own signals, and what it tells systemd.
//!
//! The watchdog is fed only while every loop turns: the collectors deliver, the engine judges and commits.
//! What the far end of a destination answers does not count.

use sd_notify::NotifyState;
use tokio::signal::unix::Signal;

use super::Daemon;
use crate::engine::effect::EvidenceWanted;
use crate::engine::moment::{MINUTE, Moment, SECOND};
use crate::engine::record::Exhibit;
use crate::engine::signal::{Class, Instance, Metric, Observation, metric};

const OK: Metric = metric("sexton.ok");
const USED: Metric = metric("sexton.used");
/// A wall clock that moved this much against the steady one between two own signals has stepped
/// (nanoseconds).
const STEP: i64 = 2 * SECOND;

/// Longest time for which a share of the outbox in use is told again without asking the store (nanoseconds).
/// The store's upkeep runs when it is asked for something, so this also is its pulse.
const SHARE_AGE: i64 = MINUTE;

/// When the own signals were last given.
#[derive(Debug, Default)]
pub struct Own {
    given: i64,
    observed: i64,
    wall_ahead: Option<i64>,
    share: Share,
}

/// The share of the outbox in use. Asking wakes the store's thread: not at every interval of a host at rest.
#[derive(Debug, Default)]
struct Share {
    asked: Option<i64>,
    used: Option<f64>,
}

impl Share {
    fn is_due(&self, now: i64) -> bool {
        self.asked.is_none_or(|asked| now - asked >= SHARE_AGE)
    }
}

impl Own {
    /// Rows were added to the outbox: its share is asked for at the next opportunity.
    pub(super) fn outbox_grew(&mut self) {
        self.share.asked = None;
    }
}

impl Daemon {
    /// Signals about configuration, store, outbox and destinations; none when the last ones are younger than
    /// the interval.
    pub(super) async fn own_signals(&mut self, now: Moment) -> Vec<Observation> {
        self.own.observed = now.mono;
        let interval = self.config.interval;
        if self.own.given != 0 && now.mono - self.own.given < interval / 2 {
            return Vec::new();
        }
        self.own.given = now.mono;
        if !self.config.destinations.is_empty() {
            self.forward.heartbeat(self.heartbeat(now));
        }
        let part = |part: &str, name: &str| {
            Observation::new(now, Instance::of(Class::Sexton, &[("part", part), ("name", name)]), interval)
        };
        let mut out = vec![self.config_signal(now)];
        out.push(part("store", "state").with(OK, self.store_error.take().is_none()));
        for destination in self.forward.status() {
            // A destination that has not been tried yet is neither up nor down.
            let up = match destination.state.as_str() {
                "up" => Some(true.into()),
                "down" | "paused" => Some(false.into()),
                _ => None,
            };
            let mut observation = part("destination", &destination.id);
            observation.samples.push((OK, up));
            out.push(observation);
        }
        let ahead = now.wall - now.mono;
        let before = self.own.wall_ahead.replace(ahead).unwrap_or(ahead);
        out.push(part("clock", "wall").with(OK, (ahead - before).abs() < STEP));
        if self.own.share.is_due(now.mono) {
            let size = self.store.size().await.ok();
            let used = size.map(|s| s.outbox as f64 / s.outbox_limit.max(1) as f64);
            self.own.share = Share { asked: used.map(|_| now.mono), used };
        }
        if let Some(used) = self.own.share.used {
            out.push(part("outbox", "bytes").with(USED, used));
        }
        out
    }

    fn heartbeat(&self, now: Moment) -> serde_json::Value {
        serde_json::json!({
            "schema": "heartbeat/1",
            "host": self.config.plan.host.host,
            "at": now.stamp(),
            "interval": 60.0,
            "version": env!("CARGO_PKG_VERSION"),
            "uptime": (now.mono - self.started.mono) as f64 / 1e9,
            "incidents_open": self.engine.incidents.incidents().filter(|i| i.state.is_open()).count(),
            "config": self.config.hash,
        })
    }

    /// Whether the configuration on disk is the one in force.
    pub(super) fn config_signal(&self, now: Moment) -> Observation {
        let instance = Instance::of(Class::Sexton, &[("part", "config"), ("name", &self.config_source)]);
        // Told: it holds until the next reading of the configuration.
        Observation::new(now, instance, 0).with(OK, self.config_error.is_none())
    }

    /// What the daemon itself knows about an incident of class sexton.
    pub(super) fn own_exhibits(&self, wanted: &EvidenceWanted) -> Vec<Exhibit> {
        let at = self.clock.now().stamp();
        let exhibit =
            |title: &str, text: &str| Exhibit { title: title.to_owned(), at, text: text.to_owned() };
        if wanted.class != Class::Sexton.name() {
            return Vec::new();
        }
        let mut out = Vec::new();
        if let Some(message) = self.config_error.as_ref().filter(|_| wanted.name == "config") {
            out.push(exhibit("what is wrong with the configuration", message));
        }
        if wanted.name == "destination" {
            let lines: Vec<String> = self
                .forward
                .status()
                .iter()
                .map(|d| format!("{} ({}): {} {}", d.id, d.kind, d.state, d.reason.as_deref().unwrap_or("")))
                .collect();
            out.push(exhibit("destinations", &lines.join("\n")));
        }
        out
    }

    /// Every loop has turned lately.
    pub(super) fn turning(&self) -> bool {
        let limit = (3 * self.config.interval).max(MINUTE);
        self.config.collectors.is_empty()
            || self.clock.now().mono - self.own.observed.max(self.started.mono) < limit
    }
}

/// systemd's watchdog; without one it never ticks.
pub struct Watchdog(Option<tokio::time::Interval>);

/// The watchdog that systemd asks for, at half its time.
pub fn watchdog() -> Watchdog {
    Watchdog(sd_notify::watchdog_enabled().map(|limit| tokio::time::interval(limit / 2)))
}

impl Watchdog {
    /// Completes when the next sign of life is due.
    pub async fn tick(&mut self) {
        match &mut self.0 {
            Some(interval) => {
                interval.tick().await;
            }
            None => std::future::pending().await,
        }
    }

    /// Tells systemd that all is well, if it is.
    pub fn ping(&self, turning: bool) {
        if turning {
            still_alive();
        } else {
            tracing::error!("the collectors have not delivered for too long; the watchdog is not fed");
        }
    }
}

/// A sign of life to systemd.
pub fn still_alive() {
    tell(&[NotifyState::Watchdog]);
}

/// Start or reload has ended.
pub fn tell_ready() {
    tell(&[NotifyState::Ready]);
}

/// A reload has begun.
pub fn tell_reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(stamp) => tell(&[NotifyState::Reloading, stamp]),
        Err(error) => tracing::warn!(reason = %error, "cannot tell systemd of the reload"),
    }
}

/// The daemon ends.
pub fn tell_stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(reason = %error, "cannot tell systemd");
    }
}

/// Completes at the next SIGHUP.
pub async fn hangup(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_is_asked_once_a_minute_and_after_the_outbox_grew() {
        let mut own = Own::default();
        assert!(own.share.is_due(0), "never asked");
        own.share = Share { asked: Some(5), used: Some(0.1) };
        assert!(!own.share.is_due(SHARE_AGE) && own.share.is_due(SHARE_AGE + 5));
        own.outbox_grew();
        assert!(own.share.is_due(6));
        assert_eq!(own.share.used, Some(0.1), "told until the store has answered");
    }
}
