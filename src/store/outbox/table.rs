//! Rows and bodies of the outbox in SQL: one place that knows the columns.
//!
//! A body is written once and never changed. Saving a row deletes the bodies it no longer points to and
//! weighs it anew (`bytes` = [`ROW_BYTES`] + its bodies), from which triggers keep the tally.

use std::collections::BTreeSet;

use rusqlite::types::Type;
use rusqlite::{CachedStatement, OptionalExtension, Row as SqlRow, params};

use super::super::error::StoreError;
use super::super::worker::Tx;
use super::super::{int, uint};
use super::row::{BodyId, Frozen, Revision, Row, RowState};
use crate::engine::effect::{Operation, RecordKind};
use crate::engine::moment::Stamp;
use crate::engine::record::Priority;

/// What a row costs without its bodies, in bytes: columns and index entries, roughly.
pub const ROW_BYTES: u64 = 512;

const COLUMNS: &str = "id, destination, record, kind, state, due, priority, queued, rev, over, body, \
     acked_rev, acked_over, remote_id, created_at, settled_at, op, op_key, op_rev, op_over, op_body, sent, \
     doubt, attempts, last_error, link_incident, link_problem, alert_key";

const STATES: [(RowState, &str); 5] = [
    (RowState::Pending, "pending"),
    (RowState::Sending, "sending"),
    (RowState::Acked, "acked"),
    (RowState::Unknown, "unknown"),
    (RowState::Parked, "parked"),
];

const KINDS: [(RecordKind, &str); 3] =
    [(RecordKind::Incident, "incident"), (RecordKind::Problem, "problem"), (RecordKind::Link, "link")];

const OPERATIONS: [(Operation, &str); 5] = [
    (Operation::Create, "create"),
    (Operation::Update, "update"),
    (Operation::Resolve, "resolve"),
    (Operation::Reopen, "reopen"),
    (Operation::Link, "link"),
];

