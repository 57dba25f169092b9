//! Saying things in our condition language: trees built by hand, and the clear that goes with a raise.
//!
//! Trees are the engine's own, so their spelling is the canonical one and their depth is bounded there.

use crate::engine::cond::expr::{Expr, Math, Node, Relation, literal};
use crate::engine::cond::parse;
use crate::engine::moment::SECOND;
use crate::engine::signal::{Base, Type};

/// A tree could not be built: too deep or too large.
pub struct TooLarge;

/// A result of building.
pub type Built<T = Expr> = Result<T, TooLarge>;

/// The type of plain numbers.
pub const NUMBER: Type = Type::of(Base::Number);
/// The type of shares.
pub const RATIO: Type = Type::of(Base::Ratio);
/// The type of durations.
pub const SECONDS: Type = Type::of(Base::Seconds);

/// A node.
pub fn node(node: Node) -> Built {
    Expr::new(node, 0..0).map_err(|_| TooLarge)
}

/// A signal or `let`.
pub fn name(name: &str) -> Built {
    node(Node::Name(name.to_owned()))
}

/// A literal in base units.
pub fn number(value: f64, ty: Type) -> Built {
    node(Node::Number(value, ty))
}

/// A duration literal.
pub fn duration(ns: i64) -> Built {
    number(ns as f64 / SECOND as f64, SECONDS)
}

/// A call.
pub fn call(name: &str, args: Vec<Expr>) -> Built {
    node(Node::Call(name.to_owned(), 0..0, args))
}

/// Arithmetic.
pub fn math(op: Math, a: Expr, b: Expr) -> Built {
    node(Node::Math(op, Box::new(a), Box::new(b)))
}

/// A comparison.
pub fn compare(relation: Relation, a: Expr, b: Expr) -> Built {
    node(Node::Compare(relation, Box::new(a), Box::new(b)))
}

/// `a and b`, flat; the same twice is once.
pub fn and(a: Expr, b: Expr) -> Built {
    let list = joined(a, b, |n| if let Node::And(list) = n { Some(list) } else { None });
    single(list, Node::And)
}

/// `a or b`, flat; the same twice is once.
pub fn or(a: Expr, b: Expr) -> Built {
    let list = joined(a, b, |n| if let Node::Or(list) = n { Some(list) } else { None });
    single(list, Node::Or)
}

fn joined(a: Expr, b: Expr, open: fn(&Node) -> Option<&Vec<Expr>>) -> Vec<Expr> {
    let mut list: Vec<Expr> = Vec::new();
    for side in [a, b] {
        let parts = open(&side.node).cloned().unwrap_or_else(|| vec![side]);
        for part in parts {
            if !list.iter().any(|known| known.to_string() == part.to_string()) {
                list.push(part);
            }
        }
    }
    list
}

fn single(mut list: Vec<Expr>, many: fn(Vec<Expr>) -> Node) -> Built {
    match list.len() {
        1 => list.pop().ok_or(TooLarge),
        _ => node(many(list)),
    }
}

/// The opposite, without margin.
pub fn not(cond: Expr) -> Built {
    match cond.node {
        Node::Not(inner) => Ok(*inner),
        Node::Compare(op, a, b) => compare(op.negated(), *a, *b),
        Node::In(one, set, inverted) => node(Node::In(one, set, !inverted)),
        _ => node(Node::Not(Box::new(cond))),
    }
}

/// Our language as text; only for text that is written in this crate around checked numbers and names.
pub fn cond(text: &str) -> Built {
    parse(text).map_err(|_| TooLarge)
}

/// The end of a breach: its opposite, each limit with a margin so that a value that hovers does not flutter,
/// and whether there is any margin in it.
pub fn calm(raise: &Expr) -> Built<(Expr, bool)> {
    let many = |list: &[Expr], join: fn(Expr, Expr) -> Built| {
        let (mut whole, mut any): (Option<Expr>, bool) = (None, false);
        for part in list {
            let (clear, has_margin) = calm(part)?;
            any |= has_margin;
            whole = Some(match whole {
                None => clear,
                Some(before) => join(before, clear)?,
            });
        }
        whole.map(|w| (w, any)).ok_or(TooLarge)
    };
    match &raise.node {
        Node::And(list) => many(list, or),
        Node::Or(list) => many(list, and),
        // `increase(x, 1m) > 0` is over when it is 0 again, not "at most 0".
        Node::Compare(Relation::Greater, a, b) if is_counted(a) && matches!(b.node, Node::Number(0.0, _)) => {
            Ok((compare(Relation::Equal, (**a).clone(), (**b).clone())?, false))
        }
        Node::Compare(op, a, b) => match moved(*op, a, b)? {
            Some(clear) => Ok((clear, true)),
            None => Ok((not(raise.clone())?, false)),
        },
        _ => Ok((not(raise.clone())?, false)),
    }
}

/// The opposite of a comparison with its limit moved away from the breach.
fn moved(op: Relation, a: &Expr, b: &Expr) -> Built<Option<Expr>> {
    let up = match op {
        Relation::Less | Relation::LessOrEqual => true,
        Relation::Greater | Relation::GreaterOrEqual => false,
        Relation::Equal | Relation::NotEqual => return Ok(None),
    };
    if is_counted(a) {
        return Ok(None);
    }
    let end = if up { Relation::Greater } else { Relation::Less };
    let limit = match &b.node {
        Node::Number(value, ty) => margin(*value, *ty, up).map(|v| number(v, *ty)),
        // `load > 2 * cpu.count`
        Node::Math(Math::Multiply, factor, of) => match &factor.node {
            Node::Number(value, ty) => {
                margin(*value, *ty, up).map(|v| math(Math::Multiply, number(v, *ty)?, (**of).clone()))
            }
            _ => None,
        },
        _ => None,
    };
    match limit {
        Some(limit) => Ok(Some(compare(end, a.clone(), limit?)?)),
        None => Ok(None),
    }
}

