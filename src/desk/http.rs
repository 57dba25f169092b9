//! What all answers of the desk have in common: problem documents (RFC 9457), security headers, the guard
//! before reading.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::json;

use super::App;
use super::access::Entry;
use super::db::DbError;

/// An error as the far end reads it: `application/problem+json` with one clear sentence.
#[derive(Debug)]
pub(super) struct Fault {
    status: StatusCode,
    detail: String,
    retry_after: Option<u32>,
}

impl Fault {
    /// A fault with its sentence.
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Fault {
        let retry_after = (status == StatusCode::SERVICE_UNAVAILABLE).then_some(5);
        Fault { status, detail: detail.into(), retry_after }
    }

    /// The database did not do what it should: come back later.
    pub(super) fn database(error: &DbError) -> Fault {
        Fault::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }

    /// No such thing.
    pub(super) fn missing(what: &str) -> Fault {
        Fault::new(StatusCode::NOT_FOUND, format!("there is no such {what}"))
    }

    /// No token, a wrong one, or nobody knows.
    pub(super) fn entry(entry: Entry) -> Fault {
        match entry {
            Entry::Unknown => Fault::new(StatusCode::SERVICE_UNAVAILABLE, "the desk cannot read its tokens"),
            Entry::Open | Entry::Denied => {
                Fault::new(StatusCode::UNAUTHORIZED, "a valid token is required: `Authorization: Bearer …`")
            }
        }
    }

    /// The status, for pages.
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// The sentence, for pages.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or("Error");
        let body = json!({
            "type": "about:blank", "title": title, "status": self.status.as_u16(), "detail": self.detail,
        });
        let mut response =
            (self.status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string())
                .into_response();
        let headers = response.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            headers
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"sexton desk\""));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Nothing from elsewhere, no inline script or style, no framing.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Puts the security headers on every answer; pages and data are not to be kept by anyone.
pub(super) async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let fixed: [(HeaderName, &'static str); 6] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Lets only those through who may look; people are led to the login form.
pub(super) async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let entry = app.access.may_look(request.headers(), app.clock.now());
    if entry == Entry::Open {
        return next.run(request).await;
    }
    let path = request.uri().path();
    if entry == Entry::Unknown || path.starts_with("/v1/") || request.headers().contains_key("x-part") {
        return Fault::entry(entry).into_response();
    }
    Redirect::to(&format!("/login?next={path}")).into_response()
}
