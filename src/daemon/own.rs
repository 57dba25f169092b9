//! The daemon's word about itself: its own signals, and what it tells systemd.
//!
//! The watchdog is fed only while every loop turns: the collectors deliver, the engine judges and commits.
//! What the far end of a destination answers does not count.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sd_notify::NotifyState;
use tokio::signal::unix::Signal;

use super::Daemon;
use crate::engine::effect::{Command, EvidenceWanted};
use crate::engine::moment::{MINUTE, Moment, SECOND, Stamp};
use crate::engine::record::Exhibit;
use crate::engine::signal::{Class, Instance, Metric, Observation, metric};

const OK: Metric = metric("sexton.ok");
const USED: Metric = metric("sexton.used");
/// A wall clock that moved this much against the steady one between two own signals has stepped
/// (nanoseconds).
const STEP: i64 = 2 * SECOND;

/// Longest time for which what the store said of the outbox is told again without asking it (nanoseconds).
/// The store's upkeep runs when it is asked for something, so this also is its pulse.
const OUTBOX_AGE: i64 = MINUTE;

/// Nothing more is dropped when nothing was for this long (nanoseconds).
const DROPS_OVER: i64 = 10 * MINUTE;
/// The rule whose incident is told what was dropped.
const DROPPED_RULE: &str = "sexton-dropped";

/// When the own signals were last given.
#[derive(Debug, Default)]
pub struct Own {
    given: i64,
    observed: i64,
    wall_ahead: Option<i64>,
    outbox: Outbox,
    drops: Drops,
    /// That the history had to be started anew was told.
    history_told: bool,
    /// Destinations that were spoken of.
    destinations: BTreeSet<String>,
}

/// What the store says of the outbox. Asking wakes the store's thread: not at every interval of a host at
/// rest.
#[derive(Debug, Default)]
struct Outbox {
    asked: Option<i64>,
    /// Share of its limit in use.
    used: Option<f64>,
    /// Dead letters by destination.
    parked: BTreeMap<String, u64>,
}

/// What was given up because the outbox was full, as far as it was told.
#[derive(Debug, Default)]
struct Drops {
    /// The store's count at the last question; `None` before the first.
    count: Option<u64>,
    /// When it last grew, in steady time.
    grew: Option<i64>,
    /// Since when this bout lasts.
    since: Stamp,
    /// The count that the incident has been told, and when, in steady time.
    told: (u64, i64),
    /// By destination and priority.
    text: String,
}

impl Drops {
    /// Takes the store's count. True when it grew.
    fn count(&mut self, now: Moment, count: u64) -> bool {
        let before = self.count.replace(count).unwrap_or(count);
        if count <= before {
            return false;
        }
        if !self.lately(now.mono) {
            (self.since, self.told) = (now.stamp().plus(-2 * OUTBOX_AGE), (count, now.mono));
        }
        self.grew = Some(now.mono);
        true
    }

    fn lately(&self, now: i64) -> bool {
        self.grew.is_some_and(|at| now - at < DROPS_OVER)
    }

    /// The incident is to be told how much it is by now; at most once in a while.
    fn news(&mut self, now: i64) -> bool {
        let count = self.count.unwrap_or(0);
        let news = count > self.told.0 && now - self.told.1 >= OUTBOX_AGE;
        if news {
            self.told = (count, now);
        }
        news
    }
}

impl Outbox {
    fn is_due(&self, now: i64) -> bool {
        self.asked.is_none_or(|asked| now - asked >= OUTBOX_AGE)
    }
}

impl Own {
    /// Rows were added to the outbox: the store is asked at the next opportunity.
    pub(super) fn outbox_grew(&mut self) {
        self.outbox.asked = None;
    }
}

