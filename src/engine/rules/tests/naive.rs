//! The reference: says what a condition is by scanning all that was ever seen, each time anew, along the
//! definitions of docs/rules.md. Slow, without state, and written for nothing but to be compared with.

mod windows;

use super::conditions::*;
use super::random::Word;

pub const NANO: i64 = 1_000_000;
const STALE_LEAST: i64 = 30_000_000_000;
/// The arrival with which nothing is known.
const NOTHING: usize = usize::MAX;

/// A figure; `fuzzy` when another order of the same sums may give another last bit.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    pub value: f64,
    pub fuzzy: bool,
}

/// A comparison too near to call in binary fractions ends the comparison of one moment.
#[derive(Debug)]
pub struct TooNear;

pub type Answer<T> = Result<Option<T>, TooNear>;

/// One accepted word: in which arrival, its stamp, what it said.
#[derive(Clone, Copy)]
struct Heard {
    arrival: usize,
    at: i64,
    word: Option<Word>,
}

/// All that was ever seen.
pub struct Naive<'a> {
    pub world: &'a World,
    /// ns, of the host and of the instance.
    pub intervals: [i64; 2],
    pub stale: i64,
    pub min_coverage: f64,
    /// Stamps of all arrivals, and for each signal how many words were accepted with or before each.
    arrivals: Vec<i64>,
    accepted: Vec<[usize; 5]>,
    heard: [Vec<Heard>; 5],
    /// Events: in which arrival, when, `kind/rule`.
    pub events: Vec<(usize, i64, String)>,
}

/// The moment and the knowledge at which something is evaluated.
#[derive(Clone, Copy)]
struct At {
    t: i64,
    /// Arrivals up to this one are known.
    arrival: usize,
    stale: i64,
}

impl<'a> Naive<'a> {
    pub fn new(world: &'a World, intervals: [i64; 2], stale: i64, min_coverage: f64) -> Self {
        let (arrivals, accepted, heard, events) = (Vec::new(), Vec::new(), Default::default(), Vec::new());
        Self { world, intervals, stale, min_coverage, arrivals, accepted, heard, events }
    }

    /// Notes an observation. A word older than the newest of its signal is refused; an equal stamp makes the
    /// last word the one that counts.
    pub fn see(&mut self, at: i64, words: &[Option<Option<Word>>; 5]) {
        let arrival = self.arrivals.len();
        self.arrivals.push(at);
        for (heard, word) in self.heard.iter_mut().zip(words) {
            let Some(word) = word else { continue };
            if heard.last().is_some_and(|last| at < last.at) {
                continue;
            }
            let word = word.filter(|w| !matches!(w, Word::Num(n) if !n.is_finite()));
            heard.push(Heard { arrival, at, word });
        }
        self.accepted.push([0, 1, 2, 3, 4].map(|i| self.heard[i].len()));
    }

    /// The verdict at `t`.
    pub fn verdict(&self, cond: &Cond, t: i64) -> Answer<bool> {
        let arrival = self.arrivals.len() - 1;
        self.cond(cond, At { t, arrival, stale: self.stale })
    }

    fn interval(&self, i: usize) -> i64 {
        self.intervals[usize::from(!self.world.signals[i].on_host)]
    }

    fn is_fixed(&self, i: usize) -> bool {
        matches!(self.world.signals[i].what, What::Fixed(_))
    }

    /// The words of a signal that are known with an arrival.
    fn known(&self, i: usize, arrival: usize) -> &[Heard] {
        &self.heard[i][..self.accepted.get(arrival).map_or(0, |all| all[i])]
    }

    /// The last word of a signal that is known.
    fn last(&self, i: usize, at: At) -> Option<Heard> {
        self.known(i, at.arrival).last().copied()
    }

    fn word(&self, i: usize, at: At) -> Option<Word> {
        let last = self.last(i, at)?;
        let limit = match self.interval(i) {
            0 => i64::MAX,
            _ if self.is_fixed(i) => i64::MAX,
            _ if at.stale > 0 => at.stale,
            interval => silence(interval),
        };
        last.word.filter(|_| at.t - last.at <= limit)
    }

