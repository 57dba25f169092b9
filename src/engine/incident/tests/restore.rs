//! Persistence: a process that ends after any step goes on as if it had not.

use super::*;
use crate::engine::moment::DAY;

/// Everything at once: reopen, step, acknowledge, dispute, flapping, problem, SLA, closing, expiry.
fn story(restart_after: Option<usize>) -> Bench {
    let mut b = Bench::new();
    b.restart_after = restart_after;
    b.event(EventKind::Raise, min(10), min(0), 0);
    let number = b.newest().number;
    let exhibits = vec![Exhibit { title: "df".to_owned(), at: Stamp(min(10)), text: "/data 91%".to_owned() }];
    b.command(min(10), Command::Evidence { incident: number, exhibits }).unwrap();
    b.event(EventKind::Step, min(20), min(18), 1);
    b.acknowledge(min(25)).unwrap();
    b.event(EventKind::Clear, min(40), min(35), 1);
    b.raise(min(60));
    b.resolve(min(70)).unwrap();
    b.run_to(min(110));
    b.clear(min(120));
    b.mount = "/srv";
    for n in 0..9 {
        if n % 2 == 0 { b.raise(min(200 + n)) } else { b.clear(min(200 + n)) }
    }
    b.clear(min(212));
    b.mount = "/data";
    b.raise(min(500));
    b.raise(min(501));
    b.event(EventKind::Retire, min(530), min(500), 0);
    b.raise(min(0) + 3 * DAY);
    b.run_to(min(0) + 7 * DAY);
    b.clear(min(0) + 7 * DAY);
    b.run_to(min(0) + 40 * DAY);
    b
}

#[test]
fn a_restart_after_any_step_changes_nothing() {
    let whole = story(None);
    assert!(whole.steps > 30, "{}", whole.steps);
    assert_eq!((whole.count(), whole.problems_sent().len() > 1), (4, true));
    assert_eq!(whole.engine.incidents().count(), 0, "all is closed at the end");
    for n in 1..=whole.steps {
        let cut = story(Some(n));
        assert_eq!(cut.sent.len(), whole.sent.len(), "restart after step {n}");
        for (a, b) in cut.sent.iter().zip(&whole.sent) {
            assert_eq!(a, b, "restart after step {n}");
        }
        assert_eq!(cut.rows, whole.rows, "restart after step {n}");
        assert_eq!(cut.kinds, whole.kinds);
        assert_eq!(cut.wanted, whole.wanted);
    }
}

#[test]
fn the_same_seed_and_events_give_the_same_bytes() {
    assert_eq!(story(None).rows, story(None).rows);
}

#[test]
fn what_was_due_while_nobody_ran_is_done_at_the_start() {
    let mut b = Bench::new();
    b.raise(min(0));
    b.resolve(min(10)).unwrap();
    b.mount = "/srv";
    b.raise(min(10));
    let later = min(0) + 9 * HOUR;
    b.restart(later);
    assert!(b.engine.poll_timeout().unwrap() < later);
    let mut out = Step::default();
    b.engine.handle_timeout(Moment::at(later), &mut out);
    b.take(later, out);
    let incidents: Vec<_> = b.engine.incidents().collect();
    let data = incidents.iter().find(|i| i.labels["mount"] == "/data").unwrap();
    let srv = incidents.iter().find(|i| i.labels["mount"] == "/srv").unwrap();
    assert_eq!(data.state, State::InProgress, "still disputed");
    assert_eq!(srv.sla.respond.breached_at, Some(Stamp(min(10) + 8 * HOUR)), "missed at its due time");
}

#[test]
fn a_clock_set_back_before_the_restart_makes_no_dispute_wait_for_it() {
    let mut b = Bench::new();
    b.raise(min(600));
    b.resolve(min(610)).unwrap();
    b.restart(min(0));
    let due = b.engine.poll_timeout().unwrap();
    assert!(
        due <= min(30),
        "half an hour after the start at the latest, not in {} min",
        (due - min(0)) / min(1)
    );
}

#[test]
fn unreadable_rows_are_reported_and_the_rest_is_taken() {
    let mut b = Bench::new();
    b.raise(min(0));
    let good = b.rows.clone();
    let row = |kind: &str, key: &str, body: &str| (kind.to_owned(), key.to_owned(), body.to_owned());
    let mut rows: Vec<_> = good.iter().map(|((k, key), body)| row(k, key, body)).collect();
    rows.retain(|(kind, ..)| kind != "engine");
    rows.extend([
        row("incident", "i1", "{}"),
        row("problem", "p1", "[["),
        row("recurrence", "r1", "null"),
        row("engine", "ledger", "\u{0}"),
        row("machine", "disk-full/fs{mount=/data}", "not ours"),
    ]);
    let mut engine = Incidents::new(Arc::clone(&b.plan), 7);
    let bad = engine.restore(Moment::at(min(1)), rows);
    assert_eq!(bad.len(), 4, "{bad:?}");
    assert!(bad[0].starts_with("cannot read state row incident/i1: "), "{}", bad[0]);
    // The books are lost: numbers go on above what the records carry.
    b.engine = engine;
    b.mount = "/srv";
    b.raise(min(2));
    assert_eq!(b.newest().number, "INC000002");
    b.mount = "/data";
    b.clear(min(3));
    assert_eq!(b.engine.incident("INC000001").unwrap().state, State::Resolved);
}

#[test]
fn the_journal_takes_other_entries_without_a_gap() {
    let mut b = Bench::new();
    let mut out = Step::default();
    b.engine.journal(Moment::at(min(0)), "boot", "web-01", "{}".to_owned(), &mut out);
    b.take(min(0), out);
    b.restart(min(0));
    b.raise(min(1));
    assert_eq!((b.newest().seq, b.kinds), (2, vec!["boot", "incident"]));
}
