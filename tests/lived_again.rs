//! A day of a daemon against the replay of the history it leaves.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use sexton::clock::Clock;
use sexton::config::{self, Doors, HostFacts};
use sexton::engine::core::Engine;
use sexton::engine::effect::Step;
use sexton::engine::event::EventKind;
use sexton::engine::moment::{DAY, HOUR, MINUTE, Moment, SECOND, Stamp};
use sexton::engine::option::HistoryPlan;
use sexton::engine::plan::Plan;
use sexton::engine::record::Record;
use sexton::engine::signal::{Class, Instance, Metric, Observation, Value};
use sexton::history::History;
use sexton::workshop::past::Past;
use sexton::workshop::play::{Level, Played};
use sexton::workshop::replay::{Host, Outcome, report, run};

const START: i64 = 1_790_000_000 * SECOND;
const TICK: i64 = 10 * SECOND;
/// From this tick on there is pressure, on the third day.
const PRESSED: i64 = 17_300;

/// Thresholds with hysteresis, windows, a trend, two that explain others, one for silence, one told.
const RULES: &str = r#"
[correlate]
failure_gap = "10m"
[[rule]]
id = "t-busy"
on = "host"
for = "1m"
keep = "2m"
raise = "cpu.busy > 90%"
clear = "cpu.busy < 70%"
nodata_after = "5m"
[[rule]]
id = "t-load"
on = "host"
raise = "avg(cpu.busy, 30m) > 60%"
clear = "avg(cpu.busy, 30m) < 50%"
[[rule]]
id = "t-usual"
on = "host"
for = "5m"
keep = "5m"
raise = "cpu.busy > 2 * baseline(cpu.busy, 2h, 3) and zscore(cpu.busy, 1h) > 2"
clear = "cpu.busy < 1.5 * baseline(cpu.busy, 2h, 3)"
[[rule]]
id = "t-smooth"
on = "host"
raise = "ewma(cpu.busy, 20m) > 55%"
clear = "ewma(cpu.busy, 20m) < 45%"
[[rule]]
id = "t-after"
on = "host"
for = "0s"
min_coverage = 0.8
raise = "psi.cpu.some > 50% and avg(cpu.busy, 44h) > 20% and cpu.busy < 3 * baseline(cpu.busy, 11h, 4) and zscore(cpu.busy, 44h) < 9"
clear = "psi.cpu.some < 10%"
[[rule]]
id = "t-full"
on = "fs"
for = "2m"
keep = "2m"
raise = "fs.used > 85% and deriv(fs.used, 1h) > 0%/h"
clear = "fs.used < 80%"
[[rule]]
id = "t-inodes"
on = "fs"
for = "1m"
keep = "1m"
raise = "fs.inodes_used > 80%"
clear = "fs.inodes_used < 70%"
depends = [{ rule = "t-full", same = ["mount"] }]
[[rule]]
id = "t-down"
on = "unit"
for = "0s"
keep = "30s"
raise = "not unit.active"
clear = "unit.active"
[[rule]]
id = "t-flaps"
on = "unit"
for = "0s"
raise = "changes(unit.active, 30m) >= 4"
clear = "changes(unit.active, 30m) < 2"
"#;

fn plan() -> Arc<Plan> {
    let facts = HostFacts { machine_id: "0123".into(), hostname: "web-01".into() };
    let config = config::load_texts(&[("rules.toml", RULES)], &Doors::default(), &facts);
    config.unwrap_or_else(|all| panic!("{}", all.render(false))).plan
}

