//! The thread of the history: opens the file, writes batches, packs hours, keeps the budget, answers.
//!
//! A file that is damaged, foreign or too new is moved aside, now or at work, and the batch in hand goes into
//! the new one. What cannot be mended so (a full disk, a directory that may not be written) is tried again
//! with the next batch; until then samples are dropped and counted.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::Shared;
use super::error::HistoryError;
use super::file;
use super::read::{RAW, Reader};
use super::write::Writer;
use crate::clock::Clock;
use crate::engine::moment::Stamp;
use crate::engine::signal::Observation;

/// Work for a reader, or why there is none; it answers for itself, and says what damage it met.
pub type Task = Box<dyn FnOnce(Result<&mut Reader<'_>, HistoryError>) -> Option<HistoryError> + Send>;

/// What is sent to the thread.
pub enum Message {
    /// Observations to be written.
    Write(Vec<Observation>),
    /// A question.
    Read(Task),
    /// Close the file, then answer.
    Close(oneshot::Sender<()>),
}

/// What the thread owns.
pub struct Worker {
    dir: PathBuf,
    limit: u64,
    clock: Clock,
    shared: Arc<Shared>,
    writer: Option<Writer>,
}

impl Worker {
    /// A worker that has not opened its file yet.
    pub fn new(dir: PathBuf, limit: u64, clock: Clock, shared: Arc<Shared>) -> Self {
        Self { dir, limit, clock, shared, writer: None }
    }

    /// Works until every handle is gone or one says close.
    pub fn serve(mut self, mut inbox: mpsc::Receiver<Message>) {
        let opened = self.open();
        self.told(opened);
        self.measure();
        while let Some(message) = inbox.blocking_recv() {
            match message {
                Message::Write(batch) => self.write(&batch),
                Message::Read(task) => self.read(task),
                Message::Close(reply) => {
                    drop(self.writer.take());
                    let _ = reply.send(());
                    return;
                }
            }
        }
    }

    /// Opens the file unless it is open; what cannot be used is moved aside once.
    fn open(&mut self) -> Result<(), HistoryError> {
        if self.writer.is_some() {
            return Ok(());
        }
        let now = self.clock.now();
        let (dir, limit) = (self.dir.clone(), self.limit);
        let open = || Writer::new(file::open(&dir)?, limit, now.mono);
        let writer = match open() {
            Err(error) if is_useless(&error) => {
                self.move_aside(&error)?;
                open()?
            }
            other => other?,
        };
        self.writer = Some(writer);
        Ok(())
    }

    fn move_aside(&mut self, error: &HistoryError) -> Result<(), HistoryError> {
        self.writer = None;
        let name = file::move_aside(&self.dir, error, self.clock.now().stamp())?;
        let sentence = format!("{error}; it is now {name}, a new one was started");
        tracing::error!(reason = sentence, "history recovered");
        self.shared.update(|status| status.recovered = Some(sentence));
        Ok(())
    }

    fn write(&mut self, batch: &[Observation]) {
        let samples: usize = batch.iter().map(|o| o.samples.len() + usize::from(o.gone)).sum();
        let mut outcome = self.attempt(batch);
        if let Err(error) = &outcome
            && is_useless(error)
        {
            outcome = self.move_aside(error).and_then(|()| self.attempt(batch));
        }
        if outcome.is_err() {
            self.shared.update(|status| status.dropped += samples as u64);
        }
        self.told(outcome);
        let kept = self.upkeep();
        if let Err(error) = &kept
            && is_useless(error)
        {
            let moved = self.move_aside(error).and_then(|()| self.open());
            self.told(moved);
        } else if let Err(error) = kept {
            tracing::warn!(reason = %error, "cannot keep the history in order");
        }
        self.measure();
    }

    fn attempt(&mut self, batch: &[Observation]) -> Result<(), HistoryError> {
        self.open()?;
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let written = writer.write(batch)?;
        self.shared.update(|status| {
            status.written += written.samples;
            status.refused += written.refused;
        });
        Ok(())
    }

    fn upkeep(&mut self) -> Result<(), HistoryError> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let packed = if writer.is_due(self.clock.now().mono) { writer.pack() } else { Ok(()) };
        // Also when there was no room to pack.
        writer.keep_budget()?;
        packed
    }

    fn read(&mut self, task: Task) {
        let opened = self.open();
        let damage = match (&mut self.writer, opened) {
            (Some(writer), Ok(())) => {
                let mut reader = Reader::new(&writer.conn);
                let damage = task(Ok(&mut reader));
                let damaged = reader.damaged.count();
                self.shared.update(|status| status.damaged += damaged);
                damage
            }
            (_, Err(error)) => task(Err(error)),
            (None, Ok(())) => task(Err(HistoryError::Closed)),
        };
        if let Some(error) = damage.filter(|_| self.writer.is_some()) {
            let moved = self.move_aside(&error).and_then(|()| self.open());
            self.told(moved);
        }
    }

    /// Keeps the error for the status; says in the log when it is new, and when it is over.
    fn told(&self, outcome: Result<(), HistoryError>) {
        let error = outcome.err().map(|error| error.to_string());
        let before = self.shared.get().error;
        match (&before, &error) {
            (None, Some(error)) => tracing::error!(reason = error, "no history is kept for now"),
            (Some(_), None) => tracing::info!("history is kept again"),
            _ => {}
        }
        self.shared.update(|status| status.error = error);
    }

    fn measure(&mut self) {
        let Some(writer) = &mut self.writer else { return };
        let size = writer.size().map_or(0, |size| size.file);
        let (series, damaged) = (writer.series(), std::mem::take(&mut writer.damaged));
        let oldest = |kind: Option<i64>| -> Option<Stamp> {
            let sql = "SELECT min(at) FROM (SELECT min(first + ahead) AS at FROM segment WHERE kind <= ?1 \
                       UNION ALL SELECT min(first + ahead) FROM recent)";
            let mut statement = writer.conn.prepare_cached(sql).ok()?;
            statement.query_row([kind.unwrap_or(i64::MAX)], |row| row.get(0)).ok().flatten().map(Stamp)
        };
        let (all, samples) = (oldest(None), oldest(Some(RAW)));
        self.shared.update(|status| {
            (status.bytes, status.series) = (size, series);
            (status.oldest, status.oldest_sample) = (all, samples);
            status.damaged += damaged;
        });
    }
}

/// No retry mends it: it must go out of the way.
fn is_useless(error: &HistoryError) -> bool {
    matches!(error, HistoryError::Damaged(_) | HistoryError::Foreign | HistoryError::Newer { .. })
}
