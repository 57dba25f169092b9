//! The syntax tree: what was written, with the bytes it came from, and its one canonical spelling.
//!
//! Invariant: a tree is at most [`DEPTH`] deep, whatever was written, so that every walk over it may recurse.

use std::fmt::{self, Write};
use std::ops::Range;

use super::CondError;
use crate::engine::signal::{Base, Type};

/// Deepest nesting of a condition.
pub const DEPTH: u16 = 64;
/// Most nodes of a condition, `let` expressions put in.
pub const NODES: u32 = 4096;

/// A piece of a condition.
#[derive(Clone, Debug)]
pub struct Expr {
    /// What it is.
    pub node: Node,
    /// Its bytes in the source.
    pub span: Range<usize>,
    depth: u16,
    nodes: u32,
}

/// The kinds of expression.
#[derive(Clone, Debug)]
pub enum Node {
    /// A literal in base units.
    Number(f64, Type),
    /// A string literal.
    Text(String),
    /// `true` or `false`.
    Bool(bool),
    /// A dotted name.
    Name(String),
    /// A function call; the span is that of the function's name.
    Call(String, Range<usize>, Vec<Expr>),
    /// `-x`.
    Neg(Box<Expr>),
    /// `not c`.
    Not(Box<Expr>),
    /// Two operands or more joined by `and`.
    And(Vec<Expr>),
    /// Two operands or more joined by `or`.
    Or(Vec<Expr>),
    /// Arithmetic.
    Math(Math, Box<Expr>, Box<Expr>),
    /// A comparison.
    Compare(Relation, Box<Expr>, Box<Expr>),
    /// `x in [a, b]`; true for `not in`.
    In(Box<Expr>, Vec<Expr>, bool),
}

/// Arithmetic operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "plain words")]
pub enum Math {
    Add,
    Subtract,
    Multiply,
    Divide,
}

impl Math {
    /// As written.
    pub fn sign(self) -> &'static str {
        match self {
            Math::Add => "+",
            Math::Subtract => "-",
            Math::Multiply => "*",
            Math::Divide => "/",
        }
    }
}

/// Comparison operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "plain words")]
pub enum Relation {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
}

