//! Rows of the file as bytes: the stamps of samples, the values of a series, and their seal.
//!
//! ```text
//! row     crc32 (of the row's number and all that follows), payload
//! stamps  varint n · varint runs · runs × (varint interval ns, varint samples) · 64 bits first ·
//!         numbers: folded change of distance, at first against the interval
//! values  4 bits kind (1 numbers, 2 truths, 3 texts) · varint n · varint runs of gaps · runs × varint ·
//!         numbers: a column (`number`)   truths: 1 bit first, then lengths of runs
//!         texts: varint different ones, the texts, then runs × (varint which, varint length)
//! ```
//! Runs of gaps are lengths in turn: samples with a value, samples without. Series whose samples have equal
//! stamps share one row of stamps. A row that fails its seal, or is of a kind this version does not know, is
//! as if it were not there.

use std::sync::Arc;

use super::bits::{Numbers, Reader, Writer, fold, unfold};
use super::number::{self, Column};
use crate::engine::signal::Value;

/// Most samples of a row; a reader refuses more.
pub const SAMPLES: usize = 1 << 17;
/// Longest text kept, in bytes; longer ones are cut.
pub const TEXT: usize = 256;
/// Bytes before the payload.
const SEAL: usize = 4;
const NUMBERS: u64 = 1;
const TRUTHS: u64 = 2;
const TEXTS: u64 = 3;

/// Closes a row: its number goes into the checksum, so that a row in the wrong place is found too.
pub fn seal(id: i64, payload: &[u8]) -> Vec<u8> {
    let mut row = checksum(id, payload).to_le_bytes().to_vec();
    row.extend_from_slice(payload);
    row
}

/// A reader of the row's payload; `None` when the row is not what was written.
pub fn unseal(id: i64, row: Vec<u8>) -> Option<Reader> {
    let (sum, payload) = row.split_first_chunk::<SEAL>()?;
    (u32::from_le_bytes(*sum) == checksum(id, payload)).then(|| Reader::new(row, SEAL))
}

fn checksum(id: i64, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&id.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

/// Lengths of the runs of equal items.
fn runs<T: PartialEq>(items: impl IntoIterator<Item = T>) -> Vec<(T, u64)> {
    let mut runs: Vec<(T, u64)> = Vec::new();
    for item in items {
        match runs.last_mut() {
            Some((last, length)) if *last == item => *length += 1,
            _ => runs.push((item, 1)),
        }
    }
    runs
}

/// Writes stamps, each with the interval its door announced.
pub fn write_stamps(stamps: &[(i64, i64)]) -> Vec<u8> {
    let mut out = Writer::default();
    out.varint(stamps.len() as u64);
    let intervals = runs(stamps.iter().map(|(_, interval)| *interval));
    out.varint(intervals.len() as u64);
    for (interval, samples) in &intervals {
        out.varint(interval.max(&0).unsigned_abs());
        out.varint(*samples);
    }
    let Some((first, interval)) = stamps.first().copied() else { return out.finish() };
    out.put(first as u64, 64);
    let mut distance = interval;
    let mut change = |pair: &[(i64, i64)]| {
        let now = pair[1].0.wrapping_sub(pair[0].0);
        fold(now.wrapping_sub(std::mem::replace(&mut distance, now)))
    };
    let changes: Vec<u64> = stamps.windows(2).map(&mut change).collect();
    out.numbers(&changes);
    out.finish()
}

/// Reads stamps one by one.
#[derive(Clone, Debug)]
pub struct Stamps {
    bits: Reader,
    left: usize,
    intervals: std::collections::VecDeque<(i64, u64)>,
    /// The stamp before and the distance to it.
    last: Option<(i64, i64)>,
    numbers: Numbers,
}

impl Stamps {
    /// Begins; `None` when damaged.
    pub fn open(mut bits: Reader) -> Option<Self> {
        let left = usize::try_from(bits.varint()?).ok().filter(|n| *n <= SAMPLES)?;
        let runs = usize::try_from(bits.varint()?).ok().filter(|runs| *runs <= left)?;
        let mut run = || Some((i64::try_from(bits.varint()?).ok()?, bits.varint()?));
        let intervals = (0..runs).map(|_| run()).collect::<Option<_>>()?;
        Some(Self { bits, left, intervals, last: None, numbers: Numbers::default() })
    }
}

impl Iterator for Stamps {
    /// Stamp, interval, and the distance to the sample before (0 when unknown).
    type Item = (i64, i64, i64);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let (interval, samples) = self.intervals.front_mut()?;
        let interval = *interval;
        *samples = samples.saturating_sub(1);
        if *samples == 0 {
            self.intervals.pop_front();
        }
        let (stamp, distance, known) = match self.last {
            None => (self.bits.get(64)? as i64, interval, 0),
            Some((before, distance)) => {
                let change = unfold(self.numbers.next(&mut self.bits)?);
                let distance = distance.wrapping_add(change);
                (before.wrapping_add(distance), distance, distance)
            }
        };
        self.last = Some((stamp, distance));
        Some((stamp, interval, known))
    }
}

