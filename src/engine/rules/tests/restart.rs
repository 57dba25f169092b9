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

/// Rules that start anew at `second` with what was recorded.
fn reborn(
    kept: &BTreeMap<String, String>,
    recorded: &[Observation],
    second: i64,
    rules: &[Arc<Rule>],
) -> Stage {
    let mut stage = restarted(kept, second, rules);
    recorded.iter().for_each(|seen| stage.rules.recall(seen));
    stage.rules.recalled(Moment::at(second * SECOND));
    assert_eq!(stage.told(), Vec::<String>::new(), "the past is not judged");
    stage
}

fn polled(second: i64, instance: &Arc<Instance>, name: &str, value: f64) -> Observation {
    let at = Moment::at(second * SECOND);
    Observation::new(at, Arc::clone(instance), 10 * SECOND).with(Metric::find(name).unwrap(), value)
}

#[test]
fn windows_are_filled_before_the_first_judgement() {
    let steps = [("avg(cpu.busy, 10m) > 70%", "avg(cpu.busy, 10m) < 30%", 0, 0, WARNING)];
    let rules = [rule("busy", Class::Host, &[], &steps)];
    let wants = Stage::new(host(), 10 * SECOND, &rules).rules.wants_past();
    assert_eq!(wants, BTreeMap::from([(metric("cpu.busy"), 20 * MINUTE)]));
    let past: Vec<_> = (0..60).map(|i| polled(i * 10, &host(), "cpu.busy", 0.9)).collect();
    // One sample more: with the window filled that is enough, and the restart costs nothing.
    let mut stage = reborn(&BTreeMap::new(), &past, 600, &rules);
    stage.num(600, "cpu.busy", 0.9);
    assert_eq!(stage.told(), ["raise warning 600<600"]);
    // A raise that was saved neither ends nor starts again because of it.
    let mut kept = BTreeMap::new();
    store(&mut kept, &mut stage);
    let mut stage = reborn(&kept, &past, 620, &rules);
    stage.num(620, "cpu.busy", 0.0);
    assert_eq!((stage.told(), stage.state()), (vec![], Health::Raised));
    for i in 1..60 {
        stage.num(620 + i * 10, "cpu.busy", 0.0);
    }
    assert_eq!(stage.told(), ["clear warning 1000<1000"], "as the whole window says");
}

#[test]
fn a_long_gap_leaves_the_window_as_short_of_samples_as_it_is() {
    let rules = [rule("busy", Class::Host, &[], &[("avg(cpu.busy, 10m) > 70%", "", 0, 0, WARNING)])];
    let past: Vec<_> = (0..60).map(|i| polled(i * 10, &host(), "cpu.busy", 0.9)).collect();
    // Ten minutes back there are 24 samples of 60: too few, though they say yes.
    let mut stage = reborn(&BTreeMap::new(), &past, 960, &rules);
    stage.num(960, "cpu.busy", 0.9);
    assert_eq!(stage.state(), Health::Unknown);
    for i in 97..102 {
        stage.num(i * 10, "cpu.busy", 0.9);
    }
    assert_eq!(stage.state(), Health::Unknown, "old samples leave as new ones come");
}

#[test]
fn what_was_told_is_not_held_through_a_long_absence() {
    let unit = Instance::of(Class::Unit, &[("unit", "a")]);
    let told = |second: i64, active: bool| {
        let at = Moment::at(second * SECOND);
        Observation::new(at, Arc::clone(&unit), 0).with(metric("unit.active"), active)
    };
    // Down for 200 s when the daemon stopped. Ten seconds on it is 51 % of the time; 300 s on it is 67 % of
    // what was seen, and would be 83 % had it been held.
    for (gap, share, expected) in [(10, 50, vec!["raise critical 410<410"]), (300, 75, vec![])] {
        let raise = format!("frac(not unit.active, 10m) > {share}%");
        let rules = [rule("down", Class::Unit, &[], &[(&raise, "", 0, 0, CRITICAL)])];
        let past = [told(0, true), told(200, false), told(400, false)];
        let mut stage = reborn(&BTreeMap::new(), &past, 400 + gap, &rules);
        stage.instance = Arc::clone(&unit);
        stage.interval = 0;
        stage.see(400 + gap, &[("unit.active", Some(Value::Bool(false)))]);
        assert_eq!(stage.told(), expected, "gap {gap}");
    }
}