/// What the doors see in a tick of a day: noise, a busy spell, a file system that fills up and is emptied,
/// one that is unmounted, a unit that fails and one that flaps, a collector that is silent for a while.
fn seen(tick: i64) -> Vec<Observation> {
    let at = START + tick * TICK;
    let minute = tick * TICK / MINUTE;
    let noise = |salt: i64| {
        let mixed = (tick * 7919 + salt * 104_729).wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as i64);
        ((mixed as u64) >> 40) as f64 / (1_u64 << 24) as f64
    };
    let mut all = Vec::new();
    let mut add = |late: i64, instance: &Arc<Instance>, interval: i64, samples: &[(&str, Value)]| {
        let mut one = Observation::new(Moment::at(at + late), Arc::clone(instance), interval);
        let named = samples.iter().map(|(name, value)| (Metric::find(name).unwrap(), Some(value.clone())));
        one.samples.extend(named);
        all.push(one);
    };
    let num = Value::Num;
    let pressed = if tick >= PRESSED { 0.9 } else { 0.0 };
    let busy = match minute {
        300..345 => 0.95,
        600..603 => 0.97,
        900..1000 => 0.75 + 0.05 * noise(9),
        _ => 0.15 + 0.2 * noise(1),
    };
    if !(1100..1112).contains(&minute) {
        add(
            1_000,
            &Instance::of(Class::Host, &[]),
            TICK,
            &[("cpu.busy", num(busy)), ("psi.cpu.some", num(pressed))],
        );
    }
    for (i, mount) in ["/", "/data", "/mnt"].iter().enumerate() {
        if i == 2 && minute >= 700 {
            continue;
        }
        let fs = Instance::of(Class::Fs, &[("mount", mount), ("fstype", "ext4")]);
        let day = tick as f64 * TICK as f64 / DAY as f64;
        let used = [0.4, 0.6 + 0.5 * (day % 0.7), 0.88 + 0.02 * day][i] + 0.001 * noise(3 + i as i64);
        let inodes = if minute % 240 < 20 { 0.85 } else { 0.3 };
        let samples = [("fs.used", num(used.min(1.0))), ("fs.inodes_used", num(inodes))];
        add(2_000 + i as i64, &fs, TICK, &samples);
    }
    // The last word before the daemon goes down: what is due after it still happens before.
    let last_word = tick == 3984 || tick == 3990;
    let told = tick == 0 || last_word || tick % 6 == 0 && (minute % 173 < 3 || (800..830).contains(&minute));
    if told {
        let active = tick != 3984 && minute % 173 != 1 && !((800..830).contains(&minute) && minute % 2 == 0);
        let unit = Instance::of(Class::Unit, &[("unit", "a.service")]);
        add(3_000, &unit, 0, &[("unit.active", Value::Bool(active))]);
    }
    if minute == 700 && tick % 6 == 0 {
        let mut gone = Observation::new(Moment::at(at), Instance::of(Class::Fs, &[("mount", "/mnt")]), 0);
        gone.gone = true;
        all.push(gone);
    }
    all
}

static NOW: AtomicI64 = AtomicI64::new(START);

fn now() -> Moment {
    Moment::at(NOW.load(Ordering::Relaxed))
}

/// A change of a rule instance: time, rule, instance, level.
type Turn = (i64, String, String, Level);

/// What a daemon does, written down.
#[derive(Default)]
struct Diary {
    turns: Vec<Turn>,
    incidents: BTreeMap<String, sexton::engine::record::Incident>,
    rows: BTreeMap<(String, String), String>,
}

impl Diary {
    fn take(&mut self, engine: &mut Engine, step: Step) {
        for change in step.state {
            let row = (change.kind.to_owned(), change.key);
            match change.body {
                Some(body) => self.rows.insert(row, body),
                None => self.rows.remove(&row),
            };
        }
        for record in step.records {
            if let Record::Incident(incident) = record {
                self.incidents.insert(incident.id.clone(), *incident);
            }
        }
        for event in engine.heard() {
            let level = match event.kind {
                EventKind::Raise | EventKind::Step => Level::Raised(event.severity),
                EventKind::Clear | EventKind::Retire => Level::Ok,
            };
            self.turns.push((event.at.mono, event.rule.id.clone(), event.instance.key().to_owned(), level));
        }
    }
}

