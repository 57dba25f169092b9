//! The only event loop: doors in, engine, commit, effects out, sleep until the engine's deadline.
//!
//! Each turn takes everything that is waiting, lets the engine judge it at one moment, commits what came of
//! it as one transaction and only then carries out effects (wake the pump, fetch evidence, tell the
//! narrator). A commit that fails is tried again with its step held back: nothing after it takes effect,
//! inputs wait in bounded channels, questions are answered. A store that no retry can mend ends the daemon,
//! because only a start checks it and moves it aside.

mod asked;
mod evidence;
pub(crate) mod explain;
mod own;
pub(crate) mod past;
mod reload;
mod status;

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::check::Checks;
use crate::clock::Clock;
use crate::collect::{self, Collectors};
use crate::config::Config;
use crate::config::watch::{self, Watch};
use crate::control::{Control, Refusal, ReloadMode, Request};
use crate::engine::core::Engine;
use crate::engine::effect::{Command, EvidenceWanted, Step};
use crate::engine::moment::{Moment, SECOND, Stamp};
use crate::engine::record::Record;
use crate::engine::signal::Observation;
use crate::forward::{Forward, Setting};
use crate::history::History;
use crate::store::{Commit, Store, StoreError};

pub use reload::{Load, Prove};

/// Batches of observations that may wait for the engine; a full channel makes collectors wait, never the
/// engine.
const WAITING_BATCHES: usize = 256;
/// Requests of clients that may wait.
const WAITING_REQUESTS: usize = 64;
/// Longest pause between two attempts of a failing commit.
const COMMIT_RETRY_MOST: Duration = Duration::from_secs(5);
/// A suspension of the machine, or a standstill of ours, that is shorter than this makes no difference, ns.
const AWAY_LEAST: i64 = 5 * SECOND;
/// Longest sleep of the loop; a bound on how late anything forgotten could be noticed.
const SLEEP_MOST: Duration = Duration::from_secs(60);

/// Told of each record after its commit.
pub type Narrator = Box<dyn FnMut(&Record)>;

/// What the daemon is started with.
pub struct Setup {
    /// Reads the configuration, now and at each reload.
    pub load: Load,
    /// Plays the rules' own tests before a reload.
    pub prove: Prove,
    /// The directory or file whose changes cause a reload.
    pub watch: Option<PathBuf>,
    /// Where to listen for the commands of this host.
    pub socket: PathBuf,
    /// Told of each record after its commit.
    pub narrator: Option<Narrator>,
    /// How long after the machine's boot, or after it was suspended, polled signals raise nothing.
    pub boot_grace: Duration,
}

/// The running daemon.
pub struct Daemon {
    clock: Clock,
    started: Moment,
    /// How long the machine had been suspended when that was last looked at, ns.
    slept: i64,
    /// How long after a boot or a suspension polled signals raise nothing, ns.
    grace: i64,
    config: Arc<Config>,
    reloads: reload::Reloads,
    config_source: String,
    config_loaded: Stamp,
    config_error: Option<String>,
    engine: Engine,
    store: Store,
    store_error: Option<String>,
    /// Held by whoever asks the store beside the loop.
    store_asked: Rc<tokio::sync::Mutex<()>>,
    history: History,
    /// The store failed in a way that no retry mends; nothing takes effect any more.
    broken: Option<String>,
    collectors: Collectors,
    checks: Checks,
    forward: Forward,
    narrator: Option<Narrator>,
    observations: mpsc::Receiver<Vec<Observation>>,
    requests: mpsc::Receiver<Request>,
    exhibits: (mpsc::Sender<Command>, mpsc::Receiver<Command>),
    fetching: evidence::Fetching,
    changed: mpsc::Receiver<()>,
    own: own::Own,
    _control: Control,
    _watch: Option<Watch>,
}

/// Why the daemon has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was asked to.
    Asked,
    /// The store cannot go on; the next start checks it.
    Broken(String),
}

enum Turn {
    Observed,
    Asked(Request),
    Exhibits(Command),
    Reload,
    Stage(reload::Stage),
    Watchdog,
    Timeout,
}

