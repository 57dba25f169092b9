//! What is not there: missing data, rules that look now and then, companions, declared objects.

use super::*;
use crate::engine::cond;
use crate::engine::plan::{OnMissing, Silence};

fn on_missing(rule: Arc<Rule>, meaning: OnMissing) -> Arc<Rule> {
    let mut rule = rule;
    Arc::make_mut(&mut rule).silence.on_missing = meaning;
    rule
}

/// `cpu.busy > 90%` with 60 s `for` and 120 s `keep`.
fn missed(raise: &str, meaning: OnMissing) -> Stage {
    let steps = [(raise, "", 60 * SECOND, 120 * SECOND, WARNING)];
    Stage::new(host(), 10 * SECOND, &[on_missing(rule("busy", Class::Host, &[], &steps), meaning)])
}

/// A companion of `class`: nothing known of the signals for `ns`.
fn companion(class: Class, names: &[&str], ns: i64) -> Arc<Rule> {
    let metrics: Vec<_> = names.iter().map(|n| Metric::find(n).unwrap()).collect();
    let mut made = rule("x/nodata", class, &[], &[("true", "false", 0, 0, WARNING)]);
    let inner = Arc::make_mut(&mut made);
    inner.silence = Silence { of: Some("x".to_owned()), ..Silence::default() };
    inner.steps[0].raise = cond::missing(&metrics, ns);
    inner.steps[0].clear = cond::known(&metrics, false);
    made
}

#[test]
fn missing_data_counts_as_a_breach_where_the_rule_says_so() {
    let mut stage = missed("cpu.busy > 90%", OnMissing::Raise);
    for second in (0..=100).step_by(10) {
        stage.num(second, "cpu.busy", 0.5);
    }
    // Known until 30 s after its last sample; then `for` begins.
    stage.wait(189);
    assert_eq!(stage.told(), [""; 0]);
    stage.wait(191);
    assert_eq!(stage.events[0].why, "no value of cpu.busy for 1m 30s, which counts as a breach (on_missing)");
    assert_eq!(stage.told(), ["raise warning 191<130"]);
    stage.wait(5000);
    assert_eq!(stage.told(), [""; 0], "missing data does not end what it began");
    for second in (5000..=5120).step_by(10) {
        stage.num(second, "cpu.busy", 0.5);
    }
    assert_eq!(stage.told(), ["clear warning 5120<5000"]);
}

#[test]
fn what_is_not_known_yet_is_not_missing() {
    let mut stage = missed("avg(cpu.busy, 10m) > 90%", OnMissing::Raise);
    for second in (0..1200).step_by(10) {
        stage.num(second, "cpu.busy", 0.5);
    }
    assert_eq!(stage.told(), [""; 0], "the window was filling");
    // A short gap is none either.
    stage.num(1225, "cpu.busy", 0.5);
    stage.wait(1250);
    assert_eq!(stage.told(), [""; 0]);
}

#[test]
fn missing_data_counts_as_over_where_the_rule_says_so() {
    let mut stage = missed("cpu.busy > 90%", OnMissing::Clear);
    for second in (0..=100).step_by(10) {
        stage.num(second, "cpu.busy", 0.95);
    }
    assert_eq!(stage.told(), ["raise warning 60<0"]);
    stage.wait(240);
    assert_eq!(stage.told(), [""; 0]);
    stage.wait(251);
    assert_eq!(stage.events[0].why, "no value of cpu.busy for 2m 30s, which counts as over (on_missing)");
    assert_eq!(stage.told(), ["clear warning 251<130"]);
    // And what was pending is given up.
    stage.num(300, "cpu.busy", 0.95);
    stage.wait(1000);
    assert_eq!((stage.told(), stage.state()), (vec![], Health::Unknown));
}

