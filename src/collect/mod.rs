//! The doors that read the host: one collector per file, one line in [`TABLE`].
//!
//! A collector is either polled (the frame calls it at its interval, all of one moment in one batch) or tells
//! on its own (a task that waits for the kernel or systemd). `read` and the pure `signals` are apart in every
//! file, so that tests feed texts. A collector must not know rules, incidents or other collectors.
//! Invariants: no value is ever made up (unsupported, reset and first samples are `None`), nothing here
//! blocks the runtime, and a polled instance that is missing from a successful reading has gone.

mod cpu;
mod disk;
mod evidence;
mod frame;
mod fs;
mod ledger;
mod limits;
mod load;
mod memory;
mod net;
mod pressure;
mod proc;
mod reading;
mod stat;
mod swap;
mod tell;
#[cfg(test)]
mod tests;
#[cfg(feature = "units")]
mod unit;
mod uptime;

use std::future::Future;
use std::pin::Pin;

pub use evidence::evidence;
pub use frame::{Collectors, spawn};
pub use ledger::CollectorStatus;
pub use tell::Tell;

use crate::engine::moment::Moment;
use crate::engine::option::{CollectorPlan, DoorSpec};
use crate::engine::signal::Observation;

/// Every collector of this build; the key is its name in `[collect]`.
pub const TABLE: &[&Spec] = &[
    &cpu::SPEC,
    &load::SPEC,
    &memory::SPEC,
    &swap::SPEC,
    &pressure::SPEC,
    &uptime::SPEC,
    &limits::SPEC,
    &fs::SPEC,
    &disk::SPEC,
    &net::SPEC,
    &proc::SPEC,
    #[cfg(feature = "units")]
    &unit::SPEC,
];

/// A collector: what may be written about it, and how it is made.
pub struct Spec {
    /// Name, options and signals.
    pub door: DoorSpec,
    /// Makes it. [`Tell`] is its way to say something between two ticks.
    pub build: fn(&CollectorPlan, &Tell) -> Result<Source, String>,
}

/// How a collector gets to its values.
pub enum Source {
    /// It is asked at its interval.
    Poll(Box<dyn Poll>),
    /// It speaks through its [`Tell`] until the task is dropped.
    Tell(Task),
}

/// A task on the runtime.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A collector that is asked. A call must not block: it reads files of the kernel and nothing else.
pub trait Poll: Send {
    /// Reads, and adds an observation for every instance that exists now; the frame fills in their interval.
    ///
    /// # Errors
    /// A sentence; then nothing has been added.
    fn poll(&mut self, now: Moment, out: &mut Vec<Observation>) -> Result<(), String>;
}
