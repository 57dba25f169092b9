//! `sexton test`: plays the `[[test]]` tables of rule files.
//!
//! Reads files, changes nothing, needs no daemon. A file of a `rules.d` is played with the configuration
//! around it; any other file stands alone on the built-in one. The tests of the built-in rules are played on
//! the built-in configuration alone: what a site changes is not what they promise.

mod machine;
#[cfg(test)]
mod tests;
mod text;

use std::path::{Path, PathBuf};

use super::terminal::Terminal;
use super::{COULD_NOT_RUN, FINDING, FINE, fail, say};
use crate::config::test::RuleTest;
use crate::config::{self, Config, DEFAULT_PATH, Doors, HostFacts, source};
use crate::engine::plan::{Plan, glob_matches};
use crate::workshop::gate::Gate;
use crate::workshop::prove::{Proof, Trouble, prove};

/// Arguments of `sexton test`.
#[derive(clap::Args, Clone, Debug)]
pub struct TestArgs {
    /// Rule files, or directories with them; a directory with sexton.toml is a whole configuration
    /// [default: /etc/sexton, unless --builtin is given]
    #[arg(value_name = "FILE_OR_DIR")]
    pub paths: Vec<PathBuf>,
    /// Only tests of rules whose id matches
    #[arg(long, value_name = "GLOB")]
    pub rule: Option<String>,
    /// The tests of the built-in rules, beside those of the paths
    #[arg(long)]
    pub builtin: bool,
    /// Show transitions and a plot of every test, not only of those that fail
    #[arg(long, short)]
    pub verbose: bool,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// Forms of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// JUnit XML, which CI systems read
    Junit,
    /// One JSON document
    Json,
}

/// A test that was played, with what it needs to be drawn.
struct Done<'c> {
    test: &'c RuleTest,
    plan: &'c Plan,
    proof: Proof,
}

/// Plays and prints to standard output; the exit code says what was found.
pub fn run(args: &TestArgs, doors: &Doors, facts: &HostFacts) -> u8 {
    let (code, text) = test(args, doors, facts, Terminal::ask());
    if text.is_empty() {
        return code;
    }
    say(&text);
    code
}

/// Plays the tests; the exit code and what is to be printed.
pub fn test(args: &TestArgs, doors: &Doors, facts: &HostFacts, terminal: Terminal) -> (u8, String) {
    let sets = match sets(args, doors, facts, terminal.colour) {
        Ok(sets) => sets,
        Err((code, why)) => return (fail(code, &why), String::new()),
    };
    let chosen = |t: &&RuleTest| args.rule.as_ref().is_none_or(|glob| glob_matches(glob, &t.rule));
    let played = sets.iter().flat_map(|set| {
        let plan = &*set.config.plan;
        let tests = set.tests().filter(chosen);
        tests.map(move |test| Done { test, plan, proof: prove(test, plan) })
    });
    let all: Vec<Done<'_>> = played.collect();
    if all.is_empty() {
        let which = args.rule.as_ref().map(|g| format!(" of a rule `{g}`")).unwrap_or_default();
        return (fail(COULD_NOT_RUN, &format!("there is no [[test]]{which} here")), String::new());
    }
    let is_bad = |d: &Done<'_>| !d.proof.passed() && !d.proof.skipped();
    let code = if all.iter().any(is_bad) { FINDING } else { FINE };
    let text = match args.format {
        Format::Text => text::text(&all, args.verbose, terminal),
        Format::Junit => machine::junit(&all),
        Format::Json => machine::json(&all, code),
    };
    (code, text)
}

/// Most failed tests that are told in full.
const TOLD: usize = 3;
/// Width of a refusal: it is read in a log and on a ticket.
const WIDTH: usize = 100;

/// Why tests keep a configuration from being put in force, in the words of the verb; `None` when they do not.
pub fn refusal(gate: &Gate<'_>, plan: &Plan) -> Option<String> {
    if gate.failed.is_empty() {
        let first = gate.left.first()?;
        return Some(format!(
            "the rules' own tests take too long: {} played, {} left, the first of them at {}; see `sexton test`",
            gate.played,
            gate.left.len(),
            first.place
        ));
    }
    let all: Vec<Done<'_>> =
        gate.failed.iter().map(|(test, proof)| Done { test, plan, proof: proof.clone() }).collect();
    let terminal = Terminal { colour: false, unicode: true, width: WIDTH, lines: None };
    let mut out = "the rules' own tests do not pass
"
    .to_owned();
    out += &text::failures(&all[..all.len().min(TOLD)], terminal);
    if all.len() > TOLD {
        out.push_str(&format!("and {} more\n", count((all.len() - TOLD) as u64, "failed test")));
    }
    let passed = (gate.played - all.len()) as u64;
    out.push_str(&format!("{}: {passed} ok, {} failed", count(gate.played as u64, "test"), all.len()));
    Some(out)
}

