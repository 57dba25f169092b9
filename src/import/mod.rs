//! Import: rules of other products in, one TOML file of ours out, and a word about everything that is left.
//!
//! Each product has a room (`prometheus`, `monit`, `nagios`) that reads its files into [`Item`]s: what stood
//! there, the rules and checks it became, and every `Loss` with its place. `write` makes TOML of them, and
//! `verify` has the real loader look at it, so that what comes out always loads. Nothing is dropped in
//! silence: what is not carried over is a comment at its place in the output and a loss in the report.
//! Must not know the doors (they are an argument) nor a running daemon.

pub mod draft;
pub mod input;
mod monit;
mod nagios;
mod prometheus;
mod say;
mod subject;
mod verify;
mod words;
mod write;
mod yaml;

use draft::{Aside, Fate, Item};
use input::{Reader, Refused};

use crate::config::{Doors, HostFacts};

/// What can be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Product {
    /// Alerting and recording rules of Prometheus, also as PrometheusRule of Kubernetes
    Prometheus,
    /// Control files of Monit
    Monit,
    /// Object configuration of Nagios and Icinga 1, and nrpe.cfg
    Nagios,
}

impl Product {
    /// As it is called.
    pub fn name(self) -> &'static str {
        match self {
            Product::Prometheus => "Prometheus",
            Product::Monit => "Monit",
            Product::Nagios => "Nagios",
        }
    }
}

/// What an import came to.
pub struct Imported {
    /// The rule file.
    pub toml: String,
    /// What was there, in its order.
    pub items: Vec<Item>,
    /// Settings that have another place here, or none.
    pub asides: Vec<Aside>,
    /// What `sexton check` warns of in the file, as `lint: message`.
    pub lints: Vec<String>,
}

impl Imported {
    /// How many items came to this.
    pub fn count(&self, fate: Fate) -> usize {
        self.items.iter().filter(|i| i.fate() == fate).count()
    }
}

/// A loss in words: where, what and why; what to do instead.
pub fn lines(loss: &draft::Loss) -> Vec<String> {
    write::loss_lines(loss, &loss.place.to_string())
}

/// What a product's room found.
#[derive(Default)]
struct Found {
    items: Vec<Item>,
    asides: Vec<Aside>,
}

/// Reads the files and whatever they include, and puts them into our words.
///
/// # Errors
/// A file that cannot be read or is not of that product: nothing is made of the others then.
pub fn import(
    product: Product,
    reader: &mut Reader,
    doors: &Doors,
    facts: &HostFacts,
) -> Result<Imported, Refused> {
    let mut found = match product {
        Product::Prometheus => prometheus::read(reader)?,
        Product::Monit => monit::read(reader)?,
        Product::Nagios => nagios::read(reader)?,
    };
    draft::settle(&mut found.items, doors, facts);
    let lints = verify::verify(product, &mut found, doors, facts);
    let toml = write::file(product, &found);
    Ok(Imported { toml, items: found.items, asides: found.asides, lints })
}
