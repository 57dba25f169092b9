//! One world: what outlives the daemon, and the verdict on it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write;
use std::rc::Rc;

use sexton::forward::connector::Request;
use sexton::store::Loaded;

use crate::bugs::Bug;
use crate::disk::{Disk, Image};
use crate::fuse::Fuse;
use crate::net::{Far, Product};
use crate::random::Random;
use crate::shape::{Act, Kind, SUBJECTS, Shape};
use crate::time;
use crate::truth::{Place, Truth};
use crate::{desk, rt};

/// What came of a world.
pub struct Outcome {
    /// Claims that did not hold, the first one first.
    pub wrong: Vec<String>,
    /// Everything that happened.
    pub journal: String,
    /// How often what happened.
    pub counts: BTreeMap<&'static str, u64>,
}

/// See the module.
pub struct World {
    pub shape: Shape,
    pub script: RefCell<VecDeque<(i64, Act)>>,
    pub disk: Disk,
    pub far: Vec<RefCell<Far>>,
    pub truth: RefCell<Truth>,
    /// Level of each subject, and how often it has left 0.
    pub levels: RefCell<[u8; SUBJECTS]>,
    pub episodes: RefCell<[u64; SUBJECTS]>,
    /// Which configuration is in force.
    pub variant: Cell<usize>,
    pub reloads: Cell<u64>,
    pub full: Cell<bool>,
    /// Throws for what happens to the host.
    pub chance: RefCell<Random>,
    /// Records of stores that were lost.
    pub lost_records: RefCell<BTreeSet<String>>,
    /// Records that the outbox gave up because it was full.
    pub given_up: RefCell<BTreeSet<Place>>,
    /// Dead letters that were put back into the line.
    pub requeued: RefCell<BTreeSet<Place>>,
    pub bug: Option<Bug>,
    /// What is found on the disk after the crash.
    pub left: RefCell<Option<Image>>,
    /// What is found there when the last transaction was not synced.
    pub unsynced: RefCell<Option<Image>>,
    fuse: RefCell<Rc<Fuse>>,
    /// When the last fault was over.
    calm: Cell<i64>,
    crashes: Cell<u64>,
    dropped: Cell<bool>,
    meddled: Cell<bool>,
    wrong: RefCell<Vec<String>>,
    journal: RefCell<String>,
    counts: RefCell<BTreeMap<&'static str, u64>>,
}

impl World {
    /// The world of that seed, with a bug planted in it or without.
    pub fn new(seed: u64, bug: Option<Bug>) -> Rc<Self> {
        let shape = Shape::of(seed);
        let far = |kind: &Kind| {
            let product: Box<dyn Product> = match kind {
                Kind::Desk => Box::<desk::Desk>::default(),
                Kind::Rt => Box::<rt::Rt>::default(),
            };
            RefCell::new(Far::new(seed, kind.name(), product, shape.storm, shape.calm))
        };
        let far = shape.kinds.iter().map(far).collect();
        Rc::new(Self {
            script: RefCell::new(shape.script.clone()),
            disk: Disk::new(),
            far,
            truth: RefCell::default(),
            levels: RefCell::default(),
            episodes: RefCell::default(),
            variant: Cell::new(0),
            reloads: Cell::new(0),
            full: Cell::new(false),
            chance: RefCell::new(Random::stream(seed, "host")),
            lost_records: RefCell::default(),
            given_up: RefCell::default(),
            requeued: RefCell::default(),
            bug,
            left: RefCell::default(),
            unsynced: RefCell::default(),
            fuse: RefCell::new(Rc::new(Fuse::new(0))),
            calm: Cell::new(shape.calm),
            crashes: Cell::new(shape.crashes),
            dropped: Cell::new(false),
            meddled: Cell::new(false),
            wrong: RefCell::default(),
            journal: RefCell::default(),
            counts: RefCell::default(),
            shape,
        })
    }

    /// A throw for what happens to the host.
    pub fn below(&self, bound: u64) -> u64 {
        self.chance.borrow_mut().below(bound)
    }

    /// True in so many of a hundred cases.
    pub fn chance(&self, percent: u64) -> bool {
        self.chance.borrow_mut().chance(percent)
    }

    /// The fuse of the present life.
    pub fn fuse(&self) -> Rc<Fuse> {
        Rc::clone(&self.fuse.borrow())
    }

    /// A life begins. Its fuse burns as long as faults last and the daemon may still die of one.
    pub fn light(&self) -> Rc<Fuse> {
        let mortal = self.crashes.get() > 0 && !self.is_calm();
        let steps = if mortal { self.below(self.shape.fuse) } else { u64::MAX };
        if mortal {
            self.crashes.set(self.crashes.get() - 1);
        }
        *self.fuse.borrow_mut() = Rc::new(Fuse::new(steps));
        self.fuse()
    }

    /// How long all faults have been over.
    pub fn calm_for(&self) -> i64 {
        time::world() - self.calm.get()
    }

    /// All faults are over.
    pub fn is_calm(&self) -> bool {
        time::world() >= self.shape.calm && self.script.borrow().is_empty()
    }

    /// Writes down what happens.
    pub fn say(&self, what: &str) {
        let ms = time::world() / 1_000_000;
        let _ = writeln!(self.journal.borrow_mut(), "{:>9}.{:03} {what}", ms / 1000, ms % 1000);
    }

