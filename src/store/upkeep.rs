//! What the store does now and then, after the callers have their answers: old journal entries and settled
//! outbox rows go, free pages are given back to the file system, the ballast is made again.
//!
//! Always in small batches, so that no commit waits long behind it. A failure is logged and tried again the
//! next time.

use rusqlite::Connection;

use super::dir::Dir;
use super::error::StoreError;
use super::worker::Tx;
use super::{journal, outbox};
use crate::engine::moment::{HOUR, MINUTE, Moment, Stamp};

/// Time between two runs when the last one left nothing to do.
const REST: i64 = HOUR;

/// Time between two runs when there is more to do, and between two looks at ballast and free pages.
const SOON: i64 = MINUTE;

/// Rows deleted by one run at most, of each kind.
const BATCH: usize = 500;

/// Pages given back by one run at most (4 KiB each).
const PAGES: i64 = 1024;

/// Free pages that may stay in the file to be used again.
const SPARE_PAGES: i64 = 256;

/// When what is due.
pub struct Upkeep {
    journal_limit: i64,
    next_light: i64,
    next_sweep: i64,
}

impl Upkeep {
    /// Everything is due at once.
    pub fn new(journal_limit: i64) -> Self {
        Self { journal_limit, next_light: i64::MIN, next_sweep: i64::MIN }
    }

    /// Does what is due.
    pub fn run(&mut self, conn: &Connection, dir: &Dir, now: Moment) {
        if now.mono < self.next_light {
            return;
        }
        self.next_light = now.mono + SOON;
        dir.keep_ballast();
        if now.mono >= self.next_sweep {
            let more = self.sweep(conn, now.stamp()).unwrap_or_else(|e| {
                tracing::warn!(reason = %e, "cannot sweep store");
                if matches!(e, StoreError::Corrupt(_)) {
                    dir.suspect();
                }
                false
            });
            self.next_sweep = now.mono + if more { SOON } else { REST };
        }
        if let Err(e) = give_back(conn) {
            tracing::warn!(reason = %e, "cannot shrink store");
        }
    }

    fn sweep(&self, conn: &Connection, now: Stamp) -> Result<bool, StoreError> {
        let transaction = conn.unchecked_transaction()?;
        let tx = Tx::new(&transaction, now, u64::MAX);
        let entries = journal::trim(&tx, now.plus(self.journal_limit.saturating_neg()), BATCH)?;
        let rows = outbox::sweep(&tx, BATCH)?;
        transaction.commit()?;
        Ok(entries == BATCH || rows >= BATCH)
    }
}

fn give_back(conn: &Connection) -> Result<(), StoreError> {
    let free: i64 = conn.query_row("PRAGMA freelist_count", [], |row| row.get(0))?;
    let pages = (free - SPARE_PAGES).min(PAGES);
    if pages > 0 {
        // One page per step: the statement must be run to its end.
        let mut shrink = conn.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
        let mut steps = shrink.query([])?;
        while steps.next()?.is_some() {}
    }
    Ok(())
}