/// A count: one more or less is the next value, there is no room for a margin.
fn is_counted(expr: &Expr) -> bool {
    match &expr.node {
        Node::Name(name) => name == "proc.count" || name == "plugin.status",
        Node::Call(name, ..) => ["increase", "count", "changes", "delta"].contains(&name.as_str()),
        Node::Math(_, a, b) => is_counted(a) || is_counted(b),
        _ => false,
    }
}

/// A limit moved by a tenth downwards or a fifth upwards, shares by five points at most, to a number that a
/// person would write. `None` when there is no room.
pub fn margin(limit: f64, ty: Type, up: bool) -> Option<f64> {
    let mut by = limit.abs() * if up { 0.2 } else { 0.1 };
    if ty.base == Base::Ratio && !ty.per_second {
        by = by.min(0.05);
    }
    let moved = tidy(if up { limit + by } else { limit - by }, ty);
    let has_moved = if up { moved > limit * (1.0 + 1e-9) } else { moved < limit * (1.0 - 1e-9) };
    let is_possible = ty.base != Base::Ratio || ty.per_second || moved < 1.0;
    (limit > 0.0 && has_moved && is_possible && moved.is_finite()).then_some(moved)
}

/// Rounds to what looks written by hand: whole units for times and sizes, else two digits.
fn tidy(value: f64, ty: Type) -> f64 {
    let units: &[f64] = match ty.base {
        Base::Seconds if value >= 5.0 => &[86_400.0, 3600.0, 60.0, 1.0],
        Base::Bytes => &[1_099_511_627_776.0, 1_073_741_824.0, 1_048_576.0, 1024.0, 1.0],
        Base::Ratio if value >= 0.1 => &[0.01],
        Base::Ratio if value >= 0.01 => &[0.001],
        _ => &[],
    };
    match units.iter().find(|u| value / **u >= 5.0) {
        Some(unit) => (value / unit).round() * unit,
        None => format!("{value:.1e}").parse().unwrap_or(value),
    }
}

/// A duration as the configuration writes it: `90s`, `1h`, `500ms`.
pub fn span(ns: i64) -> String {
    if ns == 0 {
        "0s".to_owned()
    } else {
        in_ms(ns).unwrap_or_else(|| literal(ns as f64 / SECOND as f64, SECONDS))
    }
}

fn in_ms(ns: i64) -> Option<String> {
    (ns % SECOND != 0).then(|| format!("{}ms", (ns / 1_000_000).max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clear_is_the_opposite_with_a_margin() {
        for (raise, clear, has_margin) in [
            ("fs.used > 90%", "fs.used < 85%", true),
            ("fs.avail / fs.size < 5%", "fs.avail / fs.size > 6%", true),
            ("fs.avail / fs.size < 3%", "fs.avail / fs.size > 3.6%", true),
            ("fs.used >= 95%", "fs.used < 90%", true),
            ("fs.used > 30%", "fs.used < 27%", true),
            ("fs.avail < 10GiB", "fs.avail > 12GiB", true),
            ("fs.avail < 1GiB", "fs.avail > 1229MiB", true),
            ("check.cert_left < 14d", "check.cert_left > 17d", true),
            ("check.latency > 500ms", "check.latency < 0.45s", true),
            ("load.avg1 > 2 * cpu.count", "load.avg1 < 1.8 * cpu.count", true),
            ("load.avg1 > cpu.count", "load.avg1 <= cpu.count", false),
            ("proc.count < 1", "proc.count >= 1", false),
            ("increase(unit.restarts, 10m) > 5", "increase(unit.restarts, 10m) <= 5", false),
            ("forecast(fs.avail, 6h, 1d) < 0B", "forecast(fs.avail, 6h, 1d) >= 0B", false),
            ("fs.readonly", "not fs.readonly", false),
            ("not check.up", "check.up", false),
            ("unit.state == 'failed'", "unit.state != 'failed'", false),
            ("unit.state in ['a', 'b']", "unit.state not in ['a', 'b']", false),
            ("fs.used > 90% and not fs.readonly", "fs.used < 85% or fs.readonly", true),
            ("fs.used > 90% or fs.readonly", "fs.used < 85% and not fs.readonly", true),
            ("avg(net.rx, 5m) > 100MiB/s", "avg(net.rx, 5m) < 90MiB/s", true),
        ] {
            let tree = parse(raise).unwrap();
            let (found, moved) = calm(&tree).ok().unwrap();
            assert_eq!(found.to_string(), parse(clear).unwrap().to_string(), "{raise}");
            assert_eq!(moved, has_margin, "{raise}");
        }
    }

    #[test]
    fn durations_are_written_as_a_person_would() {
        for (ns, text) in [(0, "0s"), (90, "90s"), (3600, "1h"), (900, "15m")] {
            assert_eq!(span(ns * SECOND), text);
        }
        assert_eq!(span(500_000_000), "500ms");
    }
}
