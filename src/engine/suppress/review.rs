//! Looks again at what is kept: whether its reason still holds, which one takes its place, and whether it is
//! raised now.

use std::sync::Arc;

use crate::engine::effect::Step;
use crate::engine::event::Event;
use crate::engine::incident::{Incidents, second};
use crate::engine::moment::{Moment, human};
use crate::engine::rules::Latch;

use super::kept::{By, Kept};
use super::view::View;
use super::{Raising, SETTLE, Suppression, Verdict, Window};

impl Suppression {
    /// Judges every kept raise anew, and stops and starts the resolve clocks of open incidents.
    pub(super) fn review(
        &mut self,
        now: Moment,
        view: &mut View<'_>,
        incidents: &mut Incidents,
        out: &mut Step,
    ) {
        self.restless = false;
        self.kept.values_mut().for_each(|kept| kept.unseen = false);
        // What is raised in the first round may explain what came before it in the order of names.
        for _ in 0..2 {
            let before = self.kept.len();
            let keys: Vec<_> = self.kept.keys().cloned().collect();
            for key in keys {
                self.review_one(now, &key, view, incidents, out);
            }
            if self.kept.len() == before {
                break;
            }
        }
        let fresh = std::mem::take(&mut self.fresh);
        incidents.maintain(now, self.windows.active(), &fresh, out);
    }

    fn review_one(
        &mut self,
        now: Moment,
        key: &(String, String),
        view: &mut View<'_>,
        incidents: &mut Incidents,
        out: &mut Step,
    ) {
        let Some(kept) = self.kept.get(key).cloned() else { return };
        let latch = view.rules.latch(&key.0, &key.1);
        let planned = || self.plan.rules.iter().find(|r| r.id == key.0);
        let (rule, severity) = match &latch {
            // Its machine has begun anew: what it finds is told as a raise of its own.
            Latch::Open => return self.drop_kept(key, out),
            Latch::Raised(rule, severity) => (Arc::clone(rule), *severity),
            Latch::Unseen => match planned().and_then(|r| self.plan.effective(r, &kept.instance)) {
                Some(rule) => (rule, kept.severity),
                // The machine has no rule any more, and retires when its instance is seen or given up.
                None => return self.cannot_be_ready(key),
            },
        };
        let raising = Raising { rule: &rule, instance: &kept.instance, severity };
        let mut tag = None;
        // People have reopened its incident: what is open takes everything that happens to it, and has to
        // know of the raise to take the clear.
        if incidents.open_of(&self.print(&key.0, &kept.instance)).is_none() {
            let verdict = self.judge(now, &raising, view, incidents, out);
            if let Verdict::Free(marks) = &verdict {
                tag.clone_from(marks);
            }
            if let Some(by) = next(&kept.by, verdict, now) {
                self.restless |= matches!(by, By::Waiting { .. });
                return self.go_on(now, key, &kept, by, incidents, out);
            }
        }
        match view.rules.raise_again(now, &key.0, &key.1) {
            Some(mut event) => {
                if event.why.is_empty() {
                    event.why.clone_from(&kept.why);
                }
                self.release(now, key, &kept, (&event, tag), incidents, out);
            }
            // The instance has not been seen since the restart.
            None => self.cannot_be_ready(key),
        }
    }

    /// No time makes it ready: it is looked at again with each observation.
    fn cannot_be_ready(&mut self, key: &(String, String)) {
        self.restless = true;
        self.kept.entry(key.clone()).and_modify(|kept| kept.unseen = true);
    }

    /// It stays kept, perhaps for another reason; a parent that stands counts it once.
    fn go_on(
        &mut self,
        now: Moment,
        key: &(String, String),
        kept: &Kept,
        by: By,
        incidents: &mut Incidents,
        out: &mut Step,
    ) {
        let mut next = kept.clone();
        if kept.by != by {
            next.before = Some(std::mem::replace(&mut next.by, by));
        }
        if let By::Symptom { of } = &next.by
            && let Some((incident, _)) = incidents.open_of(&of.print)
            && next.counted.as_deref() != Some(incident.as_str())
        {
            let name = format!("{} on {}", key.0, next.instance.name());
            incidents.symptom(now, &of.print, &name);
            next.counted = Some(incident);
        }
        if next.by != kept.by || next.counted != kept.counted {
            self.keep(key.clone(), next, out);
        }
    }

    /// The reason has ended and the condition holds on: it is raised now.
    fn release(
        &mut self,
        now: Moment,
        key: &(String, String),
        kept: &Kept,
        (event, tag): (&Event, Option<Arc<Window>>),
        incidents: &mut Incidents,
        out: &mut Step,
    ) {
        self.drop_kept(key, out);
        incidents.event(now, event, out);
        let print = self.print(&key.0, &event.instance);
        let since = second(now.stamp_of(kept.at.mono));
        let reasons = || [Some(&kept.by), kept.before.as_ref()].into_iter().flatten();
        let window = reasons().find_map(|by| match by {
            By::Window { id, change } => Some((id.as_str(), change.as_deref())),
            _ => None,
        });
        let waited = human(now.mono.saturating_sub(kept.at.mono));
        if let Some(why) = story(kept, incidents) {
            let note = format!("raised only now, {waited} after {since}: {why}");
            incidents.explain(now, &print, ("suppressed", note), window, out);
        }
        self.tag(now, &print, tag.as_deref(), incidents, out);
    }
}

/// The reason for which it stays kept; `None` when it is to be raised.
fn next(by: &By, verdict: Verdict, now: Moment) -> Option<By> {
    let settled =
        |of: &super::kept::Parent| By::Settling { of: of.clone(), until: now.mono.saturating_add(SETTLE) };
    match (by, verdict) {
        // One window or parent after the other; what waits goes on waiting as long as it may.
        (By::Waiting { until, .. }, Verdict::Kept(By::Waiting { of, .. })) => {
            (now.mono < *until).then_some(By::Waiting { of, until: *until })
        }
        (By::Settling { until, .. }, Verdict::Kept(By::Waiting { .. }) | Verdict::Free(_))
            if now.mono < *until =>
        {
            Some(by.clone())
        }
        (By::Symptom { of }, Verdict::Kept(By::Waiting { .. }) | Verdict::Free(_)) => Some(settled(of)),
        (_, Verdict::Kept(by)) => Some(by),
        (_, Verdict::Free(_)) => None,
    }
}

/// Why it was not raised before, for the timeline; `None` for what only waited for a parent that never stood.
fn story(kept: &Kept, incidents: &Incidents) -> Option<String> {
    let told = |by: &By| match by {
        By::Window { id, change: Some(change) } => Some(format!("maintenance window {id} (change {change})")),
        By::Window { id, change: None } => Some(format!("maintenance window {id}")),
        By::Symptom { of } | By::Settling { of, .. } if !of.print.is_empty() => {
            let number = incidents.number_of(&of.print).map(|n| format!(" ({n})")).unwrap_or_default();
            Some(format!("it was explained by {} on {}{number}", of.rule, of.instance))
        }
        By::Settling { .. } => Some("its incident was lost".to_owned()),
        By::Symptom { .. } => None,
        By::Waiting { of, .. } => Some(format!("{} on {} was pending", of.rule, of.instance)),
    };
    let parts: Vec<_> = kept.before.iter().chain([&kept.by]).filter_map(told).collect();
    let mut parts = parts;
    parts.dedup();
    (!parts.is_empty()).then(|| parts.join(", then "))
}
