//! Looking into the outbox, and repairing it by hand: what `sexton outbox` and the control socket ask for.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, Row, params};
use serde::Serialize;

use super::super::error::StoreError;
use super::super::worker::Tx;
use super::super::{Store, int, uint};
use super::row::RowState;
use super::{cap, table};
use crate::engine::moment::Stamp;

/// Rows of one answer at most.
const VIEW_MOST: usize = 10_000;

/// One row as a person sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OutboxView {
    /// Destination id.
    pub destination: String,
    /// `incident`, `problem` or `link`.
    pub kind: String,
    /// Record id.
    pub record: String,
    /// 1 for P1 … 5 for P5.
    pub priority: u8,
    /// The newest revision.
    pub rev: u64,
    /// The revision the far end holds; 0 when none.
    pub acked_rev: u64,
    /// `pending`, `blocked` (a link of which the destination does not hold both ends, perhaps because its
    /// filter keeps one out), `sending`, `acked`, `unknown` or `parked`.
    pub state: String,
    /// The claimed operation that is not settled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Failed attempts since the far end last stored something.
    pub attempts: u32,
    /// When it may be tried; absent while it does not wait, or is blocked. The epoch means at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<Stamp>,
    /// Why the last attempt failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// The far end's id of the record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_id: Option<String>,
    /// Size with its bodies.
    pub bytes: u64,
}

/// Records that were dropped because the outbox was full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drops {
    /// Destination id.
    pub destination: String,
    /// `P3` to `P5`.
    pub priority: String,
    /// How many.
    pub records: u64,
    /// When the first one was.
    pub first: Stamp,
    /// When the last one was.
    pub last: Stamp,
}

/// Rows that one transaction gives up at most.
const GIVE_UP: usize = 500;

const COLUMNS: &str = "destination, kind, record, priority, rev, acked_rev, \
     iif(state = 'pending' AND due IS NULL, 'blocked', state), op, attempts, due, \
     last_error, remote_id, bytes";

fn view(row: &Row<'_>) -> rusqlite::Result<OutboxView> {
    Ok(OutboxView {
        destination: row.get(0)?,
        kind: row.get(1)?,
        record: row.get(2)?,
        priority: row.get(3)?,
        rev: uint(row.get(4)?),
        acked_rev: uint(row.get(5)?),
        state: row.get(6)?,
        operation: row.get(7)?,
        attempts: row.get(8)?,
        next: row.get::<_, Option<i64>>(9)?.map(Stamp),
        last_error: row.get(10)?,
        remote_id: row.get(11)?,
        bytes: uint(row.get(12)?),
    })
}

impl OutboxView {
    /// The row of that id.
    pub fn find(tx: &Tx<'_>, id: i64) -> Result<Option<Self>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM outbox WHERE id = ?1");
        Ok(tx.prepare_cached(&sql)?.query_row([id], view).optional()?)
    }
}

