//! From syntax tree to program: every name resolved, every type checked, windows found and shared.
//!
//! A name resolves in the rule's class, then in `host`. Different types never mix, except where arithmetic
//! gives them a meaning (ratio × bytes = bytes, bytes / bytes = ratio, bytes/s × seconds = bytes).

use std::sync::Arc;

use super::expr::{Expr, Math, Node, Relation};
use super::program::{Clock, Compare, CompareWords, Num, Program, Root, Truth, WindowSpec, Words};
use super::{CondError, Lets, guard, hint};
use crate::engine::signal::{Base, Class, Kind, Metric, Type};

/// The type of truths.
pub const BOOL: Type = Type::of(Base::Bool);
const TEXT: Type = Type::of(Base::Text);
const NUMBER: Type = Type::of(Base::Number);
const RATIO: Type = Type::of(Base::Ratio);

/// Checks a whole tree.
///
/// # Errors
/// The first mistake, with the bytes to underline.
pub fn program(expr: &Expr, class: Class, lets: &Lets) -> Result<Program, CondError> {
    program_of(expr, Checker::new(class, lets))
}

/// Checks a whole tree as the guard of an action, which may name the facts of the incident.
///
/// # Errors
/// As [`program`].
pub fn guard(expr: &Expr, class: Class, lets: &Lets) -> Result<Program, CondError> {
    program_of(expr, Checker { is_guard: true, ..Checker::new(class, lets) })
}

fn program_of(expr: &Expr, mut checker: Checker<'_>) -> Result<Program, CondError> {
    let typed = checker.any(expr)?;
    let ty = typed.ty();
    let root = match typed {
        Typed::Num(num, _) => Root::Num(num),
        Typed::Truth(truth) => Root::Truth(truth),
        Typed::Words(words) => Root::Words(words),
    };
    let Checker { slots, windows, metrics, clocks, stale_matters, .. } = checker;
    Ok(Program { root, ty, slots, windows, metrics, clocks, stale_matters, canonical: expr.to_string() })
}

/// An expression with its domain.
pub enum Typed {
    /// A quantity.
    Num(Num, Type),
    /// A condition.
    Truth(Truth),
    /// A text.
    Words(Words),
}

impl Typed {
    /// Its type.
    pub fn ty(&self) -> Type {
        match self {
            Typed::Num(_, ty) => *ty,
            Typed::Truth(_) => BOOL,
            Typed::Words(_) => TEXT,
        }
    }
}

/// The state of one check.
pub struct Checker<'a> {
    pub(super) class: Class,
    pub(super) lets: &'a Lets,
    pub(super) slots: Vec<Metric>,
    pub(super) windows: Vec<Arc<WindowSpec>>,
    pub(super) metrics: Vec<Metric>,
    pub(super) clocks: Vec<Clock>,
    pub(super) stale_matters: bool,
    /// The function whose window is being filled: no second window may stand in there.
    pub(super) inside: Option<&'static str>,
    /// The facts of an incident may be named.
    pub(super) is_guard: bool,
}

impl<'a> Checker<'a> {
    /// Whether signals of a class can be named in a rule on `class`.
    pub(super) fn sees(class: Class) -> impl Fn(Class) -> bool {
        move |of| of == class || of == Class::Host
    }

    /// A fresh one.
    pub(super) fn new(class: Class, lets: &'a Lets) -> Self {
        let (slots, windows, metrics, clocks) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (stale_matters, inside, is_guard) = (false, None, false);
        Self { class, lets, slots, windows, metrics, clocks, stale_matters, inside, is_guard }
    }

    /// Any expression.
    pub(super) fn any(&mut self, expr: &Expr) -> Result<Typed, CondError> {
        Ok(match &expr.node {
            Node::Number(value, ty) => Typed::Num(Num::Const(*value), *ty),
            Node::Text(text) => Typed::Words(Words::Const(text.as_str().into())),
            Node::Bool(value) => Typed::Truth(Truth::Const(*value)),
            Node::Name(name) => self.named(expr, name)?,
            Node::Call(name, at, args) => self.call(expr, name, at, args)?,
            Node::Neg(one) => {
                let (num, ty) = self.number(one, "`-` needs a number")?;
                Typed::Num(Num::Neg(Box::new(num)), ty)
            }
            Node::Not(one) => Typed::Truth(Truth::Not(Box::new(self.truth(one)?))),
            Node::And(many) => Typed::Truth(Truth::And(self.truths(many)?)),
            Node::Or(many) => Typed::Truth(Truth::Or(self.truths(many)?)),
            Node::Math(op, a, b) => self.math(expr, *op, a, b)?,
            Node::Compare(relation, a, b) => Typed::Truth(self.compare(expr, *relation, a, b)?),
            Node::In(one, set, not) => {
                let any = set.iter().map(|e| self.compare(expr, Relation::Equal, one, e));
                let any = Truth::Or(any.collect::<Result<_, _>>()?);
                Typed::Truth(if *not { Truth::Not(Box::new(any)) } else { any })
            }
        })
    }

