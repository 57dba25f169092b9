//! One attempt at a reload, beside the loop: each step a function with a typed result, each bounded in time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::mpsc;

use crate::config::Config;
use crate::config::difference::Difference;
use crate::daemon::past;
use crate::engine::core::Engine;
use crate::engine::foresee::Outlook;
use crate::engine::moment::Moment;
use crate::engine::rules;
use crate::engine::signal::Instance;
use crate::history::Asker;

/// Longest time for reading, compiling and linting the files.
const READ_MOST: Duration = Duration::from_secs(30);
/// Longest time for the tests that are due.
const TESTS_MOST: Duration = Duration::from_secs(30);
/// How long a test that is told to stop may take to do so.
const TESTS_STOP: Duration = Duration::from_secs(5);
/// Longest time for reading the history: new windows then begin with what was read.
const FILL_MOST: Duration = Duration::from_secs(20);

/// Reads the configuration; the error is the whole message for a person.
pub type Load = Arc<dyn Fn() -> Result<Config, String> + Send + Sync>;
/// Plays the tests of the second configuration that may turn out otherwise than under the first, for as long
/// as the function lets. Gives the number of tests; the error is the whole message for a person.
pub type Prove = Arc<dyn Fn(&Config, &Config, &dyn Fn() -> bool) -> Result<usize, String> + Send + Sync>;

/// What the attempt under way has come to.
pub enum Stage {
    /// The configuration was read and tested.
    Prepared(Prepared),
    /// It was tried out.
    Foreseen(Box<Proposal>),
}

/// A configuration that was read.
pub enum Prepared {
    /// It means what the one in force means.
    Same,
    /// It can be tried out.
    Proposal(Box<Proposal>),
    /// It cannot be used.
    Refused(Refused),
}

/// A configuration that passed its tests, with its plan made ready.
pub struct Proposal {
    pub seen: Seen,
    pub plan: rules::Prepared,
}

/// What is known of a configuration that may be put in force.
pub struct Seen {
    pub config: Arc<Config>,
    pub difference: Difference,
    /// Tests that were played.
    pub tests: usize,
    /// What it would do, once it was tried out.
    pub outlook: Outlook,
}

/// Part of an attempt that can refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    Read,
    Tests,
    Limit,
}

/// Why a configuration is not put in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub step: Part,
    /// The whole message for a person.
    pub message: String,
}

/// Whether a thread still reads files for an earlier attempt: on a dead mount it may do so for ever, and the
/// next attempt must not leave another one behind.
#[derive(Clone, Default)]
pub struct Reading(Arc<AtomicBool>);

/// Held by the thread that reads.
pub(super) struct Reader(Arc<AtomicBool>);

impl Reading {
    pub(super) fn begin(&self) -> Result<Reader, Refused> {
        if self.0.swap(true, Ordering::Relaxed) {
            let message = "an earlier reading of the configuration still hangs: is a file on a dead mount?";
            return Err(refused(Part::Read, message.to_owned()));
        }
        Ok(Reader(Arc::clone(&self.0)))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// What an attempt is made with.
#[derive(Clone)]
pub struct Tools {
    pub load: Load,
    pub prove: Prove,
    pub reading: Reading,
}

/// Reads, tests and compares on the blocking pool.
pub fn prepare(tools: Tools, in_force: Arc<Config>, tx: mpsc::Sender<Stage>) {
    tokio::spawn(async move {
        let stage = Stage::Prepared(prepared(tools, in_force).await.unwrap_or_else(Prepared::Refused));
        // The loop has ended: nobody wants to know.
        let _ = tx.send(stage).await;
    });
}

async fn prepared(tools: Tools, in_force: Arc<Config>) -> Result<Prepared, Refused> {
    let (config, reader) = read(tools.load, tools.reading.begin()?).await?;
    if config.hash == in_force.hash && config.tests == in_force.tests {
        return Ok(Prepared::Same);
    }
    let (config, tests) = tested(tools.prove, Arc::clone(&in_force), config, reader).await?;
    let made = tokio::task::spawn_blocking(move || {
        let difference = Difference::between(&in_force, &config);
        let plan = rules::Prepared::new(Arc::clone(&config.plan));
        let (config, outlook) = (Arc::new(config), Outlook::default());
        Proposal { seen: Seen { config, difference, tests, outlook }, plan }
    });
    let proposal = made.await.map_err(|e| refused(Part::Read, format!("cannot compare it: {e}")))?;
    Ok(Prepared::Proposal(Box::new(proposal)))
}

fn refused(step: Part, message: String) -> Refused {
    Refused { step, message }
}

/// Parse, compile and lint.
async fn read(load: Load, reader: Reader) -> Result<(Config, Reader), Refused> {
    let read = tokio::task::spawn_blocking(move || (load(), reader));
    let why = match tokio::time::timeout(READ_MOST, read).await {
        Ok(Ok((Ok(config), reader))) => return Ok((config, reader)),
        Ok(Ok((Err(message), _))) => message,
        Ok(Err(error)) => format!("reading the configuration failed: {error}"),
        Err(_) => {
            let most = READ_MOST.as_secs();
            format!("reading the configuration takes longer than {most} s: is a file on a dead mount?")
        }
    };
    Err(refused(Part::Read, why))
}

/// The rules' own tests. One that reads a file from a dead mount is left behind.
async fn tested(
    prove: Prove,
    in_force: Arc<Config>,
    config: Config,
    reader: Reader,
) -> Result<(Config, usize), Refused> {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let mut tests = tokio::task::spawn_blocking(move || {
        let played = prove(&in_force, &config, &|| !stopped.load(Ordering::Relaxed));
        drop(reader);
        played.map(|tests| (config, tests))
    });
    let mut played = tokio::time::timeout(TESTS_MOST, &mut tests).await;
    if played.is_err() {
        stop.store(true, Ordering::Relaxed);
        played = tokio::time::timeout(TESTS_STOP, &mut tests).await;
    }
    let why = match played {
        Ok(Ok(Ok(played))) => return Ok(played),
        Ok(Ok(Err(message))) => message,
        Ok(Err(error)) => format!("playing the tests failed: {error}"),
        Err(_) => "a test does not end: is a file that it names on a dead mount?".to_owned(),
    };
    Err(refused(Part::Tests, why))
}

/// Fills new windows from the history and tries the plan out on a copy of the engine, on the blocking pool.
/// With the configuration `lost` is seen no more.
pub fn try_out(
    mut proposal: Box<Proposal>,
    copy: Engine,
    lost: Vec<Arc<Instance>>,
    now: Moment,
    history: Asker,
    tx: mpsc::Sender<Stage>,
) {
    let runtime = tokio::runtime::Handle::current();
    tokio::spawn(async move {
        let tried = tokio::task::spawn_blocking(move || {
            let plan = &mut proposal.plan;
            let wants = copy.rules.wants_of_history(plan);
            if !wants.is_empty() {
                let read = past::read(&history, wants, now, |seen| plan.recall(seen));
                let _ = runtime.block_on(async { tokio::time::timeout(FILL_MOST, read).await });
            }
            proposal.seen.outlook = copy.foresee(now, plan.clone(), &lost);
            Stage::Foreseen(proposal)
        });
        let stage = match tried.await {
            Ok(stage) => stage,
            Err(error) => {
                let message = format!("trying the configuration out failed: {error}");
                Stage::Prepared(Prepared::Refused(refused(Part::Limit, message)))
            }
        };
        let _ = tx.send(stage).await;
    });
}
