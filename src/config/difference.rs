//! What one configuration says otherwise than another: rules key by key, all else table by table.
//!
//! Compared is the compiled meaning, so that formatting, comments and the order of files make no difference.
//! It must not know which of the two is in force, nor how a difference is shown.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;

use serde::Serialize;

use super::Config;
use crate::engine::moment::human;
use crate::engine::plan::{OnMissing, Plan, Rule};

/// Longest value that is shown, in characters.
const SHOWN: usize = 200;

/// What differs, in the order of rule ids and tables.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Rules by id.
    pub rules: Vec<RuleChange>,
    /// Other tables, as `[[destination]] rt`.
    pub tables: Vec<TableChange>,
}

/// What happened to something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// It is new.
    Added,
    /// It says something else.
    Changed,
    /// It is gone.
    Removed,
}

/// A rule that is another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleChange {
    /// Its id.
    pub id: String,
    /// What happened to it.
    pub fate: Fate,
    /// Where it stands, or stood: `rules.d/10-disk.toml:12`.
    pub origin: String,
    /// What differs, of a rule that was there before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeyChange>,
}

/// A key with another value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyChange {
    /// `for`, `match.mount`, `step[1].raise`.
    pub key: String,
    /// The value before, when there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The value now, when there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// A table that is another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TableChange {
    /// `[host]`, `[[check]] front`.
    pub table: String,
    /// What happened to it.
    pub fate: Fate,
}

impl Difference {
    /// Compares two configurations.
    pub fn between(old: &Config, new: &Config) -> Self {
        Self { rules: rules(&old.plan, &new.plan), tables: tables(old, new) }
    }

    /// Both mean the same.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.tables.is_empty()
    }

    /// How many rules met that fate.
    pub fn rules_that(&self, fate: Fate) -> usize {
        self.rules.iter().filter(|rule| rule.fate == fate).count()
    }
}

fn rules(old: &Plan, new: &Plan) -> Vec<RuleChange> {
    let by_id = |plan: &Plan| -> BTreeMap<String, Arc<Rule>> {
        plan.rules.iter().map(|rule| (rule.id.clone(), Arc::clone(rule))).collect()
    };
    let (before, after) = (by_id(old), by_id(new));
    let ids: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let change = |id: &String| {
        let (fate, rule, keys) = match (before.get(id), after.get(id)) {
            (Some(a), Some(b)) if a.hash == b.hash => return None,
            (Some(a), Some(b)) => (Fate::Changed, b, compare(&spoken(a, old), &spoken(b, new))),
            (Some(a), None) => (Fate::Removed, a, Vec::new()),
            (None, b) => (Fate::Added, b?, Vec::new()),
        };
        Some(RuleChange { id: id.clone(), fate, origin: rule.origin.clone(), keys })
    };
    let all: Vec<RuleChange> = ids.into_iter().filter_map(change).collect();
    // A companion is made with its rule: that one is told.
    let is_told = |id: &str| all.iter().any(|rule| rule.id == id);
    let of = |id: &String| after.get(id).or(before.get(id)).and_then(|rule| rule.silence.of.clone());
    let is_alone = |rule: &&RuleChange| of(&rule.id).is_none_or(|of| !is_told(&of));
    all.iter().filter(is_alone).cloned().collect()
}