#[test]
fn a_told_signal_is_missing_when_it_is_told_so() {
    let steps = [("unit.state == 'failed'", "unit.active", 0, 0, CRITICAL)];
    let unit = Instance::of(Class::Unit, &[("unit", "a.service")]);
    let watched = on_missing(rule("failed", Class::Unit, &[], &steps), OnMissing::Raise);
    let mut stage = Stage::new(unit, 0, &[watched]);
    stage.see(0, &[("unit.state", Some("active".into())), ("unit.active", Some(true.into()))]);
    stage.wait(100_000);
    assert_eq!(stage.told(), [""; 0], "a told value holds");
    stage.see(100_000, &[("unit.state", None), ("unit.active", None)]);
    stage.wait(100_029);
    assert_eq!(stage.told(), [""; 0]);
    stage.wait(100_030);
    assert_eq!(stage.told(), ["raise critical 100030<100030"]);
}

#[test]
fn while_the_host_starts_nothing_is_missed() {
    let mut stage = missed("cpu.busy > 90%", OnMissing::Raise);
    stage.rules.settle_until(500 * SECOND);
    stage.num(0, "cpu.busy", 0.5);
    stage.wait(499);
    assert_eq!(stage.told(), [""; 0]);
    stage.wait(500);
    assert_eq!(stage.told(), ["raise warning 500<30"]);
}

/// Suspended from 100 to 3700.
fn sleep(stage: &mut Stage) {
    stage.rules.excuse(Moment::at(3700 * SECOND), 3600 * SECOND);
}

#[test]
fn what_could_not_be_seen_during_a_suspension_is_not_missed() {
    let check = || Instance::of(Class::Check, &[("check", "front")]);
    let down = [("not check.up", "check.up", 0, 0, CRITICAL)];
    let silent = [("nodata(check.up, 15m)", "", 0, 0, WARNING)];
    for rule in [
        companion(Class::Check, &["check.up"], 15 * MINUTE),
        rule("silent", Class::Check, &[], &silent),
        on_missing(rule("down", Class::Check, &[], &down), OnMissing::Raise),
    ] {
        let is_patient = rule.id != "down";
        for is_early in [false, true] {
            let mut stage = Stage::new(check(), 10 * SECOND, &[Arc::clone(&rule)]);
            stage.see(90, &[("check.up", Some(true.into()))]);
            if is_early {
                sleep(&mut stage);
            }
            // What was read just before may be looked at afterwards.
            stage.see(100, &[("check.up", Some(true.into()))]);
            if !is_early {
                sleep(&mut stage);
            }
            stage.wait(3700);
            assert_eq!(stage.told(), [""; 0], "{}", rule.id);
            stage.see(3720, &[("check.up", Some(true.into()))]);
            assert_eq!(stage.told(), [""; 0], "{}", rule.id);
            // From then on everything is as ever.
            let (before, at) = if is_patient { (4619, 4620) } else { (3749, 3750) };
            stage.wait(before);
            assert_eq!(stage.told(), [""; 0], "{}", rule.id);
            stage.wait(at + 1);
            assert_eq!(stage.told().len(), 1, "{}", rule.id);
        }
    }
}

#[test]
fn what_stays_silent_after_a_suspension_is_missed_when_its_time_is_over() {
    let check = Instance::of(Class::Check, &[("check", "front")]);
    let mut stage = Stage::new(check, 10 * SECOND, &[companion(Class::Check, &["check.up"], 15 * MINUTE)]);
    stage.see(40, &[("check.up", Some(true.into()))]);
    sleep(&mut stage);
    stage.wait(4539);
    assert_eq!(stage.told(), [""; 0]);
    stage.wait(4540);
    assert_eq!(stage.events[0].why, "no value of check.up for 15m");
    assert_eq!(stage.told(), ["raise warning 4540<4540"]);
    let mut never = awaiting();
    sleep(&mut never);
    never.wait(4199);
    assert_eq!(never.told(), [""; 0]);
    never.wait(4200);
    assert_eq!(never.told(), ["raise warning 4200<4200"]);
}

fn every(seconds: i64, for_: i64, keep: i64) -> Stage {
    let steps = [("cpu.busy > 90%", "cpu.busy < 80%", for_ * SECOND, keep * SECOND, WARNING)];
    let mut slow = rule("busy", Class::Host, &[], &steps);
    Arc::make_mut(&mut slow).every = seconds * SECOND;
    Stage::new(host(), 10 * SECOND, &[slow])
}

