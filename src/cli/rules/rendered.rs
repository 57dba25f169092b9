//! A rule after all layers, key by key, each with where it is written.
//!
//! Overrides for all instances are put in; those for some stay tables of their own, without the keys that a
//! later override sets for all. Read as a file of `rules.d`, what comes out is the same rule again.

use std::collections::BTreeMap;

use super::write::{argv, duration, globs, list, ratio, text};
use crate::config::{Config, Layer, Origin, Origins, SwitchedOff};
use crate::engine::plan::{Action, Cause, Mode, OnFail, OnMissing, Patch, Rule, StepPlan};

/// One key with its value.
#[derive(Clone, Debug)]
pub struct Key {
    /// `for`, `match.mount`.
    pub name: String,
    /// As TOML.
    pub value: String,
    /// Where it is written; `None`: nowhere.
    pub origin: Option<Origin>,
}

/// A table of the output.
#[derive(Clone, Debug)]
pub struct Table {
    /// `[[rule]]`, `[[rule.step]]`, `[[override]]`.
    pub header: &'static str,
    /// What a person should know before reading it.
    pub notes: Vec<String>,
    /// Its keys.
    pub keys: Vec<Key>,
}

/// A rule and what overrides make of it.
pub struct Rendered {
    /// After the overrides that are about all instances.
    pub rule: Rule,
    /// False: no instance has it.
    pub enabled: bool,
    /// How many overrides are about it.
    pub overrides: usize,
    /// Where it is switched off.
    pub off: Option<String>,
    tables: Vec<Table>,
}

impl Rendered {
    /// The rule with its steps, then the overrides for some instances.
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }
}

/// Puts the overrides of a rule in; `off` is where a file switches the rule off.
pub fn render(rule: &Rule, off: Option<&SwitchedOff>, config: &Config, origins: &Origins) -> Rendered {
    let mut written = Written::of(rule, origins);
    let concerned: Vec<(usize, Patch)> = config
        .plan
        .overrides
        .iter()
        .enumerate()
        .filter_map(|(number, over)| Some((number, over.edits(rule)?)))
        .collect();
    let mut off = off.map(|off| off.place.clone());
    let mut effective = rule.clone();
    let is_whole = |number: usize| config.plan.overrides[number].matches.0.is_empty();
    for (number, patch) in concerned.iter().filter(|(number, _)| is_whole(*number)) {
        patch.apply(&mut effective);
        for origin in origins.of_override(*number) {
            if origin.key == "enabled" && patch.enabled == Some(false) {
                off.get_or_insert(origin.place.clone());
            }
            written.set(origin);
        }
    }
    let mut tables = vec![main(&effective, off.as_deref(), &written, origins)];
    if effective.steps.len() > 1 || written.has_steps {
        let steps = effective.steps.iter().enumerate();
        tables.extend(steps.map(|(number, s)| Table {
            header: "[[rule.step]]",
            notes: Vec::new(),
            keys: step(s, Some(number), &written),
        }));
    }
    for (at, (number, patch)) in concerned.iter().enumerate().filter(|(_, (n, _))| !is_whole(*n)) {
        let later = concerned[at + 1..].iter().filter(|(n, _)| is_whole(*n)).map(|(_, patch)| patch);
        let places = origins.of_override(*number);
        let place = |key: &str| places.iter().find(|o| o.key == key).cloned();
        tables.extend(some(&effective, &config.plan.overrides[*number].matches.0, patch, later, place));
    }
    Rendered { enabled: off.is_none(), rule: effective, overrides: concerned.len(), off, tables }
}

/// Where the keys of a rule are written.
struct Written {
    places: BTreeMap<String, Origin>,
    has_steps: bool,
}

impl Written {
    fn of(rule: &Rule, origins: &Origins) -> Self {
        let own = origins.of(&rule.id).into_iter().filter(|o| o.layer != Layer::Override);
        let places: BTreeMap<_, _> = own.map(|o| (o.key.clone(), o)).collect();
        let has_steps = places.keys().any(|key| key.starts_with("step["));
        Self { places, has_steps }
    }

