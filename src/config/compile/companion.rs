//! Companions: rules of nature monitoring that say that another rule is blind, and the objects that the
//! configuration names outright, of which something must be seen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Known, hash};
use crate::config::raw::RawCheck;
use crate::engine::cond::{self, Cond};
use crate::engine::moment::human;
use crate::engine::plan::{EXPECTED_WITHIN, Globs, OnMissing, Rule, Silence, StepPlan, default_reopen};
use crate::engine::record::{Nature, Severity};
use crate::engine::signal::{Class, Instance, Metric};

/// What the id of a companion has behind that of its rule; no written id can hold it.
const SUFFIX: &str = "/nodata";
/// Most objects that one rule declares.
const MOST_DECLARED: usize = 1_000;

/// Conditions of companions, by what they say: the signals of a rule, and how long it bears their silence.
type Shared = BTreeMap<(Vec<Metric>, Option<i64>), (Cond, Cond)>;

/// Adds the companion of every rule that has one.
pub fn add(rules: &mut BTreeMap<String, Known>) {
    let mut shared = Shared::new();
    let mut made: BTreeMap<_, _> = rules
        .values()
        .filter_map(|known| {
            let plan = companion(known.plan.as_ref()?, &mut shared)?;
            let made = Known {
                id: (plan.id.clone(), known.id.1),
                class: known.class,
                is_shipped: known.is_shipped,
                plan: Some(Arc::new(plan)),
                depends: Vec::new(),
                suppresses: Vec::new(),
            };
            Some((made.id.0.clone(), made))
        })
        .collect();
    rules.append(&mut made);
}

/// Every object that is declared: each check, and what rules that would miss it name without a glob.
pub fn declared(rules: &[Arc<Rule>], checks: &[RawCheck]) -> Vec<Arc<Instance>> {
    let check = |c: &RawCheck| Instance::of(Class::Check, &[("check", &c.id.0), ("kind", c.door.kind)]);
    let watched: BTreeSet<&String> = rules.iter().filter_map(|r| r.silence.of.as_ref()).collect();
    let misses = |rule: &&Arc<Rule>| {
        rule.silence.of.is_none()
            && (watched.contains(&rule.id) || rule.silence.on_missing == OnMissing::Raise)
    };
    // Many rules name the same object: the first of them says what it is like.
    let mut named = BTreeMap::new();
    for rule in rules.iter().filter(misses) {
        for labels in identities(rule) {
            named.entry((rule.class, labels)).or_insert_with_key(|(_, labels)| object(rule, labels));
        }
    }
    let mut all: Vec<_> = checks.iter().map(check).chain(named.into_values()).collect();
    // A check that a rule names as well is told apart by its kind: the first is the [[check]].
    all.sort_by(|a, b| a.key().cmp(b.key()));
    all.dedup_by(|later, first| later.key() == first.key());
    all
}

