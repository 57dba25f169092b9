//! CSV files as people have them: a header, commas, quotes where needed, times in one of four spellings.
//!
//! With `past`, the host's own history, the only file of this room that reads the disk. It must not know what
//! a column means. Limits:
//! [`LARGEST`] bytes per file, [`MOST_COLUMNS`] columns; beyond them a message, nothing is cut off.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use crate::engine::moment::{SECOND, Stamp};

/// Largest file that is read, in bytes.
pub const LARGEST: u64 = 4 << 30;
/// Most columns of a file.
pub const MOST_COLUMNS: usize = 10_000;
/// Names of the column that holds the time.
const TIMES: [&str; 5] = ["time", "t", "timestamp", "at", "date"];

/// A file with its header read.
#[derive(Debug)]
pub struct Table {
    /// Where it came from.
    pub path: PathBuf,
    /// Names of its columns.
    pub header: Vec<String>,
    text: String,
    body: usize,
}

impl Table {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, is too large, is no text or has no header.
    pub fn read(path: &Path) -> Result<Self, String> {
        let cannot = |e: std::io::Error| format!("cannot read {}: {e}", path.display());
        let size = std::fs::metadata(path).map_err(cannot)?.len();
        if size > LARGEST {
            return Err(format!("{} is larger than {} GiB: split it", path.display(), LARGEST >> 30));
        }
        Self::parse(path, std::fs::read_to_string(path).map_err(cannot)?)
    }

    /// Takes a text as the content of `path`.
    ///
    /// # Errors
    /// It has no header, or too many columns.
    pub fn parse(path: &Path, text: String) -> Result<Self, String> {
        let start = if text.starts_with('\u{feff}') { 3 } else { 0 };
        let end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let header: Vec<String> = fields(&text[start..end]).iter().map(|f| f.trim().to_owned()).collect();
        if header.iter().all(String::is_empty) {
            return Err(format!("{}: no header: the first line names the columns", path.display()));
        }
        if header.len() > MOST_COLUMNS {
            return Err(format!("{}: more than {MOST_COLUMNS} columns", path.display()));
        }
        Ok(Self { path: path.into(), header, body: (end + 1).min(text.len()), text })
    }

    /// The place of a column by its name, or by its number from 1.
    pub fn column(&self, name: &str) -> Option<usize> {
        let by_name = self.header.iter().position(|h| h == name);
        by_name.or_else(|| name.parse::<usize>().ok()?.checked_sub(1).filter(|i| *i < self.header.len()))
    }

    /// The place of the column that holds the time.
    pub fn time_column(&self) -> Option<usize> {
        TIMES.iter().find_map(|name| self.header.iter().position(|h| h.eq_ignore_ascii_case(name)))
    }

    /// The rows with their line numbers; empty lines are left out.
    pub fn rows(&self) -> impl Iterator<Item = (usize, Vec<Cow<'_, str>>)> {
        let body = self.text.get(self.body..).unwrap_or("");
        let lines = body.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        lines.map(|(n, line)| (n + 2, fields(line)))
    }

    /// `file:line: what`, as an error.
    pub fn wrong(&self, line: usize, what: impl std::fmt::Display) -> String {
        format!("{}:{line}: {what}", self.path.display())
    }
}

/// The fields of a line; a quoted one may hold commas and doubled quotes, but no line end.
pub fn fields(line: &str) -> Vec<Cow<'_, str>> {
    let line = line.trim_end_matches('\r');
    if !line.contains('"') {
        return line.split(',').map(Cow::Borrowed).collect();
    }
    let (mut all, mut field, mut is_quoted, mut chars) =
        (Vec::new(), String::new(), false, line.chars().peekable());
    while let Some(c) = chars.next() {
        match c {
            '"' if is_quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => all.push(Cow::Owned(std::mem::take(&mut field))),
            _ => field.push(c),
        }
    }
    all.push(Cow::Owned(field));
    all
}

