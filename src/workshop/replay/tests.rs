//! Replays of small series, counted by hand.

use super::*;
use crate::config::{self, Doors, HostFacts};
use crate::engine::moment::{HOUR, MINUTE, SECOND};
use crate::engine::signal::{Class, Instance, Metric};
use crate::engine::suppress::Terms;
use crate::workshop::source::{Column, Track};

const RULES: &str = r#"
[[rule]]
id = "a-busy"
on = "host"
for = "0s"
keep = "0s"
raise = "cpu.busy > 90%"
clear = "cpu.busy < 80%"
[[rule]]
id = "a-full"
on = "fs"
for = "0s"
keep = "0s"
raise = "fs.used > 90% and cpu.busy < 200%"
clear = "fs.used < 80%"
[[rule]]
id = "a-slow"
on = "disk"
raise = "disk.latency > 1s"
clear = "disk.latency < 1s"
"#;

fn plan() -> Arc<Plan> {
    let facts = HostFacts { machine_id: "0123".into(), hostname: "web-01".into() };
    let config = config::load_texts(&[("rules.toml", RULES)], &Doors::default(), &facts);
    let plan = config.unwrap_or_else(|all| panic!("{}", all.render(false))).plan;
    let rules = plan.rules.iter().filter(|r| r.id.starts_with("a-")).cloned().collect();
    Arc::new(Plan { rules, suppress: Terms::default(), ..Plan::clone(&plan) })
}

/// A series of one sample a minute.
fn recorded(file: &str, name: &str, labels: &[(&str, &str)], values: &[f64]) -> Recorded {
    let metric = Metric::find(name).expect("a signal");
    let class = metric.spec().class;
    let labels = if class == Class::Host { &[] } else { labels };
    let times = (0..values.len()).map(|i| i as i64 * MINUTE).collect();
    let columns = vec![(metric, Column::Numbers(values.to_vec()))];
    let track = Arc::new(Track { instance: Instance::of(class, labels), interval: MINUTE, times, columns });
    Recorded { name: file.to_owned(), column: "value".to_owned(), track }
}

fn play_one(series: Vec<Recorded>, labels: Option<&[Window]>) -> Report {
    let host = [Host { series, ..Host::default() }];
    let outcomes = run(&plan(), &host, 1, &AtomicU64::new(0)).unwrap();
    report(&plan(), &host, &outcomes, labels.map(|l| (l, 0)), 0)
}

#[test]
fn figures_are_those_counted_by_hand() {
    // Raised from minute 1 to 3 and from 5 to the end at 7.
    let busy = [0.5, 0.95, 0.95, 0.5, 0.5, 0.95, 0.95, 0.95];
    let report = play_one(vec![recorded("x", "cpu.busy", &[], &busy)], None);
    let row = &report.rules[0];
    assert_eq!((row.rule.as_str(), row.incidents, row.raises, row.reopens, row.open), ("a-busy", 1, 2, 1, 1));
    assert_eq!((row.raised_seconds, row.longest_seconds, row.instances), (240.0, 120.0, 1));
    assert_eq!((report.samples, report.from.0, report.to.0), (8, 0, 7 * MINUTE));
    assert!((row.per_week - 7.0 * 24.0 * 60.0 / 7.0).abs() < 1e-6);
    assert_eq!(report.quiet, [""; 0]);
    assert_eq!(report.blind, ["a-full", "a-slow"]);
}

#[test]
fn labels_tell_hits_delay_and_noise() {
    let busy = [0.5, 0.95, 0.95, 0.5, 0.5, 0.95, 0.95, 0.5, 0.5];
    let window = |series: &str, from: i64, to: i64| Window {
        series: series.to_owned(),
        subject: Vec::new(),
        from: from * 30 * SECOND,
        to: to * 30 * SECOND,
    };
    // The first raise is 30 s into a window that covers half of it; the second is noise; one window is
    // missed.
    let labels = [window("x", 1, 4), window("x", 14, 16), window("other", 0, 99)];
    let report = play_one(vec![recorded("x", "cpu.busy", &[], &busy)], Some(&labels));
    let hits = report.rules[0].hits.as_ref().expect("labels were given");
    assert_eq!((hits.hit, hits.windows, hits.false_raises), (1, 2, 1));
    assert_eq!(hits.delay_seconds, Some(30.0));
    assert!((hits.noise.unwrap() - 0.75).abs() < 1e-6, "{hits:?}");
}

