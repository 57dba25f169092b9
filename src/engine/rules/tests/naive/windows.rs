//! What each function over a window is, by definition.

mod lines;

use super::super::conditions::*;
use super::super::random::Word;
use super::{Answer, At, Figure, NOTHING, Naive, TooNear, sharp, silence};

/// What an expression was at one stamp (`None`: there was no value), and when the next sample was expected.
type Sample<T> = (i64, Option<T>, i64);

/// The samples of an expression.
struct Samples<T> {
    all: Vec<Sample<T>>,
    /// Expected distance at first and now, ns; 0 is told.
    first: i64,
    interval: i64,
}

/// The history of one expression, and how it is to be read.
struct History {
    samples: Vec<Sample<f64>>,
    /// The interval that settled the form of the window.
    form: i64,
    interval: i64,
    t: i64,
    span: i64,
    min_coverage: f64,
}

impl Naive<'_> {
    pub(super) fn window(&self, num: &Num, at: At) -> Answer<Figure> {
        match num {
            Num::Held(c) => Ok(held(&self.truths(c, None, at)?, at.t).and_then(sharp)),
            Num::Over(over, x, span) => {
                let Some(history) = self.numbers(x, *span, at)? else { return Ok(None) };
                history.over(*over, at)
            }
            Num::Count(c, span) => {
                let Some(history) = self.truth_history(c, *span, at)? else { return Ok(None) };
                Ok(history.sum().and_then(sharp))
            }
            Num::Frac(c, span) => {
                let Some(history) = self.truth_history(c, *span, at)? else { return Ok(None) };
                Ok(history.mean())
            }
            Num::Increase(i, span) => self.growth(*i, *span, at),
            Num::Rate(i, span) => {
                let Some(ns) = self.span(*span, at) else { return Ok(None) };
                let growth = self.growth(*i, *span, at)?;
                Ok(growth.map(|f| Figure { value: f.value / (ns as f64 / 1e9), ..f }))
            }
            Num::Changes(i, span) => {
                let Some(history) = self.signal_history(*i, *span, at) else { return Ok(None) };
                Ok(history.steps().map(|s| s.iter().filter(|(a, b)| a != b).count() as f64).and_then(sharp))
            }
            Num::Events(glob, span) => {
                let Some(ns) = self.span(*span, at) else { return Ok(None) };
                let from = self.since(*span).unwrap_or(usize::MAX);
                let matches = |name: &str| *glob == "*/s" || *glob == name;
                let inside = |e: &&(usize, i64, String)| e.0 >= from && e.1 > at.t - ns && matches(&e.2);
                Ok(sharp(self.events.iter().filter(inside).count() as f64))
            }
            Num::Burn(span) => {
                let (bad, total) = (self.growth(3, *span, at)?, self.growth(2, *span, at)?);
                let (Some(bad), Some(total)) = (bad, total) else { return Ok(None) };
                let Some(Word::Num(target)) = self.word(4, at) else { return Ok(None) };
                let is_idle = total.value == 0.0;
                Ok(if is_idle { None } else { sharp(bad.value / total.value / (1.0 - target)) })
            }
            _ => Ok(None),
        }
    }

    /// The arrival with which a window began: the first, or that which told how long it is.
    fn since(&self, span: Span) -> Option<usize> {
        match span {
            Span::Seconds(_) => Some(0),
            Span::Times(_, i) => self.heard[i].iter().find(|h| h.word.is_some()).map(|h| h.arrival),
        }
    }

    /// The samples of an expression over `names`: taken with each word of the first polled signal among them,
    /// or of any when all are told; also when the window is new.
    fn samples<T>(
        &self,
        names: &[usize],
        span: Option<Span>,
        at: At,
        value: impl Fn(At) -> Answer<T>,
    ) -> Result<Samples<T>, TooNear> {
        let moving: Vec<_> = names.iter().copied().filter(|i| !self.is_fixed(*i)).collect();
        let of_span = match span {
            Some(Span::Times(_, i)) => Some(i),
            _ => None,
        };
        let fixed: Vec<_> = names.iter().copied().filter(|i| self.is_fixed(*i)).chain(of_span).collect();
        let heard = |i: usize, k: usize| self.known(i, k).last();
        let mut all: Vec<Sample<T>> = Vec::new();
        let (mut first, mut interval, mut has_begun) = (0, 0, false);
        let from = span.map_or(Some(0), |span| self.since(span)).unwrap_or(usize::MAX);
        for (k, stamp) in self.arrivals.iter().enumerate().take(at.arrival + 1).skip(from) {
            let pace = moving.iter().copied().find(|i| self.interval(*i) > 0 && heard(*i, k).is_some());
            let is_heard = |i: &usize| heard(*i, k).is_some_and(|h| h.arrival == k);
            // An attribute that comes with the stamp of a sample says what that sample is.
            let is_told = fixed.iter().any(is_heard)
                && moving.iter().any(|i| heard(*i, k).is_some_and(|h| h.at == *stamp));
            let is_word = is_told || moving.iter().any(is_heard);
            let is_taken =
                (is_word || k == from) && pace.is_none_or(|i| heard(i, k).is_some_and(|h| h.at == *stamp));
            if !is_taken {
                continue;
            }
            let next = pace.map_or(0, |i| self.interval(i));
            let newest = all.last().map_or(i64::MIN, |last| last.0);
            // A polled sample that is too late is refused, a told value holds from now on.
            if pace.is_some() && *stamp < newest {
                continue;
            }
            let stamp = newest.max(*stamp);
            // A window is made before the observation that brings its instance is looked into.
            let is_before = !is_word && !matches!(span, Some(Span::Times(..)));
            let arrival = if is_before { NOTHING } else { k };
            let sample = value(At { t: stamp, arrival, stale: 0 })?;
            if sample.is_some() {
                // What was polled and is told now, or the other way round, begins anew.
                if span.is_some() && has_begun && (interval == 0) != (next == 0) {
                    all.clear();
                    has_begun = false;
                }
                if !has_begun {
                    (first, has_begun) = (next, true);
                }
                interval = next;
            }
            match all.last_mut().filter(|last| last.0 == stamp) {
                Some(last) => *last = (stamp, sample, next),
                None => all.push((stamp, sample, next)),
            }
        }
        Ok(Samples { all, first, interval })
    }

    fn truths(&self, c: &Cond, span: Option<Span>, at: At) -> Result<Vec<Sample<bool>>, TooNear> {
        let mut names = Names::default();
        names.cond(c);
        Ok(self.samples(&names.0, span, at, |at| self.cond(c, at))?.all)
    }

    fn history(&self, samples: Samples<f64>, span: Span, at: At) -> Option<History> {
        let span = self.span(span, at)?;
        let Samples { all: samples, first: form, interval } = samples;
        Some(History { samples, form, interval, t: at.t, span, min_coverage: self.min_coverage })
    }

    fn numbers(&self, x: &Num, span: Span, at: At) -> Result<Option<History>, TooNear> {
        let mut names = Names::default();
        names.num(x);
        let finite = |f: Figure| f.value.is_finite().then_some(f.value);
        let samples = self.samples(&names.0, Some(span), at, |at| Ok(self.num(x, at)?.and_then(finite)))?;
        Ok(self.history(samples, span, at))
    }

    fn truth_history(&self, c: &Cond, span: Span, at: At) -> Result<Option<History>, TooNear> {
        let mut names = Names::default();
        names.cond(c);
        let number = |b: bool| f64::from(u8::from(b));
        let samples = self.samples(&names.0, Some(span), at, |at| Ok(self.cond(c, at)?.map(number)))?;
        Ok(self.history(samples, span, at))
    }

    fn signal_history(&self, i: usize, span: Span, at: At) -> Option<History> {
        let number = |word: Word| match word {
            Word::Num(n) => n,
            Word::Bool(b) => f64::from(u8::from(b)),
            Word::Text(text) => f64::from(text.as_bytes()[0]),
        };
        let samples = self.samples(&[i], Some(span), at, |at| Ok(self.word(i, at).map(number))).ok()?;
        self.history(samples, span, at)
    }

    fn growth(&self, i: usize, span: Span, at: At) -> Answer<Figure> {
        let Some(history) = self.signal_history(i, span, at) else { return Ok(None) };
        let growth = |(a, b): &(f64, f64)| if b >= a { b - a } else { *b };
        Ok(history.steps().map(|steps| steps.iter().map(growth).sum()).and_then(sharp))
    }
}

