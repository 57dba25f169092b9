//! Claiming and settling: the outbox as those who empty it see it.
//!
//! `claim` marks rows as being sent in one durable transaction before anything leaves the host, so that after
//! a crash every operation that may have left is known. Claims are bounded by number and by bytes and follow
//! an index; neither reads more of a backlog than it hands out.

use rusqlite::{OptionalExtension, params};

use super::super::error::StoreError;
use super::super::worker::Tx;
use super::super::{Store, int, uint};
use super::row::{Row, RowState, WAIT_MOST};
use super::table;
use crate::engine::effect::{Held, Job, Line, Outbox, RecordKind, Settled};
use crate::engine::moment::{DAY, Stamp};

/// Operations of one claim at most.
const CLAIM_MOST: usize = 500;

/// A claim ends with the operation that passes this many bytes of bodies.
const CLAIM_BYTES: usize = 1 << 20;

impl Outbox for Store {
    async fn claim(&self, destination: &str, max: usize, now: Stamp) -> Result<Vec<Job>, String> {
        self.claim_in(Line::default(), destination, max, now).await
    }

    async fn claim_in(
        &self,
        line: Line,
        destination: &str,
        max: usize,
        now: Stamp,
    ) -> Result<Vec<Job>, String> {
        let destination = destination.to_owned();
        self.write(move |tx| claim(tx, line, &destination, max, now)).await.map_err(|e| e.to_string())
    }

    async fn settle(&self, destination: &str, settled: Vec<Settled>, now: Stamp) -> Result<(), String> {
        let destination = destination.to_owned();
        let work = move |tx: &Tx<'_>| settled.iter().try_for_each(|one| settle(tx, &destination, one, now));
        self.write(work).await.map_err(|e| e.to_string())
    }

    async fn held(&self, destination: &str, after: i64, max: usize) -> Result<Vec<Held>, String> {
        let destination = destination.to_owned();
        self.read(move |tx| held(tx, &destination, after, max)).await.map_err(|e| e.to_string())
    }

    async fn next_due(&self, destination: &str) -> Result<Option<Stamp>, String> {
        let destination = destination.to_owned();
        self.read(move |tx| next_due(tx, &destination)).await.map_err(|e| e.to_string())
    }
}

/// Marks what the last daemon was sending as unknown and due at once. Returns how many rows.
pub fn interrupted(tx: &Tx<'_>) -> Result<usize, StoreError> {
    let sql = "UPDATE outbox SET state = 'unknown', doubt = ?1, due = 0 WHERE state = 'sending'";
    Ok(tx.execute(sql, [tx.now.0])?)
}

/// See [`Outbox::claim_in`].
fn claim(tx: &Tx<'_>, line: Line, destination: &str, max: usize, now: Stamp) -> Result<Vec<Job>, StoreError> {
    // The wall clock went back by more than any wait can last: do not wait for it to come again.
    tx.prepare_cached("UPDATE outbox SET due = ?2 WHERE destination = ?1 AND due IS NOT NULL AND due > ?3")?
        .execute(params![destination, now.0, now.plus(WAIT_MOST).0])?;
    let limit = int(max.min(CLAIM_MOST) as u64);
    let sql = due_rows(line);
    let mut select = tx.prepare_cached(&sql)?;
    let ids: Vec<i64> =
        select.query_map(params![destination, now.0, limit], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let (mut jobs, mut bytes) = (Vec::new(), 0);
    for id in ids {
        let Some(before) = first_of_its_alert(tx, line, id)? else { continue };
        // It may have been claimed just now, in the place of a younger one.
        if before.due.is_none_or(|due| due > now) {
            continue;
        }
        let (row, job, size) = claim_row(tx, &before, now)?;
        table::save(tx, &before, &row)?;
        jobs.extend(job);
        bytes += size;
        if bytes >= CLAIM_BYTES {
            break;
        }
    }
    Ok(jobs)
}

/// The rows that may be claimed in that line: without those whose turn an older one of their alert key would
/// take that may not be claimed itself.
fn due_rows(line: Line) -> String {
    let (index, order) = match line.oldest {
        true => ("outbox_due", "due, id"),
        false => ("outbox_order", "rank, priority, queued"),
    };
    let free = match line.by_alert {
        true => {
            "AND NOT EXISTS (SELECT 1 FROM outbox AS older WHERE older.destination = outbox.destination
             AND older.alert_key IS NOT NULL AND older.alert_key = outbox.alert_key AND older.id < outbox.id
             AND older.state IN ('pending', 'sending', 'unknown') AND (older.due IS NULL OR older.due > ?2))"
        }
        false => "",
    };
    format!(
        "SELECT id FROM outbox INDEXED BY {index}
         WHERE destination = ?1 AND due IS NOT NULL AND due <= ?2 {free} ORDER BY {order} LIMIT ?3"
    )
}