/// Every key of a rule with its value as a person would write it.
fn spoken(rule: &Rule, plan: &Plan) -> Vec<(String, String)> {
    let mut all = vec![("on".to_owned(), rule.class.name().to_owned())];
    let mut say = |key: &str, value: String| {
        if !value.is_empty() {
            all.push((key.to_owned(), value));
        }
    };
    for (label, globs) in &rule.matches.0 {
        say(&format!("match.{label}"), globs.0.join(", "));
    }
    for (name, cond) in &rule.lets {
        say(&format!("let.{name}"), cond.source.clone());
    }
    for (i, step) in rule.steps.iter().enumerate() {
        let key =
            |name: &str| if rule.steps.len() > 1 { format!("step[{i}].{name}") } else { name.to_owned() };
        say(&key("severity"), format!("{:?}", step.severity).to_lowercase());
        say(&key("raise"), step.raise.source.clone());
        // One that is not written is the opposite of `raise`, and changes with it.
        let is_written = step.clear.source != format!("not ({})", step.raise.source);
        say(&key("clear"), if is_written { step.clear.source.clone() } else { String::new() });
        say(&key("for"), human(step.for_));
        say(&key("keep"), human(step.keep));
        say(&key("impact"), step.impact.map(|n| n.to_string()).unwrap_or_default());
        say(&key("urgency"), step.urgency.to_string());
    }
    say("title", rule.title.clone());
    say("description", rule.description.clone());
    say("runbook", rule.runbook.clone().unwrap_or_default());
    say("nature", format!("{:?}", rule.nature).to_lowercase());
    say("category", rule.category.clone());
    say("outage", rule.outage.to_string());
    say("service", rule.service.clone().unwrap_or_default());
    for (name, value) in &rule.labels {
        say(&format!("labels.{name}"), value.clone());
    }
    say("reopen", human(rule.reopen));
    say("stale", if rule.stale == 0 { String::new() } else { human(rule.stale) });
    say("min_coverage", format!("{} %", rule.min_coverage * 100.0));
    say("every", if rule.every == 0 { String::new() } else { human(rule.every) });
    say("on_missing", missing(rule.silence.on_missing).to_owned());
    say("nodata_after", rule.silence.nodata_after.map(human).unwrap_or_default());
    say("cause_hint", rule.cause_hint.map_or("", |cause| cause.name()).to_owned());
    let parents = plan.suppress.ancestors.get(&rule.id).into_iter().flatten();
    let parent = |a: &crate::engine::suppress::Ancestor| match a.same.join(", ") {
        same if same.is_empty() => a.rule.clone(),
        same => format!("{} (same {same})", a.rule),
    };
    say("depends", parents.map(parent).collect::<Vec<_>>().join(", "));
    say("action", rule.action.as_ref().map(|action| format!("{action:?}")).unwrap_or_default());
    all
}

fn missing(meaning: OnMissing) -> &'static str {
    match meaning {
        OnMissing::Hold => "",
        OnMissing::Raise => "raise",
        OnMissing::Clear => "clear",
    }
}

/// Keys that differ, in the order of the new rule; what is gone comes last.
fn compare(old: &[(String, String)], new: &[(String, String)]) -> Vec<KeyChange> {
    let value =
        |all: &[(String, String)], key: &str| all.iter().find(|(k, _)| k == key).map(|(_, v)| v.clone());
    let gone = old.iter().filter(|(key, _)| value(new, key).is_none());
    let keys = new.iter().chain(gone).map(|(key, _)| key);
    let change = |key: &String| {
        let (from, to) = (value(old, key), value(new, key));
        let is_other = from != to;
        is_other.then(|| KeyChange { key: key.clone(), from: from.map(shown), to: to.map(shown) })
    };
    keys.filter_map(change).collect()
}

fn shown(value: String) -> String {
    match value.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &value[..at]),
        None => value,
    }
}

fn tables(old: &Config, new: &Config) -> Vec<TableChange> {
    let mut all = Vec::new();
    let (a, b) = (&*old.plan, &*new.plan);
    single("[host]", &a.host, &b.host, &mut all);
    let interval = |c: &Config| c.interval;
    single("[collect] interval", &interval(old), &interval(new), &mut all);
    // What rules name is added to a collector: that is told with the rules.
    let collectors =
        |c: &Config| named(&c.collectors, |c| c.kind.to_owned(), |c| (c.interval, c.options.clone()));
    many("[collect]", &collectors(old), &collectors(new), &mut all);
    single("[correlate]", &a.correlate, &b.correlate, &mut all);
    let services = |p: &Plan| named(&p.services, |s| s.name.clone(), Clone::clone);
    many("[[service]]", &services(a), &services(b), &mut all);
    let checks = |c: &Config| named(&c.checks, |c| c.id.clone(), Clone::clone);
    many("[[check]]", &checks(old), &checks(new), &mut all);
    let destinations = |c: &Config| named(&c.destinations, |d| d.id.clone(), Clone::clone);
    many("[[destination]]", &destinations(old), &destinations(new), &mut all);
    let windows = |p: &Plan| {
        named(&p.suppress.windows, |w| w.id.clone(), |w| (w.covers.clone(), w.when.clone(), w.lasts, w.mode))
    };
    many("[[window]]", &windows(a), &windows(b), &mut all);
    let overrides = |p: &Plan| named(&p.overrides, |o| o.rule.0.join(", "), Clone::clone);
    many("[[override]] of", &overrides(a), &overrides(b), &mut all);
    single("[store]", &(&old.store, &old.history), &(&new.store, &new.history), &mut all);
    single("[desk]", &old.desk, &new.desk, &mut all);
    single("[reload]", &old.reload, &new.reload, &mut all);
    all
}

fn single<T: Debug>(table: &str, old: &T, new: &T, out: &mut Vec<TableChange>) {
    if said(old) != said(new) {
        out.push(TableChange { table: table.to_owned(), fate: Fate::Changed });
    }
}

