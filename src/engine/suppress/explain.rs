//! What keeps a raise from becoming an incident, or would: every window and every dependency of a rule on an
//! instance, with what it does now and why.
//!
//! Reads only. Windows and parents are asked as the gate itself asks them.

use serde::Serialize;

use crate::engine::id;
use crate::engine::incident::{Incidents, second};
use crate::engine::moment::Moment;
use crate::engine::plan::Rule;
use crate::engine::record::Severity;
use crate::engine::rules::Rules;
use crate::engine::signal::Instance;

use super::kept::By;
use super::terms::{Ancestor, Mode, Subject};
use super::view::{View, has, shared};
use super::{Suppression, labels};

/// What something does to a raise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// It keeps the raise from becoming an incident now.
    Keeps,
    /// It would keep a raise.
    Would,
    /// It would delay a raise for a short while.
    Delays,
    /// It marks what is raised.
    Marks,
    /// Nothing at present.
    None,
}

/// Something that was asked whether a raise may become an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hindrance {
    /// `maintenance`, `dependency`, `incident`, `flapping`, `start`, `missing`.
    pub kind: &'static str,
    /// What it does.
    pub effect: Effect,
    /// In words, with the reason.
    pub text: String,
}

impl Hindrance {
    /// One of these.
    pub fn new(kind: &'static str, effect: Effect, text: impl Into<String>) -> Self {
        Self { kind, effect, text: text.into() }
    }
}

impl Suppression {
    /// Every window and dependency of a rule on an instance, as they are for a raise of that severity.
    pub fn hindrances(
        &self,
        now: Moment,
        (rule, instance): (&Rule, &Instance),
        severity: Severity,
        rules: &Rules,
        incidents: &Incidents,
    ) -> Vec<Hindrance> {
        let key = (rule.id.clone(), instance.key().to_owned());
        let kept = self.kept.get(&key);
        let mut all = Vec::new();
        if let Some(kept) = kept {
            let since = second(now.stamp_of(kept.at.mono));
            let text = format!("kept since {since}: {}", self.reason(now, &kept.by, incidents));
            all.push(Hindrance::new(kept.by.word(), Effect::Keeps, text));
        }
        let by_window = kept.and_then(|kept| match &kept.by {
            By::Window { id, .. } => Some(id.as_str()),
            _ => None,
        });
        all.extend(self.windows_for(now, (rule, instance), severity, by_window));
        all.extend(self.parents_of(now, (rule, instance), rules, incidents));
        all
    }

    fn windows_for(
        &self,
        now: Moment,
        (rule, instance): (&Rule, &Instance),
        severity: Severity,
        keeping: Option<&str>,
    ) -> Vec<Hindrance> {
        let labels = labels(&self.plan, rule, instance);
        let (service, _) = self.plan.service_of(rule, instance);
        let subject = Subject { rule: &rule.id, service: service.as_deref(), severity, labels: &labels };
        let maintenance = |effect, text| Hindrance::new("maintenance", effect, text);
        let mut all = Vec::new();
        for (window, opening) in self.windows.active() {
            let (name, until) = (window.called(), second(opening.to));
            all.extend(match (window.covers.accepts(&subject), window.mode) {
                (true, Mode::Suppress) if keeping == Some(window.id.as_str()) => None,
                (true, Mode::Suppress) => {
                    Some(maintenance(Effect::Would, format!("window {name} is open until {until}")))
                }
                (true, Mode::Tag) => {
                    Some(maintenance(Effect::Marks, format!("window {name} is open until {until}")))
                }
                (false, _) => {
                    let about = window.covers.words();
                    Some(maintenance(
                        Effect::None,
                        format!("window {name} is open, and is not about this: {about}"),
                    ))
                }
            });
        }
        let wall = now.stamp();
        let mut next = None;
        for window in self.windows.all().filter(|w| w.covers.accepts(&subject)) {
            let is_open = self.windows.active().iter().any(|(active, _)| active.id == window.id);
            let may_begin = window.lasts.is_some() && !is_open && self.windows.may_begin(&window.id);
            if let Some(span) = window.when.at(wall).filter(|_| may_begin) {
                let (name, until) = (window.called(), second(span.to));
                let text = format!("flexible window {name} would begin with a raise before {until}");
                all.push(maintenance(Effect::Would, text));
            }
            let opens = window.when.next(wall).map(|o| (o.from, window.called()));
            next = next.into_iter().chain(opens).min();
        }
        match next {
            Some((at, name)) => {
                all.push(maintenance(Effect::None, format!("window {name} opens at {}", second(at))));
            }
            None if all.is_empty() && keeping.is_none() => {
                all.push(maintenance(Effect::None, "no window about this is open or planned".to_owned()));
            }
            None => {}
        }
        all
    }

    fn parents_of(
        &self,
        now: Moment,
        (rule, instance): (&Rule, &Instance),
        rules: &Rules,
        incidents: &Incidents,
    ) -> Vec<Hindrance> {
        let plan = &self.plan;
        let mut view = View::new(rules, plan);
        let mut all = Vec::new();
        for ancestor in plan.suppress.ancestors.get(&rule.id).into_iter().flatten() {
            let name = named(ancestor);
            let say = |effect, text: String| Hindrance::new("dependency", effect, text);
            let Some(own) = shared(plan, ancestor, rule, instance) else {
                let same = ancestor.same.join(", ");
                all.push(say(Effect::None, format!("{name}: this instance has no {same} to share")));
                continue;
            };
            if Rules::planned(plan, &ancestor.rule).is_none() {
                all.push(say(Effect::None, format!("{name} is switched off")));
                continue;
            }
            view.look(now, &ancestor.rule, incidents);
            let troubled = view.troubled(&ancestor.rule);
            let related = troubled.iter().filter(|t| has(plan, &own, &t.rule, &t.instance));
            let before = all.len();
            for trouble in related {
                let print = id::fingerprint(&ancestor.rule, &plan.host.host.id, &trouble.instance);
                let number = incidents.number_of(&print).map(|n| format!(" ({n})")).unwrap_or_default();
                let on = format!("{} on {}{number}", ancestor.rule, trouble.instance.key());
                all.push(if trouble.pending {
                    say(Effect::Delays, format!("{on} is pending: a raise waits for it, 30 s at most"))
                } else if incidents.is_dismissed(&print) {
                    say(Effect::None, format!("{on} was dismissed by people, and explains nothing"))
                } else {
                    say(Effect::Would, format!("{on} is raised, and explains this"))
                });
            }
            if all.len() == before {
                all.push(say(Effect::None, format!("{name} is well")));
            }
        }
        all
    }
}

/// `fs-readonly (same mount)`.
fn named(ancestor: &Ancestor) -> String {
    match ancestor.same.as_slice() {
        [] => ancestor.rule.clone(),
        same => format!("{} (same {})", ancestor.rule, same.join(", ")),
    }
}
