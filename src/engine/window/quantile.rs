//! Quantiles of a window: exact while it holds at most [`EXACT`] samples, beyond that counts in logarithmic
//! bins.
//!
//! The bins have a relative width of 2 %, so a quantile is off by at most 1 % of its value. Counts are whole
//! numbers: taking an old bucket out again is exact. Quantiles are by nearest rank, ⌈q·n⌉.

use std::collections::{BTreeMap, VecDeque};

use super::SLOTS;

/// Most samples that are kept one by one; a told signal that has more in its window loses the oldest.
pub const EXACT: usize = 360;
/// Width of a bin: each reaches this far beyond the one before.
const RATIO: f64 = 1.02;
/// Values nearer to zero than this count as zero.
const LEAST: f64 = 1e-12;
/// Most bins of one bucket, enough for values a factor of 25 000 apart; what would need another goes into the
/// nearest.
const BINS: usize = 512;

/// The samples of one window, or their counts.
#[derive(Clone, Debug)]
pub enum Quantiles {
    /// In order of time, and the same values in order of size.
    Exact {
        /// Window length, ns.
        span: i64,
        /// Of all samples in one such stretch, ns, only the first is kept.
        grain: i64,
        /// Stamp and value.
        samples: VecDeque<(i64, f64)>,
        /// Values by size.
        sorted: Vec<f64>,
    },
    /// Counts per bin, for each running bucket of time and for all of them.
    Bins {
        /// Length of a bucket, ns.
        bucket: i64,
        /// Start of the bucket, its counts.
        buckets: VecDeque<(i64, BTreeMap<i32, u32>)>,
        /// Counts of all.
        total: BTreeMap<i32, u64>,
        /// Samples in all.
        n: u64,
    },
}

impl Quantiles {
    /// Empty; `interval` decides which form fits `span`.
    pub fn new(span: i64, interval: i64) -> Self {
        if interval > 0 && span > interval.saturating_mul(EXACT as i64) {
            let (buckets, total) = (VecDeque::new(), BTreeMap::new());
            return Self::Bins { bucket: (span / SLOTS).max(1), buckets, total, n: 0 };
        }
        Self::sample(span, 1)
    }

    /// Empty, always the samples themselves: of more than [`EXACT`], the first in each `span` / [`EXACT`].
    /// Bins are for levels; deviations from one are too small for them.
    pub fn thinned(span: i64, interval: i64) -> Self {
        let most = EXACT as i64;
        let is_whole = interval == 0 || span <= interval.saturating_mul(most);
        Self::sample(span, if is_whole { 1 } else { (span / most).max(1) })
    }

    fn sample(span: i64, grain: i64) -> Self {
        Self::Exact { span, grain, samples: VecDeque::new(), sorted: Vec::new() }
    }

    /// Adds a sample.
    pub fn push(&mut self, at: i64, value: f64) {
        match self {
            Self::Exact { grain, samples, sorted, .. } => {
                let number = |at: i64| at.div_euclid(*grain);
                if samples.back().is_some_and(|(last, _)| *grain > 1 && number(*last) == number(at)) {
                    return;
                }
                if samples.len() >= EXACT
                    && let Some((_, old)) = samples.pop_front()
                {
                    take_out(sorted, old);
                }
                samples.push_back((at, value));
                let place = sorted.partition_point(|v| v.total_cmp(&value).is_lt());
                sorted.insert(place, value);
            }
            Self::Bins { bucket, buckets, total, n } => {
                let start = at.div_euclid(*bucket) * *bucket;
                if buckets.back().is_none_or(|(s, _)| *s != start) {
                    buckets.push_back((start, BTreeMap::new()));
                }
                let Some((_, counts)) = buckets.back_mut() else { return };
                let bin = room(counts, bin(value));
                let count = counts.entry(bin).or_default();
                if *count < u32::MAX {
                    *count += 1;
                    *total.entry(bin).or_default() += 1;
                    *n += 1;
                }
            }
        }
    }

    /// Drops what has left the window at `t`.
    pub fn evict(&mut self, t: i64) {
        match self {
            Self::Exact { span, samples, sorted, .. } => {
                while let Some((_, value)) = samples.front().filter(|(at, _)| *at <= t.saturating_sub(*span))
                {
                    take_out(sorted, *value);
                    samples.pop_front();
                }
            }
            Self::Bins { bucket, buckets, total, n } => {
                let bound = (t.div_euclid(*bucket) - SLOTS) * *bucket;
                while buckets.front().is_some_and(|(start, _)| *start <= bound) {
                    let Some((_, counts)) = buckets.pop_front() else { break };
                    for (bin, count) in counts {
                        *n -= u64::from(count);
                        if let Some(left) = total.get_mut(&bin) {
                            *left -= u64::from(count);
                            if *left == 0 {
                                total.remove(&bin);
                            }
                        }
                    }
                }
            }
        }
    }

