//! The machines of the rules: each test a story of samples and the transitions it makes.

mod absence;
mod agree;
mod binding;
mod conditions;
mod explained;
mod functions;
mod naive;
mod random;
mod restart;
mod swap;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::engine::cond::{compile, compile_any, default_clear};
use crate::engine::event::EventKind;
use crate::engine::moment::{HOUR, MINUTE, SECOND};
use crate::engine::plan::{Correlate, Host, MATRIX, Match, Rule, SLA, StepPlan};
use crate::engine::record::{HostRef, Nature, Severity};
use crate::engine::signal::{Class, metric};

/// Raise and clear (empty = the default), `for`, `keep`, severity.
pub(super) type StepText<'a> = (&'a str, &'a str, i64, i64, Severity);

pub(super) fn rule(id: &str, class: Class, lets: &[(&str, &str)], steps: &[StepText<'_>]) -> Arc<Rule> {
    let mut named = Vec::new();
    for (name, source) in lets {
        let cond = compile_any(source, class, &named).unwrap();
        named.push(((*name).to_owned(), cond));
    }
    let step = |(raise, clear, for_, keep, severity): &StepText<'_>| {
        let raise = compile(raise, class, &named).unwrap();
        let clear =
            if clear.is_empty() { default_clear(&raise) } else { compile(clear, class, &named).unwrap() };
        StepPlan { severity: *severity, impact: None, urgency: 3, raise, clear, for_: *for_, keep: *keep }
    };
    Arc::new(Rule {
        id: id.to_owned(),
        hash: format!("{steps:?}"),
        origin: String::new(),
        class,
        matches: Match::default(),
        title: String::new(),
        description: String::new(),
        runbook: None,
        nature: Nature::Fault,
        category: String::new(),
        outage: false,
        service: None,
        labels: BTreeMap::new(),
        reopen: HOUR,
        stale: 0,
        min_coverage: 0.5,
        steps: steps.iter().map(step).collect(),
        lets: named,
        silence: Default::default(),
        every: 0,
        cause_hint: None,
        action: None,
    })
}

pub(super) fn plan(rules: &[Arc<Rule>]) -> Arc<Plan> {
    let host = HostRef { id: "0".repeat(16), name: "web-01".into() };
    Arc::new(Plan {
        host: Host { host, labels: BTreeMap::new(), service: None, tier: None },
        rules: rules.to_vec(),
        overrides: Vec::new(),
        services: Vec::new(),
        declared: Vec::new(),
        correlate: Correlate::default(),
        matrix: MATRIX,
        sla: SLA,
        suppress: Default::default(),
    })
}

