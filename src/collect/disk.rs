//! Disk traffic, latency and load, from `/proc/diskstats`.
//!
//! Only whole devices unless `partitions` is on: a partition's traffic is in its disk's. Latency is the mean
//! time of the requests that finished in the interval. An idle disk has latency 0, because nobody waited; a
//! disk on which requests wait and none finished has no latency, and shows in `disk.busy` and `disk.queue`.

use std::collections::BTreeMap;
use std::path::Path;

use super::reading::{HotFile, Names, elapsed, growth, ratio, sample};
use super::{Poll, Source, Spec};
use crate::engine::moment::Moment;
use crate::engine::option::{DoorSpec, Globs, OptionKind, OptionSpec};
use crate::engine::signal::{Class, Metric, Observation, metric};

/// The collector.
pub const SPEC: Spec = Spec {
    door: DoorSpec {
        kind: "disk",
        about: "traffic, latency and load of block devices",
        options: &[
            OptionSpec {
                key: "devices",
                kind: OptionKind::List(&["*", "!loop*", "!ram*", "!zram*", "!fd*", "!sr*"]),
                about: "globs on the device name; ! excludes, the last that matches decides",
            },
            OptionSpec {
                key: "partitions",
                kind: OptionKind::Bool(false),
                about: "also partitions, beside whole devices",
            },
        ],
        signals: &["disk.read", "disk.write", "disk.latency", "disk.busy", "disk.queue"],
        check: crate::engine::option::any,
    },
    build: |plan, _| {
        Ok(Source::Poll(Box::new(Disk {
            file: HotFile::new("/proc/diskstats"),
            wanted: Globs(plan.options.list("devices").to_vec()),
            partitions: plan.options.bool("partitions"),
            whole: BTreeMap::new(),
            names: Names::new(Class::Disk),
            before: None,
        })))
    },
};

const READ: Metric = metric("disk.read");
const WRITE: Metric = metric("disk.write");
const LATENCY: Metric = metric("disk.latency");
const BUSY: Metric = metric("disk.busy");
const QUEUE: Metric = metric("disk.queue");
/// The unit of the kernel's sector counts, whatever the device's own sector size.
const SECTOR: f64 = 512.0;
const MILLISECOND: f64 = 1e-3;
/// Devices remembered as wanted or not; beyond it they are looked at anew.
const DEVICES_MAX: usize = 4096;

struct Disk {
    file: HotFile,
    wanted: Globs,
    partitions: bool,
    /// Whether a device of that name is wanted; asked of sysfs once per name.
    whole: BTreeMap<String, bool>,
    names: Names,
    before: Option<(Moment, Raw)>,
}

impl Poll for Disk {
    fn poll(&mut self, now: Moment, out: &mut Vec<Observation>) -> Result<(), String> {
        let Self { file, wanted, partitions, whole, .. } = self;
        if whole.len() > DEVICES_MAX {
            whole.clear();
        }
        let raw = parse(file.text()?, |name| {
            if let Some(known) = whole.get(name) {
                return *known;
            }
            let want = wanted.accepts(name) && (*partitions || is_whole(name));
            whole.insert(name.to_owned(), want);
            want
        });
        signals(self.before.as_ref(), &raw, now, &mut self.names, out);
        self.before = Some((now, raw));
        Ok(())
    }
}

/// Whole devices have a folder of their own in `/sys/block`; a slash in a name is an exclamation mark there.
fn is_whole(name: &str) -> bool {
    Path::new("/sys/block").join(name.replace('/', "!")).exists()
}

/// Counters of one device since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counters {
    reads: u64,
    sectors_read: u64,
    read_ms: u64,
    writes: u64,
    sectors_written: u64,
    write_ms: u64,
    in_flight: u64,
    busy_ms: u64,
    weighted_ms: u64,
}

type Raw = BTreeMap<String, Counters>;

/// The devices that are wanted. Lines with fewer than 14 fields (before Linux 2.6.25, partitions) are left
/// out.
fn parse(text: &str, mut wanted: impl FnMut(&str) -> bool) -> Raw {
    let mut raw = Raw::new();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let Some(name) = words.nth(2).filter(|name| wanted(name)) else { continue };
        let mut field = [0; 11];
        let mut count = 0;
        for (slot, word) in field.iter_mut().zip(words) {
            let Ok(value) = word.parse::<u64>() else { break };
            *slot = value;
            count += 1;
        }
        if count < field.len() {
            continue;
        }
        let [
            reads,
            _,
            sectors_read,
            read_ms,
            writes,
            _,
            sectors_written,
            write_ms,
            in_flight,
            busy_ms,
            weighted_ms,
        ] = field;
        raw.insert(
            name.to_owned(),
            Counters {
                reads,
                sectors_read,
                read_ms,
                writes,
                sectors_written,
                write_ms,
                in_flight,
                busy_ms,
                weighted_ms,
            },
        );
    }
    raw
}

