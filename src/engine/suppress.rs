//! The gate between rules and incidents: which raises do not become incidents, for now, and why.
//!
//! A raise is kept while a maintenance window covers it, and while an ancestor of its rule stands that
//! explains it; one whose ancestor is only pending waits for at most [`PARENT_WAIT`]. Rules go on being
//! judged meanwhile: a kept raise that clears is gone. One that still holds when its reason ends is raised
//! then, with the breach it began with; after a parent's resolve that is [`SETTLE`] later. Only a raise is
//! ever kept: what happens to an open incident passes, and so does every resolve. Each decision is in the
//! journal, and what is kept is a state row `suppressed / RULE|INSTANCE` in the same step: a process that
//! ends goes on with it.
//!
//! This file must not know how a condition is judged or how an incident lives.

mod calendar;
mod explain;
mod kept;
mod review;
mod status;
mod terms;
mod view;
mod windows;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

pub use calendar::{Calendar, DAY_MINUTES, Days, Opening, Slot, When};
pub use explain::{Effect, Hindrance};
pub use status::{KeptRaise, WindowStatus};
pub use terms::{Ancestor, Covers, Mode, Subject, Terms, Window};
pub use windows::{SHELL_LASTS, SHELL_MOST};

use super::effect::{Maintenance, Step};
use super::event::{Event, EventKind};
use super::id;
use super::incident::{Incidents, second};
use super::moment::{Moment, SECOND};
use super::plan::{Plan, Rule};
use super::record::Severity;
use super::rules::Rules;
use super::signal::Instance;
use kept::{By, Kept, Parent};
use view::{Explained, View};
use windows::{Turned, Windows};

/// A parent that is pending delays a raise for at most this long.
pub const PARENT_WAIT: i64 = 30 * SECOND;
/// What a parent has explained and still holds this long after its resolve is raised then.
pub const SETTLE: i64 = 30 * SECOND;
/// Longest chain of dependencies.
pub const DEPTH_MOST: usize = 8;

/// Raises that are kept from becoming incidents, and the windows that do so.
#[derive(Clone, Debug)]
pub struct Suppression {
    plan: Arc<Plan>,
    windows: Windows,
    kept: BTreeMap<(String, String), Kept>,
    /// Something is to be looked at again with the next observation.
    restless: bool,
    /// Windows that have opened since the last review.
    fresh: Vec<String>,
    /// Steady time minus wall time at the last call.
    shift: i64,
}

/// What is to become of a raise.
#[derive(Clone, Debug)]
enum Verdict {
    /// It becomes an incident; a window may tag it.
    Free(Option<Arc<Window>>),
    /// It is kept.
    Kept(By),
}

/// A raise that is to be judged.
#[derive(Clone, Copy)]
struct Raising<'a> {
    rule: &'a Rule,
    instance: &'a Instance,
    severity: Severity,
}

impl<'a> Raising<'a> {
    fn of(event: &'a Event) -> Self {
        Self { rule: &event.rule, instance: &event.instance, severity: event.severity }
    }
}

impl Suppression {
    /// Nothing kept yet.
    pub fn new(plan: Arc<Plan>) -> Self {
        let windows = Windows::new(&plan.suppress.windows);
        Self { plan, windows, kept: BTreeMap::new(), restless: false, fresh: Vec::new(), shift: 0 }
    }

    /// Goes by another plan from now on; what is kept is judged again.
    pub fn reload(&mut self, plan: Arc<Plan>) {
        self.windows.reload(&plan.suppress.windows);
        self.plan = plan;
        self.restless = true;
    }

    /// Hands events on to the incidents, except for raises that are kept, and looks again at those.
    pub fn pass(
        &mut self,
        now: Moment,
        events: Vec<Event>,
        rules: &Rules,
        incidents: &mut Incidents,
        out: &mut Step,
    ) {
        self.shift = now.mono - now.wall;
        let turned = self.turn_windows(now, incidents, out);
        let seen = !events.is_empty();
        let plan = Arc::clone(&self.plan);
        let mut view = View::new(rules, &plan);
        for event in events {
            self.take(now, &event, &mut view, incidents, out);
        }
        let due = self.kept.values().filter_map(Kept::due).any(|until| until <= now.mono);
        if seen || turned || due || self.restless {
            self.review(now, &mut view, incidents, out);
        }
    }

