//! Names used at one ServiceNow: the option `map` with its defaults.

use crate::engine::effect::{RecordKind, Stage};
use crate::engine::option::{OptionValue, Options};

use super::super::Target;

/// Defaults of the option `map`: those of a stock instance. An entry written as "" switches off what it
/// names.
pub const DEFAULTS: &[(&str, &str)] = &[
    ("table.incident", "incident"),
    ("table.problem", "problem"),
    ("table.ci", "cmdb_ci"),
    ("field.key", "correlation_id"),
    ("field.alert", "correlation_display"),
    ("field.ci", "cmdb_ci"),
    ("field.problem", "problem_id"),
    ("state.new", "1"),
    ("state.acknowledged", "2"),
    ("state.in_progress", "2"),
    ("state.on_hold", "3"),
    ("state.resolved", "6"),
    ("state.closed", "7"),
    ("state.cancelled", "8"),
    ("problem_state.new", "101"),
    ("problem_state.assess", "102"),
    ("problem_state.analysis", "103"),
    ("problem_state.fix", "104"),
    ("problem_state.resolved", "106"),
    ("problem_state.closed", "107"),
    ("hold_reason", "5"),
    ("close_code", ""),
    ("resolution_code", "canceled"),
    ("impact.1", "1"),
    ("impact.2", "2"),
    ("impact.3", "3"),
    ("urgency.1", "1"),
    ("urgency.2", "2"),
    ("urgency.3", "3"),
    ("group.incident", ""),
    ("group.problem", ""),
    ("caller", ""),
    ("contact_type", ""),
    ("length.subject", "160"),
    ("length.text", "4000"),
    ("length.note", "4000"),
];

/// What free entries begin with: `category.<area>`, and fields with fixed values.
const FREE: &[&str] =
    &["category.", "set.incident.", "set.problem.", "resolve.incident.", "resolve.problem."];

/// The shortest limit of a text that is obeyed: below it nothing could be read.
const SHORTEST: usize = 40;

/// The map of one destination.
#[derive(Clone, Copy)]
pub struct Map<'a> {
    target: &'a Target,
    own: Defaults,
    /// Tables are those that imports end in, not those they are staged in.
    reading: bool,
}

/// Entries of a map with their defaults.
pub type Defaults = &'static [(&'static str, &'static str)];

/// Every entry of the map must be known: a misspelt one would be left out without a word.
/// `own`: entries and defaults of the connector that go before the common ones.
///
/// # Errors
/// A sentence that names the entry.
pub fn check(options: &Options, own: Defaults) -> Result<(), String> {
    let Some(OptionValue::Map(map)) = options.0.get("map") else { return Ok(()) };
    for (entry, value) in map {
        let known = own.iter().chain(DEFAULTS).any(|(name, _)| name == entry);
        let free = FREE.iter().any(|f| entry.strip_prefix(f).is_some_and(is_name));
        if !known && !free {
            return Err(format!("map has no entry '{entry}': see docs/forwarding.md, section ServiceNow"));
        }
        let names = ["table.", "field.", "target."].iter().any(|p| entry.starts_with(p));
        if names && !value.is_empty() && !is_name(value) {
            return Err(format!("map entry {entry} must be the name of a table or field, not '{value}'"));
        }
        if ["field.key", "table.incident"].contains(&&**entry) && value.is_empty() {
            return Err(format!("map entry {entry} cannot be switched off"));
        }
        if entry.starts_with("length.") && !value.parse::<usize>().is_ok_and(|n| n >= SHORTEST) {
            return Err(format!("map entry {entry} must be a number of characters, at least {SHORTEST}"));
        }
    }
    Ok(())
}

/// Column names: letters, digits and underscores; anything else could change a query.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

impl<'a> Map<'a> {
    /// The map of that destination.
    pub fn of(target: &'a Target) -> Self {
        Self::with(target, &[])
    }

    /// The same with defaults of the connector's own.
    pub fn with(target: &'a Target, own: Defaults) -> Self {
        Self { target, own, reading: false }
    }

