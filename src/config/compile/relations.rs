//! `depends` and `suppresses`: every rule with all the rules that explain it, nearest first.
//!
//! `a suppresses b` is `b depends on a`. A relation through another rule holds for the labels that both parts
//! of the way ask for. A rule that is switched off explains nothing and nothing leads through it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Known, hash};
use crate::config::diagnose::{At, Finding, Report};
use crate::config::raw::RawRelation;
use crate::config::suggest::{nearest, one_of};
use crate::config::walk::{Text, shorten};
use crate::engine::signal::Class;
use crate::engine::suppress::{Ancestor, DEPTH_MOST};

/// Most rules that explain one, directly or through others.
const MOST: usize = 64;
/// Most circles that are told.
const MOST_CIRCLES: usize = 10;

/// One rule depends on another.
#[derive(Clone, Debug)]
struct Edge {
    parent: String,
    same: Vec<String>,
    at: At,
}

/// By the rule that depends.
type Edges = BTreeMap<String, Vec<Edge>>;

/// Checks all relations; rules that have any get a version that says so.
pub fn compile(rules: &mut BTreeMap<String, Known>, report: &mut Report) -> BTreeMap<String, Vec<Ancestor>> {
    let edges = edges(rules, report);
    if circles(&edges, report) {
        return BTreeMap::new();
    }
    let mut all = BTreeMap::new();
    for rule in edges.keys() {
        let ancestors = ancestors(rule, &edges, report);
        if let Some(plan) = rules.get_mut(rule).and_then(|known| known.plan.as_mut()) {
            let hash = hash::related(&plan.hash, &ancestors);
            Arc::make_mut(plan).hash = hash;
            all.insert(rule.clone(), ancestors);
        }
    }
    all
}

fn edges(rules: &BTreeMap<String, Known>, report: &mut Report) -> Edges {
    let mut edges = Edges::new();
    for (id, known) in rules {
        let both = [("depends", &known.depends), ("suppresses", &known.suppresses)];
        for (key, relation) in both.into_iter().flat_map(|(key, all)| all.iter().map(move |r| (key, r))) {
            let Some(other) = target(key, relation, rules, report) else { continue };
            let same = labels(key, relation, (known, other), report);
            let (child, parent) = if key == "depends" { (id, &other.id.0) } else { (&other.id.0, id) };
            // One that is off explains nothing, but its circles would be there when it is on again.
            if known.plan.is_none() || other.plan.is_none() {
                continue;
            }
            let edge = Edge { parent: parent.clone(), same, at: relation.rule.at };
            edges.entry(child.clone()).or_default().push(edge);
        }
    }
    edges
}

/// The rule that a relation names.
fn target<'r>(
    key: &str,
    relation: &RawRelation,
    rules: &'r BTreeMap<String, Known>,
    report: &mut Report,
) -> Option<&'r Known> {
    let id = &relation.rule.value;
    if let Some(known) = rules.get(id) {
        return Some(known);
    }
    let message = format!("`{key}` names no rule: there is no `{}`", shorten(id));
    let finding = Finding::error(relation.rule.at, message);
    report.add(match nearest(id, rules.keys().map(String::as_str)) {
        Some(near) => finding.label(format!("did you mean `{near}`?")),
        None => finding.label("no rule has this id"),
    });
    None
}

fn labels(
    key: &str,
    relation: &RawRelation,
    (own, other): (&Known, &Known),
    report: &mut Report,
) -> Vec<String> {
    for label in &relation.same {
        let lacks = |known: &&Known| known.class.is_some_and(|class| !has(class, &label.value));
        if let Some(known) = [own, other].into_iter().find(lacks) {
            report.add(no_label(key, label, known, (own.class, other.class)));
        }
    }
    let mut same: Vec<String> = relation.same.iter().map(|text| text.value.clone()).collect();
    same.sort();
    same.dedup();
    same
}

fn has(class: Class, label: &str) -> bool {
    label == "service" || class.spec().identity.iter().chain(class.spec().other).any(|l| *l == label)
}