/// How long the last run of true lasts; `None` when the last word was none.
fn held(all: &[Sample<bool>], t: i64) -> Option<f64> {
    all.last()?.1?;
    let run = all.iter().rev().take_while(|s| s.1 == Some(true));
    Some(run.last().map_or(0.0, |s| (t - s.0) as f64 / 1e9))
}

fn whole(values: &[f64]) -> bool {
    values.iter().all(|v| v.fract() == 0.0 && v.abs() < 1e9)
}

fn figure(value: f64, fuzzy: bool) -> Option<Figure> {
    (!value.is_nan()).then_some(Figure { value, fuzzy })
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    (sorted[(n - 1) / 2] + sorted[n / 2]) / 2.0
}

impl History {
    fn known(&self) -> Vec<(i64, f64)> {
        self.samples.iter().filter_map(|(at, v, _)| v.map(|v| (*at, v))).collect()
    }

    /// Whether a stamp lies in (t − w, t], by buckets of w/60 when more than `exact` samples are expected.
    fn is_inside(&self, at: i64, exact: i64) -> bool {
        if self.form > 0 && self.span > exact * self.form {
            let bucket = (self.span / 60).max(1);
            at.div_euclid(bucket) > self.t.div_euclid(bucket) - 60
        } else {
            at > self.t - self.span
        }
    }

