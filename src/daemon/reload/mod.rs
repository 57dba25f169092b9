//! A reload as a transaction: read → tests → difference → outlook → verdict → swap.
//!
//! Everything before the swap runs beside the loop, which goes on collecting, judging and committing; only
//! the copy of the engine that the outlook is tried out on and the swap itself are made between two turns.
//! One attempt runs at a time. What is asked meanwhile waits, asks of one kind as one, and is answered by an
//! attempt that began after it; an attempt that is outdated by then is given up, unless that has happened too
//! often in a row. What is refused leaves the old set in force and becomes a signal of our own. This room
//! must not know how a rule is judged or a test is played: it is given functions.

mod attempt;
mod report;
#[cfg(test)]
mod tests;
mod text;

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::{Daemon, own};
use crate::config::Config;
use crate::control::{Answer, Refusal, ReloadMode};
use crate::engine::effect::Step;
use crate::engine::signal::{Instance, Observation};

pub(super) use attempt::Stage;
pub use attempt::{Load, Prove};
use attempt::{Part, Prepared, Proposal, Reading, Refused, Seen, Tools};
use report::Outcome;
pub(super) use report::Report;

/// Attempts in a row that may be given up because something newer waits; then one is carried through, so that
/// a directory that never rests is read at last.
const OUTDATED_MOST: u32 = 3;
/// Most callers that wait for one attempt; more are told to ask again.
const CALLERS_MOST: usize = 64;
/// Most observations kept for windows that begin with a swap; beyond it they have a gap there.
const OVERHEARD_MOST: usize = 65_536;

/// What is asked of a reload, and who waits for its answer.
#[derive(Debug)]
struct Asked {
    mode: ReloadMode,
    callers: Vec<oneshot::Sender<Answer>>,
}

/// Attempts: the one that runs, and those that wait.
pub(super) struct Reloads {
    running: Option<Asked>,
    waiting: VecDeque<Asked>,
    outdated: u32,
    /// Where attempts put what they have come to.
    stages: (mpsc::Sender<Stage>, mpsc::Receiver<Stage>),
    /// What was observed since the copy of the engine was made.
    overheard: Option<Vec<Observation>>,
    /// The last one that came to an end, dry runs apart.
    pub(super) last: Option<Report>,
    tools: Tools,
}

impl Reloads {
    pub(super) fn new(load: Load, prove: Prove) -> Self {
        let (running, waiting, overheard, last) = (None, VecDeque::new(), None, None);
        let tools = Tools { load, prove, reading: Reading::default() };
        Self { running, waiting, outdated: 0, stages: mpsc::channel(1), overheard, last, tools }
    }

    /// Completes when the attempt under way has come to its next stage.
    pub(super) async fn stage(&mut self) -> Stage {
        match self.stages.1.recv().await {
            Some(stage) => stage,
            None => std::future::pending().await,
        }
    }

    /// Notes what is observed while an attempt tries its plan out.
    pub(super) fn overhear(&mut self, batches: &[Vec<Observation>]) {
        if let Some(kept) = &mut self.overheard {
            let room = OVERHEARD_MOST.saturating_sub(kept.len());
            kept.extend(batches.iter().flatten().take(room).cloned());
        }
    }

    /// Puts an ask in the line.
    fn enqueue(&mut self, mode: ReloadMode, callers: Vec<oneshot::Sender<Answer>>) {
        match self.waiting.iter_mut().find(|asked| asked.mode == mode) {
            Some(asked) => asked.callers.extend(callers),
            None => self.waiting.push_back(Asked { mode, callers }),
        }
        for asked in &mut self.waiting {
            for caller in asked.callers.drain(asked.callers.len().min(CALLERS_MOST)..) {
                let _ =
                    caller.send(Err(Refusal::Conflict("too many wait for a reload: ask again".to_owned())));
            }
        }
    }

