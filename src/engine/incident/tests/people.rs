//! What operators of this host decide: start, hold, cancel, reopen, assign.

use super::*;
use crate::engine::moment::DAY;
use crate::engine::record::ClosureCode;

fn ask(b: &mut Bench, at: i64, command: impl FnOnce(String, String) -> Command) -> Result<(), String> {
    let number = b.newest().number;
    b.command(at, command(number, "ada".to_owned()))
}

fn hold(b: &mut Bench, at: i64, reason: &str) -> Result<(), String> {
    let reason = reason.to_owned();
    ask(b, at, |incident, by| Command::Hold { incident, by, reason })
}

fn reopen(b: &mut Bench, at: i64) -> Result<(), String> {
    ask(b, at, |incident, by| Command::Reopen { incident, by, note: "not over".to_owned() })
}

fn cancel(b: &mut Bench, at: i64, note: &str) -> Result<(), String> {
    let note = note.to_owned();
    ask(b, at, |incident, by| Command::Cancel { incident, by, note })
}

#[test]
fn a_hold_for_others_stops_the_resolve_clock_and_a_start_goes_on_with_the_rest() {
    let mut b = Bench::new();
    b.raise(min(0));
    let due = b.newest().sla.resolve.due;
    assert!(hold(&mut b, min(5), "  ").is_err(), "a reason is required");
    hold(&mut b, min(10), "waiting for the Vendor").unwrap();
    let i = b.newest();
    assert_eq!((i.state, i.hold_reason.as_deref()), (State::OnHold, Some("waiting for the Vendor")));
    assert_eq!(i.acknowledged_at, Some(Stamp(min(10))), "a person has answered");
    assert_eq!(b.newest().sla.paused_since, Some(Stamp(min(10))));
    ask(&mut b, min(70), |incident, by| Command::Start { incident, by }).unwrap();
    let i = b.newest();
    assert_eq!((i.state, i.hold_reason, i.sla.paused_since), (State::InProgress, None, None));
    assert_eq!((i.sla.resolve.due, i.sla.paused_total), (due.plus(60 * MINUTE), 3600.0));
    hold(&mut b, min(80), "lunch").unwrap();
    assert_eq!(b.newest().sla.paused_since, None, "an own reason stops no clock");
    b.clear(min(90));
    let i = b.newest();
    assert_eq!((i.state, i.hold_reason), (State::Resolved, None));
}

#[test]
fn a_breach_is_not_decided_while_the_clock_stands_still() {
    let mut b = Bench::new();
    b.raise(min(0));
    hold(&mut b, min(10), "change CHG0042").unwrap();
    b.run_to(min(0) + 10 * DAY);
    let i = b.newest();
    assert_eq!((i.state, i.sla.resolve.breached_at), (State::OnHold, None));
    b.clear(min(0) + 10 * DAY);
    assert!(b.newest().sla.resolve.met_at.is_some(), "{:?}", b.newest().sla);
}

#[test]
fn what_is_cancelled_stays_so_while_its_condition_holds_and_is_forgotten_a_day_after() {
    let mut b = Bench::new();
    b.raise(min(0));
    cancel(&mut b, min(1), "test disk").unwrap();
    let i = b.newest();
    assert_eq!((i.state, i.closure.unwrap().code), (State::Cancelled, ClosureCode::FalsePositive));
    // The machine begins anew, as after a changed rule.
    b.raise(min(20));
    b.run_to(min(0) + 5 * DAY);
    assert_eq!((b.count(), b.newest().state), (1, State::Cancelled), "nothing new, nothing disputed");
    b.clear(min(0) + 5 * DAY);
    let i = b.newest();
    assert_eq!((i.state, i.closure.unwrap().code), (State::Cancelled, ClosureCode::FalsePositive));
    assert!(i.confirmed_at.is_some());
    b.raise(min(1) + 5 * DAY);
    assert_eq!(b.count(), 2, "a new raise is a new incident");
    b.clear(min(2) + 5 * DAY);
    b.run_to(min(0) + 9 * DAY);
    assert_eq!(b.engine.incidents().count(), 0);
    assert!(!b.rows.keys().any(|(kind, _)| kind == "incident"), "{:?}", b.rows.keys());
}

