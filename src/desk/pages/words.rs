//! Numbers, units and times as a person reads them. Pure; times are UTC here, the page's script makes them
//! local.

use crate::engine::moment::{HOUR, MINUTE, SECOND, Stamp, human};

/// A value with its unit: `91.2 %`, `3.4 GiB`, `250 ms`, `12 MiB/s`, `yes`.
pub(super) fn quantity(value: f64, unit: &str) -> String {
    let (base, per) = match unit.strip_suffix("/s") {
        Some(base) => (base, "/s"),
        None => (unit, ""),
    };
    if base == "bool" {
        return if value >= 0.5 { "yes".to_owned() } else { "no".to_owned() };
    }
    let scale = Scale::of(value.abs(), base);
    let number = trimmed(value / scale.factor, digits(value / scale.factor));
    match scale.name {
        "" => format!("{number}{per}"),
        name => format!("{number} {name}{per}"),
    }
}

/// The step of a unit that suits a magnitude.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    /// One of this step, in the base unit.
    pub factor: f64,
    /// `GiB`, `ms`, `%`, or nothing.
    pub name: &'static str,
}

const BYTES: &[(f64, &str)] = &[
    (1.0, "B"),
    (1024.0, "KiB"),
    (1_048_576.0, "MiB"),
    (1_073_741_824.0, "GiB"),
    (1_099_511_627_776.0, "TiB"),
    (1_125_899_906_842_624.0, "PiB"),
];
const SECONDS: &[(f64, &str)] =
    &[(1e-6, "µs"), (1e-3, "ms"), (1.0, "s"), (60.0, "min"), (3600.0, "h"), (86400.0, "d")];
const NUMBERS: &[(f64, &str)] = &[(1.0, ""), (1e3, "k"), (1e6, "M"), (1e9, "G")];

impl Scale {
    /// The step for values around `magnitude` of the base unit (`ratio`, `bytes`, `seconds`, anything else is
    /// a number).
    pub(super) fn of(magnitude: f64, base: &str) -> Scale {
        let (steps, from) = match base {
            "ratio" => return Scale { factor: 0.01, name: "%" },
            "bytes" => (BYTES, 1.0),
            // Two minutes read better as 120 s than as 2 min only below that.
            "seconds" => (SECONDS, 1.0),
            _ => (NUMBERS, 10.0),
        };
        let fits = steps.iter().rev().find(|(factor, _)| magnitude >= factor * from);
        let plain = if base == "seconds" && magnitude == 0.0 { (1.0, "s") } else { steps[0] };
        let (factor, name) = fits.copied().unwrap_or(plain);
        Scale { factor, name }
    }
}

/// Digits after the point that give about three significant ones.
fn digits(value: f64) -> usize {
    match value.abs() {
        v if v >= 100.0 || v == 0.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        _ => 3,
    }
}

/// A number with at most `digits` after the point, without trailing zeros; a huge one in powers of ten.
pub(super) fn trimmed(value: f64, digits: usize) -> String {
    if value.abs() >= 1e9 {
        return format!("{value:.2e}");
    }
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// A span in seconds: `3d 4h`, `12m 5s`, `–` when it is not a span.
pub(super) fn span(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "–".to_owned();
    }
    brief((seconds * SECOND as f64) as i64)
}

/// A duration in nanoseconds without small change: seconds are dropped from ten minutes on.
pub(super) fn brief(ns: i64) -> String {
    let step = match ns.saturating_abs() {
        n if (10 * MINUTE..HOUR).contains(&n) => MINUTE,
        n if n >= SECOND => SECOND,
        _ => 1,
    };
    human(ns - ns % step)
}

/// A duration in nanoseconds in whole minutes from one minute on, in whole hours from two days on: for clocks
/// that are only glanced at.
pub(super) fn coarse(ns: i64) -> String {
    let step = match ns.saturating_abs() {
        n if n >= 48 * HOUR => HOUR,
        n if n >= MINUTE => MINUTE,
        _ => SECOND,
    };
    human(ns - ns % step)
}

