//! The pump of one destination: claims, converses, settles.
//!
//! ```text
//! turn: settle what waits → may we? (health) → hello → heartbeat → pace → claim → a task per conversation
//! ```
//! The loop itself never waits for the far end: conversations are tasks, and it turns at least every
//! [`Tuning::tick`]. Every claimed job is settled exactly once: by its conversation, or as unknown when that
//! was cut short.

pub(super) mod flight;
mod patience;
mod reading;
#[cfg(test)]
mod tests;
mod tuning;
mod verdict;

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::{Id, JoinError, JoinSet};

use self::flight::{Cargo, Landing, Rest, converse};
use self::patience::Patience;
pub use self::tuning::Tuning;
use super::connector::{Connector, DIGEST, Done, Exchange, Next, Target};
use super::health::{Allowance, Health, Mode};
use super::pace::{Pace, Random};
use super::secrets::Secrets;
use super::wire::Wire;
use super::{Setting, Shared};
use crate::clock::Clock;
use crate::engine::effect::{Line, Outbox, Outcome, Settled};
use crate::engine::moment::{Moment, SECOND};
use crate::engine::option::{DestinationPlan, OptionValue};

/// Timeout of a request when the plan names none.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The longest that a job waits by itself because the destination was away, in nanoseconds.
const AWAY_MOST: i64 = 16 * SECOND;

/// The most conversations that wait before their next request and leave their place to others.
const RESTING_MOST: usize = 8;

/// What is asked of an outbox, as the log says it.
const CLAIM: &str = "claim from";
const ASK: &str = "ask";
const SETTLE: &str = "settle in";

/// What a pump is given beside its plan.
pub(super) struct Context<O> {
    pub outbox: O,
    pub setting: Setting,
    pub shared: Rc<Shared>,
    pub wake: Rc<Notify>,
    pub stop: watch::Receiver<bool>,
}

/// The pump of one destination.
pub(super) struct Pump<O> {
    plan: DestinationPlan,
    connector: &'static Connector,
    target: Rc<Target>,
    context: Context<O>,
    wire: Option<Rc<dyn Wire>>,
    health: Health,
    patience: Patience,
    /// The pause was earned by a job: only a job that passes ends it.
    refused_job: bool,
    /// So many jobs go one by one, because one of a batch must have been refused.
    singly: usize,
    pace: Pace<Clock>,
    random: Random,
    greeted: bool,
    heartbeat_due: i64,
    /// When the next reading back begins, in steady time, and behind which cursor.
    read_due: i64,
    read_after: i64,
    /// The most records of the next reading, when the answers about more were too large.
    read_most: usize,
    /// Records whose tickets were not there when they were last looked for.
    missing: BTreeSet<String>,
    tasks: JoinSet<Landing>,
    flying: Vec<(Id, Cargo)>,
    rest: Rest,
    unsettled: Vec<Settled>,
    /// What the outbox cannot do, and why; told when it changes.
    outbox_trouble: Option<(&'static str, String)>,
}

impl<O: Outbox + Clone + 'static> Pump<O> {
    pub fn new(plan: DestinationPlan, connector: &'static Connector, context: Context<O>) -> Self {
        let now = context.setting.clock.now();
        let mut options = plan.options.clone();
        if let Some(digest) = &plan.digest {
            let priorities = digest.priority.iter().map(|p| format!("{p:?}")).collect();
            options.0.insert(DIGEST.to_owned(), OptionValue::List(priorities));
        }
        let (id, host, born) = (plan.id.clone(), context.setting.host.clone(), context.setting.born);
        let target = Target { id, host, born, options };
        let mut random = Random::seeded(&[&context.setting.host.id, &plan.id]);
        // A fleet that starts together does not read together.
        let read_due = now.mono.saturating_add(random.below(plan.read_back));
        let mut backoff = context.setting.tuning.backoff;
        if let repeat @ 1.. = plan.options.duration("repeat") {
            // A far end that forgets is asked that often at least, so that it is complete again soon after it
            // is back.
            backoff.most = backoff.most.min(repeat);
        }
        Self {
            target: Rc::new(target),
            wire: None,
            health: Health::new(now, backoff, context.setting.tuning.pause),
            patience: Patience::new(backoff),
            refused_job: false,
            singly: 0,
            pace: Pace::new(plan.pace, context.setting.clock),
            random,
            read_due,
            read_after: 0,
            read_most: usize::MAX,
            missing: BTreeSet::new(),
            greeted: connector.hello.is_none(),
            heartbeat_due: i64::MIN,
            tasks: JoinSet::new(),
            flying: Vec::new(),
            rest: Rest::new(Rc::clone(&context.wake)),
            unsettled: Vec::new(),
            outbox_trouble: None,
            plan,
            connector,
            context,
        }
    }

