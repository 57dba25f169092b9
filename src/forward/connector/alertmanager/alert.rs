//! What an alert says: its labels, which are its identity, its annotations, and its times.
//!
//! The label set never holds what changes with every revision (value, revision, record key), so that all
//! episodes of one rule on one instance are one alert, as silences and routes want it. Severity is a label
//! because routes ask for it; a record that changes it leaves one label set for another.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};

use super::super::wanted::cut;
use super::options::Map;
use crate::engine::moment::{MINUTE, Stamp};
use crate::engine::record::{Incident, Problem};

/// The most characters of a summary.
const SUMMARY: usize = 250;
/// The most characters of a description.
const DESCRIPTION: usize = 4000;
/// The most characters of a label's value.
const VALUE: usize = 1000;
/// How many repeats an alert outlives the last time it was sent.
const LIVES: i64 = 4;
/// How long the end of an alert is told again, because the server forgets when it restarts.
pub const TOLD_AGAIN: i64 = 5 * MINUTE;

/// A label set: the alert's identity, and the far end's id of the record.
pub type Labels = BTreeMap<String, String>;

/// One record as alert.
#[derive(Clone, Debug)]
pub struct Alert {
    /// Its identity.
    pub labels: Labels,
    /// What people read.
    pub annotations: Labels,
    /// When the present trouble began.
    pub starts: Stamp,
    /// When it ended, for a record that is over.
    pub ended: Option<Stamp>,
    /// When the end was decided: from then on it is told again for a while.
    pub decided: Stamp,
}

impl Alert {
    /// An incident.
    pub fn incident(map: &Map, incident: &Incident, key: &str) -> Self {
        let mut labels = Labels::new();
        // The first of several that come down to one name wins; our own names come first.
        add(&mut labels, "alertname", &incident.rule.id);
        add(&mut labels, "instance", &incident.ci.name);
        add(&mut labels, "severity", map.severity(incident.severity));
        add(&mut labels, "sexton_host", &incident.host.id);
        add(&mut labels, "sexton_instance", &incident.instance);
        add(&mut labels, "service", incident.service.as_deref().unwrap_or_default());
        free(&mut labels, map.labels());
        free(&mut labels, &incident.labels);
        let mut annotations = texts(&incident.title, &incident.description, key, &incident.number);
        let mut note = |name: &str, text: String| note(&mut annotations, name, &text);
        note("value", incident.counters.peak.map(|v| v.to_string()).unwrap_or_default());
        note("priority", format!("{:?}", incident.priority));
        note("runbook_url", incident.links.runbook.clone().unwrap_or_default());
        note("problem", incident.links.problem.as_ref().map(|p| format!("sx-{p}")).unwrap_or_default());
        note("assignee", incident.assignee.clone().unwrap_or_default());
        let starts = incident.intervals.last().map_or(incident.breach_at, |i| i.from);
        let ended = incident.resolved_at.unwrap_or(incident.at).max(starts);
        let decided = incident.confirmed_at.unwrap_or(ended).max(ended);
        let over = !incident.state.is_open();
        Self { labels, annotations, starts, ended: over.then_some(ended), decided }
    }

    /// A problem candidate, by the option `problems`.
    pub fn problem(map: &Map, problem: &Problem, over: bool, key: &str) -> Self {
        let mut labels = Labels::new();
        add(&mut labels, "alertname", map.problem());
        add(&mut labels, "instance", &problem.ci.name);
        add(&mut labels, "severity", map.severity(problem.severity));
        add(&mut labels, "sexton_host", &problem.host.id);
        add(&mut labels, "sexton_problem", &problem.key);
        add(&mut labels, "service", problem.service.as_deref().unwrap_or_default());
        free(&mut labels, map.labels());
        free(&mut labels, &problem.labels);
        let mut annotations = texts(&problem.title, &problem.description, key, &problem.number);
        note(&mut annotations, "value", &problem.openings.to_string());
        note(&mut annotations, "priority", &format!("{:?}", problem.priority));
        let ended = problem.at.max(problem.first_at);
        let ends = over.then_some(ended);
        Self { labels, annotations, starts: problem.first_at, ended: ends, decided: ended }
    }

    /// As it stands at `now`: firing for the next few repeats, or over.
    pub fn posted(&self, now: Stamp, repeat: i64) -> Json {
        let ends = self.ended.unwrap_or(now.plus(repeat.saturating_mul(LIVES)));
        self.until(&self.labels, ends)
    }

    /// The same trouble under another label set, over at that time.
    pub fn ended_as(&self, labels: &Labels, at: Stamp) -> Json {
        self.until(labels, at)
    }

    fn until(&self, labels: &Labels, ends: Stamp) -> Json {
        json!({
            "labels": labels,
            "annotations": self.annotations,
            "startsAt": self.starts,
            // The server refuses an end before the start; a wall clock that went back could make one.
            "endsAt": ends.max(self.starts),
        })
    }
}

fn texts(title: &str, description: &str, key: &str, number: &str) -> Labels {
    let mut annotations = Labels::new();
    note(&mut annotations, "summary", &cut(title, SUMMARY));
    note(&mut annotations, "description", &cut(description, DESCRIPTION));
    note(&mut annotations, "sexton_record", key);
    note(&mut annotations, "number", number);
    annotations
}

fn note(annotations: &mut Labels, name: &str, text: &str) {
    if !text.is_empty() {
        annotations.insert(name.to_owned(), text.to_owned());
    }
}

/// The server drops labels with empty values; so do we, that both have the same set.
fn add(labels: &mut Labels, name: &str, value: &str) {
    if !value.is_empty() && !labels.contains_key(name) {
        labels.insert(name.to_owned(), cut(value, VALUE));
    }
}

/// Labels whose names others chose: one that is taken gets the prefix that Prometheus uses for it.
fn free(labels: &mut Labels, more: &BTreeMap<String, String>) {
    let taken: BTreeSet<String> = labels.keys().cloned().collect();
    for (name, value) in more {
        let name = label_name(name);
        let same = labels.get(&name) == Some(value);
        let name = if taken.contains(&name) && !same { format!("exported_{name}") } else { name };
        add(labels, &name, value);
    }
}

/// A name that every version takes: `[a-zA-Z_][a-zA-Z0-9_]*`.
pub fn label_name(name: &str) -> String {
    let clean = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let name: String = name.chars().map(clean).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}
