//! Where a daemon may die: a fuse that every step of the host burns through.
//!
//! A step that comes after the end of the fuse never happens: it waits for ever, and the world throws the
//! whole daemon away. So a crash falls between any two steps: after a commit and before its answer, after a
//! request and before its reply.

use std::cell::Cell;

use tokio::sync::Notify;

/// Counts the steps of one life of the daemon.
pub struct Fuse {
    left: Cell<u64>,
    place: Cell<Option<&'static str>>,
    bell: Notify,
}

impl Fuse {
    /// A fuse of so many steps.
    pub fn new(steps: u64) -> Self {
        Self { left: Cell::new(steps), place: Cell::new(None), bell: Notify::new() }
    }

    /// One step; does not return when the daemon is dead.
    pub async fn burn(&self, place: &'static str) {
        if self.place.get().is_none() && self.left.get() > 0 {
            self.left.set(self.left.get() - 1);
            return;
        }
        self.blow(place);
        std::future::pending().await
    }

    /// The daemon dies here, if it has not before.
    pub fn blow(&self, place: &'static str) {
        if self.place.get().is_none() {
            self.place.set(Some(place));
            self.bell.notify_one();
        }
    }

    /// The daemon dies of this fuse no more.
    pub fn extinguish(&self) {
        self.left.set(u64::MAX);
    }

    /// True while the daemon may die of it.
    pub fn is_lit(&self) -> bool {
        self.left.get() < u64::MAX / 2
    }

    /// True from the crash on.
    pub fn is_blown(&self) -> bool {
        self.place.get().is_some()
    }

    /// Completes at the crash and tells where it was.
    pub async fn blown(&self) -> &'static str {
        loop {
            if let Some(place) = self.place.get() {
                return place;
            }
            self.bell.notified().await;
        }
    }
}