fn no_label(key: &str, label: &Text, known: &Known, (own, other): (Option<Class>, Option<Class>)) -> Finding {
    let (name, rule) = (shorten(&label.value), &known.id.0);
    let class = known.class.map_or("", Class::name);
    let message =
        format!("`same` in `{key}`: instances of rule `{rule}` (class `{class}`) have no label `{name}`");
    let mut shared = vec!["service"];
    if let (Some(own), Some(other)) = (own, other) {
        let labels = own.spec().identity.iter().chain(own.spec().other).copied();
        shared.extend(labels.filter(|label| has(other, label)));
    }
    let finding =
        Finding::error(label.at, message).help(format!("both have: {}", one_of(shared.iter().copied())));
    match nearest(&label.value, shared) {
        Some(near) => finding.label(format!("did you mean `{near}`?")),
        None => finding,
    }
}

/// Tells every circle, each once; true when there is one.
fn circles(edges: &Edges, report: &mut Report) -> bool {
    let (mut done, mut found) = (BTreeSet::new(), 0);
    for start in edges.keys() {
        let mut path = Vec::new();
        walk(start, edges, &mut path, &mut done, &mut |circle: &[(&str, At)]| {
            found += 1;
            if found <= MOST_CIRCLES {
                report.add(circular(circle));
            }
        });
    }
    found > 0
}

/// Goes from a rule to all that it depends on, each rule once.
fn walk<'e>(
    rule: &'e str,
    edges: &'e Edges,
    path: &mut Vec<(&'e str, At)>,
    done: &mut BTreeSet<&'e str>,
    tell: &mut impl FnMut(&[(&'e str, At)]),
) {
    // A stack of our own: a chain may be as long as there are rules.
    let mut stack: Vec<(&'e str, usize)> = vec![(rule, 0)];
    path.clear();
    while let Some((rule, next)) = stack.last_mut() {
        let (here, edge) = (*rule, edges.get(*rule).and_then(|all| all.get(*next)));
        let Some(edge) = edge.filter(|_| !done.contains(here)) else {
            done.insert(here);
            stack.pop();
            path.pop();
            continue;
        };
        *next += 1;
        path.truncate(stack.len() - 1);
        path.push((here, edge.at));
        if let Some(start) = path.iter().position(|(id, _)| *id == edge.parent) {
            tell(&path[start..]);
        } else if !done.contains(edge.parent.as_str()) {
            stack.push((edge.parent.as_str(), 0));
        }
    }
}

fn circular(circle: &[(&str, At)]) -> Finding {
    let (first, at) = circle[0];
    let names: Vec<&str> = circle.iter().map(|(id, _)| *id).chain([first]).collect();
    let message = match circle.len() {
        1 => format!("rule `{first}` depends on itself"),
        _ => format!("rules depend on each other in a circle: {}", names.join(" → ")),
    };
    let finding = Finding::error(at, message).label("from here");
    let others = circle.iter().skip(1).map(|(_, at)| *at);
    let finding = others.fold(finding, |finding, at| finding.also(at, "on to here"));
    finding.help("each would keep the other from being raised: take one of them out")
}

/// All rules that explain one, nearest first.
fn ancestors(rule: &str, edges: &Edges, report: &mut Report) -> Vec<Ancestor> {
    let mut found: Vec<Ancestor> = Vec::new();
    let mut level: Vec<(Ancestor, At)> = direct(rule, edges);
    for depth in 1.. {
        if level.is_empty() {
            break;
        }
        if depth > DEPTH_MOST || found.len() + level.len() > MOST {
            let what = if depth > DEPTH_MOST {
                format!("rule `{rule}` depends on others over more than {DEPTH_MOST} steps")
            } else {
                format!("rule `{rule}` depends on more than {MOST} others, directly or through others")
            };
            let at = edges.get(rule).and_then(|all| all.first()).map_or(level[0].1, |edge| edge.at);
            report.add(Finding::error(at, what).help("let it depend on what is farther up directly"));
            break;
        }
        let mut next: Vec<(Ancestor, At)> = Vec::new();
        for (ancestor, at) in std::mem::take(&mut level) {
            if found.contains(&ancestor) {
                continue;
            }
            for (mut farther, _) in direct(&ancestor.rule, edges) {
                farther.same.retain(|label| ancestor.same.contains(label));
                if !found.contains(&farther) && next.iter().all(|(known, _)| *known != farther) {
                    next.push((farther, at));
                }
            }
            found.push(ancestor);
        }
        level = next;
    }
    found
}

fn direct(rule: &str, edges: &Edges) -> Vec<(Ancestor, At)> {
    let of = |edge: &Edge| (Ancestor { rule: edge.parent.clone(), same: edge.same.clone() }, edge.at);
    edges.get(rule).into_iter().flatten().map(of).collect()
}
