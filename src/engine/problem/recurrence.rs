//! How often one condition has come back: step 5a, recurrence.
//!
//! An opening is a raise at least `failure_gap` after the last clear, whether its incident was reopened or
//! not: reopening never hides a repeat, and a quick return is the same failure. At most 32 openings are kept
//! per fingerprint; what is dropped lives on in sums. Times are wall stamps, because they are printed and
//! saved.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::engine::id::Uuid;
use crate::engine::moment::{DAY, SECOND, Stamp};
use crate::engine::record::Priority;

/// Openings kept per fingerprint.
pub(in crate::engine) const OPENINGS_MAX: usize = 32;

/// The tests: so many openings within (now − window, now], and the window in words.
pub(super) const TESTS: [(usize, i64, &str); 3] =
    [(3, DAY, "24 h"), (4, 7 * DAY, "7 d"), (5, 30 * DAY, "30 d")];

/// One opening: from the breach to the last clear before the next opening.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Opening {
    pub raised: Stamp,
    pub breach: Stamp,
    /// The last clear; none while it lasts.
    pub restored: Option<Stamp>,
    /// Start of the present stretch of trouble.
    since: Stamp,
    /// Trouble of the stretches that are over, in nanoseconds.
    trouble: i64,
    pub incident: Uuid,
    pub number: u64,
    pub priority: Priority,
}

impl Opening {
    /// Trouble up to `now`, in nanoseconds.
    pub fn trouble(&self, now: Stamp) -> i64 {
        let running = if self.restored.is_none() { (now.0 - self.since.0).max(0) } else { 0 };
        self.trouble + running
    }

    /// Open minutes weighted by priority.
    fn pain(&self, now: Stamp) -> f64 {
        let weight = match self.priority {
            Priority::P1 => 81.0,
            Priority::P2 => 27.0,
            Priority::P3 => 9.0,
            Priority::P4 => 3.0,
            Priority::P5 => 1.0,
        };
        self.trouble(now) as f64 / (60 * SECOND) as f64 * weight
    }
}

/// A raise as the ring sees it.
pub(super) struct Raise {
    pub raised: Stamp,
    pub breach: Stamp,
    pub incident: Uuid,
    pub number: u64,
    pub priority: Priority,
}

/// The openings of one fingerprint; one state row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Recurrence {
    /// Oldest first.
    pub openings: Vec<Opening>,
    /// What was counted in openings that are no longer kept.
    pub dropped: u64,
    dropped_trouble: i64,
    dropped_pain: f64,
}

/// The figures of a recurrence at a moment, times in seconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Figures {
    pub median_gap: Option<f64>,
    pub mtbf: Option<f64>,
    pub mttr: Option<f64>,
    pub downtime: f64,
    pub pain: f64,
}

impl Recurrence {
    /// Takes a raise; true when it is an opening. Without a problem to serve, openings older than the longest
    /// window go.
    pub fn raise(&mut self, raise: Raise, failure_gap: i64, serves: bool) -> bool {
        if let Some(last) = self.openings.last_mut() {
            let same = match last.restored {
                Some(at) => raise.breach.0 - at.0 < failure_gap,
                None => last.incident == raise.incident,
            };
            if same {
                if last.restored.take().is_some() {
                    last.since = raise.breach;
                }
                last.priority = last.priority.min(raise.priority);
                return false;
            }
        }
        if !serves {
            let horizon = raise.raised.plus(-TESTS[TESTS.len() - 1].1);
            self.openings.retain(|o| o.raised > horizon);
            (self.dropped, self.dropped_trouble, self.dropped_pain) = (0, 0, 0.0);
        }
        let Raise { raised, breach, incident, number, priority } = raise;
        let opening =
            Opening { raised, breach, restored: None, since: breach, trouble: 0, incident, number, priority };
        self.openings.push(opening);
        if self.openings.len() > OPENINGS_MAX {
            let oldest = self.openings.remove(0);
            self.dropped += 1;
            self.dropped_trouble += oldest.trouble(raised);
            self.dropped_pain += oldest.pain(raised);
        }
        true
    }

    /// The condition ended at `at`.
    pub fn clear(&mut self, at: Stamp) {
        if let Some(last) = self.openings.last_mut()
            && last.restored.is_none()
        {
            last.trouble += (at.0 - last.since.0).max(0);
            last.restored = Some(at.max(last.since));
        }
    }

