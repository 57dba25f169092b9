//! An incident as the engine holds it: the record that is forwarded, and beside it what only the engine
//! needs.
//!
//! Both are one state row. Invariant: the record changes only together with a revision; what happens in
//! between (events of a flapping condition) is kept in [`Side`] and taken over by the next revision.

use serde::{Deserialize, Serialize};

use crate::engine::desks::Desks;
use crate::engine::id::{self, Uuid};
use crate::engine::moment::{DAY, MINUTE, Stamp};
use crate::engine::record::{
    Actor, Ci, Counters, Evidence, Incident, Interval, Links, RuleRef, State, TimelineEntry,
};

use super::facts::{self, Facts, Sight};
use super::flapping::Flap;
use super::quiet::Symptoms;
use super::{priority, sla};

/// A person's resolve is disputed by the rule when the condition has held on for this long.
pub(super) const DISPUTE_AFTER: i64 = 30 * MINUTE;
/// The series of this long after a breach belong to the evidence, as those before it do.
pub(super) const AFTERMATH: i64 = 10 * MINUTE;
/// A resolved incident is closed after this quiet time, or after its rule's `reopen` when that is longer.
const CLOSE_AFTER: i64 = DAY;

/// What a change asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Change {
    /// Write the state row: the record is as it was.
    Row,
    /// Make a revision.
    Revision,
}

/// An incident and what the engine keeps beside it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Held {
    pub record: Incident,
    pub side: Side,
}

/// What the engine keeps beside a record.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Side {
    /// The rule machine is raised.
    pub raised: bool,
    /// What the last raise or step said.
    pub facts: Facts,
    /// What has been counted up to now.
    pub counters: Counters,
    /// The rule's `reopen`.
    pub reopen: i64,
    pub flap: Flap,
    /// Flapping holds back a resolve: the start of its clear.
    pub cleared_at: Option<Stamp>,
    /// Steady time at which a disputed resolve is overruled.
    pub dispute_due: Option<i64>,
    /// Steady time at which the series after the breach are taken, when it has not ended by then.
    #[serde(default)]
    pub aftermath_due: Option<i64>,
    /// Raises that it explains and that were not raised on their own.
    #[serde(default, skip_serializing_if = "Symptoms::is_empty")]
    pub symptoms: Symptoms,
    /// The maintenance window for which the resolve clock stands still, and its end as last known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<(String, Stamp)>,
    /// What each destination showed last.
    #[serde(default, skip_serializing_if = "Desks::is_empty")]
    pub desks: Desks,
}

impl Side {
    /// Takes up saved steady times at a start. Steady time is anchored to the wall then: when the wall was
    /// set back meanwhile, nothing must wait longer than it may.
    pub fn rewind(&mut self, now: i64) {
        for (due, most) in [(&mut self.dispute_due, DISPUTE_AFTER), (&mut self.aftermath_due, AFTERMATH)] {
            *due = due.map(|due| due.min(now.saturating_add(most)));
        }
        self.flap.rewind(now);
        self.symptoms.rewind(now);
    }
}

