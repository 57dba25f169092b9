//! The history in figures: bytes per sample on disk, samples per second in and out, beside 16 bytes for stamp
//! and value.
//!
//! ```text
//! cargo bench --bench history                 # a made-up host, a day at 10 s
//! cargo bench --bench history -- DIR          # and recordings: CSV, a column `t`, the others numbers
//! ```
//! Everything goes the daemon's way: observations, a minute at a time, through the thread into the file,
//! packed each hour, read back in order of time. The file is measured whole, indices and free pages included.
//! Nothing is asserted but that what was written is read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use sexton::clock::Clock;
use sexton::engine::moment::{DAY, MINUTE, Moment, SECOND, Stamp};
use sexton::engine::option::HistoryPlan;
use sexton::engine::signal::{Class, Instance, Metric, Observation, Value, metric};
use sexton::history::{Archive, Ask, History, Stream};

const START: i64 = 1_790_000_000 * SECOND;
static NOW: AtomicI64 = AtomicI64::new(START);

fn now() -> Moment {
    Moment::at(NOW.load(Ordering::Relaxed))
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    println!("{:<34} {:>9} {:>8} {:>7} {:>11} {:>11}", "", "samples", "bytes", "of 16", "in /s", "out /s");
    for (name, of) in [("a host", None), ("its shares (CPU)", Some("cpu.")), ("its pressure", Some("psi."))] {
        measure(name, host(of));
    }
    for (name, of) in [("its memory", "mem."), ("its disk", "disk."), ("its network", "net.")] {
        measure(name, host(Some(of)));
    }
    for file in args.first().map(|dir| recordings(Path::new(dir))).unwrap_or_default() {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        match recording(&file) {
            Some(seen) => measure(&name, seen),
            None => println!("{name:<34} is no recording"),
        }
    }
}

/// Writes and reads all of it, and prints a row.
fn measure(name: &str, seen: Vec<Observation>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let tmp = tempfile::tempdir().expect("a directory");
    let plan = HistoryPlan { dir: tmp.path().to_owned(), limit: 4 << 30 };
    let samples: usize = seen.iter().map(|o| o.samples.len()).sum();
    NOW.store(seen.first().map_or(START, |o| o.at.mono), Ordering::Relaxed);
    let begin = Instant::now();
    runtime.block_on(async {
        let mut history = History::start(&plan, Clock::told(now));
        let mut due = now().mono + MINUTE;
        for observation in seen {
            let at = observation.at;
            NOW.store(at.mono, Ordering::Relaxed);
            history.keep(at, [observation]);
            if at.mono >= due {
                due = at.mono + MINUTE;
                history.flush();
                // The thread's pace is ours.
                history.asker().read(|_| Ok(())).await.expect("a history");
            }
        }
        NOW.fetch_add(DAY, Ordering::Relaxed);
        history.close().await;
    });
    let written = begin.elapsed().as_secs_f64();
    let archive = Archive::open(tmp.path()).expect("a history");
    let begin = Instant::now();
    let mut read = 0;
    let all = Ask { from: Stamp(i64::MIN), to: Stamp(i64::MAX), wants: &|_| true, before: BTreeMap::new() };
    let mut reader = archive.reader();
    let mut stream = Stream::begin(&mut reader, all).expect("what was written");
    while let Some(seen) = stream.next(&mut reader).expect("what was written") {
        read += seen.samples.len();
    }
    let taken = begin.elapsed().as_secs_f64();
    assert_eq!(read, samples, "{name}");
    let (bytes, rows) = archive.reader().bytes().expect("a history");
    let each = bytes as f64 / samples as f64;
    println!(
        "{name:<34} {samples:>9} {each:>8.2} {:>6.0}% {:>11.0} {:>11.0}   file {:.2}",
        each / 0.16,
        samples as f64 / written,
        samples as f64 / taken,
        rows as f64 / samples as f64
    );
}

