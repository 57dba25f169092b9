//! What people do at destinations comes back: once, to everyone else, and without ping-pong.

use proptest::prelude::*;

use super::*;
use crate::engine::effect::{Fallen, Remote, Stage};
use crate::engine::moment::DAY;
use crate::engine::record::{Actor, ClosureCode, ProblemState};

fn remote(record: &str, rev: u64, stage: Stage) -> Remote {
    Remote {
        record: record.to_owned(),
        rev,
        stage,
        assignee: None,
        by: Some("alice".to_owned()),
        note: None,
        updated: None,
        wall: false,
        known_error: false,
    }
}

/// The newest incident reads so at a destination.
fn reads(b: &mut Bench, at: i64, destination: &str, edit: impl FnOnce(&mut Remote)) -> Result<(), String> {
    b.run_to(at);
    let i = b.newest();
    let mut remote = remote(&i.id, i.rev, Stage::New);
    edit(&mut remote);
    b.command(at, Command::Remote { destination: destination.to_owned(), remote })
}

fn at(b: &mut Bench, when: i64, destination: &str, stage: Stage) {
    reads(b, when, destination, |r| r.stage = stage).unwrap();
}

#[test]
fn each_decision_at_the_desk_is_one_revision_that_the_desk_knows() {
    let mut b = Bench::new();
    b.raise(min(0));
    at(&mut b, min(1), "rt", Stage::New);
    assert_eq!(b.newest().rev, 1, "as it was made");
    for (n, (stage, state)) in [
        (Stage::Acknowledged, State::Acknowledged),
        (Stage::InProgress, State::InProgress),
        (Stage::OnHold, State::OnHold),
        (Stage::InProgress, State::InProgress),
        (Stage::Cancelled, State::Cancelled),
        (Stage::InProgress, State::InProgress),
    ]
    .into_iter()
    .enumerate()
    {
        let when = min(2 + n as i64);
        at(&mut b, when, "rt", stage);
        let i = b.newest();
        assert_eq!((i.state, i.rev), (state, n as u64 + 2), "{stage:?}");
        assert_eq!(b.known, [(i.id.clone(), "rt".to_owned())], "no echo");
        let line = i.timeline.last().unwrap();
        assert_eq!(line.actor, Actor::Itsm);
        assert!(line.note.contains("at rt by alice"), "{}", line.note);
        at(&mut b, when, "rt", stage);
        assert_eq!(b.newest().rev, n as u64 + 2, "the same again is nothing");
    }
}

#[test]
fn a_stale_reading_and_an_unknown_record_change_nothing() {
    let mut b = Bench::new();
    b.raise(min(0));
    b.acknowledge(min(1)).unwrap();
    reads(&mut b, min(2), "rt", |r| (r.rev, r.stage) = (1, Stage::Resolved)).unwrap();
    assert_eq!((b.newest().state, b.newest().rev), (State::Acknowledged, 2));
    assert!(reads(&mut b, min(2), "rt", |r| r.record = "nobody".to_owned()).is_err());
}

#[test]
fn our_own_writes_are_not_taken_for_decisions() {
    let mut b = Bench::new();
    b.raise(min(0));
    at(&mut b, min(1), "rt", Stage::New);
    // A desk that knows no "acknowledged" shows it as work in progress.
    b.acknowledge(min(2)).unwrap();
    at(&mut b, min(3), "rt", Stage::InProgress);
    b.clear(min(10));
    at(&mut b, min(11), "rt", Stage::Resolved);
    b.raise(min(20));
    at(&mut b, min(21), "rt", Stage::InProgress);
    let i = b.newest();
    assert_eq!((i.state, i.rev), (State::InProgress, 4), "{:?}", kinds(&i));
    b.clear(min(30));
    assert_eq!(b.newest().state, State::Resolved);
    // Some desks close by themselves what is resolved.
    at(&mut b, min(31), "rt", Stage::Closed);
    assert_eq!(b.newest().state, State::Resolved);
}

#[test]
fn resolved_at_the_desk_while_true_is_disputed_and_opens_again() {
    let mut b = Bench::new();
    b.raise(min(0));
    reads(&mut b, min(5), "rt", |r| (r.stage, r.note) = (Stage::Resolved, Some("rebooted".to_owned())))
        .unwrap();
    let i = b.newest();
    assert!(i.disputed && i.closure.as_ref().unwrap().note.starts_with("resolved at rt by alice: rebooted"));
    at(&mut b, min(34), "rt", Stage::Resolved);
    b.run_to(min(36));
    assert_eq!(b.newest().state, State::InProgress, "a person had answered");
    at(&mut b, min(37), "rt", Stage::Resolved);
    assert_eq!(b.newest().state, State::Resolved, "resolved once more by the desk");
    b.clear(min(40));
    let i = b.newest();
    assert_eq!((i.state, i.closure.unwrap().code), (State::Resolved, ClosureCode::Fixed));
}