/// That row; where alerts go in order, the oldest unsettled one of its alert key.
fn first_of_its_alert(tx: &Tx<'_>, line: Line, id: i64) -> Result<Option<Row>, StoreError> {
    let Some(row) = table::load(tx, id)? else { return Ok(None) };
    let Some(key) = row.alert_key.as_ref().filter(|_| line.by_alert) else { return Ok(Some(row)) };
    let mut select = tx.prepare_cached(
        "SELECT min(id) FROM outbox WHERE destination = ?1 AND alert_key IS NOT NULL AND alert_key = ?2
         AND id < ?3 AND state IN ('pending', 'sending', 'unknown')",
    )?;
    let older: Option<i64> = select.query_row(params![row.destination, key, id], |row| row.get(0))?;
    older.map_or(Ok(Some(row)), |older| table::load(tx, older))
}

fn claim_row(tx: &Tx<'_>, before: &Row, now: Stamp) -> Result<(Row, Option<Job>, usize), StoreError> {
    let mut row = before.clone();
    let Some(op) = row.freeze().cloned() else {
        row.park("nothing to send");
        return Ok((row, None, 0));
    };
    let text = table::body(tx, op.body)?.unwrap_or_default();
    let body = match serde_json::from_str(&text) {
        Ok(body) => body,
        Err(e) => {
            // One bad row must not stop the others.
            row.park(&format!("body is not JSON: {e}"));
            return Ok((row, None, 0));
        }
    };
    let (remote_id, remote_problem) = match &row.link {
        Some((incident, problem)) => ends(tx, &row.destination, incident, problem)?.unwrap_or_default(),
        None => (row.remote_id.clone(), None),
    };
    let job = Job {
        kind: row.kind,
        record: row.record.clone(),
        rev: op.revision.rev,
        acked_rev: row.acked.rev,
        operation: op.operation,
        operation_key: op.key,
        record_key: format!("sx-{}", row.record),
        remote_id,
        remote_problem,
        unknown: row.doubt.is_some(),
        doubt_at: row.doubt,
        claimed_at: now,
        attempts: row.attempts,
        body,
    };
    Ok((row, Some(job), text.len()))
}

/// See [`Outbox::settle`]. An outcome for anything but the operation that is being sent is ignored.
pub fn settle(tx: &Tx<'_>, destination: &str, settled: &Settled, now: Stamp) -> Result<(), StoreError> {
    let Some(before) = table::find(tx, destination, &settled.record)? else { return Ok(()) };
    let sending = before.state == RowState::Sending;
    if !sending || before.op.as_ref().is_none_or(|op| op.revision.rev != settled.rev) {
        tracing::warn!(
            record = settled.record,
            rev = settled.rev,
            "outcome of an operation that is not being sent"
        );
        return Ok(());
    }
    let mut row = before.clone();
    row.settle(&settled.outcome, settled.next, now);
    table::save(tx, &before, &row)?;
    if before.acked.rev == 0 && row.acked.rev > 0 && row.kind != RecordKind::Link {
        wake_links(tx, &row, now)?;
    }
    Ok(())
}

