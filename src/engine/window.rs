//! Incremental windows: what a function such as `avg(cpu.busy, 10m)` needs to know, kept up to date sample by
//! sample.
//!
//! A window is (t − w, t]. Up to 60 intervals it holds the samples themselves; beyond that 60 buckets of w/60
//! aligned to the epoch, the running one included. A sample costs O(1) amortised and, once the ring has its
//! size, no allocation. The newest sample stands apart, so that one with an equal stamp can still replace it.
//!
//! *Polled* signals count sample by sample, and the window is unknown below the coverage asked for: samples
//! seen over samples expected, w / interval. *Told* signals (interval 0) hold their value until the next
//! word: means and shares weigh by time, and the window is known as long as a value is held, for what has
//! been seen of it. This file must not know what an expression is; it is fed numbers, truths as 0 and 1.

pub mod fold;
mod quantile;
pub mod ring;

use crate::engine::moment::{DAY, SECOND};
use crate::engine::plan::STALE_LEAST;
use fold::{Ends, Extremes, Line, Stretch, Total};
use quantile::Quantiles;
use ring::{Fold, Ring, join};

/// Exact samples up to this many intervals, and the number of buckets beyond.
pub const SLOTS: i64 = 60;
/// Longest window.
pub const LONGEST: i64 = 400 * DAY;
/// Shortest window.
pub const SHORTEST: i64 = SECOND;
/// Most cells of a ring; a door that samples faster than it says has its samples joined in buckets from here
/// on.
const CELLS: usize = 2 * SLOTS as usize;

/// What a window is asked for; windows of one kind over one expression and span are kept once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Keeps {
    /// Number and sum.
    Total,
    /// Smallest and largest.
    Extremes,
    /// Oldest and newest.
    Ends,
    /// Growth of a counter; a fall is a reset, after which the new value is the growth.
    Growth,
    /// Number of changes of value.
    Changes,
    /// Least-squares line.
    Line,
    /// Quantiles.
    Quantiles,
    /// Since when a condition is true without a break; has no span.
    Held,
}

/// One window.
#[derive(Clone, Debug)]
pub struct Window {
    keeps: Keeps,
    span: i64,
    interval: i64,
    origin: i64,
    newest: Option<Sample>,
    before: Option<f64>,
    body: Body,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: i64,
    value: f64,
}

/// The large ones are boxed: most windows are totals, and what is touched at every sample should be near.
#[derive(Clone, Debug)]
enum Body {
    Empty,
    Total(Ring<Total>),
    Extremes(Ring<Extremes>),
    Ends(Ring<Ends>),
    Line(Box<Ring<Line>>),
    Told(Box<Ring<Stretch>>),
    Quantiles(Box<Quantiles>),
    Since(Option<i64>),
}

impl Window {
    /// An empty window of `span` ns.
    pub fn new(keeps: Keeps, span: i64) -> Self {
        Self { keeps, span, interval: 0, origin: 0, newest: None, before: None, body: Body::Empty }
    }

    /// Takes in a sample; one with an equal stamp replaces the last, an older one is ignored. `interval` is
    /// the expected distance to the next, 0 when the value is told and held.
    pub fn push(&mut self, at: i64, value: f64, interval: i64) {
        self.interval = interval;
        if matches!(self.body, Body::Empty) {
            self.origin = at;
            self.body = self.empty_body();
        }
        match self.newest {
            Some(newest) if at < newest.at => return,
            Some(newest) if at == newest.at => {}
            Some(newest) => {
                self.commit(newest, at);
                self.before = Some(newest.value);
            }
            None => {}
        }
        self.newest = Some(Sample { at, value });
        self.advance(at);
    }

    /// There is no value from `at` on: a told value is held no longer, an unbroken truth is broken.
    pub fn stop(&mut self, at: i64) {
        if self.interval != 0 && self.keeps != Keeps::Held {
            return;
        }
        if let Some(newest) = self.newest.take() {
            self.commit(newest, at);
            self.before = Some(newest.value);
        }
        if let Body::Since(since) = &mut self.body {
            *since = None;
        }
    }

    /// Nobody looked from `from` to `until`. A short while makes no difference; after a longer one nothing is
    /// held since before.
    pub fn away(&mut self, from: i64, until: i64) {
        if until.saturating_sub(from) > silence(self.interval) {
            self.stop(from);
        }
    }