#[test]
fn a_rule_that_looks_now_and_then_sees_what_is_so_then() {
    let mut stage = every(60, 0, 0);
    for second in (5..600).step_by(10) {
        // Looks are at 5, 65, 125, …: the first breach comes and goes in between.
        let is_high = (15..60).contains(&second) || (150..300).contains(&second);
        stage.num(second, "cpu.busy", if is_high { 0.95 } else { 0.5 });
        stage.wait(second + 9);
    }
    assert_eq!(stage.told(), ["raise warning 185<185", "clear warning 305<305"]);
}

#[test]
fn for_and_keep_are_counted_from_look_to_look() {
    let mut stage = every(60, 90, 30);
    for second in (0..1200).step_by(10) {
        stage.num(second, "cpu.busy", if (100..500).contains(&second) { 0.95 } else { 0.5 });
        stage.wait(second + 9);
    }
    // True at 120; 90 s are over at 210, which is seen at 240. Not true at 540; over at 570, seen at 600.
    assert_eq!(stage.told(), ["raise warning 240<120", "clear warning 600<540"]);
}

#[test]
fn one_look_at_nothing_does_not_begin_anew() {
    let mut stage = every(60, 150, 0);
    for second in (0..600).step_by(10) {
        // Nothing is known at the look of 120; the next one is at the first word.
        if !(80..170).contains(&second) {
            stage.num(second, "cpu.busy", 0.95);
        }
        stage.wait(second + 9);
    }
    // Looks are at 0, 60, 120, 170, 230: the 50 s from 120 on do not count, 150 s are over at 200.
    assert_eq!(stage.told(), ["raise warning 230<0"]);
}

#[test]
fn a_companion_tells_of_silence_and_is_over_with_the_next_value() {
    let check = Instance::of(Class::Check, &[("check", "front")]);
    let mut stage = Stage::new(check, 10 * SECOND, &[companion(Class::Check, &["check.up"], 15 * MINUTE)]);
    stage.see(0, &[("check.up", Some(true.into()))]);
    stage.see(60, &[("check.up", None)]);
    stage.wait(899);
    assert_eq!(stage.told(), [""; 0]);
    stage.wait(900);
    assert_eq!(stage.events[0].why, "no value of check.up for 15m");
    assert_eq!(stage.told(), ["raise warning 900<900"]);
    stage.see(5000, &[("check.up", None)]);
    assert_eq!(stage.told(), [""; 0], "a word that there is no value is no value");
    stage.see(5010, &[("check.up", Some(false.into()))]);
    assert_eq!(stage.told(), ["clear warning 5010<5010"]);
}

#[test]
fn a_companion_of_told_signals_is_silent_while_they_hold() {
    let unit = Instance::of(Class::Unit, &[("unit", "a.service")]);
    let signals = ["unit.state", "unit.restarts"];
    let mut stage = Stage::new(unit, 0, &[companion(Class::Unit, &signals, 15 * MINUTE)]);
    stage.see(0, &[("unit.state", Some("active".into())), ("unit.restarts", Some(0.0.into()))]);
    stage.wait(1_000_000);
    assert_eq!(stage.told(), [""; 0]);
    stage.see(1_000_000, &[("unit.state", None)]);
    stage.wait(1_000_900);
    assert_eq!(stage.told(), ["raise warning 1000900<1000900"]);
}

/// A plan that declares the check `front`.
fn declaring(rules: &[Arc<Rule>]) -> Arc<Plan> {
    let declared = vec![Instance::of(Class::Check, &[("check", "front"), ("kind", "http")])];
    Arc::new(Plan { declared, ..Plan::clone(&plan(rules)) })
}

/// A companion that is only about what was never seen.
fn expecting() -> Arc<Rule> {
    let mut rule = companion(Class::Check, &[], 0);
    let metrics = [metric("check.up"), metric("check.latency")];
    let step = &mut Arc::make_mut(&mut rule).steps[0];
    (step.raise, step.clear) = (cond::unseen(&metrics, 10 * MINUTE), cond::known(&metrics, true));
    rule
}

