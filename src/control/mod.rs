//! The local API: HTTP + JSON on a Unix socket.
//!
//! The socket is 0660 and belongs to the service's group: who can connect may read and write, and the peer's
//! user is written on everything it changes. This door only translates: each request becomes a [`Request`]
//! that the daemon answers between two steps, so an answer is never half-way through a change. Errors are RFC
//! 9457 problem details.
//!
//! | method and path | what |
//! |---|---|
//! | `GET /v1/status` | the daemon, its rules, collectors, checks, destinations, open incidents |
//! | `GET /v1/incidents[/ID]`, `GET /v1/problems[/ID]` | records held, newest revision |
//! | `GET /v1/outbox`, `GET /v1/rules` | rows waiting, rule instances |
//! | `GET /v1/explain/SUBJECT?instance=…` | why a rule is or is not raised, or what became of an incident |
//! | `GET /v1/history`, `GET /v1/history/samples?series=…` | series kept, samples of one page by page |
//! | `POST /v1/incidents/ID/{ack,start,hold,resolve,cancel,reopen,note}` | `{"note": "…"}` |
//! | `POST /v1/incidents/ID/assign` | `{"to": "…"}` |
//! | `POST /v1/outbox/DESTINATION/RECORD/{requeue,drop}` | a dead letter goes back, or is given up |
//! | `POST /v1/outbox/DESTINATION/drop` | all that waits for a destination that is no longer configured |
//! | `GET`, `POST /v1/maintenance`, `POST /v1/maintenance/ID/end` | maintenance windows |
//! | `POST /v1/reload` | `{"force": true}` or `{"dry_run": true}`: read the configuration again now |

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{DefaultBodyLimit, Path as UrlPath, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::IncomingStream;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};

use crate::engine::effect::{Command, Maintenance};
use crate::engine::moment::Stamp;

mod maintenance;

/// Largest request body in bytes.
const BODY_LIMIT: usize = 64 * 1024;

/// Media type of RFC 9457.
const PROBLEM: &str = "application/problem+json";

/// What a client asks.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the table in the module header")]
pub enum Query {
    Status,
    Incidents,
    Incident(String),
    Problems,
    Problem(String),
    Outbox,
    OutboxRow { destination: String, record: String },
    OutboxExport { after: i64 },
    OutboxVerify,
    Requeue { destination: String, record: String },
    RequeueAll { destination: String },
    Drop { destination: String, record: String, reason: String },
    DropAll { destination: String, reason: String },
    Rules,
    Explain { subject: String, instance: Option<String> },
    HistorySeries,
    HistorySamples(SamplesWanted),
    Reload(ReloadMode),
    Maintenance,
    StartMaintenance(Maintenance),
    EndMaintenance { id: String },
    Command(Command),
}

/// How the configuration is to be read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadMode {
    /// Put in force unless it would raise or close too much.
    Plain,
    /// Put in force however much it raises or closes; mistakes and failed tests still refuse it.
    Force,
    /// Only said what it would do.
    DryRun,
}

impl Query {
    /// It changes what the engine knows, and is refused while nothing can be written down. What only the
    /// store does is not: on a full disk to give up rows may be what helps.
    pub fn changes(&self) -> bool {
        matches!(
            self,
            Self::Reload(_) | Self::Command(_) | Self::StartMaintenance(_) | Self::EndMaintenance { .. }
        )
    }
}

/// Which samples of the history a client wants.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct SamplesWanted {
    /// The series by name: `fs.used{mount=/data}`, `cpu.busy`.
    pub series: String,
    /// From then on; from the oldest when absent.
    pub from: Option<Stamp>,
    /// Until then; to the newest when absent.
    pub to: Option<Stamp>,
    /// Rollups of five minutes instead of samples.
    #[serde(default)]
    pub rollup: bool,
}

/// A question with the way back.
pub struct Request {
    /// The question.
    pub query: Query,
    /// Takes the answer.
    pub reply: oneshot::Sender<Answer>,
}

/// The daemon's answer.
pub type Answer = Result<Value, Refusal>;

/// Why a request is not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such record.
    NotFound(String),
    /// It cannot be done as things stand.
    Conflict(String),
    /// The daemon could not do it.
    Failed(String),
}

/// A listening control socket; it is removed on drop.
pub struct Control {
    path: PathBuf,
    task: tokio::task::JoinHandle<()>,
}

