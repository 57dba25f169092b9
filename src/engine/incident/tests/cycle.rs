//! The life cycle: every row, dedup, reopen or new, retire, dispute, refusals.

use super::super::lifecycle::permits;
use super::*;
use crate::engine::moment::DAY;
use crate::engine::record::{Actor, ClosureCode};

#[test]
fn the_life_cycle_has_exactly_the_rows_of_the_contract() {
    use Actor::*;
    use State::*;
    let states = [New, Acknowledged, InProgress, OnHold, Resolved, Closed, Cancelled];
    let actors = [Rule, Timer, Operator, Action, Itsm, Correlator];
    let person = [Operator, Itsm];
    for (from, to) in states.into_iter().flat_map(|from| states.map(|to| (from, to))) {
        for by in actors {
            let person = person.contains(&by);
            let expected = match (from, to) {
                (New, Acknowledged) => person,
                (New | Acknowledged, InProgress) => person || by == Action,
                (New | Acknowledged | InProgress, OnHold) => person,
                (OnHold, InProgress) => person || by == Timer,
                (New | Acknowledged | InProgress | OnHold, Resolved) => person || by == Rule,
                (Resolved, New) => by == Rule,
                (Resolved, InProgress) => person || by == Rule,
                (Cancelled, InProgress) => person,
                (Resolved, Closed) => by == Timer || by == Itsm,
                (New | Acknowledged | InProgress | OnHold | Resolved, Cancelled) => {
                    person || by == Correlator
                }
                _ => false,
            };
            assert_eq!(permits(from, to, by), expected, "{from:?} → {to:?} by {by:?}");
        }
    }
}

#[test]
fn a_raise_opens_a_whole_record() {
    let mut b = Bench::new();
    b.event(EventKind::Raise, min(10), min(0), 0);
    let i = b.newest();
    assert_eq!((i.state, i.rev, i.seq, i.number.as_str()), (State::New, 1, 1, "INC000001"));
    assert_eq!((i.impact, i.urgency, i.priority, i.priority_max), (2, 3, Priority::P4, Priority::P4));
    assert_eq!(i.priority_reason, "P4: impact 2 (the rule says so) × urgency 3 (step warning)");
    assert_eq!((i.breach_at, i.detected_at, i.raised_at), (Stamp(min(0)), Stamp(min(0)), Stamp(min(10))));
    assert_eq!(i.intervals, [crate::engine::record::Interval { from: Stamp(min(0)), to: None }]);
    assert_eq!(i.alert_key, format!("sx-a-00c0ffee00c0ffee-{}", i.fingerprint));
    assert_eq!(i.labels["env"], "prod");
    assert_eq!(i.labels["mount"], "/data");
    assert_eq!((i.counters.events, i.counters.peak), (1, Some(0.91)));
    for part in [
        "fs.used 91.0 % > 85 %",
        "2026-09-21 14:13:20Z",
        "held for 10m",
        "`fs.used < 80%` has held for 5m",
        "Writers will fail soon.",
        "https://wiki.example/disk",
        "Most likely cause by the rule: load.",
        "rules.d/10-disk.toml:1",
    ] {
        assert!(i.description.contains(part), "{part} is missing in:\n{}", i.description);
    }
    let wanted = &b.wanted[0];
    assert_eq!(
        (wanted.incident.as_str(), wanted.class, wanted.name.as_str()),
        (i.id.as_str(), "fs", "/data")
    );
    assert_eq!(b.kinds, ["incident"]);
}

#[test]
fn impact_comes_from_rule_service_host_or_is_three() {
    let service = |name: &str, tier| crate::engine::plan::Service {
        name: name.to_owned(),
        tier,
        matches: [(Class::Fs, crate::engine::plan::Globs(vec!["/data*".to_owned()]))].into(),
    };
    let cases = [
        (Some(1), Some(2), Some(3), 1, "the rule says so"),
        (None, Some(2), Some(1), 2, "tier of service shop"),
        (None, None, Some(1), 1, "tier of the host"),
        (None, None, None, 3, "no tier is known"),
    ];
    for (written, of_service, of_host, impact, reason) in cases {
        let (mut plan, mut rule) = (plan(), rule());
        rule.steps[0].impact = written;
        plan.services = vec![service("shop", of_service)];
        plan.host.tier = of_host;
        let mut b = Bench::with(plan, rule);
        b.raise(min(0));
        let i = b.newest();
        assert_eq!((i.impact, i.service.as_deref()), (impact, Some("shop")), "{reason}");
        assert!(i.priority_reason.contains(reason), "{}", i.priority_reason);
    }
}

