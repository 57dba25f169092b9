//! What goes on over a swap, and what new windows are filled with.

use super::*;
use crate::engine::rules::Carried;

const WINDOW: &str = "avg(cpu.busy, 10m) > 50%";

fn averages(condition: &str) -> [Arc<Rule>; 1] {
    [rule("busy", Class::Host, &[], &[(condition, "", 0, 0, WARNING)])]
}

/// Half an hour of a busy host, every ten seconds.
fn past(from: i64, to: i64) -> Vec<Observation> {
    let seen = |second: i64| {
        let at = Moment::at(second * SECOND);
        Observation::new(at, host(), 10 * SECOND).with(metric("cpu.busy"), 0.9)
    };
    (from..to).step_by(10).map(seen).collect()
}

fn swap(stage: &mut Stage, second: i64, rules: &[Arc<Rule>], recorded: &[Observation]) -> (Carried, usize) {
    let mut prepared = Prepared::new(plan(rules));
    let wants = stage.rules.wants_of_history(&mut prepared);
    recorded.iter().for_each(|observation| prepared.recall(observation));
    (stage.rules.reload(Moment::at(second * SECOND), prepared, &mut stage.events), wants.len())
}

#[test]
fn a_new_window_takes_up_what_was_recorded_and_the_same_one_goes_on() {
    let mut stage = Stage::new(host(), 10 * SECOND, &averages("cpu.busy > 99%"));
    for seen in past(0, 1800) {
        stage.rules.observe(seen.at, &seen, &mut stage.events);
    }
    let (carried, wanted) = swap(&mut stage, 1791, &averages(WINDOW), &past(0, 1800));
    let filled = Carried { judged_anew: 1, windows_begun: 1, windows_filled: 1, ..Carried::default() };
    assert_eq!((carried, wanted), (filled, 1));
    stage.num(1800, "cpu.busy", 0.9);
    assert_eq!(stage.told(), ["raise warning 1800<1791"], "known at once, and judged without waiting");
    // Only the limit is another one: the window goes on, and nothing is asked of the history.
    let (carried, wanted) = swap(&mut stage, 1801, &averages("avg(cpu.busy, 10m) > 60%"), &[]);
    assert_eq!((carried, wanted), (Carried { judged_anew: 1, windows_kept: 1, ..Carried::default() }, 0));
    stage.num(1810, "cpu.busy", 0.9);
    assert_eq!((stage.told(), stage.state()), (vec![], Health::Raised), "the latch goes on as well");
}

#[test]
fn a_changed_rule_that_looks_now_and_then_is_judged_at_the_next_sample() {
    let hourly = |limit: u32, title: &str| {
        let condition = format!("cpu.busy > {limit}%");
        let mut made = rule("busy", Class::Host, &[], &[(&condition, "", 0, 0, WARNING)]);
        let inner = Arc::make_mut(&mut made);
        (inner.every, inner.title, inner.hash) = (3600 * SECOND, title.to_owned(), condition);
        [made]
    };
    for (limit, title, expected) in [(40, "busy", &["raise warning 20<20"][..]), (90, "busy", &[])] {
        let mut stage = Stage::new(host(), 10 * SECOND, &hourly(90, "busy"));
        stage.num(0, "cpu.busy", 0.5);
        stage.num(5, "cpu.busy", 0.95);
        assert_eq!(stage.told(), [""; 0], "it has looked at 0");
        stage.reload(10, &hourly(limit, title));
        stage.num(20, "cpu.busy", 0.95);
        assert_eq!(stage.told(), expected, "{limit}");
    }
}

#[test]
fn without_a_history_a_new_window_starts_with_the_next_sample() {
    let mut stage = Stage::new(host(), 10 * SECOND, &averages("cpu.busy > 99%"));
    stage.num(0, "cpu.busy", 0.9);
    let (carried, wanted) = swap(&mut stage, 1, &averages(WINDOW), &[]);
    assert_eq!((carried.windows_begun, carried.windows_filled, wanted), (1, 0, 1));
    stage.num(10, "cpu.busy", 0.9);
    assert_eq!((stage.told(), stage.state()), (vec![], Health::Unknown));
}

#[test]
fn a_told_value_is_the_first_sample_of_a_window_of_which_nothing_was_recorded() {
    let link = Instance::of(Class::Net, &[("iface", "eth0")]);
    let on = |condition| [rule("link", Class::Net, &[], &[(condition, "", 0, 0, WARNING)])];
    let mut stage = Stage::new(Arc::clone(&link), 0, &on("not net.up"));
    stage.see(0, &[("net.up", Some(Value::Bool(true)))]);
    // The history knows the interface and has no word of it in the last minutes.
    let silent = Observation::new(Moment::at(SECOND), link, 0).without(metric("net.rx"));
    swap(&mut stage, 1000, &on("frac(net.up, 1m) > 50%"), &[silent]);
    stage.wait(1000);
    stage.wait(1061);
    assert_eq!(stage.state(), Health::Raised, "it is up since before");
}

#[test]
fn an_override_makes_a_rule_another_one() {
    use crate::engine::plan::{Globs, Override, Patch};
    let rules = averages("cpu.busy > 50%");
    let mut stage = Stage::new(host(), 0, &rules);
    stage.num(0, "cpu.busy", 0.9);
    assert_eq!(stage.told(), ["raise warning 0<0"]);
    let set = Patch { severity: Some(CRITICAL), ..Patch::default() };
    let all = Override { rule: Globs(vec!["*".to_owned()]), matches: Match::default(), set };
    let edited = Plan { overrides: vec![all], ..Plan::clone(&plan(&rules)) };
    stage.rules.reload(Moment::at(SECOND), Prepared::new(Arc::new(edited)), &mut stage.events);
    stage.wait(1);
    assert_eq!(
        stage.told(),
        ["step critical 1<1"],
        "a told value is not waited for: it may never come again"
    );
}
