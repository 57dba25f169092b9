//! What is explained is what is judged, on random conditions and series; and it holds together in itself.

use super::agree::{Pair, cases};
use super::naive::NANO;
use super::random::{Case, Random, case};
use super::*;
use crate::engine::cond::{Kind, Node, Verdict};
use crate::engine::rules::Judgement;

const START: i64 = 1_000_000_000 * NANO;

/// `and`, `or` and `not` say what their parts make of it; what is unknown says why, what is known does not.
fn holds_together(node: &Node) -> Result<(), String> {
    let decided = |decisive: Verdict, otherwise: Verdict| {
        let verdicts = || node.parts.iter().filter_map(|part| part.verdict);
        match () {
            () if verdicts().any(|v| v == decisive) => decisive,
            () if verdicts().any(|v| v == Verdict::Unknown) => Verdict::Unknown,
            () => otherwise,
        }
    };
    let expected = match (node.kind, node.parts.as_slice()) {
        (Kind::And, _) => Some(decided(Verdict::False, Verdict::True)),
        (Kind::Or, _) => Some(decided(Verdict::True, Verdict::False)),
        (Kind::Not, [one]) => one.verdict.map(|verdict| match verdict {
            Verdict::True => Verdict::False,
            Verdict::False => Verdict::True,
            Verdict::Unknown => Verdict::Unknown,
        }),
        _ => node.verdict,
    };
    if node.verdict != expected {
        return Err(format!("`{}` is {:?}, its parts say {expected:?}", node.text, node.verdict));
    }
    if let Some(verdict) = node.verdict
        && (verdict == Verdict::Unknown) != node.why.is_some()
    {
        return Err(format!("`{}` is {verdict:?}, because {:?}", node.text, node.why));
    }
    node.parts.iter().try_for_each(holds_together)
}

fn verdict(node: &Node) -> Option<bool> {
    match node.verdict {
        Some(Verdict::True) => Some(true),
        Some(Verdict::False) => Some(false),
        Some(Verdict::Unknown) | None => None,
    }
}

fn explained(pair: &Pair, t: i64) -> Option<Judgement> {
    pair.stage.rules.explain(Moment::at(t), "r", pair.stage.instance.key())
}

fn agrees(case: &Case) -> Result<u64, String> {
    let mut pair = Pair::new(case, "", 5 * SECOND, 7 * SECOND);
    let (mut now, mut known) = (START, 0);
    for (n, seen) in case.seen.iter().enumerate() {
        now += seen.gap * NANO;
        pair.see(case, seen, now, (now - seen.back * NANO).max(START));
        let later = now + seen.look * NANO;
        for t in [now, later] {
            let told = pair.stage.events.len();
            let before = explained(&pair, t);
            let (found, clear) = (pair.verdict(t), pair.clear(t));
            let after = explained(&pair, t);
            // Asked before the judgement it says the same, unless an event came in between.
            let asked = if pair.stage.events.len() == told { [before, after] } else { [None, after] };
            for judgement in asked.into_iter().flatten() {
                let step = &judgement.steps[0];
                if (verdict(&step.raise), verdict(&step.clear)) != (found, clear) {
                    let (raise, over) = (&step.raise.verdict, &step.clear.verdict);
                    return Err(format!("observation {n}: {raise:?} {over:?}, judged {found:?} {clear:?}"));
                }
                holds_together(&step.raise)?;
                holds_together(&step.clear)?;
                known += u64::from(found.is_some());
            }
        }
        now = later;
    }
    Ok(known)
}

#[test]
fn the_explanation_says_what_the_evaluator_says() {
    let mut known = 0;
    for n in cases(10) {
        let case = case(&mut Random(n));
        match agrees(&case) {
            Ok(more) => known += more,
            Err(why) => {
                let text = conditions::Text(&conditions::WORLDS[case.world], &case.cond).to_string();
                panic!("case {n}: {why}\n{text}\nSEXTON_CASE={n} plays it alone");
            }
        }
    }
    assert!(known > 0, "something is known now and then");
}

