//! Machines on disk: one row per machine that is not plainly ok, and what becomes of it after a restart.
//!
//! A row is JSON with `"v":1`; a row of another version, or one that cannot be read, is ignored: the machine
//! starts anew. Times are `[steady, wall]` in ns. A restored machine waits for its instance. One whose rule
//! is gone retires; so does one whose instance has not come after ten minutes, provided that others of its
//! class have: a collector that fails says nothing about what it no longer sees. While anything is pending, a
//! row of its own says every 15 s that we live: the gap of a restart is measured from there, and a `for` or
//! `keep` goes on when the gap is not longer than it may be unknown.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::engine::cond;
use crate::engine::effect::StateChange;
use crate::engine::event::{Event, EventKind};
use crate::engine::moment::{MINUTE, Moment, SECOND};
use crate::engine::plan::{Match, Rule, StepPlan};
use crate::engine::record::{Nature, Severity};
use crate::engine::signal::{Class, Instance};

use super::machine::{Hold, Step, highest};
use super::{Machine, Rules, Timer};

/// Kind of all rows.
const KIND: &str = "machine";
/// Version of the rows.
const VERSION: u32 = 1;
/// Key of the row that says when we last lived; no rule has an empty id.
const ALIVE_KEY: &str = "|alive";
/// How often that row is written while something is pending.
const ALIVE_EVERY: i64 = 15 * SECOND;
/// How long a restored machine waits for its instance, and how often it is asked again whether it still has
/// to.
const WAIT: i64 = 10 * MINUTE;
/// A class must have been spoken of for this long before one of its instances counts as missing: what is
/// there is told within it.
const ROLL_CALL: i64 = MINUTE;
/// A restored machine waits for at least so many intervals of its signals.
const PATIENCE: i64 = 2;

/// The state of the row that says we live.
#[derive(Clone, Debug, Default)]
pub struct Alive {
    at: i64,
    is_armed: bool,
    is_dirty: bool,
    /// When it is looked at again whether restored machines still have to wait.
    give_up: i64,
    /// Since when instances of a class are observed, while there is something to wait for.
    heard: BTreeMap<Class, i64>,
}

/// A restored machine whose instance has not been seen yet.
#[derive(Clone, Debug)]
pub struct Saved {
    rule: String,
    instance: Arc<Instance>,
    severities: Vec<Severity>,
    /// It waits until then at least, in steady time.
    until: i64,
    /// State of each step.
    pub steps: Vec<Step>,
    /// See `Machine::told`.
    pub told: Option<(usize, Severity)>,
}

/// What is known of a raise from its incident alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Raised {
    /// Rule id.
    pub rule: String,
    /// On what.
    pub instance: Arc<Instance>,
    /// As last told.
    pub severity: Severity,
    /// Start of the breach.
    pub since: Moment,
}

#[derive(Serialize, Deserialize)]
struct Row {
    v: u32,
    class: String,
    labels: BTreeMap<String, String>,
    at: i64,
    told: Option<(usize, Severity)>,
    steps: Vec<StepRow>,
    /// The longest interval of its signals, in ns.
    #[serde(default)]
    pace: i64,
}

#[derive(Serialize, Deserialize)]
struct StepRow {
    severity: Severity,
    latched: Option<(i64, i64)>,
    hold: Option<HoldRow>,
}

#[derive(Serialize, Deserialize)]
struct HoldRow {
    since: (i64, i64),
    excluded: i64,
    frozen: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct AliveRow {
    v: u32,
    at: i64,
}

impl Rules {
    /// Puts saved machines back, before the first observation.
    pub fn restore(&mut self, now: Moment, rows: Vec<(String, String)>) {
        self.clock = self.clock.max(now);
        let alive = rows.iter().find(|(key, _)| key == ALIVE_KEY);
        let alive = alive.and_then(|(_, body)| serde_json::from_str::<AliveRow>(body).ok());
        // A sign of life from the future is from before the clock was set back, and says nothing.
        let alive = alive.filter(|row| row.v == VERSION && row.at <= now.mono).map_or(i64::MIN, |row| row.at);
        for (key, body) in &rows {
            let Some((rule, _)) = key.split_once('|').filter(|(rule, _)| !rule.is_empty()) else { continue };
            let Ok(row) = serde_json::from_str::<Row>(body) else { continue };
            if let Some(saved) = read(rule, row, alive, now) {
                self.saved.insert(key.clone(), saved);
            }
        }
        self.wait_for_saved(now);
        self.check_saved(now);
    }