    /// Counts what happens, and writes it down.
    pub fn count(&self, what: &'static str, more: &str) {
        *self.counts.borrow_mut().entry(what).or_default() += 1;
        self.say(&format!("{what} {more}"));
    }

    /// A claim does not hold.
    pub fn fail(&self, what: String) {
        self.say(&format!("WRONG: {what}"));
        self.wrong.borrow_mut().push(what);
    }

    /// True when a claim has not held: nothing more is to be learned.
    pub fn is_broken(&self) -> bool {
        !self.wrong.borrow().is_empty()
    }

    /// A daemon has opened its store.
    pub fn opened(&self, loaded: &Loaded) {
        let wrong = self.truth.borrow_mut().opened(loaded);
        wrong.into_iter().for_each(|wrong| self.fail(wrong));
    }

    /// The store's directory is gone, and with it all that the host knew.
    pub fn lose(&self) {
        self.disk.wipe();
        let truth = std::mem::take(&mut *self.truth.borrow_mut());
        self.lost_records.borrow_mut().extend(truth.rows.into_keys().map(|(_, record)| record));
        *self.episodes.borrow_mut() = [0; SUBJECTS];
        for (episodes, level) in self.episodes.borrow_mut().iter_mut().zip(*self.levels.borrow()) {
            *episodes = u64::from(level > 0);
        }
    }

    /// The next thing that is due by the script.
    pub fn next_act(&self) -> Option<Act> {
        let due = self.script.borrow().front().is_some_and(|(at, _)| *at <= time::world());
        let (_, act) = due.then(|| self.script.borrow_mut().pop_front()).flatten()?;
        self.calm.set(self.calm.get().max(time::world()));
        self.count(act.name(), &format!("{act:?}"));
        Some(act)
    }

    /// What happened while no daemon lived.
    pub fn catch_up(&self) {
        while let Some(act) = self.next_act() {
            match act {
                Act::Turn { subject, level } => self.set_level(subject, level),
                Act::Reload(variant) => {
                    self.variant.set(variant);
                    self.reloads.set(self.reloads.get() + 1);
                }
                Act::Step(by) => time::step(by),
                Act::Suspend(long) => time::suspend(long),
                Act::Full(full) => self.full.set(full),
                Act::Lose => self.lose(),
                Act::Meddle => self.meddle(),
                Act::Crash | Act::Restart | Act::Operate => {}
            }
        }
    }

    /// A subject takes a level.
    pub fn set_level(&self, subject: usize, level: u8) {
        let before = std::mem::replace(&mut self.levels.borrow_mut()[subject], level);
        if before == 0 && level > 0 {
            self.episodes.borrow_mut()[subject] += 1;
        }
    }

    /// A person works at a desk.
    pub fn meddle(&self) {
        for far in &self.far {
            let far = &mut *far.borrow_mut();
            far.catch_up();
            if let Some(what) = far.product.meddle(&mut self.chance.borrow_mut()) {
                self.say(&format!("a person at {}: {what}", far.id));
                self.meddled.set(true);
            }
        }
    }

    /// True when a person has changed something at a desk.
    pub fn is_meddled(&self) -> bool {
        self.meddled.get()
    }

    /// A request leaves the host.
    pub fn request(&self, far: usize, number: u64, request: &Request, fate: &str) {
        let id = self.far[far].borrow().id;
        let short: String = request.path.chars().take(60).collect();
        self.say(&format!("{id} request {number} {:?} {short}: {fate}", request.method));
        *self.counts.borrow_mut().entry("request").or_default() += 1;
        if fate != "Served" {
            *self.counts.borrow_mut().entry("network fault").or_default() += 1;
        }
        if id == "desk" {
            let truth = self.truth.borrow();
            for event in request.json_body().as_array().into_iter().flatten() {
                let key = event["id"].as_str().unwrap_or_default();
                if !truth.is_claimed("desk", key) {
                    self.fail(format!("{key} is sent without having been claimed"));
                }
            }
        }
    }

    /// The outbox has given something up because it was full.
    pub fn set_dropped(&self, records: BTreeSet<Place>) {
        self.dropped.set(true);
        *self.given_up.borrow_mut() = records;
    }

    /// True when it has.
    pub fn dropped(&self) -> bool {
        self.dropped.get()
    }

    /// Nobody can ask for this record at that destination: it was given up by the outbox, or is a link of
    /// which one end is not there.
    pub fn is_excused(&self, destination: &str, record: &str) -> bool {
        let place = (destination.to_owned(), record.to_owned());
        let truth = self.truth.borrow();
        let given_up = self.given_up.borrow();
        let excused = given_up.contains(&place);
        excused
            || truth.rows.get(&place).is_some_and(|row| {
                let end_gone = row.link.iter().any(|(incident, problem)| {
                    [incident, problem]
                        .iter()
                        .any(|end| given_up.contains(&(destination.to_owned(), (*end).clone())))
                });
                end_gone || !truth.has_ends(destination, row)
            })
    }

    /// The end of the world.
    pub fn outcome(&self) -> Outcome {
        Outcome { wrong: self.wrong.take(), journal: self.journal.take(), counts: self.counts.take() }
    }
}
