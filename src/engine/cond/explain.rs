//! Why a verdict is what it is: the comparisons that decided it, with their numbers.

use super::program::{Compare, CompareWords, Num, Program, Root, Truth, View};
use super::units::human;
use crate::engine::moment;
use crate::engine::signal::Metric;

/// Most comparisons named in one sentence.
const MOST: usize = 6;

impl Program {
    /// The comparisons that made the condition true (or false): `fs.used 91.2 % > 85 % and left 2d 3h < 3d`.
    pub fn why<V: View>(&self, view: &V) -> String {
        let Root::Truth(root) = &self.root else { return String::new() };
        let mut parts = Vec::new();
        if let Some(verdict) = root.eval(view) {
            self.decided(root, verdict, view, &mut parts);
        }
        parts.dedup();
        if parts.len() > MOST {
            let more = parts.len() - MOST;
            parts.truncate(MOST);
            parts.push(format!("{more} more"));
        }
        parts.join(" and ")
    }

    /// Collects the comparisons below `truth` that made it `verdict`.
    fn decided<V: View>(&self, truth: &Truth, verdict: bool, view: &V, parts: &mut Vec<String>) {
        match truth {
            Truth::Const(_) => {}
            Truth::Not(one) => self.decided(one, !verdict, view, parts),
            Truth::And(many) | Truth::Or(many) => {
                // `and` is true, `or` false, by all of them; the other way round by those that say so.
                for one in many.iter().filter(|one| one.eval(view) == Some(verdict)) {
                    self.decided(one, verdict, view, parts);
                }
            }
            Truth::Compare(compare) => parts.push(compare.sentence(verdict, view)),
            Truth::Words(compare) => parts.push(compare.sentence(view)),
            Truth::Slot(slot) => parts.push(format!("{} is {verdict}", self.name(*slot))),
            Truth::Silent(slot, _) => {
                let age = view.silent(*slot).unwrap_or_else(|| view.waited(*slot)) as f64 / 1e9;
                let seconds = crate::engine::signal::Type::of(crate::engine::signal::Base::Seconds);
                parts.push(format!("{} last seen {} ago", self.name(*slot), human(age, seconds)));
            }
            Truth::Missing(slot, _) => parts.push(match view.missing(*slot) {
                Some(ns) => format!("no value of {} for {}", self.name(*slot), moment::human(ns)),
                None => format!("there is a value of {}", self.name(*slot)),
            }),
            Truth::Unseen(slot, _) => parts.push(match view.age(*slot) {
                Some(_) => format!("{} was seen", self.name(*slot)),
                None => {
                    let waited = moment::human(view.waited(*slot));
                    format!("{} was never seen in {waited}", self.name(*slot))
                }
            }),
            Truth::Fact(fact) => parts.push(format!("{} is {verdict}", fact.name())),
            Truth::Same(two, _) => {
                for side in [&two.0, &two.1] {
                    if let Some(value) = side.eval(view) {
                        self.decided(side, value, view, parts);
                    }
                }
            }
            Truth::If(branches) => {
                let Some(cond) = branches.0.eval(view) else { return };
                self.decided(&branches.0, cond, view, parts);
                self.decided(if cond { &branches.1 } else { &branches.2 }, verdict, view, parts);
            }
            Truth::Coalesce(two) => {
                let side = if two.0.eval(view).is_some() { &two.0 } else { &two.1 };
                self.decided(side, verdict, view, parts);
            }
        }
    }

    fn name(&self, slot: u16) -> &'static str {
        self.slots.get(usize::from(slot)).map_or("?", |m| m.name())
    }

    /// Value and limit of the first numeric comparison; NaN where unknown.
    pub fn value_and_limit<V: View>(&self, view: &V) -> Option<(f64, f64)> {
        let compare = self.first_comparison()?;
        let (left, right) = (compare.left.eval(view), compare.right.eval(view));
        Some(if compare.names[0].is_none() { (right, left) } else { (left, right) })
    }

    /// The first numeric comparison in the order written.
    pub fn first_comparison(&self) -> Option<&Compare> {
        match &self.root {
            Root::Truth(truth) => first(truth, &|_| true),
            _ => None,
        }
    }

    /// The limit that one signal is compared with directly, when it is a constant.
    pub fn limit_of(&self, metric: Metric) -> Option<f64> {
        let Root::Truth(truth) = &self.root else { return None };
        let is_it = |n: &Num| matches!(n, Num::Slot(s) if self.slots.get(usize::from(*s)) == Some(&metric));
        let direct = |c: &Compare| {
            (is_it(&c.left) && c.right.constant().is_some())
                || (is_it(&c.right) && c.left.constant().is_some())
        };
        let compare = first(truth, &direct)?;
        compare.left.constant().or(compare.right.constant())
    }
}

fn first<'a>(truth: &'a Truth, wanted: &dyn Fn(&Compare) -> bool) -> Option<&'a Compare> {
    match truth {
        Truth::Compare(compare) => wanted(compare).then_some(compare),
        Truth::Not(one) => first(one, wanted),
        Truth::And(many) | Truth::Or(many) => many.iter().find_map(|t| first(t, wanted)),
        Truth::If(three) => [&three.0, &three.1, &three.2].into_iter().find_map(|t| first(t, wanted)),
        Truth::Coalesce(two) | Truth::Same(two, _) => {
            [&two.0, &two.1].into_iter().find_map(|t| first(t, wanted))
        }
        Truth::Const(_) | Truth::Slot(_) | Truth::Words(_) | Truth::Silent(..) => None,
        Truth::Missing(..) | Truth::Unseen(..) | Truth::Fact(_) => None,
    }
}

impl Compare {
    /// `fs.used 91.2 % > 85 %`; when it was false, with the relation that held instead.
    fn sentence<V: View>(&self, held: bool, view: &V) -> String {
        let relation = if held { self.relation } else { self.relation.negated() };
        let side = |name: &Option<Box<str>>, num: &Num| {
            let value = human(num.eval(view), self.ty);
            match name {
                Some(name) => format!("{name} {value}"),
                None => value,
            }
        };
        let (left, right) = (side(&self.names[0], &self.left), side(&self.names[1], &self.right));
        format!("{left} {} {right}", relation.sign())
    }
}

impl CompareWords {
    /// `unit.state is 'failed'`.
    fn sentence<V: View>(&self, view: &V) -> String {
        let text = |words: &super::program::Words| words.eval(view).unwrap_or("unknown").to_owned();
        let is_literal = |words: &super::program::Words| matches!(words, super::program::Words::Const(_));
        if is_literal(&self.left) {
            return format!("{} is '{}'", self.names[1], text(&self.right));
        }
        let left = format!("{} is '{}'", self.names[0], text(&self.left));
        if is_literal(&self.right) {
            left
        } else {
            format!("{left}, {} is '{}'", self.names[1], text(&self.right))
        }
    }
}
