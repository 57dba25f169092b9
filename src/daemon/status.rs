//! What the daemon answers on the control socket: JSON made from its state between two steps.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::Daemon;
use crate::control::{Answer, Refusal};
use crate::engine::record::{Incident, Problem};
use crate::engine::rules::Standing;
use crate::store::{OutboxView, Store, StoreError};

/// Most raises that are kept in one answer to `status`.
const KEPT_MOST: usize = 100;
/// Most outbox rows in one answer.
pub const OUTBOX_ROWS: usize = 1000;

impl Daemon {
    /// The whole status in one document (`status/1`, docs/control.md).
    pub(super) async fn status(&self) -> Value {
        let now = self.clock.now();
        let open: Vec<Value> =
            self.engine.incidents.incidents().filter(|i| i.state.is_open()).map(brief).collect();
        let mut by_priority = BTreeMap::new();
        for incident in self.engine.incidents.incidents().filter(|i| i.state.is_open()) {
            *by_priority.entry(incident.priority).or_insert(0_u32) += 1;
        }
        let problems: Vec<Value> = self.engine.incidents.problems().map(brief_problem).collect();
        let counts = self.store.outbox_counts().await.unwrap_or_default();
        let waits = |states: &BTreeMap<String, u64>| -> u64 {
            states.iter().filter(|(state, _)| *state != "acked" && *state != "blocked").map(|(_, n)| n).sum()
        };
        let orphans = counts.iter().filter(|(id, _)| !self.is_configured(id));
        let orphaned: BTreeMap<&String, u64> =
            orphans.map(|(id, states)| (id, waits(states))).filter(|(_, n)| *n > 0).collect();
        let mut destinations = self.forward.status();
        for destination in &mut destinations {
            destination.rows = counts.get(&destination.id).cloned().unwrap_or_default();
        }
        let suppression = &self.engine.suppression;
        let kept = suppression.kept(now, &self.engine.incidents);
        json!({
            "schema": "status/1",
            "version": env!("CARGO_PKG_VERSION"),
            "pid": std::process::id(),
            "host": self.config.plan.host.host,
            "started_at": self.started.stamp(),
            "now": now.stamp(),
            "uptime": (now.mono - self.started.mono) as f64 / 1e9,
            "config": {
                "source": self.config_source,
                "hash": self.config.hash,
                "loaded_at": self.config_loaded,
                "error": self.config_error,
                "warnings": self.config.warnings.len(),
                "reload": self.reloads.last.as_ref().map(super::reload::Report::value),
            },
            "store": {"error": self.store_error},
            "history": self.history.status(),
            "rules": self.rule_counts(),
            "incidents": {"open": open.len(), "by_priority": by_priority, "list": open},
            "problems": problems,
            "maintenance": suppression.windows(now).into_iter().filter(|w| w.active).collect::<Vec<_>>(),
            "suppressed": {"count": kept.len(), "list": kept.iter().take(KEPT_MOST).collect::<Vec<_>>()},
            "collectors": self.collectors.status(),
            "checks": self.checks.status(),
            "destinations": destinations,
            "outbox_dropped": self.store.dropped(),
            "outbox_orphaned": orphaned,
        })
    }

    /// The configuration in force has that destination.
    pub(super) fn is_configured(&self, destination: &str) -> bool {
        self.config.destinations.iter().any(|d| d.id == destination)
    }

    /// Rows that wait for a destination that is not configured any more are orphaned.
    pub(super) fn with_orphans(&self, mut rows: Vec<OutboxView>) -> Vec<OutboxView> {
        for row in rows.iter_mut().filter(|row| row.state != "acked") {
            if !self.is_configured(&row.destination) {
                row.state = "orphaned".to_owned();
            }
        }
        rows
    }

