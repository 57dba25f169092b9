//! The desk: takes native records from hosts, keeps them in its own SQLite database and shows them to a
//! service desk.
//!
//! `wire` reads what arrives, `db` keeps it, `api` and `pages` show it, `stream` tells open pages what
//! changed, `access` decides who may send and look. Invariants: an event is answered only after its commit;
//! per (host, id) the highest `rev` stays; everything from a record is escaped before it reaches a page. The
//! desk knows no other door and nothing of the engine but its records.

mod access;
mod api;
mod db;
mod http;
mod pages;
mod stream;
#[cfg(test)]
mod tests;
mod wire;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, broadcast, watch};

use crate::clock::Clock;
use crate::engine::moment::Stamp;
use crate::engine::option::DeskPlan;

/// Largest body of `POST /v1/events`, in bytes; a larger one is answered 413.
pub const MAX_BODY: usize = 8 * 1024 * 1024;
/// Connections that still work when the desk is told to stop get this long to finish.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// Why the desk does not start or does not go on.
#[derive(Debug)]
pub enum DeskError {
    /// The tokens are missing or cannot be read.
    Tokens(String),
    /// The address cannot be listened on.
    Listen(String),
    /// The database cannot be used.
    Store(String),
    /// A page does not compile: a defect of this build.
    Page(String),
}

impl std::fmt::Display for DeskError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DeskError::Tokens(reason) => write!(f, "cannot read the desk's tokens: {reason}"),
            DeskError::Listen(reason) | DeskError::Store(reason) => f.write_str(reason),
            DeskError::Page(reason) => write!(f, "cannot compile the desk's pages: {reason}"),
        }
    }
}

impl std::error::Error for DeskError {}

/// What every request can reach.
struct App {
    db: db::Database,
    access: access::Access,
    pages: pages::Pages,
    clock: Clock,
    started: Stamp,
    changes: broadcast::Sender<db::Change>,
    streams: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
}

impl App {
    /// The moment for which hosts are judged.
    fn hearing(&self) -> db::Hearing {
        db::Hearing { now: self.clock.now().stamp(), since: self.started }
    }
}

/// A desk that listens, and answers once [`Desk::run`] is called.
pub struct Desk {
    listener: TcpListener,
    address: SocketAddr,
    app: Arc<App>,
    stop: watch::Sender<bool>,
}

/// Opens the database and listens. `listen` may end in `:0`; [`Desk::address`] tells the port.
///
/// # Errors
/// [`DeskError`], with the path or address in its sentence.
pub async fn bind(plan: DeskPlan, clock: Clock) -> Result<Desk, DeskError> {
    let tokens =
        plan.tokens.ok_or_else(|| DeskError::Tokens("none are configured: desk.tokens".to_owned()))?;
    let told = |e: std::io::Error| DeskError::Listen(format!("cannot listen on {}: {e}", plan.listen));
    let listener = TcpListener::bind(&plan.listen).await.map_err(told)?;
    let address = listener.local_addr().map_err(told)?;
    let now = clock.now();
    let access = access::Access::new(tokens, address.ip().is_loopback(), now).map_err(DeskError::Tokens)?;
    let pages = pages::Pages::new().map_err(|e| DeskError::Page(format!("{e:#}")))?;
    let (changes, _) = broadcast::channel(stream::BACKLOG);
    let db = db::Database::open(&plan.dir, changes.clone()).map_err(DeskError::Store)?;
    let (stop, stopped) = watch::channel(false);
    let streams = Arc::new(Semaphore::new(stream::MAX_STREAMS));
    let app = App { db, access, pages, clock, started: now.stamp(), changes, streams, stop: stopped };
    Ok(Desk { listener, address, app: Arc::new(app), stop })
}

/// [`bind`] and [`Desk::run`] in one.
///
/// # Errors
/// [`DeskError`].
pub async fn serve(
    plan: DeskPlan,
    clock: Clock,
    shutdown: impl Future<Output = ()>,
) -> Result<(), DeskError> {
    bind(plan, clock).await?.run(shutdown).await
}

impl Desk {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `shutdown` is ready; then ends streams, lets requests finish and closes the database.
    ///
    /// # Errors
    /// [`DeskError::Listen`] when the listener fails for good.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), DeskError> {
        let Desk { listener, address, app, stop } = self;
        let mut stopped = app.stop.clone();
        let server = axum::serve(listener, router(Arc::clone(&app)))
            .with_graceful_shutdown(async move {
                // The sender lives until the end of this function; an error means the same: stop.
                let _ = stopped.wait_for(|s| *s).await;
            })
            .into_future();
        let mut server = std::pin::pin!(server);
        let ended = tokio::select! {
            ended = &mut server => ended,
            () = shutdown => {
                stop.send_replace(true);
                tokio::time::timeout(LAST_WORDS, &mut server).await.unwrap_or(Ok(()))
            }
        };
        app.db.close();
        ended.map_err(|e| DeskError::Listen(format!("cannot go on listening on {address}: {e}")))
    }
}

fn router(app: Arc<App>) -> Router {
    let read = Router::new()
        .route("/", get(pages::overview))
        .route("/incidents/{id}", get(pages::incident))
        .route("/problems", get(pages::problems))
        .route("/problems/{id}", get(pages::problem))
        .route("/hosts", get(pages::hosts))
        .route("/v1/incidents", get(api::incidents))
        .route("/v1/incidents/{id}", get(api::incident))
        .route("/v1/problems", get(api::problems))
        .route("/v1/problems/{id}", get(api::problem))
        .route("/v1/hosts", get(api::hosts))
        .route("/v1/stream", get(stream::stream))
        .route_layer(from_fn_with_state(Arc::clone(&app), http::guard));
    Router::new()
        .merge(read)
        .route("/v1/events", post(api::events).layer(DefaultBodyLimit::max(MAX_BODY)))
        .route("/healthz", get(api::health))
        .route("/login", get(pages::login).post(pages::log_in))
        .route("/assets/{file}", get(pages::asset))
        .fallback(pages::nowhere)
        .layer(from_fn(http::headers))
        .with_state(app)
}
