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
use self::row::{Row, RowState};
pub use self::view::{Drops, OutboxView};
use super::error::StoreError;
use super::worker::Tx;
use crate::engine::effect::{Fallen, OutboxRow, RecordKind};
use crate::engine::moment::Stamp;

/// Takes new revisions in. A revision that is not newer than the known one is ignored, so that a commit may
/// be repeated.
pub fn put(tx: &Tx<'_>, rows: &[OutboxRow]) -> Result<(), StoreError> {
    // A link looks for the rows of its ends, and who steps in for another destination for the row there; they
    // may come in the same commit.
    let mut order: Vec<&OutboxRow> = rows.iter().collect();
    order.sort_by_key(|row| (row.kind == RecordKind::Link, row.terms.instead_of.is_some()));
    order.into_iter().try_for_each(|new| put_one(tx, new))?;
    if rows.is_empty() { Ok(()) } else { cap::enforce(tx) }
}

fn put_one(tx: &Tx<'_>, new: &OutboxRow) -> Result<(), StoreError> {
    let Some(before) = table::find(tx, &new.destination, &new.record)? else { return open(tx, new) };
    let mut row = before.clone();
    let newer = new.rev > before.wanted.rev;
    match new.terms.fallen {
        Some(fallen) if new.rev == before.wanted.rev && may_fall_back(&before, fallen) => {
            let waits_for_ends = match &new.link {
                Some((incident, problem)) => pump::ends(tx, &new.destination, incident, problem)?.is_none(),
                None => false,
            };
            row.fall_back(fallen, table::add_body(tx, &new.body)?, waits_for_ends, tx.now);
        }
        Some(_) => return Ok(()),
        None if newer && new.terms.known && row.learn(new, tx.now) => {}
        None if newer => row.supersede(new, table::add_body(tx, &new.body)?),
        None => return Ok(()),
    }
    table::save(tx, &before, &row)
}

/// What is stored; a dead letter too when its ticket is gone, because it is then to be made anew.
fn may_fall_back(row: &Row, fallen: Fallen) -> bool {
    let gone = fallen.rev == 0 && row.acked.rev > 0;
    row.state == RowState::Acked || (row.state == RowState::Parked && gone)
}

/// The first row of a record at a destination, if there is to be one.
fn open(tx: &Tx<'_>, new: &OutboxRow) -> Result<(), StoreError> {
    let lost = new.terms.fallen.is_some();
    if lost || !new.opens || !is_wanted_instead(tx, new)? || !cap::admits(tx, new)? {
        return Ok(());
    }
    let due = match &new.link {
        Some((incident, problem)) => pump::ends(tx, &new.destination, incident, problem)?.map(|_| Stamp(0)),
        None => Some(new.terms.not_before.unwrap_or(Stamp(0))),
    };
    table::insert(tx, &Row::new(new, table::add_body(tx, &new.body)?, due, tx.now))
}

/// A row for a destination that steps in for another: only what that one was to get and never stored, and
/// only while it is open.
fn is_wanted_instead(tx: &Tx<'_>, new: &OutboxRow) -> Result<bool, StoreError> {
    let Some(other) = &new.terms.instead_of else { return Ok(true) };
    let row = table::find(tx, other, &new.record)?;
    Ok(!new.over && row.is_some_and(|row| row.acked.rev == 0))
}
