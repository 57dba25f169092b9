//! What incidents say to whoever asks why a raise did or did not become one: the newest incident of a
//! fingerprint, whether it takes a raise up, and how near it is to flapping.

use serde::Serialize;

use crate::engine::moment::{Moment, Stamp};
use crate::engine::record::{Priority, Severity, State};

use super::{Incidents, flapping};

/// The newest incident of a rule on an instance, while it is held.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Newest {
    /// Its id.
    pub id: String,
    /// Its readable number.
    pub number: String,
    /// Its state.
    pub state: State,
    /// Its priority.
    pub priority: Priority,
    /// Its severity.
    pub severity: Severity,
    /// When it was raised.
    pub raised_at: Stamp,
    /// When it was resolved last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved_at: Option<Stamp>,
    /// Until when a raise reopens it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reopens_until: Option<Stamp>,
    /// People ended it while its condition holds on.
    pub dismissed: bool,
    /// Flapping holds it open.
    pub flapping: bool,
    /// Its count of transitions, decayed until now.
    pub flap_count: f64,
    /// The count at which flapping starts.
    pub flapping_from: f64,
    /// When flapping ends if nothing happens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flapping_until: Option<Stamp>,
}

impl Incidents {
    /// The newest incident of a fingerprint, while it is held.
    pub(in crate::engine) fn newest_for(&self, now: Moment, print: &str) -> Option<Newest> {
        let held = self.newest.get(print).and_then(|id| self.held.get(id))?;
        let (record, half_life) = (&held.record, self.plan.correlate.flap_half_life);
        let reopens = (record.state == State::Resolved)
            .then(|| record.resolved_at.map(|at| at.plus(held.side.reopen)))
            .flatten();
        let ends = record.flapping.then(|| now.stamp_of(held.side.flap.ends(half_life)));
        Some(Newest {
            id: record.id.clone(),
            number: record.number.clone(),
            state: record.state,
            priority: record.priority,
            severity: record.severity,
            raised_at: record.raised_at,
            resolved_at: record.resolved_at,
            reopens_until: reopens.filter(|until| *until >= now.stamp()),
            dismissed: held.side.raised && !record.state.is_open(),
            flapping: record.flapping,
            flap_count: held.side.flap.count_at(now.mono, half_life),
            flapping_from: flapping::START,
            flapping_until: ends,
        })
    }

    /// The incidents whose id or number begins so, while they are held; a number may come without its zeros.
    pub fn beginning(&self, text: &str) -> Vec<&crate::engine::record::Incident> {
        let text = text.trim().to_ascii_lowercase();
        let short = |number: &str| {
            let digits = number.trim_start_matches(|c: char| !c.is_ascii_digit()).trim_start_matches('0');
            let wanted = text.strip_prefix("inc").unwrap_or(&text).trim_start_matches('0');
            !wanted.is_empty() && digits == wanted
        };
        if let Some(one) = self.incident(&text) {
            return vec![one];
        }
        let begins = |i: &&crate::engine::record::Incident| {
            i.number.to_ascii_lowercase() == text || (text.len() >= 4 && i.id.starts_with(&text))
        };
        let all: Vec<_> = self.incidents().filter(begins).collect();
        if all.is_empty() { self.incidents().filter(|i| short(&i.number)).collect() } else { all }
    }
}
