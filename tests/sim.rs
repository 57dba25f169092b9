//! Deterministic simulation: worlds from a seed, in which the real engine, store and pumps meet every fault.
//!
//! See docs/simulation.md. `SEXTON_SIM_SEEDS=10000 cargo test --release --test sim` plays more worlds,
//! `SEXTON_SIM_SEED=4711 cargo test --test sim every_world -- --nocapture` plays one and prints its journal.

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
use std::sync::atomic::{AtomicUsize, Ordering};

use bugs::Bug;
use world::{Outcome, World};

/// Worlds that are played when nothing is said; `tests/run` plays 10 000, in the profile `sim`.
const SEEDS: u64 = 100;

/// Seeds that once broke a claim.
const KNOWN: &str = include_str!("sim/seeds.txt");

/// Worlds in which a planted bug must show itself.
const BUG_SEEDS: u64 = 200;

/// Failed worlds that are shown at most; then no more are played.
const SHOWN: usize = 20;

/// Plays one world to its end.
fn play(seed: u64, bug: Option<Bug>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let is_wall = bug == Some(Bug::SteadyClockIsWall);
    runtime.block_on(async { time::begin(is_wall) });
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
            bugs::reopened(&world);
        }
        let away = world.chance.borrow_mut().weighted(&[(50, 0), (30, 20), (20, 900)]);
        let away = world.chance.borrow_mut().within(0, away * 1_000_000_000 + 1);
        runtime.block_on(time::pass(away));
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Does something with each item on all processors.
fn on_all_processors<T: Sync>(items: &[T], work: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    work(item);
                }
            });
        }
    });
}

/// The seeds that once broke a claim, then those that were asked for.
fn seeds() -> Vec<u64> {
    let lines = KNOWN.lines().filter(|line| !line.starts_with('#'));
    let known = lines.filter_map(|line| line.split_whitespace().next()?.parse().ok());
    let from = number("SEXTON_SIM_FROM").unwrap_or(0);
    known.chain(from..from + number("SEXTON_SIM_SEEDS").unwrap_or(SEEDS)).collect()
}

#[test]
fn every_world_keeps_the_claims() {
    if let Some(seed) = number("SEXTON_SIM_SEED") {
        let outcome = play(seed, None);
        println!("{}", outcome.journal);
        assert!(outcome.wrong.is_empty(), "seed {seed}: {}", outcome.wrong.join("\n"));
        return;
    }
    let found = Mutex::new((Vec::new(), BTreeMap::<&str, u64>::new()));
    let seeds = seeds();
    on_all_processors(&seeds, |seed| {
        if found.lock().expect("no world panics").0.len() >= SHOWN {
            return;
        }
        let outcome = play(*seed, None);
        let (failed, counts) = &mut *found.lock().expect("no world panics");
        outcome.counts.iter().for_each(|(what, times)| *counts.entry(what).or_default() += times);
        if !outcome.wrong.is_empty() && failed.len() < SHOWN {
            failed.push((*seed, outcome.wrong));
        }
    });
    let (mut failed, counts) = found.into_inner().expect("no world panics");
    println!("{} worlds: {counts:?}", seeds.len());
    failed.sort();
    for (seed, wrong) in &failed {
        println!("seed {seed}: {}", wrong.join("\n    "));
        println!("    again: SEXTON_SIM_SEED={seed} cargo test --test sim every_world -- --nocapture");
    }
    assert!(failed.is_empty(), "at least {} worlds broke a claim", failed.len());
}

#[test]
fn every_planted_bug_is_caught() {
    let found = Mutex::new(Vec::new());
    on_all_processors(bugs::ALL, |(bug, what)| {
        let caught = (0..BUG_SEEDS).find_map(|seed| {
            let wrong = play(seed, Some(*bug)).wrong;
            wrong.into_iter().next().map(|wrong| (seed, wrong))
        });
        found.lock().expect("no world panics").push((*bug, *what, caught));
    });
    let mut missed = Vec::new();
    for (bug, what, caught) in found.into_inner().expect("no world panics") {
        match caught {
            Some((seed, wrong)) => println!("{bug:?} by seed {seed}: {wrong}"),
            None => missed.push(format!("{bug:?}: {what}")),
        }
    }
    assert!(missed.is_empty(), "not caught by {BUG_SEEDS} worlds:\n{}", missed.join("\n"));
}

#[test]
fn the_same_seed_gives_the_same_world_byte_for_byte() {
    for seed in 0..25 {
        let (first, second) = (play(seed, None), play(seed, None));
        assert!(first.journal == second.journal, "seed {seed}");
    }
}
