//! Keeps the outbox within its bytes, and free of what nobody will ask for again.
//!
//! Over the limit: first waiting plain updates are withdrawn (the next revision says the same and more; one
//! in doubt stays, because what the far end holds may be anything), then unsent creates of P5, P4, P3 are
//! dropped with all that follows them, oldest first. Never dropped: P1 and P2, and any row of which an
//! operation was ever claimed, because its create may have left. If nothing may be dropped, the outbox grows
//! over its limit. Each dropped record is counted and remembered, so that its later revisions do not come as
//! creates of their own.

use rusqlite::{OptionalExtension, params};

use super::super::error::StoreError;
use super::super::worker::Tx;
use super::super::{int, journal, uint};
use super::row::Row;
use super::table;
use crate::engine::effect::OutboxRow;
use crate::engine::moment::DAY;
use crate::engine::record::{Priority, REOPEN_MOST};

/// Name of the counter of what was given up because the outbox was full: records, links and waiting updates.
pub const DROPPED: &str = "outbox.dropped";

/// Why a record was dropped, when it was not by hand; its priority follows.
pub const FULL: &str = "outbox was full:";

/// Rows withdrawn or dropped by one commit at most; what is left over waits for the next.
const VICTIMS: usize = 1000;

/// Stored rows of incidents that are over, stored links, links that never became possible and notes of
/// dropped records are forgotten after this time: longer than a problem looks back for members (30 days), and
/// than an incident can be reopened, which would be created once more otherwise.
const KEEP: i64 = 40 * DAY;
const _: () = assert!(KEEP > REOPEN_MOST + DAY);

/// Problems come back later than incidents: their rows stay longer after they are over.
const KEEP_PROBLEM: i64 = 400 * DAY;

/// Bytes of all rows with their bodies.
pub fn bytes(tx: &Tx<'_>) -> Result<u64, StoreError> {
    let mut sum = tx.prepare_cached("SELECT coalesce(sum(bytes), 0) FROM tally")?;
    Ok(uint(sum.query_row([], |row| row.get(0))?))
}

/// True when the first revision of a record may enter. What follows a dropped record may not, with one
/// exception: an incident or problem that is still open enters when it has become P1 or P2, or when a tenth
/// of the outbox is free again, unless a person dropped it.
pub fn admits(tx: &Tx<'_>, new: &OutboxRow) -> Result<bool, StoreError> {
    let by_hand = |record: &str| dropped_by_hand(tx, &new.destination, record);
    if let Some((incident, problem)) = &new.link {
        let ends = [incident, problem, &new.record];
        return Ok(ends
            .into_iter()
            .map(|end| by_hand(end))
            .collect::<Result<Vec<_>, _>>()?
            .iter()
            .all(Option::is_none));
    }
    let Some(person) = by_hand(&new.record)? else { return Ok(true) };
    let room = || -> Result<bool, StoreError> { Ok(bytes(tx)? <= tx.outbox_limit / 10 * 9) };
    let enters = !person && !new.over && (new.priority <= Priority::P2 || room()?);
    if enters {
        tx.prepare_cached("DELETE FROM outbox_dropped WHERE destination = ?1 AND record = ?2")?
            .execute([&new.destination, &new.record])?;
    }
    Ok(enters)
}

fn dropped_by_hand(tx: &Tx<'_>, destination: &str, record: &str) -> Result<Option<bool>, StoreError> {
    let mut select =
        tx.prepare_cached("SELECT by_hand FROM outbox_dropped WHERE destination = ?1 AND record = ?2")?;
    Ok(select.query_row([destination, record], |row| row.get(0)).optional()?)
}

