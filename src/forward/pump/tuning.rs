//! How long a pump waits for what.

use std::time::Duration;

use crate::engine::moment::MINUTE;
use crate::forward::health::PAUSE;
use crate::forward::pace::Backoff;

/// Waits of a pump.
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    /// After failures.
    pub backoff: Backoff,
    /// How long a refusing destination is left alone, in nanoseconds.
    pub pause: i64,
    /// Between heartbeats, in nanoseconds.
    pub heartbeat: i64,
    /// The longest sleep of the loop.
    pub tick: Duration,
    /// What requests under way get at the end.
    pub grace: Duration,
    /// Before an outbox that failed, or that holds back what is due, is asked again.
    pub store_retry: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            backoff: Backoff::default(),
            pause: PAUSE,
            heartbeat: MINUTE,
            tick: Duration::from_secs(10),
            grace: Duration::from_secs(2),
            store_retry: Duration::from_secs(1),
        }
    }
}
