//! Tests of rule files, played; the times of the contract.

use super::*;
use crate::config::{self, Config, Doors, HostFacts};
use crate::engine::moment::{HOUR, MINUTE, SECOND};
use crate::workshop::picture::{Band, picture};
use crate::workshop::plot::{Style, draw};

/// Rules with the tests beside them: level and trend, shares of time, a heartbeat, an objective.
const EXAMPLE: &str = r#"
[defaults]
for = "5m"
keep = "10m"
reopen = "4h"
impact = 3
[[rule]]
id = "disk-full"
on = "fs"
match = { mount = ["*", "!/run*", "!/snap*"], fstype = ["!tmpfs", "!squashfs", "!overlay"] }
let = { left = "eta(fs.used, 100%, 6h)" }
nature = "capacity"
impact = 2
step = [
  { severity = "warning", urgency = 3, for = "10m", raise = "fs.used > 85% and left < 3d", clear = "fs.used < 80% or left > 5d" },
  { severity = "critical", urgency = 1, for = "2m", raise = "fs.used > 95% or (fs.used > 80% and left < 4h)", clear = "fs.used < 90% and left > 8h" },
]
[[rule]]
id = "cpu-saturated"
on = "host"
nature = "degradation"
step = [
  { severity = "warning", urgency = 3, for = "0s", raise = "frac(cpu.busy > 90%, 10m) >= 80%", clear = "avg(cpu.busy, 10m) < 75%" },
  { severity = "critical", urgency = 2, for = "0s", raise = "frac(cpu.busy > 95%, 10m) >= 90% and psi.cpu.some > 40%", clear = "avg(cpu.busy, 10m) < 80%" },
]
[[rule]]
id = "heartbeat-missing"
on = "beat"
match = { job = ["backup-*"] }
severity = "critical"
urgency = 2
raise = "nodata(beat.seen, beat.period + beat.grace)"
clear = "age(beat.seen) < beat.period"
for = "0s"
keep = "0s"
[[rule]]
id = "slo-burn"
on = "slo"
let = { enough = "increase(slo.total, 1h) >= 50" }
nature = "degradation"
impact = 1
step = [
  { severity = "warning", urgency = 3, for = "0s", raise = "burn(slo, 6h) > 6 and burn(slo, 30m) > 6 and enough", clear = "burn(slo, 30m) < 3" },
  { severity = "critical", urgency = 1, for = "0s", keep = "5m", raise = "burn(slo, 1h) > 14.4 and burn(slo, 5m) > 14.4 and enough", clear = "burn(slo, 5m) < 7" },
]
[[test]]
rule = "disk-full"
step = "1m"
series = { "fs.used{mount=/data,fstype=ext4}" = "80%x360 80%+0.05%x400" }
expect = [
  { at = "6h", state = "ok" },
  { at = "7h30m", state = "ok" },
  { at = "7h52m", state = "raised", severity = "warning", priority = "P4" },
  { at = "11h30m", state = "raised", severity = "critical", priority = "P2" },
]
incidents = 1
[[test]]
rule = "cpu-saturated"
step = "30s"
series = { "cpu.busy" = "40%x40 97%x40 85%x20 _x10 85%x10 50%x80", "psi.cpu.some" = "1%x200" }
expect = [
  { at = "25m", state = "ok" },
  { at = "30m", state = "raised", severity = "warning" },
  { at = "54m", state = "raised" },
  { at = "95m", state = "ok" },
]
incidents = 1
[[test]]
rule = "heartbeat-missing"
step = "5m"
series = { "beat.seen{job=backup-db}" = "1x6 _x14 1x3", "beat.period{job=backup-db}" = "30mx30", "beat.grace{job=backup-db}" = "10mx30" }
expect = [{ at = "60m", state = "ok" }, { at = "70m", state = "raised", severity = "critical" }, { at = "105m", state = "ok" }]
incidents = 1
[[test]]
rule = "slo-burn"
step = "1m"
series = { "slo.total" = "0+100x600", "slo.bad" = "0x240 0+3x120 360x240", "slo.target" = "99.9%x601" }
expect = [
  { at = "4h", state = "ok" },
  { at = "4h45m", state = "raised", severity = "critical", priority = "P1" },
  { at = "6h20m", state = "raised", severity = "warning" },
  { at = "7h", state = "ok" },
]
incidents = 1
"#;

