//! CPU of one collection cycle: every polled collector with its defaults once, and the shipped rules on what
//! they saw. Readings of `/proc` and `/sys` are real, with warm caches; what a cycle costs in place, ten
//! seconds after the last one, is measured by benches/agent.py.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use sexton::clock::Clock;
use sexton::collect;
use sexton::config::{self, Config, Doors, HostFacts};
use sexton::engine::core::Engine;
use sexton::engine::effect::Step;
use sexton::engine::moment::{Moment, SECOND};

/// The built-in configuration, of which nothing is changed.
fn shipped() -> Config {
    let doors = Doors { collectors: collect::TABLE.iter().map(|s| &s.door).collect(), ..Doors::default() };
    let facts = HostFacts::default();
    match config::load_texts(&[("sexton.toml", "schema = 1\n")], &doors, &facts) {
        Ok(config) => config,
        Err(mistakes) => panic!("{}", mistakes.render(false)),
    }
}

fn cycle(c: &mut Criterion) {
    let config = shipped();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    // The tasks never run, as the runtime is not driven: only what is called here is measured.
    let _inside = runtime.enter();
    let (tx, _rx) = tokio::sync::mpsc::channel(1);
    let collectors = collect::spawn(&config.collectors, Clock::start(), tx);
    let mut group = c.benchmark_group("cycle");
    collectors.read_now();
    group.bench_function("polled collectors", |b| b.iter(|| black_box(collectors.read_now())));

    let mut batch = collectors.read_now();
    let samples: usize = batch.iter().map(|o| o.samples.len()).sum();
    println!("{} rules; {} instances, {samples} samples", config.plan.rules.len(), batch.len());
    let mut engine = Engine::new(config.plan, 1);
    let mut round = 0;
    let mut turn = || {
        round += 1;
        let (now, mut step) = (Moment::at(round * 10 * SECOND), Step::default());
        batch.iter_mut().for_each(|o| o.at = now);
        engine.observe(now, &batch, &mut step);
        if engine.poll_timeout().is_some_and(|due| due <= now.mono) {
            engine.handle_timeout(now, &mut step);
        }
        black_box(step);
    };
    // Fills the windows.
    (0..1000).for_each(|_| turn());
    group.bench_function("shipped rules", |b| b.iter(&mut turn));
    group.finish();
}

criterion_group!(benches, cycle);
criterion_main!(benches);