impl Control {
    /// Listens on `path`; a socket left behind by a dead daemon is replaced.
    ///
    /// # Errors
    /// The directory cannot be written, or a live daemon answers on that path.
    pub async fn listen(path: &Path, requests: mpsc::Sender<Request>) -> Result<Self, String> {
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).map_err(|e| format!("cannot create {}: {e}", dir.display()))?;
        }
        if path.exists() {
            if tokio::net::UnixStream::connect(path).await.is_ok() {
                return Err(format!("another daemon answers on {}", path.display()));
            }
            let _ = std::fs::remove_file(path);
        }
        let listener =
            UnixListener::bind(path).map_err(|e| format!("cannot listen on {}: {e}", path.display()))?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))
            .map_err(|e| format!("cannot set the mode of {}: {e}", path.display()))?;
        let service = routes(requests).into_make_service_with_connect_info::<Peer>();
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, service).await {
                tracing::error!(reason = %error, "the control socket has ended");
            }
        });
        Ok(Self { path: path.to_owned(), task })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
        let _ = std::fs::remove_file(&self.path);
    }
}

fn routes(requests: mpsc::Sender<Request>) -> Router {
    Router::new()
        .route("/v1/status", get(|s| ask(s, Query::Status)))
        .route("/v1/incidents", get(|s| ask(s, Query::Incidents)))
        .route("/v1/incidents/{id}", get(|s, UrlPath(id)| ask(s, Query::Incident(id))))
        .route("/v1/incidents/{id}/{verb}", post(change))
        .route("/v1/problems", get(|s| ask(s, Query::Problems)))
        .route("/v1/problems/{id}", get(|s, UrlPath(id)| ask(s, Query::Problem(id))))
        .route("/v1/outbox", get(|s| ask(s, Query::Outbox)))
        .route("/v1/outbox/export", get(export))
        .route("/v1/outbox/verify", get(|s| ask(s, Query::OutboxVerify)))
        .route("/v1/outbox/{destination}/{record}", get(one_row))
        .route("/v1/outbox/{destination}/drop", post(give_up))
        .route("/v1/outbox/{destination}/requeue", post(requeue_all))
        .route("/v1/outbox/{destination}/{record}/{verb}", post(repair))
        .route("/v1/maintenance", get(|s| ask(s, Query::Maintenance)).post(maintenance::start))
        .route("/v1/maintenance/{id}/end", post(maintenance::end))
        .route("/v1/rules", get(|s| ask(s, Query::Rules)))
        .route("/v1/explain/{subject}", get(explain))
        .route("/v1/history", get(|s| ask(s, Query::HistorySeries)))
        .route("/v1/history/samples", get(samples))
        .route("/v1/reload", post(reload))
        .fallback(|| async { problem(StatusCode::NOT_FOUND, "no such path; see docs/control.md") })
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(axum::middleware::map_response(as_problem))
        .with_state(requests)
}

async fn ask(State(requests): State<mpsc::Sender<Request>>, query: Query) -> Response {
    let (reply, answer) = oneshot::channel();
    if requests.send(Request { query, reply }).await.is_err() {
        return problem(StatusCode::SERVICE_UNAVAILABLE, "the daemon is stopping");
    }
    match answer.await {
        Ok(Ok(value)) => Json(value).into_response(),
        Ok(Err(Refusal::NotFound(why))) => problem(StatusCode::NOT_FOUND, &why),
        Ok(Err(Refusal::Conflict(why))) => problem(StatusCode::CONFLICT, &why),
        Ok(Err(Refusal::Failed(why))) => problem(StatusCode::INTERNAL_SERVER_ERROR, &why),
        Err(_) => problem(StatusCode::SERVICE_UNAVAILABLE, "the daemon is stopping"),
    }
}

