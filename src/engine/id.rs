//! Names that never change: record ids, readable numbers, fingerprints and keys.
//!
//! Owns the seeded generator behind every id; its state is committed with each step, so that the same seed
//! and the same events give the same bytes. Fingerprints are FNV-1a 64 over rule, CI and identity labels:
//! never over a value, a time, a severity or a host-local id. This file must not know what an incident is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::signal::Instance;

/// 64-bit FNV-1a (Fowler, Noll, Vo), offset basis 0xcbf29ce484222325.
pub fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Names the condition of one rule on one instance of one CI: 16 hex digits of FNV-1a over
/// `rule\0ci\0k=v\0…`, the identity labels sorted by name.
pub fn fingerprint(rule: &str, ci: &str, instance: &Instance) -> String {
    hex(fnv1a(identity(rule, Some(ci), instance).as_bytes()))
}

/// [`fingerprint`] without the CI: the same condition on any host of the fleet.
pub fn fleet_key(rule: &str, instance: &Instance) -> String {
    hex(fnv1a(identity(rule, None, instance).as_bytes()))
}

/// The key an ITSM keeps over all episodes of one condition: `sx-a-<host id>-<fingerprint>`.
pub fn alert_key(host: &str, fingerprint: &str) -> String {
    format!("sx-a-{host}-{fingerprint}")
}

fn identity(rule: &str, ci: Option<&str>, instance: &Instance) -> String {
    let mut labels = instance.class.spec().identity.to_vec();
    labels.sort_unstable();
    let mut text = format!("{rule}\0");
    if let Some(ci) = ci {
        text.push_str(ci);
        text.push('\0');
    }
    for label in labels {
        text.push_str(&format!("{label}={}\0", instance.label(label)));
    }
    text
}

fn hex(hash: u64) -> String {
    format!("{hash:016x}")
}

/// The readable number of the `n`th incident of a host: `INC000042`.
pub fn incident_number(n: u64) -> String {
    format!("INC{n:06}")
}

/// The readable number of the `n`th problem of a host: `PRB000007`.
pub fn problem_number(n: u64) -> String {
    format!("PRB{n:06}")
}

/// The counter inside a readable number; `None` when the text is not one.
pub fn counter(number: &str) -> Option<u64> {
    number.get(3..)?.parse().ok()
}

/// A seeded source of random bits (SplitMix64, Steele, Lea and Flood 2014); its whole state is one word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generator {
    state: u64,
}

impl Generator {
    /// A generator that yields the same sequence for the same seed.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// A UUID, kept in 16 bytes; text in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Uuid(u128);

impl Uuid {
    /// A version 7 UUID (RFC 9562): milliseconds of `wall_ns`, then 74 bits of the generator.
    pub fn v7(wall_ns: i64, generator: &mut Generator) -> Self {
        let millis = u128::from(wall_ns.max(0).unsigned_abs() / 1_000_000) & 0xffff_ffff_ffff;
        let rand_a = u128::from(generator.bits() & 0x0fff);
        let rand_b = u128::from(generator.bits() >> 2);
        Self(millis << 80 | 0x7 << 76 | rand_a << 64 | 0b10 << 62 | rand_b)
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let h = format!("{:032x}", self.0);
        write!(f, "{}-{}-{}-{}-{}", &h[..8], &h[8..12], &h[12..16], &h[16..20], &h[20..])
    }
}

impl FromStr for Uuid {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let value = u128::from_str_radix(&text.replace('-', ""), 16).map(Uuid);
        value.ok().filter(|id| id.to_string() == text).ok_or_else(|| format!("not a UUID: {text}"))
    }
}

impl Serialize for Uuid {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Uuid {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::signal::Class;

    #[test]
    fn fnv1a_gives_the_published_vectors() {
        for (text, hash) in
            [("", 0xcbf2_9ce4_8422_2325), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8_u64)]
        {
            assert_eq!(fnv1a(text.as_bytes()), hash, "{text}");
        }
    }

    #[test]
    fn a_fingerprint_holds_rule_ci_and_identity_and_nothing_else() {
        let data = Instance::of(Class::Fs, &[("mount", "/data"), ("fstype", "ext4")]);
        let same = Instance::of(Class::Fs, &[("mount", "/data"), ("fstype", "xfs")]);
        let other = Instance::of(Class::Fs, &[("mount", "/srv")]);
        let print = fingerprint("disk-full", "h1", &data);
        assert_eq!(print, hex(fnv1a(b"disk-full\0h1\0mount=/data\0")));
        assert_eq!(print, fingerprint("disk-full", "h1", &same));
        assert_ne!(print, fingerprint("disk-full", "h1", &other));
        assert_ne!(print, fingerprint("disk-full", "h2", &data));
        assert_ne!(print, fingerprint("inodes-low", "h1", &data));
        assert_eq!(fleet_key("disk-full", &data), hex(fnv1a(b"disk-full\0mount=/data\0")));
        let part = Instance::of(Class::Sexton, &[("part", "config"), ("name", "x")]);
        assert_eq!(fleet_key("r", &part), hex(fnv1a(b"r\0name=x\0part=config\0")), "labels are sorted");
    }

    #[test]
    fn an_id_is_a_version_7_uuid_that_starts_with_its_time() {
        let mut generator = Generator::new(7);
        let wall = 0x0192_a000_0001_i64 * 1_000_000;
        let (a, b) = (Uuid::v7(wall, &mut generator), Uuid::v7(wall, &mut generator));
        let text = a.to_string();
        assert_ne!(a, b);
        assert!(text.starts_with("0192a000-0001-7"), "{text}");
        assert!(matches!(text.as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "variant of {text}");
        assert_eq!(text.parse::<Uuid>().unwrap(), a);
        assert_eq!(Uuid::v7(wall, &mut Generator::new(7)), a, "the same seed gives the same id");
        assert!(Uuid::v7(wall + 1_000_000, &mut generator) > a, "ids sort by time");
        for bad in
            ["", "0192a000", "0192A000-0001-7000-8000-000000000000", "0192a00000017000800000000000000g"]
        {
            assert!(bad.parse::<Uuid>().is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_can_be_read_back() {
        assert_eq!(incident_number(1), "INC000001");
        assert_eq!(problem_number(1_234_567), "PRB1234567");
        assert_eq!(counter("INC000042"), Some(42));
        assert_eq!(counter("no"), None);
    }
}
