//! sexton: collects availability and capacity signals of a host, judges them by rules, raises incidents,
//! correlates repeats into problem candidates and hands every record to the ITSM. See docs/ARCHITECTURE.md
//! for the house.

pub mod check;
pub mod cli;
pub mod clock;
pub mod collect;
pub mod config;
pub mod control;
pub mod daemon;
#[cfg(feature = "desk")]
pub mod desk;
pub mod engine;
pub mod forward;
pub mod history;
pub mod import;
pub mod secret;
pub mod store;
pub mod telemetry;
pub mod workshop;
