//! A stream of bits, and whole numbers in it: what every column is written with.
//!
//! Bits stand most significant first. Whole numbers stand in blocks of [`BLOCK`], each with the Rice
//! parameter that suits it, so that a column may be quiet here and wild there. A reader never panics and
//! never reads beyond its bytes: a damaged stream ends early.

/// Whole numbers in a block.
const BLOCK: u32 = 32;
/// Bits of a block's header.
const HEADER: u32 = 6;
/// Header of a block of zeros.
const ZEROS: u64 = 63;
/// Largest Rice parameter.
const MOST: u32 = 62;
/// A quotient of so many or more is not written in ones: the number stands whole behind this many.
const ESCAPE: u32 = 20;

/// Writes bits.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
    rest: u64,
    used: u32,
}

impl Writer {
    /// Writes the lowest `bits` (0 to 64) of `value`.
    pub fn put(&mut self, value: u64, bits: u32) {
        let value = if bits == 64 { value } else { value & ((1 << bits) - 1) };
        let room = 64 - self.used;
        if bits < room {
            self.rest = (self.rest << bits) | value;
            self.used += bits;
            return;
        }
        let over = bits - room;
        let head = if over == 64 { 0 } else { value >> over };
        let word = if room == 64 { head } else { (self.rest << room) | head };
        self.bytes.extend_from_slice(&word.to_be_bytes());
        self.rest = if over == 0 { 0 } else { value & (u64::MAX >> (64 - over)) };
        self.used = over;
    }

    /// Writes a number in as many groups of seven bits as it needs.
    pub fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.put(value | 0x80, 8);
            value >>= 7;
        }
        self.put(value, 8);
    }

    /// Writes bytes behind their number.
    pub fn text(&mut self, bytes: &[u8]) {
        self.varint(bytes.len() as u64);
        bytes.iter().for_each(|byte| self.put(u64::from(*byte), 8));
    }

    /// Writes whole numbers, best small ones.
    pub fn numbers(&mut self, values: &[u64]) {
        values.chunks(BLOCK as usize).for_each(|block| self.block(block));
    }

    fn block(&mut self, block: &[u64]) {
        if block.iter().all(|v| *v == 0) {
            return self.put(ZEROS, HEADER);
        }
        let k = rice(block).0;
        self.put(u64::from(k), HEADER);
        for value in block {
            let quotient = value >> k;
            if quotient < u64::from(ESCAPE) {
                // So many ones, and a zero.
                self.put(((1 << quotient) - 1) << 1, quotient as u32 + 1);
                self.put(*value, k);
            } else {
                self.put((1 << ESCAPE) - 1, ESCAPE);
                self.put(*value, 64);
            }
        }
    }

    /// The bytes; the last is filled up with zeros.
    pub fn finish(mut self) -> Vec<u8> {
        let whole = self.used.div_ceil(8);
        if whole > 0 {
            let word = self.rest << (64 - self.used);
            self.bytes.extend_from_slice(&word.to_be_bytes()[..whole as usize]);
        }
        self.bytes
    }
}

/// The Rice parameter for a block that is not all zeros, and the bits it takes.
fn rice(block: &[u64]) -> (u32, u64) {
    let sum = block.iter().fold(0_u64, |sum, v| sum.saturating_add(*v));
    let middle = (sum / block.len() as u64).checked_ilog2().unwrap_or(0);
    let cost = |k: u32| -> u64 {
        let of = |v: &u64| match v >> k {
            q if q < u64::from(ESCAPE) => q + 1 + u64::from(k),
            _ => u64::from(ESCAPE) + 64,
        };
        block.iter().map(of).sum()
    };
    let near = middle.saturating_sub(2)..=(middle + 1).min(MOST);
    near.map(|k| (k, cost(k))).min_by_key(|(_, bits)| *bits).unwrap_or((0, u64::MAX))
}

/// The bits that [`Writer::numbers`] takes.
pub fn size_of(values: &[u64]) -> u64 {
    let block = |block: &[u64]| {
        let body = if block.iter().all(|v| *v == 0) { 0 } else { rice(block).1 };
        body + u64::from(HEADER)
    };
    values.chunks(BLOCK as usize).map(block).sum()
}

/// Reads bits.
#[derive(Clone, Debug)]
pub struct Reader {
    bytes: Vec<u8>,
    at: usize,
    rest: u64,
    have: u32,
}

impl Reader {
    /// Reads `bytes` from the given one on.
    pub fn new(bytes: Vec<u8>, at: usize) -> Self {
        Self { bytes, at, rest: 0, have: 0 }
    }

