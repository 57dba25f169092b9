//! One alert: its expression, `for`, labels and annotations.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::super::draft::{Item, Loss, Place, Rule, Step, kebab, shorten};
use super::super::{say, subject, yaml::Node};
use super::labels::{self, Picked};
use super::linear::Linear;
use super::lower::{Lower, Records, Value, Vector, Written, same_objects};
use super::promql::{Binary, Expr as Prom, Kind, Matcher, plain_duration};
use super::text::{self, Facts};
use crate::engine::cond::expr::{Expr, Node as Ours};
use crate::engine::record::Severity;
use crate::engine::signal::{Base, Class};

/// Words for severities, with the urgency that goes with them; by label `severity`, `priority` or `level`.
const SEVERITIES: &[(&str, Severity, Option<u8>)] = &[
    ("critical", Severity::Critical, None),
    ("crit", Severity::Critical, None),
    ("error", Severity::Critical, None),
    ("major", Severity::Critical, None),
    ("high", Severity::Critical, None),
    ("page", Severity::Critical, Some(1)),
    ("emergency", Severity::Critical, Some(1)),
    ("disaster", Severity::Critical, Some(1)),
    ("fatal", Severity::Critical, Some(1)),
    ("p1", Severity::Critical, Some(1)),
    ("p2", Severity::Critical, None),
    ("p3", Severity::Warning, None),
    ("p4", Severity::Warning, None),
    ("p5", Severity::Info, None),
    ("warning", Severity::Warning, None),
    ("warn", Severity::Warning, None),
    ("average", Severity::Warning, None),
    ("medium", Severity::Warning, None),
    ("minor", Severity::Warning, None),
    ("ticket", Severity::Warning, None),
    ("low", Severity::Info, None),
    ("notice", Severity::Info, None),
    ("info", Severity::Info, None),
    ("information", Severity::Info, None),
    ("informational", Severity::Info, None),
    ("none", Severity::Info, None),
];
/// Longest title.
const TITLE: usize = 160;

/// What is judged: objects of one class and selection, and when.
struct Part {
    class: Class,
    picks: Vec<(Matcher, Place, String)>,
    raise: Expr,
    value: Option<Linear>,
    place: Place,
    piece: String,
}

/// Reads an alert.
pub fn read(records: &Records, file: &str, rule: &Node, place: Place) -> Item {
    let name = rule.get("alert").and_then(Node::text).unwrap_or("without a name").to_owned();
    let mut item =
        Item { what: format!("alert {}", shorten(&name, 80)), place: place.clone(), ..Item::default() };
    keys(file, rule, &mut item);
    let Some(expr) = rule.get("expr") else {
        let instead = "an alert has `alert:` and `expr:`";
        item.losses.push(loss(place, &name, "has no expression", instead));
        return item;
    };
    let source = match super::source(file, expr) {
        Ok(source) => Rc::new(source),
        Err((place, why)) => {
            let piece = shorten(expr.text().unwrap_or(""), 60);
            item.losses.push(loss(place, &piece, &why, "write the rule by hand, see docs/rules.md"));
            return item;
        }
    };
    let parts = parts(records, &source, &mut item);
    let many = parts.len() > 1;
    for (n, part) in parts.into_iter().enumerate() {
        let id = if many { format!("{name}-{}", n + 1) } else { name.clone() };
        if let Err(say::TooLarge) = add(file, rule, &id, part, &mut item) {
            item.losses.push(loss(source.place.clone(), &name, "is too large for a rule", "write two rules"));
        }
    }
    if many {
        item.remark("its sides are about different objects: a rule for each");
    }
    item
}

fn loss(place: Place, piece: &str, why: &str, instead: &str) -> Loss {
    let (piece, why, instead) = (piece.to_owned(), why.to_owned(), instead.to_owned());
    Loss { place, piece, why, instead, widens: false }
}

/// Keys that are not understood.
fn keys(file: &str, rule: &Node, item: &mut Item) {
    let known = ["alert", "expr", "for", "keep_firing_for", "labels", "annotations"];
    for (key, value) in rule.entries() {
        let name = key.text().unwrap_or("…");
        if !known.contains(&name) {
            let piece = shorten(&format!("{name}: {}", value.text().unwrap_or("…")), 60);
            let place = Place { file: file.to_owned(), line: key.line };
            item.losses.push(loss(place, &piece, "is no key of an alert that is known", ""));
        }
    }
}

