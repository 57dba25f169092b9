//! Whether a destination may be spoken to: circuit breaker and pause. Pure, time is an argument.
//!
//! ```text
//! up     ── BREAKER failures in a row ──► down    one probe at a time, with backoff
//! any    ── refused as a whole ─────────► paused  one probe every `pause`
//! any    ── an answer that is none of these ──► up
//! ```
//! A `Retry-After` holds everything back without a change of state. One that has not answered yet gets one
//! conversation first, as if it were down.

use std::time::Duration;

use super::pace::{Backoff, Random};
use crate::engine::moment::{MINUTE, Moment, Stamp};

/// Failures in a row that open the circuit.
pub const BREAKER: u32 = 5;
/// How long a refusing destination is left alone, in nanoseconds.
pub const PAUSE: i64 = MINUTE;

/// State of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "explained in the module header")]
pub enum Mode {
    Up,
    Down,
    Paused,
}

impl Mode {
    /// The word in the status.
    pub fn word(self) -> &'static str {
        match self {
            Mode::Up => "up",
            Mode::Down => "down",
            Mode::Paused => "paused",
        }
    }
}

/// What may be begun now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowance {
    /// As much as pace and concurrency allow.
    Full,
    /// One job, to see whether the destination is back.
    Probe,
    /// Nothing before this much time has passed, in nanoseconds; `i64::MAX` while a probe is under way.
    Wait(i64),
}

/// Health of one destination.
#[derive(Debug)]
pub struct Health {
    mode: Mode,
    /// Why it is not up.
    reason: Option<String>,
    since: Stamp,
    failures: u32,
    /// It has answered at least once.
    proven: bool,
    /// Steady time before which nothing is begun.
    gate: i64,
    backoff: Backoff,
    pause: i64,
}

impl Health {
    /// A destination that is taken to be up until it shows otherwise.
    pub fn new(now: Moment, backoff: Backoff, pause: i64) -> Self {
        Self {
            mode: Mode::Up,
            reason: None,
            since: now.stamp(),
            failures: 0,
            proven: false,
            gate: i64::MIN,
            backoff,
            pause,
        }
    }

    /// State, reason, and since when.
    pub fn state(&self) -> (Mode, Option<&str>, Stamp) {
        (self.mode, self.reason.as_deref(), self.since)
    }

    /// What may be begun now, with `flying` conversations under way.
    pub fn allowance(&self, now: Moment, flying: usize) -> Allowance {
        if now.mono < self.gate {
            return Allowance::Wait(self.gate - now.mono);
        }
        match self.mode {
            Mode::Up if self.proven => Allowance::Full,
            _ if flying == 0 => Allowance::Probe,
            _ => Allowance::Wait(i64::MAX),
        }
    }

    /// The steady time before which nothing is begun.
    pub fn gate(&self) -> i64 {
        self.gate
    }

    /// The destination answered. Returns true when its state changed, or is known for the first time. A time
    /// that it named while it was up still holds: the answer may belong to a request that was under way
    /// before.
    pub fn succeeded(&mut self, now: Moment) -> bool {
        self.failures = 0;
        if self.mode != Mode::Up {
            self.gate = i64::MIN;
        }
        let first = !std::mem::replace(&mut self.proven, true);
        self.enter(Mode::Up, None, now) || first
    }

