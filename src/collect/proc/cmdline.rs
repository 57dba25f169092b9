//! `argv[0]` of processes, without ever waiting for one that does not give it.
//!
//! Reading `/proc/PID/cmdline` takes the lock of that process's address space. A process that hangs in a page
//! fault (a dead network mount, a failing disk) may hold it, and then the reader hangs with it. So a task on
//! the blocking pool reads one process after the other; when it stops getting on, it is left where it is and
//! another goes on behind. Invariants: a process has at most one call outstanding and is passed over until
//! that one returns; at most [`STUCK_MAX`] calls are outstanding, so that the pool keeps threads for others.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::super::stat::head;

/// How long a process may take; one that takes up to twice as long may still get away with it.
pub(super) const DEADLINE: Duration = Duration::from_millis(500);
/// Calls that may hang; with so many, no process is read before one returns.
const STUCK_MAX: usize = 4;

/// Reads `argv[0]` of a process, empty when there is none; or what stands for that in a test.
pub(super) type Argv0 = Arc<dyn Fn(i32) -> String + Send + Sync>;

/// The real one.
pub(super) fn argv0() -> Argv0 {
    Arc::new(|pid| {
        let line = File::open(format!("/proc/{pid}/cmdline")).and_then(|file| head(&file));
        line.map_or_else(|_| String::new(), |line| line.split('\0').next().unwrap_or_default().to_owned())
    })
}

/// What a task on the pool is at.
#[derive(Default)]
struct Round {
    /// What was read so far, in the order asked; the task is at the one behind it.
    said: Vec<String>,
    abandoned: bool,
}

fn lock(round: &Mutex<Round>) -> MutexGuard<'_, Round> {
    round.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads `argv[0]` of many processes.
pub(super) struct Cmdlines {
    argv0: Argv0,
    deadline: Duration,
    /// Processes whose call has not returned, each with the task that waits for it.
    stuck: BTreeMap<i32, JoinHandle<()>>,
}

impl Cmdlines {
    /// Reads by `argv0`, waiting `deadline` for each process.
    pub fn new(argv0: Argv0, deadline: Duration) -> Self {
        Self { argv0, deadline, stuck: BTreeMap::new() }
    }

    /// `argv[0]` of each process; those that do not give it in time, now or earlier, are not in the answer.
    pub async fn read(&mut self, pids: &[i32]) -> BTreeMap<i32, String> {
        self.stuck.retain(|_, task| !task.is_finished());
        let mut known = BTreeMap::new();
        let mut left: Vec<_> = pids.iter().copied().filter(|pid| !self.stuck.contains_key(pid)).collect();
        while !left.is_empty() && self.stuck.len() < STUCK_MAX {
            let said = self.round(&left).await;
            let behind = left.split_off(said.len());
            known.extend(left.into_iter().zip(said));
            // The first of them is stuck.
            left = behind.into_iter().skip(1).collect();
        }
        known
    }

    /// Reads in turn until the end, or until one is stuck: the one behind the last that is returned.
    async fn round(&mut self, pids: &[i32]) -> Vec<String> {
        let round = Arc::new(Mutex::new(Round::default()));
        let mut task = self.start(pids.to_vec(), Arc::clone(&round));
        let mut before = 0;
        loop {
            let ended = tokio::time::timeout(self.deadline, &mut task).await.is_ok();
            let mut turn = lock(&round);
            if ended || turn.said.len() == pids.len() {
                return std::mem::take(&mut turn.said);
            }
            if turn.said.len() == before {
                turn.abandoned = true;
                let pid = pids[before];
                tracing::warn!(pid, "the command line of a process cannot be read in time: its comm must do");
                // Without effect, unless the pool has not had a thread for it yet.
                task.abort();
                self.stuck.insert(pid, task);
                return std::mem::take(&mut turn.said);
            }
            before = turn.said.len();
        }
    }

    fn start(&self, pids: Vec<i32>, round: Arc<Mutex<Round>>) -> JoinHandle<()> {
        let argv0 = Arc::clone(&self.argv0);
        tokio::task::spawn_blocking(move || {
            for pid in pids {
                let said = argv0(pid);
                let mut round = lock(&round);
                if round.abandoned {
                    return;
                }
                round.said.push(said);
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Condvar;

    use super::*;

    /// Processes from 100 on answer when the gate opens; it opens at the end, or the runtime would wait.
    #[derive(Default)]
    struct Gate {
        open: Mutex<bool>,
        changed: Condvar,
        calls: Mutex<Vec<i32>>,
    }

    struct Opens(Arc<Gate>);

    impl Drop for Opens {
        fn drop(&mut self) {
            *self.0.open.lock().unwrap() = true;
            self.0.changed.notify_all();
        }
    }

    fn gated() -> (Opens, Cmdlines) {
        let gate = Arc::new(Gate::default());
        let opens = Opens(Arc::clone(&gate));
        let argv0: Argv0 = Arc::new(move |pid| {
            gate.calls.lock().unwrap().push(pid);
            if pid >= 100 {
                let open = gate.open.lock().unwrap();
                drop(gate.changed.wait_while(open, |open| !*open).unwrap());
            }
            format!("p{pid}")
        });
        (opens, Cmdlines::new(argv0, Duration::from_millis(100)))
    }

    #[tokio::test]
    async fn a_stuck_process_is_asked_once_until_it_answers_and_delays_nobody() {
        let (gate, mut cmdlines) = gated();
        for _ in 0..3 {
            let said = cmdlines.read(&[1, 100, 2, 101, 3]).await;
            assert_eq!(said, [1, 2, 3].map(|pid| (pid, format!("p{pid}"))).into());
            assert!(cmdlines.stuck.keys().eq(&[100, 101]));
        }
        let calls = |pid| gate.0.calls.lock().unwrap().iter().filter(|p| **p == pid).count();
        assert_eq!((calls(1), calls(100), calls(101), calls(3)), (3, 1, 1, 3));
        *gate.0.open.lock().unwrap() = true;
        gate.0.changed.notify_all();
        let mut tries = 0;
        while cmdlines.read(&[1, 100, 2, 101]).await.len() < 4 {
            tries += 1;
            assert!(tries < 10_000, "the process answers again and is still passed over");
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn no_more_calls_hang_than_allowed() {
        let (gate, mut cmdlines) = gated();
        let many: Vec<i32> = (100..120).collect();
        assert!(cmdlines.read(&many).await.is_empty());
        assert!(cmdlines.read(&many).await.is_empty());
        assert_eq!((cmdlines.stuck.len(), gate.0.calls.lock().unwrap().len()), (STUCK_MAX, STUCK_MAX));
    }

    #[tokio::test]
    async fn our_own_command_line_is_read_and_a_missing_one_is_empty() {
        let me = i32::try_from(std::process::id()).unwrap();
        let said = Cmdlines::new(argv0(), DEADLINE).read(&[me, i32::MAX]).await;
        assert_eq!(Some(&said[&me]), std::env::args().next().as_ref());
        assert_eq!(said[&i32::MAX], "");
    }
}
