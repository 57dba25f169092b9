//! The one place that touches SQLite: a thread of its own in the daemon.
//!
//! Whatever is queued at the moment goes into one transaction (group commit): one fsync answers many callers.
//! When anything in a group fails, the group is rolled back and each task runs in a transaction of its own,
//! so that a caller only ever hears of its own failure. Nobody is answered before the commit. Upkeep
//! (retention, sweep, ballast) runs after the answers and its failures are only logged. This file must not
//! know what the tasks do.

use std::cell::Cell;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::dir::Dir;
use super::error::StoreError;
use super::upkeep::Upkeep;
use crate::clock::Clock;
use crate::engine::moment::Stamp;

/// Tasks that may wait for the thread; further callers wait (without blocking their thread) for a place.
pub const QUEUE: usize = 256;

/// Tasks in one transaction at most.
const GROUP: usize = 64;

/// What a task sees of the running transaction.
pub struct Tx<'a> {
    conn: &'a Connection,
    /// Wall time of the group.
    pub now: Stamp,
    /// Largest size of the outbox in bytes.
    pub outbox_limit: u64,
    /// Records dropped by this transaction.
    pub dropped: Cell<u64>,
}

impl<'a> Tx<'a> {
    /// A transaction's view for tasks and tests.
    pub fn new(conn: &'a Connection, now: Stamp, outbox_limit: u64) -> Self {
        Self { conn, now, outbox_limit, dropped: Cell::new(0) }
    }
}

impl Deref for Tx<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.conn
    }
}

/// What is sent to the thread.
pub enum Message {
    /// Work for a transaction.
    Run(Box<dyn Task>),
    /// Close the database, give the lock back, then answer.
    Close(oneshot::Sender<()>),
}

/// Work that runs inside a transaction, perhaps more than once, and is answered after the commit.
pub trait Task: Send {
    /// True when the work writes.
    fn writes(&self) -> bool;
    /// Does the work; must be repeatable after a rollback.
    fn run(&mut self, tx: &Tx<'_>) -> Result<(), StoreError>;
    /// Tells the caller.
    fn answer(self: Box<Self>, outcome: Result<(), StoreError>);
}

/// A task made of a function and the channel for its result.
pub struct Call<T, F> {
    /// See [`Task::writes`].
    pub writes: bool,
    /// The work.
    pub work: F,
    /// Its last result.
    pub value: Option<T>,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T: Send, F: FnMut(&Tx<'_>) -> Result<T, StoreError> + Send> Task for Call<T, F> {
    fn writes(&self) -> bool {
        self.writes
    }

    fn run(&mut self, tx: &Tx<'_>) -> Result<(), StoreError> {
        self.value = Some((self.work)(tx)?);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Call { value, reply, .. } = *self;
        // A caller that no longer waits has lost nothing: the commit stands.
        let _ = reply.send(outcome.and_then(|()| value.ok_or(StoreError::Closed)));
    }
}

/// The open database and what belongs to it.
pub struct Worker {
    /// The connection.
    pub conn: Connection,
    /// The locked directory; given back at the end.
    pub dir: Dir,
    /// The time.
    pub clock: Clock,
    /// Largest size of the outbox in bytes.
    pub outbox_limit: u64,
    /// Records dropped since the store was made, shared with the handles.
    pub dropped: Arc<AtomicU64>,
    /// What is done now and then.
    pub upkeep: Upkeep,
}

/// The open database with the queue of what is asked of it. Nothing is done, and nobody answered, but in its
/// turns: whoever owns it gives it a thread ([`Service::serve`]) or, in a simulated world, turns it by hand.
pub struct Service {
    worker: Worker,
    inbox: mpsc::Receiver<Message>,
    /// Somebody said close, and waits.
    closing: Option<oneshot::Sender<()>>,
}

impl Service {
    /// A service that has not turned yet.
    pub(super) fn new(worker: Worker, inbox: mpsc::Receiver<Message>) -> Self {
        Self { worker, inbox, closing: None }
    }

    /// Turns until every handle is gone or one says close.
    pub fn serve(mut self) {
        while self.closing.is_none() {
            let Some(first) = self.inbox.blocking_recv() else { break };
            self.take(first);
        }
        self.end();
    }

    /// Waits for work and does what is queued then, in one transaction. False when every handle is gone or
    /// one has said close: then [`Service::end`] is due.
    pub async fn turn(&mut self) -> bool {
        let Some(first) = self.inbox.recv().await else { return false };
        self.take(first);
        self.closing.is_none()
    }

    /// From now on the database file cannot grow beyond so many pages (at least what it has now); `None`
    /// lifts that. What a full disk does, for simulated worlds.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn limit_pages(&self, pages: Option<u32>) -> Result<(), StoreError> {
        let pages = pages.map_or(i64::from(u32::MAX - 1), i64::from);
        let sql = format!("PRAGMA max_page_count = {pages}");
        Ok(self.worker.conn.query_row(&sql, [], |row| row.get::<_, i64>(0)).map(drop)?)
    }

    /// Closes the database, gives the directory back, and tells whoever asked for that.
    pub fn end(self) {
        let Self { worker, inbox, closing } = self;
        drop(inbox);
        if let Err((_, e)) = worker.conn.close() {
            tracing::warn!(reason = %e, "cannot close store cleanly");
        }
        drop(worker.dir);
        if let Some(reply) = closing {
            let _ = reply.send(());
        }
    }

    fn take(&mut self, first: Message) {
        let mut group = Vec::new();
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Run(task) => group.push(task),
                Message::Close(reply) => self.closing = Some(reply),
            }
            let more = group.len() < GROUP && self.closing.is_none();
            next = if more { self.inbox.try_recv().ok() } else { None };
        }
        self.worker.execute(group);
        self.worker.upkeep.run(&self.worker.conn, &self.worker.dir, self.worker.clock.now());
    }
}

impl Worker {
    fn execute(&mut self, mut group: Vec<Box<dyn Task>>) {
        if group.len() > 1 && self.attempt(&mut group).is_ok() {
            group.into_iter().for_each(|task| task.answer(Ok(())));
            return;
        }
        for mut task in group {
            let outcome = self.alone(&mut task);
            task.answer(outcome);
        }
    }

    fn alone(&mut self, task: &mut Box<dyn Task>) -> Result<(), StoreError> {
        let task = std::slice::from_mut(task);
        match self.attempt(task) {
            Err(StoreError::Full) if self.dir.free_ballast() => {
                tracing::warn!("disk is full: ballast of the store given up");
                self.attempt(task)
            }
            Err(StoreError::Corrupt(reason)) => {
                self.dir.suspect();
                Err(StoreError::Corrupt(reason))
            }
            other => other,
        }
    }

    fn attempt(&mut self, tasks: &mut [Box<dyn Task>]) -> Result<(), StoreError> {
        let writes = tasks.iter().any(|task| task.writes());
        let behavior = if writes { TransactionBehavior::Immediate } else { TransactionBehavior::Deferred };
        let transaction = Transaction::new_unchecked(&self.conn, behavior)?;
        let tx = Tx::new(&transaction, self.clock.now().stamp(), self.outbox_limit);
        for task in tasks {
            task.run(&tx)?;
        }
        let dropped = tx.dropped.get();
        transaction.commit()?;
        self.dropped.fetch_add(dropped, Ordering::Relaxed);
        Ok(())
    }
}
