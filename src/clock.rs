//! The only file that asks the system for the time.
//!
//! `mono` is CLOCK_BOOTTIME (it goes on during suspension and never goes back), shifted once at start so that
//! it equals the wall clock then. See [`crate::engine::moment`]. A simulated world has a clock that is told
//! the time ([`Clock::told`]).

use rustix::time::{ClockId, clock_gettime};

use crate::engine::moment::Moment;

/// A source of moments; cheap to copy.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Source);

#[derive(Clone, Copy, Debug)]
enum Source {
    /// The system's clocks, and what is added to its steady one.
    System { shift: i64 },
    /// Whoever plays the system.
    Told(fn() -> Moment),
}

impl Clock {
    /// A clock anchored to the wall now.
    pub fn start() -> Self {
        Self(Source::System { shift: read(ClockId::Realtime) - read(ClockId::Boottime) })
    }

    /// A clock of a simulated world, which says what time it is; its machine booted at the epoch.
    pub fn told(now: fn() -> Moment) -> Self {
        Self(Source::Told(now))
    }

    /// When this machine booted, in steady time.
    pub fn booted(&self) -> i64 {
        match self.0 {
            Source::System { shift } => shift,
            Source::Told(_) => 0,
        }
    }

    /// For how long this machine has been suspended since it booted, ns; only differences mean something.
    pub fn slept(&self) -> i64 {
        match self.0 {
            Source::System { .. } => read(ClockId::Boottime) - read(ClockId::Monotonic),
            Source::Told(_) => 0,
        }
    }

    /// Now, on both clocks.
    pub fn now(&self) -> Moment {
        match self.0 {
            Source::System { shift } => {
                Moment { mono: read(ClockId::Boottime) + shift, wall: read(ClockId::Realtime) }
            }
            Source::Told(now) => now(),
        }
    }
}

fn read(clock: ClockId) -> i64 {
    let t = clock_gettime(clock);
    t.tv_sec * crate::engine::moment::SECOND + t.tv_nsec
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_agree_at_the_start_and_mono_does_not_go_back() {
        let clock = Clock::start();
        let (a, b) = (clock.now(), clock.now());
        assert!(b.mono >= a.mono);
        assert!((a.mono - a.wall).abs() < crate::engine::moment::SECOND);
    }
}
