//! What the suppression asks of incidents: whether one stands, what it explains, and the clock that a
//! maintenance window stops.
//!
//! Whether a raise may become an incident is decided by [`Suppression`](crate::engine::suppress); here it is
//! carried out and told. Symptoms are counted at once and told together, so that a storm of them makes few
//! revisions. A window changes no state: it stops the resolve clock.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::engine::effect::Step;
use crate::engine::id;
use crate::engine::moment::{MINUTE, Moment, SECOND, Stamp};
use crate::engine::record::{Actor, State};
use crate::engine::signal::Instance;
use crate::engine::suppress::{Mode, Opening, Subject, Window};

use super::facts::second;
use super::held::{Change, Held};
use super::person::pauses;
use super::save::raise_of;
use super::{Id, Incidents, sla};

/// The first symptoms of an incident are told after this long, together.
const TELL_AFTER: i64 = 30 * SECOND;
/// Later ones are told at most this often.
const TELL_EVERY: i64 = 10 * MINUTE;
/// Symptoms that are told by name; the others only by number.
const NAMES_MOST: usize = 5;

/// Raises that an incident explains.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct Symptoms {
    /// How many have not been told yet.
    untold: u64,
    /// The first of them.
    names: Vec<String>,
    /// Steady time at which they are told.
    pub tell_at: Option<i64>,
    /// Some have been told before.
    told: bool,
}

impl Symptoms {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Nothing waits longer than it may after the clock was set back.
    pub fn rewind(&mut self, now: i64) {
        self.tell_at = self.tell_at.map(|at| at.min(now.saturating_add(TELL_EVERY)));
    }

    fn add(&mut self, now: i64, name: &str) {
        self.untold += 1;
        if self.names.len() < NAMES_MOST && !self.names.iter().any(|known| known == name) {
            self.names.push(name.to_owned());
        }
        let wait = if self.told { TELL_EVERY } else { TELL_AFTER };
        self.tell_at.get_or_insert(now.saturating_add(wait));
    }
}

impl Incidents {
    /// Id and number of the open incident of a fingerprint.
    pub(in crate::engine) fn open_of(&self, print: &str) -> Option<(String, String)> {
        let held = self.newest_of(print).filter(|held| held.record.state.is_open())?;
        Some((held.record.id.clone(), held.record.number.clone()))
    }

    /// Number of the newest incident of a fingerprint, open or not.
    pub(in crate::engine) fn number_of(&self, print: &str) -> Option<String> {
        self.newest_of(print).map(|held| held.record.number.clone())
    }

    /// People have said that it is over or no fault, though its condition holds on.
    pub(in crate::engine) fn is_dismissed(&self, print: &str) -> bool {
        self.newest_of(print).is_some_and(|held| held.side.raised && !held.record.state.is_open())
    }

    /// An incident knows that the condition holds.
    pub(in crate::engine) fn follows_raise(&self, rule: &str, instance: &Instance) -> bool {
        let print = id::fingerprint(rule, &self.plan.host.host.id, instance);
        self.newest_of(&print).is_some_and(|held| held.side.raised)
    }

    /// Instances on which a rule has an incident that only flapping holds open.
    pub(in crate::engine) fn flapping_of(&self, now: Moment, rule: &str) -> Vec<Arc<Instance>> {
        let flaps = |held: &&Held| held.record.flapping && held.record.rule.id == rule;
        let open = self.held.values().filter(flaps).filter(|held| held.record.state.is_open());
        open.filter_map(|held| raise_of(held, now)).map(|raised| raised.instance).collect()
    }

    /// Counts a raise that the open incident of a fingerprint explains. It is written down with
    /// [`Incidents::maintain`], once for all of a storm.
    pub(in crate::engine) fn symptom(&mut self, now: Moment, print: &str, name: &str) {
        let Some(id) = self.newest.get(print).cloned() else { return };
        self.apply(&id, |held| {
            held.side.counters.suppressed += 1;
            held.side.symptoms.add(now.mono, name);
            Change::Row
        });
    }

    /// Writes on the open incident of a fingerprint why it was raised late or within a window.
    pub(in crate::engine) fn explain(
        &mut self,
        now: Moment,
        print: &str,
        (kind, note): (&str, String),
        window: Option<(&str, Option<&str>)>,
        out: &mut Step,
    ) {
        if self.open_of(print).is_none() {
            return;
        }
        let Some(id) = self.newest.get(print).cloned() else { return };
        self.apply(&id, |held| {
            held.note(now.stamp(), Actor::Correlator, kind, note);
            if let Some((window, change)) = window {
                held.belongs_to(window, change);
            }
            Change::Revision
        });
        self.flush(now, out);
    }

