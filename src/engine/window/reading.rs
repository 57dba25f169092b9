//! What a window says at one moment: the figures that functions read.
//!
//! The newest sample is not in the window's body yet and is joined to it here. Nothing is changed and nothing
//! allocated. Every figure is NaN when there is nothing to take it from.

use super::fold::{Ends, Extremes, Line, Stretch, Total};
use super::ring::join;
use super::{Body, Sample, Window};

/// What a window says at one moment. Every figure is NaN when there is nothing to take it from.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    pub(super) window: &'a Window,
    pub(super) t: i64,
    pub(super) min_coverage: f64,
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
            Body::Medians(medians) => medians.count() + newest.unwrap_or(0.0),
            Body::Quantiles(quantiles) => quantiles.count() + newest.unwrap_or(0.0),
            Body::Empty | Body::Smooth(_) | Body::Slots(_) | Body::Since(_) => 0.0,
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

    /// Change per second of the line, least squares or Theil–Sen; NaN below two samples or buckets.
    pub fn slope(&self) -> f64 {
        match &self.window.body {
            Body::Medians(medians) => medians.line().slope,
            _ => self.line().map_or(f64::NAN, |f| f.slope()),
        }
    }

    /// How well the line fits, 0 to 1: R² of least squares, Kendall's τ without its sign of Theil–Sen.
    pub fn fit(&self) -> f64 {
        match &self.window.body {
            Body::Medians(medians) => medians.line().fit,
            _ => self.line().map_or(f64::NAN, |f| f.fit()),
        }
    }

    /// The oldest value of the line.
    pub fn first(&self) -> f64 {
        match &self.window.body {
            Body::Medians(medians) => medians.first(),
            _ => self.line().map_or(f64::NAN, |f| f.first),
        }
    }

    /// The newest sample, also when it has left the window.
    pub fn last(&self) -> f64 {
        self.window.newest.map(|s| s.value).or(self.window.before).unwrap_or(f64::NAN)
    }

    /// The exponentially weighted average.
    pub fn smooth(&self) -> f64 {
        self.window.smooth(self.t).map_or(f64::NAN, |s| s.value)
    }

    /// The median of the same slot over the periods before.
    pub fn baseline(&self) -> f64 {
        let Body::Slots(slots) = &self.window.body else { return f64::NAN };
        let newest = self.window.newest.map(|s| self.window.slot_of(s, self.t));
        slots.median(self.t, newest, self.window.interval, self.min_coverage)
    }

    /// How far the newest sample lies from the others, in robust standard deviations.
    pub fn z(&self) -> f64 {
        match &self.window.body {
            Body::Quantiles(quantiles) => quantiles.z(self.last(), self.newest().map(|s| s.value)),
            _ => f64::NAN,
        }
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
