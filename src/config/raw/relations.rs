//! `depends` and `suppresses` of a rule: ids, or ids with the labels that both instances share.

use toml::de::DeValue;

use crate::config::diagnose::Finding;
use crate::config::diagnose::Report;
use crate::config::value;
use crate::config::walk::{Key, Keys, Kind, LATER, Text, Walk, shorten};

/// Most relations that one key names.
const MOST: usize = 32;

/// Another rule, and what both instances have in common.
#[derive(Clone, Debug)]
pub struct RawRelation {
    /// Its id.
    pub rule: Text,
    /// Labels with the same value on both.
    pub same: Vec<Text>,
}

pub const RELATION: Keys = Keys {
    known: &[
        Key::new("rule", Kind::Form(value::ID), "id of the other rule").must(),
        Key::new("same", Kind::List, "labels that have the same value on both instances; also `service`"),
    ],
    later: &[],
    instead: LATER,
    renamed: &[("id", "rule"), ("labels", "same"), ("equal", "same"), ("on", "same")],
};

/// Reads one of the two keys.
pub fn read(walk: &Walk<'_>, key: &str, report: &mut Report) -> Vec<RawRelation> {
    let Some(value) = walk.get(key) else { return Vec::new() };
    let form = format!("write {key} = [\"gateway-down\", {{ rule = \"fs-readonly\", same = [\"mount\"] }}]");
    let items = match value.get_ref() {
        DeValue::String(_) | DeValue::Table(_) => vec![value],
        DeValue::Array(items) => items.iter().map(|item| value.within(item)).collect(),
        _ => {
            let message = format!("`{key}` must be a list of rules");
            report.add(Finding::error(walk.at(value), message).help(form));
            return Vec::new();
        }
    };
    if items.len() > MOST {
        let message = format!("`{key}` names {} rules; at most {MOST}", items.len());
        report.add(Finding::error(walk.key_at(key), message));
        return Vec::new();
    }
    let mut relations = Vec::with_capacity(items.len());
    for item in items {
        relations.extend(match item.get_ref() {
            DeValue::String(_) => {
                let rule = walk.text_of(key, item, report).and_then(|text| id(key, text, report));
                rule.map(|rule| RawRelation { rule, same: Vec::new() })
            }
            DeValue::Table(items) => {
                one(&Walk::new(walk.at(item), format!("a rule in `{key}`"), items), report)
            }
            _ => {
                let message = format!("`{key}` must be a list of rules");
                report.add(Finding::error(walk.at(item), message).help(form.clone()));
                None
            }
        });
    }
    relations
}

fn one(walk: &Walk<'_>, report: &mut Report) -> Option<RawRelation> {
    walk.check(&RELATION, &[], report);
    if !walk.has("rule") {
        walk.missing("rule", "name the rule: { rule = \"fs-readonly\", same = [\"mount\"] }", report);
    }
    let same = if walk.has("same") { walk.list("same", report)? } else { Vec::new() };
    let rule = walk.text("rule", report)?;
    Some(RawRelation { rule: id("rule", rule, report)?, same })
}

/// Globs are not taken: a relation that grows by itself hides what nobody meant.
fn id(key: &str, text: Text, report: &mut Report) -> Option<Text> {
    match value::id(&text.value) {
        Ok(()) => Some(text),
        Err(why) => {
            let message = format!("`{key}`: {:?} {why}", shorten(&text.value));
            report.add(Finding::error(text.at, message).help("name one rule by its id; globs are not taken"));
            None
        }
    }
}
