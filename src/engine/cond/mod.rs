//! The condition language: text in, checked program out.
//!
//! `lex` → `parse` → `let` expressions put in → `check` (names, types, windows) → `program`. Whoever
//! evaluates gives the program a [`program::View`] of one instance; `explain` says with numbers why a verdict
//! is what it is. Nothing here knows where a value comes from. Any input gives a program or an error with the
//! bytes to underline, never a panic.

mod apart;
mod call;
mod check;
mod clear;
mod compared;
mod explain;
pub mod expr;
mod guard;
mod hint;
mod lex;
mod parse;
pub mod program;
mod reason;
mod silence;
mod spell;
mod title;
mod tree;
mod units;
mod windowed;

use std::ops::Range;
use std::sync::Arc;

use super::signal::{Base, Class, Metric, Type};

pub use clear::default_clear;
pub use compared::Compared;
pub use expr::{Math, Relation};
pub use guard::{Fact, compile_guard};
pub use parse::parse;
pub(super) use silence::never;
pub use silence::{known, missing, unseen};
pub use title::{Piece, Title, check_title};
pub use tree::{Heard, Kind, Node, Seen, Verdict, Witness};
pub use units::human;

use expr::Expr;
use program::{Program, WindowSpec};

/// A compiled condition or expression.
#[derive(Clone, Debug)]
pub struct Cond {
    /// As written.
    pub source: String,
    program: Arc<Program>,
    /// Kept where others may name it: in a `let`.
    expr: Option<Arc<Expr>>,
}

impl Cond {
    /// The type of its value; bool for a condition.
    pub fn ty(&self) -> Type {
        self.program.ty
    }

    /// Every signal it depends on, in order of first mention.
    pub fn metrics(&self) -> &[Metric] {
        &self.program.metrics
    }

    /// The windows it keeps.
    pub fn windows(&self) -> &[Arc<WindowSpec>] {
        &self.program.windows
    }

    /// The one spelling of it, every `let` put in: equal for conditions that differ in blanks and units only.
    pub fn canonical(&self) -> &str {
        &self.program.canonical
    }

    /// What is evaluated.
    pub fn program(&self) -> &Arc<Program> {
        &self.program
    }
}

/// What is wrong with a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CondError {
    /// Bytes of the source that are to be underlined.
    pub span: Range<usize>,
    /// One line, lower case.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl CondError {
    fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), help: None }
    }

    #[must_use]
    fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

/// Names that `let` gives to expressions, in order.
pub type Lets = [(String, Cond)];

/// Compiles a boolean condition for instances of `class`.
///
/// # Errors
/// The first mistake, with the bytes to underline.
pub fn compile(source: &str, class: Class, lets: &Lets) -> Result<Cond, CondError> {
    let expr = expanded(source, lets)?;
    let program = check::program(&expr, class, lets)?;
    if program.ty != Type::of(Base::Bool) {
        return Err(hint::not_a_condition(&expr, program.ty));
    }
    Ok(Cond { source: source.to_owned(), program: Arc::new(program), expr: None })
}

/// Compiles an expression of any type (for `let`).
///
/// # Errors
/// The first mistake, with the bytes to underline.
pub fn compile_any(source: &str, class: Class, lets: &Lets) -> Result<Cond, CondError> {
    let expr = expanded(source, lets)?;
    let program = check::program(&expr, class, lets)?;
    Ok(Cond { source: source.to_owned(), program: Arc::new(program), expr: Some(Arc::new(expr)) })
}

fn expanded(source: &str, lets: &Lets) -> Result<Expr, CondError> {
    if lets.is_empty() {
        return parse::parse(source);
    }
    let find = |name: &str| {
        let (_, cond) = lets.iter().rev().find(|(n, _)| n == name)?;
        cond.expr.as_deref().cloned()
    };
    parse::parse(source)?.expand(&find)
}

#[cfg(test)]
mod tests;
