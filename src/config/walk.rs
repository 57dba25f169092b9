//! Walks a parsed TOML table by hand: typed getters that say what is wrong, where, and what is allowed.
//!
//! A [`Walk`] is one table. Getters return `None` both for an absent key and for a wrong value; the wrong
//! value has then been reported, so that whoever reads goes on and finds the next mistake. A table may lie
//! over another one (that of a template), which gives the keys that it has not; tables within are laid over
//! one another likewise. It must not know what the keys mean.

use toml::de::{DeTable, DeValue};

use super::diagnose::{At, Finding, Report};
use super::suggest::{names_a_secret, nearest};

mod key;
mod layers;
mod values;

pub use key::{Key, Keys, Kind, LATER};
pub use layers::Item;

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
    /// Offset in the file of the first byte within the quotes, when bytes of `value` and of the file match
    /// one to one.
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

/// Least and most that a value may be.
pub type Range = std::ops::RangeInclusive<i64>;

/// One table that is being read.
#[derive(Clone)]
pub struct Walk<'t> {
    /// Its header or braces.
    pub at: At,
    /// How a message calls it, such as `[[rule]]`.
    pub what: String,
    items: &'t DeTable<'t>,
    /// The table that gives what this one does not say.
    below: Option<Box<Walk<'t>>>,
}

impl<'t> Walk<'t> {
    /// A table of a file.
    pub fn new(at: At, what: impl Into<String>, items: &'t DeTable<'t>) -> Self {
        Self { at, what: what.into(), items, below: None }
    }

    /// The same table under another name in messages.
    pub fn named(&self, what: &str) -> Walk<'t> {
        Walk { at: self.at, what: what.to_owned(), items: self.items, below: self.below.clone() }
    }

    /// Reports every key that does not belong here; `more` are known keys beside those of `keys`. What lies
    /// below is checked where it was written.
    pub fn check(&self, keys: &Keys, more: &[&'static str], report: &mut Report) {
        for (key, value) in self.items {
            let name: &str = key.get_ref();
            if keys.names().any(|known| known == name) || more.contains(&name) {
                continue;
            }
            if names_a_secret(name) {
                report.secret(self.own(value).at());
            }
            let at = At::new(self.at.file, key.span());
            let known = || keys.names().chain(more.iter().copied());
            report.add(if keys.later.contains(&name) {
                Finding::error(at, format!("`{name}` in {} is not supported in this version", self.what))
                    .help(keys.instead)
            } else if let Some((_, instead)) = keys.renamed.iter().find(|(old, _)| *old == name) {
                Finding::error(at, format!("unknown key `{name}` in {}", self.what)).label(
                    match instead.contains(' ') {
                        true => format!("write {instead}"),
                        false => format!("write `{instead}`"),
                    },
                )
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

    /// As [`Walk::check`], without listing keys: only what people write instead of one.
    pub fn check_quietly(&self, keys: &Keys, more: &[&'static str], report: &mut Report) {
        let is_foreign =
            |name: &str| keys.renamed.iter().any(|(old, _)| *old == name) && !more.contains(&name);
        for (key, value) in self.items.iter().filter(|(key, _)| is_foreign(key.get_ref())) {
            let one = DeTable::from_iter([(key.clone(), value.clone())]);
            Walk::new(self.at, self.what.clone(), &one).check(keys, more, report);
        }
    }

    /// The value of a key, whatever it is.
    pub fn get(&self, key: &str) -> Option<Item<'t>> {
        self.find(key).map(|(owner, _, value)| owner.own(value))
    }

    /// True when the key stands here, right or wrong.
    pub fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// Where the key's name stands.
    pub fn key_at(&self, key: &str) -> At {
        self.find(key).map_or(self.at, |(owner, key, _)| At::new(owner.at.file, key.span()))
    }

    /// Where a value stands.
    pub fn at(&self, value: Item<'_>) -> At {
        value.at()
    }

    /// Reports that a key is missing, unless it stands there misspelt, which has been reported.
    pub fn missing(&self, key: &'static str, help: &str, report: &mut Report) {
        if self.entries().iter().any(|(k, _)| nearest(&k.value, [key]).is_some()) {
            return;
        }
        report.add(Finding::error(self.at, format!("{} has no `{key}`", self.what)).help(help).absence());
    }

    /// As [`Walk::missing`], and silent too when another name for the key stands there, which has been
    /// reported.
    pub fn missing_of(&self, keys: &Keys, key: &'static str, help: &str, report: &mut Report) {
        let is_it = |name: &str| keys.renamed.iter().any(|(old, new)| *old == name && *new == key);
        if !self.entries().iter().any(|(k, _)| is_it(&k.value)) {
            self.missing(key, help, report);
        }
    }

    fn wrong(&self, key: &str, value: Item<'_>, wanted: &str, help: String, report: &mut Report) {
        let message = format!("`{key}` must be {wanted}, not {}", found(value.get_ref()));
        report.add(Finding::error(self.at(value), message).help(help));
    }

    /// `value` as a table.
    pub fn table_of(&self, key: &str, value: Item<'t>, what: &str, report: &mut Report) -> Option<Walk<'t>> {
        let help = match value.get_ref() {
            DeValue::Table(items) => return Some(Walk::new(self.at(value), what, items)),
            DeValue::Array(_) if self.is_header(value, report) => {
                format!("write it once, with single brackets: [{key}]")
            }
            // What a whole list of globs is meant for is known to whoever knows the class.
            _ if key == "match" => format!("say of which label: {key} = {{ mount = \"/data*\" }}"),
            _ => format!("write {key} = {{ … }}"),
        };
        self.wrong(key, value, "a table", help, report);
        None
    }

    /// True when the value began with a line `[[…]]`.
    fn is_header(&self, value: Item<'_>, report: &Report) -> bool {
        let text = report.sources.get(value.at().file as usize).map(|s| &s.text);
        text.and_then(|t| t.get(value.span())).is_some_and(|t| t.starts_with("[["))
    }

    /// A list of tables, `[[key]]`.
    pub fn tables(&self, key: &str, what: &str, report: &mut Report) -> Vec<Walk<'t>> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let DeValue::Array(items) = value.get_ref() else {
            let help = match key {
                "step" => {
                    "steps are severities: step = [{ severity = \"warning\", raise = \"…\" }]; how often \
                           a rule is judged is `every`"
                        .to_owned()
                }
                _ => format!("begin each one with a line [[{key}]], in double brackets"),
            };
            self.wrong(key, value, "a list of tables", help, report);
            return Vec::new();
        };
        let mut walks = Vec::with_capacity(items.len());
        for item in items.iter().map(|v| value.within(v)) {
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

#[cfg(test)]
mod tests;
