//! The host's own history as series to be played, while the daemon writes it or without one.
//!
//! Read only, from one snapshot of the file for each source, observation by observation: held at a time are
//! the packed rows of one segment (an hour, at most 1 048 576 samples) and what windows need. Where samples
//! are gone, rollups of five minutes stand in, and [`Past::coarse`] says so. Like the live engine it begins
//! anew where the daemon did. It must not know what the series are played for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::html::day;
use super::load::Recorded;
use super::source::{self, Column, Source, Track};
use crate::engine::moment::{MINUTE, Stamp};
use crate::engine::signal::{Instance, Metric, Observation, Value};
use crate::history::{Archive, Ask, Coarse, Damage, HistoryError, Series, Stream};

/// After a boot polled signals raise nothing for so long, as in the daemon.
const GRACE: i64 = 2 * MINUTE;
/// Points of a plot: more are joined to their least and largest.
const POINTS: i64 = 1680;

/// A history, and which time of it.
#[derive(Debug)]
pub struct Past {
    dir: PathBuf,
    from: Stamp,
    to: Stamp,
    /// The oldest sample, ns.
    first: i64,
    /// Samples of all series, roughly.
    total: u64,
    coarse: Option<Coarse>,
    /// Observations left out, as their clock ran ahead of later ones.
    dropped: AtomicU64,
    /// Rows that were damaged.
    damaged: Mutex<Damage>,
}

/// Which series a source gives.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// Keys of instances whose signals are wanted.
    pub instances: BTreeSet<String>,
    /// Which of their signals; `None`: all.
    pub signals: Option<BTreeSet<Metric>>,
    /// Signals of the host that are wanted though the host is not.
    pub named: Arc<BTreeSet<Metric>>,
}

impl Choice {
    fn wants(&self, series: &Series) -> bool {
        let metric = series.metric();
        let is_one = || match (&self.signals, metric) {
            (Some(signals), Some(metric)) => signals.contains(&metric),
            _ => true,
        };
        let is_named = || metric.is_some_and(|m| self.named.contains(&m));
        (self.instances.contains(series.instance.key()) && is_one()) || is_named()
    }
}

impl Past {
    /// Looks into the history in a directory; the series that it has in that time (both ends belong to it),
    /// without their samples.
    ///
    /// # Errors
    /// A sentence: there is none, or it cannot be read.
    pub fn open(dir: &Path, from: Stamp, to: Stamp) -> Result<(Arc<Self>, Vec<Recorded>), String> {
        let archive = Archive::open(dir).map_err(|e| wrong(dir, &e))?;
        let mut reader = archive.reader();
        let ask = Ask { from, to, wants: &|_| true, before: BTreeMap::new() };
        let stream = Stream::begin(&mut reader, ask).map_err(|e| wrong(dir, &e))?;
        let all = reader.series().map_err(|e| wrong(dir, &e))?;
        let (total, coarse) = (stream.total(), stream.coarse());
        let first = stream.oldest().unwrap_or(0).max(from.0);
        // What comes in meanwhile is not seen by some threads only.
        let to = to.min(Stamp(stream.newest().unwrap_or(i64::MAX)));
        if total == 0 {
            let all =
                Ask { from: Stamp(i64::MIN), to: Stamp(i64::MAX), wants: &|_| true, before: BTreeMap::new() };
            let all = Stream::begin(&mut reader, all).map_err(|e| wrong(dir, &e))?;
            let (Some(oldest), Some(newest)) = (all.oldest(), all.newest()) else {
                return Err(format!("{}: the history is empty yet", dir.display()));
            };
            let (oldest, newest) = (day(Stamp(oldest)), day(Stamp(newest)));
            return Err(format!(
                "{}: the history has no samples of that time; it has them from {oldest} to {newest}",
                dir.display()
            ));
        }
        let mut tracks: BTreeMap<Arc<Instance>, Vec<(Metric, Column)>> = BTreeMap::new();
        for series in &all {
            if let Some(metric) = series.metric() {
                tracks.entry(Arc::clone(&series.instance)).or_default().push((metric, Column::of(metric)));
            }
        }
        let recorded = tracks.into_iter().map(|(instance, columns)| {
            let track = Track { instance, interval: 0, times: Vec::new(), columns };
            Recorded { name: "history".to_owned(), column: String::new(), track: Arc::new(track) }
        });
        let recorded = recorded.collect();
        let (dir, dropped, damaged) = (dir.to_owned(), AtomicU64::new(0), Mutex::new(reader.damaged));
        Ok((Arc::new(Self { dir, from, to, first, total, coarse, dropped, damaged }), recorded))
    }

    /// First and last moment, in ns since 1970.
    pub fn span(&self) -> (i64, i64) {
        (self.first, self.to.0)
    }

    /// Samples of all series, roughly.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Which part of the time is kept as rollups only.
    pub fn coarse(&self) -> Option<Coarse> {
        self.coarse
    }

    /// Observations left out so far, as their clock ran ahead of later ones.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Rows that were found damaged so far.
    pub fn damaged(&self) -> u64 {
        self.damage().count()
    }

    /// Nobody panics who holds it.
    fn damage(&self) -> MutexGuard<'_, Damage> {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds what a reader met.
    fn met(&self, damage: Damage) {
        if damage.count() > 0 {
            self.damage().join(damage);
        }
    }

