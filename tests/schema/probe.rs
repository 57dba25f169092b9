//! The parser and the schema are asked the same questions: which keys has a table, and what may stand behind
//! each of them? A key or a kind that only one of them knows fails here.

use std::collections::BTreeSet;

use serde_json::Value;
use sexton::cli::doors::doors;
use sexton::config::diagnose::Diagnostic;
use sexton::config::schema::{File, schema};
use sexton::config::{self};

use super::{document, facts, said, validator};

/// A table: where its keys stand in the schema, the text before them, and whether it may be written many
/// times.
struct Table {
    schema: &'static str,
    before: &'static str,
}

const RULE: &str =
    "[[rule]]\nid = \"x#\"\non = \"unit\"\nraise = \"not unit.active\"\nclear = \"unit.active\"\n";
const TEST: &str =
    "[[test]]\nrule = \"fs-full\"\nseries = { \"fs.used{mount=/}\" = \"80%x9\" }\nincidents = 0\n";

const TABLES: &[Table] = &[
    Table { schema: "/properties/host", before: "[host]\n" },
    Table { schema: "/properties/correlate", before: "[correlate]\n" },
    Table { schema: "/properties/service/items", before: "[[service]]\nname = \"x#\"\n" },
    Table { schema: "/properties/reload", before: "[reload]\n" },
    Table { schema: "/properties/reload/properties/limit", before: "[reload.limit]\n" },
    Table { schema: "/properties/store", before: "[store]\n" },
    Table { schema: "/properties/store/properties/limits", before: "[store.limits]\n" },
    Table { schema: "/properties/desk", before: "[desk]\n" },
    Table { schema: "/properties/desk/properties/tokens", before: "[desk.tokens]\n" },
    Table { schema: "/properties/defaults", before: "[defaults]\n" },
    Table { schema: "/properties/rule/items", before: RULE },
    Table {
        schema: "/properties/rule/items/properties/action",
        before: "RULE[rule.action]\nrun = [\"true\"]\n",
    },
    Table {
        schema: "/properties/rule/items/properties/step/items",
        before: "[[rule]]\nid = \"x#\"\non = \"unit\"\n[[rule.step]]\nraise = \"not unit.active\"\nclear = \"unit.active\"\n",
    },
    Table {
        schema: "/properties/rule/items/properties/depends/anyOf/0/anyOf/1",
        before: "RULE[rule.depends]\nrule = \"unit-failed\"\n",
    },
    Table { schema: "/properties/template/additionalProperties", before: "[template.x#]\n" },
    Table {
        schema: "/properties/override/items",
        before: "[[override]]\nrule = \"fs-*\"\nset = { for = \"1m\" }\n",
    },
    Table {
        schema: "/properties/override/items/properties/set",
        before: "[[override]]\nrule = \"fs-*\"\n[override.set]\n",
    },
    Table {
        schema: "/properties/window/items",
        before: "[[window]]\nid = \"x#\"\nevery = \"sun 02:00-04:00\"\ntz = \"UTC\"\n",
    },
    Table {
        schema: "/properties/window/items/properties/match",
        before: "[[window]]\nid = \"x#\"\nevery = \"sun 02:00-04:00\"\ntz = \"UTC\"\n[window.match]\n",
    },
    Table { schema: "/properties/test/items", before: TEST },
    Table {
        schema: "/properties/test/items/properties/expect/items",
        before: "TEST[[test.expect]]\nat = \"1m\"\nstate = \"raised\"\n",
    },
    Table {
        schema: "/properties/check/items",
        before: "[[check]]\nid = \"x#\"\nkind = \"http\"\nurl = \"http://x\"\n",
    },
    Table {
        schema: "/properties/destination/items",
        before: "[[destination]]\nid = \"x#\"\nkind = \"rt\"\nurl = \"http://x\"\ntoken = { env = \"X\" }\n",
    },
    Table {
        schema: "/properties/destination/items/properties/match",
        before: "[[destination]]\nid = \"x#\"\nkind = \"rt\"\nurl = \"http://x\"\ntoken = { env = \"X\" }\n[destination.match]\n",
    },
    Table {
        schema: "/properties/destination/items/properties/fallback",
        before: "[[destination]]\nid = \"x#\"\nkind = \"rt\"\nurl = \"http://x\"\ntoken = { env = \"X\" }\n[destination.fallback]\n",
    },
    Table {
        schema: "/properties/destination/items/properties/digest",
        before: "[[destination]]\nid = \"x#\"\nkind = \"desk\"\nurl = \"http://x\"\ntoken = { env = \"X\" }\n[destination.digest]\nevery = \"1h\"\n",
    },
];

impl Table {
    fn before(&self) -> String {
        self.before.replace("RULE", RULE).replace("TEST", TEST)
    }

    /// As the first of many.
    fn once(&self) -> String {
        self.before().replace('#', "0")
    }

