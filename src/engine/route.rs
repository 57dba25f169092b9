//! Which destinations a record goes to, and when. Pure: records and the destinations in, outbox rows out.
//!
//! A filter never takes back what it has let pass: it looks at every weight an incident has had, and a record
//! that it does not let in follows where it went before (another weight, another filter since), so that the
//! resolve follows wherever the create went. A destination that steps in for another opens rows only while
//! that one has been down for long; since when it is down is kept over a restart.

use std::collections::{BTreeMap, BTreeSet};

use super::effect::{DestinationStatus, OutboxRow, RecordKind, Resend, Step, Terms};
use super::id;
use super::incident::{json, put};
use super::moment::{MINUTE, Stamp, human};
use super::option::{DestinationPlan, Digest, Filter};
use super::record::{Priority, ProblemState, Record, Severity};

/// Kind of the state rows of destinations that are down and have a fallback; their key is the destination.
const ROW: &str = "route";
/// Digests of a fleet are spread over this time at most, and over a tenth of their interval.
const SPREAD_MOST: i64 = 5 * MINUTE;

/// The destinations as far as they decide where records go.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    /// Destinations that another one can step in for and that are not up, and since when.
    down: BTreeMap<String, Stamp>,
    /// Fallbacks that have been given what is open.
    stepped_in: BTreeSet<String>,
}

impl Routes {
    /// Takes back a saved row. Rows of other kinds are not ours.
    pub fn restore(&mut self, kind: &str, key: &str, body: &str) {
        if kind == ROW
            && let Ok(since) = serde_json::from_str(body)
        {
            self.down.insert(key.to_owned(), since);
        }
    }

    /// Follows the state of the destinations. A fallback that begins to step in is given what is `open`, of
    /// which the outbox takes what still waits for the other.
    pub fn observe(
        &mut self,
        now: Stamp,
        statuses: &[DestinationStatus],
        destinations: &[DestinationPlan],
        open: impl Fn() -> Vec<Record>,
        out: &mut Step,
    ) {
        let others: BTreeSet<&str> =
            destinations.iter().filter_map(|d| Some(d.fallback.as_ref()?.of.as_str())).collect();
        for gone in self.down.keys().filter(|id| !others.contains(id.as_str())) {
            put(out, ROW, gone, None);
        }
        self.down.retain(|id, _| others.contains(id.as_str()));
        for status in statuses.iter().filter(|s| others.contains(s.id.as_str())) {
            let tried = status.since.is_some();
            if status.state != "up" && !self.down.contains_key(&status.id) {
                let since = status.since.map_or(now, |since| since.min(now));
                self.down.insert(status.id.clone(), since);
                put(out, ROW, &status.id, Some(json(&since)));
            } else if status.state == "up" && tried && self.down.remove(&status.id).is_some() {
                put(out, ROW, &status.id, None);
            }
        }
        for destination in destinations {
            if !self.steps_in(destination, now) {
                self.stepped_in.remove(&destination.id);
            } else if destination.fallback.is_some() && self.stepped_in.insert(destination.id.clone()) {
                let to = |record| Resend { destination: destination.id.clone(), record, fallen: None };
                out.resend.extend(open().into_iter().map(to));
            }
        }
    }

    /// The outbox rows of a step: its records, with what single destinations know already, and what they are
    /// to be told apart from the others.
    pub fn rows(
        &self,
        now: Stamp,
        host: &str,
        step: &Step,
        destinations: &[DestinationPlan],
    ) -> Vec<OutboxRow> {
        let known = |row: &OutboxRow| {
            step.known.iter().any(|(record, at)| *record == row.record && *at == row.destination)
        };
        let mut rows = Vec::new();
        for record in &step.records {
            for mut row in self.route(now, host, record, destinations) {
                row.terms.known = known(&row);
                rows.push(row);
            }
        }
        for again in &step.resend {
            let to: Vec<_> = destinations.iter().filter(|d| d.id == again.destination).cloned().collect();
            for mut row in self.route(now, host, &again.record, &to) {
                row.terms.fallen = again.fallen;
                rows.push(row);
            }
        }
        rows
    }

    /// One outbox row for each destination; whether it may open a row there says its filter. Links pass only
    /// where incidents and problems both do; they carry no priority and wait at the destination until both
    /// ends are there.
    pub fn route(
        &self,
        now: Stamp,
        host: &str,
        record: &Record,
        destinations: &[DestinationPlan],
    ) -> Vec<OutboxRow> {
        let link = matches!(record, Record::Link(_));
        let opens = |d: &DestinationPlan| accepts(&d.filter, record) && self.steps_in(d, now);
        let judged = destinations.iter().map(|d| (d, opens(d)));
        let judged: Vec<_> = judged.filter(|(_, opens)| *opens || !link).collect();
        if judged.is_empty() {
            return Vec::new();
        }
        let row = row(record);
        let waits = |digest: &&Digest| !link && digest.priority.contains(&row.priority);
        let terms = |d: &DestinationPlan| Terms {
            instead_of: d.fallback.as_ref().map(|f| f.of.clone()),
            not_before: d.digest.as_ref().filter(waits).map(|digest| slot(digest, now, host)),
            ..Terms::default()
        };
        let to = |(d, opens): (&DestinationPlan, bool)| OutboxRow {
            destination: d.id.clone(),
            opens,
            terms: terms(d),
            ..row.clone()
        };
        judged.into_iter().map(to).collect()
    }

