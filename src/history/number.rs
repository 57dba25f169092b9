//! Columns of numbers: several codings, of which the smallest is kept.
//!
//! Most numbers of a host are whole numbers in disguise, and a disguise that can be seen through bit for bit
//! costs a byte where the bits of the number itself would cost six:
//!
//! | tag | coding | for |
//! |---|---|---|
//! | 0 | constant | what never moves |
//! | 1 | XOR with the number before (Pelkonen et al., "Gorilla", 2015) | what moves now and then |
//! | 2 | whole number / 10^e | counts, bytes, decimals |
//! | 3 | whole number × unit / seconds since the sample before | growth per second of a counter |
//! | 4 | whole number / whole number | shares of ticks, blocks, inodes |
//! | 5 | upper bits as a whole number, lower ones as they are | measured noise |
//!
//! Numbers that do not fit 2 to 4 stand apart as they are, a few at most. A coding is used only if it gives
//! back the very bits. Unknown tags belong to a newer sexton and end the reading.

use super::bits::{Reader, Writer};
use super::whole::{self, Whole};

/// Units of what counters count: themselves, sectors, pages, microseconds, milliseconds.
const UNITS: [f64; 5] = [1.0, 512.0, 4096.0, 1e-6, 1e-3];
/// Decimal digits tried.
const DIGITS: u32 = 6;
/// Largest divisor of a share.
const DIVISOR: u64 = 1 << 20;
/// Whole numbers up to here are exact.
const EXACT: f64 = 9_007_199_254_740_992.0;
/// One in so many may not fit, and this many more.
const ODD_SHARE: usize = 16;
const ODD: usize = 2;
/// Numbers looked at before a coding is tried on all.
const LOOK: usize = 16;

/// How a whole number is disguised.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Guise {
    Decimal(u32),
    Rate(usize),
}

impl Guise {
    fn scale(digits: u32) -> f64 {
        10_f64.powi(digits as i32)
    }

    fn wear(self, whole: i64, elapsed: i64) -> f64 {
        match self {
            Guise::Decimal(digits) => whole as f64 / Self::scale(digits),
            Guise::Rate(unit) => whole as f64 * UNITS[unit] / (elapsed as f64 / 1e9),
        }
    }

    fn take_off(self, value: f64, elapsed: i64) -> Option<i64> {
        let near = match self {
            Guise::Decimal(digits) => value * Self::scale(digits),
            Guise::Rate(_) if elapsed <= 0 => return None,
            Guise::Rate(unit) => value * (elapsed as f64 / 1e9) / UNITS[unit],
        }
        .round();
        let whole = (near.abs() < EXACT).then_some(near as i64)?;
        (self.wear(whole, elapsed).to_bits() == value.to_bits()).then_some(whole)
    }
}

/// Writes a column; `elapsed` has the distance in time of each number to the sample before, 0 when unknown.
pub fn write(values: &[f64], elapsed: &[i64], out: &mut Writer) {
    let first = values.first().copied().unwrap_or(0.0);
    if values.iter().all(|v| v.to_bits() == first.to_bits()) {
        out.put(0, 4);
        out.put(first.to_bits(), 64);
        return;
    }
    let xor = || {
        let mut bits = Writer::default();
        bits.put(1, 4);
        write_xor(values, &mut bits);
        bits
    };
    let candidates = [whole_column(values, elapsed), share_column(values), split_column(values), Some(xor())];
    let smallest = candidates.into_iter().flatten().map(Writer::finish).min_by_key(Vec::len);
    smallest.iter().flatten().for_each(|byte| out.put(u64::from(*byte), 8));
}

/// Most numbers that may stand apart.
fn odd_most(n: usize) -> usize {
    n / ODD_SHARE + ODD
}

fn whole_column(values: &[f64], elapsed: &[i64]) -> Option<Writer> {
    let decimals = (0..=DIGITS).map(Guise::Decimal);
    let rates = (0..UNITS.len()).map(Guise::Rate);
    let fits = |guise: &Guise, n: usize| {
        let odd = values.iter().zip(elapsed).take(n).filter(|(v, e)| guise.take_off(**v, **e).is_none());
        odd.count() <= odd_most(n.min(values.len()))
    };
    let guise = decimals.chain(rates).find(|guise| fits(guise, LOOK) && fits(guise, usize::MAX))?;
    let whole = values.iter().zip(elapsed).map(|(v, e)| guise.take_off(*v, *e));
    let mut out = Writer::default();
    let (tag, parameter) = match guise {
        Guise::Decimal(digits) => (2, u64::from(digits)),
        Guise::Rate(unit) => (3, unit as u64),
    };
    out.put(tag, 4);
    out.put(parameter, 4);
    let whole: Vec<Option<i64>> = whole.collect();
    write_odd(values, &whole, &mut out);
    whole::write(&filled(&whole), &mut out);
    Some(out)
}