fn load(texts: &[(&str, &str)]) -> Config {
    let facts = HostFacts { machine_id: "0123".into(), hostname: "web-01".into() };
    let config = config::load_texts(texts, &Doors::default(), &facts);
    config.unwrap_or_else(|all| panic!("{}", all.render(false)))
}

/// The tests of a text, played.
fn proofs(text: &str) -> Vec<Proof> {
    let config = load(&[("rules.toml", text)]);
    let own = config.tests.iter().filter(|t| !t.place.is_builtin);
    own.map(|test| prove(test, &config.plan)).collect()
}

/// A rule on one host signal and a test of it.
fn one(series: &str, rest: &str) -> Proof {
    let rule = "[[rule]]\nid = \"busy\"\non = \"host\"\nfor = \"2m\"\nkeep = \"0s\"\nraise = \"cpu.busy > 90%\"\nclear = \"cpu.busy < 80%\"\n";
    let test = format!(
        "[[test]]\nrule = \"busy\"\nstep = \"1m\"\nseries = {{ \"cpu.busy\" = \"{series}\" }}\n{rest}"
    );
    proofs(&format!("{rule}{test}")).pop().expect("a test")
}

#[test]
fn the_examples_turn_when_the_contract_says() {
    let all = proofs(EXAMPLE);
    let turns = |p: &Proof| -> Vec<(i64, String)> {
        p.transitions.iter().map(|t| ((t.at.0 - p.start) / SECOND, format!("{}>{}", t.from, t.to))).collect()
    };
    let at = |hours: i64, minutes: i64, seconds: i64, what: &str| {
        ((hours * HOUR + minutes * MINUTE) / SECOND + seconds, what.to_owned())
    };
    assert_eq!(turns(&all[0]), [at(7, 51, 0, "ok>warning"), at(9, 52, 0, "warning>critical")]);
    assert_eq!(turns(&all[1]), [at(0, 27, 30, "ok>warning"), at(1, 12, 0, "warning>ok")]);
    assert_eq!(turns(&all[2]), [at(1, 5, 0, "ok>critical"), at(1, 40, 0, "critical>ok")]);
    assert_eq!(
        turns(&all[3]),
        [at(4, 29, 0, "ok>critical"), at(6, 9, 0, "critical>warning"), at(6, 38, 0, "warning>ok")]
    );
    for proof in &all {
        assert!(proof.passed(), "{proof:?}");
        assert_eq!(proof.incidents, (Some(1), 1));
    }
}

#[test]
fn each_state_is_told_from_the_others() {
    // Busy from 5m on, for 3 samples, then nothing at all, then quiet.
    for (at, state, passes) in [
        ("4m", "ok", true),
        ("4m", "raised", false),
        ("5m", "pending", true),
        ("5m", "ok", false),
        ("6m59s", "pending", true),
        ("7m", "raised", true),
        ("7m", "pending", false),
        ("20m", "raised", true),
        ("28m", "ok", true),
    ] {
        let expect = format!("expect = [{{ at = \"{at}\", state = \"{state}\" }}]");
        let proof = one("50%x5 95%x3 _x20 50%x5", &expect);
        assert_eq!(proof.passed(), passes, "{at} {state}: {:?}", proof.checks);
    }
    let proof = one(
        "50%x5 _x20",
        "expect = [{ at = \"20m\", state = \"unknown\" }, { at = \"3m\", state = \"unknown\" }]",
    );
    let found: Vec<_> = proof.checks.iter().map(|c| (c.at / MINUTE, c.holds)).collect();
    assert_eq!(found, [(3, false), (20, true)], "in the order of time, whatever the order written");
}