impl Relation {
    /// All six with their signs.
    pub const ALL: [(Relation, &'static str); 6] = [
        (Relation::Less, "<"),
        (Relation::LessOrEqual, "<="),
        (Relation::Greater, ">"),
        (Relation::GreaterOrEqual, ">="),
        (Relation::Equal, "=="),
        (Relation::NotEqual, "!="),
    ];

    /// As written.
    pub fn sign(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// The relation that holds exactly when this one does not.
    #[must_use]
    pub fn negated(self) -> Self {
        match self {
            Relation::Less => Relation::GreaterOrEqual,
            Relation::LessOrEqual => Relation::Greater,
            Relation::Greater => Relation::LessOrEqual,
            Relation::GreaterOrEqual => Relation::Less,
            Relation::Equal => Relation::NotEqual,
            Relation::NotEqual => Relation::Equal,
        }
    }

    /// The relation of the two sides seen from the other one: `a < b` is `b > a`.
    #[must_use]
    pub fn swapped(self) -> Self {
        match self {
            Relation::Less => Relation::Greater,
            Relation::LessOrEqual => Relation::GreaterOrEqual,
            Relation::Greater => Relation::Less,
            Relation::GreaterOrEqual => Relation::LessOrEqual,
            same => same,
        }
    }
}

impl Expr {
    /// A node over checked children.
    ///
    /// # Errors
    /// Nested too deeply or too many nodes.
    pub fn new(node: Node, span: Range<usize>) -> Result<Self, CondError> {
        let mut expr = Self { node, span, depth: 1, nodes: 1 };
        let (mut depth, mut nodes) = (0, 1_u32);
        expr.children(|child| {
            depth = depth.max(child.depth);
            nodes = nodes.saturating_add(child.nodes);
        });
        expr.depth = depth + 1;
        expr.nodes = nodes;
        if expr.depth > DEPTH {
            let text = format!("this is nested more than {DEPTH} levels deep");
            return Err(CondError::new(expr.span, text).help("name a part of it with `let`, or group it"));
        }
        if nodes > NODES {
            let text = format!("this has more than {NODES} parts once every `let` is put in");
            return Err(CondError::new(expr.span, text));
        }
        Ok(expr)
    }

    /// Visits the direct children in the order written.
    pub fn children<'a>(&'a self, mut visit: impl FnMut(&'a Expr)) {
        match &self.node {
            Node::Number(..) | Node::Text(_) | Node::Bool(_) | Node::Name(_) => {}
            Node::Neg(one) | Node::Not(one) => visit(one),
            Node::Math(_, a, b) | Node::Compare(_, a, b) => {
                visit(a);
                visit(b);
            }
            Node::Call(_, _, many) | Node::And(many) | Node::Or(many) => many.iter().for_each(visit),
            Node::In(one, set, _) => {
                visit(one);
                set.iter().for_each(visit);
            }
        }
    }

    /// This tree with every name that `find` knows replaced by what it stands for, all of it bearing the
    /// bytes of the name, so that a later message points at the place of use.
    ///
    /// # Errors
    /// Too deep or too large once everything is put in.
    pub fn expand(&self, find: &dyn Fn(&str) -> Option<Expr>) -> Result<Expr, CondError> {
        let one = |e: &Expr| e.expand(find).map(Box::new);
        let many = |list: &[Expr]| list.iter().map(|e| e.expand(find)).collect::<Result<Vec<_>, _>>();
        let node = match &self.node {
            Node::Name(name) => match find(name) {
                Some(mut stands_for) => {
                    stands_for.move_to(&self.span);
                    return Ok(stands_for);
                }
                None => self.node.clone(),
            },
            Node::Neg(e) => Node::Neg(one(e)?),
            Node::Not(e) => Node::Not(one(e)?),
            Node::Math(op, a, b) => Node::Math(*op, one(a)?, one(b)?),
            Node::Compare(op, a, b) => Node::Compare(*op, one(a)?, one(b)?),
            Node::Call(name, span, args) => Node::Call(name.clone(), span.clone(), many(args)?),
            Node::And(list) => Node::And(many(list)?),
            Node::Or(list) => Node::Or(many(list)?),
            Node::In(e, set, not) => Node::In(one(e)?, many(set)?, *not),
            leaf => leaf.clone(),
        };
        Expr::new(node, self.span.clone())
    }

    fn move_to(&mut self, span: &Range<usize>) {
        self.span = span.clone();
        match &mut self.node {
            Node::Number(..) | Node::Text(_) | Node::Bool(_) | Node::Name(_) => {}
            Node::Neg(one) | Node::Not(one) => one.move_to(span),
            Node::Math(_, a, b) | Node::Compare(_, a, b) => {
                a.move_to(span);
                b.move_to(span);
            }
            Node::Call(_, name, many) => {
                *name = span.clone();
                many.iter_mut().for_each(|e| e.move_to(span));
            }
            Node::And(many) | Node::Or(many) => many.iter_mut().for_each(|e| e.move_to(span)),
            Node::In(one, set, _) => {
                one.move_to(span);
                set.iter_mut().for_each(|e| e.move_to(span));
            }
        }
    }

    /// How tightly the outermost operator binds; a child that binds less tightly needs brackets.
    fn binding(&self) -> u8 {
        match &self.node {
            Node::Or(_) => 0,
            Node::And(_) => 1,
            Node::Not(_) => 2,
            Node::Compare(..) | Node::In(..) => 3,
            Node::Math(Math::Add | Math::Subtract, ..) => 4,
            Node::Math(..) => 5,
            Node::Neg(_) => 6,
            _ => 7,
        }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, least: u8) -> fmt::Result {
        if self.binding() < least {
            return write!(f, "({self})");
        }
        write!(f, "{self}")
    }

    fn write_list(f: &mut fmt::Formatter<'_>, list: &[Expr], least: u8, joint: &str) -> fmt::Result {
        for (i, e) in list.iter().enumerate() {
            if i > 0 {
                f.write_str(joint)?;
            }
            e.write(f, least)?;
        }
        Ok(())
    }
}

/// The canonical spelling: one space around operators, brackets only where needed, literals in their largest
/// whole unit.
impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.node {
            Node::Number(value, ty) => f.write_str(&literal(*value, *ty)),
            Node::Text(text) => write!(f, "'{text}'"),
            Node::Bool(value) => write!(f, "{value}"),
            Node::Name(name) => f.write_str(name),
            Node::Neg(one) => {
                f.write_char('-')?;
                one.write(f, 6)
            }
            Node::Not(one) => {
                f.write_str("not ")?;
                one.write(f, 2)
            }
            Node::And(list) => Self::write_list(f, list, 2, " and "),
            Node::Or(list) => Self::write_list(f, list, 1, " or "),
            Node::Math(op, a, b) => {
                a.write(f, self.binding())?;
                write!(f, " {} ", op.sign())?;
                b.write(f, self.binding() + 1)
            }
            Node::Compare(op, a, b) => {
                a.write(f, 4)?;
                write!(f, " {} ", op.sign())?;
                b.write(f, 4)
            }
            Node::Call(name, _, args) => {
                write!(f, "{name}(")?;
                Self::write_list(f, args, 0, ", ")?;
                f.write_char(')')
            }
            Node::In(one, set, not) => {
                one.write(f, 4)?;
                f.write_str(if *not { " not in [" } else { " in [" })?;
                Self::write_list(f, set, 0, ", ")?;
                f.write_char(']')
            }
        }
    }
}

