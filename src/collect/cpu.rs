//! Processor time: shares of the whole host and of each CPU, from `/proc/stat`.
//!
//! Formulas as in proc(5): guest time is already in user and nice. A field that an old kernel does not print
//! has no value. The kernel may take back a little idle or I/O-wait time; that counts as none. A busy total
//! that went back is a reset.

use super::reading::{HotFile, Names, elapsed, host, ratio, sample};
use super::{Poll, Source, Spec};
use crate::engine::moment::Moment;
use crate::engine::option::{DoorSpec, OptionKind, OptionSpec};
use crate::engine::signal::{Class, Metric, Observation, metric};

/// The collector.
pub const SPEC: Spec = Spec {
    door: DoorSpec {
        kind: "cpu",
        about: "processor time of the host and of each CPU",
        options: &[OptionSpec {
            key: "cores",
            kind: OptionKind::Bool(true),
            about: "also one instance per CPU (class cpu)",
        }],
        signals: &["cpu.busy", "cpu.user", "cpu.system", "cpu.iowait", "cpu.steal", "cpu.count", "core.busy"],
        check: crate::engine::option::any,
    },
    build: |plan, _| {
        Ok(Source::Poll(Box::new(Cpu {
            file: HotFile::new("/proc/stat"),
            cores: plan.options.bool("cores"),
            names: Names::new(Class::Cpu),
            before: None,
        })))
    },
};

const BUSY: Metric = metric("cpu.busy");
const USER: Metric = metric("cpu.user");
const SYSTEM: Metric = metric("cpu.system");
const IOWAIT: Metric = metric("cpu.iowait");
const STEAL: Metric = metric("cpu.steal");
const COUNT: Metric = metric("cpu.count");
const CORE: Metric = metric("core.busy");

struct Cpu {
    file: HotFile,
    cores: bool,
    names: Names,
    before: Option<(Moment, Raw)>,
}

impl Poll for Cpu {
    fn poll(&mut self, now: Moment, out: &mut Vec<Observation>) -> Result<(), String> {
        let raw = Raw::parse(self.file.text()?)?;
        signals(self.before.as_ref(), &raw, now, self.cores.then_some(&mut self.names), out);
        self.before = Some((now, raw));
        Ok(())
    }
}

/// Ticks of one line: user nice system idle iowait irq softirq steal; how many of them the kernel printed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Ticks {
    field: [u64; 8],
    count: usize,
}

#[derive(Debug, PartialEq)]
struct Raw {
    all: Ticks,
    /// By CPU number as text.
    each: Vec<(String, Ticks)>,
}

impl Raw {
    fn parse(text: &str) -> Result<Self, String> {
        let mut raw = Raw { all: Ticks::default(), each: Vec::new() };
        for line in text.lines().take_while(|l| l.starts_with("cpu")) {
            let mut words = line.split_ascii_whitespace();
            let name = words.next().unwrap_or_default();
            let mut ticks = Ticks::default();
            for word in words.take(8) {
                let value = word.parse().map_err(|_| format!("/proc/stat: not a number: {word:?}"))?;
                ticks.field[ticks.count] = value;
                ticks.count += 1;
            }
            if ticks.count < 4 {
                return Err(format!(
                    "/proc/stat: {name} has {} fields, at least 4 are expected",
                    ticks.count
                ));
            }
            match &name[3..] {
                "" => raw.all = ticks,
                number => raw.each.push((number.to_owned(), ticks)),
            }
        }
        if raw.all.count == 0 { Err("/proc/stat: no line \"cpu\"".to_owned()) } else { Ok(raw) }
    }
}

/// Shares of the time between two lines: busy, user, system, iowait, steal.
fn shares(before: &Ticks, after: &Ticks) -> [Option<f64>; 5] {
    const BUSY_FIELDS: [usize; 6] = [0, 1, 2, 5, 6, 7];
    let reset = BUSY_FIELDS.iter().any(|i| after.field[*i] < before.field[*i]) || after.count != before.count;
    if reset {
        return [None; 5];
    }
    let grown: [f64; 8] = std::array::from_fn(|i| after.field[i].saturating_sub(before.field[i]) as f64);
    let whole: f64 = grown.iter().sum();
    let share = |last: usize, part: f64| (last < after.count).then(|| ratio(part, whole)).flatten();
    [
        share(3, whole - grown[3] - grown[4]),
        share(1, grown[0] + grown[1]),
        share(2, grown[2] + grown[5] + grown[6]),
        share(4, grown[4]),
        share(7, grown[7]),
    ]
}

