//! The small languages inside strings: durations, sizes, ratios, paces, ids, globs.
//!
//! Each function returns the value or what is wrong with it, as the end of a sentence that begins with the
//! text itself.

use crate::engine::moment::{DAY, HOUR, MINUTE, SECOND};

/// Longest duration that can be written: about ten years.
pub const LONGEST: i64 = 3_660 * DAY;
/// Longest id or name, in bytes.
pub const LONGEST_ID: usize = 64;

/// What [`id`] accepts, as a regular expression.
pub const ID: &str = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$";
/// What [`ident`] accepts, as a regular expression.
pub const IDENT: &str = "^[A-Za-z][A-Za-z0-9_-]{0,63}$";
/// What [`category`] accepts, as a regular expression, length aside.
pub const CATEGORY: &str = "^[a-z0-9-]+/[a-z0-9-]+$";
/// What [`glob`] accepts, as a regular expression, length aside.
pub const GLOB: &str = r"^([^\[{!][^\[{]*|![^\[{]+)$";
/// What [`pace`] accepts, as a regular expression, range aside.
pub const PACE: &str = r"^\s*[0-9.]+([eE][+-]?[0-9]+)?\s*/\s*[smh]\s*$";

/// What [`duration`] accepts, as a regular expression, range aside.
pub fn duration_form() -> String {
    let units = units(TIME_UNITS.iter().map(|(name, _)| *name));
    format!(r"^\s*(0+(\.0+)?|({NUMBER}\s*({units})\s*)+)\s*$")
}

/// What [`size`] accepts, as a regular expression, range aside.
pub fn size_form() -> String {
    format!(r"^\s*{NUMBER}\s*({})\s*$", units(SIZE_UNITS.iter().map(|(name, _)| *name)))
}

/// What [`ratio`] accepts, as a regular expression, range aside.
pub fn ratio_form() -> String {
    format!(r"^\s*{NUMBER}\s*%?\s*$")
}

/// A number without a sign, as a regular expression.
const NUMBER: &str = r"([0-9]+(\.[0-9]*)?|\.[0-9]+)";

fn units(names: impl Iterator<Item = &'static str>) -> String {
    names.collect::<Vec<_>>().join("|")
}

const TIME_UNITS: &[(&str, f64)] = &[
    ("ms", 1e6),
    ("s", SECOND as f64),
    ("m", MINUTE as f64),
    ("h", HOUR as f64),
    ("d", DAY as f64),
    ("w", 7.0 * DAY as f64),
];

const SIZE_UNITS: &[(&str, f64)] = &[
    ("B", 1.0),
    ("kB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("TB", 1e12),
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
    ("TiB", 1_099_511_627_776.0),
];

/// A duration in nanoseconds: `10s`, `1h 30m`, `1.5h`.
///
/// # Errors
/// What is wrong with it, as the end of a sentence that begins with the text.
pub fn duration(text: &str) -> Result<i64, String> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err("is empty; a duration is a number with a unit, such as \"10s\" or \"1h 30m\"".to_owned());
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let (amount, unit, after) = quantity(rest)?;
        let factor = TIME_UNITS.iter().find(|(name, _)| *name == unit).map(|(_, f)| *f);
        total += match (factor, unit) {
            (Some(factor), _) => amount * factor,
            (None, "") if amount == 0.0 => 0.0,
            (None, "") => return Err("has no unit; units are ms, s, m (minutes), h, d and w".to_owned()),
            (None, _) => {
                return Err(format!(
                    "has an unknown unit `{unit}`; units are ms, s, m (minutes), h, d and w"
                ));
            }
        };
        rest = after.trim_start();
    }
    if total > LONGEST as f64 {
        return Err("is too long; at most ten years (3660d)".to_owned());
    }
    Ok(total.round() as i64)
}

/// A size in bytes: `128MiB`, `1.5GB`.
pub fn size(text: &str) -> Result<u64, String> {
    let (amount, unit, after) = quantity(text.trim())?;
    let factor = SIZE_UNITS.iter().find(|(name, _)| *name == unit).map(|(_, f)| *f);
    match factor {
        _ if !after.is_empty() => Err(format!("has `{after}` after its unit")),
        Some(factor) if amount * factor < 9e18 => Ok((amount * factor).round() as u64),
        Some(_) => Err("is too large".to_owned()),
        None if unit.is_empty() => {
            Err("has no unit; units are B, kB, MB, GB, TB, KiB, MiB, GiB and TiB".to_owned())
        }
        None => {
            Err(format!("has an unknown unit `{unit}`; units are B, kB, MB, GB, TB, KiB, MiB, GiB and TiB"))
        }
    }
}

/// A ratio 0..1 from `50%` or `0.5`.
pub fn ratio(text: &str) -> Result<f64, String> {
    let (amount, unit, after) = quantity(text.trim())?;
    let value = match unit {
        "%" if after.is_empty() => amount / 100.0,
        "" if after.is_empty() => amount,
        _ => return Err("is no ratio; write \"50%\" or 0.5".to_owned()),
    };
    if value <= 1.0 { Ok(value) } else { Err("is more than 100%".to_owned()) }
}

