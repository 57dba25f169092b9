//! What clients ask the daemon, and what it answers.

use super::{Daemon, status};
use crate::control::{Answer, Query, Refusal, Request};
use crate::engine::effect::{Command, Step};
use crate::engine::record::Problem;

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
        let answer = match request.query {
            Query::Command(command) => {
                self.command(&command).await.map_err(Refusal::Conflict).map(status::done)
            }
            Query::Reload(mode) => return self.ask_reload(mode, Some(request.reply)),
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
            Query::HistorySeries => return self.answer_history(None, request.reply),
            Query::HistorySamples(wanted) => return self.answer_history(Some(wanted), request.reply),
            query => self.answer(query).await,
        };
        let _ = request.reply.send(answer);
    }

    /// Answers what changes nothing.
    pub(super) async fn answer(&self, query: Query) -> Answer {
        match query {
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
            Query::OutboxRow { destination, record } => status::row(&self.store, &destination, &record).await,
            Query::OutboxExport { after } => {
                let rows = self.store.outbox_export(after).await;
                rows.map_err(|e| Refusal::Failed(e.to_string())).and_then(|rows| status::list("rows", rows))
            }
            Query::OutboxVerify => {
                let flaws = self.store.outbox_verify().await;
                let flaws = flaws.map_err(|e| Refusal::Failed(e.to_string()));
                flaws.and_then(|flaws| status::list("flaws", flaws))
            }
            Query::Requeue { destination, record } => {
                let done = self.store.requeue(&destination, &record).await;
                self.forward.wake();
                status::repaired(done, "put back into the line", "dead letter", &record)
            }
            Query::RequeueAll { destination } => {
                let done = self.store.requeue_all(&destination, REQUEUED).await;
                self.forward.wake();
                let said =
                    done.map(|rows| format!("{rows} dead letters of {destination} are back in the line"));
                said.map(status::done).map_err(|e| Refusal::Failed(e.to_string()))
            }
            Query::Drop { destination, record, reason } => {
                let done = self.store.drop(&destination, &record, &reason).await;
                status::repaired(done, "given up", "waiting record", &record)
            }
            Query::DropAll { destination, .. } if self.is_configured(&destination) => {
                let why = "is still configured: take it out of the configuration first";
                Err(Refusal::Conflict(format!("{destination} {why}")))
            }
            Query::DropAll { destination, reason } => {
                let done = self.store.drop_all(&destination, &reason).await;
                let said =
                    done.map(|rows| status::done(format!("{rows} rows of {destination} are given up")));
                said.map_err(|e| Refusal::Failed(e.to_string()))
            }
            Query::Reload(_)
            | Query::Command(_)
            | Query::StartMaintenance(_)
            | Query::EndMaintenance { .. }
            | Query::HistorySeries
            | Query::HistorySamples(_) => Err(Refusal::Failed("not a question".to_owned())),
        }
    }
}
