//! Keeping within the budget: the oldest samples become rollups of five minutes, the oldest rollups go.
//!
//! Samples go first while they hold more than half of what is kept, so that neither leaves the other without
//! room. A day becomes one segment of rollups. What has no samples left in any segment is deleted with its
//! labels, so instances that come and go leave nothing behind.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::chunk;
use super::error::HistoryError;
use super::read::{self, Meta, RAW, ROLLUP, Reader};
use super::rollup::{self, Roller};
use super::write::Writer;
use crate::engine::moment::DAY;

/// Segments of samples that become one of rollups at most; nor more than a quarter of all.
const SEGMENTS: usize = 48;
/// Things shed in one go at most; the rest waits for the next minute.
const ROUNDS: usize = 16;
/// Free pages that may stay in the file to be used again, and pages given back in one go at most.
const SPARE_PAGES: i64 = 16;
const PAGES: i64 = 1024;

/// Sizes of the history in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// The file and its log.
    pub file: u64,
    /// Of that, pages in use.
    pub used: u64,
}

impl Writer {
    /// Sizes now.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub fn size(&self) -> Result<Size, HistoryError> {
        let pragma = |name: &str| -> Result<u64, HistoryError> {
            let n: i64 = self.conn.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))?;
            Ok(n.unsigned_abs())
        };
        let (pages, free, page) = (pragma("page_count")?, pragma("freelist_count")?, pragma("page_size")?);
        let wal = self.conn.path().and_then(|path| std::fs::metadata(format!("{path}-wal")).ok());
        let wal = wal.map_or(0, |meta| meta.len());
        Ok(Size { file: pages * page + wal, used: pages.saturating_sub(free) * page })
    }

    /// What pages in use may take: the rest is for the log and for what is written before other things go.
    fn goal(&self) -> u64 {
        self.limit - (self.limit / 2).min(4 << 20)
    }

    /// Sheds the oldest while there is too much, and gives free pages back.
    ///
    /// # Errors
    /// See [`HistoryError`]; what was shed before stays shed.
    pub fn keep_budget(&mut self) -> Result<(), HistoryError> {
        for _ in 0..ROUNDS {
            if self.size()?.used <= self.goal() || !self.shed()? {
                break;
            }
        }
        self.give_back()
    }

    /// Sheds something; false when there is nothing left.
    fn shed(&mut self) -> Result<bool, HistoryError> {
        let wrong = self.in_transaction(drop_false)?;
        self.damaged += wrong;
        if wrong > 0 {
            return Ok(true);
        }
        let of = |kind: i64| -> Result<i64, HistoryError> {
            let sql = "SELECT coalesce(sum(bytes), 0) FROM segment WHERE kind = ?1";
            Ok(self.conn.prepare_cached(sql)?.query_row([kind], |row| row.get(0))?)
        };
        let (raw, rollups) = (of(RAW)?, of(ROLLUP)?);
        if raw > rollups {
            let thinned = self.in_transaction(thin);
            return match thinned {
                // No room for the rollups: then without.
                Err(HistoryError::Full) => self.in_transaction(|conn| drop_oldest(conn, RAW)),
                other => other,
            };
        }
        if rollups > 0 {
            return self.in_transaction(|conn| drop_oldest(conn, ROLLUP));
        }
        // Nothing is packed yet: the rows alone are too much.
        let rows: i64 = self.conn.query_row("SELECT count(*) FROM recent", [], |row| row.get(0))?;
        if rows > 0 {
            self.pack()?;
        }
        Ok(rows > 0)
    }

    fn in_transaction<T>(
        &mut self,
        work: impl Fn(&Connection) -> Result<T, HistoryError>,
    ) -> Result<T, HistoryError> {
        let tx = self.conn.unchecked_transaction()?;
        let done = work(&tx)?;
        let gone = tx.execute(
            "DELETE FROM series WHERE segment < (SELECT coalesce(min(id), ?1) FROM segment WHERE kind = 0) \
             AND rollup < (SELECT coalesce(min(id), ?1) FROM segment WHERE kind = 1)",
            [i64::MAX],
        )?;
        if gone > 0 {
            tx.execute("DELETE FROM instance WHERE id NOT IN (SELECT instance FROM series)", [])?;
            tx.execute("DELETE FROM run WHERE id < (SELECT min(run) FROM segment)", [])?;
        }
        tx.commit()?;
        if gone > 0 {
            self.meet_again();
        }
        Ok(done)
    }

    fn give_back(&self) -> Result<(), HistoryError> {
        let free: i64 = self.conn.query_row("PRAGMA freelist_count", [], |row| row.get(0))?;
        let pages = (free - SPARE_PAGES).min(PAGES);
        if pages > 0 {
            // One page per step: the statement must be run to its end.
            let mut shrink = self.conn.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
            let mut steps = shrink.query([])?;
            while steps.next()?.is_some() {}
        }
        Ok(())
    }
}