    fn named(&mut self, expr: &Expr, name: &str) -> Result<Typed, CondError> {
        if let Some(typed) = self.fact(expr, name)? {
            return Ok(typed);
        }
        let (slot, metric) = self.slot(expr, name)?;
        let ty = metric.spec().ty;
        Ok(match ty.base {
            Base::Bool => Typed::Truth(Truth::Slot(slot)),
            Base::Text => Typed::Words(Words::Slot(slot)),
            _ => Typed::Num(Num::Slot(slot), ty),
        })
    }

    /// The slot of a signal.
    pub(super) fn slot(&mut self, expr: &Expr, name: &str) -> Result<(u16, Metric), CondError> {
        let metric = Metric::find(name)
            .filter(|m| Self::sees(self.class)(m.spec().class))
            .ok_or_else(|| hint::unknown_name(expr, name, self.class, self.lets))?;
        if !self.metrics.contains(&metric) {
            self.metrics.push(metric);
        }
        let slot = self.slots.iter().position(|m| *m == metric).unwrap_or_else(|| {
            self.slots.push(metric);
            self.slots.len() - 1
        });
        Ok((slot as u16, metric))
    }

    /// A condition.
    pub(super) fn truth(&mut self, expr: &Expr) -> Result<Truth, CondError> {
        match self.any(expr)? {
            Typed::Truth(truth) => Ok(truth),
            other => Err(hint::not_a_condition(expr, other.ty())),
        }
    }

    fn truths(&mut self, many: &[Expr]) -> Result<Box<[Truth]>, CondError> {
        many.iter().map(|e| self.truth(e)).collect()
    }

    /// A quantity; `need` says who wants it.
    pub(super) fn number(&mut self, expr: &Expr, need: &str) -> Result<(Num, Type), CondError> {
        match self.any(expr)? {
            Typed::Num(num, ty) => Ok((num, ty)),
            other => {
                let text = format!("{need}, `{}` is {}", hint::shown(expr), hint::with_article(other.ty()));
                let error = CondError::new(expr.span.clone(), text);
                Err(match &expr.node {
                    Node::Text(text) if text.starts_with(|c: char| c.is_ascii_digit()) => {
                        error.help(format!("write {text} without quotes"))
                    }
                    _ => error,
                })
            }
        }
    }

    fn math(&mut self, whole: &Expr, op: Math, a: &Expr, b: &Expr) -> Result<Typed, CondError> {
        let need = format!("`{}` needs numbers", op.sign());
        let ((left, lt), (right, rt)) = (self.number(a, &need)?, self.number(b, &need)?);
        let ty = match op {
            Math::Add | Math::Subtract if lt == rt => Some(lt),
            Math::Add | Math::Subtract => {
                let what = if op == Math::Add { "add" } else { "subtract" };
                return Err(hint::types_differ(what, (a, lt), (b, rt), whole));
            }
            // `2 * fs.used` is a ratio still, `80% * cpu.count` is so many CPUs.
            Math::Multiply if matches!((lt, rt), (NUMBER, RATIO) | (RATIO, NUMBER)) => {
                let number = if lt == NUMBER { &left } else { &right };
                Some(if number.constant().is_some() { RATIO } else { NUMBER })
            }
            Math::Multiply => product(lt, rt).or(product(rt, lt)),
            Math::Divide => quotient(lt, rt),
        };
        let Some(ty) = ty else {
            let what = if op == Math::Multiply { "multiply" } else { "divide" };
            return Err(CondError::new(whole.span.clone(), format!("cannot {what} {lt} by {rt}")));
        };
        Ok(Typed::Num(Num::Math(op, Box::new([left, right])), ty))
    }

