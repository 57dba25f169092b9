//! A checked condition: a tree whose every node has its domain by construction, with names resolved to slots.
//!
//! Three kinds of node, so that nothing is checked twice: [`Num`] (NaN = unknown), [`Truth`] (Kleene: `None`
//! = unknown) and [`Words`]. Signals are slots into the list the program carries, windows are indices into
//! its windows; whoever evaluates provides both as a [`View`]. Evaluation allocates nothing.

use std::sync::Arc;

use super::expr::{Math, Relation};
use super::guard::Fact;
use crate::engine::func::{Value as FuncValue, Which};
use crate::engine::signal::{Metric, Type};
use crate::engine::window::{Keeps, LONGEST, Reading, SHORTEST};

/// Numbers differing by less than this, relative to the larger, are equal.
pub const EPSILON: f64 = 1e-9;

/// A numeric expression; unknown is NaN.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "one per construct of the language")]
pub enum Num {
    Const(f64),
    Slot(u16),
    Neg(Box<Num>),
    Math(Math, Box<[Num; 2]>),
    Map(Which, fn(f64) -> f64, Box<Num>),
    Fold(Which, fn(f64, f64) -> f64, Box<[Num]>),
    Window(u16, Which, FuncValue, Box<[Num]>),
    Age(u16),
    If(Box<(Truth, Num, Num)>),
    Coalesce(Box<(Num, Num)>),
}

/// A condition; unknown is `None`.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "one per construct of the language")]
pub enum Truth {
    Const(bool),
    Slot(u16),
    Not(Box<Truth>),
    And(Box<[Truth]>),
    Or(Box<[Truth]>),
    Compare(Box<Compare>),
    /// Equality of truths; the flag turns it into inequality.
    Same(Box<(Truth, Truth)>, bool),
    Words(Box<CompareWords>),
    Silent(u16, Span),
    /// Nothing that can be used is known of a slot for this long, ns.
    Missing(u16, i64),
    /// Nothing was ever known of a slot, and it is waited for so long, ns.
    Unseen(u16, i64),
    Fact(Fact),
    If(Box<(Truth, Truth, Truth)>),
    Coalesce(Box<(Truth, Truth)>),
}

/// A text expression; unknown is `None`.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "one per construct of the language")]
pub enum Words {
    Const(Arc<str>),
    Slot(u16),
    Fact(Fact),
    If(Box<(Truth, Words, Words)>),
    Coalesce(Box<(Words, Words)>),
}

/// A comparison of two numbers, with what to call them.
#[derive(Clone, Debug)]
pub struct Compare {
    /// How they are compared.
    pub relation: Relation,
    /// The left side.
    pub left: Num,
    /// The right side.
    pub right: Num,
    /// The type of both.
    pub ty: Type,
    /// Canonical text of each side; a literal has none.
    pub names: [Option<Box<str>>; 2],
}

/// A comparison of two texts.
#[derive(Clone, Debug)]
pub struct CompareWords {
    /// The left side.
    pub left: Words,
    /// The right side.
    pub right: Words,
    /// `!=` instead of `==`.
    pub differ: bool,
    /// Canonical text of each side.
    pub names: [Box<str>; 2],
}

/// What a program yields.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the three domains")]
pub enum Root {
    Num(Num),
    Truth(Truth),
    Words(Words),
}

/// A window that a program needs.
#[derive(Clone, Debug)]
pub struct WindowSpec {
    /// What is kept of the samples.
    pub keeps: Keeps,
    /// Its length; 0 for [`Keeps::Held`].
    pub span: Span,
    /// What is sampled.
    pub input: Input,
    /// The signals of `input` and `span`, by slot.
    pub slots: Vec<Metric>,
    /// Kind, expression and length as text: windows of one instance with equal keys are one.
    pub key: String,
    /// `input` as it is spelled.
    pub over: Box<str>,
    /// `span` as it is spelled; empty for [`Keeps::Held`].
    pub length: Box<str>,
    /// The type of `input`.
    pub ty: Type,
}

/// A duration that is constant for as long as an instance is bound.
#[derive(Clone, Debug)]
pub enum Span {
    /// In ns, from [`SHORTEST`] to [`LONGEST`].
    Fixed(i64),
    /// Seconds made of the instance's attributes.
    Bound(Box<Num>),
}

impl Span {
    /// Its ns, brought into the range of windows; `None` while an attribute is unknown.
    pub fn ns<V: View>(&self, view: &V) -> Option<i64> {
        match self {
            Span::Fixed(ns) => Some(*ns),
            Span::Bound(seconds) => {
                let ns = seconds.eval(view) * 1e9;
                (!ns.is_nan()).then(|| (ns.round() as i64).clamp(SHORTEST, LONGEST))
            }
        }
    }
}

