//! Random conditions and random series from one number: gaps, equal and backward stamps, values that are
//! missing, not numbers or start anew, in random order over two instances.

use super::conditions::*;

/// Splitmix64 (Steele, Lea and Flood, 2014).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to below `n`.
    pub fn below(&mut self, n: i64) -> i64 {
        (self.next() % n as u64) as i64
    }

    pub fn one_in(&mut self, n: i64) -> bool {
        self.below(n) == 0
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as i64) as usize]
    }
}

/// A value as a door gives it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Word {
    Num(f64),
    Bool(bool),
    Text(&'static str),
}

/// One observation.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Seconds since the one before, and how much older than that its stamp is; milliseconds.
    pub gap: i64,
    pub back: i64,
    pub on_host: bool,
    /// Per signal of the world: not spoken of, no value, value.
    pub words: [Option<Option<Word>>; 5],
    /// After so many milliseconds it is looked at once more.
    pub look: i64,
}

/// A whole case.
#[derive(Clone, Debug)]
pub struct Case {
    pub world: usize,
    pub cond: Cond,
    /// Intervals of the host and of the instance, seconds; 0 is told.
    pub intervals: [i64; 2],
    pub stale: i64,
    pub min_coverage: f64,
    pub seen: Vec<Seen>,
}

const STATES: [&str; 3] = ["active", "failed", "inactive"];
const SPANS: [i64; 13] = [1, 2, 5, 20, 50, 61, 100, 600, 660, 1200, 3600, 7200, 86400];
const OPS: [&str; 6] = ["<", "<=", ">", ">=", "==", "!="];
const UNITS: [Unit; 4] = [Unit::Number, Unit::Seconds, Unit::Ratio, Unit::PerSecond];

/// What a generator may use.
#[derive(Clone, Copy, PartialEq)]
pub enum Taste {
    /// Everything.
    All,
    /// No window, for what stands inside one.
    Inside,
    /// One function compared with a literal, none that moves all the while: what an engine can wait for.
    Turning,
    /// The same without windows.
    Plain,
}

pub fn case(random: &mut Random) -> Case {
    let world = random.below(3) as usize;
    let intervals = [0, 1].map(|_| random.pick(&[0, 0, 1, 10, 10, 60]));
    let cond = Maker { random, world: &WORLDS[world], taste: Taste::All }.cond(3);
    let stale = random.pick(&[0, 0, 45]);
    let min_coverage = random.pick(&[0.0, 0.01, 0.1, 0.5, 0.5, 1.0]);
    let most = if intervals.contains(&0) { 55 } else { 90 };
    let seen = series(random, &WORLDS[world], intervals, most);
    Case { world, cond, intervals, stale, min_coverage, seen }
}

/// The same for the comparison of deadlines: whole seconds, in order.
pub fn orderly(random: &mut Random, told: bool) -> Case {
    let world = random.below(3) as usize;
    let interval = if told { 0 } else { 10 };
    let taste = if told { Taste::Turning } else { Taste::Plain };
    let cond = Maker { random, world: &WORLDS[world], taste }.cond(2);
    let mut seen = series(random, &WORLDS[world], [interval; 2], 40);
    for one in &mut seen {
        (one.gap, one.back, one.look) = (one.gap / 1000 * 1000, 0, one.look / 1000 % 100 * 1000);
    }
    Case { world, cond, intervals: [interval; 2], stale: 0, min_coverage: 0.5, seen }
}

pub struct Maker<'a> {
    pub random: &'a mut Random,
    pub world: &'a World,
    pub taste: Taste,
}

