//! The real outbox as the pumps of a simulated host see it: every call may be the daemon's last, and every
//! operation is held against the truth.

use std::rc::Rc;

use sexton::engine::effect::{Held, Job, Line, Outbox, Settled};
use sexton::engine::moment::Stamp;
use sexton::store::Store;

use crate::bugs;
use crate::world::World;

/// See the module.
#[derive(Clone)]
pub struct Watched {
    pub store: Store,
    pub world: Rc<World>,
}

impl Outbox for Watched {
    async fn claim(&self, destination: &str, max: usize, now: Stamp) -> Result<Vec<Job>, String> {
        self.claim_in(Line::default(), destination, max, now).await
    }

    async fn claim_in(
        &self,
        line: Line,
        destination: &str,
        max: usize,
        now: Stamp,
    ) -> Result<Vec<Job>, String> {
        let fuse = self.world.fuse();
        fuse.burn("before a claim").await;
        let mut claimed = self.store.claim_in(line, destination, max, now).await;
        claimed.iter_mut().for_each(|jobs| bugs::claimed(&self.world, jobs));
        fuse.burn("after a claim").await;
        let mut truth = self.world.truth.borrow_mut();
        for job in claimed.iter().flatten() {
            let what =
                format!("claims {} attempts {} doubt {}", job.operation_key, job.attempts, job.unknown);
            self.world.say(&format!("{destination} {what}"));
            truth.claims(destination, job).into_iter().for_each(|wrong| self.world.fail(wrong));
        }
        claimed
    }

    async fn settle(&self, destination: &str, settled: Vec<Settled>, now: Stamp) -> Result<(), String> {
        let fuse = self.world.fuse();
        fuse.burn("before a settlement").await;
        self.world.truth.borrow_mut().settling(destination, &settled);
        let mut told = settled.clone();
        let done = match bugs::settled(&self.world, &mut told) {
            true => self.store.settle(destination, told, now).await,
            false => Ok(()),
        };
        fuse.burn("after a settlement").await;
        if done.is_ok() {
            let mut truth = self.world.truth.borrow_mut();
            for one in &settled {
                self.world
                    .say(&format!("{destination} settles {} {} {:?}", one.record, one.rev, one.outcome));
                truth.settles(destination, one).into_iter().for_each(|wrong| self.world.fail(wrong));
            }
        }
        done
    }

    async fn held(&self, destination: &str, after: i64, max: usize) -> Result<Vec<Held>, String> {
        self.store.held(destination, after, max).await
    }

    async fn next_due(&self, destination: &str) -> Result<Option<Stamp>, String> {
        self.store.next_due(destination).await
    }
}
