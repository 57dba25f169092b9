//! Random conditions and random series, for the comparison with the reference.

use proptest::prelude::*;

pub const NAMES: [&str; 3] = ["load.avg1", "load.avg5", "kernel.oom_kills"];
/// Seconds; 600 s is the longest exact window at 10 s.
pub const SPANS: [i64; 7] = [20, 50, 100, 600, 660, 1200, 3600];

/// A numeric expression; signals by index into `NAMES`, windows by index into `SPANS`.
#[derive(Clone, Copy, Debug)]
pub enum Num {
    Ref(usize),
    Age(usize),
    Held(f64),
    Over(Over, usize),
    Quantile(f64, usize),
    Eta(f64, usize),
    Forecast(usize),
}

/// What a window is taken over, and how.
#[derive(Clone, Copy, Debug)]
pub enum Over {
    Avg(Of),
    Sum(Of),
    Min(Of),
    Max(Of),
    Delta(Of),
    Deriv(Of),
    Count(f64),
    Frac(f64),
    Increase,
    Rate,
    Changes(usize),
}

/// One signal, or the sum of two.
#[derive(Clone, Copy, Debug)]
pub enum Of {
    One(usize),
    Both,
}

#[derive(Clone, Debug)]
pub enum Cond {
    Compare(Num, &'static str, f64),
    Silent(usize, i64),
    Not(Box<Cond>),
    And(Box<Cond>, Box<Cond>),
    Or(Box<Cond>, Box<Cond>),
}

impl Of {
    pub fn text(self) -> String {
        match self {
            Of::One(i) => NAMES[i].to_owned(),
            Of::Both => format!("{} + {}", NAMES[0], NAMES[1]),
        }
    }
}

impl Num {
    pub fn text(self) -> String {
        let span = |w: usize| format!("{}s", SPANS[w]);
        match self {
            Num::Ref(i) => NAMES[i].to_owned(),
            Num::Age(i) => format!("age({})", NAMES[i]),
            Num::Held(limit) => format!("held({} > {limit})", NAMES[0]),
            Num::Quantile(q, w) => format!("p({}, {}%, {})", NAMES[0], q * 100.0, span(w)),
            Num::Eta(limit, w) => format!("eta({}, {limit}, {})", NAMES[0], span(w)),
            Num::Forecast(w) => format!("forecast({}, {}, 1m)", NAMES[0], span(w)),
            Num::Over(over, w) => {
                let (name, of) = match over {
                    Over::Avg(of) => ("avg", of.text()),
                    Over::Sum(of) => ("sum", of.text()),
                    Over::Min(of) => ("min", of.text()),
                    Over::Max(of) => ("max", of.text()),
                    Over::Delta(of) => ("delta", of.text()),
                    Over::Deriv(of) => ("deriv", of.text()),
                    Over::Count(limit) => ("count", format!("{} > {limit}", NAMES[0])),
                    Over::Frac(limit) => ("frac", format!("{} > {limit}", NAMES[0])),
                    Over::Increase => ("increase", NAMES[2].to_owned()),
                    Over::Rate => ("rate", NAMES[2].to_owned()),
                    Over::Changes(i) => ("changes", NAMES[i].to_owned()),
                };
                format!("{name}({of}, {})", span(w))
            }
        }
    }

    pub fn unit(self) -> &'static str {
        match self {
            Num::Age(_) | Num::Held(_) | Num::Eta(..) => "s",
            Num::Over(Over::Deriv(_) | Over::Rate, _) => "/s",
            _ => "",
        }
    }
}

impl Cond {
    pub fn text(&self) -> String {
        match self {
            // A ratio is written as such.
            Cond::Compare(num @ Num::Over(Over::Frac(_), _), op, limit) => {
                format!("{} {op} {}%", num.text(), (limit / 6.0 * 100.0).round())
            }
            Cond::Compare(num, op, limit) => format!("{} {op} {limit}{}", num.text(), num.unit()),
            Cond::Silent(i, d) => format!("nodata({}, {d}s)", NAMES[*i]),
            Cond::Not(a) => format!("not ({})", a.text()),
            Cond::And(a, b) => format!("({}) and ({})", a.text(), b.text()),
            Cond::Or(a, b) => format!("({}) or ({})", a.text(), b.text()),
        }
    }
}

