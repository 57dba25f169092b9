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

/// The address is that of the API that GLPI 11 calls high-level: `https://host/api.php/v2`, `…/v2.1`, or
/// `https://host/api.php` for the newest. The older one may be called `/api.php/v1` there.
pub fn is_v2(options: &Options) -> bool {
    let tail = options.text("url").split_once("/api.php").map(|(_, tail)| tail.trim_end_matches('/'));
    tail.is_some_and(|tail| tail.is_empty() || tail.starts_with("/v2"))
}

/// Where people see their tickets: the address before that of the API.
pub fn pages(options: &Options) -> &str {
    let url = options.text("url");
    url.split_once("/api.php").map_or(url, |(pages, _)| pages)
}

/// The login that belongs to the address.
fn check_login(options: &Options, logins: &[Login]) -> Result<(), String> {
    let login = Login::choose(logins, options)?;
    let set = |key: &&&str| options.0.contains_key(**key);
    if !is_v2(options) {
        return match ["oauth_client", "oauth_url", "oauth_scope"].iter().find(set) {
            Some(key) => Err(format!(
                "{key} belongs to the API v2, and url '{}' is the older one: write https://host/api.php/v2, or \
                 take token",
                options.text("url")
            )),
            None => Ok(()),
        };
    }
    if let Some(key) = ["token", "app_token"].iter().find(set) {
        return Err(format!(
            "{key} belongs to the older API (https://host/apirest.php): the API v2 wants oauth_client, \
             oauth_secret, user and password"
        ));
    }
    match login {
        Login::OAuthPassword { .. } => Ok(()),
        _ => Err("the API v2 wants oauth_client and oauth_secret (Setup > OAuth clients) beside user and \
                  password"
            .to_owned()),
    }
}

/// A field of a new ticket as the older API names it.
fn is_legacy_field(entry: &str) -> bool {
    let field = entry.split_once('.').map_or(entry, |(_, field)| field);
    field.starts_with('_') || field.contains("s_id")
}

/// What all options must satisfy together.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn check(options: &Options, logins: &[Login]) -> Result<(), String> {
    let url = options.text("url");
    let v2 = is_v2(options);
    if !v2 && !url.contains("apirest.php") && !url.contains("api.php/v1") {
        return Err(format!(
            "url '{url}' is not the address of the REST API: https://host/apirest.php, as Setup > General > API \
             shows it, or https://host/api.php/v2 for the API v2 of GLPI 11"
        ));
    }
    check_login(options, logins)?;
    for (entry, value) in entries(options).into_iter().flatten() {
        let field = entry.starts_with("incident.") || entry.starts_with("problem.");
        if !field && !DEFAULTS.iter().any(|(name, _)| name == entry) {
            return Err(format!("map has no entry '{entry}'; see docs/forwarding.md"));
        }
        if v2 && (field && is_legacy_field(entry) || entry == "ci" || entry == "solution.type") {
            return Err(format!(
                "map {entry} is of the older API: the API v2 cannot set it; fields are called as its answers \
                 call them (incident.category, incident.location)"
            ));
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
