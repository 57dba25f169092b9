//! The pages people look at: rendered here, escaped by the template engine, brought up to date by a small
//! script.
//!
//! Every page is a `<main>` element inside one layout. With the header `X-Part` only the `<main>` is sent:
//! that is how an open page renews itself. Nothing comes from elsewhere; script, style and icon are compiled
//! in and served under a name that changes with their content.

mod detail;
mod plot;
mod rows;
mod sla;
mod strip;
mod words;

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use minijinja::value::Serde;
use minijinja::{Environment, Value, context};
use serde::{Deserialize, Serialize};

use super::App;
use super::access::{COOKIE, LOGIN_LASTS};
use super::api::{OneQuery, one};
use super::db::{self, Filter, Overview, ProblemName, Stored, Table};
use super::http::Fault;
use crate::engine::moment::{SECOND, Stamp};
use crate::engine::record::{Incident, Problem};
use rows::{HostRow, IncidentRow, ProblemRow};

/// Open incidents on the first page at most; the rest is counted.
const OPEN_SHOWN: u32 = 300;
/// Resolved incidents on the first page.
const OVER_SHOWN: u32 = 20;
/// Problems on their page at most.
const PROBLEMS_SHOWN: u32 = 200;
/// Hosts on their page at most, silent ones first.
const HOSTS_SHOWN: u32 = 1_000;
/// Silent hosts named on the first page; the rest is counted.
const SILENT_SHOWN: u32 = 8;
/// Longest body of the login form, in bytes.
const LOGIN_BODY: usize = 4_096;

const TEMPLATES: &[(&str, &str)] = &[
    ("layout.html", include_str!("../assets/layout.html")),
    ("overview.html", include_str!("../assets/overview.html")),
    ("incident.html", include_str!("../assets/incident.html")),
    ("problems.html", include_str!("../assets/problems.html")),
    ("problem.html", include_str!("../assets/problem.html")),
    ("hosts.html", include_str!("../assets/hosts.html")),
    ("login.html", include_str!("../assets/login.html")),
    ("fault.html", include_str!("../assets/fault.html")),
];
const STYLE: &str = include_str!("../assets/desk.css");
const SCRIPT: &str = include_str!("../assets/desk.js");
const ICON: &str = include_str!("../assets/icon.svg");

/// The compiled templates.
pub(super) struct Pages {
    templates: Environment<'static>,
    version: String,
}

impl Pages {
    /// Compiles every template.
    pub(super) fn new() -> Result<Pages, minijinja::Error> {
        let mut templates = Environment::new();
        templates.set_undefined_behavior(minijinja::UndefinedBehavior::SemiStrict);
        for (name, source) in TEMPLATES {
            templates.add_template(name, source)?;
        }
        templates.add_function("ago", |at: i64, now: i64| {
            time(at, "rel", &words::relative(Stamp(now), Stamp(at)))
        });
        templates
            .add_function("age", |at: i64, now: i64| time(at, "age", &words::brief(now.saturating_sub(at))));
        templates.add_function("stamp", |at: i64| time(at, "abs", &words::utc(Stamp(at))));
        let content = [STYLE, SCRIPT, ICON].concat();
        Ok(Pages { templates, version: format!("{:016x}", fnv(content.as_bytes())) })
    }

    fn render(&self, template: &str, context: Value) -> Result<String, Fault> {
        let rendered = self.templates.get_template(template).and_then(|t| t.render(context));
        rendered.map_err(|e| {
            tracing::error!(template, reason = %format!("{e:#}"), "a page of the desk cannot be rendered");
            Fault::new(StatusCode::INTERNAL_SERVER_ERROR, "the page cannot be rendered")
        })
    }

    /// A `<main>` alone, or inside the layout.
    fn page(&self, headers: &HeaderMap, place: &str, main: String) -> Response {
        if headers.contains_key("x-part") {
            return Html(main).into_response();
        }
        let (version, release) = (self.version.as_str(), env!("CARGO_PKG_VERSION"));
        match self.render("layout.html", context! { main, place, version, release }) {
            Ok(page) => Html(page).into_response(),
            Err(fault) => fault.into_response(),
        }
    }
}

/// A `<time>` element: UTC here, made local by the script.
fn time(at: i64, style: &str, text: &str) -> Value {
    let (machine, full) = (Stamp(at), words::utc(Stamp(at)));
    Value::from_safe_string(format!(
        "<time datetime=\"{machine}\" data-t=\"{style}\" title=\"{full}\">{}</time>",
        words::escape(text)
    ))
}

/// FNV-1a, to name the content of the assets.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))
}

