//! The network between the host and a far end, and what goes wrong on it.
//!
//! What a request does at the far end is one thing, what the client hears of it another: a request may be
//! carried out without an answer, after the client has given up, or not at all. What is under way outlives
//! the daemon that sent it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use sexton::engine::moment::{MINUTE, SECOND, Stamp};
use sexton::forward::connector::{Failure, Reply, Request};
use sexton::forward::secrets::Secrets;
use sexton::forward::wire::{Sending, Wire};

use crate::bugs::Bug;
use crate::random::Random;
use crate::time;
use crate::world::World;

/// The longest time after the client has given up in which a far end still carries out a request. Connectors
/// of products without idempotent requests look again after 3 s; beyond that nobody could help.
const LATE: i64 = 2_500_000_000;

/// What stands behind the network.
pub trait Product {
    /// Carries out a request; `half` stops in the middle of what can be done by halves.
    fn execute(&mut self, request: &Request, half: bool) -> Reply;
    /// A person changes something behind our back.
    fn meddle(&mut self, random: &mut Random) -> Option<String>;
    /// Where it differs from the truth.
    fn differences(&self, world: &World) -> Vec<String>;
    /// What it holds, in one line.
    fn summary(&self) -> String;
}

/// A request on its way.
struct Waiting {
    at: i64,
    number: u64,
    request: Request,
    half: bool,
    reply: Rc<RefCell<Option<Reply>>>,
}

/// A far end with the network before it.
pub struct Far {
    /// Destination id.
    pub id: &'static str,
    /// What stands there.
    pub product: Box<dyn Product>,
    /// From when to when the weather is bad.
    storms: Vec<(i64, i64)>,
    /// Requests in a hundred that meet a fault in bad weather.
    percent: u64,
    random: Random,
    waiting: Vec<Waiting>,
    requests: u64,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    /// It is answered.
    Served,
    /// There is no connection.
    Unreachable,
    /// Lost on the way there.
    Lost,
    /// Carried out; the answer is lost.
    Unanswered,
    /// Carried out after the client has given up.
    Late,
    /// Begun, and not finished.
    Half,
    /// Carried out for some of what it asks for, and answered for that.
    Partly,
    /// Refused with this status, not carried out.
    Status(u16),
    /// Carried out, answered with this status.
    Failed(u16),
    /// Carried out, answered with something that makes no sense.
    Garbage,
}

const FATES: &[(u64, Fate)] = &[
    (15, Fate::Unreachable),
    (10, Fate::Lost),
    (15, Fate::Unanswered),
    (12, Fate::Late),
    (5, Fate::Half),
    (6, Fate::Partly),
    (8, Fate::Status(429)),
    (5, Fate::Status(503)),
    (4, Fate::Status(500)),
    (4, Fate::Status(401)),
    (3, Fate::Status(403)),
    (2, Fate::Status(302)),
    (2, Fate::Status(400)),
    (2, Fate::Status(413)),
    (4, Fate::Failed(500)),
    (4, Fate::Failed(502)),
    (3, Fate::Failed(504)),
    (4, Fate::Garbage),
];

impl Far {
    /// A far end whose weather follows from the world's seed; all storms are over at `calm`.
    pub fn new(seed: u64, id: &'static str, product: Box<dyn Product>, percent: u64, calm: i64) -> Self {
        let mut random = Random::stream(seed, id);
        let storms = (0..random.below(5)).map(|_| {
            let from = random.within(0, calm);
            let long = *random.pick(&[20 * SECOND, 5 * MINUTE, calm / 2]);
            (from, (from + random.within(SECOND, long.max(2 * SECOND))).min(calm))
        });
        let storms = storms.collect();
        Self { id, product, storms, percent, random, waiting: Vec::new(), requests: 0 }
    }

    /// Carries out what has arrived by now.
    pub fn catch_up(&mut self) {
        let now = time::world();
        while let Some(first) = (0..self.waiting.len())
            .min_by_key(|i| (self.waiting[*i].at, self.waiting[*i].number))
            .filter(|i| self.waiting[*i].at <= now)
        {
            let waiting = self.waiting.remove(first);
            let reply = self.product.execute(&waiting.request, waiting.half);
            *waiting.reply.borrow_mut() = Some(reply);
        }
    }

    fn fate(&mut self, now: i64) -> Fate {
        let stormy = self.storms.iter().any(|(from, to)| (*from..*to).contains(&now));
        let fate = if stormy && self.random.chance(self.percent) {
            self.random.weighted(FATES)
        } else {
            Fate::Served
        };
        // Only a batch can be carried out in part and say so.
        if fate == Fate::Partly && self.id != "desk" { Fate::Unanswered } else { fate }
    }
}

