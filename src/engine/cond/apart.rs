//! The walk that takes a program apart: a node for each part, with the value that the evaluator makes of it.

use super::program::{Compare, Input, Num, Program, Root, Truth, Words};
use super::reason::{arithmetic, first_why, margin, why_branch, why_silent, why_window};
use super::spell::Scope;
use super::tree::{Freshness, Heard, Kind, Node, Verdict, Witness};
use super::units::human;
use crate::engine::moment;
use crate::engine::signal::{Metric, Type, Value};

/// Longest text of a part in characters; the rest is left out.
const TEXT_MOST: usize = 400;

impl Program {
    /// Takes the program apart as it stands before a witness.
    pub fn taken_apart<W: Witness>(&self, witness: &W) -> Node {
        let scope = Scope { slots: &self.slots, windows: &self.windows };
        let apart = Apart { scope, witness };
        let mut node = match &self.root {
            Root::Truth(truth) => apart.truth(truth),
            Root::Num(num) => apart.number(num, self.ty, None),
            Root::Words(words) => apart.words(words),
        };
        node.text = cut(self.canonical.clone());
        node
    }
}

struct Apart<'w, W> {
    scope: Scope<'w>,
    witness: &'w W,
}

impl<W: Witness> Apart<'_, W> {
    fn truth(&self, truth: &Truth) -> Node {
        let verdict = truth.eval(self.witness);
        let many = |kind, all: &[Truth]| (kind, all.iter().map(|t| self.truth(t)).collect());
        let (kind, parts): (Kind, Vec<Node>) = match truth {
            Truth::And(all) => many(Kind::And, all),
            Truth::Or(all) => many(Kind::Or, all),
            Truth::Not(one) => (Kind::Not, vec![self.truth(one)]),
            Truth::Compare(compare) => return self.compare(compare, verdict),
            Truth::Slot(slot) => return self.signal(*slot, Some(verdict)),
            Truth::Same(two, _) | Truth::Coalesce(two) => {
                (Kind::Function, vec![self.truth(&two.0), self.truth(&two.1)])
            }
            Truth::If(three) => {
                (Kind::Function, [&three.0, &three.1, &three.2].map(|t| self.truth(t)).into())
            }
            Truth::Words(compare) => {
                let sides = [&compare.left, &compare.right].map(|words| self.words(words));
                (Kind::Compare, sides.into_iter().filter(|part| part.kind != Kind::Constant).collect())
            }
            Truth::Silent(slot, _) | Truth::Missing(slot, _) | Truth::Unseen(slot, _) => {
                (Kind::Absence, vec![self.signal(*slot, None)])
            }
            Truth::Const(_) => (Kind::Constant, Vec::new()),
            Truth::Fact(_) => (Kind::Fact, Vec::new()),
        };
        let shown = match truth {
            Truth::Words(_) => parts.iter().map(|p| p.shown.clone()).collect::<Vec<_>>().join(", "),
            Truth::Silent(slot, _) | Truth::Missing(slot, _) | Truth::Unseen(slot, _) => self.silence(*slot),
            _ => String::new(),
        };
        let why = match truth {
            _ if verdict.is_some() => None,
            Truth::Silent(..) => Some("not waited for long enough to tell".to_owned()),
            Truth::Fact(_) => Some("only known of an incident".to_owned()),
            Truth::If(_) => why_branch(&parts),
            _ => first_why(&parts),
        };
        let (verdict, text) = (Some(verdict.into()), cut(self.scope.truth(truth)));
        // What an absence is about is said by itself: that there is no value explains it, and is no gap.
        let parts = if kind == Kind::Absence { Vec::new() } else { parts };
        Node { verdict, shown, why, parts, ..Node::new(kind, text) }
    }

    fn silence(&self, slot: u16) -> String {
        match self.witness.age(slot) {
            Some(age) => format!("last seen {} ago", moment::human(age)),
            None => format!("never seen, waited for {}", moment::human(self.witness.waited(slot))),
        }
    }

    fn compare(&self, compare: &Compare, verdict: Option<bool>) -> Node {
        let side = |right: bool| {
            let num = if right { &compare.right } else { &compare.left };
            let node = self.number(num, compare.ty, Some(compare.side(right)));
            (num.eval(self.witness), node, num.constant().is_none())
        };
        let ((left, left_node, left_varies), (right, right_node, right_varies)) = (side(false), side(true));
        // Seen from the value: a literal on the left is the limit.
        let (value, limit) = if left_varies { (left, right) } else { (right, left) };
        let parts: Vec<Node> = [(left_node, left_varies), (right_node, right_varies)]
            .into_iter()
            .filter_map(|(node, varies)| varies.then_some(node))
            .collect();
        let why = if verdict.is_none() { first_why(&parts) } else { None };
        let margin = margin(value, limit, compare.ty);
        let shown = match (left_varies, right_varies) {
            (true, true) => {
                format!("{} against {}", human(left, compare.ty), human(right, compare.ty))
            }
            _ => human(value, compare.ty),
        };
        let value = Some(value).filter(|v| v.is_finite());
        let (verdict, unit) = (Some(verdict.into()), Some(compare.ty.to_string()));
        let node = Node::new(Kind::Compare, cut(compare.text()));
        Node { verdict, value, unit, shown, why, margin, parts, ..node }
    }

    fn number(&self, num: &Num, hint: Type, text: Option<String>) -> Node {
        let ty = self.scope.type_of(num).unwrap_or(hint);
        let value = num.eval(self.witness);
        let (kind, parts): (Kind, Vec<Node>) = match num {
            Num::Slot(slot) => return self.signal(*slot, None),
            Num::Const(_) => (Kind::Constant, Vec::new()),
            Num::Neg(one) => (Kind::Math, vec![self.number(one, ty, None)]),
            Num::Math(_, sides) => (Kind::Math, sides.iter().map(|n| self.number(n, ty, None)).collect()),
            Num::Map(.., one) => (Kind::Function, vec![self.number(one, ty, None)]),
            Num::Fold(.., many) => (Kind::Function, many.iter().map(|n| self.number(n, ty, None)).collect()),
            Num::Window(index, _, _, more) => {
                let parts = more.iter().map(|n| self.number(n, ty, None)).collect();
                return self.window(*index, num, (value, ty), parts);
            }
            Num::Age(slot) => (Kind::Absence, vec![self.signal(*slot, None)]),
            Num::If(parts) => {
                let branches = [&parts.1, &parts.2].map(|n| self.number(n, ty, None));
                (Kind::Function, [self.truth(&parts.0)].into_iter().chain(branches).collect())
            }
            Num::Coalesce(two) => (Kind::Function, [&two.0, &two.1].map(|n| self.number(n, ty, None)).into()),
        };
        let why = match num {
            _ if !value.is_nan() => None,
            Num::Age(_) => Some("it was never seen".to_owned()),
            Num::If(_) => why_branch(&parts),
            _ => first_why(&parts).or(Some("a division by zero has no value".to_owned())),
        };
        let is_told = |part: &Node| kind != Kind::Absence && part.kind != Kind::Constant;
        let parts = parts.into_iter().filter(is_told).collect();
        let text = text.unwrap_or_else(|| self.scope.number(num, ty));
        Node { why, parts, ..Node::new(kind, cut(text)) }.quantity(value, ty)
    }

    fn words(&self, words: &Words) -> Node {
        let (kind, parts): (Kind, Vec<Node>) = match words {
            Words::Slot(slot) => return self.signal(*slot, None),
            Words::Const(_) => (Kind::Constant, Vec::new()),
            Words::Fact(_) => (Kind::Fact, Vec::new()),
            Words::If(three) => {
                let branches = [&three.1, &three.2].map(|w| self.words(w));
                (Kind::Function, [self.truth(&three.0)].into_iter().chain(branches).collect())
            }
            Words::Coalesce(two) => (Kind::Function, [&two.0, &two.1].map(|w| self.words(w)).into()),
        };
        let found = words.eval(self.witness);
        let why = match words {
            _ if found.is_some() => None,
            Words::If(_) => why_branch(&parts),
            Words::Fact(_) => Some("only known of an incident".to_owned()),
            _ => first_why(&parts),
        };
        let shown = found.map_or_else(|| "unknown".to_owned(), |text| format!("'{text}'"));
        let parts = parts.into_iter().filter(|part| part.kind != Kind::Constant).collect();
        Node { shown, why, parts, ..Node::new(kind, cut(self.scope.words(words))) }
    }

    fn window(&self, index: u16, num: &Num, (value, ty): (f64, Type), mut parts: Vec<Node>) -> Node {
        parts.retain(|part| part.kind != Kind::Constant);
        let node = Node::new(Kind::Window, cut(self.scope.number(num, ty)));
        let (Some(spec), Some(seen)) = (self.scope.window(index), self.witness.seen(index)) else {
            return Node { why: Some("it is not bound".to_owned()), ..node };
        };
        let of_events = matches!(spec.input, Input::Events(_));
        let is_condition = matches!(spec.input, Input::Truth(_));
        let fed = spec.slots.iter().zip(&seen.fed_by).map(|(metric, heard)| heard_node(*metric, heard, None));
        let fed: Vec<Node> = fed.collect();
        let why = match value.is_nan() {
            true => Some(first_why(&parts).unwrap_or_else(|| why_window(&seen, &fed))),
            false => None,
        };
        parts.extend(fed);
        let window = Some(arithmetic(&seen.facts, spec.ty, is_condition, of_events));
        Node { why, window, parts, ..node }.quantity(value, ty)
    }

    fn signal(&self, slot: u16, verdict: Option<Option<bool>>) -> Node {
        match (self.scope.signal(slot), self.witness.heard(slot)) {
            (Some(metric), Some(heard)) => heard_node(metric, &heard, verdict),
            (metric, _) => {
                let text = metric.map_or("?", Metric::name).to_owned();
                let why = Some("it is not bound".to_owned());
                Node { verdict: verdict.map(Verdict::from), why, ..Node::new(Kind::Signal, text) }
            }
        }
    }
}