/// Renders `answer` as a page, or its fault as one.
fn show(app: &App, headers: &HeaderMap, place: &str, main: Result<String, Fault>) -> Response {
    let (status, main) = match main {
        Ok(main) => (StatusCode::OK, Ok(main)),
        Err(fault) => {
            let now = app.clock.now().wall;
            let (status, detail) = (fault.status(), fault.detail());
            let title = status.canonical_reason().unwrap_or("Error");
            (status, app.pages.render("fault.html", context! { title, detail, now }))
        }
    };
    match main {
        Ok(main) => (status, app.pages.page(headers, place, main)).into_response(),
        Err(fault) => fault.into_response(),
    }
}

/// A stored record, parsed; what was stored has been parsed before, so a failure is a defect and said so in
/// the log.
fn parsed<T: serde::de::DeserializeOwned>(stored: &Stored) -> Option<T> {
    serde_json::from_str(&stored.json)
        .inspect_err(|e| tracing::error!(reason = %e, "a stored record cannot be read"))
        .ok()
}

/// `GET /`.
pub(super) async fn overview(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let hearing = app.hearing();
    let asked = app.db.ask(move |db| db::overview(db, hearing, OPEN_SHOWN, OVER_SHOWN, SILENT_SHOWN)).await;
    let main = asked.map_err(|e| Fault::database(&e)).and_then(|o| overview_main(&app, &o));
    show(&app, &headers, "incidents", main)
}

#[derive(Serialize)]
struct Count {
    priority: u8,
    count: u64,
}

fn overview_main(app: &App, overview: &Overview) -> Result<String, Fault> {
    let now = app.clock.now().stamp();
    let name_of = |i: &Incident| overview.names.iter().find(|n| n.host == i.host.id && n.incident == i.id);
    let rows = |list: &[Stored]| -> Vec<IncidentRow> {
        let incidents = list.iter().filter_map(parsed::<Incident>);
        incidents.map(|i| IncidentRow::new(&i, name_of(&i), now)).collect()
    };
    let counts: Vec<Count> =
        overview.counts.iter().zip(1..).map(|(count, priority)| Count { priority, count: *count }).collect();
    let total: u64 = overview.counts.iter().sum();
    let silent: Vec<HostRow> = overview.silent.iter().map(HostRow::new).collect();
    let hosts = overview.hosts;
    let open = rows(&overview.open);
    app.pages.render(
        "overview.html",
        context! {
            now => now.0,
            counts => Value::from(Serde(&counts)),
            total,
            more => total.saturating_sub(open.len() as u64),
            open => Value::from(Serde(&open)),
            over => Value::from(Serde(&rows(&overview.over))),
            problems => overview.problems,
            hosts => hosts.all,
            alive => hosts.alive,
            silent_count => hosts.silent,
            silent_more => hosts.silent.saturating_sub(silent.len() as u64),
            silent => Value::from(Serde(&silent)),
            heard => hosts.heard_at.map(|at| at.0),
        },
    )
}

/// `GET /incidents/ID`.
pub(super) async fn incident(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(id): Path<String>,
    Query(query): Query<OneQuery>,
) -> Response {
    let main = incident_main(&app, id, query.host).await;
    show(&app, &headers, "incidents", main)
}

async fn incident_main(app: &App, id: String, host: Option<String>) -> Result<String, Fault> {
    let stored = one(app, Table::Incident, id, host).await?.ok_or_else(|| Fault::missing("incident"))?;
    let incident: Incident = parsed(&stored).ok_or_else(unreadable)?;
    let (host, id, said) = (incident.host.id.clone(), incident.id.clone(), incident.links.problem.clone());
    let problem: Option<ProblemName> = app
        .db
        .ask(move |db| db::problem_of(db, &host, &id, said.as_deref()))
        .await
        .map_err(|e| Fault::database(&e))?;
    let now = app.clock.now().stamp();
    let page = detail::incident(&incident, problem.as_ref(), stored.received_at, now);
    app.pages.render("incident.html", context! { now => now.0, i => Value::from(Serde(&page)) })
}

fn unreadable() -> Fault {
    Fault::new(StatusCode::INTERNAL_SERVER_ERROR, "the stored record cannot be read")
}

/// `GET /problems`.
pub(super) async fn problems(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let main = problems_main(&app).await;
    show(&app, &headers, "problems", main)
}

async fn problems_main(app: &App) -> Result<String, Fault> {
    let filter = Filter { open: None, host: None, limit: PROBLEMS_SHOWN };
    let asked = app.db.ask(move |db| db::list(db, Table::Problem, &filter)).await;
    let (list, total) = asked.map_err(|e| Fault::database(&e))?;
    let now = app.clock.now().stamp();
    let rows: Vec<ProblemRow> =
        list.iter().filter_map(parsed::<Problem>).map(|p| ProblemRow::new(&p)).collect();
    let open = rows.iter().filter(|r| r.open).count();
    let more = total.saturating_sub(rows.len() as u64);
    let rows = Value::from(Serde(&rows));
    app.pages.render("problems.html", context! { now => now.0, rows, open, more })
}