fn name<T: PartialEq>(table: &[(T, &'static str)], value: &T) -> &'static str {
    table.iter().find(|(v, _)| v == value).map_or("", |(_, name)| *name)
}

fn named<T: Copy>(table: &[(T, &str)], column: usize, name: &str) -> rusqlite::Result<T> {
    table.iter().find(|(_, n)| *n == name).map(|(v, _)| *v).ok_or_else(|| {
        let reason = format!("unknown word {name}");
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, reason.into())
    })
}

/// The row of a record at a destination.
pub fn find(tx: &Tx<'_>, destination: &str, record: &str) -> Result<Option<Row>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM outbox WHERE destination = ?1 AND record = ?2");
    Ok(tx.prepare_cached(&sql)?.query_row([destination, record], read).optional()?)
}

/// The row of that id.
pub fn load(tx: &Tx<'_>, id: i64) -> Result<Option<Row>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM outbox WHERE id = ?1");
    Ok(tx.prepare_cached(&sql)?.query_row([id], read).optional()?)
}

fn read(row: &SqlRow<'_>) -> rusqlite::Result<Row> {
    let word = |column: usize| row.get_ref(column)?.as_str().map_err(rusqlite::Error::from);
    let priority: usize = row.get::<_, u8>(6)?.into();
    let op = match row.get_ref(16)?.as_str_or_null()? {
        None => None,
        Some(operation) => Some(Frozen {
            operation: named(&OPERATIONS, 16, operation)?,
            key: row.get(17)?,
            revision: Revision { rev: uint(row.get(18)?), over: row.get(19)? },
            body: row.get(20)?,
        }),
    };
    let link: (Option<String>, Option<String>) = (row.get(25)?, row.get(26)?);
    Ok(Row {
        id: row.get(0)?,
        destination: row.get(1)?,
        record: row.get(2)?,
        kind: named(&KINDS, 3, word(3)?)?,
        state: named(&STATES, 4, word(4)?)?,
        due: row.get::<_, Option<i64>>(5)?.map(Stamp),
        priority: *Priority::ALL.get(priority.wrapping_sub(1)).unwrap_or(&Priority::P5),
        queued: row.get(7)?,
        wanted: Revision { rev: uint(row.get(8)?), over: row.get(9)? },
        body: row.get(10)?,
        acked: Revision { rev: uint(row.get(11)?), over: row.get(12)? },
        remote_id: row.get(13)?,
        created_at: Stamp(row.get(14)?),
        settled_at: row.get::<_, Option<i64>>(15)?.map(Stamp),
        op,
        sent: row.get(21)?,
        doubt: row.get::<_, Option<i64>>(22)?.map(Stamp),
        attempts: row.get(23)?,
        last_error: row.get(24)?,
        link: link.0.zip(link.1),
        alert_key: row.get(27)?,
    })
}

/// Writes a body.
pub fn add_body(tx: &Tx<'_>, body: &str) -> Result<BodyId, StoreError> {
    let mut insert = tx.prepare_cached("INSERT INTO outbox_body (size, body) VALUES (?1, ?2)")?;
    Ok(insert.insert(params![int(body.len() as u64), body])?)
}

/// Reads a body.
pub fn body(tx: &Tx<'_>, id: BodyId) -> Result<Option<String>, StoreError> {
    let mut select = tx.prepare_cached("SELECT body FROM outbox_body WHERE id = ?1")?;
    Ok(select.query_row([id], |row| row.get(0)).optional()?)
}

fn bodies(row: &Row) -> BTreeSet<BodyId> {
    row.body.iter().chain(row.op.iter().map(|op| &op.body)).copied().collect()
}

/// Inserts a new row.
pub fn insert(tx: &Tx<'_>, row: &Row) -> Result<(), StoreError> {
    let sql = format!(
        "INSERT INTO outbox ({COLUMNS}, rank, bytes)
         VALUES (nullif(?1, 0), ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16,
         ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30)"
    );
    let mut statement = tx.prepare_cached(&sql)?;
    bind(tx, &mut statement, row)?;
    statement.raw_execute()?;
    Ok(())
}

/// Writes `row` over what was `before` and deletes the bodies that only `before` needed. What names the row
/// (destination, record, kind, ends of a link) never changes and is not written, which spares its indexes.
pub fn save(tx: &Tx<'_>, before: &Row, row: &Row) -> Result<(), StoreError> {
    for gone in bodies(before).difference(&bodies(row)) {
        tx.prepare_cached("DELETE FROM outbox_body WHERE id = ?1")?.execute([gone])?;
    }
    let mut statement = tx.prepare_cached(
        "UPDATE outbox SET state = ?5, due = ?6, priority = ?7, queued = ?8, rev = ?9, over = ?10, body = ?11,
         acked_rev = ?12, acked_over = ?13, remote_id = ?14, settled_at = ?16, op = ?17, op_key = ?18,
         op_rev = ?19, op_over = ?20, op_body = ?21, sent = ?22, doubt = ?23, attempts = ?24,
         last_error = ?25, alert_key = ?28, rank = ?29, bytes = ?30 WHERE id = ?1",
    )?;
    bind(tx, &mut statement, row)?;
    statement.raw_execute()?;
    Ok(())
}

/// Deletes a row with its bodies.
pub fn delete(tx: &Tx<'_>, row: &Row) -> Result<(), StoreError> {
    for body in bodies(row) {
        tx.prepare_cached("DELETE FROM outbox_body WHERE id = ?1")?.execute([body])?;
    }
    tx.prepare_cached("DELETE FROM outbox WHERE id = ?1")?.execute([row.id])?;
    Ok(())
}

fn weight(tx: &Tx<'_>, row: &Row) -> Result<u64, StoreError> {
    let mut size = tx.prepare_cached("SELECT size FROM outbox_body WHERE id = ?1")?;
    let mut bytes = ROW_BYTES;
    for body in bodies(row) {
        bytes += uint(size.query_row([body], |r| r.get(0)).optional()?.unwrap_or(0));
    }
    Ok(bytes)
}

fn bind(tx: &Tx<'_>, statement: &mut CachedStatement<'_>, row: &Row) -> Result<(), StoreError> {
    let op = row.op.as_ref();
    let (incident, problem) = row.link.as_ref().map(|(i, p)| (i, p)).unzip();
    let bytes = int(weight(tx, row)?);
    let values = params![
        row.id,
        row.destination,
        row.record,
        name(&KINDS, &row.kind),
        name(&STATES, &row.state),
        row.due.map(|s| s.0),
        row.priority.number(),
        row.queued,
        int(row.wanted.rev),
        row.wanted.over,
        row.body,
        int(row.acked.rev),
        row.acked.over,
        row.remote_id,
        row.created_at.0,
        row.settled_at.map(|s| s.0),
        op.map(|o| name(&OPERATIONS, &o.operation)),
        op.map(|o| &o.key),
        op.map(|o| int(o.revision.rev)),
        op.map(|o| o.revision.over),
        op.map(|o| o.body),
        row.sent,
        row.doubt.map(|s| s.0),
        row.attempts,
        row.last_error,
        incident,
        problem,
        row.alert_key,
        row.rank(),
        bytes,
    ];
    for (n, value) in (1..).zip(values) {
        statement.raw_bind_parameter(n as usize, *value)?;
    }
    Ok(())
}
