//! Reading back: what people did at the destination, told to the engine.
//!
//! A round goes through everything the destination holds in batches, one conversation at a time, and begins
//! anew after `read_back`. Nothing is remembered of it: what finds no room is read again in the next round.

use std::rc::Rc;
use std::time::Duration;

use super::flight::{Cargo, Landing};
use super::{ASK, Pump, nanos};
use crate::engine::effect::{Command, Held, Outbox};
use crate::engine::moment::Moment;
use crate::engine::option::Gone;
use crate::forward::health::Mode;
use crate::forward::secrets::Secrets;
use crate::forward::wire::Wire;

impl<O: Outbox + Clone + 'static> Pump<O> {
    /// Reads back what people did to some of the records that the destination holds, when it is time.
    /// Returns how long nothing more has to be read.
    pub(super) async fn read_back(
        &mut self,
        now: Moment,
        wire: &Rc<dyn Wire>,
        secrets: &Secrets,
    ) -> Duration {
        let Some(read) = self.connector.read.filter(|_| self.plan.read_back > 0) else {
            return Duration::MAX;
        };
        if self.mode() != Mode::Up || self.flying.iter().any(|(_, c)| matches!(c, Cargo::Reading(_))) {
            return Duration::MAX;
        }
        if now.mono < self.read_due {
            return nanos(self.read_due.saturating_sub(now.mono));
        }
        let most = self.connector.read_batch.min(self.read_most).max(1);
        let held = match self.context.outbox.held(&self.plan.id, self.read_after, most).await {
            Ok(held) => held,
            Err(reason) => {
                self.outbox_fails(ASK, reason);
                return self.context.setting.tuning.store_retry;
            }
        };
        if held.is_empty() {
            (self.read_after, self.read_most) = (0, usize::MAX);
            self.read_due = now.mono.saturating_add(self.plan.read_back);
            return nanos(self.plan.read_back);
        };
        let (target, asked) = (Rc::clone(&self.target), held.clone());
        let ask = move |said: &[_]| read(&target, &asked, said);
        self.fly(Cargo::Reading(held), wire, secrets, ask);
        Duration::MAX
    }

    /// Passes on what was read back.
    pub(super) fn tell(&mut self, asked: &[Held], landing: Landing) {
        if landing.too_large && asked.len() > 1 {
            // The same with half of them; one that is too large by itself is passed over.
            self.read_most = asked.len() / 2;
            return;
        }
        self.read_after = asked.last().map_or(0, |held| held.cursor);
        let mut news: Vec<Command> = Vec::new();
        for held in asked {
            if !landing.done.gone.contains(&held.record) {
                self.missing.remove(&held.record);
            } else if let Some(gone) = self.gone(held) {
                news.push(gone);
            }
        }
        let destination = || self.plan.id.clone();
        let remotes = landing.done.remotes.into_iter();
        news.extend(remotes.map(|remote| Command::Remote { destination: destination(), remote }));
        for command in news {
            if self.context.setting.remotes.try_send(command).is_err() {
                tracing::debug!(
                    destination = self.plan.id,
                    "what was read back finds no room: read again later"
                );
                return;
            }
        }
    }

    /// A ticket is not there. Twice in a row, with a proof in between that the destination is fit: rights
    /// that were taken away hide tickets as well.
    fn gone(&mut self, held: &Held) -> Option<Command> {
        if self.plan.gone == Gone::Leave || held.over {
            return None;
        }
        let (record, id) = (held.record.clone(), &held.remote_id);
        if self.missing.insert(record.clone()) {
            self.greeted = self.connector.hello.is_none();
            tracing::warn!(destination = self.plan.id, ticket = id, "ticket is not there: looking again");
            return None;
        }
        self.missing.remove(&record);
        tracing::warn!(destination = self.plan.id, ticket = id, "ticket is gone: it is made anew");
        Some(Command::Gone { destination: self.plan.id.clone(), record, rev: held.rev })
    }
}
