//! The doors that probe: is a service reachable and right, how long does it take, how long is its certificate
//! good?
//!
//! A check is one file with a [`Spec`] and a line in [`TABLE`]. It only probes; the frame gives it its
//! interval and its timeout, measures it and makes the observation. Checks must not know each other, rules or
//! incidents. Invariant: a probe that did not succeed has no latency, and a check that cannot even be made is
//! unknown, not down.

mod certificate;
mod frame;
mod http;
mod tcp;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::Pin;

pub use frame::{CheckStatus, Checks, spawn};

use crate::engine::option::{CheckPlan, DoorSpec};

/// Every kind of check of this build.
pub const TABLE: &[&Spec] = &[&tcp::SPEC, &http::SPEC];

/// A kind of check: what may be written about it, and how it is made.
pub struct Spec {
    /// Name, options and signals.
    pub door: DoorSpec,
    /// Makes it from its options.
    pub build: fn(&CheckPlan) -> Result<Box<dyn Check>, String>,
}

/// A check that has been made.
pub trait Check: Send {
    /// Probes once. The frame drops the future when the timeout has passed.
    fn probe(&mut self) -> Pin<Box<dyn Future<Output = Probe> + Send + '_>>;
}

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// It is as expected, or why it is not.
    pub up: Result<(), String>,
    /// When the server's certificate expires, in seconds since 1970 UTC; `None` where there is none or it was
    /// not shown.
    pub not_after: Option<i64>,
}

impl Probe {
    /// A probe without a certificate.
    pub fn plain(up: Result<(), String>) -> Self {
        Self { up, not_after: None }
    }
}

/// Names the one TLS implementation of the process, if nobody has yet; `reqwest` panics without.
pub fn install_tls() {
    // An error says that it was done before.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// An error and its causes in one line, without repeating a cause that the text before already holds.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let words = inner.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = inner.source();
    }
    text
}