    /// The next `bits` (0 to 64); `None` at the end.
    pub fn get(&mut self, bits: u32) -> Option<u64> {
        if bits > 56 {
            let high = self.get(bits - 32)?;
            return Some((high << 32) | self.get(32)?);
        }
        if self.have < bits {
            self.fill();
            if self.have < bits {
                return None;
            }
        }
        self.have -= bits;
        Some((self.rest >> self.have) & ((1 << bits) - 1))
    }

    /// Takes in bytes until no whole one has room.
    fn fill(&mut self) {
        while self.have <= 56 {
            let Some(byte) = self.bytes.get(self.at) else { return };
            self.rest = (self.rest << 8) | u64::from(*byte);
            self.at += 1;
            self.have += 8;
        }
    }

    /// The number of ones before the next zero, at most `most`; the zero is read too, unless there are so
    /// many.
    fn ones(&mut self, most: u32) -> Option<u32> {
        self.fill();
        if self.have > most {
            let ones = (!(self.rest << (64 - self.have))).leading_zeros().min(most);
            self.have -= if ones == most { ones } else { ones + 1 };
            return Some(ones);
        }
        let mut ones = 0;
        while ones < most && self.get(1)? == 1 {
            ones += 1;
        }
        Some(ones)
    }

    /// A number of [`Writer::varint`].
    pub fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.get(8)?;
            value |= (byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// Bytes of [`Writer::text`], at most `most`.
    pub fn text(&mut self, most: usize) -> Option<Vec<u8>> {
        let len = usize::try_from(self.varint()?).ok().filter(|len| *len <= most)?;
        (0..len).map(|_| self.get(8).map(|byte| byte as u8)).collect()
    }
}

/// Reads whole numbers of [`Writer::numbers`] one by one.
#[derive(Clone, Debug, Default)]
pub struct Numbers {
    left: u32,
    header: u64,
}

impl Numbers {
    /// The next number; `None` at the end. The caller knows how many there are.
    pub fn next(&mut self, bits: &mut Reader) -> Option<u64> {
        if self.left == 0 {
            self.header = bits.get(HEADER)?;
            self.left = BLOCK;
        }
        self.left -= 1;
        if self.header == ZEROS {
            return Some(0);
        }
        let k = self.header as u32;
        match bits.ones(ESCAPE)? {
            ESCAPE => bits.get(64),
            quotient => Some((u64::from(quotient).checked_shl(k)?) | bits.get(k)?),
        }
    }
}

/// A signed number as an unsigned one that is small when it is near zero.
pub fn fold(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// The way back of [`fold`].
pub fn unfold(value: u64) -> i64 {
    ((value >> 1) as i64) ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(parts in prop::collection::vec((any::<u64>(), 0_u32..=64), 0..200)) {
            let mut writer = Writer::default();
            parts.iter().for_each(|(value, bits)| writer.put(*value, *bits));
            let mut reader = Reader::new(writer.finish(), 0);
            for (value, bits) in parts {
                let mask = if bits == 64 { u64::MAX } else { (1 << bits) - 1 };
                prop_assert_eq!(reader.get(bits), Some(value & mask));
            }
        }

        #[test]
        fn numbers_of_any_size_come_back(
            values in prop::collection::vec((any::<u64>(), 0_u32..64).prop_map(|(v, s)| v >> s), 0..200),
        ) {
            let mut writer = Writer::default();
            writer.numbers(&values);
            let size = size_of(&values);
            let bytes = writer.finish();
            prop_assert_eq!(bytes.len() as u64, size.div_ceil(8));
            let (mut reader, mut numbers) = (Reader::new(bytes, 0), Numbers::default());
            for value in values {
                prop_assert_eq!(numbers.next(&mut reader), Some(value));
            }
        }

        #[test]
        fn garbage_ends(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let most = bytes.len() * 8 * 32 + 32;
            let (mut reader, mut numbers) = (Reader::new(bytes, 0), Numbers::default());
            // A block of zeros takes six bits and gives 32 numbers: more cannot come.
            let read = (0..=most).take_while(|_| numbers.next(&mut reader).is_some()).count();
            prop_assert!(read <= most);
        }
    }

    #[test]
    fn signs_fold() {
        for value in [0, 1, -1, 7, i64::MAX, i64::MIN] {
            assert_eq!(unfold(fold(value)), value);
        }
        assert_eq!([fold(0), fold(-1), fold(1)], [0, 1, 2]);
    }
}
