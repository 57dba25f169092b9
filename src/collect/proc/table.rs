//! Which processes of the watched names run: the pure half, fed with names and the text of `/proc/PID/stat`.
//!
//! A process belongs to a watched name when its `comm` is that name (cut at 15 bytes by the kernel, so that a longer name is
//! compared by the base name of `argv[0]` or of its executable too). A zombie is not alive, unless other threads of it are.

use std::sync::Arc;

use super::super::reading::sample;
use super::{AGE, COUNT, CPU, RSS};
use crate::engine::moment::{Moment, SECOND};
use crate::engine::signal::{Instance, Observation};

/// Longest `comm` the kernel keeps (TASK_COMM_LEN without the final zero).
const COMM_MAX: usize = 15;

/// What a process may be called.
#[derive(Clone, Debug, Default)]
pub(super) struct Called {
    /// `/proc/PID/comm`.
    pub comm: String,
    /// `argv[0]`, as it stands; empty for threads of the kernel.
    pub argv0: String,
    /// The executable's path, where we may see it.
    pub exe: String,
}

impl Called {
    /// Whether it goes by `name`.
    pub fn is(&self, name: &str) -> bool {
        self.comm == name || argv_name(&self.argv0) == name || base(&self.exe) == name
    }
}

/// True when a `comm` alone says that a process may go by `name`, though not that it does.
pub(super) fn may_be(comm: &str, name: &str) -> bool {
    name.len() > COMM_MAX && name.as_bytes().starts_with(comm.as_bytes()) && comm.len() >= COMM_MAX - 3
}

/// The program's name in `argv[0]`: without path, without the dash of a login shell, without a title (`nginx: master`).
fn argv_name(argv0: &str) -> &str {
    let program = argv0.split_once(": ").map_or(argv0, |(program, _)| program);
    base(program.strip_prefix('-').unwrap_or(program)).trim_end_matches(':')
}

fn base(path: &str) -> &str {
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    path.rsplit('/').next().unwrap_or(path)
}

/// What `/proc/PID/stat` says (proc_pid_stat(5)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stat {
    /// It runs, sleeps or waits; false for zombies.
    pub alive: bool,
    /// Processor time, user and system, in ticks.
    pub cpu_ticks: u64,
    /// When it started, in ticks since boot.
    pub started_ticks: u64,
    /// Resident memory in pages.
    pub rss_pages: u64,
}

impl Stat {
    /// Reads one line. The name in parentheses may hold anything, parentheses and line ends included.
    pub fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(')')?;
        let mut words = rest.split_ascii_whitespace();
        let state = words.next()?;
        // Fields are counted from 1 in the manual: 14 and 15 are utime and stime, 20 threads, 22 start, 24 resident pages.
        let field: Vec<&str> = words.take(21).collect();
        let number = |n: usize| field.get(n - 4).and_then(|w| w.parse::<i64>().ok());
        let count = |n: usize| number(n).map(|v| v.max(0).unsigned_abs());
        let threads = number(20)?;
        let alive = !matches!(state, "Z" | "X" | "x") || threads > 1;
        let cpu_ticks = count(14)?.saturating_add(count(15)?);
        Some(Self { alive, cpu_ticks, started_ticks: field.get(18)?.parse().ok()?, rss_pages: count(24)? })
    }
}

/// One live process, as it counts for its name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Share {
    /// Processor time over the time since its last reading; `None` at its first.
    pub cpu: Option<f64>,
    /// Resident memory in bytes.
    pub rss: f64,
    /// Seconds since its start.
    pub age: Option<f64>,
}

/// What the live processes of one name make together.
pub(super) fn signals(instance: &Arc<Instance>, shares: &[Share], now: Moment, interval: i64) -> Observation {
    let running = !shares.is_empty();
    let used: Vec<f64> = shares.iter().filter_map(|s| s.cpu).collect();
    let mut seen = Observation::new(now, Arc::clone(instance), interval);
    sample(&mut seen, COUNT, Some(shares.len() as f64));
    sample(&mut seen, CPU, (!used.is_empty()).then(|| used.iter().sum()));
    sample(&mut seen, RSS, running.then(|| shares.iter().map(|s| s.rss).sum()));
    sample(&mut seen, AGE, shares.iter().filter_map(|s| s.age).min_by(f64::total_cmp));
    seen
}

/// What a kernel's exit message changes at once: the number, and everything else when it was the last.
pub(super) fn exit(instance: &Arc<Instance>, left: usize, now: Moment, interval: i64) -> Observation {
    if left == 0 {
        return signals(instance, &[], now, interval);
    }
    let mut seen = Observation::new(now, Arc::clone(instance), interval);
    sample(&mut seen, COUNT, Some(left as f64));
    seen
}

