//! `[[override]]`: which rules it is about, and whether its labels and title make sense for one of them.

use std::collections::BTreeMap;

use super::{Known, title};
use crate::config::diagnose::{At, Finding, Report};
use crate::config::raw::RawOverride;
use crate::config::suggest::{nearest, one_of};
use crate::config::value;
use crate::config::walk::{Text, shorten};
use crate::engine::plan::{Globs, Match, Override};
use crate::engine::signal::Class;

/// Compiles overrides in the order of the files, against all rules, also those that are switched off.
pub fn compile(raws: &[RawOverride], rules: &BTreeMap<String, Known>, report: &mut Report) -> Vec<Override> {
    let mut overrides = Vec::with_capacity(raws.len());
    for raw in raws {
        let globs = Globs(raw.rules.iter().map(|t| t.value.clone()).collect());
        for text in &raw.rules {
            one_glob(text, rules, report);
        }
        let edited: Vec<_> = rules.values().filter(|k| globs.accepts(&k.id.0)).collect();
        labels(raw, &edited, report);
        let has_labels = |k: &Known| {
            raw.matches.iter().all(|(l, _)| k.class.is_some_and(|c| c.spec().has_label(&l.value)))
        };
        let bound: Vec<_> = edited.iter().copied().filter(|k| has_labels(k)).collect();
        titles(raw, if bound.is_empty() { &edited } else { &bound }, report);
        let matches = raw.matches.iter().map(|(label, globs)| (label.value.clone(), globs.clone()));
        overrides.push(Override { rule: globs, matches: Match(matches.collect()), set: raw.set.clone() });
    }
    overrides
}

/// A name that is no rule: a doubt, because a fleet's file may speak of rules that only some hosts have.
pub fn unknown<'k>(at: At, id: &str, ids: impl IntoIterator<Item = &'k str>, what: &str) -> Finding {
    let finding = Finding::warning(at, format!("`{}` {what}", shorten(id))).absence();
    match nearest(id, ids) {
        Some(near) => finding.label(format!("did you mean `{near}`?")),
        None => finding.label("no rule has this id"),
    }
}

fn one_glob(text: &Text, rules: &BTreeMap<String, Known>, report: &mut Report) {
    let glob = text.value.strip_prefix('!').unwrap_or(&text.value);
    if let Err(why) = value::glob(&text.value) {
        let message = format!("`rule`: the glob {:?} {why}", shorten(&text.value));
        report.add(Finding::error(text.at, message));
    } else if !rules.keys().any(|id| crate::engine::plan::glob_matches(glob, id)) {
        report.add(unknown(text.at, glob, rules.keys().map(String::as_str), "matches no rule"));
    }
}

fn labels(raw: &RawOverride, edited: &[&Known], report: &mut Report) {
    let mut classes: Vec<Class> = edited.iter().filter_map(|k| k.class).collect();
    classes.sort();
    classes.dedup();
    if classes.is_empty() {
        return;
    }
    let known = || classes.iter().flat_map(|c| c.spec().identity.iter().chain(c.spec().other)).copied();
    for (label, _) in &raw.matches {
        if known().any(|l| l == label.value) {
            continue;
        }
        let message = format!("no rule edited here is of a class with the label `{}`", shorten(&label.value));
        let finding = Finding::error(label.at, message).help(match known().next() {
            Some(_) => format!("labels of these rules: {}", one_of(known())),
            None => "these rules have one instance and no labels: leave `match` out".to_owned(),
        });
        report.add(match nearest(&label.value, known()) {
            Some(near) => finding.label(format!("did you mean `{near}`?")),
            None => finding,
        });
    }
}

/// A placeholder must be known to at least one of the rules.
fn titles(raw: &RawOverride, edited: &[&Known], report: &mut Report) {
    let Some(title) = &raw.title else { return };
    let rules = edited.iter().filter_map(|k| k.plan.as_ref());
    let mut checked = rules.map(|r| title::check(title, r.class, &r.lets, &[]));
    let Some(mut fewest) = checked.next() else { return };
    for wrong in checked {
        if wrong.len() < fewest.len() {
            fewest = wrong;
        }
    }
    fewest.into_iter().for_each(|finding| report.add(finding));
}
