//! Checks what was written in the table of a door against the options the door states, and fills in its
//! defaults.

use std::collections::BTreeMap;

use toml::de::DeValue;

use super::diagnose::{At, Finding, Report};
use super::suggest::{names_a_secret, nearest, one_of};
use super::value;
use super::walk::{Item, Key, Keys, Kind, Text, Walk, shorten};
use crate::engine::option::{DoorSpec, OptionKind, OptionSpec, OptionValue, Options, SecretRef};

/// Most entries in a map option.
const MOST_ENTRIES: usize = 256;

/// Most bytes of a file whose content is an option.
const MOST_CONTENT: u64 = 256 * 1024;

/// A secret by reference: exactly one of them.
pub const SECRET: Keys = Keys::of(&[
    Key::new("credential", Kind::Form(NAME), "a credential of systemd (LoadCredential= of the unit)"),
    Key::new("file", Kind::Form("^/"), "a file that holds it, by its absolute path"),
    Key::new("env", Kind::Form(NAME), "an environment variable that holds it"),
]);
/// A name of a credential or a variable.
const NAME: &str = "^[A-Za-z0-9_.-]+$";

/// The door whose kind the table names.
pub fn pick(
    walk: &Walk<'_>,
    doors: &[&'static DoorSpec],
    own: &Keys,
    report: &mut Report,
) -> Option<&'static DoorSpec> {
    let kinds: Vec<_> = doors.iter().map(|d| d.kind).collect();
    if !walk.has("kind") {
        // Which options there are is known with the kind; what none of them has is wrong anyway.
        let options: Vec<_> = doors.iter().flat_map(|d| d.options).map(|o| o.key).collect();
        walk.check_quietly(own, &options, report);
        walk.missing_of(own, "kind", &format!("kinds: {}", one_of(kinds)), report);
        return None;
    }
    let table: Vec<_> = doors.iter().map(|d| (d.kind, *d)).collect();
    let text = walk.text("kind", report)?;
    Some(walk.word_of("kind", &text, &table, report)?.value)
}

/// The options of a door: `own` are the keys of the table that are not the door's.
pub fn options(walk: &Walk<'_>, door: &DoorSpec, own: &Keys, report: &mut Report) -> Options {
    let more: Vec<_> = door.options.iter().map(|o| o.key).collect();
    walk.check(own, &more, report);
    let mut options = BTreeMap::new();
    for spec in door.options {
        if let Some(value) = option(walk, spec, report) {
            options.insert(spec.key.to_owned(), value);
        }
    }
    let options = Options(options);
    // What they must satisfy together is only asked when each key that is written was understood: one
    // mistake, one message.
    let known = |key: &str| own.names().any(|known| known == key) || options.0.contains_key(key);
    if walk.entries().iter().all(|(key, _)| known(&key.value))
        && let Err(reason) = (door.check)(&options)
    {
        // A reason that begins with the name of an option is about its value.
        let value = reason.split([' ', ':']).next().and_then(|key| walk.get(key));
        let at = value.map_or(walk.at, |value| walk.at(value));
        report.add(Finding::error(at, format!("{}: {reason}", walk.what)));
    }
    options
}

/// The options of a door whose table is absent.
pub fn defaults(door: &DoorSpec) -> Options {
    let all = door.options.iter().filter_map(|o| Some((o.key.to_owned(), default(o)?)));
    Options(all.collect())
}

