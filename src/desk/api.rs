//! The desk's JSON: records come in at `POST /v1/events`, and go out as they came.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::access::Entry;
use super::db::{self, Filter, Stored, Table, Verdict};
use super::http::Fault;
use super::wire::{self, Shape};
use super::{App, MAX_BODY};
use crate::engine::moment::SECOND;

/// A body must have arrived within this time.
const BODY_TIME: Duration = Duration::from_secs(30);
/// Larger bodies are taken apart on a thread of their own, so that the pages stay lively.
const LARGE_BODY: usize = 64 * 1024;
/// Records in a list when nothing is said.
const LIST: u32 = 100;
/// Hosts in a list at most.
const MAX_HOSTS: u32 = 100_000;
/// Records in a list at most.
const MAX_LIST: u32 = 1_000;

/// `POST /v1/events`: answers after the commit, with one result per event in the same order.
pub(super) async fn events(State(app): State<Arc<App>>, request: Request) -> Result<Response, Fault> {
    let now = app.clock.now();
    match app.access.may_send(request.headers(), now) {
        Entry::Open => {}
        entry => return Err(Fault::entry(entry)),
    }
    let shape = shape_of(&request)?;
    let body = match tokio::time::timeout(BODY_TIME, Bytes::from_request(request, &())).await {
        Ok(Ok(body)) => body,
        Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => return Err(too_large()),
        Ok(Err(rejection)) => return Err(Fault::new(rejection.status(), "the body could not be read")),
        Err(_) => return Err(Fault::new(StatusCode::REQUEST_TIMEOUT, "the body took too long to arrive")),
    };
    let batch = if body.len() > LARGE_BODY {
        let decoded = tokio::task::spawn_blocking(move || wire::decode(shape, &body)).await;
        decoded.map_err(|_| Fault::new(StatusCode::INTERNAL_SERVER_ERROR, "the body could not be decoded"))?
    } else {
        wire::decode(shape, &body)
    };
    let batch = batch.map_err(|reason| Fault::new(StatusCode::BAD_REQUEST, reason))?;
    let ids: Vec<String> = batch.events.iter().map(|e| e.id.clone()).collect();
    let verdicts = app.db.ingest(batch.events, now.stamp()).await.map_err(|e| Fault::database(&e))?;
    Ok(results(batch.single, &ids, &verdicts))
}

fn shape_of(request: &Request) -> Result<Shape, Fault> {
    let text = |name| request.headers().get(name).and_then(|v: &axum::http::HeaderValue| v.to_str().ok());
    let announced = text(header::CONTENT_LENGTH).and_then(|v| v.parse::<u64>().ok());
    if announced.is_some_and(|n| n > MAX_BODY as u64) {
        return Err(too_large());
    }
    Shape::of(text(header::CONTENT_TYPE).unwrap_or_default()).ok_or_else(|| {
        let wanted =
            "send application/cloudevents+json, application/cloudevents-batch+json or application/json";
        Fault::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, wanted)
    })
}

fn too_large() -> Fault {
    let detail = format!("the body is larger than {} MiB; send smaller batches", MAX_BODY >> 20);
    Fault::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
}

/// A batch is always 200, for its events have their own results. A single event that is refused is 422:
/// whoever sends one by one looks at the status alone and must not take a refusal for success.
fn results(single: bool, ids: &[String], verdicts: &[Verdict]) -> Response {
    let one = |(id, verdict): (&String, &Verdict)| match verdict {
        Verdict::Stored => json!({ "id": id, "status": "stored" }),
        Verdict::Duplicate => json!({ "id": id, "status": "duplicate" }),
        Verdict::Stale(reason) => json!({ "id": id, "status": "stale", "reason": reason }),
        Verdict::Refused(reason) => json!({ "id": id, "status": "refused", "reason": reason }),
    };
    let list: Vec<Json> = ids.iter().zip(verdicts).map(one).collect();
    match verdicts.first() {
        Some(Verdict::Refused(reason)) if single => {
            let body = json!({
                "type": "about:blank", "title": "Unprocessable Content", "status": 422, "detail": reason,
                "results": list,
            });
            let kind = [(header::CONTENT_TYPE, "application/problem+json")];
            (StatusCode::UNPROCESSABLE_ENTITY, kind, body.to_string()).into_response()
        }
        _ => reply(json!({ "results": list }).to_string()),
    }
}

