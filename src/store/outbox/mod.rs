//! The outbox: what every destination is still to be told, one row per (destination, record).
//!
//! `row` is the life of a row and pure; `table` its columns; `pump` the transactions of those who empty the
//! outbox; `cap` keeps it within its bytes and sweeps it; `view` looks into it and repairs it by hand. The
//! order of claims: creates, resolves, reopens, problems and links before plain updates; then high priority
//! before low; then the row that has waited longest.

mod audit;
mod cap;
mod pump;
mod row;
mod table;
mod view;

#[cfg(test)]
mod tests;

pub use self::audit::Flaw;
pub use self::cap::{DROPPED, bytes, sweep};
pub use self::pump::interrupted;
use self::row::Row;
pub use self::view::OutboxView;
use super::error::StoreError;
use super::worker::Tx;
use crate::engine::effect::{OutboxRow, RecordKind};
use crate::engine::moment::Stamp;

/// Takes new revisions in. A revision that is not newer than the known one is ignored, so that a commit may
/// be repeated.
pub fn put(tx: &Tx<'_>, rows: &[OutboxRow]) -> Result<(), StoreError> {
    // A link looks for the rows of its ends, which may come in the same commit.
    let (links, records): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.kind == RecordKind::Link);
    for new in records.into_iter().chain(links) {
        put_one(tx, new)?;
    }
    if rows.is_empty() { Ok(()) } else { cap::enforce(tx) }
}

fn put_one(tx: &Tx<'_>, new: &OutboxRow) -> Result<(), StoreError> {
    if let Some(before) = table::find(tx, &new.destination, &new.record)? {
        if new.rev > before.wanted.rev {
            let mut row = before.clone();
            row.supersede(new, table::add_body(tx, &new.body)?);
            table::save(tx, &before, &row)?;
        }
        return Ok(());
    }
    if !new.opens || !cap::admits(tx, new)? {
        return Ok(());
    }
    let due = match &new.link {
        Some((incident, problem)) => pump::ends(tx, &new.destination, incident, problem)?.map(|_| Stamp(0)),
        None => Some(Stamp(0)),
    };
    table::insert(tx, &Row::new(new, table::add_body(tx, &new.body)?, due, tx.now))?;
    Ok(())
}
