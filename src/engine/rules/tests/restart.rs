//! Rows written, and machines that go on from them.

use super::*;

fn pending_rule(for_: i64) -> Arc<Rule> {
    rule(
        "busy",
        Class::Host,
        &[],
        &[("cpu.busy > 90%", "cpu.busy < 80%", for_ * SECOND, 60 * SECOND, WARNING)],
    )
}

/// A store: rows by key.
fn store(kept: &mut BTreeMap<String, String>, stage: &mut Stage) {
    for (key, body) in stage.rows() {
        match body {
            Some(body) => kept.insert(key, body),
            None => kept.remove(&key),
        };
    }
}

fn restarted(kept: &BTreeMap<String, String>, second: i64, rules: &[Arc<Rule>]) -> Stage {
    let mut stage = Stage::new(host(), 10 * SECOND, rules);
    stage.rules.restore(Moment::at(second * SECOND), kept.clone().into_iter().collect());
    stage
}

#[test]
fn rows_are_written_for_changes_of_state_only() {
    let mut stage = Stage::new(host(), 10 * SECOND, &[pending_rule(60)]);
    stage.num(0, "cpu.busy", 0.5);
    assert_eq!(stage.rows(), []);
    stage.num(10, "cpu.busy", 0.95);
    assert_eq!(stage.rows().len(), 1);
    stage.num(20, "cpu.busy", 0.95);
    assert_eq!(stage.rows(), [], "a mere sample");
    stage.wait(26);
    assert_eq!(stage.rows(), [("|alive".into(), Some("{\"v\":1,\"at\":25000000000}".into()))]);
    stage.num(30, "cpu.busy", 0.5);
    assert_eq!(stage.rows(), [("busy|host".into(), None)], "plainly ok needs no row");
}

#[test]
fn a_raised_machine_stays_raised_and_clears_after_the_restart() {
    let rules = [rule("busy", Class::Host, &[], &[("avg(cpu.busy, 100s) > 90%", "", 0, 0, WARNING)])];
    let (mut kept, mut stage) = (BTreeMap::new(), Stage::new(host(), 10 * SECOND, &rules));
    for i in 0..10 {
        stage.num(i * 10, "cpu.busy", 0.95);
    }
    store(&mut kept, &mut stage);
    let mut stage = restarted(&kept, 3600, &rules);
    // The window is empty and unknown: nothing is told.
    for i in 0..4 {
        stage.num(3600 + i * 10, "cpu.busy", 0.2);
    }
    assert_eq!((stage.told(), stage.state()), (vec![], Health::Raised));
    stage.num(3640, "cpu.busy", 0.2);
    assert_eq!(stage.told(), ["clear warning 3640<3640"]);
    store(&mut kept, &mut stage);
    assert!(!kept.contains_key("busy|host"));
}

#[test]
fn pending_goes_on_after_a_short_gap_and_not_after_a_long_one() {
    for (gap, raised) in [(20, "raise warning 330<0"), (200, "raise warning 700<400")] {
        let rules = [pending_rule(300)];
        let (mut kept, mut stage) = (BTreeMap::new(), Stage::new(host(), 10 * SECOND, &rules));
        for second in (0..=200).step_by(5) {
            stage.num(second, "cpu.busy", 0.95);
            store(&mut kept, &mut stage);
        }
        // The last sign of life is at 195 s; what comes after it until the first sample does not count.
        let from = 200 + gap;
        let mut stage = restarted(&kept, from, &rules);
        for second in (from..=710).step_by(10) {
            stage.num(second, "cpu.busy", 0.95);
        }
        assert_eq!(stage.told(), [raised], "gap {gap}");
    }
}

#[test]
fn a_clock_set_back_before_the_restart_makes_nothing_wait_for_it() {
    let rules = [pending_rule(0)];
    let (mut kept, mut stage) = (BTreeMap::new(), Stage::new(host(), 10 * SECOND, &rules));
    stage.num(9000, "cpu.busy", 0.95);
    stage.num(9010, "cpu.busy", 0.5);
    store(&mut kept, &mut stage);
    let mut stage = restarted(&kept, 1000, &rules);
    for second in (1000..=1100).step_by(10) {
        stage.num(second, "cpu.busy", 0.5);
    }
    let told = stage.told();
    assert!(told.len() == 1 && told[0].starts_with("clear warning 10"), "{told:?}");
}