/// Tables by name; those of one name together.
fn named<T, V: Debug>(
    all: &[T],
    name: impl Fn(&T) -> String,
    value: impl Fn(&T) -> V,
) -> BTreeMap<String, String> {
    let mut by_name: BTreeMap<String, String> = BTreeMap::new();
    all.iter().for_each(|one| by_name.entry(name(one)).or_default().push_str(&said(&value(one))));
    by_name
}

fn many(
    table: &str,
    old: &BTreeMap<String, String>,
    new: &BTreeMap<String, String>,
    out: &mut Vec<TableChange>,
) {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for name in names {
        let fate = match (old.get(name), new.get(name)) {
            (Some(a), Some(b)) if a == b => continue,
            (Some(_), Some(_)) => Fate::Changed,
            (Some(_), None) => Fate::Removed,
            (None, _) => Fate::Added,
        };
        out.push(TableChange { table: format!("{table} {name}"), fate });
    }
}

/// Debug names every field, which is what the version of a configuration rests on as well.
fn said<T: Debug>(value: &T) -> String {
    format!("{value:?}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Doors, HostFacts, load_texts};

    fn config(text: &str) -> Config {
        let facts = HostFacts { machine_id: "m".to_owned(), hostname: "h".to_owned() };
        load_texts(&[("sexton.toml", text)], &Doors::default(), &facts).unwrap()
    }

    fn lines(old: &str, new: &str) -> Vec<String> {
        let difference = Difference::between(&config(old), &config(new));
        let key = |k: &KeyChange| {
            format!(" {}: {} -> {}", k.key, k.from.as_deref().unwrap_or("-"), k.to.as_deref().unwrap_or("-"))
        };
        let rule =
            |r: &RuleChange| format!("{:?} {}{}", r.fate, r.id, r.keys.iter().map(key).collect::<String>());
        let table = |t: &TableChange| format!("{:?} {}", t.fate, t.table);
        difference.rules.iter().map(rule).chain(difference.tables.iter().map(table)).collect()
    }

    #[test]
    fn every_sort_of_change_is_told_once() {
        let rule =
            "[[rule]]\nid = \"a\"\non = \"fs\"\nraise = \"fs.used > 90%\"\nclear = \"fs.used < 80%\"\n";
        let steps = "[[rule]]\nid = \"a\"\non = \"fs\"\nstep = [\n{ raise = \"fs.used > 90%\", clear = \"fs.used < 80%\" },\n\
                     { severity = \"critical\", raise = \"fs.used > 95%\", clear = \"fs.used < 80%\" } ]\n";
        let window = "[[window]]\nid = \"w\"\nevery = \"daily 03:00-04:00\"\ntz = \"UTC\"\n";
        for (old, new, told) in [
            (rule.to_owned(), format!("# only a comment\n\n{rule}"), &[][..]),
            (String::new(), rule.to_owned(), &["Added a"]),
            (rule.to_owned(), String::new(), &["Removed a"]),
            (
                rule.to_owned(),
                rule.replace("90%", "95%"),
                &["Changed a raise: fs.used > 90% -> fs.used > 95%"],
            ),
            (rule.to_owned(), format!("{rule}for = \"2m\"\n"), &["Changed a for: 1m -> 2m"]),
            (
                rule.to_owned(),
                format!("{rule}match = {{ mount = [\"/\"] }}\n"),
                &["Changed a match.mount: - -> /"],
            ),
            (format!("{rule}service = \"shop\"\n"), rule.to_owned(), &["Changed a service: shop -> -"]),
            (
                steps.to_owned(),
                steps.replace("95%", "97%"),
                &["Changed a step[1].raise: fs.used > 95% -> fs.used > 97%"],
            ),
            // Its companion comes with it.
            (String::new(), format!("{rule}nodata_after = \"5m\"\n"), &["Added a"]),
            (format!("{rule}{window}"), rule.to_owned(), &["Removed [[window]] w"]),
            (String::new(), "[host]\nname = \"x\"\n".to_owned(), &["Changed [host]"]),
            (String::new(), "[reload]\nlimit = { raise = 3 }\n".to_owned(), &["Changed [reload]"]),
            (
                String::new(),
                "[[override]]\nrule = \"fs-full\"\nset = { for = \"9m\" }\n".to_owned(),
                &["Added [[override]] of fs-full"],
            ),
        ] {
            assert_eq!(lines(&old, &new), told, "{old}---\n{new}");
        }
    }
}
