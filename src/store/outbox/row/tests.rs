//! The life of a row, step by step.

use super::*;
use crate::engine::effect::Terms;

fn record(rev: u64, over: bool) -> OutboxRow {
    OutboxRow {
        destination: "rt".to_owned(),
        kind: RecordKind::Incident,
        record: "i1".to_owned(),
        rev,
        priority: Priority::P3,
        over,
        alert_key: None,
        opens: true,
        body: "{}".to_owned(),
        link: None,
        terms: Terms::default(),
    }
}

fn fresh(over: bool) -> Row {
    Row::new(&record(1, over), 1, Some(Stamp(0)), Stamp(5))
}

fn stored(id: &str) -> Outcome {
    Outcome::stored(Some(id.to_owned()))
}

fn retry(unknown: bool) -> Outcome {
    Outcome::Retry { after: None, unknown, reason: "busy".to_owned() }
}

fn refused() -> Outcome {
    Outcome::Refused { reason: "no".to_owned() }
}

/// A row whose first revision (open or over) is stored.
fn acked(over: bool) -> Row {
    let mut row = fresh(over);
    row.freeze();
    row.settle(&stored("7"), Stamp(0), Stamp(10));
    row
}

#[test]
fn the_operation_follows_from_what_is_stored() {
    use Operation::{Create, Reopen, Resolve, Update};
    assert_eq!((fresh(false).operation(), fresh(true).operation()), (Create, Create));
    for (was_over, over, expected, rank) in [
        (false, false, Update, 1),
        (false, true, Resolve, 0),
        (true, false, Reopen, 0),
        (true, true, Update, 1),
    ] {
        let mut row = acked(was_over);
        row.supersede(&record(2, over), 2);
        assert_eq!((row.operation(), row.rank()), (expected, rank), "{was_over} -> {over}");
    }
    let mut problem = acked(false);
    problem.kind = RecordKind::Problem;
    problem.supersede(&record(2, false), 2);
    assert_eq!((problem.operation(), problem.rank()), (Update, 0));
    let mut adopted = fresh(true);
    adopted.remote_id = Some("9".to_owned());
    assert_eq!(adopted.operation(), Resolve);
}

#[test]
fn a_claimed_operation_stays_frozen_until_stored_and_later_revisions_collapse() {
    let mut row = fresh(false);
    let first = row.freeze().cloned().unwrap();
    assert_eq!(first.key, "sx-i1-1-c");
    row.supersede(&record(2, false), 2);
    row.settle(&retry(true), Stamp(50), Stamp(10));
    assert_eq!((row.state, row.due, row.attempts), (RowState::Unknown, Some(Stamp(50)), 1));
    row.supersede(&record(3, true), 3);
    assert_eq!(row.freeze().cloned().unwrap(), first);
    row.settle(&retry(false), Stamp(60), Stamp(55));
    assert_eq!(row.state, RowState::Unknown, "the first attempt may still have arrived");
    row.freeze();
    row.settle(&stored("7"), Stamp(0), Stamp(70));
    assert_eq!((row.state, row.doubt, row.acked.rev), (RowState::Pending, None, 1));
    let second = row.freeze().unwrap();
    assert_eq!((second.key.as_str(), second.body), ("sx-i1-3-r", 3));
}

#[test]
fn a_stored_answer_without_an_id_keeps_the_old_one() {
    let mut row = acked(false);
    assert_eq!((row.state, row.body, row.op.clone()), (RowState::Acked, None, None));
    row.supersede(&record(2, false), 2);
    row.freeze();
    row.settle(&Outcome::stored(None), Stamp(0), Stamp(20));
    assert_eq!(row.remote_id.as_deref(), Some("7"));
}

#[test]
fn a_pause_counts_no_attempt_and_leaves_a_doubt() {
    let mut row = fresh(false);
    row.freeze();
    row.settle(&Outcome::Pause { reason: "401".to_owned() }, Stamp(30), Stamp(10));
    let in_doubt = (row.state, row.doubt) == (RowState::Unknown, Some(Stamp(10)));
    assert!(in_doubt, "rights may have been lost between the create and its reading back");
    let mut row = fresh(false);
    row.freeze();
    row.settle(&retry(true), Stamp(0), Stamp(0));
    row.freeze();
    row.settle(&Outcome::Pause { reason: "401".to_owned() }, Stamp(30), Stamp(10));
    assert_eq!((row.state, row.attempts, row.due), (RowState::Unknown, 1, Some(Stamp(30))));
    assert_eq!(row.last_error.as_deref(), Some("401"));
}

#[test]
fn a_refused_create_stays_parked_with_the_newest_body() {
    let mut row = fresh(false);
    row.freeze();
    row.supersede(&record(2, false), 2);
    row.settle(&refused(), Stamp(0), Stamp(10));
    assert_eq!((row.state, row.body, row.op.clone()), (RowState::Parked, Some(2), None));
    row.supersede(&record(3, true), 3);
    assert_eq!((row.state, row.body), (RowState::Parked, Some(3)));
    assert!(row.requeue() && !row.requeue());
    assert_eq!(row.freeze().unwrap().key, "sx-i1-3-c");
}

#[test]
fn a_refused_update_waits_for_the_next_revision() {
    let mut row = acked(false);
    row.supersede(&record(2, false), 2);
    row.freeze();
    row.settle(&refused(), Stamp(0), Stamp(10));
    assert_eq!(row.state, RowState::Parked);
    row.supersede(&record(3, true), 3);
    let waits_in_doubt = (row.state, row.operation()) == (RowState::Unknown, Operation::Resolve);
    assert!(waits_in_doubt, "what was refused may have been the last of several requests");
    row.freeze();
    row.supersede(&record(4, true), 4);
    row.settle(&refused(), Stamp(0), Stamp(10));
    assert_eq!((row.state, row.body), (RowState::Unknown, Some(4)), "a newer one was already waiting");
}

#[test]
fn doubt_survives_a_refusal_and_a_requeue() {
    let mut row = fresh(false);
    row.freeze();
    row.settle(&retry(true), Stamp(0), Stamp(0));
    row.freeze();
    row.settle(&refused(), Stamp(0), Stamp(10));
    row.requeue();
    assert_eq!(row.state, RowState::Unknown, "the first attempt may have made the ticket");
}

#[test]
fn a_refused_create_is_looked_for_when_it_is_requeued() {
    let mut row = fresh(false);
    row.freeze();
    row.settle(&refused(), Stamp(0), Stamp(10));
    row.requeue();
    let looked_for = (row.state, row.doubt) == (RowState::Unknown, Some(Stamp(10)));
    assert!(looked_for, "what was refused may have been reading back the ticket that was made");
}

#[test]
fn only_what_the_far_end_already_holds_can_be_withdrawn() {
    assert!(!fresh(false).withdraw());
    let mut row = acked(false);
    row.supersede(&record(2, false), 2);
    assert!(row.withdraw());
    assert_eq!((row.state, row.wanted.rev, row.body), (RowState::Acked, 1, None));
    row.supersede(&record(3, true), 3);
    assert_eq!(row.operation(), Operation::Resolve);
    row.freeze();
    assert!(!row.withdraw(), "it is under way");
}

#[test]
fn waits_and_reasons_are_bounded() {
    let mut row = fresh(false);
    row.freeze();
    let reason = "é".repeat(400);
    let outcome = Outcome::Retry { after: None, unknown: false, reason };
    row.settle(&outcome, Stamp(i64::MAX), Stamp(10));
    assert_eq!(row.due, Some(Stamp(10 + WAIT_MOST)));
    assert_eq!(row.last_error.unwrap().len(), ERROR_MOST);
}