#[test]
fn severity_priority_and_the_number_of_incidents_count() {
    let expect = |more: &str| format!("expect = [{{ at = \"9m\", state = \"raised\", {more} }}]");
    for (more, passes) in [
        ("severity = \"warning\"", true),
        ("severity = \"critical\"", false),
        ("priority = \"P5\"", true),
        ("priority = \"P4\"", false),
    ] {
        assert_eq!(one("50%x5 95%x5", &expect(more)).passed(), passes, "{more}");
    }
    for (incidents, passes) in [(0, false), (1, true), (2, false)] {
        let proof = one("50%x5 95%x5 50%x5", &format!("incidents = {incidents}"));
        assert_eq!((proof.passed(), proof.incidents.1), (passes, 1));
    }
}

#[test]
fn an_expectation_may_be_about_one_of_several_instances() {
    let text = r#"
[[rule]]
id = "full"
on = "fs"
match = { mount = ["!/run"] }
for = "0s"
raise = "fs.used > 90%"
clear = "fs.used < 80%"
[[test]]
rule = "full"
step = "1m"
series = { "fs.used{mount=/a}" = "95%x9", "fs.used{mount=/b}" = "50%x9", "fs.used{mount=/run}" = "99%x9" }
expect = [
  { at = "5m", state = "raised" },
  { at = "5m", state = "raised", instance = "/a" },
  { at = "5m", state = "ok", instance = "fs{mount=/b}" },
  { at = "5m", state = "ok", instance = "/run" },
]
"#;
    let checks = proofs(text).remove(0).checks;
    assert_eq!(checks.iter().map(|c| c.holds).collect::<Vec<_>>(), [true, true, true, false]);
    assert_eq!(checks[3].found, "no instance of the rule");
}

#[test]
fn truths_texts_and_files_are_series_too() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("load.csv"), "t,busy\n0,50\n1,\n2,95\n3,95\n4,95\n5,95\n").unwrap();
    let text = r#"
[[rule]]
id = "failed"
on = "unit"
for = "0s"
raise = "unit.state == 'failed' and not unit.active"
clear = "unit.state == 'active'"
[[rule]]
id = "busy"
on = "host"
for = "1m"
raise = "cpu.busy > 90%"
clear = "cpu.busy < 80%"
[[test]]
rule = "failed"
series = { "unit.state{unit=a.service}" = "'active'x3 'failed'x3", "unit.active{unit=a.service}" = "truex3 falsex3" }
expect = [{ at = "20s", state = "ok" }, { at = "30s", state = "raised" }]
[[test]]
rule = "busy"
step = "1m"
series = { "cpu.busy" = "@load.csv:busy*1% 50%" }
expect = [{ at = "2m", state = "pending" }, { at = "3m", state = "raised" }]
[[test]]
rule = "busy"
series = { "cpu.busy" = "@load.csv:none" }
incidents = 0
[[test]]
rule = "busy"
series = { "cpu.busy" = "@away.csv:busy" }
incidents = 0
"#;
    let name = dir.path().join("rules.toml").display().to_string();
    let config = load(&[(&name, text)]);
    let own: Vec<_> =
        config.tests.iter().filter(|t| !t.place.is_builtin).map(|t| prove(t, &config.plan)).collect();
    assert!(own[0].passed() && own[1].passed(), "{own:?}");
    let broken = |p: &Proof| match &p.trouble {
        Some(Trouble::Broken(why)) => why.clone(),
        other => panic!("{other:?}"),
    };
    assert!(
        broken(&own[2]).ends_with("load.csv has no column `none`; it has t, busy"),
        "{}",
        broken(&own[2])
    );
    assert!(broken(&own[3]).starts_with("cannot read ") && broken(&own[3]).contains("away.csv"));
}

#[test]
fn a_rule_that_is_switched_off_is_skipped() {
    let text = "[[rule]]\nid = \"cpu-steal\"\nenabled = false\n[[test]]\nrule = \"cpu-steal\"\nincidents = 0\nseries = { \"cpu.steal\" = \"1%\" }\n";
    let proof = proofs(text).remove(0);
    assert!(proof.skipped() && !proof.passed());
}