    /// Why a destination opens no row for a record; `None` when it does.
    pub fn why_not(&self, now: Stamp, record: &Record, destination: &DestinationPlan) -> Option<String> {
        if let Some(key) = refused_by(&destination.filter, record) {
            return Some(format!("its match lets no such {key} pass"));
        }
        let fallback = destination.fallback.as_ref().filter(|_| !self.steps_in(destination, now))?;
        Some(format!("it steps in only while {} has been down for {}", fallback.of, human(fallback.after)))
    }

    /// A destination that is no fallback always gets what its filter lets in; a fallback only while the other
    /// has been down for long enough.
    fn steps_in(&self, destination: &DestinationPlan, now: Stamp) -> bool {
        let Some(fallback) = &destination.fallback else { return true };
        self.down.get(&fallback.of).is_some_and(|since| now.0 - since.0 >= fallback.after)
    }
}

/// The next time a digest is sent: whole intervals since the epoch, a little later on each host.
fn slot(digest: &Digest, now: Stamp, host: &str) -> Stamp {
    let every = digest.every.max(1);
    let spread = (every / 10).clamp(1, SPREAD_MOST);
    let jitter = i64::try_from(id::fnv1a(host.as_bytes()) % spread.unsigned_abs()).unwrap_or(0);
    Stamp(((now.0 - jitter).div_euclid(every) + 1).saturating_mul(every) + jitter)
}

fn accepts(filter: &Filter, record: &Record) -> bool {
    let kind = |kind: RecordKind| filter.record.is_empty() || filter.record.contains(&kind);
    let weight = |priority: Priority, severity: Severity| {
        (filter.priority.is_empty() || filter.priority.contains(&priority))
            && (filter.severity.is_empty() || filter.severity.contains(&severity))
    };
    let subject = |service: &Option<String>, category: &str, labels: &BTreeMap<String, String>| {
        let served =
            filter.service.0.is_empty() || service.as_ref().is_some_and(|name| filter.service.accepts(name));
        let labelled = |(name, globs): (&String, &super::option::Globs)| {
            labels.get(name).is_some_and(|value| globs.accepts(value))
        };
        served
            && (filter.category.0.is_empty() || filter.category.accepts(category))
            && filter.labels.iter().all(labelled)
    };
    match record {
        Record::Incident(i) => {
            let passed = i.counters.seen.iter().any(|(priority, severity)| weight(*priority, *severity));
            kind(RecordKind::Incident)
                && (passed || weight(i.priority, i.severity))
                && subject(&i.service, &i.category, &i.labels)
                && (filter.nature.is_empty() || filter.nature.contains(&i.nature))
                && (filter.rule.0.is_empty() || filter.rule.accepts(&i.rule.id))
        }
        Record::Problem(p) => {
            kind(RecordKind::Problem)
                && weight(p.priority, p.severity)
                && subject(&p.service, &p.category, &p.labels)
        }
        Record::Link(_) => kind(RecordKind::Incident) && kind(RecordKind::Problem),
    }
}

/// The key of a filter that keeps a record out: each key is asked alone.
fn refused_by(filter: &Filter, record: &Record) -> Option<&'static str> {
    let none = Filter::default;
    let alone = [
        ("record", Filter { record: filter.record.clone(), ..none() }),
        ("priority", Filter { priority: filter.priority.clone(), ..none() }),
        ("severity", Filter { severity: filter.severity.clone(), ..none() }),
        ("nature", Filter { nature: filter.nature.clone(), ..none() }),
        ("service", Filter { service: filter.service.clone(), ..none() }),
        ("label", Filter { labels: filter.labels.clone(), ..none() }),
        ("category", Filter { category: filter.category.clone(), ..none() }),
        ("rule", Filter { rule: filter.rule.clone(), ..none() }),
    ];
    let refuses = |(_, filter): &(&str, Filter)| !accepts(filter, record);
    let key = alone.iter().find(|one| refuses(one)).map(|(key, _)| *key);
    key.or_else(|| (!accepts(filter, record)).then_some("priority and severity"))
}

fn row(record: &Record) -> OutboxRow {
    let row = |kind, id: &str, rev, priority, over, body| OutboxRow {
        destination: String::new(),
        kind,
        record: id.to_owned(),
        rev,
        priority,
        over,
        alert_key: None,
        opens: false,
        body,
        link: None,
        terms: Terms::default(),
    };
    match record {
        Record::Incident(i) => OutboxRow {
            alert_key: Some(i.alert_key.clone()).filter(|key| !key.is_empty()),
            ..row(RecordKind::Incident, &i.id, i.rev, i.priority, !i.state.is_open(), json(i))
        },
        Record::Problem(p) => row(RecordKind::Problem, &p.id, p.rev, p.priority, ended(p.state), json(p)),
        Record::Link(l) => OutboxRow {
            link: Some((l.incident.clone(), l.problem.clone())),
            ..row(RecordKind::Link, &l.id, 1, Priority::P3, false, json(l))
        },
    }
}

fn ended(state: ProblemState) -> bool {
    use ProblemState::{Closed, Dismissed, Expired, Resolved};
    matches!(state, Resolved | Closed | Dismissed | Expired)
}

#[cfg(test)]
mod tests;