    /// Every rule instance with its state, and why one that is raised is no incident.
    pub(super) fn standing(&self) -> Value {
        let kept = self.engine.suppression.kept(self.clock.now(), &self.engine.incidents);
        let why: BTreeMap<_, _> = kept.iter().map(|k| ((&k.rule, &k.instance), &k.reason)).collect();
        let with = |standing: &Standing| {
            let mut value = serde_json::to_value(standing).unwrap_or_default();
            if let Some(reason) = why.get(&(&standing.rule, &standing.instance)) {
                value["suppressed_by"] = json!(reason);
            }
            value
        };
        let instances: Vec<Value> = self.engine.rules.standing().iter().map(with).collect();
        json!({"schema": "rules/1", "instances": instances})
    }

    /// Every maintenance window that is open or will be, and what they and dependencies keep.
    pub(super) fn maintenance(&self) -> Value {
        let (now, suppression) = (self.clock.now(), &self.engine.suppression);
        let kept = suppression.kept(now, &self.engine.incidents);
        json!({"windows": suppression.windows(now), "suppressed": kept})
    }

    fn rule_counts(&self) -> Value {
        let mut states = BTreeMap::new();
        let standing = self.engine.rules.standing();
        for instance in &standing {
            *states.entry(instance.state).or_insert(0_u32) += 1;
        }
        json!({
            "rules": self.config.plan.rules.len(),
            "instances": standing.len(),
            "states": states,
            "refused_samples": self.engine.rules.refused(),
        })
    }
}

fn brief(incident: &Incident) -> Value {
    json!({
        "number": incident.number, "id": incident.id, "priority": incident.priority, "severity": incident.severity,
        "state": incident.state, "title": incident.title, "raised_at": incident.raised_at, "breach_at": incident.breach_at,
        "reopens": incident.counters.reopens, "flapping": incident.flapping, "service": incident.service,
        "instance": incident.instance, "rule": incident.rule.id, "resolve_due": incident.sla.resolve.due,
    })
}

fn brief_problem(problem: &Problem) -> Value {
    json!({
        "number": problem.number, "id": problem.id, "priority": problem.priority, "state": problem.state,
        "title": problem.title, "why": problem.why.iter().map(|r| &r.text).collect::<Vec<_>>(),
        "members": problem.members.len(), "openings": problem.openings, "last_at": problem.last_at,
    })
}

/// A list as the API gives it.
pub fn list<T: Serialize>(name: &str, items: impl IntoIterator<Item = T>) -> Answer {
    let items: Result<Vec<Value>, _> = items.into_iter().map(serde_json::to_value).collect();
    items.map(|items| json!({name: items})).map_err(|e| Refusal::Failed(e.to_string()))
}

/// One record, or that there is none.
pub fn one<T: Serialize>(item: Option<&T>, what: &str, id: &str) -> Answer {
    let item = item.ok_or_else(|| Refusal::NotFound(format!("no {what} {id} is held here")))?;
    serde_json::to_value(item).map_err(|e| Refusal::Failed(e.to_string()))
}

/// One row of the outbox, or what became of it.
pub async fn row(store: &Store, destination: &str, record: &str) -> Answer {
    let failed = |e: StoreError| Refusal::Failed(e.to_string());
    if let Some(row) = store.outbox_row(destination, record).await.map_err(failed)? {
        return Ok(row);
    }
    Err(Refusal::NotFound(match store.why_dropped(destination, record).await.map_err(failed)? {
        Some((at, reason)) => format!("{record} was given up for {destination} at {at}: {reason}"),
        None => format!("{destination} has no row for {record}"),
    }))
}

/// What became of a repair of the outbox.
pub fn repaired(outcome: Result<bool, StoreError>, done: &str, what: &str, record: &str) -> Answer {
    match outcome {
        Ok(true) => Ok(json!({"message": format!("{record} is {done}")})),
        Ok(false) => Err(Refusal::NotFound(format!("there is no {what} {record} for that destination"))),
        Err(error) => Err(Refusal::Failed(error.to_string())),
    }
}

/// A change that was carried out.
pub fn done(message: impl IntoMessage) -> Value {
    json!({"message": message.into_message()})
}

/// What a change says when it is done.
pub trait IntoMessage {
    /// The sentence.
    fn into_message(self) -> String;
}

impl IntoMessage for () {
    fn into_message(self) -> String {
        "done".to_owned()
    }
}

impl IntoMessage for String {
    fn into_message(self) -> String {
        self
    }
}