/// The sides of the outermost `or`, each by itself, those about the same objects together.
fn parts(records: &Records, source: &Rc<Written>, item: &mut Item) -> Vec<Part> {
    let mut sides = Vec::new();
    alternatives(&source.expr, &mut sides);
    let mut parts: Vec<Part> = Vec::new();
    for side in sides {
        let mut lower = Lower::new(records, source);
        let result = lower.condition(side);
        item.losses.append(&mut lower.losses);
        lower.remarks.into_iter().for_each(|r| item.remark(r));
        let (vector, mut raise) = match result {
            Ok(found) => found,
            Err(loss) => {
                item.losses.push(*loss);
                continue;
            }
        };
        let (mut class, picks) = (lower.class, lower.picks);
        if vector.cpus.is_some_and(|c| c.each)
            && let Some(core) = of_one_cpu(&raise)
        {
            (class, raise) = (Class::Cpu, core);
            item.losses.push(loss(
                source.place.clone(),
                &source.piece(&side.span),
                "a CPU that waits for a disk is idle here",
                "",
            ));
        }
        if let Some((why, instead)) = left_over(&raise) {
            item.losses.push(loss(source.at(side.span.start), &source.piece(&side.span), why, instead));
            continue;
        }
        let value = of_interest(vector);
        let known = parts.iter_mut().find(|p| p.class == class && same_objects(&p.picks, &picks));
        match known {
            Some(part) => {
                if let Ok(both) = say::or(part.raise.clone(), raise) {
                    part.raise = both;
                }
            }
            None => {
                let (place, piece) = (source.at(side.span.start), source.piece(&side.span));
                parts.push(Part { class, picks, raise, value, place, piece });
            }
        }
    }
    item.losses.dedup();
    parts
}

fn alternatives<'e>(e: &'e Prom, all: &mut Vec<&'e Prom>) {
    match &e.kind {
        Kind::Binary(b) if b.op == "or" => {
            let b: &Binary = b;
            alternatives(&b.left, all);
            alternatives(&b.right, all);
        }
        _ => all.push(e),
    }
}

/// The value of an alert, when a person can read it.
fn of_interest(vector: Vector) -> Option<Linear> {
    match vector.value {
        Value::Line(line) if line.e.is_some() && line.t == 0.0 => Some(line),
        // The age of a stamp: `time() - x` has no time left; a bare stamp has no value of its own.
        _ => None,
    }
}

/// CPU time of each CPU by itself, when that is what is asked.
fn of_one_cpu(raise: &Expr) -> Option<Expr> {
    let names = subject::names(raise);
    if names.iter().any(|n| n != "cpu.busy" && n != "cpu.iowait") || !names.iter().any(|n| n == "cpu.busy") {
        return None;
    }
    let text =
        raise.to_string().replace("cpu.busy + cpu.iowait", "core.busy").replace("cpu.busy", "core.busy");
    say::cond(&text).ok().filter(|e| !subject::names(e).iter().any(|n| n == "cpu.iowait"))
}

/// A quantity that is no signal by itself.
fn left_over(raise: &Expr) -> Option<(&'static str, &'static str)> {
    subject::names(raise).iter().find(|n| n.starts_with("there.")).map(|n| super::metrics::alone(n))
}

/// Makes the rule of a part.
fn add(file: &str, node: &Node, id: &str, part: Part, item: &mut Item) -> say::Built<()> {
    let Picked { matches, checks, losses, remarks } =
        labels::pick(part.class, &part.picks, &part.place, &part.piece);
    item.losses.extend(losses);
    remarks.into_iter().for_each(|r| item.remark(r));
    item.checks.extend(checks);
    let (mut own, severity, urgency) = own_labels(file, node, item);
    let (clear, has_margin) = say::calm(&part.raise)?;
    let for_ = duration(file, node, "for", item).unwrap_or(0);
    let keep = duration(file, node, "keep_firing_for", item);
    let step = Step { severity, impact: None, urgency, raise: part.raise.clone(), clear, for_, keep };
    let place = Place { file: file.to_owned(), line: node.line };
    let mut rule = Rule::new(id, &place, part.class, vec![step]);
    (rule.nature, rule.category, rule.outage) = subject::of(&part.raise);
    // Only what is critical is counted as an outage.
    rule.outage &= severity == Severity::Critical;
    rule.min_coverage = subject::min_coverage(&part.raise);
    rule.has_margin = has_margin;
    rule.matches = matches;
    own.retain(|_, v| !v.is_empty());
    annotations(file, node, &part, &own, &mut rule, item)?;
    rule.labels = own;
    rule.enabled = !item.losses.iter().any(|l| l.widens);
    item.rules.push(rule);
    Ok(())
}

fn duration(file: &str, node: &Node, key: &str, item: &mut Item) -> Option<i64> {
    let value = node.get(key)?;
    let text = value.text().unwrap_or("…");
    let found = plain_duration(text).filter(|ns| *ns <= 400 * crate::engine::moment::DAY);
    if found.is_none() {
        let place = Place { file: file.to_owned(), line: value.line };
        item.losses.push(loss(
            place,
            &format!("{key}: {}", shorten(text, 40)),
            "is no duration such as 5m",
            "",
        ));
    }
    found
}

