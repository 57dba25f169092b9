//! The time of a world, and what the host's two clocks make of it.
//!
//! The world's time is tokio's paused time, which jumps to the next timer whenever nobody has anything to do,
//! plus the time the host has slept: during a suspension the world goes on and the host's timers stand still.
//! One world at a time lives on a thread; that is what makes [`Clock`] a plain function.

use std::cell::Cell;
use std::time::Duration;

use sexton::clock::Clock;
use sexton::engine::moment::Moment;
use tokio::time::Instant;

/// When every world begins: 2026-11-22T00:00:00Z.
pub const BEGIN: i64 = 1_795_305_600_000_000_000;

#[derive(Clone, Copy)]
struct Hands {
    start: Instant,
    /// Time spent in suspension.
    slept: i64,
    /// What the wall clock is ahead of the world.
    wall: i64,
    /// What the steady clock is ahead of the world.
    steady: i64,
    /// A bug: there is no steady clock.
    is_wall: bool,
}

thread_local!(static HANDS: Cell<Option<Hands>> = const { Cell::new(None) });

fn hands() -> Hands {
    HANDS.get().expect("a world has begun on this thread")
}

/// A world begins; must be called inside its runtime.
pub fn begin(is_wall: bool) {
    HANDS.set(Some(Hands { start: Instant::now(), slept: 0, wall: 0, steady: 0, is_wall }));
}

/// Nanoseconds since the world began.
pub fn world() -> i64 {
    let hands = hands();
    let awake = Instant::now().duration_since(hands.start);
    i64::try_from(awake.as_nanos()).expect("a world lasts weeks") + hands.slept
}

/// The host's clock.
pub fn clock() -> Clock {
    Clock::told(now)
}

/// What the host's clocks say.
pub fn now() -> Moment {
    let (hands, world) = (hands(), BEGIN + world());
    let steady = if hands.is_wall { hands.wall } else { hands.steady };
    Moment { mono: world + steady, wall: world + hands.wall }
}

/// The wall clock is set forward or back.
pub fn step(by: i64) {
    let hands = hands();
    HANDS.set(Some(Hands { wall: hands.wall + by, ..hands }));
}

/// The host sleeps: the world goes on, the host's timers do not.
pub fn suspend(ns: i64) {
    let hands = hands();
    HANDS.set(Some(Hands { slept: hands.slept + ns, ..hands }));
}

/// The daemon starts: its steady clock is anchored to the wall.
pub fn anchor() {
    let hands = hands();
    HANDS.set(Some(Hands { steady: hands.wall, ..hands }));
}

/// Lets that much time pass.
pub async fn pass(ns: i64) {
    tokio::time::sleep(Duration::from_nanos(ns.max(0).unsigned_abs())).await;
}
