//! JSON Schemas of the configuration files, for editors: made of the tables that the parser goes by.
//!
//! Draft 07, which Taplo and Even Better TOML read; dates of TOML count as text there. A schema is never
//! stricter than the parser, and says of a value only what can be said without knowing the rest: conditions,
//! names of other rules and ranges of durations are left to `sexton check`.

use serde_json::{Map, Value, json};

use super::raw::{MAIN_ONLY, TOP};
use super::{Doors, value};
use crate::config::walk::{Key, Keys, Kind};
use crate::engine::moment::human;
use crate::engine::signal::{CLASSES, SIGNALS};

mod door;
mod together;

/// A file that has a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum File {
    /// The main file.
    Main,
    /// A file of `rules.d`.
    Rules,
    /// A main file that only serves a desk.
    Desk,
}

impl File {
    /// Its name in `sexton schema`; in docs/schemas it is NAME-1.schema.json.
    pub fn name(self) -> &'static str {
        match self {
            Self::Main => "config",
            Self::Rules => "rules",
            Self::Desk => "desk",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Main => "main file of sexton, /etc/sexton/sexton.toml",
            Self::Rules => "file of /etc/sexton/rules.d of sexton",
            Self::Desk => "main file of a host that only serves sexton's desk",
        }
    }

    fn has(self, table: &str) -> bool {
        match self {
            Self::Main => true,
            Self::Rules => !MAIN_ONLY.contains(&table),
            Self::Desk => ["schema", "host", "desk"].contains(&table),
        }
    }
}

/// The schema of a file, with the options of these doors.
pub fn schema(file: File, doors: &Doors) -> Value {
    let keys = TOP.known.iter().filter(|key| file.has(key.name));
    let mut properties: Map<String, Value> =
        keys.map(|key| (key.name.to_owned(), together::apply(key.name, property(key, doors)))).collect();
    if file == File::Rules {
        without_impact(&mut properties);
    }
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": format!("urn:sexton:schema:{}-1", file.name()),
        "title": file.title(),
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    })
}

/// `impact` in `[defaults]` stands behind the tiers, which only the main file can mean.
fn without_impact(properties: &mut Map<String, Value>) {
    let defaults = properties.get_mut("defaults").and_then(|table| table["properties"].as_object_mut());
    if let Some(keys) = defaults {
        keys.remove("impact");
    }
}

/// What may stand behind a key, with what people should know.
fn property(key: &Key, doors: &Doors) -> Value {
    let mut schema = kind(&key.kind, doors);
    let mut about = key.about.to_owned();
    if let Kind::Duration(range) = &key.kind {
        about.push_str(&format!("; from {} to {}", human(*range.start()), human(*range.end())));
    }
    if !key.default.is_empty() {
        about.push_str(&format!(" (default: {})", key.default));
    }
    schema["description"] = about.into();
    if let Some(default) = default(key) {
        schema["default"] = default;
    }
    schema
}

/// The default as a value, when it is one.
fn default(key: &Key) -> Option<Value> {
    let text = key.default;
    match &key.kind {
        Kind::Int(_) => text.parse::<i64>().ok().map(Value::from),
        Kind::Flag => text.parse::<bool>().ok().map(Value::from),
        Kind::Word(words) => words().contains(&text).then(|| text.into()),
        Kind::Duration(_) => value::duration(text).ok().map(|_| text.into()),
        Kind::Size => value::size(text).ok().map(|_| text.into()),
        Kind::Ratio => value::ratio(text).ok().map(|_| text.into()),
        _ => None,
    }
}

/// A table of these keys and no others.
fn table(keys: &Keys, doors: &Doors) -> Value {
    let properties: Map<String, Value> =
        keys.known.iter().map(|key| (key.name.to_owned(), property(key, doors))).collect();
    let must: Vec<_> = keys.known.iter().filter(|key| key.must).map(|key| key.name).collect();
    let mut schema = json!({ "type": "object", "additionalProperties": false, "properties": properties });
    if !must.is_empty() {
        schema["required"] = must.into();
    }
    schema
}