    /// The samples in the window; `None` when they are too few, or nothing is held.
    fn inside(&self, exact: i64) -> Option<Vec<(i64, f64)>> {
        let inside: Vec<_> = self.known().into_iter().filter(|(at, _)| self.is_inside(*at, exact)).collect();
        if self.interval == 0 {
            self.samples.last()?.1?;
            return Some(inside);
        }
        let expected = (self.span as f64 / self.interval as f64).max(1.0);
        let enough = inside.len() as f64 + 1e-9 >= self.min_coverage * expected;
        (enough && !inside.is_empty()).then_some(inside)
    }

    /// Pairs of successive values whose later one lies in the window.
    fn steps(&self) -> Option<Vec<(f64, f64)>> {
        self.inside(60)?;
        let known = self.known();
        let pairs = known.windows(2).filter(|p| self.is_inside(p[1].0, 60));
        Some(pairs.map(|p| (p[0].1, p[1].1)).collect())
    }

    /// From, to, value of what a told series held, as far as it reaches into the window.
    fn stretches(&self) -> Vec<(i64, i64, f64)> {
        self.all_stretches().into_iter().filter(|(_, end, _)| *end > self.t - self.span).collect()
    }

    fn all_stretches(&self) -> Vec<(i64, i64, f64)> {
        let ends = self.samples.iter().skip(1).map(|s| s.0).chain([self.t]);
        let all = self.samples.iter().zip(ends);
        // What is held now counts even when it has been for no time yet.
        all.filter_map(|((at, v, _), end)| v.map(|v| (*at, end.min(self.t), v))).collect()
    }

    /// The values that sums and extremes are taken of.
    fn values(&self) -> Option<Vec<f64>> {
        let inside = self.inside(60)?;
        Some(match self.interval {
            0 => {
                let held = self.samples.last().and_then(|(at, v, _)| v.map(|v| (*at, self.t, v)));
                let past = self.stretches().into_iter().filter(|s| Some(s.0) != held.map(|h| h.0));
                past.chain(held).map(|s| s.2).collect()
            }
            _ => inside.into_iter().map(|s| s.1).collect(),
        })
    }

    fn sum(&self) -> Option<f64> {
        Some(self.values()?.iter().sum())
    }

    fn mean(&self) -> Option<Figure> {
        let values = self.values()?;
        if self.interval > 0 {
            return figure(values.iter().sum::<f64>() / values.len() as f64, !whole(&values));
        }
        let time = |s: &(i64, i64, f64)| (s.1 - s.0.max(self.t - self.span)).max(0) as f64 / 1e9;
        let stretches = self.stretches();
        let held: f64 = stretches.iter().map(time).sum();
        let area: f64 = stretches.iter().map(|s| time(s) * s.2).sum();
        let mean = if held > 0.0 { area / held } else { *values.last()? };
        figure(mean, true)
    }

