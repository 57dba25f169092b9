//! What a conversation that ended means for the destination and for its jobs.
//!
//! A refusal of the destination as a whole closes it for a while. When other jobs pass and one is refused
//! again, that one is to blame: it waits by itself, longer each time, and is parked in the end.

use super::flight::{Cargo, Carried, Landing};
use super::patience::BLAMES_MOST;
use super::{AWAY_MOST, Mode, Pump};
use crate::engine::effect::{Outbox, Outcome, Settled};
use crate::engine::moment::Moment;

impl<O: Outbox + Clone + 'static> Pump<O> {
    /// The landing with a refusal put where it belongs: to the destination, or to the one job that is refused
    /// while others are not.
    pub(super) fn blamed(&mut self, cargo: &Cargo, mut landing: Landing) -> Landing {
        let Cargo::Jobs(jobs) = cargo else { return landing };
        self.singly = self.singly.saturating_sub(jobs.len());
        let Some(reason) = landing.pause() else { return landing };
        let ([job], [outcome]) = (&jobs[..], &mut landing.done.outcomes[..]) else {
            self.singly = jobs.len();
            return landing;
        };
        if matches!(outcome, Outcome::Stored { .. } | Outcome::Refused { .. }) {
            return landing;
        }
        let Some(blames) = self.patience.blame(&job.record) else { return landing };
        tracing::warn!(destination = self.plan.id, record = job.record, reason, "one operation is refused");
        landing.done.pause = None;
        landing.own_fault = true;
        if blames >= BLAMES_MOST {
            let reason = format!("{reason}; others pass, this one was refused {} times", blames + 1);
            *outcome = Outcome::Refused { reason };
        }
        landing
    }

    /// Draws the conclusions for the destination as a whole.
    pub(super) fn judge(&mut self, landing: &Landing, by_job: bool) {
        // Once it is parked nothing is left of what the destination was paused for.
        let parked = matches!(landing.done.outcomes[..], [Outcome::Refused { .. }]);
        if landing.own_fault && !parked {
            return;
        }
        if let Some(reason) = landing.pause() {
            self.refuse(&reason, by_job);
            return;
        }
        let now = self.context.setting.clock.now();
        let was_away = self.mode() != Mode::Up;
        let changed = match &landing.trouble {
            Some(trouble) => self.health.failed(now, trouble.after, &trouble.reason, &mut self.random),
            None if !landing.done.outcomes.is_empty() && !by_job => {
                // A hello that could not make sense of the answers.
                let why = landing.unclear().unwrap_or("not what was expected");
                self.health.failed(now, None, why, &mut self.random)
            }
            None if self.mode() == Mode::Paused && self.refused_job && !by_job => false,
            // A job that is to wait, or has nothing to tell, says nothing about the destination.
            None if by_job && !landing.asked => false,
            None => self.health.succeeded(now),
        };
        if was_away && self.mode() == Mode::Up {
            self.patience.begin_anew();
            if self.plan.read_back > 0 {
                // After an outage nobody knows what the far end still has.
                (self.read_due, self.read_after) = (now.mono, 0);
            }
        }
        self.publish(changed);
    }

    pub(super) fn refuse(&mut self, reason: &str, by_job: bool) {
        self.greeted = self.connector.hello.is_none();
        self.refused_job = by_job;
        // A file named in the options may be mended meanwhile.
        self.wire = None;
        let changed = self.health.refused(self.context.setting.clock.now(), reason);
        self.publish(changed);
    }

    /// Each job with its outcome and the time of its next attempt.
    pub(super) fn outcomes(&mut self, jobs: Vec<Carried>, landing: Landing, now: Moment) -> Vec<Settled> {
        let away = landing.trouble.as_ref().is_some_and(|t| t.away);
        let mut told = landing.done.outcomes.into_iter();
        let gate = self.health.gate().saturating_sub(now.mono).max(0);
        let mut settled = Vec::with_capacity(jobs.len());
        for job in jobs {
            let outcome = told.next().unwrap_or_else(|| Outcome::Retry {
                after: None,
                unknown: true,
                reason: "the connector has no outcome for this operation".to_owned(),
            });
            let wait = match &outcome {
                Outcome::Stored { .. } if landing.asked => {
                    self.patience.passed(&job.record);
                    0
                }
                Outcome::Stored { .. } | Outcome::Refused { .. } => {
                    self.patience.forget(&job.record);
                    0
                }
                _ if landing.own_fault => {
                    let blames = i64::from(self.patience.blames(&job.record));
                    gate.max(self.context.setting.tuning.pause.saturating_mul(blames))
                }
                Outcome::Pause { .. } => gate.max(self.context.setting.tuning.pause),
                // When the destination is away its own gate does the waiting: the first job tried shall not
                // come last, nor wait for a gate that a restart has opened.
                Outcome::Retry { .. } if away && self.mode() == Mode::Down => gate.min(AWAY_MOST),
                Outcome::Retry { after, .. } => {
                    let own = self.patience.wait(&job, &mut self.random);
                    let told = after.map(|d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX));
                    gate.max(told.unwrap_or(own))
                }
            };
            settled.push(Settled { record: job.record, rev: job.rev, outcome, next: now.stamp().plus(wait) });
        }
        settled
    }
}
