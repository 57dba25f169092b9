//! SLA clocks, wall clock steps, due times.

use super::*;

/// P4: respond 8 h, resolve 3 d.
const RESPOND: i64 = 8 * HOUR;

#[test]
fn clocks_start_at_the_raise_and_warn_at_three_quarters() {
    let mut b = Bench::new();
    b.event(EventKind::Raise, min(10), min(0), 0);
    let sla = b.newest().sla;
    assert_eq!((sla.respond.target, sla.respond.due), (28_800.0, Stamp(min(10) + RESPOND)));
    assert_eq!((sla.resolve.target, sla.resolve.due), (259_200.0, Stamp(min(10) + 72 * HOUR)));
    b.run_to(min(30));
    assert_eq!(b.engine.poll_timeout(), Some(min(10) + 6 * HOUR));
    b.run_to(min(10) + 6 * HOUR);
    let i = b.newest();
    assert_eq!(i.sla.respond.warned_at, Some(Stamp(min(10) + 6 * HOUR)));
    assert!(
        i.timeline[1].note.starts_with("75 % of the respond target of 8h is used"),
        "{}",
        i.timeline[1].note
    );
    b.run_to(min(10) + RESPOND);
    let i = b.newest();
    assert_eq!(i.sla.respond.breached_at, Some(i.sla.respond.due));
    b.run_to(min(10) + 80 * HOUR);
    let i = b.newest();
    assert_eq!(i.sla.resolve.breached_at, Some(i.sla.resolve.due));
    assert_eq!(kinds(&i), ["raised", "sla", "sla", "sla", "sla"]);
    assert_eq!(b.engine.poll_timeout(), None, "nothing more to say");
}

#[test]
fn an_answer_decides_the_respond_clock() {
    for (after, met) in [(HOUR, true), (RESPOND - 1, true), (RESPOND + 1, false)] {
        let mut b = Bench::new();
        b.raise(min(0));
        b.acknowledge(min(0) + after).unwrap();
        let clock = b.newest().sla.respond;
        assert_eq!((clock.met_at.is_some(), clock.breached_at.is_some()), (met, !met), "after {after}");
    }
    let mut b = Bench::new();
    b.raise(min(0));
    b.resolve(min(5)).unwrap();
    assert_eq!(b.newest().sla.respond.met_at, Some(Stamp(min(5))), "whoever resolves has answered");
}

#[test]
fn a_resolve_before_anyone_answered_leaves_the_respond_clock_undecided() {
    let mut b = Bench::new();
    b.raise(min(0));
    b.clear(min(30));
    let sla = b.newest().sla;
    assert_eq!((sla.respond.met_at, sla.respond.breached_at), (None, None));
    assert_eq!((sla.resolve.met_at, sla.resolve.breached_at), (Some(Stamp(min(30))), None));
    b.run_to(min(30) + 20 * HOUR);
    assert_eq!(b.newest().sla.respond.breached_at, None, "its clock stands still");
}

#[test]
fn a_resolve_that_took_effect_in_time_takes_a_breach_back() {
    let mut b = Bench::new();
    b.raise(min(0));
    let due = min(0) + 72 * HOUR;
    for (since, met) in [(due - 1, true), (due, true), (due + 1, false)] {
        b.event(EventKind::Clear, due + HOUR, since, 0);
        let i = b.newest();
        assert_eq!(i.sla.resolve.met_at, met.then_some(Stamp(since)), "since {}", since - due);
        assert_eq!(i.sla.resolve.breached_at, (!met).then_some(Stamp(due)));
        assert_eq!(i.sla.respond.breached_at, Some(Stamp(min(0) + RESPOND)), "really missed");
        b = Bench::new();
        b.raise(min(0));
    }
}

#[test]
fn a_reopen_goes_on_with_the_unused_rest() {
    let mut b = Bench::new();
    b.raise(min(0));
    b.clear(min(60));
    b.raise(min(120));
    let sla = b.newest().sla;
    assert_eq!(sla.resolve.met_at, None);
    assert_eq!(sla.resolve.due, Stamp(min(0) + 73 * HOUR), "one hour of quiet is not counted");
    assert_eq!(sla.respond.due, Stamp(min(0) + 9 * HOUR));
    assert_eq!(sla.paused_total, 0.0);
    b.clear(min(130));
    assert_eq!(b.newest().sla.resolve.met_at, Some(Stamp(min(130))));
}

#[test]
fn a_breach_outlives_a_reopen() {
    let mut b = Bench::new();
    b.raise(min(0));
    b.clear(min(0) + 80 * HOUR);
    b.raise(min(0) + 81 * HOUR);
    b.clear(min(0) + 82 * HOUR);
    let clock = b.newest().sla.resolve;
    assert_eq!((clock.met_at, clock.breached_at), (None, Some(Stamp(min(0) + 72 * HOUR))));
}

#[test]
fn a_rise_takes_the_targets_of_the_new_priority_but_is_never_due_before_it() {
    // P2: respond 30 min, resolve 8 h, counted from the raise.
    for (rise, respond, resolve) in [(min(10), min(30), min(480)), (min(60), min(60), min(480))] {
        let mut b = Bench::new();
        b.raise(min(0));
        b.event(EventKind::Step, rise, rise, 1);
        let sla = b.newest().sla;
        assert_eq!((sla.respond.due, sla.resolve.due), (Stamp(respond), Stamp(resolve)));
        assert_eq!(sla.respond.target, 1_800.0);
    }
}

#[test]
fn due_times_are_wall_times_and_checked_again() {
    let mut b = Bench::new();
    b.raise(min(0));
    b.run_to(min(30));
    let due = b.engine.poll_timeout().unwrap();
    // The wall clock is set back by an hour: the steady deadline comes too early and is moved.
    let early = Moment { mono: due, wall: due - HOUR };
    let mut out = Step::default();
    b.engine.handle_timeout(early, &mut out);
    assert!(out.is_empty());
    assert_eq!(b.engine.poll_timeout(), Some(due + HOUR));
    b.engine.handle_timeout(Moment { mono: due + HOUR, wall: due }, &mut out);
    assert_eq!(out.records.len(), 1);
}

#[test]
fn a_stepped_wall_clock_does_not_tear_breach_and_raise_apart() {
    let mut b = Bench::new();
    let mut event = b.make(EventKind::Raise, min(10), min(0), 0);
    let mut out = Step::default();
    // The clock jumped two hours ahead after the breach had been seen.
    event.at = Moment { mono: min(10), wall: min(130) };
    b.engine.event(event.at, &event, &mut out);
    b.take(min(10), out);
    let i = b.newest();
    assert_eq!((i.breach_at, i.raised_at), (Stamp(min(120)), Stamp(min(130))));
    // It is set back before the clear: no interval ends before it began.
    let mut clear = b.make(EventKind::Clear, min(20), min(20), 0);
    clear.at = Moment { mono: min(20), wall: min(0) };
    clear.since = clear.at;
    let mut out = Step::default();
    b.engine.event(clear.at, &clear, &mut out);
    b.take(min(20), out);
    let i = b.newest();
    assert_eq!((i.resolved_at, i.state), (Some(Stamp(min(120))), State::Resolved));
}
