//! When a certificate expires: just enough DER (X.690, RFC 5280 section 4.1) to reach the field `notAfter`.
//!
//! ```text
//! Certificate ::= SEQUENCE { tbs SEQUENCE { [0] version?, serial INTEGER, algorithm SEQUENCE,
//!                            issuer SEQUENCE, validity SEQUENCE { notBefore Time, notAfter Time }, … }, … }
//! ```
//! Nothing is verified here; anything unexpected is `None`.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The end of the certificate's validity in seconds since 1970 UTC.
pub(super) fn not_after(der: &[u8]) -> Option<i64> {
    let (certificate, _) = expect(SEQUENCE, der)?;
    let (tbs, _) = expect(SEQUENCE, certificate)?;
    let (tag, _, after_first) = element(tbs)?;
    let rest = if tag == VERSION { element(after_first)?.2 } else { after_first };
    let rest = element(element(rest)?.2)?.2;
    let (validity, _) = expect(SEQUENCE, rest)?;
    let (tag, time, _) = element(element(validity)?.2)?;
    seconds(tag, std::str::from_utf8(time).ok()?)
}

/// Tag, content and what follows.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

fn expect(tag: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    element(bytes).filter(|(found, ..)| *found == tag).map(|(_, content, rest)| (content, rest))
}

/// `YYMMDDHHMMSSZ` (50..99 are of the last century) or `YYYYMMDDHHMMSSZ`.
fn seconds(tag: u8, text: &str) -> Option<i64> {
    let digits = text.strip_suffix('Z').filter(|d| d.bytes().all(|b| b.is_ascii_digit()))?;
    let (year, rest) = match (tag, digits.len()) {
        (UTC_TIME, 12) => {
            let (year, rest) = digits.split_at(2);
            let year: i16 = year.parse().ok()?;
            (if year >= 50 { 1900 + year } else { 2000 + year }, rest)
        }
        (GENERALIZED_TIME, 14) => {
            let (year, rest) = digits.split_at(4);
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let two = |at: usize| rest.get(at..at + 2)?.parse::<i8>().ok();
    let time = DateTime::new(year, two(0)?, two(2)?, two(4)?, two(6)?, two(8)?, 0).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
        let mut der = vec![tag];
        match u8::try_from(content.len()) {
            Ok(short) if short < 0x80 => der.push(short),
            _ => {
                der.push(0x82);
                der.extend(u16::try_from(content.len()).unwrap().to_be_bytes());
            }
        }
        der.extend(content);
        der
    }

    fn certificate(version: bool, time: (u8, &str)) -> Vec<u8> {
        let version = if version { tlv(VERSION, &tlv(2, &[2])) } else { Vec::new() };
        let validity = [tlv(UTC_TIME, b"200101000000Z"), tlv(time.0, time.1.as_bytes())].concat();
        let issuer = tlv(SEQUENCE, &[0x31; 300]);
        let tbs =
            [version, tlv(2, &[7]), tlv(SEQUENCE, &[]), issuer, tlv(SEQUENCE, &validity), tlv(SEQUENCE, &[])];
        tlv(SEQUENCE, &[tlv(SEQUENCE, &tbs.concat()), tlv(SEQUENCE, &[])].concat())
    }

    #[test]
    fn both_kinds_of_time_are_read() {
        for (time, seconds) in [
            ((UTC_TIME, "261122160000Z"), Some(1_795_363_200)),
            ((UTC_TIME, "491231235959Z"), Some(2_524_607_999)),
            ((UTC_TIME, "500101000000Z"), Some(-631_152_000)),
            ((GENERALIZED_TIME, "20500101000000Z"), Some(2_524_608_000)),
            ((GENERALIZED_TIME, "99991231235959Z"), None),
            ((UTC_TIME, "20500101000000Z"), None),
            ((UTC_TIME, "261322160000Z"), None),
            ((UTC_TIME, "26112216000é"), None),
            ((UTC_TIME, "261122160000+"), None),
        ] {
            assert_eq!(not_after(&certificate(true, time)), seconds, "{time:?}");
        }
        assert_eq!(
            not_after(&certificate(false, (UTC_TIME, "261122160000Z"))),
            Some(1_795_363_200),
            "version 1"
        );
    }

    #[test]
    fn garbage_is_nothing_at_any_length() {
        let good = certificate(true, (UTC_TIME, "261122160000Z"));
        for length in 0..good.len() {
            assert_eq!(not_after(&good[..length]), None, "cut at {length}");
        }
        for byte in 0..=255 {
            assert_eq!(not_after(&[byte; 64]), None);
        }
    }
}
