//! The same slot over n periods: 60 slots to a period, aligned to the epoch, and for each what was seen in
//! it.
//!
//! At most 60·n + 60 slots of 24 bytes are kept, whatever comes. A slot is known when it holds `min_coverage`
//! of the samples expected (told: of its time), the median when `min_coverage` of the n slots are known. The
//! running period is not among them.

use std::collections::VecDeque;

use super::SLOTS;

/// Most periods that can be looked back.
pub const PERIODS: usize = 31;

/// What was seen in each slot.
#[derive(Clone, Debug)]
pub struct Slots {
    /// Length of a slot, ns.
    length: i64,
    periods: usize,
    cells: VecDeque<Slot>,
}

/// Samples (polled) or seconds (told) in a slot, and the sum of the values weighted by them.
#[derive(Clone, Copy, Debug)]
struct Slot {
    number: i64,
    weight: f64,
    area: f64,
}

/// What is known of a series beyond the slots: its newest sample.
#[derive(Clone, Copy, Debug)]
pub enum Newest {
    /// A polled sample at ns.
    Sample(i64, f64),
    /// A told value held over ns to ns.
    Held(i64, i64, f64),
}

impl Slots {
    /// Empty, for `periods` periods of `period` ns.
    pub fn new(period: i64, periods: usize) -> Self {
        let periods = periods.clamp(1, PERIODS);
        Self { length: (period / SLOTS).max(1), periods, cells: VecDeque::new() }
    }

    /// Takes in what can no longer be replaced.
    pub fn put(&mut self, newest: Newest) {
        match newest {
            Newest::Sample(at, value) => self.add(at.div_euclid(self.length), 1.0, value),
            Newest::Held(from, to, value) => {
                let last = to.div_euclid(self.length);
                // What is older than every slot kept need not be walked through.
                let first = from.div_euclid(self.length).max(last - self.reach());
                for number in first..=last {
                    let seconds = self.overlap(number, from, to);
                    if seconds > 0.0 {
                        self.add(number, seconds, seconds * value);
                    }
                }
            }
        }
    }

    /// How many slots back the oldest one asked for lies.
    fn reach(&self) -> i64 {
        self.periods as i64 * SLOTS
    }

    fn add(&mut self, number: i64, weight: f64, area: f64) {
        match self.cells.back_mut() {
            Some(last) if last.number >= number => {
                last.weight += weight;
                last.area += area;
            }
            _ => self.cells.push_back(Slot { number, weight, area }),
        }
        self.drop_before(number - self.reach());
    }

    fn drop_before(&mut self, oldest: i64) {
        while self.cells.front().is_some_and(|slot| slot.number < oldest) {
            self.cells.pop_front();
        }
    }

    /// Seconds of `from..to` that lie in a slot.
    fn overlap(&self, number: i64, from: i64, to: i64) -> f64 {
        let start = number.saturating_mul(self.length);
        let end = start.saturating_add(self.length);
        (to.min(end).saturating_sub(from.max(start))).max(0) as f64 / 1e9
    }

    /// Drops what no slot asked for at `t` or later can be.
    pub fn evict(&mut self, t: i64) {
        self.drop_before(t.div_euclid(self.length) - self.reach());
    }

    /// Start of the next slot after `t`, while there is anything to look back to.
    pub fn next_change(&self, t: i64) -> Option<i64> {
        self.cells.front().map(|_| (t.div_euclid(self.length) + 1).saturating_mul(self.length))
    }

    /// Median over the same slot of the periods before `t`; NaN below the coverage. `interval` is 0 for a
    /// told series.
    pub fn median(&self, t: i64, newest: Option<Newest>, interval: i64, min_coverage: f64) -> f64 {
        let (mut means, known) = self.means(t, newest, interval, min_coverage);
        if known == 0 || (known as f64) + 1e-9 < min_coverage * self.periods as f64 {
            return f64::NAN;
        }
        means[..known].sort_by(f64::total_cmp);
        (means[(known - 1) / 2] + means[known / 2]) / 2.0
    }

    /// Of how many periods the same slot is known.
    pub fn known(&self, t: i64, newest: Option<Newest>, interval: i64, min_coverage: f64) -> usize {
        self.means(t, newest, interval, min_coverage).1
    }

    /// The means of the slots that are known, and how many these are.
    fn means(
        &self,
        t: i64,
        newest: Option<Newest>,
        interval: i64,
        min_coverage: f64,
    ) -> ([f64; PERIODS], usize) {
        let mut means = [0.0; PERIODS];
        let mut known = 0;
        let now = t.div_euclid(self.length);
        let expected = match interval {
            0 => self.length as f64 / 1e9,
            _ => (self.length as f64 / interval as f64).max(1.0),
        };
        for back in 1..=self.periods as i64 {
            let (weight, area) = self.slot(now - back * SLOTS, newest);
            // The hair's breadth keeps 0.3 of 10 samples at 3 in spite of binary fractions.
            if weight > 0.0 && weight + 1e-9 >= min_coverage * expected {
                means[known] = area / weight;
                known += 1;
            }
        }
        (means, known)
    }

    fn slot(&self, number: i64, newest: Option<Newest>) -> (f64, f64) {
        let place = self.cells.partition_point(|slot| slot.number < number);
        let cell = self.cells.get(place).filter(|slot| slot.number == number);
        let (weight, area) = cell.map_or((0.0, 0.0), |slot| (slot.weight, slot.area));
        let (more, value) = match newest {
            Some(Newest::Sample(at, value)) if at.div_euclid(self.length) == number => (1.0, value),
            Some(Newest::Held(from, to, value)) => (self.overlap(number, from, to), value),
            _ => (0.0, 0.0),
        };
        (weight + more, area + more * value)
    }

    /// Slots held.
    #[cfg(test)]
    pub fn cells(&self) -> usize {
        self.cells.len()
    }
}
