//! Splits the series of one host into parts that can be played apart.
//!
//! A rule looks at one instance and at the host; what rules say of different instances touches only where one
//! explains the other (`depends`, `suppresses`), where events are counted, and where the first raise opens a
//! window. Instances that are bound by such a thing stay together; the others go wherever there is room, each
//! with the rules of its class and with the signals of the host that those rules name. The rules of the host
//! itself are in one part only.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::engine::cond::Cond;
use crate::engine::plan::{Plan, Rule};
use crate::engine::signal::{Class, Instance, Metric};
use crate::engine::suppress::Ancestor;
use crate::engine::window::Keeps;

/// Fewer samples than this are not worth a second thread.
const WORTH: u64 = 50_000;
/// The label of a relation that stands for the service of the plan.
const SERVICE: &str = "service";

/// An instance with its series.
#[derive(Clone, Debug)]
pub struct Item {
    /// The instance.
    pub instance: Arc<Instance>,
    /// Samples of its series, roughly.
    pub weight: u64,
}

/// A part: what is judged in it, and what is seen there.
#[derive(Clone, Debug)]
pub struct Part {
    /// The rules that are judged, and the declared objects that are waited for.
    pub plan: Arc<Plan>,
    /// Keys of instances that are seen with all their signals.
    pub instances: BTreeSet<String>,
    /// Signals of the host that are seen though the host is not among them.
    pub named: Arc<BTreeSet<Metric>>,
}

/// Splits a host into at most `most` parts of like size.
pub fn split(plan: &Arc<Plan>, items: &[Item], most: usize) -> Vec<Part> {
    let mut by_key: BTreeMap<&str, (Arc<Instance>, u64)> = BTreeMap::new();
    for item in items {
        let known = by_key.entry(item.instance.key()).or_insert((Arc::clone(&item.instance), 0));
        known.1 += item.weight;
    }
    // What is declared is waited for, also where nothing was recorded of it.
    for declared in &plan.declared {
        by_key.entry(declared.key()).or_insert((Arc::clone(declared), 0));
    }
    let all: Vec<(Arc<Instance>, u64)> = by_key.into_values().collect();
    let total: u64 = all.iter().map(|(_, weight)| weight).sum();
    if most < 2 || total < WORTH {
        let instances = all.iter().map(|(i, _)| i.key().to_owned()).collect();
        return vec![Part { plan: Arc::clone(plan), instances, named: Arc::default() }];
    }
    let instances: Vec<_> = all.iter().map(|(instance, _)| Arc::clone(instance)).collect();
    let mut groups: BTreeMap<usize, (u64, Vec<usize>)> = BTreeMap::new();
    for (at, root) in bound(plan, &instances).into_iter().enumerate() {
        let group = groups.entry(root).or_default();
        group.0 += all[at].1;
        group.1.push(at);
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by(|a, b| (b.0, &a.1).cmp(&(a.0, &b.1)));
    let mut bins: Vec<(u64, Vec<usize>)> = vec![(0, Vec::new()); most];
    for (weight, members) in groups {
        if let Some(lightest) = bins.iter_mut().min_by_key(|(sum, _)| *sum) {
            lightest.0 += weight;
            lightest.1.extend(members);
        }
    }
    let named = Arc::new(named_of_host(plan));
    let bins = bins.into_iter().map(|(_, bin)| bin).filter(|bin| !bin.is_empty());
    bins.map(|bin| part(plan, bin.iter().map(|at| &all[*at].0), &named)).collect()
}

/// What has to be played for the instance of that key to be as it was on its host: the part of the host that
/// cannot be split further. `None` when there is no such instance.
pub fn around(plan: &Plan, instances: &[Arc<Instance>], key: &str) -> Option<Part> {
    let own = instances.iter().position(|i| i.key() == key)?;
    let roots = bound(plan, instances);
    let together = instances.iter().zip(&roots).filter(|(_, root)| **root == roots[own]);
    Some(part(plan, together.map(|(instance, _)| instance), &Arc::new(named_of_host(plan))))
}

fn part<'a>(
    plan: &Plan,
    bin: impl Iterator<Item = &'a Arc<Instance>>,
    named: &Arc<BTreeSet<Metric>>,
) -> Part {
    let (mut classes, mut instances) = (BTreeSet::new(), BTreeSet::new());
    for instance in bin {
        classes.insert(instance.class);
        instances.insert(instance.key().to_owned());
    }
    let named = if classes.contains(&Class::Host) { Arc::default() } else { Arc::clone(named) };
    let rules = plan.rules.iter().filter(|r| classes.contains(&r.class)).cloned().collect();
    let declared = plan.declared.iter().filter(|d| instances.contains(d.key())).cloned().collect();
    Part { plan: Arc::new(Plan { rules, declared, ..plan.clone() }), instances, named }
}