    /// Looks at everything that is kept again, after incidents have changed by other means than an event.
    pub fn look_again(&mut self, now: Moment, rules: &Rules, incidents: &mut Incidents, out: &mut Step) {
        self.restless = true;
        self.pass(now, Vec::new(), rules, incidents, out);
    }

    /// When [`Suppression::pass`] wants to be called though nothing came in, in steady nanoseconds.
    pub fn poll_timeout(&self) -> Option<i64> {
        let windows = Some(self.windows.due()).filter(|at| *at > i64::MIN && *at < i64::MAX);
        let windows = windows.map(|at| at.saturating_add(self.shift));
        self.kept.values().filter_map(Kept::due).chain(windows).min()
    }

    /// Follows the clocks between events: when the wall steps forward, windows come nearer.
    pub fn keep_time(&mut self, now: Moment) {
        self.shift = now.mono - now.wall;
    }

    /// Opens a window from the shell; returns what to say of it.
    ///
    /// # Errors
    /// A sentence that says why not.
    pub fn start(&mut self, now: Moment, ask: &Maintenance, out: &mut Step) -> Result<String, String> {
        let window = self.windows.start(now.stamp(), ask, out)?;
        let until = window.opening(now.stamp()).map(|o| second(o.to)).unwrap_or_default();
        let does = match window.mode {
            Mode::Suppress => "nothing is raised",
            Mode::Tag => "what is raised is marked",
        };
        let about = match window.covers.words() {
            all if all == "everything" => String::new(),
            some => format!(" of {some}"),
        };
        Ok(format!("maintenance {} until {until}: {does}{about}", window.called()))
    }

    /// Ends a window early; returns what to say of it.
    ///
    /// # Errors
    /// A sentence that says why not.
    pub fn end(&mut self, now: Moment, id: &str, out: &mut Step) -> Result<String, String> {
        self.windows.end(now.stamp(), id, out)?;
        Ok(format!("maintenance {id} is over"))
    }

    /// Tells which windows have opened and closed; true when any has.
    fn turn_windows(&mut self, now: Moment, incidents: &mut Incidents, out: &mut Step) -> bool {
        let turned = self.windows.refresh(now.stamp(), out);
        turned.iter().for_each(|turned| tell(now, turned, incidents, out));
        self.fresh.extend(turned.iter().filter(|t| t.is_open).map(|t| t.id.clone()));
        !turned.is_empty()
    }

    fn take(
        &mut self,
        now: Moment,
        event: &Event,
        view: &mut View<'_>,
        incidents: &mut Incidents,
        out: &mut Step,
    ) {
        let key = (event.rule.id.clone(), event.instance.key().to_owned());
        let print = self.print(&event.rule.id, &event.instance);
        match event.kind {
            EventKind::Raise if incidents.open_of(&print).is_some() => {
                self.drop_kept(&key, out);
                incidents.event(now, event, out);
            }
            EventKind::Raise => match self.judge(now, &Raising::of(event), view, incidents, out) {
                Verdict::Free(tag) => {
                    self.drop_kept(&key, out);
                    incidents.event(now, event, out);
                    self.tag(now, &print, tag.as_deref(), incidents, out);
                }
                Verdict::Kept(by) => {
                    let kept = Kept::new(event, by);
                    journal(now, event, Some(&kept.by), &print, incidents, out);
                    self.keep(key, kept, out);
                }
            },
            EventKind::Step => match self.kept.get_mut(&key) {
                Some(kept) => {
                    kept.follow(event);
                    journal(now, event, Some(&kept.by), &print, incidents, out);
                    let kept = kept.clone();
                    self.keep(key, kept, out);
                }
                None => incidents.event(now, event, out),
            },
            EventKind::Clear | EventKind::Retire => match self.kept.get(&key) {
                Some(kept) => {
                    journal(now, event, Some(&kept.by), &print, incidents, out);
                    self.drop_kept(&key, out);
                }
                None => incidents.event(now, event, out),
            },
        }
    }

    /// What is to become of a raise at this moment.
    fn judge(
        &mut self,
        now: Moment,
        raising: &Raising<'_>,
        view: &mut View<'_>,
        incidents: &mut Incidents,
        out: &mut Step,
    ) -> Verdict {
        if !self.windows.is_idle()
            && let kept @ Verdict::Kept(_) = self.ask_windows(now, raising, false, incidents, out)
        {
            return kept;
        }
        match view.explained(now, raising.rule, raising.instance, incidents) {
            Some(Explained { parent, pending: false }) => Verdict::Kept(By::Symptom { of: parent }),
            Some(Explained { parent, pending: true }) => {
                Verdict::Kept(By::Waiting { of: parent, until: now.mono.saturating_add(PARENT_WAIT) })
            }
            None if self.windows.is_idle() => Verdict::Free(None),
            None => self.ask_windows(now, raising, true, incidents, out),
        }
    }