/// A small generator, so that every run sees the same.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// A day of a host with two CPUs, a disk, two file systems and a network card, at 10 s with a little jitter:
/// by the formulas of the collectors. `only` picks signals by the beginning of their name.
fn host(only: Option<&str>) -> Vec<Observation> {
    let mut random = Random(0x5E_C570);
    let (whole, disk) = (Instance::of(Class::Host, &[]), Instance::of(Class::Disk, &[("disk", "vda")]));
    let net = Instance::of(Class::Net, &[("iface", "eth0")]);
    let mounts = ["/", "/var"].map(|m| Instance::of(Class::Fs, &[("mount", m), ("fstype", "ext4")]));
    let (mut seen, mut before, mut free, mut used) = (Vec::new(), START, 400_000_u64, [3_000_000_u64; 2]);
    for i in 1..=(DAY / (10 * SECOND)) {
        let at = START + i * 10 * SECOND + random.below(900_000) as i64;
        let seconds = (at - before) as f64 / 1e9;
        before = at;
        let load = 40 + random.below(60) + if (i / 360) % 24 > 8 { 300 } else { 0 };
        let ticks = 1998 + random.below(5);
        let mut add = |instance: &Arc<Instance>, samples: &[(&str, f64)]| {
            let mut one = Observation::new(Moment::at(at), Arc::clone(instance), 10 * SECOND);
            for (name, value) in samples.iter().filter(|(name, _)| only.is_none_or(|o| name.starts_with(o))) {
                one.samples.push((Metric::find(name).expect("a signal"), Some(Value::Num(*value))));
            }
            seen.extend((!one.samples.is_empty()).then_some(one));
        };
        let (user, system, wait) = (load + random.below(20), load / 3 + random.below(9), random.below(4));
        let share = |n: u64| n as f64 / ticks as f64;
        add(
            &whole,
            &[
                ("cpu.busy", share(user + system)),
                ("cpu.user", share(user)),
                ("cpu.system", share(system)),
                ("cpu.iowait", share(wait)),
                ("cpu.steal", 0.0),
            ],
        );
        let stall = |us: u64| us as f64 * 1e-6 / seconds;
        let (some, io) = (random.below(60_000), if random.below(5) == 0 { random.below(90_000) } else { 0 });
        add(
            &whole,
            &[
                ("psi.cpu.some", stall(some)),
                ("psi.io.some", stall(io)),
                ("psi.io.full", stall(io / 2)),
                ("psi.mem.some", 0.0),
                ("psi.mem.full", 0.0),
            ],
        );
        free = free + random.below(300) - random.below(300).min(free / 2);
        let (total, available) = (2_097_152.0 * 1024.0, (free * 4096) as f64);
        let share = 1.0 - available / total;
        add(&whole, &[("mem.total", total), ("mem.available", available), ("mem.used", share)]);
        let lately = (load as f64 / 4.0).round() / 100.0;
        add(&whole, &[("load.avg1", lately), ("load.avg5", lately), ("load.avg15", lately)]);
        let sectors = if random.below(3) == 0 { 8 * random.below(400) } else { 0 };
        let requests = sectors / 16;
        let latency = if requests == 0 { 0.0 } else { (requests * 2) as f64 * 1e-3 / requests as f64 };
        add(
            &disk,
            &[
                ("disk.read", 0.0),
                ("disk.write", sectors as f64 * 512.0 / seconds),
                ("disk.latency", latency),
                ("disk.busy", requests as f64 * 1e-3 / seconds),
            ],
        );
        let (rx, tx) = (random.below(90_000), random.below(30_000));
        let rates = [("net.rx", rx as f64 / seconds), ("net.tx", tx as f64 / seconds)];
        add(&net, &[rates[0], rates[1], ("net.errors", 0.0), ("net.drops", 0.0)]);
        for (mount, used) in mounts.iter().zip(&mut used) {
            *used += random.below(3);
            let (size, avail) = (5_000_000_u64, 5_000_000 - *used);
            let share = *used as f64 / (*used + avail) as f64;
            let bytes = [("fs.size", (size * 4096) as f64), ("fs.avail", (avail * 4096) as f64)];
            add(mount, &[bytes[0], bytes[1], ("fs.used", share), ("fs.inodes_used", 0.125)]);
        }
    }
    seen
}

/// CSV files below a directory.
fn recordings(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path());
    let mut all: Vec<PathBuf> = entries
        .flat_map(|path| if path.is_dir() { recordings(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|e| e == "csv"))
        .collect();
    all.sort();
    all
}

/// A recording as observations; stamps that go back are left out, as the engine does.
fn recording(file: &Path) -> Option<Vec<Observation>> {
    const ANY: Metric = metric("fs.used");
    let text = std::fs::read_to_string(file).ok()?;
    let mut lines = text.lines();
    let columns = lines.next()?.strip_prefix("t,")?;
    let columns: Vec<_> =
        columns.split(',').map(|name| Instance::of(Class::Fs, &[("mount", name)])).collect();
    let (mut seen, mut last) = (Vec::new(), i64::MIN);
    for line in lines {
        let mut cells = line.split(',');
        let at = cells.next()?.parse::<Stamp>().ok()?.0;
        if at < last {
            continue;
        }
        last = at;
        for (instance, cell) in columns.iter().zip(cells) {
            let value = if cell.is_empty() { None } else { Some(Value::Num(cell.parse().ok()?)) };
            let mut one = Observation::new(Moment::at(at), Arc::clone(instance), MINUTE);
            one.samples.push((ANY, value));
            seen.push(one);
        }
    }
    Some(seen)
}