    /// Openings within (now − window, now]; `now` is the last opening's raise.
    pub fn within(&self, window: i64) -> usize {
        let Some(last) = self.openings.last() else { return 0 };
        self.openings.iter().filter(|o| o.raised > last.raised.plus(-window)).count()
    }

    /// The tests that hold: (openings, needed, window, window in words). A wider window that counts nothing
    /// more says nothing more and is left out.
    pub fn holds(&self) -> Vec<(usize, usize, i64, &'static str)> {
        let counted =
            TESTS.iter().map(|(least, window, name)| (self.within(*window), *least, *window, *name));
        let mut holding: Vec<_> = counted.filter(|(count, least, ..)| count >= least).collect();
        holding.dedup_by_key(|(count, ..)| *count);
        holding
    }

    /// All openings since the first that counts.
    pub fn total(&self) -> u64 {
        self.dropped + self.openings.len() as u64
    }

    /// Mean distance between openings in nanoseconds.
    pub fn mean_gap(&self) -> Option<i64> {
        let gaps = i64::try_from(self.openings.len()).ok()? - 1;
        let span = self.openings.last()?.raised.0 - self.openings.first()?.raised.0;
        (gaps > 0).then(|| span / gaps)
    }

    /// MTBF = mean(next breach − restored), MTTR = mean trouble of the openings that are over.
    pub fn figures(&self, now: Stamp) -> Figures {
        let seconds = |ns: i64| ns as f64 / SECOND as f64;
        let pairs = || self.openings.iter().zip(self.openings.iter().skip(1));
        let gaps = pairs().map(|(a, b)| seconds(b.raised.0 - a.raised.0)).collect();
        let between: Vec<f64> =
            pairs().filter_map(|(a, b)| a.restored.map(|r| seconds((b.breach.0 - r.0).max(0)))).collect();
        let over = self.openings.iter().filter(|o| o.restored.is_some());
        let repairs: Vec<f64> = over.map(|o| seconds(o.trouble(now))).collect();
        let trouble: i64 = self.openings.iter().map(|o| o.trouble(now)).sum();
        let pain: f64 = self.openings.iter().map(|o| o.pain(now)).sum();
        Figures {
            median_gap: median(gaps),
            mtbf: mean(&between),
            mttr: mean(&repairs),
            downtime: seconds(self.dropped_trouble + trouble),
            pain: self.dropped_pain + pain,
        }
    }
}

