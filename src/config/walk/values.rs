//! Getters of values: texts, words, numbers, durations, lists. What they say of a wrong one names what to
//! write.

use toml::de::DeValue;

use super::{Item, Range, Sp, Text, Walk, plain, shorten};
use crate::config::diagnose::{Finding, Report};
use crate::config::suggest::{nearest, one_of};
use crate::config::value;
use crate::engine::moment::human;
use crate::engine::plan::Globs;

impl Walk<'_> {
    /// A string.
    pub fn text(&self, key: &str, report: &mut Report) -> Option<Text> {
        let value = self.get(key)?;
        self.text_of(key, value, report)
    }

    /// `value` as a string; `key` names it in the message.
    pub fn text_of(&self, key: &str, value: Item<'_>, report: &mut Report) -> Option<Text> {
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
        let is_off = match value.get_ref() {
            DeValue::String(text) => {
                ["false", "no", "off", "0", "disabled"].contains(&text.trim().to_lowercase().as_str())
            }
            DeValue::Integer(n) => n.as_str() == "0",
            _ => false,
        };
        let help = format!("write {key} = {}, without quotes", !is_off);
        self.wrong(key, value, "true or false", help, report);
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
    pub fn list_of(&self, key: &str, value: Item<'_>, report: &mut Report) -> Option<Vec<Text>> {
        match value.get_ref() {
            DeValue::String(_) => Some(vec![self.text_of(key, value, report)?]),
            DeValue::Array(items) => {
                let texts: Vec<_> =
                    items.iter().filter_map(|v| self.text_of(key, value.within(v), report)).collect();
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
    pub fn globs_of(&self, key: &str, value: Item<'_>, report: &mut Report) -> Option<Globs> {
        let texts = self.list_of(key, value, report)?;
        if texts.is_empty() {
            let finding = Finding::error(self.at(value), format!("`{key}` is an empty list"));
            report.add(finding.help("leave the key out to match everything"));
            return None;
        }
        for text in texts.iter().filter(|text| is_expression(&text.value)) {
            let message = format!("`{key}`: {:?} looks like a regular expression", shorten(&text.value));
            report.add(Finding::warning(text.at, message).help(GLOBS));
        }
        let ends_in_slash = |text: &&Text| text.value.len() > 2 && text.value.ends_with('/');
        for text in texts.iter().filter(|_| key == "mount").filter(ends_in_slash) {
            let finding = Finding::warning(text.at, "`mount`: no mount ends in `/`");
            let path = text.value.trim_end_matches('/');
            report.add(finding.label("matches nothing").help(format!("write \"{}\"", shorten(path))));
        }
        let before = texts.len();
        let good: Vec<_> = texts
            .into_iter()
            .filter(|text| match value::glob(&text.value) {
                Ok(()) => true,
                Err(why) => {
                    let message = format!("`{key}`: the glob {:?} {why}", shorten(&text.value));
                    let finding = Finding::error(text.at, message);
                    report.add(if text.value.contains(['[', '{']) { finding.help(GLOBS) } else { finding });
                    false
                }
            })
            .collect();
        (good.len() == before).then(|| Globs(good.into_iter().map(|t| t.value).collect()))
    }
}

/// What to write in place of a regular expression.
const GLOBS: &str =
    "globs cover the whole text: \"/data*\"; for several write a list: [\"/data*\", \"/srv\", \"!/srv/tmp\"]";

/// A text with what only regular expressions have.
fn is_expression(glob: &str) -> bool {
    let text = glob.strip_prefix('!').unwrap_or(glob);
    // One look at most globs, which have none of what expressions are made of.
    let has_sign = text.contains(['.', '(', '\\', '|', '^', '$']);
    has_sign && holds_expression(text)
}

fn holds_expression(text: &str) -> bool {
    text.starts_with('^')
        || text.ends_with('$')
        || [".*/", "(.*", ".*)", "/.*$", ".+", "\\d", "\\.", "\\w", "(?", "|"]
            .iter()
            .any(|part| text.contains(part))
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
