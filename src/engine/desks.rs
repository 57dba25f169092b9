//! What people did at a destination, told apart from what we wrote there and from what it lost.
//!
//! For each destination the last reading of a record is kept. Only a *change* since that reading counts as a
//! decision of people: a standing difference between two destinations moves nothing, so that they cannot play
//! ping-pong, and the last decision to be read wins. A stage that shows what the record itself had come to is
//! our own write. A far end whose own clock says that nothing has changed, or that has gone back, while our
//! write is not to be seen has lost it. docs/decisions/0009 has the reasons.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::effect::{Remote, Stage};
use super::moment::{DAY, HOUR, Stamp};

/// The hours of the night in which clocks on walls are put back, by an hour at most; all of them are within
/// this time of midnight (Chile at 24:00, Europe at 03:00).
const NIGHT: (i64, i64) = (-HOUR, 4 * HOUR);

/// The last reading of a record at one destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    /// The record's revision from which on a change of its state is one that the reading did not show.
    rev: u64,
    stage: Stage,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    assignee: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    updated: Option<Stamp>,
    #[serde(default)]
    known_error: bool,
    /// Our lost write has been sent again; once is enough.
    #[serde(default)]
    repaired: bool,
}

/// The last reading of a record at each destination that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Desks(BTreeMap<String, Seen>);

/// What a reading means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing has changed there.
    Same,
    /// Nobody decided anything, but it reads otherwise than last time.
    Noted,
    /// People decided something.
    Decided(Decision),
    /// Our writes after this revision are lost there.
    Lost(u64),
}

/// What people decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Decision {
    /// Where it stands.
    pub stage: bool,
    /// Who works on it.
    pub assignee: bool,
    /// The cause is known now.
    pub known_error: bool,
}

impl Desks {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Judges a reading and keeps it. `moved_since`: the record's own state has changed after that revision.
    /// `shows`: the reading is how the record's present state looks at some destination.
    pub fn judge(
        &mut self,
        destination: &str,
        remote: &Remote,
        moved_since: impl Fn(u64) -> bool,
        shows: bool,
    ) -> Verdict {
        let before = self.0.get(destination);
        let ours = before.is_none_or(|seen| moved_since(seen.rev));
        let moved = match before {
            Some(seen) if !ours => seen.stage != remote.stage,
            _ => !shows,
        };
        let age = match (before.and_then(|seen| seen.updated), remote.updated) {
            // Whatever it was, something has changed there: to follow a person too often is mended by the
            // next reading, and to overwrite one is not.
            (Some(then), Some(now)) if remote.wall && is_hour_shown_twice(then, now) => Ordering::Greater,
            (Some(then), Some(now)) => now.cmp(&then),
            _ => Ordering::Greater,
        };
        let untouched = age == Ordering::Less || (age == Ordering::Equal && ours);
        let repaired = before.is_some_and(|seen| seen.repaired);
        let lost = (untouched && !shows && !repaired).then(|| before.map_or(0, |seen| seen.rev));
        let decision = Decision {
            stage: moved,
            assignee: before.map_or(remote.assignee.is_some(), |seen| seen.assignee != remote.assignee),
            known_error: remote.known_error && before.is_none_or(|seen| !seen.known_error),
        };
        let repaired = lost.is_some() || (repaired && untouched && !shows);
        let now = Seen {
            // After a repair whatever the record has come to is our own write.
            rev: if repaired { 0 } else { remote.rev },
            stage: remote.stage,
            assignee: remote.assignee.clone(),
            updated: remote.updated,
            known_error: remote.known_error,
            repaired,
        };
        let alike = |seen: &Seen| Seen { rev: now.rev, ..seen.clone() } == now;
        let same = before.is_some_and(alike) && (!ours || repaired);
        if same && lost.is_none() {
            return Verdict::Same;
        }
        self.0.insert(destination.to_owned(), now);
        match lost {
            Some(rev) => Verdict::Lost(rev.min(remote.rev.saturating_sub(1)).max(1)),
            None if untouched || decision == Decision::default() => Verdict::Noted,
            None => Verdict::Decided(decision),
        }
    }

    /// What was decided there has become that revision.
    pub fn followed(&mut self, destination: &str, rev: u64) {
        if let Some(seen) = self.0.get_mut(destination) {
            seen.rev = rev;
        }
    }

    /// The ticket is gone: the next one is read afresh.
    pub fn forget(&mut self, destination: &str) -> bool {
        self.0.remove(destination).is_some()
    }
}

