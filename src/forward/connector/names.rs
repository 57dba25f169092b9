//! Names and values used at one installation: the option `map` over a product's defaults.

use super::Target;

/// The map of one destination.
#[derive(Clone, Copy)]
pub struct Names<'a> {
    target: &'a Target,
    defaults: &'static [(&'static str, &'static str)],
}

impl<'a> Names<'a> {
    /// The map of that destination over these defaults.
    pub fn of(target: &'a Target, defaults: &'static [(&'static str, &'static str)]) -> Self {
        Self { target, defaults }
    }

    /// What stands there for an entry; empty when it is switched off or unknown.
    pub fn get(&self, entry: &str) -> &'a str {
        let default = self.defaults.iter().find(|(name, _)| *name == entry).map_or("", |(_, value)| value);
        self.target.options.mapped("map", entry).unwrap_or(default)
    }

    /// True when one of the words listed there, separated by commas, is this one; case does not matter.
    pub fn lists(&self, entry: &str, word: &str) -> bool {
        self.get(entry).split(',').any(|w| !word.is_empty() && w.trim().eq_ignore_ascii_case(word))
    }

    /// Entries that begin so, each with what follows and its value: `set.customfield_10010`.
    pub fn beginning(&self, prefix: &str) -> Vec<(&'a str, &'a str)> {
        let Some(crate::engine::option::OptionValue::Map(map)) = self.target.options.0.get("map") else {
            return Vec::new();
        };
        let entries = map.iter().filter_map(|(k, v)| Some((k.strip_prefix(prefix)?, v.as_str())));
        entries.collect()
    }
}
