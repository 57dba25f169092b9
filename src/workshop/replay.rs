//! Plays a rule set over recorded series and counts what it would have done, rule by rule.
//!
//! Series are played in jobs on several threads: hosts are independent of each other, and so are the
//! instances of a host as far as no rule looks across them. The result is the same for any number of threads.
//! With labels it also says how much of the real trouble was hit, how late, and how much of the raised time
//! was noise.

mod count;
mod split;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use super::labels::Window;
use super::load::{Recorded, Recording};
use super::needed;
use super::past::{Choice, Past};
use super::play::{Played, Player, play};
use super::source::{Column, Source, Track, Tracks};
use super::span::{Span, spans};
use crate::engine::moment::Stamp;
use crate::engine::plan::Plan;
use crate::engine::rules::Rules;
use crate::engine::signal::{Class, Metric};
use crate::history::Coarse;

pub use count::{Hits, Labelled, Row, adrift, is_about, row, weeks};
pub use split::{Item, Part, around, split};

/// The series of one host.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// Its name in reports; empty when there is only one.
    pub name: String,
    /// Its series; of a history they have no samples here.
    pub series: Vec<Recorded>,
    /// Where the samples are, when they are not in memory.
    pub past: Option<Arc<Past>>,
}

/// Something to be played on one thread.
pub struct Job {
    /// Place of its host.
    pub host: usize,
    /// The rules that are judged in it.
    pub plan: Arc<Plan>,
    /// What they see.
    pub source: Box<dyn Source + Send>,
    /// Of the host they see what their rules name; another job counts its samples.
    pub is_host_lent: bool,
    /// First and last moment of the host, in ns since 1970: others of its instances may be seen for longer.
    pub span: (i64, i64),
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

impl Outcome {
    /// Keeps what the rules of a plan did.
    pub fn keep(&mut self, plan: &Plan) {
        let is_of = |id: &str| needed::rule(plan, id).is_some();
        self.played.transitions.retain(|t| is_of(&t.rule));
        self.played.incidents.retain(|i| is_of(&i.rule.id));
        self.spans.retain(|s| is_of(&s.rule));
    }
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
    /// Samples left out because they go back in time.
    pub dropped: u64,
    /// Rows of the history that are damaged.
    pub damaged: u64,
    /// For this time there are steps of five minutes only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coarse: Option<Coarse>,
    /// Declared objects of which the history has nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unseen: Vec<String>,
    /// Labelled windows that are about no series, by name; each as often as it stands there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub adrift: Vec<String>,
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
            hosts.push(Host { name, ..Host::default() });
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
///
/// # Errors
/// A history that cannot be read.
pub fn jobs(plan: &Arc<Plan>, hosts: &[Host], threads: usize) -> Result<Vec<Job>, String> {
    let mut all = Vec::new();
    // Where there are hosts enough for all threads they need not be split.
    let parts = if hosts.len() >= threads { 1 } else { threads };
    for (at, host) in hosts.iter().enumerate() {
        let (plan, span) = (&known_only(plan, host), span(host));
        for part in split(plan, &items(host), parts) {
            let (source, is_host_lent) = (source(host, &part)?, !part.named.is_empty());
            all.push(Job { host: at, plan: part.plan, source, is_host_lent, span });
        }
    }
    Ok(all)
}

/// Of series from files one cannot say that anything else was missing: what they do not hold is not waited
/// for. A history holds what the host has.
fn known_only(plan: &Arc<Plan>, host: &Host) -> Arc<Plan> {
    let is_known = |key: &str| host.series.iter().any(|s| s.track.instance.key() == key);
    if host.past.is_some() || plan.declared.iter().all(|d| is_known(d.key())) {
        return Arc::clone(plan);
    }
    let declared = plan.declared.iter().filter(|d| is_known(d.key())).cloned().collect();
    Arc::new(Plan { declared, ..Plan::clone(plan) })
}

/// First and last moment; both 0 where there is none.
fn span(host: &Host) -> (i64, i64) {
    if let Some(past) = &host.past {
        return past.span();
    }
    let times = || host.series.iter().map(|s| &s.track.times);
    let first = times().filter_map(|t| t.first()).min().copied();
    let last = times().filter_map(|t| t.last()).max().copied();
    (first.unwrap_or(0), last.unwrap_or(0))
}

fn items(host: &Host) -> Vec<Item> {
    let columns: usize = host.series.iter().map(|s| s.track.columns.len()).sum();
    // Of a history it is not known which series has how many.
    let each = host.past.as_ref().map_or(0, |past| past.total() / (columns.max(1) as u64));
    let weight = |track: &Track| match each {
        0 => (track.times.len() * track.columns.len()) as u64,
        each => each.saturating_mul(track.columns.len() as u64),
    };
    let item = |s: &Recorded| Item { instance: Arc::clone(&s.track.instance), weight: weight(&s.track) };
    host.series.iter().map(item).collect()
}

fn source(host: &Host, part: &Part) -> Result<Box<dyn Source + Send>, String> {
    if let Some(past) = &host.past {
        let (instances, named) = (part.instances.clone(), Arc::clone(&part.named));
        let choice = Choice { instances, signals: None, named };
        let before = Rules::new(Arc::clone(&part.plan)).wants_past();
        return Ok(Box::new(past.source(&choice, before)?));
    }
    let mut tracks = Vec::new();
    for track in host.series.iter().map(|s| &s.track) {
        if part.instances.contains(track.instance.key()) {
            tracks.push(Arc::clone(track));
        } else if track.instance.class == Class::Host {
            tracks.extend(narrowed(track, &part.named).map(Arc::new));
        }
    }
    Ok(Box::new(Tracks::new(tracks)))
}

/// The host's series with only those signals.
fn narrowed(track: &Track, named: &BTreeSet<Metric>) -> Option<Track> {
    let columns: Vec<(Metric, Column)> =
        track.columns.iter().filter(|(m, _)| named.contains(m)).cloned().collect();
    let (instance, interval, times) = (Arc::clone(&track.instance), track.interval, track.times.clone());
    (!columns.is_empty()).then_some(Track { instance, interval, times, columns })
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
            let mut player = Player::new(job.plan);
            if job.is_host_lent {
                player.lend_host();
            }
            let played = play(player, &mut *job.source, job.span, &mut progress);
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
    // All parts of a host have the same span.
    (all.from, all.to) = (part.from, part.to);
    all.samples += part.samples;
    all.refused += part.refused;
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
    let mut by_host = play_all(jobs(plan, hosts, threads)?, threads, done)?;
    let outcome = |(i, host): (usize, &Host)| {
        let played = by_host.remove(&i).unwrap_or_default();
        let spans = spans(&played.transitions, played.to);
        Outcome { name: host.name.clone(), played, spans }
    };
    Ok(hosts.iter().enumerate().map(outcome).collect())
}

/// Samples of all series; of a history roughly.
pub fn total(hosts: &[Host]) -> u64 {
    let of = |host: &Host| match &host.past {
        Some(past) => past.total(),
        None => host.series.iter().map(|s| (s.track.times.len() * s.track.columns.len()) as u64).sum(),
    };
    hosts.iter().map(of).sum()
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
    let pasts = || hosts.iter().filter_map(|h| Some((h.past.as_ref()?, h)));
    // Rows of files that go back were left out before.
    let refused: u64 = if pasts().next().is_some() { played().map(|p| p.refused).sum() } else { 0 };
    Report {
        from: Stamp(played().map(|p| p.from).min().unwrap_or(0)),
        to: Stamp(played().map(|p| p.to).max().unwrap_or(0)),
        weeks,
        hosts: hosts.len(),
        samples: played().map(|p| p.samples).sum(),
        dropped: dropped + pasts().map(|(p, _)| p.dropped()).sum::<u64>() + refused,
        damaged: pasts().map(|(p, _)| p.damaged()).sum(),
        coarse: pasts().find_map(|(p, _)| p.coarse()),
        unseen: pasts().flat_map(|(_, host)| unseen(plan, host)).collect(),
        adrift: labels.map(|(windows, _)| adrift(hosts, windows)).unwrap_or_default(),
        rules,
        all: row(None, outcomes, labelled.as_ref(), weeks),
        quiet,
        blind,
        raised: outcomes.iter().map(|o| (o.name.clone(), o.spans.clone())).collect(),
    }
}

/// What the plan declares and the host's series do not have.
fn unseen(plan: &Plan, host: &Host) -> Vec<String> {
    let keys: BTreeSet<&str> = host.series.iter().map(|s| s.track.instance.key()).collect();
    plan.declared.iter().map(|d| d.key().to_owned()).filter(|key| !keys.contains(key.as_str())).collect()
}

#[cfg(test)]
mod tests;
