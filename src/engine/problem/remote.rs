//! Follows what people do to a problem at a destination: accepted, known error, resolved, closed, dismissed,
//! reopened.

use crate::engine::desks::Verdict;
use crate::engine::effect::{Remote, Stage};
use crate::engine::moment::{DAY, Moment};
use crate::engine::record::{Actor, Problem, ProblemState};

use super::{Live, Problems, note};

/// A dismissed problem stays quiet for so long, unless its severity rises.
pub(super) const MUTED: i64 = 30 * DAY;
/// Kinds of timeline entries that tell a change of state.
const MOVES: [&str; 9] = [
    "opened",
    "expired",
    "accepted",
    "known_error",
    "resolved",
    "closed",
    "dismissed",
    "reopened",
    "unmuted",
];

/// What became of a reading.
pub(in crate::engine) enum Read {
    /// There is no such problem.
    Unknown,
    /// Nothing is to be done or kept.
    Nothing,
    /// Kept, without a revision.
    Kept,
    /// It is a new revision.
    Followed,
    /// Our writes after that revision are lost there.
    Lost(u64, Box<Problem>),
}

impl Problems {
    /// Takes a reading of a problem at a destination; see [`Read`].
    pub fn remote(&mut self, now: Moment, destination: &str, remote: &Remote) -> Read {
        let Some((key, live)) = self.live.iter_mut().find(|(_, live)| live.record.id == remote.record) else {
            return Read::Unknown;
        };
        if live.record.rev != remote.rev {
            return Read::Nothing;
        }
        let key = key.clone();
        let record = &live.record;
        let moves = |kind: &str| MOVES.contains(&kind);
        let moved = |since: u64| record.timeline.iter().any(|e| e.rev > since && moves(&e.kind));
        let verdict = live.desks.judge(destination, remote, moved, shows(record.state, remote.stage));
        self.kept.insert(key.clone());
        let decision = match verdict {
            Verdict::Same => {
                self.kept.remove(&key);
                return Read::Nothing;
            }
            Verdict::Noted => return Read::Kept,
            Verdict::Lost(rev) => return Read::Lost(rev, Box::new(live.record.clone())),
            Verdict::Decided(decision) => decision,
        };
        let to = decision.stage.then(|| target(live.record.state, remote.stage)).flatten();
        let to = match to {
            None if decision.known_error && is_live(live.record.state) => Some(ProblemState::KnownError),
            Some(ProblemState::Open) if remote.known_error => Some(ProblemState::KnownError),
            to => to,
        };
        let Some(to) = to.filter(|to| *to != live.record.state) else { return Read::Kept };
        live.enter(now, to, &said(to, live.record.state, destination, remote));
        let next = live.record.rev + 1;
        live.desks.followed(destination, next);
        self.revised.insert(key);
        Read::Followed
    }

    /// The ticket of a problem is gone; returns the record when it is to be made anew.
    pub fn gone(&mut self, destination: &str, id: &str, rev: u64) -> Option<Problem> {
        let (key, live) = self.live.iter_mut().find(|(_, live)| live.record.id == id)?;
        if live.record.rev != rev {
            return None;
        }
        live.desks.forget(destination);
        self.kept.insert(key.clone());
        is_live(live.record.state).then(|| live.record.clone())
    }
}

impl Live {
    fn enter(&mut self, now: Moment, to: ProblemState, said: &str) {
        let kind = match to {
            ProblemState::Open if !is_live(self.record.state) => "reopened",
            ProblemState::Candidate | ProblemState::Open => "accepted",
            ProblemState::KnownError | ProblemState::FixPending => "known_error",
            ProblemState::Resolved => "resolved",
            ProblemState::Closed => "closed",
            ProblemState::Dismissed | ProblemState::Expired => "dismissed",
        };
        self.record.state = to;
        note(&mut self.record, now.stamp(), Actor::Itsm, kind, said.to_owned());
    }
}

/// Somebody may still work on it.
pub(in crate::engine) fn is_live(state: ProblemState) -> bool {
    use ProblemState::{Candidate, FixPending, KnownError, Open};
    matches!(state, Candidate | Open | KnownError | FixPending)
}

/// Where a stage leads; `None`: nowhere else.
fn target(state: ProblemState, stage: Stage) -> Option<ProblemState> {
    match stage {
        Stage::Resolved => (state != ProblemState::Closed).then_some(ProblemState::Resolved),
        Stage::Closed => Some(ProblemState::Closed),
        Stage::Cancelled => Some(ProblemState::Dismissed),
        Stage::New if is_live(state) => None,
        Stage::New | Stage::Acknowledged | Stage::InProgress | Stage::OnHold => match state {
            ProblemState::KnownError | ProblemState::FixPending => None,
            _ => Some(ProblemState::Open),
        },
    }
}

/// How a problem's state may look at some desk.
fn shows(state: ProblemState, stage: Stage) -> bool {
    match state {
        ProblemState::Candidate => stage == Stage::New,
        state if is_live(state) => stage.is_open(),
        _ => !stage.is_open(),
    }
}

fn said(to: ProblemState, from: ProblemState, destination: &str, remote: &Remote) -> String {
    let what = match to {
        ProblemState::Open if !is_live(from) => "reopened",
        ProblemState::Open | ProblemState::Candidate => "accepted as a problem",
        ProblemState::KnownError | ProblemState::FixPending => "known error",
        ProblemState::Resolved => "resolved",
        ProblemState::Closed => "closed",
        ProblemState::Dismissed | ProblemState::Expired => "dismissed",
    };
    let by = remote.by.as_deref().filter(|by| !by.is_empty()).map_or(String::new(), |by| format!(" by {by}"));
    let note = remote.note.as_deref().filter(|n| !n.trim().is_empty());
    let note = note.map_or(String::new(), |note| format!(": {}", note.trim()));
    format!("{what} at {destination}{by}{note}")
}