    /// What the windows alone make of a raise. One that nothing else keeps (`begins`) begins a flexible
    /// window.
    fn ask_windows(
        &mut self,
        now: Moment,
        raising: &Raising<'_>,
        begins: bool,
        incidents: &mut Incidents,
        out: &mut Step,
    ) -> Verdict {
        let Raising { rule, instance, severity } = *raising;
        let labels = labels(&self.plan, rule, instance);
        let (service, _) = self.plan.service_of(rule, instance);
        let (rule, service) = (rule.id.as_str(), service.as_deref());
        let subject = Subject { rule, service, severity, labels: &labels };
        if begins && let Some(turned) = self.windows.begin(now.stamp(), &subject, out) {
            tell(now, &turned, incidents, out);
        }
        match self.windows.covering(Mode::Suppress, &subject) {
            Some((window, _)) => {
                Verdict::Kept(By::Window { id: window.id.clone(), change: window.change.clone() })
            }
            None => {
                let tag = self.windows.covering(Mode::Tag, &subject);
                Verdict::Free(tag.map(|(window, _)| Arc::clone(window)))
            }
        }
    }

    /// Marks an incident that was raised within a window that only tags.
    fn tag(
        &self,
        now: Moment,
        print: &str,
        window: Option<&Window>,
        incidents: &mut Incidents,
        out: &mut Step,
    ) {
        if let Some(window) = window {
            let note = format!("raised within the maintenance window {}", window.called());
            let belongs = Some((window.id.as_str(), window.change.as_deref()));
            incidents.explain(now, print, ("maintenance", note), belongs, out);
        }
    }

    fn print(&self, rule: &str, instance: &Instance) -> String {
        id::fingerprint(rule, &self.plan.host.host.id, instance)
    }
}

/// Labels of host, rule and instance, as the incident has them.
fn labels(plan: &Plan, rule: &Rule, instance: &Instance) -> BTreeMap<String, String> {
    let mut labels = plan.host.labels.clone();
    labels.extend(rule.labels.clone());
    labels.extend(instance.labels.clone());
    labels
}

/// A suppressed event is in the journal all the same.
fn journal(
    now: Moment,
    event: &Event,
    by: Option<&By>,
    print: &str,
    incidents: &mut Incidents,
    out: &mut Step,
) {
    let (parent, window, change) = match by {
        Some(By::Window { id, change }) => (None, Some(id), change.as_ref()),
        Some(By::Symptom { of } | By::Settling { of, .. } | By::Waiting { of, .. }) => {
            (Some(of.name()), None, None)
        }
        None => (None, None, None),
    };
    let body = json!({
        "event": format!("{:?}", event.kind).to_lowercase(),
        "rule": event.rule.id,
        "instance": event.instance.key(),
        "at": now.stamp_of(event.at.mono),
        "since": now.stamp_of(event.since.mono),
        "why": event.why,
        "suppressed_by": by.map(By::word),
        "parent": parent,
        "window": window,
        "change": change,
    });
    incidents.journal(now, "event", print, body.to_string(), out);
}

/// A window that has opened or closed is in the journal.
fn tell(now: Moment, turned: &Turned, incidents: &mut Incidents, out: &mut Step) {
    let window = turned.window.as_deref();
    let body = json!({
        "event": if turned.is_open { "opened" } else { "closed" },
        "from": turned.opening.from,
        "to": turned.opening.to,
        "mode": window.map(|w| w.mode),
        "covers": window.map(|w| w.covers.words()),
        "change": window.and_then(|w| w.change.as_deref()),
        "reason": window.map(|w| w.reason.as_str()).filter(|r| !r.is_empty()),
        "by": window.and_then(|w| w.by.as_deref()),
    });
    incidents.journal(now, "maintenance", &turned.id, body.to_string(), out);
}

/// A parent's name for a journal entry or a sentence.
impl Parent {
    fn name(&self) -> String {
        format!("{} on {}", self.rule, self.instance)
    }
}
