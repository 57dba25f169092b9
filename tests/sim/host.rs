//! One life of a daemon: the real engine, store and pumps, driven as the daemon's own loop drives them.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use sexton::engine::core::Engine;
use sexton::engine::effect::{Command, Step};
use sexton::engine::moment::{DAY, MINUTE, SECOND};
use sexton::engine::option::StorePlan;
use sexton::engine::record::Exhibit;
use sexton::engine::signal::{Class, Instance, Observation, metric};
use sexton::forward::{Forward, Setting, Tuning};
use sexton::store::{Commit, Service, Store, StoreError};
use tokio::sync::mpsc;

use crate::bugs::Bug;
use crate::fuse::Fuse;
use crate::net::SimWire;
use crate::outbox::Watched;
use crate::shape::{Act, HOST, SUBJECTS, config};
use crate::time;
use crate::verdict;
use crate::world::World;

/// How a life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// In the middle of something.
    Crashed,
    /// As it should.
    Stopped,
    /// All faults are over, everything is delivered.
    Done,
}

/// The longest sleep of the loop.
const SLEEP_MOST: i64 = 10 * MINUTE;
/// Between two looks at whether everything is delivered.
const LOOK: i64 = 30 * MINUTE;

/// Lives until it crashes, is stopped, or everything is done.
pub async fn live(world: Rc<World>) -> End {
    time::anchor();
    let fuse = world.light();
    let end = tokio::select! {
        biased;
        place = fuse.blown() => {
            world.count("crash", place);
            End::Crashed
        }
        end = run(&world, &fuse) => end,
    };
    if end == End::Crashed && world.left.borrow().is_none() {
        *world.left.borrow_mut() = world.unsynced.borrow_mut().take().or_else(|| Some(world.disk.image()));
    }
    end
}

async fn run(world: &Rc<World>, fuse: &Rc<Fuse>) -> End {
    fuse.burn("before the start").await;
    let limit = world.shape.outbox_limit;
    let plan = StorePlan { dir: world.disk.path(), outbox_limit: limit, journal_limit: 400 * DAY };
    let (store, loaded, service) = match Store::prepare(&plan, time::clock()) {
        Ok(opened) => opened,
        Err(error) => {
            world.fail(format!("the daemon cannot start: {error}"));
            return End::Done;
        }
    };
    world.say(&format!("starts at journal entry {}", loaded.seq));
    world.opened(&loaded);
    tokio::task::spawn_local(serve(Rc::clone(world), Rc::clone(fuse), service));
    fuse.burn("after the store was opened").await;
    let config = config(&world.shape.kinds, world.variant.get());
    let now = time::now();
    let mut engine = Engine::new(config.plan.clone(), world.chance.borrow_mut().bits());
    let state = if world.bug == Some(Bug::EngineForgets) { Vec::new() } else { loaded.state };
    for trouble in engine.restore(now, state, loaded.seq) {
        world.fail(format!("saved state cannot be read: {trouble}"));
    }
    let (remotes, commands) = mpsc::channel(64);
    let setting = Setting {
        tuning: Tuning { tick: Duration::from_secs(600), ..Tuning::default() },
        wires: wires(world),
        ..Setting::new(config.plan.host.host.clone(), loaded.born, time::clock(), remotes)
    };
    let outbox = Watched { store: store.clone(), world: Rc::clone(world) };
    let forward = sexton::forward::spawn(&config.destinations, outbox, setting);
    let (world, fuse) = (Rc::clone(world), Rc::clone(fuse));
    Host { world, fuse, engine, store, forward, commands, evidence: Vec::new(), unseen: Vec::new() }
        .run()
        .await
}

fn wires(world: &Rc<World>) -> sexton::forward::wire::Wires {
    let world = Rc::clone(world);
    Rc::new(move |connector, _, timeout| {
        let far = world.far.iter().position(|far| far.borrow().id == connector.door.kind).unwrap_or(0);
        Ok(Rc::new(SimWire { world: Rc::clone(&world), far, timeout }))
    })
}

/// The store's thread, turned by hand.
async fn serve(world: Rc<World>, fuse: Rc<Fuse>, mut service: Service) {
    let torn =
        (fuse.is_lit() && world.chance(world.shape.torn)).then(|| world.below(world.shape.fuse / 2 + 1));
    let mut full = false;
    for turn in 0_u64.. {
        if full != world.full.get() {
            full = world.full.get();
            let _ = service.limit_pages(full.then_some(1));
        }
        let tears = torn == Some(turn) && !world.is_calm();
        let before = tears.then(|| world.disk.image());
        if world.bug == Some(Bug::AnswerBeforeSync) {
            *world.unsynced.borrow_mut() = Some(world.disk.image());
        }
        if !service.turn().await {
            break;
        }
        if let Some(before) = before {
            let image = before.torn(&world.disk.image(), &mut world.chance.borrow_mut());
            world.count("torn", "");
            *world.left.borrow_mut() = Some(image);
            fuse.blow("in the middle of a transaction");
        }
        fuse.burn("after a transaction").await;
        let slow = if world.chance(2) { 2 * SECOND } else { SECOND / 50 };
        time::pass(world.below(slow.unsigned_abs()) as i64).await;
    }
    service.end();
}