    /// Some of its series; of the signals in `before` also what windows look back to, ns.
    ///
    /// # Errors
    /// A sentence: it cannot be read.
    pub fn source(
        self: &Arc<Self>,
        choice: &Choice,
        before: BTreeMap<Metric, i64>,
    ) -> Result<PastSource, String> {
        let failed = |e| wrong(&self.dir, &e);
        let archive = Archive::open(&self.dir).map_err(failed)?;
        archive.hold().map_err(failed)?;
        let mut reader = archive.reader();
        let ask = Ask { from: self.from, to: self.to, wants: &|s| choice.wants(s), before };
        let stream = Stream::begin(&mut reader, ask).map_err(failed)?;
        self.met(reader.damaged);
        let is_lent = !choice.named.is_empty();
        Ok(PastSource { past: Arc::clone(self), archive, stream, is_lent })
    }

    /// A signal of an instance for a plot: of many samples the least and the largest.
    ///
    /// # Errors
    /// A sentence: it cannot be read.
    pub fn outline(&self, instance: &str, metric: Metric) -> Result<Option<Track>, String> {
        let failed = |e| wrong(&self.dir, &e);
        let archive = Archive::open(&self.dir).map_err(failed)?;
        archive.hold().map_err(failed)?;
        let mut reader = archive.reader();
        let is_meant = |s: &Series| s.instance.key() == instance && s.metric() == Some(metric);
        let ask = Ask { from: self.from, to: self.to, wants: &is_meant, before: BTreeMap::new() };
        let mut stream = Stream::begin(&mut reader, ask).map_err(failed)?;
        let (Some(first), Some(last)) = (stream.oldest(), stream.newest()) else { return Ok(None) };
        let cell = ((last.min(self.to.0) - first.max(self.from.0)) / POINTS).max(1);
        let mut outline = Outline { cell, ..Outline::default() };
        while let Some(seen) = stream.next(&mut reader).map_err(failed)? {
            outline.take(seen);
        }
        self.met(reader.damaged);
        Ok(outline.finish(metric))
    }
}

fn wrong(dir: &Path, error: &HistoryError) -> String {
    match error {
        HistoryError::Absent(path) => {
            format!(
                "there is no history at {}: name its directory (--history DIR), or CSV files",
                path.display()
            )
        }
        error => format!("cannot read the history in {}: {error}", dir.display()),
    }
}

/// Some series of a history, played once.
pub struct PastSource {
    past: Arc<Past>,
    archive: Archive,
    stream: Stream,
    /// The host is seen for others: its own part counts what is lost of it.
    is_lent: bool,
}

impl PastSource {
    fn failed(&self, error: &HistoryError) -> String {
        wrong(&self.past.dir, error)
    }
}

impl Source for PastSource {
    fn next(&mut self) -> Result<Option<&Observation>, String> {
        let mut reader = self.archive.reader();
        let seen = self.stream.next(&mut reader).map_err(|e| wrong(&self.past.dir, &e))?;
        self.past.met(reader.damaged);
        Ok(seen)
    }

    fn restart(&mut self) -> Result<Option<source::Restart>, String> {
        let mut reader = self.archive.reader();
        let restart = self.stream.restart(&mut reader).map_err(|e| self.failed(&e))?;
        self.past.met(reader.damaged);
        Ok(restart.map(|r| {
            let settled = r.booted.map(|booted| booted.saturating_add(GRACE)).filter(|end| *end > r.at);
            source::Restart { at: r.at, ended: r.ended, settled }
        }))
    }

    fn judged_from(&self) -> i64 {
        self.past.from.0
    }
}

impl Drop for PastSource {
    fn drop(&mut self) {
        let others = if self.is_lent { self.stream.dropped_of_host } else { 0 };
        self.past.dropped.fetch_add(self.stream.dropped - others, Ordering::Relaxed);
    }
}

/// Time and value.
type Point = (i64, f64);

/// A curve in cells of time.
#[derive(Default)]
struct Outline {
    cell: i64,
    instance: Option<Arc<Instance>>,
    interval: i64,
    /// Least and largest of the running cell, with their times.
    running: Option<(i64, Point, Point)>,
    times: Vec<i64>,
    values: Vec<f64>,
}

impl Outline {
    fn take(&mut self, seen: &Observation) {
        self.instance.get_or_insert_with(|| Arc::clone(&seen.instance));
        self.interval = self.interval.max(seen.interval).max(2 * self.cell);
        let at = seen.at.mono;
        for (_, value) in &seen.samples {
            let value = match value {
                Some(Value::Num(n)) => *n,
                Some(Value::Bool(b)) => f64::from(u8::from(*b)),
                _ => continue,
            };
            let number = at.div_euclid(self.cell);
            match &mut self.running {
                Some((cell, low, high)) if *cell == number => {
                    *low = if value < low.1 { (at, value) } else { *low };
                    *high = if value > high.1 { (at, value) } else { *high };
                }
                _ => {
                    self.close();
                    self.running = Some((number, (at, value), (at, value)));
                }
            }
        }
    }

    fn close(&mut self) {
        let Some((_, low, high)) = self.running.take() else { return };
        let (first, second) = if low.0 <= high.0 { (low, high) } else { (high, low) };
        for (at, value) in [first, second].into_iter().take(if first == second { 1 } else { 2 }) {
            self.times.push(at);
            self.values.push(value);
        }
    }

    fn finish(mut self, metric: Metric) -> Option<Track> {
        self.close();
        let (instance, interval, times) = (self.instance?, self.interval, self.times);
        Some(Track { instance, interval, times, columns: vec![(metric, Column::Numbers(self.values))] })
    }
}
