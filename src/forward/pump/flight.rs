//! One conversation under way, and what it tells when it lands.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::Clock;
use crate::engine::effect::{Held, Job, Outcome};
use crate::forward::connector::classify::{is_destination_trouble, outcome, sentence};
use crate::forward::connector::{Done, Exchange, MOST_BYTES, MOST_EXCHANGES, Next, Request};
use crate::forward::secrets::Secrets;
use crate::forward::wire::Wire;

/// What a conversation is about.
pub(super) enum Cargo {
    Hello,
    Heartbeat,
    /// Reading back: what was asked for.
    Reading(Vec<Held>),
    Jobs(Vec<Carried>),
}

/// What is remembered of a job while its conversation is under way.
pub(super) struct Carried {
    pub record: String,
    pub rev: u64,
    pub attempts: u32,
}

impl Cargo {
    pub fn jobs(jobs: &[Job]) -> Self {
        let carried =
            |job: &Job| Carried { record: job.record.clone(), rev: job.rev, attempts: job.attempts };
        Self::Jobs(jobs.iter().map(carried).collect())
    }
}

/// Trouble of the destination as a whole.
pub(in crate::forward) struct Trouble {
    /// It named a time.
    pub after: Option<Duration>,
    /// Why.
    pub reason: String,
    /// It did not take the request at all, so that no single job can be to blame.
    pub away: bool,
}

/// The end of a conversation.
#[derive(Default)]
pub(in crate::forward) struct Landing {
    /// What the connector concluded.
    pub done: Done,
    /// What the last exchange says of the destination.
    pub trouble: Option<Trouble>,
    /// The far end was asked something.
    pub asked: bool,
    /// The one job is to blame for its refusal, not the destination.
    pub own_fault: bool,
    /// It was given up because of the size of the answers.
    pub too_large: bool,
}

impl Landing {
    /// A conversation that was cut off or fell over: everything may have happened.
    pub fn cut_short(why: &str) -> Self {
        let reason = format!("the conversation was cut short: {why}");
        // One outcome is missing for each job, which the pump takes as unknown.
        let trouble = Some(Trouble { after: None, reason, away: false });
        Self { trouble, asked: true, ..Self::default() }
    }

    /// A conversation without an end: everything may have happened, and no outcome is known.
    fn given_up(reason: &str) -> Self {
        tracing::warn!(reason, "conversation given up");
        Self { asked: true, ..Self::default() }
    }

    /// Why the destination must be left alone, if it must.
    pub fn pause(&self) -> Option<String> {
        let by_outcome = self.done.outcomes.iter().find_map(|o| match o {
            Outcome::Pause { reason } => Some(reason.clone()),
            _ => None,
        });
        self.done.pause.clone().or(by_outcome)
    }

    /// What a conversation without jobs could make no sense of, in the connector's words.
    pub fn unclear(&self) -> Option<&str> {
        match self.done.outcomes.first()? {
            Outcome::Retry { reason, .. } | Outcome::Refused { reason } => Some(reason),
            Outcome::Stored { .. } | Outcome::Pause { .. } => None,
        }
    }

    /// A hello that found nothing wrong.
    pub fn is_fit(&self) -> bool {
        self.trouble.is_none() && self.done.outcomes.is_empty() && self.done.pause.is_none()
    }
}

/// Conversations that wait before their next request, and what is told when one begins to.
#[derive(Clone, Default)]
pub(in crate::forward) struct Rest {
    count: Rc<Cell<usize>>,
    begun: Rc<Notify>,
}

impl Rest {
    pub fn new(begun: Rc<Notify>) -> Self {
        Self { count: Rc::default(), begun }
    }

    /// How many wait now.
    pub fn count(&self) -> usize {
        self.count.get()
    }

    async fn sleep(&self, time: Duration) {
        struct End<'a>(&'a Cell<usize>);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.set(self.0.get() - 1);
            }
        }
        self.count.set(self.count.get() + 1);
        let _end = End(&self.count);
        self.begun.notify_one();
        tokio::time::sleep(time).await;
    }
}

