//! Writing: observations become a row a minute; series get their numbers here.
//!
//! What is written is what the rules took in: a sample older than the newest of its series is refused, a
//! number that is none counts as no value. A series is known here for as long as it is heard of; one that is
//! not is forgotten when the next hour is packed, and its row goes with its last samples.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::Connection;

use super::chunk;
use super::error::HistoryError;
use super::log::{self, Entry};
use crate::engine::moment::{DAY, HOUR, SECOND};
use crate::engine::signal::{Instance, Metric, Observation, SIGNALS, Value};

/// Most series heard of in one hour; samples of others are refused.
pub const SERIES: usize = 16_384;
/// An hour's rows are packed when a series has so many samples in them, or when the hour is over.
const PACK_SAMPLES: u32 = 3600;
/// An hour in which no series has so many is not packed by itself: columns would be too short.
const PACK_LEAST: u32 = 60;
/// Or when they all have so many.
const PACK_ALL: u64 = 1 << 20;
/// A wall clock that moved by more against the steady one begins a new row, and a new segment.
const STEP: i64 = SECOND;
/// The series of an instance that is true when the instance has gone.
pub const GONE: &str = "";

/// The open file, with what is known of the hour that is being written.
pub struct Writer {
    /// The connection.
    pub conn: Connection,
    /// The number of this run of the daemon.
    pub run: i64,
    /// The budget in bytes.
    pub limit: u64,
    /// Rows that could not be read so far.
    pub damaged: u64,
    known: BTreeMap<String, Known>,
    series: usize,
    hour: Hour,
}

/// An instance that is heard of.
struct Known {
    instance: Arc<Instance>,
    id: i64,
    /// Its series: signal (`None`: that it has gone), number, newest stamp.
    series: Vec<(Option<Metric>, u32, i64)>,
    is_heard: bool,
}

/// The rows that are not packed yet.
#[derive(Default)]
struct Hour {
    since: Option<i64>,
    samples: u64,
    of: BTreeMap<u32, u32>,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Samples written.
    pub samples: u64,
    /// Samples refused: older than the newest of their series, or of one series too many.
    pub refused: u64,
}