/// The first part of that kind.
fn part(node: &Node, kind: Kind) -> Option<&Node> {
    if node.kind == kind { Some(node) } else { node.parts.iter().find_map(|p| part(p, kind)) }
}

#[test]
fn numbers_windows_and_distances_are_told() {
    let mut stage = busy("avg(cpu.busy, 1m) > 90% and load.avg1 > 4", "avg(cpu.busy, 1m) < 50%", 60, 60);
    for second in (0..30).step_by(10) {
        stage.num(second, "cpu.busy", 0.5);
    }
    let judged = |stage: &Stage, second: i64| {
        stage.rules.explain(Moment::at(second * SECOND), "busy", "host").expect("it is bound")
    };
    let judgement = judged(&stage, 20);
    let step = &judgement.steps[0];
    let average = part(&step.raise, Kind::Compare).expect("a comparison");
    assert_eq!((average.text.as_str(), average.value), ("avg(cpu.busy, 1m) > 90%", Some(0.5)));
    assert_eq!(average.margin.as_ref().map(|m| m.shown.as_str()), Some("40 points below 90 %"));
    let window = part(&step.raise, Kind::Window).and_then(|w| w.window.as_ref()).expect("a window");
    assert_eq!((window.samples, window.expected), (Some(3.0), Some(6.0)));
    assert_eq!(window.shown, "3 of 6 samples (50 %), sum 1.5");
    assert_eq!(judgement.standing.state, Health::Ok);
    assert_eq!(judgement.verdict, "not raised: avg(cpu.busy, 1m) 50 % <= 90 %");
    assert_eq!(judgement.next, "raised once raise has been true for 1m");
}

#[test]
fn why_something_is_unknown_is_told_in_each_case() {
    let because = |stage: &Stage, second: i64| {
        let judgement =
            stage.rules.explain(Moment::at(second * SECOND), "busy", "host").expect("it is bound");
        assert_eq!(judgement.standing.state, Health::Unknown, "{}", judgement.verdict);
        judgement.verdict
    };
    let mut stage = busy("load.avg1 > 4", "", 60, 60);
    stage.num(0, "cpu.busy", 0.5);
    assert_eq!(because(&stage, 20), "cannot be judged: load.avg1 was never seen, waited for 20s");
    stage.num(30, "load.avg1", 1.0);
    stage.wait(100);
    let stale = "cannot be judged: load.avg1 is stale: its last value is 1m 10s old, and it counts for 30s";
    assert_eq!(because(&stage, 100), stale);
    stage.see(110, &[("load.avg1", None)]);
    assert!(because(&stage, 110).contains("its source says so"));
    let mut filling = busy("avg(cpu.busy, 10m) > 90%", "", 60, 60);
    for second in (0..100).step_by(10) {
        filling.num(second, "cpu.busy", 0.5);
    }
    let why = because(&filling, 90);
    assert!(why.contains("still warming up, watched for 1m 30s of 10m: 10 of 60 samples"), "{why}");
    assert!(why.ends_with("enough in about 3m 20s"), "{why}");
    let mut gaps = busy("avg(cpu.busy, 1m) > 90%", "", 60, 60);
    for second in [0, 10, 90, 100] {
        gaps.num(second, "cpu.busy", 0.5);
    }
    assert!(because(&gaps, 100).contains("coverage too low: 2 of 6 samples"), "{}", because(&gaps, 100));
    let mut nothing = busy("cpu.busy / load.avg1 > 2%", "", 60, 60);
    nothing.see(0, &[("cpu.busy", Some(Value::Num(0.5))), ("load.avg1", Some(Value::Num(0.0)))]);
    assert_eq!(because(&nothing, 0), "cannot be judged: a division by zero has no value");
}

