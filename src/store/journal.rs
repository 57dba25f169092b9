//! Journal and engine state: the two tables that only the engine's commits write.
//!
//! Both writes are repeatable: a commit whose answer was lost can be given again. Retention takes whole
//! prefixes of the journal, so that what is left is gapless.

use rusqlite::{OptionalExtension, params};
use serde::Serialize;

use super::error::StoreError;
use super::worker::Tx;
use super::{int, uint};
use crate::engine::effect::{Entry, StateChange};
use crate::engine::moment::Stamp;

/// A journal entry as read back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JournalRow {
    /// Gapless per host.
    pub seq: u64,
    /// When.
    pub at: Stamp,
    /// `incident`, `problem`, `config`, `boot`, …
    pub kind: String,
    /// Id of what it is about.
    pub subject: String,
    /// JSON text.
    pub body: String,
}

/// Appends entries.
pub fn append(tx: &Tx<'_>, entries: &[Entry]) -> Result<(), StoreError> {
    let mut insert = tx.prepare_cached(
        "INSERT INTO journal (seq, at, kind, subject, body) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO NOTHING",
    )?;
    for e in entries {
        let added = insert.execute(params![int(e.seq), e.at.0, e.kind, e.subject, e.body])?;
        if added == 0 && !is_same(tx, e)? {
            return Err(StoreError::Conflict { seq: e.seq });
        }
    }
    Ok(())
}

fn is_same(tx: &Tx<'_>, e: &Entry) -> Result<bool, StoreError> {
    let mut same = tx.prepare_cached(
        "SELECT 1 FROM journal WHERE seq = ?1 AND at = ?2 AND kind = ?3 AND subject = ?4 AND body = ?5",
    )?;
    Ok(same.exists(params![int(e.seq), e.at.0, e.kind, e.subject, e.body])?)
}

/// Entries of one answer at most.
const READ_MOST: usize = 10_000;

/// Entries about these subjects among the newest `scan`, oldest first, at most 10 000.
pub fn about(tx: &Tx<'_>, subjects: &[String], scan: u64) -> Result<Vec<JournalRow>, StoreError> {
    let mut rows: Vec<JournalRow> = Vec::new();
    let mut select = tx.prepare_cached(
        "SELECT seq, at, kind, subject, body FROM journal
         WHERE seq > (SELECT coalesce(max(seq), 0) FROM journal) - ?1 AND subject = ?2 ORDER BY seq LIMIT ?3",
    )?;
    for subject in subjects {
        let found = select.query_map(params![int(scan), subject, int(READ_MOST as u64)], entry)?;
        rows.extend(found.collect::<Result<Vec<_>, _>>()?);
    }
    rows.sort_by_key(|row| row.seq);
    Ok(rows)
}

/// Ids of the incidents among the newest `scan` entries whose id begins so or whose number is that; at most
/// ten, newest first.
pub fn incidents(tx: &Tx<'_>, text: &str, scan: u64) -> Result<Vec<String>, StoreError> {
    let mut select = tx.prepare_cached(
        "SELECT subject FROM journal
         WHERE seq > (SELECT coalesce(max(seq), 0) FROM journal) - ?1 AND kind = 'incident'
         AND (substr(subject, 1, length(?2)) = ?2
              OR iif(json_valid(body), json_extract(body, '$.number'), '') = upper(?2))
         GROUP BY subject ORDER BY max(seq) DESC LIMIT 10",
    )?;
    let rows = select.query_map(params![int(scan), text], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn entry(row: &rusqlite::Row<'_>) -> rusqlite::Result<JournalRow> {
    Ok(JournalRow {
        seq: uint(row.get(0)?),
        at: Stamp(row.get(1)?),
        kind: row.get(2)?,
        subject: row.get(3)?,
        body: row.get(4)?,
    })
}

/// Number of the newest entry; 0 when there is none.
pub fn newest(tx: &Tx<'_>) -> Result<u64, StoreError> {
    let mut select = tx.prepare("SELECT max(seq) FROM journal")?;
    Ok(uint(select.query_row([], |row| row.get::<_, Option<i64>>(0))?.unwrap_or(0)))
}

/// Deletes up to `batch` entries from the old end that are older than `before`; the newest entry stays.
/// Returns how many.
pub fn trim(tx: &Tx<'_>, before: Stamp, batch: usize) -> Result<usize, StoreError> {
    let mut oldest = tx.prepare_cached("SELECT seq, at FROM journal ORDER BY seq LIMIT ?1")?;
    let rows = oldest
        .query_map([int(batch as u64 + 1)], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
    let rows: Vec<(i64, i64)> = rows.collect::<Result<_, _>>()?;
    let old = rows.iter().take(rows.len().saturating_sub(1)).take_while(|(_, at)| *at < before.0).last();
    match old {
        Some((seq, _)) => Ok(tx.prepare_cached("DELETE FROM journal WHERE seq <= ?1")?.execute([seq])?),
        None => Ok(0),
    }
}

/// Writes and deletes rows of engine state.
pub fn apply(tx: &Tx<'_>, changes: &[StateChange]) -> Result<(), StoreError> {
    for change in changes {
        match &change.body {
            Some(body) => tx
                .prepare_cached(
                    "INSERT INTO state (kind, key, body) VALUES (?1, ?2, ?3)
                     ON CONFLICT DO UPDATE SET body = excluded.body",
                )?
                .execute(params![change.kind, change.key, body])?,
            None => tx
                .prepare_cached("DELETE FROM state WHERE kind = ?1 AND key = ?2")?
                .execute([change.kind, change.key.as_str()])?,
        };
    }
    Ok(())
}

/// All rows of engine state, ordered by kind and key.
pub fn load(tx: &Tx<'_>) -> Result<Vec<(String, String, String)>, StoreError> {
    let mut select = tx.prepare("SELECT kind, key, body FROM state ORDER BY kind, key")?;
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A counter that survives restarts; 0 when it was never counted.
pub fn counter(tx: &Tx<'_>, name: &str) -> Result<u64, StoreError> {
    let mut select = tx.prepare_cached("SELECT value FROM counter WHERE name = ?1")?;
    Ok(uint(select.query_row([name], |row| row.get(0)).optional()?.unwrap_or(0)))
}

/// When this store began: its first journal entry, or now. Kept from the first question on.
pub fn born(tx: &Tx<'_>) -> Result<Stamp, StoreError> {
    tx.prepare_cached(
        "INSERT OR IGNORE INTO counter
         SELECT 'store.born', coalesce((SELECT min(at) FROM journal), ?1)",
    )?
    .execute([tx.now.0])?;
    let mut select = tx.prepare_cached("SELECT value FROM counter WHERE name = 'store.born'")?;
    Ok(Stamp(select.query_row([], |row| row.get(0))?))
}

/// Adds to a counter.
pub fn count(tx: &Tx<'_>, name: &str, more: u64) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO counter VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = value + excluded.value",
    )?
    .execute(params![name, int(more)])?;
    Ok(())
}