impl Writer {
    /// Begins a run on an open file; `now` in steady ns.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub fn new(conn: Connection, limit: u64, now: i64) -> Result<Self, HistoryError> {
        let run: i64 =
            conn.query_row("INSERT INTO run (at) VALUES (?1) RETURNING id", [now], |r| r.get(0))?;
        let rows: i64 = conn.query_row("SELECT count(*) FROM recent", [], |r| r.get(0))?;
        // Rows of an earlier run are packed with the first row of this one.
        let hour = Hour { since: (rows > 0).then_some(now.saturating_sub(DAY)), ..Hour::default() };
        let page: i64 = conn.query_row("PRAGMA page_size", [], |row| row.get(0))?;
        let pages = limit / page.unsigned_abs().max(512);
        conn.query_row(&format!("PRAGMA max_page_count = {}", pages.max(64)), [], |_| Ok(()))?;
        Ok(Self { conn, run, limit, damaged: 0, known: BTreeMap::new(), series: 0, hour })
    }

    /// Writes a batch in one transaction.
    ///
    /// # Errors
    /// Nothing of it was written. See [`HistoryError`].
    pub fn write(&mut self, batch: &[Observation]) -> Result<Written, HistoryError> {
        let outcome = self.attempt(batch);
        if outcome.is_err() {
            // Numbers given out in the transaction are not in the file.
            self.known.clear();
            self.series = 0;
        }
        outcome
    }

    fn attempt(&mut self, batch: &[Observation]) -> Result<Written, HistoryError> {
        let mut written = Written::default();
        self.conn.execute_batch("BEGIN IMMEDIATE")?;
        let mut rest = batch;
        let outcome = loop {
            let ahead = |o: &Observation| o.at.wall.saturating_sub(o.at.mono);
            let Some(first) = rest.first().map(ahead) else { break Ok(()) };
            let is_near = |o: &&Observation| (ahead(o).saturating_sub(first)).abs() <= STEP;
            let (row, others) = rest.split_at(rest.iter().take_while(is_near).count().max(1));
            if let Err(error) = self.row(row, first, &mut written) {
                break Err(error);
            }
            rest = others;
        };
        let outcome = outcome.and_then(|()| Ok(self.conn.execute_batch("COMMIT")?));
        if outcome.is_err() && !self.conn.is_autocommit() {
            let _ = self.conn.execute_batch("ROLLBACK");
        }
        outcome.map(|()| written)
    }

    fn row(&mut self, row: &[Observation], ahead: i64, written: &mut Written) -> Result<(), HistoryError> {
        let mut entries = Vec::with_capacity(row.len());
        for observation in row {
            let mut entry =
                Entry { at: observation.at.mono, interval: observation.interval, samples: Vec::new() };
            for (metric, value) in &observation.samples {
                let spec = SIGNALS.get(usize::from(metric.0));
                let value = value.clone().filter(|v| !matches!(v, Value::Num(n) if !n.is_finite()));
                let is_own = spec.is_some_and(|s| s.class == observation.instance.class);
                match is_own.then(|| self.number(observation, Some(*metric))).transpose()?.flatten() {
                    Some(series) => entry.samples.push((series, value)),
                    None => written.refused += 1,
                }
            }
            if observation.gone {
                let series = self.number(observation, None)?;
                entry.samples.extend(series.map(|series| (series, Some(Value::Bool(true)))));
                self.forget(observation.instance.key());
            }
            for (series, _) in &entry.samples {
                *self.hour.of.entry(*series).or_default() += 1;
            }
            entries.extend((!entry.samples.is_empty()).then_some(entry));
        }
        let (first, last) = (entries.iter().map(|e| e.at).min(), entries.iter().map(|e| e.at).max());
        let (Some(first), Some(last)) = (first, last) else { return Ok(()) };
        let samples: u64 = entries.iter().map(|e| e.samples.len() as u64).sum();
        written.samples += samples;
        self.hour.samples += samples;
        self.hour.since.get_or_insert(first);
        let newest = "SELECT coalesce(max(id), 0) + 1 FROM recent";
        let id: i64 = self.conn.prepare_cached(newest)?.query_row([], |r| r.get(0))?;
        let count = i64::try_from(samples).unwrap_or(i64::MAX);
        let meta = [self.run, ahead, first, last, count];
        let body = chunk::seal(id, &log::write(&entries));
        self.conn.prepare_cached("INSERT INTO recent VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?.execute((
            id,
            self.run,
            ahead,
            first,
            last,
            count,
            super::read::sum(id, &meta),
            body,
        ))?;
        Ok(())
    }

    /// The number of a series, when the sample is to be taken.
    fn number(&mut self, from: &Observation, metric: Option<Metric>) -> Result<Option<u32>, HistoryError> {
        let (instance, at) = (&from.instance, from.at.mono);
        if !self.known.get(instance.key()).is_some_and(|known| is_same(&known.instance, instance)) {
            self.meet(instance)?;
        }
        let Self { conn, known, series: count, .. } = self;
        let Some(known) = known.get_mut(instance.key()) else { return Ok(None) };
        known.is_heard = true;
        if let Some((_, series, newest)) = known.series.iter_mut().find(|(m, ..)| *m == metric) {
            let is_old = at < *newest;
            *newest = at.max(*newest);
            return Ok((!is_old).then_some(*series));
        }
        if *count >= SERIES {
            return Ok(None);
        }
        // The same row as when it was last heard of.
        let sql = "INSERT INTO series (instance, metric, segment) VALUES (?1, ?2, ?3) \
                   ON CONFLICT DO UPDATE SET segment = excluded.segment RETURNING id";
        let name = metric.map_or(GONE, Metric::name);
        let mut statement = conn.prepare_cached(sql)?;
        let series: i64 = statement.query_row((known.id, name, i64::MAX), |row| row.get(0))?;
        let Some(series) = u32::try_from(series).ok().filter(|id| *id < 1 << super::read::SERIES_BITS) else {
            return Ok(None);
        };
        known.series.push((metric, series, at));
        *count += 1;
        Ok(Some(series))
    }

    fn meet(&mut self, instance: &Arc<Instance>) -> Result<(), HistoryError> {
        let labels = serde_json::to_string(&instance.labels).unwrap_or_default();
        let sql = "INSERT INTO instance (key, class, labels) VALUES (?1, ?2, ?3) \
                   ON CONFLICT DO UPDATE SET labels = excluded.labels RETURNING id";
        let row = (instance.key(), instance.class.name(), labels);
        let id: i64 = self.conn.prepare_cached(sql)?.query_row(row, |row| row.get(0))?;
        let new = || Known { instance: Arc::clone(instance), id, series: Vec::new(), is_heard: true };
        let known = self.known.entry(instance.key().to_owned()).or_insert_with(new);
        known.instance = Arc::clone(instance);
        Ok(())
    }

    fn forget(&mut self, key: &str) {
        if let Some(known) = self.known.remove(key) {
            self.series -= known.series.len();
        }
    }

    /// The rows are to be packed: the hour is over, or they are many.
    pub fn is_due(&self, now: i64) -> bool {
        let lasts = self.hour.since.map_or(0, |since| now.saturating_sub(since));
        let most = self.hour.of.values().copied().max().unwrap_or(0);
        let is_over = lasts >= DAY || lasts >= HOUR && most >= PACK_LEAST;
        is_over || most >= PACK_SAMPLES || self.hour.samples >= PACK_ALL
    }

    /// The rows were packed: what was not heard of since the last time is forgotten.
    pub fn packed(&mut self) {
        self.hour = Hour::default();
        self.known.retain(|_, known| std::mem::take(&mut known.is_heard));
        self.series = self.known.values().map(|known| known.series.len()).sum();
    }

    /// Rows of series were deleted: all get their numbers anew.
    pub fn meet_again(&mut self) {
        self.known.clear();
        self.series = 0;
    }

    /// Series heard of in this hour.
    pub fn series(&self) -> usize {
        self.series
    }
}

/// The instance that is known, with the labels that are known.
fn is_same(known: &Arc<Instance>, instance: &Arc<Instance>) -> bool {
    Arc::ptr_eq(known, instance) || known.labels == instance.labels
}
