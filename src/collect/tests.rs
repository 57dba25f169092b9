//! The frame with collectors made for the test, every collector of this machine, and helpers for the tests of
//! each.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, channel};

use super::frame::spawn_from;
use super::*;
use crate::clock::Clock;
use crate::engine::moment::SECOND;
use crate::engine::option::{OptionKind, OptionValue, Options};
use crate::engine::signal::{Base, Class, Instance, Kind, Metric, Value, metric};

/// All numbers of one metric of one instance, in order; `None` where there was no value.
pub(super) fn values(out: &[Observation], key: &str, metric: Metric) -> Vec<Option<f64>> {
    let of = out.iter().filter(|o| o.instance.key() == key).flat_map(|o| &o.samples);
    let number = |v: &Option<Value>| match v {
        Some(Value::Num(n)) => Some(*n),
        Some(Value::Bool(b)) => Some(f64::from(u8::from(*b))),
        _ => None,
    };
    of.filter(|(m, _)| *m == metric).map(|(_, v)| number(v)).collect()
}

/// The one number of one metric of one instance.
pub(super) fn ratio_of(out: &[Observation], key: &str, metric: Metric) -> f64 {
    match values(out, key, metric)[..] {
        [Some(value)] => value,
        ref other => panic!("{} of {key}: {other:?}", metric.name()),
    }
}

/// The options of a door as `config` would hand them over: its defaults, and what is given.
pub(super) fn options(door: &DoorSpec, given: &[(&str, OptionValue)]) -> Options {
    let mut values = BTreeMap::new();
    for option in door.options {
        let value = match option.kind {
            OptionKind::Text(text) => text.map(|t| OptionValue::Text(t.to_owned())),
            OptionKind::Choice(words) => words.first().map(|t| OptionValue::Text((*t).to_owned())),
            OptionKind::List(list) => Some(OptionValue::List(list.iter().map(|t| (*t).to_owned()).collect())),
            OptionKind::Bool(b) => Some(OptionValue::Bool(b)),
            OptionKind::Int(n, ..) => Some(OptionValue::Int(n)),
            OptionKind::Duration(n) => (n != 0).then_some(OptionValue::Duration(n)),
            _ => None,
        };
        values.extend(value.map(|v| (option.key.to_owned(), v)));
    }
    values.extend(given.iter().map(|(k, v)| ((*k).to_owned(), v.clone())));
    Options(values)
}

/// The plan of a collector with its defaults.
pub(super) fn plan(spec: &Spec, interval: i64) -> CollectorPlan {
    CollectorPlan { kind: spec.door.kind, interval, options: options(&spec.door, &[]), names: Vec::new() }
}

/// Receives batches until `wanted` says that one is there; gives up after 20 s.
pub(super) async fn until(
    rx: &mut Receiver<Vec<Observation>>,
    mut wanted: impl FnMut(&Observation) -> bool,
) -> Vec<Observation> {
    let mut all = Vec::new();
    let search = async {
        loop {
            let batch = rx.recv().await.expect("the collectors have stopped");
            let found = batch.iter().any(&mut wanted);
            all.extend(batch);
            if found {
                return;
            }
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), search).await;
    waited.unwrap_or_else(|_| panic!("nothing of the kind came"));
    all
}

fn is(o: &Observation, key: &str) -> bool {
    o.instance.key() == key
}

const RUNNING: Metric = metric("proc.count");

/// Speaks of `proc{name=a}` and `proc{name=b}` and fails when its option says so.
const FLAKY: Spec = Spec {
    door: DoorSpec {
        kind: "flaky",
        about: "",
        options: &[],
        signals: &["proc.count"],
        check: crate::engine::option::any,
    },
    build: |plan, _| match plan.options.text("mode") {
        "unmakable" => Err("cannot be made".to_owned()),
        mode => Ok(Source::Poll(Box::new(Flaky { mode: mode.to_owned() }))),
    },
};
static MADE: AtomicUsize = AtomicUsize::new(0);
const STEADY: Spec = Spec {
    door: DoorSpec {
        kind: "steady",
        about: "",
        options: &[],
        signals: &["proc.count"],
        check: crate::engine::option::any,
    },
    build: |_, _| {
        MADE.fetch_add(1, Ordering::SeqCst);
        Ok(Source::Poll(Box::new(Flaky { mode: "steady".to_owned() })))
    },
};

