//! What systemd has said of its units: the pure half, fed with the contents of messages.
//!
//! Every change of state becomes an observation of its own, also when several arrive in one burst, so that a
//! unit that failed and was restarted in the same breath has failed. Words that change nothing add nothing.
//! During a `daemon-reload` systemd removes all units and makes them anew; until it is over, their comings
//! and goings count for nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use super::super::reading::Names;
use super::{ACTIVE, AGE, RESTARTS, STATE};
use crate::engine::moment::{Moment, SECOND};
use crate::engine::option::Globs;
use crate::engine::signal::{Class, Instance, Observation, Value};

/// Units watched at most; those listed after them are left out, with one line in the log.
const UNITS_MAX: usize = 4096;
const MICROSECOND: i64 = 1000;

/// A unit as `ListUnits` gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    /// `sshd.service`.
    pub name: String,
    /// ActiveState.
    pub state: String,
    /// Its object on the bus.
    pub path: String,
}

/// A change of one unit; what is absent did not change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// ActiveState.
    pub state: Option<String>,
    /// NRestarts.
    pub restarts: Option<u32>,
    /// StateChangeTimestamp, microseconds of wall time; 0 = never.
    pub since_us: Option<u64>,
}

struct Unit {
    instance: Arc<Instance>,
    state: Arc<str>,
    restarts: Option<u32>,
    since_us: u64,
}

/// The units that are watched.
pub(super) struct Units {
    wanted: Globs,
    names: Names,
    by_path: BTreeMap<String, Unit>,
    /// Names heard of whose state is to be asked for.
    unknown: BTreeSet<String>,
    reloading: bool,
    too_many: bool,
    /// Interval of `unit.age`.
    age_every: i64,
}

impl Units {
    /// None yet; those whose name `wanted` accepts will be watched.
    pub fn new(wanted: Globs, age_every: i64) -> Self {
        Self {
            wanted,
            names: Names::new(Class::Unit),
            by_path: BTreeMap::new(),
            unknown: BTreeSet::new(),
            reloading: false,
            too_many: false,
            age_every,
        }
    }

    /// Takes the whole list: what is not in it is forgotten. Returns one observation of each.
    pub fn list(&mut self, listed: Vec<Listed>, now: Moment) -> Vec<Observation> {
        let mut before = std::mem::take(&mut self.by_path);
        self.reloading = false;
        self.unknown.clear();
        let mut out = Vec::new();
        for unit in listed {
            let details = before.remove(&unit.path).map_or((None, 0), |old| (old.restarts, old.since_us));
            self.enter(unit, details, now, &mut out);
        }
        out
    }

    /// Takes the state of some units that were asked for.
    pub fn learn(&mut self, listed: Vec<Listed>, now: Moment, out: &mut Vec<Observation>) {
        for unit in listed {
            match self.by_path.contains_key(&unit.path) {
                true => {
                    self.change(&unit.path, Change { state: Some(unit.state), ..Change::default() }, now, out)
                }
                false => self.enter(unit, (None, 0), now, out),
            }
        }
    }

    fn enter(&mut self, unit: Listed, details: (Option<u32>, u64), now: Moment, out: &mut Vec<Observation>) {
        if !self.wanted.accepts(&unit.name) {
            return;
        }
        if self.by_path.len() >= UNITS_MAX {
            if !std::mem::replace(&mut self.too_many, true) {
                tracing::warn!(limit = UNITS_MAX, "too many units, the rest is not watched");
            }
            return;
        }
        let (restarts, since_us) = details;
        let instance = self.names.get(&unit.name);
        let unit_now = Unit { instance, state: shared(&unit.state), restarts, since_us };
        out.push(unit_now.told(now));
        self.by_path.insert(unit.path, unit_now);
    }

    /// True when a word about the object at `path` may matter.
    pub fn watches(&self, path: &str) -> bool {
        self.by_path.contains_key(path)
    }

    /// A unit's properties have changed.
    pub fn change(&mut self, path: &str, change: Change, now: Moment, out: &mut Vec<Observation>) {
        let Some(unit) = self.by_path.get_mut(path) else { return };
        let restarts = change.restarts.or(unit.restarts);
        let state = match &change.state {
            Some(state) if **state != *unit.state => shared(state),
            _ => Arc::clone(&unit.state),
        };
        let since_us = change.since_us.unwrap_or(unit.since_us);
        let news = restarts != unit.restarts || state != unit.state;
        let turned = since_us != unit.since_us;
        (unit.restarts, unit.state, unit.since_us) = (restarts, state, since_us);
        if news {
            out.push(unit.told(now));
        }
        if turned {
            out.extend(unit.age(now, self.age_every));
        }
    }