/// Labels of the alert that are not its severity.
fn own_labels(file: &str, node: &Node, item: &mut Item) -> (BTreeMap<String, String>, Severity, Option<u8>) {
    let (mut own, mut severity, mut urgency) = (BTreeMap::new(), None, None);
    for (key, value) in node.get("labels").map(Node::entries).unwrap_or_default() {
        let (Some(key_text), Some(text)) = (key.text(), value.text()) else { continue };
        let place = Place { file: file.to_owned(), line: key.line };
        let piece = format!("{key_text}: {}", shorten(text, 60));
        if text.contains("{{") {
            item.losses.push(loss(
                place,
                &piece,
                "a label by template has no counterpart",
                "the label of the instance is on the incident",
            ));
            continue;
        }
        if matches!(key_text, "severity" | "priority" | "level") && severity.is_none() {
            let word = text.trim().to_ascii_lowercase();
            match SEVERITIES.iter().find(|(known, ..)| *known == word) {
                Some((_, found, how)) => (severity, urgency) = (Some(*found), *how),
                None => item.losses.push(loss(
                    place,
                    &piece,
                    "is no severity that is known: taken as warning",
                    "info, warning or critical",
                )),
            }
            continue;
        }
        let name: String = key_text
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || "_-.".contains(c) { c } else { '_' })
            .collect();
        own.insert(name, text.to_owned());
    }
    (own, severity.unwrap_or(Severity::Warning), urgency)
}

/// Title, description and runbook.
fn annotations(
    file: &str,
    node: &Node,
    part: &Part,
    own: &BTreeMap<String, String>,
    rule: &mut Rule,
    item: &mut Item,
) -> say::Built<()> {
    let (named, is_share) = value_name(part)?;
    let fixed = part.picks.iter().filter(|(m, ..)| !m.is_negative && !m.is_regex);
    let fixed: BTreeMap<String, String> = fixed.map(|(m, ..)| (m.label.clone(), m.value.clone())).collect();
    let value = named.as_ref().map(|(name, _)| name.as_str());
    let facts = Facts { class: part.class, fixed: &fixed, own, value, is_share };
    let mut descriptions = Vec::new();
    let (mut title, mut has_value) = (None, false);
    for (key, value) in node.get("annotations").map(Node::entries).unwrap_or_default() {
        let (Some(name), Some(text)) = (key.text(), value.text()) else { continue };
        let said = text::say(text, &facts);
        for lost in said.lost {
            let place = Place { file: file.to_owned(), line: value.line };
            item.losses.push(loss(
                place,
                &shorten(&lost, 70),
                "a template that has no counterpart is left out of the text",
                "",
            ));
        }
        match name {
            "summary" | "title" if title.is_none() => {
                has_value |= said.has_value;
                title = Some((said.title, said.has_label));
            }
            "runbook_url" | "runbook" if rule.runbook.is_none() => {
                rule.runbook = Some(said.plain.trim().to_owned())
            }
            "dashboard_url" | "dashboard" | "grafana" => {
                descriptions.push(format!("Dashboard: {}", said.plain.trim()))
            }
            "description" | "message" | "summary" | "title" | "runbook" | "runbook_url" => {
                if title.is_none() && name != "description" {
                    title = Some((said.title, said.has_label));
                }
                descriptions.push(said.plain.trim().to_owned());
            }
            other => descriptions.push(format!("{other}: {}", said.plain.trim())),
        }
    }
    descriptions.retain(|d| !d.is_empty());
    rule.description = (!descriptions.is_empty()).then(|| descriptions.join("\n"));
    if let Some((title, has_label)) = title.filter(|(t, _)| !t.trim().is_empty()) {
        let name = part.class.spec().identity.first().filter(|_| !has_label);
        let lead = name.map(|label| format!("{{{label}}}: ")).unwrap_or_default();
        let value = value.filter(|_| !has_value).map(|v| format!(" ({{{v}}})")).unwrap_or_default();
        let whole = format!("{lead}{}{value}", title.trim_end_matches('.'));
        rule.title =
            (whole.chars().count() <= TITLE && !title.contains("{{{{")).then_some(whole).or(Some(title));
    } else {
        let words = kebab(item.what.trim_start_matches("alert ")).replace('-', " ");
        let lead = part.class.spec().identity.first().map(|l| format!("{{{l}}}: ")).unwrap_or_default();
        rule.title = Some(lead + &words + &value.map(|v| format!(" ({{{v}}})")).unwrap_or_default());
    }
    let is_used = |name: &str| rule.title.as_ref().is_some_and(|t| t.contains(&format!("{{{name}}}")));
    rule.lets =
        named.into_iter().filter_map(|(n, e)| e.map(|e| (n, e))).filter(|(n, _)| is_used(n)).collect();
    Ok(())
}

/// A name in a title, and the expression it stands for when it is no signal.
type Named = (String, Option<Expr>);

/// How a title names the value: a signal by itself, anything else by a `let`; and whether it is a share.
fn value_name(part: &Part) -> say::Built<(Option<Named>, bool)> {
    let Some(line) = &part.value else { return Ok((None, false)) };
    let Ok((e, ty)) = line.natural() else { return Ok((None, false)) };
    if subject::names(&e).iter().any(|n| n.starts_with("there.")) {
        return Ok((None, false));
    }
    let e = if part.class == Class::Cpu { of_one_cpu(&e).ok_or(say::TooLarge)? } else { e };
    let is_share = ty.base == Base::Ratio && !ty.per_second;
    Ok((
        Some(match &e.node {
            Ours::Name(name) => (name.clone(), None),
            _ => ("value".to_owned(), Some(e)),
        }),
        is_share,
    ))
}
