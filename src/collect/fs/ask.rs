//! Asks file systems for their numbers without ever waiting for one that does not answer.
//!
//! `statvfs` on a dead network mount blocks for ever and cannot be interrupted. One worker thread asks all
//! mounts in turn; when it stops answering, it is left to its fate, and the mounts behind the one it hangs on
//! each get a thread of their own. A mount has at most one call outstanding and is not asked again until that
//! one returns. Threads that hang are thus never more than mounts. A round that goes well wakes the asker
//! once, however many mounts it has. Must not know what the numbers mean.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// How long a mount may take to answer; one that takes up to twice as long may still get away with it.
pub(super) const DEADLINE: Duration = Duration::from_secs(1);
/// Stack of a thread that does nothing but one system call at a time.
const STACK: usize = 128 << 10;

/// What a file system says of itself; blocks and inodes are counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// Bytes per block.
    pub block: u64,
    /// Blocks in all.
    pub blocks: u64,
    /// Free blocks.
    pub free: u64,
    /// Blocks that an unprivileged user may still fill.
    pub avail: u64,
    /// Inodes in all; 0 where there is no such limit.
    pub files: u64,
    /// Free inodes.
    pub files_free: u64,
    /// Inodes that an unprivileged user may still make.
    pub files_avail: u64,
}

/// What came of asking a mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Its numbers.
    Usage(Usage),
    /// It refused.
    Refused(String),
    /// It did not answer in time, now or at an earlier asking.
    Hung,
}

/// The system call, or what stands for it in a test.
pub(super) type Statvfs = Arc<dyn Fn(&str) -> Result<Usage, String> + Send + Sync>;

/// The system call.
pub(super) fn statvfs() -> Statvfs {
    Arc::new(|mount| {
        let s = rustix::fs::statvfs(mount).map_err(|e| format!("statvfs {mount}: {e}"))?;
        Ok(Usage {
            block: s.f_frsize,
            blocks: s.f_blocks,
            free: s.f_bfree,
            avail: s.f_bavail,
            files: s.f_files,
            files_free: s.f_ffree,
            files_avail: s.f_favail,
        })
    })
}

/// One round of the worker: which mounts, and how far it is.
struct Round {
    mounts: Vec<String>,
    turn: Mutex<Turn>,
}

#[derive(Default)]
struct Turn {
    /// What was said so far, in the order of the mounts; the worker is at the one behind it.
    said: Vec<Said>,
    abandoned: bool,
}

impl Round {
    fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks every mount and notes what they say. Returns the late answer of the mount that the asker gave up.
    fn run(&self, statvfs: &Statvfs) -> Vec<Said> {
        for mount in &self.mounts {
            let said = (mount.clone(), statvfs(mount));
            let mut turn = self.turn();
            if turn.abandoned {
                return vec![said];
            }
            turn.said.push(said);
        }
        Vec::new()
    }

    /// What has been said so far.
    fn said(&self) -> Vec<Said> {
        self.turn().said.clone()
    }

    /// How many mounts have spoken.
    fn progress(&self) -> usize {
        self.turn().said.len()
    }

    /// Leaves the worker alone with the mount it is at; returns what the others before it said.
    fn abandon(&self) -> Vec<Said> {
        let mut turn = self.turn();
        turn.abandoned = true;
        turn.said.clone()
    }
}

type Said = (String, Result<Usage, String>);

/// Asks mounts.
pub(super) struct Asker {
    statvfs: Statvfs,
    deadline: Duration,
    worker: Option<Sender<Arc<Round>>>,
    /// Mounts with a call under way.
    outstanding: BTreeSet<String>,
    tx: UnboundedSender<Vec<Said>>,
    rx: UnboundedReceiver<Vec<Said>>,
}

impl Asker {
    /// Asks by `statvfs`, waiting `deadline` for each.
    pub fn new(statvfs: Statvfs, deadline: Duration) -> Self {
        let (tx, rx) = unbounded_channel();
        Self { statvfs, deadline, worker: None, outstanding: BTreeSet::new(), tx, rx }
    }

