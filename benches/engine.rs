//! Cost of the rule engine per sample and rule instance: the figure behind the promise of 100 ns.
//!
//! Throughput is counted in judgements: its inverse is the time of one. Each group runs with one rule on one
//! series and with 10 000 rule instances on 1 000 series; values change at every sample and stay below their
//! limits.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sexton::engine::cond::{compile, default_clear};
use sexton::engine::moment::{Moment, SECOND};
use sexton::engine::plan::{Correlate, Globs, Host, MATRIX, Match, Plan, Rule, SLA, StepPlan};
use sexton::engine::record::{HostRef, Nature, Severity};
use sexton::engine::rules::{Prepared, Rules};
use sexton::engine::signal::{Class, Instance, Observation, metric};

const INTERVAL: i64 = 10 * SECOND;

fn rule(id: usize, raise: &str, matches: Match) -> Arc<Rule> {
    let raise = compile(raise, Class::Fs, &[]).expect("the benchmark's condition is valid");
    let clear = default_clear(&raise);
    let (impact, urgency, for_, keep) = (None, 3, 60 * SECOND, 60 * SECOND);
    let step = StepPlan { severity: Severity::Warning, impact, urgency, raise, clear, for_, keep };
    Arc::new(Rule {
        id: format!("rule-{id:05}"),
        hash: String::new(),
        origin: String::new(),
        class: Class::Fs,
        matches,
        title: String::new(),
        description: String::new(),
        runbook: None,
        nature: Nature::Capacity,
        category: String::new(),
        outage: false,
        service: None,
        labels: BTreeMap::new(),
        reopen: 0,
        stale: 0,
        min_coverage: 0.5,
        steps: vec![step],
        lets: Vec::new(),
        silence: Default::default(),
        every: 0,
        cause_hint: None,
        action: None,
    })
}

fn plan(rules: Vec<Arc<Rule>>) -> Arc<Plan> {
    let host = HostRef { id: String::new(), name: String::new() };
    let host = Host { host, labels: BTreeMap::new(), service: None, tier: None };
    let (overrides, services, correlate) = (Vec::new(), Vec::new(), Correlate::default());
    Arc::new(Plan {
        host,
        rules,
        overrides,
        services,
        declared: Vec::new(),
        correlate,
        matrix: MATRIX,
        sla: SLA,
        suppress: Default::default(),
    })
}

fn mount(i: usize) -> String {
    format!("/data/{i:04}")
}

/// A running engine: `judgements` rule instances see `instances` samples per round.
struct Engine {
    rules: Rules,
    observations: Vec<Observation>,
    round: i64,
}

impl Engine {
    /// `rules` conditions, each with its own limit, on each of `instances` file systems.
    fn new(rules: usize, instances: usize, raise: &dyn Fn(usize) -> String) -> Self {
        Self::of(plan((0..rules).map(|i| rule(i, &raise(i), Match::default())).collect()), instances)
    }

    /// `rules` conditions, each on one of `instances` file systems.
    fn spread(rules: usize, instances: usize, raise: &dyn Fn(usize) -> String) -> Self {
        let only = |i: usize| Match([("mount".to_owned(), Globs(vec![mount(i % instances)]))].into());
        Self::of(plan((0..rules).map(|i| rule(i, &raise(i), only(i))).collect()), instances)
    }

    fn of(plan: Arc<Plan>, instances: usize) -> Self {
        let observation = |i: usize| {
            let instance = Instance::of(Class::Fs, &[("mount", &mount(i))]);
            Observation::new(Moment::at(0), instance, INTERVAL).with(metric("fs.used"), 0.0)
        };
        let observations = (0..instances).map(observation).collect();
        let mut engine = Self { rules: Rules::new(plan), observations, round: 0 };
        // Fills every window.
        for _ in 0..200 {
            engine.turn();
        }
        engine
    }

    fn turn(&mut self) {
        self.round += 1;
        let (now, mut events) = (Moment::at(self.round * INTERVAL), Vec::new());
        self.rules.handle_timeout(now, &mut events);
        for (i, observation) in self.observations.iter_mut().enumerate() {
            observation.at = now;
            observation.samples[0].1 = Some((((self.round as usize + i) % 80) as f64 / 100.0).into());
            self.rules.observe(now, observation, &mut events);
        }
        assert!(black_box(events).is_empty());
    }
}

fn judgements(c: &mut Criterion) {
    let conditions: [(&str, &dyn Fn(usize) -> String); 4] = [
        ("threshold", &|i| format!("fs.used > {}%", 85 + i % 15)),
        ("avg shared", &|i| format!("avg(fs.used, 10m) > {}%", 85 + i % 15)),
        ("frac own", &|i| format!("frac(fs.used > {}%, 10m) > 80%", 85 + i)),
        ("avg own, bucketed", &|i| format!("avg(fs.used, {}m) > 90%", 60 + i)),
    ];
    for (name, raise) in conditions {
        let mut group = c.benchmark_group(name);
        for (rules, instances) in [(1, 1), (10, 1000)] {
            let mut engine = Engine::new(rules, instances, raise);
            group.throughput(Throughput::Elements((rules * instances) as u64));
            group
                .bench_function(BenchmarkId::from_parameter(rules * instances), |b| b.iter(|| engine.turn()));
        }
        group.finish();
    }
    // Many rules, each about one of 1 000 series: time of one round of all. Prometheus does the same in
    // benches/rules_peer.py.
    let each: [(&str, &dyn Fn(usize) -> String); 2] = [
        ("threshold", &|i| format!("fs.used > {}%", 85 + i % 15)),
        ("avg", &|i| format!("avg(fs.used, 10m) > {}%", 85 + i % 15)),
    ];
    let mut group = c.benchmark_group("rules");
    for (name, raise) in each {
        for rules in [1_000, 10_000] {
            let mut engine = Engine::spread(rules, 1000, raise);
            group.bench_function(BenchmarkId::new(name, rules), |b| b.iter(|| engine.turn()));
        }
    }
    group.finish();
    // Many rules on one series: what a judgement costs without the samples.
    let mut group = c.benchmark_group("threshold, one series");
    let mut engine = Engine::new(10_000, 1, &|i| format!("fs.used > {}%", 85 + i % 15));
    group.throughput(Throughput::Elements(10_000));
    group.bench_function("10000", |b| b.iter(|| engine.turn()));
    group.finish();
}

fn reload(c: &mut Criterion) {
    let rules = || {
        plan((0..10_000).map(|i| rule(i, &format!("fs.used > {}%", 85 + i % 15), Match::default())).collect())
    };
    let mut engine = Engine::new(1, 1, &|_| "fs.used > 85%".to_owned());
    let mut group = c.benchmark_group("reload");
    group.sample_size(20);
    group.bench_function("10000 rules: compile and swap", |b| {
        b.iter(|| {
            engine.rules.reload(Moment::at(engine.round * INTERVAL), Prepared::new(rules()), &mut Vec::new())
        });
    });
    group.finish();
}

criterion_group!(benches, judgements, reload);
criterion_main!(benches);