    fn empty_body(&self) -> Body {
        match self.keeps {
            Keeps::Held => Body::Since(None),
            Keeps::Total | Keeps::Extremes | Keeps::Ends if self.interval == 0 => Body::Told(Box::default()),
            Keeps::Total | Keeps::Growth | Keeps::Changes => Body::Total(Ring::default()),
            Keeps::Extremes => Body::Extremes(Ring::default()),
            Keeps::Ends => Body::Ends(Ring::default()),
            Keeps::Line => Body::Line(Box::default()),
            Keeps::Quantiles => Body::Quantiles(Box::new(Quantiles::new(self.span, self.interval))),
        }
    }

    /// Puts a sample that can no longer be replaced into the ring; `until` is when the next one came.
    fn commit(&mut self, sample: Sample, until: i64) {
        let Sample { at, value } = sample;
        let cell = Cell { at, bucket: self.bucket(), bucketed: self.is_bucketed() };
        let total = self.total_of(sample);
        let line = self.point_of(sample);
        match &mut self.body {
            Body::Total(ring) => cell.put(ring, total),
            Body::Extremes(ring) => cell.put(ring, Extremes { n: 1.0, min: value, max: value }),
            Body::Ends(ring) => cell.put(ring, Ends { n: 1.0, first: value, last: value }),
            Body::Line(ring) => cell.put(ring, line),
            Body::Told(ring) => Cell { at: until, ..cell }.put_told(ring, Stretch::held(value, at, until)),
            Body::Quantiles(quantiles) => quantiles.push(at, value),
            Body::Since(since) => *since = if value == 0.0 { None } else { since.or(Some(at)) },
            Body::Empty => {}
        }
    }

    fn total_of(&self, sample: Sample) -> Total {
        let sum = match (self.keeps, self.before) {
            (Keeps::Growth, Some(before)) if sample.value >= before => sample.value - before,
            (Keeps::Growth, Some(_)) => sample.value,
            (Keeps::Changes, Some(before)) => f64::from(u8::from(sample.value != before)),
            (Keeps::Growth | Keeps::Changes, None) => 0.0,
            _ => sample.value,
        };
        Total { n: 1.0, sum }
    }

    fn point_of(&self, sample: Sample) -> Line {
        Line::point((sample.at - self.origin) as f64 / 1e9, sample.value)
    }

    /// Whether samples are joined in buckets rather than kept one by one.
    fn is_bucketed(&self) -> bool {
        let exact = if self.keeps == Keeps::Quantiles { quantile::EXACT as i64 } else { SLOTS };
        self.interval > 0 && self.span > self.interval.saturating_mul(exact)
    }

    fn bucket(&self) -> i64 {
        (self.span / SLOTS).max(1)
    }

    /// Keys at or below this have left the window at `t`.
    fn bound(&self, t: i64) -> i64 {
        if self.is_bucketed() {
            (t.div_euclid(self.bucket()) - SLOTS) * self.bucket()
        } else {
            t.saturating_sub(self.span)
        }
    }

    fn is_inside(&self, at: i64, t: i64) -> bool {
        let key = if self.is_bucketed() { at.div_euclid(self.bucket()) * self.bucket() } else { at };
        key > self.bound(t)
    }

    /// Drops what has left the window at `t`.
    pub fn advance(&mut self, t: i64) {
        let bound = self.bound(t);
        match &mut self.body {
            Body::Total(ring) => ring.evict(bound),
            Body::Extremes(ring) => ring.evict(bound),
            Body::Ends(ring) => ring.evict(bound),
            Body::Line(ring) => ring.evict(bound),
            Body::Told(ring) => ring.evict(bound),
            Body::Quantiles(quantiles) => quantiles.evict(t),
            Body::Empty | Body::Since(_) => {}
        }
    }

