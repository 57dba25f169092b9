//! What may be set for an Alertmanager: servers, repeat, labels, words.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use super::super::Target;
use super::super::login::{
    ANY_TOKEN, BEARER, CA, CLIENT_CERTIFICATE, CLIENT_KEY, Login, MAP, OAUTH_CLIENT, OAUTH_SCOPE,
    OAUTH_SECRET, OAUTH_STYLE, OAUTH_URL, PASSWORD, PROXY, URL, USER,
};
use super::alert::label_name;
use crate::engine::moment::{HOUR, MINUTE, SECOND};
use crate::engine::option::{OptionKind, OptionSpec, OptionValue, Options};
use crate::engine::record::Severity;

/// Alertmanager itself needs no login; a proxy before it, or its web configuration, may.
pub const LOGINS: &[Login] = &[BEARER, Login::Basic, Login::OAuth2, Login::Certificate, Login::Anonymous];

/// Defaults of the option `map`.
pub const DEFAULTS: &[(&str, &str)] = &[
    ("severity.info", "info"),
    ("severity.warning", "warning"),
    ("severity.critical", "critical"),
    ("alertname.problem", "ProblemCandidate"),
];

/// Everything that may be set.
pub const OPTIONS: &[OptionSpec] = &[
    URL,
    OptionSpec {
        key: "peers",
        kind: OptionKind::List(&[]),
        about: "base addresses of the cluster's other servers; each gets every alert",
    },
    OptionSpec {
        key: "repeat",
        kind: OptionKind::Duration(MINUTE),
        about: "how often firing alerts are sent again, 1s to 1h; they end by themselves after four repeats",
    },
    OptionSpec {
        key: "labels",
        kind: OptionKind::Map,
        about: "labels added to every alert; the names that sexton sets itself win",
    },
    OptionSpec {
        key: "problems",
        kind: OptionKind::Bool(false),
        about: "problem candidates become alerts of their own",
    },
    MAP,
    ANY_TOKEN,
    USER,
    PASSWORD,
    OAUTH_URL,
    OAUTH_CLIENT,
    OAUTH_SECRET,
    OAUTH_SCOPE,
    OAUTH_STYLE,
    CLIENT_CERTIFICATE,
    CLIENT_KEY,
    PROXY,
    CA,
];

/// What the options must satisfy together.
///
/// # Errors
/// A sentence about the first that is wrong.
pub fn check(options: &Options) -> Result<(), String> {
    Login::choose(LOGINS, options)?;
    for url in std::iter::once(options.text("url")).chain(options.list("peers").iter().map(String::as_str)) {
        let host = url.strip_prefix("http://").or(url.strip_prefix("https://"));
        if host.is_none_or(|h| h.is_empty() || h.starts_with('/')) {
            return Err(format!("'{url}' is no address: write http://host:9093 or https://host"));
        }
        if url.trim_end_matches('/').ends_with("/api/v2") {
            return Err(format!("'{url}': leave out /api/v2, which is added"));
        }
    }
    let repeat = options.duration("repeat");
    if !(SECOND..=HOUR).contains(&repeat) {
        return Err("repeat must be between 1s and 1h".to_owned());
    }
    if let Some(OptionValue::Map(labels)) = options.0.get("labels")
        && let Some(name) = labels.keys().find(|name| label_name(name) != **name)
    {
        return Err(format!("labels: '{name}' is no label name: letters, digits and _, no digit first"));
    }
    if let Some(OptionValue::Map(map)) = options.0.get("map")
        && let Some(entry) = map.keys().find(|entry| DEFAULTS.iter().all(|(known, _)| known != entry))
    {
        let known: Vec<&str> = DEFAULTS.iter().map(|(name, _)| *name).collect();
        return Err(format!("map has no entry '{entry}'; there are {}", known.join(", ")));
    }
    Ok(())
}

/// The options of one destination.
pub struct Map<'a> {
    target: &'a Target,
}

impl<'a> Map<'a> {
    /// Of that destination.
    pub fn of(target: &'a Target) -> Self {
        Self { target }
    }

    fn get(&self, entry: &str) -> &'a str {
        let default = DEFAULTS.iter().find(|(name, _)| *name == entry).map_or("", |(_, value)| value);
        self.target.options.mapped("map", entry).filter(|v| !v.is_empty()).unwrap_or(default)
    }

    /// The word for a severity.
    pub fn severity(&self, severity: Severity) -> &'a str {
        self.get(match severity {
            Severity::Info => "severity.info",
            Severity::Warning => "severity.warning",
            Severity::Critical => "severity.critical",
        })
    }

    /// The name of all alerts about problem candidates.
    pub fn problem(&self) -> &'a str {
        self.get("alertname.problem")
    }

    /// Labels of every alert.
    pub fn labels(&self) -> &'a BTreeMap<String, String> {
        static NONE: LazyLock<BTreeMap<String, String>> = LazyLock::new(BTreeMap::new);
        match self.target.options.0.get("labels") {
            Some(OptionValue::Map(labels)) => labels,
            _ => &NONE,
        }
    }

    /// Problem candidates are sent.
    pub fn problems(&self) -> bool {
        self.target.options.bool("problems")
    }

    /// Nanoseconds between two posts of a firing alert.
    pub fn repeat(&self) -> i64 {
        self.target.options.duration("repeat").clamp(SECOND, HOUR)
    }

    /// How long after a post the same is sent again; an end is told again only for a while.
    pub fn pause(&self, ended: bool) -> Duration {
        let most = if ended { MINUTE } else { HOUR };
        Duration::from_nanos(self.repeat().min(most).unsigned_abs())
    }

    /// All servers by base address.
    pub fn servers(&self) -> Vec<&'a str> {
        let peers = self.target.options.list("peers").iter().map(String::as_str);
        let mut all: Vec<&str> = Vec::new();
        for server in std::iter::once(self.target.options.text("url")).chain(peers) {
            let server = server.trim_end_matches('/');
            if !all.contains(&server) {
                all.push(server);
            }
        }
        all
    }
}