/// How long ago, or how far ahead: `5m ago`, `in 2h 10m`, `just now`.
pub(super) fn relative(now: Stamp, at: Stamp) -> String {
    let ns = now.0.saturating_sub(at.0);
    match ns {
        n if n.saturating_abs() < SECOND => "just now".to_owned(),
        n if n > 0 => format!("{} ago", brief(n)),
        n => format!("in {}", brief(n.saturating_neg())),
    }
}

/// `2026-11-22 14:05:03 UTC`.
pub(super) fn utc(at: Stamp) -> String {
    let text = at.to_string();
    let (date, rest) = text.split_once('T').unwrap_or((text.as_str(), ""));
    format!("{date} {} UTC", rest.get(..8).unwrap_or(rest))
}

/// A label of a time axis, UTC.
pub(super) fn tick(at: Stamp, format: TickFormat) -> String {
    let text = utc(at);
    let part = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default().to_owned();
    match format {
        TickFormat::Seconds => part(11..19),
        TickFormat::Minutes => part(11..16),
        TickFormat::Hours => part(5..16),
        TickFormat::Days => part(5..10),
    }
}

/// How fine the labels of a time axis are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TickFormat {
    /// `14:05:03`
    Seconds,
    /// `14:05`
    Minutes,
    /// `11-22 14:05`
    Hours,
    /// `11-22`
    Days,
}

impl TickFormat {
    /// Its name for the page's script, which writes the local time.
    pub(super) fn name(self) -> &'static str {
        match self {
            TickFormat::Seconds => "hms",
            TickFormat::Minutes => "hm",
            TickFormat::Hours => "dayhm",
            TickFormat::Days => "day",
        }
    }
}

/// Makes text safe inside HTML and SVG, attribute values included.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // Control characters have no place in a page.
            c if c.is_control() => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

/// A word from the wire as a person writes it: `known_error` → `Known error`, `sla` → `SLA`.
pub(super) fn plain(word: &str) -> String {
    if word == "sla" {
        return "SLA".to_owned();
    }
    let mut chars = word.chars();
    let first: String = chars.next().map(|c| c.to_uppercase().collect()).unwrap_or_default();
    first + &chars.as_str().replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_carry_the_unit_that_suits_them() {
        let table = [
            (0.912, "ratio", "91.2 %"),
            (1.0, "ratio", "100 %"),
            (0.0, "ratio", "0 %"),
            (3_650_722_201.6, "bytes", "3.4 GiB"),
            (12_582_912.0, "bytes/s", "12 MiB/s"),
            (0.25, "seconds", "250 ms"),
            (0.0, "seconds", "0 s"),
            (90.0, "seconds", "1.5 min"),
            (1.0, "bool", "yes"),
            (0.0, "bool", "no"),
            (4.0, "number", "4"),
            (12_500.0, "number/s", "12.5 k/s"),
            (1e300, "bytes", "8.88e284 PiB"),
        ];
        for (value, unit, text) in table {
            assert_eq!(quantity(value, unit), text, "{value} {unit}");
        }
    }

    #[test]
    fn times_read_well() {
        let now = Stamp(1_790_000_000 * SECOND);
        assert_eq!(utc(now), "2026-09-21 14:13:20 UTC");
        assert_eq!(relative(now, now.plus(-5 * MINUTE)), "5m ago");
        assert_eq!(relative(now, now.plus(2 * HOUR + 10 * MINUTE)), "in 2h 10m");
        assert_eq!(relative(now, now.plus(-(47 * MINUTE + 12 * SECOND))), "47m ago");
        assert_eq!(relative(now, now), "just now");
        assert_eq!(span(f64::NAN), "–");
    }

    #[test]
    fn nothing_hostile_survives_escaping() {
        assert_eq!(
            escape("<a href=\"x\" b='y'>&\u{7}"),
            "&lt;a href=&quot;x&quot; b=&#39;y&#39;&gt;&amp;\u{fffd}"
        );
    }
}
