//! Which machines are raised or pending, for whoever decides what becomes of a raise; and a raise told once
//! more, when it was held back.

use std::sync::Arc;

use crate::engine::event::Event;
use crate::engine::moment::Moment;
use crate::engine::plan::Rule;
use crate::engine::record::Severity;
use crate::engine::signal::{Class, Instance};

use super::machine::Step;
use super::{Machine, Rules};

/// An instance on which a rule is raised, or may soon be.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// The rule, with the overrides of this instance applied.
    pub rule: Arc<Rule>,
    /// The instance.
    pub instance: Arc<Instance>,
    /// Not raised yet: the condition is true and `for` runs.
    pub pending: bool,
}

/// Whether a rule is raised on an instance.
#[derive(Clone, Debug)]
pub enum Latch {
    /// It is: with the overrides of this instance, and the severity of the highest step.
    Raised(Arc<Rule>, Severity),
    /// It was before a restart, and the instance has not been seen since.
    Unseen,
    /// It is not.
    Open,
}

impl Rules {
    /// Every instance on which the rule is raised or pending, those not seen since a restart included.
    pub fn troubled(&self, rule: &str) -> Vec<Trouble> {
        let Ok(place) = self.plan.rules.binary_search_by(|r| r.id.as_str().cmp(rule)) else {
            return Vec::new();
        };
        let planned = &self.plan.rules[place];
        let live = self.machines_of(planned.class, rule).filter_map(|machine| {
            let instance = Arc::clone(&self.subjects.get(machine.subject)?.instance);
            let pending = state(machine.told.is_some(), &machine.steps)?;
            Some(Trouble { rule: Arc::clone(&machine.bound.rule), instance, pending })
        });
        let saved = self.saved.values().filter(|saved| saved.rule() == rule).filter_map(|saved| {
            let pending = state(saved.told.is_some(), &saved.steps)?;
            let instance = Arc::clone(saved.instance());
            let rule = self.plan.effective(planned, &instance)?;
            Some(Trouble { rule, instance, pending })
        });
        live.chain(saved).collect()
    }

    /// Whether the rule is raised on the instance of that key.
    pub fn latch(&self, rule: &str, instance_key: &str) -> Latch {
        let machine = self.machine_at(rule, instance_key).map(|(_, machine)| machine);
        match machine.map(|machine| (machine, machine.told)) {
            Some((machine, Some((_, severity)))) => Latch::Raised(Arc::clone(&machine.bound.rule), severity),
            Some((_, None)) => Latch::Open,
            None if self.is_saved_raised(rule, instance_key) => Latch::Unseen,
            None => Latch::Open,
        }
    }

    /// The raise of a machine as it stands now, with the breach that began it; `None` when it is not raised.
    pub fn raise_again(&self, now: Moment, rule: &str, instance_key: &str) -> Option<Event> {
        let (id, machine) = self.machine_at(rule, instance_key)?;
        let since = machine.steps.iter().filter_map(|step| step.latched).min()?;
        self.transition(id, None, machine.told, since, now, now)
    }

    /// Rule and instance of every machine that was raised before a restart.
    pub fn saved_raised(&self) -> Vec<(String, Arc<Instance>)> {
        let raised = self.saved.values().filter(|saved| saved.told.is_some());
        raised.map(|saved| (saved.rule().to_owned(), Arc::clone(saved.instance()))).collect()
    }

    pub(super) fn machine_at(&self, rule: &str, instance_key: &str) -> Option<(u32, &Machine)> {
        let subject = self.subjects.get(*self.by_key.get(instance_key)?)?;
        let all = subject.machines.iter().filter_map(|id| Some((*id, self.machines.get(*id)?)));
        all.into_iter().find(|(_, machine)| machine.bound.rule.id == rule)
    }

    /// The machines of a rule, by instance.
    pub(super) fn machines_of<'a>(
        &'a self,
        class: Class,
        rule: &'a str,
    ) -> impl Iterator<Item = &'a Machine> {
        let name = class.name();
        let subjects = self.by_key.range(name.to_owned()..).take_while(move |(key, _)| key.starts_with(name));
        let subjects = subjects.filter_map(|(_, id)| self.subjects.get(*id));
        let machines = subjects.flat_map(|subject| &subject.machines).filter_map(|id| self.machines.get(*id));
        machines.filter(move |machine| machine.bound.rule.id == rule)
    }
}

/// `None` when nothing is wrong, else whether it is only pending.
fn state(told: bool, steps: &[Step]) -> Option<bool> {
    let pending = || steps.iter().any(|step| step.latched.is_none() && step.hold.is_some());
    if told {
        return Some(false);
    }
    pending().then_some(true)
}
