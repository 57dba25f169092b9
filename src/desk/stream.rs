//! Server-sent events: one small line per stored change, so that open pages know when to look again.
//!
//! The line says what changed, never the record itself. A page that comes back with `Last-Event-ID` gets what
//! it missed, or `resync` when that is no longer kept; a page that reads too slowly gets `resync` as well.
//! Streams end at shutdown.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use tokio::sync::{OwnedSemaphorePermit, broadcast, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;

use super::App;
use super::db::Change;
use super::http::Fault;

/// Pages that may listen at the same time; the next one is told to come back later.
pub(super) const MAX_STREAMS: usize = 256;
/// Changes that may wait for a slow page; then it is told to look at everything anew.
pub(super) const BACKLOG: usize = 1_024;
/// Missed changes that are sent one by one.
const REPLAY: u32 = 500;
/// A comment at this distance keeps proxies from closing a quiet stream.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// A page that lost the stream tries again after this time.
const RETRY: Duration = Duration::from_secs(2);

/// `GET /v1/stream`.
pub(super) async fn stream(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let Ok(permit) = Arc::clone(&app.streams).try_acquire_owned() else {
        return Fault::new(StatusCode::SERVICE_UNAVAILABLE, "too many pages listen already").into_response();
    };
    // Listen first, then look back: nothing falls between.
    let live = app.changes.subscribe();
    let last = headers.get("last-event-id").and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<i64>().ok());
    let missed = match last {
        None => Some(Vec::new()),
        Some(seq) => match app.db.ask(move |db| super::db::changes_after(db, seq, REPLAY)).await {
            Ok(missed) => missed,
            Err(error) => return Fault::database(&error).into_response(),
        },
    };
    let (out, lines) = mpsc::channel(16);
    tokio::spawn(forward(out, missed, last.unwrap_or(0), live, app.stop.clone(), permit));
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    Sse::new(ReceiverStream::new(lines)).keep_alive(keep_alive).into_response()
}

type Line = Result<Event, Infallible>;

async fn forward(
    out: mpsc::Sender<Line>,
    missed: Option<Vec<Change>>,
    mut sent: i64,
    mut live: broadcast::Receiver<Change>,
    mut stop: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
) {
    let mut first = vec![Event::default().retry(RETRY).comment("sexton desk")];
    match missed {
        None => first.push(resync()),
        Some(changes) => {
            sent = changes.last().map_or(sent, |c| c.seq);
            first.extend(changes.iter().map(line));
        }
    }
    for event in first {
        if out.send(Ok(event)).await.is_err() {
            return;
        }
    }
    loop {
        let event = tokio::select! {
            _ = stop.wait_for(|stopped| *stopped) => return,
            () = out.closed() => return,
            change = live.recv() => match change {
                Ok(change) if change.seq != 0 && change.seq <= sent => continue,
                Ok(change) => line(&change),
                Err(broadcast::error::RecvError::Lagged(_)) => resync(),
                Err(broadcast::error::RecvError::Closed) => return,
            },
        };
        if out.send(Ok(event)).await.is_err() {
            return;
        }
    }
}

fn line(change: &Change) -> Event {
    let event = Event::default().event("change");
    let event = if change.seq > 0 { event.id(change.seq.to_string()) } else { event };
    event.data(serde_json::to_string(change).unwrap_or_default())
}

fn resync() -> Event {
    Event::default().event("resync").data("{}")
}
