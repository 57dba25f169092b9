//! PromQL to a syntax tree, with the bytes of every piece.
//!
//! A parser of our own: the one in the registry (promql-parser) brings chrono, a parser generator and two
//! serialisers into the daemon, and its tree does not say where a piece stands, which is what a report of
//! what is left needs. Reads what alerting rules have; what is new in later versions is refused with its
//! place. Bounded: [`SOURCE`] bytes, [`DEPTH`] levels.

mod lex;
mod parse;

use std::ops::Range;

pub use lex::plain_duration;
pub use parse::parse;

/// Longest expression in bytes.
pub const SOURCE: usize = 64 * 1024;
/// Deepest nesting.
pub const DEPTH: usize = 64;

/// A piece of an expression.
#[derive(Clone, Debug)]
pub struct Expr {
    /// What it is.
    pub kind: Kind,
    /// Its bytes.
    pub span: Range<usize>,
}

/// The kinds of expression.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A number.
    Number(f64),
    /// A text; what it says matters to nobody here.
    Text,
    /// `name{matchers}`, with `[range]`.
    Selector(Selector),
    /// `(expr)[range:step]`.
    Subquery(Box<Expr>, i64),
    /// `expr offset 1h` or `expr @ …`.
    Moved,
    /// A function.
    Call(String, Vec<Expr>),
    /// `sum by (a) (expr)`.
    Aggregate(Box<Aggregate>),
    /// `-expr`.
    Negative(Box<Expr>),
    /// Two operands.
    Binary(Box<Binary>),
}

/// A selection of series.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    /// The metric.
    pub name: String,
    /// On its labels, without `__name__`.
    pub matchers: Vec<Matcher>,
    /// In nanoseconds.
    pub range: Option<i64>,
}

/// One label matcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matcher {
    /// The label.
    pub label: String,
    /// `!=` or `!~`.
    pub is_negative: bool,
    /// `=~` or `!~`.
    pub is_regex: bool,
    /// What it is compared with.
    pub value: String,
    /// Its bytes.
    pub span: Range<usize>,
}

/// An aggregation.
#[derive(Clone, Debug)]
pub struct Aggregate {
    /// `sum`, `avg`, …
    pub op: String,
    /// Over what.
    pub inner: Expr,
    /// `by` (false) or `without` (true) with its labels; none at all is `by ()`.
    pub without: bool,
    /// The labels.
    pub labels: Vec<String>,
}

impl Aggregate {
    /// Whether series that differ in this label only stay apart.
    pub fn keeps(&self, label: &str) -> bool {
        self.labels.iter().any(|l| l == label) != self.without
    }
}

/// An operator with its operands.
#[derive(Clone, Debug)]
pub struct Binary {
    /// As written, lower case.
    pub op: String,
    /// `bool` stands behind it.
    pub is_bool: bool,
    /// Which series of the two sides meet.
    pub matching: Matching,
    /// Left.
    pub left: Expr,
    /// Right.
    pub right: Expr,
}

/// By which labels two sides meet.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Matching {
    /// By all.
    #[default]
    All,
    /// By these: `on (…)`.
    On(Vec<String>),
    /// By all but these: `ignoring (…)`.
    Ignoring(Vec<String>),
}

impl Matching {
    /// Whether series of different objects stay apart, which one of these labels names.
    pub fn keeps(&self, names: &[&str]) -> bool {
        let has = |list: &[String], name: &str| list.iter().any(|label| label == name);
        match self {
            Matching::All => true,
            Matching::On(list) => names.iter().any(|name| has(list, name)),
            Matching::Ignoring(list) => !names.iter().all(|name| has(list, name)),
        }
    }
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Where.
    pub at: usize,
    /// What.
    pub why: String,
}
