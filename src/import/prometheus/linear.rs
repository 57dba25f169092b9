//! A value of Prometheus as a straight line over one expression of ours: `a * e + b + t * now`.
//!
//! Percentages, shares of the rest and offsets (`100 - idle * 100`) are only other `a` and `b`: so a limit is
//! moved over to our side of the comparison and written in our unit, and nothing is computed twice. `t` is
//! for time stamps: a difference of two has none left.

use super::super::say::{self, Built, NUMBER, RATIO};
use super::super::subject;
use crate::engine::cond::expr::{Expr, Math, Node};
use crate::engine::signal::{Base, Metric, Type};

/// A linear value; without `e` it is a constant, or the time.
#[derive(Clone, Debug)]
pub struct Linear {
    /// Ours, with its type.
    pub e: Option<(Expr, Type)>,
    /// Factor of `e`.
    pub a: f64,
    /// What is added.
    pub b: f64,
    /// Factor of the time.
    pub t: f64,
}

/// A step of arithmetic that has no meaning here.
pub enum Stuck {
    /// The units do not go together.
    Units(Type, Type),
    /// Time stamps are multiplied or divided.
    Time,
    /// Two constants, or something of which there is too much.
    Other,
}

impl From<say::TooLarge> for Stuck {
    fn from(_: say::TooLarge) -> Self {
        Stuck::Other
    }
}

/// A result of arithmetic.
pub type Done<T = Linear> = Result<T, Stuck>;

impl Linear {
    /// A number.
    pub fn constant(b: f64) -> Self {
        Self { e: None, a: 0.0, b, t: 0.0 }
    }

    /// `a * e`.
    pub fn of(e: Expr, ty: Type, a: f64) -> Self {
        Self { e: Some((e, ty)), a, b: 0.0, t: 0.0 }
    }

    /// The number it is, when it is one.
    pub fn number(&self) -> Option<f64> {
        (self.e.is_none() && self.t == 0.0).then_some(self.b)
    }

    /// Times a number.
    #[must_use]
    pub fn times(self, k: f64) -> Self {
        Self { e: self.e, a: self.a * k, b: self.b * k, t: self.t * k }
    }

    /// The same line over another expression of ours.
    pub fn over(&self, change: impl FnOnce(Expr) -> Built, ty: Type) -> Done {
        let Some((e, _)) = self.e.clone() else { return Err(Stuck::Other) };
        Ok(Self { e: Some((change(e)?, ty)), ..*self })
    }

    /// As an expression of ours with its type; `scale` is taken out first: 100 for percent.
    pub fn expr(&self) -> Done<(Expr, Type)> {
        let Some((e, ty)) = self.e.clone() else {
            return if self.t == 0.0 { Ok((say::number(self.b, NUMBER)?, NUMBER)) } else { Err(Stuck::Time) };
        };
        if self.t != 0.0 {
            return Err(Stuck::Time);
        }
        if self.b != 0.0 && self.a < 0.0 {
            let rest = times(e, -self.a)?;
            return Ok((say::math(Math::Subtract, say::number(self.b, ty)?, rest)?, ty));
        }
        let scaled = if self.a < 0.0 {
            say::node(Node::Neg(Box::new(times(e, -self.a)?)))?
        } else {
            times(e, self.a)?
        };
        if self.b == 0.0 {
            return Ok((scaled, ty));
        }
        let (op, b) = if self.b < 0.0 { (Math::Subtract, -self.b) } else { (Math::Add, self.b) };
        Ok((say::math(op, scaled, say::number(b, ty)?)?, ty))
    }

    /// As [`Linear::expr`], in our unit rather than theirs: what is 100 times a share there is a share here.
    pub fn natural(&self) -> Done<(Expr, Type)> {
        let size = self.a.abs();
        if self.e.is_none() || size == 0.0 {
            return self.expr();
        }
        self.clone().times(1.0 / size).expr()
    }

    /// Sum, or with `sign` -1 difference.
    pub fn plus(self, other: Linear, sign: f64) -> Done {
        let other = other.times(sign);
        let (b, t) = (self.b + other.b, self.t + other.t);
        let (left, right) = match (&self.e, &other.e) {
            (_, None) => return Ok(Self { b, t, ..self }),
            (None, _) => return Ok(Self { b, t, ..other }),
            (Some(l), Some(r)) => (l, r),
        };
        if left.1 != right.1 {
            return Err(Stuck::Units(left.1, right.1));
        }
        let ty = left.1;
        let (l, r) = (left.0.clone(), right.0.clone());
        // The sign of the first goes to the outside; the second is weighed against it.
        let k = other.a / self.a;
        let (op, rest) = if k < 0.0 { (Math::Subtract, times(r, -k)?) } else { (Math::Add, times(r, k)?) };
        let (first, op, second, a) = match self.a < 0.0 && other.a > 0.0 {
            true => (right.0.clone(), Math::Subtract, times(l, -self.a / other.a)?, other.a),
            false => (l, op, rest, self.a),
        };
        let sum = memory_that_can_be_had(say::math(op, first, second)?)?;
        Ok(Self { e: Some((sum, ty)), a, b, t })
    }