    /// What the window says at `t`, after [`Window::advance`] to it; `None` when it is unknown: fewer than
    /// `min_coverage` of the expected samples, or a told value that is no longer held.
    pub fn read(&self, t: i64, min_coverage: f64) -> Option<Reading<'_>> {
        let reading = Reading { window: self, t };
        if self.keeps == Keeps::Held {
            return self.newest.map(|_| reading);
        }
        if self.interval == 0 {
            return self.newest.map(|_| reading);
        }
        let seen = reading.count();
        let expected = (self.span as f64 / self.interval as f64).max(1.0);
        // The hair's breadth keeps 0.3 of 10 samples at 3 in spite of binary fractions.
        (seen > 0.0 && seen + 1e-9 >= min_coverage * expected).then_some(reading)
    }

    /// When the window may read differently although no sample comes: while a polled signal is alive the next
    /// sample is waited for, so only told signals and silent ones say something here.
    pub fn next_change(&self, t: i64) -> Option<i64> {
        if self.keeps == Keeps::Held {
            return None;
        }
        let last = self.newest.map(|s| s.at);
        if self.interval > 0 && last.is_some_and(|at| t.saturating_sub(at) <= silence(self.interval)) {
            return None;
        }
        if self.is_bucketed() {
            let oldest = self.oldest_key().or(last.filter(|at| self.is_inside(*at, t)));
            return oldest.map(|_| (t.div_euclid(self.bucket()) + 1) * self.bucket());
        }
        if let Body::Told(ring) = &self.body {
            // A mean over time moves all the while; it is looked at in steps of w/60.
            let step = (t.div_euclid(self.bucket()) + 1) * self.bucket();
            return ring.oldest().map(|key| key.saturating_add(self.span).min(step)).filter(|at| *at > t);
        }
        let oldest = self.oldest_key().or(last).map(|at| at.saturating_add(self.span));
        oldest.filter(|at| *at > t)
    }

    fn oldest_key(&self) -> Option<i64> {
        match &self.body {
            Body::Total(ring) => ring.oldest(),
            Body::Extremes(ring) => ring.oldest(),
            Body::Ends(ring) => ring.oldest(),
            Body::Line(ring) => ring.oldest(),
            Body::Told(ring) => ring.oldest(),
            Body::Quantiles(quantiles) => quantiles.oldest(),
            Body::Empty | Body::Since(_) => None,
        }
    }

    /// Since when the condition of a [`Keeps::Held`] window is true.
    pub fn since(&self) -> Option<i64> {
        match (&self.body, self.newest) {
            (Body::Since(since), Some(newest)) if newest.value != 0.0 => since.or(Some(newest.at)),
            _ => None,
        }
    }
}

/// How long after its last sample a polled signal counts as silent.
pub fn silence(interval: i64) -> i64 {
    interval.saturating_mul(3).max(STALE_LEAST)
}

/// Where a sample goes in a ring.
#[derive(Clone, Copy)]
struct Cell {
    at: i64,
    bucket: i64,
    bucketed: bool,
}

impl Cell {
    fn start(&self, at: i64) -> i64 {
        at.div_euclid(self.bucket) * self.bucket
    }

    fn put<F: Fold>(self, ring: &mut Ring<F>, fold: F) {
        let key = if self.bucketed { self.start(self.at) } else { self.at };
        let full = self.bucketed || ring.cells() >= CELLS;
        match ring.newest() {
            Some(newest) if full && self.start(newest) == self.start(self.at) => ring.extend(key, fold),
            _ => ring.push(key, fold),
        }
    }

    /// A told value's cell is keyed by its end: it has left the window when its end has.
    fn put_told(self, ring: &mut Ring<Stretch>, fold: Stretch) {
        match ring.newest() {
            Some(newest) if ring.cells() >= SLOTS as usize && self.start(newest) == self.start(self.at) => {
                ring.extend(self.at, fold);
            }
            _ => ring.push(self.at, fold),
        }
    }
}

/// What a window says at one moment. Every figure is NaN when there is nothing to take it from.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    window: &'a Window,
    t: i64,
}

