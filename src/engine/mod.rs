//! The pure heart: signals in, a [`effect::Step`] out. Time is an argument; nothing here reads a clock, a
//! file or a socket.

pub mod cond;
pub mod core;
mod desks;
pub mod effect;
pub mod event;
pub mod explain;
pub mod foresee;
pub mod func;
pub mod id;
pub mod incident;
pub mod moment;
pub mod option;
pub mod plan;
pub mod problem;
pub mod record;
pub mod route;
pub mod rules;
pub mod signal;
pub mod suppress;
pub mod window;