    /// Its keys; those of the kind that it names.
    fn keys(&self, schema: &Value) -> BTreeSet<String> {
        let table = schema.pointer(self.schema).unwrap_or_else(|| panic!("{}", self.schema));
        let cases = table["allOf"].as_array().into_iter().flatten();
        let mut of_kinds = cases.filter_map(|case| {
            let kind = case["if"]["properties"]["kind"]["const"].as_str()?;
            let is_it = self.before.contains(&format!("kind = \"{kind}\""));
            case["then"]["propertyNames"]["enum"].as_array().filter(|_| is_it)
        });
        match of_kinds.next() {
            Some(names) => names.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            None => keys_of(&table["properties"]),
        }
    }

    /// Tables that can stand in a file many times over are asked many questions at once.
    fn is_many(&self) -> bool {
        self.before.contains('#') || self.before.contains("[[")
    }
}

fn diagnostics(text: &str) -> Vec<Diagnostic> {
    match config::load_texts(&[("m", text)], &doors(), &facts()) {
        Ok(_) => Vec::new(),
        Err(all) => all.items,
    }
}

/// The keys that the parser names when it meets a stranger.
fn keys_of_the_parser(before: &str) -> BTreeSet<String> {
    let all = diagnostics(&format!("{before}zzzzzzzz = 1\n"));
    let stranger =
        all.iter().find(|d| d.message.contains("`zzzzzzzz`")).unwrap_or_else(|| panic!("{before}"));
    let listed = stranger.help.iter().find_map(|help| help.strip_prefix("keys here: ")).unwrap_or_default();
    listed.split(',').map(|key| key.trim().to_owned()).collect()
}

fn keys_of(value: &Value) -> BTreeSet<String> {
    value.as_object().map(|all| all.keys().cloned().collect()).unwrap_or_default()
}

#[test]
fn every_table_has_the_same_keys_in_the_schema_as_in_the_parser() {
    let schema = schema(File::Main, &doors());
    let at = |pointer: &str| schema.pointer(pointer).unwrap_or_else(|| panic!("{pointer}"));
    assert_eq!(keys_of(&schema["properties"]), keys_of_the_parser(""));
    for table in TABLES {
        let is_by_kind = table.schema.ends_with("check/items") || table.schema.ends_with("destination/items");
        if !is_by_kind {
            let found = keys_of(&at(table.schema)["properties"]);
            assert_eq!(found, keys_of_the_parser(&table.once()), "{}", table.schema);
            assert_eq!(at(table.schema)["additionalProperties"], false, "{}", table.schema);
        }
    }
    for (list, doors) in [("check", doors().checks), ("destination", doors().connectors)] {
        let cases = at(&format!("/properties/{list}/items/allOf")).as_array().unwrap();
        assert_eq!(cases.len(), doors.len());
        for (case, door) in cases.iter().zip(doors) {
            let names = case["then"]["propertyNames"]["enum"].as_array().unwrap();
            let mut found: BTreeSet<_> = names.iter().map(|n| n.as_str().unwrap().to_owned()).collect();
            // What a kind cannot do the parser knows, and refuses.
            found.extend(
                ["digest", "read_back", "gone"]
                    .into_iter()
                    .filter(|_| list == "destination")
                    .map(str::to_owned),
            );
            let parsed = keys_of_the_parser(&format!("[[{list}]]\nid = \"x\"\nkind = \"{}\"\n", door.kind));
            assert_eq!(found, parsed, "{list} {}", door.kind);
        }
    }
    for door in doors().collectors {
        let found =
            keys_of(&at(&format!("/properties/collect/properties/{}/anyOf/1", door.kind))["properties"]);
        assert_eq!(found, keys_of_the_parser(&format!("[collect.{}]\n", door.kind)), "{}", door.kind);
    }
}

/// A table of the schema that nobody is asked about would prove nothing.
#[test]
fn every_table_of_the_schema_is_asked_about() {
    fn tables(schema: &Value, at: String, found: &mut BTreeSet<String>) {
        match schema {
            Value::Object(map) => {
                if map.get("additionalProperties") == Some(&false.into()) && map.contains_key("properties") {
                    found.insert(at.clone());
                }
                map.iter().for_each(|(key, value)| tables(value, format!("{at}/{key}"), found));
            }
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(i, item)| tables(item, format!("{at}/{i}"), found));
            }
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    tables(&schema(File::Main, &doors()), String::new(), &mut found);
    // Globs by label or class, secrets and what a template, `suppresses` or `defaults` share with a rule are
    // made of the same tables.
    let shared = ["/match", "/tokens", "collect", "/template/", "suppresses", "/depends", "/allOf/"];
    let asked: BTreeSet<_> = TABLES.iter().map(|t| t.schema.to_owned()).collect();
    let rest: Vec<_> = found
        .iter()
        .filter(|at| !at.is_empty() && !asked.contains(*at) && !shared.iter().any(|part| at.contains(part)))
        .collect();
    assert!(rest.is_empty(), "{rest:?}");
}