    /// Has a raise without a saved machine stand as one: it is judged with the next sample, and clears or
    /// retires like the others.
    pub fn stand_in(&mut self, now: Moment, raised: Raised) {
        let Raised { rule, instance, severity, since } = raised;
        let key = format!("{rule}|{}", instance.key());
        if self.saved.get(&key).is_some_and(|s| s.steps.iter().any(|step| step.latched.is_some())) {
            return;
        }
        let plan = Rules::rule(&self.plan, &rule).filter(|r| !r.steps.is_empty());
        let severities: Vec<_> =
            plan.map_or_else(|| vec![severity], |r| r.steps.iter().map(|s| s.severity).collect());
        // The lowest step that is as severe, or the highest there is.
        let as_severe = (0..severities.len()).filter(|i| severities[*i] >= severity);
        let highest = (0..severities.len()).max_by_key(|i| (severities[*i], *i)).unwrap_or(0);
        let top = as_severe.min_by_key(|i| (severities[*i], *i)).unwrap_or(highest);
        let mut steps = vec![Step::default(); severities.len()];
        if let Some(step) = steps.get_mut(top) {
            step.latched = Some(since);
        }
        let told = Some((top, severity));
        self.saved.insert(key, Saved { rule, instance, severities, until: now.mono, steps, told });
        self.wait_for_saved(now);
        self.check_saved(now);
    }

    fn wait_for_saved(&mut self, now: Moment) {
        if !self.saved.is_empty() {
            self.alive.give_up = now.mono.saturating_add(WAIT);
            self.timers.insert((self.alive.give_up, Timer::Saved));
        }
    }

    /// An instance has been observed with a value: who watches its class is at work.
    pub(super) fn hear(&mut self, class: Class, at: i64) {
        if !self.saved.is_empty() {
            self.alive.heard.entry(class).or_insert(at);
        }
    }

    /// A restored machine whose rule is gone need not wait.
    pub(super) fn check_saved(&mut self, now: Moment) {
        if self.saved.values().any(|s| Rules::rule(&self.plan, &s.rule).is_none()) {
            self.timers.insert((now.mono, Timer::Saved));
        }
    }

    /// The restored machine of a rule on an instance, which takes up its work now.
    pub(super) fn take_saved(&mut self, rule: &str, subject: u32) -> Option<Saved> {
        if self.saved.is_empty() {
            return None;
        }
        let key = self.subjects.get(subject)?.instance.key();
        self.saved.remove(&format!("{rule}|{key}"))
    }

    /// A restored machine that waits for its instance is raised.
    pub(super) fn is_saved_raised(&self, rule: &str, instance_key: &str) -> bool {
        !self.saved.is_empty()
            && self.saved.get(&format!("{rule}|{instance_key}")).is_some_and(|saved| saved.told.is_some())
    }

    /// Retires restored machines without a rule, and those whose instance is missing though its class is
    /// observed; the others go on waiting.
    pub(super) fn give_up_saved(&mut self, now: Moment, out: &mut Vec<Event>) {
        let plan = Arc::clone(&self.plan);
        self.retire_saved(now, "the rule is gone", out, |saved| Rules::rule(&plan, &saved.rule).is_none());
        if now.mono < self.alive.give_up {
            return;
        }
        let heard = std::mem::take(&mut self.alive.heard);
        let is_missing = |saved: &Saved| {
            let since = heard.get(&saved.instance.class);
            saved.until <= now.mono && since.is_some_and(|at| now.mono.saturating_sub(*at) >= ROLL_CALL)
        };
        self.retire_saved(now, "not seen again since the restart", out, is_missing);
        self.alive.heard = heard;
        self.wait_for_saved(now);
    }

    /// Retires restored machines of an instance that is known to have gone.
    pub(super) fn forget_saved(&mut self, instance: &Instance, now: Moment, out: &mut Vec<Event>) {
        self.retire_saved(now, "the instance has gone", out, |saved| *saved.instance == *instance);
    }

    fn retire_saved(&mut self, now: Moment, why: &str, out: &mut Vec<Event>, which: impl Fn(&Saved) -> bool) {
        let gone: Vec<String> = self.saved.iter().filter(|(_, s)| which(s)).map(|(k, _)| k.clone()).collect();
        for key in gone {
            if let Some(saved) = self.saved.remove(&key) {
                let event = saved.retirement(&self.plan, now, why);
                event.iter().for_each(|event| self.tally(event, now.mono));
                out.extend(event);
                self.dropped.insert(key);
            }
        }
    }

    /// Called at the deadline of the row that says we live.
    pub(super) fn still_alive(&mut self, now: i64) {
        let pending = self.machines.iter().any(|(_, m)| m.steps.iter().any(|s| s.hold.is_some()));
        self.alive.is_armed = pending;
        if pending {
            self.alive.at = now;
            self.alive.is_dirty = true;
            self.timers.insert((now.saturating_add(ALIVE_EVERY), Timer::Alive));
        }
    }

