//! The last look: the real loader reads what was made. What it would refuse is taken out and said.
//!
//! A draft is built to be valid, and tests hold it to that; this is the net below. So `sexton check` never
//! refuses an imported file, whatever stood in the other product's.

use super::draft::{Item, Loss, shorten};
use super::{Found, Product, write};
use crate::config::{self, Doors, HostFacts};

/// Name of the file while it is being looked at.
const NAME: &str = "imported.toml";
/// Longest message of a lint.
const MESSAGE: usize = 160;

/// Takes out what the loader refuses; what it warns of.
pub fn verify(product: Product, found: &mut Found, doors: &Doors, facts: &HostFacts) -> Vec<String> {
    let look = |text: &str| config::load_texts(&[("sexton.toml", ""), (NAME, text)], doors, facts);
    if look(&write::file(product, found)).is_err() {
        let checks: String = found.items.iter().map(|i| write::item(&only_checks(i))).collect();
        for item in &mut found.items {
            // What a rule depends on is in other items: this look is about the item by itself.
            let alone = Item { checks: Vec::new(), rules: without_relations(item), ..item.clone() };
            let text = if look(&checks).is_ok() { checks.clone() } else { write::item(&only_checks(item)) };
            let Err(all) = look(&(text + &write::item(&alone))) else { continue };
            let why = all.items.first().map(|d| shorten(&d.render(false), MESSAGE)).unwrap_or_default();
            item.rules.clear();
            item.checks.clear();
            item.losses.push(Loss {
                place: item.place.clone(),
                piece: item.what.clone(),
                why: format!("the rule that was made of it is refused: {why}"),
                instead: "write it by hand, see docs/rules.md; and tell us, please".to_owned(),
                widens: false,
            });
        }
    }
    match look(&write::file(product, found)) {
        Ok(config) => config.warnings.iter().map(|w| shorten(&w.render(false), MESSAGE)).collect(),
        Err(_) => {
            // Only what holds between rules is left: no rule of this import explains another.
            found.items.iter_mut().for_each(|i| i.rules = without_relations(i));
            Vec::new()
        }
    }
}

fn only_checks(item: &Item) -> Item {
    Item { checks: item.checks.clone(), ..Item::default() }
}

fn without_relations(item: &Item) -> Vec<super::draft::Rule> {
    let bare = |r: &super::draft::Rule| super::draft::Rule { depends: Vec::new(), ..r.clone() };
    item.rules.iter().map(bare).collect()
}
