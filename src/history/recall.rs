//! The recent past for the windows of the rules, in order of time and in the steady time of the run that
//! begins.
//!
//! A run's steady time was anchored to the wall when it began, and the wall may have been set since: so its
//! samples are placed by what the two clocks said last in that run (`stream`). Nothing comes from the future:
//! when the wall was set back, all moves with it, as saved machines do. What is older than the samples that
//! are kept comes from rollups.

use std::collections::BTreeMap;

use tokio::sync::mpsc;

use super::error::HistoryError;
use super::read::Reader;
use super::stream::{Ask, Stream};
use super::{Asker, Series};
use crate::engine::moment::{Moment, Stamp};
use crate::engine::signal::{Metric, Observation};

/// Observations in a batch.
const BATCH: usize = 256;
/// Batches that wait to be taken.
const WAITING: usize = 2;
/// Samples read, roughly, at most: the start of the daemon must not wait for years of windows.
const SAMPLES: u64 = 4_000_000;

impl Asker {
    /// What was recorded of these signals, each so far back (ns), in batches; the channel ends with the past.
    /// Whoever has had enough drops the receiver.
    pub fn recall(&self, wants: BTreeMap<Metric, i64>, now: Moment) -> mpsc::Receiver<Vec<Observation>> {
        let (tx, rx) = mpsc::channel(WAITING);
        let asker = self.clone();
        tokio::spawn(async move {
            let work = move |reader: &mut Reader<'_>| play(reader, &wants, now, &tx);
            if let Err(error) = asker.read(work).await
                && !matches!(error, HistoryError::Absent(_))
            {
                tracing::warn!(reason = %error, "windows start empty: the history cannot be read");
            }
        });
        rx
    }
}

fn play(
    reader: &mut Reader<'_>,
    wants: &BTreeMap<Metric, i64>,
    now: Moment,
    tx: &mpsc::Sender<Vec<Observation>>,
) -> Result<(), HistoryError> {
    let wanted = |series: &Series| series.is_end() || series.metric().is_some_and(|m| wants.contains_key(&m));
    // Parts of a clock that was ahead count too.
    let ask = Ask { from: now.stamp(), to: Stamp(i64::MAX), wants: &wanted, before: wants.clone() };
    let mut stream = Stream::begin(reader, ask)?;
    let back = stream.newest().map_or(0, |newest| newest.saturating_sub(now.mono).max(0));
    stream.shift(-back);
    stream.shorten(SAMPLES);
    let mut batch = Vec::with_capacity(BATCH);
    while let Some(seen) = stream.next(reader)? {
        batch.push(seen.clone());
        if batch.len() == BATCH
            && tx.blocking_send(std::mem::replace(&mut batch, Vec::with_capacity(BATCH))).is_err()
        {
            return Ok(());
        }
    }
    let _ = tx.blocking_send(batch);
    Ok(())
}
