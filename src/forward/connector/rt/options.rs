//! Names used at one RT: the option `map` with its defaults.

use crate::engine::effect::RecordKind;
use crate::engine::record::Priority;

use super::super::Target;

/// Defaults of the option `map`. An entry written as "" switches a field off.
pub const DEFAULTS: &[(&str, &str)] = &[
    ("queue.incident", "Incidents"),
    ("queue.problem", "Problems"),
    ("field.key", "CorrelationKey"),
    ("field.idempotency", "IdempotencyKey"),
    ("field.ci", "CI"),
    ("field.impact", "Impact"),
    ("field.urgency", "Urgency"),
    ("field.count", "OccurrenceCount"),
    ("field.first", "FirstSeen"),
    ("field.last", "LastSeen"),
    ("field.source", "EventSource"),
    ("field.known_error", "KnownError"),
    ("field.alert", ""),
    ("status.new", "new"),
    ("status.open", "open"),
    ("status.hold", "stalled"),
    ("status.resolved", "resolved"),
    ("status.rejected", "rejected"),
    ("status.deleted", "deleted"),
    ("priority.p1", "100"),
    ("priority.p2", "80"),
    ("priority.p3", "50"),
    ("priority.p4", "20"),
    ("priority.p5", "0"),
    ("choice.1", "1-High"),
    ("choice.2", "2-Medium"),
    ("choice.3", "3-Low"),
];

/// The map of one destination.
pub struct Map<'a> {
    target: &'a Target,
}

impl<'a> Map<'a> {
    /// The map of that destination.
    pub fn of(target: &'a Target) -> Self {
        Self { target }
    }

    /// Whose map it is.
    pub fn target(&self) -> &'a Target {
        self.target
    }

    /// The name used at this RT; empty when switched off or unknown.
    pub fn get(&self, entry: &str) -> &'a str {
        let default = DEFAULTS.iter().find(|(name, _)| *name == entry).map_or("", |(_, value)| value);
        self.target.options.mapped("map", entry).unwrap_or(default)
    }

    /// The queue for that kind of record.
    pub fn queue(&self, kind: RecordKind) -> &'a str {
        self.get(if kind == RecordKind::Problem { "queue.problem" } else { "queue.incident" })
    }

    /// The custom field that holds the record key; it cannot be switched off.
    pub fn key_field(&self) -> &'a str {
        match self.get("field.key") {
            "" => "CorrelationKey",
            name => name,
        }
    }

    /// Custom fields that tickets of that kind should have, the key's apart.
    pub fn fields(&self, kind: RecordKind) -> impl Iterator<Item = &'a str> {
        let problem = kind == RecordKind::Problem;
        let wanted = move |entry: &&'static str| problem || *entry != "field.known_error";
        let names = DEFAULTS.iter().map(|(entry, _)| *entry).filter(|e| e.starts_with("field."));
        let names: Vec<_> = names.filter(wanted).filter(|e| *e != "field.key").map(|e| self.get(e)).collect();
        names.into_iter().filter(|name| !name.is_empty())
    }

    /// RT's number for a priority: the larger, the more pressing.
    pub fn priority(&self, priority: Priority) -> i64 {
        let entry = format!("priority.p{}", priority.number());
        self.get(&entry).parse().unwrap_or(0)
    }

    /// RT's choice for an impact or urgency of 1..3.
    pub fn choice(&self, level: u8) -> &'a str {
        match level {
            0 | 1 => self.get("choice.1"),
            2 => self.get("choice.2"),
            _ => self.get("choice.3"),
        }
    }

    /// True for a status in which nobody works on the ticket any more.
    pub fn is_inactive(&self, status: &str) -> bool {
        ["status.resolved", "status.rejected", "status.deleted"].iter().any(|s| self.get(s) == status)
            || matches!(status, "resolved" | "rejected" | "deleted")
    }
}