    /// The same, with the tables that imports end in.
    pub fn reading(self) -> Self {
        Self { reading: true, ..self }
    }

    /// The name or value used at this instance; empty when switched off or unknown.
    pub fn get(&self, entry: &str) -> &'a str {
        let mut all = self.own.iter().chain(DEFAULTS);
        let default = all.find(|(name, _)| *name == entry).map_or("", |(_, value)| value);
        self.target.options.mapped("map", entry).unwrap_or(default)
    }

    /// The table for that kind of record; empty when such records are not taken.
    pub fn table(&self, kind: RecordKind) -> &'a str {
        self.get(match (kind == RecordKind::Problem, self.reading) {
            (true, false) => "table.problem",
            (false, false) => "table.incident",
            (true, true) => "target.problem",
            (false, true) => "target.incident",
        })
    }

    /// Fields with fixed values, by what their entries begin with (`set.incident.`).
    pub fn fixed(&self, prefix: &str) -> Vec<(String, String)> {
        let Some(OptionValue::Map(map)) = self.target.options.0.get("map") else { return Vec::new() };
        let own = map.iter().filter_map(|(k, v)| Some((k.strip_prefix(prefix)?.to_owned(), v.clone())));
        own.collect()
    }

    /// The category for an `area/topic`: that of the area, or `category.default`.
    pub fn category(&self, category: &str) -> &'a str {
        let area = category.split('/').next().unwrap_or_default();
        match self.get(&format!("category.{area}")) {
            "" => self.get("category.default"),
            own => own,
        }
    }

    /// A limit in characters.
    pub fn length(&self, of: &str) -> usize {
        self.get(&format!("length.{of}")).parse().unwrap_or(SHORTEST)
    }

    /// The value of an impact or urgency of 1..3.
    pub fn weight(&self, of: &str, level: u8) -> &'a str {
        self.get(&format!("{of}.{}", level.clamp(1, 3)))
    }

    /// The value of an incident's state.
    pub fn state(&self, stage: Stage) -> &'a str {
        self.get(match stage {
            Stage::New => "state.new",
            Stage::Acknowledged => "state.acknowledged",
            Stage::InProgress => "state.in_progress",
            Stage::OnHold => "state.on_hold",
            // Closing is the desk's own: it closes what has been resolved for some days.
            Stage::Resolved | Stage::Closed => "state.resolved",
            Stage::Cancelled => "state.cancelled",
        })
    }

    /// What a value of `state` means. `taken`: somebody is named as assignee.
    pub fn stage(&self, kind: RecordKind, value: &str, taken: bool) -> Option<Stage> {
        let problem: &[(&str, Stage)] = &[
            ("problem_state.new", Stage::New),
            ("problem_state.assess", Stage::Acknowledged),
            ("problem_state.analysis", Stage::InProgress),
            ("problem_state.fix", Stage::InProgress),
            ("problem_state.resolved", Stage::Resolved),
            ("problem_state.closed", Stage::Closed),
        ];
        let incident: &[(&str, Stage)] = &[
            ("state.new", Stage::New),
            ("state.in_progress", Stage::InProgress),
            ("state.acknowledged", Stage::Acknowledged),
            ("state.on_hold", Stage::OnHold),
            ("state.resolved", Stage::Resolved),
            ("state.closed", Stage::Closed),
            ("state.cancelled", Stage::Cancelled),
        ];
        let table = if kind == RecordKind::Problem { problem } else { incident };
        let known = table.iter().find(|(entry, _)| !value.is_empty() && self.get(entry) == value);
        let stage = match (known, value) {
            (Some((_, stage)), _) => *stage,
            // Before the incident states of today: awaiting problem, user information, evidence.
            (None, "4" | "5") if kind != RecordKind::Problem => Stage::OnHold,
            _ => return None,
        };
        Some(if stage == Stage::New && taken { Stage::Acknowledged } else { stage })
    }
}
