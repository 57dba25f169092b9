//! The workshop: proves a rule before it wakes anyone.
//!
//! Plays series through the real engine as fast as it goes; time is whatever the series say. [`play`] drives
//! the engine, [`source`] says what series are, [`prove`] runs the `[[test]]` tables of rule files, [`gate`]
//! those that a reload has to pass, and [`replay`] and [`compare`] play whole rule sets over recorded series
//! and count; [`needed`] says which rules belong together; [`picture`] and [`plot`] draw what happened.
//! Nothing here reads a clock or prints; only [`csv`] and [`past`], the host's own history, read files. It
//! must not know the store, the other doors or the daemon.

pub mod compare;
pub mod csv;
pub mod gate;
pub mod html;
pub mod labels;
pub mod load;
pub mod needed;
pub mod past;
pub mod picture;
pub mod play;
pub mod plot;
pub mod prove;
pub mod replay;
pub mod source;
pub mod span;
