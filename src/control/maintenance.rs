//! `/v1/maintenance`: windows opened and ended from the shell.
//!
//! ```json
//! { "for": 7200, "reason": "new kernel", "change": "CHG0042", "mode": "suppress", "match": {
//!   "rule": ["fs-*"], "service": ["shop"], "severity": ["warning"], "labels": { "mount": ["/data"] } } }
//! ```
//! Only `reason` must be there; `for` is seconds, a day when it is not there. Keys that are none are refused:
//! a `match` that says less than was meant would hide more than was meant.

use std::collections::BTreeMap;

use axum::extract::connect_info::ConnectInfo;
use axum::extract::{Path as UrlPath, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use tokio::sync::mpsc;

use super::{Peer, Query, Request, ask, problem};
use crate::engine::effect::Maintenance;
use crate::engine::moment::{DAY, SECOND};
use crate::engine::record::Severity;

#[derive(Default, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Suppress,
    Tag,
}

/// How long a window lasts that does not say so, in seconds.
const LASTS: f64 = (DAY / SECOND) as f64;
/// Most globs in all of `match`, and the longest of them in bytes.
const GLOBS_MOST: (usize, usize) = (200, 256);
/// Longest id of a change in bytes.
const CHANGE_MOST: usize = 128;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    /// Seconds.
    #[serde(default = "lasts", rename = "for")]
    lasts: f64,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    change: Option<String>,
    #[serde(default)]
    mode: Mode,
    #[serde(default, rename = "match")]
    matches: Matches,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Matches {
    #[serde(default)]
    rule: Vec<String>,
    #[serde(default)]
    service: Vec<String>,
    #[serde(default)]
    severity: Vec<Severity>,
    #[serde(default)]
    labels: BTreeMap<String, Vec<String>>,
}

fn lasts() -> f64 {
    LASTS
}

/// Opens a window.
pub(super) async fn start(
    state: State<mpsc::Sender<Request>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    body: axum::body::Bytes,
) -> Response {
    match read(&body, peer.user) {
        Ok(window) => ask(state, Query::StartMaintenance(window)).await,
        Err(why) => problem(StatusCode::BAD_REQUEST, &why),
    }
}

/// Ends a window early.
pub(super) async fn end(state: State<mpsc::Sender<Request>>, UrlPath(id): UrlPath<String>) -> Response {
    ask(state, Query::EndMaintenance { id }).await
}

fn read(body: &[u8], by: String) -> Result<Maintenance, String> {
    let body: Body = serde_json::from_slice(body).map_err(|e| format!("the body is not a window: {e}"))?;
    let Matches { rule, service, severity, labels } = body.matches;
    let globs = || rule.iter().chain(&service).chain(labels.values().flatten());
    if globs().count() > GLOBS_MOST.0 || globs().any(|glob| glob.len() > GLOBS_MOST.1) {
        return Err(format!("`match` takes {} globs of {} bytes", GLOBS_MOST.0, GLOBS_MOST.1));
    }
    if let Some(empty) = globs().find(|glob| glob.trim_start_matches('!').is_empty()) {
        return Err(format!("the glob {empty:?} in `match` is empty"));
    }
    if body.change.as_ref().is_some_and(|c| c.len() > CHANGE_MOST || c.chars().any(char::is_control)) {
        return Err(format!("`change` is an id of at most {CHANGE_MOST} bytes"));
    }
    let seconds = body.lasts;
    if !(0.0..=1e9).contains(&seconds) {
        return Err("`for` is a number of seconds".to_owned());
    }
    Ok(Maintenance {
        lasts: (seconds * SECOND as f64).round() as i64,
        reason: body.reason,
        by,
        tag: body.mode == Mode::Tag,
        change: body.change,
        rule,
        service,
        severity,
        labels,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_a_window_or_says_why_not() {
        let ask =
            read(br#"{"for": 7200, "reason": "new kernel", "match": {"rule": ["fs-*"]}}"#, "ada".into());
        let ask = ask.unwrap();
        assert_eq!((ask.lasts, ask.by.as_str(), ask.tag), (7_200 * SECOND, "ada", false));
        assert_eq!(ask.rule, ["fs-*"]);
        assert_eq!(read(br#"{"reason": "x"}"#, String::new()).unwrap().lasts, DAY);
        for (body, why) in [
            ("", "not a window"),
            (r#"{"reason": "x", "macht": {}}"#, "unknown field `macht`"),
            (r#"{"reason": "x", "match": {"rules": ["a"]}}"#, "unknown field `rules`"),
            (r#"{"reason": "x", "match": {"rule": [""]}}"#, "empty"),
            (r#"{"reason": "x", "mode": "hide"}"#, "unknown variant `hide`"),
            (r#"{"reason": "x", "for": -1}"#, "number of seconds"),
            (r#"{"reason": "x", "change": "a\nb"}"#, "id of at most"),
        ] {
            let error = read(body.as_bytes(), String::new()).unwrap_err();
            assert!(error.contains(why), "{body}: {error}");
        }
    }
}
