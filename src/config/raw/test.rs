//! `[[test]]` as written.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use toml::de::DeValue;

use super::names;
use super::routing::PRIORITIES;
use super::rule::SEVERITIES;
use crate::config::diagnose::{At, Finding, Report};
use crate::config::test::{Expect, Expected, Piece, START, STATES, TestSeries, pieces, series_name};
use crate::config::walk::{Key, Keys, Kind, LATER, Range, Sp, Text, Walk};
use crate::engine::moment::{DAY, SECOND, Stamp};
use crate::engine::signal::{Instance, Metric};

/// One `[[test]]`.
pub struct RawTest {
    pub at: At,
    pub name: Option<String>,
    pub rule: Text,
    pub step: i64,
    pub start: Stamp,
    pub series: Vec<TestSeries>,
    pub expect: Vec<Expect>,
    pub incidents: Option<u64>,
}

pub const TEST: Keys = Keys {
    known: &[
        Key::new("rule", Kind::Text, "id of the rule that is tested").must(),
        Key::new("name", Kind::Text, "what it is about"),
        Key::new("step", Kind::Duration(STEP), "distance of the samples").or("10s"),
        Key::new("start", Kind::Form(r"^[+-]?[0-9]{4}"), "when it begins, with an offset")
            .or("2024-01-01T00:00:00Z"),
        Key::new("series", Kind::Series, "what is seen: { \"fs.used{mount=/data}\" = \"80%x60 90%x60\" }")
            .must(),
        Key::new("expect", Kind::Tables(&EXPECT), "what the rule is to be, and when"),
        Key::new("incidents", Kind::Int(INCIDENTS), "how many incidents there are in all"),
    ],
    later: &[],
    instead: LATER,
    renamed: &[
        ("id", "rule"),
        ("interval", "step"),
        ("input_series", "series"),
        ("values", "series"),
        ("expected", "expect"),
        ("alert_rule_test", "expect"),
        ("title", "name"),
        ("incident", "incidents"),
    ],
};
const EXPECT: Keys = Keys {
    known: &[
        Key::new("at", Kind::Duration(TIME), "time since the start of the series").must(),
        Key::new("state", Kind::Word(|| names(&STATES)), "state of the rule").or("raised"),
        Key::new("severity", Kind::Word(|| names(&SEVERITIES)), "of the highest step that is raised"),
        Key::new("priority", Kind::Word(|| names(&PRIORITIES)), "of the open incident"),
        Key::new("instance", Kind::Text, "which one, when there are several").or("the worst"),
    ],
    later: &[],
    instead: LATER,
    renamed: &[("time", "at"), ("eval_time", "at"), ("is", "state"), ("on", "instance")],
};

/// Distance of samples.
const STEP: Range = SECOND..=DAY;
/// Longest test.
const TIME: Range = 0..=400 * DAY;
/// Incidents that a test can ask for.
const INCIDENTS: Range = 0..=1_000_000;
/// Most series of a test.
const MOST_SERIES: usize = 256;
/// Most lines of `expect`.
const MOST_EXPECTED: usize = 1000;

/// Reads one `[[test]]`; `None` when too little of it is right to play it.
pub fn test(walk: &Walk<'_>, report: &mut Report) -> Option<RawTest> {
    walk.check(&TEST, &[], report);
    for (key, help) in [
        ("rule", "name the rule that is tested: rule = \"disk-full\""),
        ("series", "say what is seen: series = { \"fs.used{mount=/data}\" = \"80%x60 90%x60\" }"),
    ] {
        if !walk.has(key) {
            walk.missing(key, help, report);
        }
    }
    if !walk.has("expect") && !walk.has("incidents") {
        let help = "say what is to happen: expect = [{ at = \"30m\", state = \"raised\" }], or incidents = 0";
        walk.missing("expect", help, report);
    }
    let rule = walk.text("rule", report);
    let name = walk.text("name", report).map(|t| t.value);
    let step = if walk.has("step") {
        walk.duration("step", STEP, report).map(|n| n.value)
    } else {
        Some(10 * SECOND)
    };
    let start = start(walk, report);
    let series = series(walk, report);
    let tables = walk.tables("expect", "a line of `expect`", report);
    if tables.len() > MOST_EXPECTED {
        let message = format!("{} lines in `expect`; at most {MOST_EXPECTED}", tables.len());
        report.add(Finding::error(walk.key_at("expect"), message));
    }
    let expect = tables.iter().filter_map(|w| expect(w, report)).collect();
    let incidents = walk.int("incidents", INCIDENTS, report).map(|Sp { value, .. }| value as u64);
    let series = series?;
    Some(RawTest { at: walk.at, name, rule: rule?, step: step?, start: start?, series, expect, incidents })
}

