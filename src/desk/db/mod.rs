//! The desk's own database, `desk.db`: one thread writes, one reads, nobody else touches SQLite.
//!
//! Owns the connections, the format (`user_version`) and the queues. WAL with `synchronous=FULL`: what was
//! answered is on disk. The writer commits all deliveries that wait in one transaction, answers after the
//! commit and only then tells the pages. Knows neither HTTP nor HTML.

mod read;
mod write;

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use rusqlite::{Connection, OpenFlags};
use tokio::sync::{broadcast, oneshot};

use super::wire::Delivery;
use crate::engine::moment::Stamp;

pub(super) use read::{
    Filter, Hearing, HostLine, Life, Overview, ProblemName, Stored, Table, changes_after, hosts,
    incidents_of, list, one, overview, problem_of,
};
pub(super) use write::{Change, Verdict};

/// Format of the database; a database with a higher number is left alone.
const FORMAT: i64 = 1;
/// `sexd`: marks the file as a desk's.
const APPLICATION_ID: i64 = 0x7365_7864;
/// Deliveries and questions that may wait; beyond it the desk answers 503.
const QUEUE: usize = 256;

/// Why the database did not do what was asked.
#[derive(Debug)]
pub(super) enum DbError {
    /// Too much waits already.
    Busy,
    /// The database is closed, or its thread has died.
    Gone,
    /// SQLite says so.
    Sqlite(rusqlite::Error),
}

impl std::fmt::Display for DbError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DbError::Busy => f.write_str("too many requests wait for the database"),
            DbError::Gone => f.write_str("the database is closed"),
            DbError::Sqlite(e) => write!(f, "the database says: {e}"),
        }
    }
}

/// One request's events on their way to disk.
struct Ingest {
    events: Vec<Delivery>,
    now: Stamp,
    reply: oneshot::Sender<Result<Vec<Verdict>, DbError>>,
}

type Question = Box<dyn FnOnce(&Connection) + Send>;

/// A job for a thread, or its end.
enum Job<T> {
    Do(T),
    Stop,
}

/// The database; its threads live until [`Database::close`].
pub(super) struct Database {
    writer: SyncSender<Job<Ingest>>,
    reader: SyncSender<Job<Question>>,
    threads: std::sync::Mutex<Vec<JoinHandle<()>>>,
}

impl Database {
    /// Opens or creates `desk.db` in `dir`. Every stored change is told to `changes` after its commit.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub(super) fn open(dir: &Path, changes: broadcast::Sender<Change>) -> Result<Database, String> {
        let path = dir.join("desk.db");
        let told = |e: rusqlite::Error| format!("cannot open {}: {e}", path.display());
        std::fs::create_dir_all(dir).map_err(|e| format!("cannot create {}: {e}", dir.display()))?;
        let mut writing = Connection::open(&path).map_err(told)?;
        settle(&writing).map_err(told)?;
        migrate(&mut writing).map_err(|e| format!("cannot use {}: {e}", path.display()))?;
        let reading = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(told)?;
        reading.busy_timeout(std::time::Duration::from_secs(5)).map_err(told)?;

        let (writer, jobs) = sync_channel(QUEUE);
        let (reader, questions) = sync_channel(QUEUE);
        let threads = vec![
            start("desk-write", move || write::run(writing, &jobs, &changes))?,
            start("desk-read", move || answer(&reading, &questions))?,
        ];
        Ok(Database { writer, reader, threads: std::sync::Mutex::new(threads) })
    }

    /// Stores the events of one request in one transaction; the answer comes after the commit, in the same
    /// order.
    ///
    /// # Errors
    /// [`DbError`]; then nothing of this request is stored.
    pub(super) async fn ingest(&self, events: Vec<Delivery>, now: Stamp) -> Result<Vec<Verdict>, DbError> {
        let (reply, answer) = oneshot::channel();
        send(&self.writer, Ingest { events, now, reply })?;
        answer.await.map_err(|_| DbError::Gone)?
    }

    /// Asks a question on the reading thread.
    ///
    /// # Errors
    /// [`DbError`].
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, DbError> {
        let (reply, answer) = oneshot::channel();
        let job: Question = Box::new(move |db| {
            // Nobody waits any more when the client has gone: nothing is lost.
            let _ = reply.send(question(db));
        });
        send(&self.reader, job)?;
        answer.await.map_err(|_| DbError::Gone)?.map_err(DbError::Sqlite)
    }

    /// Finishes what waits, writes the WAL back and ends both threads.
    pub(super) fn close(&self) {
        // A thread that has ended already needs no word.
        let _ = self.writer.send(Job::Stop);
        let _ = self.reader.send(Job::Stop);
        let mut threads = self.threads.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for thread in threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the desk's database had panicked");
            }
        }
    }
}

fn send<T>(queue: &SyncSender<Job<T>>, job: T) -> Result<(), DbError> {
    queue.try_send(Job::Do(job)).map_err(|e| match e {
        TrySendError::Full(_) => DbError::Busy,
        TrySendError::Disconnected(_) => DbError::Gone,
    })
}

fn start(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, String> {
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(body);
    thread.map_err(|e| format!("cannot start thread {name}: {e}"))
}

fn answer(db: &Connection, questions: &Receiver<Job<Question>>) {
    while let Ok(Job::Do(question)) = questions.recv() {
        question(db);
    }
}

fn settle(db: &Connection) -> rusqlite::Result<()> {
    db.busy_timeout(std::time::Duration::from_secs(5))?;
    db.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -4096; PRAGMA wal_autocheckpoint = 1000; PRAGMA journal_size_limit = 8388608;",
    )
}

/// Creates the tables in an empty file; refuses a file that is not a desk's or was written by a newer
/// version.
fn migrate(db: &mut Connection) -> Result<(), String> {
    let number = |pragma: &str, db: &Connection| -> Result<i64, String> {
        db.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0)).map_err(|e| e.to_string())
    };
    let (format, application) = (number("user_version", db)?, number("application_id", db)?);
    match (format, application) {
        (0, 0) => {}
        (FORMAT, APPLICATION_ID) => return Ok(()),
        (newer, APPLICATION_ID) => {
            return Err(format!("it has format {newer}, this sexton knows {FORMAT}"));
        }
        _ => return Err("it is not a database of the desk".to_owned()),
    }
    let create = |db: &mut Connection| -> rusqlite::Result<()> {
        let tx = db.transaction()?;
        tx.execute_batch(include_str!("schema.sql"))?;
        tx.execute_batch(&format!(
            "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT};"
        ))?;
        tx.commit()
    };
    create(db).map_err(|e| e.to_string())
}
