//! What desks of alerts need to know of an incident: whether they were told already that it is over.
//!
//! An alert key outlives an episode. Who says "over" a second time, or too late, may end the alert of the
//! next episode: the outbox gives the operations of one alert key in the order of its episodes
//! ([`Connector::is_by_alert`](super::Connector::is_by_alert)), and an end that is in doubt is only repeated
//! when the first one cannot be under way any more
//! ([`Talk::wait_for_lost`](super::talk::Talk::wait_for_lost)).

use crate::engine::effect::Job;
use crate::engine::moment::{SECOND, Stamp};
use crate::engine::record::Incident;

/// What an alert desk is to be told of an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tell {
    /// It is there, or there again, or there is news of it.
    Firing,
    /// It is over.
    Over,
    /// It came and went before anything could be told.
    Past,
    /// Nothing: the desk knows that it is over.
    Nothing,
}

/// What this operation has to tell.
pub fn tell(job: &Job, incident: &Incident) -> Tell {
    if incident.state.is_open() {
        return Tell::Firing;
    }
    // The body of an operation never changes: an earlier attempt has told the same.
    if job.acked_rev == 0 {
        return Tell::Past;
    }
    let before = incident.timeline.iter().filter(|e| e.rev <= job.acked_rev);
    match before.filter_map(|e| e.to).next_back() {
        Some(state) if !state.is_open() && !came_back(job, incident) => Tell::Nothing,
        _ => Tell::Over,
    }
}

/// It was raised and over once more since the revision that the far end knows.
fn came_back(job: &Job, incident: &Incident) -> bool {
    incident.timeline.iter().any(|e| e.rev > job.acked_rev && e.to.is_some_and(|s| s.is_open()))
}

/// A time as `yyyy-MM-dd HH:mm:ss`, UTC.
pub fn spaced(stamp: Stamp) -> String {
    let whole = Stamp(stamp.0.div_euclid(SECOND).saturating_mul(SECOND));
    whole.to_string().replace('T', " ").trim_end_matches('Z').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::effect::Operation;
    use crate::forward::connector::fixture::{create, later};

    fn told(job: &Job) -> Tell {
        tell(job, &serde_json::from_value(job.body.clone()).unwrap())
    }

    #[test]
    fn an_end_is_told_once() {
        assert_eq!(told(&create()), Tell::Firing);
        assert_eq!(told(&later(Operation::Update, None)), Tell::Firing);
        let mut job = later(Operation::Resolve, Some(("new", "resolved")));
        assert_eq!(told(&job), Tell::Over);
        job.acked_rev = 0;
        assert_eq!(told(&job), Tell::Past);
        (job.rev, job.acked_rev, job.body["state"]) = (3, 2, "closed".into());
        assert_eq!(told(&job), Tell::Nothing, "another episode may use the key by now");
        let again = serde_json::json!([
            {"at": "2026-11-22T11:00:00Z", "rev": 3, "actor": "rule", "kind": "reopened", "to": "new", "note": ""},
            {"at": "2026-11-22T11:01:00Z", "rev": 4, "actor": "rule", "kind": "resolved", "to": "resolved", "note": ""},
        ]);
        job.body["timeline"].as_array_mut().unwrap().extend(again.as_array().unwrap().clone());
        assert_eq!(
            told(&job),
            Tell::Over,
            "it came back in between, which may have been told by nobody else"
        );
    }

    #[test]
    fn times_are_utc_without_saying_so() {
        assert_eq!(spaced("2026-11-22T23:59:59.9+02:00".parse().unwrap()), "2026-11-22 21:59:59");
    }
}