/// What may stand behind `?` of a list.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    state: Option<String>,
    host: Option<String>,
    limit: Option<u32>,
}

impl ListQuery {
    fn filter(self) -> Result<Filter, Fault> {
        let open = match self.state.as_deref() {
            None | Some("all") => None,
            Some("open") => Some(true),
            Some("over") => Some(false),
            Some(other) => {
                let detail = format!("`state` is `open`, `over` or `all`, not `{other}`");
                return Err(Fault::new(StatusCode::BAD_REQUEST, detail));
            }
        };
        Ok(Filter { open, host: self.host, limit: self.limit.unwrap_or(LIST).clamp(1, MAX_LIST) })
    }
}

type Asked<T> = Result<Query<T>, axum::extract::rejection::QueryRejection>;

fn asked<T>(query: Asked<T>) -> Result<T, Fault> {
    query.map(|q| q.0).map_err(|e| Fault::new(StatusCode::BAD_REQUEST, e.body_text()))
}

/// `GET /v1/incidents`.
pub(super) async fn incidents(
    State(app): State<Arc<App>>,
    query: Asked<ListQuery>,
) -> Result<Response, Fault> {
    list(&app, Table::Incident, "incidents", asked(query)?).await
}

/// `GET /v1/problems`.
pub(super) async fn problems(
    State(app): State<Arc<App>>,
    query: Asked<ListQuery>,
) -> Result<Response, Fault> {
    list(&app, Table::Problem, "problems", asked(query)?).await
}

async fn list(app: &App, table: Table, name: &str, query: ListQuery) -> Result<Response, Fault> {
    let filter = query.filter()?;
    let answer = app.db.ask(move |db| db::list(db, table, &filter)).await;
    let (records, total) = answer.map_err(|e| Fault::database(&e))?;
    // Each record is JSON already, exactly as it came.
    let records: Vec<String> = records.into_iter().map(|r| r.json).collect();
    Ok(reply(format!("{{\"{name}\":[{}],\"total\":{total}}}", records.join(","))))
}

/// Which of two hosts that claim the same id is meant.
#[derive(Debug, Default, Deserialize)]
pub(super) struct OneQuery {
    pub host: Option<String>,
}

/// `GET /v1/incidents/ID`.
pub(super) async fn incident(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    query: Asked<OneQuery>,
) -> Result<Response, Fault> {
    let stored = one(&app, Table::Incident, id, asked(query)?.host).await?;
    Ok(reply(stored.ok_or_else(|| Fault::missing("incident"))?.json))
}

/// `GET /v1/problems/ID`.
pub(super) async fn problem(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    query: Asked<OneQuery>,
) -> Result<Response, Fault> {
    let stored = one(&app, Table::Problem, id, asked(query)?.host).await?;
    Ok(reply(stored.ok_or_else(|| Fault::missing("problem"))?.json))
}

/// One record by id.
pub(super) async fn one(
    app: &App,
    table: Table,
    id: String,
    host: Option<String>,
) -> Result<Option<Stored>, Fault> {
    let answer = app.db.ask(move |db| db::one(db, table, &id, host.as_deref())).await;
    answer.map_err(|e| Fault::database(&e))
}

/// `GET /v1/hosts`.
pub(super) async fn hosts(State(app): State<Arc<App>>) -> Result<Response, Fault> {
    let hearing = app.hearing();
    let asked = app.db.ask(move |db| db::hosts(db, hearing, false, MAX_HOSTS)).await;
    let hosts = asked.map_err(|e| Fault::database(&e))?;
    let list: Vec<Json> = hosts
        .iter()
        .map(|h| {
            json!({
                "id": h.id, "name": h.name, "life": h.life, "first_at": h.first_at,
                "heard_at": h.heard_at, "heartbeat_at": h.heartbeat_at,
                "interval": h.interval.map(|ns| ns as f64 / SECOND as f64), "version": h.version,
                "open": h.open,
            })
        })
        .collect();
    Ok(reply(json!({ "total": list.len(), "hosts": list }).to_string()))
}

/// `GET /healthz`: the database answers.
pub(super) async fn health(State(app): State<Arc<App>>) -> Result<Response, Fault> {
    let answer = app.db.ask(|db| db.query_row("SELECT 1", [], |r| r.get::<_, i64>(0))).await;
    answer.map_err(|e| Fault::database(&e))?;
    Ok(reply(json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") }).to_string()))
}

fn reply(json: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], json).into_response()
}