/// Processor ticks between two readings as a ratio of one CPU.
pub(super) fn cpu_ratio(before: (u64, i64), after: (u64, i64), ticks_per_second: u64) -> Option<f64> {
    let ticks = after.0.checked_sub(before.0)? as f64;
    let seconds = (after.1 - before.1) as f64 / SECOND as f64;
    (seconds > 0.0).then(|| ticks / ticks_per_second as f64 / seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::tests::values;
    use crate::engine::signal::Class;

    fn called(comm: &str, argv0: &str, exe: &str) -> Called {
        Called { comm: comm.to_owned(), argv0: argv0.to_owned(), exe: exe.to_owned() }
    }

    #[test]
    fn a_process_goes_by_its_comm_its_argv0_and_its_executable() {
        for (process, name, is) in [
            (called("sshd", "/usr/sbin/sshd", ""), "sshd", true),
            (called("sshd", "sshd: root@pts/0", ""), "sshd", true),
            (called("nginx", "nginx: master process /usr/sbin/nginx", ""), "nginx", true),
            (called("bash", "-bash", ""), "bash", true),
            (
                called("prometheus-node", "/usr/bin/prometheus-node-exporter", ""),
                "prometheus-node-exporter",
                true,
            ),
            (
                called("prometheus-node", "x", "/usr/bin/prometheus-node-exporter"),
                "prometheus-node-exporter",
                true,
            ),
            (called("prometheus-node", "x", "/b/prometheus-node-x (deleted)"), "prometheus-node-x", true),
            (called("node-MainThread", "node", ""), "node", true),
            (called("sshd2", "/usr/sbin/sshd2", "/usr/sbin/sshd2"), "sshd", false),
            (
                called("prometheus-node", "/usr/bin/prometheus-node-other", ""),
                "prometheus-node-exporter",
                false,
            ),
            (called("kworker/0:1", "", ""), "kworker", false),
            (called("", "", ""), "x", false),
        ] {
            assert_eq!(process.is(name), is, "{process:?} is {name}");
        }
    }

    #[test]
    fn a_cut_comm_calls_for_a_closer_look() {
        assert!(may_be("prometheus-node", "prometheus-node-exporter"));
        assert!(!may_be("prometheus", "prometheus"));
        assert!(!may_be("prom", "prometheus-node-exporter"));
    }

    const LINE: &str = "4242 (a) b (c\\n) S 1 4242 4242 0 -1 4194560 1 2 3 4 150 50 7 8 20 0 3 0 123456 99 512 18446744073709551615 1 1";

    #[test]
    fn stat_survives_any_name() {
        let stat = Stat::parse(LINE).unwrap();
        assert_eq!(stat, Stat { alive: true, cpu_ticks: 200, started_ticks: 123_456, rss_pages: 512 });
        for odd in ["", "1 (x", "1 (x) S 1 2 3", "1 (x) S a b c d e f g h i j k l m n o p q r s t u"] {
            assert_eq!(Stat::parse(odd), None, "{odd:?}");
        }
    }

    #[test]
    fn zombies_are_dead_unless_their_threads_live() {
        let zombie = |threads: u32| {
            LINE.replace(") S ", ") Z ").replace("20 0 3 0 123456", &format!("20 0 {threads} 0 123456"))
        };
        assert!(!Stat::parse(&zombie(1)).unwrap().alive);
        assert!(Stat::parse(&zombie(2)).unwrap().alive);
    }

    #[test]
    fn processes_of_a_name_add_up() {
        let name = Instance::of(Class::Proc, &[("name", "x")]);
        let share = |cpu, age| Share { cpu, rss: 100.0, age };
        let out = [signals(&name, &[share(Some(0.5), Some(9.0)), share(None, Some(3.0))], Moment::at(0), 1)];
        let one = |metric| values(&out, "proc{name=x}", metric)[0];
        assert_eq!(
            [one(COUNT), one(CPU), one(RSS), one(AGE)],
            [Some(2.0), Some(0.5), Some(200.0), Some(3.0)]
        );
        let none = [signals(&name, &[], Moment::at(0), 1)];
        let one = |metric| values(&none, "proc{name=x}", metric)[0];
        assert_eq!([one(COUNT), one(CPU), one(RSS), one(AGE)], [Some(0.0), None, None, None]);
    }

    #[test]
    fn processor_time_is_a_share_of_one_cpu() {
        assert_eq!(cpu_ratio((100, 0), (350, 2 * SECOND), 100), Some(1.25));
        assert_eq!(cpu_ratio((100, 0), (99, SECOND), 100), None);
        assert_eq!(cpu_ratio((100, 5), (100, 5), 100), None);
    }
}
