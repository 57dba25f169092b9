//! Prometheus: files of alerting and recording rules, as they are, or as PrometheusRule of Kubernetes.
//!
//! Recording rules are read first, from all files: an alert that names one gets its expression put in. Each
//! alert becomes a rule, or several where its `or` is about different objects; alerts of one name that differ
//! in limit and severity become the steps of one rule, so that one disk is one incident.

mod alert;
mod labels;
mod linear;
mod lower;
mod metrics;
mod promql;
mod text;

use std::rc::Rc;

use super::Found;
use super::draft::{Aside, Item, Place, Rule, shorten};
use super::input::{File, Reader, Refused};
use super::yaml::{self, Node};
use lower::{Records, Written};

/// Endings of rule files.
const ENDINGS: [&str; 4] = ["yaml", "yml", "rules", "json"];
/// Most rules of one import.
const MOST_RULES: usize = 10_000;

/// Reads all files.
///
/// # Errors
/// A file that is no file of rules.
pub fn read(reader: &mut Reader) -> Result<Found, Refused> {
    let mut found = Found::default();
    let mut groups = Vec::new();
    for file in reader.named(&ENDINGS)? {
        let before = groups.len();
        if is_jsonnet(&file) {
            let why = format!("{}: this looks like jsonnet: render it first (jsonnet -S)", file.name);
            return Err(Refused { place: None, why });
        }
        for document in yaml::documents(&file)? {
            gather(&file, &document, &mut groups, &mut found.asides)?;
        }
        if groups.len() == before {
            return Err(no_rules(&file));
        }
    }
    let mut records = Records::new();
    let (mut alerts, mut recorded) = (Vec::new(), Vec::new());
    for (file, rule) in groups.iter().flat_map(|g: &Group| g.rules.iter().map(|r| (&g.file, r))) {
        let place = Place { file: file.clone(), line: rule.line };
        if let Some(name) = rule.get("record").and_then(Node::text) {
            recorded.push((name.to_owned(), place));
            if let Some(Ok(source)) = rule.get("expr").map(|e| source(file, e)) {
                records.entry(name.to_owned()).or_insert(Rc::new(source));
            }
        } else {
            alerts.push((file, rule, place));
        }
        if alerts.len() + recorded.len() > MOST_RULES {
            return Err(Refused {
                place: None,
                why: format!("more than {MOST_RULES} rules: import them in parts"),
            });
        }
    }
    for (file, rule, place) in alerts {
        let item = alert::read(&records, file, rule, place);
        merge(&mut found.items, item);
    }
    asides_of_records(&recorded, &mut found);
    Ok(found)
}

/// A group of rules.
struct Group {
    file: String,
    rules: Vec<Node>,
}

fn is_jsonnet(file: &File) -> bool {
    file.text.contains("local ") && file.text.contains("+::") || file.name.ends_with("sonnet")
}

fn no_rules(file: &File) -> Refused {
    let help = "a file of rules has `groups:` with `rules:`, or is a PrometheusRule";
    Refused { place: None, why: format!("{}: no groups of rules in it: {help}", file.name) }
}

/// The groups of a document: of a rule file, a PrometheusRule, or a list of them.
fn gather(
    file: &File,
    document: &Node,
    groups: &mut Vec<Group>,
    asides: &mut Vec<Aside>,
) -> Result<(), Refused> {
    let spec = document.get("spec").filter(|s| s.get("groups").is_some()).unwrap_or(document);
    for item in document.get("items").map(Node::items).unwrap_or_default() {
        let spec = item.get("spec").unwrap_or(item);
        each(file, spec, groups, asides)?;
    }
    each(file, spec, groups, asides)
}

fn each(file: &File, spec: &Node, groups: &mut Vec<Group>, asides: &mut Vec<Aside>) -> Result<(), Refused> {
    let Some(list) = spec.get("groups") else { return Ok(()) };
    for group in list.items() {
        let Some(rules) = group.get("rules") else { continue };
        for (key, value) in group.entries() {
            let name = key.text().unwrap_or_default();
            if !matches!(name, "name" | "rules" | "interval") {
                let place = Place { file: file.name.clone(), line: key.line };
                let piece = shorten(&format!("{name}: {}", value.text().unwrap_or("…")), 60);
                let instead = "an option of the group that has no counterpart".to_owned();
                asides.push(Aside { place, piece, instead });
            }
        }
        groups.push(Group { file: file.name.clone(), rules: rules.items().to_vec() });
    }
    if list.items().is_empty() {
        let place = Place { file: file.name.clone(), line: list.line };
        return Err(Refused::at(place, "`groups` is empty, or no list"));
    }
    Ok(())
}

/// An expression with its place; the mistake with its place when there is one.
fn source(file: &str, node: &Node) -> Result<Written, (Place, String)> {
    let place = Place { file: file.to_owned(), line: node.line };
    let Some(text) = node.text() else { return Err((place, "`expr` is no text".to_owned())) };
    match promql::parse(text) {
        Ok(expr) => Ok(Written { text: text.to_owned(), place, expr }),
        Err(wrong) => {
            let lines = text.get(..wrong.at).unwrap_or("").matches('\n').count();
            let near = shorten(text.get(wrong.at..).unwrap_or(""), 30);
            let why = format!("is no PromQL that is understood: {} (at `{near}`)", wrong.why);
            Err((Place { line: place.line + lines, ..place }, why))
        }
    }
}

/// Adds an alert: to the rule of an alert of the same name when only limit and severity differ.
fn merge(items: &mut Vec<Item>, mut item: Item) {
    let takes = |before: &&mut Item| {
        before.what == item.what
            && matches!((&before.rules[..], &item.rules[..]), ([old], [new]) if is_step_of(old, new))
    };
    if let Some(before) = items.iter_mut().find(takes)
        && let ([old], [new]) = (before.rules.as_mut_slice(), item.rules.as_slice())
    {
        old.steps.extend(new.steps.iter().cloned());
        old.steps.sort_by_key(|s| s.severity);
        old.has_margin |= new.has_margin;
        old.enabled &= new.enabled;
        let text =
            format!("a step of a rule above, which is the alert of the same name ({})", before.place.short());
        before.remark(format!("{} is a step of this rule", item.place.short()));
        item.merged_into = Some(before.place.clone());
        item.remark(text);
        item.rules.clear();
    }
    items.push(item);
}

fn is_step_of(old: &Rule, new: &Rule) -> bool {
    let is_new = |s: &super::draft::Step| new.steps.iter().all(|n| n.severity != s.severity);
    old.class == new.class
        && old.matches == new.matches
        && old.labels == new.labels
        && old
            .lets
            .iter()
            .map(|(n, e)| (n, e.to_string()))
            .eq(new.lets.iter().map(|(n, e)| (n, e.to_string())))
        && old.enabled == new.enabled
        && old.nature == new.nature
        && old.steps.iter().all(is_new)
        && old.steps.len() < 8
}

/// Recording rules are no alerts; they are said once, together.
fn asides_of_records(recorded: &[(String, Place)], found: &mut Found) {
    for (name, place) in recorded {
        let is_used =
            found.items.iter().any(|i| i.remarks.iter().any(|r| r.starts_with(&format!("{name} is put in"))));
        let instead = if is_used {
            "a recording rule: put into the alerts that name it"
        } else {
            "a recording rule that no alert here names: windows are kept by the rules that use them"
        };
        let piece = shorten(&format!("record: {name}"), 80);
        found.asides.push(Aside { place: place.clone(), piece, instead: instead.to_owned() });
    }
}