/// Numbers that do not fit, with their places.
fn write_odd<T>(values: &[f64], fitted: &[Option<T>], out: &mut Writer) {
    let odd: Vec<usize> = (0..values.len()).filter(|i| fitted[*i].is_none()).collect();
    out.varint(odd.len() as u64);
    let mut before = 0;
    for place in odd {
        out.varint((place - before) as u64);
        out.put(values[place].to_bits(), 64);
        before = place;
    }
}

/// What does not fit repeats the one before, which costs least.
fn filled<T: Copy + Default>(fitted: &[Option<T>]) -> Vec<T> {
    let mut last = fitted.iter().flatten().next().copied().unwrap_or_default();
    let mut fill = |one: &Option<T>| {
        last = one.unwrap_or(last);
        last
    };
    fitted.iter().map(&mut fill).collect()
}

/// The smallest fraction that is this very number.
fn fraction(value: f64) -> Option<(i64, i64)> {
    if !(0.0..=1.0).contains(&value) || value.is_sign_negative() {
        return None;
    }
    // Convergents of the continued fraction.
    let (mut p, mut q) = ((1_u64, 0_u64), (0_u64, 1_u64));
    let mut rest = value;
    loop {
        let whole = rest.floor();
        if whole > DIVISOR as f64 {
            return None;
        }
        p = (whole as u64 * p.0 + p.1, p.0);
        q = (whole as u64 * q.0 + q.1, q.0);
        if q.0 > DIVISOR || p.0 > DIVISOR {
            return None;
        }
        if (p.0 as f64 / q.0 as f64).to_bits() == value.to_bits() {
            return Some((p.0 as i64, q.0 as i64));
        }
        rest = (rest - whole).recip();
        if !rest.is_finite() {
            return None;
        }
    }
}

fn share_column(values: &[f64]) -> Option<Writer> {
    let odd = |n: usize| values.iter().take(n).filter(|v| fraction(**v).is_none()).count();
    if odd(LOOK) > odd_most(LOOK.min(values.len())) {
        return None;
    }
    let mut shares: Vec<Option<(i64, i64)>> = values.iter().map(|v| fraction(*v)).collect();
    if shares.iter().filter(|s| s.is_none()).count() > odd_most(values.len()) {
        return None;
    }
    // The whole is nearly the same each time, and the largest that could not be cancelled is close to it.
    let whole = shares.iter().flatten().map(|(_, q)| *q).max().unwrap_or(1);
    for (p, q) in shares.iter_mut().flatten() {
        let times = ((whole + *q / 2) / *q).max(1);
        (*p, *q) = (*p * times, *q * times);
    }
    let mut out = Writer::default();
    out.put(4, 4);
    write_odd(values, &shares, &mut out);
    let shares = filled(&shares);
    for column in [|s: &(i64, i64)| s.0, |s: &(i64, i64)| s.1] {
        whole::write(&shares.iter().map(column).collect::<Vec<_>>(), &mut out);
    }
    Some(out)
}

fn split_column(values: &[f64]) -> Option<Writer> {
    let best = |low: u32| {
        let high: Vec<i64> = values.iter().map(|v| (v.to_bits() >> low) as i64).collect();
        (whole::size(&high) + u64::from(low) * values.len() as u64, low, high)
    };
    let (_, low, high) = [32, 40, 44, 48, 52].map(best).into_iter().min_by_key(|(size, ..)| *size)?;
    let mut out = Writer::default();
    out.put(5, 4);
    out.put(u64::from(low), 6);
    whole::write(&high, &mut out);
    values.iter().for_each(|v| out.put(v.to_bits(), low));
    Some(out)
}

/// Bits that differ from the number before: none, within the last window, or in a new one.
fn write_xor(values: &[f64], out: &mut Writer) {
    let (mut before, mut window) = (0_u64, None);
    for value in values {
        let bits = value.to_bits();
        let differ = bits ^ before;
        before = bits;
        if differ == 0 {
            out.put(0, 1);
            continue;
        }
        let (lead, trail) = (differ.leading_zeros().min(31), differ.trailing_zeros());
        match window {
            Some((l, t)) if lead >= l && trail >= t => {
                out.put(0b10, 2);
                out.put(differ >> t, 64 - l - t);
            }
            _ => {
                let len = 64 - lead - trail;
                out.put(0b11, 2);
                out.put(u64::from(lead), 5);
                out.put(u64::from(len - 1), 6);
                out.put(differ >> trail, len);
                window = Some((lead, trail));
            }
        }
    }
}

