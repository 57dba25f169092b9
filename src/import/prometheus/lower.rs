//! PromQL to our conditions, piece by piece.
//!
//! A vector is a [`Linear`] value or a truth, and the condition under which it is there at all: comparisons
//! filter. What has no meaning here is a [`Loss`] with its place; a branch of `and`, `or` and `unless` that
//! is lost does not take the other with it, but a rule that thereby raises more often is marked.

mod aggregate;
mod compare;
mod window;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::slice::from_ref;

use super::super::draft::{Loss, Place, shorten};
use super::super::say;
use super::linear::{Done, Linear, Stuck, type_of};
use super::metrics::{self, Source};
use super::promql::{Binary, Expr as Prom, Kind, Matcher, Selector};
use crate::engine::cond::expr::Expr;
use crate::engine::signal::Class;

/// Deepest chain of recording rules.
const DEEPEST: usize = 8;
/// Longest piece in a message.
const PIECE: usize = 90;

/// An expression with its text and where each of its lines stands.
#[derive(Debug)]
pub struct Written {
    /// The text.
    pub text: String,
    /// Where it begins.
    pub place: Place,
    /// The tree.
    pub expr: Prom,
}

impl Written {
    /// The place of a byte.
    pub fn at(&self, byte: usize) -> Place {
        let lines = self.text.get(..byte).unwrap_or("").matches('\n').count();
        Place { file: self.place.file.clone(), line: self.place.line + lines }
    }

    /// A piece of it for a message.
    pub fn piece(&self, span: &std::ops::Range<usize>) -> String {
        shorten(self.text.get(span.clone()).unwrap_or(&self.text), PIECE)
    }
}

/// Recording rules by name.
pub type Records = BTreeMap<String, Rc<Written>>;

/// A label matcher, where it stands, and as written.
pub type Pick = (Matcher, Place, String);

/// What was lost, on its way up.
pub type Lowered<T> = Result<T, Box<Loss>>;

/// What a vector is.
#[derive(Clone, Debug)]
pub enum Value {
    /// A quantity.
    Line(Linear),
    /// 1 while this is true, else 0.
    Truth(Expr),
    /// 1, for its labels only.
    Info,
    /// How many objects fulfil the condition.
    Count,
}

/// CPU time that is not yet put together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cpus {
    /// A series for each CPU.
    pub each: bool,
    /// A series for each of so many modes.
    pub modes: f64,
}

/// A vector.
#[derive(Clone, Debug)]
pub struct Vector {
    /// Its value.
    pub value: Value,
    /// When it is there.
    pub when: Option<Expr>,
    /// Of CPU time.
    pub cpus: Option<Cpus>,
}

impl Vector {
    fn of(value: Value) -> Self {
        Self { value, when: None, cpus: None }
    }

    fn line(line: Linear) -> Self {
        Self::of(Value::Line(line))
    }
}

/// The state of one expression.
pub struct Lower<'r> {
    records: &'r Records,
    source: Rc<Written>,
    depth: usize,
    /// The class that its signals are of.
    pub class: Class,
    /// Label matchers, each with its place.
    pub picks: Vec<Pick>,
    /// What is lost while something is left.
    pub losses: Vec<Loss>,
    /// What is good to know.
    pub remarks: Vec<String>,
}

impl<'r> Lower<'r> {
    /// For an expression.
    pub fn new(records: &'r Records, source: &Rc<Written>) -> Self {
        let source = Rc::clone(source);
        let (picks, losses, remarks) = (Vec::new(), Vec::new(), Vec::new());
        Self { records, source, depth: 0, class: Class::Host, picks, losses, remarks }
    }

    /// A loss at a piece.
    pub fn loss(
        &self,
        span: &std::ops::Range<usize>,
        why: impl Into<String>,
        instead: impl Into<String>,
    ) -> Loss {
        let (why, instead) = (why.into(), instead.into());
        let (place, piece) = (self.source.at(span.start), self.source.piece(span));
        Loss { place, piece, why, instead, widens: false }
    }

    fn fail<T>(&self, at: &Prom, why: impl Into<String>, instead: impl Into<String>) -> Lowered<T> {
        Err(Box::new(self.loss(&at.span, why, instead)))
    }

    fn differs(&mut self, at: &Prom, why: &str) {
        if !self.losses.iter().any(|l| l.why == why) {
            let loss = self.loss(&at.span, why, "");
            self.losses.push(loss);
        }
    }

    fn remark(&mut self, text: String) {
        if !self.remarks.contains(&text) {
            self.remarks.push(text);
        }
    }

