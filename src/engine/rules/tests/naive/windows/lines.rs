//! Lines through the samples of a window: least squares, and Theil–Sen.

use super::{History, median};

/// A line through the samples of a window.
pub(super) struct Line {
    pub(super) slope: f64,
    pub(super) fit: f64,
    pub(super) first: f64,
}

impl History {
    pub(super) fn line(&self, robust: bool) -> Option<Line> {
        if robust { self.robust_line() } else { self.least_squares() }
    }

    fn least_squares(&self) -> Option<Line> {
        let points = self.inside(60)?;
        let n = points.len() as f64;
        let origin = points.first()?.0;
        let time = |at: i64| (at - origin) as f64 / 1e9;
        let (t, x) =
            (points.iter().map(|p| time(p.0)).sum::<f64>() / n, points.iter().map(|p| p.1).sum::<f64>() / n);
        let tt: f64 = points.iter().map(|p| (time(p.0) - t).powi(2)).sum();
        let tx: f64 = points.iter().map(|p| (time(p.0) - t) * (p.1 - x)).sum();
        let xx: f64 = points.iter().map(|p| (p.1 - x).powi(2)).sum();
        let is_flat = points.iter().all(|p| p.1 == points[0].1);
        let slope = if tx * tx <= 1e-18 * tt * xx { 0.0 } else { tx / tt };
        let fit = if is_flat { 1.0 } else { tx * tx / (tt * xx) };
        (tt > 0.0).then(|| Line { slope, fit, first: points[0].1 })
    }

    /// Theil–Sen through the medians of the buckets of w/60 that are over, the newest sample apart.
    fn robust_line(&self) -> Option<Line> {
        let bucket = (self.span / 60).max(1);
        let number = |at: i64| at.div_euclid(bucket);
        let now = number(self.t);
        let known = self.known();
        if self.interval == 0 {
            self.samples.last()?.1?;
        } else {
            let seen = known.iter().filter(|(at, _)| number(*at) > now - 60).count() as f64;
            let expected = (self.span as f64 / self.interval as f64).max(1.0);
            if seen == 0.0 || seen + 1e-9 < self.min_coverage * expected {
                return None;
            }
        }
        let apart = usize::from(self.samples.last()?.1.is_some());
        let grain = if self.form > 0 && bucket <= 64 * self.form { 1 } else { (bucket / 64).max(1) };
        let mut medians: Vec<(i64, f64)> = Vec::new();
        let running = if apart == 1 { known.last().map(|s| number(s.0)) } else { None };
        for b in (now - 59..now).filter(|b| running != Some(*b)) {
            let all: Vec<_> =
                known[..known.len() - apart].iter().filter(|(at, _)| number(*at) == b).collect();
            let is_first =
                |n: &usize| *n == 0 || all[n - 1].0.div_euclid(grain) != all[*n].0.div_euclid(grain);
            let kept: Vec<f64> = (0..all.len()).filter(is_first).map(|n| all[n].1).collect();
            if !kept.is_empty() {
                medians.push((b * bucket, median(&kept)));
            }
        }
        let pairs = (0..medians.len()).flat_map(|i| (i + 1..medians.len()).map(move |j| (i, j)));
        let rises: Vec<(f64, f64)> = pairs
            .map(|(i, j)| (medians[j].1 - medians[i].1, (medians[j].0 - medians[i].0) as f64 / 1e9))
            .collect();
        if rises.is_empty() {
            return None;
        }
        let slopes: Vec<f64> = rises.iter().map(|(rise, run)| rise / run).collect();
        let lean: f64 = rises.iter().map(|r| if r.0 == 0.0 { 0.0 } else { r.0.signum() }).sum();
        let is_flat = rises.iter().all(|r| r.0 == 0.0);
        let fit = if is_flat { 1.0 } else { lean.abs() / rises.len() as f64 };
        Some(Line { slope: median(&slopes), fit, first: medians[0].1 })
    }
}
