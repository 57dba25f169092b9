//! A condition taken apart: what each part of it says at one moment, why a part is unknown, and how far a
//! comparison is from turning.
//!
//! Every value is what the evaluator itself makes of that very part, so that the two cannot disagree; here it
//! is only written down. Walked when somebody asks, never on the way of a sample. Whoever explains is a
//! [`Witness`]: a view that can also say how old a signal is and what a window has seen.

use serde::Serialize;

use super::program::{Compare, Input, Num, Program, Root, Truth, View, Words, equal};
use super::spell::Scope;
use super::units::human;
use crate::engine::moment;
use crate::engine::signal::{Base, Metric, Type, Value};
use crate::engine::window::facts::{Facts, Unit};

/// Longest text of a part in characters; the rest is left out.
const TEXT_MOST: usize = 400;

/// A truth value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "plain words")]
pub enum Verdict {
    True,
    False,
    Unknown,
}

impl From<Option<bool>> for Verdict {
    fn from(verdict: Option<bool>) -> Self {
        match verdict {
            Some(true) => Self::True,
            Some(false) => Self::False,
            None => Self::Unknown,
        }
    }
}

/// What a part of a condition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "plain words")]
pub enum Kind {
    And,
    Or,
    Not,
    Compare,
    Signal,
    Window,
    Function,
    Math,
    Absence,
    Fact,
    Constant,
}

/// A part of a condition at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// As it is written, every `let` put in.
    pub text: String,
    /// What it says, if it is a condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Its value in base units, if it is a quantity that is known and finite.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// `ratio`, `bytes`, `seconds`, `number`, each optionally with `/s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Its value, or what is compared, as a person reads it: `91.2 %`; empty for joined conditions.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub shown: String,
    /// Why it is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Of a comparison of numbers: how far it is from its limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub margin: Option<Margin>,
    /// Of a signal: how fresh it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<Freshness>,
    /// Of a window: what it has seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<Arithmetic>,
    /// What it is made of; literals are left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Node>,
}

/// How far a comparison is from its limit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Margin {
    /// Value less limit, in base units.
    pub by: f64,
    /// The limit in base units.
    pub limit: f64,
    /// In words: `6.2 points above 85 %`.
    pub shown: String,
}

/// How fresh a signal is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Freshness {
    /// Seconds since its last value; absent when there never was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age: Option<f64>,
    /// Expected seconds between samples; 0: told on change and held.
    pub interval: f64,
    /// Seconds after which it is too old; absent when it never is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale_after: Option<f64>,
}

/// What a window has seen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Arithmetic {
    /// Its length in seconds; absent for what has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub span: Option<f64>,
    /// Samples seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub samples: Option<f64>,
    /// Samples expected; absent where values are told and held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<f64>,
    /// Share of what is expected that is there, 0..1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coverage: Option<f64>,
    /// Share that must be there, 0..1.
    pub needed: f64,
    /// What the value is worked out of: name, value in base units, as a person reads it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub figures: Vec<(String, f64, String)>,
    /// All of it in words: `57 of 60 samples (95 %), sum 48`.
    pub shown: String,
}

/// What is known of a signal.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// The value, unless there is none or it is too old.
    pub value: Option<Value>,
    /// Nanoseconds since the last value, however old; `None` when there never was one.
    pub age: Option<i64>,
    /// Nanoseconds since it is waited for.
    pub waited: i64,
    /// Expected distance of samples, ns; 0 when told.
    pub interval: i64,
    /// Nanoseconds after which a value is too old; `None` for never.
    pub stale_after: Option<i64>,
    /// The newest word was that there is no value.
    pub said_none: bool,
}

/// What is known of a window and what feeds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// The window itself.
    pub facts: Facts,
    /// The signals that feed it, in the order of its slots.
    pub fed_by: Vec<Heard>,
}

/// A view that can say why.
pub trait Witness: View {
    /// What is known of a signal; `None` when it is not bound.
    fn heard(&self, slot: u16) -> Option<Heard>;
    /// What a window has seen.
    fn seen(&self, index: u16) -> Option<Seen>;
}

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

/// Why a signal is unknown.
fn why_silent(name: &str, heard: &Heard) -> String {
    match (heard.age, heard.stale_after) {
        (None, _) if heard.said_none => format!("{name} has no value here: its source says so"),
        (None, _) => format!("{name} was never seen, waited for {}", moment::human(heard.waited)),
        (Some(age), _) if heard.said_none => {
            format!("{name} has no value now: its source says so; the last one is {} old", moment::human(age))
        }
        (Some(age), Some(limit)) => {
            let (age, limit) = (moment::human(age), moment::human(limit));
            format!("{name} is stale: its last value is {age} old, and it counts for {limit}")
        }
        (Some(age), None) => format!("{name} has no value now; the last one is {} old", moment::human(age)),
    }
}

