//! Which keys stand in the tables of rules, which do not yet, and what people write instead of them.

use super::{EVERY, NATURES, ON_MISSING, REOPENABLE, SEVERITIES, STALE, WAIT, WEIGHT};
use crate::config::raw::action::ACTION;
use crate::config::raw::names;
use crate::config::raw::relations::RELATION;
use crate::config::raw::tables;
use crate::config::value;
use crate::config::walk::{Key, Keys, Kind, LATER};
use crate::engine::plan::Cause;
use crate::engine::signal::CLASSES;

const ID: Key = Key::new("id", Kind::Form(value::ID), "names it in incidents and overrides").must();
const MATCH: Key =
    Key::new("match", Kind::GlobsByClassLabel, "globs per label; every label named must match").or("all");
const TITLE: Key = Key::new("title", Kind::Text, "of the incident, with {label}, {signal} and {let}");
const LET: Key = Key::new("let", Kind::Lets, "named expressions for conditions and title");
const RAISE: Key = Key::new("raise", Kind::Condition, "when it is a breach, such as \"fs.used > 90%\"");
const CLEAR: Key =
    Key::new("clear", Kind::Condition, "when it is over").or("not `raise`, with a margin of 5 %");
const FOR: Key = Key::new("for", Kind::Duration(WAIT), "how long `raise` must hold").or("1m");
const KEEP: Key = Key::new("keep", Kind::Duration(WAIT), "how long `clear` must hold").or("5m");
const STEPS: Key = Key::new("step", Kind::Tables(&STEP), "one incident that changes its severity");
const SEVERITY: Key = Key::new("severity", Kind::Word(|| names(&SEVERITIES)), "how bad it is").or("warning");
const IMPACT: Key = Key::new("impact", Kind::Int(WEIGHT), "1 (high) to 3; priority is impact + urgency - 1")
    .or("tier of the service, of the host, 3");
const URGENCY: Key = Key::new("urgency", Kind::Int(WEIGHT), "1 (high) to 3").or("2 for critical, else 3");
const OUTAGE: Key = Key::new("outage", Kind::Flag, "the service is down while this is raised").or("false");
const NATURE: Key = Key::new("nature", Kind::Word(|| names(&NATURES)), "what kind of trouble").or("fault");
const CATEGORY: Key = Key::new("category", Kind::Form(value::CATEGORY), "area/topic").or("by class");
const SERVICE: Key =
    Key::new("service", Kind::Form(tables::NAME), "service of its incidents").or("by [[service]]");
const REOPEN: Key =
    Key::new("reopen", Kind::Duration(REOPENABLE), "a raise so soon after the resolve reopens the incident")
        .or("fault 1h, capacity 24h, else 4h");
const STALE_AFTER: Key = Key::new("stale", Kind::Duration(STALE), "a value older than this is unknown")
    .or("3 x the interval, at least 30s");
const MIN_COVERAGE: Key =
    Key::new("min_coverage", Kind::Ratio, "share of expected samples that a window needs").or("50%");
const RUNBOOK: Key = Key::new("runbook", Kind::Text, "link or path for whoever gets the ticket");
const LABELS: Key = Key::new("labels", Kind::Labels, "on its records");
const ENABLED: Key = Key::new("enabled", Kind::Flag, "false switches it off").or("true");
const ON_MISSING_DATA: Key =
    Key::new("on_missing", Kind::Word(|| names(&ON_MISSING)), "what missing data means").or("hold");
const NODATA_AFTER: Key =
    Key::new("nodata_after", Kind::Duration(WAIT), "so long without data is an incident of its own");
const EVERY_KEY: Key = Key::new("every", Kind::Duration(EVERY), "judged at most that often").or("0s");

/// What people write in the tables of rules instead of their keys.
const RENAMED: &[(&str, &str)] = &[
    ("name", "id"),
    ("alert", "id"),
    ("class", "on"),
    ("condition", "raise"),
    ("expr", "raise"),
    ("when", "raise"),
    ("if", "raise"),
    ("threshold", "the limit within `raise`: raise = \"fs.used > 90%\""),
    ("warn", "a step: step = [{ severity = \"warning\", raise = \"…\" }]"),
    ("crit", "a step: step = [{ severity = \"critical\", raise = \"…\" }]"),
    ("steps", "step"),
    ("duration", "for"),
    ("hold", "keep"),
    ("lets", "let"),
    ("level", "severity"),
    ("priority", "impact and urgency, which give it"),
    ("summary", "title"),
    ("tags", "labels"),
    ("annotations", "title, description and runbook"),
    ("disabled", "enabled = false"),
    ("filter", "match"),
    ("template", "extends"),
    ("inherits", "extends"),
    ("no_data", "on_missing or nodata_after"),
    ("nodata", "on_missing or nodata_after"),
    ("missing", "on_missing"),
    ("interval", "every"),
    ("cause", "cause_hint"),
    ("actions", "action"),
    ("run", "action = { run = [\"…\"] }"),
    ("depends_on", "depends"),
    ("parent", "depends"),
    ("parents", "depends"),
    ("inhibits", "suppresses"),
    ("suppress", "suppresses"),
    ("test", "[[test]] beside the rule, with rule = \"…\""),
    ("window", "[[window]] beside the rule, with match = { rule = [\"…\"] }"),
];

