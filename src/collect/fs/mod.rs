//! File systems: space, inodes, read-only superblocks, and mounts that hang.
//!
//! A source of its own, because a mount may hang: it reads the table of mounts, lets [`ask`] wait for the
//! numbers, and tells. A change of the table (mount, unmount) is told by the kernel and looked at within a
//! second; everything else at the interval. Invariant: a mount that does not answer has `fs.hung` and no
//! other numbers, and the others have theirs.

mod ask;
mod mounts;

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use self::ask::{Answer, Asker, DEADLINE, Usage, statvfs};
use self::mounts::{Mount, Wanted, select};
use super::reading::{HotFile, ratio, sample, told_by};
use super::{Source, Spec, Tell};
use crate::engine::moment::{Moment, SECOND};
use crate::engine::option::{DoorSpec, OptionKind, OptionSpec};
use crate::engine::signal::{Class, Instance, Metric, Observation, Value, metric};

/// The collector.
pub const SPEC: Spec = Spec {
    door: DoorSpec {
        kind: "fs",
        about: "space, inodes and state of mounted file systems",
        options: &[
            OptionSpec {
                key: "include",
                kind: OptionKind::List(&[]),
                about: "globs on the mount point; when given, only these",
            },
            OptionSpec {
                key: "exclude",
                kind: OptionKind::List(&[
                    "/dev",
                    "/dev/*",
                    "/proc/*",
                    "/run",
                    "/run/*",
                    "/snap/*",
                    "/sys/*",
                    "/var/snap/*",
                    "/var/lib/containers/*",
                    "/var/lib/docker/*",
                    "/var/lib/kubelet/*",
                ]),
                about: "globs on the mount point; these not",
            },
            OptionSpec {
                key: "fstypes",
                kind: OptionKind::List(&[
                    "*",
                    "!autofs",
                    "!binfmt_misc",
                    "!bpf",
                    "!cgroup*",
                    "!configfs",
                    "!debugfs",
                    "!devpts",
                    "!devtmpfs",
                    "!efivarfs",
                    "!fuse.gvfsd-fuse",
                    "!fuse.lxcfs",
                    "!fuse.portal",
                    "!fuse.snapfuse",
                    "!fusectl",
                    "!hugetlbfs",
                    "!iso9660",
                    "!mqueue",
                    "!nsfs",
                    "!overlay",
                    "!proc",
                    "!pstore",
                    "!ramfs",
                    "!rpc_pipefs",
                    "!securityfs",
                    "!selinuxfs",
                    "!squashfs",
                    "!sysfs",
                    "!tracefs",
                ]),
                about: "globs on the file system type; ! excludes, the last that matches decides",
            },
        ],
        signals: &["fs.size", "fs.avail", "fs.used", "fs.inodes_used", "fs.readonly", "fs.hung"],
        check: crate::engine::option::any,
    },
    build: |plan, tell| {
        let fs = Fs {
            file: HotFile::new(MOUNTINFO),
            wanted: Wanted::new(&plan.options),
            asker: Asker::new(statvfs(), DEADLINE),
            instances: BTreeMap::new(),
            too_many: false,
            table: Default::default(),
        };
        Ok(Source::Tell(Box::pin(watch(tell.clone(), fs))))
    },
};

const MOUNTINFO: &str = "/proc/self/mountinfo";
const SIZE: Metric = metric("fs.size");
const AVAIL: Metric = metric("fs.avail");
const USED: Metric = metric("fs.used");
const INODES: Metric = metric("fs.inodes_used");
const READONLY: Metric = metric("fs.readonly");
const HUNG: Metric = metric("fs.hung");
/// Mounts looked at; those after them in the order of paths are left out, with one line in the log.
const MOUNTS_MAX: usize = 256;
/// Least time between a reading and one caused by a change of the table: a host of containers mounts all the
/// time.
const CHANGE_GAP: i64 = SECOND;

struct Fs {
    file: HotFile,
    wanted: Wanted,
    asker: Asker,
    instances: BTreeMap<String, Arc<Instance>>,
    too_many: bool,
    /// The table as last read, and what came of it: it seldom changes.
    table: (String, Arc<[Mount]>),
}

async fn watch(tell: Tell, mut fs: Fs) {
    let changes = File::open(MOUNTINFO).and_then(|f| told_by(f.into(), Interest::PRIORITY)).ok();
    let mut last = 0;
    loop {
        tokio::select! {
            _ = tell.next_beat(last) => {}
            () = changed(changes.as_ref()), if last != 0 => tell.sleep_until(last + CHANGE_GAP).await,
        }
        last = tell.now().mono;
        fs.turn(&tell).await;
    }
}