    /// Turns until told to stop, then lands what flies.
    pub async fn run(mut self) {
        // A dropped sender counts as a word to stop.
        while !*self.context.stop.borrow() && self.context.stop.has_changed().is_ok() {
            self.context
                .shared
                .turned
                .borrow_mut()
                .insert(self.plan.id.clone(), self.context.setting.clock.now());
            let wait = self.begin().await.min(self.context.setting.tuning.tick);
            let wake = Rc::clone(&self.context.wake);
            tokio::select! {
                biased;
                _ = self.context.stop.changed() => {}
                Some(landed) = self.tasks.join_next_with_id() => self.land(landed).await,
                () = wake.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        self.drain().await;
    }

    /// Begins whatever may be begun now and returns how long there is nothing more to begin.
    async fn begin(&mut self) -> Duration {
        if !self.settle().await {
            return self.context.setting.tuning.store_retry;
        }
        let now = self.context.setting.clock.now();
        let (limit, batch) = match self.health.allowance(now, self.flying.len()) {
            Allowance::Full if self.singly > 0 => (self.connector.concurrency, 1),
            Allowance::Full => (self.connector.concurrency, self.connector.batch(&self.target.options)),
            Allowance::Probe => (1, 1),
            Allowance::Wait(ns) => return nanos(ns),
        };
        let (wire, secrets) = match self.outfit() {
            Ok(outfit) => outfit,
            Err(reason) => {
                self.refuse(&reason, false);
                return Duration::ZERO;
            }
        };
        if !self.greeted {
            if self.flying.is_empty() {
                let (target, hello) = (Rc::clone(&self.target), self.connector.hello);
                let ask =
                    move |said: &[_]| hello.map_or_else(|| Next::Done(Done::default()), |f| f(&target, said));
                self.fly(Cargo::Hello, &wire, &secrets, ask);
            }
            return Duration::MAX;
        }
        self.beat(now, &wire, &secrets);
        // Whoever waits before a second look asks nothing of the far end meanwhile.
        let resting = if limit > 1 { self.rest.count().min(RESTING_MOST) } else { 0 };
        let room = (limit + resting).saturating_sub(self.flying.len()).min(limit);
        if room == 0 {
            return Duration::MAX;
        }
        let reading = self.read_back(now, &wire, &secrets).await;
        self.load(room, batch, now, &wire, &secrets).await.min(reading)
    }

    /// Claims jobs and starts their conversations: so many, with so many jobs each.
    async fn load(
        &mut self,
        room: usize,
        batch: usize,
        now: Moment,
        wire: &Rc<dyn Wire>,
        secrets: &Secrets,
    ) -> Duration {
        let want = room * batch;
        let permits = match self.pace.take(want) {
            Ok(permits) => permits,
            Err(wait) => return wait,
        };
        // Whose job was refused as if the destination were not fit gives way: the next one may pass.
        let oldest = self.mode() == Mode::Paused && self.refused_job;
        let line = Line { oldest, by_alert: self.connector.is_by_alert() };
        let claimed = self.context.outbox.claim_in(line, &self.plan.id, permits, now.stamp()).await;
        let mut jobs = match claimed {
            Ok(jobs) => jobs,
            Err(reason) => {
                self.pace.give_back(permits);
                self.outbox_fails(CLAIM, reason);
                return self.context.setting.tuning.store_retry;
            }
        };
        self.outbox_works(CLAIM);
        let count = jobs.len();
        self.pace.give_back(permits.saturating_sub(count));
        while !jobs.is_empty() {
            let rest = jobs.split_off(batch.min(jobs.len()));
            let (target, next, jobs) =
                (Rc::clone(&self.target), self.connector.next, std::mem::replace(&mut jobs, rest));
            let cargo = Cargo::jobs(&jobs);
            let ask = move |said: &[_]| next(&target, &jobs, said);
            self.fly(cargo, wire, secrets, ask);
        }
        if count == permits {
            // All that was asked for: there may be more, and only pace or room say when.
            return if count < want { Duration::ZERO } else { Duration::MAX };
        }
        let next = self.context.outbox.next_due(&self.plan.id).await;
        if next.is_ok() {
            self.outbox_works(ASK);
        }
        match next {
            Ok(None) => Duration::MAX,
            Ok(Some(due)) if due > now.stamp() => nanos(due.0.saturating_sub(now.wall)),
            // Due and yet not given: it waits for something under way, whose end makes the loop turn.
            Ok(Some(_)) if !self.flying.is_empty() => Duration::MAX,
            Ok(Some(_)) => self.context.setting.tuning.store_retry,
            Err(reason) => {
                self.outbox_fails(ASK, reason);
                self.context.setting.tuning.store_retry
            }
        }
    }

    /// Begins a conversation.
    fn fly(
        &mut self,
        cargo: Cargo,
        wire: &Rc<dyn Wire>,
        secrets: &Secrets,
        ask: impl Fn(&[Exchange]) -> Next + 'static,
    ) {
        let (clock, rest) = (self.context.setting.clock, self.rest.clone());
        let conversation = converse(Rc::clone(wire), secrets.clone(), clock, rest, ask);
        let id = self.tasks.spawn_local(conversation).id();
        self.flying.push((id, cargo));
    }

    /// Sends the latest heartbeat when one is due.
    fn beat(&mut self, now: Moment, wire: &Rc<dyn Wire>, secrets: &Secrets) {
        let Some(encode) = self.connector.heartbeat else { return };
        let under_way = self.flying.iter().any(|(_, c)| matches!(c, Cargo::Heartbeat));
        if under_way || now.mono < self.heartbeat_due {
            return;
        }
        let Some(request) = self
            .context
            .shared
            .heartbeat
            .borrow()
            .as_ref()
            .map(|body| encode(&self.target, body, now.stamp()))
        else {
            return;
        };
        self.heartbeat_due = now.mono.saturating_add(self.context.setting.tuning.heartbeat);
        let ask = flight::once(request);
        self.fly(Cargo::Heartbeat, wire, secrets, ask);
    }

    /// Wire and secrets; the secrets are read anew each time, so that a rotated one is taken up.
    fn outfit(&mut self) -> Result<(Rc<dyn Wire>, Secrets), String> {
        let secrets = Secrets::read(&self.plan.options)?;
        let wire = match &self.wire {
            Some(wire) => Rc::clone(wire),
            None => {
                let timeout = if self.plan.timeout > 0 { nanos(self.plan.timeout) } else { TIMEOUT };
                let wire = (self.context.setting.wires)(self.connector, &self.plan.options, timeout)?;
                self.wire = Some(Rc::clone(&wire));
                wire
            }
        };
        Ok((wire, secrets))
    }

    /// Takes in a conversation that ended, one way or the other.
    async fn land(&mut self, landed: Result<(Id, Landing), JoinError>) {
        let (id, landing) = match landed {
            Ok((id, landing)) => (id, landing),
            Err(error) => (error.id(), Landing::cut_short(&error.to_string())),
        };
        let Some(at) = self.flying.iter().position(|(flying, _)| *flying == id) else { return };
        let (_, cargo) = self.flying.swap_remove(at);
        let landing = self.blamed(&cargo, landing);
        self.judge(&landing, matches!(cargo, Cargo::Jobs(_)));
        if let Some(warning) = &landing.done.warning {
            tracing::warn!(destination = self.plan.id, reason = warning, "destination accepted with a flaw");
        }
        match cargo {
            Cargo::Hello => self.greeted = landing.is_fit(),
            Cargo::Heartbeat => {}
            Cargo::Reading(asked) => self.tell(&asked, landing),
            Cargo::Jobs(jobs) => {
                let now = self.context.setting.clock.now();
                let settled = self.outcomes(jobs, landing, now);
                self.unsettled.extend(settled);
                self.settle().await;
            }
        }
    }

    /// Settles what waits to be settled; false when the outbox cannot.
    async fn settle(&mut self) -> bool {
        if self.unsettled.is_empty() {
            return true;
        }
        let now = self.context.setting.clock.now().stamp();
        let result = self.context.outbox.settle(&self.plan.id, self.unsettled.clone(), now).await;
        if let Err(reason) = result {
            self.outbox_fails(SETTLE, reason);
            return false;
        }
        self.outbox_works(SETTLE);
        let stored = self.unsettled.iter().any(|s| matches!(s.outcome, Outcome::Stored { .. }));
        self.unsettled.clear();
        if stored {
            self.context.shared.board.send_if_modified(|board| {
                let row = board.iter_mut().find(|s| s.id == self.plan.id);
                row.into_iter().for_each(|s| s.last_stored = Some(now));
                false
            });
        }
        true
    }

    /// Logs what the outbox cannot do, once: it is asked again every [`Tuning::store_retry`].
    fn outbox_fails(&mut self, what: &'static str, reason: String) {
        let trouble = Some((what, reason));
        if self.outbox_trouble == trouble {
            return;
        }
        self.outbox_trouble = trouble;
        let reason = self.outbox_trouble.as_ref().map(|(_, reason)| reason);
        tracing::warn!(destination = self.plan.id, reason, "cannot {what} the outbox");
    }

    /// Logs the end of that trouble; what else the outbox can do says nothing about it.
    fn outbox_works(&mut self, what: &'static str) {
        if self.outbox_trouble.take_if(|(trouble, _)| *trouble == what).is_some() {
            tracing::info!(destination = self.plan.id, "can {what} the outbox again");
        }
    }

    fn mode(&self) -> Mode {
        self.health.state().0
    }

    fn publish(&self, changed: bool) {
        if !changed {
            return;
        }
        let (mode, reason, since) = self.health.state();
        match mode {
            Mode::Up => tracing::info!(destination = self.plan.id, "destination is up"),
            Mode::Down | Mode::Paused => {
                tracing::warn!(destination = self.plan.id, reason, "destination is {}", mode.word());
            }
        }
        self.context.shared.board.send_if_modified(|board| {
            let Some(row) = board.iter_mut().find(|s| s.id == self.plan.id) else { return false };
            row.state = mode.word().to_owned();
            row.reason = reason.map(str::to_owned);
            row.since = Some(since);
            true
        });
    }

    /// Lets conversations finish for a while, cuts the rest short, and settles all.
    async fn drain(mut self) {
        let grace = self.context.setting.tuning.grace;
        let all = async {
            while let Some(landed) = self.tasks.join_next_with_id().await {
                self.land(landed).await;
            }
        };
        let _ = tokio::time::timeout(grace, all).await;
        self.tasks.abort_all();
        while let Some(landed) = self.tasks.join_next_with_id().await {
            self.land(landed).await;
        }
        if !self.settle().await {
            tracing::warn!(destination = self.plan.id, "left unsettled: will be looked up at the next start");
        }
    }
}

fn nanos(ns: i64) -> Duration {
    Duration::from_nanos(ns.max(0).unsigned_abs())
}
