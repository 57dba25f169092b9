//! The two SLA clocks of an incident: respond (a person acknowledges) and resolve (the trouble is over).
//!
//! Both start at the raise and count wall time. A clock is undecided, met or breached. Breaches are decided
//! on the stamp that counts: a resolve that took effect before it was due is met, even when it was confirmed
//! later and a timer had already said "missed". A clock cannot be due before its target applied.

use crate::engine::moment::{SECOND, Stamp, human};
use crate::engine::plan::Plan;
use crate::engine::record::{Priority, Sla, SlaClock};

use super::facts::second;

/// Share of the target after which the timeline warns: three quarters, so one quarter is left.
const WARN_LEFT: i64 = 4;

/// Clocks for an incident raised at `raised_at` with that priority.
pub(super) fn start(plan: &Plan, priority: Priority, raised_at: Stamp) -> Sla {
    let (respond, resolve) = targets(plan, priority);
    let clock = |target: i64| SlaClock {
        target: target as f64 / SECOND as f64,
        due: raised_at.plus(target),
        met_at: None,
        warned_at: None,
        breached_at: None,
    };
    Sla {
        respond: clock(respond),
        resolve: clock(resolve),
        calendar: "24x7".to_owned(),
        paused_total: 0.0,
        paused_since: None,
    }
}

/// Takes the targets of a priority that has risen at `at`; decided clocks keep theirs.
pub(super) fn retarget(sla: &mut Sla, plan: &Plan, priority: Priority, at: Stamp) {
    let (respond, resolve) = targets(plan, priority);
    for (clock, target) in [(&mut sla.respond, respond), (&mut sla.resolve, resolve)] {
        if undecided(clock) {
            clock.due = clock.due.plus(target - target_ns(clock)).max(at);
            clock.target = target as f64 / SECOND as f64;
        }
    }
}

/// A person has acknowledged at `at`.
pub(super) fn responded(sla: &mut Sla, at: Stamp) {
    if !undecided(&sla.respond) {
        return;
    }
    if at <= sla.respond.due {
        sla.respond.met_at = Some(at);
    } else {
        sla.respond.breached_at = Some(sla.respond.due);
    }
}

/// The trouble was over at `at`; returns what is to be said of it.
pub(super) fn resolved(sla: &mut Sla, at: Stamp) -> Vec<String> {
    let mut said = Vec::new();
    for (name, clock) in [("respond", &mut sla.respond), ("resolve", &mut sla.resolve)] {
        if clock.met_at.is_some() && name == "respond" {
            continue;
        }
        if at > clock.due {
            clock.met_at = None;
            clock.breached_at.get_or_insert(clock.due);
            continue;
        }
        if clock.breached_at.take().is_some() {
            said.push(format!(
                "{name} target was not missed after all: over at {}, due at {}",
                second(at),
                second(clock.due)
            ));
        }
        if name == "resolve" {
            clock.met_at = Some(at);
        }
    }
    said
}

/// Undecided clocks, and a resolve clock that had been met, go on with the unused rest after a quiet time of
/// `gap`.
pub(super) fn reopened(sla: &mut Sla, gap: i64) {
    if undecided(&sla.respond) {
        sla.respond.due = sla.respond.due.plus(gap.max(0));
    }
    if sla.resolve.breached_at.is_none() {
        sla.resolve.met_at = None;
        sla.resolve.due = sla.resolve.due.plus(gap.max(0));
    }
}

/// The resolve clock stands still from `at` on: whoever works on it waits for others.
pub(super) fn pause(sla: &mut Sla, at: Stamp) {
    sla.paused_since.get_or_insert(at);
}

/// The resolve clock runs again; what it stood still is added to its due time.
pub(super) fn go_on(sla: &mut Sla, at: Stamp) {
    let Some(since) = sla.paused_since.take() else { return };
    let stood = (at.0 - since.0).max(0);
    sla.paused_total += stood as f64 / SECOND as f64;
    if undecided(&sla.resolve) {
        sla.resolve.due = sla.resolve.due.plus(stood);
    }
}

/// When a running clock next has something to say.
pub(super) fn next_due(sla: &Sla) -> Option<i64> {
    let next = |clock: &SlaClock| if clock.warned_at.is_none() { warn_at(clock).0 } else { clock.due.0 };
    running(sla).into_iter().flatten().map(|(_, clock)| next(clock)).min()
}

/// Warnings and breaches that are due at `now`, as sentences.
pub(super) fn tick(sla: &mut Sla, now: Stamp) -> Vec<String> {
    let mut said = Vec::new();
    let names: Vec<_> = running(sla).into_iter().flatten().map(|(name, _)| name).collect();
    for name in names {
        let clock = if name == "respond" { &mut sla.respond } else { &mut sla.resolve };
        let target = human(target_ns(clock));
        if now >= clock.due {
            clock.breached_at = Some(clock.due);
            said.push(format!("{name} target of {target} missed: it was due at {}", second(clock.due)));
        } else if clock.warned_at.is_none() && now >= warn_at(clock) {
            clock.warned_at = Some(now);
            let left = human(clock.due.0 - now.0);
            said.push(format!(
                "75 % of the {name} target of {target} is used: due at {}, {left} left",
                second(clock.due)
            ));
        }
    }
    said
}

fn running(sla: &Sla) -> [Option<(&'static str, &SlaClock)>; 2] {
    let respond = undecided(&sla.respond).then_some(("respond", &sla.respond));
    let runs = undecided(&sla.resolve) && sla.paused_since.is_none();
    [respond, runs.then_some(("resolve", &sla.resolve))]
}

fn undecided(clock: &SlaClock) -> bool {
    clock.met_at.is_none() && clock.breached_at.is_none()
}

fn target_ns(clock: &SlaClock) -> i64 {
    (clock.target * SECOND as f64).round() as i64
}

fn warn_at(clock: &SlaClock) -> Stamp {
    clock.due.plus(-(target_ns(clock) / WARN_LEFT))
}

fn targets(plan: &Plan, priority: Priority) -> (i64, i64) {
    plan.sla[usize::from(priority.number() - 1)]
}
