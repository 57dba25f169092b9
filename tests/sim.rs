//! Deterministic simulation: worlds from a seed, in which the real engine, store and pumps meet every fault.
//!
//! See docs/simulation.md. `SEXTON_SIM_SEEDS=100000 cargo test --test sim` plays more worlds,
//! `SEXTON_SIM_SEED=4711 cargo test --test sim` plays one and prints its journal.

#[path = "sim/bugs.rs"]
mod bugs;
#[path = "sim/desk.rs"]
mod desk;
#[path = "sim/disk.rs"]
mod disk;
#[path = "sim/fuse.rs"]
mod fuse;
#[path = "sim/host.rs"]
mod host;
#[path = "sim/net.rs"]
mod net;
#[path = "sim/outbox.rs"]
mod outbox;
#[path = "sim/random.rs"]
mod random;
#[path = "sim/rt.rs"]
mod rt;
#[path = "sim/shape.rs"]
mod shape;
#[path = "sim/time.rs"]
mod time;
#[path = "sim/truth.rs"]
mod truth;
#[path = "sim/verdict.rs"]
mod verdict;
#[path = "sim/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use bugs::Bug;
use world::{Outcome, World};

/// Worlds that are played by default.
const SEEDS: u64 = 10_000;

/// Plays one world to its end.
fn play(seed: u64, bug: Option<Bug>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async { time::begin() });
    let world = World::new(seed, bug);
    loop {
        runtime.block_on(async { world.catch_up() });
        let local = tokio::task::LocalSet::new();
        let end = local.block_on(&runtime, host::live(std::rc::Rc::clone(&world)));
        // Everything the daemon had in hand is gone, its requests under way apart.
        runtime.block_on(async move { drop(local) });
        if end == host::End::Done {
            return world.outcome();
        }
        world.truth.borrow_mut().forget_claims();
        if let Some(image) = world.left.borrow_mut().take() {
            world.disk.put(&image);
        }
        let away = world.chance.borrow_mut().weighted(&[(50, 0), (30, 20), (20, 900)]);
        let away = world.chance.borrow_mut().within(0, away * 1_000_000_000 + 1);
        runtime.block_on(time::pass(away));
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Plays worlds on all processors; returns the failed ones and what happened how often.
fn play_all(seeds: std::ops::Range<u64>) -> (Vec<(u64, Outcome)>, BTreeMap<&'static str, u64>) {
    let next = AtomicU64::new(seeds.start);
    let found = Mutex::new((Vec::new(), BTreeMap::new()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let outcome = play(seed, None);
                    let (failed, counts) = &mut *found.lock().expect("no world panics");
                    for (what, times) in &outcome.counts {
                        *counts.entry(*what).or_default() += times;
                    }
                    if !outcome.wrong.is_empty() && failed.len() < 20 {
                        failed.push((seed, outcome));
                    }
                }
            });
        }
    });
    found.into_inner().expect("no world panics")
}

#[test]
fn every_world_keeps_the_claims() {
    if let Some(seed) = number("SEXTON_SIM_SEED") {
        let outcome = play(seed, None);
        println!("{}", outcome.journal);
        assert!(outcome.wrong.is_empty(), "seed {seed}: {}", outcome.wrong.join("\n"));
        return;
    }
    let seeds = number("SEXTON_SIM_SEEDS").unwrap_or(SEEDS);
    let begun = number("SEXTON_SIM_FROM").unwrap_or(0);
    let (mut failed, counts) = play_all(begun..begun + seeds);
    println!("{seeds} worlds: {counts:?}");
    failed.sort_by_key(|(seed, _)| *seed);
    for (seed, outcome) in &failed {
        println!("seed {seed}: {}", outcome.wrong.join("\n    "));
        println!("    again: SEXTON_SIM_SEED={seed} cargo test --test sim every_world -- --nocapture");
    }
    assert!(failed.is_empty(), "{} worlds broke a claim", failed.len());
}

#[test]
fn the_same_seed_gives_the_same_world_byte_for_byte() {
    for seed in 0..100 {
        let (first, second) = (play(seed, None), play(seed, None));
        assert!(first.journal == second.journal, "seed {seed}");
    }
}