fn signals(
    before: Option<&(Moment, Raw)>,
    raw: &Raw,
    now: Moment,
    names: &mut Names,
    out: &mut Vec<Observation>,
) {
    for (name, counters) in raw {
        let earlier = before.and_then(|(at, raw)| {
            raw.get(name).zip(elapsed(*at, now)).filter(|(b, _)| !b.is_after(counters))
        });
        let per_second = |field: fn(&Counters) -> u64, unit: f64| {
            let (before, seconds) = earlier?;
            Some(growth(field(before), field(counters))? as f64 * unit / seconds)
        };
        let mut seen = Observation::new(now, names.get(name), 0);
        sample(&mut seen, READ, per_second(|c| c.sectors_read, SECTOR));
        sample(&mut seen, WRITE, per_second(|c| c.sectors_written, SECTOR));
        sample(&mut seen, LATENCY, earlier.and_then(|(before, _)| latency(before, counters)));
        sample(&mut seen, BUSY, per_second(|c| c.busy_ms, MILLISECOND).and_then(|busy| ratio(busy, 1.0)));
        sample(&mut seen, QUEUE, per_second(|c| c.weighted_ms, MILLISECOND));
        out.push(seen);
    }
}

impl Counters {
    /// True when any count is above the later one: the device was replaced under its name, or a count
    /// wrapped.
    fn is_after(&self, later: &Counters) -> bool {
        let pairs = [
            (self.reads, later.reads),
            (self.writes, later.writes),
            (self.sectors_read, later.sectors_read),
            (self.sectors_written, later.sectors_written),
        ];
        pairs.iter().any(|(before, after)| before > after)
    }
}

/// Mean seconds per request that finished in between.
fn latency(before: &Counters, after: &Counters) -> Option<f64> {
    let finished = growth(before.reads, after.reads)? + growth(before.writes, after.writes)?;
    let waited = growth(before.read_ms, after.read_ms)? + growth(before.write_ms, after.write_ms)?;
    match finished {
        0 => (after.in_flight == 0).then_some(0.0),
        n => Some(waited as f64 * MILLISECOND / n as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::tests::{ratio_of, values};
    use crate::engine::moment::SECOND;

    const FIRST: &str = "   7       0 loop0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n \
        254 0 vda 1000 11143 4000 500 2000 78694 8000 900 0 34524 245724 13838 25 1095776 2130 17459 748\n \
        254 1 vda1 1000 1 4000 500 2000 1 8000 900 0 34524 245724\n   8 0 sda 1 2 3\n";

    fn at(seconds: i64, line: &str) -> (Moment, Raw) {
        (Moment::at(seconds * SECOND), parse(line, |_| true))
    }

    fn between(first: &str, then: &str) -> Vec<Observation> {
        let (now, raw) = at(10, then);
        let mut out = Vec::new();
        signals(Some(&at(0, first)), &raw, now, &mut Names::new(Class::Disk), &mut out);
        out
    }

    const VDA: &str = "disk{disk=vda}";

    #[test]
    fn only_wanted_whole_lines_are_read() {
        let raw = parse(FIRST, |name| !name.starts_with("loop") && name != "vda1");
        assert_eq!(raw.keys().collect::<Vec<_>>(), ["vda"]);
        assert_eq!(raw["vda"].weighted_ms, 245_724);
    }

    #[test]
    fn traffic_latency_and_load_come_from_growth() {
        let then = "254 0 vda 1030 0 4200 560 2010 0 8100 1000 2 39524 265724\n";
        let out = between(FIRST, then);
        assert_eq!(ratio_of(&out, VDA, READ), 200.0 * 512.0 / 10.0);
        assert_eq!(ratio_of(&out, VDA, WRITE), 100.0 * 512.0 / 10.0);
        assert_eq!(ratio_of(&out, VDA, LATENCY), 0.160 / 40.0);
        assert_eq!(ratio_of(&out, VDA, BUSY), 0.5);
        assert_eq!(ratio_of(&out, VDA, QUEUE), 2.0);
    }

    #[test]
    fn an_idle_disk_answers_at_once_and_a_stuck_one_has_no_latency() {
        let line = |in_flight: u64| format!("254 0 vda 10 0 100 50 20 0 200 90 {in_flight} 300 400\n");
        assert_eq!(values(&between(&line(0), &line(0)), VDA, LATENCY), [Some(0.0)]);
        assert_eq!(values(&between(&line(3), &line(3)), VDA, LATENCY), [None]);
    }

    #[test]
    fn a_device_replaced_under_its_name_has_no_rates() {
        let new = "254 0 vda 2 0 9999999 1 0 0 9999999 0 0 99999999 999999999\n";
        let out = between(FIRST, new);
        for metric in [READ, WRITE, LATENCY, BUSY, QUEUE] {
            assert_eq!(values(&out, VDA, metric), [None], "{}", metric.name());
        }
    }
}
