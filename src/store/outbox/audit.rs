//! A closer look: one row whole, everything undelivered for hand-over, and whether the outbox holds together.
//!
//! Reads only. Export goes in pages behind a cursor, so that neither side holds a backlog in memory.

use rusqlite::params;
use serde::Serialize;
use serde_json::{Value, json};

use super::super::error::StoreError;
use super::super::worker::Tx;
use super::super::{Store, int};
use super::table::{self, ROW_BYTES};
use super::view::OutboxView;

/// Rows of one page of an export at most.
pub const PAGE: usize = 500;

/// Findings of one kind that are listed.
const LISTED: i64 = 20;

/// Something that does not hold together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Flaw {
    /// What must hold.
    pub claim: String,
    /// Where it does not.
    pub place: String,
}

/// What must hold of all rows, each with the query that finds the others (`place`). Every query takes time in
/// proportion to the rows.
const CLAIMS: &[(&str, &str)] = &[
    ("the database is whole", "SELECT quick_check FROM pragma_quick_check WHERE quick_check <> 'ok'"),
    (
        "a row that waits has a body",
        "SELECT destination || ' ' || record FROM outbox WHERE body IS NULL AND op_body IS NULL
         AND (state IN ('pending', 'sending', 'unknown') OR due IS NOT NULL)",
    ),
    (
        "a body that a row names exists",
        "SELECT destination || ' ' || record FROM outbox o WHERE
         body IS NOT NULL AND NOT EXISTS (SELECT 1 FROM outbox_body b WHERE b.id = o.body)
         OR op_body IS NOT NULL AND NOT EXISTS (SELECT 1 FROM outbox_body b WHERE b.id = o.op_body)",
    ),
    (
        "a body is named by a row",
        "SELECT 'body ' || id FROM outbox_body WHERE id NOT IN
         (SELECT body FROM outbox WHERE body IS NOT NULL
          UNION SELECT op_body FROM outbox WHERE op_body IS NOT NULL)",
    ),
    (
        "a row that is being sent has its operation",
        "SELECT destination || ' ' || record FROM outbox WHERE state = 'sending' AND op IS NULL",
    ),
    (
        "a row that is neither stored, parked nor a link in waiting is due some time",
        "SELECT destination || ' ' || record FROM outbox
         WHERE due IS NULL AND state IN ('pending', 'unknown') AND kind <> 'link'",
    ),
    (
        "the far end holds no revision that was never made",
        "SELECT destination || ' ' || record FROM outbox WHERE acked_rev > rev",
    ),
    (
        "a stored row holds the newest revision",
        "SELECT destination || ' ' || record FROM outbox WHERE state = 'acked' AND acked_rev <> rev",
    ),
    (
        "the tally counts rows and bytes",
        "SELECT destination || ' ' || state || ': ' || n || ' rows in the tally, ' || m || ' there' FROM
         (SELECT t.destination, t.state, t.rows AS n, t.bytes AS b,
            (SELECT count(*) FROM outbox o WHERE o.destination = t.destination AND o.state = t.state) AS m,
            (SELECT coalesce(sum(bytes), 0) FROM outbox o
             WHERE o.destination = t.destination AND o.state = t.state) AS c FROM tally t)
         WHERE n <> m OR b <> c",
    ),
    (
        "the journal has no gap",
        "SELECT n || ' entries from ' || a || ' to ' || z FROM
         (SELECT count(*) AS n, min(seq) AS a, max(seq) AS z FROM journal) WHERE n > 0 AND n <> z - a + 1",
    ),
    ("a body is JSON", "SELECT 'body ' || id FROM outbox_body WHERE NOT json_valid(body)"),
    (
        "a row weighs what it holds",
        "SELECT destination || ' ' || record FROM outbox o WHERE bytes <> $ROW
         + coalesce((SELECT size FROM outbox_body b WHERE b.id = o.body), 0)
         + coalesce((SELECT size FROM outbox_body b WHERE b.id = o.op_body AND o.op_body IS NOT o.body), 0)",
    ),
];

/// All claims with their queries.
pub(super) fn claims() -> impl Iterator<Item = (&'static str, String)> {
    let row = ROW_BYTES.to_string();
    CLAIMS.iter().map(move |(claim, sql)| (*claim, format!("{} LIMIT {LISTED}", sql.replace("$ROW", &row))))
}

impl Store {
    /// One row with its bodies and the operation that is claimed: `{"row", "body", "sending"}`; `None` when
    /// the destination has no such row.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn outbox_row(&self, destination: &str, record: &str) -> Result<Option<Value>, StoreError> {
        let (destination, record) = (destination.to_owned(), record.to_owned());
        self.read(move |tx| whole(tx, &destination, &record)).await
    }

    /// A page of what no destination has stored, dead letters among it, in the order of age: rows as
    /// [`Store::outbox_row`] with their cursors.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn outbox_export(&self, after: i64) -> Result<Vec<Value>, StoreError> {
        self.read(move |tx| {
            let mut select = tx.prepare_cached(
                "SELECT id, destination, record FROM outbox
                 WHERE id > ?1 AND state <> 'acked' ORDER BY id LIMIT ?2",
            )?;
            let rows = select.query_map(params![after, int(PAGE as u64)], |r| {
                Ok((r.get::<_, i64>(0)?, r.get::<_, String>(1)?, r.get::<_, String>(2)?))
            })?;
            let mut page = Vec::new();
            for row in rows {
                let (cursor, destination, record) = row?;
                if let Some(mut one) = whole(tx, &destination, &record)? {
                    one["cursor"] = json!(cursor);
                    page.push(one);
                }
            }
            Ok(page)
        })
        .await
    }

    /// Whether the database and the outbox hold together: what does not. Each claim is a reading of its own,
    /// so that commits wait for one of them at most.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn outbox_verify(&self) -> Result<Vec<Flaw>, StoreError> {
        let mut flaws = Vec::new();
        for (claim, sql) in claims() {
            let places = self.read(move |tx| {
                let places = tx.prepare(&sql)?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>();
                Ok::<Vec<String>, _>(places?)
            });
            let flaw = |place| Flaw { claim: claim.to_owned(), place };
            flaws.extend(places.await?.into_iter().map(flaw));
        }
        Ok(flaws)
    }
}

fn whole(tx: &Tx<'_>, destination: &str, record: &str) -> Result<Option<Value>, StoreError> {
    let Some(row) = table::find(tx, destination, record)? else { return Ok(None) };
    let Some(view) = OutboxView::find(tx, row.id)? else { return Ok(None) };
    let parse = |text: String| serde_json::from_str(&text).unwrap_or(Value::String(text));
    let body = |id| -> Result<Value, StoreError> {
        Ok(match id {
            Some(id) => table::body(tx, id)?.map_or(Value::Null, parse),
            None => Value::Null,
        })
    };
    let sending = match &row.op {
        Some(op) => json!({"key": op.key, "rev": op.revision.rev, "body": body(Some(op.body))?}),
        None => Value::Null,
    };
    Ok(Some(json!({
        "row": view,
        "created_at": row.created_at,
        "stored_at": row.settled_at,
        "doubt_at": row.doubt,
        "record_key": format!("sx-{}", row.record),
        "body": body(row.body)?,
        "sending": sending,
    })))
}
