//! The sample history: every value the doors saw, in a file of its own, `history.db`, with a budget of its
//! own.
//!
//! Nothing here is as precious as an incident. The last minute may be lost, samples may be dropped when the
//! disk is slow, and a file that cannot be used is moved aside and begun anew: the daemon goes on in any
//! case, and says so in its log and its status. Samples of an hour are kept in compressed columns; when the
//! budget is used up the oldest become rollups of five minutes, later the oldest rollups go. All of it runs
//! on one thread of its own; [`History`] hands it a minute of observations at a time and never waits. This
//! room knows neither rules nor incidents. docs/history.md describes the format on disk.

mod bits;
mod chunk;
mod error;
mod file;
mod group;
mod log;
mod merge;
mod number;
mod pack;
mod read;
mod recall;
mod rollup;
mod spread;
mod stream;
mod thin;
mod whole;
mod worker;
mod write;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

pub use self::error::HistoryError;
pub use self::read::{Archive, Damage, Reader, Sample, Series};
pub use self::rollup::{Rollup, STEP};
pub use self::stream::{Ask, Coarse, Restart, Stream};
use self::worker::{Message, Task, Worker};
use crate::clock::Clock;
use crate::engine::moment::{MINUTE, Moment, Stamp};
use crate::engine::option::HistoryPlan;
use crate::engine::signal::Observation;

/// Budgets below this keep no history.
pub const LEAST: u64 = 1 << 20;
/// How often what was seen goes to the thread, ns.
const FLUSH: i64 = MINUTE;
/// Samples that are handed over at once, though the minute is not over.
const BATCH: usize = 2048;
/// Batches and questions that may wait for the thread; further batches are dropped, further questions wait.
const QUEUE: usize = 8;

/// How the history is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The file.
    pub path: PathBuf,
    /// Its size in bytes, log included.
    pub bytes: u64,
    /// The budget in bytes; 0 when no history is kept.
    pub limit: u64,
    /// Wall time of the oldest sample or rollup.
    pub oldest: Option<Stamp>,
    /// Wall time of the oldest sample that is not a rollup yet.
    pub oldest_sample: Option<Stamp>,
    /// Series heard of lately.
    pub series: usize,
    /// Samples written since the start of the daemon.
    pub written: u64,
    /// Samples lost since then, because the thread was behind or the file could not be written.
    pub dropped: u64,
    /// Samples refused since then: older than the newest of their series, or of one series too many.
    pub refused: u64,
    /// Rows found damaged since then.
    pub damaged: u64,
    /// Why nothing can be written now.
    pub error: Option<String>,
    /// What was moved aside since the start of the daemon, and why.
    pub recovered: Option<String>,
}

/// What handle and thread both see.
#[derive(Debug, Default)]
struct Shared(Mutex<Status>);

impl Shared {
    fn update(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn get(&self) -> Status {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The daemon's end of the history.
pub struct History {
    inbox: Option<mpsc::Sender<Message>>,
    shared: Arc<Shared>,
    batch: Vec<Observation>,
    samples: usize,
    /// When the batch is handed over, in steady time.
    due: Option<i64>,
}

/// Asks the history; clones ask the same one.
#[derive(Clone)]
pub struct Asker {
    inbox: Option<mpsc::Sender<Message>>,
    path: PathBuf,
}

impl History {
    /// Starts the thread, which opens the file, or makes it. Never fails: what goes wrong is in the status.
    pub fn start(plan: &HistoryPlan, clock: Clock) -> Self {
        let path = file::path(&plan.dir);
        let limit = if plan.limit < LEAST { 0 } else { plan.limit };
        let shared = Arc::new(Shared::default());
        shared.update(|status| (status.path, status.limit) = (path, limit));
        let none = |shared| Self { inbox: None, shared, batch: Vec::new(), samples: 0, due: None };
        if limit == 0 {
            return none(shared);
        }
        let (inbox, outbox) = mpsc::channel(QUEUE);
        let worker = Worker::new(plan.dir.clone(), limit, clock, Arc::clone(&shared));
        let thread = std::thread::Builder::new().name("history".to_owned());
        if let Err(error) = thread.spawn(move || worker.serve(outbox)) {
            tracing::error!(reason = %error, "cannot start the thread of the history");
            shared.update(|status| status.error = Some(format!("cannot start its thread: {error}")));
            return none(shared);
        }
        Self { inbox: Some(inbox), ..none(shared) }
    }

    /// Keeps what was seen, to be written within a minute.
    pub fn keep(&mut self, now: Moment, seen: impl IntoIterator<Item = Observation>) {
        if self.inbox.is_none() {
            return;
        }
        for observation in seen {
            self.samples += observation.samples.len() + usize::from(observation.gone);
            self.batch.push(observation);
        }
        let due = *self.due.get_or_insert(now.mono.saturating_add(FLUSH));
        if now.mono >= due || self.samples >= BATCH {
            self.flush();
            self.due = Some(now.mono.saturating_add(FLUSH));
        }
    }

    /// Hands over what was seen. What the thread has no room for is dropped and counted.
    pub fn flush(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        let samples = std::mem::take(&mut self.samples);
        let Some(inbox) = self.inbox.as_ref().filter(|_| !batch.is_empty()) else { return };
        // The next batch is likely to be as large.
        self.batch.reserve(batch.len());
        if inbox.try_send(Message::Write(batch)).is_err() {
            self.shared.update(|status| status.dropped += samples as u64);
        }
    }

    /// How it is, as of the last minute.
    pub fn status(&self) -> Status {
        self.shared.get()
    }

    /// Asks questions of it.
    pub fn asker(&self) -> Asker {
        Asker { inbox: self.inbox.clone(), path: self.shared.get().path }
    }

    /// Writes what was seen and closes the file.
    pub async fn close(mut self) {
        self.flush();
        let Some(inbox) = self.inbox.take() else { return };
        let (reply, closed) = oneshot::channel();
        if inbox.send(Message::Close(reply)).await.is_ok() {
            let _ = closed.await;
        }
    }
}

impl Asker {
    /// Reads on the history's thread; `work` should be short, as writing waits for it.
    ///
    /// # Errors
    /// There is no history now, or what `work` says.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Reader<'_>) -> Result<T, HistoryError> + Send + 'static,
    ) -> Result<T, HistoryError> {
        let inbox = self.inbox.as_ref().ok_or_else(|| HistoryError::Absent(self.path.clone()))?;
        let (reply, answer) = oneshot::channel();
        let task: Task = Box::new(move |reader| {
            let outcome = reader.and_then(work);
            let damage = outcome.as_ref().err().filter(|e| matches!(e, HistoryError::Damaged(_))).cloned();
            let _ = reply.send(outcome);
            damage
        });
        inbox.send(Message::Read(task)).await.map_err(|_| HistoryError::Closed)?;
        answer.await.unwrap_or(Err(HistoryError::Closed))
    }
}