/// A configuration whose tests are played.
struct Set {
    config: Config,
    /// Only tests of this file.
    only: Option<PathBuf>,
}

impl Set {
    fn tests(&self) -> impl Iterator<Item = &RuleTest> {
        self.config.tests.iter().filter(move |t| match &self.only {
            Some(file) => is_same(Path::new(&t.place.file), file),
            None => true,
        })
    }
}

fn is_same(a: &Path, b: &Path) -> bool {
    let real = |p: &Path| p.canonicalize().unwrap_or_else(|_| p.to_owned());
    a == b || real(a) == real(b)
}

/// The configurations that are named. A broken one ends it: its tests say nothing.
fn sets(args: &TestArgs, doors: &Doors, facts: &HostFacts, colour: bool) -> Result<Vec<Set>, (u8, String)> {
    let mut sets = Vec::new();
    if args.builtin {
        let refused = |all: config::diagnose::Diagnostics| (FINDING, all.render(colour));
        sets.push(Set { config: config::load_builtin(doors, facts).map_err(refused)?, only: None });
    }
    let usual = [PathBuf::from(DEFAULT_PATH)];
    let paths = if args.paths.is_empty() && !args.builtin { &usual[..] } else { &args.paths };
    for path in paths {
        for (load, only) in places(path)? {
            let config = config::load(&load, doors, facts).map_err(|all| {
                let code = if all.unreadable { COULD_NOT_RUN } else { FINDING };
                (code, format!("cannot use {}\n\n{}", load.display(), all.render(colour)))
            })?;
            sets.push(Set { config, only });
        }
    }
    Ok(sets)
}

/// What is loaded, and the file whose tests are wanted, when it is one.
type Wanted = (PathBuf, Option<PathBuf>);

/// What a path names.
fn places(path: &Path) -> Result<Vec<Wanted>, (u8, String)> {
    if !path.is_dir() {
        return Ok(vec![(around(path).unwrap_or_else(|| path.to_owned()), Some(path.to_owned()))]);
    }
    if path.join(source::MAIN).exists() {
        return Ok(vec![(path.to_owned(), None)]);
    }
    let cannot = |e: std::io::Error| (COULD_NOT_RUN, format!("cannot list {}: {e}", path.display()));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(cannot)? {
        let file = entry.map_err(cannot)?.path();
        let is_hidden = file.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
        if file.extension().is_some_and(|e| e == "toml") && !is_hidden {
            files.push(file);
        }
    }
    if files.is_empty() {
        return Err((COULD_NOT_RUN, format!("no rule files (*.toml) in {}", path.display())));
    }
    files.sort();
    let whole = |file: PathBuf| (around(&file).unwrap_or_else(|| file.clone()), Some(file));
    Ok(files.into_iter().map(whole).collect())
}

/// The configuration that a file of a `rules.d` belongs to.
fn around(file: &Path) -> Option<PathBuf> {
    let dir = file.parent().filter(|d| d.file_name().is_some_and(|n| n == source::DROP_INS))?;
    let home = dir.parent().map(|p| if p.as_os_str().is_empty() { Path::new(".") } else { p })?;
    home.join(source::MAIN).exists().then(|| home.to_owned())
}

/// What became of a test, in a word.
fn verdict(proof: &Proof) -> &'static str {
    match proof.trouble {
        Some(Trouble::Skipped(_)) => "skipped",
        _ if proof.passed() => "ok",
        _ => "FAILED",
    }
}

/// Everything that is wrong, a line each.
fn complaints(proof: &Proof) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(Trouble::Broken(why) | Trouble::Skipped(why)) = &proof.trouble {
        all.push(why.clone());
        return all;
    }
    for check in proof.checks.iter().filter(|c| !c.holds) {
        let at = crate::engine::moment::human(check.at);
        all.push(format!("at {at}: expected {}, found {}", check.expected, check.found));
    }
    if let (Some(expected), found) = proof.incidents
        && expected != found
    {
        all.push(format!("expected {}, found {found}", count(expected, "incident")));
    }
    all
}

fn count(n: u64, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}