#[test]
fn keep_starts_anew_after_a_long_gap() {
    let rules = [pending_rule(0)];
    let (mut kept, mut stage) = (BTreeMap::new(), Stage::new(host(), 10 * SECOND, &rules));
    stage.num(0, "cpu.busy", 0.95);
    stage.num(10, "cpu.busy", 0.5);
    store(&mut kept, &mut stage);
    let mut stage = restarted(&kept, 500, &rules);
    for second in (500..=600).step_by(10) {
        stage.num(second, "cpu.busy", 0.5);
    }
    assert_eq!(stage.told(), ["clear warning 560<500"]);
}

#[test]
fn what_never_comes_back_retires() {
    let steps = [("fs.used > 90%", "", 0, 0, CRITICAL)];
    let rules = [rule("disk", Class::Fs, &[], &steps), rule("gone", Class::Fs, &[], &steps)];
    let fs = Instance::of(Class::Fs, &[("mount", "/mnt"), ("fstype", "ext4")]);
    let (mut kept, mut stage) = (BTreeMap::new(), Stage::new(fs, 10 * SECOND, &rules));
    stage.num(0, "fs.used", 0.95);
    store(&mut kept, &mut stage);
    kept.insert("disk|fs{mount=/b}".into(), "{\"v\":2}".into());
    kept.insert("disk|fs{mount=/c}".into(), "rubbish".into());
    let mut stage = restarted(&kept, 100, &rules[..1]);
    stage.wait(100);
    assert_eq!((stage.events[0].rule.id.as_str(), stage.events[0].rule.steps.len()), ("gone", 1));
    assert_eq!(stage.told(), ["retire critical 100<100"]);
    stage.instance = Instance::of(Class::Fs, &[("mount", "/other")]);
    stage.num(110, "fs.used", 0.1);
    stage.wait(699);
    assert_eq!(stage.told(), Vec::<String>::new());
    stage.wait(700);
    let event = &stage.events[0];
    assert_eq!((event.rule.id.as_str(), event.instance.label("fstype")), ("disk", "ext4"));
    assert_eq!(stage.told(), ["retire critical 700<700"]);
    store(&mut kept, &mut stage);
    assert!(!kept.keys().any(|k| k.contains("/mnt")), "{kept:?}");
}

#[test]
fn a_collector_that_fails_retires_nothing() {
    let rules = [rule("disk", Class::Fs, &[], &[("fs.used > 90%", "", 0, 0, CRITICAL)])];
    let fs = |mount| Instance::of(Class::Fs, &[("mount", mount)]);
    let (mut kept, mut stage) = (BTreeMap::new(), Stage::new(fs("/mnt"), 10 * SECOND, &rules));
    stage.num(0, "fs.used", 0.95);
    store(&mut kept, &mut stage);
    let mut stage = restarted(&kept, 100, &rules);
    // Another class is observed, and of this one it is only said that nothing is known.
    stage.instance = host();
    stage.num(110, "cpu.busy", 0.1);
    stage.instance = fs("/other");
    stage.see(120, &[("fs.used", None)]);
    stage.wait(2000);
    assert_eq!(stage.told(), Vec::<String>::new());
    // The collector comes back just before it is asked again: what it has not told yet is not missing.
    stage.wait(2590);
    stage.num(2590, "fs.used", 0.1);
    stage.wait(2600);
    assert_eq!(stage.told(), Vec::<String>::new());
    stage.wait(3200);
    assert_eq!(stage.told(), ["retire critical 3200<3200"]);
    assert_eq!(stage.rules.poll_timeout(), None, "nothing is left to wait for");
}

#[test]
fn what_is_rarely_polled_is_waited_for_longer() {
    let rules = [rule("down", Class::Check, &[], &[("not check.up", "", 0, 0, CRITICAL)])];
    let check = |name| Instance::of(Class::Check, &[("check", name)]);
    let (mut kept, mut stage) = (BTreeMap::new(), Stage::new(check("slow"), HOUR, &rules));
    stage.see(0, &[("check.up", Some(Value::Bool(false)))]);
    store(&mut kept, &mut stage);
    let mut stage = restarted(&kept, 100, &rules);
    stage.instance = check("quick");
    stage.see(110, &[("check.up", Some(Value::Bool(true)))]);
    stage.wait(7000);
    assert_eq!(stage.told(), Vec::<String>::new());
    stage.wait(8000);
    assert_eq!(stage.told(), ["retire critical 8000<8000"]);
}