/// Reads a column number by number.
#[derive(Clone, Debug)]
pub struct Column {
    /// Bits of the numbers that do not fit, by place.
    odd: std::collections::VecDeque<(usize, u64)>,
    place: usize,
    coding: Coding,
}

#[derive(Clone, Debug)]
enum Coding {
    Constant(f64),
    Xor {
        before: u64,
        window: (u32, u32),
    },
    Whole(Guise, Whole),
    /// The second column stands behind the first and is read by a reader of its own.
    Share(Whole, Whole, Box<Reader>),
    Split(u32, Whole, Box<Reader>),
}

impl Column {
    /// Begins with a column of `n` numbers; `None` when its coding is not known or it is damaged.
    pub fn open(bits: &mut Reader, n: usize) -> Option<Self> {
        let tag = bits.get(4)?;
        let mut odd = std::collections::VecDeque::new();
        let coding = match tag {
            0 => Coding::Constant(f64::from_bits(bits.get(64)?)),
            1 => Coding::Xor { before: 0, window: (0, 0) },
            2 | 3 => {
                let parameter = bits.get(4)?;
                let guise = match tag {
                    2 => Guise::Decimal(parameter as u32),
                    _ => Guise::Rate(usize::try_from(parameter).ok().filter(|unit| *unit < UNITS.len())?),
                };
                odd = read_odd(bits, n)?;
                Coding::Whole(guise, Whole::open(bits)?)
            }
            4 => {
                odd = read_odd(bits, n)?;
                let first = Whole::open(bits)?;
                let mut second = bits.clone();
                first.clone().skip(&mut second, n)?;
                Coding::Share(first, Whole::open(&mut second)?, Box::new(second))
            }
            5 => {
                let low = bits.get(6)? as u32;
                let high = Whole::open(bits)?;
                let mut rest = bits.clone();
                high.clone().skip(&mut rest, n)?;
                Coding::Split(low, high, Box::new(rest))
            }
            _ => return None,
        };
        Some(Self { odd, place: 0, coding })
    }

    /// The next number; `elapsed` is the distance in time to the sample before, 0 when unknown.
    pub fn next(&mut self, bits: &mut Reader, elapsed: i64) -> Option<f64> {
        let value = match &mut self.coding {
            Coding::Constant(value) => *value,
            Coding::Xor { before, window } => {
                *before ^= read_xor(bits, window)?;
                f64::from_bits(*before)
            }
            Coding::Whole(guise, whole) => guise.wear(whole.next(bits)?, elapsed),
            Coding::Share(p, q, second) => {
                let (p, q) = (p.next(bits)?, q.next(second)?);
                p as f64 / q as f64
            }
            Coding::Split(low, high, rest) => {
                let high = (high.next(bits)? as u64).checked_shl(*low)?;
                f64::from_bits(high | rest.get(*low)?)
            }
        };
        let odd = self.odd.pop_front_if(|(place, _)| *place == self.place);
        self.place += 1;
        Some(odd.map_or(value, |(_, bits)| f64::from_bits(bits)))
    }
}

fn read_odd(bits: &mut Reader, n: usize) -> Option<std::collections::VecDeque<(usize, u64)>> {
    let count = usize::try_from(bits.varint()?).ok().filter(|count| *count <= odd_most(n))?;
    let mut place = 0_usize;
    let mut one = || {
        place = place.checked_add(usize::try_from(bits.varint()?).ok()?)?;
        Some((place, bits.get(64)?))
    };
    (0..count).map(|_| one()).collect()
}

fn read_xor(bits: &mut Reader, window: &mut (u32, u32)) -> Option<u64> {
    if bits.get(1)? == 0 {
        return Some(0);
    }
    if bits.get(1)? == 1 {
        let lead = bits.get(5)? as u32;
        let len = bits.get(6)? as u32 + 1;
        *window = (lead, 64_u32.checked_sub(lead + len)?);
    }
    let (lead, trail) = *window;
    Some(bits.get(64 - lead - trail)? << trail)
}

#[cfg(test)]
mod tests;
