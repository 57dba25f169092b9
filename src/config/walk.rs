//! Walks a parsed TOML table by hand: typed getters that say what is wrong, where, and what is allowed.
//!
//! A [`Walk`] is one table. Getters return `None` both for an absent key and for a wrong value; the wrong value has then been
//! reported, so that whoever reads goes on and finds the next mistake. It must not know what the keys mean.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnose::{At, Finding, Report};
use super::suggest::{nearest, one_of};
use super::value;
use crate::engine::moment::human;
use crate::engine::plan::Globs;

/// A value with its place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sp<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub at: At,
}

/// A string with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Text {
    /// After escapes.
    pub value: String,
    /// With its quotes.
    pub at: At,
    /// Offset in the file of the first byte within the quotes, when bytes of `value` and of the file match one to one.
    pub inner: Option<u32>,
}

impl Text {
    /// Bytes of the value as bytes of the file; the whole string when escapes forbid it.
    pub fn part(&self, bytes: std::ops::Range<usize>) -> At {
        let len = self.value.len();
        match self.inner {
            Some(first) => {
                let (start, end) = (bytes.start.min(len) as u32, bytes.end.min(len) as u32);
                At { file: self.at.file, start: first + start, end: first + end.max(start) }
            }
            None => self.at,
        }
    }
}

/// The keys of a table.
pub struct Keys {
    /// What may stand in it.
    pub known: &'static [&'static str],
    /// Keys of the full language that this version does not carry.
    pub later: &'static [&'static str],
    /// What to do instead of a key of `later`.
    pub instead: &'static str,
    /// Names people try, and what to write instead.
    pub renamed: &'static [(&'static str, &'static str)],
}

impl Keys {
    /// Only known keys.
    pub const fn of(known: &'static [&'static str]) -> Self {
        Self { known, later: &[], instead: LATER, renamed: &[] }
    }
}

/// What to do about a key that this version does not carry.
pub const LATER: &str = "take the key out; it is refused so that nobody relies on it";

/// Least and most that a value may be.
pub type Range = std::ops::RangeInclusive<i64>;

/// One table that is being read.
pub struct Walk<'t> {
    /// Its header or braces.
    pub at: At,
    /// How a message calls it, such as `[[rule]]`.
    pub what: String,
    items: &'t DeTable<'t>,
}

impl<'t> Walk<'t> {
    /// A table of a file.
    pub fn new(at: At, what: impl Into<String>, items: &'t DeTable<'t>) -> Self {
        Self { at, what: what.into(), items }
    }

