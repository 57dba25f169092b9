//! Text to tokens, each with the bytes it came from.
//!
//! A number carries its unit from here on: no space stands between the two, and `/s`, `/m`, `/h` make it a
//! quantity per second. A `-` inside a name belongs to the name. Any input gives tokens or an error, never a
//! panic.

use std::ops::Range;

use super::CondError;
use crate::engine::signal::{Base, Type};

/// A token and its bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Where it stands.
    pub span: Range<usize>,
}

/// The kinds of token.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A literal in base units (ratio 0..1, seconds, bytes) with its type.
    Number(f64, Type),
    /// A string without its quotes.
    Text(String),
    /// A word: keyword, function or dotted name.
    Name(String),
    /// An operator or bracket.
    Sign(&'static str),
    /// The end of the source.
    End,
}

/// Units: name, what one of them is in the base unit, the type.
const UNITS: &[(&str, f64, Base)] = &[
    ("%", 0.01, Base::Ratio),
    ("ns", 1e-9, Base::Seconds),
    ("us", 1e-6, Base::Seconds),
    ("ms", 1e-3, Base::Seconds),
    ("s", 1.0, Base::Seconds),
    ("m", 60.0, Base::Seconds),
    ("h", 3600.0, Base::Seconds),
    ("d", 86400.0, Base::Seconds),
    ("w", 604_800.0, Base::Seconds),
    ("B", 1.0, Base::Bytes),
    ("kB", 1e3, Base::Bytes),
    ("MB", 1e6, Base::Bytes),
    ("GB", 1e9, Base::Bytes),
    ("TB", 1e12, Base::Bytes),
    ("KiB", 1024.0, Base::Bytes),
    ("MiB", 1_048_576.0, Base::Bytes),
    ("GiB", 1_073_741_824.0, Base::Bytes),
    ("TiB", 1_099_511_627_776.0, Base::Bytes),
];

/// What people write instead of a unit, and the unit.
const SLIPS: &[(&str, &str)] = &[
    ("min", "m"),
    ("mins", "m"),
    ("minute", "m"),
    ("minutes", "m"),
    ("sec", "s"),
    ("secs", "s"),
    ("seconds", "s"),
    ("hr", "h"),
    ("hour", "h"),
    ("hours", "h"),
    ("day", "d"),
    ("days", "d"),
    ("week", "w"),
    ("weeks", "w"),
    ("b", "B"),
    ("kb", "kB"),
    ("KB", "kB"),
    ("k", "kB"),
    ("K", "KiB"),
    ("Ki", "KiB"),
    ("mb", "MB"),
    ("M", "MB"),
    ("Mi", "MiB"),
    ("gb", "GB"),
    ("G", "GB"),
    ("g", "GB"),
    ("Gi", "GiB"),
    ("tb", "TB"),
    ("T", "TB"),
    ("Ti", "TiB"),
    ("percent", "%"),
    ("pct", "%"),
];

/// Two-byte signs first, so that the longest match wins.
const SIGNS: &[&str] = &["<=", ">=", "==", "!=", "<", ">", "+", "-", "*", "/", "(", ")", "[", "]", ","];

/// Signs of other languages, and what is meant here.
const FOREIGN: &[(&str, &str)] = &[
    ("&&", "write `and`"),
    ("||", "write `or`"),
    ("&", "write `and`"),
    ("|", "write `or`"),
    ("=", "write `==` to compare"),
    ("!", "write `not`"),
    ("\"", "strings stand in single quotes: 'failed'"),
    ("\u{201c}", "strings stand in plain single quotes: 'failed'"),
    ("\u{201d}", "strings stand in plain single quotes: 'failed'"),
    ("\u{2018}", "strings stand in plain single quotes: 'failed'"),
    ("\u{2019}", "strings stand in plain single quotes: 'failed'"),
    ("%", "`%` belongs directly behind a number: 90%"),
    ("$", "there are no variables: write the value, or name an expression by `let`"),
    ("?", "there is no `?:`: write if(condition, a, b)"),
    ("{", "labels are chosen by `match` in the rule, not in the condition"),
];

