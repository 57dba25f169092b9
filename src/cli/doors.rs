//! The doors this build has, for the configuration to check against.

use crate::config::Doors;

/// Every collector, check and connector.
pub fn doors() -> Doors {
    Doors {
        collectors: crate::collect::TABLE.iter().map(|s| &s.door).collect(),
        checks: crate::check::TABLE.iter().map(|s| &s.door).collect(),
        connectors: crate::forward::connector::TABLE.iter().map(|c| &c.door).collect(),
    }
}