#[test]
fn a_raise_while_open_opens_nothing() {
    let mut b = Bench::new();
    b.raise(min(0));
    b.raise(min(1));
    let i = b.newest();
    assert_eq!((b.count(), i.rev, i.counters.events, i.counters.flaps), (1, 2, 2, 1));
    b.mount = "/srv";
    b.raise(min(2));
    assert_eq!(b.count(), 2, "another instance is another incident");
}

#[test]
fn a_step_changes_the_one_incident_and_priority_only_rises() {
    let mut b = Bench::new();
    b.raise(min(0));
    b.event(EventKind::Step, min(5), min(3), 1);
    let i = b.newest();
    assert_eq!((i.severity, i.priority, i.urgency), (Severity::Critical, Priority::P2, 1));
    assert_eq!(i.priority_max, Priority::P2);
    assert_eq!(i.title, "/data 97 % used");
    assert_eq!(i.counters.peak, Some(0.97));
    assert_eq!(
        i.evidence.series[0].points.len(),
        5,
        "points of the step follow those of the raise, after a gap"
    );
    b.event(EventKind::Step, min(9), min(9), 0);
    let i = b.newest();
    assert_eq!((b.count(), i.rev), (1, 3));
    assert_eq!((i.severity, i.priority, i.impact, i.urgency), (Severity::Warning, Priority::P2, 2, 1));
    assert!(
        i.priority_reason.contains("kept, though the present step alone would be P4"),
        "{}",
        i.priority_reason
    );
    assert_eq!(i.counters.peak, Some(0.97));
    assert_eq!(kinds(&i), ["raised", "step", "priority", "step"]);
    let seen = [
        (Priority::P2, Severity::Warning),
        (Priority::P2, Severity::Critical),
        (Priority::P4, Severity::Warning),
    ];
    assert_eq!(i.counters.seen, seen.into());
}

#[test]
fn a_clear_resolves_back_dated_and_a_quiet_day_closes() {
    let mut b = Bench::new();
    b.raise(min(0));
    b.event(EventKind::Clear, min(35), min(30), 0);
    let i = b.newest();
    assert_eq!(
        (i.state, i.resolved_at, i.confirmed_at),
        (State::Resolved, Some(Stamp(min(30))), Some(Stamp(min(35))))
    );
    assert_eq!(i.closure.as_ref().unwrap().code, ClosureCode::AutoCleared);
    assert_eq!(i.intervals[0].to, Some(Stamp(min(30))));
    assert_eq!(b.engine.poll_timeout(), Some(min(30) + DAY));
    b.run_to(min(30) + DAY - 1);
    assert_eq!(b.newest().state, State::Resolved);
    b.run_to(min(30) + DAY);
    let i = b.newest();
    assert_eq!((i.state, i.closed_at), (State::Closed, Some(Stamp(min(30) + DAY))));
    assert_eq!((b.engine.incidents().count(), b.engine.poll_timeout()), (0, None));
    assert!(b.rows.keys().all(|(kind, _)| kind != "incident"), "closed incidents leave the state");
}

#[test]
fn a_long_reopen_keeps_it_open_for_closing() {
    let mut b = Bench::with(plan(), Rule { reopen: 48 * HOUR, ..rule() });
    b.raise(min(0));
    b.clear(min(30));
    assert_eq!(b.engine.poll_timeout(), Some(min(30) + 2 * DAY));
}

#[test]
fn a_return_reopens_within_the_window_and_is_new_after_it() {
    for (quiet, same) in [(1, true), (4 * HOUR, true), (4 * HOUR + 1, false), (2 * DAY, false)] {
        let mut b = Bench::new();
        b.raise(min(0));
        b.clear(min(30));
        let first = b.newest().id;
        b.raise(min(30) + quiet);
        let i = b.newest();
        assert_eq!(i.id == first, same, "quiet for {quiet}");
        assert_eq!(i.state, State::New);
        if same {
            assert_eq!((i.counters.reopens, i.intervals.len()), (1, 2));
            assert_eq!((i.resolved_at, i.confirmed_at, i.closure), (None, None, None));
            assert_eq!((i.raised_at, i.breach_at), (Stamp(min(0)), Stamp(min(0))), "the first raise stays");
        } else {
            assert_eq!((i.links.previous, i.number.as_str()), (Some(first), "INC000002"));
        }
        assert_eq!(b.wanted.len(), 2, "evidence is wanted at each opening");
    }
}

