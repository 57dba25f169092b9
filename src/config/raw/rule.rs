//! `[[rule]]`, `[defaults]`, `[[override]]`.

use std::collections::BTreeMap;

use super::action::{self, RawAction};
use super::places::{self, Places};
use super::relations::{self, RawRelation};
use super::tables;
use super::template::Templates;
use crate::config::diagnose::{At, Finding, Report};
use crate::config::source::Role;
use crate::config::suggest::{nearest, one_of};
use crate::config::value;
use crate::config::walk::{Range, Text, Walk, shorten};

use crate::engine::moment::{DAY, SECOND};
use crate::engine::plan::{Cause, Globs, Match, OnMissing, Patch};
use crate::engine::record::{Nature, REOPEN_MOST, Severity};
use crate::engine::signal::{CLASSES, Class};

pub mod keys;
use keys::{DEFAULTS, NOT_IN_TEMPLATE, OVERRIDE, RULE, SET, STEP, TEMPLATE};

/// The severities in the order of their weight.
pub const SEVERITIES: [(&str, Severity); 3] =
    [("info", Severity::Info), ("warning", Severity::Warning), ("critical", Severity::Critical)];

/// The natures of incidents.
pub const NATURES: [(&str, Nature); 4] = [
    ("fault", Nature::Fault),
    ("degradation", Nature::Degradation),
    ("capacity", Nature::Capacity),
    ("monitoring", Nature::Monitoring),
];

/// What missing data means.
pub const ON_MISSING: [(&str, OnMissing); 3] =
    [("hold", OnMissing::Hold), ("raise", OnMissing::Raise), ("clear", OnMissing::Clear)];

/// Longest wait that a rule can ask for.
pub const WAIT: Range = 0..=400 * DAY;
/// How long after its resolve an incident may be reopened.
pub const REOPENABLE: Range = 0..=REOPEN_MOST;
/// How old a value may be.
pub const STALE: Range = SECOND..=400 * DAY;
/// How seldom a rule may be judged.
pub const EVERY: Range = 0..=DAY;
/// Impact and urgency.
pub const WEIGHT: Range = 1..=3;
/// Most steps of a rule.
pub const MOST_STEPS: usize = 8;

/// What a step says; also the keys of a rule that stand for all its steps.
pub struct RawStep {
    pub severity: Option<Severity>,
    pub impact: Option<u8>,
    pub urgency: Option<u8>,
    pub raise: Option<Text>,
    pub clear: Option<Text>,
    pub for_: Option<i64>,
    pub keep: Option<i64>,
}

/// What a rule or `[defaults]` says beside the steps.
#[derive(Default)]
pub struct RawMeta {
    pub outage: Option<bool>,
    pub nature: Option<Nature>,
    pub category: Option<String>,
    pub service: Option<String>,
    pub reopen: Option<i64>,
    pub stale: Option<i64>,
    pub min_coverage: Option<f64>,
    pub runbook: Option<String>,
    pub labels: BTreeMap<String, String>,
    pub on_missing: Option<OnMissing>,
    pub nodata_after: Option<i64>,
    pub every: Option<i64>,
}

/// `[defaults]`.
#[derive(Default)]
pub struct RawDefaults {
    /// Keys that stand for steps.
    pub step: Option<RawStep>,
    /// The others.
    pub meta: RawMeta,
    /// Where each key stands.
    pub places: Places,
}

/// `[[rule]]`.
pub struct RawRule {
    pub at: At,
    pub id: (String, At),
    pub class: Option<Class>,
    pub matches: Match,
    pub title: Option<Text>,
    pub description: Option<String>,
    pub lets: Vec<(Text, Text)>,
    pub meta: RawMeta,
    pub own: RawStep,
    pub steps: Vec<RawStep>,
    pub cause_hint: Option<Cause>,
    pub action: Option<RawAction>,
    /// Where each key stands that is written in the rule or in a template of it.
    pub places: Places,
    pub enabled: bool,
    /// Rules that explain it.
    pub depends: Vec<RawRelation>,
    /// Rules that it explains.
    pub suppresses: Vec<RawRelation>,
    /// Nothing but `id` and `enabled = false`.
    pub retires: bool,
}

/// `[[override]]`.
pub struct RawOverride {
    pub rules: Vec<Text>,
    pub matches: Vec<(Text, Globs)>,
    pub set: Patch,
    /// The title in `set`, with its place.
    pub title: Option<Text>,
    /// Where each key of `set` stands.
    pub places: Places,
}

