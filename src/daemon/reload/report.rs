//! What came of an attempt: for `status`, for whoever asked, and for the journal. Bounded: a change of ten
//! thousand rules names the first of them and counts the rest.

use serde::Serialize;
use serde_json::{Value, json};

use super::attempt::{Part, Seen};
use super::text;
use crate::config::difference::{Difference, Fate};
use crate::control::{Answer, Refusal, ReloadMode};
use crate::engine::foresee::{Changes, Outlook};
use crate::engine::moment::Stamp;

/// Most rules, tables and instances of each sort that are named.
const NAMED: usize = 50;

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Applied,
    Refused,
    Unchanged,
    DryRun,
}

/// An attempt that has ended.
#[derive(Clone, Debug)]
pub struct Report {
    pub at: Stamp,
    pub mode: ReloadMode,
    pub outcome: Outcome,
    /// Which part refused.
    pub step: Option<Part>,
    /// For a person.
    pub text: String,
    /// Versions before and after, when it was put in force.
    pub changes: Option<(String, String)>,
    /// What differs and what it would do, as far as it came to that.
    pub seen: Option<Value>,
}

/// What differs and what it would do.
pub fn seen(seen: &Seen) -> Value {
    let (difference, outlook) = (brief(&seen.difference), outlook_of(&seen.outlook));
    json!({"difference": difference, "outlook": outlook, "tests": seen.tests})
}

impl Report {
    /// Something for the journal: a reading that changed nothing is none.
    pub fn is_news(&self) -> bool {
        self.outcome != Outcome::Unchanged
    }

    /// As `status` shows it.
    pub fn value(&self) -> Value {
        let mut value = json!({
            "at": self.at, "outcome": self.outcome, "forced": self.mode == ReloadMode::Force, "message": text::bounded(&self.text),
        });
        if let Some(step) = self.step {
            value["refused_by"] = json!(step);
        }
        if let Some((from, to)) = &self.changes {
            (value["from"], value["to"]) = (json!(from), json!(to));
        }
        if let Some(Value::Object(seen)) = &self.seen {
            seen.iter().for_each(|(key, seen)| value[key] = seen.clone());
        }
        value
    }

    /// The body of its journal entry.
    pub fn entry(&self) -> String {
        self.value().to_string()
    }

    /// What its callers are told.
    pub fn answer(&self) -> Answer {
        match (self.outcome, self.step) {
            (Outcome::Refused, Some(Part::Limit)) => Err(Refusal::Conflict(self.text.clone())),
            (Outcome::Refused, _) => Err(Refusal::Failed(self.text.clone())),
            _ => Ok(json!({"message": self.text, "reload": self.value()})),
        }
    }
}

fn brief(difference: &Difference) -> Value {
    let rules = |fate| difference.rules_that(fate);
    json!({
        "added": rules(Fate::Added), "changed": rules(Fate::Changed), "removed": rules(Fate::Removed),
        "rules": &difference.rules[..difference.rules.len().min(NAMED)],
        "tables": &difference.tables[..difference.tables.len().min(NAMED)],
    })
}

fn outlook_of(outlook: &Outlook) -> Value {
    let changes = |c: &Changes| json!({"count": c.count, "list": &c.list[..c.list.len().min(NAMED)]});
    json!({
        "raise": changes(&outlook.raise), "close": changes(&outlook.close), "lower": changes(&outlook.lower),
        "kept_back": outlook.kept_back, "carried": outlook.carried,
    })
}