pub fn of() -> impl Strategy<Value = Of> {
    prop_oneof![(0..2_usize).prop_map(Of::One), Just(Of::Both)]
}

pub fn over() -> impl Strategy<Value = Over> {
    prop_oneof![
        of().prop_map(Over::Avg),
        of().prop_map(Over::Sum),
        of().prop_map(Over::Min),
        of().prop_map(Over::Max),
        of().prop_map(Over::Delta),
        of().prop_map(Over::Deriv),
        (0..6).prop_map(|n| Over::Count(f64::from(n))),
        (0..6).prop_map(|n| Over::Frac(f64::from(n))),
        Just(Over::Increase),
        Just(Over::Rate),
        (0..3_usize).prop_map(Over::Changes),
    ]
}

pub fn num() -> impl Strategy<Value = Num> {
    let span = 0..SPANS.len();
    prop_oneof![
        1 => (0..3_usize).prop_map(Num::Ref),
        1 => (0..3_usize).prop_map(Num::Age),
        1 => (0..6).prop_map(|n| Num::Held(f64::from(n))),
        6 => (over(), span.clone()).prop_map(|(o, w)| Num::Over(o, w)),
        1 => ((1..20_i32).prop_map(|q| f64::from(q * 5) / 100.0), span.clone())
            .prop_map(|(q, w)| Num::Quantile(q, w)),
        1 => ((0..8).prop_map(f64::from), span.clone()).prop_map(|(l, w)| Num::Eta(l, w)),
        1 => span.prop_map(Num::Forecast),
    ]
}

/// What depends on no window.
pub fn plain() -> impl Strategy<Value = Num> {
    prop_oneof![
        (0..3_usize).prop_map(Num::Ref),
        (0..3_usize).prop_map(Num::Age),
        (0..6).prop_map(|n| Num::Held(f64::from(n))),
    ]
}

pub fn cond(num: impl Strategy<Value = Num> + 'static) -> impl Strategy<Value = Cond> {
    let op = proptest::sample::select(vec!["<", "<=", ">", ">=", "==", "!="]);
    let leaf = prop_oneof![
        8 => (num, op, 0..8_i32).prop_map(|(n, op, l)| Cond::Compare(n, op, f64::from(l))),
        1 => (0..3_usize, 1..300_i64).prop_map(|(i, d)| Cond::Silent(i, d)),
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        let two = (inner.clone(), inner.clone());
        prop_oneof![
            inner.prop_map(|a| Cond::Not(Box::new(a))),
            two.clone().prop_map(|(a, b)| Cond::And(Box::new(a), Box::new(b))),
            two.prop_map(|(a, b)| Cond::Or(Box::new(a), Box::new(b))),
        ]
    })
}

/// Seconds to the next observation, what it says of each signal, and seconds after which it is looked at once
/// more.
pub type Beat = (i64, [Option<Option<i32>>; 3], i64);

pub fn beat() -> impl Strategy<Value = Beat> {
    let gap = prop_oneof![20 => Just(10), 4 => 1..20_i64, 1 => 30..400_i64, 1 => Just(0)];
    let word =
        || prop_oneof![12 => (0..7).prop_map(|n| Some(Some(n))), 1 => Just(Some(None)), 1 => Just(None)];
    (gap, [word(), word(), word()], prop_oneof![6 => Just(0), 1 => 1..100_i64])
}

/// All but means over time of told signals, which move all the while and are looked at in steps of w/60.
pub fn turning() -> impl Strategy<Value = Num> {
    let moves = |n: &Num| matches!(n, Num::Over(Over::Avg(_) | Over::Frac(_), _));
    num().prop_filter("moves all the while", move |n| !moves(n))
}
