//! A conversation of several calls, written as straight-line code.
//!
//! The connector's function is replayed from its start each time an answer arrives. [`Talk::ask`] hands out
//! the answers one by one; at the first question without one it ends the replay with `Err(Next::Send(…))`,
//! which `?` carries up. Transport failures and answers that say "not now" end it as well, with an outcome
//! that knows whether anything was written.

use std::time::Duration;

use super::classify::{Class, class, outcome};
use super::{Done, Exchange, Next, Reply, Request};
use crate::engine::effect::{Job, Outcome};

/// How long a request that was given up may still be carried out: by a far end that is slow, or a proxy that
/// has kept it.
pub const LAG: Duration = Duration::from_secs(3);

/// Why an operation in doubt waits.
pub const IN_DOUBT: &str = "an earlier attempt may still be carried out; looked for again when it must show";

/// Where a replay stands.
pub struct Talk<'a> {
    exchanges: &'a [Exchange],
    at: usize,
    /// The far end may have carried out something for this job, now or in an earlier attempt.
    unknown: bool,
    /// The far end took a write in this conversation.
    wrote: bool,
}

/// What is known of a conversation's writes.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    unknown: bool,
    wrote: bool,
}

impl<'a> Talk<'a> {
    /// A replay of what was said so far. `unknown`: an earlier attempt may have reached the far end.
    pub fn new(exchanges: &'a [Exchange], unknown: bool) -> Self {
        Self { exchanges, at: 0, unknown, wrote: false }
    }

    /// The answer to this request: a success, 403, 404, 410, 412 or another 4xx, which the caller judges.
    ///
    /// # Errors
    /// The request itself when it has not been sent yet; else the end of the conversation.
    pub fn ask(&mut self, request: Request) -> Result<&'a Reply, Next> {
        self.ask_unless(request, |_| false)
    }

    /// The same; an answer that is a refusal by the product's own words is handed out whatever its status: it
    /// has changed nothing.
    ///
    /// # Errors
    /// As [`Talk::ask`].
    pub fn ask_unless(
        &mut self,
        request: Request,
        refused: impl Fn(&Reply) -> bool,
    ) -> Result<&'a Reply, Next> {
        let Some(exchange) = self.exchanges.get(self.at) else {
            return Err(Next::send(request));
        };
        self.at += 1;
        let write = exchange.request.is_write();
        let reply = match &exchange.result {
            Ok(reply) => reply,
            Err(failure) => {
                let unknown = self.unknown || (write && failure.sent);
                return Err(end(Outcome::Retry { after: None, unknown, reason: failure.reason.clone() }));
            }
        };
        if refused(reply) {
            return Ok(reply);
        }
        match class(reply.status) {
            Class::NotNow | Class::Ambiguous | Class::Elsewhere => {
                return Err(self.give_up(reply, write));
            }
            _ if reply.status == 401 => return Err(self.give_up(reply, write)),
            Class::Success if write => (self.unknown, self.wrote) = (true, true),
            _ => {}
        }
        Ok(reply)
    }

    /// What is known of writes by now, for [`Talk::nothing_done`].
    pub fn standing(&self) -> Standing {
        Standing { unknown: self.unknown, wrote: self.wrote }
    }

    /// The write that was answered since then was refused inside a success: it has changed nothing.
    pub fn nothing_done(&mut self, since: Standing) {
        (self.unknown, self.wrote) = (since.unknown, since.wrote);
    }

    /// The common outcome of an answer that the caller has no use for; ends the conversation.
    pub fn give_up(&self, reply: &Reply, write: bool) -> Next {
        let common = outcome(reply, write);
        let fallback = || Outcome::Refused { reason: format!("unexpected answer HTTP {}", reply.status) };
        end(match common.unwrap_or_else(fallback) {
            Outcome::Retry { after, unknown, reason } => {
                Outcome::Retry { after, unknown: unknown || self.unknown, reason }
            }
            other => other,
        })
    }

    /// The end of the conversation as the outbox must hear it: a pause after a write is one of the
    /// destination, and the job an unknown one. As paused it would begin anew and write a second time.
    pub fn conclude(&self, next: Next) -> Next {
        let Next::Done(mut done) = next else { return next };
        for outcome in done.outcomes.iter_mut().filter(|_| self.wrote) {
            if let Outcome::Pause { reason } = outcome {
                let reason = std::mem::take(reason);
                done.pause.get_or_insert_with(|| reason.clone());
                *outcome = Outcome::Retry { after: None, unknown: true, reason };
            }
        }
        Next::Done(done)
    }

    /// Try again later, keeping what is known about earlier writes.
    pub fn retry(&self, after: Option<Duration>, reason: String) -> Next {
        end(Outcome::Retry { after, unknown: self.unknown, reason })
    }

    /// Goes on once nothing of an earlier attempt can be under way any more: until the far end must be done
    /// with it, and a search must show it, nothing is written again.
    ///
    /// # Errors
    /// The end of the conversation, when that is not yet so.
    pub fn wait_for_lost(&self, job: &Job, lag: Duration) -> Result<(), Next> {
        match left_of_doubt(job, lag) {
            Some(after) => Err(self.retry_in_doubt(after, IN_DOUBT.to_owned())),
            None => Ok(()),
        }
    }

    /// Look again later: what an earlier attempt did is still not known. The time of the doubt stays.
    pub fn retry_in_doubt(&self, after: Duration, reason: String) -> Next {
        end(Outcome::Retry { after: Some(after), unknown: false, reason })
    }
}

/// How long an earlier attempt may still be carried out by a far end that needs that lag; `None` when it
/// cannot.
pub fn left_of_doubt(job: &Job, lag: Duration) -> Option<Duration> {
    let doubt = job.doubt_at.filter(|_| job.unknown)?;
    let lag = i64::try_from(lag.as_nanos()).unwrap_or(i64::MAX);
    // Clocks step: never longer than the lag itself.
    let left = doubt.plus(lag).0.saturating_sub(job.claimed_at.0).min(lag);
    (left > 0).then(|| Duration::from_nanos(left.unsigned_abs()))
}

/// The end of a conversation about one job.
pub fn end(outcome: Outcome) -> Next {
    Next::Done(Done::from(outcome))
}