    /// The oldest stamp (or start of a bucket) held.
    pub fn oldest(&self) -> Option<i64> {
        match self {
            Self::Exact { samples, .. } => samples.front().map(|(at, _)| *at),
            Self::Bins { buckets, .. } => buckets.front().map(|(start, _)| *start),
        }
    }

    /// Samples held.
    pub fn count(&self) -> f64 {
        match self {
            Self::Exact { samples, .. } => samples.len() as f64,
            Self::Bins { n, .. } => *n as f64,
        }
    }

    /// The value of rank ⌈q·n⌉ among the samples held and `newest`, which is not among them yet.
    pub fn at(&self, q: f64, newest: Option<f64>) -> f64 {
        let n = self.count() as usize + usize::from(newest.is_some());
        if n == 0 {
            return f64::NAN;
        }
        let rank = ((q * n as f64 - 1e-9).ceil() as usize).clamp(1, n);
        match self {
            Self::Exact { sorted, .. } => Ranks::new(sorted, newest).at(rank - 1),
            Self::Bins { total, .. } => {
                let (mut seen, mut new) = (0, newest.map(bin));
                for (bin, count) in total {
                    if let Some(b) = new.take_if(|b| *b <= *bin) {
                        seen += 1;
                        if seen >= rank {
                            return middle(b);
                        }
                    }
                    seen += *count as usize;
                    if seen >= rank {
                        return middle(*bin);
                    }
                }
                new.map_or(f64::NAN, middle)
            }
        }
    }
}

impl Quantiles {
    /// How far `value` lies from the others, in robust standard deviations: 0.6745·(x − median)/MAD, the
    /// modified z-score of Iglewicz and Hoaglin, "How to detect and handle outliers" (1993). Where more than
    /// half of the samples are equal the MAD is 0, and the mean absolute deviation takes its place:
    /// (x − median)/(1.2533·MeanAD). Where all are equal it is 0.
    pub fn z(&self, value: f64, newest: Option<f64>) -> f64 {
        let Self::Exact { sorted, .. } = self else { return f64::NAN };
        let ranks = Ranks::new(sorted, newest);
        if ranks.len() == 0 {
            return f64::NAN;
        }
        let median = ranks.median();
        let (mad, gap) = (ranks.deviation(median), value - median);
        if mad > 0.0 {
            return NORMAL_MAD * gap / mad;
        }
        let mean = (0..ranks.len()).map(|i| (ranks.at(i) - median).abs()).sum::<f64>() / ranks.len() as f64;
        if mean > 0.0 { gap / (NORMAL_MEAN * mean) } else { 0.0 }
    }
}

/// MAD of the standard normal distribution.
const NORMAL_MAD: f64 = 0.6745;
/// Standard deviation over mean absolute deviation of a normal distribution, √(π/2).
const NORMAL_MEAN: f64 = 1.253_314;

/// Values by size, one more among them that is not in the list yet.
struct Ranks<'a> {
    sorted: &'a [f64],
    more: Option<(usize, f64)>,
}

impl<'a> Ranks<'a> {
    fn new(sorted: &'a [f64], more: Option<f64>) -> Self {
        let place = |value: f64| sorted.partition_point(|v| v.total_cmp(&value).is_lt());
        Self { sorted, more: more.map(|value| (place(value), value)) }
    }

    fn len(&self) -> usize {
        self.sorted.len() + usize::from(self.more.is_some())
    }

    fn at(&self, i: usize) -> f64 {
        match self.more {
            Some((place, value)) if i == place => value,
            Some((place, _)) if i > place => self.sorted[i - 1],
            _ => self.sorted[i],
        }
    }

    fn median(&self) -> f64 {
        let n = self.len();
        (self.at((n - 1) / 2) + self.at(n / 2)) / 2.0
    }

    /// The median distance from `median`: walks outward from the middle, always to the nearer side.
    fn deviation(&self, median: f64) -> f64 {
        let n = self.len();
        let (mut below, mut above) = (n / 2, n / 2);
        let mut last = [0.0; 2];
        for _ in 0..=n / 2 {
            let down = below.checked_sub(1).map_or(f64::INFINITY, |i| median - self.at(i));
            let up = if above < n { self.at(above) - median } else { f64::INFINITY };
            last = [last[1], down.min(up)];
            if down <= up {
                below -= 1;
            } else {
                above += 1;
            }
        }
        if n % 2 == 1 { last[1] } else { (last[0] + last[1]) / 2.0 }
    }
}

