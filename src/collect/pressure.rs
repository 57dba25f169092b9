//! Pressure stall information: the share of time in which tasks waited for CPU, memory or I/O.
//!
//! The share is the growth of the kernel's `total` (microseconds) over the time between two readings, finer
//! than its own averages over 10 s. Where the kernel has no PSI (`psi=0` is the default of some
//! distributions: no file, or EOPNOTSUPP) there are no values; that is not an error of the collector.

use super::reading::{HotFile, elapsed, growth, host, sample};
use super::{Poll, Source, Spec};
use crate::engine::moment::Moment;
use crate::engine::option::DoorSpec;
use crate::engine::signal::{Metric, Observation, metric};

/// The collector.
pub const SPEC: Spec = Spec {
    door: DoorSpec {
        kind: "pressure",
        about: "pressure stall information (PSI) of CPU, memory and I/O",
        options: &[],
        signals: &["psi.cpu.some", "psi.mem.some", "psi.mem.full", "psi.io.some", "psi.io.full"],
        check: crate::engine::option::any,
    },
    build: |_, _| {
        let files = ["cpu", "memory", "io"].map(|name| HotFile::new(format!("/proc/pressure/{name}")));
        Ok(Source::Poll(Box::new(Pressure { files, before: None })))
    },
};

/// What is reported: which of the three files, which of its lines.
const REPORTED: [(Metric, usize, Line); 5] = [
    (metric("psi.cpu.some"), 0, Line::Some),
    (metric("psi.mem.some"), 1, Line::Some),
    (metric("psi.mem.full"), 1, Line::Full),
    (metric("psi.io.some"), 2, Line::Some),
    (metric("psi.io.full"), 2, Line::Full),
];
const MICROSECOND: f64 = 1e-6;

#[derive(Clone, Copy)]
enum Line {
    Some,
    Full,
}

struct Pressure {
    files: [HotFile; 3],
    before: Option<(Moment, Raw)>,
}

impl Poll for Pressure {
    fn poll(&mut self, now: Moment, out: &mut Vec<Observation>) -> Result<(), String> {
        let raw = self.files.each_mut().map(|file| file.read().map(Totals::parse).unwrap_or_default());
        out.push(signals(self.before.as_ref(), &raw, now));
        self.before = Some((now, raw));
        Ok(())
    }
}

/// Of cpu, memory and io.
type Raw = [Totals; 3];

/// The `total` of the lines `some` and `full`, in microseconds; `None` where the kernel does not say.
#[derive(Debug, Default, PartialEq)]
struct Totals([Option<u64>; 2]);

impl Totals {
    fn parse(text: &str) -> Self {
        let mut totals = Self::default();
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            let slot = match words.next() {
                Some("some") => Line::Some,
                Some("full") => Line::Full,
                _ => continue,
            };
            totals.0[slot as usize] =
                words.find_map(|w| w.strip_prefix("total=")).and_then(|t| t.parse().ok());
        }
        totals
    }
}

fn signals(before: Option<&(Moment, Raw)>, raw: &Raw, now: Moment) -> Observation {
    let share = |file: usize, line: Line| {
        let (at, earlier) = before?;
        let waited = growth(earlier[file].0[line as usize]?, raw[file].0[line as usize]?)?;
        // The kernel brings its totals up to date every 2 s, so that a short interval may see more than it
        // lasted.
        Some((waited as f64 * MICROSECOND / elapsed(*at, now)?).min(1.0))
    };
    let mut seen = Observation::new(now, host(), 0);
    for (metric, file, line) in REPORTED {
        sample(&mut seen, metric, share(file, line));
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::moment::SECOND;

    const MEMORY: &str = "some avg10=0.00 avg60=0.06 avg300=1.56 total=22411219\n\
                          full avg10=0.00 avg60=0.06 avg300=1.50 total=19849961\n";

    fn seen(before: [&str; 3], after: [&str; 3], seconds: i64) -> Vec<Option<f64>> {
        let before = (Moment::at(0), before.map(Totals::parse));
        let seen = signals(Some(&before), &after.map(Totals::parse), Moment::at(seconds * SECOND));
        let number = |v: &Option<crate::engine::signal::Value>| match v {
            Some(crate::engine::signal::Value::Num(n)) => Some(*n),
            _ => None,
        };
        seen.samples.iter().map(|(_, v)| number(v)).collect()
    }

    #[test]
    fn pressure_is_stalled_time_over_time() {
        let later = "some avg10=9.00 avg60=0.06 avg300=1.56 total=23411219\n\
                     full avg10=0.00 avg60=0.06 avg300=1.50 total=19849961\n";
        // Before Linux 5.13 the file of the CPU has no line "full".
        let cpu =
            ["some avg10=0 avg60=0 avg300=0 total=0\n", "some avg10=0 avg60=0 avg300=0 total=99000000\n"];
        let shares = seen([cpu[0], MEMORY, ""], [cpu[1], later, ""], 10);
        assert_eq!(shares, [Some(1.0), Some(0.1), Some(0.0), None, None]);
    }

    #[test]
    fn no_psi_and_odd_texts_have_no_value() {
        for odd in ["", "some\n", "some total=\n", "some total=-4\nfull total=x\n", "total=5\n"] {
            assert_eq!(seen([odd; 3], [odd; 3], 10), [None; 5], "{odd:?}");
        }
        assert_eq!(seen([MEMORY; 3], ["some total=1\nfull total=1\n"; 3], 10), [None; 5], "a reset");
        assert_eq!(seen([""; 3], [MEMORY; 3], 10), [None; 5], "it has just appeared");
    }
}
