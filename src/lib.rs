//! sexton: collects availability and capacity signals of a host, judges them by rules, raises incidents, correlates repeats
//! into problem candidates and hands every record to the ITSM. See docs/ARCHITECTURE.md for the house.

pub mod check;
pub mod clock;
pub mod collect;
pub mod engine;
pub mod secret;