/// One match of a rule: globs by label.
pub(super) type MatchText<'a> = &'a [(&'a str, &'a [&'a str])];

/// Rules on file systems, one for each match.
pub(super) fn plan_of_matches(matches: &[MatchText<'_>]) -> Arc<Plan> {
    let one = |(i, wanted): (usize, &MatchText<'_>)| {
        let mut one =
            rule(&format!("r{i}"), Class::Fs, &[], &[("fs.used > 90%", "", 0, 0, Severity::Warning)]);
        let globs =
            |list: &[&str]| crate::engine::plan::Globs(list.iter().map(|g| (*g).to_owned()).collect());
        let all = wanted.iter().map(|(label, list)| ((*label).to_owned(), globs(list))).collect();
        Arc::make_mut(&mut one).matches = Match(all);
        one
    };
    plan(&matches.iter().enumerate().map(one).collect::<Vec<_>>())
}

/// Rules on a stage: observations at stated seconds, events as short lines.
pub(super) struct Stage {
    pub rules: Rules,
    pub instance: Arc<Instance>,
    pub interval: i64,
    pub events: Vec<Event>,
}

impl Stage {
    pub fn new(instance: Arc<Instance>, interval: i64, rules: &[Arc<Rule>]) -> Self {
        Self { rules: Rules::new(plan(rules)), instance, interval, events: Vec::new() }
    }

    pub fn see(&mut self, second: i64, samples: &[(&str, Option<Value>)]) {
        let at = Moment::at(second * SECOND);
        let mut seen = Observation::new(at, Arc::clone(&self.instance), self.interval);
        for (name, value) in samples {
            seen.samples.push((Metric::find(name).unwrap(), value.clone()));
        }
        self.rules.observe(at, &seen, &mut self.events);
    }

    pub fn num(&mut self, second: i64, name: &str, value: f64) {
        self.see(second, &[(name, Some(Value::Num(value)))]);
    }

    pub fn wait(&mut self, second: i64) {
        self.rules.handle_timeout(Moment::at(second * SECOND), &mut self.events);
    }

    pub fn reload(&mut self, second: i64, rules: &[Arc<Rule>]) {
        let prepared = Prepared::new(plan(rules));
        self.rules.reload(Moment::at(second * SECOND), prepared, &mut self.events);
    }

    /// For how many instances rules are judged.
    pub fn bound(&self) -> usize {
        self.rules.machines.iter().count()
    }

    /// `raise critical 120<60`: kind, severity, decided at, since; and forgets them.
    pub fn told(&mut self) -> Vec<String> {
        let line = |e: Event| {
            let (kind, severity) =
                (format!("{:?}", e.kind).to_lowercase(), format!("{:?}", e.severity).to_lowercase());
            format!("{kind} {severity} {}<{}", e.at.mono / SECOND, e.since.mono / SECOND)
        };
        std::mem::take(&mut self.events).into_iter().map(line).collect()
    }

    pub fn rows(&mut self) -> Vec<(String, Option<String>)> {
        let mut out = Vec::new();
        self.rules.changed_state(&mut out);
        out.into_iter().map(|c| (c.key, c.body)).collect()
    }

    pub fn state(&self) -> Health {
        self.rules.standing()[0].state
    }
}

const WARNING: Severity = Severity::Warning;
const CRITICAL: Severity = Severity::Critical;

fn host() -> Arc<Instance> {
    Instance::of(Class::Host, &[])
}

fn busy(raise: &str, clear: &str, for_: i64, keep: i64) -> Stage {
    let rule = rule("busy", Class::Host, &[], &[(raise, clear, for_ * SECOND, keep * SECOND, WARNING)]);
    Stage::new(host(), 10 * SECOND, &[rule])
}

#[test]
fn a_threshold_raises_after_for_and_clears_after_keep() {
    let mut stage = busy("cpu.busy > 90%", "cpu.busy < 80%", 60, 120);
    for second in (0..600).step_by(10) {
        stage.num(second, "cpu.busy", if (100..300).contains(&second) { 0.95 } else { 0.5 });
    }
    assert_eq!(stage.told(), ["raise warning 160<100", "clear warning 420<300"]);
}

#[test]
fn while_the_host_starts_polled_signals_raise_nothing_and_told_ones_do() {
    let missing = |interval: i64| {
        let rule = rule("gone", Class::Proc, &[], &[("proc.count < 1", "", 0, 0, CRITICAL)]);
        let postgres = Instance::of(Class::Proc, &[("name", "postgres")]);
        let mut stage = Stage::new(postgres, interval * SECOND, &[rule]);
        stage.rules.settle_until(120 * SECOND);
        stage.num(10, "proc.count", 0.0);
        stage
    };
    let mut comes_up = missing(10);
    comes_up.num(20, "proc.count", 1.0);
    comes_up.wait(200);
    assert_eq!(comes_up.told(), [""; 0]);

    let mut stays_away = missing(10);
    for second in (20..120).step_by(10) {
        stays_away.num(second, "proc.count", 0.0);
        assert_eq!(stays_away.told(), [""; 0]);
    }
    // Not with the next sample but at the moment itself.
    assert_eq!(stays_away.rules.poll_timeout(), Some(120 * SECOND));
    stays_away.wait(120);
    assert_eq!(stays_away.told(), ["raise critical 120<10"]);
    // Later it is as quick as ever, and what is over is over at once.
    stays_away.num(130, "proc.count", 1.0);
    stays_away.num(140, "proc.count", 0.0);
    assert_eq!(stays_away.told(), ["clear critical 130<130", "raise critical 140<140"]);

    assert_eq!(missing(0).told(), ["raise critical 10<10"]);
}

#[test]
fn the_event_says_why_with_numbers() {
    let lets = [("left", "eta(fs.used, 100%, 1h)")];
    let steps = [("fs.used > 85% and left < 3d and not fs.readonly", "", 0, 0, WARNING)];
    let mut rule = rule("disk-full", Class::Fs, &lets, &steps);
    Arc::make_mut(&mut rule).title =
        "{mount} {fs.used} used, full in {left}, ro {fs.readonly} {cpu.busy}".into();
    let fs = Instance::of(Class::Fs, &[("mount", "/data"), ("fstype", "ext4")]);
    let mut stage = Stage::new(fs, MINUTE, &[rule]);
    for minute in 0..40 {
        let used = 0.80 + 0.002 * minute as f64;
        stage.see(minute * 60, &[("fs.used", Some(used.into())), ("fs.readonly", Some(false.into()))]);
    }
    let event = &stage.events[0];
    assert_eq!(event.title, "/data 85.8 % used, full in 1h 10m, ro false unknown");
    assert_eq!(
        event.why,
        "fs.used 85.8 % > 85 % and eta(fs.used, 100%, 1h) 1h 10m < 3d and fs.readonly is false"
    );
    assert_eq!((event.value.map(|v| (v * 100.0).round()), event.limit), (Some(86.0), Some(0.85)));
    assert_eq!(
        event.series.iter().map(|s| s.signal.as_str()).collect::<Vec<_>>(),
        ["fs.used", "fs.readonly"]
    );
    assert_eq!((event.series[0].limit, event.series[1].limit), (Some(0.85), None));
    assert_eq!(event.series[0].points.len(), 11);
}

#[test]
fn a_value_that_hovers_at_its_limit_raises_once() {
    let mut stage = busy("cpu.busy > 90%", "", 0, 60);
    for i in 0..100_i64 {
        stage.num(i * 10, "cpu.busy", if i % 2 == 0 { 0.905 } else { 0.895 });
    }
    assert_eq!(stage.told(), ["raise warning 0<0"]);
    assert_eq!(stage.state(), Health::Raised);
}

#[test]
fn equal_within_a_billionth_is_equal() {
    let mut stage = busy("cpu.busy > 30%", "cpu.busy <= 30%", 0, 0);
    stage.num(0, "cpu.busy", 0.1 + 0.2);
    stage.num(10, "cpu.busy", 0.3001);
    stage.num(20, "cpu.busy", 0.1 + 0.2);
    assert_eq!(stage.told(), ["raise warning 10<10", "clear warning 20<20"]);
}

#[test]
fn a_gap_freezes_for_and_a_long_one_ends_it() {
    // The value is known until 30 s after its sample; then `for` stands still for at most 30 s more.
    let mut short = busy("cpu.busy > 90%", "", 60, 0);
    short.num(0, "cpu.busy", 0.95);
    short.num(50, "cpu.busy", 0.95);
    short.wait(79);
    assert_eq!(short.told(), Vec::<String>::new());
    short.wait(80);
    assert_eq!(short.told(), ["raise warning 80<0"]);
    let mut long = busy("cpu.busy > 90%", "", 60, 0);
    long.num(0, "cpu.busy", 0.95);
    long.wait(59);
    assert_eq!(long.state(), Health::Pending);
    long.wait(61);
    assert_eq!(long.state(), Health::Unknown);
    long.num(70, "cpu.busy", 0.95);
    long.num(100, "cpu.busy", 0.95);
    long.num(130, "cpu.busy", 0.95);
    assert_eq!(long.told(), ["raise warning 130<70"]);
}

#[test]
fn a_late_loop_changes_no_verdict() {
    // Nothing is called between the samples; the deadlines in between are played all the same.
    let mut stage = busy("cpu.busy > 90%", "", 60, 0);
    stage.num(0, "cpu.busy", 0.95);
    stage.num(3600, "cpu.busy", 0.95);
    assert_eq!((stage.told(), stage.state()), (vec![], Health::Pending));
}

#[test]
fn unknown_never_clears() {
    let mut stage = busy("cpu.busy > 90%", "cpu.busy < 80%", 0, 60);
    stage.num(0, "cpu.busy", 0.95);
    stage.num(10, "cpu.busy", 0.5);
    stage.see(20, &[("cpu.busy", None)]);
    stage.wait(10_000);
    assert_eq!((stage.told(), stage.state()), (vec!["raise warning 0<0".into()], Health::Raised));
    // After a long gap `keep` starts anew.
    for second in (10_010..10_070).step_by(10) {
        stage.num(second, "cpu.busy", 0.5);
    }
    assert_eq!(stage.told(), Vec::<String>::new());
    stage.num(10_070, "cpu.busy", 0.5);
    assert_eq!(stage.told(), ["clear warning 10070<10010"]);
}

#[test]
fn steps_go_up_at_once_and_down_each_by_its_own_clear() {
    let steps = [
        ("cpu.busy > 80%", "cpu.busy < 70%", 0, 20 * SECOND, WARNING),
        ("cpu.busy > 95%", "cpu.busy < 90%", 20 * SECOND, 10 * SECOND, CRITICAL),
    ];
    let mut stage = Stage::new(host(), 10 * SECOND, &[rule("busy", Class::Host, &[], &steps)]);
    for (i, value) in [0.5, 0.85, 0.96, 0.96, 0.96, 0.85, 0.85, 0.6, 0.6, 0.6].iter().enumerate() {
        stage.num(i as i64 * 10, "cpu.busy", *value);
    }
    let story = ["raise warning 10<10", "step critical 40<20", "step warning 60<50", "clear warning 90<70"];
    assert_eq!(stage.told(), story);
    // A deadline between two samples is played at its time: critical at 1020, down at 1040 and 1050.
    for (i, value) in [0.99, 0.6, 0.6, 0.6].iter().enumerate() {
        stage.num(1000 + i as i64 * 30, "cpu.busy", *value);
    }
    let story = [
        "raise warning 1000<1000",
        "step critical 1030<1000",
        "step warning 1060<1030",
        "clear warning 1060<1030",
    ];
    assert_eq!(stage.told(), story);
}

#[test]
fn the_examples_of_the_reference_turn_when_it_says() {
    let lets = [("left", "eta(fs.used, 100%, 6h)")];
    let steps = [
        ("fs.used > 85% and left < 3d", "fs.used < 80% or left > 5d", 10 * MINUTE, 10 * MINUTE, WARNING),
        (
            "fs.used > 95% or (fs.used > 80% and left < 4h)",
            "fs.used < 90% and left > 8h",
            2 * MINUTE,
            10 * MINUTE,
            CRITICAL,
        ),
    ];
    let fs = Instance::of(Class::Fs, &[("mount", "/data")]);
    let mut disk = Stage::new(fs, MINUTE, &[rule("disk-full", Class::Fs, &lets, &steps)]);
    for i in 0..760 {
        let used = if i < 360 { 0.80 } else { 0.80 + 0.0005 * f64::from(i - 360) };
        disk.num(i64::from(i) * 60, "fs.used", used);
    }
    // 7h51m and 9h52m.
    assert_eq!(disk.told(), ["raise warning 28260<27660", "step critical 35520<35400"]);
    let steps = [
        ("frac(cpu.busy > 90%, 10m) >= 80%", "avg(cpu.busy, 10m) < 75%", 0, 10 * MINUTE, WARNING),
        (
            "frac(cpu.busy > 95%, 10m) >= 90% and psi.cpu.some > 40%",
            "avg(cpu.busy, 10m) < 80%",
            0,
            10 * MINUTE,
            CRITICAL,
        ),
    ];
    let mut cpu = Stage::new(host(), 30 * SECOND, &[rule("cpu-saturated", Class::Host, &[], &steps)]);
    for i in 0..200_i64 {
        let busy = match i {
            0..40 => Some(0.40),
            40..80 => Some(0.97),
            80..100 => Some(0.85),
            100..110 => None,
            110..120 => Some(0.85),
            _ => Some(0.50),
        };
        cpu.see(i * 30, &[("cpu.busy", busy.map(Value::Num)), ("psi.cpu.some", Some(Value::Num(0.01)))]);
    }
    // 27m30s and 1h12m.
    assert_eq!(cpu.told(), ["raise warning 1650<1650", "clear warning 4320<3720"]);
}

#[test]
fn told_signals_hold_and_turn_by_time_alone() {
    let raise = "unit.state == 'failed' or increase(unit.restarts, 10m) >= 3";
    let clear = "unit.state == 'active' and increase(unit.restarts, 10m) == 0";
    let steps = [(raise, clear, 0, 5 * MINUTE, CRITICAL)];
    let unit = Instance::of(Class::Unit, &[("unit", "nginx.service")]);
    let mut stage = Stage::new(unit, 0, &[rule("unit-failed", Class::Unit, &[], &steps)]);
    let state = |s: &str, n: f64| [("unit.state", Some(s.into())), ("unit.restarts", Some(Value::Num(n)))];
    stage.see(0, &state("active", 5.0));
    for (second, restarts) in [(100, 6.0), (110, 7.0), (120, 8.0)] {
        stage.see(second, &state("active", restarts));
    }
    assert_eq!(stage.events[0].why, "increase(unit.restarts, 10m) 3 >= 3");
    assert_eq!(stage.told(), ["raise critical 120<120"]);
    // No further word: the last restart leaves the window at 720 s, `keep` is over five minutes later.
    stage.wait(1019);
    assert_eq!(stage.told(), Vec::<String>::new());
    assert_eq!(stage.rules.poll_timeout(), Some(1020 * SECOND));
    stage.wait(1020);
    assert_eq!(stage.told(), ["clear critical 1020<720"]);
    // A word that there is no value makes it unknown at once, a new one known again.
    stage.see(100_000, &[("unit.state", None)]);
    assert_eq!(stage.state(), Health::Unknown);
    stage.see(100_010, &state("failed", 8.0));
    assert_eq!(stage.events[0].why, "unit.state is 'failed'");
    assert_eq!(stage.told(), ["raise critical 100010<100010"]);
}

#[test]
fn nodata_age_and_held_turn_by_time_alone() {
    let silent =
        rule("silent", Class::Check, &[], &[("nodata(check.up, 5m)", "age(check.up) < 1m", 0, 0, WARNING)]);
    let down = rule("down", Class::Check, &[], &[("held(not check.up) > 2m", "check.up", 0, 0, CRITICAL)]);
    let check = Instance::of(Class::Check, &[("check", "front")]);
    let mut stage = Stage::new(check, 10 * SECOND, &[down, silent]);
    let up = |b: Option<bool>| [("check.up", b.map(Value::Bool))];
    stage.see(0, &up(Some(true)));
    stage.wait(299);
    assert_eq!(stage.told(), Vec::<String>::new());
    stage.wait(300);
    assert_eq!(stage.told(), ["raise warning 300<300"]);
    stage.see(400, &up(Some(false)));
    assert_eq!(stage.told(), ["clear warning 400<400"]);
    stage.see(450, &up(Some(false)));
    stage.wait(520);
    assert_eq!(stage.told(), Vec::<String>::new());
    stage.wait(521);
    assert_eq!(stage.told(), ["raise critical 521<520"]);
    stage.see(530, &up(Some(true)));
    assert_eq!(stage.told(), ["clear critical 530<530"]);
}

#[test]
fn a_silent_window_is_judged_as_its_samples_leave() {
    // Five low samples, then five high ones, then silence: the mean rises as the low ones leave.
    let mut stage = busy("avg(cpu.busy, 100s) > 80%", "", 0, 0);
    for i in 0..10_i64 {
        stage.num(i * 10, "cpu.busy", if i < 5 { 0.5 } else { 0.9 });
    }
    stage.wait(139);
    assert_eq!(stage.told(), ["raise warning 139<130"]);
    // Below half of the samples it is unknown, which clears nothing.
    stage.wait(10_000);
    assert_eq!((stage.told(), stage.state()), (vec![], Health::Raised));
}

#[test]
fn samples_out_of_order_or_of_another_class_are_refused() {
    let mut stage = busy("cpu.busy > 90%", "", 0, 0);
    stage.num(100, "cpu.busy", 0.5);
    stage.num(90, "cpu.busy", 0.99);
    stage.num(110, "fs.used", 0.99);
    stage.num(120, "cpu.busy", f64::NAN);
    assert_eq!((stage.told(), stage.rules.refused(), stage.state()), (vec![], 2, Health::Unknown));
    // Equal stamps: the last wins.
    stage.num(130, "cpu.busy", 0.99);
    stage.num(130, "cpu.busy", 0.1);
    assert_eq!(stage.state(), Health::Ok);
}

#[test]
fn the_series_of_a_rule_are_the_last_ten_minutes() {
    let mut stage = busy("cpu.busy > 90% and psi.cpu.some > 10%", "", 0, 0);
    for i in 0..100_i64 {
        stage.num(i * 10, "cpu.busy", 0.5);
    }
    let series = stage.rules.series("busy", "host");
    assert_eq!((series.len(), series[0].points.len(), series[0].limit), (1, 61, Some(0.9)));
    assert_eq!(series[0].points[60], (990.0, Some(0.5)));
    assert!(stage.rules.series("none", "host").is_empty());
    assert_eq!(metric("cpu.busy").name(), series[0].signal);
    assert!(!stage.rules.standing().is_empty() && stage.events.iter().all(|e| e.kind != EventKind::Raise));
}
