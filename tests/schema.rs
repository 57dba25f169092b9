//! The JSON Schemas of configuration files against the parser: same keys, same kinds of values, and what is
//! shipped, documented or wrong is judged alike.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sexton::cli::doors::doors;
use sexton::cli::schema::text;
use sexton::config::schema::{File, schema};
use sexton::config::{self, HostFacts};

#[path = "schema/probe.rs"]
mod probe;

const FILES: [File; 3] = [File::Main, File::Rules, File::Desk];

fn facts() -> HostFacts {
    HostFacts { machine_id: "0123".into(), hostname: "web-01".into() }
}

fn validator(file: File) -> jsonschema::Validator {
    jsonschema::draft7::new(&schema(file, &doors())).expect("a schema of draft 07")
}

/// What a schema says of a document, a line each.
fn said(validator: &jsonschema::Validator, document: &Value) -> Vec<String> {
    validator.iter_errors(document).map(|e| format!("{}: {e}", e.instance_path())).collect()
}

/// As Taplo gives TOML to a schema: dates are text.
fn document(text: &str) -> Option<Value> {
    fn json(value: &toml::Value) -> Value {
        match value {
            toml::Value::String(text) => text.as_str().into(),
            toml::Value::Integer(n) => (*n).into(),
            toml::Value::Float(n) => (*n).into(),
            toml::Value::Boolean(flag) => (*flag).into(),
            toml::Value::Datetime(date) => date.to_string().into(),
            toml::Value::Array(items) => items.iter().map(json).collect(),
            toml::Value::Table(table) => {
                Value::Object(table.iter().map(|(k, v)| (k.clone(), json(v))).collect())
            }
        }
    }
    text.parse::<toml::Table>().ok().map(|table| json(&toml::Value::Table(table)))
}

/// Files below a directory with this ending, in order.
fn below(dir: &str) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => all.extend(below(&path.display().to_string())),
            false if path.extension().is_some_and(|e| e == "toml") => all.push(path),
            false => {}
        }
    }
    all.sort();
    all
}

#[test]
fn schemas_are_schemas_of_draft_7() {
    for file in FILES {
        let schema = schema(file, &doors());
        assert!(jsonschema::draft7::meta::is_valid(&schema), "{}", file.name());
    }
}

#[test]
#[cfg(feature = "units")]
fn the_shipped_schemas_are_current() {
    for file in FILES {
        let path = format!("docs/schemas/{}-1.schema.json", file.name());
        let shipped = fs::read_to_string(&path).unwrap_or_default();
        assert!(shipped == text(file, &doors()), "stale: cargo run -- schema {} > {path}", file.name());
    }
}

#[test]
fn what_is_shipped_and_documented_is_valid() {
    let (main, rules) = (validator(File::Main), validator(File::Rules));
    let mut texts: Vec<(String, String)> = below("config")
        .into_iter()
        .chain(below("tests/rules"))
        .chain(below("tests/config/doubtful"))
        .map(|path| (path.display().to_string(), fs::read_to_string(&path).unwrap()))
        .collect();
    for path in
        ["README.md", "docs/configuration.md", "docs/forwarding.md", "docs/rules.md", "docs/workshop.md"]
    {
        let text = fs::read_to_string(path).unwrap();
        let blocks = text
            .split("```toml")
            .skip(1)
            .filter_map(|t| t.split_once('\n').map(|(_, rest)| rest))
            .map(|rest| rest.split("```").next().unwrap_or_default());
        texts.extend(blocks.map(|block| (format!("{path}: {block}"), block.to_owned())));
    }
    assert!(texts.len() > 50, "{} texts", texts.len());
    for (name, text) in texts {
        let document = document(&text).unwrap_or_else(|| panic!("{name} is no TOML"));
        assert_eq!(said(&main, &document), [""; 0], "{name}");
        if ["host", "collect", "store", "desk"].iter().all(|table| document.get(table).is_none()) {
            assert_eq!(said(&rules, &document), [""; 0], "{name}");
        }
    }
}

/// Wrong files whose mistake no schema can see, and why.
const BEYOND: &[(&str, &str)] = &[
    ("conditions.toml", "conditions are a language of their own"),
    ("ids-used-twice.toml", "ids are compared over tables"),
    ("rule-defined-twice.toml", "ids are compared over tables"),
    ("placeholder-that-is-none.toml", "placeholders are known by class and `let`"),
    ("templates-in-a-circle.toml", "names of templates are followed"),
    ("relations-over-too-many-steps.toml", "ids of rules are followed"),
    ("checks-that-can-never-work.toml", "what an address or a code means"),
    ("10.toml", "the main file beside it is missing"),
    ("10-check.toml", "a directory beside it is named like a file"),
];

#[test]
fn a_wrong_file_is_wrong_for_its_schema_unless_no_schema_can_see_it() {
    let (main, rules) = (validator(File::Main), validator(File::Rules));
    let (mut judged, mut passed) = (0, BTreeSet::new());
    for path in below("tests/config/bad") {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        // What is no TOML an editor tells without a schema.
        let Some(document) = document(&text) else { continue };
        let is_drop_in = path.parent().is_some_and(|dir| dir.ends_with("rules.d"));
        // The other half of a directory may be the wrong one.
        if path.parent() != Some(Path::new("tests/config/bad")) && !is_drop_in {
            continue;
        }
        judged += 1;
        if (if is_drop_in { &rules } else { &main }).is_valid(&document) {
            passed.insert(path.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
    assert!(judged >= 30, "{judged} files");
    let expected: BTreeSet<_> = BEYOND.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(passed, expected);
}

#[test]
fn a_drop_in_and_a_desk_have_their_own_tables() {
    let (rules, desk) = (validator(File::Rules), validator(File::Desk));
    for (text, in_rules, in_desk) in [
        ("schema = 1", true, true),
        ("[host]\ntier = 1", false, true),
        ("[desk]\nlisten = \"127.0.0.1:1\"", false, true),
        ("[defaults]\nfor = \"1m\"", true, false),
        ("[defaults]\nimpact = 1", false, false),
    ] {
        let document = document(text).unwrap();
        assert_eq!((rules.is_valid(&document), desk.is_valid(&document)), (in_rules, in_desk), "{text}");
    }
    let refused = config::load_texts(&[("m", ""), ("d", "[defaults]\nimpact = 1")], &doors(), &facts());
    assert_eq!(refused.unwrap_err().errors, 1);
}
