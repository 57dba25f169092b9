//! Where each key of a table stands, for whoever asks where a rule has its values from.

use toml::de::DeValue;

use crate::config::diagnose::{At, Report};
use crate::config::walk::{Item, Walk};

/// Keys with their places: `for`, `match.mount`, `step[0].raise`, in the order written.
pub type Places = Vec<(String, At)>;

/// The places of all keys of a table and of the tables within it, when somebody asks for them.
pub fn wanted(walk: &Walk<'_>, report: &Report) -> Places {
    if report.wants_origins { of(walk) } else { Places::new() }
}

fn of(walk: &Walk<'_>) -> Places {
    let mut places = Vec::new();
    for (key, value) in walk.entries() {
        match value.get_ref() {
            DeValue::Table(_) => {
                // Tables are put together with those below, which a fresh look at the key does.
                let keys = walk.within(&key.value).map(|table| of(&table)).unwrap_or_default();
                places.extend(keys.into_iter().map(|(name, at)| (format!("{}.{name}", key.value), at)));
            }
            DeValue::Array(items) if items.iter().any(|i| matches!(i.get_ref(), DeValue::Table(_))) => {
                for (i, item) in items.iter().enumerate() {
                    let keys = keys_of(value.within(item));
                    places.extend(
                        keys.into_iter().map(|(name, at)| (format!("{}[{i}].{name}", key.value), at)),
                    );
                }
            }
            _ => places.push((key.value, key.at)),
        }
    }
    places
}

fn keys_of(item: Item<'_>) -> Places {
    match item.get_ref() {
        DeValue::Table(items) => of(&Walk::new(item.at(), "", items)),
        _ => Vec::new(),
    }
}
