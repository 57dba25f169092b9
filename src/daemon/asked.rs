//! What clients ask the daemon, and what it answers.
//!
//! What the engine knows is answered between two turns of the loop; what only the store or the history knows,
//! beside it: reading a backlog may take long, and the loop has to commit meanwhile.

use std::rc::Rc;

use tokio::sync::oneshot;

use super::{Daemon, status};
use crate::control::{Answer, Query, Refusal, Request};
use crate::engine::effect::{Command, Step};
use crate::engine::record::Problem;
use crate::store::Store;

/// The most dead letters that one request puts back into the line.
const REQUEUED: usize = 10_000;

impl Daemon {
    /// Carries out what a person or a destination said.
    pub(super) async fn command(&mut self, command: &Command) -> Result<(), String> {
        let mut step = Step::default();
        let done = self.engine.command(self.clock.now(), command, &mut step);
        self.finish(step).await;
        done
    }

    /// Answers a client.
    pub(super) async fn asked(&mut self, request: Request) {
        let Request { query, reply } = request;
        let answer = match query {
            Query::Command(command) => {
                self.command(&command).await.map_err(Refusal::Conflict).map(status::done)
            }
            Query::Reload(mode) => return self.ask_reload(mode, Some(reply)),
            Query::StartMaintenance(ask) => {
                let mut step = Step::default();
                let said = self.engine.start_maintenance(self.clock.now(), &ask, &mut step);
                self.finish(step).await;
                said.map_err(Refusal::Conflict).map(status::done)
            }
            Query::EndMaintenance { id } => {
                let mut step = Step::default();
                let said = self.engine.end_maintenance(self.clock.now(), &id, &mut step);
                self.finish(step).await;
                said.map_err(Refusal::Conflict).map(status::done)
            }
            query => return self.answer(Request { query, reply }).await,
        };
        let _ = reply.send(answer);
    }

    /// Answers what changes nothing in the engine.
    pub(super) async fn answer(&mut self, request: Request) {
        let Request { query, reply } = request;
        let answer = match query {
            Query::Status => Ok(self.status().await),
            Query::Rules => Ok(self.standing()),
            Query::Explain { subject, instance } => self.explain(&subject, instance.as_deref()).await,
            Query::Maintenance => Ok(self.maintenance()),
            Query::Incidents => status::list("incidents", self.engine.incidents.incidents()),
            Query::Problems => status::list("problems", self.engine.incidents.problems()),
            Query::Incident(id) => status::one(self.engine.incidents.incident(&id), "incident", &id),
            Query::Problem(id) => {
                let same = |p: &&Problem| p.id == id || p.number == id;
                status::one(self.engine.incidents.problems().find(same), "problem", &id)
            }
            Query::Outbox => {
                let rows = self.store.outbox_rows(status::OUTBOX_ROWS).await;
                let rows = rows.map_err(|e| Refusal::Failed(e.to_string()));
                rows.and_then(|rows| status::list("rows", self.with_orphans(rows)))
            }
            Query::DropAll { destination, .. } if self.is_configured(&destination) => {
                let why = "is still configured: take it out of the configuration first";
                Err(Refusal::Conflict(format!("{destination} {why}")))
            }
            Query::HistorySeries => return self.answer_history(None, reply),
            Query::HistorySamples(wanted) => return self.answer_history(Some(wanted), reply),
            query => return self.answer_from_store(query, reply),
        };
        let _ = reply.send(answer);
    }

    /// One after the other, so that a commit waits for one of them at most.
    fn answer_from_store(&self, query: Query, reply: oneshot::Sender<Answer>) {
        let (store, wake, turn) = (self.store.clone(), self.forward.waker(), Rc::clone(&self.store_asked));
        tokio::task::spawn_local(async move {
            let _turn = turn.lock().await;
            let answer = from_store(&store, query).await;
            wake();
            let _ = reply.send(answer);
        });
    }
}

async fn from_store(store: &Store, query: Query) -> Answer {
    match query {
        Query::OutboxRow { destination, record } => status::row(store, &destination, &record).await,
        Query::OutboxExport { after } => {
            let rows = store.outbox_export(after).await;
            rows.map_err(|e| Refusal::Failed(e.to_string())).and_then(|rows| status::list("rows", rows))
        }
        Query::OutboxVerify => {
            let flaws = store.outbox_verify().await;
            let flaws = flaws.map_err(|e| Refusal::Failed(e.to_string()));
            flaws.and_then(|flaws| status::list("flaws", flaws))
        }
        Query::Requeue { destination, record } => {
            let done = store.requeue(&destination, &record).await;
            status::repaired(done, "put back into the line", "dead letter", &record)
        }
        Query::RequeueAll { destination } => {
            let done = store.requeue_all(&destination, REQUEUED).await;
            let said = done.map(|rows| format!("{rows} dead letters of {destination} are back in the line"));
            said.map(status::done).map_err(|e| Refusal::Failed(e.to_string()))
        }
        Query::Drop { destination, record, reason } => {
            let done = store.drop(&destination, &record, &reason).await;
            status::repaired(done, "given up", "waiting record", &record)
        }
        Query::DropAll { destination, reason } => {
            let done = store.drop_all(&destination, &reason).await;
            let said = done.map(|rows| status::done(format!("{rows} rows of {destination} are given up")));
            said.map_err(|e| Refusal::Failed(e.to_string()))
        }
        _ => Err(Refusal::Failed("not a question".to_owned())),
    }
}
