//! Replay: 30 days of 200 series at 10 s (52 million samples) with the built-in rules; the promise is 10 s.
//!
//! The series are made before the clock starts: noise of one host with ten file systems, eight disks, eight
//! interfaces and twenty units, calm for most of the time, with a busy hour a day. Run by hand:
//! `cargo bench --bench replay -- 30 2` (days, threads).

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use sexton::cli::doors::doors;
use sexton::config::{HostFacts, load_texts};
use sexton::engine::moment::{DAY, HOUR, SECOND};
use sexton::engine::signal::{Base, Class, Instance, Metric, SIGNALS};
use sexton::workshop::load::Recorded;
use sexton::workshop::replay::{Host, report, run, total};
use sexton::workshop::source::{Column, Track};

const INTERVAL: i64 = 10 * SECOND;
const CLASSES: [(Class, &str, usize); 5] = [
    (Class::Host, "", 1),
    (Class::Fs, "mount", 10),
    (Class::Disk, "disk", 8),
    (Class::Net, "iface", 8),
    (Class::Unit, "unit", 20),
];

/// A small generator, so that every run plays the same.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f64 / (1_u64 << 24) as f64
    }
}

fn value(metric: Metric, at: i64, noise: f64) -> f64 {
    let busy = if at.rem_euclid(DAY) / HOUR == 9 { 0.35 } else { 0.0 };
    match (metric.name(), metric.spec().ty.base) {
        ("fs.readonly" | "fs.hung", _) => 0.0,
        (_, Base::Bool) => 1.0,
        ("fs.avail" | "mem.available", _) => (8.0 + noise) * 1e9,
        (_, Base::Bytes) => 16e9 * (0.9 + noise / 10.0),
        ("kernel.oom_kills" | "unit.restarts", _) => 0.0,
        ("disk.latency", _) => 0.004 + noise * 0.01,
        ("net.errors" | "net.drops", _) => 0.0,
        ("cpu.busy" | "fs.used", _) => 0.4 + noise * 0.25 + busy,
        (_, Base::Ratio) => noise * 0.05,
        ("cpu.count", _) => 8.0,
        _ => noise * 3.0,
    }
}

fn series(days: i64, most: usize) -> Host {
    let times: Vec<i64> = (0..days * DAY / INTERVAL).map(|i| 1_700_000_000 * SECOND + i * INTERVAL).collect();
    let (mut host, mut noise, mut count) = (Host::default(), Noise(7), 0);
    for (class, label, instances) in CLASSES {
        for i in 0..instances {
            let name = format!("/x{i}.service");
            let labels = [(label, name.as_str()), ("fstype", "ext4")];
            let labels = if class == Class::Host { &labels[..0] } else { &labels[..] };
            let instance = Instance::of(class, labels);
            let own = SIGNALS.iter().enumerate().filter(|(_, s)| s.class == class && s.ty.base != Base::Text);
            let own: Vec<_> = own.map(|(i, _)| Metric(i as u16)).take(most - count).collect();
            if own.is_empty() {
                continue;
            }
            count += own.len();
            let column = |m: &Metric| {
                let values = times.iter().map(|at| value(*m, *at, noise.next())).collect();
                (*m, Column::Numbers(values))
            };
            let columns = own.iter().map(column).collect();
            let track = Arc::new(Track { instance, interval: INTERVAL, times: times.clone(), columns });
            host.series.push(Recorded { name: String::new(), column: String::new(), track });
        }
    }
    host
}

fn main() {
    let numbers: Vec<i64> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    // Without arguments one day shows that it works.
    let days = numbers.first().copied().unwrap_or(1);
    let threads = numbers.get(1).map_or(1, |n| *n as usize);
    let facts = HostFacts { machine_id: "0123".into(), hostname: "bench".into() };
    let config = load_texts(&[], &doors(), &facts).expect("the built-in configuration is right");
    let hosts = [series(days, 200)];
    let columns: usize = hosts[0].series.iter().map(|s| s.track.columns.len()).sum();
    let start = Instant::now();
    let outcomes = run(&config.plan, &hosts, threads, &AtomicU64::new(0)).expect("series in memory");
    let took = start.elapsed();
    let report = report(&config.plan, &hosts, &outcomes, None, 0);
    let samples = total(&hosts);
    println!(
        "replay: {columns} series, {days} days, {samples} samples, {} rules ({} blind), {threads} threads: {:.2} s, \
         {:.0} ns per sample; {} incidents, {} raises",
        config.plan.rules.len(),
        report.blind.len(),
        took.as_secs_f64(),
        took.as_nanos() as f64 / samples as f64,
        report.all.incidents,
        report.all.raises,
    );
}
