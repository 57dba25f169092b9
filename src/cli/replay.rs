//! `sexton replay`: what would these rules have done on recorded series?
//!
//! The series are those of the host's own history, or of CSV files. Reads files, changes nothing, needs no
//! daemon and does not disturb one.

mod text;

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use super::history::{When, moment};
use super::{COULD_NOT_RUN, FINDING, FINE, fail, say};
use crate::clock::Clock;
use crate::config::{self, Config, DEFAULT_PATH, Doors, HostFacts};
use crate::engine::moment::Stamp;
use crate::engine::plan::{Plan, glob_matches};
use crate::workshop::html::{Page, with_curves};
use crate::workshop::labels::{self, Window};
use crate::workshop::load::load;
use crate::workshop::needed;
use crate::workshop::past::Past;
use crate::workshop::replay::{Host, Outcome, adrift, hosts, report, run as play, total};

pub use text::comparison;

/// Series that are played: without CSV files those of the host's own history.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct SeriesArgs {
    /// CSV files: `SIGNAL{LABELS}=FILE[:COLUMN][*FACTOR]`, such as cpu.busy=host.csv:cpu*1%; or a file with
    /// the columns time, metric, labels, value. Without any, this host's own history is played
    #[arg(value_name = "SERIES")]
    pub series: Vec<String>,
    /// Each file is a host of its own
    #[arg(long, requires = "series")]
    pub apart: bool,
    /// The history.db in this directory, not the one that the configuration names
    #[arg(long, value_name = "DIR", conflicts_with = "series")]
    pub history: Option<PathBuf>,
    /// Of the history, from then on: RFC 3339, or so long ago ("7d"); by default all of it
    #[arg(long, value_name = "TIME", value_parser = moment, conflicts_with = "series")]
    pub from: Option<When>,
    /// Of the history, until then; by default until now
    #[arg(long, value_name = "TIME", value_parser = moment, conflicts_with = "series")]
    pub to: Option<When>,
    /// Of the history the last so long: the same as --from
    #[arg(long, value_name = "DURATION", value_parser = duration, conflicts_with_all = ["series", "from"])]
    pub last: Option<i64>,
    /// Only rules whose id matches
    #[arg(long, value_name = "GLOB")]
    pub rule: Option<String>,
    /// Threads; as many as there are CPUs when not given
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
}

/// Arguments of `sexton replay`.
#[derive(clap::Args, Clone, Debug)]
pub struct ReplayArgs {
    /// What is played.
    #[command(flatten)]
    pub series: SeriesArgs,
    /// Rules: a configuration directory, or a rule file
    #[arg(long, value_name = "DIR_OR_FILE", default_value = DEFAULT_PATH)]
    pub config: PathBuf,
    /// CSV file of labelled windows (series, start, end, subject): when something was really wrong
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// A raise counts for a window until this long after its end
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = duration)]
    pub slack: i64,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// Forms of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// One JSON document
    Json,
    /// A page with plots
    Html,
}

fn duration(text: &str) -> Result<i64, String> {
    config::duration(text).map_err(|why| format!("{text:?} {why}"))
}

/// Plays and prints to standard output; progress goes to standard error when that is a terminal.
pub fn run(args: &ReplayArgs, doors: &Doors, facts: &HostFacts) -> u8 {
    match replay(args, doors, facts) {
        Ok(text) => {
            say(&text);
            FINE
        }
        Err((code, why)) => fail(code, &why),
    }
}

fn replay(args: &ReplayArgs, doors: &Doors, facts: &HostFacts) -> Result<String, (u8, String)> {
    let rules = rules(&args.config, args.series.rule.as_deref(), doors, facts)?;
    let windows = args.labels.as_ref().map(|path| labels::read(path).map_err(could_not)).transpose()?;
    let (dropped, hosts) = series(&args.series, &rules.dir)?;
    if let (Some(windows), Some(path)) = (&windows, &args.labels) {
        fit(windows, &hosts, path).map_err(could_not)?;
    }
    let outcomes = watched(&rules, &hosts, threads(&args.series), "replay")?;
    let labels = windows.as_deref().map(|w| (w, args.slack));
    let plan = &*rules.shown;
    let report = report(plan, &hosts, &outcomes, labels, dropped);
    let labels: &[Window] = windows.as_deref().unwrap_or_default();
    Ok(match args.format {
        Format::Text => text::report(&report),
        Format::Json => serde_json::to_string_pretty(&report).unwrap_or_default() + "\n",
        Format::Html => {
            let hosts = with_curves(&report, plan, hosts).map_err(could_not)?;
            Page { report: &report, plan, hosts: &hosts, labels }.render()
        }
    })
}

/// Labels that are about nothing here would make every raise a false one.
fn fit(windows: &[Window], hosts: &[Host], path: &Path) -> Result<(), String> {
    /// Names of series that are told.
    const TOLD: usize = 8;
    if windows.is_empty() || adrift(hosts, windows).len() < windows.len() {
        return Ok(());
    }
    let names: BTreeSet<&str> = hosts.iter().flat_map(|h| &h.series).map(|s| s.name.as_str()).collect();
    let more = if names.len() > TOLD { ", …" } else { "" };
    let names: Vec<&str> = names.into_iter().take(TOLD).collect();
    Err(format!(
        "{}: none of the windows is about a series here: {} (`series` is a file's name without its ending)",
        path.display(),
        names.join(", ") + more
    ))
}