/// Lives as the daemon does, from tick to tick, with the history on; it is down between some of them.
async fn live(plan: &Arc<Plan>, dir: &Path, days: &[std::ops::Range<i64>], limit: u64) -> Diary {
    let mut diary = Diary::default();
    for ticks in days {
        NOW.store(START + ticks.start * TICK - SECOND, Ordering::Relaxed);
        let mut engine = Engine::new(Arc::clone(plan), 7);
        engine.listen();
        let rows = diary.rows.iter().map(|((kind, key), body)| (kind.clone(), key.clone(), body.clone()));
        assert_eq!(engine.restore(now(), rows.collect(), 0), Vec::<String>::new());
        let plan = HistoryPlan { dir: dir.to_owned(), limit };
        let mut history = History::start(&plan, Clock::told(now));
        let mut past = history.asker().recall(engine.wants_past(), now());
        while let Some(batch) = past.recv().await {
            batch.iter().for_each(|seen| engine.recall(seen));
        }
        engine.recalled(now());
        for tick in ticks.clone() {
            let end = START + tick * TICK;
            // Deadlines are met a little late.
            while let Some(due) = engine.poll_timeout().filter(|due| *due < end) {
                NOW.store(now().mono.max(due + 2_000_000), Ordering::Relaxed);
                let mut step = Step::default();
                engine.handle_timeout(now(), &mut step);
                diary.take(&mut engine, step);
                if engine.poll_timeout() == Some(due) {
                    break;
                }
            }
            NOW.store(end.max(now().mono) + 5_000_000, Ordering::Relaxed);
            let batch = seen(tick);
            let mut step = Step::default();
            engine.observe(now(), &batch, &mut step);
            diary.take(&mut engine, step);
            history.keep(now(), batch);
            if tick % 6 == 0 {
                history.asker().read(|_| Ok(())).await.unwrap();
            }
        }
        history.close().await;
    }
    diary
}

fn turns(played: &Played) -> Vec<Turn> {
    let turn = |t: &sexton::workshop::play::Transition| (t.at.0, t.rule.clone(), t.instance.clone(), t.to);
    played.transitions.iter().map(turn).collect()
}

/// By rule and instance, then by time.
fn sorted(mut turns: Vec<Turn>) -> Vec<Turn> {
    turns.sort_by(|a, b| (&a.1, &a.2, a.0).cmp(&(&b.1, &b.2, b.0)));
    turns
}

/// The same turns, but for the milliseconds that the daemon comes after what it hears of.
fn same(found: &[Turn], lived: &[Turn]) {
    let near = |a: &Turn, b: &Turn| (a.0 - b.0).abs() < 10_000_000 && (&a.1, &a.2, a.3) == (&b.1, &b.2, b.3);
    for (a, b) in found.iter().zip(lived) {
        assert!(near(a, b), "found {a:?}, lived {b:?}");
    }
    assert_eq!(found.len(), lived.len());
}