    /// The attempt under way says nothing any more: something newer waits that will be put in force as well.
    fn is_outdated(&self) -> bool {
        let is_plain = self.running.as_ref().is_some_and(|asked| asked.mode == ReloadMode::Plain);
        let newer = self.waiting.iter().any(|asked| asked.mode != ReloadMode::DryRun);
        is_plain && newer && self.outdated < OUTDATED_MOST
    }
}

impl Daemon {
    /// The configuration is to be read again.
    pub(super) fn ask_reload(&mut self, mode: ReloadMode, caller: Option<oneshot::Sender<Answer>>) {
        self.reloads.enqueue(mode, caller.into_iter().collect());
        self.begin_reload();
    }

    /// Starts the next attempt that waits, unless one runs.
    fn begin_reload(&mut self) {
        if self.reloads.running.is_some() {
            return;
        }
        let Some(asked) = self.reloads.waiting.pop_front() else { return };
        if asked.mode != ReloadMode::DryRun {
            own::tell_reloading();
        }
        self.reloads.running = Some(asked);
        let (tools, tx) = (self.reloads.tools.clone(), self.reloads.stages.0.clone());
        attempt::prepare(tools, Arc::clone(&self.config), tx);
    }

    /// The attempt under way has come to its next stage.
    pub(super) async fn reload_stage(&mut self, stage: Stage) {
        if self.reloads.is_outdated() {
            self.give_up_outdated();
            return;
        }
        match stage {
            Stage::Prepared(Prepared::Same) => self.reload_same().await,
            Stage::Prepared(Prepared::Refused(refused)) => self.reload_refused(refused, None).await,
            Stage::Prepared(Prepared::Proposal(proposal)) => self.try_out(proposal),
            Stage::Foreseen(proposal) => self.reload_decided(*proposal).await,
        }
    }

    fn give_up_outdated(&mut self) {
        tracing::debug!("the configuration has changed again while it was examined: it is read anew");
        self.reloads.outdated += 1;
        self.reloads.overheard = None;
        if let Some(Asked { callers, .. }) = self.reloads.running.take() {
            let newer = self.reloads.waiting.iter_mut().find(|asked| asked.mode != ReloadMode::DryRun);
            if let Some(newer) = newer {
                newer.callers.extend(callers);
            }
        }
        self.begin_reload();
    }

    /// Has the plan tried out on a copy of the engine.
    fn try_out(&mut self, proposal: Box<Proposal>) {
        // The history has everything up to now; what comes from now on is overheard.
        self.history.flush();
        self.reloads.overheard = Some(Vec::new());
        let (copy, now, lost) = (self.engine.clone(), self.clock.now(), self.lost(&proposal.seen.config));
        attempt::try_out(proposal, copy, lost, now, self.history.asker(), self.reloads.stages.0.clone());
    }

    /// What the doors would say farewell to with that configuration.
    fn lost(&self, config: &Config) -> Vec<Arc<Instance>> {
        let is_kept = |id: &str| config.destinations.iter().any(|d| d.id == id);
        let removed = self.config.destinations.iter().filter(|d| !is_kept(&d.id));
        let mut lost: Vec<_> = removed.map(|d| own::instance("destination", &d.id)).collect();
        lost.extend(self.collectors.lost(&config.collectors));
        lost.extend(self.checks.lost(&config.checks));
        lost
    }

    async fn reload_same(&mut self) {
        let what = if self.config_error.is_some() { "it is right again" } else { "nothing has changed" };
        let mode = self.mode();
        if mode != ReloadMode::DryRun {
            self.config_error = None;
        }
        let text = format!("configuration read: {what}");
        tracing::info!("{text}");
        let report = self.report(Outcome::Unchanged, text);
        self.reload_ended(report, Step::default()).await;
    }

    async fn reload_refused(&mut self, refused: Refused, seen: Option<&Seen>) {
        let mode = self.mode();
        let mut report = self.report(Outcome::Refused, refused.message.clone());
        report.step = Some(refused.step);
        report.seen = seen.map(report::seen);
        if mode != ReloadMode::DryRun {
            let said = text::bounded(&refused.message);
            tracing::error!("the configuration is refused, the old one stays in force\n{said}");
            self.config_error = Some(refused.message);
        }
        self.reload_ended(report, Step::default()).await;
    }

