//! The doors this build has, for the configuration to check against.

use crate::config::Doors;
use crate::forward::connector::Connector;

/// Every collector, check and connector.
pub fn doors() -> Doors {
    let connectors = crate::forward::connector::TABLE;
    let kinds =
        |able: fn(&Connector) -> bool| connectors.iter().filter(|c| able(c)).map(|c| c.door.kind).collect();
    Doors {
        collectors: crate::collect::TABLE.iter().map(|s| &s.door).collect(),
        checks: crate::check::TABLE.iter().map(|s| &s.door).collect(),
        connectors: connectors.iter().map(|c| &c.door).collect(),
        digests: kinds(|c| c.batch > 1),
        reads: kinds(|c| c.read.is_some()),
    }
}