    /// A unit was loaded: if it is not known, its state is to be asked for.
    pub fn heard_of(&mut self, name: &str, path: &str) {
        let known = self.by_path.contains_key(path);
        if !known && !self.reloading && self.wanted.accepts(name) && self.unknown.len() < UNITS_MAX {
            self.unknown.insert(name.to_owned());
        }
    }

    /// A unit was unloaded.
    pub fn removed(&mut self, name: &str, path: &str, now: Moment, out: &mut Vec<Observation>) {
        if self.reloading {
            return;
        }
        self.unknown.remove(name);
        if let Some(unit) = self.by_path.remove(path) {
            let mut last = Observation::new(now, unit.instance, 0);
            last.gone = true;
            out.push(last);
        }
    }

    /// systemd begins to read its configuration anew, or has ended. Returns true when the list must be asked
    /// for again.
    pub fn reloading(&mut self, begins: bool) -> bool {
        self.reloading = begins;
        !begins
    }

    /// Names whose state is to be asked for; each is given once.
    pub fn take_unknown(&mut self) -> Vec<String> {
        std::mem::take(&mut self.unknown).into_iter().collect()
    }

    /// Objects of units that do something, whose restarts and age are worth a question. Services have
    /// restarts.
    pub fn to_ask(&self) -> Vec<(String, bool)> {
        let busy = self.by_path.iter().filter(|(_, u)| &*u.state != "inactive" && u.since_us == 0);
        busy.map(|(path, u)| (path.clone(), u.instance.name().ends_with(".service"))).collect()
    }

    /// The age of every unit that has one.
    pub fn ages(&self, now: Moment) -> Vec<Observation> {
        self.by_path.values().filter_map(|u| u.age(now, self.age_every)).collect()
    }

    /// systemd cannot be heard any more: nothing is known of anything.
    pub fn lost(&self, now: Moment) -> Vec<Observation> {
        let nothing = |u: &Unit| {
            let none = Observation::new(now, Arc::clone(&u.instance), 0).without(STATE).without(ACTIVE);
            none.without(RESTARTS).without(AGE)
        };
        self.by_path.values().map(nothing).collect()
    }
}

impl Unit {
    fn told(&self, now: Moment) -> Observation {
        let active = matches!(&*self.state, "active" | "reloading" | "refreshing");
        let mut told = Observation::new(now, Arc::clone(&self.instance), 0);
        told.samples.push((STATE, Some(Value::Text(Arc::clone(&self.state)))));
        told.samples.push((ACTIVE, Some(Value::Bool(active))));
        if let Some(restarts) = self.restarts {
            told.samples.push((RESTARTS, Some(Value::Num(f64::from(restarts)))));
        }
        told
    }

    /// Grows by itself, so that it is said at an interval; nobody is asked for it.
    fn age(&self, now: Moment, interval: i64) -> Option<Observation> {
        let since = i64::try_from(self.since_us).ok()?.checked_mul(MICROSECOND).filter(|since| *since > 0)?;
        let age = (now.wall - since).max(0) as f64 / SECOND as f64;
        Some(Observation::new(now, Arc::clone(&self.instance), interval).with(AGE, age))
    }
}