fn option(walk: &Walk<'_>, spec: &OptionSpec, report: &mut Report) -> Option<OptionValue> {
    let key = spec.key;
    let Some(value) = walk.get(key) else {
        if matches!(spec.kind, OptionKind::RequiredText | OptionKind::RequiredSecret) {
            walk.missing(key, &format!("{key}: {}", spec.about), report);
        }
        return default(spec);
    };
    match spec.kind {
        OptionKind::RequiredText | OptionKind::Text(_) => {
            let text = walk.text(key, report)?;
            if text.value.is_empty() {
                report.add(Finding::error(text.at, format!("`{key}` is empty")).help(spec.about));
            }
            Some(OptionValue::Text(text.value))
        }
        OptionKind::FileText => {
            let path = walk.text(key, report)?;
            match content(&path.value) {
                Ok(text) => Some(OptionValue::Text(text)),
                Err(reason) => {
                    report.add(Finding::error(path.at, format!("`{key}`: {reason}")).help(spec.about));
                    None
                }
            }
        }
        OptionKind::Choice(words) => {
            let table: Vec<_> = words.iter().map(|w| (*w, *w)).collect();
            Some(OptionValue::Text(walk.word(key, &table, report)?.value.to_owned()))
        }
        OptionKind::List(_) => {
            let texts = walk.list(key, report)?;
            Some(OptionValue::List(texts.into_iter().map(|t| t.value).collect()))
        }
        OptionKind::Bool(_) => walk.flag(key, report).map(OptionValue::Bool),
        OptionKind::Int(_, least, most) => {
            walk.int(key, least..=most, report).map(|n| OptionValue::Int(n.value))
        }
        OptionKind::Duration(_) => {
            walk.duration(key, 0..=value::LONGEST, report).map(|n| OptionValue::Duration(n.value))
        }
        OptionKind::Secret | OptionKind::RequiredSecret => {
            secret(walk, key, value, report).map(OptionValue::Secret)
        }
        OptionKind::Map => {
            let mut entries = BTreeMap::new();
            let table = walk.table(key, &format!("`{key}`"), report)?;
            map(&table, "", &mut entries, report);
            if entries.len() > MOST_ENTRIES {
                let message = format!("`{key}` has more than {MOST_ENTRIES} entries");
                report.add(Finding::error(table.at, message));
            }
            Some(OptionValue::Map(entries))
        }
    }
}

/// The content of a file that an option names.
fn content(path: &str) -> Result<String, String> {
    if !path.starts_with('/') {
        return Err("a file is named by its absolute path".to_owned());
    }
    let size = std::fs::metadata(path).map_err(|e| format!("cannot read {path}: {e}"))?;
    if !size.is_file() || size.len() > MOST_CONTENT {
        return Err(format!("{path} is no file of at most {MOST_CONTENT} bytes"));
    }
    std::fs::read_to_string(path).map_err(|e| format!("cannot read {path}: {e}"))
}

fn default(spec: &OptionSpec) -> Option<OptionValue> {
    let list = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect();
    match spec.kind {
        OptionKind::RequiredText | OptionKind::Secret | OptionKind::RequiredSecret => None,
        OptionKind::FileText => None,
        OptionKind::Text(text) => text.map(|t| OptionValue::Text(t.to_owned())),
        OptionKind::Choice(words) => words.first().map(|w| OptionValue::Text((*w).to_owned())),
        OptionKind::List(words) => Some(OptionValue::List(list(words))),
        OptionKind::Bool(flag) => Some(OptionValue::Bool(flag)),
        OptionKind::Int(number, ..) => Some(OptionValue::Int(number)),
        OptionKind::Duration(0) => None,
        OptionKind::Duration(ns) => Some(OptionValue::Duration(ns)),
        OptionKind::Map => Some(OptionValue::Map(BTreeMap::new())),
    }
}

/// Depth is bounded by the parser.
fn map(walk: &Walk<'_>, prefix: &str, entries: &mut BTreeMap<String, String>, report: &mut Report) {
    for (key, value) in walk.entries() {
        if names_a_secret(&key.value) {
            report.secret(walk.at(value));
        }
        let name = if prefix.is_empty() { key.value } else { format!("{prefix}.{}", key.value) };
        if let DeValue::Table(items) = value.get_ref() {
            map(&Walk::new(walk.at(value), name.clone(), items), &name, entries, report);
        } else if let Some(text) = walk.text_of(&name, value, report) {
            entries.insert(name, text.value);
        }
    }
}

