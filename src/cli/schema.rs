//! `sexton schema`: the JSON Schema of a configuration file, for editors.

use clap::{Args, ValueEnum};

use super::{FINE, say};
use crate::config::Doors;
use crate::config::schema::{self, File};

/// What `sexton schema` takes.
#[derive(Args, Clone, Debug)]
pub struct SchemaArgs {
    /// Which file: the main file, a file of rules.d, or the main file of a desk
    #[arg(value_enum, default_value_t = Which::Config)]
    pub file: Which,
}

/// A file that has a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Which {
    /// sexton.toml
    Config,
    /// Files of rules.d
    Rules,
    /// sexton.toml of a host that only runs `sexton desk`
    Desk,
}

impl From<Which> for File {
    fn from(which: Which) -> Self {
        match which {
            Which::Config => File::Main,
            Which::Rules => File::Rules,
            Which::Desk => File::Desk,
        }
    }
}

/// Prints to standard output.
pub fn run(args: &SchemaArgs, doors: &Doors) -> u8 {
    say(&text(args.file.into(), doors));
    FINE
}

/// The document as it is printed, and as it stands in docs/schemas.
pub fn text(file: File, doors: &Doors) -> String {
    format!("{:#}\n", schema::schema(file, doors))
}