/// Reads one `[[rule]]`; `None` without an id, under which nothing can be said of it.
pub fn rule<'t>(walk: &Walk<'t>, templates: &Templates<'t>, report: &mut Report) -> Option<RawRule> {
    let id = walk.text_that("id", |text| value::id(text).map(|()| text.to_owned()), report);
    let called = id.as_ref().map_or_else(|| "[[rule]]".to_owned(), |id| format!("rule `{}`", id.value));
    let named = walk.named(&called);
    named.check(&RULE, &[], report);
    if !walk.has("id") {
        walk.missing_of(
            &RULE,
            "id",
            "an id names the rule in incidents and overrides: id = \"disk-full\"",
            report,
        );
    }
    let (named, is_whole) = templates.lay(&named, report);
    let enabled = named.flag("enabled", report);
    // `enabled` that is no true or false is one mistake, and says so itself.
    let retires = named.has("enabled")
        && enabled != Some(true)
        && named.entries().iter().all(|(k, _)| k.value == "id" || k.value == "enabled");
    let edits = !retires && is_whole && id.as_ref().is_some_and(|id| edits(&named, &id.value, report));
    let is_whole = is_whole && !edits;
    let class = on(&named, is_whole && !retires, report);
    if let Some(labels) = named.within("labels").filter(|labels| labels.has("severity")) {
        let message = "`labels.severity` is a label only: it does not say how bad the rule is";
        let finding = Finding::warning(labels.key_at("severity"), message);
        report.add(finding.help("write severity = \"critical\" in the rule or its steps"));
    }
    let own = step(&named, report);
    let steps = steps(&named, &called, &own, report);
    let says_when = named.has("raise") || named.has("step") || !steps.is_empty();
    if !says_when && is_whole && !retires {
        named.missing_of(
            &RULE,
            "raise",
            "a rule says when it is a breach: raise = \"fs.used > 90%\"",
            report,
        );
    }
    Some(RawRule {
        at: walk.at,
        class,
        matches: Match(class.map(|c| matches(&named, c, report)).unwrap_or_default()),
        title: named.text("title", report),
        description: named.text("description", report).map(|t| t.value),
        lets: lets(&named, report),
        meta: meta(&named, report),
        own,
        steps,
        cause_hint: named.word("cause_hint", &Cause::NAMES, report).map(|c| c.value),
        action: action::action(&named, false, report),
        places: places::wanted(&named, report),
        depends: relations::read(&named, "depends", report),
        suppresses: relations::read(&named, "suppresses", report),
        enabled: enabled.unwrap_or(true),
        retires,
        id: id.map(|id| (id.value, id.at))?,
    })
}

/// Nothing but keys that an `[[override]]` sets: not a rule, but a change of one.
fn edits(walk: &Walk<'_>, id: &str, report: &mut Report) -> bool {
    let keys: Vec<_> = walk.entries().into_iter().map(|(k, _)| k.value).filter(|k| k != "id").collect();
    let Some(key) = keys.first().filter(|_| keys.iter().all(|k| SET.names().any(|name| name == k))) else {
        return false;
    };
    let message = format!("{} has neither `on` nor `raise`", walk.what);
    let finding = Finding::error(walk.at, message).help(format!(
        "to change a rule that there is:\n[[override]]\nrule = \"{id}\"\nset = {{ {key} = … }}"
    ));
    report.add(finding.help(
        "a new rule says what it watches and when it is a breach: on = \"fs\", raise = \"fs.used > 90%\"",
    ));
    true
}

/// Reads a template for its mistakes only: it need not be whole, and conditions wait for a rule.
pub fn template(walk: &Walk<'_>, report: &mut Report) {
    let has_id = walk.has(NOT_IN_TEMPLATE);
    walk.check(if has_id { &RULE } else { &TEMPLATE }, &[], report);
    if has_id {
        let message = format!("{} has an `id`", walk.what);
        report.add(
            Finding::error(walk.key_at(NOT_IN_TEMPLATE), message)
                .help("each rule that extends it has its own: take this one out"),
        );
    }
    walk.flag("enabled", report);
    match on(walk, false, report) {
        Some(class) => {
            matches(walk, class, report);
        }
        None => labels_of_any(walk, report),
    }
    let own = step(walk, report);
    steps(walk, &walk.what, &own, report);
    walk.text("title", report);
    walk.text("description", report);
    lets(walk, report);
    meta(walk, report);
    walk.word("cause_hint", &Cause::NAMES, report);
    action::action(walk, true, report);
    relations::read(walk, "depends", report);
    relations::read(walk, "suppresses", report);
}

