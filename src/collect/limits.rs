//! How much of the kernel's own limits is used: file handles, tasks, tracked connections; and whether the
//! distribution asks for a reboot.
//!
//! A limit that this kernel does not have (no connection tracking) has no value. The files stay open; what
//! cannot be read is left out, and only a host that has none of them is an error.

use std::path::{Path, PathBuf};

use super::reading::{HotFile, host, ratio, sample};
use super::{Poll, Source, Spec};
use crate::engine::moment::Moment;
use crate::engine::option::DoorSpec;
use crate::engine::signal::{Metric, Observation, Value, metric};

/// The collector.
pub const SPEC: Spec = Spec {
    door: DoorSpec {
        kind: "limits",
        about: "file handles, tasks and tracked connections against the kernel's limits; a reboot asked for",
        options: &[],
        signals: &["fd.used", "pid.used", "conntrack.used", "host.reboot_required"],
        check: crate::engine::option::any,
    },
    build: |_, _| Ok(Source::Poll(Box::new(Limits::under("/")))),
};

const FD: Metric = metric("fd.used");
const PID: Metric = metric("pid.used");
const CONNTRACK: Metric = metric("conntrack.used");
const REBOOT: Metric = metric("host.reboot_required");

struct Limits {
    files: HotFile,
    load: HotFile,
    pid_max: HotFile,
    threads_max: HotFile,
    tracked: HotFile,
    tracked_max: HotFile,
    /// Debian's and Ubuntu's packages make the first of these; where the second is not, nobody would.
    reboot: (PathBuf, PathBuf),
}

impl Limits {
    /// Reads the files below `root`.
    fn under(root: impl AsRef<Path>) -> Self {
        let at = |path: &str| root.as_ref().join(path);
        let file = |path: &str| HotFile::new(at(path));
        Self {
            files: file("proc/sys/fs/file-nr"),
            load: file("proc/loadavg"),
            pid_max: file("proc/sys/kernel/pid_max"),
            threads_max: file("proc/sys/kernel/threads-max"),
            tracked: file("proc/sys/net/netfilter/nf_conntrack_count"),
            tracked_max: file("proc/sys/net/netfilter/nf_conntrack_max"),
            reboot: (at("run/reboot-required"), at("var/lib/dpkg")),
        }
    }

    fn read(&mut self) -> Raw {
        let number = |file: &mut HotFile| file.read().ok().and_then(|text| text.trim().parse().ok());
        Raw {
            files: self.files.read().ok().and_then(handles),
            tasks: self.load.read().ok().and_then(tasks),
            pid_max: number(&mut self.pid_max),
            threads_max: number(&mut self.threads_max),
            tracked: number(&mut self.tracked),
            tracked_max: number(&mut self.tracked_max),
            reboot: self.reboot.1.exists().then(|| self.reboot.0.exists()),
        }
    }
}

impl Poll for Limits {
    fn poll(&mut self, now: Moment, out: &mut Vec<Observation>) -> Result<(), String> {
        let raw = self.read();
        if raw == (Raw { reboot: raw.reboot, ..Raw::default() }) {
            return Err("cannot read /proc/sys/fs/file-nr, /proc/loadavg or /proc/sys/kernel".to_owned());
        }
        out.push(signals(&raw, now));
        Ok(())
    }
}

/// What was read; `None` where there is nothing to read.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Raw {
    /// Handles in use, most there may be.
    files: Option<(f64, f64)>,
    tasks: Option<f64>,
    pid_max: Option<f64>,
    threads_max: Option<f64>,
    tracked: Option<f64>,
    tracked_max: Option<f64>,
    reboot: Option<bool>,
}

/// `allocated free max` (kernel: Documentation/admin-guide/sysctl/fs.rst); what is free counts as not used.
fn handles(text: &str) -> Option<(f64, f64)> {
    let mut words = text.split_ascii_whitespace().map(str::parse::<f64>);
    let (allocated, free, most) = (words.next()?.ok()?, words.next()?.ok()?, words.next()?.ok()?);
    Some((allocated - free, most))
}