/// What goes into a window.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "one word each")]
pub enum Input {
    Num(Num),
    Truth(Truth),
    /// Any signal, for counting its changes; texts count by a hash.
    Signal(u16),
    /// Events by a glob on `kind/rule`.
    Events(Box<str>),
}

/// Something that grows or turns by time alone.
#[derive(Clone, Debug)]
pub enum Clock {
    /// `age(x)` of a slot, and the age (seconds) at which a comparison turns, when it is the same for as long
    /// as the instance is bound.
    Age(u16, Option<Num>),
    /// `nodata(x, d)` of a slot: turns at `d`.
    Silent(u16, Span),
    /// `held(c)` of a window, and the same.
    Held(u16, Option<Num>),
    /// [`Truth::Missing`].
    Missing(u16, i64),
}

/// A checked program.
#[derive(Clone, Debug)]
pub struct Program {
    /// What it computes.
    pub root: Root,
    /// Its type.
    pub ty: Type,
    /// Signals it reads directly, by slot.
    pub slots: Vec<Metric>,
    /// Windows it reads, by index.
    pub windows: Vec<Arc<WindowSpec>>,
    /// Every signal it depends on, those inside windows included, in order of first mention.
    pub metrics: Vec<Metric>,
    /// What turns by time alone.
    pub clocks: Vec<Clock>,
    /// A value going stale may make it true or false (`coalesce`).
    pub stale_matters: bool,
    /// The one spelling of it.
    pub canonical: String,
}

impl Program {
    /// True when its value may change although no sample comes.
    pub fn is_timed(&self) -> bool {
        self.stale_matters || !self.windows.is_empty() || !self.clocks.is_empty()
    }
}

/// Signals and windows of one instance at one moment.
pub trait View {
    /// A number; NaN when unknown.
    fn number(&self, slot: u16) -> f64;
    /// A truth.
    fn truth(&self, slot: u16) -> Option<bool>;
    /// A text.
    fn words(&self, slot: u16) -> Option<&str>;
    /// Nanoseconds since the last value, however old; `None` when there never was one.
    fn age(&self, slot: u16) -> Option<i64>;
    /// As [`View::age`], without the time in which nobody can have looked.
    fn silent(&self, slot: u16) -> Option<i64> {
        self.age(slot)
    }
    /// Nanoseconds since this signal is waited for, without the time in which nobody can have looked.
    fn waited(&self, slot: u16) -> i64;
    /// A window; `None` when unknown.
    fn window(&self, index: u16) -> Option<Reading<'_>>;
    /// Nanoseconds for which nothing that can be used is known of a slot; `None` while there is.
    fn missing(&self, _slot: u16) -> Option<i64> {
        None
    }
    /// Whether a fact of the incident is so; unknown to whoever judges rules.
    fn fact(&self, _fact: Fact) -> Option<bool> {
        None
    }
    /// What a fact of the incident says.
    fn fact_words(&self, _fact: Fact) -> Option<&str> {
        None
    }
}

impl Num {
    /// The value; NaN when unknown.
    pub fn eval<V: View>(&self, view: &V) -> f64 {
        match self {
            Num::Const(value) => *value,
            Num::Slot(slot) => view.number(*slot),
            Num::Neg(one) => -one.eval(view),
            Num::Math(op, sides) => arithmetic(*op, sides[0].eval(view), sides[1].eval(view)),
            Num::Map(_, f, one) => f(one.eval(view)),
            Num::Fold(_, f, many) => {
                let mut values = many.iter().map(|n| n.eval(view));
                let first = values.next().unwrap_or(f64::NAN);
                values.fold(first, |a, b| if a.is_nan() || b.is_nan() { f64::NAN } else { f(a, b) })
            }
            Num::Window(index, _, value, more) => {
                let mut args = [0.0; 2];
                for (arg, num) in args.iter_mut().zip(more) {
                    *arg = num.eval(view);
                }
                view.window(*index).map_or(f64::NAN, |reading| value(&reading, args))
            }
            Num::Age(slot) => view.age(*slot).map_or(f64::NAN, |ns| ns as f64 / 1e9),
            Num::If(parts) => match parts.0.eval(view) {
                Some(true) => parts.1.eval(view),
                Some(false) => parts.2.eval(view),
                None => f64::NAN,
            },
            Num::Coalesce(two) => {
                let value = two.0.eval(view);
                if value.is_nan() { two.1.eval(view) } else { value }
            }
        }
    }

    /// The value when nothing in it depends on a signal.
    pub fn constant(&self) -> Option<f64> {
        match self {
            Num::Const(value) => Some(*value),
            Num::Neg(one) => one.constant().map(|v| -v),
            Num::Math(op, sides) => Some(arithmetic(*op, sides[0].constant()?, sides[1].constant()?)),
            _ => None,
        }
    }
}

