//! The only file that asks the system for the time.
//!
//! `mono` is CLOCK_BOOTTIME (it goes on during suspension and never goes back), shifted once at start so that
//! it equals the wall clock then. See [`crate::engine::moment`].

use rustix::time::{ClockId, clock_gettime};

use crate::engine::moment::Moment;

/// A source of moments; cheap to copy.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    shift: i64,
}

impl Clock {
    /// A clock anchored to the wall now.
    pub fn start() -> Self {
        Self { shift: read(ClockId::Realtime) - read(ClockId::Boottime) }
    }

    /// Now, on both clocks.
    pub fn now(&self) -> Moment {
        Moment { mono: read(ClockId::Boottime) + self.shift, wall: read(ClockId::Realtime) }
    }

    /// Time since the host's boot, suspension included, in nanoseconds.
    pub fn uptime(&self) -> i64 {
        read(ClockId::Boottime)
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
        assert!((0..=clock.uptime()).contains(&(a.mono - clock.shift)));
        assert!((a.mono - a.wall).abs() < crate::engine::moment::SECOND);
    }
}
