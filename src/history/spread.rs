//! Rollups as samples again: what a window or a rule can be shown of a time whose samples are gone.
//!
//! Each step gives as many samples as it had, at the pace of its series, with the same first, last, least
//! and largest one and the same sum: so means, shares of coverage, extremes and counts of a window that
//! takes in whole steps are what they were. The order within a step is made up: a counter grows evenly, a
//! gauge shows its extremes in the middle and its mean beside them. A step of which two segments have a part
//! is spread once, when both are at hand.

use std::iter::{Flatten, Peekable};
use std::option;
use std::vec::IntoIter;

use super::rollup::{Rollup, Rows, STEP};
use crate::engine::signal::Value;

/// Samples of a step at most; a series that had more is thinned.
const MOST: u64 = 3600;

/// The rollups of a series in the order of time: those left of segments before, and those of this one. A step
/// of which both have a part is one.
pub struct Steps {
    before: Peekable<IntoIter<Rollup>>,
    rows: Peekable<Flatten<option::IntoIter<Rows>>>,
    /// Steps that begin then or later are left for a later segment, which has its part of them.
    until: i64,
}

impl Steps {
    /// The rollups of a segment behind what was left `before`, up to `until`.
    pub fn new(before: Vec<Rollup>, rows: Option<Rows>, until: i64) -> Self {
        Self { before: before.into_iter().peekable(), rows: rows.into_iter().flatten().peekable(), until }
    }

    /// What is left for later segments.
    pub fn left(before: &[Rollup], rows: Option<&Rows>, until: i64) -> Vec<Rollup> {
        let rest = Self::new(before.to_vec(), rows.cloned(), i64::MAX);
        rest.skip_while(|row| row.start.0 < until).collect()
    }
}

impl Iterator for Steps {
    type Item = Rollup;

    fn next(&mut self) -> Option<Rollup> {
        let start = |row: Option<&Rollup>| row.map_or(i64::MAX, |row| row.start.0);
        let (before, row) = (start(self.before.peek()), start(self.rows.peek()));
        if before.min(row) >= self.until {
            return None;
        }
        if row < before {
            return self.rows.next();
        }
        let mut step = self.before.next()?;
        if before == row {
            self.rows.next().into_iter().for_each(|later| step.join(later));
        }
        Some(step)
    }
}

/// The samples of a series, made of its rollups.
pub struct Spread {
    steps: Steps,
    /// Distance of its samples where they are known, ns; 0 when told.
    interval: i64,
    is_counter: bool,
    /// When samples begin that still are such: of the step in which that is, only what was before is here.
    end: i64,
    step: Option<Step>,
}

/// A step that is being spread.
struct Step {
    row: Rollup,
    /// Samples it gives, which one is next, and their distance.
    n: u64,
    next: u64,
    pitch: i64,
}

impl Spread {
    /// Begins.
    pub fn new(steps: Steps, interval: i64, is_counter: bool, end: i64) -> Self {
        Self { steps, interval, is_counter, end, step: None }
    }

    /// The interval that its samples announce.
    pub fn interval(&self) -> i64 {
        self.interval
    }
}

impl Iterator for Spread {
    /// Wall time and value.
    type Item = (i64, Value);

    fn next(&mut self) -> Option<Self::Item> {
        let step = match &mut self.step {
            Some(step) if step.next < step.n => step,
            spent => {
                let row = self.steps.next()?;
                let n = row.count.clamp(1, MOST);
                let room = Some(self.end.saturating_sub(row.start.0)).filter(|room| *room > 0);
                let even = room.map_or(STEP, |room| room.min(STEP)) / n as i64;
                let pitch = if self.interval > 0 { even.min(self.interval) } else { even };
                spent.insert(Step { row, n, next: 0, pitch })
            }
        };
        let i = step.next;
        step.next += 1;
        let at = step.row.start.0.saturating_add(step.pitch.saturating_mul(i as i64));
        Some((at, sample(&step.row, i, step.n, self.is_counter)))
    }
}