/// See the module.
struct Host {
    world: Rc<World>,
    fuse: Rc<Fuse>,
    engine: Engine,
    store: Store,
    forward: Forward,
    commands: mpsc::Receiver<Command>,
    /// What was asked for, and when it will be there.
    evidence: Vec<(i64, Command)>,
    /// Subjects that turned while a commit was held back.
    unseen: Vec<usize>,
}

impl Host {
    async fn run(mut self) -> End {
        verdict::is_whole(&self.world, &self.store).await;
        let mut step = Step::default();
        self.engine.incidents.journal(time::now(), "boot", "sexton", "{}".to_owned(), &mut step);
        self.finish(step).await;
        self.forward.wake();
        let all: Vec<usize> = (0..SUBJECTS).collect();
        self.see(&all).await;
        let mut look = 0;
        loop {
            if self.world.is_broken() {
                return End::Done;
            }
            if self.world.is_calm() && time::world() >= look {
                look = time::world() + LOOK;
                self.fuse.extinguish();
                if self.world.variant.get() != 0 {
                    self.reload(0).await;
                }
                if verdict::is_done(&self.world, &self.store, &self.engine).await {
                    return End::Done;
                }
            }
            let wait = self.wait();
            tokio::select! {
                biased;
                Some(command) = self.commands.recv() => self.command(&command).await,
                () = time::pass(wait) => {}
            }
            self.timeouts().await;
            let unseen = std::mem::take(&mut self.unseen);
            if !unseen.is_empty() {
                self.see(&unseen).await;
            }
            if self.follow_script().await {
                self.forward.stop().await;
                self.store.close().await;
                return End::Stopped;
            }
        }
    }

    fn wait(&self) -> i64 {
        let next = self.world.script.borrow().front().map(|(at, _)| at - time::world());
        let due = self.engine.poll_timeout().map(|due| due - time::now().mono);
        let evidence = self.evidence.first().map(|(at, _)| at - time::world());
        let end = (self.world.shape.calm - time::world()).max(0);
        let look = if end == 0 { LOOK } else { end };
        next.into_iter().chain(due).chain(evidence).chain([look]).min().unwrap_or(0).clamp(0, SLEEP_MOST)
    }

    async fn timeouts(&mut self) {
        let now = time::now();
        if self.engine.poll_timeout().is_some_and(|due| due <= now.mono) {
            let mut step = Step::default();
            self.engine.handle_timeout(now, &mut step);
            self.finish(step).await;
        }
        while self.evidence.first().is_some_and(|(at, _)| *at <= time::world()) {
            let (_, command) = self.evidence.remove(0);
            self.command(&command).await;
        }
    }

    /// Does what the script has for now; true when the daemon is to stop.
    async fn follow_script(&mut self) -> bool {
        while let Some(act) = self.world.next_act() {
            match act {
                Act::Turn { subject, level } => {
                    self.world.set_level(subject, level);
                    self.see(&[subject]).await;
                }
                Act::Reload(variant) => self.reload(variant).await,
                Act::Step(by) => time::step(by),
                Act::Suspend(long) => time::suspend(long),
                Act::Full(full) => self.world.full.set(full),
                Act::Operate => self.operate().await,
                Act::Crash | Act::Lose => {
                    if act == Act::Lose {
                        self.world.script.borrow_mut().push_front((0, Act::Lose));
                    }
                    self.fuse.blow("at a moment");
                    std::future::pending::<()>().await;
                }
                Act::Restart => return true,
                Act::Meddle => self.world.meddle(),
            }
        }
        false
    }

    async fn see(&mut self, subjects: &[usize]) {
        let now = time::now();
        let levels = *self.world.levels.borrow();
        let batch: Vec<_> =
            subjects.iter().map(|subject| observation(now, *subject, levels[*subject])).collect();
        let mut step = Step::default();
        self.engine.observe(now, &batch, &mut step);
        self.finish(step).await;
    }

    async fn reload(&mut self, variant: usize) {
        self.world.variant.set(variant);
        self.world.reloads.set(self.world.reloads.get() + 1);
        let config = config(&self.world.shape.kinds, variant);
        let (now, mut step) = (time::now(), Step::default());
        self.engine.reload(now, config.plan.clone(), &mut step);
        self.engine.incidents.journal(now, "config", "sexton", "{}".to_owned(), &mut step);
        self.forward.reconfigure(&config.destinations);
        self.finish(step).await;
    }

    async fn operate(&mut self) {
        let ids: Vec<String> = self.engine.incidents.incidents().map(|i| i.id.clone()).collect();
        if ids.is_empty() {
            return;
        }
        let incident = ids[self.world.below(ids.len() as u64) as usize].clone();
        let by = "ann".to_owned();
        let command = match self.world.below(3) {
            0 => Command::Acknowledge { incident, by },
            1 => Command::Resolve { incident, by, note: "done".to_owned() },
            _ => Command::Note { incident, by, text: "I see".to_owned() },
        };
        self.command(&command).await;
    }

