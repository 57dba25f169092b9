//! Forwarding: one pump per destination empties the outbox.
//!
//! Owns HTTP, waiting, pace and health of destinations. It knows the outbox as a trait and a record as a
//! body; what a desk's language is stands in `connector/`. Per record order is the outbox's promise (one
//! operation in flight); the pump's are: nothing claimed is ever left unsettled, nothing is given up on age,
//! a refusing destination is left in peace.
//!
//! The futures of [`Outbox`] need not be `Send`, so pumps are local tasks: [`spawn`] must be called inside a
//! [`tokio::task::LocalSet`] (or a `LocalRuntime`) on the current-thread runtime.

pub mod connector;
pub mod health;
pub mod pace;
pub mod probe;
mod pump;
pub mod secrets;
pub mod wire;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::Value as Json;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::engine::effect::{Command, DestinationStatus, Outbox};
use crate::engine::moment::{Moment, Stamp};
use crate::engine::option::DestinationPlan;
use crate::engine::record::HostRef;
use connector::Connector;
pub use pump::Tuning;

/// All pumps. Dropping it ends them without ceremony; [`Forward::stop`] lets requests finish.
pub struct Forward {
    pumps: BTreeMap<String, Handle>,
    /// Pumps of removed destinations that are still finishing.
    ending: Vec<JoinHandle<()>>,
    shared: Rc<Shared>,
    starter: Box<Starter>,
}

type Starter = dyn Fn(DestinationPlan, Option<JoinHandle<()>>) -> Handle;

/// What the pumps and [`Forward`] share.
struct Shared {
    board: watch::Sender<Vec<DestinationStatus>>,
    heartbeat: RefCell<Option<Json>>,
    turned: RefCell<BTreeMap<String, Moment>>,
}

struct Handle {
    plan: DestinationPlan,
    wake: Rc<Notify>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// The world the pumps work in.
#[derive(Clone)]
pub struct Setting {
    /// The host all records come from.
    pub host: HostRef,
    /// When its store began.
    pub born: Stamp,
    /// The time.
    pub clock: Clock,
    /// Where what people did at destinations is told, as [`Command::Remote`]. What finds it full is read
    /// again next time.
    pub remotes: mpsc::Sender<Command>,
    /// Waits.
    pub tuning: Tuning,
    /// What makes the wires.
    pub wires: wire::Wires,
}

impl Setting {
    /// The real world with the usual waits.
    pub fn new(host: HostRef, born: Stamp, clock: Clock, remotes: mpsc::Sender<Command>) -> Self {
        Self { host, born, clock, remotes, tuning: Tuning::default(), wires: wire::real() }
    }
}

/// Starts a pump per destination; see the module for where this may be called.
pub fn spawn<O: Outbox + Clone + 'static>(plans: &[DestinationPlan], outbox: O, setting: Setting) -> Forward {
    let shared = Rc::new(Shared {
        board: watch::Sender::new(Vec::new()),
        heartbeat: RefCell::new(None),
        turned: RefCell::new(BTreeMap::new()),
    });
    let for_pumps = Rc::clone(&shared);
    let starter = move |plan: DestinationPlan, before: Option<JoinHandle<()>>| {
        let (stop, stopped) = watch::channel(false);
        let wake = Rc::new(Notify::new());
        let context = pump::Context {
            outbox: outbox.clone(),
            setting: setting.clone(),
            shared: Rc::clone(&for_pumps),
            wake: Rc::clone(&wake),
            stop: stopped,
        };
        let task = tokio::task::spawn_local(start(plan.clone(), context, before));
        Handle { plan, wake, stop, task }
    };
    let mut forward =
        Forward { pumps: BTreeMap::new(), ending: Vec::new(), shared, starter: Box::new(starter) };
    forward.reconfigure(plans);
    forward
}

/// Runs one pump once its predecessor of the same id has ended.
async fn start<O: Outbox + Clone + 'static>(
    plan: DestinationPlan,
    context: pump::Context<O>,
    before: Option<JoinHandle<()>>,
) {
    if let Some(before) = before {
        let _ = before.await;
    }
    match Connector::find(plan.kind) {
        Some(connector) => pump::Pump::new(plan, connector, context).run().await,
        None => tracing::error!(destination = plan.id, kind = plan.kind, "there is no such connector"),
    }
}

impl Forward {
    /// New rows were committed.
    pub fn wake(&self) {
        self.waker()();
    }

    /// [`Forward::wake`] for whoever commits rows beside the loop.
    pub fn waker(&self) -> impl Fn() + use<> {
        let pumps: Vec<_> = self.pumps.values().map(|p| Rc::clone(&p.wake)).collect();
        move || pumps.iter().for_each(|wake| wake.notify_one())
    }

    /// State of each destination, ordered by id; `rows` is left to the outbox.
    pub fn status(&self) -> Vec<DestinationStatus> {
        self.shared.board.borrow().clone()
    }

    /// Told when the state or the reason of a destination changes; holds what [`Forward::status`] returns.
    pub fn changes(&self) -> watch::Receiver<Vec<DestinationStatus>> {
        self.shared.board.subscribe()
    }

    /// The heartbeat to be sent; only the latest counts.
    pub fn heartbeat(&self, body: Json) {
        let first = self.shared.heartbeat.borrow_mut().replace(body).is_none();
        if first {
            self.wake();
        }
    }

    /// When the pump that has not turned for longest last turned; `None` without destinations. Each turns
    /// every 10 s at least, whatever the far end does.
    pub fn turned(&self) -> Option<Moment> {
        self.shared.turned.borrow().values().min_by_key(|m| m.mono).copied()
    }

    /// Takes new plans: pumps of unchanged destinations go on, others finish what they do and start anew.
    pub fn reconfigure(&mut self, plans: &[DestinationPlan]) {
        self.ending.retain(|task| !task.is_finished());
        let mut old = std::mem::take(&mut self.pumps);
        for plan in plans {
            let handle = match old.remove(&plan.id) {
                Some(same) if same.plan == *plan => same,
                changed => {
                    let before = changed.map(|handle| {
                        handle.stop.send_replace(true);
                        handle.task
                    });
                    self.shared.list(plan);
                    (self.starter)(plan.clone(), before)
                }
            };
            self.pumps.insert(plan.id.clone(), handle);
        }
        for (id, gone) in old {
            gone.stop.send_replace(true);
            self.ending.push(gone.task);
            self.shared.unlist(&id);
        }
    }

    /// Ends all pumps: requests under way get up to 2 s, what is then unanswered is settled as unknown.
    pub async fn stop(self) {
        for pump in self.pumps.values() {
            pump.stop.send_replace(true);
        }
        let running = self.pumps.into_values().map(|p| p.task);
        for task in running.chain(self.ending) {
            let _ = task.await;
        }
    }
}

impl Shared {
    /// A destination as it is before its pump has turned.
    fn list(&self, plan: &DestinationPlan) {
        let (state, reason) = match Connector::find(plan.kind) {
            Some(_) => ("up", None),
            None => ("down", Some(format!("there is no connector '{}'", plan.kind))),
        };
        let status = DestinationStatus {
            id: plan.id.clone(),
            kind: plan.kind.to_owned(),
            state: state.to_owned(),
            reason,
            ..DestinationStatus::default()
        };
        self.board.send_modify(|board| {
            board.retain(|s| s.id != plan.id);
            board.push(status);
            board.sort_by(|a, b| a.id.cmp(&b.id));
        });
    }

    fn unlist(&self, id: &str) {
        self.board.send_modify(|board| board.retain(|s| s.id != id));
        self.turned.borrow_mut().remove(id);
    }
}