    fn over(&self, over: Over, at: At) -> Answer<Figure> {
        Ok(match over {
            Over::Avg => self.mean(),
            Over::Sum => self.values().and_then(|v| figure(v.iter().sum(), !whole(&v))),
            Over::CountAll => self.values().and_then(|v| sharp(v.len() as f64)),
            Over::Min => self.values().and_then(|v| sharp(v.into_iter().fold(f64::INFINITY, f64::min))),
            Over::Max => self.values().and_then(|v| sharp(v.into_iter().fold(f64::NEG_INFINITY, f64::max))),
            Over::Delta => self.values().and_then(|v| sharp(v.last()? - v.first()?)),
            Over::Quantile(q) => self.quantile(q),
            Over::Deriv(robust) => self.line(robust).and_then(|line| figure(line.slope, true)),
            Over::Fit(robust) => self.line(robust).and_then(|line| figure(line.fit, true)),
            Over::Forecast(ahead, robust) => {
                let last = self.known().last().map(|s| s.1);
                let line = self.line(robust).filter(|line| !line.slope.is_nan());
                line.zip(last).and_then(|(line, last)| figure(last + line.slope * ahead as f64, true))
            }
            Over::Eta(limit, robust) => return self.eta(limit as f64, robust),
            Over::Ewma => return self.ewma(),
            Over::Baseline(n) => self.baseline(n.into(), at),
            Over::Zscore => self.zscore(),
        })
    }

    /// Nearest rank. Beyond 360 expected samples to within 1 %, which is left to a test of its own.
    fn quantile(&self, q: i64) -> Option<Figure> {
        let mut inside = self.inside(360)?;
        inside.sort_by(|a, b| a.1.total_cmp(&b.1));
        let n = inside.len();
        let rank = ((q as f64 / 100.0 * n as f64 - 1e-9).ceil() as usize).clamp(1, n.max(1));
        let value = inside.get(rank - 1)?.1;
        if self.form > 0 && self.span > 360 * self.form {
            return figure(binned(value), true);
        }
        sharp(value)
    }

    fn eta(&self, limit: f64, robust: bool) -> Answer<Figure> {
        let Some(line) = self.line(robust).filter(|line| !line.slope.is_nan()) else { return Ok(None) };
        let Some(last) = self.known().last().map(|s| s.1) else { return Ok(None) };
        let gap = limit - last;
        Ok(match gap / line.slope {
            _ if gap == 0.0 => sharp(0.0),
            ahead if line.slope != 0.0 && ahead > 0.0 => figure(ahead, true),
            _ if (limit - line.first) * gap < 0.0 => sharp(0.0),
            _ => sharp(f64::INFINITY),
        })
    }

    /// Closed form: each sample by the weight it has left at `t`.
    fn ewma(&self) -> Answer<Figure> {
        let left = |ns: i64| (-(ns as f64) / self.span as f64).exp();
        let known = self.known();
        let (Some(newest), Some(last)) = (self.samples.last(), known.last().map(|s| s.0)) else {
            return Ok(None);
        };
        if self.interval == 0 {
            if newest.1.is_none() {
                return Ok(None);
            }
            // Only time in which something was held moves it.
            let stretches = self.all_stretches();
            let mut later: i64 = stretches.iter().map(|s| s.1 - s.0).sum();
            let mut value = stretches[0].2 * left(later);
            for (from, to, v) in stretches {
                let held = to - from;
                later -= held;
                value += v * (1.0 - left(held)) * left(later);
            }
            return Ok(figure(value, true));
        }
        if self.t - last > silence(self.interval) {
            return Ok(None);
        }
        let expected: Vec<i64> = self.samples.iter().filter(|s| s.1.is_some()).map(|s| s.2).collect();
        let (mut value, mut seen) = (known[0].1 * left(last - known[0].0), 0.0);
        for (n, (at, v)) in known.iter().enumerate() {
            let since = n.checked_sub(1).map_or(i64::MAX, |before| at - known[before].0);
            if n > 0 {
                value += v * (1.0 - left(since)) * left(last - at);
            }
            seen += (1.0 - left(since.min(expected[n]))) * left(last - at);
        }
        let wanted = 1.0 - (-self.min_coverage).exp();
        if seen != wanted && (seen - wanted).abs() < 1e-8 {
            return Err(TooNear);
        }
        Ok((seen >= wanted).then_some(Figure { value, fuzzy: true }))
    }

