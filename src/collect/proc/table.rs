//! Which processes of the watched names run: the pure half, fed with names and numbers.
//!
//! A process belongs to a watched name when its `comm` is that name (cut at 15 bytes by the kernel, so that a
//! longer name is compared by the base name of `argv[0]` or of its executable too).

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

/// The program's name in `argv[0]`: without path, without the dash of a login shell, without a title (`nginx:
/// master`).
fn argv_name(argv0: &str) -> &str {
    let program = argv0.split_once(": ").map_or(argv0, |(program, _)| program);
    base(program.strip_prefix('-').unwrap_or(program)).trim_end_matches(':')
}

fn base(path: &str) -> &str {
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    path.rsplit('/').next().unwrap_or(path)
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
