//! `sexton check`: is this configuration right? Every mistake in one run, each with its place and what to
//! write instead.
//!
//! Reads files, changes nothing, needs no daemon. What is checked is what the daemon would load.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use serde::Serialize;

use super::{COULD_NOT_RUN, FINDING, FINE};
use crate::config::diagnose::{Diagnostic, Diagnostics};
use crate::config::{self, Config, DEFAULT_PATH, Doors, HostFacts};

/// Arguments of `sexton check`.
#[derive(clap::Args, Clone, Debug)]
pub struct CheckArgs {
    /// Directory with sexton.toml and rules.d, or the main file itself
    #[arg(long, value_name = "DIR_OR_FILE", default_value = DEFAULT_PATH)]
    pub config: PathBuf,
    /// Warnings are findings too (exit code 1)
    #[arg(long)]
    pub strict: bool,
    /// Print one JSON document instead of text
    #[arg(long)]
    pub json: bool,
}

/// Checks and prints to standard output; the exit code says what was found.
pub fn run(args: &CheckArgs, doors: &Doors, facts: &HostFacts) -> u8 {
    let stdout = std::io::stdout();
    let colour = stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    match check(args, doors, facts, colour, &mut stdout.lock()) {
        Ok(code) => code,
        // Nobody reads any more; there is no one to tell.
        Err(_) => COULD_NOT_RUN,
    }
}

/// Checks and writes to `out`.
///
/// # Errors
/// When `out` cannot be written.
pub fn check(
    args: &CheckArgs,
    doors: &Doors,
    facts: &HostFacts,
    colour: bool,
    out: &mut dyn Write,
) -> std::io::Result<u8> {
    let result = config::load(&args.config, doors, facts);
    let code = match &result {
        Ok(config) if args.strict && !config.warnings.is_empty() => FINDING,
        Ok(_) => FINE,
        Err(all) if all.unreadable => COULD_NOT_RUN,
        Err(_) => FINDING,
    };
    if args.json {
        serde_json::to_writer_pretty(&mut *out, &Document::new(&result, code))?;
        writeln!(out)?;
    } else {
        text(args, &result, colour, out)?;
    }
    Ok(code)
}

fn text(
    args: &CheckArgs,
    result: &Result<Config, Diagnostics>,
    colour: bool,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    let (items, summary) = match result {
        Ok(config) => (&config.warnings, fine(config, args.strict)),
        Err(all) => (&all.items, refused(all)),
    };
    for item in items {
        writeln!(out, "{}\n", item.render(colour))?;
    }
    writeln!(out, "{}: {summary}", args.config.display())
}

fn fine(config: &Config, strict: bool) -> String {
    let parts = [
        count(config.plan.rules.len(), "rule"),
        count(config.checks.len(), "check"),
        count(config.destinations.len(), "destination"),
    ];
    match config.warnings.len() {
        0 => format!("fine: {}", parts.join(", ")),
        n if strict => format!("{} (--strict): {}", count(n, "warning"), parts.join(", ")),
        n => format!("usable, with {}: {}", count(n, "warning"), parts.join(", ")),
    }
}

fn refused(all: &Diagnostics) -> String {
    let shown = all.items.len();
    let rest = match (all.errors + all.warnings).saturating_sub(shown) {
        0 => String::new(),
        n => format!(" ({n} more not shown)"),
    };
    match all.warnings {
        0 => format!("refused: {}{rest}", count(all.errors, "error")),
        n => format!("refused: {}, {}{rest}", count(all.errors, "error"), count(n, "warning")),
    }
}

fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// The result for machines.
#[derive(Serialize)]
struct Document<'r> {
    exit_code: u8,
    errors: usize,
    warnings: usize,
    diagnostics: &'r [Diagnostic],
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<Summary<'r>>,
}

#[derive(Serialize)]
struct Summary<'r> {
    hash: &'r str,
    rules: usize,
    checks: usize,
    destinations: usize,
    files: &'r [PathBuf],
}

impl<'r> Document<'r> {
    fn new(result: &'r Result<Config, Diagnostics>, exit_code: u8) -> Self {
        match result {
            Ok(config) => {
                let summary = Summary {
                    hash: &config.hash,
                    rules: config.plan.rules.len(),
                    checks: config.checks.len(),
                    destinations: config.destinations.len(),
                    files: &config.files,
                };
                let warnings = config.warnings.len();
                Self { exit_code, errors: 0, warnings, diagnostics: &config.warnings, config: Some(summary) }
            }
            Err(all) => Self {
                exit_code,
                errors: all.errors,
                warnings: all.warnings,
                diagnostics: &all.items,
                config: None,
            },
        }
    }
}