/// The bin itself while there is room for it, else the nearest there is.
fn room(counts: &BTreeMap<i32, u32>, bin: i32) -> i32 {
    if counts.len() < BINS || counts.contains_key(&bin) {
        return bin;
    }
    let below = counts.range(..bin).next_back().map(|(b, _)| *b);
    let above = counts.range(bin..).next().map(|(b, _)| *b);
    below.into_iter().chain(above).min_by_key(|b| b.abs_diff(bin)).unwrap_or(bin)
}

fn take_out(sorted: &mut Vec<f64>, value: f64) {
    let place = sorted.partition_point(|v| v.total_cmp(&value).is_lt());
    if sorted.get(place).is_some_and(|v| v.total_cmp(&value).is_eq()) {
        sorted.remove(place);
    }
}

/// The bin of a value: larger values have larger bins, zero has bin 0.
fn bin(value: f64) -> i32 {
    let size = value.abs();
    if size < LEAST {
        return 0;
    }
    let steps = ((size / LEAST).ln() / RATIO.ln()).ceil() as i32 + 1;
    if value < 0.0 { -steps } else { steps }
}

/// The value in the middle of a bin.
fn middle(bin: i32) -> f64 {
    if bin == 0 {
        return 0.0;
    }
    let size = LEAST * RATIO.powi(bin.abs() - 1) * 2.0 / (1.0 + RATIO);
    if bin < 0 { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exact_form_takes_the_nearest_rank() {
        let mut q = Quantiles::new(1000, 10);
        for (at, value) in [(10, 5.0), (20, 1.0), (30, 3.0), (40, 4.0)] {
            q.push(at, value);
        }
        assert_eq!([q.at(0.5, Some(2.0)), q.at(0.95, Some(2.0)), q.at(0.0, Some(2.0))], [3.0, 5.0, 1.0]);
        assert_eq!(q.at(0.5, None), 3.0);
        q.evict(1010);
        assert_eq!(q.at(1.0, None), 4.0);
    }

    #[test]
    fn bins_are_within_one_per_cent() {
        let mut q = Quantiles::new(1_000_000, 10);
        for i in 1..=1000_i64 {
            q.push(i * 10, i as f64);
        }
        for (share, exact) in [(0.5, 500.0), (0.95, 950.0), (0.99, 990.0)] {
            let got = q.at(share, None);
            assert!((got - exact).abs() <= 0.0101 * exact, "{share}: {got}");
        }
        q.evict(2_000_000);
        assert!(q.at(0.5, None).is_nan());
        assert_eq!(q.at(0.5, Some(0.0)), 0.0);
    }

    #[test]
    fn bins_are_bounded_whatever_the_values_are() {
        let mut q = Quantiles::new(1_000_000, 10);
        for i in 1..=10_000_i64 {
            q.push(i * 10, 1.05_f64.powi((i * 7919 % 4001) as i32 - 2000));
        }
        let Quantiles::Bins { buckets, .. } = &q else { panic!("no bins") };
        assert!(buckets.iter().all(|(_, counts)| counts.len() <= BINS));
        assert_eq!(q.count(), 10_000.0);
    }

    #[test]
    fn z_is_robust() {
        let mut q = Quantiles::thinned(1000, 10);
        for (i, value) in [2.0, 9.0, 4.0, 100.0, 5.0].into_iter().enumerate() {
            q.push(i as i64 * 10, value);
        }
        // Median 5; deviations 0 1 3 4 95; MAD 3.
        assert_eq!(q.z(100.0, None), 0.6745 * 95.0 / 3.0);
        // With 5 once more: median 5, deviations 0 0 1 3 4 95, MAD 2.
        assert_eq!(q.z(5.0, Some(5.0)), 0.0);
        assert_eq!(q.z(100.0, Some(5.0)), 0.6745 * 95.0 / 2.0);
        let mut flat = Quantiles::thinned(1000, 10);
        (0..9).for_each(|i| flat.push(i * 10, 3.0));
        assert_eq!(flat.z(3.0, Some(3.0)), 0.0);
        assert_eq!(flat.z(13.0, Some(13.0)), 10.0 / (1.253_314 * 1.0));
    }

    #[test]
    fn a_long_window_is_thinned_to_its_most() {
        let mut q = Quantiles::thinned(3_600_000, 10);
        (0..100_000).for_each(|i| q.push(i * 10, (i % 7) as f64));
        let Quantiles::Exact { samples, .. } = &q else { panic!("bins") };
        assert_eq!((samples[0], samples[1], samples.len()), ((0, 0.0), (10_000, 6.0), 100));
    }
}
