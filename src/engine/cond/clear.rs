//! The clear condition of a rule that gives none.
//!
//! One numeric comparison gets a margin of 5 % of its limit against flutter; everything else is plainly
//! negated. Things that are counted have no margin (`proc.count < 1` must clear at 1, not at 1.05), and a
//! ratio is not pushed out of 0 %…100 %, where it would never clear.

use std::sync::Arc;

use super::Cond;
use super::expr::{Math, Relation};
use super::program::{Compare, Num, Program, Root, Truth};
use crate::engine::func::Which;
use crate::engine::signal::{Base, Kind, Metric, Type, metric};
use crate::engine::window::Keeps;

const MARGIN: f64 = 0.05;

/// Gauges that count things.
const COUNTS: &[Metric] = &[metric("proc.count"), metric("cpu.count")];

/// The clear condition of a rule that gives none: `not raise`, with a 5 % margin if raise is one numeric
/// comparison.
pub fn default_clear(raise: &Cond) -> Cond {
    let program = raise.program.as_ref();
    let with_margin = match &program.root {
        Root::Truth(Truth::Compare(compare)) => widened(compare, program),
        _ => None,
    };
    let (root, text) = with_margin.unwrap_or_else(|| negated(program));
    let program = Program { root: Root::Truth(root), canonical: text.clone(), ..program.clone() };
    Cond { source: text, program: Arc::new(program), expr: None }
}

fn negated(program: &Program) -> (Truth, String) {
    let root = match &program.root {
        Root::Truth(truth) => truth.clone(),
        // Only `let` yields anything else, and a `let` has no clear condition.
        Root::Num(_) | Root::Words(_) => Truth::Const(true),
    };
    if let Truth::Compare(compare) = root {
        let clear = Compare { relation: compare.relation.negated(), ..*compare };
        let text = clear.text();
        return (Truth::Compare(Box::new(clear)), text);
    }
    (Truth::Not(Box::new(root)), format!("not ({})", program.canonical))
}

/// `x > L` clears at `x <= L - 5 %`, `x < L` at `x >= L + 5 %`.
fn widened(compare: &Compare, program: &Program) -> Option<(Truth, String)> {
    let is_limit_left = compare.names[0].is_none();
    let (value, limit) = match is_limit_left {
        true => (&compare.right, &compare.left),
        false => (&compare.left, &compare.right),
    };
    // Seen from the value: how it lies to its limit while the rule is raised.
    let raised = if is_limit_left { compare.relation.swapped() } else { compare.relation };
    let up = match raised {
        Relation::Greater | Relation::GreaterOrEqual => false,
        Relation::Less | Relation::LessOrEqual => true,
        Relation::Equal | Relation::NotEqual => return None,
    };
    if counts(value, program) {
        return None;
    }
    let (limit, name) = match limit.constant() {
        Some(fixed) => {
            let moved = within(fixed + if up { MARGIN } else { -MARGIN } * fixed.abs(), fixed, compare.ty);
            (Num::Const(moved), None)
        }
        None => {
            let name = compare.names[usize::from(!is_limit_left)].as_deref().unwrap_or_default();
            let size = Num::Map(Which::named("abs"), f64::abs, Box::new(limit.clone()));
            let margin = Num::Math(Math::Multiply, Box::new([Num::Const(MARGIN), size]));
            let (op, sign) = if up { (Math::Add, "+") } else { (Math::Subtract, "-") };
            let text = format!("({name}) {sign} 5% * abs({name})");
            (Num::Math(op, Box::new([limit.clone(), margin])), Some(text.into()))
        }
    };
    let relation = if up { Relation::GreaterOrEqual } else { Relation::LessOrEqual };
    let value_name = compare.names[usize::from(is_limit_left)].clone();
    let names = [value_name, name];
    let clear = Compare { relation, left: value.clone(), right: limit, ty: compare.ty, names };
    let text = clear.text();
    Some((Truth::Compare(Box::new(clear)), text))
}

/// A ratio limit inside 0..1 stays there.
fn within(moved: f64, fixed: f64, ty: Type) -> f64 {
    let is_share = ty == Type::of(Base::Ratio) && (0.0..=1.0).contains(&fixed);
    if is_share { moved.clamp(0.0, 1.0) } else { moved }
}

/// Whether a value counts things, so that the next possible value below 1 is 0.
fn counts(num: &Num, program: &Program) -> bool {
    let signal = |slot: u16| program.slots.get(usize::from(slot)).copied();
    match num {
        Num::Const(n) => n.fract() == 0.0,
        Num::Slot(slot) => {
            signal(*slot).is_some_and(|m| COUNTS.contains(&m) || m.spec().kind == Kind::Counter)
        }
        Num::Neg(one) | Num::Map(.., one) => counts(one, program),
        Num::Math(Math::Divide, _) | Num::Age(_) => false,
        Num::Math(_, sides) => sides.iter().all(|s| counts(s, program)),
        Num::Fold(.., many) => many.iter().all(|s| counts(s, program)),
        Num::If(parts) => counts(&parts.1, program) && counts(&parts.2, program),
        Num::Coalesce(two) => counts(&two.0, program),
        Num::Window(index, which, ..) => match program.windows.get(usize::from(*index)) {
            None => false,
            Some(window) => match window.keeps {
                Keeps::Growth | Keeps::Total => is_whole(*which),
                Keeps::Changes | Keeps::Events => true,
                Keeps::Extremes | Keeps::Ends => window.slots.iter().all(|m| COUNTS.contains(m)),
                Keeps::Line | Keeps::Medians | Keeps::Quantiles | Keeps::Spread => false,
                Keeps::Smooth | Keeps::Slots(_) | Keeps::Held => false,
            },
        },
    }
}

/// `count` and `increase` give whole numbers; `avg`, `frac` and `rate`, which read the same windows, do not.
fn is_whole(which: Which) -> bool {
    ["count", "increase"].contains(&which.spec().name)
}
