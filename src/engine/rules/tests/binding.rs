//! Instances that come, change and go; plans that are replaced.

use super::*;

#[test]
fn an_instance_that_goes_retires_and_may_come_back() {
    let steps = [("fs.used > 90%", "", 0, 0, WARNING)];
    let fs = Instance::of(Class::Fs, &[("mount", "/mnt")]);
    let mut stage = Stage::new(Arc::clone(&fs), 10 * SECOND, &[rule("disk", Class::Fs, &[], &steps)]);
    stage.num(0, "fs.used", 0.95);
    assert_eq!(stage.rows().len(), 1);
    let mut gone = Observation::new(Moment::at(10 * SECOND), fs, 10 * SECOND);
    gone.gone = true;
    stage.rules.observe(gone.at, &gone, &mut stage.events);
    assert_eq!(stage.told(), ["raise warning 0<0", "retire warning 10<10"]);
    assert_eq!(stage.rows(), [("disk|fs{mount=/mnt}".into(), None)]);
    assert_eq!((stage.rules.standing().len(), stage.bound()), (0, 0));
    stage.num(20, "fs.used", 0.95);
    assert_eq!(stage.told(), ["raise warning 20<20"]);
}

#[test]
fn an_equivalent_reload_tells_nothing_and_changes_nothing() {
    let make = || {
        let raise = "avg(cpu.busy, 100s) > 90%";
        [
            rule("a", Class::Host, &[], &[(raise, "", 30 * SECOND, 30 * SECOND, WARNING)]),
            rule("b", Class::Host, &[], &[("cpu.busy > 90%", "", 1000 * SECOND, 0, WARNING)]),
        ]
    };
    let mut plain = Stage::new(host(), 10 * SECOND, &make());
    let mut reloaded = Stage::new(host(), 10 * SECOND, &make());
    for i in 0..200_i64 {
        let value = if i % 60 < 40 { 0.95 } else { 0.2 };
        for stage in [&mut plain, &mut reloaded] {
            stage.num(i * 10, "cpu.busy", value);
        }
        reloaded.rows();
        reloaded.reload(i * 10 + 1, &make());
        reloaded.wait(i * 10 + 1);
        assert_eq!(reloaded.rows(), []);
        assert_eq!(reloaded.rules.standing(), plain.rules.standing());
    }
    let told = plain.told();
    assert!(told.len() >= 6, "{told:?}");
    assert_eq!(reloaded.told(), told);
}

#[test]
fn a_changed_rule_goes_on_and_a_removed_one_retires() {
    let with = |limit: &str, severity| {
        rule("busy", Class::Host, &[], &[(&format!("avg(cpu.busy, 100s) > {limit}"), "", 0, 0, severity)])
    };
    let mut stage = Stage::new(host(), 10 * SECOND, &[with("90%", WARNING)]);
    for i in 0..10 {
        stage.num(i * 10, "cpu.busy", 0.95);
    }
    assert_eq!(stage.told(), ["raise warning 40<40"]);
    // The window keeps its contents, the latch stays, the new severity is told with the next sample.
    stage.reload(91, &[with("50%", CRITICAL)]);
    stage.wait(92);
    stage.num(100, "cpu.busy", 0.95);
    assert_eq!(stage.told(), ["step critical 92<91"]);
    stage.reload(101, &[with("99%", CRITICAL)]);
    stage.num(110, "cpu.busy", 0.95);
    assert_eq!(stage.state(), Health::Raised, "0.95 is not below 99 % less 5 %");
    stage.num(120, "cpu.busy", 0.1);
    assert_eq!(stage.told(), ["clear critical 120<120"]);
    stage.reload(121, &[with("50%", WARNING)]);
    stage.num(130, "cpu.busy", 0.95);
    stage.reload(131, &[]);
    assert_eq!(stage.told(), ["raise warning 130<121", "retire warning 131<131"]);
}

#[test]
fn a_new_rule_on_told_signals_does_not_wait_for_a_word() {
    let unit = Instance::of(Class::Unit, &[("unit", "a.service")]);
    let mut stage = Stage::new(unit, 0, &[]);
    stage.see(0, &[("unit.state", Some("failed".into()))]);
    stage.reload(10, &[rule("failed", Class::Unit, &[], &[("unit.state == 'failed'", "", 0, 0, WARNING)])]);
    assert_eq!(stage.told(), Vec::<String>::new());
    stage.wait(10);
    assert_eq!(stage.told(), ["raise warning 10<10"]);
}

#[test]
fn rules_bind_by_label_and_follow_its_change() {
    let mut ext4 = rule("disk", Class::Fs, &[], &[("fs.used > 90%", "", 0, 0, WARNING)]);
    let globs = crate::engine::plan::Globs(vec!["ext*".into()]);
    Arc::make_mut(&mut ext4).matches = Match([("fstype".to_owned(), globs)].into());
    let fs = |kind: &str| Instance::of(Class::Fs, &[("mount", "/data"), ("fstype", kind)]);
    let mut stage = Stage::new(fs("ext4"), 10 * SECOND, &[ext4]);
    stage.num(0, "fs.used", 0.95);
    stage.instance = fs("ext4");
    stage.num(10, "fs.used", 0.95);
    assert_eq!(stage.told(), ["raise warning 0<0"]);
    stage.instance = fs("xfs");
    stage.num(20, "fs.used", 0.95);
    assert_eq!(stage.told(), ["retire warning 20<20"]);
}

#[test]
fn a_rule_on_a_class_may_name_the_host() {
    let steps = [("fs.used > 90% and avg(cpu.busy, 20s) > 50%", "", 0, 0, WARNING)];
    let fs = Instance::of(Class::Fs, &[("mount", "/")]);
    let mut stage = Stage::new(fs, 10 * SECOND, &[rule("both", Class::Fs, &[], &steps)]);
    stage.num(0, "fs.used", 0.95);
    stage.instance = host();
    stage.num(0, "cpu.busy", 0.9);
    assert_eq!(stage.told(), ["raise warning 0<0"]);
}
