//! Flapping holds the resolve back and never loses it.

use super::*;

/// Raises and clears in turn, `gap` apart, until the incident flaps.
fn until_it_flaps(b: &mut Bench, gap: i64) -> i64 {
    let mut at = min(0);
    for n in 0..20 {
        if n % 2 == 0 {
            b.raise(at)
        } else {
            b.clear(at)
        }
        if b.newest().flapping {
            return at;
        }
        at += gap;
    }
    panic!("it never flapped");
}

#[test]
fn while_it_flaps_there_is_one_update_and_the_resolve_follows() {
    let mut b = Bench::new();
    let at = until_it_flaps(&mut b, MINUTE);
    let (rev, flaps) = (b.newest().rev, b.newest().counters.flaps);
    assert_eq!(flaps, 7, "with a little decay the seventh transition lifts c to 6");
    for n in 1..=5 {
        if n % 2 == 1 { b.clear(at + n * MINUTE) } else { b.raise(at + n * MINUTE) }
    }
    let i = b.newest();
    assert_eq!((i.rev, i.state.is_open(), b.count()), (rev, true, 1), "no update while it lasts");
    assert!(b.kinds.ends_with(&["event"; 5]), "every transition is in the journal");
    let cleared = at + 5 * MINUTE;
    b.run_to(cleared + 2 * HOUR);
    let i = b.newest();
    assert_eq!((i.state, i.resolved_at), (State::Resolved, Some(Stamp(cleared))));
    assert_eq!((i.rev, i.counters.flaps, i.flapping), (rev + 1, 12, false));
    let confirmed = i.confirmed_at.unwrap();
    assert!(confirmed > Stamp(cleared + 30 * MINUTE), "c must decay to 1 first");
    assert_eq!(kinds(&i)[i.timeline.len() - 2..], ["flapping", "resolved"]);
}

#[test]
fn flapping_that_ends_raised_stays_open_and_resolves_as_usual() {
    let mut b = Bench::new();
    let at = until_it_flaps(&mut b, MINUTE);
    b.run_to(at + 2 * HOUR);
    let i = b.newest();
    assert_eq!((i.state, i.flapping), (State::New, false));
    b.clear(at + 3 * HOUR);
    assert_eq!(b.newest().state, State::Resolved);
}

#[test]
fn a_clear_that_starts_flapping_is_held_back_too() {
    let mut b = Bench::new();
    b.plan = Arc::new(Plan {
        correlate: Correlate { flap_half_life: HOUR * 1_000, ..Default::default() },
        ..plan()
    });
    b.engine.reload(Arc::clone(&b.plan));
    // Six transitions all but at once: c reaches 6 only just below, the next raise lifts it.
    until_it_flaps(&mut b, 1);
    assert_eq!(b.newest().counters.flaps, 7);
    let mut b = Bench::new();
    for _ in 0..3 {
        b.raise(min(0));
        b.clear(min(0));
    }
    let i = b.newest();
    assert_eq!((i.flapping, i.state, i.counters.flaps), (true, State::New, 6));
    b.run_to(min(60));
    assert_eq!((b.newest().state, b.newest().resolved_at), (State::Resolved, Some(Stamp(min(0)))));
}

#[test]
fn a_worse_step_is_told_at_once_and_a_lesser_one_at_the_end() {
    let mut b = Bench::new();
    let at = until_it_flaps(&mut b, MINUTE);
    let rev = b.newest().rev;
    b.event(EventKind::Step, at + 1, at + 1, 1);
    assert_eq!((b.newest().severity, b.newest().rev), (Severity::Critical, rev + 1));
    b.event(EventKind::Step, at + 2, at + 2, 0);
    assert_eq!(b.newest().rev, rev + 1);
    b.run_to(at + HOUR * 2);
    assert_eq!((b.newest().severity, b.newest().priority), (Severity::Warning, Priority::P2));
}

#[test]
fn a_person_can_resolve_what_flaps_and_retiring_ends_it() {
    let mut b = Bench::new();
    let at = until_it_flaps(&mut b, MINUTE);
    b.clear(at + MINUTE);
    b.resolve(at + 2 * MINUTE).unwrap();
    let i = b.newest();
    assert_eq!((i.state, i.flapping, i.disputed), (State::Resolved, false, false));
    assert_eq!(i.confirmed_at, Some(Stamp(at + 2 * MINUTE)), "it was clear at that time");
    b.raise(at + 3 * MINUTE);
    assert_eq!((b.newest().state, b.newest().flapping), (State::InProgress, true));
    b.clear(at + 4 * MINUTE);
    b.event(EventKind::Retire, at + 5 * MINUTE, at, 0);
    let i = b.newest();
    assert_eq!((i.state, i.resolved_at), (State::Resolved, Some(Stamp(at + 4 * MINUTE))));
}

#[test]
fn flapping_goes_over_to_the_next_incident() {
    let mut b = Bench::with(plan(), Rule { reopen: -1, ..rule() });
    for n in 0..7 {
        if n % 2 == 0 { b.raise(min(0) + n) } else { b.clear(min(0) + n) }
    }
    let i = b.newest();
    assert_eq!((b.count(), i.flapping), (4, true), "new incidents each time, until the fourth is held open");
}

#[test]
fn a_repeated_raise_long_after_flapping_does_not_start_it_again() {
    let mut b = Bench::new();
    let at = until_it_flaps(&mut b, MINUTE);
    b.raise(at + 3 * HOUR);
    assert!(!b.newest().flapping, "the counter has decayed since");
}

#[test]
fn a_step_after_a_clear_that_was_held_back_is_a_raise() {
    let mut b = Bench::new();
    let at = until_it_flaps(&mut b, MINUTE);
    b.clear(at + 1);
    b.event(EventKind::Step, at + 2, at + 2, 0);
    b.run_to(at + 3 * HOUR);
    assert_eq!((b.newest().state, b.newest().flapping), (State::New, false), "it is true again");
}
