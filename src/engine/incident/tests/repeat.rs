//! Problem candidates by recurrence, seen from the outside.

use super::*;
use crate::engine::moment::DAY;
use crate::engine::record::ProblemState;

/// Raises at each time and clears five minutes later.
fn episodes(b: &mut Bench, times: &[i64]) {
    for at in times {
        b.raise(*at);
        b.clear(at + 5 * MINUTE);
    }
}

#[test]
fn the_third_opening_within_a_day_opens_a_candidate() {
    let mut b = Bench::new();
    episodes(&mut b, &[min(0), min(60), min(120)]);
    let problems = b.problems_sent();
    assert_eq!(problems.len(), 1, "it is opened by the raise, and a clear tells nothing new");
    let (p, i) = (&problems[0], b.newest());
    assert_eq!((p.state, p.number.as_str(), p.rev, p.openings), (ProblemState::Candidate, "PRB000001", 1, 3));
    assert_eq!(p.key, format!("fingerprint:{}", i.fingerprint));
    assert_eq!(p.title, "disk-full keeps returning on /data of web-01: 3 times in 24 h");
    assert_eq!(p.why.len(), 1);
    assert_eq!(p.why[0].text, "3rd time in 24 h, usual gap 1h");
    assert_eq!((p.why[0].observed, p.why[0].expected, p.why[0].window), (3.0, 3.0, 86_400.0));
    assert_eq!((p.median_gap, p.mtbf, p.mttr), (Some(3600.0), Some(3300.0), Some(300.0)));
    assert_eq!((p.downtime, p.pain), (600.0, 30.0), "two openings of 5 min at P4, the third has just begun");
    assert_eq!((p.first_at, p.last_at), (Stamp(min(0)), Stamp(min(120))));
    assert_eq!((p.priority, p.severity), (i.priority, i.severity));
    for part in [
        "Symptom: /data 91 % used",
        "INC000001",
        "lasted 5m",
        "INC000001 P4, goes on",
        "between failures 55m",
    ] {
        assert!(p.description.contains(part), "{part} is missing in:\n{}", p.description);
    }
}

#[test]
fn a_reopened_incident_is_one_member_with_all_its_openings() {
    let mut b = Bench::new();
    episodes(&mut b, &[min(0), min(60), min(120)]);
    let (p, i) = (b.problems_sent().pop().unwrap(), b.newest());
    assert_eq!((b.count(), p.members.len()), (1, 1));
    assert_eq!(p.members[0].openings, [min(0), min(60), min(120)].map(Stamp));
    assert_eq!(b.links_sent(), [format!("{}-{}", i.id, p.id)]);
    assert_eq!(i.links.problem.as_ref(), Some(&p.id));
    let problem = i.timeline.iter().find(|e| e.kind == "problem").unwrap();
    let reopened = i.timeline.iter().rfind(|e| e.kind == "reopened").unwrap();
    assert_eq!(problem.rev, reopened.rev, "one revision for the reopen and the membership");
}

#[test]
fn each_incident_is_linked_once_and_later_ones_attach() {
    let mut b = Bench::with(plan(), Rule { reopen: HOUR, ..rule() });
    let times = [0, 5, 10, 15, 20].map(|h| min(h * 60));
    episodes(&mut b, &times[..3]);
    assert_eq!((b.count(), b.links_sent().len()), (3, 3));
    episodes(&mut b, &times[3..]);
    let p = b.problems_sent().pop().unwrap();
    assert_eq!((p.rev, p.openings, p.members.len()), (3, 5, 5));
    assert_eq!(b.links_sent().len(), 5);
    let texts: Vec<_> = p.why.iter().map(|w| w.text.as_str()).collect();
    assert_eq!(texts, ["5th time in 24 h, usual gap 5h"], "wider windows count nothing more");
    assert_eq!(p.timeline.last().unwrap().note, "5th opening: INC000005");
    for i in b.engine.incidents() {
        assert_eq!(i.links.problem.as_ref(), Some(&p.id), "{}", i.number);
    }
    assert_eq!(b.engine.problems().collect::<Vec<_>>(), [&p]);
}