/// Why a window is unknown.
fn why_window(seen: &Seen, fed: &[Node]) -> String {
    let facts = &seen.facts;
    let percent = |share: f64| human(share, Type::of(Base::Ratio));
    let watched = seen.fed_by.iter().map(|heard| heard.waited).min().unwrap_or(0);
    if facts.is_known {
        return "what it has seen is not enough to work it out".to_owned();
    }
    match (facts.coverage, facts.interval) {
        (Some(coverage), interval) if facts.newest.is_some() => {
            let seen = facts.samples.zip(facts.expected);
            let seen = seen.map(|(n, of)| format!("{n:.0} of {of:.0} samples, ")).unwrap_or_default();
            let covered = format!("{seen}{} covered, {} needed", percent(coverage), percent(facts.needed));
            if watched >= facts.span {
                return format!("coverage too low: {covered}");
            }
            let (watched, of) = (moment::human(watched), moment::human(facts.span));
            let missing = facts.samples.zip(facts.expected).map(|(n, of)| facts.needed * of - n);
            let soon = missing.map(|n| moment::human((n.max(0.0) * interval as f64) as i64));
            let soon = soon.map(|left| format!("; enough in about {left}")).unwrap_or_default();
            format!("still warming up, watched for {watched} of {of}: {covered}{soon}")
        }
        _ => first_why(fed).unwrap_or_else(|| "nothing is known of what it is made of".to_owned()),
    }
}

/// Of condition and two branches: why what was chosen is unknown.
fn why_branch(parts: &[Node]) -> Option<String> {
    let [cond, yes, no] = parts else { return first_why(parts) };
    match cond.verdict {
        Some(Verdict::True) => yes.why.clone(),
        Some(Verdict::False) => no.why.clone(),
        _ => cond.why.clone(),
    }
}

fn first_why(parts: &[Node]) -> Option<String> {
    parts.iter().find_map(|part| part.why.clone())
}

/// How far a value lies from its limit.
fn margin(value: f64, limit: f64, ty: Type) -> Option<Margin> {
    if !value.is_finite() || !limit.is_finite() {
        return None;
    }
    let (by, at) = (value - limit, human(limit, ty));
    let size = match ty {
        Type { base: Base::Ratio, per_second: false } => {
            let points = human(by.abs() * 100.0, Type::of(Base::Number));
            format!("{points} {}", if points == "1" { "point" } else { "points" })
        }
        ty => human(by.abs(), ty),
    };
    let shown = match equal(value, limit) {
        true => format!("exactly {at}"),
        false => format!("{size} {} {at}", if by > 0.0 { "above" } else { "below" }),
    };
    Some(Margin { by, limit, shown })
}

/// What a window has seen, in figures and words. Of a condition the samples are truths.
fn arithmetic(facts: &Facts, ty: Type, is_condition: bool, of_events: bool) -> Arithmetic {
    let ratio = Type::of(Base::Ratio);
    let unit = |unit: Unit| match unit {
        Unit::Same if is_condition => Type::of(Base::Number),
        Unit::Same => ty,
        Unit::SamePerSecond => Type::per_second(ty.base),
        Unit::Number => Type::of(Base::Number),
        Unit::Ratio => ratio,
    };
    let figure = |figure: &crate::engine::window::facts::Figure| {
        let name = match (figure.name, is_condition) {
            ("sum", true) => "true",
            ("last", true) => "now",
            (name, _) => name,
        };
        let shown = match (name, is_condition) {
            ("now", true) => (figure.value != 0.0).to_string(),
            // A sum of shares is no share.
            ("sum", _) if ty == ratio => human(figure.value, Type::of(Base::Number)),
            _ => human_rate(figure.value, unit(figure.unit)),
        };
        (name.to_owned(), figure.value, shown)
    };
    let figures: Vec<_> = facts.figures.iter().map(figure).collect();
    let mut words = Vec::new();
    let what = if of_events { "events" } else { "samples" };
    match (facts.samples, facts.expected) {
        (Some(samples), Some(expected)) => {
            let covered = human(facts.coverage.unwrap_or(0.0), ratio);
            words.push(format!("{samples:.0} of {expected:.0} {what} ({covered})"));
        }
        (Some(samples), None) => words.push(format!("{samples:.0} {what}")),
        (None, _) => {
            let covered = facts.coverage.map(|c| format!("{} of its weight covered", human(c, ratio)));
            words.extend(covered);
        }
    }
    words.extend(figures.iter().map(|(name, _, shown)| match (name.as_str(), is_condition) {
        ("true", true) => format!("{shown} true"),
        (name, _) => format!("{name} {shown}"),
    }));
    let span = (facts.span > 0).then_some(facts.span as f64 / 1e9);
    let Facts { samples, expected, coverage, needed, .. } = *facts;
    Arithmetic { span, samples, expected, coverage, needed, figures, shown: words.join(", ") }
}

/// A value; slopes are small, and read better per hour or day.
fn human_rate(value: f64, ty: Type) -> String {
    if !ty.per_second || value == 0.0 {
        return human(value, ty);
    }
    let (whole, least) = (Type::of(ty.base), if ty.base == Base::Ratio { 0.001 } else { 1.0 });
    let steps = [(1.0, "s"), (60.0, "m"), (3600.0, "h"), (86400.0, "d")];
    let fits = steps.iter().find(|(seconds, _)| (value * seconds).abs() >= least);
    let (seconds, name) = fits.unwrap_or(&(86400.0, "d"));
    let size = match ty.base {
        Base::Ratio => format!("{:.2} points", value * seconds * 100.0),
        _ => human(value * seconds, whole),
    };
    format!("{size}/{name}")
}

fn cut(text: String) -> String {
    match text.char_indices().nth(TEXT_MOST) {
        Some((at, _)) => format!("{} …", &text[..at]),
        None => text,
    }
}