struct Flaky {
    mode: String,
}

impl Poll for Flaky {
    fn poll(&mut self, now: Moment, out: &mut Vec<Observation>) -> Result<(), String> {
        let names: &[&str] = match self.mode.as_str() {
            "both" => &["a", "b"],
            "steady" => &["s"],
            _ => &["b"],
        };
        let seen =
            |n: &&str| Observation::new(now, Instance::of(Class::Proc, &[("name", n)]), 0).with(RUNNING, 1.0);
        out.extend(names.iter().map(seen));
        if self.mode == "failing" { Err("cannot read".to_owned()) } else { Ok(()) }
    }
}

fn flaky(mode: &str) -> CollectorPlan {
    let mode = [("mode".to_owned(), OptionValue::Text(mode.to_owned()))];
    CollectorPlan { kind: "flaky", interval: SECOND / 5, options: Options(mode.into()), names: Vec::new() }
}

const FLAKY_OK: &str = "sexton{part=collector,name=flaky}";

#[tokio::test]
async fn one_moment_is_one_batch_and_a_reload_restarts_only_what_changed() {
    static TABLE: &[&Spec] = &[&FLAKY, &STEADY];
    let (tx, mut rx) = channel(64);
    let steady = CollectorPlan { kind: "steady", ..flaky("") };
    let mut collectors = spawn_from(TABLE, &[flaky("both"), steady.clone()], Clock::start(), tx);
    let first = rx.recv().await.unwrap();
    let keys: Vec<_> = first.iter().map(|o| o.instance.key()).collect();
    let steady_ok = "sexton{part=collector,name=steady}";
    assert_eq!(keys, ["proc{name=a}", "proc{name=b}", FLAKY_OK, "proc{name=s}", steady_ok]);
    assert!(first.iter().all(|o| o.interval == SECOND / 5));

    collectors.reconfigure(&[flaky("one"), steady.clone()]);
    let after = until(&mut rx, |o| is(o, "proc{name=a}") && o.gone).await;
    assert!(!after.iter().any(|o| is(o, "proc{name=b}") && o.gone));
    assert_eq!(MADE.load(Ordering::SeqCst), 1, "the other one is left alone");

    let lost = collectors.lost(std::slice::from_ref(&steady));
    assert_eq!(lost.iter().map(|i| i.key()).collect::<Vec<_>>(), ["proc{name=b}", FLAKY_OK]);
    collectors.reconfigure(&[steady]);
    let end = until(&mut rx, |o| is(o, FLAKY_OK) && o.gone).await;
    assert!(end.iter().any(|o| is(o, "proc{name=b}") && o.gone));
    assert_eq!(collectors.status().iter().map(|s| s.kind).collect::<Vec<_>>(), ["steady"]);
}

#[tokio::test]
async fn a_failing_collector_says_so_and_harms_nobody() {
    static TABLE: &[&Spec] = &[&FLAKY, &load::SPEC];
    const OK: Metric = metric("sexton.ok");
    let (tx, mut rx) = channel(64);
    let load = plan(&load::SPEC, SECOND / 5);
    let mut collectors = spawn_from(TABLE, &[flaky("failing"), load.clone()], Clock::start(), tx);
    let first = rx.recv().await.unwrap();
    assert_eq!(values(&first, FLAKY_OK, OK), [Some(0.0)]);
    assert_eq!(values(&first, "sexton{part=collector,name=load}", OK), [Some(1.0)]);
    assert!(!first.iter().any(|o| o.instance.class == Class::Proc), "half a reading is none");
    let status = collectors.status();
    assert_eq!(status[0].error.as_deref(), Some("cannot read"));
    assert_eq!((status[0].last_ok, status[1].error.as_deref()), (None, None));

    collectors.reconfigure(&[flaky("unmakable"), load.clone()]);
    until(&mut rx, |_| collectors.status()[0].error.as_deref() == Some("cannot be made")).await;
    collectors.reconfigure(&[flaky("both"), load]);
    until(&mut rx, |o| is(o, FLAKY_OK) && o.samples == [(OK, Some(true.into()))]).await;
    assert_eq!(collectors.status()[0].error, None);
}