impl Node {
    fn new(kind: Kind, text: String) -> Self {
        let (verdict, value, unit, why, margin) = (None, None, None, None, None);
        let (signal, window, parts, shown) = (None, None, Vec::new(), String::new());
        Self { kind, text, verdict, value, unit, shown, why, margin, signal, window, parts }
    }

    fn quantity(self, value: f64, ty: Type) -> Self {
        let finite = Some(value).filter(|v| v.is_finite());
        Self { value: finite, unit: Some(ty.to_string()), shown: human(value, ty), ..self }
    }
}

/// A signal as a part; with a verdict it stands for a condition.
fn heard_node(metric: Metric, heard: &Heard, verdict: Option<Option<bool>>) -> Node {
    let seconds = |ns: i64| ns as f64 / 1e9;
    let signal = Some(Freshness {
        age: heard.age.map(seconds),
        interval: seconds(heard.interval),
        stale_after: heard.stale_after.map(seconds),
    });
    let name = metric.name();
    let why = heard.value.is_none().then(|| why_silent(name, heard));
    let verdict = verdict.map(Verdict::from);
    let node = Node { verdict, why, signal, ..Node::new(Kind::Signal, name.to_owned()) };
    match &heard.value {
        Some(Value::Num(n)) => node.quantity(*n, metric.spec().ty),
        Some(Value::Bool(b)) => Node { shown: b.to_string(), ..node },
        Some(Value::Text(text)) => Node { shown: format!("'{text}'"), ..node },
        None => Node { shown: "unknown".to_owned(), ..node },
    }
}

fn cut(text: String) -> String {
    match text.char_indices().nth(TEXT_MOST) {
        Some((at, _)) => format!("{} …", &text[..at]),
        None => text,
    }
}