    async fn command(&mut self, command: &Command) {
        let mut step = Step::default();
        if let Err(why) = self.engine.command(time::now(), command, &mut step) {
            self.world.say(&format!("command refused: {why}"));
        }
        self.finish(step).await;
    }

    /// Asks the store for a commit: one, unless a bug says otherwise.
    async fn commit(&self, commit: &Arc<Commit>) -> Result<(), StoreError> {
        let Commit { journal, state, outbox } = Commit::clone(commit);
        let (journal_alone, outbox_alone) =
            (Commit { journal, state, outbox: Vec::new() }, Commit { outbox, ..Commit::default() });
        match self.world.bug {
            Some(Bug::OutboxApart) => {
                self.store.commit(journal_alone).await?;
                self.store.commit(outbox_alone).await
            }
            Some(Bug::OutboxFirst) => {
                self.store.commit(outbox_alone).await?;
                self.store.commit(journal_alone).await
            }
            Some(Bug::StateLeftOut) => {
                let mut commit = Commit::clone(commit);
                commit.state.retain(|row| row.kind != "machine");
                self.store.commit(commit).await
            }
            _ => self.store.commit(Arc::clone(commit)).await,
        }
    }

    /// Lets a while pass in which the daemon does nothing and the world goes on.
    async fn hold(&mut self, pause: i64) {
        time::pass(pause).await;
        while let Some(act) = self.world.next_act() {
            match act {
                Act::Turn { subject, level } => {
                    self.world.set_level(subject, level);
                    self.unseen.push(subject);
                }
                Act::Crash | Act::Restart | Act::Lose => {
                    if act == Act::Lose {
                        self.world.script.borrow_mut().push_front((0, Act::Lose));
                    }
                    self.fuse.blow("while a commit is held back");
                    std::future::pending::<()>().await;
                }
                // What is asked of a daemon that waits for its disk is refused.
                Act::Reload(_) | Act::Operate => {}
                Act::Step(by) => time::step(by),
                Act::Suspend(long) => time::suspend(long),
                Act::Full(full) => self.world.full.set(full),
                Act::Meddle => self.world.meddle(),
            }
        }
    }

    /// Commits the step and then lets it take effect, as the daemon does.
    async fn finish(&mut self, step: Step) {
        if step.is_empty() {
            return;
        }
        let destinations = &config(&self.world.shape.kinds, self.world.variant.get()).destinations;
        let outbox = self.engine.routes.rows(time::now().stamp(), HOST, &step, destinations);
        let forwarded = !outbox.is_empty();
        let commit = Arc::new(Commit { journal: step.journal, state: step.state, outbox });
        self.world.truth.borrow_mut().begin(&commit);
        for row in &commit.outbox {
            self.world.say(&format!("commits {} {} rev {}", row.destination, row.record, row.rev));
        }
        self.fuse.burn("before a commit").await;
        let mut pause = SECOND / 10;
        while let Err(error) = self.commit(&commit).await {
            self.fuse.burn("after a failed commit").await;
            self.world.count("failed commit", &error.to_string());
            if error != StoreError::Full {
                return self.world.fail(format!("a commit failed for another reason than the disk: {error}"));
            }
            if self.world.bug == Some(Bug::FailedCommitDropped) {
                return;
            }
            self.hold(pause).await;
            pause = (pause * 2).min(5 * SECOND);
        }
        if !self.fuse.is_blown() {
            self.world.truth.borrow_mut().committed();
        }
        self.fuse.burn("after a commit").await;
        if forwarded {
            self.forward.wake();
        }
        for wanted in step.evidence_wanted {
            let at = time::world() + SECOND;
            let exhibit =
                Exhibit { title: "top".to_owned(), at: time::now().stamp(), text: "1 init".to_owned() };
            self.evidence
                .push((at, Command::Evidence { incident: wanted.incident, exhibits: vec![exhibit] }));
        }
    }
}

fn observation(now: sexton::engine::moment::Moment, subject: usize, level: u8) -> Observation {
    let (class, labels, signal): (_, &[(&str, &str)], _) = match subject {
        0 => (Class::Check, &[("check", "a")], "check.up"),
        1 => (Class::Check, &[("check", "b")], "check.up"),
        2 => (Class::Check, &[("check", "b")], "check.latency"),
        _ => (Class::Fs, &[("mount", "/data")], "fs.used"),
    };
    let seen = Observation::new(now, Instance::of(class, labels), 0);
    match subject {
        0 | 1 => seen.with(metric(signal), level == 0),
        2 => seen.with(metric(signal), [0.1, 3.0, 30.0][usize::from(level)]),
        _ => seen.with(metric(signal), [0.5, 0.85, 0.97][usize::from(level)]),
    }
}
