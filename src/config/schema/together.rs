//! What the keys of a table must satisfy together, as far as a schema can say it.

use serde_json::{Value, json};

use crate::config::raw::MOST_STEPS;
use crate::engine::signal::CLASSES;

/// Adds to the schema of a key of the top level what its keys must satisfy together.
pub fn apply(name: &str, mut schema: Value) -> Value {
    match name {
        "rule" => rule(&mut schema["items"]),
        "template" => {
            labels_of_class(&mut schema["additionalProperties"]);
            steps(&mut schema["additionalProperties"]);
        }
        "window" => window(&mut schema["items"]),
        "test" => test(&mut schema["items"]),
        _ => {}
    }
    schema
}

fn rule(item: &mut Value) {
    labels_of_class(item);
    steps(item);
    // A rule that only switches another one off, and one that a template completes, need not be whole.
    let switches_off = json!({
        "required": ["enabled"],
        "properties": { "enabled": { "const": false } },
        "maxProperties": 2,
    });
    item["if"] = json!({ "not": { "anyOf": [{ "required": ["extends"] }, switches_off] } });
    item["then"] =
        json!({ "required": ["on"], "anyOf": [{ "required": ["raise"] }, { "required": ["step"] }] });
}

fn steps(item: &mut Value) {
    let steps = &mut item["properties"]["step"];
    (steps["minItems"], steps["maxItems"]) = (1.into(), MOST_STEPS.into());
    item["dependencies"] = json!({ "step": { "not": { "required": ["raise"] } } });
}

/// `match` names labels of the class that is written in `on`.
fn labels_of_class(item: &mut Value) {
    let case = |class: &crate::engine::signal::ClassSpec| {
        let labels: Vec<_> = class.identity.iter().chain(class.other).collect();
        json!({
            "if": { "properties": { "on": { "const": class.name } }, "required": ["on"] },
            "then": { "properties": { "match": { "propertyNames": { "enum": labels } } } },
        })
    };
    item["allOf"] = CLASSES.iter().map(case).collect();
}

fn window(item: &mut Value) {
    item["anyOf"] = json!([{ "required": ["every"] }, { "required": ["from"] }]);
    item["not"] = json!({ "anyOf": [{ "required": ["every", "from"] }, { "required": ["every", "to"] }] });
}

fn test(item: &mut Value) {
    item["anyOf"] = json!([{ "required": ["expect"] }, { "required": ["incidents"] }]);
    let line = &mut item["properties"]["expect"]["items"];
    line["anyOf"] =
        json!([{ "required": ["state"] }, { "required": ["severity"] }, { "required": ["priority"] }]);
    // Only what is raised has an incident.
    let is_not_raised =
        json!({ "required": ["state"], "properties": { "state": { "not": { "const": "raised" } } } });
    line["if"] = is_not_raised;
    line["then"] = json!({ "not": { "required": ["priority"] } });
}