/// Sample `i` of the `n` that a step gives.
fn sample(row: &Rollup, i: u64, n: u64, is_counter: bool) -> Value {
    if i == 0 {
        return row.first.clone();
    }
    if i + 1 == n {
        return row.last.clone();
    }
    match (&row.first, &row.last) {
        (Value::Num(first), Value::Num(last)) if is_counter => Value::Num(count(row, i, n, *first, *last)),
        (Value::Num(first), Value::Num(last)) => Value::Num(gauge(row, i, n, *first, *last)),
        (Value::Bool(first), Value::Bool(last)) => Value::Bool(truth(row, i, n, *first, *last)),
        (first, last) => {
            if i < n / 2 {
                first.clone()
            } else {
                last.clone()
            }
        }
    }
}

/// A counter grows evenly; one that was reset meanwhile grows before, falls at once and has its last value.
fn count(row: &Rollup, i: u64, n: u64, first: f64, last: f64) -> f64 {
    if row.min >= first && row.max <= last {
        return first + (last - first) * (i as f64 / (n - 1) as f64);
    }
    match i {
        1 if row.max > first => row.max,
        1 | 2 => row.min,
        _ => last,
    }
}

/// The extremes, unless they stand at the ends, and between them what makes the sum right.
fn gauge(row: &Rollup, i: u64, n: u64, first: f64, last: f64) -> f64 {
    let is_end = |value: f64| first == value || last == value;
    let (least, largest) = (!is_end(row.min), !is_end(row.max));
    let middle = n - 2;
    let place = |third: u64| 1 + middle * third / 3;
    let (low, high) = match (least, largest) {
        (true, true) if middle < 2 => (None, Some(1)),
        (true, true) if first <= last => (Some(place(1)), Some(place(2).max(place(1) + 1))),
        (true, true) => (Some(place(2).max(place(1) + 1)), Some(place(1))),
        (true, false) => (Some(1 + middle / 2), None),
        (false, true) => (None, Some(1 + middle / 2)),
        (false, false) => (None, None),
    };
    if low == Some(i) {
        return row.min;
    }
    if high == Some(i) {
        return row.max;
    }
    let shown = low.map_or(0.0, |_| row.min) + high.map_or(0.0, |_| row.max);
    let others = middle - u64::from(low.is_some()) - u64::from(high.is_some());
    let scale = n as f64 / row.count.max(1) as f64;
    ((row.sum * scale - first - last - shown) / others.max(1) as f64).clamp(row.min, row.max)
}