/// `GET /problems/ID`.
pub(super) async fn problem(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(id): Path<String>,
    Query(query): Query<OneQuery>,
) -> Response {
    let main = problem_main(&app, id, query.host).await;
    show(&app, &headers, "problems", main)
}

async fn problem_main(app: &App, id: String, host: Option<String>) -> Result<String, Fault> {
    let stored = one(app, Table::Problem, id, host).await?.ok_or_else(|| Fault::missing("problem"))?;
    let problem: Problem = parsed(&stored).ok_or_else(unreadable)?;
    let (host, ids) = (problem.host.id.clone(), problem.members.iter().map(|m| m.incident.clone()).collect());
    let ids: Vec<String> = ids;
    let asked = app.db.ask(move |db| db::incidents_of(db, &host, &ids)).await;
    let known: Vec<Incident> = asked.map_err(|e| Fault::database(&e))?.iter().filter_map(parsed).collect();
    let now = app.clock.now().stamp();
    let page = detail::problem(&problem, &known, stored.received_at, now);
    app.pages.render("problem.html", context! { now => now.0, p => Value::from(Serde(&page)) })
}

/// `GET /hosts`.
pub(super) async fn hosts(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let hearing = app.hearing();
    let asked = app.db.ask(move |db| db::hosts(db, hearing, false, HOSTS_SHOWN + 1)).await;
    let main = asked.map_err(|e| Fault::database(&e)).and_then(|mut hosts| {
        let more = hosts.len() > HOSTS_SHOWN as usize;
        hosts.truncate(HOSTS_SHOWN as usize);
        let rows: Vec<HostRow> = hosts.iter().map(HostRow::new).collect();
        app.pages.render(
            "hosts.html",
            context! { now => hearing.now.0, total => rows.len(), more, rows => Value::from(Serde(&rows)) },
        )
    });
    show(&app, &headers, "hosts", main)
}

/// Where to go after the login.
#[derive(Debug, Default, Deserialize)]
pub(super) struct LoginQuery {
    next: Option<String>,
}

/// `GET /login`.
pub(super) async fn login(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Query(query): Query<LoginQuery>,
) -> Response {
    let main = login_main(&app, query.next.as_deref(), false);
    show(&app, &headers, "login", main)
}

fn login_main(app: &App, next: Option<&str>, wrong: bool) -> Result<String, Fault> {
    let (next, now) = (safe_next(next), app.clock.now().wall);
    app.pages.render("login.html", context! { next, wrong, now })
}

/// Only places of the desk itself.
fn safe_next(next: Option<&str>) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/-_.".contains(&b);
    let fine = |n: &&str| n.starts_with('/') && !n.starts_with("//") && n.bytes().all(plain);
    next.filter(fine).unwrap_or("/").to_owned()
}

#[derive(Debug, Default, Deserialize)]
struct LoginForm {
    #[serde(default)]
    token: String,
    #[serde(default)]
    next: String,
}

/// `POST /login`: a right token gets the cookie.
pub(super) async fn log_in(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Response {
    let body = axum::body::to_bytes(body, LOGIN_BODY).await.unwrap_or_default();
    let form = form(&body).unwrap_or_default();
    let Some(value) = app.access.log_in(form.token.trim(), app.clock.now()) else {
        let main = login_main(&app, Some(&form.next), true);
        let mut response = show(&app, &headers, "login", main);
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        return response;
    };
    // Behind a proxy that speaks TLS the cookie never travels in the clear.
    let secure = headers.get("x-forwarded-proto").is_some_and(|p| p == "https");
    let secure = if secure { "; Secure" } else { "" };
    let age = LOGIN_LASTS / SECOND;
    let cookie = format!("{COOKIE}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{secure}");
    ([(header::SET_COOKIE, cookie)], Redirect::to(&safe_next(Some(&form.next)))).into_response()
}

/// A form's body has the syntax of a query.
fn form(body: &[u8]) -> Option<LoginForm> {
    let uri: Uri = format!("/?{}", std::str::from_utf8(body).ok()?).parse().ok()?;
    Query::try_from_uri(&uri).ok().map(|q| q.0)
}

/// `GET /assets/FILE`: the name carries a version, so it may be kept for ever.
pub(super) async fn asset(Path(file): Path<String>) -> Response {
    let (kind, content) = match file.as_str() {
        "desk.css" => ("text/css; charset=utf-8", STYLE),
        "desk.js" => ("text/javascript; charset=utf-8", SCRIPT),
        "icon.svg" => ("image/svg+xml", ICON),
        _ => return Fault::missing("file").into_response(),
    };
    let keep = "public, max-age=31536000, immutable";
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, keep)], content).into_response()
}

/// Everything else.
pub(super) async fn nowhere(State(app): State<Arc<App>>, headers: HeaderMap, uri: Uri) -> Response {
    let fault = Fault::missing("page");
    if uri.path().starts_with("/v1/") {
        return fault.into_response();
    }
    show(&app, &headers, "", Err(fault))
}