    /// The same table under another name in messages.
    pub fn named(&self, what: &str) -> Walk<'t> {
        Walk { at: self.at, what: what.to_owned(), items: self.items }
    }

    /// Reports every key that does not belong here; `more` are known keys beside those of `keys`.
    pub fn check(&self, keys: &Keys, more: &[&'static str], report: &mut Report) {
        for key in self.items.keys() {
            let name: &str = key.get_ref();
            if keys.known.contains(&name) || more.contains(&name) {
                continue;
            }
            let at = At::new(self.at.file, key.span());
            let known = || keys.known.iter().chain(more).copied();
            report.add(if keys.later.contains(&name) {
                Finding::error(at, format!("`{name}` in {} is not supported in this version", self.what))
                    .help(keys.instead)
            } else if let Some((_, instead)) = keys.renamed.iter().find(|(old, _)| *old == name) {
                Finding::error(at, format!("unknown key `{name}` in {}", self.what))
                    .label(format!("write {instead}"))
            } else {
                let finding = Finding::error(at, format!("unknown key `{name}` in {}", self.what))
                    .help(format!("keys here: {}", listed(known())));
                match nearest(name, known()) {
                    Some(near) => finding.label(format!("did you mean `{near}`?")),
                    None => finding,
                }
            });
        }
    }

    /// Keys and values in the order written.
    pub fn entries(&self) -> Vec<(Text, &'t Spanned<DeValue<'t>>)> {
        let mut all: Vec<_> = self
            .items
            .iter()
            .map(|(k, v)| {
                let at = At::new(self.at.file, k.span());
                (Text { value: k.get_ref().to_string(), at, inner: None }, v)
            })
            .collect();
        all.sort_by_key(|(k, _)| k.at);
        all
    }

    /// The value of a key, whatever it is.
    pub fn get(&self, key: &str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.items.get(key)
    }

    /// True when the key stands here, right or wrong.
    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Where the key's name stands.
    pub fn key_at(&self, key: &str) -> At {
        self.items.get_key_value(key).map_or(self.at, |(k, _)| At::new(self.at.file, k.span()))
    }

    /// Where a value stands.
    pub fn at(&self, value: &Spanned<DeValue<'_>>) -> At {
        At::new(self.at.file, value.span())
    }

    /// Reports that a key is missing, unless it stands there misspelt, which has been reported.
    pub fn missing(&self, key: &'static str, help: &str, report: &mut Report) {
        if self.items.keys().any(|k| nearest(k.get_ref(), [key]).is_some()) {
            return;
        }
        report.add(Finding::error(self.at, format!("{} has no `{key}`", self.what)).help(help).absence());
    }

    fn wrong(
        &self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        wanted: &str,
        help: String,
        report: &mut Report,
    ) {
        let message = format!("`{key}` must be {wanted}, not {}", found(value.get_ref()));
        report.add(Finding::error(self.at(value), message).help(help));
    }

    /// A string.
    pub fn text(&self, key: &str, report: &mut Report) -> Option<Text> {
        let value = self.get(key)?;
        self.text_of(key, value, report)
    }

    /// `value` as a string; `key` names it in the message.
    pub fn text_of(&self, key: &str, value: &Spanned<DeValue<'_>>, report: &mut Report) -> Option<Text> {
        let DeValue::String(text) = value.get_ref() else {
            let help = match value.get_ref() {
                DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) => {
                    format!("put it in quotes: {key} = \"{}\"", plain(value.get_ref()))
                }
                _ => format!("write {key} = \"…\""),
            };
            self.wrong(key, value, "text in quotes", help, report);
            return None;
        };
        let at = self.at(value);
        let inner = report.sources.get(at.file as usize).and_then(|s| inner(&s.text, &value.span(), text));
        Some(Text { value: text.to_string(), at, inner })
    }

    /// A string that a function accepts.
    pub fn text_that<T>(
        &self,
        key: &str,
        accept: impl FnOnce(&str) -> Result<T, String>,
        report: &mut Report,
    ) -> Option<Sp<T>> {
        let text = self.text(key, report)?;
        match accept(&text.value) {
            Ok(value) => Some(Sp { value, at: text.at }),
            Err(why) => {
                let message = format!("`{key}`: {:?} {why}", shorten(&text.value));
                report.add(Finding::error(text.at, message));
                None
            }
        }
    }

    /// One word of a list.
    pub fn word<T: Copy>(
        &self,
        key: &str,
        words: &[(&'static str, T)],
        report: &mut Report,
    ) -> Option<Sp<T>> {
        let text = self.text(key, report)?;
        self.word_of(key, &text, words, report)
    }

    /// `text` as one word of a list.
    pub fn word_of<T: Copy>(
        &self,
        key: &str,
        text: &Text,
        words: &[(&'static str, T)],
        report: &mut Report,
    ) -> Option<Sp<T>> {
        if let Some((_, value)) = words.iter().find(|(w, _)| *w == text.value) {
            return Some(Sp { value: *value, at: text.at });
        }
        let names = || words.iter().map(|(w, _)| *w);
        let finding = Finding::error(text.at, format!("`{key}` cannot be {:?}", shorten(&text.value)))
            .help(format!("allowed: {}", one_of(names())));
        report.add(match nearest(&text.value, names()) {
            Some(near) => finding.label(format!("did you mean \"{near}\"?")),
            None => finding,
        });
        None
    }

    /// `true` or `false`.
    pub fn flag(&self, key: &str, report: &mut Report) -> Option<bool> {
        let value = self.get(key)?;
        if let DeValue::Boolean(flag) = value.get_ref() {
            return Some(*flag);
        }
        self.wrong(key, value, "true or false", format!("write {key} = true, without quotes"), report);
        None
    }

    /// A whole number in a range.
    pub fn int(&self, key: &str, range: Range, report: &mut Report) -> Option<Sp<i64>> {
        let value = self.get(key)?;
        let at = self.at(value);
        let number = match value.get_ref() {
            DeValue::Integer(n) => i64::from_str_radix(&n.as_str().replace('_', ""), n.radix()).ok(),
            _ => {
                let help = match value.get_ref() {
                    DeValue::String(t) if t.trim().parse().is_ok_and(|n| range.contains(&n)) => {
                        format!("write {key} = {}, without quotes", t.trim())
                    }
                    _ => format!("write a number from {} to {}, without quotes", range.start(), range.end()),
                };
                self.wrong(key, value, "a whole number", help, report);
                return None;
            }
        };
        match number.filter(|n| range.contains(n)) {
            Some(value) => Some(Sp { value, at }),
            None => {
                let allowed = format!("from {} to {}", range.start(), range.end());
                let message = format!("`{key}` is out of range: it goes {allowed}");
                report.add(Finding::error(at, message).label(allowed));
                None
            }
        }
    }

    /// A duration in nanoseconds, in a range.
    pub fn duration(&self, key: &str, range: Range, report: &mut Report) -> Option<Sp<i64>> {
        let value = self.get(key)?;
        if matches!(value.get_ref(), DeValue::Integer(_) | DeValue::Float(_)) {
            let help = format!("with its unit, in quotes: {key} = \"{}s\"", plain(value.get_ref()));
            self.wrong(key, value, "a duration such as \"10s\"", help, report);
            return None;
        }
        let parsed = self.text_that(key, value::duration, report)?;
        if range.contains(&parsed.value) {
            return Some(parsed);
        }
        let allowed = format!("from {} to {}", human(*range.start()), human(*range.end()));
        report.add(
            Finding::error(parsed.at, format!("`{key}` is out of range: it goes {allowed}")).label(allowed),
        );
        None
    }

    /// A ratio, from `"50%"` or 0.5.
    pub fn ratio(&self, key: &str, report: &mut Report) -> Option<Sp<f64>> {
        let value = self.get(key)?;
        let number = match value.get_ref() {
            DeValue::Float(f) => f.as_str().replace('_', "").parse::<f64>().ok(),
            DeValue::Integer(n) => n.as_str().parse().ok(),
            _ => return self.text_that(key, value::ratio, report),
        };
        match number.filter(|n| (0.0..=1.0).contains(n)) {
            Some(n) => Some(Sp { value: n, at: self.at(value) }),
            None => {
                let message = format!("`{key}` is a ratio: 0 to 1, or a percentage in quotes");
                report.add(Finding::error(self.at(value), message).help(format!("such as {key} = \"50%\"")));
                None
            }
        }
    }

    /// A list of strings; one string alone counts as a list of one.
    pub fn list(&self, key: &str, report: &mut Report) -> Option<Vec<Text>> {
        let value = self.get(key)?;
        self.list_of(key, value, report)
    }

    /// `value` as a list of strings.
    pub fn list_of(&self, key: &str, value: &Spanned<DeValue<'_>>, report: &mut Report) -> Option<Vec<Text>> {
        match value.get_ref() {
            DeValue::String(_) => Some(vec![self.text_of(key, value, report)?]),
            DeValue::Array(items) => {
                let texts: Vec<_> = items.iter().filter_map(|v| self.text_of(key, v, report)).collect();
                (texts.len() == items.len()).then_some(texts)
            }
            _ => {
                let help = format!("write {key} = [\"…\", \"…\"]");
                self.wrong(key, value, "a list of texts", help, report);
                None
            }
        }
    }

    /// `value` as a list of globs.
    pub fn globs_of(&self, key: &str, value: &Spanned<DeValue<'_>>, report: &mut Report) -> Option<Globs> {
        let texts = self.list_of(key, value, report)?;
        if texts.is_empty() {
            let finding = Finding::error(self.at(value), format!("`{key}` is an empty list"));
            report.add(finding.help("leave the key out to match everything"));
            return None;
        }
        let before = texts.len();
        let good: Vec<_> = texts
            .into_iter()
            .filter(|text| match value::glob(&text.value) {
                Ok(()) => true,
                Err(why) => {
                    let message = format!("`{key}`: the glob {:?} {why}", shorten(&text.value));
                    report.add(Finding::error(text.at, message));
                    false
                }
            })
            .collect();
        (good.len() == before).then(|| Globs(good.into_iter().map(|t| t.value).collect()))
    }

    /// A table.
    pub fn table(&self, key: &str, what: &str, report: &mut Report) -> Option<Walk<'t>> {
        let value = self.get(key)?;
        self.table_of(key, value, what, report)
    }

    /// `value` as a table.
    pub fn table_of(
        &self,
        key: &str,
        value: &'t Spanned<DeValue<'t>>,
        what: &str,
        report: &mut Report,
    ) -> Option<Walk<'t>> {
        let help = match value.get_ref() {
            DeValue::Table(items) => return Some(Walk::new(self.at(value), what, items)),
            DeValue::Array(_) if self.is_header(value, report) => {
                format!("write it once, with single brackets: [{key}]")
            }
            _ => format!("write {key} = {{ … }}"),
        };
        self.wrong(key, value, "a table", help, report);
        None
    }

    /// True when the value began with a line `[[…]]`.
    fn is_header(&self, value: &Spanned<DeValue<'_>>, report: &Report) -> bool {
        let text = report.sources.get(self.at.file as usize).map(|s| &s.text);
        text.and_then(|t| t.get(value.span())).is_some_and(|t| t.starts_with("[["))
    }

    /// A list of tables, `[[key]]`.
    pub fn tables(&self, key: &str, what: &str, report: &mut Report) -> Vec<Walk<'t>> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let DeValue::Array(items) = value.get_ref() else {
            let help = format!("begin each one with a line [[{key}]], in double brackets");
            self.wrong(key, value, "a list of tables", help, report);
            return Vec::new();
        };
        let mut walks = Vec::with_capacity(items.len());
        for item in items.iter() {
            match item.get_ref() {
                DeValue::Table(table) => walks.push(Walk::new(self.at(item), what, table)),
                _ => self.wrong(key, item, "a list of tables", format!("write {key} = [{{ … }}]"), report),
            }
        }
        walks
    }
}