impl Daemon {
    /// Reads the configuration, opens the store, takes up where the last run ended and starts every door.
    ///
    /// # Errors
    /// The whole message for a person: the configuration is wrong, or store or socket cannot be had.
    pub async fn start(setup: Setup) -> Result<Self, String> {
        let clock = Clock::start();
        // Watched before it is read: a change in between is not missed.
        let (changed_tx, changed) = mpsc::channel(1);
        let watch = setup.watch.as_deref().map(|path| watch::spawn(path, changed_tx)).transpose()?;
        let config = (setup.load)()?;
        for warning in &config.warnings {
            tracing::warn!("{}", warning);
        }
        let (store, loaded) = Store::open(&config.store).map_err(|e| e.to_string())?;
        let now = clock.now();
        let mut engine = Engine::new(config.plan.clone(), seed(now));
        let grace = i64::try_from(setup.boot_grace.as_nanos()).unwrap_or(i64::MAX);
        engine.rules.settle_until(clock.booted().saturating_add(grace));
        for trouble in engine.restore(now, loaded.state, loaded.seq) {
            tracing::error!(reason = trouble, "a row of saved state could not be read and is left out");
        }
        if let Some(what) = &loaded.recovered {
            tracing::error!(reason = what, "the store was damaged and has been started anew");
        }
        let history = History::start(&config.history, clock);
        past::recall(&mut engine, &history.asker(), clock.now()).await;
        let (tx, observations) = mpsc::channel(WAITING_BATCHES);
        let (request_tx, requests) = mpsc::channel(WAITING_REQUESTS);
        let control = Control::listen(&setup.socket, request_tx).await?;
        let host = config.plan.host.host.clone();
        let exhibits = mpsc::channel(WAITING_REQUESTS);
        Ok(Self {
            clock,
            started: now,
            slept: clock.slept(),
            grace,
            config_source: setup.watch.map_or("built-in".to_owned(), |p| p.display().to_string()),
            reloads: reload::Reloads::new(setup.load, setup.prove),
            config_loaded: now.stamp(),
            config_error: None,
            engine,
            store: store.clone(),
            store_error: loaded.recovered,
            store_asked: Rc::default(),
            history,
            broken: None,
            collectors: collect::spawn(&config.collectors, clock, tx.clone()),
            checks: crate::check::spawn(&config.checks, clock, tx),
            forward: crate::forward::spawn(
                &config.destinations,
                store,
                Setting::new(host, loaded.born, clock, exhibits.0.clone()),
            ),
            config: Arc::new(config),
            narrator: setup.narrator,
            observations,
            requests,
            fetching: evidence::Fetching::new(exhibits.0.clone()),
            exhibits,
            changed,
            own: own::Own::default(),
            _control: control,
            _watch: watch,
        })
    }

