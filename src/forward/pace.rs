//! How fast a destination is served, and how long to wait after a failure.
//!
//! The pace is GCRA by governor on our own steady clock; nothing here sleeps. Jitter comes from a seeded
//! generator, so that a run can be repeated and a fleet does not knock in step.

use std::num::NonZeroU32;
use std::ops::Add;
use std::time::Duration;

use governor::clock::{Clock as GovernorClock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::engine::moment::SECOND;

/// The largest pace that is still limited, per second; above it there is no limit.
pub const MOST_PER_SECOND: f64 = 1_000_000.0;

/// A steady time in nanoseconds, as governor wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Steady(pub u64);

impl Add<Nanos> for Steady {
    type Output = Self;

    fn add(self, other: Nanos) -> Self {
        Self(self.0.saturating_add(other.as_u64()))
    }
}

impl Reference for Steady {
    fn duration_since(&self, earlier: Self) -> Nanos {
        self.0.saturating_sub(earlier.0).into()
    }

    fn saturating_sub(&self, duration: Nanos) -> Self {
        Self(self.0.checked_sub(duration.as_u64()).unwrap_or(self.0))
    }
}

impl GovernorClock for crate::clock::Clock {
    type Instant = Steady;

    fn now(&self) -> Steady {
        Steady(u64::try_from(crate::clock::Clock::now(self).mono).unwrap_or(0))
    }
}

type Limiter<C> = RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<<C as GovernorClock>::Instant>>;

/// Operations per second at most.
pub struct Pace<C: GovernorClock> {
    limiter: Option<Limiter<C>>,
    clock: C,
    /// Permits taken and not used; they are used first.
    left: usize,
}

impl<C: GovernorClock + Clone> Pace<C> {
    /// `per_second` operations, with bursts of one second's worth; 0 or less is no limit.
    pub fn new(per_second: f64, clock: C) -> Self {
        let limited = per_second > 0.0 && per_second <= MOST_PER_SECOND;
        let quota = limited.then(|| {
            let burst = NonZeroU32::new(per_second.ceil() as u32).unwrap_or(NonZeroU32::MIN);
            let period = Duration::from_secs_f64((1.0 / per_second).min(86_400.0));
            Quota::with_period(period).map(|q| q.allow_burst(burst))
        });
        let limiter = quota.flatten().map(|q| RateLimiter::direct_with_clock(q, clock.clone()));
        Self { limiter, clock, left: 0 }
    }

    /// Up to `want` permits, at least one.
    ///
    /// # Errors
    /// How long until the next permit.
    pub fn take(&mut self, want: usize) -> Result<usize, Duration> {
        let Some(limiter) = &self.limiter else { return Ok(want) };
        let mut got = self.left.min(want);
        self.left -= got;
        while got < want {
            match limiter.check() {
                Ok(()) => got += 1,
                Err(_) if got > 0 => break,
                Err(not_until) => return Err(not_until.wait_time_from(self.clock.now())),
            }
        }
        Ok(got)
    }

    /// Returns permits that were not used.
    pub fn give_back(&mut self, unused: usize) {
        if self.limiter.is_some() {
            self.left += unused;
        }
    }
}

/// Exponential backoff with full jitter.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// Ceiling of the first wait, in nanoseconds.
    pub least: i64,
    /// Ceiling of every wait, in nanoseconds.
    pub most: i64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { least: SECOND, most: 300 * SECOND }
    }
}

impl Backoff {
    /// The wait after `failures` failures in a row (1 = the first), uniform between a tenth of `least` and
    /// the ceiling `least · 2^(failures − 1)`, at most `most`. The floor keeps a lucky draw from becoming a
    /// busy loop.
    pub fn wait(&self, failures: u32, random: &mut Random) -> i64 {
        let doublings = failures.saturating_sub(1).min(40);
        let ceiling = self.least.saturating_mul(1_i64 << doublings).min(self.most).max(1);
        let floor = (self.least / 10).min(ceiling);
        floor + random.below(ceiling - floor + 1)
    }
}

/// A small seeded generator (SplitMix64, Steele, Lea and Flood 2014). Not for secrets.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator whose seed is a hash (FNV-1a) of the texts.
    pub fn seeded(texts: &[&str]) -> Self {
        let bytes = texts.iter().flat_map(|t| t.bytes().chain([0]));
        Self(bytes.fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in 0..`bound`, as good as uniform; 0 when the bound is not positive.
    pub fn below(&mut self, bound: i64) -> i64 {
        let wide = u128::from(self.next()) * u128::from(bound.max(1).unsigned_abs());
        (wide >> 64) as i64
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use governor::clock::FakeRelativeClock;

    use super::*;

    #[test]
    fn a_pace_lets_a_second_pass_at_once_and_then_drips() {
        let clock = FakeRelativeClock::default();
        let mut pace = Pace::new(5.0, clock.clone());
        assert_eq!(pace.take(8), Ok(5));
        assert_eq!(pace.take(1), Err(Duration::from_millis(200)));
        clock.advance(Duration::from_millis(200));
        assert_eq!(pace.take(3), Ok(1));
        pace.give_back(1);
        assert_eq!(pace.take(3), Ok(1), "an unused permit is used first");
        clock.advance(Duration::from_secs(60));
        assert_eq!(pace.take(100), Ok(5), "silence earns no more than one burst");
    }

    #[test]
    fn a_slow_pace_and_no_pace() {
        let clock = FakeRelativeClock::default();
        let mut slow = Pace::new(0.5, clock.clone());
        assert_eq!(slow.take(4), Ok(1));
        assert_eq!(slow.take(4), Err(Duration::from_secs(2)));
        for unlimited in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let mut pace = Pace::new(unlimited, clock.clone());
            assert_eq!(pace.take(100_000), Ok(100_000), "{unlimited}");
        }
    }

    #[test]
    fn backoff_grows_to_its_most_and_repeats_with_its_seed() {
        let backoff = Backoff::default();
        let draw = |seed: &str| {
            let mut random = Random::seeded(&["host", seed]);
            (1..=20).map(|n| backoff.wait(n, &mut random)).collect::<Vec<_>>()
        };
        assert_eq!(draw("a"), draw("a"));
        assert_ne!(draw("a"), draw("b"));
        for (i, wait) in draw("a").into_iter().enumerate() {
            let ceiling = (SECOND << i).min(300 * SECOND);
            assert!((SECOND / 10..=ceiling).contains(&wait), "failure {}: {wait}", i + 1);
        }
        let mut random = Random::seeded(&["x"]);
        let late: Vec<i64> = (0..1000).map(|_| backoff.wait(u32::MAX, &mut random)).collect();
        assert!(late.iter().all(|w| *w <= 300 * SECOND));
        let mean = late.iter().sum::<i64>() / 1000;
        assert!(
            (130 * SECOND..170 * SECOND).contains(&mean),
            "full jitter has its mean in the middle: {mean}"
        );
    }
}