impl Reading<'_> {
    fn newest(&self) -> Option<Sample> {
        let told = matches!(self.window.body, Body::Told(_));
        self.window.newest.filter(|s| told || self.window.is_inside(s.at, self.t))
    }

    fn total(&self) -> Option<Total> {
        match &self.window.body {
            Body::Total(ring) => join(ring.total(), self.newest().map(|s| self.window.total_of(s))),
            _ => None,
        }
    }

    fn stretch(&self) -> Option<Stretch> {
        match &self.window.body {
            Body::Told(ring) => {
                let held = self.newest().map(|s| Stretch::held(s.value, s.at, self.t));
                join(ring.total(), held)
            }
            _ => None,
        }
    }

    fn line(&self) -> Option<Line> {
        match &self.window.body {
            Body::Line(ring) => join(ring.total(), self.newest().map(|s| self.window.point_of(s))),
            _ => None,
        }
    }

    /// The window's length in seconds.
    pub fn span(&self) -> f64 {
        self.window.span as f64 / 1e9
    }

    /// Samples in the window; for a told signal the value held at its start counts as one.
    pub fn count(&self) -> f64 {
        let newest = self.newest().map(|_| 1.0);
        match &self.window.body {
            Body::Total(_) => self.total().map_or(0.0, |f| f.n),
            Body::Told(_) => self.stretch().map_or(0.0, |f| f.n),
            Body::Extremes(ring) => ring.total().map_or(0.0, |f| f.n) + newest.unwrap_or(0.0),
            Body::Ends(ring) => ring.total().map_or(0.0, |f| f.n) + newest.unwrap_or(0.0),
            Body::Line(ring) => ring.total().map_or(0.0, |f| f.n) + newest.unwrap_or(0.0),
            Body::Quantiles(quantiles) => quantiles.count() + newest.unwrap_or(0.0),
            Body::Empty | Body::Since(_) => 0.0,
        }
    }

    /// Sum of the samples, of the growth or of the changes; a told counter that is not heard of does not
    /// grow.
    pub fn sum(&self) -> f64 {
        let told = self.stretch().map(|f| f.sum);
        told.or(self.total().map(|f| f.sum)).unwrap_or(0.0)
    }

    /// Mean of the samples; for a told signal weighted by time.
    pub fn mean(&self) -> f64 {
        if let Some(told) = self.stretch() {
            let mean = told.mean_since(self.t.saturating_sub(self.window.span));
            return if mean.is_nan() { self.last() } else { mean };
        }
        self.total().map_or(f64::NAN, |f| f.sum / f.n)
    }

    fn extremes(&self) -> Option<Extremes> {
        match &self.window.body {
            Body::Told(_) => self.stretch().map(|f| Extremes { n: f.n, min: f.min, max: f.max }),
            Body::Extremes(ring) => {
                let newest = self.newest().map(|s| Extremes { n: 1.0, min: s.value, max: s.value });
                join(ring.total(), newest)
            }
            _ => None,
        }
    }

    /// The smallest sample.
    pub fn min(&self) -> f64 {
        self.extremes().map_or(f64::NAN, |f| f.min)
    }

    /// The largest sample.
    pub fn max(&self) -> f64 {
        self.extremes().map_or(f64::NAN, |f| f.max)
    }

    /// Newest less oldest sample.
    pub fn change(&self) -> f64 {
        match &self.window.body {
            Body::Told(_) => self.stretch().map_or(f64::NAN, |f| self.last() - f.first),
            Body::Ends(ring) => {
                let newest = self.newest().map(|s| Ends { n: 1.0, first: s.value, last: s.value });
                join(ring.total(), newest).map_or(f64::NAN, |f| f.last - f.first)
            }
            _ => f64::NAN,
        }
    }

    /// Least-squares change per second; NaN below two samples.
    pub fn slope(&self) -> f64 {
        self.line().map_or(f64::NAN, |f| f.slope())
    }

    /// The oldest value of the line.
    pub fn first(&self) -> f64 {
        self.line().map_or(f64::NAN, |f| f.first)
    }

    /// The newest sample, also when it has left the window.
    pub fn last(&self) -> f64 {
        self.window.newest.map_or(f64::NAN, |s| s.value)
    }

    /// The quantile `q` (0..1) by nearest rank.
    pub fn quantile(&self, q: f64) -> f64 {
        match &self.window.body {
            Body::Quantiles(quantiles) => quantiles.at(q, self.newest().map(|s| s.value)),
            _ => f64::NAN,
        }
    }

    /// Seconds for which a condition has been true without a break; 0 while it is false.
    pub fn held(&self) -> f64 {
        self.window.since().map_or(0.0, |since| (self.t - since).max(0) as f64 / 1e9)
    }
}

#[cfg(test)]
mod tests;