impl Maker<'_> {
    fn signals(&self, wanted: impl Fn(What) -> bool) -> Vec<usize> {
        (0..5).filter(|i| wanted(self.world.signals[*i].what)).collect()
    }

    fn signal(&mut self, wanted: impl Fn(What) -> bool) -> Option<usize> {
        let all = self.signals(wanted);
        (!all.is_empty()).then(|| self.random.pick(&all))
    }

    fn moving(&mut self) -> usize {
        self.signal(|w| !matches!(w, What::Fixed(_))).unwrap_or(0)
    }

    fn span(&mut self) -> Span {
        let period = self.signal(|w| w == What::Fixed(Unit::Seconds));
        match period {
            Some(i) if self.random.one_in(3) => Span::Times(self.random.pick(&[1, 2, 3]), i),
            _ => Span::Seconds(self.random.pick(&SPANS)),
        }
    }

    /// Nothing composed, and nothing that is true without any signal: nobody would call for its judgement.
    fn is_simple(&self) -> bool {
        matches!(self.taste, Taste::Turning | Taste::Plain)
    }

    pub fn cond(&mut self, depth: i64) -> Cond {
        let two = |m: &mut Self| (Box::new(m.cond(depth - 1)), Box::new(m.cond(depth - 1)));
        let many = |m: &mut Self| (0..2 + m.random.below(2)).map(|_| m.cond(depth - 1)).collect();
        let is_simple = self.is_simple();
        match if depth > 0 { self.random.below(12) } else { 99 } {
            0 => Cond::Not(two(self).0),
            1 | 2 => Cond::And(many(self)),
            3 | 4 => Cond::Or(many(self)),
            5 => {
                let (a, b) = two(self);
                Cond::Same(a, b, self.random.one_in(2))
            }
            6 if !is_simple => {
                let three = (self.cond(depth - 1), self.cond(depth - 1), self.cond(depth - 1));
                Cond::If(Box::new(three))
            }
            7 if !is_simple => Cond::Coalesce(Box::new((self.cond(depth - 1), self.cond(depth - 1)))),
            _ => self.leaf(depth),
        }
    }

    fn leaf(&mut self, depth: i64) -> Cond {
        let text = self.signal(|w| w == What::Text);
        let truth = self.signal(|w| w == What::Bool);
        match (self.random.below(16), text, truth) {
            (0, ..) if !self.is_simple() => Cond::Const(self.random.one_in(2)),
            (1 | 2, _, Some(i)) => Cond::Signal(i),
            (3, Some(_), _) => {
                let (a, b) = (self.words(depth), self.words(depth));
                Cond::Words(Box::new(a), Box::new(b), self.random.one_in(2))
            }
            (4, Some(_), _) => {
                let set = (0..1 + self.random.below(2)).map(|_| self.random.pick(&STATES)).collect();
                Cond::WordsIn(Box::new(self.words(depth)), set, self.random.one_in(2))
            }
            (5 | 6, ..) if self.taste != Taste::Inside => {
                let i = self.moving();
                Cond::Silent(i, self.span())
            }
            (7, ..) => {
                let set = (0..1 + self.random.below(3)).map(|_| self.literal(Unit::Number)).collect();
                Cond::In(Box::new(self.num(Unit::Number, depth)), set, self.random.one_in(2))
            }
            _ => {
                let unit = match self.taste {
                    Taste::Inside => Unit::Number,
                    Taste::Plain => self.random.pick(&[Unit::Number, Unit::Seconds]),
                    _ => self.random.pick(&UNITS),
                };
                let left = Box::new(self.num(unit, depth));
                let op = self.random.pick(&OPS);
                let is_simple = self.is_simple();
                let right = if is_simple || !self.random.one_in(4) {
                    self.literal(unit)
                } else {
                    self.num(unit, depth - 1)
                };
                Cond::Compare(left, op, Box::new(right))
            }
        }
    }

    fn literal(&mut self, unit: Unit) -> Num {
        let n = match unit {
            Unit::Number => self.random.below(8),
            Unit::Seconds => self.random.pick(&[0, 1, 10, 30, 45, 90, 300, 1200]),
            Unit::Ratio => self.random.pick(&[0, 1, 25, 50, 75, 100]),
            Unit::PerSecond => self.random.pick(&[0, 1, 6, 20]),
        };
        Num::Literal(n, unit)
    }

    fn words(&mut self, depth: i64) -> Words {
        let Some(i) = self.signal(|w| w == What::Text) else { return Words::Literal("active") };
        if self.is_simple() {
            return Words::Signal(i);
        }
        match self.random.below(if depth > 0 { 8 } else { 6 }) {
            0 | 1 => Words::Literal(self.random.pick(&STATES)),
            6 => Words::If(Box::new((self.cond(depth - 1), self.words(0), self.words(0)))),
            7 => Words::Coalesce(Box::new((self.words(0), self.words(0)))),
            _ => Words::Signal(i),
        }
    }

    fn num(&mut self, unit: Unit, depth: i64) -> Num {
        match self.taste {
            Taste::Plain => self.instant(unit),
            Taste::Turning if self.random.one_in(3) => match unit {
                Unit::Number | Unit::Seconds => self.instant(unit),
                _ => self.window(unit),
            },
            Taste::Turning => self.window(unit),
            _ if depth > 0 && self.random.one_in(3) => self.composed(unit, depth - 1),
            Taste::All if self.random.below(5) > 0 => self.window(unit),
            _ => self.instant(unit),
        }
    }

    fn composed(&mut self, unit: Unit, depth: i64) -> Num {
        let list = |m: &mut Self| (0..2 + m.random.below(2)).map(|_| m.num(unit, depth)).collect();
        match self.random.below(10) {
            0 => Num::Neg(Box::new(self.num(unit, depth))),
            1 => Num::Abs(Box::new(self.num(unit, depth))),
            2 => Num::Least(list(self)),
            3 => Num::Greatest(list(self)),
            4 => Num::If(Box::new((self.cond(depth), self.num(unit, depth), self.num(unit, depth)))),
            5 => Num::Coalesce(Box::new((self.num(unit, depth), self.num(unit, depth)))),
            _ => self.math(unit, depth),
        }
    }

    fn math(&mut self, unit: Unit, depth: i64) -> Num {
        let (op, left, right) = match (unit, self.random.below(5)) {
            (Unit::Ratio, 2) => ('/', Unit::Seconds, Unit::Seconds),
            (Unit::Number, 2) => ('*', Unit::PerSecond, Unit::Seconds),
            (Unit::PerSecond, 2) => ('/', Unit::Number, Unit::Seconds),
            (Unit::Number, 3) => ('*', unit, unit),
            (Unit::Number, 4) => ('/', unit, unit),
            (Unit::Seconds | Unit::PerSecond, 3) => ('*', Unit::Number, unit),
            (Unit::Seconds | Unit::PerSecond, 4) => ('/', unit, Unit::Number),
            (_, 0) => ('-', unit, unit),
            _ => ('+', unit, unit),
        };
        Num::Math(op, Box::new([self.num(left, depth), self.num(right, depth)]))
    }

    /// What needs no window.
    fn instant(&mut self, unit: Unit) -> Num {
        let fixed = self.signal(|w| w == What::Fixed(unit));
        match unit {
            Unit::Number if self.is_simple() || !self.random.one_in(6) => {
                let number = |w| matches!(w, What::Gauge | What::Counter);
                self.signal(number).map_or(Num::Literal(1, unit), Num::Signal)
            }
            Unit::Seconds if self.is_simple() || (self.taste != Taste::Inside && self.random.one_in(2)) => {
                let i = self.moving();
                Num::Age(i)
            }
            _ => fixed.filter(|_| self.random.one_in(2)).map_or_else(|| self.literal(unit), Num::Signal),
        }
    }

    /// What goes into a window: something about a number that moves.
    fn input(&mut self) -> Box<Num> {
        let taste = std::mem::replace(&mut self.taste, Taste::Inside);
        let i = self.signal(|w| w == What::Gauge).unwrap_or(0);
        let other = self.num(Unit::Number, 1);
        self.taste = taste;
        let one = Num::Signal(i);
        Box::new(match self.random.below(8) {
            0 => Num::Math('+', Box::new([one, other])),
            1 => Num::Math('/', Box::new([other, one])),
            2 => Num::Coalesce(Box::new((one, other))),
            _ => one,
        })
    }

    fn truth(&mut self) -> Box<Cond> {
        let taste = std::mem::replace(&mut self.taste, Taste::Inside);
        let i = self.moving();
        let cond = match self.world.signals[i].what {
            What::Bool => Cond::Signal(i),
            What::Text => Cond::WordsIn(Box::new(Words::Signal(i)), vec![self.random.pick(&STATES)], false),
            _ => Cond::Compare(
                Box::new(Num::Signal(i)),
                self.random.pick(&OPS),
                Box::new(Num::Literal(self.random.below(7), Unit::Number)),
            ),
        };
        let cond = match self.random.below(6) {
            0 => Cond::And(vec![cond, self.cond(1)]),
            1 => Cond::Or(vec![cond, self.cond(1)]),
            2 => Cond::Not(Box::new(cond)),
            _ => cond,
        };
        self.taste = taste;
        Box::new(cond)
    }

    fn window(&mut self, unit: Unit) -> Num {
        let (span, moves) = (self.span(), self.taste == Taste::Turning);
        let robust = self.random.one_in(2);
        let counter = self.signal(|w| w == What::Counter).unwrap_or(2);
        let over = |m: &mut Self, over: Over| Num::Over(over, m.input(), span);
        match unit {
            Unit::Seconds if self.random.one_in(2) => Num::Held(self.truth()),
            Unit::Seconds => {
                let limit = self.random.below(8);
                over(self, Over::Eta(limit, robust))
            }
            Unit::Ratio if moves || self.random.one_in(2) => over(self, Over::Fit(robust)),
            Unit::Ratio => Num::Frac(self.truth(), span),
            Unit::PerSecond if self.random.one_in(2) => over(self, Over::Deriv(robust)),
            Unit::PerSecond => Num::Rate(counter, span),
            Unit::Number => match self.random.below(if moves { 13 } else { 17 }) {
                0 => over(self, Over::Sum),
                1 => over(self, Over::Min),
                2 => over(self, Over::Max),
                3 => over(self, Over::Delta),
                4 => over(self, Over::CountAll),
                5 => over(self, Over::Zscore),
                6 => {
                    let q = self.random.below(21) * 5;
                    over(self, Over::Quantile(q))
                }
                7 => over(self, Over::Forecast(60, robust)),
                8 => Num::Count(self.truth(), span),
                9 => Num::Increase(counter, span),
                10 => {
                    let i = self.moving();
                    Num::Changes(i, span)
                }
                11 => Num::Events(self.random.pick(&["raise/s", "clear/s", "*/s"]), span),
                12 if self.world.class == crate::engine::signal::Class::Slo => Num::Burn(span),
                13 | 14 => over(self, Over::Avg),
                15 => over(self, Over::Ewma),
                16 => {
                    let n = 1 + self.random.below(4) as u8;
                    let period = Span::Seconds(self.random.pick(&[60, 90, 600, 660]));
                    Num::Over(Over::Baseline(n), self.input(), period)
                }
                _ => over(self, Over::Max),
            },
        }
    }
}

