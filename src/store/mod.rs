//! The durable memory of the daemon: journal, engine state and outbox in one SQLite file, `state.db`.
//!
//! One [`Commit`] is one transaction and durable on return (`synchronous=FULL`); a failed one leaves nothing
//! behind and may be given again. All SQL runs on one thread of its own; a [`Store`] is a handle that sends
//! it work and awaits the answer, so that nothing here ever blocks the caller's event loop. The store knows
//! neither rules nor destinations: bodies are JSON text it never looks into. docs/store.md describes the
//! format on disk.

mod dir;
mod error;
mod journal;
mod outbox;
mod schema;
mod upkeep;
mod worker;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{mpsc, oneshot};

use self::dir::Dir;
pub use self::error::StoreError;
pub use self::journal::JournalRow;
pub use self::outbox::{Drops, Flaw, OutboxView};
use self::upkeep::Upkeep;
pub use self::worker::Service;
use self::worker::{Call, Message, QUEUE, Tx, Worker};
use crate::clock::Clock;
use crate::engine::effect::{Entry, OutboxRow, StateChange};
use crate::engine::moment::Stamp;
use crate::engine::option::StorePlan;

/// Databases up to this size are checked whole at every start; larger ones only when they were found damaged
/// at work.
const CHECK_LIMIT: u64 = 32 << 20;

/// Everything of one engine step that must become durable together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// What happened.
    pub journal: Vec<Entry>,
    /// Engine state to write or delete.
    pub state: Vec<StateChange>,
    /// Records to forward, one row for each destination.
    pub outbox: Vec<OutboxRow>,
}

/// What the store held when it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Engine state as (kind, key, body), ordered by kind and key.
    pub state: Vec<(String, String, String)>,
    /// Number of the newest journal entry; 0 when there is none.
    pub seq: u64,
    /// When this store began: tickets of records minted before are from a lost one.
    pub born: Stamp,
    /// What was found damaged and where it is now, in one sentence; an incident about ourselves should carry
    /// it.
    pub recovered: Option<String>,
}

/// Sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// `state.db`.
    pub database: u64,
    /// `state.db-wal`.
    pub wal: u64,
    /// Rows of the outbox with their bodies.
    pub outbox: u64,
    /// What the outbox may hold.
    pub outbox_limit: u64,
}

/// A handle of the open store; clones share it. The store closes when the last one is dropped.
#[derive(Clone, Debug)]
pub struct Store {
    inbox: mpsc::Sender<Message>,
    dropped: Arc<AtomicU64>,
    outbox_limit: u64,
}

