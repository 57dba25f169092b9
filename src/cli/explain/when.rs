//! Moments as people give them at a prompt: RFC 3339, `14:05`, `2026-11-22 14:05`, `2h ago`.

use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;

use crate::engine::moment::Stamp;

/// The moment that is meant, seen from `now`. Times without a zone are those of `zone`; one without a date is
/// the last that was.
///
/// # Errors
/// A sentence that says what can be written.
pub fn moment(text: &str, now: Stamp, zone: &TimeZone) -> Result<Stamp, String> {
    let written = text.trim();
    if let Ok(stamp) = written.parse() {
        return Ok(stamp);
    }
    if written == "now" {
        return Ok(now);
    }
    let long_ago = written.strip_suffix("ago").unwrap_or(written).trim().trim_start_matches('-');
    if let Ok(ns) = crate::config::duration(long_ago) {
        return Ok(now.plus(ns.saturating_neg()));
    }
    let at = |civil: DateTime| {
        let zoned = civil.to_zoned(zone.clone()).ok()?;
        i64::try_from(zoned.timestamp().as_nanosecond()).ok().map(Stamp)
    };
    if let Some(stamp) = written.parse::<DateTime>().ok().and_then(at) {
        return Ok(stamp);
    }
    // Without a colon it may be a number of anything.
    if let Some(time) = written.parse::<Time>().ok().filter(|_| written.contains(':')) {
        let here = jiff::Timestamp::from_nanosecond(i128::from(now.0)).map_err(|e| e.to_string())?;
        let today = here.to_zoned(zone.clone()).date();
        let days = [Some(today), today.yesterday().ok()];
        let stamps = days.into_iter().flatten().filter_map(|date| at(date.to_datetime(time)));
        if let Some(last) = stamps.into_iter().find(|stamp| *stamp <= now) {
            return Ok(last);
        }
    }
    Err(format!("`{text}` is no time: write 14:05, \"2026-11-22 14:05\", 2026-11-22T14:05:00Z or \"2h ago\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_write_times_in_many_ways() {
        let now: Stamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        for (text, expected) in [
            ("2026-11-22T09:59:00Z", "2026-11-22T09:59:00Z"),
            ("2026-11-22T10:59:00+01:00", "2026-11-22T09:59:00Z"),
            ("10:30", "2026-11-22T09:30:00Z"),
            ("10:30:15", "2026-11-22T09:30:15Z"),
            ("11:30", "2026-11-21T10:30:00Z"),
            ("2026-11-20 08:00", "2026-11-20T07:00:00Z"),
            ("2h ago", "2026-11-22T08:00:00Z"),
            ("1h30m ago", "2026-11-22T08:30:00Z"),
            ("90m", "2026-11-22T08:30:00Z"),
            ("-90m", "2026-11-22T08:30:00Z"),
            (" now ", "2026-11-22T10:00:00Z"),
        ] {
            assert_eq!(moment(text, now, &zone).map(|s| s.to_string()), Ok(expected.to_owned()), "{text}");
        }
        for text in ["", "yesterday", "25:00", "2h later", "14", "2026-11-31"] {
            assert!(moment(text, now, &zone).is_err(), "{text}");
        }
    }
}
