//! Processes by name: how many run, and what they use.
//!
//! New ones are found by reading the names in `/proc` each tick and looking only at new entries; known ones
//! are held by pidfd, so that the kernel tells of an exit the moment it happens and `proc.count` drops within
//! milliseconds. A source of its own, because reading a command line may hang: see [`cmdline`]. Invariant: a
//! name that is watched always has a count; zombies are not in it.

mod cmdline;
mod scan;
mod table;

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::JoinSet;

use self::cmdline::{Cmdlines, DEADLINE, argv0};
use self::scan::Scan;
use self::table::{Called, Share, cpu_ratio, exit, may_be, signals};
use super::reading::{HotFile, Names, told_by};
use super::stat::{Stat, comm, uptime};
use super::{Source, Spec, Tell};
use crate::engine::moment::{MINUTE, Moment};
use crate::engine::option::{DoorSpec, OptionKind, OptionSpec};
use crate::engine::signal::{Class, Metric, Observation, metric};

/// The collector.
pub const SPEC: Spec = Spec {
    door: DoorSpec {
        kind: "proc",
        about: "processes by name; rules that name one watch it too",
        options: &[OptionSpec {
            key: "watch",
            kind: OptionKind::List(&[]),
            about: "names of programs, as in ps -e or as the file is called; at most 256",
        }],
        signals: &["proc.count", "proc.cpu", "proc.rss", "proc.age"],
        check: crate::engine::option::any,
    },
    build: |plan, tell| {
        let mut names = [plan.options.list("watch"), &plan.names].concat();
        names.sort();
        names.dedup();
        if names.len() > NAMES_MAX {
            return Err(format!("{} names are watched, at most {NAMES_MAX} may be", names.len()));
        }
        let cmdlines = Cmdlines::new(argv0(), DEADLINE);
        Ok(Source::Tell(Box::pin(watch(Watch::new(names, tell.clone(), cmdlines)?))))
    },
};

const COUNT: Metric = metric("proc.count");
const CPU: Metric = metric("proc.cpu");
const RSS: Metric = metric("proc.rss");
const AGE: Metric = metric("proc.age");
/// Names that may be watched.
const NAMES_MAX: usize = 256;
/// Processes held by pidfd; the exit of others is seen at the next tick.
const HELD_MAX: usize = 256;
/// Distance of two looks at every process, in nanoseconds.
const FULL_LOOK: i64 = MINUTE;

struct Watch {
    names: Vec<String>,
    instances: Names,
    tell: Tell,
    scan: Scan,
    cmdlines: Cmdlines,
    uptime: HotFile,
    last_full: Option<i64>,
    running: Arc<Mutex<Running>>,
    exits: JoinSet<()>,
}

/// The live processes that belong to a watched name.
type Running = BTreeMap<i32, Process>;

struct Process {
    /// Indices into `names`.
    names: Vec<usize>,
    /// Stays with this process when its number is used again.
    stat: Option<File>,
    started_ticks: u64,
    /// Processor ticks, and when they were read.
    cpu: Option<(u64, i64)>,
}

fn lock(running: &Mutex<Running>) -> MutexGuard<'_, Running> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn watch(mut watch: Watch) {
    let tell = watch.tell.clone();
    let mut last = 0;
    loop {
        tell.next_beat(last).await;
        last = tell.now().mono;
        watch.turn(&tell).await;
    }
}

impl Watch {
    fn new(names: Vec<String>, tell: Tell, cmdlines: Cmdlines) -> Result<Self, String> {
        Ok(Self {
            names,
            instances: Names::new(Class::Proc),
            tell,
            scan: Scan::open()?,
            cmdlines,
            uptime: HotFile::new("/proc/uptime"),
            last_full: None,
            running: Arc::default(),
            exits: JoinSet::new(),
        })
    }

    /// Reads everything and tells it.
    async fn turn(&mut self, tell: &Tell) {
        if self.names.is_empty() {
            return tell.whole(tell.interval(), Vec::new()).await;
        }
        while self.exits.try_join_next().is_some() {}
        let started = tell.now();
        let look = match self.look(started) {
            Ok(look) => look,
            Err(reason) => return tell.failed(tell.interval(), &reason, Vec::new()).await,
        };
        let looked = tell.now().mono - started.mono;
        let argv0 = if look.is_empty() { BTreeMap::new() } else { self.cmdlines.read(&look).await };
        let now = tell.now();
        for pid in look {
            self.place(pid, argv0.get(&pid));
        }
        let batch = self.sum_up(now);
        tell.cost(looked + tell.now().mono - now.mono);
        tell.whole(tell.interval(), batch).await;
    }

