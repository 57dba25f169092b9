//! Names and values used at one iTop: the option `map` with its defaults.

use std::collections::BTreeMap;

use serde_json::{Map as JsonMap, Value as Json, json};

use super::super::names::Names;
use super::super::{Login, Target};
use crate::engine::effect::RecordKind;
use crate::engine::option::{OptionValue, Options};

/// Defaults of the option `map`; beside them `incident.<attribute>` and `problem.<attribute>` set any
/// attribute of a new ticket.
pub const DEFAULTS: &[(&str, &str)] = &[
    ("class.incident", "Incident"),
    ("class.problem", "Problem"),
    ("org", "SELECT Organization AS o JOIN Person AS p ON p.org_id = o.id WHERE p.id = :current_contact_id"),
    ("caller", "SELECT Person WHERE id = :current_contact_id"),
    (
        "team",
        "SELECT Team AS t JOIN lnkPersonToTeam AS l ON l.team_id = t.id WHERE l.person_id = :current_contact_id",
    ),
    ("agent", "SELECT Person WHERE id = :current_contact_id"),
    ("service", ""),
    ("ci", "FunctionalCI"),
    ("field.key", ""),
    ("field.log", "private_log"),
    ("field.parent", "parent_problem_id"),
    ("origin", "monitoring"),
    ("resolution_code", "other"),
    ("impact.1", "1"),
    ("impact.2", "2"),
    ("impact.3", "3"),
    ("urgency.1", "1"),
    ("urgency.2", "2"),
    ("urgency.3", "3"),
];

/// The map of one destination.
#[derive(Clone, Copy)]
pub struct Map<'a> {
    options: &'a Options,
    /// The class of incidents that was found to be installed, where the configuration names none.
    found: Option<&'static str>,
}

impl<'a> Map<'a> {
    /// The map of that destination.
    pub fn of(target: &'a Target) -> Self {
        Self { options: &target.options, found: None }
    }

    /// The same; incidents are objects of this class.
    pub fn with(self, incident: &'static str) -> Self {
        Self { found: Some(incident), ..self }
    }

    /// The name used at this iTop; empty when switched off or unknown.
    pub fn get(&self, entry: &str) -> &'a str {
        Names::of(self.options, DEFAULTS).get(entry)
    }

    /// The configuration names it, be it as nothing.
    pub fn is_set(&self, entry: &str) -> bool {
        self.options.mapped("map", entry).is_some()
    }

    /// The class of tickets for that kind of record.
    pub fn class(&self, kind: RecordKind) -> &'a str {
        match kind {
            RecordKind::Problem => self.get("class.problem"),
            _ => self.found.unwrap_or_else(|| self.get("class.incident")),
        }
    }

    /// iTop's code of an impact or urgency of 1..3, which is a text.
    pub fn level(&self, scale: &str, level: u8) -> &'a str {
        self.get(&format!("{scale}.{}", level.clamp(1, 3)))
    }

    /// Attributes of a new ticket that this installation wants beside ours.
    pub fn fields(&self, kind: RecordKind) -> JsonMap<String, Json> {
        let prefix = if kind == RecordKind::Problem { "problem." } else { "incident." };
        let entries = entries(self.options).into_iter().flatten();
        let fields = entries.filter_map(|(entry, value)| Some((entry.strip_prefix(prefix)?, value)));
        fields.map(|(field, value)| (field.to_owned(), json!(value))).collect()
    }
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
    if url.contains("/webservices") || url.ends_with(".php") {
        return Err(format!("url '{url}' is not the address of iTop itself: https://host/itop"));
    }
    for (entry, value) in entries(options).into_iter().flatten() {
        let field = entry.starts_with("incident.") || entry.starts_with("problem.");
        if !field && !DEFAULTS.iter().any(|(name, _)| name == entry) {
            return Err(format!("map has no entry '{entry}'; see docs/forwarding.md"));
        }
        let name = entry.starts_with("class.") || entry.starts_with("field.") || entry == "ci";
        if name && !value.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(format!("map {entry} is '{value}', not a name of iTop's data model"));
        }
        if value.is_empty() && (entry.starts_with("class.") || entry == "org" || entry == "field.log") {
            return Err(format!("map {entry} is empty; leave it out for its default"));
        }
    }
    Ok(())
}
