//! Points in time as the engine sees them.
//!
//! A [`Moment`] carries two clocks. `mono` orders events and drives every wait, window and timer: it never
//! goes back and goes on during suspension. It is anchored to the wall clock once, when the process starts,
//! so that a saved `mono` stays comparable after a restart. `wall` is UTC as the host believes it now and
//! only ever stamps records and due times. This file must not know where a moment comes from; `clock.rs` is
//! the only source.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One second in nanoseconds, the unit of every duration inside the engine.
pub const SECOND: i64 = 1_000_000_000;
/// One minute in nanoseconds.
pub const MINUTE: i64 = 60 * SECOND;
/// One hour in nanoseconds.
pub const HOUR: i64 = 60 * MINUTE;
/// One day in nanoseconds.
pub const DAY: i64 = 24 * HOUR;

/// A point in time on both clocks, in nanoseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Moment {
    /// Steady time: never goes back, counts suspension.
    pub mono: i64,
    /// Wall time, UTC; may step.
    pub wall: i64,
}

impl Moment {
    /// Both clocks at `ns`; what tests and replay use.
    pub const fn at(ns: i64) -> Self {
        Self { mono: ns, wall: ns }
    }

    /// This moment moved by `ns` on both clocks.
    pub const fn plus(self, ns: i64) -> Self {
        Self { mono: self.mono.saturating_add(ns), wall: self.wall.saturating_add(ns) }
    }

    /// The wall stamp of this moment.
    pub const fn stamp(self) -> Stamp {
        Stamp(self.wall)
    }

    /// The wall stamp of a steady time near this moment, as if the clock had not stepped in between.
    pub const fn stamp_of(self, mono: i64) -> Stamp {
        Stamp(self.wall - (self.mono - mono))
    }
}

/// A UTC wall time in nanoseconds since the epoch; RFC 3339 text in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Stamp(pub i64);

impl Stamp {
    /// This stamp moved by `ns`.
    pub const fn plus(self, ns: i64) -> Self {
        Self(self.0.saturating_add(ns))
    }

    /// Seconds since the epoch as a float, for plots.
    pub fn seconds(self) -> f64 {
        self.0 as f64 / SECOND as f64
    }

    fn timestamp(self) -> jiff::Timestamp {
        jiff::Timestamp::from_nanosecond(i128::from(self.0)).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }
}

impl std::fmt::Display for Stamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.timestamp())
    }
}

impl std::str::FromStr for Stamp {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let timestamp: jiff::Timestamp = text.parse().map_err(|e| format!("not an RFC 3339 time: {e}"))?;
        i64::try_from(timestamp.as_nanosecond()).map(Stamp).map_err(|_| "time out of range".to_owned())
    }
}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A duration in words a person reads at a glance: `450ms`, `12s`, `5m`, `1h 30m`, `3d 4h`.
pub fn human(ns: i64) -> String {
    let (sign, ns) = if ns < 0 { ("-", ns.saturating_neg()) } else { ("", ns) };
    let parts = |big: i64, unit: &str, small: i64, name: &str| {
        let rest = (ns % big) / small;
        if rest == 0 { format!("{}{unit}", ns / big) } else { format!("{}{unit} {rest}{name}", ns / big) }
    };
    let body = match ns {
        0 => "0s".to_owned(),
        n if n < SECOND => format!("{}ms", (n / 1_000_000).max(1)),
        n if n < MINUTE => format!("{}s", n / SECOND),
        n if n < HOUR => parts(MINUTE, "m", SECOND, "s"),
        n if n < DAY => parts(HOUR, "h", MINUTE, "m"),
        _ => parts(DAY, "d", HOUR, "h"),
    };
    format!("{sign}{body}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_survives_json() {
        let stamp = Stamp(1_790_000_000_123_456_789);
        let json = serde_json::to_string(&stamp).unwrap();
        assert_eq!(json, "\"2026-09-21T14:13:20.123456789Z\"");
        assert_eq!(serde_json::from_str::<Stamp>(&json).unwrap(), stamp);
    }

    #[test]
    fn durations_read_well() {
        for (ns, text) in [(0, "0s"), (450_000_000, "450ms"), (12 * SECOND, "12s"), (5 * MINUTE, "5m")] {
            assert_eq!(human(ns), text);
        }
        assert_eq!(human(90 * MINUTE), "1h 30m");
        assert_eq!(human(-76 * HOUR), "-3d 4h");
    }
}