/// Returns when the table of mounts has changed since the last time.
async fn changed(changes: Option<&AsyncFd<OwnedFd>>) {
    match changes {
        Some(file) => match file.ready(Interest::PRIORITY).await {
            Ok(mut guard) => guard.clear_ready(),
            Err(_) => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

impl Fs {
    async fn turn(&mut self, tell: &Tell) {
        let (interval, started) = (tell.interval(), tell.now());
        let mounts = match self.mounts() {
            Ok(mounts) => mounts,
            Err(reason) => return tell.failed(interval, &reason, Vec::new()).await,
        };
        let reading = tell.now().mono - started.mono;
        let answers = self.asker.ask(mounts.iter().map(|m| m.mount.clone()).collect()).await;
        let now = tell.now();
        self.instances.retain(|mount, _| answers.contains_key(mount));
        let mut seen = |m: &Mount| signals(m, answers.get(&m.mount), self.instance(m), now, interval);
        let batch = mounts.iter().map(&mut seen).collect();
        tell.cost(reading + tell.now().mono - now.mono);
        tell.whole(interval, batch).await;
    }

    /// The wanted mounts, at most [`MOUNTS_MAX`].
    fn mounts(&mut self) -> Result<Arc<[Mount]>, String> {
        let text = self.file.text()?;
        if text != self.table.0 {
            let mut mounts = select(text, &self.wanted);
            if mounts.len() > MOUNTS_MAX && !self.too_many {
                tracing::warn!(
                    mounts = mounts.len(),
                    limit = MOUNTS_MAX,
                    "too many mounts, the rest is not watched"
                );
            }
            self.too_many = mounts.len() > MOUNTS_MAX;
            mounts.truncate(MOUNTS_MAX);
            self.table = (text.to_owned(), mounts.into());
        }
        Ok(Arc::clone(&self.table.1))
    }

    /// The instance of a mount; a new one when its labels have changed.
    fn instance(&mut self, m: &Mount) -> Arc<Instance> {
        if let Some(known) = self.instances.get(&m.mount)
            && known.label("fstype") == m.fstype
            && known.label("device") == m.device
        {
            return Arc::clone(known);
        }
        let labels = [("mount", &*m.mount), ("fstype", &*m.fstype), ("device", &*m.device)];
        let instance = Instance::of(Class::Fs, &labels);
        self.instances.insert(m.mount.clone(), Arc::clone(&instance));
        instance
    }
}

fn signals(
    mount: &Mount,
    answer: Option<&Answer>,
    instance: Arc<Instance>,
    now: Moment,
    interval: i64,
) -> Observation {
    let usage = match answer {
        Some(Answer::Usage(usage)) => Some(usage),
        _ => None,
    };
    let bytes = |blocks: u64, u: &Usage| blocks as f64 * u.block as f64;
    let mut seen = Observation::new(now, instance, interval);
    sample(&mut seen, SIZE, usage.map(|u| bytes(u.blocks, u)));
    sample(&mut seen, AVAIL, usage.map(|u| bytes(u.avail.min(u.blocks), u)));
    sample(&mut seen, USED, usage.and_then(|u| used(u.blocks, u.free, u.avail)));
    sample(&mut seen, INODES, usage.and_then(|u| used(u.files, u.files_free, u.files_avail)));
    let hung = answer == Some(&Answer::Hung);
    // A mount that hangs may well have become read-only: the table of mounts is then not believed.
    seen.samples.push((READONLY, (!hung).then_some(Value::Bool(mount.readonly))));
    seen.samples.push((HUNG, Some(Value::Bool(hung))));
    seen
}

/// As df prints it: what is used of what unprivileged users could use. `None` where there is no limit.
fn used(all: u64, free: u64, avail: u64) -> Option<f64> {
    let used = all.checked_sub(free)? as f64;
    ratio(used, used + avail.min(all) as f64)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use tokio::sync::mpsc::channel;

    use super::*;
    use crate::clock::Clock;
    use crate::collect::ledger::Ledger;
    use crate::collect::tell::Beat;
    use crate::collect::tests::{options, ratio_of, until, values};

    const DATA: &str = "fs{mount=/data}";

    fn seen(answer: Answer) -> Vec<Observation> {
        let text = "41 27 254:16 / /data rw - xfs /dev/vdb ro\n";
        let mounts = select(text, &Wanted::new(&options(&SPEC.door, &[])));
        let instance = Instance::of(Class::Fs, &[("mount", "/data")]);
        vec![signals(&mounts[0], Some(&answer), instance, Moment::at(0), SECOND)]
    }

    #[test]
    fn used_is_as_df_prints_it() {
        let (blocks, free, avail) = (1000, 300, 250);
        let usage = Usage { block: 4096, blocks, free, avail, files: 100, files_free: 75, files_avail: 75 };
        let out = seen(Answer::Usage(usage));
        assert_eq!(ratio_of(&out, DATA, SIZE), 4_096_000.0);
        assert_eq!(ratio_of(&out, DATA, AVAIL), 1_024_000.0);
        assert_eq!(ratio_of(&out, DATA, USED), 700.0 / 950.0);
        assert_eq!(ratio_of(&out, DATA, INODES), 0.25);
        assert_eq!(
            (values(&out, DATA, READONLY), values(&out, DATA, HUNG)),
            (vec![Some(1.0)], vec![Some(0.0)])
        );
    }

    #[test]
    fn file_systems_without_limits_have_no_shares() {
        let out = seen(Answer::Usage(Usage { block: 4096, ..Usage::default() }));
        assert_eq!((values(&out, DATA, USED), values(&out, DATA, INODES)), (vec![None], vec![None]));
        assert_eq!(used(10, 11, 0), None, "more free than there is");
        assert_eq!(used(10, 0, u64::MAX), Some(0.5), "available below zero");
    }

    #[test]
    fn a_refusal_is_not_a_hang() {
        let out = seen(Answer::Refused("no".to_owned()));
        assert_eq!((values(&out, DATA, USED), values(&out, DATA, HUNG)), (vec![None], vec![Some(0.0)]));
        let hung = seen(Answer::Hung);
        assert_eq!((values(&hung, DATA, READONLY), values(&hung, DATA, HUNG)), (vec![None], vec![Some(1.0)]));
    }

    #[tokio::test]
    async fn a_mount_that_hangs_is_told_and_the_others_have_their_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mountinfo");
        std::fs::write(&path, "1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 0:9 / /dead rw - nfs4 b:/ rw\n").unwrap();
        let (stuck, never) = std::sync::mpsc::channel::<()>();
        let never = Mutex::new(never);
        let blocks = move |mount: &str| {
            if mount == "/dead" {
                let _ = never.lock().unwrap().recv();
            }
            Ok(Usage { block: 1, blocks: 4, free: 2, avail: 2, ..Usage::default() })
        };
        let fs = Fs {
            file: HotFile::new(&path),
            wanted: Wanted::new(&options(&SPEC.door, &[])),
            asker: Asker::new(Arc::new(blocks), Duration::from_millis(50)),
            instances: BTreeMap::new(),
            too_many: false,
            table: Default::default(),
        };
        let (tx, mut rx) = channel(8);
        let clock = Clock::start();
        let beat = Beat::new(clock.now().mono, SECOND / 5);
        let tell = Tell { clock, beat, tx, ledger: Arc::new(Mutex::new(Ledger::new("fs"))) };
        let task = tokio::spawn(watch(tell, fs));
        let dead = "fs{mount=/dead}";
        let is_hung =
            |o: &Observation| o.instance.key() == dead && o.samples.contains(&(HUNG, Some(true.into())));
        let first = until(&mut rx, is_hung).await;
        assert_eq!((ratio_of(&first, "fs{mount=/}", USED), values(&first, dead, USED)), (0.5, vec![None]));
        drop(stuck);
        until(&mut rx, |o| o.instance.key() == dead && o.samples.contains(&(HUNG, Some(false.into())))).await;
        std::fs::write(&path, "1 0 8:1 / / rw - ext4 /dev/a rw\n").unwrap();
        until(&mut rx, |o| o.instance.key() == dead && o.gone).await;
        task.abort();
    }

    /// A mount of the test's own, taken away at the end whatever happens.
    struct Scratch(tempfile::TempDir);

    impl Scratch {
        fn mount() -> Option<Self> {
            let dir = tempfile::tempdir().unwrap();
            let mut mount = std::process::Command::new("mount");
            mount.args(["-t", "tmpfs", "-o", "size=64k", "sexton-test"]).arg(dir.path());
            let mounted = mount.output().is_ok_and(|output| output.status.success());
            if !mounted {
                eprintln!("left out: mounting is not allowed here");
            }
            mounted.then_some(Self(dir))
        }

        fn unmount(&self) {
            let _ = std::process::Command::new("umount").arg(self.0.path()).output();
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            self.unmount();
        }
    }

    #[tokio::test]
    async fn the_kernel_tells_of_mounts_before_the_next_tick() {
        let (tx, mut rx) = channel(8);
        let hourly = crate::collect::tests::plan(&SPEC, 3600 * SECOND);
        let _collectors = crate::collect::spawn(&[hourly], Clock::start(), tx);
        until(&mut rx, |o| o.instance.key() == "sexton{part=collector,name=fs}").await;
        let Some(scratch) = Scratch::mount() else { return };
        let here = scratch.0.path().display().to_string();
        let seen = until(&mut rx, |o| o.instance.name() == here && !o.gone).await;
        assert_eq!(values(&seen, &format!("fs{{mount={here}}}"), SIZE), [Some(65_536.0)]);
        scratch.unmount();
        until(&mut rx, |o| o.instance.name() == here && o.gone).await;
    }
}
