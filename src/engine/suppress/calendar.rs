//! When a window is open: a fixed span, or hours that come back on certain days of a time zone.
//!
//! Spans are half open, `[from, to)`. Recurring hours are those on the clock of the zone: a window from 02:00
//! to 04:00 is open whenever that clock shows a time between them. So in the night that skips an hour it is
//! shorter, and in the night that repeats one it is longer. Hours that lie wholly in the skipped hour move
//! behind it and keep their length, as a job planned for them would. This file must not know the time: it is
//! asked about a moment.

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan};

use crate::engine::moment::{MINUTE, Stamp};

/// Minutes of a day.
pub const DAY_MINUTES: u16 = 24 * 60;
/// How far ahead the next opening is looked for; every rule of days comes back within it.
const AHEAD_DAYS: i32 = 400;
/// Openings that follow each other without a gap and are told as one.
const CHAIN_MOST: usize = 8;

/// A stretch of time in which a window is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Opening {
    /// Its first moment.
    pub from: Stamp,
    /// The first moment after it.
    pub to: Stamp,
}

impl Opening {
    /// True when the moment lies in it.
    pub fn contains(&self, at: Stamp) -> bool {
        self.from <= at && at < self.to
    }
}

/// When a window is open.
#[derive(Clone, Debug, PartialEq)]
pub enum When {
    /// Once.
    Fixed(Opening),
    /// Again and again.
    Recurring(Calendar),
}

/// Hours that come back.
#[derive(Clone, Debug, PartialEq)]
pub struct Calendar {
    /// One or more stretches; where they overlap the window is simply open.
    pub slots: Vec<Slot>,
    /// On whose clock.
    pub zone: TimeZone,
}

/// A stretch of hours on certain days.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The days on which it begins.
    pub days: Days,
    /// Minutes after midnight, 0 to 1439.
    pub from: u16,
    /// Minutes after the midnight of the day on which it begins; at most a day after `from`.
    pub to: u16,
}

/// Days: one that any of the lists has counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Days {
    /// Every day.
    pub daily: bool,
    /// Monday is 0.
    pub weekdays: [bool; 7],
    /// Day 1 is at 0.
    pub month: [bool; 31],
    /// The last day of the month.
    pub last: bool,
    /// The nth weekday of the month: n from 1 to 5, or 0 for the last one; Monday is 0.
    pub nth: Vec<(u8, u8)>,
}

impl Days {
    fn has(&self, date: Date) -> bool {
        let weekday = weekday(date.weekday());
        let nth = |(n, day): &(u8, u8)| {
            let in_month = (date.day() - 1) / 7 + 1;
            let is_last = date.day() + 7 > date.days_in_month();
            *day == weekday && if *n == 0 { is_last } else { i64::from(*n) == i64::from(in_month) }
        };
        let by_month = usize::try_from(date.day() - 1).ok().and_then(|i| self.month.get(i));
        self.daily
            || self.weekdays[usize::from(weekday)]
            || by_month == Some(&true)
            || (self.last && date.day() == date.days_in_month())
            || self.nth.iter().any(nth)
    }
}

/// Monday is 0.
fn weekday(day: Weekday) -> u8 {
    day.to_monday_zero_offset().unsigned_abs()
}

impl Opening {
    /// As long, from then on.
    pub(super) fn moved_to(self, from: Stamp) -> Self {
        Self { from, to: from.plus(self.to.0 - self.from.0) }
    }
}

impl When {
    /// The opening in which a moment lies.
    pub fn at(&self, moment: Stamp) -> Option<Opening> {
        match self {
            When::Fixed(opening) => Some(*opening).filter(|o| o.contains(moment)),
            When::Recurring(calendar) => calendar.at(moment),
        }
    }

    /// The first opening that begins after a moment.
    pub fn next(&self, moment: Stamp) -> Option<Opening> {
        match self {
            When::Fixed(opening) => Some(*opening).filter(|o| o.from > moment),
            When::Recurring(calendar) => calendar.next(moment),
        }
    }
}

impl Calendar {
    fn at(&self, moment: Stamp) -> Option<Opening> {
        let mut found: Option<Opening> = None;
        for opening in self.around(moment).into_iter().filter(|o| o.contains(moment)) {
            let known = found.get_or_insert(opening);
            *known = Opening { from: known.from.min(opening.from), to: known.to.max(opening.to) };
        }
        let mut found = found?;
        for _ in 0..CHAIN_MOST {
            let more = self.around(found.to).into_iter().filter(|o| o.contains(found.to)).map(|o| o.to).max();
            let Some(to) = more else { break };
            found.to = to;
        }
        Some(found)
    }

