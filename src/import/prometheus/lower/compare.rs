//! Comparisons: a limit is moved over to our side and written in our unit.

use super::super::linear::{Done, Linear, Stuck, times};
use super::{Lower, Lowered, Value, Vector};
use crate::engine::cond::expr::{Expr, Math, Node, Relation};
use crate::engine::signal::{Base, Type};
use crate::import::prometheus::promql::{Binary, Expr as Prom};
use crate::import::say::{self, NUMBER, RATIO};
use crate::import::subject;

impl Lower<'_> {
    pub(super) fn compare(&mut self, e: &Prom, b: &Binary) -> Lowered<Vector> {
        let (left, right) = (self.lower(&b.left)?, self.lower(&b.right)?);
        let Some((op, _)) = Relation::ALL.iter().find(|(_, sign)| *sign == b.op) else {
            return self.fail(e, format!("`{}` has no counterpart", b.op), "");
        };
        let when = self.both(e, left.when.clone(), right.when.clone())?;
        let is_number = |v: &Vector| matches!(&v.value, Value::Line(l) if l.number().is_some());
        // The limit goes to the right; what is compared is what the alert's value is.
        let (subject, limit, op, at) = match is_number(&left) && !is_number(&right) {
            true => (right, left, op.swapped(), &b.right),
            false => (left, right, *op, &b.left),
        };
        let bound = self.line(&b.right, &limit)?;
        let is_above_nothing = b.op == ">" && bound.number() == Some(0.0);
        let cond = match (&subject.value, bound.number()) {
            (Value::Truth(cond), Some(k)) => self.truth(e, cond, op, k)?,
            (Value::Count, Some(k))
                if op == Relation::Greater && k == 0.0 || op == Relation::GreaterOrEqual && k == 1.0 =>
            {
                let Some(cond) = subject.when.clone() else { return self.fail(e, "counts nothing", "") };
                self.remark(
                    "there it is one alert for all objects together; here each has its own".to_owned(),
                );
                return Ok(Vector { when: Some(cond), ..subject });
            }
            _ => {
                let line = self.line(at, &subject)?;
                if line.e.is_none() && bound.e.is_none() {
                    return self.fail(
                        e,
                        "compares the time of day or a constant",
                        "hours belong into a [[window]]",
                    );
                }
                let compared = relation(line, op, bound);
                self.done(e, compared)?
            }
        };
        let guards = ["there.reads", "there.writes", "there.packets"];
        if is_above_nothing && subject::names(&cond).iter().all(|n| guards.contains(&n.as_str())) {
            // Where there were none, the time per request is unknown, and unknown raises nothing.
            return Ok(Vector::of(Value::Info));
        }
        let cond = self.status(e, cond)?;
        if b.is_bool {
            return Ok(Vector { value: Value::Truth(cond), when, cpus: subject.cpus });
        }
        let when = self.both(e, when, Some(cond))?;
        Ok(Vector { when, ..subject })
    }

    /// `x == 0` of something that is 0 or 1.
    fn truth(&self, e: &Prom, cond: &Expr, op: Relation, k: f64) -> Lowered<Expr> {
        let holds = |v: f64| match op {
            Relation::Less => v < k,
            Relation::LessOrEqual => v <= k,
            Relation::Greater => v > k,
            Relation::GreaterOrEqual => v >= k,
            Relation::Equal => (v - k).abs() < 1e-9,
            Relation::NotEqual => (v - k).abs() >= 1e-9,
        };
        match (holds(1.0), holds(0.0)) {
            (true, false) => Ok(cond.clone()),
            (false, true) => self.built(e, say::not(cond.clone())),
            (always, _) => {
                let word = if always { "always" } else { "never" };
                self.fail(e, format!("is {word} true of what is 0 or 1"), "")
            }
        }
    }

    /// A status code that is not good is a check that is not up: which are good, the check itself says.
    fn status(&mut self, e: &Prom, cond: Expr) -> Lowered<Expr> {
        if subject::names(&cond) != ["there.http_status"] {
            return Ok(cond);
        }
        self.differs(
            e,
            "which status codes are good is said by `status` of the [[check]], by default 2xx and 3xx",
        );
        self.built(e, say::cond("not check.up"))
    }
}

/// `line op bound` in our units.
fn relation(line: Linear, op: Relation, bound: Linear) -> Done<Expr> {
    if (line.t - bound.t).abs() > 1e-9 {
        return Err(Stuck::Time);
    }
    let (line, op, bound) = match line.e.is_none() {
        true => (bound, op.swapped(), line),
        false => (line, op, bound),
    };
    let Some((e, ty)) = line.e.clone() else { return Err(Stuck::Other) };
    let op = if line.a < 0.0 { op.swapped() } else { op };
    let rest = (bound.b - line.b) / line.a;
    let Some((other, other_ty)) = bound.e.clone() else {
        return constant(e, ty, op, rest);
    };
    let is_like = ty == other_ty || matches!((ty, other_ty), (NUMBER, RATIO) | (RATIO, NUMBER));
    if !is_like {
        return Err(Stuck::Units(ty, other_ty));
    }
    if ty != other_ty {
        // `0.9 * cpu.count` is a number of CPUs, `cpu.busy` a share: one of them becomes the other.
        return Err(Stuck::Units(ty, other_ty));
    }
    let k = bound.a / line.a;
    let scaled = if k < 0.0 {
        // `a > -b` is `a + b > 0`.
        let sum = say::math(Math::Add, e, times(other, -k)?)?;
        return constant(sum, ty, op, rest);
    } else {
        times(other, k)?
    };
    let right = match rest {
        0.0 => scaled,
        rest => Linear { b: rest, ..Linear::of(scaled, ty, 1.0) }.expr()?.0,
    };
    Ok(say::compare(op, e, right)?)
}

/// `e op limit`.
fn constant(e: Expr, ty: Type, op: Relation, limit: f64) -> Done<Expr> {
    if !limit.is_finite() {
        return Err(Stuck::Other);
    }
    // `100% - x < 10%` is `x > 90%`.
    if let Node::Math(Math::Subtract, whole, x) = &e.node
        && let Node::Number(whole, _) = whole.node
    {
        return constant((**x).clone(), ty, op.swapped(), whole - limit);
    }
    let names = subject::names(&e);
    // Free inodes ahead below zero: used ones ahead above all of them.
    if names == ["there.inodes_free"] && limit == 0.0 {
        let used =
            e.expand(&|n| (n == "there.inodes_free").then(|| say::name("fs.inodes_used").ok()).flatten());
        let used = used.map_err(|_| Stuck::Other)?;
        let op = if op.swapped() == Relation::Greater { Relation::GreaterOrEqual } else { op.swapped() };
        return Ok(say::compare(op, used, say::number(1.0, RATIO)?)?);
    }
    let ty = if ty.base == Base::Text || ty.base == Base::Bool { NUMBER } else { ty };
    Ok(say::compare(op, e, say::number(tidy(limit), ty)?)?)
}

/// Hides the last bits of `(100 - 95) / 100`.
fn tidy(limit: f64) -> f64 {
    format!("{limit:.11e}").parse().unwrap_or(limit)
}