/// Makes room for one more: the fingerprint whose last opening is oldest goes, those with a problem last.
pub(super) fn evict(all: &mut BTreeMap<String, Recurrence>, serves: impl Fn(&str) -> bool) -> Option<String> {
    let age = |r: &Recurrence| r.openings.last().map(|o| o.raised);
    let oldest = all.iter().min_by_key(|(print, r)| (serves(print), age(r))).map(|(print, _)| print.clone());
    oldest.inspect(|print| {
        all.remove(print);
    })
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().checked_sub(1)? / 2, values.len() / 2);
    Some(f64::midpoint(values[low], values[high]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::id::Generator;
    use crate::engine::moment::{HOUR, MINUTE};

    const GAP: i64 = 10 * MINUTE;

    fn raise(at: i64, number: u64) -> Raise {
        let incident = Uuid::v7(0, &mut Generator::new(number));
        Raise { raised: Stamp(at), breach: Stamp(at), incident, number, priority: Priority::P3 }
    }

    /// Opens at each of the times for one minute.
    fn ring(times: &[i64]) -> Recurrence {
        let mut ring = Recurrence::default();
        for (n, at) in times.iter().enumerate() {
            assert!(ring.raise(raise(*at, n as u64), GAP, true), "raise at {at} opens");
            ring.clear(Stamp(at + MINUTE));
        }
        ring
    }

    #[test]
    fn a_raise_opens_from_the_failure_gap_on() {
        for (quiet, opens) in [(0, false), (GAP - 1, false), (GAP, true), (GAP + 1, true)] {
            let mut ring = ring(&[0]);
            assert_eq!(
                ring.raise(raise(MINUTE + quiet, 0), GAP, true),
                opens,
                "same incident, quiet {quiet}"
            );
            let total = if opens { 2 } else { 1 };
            assert_eq!(ring.total(), total);
        }
    }

    #[test]
    fn thresholds_hold_exactly_at_their_edges() {
        let day = DAY;
        let cases: &[(&[i64], &[usize])] = &[
            (&[0, day / 2], &[]),
            (&[0, day / 2, day], &[]),
            (&[1, day / 2, day], &[3]),
            (&[0, day / 2, day - 1], &[3]),
            (&[0, 3 * day, 5 * day, 7 * day], &[]),
            (&[1, 3 * day, 5 * day, 7 * day], &[4]),
            (&[0, 8 * day, 16 * day, 24 * day, 30 * day], &[]),
            (&[1, 8 * day, 16 * day, 24 * day, 30 * day], &[5]),
            (&[0, HOUR, 2 * HOUR, 3 * HOUR, 4 * HOUR], &[3]),
            (&[0, 2 * day, 2 * day + HOUR, 2 * day + 2 * HOUR], &[3, 4]),
        ];
        for (times, least) in cases {
            let held: Vec<usize> = ring(times).holds().iter().map(|(_, least, ..)| *least).collect();
            assert_eq!(held, *least, "{times:?}");
        }
    }

    #[test]
    fn figures_by_hand() {
        // Down 1 min each; up 9, 29 and 19 min between; the fourth opening is 2 min old.
        let mut ring = ring(&[0, 10 * MINUTE, 40 * MINUTE].map(|t| t * 10));
        ring.raise(raise(600 * MINUTE, 9), GAP, true);
        let f = ring.figures(Stamp(602 * MINUTE));
        assert_eq!(f.median_gap, Some(200.0 * 60.0));
        assert_eq!(f.mtbf, Some((99.0 + 299.0 + 199.0) / 3.0 * 60.0));
        assert_eq!(f.mttr, Some(60.0));
        assert_eq!(f.downtime, 5.0 * 60.0);
        assert!((f.pain - 45.0).abs() < 1e-9, "5 open minutes of P3 weigh 9 each: {}", f.pain);
    }

    #[test]
    fn a_quick_return_is_the_same_failure_and_its_quiet_time_is_no_trouble() {
        let mut ring = ring(&[0]);
        assert!(!ring.raise(raise(2 * MINUTE, 0), GAP, true));
        ring.clear(Stamp(5 * MINUTE));
        let f = ring.figures(Stamp(HOUR));
        assert_eq!((f.mttr, f.downtime), (Some(240.0), 240.0));
        assert_eq!(ring.openings[0].restored, Some(Stamp(5 * MINUTE)));
    }

    #[test]
    fn a_lost_clear_does_not_hide_the_next_incident() {
        let mut ring = Recurrence::default();
        assert!(ring.raise(raise(0, 1), GAP, true));
        assert!(!ring.raise(raise(HOUR, 1), GAP, true), "the same incident still lasts");
        assert!(ring.raise(raise(2 * HOUR, 2), GAP, true), "another incident has opened");
    }

    #[test]
    fn the_ring_keeps_32_and_sums_the_rest() {
        let times: Vec<i64> = (0..40).map(|n| n * HOUR).collect();
        let ring = ring(&times);
        assert_eq!((ring.openings.len(), ring.dropped, ring.total()), (OPENINGS_MAX, 8, 40));
        assert_eq!(ring.figures(Stamp(41 * HOUR)).downtime, 40.0 * 60.0);
    }

    #[test]
    fn without_a_problem_old_openings_are_forgotten() {
        let mut ring = ring(&[0, HOUR]);
        assert!(ring.raise(raise(30 * DAY, 5), GAP, false));
        assert_eq!(ring.total(), 2, "the one exactly 30 d old is out of every window");
    }

    #[test]
    fn the_oldest_without_a_problem_is_evicted_first() {
        let mut all: BTreeMap<String, Recurrence> =
            [("a", 0), ("b", HOUR), ("c", 2 * HOUR)].map(|(k, t)| (k.to_owned(), ring(&[t]))).into();
        assert_eq!(evict(&mut all, |print| print == "a"), Some("b".to_owned()));
        assert_eq!(all.len(), 2);
    }
}
