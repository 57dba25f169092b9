//! The recent past for the windows of the rules, in order of time and in the steady time of the run that
//! begins.
//!
//! A run's steady time was anchored to the wall when it began, and the wall may have been set since: so its
//! samples are placed by what the two clocks said last in that run. Nothing comes from the future: when the
//! wall was set back, all moves with it, as saved machines do.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use tokio::sync::mpsc;

use super::error::HistoryError;
use super::read::{Part, RAW, Reader};
use super::{Asker, Series};
use crate::engine::moment::{Moment, Stamp};
use crate::engine::signal::{Metric, Observation};

/// Observations in a batch.
const BATCH: usize = 256;
/// Batches that wait to be taken.
const WAITING: usize = 2;
/// Most samples read: the start of the daemon must not wait for years of windows.
const SAMPLES: i64 = 4_000_000;

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
    let Some(longest) = wants.values().max() else { return Ok(()) };
    // Segments of a clock that was ahead count too.
    let parts = reader.parts(RAW, now.stamp().plus(longest.saturating_neg()), Stamp(i64::MAX))?;
    let mut last_ahead: BTreeMap<i64, i64> = BTreeMap::new();
    for part in &parts {
        last_ahead.insert(part.meta().run, part.meta().ahead);
    }
    let placed = |part: &Part, at: i64| {
        at.saturating_add(last_ahead.get(&part.meta().run).copied().unwrap_or(part.meta().ahead))
    };
    let newest = parts.iter().map(|part| placed(part, part.meta().last)).max().unwrap_or(now.mono);
    let back = newest.saturating_sub(now.mono).max(0);
    let mut samples = 0_i64;
    let fits = |part: &&Part| {
        samples = samples.saturating_add(part.meta().samples);
        samples <= SAMPLES
    };
    let skipped = parts.len() - parts.iter().rev().take_while(fits).count();
    let wanted = |series: &Series| series.is_end() || series.metric().is_some_and(|m| wants.contains_key(&m));
    let wanted = reader.wanted(&wanted)?;
    let mut batch = Vec::with_capacity(BATCH);
    for part in &parts[skipped..] {
        let mut take = |mut observation: Observation| {
            let at = placed(part, observation.at.mono).saturating_sub(back);
            observation.at = Moment { mono: at, wall: at };
            let reaches = |m: &Metric| wants.get(m).is_some_and(|span| now.mono.saturating_sub(at) <= *span);
            observation.samples.retain(|(metric, _)| reaches(metric));
            if observation.samples.is_empty() && !observation.gone {
                return ControlFlow::Continue(());
            }
            batch.push(observation);
            if batch.len() < BATCH {
                return ControlFlow::Continue(());
            }
            match tx.blocking_send(std::mem::replace(&mut batch, Vec::with_capacity(BATCH))) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        };
        if reader.each_of(part, &wanted, &mut take)?.is_break() {
            return Ok(());
        }
    }
    let _ = tx.blocking_send(batch);
    Ok(())
}