    /// The processes to look at; those that have gone are forgotten.
    fn look(&mut self, now: Moment) -> Result<Vec<i32>, String> {
        let full = self.last_full.is_none_or(|last| now.mono - last >= FULL_LOOK);
        let look = self.scan.read(full)?;
        if full {
            self.last_full = Some(now.mono);
        }
        lock(&self.running).retain(|pid, _| self.scan.runs(*pid));
        Ok(look)
    }

    /// Takes a process in when it goes by a watched name; `argv0` is `None` when it could not be read.
    fn place(&mut self, pid: i32, argv0: Option<&String>) {
        let mut names = self.names_of(pid, argv0);
        let known = lock(&self.running).get(&pid).map(|p| p.names.clone());
        if let (Some(before), None) = (&known, argv0) {
            // It went by these names when it last said who it is.
            names.extend(before);
            names.sort_unstable();
            names.dedup();
        }
        if known.as_ref() == Some(&names) {
            return;
        }
        // It is new, or has become another program by exec, or its number another process.
        lock(&self.running).remove(&pid);
        if !names.is_empty() {
            self.take_in(pid, names);
        }
    }

    /// The watched names that a process goes by, as indices.
    fn names_of(&self, pid: i32, argv0: Option<&String>) -> Vec<usize> {
        let Ok(comm) = comm(pid) else { return Vec::new() };
        let mut called = Called { comm, argv0: argv0.cloned().unwrap_or_default(), ..Called::default() };
        if self.names.iter().any(|n| may_be(&called.comm, n)) {
            // Only for our own processes, or with a capability; otherwise argv[0] has to do.
            let exe = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
            called.exe = exe.to_string_lossy().into_owned();
        }
        (0..self.names.len()).filter(|i| called.is(&self.names[*i])).collect()
    }

    /// Enters a process, and has the kernel tell of its exit.
    fn take_in(&mut self, pid: i32, names: Vec<usize>) {
        let held = (self.exits.len() < HELD_MAX).then(|| hold(pid)).flatten();
        // Read after the pidfd was opened: if the process died in between, the pidfd says so.
        let Ok((stat, file)) = Stat::open(pid) else { return };
        if !stat.is_alive() {
            return;
        }
        let (started_ticks, file) = (stat.started_ticks, held.is_some().then_some(file));
        lock(&self.running).insert(pid, Process { names, stat: file, started_ticks, cpu: None });
        if let Some(pidfd) = held {
            let (running, tell) = (Arc::clone(&self.running), self.tell.clone());
            let instances: Vec<_> = self.names.iter().map(|n| self.instances.get(n)).collect();
            self.exits.spawn(async move {
                if pidfd.readable().await.is_err() {
                    return;
                }
                let batch = {
                    let mut running = lock(&running);
                    if running.get(&pid).is_none_or(|p| p.started_ticks != started_ticks) {
                        return;
                    }
                    let names = running.remove(&pid).map(|p| p.names).unwrap_or_default();
                    let left = |name: usize| running.values().filter(|p| p.names.contains(&name)).count();
                    let told = |n: usize| exit(&instances[n], left(n), tell.now(), tell.interval());
                    names.into_iter().map(told).collect()
                };
                tell.some(batch).await;
            });
        }
    }

    /// What the live processes of each name make together.
    fn sum_up(&mut self, now: Moment) -> Vec<Observation> {
        let mut shares = vec![Vec::new(); self.names.len()];
        let mut running = lock(&self.running);
        let uptime = if running.is_empty() { None } else { self.uptime.read().ok().and_then(uptime) };
        running.retain(|pid, process| {
            let Some(share) = process.read(*pid, now, uptime) else { return false };
            process.names.iter().for_each(|n| shares[*n].push(share));
            true
        });
        let seen = self.names.iter().zip(&shares);
        seen.map(|(name, shares)| signals(&self.instances.get(name), shares, now, self.tell.interval()))
            .collect()
    }
}

impl Process {
    /// Reads it; `None` when it lives no more.
    fn read(&mut self, pid: i32, now: Moment, uptime: Option<f64>) -> Option<Share> {
        let stat = match &self.stat {
            Some(file) => Stat::read(file).ok()?,
            None => Stat::open(pid).ok()?.0,
        };
        if !stat.is_alive() || stat.started_ticks != self.started_ticks {
            return None;
        }
        let hertz = rustix::param::clock_ticks_per_second();
        let cpu = (stat.cpu_ticks, now.mono);
        let used = self.cpu.replace(cpu).and_then(|before| cpu_ratio(before, cpu, hertz));
        Some(Share { cpu: used, rss: stat.rss(), age: uptime.and_then(|up| stat.age(up)) })
    }
}

/// A pidfd on the runtime; `None` when the process is gone or the kernel has none left: then ticks must do.
fn hold(pid: i32) -> Option<AsyncFd<OwnedFd>> {
    let pidfd = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::NONBLOCK).ok()?;
    told_by(pidfd, Interest::READABLE).ok()
}

#[cfg(test)]
mod tests;