    /// A result of arithmetic; what is stuck is said at the piece.
    fn done<T>(&self, at: &Prom, result: Done<T>) -> Lowered<T> {
        result.map_err(|stuck| {
            let (why, instead) = match stuck {
                Stuck::Units(a, b) => (format!("puts {a} and {b} together"), ""),
                Stuck::Time => (
                    "computes with a time stamp".to_owned(),
                    "an age: host.uptime, proc.age, check.cert_left",
                ),
                Stuck::Other => {
                    ("has no counterpart".to_owned(), "write the rule by hand, see docs/rules.md")
                }
            };
            Box::new(self.loss(&at.span, why, instead))
        })
    }

    fn built<T>(&self, at: &Prom, result: say::Built<T>) -> Lowered<T> {
        self.done(at, result.map_err(Stuck::from))
    }

    /// One class for all signals beside those of the host.
    fn join(&mut self, at: &Prom, class: Class) -> Lowered<()> {
        if class == Class::Host || class == self.class {
            return Ok(());
        }
        if self.class != Class::Host {
            let (a, b) = (self.class.name(), class.name());
            return self.fail(
                at,
                format!("a rule is about one kind of object: this is {b}, before it was {a}"),
                "two rules, one of which names the other in `depends`",
            );
        }
        self.class = class;
        Ok(())
    }

    /// A whole expression.
    pub fn lower(&mut self, e: &Prom) -> Lowered<Vector> {
        match &e.kind {
            Kind::Number(n) => Ok(Vector::line(Linear::constant(*n))),
            Kind::Text => self.fail(e, "a text is no value", ""),
            Kind::Selector(s) if s.range.is_some() => {
                self.fail(e, "a window without a function around it", "")
            }
            Kind::Selector(s) => self.instant(e, s),
            Kind::Subquery(..) => self.fail(e, "a window without a function around it", ""),
            Kind::Moved => self.fail(
                e,
                "values of another time have no counterpart",
                "delta(x, 1d) against a day ago, baseline(x, 1d, 7) against what is usual at this hour",
            ),
            Kind::Call(name, args) => self.call(e, name, args),
            Kind::Aggregate(a) => self.aggregate(e, a),
            Kind::Negative(inner) => {
                let vector = self.lower(inner)?;
                let line = self.line(inner, &vector)?;
                Ok(Vector { value: Value::Line(line.times(-1.0)), ..vector })
            }
            Kind::Binary(b) => match b.op.as_str() {
                "and" | "or" | "unless" => self.set(e, b),
                "==" | "!=" | "<" | "<=" | ">" | ">=" => self.compare(e, b),
                _ => self.arithmetic(e, b),
            },
        }
    }

    /// A vector as a quantity.
    fn line(&self, at: &Prom, vector: &Vector) -> Lowered<Linear> {
        match &vector.value {
            Value::Line(line) => Ok(line.clone()),
            Value::Info => Ok(Linear::constant(1.0)),
            Value::Truth(cond) => {
                let number = |v| say::number(v, say::NUMBER);
                let both = number(1.0).and_then(|one| number(0.0).map(|zero| (one, zero)));
                let (one, zero) = self.built(at, both)?;
                let call = self.built(at, say::call("if", vec![cond.clone(), one, zero]))?;
                Ok(Linear::of(call, say::NUMBER, 1.0))
            }
            Value::Count => self.fail(
                at,
                "a number of objects has no counterpart: a rule is judged for each object by itself",
                "one rule for each object; a storm of them becomes one incident",
            ),
        }
    }

    fn instant(&mut self, e: &Prom, s: &Selector) -> Lowered<Vector> {
        if let Some(record) = self.records.get(&s.name) {
            return self.record(e, s, Rc::clone(record));
        }
        let Some(row) = metrics::find(&s.name) else {
            let name = if s.name.is_empty() { "a selection without a metric" } else { &s.name };
            let (why, instead) = metrics::missing(name);
            return self.fail(e, why, instead);
        };
        self.join(e, row.class)?;
        if !row.differs.is_empty() {
            self.differs(e, row.differs);
        }
        let name = |n: &str| say::name(n);
        let vector = match row.source {
            Source::Gauge(signal, a) => {
                Vector::line(Linear::of(self.built(e, name(signal))?, type_of(signal), a))
            }
            Source::Stamp(signal, a) => {
                let line = Linear::of(self.built(e, name(signal))?, type_of(signal), a);
                Vector::line(Linear { t: 1.0, ..line })
            }
            Source::Counter(signal) => {
                Vector::line(Linear::of(self.built(e, name(signal))?, type_of(signal), 1.0))
            }
            Source::Now => Vector::line(Linear { t: 1.0, ..Linear::constant(0.0) }),
            Source::Flag(text) => Vector::of(Value::Truth(self.built(e, say::cond(text))?)),
            Source::State => Vector::of(Value::Truth(self.state(e, s)?)),
            Source::Info => Vector::of(Value::Info),
            Source::Flow(..) | Source::Cpu => {
                return self.fail(
                    e,
                    "a counter by itself has no meaning here: it is a rate already",
                    "rate(…) there is the signal here",
                );
            }
        };
        self.pick(s, if row.source == Source::State { &["state"] } else { &[] });
        Ok(vector)
    }