#[test]
fn any_number_of_threads_gives_the_same() {
    let wave = |i: usize, n: usize| {
        (0..n).map(|t| 0.5 + 0.5 * ((t * (i + 1)) as f64 / 97.0).sin()).collect::<Vec<_>>()
    };
    let n = 7_000;
    let mut series = vec![recorded("h", "cpu.busy", &[], &wave(0, n))];
    for i in 1..8 {
        let mount = format!("/data/{i}");
        series.push(recorded("f", "fs.used", &[("mount", &mount)], &wave(i, n)));
    }
    let host = [Host { series, ..Host::default() }];
    let parts = split(&plan(), &items(&host[0]), 3);
    assert_eq!(parts.len(), 3);
    let host_rules = parts.iter().filter(|p| p.plan.rules.iter().any(|r| r.class == Class::Host)).count();
    assert_eq!(host_rules, 1, "rules of the host are judged once");
    let sees_host = |p: &Part| p.instances.contains("host") || !p.named.is_empty();
    assert!(parts.iter().all(sees_host), "and the host is seen by all");
    let of = |threads| {
        let done = AtomicU64::new(0);
        let outcomes = run(&plan(), &host, threads, &done).unwrap();
        let report = report(&plan(), &host, &outcomes, None, 0);
        assert_eq!(done.into_inner(), report.samples, "the bar ends with the samples");
        (report.rules, outcomes[0].spans.clone(), report.samples)
    };
    let one = of(1);
    assert!(one.0.iter().map(|r| r.raises).sum::<u64>() > 20);
    assert_eq!(one.2, 8 * n as u64, "the host's samples count once");
    assert_eq!(one, of(3));
}

#[test]
fn two_series_of_one_signal_need_hosts_of_their_own() {
    let series = ["x", "y"].map(|file| recorded(file, "cpu.busy", &[], &[0.5; 10]));
    let recording = Recording { series: series.to_vec(), dropped: 0 };
    assert!(hosts(&recording, false).unwrap_err().contains("comes from x and from y"));
    let apart = hosts(&recording, true).unwrap();
    assert_eq!(apart.iter().map(|h| h.name.as_str()).collect::<Vec<_>>(), ["x", "y"]);
    assert!(count::weeks(&run(&plan(), &apart, 2, &AtomicU64::new(0)).unwrap()) > 0.0);
    assert_eq!(HOUR, 60 * MINUTE);
}

/// Which instances are in one part, one letter each, by the relations of a configuration.
fn together(relations: &str) -> Vec<String> {
    let rules = |class: &str, signal: &str, limit: &str| {
        format!(
            "[[rule]]\nid = \"{class}\"\non = \"{class}\"\nraise = \"{signal} > {limit}\"\nclear = \"{signal} < {limit}\"\n"
        )
    };
    let text = rules("disk", "disk.latency", "1s") + &rules("fs", "fs.used", "90%") + relations;
    let facts = HostFacts { machine_id: "0123".into(), hostname: "web-01".into() };
    let config = config::load_texts(&[("rules.toml", &text)], &Doors::default(), &facts);
    let all = config.unwrap_or_else(|all| panic!("{}", all.render(false))).plan;
    let own = all.rules.iter().filter(|r| !r.origin.contains("sexton.toml")).cloned().collect();
    let plan = Arc::new(Plan { rules: own, ..Plan::clone(&all) });
    let item = |class, label: &str, name: &str| Item {
        instance: Instance::of(class, &[(label, name), ("device", "/dev/x")]),
        weight: 100_000,
    };
    let items = [
        item(Class::Disk, "disk", "a"),
        item(Class::Disk, "disk", "b"),
        item(Class::Fs, "mount", "c"),
        item(Class::Fs, "mount", "d"),
    ];
    let parts = split(&plan, &items, 4);
    let letters = |p: &Part| p.instances.iter().filter_map(|k| k.chars().rev().nth(1)).collect::<String>();
    let mut found: Vec<String> = parts.iter().map(letters).collect();
    found.sort();
    found
}

#[test]
fn only_what_explains_each_other_stays_together() {
    let alone = ["a", "b", "c", "d"];
    assert_eq!(together(""), alone);
    let symptom = |relation: &str| {
        format!(
            "[[rule]]\nid = \"inodes\"\non = \"fs\"\nraise = \"fs.inodes_used > 90%\"\nclear = \"fs.inodes_used < 80%\"\n{relation}\n"
        )
    };
    let of = |relation: &str| together(&symptom(relation));
    assert_eq!(of("depends = [{ rule = \"fs\", same = [\"mount\"] }]"), alone, "each mount explains itself");
    assert_eq!(of("depends = [\"fs\"]"), ["a", "b", "cd"], "any mount explains any");
    assert_eq!(of("depends = [\"disk\"]"), ["abcd"], "any disk explains any mount");
    assert_eq!(of("depends = [{ rule = \"fs\", same = [\"service\"] }]"), alone, "of no service");
    let window = |kind: &str| format!("[[window]]\nid = \"w\"\nfrom = 2026-11-29T20:00:00Z\n{kind}");
    assert_eq!(together(&window("")), alone);
    assert_eq!(together(&window("duration = \"1h\"\n")), ["abcd"], "the first raise opens it for all");
    let counts = |class: &str| {
        format!(
            "[[rule]]\nid = \"many\"\non = \"{class}\"\nraise = \"events('raise/*', 1h) > 3\"\nclear = \"events('raise/*', 1h) < 1\"\n"
        )
    };
    assert_eq!(together(&counts("host")), ["abcd"], "events of all instances count");
    assert_eq!(together(&counts("fs")), alone, "those of its own");
}
