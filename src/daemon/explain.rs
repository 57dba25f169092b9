//! What the daemon answers to "why": a rule on its instances, or an incident with all that became of it.
//!
//! The engine explains, the store adds deliveries and what the journal holds; this file finds what is meant
//! and puts it together (`explain/1`, docs/control.md). [`rule`] needs an engine only, so that a replayed one
//! is explained the same way.

use serde_json::{Value, json};

use super::{Daemon, status};
use crate::config::nearest;
use crate::control::{Answer, Refusal};
use crate::engine::core::Engine;
use crate::engine::moment::Moment;
use crate::engine::record::{Incident, Record, TimelineEntry};
use crate::engine::rules::{Rules, Unbound};
use crate::store::{JournalRow, StoreError};

/// How many of the newest journal entries are searched for an incident.
const SCAN: u64 = 20_000;
/// Raises that were kept and are told, newest first.
const KEPT_MOST: usize = 50;
/// Names that a message lists.
const NAMES_MOST: usize = 12;

/// Explains a rule; `None` when none in force has that id.
pub fn rule(engine: &Engine, now: Moment, id: &str, instance: Option<&str>) -> Option<Answer> {
    let planned = Rules::planned(engine.rules.plan(), id)?;
    let keys = engine.rules.instances_of(planned);
    let asked = match instance.map(|text| meant(engine, id, &keys, text)).transpose() {
        Ok(asked) => asked,
        Err(refusal) => return Some(Err(refusal)),
    };
    let key = match &asked {
        Some(Meant::Bound(key)) => Some(key.as_str()),
        Some(Meant::Unbound(unbound)) => Some(unbound.instance.as_str()),
        None => None,
    };
    let view = engine.explain(now, id, key)?;
    let mut answer = match serde_json::to_value(&view) {
        Ok(answer) => answer,
        Err(error) => return Some(Err(Refusal::Failed(error.to_string()))),
    };
    if let Some(Meant::Unbound(unbound)) = &asked {
        answer["asked"] = json!(unbound);
    }
    (answer["schema"], answer["kind"], answer["at"]) =
        (json!("explain/1"), json!("rule"), json!(now.stamp()));
    Some(Ok(answer))
}

/// The instance that a person means.
enum Meant {
    /// The rule is judged for the one of that key.
    Bound(String),
    /// It was seen, and the rule does not bind it.
    Unbound(Unbound),
}

/// Finds an instance by its key, its name (`/data`), or a part of its key that no other has.
fn meant(engine: &Engine, rule: &str, keys: &[String], text: &str) -> Result<Meant, Refusal> {
    let name = |key: &str| engine.rules.instance(key).map(|i| i.name().to_owned()).unwrap_or_default();
    if let Some(key) = keys.iter().find(|key| *key == text).or(keys.iter().find(|key| name(key) == text)) {
        return Ok(Meant::Bound(key.clone()));
    }
    let (unbound, _) = engine.rules.unbound(rule);
    let is_it = |u: &&Unbound| u.instance == text || name(&u.instance) == text;
    if let Some(unbound) = unbound.iter().find(is_it) {
        return Ok(Meant::Unbound(unbound.clone()));
    }
    let holding: Vec<&String> = keys.iter().filter(|key| key.contains(text)).collect();
    match holding.as_slice() {
        [one] => return Ok(Meant::Bound((*one).clone())),
        [] => {}
        many => {
            let names = listed(many.iter().map(|key| key.as_str()));
            return Err(Refusal::Conflict(format!("`{text}` may be any of {names}")));
        }
    }
    let named: Vec<String> = keys.iter().map(|key| name(key)).collect();
    let near = nearest(text, keys.iter().map(String::as_str))
        .or_else(|| nearest(text, named.iter().map(String::as_str)));
    let hint = match near {
        Some(near) => format!("; did you mean `{near}`?"),
        None if keys.is_empty() => "; it is judged for no instance".to_owned(),
        None => format!("; it is judged for {}", listed(keys.iter().map(String::as_str))),
    };
    Err(Refusal::NotFound(format!("rule {rule} knows no instance `{text}`{hint}")))
}

fn listed<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let more = names.len().saturating_sub(NAMES_MOST);
    let mut text = names.take(NAMES_MOST).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

