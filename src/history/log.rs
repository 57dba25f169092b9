//! A minute of observations as one row: cheap to write, read again when an hour of them is packed into
//! columns.
//!
//! ```text
//! varint entries · entries × (varint folded distance of stamp · 1 bit same interval, else varint ·
//!   varint samples × (varint series · 3 bits tag · value))
//! tag  0 no value, 1 false, 2 true, 3 64 bits of a number, 4 varint folded whole number,
//!      5 text, 6 as this series before in this row
//! ```
//! An entry is one observation: the samples of one instance at one moment.

use std::collections::BTreeMap;

use super::bits::{Reader, Writer, fold, unfold};
use super::chunk::{SAMPLES, TEXT};
use crate::engine::signal::Value;

const NONE: u64 = 0;
const FALSE: u64 = 1;
const TRUE: u64 = 2;
const NUMBER: u64 = 3;
const WHOLE: u64 = 4;
const WORDS: u64 = 5;
const SAME: u64 = 6;
const TAG: u32 = 3;
/// Whole numbers up to here are written as such.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Samples of one instance at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entry {
    /// Steady time, ns.
    pub at: i64,
    /// Expected distance to the next, ns; 0 when told.
    pub interval: i64,
    /// Series and value.
    pub samples: Vec<(u32, Option<Value>)>,
}

/// Writes a row.
pub fn write(entries: &[Entry]) -> Vec<u8> {
    let mut out = Writer::default();
    out.varint(entries.len() as u64);
    let (mut at, mut interval) = (0_i64, -1);
    let mut before: BTreeMap<u32, &Option<Value>> = BTreeMap::new();
    for entry in entries {
        out.varint(fold(entry.at.wrapping_sub(at)));
        out.put(u64::from(entry.interval == interval), 1);
        if entry.interval != interval {
            out.varint(entry.interval.max(0).unsigned_abs());
        }
        (at, interval) = (entry.at, entry.interval);
        out.varint(entry.samples.len() as u64);
        for (series, value) in &entry.samples {
            out.varint(u64::from(*series));
            let is_same = before.insert(*series, value).is_some_and(|b| same(b, value));
            if is_same { out.put(SAME, TAG) } else { write_value(value, &mut out) }
        }
    }
    out.finish()
}

/// The very same: 0 and -0 are not.
fn same(a: &Option<Value>, b: &Option<Value>) -> bool {
    match (a, b) {
        (Some(Value::Num(a)), Some(Value::Num(b))) => a.to_bits() == b.to_bits(),
        (a, b) => a == b,
    }
}

fn write_value(value: &Option<Value>, out: &mut Writer) {
    match value {
        None => out.put(NONE, TAG),
        Some(Value::Bool(b)) => out.put(if *b { TRUE } else { FALSE }, TAG),
        Some(Value::Text(text)) => {
            out.put(WORDS, TAG);
            out.text(text[..text.floor_char_boundary(TEXT)].as_bytes());
        }
        Some(Value::Num(n)) if n.abs() < EXACT && (*n as i64 as f64).to_bits() == n.to_bits() => {
            out.put(WHOLE, TAG);
            out.varint(fold(*n as i64));
        }
        Some(Value::Num(n)) => {
            out.put(NUMBER, TAG);
            out.put(n.to_bits(), 64);
        }
    }
}

/// Reads a row entry by entry.
pub struct Entries {
    bits: Reader,
    left: usize,
    at: i64,
    interval: i64,
    before: BTreeMap<u32, Option<Value>>,
}

impl Entries {
    /// Begins; `None` when damaged.
    pub fn open(mut bits: Reader) -> Option<Self> {
        let left = usize::try_from(bits.varint()?).ok().filter(|n| *n <= SAMPLES)?;
        Some(Self { bits, left, at: 0, interval: -1, before: BTreeMap::new() })
    }

    fn value(&mut self, series: u32) -> Option<Option<Value>> {
        let bits = &mut self.bits;
        let value = match bits.get(TAG)? {
            NONE => None,
            FALSE => Some(Value::Bool(false)),
            TRUE => Some(Value::Bool(true)),
            NUMBER => Some(Value::Num(f64::from_bits(bits.get(64)?))),
            WHOLE => Some(Value::Num(unfold(bits.varint()?) as f64)),
            WORDS => Some(Value::Text(String::from_utf8(bits.text(TEXT)?).ok()?.into())),
            SAME => return self.before.get(&series).cloned(),
            _ => return None,
        };
        self.before.insert(series, value.clone());
        Some(value)
    }

    fn entry(&mut self) -> Option<Entry> {
        self.at = self.at.wrapping_add(unfold(self.bits.varint()?));
        if self.bits.get(1)? == 0 {
            self.interval = i64::try_from(self.bits.varint()?).ok()?;
        }
        let samples = usize::try_from(self.bits.varint()?).ok().filter(|n| *n <= SAMPLES)?;
        let mut entry = Entry { at: self.at, interval: self.interval, samples: Vec::new() };
        for _ in 0..samples {
            let series = u32::try_from(self.bits.varint()?).ok()?;
            entry.samples.push((series, self.value(series)?));
        }
        Some(entry)
    }
}

impl Iterator for Entries {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        self.left = self.left.checked_sub(1)?;
        self.entry()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry() -> impl Strategy<Value = Entry> {
        let value = prop_oneof![
            Just(None),
            any::<f64>().prop_map(|n| Some(Value::Num(n))),
            (-9_i32..9).prop_map(|n| Some(Value::Num(f64::from(n)))),
            Just(Some(Value::Num(-0.0))),
            any::<bool>().prop_map(|b| Some(Value::Bool(b))),
            "[a-c]{0,2}".prop_map(|t| Some(Value::Text(t.into()))),
        ];
        let samples = prop::collection::vec((0_u32..5, value), 0..6);
        (any::<i64>(), prop_oneof![Just(0), Just(10), 0..i64::MAX], samples)
            .prop_map(|(at, interval, samples)| Entry { at, interval, samples })
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(entries in prop::collection::vec(entry(), 0..40)) {
            let read: Vec<Entry> = Entries::open(Reader::new(write(&entries), 0)).unwrap().collect();
            // NaN is not equal to itself, but its text is.
            prop_assert_eq!(format!("{read:?}"), format!("{entries:?}"));
        }

        #[test]
        fn garbage_ends(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Some(entries) = Entries::open(Reader::new(bytes, 0)) {
                prop_assert!(entries.count() <= SAMPLES);
            }
        }
    }
}
