//! Stretches of time in which a rule was raised, and arithmetic on them.
//!
//! A [`Span`] is half open: raised at `from`, no longer at `to`. It must not know of labels or reports.

use std::collections::BTreeMap;

use serde::Serialize;

use super::play::{Level, Transition};
use crate::engine::moment::Stamp;
use crate::engine::record::Severity;

/// A rule instance was raised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Span {
    /// Rule id.
    pub rule: String,
    /// Instance key.
    pub instance: String,
    /// Since when.
    pub from: Stamp,
    /// Until when; the end of the series if it was still raised then.
    pub to: Stamp,
    /// It ended before the series did.
    pub ended: bool,
    /// The highest severity it had.
    pub severity: Severity,
}

impl Span {
    /// How long, in ns.
    pub fn length(&self) -> i64 {
        self.to.0 - self.from.0
    }
}

/// The stretches behind transitions, in the order of their starts. What is still raised ends at `end`.
pub fn spans(transitions: &[Transition], end: i64) -> Vec<Span> {
    let mut open: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut all: Vec<Span> = Vec::new();
    for t in transitions {
        let key = (t.rule.as_str(), t.instance.as_str());
        match (t.to, open.get(&key).copied()) {
            (Level::Raised(severity), Some(at)) => all[at].severity = all[at].severity.max(severity),
            (Level::Raised(severity), None) => {
                open.insert(key, all.len());
                let (rule, instance, from, to) =
                    (t.rule.clone(), t.instance.clone(), t.at, Stamp(end.max(t.at.0)));
                all.push(Span { rule, instance, from, to, ended: false, severity });
            }
            (Level::Ok, Some(at)) => {
                open.remove(&key);
                (all[at].to, all[at].ended) = (t.at, true);
            }
            (Level::Ok, None) => {}
        }
    }
    all
}

/// Joins stretches `(from, to)` that overlap or touch.
pub fn union(mut all: Vec<(i64, i64)>) -> Vec<(i64, i64)> {
    all.retain(|(from, to)| to > from);
    all.sort_unstable();
    let mut joined: Vec<(i64, i64)> = Vec::with_capacity(all.len());
    for (from, to) in all {
        match joined.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => joined.push((from, to)),
        }
    }
    joined
}

/// How much of `(from, to)` lies within stretches made by [`union`].
pub fn covered((from, to): (i64, i64), by: &[(i64, i64)]) -> i64 {
    let first = by.partition_point(|(_, end)| *end <= from);
    let inside = by[first..].iter().take_while(|(start, _)| *start < to);
    inside.map(|(start, end)| (*end).min(to) - (*start).max(from)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transitions_become_stretches() {
        let turn = |at: i64, instance: &str, to: Level| Transition {
            at: Stamp(at),
            rule: "r".into(),
            instance: instance.into(),
            from: Level::Ok,
            to,
            priority: None,
            why: String::new(),
        };
        let (warning, critical) = (Level::Raised(Severity::Warning), Level::Raised(Severity::Critical));
        let all = spans(
            &[turn(1, "a", warning), turn(2, "b", warning), turn(3, "a", critical), turn(5, "a", Level::Ok)],
            9,
        );
        let seen: Vec<_> =
            all.iter().map(|s| (s.instance.as_str(), s.from.0, s.to.0, s.ended, s.severity)).collect();
        let (w, c) = (Severity::Warning, Severity::Critical);
        assert_eq!(seen, [("a", 1, 5, true, c), ("b", 2, 9, false, w)]);
    }

    #[test]
    fn overlap_is_counted_once() {
        let joined = union(vec![(5, 9), (1, 3), (3, 4), (8, 12), (20, 20)]);
        assert_eq!(joined, [(1, 4), (5, 12)]);
        for (stretch, inside) in [((0, 30), 10), ((2, 6), 3), ((4, 5), 0), ((12, 20), 0), ((6, 7), 1)] {
            assert_eq!(covered(stretch, &joined), inside, "{stretch:?}");
        }
    }
}
