//! What a window keeps of the samples in it: one small summary per kind of question.

use super::ring::Fold;

/// Number and sum: avg sum count frac, and of increments rate increase changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Total {
    /// Samples.
    pub n: f64,
    /// Their sum.
    pub sum: f64,
}

impl Fold for Total {
    fn join(self, later: Self) -> Self {
        Self { n: self.n + later.n, sum: self.sum + later.sum }
    }
}

/// Smallest and largest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Extremes {
    /// Samples.
    pub n: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Fold for Extremes {
    fn join(self, later: Self) -> Self {
        Self { n: self.n + later.n, min: self.min.min(later.min), max: self.max.max(later.max) }
    }
}

/// Oldest and newest value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ends {
    /// Samples.
    pub n: f64,
    /// The oldest.
    pub first: f64,
    /// The newest.
    pub last: f64,
}

impl Fold for Ends {
    fn join(self, later: Self) -> Self {
        Self { n: self.n + later.n, first: self.first, last: later.last }
    }
}

/// A least-squares line: means and central moments, joined by the formula of Chan, Golub and LeVeque (1979),
/// which stays exact where the textbook's running sums of t² lose everything after a month.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// Samples.
    pub n: f64,
    /// Mean time, seconds from the window's origin.
    pub t: f64,
    /// Mean value.
    pub x: f64,
    /// Σ(tᵢ − t)².
    pub tt: f64,
    /// Σ(tᵢ − t)(xᵢ − x).
    pub tx: f64,
    /// Σ(xᵢ − x)².
    pub xx: f64,
    /// The oldest value.
    pub first: f64,
}

/// A correlation of time and value below this is rounding, not a slope.
const NO_CORRELATION: f64 = 1e-9;

impl Line {
    /// One point.
    pub fn point(t: f64, x: f64) -> Self {
        Self { n: 1.0, t, x, tt: 0.0, tx: 0.0, xx: 0.0, first: x }
    }

    /// Change per second; NaN for fewer than two moments, and zero where only rounding leans.
    pub fn slope(&self) -> f64 {
        match self.tt {
            tt if tt <= 0.0 => f64::NAN,
            tt if self.tx.abs() <= NO_CORRELATION * (tt * self.xx).sqrt() => 0.0,
            tt => self.tx / tt,
        }
    }

    /// R², the share of the variance that the line explains; 1 when there is none, NaN for fewer than two
    /// moments.
    pub fn fit(&self) -> f64 {
        match self.tt {
            tt if tt <= 0.0 => f64::NAN,
            _ if self.xx <= 0.0 => 1.0,
            tt => (self.tx / tt * (self.tx / self.xx)).clamp(0.0, 1.0),
        }
    }
}

impl Fold for Line {
    fn join(self, later: Self) -> Self {
        let n = self.n + later.n;
        let (dt, dx) = (later.t - self.t, later.x - self.x);
        let weight = self.n * later.n / n;
        Self {
            n,
            t: self.t + dt * later.n / n,
            x: self.x + dx * later.n / n,
            tt: self.tt + later.tt + dt * dt * weight,
            tx: self.tx + later.tx + dt * dx * weight,
            xx: self.xx + later.xx + dx * dx * weight,
            first: self.first,
        }
    }
}

/// Values that were told and then held: each counts for as long as it lasted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stretch {
    /// Values.
    pub n: f64,
    /// Their sum, each once.
    pub sum: f64,
    /// Smallest value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
    /// Oldest value.
    pub first: f64,
    /// When the oldest began, ns.
    pub start: i64,
    /// How long the oldest lasted, ns.
    pub first_held: i64,
    /// How long all of them lasted, seconds.
    pub held: f64,
    /// Σ value × seconds.
    pub area: f64,
}

impl Stretch {
    /// One value held over `start..end` (ns).
    pub fn held(value: f64, start: i64, end: i64) -> Self {
        let ns = end.saturating_sub(start).max(0);
        let seconds = ns as f64 / 1e9;
        let (min, max, first) = (value, value, value);
        Self {
            n: 1.0,
            sum: value,
            min,
            max,
            first,
            start,
            first_held: ns,
            held: seconds,
            area: value * seconds,
        }
    }

    /// Mean over the time since `from`, weighted by time; the first value's part before `from` does not
    /// count.
    pub fn mean_since(&self, from: i64) -> f64 {
        let before = from.saturating_sub(self.start).clamp(0, self.first_held) as f64 / 1e9;
        let held = self.held - before;
        if held > 0.0 { (self.area - before * self.first) / held } else { f64::NAN }
    }
}

impl Fold for Stretch {
    fn join(self, later: Self) -> Self {
        Self {
            n: self.n + later.n,
            sum: self.sum + later.sum,
            min: self.min.min(later.min),
            max: self.max.max(later.max),
            held: self.held + later.held,
            area: self.area + later.area,
            ..self
        }
    }
}
