//! Conditions as trees that know their text, for the comparison with the reference.

use std::fmt;

use crate::engine::signal::Class;

/// The signals of one class and of the host that conditions are made of.
pub struct World {
    pub class: Class,
    pub labels: &'static [(&'static str, &'static str)],
    pub signals: [Signal; 5],
}

#[derive(Clone, Copy)]
pub struct Signal {
    pub name: &'static str,
    pub what: What,
    pub on_host: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum What {
    Gauge,
    Counter,
    Bool,
    Text,
    /// An attribute of that unit.
    Fixed(Unit),
}

const fn own(name: &'static str, what: What) -> Signal {
    Signal { name, what, on_host: false }
}

const fn host(name: &'static str, what: What) -> Signal {
    Signal { name, what, on_host: true }
}

pub const WORLDS: [World; 3] = [
    World {
        class: Class::Unit,
        labels: &[("unit", "x.service")],
        signals: [
            host("load.avg1", What::Gauge),
            host("load.avg5", What::Gauge),
            own("unit.restarts", What::Counter),
            own("unit.active", What::Bool),
            own("unit.state", What::Text),
        ],
    },
    World {
        class: Class::Slo,
        labels: &[("slo", "shop")],
        signals: [
            host("load.avg1", What::Gauge),
            host("load.avg5", What::Gauge),
            own("slo.total", What::Counter),
            own("slo.bad", What::Counter),
            own("slo.target", What::Fixed(Unit::Ratio)),
        ],
    },
    World {
        class: Class::Beat,
        labels: &[("job", "x")],
        signals: [
            host("load.avg1", What::Gauge),
            own("beat.seen", What::Gauge),
            host("kernel.oom_kills", What::Counter),
            own("beat.grace", What::Fixed(Unit::Seconds)),
            own("beat.period", What::Fixed(Unit::Seconds)),
        ],
    },
];

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unit {
    Number,
    Seconds,
    Ratio,
    PerSecond,
}

#[derive(Clone, Copy, Debug)]
pub enum Span {
    Seconds(i64),
    /// So many times an attribute.
    Times(i64, usize),
}

#[derive(Clone, Debug)]
pub enum Num {
    Signal(usize),
    /// As written: 3, 3s, 3%, 3/m.
    Literal(i64, Unit),
    Neg(Box<Num>),
    Math(char, Box<[Num; 2]>),
    Abs(Box<Num>),
    Least(Vec<Num>),
    Greatest(Vec<Num>),
    If(Box<(Cond, Num, Num)>),
    Coalesce(Box<(Num, Num)>),
    Age(usize),
    Held(Box<Cond>),
    Over(Over, Box<Num>, Span),
    Count(Box<Cond>, Span),
    Frac(Box<Cond>, Span),
    Increase(usize, Span),
    Rate(usize, Span),
    Changes(usize, Span),
    Events(&'static str, Span),
    Burn(Span),
}

/// What is made of the samples of an expression; `bool`: by Theil–Sen.
#[derive(Clone, Copy, Debug)]
pub enum Over {
    Avg,
    Sum,
    Min,
    Max,
    Delta,
    CountAll,
    Ewma,
    Zscore,
    Deriv(bool),
    Fit(bool),
    Quantile(i64),
    Eta(i64, bool),
    Forecast(i64, bool),
    Baseline(u8),
}

#[derive(Clone, Debug)]
pub enum Words {
    Signal(usize),
    Literal(&'static str),
    If(Box<(Cond, Words, Words)>),
    Coalesce(Box<(Words, Words)>),
}

#[derive(Clone, Debug)]
pub enum Cond {
    Const(bool),
    Signal(usize),
    Not(Box<Cond>),
    And(Vec<Cond>),
    Or(Vec<Cond>),
    Compare(Box<Num>, &'static str, Box<Num>),
    In(Box<Num>, Vec<Num>, bool),
    Same(Box<Cond>, Box<Cond>, bool),
    Words(Box<Words>, Box<Words>, bool),
    WordsIn(Box<Words>, Vec<&'static str>, bool),
    Silent(usize, Span),
    If(Box<(Cond, Cond, Cond)>),
    Coalesce(Box<(Cond, Cond)>),
}

/// A tree and the world it speaks of, which has the names.
pub struct Text<'a, T>(pub &'a World, pub &'a T);

impl World {
    fn show<'a, T>(&'a self, one: &'a T) -> Text<'a, T> {
        Text(self, one)
    }

    fn list<'a, T>(&'a self, many: &'a [T], joint: &str) -> String
    where
        Text<'a, T>: fmt::Display,
    {
        many.iter().map(|one| format!("({})", self.show(one))).collect::<Vec<_>>().join(joint)
    }
}

impl fmt::Display for Text<'_, Span> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self.1 {
            Span::Seconds(s) => write!(f, "{s}s"),
            Span::Times(n, i) => write!(f, "{n} * {}", self.0.signals[i].name),
        }
    }
}

impl fmt::Display for Text<'_, Num> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Text(w, num) = *self;
        let name = |i: &usize| w.signals[*i].name;
        match num {
            Num::Signal(i) => f.write_str(name(i)),
            Num::Literal(n, Unit::Number) => write!(f, "{n}"),
            Num::Literal(n, Unit::Seconds) => write!(f, "{n}s"),
            Num::Literal(n, Unit::Ratio) => write!(f, "{n}%"),
            Num::Literal(n, Unit::PerSecond) => write!(f, "{n}/m"),
            Num::Neg(one) => write!(f, "-({})", w.show(&**one)),
            Num::Math(op, two) => write!(f, "({}) {op} ({})", w.show(&two[0]), w.show(&two[1])),
            Num::Abs(one) => write!(f, "abs({})", w.show(&**one)),
            Num::Least(many) => write!(f, "least({})", w.list(many, ", ")),
            Num::Greatest(many) => write!(f, "greatest({})", w.list(many, ", ")),
            Num::If(three) => {
                write!(f, "if({}, {}, {})", w.show(&three.0), w.show(&three.1), w.show(&three.2))
            }
            Num::Coalesce(two) => write!(f, "coalesce({}, {})", w.show(&two.0), w.show(&two.1)),
            Num::Age(i) => write!(f, "age({})", name(i)),
            Num::Held(c) => write!(f, "held({})", w.show(&**c)),
            Num::Count(c, s) => write!(f, "count({}, {})", w.show(&**c), w.show(s)),
            Num::Frac(c, s) => write!(f, "frac({}, {})", w.show(&**c), w.show(s)),
            Num::Increase(i, s) => write!(f, "increase({}, {})", name(i), w.show(s)),
            Num::Rate(i, s) => write!(f, "rate({}, {})", name(i), w.show(s)),
            Num::Changes(i, s) => write!(f, "changes({}, {})", name(i), w.show(s)),
            Num::Events(glob, s) => write!(f, "events('{glob}', {})", w.show(s)),
            Num::Burn(s) => write!(f, "burn(slo, {})", w.show(s)),
            Num::Over(over, x, s) => {
                let (x, s) = (w.show(&**x), w.show(s));
                let by = |robust: bool| if robust { ", 'theil-sen'" } else { "" };
                match over {
                    Over::Avg => write!(f, "avg({x}, {s})"),
                    Over::Sum => write!(f, "sum({x}, {s})"),
                    Over::Min => write!(f, "min({x}, {s})"),
                    Over::Max => write!(f, "max({x}, {s})"),
                    Over::Delta => write!(f, "delta({x}, {s})"),
                    Over::CountAll => write!(f, "count({x}, {s})"),
                    Over::Ewma => write!(f, "ewma({x}, {s})"),
                    Over::Zscore => write!(f, "zscore({x}, {s})"),
                    Over::Deriv(robust) => write!(f, "deriv({x}, {s}{})", by(*robust)),
                    Over::Fit(robust) => write!(f, "fit({x}, {s}{})", by(*robust)),
                    Over::Quantile(q) => write!(f, "p({x}, {q}%, {s})"),
                    Over::Eta(limit, robust) => write!(f, "eta({x}, {limit}, {s}{})", by(*robust)),
                    Over::Forecast(ahead, robust) => write!(f, "forecast({x}, {s}, {ahead}s{})", by(*robust)),
                    Over::Baseline(n) => write!(f, "baseline({x}, {s}, {n})"),
                }
            }
        }
    }
}

