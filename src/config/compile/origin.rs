//! Where every effective key of a rule was written. Gathered only when somebody asks: a daemon need not hold
//! it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::diagnose::{At, Report};
use crate::config::raw::{Place, RawDefaults, RawOverride, RawRelation, RawRule};
use crate::engine::plan::{Globs, Rule};

/// Keys that a step may say itself.
const STEP: [&str; 7] = ["severity", "impact", "urgency", "raise", "clear", "for", "keep"];

/// Where the keys of all rules stand.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    files: Vec<String>,
    rules: BTreeMap<String, Box<[Written]>>,
    /// Globs on rules and the keys that an override sets in them.
    overrides: Vec<(Globs, Box<[Written]>)>,
    relations: BTreeMap<String, Relations>,
    off: BTreeMap<String, SwitchedOff>,
}

/// `depends` and `suppresses` of a rule, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relations {
    /// Rules that explain it, each with the labels that both instances share.
    pub depends: Vec<(String, Vec<String>)>,
    /// Rules that it explains.
    pub suppresses: Vec<(String, Vec<String>)>,
}

/// A rule that a file switches off.
#[derive(Clone, Debug)]
pub struct SwitchedOff {
    /// What it would be.
    pub rule: Arc<Rule>,
    /// Where that is written.
    pub place: String,
}

#[derive(Clone, Debug)]
struct Written {
    key: Box<str>,
    file: u32,
    line: u32,
    layer: Layer,
}

/// The kind of table that a key of a rule is written in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layer {
    /// The rule itself.
    Rule,
    /// The template of that name.
    Template(Box<str>),
    /// `[defaults]`.
    Defaults,
    /// An `[[override]]`, which may be about some instances only.
    Override,
}

/// A key of a rule and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// `for`, `match.mount`, `step[0].raise`.
    pub key: String,
    /// `rules.d/10-disk.toml:12`.
    pub place: String,
    /// What it is written in.
    pub layer: Layer,
}

impl Origins {
    /// No rule yet; names of the files in the order of the layers.
    pub(in crate::config) fn new(report: &Report) -> Self {
        let files = report.sources.iter().map(|s| s.name.clone()).collect();
        Self { files, ..Self::default() }
    }

    /// Takes a rule in, in the place of an earlier one of the same id. `defaults` are the layers below it,
    /// nearest first.
    pub(in crate::config) fn rule(&mut self, rule: &RawRule, defaults: &[&RawDefaults], report: &Report) {
        let mut all: Vec<Written> = rule.places.iter().map(|p| written(p, layer(p), report)).collect();
        for place in defaults.iter().flat_map(|d| &d.places) {
            let key = place.key.as_str();
            let is_written = |key: &str| all.iter().any(|w| &*w.key == key);
            let is_of_steps = STEP.contains(&key) && !rule.steps.is_empty();
            let in_step = |i: usize| is_written(&format!("step[{i}].{key}"));
            let by_steps = is_of_steps && (0..rule.steps.len()).all(in_step);
            if !by_steps && !is_written(key) {
                all.push(written(place, Layer::Defaults, report));
            }
        }
        self.rules.insert(rule.id.0.clone(), all.into());
        let plain = |all: &[RawRelation]| {
            let one = |r: &RawRelation| {
                (r.rule.value.clone(), r.same.iter().map(|label| label.value.clone()).collect())
            };
            all.iter().map(one).collect()
        };
        let relations = Relations { depends: plain(&rule.depends), suppresses: plain(&rule.suppresses) };
        self.relations.insert(rule.id.0.clone(), relations);
        self.off.remove(&rule.id.0);
    }

    /// Remembers a rule that is switched off where `at` stands.
    pub(in crate::config) fn switch_off(&mut self, rule: Arc<Rule>, at: At, report: &Report) {
        let (file, line) = (self.file(at.file), line(at, report));
        self.off.insert(rule.id.clone(), SwitchedOff { rule, place: format!("{file}:{line}") });
    }

    /// Remembers that a rule which is off already is switched off here as well.
    pub(in crate::config) fn still_off(&mut self, id: &str, at: At, report: &Report) {
        let place = format!("{}:{}", self.file(at.file), line(at, report));
        if let Some(off) = self.off.get_mut(id) {
            off.place = place;
        }
    }

    /// Rules that a file switches off, by id.
    pub fn off(&self) -> &BTreeMap<String, SwitchedOff> {
        &self.off
    }

    /// `depends` and `suppresses` of every rule, by id.
    pub fn relations(&self) -> &BTreeMap<String, Relations> {
        &self.relations
    }

    /// Every key that the override of that number sets, in the order of the plan's overrides.
    pub fn of_override(&self, number: usize) -> Vec<Origin> {
        let set = self.overrides.get(number).into_iter().flat_map(|(_, set)| set);
        set.map(|w| self.origin(w)).collect()
    }

    /// Takes an override in.
    pub(in crate::config) fn override_(&mut self, raw: &RawOverride, report: &Report) {
        let globs = Globs(raw.rules.iter().map(|t| t.value.clone()).collect());
        let set = raw.places.iter().map(|p| written(p, Layer::Override, report));
        self.overrides.push((globs, set.collect()));
    }

    /// Every key of a rule that is written anywhere, in the order written; what is not here has the value
    /// that the reference states. Keys of overrides follow.
    pub fn of(&self, rule: &str) -> Vec<Origin> {
        let own = self.rules.get(rule).into_iter().flatten().map(|w| self.origin(w));
        let over = self.overrides.iter().filter(|(globs, _)| globs.accepts(rule)).flat_map(|(_, set)| set);
        own.chain(over.map(|w| self.origin(w))).collect()
    }

    fn origin(&self, written: &Written) -> Origin {
        let place = format!("{}:{}", self.file(written.file), written.line);
        Origin { key: written.key.to_string(), place, layer: written.layer.clone() }
    }

    fn file(&self, number: u32) -> &str {
        self.files.get(number as usize).map_or("", String::as_str)
    }
}

fn line(at: At, report: &Report) -> u32 {
    let source = report.sources.get(at.file as usize);
    source.map_or(0, |s| s.line(at.start as usize).0 as u32 + 1)
}

fn written(place: &Place, layer: Layer, report: &Report) -> Written {
    Written { key: place.key.as_str().into(), file: place.at.file, line: line(place.at, report), layer }
}

/// Messages call a template by its name: template `shop`.
fn layer(place: &Place) -> Layer {
    match place.table.strip_prefix("template `").and_then(|rest| rest.strip_suffix('`')) {
        Some(name) => Layer::Template(name.into()),
        None => Layer::Rule,
    }
}