/// Lets the links of a record go that has just been stored, if their other end is stored too.
fn wake_links(tx: &Tx<'_>, row: &Row, now: Stamp) -> Result<(), StoreError> {
    let (mine, other) = match row.kind {
        RecordKind::Problem => ("link_problem", "link_incident"),
        RecordKind::Incident | RecordKind::Link => ("link_incident", "link_problem"),
    };
    let sql = format!(
        "UPDATE outbox SET due = ?3
         WHERE destination = ?1 AND {mine} = ?2 AND state = 'pending' AND due IS NULL AND EXISTS
         (SELECT 1 FROM outbox AS o
          WHERE o.destination = ?1 AND o.record = outbox.{other} AND o.acked_rev > 0)"
    );
    tx.prepare_cached(&sql)?.execute(params![row.destination, row.record, now.0])?;
    Ok(())
}

/// The far end's ids of an incident and a problem that it holds; a far end that gives no ids has none.
type Ends = (Option<String>, Option<String>);

/// The ends of a link; `None` unless both are stored at the destination.
pub fn ends(
    tx: &Tx<'_>,
    destination: &str,
    incident: &str,
    problem: &str,
) -> Result<Option<Ends>, StoreError> {
    let mut select = tx.prepare_cached(
        "SELECT remote_id FROM outbox WHERE destination = ?1 AND record = ?2 AND acked_rev > 0",
    )?;
    let mut stored = |record: &str| -> Result<Option<Option<String>>, StoreError> {
        Ok(select.query_row([destination, record], |row| row.get(0)).optional()?)
    };
    let incident = stored(incident)?;
    Ok(incident.zip(stored(problem)?))
}

/// See [`Outbox::held`].
fn held(tx: &Tx<'_>, destination: &str, after: i64, max: usize) -> Result<Vec<Held>, StoreError> {
    // Three indexes: what is open, however old, what ended lately, and dead letters whose ticket may have
    // gone: of those that only lack an update, the newest revision, or nobody would hear of it.
    let mut select = tx.prepare_cached(
        "SELECT id, kind, record, acked_rev, remote_id, acked_over FROM outbox INDEXED BY outbox_held
         WHERE destination = ?1 AND state = 'acked' AND acked_over = 0 AND remote_id IS NOT NULL
           AND kind <> 'link' AND id > ?2
         UNION ALL
         SELECT id, kind, record, acked_rev, remote_id, acked_over FROM outbox INDEXED BY outbox_acked
         WHERE state = 'acked' AND settled_at > ?3 AND destination = ?1 AND acked_over = 1
           AND remote_id IS NOT NULL AND kind <> 'link' AND id > ?2
         UNION ALL
         SELECT id, kind, record, rev, remote_id, acked_over FROM outbox INDEXED BY outbox_parked
         WHERE state = 'parked' AND destination = ?1 AND acked_rev > 0 AND acked_over = 0 AND over = 0
           AND remote_id IS NOT NULL AND kind <> 'link' AND id > ?2
         ORDER BY id LIMIT ?4",
    )?;
    let since = tx.now.plus(-DAY).0;
    let rows = select.query_map(params![destination, after, since, int(max as u64)], |row| {
        let kind =
            if row.get_ref(1)?.as_str()? == "problem" { RecordKind::Problem } else { RecordKind::Incident };
        Ok(Held {
            cursor: row.get(0)?,
            kind,
            record: row.get(2)?,
            rev: uint(row.get(3)?),
            remote_id: row.get(4)?,
            over: row.get(5)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// See [`Outbox::next_due`].
pub fn next_due(tx: &Tx<'_>, destination: &str) -> Result<Option<Stamp>, StoreError> {
    let mut select = tx.prepare_cached(
        "SELECT min(due) FROM outbox INDEXED BY outbox_due WHERE destination = ?1 AND due IS NOT NULL",
    )?;
    let due: Option<i64> = select.query_row([destination], |row| row.get(0))?;
    // See `claim`: beyond any wait means that the clock went back, and the row is due.
    Ok(due.map(|due| if due > tx.now.plus(WAIT_MOST).0 { tx.now } else { Stamp(due) }))
}
