//! Names used at one installation: the option `map` over a product's defaults.

use crate::engine::effect::RecordKind;
use crate::engine::option::{OptionValue, Options};
use crate::engine::record::Priority;

/// The option `map` of one destination with its product's defaults.
#[derive(Clone, Copy)]
pub struct Names<'a> {
    options: &'a Options,
    defaults: &'static [(&'static str, &'static str)],
}

impl<'a> Names<'a> {
    /// The names of that destination.
    pub fn of(options: &'a Options, defaults: &'static [(&'static str, &'static str)]) -> Self {
        Self { options, defaults }
    }

    /// The name used there; empty when switched off with "" or unknown.
    pub fn get(&self, entry: &str) -> &'a str {
        let default = self.defaults.iter().find(|(name, _)| *name == entry).map_or("", |(_, value)| *value);
        self.options.mapped("map", entry).unwrap_or(default)
    }

    /// The entry `<group>.incident` or `<group>.problem`.
    pub fn of_kind(&self, group: &str, kind: RecordKind) -> &'a str {
        let word = if kind == RecordKind::Problem { "problem" } else { "incident" };
        self.get(&format!("{group}.{word}"))
    }

    /// The entry `priority.p1` … `priority.p5`.
    pub fn priority(&self, priority: Priority) -> &'a str {
        self.get(&format!("priority.p{}", priority.number()))
    }

    /// The most pressing of our priorities that has this name there.
    pub fn is_priority(&self, name: &str) -> Option<Priority> {
        Priority::ALL.into_iter().find(|p| self.priority(*p) == name)
    }

    /// All names of entries that begin so, without those switched off; each once, in the order of the
    /// defaults.
    pub fn all(&self, prefix: &str) -> Vec<&'a str> {
        let mut names: Vec<&str> = Vec::new();
        for (entry, _) in self.defaults.iter().filter(|(entry, _)| entry.starts_with(prefix)) {
            let name = self.get(entry);
            if !name.is_empty() && !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// True when one of the words listed there, separated by commas, is this one; case does not matter.
    pub fn lists(&self, entry: &str, word: &str) -> bool {
        self.get(entry).split(',').any(|w| !word.is_empty() && w.trim().eq_ignore_ascii_case(word))
    }

    /// Written entries that begin so, each with what follows and its value: `set.customfield_10010`.
    pub fn beginning(&self, prefix: &str) -> Vec<(&'a str, &'a str)> {
        let Some(OptionValue::Map(map)) = self.options.0.get("map") else { return Vec::new() };
        let entries = map.iter().filter_map(|(k, v)| Some((k.strip_prefix(prefix)?, v.as_str())));
        entries.collect()
    }

    /// Entries that the product does not know; `free`: what the others may begin with.
    ///
    /// # Errors
    /// A sentence that names one.
    pub fn check(
        options: &Options,
        defaults: &'static [(&'static str, &'static str)],
        free: &[&str],
    ) -> Result<(), String> {
        let Some(OptionValue::Map(map)) = options.0.get("map") else { return Ok(()) };
        let known = |key: &str| {
            defaults.iter().any(|(name, _)| *name == key) || free.iter().any(|begin| key.starts_with(begin))
        };
        match map.keys().find(|key| !known(key)) {
            Some(key) => {
                let known: Vec<&str> = defaults.iter().map(|(name, _)| *name).collect();
                Err(format!("map has no entry '{key}'; there are {}", known.join(", ")))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const DEFAULTS: &[(&str, &str)] = &[
        ("group.incident", "Users"),
        ("group.problem", "Users"),
        ("state.open", "open"),
        ("priority.p1", "3 high"),
        ("priority.p2", "3 high"),
        ("priority.p3", "2 normal"),
    ];

    fn options(entries: &[(&str, &str)]) -> Options {
        let map = entries.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Options(BTreeMap::from([("map".to_owned(), OptionValue::Map(map))]))
    }

    #[test]
    fn an_entry_is_written_or_the_products_own() {
        let written = options(&[("group.problem", "Causes"), ("state.open", "")]);
        let names = Names::of(&written, DEFAULTS);
        assert_eq!(names.of_kind("group", RecordKind::Incident), "Users");
        assert_eq!(names.of_kind("group", RecordKind::Problem), "Causes");
        assert_eq!(names.get("state.open"), "");
        assert_eq!(names.all("priority."), ["3 high", "2 normal"]);
        assert_eq!(names.all("state."), [""; 0]);
        assert_eq!(names.is_priority("3 high"), Some(Priority::P1));
        assert_eq!(names.is_priority("9"), None);
    }

    #[test]
    fn an_unknown_entry_is_an_error() {
        let refused = Names::check(&options(&[("groop.problem", "x")]), DEFAULTS, &[]).unwrap_err();
        assert!(refused.contains("'groop.problem'") && refused.contains("group.problem"), "{refused}");
        assert_eq!(Names::check(&options(&[("group.problem", "x")]), DEFAULTS, &[]), Ok(()));
        assert_eq!(Names::check(&Options::default(), DEFAULTS, &[]), Ok(()));
    }
}
