//! Where every effective key of a rule was written. Gathered only when somebody asks: a daemon need not hold
//! it.

use std::collections::BTreeMap;

use crate::config::diagnose::{At, Report};
use crate::config::raw::{Places, RawDefaults, RawOverride, RawRule};
use crate::engine::plan::Globs;

/// Keys that a step may say itself.
const STEP: [&str; 7] = ["severity", "impact", "urgency", "raise", "clear", "for", "keep"];

/// Where the keys of all rules stand.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    files: Vec<String>,
    rules: BTreeMap<String, Box<[Written]>>,
    /// Globs on rules and the keys that an override sets in them.
    overrides: Vec<(Globs, Box<[Written]>)>,
}

#[derive(Clone, Debug)]
struct Written {
    key: Box<str>,
    file: u32,
    line: u32,
}

/// A key of a rule and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// `for`, `match.mount`, `step[0].raise`.
    pub key: String,
    /// `rules.d/10-disk.toml:12`.
    pub place: String,
    /// It stands in an override, which may be about some instances only.
    pub is_override: bool,
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
        let mut places: Places = rule.places.clone();
        for (key, at) in defaults.iter().flat_map(|d| &d.places) {
            let is_written = |key: &str| places.iter().any(|(k, _)| k == key);
            let is_of_steps = STEP.contains(&key.as_str()) && !rule.steps.is_empty();
            let in_step = |i: usize| is_written(&format!("step[{i}].{key}"));
            let by_steps = is_of_steps && (0..rule.steps.len()).all(in_step);
            if !by_steps && !is_written(key) {
                places.push((key.clone(), *at));
            }
        }
        self.rules.insert(rule.id.0.clone(), written(&places, report));
    }

    /// Takes an override in.
    pub(in crate::config) fn override_(&mut self, raw: &RawOverride, report: &Report) {
        let globs = Globs(raw.rules.iter().map(|t| t.value.clone()).collect());
        self.overrides.push((globs, written(&raw.places, report)));
    }

    /// Every key of a rule that is written anywhere, in the order written; what is not here has the value
    /// that the reference states. Keys of overrides follow.
    pub fn of(&self, rule: &str) -> Vec<Origin> {
        let own = self.rules.get(rule).into_iter().flatten().map(|w| self.origin(w, false));
        let over = self.overrides.iter().filter(|(globs, _)| globs.accepts(rule)).flat_map(|(_, set)| set);
        own.chain(over.map(|w| self.origin(w, true))).collect()
    }

    fn origin(&self, written: &Written, is_override: bool) -> Origin {
        let file = self.files.get(written.file as usize).map_or("", String::as_str);
        Origin { key: written.key.to_string(), place: format!("{file}:{}", written.line), is_override }
    }
}

fn written(places: &[(String, At)], report: &Report) -> Box<[Written]> {
    let line = |at: At| {
        let source = report.sources.get(at.file as usize);
        source.map_or(0, |s| s.line(at.start as usize).0 as u32 + 1)
    };
    let one = |(key, at): &(String, At)| Written { key: key.as_str().into(), file: at.file, line: line(*at) };
    places.iter().map(one).collect()
}
