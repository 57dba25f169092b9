//! The flap counter: c ← c·2^(−Δt/τ) + 1 per transition between raised and ok.
//!
//! Flapping starts at c ≥ 6 and ends when c has decayed below 1. The decay needs no events, so that the end
//! has a known time, τ·log₂ c after the last transition; [`Flap::ends`] is the only judge of it.

use serde::{Deserialize, Serialize};

/// The count at which flapping starts.
pub(in crate::engine) const START: f64 = 6.0;

/// A transition that finds c below this begins a new bout: one transition, decayed over a half-life. Only
/// words depend on it.
const QUIET: f64 = 0.5;

/// Recent transitions of one fingerprint. Times are steady nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct Flap {
    /// c just after the last transition.
    count: f64,
    /// The last transition.
    last: i64,
    /// The first transition of this bout.
    first: i64,
    /// Transitions since then.
    transitions: u64,
}

impl Flap {
    /// Counts a transition; `tau` is the half-life.
    pub fn bump(&mut self, now: i64, tau: i64) {
        let rest = self.rest(now, tau);
        if rest < QUIET {
            (self.first, self.transitions) = (now, 0);
        }
        self.count = rest + 1.0;
        self.last = now;
        self.transitions += 1;
    }

    /// Moves to `now` what lies after it, because the clock was set back.
    pub fn rewind(&mut self, now: i64) {
        let ahead = self.last.saturating_sub(now).max(0);
        (self.last, self.first) = (self.last.saturating_sub(ahead), self.first.saturating_sub(ahead));
    }

    /// True while c is 6 or more: flapping starts.
    pub fn starts(&self, now: i64, tau: i64) -> bool {
        self.rest(now, tau) >= START
    }

    /// When c falls below 1, provided that nothing happens until then.
    pub fn ends(&self, tau: i64) -> i64 {
        let wait = (tau.max(0) as f64 * self.count.max(1.0).log2()).ceil();
        self.last.saturating_add(wait as i64).saturating_add(1)
    }

    /// c as it has decayed until `now`.
    pub fn count_at(&self, now: i64, tau: i64) -> f64 {
        self.rest(now, tau)
    }

    /// Transitions of this bout, and how long it has lasted.
    pub fn bout(&self) -> (u64, i64) {
        (self.transitions, self.last.saturating_sub(self.first))
    }

    fn rest(&self, now: i64, tau: i64) -> f64 {
        let elapsed = now.saturating_sub(self.last).max(0) as f64;
        self.count * (-elapsed / tau.max(1) as f64).exp2()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::moment::MINUTE;

    #[test]
    fn starts_at_six_and_ends_below_one() {
        let tau = 15 * MINUTE;
        let mut flap = Flap::default();
        for n in 1..=6 {
            assert!(!flap.starts(1000, tau), "before transition {n}");
            flap.bump(1000, tau);
        }
        assert!(flap.starts(1000, tau) && !flap.starts(1000 + MINUTE, tau));
        let ends = flap.ends(tau);
        assert!(flap.rest(ends, tau) < 1.0 && flap.rest(ends - 1_000, tau) >= 1.0);
        assert_eq!((ends - 1000) / MINUTE, 38, "15 min · log2 6 = 38.8 min");
    }

    #[test]
    fn slow_transitions_never_flap() {
        let mut flap = Flap::default();
        for n in 0..1_000 {
            flap.bump(n * 15 * MINUTE, 15 * MINUTE);
            assert!(
                !flap.starts(n * 15 * MINUTE, 15 * MINUTE),
                "c tends to 2 when transitions are one half-life apart"
            );
        }
    }

    #[test]
    fn a_bout_begins_anew_after_quiet() {
        let mut flap = Flap::default();
        flap.bump(0, MINUTE);
        flap.bump(MINUTE / 2, MINUTE);
        flap.bump(MINUTE, MINUTE);
        assert_eq!(flap.bout(), (3, MINUTE));
        flap.bump(100 * MINUTE, MINUTE);
        assert_eq!(flap.bout(), (1, 0));
    }
}