impl Store {
    /// Up to `limit` rows (at most 10 000): dead letters, then what waits or is being sent in order of age,
    /// then what is stored, newest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn outbox_rows(&self, limit: usize) -> Result<Vec<OutboxView>, StoreError> {
        let limit = limit.min(VIEW_MOST);
        self.read(move |tx| {
            let mut rows = Vec::new();
            for part in [
                "state = 'parked' ORDER BY id",
                "state IN ('pending', 'sending', 'unknown') ORDER BY id",
                "state = 'acked' ORDER BY settled_at DESC",
            ] {
                let left = int((limit - rows.len()) as u64);
                let sql = format!("SELECT {COLUMNS} FROM outbox WHERE {part} LIMIT ?1");
                for row in tx.prepare_cached(&sql)?.query_map([left], view)? {
                    rows.push(row?);
                }
            }
            Ok(rows)
        })
        .await
    }

    /// The rows of one record, ordered by destination: where it stands, and its remote ids.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn outbox_record(&self, record: &str) -> Result<Vec<OutboxView>, StoreError> {
        let record = record.to_owned();
        self.read(move |tx| {
            // By way of the few destinations, because the index begins with them.
            let sql = format!(
                "SELECT {COLUMNS} FROM outbox
                 WHERE destination IN (SELECT destination FROM tally) AND record = ?1 ORDER BY destination"
            );
            Ok(tx.prepare_cached(&sql)?.query_map([&record], view)?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Rows by destination and state as in [`OutboxView::state`]; states without rows are absent.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn outbox_counts(&self) -> Result<BTreeMap<String, BTreeMap<String, u64>>, StoreError> {
        self.read(|tx| {
            let mut counts: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
            let mut select =
                tx.prepare_cached("SELECT destination, state, rows FROM tally WHERE rows > 0")?;
            let mut rows = select.query([])?;
            while let Some(row) = rows.next()? {
                counts.entry(row.get(0)?).or_default().insert(row.get(1)?, uint(row.get(2)?));
            }
            set_blocked_apart(tx, &mut counts)?;
            Ok(counts)
        })
        .await
    }

    /// Puts a dead letter back into the line, with its newest body. False when there is no such dead letter.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn requeue(&self, destination: &str, record: &str) -> Result<bool, StoreError> {
        let (destination, record) = (destination.to_owned(), record.to_owned());
        self.write(move |tx| {
            let Some(before) = table::find(tx, &destination, &record)? else { return Ok(false) };
            let mut row = before.clone();
            let done = row.requeue();
            if done {
                table::save(tx, &before, &row)?;
            }
            Ok(done)
        })
        .await
    }

    /// Puts every dead letter of a destination back into the line, at most `most` of them; returns how many.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn requeue_all(&self, destination: &str, most: usize) -> Result<u64, StoreError> {
        let destination = destination.to_owned();
        self.write(move |tx| {
            let mut select = tx.prepare_cached(
                "SELECT id FROM outbox WHERE destination = ?1 AND state = 'parked' ORDER BY id LIMIT ?2",
            )?;
            let ids = select.query_map(params![destination, int(most as u64)], |row| row.get(0))?;
            let mut done = 0;
            for id in ids.collect::<Result<Vec<i64>, _>>()? {
                let Some(before) = table::load(tx, id)? else { continue };
                let mut row = before.clone();
                if row.requeue() {
                    table::save(tx, &before, &row)?;
                    done += 1;
                }
            }
            Ok(done)
        })
        .await
    }

    /// Gives up what waits of a record: a record that the far end holds goes on with its next revision, one
    /// that was never created is dropped with all that follows, and `reason` is kept. False when there is no
    /// such row, or it is being sent, or nothing waits.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn drop(&self, destination: &str, record: &str, reason: &str) -> Result<bool, StoreError> {
        let (destination, record, reason) = (destination.to_owned(), record.to_owned(), reason.to_owned());
        self.write(move |tx| {
            let Some(before) = table::find(tx, &destination, &record)? else { return Ok(false) };
            let mut row = before.clone();
            if row.withdraw() {
                table::save(tx, &before, &row)?;
                return Ok(true);
            }
            let droppable = !matches!(row.state, RowState::Sending | RowState::Acked);
            if droppable {
                cap::drop_unsent(tx, &row, true, &reason)?;
            }
            Ok(droppable)
        })
        .await
    }

    /// Gives up all that waits for a destination, as [`Store::drop`] does with one record. Returns how many
    /// rows; what is being sent just now stays.
    ///
    /// # Errors
    /// See [`StoreError`]; what was given up until then stays so.
    pub async fn drop_all(&self, destination: &str, reason: &str) -> Result<u64, StoreError> {
        let mut given_up = 0;
        loop {
            let (destination, reason) = (destination.to_owned(), reason.to_owned());
            let some = self.write(move |tx| give_up(tx, &destination, &reason)).await?;
            given_up += some as u64;
            if some == 0 {
                return Ok(given_up);
            }
        }
    }

    /// What was dropped since then because the outbox was full, by destination and priority. A record that
    /// came in after all is not counted.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn drops(&self, since: Stamp) -> Result<Vec<Drops>, StoreError> {
        self.read(move |tx| {
            let mut select = tx.prepare_cached(
                "SELECT destination, reason, count(*), min(at), max(at) FROM outbox_dropped
                 WHERE by_hand = 0 AND at >= ?1 GROUP BY 1, 2 ORDER BY 1, 2",
            )?;
            let rows = select.query_map([since.0], |row| {
                let reason: String = row.get(1)?;
                Ok(Drops {
                    destination: row.get(0)?,
                    priority: reason.strip_prefix(cap::FULL).unwrap_or("").trim().to_owned(),
                    records: uint(row.get(2)?),
                    first: Stamp(row.get(3)?),
                    last: Stamp(row.get(4)?),
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// When a record was dropped at a destination and why, if it was.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn why_dropped(
        &self,
        destination: &str,
        record: &str,
    ) -> Result<Option<(Stamp, String)>, StoreError> {
        let (destination, record) = (destination.to_owned(), record.to_owned());
        self.read(move |tx| {
            let mut select = tx.prepare_cached(
                "SELECT at, reason FROM outbox_dropped WHERE destination = ?1 AND record = ?2",
            )?;
            let note = select.query_row(params![destination, record], |r| Ok((Stamp(r.get(0)?), r.get(1)?)));
            Ok(note.optional()?)
        })
        .await
    }
}

fn give_up(tx: &Tx<'_>, destination: &str, reason: &str) -> Result<usize, StoreError> {
    let mut select = tx.prepare_cached(
        "SELECT id FROM outbox WHERE destination = ?1 AND state IN ('pending', 'unknown', 'parked') LIMIT ?2",
    )?;
    let ids = select.query_map(params![destination, int(GIVE_UP as u64)], |row| row.get(0))?;
    let ids = ids.collect::<Result<Vec<i64>, _>>()?;
    for id in &ids {
        // A link goes with its ends.
        let Some(before) = table::load(tx, *id)? else { continue };
        let mut row = before.clone();
        if row.withdraw() {
            table::save(tx, &before, &row)?;
        } else {
            cap::drop_unsent(tx, &row, true, reason)?;
        }
    }
    Ok(ids.len())
}

/// Blocked links are pending on disk, but nothing has to be done about them: they go when a filter lets their
/// other end pass, and are swept when it never does.
fn set_blocked_apart(
    tx: &Tx<'_>,
    counts: &mut BTreeMap<String, BTreeMap<String, u64>>,
) -> Result<(), StoreError> {
    let mut select = tx.prepare_cached(
        "SELECT destination, count(*) FROM outbox INDEXED BY outbox_blocked
         WHERE state = 'pending' AND due IS NULL GROUP BY destination",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (destination, blocked): (String, u64) = (row.get(0)?, uint(row.get(1)?));
        let states = counts.entry(destination).or_default();
        let pending = states.remove("pending").unwrap_or(0).saturating_sub(blocked);
        if pending > 0 {
            states.insert("pending".to_owned(), pending);
        }
        states.insert("blocked".to_owned(), blocked);
    }
    Ok(())
}