#[test]
fn clocks_tell_how_far_they_are_and_when_they_end() {
    let mut stage = busy("cpu.busy > 90%", "cpu.busy < 80%", 60, 120);
    let judged = |stage: &Stage, second: i64| {
        stage.rules.explain(Moment::at(second * SECOND), "busy", "host").expect("it is bound")
    };
    for second in (0..30).step_by(10) {
        stage.num(second, "cpu.busy", 0.95);
    }
    let pending = judged(&stage, 25);
    let clock = pending.steps[0].clock.clone().expect("for runs");
    assert_eq!((clock.of, clock.held, clock.needed), ("for", 25.0, 60.0));
    assert_eq!(clock.due, Some(Moment::at(60 * SECOND).stamp()));
    assert_eq!(pending.verdict, "true for 25s of 1m: cpu.busy 95 % > 90 %");
    assert!(pending.next.starts_with("raised at 1970-01-01 00:01:00Z if it stays true"), "{}", pending.next);
    for second in (30..100).step_by(10) {
        stage.num(second, "cpu.busy", 0.95);
    }
    assert_eq!(judged(&stage, 95).verdict, "raised, and still true: cpu.busy 95 % > 90 %");
    stage.num(100, "cpu.busy", 0.85);
    let between = judged(&stage, 100);
    assert_eq!(between.verdict, "raised; no longer a breach, and not clear yet: cpu.busy 85 % >= 80 %");
    assert_eq!(between.next, "over once clear has been true for 2m and raise is not");
    stage.num(110, "cpu.busy", 0.5);
    let clearing = judged(&stage, 115);
    assert_eq!(clearing.verdict, "raised; clear has held for 5s of 2m: cpu.busy 50 % < 80 %");
    assert!(clearing.next.starts_with("over at 1970-01-01 00:03:50Z"), "{}", clearing.next);
    // Nothing is known for a while: the clock stands still.
    stage.see(120, &[("cpu.busy", None)]);
    let frozen = judged(&stage, 125).steps[0].clock.clone().expect("keep stands still");
    assert_eq!((frozen.held, frozen.due), (10.0, None));
    assert_eq!(frozen.frozen.map(|f| f.0), Some(Moment::at(120 * SECOND).stamp()));
}

#[test]
fn asking_changes_nothing() {
    let mut asked = busy("avg(cpu.busy, 1m) > 90%", "avg(cpu.busy, 1m) < 50%", 20, 20);
    let mut left_alone = busy("avg(cpu.busy, 1m) > 90%", "avg(cpu.busy, 1m) < 50%", 20, 20);
    for second in (0..600).step_by(10) {
        let value = if (100..300).contains(&second) { 0.99 } else { 0.2 };
        asked.num(second, "cpu.busy", value);
        left_alone.num(second, "cpu.busy", value);
        // Also far ahead of what was judged.
        for ahead in [0, 5, 500] {
            asked.rules.explain(Moment::at((second + ahead) * SECOND), "busy", "host");
        }
    }
    assert_eq!(asked.told(), left_alone.told());
}

#[test]
fn what_is_not_bound_says_why() {
    let mut judged = rule("fs", Class::Fs, &[], &[("fs.used > 90%", "", 0, 0, WARNING)]);
    let globs = crate::engine::plan::Globs(vec!["ext*".to_owned(), "xfs".to_owned()]);
    Arc::make_mut(&mut judged).matches.0.insert("fstype".to_owned(), globs);
    let root = Instance::of(Class::Fs, &[("mount", "/"), ("fstype", "ext4")]);
    let mut stage = Stage::new(root, 10 * SECOND, &[judged]);
    stage.num(0, "fs.used", 0.5);
    for labels in [&[("mount", "/run"), ("fstype", "tmpfs")][..], &[("mount", "/odd")]] {
        stage.instance = Instance::of(Class::Fs, labels);
        stage.num(0, "fs.used", 0.5);
    }
    let (unbound, count) = stage.rules.unbound("fs");
    let told: Vec<_> = unbound.iter().map(|u| (u.instance.as_str(), u.why.as_str())).collect();
    let takes = "match takes only fstype = [\"ext*\", \"xfs\"]";
    assert_eq!(count, 2);
    assert_eq!(told[0], ("fs{mount=/odd}", "it has no fstype, and match wants fstype = [\"ext*\", \"xfs\"]"));
    assert_eq!(told[1], ("fs{mount=/run}", format!("its fstype is \"tmpfs\", and {takes}").as_str()));
    assert!(stage.rules.explain(Moment::at(0), "fs", "fs{mount=/run}").is_none());
}