impl Daemon {
    /// Signals about configuration, store, outbox and destinations; none when the last ones are younger than
    /// the interval.
    pub(super) async fn own_signals(&mut self, now: Moment) -> Vec<Observation> {
        let interval = self.config.interval;
        if self.own.given != 0 && now.mono - self.own.given < interval / 2 {
            return Vec::new();
        }
        self.own.given = now.mono;
        if !self.config.destinations.is_empty() {
            self.forward.heartbeat(self.heartbeat(now));
        }
        let part = |part: &str, name: &str| Observation::new(now, instance(part, name), interval);
        let mut out = vec![self.config_signal(now)];
        out.push(part("store", "state").with(OK, self.store_error.take().is_none()));
        if self.own.outbox.is_due(now.mono) {
            self.ask_outbox(now).await;
        }
        let destinations = self.forward.status();
        let present: BTreeSet<String> = destinations.iter().map(|d| d.id.clone()).collect();
        for removed in std::mem::replace(&mut self.own.destinations, present.clone()).difference(&present) {
            let mut last = part("destination", removed);
            last.gone = true;
            out.push(last);
        }
        for destination in destinations {
            // A destination that has not been tried yet is neither up nor down.
            let up = match destination.state.as_str() {
                _ if self.own.outbox.parked.contains_key(&destination.id) => Some(false.into()),
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
        if !self.config.destinations.is_empty() {
            out.push(part("dropped", "outbox").with(OK, !self.own.drops.lately(now.mono)));
            self.tell_drops(now);
        }
        let history = self.history.status();
        if history.limit > 0 {
            // That a file was moved aside is told once; that nothing can be written, as long as it lasts.
            let moved = history.recovered.is_some() && !std::mem::replace(&mut self.own.history_told, true);
            let used = (history.bytes as f64 / history.limit as f64).min(1.0);
            out.push(part("history", "file").with(OK, history.error.is_none() && !moved).with(USED, used));
        }
        if let Some(used) = self.own.outbox.used {
            out.push(part("outbox", "bytes").with(USED, used));
        }
        out
    }

    async fn ask_outbox(&mut self, now: Moment) {
        let size = self.store.size().await.ok();
        let counts = self.store.outbox_counts().await.unwrap_or_default();
        let parked = |(id, rows): (String, BTreeMap<String, u64>)| Some((id, *rows.get("parked")?));
        self.own.outbox = Outbox {
            asked: size.map(|_| now.mono),
            used: size.map(|s| s.outbox as f64 / s.outbox_limit.max(1) as f64),
            parked: counts.into_iter().filter_map(parked).collect(),
        };
        if self.own.drops.count(now, self.store.dropped()) {
            let drops = self.store.drops(self.own.drops.since).await.unwrap_or_default();
            let line = |d: &crate::store::Drops| {
                let (first, last) = (d.first, d.last);
                format!("{} {}: {} records, first {first}, last {last}", d.destination, d.priority, d.records)
            };
            let mut lines: Vec<String> = drops.iter().map(line).collect();
            lines.push(format!(
                "in all since this store was made: {} records, links and waiting updates; what an update said \
                 comes with the next one",
                self.store.dropped()
            ));
            self.own.drops.text = lines.join("\n");
        }
    }

    /// One incident tells of everything that was dropped, and grows with it.
    fn tell_drops(&mut self, now: Moment) {
        let mut open = self.engine.incidents.incidents().filter(|i| i.state.is_open());
        let Some(incident) = open.find(|i| i.rule.id == DROPPED_RULE).map(|i| i.id.clone()) else { return };
        if self.own.drops.news(now.mono) {
            let exhibits = vec![self.drops_exhibit(now.stamp())];
            // A full channel: it is told with the next growth.
            let _ = self.exhibits.0.try_send(Command::Evidence { incident, exhibits });
        }
    }

    fn drops_exhibit(&self, at: Stamp) -> Exhibit {
        let title = "records dropped because the outbox was full".to_owned();
        Exhibit { title, at, text: self.own.drops.text.clone() }
    }

    /// The collectors have delivered.
    pub(super) fn observed_at(&mut self, now: Moment) {
        self.own.observed = now.mono;
    }

    /// When the own signals are given though nothing was observed: they usually go with what the collectors
    /// deliver, but must not depend on it.
    pub(super) fn own_due(&self) -> i64 {
        self.own.given.max(self.started.mono).saturating_add(self.config.interval / 2 * 3)
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
        let instance = instance("config", &self.config_source);
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
        if wanted.name == "dropped" {
            out.push(self.drops_exhibit(at));
        }
        if wanted.name == "destination" {
            let lines: Vec<String> = self
                .forward
                .status()
                .iter()
                .map(|d| {
                    let refused = match self.own.outbox.parked.get(&d.id) {
                        Some(n) => format!("; {n} refused for good, see sexton outbox"),
                        None => String::new(),
                    };
                    let reason = d.reason.as_deref().unwrap_or("");
                    format!("{} ({}): {} {reason}{refused}", d.id, d.kind, d.state)
                })
                .collect();
            out.push(exhibit("destinations", &lines.join("\n")));
        }
        out
    }

    /// Every loop has turned lately.
    pub(super) fn turning(&self) -> bool {
        // Told signals may be silent for a minute; pumps turn every ten seconds.
        let limit = (3 * self.config.interval).max(3 * MINUTE);
        let lately = |at: i64| self.clock.now().mono - at.max(self.started.mono) < limit;
        let collected = self.config.collectors.is_empty() || lately(self.own.observed);
        collected && self.forward.turned().is_none_or(|at| lately(at.mono))
    }
}

/// A part of ourselves.
pub fn instance(part: &str, name: &str) -> Arc<Instance> {
    Instance::of(Class::Sexton, &[("part", part), ("name", name)])
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
            tracing::error!("collectors or pumps have not turned for too long; the watchdog is not fed");
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
        assert!(own.outbox.is_due(0), "never asked");
        own.outbox = Outbox { asked: Some(5), used: Some(0.1), ..Outbox::default() };
        assert!(!own.outbox.is_due(OUTBOX_AGE) && own.outbox.is_due(OUTBOX_AGE + 5));
        own.outbox_grew();
        assert!(own.outbox.is_due(6));
        assert_eq!(own.outbox.used, Some(0.1), "told until the store has answered");
    }

    #[test]
    fn a_bout_of_drops_begins_with_growth_and_its_incident_is_told_now_and_then() {
        let mut drops = Drops::default();
        let at = |minutes: i64| Moment::at(minutes * MINUTE);
        assert!(!drops.count(at(0), 7), "what an earlier run dropped is no news");
        assert!(drops.count(at(10), 9) && drops.lately(at(10).mono));
        assert!(!drops.news(at(11).mono), "the raise itself told it");
        assert!(drops.count(at(11), 12));
        assert_eq!((drops.news(at(11).mono), drops.news(at(11).mono)), (true, false));
        assert!(drops.count(at(11), 13) && !drops.news(at(11).mono), "not every time");
        assert!(drops.news(at(12).mono));
        assert_eq!(drops.since, at(8).stamp(), "one bout");
        assert!(drops.lately(at(20).mono) && !drops.lately(at(21).mono));
    }
}