#[test]
fn a_reopened_incident_goes_to_whoever_had_it() {
    for answered in [false, true] {
        let mut b = Bench::new();
        b.raise(min(0));
        if answered {
            b.acknowledge(min(1)).unwrap();
        }
        b.clear(min(30));
        b.raise(min(60));
        let state = b.newest().state;
        assert_eq!(state, if answered { State::InProgress } else { State::New });
    }
}

#[test]
fn a_reopen_keeps_a_priority_that_had_risen() {
    let mut b = Bench::new();
    b.event(EventKind::Raise, min(0), min(0), 1);
    b.clear(min(30));
    b.raise(min(60));
    let i = b.newest();
    assert_eq!((i.severity, i.priority), (Severity::Warning, Priority::P2));
}

#[test]
fn what_is_gone_is_resolved_as_retired() {
    let mut b = Bench::new();
    b.raise(min(0));
    b.event(EventKind::Retire, min(7), min(0), 0);
    let i = b.newest();
    let closure = i.closure.unwrap();
    assert_eq!(
        (i.state, i.resolved_at, closure.code),
        (State::Resolved, Some(Stamp(min(7))), ClosureCode::CiRetired)
    );
    assert!(closure.note.contains("fs{mount=/data} is gone"), "{}", closure.note);
}

#[test]
fn a_person_acknowledges_resolves_and_notes() {
    let mut b = Bench::new();
    b.raise(min(0));
    b.acknowledge(min(3)).unwrap();
    let i = b.newest();
    assert_eq!((i.state, i.acknowledged_at), (State::Acknowledged, Some(Stamp(min(3)))));
    let note = Command::Note { incident: i.id.clone(), by: "ada".to_owned(), text: " looking ".to_owned() };
    b.command(min(4), note).unwrap();
    assert_eq!(b.newest().timeline.last().unwrap().note, "ada: looking");
    b.resolve(min(5)).unwrap();
    let i = b.newest();
    assert_eq!((i.state, i.disputed, i.confirmed_at), (State::Resolved, true, None));
    assert_eq!(i.closure.unwrap().code, ClosureCode::Fixed);
    assert_eq!(kinds(&b.newest()), ["raised", "acknowledged", "note", "resolved"]);
}

#[test]
fn refusals_are_sentences_and_change_nothing() {
    let mut b = Bench::new();
    b.raise(min(0));
    b.acknowledge(min(1)).unwrap();
    let long = "x".repeat(NOTE_MAX + 1);
    let number = b.newest().number;
    let note = |incident: &str, text: &str| Command::Note {
        incident: incident.to_owned(),
        by: "ada".to_owned(),
        text: text.to_owned(),
    };
    let sent = b.sent.len();
    assert_eq!(
        b.acknowledge(min(2)),
        Err("INC000001 is already acknowledged and cannot be acknowledged".to_owned())
    );
    assert_eq!(
        b.command(min(2), note("INC000009", "x")),
        Err("no incident INC000009 here: unknown or closed".to_owned())
    );
    assert_eq!(b.command(min(2), note(&number, " ")), Err("the note is empty".to_owned()));
    assert_eq!(
        b.command(min(2), note(&number, &long)),
        Err("the note has 4097 bytes; at most 4096 are taken".to_owned())
    );
    b.clear(min(3));
    assert_eq!(b.resolve(min(4)), Err("INC000001 is already resolved and cannot be resolved".to_owned()));
    assert_eq!(b.sent.len(), sent + 1, "only the clear was a revision");
}

#[test]
fn a_disputed_resolve_is_overruled_after_half_an_hour() {
    let mut b = Bench::new();
    b.raise(min(0));
    b.resolve(min(10)).unwrap();
    b.run_to(min(40) - 1);
    assert_eq!(b.newest().state, State::Resolved);
    b.run_to(min(40));
    let i = b.newest();
    assert_eq!((i.state, i.disputed, i.counters.reopens), (State::InProgress, false, 1));
    assert_eq!(i.intervals[1].from, Stamp(min(10)), "the trouble never ended");
    b.clear(min(50));
    assert_eq!((b.newest().state, b.count()), (State::Resolved, 1));
}