    /// Keeps the matchers for `match`, all but those that are used up.
    fn pick(&mut self, s: &Selector, used: &[&str]) {
        for m in &s.matchers {
            let is_known =
                self.picks.iter().any(|(known, ..)| Matcher { span: m.span.clone(), ..known.clone() } == *m);
            if !used.contains(&m.label.as_str()) && !is_known {
                self.picks.push((m.clone(), self.source.at(m.span.start), self.source.piece(&m.span)));
            }
        }
    }

    /// The expression of a recording rule in the place of its name.
    fn record(&mut self, e: &Prom, s: &Selector, record: Rc<Written>) -> Lowered<Vector> {
        if self.depth >= DEEPEST {
            return self.fail(e, "recording rules that name each other in a circle, or too deep", "");
        }
        self.pick(s, &[]);
        let outer = std::mem::replace(&mut self.source, Rc::clone(&record));
        self.depth += 1;
        let vector = self.lower(&record.expr);
        self.depth -= 1;
        self.source = outer;
        self.remark(format!("{} is put in from its recording rule ({})", s.name, record.place.short()));
        vector
    }

    /// `node_systemd_unit_state{state="failed"}`.
    fn state(&self, e: &Prom, s: &Selector) -> Lowered<Expr> {
        let states = ["active", "activating", "deactivating", "failed", "inactive", "reloading"];
        let on_state: Vec<_> = s.matchers.iter().filter(|m| m.label == "state").collect();
        let is_wanted = |state: &str| on_state.iter().all(|m| super::labels::takes(m, state));
        let wanted: Vec<_> = states.into_iter().filter(|s| is_wanted(s)).collect();
        let text = match wanted.as_slice() {
            [] => return self.fail(e, "no state of a unit is selected", "unit.state == 'failed'"),
            [one] => format!("unit.state == '{one}'"),
            many if many.len() == states.len() => {
                return self.fail(e, "all states of a unit at once", "unit.state == 'failed'");
            }
            many => format!("unit.state in ['{}']", many.join("', '")),
        };
        self.built(e, say::cond(&text))
    }

    fn arithmetic(&mut self, e: &Prom, b: &Binary) -> Lowered<Vector> {
        let (left, right) = (self.lower(&b.left)?, self.lower(&b.right)?);
        let when = self.both(e, left.when.clone(), right.when.clone())?;
        let cpus = left.cpus.or(right.cpus);
        // `* on (instance) group_left (nodename) node_uname_info` only adds labels.
        match (&left.value, &right.value) {
            (_, Value::Info) if b.op == "*" => return Ok(Vector { when, cpus, ..left }),
            (Value::Info, _) if b.op == "*" => return Ok(Vector { when, cpus, ..right }),
            (Value::Truth(l), Value::Truth(r)) if b.op == "*" => {
                let both = self.built(e, say::and(l.clone(), r.clone()))?;
                return Ok(Vector { value: Value::Truth(both), when, cpus });
            }
            _ => {}
        }
        let (l, r) = (self.line(&b.left, &left)?, self.line(&b.right, &right)?);
        let line = match b.op.as_str() {
            "+" => l.plus(r, 1.0),
            "-" => l.plus(r, -1.0),
            "*" => l.product(r),
            "/" => l.quotient(r),
            "^" if l.number().is_some() && r.number().is_some() => Ok(Linear::constant(l.b.powf(r.b))),
            op => return self.fail(e, format!("`{op}` has no counterpart"), ""),
        };
        let line = self.done(e, line)?;
        if let Some((expr, _)) = &line.e {
            self.notice(e, &expr.to_string());
        }
        Ok(Vector { value: Value::Line(line), when, cpus })
    }

    /// What was put together into one signal differs a little.
    fn notice(&mut self, e: &Prom, ours: &str) {
        let text = self.source.piece(&e.span);
        if ours.contains("disk.latency") && text.contains("_time_seconds_total") {
            self.differs(e, metrics::one_latency());
        }
        if ours.contains("mem.available") && text.contains("Cached") {
            self.differs(e, "free, buffers and cached are an estimate of what mem.available knows");
        }
    }

    fn both(&self, at: &Prom, a: Option<Expr>, b: Option<Expr>) -> Lowered<Option<Expr>> {
        match (a, b) {
            (Some(a), Some(b)) => self.built(at, say::and(a, b)).map(Some),
            (a, b) => Ok(a.or(b)),
        }
    }

