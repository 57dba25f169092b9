//! Which signals a condition compares with which fixed limits: what plots draw and lints look at.

use super::expr::Relation;
use super::program::{Compare, Input, Num, Program, Root, Truth};
use crate::engine::signal::Metric;

/// A comparison of a signal with a fixed limit, seen from the signal.
#[derive(Clone, Copy, Debug)]
pub struct Compared<'p> {
    /// The signal: itself, or what a window makes of it without changing its type.
    pub metric: Metric,
    /// How it lies to the limit when the comparison holds.
    pub relation: Relation,
    /// The limit in base units.
    pub limit: f64,
    /// The comparison as it stands.
    pub compare: &'p Compare,
}

impl Program {
    /// Every comparison of a signal with a constant, in the order written; those within windows
    /// (`frac(cpu.busy > 90%, 10m)`) too.
    pub fn comparisons(&self) -> Vec<Compared<'_>> {
        let mut all = Vec::new();
        if let Root::Truth(truth) = &self.root {
            self.walk(truth, &self.slots, &mut all);
        }
        all
    }

    fn walk<'p>(&'p self, truth: &'p Truth, slots: &'p [Metric], all: &mut Vec<Compared<'p>>) {
        match truth {
            Truth::Compare(compare) => self.compared(compare, slots, all),
            Truth::Not(one) => self.walk(one, slots, all),
            Truth::And(many) | Truth::Or(many) => many.iter().for_each(|t| self.walk(t, slots, all)),
            Truth::If(three) => {
                [&three.0, &three.1, &three.2].into_iter().for_each(|t| self.walk(t, slots, all))
            }
            Truth::Same(two, _) | Truth::Coalesce(two) => {
                [&two.0, &two.1].into_iter().for_each(|t| self.walk(t, slots, all));
            }
            Truth::Const(_) | Truth::Slot(_) | Truth::Words(_) | Truth::Fact(_) => {}
            Truth::Silent(..) | Truth::Missing(..) | Truth::Unseen(..) => {}
        }
    }

    fn compared<'p>(&'p self, compare: &'p Compare, slots: &'p [Metric], all: &mut Vec<Compared<'p>>) {
        let signal = |num: &Num| self.signal_of(num, slots).filter(|m| m.spec().ty == compare.ty);
        if let (Some(metric), Some(limit)) = (signal(&compare.left), compare.right.constant()) {
            all.push(Compared { metric, relation: compare.relation, limit, compare });
        } else if let (Some(metric), Some(limit)) = (signal(&compare.right), compare.left.constant()) {
            all.push(Compared { metric, relation: compare.relation.swapped(), limit, compare });
        }
        self.inside(&compare.left, all);
        self.inside(&compare.right, all);
    }

    /// Conditions within a window.
    fn inside<'p>(&'p self, num: &'p Num, all: &mut Vec<Compared<'p>>) {
        match num {
            Num::Window(index, ..) => {
                if let Some(window) = self.windows.get(usize::from(*index))
                    && let Input::Truth(truth) = &window.input
                {
                    self.walk(truth, &window.slots, all);
                }
            }
            Num::Neg(one) | Num::Map(.., one) => self.inside(one, all),
            Num::Math(_, two) => two.iter().for_each(|n| self.inside(n, all)),
            Num::Fold(.., many) => many.iter().for_each(|n| self.inside(n, all)),
            _ => {}
        }
    }

    fn signal_of(&self, num: &Num, slots: &[Metric]) -> Option<Metric> {
        match num {
            Num::Slot(slot) => slots.get(usize::from(*slot)).copied(),
            Num::Window(index, ..) => {
                let window = self.windows.get(usize::from(*index))?;
                match &window.input {
                    Input::Num(num) => self.signal_of(num, &window.slots),
                    _ => None,
                }
            }
            Num::Fold(.., many) => many.iter().find_map(|n| self.signal_of(n, slots)),
            Num::Coalesce(two) => self.signal_of(&two.0, slots),
            _ => None,
        }
    }
}

impl Compare {
    /// The one spelling of it: `fs.used > 85%`.
    pub fn text(&self) -> String {
        format!("{} {} {}", self.side(false), self.relation.sign(), self.side(true))
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::cond::compile;
    use crate::engine::signal::Class;

    #[test]
    fn limits_are_found_wherever_a_signal_meets_one() {
        for (source, class, expected) in [
            ("fs.used > 85% and fs.avail < 1GiB", Class::Fs, vec!["fs.used > 85%", "fs.avail < 1GiB"]),
            ("frac(cpu.busy > 90%, 10m) >= 80%", Class::Host, vec!["cpu.busy > 90%"]),
            ("not (90% < avg(cpu.busy, 5m))", Class::Host, vec!["90% < avg(cpu.busy, 5m)"]),
            ("least(swap.in, swap.out) > 4MiB/s", Class::Host, vec!["least(swap.in, swap.out) > 4MiB/s"]),
            ("rate(kernel.oom_kills, 5m) > 1/m or load.avg1 > cpu.count", Class::Host, vec![]),
        ] {
            let cond = compile(source, class, &[]).expect(source);
            let found: Vec<String> = cond.program().comparisons().iter().map(|c| c.compare.text()).collect();
            assert_eq!(found, expected, "{source}");
        }
    }
}
