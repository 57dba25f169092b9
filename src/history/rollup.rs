//! Rollups: what is kept of five minutes of samples.
//!
//! ```text
//! row   varint n · n × columns, each behind its length: start (in steps), count, first, last,
//!       and of numbers sum, min, max; truths count as 0 and 1
//! ```
//! Steps are aligned to the epoch, in wall time. A step without a value has no row.

use super::bits::{Reader as Bits, Writer};
use super::chunk::{self, SAMPLES, Values};
use crate::engine::moment::{MINUTE, Stamp};
use crate::engine::signal::Value;

/// Length of a step, ns.
pub const STEP: i64 = 5 * MINUTE;
/// Longest column in bytes.
const COLUMN: usize = 1 << 22;
const TEXT_COLUMNS: u64 = 4;
const NUMBER_COLUMNS: u64 = 7;

/// What is kept of one step.
#[derive(Clone, Debug, PartialEq)]
pub struct Rollup {
    /// When the step begins.
    pub start: Stamp,
    /// Samples with a value.
    pub count: u64,
    /// The first of them.
    pub first: Value,
    /// The last of them.
    pub last: Value,
    /// Their sum; of texts 0.
    pub sum: f64,
    /// The least; of texts 0.
    pub min: f64,
    /// The largest; of texts 0.
    pub max: f64,
}

impl Rollup {
    /// Adds what came later in the same step.
    pub(super) fn join(&mut self, later: Rollup) {
        self.count += later.count;
        self.sum += later.sum;
        (self.min, self.max) = (self.min.min(later.min), self.max.max(later.max));
        self.last = later.last;
    }
}

/// Makes rollups of samples in order of time.
#[derive(Debug, Default)]
pub struct Roller {
    rows: Vec<Rollup>,
}

impl Roller {
    /// Takes a sample in; true when it begins a new step. One without a value says nothing.
    pub fn take(&mut self, at: Stamp, value: Option<Value>) -> bool {
        let Some(value) = value else { return false };
        let start = Stamp(at.0.div_euclid(STEP).saturating_mul(STEP));
        let n = number(&value);
        match self.rows.last_mut() {
            Some(row) if row.start >= start => {
                row.count += 1;
                row.sum += n;
                (row.min, row.max) = (row.min.min(n), row.max.max(n));
                row.last = value;
                false
            }
            _ => {
                let (first, last) = (value.clone(), value);
                self.rows.push(Rollup { start, count: 1, first, last, sum: n, min: n, max: n });
                true
            }
        }
    }

    /// The steps that are over: all but the running one.
    pub fn over(&mut self) -> Vec<Rollup> {
        let running = self.rows.pop();
        let over = std::mem::take(&mut self.rows);
        self.rows.extend(running);
        over
    }

    /// All steps.
    pub fn finish(self) -> Vec<Rollup> {
        self.rows
    }
}

fn number(value: &Value) -> f64 {
    match value {
        Value::Num(n) => *n,
        Value::Bool(b) => f64::from(u8::from(*b)),
        Value::Text(_) => 0.0,
    }
}

/// Writes the rollups of a series.
pub fn write(rows: &[Rollup]) -> Vec<u8> {
    let is_text = rows.iter().any(|row| matches!(row.first, Value::Text(_)));
    let mut out = Writer::default();
    out.varint(rows.len() as u64);
    out.varint(if is_text { TEXT_COLUMNS } else { NUMBER_COLUMNS });
    let num = |n: f64| Some(Value::Num(n));
    let mut column = |of: &dyn Fn(&Rollup) -> Option<Value>| {
        let values: Vec<_> = rows.iter().map(of).collect();
        out.text(&chunk::write_values(&values, &vec![0; rows.len()]));
    };
    column(&|row| num((row.start.0.div_euclid(STEP)) as f64));
    column(&|row| num(row.count as f64));
    column(&|row| Some(row.first.clone()));
    column(&|row| Some(row.last.clone()));
    if !is_text {
        column(&|row| num(row.sum));
        column(&|row| num(row.min));
        column(&|row| num(row.max));
    }
    out.finish()
}