/// Nothing is called so: what may have been meant.
pub fn no_such(engine: &Engine, text: &str) -> Refusal {
    let ids = engine.rules.plan().rules.iter().map(|rule| rule.id.as_str());
    let parts: Vec<&str> = ids.clone().filter(|id| id.contains(text)).collect();
    let hint = match (nearest(text, ids), parts.as_slice()) {
        (Some(near), _) => format!("; did you mean the rule `{near}`?"),
        (None, []) => "; `sexton status` names incidents, `sexton status --rules` rules".to_owned(),
        (None, many) => format!("; rules with that in their name: {}", listed(many.iter().copied())),
    };
    Refusal::NotFound(format!("no rule in force and no incident is called `{text}`{hint}"))
}

fn failed(error: StoreError) -> Refusal {
    Refusal::Failed(error.to_string())
}

impl Daemon {
    /// Explains a rule, or an incident by number, id or the beginning of one.
    pub(super) async fn explain(&self, subject: &str, instance: Option<&str>) -> Answer {
        let now = self.clock.now();
        if let Some(answer) = rule(&self.engine, now, subject, instance) {
            return answer;
        }
        let held = self.engine.incidents.beginning(subject);
        match held.as_slice() {
            _ if instance.is_some() => Err(no_such(&self.engine, subject)),
            [one] => self.explain_incident(now, one, true).await,
            [] => match self.past_incident(subject).await? {
                Some(incident) => self.explain_incident(now, &incident, false).await,
                None => Err(no_such(&self.engine, subject)),
            },
            many => Err(ambiguous(subject, many.iter().map(|i| i.number.as_str()))),
        }
    }

    /// An incident that is closed, put together from the journal.
    async fn past_incident(&self, text: &str) -> Result<Option<Incident>, Refusal> {
        let text = text.trim().to_ascii_lowercase();
        if text.len() < 4 {
            return Ok(None);
        }
        let ids = self.store.journal_incidents(&text, SCAN).await.map_err(failed)?;
        match ids.as_slice() {
            [] => Ok(None),
            [id] => {
                let rows = self.store.journal_about(vec![id.clone()], SCAN).await.map_err(failed)?;
                Ok(pieced_together(&rows))
            }
            many => Err(ambiguous(&text, many.iter().map(String::as_str))),
        }
    }

    async fn explain_incident(&self, now: Moment, incident: &Incident, is_held: bool) -> Answer {
        let subjects = vec![incident.fingerprint.clone()];
        let events = self.store.journal_about(subjects, SCAN).await.map_err(failed)?;
        let planned = Rules::planned(self.engine.rules.plan(), &incident.rule.id);
        let judged = self.engine.rules.explain(now, &incident.rule.id, &incident.instance);
        let problem = incident.links.problem.as_ref();
        let problem = problem.and_then(|id| self.engine.incidents.problems().find(|p| p.id == *id));
        Ok(json!({
            "schema": "explain/1",
            "kind": "incident",
            "at": now.stamp(),
            "incident": incident,
            "held": is_held,
            "rule": {
                "in_force": planned.is_some(),
                "changed": planned.map(|rule| rule.hash != incident.rule.hash),
                "origin": planned.map(|rule| rule.origin.as_str()),
                "now": judged,
            },
            "kept": kept(&events),
            "problem": problem.map(|p| json!({
                "id": p.id, "number": p.number, "title": p.title, "state": p.state, "openings": p.openings,
                "members": p.members.len(), "why": p.why,
            })),
            "deliveries": self.deliveries(now, incident).await?,
        }))
    }

    /// One entry for each destination, configured or with a row.
    async fn deliveries(&self, now: Moment, incident: &Incident) -> Result<Vec<Value>, Refusal> {
        let mut rows = self.store.outbox_record(&incident.id).await.map_err(failed)?;
        rows = self.with_orphans(rows);
        let statuses = self.forward.status();
        let record = Record::Incident(Box::new(incident.clone()));
        let mut all = Vec::new();
        for row in &rows {
            let whole = status::row(&self.store, &row.destination, &incident.id).await.unwrap_or_default();
            let state = statuses.iter().find(|s| s.id == row.destination);
            let mut entry = json!(row);
            entry["created_at"] = whole["created_at"].clone();
            entry["stored_at"] = whole["stored_at"].clone();
            entry["key"] = whole["sending"]["key"].clone();
            entry["destination_state"] = json!(state.map(|s| &s.state));
            entry["destination_reason"] = json!(state.and_then(|s| s.reason.as_ref()));
            all.push(entry);
        }
        for plan in &self.config.destinations {
            if rows.iter().any(|row| row.destination == plan.id) {
                continue;
            }
            let dropped = self.store.why_dropped(&plan.id, &incident.id).await.map_err(failed)?;
            let why = match dropped {
                Some((at, reason)) => format!("given up at {at}: {reason}"),
                None => match self.engine.routes.why_not(now.stamp(), &record, plan) {
                    Some(why) => why,
                    None => "nothing was sent: its row is gone, or the destination is newer".to_owned(),
                },
            };
            all.push(json!({"destination": plan.id, "state": "none", "why": why}));
        }
        Ok(all)
    }
}

