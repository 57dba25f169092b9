//! Real children: found, counted, told when they exit, not counted as zombies.

use std::process::{Child, Command, Stdio};

use tokio::sync::mpsc::channel;

use super::*;
use crate::clock::Clock;
use crate::collect::ledger::Ledger;
use crate::collect::spawn;
use crate::collect::tell::Beat;
use crate::collect::tests::{plan, until, values};
use crate::engine::moment::SECOND;

/// A program under a name of its own that sleeps until its input closes.
struct Sleeper {
    child: Child,
}

impl Sleeper {
    fn start(dir: &std::path::Path, name: &str) -> Self {
        let program = dir.join(name);
        if !program.exists() {
            std::fs::copy("/bin/cat", &program).unwrap();
        }
        let child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        Self { child }
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A name that no other test uses, longer than the kernel's `comm`.
fn unique(suffix: &str) -> String {
    format!("sxproc{}-quite-a-long-{suffix}", std::process::id())
}

fn count_is(name: &str, count: f64) -> impl FnMut(&Observation) -> bool {
    let key = format!("proc{{name={name}}}");
    move |o| o.instance.key() == key && o.samples.contains(&(COUNT, Some(count.into())))
}

#[tokio::test]
async fn the_kernel_tells_of_an_exit_before_the_next_tick() {
    let dir = tempfile::tempdir().unwrap();
    let name = unique("exit");
    let (mut one, two) = (Sleeper::start(dir.path(), &name), Sleeper::start(dir.path(), &name));
    let other = Sleeper::start(dir.path(), &unique("exit-other"));
    let (tx, mut rx) = channel(8);
    // The next tick is an hour away: what comes after the first can only have been told.
    let mut hourly = plan(&SPEC, 3600 * SECOND);
    hourly.names = vec![name.clone()];
    let _collectors = spawn(&[hourly], Clock::start(), tx);
    let first = until(&mut rx, count_is(&name, 2.0)).await;
    let key = format!("proc{{name={name}}}");
    assert!(values(&first, &key, RSS)[0] > Some(0.0));
    assert!(values(&first, &key, AGE)[0].is_some());
    assert_eq!(values(&first, &key, CPU), [None], "no processor time at the first reading");

    // Killed and not waited for: a zombie, which is not alive.
    one.child.kill().unwrap();
    until(&mut rx, count_is(&name, 1.0)).await;
    drop(two);
    let last = until(&mut rx, count_is(&name, 0.0)).await;
    assert_eq!(values(&last, &key, RSS), [None]);
    drop((one, other));
}

#[tokio::test]
async fn a_process_that_appears_is_found_at_the_next_tick_and_a_zombie_stays_dead() {
    let dir = tempfile::tempdir().unwrap();
    let name = unique("late");
    let (tx, mut rx) = channel(64);
    let mut quick = plan(&SPEC, SECOND / 5);
    quick.names = vec![name.clone()];
    let _collectors = spawn(&[quick], Clock::start(), tx);
    until(&mut rx, count_is(&name, 0.0)).await;
    let mut sleeper = Sleeper::start(dir.path(), &name);
    until(&mut rx, count_is(&name, 1.0)).await;
    sleeper.child.kill().unwrap();
    until(&mut rx, count_is(&name, 0.0)).await;
    let mut later = Vec::new();
    for _ in 0..3 {
        later.extend(rx.recv().await.unwrap());
    }
    let counts = values(&later, &format!("proc{{name={name}}}"), COUNT);
    assert!(!counts.is_empty() && counts.iter().all(|c| *c == Some(0.0)), "{counts:?}");
}

#[tokio::test]
async fn a_process_whose_command_line_hangs_holds_up_neither_the_others_nor_its_own_count() {
    let dir = tempfile::tempdir().unwrap();
    let name = unique("hangs");
    let (stuck, other) = (Sleeper::start(dir.path(), &name), Sleeper::start(dir.path(), &name));
    let hanging = i32::try_from(stuck.child.id()).unwrap();
    let (gate, never) = std::sync::mpsc::channel::<()>();
    let (never, real) = (Mutex::new(never), argv0());
    let read: cmdline::Argv0 = Arc::new(move |pid| {
        if pid == hanging {
            let _ = never.lock().unwrap().recv();
        }
        real(pid)
    });
    let (tx, mut rx) = channel(8);
    let clock = Clock::start();
    let beat = Beat::new(clock.now().mono, SECOND / 5);
    let tell = Tell { clock, beat, tx, ledger: Arc::new(Mutex::new(Ledger::new("proc"))) };
    let cmdlines = Cmdlines::new(read, std::time::Duration::from_millis(100));
    let task = tokio::spawn(watch(Watch::new(vec![name.clone()], tell, cmdlines).unwrap()));
    // It hangs from the first reading on: the executable says who it is.
    until(&mut rx, count_is(&name, 2.0)).await;
    drop(other);
    until(&mut rx, count_is(&name, 1.0)).await;
    drop(stuck);
    until(&mut rx, count_is(&name, 0.0)).await;
    task.abort();
    drop(gate);
}

#[test]
fn more_names_than_allowed_are_refused() {
    let (tx, _rx) = channel(1);
    let mut many = plan(&SPEC, SECOND);
    many.names = (0..=NAMES_MAX).map(|i| format!("n{i}")).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let collectors = spawn(&[many], Clock::start(), tx);
        tokio::task::yield_now().await;
        let error = collectors.status()[0].error.clone().unwrap();
        assert!(error.contains("at most 256"), "{error}");
    });
}
