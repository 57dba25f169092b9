//! Plays a rule set over recorded series and counts what it would have done, rule by rule.
//!
//! Series are played in jobs on several threads: hosts are independent of each other, and so are the
//! instances of a host as far as no rule looks across them. The result is the same for any number of threads.
//! With labels it also says how much of the real trouble was hit, how late, and how much of the raised time
//! was noise.

mod count;
mod split;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use super::labels::Window;
use super::load::{Recorded, Recording};
use super::play::{Played, play};
use super::source::{Source, Tracks};
use super::span::{Span, spans};
use crate::engine::moment::Stamp;
use crate::engine::plan::Plan;

pub use count::{Hits, Labelled, Row, row, weeks};
pub use split::shards;

/// The series of one host.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// Its name in reports; empty when there is only one.
    pub name: String,
    /// Its series.
    pub series: Vec<Recorded>,
}

/// Something to be played on one thread.
pub struct Job {
    /// Place of its host.
    pub host: usize,
    /// The rules that are judged in it.
    pub plan: Arc<Plan>,
    /// What they see.
    pub source: Box<dyn Source + Send>,
}

/// What became of one host.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Its name.
    pub name: String,
    /// What the engine did.
    pub played: Played,
    /// When its rules were raised.
    pub spans: Vec<Span>,
}

/// What a rule set would have done.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// First sample.
    pub from: Stamp,
    /// Last sample.
    pub to: Stamp,
    /// Time that was played, of all hosts together, in weeks.
    pub weeks: f64,
    /// Hosts.
    pub hosts: usize,
    /// Samples.
    pub samples: u64,
    /// Rows left out because they go back in time.
    pub dropped: u64,
    /// Rules that raised something, most incidents first.
    pub rules: Vec<Row>,
    /// All rules together.
    pub all: Row,
    /// Rules that had series and stayed quiet.
    pub quiet: Vec<String>,
    /// Rules for which there was no series.
    pub blind: Vec<String>,
    /// When rules were raised, by host.
    pub raised: BTreeMap<String, Vec<Span>>,
}

/// Puts recorded series on one host, or each file on a host of its own.
///
/// # Errors
/// Two series of one host are the same signal of the same instance.
pub fn hosts(recording: &Recording, apart: bool) -> Result<Vec<Host>, String> {
    let mut hosts: Vec<Host> = Vec::new();
    for series in &recording.series {
        let name = if apart { series.name.clone() } else { String::new() };
        let at = hosts.iter().position(|h| h.name == name).unwrap_or_else(|| {
            hosts.push(Host { name, series: Vec::new() });
            hosts.len() - 1
        });
        let key =
            |s: &Recorded| (s.track.instance.key().to_owned(), s.track.columns.first().map(|(m, _)| *m));
        if let Some(other) = hosts[at].series.iter().find(|s| key(s) == key(series)) {
            let signal = series.track.columns.first().map_or("", |(m, _)| m.name());
            return Err(format!(
                "{signal} of {} comes from {} and from {}: give them labels of their own, or --apart, which makes \
                 each file a host of its own",
                series.track.instance.key(),
                other.name,
                series.name
            ));
        }
        hosts[at].series.push(series.clone());
    }
    Ok(hosts)
}

/// The jobs that play a rule set over hosts on that many threads.
pub fn jobs(plan: &Arc<Plan>, hosts: &[Host], threads: usize) -> Vec<Job> {
    let mut all = Vec::new();
    // Where there are hosts enough for all threads they need not be split.
    let parts = if hosts.len() >= threads { 1 } else { threads };
    for (host, Host { series, .. }) in hosts.iter().enumerate() {
        let tracks: Vec<_> = series.iter().map(|s| Arc::clone(&s.track)).collect();
        for (plan, tracks) in shards(plan, tracks, parts) {
            all.push(Job { host, plan, source: Box::new(Tracks::new(tracks)) });
        }
    }
    all
}