    /// An override replaces the key in the rule and in every step.
    fn set(&mut self, origin: Origin) {
        let key = origin.key.as_str();
        let in_step = |k: &str| k.starts_with("step[") && k.rsplit_once('.').is_some_and(|(_, k)| k == key);
        self.places.retain(|k, _| !in_step(k));
        self.places.insert(origin.key.clone(), origin);
    }

    fn place(&self, key: &str) -> Option<Origin> {
        self.places.get(key).cloned()
    }

    fn key(&self, name: impl Into<String>, value: String) -> Key {
        let name = name.into();
        Key { origin: self.place(&name), name, value }
    }
}

fn word<T: std::fmt::Debug>(value: &T) -> String {
    text(&format!("{value:?}").to_lowercase())
}

fn main(rule: &Rule, off: Option<&str>, written: &Written, origins: &Origins) -> Table {
    let key = |name: &str, value: String| written.key(name, value);
    let mut keys = vec![key("id", text(&rule.id)), key("on", text(rule.class.name()))];
    keys.extend(rule.matches.0.iter().map(|(label, g)| key(&format!("match.{label}"), globs(g))));
    if let Some(place) = off {
        let origin = written.place("enabled").map(|o| Origin { place: place.to_owned(), ..o });
        let origin = origin.unwrap_or_else(|| Origin {
            key: String::new(),
            place: place.to_owned(),
            layer: Layer::Rule,
        });
        keys.push(Key { name: "enabled".to_owned(), value: "false".to_owned(), origin: Some(origin) });
    }
    let optional = |name: &str, value: &str| (!value.is_empty()).then(|| key(name, text(value)));
    keys.extend(optional("title", &rule.title));
    keys.extend(optional("description", &rule.description));
    keys.extend(rule.runbook.as_ref().map(|runbook| key("runbook", text(runbook))));
    keys.extend([key("nature", word(&rule.nature)), key("category", text(&rule.category))]);
    keys.extend(rule.cause_hint.map(|cause| key("cause_hint", text(Cause::name(cause)))));
    keys.extend(rule.service.as_ref().map(|service| key("service", text(service))));
    keys.push(key("outage", rule.outage.to_string()));
    keys.extend(rule.labels.iter().map(|(name, value)| key(&format!("labels.{name}"), text(value))));
    keys.extend(rule.lets.iter().map(|(name, cond)| key(&format!("let.{name}"), text(&cond.source))));
    if rule.steps.len() == 1 && !written.has_steps {
        keys.extend(step(&rule.steps[0], None, written));
    }
    keys.push(key("reopen", duration(rule.reopen)));
    keys.extend((rule.stale > 0).then(|| key("stale", duration(rule.stale))));
    keys.push(key("min_coverage", ratio(rule.min_coverage)));
    let missing = match rule.silence.on_missing {
        OnMissing::Hold => "hold",
        OnMissing::Raise => "raise",
        OnMissing::Clear => "clear",
    };
    keys.push(key("on_missing", text(missing)));
    keys.extend(rule.silence.nodata_after.map(|ns| key("nodata_after", duration(ns))));
    keys.push(key("every", duration(rule.every)));
    keys.extend(relations(rule, written, origins));
    keys.extend(rule.action.iter().flat_map(|a| action(a, written)));
    Table { header: "[[rule]]", notes: Vec::new(), keys }
}

/// The keys of a step; `None`: the rule itself is its only one.
fn step(step: &StepPlan, number: Option<usize>, written: &Written) -> Vec<Key> {
    let key = |name: &str, value: String| {
        let own = number.and_then(|n| written.place(&format!("step[{n}].{name}")));
        Key { origin: own.or_else(|| written.place(name)), name: name.to_owned(), value }
    };
    let mut keys = vec![key("severity", word(&step.severity))];
    keys.extend(step.impact.map(|impact| key("impact", impact.to_string())));
    keys.extend([
        key("urgency", step.urgency.to_string()),
        key("raise", text(step.raise.source.trim())),
        key("clear", text(step.clear.source.trim())),
        key("for", duration(step.for_)),
        key("keep", duration(step.keep)),
    ]);
    keys
}

