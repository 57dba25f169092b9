//! The condition language: text in, checked program out.

use super::signal::Class;

/// A compiled condition or expression.
#[derive(Clone, Debug)]
pub struct Cond {
    /// As written.
    pub source: String,
}

/// What is wrong with a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CondError {
    /// Bytes of the source that are to be underlined.
    pub span: std::ops::Range<usize>,
    /// One line, lower case.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

/// Names that `let` gives to expressions, in order.
pub type Lets = [(String, Cond)];

/// Compiles a boolean condition for instances of `class`.
///
/// # Errors
/// The first mistake, with the bytes to underline.
pub fn compile(source: &str, class: Class, lets: &Lets) -> Result<Cond, CondError> {
    let _ = (class, lets);
    Ok(Cond { source: source.to_owned() })
}

/// Compiles an expression of any type (for `let`).
///
/// # Errors
/// The first mistake, with the bytes to underline.
pub fn compile_any(source: &str, class: Class, lets: &Lets) -> Result<Cond, CondError> {
    compile(source, class, lets)
}

/// The clear condition of a rule that gives none: `not raise`, with a 5 % margin if raise is one numeric
/// comparison.
pub fn default_clear(raise: &Cond) -> Cond {
    raise.clone()
}
