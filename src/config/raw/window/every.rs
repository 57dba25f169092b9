//! `every`: days and hours that come back.
//!
//! ```text
//! every = days hours, or a list of them
//! days  = "daily" | day { "," day }
//! day   = weekday [ "-" weekday ] | number [ "-" number ] | "last" | nth weekday
//! nth   = "1st" … "5th" | "last"
//! hours = hh:mm "-" hh:mm, over midnight when the end is not later
//! ```

use crate::config::diagnose::{Finding, Report};
use crate::config::suggest::nearest;
use crate::config::walk::{Walk, shorten};
use crate::engine::suppress::{DAY_MINUTES, Days, Slot};

/// What a stretch looks like, as a regular expression: something, then hours.
pub const FORM: &str = r"\S\s+[0-9]{1,2}:[0-9]{2}-[0-9]{1,2}:[0-9]{2}\s*$";
/// Most stretches of one window.
const MOST: usize = 32;
const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const LONG: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
const NTH: [&str; 5] = ["1st", "2nd", "3rd", "4th", "5th"];

/// Reads the key; `None` when something is wrong with it.
pub fn slots(walk: &Walk<'_>, report: &mut Report) -> Option<Vec<Slot>> {
    let texts = walk.list("every", report)?;
    if texts.is_empty() || texts.len() > MOST {
        let message = format!("`every` has {} stretches; 1 to {MOST} are taken", texts.len());
        report.add(Finding::error(walk.key_at("every"), message));
        return None;
    }
    let mut slots = Vec::with_capacity(texts.len());
    for text in &texts {
        match slot(&text.value) {
            Ok(slot) => slots.push(slot),
            Err(why) => {
                let message = format!("`every`: {:?} {why}", shorten(&text.value));
                report.add(Finding::error(text.at, message).help(
                    "such as \"sun 02:00-04:00\", \"mon-fri 22:00-02:00\", \"1,15 03:00-04:00\", \"2nd tue \
                     20:00-23:00\", \"last 00:00-24:00\", \"daily 03:00-03:30\"",
                ));
            }
        }
    }
    (slots.len() == texts.len()).then_some(slots)
}

/// One stretch; the error ends a sentence that begins with the text.
fn slot(text: &str) -> Result<Slot, String> {
    let lower = text.trim().to_lowercase();
    let Some((days, hours)) = lower.rsplit_once(char::is_whitespace) else {
        return Err("must be days and hours".to_owned());
    };
    if !hours.contains(':') {
        return Err("does not end with hours, hh:mm-hh:mm without blanks".to_owned());
    }
    let (from, to) = hours.split_once('-').ok_or("has one time; write from-to")?;
    let (from, to) = (time(from)?, time(to)?);
    if from == DAY_MINUTES {
        return Err("begins at 24:00; write 00:00 of the next day".to_owned());
    }
    if from == to {
        return Err("ends when it begins; a whole day is 00:00-24:00".to_owned());
    }
    let to = if to > from { to } else { to + DAY_MINUTES };
    Ok(Slot { days: all_days(days)?, from, to })
}

fn time(text: &str) -> Result<u16, String> {
    let wrong = || format!("has {text:?} where a time hh:mm should be");
    let (hour, minute) = text.split_once(':').ok_or_else(wrong)?;
    let number = |digits: &str| match digits.len() {
        1 | 2 if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse::<u16>().map_err(|_| wrong()),
        _ => Err(wrong()),
    };
    let (hour, minute) = (number(hour)?, number(minute)?);
    let minutes = hour * 60 + minute;
    if minute > 59 || minutes > DAY_MINUTES {
        return Err(wrong());
    }
    Ok(minutes)
}

fn all_days(text: &str) -> Result<Days, String> {
    let mut days = Days::default();
    for part in text.split(',').map(str::trim) {
        add(&mut days, part)?;
    }
    Ok(days)
}

