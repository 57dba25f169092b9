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
//! been seen of it. Which form a window has is settled by its first sample. This file must not know what an
//! expression is; it is fed numbers, truths as 0 and 1.

pub mod facts;
pub mod fold;
mod medians;
mod quantile;
mod reading;
pub mod ring;
mod slots;
mod smooth;

use crate::engine::moment::{DAY, SECOND};
use crate::engine::plan::STALE_LEAST;
use fold::{Ends, Extremes, Line, Stretch, Total};
use medians::Medians;
use quantile::Quantiles;
use ring::{Fold, Ring};
use slots::{Newest, Slots};
use smooth::Smooth;

pub use reading::Reading;
pub use slots::PERIODS;

/// Exact samples up to this many intervals, and the number of buckets beyond.
pub const SLOTS: i64 = 60;
/// Longest window.
pub const LONGEST: i64 = 400 * DAY;
/// Shortest window.
pub const SHORTEST: i64 = SECOND;
/// Most cells of a ring; a door that samples faster than it says has its samples joined in buckets from here
/// on.
const CELLS: usize = 2 * SLOTS as usize;
/// After so many time constants an average has reached the value that is held, to the last bit.
const SETTLED: i64 = 40;

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
    /// Theil–Sen line.
    Medians,
    /// Quantiles.
    Quantiles,
    /// Quantiles of the samples themselves, for deviations.
    Spread,
    /// Exponentially weighted average; the span is its time constant.
    Smooth,
    /// The same slot over so many periods; the span is the period.
    Slots(u8),
    /// Number of events.
    Events,
    /// Since when a condition is true without a break; has no span.
    Held,
}

/// One window.
#[derive(Clone, Debug)]
pub struct Window {
    keeps: Keeps,
    span: i64,
    interval: i64,
    /// Samples are joined in buckets rather than kept one by one.
    bucketed: bool,
    origin: i64,
    /// When the last word came, "no value" included.
    stamp: i64,
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
    Medians(Box<Medians>),
    Quantiles(Box<Quantiles>),
    Smooth(Option<Smooth>),
    Slots(Box<Slots>),
    Since(Since),
}

/// Since when a condition has been true, the newest sample apart.
#[derive(Clone, Copy, Debug, Default)]
struct Since {
    start: Option<i64>,
    /// When it was last broken for want of a value, and what was known then: a value with the same stamp
    /// takes that back.
    broken: Option<(i64, Option<i64>)>,
}

impl Window {
    /// An empty window of `span` ns.
    pub fn new(keeps: Keeps, span: i64) -> Self {
        let (interval, bucketed, origin, stamp) = (0, false, 0, i64::MIN);
        let (newest, before, body) = (None, None, Body::Empty);
        Self { keeps, span, interval, bucketed, origin, stamp, newest, before, body }
    }

    /// Nothing was ever put in.
    pub fn is_blank(&self) -> bool {
        matches!(self.body, Body::Empty)
    }

    /// The stamp of its last word; nothing older is taken in.
    pub fn stamp(&self) -> i64 {
        self.stamp
    }

    /// Its length, ns; 0 until it is known.
    pub fn span(&self) -> i64 {
        self.span
    }

    /// Takes in a sample; one with an equal stamp replaces the last, an older one is ignored. `interval` is
    /// the expected distance to the next, 0 when the value is told and held. A series that was polled and is
    /// told now, or the other way round, starts a new window.
    pub fn push(&mut self, at: i64, value: f64, interval: i64) {
        if at < self.stamp {
            return;
        }
        let is_other = (self.interval == 0) != (interval == 0) && self.keeps != Keeps::Held;
        if is_other && !matches!(self.body, Body::Empty) {
            *self = Self::new(self.keeps, self.span);
        }
        if matches!(self.body, Body::Empty) {
            self.interval = interval;
            self.origin = at;
            self.bucketed = self.needs_buckets();
            self.body = self.empty_body();
        }
        self.stamp = at;
        match self.newest {
            Some(newest) if at == newest.at => {}
            Some(newest) => {
                self.commit(newest, at);
                self.before = Some(newest.value);
            }
            None => self.mend(at),
        }
        self.newest = Some(Sample { at, value });
        self.interval = interval;
        self.advance(at);
    }