/// Truths stand together, so that nothing changes more often than it must have.
fn truth(row: &Rollup, i: u64, n: u64, first: bool, last: bool) -> bool {
    let all = (row.sum * n as f64 / row.count.max(1) as f64).round() as u64;
    let same = if first { all } else { n.saturating_sub(all) };
    if first == last {
        // Half of them at each end.
        let before = same.div_ceil(2);
        let is_within = i < before || i >= n - (same - before);
        is_within == first
    } else {
        (i < same) == first
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::bits::Reader as Bits;
    use super::super::rollup::{self, Roller};
    use super::*;
    use crate::engine::moment::{SECOND, Stamp};

    fn spread(samples: &[(i64, Value)], interval: i64, is_counter: bool) -> (Vec<Rollup>, Vec<(i64, Value)>) {
        let rows = rolled(samples);
        let packed = rollup::rows(Bits::new(rollup::write(&rows), 0)).unwrap();
        let steps = Steps::new(Vec::new(), Some(packed), i64::MAX);
        (rows, Spread::new(steps, interval, is_counter, i64::MAX).collect())
    }

    fn rolled(samples: &[(i64, Value)]) -> Vec<Rollup> {
        let mut roller = Roller::default();
        for (at, value) in samples {
            roller.take(Stamp(*at), Some(value.clone()));
        }
        roller.finish()
    }

    proptest! {
        /// Rolled up again, the samples give the same figures.
        #[test]
        fn a_step_keeps_its_figures(values in prop::collection::vec(0_i32..50, 1..120)) {
            let samples: Vec<_> = (0_i64..).zip(&values)
                .map(|(i, v)| (i * 10 * SECOND, Value::Num(f64::from(*v)))).collect();
            let (before, made) = spread(&samples, 10 * SECOND, false);
            prop_assert_eq!(made.iter().map(|(at, _)| *at).collect::<Vec<_>>(),
                samples.iter().map(|(at, _)| *at).collect::<Vec<_>>());
            for (a, b) in before.iter().zip(rolled(&made)) {
                prop_assert_eq!((a.start, a.count, &a.first, &a.last), (b.start, b.count, &b.first, &b.last));
                prop_assert_eq!((a.min, a.max), (b.min, b.max));
                prop_assert!((a.sum - b.sum).abs() < 1e-6, "{} {}", a.sum, b.sum);
            }
        }

        #[test]
        fn truths_are_as_many(values in prop::collection::vec(any::<bool>(), 1..30)) {
            let samples: Vec<_> =
                (0_i64..).zip(&values).map(|(i, v)| (i * 10 * SECOND, Value::Bool(*v))).collect();
            let (before, made) = spread(&samples, 10 * SECOND, false);
            prop_assert_eq!(before, rolled(&made));
        }

        /// A counter never falls where it did not fall.
        #[test]
        fn a_counter_only_grows(steps in prop::collection::vec(0_u32..5, 1..90)) {
            let mut total = 0;
            let samples: Vec<_> = (0_i64..).zip(&steps).map(|(i, n)| {
                total += n;
                (i * 10 * SECOND, Value::Num(f64::from(total)))
            }).collect();
            let (_, made) = spread(&samples, 10 * SECOND, true);
            let number = |value: &Value| if let Value::Num(n) = value { *n } else { -1.0 };
            let numbers: Vec<f64> = made.iter().map(|(_, value)| number(value)).collect();
            prop_assert!(numbers.windows(2).all(|w| w[0] <= w[1]), "{numbers:?}");
        }
    }

    #[test]
    fn what_was_told_is_told_at_the_ends() {
        let told = [(0, Value::from("active")), (200 * SECOND, Value::from("failed"))];
        let (_, made) = spread(&told, 0, false);
        assert_eq!(made, [(0, Value::from("active")), (150 * SECOND, Value::from("failed"))]);
    }

    #[test]
    fn a_step_in_two_parts_is_spread_once_and_one_cut_short_ends_there() {
        let second = |s: i64| s * SECOND;
        let told = |s: i64, text: &str| (second(s), Value::from(text));
        let before = rolled(&[told(0, "a"), told(310, "b")]);
        let rows = rolled(&[told(400, "c"), told(650, "d"), told(900, "e")]);
        let packed = || rollup::rows(Bits::new(rollup::write(&rows), 0));
        let starts = |until: i64| {
            let steps = Steps::new(before.clone(), packed(), second(until));
            steps.map(|row| (row.start.0 / SECOND, row.count)).collect::<Vec<_>>()
        };
        assert_eq!(starts(9000), [(0, 1), (300, 2), (600, 1), (900, 1)]);
        assert_eq!(starts(600), [(0, 1), (300, 2)]);
        let left = Steps::left(&before, packed().as_ref(), second(600));
        assert_eq!(left.iter().map(|row| row.start.0 / SECOND).collect::<Vec<_>>(), [600, 900]);
        // Samples begin at 310: nothing is made of rollups then or later.
        let steps = Steps::new(rolled(&[told(300, "a"), told(302, "b"), told(304, "c")]), None, i64::MAX);
        let made: Vec<i64> = Spread::new(steps, 0, false, second(310)).map(|(at, _)| at).collect();
        assert_eq!(made.len(), 3);
        assert!(made.iter().all(|at| *at < second(310)), "{made:?}");
    }
}