#[test]
fn a_closed_member_is_counted_and_the_text_says_so() {
    let mut b = Bench::with(plan(), Rule { reopen: HOUR, ..rule() });
    let day = |d: i64| min(0) + d * DAY + HOUR;
    episodes(&mut b, &[day(0), day(2), day(4), day(6)]);
    let p = b.problems_sent().pop().unwrap();
    assert_eq!((p.members.len(), b.links_sent().len()), (4, 1));
    assert_eq!(p.why[0].text, "4th time in 7 d, usual gap 2d");
    let said = "already closed on the host: INC000001, INC000002, INC000003.";
    assert!(p.description.contains(said), "{}", p.description);
    let i = b.newest();
    assert_eq!(i.links.previous, Some(p.members[2].incident.clone()), "known after it was closed");
    b.restart(day(6) + HOUR);
    episodes(&mut b, &[day(8)]);
    let p = b.problems_sent().pop().unwrap();
    assert!(p.description.contains(said), "INC000004 was linked before it was closed: {}", p.description);
}

#[test]
fn a_quick_return_is_no_opening() {
    let mut b = Bench::new();
    episodes(&mut b, &[min(0), min(14), min(28), min(42), min(56)]);
    assert!(b.problems_sent().is_empty(), "nine minutes of quiet are one failure");
    let mut b = Bench::new();
    episodes(&mut b, &[min(0), min(15), min(30)]);
    assert_eq!(b.problems_sent().len(), 1, "ten are two");
}

#[test]
fn the_edge_of_a_day_is_exact() {
    for (last, opens) in [(DAY - 1, true), (DAY, false)] {
        let mut b = Bench::new();
        episodes(&mut b, &[min(0), min(300), min(0) + last]);
        assert_eq!(!b.problems_sent().is_empty(), opens, "{last}");
    }
}

#[test]
fn openings_that_flapping_holds_back_count_all_the_same() {
    let mut plan = plan();
    plan.correlate = Correlate { failure_gap: 10 * MINUTE, flap_half_life: 100 * HOUR };
    let mut b = Bench::with(plan, rule());
    episodes(&mut b, &[0, 20, 40, 60, 80].map(min));
    assert!(b.newest().flapping);
    assert_eq!(b.problems_sent().pop().unwrap().openings, 5);
}

#[test]
fn a_quick_new_incident_of_a_live_problem_attaches_without_an_opening() {
    let mut b = Bench::with(plan(), Rule { reopen: -1, ..rule() });
    episodes(&mut b, &[min(0), min(60), min(120)]);
    b.raise(min(126));
    let p = b.problems_sent().pop().unwrap();
    assert_eq!((p.openings, p.members.len(), b.links_sent().len()), (3, 4, 4));
    assert_eq!(p.timeline.last().unwrap().note, "INC000004 belongs to the same failure");
}

#[test]
fn a_problem_rises_with_its_members() {
    let mut b = Bench::new();
    episodes(&mut b, &[min(0), min(60), min(120)]);
    b.event(EventKind::Raise, min(180), min(180), 1);
    let p = b.problems_sent().pop().unwrap();
    assert_eq!((p.severity, p.priority, p.urgency), (Severity::Critical, Priority::P2, 1));
}

#[test]
fn a_candidate_expires_after_a_quiet_week_or_three_mean_gaps() {
    let day = |d: i64| min(0) + d * DAY;
    let cases: [(&[i64], i64); 2] = [
        (&[day(0), day(0) + 6 * HOUR, day(0) + 12 * HOUR], 7 * DAY),
        (&[0, 7, 14, 21, 28].map(day), 21 * DAY),
    ];
    for (times, quiet) in cases {
        let mut b = Bench::new();
        episodes(&mut b, times);
        let last = *times.last().unwrap();
        b.run_to(last + quiet - 1);
        assert_eq!(b.problems_sent().pop().unwrap().state, ProblemState::Candidate);
        b.run_to(last + quiet);
        let p = b.problems_sent().pop().unwrap();
        assert_eq!((p.state, b.engine.problems().count()), (ProblemState::Expired, 0));
        assert!(b.rows.keys().all(|(kind, _)| kind != "problem"));
        episodes(&mut b, &[last + 40 * DAY]);
        assert_eq!(b.engine.problems().count(), 0, "what is older than 30 d counts no more");
    }
}