#[test]
fn closed_at_the_desk_closes_only_what_is_over() {
    let mut b = Bench::new();
    b.raise(min(0));
    at(&mut b, min(1), "rt", Stage::Closed);
    assert_eq!((b.newest().state, b.newest().disputed), (State::Resolved, true), "the condition is true");
    b.clear(min(2));
    assert_eq!(b.newest().state, State::Resolved);
    let mut b = Bench::new();
    b.raise(min(0));
    b.clear(min(1));
    at(&mut b, min(2), "rt", Stage::Resolved);
    at(&mut b, min(3), "rt", Stage::Closed);
    assert_eq!(b.newest().state, State::Closed);
    assert_eq!(b.engine.incidents().count(), 0);
}

#[test]
fn reopened_at_the_desk_though_a_newer_one_is_open_is_answered() {
    let mut b = Bench::new();
    b.raise(min(0));
    b.clear(min(1));
    let old = b.newest();
    b.raise(min(6 * 60));
    let mut back = remote(&old.id, 2, Stage::Resolved);
    b.command(min(6 * 60 + 1), Command::Remote { destination: "rt".to_owned(), remote: back.clone() })
        .unwrap();
    back.stage = Stage::InProgress;
    b.command(min(6 * 60 + 2), Command::Remote { destination: "rt".to_owned(), remote: back }).unwrap();
    let i = b.engine.incident(&old.number).unwrap();
    assert_eq!(i.state, State::Resolved);
    assert!(i.timeline.last().unwrap().note.contains("INC000002 is open"), "{:?}", i.timeline.last());
    assert_eq!(open_ones(&b), 1);
}

fn open_ones(b: &Bench) -> usize {
    b.engine.incidents().filter(|i| i.state.is_open()).count()
}

#[test]
fn an_assignee_comes_back_and_goes() {
    let mut b = Bench::new();
    b.raise(min(0));
    reads(&mut b, min(1), "rt", |r| r.assignee = Some("carol".to_owned())).unwrap();
    assert_eq!(b.newest().assignee.as_deref(), Some("carol"));
    // Another desk knows nobody: that takes nothing away.
    at(&mut b, min(2), "snow", Stage::New);
    assert_eq!(b.newest().assignee.as_deref(), Some("carol"));
    at(&mut b, min(3), "rt", Stage::New);
    assert_eq!(b.newest().assignee, None);
}

#[test]
fn a_restored_backup_is_repaired_and_a_ticket_that_is_gone_made_anew() {
    let mut b = Bench::new();
    b.raise(min(0));
    let reads_at = |b: &mut Bench, when, stage, updated| {
        reads(b, when, "rt", |r| (r.stage, r.updated) = (stage, Some(Stamp(updated)))).unwrap();
    };
    reads_at(&mut b, min(1), Stage::New, 10);
    b.clear(min(5));
    reads_at(&mut b, min(6), Stage::Resolved, 20);
    reads_at(&mut b, min(7), Stage::New, 10);
    let i = b.newest();
    assert_eq!((i.state, i.rev), (State::Resolved, 2), "nobody reopened it");
    let again = b.resent.pop().unwrap();
    assert_eq!((again.destination.as_str(), again.fallen), ("rt", Some(Fallen { rev: 1, over: false })));
    assert!(matches!(again.record, Record::Incident(r) if r.rev == 2));
    let gone = |b: &mut Bench, rev| {
        let (destination, record) = ("rt".to_owned(), b.newest().id);
        b.command(min(20), Command::Gone { destination, record, rev }).unwrap();
    };
    gone(&mut b, 2);
    assert!(b.resent.is_empty(), "what is over is not made anew");
    b.raise(min(10));
    gone(&mut b, 2);
    assert!(b.resent.is_empty(), "stale");
    gone(&mut b, 3);
    assert_eq!(b.resent.pop().unwrap().fallen, Some(Fallen { rev: 0, over: false }));
}

#[test]
fn a_problem_follows_its_desk() {
    let mut b = Bench::new();
    for n in 0..3 {
        b.raise(min(60 * n));
        b.clear(min(60 * n + 5));
    }
    let problem = |b: &Bench| b.problems_sent().pop().unwrap();
    let reads = |b: &mut Bench, when, stage, known_error| {
        let p = problem(b);
        let remote = Remote { known_error, ..remote(&p.id, p.rev, stage) };
        b.command(when, Command::Remote { destination: "rt".to_owned(), remote }).unwrap();
    };
    for (stage, known, state) in [
        (Stage::New, false, ProblemState::Candidate),
        (Stage::InProgress, false, ProblemState::Open),
        (Stage::InProgress, true, ProblemState::KnownError),
        (Stage::Resolved, true, ProblemState::Resolved),
    ] {
        reads(&mut b, min(200), stage, known);
        assert_eq!(problem(&b).state, state, "{stage:?}");
    }
    b.raise(min(400));
    assert_eq!(problem(&b).state, ProblemState::Open, "recurrence reopens it");
    b.clear(min(405));
    reads(&mut b, min(410), Stage::Cancelled, false);
    assert_eq!(problem(&b).state, ProblemState::Dismissed);
    let sent = b.problems_sent().len();
    b.raise(min(600));
    b.clear(min(605));
    assert_eq!(b.problems_sent().len(), sent, "dismissed: quiet");
    b.event(EventKind::Raise, min(800), min(800), 1);
    assert_eq!(problem(&b).state, ProblemState::Candidate, "worse than when it was dismissed");
    reads(&mut b, min(810), Stage::Closed, false);
    assert_eq!(problem(&b).state, ProblemState::Closed);
    b.restart(min(810));
    b.clear(min(811));
    b.run_to(min(0) + 90 * DAY);
    assert_eq!(b.engine.problems().count(), 0, "forgotten after a quiet time");
}