impl fmt::Display for Text<'_, Words> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Text(w, words) = *self;
        match words {
            Words::Signal(i) => f.write_str(w.signals[*i].name),
            Words::Literal(text) => write!(f, "'{text}'"),
            Words::If(three) => {
                write!(f, "if({}, {}, {})", w.show(&three.0), w.show(&three.1), w.show(&three.2))
            }
            Words::Coalesce(two) => write!(f, "coalesce({}, {})", w.show(&two.0), w.show(&two.1)),
        }
    }
}

impl fmt::Display for Text<'_, Cond> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Text(w, cond) = *self;
        let not = |not: &bool| if *not { "not in" } else { "in" };
        let differ = |differ: &bool| if *differ { "!=" } else { "==" };
        match cond {
            Cond::Const(value) => write!(f, "{value}"),
            Cond::Signal(i) => f.write_str(w.signals[*i].name),
            Cond::Not(one) => write!(f, "not ({})", w.show(&**one)),
            Cond::And(many) => f.write_str(&w.list(many, " and ")),
            Cond::Or(many) => f.write_str(&w.list(many, " or ")),
            Cond::Compare(a, op, b) => write!(f, "({}) {op} ({})", w.show(&**a), w.show(&**b)),
            Cond::In(a, set, n) => write!(f, "({}) {} [{}]", w.show(&**a), not(n), w.list(set, ", ")),
            Cond::Same(a, b, d) => write!(f, "({}) {} ({})", w.show(&**a), differ(d), w.show(&**b)),
            Cond::Words(a, b, d) => write!(f, "({}) {} ({})", w.show(&**a), differ(d), w.show(&**b)),
            Cond::WordsIn(a, set, n) => {
                let set: Vec<_> = set.iter().map(|text| format!("'{text}'")).collect();
                write!(f, "({}) {} [{}]", w.show(&**a), not(n), set.join(", "))
            }
            Cond::Silent(i, s) => write!(f, "nodata({}, {})", w.signals[*i].name, w.show(s)),
            Cond::If(three) => {
                write!(f, "if({}, {}, {})", w.show(&three.0), w.show(&three.1), w.show(&three.2))
            }
            Cond::Coalesce(two) => write!(f, "coalesce({}, {})", w.show(&two.0), w.show(&two.1)),
        }
    }
}