impl Store {
    /// Opens the store, or makes it. A damaged database is moved aside and a new one started, which
    /// [`Loaded::recovered`] tells. Operations that were being sent when the last daemon ended become
    /// `unknown`.
    ///
    /// # Errors
    /// `Locked` when another daemon uses the directory, `Newer`, `Foreign`, `File`, `Full`, `Sqlite`.
    pub fn open(plan: &StorePlan) -> Result<(Store, Loaded), StoreError> {
        let (store, loaded, service) = Self::prepare(plan, Clock::start())?;
        std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || service.serve())
            .map_err(|e| StoreError::file("start thread of store", e))?;
        Ok((store, loaded))
    }

    /// [`Store::open`] without a thread, by another clock: the handle's calls wait until the service turns.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn prepare(plan: &StorePlan, clock: Clock) -> Result<(Store, Loaded, Service), StoreError> {
        let dir = Dir::lock(&plan.dir)?;
        let first = match Opened::new(&dir, clock) {
            // The disk was full when the last daemon ended: the ballast is there for that.
            Err(StoreError::Full) if dir.free_ballast() => Opened::new(&dir, clock),
            other => other,
        };
        let (opened, recovered) = match first {
            Err(StoreError::Corrupt(reason)) => {
                let name = dir.move_aside(clock.now().stamp())?;
                let sentence =
                    format!("state.db was damaged ({reason}); it is now {name}, a new one was started");
                tracing::error!(reason = sentence, "store recovered");
                (Opened::new(&dir, clock)?, Some(sentence))
            }
            other => {
                let opened = other?;
                let lost = "state.db was empty; a new one was started";
                let recovered = opened.was_empty.then(|| lost.to_owned());
                (opened, recovered)
            }
        };
        dir.clear_suspect();
        let dropped = Arc::new(AtomicU64::new(opened.dropped));
        let (inbox, outbox) = mpsc::channel(QUEUE);
        let worker = Worker {
            conn: opened.conn,
            dir,
            clock,
            outbox_limit: plan.outbox_limit,
            dropped: Arc::clone(&dropped),
            upkeep: Upkeep::new(plan.journal_limit),
        };
        let store = Store { inbox, dropped, outbox_limit: plan.outbox_limit };
        let loaded = Loaded { state: opened.state, seq: opened.seq, born: opened.born, recovered };
        Ok((store, loaded, Service::new(worker, outbox)))
    }

    /// Makes everything in `commit` durable, in one transaction. Takes a `Commit` or an `Arc` of one, so that
    /// it can be kept for another try.
    ///
    /// # Errors
    /// Nothing of it was written; the caller tries again. Giving a commit again that did arrive is harmless.
    pub async fn commit(&self, commit: impl Into<Arc<Commit>>) -> Result<(), StoreError> {
        let commit = commit.into();
        self.write(move |tx| {
            journal::append(tx, &commit.journal)?;
            journal::apply(tx, &commit.state)?;
            outbox::put(tx, &commit.outbox)
        })
        .await
    }

    /// Entries about these subjects among the newest `scan` of the journal, oldest first, at most 10 000 of
    /// each.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn journal_about(
        &self,
        subjects: Vec<String>,
        scan: u64,
    ) -> Result<Vec<JournalRow>, StoreError> {
        self.read(move |tx| journal::about(tx, &subjects, scan)).await
    }

    /// Ids of incidents among the newest `scan` entries of the journal, whose id begins so or whose number is
    /// that; at most ten, newest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn journal_incidents(&self, text: &str, scan: u64) -> Result<Vec<String>, StoreError> {
        let text = text.to_owned();
        self.read(move |tx| journal::incidents(tx, &text, scan)).await
    }

    /// Sizes now.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn size(&self) -> Result<Size, StoreError> {
        let limit = self.outbox_limit;
        self.read(move |tx| {
            let pragma = |sql: &str| tx.query_row(sql, [], |row| row.get::<_, i64>(0));
            let database = pragma("PRAGMA page_count")?.saturating_mul(pragma("PRAGMA page_size")?);
            // SQLite names the log after the database; asking the file is cheaper than a checkpoint.
            let wal = tx.path().and_then(|path| std::fs::metadata(format!("{path}-wal")).ok());
            let outbox = outbox::bytes(tx)?;
            let wal = wal.map_or(0, |meta| meta.len());
            Ok(Size { database: uint(database), wal, outbox, outbox_limit: limit })
        })
        .await
    }

    /// What was given up because the outbox was full, since the store was made: records, links and waiting
    /// updates.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Closes the database and gives the directory back, after everything queued before. Later calls on any
    /// clone fail with `Closed`.
    pub async fn close(self) {
        let (reply, closed) = oneshot::channel();
        if self.inbox.send(Message::Close(reply)).await.is_ok() {
            let _ = closed.await;
        }
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnMut(&Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.call(false, work).await
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnMut(&Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.call(true, work).await
    }

    async fn call<T: Send + 'static>(
        &self,
        writes: bool,
        work: impl FnMut(&Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let task = Box::new(Call { writes, work, value: None, reply });
        self.inbox.send(Message::Run(task)).await.map_err(|_| StoreError::Closed)?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }
}

/// A database that passed every check of the start.
struct Opened {
    conn: rusqlite::Connection,
    state: Vec<(String, String, String)>,
    seq: u64,
    born: Stamp,
    dropped: u64,
    was_empty: bool,
}

impl Opened {
    fn new(dir: &Dir, clock: Clock) -> Result<Self, StoreError> {
        let was_empty = dir.prepare_database()?;
        let path = dir.database();
        let conn = schema::connect(&path)?;
        let small = std::fs::metadata(&path).is_ok_and(|meta| meta.len() <= CHECK_LIMIT);
        if small || dir.is_suspect() {
            let verdict: String = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
            if verdict != "ok" {
                return Err(StoreError::Corrupt(verdict));
            }
        }
        let tx = Tx::new(&conn, clock.now().stamp(), u64::MAX);
        outbox::interrupted(&tx)?;
        let state = journal::load(&tx)?;
        let seq = journal::newest(&tx)?;
        let born = journal::born(&tx)?;
        let dropped = journal::counter(&tx, outbox::DROPPED)?;
        dir.keep_ballast();
        Ok(Self { conn, state, seq, born, dropped, was_empty })
    }
}

/// SQLite keeps signed numbers; ours never come near the end.
fn int(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The way back of [`int`].
fn uint(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}
