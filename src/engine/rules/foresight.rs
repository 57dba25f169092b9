//! How every machine that is not plainly ok stands: what a swap is foreseen by, before and after.

use std::collections::BTreeMap;

use crate::engine::event::Event;
use crate::engine::moment::Moment;
use crate::engine::record::Severity;

use super::machine::{Verdicts, highest};
use super::{Machine, Rules};

/// How a machine stands that is not plainly ok.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stance {
    /// Severity of the highest latched step.
    pub severity: Option<Severity>,
    /// A step above it will be latched after this many ns, if its condition holds on.
    pub raising: Option<(Severity, i64)>,
    /// Its latches will open after this many ns, if that holds on.
    pub clearing: Option<i64>,
}

impl Rules {
    /// Judges every machine now, as its next sample would; also one whose rule looks only now and then.
    pub fn judge_all(&mut self, now: Moment, out: &mut Vec<Event>) {
        self.advance(now, now, out);
        for machine in self.machines.values_mut() {
            machine.looked = i64::MIN;
        }
        let ids: Vec<u32> = self.machines.iter().map(|(id, _)| id).collect();
        ids.into_iter().for_each(|id| self.judge(id, 0, now, now, out));
    }

    /// Every machine that is raised or on its way to or from there, by rule id and instance; those not seen
    /// since a restart included.
    pub fn stances(&self) -> BTreeMap<(String, String), Stance> {
        let live = self.machines.iter().filter_map(|(_, machine)| {
            let stance = self.stance(machine)?;
            let instance = self.subjects.get(machine.subject)?.instance.key().to_owned();
            Some(((machine.bound.rule.id.clone(), instance), stance))
        });
        let unseen = self.saved.values().filter_map(|saved| {
            let severity = Some(saved.told?.1);
            let key = (saved.rule().to_owned(), saved.instance().key().to_owned());
            Some((key, Stance { severity, ..Stance::default() }))
        });
        unseen.chain(live).collect()
    }

    fn stance(&self, machine: &Machine) -> Option<Stance> {
        if machine.steps.iter().all(|step| step.latched.is_none() && step.hold.is_none()) {
            return None;
        }
        let (steps, order, t) = (&machine.steps, &machine.bound.order, self.clock.mono);
        let severity = |step: usize| machine.bound.rule.steps.get(step).map(|s| s.severity);
        let sight = self.sight(machine, t);
        let left = |step: usize| {
            let hold = steps.get(step)?.hold?;
            Some(sight.wants(step).due(steps.get(step)?.latched.is_some())(&hold).saturating_sub(t).max(0))
        };
        let top = highest(steps, order);
        let above = order.iter().rev().take_while(|step| Some(**step) != top).copied();
        let raising = above.clone().find_map(|step| Some((severity(step)?, left(step)?)));
        Some(Stance { severity: top.and_then(severity), raising, clearing: top.and_then(left) })
    }

    /// Why the rule holds on an instance, with the numbers; empty when it does not.
    pub fn why(&self, rule: &str, instance_key: &str) -> String {
        let Some((_, machine)) = self.machine_at(rule, instance_key) else { return String::new() };
        let sight = self.sight(machine, self.clock.mono);
        let holds = |step: &usize| sight.raise(*step) == Some(true);
        match machine.bound.order.iter().rev().copied().find(holds) {
            Some(step) => {
                let part = machine.bound.raise(step);
                part.program.why(&sight.at(part))
            }
            None => String::new(),
        }
    }
}