/// A desk as the connectors keep it: our writes move its ticket, except that only a record that came back
/// opens one that is over.
struct Desk {
    name: &'static str,
    stage: Stage,
    held: u64,
}

impl Desk {
    fn write(&mut self, i: &Incident, known: bool) {
        let fresh = || i.timeline.iter().filter(|e| e.rev > self.held);
        let back = fresh().any(|e| e.from.is_some_and(|s| !s.is_open()) && e.to.is_some_and(|s| s.is_open()));
        let to = fresh().filter_map(|e| e.to).next_back();
        let stage = to.map(|state| match state {
            State::New | State::Acknowledged | State::InProgress => Stage::InProgress,
            State::OnHold => Stage::OnHold,
            State::Resolved => Stage::Resolved,
            State::Closed => Stage::Closed,
            State::Cancelled => Stage::Cancelled,
        });
        if let Some(stage) =
            stage.filter(|s| !known && self.held > 0 && (self.stage.is_open() || back && s.is_open()))
        {
            self.stage = stage;
        }
        self.held = i.rev;
    }
}

#[derive(Clone, Debug)]
enum Act {
    Raise,
    Clear,
    Acknowledge,
    Move(usize, Stage),
    Read(usize),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let stage = prop_oneof![
        Just(Stage::InProgress),
        Just(Stage::OnHold),
        Just(Stage::Resolved),
        Just(Stage::Cancelled),
    ];
    let act = prop_oneof![
        1 => Just(Act::Raise),
        1 => Just(Act::Clear),
        1 => Just(Act::Acknowledge),
        3 => (0..2_usize, stage).prop_map(|(desk, stage)| Act::Move(desk, stage)),
        4 => (0..2_usize).prop_map(Act::Read),
    ];
    prop::collection::vec(act, 1..40)
}

/// Carries the newest revision to both desks, as their pumps do.
fn pump(b: &Bench, desks: &mut [Desk; 2]) {
    let i = b.newest();
    for desk in desks.iter_mut().filter(|desk| desk.held < i.rev) {
        let known = b.known.iter().any(|(_, at)| at == desk.name);
        desk.write(&i, known);
    }
}

fn read(b: &mut Bench, when: i64, desks: &mut [Desk; 2], n: usize) {
    let i = b.newest();
    if i.state != State::Closed {
        b.known.clear();
        let remote = remote(&i.id, desks[n].held, desks[n].stage);
        let _ = b.command(when, Command::Remote { destination: desks[n].name.to_owned(), remote });
        pump(b, desks);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// However people at two desks contradict each other: when they stop, everything stands still after each
    /// desk has been read twice, and both desks show what the record says.
    #[test]
    fn two_desks_that_disagree_come_to_rest(acts in acts()) {
        let mut b = Bench::new();
        let mut when = min(0);
        b.raise(when);
        let mut desks = ["a", "b"].map(|name| Desk { name, stage: Stage::New, held: 0 });
        pump(&b, &mut desks);
        for act in acts {
            when += 30 * SECOND;
            b.run_to(when);
            b.known.clear();
            pump(&b, &mut desks);
            match act {
                // After a cancellation it would be another incident, with tickets of its own.
                Act::Raise if b.newest().state == State::Cancelled => {}
                Act::Raise => b.raise(when),
                Act::Clear => b.clear(when),
                Act::Acknowledge => drop(b.acknowledge(when)),
                Act::Move(n, stage) => desks[n].stage = stage,
                Act::Read(n) => read(&mut b, when, &mut desks, n),
            }
            pump(&b, &mut desks);
            prop_assert!(open_ones(&b) <= 1);
        }
        for _ in 0..2 {
            for n in 0..2 {
                read(&mut b, when, &mut desks, n);
            }
        }
        let (rev, stages) = (b.newest().rev, [desks[0].stage, desks[1].stage]);
        for _ in 0..3 {
            for n in 0..2 {
                read(&mut b, when, &mut desks, n);
            }
        }
        prop_assert_eq!(b.newest().rev, rev, "still moving");
        prop_assert_eq!(stages, [desks[0].stage, desks[1].stage]);
        let open = b.newest().state.is_open();
        prop_assert!(stages.iter().all(|s| s.is_open() == open), "{:?} {:?}", b.newest().state, stages);
    }
}
