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
use crate::history::Asker;

/// Longest time for reading, compiling and linting the files.
const READ_MOST: Duration = Duration::from_secs(30);
/// Longest time for the tests that are due.
const TESTS_MOST: Duration = Duration::from_secs(30);

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
    Foreseen(Box<Candidate>),
}

/// A configuration that was read.
pub enum Prepared {
    /// It means what the one in force means.
    Same,
    /// It can be tried out.
    Candidate(Box<Candidate>),
    /// It cannot be used.
    Refused(Refused),
}

/// A configuration that passed its tests, with its plan made ready.
pub struct Candidate {
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

/// Reads, tests and compares on the blocking pool.
pub fn prepare(load: Load, prove: Prove, in_force: Arc<Config>, tx: mpsc::Sender<Stage>) {
    tokio::spawn(async move {
        let stage = Stage::Prepared(prepared(load, prove, in_force).await.unwrap_or_else(Prepared::Refused));
        // The loop has ended: nobody wants to know.
        let _ = tx.send(stage).await;
    });
}

async fn prepared(load: Load, prove: Prove, in_force: Arc<Config>) -> Result<Prepared, Refused> {
    let config = read(load).await?;
    if config.hash == in_force.hash && config.tests == in_force.tests {
        return Ok(Prepared::Same);
    }
    let (config, tests) = tested(prove, Arc::clone(&in_force), config).await?;
    let made = tokio::task::spawn_blocking(move || {
        let difference = Difference::between(&in_force, &config);
        let plan = rules::Prepared::new(Arc::clone(&config.plan));
        let (config, outlook) = (Arc::new(config), Outlook::default());
        Candidate { seen: Seen { config, difference, tests, outlook }, plan }
    });
    let candidate = made.await.map_err(|e| refused(Part::Read, format!("cannot compare it: {e}")))?;
    Ok(Prepared::Candidate(Box::new(candidate)))
}

fn refused(step: Part, message: String) -> Refused {
    Refused { step, message }
}

/// Parse, compile and lint.
async fn read(load: Load) -> Result<Config, Refused> {
    let read = tokio::time::timeout(READ_MOST, tokio::task::spawn_blocking(move || load())).await;
    let late = || {
        format!(
            "reading the configuration takes longer than {} s: is a file on a dead mount?",
            READ_MOST.as_secs()
        )
    };
    match read {
        Ok(Ok(config)) => config.map_err(|message| refused(Part::Read, message)),
        Ok(Err(error)) => Err(refused(Part::Read, format!("reading the configuration failed: {error}"))),
        Err(_) => Err(refused(Part::Read, late())),
    }
}

/// The rules' own tests.
async fn tested(prove: Prove, in_force: Arc<Config>, config: Config) -> Result<(Config, usize), Refused> {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let mut tests = tokio::task::spawn_blocking(move || {
        let played = prove(&in_force, &config, &|| !stopped.load(Ordering::Relaxed));
        played.map(|tests| (config, tests))
    });
    let played = match tokio::time::timeout(TESTS_MOST, &mut tests).await {
        Ok(played) => played,
        Err(_) => {
            stop.store(true, Ordering::Relaxed);
            tests.await
        }
    };
    match played {
        Ok(played) => played.map_err(|message| refused(Part::Tests, message)),
        Err(error) => Err(refused(Part::Tests, format!("playing the tests failed: {error}"))),
    }
}

/// Fills new windows from the history and tries the plan out on a copy of the engine, on the blocking pool.
pub fn try_out(
    mut candidate: Box<Candidate>,
    copy: Engine,
    now: Moment,
    history: Asker,
    tx: mpsc::Sender<Stage>,
) {
    let runtime = tokio::runtime::Handle::current();
    tokio::spawn(async move {
        let tried = tokio::task::spawn_blocking(move || {
            let plan = &mut candidate.plan;
            let wants = copy.rules.wants_of_history(plan);
            if !wants.is_empty() {
                runtime.block_on(past::read(&history, wants, now, |seen| plan.recall(seen)));
            }
            candidate.seen.outlook = copy.foresee(now, plan.clone());
            Stage::Foreseen(candidate)
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