/// Operations per second from `5/s`, `100/m`, `1000/h`.
pub fn pace(text: &str) -> Result<f64, String> {
    const FORM: &str = "is no pace; write a number per time, such as \"5/s\", \"100/m\" or \"1000/h\"";
    let (number, unit) = text.split_once('/').ok_or(FORM)?;
    let per: f64 = match unit.trim() {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(FORM.to_owned()),
    };
    match number.trim().parse::<f64>() {
        Ok(n) if n > 0.0 && n <= 1e6 => Ok(n / per),
        Ok(_) => Err("must be more than 0 and at most 1000000; leave the key out for no limit".to_owned()),
        Err(_) => Err(FORM.to_owned()),
    }
}

/// An id: letters, digits, `-`, `_` and `.`, beginning with a letter or digit.
pub fn id(text: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if text.is_empty() {
        Err("is empty".to_owned())
    } else if text.len() > LONGEST_ID {
        Err(format!("is longer than {LONGEST_ID} characters"))
    } else if let Some(c) = text.chars().find(|c| !allowed(*c)) {
        Err(format!("has the character {c:?}; an id has letters, digits, `-`, `_` and `.`"))
    } else if text.starts_with(|c: char| !c.is_ascii_alphanumeric()) {
        Err("begins with a sign; an id begins with a letter or a digit".to_owned())
    } else {
        Ok(())
    }
}

/// A name in the condition language: a letter, then letters, digits, `_` and `-`.
pub fn ident(text: &str) -> Result<(), String> {
    let first = text.chars().next().is_some_and(|c| c.is_ascii_alphabetic());
    let rest = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    match first && rest && text.len() <= LONGEST_ID {
        true => Ok(()),
        false => Err("is no name; a name has a letter, then letters, digits, `_` and `-`".to_owned()),
    }
}

/// `area/topic`, lower case.
pub fn category(text: &str) -> Result<(), String> {
    let word = |w: &str| {
        !w.is_empty() && w.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    match text.split_once('/') {
        Some((area, topic)) if word(area) && word(topic) && text.len() <= LONGEST_ID => Ok(()),
        _ => Err("is no category; write area/topic in lower case, such as \"storage/filesystem\"".to_owned()),
    }
}

/// A glob: any text, `*` for any run, `?` for one character, `!` in front to exclude.
pub fn glob(text: &str) -> Result<(), String> {
    match text {
        "" => Err("is empty and matches nothing; `*` matches everything".to_owned()),
        "!" => Err("excludes nothing; write what follows the `!`".to_owned()),
        _ if text.contains(['[', '{']) => {
            Err("has `[` or `{`; only `*` (any run) and `?` (one character) are special".to_owned())
        }
        _ if text.len() > 4096 => Err("is longer than 4096 characters".to_owned()),
        _ => Ok(()),
    }
}

/// Splits `1.5h 30m` into 1.5, `h` and ` 30m`.
fn quantity(text: &str) -> Result<(f64, &str, &str), String> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    let amount: f64 = number.parse().map_err(|_| match text.chars().next() {
        Some('-') => "is negative".to_owned(),
        Some(c) => format!("has {c:?} where a number should be"),
        None => "is empty".to_owned(),
    })?;
    let rest = rest.trim_start();
    let end = rest.find(|c: char| !c.is_ascii_alphabetic() && c != '%' && c != 'µ').unwrap_or(rest.len());
    let (unit, after) = rest.split_at(end);
    Ok((amount, unit, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, ns) in [
            ("10s", 10 * SECOND),
            ("250ms", SECOND / 4),
            ("1h 30m", 90 * MINUTE),
            ("1h30m", 90 * MINUTE),
            ("1.5h", 90 * MINUTE),
            ("2w", 14 * DAY),
            (" 5m ", 5 * MINUTE),
            ("0", 0),
            ("0s", 0),
        ] {
            assert_eq!(duration(text), Ok(ns), "{text}");
        }
        for (text, why) in [
            ("10", "no unit"),
            ("10 min", "unknown unit `min`"),
            ("", "empty"),
            ("soon", "'s' where a number"),
            ("-5s", "negative"),
            ("1.2.3s", "where a number"),
            ("99999999d", "too long"),
            ("5s,", "',' where a number"),
        ] {
            let error = duration(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn sizes_ratios_paces() {
        assert_eq!(size("128MiB"), Ok(128 << 20));
        assert_eq!(size("1.5 kB"), Ok(1500));
        assert!(size("128").unwrap_err().contains("no unit"));
        assert!(size("128MIB").unwrap_err().contains("`MIB`"));
        assert!(size("99999999TiB").unwrap_err().contains("too large"));
        assert_eq!(ratio("50%"), Ok(0.5));
        assert_eq!(ratio("0.25"), Ok(0.25));
        assert!(ratio("120%").is_err());
        assert_eq!(pace("5/s"), Ok(5.0));
        assert_eq!(pace("30/m"), Ok(0.5));
        assert!(pace("5").is_err());
        assert!(pace("0/s").is_err());
        assert!(pace("nan/s").is_err());
    }

    #[test]
    fn ids_names_categories_globs() {
        assert!(id("disk-full.v2").is_ok());
        for bad in ["", "-x", "a b", "é", &"x".repeat(65)] {
            assert!(id(bad).is_err(), "{bad}");
        }
        assert!(ident("left").is_ok());
        assert!(ident("fs.used").is_err());
        assert!(category("storage/filesystem").is_ok());
        assert!(category("Storage").is_err());
        assert!(glob("/data*").is_ok());
        assert!(glob("[ab]").is_err());
    }
}
