//! What carries a connector's requests: one file per kind of wire.
//!
//! A wire places login and secrets, sends, and bounds what comes back. It tells apart what surely never left
//! from what may have been carried out; everything else is the connector's. [`Wires`] makes them, so that a
//! simulated world can put its own in their place.

pub mod client;
mod failure;
pub mod file;
pub mod http;
pub mod nats;
pub mod oauth;
pub mod session;
pub mod signature;
pub mod smtp;
pub mod stream;
pub mod syslog;
pub mod tls;

use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use super::connector::{Connector, Failure, Login, Reply, Request, WireKind};
use super::secrets::Secrets;
use crate::engine::moment::Stamp;
use crate::engine::option::Options;

/// A request under way.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Result<Reply, Failure>> + 'a>>;

/// Carries requests to one destination.
pub trait Wire {
    /// Sends the request and reads the answer. `now` dates what needs a date: a signature, a `Retry-After`.
    fn send<'a>(&'a self, request: &'a Request, secrets: &'a Secrets, now: Stamp) -> Sending<'a>;

    /// What it logs in by, each secret by where it is read ([`Login::told`]); empty where it does not, or
    /// says so itself.
    fn login(&self) -> String {
        String::new()
    }
}

/// Makes the wire of a destination.
pub type Wires = Rc<dyn Fn(&'static Connector, &Options, Duration) -> Result<Rc<dyn Wire>, String>>;

/// The real wires; no request takes longer than the timeout.
///
/// # Errors
/// The made function: a sentence naming the option that cannot be used.
pub fn real() -> Wires {
    Rc::new(|connector, options, timeout| match connector.wire {
        WireKind::Http => {
            let http = http::Http::new(options, connector.logins, timeout)?;
            Ok(Rc::new(http) as Rc<dyn Wire>)
        }
        WireKind::Session(spec) => {
            let http = http::Http::new(options, connector.logins, timeout)?;
            // An access token takes the place of a session.
            if Login::choose(connector.logins, options)?.is_oauth() {
                return Ok(Rc::new(http) as Rc<dyn Wire>);
            }
            Ok(Rc::new(session::InSession::new(http, spec)) as Rc<dyn Wire>)
        }
        WireKind::File => Ok(Rc::new(file::Lines::new(options, timeout)) as Rc<dyn Wire>),
        WireKind::Syslog => Ok(Rc::new(syslog::Syslog::new(options, timeout)?) as Rc<dyn Wire>),
        WireKind::Nats => Ok(Rc::new(nats::Nats::new(options, timeout)?) as Rc<dyn Wire>),
        WireKind::Smtp => Ok(Rc::new(smtp::Smtp::new(options, timeout)?) as Rc<dyn Wire>),
    })
}