/// The signals an expression names, in order of first mention.
#[derive(Default)]
pub struct Names(pub Vec<usize>);

impl Names {
    fn note(&mut self, i: usize) {
        if !self.0.contains(&i) {
            self.0.push(i);
        }
    }

    pub fn num(&mut self, num: &Num) {
        match num {
            Num::Signal(i) | Num::Age(i) => self.note(*i),
            Num::Neg(one) | Num::Abs(one) => self.num(one),
            Num::Math(_, two) => two.iter().for_each(|one| self.num(one)),
            Num::Least(many) | Num::Greatest(many) => many.iter().for_each(|one| self.num(one)),
            Num::If(three) => {
                self.cond(&three.0);
                self.num(&three.1);
                self.num(&three.2);
            }
            Num::Coalesce(two) => {
                self.num(&two.0);
                self.num(&two.1);
            }
            // A window's own names are not those of what stands around it.
            _ => {}
        }
    }

    fn words(&mut self, words: &Words) {
        match words {
            Words::Signal(i) => self.note(*i),
            Words::Literal(_) => {}
            Words::If(three) => {
                self.cond(&three.0);
                self.words(&three.1);
                self.words(&three.2);
            }
            Words::Coalesce(two) => {
                self.words(&two.0);
                self.words(&two.1);
            }
        }
    }

    pub fn cond(&mut self, cond: &Cond) {
        match cond {
            Cond::Const(_) => {}
            Cond::Signal(i) | Cond::Silent(i, _) => self.note(*i),
            Cond::Not(one) => self.cond(one),
            Cond::And(many) | Cond::Or(many) => many.iter().for_each(|one| self.cond(one)),
            Cond::Compare(a, _, b) => {
                self.num(a);
                self.num(b);
            }
            Cond::In(a, set, _) => {
                self.num(a);
                set.iter().for_each(|one| self.num(one));
            }
            Cond::Same(a, b, _) => {
                self.cond(a);
                self.cond(b);
            }
            Cond::Words(a, b, _) => {
                self.words(a);
                self.words(b);
            }
            Cond::WordsIn(a, ..) => self.words(a),
            Cond::If(three) => [&three.0, &three.1, &three.2].into_iter().for_each(|one| self.cond(one)),
            Cond::Coalesce(two) => [&two.0, &two.1].into_iter().for_each(|one| self.cond(one)),
        }
    }
}