fn ambiguous<'a>(text: &str, names: impl ExactSizeIterator<Item = &'a str>) -> Refusal {
    Refusal::Conflict(format!("`{text}` may be any of {}", listed(names)))
}

/// An incident as its journal entries tell it: the newest revision with the whole timeline and the newest
/// evidence.
fn pieced_together(rows: &[JournalRow]) -> Option<Incident> {
    let revisions = rows.iter().filter(|row| row.kind == "incident");
    let revisions: Vec<Incident> = revisions.filter_map(|row| serde_json::from_str(&row.body).ok()).collect();
    let timeline: Vec<TimelineEntry> = revisions.iter().flat_map(|i| i.timeline.clone()).collect();
    let evidence = revisions.iter().rev().map(|i| &i.evidence).find(|e| **e != Default::default()).cloned();
    let mut last = revisions.into_iter().next_back()?;
    (last.timeline, last.evidence) = (timeline, evidence.unwrap_or_default());
    Some(last)
}

/// Raises that were kept from becoming this incident, or from reopening it.
fn kept(rows: &[JournalRow]) -> Vec<Value> {
    let event = |row: &JournalRow| {
        let body: Value = serde_json::from_str(&row.body).ok()?;
        let by = body["suppressed_by"].as_str()?;
        let fields =
            ["event", "why", "parent", "window", "change"].map(|key| (key.to_owned(), body[key].clone()));
        let mut entry = Value::Object(fields.into_iter().filter(|(_, value)| !value.is_null()).collect());
        (entry["at"], entry["by"]) = (json!(row.at), json!(by));
        Some(entry)
    };
    rows.iter().rev().filter(|row| row.kind == "event").filter_map(event).take(KEPT_MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_cut_and_say_so() {
        let names: Vec<String> = (0..20).map(|n| format!("r{n}")).collect();
        let text = listed(names.iter().map(String::as_str));
        assert!(text.starts_with("r0, r1") && text.ends_with("r11 and 8 more"), "{text}");
        assert_eq!(listed(["a", "b"].into_iter()), "a, b");
    }

    #[test]
    fn a_closed_incident_is_put_together_from_its_revisions() {
        let first: Incident =
            serde_json::from_str(include_str!("../../tests/data/forward/incident.json")).unwrap();
        let mut last = first.clone();
        (last.rev, last.evidence) = (2, Default::default());
        last.timeline[0].kind = "resolved".to_owned();
        let row = |seq, incident: &Incident| JournalRow {
            seq,
            at: incident.at,
            kind: "incident".to_owned(),
            subject: incident.id.clone(),
            body: serde_json::to_string(incident).unwrap(),
        };
        let unreadable = JournalRow { body: "{}".to_owned(), ..row(2, &first) };
        let whole = pieced_together(&[row(1, &first), unreadable, row(3, &last)]).unwrap();
        let kinds: Vec<&str> = whole.timeline.iter().map(|e| e.kind.as_str()).collect();
        assert_eq!((whole.rev, kinds), (2, vec!["raised", "resolved"]));
        assert_eq!(whole.evidence, first.evidence);
        assert!(pieced_together(&[]).is_none());
    }

    #[test]
    fn only_what_was_kept_is_told_of_the_journal() {
        let row = |seq, kind: &str, body: Value| JournalRow {
            seq,
            at: crate::engine::moment::Stamp(0),
            kind: kind.to_owned(),
            subject: "print".to_owned(),
            body: body.to_string(),
        };
        let rows = [
            row(
                1,
                "event",
                json!({"event": "raise", "suppressed_by": "maintenance", "window": "night", "parent": null}),
            ),
            row(2, "event", json!({"event": "raise", "why": "x"})),
            row(3, "other", json!({"suppressed_by": "maintenance"})),
        ];
        let told = kept(&rows);
        assert_eq!(told.len(), 1);
        assert_eq!((&told[0]["window"], &told[0]["by"]), (&json!("night"), &json!("maintenance")));
        assert!(told[0].get("parent").is_none());
    }
}