    /// Refuses or swaps.
    async fn reload_decided(&mut self, proposal: Proposal) {
        let (seen, mode) = (&proposal.seen, self.mode());
        let (limit, outlook) = (seen.config.reload, &seen.outlook);
        let is_over = outlook.raise.count > limit.raise || outlook.close.count > limit.close;
        match mode {
            ReloadMode::DryRun => {
                let mut report = self.report(Outcome::DryRun, text::dry_run(seen, is_over));
                report.seen = Some(report::seen(seen));
                self.reload_ended(report, Step::default()).await;
            }
            ReloadMode::Plain if is_over => {
                let refused = Refused { step: Part::Limit, message: text::over_limit(seen) };
                self.reload_refused(refused, Some(seen)).await;
            }
            ReloadMode::Plain | ReloadMode::Force => self.swap(proposal, is_over).await,
        }
    }

    /// Puts the configuration in force: between two turns, and as one commit.
    async fn swap(&mut self, proposal: Proposal, is_over: bool) {
        let Proposal { mut seen, mut plan } = proposal;
        let (now, mut step) = (self.clock.now(), Step::default());
        self.reloads.overheard.take().iter().flatten().for_each(|observation| plan.recall(observation));
        seen.outlook.carried = self.engine.swap(now, plan, &mut step);
        let took = self.clock.now().mono - now.mono;
        let mut report = self.report(Outcome::Applied, text::applied(&seen, &self.config, is_over, took));
        report.seen = Some(report::seen(&seen));
        report.changes = Some((self.config.hash.clone(), seen.config.hash.clone()));
        let config = seen.config;
        self.collectors.reconfigure(&config.collectors);
        self.checks.reconfigure(&config.checks);
        self.forward.reconfigure(&config.destinations);
        for warning in &config.warnings {
            tracing::warn!("{}", warning);
        }
        tracing::info!("{}", text::bounded(&report.text));
        // Ten thousand rules take a while to let go of, too.
        let old = std::mem::replace(&mut self.config, config);
        tokio::task::spawn_blocking(move || drop(old));
        self.config_loaded = now.stamp();
        self.config_error = None;
        self.reload_ended(report, step).await;
    }

    /// Writes down what came of it, tells our own signal and whoever waits, and goes on with what waits.
    async fn reload_ended(&mut self, report: Report, mut step: Step) {
        let (now, mode) = (self.clock.now(), report.mode);
        if mode != ReloadMode::DryRun {
            if report.is_news() {
                self.engine.incidents.journal(now, "config", "sexton", report.entry(), &mut step);
            }
            let own = self.config_signal(now);
            self.engine.observe(now, std::slice::from_ref(&own), &mut step);
            self.finish(step).await;
            self.history.keep(now, [own]);
            own::tell_ready();
        }
        let answer = report.answer();
        for caller in self.reloads.running.take().into_iter().flat_map(|asked| asked.callers) {
            let _ = caller.send(answer.clone());
        }
        if mode != ReloadMode::DryRun {
            self.reloads.last = Some(report);
        }
        (self.reloads.outdated, self.reloads.overheard) = (0, None);
        self.begin_reload();
    }

    fn report(&self, outcome: Outcome, text: String) -> Report {
        let (at, mode) = (self.clock.now().stamp(), self.mode());
        Report { at, mode, outcome, step: None, text, changes: None, seen: None }
    }

    fn mode(&self) -> ReloadMode {
        self.reloads.running.as_ref().map_or(ReloadMode::Plain, |asked| asked.mode)
    }
}

/// The store and the desk are opened once.
fn wants_restart(old: &Config, new: &Config) -> bool {
    old.store != new.store || old.history != new.history || old.desk != new.desk
}
