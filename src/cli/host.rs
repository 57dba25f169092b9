//! What this host says of itself: its name and what its identity is made of.

use crate::config::HostFacts;

/// Reads host name and machine-id. Without a machine-id (a bare container) the name stands in for it.
pub fn facts() -> HostFacts {
    let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let read = |path| std::fs::read_to_string(path).ok().map(|t: String| t.trim().to_owned());
    let machine_id = ["/etc/machine-id", "/var/lib/dbus/machine-id"].into_iter().filter_map(read);
    let machine_id = machine_id.into_iter().find(|id| !id.is_empty()).unwrap_or_else(|| hostname.clone());
    HostFacts { machine_id, hostname }
}