/// Plays jobs on threads; what they did by host, in the order of time. `done` counts samples on the way.
///
/// # Errors
/// The first thing that a source cannot read.
pub fn play_all(jobs: Vec<Job>, threads: usize, done: &AtomicU64) -> Result<BTreeMap<usize, Played>, String> {
    let queue = Mutex::new(VecDeque::from(jobs));
    let results = Mutex::new(Vec::new());
    // A thread that panics takes the program with it: no lock is ever seen poisoned by one that goes on.
    let take = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let work = || {
        while let Some(mut job) = take() {
            let mut before = 0;
            let mut progress = |samples: u64| {
                done.fetch_add(samples - before, Ordering::Relaxed);
                before = samples;
            };
            let played = play(job.plan, &mut *job.source, &mut progress);
            results.lock().unwrap_or_else(PoisonError::into_inner).push((job.host, played));
        }
    };
    std::thread::scope(|scope| (0..threads.max(1)).for_each(|_| drop(scope.spawn(work))));
    let mut by_host: BTreeMap<usize, Played> = BTreeMap::new();
    for (host, played) in results.into_inner().unwrap_or_else(PoisonError::into_inner) {
        join(by_host.entry(host).or_default(), played?);
    }
    for played in by_host.values_mut() {
        played.transitions.sort_by(|a, b| (a.at, &a.rule, &a.instance).cmp(&(b.at, &b.rule, &b.instance)));
        played.incidents.sort_by(|a, b| {
            (a.raised_at, &a.rule.id, &a.instance).cmp(&(b.raised_at, &b.rule.id, &b.instance))
        });
    }
    Ok(by_host)
}

/// Adds what another part of the same host did.
fn join(all: &mut Played, part: Played) {
    if part.samples == 0 {
        return;
    }
    all.from = if all.samples == 0 { part.from } else { all.from.min(part.from) };
    all.to = all.to.max(part.to);
    all.samples += part.samples;
    all.transitions.extend(part.transitions);
    all.incidents.extend(part.incidents);
}

/// Plays a rule set over hosts.
///
/// # Errors
/// What a source cannot read.
pub fn run(
    plan: &Arc<Plan>,
    hosts: &[Host],
    threads: usize,
    done: &AtomicU64,
) -> Result<Vec<Outcome>, String> {
    let mut by_host = play_all(jobs(plan, hosts, threads), threads, done)?;
    let outcome = |(i, host): (usize, &Host)| {
        let played = by_host.remove(&i).unwrap_or_default();
        let spans = spans(&played.transitions, played.to);
        Outcome { name: host.name.clone(), played, spans }
    };
    Ok(hosts.iter().enumerate().map(outcome).collect())
}

/// Samples of all series.
pub fn total(hosts: &[Host]) -> u64 {
    hosts.iter().flat_map(|h| &h.series).map(|s| (s.track.times.len() * s.track.columns.len()) as u64).sum()
}

/// Counts what was played; `labels` and the slack behind a labelled window, in ns, when there are any.
pub fn report(
    plan: &Plan,
    hosts: &[Host],
    outcomes: &[Outcome],
    labels: Option<(&[Window], i64)>,
    dropped: u64,
) -> Report {
    let weeks = count::weeks(outcomes);
    let mut rules = Vec::new();
    let (mut quiet, mut blind) = (Vec::new(), Vec::new());
    for rule in &plan.rules {
        let sees: Vec<bool> = hosts.iter().map(|h| count::sees(rule, h)).collect();
        let labelled = labels.map(|(windows, slack)| count::labelled(hosts, windows, slack, Some(rule)));
        let row = row(Some(&rule.id), outcomes, labelled.as_ref(), weeks);
        if row.raises > 0 {
            rules.push(row);
        } else if sees.contains(&true) {
            quiet.push(rule.id.clone());
        } else {
            blind.push(rule.id.clone());
        }
    }
    rules.sort_by(|a: &Row, b| (b.incidents, &a.rule).cmp(&(a.incidents, &b.rule)));
    let labelled = labels.map(|(windows, slack)| count::labelled(hosts, windows, slack, None));
    let played = || outcomes.iter().map(|o| &o.played).filter(|p| p.samples > 0);
    Report {
        from: Stamp(played().map(|p| p.from).min().unwrap_or(0)),
        to: Stamp(played().map(|p| p.to).max().unwrap_or(0)),
        weeks,
        hosts: hosts.len(),
        samples: played().map(|p| p.samples).sum(),
        dropped,
        rules,
        all: row(None, outcomes, labelled.as_ref(), weeks),
        quiet,
        blind,
        raised: outcomes.iter().map(|o| (o.name.clone(), o.spans.clone())).collect(),
    }
}

#[cfg(test)]
mod tests;
