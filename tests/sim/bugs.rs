//! Planted bugs: each is a mistake that an outbox, a store, a wire or a daemon could make, made at the seam
//! where the simulation holds it. A simulation that lets one pass is itself broken.

use sexton::engine::effect::{Job, Outcome, Settled};
use sexton::engine::moment::Stamp;

use crate::world::World;

/// A bug; see [`ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    SettlementLost,
    ClaimForgotten,
    DoubtForgotten,
    StoredTooSoon,
    RefusedTooSoon,
    KeyChanges,
    BodyChanges,
    JobTwice,
    OutcomesMixedUp,
    AnswerBeforeSync,
    SendingForgotten,
    SendingTakenForStored,
    OutboxApart,
    StateLeftOut,
    FailedCommitDropped,
    EngineForgets,
    WireClaimsNothingLeft,
    WireRepeats,
    SteadyClockIsWall,
    OutboxFirst,
}

/// Every bug, and what it is.
pub const ALL: &[(Bug, &str)] = &[
    (Bug::SettlementLost, "one settlement in ten is answered and not written"),
    (Bug::ClaimForgotten, "one claimed job in ten is neither sent nor settled"),
    (Bug::DoubtForgotten, "what may have arrived is settled as not sent"),
    (Bug::StoredTooSoon, "what may have arrived is settled as stored"),
    (Bug::RefusedTooSoon, "trouble of the network is settled as refused"),
    (Bug::KeyChanges, "a repeated operation gets another key"),
    (Bug::BodyChanges, "a repeated operation carries another body"),
    (Bug::JobTwice, "a claim gives the same job twice"),
    (Bug::OutcomesMixedUp, "outcomes of a batch go to the wrong jobs"),
    (Bug::AnswerBeforeSync, "the last transaction is answered before it is on the disk"),
    (Bug::SendingForgotten, "what was being sent at a crash is taken for not sent"),
    (Bug::SendingTakenForStored, "what was being sent at a crash is taken for stored"),
    (Bug::OutboxApart, "outbox rows are committed after journal and state"),
    (Bug::StateLeftOut, "the rule machines are not committed"),
    (Bug::FailedCommitDropped, "a commit that fails is not tried again"),
    (Bug::EngineForgets, "the engine does not take up its saved state"),
    (Bug::WireClaimsNothingLeft, "the wire says of a lost request that it never left"),
    (Bug::WireRepeats, "the wire repeats a lost request on its own"),
    (Bug::SteadyClockIsWall, "the steady clock is the wall clock"),
    (Bug::OutboxFirst, "outbox rows are committed before journal and state"),
];

/// What a buggy outbox makes of claimed jobs.
pub fn claimed(world: &World, jobs: &mut Vec<Job>) {
    let repeated = |job: &Job| job.unknown || job.attempts > 0;
    match world.bug {
        Some(Bug::ClaimForgotten) => jobs.retain(|_| !world.chance(10)),
        Some(Bug::JobTwice) => {
            if let Some(first) = jobs.first().cloned().filter(|_| world.chance(10)) {
                jobs.push(first);
            }
        }
        Some(Bug::KeyChanges) => {
            jobs.iter_mut().filter(|job| repeated(job)).for_each(|job| job.operation_key.push('x'));
        }
        Some(Bug::BodyChanges) => {
            let changed = |job: &mut Job| job.body["title"] = "another".into();
            jobs.iter_mut().filter(|job| repeated(job)).for_each(changed);
        }
        _ => {}
    }
}

/// What a buggy outbox makes of outcomes; false when it forgets them.
pub fn settled(world: &World, settled: &mut [Settled]) -> bool {
    for one in settled.iter_mut() {
        let Outcome::Retry { unknown, reason, .. } = &mut one.outcome else { continue };
        match world.bug {
            Some(Bug::DoubtForgotten) => *unknown = false,
            Some(Bug::StoredTooSoon) if *unknown => one.outcome = Outcome::stored(None),
            Some(Bug::RefusedTooSoon) => one.outcome = Outcome::Refused { reason: std::mem::take(reason) },
            _ => {}
        }
    }
    if world.bug == Some(Bug::OutcomesMixedUp) {
        let mut outcomes: Vec<Outcome> = settled.iter().map(|one| one.outcome.clone()).collect();
        let by = 1.min(outcomes.len());
        outcomes.rotate_left(by);
        settled.iter_mut().zip(outcomes).for_each(|(one, outcome)| {
            (one.outcome, one.next) = (outcome, Stamp(0));
        });
    }
    !(world.bug == Some(Bug::SettlementLost) && world.chance(10))
}

/// What a buggy store finds in its outbox after a crash.
pub fn reopened(world: &World) {
    let sql = match world.bug {
        Some(Bug::SendingForgotten) => "UPDATE outbox SET state = 'pending', due = 0 WHERE state = 'sending'",
        Some(Bug::SendingTakenForStored) => {
            "UPDATE outbox SET state = 'acked', acked_rev = op_rev, acked_over = op_over, op = NULL,
             settled_at = 0 WHERE state = 'sending'"
        }
        _ => return,
    };
    let file = world.disk.path().join("state.db");
    if file.exists() {
        let database = rusqlite::Connection::open(file).expect("the store's database opens");
        // There is no table yet when the crash came before the first transaction.
        let _ = database.execute(sql, []);
    }
}