    /// There is no value from `at` on: a told value is held no longer, an unbroken truth is broken, a sample
    /// with that very stamp is withdrawn.
    pub fn stop(&mut self, at: i64) {
        if at < self.stamp {
            return;
        }
        self.stamp = at;
        let is_withdrawn = self.newest.is_some_and(|newest| newest.at == at);
        let since = match &self.body {
            Body::Since(before) if is_withdrawn => before.start,
            _ => self.since(),
        };
        if let Some(newest) = self.newest.take_if(|newest| newest.at < at) {
            self.commit(newest, at);
            self.before = Some(newest.value);
        }
        self.newest = None;
        if let Body::Since(body) = &mut self.body {
            let broken = body.broken.filter(|(when, _)| *when == at).unwrap_or((at, since));
            *body = Since { start: None, broken: Some(broken) };
        }
    }

    /// A value comes with the stamp at which there was none: the truth was not broken.
    fn mend(&mut self, at: i64) {
        if let Body::Since(Since { start, broken }) = &mut self.body
            && let Some((_, since)) = broken.take_if(|(when, _)| *when == at)
        {
            *start = since;
        }
    }

    /// Notes an event.
    pub fn tally(&mut self, at: i64) {
        if matches!(self.body, Body::Empty) {
            self.body = Body::Total(Ring::default());
        }
        let bucket = self.bucket();
        if let Body::Total(ring) = &mut self.body {
            let at = ring.newest().map_or(at, |newest| newest.max(at));
            ring.evict(at.saturating_sub(self.span));
            Cell { at, bucket, bucketed: false }.put(ring, Total { n: 1.0, sum: 1.0 });
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
            Keeps::Held => Body::Since(Since::default()),
            Keeps::Total | Keeps::Extremes | Keeps::Ends if self.interval == 0 => Body::Told(Box::default()),
            Keeps::Total | Keeps::Growth | Keeps::Changes | Keeps::Events => Body::Total(Ring::default()),
            Keeps::Extremes => Body::Extremes(Ring::default()),
            Keeps::Ends => Body::Ends(Ring::default()),
            Keeps::Line => Body::Line(Box::default()),
            Keeps::Medians => Body::Medians(Box::new(Medians::new(self.span, self.interval))),
            Keeps::Quantiles => Body::Quantiles(Box::new(Quantiles::new(self.span, self.interval))),
            Keeps::Spread => Body::Quantiles(Box::new(Quantiles::thinned(self.span, self.interval))),
            Keeps::Smooth => Body::Smooth(None),
            Keeps::Slots(periods) => Body::Slots(Box::new(Slots::new(self.span, periods.into()))),
        }
    }

    /// Puts a sample that can no longer be replaced into the ring; `until` is when the next one came.
    fn commit(&mut self, sample: Sample, until: i64) {
        let Sample { at, value } = sample;
        let cell = Cell { at, bucket: self.bucket(), bucketed: self.bucketed };
        let total = self.total_of(sample);
        let line = self.point_of(sample);
        let (smooth, slot) = (self.smoothed(sample, until), self.slot_of(sample, until));
        match &mut self.body {
            Body::Total(ring) => cell.put(ring, total),
            Body::Extremes(ring) => cell.put(ring, Extremes { n: 1.0, min: value, max: value }),
            Body::Ends(ring) => cell.put(ring, Ends { n: 1.0, first: value, last: value }),
            Body::Line(ring) => cell.put(ring, line),
            Body::Told(ring) => Cell { at: until, ..cell }.put_told(ring, Stretch::held(value, at, until)),
            Body::Medians(medians) => medians.push(at, value),
            Body::Quantiles(quantiles) => quantiles.push(at, value),
            Body::Smooth(state) => *state = smooth,
            Body::Slots(slots) => slots.put(slot),
            Body::Since(since) => {
                let start = if value == 0.0 { None } else { since.start.or(Some(at)) };
                *since = Since { start, broken: None };
            }
            Body::Empty => {}
        }
    }

    /// The average with a sample that was held, or is waited on, until `until`.
    fn smoothed(&self, sample: Sample, until: i64) -> Option<Smooth> {
        let Body::Smooth(before) = self.body else { return None };
        Some(match self.interval {
            0 => Smooth::told(before, sample.value, sample.at, until, self.span),
            interval => Smooth::polled(before, sample.at, sample.value, self.span, interval),
        })
    }