    /// Writes down what has been counted, and stops and starts resolve clocks as the windows say that are
    /// open now. For those that have just opened (`fresh`) clocks stand still from their beginning, also when
    /// that is noticed late.
    pub(in crate::engine) fn maintain(
        &mut self,
        now: Moment,
        active: &[(Arc<Window>, Opening)],
        fresh: &[String],
        out: &mut Step,
    ) {
        self.shift = now.mono - now.wall;
        let concerned = !active.is_empty() || self.in_windows() > 0;
        let ids: Vec<Id> = self.held.keys().filter(|_| concerned).cloned().collect();
        for id in ids {
            let Some(held) = self.held.get_mut(&id).filter(|held| held.record.state.is_open()) else {
                continue;
            };
            if let Some(change) = held.maintain(now.stamp(), active, fresh) {
                self.mark(&id, change);
            }
        }
        self.flush(now, out);
    }

    /// For how many incidents a window has stopped the resolve clock.
    fn in_windows(&self) -> usize {
        self.held.values().filter(|held| held.side.window.is_some()).count()
    }

    fn newest_of(&self, print: &str) -> Option<&Held> {
        self.newest.get(print).and_then(|id| self.held.get(id))
    }
}

impl Held {
    /// Says which symptoms have been counted since the last time; false when there are none.
    pub(super) fn tell_symptoms(&mut self, at: Stamp) -> bool {
        let symptoms = &mut self.side.symptoms;
        symptoms.tell_at = None;
        if symptoms.untold == 0 {
            return false;
        }
        let (count, names) = (std::mem::take(&mut symptoms.untold), std::mem::take(&mut symptoms.names));
        let what = match (count, symptoms.told) {
            (1, false) => "1 condition is explained by this and not raised on its own".to_owned(),
            (1, true) => "1 more condition is explained by this".to_owned(),
            (n, false) => format!("{n} conditions are explained by this and not raised on their own"),
            (n, true) => format!("{n} more conditions are explained by this"),
        };
        symptoms.told = true;
        let more = if count > names.len() as u64 { ", …" } else { "" };
        self.note(at, Actor::Correlator, "suppressed", format!("{what}: {}{more}", names.join(", ")));
        true
    }

    /// Follows the open windows; `None` when nothing has changed.
    fn maintain(
        &mut self,
        now: Stamp,
        active: &[(Arc<Window>, Opening)],
        fresh: &[String],
    ) -> Option<Change> {
        let record = &self.record;
        let subject = Subject {
            rule: &record.rule.id,
            service: record.service.as_deref(),
            severity: record.severity,
            labels: &record.labels,
        };
        let covers = |(window, _): &&(Arc<Window>, Opening)| {
            window.mode == Mode::Suppress && window.covers.accepts(&subject)
        };
        match (active.iter().find(covers), self.side.window.clone()) {
            (None, None) => None,
            (Some((window, opening)), Some((id, to))) if window.id == id => {
                self.side.window = Some((id, opening.to));
                (to != opening.to).then_some(Change::Row)
            }
            (Some((window, opening)), before) => {
                let is_fresh = fresh.contains(&window.id);
                let since = if is_fresh { opening.from.max(self.record.raised_at).min(now) } else { now };
                sla::pause(&mut self.record.sla, since);
                self.side.window = Some((window.id.clone(), opening.to));
                self.belongs_to(&window.id, window.change.as_deref());
                let still = if before.is_none() { ": the resolve clock stands still" } else { "" };
                let note =
                    format!("maintenance window {} until {}{still}", window.called(), second(opening.to));
                self.note(now, Actor::Correlator, "maintenance", note);
                Some(Change::Revision)
            }
            (None, Some((id, to))) => {
                self.leave_window(to.min(now));
                let goes =
                    if self.record.sla.paused_since.is_none() { ": the resolve clock goes on" } else { "" };
                self.note(
                    now,
                    Actor::Correlator,
                    "maintenance",
                    format!("maintenance window {id} is over{goes}"),
                );
                Some(Change::Revision)
            }
        }
    }

    /// No window stops the resolve clock any more; a hold may.
    pub(super) fn leave_window(&mut self, at: Stamp) {
        if self.side.window.take().is_none() {
            return;
        }
        let holds =
            self.record.state == State::OnHold && self.record.hold_reason.as_deref().is_some_and(pauses);
        if !holds {
            sla::go_on(&mut self.record.sla, at);
        }
    }

    fn belongs_to(&mut self, window: &str, change: Option<&str>) {
        self.record.links.maintenance = Some(window.to_owned());
        if let Some(change) = change {
            self.record.links.change = Some(change.to_owned());
        }
    }
}