    fn next(&self, moment: Stamp) -> Option<Opening> {
        let today = self.date(moment)?;
        // The first days that have one are enough: what begins later begins on a later day.
        (-1..AHEAD_DAYS).find_map(|ahead| {
            let date = today.checked_add(ahead.days()).ok()?;
            let later = self.on(date).into_iter().filter(|o| o.from > moment);
            later.min()
        })
    }

    /// The openings that may contain a moment: no slot is longer than a day.
    fn around(&self, moment: Stamp) -> Vec<Opening> {
        let Some(today) = self.date(moment) else { return Vec::new() };
        let dates = (-2..=1).filter_map(|ahead: i32| today.checked_add(ahead.days()).ok());
        dates.flat_map(|date| self.on(date)).collect()
    }

    fn date(&self, moment: Stamp) -> Option<Date> {
        let timestamp = Timestamp::from_nanosecond(i128::from(moment.0)).ok()?;
        Some(self.zone.to_datetime(timestamp).date())
    }

    /// The openings that begin on a day.
    fn on(&self, date: Date) -> Vec<Opening> {
        let slots = self.slots.iter().filter(|slot| slot.days.has(date));
        slots.filter_map(|slot| self.opening(slot, date)).collect()
    }

    fn opening(&self, slot: &Slot, date: Date) -> Option<Opening> {
        let (from, to) = (clock(date, slot.from)?, clock(date, slot.to)?);
        let opening = Opening { from: self.edge(from, false)?, to: self.edge(to, true)? };
        if opening.from < opening.to {
            return Some(opening);
        }
        // All of it lies in an hour that is skipped.
        let from = stamp(self.zone.to_ambiguous_timestamp(from).compatible().ok()?);
        Some(Opening { from, to: from.plus(i64::from(slot.to - slot.from) * MINUTE) })
    }

    /// The moment at which the clock of the zone first shows a time, or (`end`) has shown it for the last
    /// time: in a skipped hour, the moment of the jump.
    fn edge(&self, at: DateTime, end: bool) -> Option<Stamp> {
        let instant = |offset: jiff::tz::Offset| offset.to_timestamp(at).ok();
        Some(stamp(match self.zone.to_ambiguous_timestamp(at).offset() {
            AmbiguousOffset::Unambiguous { offset } => instant(offset)?,
            AmbiguousOffset::Fold { before, after } => instant(if end { after } else { before })?,
            AmbiguousOffset::Gap { after, .. } => {
                let before_jump = instant(after)?;
                self.zone.following(before_jump).next()?.timestamp()
            }
        }))
    }
}

/// A time of day, which may lie on the day after.
fn clock(date: Date, minutes: u16) -> Option<DateTime> {
    let (days, minutes) = (i32::from(minutes / DAY_MINUTES), minutes % DAY_MINUTES);
    let (hour, minute) = (i8::try_from(minutes / 60).ok()?, i8::try_from(minutes % 60).ok()?);
    let time = Time::new(hour, minute, 0, 0).ok()?;
    Some(date.checked_add(days.days()).ok()?.to_datetime(time))
}

