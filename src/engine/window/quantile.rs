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

/// The samples of one window, or their counts.
#[derive(Clone, Debug)]
pub enum Quantiles {
    /// In order of time, and the same values in order of size.
    Exact {
        /// Window length, ns.
        span: i64,
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
        total: BTreeMap<i32, u32>,
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
        Self::Exact { span, samples: VecDeque::new(), sorted: Vec::new() }
    }

    /// Adds a sample.
    pub fn push(&mut self, at: i64, value: f64) {
        match self {
            Self::Exact { samples, sorted, .. } => {
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
                if let Some((_, counts)) = buckets.back_mut() {
                    *counts.entry(bin(value)).or_default() += 1;
                }
                *total.entry(bin(value)).or_default() += 1;
                *n += 1;
            }
        }
    }

    /// Drops what has left the window at `t`.
    pub fn evict(&mut self, t: i64) {
        match self {
            Self::Exact { span, samples, sorted } => {
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
                            *left -= count;
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
            Self::Exact { sorted, .. } => {
                let Some(new) = newest else { return sorted[rank - 1] };
                let place = sorted.partition_point(|v| v.total_cmp(&new).is_lt());
                match (rank - 1).cmp(&place) {
                    std::cmp::Ordering::Less => sorted[rank - 1],
                    std::cmp::Ordering::Equal => new,
                    std::cmp::Ordering::Greater => sorted[rank - 2],
                }
            }
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
}
