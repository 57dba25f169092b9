//! The functions of the condition language: one file each, one line each in [`FUNCTIONS`].
//!
//! A file holds a `SPEC`: the name, the shapes of its arguments, the rule for its type and how its value is
//! found. The type checker (`cond/check.rs`) knows shapes and forms, never a name.

mod abs;
mod age;
mod avg;
mod baseline;
mod burn;
mod changes;
mod coalesce;
mod count;
mod delta;
mod deriv;
mod eta;
mod events;
mod ewma;
mod fit;
mod forecast;
mod frac;
mod greatest;
mod held;
#[path = "if.rs"]
mod if_;
mod increase;
mod least;
mod max;
mod min;
mod nodata;
mod p;
mod rate;
mod sum;
mod zscore;

use super::signal::Class;
use super::window::{Keeps, Reading};

/// Every function of this version, by name.
pub const FUNCTIONS: &[&Spec] = &[
    &abs::SPEC,
    &age::SPEC,
    &avg::SPEC,
    &baseline::SPEC,
    &burn::SPEC,
    &changes::SPEC,
    &coalesce::SPEC,
    &count::SPEC,
    &delta::SPEC,
    &deriv::SPEC,
    &eta::SPEC,
    &events::SPEC,
    &ewma::SPEC,
    &fit::SPEC,
    &forecast::SPEC,
    &frac::SPEC,
    &greatest::SPEC,
    &held::SPEC,
    &if_::SPEC,
    &increase::SPEC,
    &least::SPEC,
    &max::SPEC,
    &min::SPEC,
    &nodata::SPEC,
    &p::SPEC,
    &rate::SPEC,
    &sum::SPEC,
    &zscore::SPEC,
];

/// What `count` is of a quantity.
pub const COUNT_ALL: Value = count::ALL;

/// The function of that name.
pub fn find(name: &str) -> Option<&'static Spec> {
    FUNCTIONS.iter().copied().find(|f| f.name == name)
}

/// Which function of [`FUNCTIONS`] a node of a program calls. Two functions may share their code, so that an
/// address does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Which(u8);

impl Which {
    /// The function of that name, which is known when programs are made.
    pub fn named(name: &str) -> Self {
        Self(FUNCTIONS.iter().position(|f| f.name == name).unwrap_or_default() as u8)
    }

    /// Its row in the table.
    pub fn spec(self) -> &'static Spec {
        FUNCTIONS[usize::from(self.0)]
    }
}

/// One function.
pub struct Spec {
    /// Its name.
    pub name: &'static str,
    /// Its arguments in order.
    pub params: &'static [Param],
    /// The last argument may be repeated, up to [`MOST_ARGUMENTS`] in all.
    pub repeats: bool,
    /// The type of its value.
    pub gives: Gives,
    /// How the value is found.
    pub form: Form,
    /// One line for the reference.
    pub about: &'static str,
}

/// Most arguments of a call.
pub const MOST_ARGUMENTS: usize = 16;

impl Spec {
    /// Its place in the table.
    pub fn which(&self) -> Which {
        Which::named(self.name)
    }

    /// How it is written: `avg(x, w)`, what may be left out in brackets: `deriv(x, w[, method])`.
    pub fn usage(&self) -> String {
        let (must, may) = self.params.split_at(self.least());
        let names: Vec<_> = must.iter().map(|p| p.name).collect();
        let may: String = may.iter().map(|p| format!("[, {}]", p.name)).collect();
        format!("{}({}{may}{})", self.name, names.join(", "), if self.repeats { ", …" } else { "" })
    }

    /// Fewest arguments.
    pub fn least(&self) -> usize {
        self.params.iter().filter(|p| p.shape != Shape::Method).count()
    }
}

/// One argument.
pub struct Param {
    /// Its name in the reference.
    pub name: &'static str,
    /// What may stand there.
    pub shape: Shape,
}

/// What may stand in the place of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A numeric expression.
    Numeric,
    /// A condition.
    Condition,
    /// A condition, or a numeric expression, of which every sample counts.
    Counted,
    /// Anything.
    Any,
    /// The name of a counter.
    Counter,
    /// The name of a signal.
    Signal,
    /// An expression of the type of the first argument (of the second, when the first is a condition).
    Like,
    /// A numeric expression in seconds.
    Seconds,
    /// A duration that is constant for an instance: the window.
    Window,
    /// Such a duration that is no window.
    Duration,
    /// A constant ratio from 0% to 100%.
    Share,
    /// How many periods: a whole number.
    Periods,
    /// A glob on events, in quotes.
    Glob,
    /// The name of the rule's class, for the instance itself.
    Subject,
    /// How a line is drawn, in quotes; may be left out. Such an argument is the last one.
    Method,
}

/// The type of a function's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "plain words")]
pub enum Gives {
    SameAsFirst,
    SameAsSecond,
    FirstPerSecond,
    Number,
    Ratio,
    Seconds,
    Bool,
}

/// Finds a value from a window and up to two further arguments.
pub type Value = fn(&Reading<'_>, [f64; 2]) -> f64;

/// How a function's value is found.
#[derive(Clone, Copy)]
pub enum Form {
    /// A window keeps something of the first argument's samples; `value` reads it.
    Window {
        /// What is kept.
        keeps: Keeps,
        /// The value at the moment; further arguments (neither expression nor window) in the order written.
        value: Value,
    },
    /// Of one number.
    Map(fn(f64) -> f64),
    /// Of two numbers, folded over all arguments; unknown as soon as one is.
    Fold(fn(f64, f64) -> f64),
    /// Counts events.
    Events,
    /// Stands for an expression over the signals of a class, in which `w` is the second argument.
    Formula {
        /// The class it is about.
        class: Class,
        /// The expression.
        source: &'static str,
    },
    /// Seconds since the last value.
    Age,
    /// No value for a time.
    Silent,
    /// One of two, by a condition.
    If,
    /// A value, or another when it is unknown.
    Coalesce,
}

const fn param(name: &'static str, shape: Shape) -> Param {
    Param { name, shape }
}

/// `x, w`: a numeric expression over a window.
const X_W: &[Param] = &[param("x", Shape::Numeric), param("w", Shape::Window)];
/// `x, w[, method]`: a line through a numeric expression over a window.
const X_W_METHOD: &[Param] =
    &[param("x", Shape::Numeric), param("w", Shape::Window), param("method", Shape::Method)];
/// `c, w`: a condition over a window.
const C_W: &[Param] = &[param("c", Shape::Condition), param("w", Shape::Window)];
/// `x, w`: a counter over a window.
const COUNTER_W: &[Param] = &[param("x", Shape::Counter), param("w", Shape::Window)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_every_row_is_explained() {
        for pair in FUNCTIONS.windows(2) {
            assert!(pair[0].name < pair[1].name, "{} stands before {}", pair[0].name, pair[1].name);
        }
        for f in FUNCTIONS {
            assert!(!f.about.is_empty() && !f.params.is_empty(), "{}", f.name);
        }
    }
}