/// A clock on a wall may have been put back between the two: it shows less, by an hour at most, at night.
fn is_hour_shown_twice(then: Stamp, now: Stamp) -> bool {
    let into_the_day = |at: Stamp| (at.0 - NIGHT.0).rem_euclid(DAY) + NIGHT.0;
    let at_night = |at: Stamp| into_the_day(at) < NIGHT.1;
    now < then && then.0 - now.0 <= HOUR && at_night(then) && at_night(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(rev: u64, stage: Stage, updated: i64) -> Remote {
        Remote {
            record: "i".to_owned(),
            rev,
            stage,
            assignee: None,
            by: None,
            note: None,
            updated: (updated > 0).then_some(Stamp(updated)),
            wall: false,
            known_error: false,
        }
    }

    fn decided() -> Verdict {
        Verdict::Decided(Decision { stage: true, ..Decision::default() })
    }

    /// One reading after another: (revision, stage, time of the last change, the record's state changed at
    /// that revision, the stage shows the record's state) and the verdict.
    fn play(readings: &[(u64, Stage, i64, u64, bool, Verdict)]) {
        let mut desks = Desks::default();
        for (n, (rev, stage, updated, moved, shows, verdict)) in readings.iter().enumerate() {
            let said = desks.judge("a", &remote(*rev, *stage, *updated), |since| *moved > since, *shows);
            assert_eq!(said, *verdict, "reading {n}");
        }
    }

    use Stage::{InProgress, New, Resolved};

    #[test]
    fn an_hour_that_a_clock_on_the_wall_shows_twice_loses_nobodys_decision() {
        let at = |text: &str| text.parse::<Stamp>().unwrap();
        let lost = Verdict::Lost(1);
        for (then, now, wall, verdict) in [
            // The last Sunday of October: 02:50, then 02:10 again.
            ("2026-10-25T02:50:00Z", "2026-10-25T02:10:00Z", true, decided()),
            ("2026-11-01T01:59:59Z", "2026-11-01T01:00:00Z", true, decided()),
            // Across midnight.
            ("2026-04-05T00:00:00Z", "2026-04-04T23:00:01Z", true, decided()),
            // A clock that is told with its zone never does that.
            ("2026-10-25T02:50:00Z", "2026-10-25T02:10:00Z", false, lost),
            // Neither by day, nor by more than an hour.
            ("2026-10-25T14:50:00Z", "2026-10-25T14:10:00Z", true, lost),
            ("2026-10-25T03:50:00Z", "2026-10-25T02:10:00Z", true, lost),
            ("2026-10-25T03:10:00Z", "2026-10-24T02:50:00Z", true, lost),
        ] {
            let mut desks = Desks::default();
            let mut read = |stage, time: &str, shows| {
                let remote = Remote { wall, ..remote(2, stage, at(time).0) };
                desks.judge("a", &remote, |since| 1 > since, shows)
            };
            assert_eq!(read(Resolved, then, true), Verdict::Noted, "{then}");
            assert_eq!(read(InProgress, now, false), verdict, "{then} {now}");
        }
    }

    #[test]
    fn a_change_is_a_decision_once() {
        play(&[
            (1, New, 0, 1, true, Verdict::Noted),
            (1, New, 0, 1, true, Verdict::Same),
            (1, InProgress, 0, 1, false, decided()),
            (1, InProgress, 0, 1, false, Verdict::Same),
        ]);
        play(&[(1, InProgress, 0, 1, false, decided())]);
    }

    #[test]
    fn our_own_write_is_none_and_a_standing_difference_moves_nothing() {
        play(&[
            (1, New, 5, 1, true, Verdict::Noted),
            (2, Resolved, 7, 2, true, Verdict::Noted),
            (2, InProgress, 9, 2, false, decided()),
            // Another destination has decided otherwise since, and our write there shows.
            (4, Resolved, 11, 4, true, Verdict::Noted),
            (5, Resolved, 11, 4, false, Verdict::Same),
        ]);
    }

    #[test]
    fn what_a_restored_backup_lost_is_sent_again_once() {
        let lost = Verdict::Lost(2);
        play(&[
            (2, InProgress, 5, 1, true, Verdict::Noted),
            (3, Resolved, 8, 3, true, Verdict::Noted),
            // Back to a time before our resolve.
            (3, InProgress, 5, 3, false, lost),
            (3, InProgress, 5, 3, false, Verdict::Same),
            // Sent again, and there.
            (3, Resolved, 12, 3, true, Verdict::Noted),
            (3, InProgress, 13, 3, false, decided()),
        ]);
        // Nothing has changed there since the last reading, though we resolved it in between.
        play(&[(2, InProgress, 5, 1, true, Verdict::Noted), (3, InProgress, 5, 3, false, lost)]);
        // A far end that tells no times cannot be told apart from its people.
        play(&[(2, InProgress, 0, 1, true, Verdict::Noted), (3, InProgress, 0, 3, false, decided())]);
    }

    #[test]
    fn an_assignee_is_news_when_it_is_another_one() {
        let mut desks = Desks::default();
        let of =
            |who: &str| Remote { assignee: (!who.is_empty()).then(|| who.to_owned()), ..remote(1, New, 0) };
        let assigned = Verdict::Decided(Decision { assignee: true, ..Decision::default() });
        for (who, verdict) in [
            ("", Verdict::Noted),
            ("ada", assigned),
            ("ada", Verdict::Same),
            ("bob", assigned),
            ("", assigned),
        ] {
            assert_eq!(desks.judge("a", &of(who), |_| false, true), verdict, "{who:?}");
        }
    }
}