impl Held {
    /// The record of a new incident, state new, without its first timeline entry.
    pub fn new(
        sight: &Sight<'_>,
        (id, number): (Uuid, String),
        previous: Option<String>,
        flap: Flap,
    ) -> Self {
        let facts = sight.facts();
        let (plan, rule, instance) = (sight.plan, &sight.event.rule, &sight.event.instance);
        let host = plan.host.host.clone();
        let fingerprint = id::fingerprint(&rule.id, &host.id, instance);
        let mut labels = plan.host.labels.clone();
        labels.extend(rule.labels.clone());
        labels.extend(instance.labels.clone());
        let weight = facts.weight.clone();
        let record = Incident {
            id: id.to_string(),
            schema: "incident/1".to_owned(),
            number,
            seq: 0,
            rev: 0,
            at: sight.now.stamp(),
            labels,
            fleet_key: id::fleet_key(&rule.id, instance),
            alert_key: id::alert_key(&host.id, &fingerprint),
            fingerprint,
            title: facts.title.clone(),
            description: facts.description.clone(),
            rule: RuleRef { id: rule.id.clone(), hash: rule.hash.clone() },
            source: "monitor".to_owned(),
            nature: rule.nature,
            category: rule.category.clone(),
            severity: facts.severity,
            outage: rule.outage,
            state: State::New,
            ci: Ci { id: host.id.clone(), class: "host".to_owned(), name: host.name.clone() },
            host,
            instance: instance.key().to_owned(),
            service: weight.service,
            tier: weight.tier,
            impact: weight.impact,
            urgency: weight.urgency,
            priority: weight.priority,
            priority_reason: weight.reason,
            priority_max: weight.priority,
            breach_at: sight.since,
            detected_at: sight.since,
            raised_at: sight.at,
            acknowledged_at: None,
            first_action_at: None,
            resolved_at: None,
            confirmed_at: None,
            closed_at: None,
            intervals: vec![Interval { from: sight.since, to: None }],
            sla: sla::start(plan, weight.priority, sight.at),
            closure: None,
            hold_reason: None,
            assignee: None,
            flapping: false,
            disputed: false,
            links: Links { previous, runbook: rule.runbook.clone(), ..Links::default() },
            counters: Counters::default(),
            evidence: Evidence::default(),
            timeline: Vec::new(),
        };
        let side = Side {
            raised: false,
            facts,
            counters: Counters::default(),
            reopen: rule.reopen,
            flap,
            cleared_at: None,
            dispute_due: None,
            aftermath_due: None,
            symptoms: Symptoms::default(),
            window: None,
            desks: Desks::default(),
        };
        Self { record, side }
    }

    /// A timeline entry without a change of state; its `rev` is filled in by the revision.
    pub fn note(&mut self, at: Stamp, actor: Actor, kind: &str, note: impl Into<String>) {
        let (kind, note) = (kind.to_owned(), note.into());
        self.record.timeline.push(TimelineEntry { at, rev: 0, actor, kind, from: None, to: None, note });
    }

    /// Counts an event of the rule; raises and steps move the peak.
    pub fn count(&mut self, sight: &Sight<'_>, peak: bool) {
        self.side.counters.events += 1;
        if peak {
            let event = sight.event;
            self.side.counters.peak = facts::worse(self.side.counters.peak, event.value, event.limit);
        }
    }

    /// Counts a transition between raised and ok.
    pub fn transition(&mut self, sight: &Sight<'_>, raised: bool) {
        self.side.raised = raised;
        self.side.counters.flaps += 1;
        self.side.flap.bump(sight.now.mono, sight.plan.correlate.flap_half_life);
    }

    /// Takes over what the last event said. Priority only rises.
    pub fn apply(&mut self, plan: &crate::engine::plan::Plan, at: Stamp) {
        let facts = self.side.facts.clone();
        let record = &mut self.record;
        record.title = facts.title;
        record.description = facts.description;
        record.severity = facts.severity;
        record.rule.hash = facts.rule_hash;
        record.service = facts.weight.service.clone();
        record.tier = facts.weight.tier;
        if let Some(said) = priority::rise(record, &facts.weight, plan, at) {
            self.note(at, Actor::Rule, "priority", said);
        }
    }

    /// Brings the record up to date for its next revision.
    pub fn settle(&mut self) {
        self.side.counters.seen.insert((self.record.priority, self.record.severity));
        self.record.counters = self.side.counters.clone();
    }

    /// When a wall clock has something to do here: an SLA clock, the closing, or forgetting a cancelled one.
    pub fn wall_due(&self) -> Option<i64> {
        match (self.record.state, self.record.resolved_at) {
            (state, _) if state.is_open() => sla::next_due(&self.record.sla),
            (State::Resolved, Some(at)) => Some(at.plus(self.side.reopen.max(CLOSE_AFTER)).0),
            // While its condition holds on nothing new is opened for it.
            (State::Cancelled, Some(at)) if !self.side.raised => Some(at.plus(CLOSE_AFTER).0),
            _ => None,
        }
    }

    /// When the steady clock has something to do here: the end of flapping, a dispute, the aftermath,
    /// symptoms.
    pub fn mono_due(&self, half_life: i64) -> Option<i64> {
        let flap = self.record.flapping.then(|| self.side.flap.ends(half_life));
        let waits = [flap, self.side.dispute_due, self.side.aftermath_due, self.side.symptoms.tell_at];
        waits.into_iter().flatten().min()
    }
}