/// The second number of `running/existing`, the fourth word of `/proc/loadavg` (proc_loadavg(5)).
fn tasks(text: &str) -> Option<f64> {
    text.split_ascii_whitespace().nth(3)?.split_once('/')?.1.parse().ok()
}

fn signals(raw: &Raw, now: Moment) -> Observation {
    let share = |part: Option<f64>, whole: Option<f64>| ratio(part?, whole?);
    // Each task has an id, and counts as a thread: whichever limit is lower is met first.
    let most = match (raw.pid_max, raw.threads_max) {
        (Some(pids), Some(threads)) => Some(pids.min(threads)),
        (one, other) => one.or(other),
    };
    let mut seen = Observation::new(now, host(), 0);
    sample(&mut seen, FD, raw.files.and_then(|(used, most)| ratio(used, most)));
    sample(&mut seen, PID, share(raw.tasks, most));
    sample(&mut seen, CONNTRACK, share(raw.tracked, raw.tracked_max));
    seen.samples.push((REBOOT, raw.reboot.map(Value::Bool)));
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        dir
    }

    fn seen(dir: &tempfile::TempDir) -> Result<Vec<(Metric, Option<Value>)>, String> {
        let mut out = Vec::new();
        Limits::under(dir.path()).poll(Moment::at(0), &mut out)?;
        Ok(out.remove(0).samples)
    }

    #[test]
    fn shares_are_of_the_lower_limit() {
        let dir = root(&[
            ("proc/sys/fs/file-nr", "2048\t48\t10000\n"),
            ("proc/loadavg", "0.40 0.55 0.61 3/500 36094\n"),
            ("proc/sys/kernel/pid_max", "4194304\n"),
            ("proc/sys/kernel/threads-max", "2000\n"),
            ("proc/sys/net/netfilter/nf_conntrack_count", "90\n"),
            ("proc/sys/net/netfilter/nf_conntrack_max", "100\n"),
            ("var/lib/dpkg/status", ""),
            ("run/reboot-required", "*** System restart required ***\n"),
        ]);
        let expected = [(FD, 0.2.into()), (PID, 0.25.into()), (CONNTRACK, 0.9.into()), (REBOOT, true.into())];
        assert_eq!(seen(&dir).unwrap(), expected.map(|(m, v)| (m, Some(v))));
        std::fs::remove_file(dir.path().join("run/reboot-required")).unwrap();
        assert_eq!(seen(&dir).unwrap()[3], (REBOOT, Some(false.into())));
    }

    #[test]
    fn what_this_kernel_does_not_have_has_no_value() {
        let dir = root(&[
            ("proc/loadavg", "0 0 0 1/64 9\n"),
            ("proc/sys/kernel/pid_max", "32768\n"),
            ("proc/sys/net/netfilter/nf_conntrack_max", "0\n"),
        ]);
        let expected = [(FD, None), (PID, Some((64.0 / 32768.0).into())), (CONNTRACK, None), (REBOOT, None)];
        assert_eq!(seen(&dir).unwrap(), expected);
        for odd in ["", "1 2", "a b c", "1 2 x"] {
            assert_eq!(handles(odd), None, "{odd:?}");
        }
        assert_eq!((tasks("0 0 0 1"), tasks("0 0 0 1/x 2")), (None, None));
    }

    #[test]
    fn a_host_with_none_of_them_is_an_error() {
        assert!(seen(&root(&[("var/lib/dpkg/status", "")])).unwrap_err().contains("file-nr"));
    }

    #[test]
    fn our_own_host_is_within_its_limits() {
        let mut out = Vec::new();
        Limits::under("/").poll(Moment::at(0), &mut out).unwrap();
        let share = |at: usize| match out[0].samples[at].1 {
            Some(Value::Num(share)) => share,
            _ => -1.0,
        };
        assert!((0.0..1.0).contains(&share(0)) && share(1) > 0.0 && share(1) < 1.0, "{out:?}");
    }
}