    /// It did not answer, or not now. `after`: it named a time. Returns true when its state changed.
    pub fn failed(
        &mut self,
        now: Moment,
        after: Option<Duration>,
        reason: &str,
        random: &mut Random,
    ) -> bool {
        self.failures = self.failures.saturating_add(1);
        let told = after.map(|d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX));
        if self.failures < BREAKER && self.mode == Mode::Up {
            self.close_gate(now, told.unwrap_or(0));
            return false;
        }
        let wait = self.backoff.wait(self.failures.saturating_sub(BREAKER - 1).max(1), random);
        self.close_gate(now, wait.max(told.unwrap_or(0)));
        self.enter(Mode::Down, Some(reason), now)
    }

    /// It refuses as a whole. Returns true when its state changed.
    pub fn refused(&mut self, now: Moment, reason: &str) -> bool {
        self.close_gate(now, self.pause);
        self.enter(Mode::Paused, Some(reason), now)
    }

    fn close_gate(&mut self, now: Moment, wait: i64) {
        self.gate = self.gate.max(now.mono.saturating_add(wait));
    }

    fn enter(&mut self, mode: Mode, reason: Option<&str>, now: Moment) -> bool {
        let changed = self.mode != mode || self.reason.as_deref() != reason;
        if self.mode != mode {
            self.since = now.stamp();
        }
        (self.mode, self.reason) = (mode, reason.map(str::to_owned));
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::moment::SECOND;

    fn health() -> (Health, Random) {
        (Health::new(Moment::at(0), Backoff::default(), PAUSE), Random::seeded(&["t"]))
    }

    #[test]
    fn the_circuit_opens_at_the_fifth_failure_and_closes_at_the_first_answer() {
        let (mut health, mut random) = health();
        assert_eq!(health.allowance(Moment::at(0), 0), Allowance::Probe, "it has not answered yet");
        assert!(health.succeeded(Moment::at(0)));
        for i in 1..BREAKER {
            assert!(!health.failed(Moment::at(i64::from(i)), None, "no answer", &mut random));
            assert_eq!(health.allowance(Moment::at(i64::from(i)), 3), Allowance::Full, "failure {i}");
        }
        let now = Moment::at(10);
        assert!(health.failed(now, None, "no answer", &mut random), "the fifth changes the state");
        assert_eq!(health.state(), (Mode::Down, Some("no answer"), Stamp(10)));
        let Allowance::Wait(wait) = health.allowance(now, 0) else { panic!("must wait") };
        assert!(wait > 0 && wait <= SECOND);
        let later = now.plus(wait);
        assert_eq!(health.allowance(later, 0), Allowance::Probe);
        assert_eq!(health.allowance(later, 1), Allowance::Wait(i64::MAX), "one probe at a time");
        assert!(!health.failed(later, None, "no answer", &mut random), "still down");
        assert!(health.succeeded(later.plus(1)));
        assert_eq!(health.allowance(later.plus(1), 0), Allowance::Full);
        assert_eq!(health.state().0, Mode::Up);
        assert!(!health.failed(later.plus(2), None, "x", &mut random), "the count began anew");
    }

    #[test]
    fn retry_after_holds_everything_back_without_a_change_of_state() {
        let (mut health, mut random) = health();
        assert!(!health.failed(Moment::at(0), Some(Duration::from_secs(30)), "slow down", &mut random));
        assert_eq!(health.allowance(Moment::at(0), 0), Allowance::Wait(30 * SECOND));
        assert!(!health.failed(Moment::at(5), None, "x", &mut random));
        assert_eq!(health.allowance(Moment::at(5), 0), Allowance::Wait(30 * SECOND - 5), "never shortened");
        assert!(health.succeeded(Moment::at(6)), "the first answer");
        assert!(!health.succeeded(Moment::at(6)));
        assert_eq!(
            health.allowance(Moment::at(6), 0),
            Allowance::Wait(30 * SECOND - 6),
            "nor ended by an answer to an earlier request"
        );
        assert_eq!(health.allowance(Moment::at(30 * SECOND), 7), Allowance::Full);
    }

    #[test]
    fn a_refusal_is_probed_once_a_minute() {
        let (mut health, mut random) = health();
        assert!(health.refused(Moment::at(0), "HTTP 401"));
        assert!(!health.refused(Moment::at(1), "HTTP 401"), "the same again is no news");
        assert_eq!(health.allowance(Moment::at(0), 0), Allowance::Wait(MINUTE + 1));
        assert_eq!(health.allowance(Moment::at(MINUTE + 1), 0), Allowance::Probe);
        assert!(health.refused(Moment::at(MINUTE + 1), "HTTP 403"), "another reason is news");
        assert_eq!(health.state().2, Stamp(0), "but it is paused since the first");
        assert!(health.failed(Moment::at(3 * MINUTE), None, "reset", &mut random), "paused, then not there");
        assert_eq!(health.state().0, Mode::Down);
    }
}