/// Division by zero is unknown: there is no such number to compare with.
fn arithmetic(op: Math, a: f64, b: f64) -> f64 {
    match op {
        Math::Add => a + b,
        Math::Subtract => a - b,
        Math::Multiply => a * b,
        Math::Divide if b == 0.0 => f64::NAN,
        Math::Divide => a / b,
    }
}

/// Equal within [`EPSILON`].
pub fn equal(a: f64, b: f64) -> bool {
    a == b || (a.is_finite() && b.is_finite() && (a - b).abs() <= EPSILON * a.abs().max(b.abs()))
}

impl Relation {
    /// Whether it holds between two known numbers, which may be infinite.
    pub fn holds(self, a: f64, b: f64) -> bool {
        let same = equal(a, b);
        match self {
            Relation::Less => a < b && !same,
            Relation::LessOrEqual => a < b || same,
            Relation::Greater => a > b && !same,
            Relation::GreaterOrEqual => a > b || same,
            Relation::Equal => same,
            Relation::NotEqual => !same,
        }
    }
}

impl Compare {
    fn eval<V: View>(&self, view: &V) -> Option<bool> {
        let (a, b) = (self.left.eval(view), self.right.eval(view));
        if a.is_nan() || b.is_nan() { None } else { Some(self.relation.holds(a, b)) }
    }
}

impl Truth {
    /// The verdict by Kleene's logic; `None` when unknown.
    pub fn eval<V: View>(&self, view: &V) -> Option<bool> {
        match self {
            Truth::Compare(compare) => compare.eval(view),
            Truth::Const(value) => Some(*value),
            Truth::Slot(slot) => view.truth(*slot),
            Truth::Not(one) => one.eval(view).map(|b| !b),
            Truth::And(many) => kleene(many, view, false),
            Truth::Or(many) => kleene(many, view, true),
            Truth::Same(two, differ) => {
                let (a, b) = (two.0.eval(view)?, two.1.eval(view)?);
                Some((a == b) != *differ)
            }
            Truth::Words(compare) => {
                let (a, b) = (compare.left.eval(view)?, compare.right.eval(view)?);
                Some((a == b) != compare.differ)
            }
            Truth::Silent(slot, span) => {
                let ns = span.ns(view)?;
                match view.silent(*slot) {
                    Some(silent) => Some(silent >= ns),
                    None => (view.waited(*slot) >= ns).then_some(true),
                }
            }
            Truth::Missing(slot, ns) => Some(view.missing(*slot).is_some_and(|missing| missing >= *ns)),
            Truth::Unseen(slot, ns) => Some(view.age(*slot).is_none() && view.waited(*slot) >= *ns),
            Truth::Fact(fact) => view.fact(*fact),
            Truth::If(parts) => {
                if parts.0.eval(view)? {
                    parts.1.eval(view)
                } else {
                    parts.2.eval(view)
                }
            }
            Truth::Coalesce(two) => two.0.eval(view).or_else(|| two.1.eval(view)),
        }
    }
}

/// `decisive` (false for `and`, true for `or`) settles it alone; otherwise one unknown makes it unknown.
fn kleene<V: View>(many: &[Truth], view: &V, decisive: bool) -> Option<bool> {
    let mut known = true;
    for one in many {
        match one.eval(view) {
            Some(value) if value == decisive => return Some(decisive),
            Some(_) => {}
            None => known = false,
        }
    }
    known.then_some(!decisive)
}

impl Words {
    /// The text; `None` when unknown.
    pub fn eval<'a, V: View>(&'a self, view: &'a V) -> Option<&'a str> {
        match self {
            Words::Const(text) => Some(text),
            Words::Slot(slot) => view.words(*slot),
            Words::Fact(fact) => view.fact_words(*fact),
            Words::If(parts) => {
                if parts.0.eval(view)? {
                    parts.1.eval(view)
                } else {
                    parts.2.eval(view)
                }
            }
            Words::Coalesce(two) => two.0.eval(view).or_else(|| two.1.eval(view)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_of_a_program_stays_within_half_a_cache_line() {
        assert!(size_of::<Num>() <= 32, "{}", size_of::<Num>());
    }

    #[test]
    fn equality_is_relative_and_infinity_equals_itself_only() {
        let inf = f64::INFINITY;
        for (a, b, same) in [
            (0.1 + 0.2, 0.3, true),
            (1e12, 1e12 + 1.0, true),
            (1e12, 1e12 + 1e5, false),
            (inf, inf, true),
            (inf, 5.0, false),
        ] {
            assert_eq!(equal(a, b), same, "{a} {b}");
            assert_eq!(Relation::Less.holds(a, b), a < b && !same);
            assert_eq!(Relation::GreaterOrEqual.holds(a, b), a > b || same);
        }
    }
}
