//! Impact, urgency and priority, with the reason in words.
//!
//! Impact is the step's own, else the tier of the service, else the host's, else 3; urgency is the step's;
//! the matrix does the rest. While an incident is open its priority only rises, and impact and urgency are
//! those that gave it.

use serde::{Deserialize, Serialize};

use crate::engine::moment::Stamp;
use crate::engine::plan::{Plan, Rule};
use crate::engine::record::{Incident, Priority, Severity};
use crate::engine::signal::Instance;

use super::{facts, sla};

/// Impact where nothing else is said, and tier likewise.
const LOWEST: u8 = 3;

/// What a condition weighs at one step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct Weight {
    pub impact: u8,
    pub urgency: u8,
    pub priority: Priority,
    pub reason: String,
    pub tier: u8,
    pub service: Option<String>,
}

/// Weighs the step of a rule on an instance.
pub(super) fn weigh(
    plan: &Plan,
    rule: &Rule,
    instance: &Instance,
    step: usize,
    severity: Severity,
) -> Weight {
    let (service, tier) = plan.service_of(rule, instance);
    let written = rule.steps.get(step);
    let (impact, whence) = match (written.and_then(|s| s.impact), tier) {
        (Some(impact), _) => (impact, "the rule says so".to_owned()),
        (None, Some(tier)) => (tier, tier_of(plan, service.as_deref())),
        (None, None) => (LOWEST, "no tier is known".to_owned()),
    };
    let impact = impact.clamp(1, 3);
    let urgency = written.map_or(LOWEST, |s| s.urgency).clamp(1, 3);
    let priority = plan.matrix[usize::from(impact - 1)][usize::from(urgency - 1)];
    let step = facts::word(severity);
    let reason = format!("{priority:?}: impact {impact} ({whence}) × urgency {urgency} (step {step})");
    Weight { impact, urgency, priority, reason, tier: tier.unwrap_or(LOWEST).clamp(1, 3), service }
}

/// The arithmetic of the priority of a step of a rule on an instance, in words.
pub(in crate::engine) fn reason(plan: &Plan, rule: &Rule, instance: &Instance, step: usize) -> String {
    let severity = rule.steps.get(step).map_or(Severity::Info, |s| s.severity);
    weigh(plan, rule, instance, step, severity).reason
}

fn tier_of(plan: &Plan, service: Option<&str>) -> String {
    match plan.services.iter().find(|s| Some(s.name.as_str()) == service && s.tier.is_some()) {
        Some(service) => format!("tier of service {}", service.name),
        None => "tier of the host".to_owned(),
    }
}

/// Lets the priority rise to that of `weight`, with the SLA targets; returns what is to be said of it. A
/// lower one only adds to the reason.
pub(super) fn rise(record: &mut Incident, weight: &Weight, plan: &Plan, at: Stamp) -> Option<String> {
    if weight.priority >= record.priority {
        if weight.priority > record.priority && !record.priority_reason.contains("; kept") {
            let lower = weight.priority;
            record
                .priority_reason
                .push_str(&format!("; kept, though the present step alone would be {lower:?}"));
        }
        return None;
    }
    let said = format!("priority {:?} → {}", record.priority, weight.reason);
    (record.impact, record.urgency, record.priority) = (weight.impact, weight.urgency, weight.priority);
    record.priority_reason.clone_from(&weight.reason);
    record.priority_max = record.priority_max.min(weight.priority);
    sla::retarget(&mut record.sla, plan, weight.priority, at);
    Some(said)
}