    fn compare(&mut self, whole: &Expr, op: Relation, a: &Expr, b: &Expr) -> Result<Truth, CondError> {
        let clocks = self.clocks.len();
        let (left, right) = (self.any(a)?, self.any(b)?);
        let differ = op == Relation::NotEqual;
        let ordered = !matches!(op, Relation::Equal | Relation::NotEqual);
        let types = (left.ty(), right.ty());
        match (left, right) {
            (Typed::Num(left, ty), Typed::Num(right, other)) if ty == other => {
                let names = [name_of(a, &left), name_of(b, &right)];
                let compare = Compare { relation: op, left, right, ty, names };
                self.set_turning_point(&compare, clocks);
                Ok(Truth::Compare(Box::new(compare)))
            }
            (Typed::Truth(_), Typed::Truth(_)) | (Typed::Words(_), Typed::Words(_)) if ordered => {
                let text = format!("`{}` cannot order {}s", op.sign(), types.0);
                Err(CondError::new(whole.span.clone(), text).help("only `==`, `!=` and `in` compare these"))
            }
            (Typed::Truth(left), Typed::Truth(right)) => Ok(Truth::Same(Box::new((left, right)), differ)),
            (Typed::Words(left), Typed::Words(right)) => {
                guard::check_word((&left, a), (&right, b))?;
                let names = [a.to_string().into(), b.to_string().into()];
                Ok(Truth::Words(Box::new(CompareWords { left, right, differ, names })))
            }
            _ => Err(hint::types_differ("compare", (a, types.0), (b, types.1), whole)),
        }
    }

    /// `age(x) > 5m` turns when x is five minutes old: gives the clock that was noted on the way its turning
    /// point.
    fn set_turning_point(&mut self, compare: &Compare, since: usize) {
        let limit = [&compare.left, &compare.right].into_iter().find(|n| is_fixed(n, &self.slots));
        let plain = |n: &Num| matches!(n, Num::Age(_) | Num::Window(..));
        let [clock] = &mut self.clocks[since..] else { return };
        if plain(&compare.left) || plain(&compare.right) {
            match clock {
                Clock::Age(_, turn) | Clock::Held(_, turn) => *turn = limit.cloned(),
                Clock::Silent(..) | Clock::Missing(..) => {}
            }
        }
    }
}

/// Whether a quantity is the same for as long as an instance is bound: made of literals and attributes.
fn is_fixed(num: &Num, slots: &[Metric]) -> bool {
    match num {
        Num::Const(_) => true,
        Num::Slot(slot) => slots.get(usize::from(*slot)).is_some_and(|m| m.spec().kind == Kind::Attribute),
        Num::Neg(one) | Num::Map(.., one) => is_fixed(one, slots),
        Num::Math(_, sides) => sides.iter().all(|side| is_fixed(side, slots)),
        Num::Fold(.., many) => many.iter().all(|one| is_fixed(one, slots)),
        Num::Window(..) | Num::Age(_) | Num::If(_) | Num::Coalesce(_) => false,
    }
}

/// What a side of a comparison is called; a literal needs no name.
fn name_of(expr: &Expr, num: &Num) -> Option<Box<str>> {
    num.constant().is_none().then(|| expr.to_string().into())
}

/// The type of `a * b` as far as `a` decides it.
pub(super) fn product(a: Type, b: Type) -> Option<Type> {
    match (a.base, a.per_second) {
        (Base::Number, false) => Some(b),
        (Base::Ratio, false) => Some(b),
        (Base::Seconds, false) if b.per_second => Some(Type::of(b.base)),
        (Base::Number, true) if !b.per_second && b.base != Base::Seconds => Some(Type::per_second(b.base)),
        (Base::Ratio, true) if b == NUMBER || b == RATIO => Some(Type::per_second(Base::Ratio)),
        _ => None,
    }
}

pub(super) fn quotient(a: Type, b: Type) -> Option<Type> {
    match b {
        _ if a == b => Some(if a == NUMBER { NUMBER } else { RATIO }),
        NUMBER | RATIO => Some(a),
        Type { base: Base::Seconds, per_second: false } if !a.per_second => Some(Type::per_second(a.base)),
        Type { base, per_second: true } if base == a.base && !a.per_second => Some(Type::of(Base::Seconds)),
        _ => None,
    }
}
