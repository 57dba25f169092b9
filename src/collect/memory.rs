//! Physical memory, through sysinfo: one `System` for life, refreshed for memory only.
//!
//! "Available" is the kernel's MemAvailable; before Linux 3.14 sysinfo works it out from free, cached and
//! reclaimable.

use sysinfo::{MemoryRefreshKind, System};

use super::reading::{host, ratio, sample};
use super::{Poll, Source, Spec};
use crate::engine::moment::Moment;
use crate::engine::option::DoorSpec;
use crate::engine::signal::{Metric, Observation, metric};

/// The collector.
pub const SPEC: Spec = Spec {
    door: DoorSpec {
        kind: "memory",
        about: "physical memory",
        options: &[],
        signals: &["mem.total", "mem.available", "mem.used"],
        check: crate::engine::option::any,
    },
    build: |_, _| {
        let system = System::new().map_err(|e| format!("cannot read memory: {e}"))?;
        Ok(Source::Poll(Box::new(Memory { system })))
    },
};

const TOTAL: Metric = metric("mem.total");
const AVAILABLE: Metric = metric("mem.available");
const USED: Metric = metric("mem.used");

struct Memory {
    system: System,
}

impl Poll for Memory {
    fn poll(&mut self, now: Moment, out: &mut Vec<Observation>) -> Result<(), String> {
        self.system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        let raw = Raw { total: self.system.total_memory(), available: self.system.available_memory() };
        out.push(signals(&raw, now)?);
        Ok(())
    }
}

/// Bytes.
struct Raw {
    total: u64,
    available: u64,
}

fn signals(raw: &Raw, now: Moment) -> Result<Observation, String> {
    // sysinfo says zero when it cannot read; no machine has none.
    if raw.total == 0 {
        return Err("cannot read /proc/meminfo".to_owned());
    }
    let (total, available) = (raw.total as f64, raw.available as f64);
    let mut seen = Observation::new(now, host(), 0).with(TOTAL, total).with(AVAILABLE, available);
    sample(&mut seen, USED, ratio(total - available, total));
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn used_is_what_is_not_available() {
        let seen = signals(&Raw { total: 4000, available: 1000 }, Moment::at(0)).unwrap();
        assert_eq!(seen.samples[2], (USED, Some(0.75.into())));
        // A balloon driver may shrink the total between two lines of the kernel's table.
        let odd = signals(&Raw { total: 1000, available: 1001 }, Moment::at(0)).unwrap();
        assert_eq!(odd.samples[2], (USED, Some(0.0.into())));
    }

    #[test]
    fn no_memory_at_all_is_an_error() {
        assert!(signals(&Raw { total: 0, available: 0 }, Moment::at(0)).is_err());
    }
}