    fn baseline(&self, n: i64, _: At) -> Option<Figure> {
        let slot = (self.span / 60).max(1);
        if self.interval == 0 {
            self.samples.last()?.1?;
        }
        let mean = |number: i64| {
            let (from, to) = (number * slot, (number + 1) * slot);
            let weighted: Vec<(f64, f64)> = match self.interval {
                0 => {
                    let part = |s: (i64, i64, f64)| ((s.1.min(to) - s.0.max(from)).max(0) as f64 / 1e9, s.2);
                    self.all_stretches().into_iter().map(part).collect()
                }
                _ => self
                    .known()
                    .into_iter()
                    .filter(|(at, _)| (from..to).contains(at))
                    .map(|s| (1.0, s.1))
                    .collect(),
            };
            let weight: f64 = weighted.iter().map(|w| w.0).sum();
            let expected = match self.interval {
                0 => slot as f64 / 1e9,
                interval => (slot as f64 / interval as f64).max(1.0),
            };
            let is_known = weight > 0.0 && weight + 1e-9 >= self.min_coverage * expected;
            is_known.then(|| weighted.iter().map(|w| w.0 * w.1).sum::<f64>() / weight)
        };
        let now = self.t.div_euclid(slot);
        let means: Vec<f64> = (1..=n).filter_map(|back| mean(now - back * 60)).collect();
        let is_known = !means.is_empty() && means.len() as f64 + 1e-9 >= self.min_coverage * n as f64;
        is_known.then(|| Figure { value: median(&means), fuzzy: true })
    }

    fn zscore(&self) -> Option<Figure> {
        let last = self.known().last()?.1;
        // Thinned: beyond 360 expected samples the first in each 360th of the window, and the newest.
        let grain = if self.form > 0 && self.span > 360 * self.form { self.span / 360 } else { 1 };
        let apart = usize::from(self.samples.last()?.1.is_some());
        let known = self.known();
        let (old, newest) = known.split_at(known.len() - apart);
        let is_first = |n: &usize| {
            let number = |n: usize| old[n].0.div_euclid(grain);
            grain == 1 || n.checked_sub(1).is_none_or(|before| number(before) != number(*n))
        };
        let kept = (0..old.len()).filter(is_first).map(|n| old[n]).chain(newest.iter().copied());
        let inside: Vec<f64> = kept.filter(|(at, _)| *at > self.t - self.span).map(|s| s.1).collect();
        if self.interval > 0 {
            let expected = (self.span as f64 / self.interval as f64).max(1.0);
            if inside.is_empty() || (inside.len() as f64) + 1e-9 < self.min_coverage * expected.min(360.0) {
                return None;
            }
        } else {
            self.samples.last()?.1?;
        }
        if inside.is_empty() {
            return None;
        }
        let middle = median(&inside);
        let distances: Vec<f64> = inside.iter().map(|v| (v - middle).abs()).collect();
        let (mad, gap) = (median(&distances), last - middle);
        let mean = distances.iter().sum::<f64>() / distances.len() as f64;
        let z = match (mad, mean) {
            (0.0, 0.0) => 0.0,
            (0.0, mean) => gap / (1.253_314 * mean),
            (mad, _) => 0.6745 * gap / mad,
        };
        figure(z, true)
    }
}

/// What a log bin of 2 % makes of a value: its middle.
fn binned(value: f64) -> f64 {
    if value.abs() < 1e-12 {
        return 0.0;
    }
    let steps = ((value.abs() / 1e-12).ln() / 1.02_f64.ln()).ceil();
    value.signum() * 1e-12 * 1.02_f64.powf(steps) * 2.0 / 2.02
}
