//! A condition taken apart: what each part of it says at one moment, why a part is unknown, and how far a
//! comparison is from turning.
//!
//! Every value is what the evaluator itself makes of that very part, so that the two cannot disagree; here it
//! is only written down. Walked when somebody asks, never on the way of a sample. Whoever explains is a
//! [`Witness`]: a view that can also say how old a signal is and what a window has seen.

use serde::Serialize;

use super::program::View;
use crate::engine::signal::Value;
use crate::engine::window::facts::Facts;

/// A truth value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "plain words")]
pub enum Verdict {
    True,
    False,
    Unknown,
}

impl From<Option<bool>> for Verdict {
    fn from(verdict: Option<bool>) -> Self {
        match verdict {
            Some(true) => Self::True,
            Some(false) => Self::False,
            None => Self::Unknown,
        }
    }
}

/// What a part of a condition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "plain words")]
pub enum Kind {
    And,
    Or,
    Not,
    Compare,
    Signal,
    Window,
    Function,
    Math,
    Absence,
    Fact,
    Constant,
}

/// A part of a condition at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// As it is written, every `let` put in.
    pub text: String,
    /// What it says, if it is a condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Its value in base units, if it is a quantity that is known and finite.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// `ratio`, `bytes`, `seconds`, `number`, each optionally with `/s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Its value, or what is compared, as a person reads it: `91.2 %`; empty for joined conditions.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub shown: String,
    /// Why it is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Of a comparison of numbers: how far it is from its limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub margin: Option<Margin>,
    /// Of a signal: how fresh it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<Freshness>,
    /// Of a window: what it has seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<Arithmetic>,
    /// What it is made of; literals are left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Node>,
}

/// How far a comparison is from its limit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Margin {
    /// Value less limit, in base units.
    pub by: f64,
    /// The limit in base units.
    pub limit: f64,
    /// In words: `6.2 points above 85 %`.
    pub shown: String,
}

/// How fresh a signal is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Freshness {
    /// Seconds since its last value; absent when there never was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age: Option<f64>,
    /// Expected seconds between samples; 0: told on change and held.
    pub interval: f64,
    /// Seconds after which it is too old; absent when it never is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale_after: Option<f64>,
}

/// What a window has seen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Arithmetic {
    /// Its length in seconds; absent for what has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub span: Option<f64>,
    /// Samples seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub samples: Option<f64>,
    /// Samples expected; absent where values are told and held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<f64>,
    /// Share of what is expected that is there, 0..1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coverage: Option<f64>,
    /// Share that must be there, 0..1.
    pub needed: f64,
    /// What the value is worked out of: name, value in base units, as a person reads it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub figures: Vec<(String, f64, String)>,
    /// All of it in words: `57 of 60 samples (95 %), sum 48`.
    pub shown: String,
}

/// What is known of a signal.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// The value, unless there is none or it is too old.
    pub value: Option<Value>,
    /// Nanoseconds since the last value, however old; `None` when there never was one.
    pub age: Option<i64>,
    /// Nanoseconds since it is waited for.
    pub waited: i64,
    /// Expected distance of samples, ns; 0 when told.
    pub interval: i64,
    /// Nanoseconds after which a value is too old; `None` for never.
    pub stale_after: Option<i64>,
    /// The newest word was that there is no value.
    pub said_none: bool,
}

/// What is known of a window and what feeds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// The window itself.
    pub facts: Facts,
    /// The signals that feed it, in the order of its slots.
    pub fed_by: Vec<Heard>,
}

/// A view that can say why.
pub trait Witness: View {
    /// What is known of a signal; `None` when it is not bound.
    fn heard(&self, slot: u16) -> Option<Heard>;
    /// What a window has seen.
    fn seen(&self, index: u16) -> Option<Seen>;
}
