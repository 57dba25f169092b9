//! A reload of 10 000 rules: the figure behind the promise of 200 ms.
//!
//! Parse and compile are what `config::load_texts` does with texts that have been read; `make ready` is what
//! of the swap needs no engine; swap is what the engine does with the new plan while it watches 200 or 1 000
//! instances with the old one, which is all that the loop waits for, beside the copy on which the outlook is
//! tried out. `whole` is the sum without the outlook when the limits of all rules have changed.
//!
//! `SEXTON_LOADS=1` only parses and compiles, as often as it says: for callgrind, which counts instructions
//! and does not mind how busy the machine is.

use std::fmt::Write;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, criterion_group};
use sexton::config::{self, Config, HostFacts};
use sexton::engine::core::Engine;
use sexton::engine::effect::Step;
use sexton::engine::moment::{Moment, SECOND};
use sexton::engine::rules::Prepared;
use sexton::engine::signal::{Class, Instance, Observation, metric};

/// Rules in all files together.
const RULES: usize = 10_000;
/// Files of `rules.d` they stand in.
const FILES: usize = 20;
/// Instances that are watched.
const INSTANCES: [usize; 2] = [200, 1000];

/// Files of rules as people write them: thresholds, windows, steps with a `let`; each about one mount.
fn files(shift: usize, instances: usize) -> Vec<(String, String)> {
    let rule = |text: &mut String, i: usize| {
        let (id, on, limit) = (format!("team-{i:05}"), i % instances, 85 + (i + shift) % 10);
        let _ = write!(
            text,
            "[[rule]]\nid = \"{id}\"\non = \"fs\"\nmatch = {{ mount = [\"/data/{on:04}\"] }}\n\
             title = \"{{mount}} is {{fs.used}} full\"\ndescription = \"What to do: find what grew.\"\n"
        );
        let _ = match i % 3 {
            0 => write!(text, "raise = \"fs.used > {limit}%\"\nclear = \"fs.used < 80%\"\nfor = \"5m\"\n"),
            1 => write!(
                text,
                "raise = \"frac(fs.used > {limit}%, 10m) >= 80%\"\nclear = \"avg(fs.used, 10m) < 80%\"\n"
            ),
            _ => write!(
                text,
                "let = {{ left = \"eta(fs.used, 100%, 6h)\" }}\nstep = [\n\
                 {{ raise = \"fs.used > {limit}% and left < 3d\", clear = \"fs.used < 80% or left > 5d\" }},\n\
                 {{ severity = \"critical\", raise = \"fs.used > 96%\", clear = \"fs.used < 90%\" }},\n]\n"
            ),
        };
    };
    let file = |n: usize| {
        let mut text = String::new();
        (n * RULES / FILES..(n + 1) * RULES / FILES).for_each(|i| rule(&mut text, i));
        (format!("rules.d/{n:02}.toml"), text)
    };
    std::iter::once(("sexton.toml".to_owned(), String::new())).chain((0..FILES).map(file)).collect()
}

fn load(files: &[(String, String)]) -> Config {
    let doors = sexton::cli::doors::doors();
    let facts = HostFacts { machine_id: "0123456789abcdef".into(), hostname: "web-01".into() };
    let texts: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    config::load_texts(&texts, &doors, &facts).expect("the benchmark's rules are right")
}

/// An engine that has watched for an hour.
fn engine(config: &Config, instances: usize) -> (Engine, Moment) {
    let (mut engine, mut now) = (Engine::new(Arc::clone(&config.plan), 1), Moment::at(0));
    let observation = |i: usize| {
        let labels = [("mount", &*format!("/data/{i:04}")), ("fstype", "ext4"), ("device", "/dev/vdb")];
        Observation::new(now, Instance::of(Class::Fs, &labels), 60 * SECOND).with(metric("fs.used"), 0.5)
    };
    let mut batch: Vec<_> = (0..instances).map(observation).collect();
    for _ in 0..60 {
        now = now.plus(60 * SECOND);
        batch.iter_mut().for_each(|o| o.at = now);
        engine.observe(now, &batch, &mut Step::default());
    }
    (engine, now)
}

fn reload(c: &mut Criterion) {
    INSTANCES.into_iter().for_each(|instances| reload_on(c, instances));
}

fn reload_on(c: &mut Criterion, instances: usize) {
    let texts = [files(0, instances), files(1, instances)];
    let configs = [load(&texts[0]), load(&texts[1])];
    assert!(configs[0].plan.rules.len() > RULES && configs[0].hash != configs[1].hash);
    let mut group = c.benchmark_group(format!("10000 rules on {instances} instances"));
    group.sample_size(10);
    group.bench_function("parse and compile", |b| b.iter(|| black_box(load(&texts[1]))));
    let ready = |config: &Config| Prepared::new(Arc::clone(&config.plan));
    group.bench_function("make ready", |b| b.iter(|| black_box(ready(&configs[1]))));
    let (watching, now) = engine(&configs[0], instances);
    group.bench_function("copy of the engine", |b| b.iter(|| black_box(watching.clone())));
    group.bench_function("outlook", |b| {
        b.iter_batched(
            || watching.clone(),
            |copy| copy.foresee(now, ready(&configs[1]), &[]),
            BatchSize::PerIteration,
        );
    });
    for (name, next) in [("swap, nothing changed", 0), ("swap, every limit changed", 1)] {
        group.bench_function(name, |b| {
            b.iter_batched_ref(
                || (watching.clone(), Some(ready(&configs[next]))),
                |(engine, ready)| ready.take().map(|ready| engine.swap(now, ready, &mut Step::default())),
                BatchSize::PerIteration,
            );
        });
    }
    group.bench_function("whole, every limit changed", |b| {
        b.iter_batched_ref(
            || watching.clone(),
            |engine| engine.swap(now, ready(&load(&texts[1])), &mut Step::default()),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, reload);

fn main() {
    if let Some(loads) = std::env::var("SEXTON_LOADS").ok().and_then(|n| n.parse::<usize>().ok()) {
        let texts = files(1, INSTANCES[0]);
        (0..loads).for_each(|_| drop(black_box(load(&texts))));
        return;
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
}
