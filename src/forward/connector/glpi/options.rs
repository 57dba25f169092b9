//! Names and values used at one GLPI: the option `map` with its defaults.

use std::collections::BTreeMap;

use serde_json::{Map as JsonMap, Value as Json, json};

use super::super::names::Names;
use super::super::{Login, Target};
use crate::engine::effect::RecordKind;
use crate::engine::option::{OptionValue, Options};

/// Defaults of the option `map`; beside them `incident.<field>` and `problem.<field>` set any field of a new
/// ticket.
pub const DEFAULTS: &[(&str, &str)] = &[
    ("entity", ""),
    ("ci", "Computer"),
    ("level.1", "5"),
    ("level.2", "3"),
    ("level.3", "2"),
    ("followup.private", "0"),
    ("solution.type", ""),
];

/// The map of one destination.
#[derive(Clone, Copy)]
pub struct Map<'a> {
    options: &'a Options,
}

impl<'a> Map<'a> {
    /// The map of that destination.
    pub fn of(target: &'a Target) -> Self {
        Self { options: &target.options }
    }

    /// The name used at this GLPI; empty when switched off or unknown.
    pub fn get(&self, entry: &str) -> &'a str {
        Names::of(self.options, DEFAULTS).get(entry)
    }

    /// GLPI's number for an impact or urgency of 1..3: the larger, the more pressing.
    pub fn level(&self, level: u8) -> i64 {
        let entry = match level {
            0 | 1 => "level.1",
            2 => "level.2",
            _ => "level.3",
        };
        self.get(entry).parse().unwrap_or(3)
    }

    /// Fields of a new ticket that this installation wants beside ours, numbers as numbers.
    pub fn fields(&self, kind: RecordKind) -> JsonMap<String, Json> {
        let prefix = if kind == RecordKind::Problem { "problem." } else { "incident." };
        let entries = entries(self.options).into_iter().flatten();
        let fields = entries.filter_map(|(entry, value)| Some((entry.strip_prefix(prefix)?, value)));
        fields.map(|(field, value)| (field.to_owned(), typed(value))).collect()
    }
}

/// A number where it is one.
pub fn typed(value: &str) -> Json {
    value.parse::<i64>().map_or_else(|_| json!(value), |n| json!(n))
}

fn entries(options: &Options) -> Option<&BTreeMap<String, String>> {
    match options.0.get("map") {
        Some(OptionValue::Map(map)) => Some(map),
        _ => None,
    }
}

/// What all options must satisfy together.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn check(options: &Options, logins: &[Login]) -> Result<(), String> {
    Login::choose(logins, options)?;
    let url = options.text("url");
    if !url.contains("apirest.php") && !url.contains("api.php/v1") {
        return Err(format!(
            "url '{url}' is not the address of the REST API: https://host/apirest.php, as Setup > General > API \
             shows it"
        ));
    }
    for (entry, value) in entries(options).into_iter().flatten() {
        let field = entry.starts_with("incident.") || entry.starts_with("problem.");
        if !field && !DEFAULTS.iter().any(|(name, _)| name == entry) {
            return Err(format!("map has no entry '{entry}'; see docs/forwarding.md"));
        }
        if entry.starts_with("level.") && !matches!(value.as_str(), "1" | "2" | "3" | "4" | "5") {
            return Err(format!("map {entry} is '{value}', not 1 (very low) to 5 (very high)"));
        }
        let number = entry == "entity" || entry == "solution.type";
        if number && !value.is_empty() && value.parse::<u32>().is_err() {
            return Err(format!("map {entry} is '{value}', not the number that GLPI shows as ID"));
        }
    }
    Ok(())
}
