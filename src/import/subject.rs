//! What a condition is about: nature, category and outage of a rule, by the signals that it names.

use crate::engine::cond::expr::{Expr, Node};
use crate::engine::record::Nature;

/// Nature, category, outage; the first row whose signal stands in the condition decides.
const SUBJECTS: &[(&str, Nature, &str, bool)] = &[
    ("fs.inodes", Nature::Capacity, "storage/inodes", false),
    ("fs.readonly", Nature::Fault, "storage/filesystem", false),
    ("fs.hung", Nature::Fault, "storage/filesystem", false),
    ("fs.", Nature::Capacity, "storage/filesystem", false),
    ("disk.", Nature::Degradation, "storage/disk", false),
    ("net.up", Nature::Fault, "network/link", false),
    ("net.", Nature::Degradation, "network/interface", false),
    ("unit.", Nature::Fault, "service/unit", false),
    ("proc.count", Nature::Fault, "service/process", true),
    ("proc.", Nature::Degradation, "service/process", false),
    ("check.cert_left", Nature::Capacity, "service/certificate", false),
    ("check.latency", Nature::Degradation, "service/endpoint", false),
    ("check.up", Nature::Fault, "service/endpoint", true),
    ("plugin.", Nature::Fault, "service/plugin", false),
    ("psi.io", Nature::Degradation, "storage/pressure", false),
    ("psi.mem", Nature::Degradation, "memory/pressure", false),
    ("psi.cpu", Nature::Degradation, "cpu/saturation", false),
    ("kernel.oom", Nature::Fault, "memory/oom", false),
    ("swap.", Nature::Degradation, "memory/swap", false),
    ("mem.", Nature::Capacity, "memory/available", false),
    ("load.", Nature::Degradation, "cpu/load", false),
    ("cpu.steal", Nature::Degradation, "cpu/steal", false),
    ("cpu.", Nature::Degradation, "cpu/saturation", false),
    ("core.", Nature::Degradation, "cpu/saturation", false),
    ("host.uptime", Nature::Fault, "host/uptime", false),
];

/// Nature, category and outage of a rule with this condition.
pub fn of(raise: &Expr) -> (Nature, &'static str, bool) {
    let names = names(raise);
    // The signal that comes first is what the rule is about; what follows qualifies it.
    let row = names.first().and_then(|n| SUBJECTS.iter().find(|(prefix, ..)| n.starts_with(prefix)));
    row.map_or((Nature::Fault, "", false), |(_, nature, category, outage)| (*nature, category, *outage))
}

/// The signals of a condition in the order of mention.
pub fn names(expr: &Expr) -> Vec<String> {
    let mut all = Vec::new();
    gather(expr, &mut all);
    all
}

fn gather(expr: &Expr, all: &mut Vec<String>) {
    if let Node::Name(name) = &expr.node
        && !all.contains(name)
    {
        all.push(name.clone());
    }
    expr.children(|child| gather(child, all));
}

/// One event is one, however much of its window was seen.
pub fn min_coverage(raise: &Expr) -> Option<&'static str> {
    raise.to_string().contains("increase(").then_some("1%")
}