fn add(days: &mut Days, part: &str) -> Result<(), String> {
    let words: Vec<&str> = part.split_whitespace().collect();
    match words.as_slice() {
        ["daily" | "day" | "every"] | ["every", "day"] => days.daily = true,
        ["last"] | ["last", "day"] => days.last = true,
        [nth, day] => {
            let number = match (*nth, NTH.iter().position(|n| n == nth)) {
                ("last", _) => 0,
                (_, Some(place)) => place as u8 + 1,
                _ => return Err(format!("has {nth:?} where 1st, 2nd, 3rd, 4th, 5th or last should be")),
            };
            days.nth.push((number, weekday(day)? as u8));
        }
        [one] => match one.split_once('-') {
            Some((from, to)) if is_number(from) => {
                let (from, to) = (month_day(from)?, month_day(to)?);
                if from > to {
                    return Err(format!("has days of the month that go backwards: {one}"));
                }
                days.month[from..=to].iter_mut().for_each(|day| *day = true);
            }
            Some((from, to)) => {
                let (from, to) = (weekday(from)?, weekday(to)?);
                // From Saturday to Monday is three days.
                for ahead in 0..=(to + 7 - from) % 7 {
                    days.weekdays[(from + ahead) % 7] = true;
                }
            }
            None if is_number(one) => days.month[month_day(one)?] = true,
            None => days.weekdays[weekday(one)?] = true,
        },
        _ => return Err("does not say on which days".to_owned()),
    }
    Ok(())
}

fn is_number(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
}

/// Day 1 is 0.
fn month_day(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(day @ 1..=31) => Ok(day - 1),
        _ => Err(format!("has {text:?} where a day of the month, 1 to 31, should be")),
    }
}

fn weekday(text: &str) -> Result<usize, String> {
    let names = || WEEKDAYS.iter().chain(&LONG).copied();
    if let Some(place) = names().position(|name| name == text) {
        return Ok(place % 7);
    }
    let near = nearest(text, names()).map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
    Err(format!("has {text:?} where a weekday (mon … sun) should be{near}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_hours() {
        let week = |d: &[usize]| {
            let mut days = Days::default();
            d.iter().for_each(|d| days.weekdays[*d] = true);
            days
        };
        let month = |d: &[usize]| {
            let mut days = Days::default();
            d.iter().for_each(|d| days.month[*d - 1] = true);
            days
        };
        for (text, days, from, to) in [
            ("sun 02:00-04:00", week(&[6]), 120, 240),
            ("Mon,WED,friday 22:00-02:00", week(&[0, 2, 4]), 1320, 1560),
            ("sat-mon 0:30-1:00", week(&[5, 6, 0]), 30, 60),
            ("daily 03:00-03:30", Days { daily: true, ..Days::default() }, 180, 210),
            ("1,15 02:00-04:00", month(&[1, 15]), 120, 240),
            ("1-3, 31 02:00-04:00", month(&[1, 2, 3, 31]), 120, 240),
            ("last 00:00-24:00", Days { last: true, ..Days::default() }, 0, 1440),
            ("2nd tue 20:00-23:00", Days { nth: vec![(2, 1)], ..Days::default() }, 1200, 1380),
            (
                "1st sat, last sun 20:00-23:00",
                Days { nth: vec![(1, 5), (0, 6)], ..Days::default() },
                1200,
                1380,
            ),
        ] {
            assert_eq!(slot(text), Ok(Slot { days, from, to }), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, why) in [
            ("", "days and hours"),
            ("sun", "days and hours"),
            ("sun 02:00", "one time"),
            ("sun 02:00 - 04:00", "one time"),
            ("02:00-04:00 sun", "does not end with hours"),
            ("sun 2-4", "does not end with hours"),
            ("sun 25:00-26:00", "\"25:00\""),
            ("sun 02:61-04:00", "\"02:61\""),
            ("sun 24:00-02:00", "begins at 24:00"),
            ("sun 02:00-02:00", "ends when it begins"),
            ("sundy 02:00-04:00", "did you mean \"sunday\""),
            ("32 02:00-04:00", "\"32\""),
            ("5-2 02:00-04:00", "backwards"),
            ("6th sun 02:00-04:00", "\"6th\""),
            ("2nd 02:00-04:00", "\"2nd\""),
            (", 02:00-04:00", "on which days"),
            ("sun 002:00-04:00", "\"002:00\""),
        ] {
            let error = slot(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
