//! Packing: an hour of rows becomes columns, series by series, in one transaction.
//!
//! The rows are read as often as it takes, each time for as many series as fit in [`PASS`] samples: so the
//! memory it needs does not depend on how many series there are.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::chunk;
use super::error::HistoryError;
use super::log::Entries;
use super::read::{self, Meta, RAW};
use super::write::Writer;
use crate::engine::moment::SECOND;
use crate::engine::signal::Value;

/// Samples held at a time; a series that has more alone is held whole.
const PASS: u64 = 4096;
/// Rows whose clocks differ by more belong to different segments.
const STEP: i64 = SECOND;

/// The samples of a series in this hour.
#[derive(Default)]
struct Samples {
    stamps: Vec<(i64, i64)>,
    values: Vec<Option<Value>>,
}

impl Writer {
    /// Packs all rows.
    ///
    /// # Errors
    /// Nothing has changed. See [`HistoryError`].
    pub fn pack(&mut self) -> Result<(), HistoryError> {
        let tx = self.conn.unchecked_transaction()?;
        self.damaged += drop_false(&tx)?;
        while let Some(rows) = next_rows(&tx)? {
            self.damaged += segment(&tx, &rows)?;
        }
        tx.commit()?;
        self.packed();
        Ok(())
    }
}

/// Deletes rows of which it is not known when they are from; returns how many.
fn drop_false(conn: &Connection) -> Result<u64, HistoryError> {
    let mut statement =
        conn.prepare_cached("SELECT id, 0, run, ahead, first, last, samples, sum FROM recent")?;
    let mut rows = statement.query([])?;
    let mut wrong = Vec::new();
    while let Some(row) = rows.next()? {
        wrong.extend(Some(Meta::read(row)?).filter(|(_, is_whole)| !is_whole).map(|(meta, _)| meta.id));
    }
    for id in &wrong {
        conn.prepare_cached("DELETE FROM recent WHERE id = ?1")?.execute([id])?;
    }
    Ok(wrong.len() as u64)
}

/// The oldest rows that belong to one segment.
fn next_rows(conn: &Connection) -> Result<Option<Vec<Meta>>, HistoryError> {
    let mut statement =
        conn.prepare_cached("SELECT id, 0, run, ahead, first, last, samples, sum FROM recent ORDER BY id")?;
    let mut rows: Vec<Meta> = Vec::new();
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        let (meta, _) = Meta::read(row)?;
        let fits =
            |first: &Meta| meta.run == first.run && meta.ahead.saturating_sub(first.ahead).abs() <= STEP;
        if rows.first().is_some_and(|first| !fits(first)) {
            break;
        }
        rows.push(meta);
    }
    Ok((!rows.is_empty()).then_some(rows))
}

/// Makes a segment of the rows and deletes them. Returns how many could not be read.
fn segment(conn: &Connection, rows: &[Meta]) -> Result<u64, HistoryError> {
    let (first, last) = (rows[0].id, rows[rows.len() - 1].id);
    let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
    let (mut begin, mut end) = (i64::MAX, i64::MIN);
    let damaged = each_entry(conn, first, last, |at, _, samples| {
        (begin, end) = (begin.min(at), end.max(at));
        samples.iter().for_each(|(series, _)| *counts.entry(*series).or_default() += 1);
    })?;
    let total: u64 = counts.values().sum();
    let id = read::next_segment(conn)?;
    let mut packer = Packer { conn, id, stamps: Vec::new(), bytes: 0 };
    let mut todo: Vec<(u32, u64)> = counts.into_iter().collect();
    while !todo.is_empty() {
        let mut held = 0;
        let fits = |(_, n): &&(u32, u64)| {
            held += n;
            held <= PASS
        };
        let some = todo.iter().take_while(fits).count().max(1);
        let mut columns: BTreeMap<u32, Samples> =
            todo.drain(..some).map(|(series, _)| (series, Samples::default())).collect();
        each_entry(conn, first, last, |at, interval, samples| {
            for (series, value) in samples {
                if let Some(column) = columns.get_mut(&series) {
                    column.stamps.push((at, interval));
                    column.values.push(value);
                }
            }
        })?;
        for (series, column) in &columns {
            packer.column(*series, column)?;
        }
    }
    if total > 0 {
        let samples = i64::try_from(total).unwrap_or(i64::MAX);
        let (run, ahead) = (rows[0].run, rows[0].ahead);
        let meta = Meta { id, kind: RAW, run, ahead, first: begin, last: end, samples };
        meta.write(conn, packer.bytes)?;
    }
    // Of what stood in damaged rows only.
    conn.prepare_cached("UPDATE series SET segment = ?1 WHERE segment = ?2")?.execute((id, i64::MAX))?;
    conn.prepare_cached("DELETE FROM recent WHERE id BETWEEN ?1 AND ?2")?.execute((first, last))?;
    Ok(damaged)
}

