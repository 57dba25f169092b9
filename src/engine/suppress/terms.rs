//! What the configuration says about not raising: which rule is a symptom of which, and maintenance windows.
//!
//! Checked by `config`: relations have no circle, windows an end. A window started from the shell has the
//! same shape. This file must not know what is raised.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::calendar::{Opening, When};
use crate::engine::effect::Maintenance;
use crate::engine::moment::Stamp;
use crate::engine::plan::Globs;
use crate::engine::record::Severity;

/// Everything that keeps a raise from becoming an incident.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Terms {
    /// Per rule id: the rules whose trouble explains its own, nearest first.
    pub ancestors: BTreeMap<String, Vec<Ancestor>>,
    /// Maintenance windows in the order of the files.
    pub windows: Vec<Arc<Window>>,
}

/// A rule that another one depends on, directly or through others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ancestor {
    /// Its id.
    pub rule: String,
    /// Labels that both instances must have with the same value; `service` is that of the plan. Empty: any
    /// instance of the rule will do.
    pub same: Vec<String>,
}

/// What a window does with a raise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Nothing is raised while it is open; what still holds at its end is raised then.
    Suppress,
    /// What is raised says that it was raised within the window.
    Tag,
}

/// A maintenance window.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// Its id.
    pub id: String,
    /// What it is about.
    pub covers: Covers,
    /// When it is open; for a flexible one, when it may begin.
    pub when: When,
    /// A flexible one begins with the first raise it covers and lasts that long.
    pub lasts: Option<i64>,
    /// What it does.
    pub mode: Mode,
    /// Id of the change that it belongs to.
    pub change: Option<String>,
    /// Why, in words; may be empty.
    pub reason: String,
    /// Who started it from the shell.
    pub by: Option<String>,
    /// Where it was written, `rules.d/10-patch.toml:12`, or `shell`.
    pub origin: String,
}

/// What a window is about: whatever every list lets pass; an empty list lets all pass. What has no service,
/// or lacks a label that is named, passes no list of them, be it `*` or one of exclusions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Covers {
    /// Globs on rule ids.
    #[serde(default, skip_serializing_if = "no_globs")]
    pub rule: Globs,
    /// Globs on services.
    #[serde(default, skip_serializing_if = "no_globs")]
    pub service: Globs,
    /// Severities.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub severity: Vec<Severity>,
    /// Globs on labels of host, rule and instance.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, Globs>,
}

fn no_globs(globs: &Globs) -> bool {
    globs.0.is_empty()
}

/// What a raise or an incident is, for a window to look at.
pub struct Subject<'a> {
    /// Rule id.
    pub rule: &'a str,
    /// Its service.
    pub service: Option<&'a str>,
    /// Severity of its highest step.
    pub severity: Severity,
    /// Labels of host, rule and instance.
    pub labels: &'a BTreeMap<String, String>,
}

impl Covers {
    /// What a window from the shell is about.
    pub fn of(ask: &Maintenance) -> Self {
        let labels = ask.labels.iter().map(|(name, globs)| (name.clone(), Globs(globs.clone())));
        Self {
            rule: Globs(ask.rule.clone()),
            service: Globs(ask.service.clone()),
            severity: ask.severity.clone(),
            labels: labels.collect(),
        }
    }

    /// True when the window is about it.
    pub fn accepts(&self, subject: &Subject<'_>) -> bool {
        let label = |name: &str| subject.labels.get(name);
        self.rule.accepts(subject.rule)
            && (self.service.0.is_empty() || subject.service.is_some_and(|name| self.service.accepts(name)))
            && (self.severity.is_empty() || self.severity.contains(&subject.severity))
            && self.labels.iter().all(|(name, globs)| label(name).is_some_and(|value| globs.accepts(value)))
    }

    /// In words, for a list: `rule web-*, service shop`; `everything`.
    pub fn words(&self) -> String {
        let globs = |name: &str, globs: &Globs| match globs.0.as_slice() {
            [] => None,
            all => Some(format!("{name} {}", all.join(" "))),
        };
        let severities = self.severity.iter().map(|s| format!("{s:?}").to_lowercase()).collect();
        let parts = [
            globs("rule", &self.rule),
            globs("service", &self.service),
            globs("severity", &Globs(severities)),
        ];
        let labels = self.labels.iter().filter_map(|(name, g)| globs(name, g));
        let all: Vec<String> = parts.into_iter().flatten().chain(labels).collect();
        if all.is_empty() { "everything".to_owned() } else { all.join(", ") }
    }
}

impl Window {
    /// The window as a person calls it: `patch-night (change CHG0042)`.
    pub fn called(&self) -> String {
        match &self.change {
            Some(change) => format!("{} (change {change})", self.id),
            None => self.id.clone(),
        }
    }

    /// Until when a window without further conditions is open at a moment.
    pub fn opening(&self, at: Stamp) -> Option<Opening> {
        self.when.at(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_covers_what_every_list_lets_pass() {
        let globs = |list: &[&str]| Globs(list.iter().map(|s| (*s).to_owned()).collect());
        let labels = [("mount".to_owned(), "/data".to_owned()), ("env".to_owned(), "prod".to_owned())].into();
        let subject = |rule, service| Subject { rule, service, severity: Severity::Warning, labels: &labels };
        let label = |name: &str, list: &[&str]| Covers {
            labels: [(name.to_owned(), globs(list))].into(),
            ..Covers::default()
        };
        for (covers, rule, service, accepts, words) in [
            (Covers::default(), "disk-full", None, true, "everything"),
            (
                Covers { rule: globs(&["*", "!disk-*"]), ..Covers::default() },
                "disk-full",
                None,
                false,
                "rule * !disk-*",
            ),
            (
                Covers { rule: globs(&["*", "!disk-*"]), ..Covers::default() },
                "web",
                None,
                true,
                "rule * !disk-*",
            ),
            (
                Covers { service: globs(&["web*"]), ..Covers::default() },
                "web",
                Some("web-shop"),
                true,
                "service web*",
            ),
            (Covers { service: globs(&["web*"]), ..Covers::default() }, "web", None, false, "service web*"),
            (Covers { service: globs(&["!web*"]), ..Covers::default() }, "web", None, false, "service !web*"),
            (
                Covers { service: globs(&["!web*"]), ..Covers::default() },
                "web",
                Some("mail"),
                true,
                "service !web*",
            ),
            (
                Covers { severity: vec![Severity::Critical], ..Covers::default() },
                "web",
                None,
                false,
                "severity critical",
            ),
            (
                Covers { severity: vec![Severity::Warning], ..Covers::default() },
                "web",
                None,
                true,
                "severity warning",
            ),
            (label("mount", &["/d*"]), "web", None, true, "mount /d*"),
            (label("mount", &["/srv"]), "web", None, false, "mount /srv"),
            (label("rack", &["a*"]), "web", None, false, "rack a*"),
            (label("mount", &["*", "!/srv"]), "web", None, true, "mount * !/srv"),
            (label("rack", &["*"]), "web", None, false, "rack *"),
            (label("rack", &["!a*"]), "web", None, false, "rack !a*"),
        ] {
            assert_eq!(covers.accepts(&subject(rule, service)), accepts, "{words} {rule} {service:?}");
            assert_eq!(covers.words(), words);
        }
    }
}