/// `[[rule]]`.
pub const RULE: Keys = Keys {
    known: &[
        ID,
        Key::new("on", Kind::Word(classes), "class of what is watched: one state per instance"),
        MATCH,
        TITLE,
        Key::new("description", Kind::Text, "what it means, and what to do"),
        LET,
        RAISE,
        CLEAR,
        FOR,
        KEEP,
        STEPS,
        SEVERITY,
        IMPACT,
        URGENCY,
        OUTAGE,
        NATURE,
        CATEGORY,
        SERVICE,
        REOPEN,
        STALE_AFTER,
        MIN_COVERAGE,
        RUNBOOK,
        LABELS,
        ENABLED,
        Key::new("extends", Kind::List, "a template, or several: later ones win"),
        ON_MISSING_DATA,
        NODATA_AFTER,
        EVERY_KEY,
        Key::new("cause_hint", Kind::Word(|| names(&Cause::NAMES)), "what is most likely behind it"),
        Key::new("action", Kind::Table(&ACTION), "the repair; checked and kept, not run yet"),
        Key::new("depends", Kind::Relations(&RELATION), "rules that explain this one"),
        Key::new("suppresses", Kind::Relations(&RELATION), "rules that this one explains"),
    ],
    later: &[],
    instead: LATER,
    renamed: RENAMED,
};

/// `[template.NAME]`: a rule without its id, which is the first of its keys.
pub const TEMPLATE: Keys = Keys { known: RULE.known.split_at(1).1, ..RULE };
/// What makes a table a rule of its own.
pub const NOT_IN_TEMPLATE: &str = "id";

/// A table of `step`.
pub const STEP: Keys = Keys {
    known: &[
        SEVERITY,
        IMPACT,
        URGENCY,
        Key::new("raise", Kind::Condition, "when this step begins").must(),
        CLEAR,
        FOR,
        KEEP,
    ],
    later: &[],
    instead: LATER,
    renamed: RENAMED,
};

/// `[defaults]`.
pub const DEFAULTS: Keys = Keys {
    known: &[
        SEVERITY,
        IMPACT,
        URGENCY,
        FOR,
        KEEP,
        OUTAGE,
        NATURE,
        CATEGORY,
        SERVICE,
        REOPEN,
        STALE_AFTER,
        MIN_COVERAGE,
        RUNBOOK,
        LABELS,
        ON_MISSING_DATA,
        NODATA_AFTER,
        EVERY_KEY,
    ],
    later: RULE.later,
    instead: LATER,
    renamed: RENAMED,
};

/// `[[override]]`.
pub const OVERRIDE: Keys = Keys {
    known: &[
        Key::new("rule", Kind::Globs, "globs on ids of rules").must(),
        Key::new("match", Kind::GlobsByClassLabel, "on which instances").or("all"),
        Key::new("set", Kind::Table(&SET), "what it changes, in the rule and in every step").must(),
    ],
    later: &[],
    instead: LATER,
    renamed: &[
        ("id", "rule"),
        ("rules", "rule"),
        ("enabled", "set = { enabled = … }"),
        ("severity", "set = { severity = … }"),
        ("impact", "set = { impact = … }"),
        ("urgency", "set = { urgency = … }"),
        ("for", "set = { for = … }"),
        ("keep", "set = { keep = … }"),
        ("reopen", "set = { reopen = … }"),
        ("title", "set = { title = … }"),
        ("runbook", "set = { runbook = … }"),
        ("labels", "set = { labels = … }"),
    ],
};

/// `set` of `[[override]]`.
pub const SET: Keys = Keys {
    known: &[ENABLED, SEVERITY, IMPACT, URGENCY, FOR, KEEP, REOPEN, TITLE, RUNBOOK, LABELS],
    later: &[
        "raise",
        "clear",
        "threshold",
        "description",
        "category",
        "nature",
        "service",
        "outage",
        "stale",
        "min_coverage",
        "let",
        "match",
        "step",
        "extends",
        "on_missing",
        "nodata_after",
        "every",
        "cause_hint",
        "action",
    ],
    instead: "write the whole rule again, under the same id, in a file of rules.d",
    renamed: RENAMED,
};

fn classes() -> Vec<&'static str> {
    CLASSES.iter().map(|class| class.name).collect()
}
