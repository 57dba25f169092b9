//! `sexton import`: alert rules of another product as our rule file, and what could not be carried over.
//!
//! The file goes to standard output or to `--output`, the report to standard error, so that
//! `sexton import … > rules.toml` does what it looks like. Exit code 0: everything is carried over, 1:
//! something is left out, 2: nothing could be made.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use super::{COULD_NOT_RUN, FINDING, FINE, fail, say};
use crate::config::{Doors, HostFacts};
use crate::import::draft::{Fate, Item};
use crate::import::input::Reader;
use crate::import::{Imported, Product, import, lines};

/// Most items whose losses are listed; all of them stand in the file.
const LISTED: usize = 200;

/// Arguments of `sexton import`.
#[derive(clap::Args, Clone, Debug)]
pub struct ImportArgs {
    /// Where the files come from
    #[arg(value_enum, value_name = "PRODUCT")]
    pub product: Product,
    /// Its files, or directories of them; what they include is read as well
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Write the rules to this file, which must not exist yet; without it to standard output
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Imports; the exit code says whether everything is carried over.
pub fn run(args: &ImportArgs, doors: &Doors, facts: &HostFacts) -> u8 {
    let imported = match import(args.product, &mut Reader::new(&args.files), doors, facts) {
        Ok(imported) => imported,
        Err(refused) => return fail(COULD_NOT_RUN, &refused.to_string()),
    };
    if let Some(path) = &args.output {
        if let Err(e) = write(path, &imported.toml) {
            return fail(COULD_NOT_RUN, &format!("cannot write {}: {e}", path.display()));
        }
    } else {
        say(&imported.toml);
    }
    let stderr = std::io::stderr();
    let is_quiet = args.output.is_none() && stderr.is_terminal() && std::io::stdout().is_terminal();
    let _ = stderr.lock().write_all(report(&imported, args.output.as_deref(), is_quiet).as_bytes());
    if imported.count(Fate::Whole) == imported.items.len() { FINE } else { FINDING }
}

/// A new file: an import never overwrites what somebody may have edited.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = std::fs::File::options().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())
}

/// What is told on standard error; `is_brief` when the file itself stands right above it.
pub fn report(imported: &Imported, output: Option<&Path>, is_brief: bool) -> String {
    let mut out = String::new();
    let left: Vec<&Item> = imported.items.iter().filter(|i| !i.losses.is_empty()).collect();
    for item in left.iter().take(if is_brief { 0 } else { LISTED }) {
        let fate = if item.fate() == Fate::Not { "not carried over" } else { "in part" };
        out.push_str(&format!("{}: {}: {fate}\n", item.place, item.what));
        for loss in &item.losses {
            let mut lines = lines(loss).into_iter();
            out.extend(lines.next().map(|l| format!("    {l}\n")));
            out.extend(lines.map(|l| format!("        {}\n", l.trim_start())));
        }
    }
    if left.len() > LISTED && !is_brief {
        out.push_str(&format!("… and {} more, see the comments in the file\n", left.len() - LISTED));
    }
    if !left.is_empty() && !is_brief {
        out.push('\n');
    }
    let count = |fate| imported.count(fate);
    let (whole, part, not) = (count(Fate::Whole), count(Fate::Part), count(Fate::Not));
    out.push_str(&format!("{whole} carried over whole, {part} in part, {not} not\n"));
    if !imported.asides.is_empty() {
        let n = imported.asides.len();
        let word = if n == 1 { "setting that is no rule" } else { "settings that are no rules" };
        out.push_str(&format!("{n} {word}: see the end of the file\n"));
    }
    let off = imported.items.iter().flat_map(|i| &i.rules).filter(|r| !r.enabled).count();
    if off > 0 {
        let verb = if off == 1 { "1 rule is" } else { &format!("{off} rules are") };
        out.push_str(&format!("{verb} switched off (enabled = false): a condition is missing there\n"));
    }
    if !imported.lints.is_empty() {
        let n = imported.lints.len();
        let warnings = if n == 1 { "1 warning".to_owned() } else { format!("{n} warnings") };
        out.push_str(&format!("`sexton check` takes the file, with {warnings}\n"));
    }
    if let Some(path) = output {
        out.push_str(&format!("next: sexton check --config {}\n", path.display()));
    }
    out
}