fn series(random: &mut Random, world: &World, intervals: [i64; 2], most: i64) -> Vec<Seen> {
    let mut totals = [0_i64; 5];
    let base = if random.one_in(4) { 20 } else { 0 };
    let pace = intervals.into_iter().filter(|i| *i > 0).min().unwrap_or(random.pick(&[1, 10, 60])) * 1000;
    let long = if random.one_in(3) { 400_000 } else { 90_000 };
    let mut all: Vec<Seen> = Vec::new();
    for n in 0..1 + random.below(most) {
        let both = random.below(10);
        let gap = match random.below(30) {
            0 | 1 => 0,
            2 => random.below(long),
            3 | 4 => 1 + random.below(2 * pace),
            _ => pace,
        };
        let back = if random.one_in(12) { random.below(3 * pace) } else { 0 };
        let look = if random.one_in(6) { random.below(100_000) } else { 0 };
        // The instance first, which is what binds the rule; later either, often both at one moment.
        let on_host = n > 0 && random.one_in(2);
        let mut seen = Seen { gap, back, on_host, words: [None; 5], look };
        fill(random, world, &mut seen, n, base, &mut totals);
        if n == 0 {
            (seen.gap, seen.back) = (0, 0);
        }
        all.push(seen.clone());
        if both < 6 {
            let mut other = Seen { gap: 0, back: seen.back, on_host: !on_host, words: [None; 5], look: 0 };
            fill(random, world, &mut other, 1, base, &mut totals);
            all.push(other);
        }
    }
    all
}