/// All tokens, the last one being [`Kind::End`].
///
/// # Errors
/// The first thing that is no token.
pub fn tokens(source: &str) -> Result<Vec<Token>, CondError> {
    let mut lexer = Lexer { source, at: 0 };
    let mut all = Vec::new();
    loop {
        let token = lexer.next()?;
        let end = token.kind == Kind::End;
        all.push(token);
        if end {
            return Ok(all);
        }
    }
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.source.get(self.at..).unwrap_or("")
    }

    /// Moves over all characters that `keep` accepts and returns them.
    fn take(&mut self, keep: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let len = rest.find(|c| !keep(c)).unwrap_or(rest.len());
        self.at += len;
        &rest[..len]
    }

    fn next(&mut self) -> Result<Token, CondError> {
        self.take(char::is_whitespace);
        let start = self.at;
        let Some(first) = self.rest().chars().next() else {
            return Ok(Token { kind: Kind::End, span: start..start });
        };
        let kind = match first {
            '0'..='9' => self.number()?,
            'a'..='z' | 'A'..='Z' => self.name()?,
            '\'' => self.text()?,
            _ => match SIGNS.iter().find(|s| self.rest().starts_with(**s)) {
                Some(sign) => {
                    self.at += sign.len();
                    Kind::Sign(sign)
                }
                None => return Err(self.stranger(first)),
            },
        };
        Ok(Token { kind, span: start..self.at })
    }

    fn stranger(&self, first: char) -> CondError {
        let foreign = FOREIGN.iter().find(|(sign, _)| self.rest().starts_with(sign));
        let len = foreign.map_or(first.len_utf8(), |(sign, _)| sign.len());
        let sign = &self.rest()[..len];
        let shown: String = match sign {
            "\"" => sign.to_owned(),
            _ => sign.escape_debug().collect(),
        };
        let error = CondError::new(self.at..self.at + len, format!("`{shown}` has no meaning here"));
        match foreign {
            Some((_, help)) => error.help(*help),
            None => error,
        }
    }

    fn name(&mut self) -> Result<Kind, CondError> {
        let start = self.at;
        loop {
            self.take(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
            let mut ahead = self.rest().chars();
            if ahead.next() != Some('.') {
                return Ok(Kind::Name(self.source[start..self.at].to_owned()));
            }
            if !ahead.next().is_some_and(|c| c.is_ascii_alphabetic()) {
                return Err(CondError::new(self.at..self.at + 1, "a letter must follow the dot in a name"));
            }
            self.at += 1;
        }
    }

    fn text(&mut self) -> Result<Kind, CondError> {
        let start = self.at;
        self.at += 1;
        let text = self.take(|c| c != '\'').to_owned();
        if self.rest().is_empty() {
            return Err(CondError::new(start..self.at, "this string is not closed").help("end it with '"));
        }
        self.at += 1;
        Ok(Kind::Text(text))
    }

    fn number(&mut self) -> Result<Kind, CondError> {
        let start = self.at;
        self.take(|c| c.is_ascii_digit());
        if self.rest().starts_with('.') {
            self.at += 1;
            if self.take(|c| c.is_ascii_digit()).is_empty() {
                return Err(CondError::new(start..self.at, "a digit must follow the decimal point"));
            }
        }
        self.exponent();
        let digits = &self.source[start..self.at];
        let unit_at = self.at;
        let unit = if self.rest().starts_with('%') {
            self.at += 1;
            "%"
        } else {
            self.take(|c| c.is_alphanumeric() || c == '_')
        };
        let (factor, base) = match UNITS.iter().find(|(name, ..)| *name == unit) {
            Some((_, factor, base)) => (*factor, *base),
            None if unit.is_empty() => (1.0, Base::Number),
            None => return Err(unknown_unit(unit_at..self.at, digits, unit)),
        };
        let per = self.per();
        // Division keeps 7 % the very number that 0.07 is; 7 × 0.01 is not.
        let number: f64 = digits.parse().unwrap_or(f64::INFINITY);
        let value = if unit == "%" { number / 100.0 } else { number * factor } / per.unwrap_or(1.0);
        if !value.is_finite() {
            return Err(CondError::new(start..self.at, "this number is too large"));
        }
        Ok(Kind::Number(value, Type { base, per_second: per.is_some() }))
    }

    fn exponent(&mut self) {
        let rest = self.rest().as_bytes();
        let sign = usize::from(matches!(rest.get(1), Some(b'+' | b'-')));
        if matches!(rest.first(), Some(b'e' | b'E')) && rest.get(1 + sign).is_some_and(u8::is_ascii_digit) {
            self.at += 1 + sign;
            self.take(|c| c.is_ascii_digit());
        }
    }

    /// `/s`, `/m` or `/h` directly behind a number: the seconds to divide by.
    fn per(&mut self) -> Option<f64> {
        let rest = self.rest().as_bytes();
        let seconds = match (rest.first(), rest.get(1)) {
            (Some(b'/'), Some(b's')) => 1.0,
            (Some(b'/'), Some(b'm')) => 60.0,
            (Some(b'/'), Some(b'h')) => 3600.0,
            _ => return None,
        };
        if rest.get(2).is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b'.')) {
            return None;
        }
        self.at += 2;
        Some(seconds)
    }
}

fn unknown_unit(span: Range<usize>, digits: &str, unit: &str) -> CondError {
    let error = CondError::new(span, format!("`{unit}` is not a unit"));
    match SLIPS.iter().find(|(slip, _)| *slip == unit) {
        Some((_, meant)) => error.help(format!("write {digits}{meant}")),
        None => {
            let names: Vec<_> = UNITS.iter().map(|(name, ..)| *name).collect();
            error.help(format!("units are {}", names.join(" ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(source: &str) -> Kind {
        tokens(source).unwrap().remove(0).kind
    }

    #[test]
    fn numbers_carry_their_unit() {
        for (source, value, ty) in [
            ("85%", 0.85, Type::of(Base::Ratio)),
            ("7%", 0.07, Type::of(Base::Ratio)),
            ("1.5h", 5400.0, Type::of(Base::Seconds)),
            ("800ms", 0.8, Type::of(Base::Seconds)),
            ("4MiB/s", 4_194_304.0, Type::per_second(Base::Bytes)),
            ("6/m", 0.1, Type::per_second(Base::Number)),
            ("2e3", 2000.0, Type::of(Base::Number)),
            ("2e-3s", 0.002, Type::of(Base::Seconds)),
        ] {
            assert_eq!(one(source), Kind::Number(value, ty), "{source}");
        }
    }

    #[test]
    fn a_slash_before_a_name_divides() {
        assert_eq!(tokens("6/mem.total").unwrap().len(), 4);
    }

    #[test]
    fn a_minus_binds_to_the_name() {
        assert_eq!(one("a-b.c-d - 1"), Kind::Name("a-b.c-d".into()));
    }
}