#[test]
fn a_duplicate_is_called_so_and_a_cancellation_can_be_taken_back() {
    let mut b = Bench::new();
    b.raise(min(0));
    cancel(&mut b, min(1), "Duplicate of INC000007").unwrap();
    assert_eq!(b.newest().closure.unwrap().code, ClosureCode::Duplicate);
    reopen(&mut b, min(2)).unwrap();
    let i = b.newest();
    assert_eq!((i.state, i.closure), (State::InProgress, None));
    b.clear(min(3));
    assert_eq!(b.newest().closure.unwrap().code, ClosureCode::AutoCleared, "its raise still counts");
}

#[test]
fn what_a_person_reopened_the_rule_resolves_only_after_a_new_raise_and_clear() {
    let mut b = Bench::new();
    b.raise(min(0));
    b.clear(min(10));
    reopen(&mut b, min(20)).unwrap();
    let i = b.newest();
    assert_eq!((i.state, i.counters.reopens, i.intervals.len()), (State::InProgress, 1, 2));
    b.run_to(min(0) + 30 * DAY);
    assert_eq!(b.newest().state, State::InProgress, "no timer and no rule ends it");
    b.clear(min(1) + 30 * DAY);
    assert_eq!(b.newest().state, State::InProgress);
    b.raise(min(2) + 30 * DAY);
    b.clear(min(3) + 30 * DAY);
    let i = b.newest();
    assert_eq!((i.state, i.closure.unwrap().code), (State::Resolved, ClosureCode::AutoCleared));
    assert_eq!(b.count(), 1);
}

#[test]
fn a_reopened_dispute_is_one_opening() {
    let mut b = Bench::new();
    b.raise(min(0));
    b.resolve(min(10)).unwrap();
    reopen(&mut b, min(20)).unwrap();
    assert_eq!(b.newest().intervals[1].from, Stamp(min(10)), "it never ended");
    b.run_to(min(100));
    assert_eq!(
        (b.newest().state, b.newest().counters.reopens),
        (State::InProgress, 1),
        "no dispute any more"
    );
    b.clear(min(110));
    assert_eq!(b.newest().state, State::Resolved);
}

#[test]
fn refusals_say_why() {
    let mut b = Bench::new();
    b.raise(min(0));
    assert!(reopen(&mut b, min(1)).unwrap_err().contains("is open"));
    b.clear(min(2));
    let refused = ask(&mut b, min(3), |incident, by| Command::Start { incident, by }).unwrap_err();
    assert!(refused.contains("reopen it first"), "{refused}");
    assert!(hold(&mut b, min(3), "vendor").unwrap_err().contains("already resolved"));
    let old = b.newest().number;
    b.raise(min(6 * 60));
    let refused =
        b.command(min(6 * 60 + 1), Command::Reopen { incident: old, by: String::new(), note: String::new() });
    assert!(refused.unwrap_err().contains("INC000002 is open for the same condition"));
}

#[test]
fn an_assignee_is_told_once() {
    let mut b = Bench::new();
    b.raise(min(0));
    let assign = |b: &mut Bench, to: &str| {
        let to = to.to_owned();
        ask(b, min(1), |incident, by| Command::Assign { incident, by, to }).unwrap();
    };
    assign(&mut b, "bob");
    let i = b.newest();
    assert_eq!(
        (i.assignee.as_deref(), i.timeline.last().unwrap().note.as_str()),
        (Some("bob"), "assigned to bob by ada")
    );
    let sent = b.sent.len();
    assign(&mut b, "bob");
    assert_eq!(b.sent.len(), sent);
    assign(&mut b, "");
    assert_eq!(b.newest().assignee, None);
}