    /// The stamp of the last real value; a stamp's last word is the one that counts.
    fn last_value(&self, i: usize, at: At) -> Option<i64> {
        let known = self.known(i, at.arrival);
        let last_of_stamp = |n: usize| known.get(n + 1).is_none_or(|next| next.at != known[n].at);
        (0..known.len())
            .rev()
            .filter(|n| last_of_stamp(*n))
            .map(|n| known[n])
            .find(|h| h.word.is_some())
            .map(|h| h.at)
    }

    /// ns of a duration; `None` while an attribute is unknown.
    fn span(&self, span: Span, at: At) -> Option<i64> {
        match span {
            Span::Seconds(s) => Some(s * 1000 * NANO),
            Span::Times(n, i) => match self.word(i, at)? {
                Word::Num(seconds) => Some((n as f64 * seconds * 1e9).round() as i64),
                _ => None,
            },
        }
    }

    fn num(&self, num: &Num, at: At) -> Answer<Figure> {
        let value = match num {
            Num::Signal(i) => match self.word(*i, at) {
                Some(Word::Num(value)) => sharp(value),
                _ => None,
            },
            Num::Literal(n, unit) => {
                let n = *n as f64;
                sharp(match unit {
                    Unit::Number | Unit::Seconds => n,
                    Unit::Ratio => n / 100.0,
                    Unit::PerSecond => n / 60.0,
                })
            }
            Num::Neg(one) => self.num(one, at)?.map(|f| Figure { value: -f.value, ..f }),
            Num::Abs(one) => self.num(one, at)?.map(|f| Figure { value: f.value.abs(), ..f }),
            Num::Math(op, two) => match (self.num(&two[0], at)?, self.num(&two[1], at)?) {
                (Some(a), Some(b)) => calculate(*op, a, b)?,
                _ => None,
            },
            Num::Least(many) => self.fold(many, at, f64::min)?,
            Num::Greatest(many) => self.fold(many, at, f64::max)?,
            Num::If(three) => match self.cond(&three.0, at)? {
                Some(true) => self.num(&three.1, at)?,
                Some(false) => self.num(&three.2, at)?,
                None => None,
            },
            Num::Coalesce(two) => match self.num(&two.0, at)? {
                Some(figure) => Some(figure),
                None => self.num(&two.1, at)?,
            },
            Num::Age(i) => self.last_value(*i, at).and_then(|then| sharp((at.t - then).max(0) as f64 / 1e9)),
            window => return self.window(window, at),
        };
        Ok(value.filter(|f| !f.value.is_nan()))
    }

    fn fold(&self, many: &[Num], at: At, f: fn(f64, f64) -> f64) -> Answer<Figure> {
        let mut all: Option<Figure> = None;
        for one in many {
            let Some(next) = self.num(one, at)? else { return Ok(None) };
            all = Some(match all {
                None => next,
                Some(a) => Figure { value: f(a.value, next.value), fuzzy: a.fuzzy || next.fuzzy },
            });
        }
        Ok(all)
    }

