//! Programs written out again: the text and the type of any part of one.
//!
//! Whole conditions carry their canonical spelling; this is for the parts below it. A literal that is a
//! factor has lost its unit and is written in base units.

use std::sync::Arc;

use super::check::{product, quotient};
use super::expr::{Math, literal};
use super::program::{Compare, Input, Num, Span, Truth, WindowSpec, Words};
use crate::engine::func::{Gives, Shape, Which};
use crate::engine::moment::human;
use crate::engine::signal::{Base, Metric, Type};
use crate::engine::window::Keeps;

const NUMBER: Type = Type::of(Base::Number);
const SECONDS: Type = Type::of(Base::Seconds);

/// What the slots and windows of a program stand for.
#[derive(Clone, Copy)]
pub struct Scope<'p> {
    /// Signals by slot.
    pub slots: &'p [Metric],
    /// Windows by index.
    pub windows: &'p [Arc<WindowSpec>],
}

impl Scope<'_> {
    /// The signal of a slot.
    pub fn signal(&self, slot: u16) -> Option<Metric> {
        self.slots.get(usize::from(slot)).copied()
    }

    /// A window.
    pub fn window(&self, index: u16) -> Option<&WindowSpec> {
        self.windows.get(usize::from(index)).map(Arc::as_ref)
    }

    fn name(&self, slot: u16) -> &'static str {
        self.signal(slot).map_or("?", Metric::name)
    }

    /// The type of a quantity; `None` for a literal, which takes that of its surroundings.
    pub fn type_of(&self, num: &Num) -> Option<Type> {
        match num {
            Num::Const(_) => None,
            Num::Slot(slot) => self.signal(*slot).map(|m| m.spec().ty),
            Num::Neg(one) | Num::Map(.., one) => self.type_of(one),
            Num::Math(op, sides) => self.type_of_math(*op, &sides[0], &sides[1]),
            Num::Fold(.., many) => many.iter().find_map(|n| self.type_of(n)),
            Num::Window(index, which, ..) => self.window(*index).map(|spec| gives(*which, spec)),
            Num::Age(_) => Some(SECONDS),
            Num::If(parts) => self.type_of(&parts.1).or(self.type_of(&parts.2)),
            Num::Coalesce(two) => self.type_of(&two.0).or(self.type_of(&two.1)),
        }
    }

    fn type_of_math(&self, op: Math, a: &Num, b: &Num) -> Option<Type> {
        let (left, right) = (self.type_of(a), self.type_of(b));
        match op {
            Math::Add | Math::Subtract => left.or(right),
            Math::Multiply => match (left, right) {
                (Some(left), Some(right)) => product(left, right).or(product(right, left)),
                (left, right) => left.or(right),
            },
            Math::Divide => match (left, right) {
                (Some(left), right) => quotient(left, right.unwrap_or(NUMBER)),
                (None, _) => None,
            },
        }
    }

    /// A quantity as it is written; `ty` is what a literal is taken for.
    pub fn number(&self, num: &Num, ty: Type) -> String {
        match num {
            Num::Const(value) => literal(*value, ty),
            Num::Slot(slot) => self.name(*slot).to_owned(),
            Num::Neg(one) => format!("-{}", self.operand(one, ty)),
            Num::Math(op, sides) => {
                let side = |n: &Num| match op {
                    Math::Add | Math::Subtract => self.operand(n, ty),
                    Math::Multiply | Math::Divide => self.operand(n, self.type_of(n).unwrap_or(NUMBER)),
                };
                format!("{} {} {}", side(&sides[0]), op.sign(), side(&sides[1]))
            }
            Num::Map(which, _, one) => format!("{}({})", which.spec().name, self.number(one, ty)),
            Num::Fold(which, _, many) => {
                let each: Vec<_> = many.iter().map(|n| self.number(n, ty)).collect();
                format!("{}({})", which.spec().name, each.join(", "))
            }
            Num::Window(index, which, _, more) => self.call(*index, *which, more),
            Num::Age(slot) => format!("age({})", self.name(*slot)),
            Num::If(parts) => {
                let (a, b) = (self.number(&parts.1, ty), self.number(&parts.2, ty));
                format!("if({}, {a}, {b})", self.truth(&parts.0))
            }
            Num::Coalesce(two) => {
                format!("coalesce({}, {})", self.number(&two.0, ty), self.number(&two.1, ty))
            }
        }
    }

    fn operand(&self, num: &Num, ty: Type) -> String {
        let text = self.number(num, ty);
        if matches!(num, Num::Math(..)) { format!("({text})") } else { text }
    }

    /// A call that reads a window, its arguments in the order of the function.
    fn call(&self, index: u16, which: Which, more: &[Num]) -> String {
        let Some(window) = self.window(index) else { return "?".to_owned() };
        let (spec, mut more) = (which.spec(), more.iter());
        let argument = |(i, shape): (usize, Shape)| match shape {
            _ if i == 0 => Some(window.over.to_string()),
            Shape::Window | Shape::Duration => Some(window.length.to_string()),
            Shape::Periods => match window.keeps {
                Keeps::Slots(periods) => Some(periods.to_string()),
                _ => None,
            },
            Shape::Method => (window.keeps == Keeps::Medians).then(|| "'theil-sen'".to_owned()),
            Shape::Share => more.next().map(|n| self.number(n, Type::of(Base::Ratio))),
            Shape::Seconds => more.next().map(|n| self.number(n, SECONDS)),
            _ => more.next().map(|n| self.number(n, window.ty)),
        };
        let shapes = spec.params.iter().map(|p| p.shape).enumerate();
        let arguments: Vec<String> = shapes.filter_map(argument).collect();
        format!("{}({})", spec.name, arguments.join(", "))
    }

    /// A condition as it is written.
    pub fn truth(&self, truth: &Truth) -> String {
        match truth {
            Truth::Const(value) => value.to_string(),
            Truth::Slot(slot) => self.name(*slot).to_owned(),
            Truth::Not(one) => format!("not {}", self.bracketed(one)),
            Truth::And(many) => self.joined(many, " and "),
            Truth::Or(many) => self.joined(many, " or "),
            Truth::Compare(compare) => compare.text(),
            Truth::Same(two, differ) => {
                let sign = if *differ { "!=" } else { "==" };
                format!("{} {sign} {}", self.bracketed(&two.0), self.bracketed(&two.1))
            }
            Truth::Words(compare) => {
                let sign = if compare.differ { "!=" } else { "==" };
                format!("{} {sign} {}", compare.names[0], compare.names[1])
            }
            Truth::Silent(slot, span) => format!("nodata({}, {})", self.name(*slot), self.span(span)),
            Truth::Missing(slot, 0) => format!("no value of {}", self.name(*slot)),
            Truth::Missing(slot, ns) => format!("no value of {} for {}", self.name(*slot), human(*ns)),
            Truth::Unseen(slot, ns) => format!("{} never seen in {}", self.name(*slot), human(*ns)),
            Truth::Fact(fact) => fact.name().to_owned(),
            Truth::If(parts) => {
                let [c, a, b] = [&parts.0, &parts.1, &parts.2].map(|t| self.truth(t));
                format!("if({c}, {a}, {b})")
            }
            Truth::Coalesce(two) => format!("coalesce({}, {})", self.truth(&two.0), self.truth(&two.1)),
        }
    }

    fn bracketed(&self, truth: &Truth) -> String {
        let text = self.truth(truth);
        let is_plain = matches!(
            truth,
            Truth::Const(_) | Truth::Slot(_) | Truth::Fact(_) | Truth::Silent(..) | Truth::Coalesce(_)
        );
        if is_plain { text } else { format!("({text})") }
    }

    fn joined(&self, many: &[Truth], word: &str) -> String {
        let one = |t: &Truth| match t {
            Truth::And(_) | Truth::Or(_) => format!("({})", self.truth(t)),
            _ => self.truth(t),
        };
        many.iter().map(one).collect::<Vec<_>>().join(word)
    }

    /// A duration.
    pub fn span(&self, span: &Span) -> String {
        match span {
            Span::Fixed(ns) => literal(*ns as f64 / 1e9, SECONDS),
            Span::Bound(seconds) => self.number(seconds, SECONDS),
        }
    }

    /// A text as it is written.
    pub fn words(&self, words: &Words) -> String {
        match words {
            Words::Const(text) => format!("'{text}'"),
            Words::Slot(slot) => self.name(*slot).to_owned(),
            Words::Fact(fact) => fact.name().to_owned(),
            Words::If(parts) => {
                let (a, b) = (self.words(&parts.1), self.words(&parts.2));
                format!("if({}, {a}, {b})", self.truth(&parts.0))
            }
            Words::Coalesce(two) => format!("coalesce({}, {})", self.words(&two.0), self.words(&two.1)),
        }
    }
}