    pub(super) fn drain_rows(&mut self, out: &mut Vec<StateChange>) {
        for key in std::mem::take(&mut self.dropped) {
            out.push(StateChange { kind: KIND, key, body: None });
        }
        let mut dirty = std::mem::take(&mut self.dirty);
        dirty.sort_unstable();
        for id in dirty.drain(..) {
            let Some(machine) = self.machines.get_mut(id) else { continue };
            machine.is_dirty = false;
            let Some(subject) = self.subjects.get(machine.subject) else { continue };
            let key = format!("{}|{}", machine.bound.rule.id, subject.instance.key());
            let is_plain = machine.steps.iter().all(|s| *s == Step::default());
            if is_plain && !machine.is_stored {
                continue;
            }
            machine.is_stored = !is_plain;
            let series = machine.slots.iter().filter_map(|s| self.series.get(*s));
            let pace = series.map(|s| s.interval).max().unwrap_or(0);
            let body = if is_plain { None } else { row(machine, &subject.instance, self.clock.mono, pace) };
            out.push(StateChange { kind: KIND, key, body });
        }
        self.dirty = dirty;
        let has_hold = out.iter().any(|change| change.kind == KIND && change.body.is_some());
        if has_hold && !self.alive.is_armed {
            self.alive.is_armed = true;
            self.timers.insert((self.clock.mono.saturating_add(ALIVE_EVERY), Timer::Alive));
        }
        if std::mem::take(&mut self.alive.is_dirty) {
            let row = AliveRow { v: VERSION, at: self.alive.at };
            let body = serde_json::to_string(&row).ok();
            out.push(StateChange { kind: KIND, key: ALIVE_KEY.to_owned(), body });
        }
    }
}

fn pair(m: Moment) -> (i64, i64) {
    (m.mono, m.wall)
}

fn row(machine: &Machine, instance: &Instance, at: i64, pace: i64) -> Option<String> {
    let hold_row = |h: Hold| HoldRow { since: pair(h.since), excluded: h.excluded, frozen: h.frozen };
    let plans = &machine.bound.rule.steps;
    let step_row = |(step, plan): (&Step, &StepPlan)| StepRow {
        severity: plan.severity,
        latched: step.latched.map(pair),
        hold: step.hold.map(hold_row),
    };
    let row = Row {
        v: VERSION,
        class: instance.class.name().to_owned(),
        labels: instance.labels.clone(),
        at,
        told: machine.told,
        steps: machine.steps.iter().zip(plans).map(step_row).collect(),
        pace,
    };
    serde_json::to_string(&row).ok()
}

fn read(rule: &str, row: Row, alive: i64, now: Moment) -> Option<Saved> {
    if row.v != VERSION {
        return None;
    }
    let instance = Arc::new(Instance::new(Class::parse(&row.class)?, row.labels));
    let severities = row.steps.iter().map(|s| s.severity).collect();
    // Steady time is anchored to the wall at each start: when the wall was set back, what was saved moves
    // with it.
    let ahead = row.at.saturating_sub(now.mono).max(0);
    let moment = |(mono, wall): (i64, i64)| Moment { mono: mono.saturating_sub(ahead), wall };
    // Nothing was seen from the last sign of life on: every hold stands still since then.
    let last_seen = row.at.max(alive).min(now.mono);
    let hold = |h: HoldRow| Hold {
        since: moment(h.since),
        excluded: h.excluded,
        frozen: Some(h.frozen.map_or(last_seen, |at| at.saturating_sub(ahead))),
    };
    let step = |s: StepRow| Step { latched: s.latched.map(moment), hold: s.hold.map(hold) };
    let steps = row.steps.into_iter().map(step).collect();
    let until = now.mono.saturating_add(row.pace.max(0).saturating_mul(PATIENCE));
    Some(Saved { rule: rule.to_owned(), instance, severities, until, steps, told: row.told })
}

impl Saved {
    pub(super) fn rule(&self) -> &str {
        &self.rule
    }

    pub(super) fn instance(&self) -> &Arc<Instance> {
        &self.instance
    }

    /// The event that ends it, when it was raised.
    fn retirement(&self, plan: &crate::engine::plan::Plan, now: Moment, why: &str) -> Option<Event> {
        let mut order: Vec<usize> = (0..self.steps.len()).collect();
        order.sort_by_key(|i| (self.severities.get(*i).copied(), *i));
        let step = highest(&self.steps, &order)?;
        let rule = Rules::rule(plan, &self.rule).filter(|r| step < r.steps.len());
        let rule = rule.unwrap_or_else(|| Arc::new(self.ghost()));
        Some(Event {
            kind: EventKind::Retire,
            title: format!("{} on {}", self.rule, self.instance.name()),
            rule,
            instance: Arc::clone(&self.instance),
            step,
            severity: self.severities.get(step).copied().unwrap_or(Severity::Warning),
            since: now,
            at: now,
            value: None,
            limit: None,
            why: why.to_owned(),
            series: Vec::new(),
        })
    }

    /// A stand-in for a rule that is gone: its id, its class and its severities, and conditions that never
    /// hold.
    fn ghost(&self) -> Rule {
        let never = || cond::never();
        let step = |severity: &Severity| StepPlan {
            severity: *severity,
            impact: None,
            urgency: 3,
            raise: never(),
            clear: never(),
            for_: 0,
            keep: 0,
        };
        Rule {
            id: self.rule.clone(),
            hash: String::new(),
            origin: String::new(),
            class: self.instance.class,
            matches: Match::default(),
            title: String::new(),
            description: String::new(),
            runbook: None,
            nature: Nature::Fault,
            category: String::new(),
            outage: false,
            service: None,
            labels: BTreeMap::new(),
            reopen: 0,
            stale: 0,
            min_coverage: 0.5,
            steps: self.severities.iter().map(step).collect(),
            lets: Vec::new(),
            silence: Default::default(),
            every: 0,
            cause_hint: None,
            action: None,
        }
    }
}