fn kind(kind: &Kind, doors: &Doors) -> Value {
    match kind {
        Kind::Text | Kind::Condition => json!({ "type": "string" }),
        Kind::Form(form) => json!({ "type": "string", "pattern": form }),
        Kind::Moment => json!({ "type": "string", "pattern": "^\\s*[+-]?[0-9]{4}" }),
        Kind::Duration(_) => json!({ "type": "string", "pattern": value::duration_form() }),
        Kind::Size => json!({ "type": "string", "pattern": value::size_form() }),
        Kind::Ratio => {
            json!({ "type": ["number", "string"], "minimum": 0, "maximum": 1, "pattern": value::ratio_form() })
        }
        Kind::Int(range) => json!({ "type": "integer", "minimum": range.start(), "maximum": range.end() }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Word(words) => json!({ "enum": words() }),
        Kind::Words(words) => one_or_some(&json!({ "enum": words() })),
        Kind::List => json!({ "type": ["string", "array"], "items": { "type": "string" } }),
        Kind::ListOf(form) => texts(form),
        Kind::Argv => {
            json!({ "type": "array", "items": { "type": "string" }, "minItems": 1, "maxItems": 64 })
        }
        Kind::Globs => globs(),
        Kind::Secret(keys) => {
            let mut secret = table(keys, doors);
            (secret["minProperties"], secret["maxProperties"]) = (1.into(), 1.into());
            secret
        }
        Kind::Table(keys) => table(keys, doors),
        Kind::Tables(keys) => json!({ "type": "array", "items": table(keys, doors) }),
        Kind::Named(keys) => by_name(value::ID, table(keys, doors)),
        Kind::Relations(keys) => {
            let one = json!({ "type": "string", "pattern": value::ID });
            let each = json!({ "anyOf": [one, table(keys, doors)] });
            json!({ "anyOf": [each, { "type": "array", "items": each, "maxItems": 32 }] })
        }
        Kind::Labels => by_name(value::IDENT, json!({ "type": "string" })),
        Kind::Lets => by_name(value::IDENT, json!({ "type": "string", "pattern": r"\S" })),
        Kind::GlobsByLabel => json!({ "type": "object", "additionalProperties": globs() }),
        Kind::GlobsByClassLabel => {
            globs_by(CLASSES.iter().flat_map(|c| c.identity.iter().chain(c.other)).copied())
        }
        Kind::GlobsByClass => globs_by(CLASSES.iter().filter(|c| !c.identity.is_empty()).map(|c| c.name)),
        Kind::Series => series(),
        Kind::Collectors(keys) => door::collectors(keys, doors),
        Kind::Checks(keys) => door::checks(keys, doors),
        Kind::Destinations(keys) => door::destinations(keys, doors),
    }
}

/// One, or a list of at least one.
fn one_or_some(one: &Value) -> Value {
    json!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
}

fn texts(form: &str) -> Value {
    let one = json!({ "type": "string", "pattern": form });
    json!({ "type": ["string", "array"], "pattern": form, "items": one, "minItems": 1 })
}

fn globs() -> Value {
    texts(value::GLOB)
}

fn globs_by(names: impl Iterator<Item = &'static str>) -> Value {
    let properties: Map<String, Value> = names.map(|name| (name.to_owned(), globs())).collect();
    json!({ "type": "object", "additionalProperties": false, "properties": properties })
}

fn by_name(form: &str, each: Value) -> Value {
    json!({ "type": "object", "propertyNames": { "pattern": form }, "additionalProperties": each })
}

/// Samples by series: `signal{label=value}`.
fn series() -> Value {
    let signals: Vec<_> = SIGNALS.iter().map(|s| s.name.replace('.', r"\.")).collect();
    let name = format!(r"^\s*({})\s*(\{{.*\}}\s*)?$", signals.join("|"));
    let mut schema = by_name(&name, json!({ "type": "string", "pattern": r"\S" }));
    (schema["minProperties"], schema["maxProperties"]) = (1.into(), 256.into());
    schema
}
