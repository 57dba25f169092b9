//! The pure heart: signals in, a [`effect::Step`] out. Time is an argument; nothing here reads a clock, a file or a socket.

pub mod cond;
pub mod effect;
pub mod event;
pub mod func;
pub mod moment;
pub mod option;
pub mod plan;
pub mod record;
pub mod rules;
pub mod signal;
pub mod window;
