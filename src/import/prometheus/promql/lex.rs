//! PromQL to tokens.

use std::ops::Range;

use super::Wrong;
use crate::engine::moment::{DAY, HOUR, MINUTE, SECOND};

/// A token and its bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Where.
    pub span: Range<usize>,
}

/// The kinds of token.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A number.
    Number(f64),
    /// `5m`, in nanoseconds.
    Duration(i64),
    /// A quoted text.
    Text(String),
    /// A name or keyword.
    Name(String),
    /// An operator or bracket.
    Sign(&'static str),
    /// The end.
    End,
}

/// Longest first.
const SIGNS: &[&str] = &[
    "=~", "!~", "==", "!=", "<=", ">=", "<", ">", "=", "+", "-", "*", "/", "%", "^", "(", ")", "{", "}", "[",
    "]", ",", ":", "@",
];

/// All tokens, the last being [`Kind::End`].
pub fn tokens(source: &str) -> Result<Vec<Token>, Wrong> {
    let mut all = Vec::new();
    let mut at = 0;
    // A colon begins the step of a subquery within brackets, and belongs to a name elsewhere.
    let mut in_range = false;
    loop {
        at += blank(&source[at..]);
        let Some(first) = source[at..].chars().next() else {
            all.push(Token { kind: Kind::End, span: at..at });
            return Ok(all);
        };
        let rest = &source[at..];
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || (c == ':' && !in_range);
        let (kind, len) = match first {
            '"' | '\'' | '`' => text(rest, first, at)?,
            '0'..='9' | '.' => numeric(rest, at)?,
            c if c.is_ascii_alphabetic() || c == '_' || (c == ':' && !in_range) => {
                let len = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
                (Kind::Name(rest[..len].to_owned()), len)
            }
            _ => match SIGNS.iter().find(|s| rest.starts_with(**s)) {
                Some(sign) => (Kind::Sign(sign), sign.len()),
                None => return Err(Wrong { at, why: format!("{first:?} has no meaning in PromQL") }),
            },
        };
        match kind {
            Kind::Sign("[") => in_range = true,
            Kind::Sign("]") => in_range = false,
            _ => {}
        }
        all.push(Token { kind, span: at..at + len });
        at += len;
    }
}

/// Length of blanks and comments.
fn blank(rest: &str) -> usize {
    let mut at = 0;
    loop {
        at += rest[at..].len() - rest[at..].trim_start().len();
        if !rest[at..].starts_with('#') {
            return at;
        }
        at += rest[at..].find('\n').unwrap_or(rest.len() - at);
    }
}

fn text(rest: &str, quote: char, at: usize) -> Result<(Kind, usize), Wrong> {
    let mut out = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((i, c)) = chars.next() {
        match c {
            c if c == quote => return Ok((Kind::Text(out), i + 1)),
            '\\' if quote != '`' => match chars.next() {
                Some((_, 'n')) => out.push('\n'),
                Some((_, 't')) => out.push('\t'),
                Some((_, c)) => out.push(c),
                None => break,
            },
            c => out.push(c),
        }
    }
    Err(Wrong { at, why: "this text is not closed".to_owned() })
}

fn numeric(rest: &str, at: usize) -> Result<(Kind, usize), Wrong> {
    if let Some(hex) = rest.strip_prefix("0x") {
        let len = hex.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(hex.len());
        let value = u64::from_str_radix(&hex[..len], 16);
        return value
            .map(|v| (Kind::Number(v as f64), len + 2))
            .map_err(|_| Wrong { at, why: "is no number".to_owned() });
    }
    let mut len = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_').unwrap_or(rest.len());
    let bytes = rest.as_bytes();
    let is_digit = |i: usize| bytes.get(i).is_some_and(u8::is_ascii_digit);
    if matches!(bytes.get(len), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(len + 1), Some(b'+' | b'-')));
        if is_digit(len + 1 + sign) {
            len += 1 + sign;
            len += rest[len..].find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len() - len);
        }
    }
    if matches!(bytes.get(len), Some(b'a'..=b'z')) {
        return duration(rest, at);
    }
    let value = rest[..len].replace('_', "").parse::<f64>();
    value.map(|v| (Kind::Number(v), len)).map_err(|_| Wrong { at, why: "is no number".to_owned() })
}

fn duration(rest: &str, at: usize) -> Result<(Kind, usize), Wrong> {
    let wrong = || Wrong { at, why: "is no duration: 5m, 1h30m".to_owned() };
    let (mut total, mut len) = (0.0_f64, 0);
    while rest[len..].starts_with(|c: char| c.is_ascii_digit()) {
        let part = &rest[len..];
        let digits = part.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let letters = part[digits..].find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(part.len() - digits);
        let unit = match &part[digits..digits + letters] {
            "ms" => SECOND / 1000,
            "s" => SECOND,
            "m" => MINUTE,
            "h" => HOUR,
            "d" => DAY,
            "w" => 7 * DAY,
            "y" => 365 * DAY,
            _ => return Err(wrong()),
        };
        total += part[..digits].parse::<f64>().map_err(|_| wrong())? * unit as f64;
        len += digits + letters;
    }
    if total > 0.0 && total < 9e18 || len > 0 && total == 0.0 {
        Ok((Kind::Duration(total as i64), len))
    } else {
        Err(wrong())
    }
}

/// A duration as rule files write it, in nanoseconds.
pub fn plain_duration(text: &str) -> Option<i64> {
    let text = text.trim();
    if text == "0" {
        return Some(0);
    }
    match duration(text, 0) {
        Ok((Kind::Duration(ns), len)) if len == text.len() => Some(ns),
        _ => None,
    }
}