/// Writes the values of a series; `elapsed` is the distance of each to the sample before, 0 when unknown. All
/// values are of one kind: those of another count as missing.
pub fn write_values(values: &[Option<Value>], elapsed: &[i64]) -> Vec<u8> {
    let mut out = Writer::default();
    let kind = values.iter().flatten().next().map_or(NUMBERS, kind_of);
    let is_known = |v: &Option<Value>| v.as_ref().is_some_and(|v| kind_of(v) == kind);
    out.put(kind, 4);
    out.varint(values.len() as u64);
    let gaps = runs(values.iter().map(is_known));
    let gaps: &[(bool, u64)] = if gaps.iter().all(|(known, _)| *known) { &[] } else { &gaps };
    let from_gap = gaps.first().is_some_and(|(known, _)| !known);
    out.varint((gaps.len() + usize::from(from_gap)) as u64);
    if from_gap {
        out.varint(0);
    }
    gaps.iter().for_each(|(_, length)| out.varint(*length));
    let known = values.iter().zip(elapsed).filter(|(v, _)| is_known(v));
    match kind {
        TRUTHS => write_truths(known.filter_map(|(v, _)| truth(v.as_ref()?)), &mut out),
        TEXTS => write_texts(known.filter_map(|(v, _)| text(v.as_ref()?)), &mut out),
        _ => {
            let (numbers, elapsed): (Vec<f64>, Vec<i64>) =
                known.filter_map(|(v, e)| Some((number_of(v.as_ref()?)?, *e))).unzip();
            number::write(&numbers, &elapsed, &mut out);
        }
    }
    out.finish()
}

fn kind_of(value: &Value) -> u64 {
    match value {
        Value::Num(_) => NUMBERS,
        Value::Bool(_) => TRUTHS,
        Value::Text(_) => TEXTS,
    }
}

fn number_of(value: &Value) -> Option<f64> {
    if let Value::Num(n) = value { Some(*n) } else { None }
}

fn truth(value: &Value) -> Option<bool> {
    if let Value::Bool(b) = value { Some(*b) } else { None }
}

fn text(value: &Value) -> Option<&str> {
    let Value::Text(text) = value else { return None };
    Some(&text[..text.floor_char_boundary(TEXT)])
}

fn write_truths(values: impl Iterator<Item = bool>, out: &mut Writer) {
    let runs = runs(values);
    out.put(u64::from(runs.first().is_some_and(|(value, _)| *value)), 1);
    runs.iter().for_each(|(_, length)| out.varint(*length));
}

fn write_texts<'a>(values: impl Iterator<Item = &'a str>, out: &mut Writer) {
    let runs = runs(values);
    let mut words: Vec<&str> = runs.iter().map(|(word, _)| *word).collect();
    words.sort_unstable();
    words.dedup();
    out.varint(words.len() as u64);
    words.iter().for_each(|word| out.text(word.as_bytes()));
    for (word, length) in runs {
        out.varint(words.binary_search(&word).unwrap_or(0) as u64);
        out.varint(length);
    }
}

/// Reads the values of a series one by one.
#[derive(Clone, Debug)]
pub struct Values {
    bits: Reader,
    left: usize,
    gaps: std::collections::VecDeque<u64>,
    is_gap: bool,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Numbers(Column),
    Truths { value: bool, left: u64 },
    Texts { words: Vec<Arc<str>>, which: usize, left: u64 },
}

impl Values {
    /// Begins; `None` when damaged or of a kind that is not known.
    pub fn open(mut bits: Reader) -> Option<Self> {
        let kind = bits.get(4)?;
        let left = usize::try_from(bits.varint()?).ok().filter(|n| *n <= SAMPLES)?;
        let runs = usize::try_from(bits.varint()?).ok().filter(|runs| *runs <= left + 1)?;
        let gaps: std::collections::VecDeque<u64> =
            (0..runs).map(|_| bits.varint()).collect::<Option<_>>()?;
        let known = if gaps.is_empty() {
            left as u64
        } else {
            gaps.iter().step_by(2).fold(0, |sum: u64, n| sum.saturating_add(*n))
        };
        let known = usize::try_from(known).ok().filter(|known| *known <= left)?;
        let kind = match kind {
            NUMBERS => Kind::Numbers(Column::open(&mut bits, known)?),
            // The first run turns the value over.
            TRUTHS => Kind::Truths { value: bits.get(1)? == 0, left: 0 },
            TEXTS => {
                let words = usize::try_from(bits.varint()?).ok().filter(|words| *words <= left)?;
                let mut word = || Some(Arc::from(String::from_utf8(bits.text(TEXT)?).ok()?));
                Kind::Texts { words: (0..words).map(|_| word()).collect::<Option<_>>()?, which: 0, left: 0 }
            }
            _ => return None,
        };
        Some(Self { bits, left, gaps, is_gap: false, kind })
    }

    /// The next value, or that there was none at that moment; `None` at the end. `elapsed` is the distance to
    /// the sample before, 0 when unknown.
    pub fn next(&mut self, elapsed: i64) -> Option<Option<Value>> {
        self.left = self.left.checked_sub(1)?;
        if self.gap()? {
            return Some(None);
        }
        let value = match &mut self.kind {
            Kind::Numbers(column) => Value::Num(column.next(&mut self.bits, elapsed)?),
            Kind::Truths { value, left } => {
                while *left == 0 {
                    (*value, *left) = (!*value, self.bits.varint()?);
                }
                *left -= 1;
                Value::Bool(*value)
            }
            Kind::Texts { words, which, left } => {
                while *left == 0 {
                    *which = usize::try_from(self.bits.varint()?).ok()?;
                    *left = self.bits.varint()?;
                }
                *left -= 1;
                Value::Text(Arc::clone(words.get(*which)?))
            }
        };
        Some(Some(value))
    }

    /// Whether the next sample has no value.
    fn gap(&mut self) -> Option<bool> {
        while let Some(left) = self.gaps.front_mut() {
            if *left > 0 {
                *left -= 1;
                return Some(self.is_gap);
            }
            self.gaps.pop_front();
            self.is_gap = !self.is_gap;
        }
        // No gaps at all, or more samples than their runs say.
        (!self.is_gap).then_some(false)
    }
}

#[cfg(test)]
mod tests;
