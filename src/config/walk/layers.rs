//! Tables that lie over others: whose a key is, and the one order of all keys.

use std::ops::Deref;

use toml::Spanned;
use toml::de::{DeString, DeValue};

use super::{Text, Walk};
use crate::config::diagnose::{At, Report};

/// A key and where it stands.
type Key<'t> = Spanned<DeString<'t>>;

/// A value and the file it stands in.
#[derive(Clone, Copy)]
pub struct Item<'t> {
    file: u32,
    value: &'t Spanned<DeValue<'t>>,
}

impl<'t> Item<'t> {
    /// Where it stands.
    pub fn at(self) -> At {
        At::new(self.file, self.value.span())
    }

    /// What it is.
    pub fn get_ref(self) -> &'t DeValue<'t> {
        self.value.get_ref()
    }

    /// A value within this one.
    pub fn within<'v>(self, value: &'v Spanned<DeValue<'v>>) -> Item<'v> {
        Item { file: self.file, value }
    }
}

impl<'t> Deref for Item<'t> {
    type Target = Spanned<DeValue<'t>>;

    fn deref(&self) -> &Self::Target {
        self.value
    }
}

impl<'t> Walk<'t> {
    /// The same table over another one.
    pub fn over(self, below: Option<Walk<'t>>) -> Walk<'t> {
        Walk { below: below.map(Box::new), ..self }
    }

    /// Keys and values: what lies below first, in the order written; a key that is written again keeps its
    /// place.
    pub fn entries(&self) -> Vec<(Text, Item<'t>)> {
        let mut own: Vec<_> = self
            .items
            .iter()
            .map(|(k, v)| {
                let at = At::new(self.at.file, k.span());
                (Text { value: k.get_ref().to_string(), at, inner: None }, self.own(v))
            })
            .collect();
        own.sort_by_key(|(k, _)| k.at);
        let Some(below) = &self.below else { return own };
        let mut all = below.entries();
        for (key, value) in own {
            match all.iter_mut().find(|(k, _)| k.value == key.value) {
                Some(inherited) => *inherited = (key, value),
                None => all.push((key, value)),
            }
        }
        all
    }

    /// A table, over those of the same key below.
    pub fn table(&self, key: &str, what: &str, report: &mut Report) -> Option<Walk<'t>> {
        let (owner, _, value) = self.find(key)?;
        let table = self.table_of(key, owner.own(value), what, report)?;
        let below = owner.below.as_ref().and_then(|w| w.table(key, what, report));
        Some(table.over(below))
    }

    /// The table of a key over those of the same key below, without a word about what is none.
    pub fn within(&self, key: &str) -> Option<Walk<'t>> {
        let (owner, _, value) = self.find(key)?;
        let value = owner.own(value);
        let DeValue::Table(items) = value.get_ref() else { return None };
        let below = owner.below.as_ref().and_then(|w| w.within(key));
        Some(Walk::new(value.at(), owner.what.clone(), items).over(below))
    }

    /// How messages call the table that has the key.
    pub fn owner_name(&self, key: &str) -> &str {
        self.find(key).map_or("", |(owner, ..)| owner.what.as_str())
    }

    /// The uppermost table that has the key, the key there and its value.
    pub(super) fn find(&self, key: &str) -> Option<(&Walk<'t>, &'t Key<'t>, &'t Spanned<DeValue<'t>>)> {
        match self.items.get_key_value(key) {
            Some((key, value)) => Some((self, key, value)),
            None => self.below.as_ref()?.find(key),
        }
    }

    /// A value of this very table.
    pub(super) fn own(&self, value: &'t Spanned<DeValue<'t>>) -> Item<'t> {
        Item { file: self.at.file, value }
    }
}