/// Brings the outbox back under its limit, as far as that is allowed.
pub fn enforce(tx: &Tx<'_>) -> Result<(), StoreError> {
    let limit = tx.outbox_limit;
    for _ in 0..VICTIMS {
        if bytes(tx)? <= limit {
            break;
        }
        let dropped = if let Some(before) = victim(tx, UPDATES)? {
            let mut row = before.clone();
            row.withdraw();
            table::save(tx, &before, &row)?;
            1
        } else if let Some(row) = victim(tx, UNSENT)? {
            drop_unsent(tx, &row, false, &format!("{FULL} {:?}", row.priority))?
        } else {
            break;
        };
        journal::count(tx, DROPPED, dropped)?;
        tx.dropped.set(tx.dropped.get() + dropped);
    }
    Ok(())
}

const UPDATES: &str = "SELECT id FROM outbox INDEXED BY outbox_updates
     WHERE rank = 1 AND op IS NULL AND due IS NOT NULL AND state = 'pending' ORDER BY priority DESC, queued LIMIT 1";

const UNSENT: &str = "SELECT id FROM outbox INDEXED BY outbox_unsent
     WHERE sent = 0 AND priority >= 3 ORDER BY priority DESC, queued LIMIT 1";

fn victim(tx: &Tx<'_>, sql: &str) -> Result<Option<Row>, StoreError> {
    match tx.prepare_cached(sql)?.query_row([], |row| row.get(0)).optional()? {
        Some(id) => table::load(tx, id),
        None => Ok(None),
    }
}

/// Deletes a row that the far end does not hold, with its links, and remembers that it is dropped. Returns
/// how many records.
pub fn drop_unsent(tx: &Tx<'_>, row: &Row, by_hand: bool, reason: &str) -> Result<u64, StoreError> {
    table::delete(tx, row)?;
    tx.prepare_cached(
        "INSERT OR REPLACE INTO outbox_dropped (destination, record, at, by_hand, reason)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![row.destination, row.record, tx.now.0, by_hand, reason])?;
    let mut select = tx.prepare_cached(
        "SELECT id FROM outbox
         WHERE destination = ?1 AND sent = 0 AND (link_incident = ?2 OR link_problem = ?2)",
    )?;
    let links = select.query_map([&row.destination, &row.record], |r| r.get(0))?;
    Ok(1 + delete_rows(tx, &links.collect::<Result<Vec<i64>, _>>()?)? as u64)
}

/// Deletes up to `batch` rows of each kind that nobody will ask for again. Returns the largest number of one
/// kind.
pub fn sweep(tx: &Tx<'_>, batch: usize) -> Result<usize, StoreError> {
    let settled = format!(
        "SELECT id FROM outbox WHERE state = 'acked' AND settled_at < ?1 - {KEEP} AND (kind = 'link' OR
         acked_over = 1 AND (kind = 'incident' OR settled_at < ?1 - {KEEP_PROBLEM})) LIMIT ?2"
    );
    let blocked = format!(
        "SELECT id FROM outbox WHERE state = 'pending' AND due IS NULL AND created_at < ?1 - {KEEP} LIMIT ?2"
    );
    let batch = int(batch as u64);
    let rows = delete_found(tx, &settled, batch)?.max(delete_found(tx, &blocked, batch)?);
    let notes = tx
        .prepare_cached(&format!(
            "DELETE FROM outbox_dropped WHERE (destination, record) IN
             (SELECT destination, record FROM outbox_dropped WHERE at < ?1 - {KEEP} LIMIT ?2)"
        ))?
        .execute(params![tx.now.0, batch])?;
    Ok(rows.max(notes))
}

fn delete_found(tx: &Tx<'_>, sql: &str, batch: i64) -> Result<usize, StoreError> {
    let mut select = tx.prepare_cached(sql)?;
    let ids = select.query_map(params![tx.now.0, batch], |row| row.get(0))?;
    delete_rows(tx, &ids.collect::<Result<Vec<i64>, _>>()?)
}

fn delete_rows(tx: &Tx<'_>, ids: &[i64]) -> Result<usize, StoreError> {
    for id in ids {
        if let Some(row) = table::load(tx, *id)? {
            table::delete(tx, &row)?;
        }
    }
    Ok(ids.len())
}