/// For each instance the first one of those that it cannot be parted from.
fn bound(plan: &Plan, instances: &[Arc<Instance>]) -> Vec<usize> {
    let mut bonds = Bonds((0..instances.len()).collect());
    let of = |rule: &Rule| -> Vec<usize> {
        let takes = |i: &Instance| i.class == rule.class && rule.matches.accepts(i);
        (0..instances.len()).filter(|at| takes(&instances[*at])).collect()
    };
    for (child, ancestors) in &plan.suppress.ancestors {
        let Some(child) = plan.rules.iter().find(|r| r.id == *child) else { continue };
        let symptoms = of(child);
        for ancestor in ancestors {
            let Some(parent) = plan.rules.iter().find(|r| r.id == ancestor.rule) else { continue };
            // Who has the same labels is bound together.
            let mut first: BTreeMap<Vec<String>, usize> = BTreeMap::new();
            for at in of(parent) {
                let Some(mark) = mark(plan, ancestor, parent, &instances[at]) else { continue };
                bonds.tie(*first.entry(mark).or_insert(at), at);
            }
            for at in &symptoms {
                let mark = mark(plan, ancestor, child, &instances[*at]);
                if let Some(parent) = mark.and_then(|mark| first.get(&mark)) {
                    bonds.tie(*parent, *at);
                }
            }
        }
    }
    // On the host the events of all instances are counted; a flexible window begins with the first raise.
    let counts = |c: &Cond| c.program().windows.iter().any(|w| w.keeps == Keeps::Events);
    let hears =
        |r: &Rule| r.class == Class::Host && r.steps.iter().any(|s| counts(&s.raise) || counts(&s.clear));
    let is_flexible = plan.suppress.windows.iter().any(|w| w.lasts.is_some());
    if is_flexible || plan.rules.iter().any(|r| hears(r)) {
        (1..instances.len()).for_each(|at| bonds.tie(0, at));
    }
    (0..instances.len()).map(|at| bonds.root(at)).collect()
}

/// The values that a parent and its symptom share; `None` when one is missing, which nothing explains.
fn mark(plan: &Plan, ancestor: &Ancestor, rule: &Rule, instance: &Instance) -> Option<Vec<String>> {
    let value = |label: &String| match label.as_str() {
        SERVICE => plan.service_of(rule, instance).0,
        label => Some(instance.label(label).to_owned()).filter(|value| !value.is_empty()),
    };
    ancestor.same.iter().map(value).collect()
}

/// Which instances belong together: each points to one before it, or to itself.
struct Bonds(Vec<usize>);

impl Bonds {
    fn root(&mut self, mut at: usize) -> usize {
        while self.0[at] != at {
            self.0[at] = self.0[self.0[at]];
            at = self.0[at];
        }
        at
    }

    fn tie(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.0[a.max(b)] = a.min(b);
    }
}

/// Signals of the host that rules on other things name.
fn named_of_host(plan: &Plan) -> BTreeSet<Metric> {
    let others = plan.rules.iter().filter(|r| r.class != Class::Host);
    others.flat_map(|r| metrics(r)).filter(|m| m.spec().class == Class::Host).collect()
}

fn metrics(rule: &Rule) -> Vec<Metric> {
    let steps = rule.steps.iter().flat_map(|s| s.raise.metrics().iter().chain(s.clear.metrics()));
    steps.chain(rule.lets.iter().flat_map(|(_, l)| l.metrics())).copied().collect()
}