pub(super) fn could_not(why: String) -> (u8, String) {
    (COULD_NOT_RUN, why)
}

/// The series of the arguments, by host, and how many rows of them were left out; `dir` is where the
/// configuration keeps the history.
pub(super) fn series(args: &SeriesArgs, dir: &Path) -> Result<(u64, Vec<Host>), (u8, String)> {
    if !args.series.is_empty() {
        let recording = load(&args.series).map_err(could_not)?;
        let hosts = hosts(&recording, args.apart).map_err(could_not)?;
        return Ok((recording.dropped, hosts));
    }
    let now = Clock::start().now().stamp();
    let from = args.from.or(args.last.map(When::Ago)).map_or(Stamp(i64::MIN), |from| from.stamp(now));
    let to = args.to.map_or(Stamp(i64::MAX), |to| to.stamp(now));
    if from >= to {
        return Err(could_not(format!("--from {from} is not before --to {to}")));
    }
    let (past, series) = Past::open(args.history.as_deref().unwrap_or(dir), from, to).map_err(could_not)?;
    Ok((0, vec![Host { name: String::new(), series, past: Some(past) }]))
}

/// The rules of a configuration.
pub(super) struct Rules {
    /// Those that are chosen, and what they need to do what they do in the daemon.
    pub played: Arc<Plan>,
    /// Those that are chosen: the result is about these.
    pub shown: Arc<Plan>,
    /// Where the configuration keeps the history.
    pub dir: PathBuf,
}

/// The rules of a configuration that `rule` chooses.
pub(super) fn rules(
    path: &Path,
    rule: Option<&str>,
    doors: &Doors,
    facts: &HostFacts,
) -> Result<Rules, (u8, String)> {
    let config: Config = config::load(path, doors, facts).map_err(|all| {
        let code = if all.unreadable { COULD_NOT_RUN } else { FINDING };
        (code, format!("cannot use {}\n\n{}", path.display(), all.render(false)))
    })?;
    let (plan, dir) = (config.plan, config.history.dir);
    let Some(glob) = rule else { return Ok(Rules { played: Arc::clone(&plan), shown: plan, dir }) };
    let is_chosen = |id: &str| glob_matches(glob, id);
    let rules: Vec<_> = plan.rules.iter().filter(|r| is_chosen(&r.id)).cloned().collect();
    if rules.is_empty() {
        return Err((COULD_NOT_RUN, format!("no rule matches `{glob}`")));
    }
    let played = Arc::new(needed::playable(&plan, is_chosen));
    Ok(Rules { played, shown: Arc::new(Plan { rules, ..Plan::clone(&plan) }), dir })
}

pub(super) fn threads(args: &SeriesArgs) -> usize {
    let all = || std::thread::available_parallelism().map_or(1, usize::from);
    args.threads.unwrap_or_else(all).clamp(1, 256)
}

/// Plays; what the rules that are shown did.
pub(super) fn watched(
    rules: &Rules,
    hosts: &[Host],
    threads: usize,
    what: &str,
) -> Result<Vec<Outcome>, (u8, String)> {
    let mut outcomes = with_bar(&rules.played, hosts, threads, what)?;
    if rules.played.rules.len() != rules.shown.rules.len() {
        outcomes.iter_mut().for_each(|outcome| outcome.keep(&rules.shown));
    }
    Ok(outcomes)
}

/// Plays with a bar on standard error, when that is a terminal.
fn with_bar(
    plan: &Arc<Plan>,
    hosts: &[Host],
    threads: usize,
    what: &str,
) -> Result<Vec<Outcome>, (u8, String)> {
    /// How often the bar moves.
    const OFTEN: Duration = Duration::from_millis(200);
    let done = AtomicU64::new(0);
    if !std::io::stderr().is_terminal() {
        return play(plan, hosts, threads, &done).map_err(could_not);
    }
    let all = total(hosts).max(1);
    let (end, ended) = mpsc::channel::<()>();
    let done = &done;
    let outcome = std::thread::scope(|scope| {
        scope.spawn(move || {
            while ended.recv_timeout(OFTEN) == Err(mpsc::RecvTimeoutError::Timeout) {
                bar(what, done.load(Ordering::Relaxed), all);
            }
        });
        let outcome = play(plan, hosts, threads, done);
        drop(end);
        outcome
    });
    let _ = write!(std::io::stderr(), "\r\x1b[K");
    outcome.map_err(could_not)
}

fn bar(what: &str, done: u64, all: u64) {
    const WIDTH: u64 = 40;
    let full = (done * WIDTH / all).min(WIDTH) as usize;
    let (bar, rest) = ("=".repeat(full), " ".repeat(WIDTH as usize - full));
    let millions = |n: u64| n as f64 / 1e6;
    let line =
        format!("\r{what} [{bar}{rest}] {:.1} of {:.1} million samples", millions(done), millions(all));
    let _ = std::io::stderr().write_all(line.as_bytes());
}

#[cfg(test)]
mod tests;