/// Calls `each` with the entries of these rows; returns how many rows could not be read.
fn each_entry(
    conn: &Connection,
    first: i64,
    last: i64,
    mut each: impl FnMut(i64, i64, Vec<(u32, Option<Value>)>),
) -> Result<u64, HistoryError> {
    let mut damaged = 0;
    let mut statement =
        conn.prepare_cached("SELECT id, body FROM recent WHERE id BETWEEN ?1 AND ?2 ORDER BY id")?;
    let mut rows = statement.query((first, last))?;
    while let Some(row) = rows.next()? {
        match chunk::unseal(row.get(0)?, row.get(1)?).and_then(Entries::open) {
            Some(entries) => entries.for_each(|entry| each(entry.at, entry.interval, entry.samples)),
            None => damaged += 1,
        }
    }
    Ok(damaged)
}

/// Writes the columns of one segment.
struct Packer<'a> {
    conn: &'a Connection,
    id: i64,
    /// Checksum and length of the rows of stamps so far.
    stamps: Vec<(u32, usize)>,
    bytes: u64,
}

impl Packer<'_> {
    fn column(&mut self, series: u32, samples: &Samples) -> Result<(), HistoryError> {
        let stamps = self.stamps(&samples.stamps)?;
        let distances = samples.stamps.windows(2).map(|pair| pair[1].0.wrapping_sub(pair[0].0));
        let elapsed: Vec<i64> = std::iter::once(0).chain(distances).collect();
        let id = read::row_id(self.id, series);
        let body = chunk::seal(id, &chunk::write_values(&samples.values, &elapsed));
        self.bytes += body.len() as u64;
        self.conn.prepare_cached("INSERT INTO chunk VALUES (?1, ?2, ?3)")?.execute((id, stamps, body))?;
        self.conn
            .prepare_cached("UPDATE series SET segment = ?1 WHERE id = ?2")?
            .execute((self.id, series))?;
        Ok(())
    }

    /// The number of the row with these stamps, which series that are read together share.
    fn stamps(&mut self, stamps: &[(i64, i64)]) -> Result<i64, HistoryError> {
        let payload = chunk::write_stamps(stamps);
        let mark = (crc32fast::hash(&payload), payload.len());
        for (place, _) in self.stamps.iter().enumerate().rev().filter(|(_, known)| **known == mark) {
            let id = read::row_id(self.id, place as u32);
            let sql = "SELECT body FROM stamps WHERE id = ?1";
            let known: Vec<u8> = self.conn.prepare_cached(sql)?.query_row([id], |row| row.get(0))?;
            if known == chunk::seal(id, &payload) {
                return Ok(id);
            }
        }
        let id = read::row_id(self.id, self.stamps.len() as u32);
        self.stamps.push(mark);
        let body = chunk::seal(id, &payload);
        self.bytes += body.len() as u64;
        self.conn.prepare_cached("INSERT INTO stamps VALUES (?1, ?2)")?.execute((id, body))?;
        Ok(id)
    }
}