fn replayed(plan: &Arc<Plan>, dir: &Path, from: Stamp, threads: usize) -> (Vec<Outcome>, Vec<Host>) {
    let (past, series) = Past::open(dir, from, Stamp(i64::MAX)).unwrap();
    let hosts = vec![Host { name: String::new(), series, past: Some(past) }];
    (run(plan, &hosts, threads, &AtomicU64::new(0)).unwrap(), hosts)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// One after the other: they share the clock.
static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

#[test]
fn a_day_played_again_is_the_day_that_was() {
    let _one = ONE.lock();
    let (plan, dir) = (plan(), tempfile::tempdir().unwrap());
    // Twenty minutes of it the daemon is down.
    let days = [0..4000, 4120..8640];
    let diary = runtime().block_on(live(&plan, dir.path(), &days, 64 << 20));
    let lived = sorted(diary.turns.clone());
    assert!(lived.len() > 60, "{}", lived.len());
    for rule in plan.rules.iter().filter(|r| r.id.starts_with("t-") && r.id != "t-after") {
        assert!(lived.iter().any(|t| t.1 == rule.id), "{} has its part", rule.id);
    }
    for threads in [1, 3] {
        let (outcomes, hosts) = replayed(&plan, dir.path(), Stamp(i64::MIN), threads);
        same(&sorted(turns(&outcomes[0].played)), &lived);
        let incident = |i: &sexton::engine::record::Incident| {
            let resolved =
                i.timeline.iter().filter(|t| t.kind == "resolved").map(|t| t.at.0 / SECOND).next_back();
            let raised = i.raised_at.0 / SECOND;
            (i.rule.id.clone(), i.instance.clone(), raised, resolved, i.counters.reopens, i.priority)
        };
        let mut lived: Vec<_> = diary.incidents.values().map(incident).collect();
        let mut found: Vec<_> = outcomes[0].played.incidents.iter().map(incident).collect();
        lived.sort();
        found.sort();
        assert!(lived.len() > 10 && lived.iter().any(|i| i.4 > 0), "{lived:?}");
        assert_eq!(found, lived, "{threads} threads");
        let report = report(&plan, &hosts, &outcomes, None, 0);
        assert_eq!((report.coarse, report.dropped, report.damaged), (None, 0, 0));
    }
    // From the afternoon on, with windows that look back to the morning.
    let from = Stamp(START + 14 * HOUR);
    let (outcomes, _) = replayed(&plan, dir.path(), from, 2);
    let late = |all: &[Turn]| -> Vec<Turn> { all.iter().filter(|t| t.0 > from.0 + HOUR).cloned().collect() };
    same(&late(&sorted(turns(&outcomes[0].played))), &late(&lived));
}

#[test]
fn where_samples_are_gone_rollups_stand_in_and_the_report_says_so() {
    let _one = ONE.lock();
    let (plan, dir) = (plan(), tempfile::tempdir().unwrap());
    let diary = runtime().block_on(live(&plan, dir.path(), std::slice::from_ref(&(0..17_280)), 1 << 20));
    let (outcomes, hosts) = replayed(&plan, dir.path(), Stamp(i64::MIN), 2);
    let report = report(&plan, &hosts, &outcomes, None, 0);
    let coarse = report.coarse.expect("a small file has thrown samples away");
    assert!(coarse.from.0 <= START + DAY / 2 && coarse.to.0 > coarse.from.0, "{coarse:?}");
    let text = sexton::workshop::html::notes(&report).join(" ");
    assert!(text.contains("only steps of five minutes are kept"), "{text}");
    // What lasts for longer than a step is found, at most a step and the rule's own `for` apart.
    let raises = |all: &[Turn], rule: &str| -> Vec<i64> {
        all.iter().filter(|t| t.1 == rule && t.3 != Level::Ok && t.0 < coarse.to.0).map(|t| t.0).collect()
    };
    let found = turns(&outcomes[0].played);
    for rule in ["t-load", "t-smooth", "t-full"] {
        let (lived, played) = (raises(&diary.turns, rule), raises(&found, rule));
        let lived: Vec<i64> = lived.into_iter().filter(|at| *at > coarse.from.0 + HOUR).collect();
        let played: Vec<i64> = played.into_iter().filter(|at| *at > coarse.from.0 + HOUR).collect();
        assert!(!lived.is_empty(), "{rule}");
        let near = lived.iter().zip(&played).all(|(a, b)| (a - b).abs() <= 7 * MINUTE);
        assert!(lived.len() == played.len() && near, "{rule}: {lived:?} {played:?}");
    }
}

#[test]
fn windows_longer_than_the_samples_are_filled_from_rollups_after_a_restart() {
    let _one = ONE.lock();
    let (plan, dir) = (plan(), tempfile::tempdir().unwrap());
    let days = [0..PRESSED - 6, PRESSED..PRESSED + 30];
    let diary = runtime().block_on(live(&plan, dir.path(), &days, 1 << 20));
    let (past, _) = Past::open(dir.path(), Stamp(i64::MIN), Stamp(i64::MAX)).unwrap();
    let restarted = START + PRESSED * TICK;
    let kept = restarted - past.coarse().expect("samples are gone").to.0;
    assert!(kept < 34 * HOUR, "the samples alone are too few: {} h", kept / HOUR);
    let first = diary.turns.iter().find(|t| t.1 == "t-after").map(|t| t.0);
    assert!(first.is_some_and(|at| at - restarted < TICK), "{first:?} {restarted}");
}