/// When it begins: a date of TOML, or the same as text.
fn start(walk: &Walk<'_>, report: &mut Report) -> Option<Stamp> {
    let Some(value) = walk.get("start") else { return Some(START) };
    let parse = |t: &str| {
        let why = "is no time with an offset; write start = 2024-01-01T00:00:00Z";
        t.parse::<Stamp>().map_err(|_| why.to_owned())
    };
    let DeValue::Datetime(date) = value.get_ref() else {
        return walk.text_that("start", parse, report).map(|s| s.value);
    };
    let stamp = parse(&date.to_string());
    stamp.map_err(|why| report.add(Finding::error(walk.at(value), format!("`start`: {date} {why}")))).ok()
}

fn expect(walk: &Walk<'_>, report: &mut Report) -> Option<Expect> {
    walk.check(&EXPECT, &[], report);
    if !walk.has("at") {
        walk.missing("at", "time since the start of the series: at = \"30m\"", report);
    }
    let severity = walk.word("severity", &SEVERITIES, report).map(|s| s.value);
    let priority = walk.word("priority", &PRIORITIES, report).map(|p| p.value);
    if !walk.has("state") && severity.is_none() && priority.is_none() {
        walk.missing("state", "write state = \"ok\", \"pending\", \"raised\" or \"unknown\"", report);
    }
    let at = walk.duration("at", TIME, report);
    let state = if walk.has("state") { walk.word("state", &STATES, report)?.value } else { Expected::Raised };
    if state != Expected::Raised && priority.is_some() {
        let finding = Finding::error(walk.key_at("priority"), format!("`{}` has no priority", state.word()));
        report.add(finding.help("only what is raised has an incident; take `priority` out"));
    }
    let instance = walk.text("instance", report).map(|t| t.value);
    Some(Expect { at: at?.value, state, severity, priority, instance, place: report.place(walk.at) })
}

/// The series, those of one instance sharing it with the labels of all of them.
fn series(walk: &Walk<'_>, report: &mut Report) -> Option<Vec<TestSeries>> {
    let table = walk.table("series", "`series`", report)?;
    let entries = table.entries();
    if entries.is_empty() || entries.len() > MOST_SERIES {
        let message = format!("`series` has {} series; a test has 1 to {MOST_SERIES}", entries.len());
        report.add(Finding::error(walk.key_at("series"), message));
    }
    let mut read = Vec::with_capacity(entries.len());
    for (key, value) in &entries {
        let name = name(key, report);
        let Some(text) = table.text_of(&key.value, *value, report) else { continue };
        let Some((metric, labels)) = name else { continue };
        match pieces(&text.value, metric) {
            Ok(pieces) => read.push((metric, labels, at_home(pieces, key.at, report))),
            Err(wrong) => {
                let finding = Finding::error(text.part(wrong.span), wrong.message);
                report.add(wrong.help.into_iter().fold(finding, Finding::help));
            }
        }
    }
    if read.len() < entries.len() || read.is_empty() {
        return None;
    }
    let mut instances: BTreeMap<String, Instance> = BTreeMap::new();
    for (metric, labels, _) in &read {
        let one = Instance::new(metric.spec().class, labels.clone());
        let known = instances.entry(one.key().to_owned()).or_insert_with(|| one.clone());
        known.labels.extend(one.labels);
    }
    let instances: BTreeMap<String, Arc<Instance>> =
        instances.into_iter().map(|(k, i)| (k, Arc::new(i))).collect();
    let series = read.into_iter().filter_map(|(metric, labels, pieces)| {
        let instance = instances.get(Instance::new(metric.spec().class, labels).key())?;
        Some(TestSeries { metric, instance: Arc::clone(instance), pieces })
    });
    Some(series.collect())
}

/// Files are named as seen from the file that names them.
fn at_home(mut pieces: Vec<Piece>, at: At, report: &Report) -> Vec<Piece> {
    let home = report.sources.get(at.file as usize).and_then(|s| Path::new(&s.name).parent());
    for piece in &mut pieces {
        if let (Piece::Column { path, .. }, Some(home)) = (piece, home) {
            *path = home.join(&*path);
        }
    }
    pieces
}

/// `fs.used{mount=/data,fstype=ext4}`.
fn name(key: &Text, report: &mut Report) -> Option<(Metric, BTreeMap<String, String>)> {
    match series_name(&key.value) {
        Ok(name) => Some(name),
        Err(wrong) => {
            let finding = Finding::error(key.at, wrong.message).help(wrong.help);
            report.add(match wrong.near {
                Some(near) => finding.label(format!("did you mean `{near}`?")),
                None => finding,
            });
            None
        }
    }
}