async fn change(
    state: State<mpsc::Sender<Request>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    UrlPath((incident, verb)): UrlPath<(String, String)>,
    body: axum::body::Bytes,
) -> Response {
    let (incident, by) = (incident, peer.user);
    let (note, to) = match (note_of(&body), field_of(&body, "to")) {
        (Ok(note), Ok(to)) => (note, to),
        (Err(why), _) | (_, Err(why)) => return problem(StatusCode::BAD_REQUEST, &why),
    };
    let command = match verb.as_str() {
        "ack" => Command::Acknowledge { incident, by },
        "start" => Command::Start { incident, by },
        "hold" if note.is_empty() => {
            return problem(StatusCode::BAD_REQUEST, "a hold needs a reason: {\"note\": \"…\"}");
        }
        "hold" => Command::Hold { incident, by, reason: note },
        "resolve" => Command::Resolve { incident, by, note },
        "cancel" => Command::Cancel { incident, by, note },
        "reopen" => Command::Reopen { incident, by, note },
        "assign" => Command::Assign { incident, by, to },
        "note" if note.is_empty() => {
            return problem(StatusCode::BAD_REQUEST, "a note needs text: {\"note\": \"…\"}");
        }
        "note" => Command::Note { incident, by, text: note },
        _ => {
            let verbs = "no such verb: ack, start, hold, resolve, cancel, reopen, assign or note";
            return problem(StatusCode::NOT_FOUND, verbs);
        }
    };
    ask(state, Query::Command(command)).await
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Reload {
    #[serde(default)]
    force: bool,
    #[serde(default)]
    dry_run: bool,
}

async fn reload(state: State<mpsc::Sender<Request>>, body: axum::body::Bytes) -> Response {
    let wanted = if body.is_empty() { Ok(Reload::default()) } else { serde_json::from_slice(&body) };
    let mode = match wanted {
        Err(error) => return problem(StatusCode::BAD_REQUEST, &format!("the body cannot be read: {error}")),
        Ok(Reload { force: true, dry_run: true }) => {
            return problem(StatusCode::BAD_REQUEST, "`force` and `dry_run` exclude each other");
        }
        Ok(Reload { force: true, .. }) => ReloadMode::Force,
        Ok(Reload { dry_run: true, .. }) => ReloadMode::DryRun,
        Ok(_) => ReloadMode::Plain,
    };
    ask(state, Query::Reload(mode)).await
}

async fn one_row(
    state: State<mpsc::Sender<Request>>,
    UrlPath((destination, record)): UrlPath<(String, String)>,
) -> Response {
    ask(state, Query::OutboxRow { destination, record }).await
}

#[derive(serde::Deserialize)]
struct Page {
    #[serde(default)]
    after: i64,
}

async fn export(
    state: State<mpsc::Sender<Request>>,
    axum::extract::Query(page): axum::extract::Query<Page>,
) -> Response {
    ask(state, Query::OutboxExport { after: page.after }).await
}

#[derive(serde::Deserialize)]
struct Asked {
    instance: Option<String>,
}

async fn explain(
    state: State<mpsc::Sender<Request>>,
    UrlPath(subject): UrlPath<String>,
    axum::extract::Query(asked): axum::extract::Query<Asked>,
) -> Response {
    ask(state, Query::Explain { subject, instance: asked.instance }).await
}

async fn samples(
    state: State<mpsc::Sender<Request>>,
    axum::extract::Query(wanted): axum::extract::Query<SamplesWanted>,
) -> Response {
    ask(state, Query::HistorySamples(wanted)).await
}

async fn repair(
    state: State<mpsc::Sender<Request>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    UrlPath((destination, record, verb)): UrlPath<(String, String, String)>,
    body: axum::body::Bytes,
) -> Response {
    let note = match note_of(&body) {
        Ok(note) => note,
        Err(why) => return problem(StatusCode::BAD_REQUEST, &why),
    };
    let query = match verb.as_str() {
        "requeue" => Query::Requeue { destination, record },
        "drop" => Query::Drop { destination, record, reason: format!("{}: {note}", peer.user) },
        _ => return problem(StatusCode::NOT_FOUND, "no such verb: requeue or drop"),
    };
    ask(state, query).await
}

async fn requeue_all(state: State<mpsc::Sender<Request>>, UrlPath(destination): UrlPath<String>) -> Response {
    ask(state, Query::RequeueAll { destination }).await
}

async fn give_up(
    state: State<mpsc::Sender<Request>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    UrlPath(destination): UrlPath<String>,
    body: axum::body::Bytes,
) -> Response {
    match note_of(&body) {
        Ok(note) => {
            let reason = format!("{}: {note}", peer.user);
            ask(state, Query::DropAll { destination, reason }).await
        }
        Err(why) => problem(StatusCode::BAD_REQUEST, &why),
    }
}

fn note_of(body: &[u8]) -> Result<String, String> {
    field_of(body, "note")
}

fn field_of(body: &[u8], field: &str) -> Result<String, String> {
    if body.is_empty() {
        return Ok(String::new());
    }
    let value: Value = serde_json::from_slice(body).map_err(|e| format!("the body is not JSON: {e}"))?;
    Ok(value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned())
}

fn problem(status: StatusCode, detail: &str) -> Response {
    let title = status.canonical_reason().unwrap_or("error");
    let body = json!({"type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail});
    (status, [(header::CONTENT_TYPE, PROBLEM)], body.to_string()).into_response()
}

/// Makes a problem of a refusal that is axum's own (wrong method, body too large, path that is no text).
async fn as_problem(response: Response) -> Response {
    let (status, kind) = (response.status(), response.headers().get(header::CONTENT_TYPE));
    let is_refusal = status.is_client_error() || status.is_server_error();
    if !is_refusal || kind.is_some_and(|kind| kind == PROBLEM) {
        return response;
    }
    let (head, body) = response.into_parts();
    let said = axum::body::to_bytes(body, BODY_LIMIT).await.unwrap_or_default();
    let detail = match String::from_utf8_lossy(&said) {
        said if !said.is_empty() => said.into_owned(),
        _ if status == StatusCode::METHOD_NOT_ALLOWED => "this path does not take that method".to_owned(),
        _ => status.canonical_reason().unwrap_or("error").to_owned(),
    };
    let mut answer = problem(status, &detail);
    if let Some(allow) = head.headers.get(header::ALLOW) {
        answer.headers_mut().insert(header::ALLOW, allow.clone());
    }
    answer
}

/// Who is at the other end of the socket.
#[derive(Clone, Debug)]
struct Peer {
    user: String,
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        let user = match stream.io().peer_cred() {
            Ok(credentials) => user_name(credentials.uid()),
            Err(_) => "unknown user".to_owned(),
        };
        Self { user }
    }
}

fn user_name(uid: u32) -> String {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let id = uid.to_string();
    let named =
        passwd.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|f| f.get(2) == Some(&&*id));
    named.map_or_else(|| format!("uid {uid}"), |fields| fields[0].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn get(path: &Path, method: reqwest::Method, url: &str, body: &'static str) -> (u16, Value) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().unix_socket(path).build().unwrap();
        let reply = client.request(method, format!("http://sexton{url}")).body(body).send().await.unwrap();
        let status = reply.status().as_u16();
        (status, serde_json::from_slice(&reply.bytes().await.unwrap()).unwrap())
    }

    #[tokio::test]
    async fn requests_reach_the_daemon_and_refusals_say_why() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        let (tx, mut rx) = mpsc::channel::<Request>(4);
        let control = Control::listen(&path, tx).await.unwrap();
        let daemon = tokio::spawn(async move {
            while let Some(request) = rx.recv().await {
                let answer = match request.query {
                    Query::Status => Ok(json!({"ok": true})),
                    Query::Command(Command::Acknowledge { incident, by }) => Ok(json!([incident, by])),
                    Query::Incident(id) => Err(Refusal::NotFound(format!("no incident {id}"))),
                    other => Err(Refusal::Failed(format!("{other:?}"))),
                };
                let _ = request.reply.send(answer);
            }
        });
        let get_ = reqwest::Method::GET;
        let post_ = reqwest::Method::POST;
        assert_eq!(get(&path, get_.clone(), "/v1/status", "").await, (200, json!({"ok": true})));
        let (status, body) = get(&path, get_.clone(), "/v1/incidents/INC7", "").await;
        assert_eq!((status, &body["detail"]), (404, &json!("no incident INC7")));
        let (status, body) = get(&path, post_.clone(), "/v1/incidents/INC7/ack", "").await;
        assert_eq!((status, &body[0]), (200, &json!("INC7")));
        assert_eq!(get(&path, post_.clone(), "/v1/incidents/INC7/note", "").await.0, 400);
        assert_eq!(get(&path, post_, "/v1/incidents/INC7/note", "not json").await.0, 400);
        assert_eq!(get(&path, get_, "/nowhere", "").await.0, 404);
        drop(control);
        assert!(!path.exists(), "the socket is removed");
        daemon.abort();
    }

    #[tokio::test]
    async fn every_refusal_is_a_problem() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        let (tx, _rx) = mpsc::channel::<Request>(4);
        let _control = Control::listen(&path, tx).await.unwrap();
        let client = reqwest::Client::builder().unix_socket(&*path).build().unwrap();
        let large = "x".repeat(BODY_LIMIT + 1);
        for (method, url, body, status, detail) in [
            (reqwest::Method::DELETE, "/v1/status", "", 405, "this path does not take that method"),
            (reqwest::Method::POST, "/v1/incidents/INC7/note", &*large, 413, "length limit exceeded"),
            (reqwest::Method::GET, "/v1/incidents/%ff", "", 400, "UTF-8"),
            (reqwest::Method::GET, "/nowhere", "", 404, "no such path"),
        ] {
            let request = client.request(method, format!("http://sexton{url}")).body(body.to_owned());
            let reply = request.send().await.unwrap();
            assert_eq!(reply.status().as_u16(), status, "{url}");
            assert_eq!(reply.headers()["content-type"], "application/problem+json", "{url}");
            assert_eq!(reply.headers().get("allow").is_some(), status == 405, "{url}");
            let told: Value = serde_json::from_slice(&reply.bytes().await.unwrap()).unwrap();
            assert_eq!(told["status"], status, "{url}");
            assert!(told["detail"].as_str().unwrap().contains(detail), "{told}");
        }
    }

    #[tokio::test]
    async fn a_dead_socket_is_replaced_and_a_live_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let (tx, _rx) = mpsc::channel(1);
        let control = Control::listen(&path, tx.clone()).await.unwrap();
        let second = Control::listen(&path, tx).await;
        assert!(second.is_err_and(|e| e.contains("another daemon")));
        drop(control);
    }
}
