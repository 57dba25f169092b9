//! What rules and incidents look like at one moment, for the question whether something explains a raise.
//!
//! The rule machines have all been judged before, so that parent and child of one batch see each other
//! whatever their order. What is looked up of a rule is kept for the rest of the pass: a storm asks about the
//! same parents again and again.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::id;
use crate::engine::incident::Incidents;
use crate::engine::moment::Moment;
use crate::engine::plan::{Plan, Rule};
use crate::engine::rules::{Rules, Trouble};
use crate::engine::signal::Instance;

use super::kept::Parent;
use super::terms::Ancestor;

/// The label of a relation that stands for the service of the plan.
const SERVICE: &str = "service";

/// Something that explains a raise.
pub(super) struct Explained {
    pub parent: Parent,
    /// It is not raised itself yet.
    pub pending: bool,
}

/// One moment.
pub(super) struct View<'a> {
    pub rules: &'a Rules,
    plan: &'a Plan,
    troubled: BTreeMap<String, Vec<Trouble>>,
}

impl<'a> View<'a> {
    pub fn new(rules: &'a Rules, plan: &'a Plan) -> Self {
        Self { rules, plan, troubled: BTreeMap::new() }
    }

    /// The nearest ancestor that stands, else the nearest that is pending.
    pub fn explained(
        &mut self,
        now: Moment,
        rule: &Rule,
        instance: &Instance,
        incidents: &Incidents,
    ) -> Option<Explained> {
        let plan = self.plan;
        let mut pending = None;
        for ancestor in plan.suppress.ancestors.get(&rule.id).into_iter().flatten() {
            let Some(own) = shared(plan, ancestor, rule, instance) else { continue };
            self.look(now, &ancestor.rule, incidents);
            for trouble in self.troubled.get(&ancestor.rule).into_iter().flatten() {
                if !has(plan, &own, &trouble.rule, &trouble.instance) {
                    continue;
                }
                let print = id::fingerprint(&ancestor.rule, &plan.host.host.id, &trouble.instance);
                let named = || Parent {
                    rule: ancestor.rule.clone(),
                    instance: trouble.instance.key().to_owned(),
                    print: print.clone(),
                };
                if trouble.pending {
                    pending.get_or_insert_with(named);
                } else if !incidents.is_dismissed(&print) {
                    return Some(Explained { parent: named(), pending: false });
                }
            }
        }
        pending.map(|parent| Explained { parent, pending: true })
    }

    /// Where a rule that was looked up is raised or pending.
    pub fn troubled(&self, rule: &str) -> &[Trouble] {
        self.troubled.get(rule).map_or(&[], Vec::as_slice)
    }

    /// Looks a rule up, once: where it is raised or pending, and where flapping holds its incident open.
    pub fn look(&mut self, now: Moment, rule: &str, incidents: &Incidents) {
        if self.troubled.contains_key(rule) {
            return;
        }
        let mut found = self.rules.troubled(rule);
        for instance in incidents.flapping_of(now, rule) {
            found.retain(|t| !(t.pending && *t.instance == *instance));
            let planned = self.plan.rules.iter().find(|r| r.id == rule);
            if let Some(rule) = planned.filter(|_| found.iter().all(|t| *t.instance != *instance)) {
                found.push(Trouble { rule: Arc::clone(rule), instance, pending: false });
            }
        }
        found.sort_by(|a, b| a.instance.cmp(&b.instance));
        self.troubled.insert(rule.to_owned(), found);
    }
}

/// The values that a parent must have as well; `None` when one of them is missing here.
pub(super) fn shared<'a>(
    plan: &Plan,
    ancestor: &'a Ancestor,
    rule: &Rule,
    instance: &Instance,
) -> Option<Vec<(&'a str, String)>> {
    let value = |label: &'a String| match label.as_str() {
        SERVICE => Some((SERVICE, plan.service_of(rule, instance).0?)),
        label => Some((label, instance.label(label).to_owned())).filter(|(_, value)| !value.is_empty()),
    };
    ancestor.same.iter().map(value).collect()
}

pub(super) fn has(plan: &Plan, wanted: &[(&str, String)], rule: &Rule, instance: &Instance) -> bool {
    wanted.iter().all(|(label, value)| match *label {
        SERVICE => plan.service_of(rule, instance).0.as_ref() == Some(value),
        label => instance.label(label) == value,
    })
}