/// Names as a list in a message, in lines that fit a terminal.
fn listed<'k>(names: impl Iterator<Item = &'k str>) -> String {
    const WIDTH: usize = 80;
    let (mut text, mut line) = (String::new(), 0);
    for name in names {
        let (gap, fresh) = match line {
            0 => ("", 0),
            n if n + name.len() > WIDTH => (",\n", 0),
            n => (", ", n),
        };
        text.push_str(gap);
        text.push_str(name);
        line = fresh + name.len() + 2;
    }
    text
}

/// A text in a message, not longer than a line.
pub fn shorten(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

fn found(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(_) => "text".to_owned(),
        DeValue::Integer(_) | DeValue::Float(_) => format!("the number {}", shorten(&plain(value))),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

fn plain(value: &DeValue<'_>) -> String {
    match value {
        DeValue::Integer(n) => n.to_string(),
        DeValue::Float(n) => n.to_string(),
        DeValue::Boolean(flag) => flag.to_string(),
        _ => String::new(),
    }
}

/// Offset of the first byte within the quotes when the string stands in the file as it is, without escapes.
fn inner(file: &str, span: &std::ops::Range<usize>, value: &str) -> Option<u32> {
    let raw = file.get(span.clone())?;
    let quotes = if raw.starts_with("\"\"\"") || raw.starts_with("'''") { 3 } else { 1 };
    let body = raw.get(quotes..raw.len().checked_sub(quotes)?)?;
    let newline = match body.get(..1) {
        Some("\n") if quotes == 3 => 1,
        Some("\r") if quotes == 3 => 2,
        _ => 0,
    };
    (body.get(newline..)? == value).then_some((span.start + quotes + newline) as u32)
}

#[cfg(test)]
mod tests {
    use super::super::source::{Role, Source};
    use super::*;

    /// Reads `x` from `text` with a getter and returns what it gave and what it said.
    fn read<T>(text: &str, get: impl FnOnce(&Walk<'_>, &mut Report) -> Option<T>) -> (Option<T>, String) {
        let table = DeTable::parse(text).unwrap();
        let mut report = Report::new(vec![Source::new(Role::Main, "f", text)]);
        let got = get(&Walk::new(At::new(0, 0..1), "[t]", table.get_ref()), &mut report);
        let said = match report.finish() {
            Ok(_) => String::new(),
            Err(all) => all.items.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
        };
        (got, said)
    }

    #[test]
    fn a_place_in_a_string_is_exact_unless_it_has_escapes() {
        for (text, part) in [
            ("x = \"abcdef\"", 7..9),
            ("x = 'abcdef'", 7..9),
            ("x = \"\"\"\nabcdef\"\"\"", 10..12),
            ("x = \"ab\\u0063def\"", 4..17),
        ] {
            let (got, _) = read(text, |w, r| w.text("x", r));
            let at = got.unwrap().part(2..4);
            assert_eq!((at.start..at.end), part, "{text}");
        }
    }

    #[test]
    fn wrong_types_say_what_to_write() {
        let (_, said) = read("x = 10", |w, r| w.duration("x", 0..=9, r));
        assert!(said.contains("x = \"10s\""), "{said}");
        let (_, said) = read("x = 'yes'", |w, r| w.flag("x", r));
        assert!(said.contains("write x = true"), "{said}");
        let (_, said) = read("x = 4", |w, r| w.int("x", 1..=3, r));
        assert!(said.contains("from 1 to 3"), "{said}");
        let (_, said) = read("x = 99999999999999999999", |w, r| w.int("x", 1..=3, r));
        assert!(said.contains("from 1 to 3"), "{said}");
        let (_, said) = read("x = 50", |w, r| w.ratio("x", r));
        assert!(said.contains("50%"), "{said}");
        let (_, said) = read("x = 'critcal'", |w, r| w.word("x", &[("critical", 1), ("info", 2)], r));
        assert!(said.contains("allowed: `critical` or `info`"), "{said}");
        let (_, said) = read("x = {}", |w, r| w.list("x", r));
        assert!(said.contains("list of texts"), "{said}");
    }

    #[test]
    fn numbers_in_other_bases_and_with_underscores_are_read() {
        assert_eq!(read("x = 0x10", |w, r| w.int("x", 0..=99, r)).0.unwrap().value, 16);
        assert_eq!(read("x = 1_0", |w, r| w.int("x", 0..=99, r)).0.unwrap().value, 10);
    }
}
