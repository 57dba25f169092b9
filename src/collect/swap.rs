//! Swap space (through sysinfo), swap traffic, major faults and OOM kills (`/proc/vmstat`, in pages).
//!
//! Traffic, not "used", tells of trouble: pages that lie in swap and are not asked for harm nobody.

use sysinfo::{MemoryRefreshKind, System};

use super::reading::{HotFile, elapsed, growth, host, sample};
use super::{Poll, Source, Spec};
use crate::engine::moment::Moment;
use crate::engine::option::DoorSpec;
use crate::engine::signal::{Metric, Observation, metric};

/// The collector.
pub const SPEC: Spec = Spec {
    door: DoorSpec {
        kind: "swap",
        about: "swap space, swap traffic, major page faults and OOM kills",
        options: &[],
        signals: &["swap.total", "swap.free", "swap.in", "swap.out", "mem.major_faults", "kernel.oom_kills"],
        check: crate::engine::option::any,
    },
    build: |_, _| {
        let system = System::new().map_err(|e| format!("cannot read swap: {e}"))?;
        Ok(Source::Poll(Box::new(Swap { system, vmstat: HotFile::new("/proc/vmstat"), before: None })))
    },
};

const TOTAL: Metric = metric("swap.total");
const FREE: Metric = metric("swap.free");
const IN: Metric = metric("swap.in");
const OUT: Metric = metric("swap.out");
const FAULTS: Metric = metric("mem.major_faults");
const OOM_KILLS: Metric = metric("kernel.oom_kills");

struct Swap {
    system: System,
    vmstat: HotFile,
    before: Option<(Moment, Raw)>,
}

impl Poll for Swap {
    fn poll(&mut self, now: Moment, out: &mut Vec<Observation>) -> Result<(), String> {
        self.system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_swap());
        let mut raw = Raw::parse(self.vmstat.text()?);
        (raw.total, raw.free) = (self.system.total_swap(), self.system.free_swap());
        out.push(signals(self.before.as_ref(), &raw, rustix::param::page_size(), now));
        self.before = Some((now, raw));
        Ok(())
    }
}

/// Bytes of swap; pages in and out and OOM kills since boot, where the kernel counts them.
#[derive(Debug, Default, PartialEq)]
struct Raw {
    total: u64,
    free: u64,
    pages_in: Option<u64>,
    pages_out: Option<u64>,
    major_faults: Option<u64>,
    oom_kills: Option<u64>,
}

impl Raw {
    fn parse(vmstat: &str) -> Self {
        let mut raw = Self::default();
        for line in vmstat.lines() {
            let Some((key, value)) = line.split_once(' ') else { continue };
            match key {
                "pswpin" => raw.pages_in = value.trim().parse().ok(),
                "pswpout" => raw.pages_out = value.trim().parse().ok(),
                "pgmajfault" => raw.major_faults = value.trim().parse().ok(),
                "oom_kill" => raw.oom_kills = value.trim().parse().ok(),
                _ => {}
            }
        }
        raw
    }
}

fn signals(before: Option<&(Moment, Raw)>, raw: &Raw, page: usize, now: Moment) -> Observation {
    let flow = |field: fn(&Raw) -> Option<u64>| {
        let (at, earlier) = before?;
        Some(growth(field(earlier)?, field(raw)?)? as f64 / elapsed(*at, now)?)
    };
    let bytes = |field: fn(&Raw) -> Option<u64>| flow(field).map(|pages| pages * page as f64);
    let mut seen = Observation::new(now, host(), 0);
    sample(&mut seen, TOTAL, Some(raw.total as f64));
    sample(&mut seen, FREE, Some(raw.free as f64));
    sample(&mut seen, IN, bytes(|r| r.pages_in));
    sample(&mut seen, OUT, bytes(|r| r.pages_out));
    sample(&mut seen, FAULTS, flow(|r| r.major_faults));
    sample(&mut seen, OOM_KILLS, raw.oom_kills.map(|n| n as f64));
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::moment::SECOND;
    use crate::engine::signal::Value;

    const VMSTAT: &str = "nr_free_pages 4718592\npgpgin 3332009\npswpin 100\npswpout 2000\npgalloc_dma 0\npgmajfault 50\noom_kill 3\n";

    #[test]
    fn traffic_is_in_bytes_per_second() {
        let before = (Moment::at(0), Raw::parse(VMSTAT));
        let after = Raw::parse("pswpin 120\npswpout 2000\npgmajfault 80\noom_kill 4\n");
        let seen = signals(Some(&before), &after, 4096, Moment::at(10 * SECOND));
        assert_eq!(
            seen.samples[2..],
            [
                (IN, Some(Value::Num(8192.0))),
                (OUT, Some(Value::Num(0.0))),
                (FAULTS, Some(Value::Num(3.0))),
                (OOM_KILLS, Some(Value::Num(4.0)))
            ]
        );
    }

    #[test]
    fn a_kernel_without_swap_counts_nothing_and_a_reset_has_no_rate() {
        let none = Raw::parse("nr_free_pages 1\noom_kill x\nbroken\n");
        let seen = signals(Some(&(Moment::at(0), Raw::default())), &none, 4096, Moment::at(SECOND));
        assert_eq!(seen.samples[2..], [(IN, None), (OUT, None), (FAULTS, None), (OOM_KILLS, None)]);
        let before = (Moment::at(0), Raw::parse(VMSTAT));
        let reset = signals(Some(&before), &Raw::parse("pswpin 1\npswpout 1\n"), 4096, Moment::at(SECOND));
        assert_eq!(reset.samples[2..4], [(IN, None), (OUT, None)]);
    }
}