    /// Turns until `shutdown` completes or the store is broken; what is committed by then stays for the next
    /// start. A turn that is cut short by the shutdown is to the store as a crash at that point: a commit
    /// under way is completed, one that waits for its retry is left out.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> Ended {
        own::tell_ready();
        let rules = self.config.plan.rules.len();
        tracing::info!(rules, destinations = self.config.destinations.len(), "sexton is watching");
        let ended = tokio::select! {
            () = shutdown => Ended::Asked,
            why = self.turn_until_broken() => Ended::Broken(why),
        };
        own::tell_stopping();
        tracing::info!("sexton is stopping");
        self.forward.stop().await;
        self.store.close().await;
        Self::close_history(self.history).await;
        ended
    }

    async fn turn_until_broken(&mut self) -> String {
        let mut hangup = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).ok();
        let mut watchdog = own::watchdog();
        self.boot().await;
        loop {
            if let Some(why) = self.broken.take() {
                return why;
            }
            let mut batches = Vec::new();
            let wait = self.wait();
            let turn = tokio::select! {
                _ = self.observations.recv_many(&mut batches, WAITING_BATCHES) => Turn::Observed,
                Some(request) = self.requests.recv() => Turn::Asked(request),
                Some(command) = self.exhibits.1.recv() => Turn::Exhibits(command),
                Some(()) = self.changed.recv() => Turn::Reload,
                () = own::hangup(&mut hangup) => Turn::Reload,
                stage = self.reloads.stage() => Turn::Stage(stage),
                () = watchdog.tick() => Turn::Watchdog,
                () = tokio::time::sleep(wait) => Turn::Timeout,
            };
            self.notice_suspension();
            match turn {
                Turn::Observed => self.observed(batches).await,
                Turn::Asked(request) => self.asked(request).await,
                Turn::Exhibits(command) => {
                    let _ = self.command(&command).await;
                }
                Turn::Reload => self.ask_reload(ReloadMode::Plain, None),
                Turn::Stage(stage) => self.reload_stage(stage).await,
                Turn::Watchdog => watchdog.ping(self.turning()),
                Turn::Timeout => {}
            }
            self.timeouts().await;
        }
    }

    async fn boot(&mut self) {
        let mut step = Step::default();
        let body = serde_json::json!({"version": env!("CARGO_PKG_VERSION"), "config": self.config.hash});
        let now = self.clock.now();
        self.engine.incidents.journal(now, "boot", "sexton", body.to_string(), &mut step);
        self.finish(step).await;
        self.forward.wake();
    }

    /// After a suspension what is silent was not to be heard, and what is not yet as it should be has to come
    /// up again, as after a boot.
    fn notice_suspension(&mut self) {
        let slept = self.clock.slept();
        let gap = slept - std::mem::replace(&mut self.slept, slept);
        if gap >= AWAY_LEAST {
            let now = self.clock.now();
            tracing::info!(seconds = gap / SECOND, "the machine was suspended");
            self.engine.rules.excuse(now, gap);
            self.engine.rules.settle_until(now.mono.saturating_add(self.grace));
        }
    }

    fn wait(&self) -> Duration {
        let due = self.engine.poll_timeout().unwrap_or(i64::MAX).min(self.own_due());
        let left = due.saturating_sub(self.clock.now().mono).max(0);
        Duration::from_nanos(left.unsigned_abs()).min(SLEEP_MOST)
    }

    async fn observed(&mut self, batches: Vec<Vec<Observation>>) {
        let now = self.clock.now();
        let mut step = Step::default();
        for batch in &batches {
            self.engine.observe(now, batch, &mut step);
        }
        self.reloads.overhear(&batches);
        self.observed_at(now);
        let own = self.own_signals(now).await;
        self.look_around(now, &own, &mut step);
        self.finish(step).await;
        self.history.keep(now, batches.into_iter().flatten().chain(own));
    }

    /// Judges our own signals; with them goes how the destinations are.
    fn look_around(&mut self, now: Moment, own: &[Observation], step: &mut Step) {
        self.engine.observe(now, own, step);
        if !own.is_empty() {
            self.engine.destinations(now, &self.forward.status(), &self.config.destinations, step);
            if let Some(first) = step.resend.first() {
                tracing::warn!(destination = first.destination, "destination steps in for one that is down");
            }
        }
    }

    async fn timeouts(&mut self) {
        let now = self.clock.now();
        if self.own_due() <= now.mono {
            let mut step = Step::default();
            let own = self.own_signals(now).await;
            self.look_around(now, &own, &mut step);
            self.finish(step).await;
            self.history.keep(now, own);
        }
        if self.engine.poll_timeout().is_some_and(|due| due <= now.mono) {
            let mut step = Step::default();
            self.engine.handle_timeout(now, &mut step);
            self.finish(step).await;
        }
    }

    /// Commits the step, then lets it take effect.
    async fn finish(&mut self, step: Step) {
        if step.is_empty() || self.broken.is_some() {
            return;
        }
        let (now, host) = (self.clock.now().stamp(), &self.config.plan.host.host.id);
        let outbox = self.engine.routes.rows(now, host, &step, &self.config.destinations);
        let records = step.records;
        let forwarded = !outbox.is_empty();
        let commit = Arc::new(Commit { journal: step.journal, state: step.state, outbox });
        let (mut pause, began) = (Duration::from_millis(100), self.clock.now().mono);
        while let Err(error) = self.store.commit(Arc::clone(&commit)).await {
            if matches!(error, StoreError::Corrupt(_) | StoreError::Conflict { .. } | StoreError::Closed) {
                self.broken = Some(error.to_string());
                return;
            }
            if self.store_error.is_none() {
                tracing::error!(reason = %error, "the store cannot write; everything waits for it");
            }
            self.store_error = Some(error.to_string());
            own::still_alive();
            self.answer_for(pause).await;
            pause = (pause * 2).min(COMMIT_RETRY_MOST);
        }
        // Who reads something had to wait as well.
        let (now, slept) = (self.clock.now(), self.clock.slept() - self.slept);
        let stood = now.mono.saturating_sub(began).saturating_sub(slept);
        if stood >= AWAY_LEAST {
            self.engine.rules.excuse(now, stood);
        }
        if forwarded {
            self.own.outbox_grew();
            self.forward.wake();
        }
        for wanted in step.evidence_wanted {
            self.fetch_evidence(wanted);
        }
        if let Some(narrator) = &mut self.narrator {
            records.iter().for_each(narrator);
        }
    }

    /// Lets a while pass in which questions are answered and changes are refused.
    async fn answer_for(&mut self, pause: Duration) {
        let over = tokio::time::sleep(pause);
        tokio::pin!(over);
        loop {
            let request = tokio::select! {
                () = &mut over => return,
                Some(request) = self.requests.recv() => request,
            };
            if request.query.changes() {
                let why = self.store_error.as_deref().unwrap_or_default();
                let refusal = Refusal::Failed(format!("nothing can be changed now: {why}"));
                let _ = request.reply.send(Err(refusal));
            } else {
                self.answer(request).await;
            }
        }
    }

    fn fetch_evidence(&self, wanted: EvidenceWanted) {
        let (clock, own) = (self.clock, self.own_exhibits(&wanted));
        let EvidenceWanted { incident, category, class, name } = wanted;
        let read = move || collect::evidence(&category, class, &name, clock.now());
        self.fetching.fetch(clock.now().stamp(), incident, own, read);
    }
}

/// Something unpredictable for the id generator of a fresh store.
fn seed(now: Moment) -> u64 {
    use std::io::Read;
    let mut bytes = [0; 8];
    match std::fs::File::open("/dev/urandom").and_then(|mut f| f.read_exact(&mut bytes)) {
        Ok(()) => u64::from_ne_bytes(bytes),
        Err(_) => now.wall.unsigned_abs() ^ (u64::from(std::process::id()) << 40),
    }
}

#[cfg(test)]
mod tests;