fn companion(rule: &Rule, shared: &mut Shared) -> Option<Rule> {
    let metrics = blind_without(rule);
    if metrics.is_empty() {
        return None;
    }
    let name = rule.class.spec().identity.first().map_or(String::new(), |label| format!("{{{label}}}: "));
    let signals: Vec<_> = metrics.iter().map(|m| m.name()).collect();
    let signals = signals.join(", ");
    let (title, what) = match rule.silence.nodata_after {
        Some(0) => return None,
        Some(ns) => {
            let time = human(ns);
            let what = format!("For {time} there has been no value of a signal that it needs ({signals})");
            let title = format!("{name}no data for {time}, rule {} is blind", rule.id);
            (title, what)
        }
        None if identities(rule).is_empty() => return None,
        None => {
            let what = format!("The rule names it, and nothing was ever seen of it ({signals})");
            let title = format!("{name}never seen, rule {} is blind", rule.id);
            (title, what)
        }
    };
    let conditions = shared.entry((metrics, rule.silence.nodata_after));
    let (raise, clear) = conditions.or_insert_with_key(|(metrics, nodata_after)| match nodata_after {
        Some(ns) => (cond::missing(metrics, *ns), cond::known(metrics, false)),
        None => (cond::unseen(metrics, EXPECTED_WITHIN), cond::known(metrics, true)),
    });
    let step = StepPlan {
        severity: Severity::Warning,
        impact: rule.steps.iter().filter_map(|s| s.impact).min(),
        urgency: 3,
        raise: raise.clone(),
        clear: clear.clone(),
        for_: 0,
        keep: 0,
    };
    let mut companion = Rule {
        id: format!("{}{SUFFIX}", rule.id),
        hash: String::new(),
        origin: rule.origin.clone(),
        class: rule.class,
        matches: rule.matches.clone(),
        title,
        description: description(&rule.id, &what),
        runbook: rule.runbook.clone(),
        nature: Nature::Monitoring,
        category: "monitoring/nodata".to_owned(),
        outage: false,
        service: rule.service.clone(),
        labels: rule.labels.clone(),
        reopen: default_reopen(Nature::Monitoring),
        stale: rule.stale,
        min_coverage: rule.min_coverage,
        steps: vec![step],
        lets: Vec::new(),
        silence: Silence { of: Some(rule.id.clone()), ..Silence::default() },
        every: 0,
        cause_hint: None,
        action: None,
    };
    companion.hash = hash::rule(&companion);
    Some(companion)
}

fn description(rule: &str, what: &str) -> String {
    format!(
        "Rule {rule} cannot judge this object: it would neither raise nor clear. {what}.\n\
         What to do: see whether the object still exists under this name, and whether what reads it works \
         (sexton status, rule sexton-collector). It is no longer meant to be watched: change `match` of the \
         rule. It may be silent for longer: change `nodata_after`, \"0s\" switches this off."
    )
}

/// The signals without which a rule is blind: those of its own class in its raise conditions, else all.
fn blind_without(rule: &Rule) -> Vec<Metric> {
    let mut all = Vec::new();
    for metric in rule.steps.iter().flat_map(|s| s.raise.metrics()) {
        if !all.contains(metric) {
            all.push(*metric);
        }
    }
    let own: Vec<_> = all.iter().copied().filter(|m| m.spec().class == rule.class).collect();
    if own.is_empty() { all } else { own }
}

/// An object that a rule names outright. A label that describes it and has one possible value is part of it.
fn object(rule: &Rule, identity: &[(&str, &str)]) -> Arc<Instance> {
    let other = rule.class.spec().other.iter();
    let other = other.filter_map(|l| Some((*l, names(rule, l).filter(|v| v.len() == 1)?[0].as_str())));
    Instance::of(rule.class, &[identity, &other.collect::<Vec<_>>()].concat())
}

/// The identity labels of the objects that a rule names outright: each has a list of names without globs.
fn identities(rule: &Rule) -> Vec<Vec<(&'static str, &str)>> {
    let identity = rule.class.spec().identity;
    if identity.is_empty() {
        return Vec::new();
    }
    let mut named: Vec<Vec<(&str, &str)>> = vec![Vec::new()];
    for label in identity {
        let Some(values) = names(rule, label) else { return Vec::new() };
        if named.len().saturating_mul(values.len()) > MOST_DECLARED {
            return Vec::new();
        }
        named = named
            .iter()
            .flat_map(|labels| values.iter().map(|v| [&labels[..], &[(*label, v.as_str())]].concat()))
            .collect();
    }
    named
}

/// What a rule names of a label, when none of it is a glob.
fn names<'r>(rule: &'r Rule, label: &str) -> Option<&'r [String]> {
    let plain = |globs: &&Globs| globs.0.iter().all(|g| !g.starts_with('!') && !g.contains(['*', '?']));
    rule.matches.0.get(label).filter(plain).map(|globs| &globs.0[..])
}