#[test]
fn instances_that_do_not_come_back_are_not_bound_and_what_is_left_of_them_goes() {
    let rules = [rule("full", Class::Fs, &[], &[("avg(fs.used, 2m) > 90%", "", 0, 0, WARNING)])];
    let mount = |m: &str| Instance::of(Class::Fs, &[("mount", m)]);
    let mut past: Vec<_> = (0..30).map(|i| polled(i * 10, &mount("/a"), "fs.used", 0.95)).collect();
    past.extend((0..30).map(|i| polled(300 + i * 10, &mount("/b"), "fs.used", 0.95)));
    let mut gone = polled(600, &mount("/b"), "fs.used", 0.95);
    gone.gone = true;
    past.push(gone);
    let mut stage = reborn(&BTreeMap::new(), &past, 610, &rules);
    assert_eq!(stage.bound(), 0);
    stage.instance = mount("/b");
    stage.num(610, "fs.used", 0.95);
    assert_eq!(stage.bound(), 1);
    assert_eq!(stage.state(), Health::Unknown, "what went before is another one's past");
    assert!(stage.rules.past.is_some());
    stage.wait(610 + 600);
    assert!(stage.rules.past.is_none());
    assert_eq!(stage.told(), Vec::<String>::new());
}

#[test]
fn silence_is_measured_from_the_last_sample_before_the_restart() {
    let rules = [rule("silent", Class::Host, &[], &[("nodata(cpu.busy, 40m)", "", 0, 0, CRITICAL)])];
    let past = [polled(0, &host(), "cpu.busy", 0.1), polled(600, &host(), "cpu.busy", 0.1)];
    let mut stage = reborn(&BTreeMap::new(), &past, 1200, &rules);
    // Something else is observed of the host.
    stage.num(1200, "load.avg1", 0.1);
    stage.wait(600 + 2399);
    assert_eq!(stage.told(), Vec::<String>::new());
    stage.wait(600 + 2401);
    assert_eq!(stage.told(), ["raise critical 3001<3000"]);
}

#[test]
fn every_window_says_how_far_back_it_looks() {
    let back = |condition: &str| {
        let rules = [rule("r", Class::Host, &[], &[(condition, "load.avg1 < 1", 0, 0, WARNING)])];
        Stage::new(host(), 10 * SECOND, &rules).rules.wants_past()[&metric("cpu.busy")] / MINUTE
    };
    let day = 24 * 60;
    for (condition, minutes) in [
        ("cpu.busy > 90%", 0),
        ("avg(cpu.busy, 10m) > 90%", 10),
        ("zscore(cpu.busy, 6h) > 3", 6 * 60),
        // The same hour of four weeks, and the running week.
        ("cpu.busy > 2 * baseline(cpu.busy, 7d, 4)", 35 * day),
        ("ewma(cpu.busy, 1h) > 50%", 8 * 60),
    ] {
        assert_eq!(back(condition), minutes + 10, "{condition}");
    }
}

#[test]
fn what_an_override_names_is_wanted_of_the_past() {
    let steps = [("cpu.busy > 90%", "", 0, 0, WARNING)];
    let busy = rule("busy", Class::Host, &[("usual", "avg(load.avg15, 2h)")], &steps);
    let mut stage = Stage::new(host(), 10 * SECOND, &[busy]);
    assert!(!stage.rules.wants_past().contains_key(&metric("load.avg15")), "nobody looks at it");
    let mut plan = Plan::clone(stage.rules.plan());
    let set = crate::engine::plan::Patch {
        title: Some("usually {usual}".to_owned()),
        ..crate::engine::plan::Patch::default()
    };
    let (rule, matches) = (crate::engine::plan::Globs(vec!["busy".to_owned()]), Default::default());
    plan.overrides.push(crate::engine::plan::Override { rule, matches, set });
    stage.rules.reload(Moment::at(0), super::super::Prepared::new(Arc::new(plan)), &mut Vec::new());
    assert_eq!(stage.rules.wants_past()[&metric("load.avg15")], 130 * MINUTE);
}