/// A time: RFC 3339, the same without a zone (then UTC), or seconds or milliseconds since 1970.
///
/// # Errors
/// It is none of these.
pub fn time(text: &str) -> Result<Stamp, String> {
    let text = text.trim();
    if let Some(stamp) = plain(text) {
        return Ok(stamp);
    }
    if let Ok(number) = text.parse::<f64>() {
        // Seconds until the year 5138, milliseconds from 1973 on.
        let seconds = if number.abs() >= 1e11 { number / 1e3 } else { number };
        return match seconds.abs() < 9e9 {
            true => Ok(Stamp((seconds * SECOND as f64).round() as i64)),
            false => Err(format!("`{text}` is no time")),
        };
    }
    let zoned = || text.parse::<Stamp>().ok();
    let local = || text.parse::<jiff::civil::DateTime>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok();
    let stamp = zoned().or_else(|| i64::try_from(local()?.timestamp().as_nanosecond()).ok().map(Stamp));
    stamp.ok_or_else(|| format!("`{text}` is no time; write 2024-01-31T23:59:00Z, or seconds since 1970"))
}

/// `2014-02-14T14:27:00Z`, read without detours: files have millions of them.
fn plain(text: &str) -> Option<Stamp> {
    let b = text.as_bytes();
    let is_plain =
        b.len() == 20 && b[4] == b'-' && b[7] == b'-' && b[10] == b'T' && b[13] == b':' && b[16] == b':';
    if !is_plain || b[19] != b'Z' {
        return None;
    }
    let number = |at: std::ops::Range<usize>| {
        b[at].iter().try_fold(0_i64, |n, d| d.is_ascii_digit().then(|| n * 10 + i64::from(d - b'0')))
    };
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let is_real =
        (1..=12).contains(&month) && (1..=28).contains(&day) && hour < 24 && minute < 60 && second < 60;
    if !is_real {
        return None;
    }
    // Days since 1970 by counting from March: https://howardhinnant.github.io/date_algorithms.html
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (y.div_euclid(400), y.rem_euclid(400));
    let days =
        era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + (153 * m + 2) / 5 + day - 1 - 719_468;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    Some(Stamp(seconds.checked_mul(SECOND)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_spelling() {
        for (text, seconds) in [
            ("2014-02-14T14:27:00Z", 1_392_388_020.0),
            ("2014-02-14 14:27:00", 1_392_388_020.0),
            ("2014-02-14T15:27:00+01:00", 1_392_388_020.0),
            ("2024-02-29T00:00:00Z", 1_709_164_800.0),
            ("2000-03-01T00:00:00Z", 951_868_800.0),
            ("1392388020", 1_392_388_020.0),
            ("1392388020.5", 1_392_388_020.5),
            ("1392388020500", 1_392_388_020.5),
        ] {
            assert_eq!(time(text).map(|s| s.seconds()), Ok(seconds), "{text}");
        }
        // A number of nanoseconds holds the years from 1678 to 2262.
        for text in
            ["", "soon", "2014-02-31T00:00:00Z", "1e300", "0001-01-01T00:00:00Z", "2300-01-01T00:00:00Z"]
        {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_day_is_read_as_the_library_reads_it() {
        for day in (-20_000..40_000).step_by(37) {
            let stamp = Stamp(day * 86_400 * SECOND + 3_723 * SECOND);
            assert_eq!(time(&stamp.to_string()), Ok(stamp));
        }
    }

    #[test]
    fn fields_may_be_quoted_and_columns_are_found_by_name_or_number() {
        assert_eq!(fields("a,\"b,\"\"c\"\"\",\r"), ["a", "b,\"c\"", ""]);
        let table = Table::parse(Path::new("x.csv"), "\u{feff}t, value\n1,2\n\n3,4\n".to_owned()).unwrap();
        assert_eq!(
            (table.time_column(), table.column("value"), table.column("2")),
            (Some(0), Some(1), Some(1))
        );
        assert_eq!((table.column("0"), table.column("none")), (None, None));
        let rows: Vec<_> = table.rows().map(|(n, f)| (n, f.join("|"))).collect();
        assert_eq!(rows, [(2, "1|2".to_owned()), (4, "3|4".to_owned())]);
        assert!(Table::parse(Path::new("x.csv"), "\n1,2".to_owned()).is_err());
    }
}
