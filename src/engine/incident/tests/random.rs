//! Random events, commands and restarts: the claims that must hold whatever happens.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Act {
    Raise(usize),
    Step(usize),
    Clear,
    Retire,
    Acknowledge,
    Resolve,
    Hold,
    Start,
    Cancel,
    Restart,
}

fn acts() -> impl Strategy<Value = Vec<(Act, bool, i64)>> {
    let act = prop_oneof![
        4 => (0..2_usize).prop_map(Act::Raise),
        1 => (0..2_usize).prop_map(Act::Step),
        4 => Just(Act::Clear),
        1 => Just(Act::Retire),
        1 => Just(Act::Acknowledge),
        1 => Just(Act::Resolve),
        1 => Just(Act::Hold),
        1 => Just(Act::Start),
        1 => Just(Act::Cancel),
        1 => Just(Act::Restart),
    ];
    let wait = prop_oneof![1..60_i64, 1..20 * 60_i64, 1..6 * 3600_i64, 1..3 * 86_400_i64];
    prop::collection::vec((act, any::<bool>(), wait), 1..60)
}

fn open(b: &Bench) -> BTreeMap<&str, usize> {
    let mut open = BTreeMap::new();
    for i in b.engine.incidents().filter(|i| i.state.is_open()) {
        *open.entry(i.fingerprint.as_str()).or_default() += 1;
    }
    open
}

fn plays(acts: Vec<(Act, bool, i64)>) -> Result<(), TestCaseError> {
    let mut b = Bench::new();
    let mut at = min(0);
    for (act, other, wait) in acts {
        at += wait * SECOND;
        b.mount = if other { "/srv" } else { "/data" };
        match act {
            Act::Raise(step) => b.event(EventKind::Raise, at, at - 1, step),
            Act::Step(step) => b.event(EventKind::Step, at, at - 1, step),
            Act::Clear => b.event(EventKind::Clear, at, at - SECOND, 0),
            Act::Retire => b.event(EventKind::Retire, at, at, 0),
            Act::Restart => {
                let before: Vec<_> = b.engine.incidents().cloned().collect();
                b.restart(at);
                prop_assert_eq!(before, b.engine.incidents().cloned().collect::<Vec<_>>());
            }
            Act::Acknowledge if b.count() > 0 => drop(b.acknowledge(at)),
            Act::Resolve if b.count() > 0 => drop(b.resolve(at)),
            Act::Hold | Act::Start | Act::Cancel if b.count() > 0 => {
                let (incident, by) = (b.newest().number, "ada".to_owned());
                let _ = b.command(
                    at,
                    match act {
                        Act::Hold => Command::Hold { incident, by, reason: "vendor".to_owned() },
                        Act::Start => Command::Start { incident, by },
                        _ => Command::Cancel { incident, by, note: String::new() },
                    },
                );
            }
            Act::Acknowledge | Act::Resolve | Act::Hold | Act::Start | Act::Cancel => {}
        }
        prop_assert!(open(&b).values().all(|n| *n == 1), "{:?}", open(&b));
        for i in b.engine.incidents() {
            prop_assert_eq!(i.resolved_at.is_some(), !i.state.is_open());
            prop_assert!(i.intervals.iter().all(|s| s.to.is_none_or(|to| s.from <= to)));
            prop_assert!(i.intervals.windows(2).all(|w| w[0].to.is_some_and(|to| to <= w[1].from)));
            prop_assert!(i.intervals.last().is_some_and(|s| s.to.is_none() == i.state.is_open()));
            for clock in [&i.sla.respond, &i.sla.resolve] {
                prop_assert!(clock.met_at.is_none() || clock.breached_at.is_none());
            }
            prop_assert!(i.sla.paused_since.is_none() || i.state == State::OnHold);
            prop_assert_eq!(i.hold_reason.is_some(), i.state == State::OnHold);
        }
    }
    for mount in ["/data", "/srv"] {
        b.mount = mount;
        b.clear(at);
    }
    b.run_to(at + 3 * HOUR);
    prop_assert_eq!(open(&b), BTreeMap::new(), "open after the last clear");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_open_incident_per_fingerprint_and_none_after_the_last_clear(acts in acts()) {
        plays(acts)?;
    }
}

#[test]
fn a_condition_raised_again_ten_minutes_later_is_one_incident() {
    plays(vec![(Act::Raise(0), false, 1), (Act::Raise(0), false, 600)]).unwrap();
}