    /// The answer of each mount.
    pub async fn ask(&mut self, mounts: Vec<String>) -> BTreeMap<String, Answer> {
        while let Ok(late) = self.rx.try_recv() {
            for (mount, _) in late {
                self.outstanding.remove(&mount);
            }
        }
        let (hung, mounts): (Vec<_>, Vec<_>) = mounts.into_iter().partition(|m| self.outstanding.contains(m));
        let mut answers: BTreeMap<_, _> = hung.into_iter().map(|m| (m, Answer::Hung)).collect();
        if mounts.is_empty() {
            return answers;
        }
        let round = Arc::new(Round { mounts, turn: Mutex::default() });
        self.outstanding.extend(round.mounts.iter().cloned());
        if let Err(reason) = self.hand_over(&round) {
            round.mounts.iter().for_each(|m| self.refuse(m, &reason, &mut answers));
            return answers;
        }
        self.hear(&round.mounts, Some(&round), &mut answers).await;
        let silent = |answers: &BTreeMap<String, Answer>| -> Vec<String> {
            round.mounts.iter().filter(|m| !answers.contains_key(*m)).cloned().collect()
        };
        if !silent(&answers).is_empty() {
            self.take(round.abandon(), &mut answers);
            self.worker = None;
            // The first of them is the one that the worker is at.
            let behind: Vec<_> = silent(&answers).into_iter().skip(1).collect();
            for mount in &behind {
                if let Err(reason) = self.ask_apart(mount) {
                    self.refuse(mount, &reason, &mut answers);
                }
            }
            self.hear(&behind, None, &mut answers).await;
        }
        answers.extend(silent(&answers).into_iter().map(|m| (m, Answer::Hung)));
        answers
    }

    /// Takes answers until `mounts` have all spoken, or for the length of a deadline none has. Of a round the
    /// worker says when it has ended.
    async fn hear(
        &mut self,
        mounts: &[String],
        round: Option<&Round>,
        answers: &mut BTreeMap<String, Answer>,
    ) {
        let mut before = 0;
        while !mounts.iter().all(|m| answers.contains_key(m)) {
            let heard = tokio::time::timeout(self.deadline, self.rx.recv()).await;
            let progress = round.map_or(0, Round::progress);
            match heard {
                Ok(Some(said)) => self.take(said, answers),
                Ok(None) => return,
                Err(_) if progress == before => return,
                Err(_) => before = progress,
            }
            if let Some(round) = round.filter(|r| progress == r.mounts.len()) {
                self.take(round.said(), answers);
            }
        }
    }

    fn take(&mut self, said: Vec<Said>, answers: &mut BTreeMap<String, Answer>) {
        for (mount, said) in said {
            self.outstanding.remove(&mount);
            answers.insert(mount, said.map_or_else(Answer::Refused, Answer::Usage));
        }
    }

    fn refuse(&mut self, mount: &str, reason: &str, answers: &mut BTreeMap<String, Answer>) {
        self.outstanding.remove(mount);
        answers.insert(mount.to_owned(), Answer::Refused(reason.to_owned()));
    }

    /// Gives the round to the worker; starts one if there is none.
    fn hand_over(&mut self, round: &Arc<Round>) -> Result<(), String> {
        if self.worker.as_ref().is_some_and(|w| w.send(Arc::clone(round)).is_ok()) {
            return Ok(());
        }
        let (to_worker, rounds) = channel();
        let (statvfs, tx) = (Arc::clone(&self.statvfs), self.tx.clone());
        start(move || work(&rounds, &statvfs, &tx))?;
        to_worker.send(Arc::clone(round)).map_err(|_| "the thread that asks mounts has ended".to_owned())?;
        self.worker = Some(to_worker);
        Ok(())
    }

    fn ask_apart(&self, mount: &str) -> Result<(), String> {
        let (statvfs, tx, mount) = (Arc::clone(&self.statvfs), self.tx.clone(), mount.to_owned());
        start(move || {
            let said = statvfs(&mount);
            // Nobody hears it when the collector has ended meanwhile.
            let _ = tx.send(vec![(mount, said)]);
        })
    }
}

fn work(rounds: &Receiver<Arc<Round>>, statvfs: &Statvfs, tx: &UnboundedSender<Vec<Said>>) {
    while let Ok(round) = rounds.recv() {
        if tx.send(round.run(statvfs)).is_err() {
            return;
        }
    }
}