fn awaiting() -> Stage {
    let front = Instance::of(Class::Check, &[("check", "front"), ("kind", "http")]);
    let mut stage = Stage::new(front, 10 * SECOND, &[]);
    stage.rules = Rules::new(declaring(&[expecting()]));
    stage.rules.await_declared(Moment::at(0), &mut stage.events);
    stage
}

#[test]
fn a_declared_object_that_is_never_seen_is_missed() {
    let mut stage = awaiting();
    assert_eq!(stage.bound(), 1);
    stage.wait(599);
    assert_eq!(stage.told(), [""; 0]);
    stage.wait(600);
    let why = "check.up was never seen in 10m and check.latency was never seen in 10m";
    assert_eq!(stage.events[0].why, why);
    assert_eq!(stage.told(), ["raise warning 600<600"]);
    // One of its signals is enough.
    stage.see(700, &[("check.up", Some(false.into()))]);
    assert_eq!(stage.told(), ["clear warning 700<700"]);
    stage.wait(100_000);
    assert_eq!(stage.told(), [""; 0], "it was seen: silence is another matter");
}

#[test]
fn a_declared_object_that_is_seen_in_time_or_no_longer_declared_is_not_missed() {
    let mut seen = awaiting();
    seen.see(500, &[("check.up", Some(true.into()))]);
    seen.wait(10_000);
    assert_eq!(seen.told(), [""; 0]);
    let mut dropped = awaiting();
    dropped.wait(600);
    dropped.reload(601, &[expecting()]);
    assert_eq!(dropped.told(), ["raise warning 600<600", "retire warning 601<601"]);
    assert_eq!(dropped.bound(), 0);
}

#[test]
fn a_declared_object_that_goes_is_awaited_again() {
    let mut stage = awaiting();
    stage.see(100, &[("check.up", Some(true.into()))]);
    let mut gone = Observation::new(Moment::at(200 * SECOND), Arc::clone(&stage.instance), 0);
    gone.gone = true;
    stage.rules.observe(gone.at, &gone, &mut stage.events);
    stage.wait(799);
    assert_eq!(stage.told(), [""; 0]);
    stage.wait(800);
    assert_eq!(stage.told(), ["raise warning 800<800"]);
}

#[test]
fn what_was_missed_before_a_restart_is_missed_after_it() {
    let mut before = awaiting();
    before.wait(600);
    before.told();
    let rows = before.rows().into_iter().filter_map(|(key, body)| Some((key, body?))).collect();
    let mut after = awaiting();
    after.rules = Rules::new(declaring(&[expecting()]));
    after.rules.restore(Moment::at(700 * SECOND), rows);
    after.rules.await_declared(Moment::at(700 * SECOND), &mut after.events);
    after.wait(100_000);
    assert_eq!((after.told(), after.state()), (vec![], Health::Raised), "neither told twice nor given up");
    after.see(100_000, &[("check.up", Some(true.into()))]);
    assert_eq!(after.told(), ["clear warning 100000<100000"]);
}

#[test]
fn a_declared_object_that_is_not_there_is_a_breach_where_missing_data_is() {
    let steps = [("not check.up", "check.up", 60 * SECOND, 0, CRITICAL)];
    let down = on_missing(rule("down", Class::Check, &[], &steps), OnMissing::Raise);
    let front = Instance::of(Class::Check, &[("check", "front"), ("kind", "http")]);
    let mut stage = Stage::new(front, 10 * SECOND, &[]);
    stage.rules = Rules::new(declaring(&[down]));
    stage.rules.await_declared(Moment::at(0), &mut stage.events);
    // Half a minute until it counts as missing, then `for`.
    stage.wait(89);
    assert_eq!(stage.told(), [""; 0]);
    stage.wait(90);
    assert_eq!(stage.events[0].why, "no value of check.up for 1m 30s, which counts as a breach (on_missing)");
    assert_eq!(stage.told(), ["raise critical 90<30"]);
    stage.see(100, &[("check.up", Some(true.into()))]);
    assert_eq!(stage.told(), ["clear critical 100<100"]);
}