    /// Product.
    pub fn product(self, other: Linear) -> Done {
        if let Some(k) = other.number() {
            return Ok(self.times(k));
        }
        if let Some(k) = self.number() {
            return Ok(other.times(k));
        }
        let ((l, lt), (r, rt)) = (self.expr()?, other.expr()?);
        let ty = match (lt, rt) {
            (RATIO, NUMBER) | (NUMBER, RATIO) => NUMBER,
            (NUMBER | RATIO, ty) | (ty, NUMBER | RATIO) => ty,
            _ => return Err(Stuck::Units(lt, rt)),
        };
        Ok(Self::of(say::math(Math::Multiply, l, r)?, ty, 1.0))
    }

    /// Quotient.
    pub fn quotient(self, other: Linear) -> Done {
        if let Some(k) = other.number() {
            return if k == 0.0 { Err(Stuck::Other) } else { Ok(self.times(1.0 / k)) };
        }
        // Factors of both sides go to the outside, so that `x * 100 / y` is 100 times a share.
        let factor = |l: &Linear| if l.b == 0.0 && l.e.is_some() { l.a } else { 1.0 };
        let (fl, fr) = (factor(&self), factor(&other));
        let ((l, lt), (r, rt)) = (self.times(1.0 / fl).expr()?, other.times(1.0 / fr).expr()?);
        if let Some(known) = known_quotient(&l, &r)? {
            return Ok(known.times(fl / fr));
        }
        let ty = match (lt, rt) {
            (NUMBER, NUMBER) => NUMBER,
            _ if lt == rt => RATIO,
            (ty, NUMBER | RATIO) => ty,
            _ => return Err(Stuck::Units(lt, rt)),
        };
        Ok(Self::of(say::math(Math::Divide, l, r)?, ty, fl / fr))
    }
}

/// `k * e`, without the factor when it is 1; a share as percent.
pub fn times(e: Expr, k: f64) -> Built {
    if (k - 1.0).abs() < 1e-9 {
        return Ok(e);
    }
    let ty = if k < 1.0 && k > 0.0 { RATIO } else { NUMBER };
    say::math(Math::Multiply, say::number(k, ty)?, e)
}

/// The type of a signal, or of what only stands for one.
pub fn type_of(signal: &str) -> Type {
    if let Some(metric) = Metric::find(signal) {
        return metric.spec().ty;
    }
    match signal {
        "there.read_time" | "there.write_time" => RATIO,
        "there.speed" => Type::per_second(Base::Bytes),
        "there.reads" | "there.writes" | "there.packets" => Type::per_second(Base::Number),
        name if name.starts_with("there.mem") => Type::of(Base::Bytes),
        _ => NUMBER,
    }
}

/// Free + buffers + cached, as it was asked before kernels had MemAvailable.
fn memory_that_can_be_had(sum: Expr) -> Built {
    fn terms<'e>(e: &'e Expr, all: &mut Vec<&'e str>) -> bool {
        match &e.node {
            Node::Name(name) => {
                all.push(name);
                true
            }
            Node::Math(Math::Add, a, b) => terms(a, all) && terms(b, all),
            _ => false,
        }
    }
    let mut all = Vec::new();
    let is_sum = terms(&sum, &mut all);
    let has = |name: &str| all.contains(&name);
    let is_known = |n: &&str| n.starts_with("there.mem") || *n == "mem.available";
    if is_sum
        && all.iter().all(is_known)
        && (has("there.mem_free") || has("mem.available"))
        && has("there.mem_cached")
        || is_sum && has("mem.available") && all.iter().all(is_known)
    {
        // Without buffers it is a little less; what is left is said where names are looked through.
        return say::name("mem.available");
    }
    Ok(sum)
}

/// Quotients that are a signal as a whole.
fn known_quotient(l: &Expr, r: &Expr) -> Done<Option<Linear>> {
    let (left, right) = (l.to_string(), r.to_string());
    let share = match (left.as_str(), right.as_str()) {
        ("there.inodes_free", "there.inodes") => Some(("fs.inodes_used", -1.0)),
        ("there.inodes - there.inodes_free", "there.inodes") => Some(("fs.inodes_used", 1.0)),
        ("there.files", "there.files_limit") => Some(("fd.used", 1.0)),
        ("there.connections", "there.connections_limit") => Some(("conntrack.used", 1.0)),
        _ => None,
    };
    if let Some((used, a)) = share {
        // What is free is 1 - what is used.
        let b = if a < 0.0 { 1.0 } else { 0.0 };
        return Ok(Some(Linear { b, ..Linear::of(say::name(used)?, RATIO, a) }));
    }
    if let Node::Math(Math::Multiply, inner, count) = &l.node
        && count.to_string() == right
        && right == "cpu.count"
    {
        return Ok(Some(Linear::of((**inner).clone(), RATIO, 1.0)));
    }
    let only = |e: &Expr, names: &[&str]| {
        let found = subject::names(e);
        !found.is_empty() && found.iter().all(|n| names.contains(&n.as_str()))
    };
    if only(l, &["there.read_time", "there.write_time"]) && only(r, &["there.reads", "there.writes"]) {
        let seconds = Type::of(Base::Seconds);
        let latency = say::name("disk.latency")?;
        let whole = match window(l) {
            Some(w) => say::call("avg", vec![latency, w])?,
            None => latency,
        };
        return Ok(Some(Linear::of(whole, seconds, 1.0)));
    }
    Ok(None)
}

/// The window of the first call in an expression.
fn window(e: &Expr) -> Option<Expr> {
    if let Node::Call(_, _, args) = &e.node {
        return args.get(1).cloned();
    }
    let mut found = None;
    e.children(|child| found = found.take().or_else(|| window(child)));
    found
}
