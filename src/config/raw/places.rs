//! Where each key of a table stands, for whoever asks where a rule has its values from.

use toml::de::DeValue;

use crate::config::diagnose::{At, Report};
use crate::config::walk::{Item, Walk};

/// A key and its place.
#[derive(Clone)]
pub struct Place {
    /// `for`, `match.mount`, `step[0].raise`.
    pub key: String,
    /// Where its name stands.
    pub at: At,
    /// How messages call the table that it is written in.
    pub table: String,
}

/// Keys with their places, in the order written.
pub type Places = Vec<Place>;

/// The places of all keys of a table and of the tables within it, when somebody asks for them.
pub fn wanted(walk: &Walk<'_>, report: &Report) -> Places {
    if report.wants_origins { of(walk) } else { Places::new() }
}

fn of(walk: &Walk<'_>) -> Places {
    let mut places = Vec::new();
    let within = |prefix: String, inner: Places| {
        inner.into_iter().map(move |p| Place { key: format!("{prefix}.{}", p.key), ..p })
    };
    for (key, value) in walk.entries() {
        let table = walk.owner_name(&key.value);
        match value.get_ref() {
            DeValue::Table(_) => {
                // Tables are put together with those below, which a fresh look at the key does.
                let keys = walk.within(&key.value).map(|table| of(&table)).unwrap_or_default();
                places.extend(within(key.value, keys));
            }
            DeValue::Array(items) if items.iter().any(|i| matches!(i.get_ref(), DeValue::Table(_))) => {
                for (i, item) in items.iter().enumerate() {
                    let keys = keys_of(value.within(item), table);
                    places.extend(within(format!("{}[{i}]", key.value), keys));
                }
            }
            _ => places.push(Place { table: table.to_owned(), key: key.value, at: key.at }),
        }
    }
    places
}

fn keys_of(item: Item<'_>, table: &str) -> Places {
    match item.get_ref() {
        DeValue::Table(items) => of(&Walk::new(item.at(), table, items)),
        _ => Vec::new(),
    }
}