/// A literal in the condition language: `85%`, `10m`, `4MiB/s`.
pub fn literal(value: f64, ty: Type) -> String {
    let (number, unit) = match ty.base {
        Base::Ratio => (value * 100.0, "%"),
        Base::Seconds => {
            largest(value, &[(604_800.0, "w"), (86400.0, "d"), (3600.0, "h"), (60.0, "m"), (1.0, "s")])
                .unwrap_or((value, "s"))
        }
        Base::Bytes => {
            let binary = [(4, "TiB"), (3, "GiB"), (2, "MiB"), (1, "KiB")].map(|(n, u)| (1024_f64.powi(n), u));
            let decimal = [(4, "TB"), (3, "GB"), (2, "MB"), (1, "kB"), (0, "B")];
            let decimal = decimal.map(|(n, u)| (1000_f64.powi(n), u));
            largest(value, &binary).or_else(|| largest(value, &decimal)).unwrap_or((value, "B"))
        }
        _ => (value, ""),
    };
    format!("{}{unit}{}", significant(number), if ty.per_second { "/s" } else { "" })
}

/// The largest unit of which `value` is a whole multiple.
fn largest<'a>(value: f64, units: &[(f64, &'a str)]) -> Option<(f64, &'a str)> {
    units.iter().find(|(one, _)| value != 0.0 && value % one == 0.0).map(|(one, unit)| (value / one, *unit))
}

/// Twelve significant digits, no trailing zeros: hides the last bit of `0.07 * 100`.
fn significant(value: f64) -> String {
    // Nearly all limits are whole numbers; to round those takes no text.
    let whole = value.round();
    if (1.0..1e11).contains(&whole.abs()) && (value - whole).abs() < 1e-13 * whole.abs() {
        return (whole as i64).to_string();
    }
    let rounded: f64 = format!("{value:.11e}").parse().unwrap_or(value);
    format!("{rounded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_written_as_rounding_to_twelve_digits_writes_them() {
        for value in [0.07_f64 * 100.0, 0.29 * 100.0, -85.0, 0.0, 0.4999, 1.000_000_000_004_9, 1e11, 1e15] {
            for value in [value, value.next_up(), value.next_down(), value * 1.000_000_000_001] {
                let rounded: f64 = format!("{value:.11e}").parse().unwrap();
                assert_eq!(literal(value, Type::of(Base::Number)), rounded.to_string(), "{value:e}");
            }
        }
    }
}