#[tokio::test]
async fn dropping_the_handle_stops_everything() {
    let (tx, mut rx) = channel(64);
    let plans: Vec<_> = TABLE.iter().map(|s| plan(s, SECOND / 5)).collect();
    let collectors = spawn(&plans, Clock::start(), tx);
    rx.recv().await.unwrap();
    drop(collectors);
    let closed = async { while rx.recv().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(20), closed).await.expect("some task still holds the channel");
}

/// The collectors of this machine: values that make sense, of signals that their tables name.
#[tokio::test]
async fn every_collector_tells_the_truth_about_this_machine() {
    let (tx, mut rx) = channel(64);
    let polled: Vec<_> = TABLE.iter().filter(|s| s.door.kind != "unit").collect();
    let mut plans: Vec<_> = polled.iter().map(|s| plan(s, SECOND / 5)).collect();
    for plan in plans.iter_mut().filter(|p| p.kind == "proc") {
        plan.names = vec!["no such process".to_owned()];
    }
    let _collectors = spawn(&plans, Clock::start(), tx);
    let busy = metric("cpu.busy");
    // The third reading of the CPU has rates for everything.
    let mut readings = 0;
    let all = until(&mut rx, |o| {
        readings += usize::from(o.samples.iter().any(|(m, _)| *m == busy));
        readings == 4
    })
    .await;
    for (metric, value) in all.iter().flat_map(|o| &o.samples) {
        sane(*metric, value.as_ref());
    }
    for spec in polled {
        let told = |name: &str| all.iter().any(|o| o.samples.iter().any(|(m, _)| m.name() == name));
        let missing: Vec<_> = spec.door.signals.iter().filter(|name| !told(name)).collect();
        let hardware = ["disk", "net"].contains(&spec.door.kind) && missing.len() == spec.door.signals.len();
        assert!(missing.is_empty() || hardware, "{} never said {missing:?}", spec.door.kind);
    }
    let declared = |m: &Metric| TABLE.iter().any(|s| s.door.signals.contains(&m.name()));
    for (metric, _) in all.iter().flat_map(|o| &o.samples).filter(|(m, _)| m.name() != "sexton.ok") {
        assert!(declared(metric), "{} is in no table", metric.name());
    }
    assert!(all.iter().all(|o| o.samples.iter().all(|(m, _)| m.spec().class == o.instance.class)));
    assert!(values(&all, "host", metric("host.uptime"))[0] > Some(0.0));
    assert!(values(&all, "host", metric("mem.total"))[0] > Some(1e6));
    assert!(values(&all, "host", busy).iter().any(Option::is_some));
    assert!(values(&all, "proc{name=no such process}", RUNNING).contains(&Some(0.0)));
}

fn sane(metric: Metric, value: Option<&Value>) {
    let spec = metric.spec();
    match (spec.ty.base, value) {
        (_, None) => {}
        (Base::Ratio, Some(Value::Num(n))) if spec.name != "proc.cpu" => {
            assert!((0.0..=1.0).contains(n), "{} is {n}", spec.name);
        }
        (Base::Bool, Some(Value::Bool(_))) | (Base::Text, Some(Value::Text(_))) => {}
        (Base::Bool | Base::Text, other) => panic!("{} is {other:?}", spec.name),
        (_, Some(Value::Num(n))) => {
            assert!(n.is_finite() && *n >= 0.0, "{} is {n}", spec.name);
            assert!(spec.kind == Kind::Gauge || n.fract() == 0.0, "{} counts {n}", spec.name);
        }
        (_, other) => panic!("{} is {other:?}", spec.name),
    }
}

#[test]
fn the_table_is_well_formed() {
    for (i, spec) in TABLE.iter().enumerate() {
        assert!(TABLE[..i].iter().all(|s| s.door.kind != spec.door.kind), "{} stands twice", spec.door.kind);
        for signal in spec.door.signals {
            assert!(Metric::find(signal).is_some(), "{}: no signal {signal}", spec.door.kind);
        }
    }
}