/// Reads `[defaults]`.
pub fn defaults(walk: &Walk<'_>, role: Role, report: &mut Report) -> RawDefaults {
    walk.check(&DEFAULTS, &[], report);
    let step = step(walk, report);
    if step.impact.is_some() && role == Role::DropIn {
        let message = "`impact` cannot stand in the [defaults] of a file of rules.d";
        report.add(
            Finding::error(walk.key_at("impact"), message)
                .help("write it in the rules, in a [[service]] as tier, or in the main file's [defaults]"),
        );
    }
    RawDefaults { step: Some(step), meta: meta(walk, report), places: places::wanted(walk, report) }
}

/// Reads one `[[override]]`.
pub fn override_(walk: &Walk<'_>, report: &mut Report) -> Option<RawOverride> {
    walk.check(&OVERRIDE, &[], report);
    let mut matches = Vec::new();
    if let Some(table) = walk.table("match", "`match` of [[override]]", report) {
        for (key, value) in table.entries() {
            if let Some(globs) = table.globs_of(&key.value, value, report) {
                matches.push((key, globs));
            }
        }
    }
    let set = walk.table("set", "`set` of [[override]]", report);
    let title = set.as_ref().and_then(|w| w.text("title", report));
    let places = set.as_ref().map(|w| places::wanted(w, report)).unwrap_or_default();
    let set = set.map(|w| patch(&w, title.as_ref(), report));
    for (key, help) in [
        ("rule", "name the rules it edits: rule = \"disk-full\", or globs: rule = [\"disk-*\"]"),
        ("set", "say what it changes: set = { severity = \"warning\" }"),
    ] {
        // A key of `set` that stands beside it says so itself.
        let is_told = key == "set" && SET.names().any(|name| walk.has(name));
        if !walk.has(key) && !is_told {
            walk.missing(key, help, report);
        }
    }
    let rules = walk.list("rule", report)?;
    if rules.is_empty() {
        report.add(Finding::error(walk.key_at("rule"), "`rule` is an empty list: it edits nothing"));
    }
    Some(RawOverride { rules, matches, set: set?, title, places })
}

fn on(walk: &Walk<'_>, is_needed: bool, report: &mut Report) -> Option<Class> {
    if !walk.has("on") {
        if is_needed {
            let names = one_of(CLASSES.iter().map(|c| c.name));
            walk.missing_of(&RULE, "on", &format!("`on` says what it watches: {names}"), report);
        }
        return None;
    }
    let text = walk.text("on", report)?;
    tables::class(&text, report)
}

fn matches(walk: &Walk<'_>, class: Class, report: &mut Report) -> BTreeMap<String, Globs> {
    let Some(table) = walk.table("match", "`match` of a rule", report) else { return BTreeMap::new() };
    let mut matches = BTreeMap::new();
    for (key, value) in table.entries() {
        let globs = table.globs_of(&key.value, value, report);
        let labels = || class.spec().identity.iter().chain(class.spec().other).copied();
        if !labels().any(|l| l == key.value) {
            report.add(no_label(&key, class, labels().collect()));
        } else if let Some(globs) = globs {
            matches.insert(key.value, globs);
        }
    }
    matches
}

/// `match` of a template that leaves the class to its rules: at least one class must have each label.
fn labels_of_any(walk: &Walk<'_>, report: &mut Report) {
    let Some(table) = walk.table("match", "`match` of a rule", report) else { return };
    let labels = || CLASSES.iter().flat_map(|c| c.identity.iter().chain(c.other)).copied();
    for (key, value) in table.entries() {
        table.globs_of(&key.value, value, report);
        if !labels().any(|label| label == key.value) {
            let finding = Finding::error(key.at, format!("no class has a label `{}`", shorten(&key.value)));
            let near = nearest(&key.value, labels());
            report.add(near.into_iter().fold(finding, |f, near| f.label(format!("did you mean `{near}`?"))));
        }
    }
}

fn no_label(key: &Text, class: Class, labels: Vec<&'static str>) -> Finding {
    let message = format!("class `{}` has no label `{}`", class.name(), shorten(&key.value));
    let finding = Finding::error(key.at, message).help(match labels.is_empty() {
        true => format!("class `{}` has one instance and no labels: leave `match` out", class.name()),
        false => format!("labels of `{}`: {}", class.name(), one_of(labels.iter().copied())),
    });
    match nearest(&key.value, labels.iter().copied()) {
        Some(near) => finding.label(format!("did you mean `{near}`?")),
        None => finding,
    }
}

