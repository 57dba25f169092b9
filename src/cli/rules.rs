//! `sexton rules`: which rules are in force, and what each of them says after all layers.
//!
//! Reads configuration files as `sexton check` does; changes nothing, needs no daemon. Without /etc/sexton it
//! shows what is built in.

mod list;
mod rendered;
mod show;
#[cfg(test)]
mod tests;
mod write;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::terminal::Terminal;
use super::{COULD_NOT_RUN, FINDING, FINE, fail, say};
use crate::config::{self, Config, DEFAULT_PATH, Doors, HostFacts, Origins};

/// What `sexton rules` takes.
#[derive(Args, Clone, Debug)]
pub struct RulesArgs {
    /// Directory with sexton.toml and rules.d, or the main file itself
    #[arg(long, global = true, value_name = "DIR_OR_FILE", default_value = DEFAULT_PATH)]
    pub config: PathBuf,
    /// Print one JSON document instead of text
    #[arg(long, global = true)]
    pub json: bool,
    /// What is to be shown; without it, as `list`.
    #[command(subcommand)]
    pub verb: Option<RulesVerb>,
}

/// A look at the rules.
#[derive(Clone, Debug, Subcommand)]
pub enum RulesVerb {
    /// List the rules: class, severity, priority, whether they are on, where they stand, when they raise
    List {
        /// Only rules whose id matches ("disk-*"); also classes ("fs")
        #[arg(value_name = "GLOB")]
        globs: Vec<String>,
    },
    /// Show a rule as it is in force after all layers, as TOML to copy
    Show {
        /// Its id
        id: String,
        /// Say behind each key where it is written
        #[arg(long)]
        origin: bool,
    },
}

/// Reads and prints to standard output; the exit code says what was found.
pub fn run(args: &RulesArgs, doors: &Doors, facts: &HostFacts) -> u8 {
    match rules(args, doors, facts, Terminal::ask()) {
        Ok(text) => {
            say(&text);
            FINE
        }
        Err((code, why)) => fail(code, &why),
    }
}

/// What is to be printed, or the exit code and why not.
///
/// # Errors
/// A configuration that is refused or cannot be read, and a name that is no rule.
pub fn rules(
    args: &RulesArgs,
    doors: &Doors,
    facts: &HostFacts,
    terminal: Terminal,
) -> Result<String, (u8, String)> {
    let (config, origins) = loaded(&args.config, doors, facts, terminal.colour)?;
    match &args.verb {
        None => list::list(&config, &origins, &[], args.json, terminal),
        Some(RulesVerb::List { globs }) => list::list(&config, &origins, globs, args.json, terminal),
        Some(RulesVerb::Show { id, origin }) => show::show(&config, &origins, id, *origin, args.json),
    }
}

fn loaded(
    path: &Path,
    doors: &Doors,
    facts: &HostFacts,
    colour: bool,
) -> Result<(Config, Origins), (u8, String)> {
    // Somebody who only looks around has no configuration yet.
    let is_absent = path == Path::new(DEFAULT_PATH) && !path.exists();
    let loaded = match is_absent {
        true => config::load_texts_with_origins(&[], doors, facts),
        false => config::load_with_origins(path, doors, facts),
    };
    loaded.map_err(|all| {
        let code = if all.unreadable { COULD_NOT_RUN } else { FINDING };
        (code, format!("cannot use {}\n\n{}", path.display(), all.render(colour)))
    })
}
