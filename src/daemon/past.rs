//! The daemon and the history: what was seen goes in, windows are filled from it at the start, and questions
//! are answered from it without the loop waiting for them.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use serde_json::{Value as Json, json};
use tokio::sync::oneshot;

use super::Daemon;
use crate::control::{Answer, Refusal, SamplesWanted};
use crate::engine::core::Engine;
use crate::engine::moment::{Moment, Stamp};
use crate::engine::signal::{Metric, Observation, Value};
use crate::history::{Asker, HistoryError, Reader, Rollup, Sample, Series};

/// Longest wait for a batch of the past: then windows start with what there is.
const RECALL: Duration = Duration::from_secs(10);
/// Longest wait for the last minute to be written when the daemon ends.
const CLOSE: Duration = Duration::from_secs(5);
/// Most samples or rollups of one answer.
const PAGE: usize = 2000;

/// Fills the engine's windows from the history.
pub async fn recall(engine: &mut Engine, history: &Asker, now: Moment) {
    let wants = engine.wants_past();
    let samples = read(history, wants, now, |observation| engine.recall(observation)).await;
    engine.recalled(now);
    tracing::info!(samples, "windows are filled from the history");
}

/// Gives what was recorded of these signals, each so far back (ns), in order of time; the number of samples.
pub async fn read(
    history: &Asker,
    wants: BTreeMap<Metric, i64>,
    now: Moment,
    mut take: impl FnMut(&Observation),
) -> usize {
    let mut batches = history.recall(wants, now);
    let mut samples = 0;
    loop {
        match tokio::time::timeout(RECALL, batches.recv()).await {
            Ok(Some(batch)) => {
                samples += batch.iter().map(|o| o.samples.len()).sum::<usize>();
                batch.iter().for_each(&mut take);
            }
            Ok(None) => return samples,
            Err(_) => {
                tracing::warn!("the history takes too long: windows start with what was read of it");
                return samples;
            }
        }
    }
}

impl Daemon {
    /// Writes the last minute and closes the file, unless that takes too long.
    pub(super) async fn close_history(history: crate::history::History) {
        if tokio::time::timeout(CLOSE, history.close()).await.is_err() {
            tracing::warn!("the history does not close; its last minute may be missing");
        }
    }

    /// Answers from the history's thread.
    pub(super) fn answer_history(&mut self, wanted: Option<SamplesWanted>, reply: oneshot::Sender<Answer>) {
        // What is asked for now is seen up to now.
        self.history.flush();
        let history = self.history.asker();
        tokio::spawn(async move {
            let answer = match wanted {
                None => history.read(list).await,
                Some(wanted) => history.read(move |reader| samples(reader, &wanted)).await,
            };
            let _ = reply.send(answer.unwrap_or_else(|error| Err(refusal(error))));
        });
    }
}

fn refusal(error: HistoryError) -> Refusal {
    match error {
        HistoryError::Absent(_) => {
            Refusal::NotFound("no history is kept ([store] limits.history)".to_owned())
        }
        other => Refusal::Failed(other.to_string()),
    }
}

/// Every series, with the labels of its instance.
pub fn list(reader: &mut Reader<'_>) -> Result<Answer, HistoryError> {
    let row = |s: &Series| {
        let (class, labels) = (s.instance.class.name(), &s.instance.labels);
        json!({"series": s.name(), "metric": s.metric, "class": class, "labels": labels})
    };
    let all = reader.series()?;
    let rows: Vec<Json> = all.iter().filter(|s| !s.is_end()).map(row).collect();
    Ok(Ok(json!({"schema": "history/1", "series": rows})))
}

/// One page of samples or rollups.
pub fn samples(reader: &mut Reader<'_>, wanted: &SamplesWanted) -> Result<Answer, HistoryError> {
    let all = reader.series()?;
    let Some(series) = all.iter().find(|s| !s.is_end() && s.name() == wanted.series) else {
        return Ok(Err(Refusal::NotFound(format!("no series {} in the history", wanted.series))));
    };
    let (from, to) = (wanted.from.unwrap_or(Stamp(i64::MIN)), wanted.to.unwrap_or(Stamp(i64::MAX)));
    let (mut rows, mut last, mut next) = (Vec::new(), None, None);
    let mut add = |at: Stamp, row: Json| {
        // A page does not end between samples of one moment.
        if rows.len() >= PAGE && last != Some(at) {
            next = Some(at);
            return ControlFlow::Break(());
        }
        last = Some(at);
        rows.push(row);
        ControlFlow::Continue(())
    };
    if wanted.rollup {
        reader.rollups(series.id, from, to, &mut |row| add(row.start, rollup(&row)))?;
    } else {
        reader.samples(series.id, from, to, &mut |one| add(one.stamp, sample(&one)))?;
    }
    Ok(Ok(json!({"schema": "history/1", "series": wanted.series, "rows": rows, "next": next})))
}

fn sample(sample: &Sample) -> Json {
    json!([sample.stamp, sample.value.as_ref().map(value)])
}

fn rollup(row: &Rollup) -> Json {
    let mut out =
        json!({"at": row.start, "count": row.count, "first": value(&row.first), "last": value(&row.last)});
    if !matches!(row.first, Value::Text(_)) {
        (out["sum"], out["min"], out["max"]) = (json!(row.sum), json!(row.min), json!(row.max));
    }
    out
}

fn value(value: &Value) -> Json {
    match value {
        Value::Num(n) => json!(n),
        Value::Bool(b) => json!(b),
        Value::Text(text) => json!(&**text),
    }
}
