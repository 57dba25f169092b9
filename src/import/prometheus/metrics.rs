//! The metrics of node_exporter, process-exporter and blackbox_exporter that have a signal here, and why
//! others have none.
//!
//! A row says how the exporter's value follows from ours: `value = a * signal + b`. Names of the form
//! `there.…` are no signals: they stand for a quantity that only has a meaning together with another one
//! (time of reads / number of reads), and an expression in which one is left is not carried over.

use crate::engine::signal::Class;

/// How a metric follows from a signal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Source {
    /// A gauge: `a * signal`.
    Gauge(&'static str, f64),
    /// A counter there whose rate is `a * signal` here.
    Flow(&'static str, f64),
    /// A counter here as well.
    Counter(&'static str),
    /// 1 while the condition is true, else 0.
    Flag(&'static str),
    /// 1 for the state that the label `state` names.
    State,
    /// A time stamp: now + a * signal.
    Stamp(&'static str, f64),
    /// CPU time by mode.
    Cpu,
    /// The time.
    Now,
    /// Always 1, there for its labels.
    Info,
}

/// A metric with a signal.
pub struct Row {
    /// Its name there.
    pub name: &'static str,
    /// What it is of.
    pub class: Class,
    /// How it follows.
    pub source: Source,
    /// What is different; makes the rule one that is carried over in part.
    pub differs: &'static str,
}

const fn row(name: &'static str, class: Class, source: Source) -> Row {
    Row { name, class, source, differs: "" }
}

const fn near(name: &'static str, class: Class, source: Source, differs: &'static str) -> Row {
    Row { name, class, source, differs }
}

const BOTH_WAYS: &str = "receiving and sending are counted together here";
const READS_AND_WRITES: &str = "reads and writes are counted together here";

use Class::{Check, Disk, Fs, Host, Net, Proc, Unit};
use Source::{Counter, Cpu, Flag, Flow, Gauge, Info, Now, Stamp, State};

/// Every metric that is understood.
#[rustfmt::skip]
pub const ROWS: &[Row] = &[
    row("node_filesystem_avail_bytes", Fs, Gauge("fs.avail", 1.0)),
    row("node_filesystem_avail", Fs, Gauge("fs.avail", 1.0)),
    row("node_filesystem_size_bytes", Fs, Gauge("fs.size", 1.0)),
    row("node_filesystem_size", Fs, Gauge("fs.size", 1.0)),
    near("node_filesystem_free_bytes", Fs, Gauge("fs.avail", 1.0), "free there includes root's reserve, fs.avail does not"),
    near("node_filesystem_free", Fs, Gauge("fs.avail", 1.0), "free there includes root's reserve, fs.avail does not"),
    row("node_filesystem_files_free", Fs, Gauge("there.inodes_free", 1.0)),
    row("node_filesystem_files", Fs, Gauge("there.inodes", 1.0)),
    row("node_filesystem_readonly", Fs, Flag("fs.readonly")),
    near("node_filesystem_device_error", Fs, Flag("fs.hung"), "any error of statvfs there, no answer in time here"),
    row("node_memory_MemTotal_bytes", Host, Gauge("mem.total", 1.0)),
    row("node_memory_MemTotal", Host, Gauge("mem.total", 1.0)),
    row("node_memory_MemAvailable_bytes", Host, Gauge("mem.available", 1.0)),
    row("node_memory_MemAvailable", Host, Gauge("mem.available", 1.0)),
    row("node_memory_MemFree_bytes", Host, Gauge("there.mem_free", 1.0)),
    row("node_memory_MemFree", Host, Gauge("there.mem_free", 1.0)),
    row("node_memory_Buffers_bytes", Host, Gauge("there.mem_buffers", 1.0)),
    row("node_memory_Buffers", Host, Gauge("there.mem_buffers", 1.0)),
    row("node_memory_Cached_bytes", Host, Gauge("there.mem_cached", 1.0)),
    row("node_memory_Cached", Host, Gauge("there.mem_cached", 1.0)),
    row("node_memory_Slab_bytes", Host, Gauge("there.mem_slab", 1.0)),
    row("node_memory_SReclaimable_bytes", Host, Gauge("there.mem_slab", 1.0)),
    row("node_memory_SwapTotal_bytes", Host, Gauge("swap.total", 1.0)),
    row("node_memory_SwapFree_bytes", Host, Gauge("swap.free", 1.0)),
    row("node_vmstat_pswpin", Host, Flow("swap.in", 1.0 / 4096.0)),
    row("node_vmstat_pswpout", Host, Flow("swap.out", 1.0 / 4096.0)),
    row("node_vmstat_pgmajfault", Host, Flow("mem.major_faults", 1.0)),
    row("node_filefd_allocated", Host, Gauge("there.files", 1.0)),
    row("node_filefd_maximum", Host, Gauge("there.files_limit", 1.0)),
    row("node_nf_conntrack_entries", Host, Gauge("there.connections", 1.0)),
    row("node_nf_conntrack_entries_limit", Host, Gauge("there.connections_limit", 1.0)),
    row("node_vmstat_oom_kill", Host, Counter("kernel.oom_kills")),
    row("node_cpu_seconds_total", Host, Cpu),
    row("node_cpu", Host, Cpu),
    row("node_load1", Host, Gauge("load.avg1", 1.0)),
    row("node_load5", Host, Gauge("load.avg5", 1.0)),
    row("node_load15", Host, Gauge("load.avg15", 1.0)),
    row("node_pressure_cpu_waiting_seconds_total", Host, Flow("psi.cpu.some", 1.0)),
    row("node_pressure_memory_waiting_seconds_total", Host, Flow("psi.mem.some", 1.0)),
    row("node_pressure_memory_stalled_seconds_total", Host, Flow("psi.mem.full", 1.0)),
    row("node_pressure_io_waiting_seconds_total", Host, Flow("psi.io.some", 1.0)),
    row("node_pressure_io_stalled_seconds_total", Host, Flow("psi.io.full", 1.0)),
    row("node_boot_time_seconds", Host, Stamp("host.uptime", -1.0)),
    row("node_boot_time", Host, Stamp("host.uptime", -1.0)),
    row("node_time_seconds", Host, Now),
    row("node_disk_read_bytes_total", Disk, Flow("disk.read", 1.0)),
    row("node_disk_written_bytes_total", Disk, Flow("disk.write", 1.0)),
    row("node_disk_io_time_seconds_total", Disk, Flow("disk.busy", 1.0)),
    row("node_disk_io_time_weighted_seconds_total", Disk, Flow("disk.queue", 1.0)),
    near("node_disk_io_now", Disk, Gauge("disk.queue", 1.0), "a mean since the last sample here, a moment there"),
    row("node_disk_read_time_seconds_total", Disk, Flow("there.read_time", 1.0)),
    row("node_disk_write_time_seconds_total", Disk, Flow("there.write_time", 1.0)),
    row("node_disk_reads_completed_total", Disk, Flow("there.reads", 1.0)),
    row("node_disk_writes_completed_total", Disk, Flow("there.writes", 1.0)),
    row("node_network_receive_bytes_total", Net, Flow("net.rx", 1.0)),
    row("node_network_receive_bytes", Net, Flow("net.rx", 1.0)),
    row("node_network_transmit_bytes_total", Net, Flow("net.tx", 1.0)),
    row("node_network_transmit_bytes", Net, Flow("net.tx", 1.0)),
    near("node_network_receive_errs_total", Net, Flow("net.errors", 1.0), BOTH_WAYS),
    near("node_network_transmit_errs_total", Net, Flow("net.errors", 1.0), BOTH_WAYS),
    near("node_network_receive_drop_total", Net, Flow("net.drops", 1.0), BOTH_WAYS),
    near("node_network_transmit_drop_total", Net, Flow("net.drops", 1.0), BOTH_WAYS),
    row("node_network_receive_packets_total", Net, Flow("there.packets", 1.0)),
    row("node_network_transmit_packets_total", Net, Flow("there.packets", 1.0)),
    row("node_network_speed_bytes", Net, Gauge("there.speed", 1.0)),
    row("node_network_up", Net, Flag("net.up")),
    near("node_network_carrier", Net, Flag("net.up"), "the state of operation here, the carrier there"),
    row("node_systemd_unit_state", Unit, State),
    row("node_systemd_service_restart_total", Unit, Counter("unit.restarts")),
    row("namedprocess_namegroup_num_procs", Proc, Gauge("proc.count", 1.0)),
    row("namedprocess_namegroup_memory_bytes", Proc, Gauge("proc.rss", 1.0)),
    row("namedprocess_namegroup_cpu_seconds_total", Proc, Flow("proc.cpu", 1.0)),
    row("probe_success", Check, Flag("check.up")),
    near("probe_duration_seconds", Check, Gauge("check.latency", 1.0), "failed probes have no duration here: check-down is about them"),
    row("probe_http_status_code", Check, Gauge("there.http_status", 1.0)),
    row("probe_ssl_earliest_cert_expiry", Check, Stamp("check.cert_left", 1.0)),
    near("probe_ssl_last_chain_expiry_timestamp_seconds", Check, Stamp("check.cert_left", 1.0), "the server's own certificate here, its chain there"),
    row("node_uname_info", Host, Info),
    row("node_os_info", Host, Info),
    row("node_exporter_build_info", Host, Info),
    row("node_dmi_info", Host, Info),
];

/// Why a metric has no signal, and what to do: by prefix, the first that fits.
#[rustfmt::skip]
const NONE: &[(&str, &str, &str)] = &[
    ("up", "says whether Prometheus reached an exporter; a host that watches itself cannot see that it is away", "the desk notices a host whose heartbeats stay away; for a program: a rule on proc, unit or check"),
    ("ALERTS", "speaks of other alerts", "name the other rule in `depends`, or write its condition again"),
    ("node_md_", "software RAID has no signal in this version", "a plugin rule with check_raid, or mdadm --monitor"),
    ("node_timex_", "the clock has no signal in this version", "the built-in rule sexton-clock sees steps; unit-failed sees chronyd or systemd-timesyncd fail"),
    ("node_ntp_", "the clock has no signal in this version", "the built-in rule sexton-clock sees steps; unit-failed sees chronyd or systemd-timesyncd fail"),
    ("node_nf_conntrack_", "this part of connection tracking has no signal", "conntrack.used: the share of the table that is in use"),
    ("node_hwmon_", "sensors have no signal in this version", "a plugin rule with check_sensors"),
    ("node_thermal_", "sensors have no signal in this version", "a plugin rule with check_sensors"),
    ("node_edac_", "memory errors have no signal in this version", "a plugin rule, or a rule on kernel messages"),
    ("node_bonding_", "bonds have no signal of their own", "the built-in rule net-down watches the interfaces of a bond"),
    ("node_textfile_", "speaks of node_exporter itself", "leave it out"),
    ("node_scrape_", "speaks of node_exporter itself", "the built-in rule sexton-collector watches our own collectors"),
    ("node_systemd_system_running", "is one state for all units", "the built-in rule unit-failed names the unit"),
    ("node_systemd_timer_", "timers have no signal in this version", "a rule on the timer's service: unit-failed sees it fail"),
    ("node_memory_", "this part of memory has no signal", "mem.available: what can be had without swapping"),
    ("node_netstat_", "protocol counters have no signal in this version", "a plugin rule"),
    ("node_sockstat_", "socket counters have no signal in this version", "a plugin rule"),
    ("node_procs_", "task counts have no signal in this version", "load.avg1 counts tasks that run or wait for a disk"),
    ("node_zfs_", "ZFS pools have no signal in this version", "a plugin rule with check_zpools"),
    ("node_", "no signal of that kind is collected in this version", "a plugin rule"),
    ("smartmon_", "SMART has no signal in this version", "a plugin rule with check_smart"),
    ("smartctl_", "SMART has no signal in this version", "a plugin rule with check_smart"),
    ("scrape_", "speaks of Prometheus' scrapes", "leave it out"),
    ("prometheus_", "speaks of Prometheus itself", "leave it with Prometheus"),
    ("alertmanager_", "speaks of Alertmanager itself", "leave it with Prometheus"),
    ("container_", "containers have no signal in this version", "a rule on their systemd units"),
    ("kube_", "speaks of Kubernetes", "leave it with Prometheus"),
    ("windows_", "speaks of Windows", "leave it with Prometheus"),
    ("probe_", "this part of a probe has no signal", "check.up, check.latency, check.cert_left"),
    ("namedprocess_", "this part of a process has no signal", "proc.count, proc.cpu, proc.rss, proc.age"),
];

/// The row of a metric.
pub fn find(name: &str) -> Option<&'static Row> {
    ROWS.iter().find(|r| r.name == name)
}

/// Why there is no row, and what to do.
pub fn missing(name: &str) -> (String, String) {
    let fits = |prefix: &str| name == prefix || prefix.ends_with('_') && name.starts_with(prefix);
    if let Some((_, why, instead)) = NONE.iter().find(|(p, ..)| fits(p)) {
        return ((*why).to_owned(), (*instead).to_owned());
    }
    if name.contains(':') {
        let why = "is made by a recording rule that is not in these files".to_owned();
        return (why, "give the file with its `record:` as well".to_owned());
    }
    let why = "a metric of an exporter that has no signal here".to_owned();
    (why, "leave it with Prometheus, or write a check or a plugin rule for what it is about".to_owned())
}

/// What is left when a quantity that is no signal stands alone.
pub fn alone(name: &str) -> (&'static str, &'static str) {
    match name {
        "there.inodes_free" | "there.inodes" => {
            ("inodes have a signal only as share", "fs.inodes_used > 95%")
        }
        "there.files" | "there.files_limit" => ("open files have a signal only as share", "fd.used > 80%"),
        "there.connections" | "there.connections_limit" => {
            ("tracked connections have a signal only as share", "conntrack.used > 80%")
        }
        "there.read_time" | "there.write_time" | "there.reads" | "there.writes" => (
            "requests of a disk have a signal only as time per request",
            "disk.latency, disk.busy, disk.queue",
        ),
        "there.packets" => {
            ("packets have no signal", "net.errors and net.drops per second, net.rx and net.tx in bytes")
        }
        "there.speed" => {
            ("the speed of an interface has no signal", "write it as a number: net.rx > 100MB/s")
        }
        "there.http_status" => {
            ("the status code itself is no signal", "`status` of the [[check]] says which codes are good")
        }
        _ => ("this part of memory has no signal", "mem.available: what can be had without swapping"),
    }
}

/// Why reads and writes of a disk are one.
pub const fn one_latency() -> &'static str {
    READS_AND_WRITES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::cond;
    use crate::engine::signal::Metric;

    #[test]
    fn every_row_names_a_signal_of_its_class() {
        for row in ROWS {
            match row.source {
                Gauge(n, _) | Flow(n, _) | Counter(n) | Stamp(n, _) if !n.starts_with("there.") => {
                    let spec = Metric::find(n).unwrap_or_else(|| panic!("{n}")).spec();
                    assert!(spec.class == row.class, "{}", row.name);
                }
                Flag(text) => assert!(cond::compile(text, row.class, &[]).is_ok(), "{text}"),
                _ => {}
            }
        }
    }
}