/// The client's end of the network to one far end.
pub struct SimWire {
    pub world: Rc<World>,
    pub far: usize,
    pub timeout: Duration,
}

impl Wire for SimWire {
    fn send<'a>(&'a self, request: &'a Request, _secrets: &'a Secrets, _now: Stamp) -> Sending<'a> {
        Box::pin(self.exchange(request))
    }
}

/// A client that is gone before its answer: what it sent is carried out soon, or not at all.
struct Hold<'a> {
    wire: &'a SimWire,
    number: u64,
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        let soon = time::world() + LATE;
        let mut far = self.wire.world.far[self.wire.far].borrow_mut();
        let number = self.number;
        far.waiting.iter_mut().filter(|w| w.number == number).for_each(|w| w.at = w.at.min(soon));
    }
}

impl SimWire {
    async fn exchange(&self, request: &Request) -> Result<Reply, Failure> {
        let world = &self.world;
        let fuse = world.fuse();
        fuse.burn("before a request").await;
        let (fate, number, up, down, gives_up, late) = {
            let far = &mut *world.far[self.far].borrow_mut();
            far.requests += 1;
            let fate = far.fate(time::world());
            let random = &mut far.random;
            let up = random.within(1, SECOND / 4);
            let down = random.within(1, SECOND / 4);
            let timeout = i64::try_from(self.timeout.as_nanos()).unwrap_or(i64::MAX);
            let gives_up = if random.chance(50) { timeout } else { random.within(1, timeout) };
            (fate, far.requests, up, down, gives_up, random.within(0, LATE))
        };
        world.request(self.far, number, request, &format!("{fate:?}"));
        let arrives = match fate {
            Fate::Unreachable | Fate::Lost | Fate::Status(_) => None,
            Fate::Served | Fate::Partly | Fate::Garbage | Fate::Failed(_) => Some(up),
            Fate::Unanswered | Fate::Half => Some(up.min(gives_up)),
            Fate::Late => Some(gives_up + late),
        };
        let reply = Rc::new(RefCell::new(None));
        if let Some(after) = arrives {
            let at = time::world() + after;
            let half = matches!(fate, Fate::Half | Fate::Partly);
            let waiting = Waiting { at, number, request: request.clone(), half, reply: Rc::clone(&reply) };
            let mut far = world.far[self.far].borrow_mut();
            if world.bug == Some(Bug::WireRepeats) && matches!(fate, Fate::Unanswered | Fate::Late) {
                let (request, reply) = (request.clone(), Rc::default());
                far.waiting.push(Waiting { at: at + SECOND, number, request, half, reply });
            }
            far.waiting.push(waiting);
        }
        let _hold = Hold { wire: self, number };
        let wait = match fate {
            Fate::Unreachable => up,
            Fate::Lost | Fate::Unanswered | Fate::Half | Fate::Late => gives_up,
            _ => up,
        };
        time::pass(wait).await;
        world.far[self.far].borrow_mut().catch_up();
        fuse.burn("after a request").await;
        if matches!(fate, Fate::Served | Fate::Partly | Fate::Failed(_) | Fate::Garbage | Fate::Status(_)) {
            time::pass(down).await;
        }
        fuse.burn("at a reply").await;
        let served = reply.borrow_mut().take();
        self.answer(fate, number, served)
    }

    fn answer(&self, fate: Fate, number: u64, served: Option<Reply>) -> Result<Reply, Failure> {
        let lost = |sent: bool, reason: &str| Err(Failure { sent, reason: reason.to_owned() });
        let status = |status: u16| {
            let body = format!("{{\"message\":\"simulated {status}\"}}").into_bytes();
            let mut reply = Reply { status, body, ..Reply::default() };
            if matches!(status, 429 | 503) && number.is_multiple_of(2) {
                reply.retry_after = Some(Duration::from_secs(number % 90));
            }
            Ok(reply)
        };
        match fate {
            Fate::Served | Fate::Partly => served.map_or_else(|| lost(true, "no answer"), Ok),
            Fate::Unreachable => lost(false, "connection refused"),
            Fate::Lost | Fate::Unanswered | Fate::Half | Fate::Late => {
                lost(self.world.bug != Some(Bug::WireClaimsNothingLeft), "connection reset")
            }
            Fate::Status(code) | Fate::Failed(code) => status(code),
            Fate::Garbage => Ok(Reply { status: 200, body: b"<html>hello".to_vec(), ..Reply::default() }),
        }
    }
}
