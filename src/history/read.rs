//! Reading: which series there are, and what they were.
//!
//! Everything streams: a reader holds the packed row of a series and what it makes of it one sample at a
//! time. A row that is damaged is left out and counted. Samples of one moment come in the order in which they
//! were written; stamps are steady time, and wall time as the host believed it then.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row};

use super::chunk::{self, Stamps, Values};
use super::error::HistoryError;
use super::file;
use super::log::Entries;
use super::write::GONE;
use crate::engine::moment::Stamp;
use crate::engine::signal::{Class, Instance, Metric, Value};

/// Bits of a row's number that name the series (or the stamps) within a segment.
pub const SERIES_BITS: u32 = 24;
/// Kind of a segment of samples.
pub const RAW: i64 = 0;
/// Kind of a segment of rollups.
pub const ROLLUP: i64 = 1;

/// The number of a row.
pub fn row_id(segment: i64, place: u32) -> i64 {
    (segment << SERIES_BITS) | i64::from(place)
}

/// The number of the next segment.
pub fn next_segment(conn: &Connection) -> Result<i64, HistoryError> {
    let sql = "SELECT coalesce(max(id), 0) + 1 FROM segment";
    Ok(conn.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

/// What is said of a segment, or of a row that is not packed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Its number.
    pub id: i64,
    /// [`RAW`] or [`ROLLUP`].
    pub kind: i64,
    /// The run of the daemon that wrote it.
    pub run: i64,
    /// Wall time less steady time, ns.
    pub ahead: i64,
    /// Steady time of the first sample.
    pub first: i64,
    /// Steady time of the last sample.
    pub last: i64,
    /// Samples in it.
    pub samples: i64,
}

/// Checksum over what is said of a segment.
pub fn sum(id: i64, meta: &[i64]) -> i64 {
    let bytes: Vec<u8> = meta.iter().chain([&id]).flat_map(|n| n.to_le_bytes()).collect();
    i64::from(crc32fast::hash(&bytes))
}

impl Meta {
    /// From columns id, kind, run, ahead, first, last, samples, sum; and whether it is as it was written.
    pub fn read(row: &Row<'_>) -> Result<(Self, bool), HistoryError> {
        let (id, kind, run, ahead) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        let (first, last, samples) = (row.get(4)?, row.get(5)?, row.get(6)?);
        let meta = Self { id, kind, run, ahead, first, last, samples };
        let is_whole = row.get::<_, i64>(7)? == meta.sum();
        Ok((meta, is_whole))
    }

    fn sum(&self) -> i64 {
        sum(self.id, &[self.run, self.ahead, self.first, self.last, self.samples])
    }

    /// Adds the row of a segment.
    pub fn write(&self, conn: &Connection, bytes: u64) -> Result<(), HistoryError> {
        let Self { id, kind, run, ahead, first, last, samples } = *self;
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        conn.prepare_cached("INSERT INTO segment VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?.execute((
            id,
            kind,
            run,
            ahead,
            first,
            last,
            samples,
            self.sum(),
            bytes,
        ))?;
        Ok(())
    }

    /// Wall time of a steady stamp in it.
    pub fn stamp(&self, at: i64) -> Stamp {
        Stamp(at.saturating_add(self.ahead))
    }
}

/// A series of the history.
#[derive(Clone, Debug)]
pub struct Series {
    /// Its number in this file.
    pub id: u32,
    /// Of what.
    pub instance: Arc<Instance>,
    /// Its signal, by name: this version may not know it.
    pub metric: String,
}

impl Series {
    /// As people write it: `fs.used{mount=/data}`; of the host plain `cpu.busy`.
    pub fn name(&self) -> String {
        let key = self.instance.key();
        format!("{}{}", self.metric, &key[self.instance.class.name().len().min(key.len())..])
    }

    /// The signal, when this version has it.
    pub fn metric(&self) -> Option<Metric> {
        Metric::find(&self.metric)
    }

    /// It says that the instance has gone.
    pub fn is_end(&self) -> bool {
        self.metric == GONE
    }
}

/// One sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Steady time, ns.
    pub at: i64,
    /// Wall time as the host believed it.
    pub stamp: Stamp,
    /// Expected distance to the next, ns; 0 when told.
    pub interval: i64,
    /// The value, or that there was none.
    pub value: Option<Value>,
}

/// A part of the history in which a series is looked for, in order of time.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    /// A segment.
    Packed(Meta),
    /// A row that is not packed yet.
    Recent(Meta),
}

impl Part {
    /// What is said of it.
    pub fn meta(&self) -> &Meta {
        match self {
            Part::Packed(meta) | Part::Recent(meta) => meta,
        }
    }
}

/// Rows that could not be read: each counts once, however often it was met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Damage(BTreeSet<(Table, i64)>);