/// The type of what a function makes of a window.
fn gives(which: Which, window: &WindowSpec) -> Type {
    match which.spec().gives {
        _ if matches!(window.input, Input::Events(_)) => NUMBER,
        Gives::SameAsFirst | Gives::SameAsSecond => window.ty,
        Gives::FirstPerSecond => Type::per_second(window.ty.base),
        Gives::Number => NUMBER,
        Gives::Ratio => Type::of(Base::Ratio),
        Gives::Seconds => SECONDS,
        Gives::Bool => Type::of(Base::Bool),
    }
}

impl Compare {
    /// A side as it is written.
    pub fn side(&self, right: bool) -> String {
        let (name, num) = if right { (&self.names[1], &self.right) } else { (&self.names[0], &self.left) };
        match name {
            Some(name) => name.to_string(),
            None => literal(num.constant().unwrap_or(f64::NAN), self.ty),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::cond::compile;
    use crate::engine::cond::program::Root;
    use crate::engine::signal::Class;

    #[test]
    fn what_is_written_out_is_what_was_compiled() {
        for source in [
            "fs.used > 85% and (fs.avail < 50GiB or eta(fs.used, 100%, 6h) < 3d)",
            "forecast(fs.avail, 6h, 4h, 'theil-sen') < 1GiB",
            "p(cpu.busy, 95%, 10m) > 90% or baseline(load.avg1, 1d, 7) > 3",
            "frac(cpu.busy > 90%, 10m) >= 80% and not fs.readonly",
            "least(avg(swap.in, 3m), avg(swap.out, 3m)) > 4MiB/s",
            "if(fs.readonly, abs(fs.used), coalesce(fs.inodes_used, 10%)) > 90%",
            "nodata(fs.used, 5m) or age(fs.used) > 3m or held(fs.readonly) > 1h",
            "events('raise/disk-*', 1h) >= 3 or changes(fs.readonly, 1h) > 4",
            "rate(kernel.oom_kills, 5m) > 0.1/s",
            "fit(fs.used, 6h) > 80% and zscore(fs.used, 1d) > 3",
        ] {
            let cond = compile(source, Class::Fs, &[]).expect(source);
            let program = cond.program();
            let scope = Scope { slots: &program.slots, windows: &program.windows };
            let Root::Truth(root) = &program.root else { unreachable!() };
            assert_eq!(scope.truth(root), cond.canonical(), "{source}");
            let again = compile(&scope.truth(root), Class::Fs, &[]).expect("its own text");
            assert_eq!(again.canonical(), cond.canonical());
            sides(root, &scope);
        }
    }

    /// Sides of comparisons, spelled from the program, are what they are called.
    fn sides(truth: &Truth, scope: &Scope<'_>) {
        match truth {
            Truth::Compare(c) if !matches!(c.right, Num::Math(..)) => {
                assert_eq!(scope.number(&c.left, c.ty), c.side(false));
                assert_eq!(scope.type_of(&c.left), Some(c.ty));
                assert_eq!(scope.number(&c.right, c.ty), c.side(true));
            }
            Truth::And(many) | Truth::Or(many) => many.iter().for_each(|t| sides(t, scope)),
            _ => {}
        }
    }
}