fn signals(
    before: Option<&(Moment, Raw)>,
    raw: &Raw,
    now: Moment,
    names: Option<&mut Names>,
    out: &mut Vec<Observation>,
) {
    let since = before.filter(|(at, _)| elapsed(*at, now).is_some()).map(|(_, raw)| raw);
    let all = since.map_or([None; 5], |b| shares(&b.all, &raw.all));
    let mut whole = Observation::new(now, host(), 0);
    for (metric, value) in [BUSY, USER, SYSTEM, IOWAIT, STEAL].into_iter().zip(all) {
        sample(&mut whole, metric, value);
    }
    sample(&mut whole, COUNT, (!raw.each.is_empty()).then_some(raw.each.len() as f64));
    out.push(whole);
    let Some(names) = names else { return };
    for (i, (number, ticks)) in raw.each.iter().enumerate() {
        // The order changes only when a CPU comes or goes.
        let same = |e: &&(String, Ticks)| e.0 == *number;
        let earlier = since.and_then(|b| b.each.get(i).filter(same).or_else(|| b.each.iter().find(same)));
        let mut core = Observation::new(now, names.get(number), 0);
        sample(&mut core, CORE, earlier.and_then(|(_, b)| shares(b, ticks)[0]));
        out.push(core);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::tests::{ratio_of, values};
    use crate::engine::moment::SECOND;

    const FIRST: &str = "cpu  100 10 50 800 40 5 5 10 7 0\ncpu0 50 5 25 400 20 2 3 5 7 0\n\
                         cpu1 50 5 25 400 20 3 2 5 0 0\nintr 12345 0 1\nctxt 99\n";
    const THEN: &str = "cpu  150 10 70 900 60 7 8 20 7 0\ncpu0 90 5 35 410 30 3 4 5 7 0\n\
                        cpu1 60 5 35 490 30 4 4 15 0 0\nintr 12345 0 1\n";

    fn between(first: &str, then: &str) -> Vec<Observation> {
        let (first, then) = (Raw::parse(first).unwrap(), Raw::parse(then).unwrap());
        let mut out = Vec::new();
        let mut names = Names::new(Class::Cpu);
        signals(Some(&(Moment::at(0), first)), &then, Moment::at(SECOND), Some(&mut names), &mut out);
        out
    }

    #[test]
    fn shares_are_of_all_time() {
        let out = between(FIRST, THEN);
        // 205 ticks: user 50, system 20 + 2 + 3, idle 100, iowait 20, steal 10.
        assert!((ratio_of(&out, "host", BUSY) - 85.0 / 205.0).abs() < 1e-12);
        assert!((ratio_of(&out, "host", USER) - 50.0 / 205.0).abs() < 1e-12);
        assert!((ratio_of(&out, "host", SYSTEM) - 25.0 / 205.0).abs() < 1e-12);
        assert!((ratio_of(&out, "host", IOWAIT) - 20.0 / 205.0).abs() < 1e-12);
        assert!((ratio_of(&out, "host", STEAL) - 10.0 / 205.0).abs() < 1e-12);
        assert_eq!(ratio_of(&out, "host", COUNT), 2.0);
        assert!((ratio_of(&out, "cpu{cpu=0}", CORE) - 52.0 / 72.0).abs() < 1e-12);
    }

    #[test]
    fn the_first_reading_and_a_reset_have_no_shares() {
        let raw = Raw::parse(FIRST).unwrap();
        let mut out = Vec::new();
        signals(None, &raw, Moment::at(0), None, &mut out);
        assert_eq!(values(&out, "host", BUSY), [None]);
        assert_eq!(values(&out, "host", COUNT), [Some(2.0)]);
        assert_eq!(values(&between(THEN, FIRST), "host", BUSY), [None]);
    }

    #[test]
    fn iowait_may_be_taken_back_a_little() {
        let out = between("cpu 10 0 0 100 50 0 0 0\n", "cpu 20 0 0 110 49 0 0 0\n");
        assert_eq!(ratio_of(&out, "host", BUSY), 0.5);
        assert_eq!(ratio_of(&out, "host", IOWAIT), 0.0);
    }

    #[test]
    fn fields_an_old_kernel_lacks_have_no_value() {
        let out = between("cpu 0 0 0 0 0\n", "cpu 5 0 0 5 0\n");
        assert_eq!(ratio_of(&out, "host", BUSY), 0.5);
        assert_eq!(values(&out, "host", STEAL), [None]);
        assert_eq!(values(&out, "host", COUNT), [None]);
    }

    #[test]
    fn a_cpu_that_comes_online_has_no_share_yet() {
        let out = between("cpu 0 0 0 0\ncpu1 0 0 0 0\n", "cpu 5 0 0 5\ncpu0 1 0 0 1\ncpu1 5 0 0 5\n");
        assert_eq!(values(&out, "cpu{cpu=0}", CORE), [None]);
        assert_eq!(values(&out, "cpu{cpu=1}", CORE), [Some(0.5)]);
    }

    #[test]
    fn counters_may_be_as_large_as_they_come() {
        let max = u64::MAX;
        let out = between(&format!("cpu 0 0 0 {max}\n"), &format!("cpu {max} 0 0 {max}\n"));
        assert_eq!(ratio_of(&out, "host", BUSY), 1.0);
    }

    #[test]
    fn what_is_not_stat_is_refused() {
        for text in ["", "intr 1\n", "cpu 1 2 3\n", "cpu a b c d\n", "cpu -1 0 0 0\n"] {
            assert!(Raw::parse(text).is_err(), "{text:?}");
        }
    }
}