/// A secret by reference: `{ credential = "…" }`, `{ file = "…" }` or `{ env = "…" }`.
pub fn secret(walk: &Walk<'_>, key: &str, value: Item<'_>, report: &mut Report) -> Option<SecretRef> {
    let at = walk.at(value);
    let DeValue::Table(items) = value.get_ref() else {
        report.secret(at);
        report.add(
            Finding::error(at, format!("`{key}` holds the secret itself"))
                .label("not shown")
                .help(
                    "configuration files are copied and backed up: a secret stands in them by reference only",
                )
                .help(format!(
                    "write {key} = {{ credential = \"NAME\" }} (of systemd), {{ file = \"/path\" }} {}",
                    "or { env = \"NAME\" }"
                )),
        );
        return None;
    };
    let inner = Walk::new(at, format!("`{key}`"), items);
    let sources = || SECRET.names();
    hide_strangers(&inner, &sources().collect::<Vec<_>>(), report);
    inner.check(&SECRET, &[], report);
    let named: Vec<_> = sources().filter(|s| inner.has(s)).collect();
    let [source] = named[..] else {
        let message = format!("`{key}` must name exactly one source of the secret");
        report.add(Finding::error(at, message).help(format!("sources: {}", one_of(sources()))));
        return None;
    };
    let name = inner.text(source, report)?;
    reference(source, &name, report)
}

/// Values under keys that are no source may be the secret itself.
fn hide_strangers(walk: &Walk<'_>, sources: &[&str], report: &mut Report) {
    for (key, value) in walk.entries() {
        if !sources.contains(&key.value.as_str()) {
            report.secret(walk.at(value));
        }
    }
}

fn reference(source: &str, name: &Text, report: &mut Report) -> Option<SecretRef> {
    let text = name.value.clone();
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let (made, wrong) = match source {
        "file" => (SecretRef::File(text.clone()), !text.starts_with('/')),
        "env" => (SecretRef::Env(text.clone()), text.is_empty() || !text.chars().all(plain)),
        _ => (SecretRef::Credential(text.clone()), text.is_empty() || !text.chars().all(plain)),
    };
    if !wrong {
        return Some(made);
    }
    report.secret(name.at);
    report.add(match source {
        "file" => Finding::error(name.at, "the file of a secret is named by an absolute path"),
        _ => Finding::error(name.at, format!("this is no name of {source}"))
            .help("a name has letters, digits, `-`, `_` and `.`; the secret itself does not belong here"),
    });
    None
}

/// Reports a second table with the same id, whichever file it stands in.
pub fn unique<'k>(what: &str, ids: impl Iterator<Item = &'k (String, At)>, report: &mut Report) {
    let mut seen: BTreeMap<&str, At> = BTreeMap::new();
    for (id, at) in ids {
        if let Some(first) = seen.get(id.as_str()) {
            report.add(
                Finding::error(*at, format!("{what} `{}` is defined twice", shorten(id)))
                    .label("second definition")
                    .also(*first, "first definition"),
            );
        } else {
            seen.insert(id, *at);
        }
    }
}

/// The collector of that name, or what is wrong with it.
pub fn collector(key: &Text, doors: &[&'static DoorSpec], report: &mut Report) -> Option<&'static DoorSpec> {
    if let Some(door) = doors.iter().find(|d| d.kind == key.value) {
        return Some(door);
    }
    let names = || doors.iter().map(|d| d.kind).chain(["interval"]);
    let finding = Finding::error(key.at, format!("unknown key `{}` in [collect]", shorten(&key.value)))
        .help(format!("keys here: interval and one per collector: {}", one_of(doors.iter().map(|d| d.kind))));
    report.add(match nearest(&key.value, names()) {
        Some(near) => finding.label(format!("did you mean `{near}`?")),
        None => finding,
    });
    None
}