#[test]
fn a_failure_is_drawn_with_limits_band_and_marks() {
    let mut config = load(&[("rules.toml", EXAMPLE)]);
    let test = config.tests.iter_mut().find(|t| t.rule == "disk-full").expect("a test");
    test.expect[2].at = 5 * HOUR;
    let proof = prove(test, &config.plan);
    assert!(!proof.passed());
    let picture = picture(test, &config.plan, &proof, 40).expect("a picture");
    assert_eq!((picture.band.len(), picture.curves.len()), (40, 1));
    assert_eq!(picture.band[0], Band::Ok);
    assert_eq!(picture.band[39], Band::Raised(Severity::Critical));
    assert_eq!(picture.marks.iter().filter(|(_, holds)| !holds).count(), 1);
    for (unicode, name) in [(true, "plot"), (false, "plot-ascii")] {
        let text = draw(&picture, Style { width: 72, colour: false, unicode });
        assert!(text.lines().all(|l| l.chars().count() <= 72), "{text}");
        insta::assert_snapshot!(name, text);
    }
    let coloured = draw(&picture, Style { width: 72, colour: true, unicode: true });
    assert!(coloured.contains("\x1b[31m█"), "critical is red");
}

#[test]
fn a_test_sees_what_explains_its_rule() {
    let text = r#"
[[rule]]
id = "readonly"
on = "fs"
for = "0s"
raise = "fs.readonly"
clear = "not fs.readonly"
[[rule]]
id = "full"
on = "fs"
for = "0s"
raise = "fs.used > 90%"
clear = "fs.used < 80%"
depends = [{ rule = "readonly", same = ["mount"] }]
[[rule]]
id = "twice"
on = "fs"
raise = "events('raise/full', 1h) >= 2"
clear = "events('raise/full', 1h) < 1"
for = "0s"
[[window]]
id = "always"
every = "daily 00:00-24:00"
[[test]]
rule = "full"
name = "explained"
step = "1m"
series = { "fs.used{mount=/a}" = "95%x9", "fs.readonly{mount=/a}" = "truex9" }
expect = [{ at = "5m", state = "raised" }]
incidents = 0
[[test]]
rule = "full"
name = "of another mount"
step = "1m"
series = { "fs.used{mount=/a}" = "95%x9", "fs.readonly{mount=/b}" = "truex9" }
incidents = 1
[[test]]
rule = "twice"
step = "1m"
series = { "fs.used{mount=/a}" = "95%x5 50%x5 95%x5" }
expect = [{ at = "9m", state = "ok" }, { at = "12m", state = "raised" }]
"#;
    for proof in proofs(text) {
        assert!(proof.passed(), "{proof:?}");
    }
}

#[test]
fn a_declared_object_is_waited_for_where_the_test_is_about_it() {
    let rule = "[[rule]]\nid = \"gone\"\non = \"proc\"\nmatch = { name = [\"sshd\", \"cron\"] }\nfor = \"0s\"\non_missing = \"raise\"\nraise = \"proc.count < 1\"\nclear = \"proc.count >= 1\"\n";
    let test = |more: &str| {
        let text = format!("{rule}[[test]]\nrule = \"gone\"\nstep = \"1m\"\n{more}\n");
        let proof = proofs(&text).remove(0);
        (proof.checks.iter().map(|c| c.found.clone()).collect::<Vec<_>>(), proof.incidents.1)
    };
    let late = |more: &str| format!("expect = [{{ at = \"30m\", state = \"raised\"{more} }}]");
    // Nothing of its class is seen: both are missing.
    let (found, incidents) = test(&format!("series = {{ \"cpu.busy\" = \"1%x30\" }}\n{}", late("")));
    assert!(found[0].starts_with("raised") && incidents == 2, "{found:?} {incidents}");
    // One is seen: the test is not about the other, unless it says so.
    let seen = "series = { \"proc.count{name=sshd}\" = \"1x30\" }\n";
    let (found, incidents) = test(&format!("{seen}{}", late("")));
    assert!(found[0].starts_with("ok") && incidents == 0, "{found:?} {incidents}");
    let (found, incidents) = test(&format!("{seen}{}", late(", instance = \"cron\"")));
    assert!(found[0].starts_with("raised") && incidents == 1, "{found:?} {incidents}");
}
