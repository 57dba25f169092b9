//! When a ticket last changed, as products write it.
//!
//! Such a time is only ever compared with an earlier one of the same ticket (docs/decisions/0009), so that a
//! product that writes the time of its own clock without a zone is taken at its word: as if it were UTC. No
//! clock of ours plays a part. Where that clock is one on a wall, `Found::wall` says so: once a year it shows
//! an hour twice.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::engine::moment::Stamp;

/// The time in this text: RFC 3339, the same with the zone as `+0100` (Jira), or `2026-11-22 10:00:00`
/// without one; `None` for anything else.
pub fn changed(text: &str) -> Option<Stamp> {
    if let Ok(stamp) = text.parse::<Stamp>() {
        return Some(stamp);
    }
    let local: DateTime = text.parse().ok()?;
    let at = local.to_zoned(TimeZone::UTC).ok()?.timestamp().as_nanosecond();
    i64::try_from(at).ok().map(Stamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_that_a_product_has_is_the_same_time() {
        let noon: Stamp = "2026-11-22T12:00:00Z".parse().expect("is RFC 3339");
        for (text, time) in [
            ("2026-11-22T12:00:00.000Z", Some(noon)),
            ("2026-11-22T13:00:00.000+0100", Some(noon)),
            ("2026-11-22T13:00:00+01:00", Some(noon)),
            ("2026-11-22 12:00:00", Some(noon)),
            ("2026-11-22T12:00:00", Some(noon)),
            ("0000-00-00 00:00:00", None),
            ("22.11.2026 12:00", None),
            ("", None),
        ] {
            assert_eq!(changed(text), time, "{text}");
        }
    }
}