/// The text of a state; the usual ones are shared by all units.
fn shared(state: &str) -> Arc<str> {
    static USUAL: LazyLock<BTreeMap<&str, Arc<str>>> = LazyLock::new(|| {
        let usual =
            ["active", "activating", "deactivating", "failed", "inactive", "maintenance", "reloading"];
        usual.into_iter().map(|s| (s, s.into())).collect()
    });
    USUAL.get(state).map_or_else(|| state.into(), Arc::clone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::tests::values;
    use crate::engine::moment::MINUTE;

    const SSH: &str = "unit{unit=ssh.service}";

    fn listed(name: &str, state: &str) -> Listed {
        let path = format!("/org/freedesktop/systemd1/unit/{}", name.replace('.', "_2e"));
        Listed { name: name.to_owned(), state: state.to_owned(), path }
    }

    fn path(name: &str) -> String {
        listed(name, "").path
    }

    fn units() -> Units {
        let mut units = Units::new(Globs(vec!["*.service".to_owned()]), MINUTE);
        let all = vec![
            listed("ssh.service", "active"),
            listed("cron.service", "inactive"),
            listed("a.mount", "active"),
        ];
        assert_eq!(units.list(all, Moment::at(0)).len(), 2);
        units
    }

    fn states(out: &[Observation]) -> Vec<String> {
        let text = |(_, v): &(crate::engine::signal::Metric, Option<Value>)| match v {
            Some(Value::Text(t)) => Some(t.to_string()),
            _ => None,
        };
        out.iter().flat_map(|o| o.samples.iter().filter_map(text)).collect()
    }

    #[test]
    fn each_state_of_a_burst_is_told_and_repeats_are_not() {
        let (mut units, mut out) = (units(), Vec::new());
        let turn = |state: &str, restarts| Change { state: Some(state.to_owned()), restarts, since_us: None };
        for (state, restarts) in
            [("active", None), ("failed", Some(0)), ("failed", Some(0)), ("activating", Some(1))]
        {
            units.change(&path("ssh.service"), turn(state, restarts), Moment::at(5), &mut out);
        }
        units.change(&path("a.mount"), turn("failed", None), Moment::at(5), &mut out);
        assert_eq!(states(&out), ["failed", "activating"]);
        assert_eq!(values(&out, SSH, ACTIVE), [Some(0.0), Some(0.0)]);
        assert_eq!(values(&out, SSH, RESTARTS), [Some(0.0), Some(1.0)]);
        assert!(out.iter().all(|o| o.interval == 0));
    }

    #[test]
    fn a_reload_of_systemd_retires_nobody() {
        let (mut units, mut out) = (units(), Vec::new());
        assert!(!units.reloading(true));
        units.removed("ssh.service", &path("ssh.service"), Moment::at(1), &mut out);
        units.heard_of("new.service", &path("new.service"));
        assert!(out.is_empty() && units.take_unknown().is_empty());
        assert!(units.reloading(false), "the list is to be asked for");
        units.removed("ssh.service", &path("ssh.service"), Moment::at(1), &mut out);
        assert!(out[0].gone && out[0].instance.key() == SSH);
    }

    #[test]
    fn unknown_units_are_asked_for_once() {
        let (mut units, mut out) = (units(), Vec::new());
        units.heard_of("new.service", &path("new.service"));
        units.heard_of("ssh.service", &path("ssh.service"));
        units.heard_of("x.timer", &path("x.timer"));
        assert_eq!(units.take_unknown(), ["new.service"]);
        assert!(units.take_unknown().is_empty());
        units.learn(
            vec![listed("new.service", "failed"), listed("ssh.service", "active")],
            Moment::at(1),
            &mut out,
        );
        assert_eq!(states(&out), ["failed"]);
    }

    #[test]
    fn age_counts_from_the_last_change_and_never_below_zero() {
        let (mut units, mut out) = (units(), Vec::new());
        let since = |s: u64| Change { since_us: Some(s * 1_000_000), ..Change::default() };
        units.change(&path("ssh.service"), since(40), Moment::at(100 * SECOND), &mut out);
        assert_eq!(values(&out, SSH, AGE), [Some(60.0)]);
        assert_eq!(values(&units.ages(Moment::at(160 * SECOND)), SSH, AGE), [Some(120.0)]);
        assert_eq!(values(&units.ages(Moment::at(SECOND)), SSH, AGE), [Some(0.0)]);
        let key = |o: &Observation| o.instance.key().to_owned();
        assert_eq!(
            units.ages(Moment::at(0)).iter().map(key).collect::<Vec<_>>(),
            [SSH],
            "the other has no date"
        );
    }

    #[test]
    fn a_lost_bus_leaves_no_values() {
        let lost = units().lost(Moment::at(1));
        assert_eq!((lost.len(), values(&lost, SSH, ACTIVE)), (2, vec![None]));
    }

    #[test]
    fn only_busy_units_are_asked_for_details_once() {
        let mut units = units();
        assert_eq!(units.to_ask(), [(path("ssh.service"), true)]);
        let told = Change { since_us: Some(1), ..Change::default() };
        units.change(&path("ssh.service"), told, Moment::at(1), &mut Vec::new());
        assert!(units.to_ask().is_empty());
    }
}
