//! Replay: 30 days of 200 series at 10 s (52 million samples) with the built-in rules; the promise is 10 s.
//!
//! The series are made before the clock starts: noise of one host with ten file systems, eight disks, eight
//! interfaces and twenty units, calm for most of the time, with a busy hour a day. Run by hand:
//!
//! ```text
//! cargo bench --bench replay -- 30 2              # days, threads: from memory
//! cargo bench --bench replay -- 30 2 history      # from a history.db written before, reading included
//! cargo bench --bench replay -- 3 2 csv           # from CSV files written before, reading included
//! ```

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Instant;

use sexton::cli::doors::doors;
use sexton::clock::Clock;
use sexton::config::{HostFacts, load_texts};
use sexton::engine::moment::{DAY, HOUR, MINUTE, Moment, SECOND, Stamp};
use sexton::engine::option::HistoryPlan;
use sexton::engine::signal::{Base, Class, Instance, Metric, SIGNALS};
use sexton::history::History;
use sexton::workshop::load::{Recorded, load};
use sexton::workshop::past::Past;
use sexton::workshop::replay::{Host, hosts, report, run};
use sexton::workshop::source::{Column, Source, Track, Tracks};

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
            let labels = match class {
                Class::Host => &labels[..0],
                Class::Fs => &labels[..],
                _ => &labels[..1],
            };
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

static NOW: AtomicI64 = AtomicI64::new(0);

fn now() -> Moment {
    Moment::at(NOW.load(Ordering::Relaxed))
}

/// Has a history written as the daemon does, a minute at a time.
fn record(host: &Host, dir: &Path) {
    let mut tracks = Tracks::new(host.series.iter().map(|s| Arc::clone(&s.track)).collect());
    let first = host.series.iter().filter_map(|s| s.track.times.first()).min().copied().unwrap_or(0);
    NOW.store(first, Ordering::Relaxed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let plan = HistoryPlan { dir: dir.to_owned(), limit: 16 << 30 };
        let (mut history, mut due) = (History::start(&plan, Clock::told(now)), first + MINUTE);
        while let Some(seen) = tracks.next().expect("series in memory") {
            let at = seen.at;
            NOW.store(at.mono, Ordering::Relaxed);
            history.keep(at, [seen.clone()]);
            if at.mono >= due {
                due = at.mono + MINUTE;
                history.flush();
                // The thread's pace is ours.
                history.asker().read(|_| Ok(())).await.expect("a history");
            }
        }
        history.close().await;
    });
}

/// Writes a CSV file per instance; what to call them.
fn write_csv(host: &Host, dir: &Path) -> Vec<String> {
    let mut arguments = Vec::new();
    for (i, series) in host.series.iter().enumerate() {
        let (track, path) = (&series.track, dir.join(format!("{i}.csv")));
        let mut text = String::from("time");
        let labels: Vec<_> = track.instance.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        for (metric, _) in &track.columns {
            let _ = write!(text, ",{}", metric.name());
            let of = format!("{}{{{}}}", metric.name(), labels.join(","));
            arguments.push(format!("{of}={}:{}", path.display(), metric.name()));
        }
        for (row, at) in track.times.iter().enumerate() {
            let _ = write!(text, "\n{}", at / SECOND);
            for (_, column) in &track.columns {
                if let Column::Numbers(values) = column {
                    let _ = write!(text, ",{}", values[row]);
                }
            }
        }
        std::fs::write(&path, text).expect("room for a file");
    }
    arguments
}

fn main() {
    let numbers: Vec<i64> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    // Without arguments one day shows that it works.
    let days = numbers.first().copied().unwrap_or(1);
    let threads = numbers.get(1).map_or(1, |n| *n as usize);
    let facts = HostFacts { machine_id: "0123".into(), hostname: "bench".into() };
    let config = load_texts(&[], &doors(), &facts).expect("the built-in configuration is right");
    let hosts = vec![series(days, 200)];
    let columns: usize = hosts[0].series.iter().map(|s| s.track.columns.len()).sum();
    let (dir, from) =
        (tempfile::tempdir().expect("a directory"), std::env::args().find(|a| a == "history" || a == "csv"));
    let from = from.unwrap_or_default();
    let samples: usize = hosts[0].series.iter().map(|s| s.track.times.len() * s.track.columns.len()).sum();
    let mut arguments = Vec::new();
    match from.as_str() {
        "history" => record(&hosts[0], dir.path()),
        "csv" => arguments = write_csv(&hosts[0], dir.path()),
        _ => {}
    }
    let start = Instant::now();
    let hosts = match from.as_str() {
        "history" => {
            let (past, series) = Past::open(dir.path(), Stamp(i64::MIN), Stamp(i64::MAX)).expect("a history");
            vec![Host { series, past: Some(past), ..Host::default() }]
        }
        "csv" => self::hosts(&load(&arguments).expect("files"), false).expect("one host"),
        _ => hosts,
    };
    let read = start.elapsed();
    let outcomes = run(&config.plan, &hosts, threads, &AtomicU64::new(0)).expect("series in memory");
    let took = start.elapsed();
    let report = report(&config.plan, &hosts, &outcomes, None, 0);
    println!(
        "replay{}: {columns} series, {days} days, {samples} samples, {} rules ({} blind), {threads} threads: {:.2} s \
         ({:.2} s before the first sample), {:.0} ns per sample; {} incidents, {} raises",
        if from.is_empty() { String::new() } else { format!(" from {from}") },
        config.plan.rules.len(),
        report.blind.len(),
        took.as_secs_f64(),
        read.as_secs_f64(),
        took.as_nanos() as f64 / samples as f64,
        report.all.incidents,
        report.all.raises,
    );
}