    fn words(&self, words: &Words, at: At) -> Answer<&'static str> {
        Ok(match words {
            Words::Signal(i) => match self.word(*i, at) {
                Some(Word::Text(text)) => Some(text),
                _ => None,
            },
            Words::Literal(text) => Some(text),
            Words::If(three) => match self.cond(&three.0, at)? {
                Some(true) => self.words(&three.1, at)?,
                Some(false) => self.words(&three.2, at)?,
                None => None,
            },
            Words::Coalesce(two) => match self.words(&two.0, at)? {
                Some(text) => Some(text),
                None => self.words(&two.1, at)?,
            },
        })
    }

    fn cond(&self, cond: &Cond, at: At) -> Answer<bool> {
        Ok(match cond {
            Cond::Const(value) => Some(*value),
            Cond::Signal(i) => match self.word(*i, at) {
                Some(Word::Bool(value)) => Some(value),
                _ => None,
            },
            Cond::Not(one) => self.cond(one, at)?.map(|b| !b),
            Cond::And(many) => self.kleene(many, at, false)?,
            Cond::Or(many) => self.kleene(many, at, true)?,
            Cond::Compare(a, op, b) => compare(self.num(a, at)?, op, self.num(b, at)?)?,
            Cond::In(a, set, not) => {
                let one = |b: &Num| compare(self.num(a, at)?, "==", self.num(b, at)?);
                let all = set.iter().map(one).collect::<Result<Vec<_>, _>>()?;
                any(&all).map(|found| found != *not)
            }
            Cond::Same(a, b, differ) => match (self.cond(a, at)?, self.cond(b, at)?) {
                (Some(a), Some(b)) => Some((a == b) != *differ),
                _ => None,
            },
            Cond::Words(a, b, differ) => match (self.words(a, at)?, self.words(b, at)?) {
                (Some(a), Some(b)) => Some((a == b) != *differ),
                _ => None,
            },
            Cond::WordsIn(a, set, not) => self.words(a, at)?.map(|text| set.contains(&text) != *not),
            Cond::Silent(i, span) => match (self.span(*span, at), self.last_value(*i, at)) {
                (None, _) => None,
                (Some(ns), Some(then)) => Some((at.t - then).max(0) >= ns),
                (Some(ns), None) => (at.t - self.arrivals[0] >= ns).then_some(true),
            },
            Cond::If(three) => match self.cond(&three.0, at)? {
                Some(true) => self.cond(&three.1, at)?,
                Some(false) => self.cond(&three.2, at)?,
                None => None,
            },
            Cond::Coalesce(two) => match self.cond(&two.0, at)? {
                Some(value) => Some(value),
                None => self.cond(&two.1, at)?,
            },
        })
    }

    /// Kleene's logic by its table: the decisive value anywhere decides, else one unknown spreads.
    fn kleene(&self, many: &[Cond], at: At, decisive: bool) -> Answer<bool> {
        let all = many.iter().map(|c| self.cond(c, at)).collect::<Result<Vec<_>, _>>()?;
        Ok(any(&all.iter().map(|v| v.map(|v| v == decisive)).collect::<Vec<_>>()).map(|v| v == decisive))
    }
}

/// `or` over all.
fn any(all: &[Option<bool>]) -> Option<bool> {
    if all.contains(&Some(true)) {
        return Some(true);
    }
    if all.contains(&None) { None } else { Some(false) }
}

pub fn silence(interval: i64) -> i64 {
    (3 * interval).max(STALE_LEAST)
}

fn sharp(value: f64) -> Option<Figure> {
    Some(Figure { value, fuzzy: false })
}

fn calculate(op: char, a: Figure, b: Figure) -> Answer<Figure> {
    let value = match op {
        '+' => a.value + b.value,
        '-' => a.value - b.value,
        '*' => a.value * b.value,
        _ if b.fuzzy && b.value.abs() < 1e-9 => return Err(TooNear),
        _ if b.value == 0.0 => return Ok(None),
        _ => a.value / b.value,
    };
    Ok(Some(Figure { value, fuzzy: a.fuzzy || b.fuzzy }))
}

fn compare(a: Option<Figure>, op: &str, b: Option<Figure>) -> Answer<bool> {
    let (Some(a), Some(b)) = (a, b) else { return Ok(None) };
    let (gap, size) = ((a.value - b.value).abs(), a.value.abs().max(b.value.abs()));
    let same = a.value == b.value || (size.is_finite() && gap <= 1e-9 * size);
    let is_near = gap < 1e-6 * size.max(1e-3) && size.is_finite();
    let is_surely_same = gap <= 1e-12 * size && size > 1e-6;
    if (a.fuzzy || b.fuzzy) && is_near && !is_surely_same {
        return Err(TooNear);
    }
    Ok(Some(match op {
        ">" => a.value > b.value && !same,
        ">=" => a.value > b.value || same,
        "<" => a.value < b.value && !same,
        "<=" => a.value < b.value || same,
        "==" => same,
        _ => !same,
    }))
}
