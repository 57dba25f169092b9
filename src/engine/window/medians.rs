//! A line that outliers do not move: medians of the window's 60 buckets, and the Theil–Sen slope through
//! them.
//!
//! The slope is the median of the slopes between any two of the medians (Theil 1950, Sen 1968); up to 29 % of
//! the buckets may be anything. Its quality is the share of the pairs that rise less that of those that fall,
//! without the sign: Kendall's τ. Only buckets that are over count, and not that of the newest sample, so
//! that both are worked out once for each bucket (at most 1 711 pairs) and not for each sample. A bucket
//! takes its median from at most 128 samples: of more than 64 expected, the first in each 64th of the bucket
//! counts.

use std::collections::VecDeque;

use super::SLOTS;

/// Samples of one bucket, about.
const GRAINS: i64 = 64;
/// Most samples of one bucket, whatever a door does.
const MOST: usize = 2 * GRAINS as usize;

/// The buckets of one window.
#[derive(Clone, Debug)]
pub struct Medians {
    bucket: i64,
    grain: i64,
    over: VecDeque<Bucket>,
    running: Vec<f64>,
    start: i64,
    grain_seen: i64,
    seen: f64,
    /// The running bucket is counted among those that are over.
    is_closed: bool,
    /// Samples in all buckets.
    n: f64,
    line: Line,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    start: i64,
    median: f64,
    seen: f64,
}

/// The line through the medians.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// Change per second; NaN below two buckets.
    pub slope: f64,
    /// Kendall's τ without its sign, 1 when all medians are equal; NaN below two buckets.
    pub fit: f64,
}

const NO_LINE: Line = Line { slope: f64::NAN, fit: f64::NAN };

impl Medians {
    /// Empty, for a window of `span` ns; `interval` 0 is a told series.
    pub fn new(span: i64, interval: i64) -> Self {
        let bucket = (span / SLOTS).max(1);
        let is_whole = interval > 0 && bucket <= interval.saturating_mul(GRAINS);
        let grain = if is_whole { 1 } else { (bucket / GRAINS).max(1) };
        let (over, running, start, grain_seen) = (VecDeque::new(), Vec::new(), i64::MIN, i64::MIN);
        Self {
            bucket,
            grain,
            over,
            running,
            start,
            grain_seen,
            seen: 0.0,
            is_closed: false,
            n: 0.0,
            line: NO_LINE,
        }
    }

    /// Takes in a sample that can no longer be replaced. It may be late, for a bucket that was over already.
    pub fn push(&mut self, at: i64, value: f64) {
        let start = at.div_euclid(self.bucket) * self.bucket;
        if start != self.start {
            self.close();
            self.begin(start);
        } else {
            self.reopen();
        }
        let grain = at.div_euclid(self.grain);
        if grain != self.grain_seen && self.running.len() < MOST {
            self.running.push(value);
        }
        self.grain_seen = grain;
        self.seen += 1.0;
        self.n += 1.0;
    }

    fn begin(&mut self, start: i64) {
        self.running.clear();
        (self.start, self.grain_seen, self.seen, self.is_closed) = (start, i64::MIN, 0.0, false);
    }

    /// Takes the running bucket from among those that are over, for what came late.
    fn reopen(&mut self) {
        if self.is_closed {
            self.is_closed = false;
            self.over.pop_back();
            self.draw();
        }
    }

    /// Counts the running bucket among those that are over.
    fn close(&mut self) {
        if self.seen > 0.0 && !self.is_closed {
            let median = median(&mut self.running);
            self.over.push_back(Bucket { start: self.start, median, seen: self.seen });
            self.is_closed = true;
            self.draw();
        }
    }

    /// Ends the running bucket when it is over at `t`, and drops those at or below `bound`. A bucket in which
    /// the `newest` sample lies, which is still to come, goes on.
    pub fn advance(&mut self, t: i64, bound: i64, newest: Option<i64>) {
        let start = |at: i64| at.div_euclid(self.bucket) * self.bucket;
        let goes_on = start(t) <= self.start || newest.map(start) == Some(self.start);
        if goes_on {
            self.reopen();
        } else {
            self.close();
        }
        let before = self.over.len();
        while let Some(gone) = self.over.front().filter(|b| b.start <= bound) {
            self.n -= gone.seen;
            self.over.pop_front();
        }
        if self.over.len() != before {
            self.draw();
        }
        if self.start <= bound {
            self.n -= if self.is_closed { 0.0 } else { self.seen };
            self.begin(i64::MIN);
        }
    }

    /// Draws the line anew.
    fn draw(&mut self) {
        let mut slopes = Vec::with_capacity(self.over.len() * self.over.len() / 2);
        let mut lean = 0.0;
        for (i, one) in self.over.iter().enumerate() {
            for other in self.over.iter().skip(i + 1) {
                let rise = other.median - one.median;
                lean += if rise == 0.0 { 0.0 } else { rise.signum() };
                slopes.push(rise / ((other.start - one.start) as f64 / 1e9));
            }
        }
        if slopes.is_empty() {
            self.line = NO_LINE;
            return;
        }
        let is_flat = slopes.iter().all(|s| *s == 0.0);
        let fit = if is_flat { 1.0 } else { f64::abs(lean) / slopes.len() as f64 };
        self.line = Line { slope: median(&mut slopes), fit };
    }

    /// The line through the buckets that are over.
    pub fn line(&self) -> Line {
        self.line
    }

    /// The median of the oldest bucket.
    pub fn first(&self) -> f64 {
        self.over.front().map_or(f64::NAN, |b| b.median)
    }

    /// Start of the oldest bucket.
    pub fn oldest(&self) -> Option<i64> {
        let running = (self.seen > 0.0 && !self.is_closed).then_some(self.start);
        self.over.front().map(|b| b.start).or(running)
    }

    /// Samples seen.
    pub fn count(&self) -> f64 {
        self.n
    }

    /// Values held.
    #[cfg(test)]
    pub fn cells(&self) -> [usize; 2] {
        [self.over.len(), self.running.len()]
    }
}

/// The median, the mean of the two middle ones of an even number; NaN of nothing. Leaves the values in
/// another order.
fn median(values: &mut [f64]) -> f64 {
    let n = values.len();
    if n == 0 {
        return f64::NAN;
    }
    let (below, upper, _) = values.select_nth_unstable_by(n / 2, f64::total_cmp);
    if n % 2 == 1 {
        return *upper;
    }
    let lower = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (lower + *upper) / 2.0
}