fn stamp(timestamp: Timestamp) -> Stamp {
    let ns = timestamp.as_nanosecond();
    Stamp(i64::try_from(ns).unwrap_or(if ns < 0 { i64::MIN } else { i64::MAX }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(days: Days, from: (u16, u16), to: (u16, u16)) -> Slot {
        let (from, to) = (from.0 * 60 + from.1, to.0 * 60 + to.1);
        Slot { days, from, to: if to > from { to } else { to + DAY_MINUTES } }
    }

    fn daily() -> Days {
        Days { daily: true, ..Days::default() }
    }

    fn calendar(zone: &str, slots: Vec<Slot>) -> When {
        When::Recurring(Calendar { slots, zone: TimeZone::get(zone).expect("a zone of the system") })
    }

    fn at(text: &str) -> Stamp {
        text.parse().expect("a time")
    }

    fn opening(found: Option<Opening>) -> String {
        found.map_or("none".to_owned(), |o| format!("{} {}", o.from, o.to))
    }

    #[test]
    fn days_are_found_by_week_and_by_month() {
        let weekdays = |days: &[usize]| {
            let mut all = [false; 7];
            days.iter().for_each(|d| all[*d] = true);
            Days { weekdays: all, ..Days::default() }
        };
        let month = |days: &[usize]| {
            let mut all = [false; 31];
            days.iter().for_each(|d| all[*d - 1] = true);
            Days { month: all, ..Days::default() }
        };
        let nth = |n, day| Days { nth: vec![(n, day)], ..Days::default() };
        // 2026-11-22 is a Sunday.
        for (days, first, second) in [
            (daily(), "2026-11-22", "2026-11-23"),
            (weekdays(&[6]), "2026-11-22", "2026-11-29"),
            (weekdays(&[0, 2]), "2026-11-23", "2026-11-25"),
            (month(&[1, 15]), "2026-12-01", "2026-12-15"),
            (month(&[31]), "2026-12-31", "2027-01-31"),
            (Days { last: true, ..Days::default() }, "2026-11-30", "2026-12-31"),
            (nth(2, 1), "2026-12-08", "2027-01-12"),
            (nth(0, 4), "2026-11-27", "2026-12-25"),
            (nth(5, 0), "2026-11-30", "2027-03-29"),
        ] {
            let when = calendar("UTC", vec![slot(days, (2, 0), (4, 0))]);
            let one = when.next(at("2026-11-22T00:00:00Z"));
            assert_eq!(opening(one), format!("{first}T02:00:00Z {first}T04:00:00Z"));
            let two = when.next(one.expect("found").from);
            assert_eq!(opening(two), format!("{second}T02:00:00Z {second}T04:00:00Z"));
            assert_eq!(when.at(at(&format!("{first}T01:59:59Z"))), None);
            assert_eq!(when.at(at(&format!("{first}T02:00:00Z"))), one);
            assert_eq!(when.at(at(&format!("{first}T04:00:00Z"))), None);
        }
    }

    #[test]
    fn a_night_goes_over_midnight_and_neighbours_are_one() {
        let mut sunday = Days::default();
        sunday.weekdays[6] = true;
        let when = calendar("Asia/Shanghai", vec![slot(sunday.clone(), (23, 0), (1, 0))]);
        let night = when.at(at("2026-11-22T16:30:00Z"));
        assert_eq!(opening(night), "2026-11-22T15:00:00Z 2026-11-22T17:00:00Z", "00:30 on Monday there");
        let mut monday = Days::default();
        monday.weekdays[0] = true;
        let both = vec![slot(sunday, (22, 0), (24, 0)), slot(monday, (0, 0), (4, 0))];
        let found = calendar("UTC", both).at(at("2026-11-22T23:00:00Z"));
        assert_eq!(opening(found), "2026-11-22T22:00:00Z 2026-11-23T04:00:00Z");
        let always = calendar("UTC", vec![slot(daily(), (0, 0), (24, 0))]);
        assert!(always.at(at("2026-11-22T12:00:00Z")).is_some_and(|o| o.to > at("2026-11-23T00:00:00Z")));
    }

    #[test]
    fn a_skipped_and_a_repeated_hour_are_those_on_the_clock() {
        for (zone, from, to, asked, wanted) in [
            ("Europe/Berlin", (2, 0), (4, 0), "2027-03-28", "2027-03-28T01:00:00Z 2027-03-28T02:00:00Z"),
            ("Europe/Berlin", (1, 0), (2, 30), "2027-03-28", "2027-03-28T00:00:00Z 2027-03-28T01:00:00Z"),
            ("Europe/Berlin", (2, 10), (2, 50), "2027-03-28", "2027-03-28T01:10:00Z 2027-03-28T01:50:00Z"),
            ("Europe/Berlin", (2, 0), (3, 0), "2027-03-28", "2027-03-28T01:00:00Z 2027-03-28T02:00:00Z"),
            ("Europe/Berlin", (2, 0), (4, 0), "2027-10-31", "2027-10-31T00:00:00Z 2027-10-31T03:00:00Z"),
            ("Europe/Berlin", (2, 30), (2, 45), "2027-10-31", "2027-10-31T00:30:00Z 2027-10-31T01:45:00Z"),
            ("America/New_York", (2, 0), (4, 0), "2027-03-14", "2027-03-14T07:00:00Z 2027-03-14T08:00:00Z"),
            ("America/New_York", (1, 0), (3, 0), "2027-11-07", "2027-11-07T05:00:00Z 2027-11-07T08:00:00Z"),
            ("Asia/Shanghai", (2, 0), (4, 0), "2027-03-28", "2027-03-27T18:00:00Z 2027-03-27T20:00:00Z"),
        ] {
            let When::Recurring(calendar) = calendar(zone, vec![slot(daily(), from, to)]) else { continue };
            let found = calendar.on(asked.parse().expect("a date")).first().copied();
            assert_eq!(opening(found), wanted, "{zone} {from:?} {asked}");
        }
    }

    #[test]
    fn a_fixed_window_opens_once() {
        let span = Opening { from: at("2026-11-29T02:00:00Z"), to: at("2026-11-29T04:00:00Z") };
        let when = When::Fixed(span);
        assert_eq!(when.next(at("2026-11-22T00:00:00Z")), Some(span));
        assert_eq!(when.at(at("2026-11-29T03:59:59Z")), Some(span));
        assert_eq!(when.at(span.to), None);
        assert_eq!(when.next(span.from), None);
    }
}