/// Begins to read the rollups of a series; `None` when damaged.
pub fn rows(mut bits: Bits) -> Option<Rows> {
    let left = usize::try_from(bits.varint()?).ok().filter(|n| *n <= SAMPLES)?;
    let columns = bits.varint()?;
    let mut column = || Values::open(Bits::new(bits.text(COLUMN)?, 0));
    let plain = [column()?, column()?, column()?, column()?];
    let numbers = if columns >= NUMBER_COLUMNS { Some([column()?, column()?, column()?]) } else { None };
    Some(Rows { left, plain, numbers, is_damaged: false })
}

/// Reads all rollups of a series; `None` when damaged.
pub fn read(bits: Bits) -> Option<Vec<Rollup>> {
    let mut rows = rows(bits)?;
    let all = rows.by_ref().collect();
    (!rows.is_damaged).then_some(all)
}

/// The rollups of a series, one by one: of each column only its packed form is held.
#[derive(Clone, Debug)]
pub struct Rows {
    left: usize,
    /// Start, count, first, last.
    plain: [Values; 4],
    /// Sum, least, largest.
    numbers: Option<[Values; 3]>,
    is_damaged: bool,
}

impl Rows {
    fn row(&mut self) -> Option<Rollup> {
        let number = |column: &mut Values| match column.next(0)? {
            Some(Value::Num(n)) => Some(n),
            _ => Some(0.0),
        };
        let [starts, counts, firsts, lasts] = &mut self.plain;
        let start = Stamp((number(starts)? as i64).checked_mul(STEP)?);
        let count = number(counts)? as u64;
        let (first, last) = (firsts.next(0)??, lasts.next(0)??);
        let [sum, min, max] = match &mut self.numbers {
            Some([sum, min, max]) => [number(sum)?, number(min)?, number(max)?],
            None => [0.0; 3],
        };
        Some(Rollup { start, count, first, last, sum, min, max })
    }
}

impl Iterator for Rows {
    type Item = Rollup;

    fn next(&mut self) -> Option<Rollup> {
        self.left = self.left.checked_sub(1)?;
        let row = self.row();
        if row.is_none() {
            (self.is_damaged, self.left) = (true, 0);
        }
        row
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_goes_in_comes_out(
            samples in prop::collection::vec((0_i64..200_000, prop::option::of(-5.0_f64..5.0)), 1..200),
        ) {
            let (mut roller, mut at) = (Roller::default(), 1_790_000_000);
            for (step, value) in &samples {
                at += step / 1000;
                roller.take(Stamp(at * 1_000_000_000), value.map(Value::Num));
            }
            let rows = roller.finish();
            prop_assert_eq!(rows.iter().map(|r| r.count).sum::<u64>() as usize,
                samples.iter().filter(|(_, v)| v.is_some()).count());
            prop_assert!(rows.windows(2).all(|r| r[0].start < r[1].start));
            prop_assert_eq!(read(Bits::new(write(&rows), 0)), Some(rows));
        }

        #[test]
        fn garbage_gives_nothing(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            read(Bits::new(bytes, 0));
        }
    }

    #[test]
    fn a_step_has_its_figures() {
        let mut roller = Roller::default();
        for (second, value) in [(0, 3.0), (10, 1.0), (299, 2.0), (300, 9.0)] {
            roller.take(Stamp(second * 1_000_000_000), Some(Value::Num(value)));
        }
        let rows = roller.over();
        let (first, last) = (Value::Num(3.0), Value::Num(2.0));
        let expected = Rollup { start: Stamp(0), count: 3, first, last, sum: 6.0, min: 1.0, max: 3.0 };
        assert_eq!(rows, [expected]);
        assert_eq!(roller.finish().len(), 1);
        let mut states = Roller::default();
        states.take(Stamp(1), Some("active".into()));
        states.take(Stamp(2), Some("failed".into()));
        let rows = states.finish();
        assert_eq!((&rows[0].first, &rows[0].last), (&"active".into(), &"failed".into()));
        assert_eq!(read(Bits::new(write(&rows), 0)), Some(rows));
    }
}