/// A table with rows that have a checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Table {
    Segment,
    Recent,
    Chunk,
    Stamps,
}

impl Damage {
    /// How many rows.
    pub fn count(&self) -> u64 {
        self.0.len() as u64
    }

    /// Adds what another reader met.
    pub fn join(&mut self, other: Damage) {
        self.0.extend(other.0);
    }

    /// A row that is met again is no other.
    pub(super) fn met(&mut self, table: Table, id: i64) {
        self.0.insert((table, id));
    }
}

/// Reads a history.
pub struct Reader<'a> {
    pub(super) conn: &'a Connection,
    /// Rows that could not be read so far.
    pub damaged: Damage,
}

/// A history opened for reading, beside a daemon that writes it or without one.
pub struct Archive(pub(super) Connection);

impl Archive {
    /// Opens the history in the store's directory.
    ///
    /// # Errors
    /// `Absent` when there is none; else see [`HistoryError`].
    pub fn open(dir: &Path) -> Result<Self, HistoryError> {
        Ok(Self(file::open_to_read(dir)?))
    }

    /// Holds on to what there is now: what the daemon writes or packs meanwhile is not seen, nor missed. The
    /// log of the file cannot be shortened for so long.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub fn hold(&self) -> Result<(), HistoryError> {
        Ok(self.0.execute_batch("BEGIN")?)
    }

    /// Reads.
    pub fn reader(&self) -> Reader<'_> {
        Reader::new(&self.0)
    }
}

impl<'a> Reader<'a> {
    /// Reads by that connection.
    pub fn new(conn: &'a Connection) -> Self {
        Self { conn, damaged: Damage::default() }
    }