#[test]
fn a_dispute_ends_when_the_condition_does() {
    for end in [EventKind::Clear, EventKind::Retire] {
        let mut b = Bench::new();
        b.raise(min(0));
        b.resolve(min(10)).unwrap();
        b.raise(min(15));
        assert_eq!(b.newest().state, State::Resolved, "a machine that begins anew does not overrule");
        b.event(end, min(20), min(18), 0);
        let i = b.newest();
        assert_eq!(
            (i.disputed, i.confirmed_at, i.resolved_at),
            (false, Some(Stamp(min(20))), Some(Stamp(min(10))))
        );
        b.run_to(min(60));
        assert_eq!(b.newest().state, State::Resolved);
        b.raise(min(61));
        assert_eq!((b.newest().state, b.count()), (State::InProgress, 1), "a new raise reopens");
    }
}

#[test]
fn a_clear_that_began_before_the_persons_resolve_counts() {
    let mut b = Bench::new();
    b.raise(min(0));
    b.resolve(min(10)).unwrap();
    b.event(EventKind::Clear, min(13), min(8), 0);
    let i = b.newest();
    assert_eq!((i.resolved_at, i.intervals[0].to), (Some(Stamp(min(8))), Some(Stamp(min(8)))));
}

#[test]
fn a_step_or_clear_without_an_incident_is_told_apart() {
    let mut b = Bench::new();
    b.clear(min(0));
    assert_eq!((b.sent.len(), b.kinds.as_slice()), (0, &["event"][..]), "observed, no incident");
    b.event(EventKind::Step, min(1), min(1), 1);
    assert_eq!(b.newest().severity, Severity::Critical, "the raise was lost, the condition is not");
}

#[test]
fn changes_of_one_step_are_one_revision() {
    let mut b = Bench::new();
    let (raise, clear) =
        (b.make(EventKind::Raise, min(0), min(0), 0), b.make(EventKind::Clear, min(1), min(1), 0));
    let mut out = Step::default();
    b.engine.event(Moment::at(min(0)), &raise, &mut out);
    b.engine.event(Moment::at(min(1)), &clear, &mut out);
    assert_eq!((out.records.len(), out.journal.len()), (1, 1));
    assert!(out.journal[0].body.contains("\"kind\":\"resolved\""), "{}", out.journal[0].body);
    b.take(min(1), out);
    assert_eq!((b.newest().rev, b.newest().state), (1, State::Resolved));
    b.restart(min(1));
    assert_eq!(b.engine.incidents().next(), Some(&b.newest()));
}

#[test]
fn evidence_is_added_in_one_update() {
    let mut b = Bench::new();
    b.raise(min(0));
    let exhibit =
        |title: &str| Exhibit { title: title.to_owned(), at: Stamp(min(0)), text: "x".repeat(9_000) };
    let incident = b.newest().id;
    b.command(min(0), Command::Evidence { incident: incident.clone(), exhibits: vec![] }).unwrap();
    assert_eq!(b.newest().rev, 1, "nothing brought, nothing changed");
    let exhibits = vec![exhibit("top"), exhibit("status"), exhibit("df")];
    b.command(min(0), Command::Evidence { incident, exhibits }).unwrap();
    let i = b.newest();
    assert_eq!((i.rev, i.evidence.exhibits.len()), (2, 3));
    assert!(json(&i.evidence).len() <= 16 * 1024);
}

#[test]
fn the_timeline_keeps_the_newest_200() {
    let mut b = Bench::new();
    b.raise(min(0));
    for n in 0..250 {
        let (incident, by) = ("inc000001".to_owned(), "ada".to_owned());
        b.command(min(1), Command::Note { incident, by, text: n.to_string() }).unwrap();
    }
    let i = b.newest();
    assert_eq!((i.timeline.len(), i.timeline[199].note.as_str()), (200, "ada: 249"));
    assert_eq!(i.timeline[199].rev, i.rev);
}

#[test]
fn the_longest_resolved_makes_room() {
    let mut b = Bench::new();
    let mounts: Vec<&'static str> =
        (0..=HELD_MAX).map(|n| &*Box::leak(format!("/m{n}").into_boxed_str())).collect();
    for (n, mount) in mounts.into_iter().enumerate() {
        b.mount = mount;
        let event = b.make(EventKind::Raise, min(0), min(0), 0);
        b.engine.event(Moment::at(min(0)), &event, &mut Step::default());
        if n < 2 {
            let event = b.make(EventKind::Clear, min(n as i64 + 1), min(n as i64 + 1), 0);
            b.engine.event(Moment::at(min(3)), &event, &mut Step::default());
        }
    }
    assert_eq!(b.engine.incidents().count(), HELD_MAX);
    assert!(b.engine.incident("INC000001").is_none() && b.engine.incident("INC000002").is_some());
}