fn relations(rule: &Rule, written: &Written, origins: &Origins) -> Vec<Key> {
    let Some(relations) = origins.relations().get(&rule.id) else { return Vec::new() };
    let one = |(id, same): &(String, Vec<String>)| match same.is_empty() {
        true => text(id),
        false => format!("{{ rule = {}, same = {} }}", text(id), list(same)),
    };
    let both = [("depends", &relations.depends), ("suppresses", &relations.suppresses)];
    let written_ones = both.into_iter().filter(|(_, all)| !all.is_empty());
    let key = |(name, all): (&str, &Vec<(String, Vec<String>)>)| {
        // A key of which each element is a table has its places there.
        let mut key = written.key(name, format!("[{}]", all.iter().map(one).collect::<Vec<_>>().join(", ")));
        let within = format!("{name}[");
        let inner = written.places.iter().find(|(k, _)| k.starts_with(&within)).map(|(_, p)| p.clone());
        key.origin = key.origin.or(inner);
        key
    };
    written_ones.map(key).collect()
}

fn action(action: &Action, written: &Written) -> Vec<Key> {
    let key = |name: &str, value: String| written.key(format!("action.{name}"), value);
    let budget = &action.budget;
    let per = duration(budget.per);
    let mut keys = vec![
        key("run", argv(&action.run)),
        key("mode", text(if action.mode == Mode::Auto { "auto" } else { "dry-run" })),
        key("after", duration(action.after)),
        key("timeout", duration(action.timeout)),
        key("max", text(&format!("{} per {}", budget.count, per.trim_matches('"')))),
        key("cooldown", duration(action.cooldown)),
    ];
    keys.extend(action.only_if.as_ref().map(|cond| key("only_if", text(cond.source.trim()))));
    if let Some(cond) = &action.verify {
        keys.push(key("verify", text(cond.source.trim())));
        keys.push(key("verify_in", duration(action.verify_in)));
    }
    keys.push(key("on_fail", text(if action.on_fail == OnFail::Note { "note" } else { "escalate" })));
    keys
}

/// An override for some instances, as far as no later one sets the same for all.
fn some<'p>(
    rule: &Rule,
    matches: &BTreeMap<String, crate::engine::plan::Globs>,
    patch: &Patch,
    later: impl Iterator<Item = &'p Patch>,
    place: impl Fn(&str) -> Option<Origin>,
) -> Option<Table> {
    let mut set = set(patch);
    for patch in later {
        // What is off for some stays off, whatever follows.
        let names = self::set(patch).into_iter().map(|(name, _)| name).filter(|name| name != "enabled");
        names.for_each(|gone| set.retain(|(name, _)| *name != gone));
    }
    if set.is_empty() {
        return None;
    }
    let where_ = matches.iter().map(|(label, g)| format!("{label} {}", globs(g)));
    let note = format!("only where {}:", where_.collect::<Vec<_>>().join(" and "));
    let plain = |name: String, value: String| Key { name, value, origin: None };
    let mut keys = vec![plain("rule".to_owned(), text(&rule.id))];
    keys.extend(matches.iter().map(|(label, g)| plain(format!("match.{label}"), globs(g))));
    keys.extend(set.into_iter().map(|(name, value)| Key {
        origin: place(&name),
        name: format!("set.{name}"),
        value,
    }));
    // The globs stand in the same table as what is set.
    let first = keys.iter().find_map(|key| key.origin.clone());
    keys.iter_mut().filter(|key| key.origin.is_none()).for_each(|key| key.origin.clone_from(&first));
    Some(Table { header: "[[override]]", notes: vec![note], keys })
}

fn set(patch: &Patch) -> Vec<(String, String)> {
    let mut set = Vec::new();
    let mut add = |name: &str, value: Option<String>| set.extend(value.map(|v| (name.to_owned(), v)));
    add("enabled", patch.enabled.map(|on| on.to_string()));
    add("severity", patch.severity.as_ref().map(word));
    add("impact", patch.impact.map(|n| n.to_string()));
    add("urgency", patch.urgency.map(|n| n.to_string()));
    add("for", patch.for_.map(duration));
    add("keep", patch.keep.map(duration));
    add("reopen", patch.reopen.map(duration));
    add("title", patch.title.as_deref().map(text));
    add("runbook", patch.runbook.as_deref().map(text));
    set.extend(patch.labels.iter().map(|(name, value)| (format!("labels.{name}"), text(value))));
    set
}