/// Values of every kind.
const VALUES: &[&str] = &[
    "\"x\"",
    "\"\"",
    "\"10s\"",
    "\"10\"",
    "\"0\"",
    "\"1h 30m\"",
    "\"ten\"",
    "\"50%\"",
    "\"128MiB\"",
    "\"a/b\"",
    "\"/x\"",
    "\"a b\"",
    "\"5/s\"",
    "\"3 per 1h\"",
    "\"sun 02:00-04:00\"",
    "\"127.0.0.1:1\"",
    "\"fs\"",
    "\"critical\"",
    "\"P1\"",
    "\"fault\"",
    "\"[a]\"",
    "\"0011223344556677\"",
    "1",
    "0",
    "-1",
    "4",
    "0.5",
    "1.5",
    "true",
    "[]",
    "[\"x\"]",
    "[1]",
    "[\"\"]",
    "{}",
    "{ x = \"y\" }",
    "{ x = 1 }",
    "{ env = \"X\" }",
    "[{}]",
    "2026-11-29T02:00:00Z",
];

/// Those that are asked where each takes a file of its own.
const FEW: &[&str] = &[
    "\"x\"",
    "\"\"",
    "\"10s\"",
    "\"ten\"",
    "\"128MiB\"",
    "\"/x\"",
    "\"127.0.0.1:1\"",
    "\"critical\"",
    "2",
    "4",
    "0.5",
    "true",
    "[]",
    "{ x = \"y\" }",
];

/// Keys of which the parser knows more than a schema can: what a text means.
const MEANING: &[&str] = &[
    "raise",
    "clear",
    "title",
    "let",
    "only_if",
    "verify",
    "run",
    "extends",
    "depends",
    "suppresses",
    "rule",
    "series",
    "tz",
    "from",
    "to",
    "start",
    "every",
    "match",
    "on",
    "set",
    "action",
    "step",
    "expect",
    "fallback",
    "digest",
    "same",
    "labels",
    "of",
    "url",
    "status",
    "token",
    "kind",
    "limits",
    "tokens",
];

#[test]
fn every_key_takes_the_same_kinds_of_values_in_the_schema_as_in_the_parser() {
    let validator = validator(File::Main);
    let schema = schema(File::Main, &doors());
    let (mut asked, mut quarrels) = (0, Vec::new());
    for table in TABLES {
        for key in table.keys(&schema) {
            let (values, at_once) = match table.is_many() {
                // A report holds a hundred messages.
                true => (VALUES, 13),
                false => (FEW, 1),
            };
            for values in values.chunks(at_once) {
                asked += values.len();
                ask(table, &key, values, &validator, &mut quarrels);
            }
        }
    }
    assert!(asked > 3_000, "{asked} questions");
    assert!(quarrels.is_empty(), "{} of {asked}:\n{}", quarrels.len(), quarrels.join("\n"));
}

/// Writes each value behind the key, each in a table of its own, and compares what is said of that line.
fn ask(
    table: &Table,
    key: &str,
    values: &[&str],
    validator: &jsonschema::Validator,
    quarrels: &mut Vec<String>,
) {
    let (mut text, mut lines) = (String::new(), Vec::new());
    let before = table.before();
    let (outer, own) = before.split_at(before.rfind("\n[").map_or(0, |at| at + 1));
    let own = own.lines().filter(|line| line.split(" = ").next() != Some(key));
    let own: String = own.map(|line| format!("{line}\n")).collect();
    for (number, value) in values.iter().enumerate() {
        text += &format!("{outer}{own}").replace('#', &number.to_string());
        text += &format!("{key} = {value}\n");
        lines.push(text.lines().count());
    }
    let found = diagnostics(&text);
    for (number, (value, line)) in values.iter().zip(lines).enumerate() {
        let refused = found.iter().find(|d| d.at.as_ref().is_some_and(|at| at.line == line));
        let one = part(&text, number, values.len());
        let complaints = said(validator, &document(&one).unwrap_or_else(|| panic!("{one}")));
        let is_here =
            |c: &&String| c.split(": ").next().is_some_and(|at| at.split('/').any(|part| part == key));
        // `anyOf` does not say where it failed within.
        let is_hidden = table.schema.contains("/anyOf/");
        let by_schema = complaints.iter().find(|c| is_hidden || is_here(c));
        let question = format!("{}: {key} = {value}", table.schema);
        match (refused, by_schema) {
            (None, Some(why)) => quarrels.push(format!("{question}: only the schema refuses it: {why}")),
            (Some(d), None) => {
                let is_text = value.contains(['"', '{']) || *value == "[]" || value.contains("T02");
                let is_known = d.message.contains("out of range")
                    || d.message.contains("shorter than")
                    || d.message.contains("more than 100%")
                    // The schema sees a date as text.
                    || d.message.ends_with("not a date");
                if !(is_known || is_text && MEANING.contains(&key)) {
                    quarrels.push(format!("{question}: only the parser refuses it: {}", d.message));
                }
            }
            _ => {}
        }
    }
}

/// The text of one question, of a text with many.
fn part(text: &str, number: usize, of: usize) -> String {
    let lines: Vec<_> = text.lines().collect();
    let each = lines.len() / of;
    lines[number * each..(number + 1) * each].join("\n") + "\n"
}
