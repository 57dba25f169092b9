//! Tables whose keys depend on a kind: the options that the doors state.

use serde_json::{Map, Value, json};

use super::{by_name, kind, table};
use crate::config::door::SECRET;
use crate::config::walk::{Keys, Kind};
use crate::config::{Doors, value};
use crate::engine::moment::human;
use crate::engine::option::{DoorSpec, OptionKind, OptionSpec};

/// `interval` and one key per collector: switched on or off, or a table of its options.
pub fn collectors(keys: &Keys, doors: &Doors) -> Value {
    let mut all = table(keys, doors);
    for door in &doors.collectors {
        let mut own = table(keys, doors);
        for option in door.options {
            own["properties"][option.key] = described(option, doors);
        }
        require(&mut own, door, &[]);
        let about = format!("{} (false switches it off)", door.about);
        all["properties"][door.kind] = json!({ "description": about, "anyOf": [{ "type": "boolean" }, own] });
    }
    all
}

/// Checks, each with the options of its kind.
pub fn checks(keys: &Keys, doors: &Doors) -> Value {
    by_kind(keys, &doors.checks, doors, |_, _| true)
}

/// Destinations, each with the options of its kind; some kinds can do less than others.
pub fn destinations(keys: &Keys, doors: &Doors) -> Value {
    by_kind(keys, &doors.connectors, doors, |door, key| match key {
        "digest" => doors.digests.contains(&door.kind),
        "read_back" | "gone" => doors.reads.contains(&door.kind),
        _ => true,
    })
}

/// Every key stands in `properties`, where editors look for what to propose; which of them fit together is
/// said kind by kind.
fn by_kind(
    keys: &Keys,
    kinds: &[&'static DoorSpec],
    doors: &Doors,
    can: impl Fn(&DoorSpec, &str) -> bool,
) -> Value {
    let mut item = table(keys, doors);
    let names: Vec<_> = kinds.iter().map(|door| door.kind).collect();
    item["properties"]["kind"]["enum"] = names.into();
    let mut cases = Vec::new();
    for door in kinds {
        let options: Map<String, Value> =
            door.options.iter().map(|o| (o.key.to_owned(), described(o, doors))).collect();
        for option in door.options {
            let known = &mut item["properties"][option.key];
            if known.is_null() {
                *known = json!({ "description": format!("kind {}: {}", door.kind, option.about) });
            }
        }
        let own = keys.names().filter(|key| can(door, key));
        let allowed: Vec<_> = own.chain(door.options.iter().map(|o| o.key)).collect();
        let mut then = json!({ "properties": options, "propertyNames": { "enum": allowed } });
        require(&mut then, door, &[]);
        let is_kind = json!({ "properties": { "kind": { "const": door.kind } }, "required": ["kind"] });
        cases.push(json!({ "if": is_kind, "then": then }));
    }
    item["allOf"] = cases.into();
    json!({ "type": "array", "items": item })
}

fn require(table: &mut Value, door: &DoorSpec, more: &[&'static str]) {
    let is_must = |o: &&OptionSpec| matches!(o.kind, OptionKind::RequiredText | OptionKind::RequiredSecret);
    let must: Vec<_> =
        door.options.iter().filter(is_must).map(|o| o.key).chain(more.iter().copied()).collect();
    if !must.is_empty() {
        table["required"] = must.into();
    }
}

fn described(spec: &OptionSpec, doors: &Doors) -> Value {
    let mut schema = option(spec.kind, doors);
    schema["description"] = spec.about.into();
    let default = match spec.kind {
        OptionKind::Text(Some(text)) => text.into(),
        OptionKind::Choice(words) => words.first().copied().into(),
        OptionKind::List(words) if !words.is_empty() => words.into(),
        OptionKind::Bool(flag) => flag.into(),
        OptionKind::Int(number, ..) => number.into(),
        OptionKind::Duration(ns) if ns > 0 => human(ns).into(),
        _ => Value::Null,
    };
    if !default.is_null() {
        schema["default"] = default;
    }
    schema
}

fn option(spec: OptionKind, doors: &Doors) -> Value {
    match spec {
        OptionKind::RequiredText | OptionKind::Text(_) => json!({ "type": "string", "minLength": 1 }),
        OptionKind::FileText => json!({ "type": "string", "pattern": "^/" }),
        OptionKind::Choice(words) => json!({ "enum": words }),
        OptionKind::List(_) => kind(&Kind::List, doors),
        OptionKind::Bool(_) => kind(&Kind::Flag, doors),
        OptionKind::Int(_, least, most) => kind(&Kind::Int(least..=most), doors),
        OptionKind::Duration(_) => kind(&Kind::Duration(0..=value::LONGEST), doors),
        OptionKind::Secret | OptionKind::RequiredSecret => kind(&Kind::Secret(&SECRET), doors),
        // Dotted keys nest; three levels are more than any map has.
        OptionKind::Map => {
            let text = json!({ "type": "string" });
            let one = by_name("", text.clone());
            let two = by_name("", json!({ "anyOf": [text, one] }));
            by_name("", json!({ "anyOf": [{ "type": "string" }, two] }))
        }
    }
}
