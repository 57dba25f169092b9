//! Which keys stand in the tables of rules, which do not yet, and what people write instead of them.

use crate::config::walk::{Keys, LATER};

/// `[[rule]]`.
pub const RULE: Keys = Keys {
    known: &[
        "id",
        "on",
        "match",
        "title",
        "description",
        "let",
        "raise",
        "clear",
        "for",
        "keep",
        "step",
        "severity",
        "impact",
        "urgency",
        "outage",
        "nature",
        "category",
        "service",
        "reopen",
        "stale",
        "min_coverage",
        "runbook",
        "labels",
        "enabled",
        "extends",
        "on_missing",
        "nodata_after",
        "every",
        "cause_hint",
        "action",
        "depends",
        "suppresses",
    ],
    later: &[],
    instead: LATER,
    renamed: &[
        ("name", "id"),
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
    ],
};

/// `[template.NAME]`: a rule without its id, which is the first of its keys.
pub const TEMPLATE: Keys = Keys { known: RULE.known.split_at(1).1, ..RULE };
/// What makes a table a rule of its own.
pub const NOT_IN_TEMPLATE: &str = "id";

/// A table of `step`.
pub const STEP: Keys = Keys {
    known: &["severity", "impact", "urgency", "raise", "clear", "for", "keep"],
    later: &[],
    instead: LATER,
    renamed: RULE.renamed,
};

/// `[defaults]`.
pub const DEFAULTS: Keys = Keys {
    known: &[
        "severity",
        "impact",
        "urgency",
        "for",
        "keep",
        "outage",
        "nature",
        "category",
        "service",
        "reopen",
        "stale",
        "min_coverage",
        "runbook",
        "labels",
        "on_missing",
        "nodata_after",
        "every",
    ],
    later: RULE.later,
    instead: LATER,
    renamed: RULE.renamed,
};

/// `[[override]]`.
pub const OVERRIDE: Keys = Keys {
    known: &["rule", "match", "set"],
    later: &[],
    instead: LATER,
    renamed: &[("id", "rule"), ("rules", "rule")],
};

/// `set` of `[[override]]`.
pub const SET: Keys = Keys {
    known: &[
        "enabled", "severity", "impact", "urgency", "for", "keep", "reopen", "title", "runbook", "labels",
    ],
    later: &[
        "raise",
        "clear",
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
    renamed: RULE.renamed,
};