fn start(body: impl FnOnce() + Send + 'static) -> Result<(), String> {
    let thread = thread::Builder::new().name("statvfs".to_owned()).stack_size(STACK);
    thread.spawn(body).map(drop).map_err(|e| format!("cannot start a thread: {e}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Condvar;

    use super::*;

    /// Mounts whose names begin with `dead` answer when the gate opens.
    #[derive(Default)]
    struct Gate {
        open: Mutex<bool>,
        changed: Condvar,
        calls: Mutex<Vec<String>>,
    }

    impl Gate {
        fn statvfs(self: &Arc<Self>) -> Statvfs {
            let gate = Arc::clone(self);
            Arc::new(move |mount| {
                gate.calls.lock().unwrap().push(mount.to_owned());
                if mount.starts_with("dead") {
                    let open = gate.open.lock().unwrap();
                    drop(gate.changed.wait_while(open, |open| !*open).unwrap());
                }
                if mount == "odd" {
                    Err("refused".to_owned())
                } else {
                    Ok(Usage { blocks: 7, ..Usage::default() })
                }
            })
        }

        fn open(&self) {
            *self.open.lock().unwrap() = true;
            self.changed.notify_all();
        }

        fn calls(&self, mount: &str) -> usize {
            self.calls.lock().unwrap().iter().filter(|m| *m == mount).count()
        }
    }

    fn names(mounts: &[&str]) -> Vec<String> {
        mounts.iter().map(|m| (*m).to_owned()).collect()
    }

    #[tokio::test]
    async fn a_hung_mount_is_asked_once_until_it_answers_and_delays_nobody() {
        let gate = Arc::new(Gate::default());
        let mut asker = Asker::new(gate.statvfs(), Duration::from_millis(100));
        let mounts = names(&["a", "dead1", "b", "dead2", "odd"]);
        for _ in 0..3 {
            let answers = asker.ask(mounts.clone()).await;
            let good = Answer::Usage(Usage { blocks: 7, ..Usage::default() });
            assert_eq!((&answers["a"], &answers["b"]), (&good, &good));
            assert_eq!(answers["odd"], Answer::Refused("refused".to_owned()));
            assert_eq!((&answers["dead1"], &answers["dead2"]), (&Answer::Hung, &Answer::Hung));
        }
        assert_eq!((gate.calls("dead1"), gate.calls("dead2"), gate.calls("a")), (1, 1, 3));

        gate.open();
        let mut tries = 0;
        while asker.ask(mounts.clone()).await.values().any(|a| *a == Answer::Hung) {
            tries += 1;
            assert!(tries < 1000, "the mount answers again and is still called hung");
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_round_that_goes_well_is_told_in_one_word() {
        let gate = Arc::new(Gate::default());
        let mut asker = Asker::new(gate.statvfs(), DEADLINE);
        let round = Round { mounts: names(&["a", "odd", "b"]), turn: Mutex::default() };
        assert_eq!(round.run(&asker.statvfs), [], "what was said is in the round, not in the word");
        assert_eq!(round.progress(), 3);
        assert_eq!(asker.ask(names(&["a", "odd", "b"])).await.len(), 3);
        assert!(asker.rx.try_recv().is_err() && asker.outstanding.is_empty());
    }

    #[tokio::test]
    async fn a_worker_that_was_given_up_tells_its_late_answer_and_asks_nobody_else() {
        let gate = Arc::new(Gate::default());
        let round = Round { mounts: names(&["a", "b"]), turn: Mutex::default() };
        assert_eq!(round.abandon(), []);
        let late = round.run(&gate.statvfs());
        assert_eq!((late.len(), &*late[0].0, gate.calls("b")), (1, "a", 0));
    }

    #[tokio::test]
    async fn the_real_call_knows_the_root() {
        let mut asker = Asker::new(statvfs(), DEADLINE);
        let answers = asker.ask(names(&["/", "/no/such/mount"])).await;
        assert!(matches!(&answers["/"], Answer::Usage(u) if u.blocks > 0 && u.block > 0));
        assert!(matches!(&answers["/no/such/mount"], Answer::Refused(_)));
    }
}