fn fill(random: &mut Random, world: &World, seen: &mut Seen, n: i64, base: i64, totals: &mut [i64; 5]) {
    for (i, signal) in world.signals.iter().enumerate().filter(|(_, s)| s.on_host == seen.on_host) {
        if let What::Fixed(unit) = signal.what {
            // The same all along: an attribute changes with the configuration.
            if (n == 0 && !random.one_in(10)) || random.one_in(20) {
                let value = if unit == Unit::Ratio { 0.75 } else { [25.0, 90.0][i % 2] };
                seen.words[i] = Some(Some(Word::Num(value)));
            }
            continue;
        }
        if random.one_in(10) {
            continue;
        }
        let value = match signal.what {
            What::Counter => {
                totals[i] = if random.one_in(15) { random.below(3) } else { totals[i] + random.below(4) };
                Word::Num(totals[i] as f64)
            }
            What::Bool => Word::Bool(random.one_in(2)),
            What::Text => Word::Text(random.pick(&STATES)),
            _ => Word::Num((base + random.below(7)) as f64),
        };
        seen.words[i] = Some(match random.below(30) {
            0 => None,
            1 if matches!(value, Word::Num(_)) => Some(Word::Num(random.pick(&[f64::NAN, f64::INFINITY]))),
            _ => Some(value),
        });
    }
}