/// The oldest segments of a kind.
fn oldest(conn: &Connection, kind: i64, most: usize) -> Result<Vec<Meta>, HistoryError> {
    let mut statement = conn.prepare_cached(
        "SELECT id, kind, run, ahead, first, last, samples, sum FROM segment WHERE kind = ?1 \
         ORDER BY first + ahead, id LIMIT ?2",
    )?;
    let mut rows = statement.query((kind, i64::try_from(most).unwrap_or(i64::MAX)))?;
    let mut metas = Vec::new();
    while let Some(row) = rows.next()? {
        metas.push(Meta::read(row)?.0);
    }
    Ok(metas)
}

/// Deletes segments of which it is not known when they are from; returns how many. Made into rollups they
/// would look right.
fn drop_false(conn: &Connection) -> Result<u64, HistoryError> {
    let mut statement =
        conn.prepare_cached("SELECT id, kind, run, ahead, first, last, samples, sum FROM segment")?;
    let mut rows = statement.query([])?;
    let mut wrong = Vec::new();
    while let Some(row) = rows.next()? {
        wrong.extend(Some(Meta::read(row)?).filter(|(_, is_whole)| !is_whole).map(|(meta, _)| meta.id));
    }
    wrong.iter().try_for_each(|id| delete(conn, *id))?;
    Ok(wrong.len() as u64)
}

fn delete(conn: &Connection, segment: i64) -> Result<(), HistoryError> {
    let rows = (read::row_id(segment, 0), read::row_id(segment + 1, 0) - 1);
    conn.prepare_cached("DELETE FROM chunk WHERE id BETWEEN ?1 AND ?2")?.execute(rows)?;
    conn.prepare_cached("DELETE FROM stamps WHERE id BETWEEN ?1 AND ?2")?.execute(rows)?;
    conn.prepare_cached("DELETE FROM segment WHERE id = ?1")?.execute([segment])?;
    Ok(())
}

fn drop_oldest(conn: &Connection, kind: i64) -> Result<bool, HistoryError> {
    let metas = oldest(conn, kind, 1)?;
    metas.iter().try_for_each(|meta| delete(conn, meta.id))?;
    Ok(!metas.is_empty())
}

/// Makes rollups of the oldest day of samples. False when there is none.
fn thin(conn: &Connection) -> Result<bool, HistoryError> {
    let all: i64 = conn.query_row("SELECT count(*) FROM segment WHERE kind = ?1", [RAW], |row| row.get(0))?;
    // Where a day is much of what there is room for, it goes in smaller parts.
    let share = usize::try_from(all).unwrap_or(0).div_ceil(4).clamp(1, SEGMENTS);
    let mut metas = oldest(conn, RAW, share)?;
    let Some(first) = metas.first().map(|meta| meta.stamp(meta.first).0) else { return Ok(false) };
    metas.retain(|meta| {
        meta.stamp(meta.last).0 < first.saturating_add(DAY) || meta.stamp(meta.first).0 == first
    });
    let mut all = BTreeSet::new();
    for meta in &metas {
        let rows = (read::row_id(meta.id, 0), read::row_id(meta.id + 1, 0) - 1);
        let mut statement = conn.prepare_cached("SELECT id FROM chunk WHERE id BETWEEN ?1 AND ?2")?;
        let ids = statement.query_map(rows, |row| row.get::<_, i64>(0))?;
        for id in ids {
            all.insert((id? & ((1 << read::SERIES_BITS) - 1)) as u32);
        }
    }
    let id = read::next_segment(conn)?;
    let (mut bytes, mut buckets, mut begin, mut end) = (0_u64, 0_i64, i64::MAX, i64::MIN);
    for series in all {
        let mut reader = Reader::new(conn);
        let mut roller = Roller::default();
        for meta in &metas {
            let column = reader.column(meta, series)?;
            for (at, _, value) in column.into_iter().flatten() {
                roller.take(meta.stamp(at), value);
            }
        }
        let rows = roller.finish();
        let (Some(oldest), Some(newest)) = (rows.first(), rows.last()) else { continue };
        begin = begin.min(oldest.start.0);
        end = end.max(newest.start.0.saturating_add(rollup::STEP - 1));
        buckets += rows.len() as i64;
        let row = read::row_id(id, series);
        let body = chunk::seal(row, &rollup::write(&rows));
        bytes += body.len() as u64;
        conn.prepare_cached("INSERT INTO chunk VALUES (?1, 0, ?2)")?.execute((row, body))?;
        conn.prepare_cached("UPDATE series SET rollup = ?1 WHERE id = ?2")?.execute((id, series))?;
    }
    if buckets > 0 {
        let (run, ahead, samples) = (metas[0].run, 0, buckets);
        Meta { id, kind: ROLLUP, run, ahead, first: begin, last: end, samples }.write(conn, bytes)?;
    }
    metas.iter().try_for_each(|meta| delete(conn, meta.id))?;
    Ok(true)
}