/// Asks the connector and the far end in turn until the connector has its outcomes.
pub(in crate::forward) async fn converse(
    wire: Rc<dyn Wire>,
    secrets: Secrets,
    clock: Clock,
    rest: Rest,
    ask: impl Fn(&[Exchange]) -> Next,
) -> Landing {
    let mut exchanges: Vec<Exchange> = Vec::new();
    let mut held = 0;
    loop {
        let request = match ask(&exchanges) {
            Next::Done(mut done) => {
                if exchanges.last().is_some_and(is_refused_login) {
                    name_login(&mut done, &wire.login());
                }
                let trouble = if is_taken(&done) { None } else { trouble(exchanges.last()) };
                let asked = !exchanges.is_empty();
                return Landing { done, trouble, asked, ..Landing::default() };
            }
            Next::Send(_) if exchanges.len() >= MOST_EXCHANGES => {
                return Landing::given_up(&format!("no end after {MOST_EXCHANGES} requests"));
            }
            Next::Send(_) if held > MOST_BYTES => {
                let landing = Landing::given_up(&format!("the answers are larger than {MOST_BYTES} bytes"));
                return Landing { too_large: true, ..landing };
            }
            Next::Send(request) => request,
        };
        if !request.after.is_zero() {
            rest.sleep(request.after).await;
        }
        let result = wire.send(&request, &secrets, clock.now().stamp()).await;
        held += result.as_ref().map_or(0, |reply| reply.body.len());
        let status = result.as_ref().map_or(0, |reply| reply.status);
        tracing::debug!(method = ?request.method, path = request.path, status, "exchange");
        exchanges.push(Exchange { request: *request, result });
    }
}

fn is_refused_login(exchange: &Exchange) -> bool {
    exchange.request.login && exchange.result.as_ref().is_ok_and(|reply| reply.status == 401)
}

/// Tells in each reason of a pause what was shown to the far end that refused it.
fn name_login(done: &mut Done, login: &str) {
    let by_outcome = done.outcomes.iter_mut().filter_map(|o| match o {
        Outcome::Pause { reason } => Some(reason),
        _ => None,
    });
    for reason in done.pause.iter_mut().chain(by_outcome).filter(|_| !login.is_empty()) {
        reason.push_str(&format!("; logged in by {login}"));
    }
}

/// All jobs are dealt with and something was stored: what else went wrong (the second server of a cluster) is
/// no trouble of the destination.
fn is_taken(done: &Done) -> bool {
    let dealt_with = |o: &Outcome| matches!(o, Outcome::Stored { .. } | Outcome::Refused { .. });
    done.outcomes.iter().all(dealt_with) && done.outcomes.iter().any(|o| matches!(o, Outcome::Stored { .. }))
}

fn trouble(last: Option<&Exchange>) -> Option<Trouble> {
    match &last?.result {
        Err(failure) => Some(Trouble { after: None, reason: failure.reason.clone(), away: true }),
        Ok(reply) if is_destination_trouble(reply.status) => Some(Trouble {
            after: reply.retry_after,
            reason: sentence(reply),
            away: matches!(reply.status, 429 | 502 | 503 | 504),
        }),
        Ok(_) => None,
    }
}

/// The conversation of a single request that has no job; a refusal of rights is a refusal of the destination.
pub(super) fn once(request: Request) -> impl Fn(&[Exchange]) -> Next {
    move |said| {
        let Some(exchange) = said.first() else { return Next::send(request.clone()) };
        let write = exchange.request.is_write();
        let common = exchange.result.as_ref().ok().and_then(|reply| outcome(reply, write));
        Next::Done(match common {
            Some(Outcome::Pause { reason }) => Done { pause: Some(reason), ..Done::default() },
            Some(Outcome::Refused { reason }) => Done { warning: Some(reason), ..Done::default() },
            _ => Done::default(),
        })
    }
}