fn lets(walk: &Walk<'_>, report: &mut Report) -> Vec<(Text, Text)> {
    let Some(table) = walk.table("let", "`let`", report) else { return Vec::new() };
    let mut lets = Vec::new();
    for (key, value) in table.entries() {
        if let Err(why) = value::ident(&key.value) {
            report.add(Finding::error(key.at, format!("`let`: {:?} {why}", shorten(&key.value))));
        } else if let Some(text) = table.text_of(&key.value, value, report) {
            lets.push((key, text));
        }
    }
    lets
}

fn step(walk: &Walk<'_>, report: &mut Report) -> RawStep {
    RawStep {
        severity: walk.word("severity", &SEVERITIES, report).map(|s| s.value),
        impact: walk.int("impact", WEIGHT, report).map(|n| n.value as u8),
        urgency: walk.int("urgency", WEIGHT, report).map(|n| n.value as u8),
        raise: walk.text("raise", report),
        clear: walk.text("clear", report),
        for_: walk.duration("for", WAIT, report).map(|n| n.value),
        keep: walk.duration("keep", WAIT, report).map(|n| n.value),
    }
}

fn steps(walk: &Walk<'_>, called: &str, own: &RawStep, report: &mut Report) -> Vec<RawStep> {
    if !walk.has("step") {
        return Vec::new();
    }
    let tables = walk.tables("step", &format!("a step of {called}"), report);
    let is_list = walk.get("step").is_some_and(|v| matches!(v.get_ref(), toml::de::DeValue::Array(_)));
    if is_list {
        if tables.is_empty() {
            let finding = Finding::error(walk.key_at("step"), format!("{called} has no steps in `step`"));
            report.add(finding.help("write step = [{ raise = \"…\" }], or `raise` without `step`").absence());
        } else if tables.len() > MOST_STEPS {
            let message = format!("{called} has {} steps; at most {MOST_STEPS}", tables.len());
            report.add(Finding::error(walk.key_at("step"), message));
        }
        if let Some(raise) = &own.raise {
            report.add(
                Finding::error(walk.key_at("raise"), format!("{called} has both `raise` and `step`"))
                    .also(walk.key_at("step"), "the steps")
                    .help(format!(
                        "move the condition into a step: step = [{{ raise = \"{}\" }}, …]",
                        shorten(&raise.value)
                    )),
            );
        }
    }
    let mut steps = Vec::new();
    for table in &tables {
        table.check(&STEP, &[], report);
        if !table.has("raise") {
            table.missing(
                "raise",
                "every step says when it begins: { severity = \"…\", raise = \"…\" }",
                report,
            );
        }
        steps.push(step(table, report));
    }
    steps
}

fn meta(walk: &Walk<'_>, report: &mut Report) -> RawMeta {
    let category = |text: &str| value::category(text).map(|()| text.to_owned());
    RawMeta {
        outage: walk.flag("outage", report),
        nature: walk.word("nature", &NATURES, report).map(|n| n.value),
        category: walk.text_that("category", category, report).map(|c| c.value),
        service: walk.text_that("service", tables::name, report).map(|s| s.value),
        reopen: walk.duration("reopen", REOPENABLE, report).map(|n| n.value),
        stale: walk.duration("stale", STALE, report).map(|n| n.value),
        min_coverage: walk.ratio("min_coverage", report).map(|n| n.value),
        runbook: walk.text("runbook", report).map(|t| t.value),
        labels: tables::labels(walk, report),
        on_missing: walk.word("on_missing", &ON_MISSING, report).map(|w| w.value),
        nodata_after: walk.duration("nodata_after", WAIT, report).map(|n| n.value),
        every: walk.duration("every", EVERY, report).map(|n| n.value),
    }
}

fn patch(walk: &Walk<'_>, title: Option<&Text>, report: &mut Report) -> Patch {
    walk.check(&SET, &[], report);
    let step = step_without_conditions(walk, report);
    Patch {
        enabled: walk.flag("enabled", report),
        severity: step.severity,
        impact: step.impact,
        urgency: step.urgency,
        for_: step.for_,
        keep: step.keep,
        reopen: walk.duration("reopen", REOPENABLE, report).map(|n| n.value),
        title: title.map(|t| t.value.clone()),
        runbook: walk.text("runbook", report).map(|t| t.value),
        labels: tables::labels(walk, report),
    }
}

/// `raise` and `clear` in `set` have been refused by their names; their types do not matter any more.
fn step_without_conditions(walk: &Walk<'_>, report: &mut Report) -> RawStep {
    RawStep { raise: None, clear: None, ..step(walk, report) }
}