    fn set(&mut self, e: &Prom, b: &Binary) -> Lowered<Vector> {
        if b.op == "or" {
            return self.either(e, b);
        }
        let left = self.lower(&b.left)?;
        let (class, losses) = (self.class, self.losses.clone());
        let picks = std::mem::take(&mut self.picks);
        self.class = Class::Host;
        let right = self.lower(&b.right).and_then(|v| match (v.when, v.value) {
            (Some(when), _) => Ok(Some(when)),
            (None, Value::Info) if b.op == "and" => Ok(None),
            _ => self.fail(&b.right, "only asks whether the series is there", "a comparison"),
        });
        let right = right.and_then(|cond| self.meet(b, class, &picks).map(|()| cond));
        let right = match right {
            Ok(Some(cond)) if b.op == "unless" => Some(self.built(e, say::not(cond))?),
            Ok(cond) => cond,
            Err(loss) => {
                (self.class, self.picks, self.losses) = (class, picks, losses);
                self.losses.push(Loss { widens: true, ..*loss });
                None
            }
        };
        Ok(Vector { when: self.both(e, left.when, right)?, ..left })
    }

    /// Joins what the right side of `and` or `unless` selects, which is in `self` now, to what the left does;
    /// unless it is about other objects: a rule sees one at a time.
    fn meet(&mut self, b: &Binary, class: Class, picks: &[Pick]) -> Lowered<()> {
        let of_right = std::mem::replace(&mut self.class, class);
        let chosen = std::mem::replace(&mut self.picks, picks.to_vec());
        self.join(&b.right, of_right)?;
        let is_new = |p: &&Pick| !picks.iter().any(|known| same_objects(from_ref(known), from_ref(p)));
        // A job names no objects.
        let is_narrower = chosen.iter().filter(is_new).any(|(m, ..)| m.label != "job");
        let is_same_object = of_right == Class::Host || b.matching.keeps(aggregate::named_by(of_right));
        let meets = match b.op.as_str() {
            "unless" => !is_narrower && is_same_object && (of_right == Class::Host || of_right == class),
            _ => !is_narrower || is_same_object || class == Class::Host,
        };
        if !meets {
            let instead = match b.op.as_str() {
                "unless" => "a rule about those, which `suppresses` this one",
                _ => "two rules, one of which names the other in `depends`",
            };
            return self.fail(&b.right, "selects other objects than the left side", instead);
        }
        if !is_same_object && class != Class::Host {
            self.differs(&b.right, "holds for any object of the host there, for the same one here");
        }
        self.picks.extend(chosen.iter().filter(is_new).cloned());
        Ok(())
    }

    fn either(&mut self, e: &Prom, b: &Binary) -> Lowered<Vector> {
        let saved = (self.class, self.picks.clone(), self.losses.clone());
        let first = self.condition(&b.left);
        if first.is_err() {
            (self.class, self.picks, self.losses) = saved.clone();
        }
        let before = (self.class, self.picks.clone(), self.losses.clone());
        self.picks.clone_from(&saved.1);
        let second = self.condition(&b.right);
        match (first, second) {
            (Ok((left, l)), Ok((_, r))) => {
                if !same_objects(&before.1, &self.picks) {
                    return self.fail(&b.right, "the two sides select different objects", "two rules");
                }
                let when = self.built(e, say::or(l, r))?;
                Ok(Vector { when: Some(when), ..left })
            }
            (Ok((left, l)), Err(loss)) => {
                (self.class, self.picks, self.losses) = before;
                self.losses.push(*loss);
                Ok(Vector { when: Some(l), ..left })
            }
            (Err(loss), Ok((right, r))) => {
                self.losses.push(*loss);
                Ok(Vector { when: Some(r), ..right })
            }
            (Err(loss), Err(other)) => {
                self.losses.push(*other);
                Err(loss)
            }
        }
    }

    /// A vector with the condition under which it raises.
    pub fn condition(&mut self, e: &Prom) -> Lowered<(Vector, Expr)> {
        let vector = self.lower(e)?;
        match vector.when.clone() {
            Some(when) => Ok((vector, when)),
            None => self.fail(
                e,
                "has no comparison: it alerts whenever the series is there",
                "a limit: raise = \"… > …\"",
            ),
        }
    }
}

/// Whether two lists of matchers select the same.
pub fn same_objects(a: &[Pick], b: &[Pick]) -> bool {
    let meaning = |list: &[Pick]| {
        let each = list.iter().map(|(m, ..)| (m.label.clone(), m.is_negative, m.is_regex, m.value.clone()));
        each.collect::<std::collections::BTreeSet<_>>()
    };
    meaning(a) == meaning(b)
}
