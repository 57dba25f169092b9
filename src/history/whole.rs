//! A column of signed whole numbers, in units of their common divisor: offsets from the least, steps from one
//! to the next, or what the steps are above the least of them, whichever is smallest.
//!
//! ```text
//! 2 bits form (0 offsets, 1 folded steps, 2 steps above the least) · varint divisor ·
//! varint folded base · form 2: varint folded least step · numbers
//! ```

use super::bits::{self, Numbers, Reader, Writer, fold, unfold};

const OFFSETS: u64 = 0;
const STEPS: u64 = 1;
const ABOVE: u64 = 2;

/// A column in its smallest form, ready to be written.
struct Plan {
    form: u64,
    divisor: u64,
    base: i64,
    least_step: i64,
    numbers: Vec<u64>,
}

fn plan(values: &[i64]) -> Plan {
    let first = values.first().copied().unwrap_or(0);
    let least = values.iter().copied().min().unwrap_or(0);
    let distance = |v: &i64| v.wrapping_sub(least) as u64;
    let divisor = values.iter().map(distance).fold(0, gcd).max(1);
    let offsets: Vec<u64> = values.iter().map(|v| distance(v) / divisor).collect();
    let steps = || offsets.windows(2).map(|pair| (pair[1] as i64).wrapping_sub(pair[0] as i64));
    let least_step = steps().min().unwrap_or(0);
    let folded: Vec<u64> = steps().map(fold).collect();
    let above: Vec<u64> = steps().map(|step| step.wrapping_sub(least_step) as u64).collect();
    let sizes = [&offsets, &folded, &above].map(|numbers| bits::size_of(numbers));
    let base = first;
    match sizes {
        [offset, step, above_] if above_ < offset.min(step) => {
            Plan { form: ABOVE, divisor, base, least_step, numbers: above }
        }
        [offset, step, _] if step < offset => {
            Plan { form: STEPS, divisor, base, least_step: 0, numbers: folded }
        }
        _ => Plan { form: OFFSETS, divisor, base: least, least_step: 0, numbers: offsets },
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    let (mut a, mut b) = (a, b);
    while b != 0 {
        // Nothing is gained by going on.
        if a == 1 {
            return 1;
        }
        (a, b) = (b, a % b);
    }
    a
}

/// Writes a column.
pub fn write(values: &[i64], out: &mut Writer) {
    let plan = plan(values);
    out.put(plan.form, 2);
    out.varint(plan.divisor);
    out.varint(fold(plan.base));
    if plan.form == ABOVE {
        out.varint(fold(plan.least_step));
    }
    out.numbers(&plan.numbers);
}

/// About how many bits [`write`] takes.
pub fn size(values: &[i64]) -> u64 {
    bits::size_of(&plan(values).numbers)
}

/// Reads a column one by one.
#[derive(Clone, Debug)]
pub struct Whole {
    form: u64,
    is_first: bool,
    divisor: u64,
    last: i64,
    least_step: i64,
    numbers: Numbers,
}

impl Whole {
    /// Begins with a column.
    pub fn open(bits: &mut Reader) -> Option<Self> {
        let form = bits.get(2).filter(|form| *form <= ABOVE)?;
        let divisor = bits.varint()?;
        let last = unfold(bits.varint()?);
        let least_step = if form == ABOVE { unfold(bits.varint()?) } else { 0 };
        Some(Self { form, is_first: true, divisor, last, least_step, numbers: Numbers::default() })
    }

    /// The next number.
    pub fn next(&mut self, bits: &mut Reader) -> Option<i64> {
        if self.form == OFFSETS {
            let offset = self.numbers.next(bits)?.wrapping_mul(self.divisor);
            return Some(self.last.wrapping_add(offset as i64));
        }
        if !std::mem::take(&mut self.is_first) {
            let number = self.numbers.next(bits)?;
            let step = match self.form {
                ABOVE => self.least_step.wrapping_add(number as i64),
                _ => unfold(number),
            };
            self.last = self.last.wrapping_add(step.wrapping_mul(self.divisor as i64));
        }
        Some(self.last)
    }

    /// Reads past `n` numbers.
    pub fn skip(mut self, bits: &mut Reader, n: usize) -> Option<()> {
        (0..n).try_for_each(|_| self.next(bits).map(drop))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whole_numbers_come_back(
            values in prop::collection::vec((any::<i64>(), 0_u32..63).prop_map(|(v, s)| v >> s), 1..300),
            times in 1_i64..5000,
        ) {
            let values: Vec<i64> = values.into_iter().map(|v| v.wrapping_mul(times)).collect();
            let mut out = Writer::default();
            write(&values, &mut out);
            let mut bits = Reader::new(out.finish(), 0);
            let mut column = Whole::open(&mut bits).unwrap();
            for value in values {
                prop_assert_eq!(column.next(&mut bits), Some(value));
            }
        }
    }

    #[test]
    fn a_common_divisor_and_steps_are_found() {
        let pages: Vec<i64> = (0..320).map(|i| 4096 * (1_000_000 + i % 2)).collect();
        let climb: Vec<i64> = (0..320).map(|i| 7 + 1_000_003 * i).collect();
        for (values, most) in [(pages, 80), (climb, 20)] {
            let mut out = Writer::default();
            write(&values, &mut out);
            let size = out.finish().len();
            assert!(size <= most, "{size}");
        }
    }
}