    fn slot_of(&self, sample: Sample, until: i64) -> Newest {
        match self.interval {
            0 => Newest::Held(sample.at, until, sample.value),
            _ => Newest::Sample(sample.at, sample.value),
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

    fn needs_buckets(&self) -> bool {
        let exact = match self.keeps {
            Keeps::Medians => return true,
            Keeps::Spread => return false,
            Keeps::Quantiles => quantile::EXACT as i64,
            _ => SLOTS,
        };
        self.interval > 0 && self.span > self.interval.saturating_mul(exact)
    }

    fn bucket(&self) -> i64 {
        (self.span / SLOTS).max(1)
    }

    /// Keys at or below this have left the window at `t`.
    fn bound(&self, t: i64) -> i64 {
        if self.bucketed {
            (t.div_euclid(self.bucket()) - SLOTS) * self.bucket()
        } else {
            t.saturating_sub(self.span)
        }
    }

    fn is_inside(&self, at: i64, t: i64) -> bool {
        let key = if self.bucketed { at.div_euclid(self.bucket()) * self.bucket() } else { at };
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
            Body::Medians(medians) => medians.advance(t, bound, self.newest.map(|s| s.at)),
            Body::Quantiles(quantiles) => quantiles.evict(t),
            Body::Slots(slots) => slots.evict(t),
            Body::Empty | Body::Smooth(_) | Body::Since(_) => {}
        }
    }

    /// What the window says at `t`, after [`Window::advance`] to it; `None` when it is unknown: fewer than
    /// `min_coverage` of the expected samples, or a told value that is no longer held.
    pub fn read(&self, t: i64, min_coverage: f64) -> Option<Reading<'_>> {
        let reading = Reading { window: self, t, min_coverage };
        let is_known = match self.keeps {
            _ if self.span == 0 && self.keeps != Keeps::Held => false,
            Keeps::Events => true,
            Keeps::Held => self.newest.is_some(),
            _ if self.interval == 0 => self.newest.is_some(),
            Keeps::Slots(_) => true,
            Keeps::Smooth => {
                let smooth = self.smooth(t);
                smooth.is_some_and(|s| {
                    t.saturating_sub(s.at) <= silence(self.interval) && s.is_covered(min_coverage)
                })
            }
            _ => {
                let seen = reading.count();
                let expected = (self.span as f64 / self.interval as f64).max(1.0);
                // A thinned window cannot hold more.
                let most = if self.keeps == Keeps::Spread { quantile::EXACT as f64 } else { f64::MAX };
                let expected = expected.min(most);
                // The hair's breadth keeps 0.3 of 10 samples at 3 in spite of binary fractions.
                seen > 0.0 && seen + 1e-9 >= min_coverage * expected
            }
        };
        is_known.then_some(reading)
    }

    /// The average as it stands at `t`.
    fn smooth(&self, t: i64) -> Option<Smooth> {
        let Body::Smooth(committed) = self.body else { return None };
        self.newest.map_or(committed, |newest| self.smoothed(newest, t))
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
        let step = (t.div_euclid(self.bucket()) + 1) * self.bucket();
        match &self.body {
            // What moves all the while is looked at in steps of w/60.
            Body::Smooth(_) => {
                let moves = |at| t.saturating_sub(at) < self.span.saturating_mul(SETTLED);
                last.filter(|at| self.interval == 0 && moves(*at)).map(|_| step)
            }
            Body::Slots(slots) => slots.next_change(t).or(last.map(|_| step)),
            Body::Told(ring) => {
                ring.oldest().map(|key| key.saturating_add(self.span).min(step)).filter(|at| *at > t)
            }
            _ if self.bucketed => {
                let oldest = self.oldest_key().or(last.filter(|at| self.is_inside(*at, t)));
                oldest.map(|_| step)
            }
            _ => {
                let oldest = self.oldest_key().or(last).map(|at| at.saturating_add(self.span));
                oldest.filter(|at| *at > t)
            }
        }
    }

    fn oldest_key(&self) -> Option<i64> {
        match &self.body {
            Body::Total(ring) => ring.oldest(),
            Body::Extremes(ring) => ring.oldest(),
            Body::Ends(ring) => ring.oldest(),
            Body::Line(ring) => ring.oldest(),
            Body::Told(ring) => ring.oldest(),
            Body::Medians(medians) => medians.oldest(),
            Body::Quantiles(quantiles) => quantiles.oldest(),
            Body::Empty | Body::Smooth(_) | Body::Slots(_) | Body::Since(_) => None,
        }
    }

    /// Since when the condition of a [`Keeps::Held`] window is true.
    pub fn since(&self) -> Option<i64> {
        match (&self.body, self.newest) {
            (Body::Since(since), Some(newest)) if newest.value != 0.0 => since.start.or(Some(newest.at)),
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

#[cfg(test)]
mod tests;