    /// Every series that has samples, with the labels its instance had last; by instance and signal.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub fn series(&mut self) -> Result<Vec<Series>, HistoryError> {
        let sql = "SELECT s.id, s.metric, i.class, i.labels FROM series s JOIN instance i \
                   ON i.id = s.instance ORDER BY i.key, s.metric";
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query([])?;
        let (mut all, mut last): (Vec<Series>, Option<(String, String)>) = (Vec::new(), None);
        while let Some(row) = rows.next()? {
            let named: (String, String) = (row.get(2)?, row.get(3)?);
            let instance = match (all.last(), &last) {
                (Some(series), Some(before)) if *before == named => Arc::clone(&series.instance),
                _ => {
                    let labels = serde_json::from_str::<BTreeMap<String, String>>(&named.1);
                    let (Some(class), Ok(labels)) = (Class::parse(&named.0), labels) else {
                        // A class of another version, or damage.
                        continue;
                    };
                    Arc::new(Instance::new(class, labels))
                }
            };
            last = Some(named);
            all.push(Series { id: row.get(0)?, instance, metric: row.get(1)? });
        }
        Ok(all)
    }

    /// Bytes of all rows of samples and rollups, and of the file's pages that are in use.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub fn bytes(&mut self) -> Result<(u64, u64), HistoryError> {
        let one = |sql: &str| self.conn.query_row(sql, [], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs);
        let packed = one("SELECT coalesce(sum(bytes), 0) FROM segment")?;
        let recent = one("SELECT coalesce(sum(length(body)), 0) FROM recent")?;
        let pages = one("PRAGMA page_count")?.saturating_sub(one("PRAGMA freelist_count")?);
        Ok((packed + recent, pages * one("PRAGMA page_size")?))
    }

    /// Segments of a kind (and rows that are not packed yet, for `RAW`) that reach into that time.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub fn parts(&mut self, kind: i64, from: Stamp, to: Stamp) -> Result<Vec<Part>, HistoryError> {
        let reaches = "last + ahead >= ?2 AND first + ahead <= ?3";
        let packed = format!(
            "SELECT id, kind, run, ahead, first, last, samples, sum FROM segment \
             WHERE kind = ?1 AND {reaches} ORDER BY first + ahead, id"
        );
        let recent = format!(
            "SELECT id, ?1, run, ahead, first, last, samples, sum FROM recent WHERE {reaches} ORDER BY id"
        );
        let mut parts = Vec::new();
        self.metas(Table::Segment, &packed, (kind, from, to), |meta| parts.push(Part::Packed(meta)))?;
        if kind == RAW {
            self.metas(Table::Recent, &recent, (kind, from, to), |meta| parts.push(Part::Recent(meta)))?;
        }
        Ok(parts)
    }

    fn metas(
        &mut self,
        table: Table,
        sql: &str,
        (kind, from, to): (i64, Stamp, Stamp),
        mut each: impl FnMut(Meta),
    ) -> Result<(), HistoryError> {
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query((kind, from.0, to.0))?;
        while let Some(row) = rows.next()? {
            match Meta::read(row)? {
                (meta, true) => each(meta),
                (meta, false) => self.damaged.met(table, meta.id),
            }
        }
        Ok(())
    }

    /// The samples of a series in that time (both ends belong to it), until `each` breaks.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub fn samples(
        &mut self,
        series: u32,
        from: Stamp,
        to: Stamp,
        each: &mut dyn FnMut(Sample) -> ControlFlow<()>,
    ) -> Result<(), HistoryError> {
        for part in self.parts(RAW, from, to)? {
            let mut within = |sample: Sample| {
                if sample.stamp < from || sample.stamp > to {
                    ControlFlow::Continue(())
                } else {
                    each(sample)
                }
            };
            if self.part(&part, series, &mut within)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// The samples of a series in one part.
    pub(super) fn part(
        &mut self,
        part: &Part,
        series: u32,
        each: &mut dyn FnMut(Sample) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, HistoryError> {
        let meta = *part.meta();
        let sample = |at, interval, value| Sample { at, stamp: meta.stamp(at), interval, value };
        match part {
            Part::Packed(meta) => {
                let Some(column) = self.column(meta, series)? else { return Ok(ControlFlow::Continue(())) };
                for (at, interval, value) in column {
                    if each(sample(at, interval, value)).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
            }
            Part::Recent(meta) => {
                for entry in self.entries(meta)?.into_iter().flatten() {
                    let own = entry.samples.into_iter().filter(|(id, _)| *id == series);
                    for (_, value) in own {
                        if each(sample(entry.at, entry.interval, value)).is_break() {
                            return Ok(ControlFlow::Break(()));
                        }
                    }
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The column of a series in a segment; `None` when it has none, or a damaged one.
    pub(super) fn column(&mut self, meta: &Meta, series: u32) -> Result<Option<SampleColumn>, HistoryError> {
        let Some((stamps_id, values)) = self.values(meta, series)? else { return Ok(None) };
        Ok(self.stamps(stamps_id)?.map(|stamps| SampleColumn { stamps, values }))
    }

    /// The values of a series in a segment and the number of their row of stamps; `None` when it has none, or
    /// damaged ones.
    pub(super) fn values(&mut self, meta: &Meta, series: u32) -> Result<Option<(i64, Values)>, HistoryError> {
        let id = row_id(meta.id, series);
        let mut statement = self.conn.prepare_cached("SELECT stamps, body FROM chunk WHERE id = ?1")?;
        let row = statement.query_row([id], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)));
        let Some((stamps, values)) = row.optional()? else { return Ok(None) };
        let values = chunk::unseal(id, values).and_then(Values::open);
        if values.is_none() {
            self.damaged.met(Table::Chunk, id);
        }
        Ok(values.map(|values| (stamps, values)))
    }

    /// A row of stamps; `None` when it is not there or damaged.
    pub(super) fn stamps(&mut self, id: i64) -> Result<Option<Stamps>, HistoryError> {
        let mut statement = self.conn.prepare_cached("SELECT body FROM stamps WHERE id = ?1")?;
        let row: Option<Vec<u8>> = statement.query_row([id], |row| row.get(0)).optional()?;
        let stamps = row.and_then(|row| chunk::unseal(id, row)).and_then(Stamps::open);
        if stamps.is_none() {
            self.damaged.met(Table::Stamps, id);
        }
        Ok(stamps)
    }

    /// The body of a rollup's row.
    pub(super) fn rollup_row(&mut self, meta: &Meta, series: u32) -> Result<Option<Vec<u8>>, HistoryError> {
        let id = row_id(meta.id, series);
        let mut statement = self.conn.prepare_cached("SELECT body FROM chunk WHERE id = ?1")?;
        Ok(statement.query_row([id], |row| row.get(0)).optional()?)
    }

    /// The entries of a row that is not packed yet; `None` when it is damaged or was packed meanwhile.
    pub(super) fn entries(&mut self, meta: &Meta) -> Result<Option<Entries>, HistoryError> {
        let mut statement = self.conn.prepare_cached("SELECT body FROM recent WHERE id = ?1")?;
        let body: Option<Vec<u8>> = statement.query_row([meta.id], |row| row.get(0)).optional()?;
        let Some(body) = body else { return Ok(None) };
        let entries = chunk::unseal(meta.id, body).and_then(Entries::open);
        if entries.is_none() {
            self.damaged.met(Table::Recent, meta.id);
        }
        Ok(entries)
    }
}

/// The samples of a series in a segment, one by one.
pub struct SampleColumn {
    stamps: Stamps,
    values: Values,
}

impl Iterator for SampleColumn {
    /// Steady time, interval, value.
    type Item = (i64, i64, Option<Value>);

    fn next(&mut self) -> Option<Self::Item> {
        let (at, interval, elapsed) = self.stamps.next()?;
        Some((at, interval, self.values.next(elapsed)?))
    }
}
