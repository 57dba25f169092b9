//! The exponentially weighted moving average of a series with uneven gaps: three numbers, whatever its past.
//!
//! Polled samples: y ← x + (y − x)·e^(−Δt/τ), each sample standing for the time since the one before ("next
//! point"); told values: y moves from one value towards the next for as long as each is held ("previous
//! point"). Both from Eckner, "Algorithms for unevenly spaced time series: moving averages and other rolling
//! operators" (2014). Beside it goes the share of all weight that samples account for: a gap leaves weight
//! without a sample.

/// The average and what it rests on.
#[derive(Clone, Copy, Debug)]
pub struct Smooth {
    /// The average.
    pub value: f64,
    /// When the last sample came, ns.
    pub at: i64,
    /// Share of the weight, 0..1, that is accounted for.
    pub weight: f64,
}

impl Smooth {
    /// A polled sample after `before`; `tau` and `interval` in ns.
    pub fn polled(before: Option<Self>, at: i64, value: f64, tau: i64, interval: i64) -> Self {
        let own = 1.0 - decay(interval, tau);
        let Some(before) = before else { return Self { value, at, weight: own } };
        let left = decay(at.saturating_sub(before.at), tau);
        let weight = before.weight * left + own.min(1.0 - left);
        Self { value: value + (before.value - value) * left, at, weight }
    }

    /// A told value held over `start..end`, ns.
    pub fn told(before: Option<Self>, value: f64, start: i64, end: i64, tau: i64) -> Self {
        let left = decay(end.saturating_sub(start), tau);
        let from = before.map_or(value, |b| b.value);
        Self { value: value + (from - value) * left, at: end, weight: 1.0 }
    }

    /// Whether as much weight is accounted for as `share` of τ of unbroken samples gives.
    pub fn is_covered(&self, share: f64) -> bool {
        self.weight + 1e-9 >= 1.0 - (-share).exp()
    }
}

/// What is left of a weight after `ns`.
fn decay(ns: i64, tau: i64) -> f64 {
    (-(ns.max(0) as f64) / tau.max(1) as f64).exp()
}
