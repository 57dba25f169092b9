//! What a reload would do, foreseen on a copy of the engine; what it does; and a crash in between.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use sexton::config::{self, Config, HostFacts};
use sexton::engine::core::Engine;
use sexton::engine::effect::Step;
use sexton::engine::foresee::{Changes, Outlook};
use sexton::engine::moment::{MINUTE, Moment, SECOND};
use sexton::engine::rules::{Carried, Prepared};
use sexton::engine::signal::{Class, Instance, Observation, metric};

/// 2026-11-22T12:00:00Z, a Sunday.
const START: i64 = 1_795_348_800 * SECOND;
/// Raised on two of three file systems.
const RULE: &str = "[[rule]]\nid = \"t-full\"\non = \"fs\"\nraise = \"fs.used > 90%\"\nclear = \"fs.used < 80%\"\n\
                    for = \"0s\"\nkeep = \"0s\"\n";
/// The file systems and how full they are.
const MOUNTS: [(&str, f64); 3] = [("/a", 0.5), ("/b", 0.92), ("/c", 0.97)];

fn config(text: &str) -> Config {
    let facts = HostFacts { machine_id: "0123456789abcdef".into(), hostname: "web-01".into() };
    let only = "[[override]]\nrule = [\"*\", \"!t-*\"]\nset = { enabled = false }\n";
    let texts = [("sexton.toml", only), ("rules.d/t.toml", text)];
    config::load_texts(&texts, &sexton::cli::doors::doors(), &facts).unwrap()
}

fn see(engine: &mut Engine, now: Moment, mounts: &[(&str, f64)]) -> Step {
    let mut step = Step::default();
    let observation = |(mount, used): &(&str, f64)| {
        let instance = Instance::of(Class::Fs, &[("mount", mount), ("fstype", "ext4")]);
        Observation::new(now, instance, MINUTE).with(metric("fs.used"), *used)
    };
    engine.observe(now, &mounts.iter().map(observation).collect::<Vec<_>>(), &mut step);
    step
}

/// An engine that has watched for ten minutes, and when that was.
fn watched(text: &str) -> (Engine, Moment) {
    let (mut engine, mut now) = (Engine::new(config(text).plan, 7), Moment::at(START));
    for _ in 0..10 {
        now = now.plus(MINUTE);
        see(&mut engine, now, &MOUNTS);
    }
    (engine, now.plus(SECOND))
}

/// `raise /a in 5m`, a line each.
fn lines(outlook: &Outlook) -> Vec<String> {
    let Outlook { raise, close, lower, kept_back, .. } = outlook;
    let mut out = Vec::new();
    for (verb, Changes { count, list }) in [("raise", raise), ("close", close), ("lower", lower)] {
        assert_eq!(*count, list.len());
        for one in list {
            let mount = one.instance.trim_start_matches("fs{mount=").trim_end_matches('}');
            let from = one.from.map(|from| format!(" from {from:?}")).unwrap_or_default();
            let after = if one.after > 0 { format!(" in {}s", one.after / SECOND) } else { String::new() };
            out.push(format!("{verb} {:?} {mount}{from}{after}", one.severity));
        }
    }
    if *kept_back > 0 {
        out.push(format!("{kept_back} kept back"));
    }
    out
}

#[test]
fn what_a_swap_would_do_is_foreseen_and_the_living_engine_is_not_touched() {
    let window = "[[window]]\nid = \"w\"\nevery = \"daily 00:00-24:00\"\ntz = \"UTC\"\n";
    let with = |from: &str, to: &str| RULE.replace(from, to);
    let off = "[[override]]\nrule = \"t-full\"\nmatch = { mount = [\"/b\"] }\nset = { enabled = false }\n";
    let steps = "[[rule]]\nid = \"t-full\"\non = \"fs\"\nfor = \"0s\"\nstep = [\n\
                 { raise = \"fs.used > 90%\", clear = \"fs.used < 80%\" },\n\
                 { severity = \"critical\", for = \"3m\", raise = \"fs.used > 95%\", clear = \"fs.used < 80%\" } ]\n";
    let both = |text: &str| format!("{text}{window}");
    for (what, old, new, expected) in [
        ("nothing", RULE.to_owned(), format!("# a comment\n{RULE}"), &[][..]),
        ("a lower limit", RULE.to_owned(), with("90%", "40%").replace("80%", "30%"), &["raise Warning /a"]),
        (
            "a lower limit that waits",
            RULE.to_owned(),
            with("90%", "40%").replace("80%", "30%").replace("for = \"0s\"", "for = \"5m\""),
            &["raise Warning /a in 300s"],
        ),
        (
            "a lower limit of a rule that looks only now and then",
            format!("{RULE}every = \"1d\"\n"),
            format!("{}every = \"1d\"\n", with("90%", "40%").replace("80%", "30%")),
            &["raise Warning /a"],
        ),
        ("a higher limit", RULE.to_owned(), with("90%", "95%").replace("80%", "94%"), &["close Warning /b"]),
        (
            "a higher limit that waits",
            RULE.to_owned(),
            with("90%", "95%").replace("80%", "94%").replace("keep = \"0s\"", "keep = \"10m\""),
            &["close Warning /b in 600s"],
        ),
        ("the rule is gone", RULE.to_owned(), String::new(), &["close Warning /b", "close Warning /c"]),
        (
            "other instances",
            RULE.to_owned(),
            format!("{RULE}match = {{ mount = [\"/b\"] }}\n"),
            &["close Warning /c"],
        ),
        ("an override", RULE.to_owned(), format!("{RULE}{off}"), &["close Warning /b"]),
        (
            "a higher severity",
            RULE.to_owned(),
            format!("{RULE}severity = \"critical\"\n"),
            &["raise Critical /b from Warning", "raise Critical /c from Warning"],
        ),
        (
            "a lower severity",
            format!("{RULE}severity = \"critical\"\n"),
            RULE.to_owned(),
            &["lower Warning /b from Critical", "lower Warning /c from Critical"],
        ),
        ("a step above", RULE.to_owned(), steps.to_owned(), &["raise Critical /c from Warning in 180s"]),
        ("within a window", both(RULE), both(&with("90%", "40%")), &["1 kept back"]),
        ("the window is gone", both(RULE), RULE.to_owned(), &["raise Warning /b", "raise Warning /c"]),
    ] {
        let (engine, now) = watched(&old);
        let before = format!("{engine:?}");
        let outlook = engine.clone().foresee(now, Prepared::new(config(&new).plan), &[]);
        assert_eq!(lines(&outlook), expected, "{what}");
        assert_eq!(format!("{engine:?}"), before, "{what}: only the copy has moved");
    }
}

#[test]
fn what_a_door_will_see_no_more_is_closed_as_well() {
    let (engine, now) = watched(RULE);
    let lost = [Instance::of(Class::Fs, &[("mount", "/c"), ("fstype", "ext4")])];
    let outlook = engine.clone().foresee(now, Prepared::new(config(RULE).plan), &lost);
    assert_eq!(lines(&outlook), ["close Warning /c"]);
    // With a limit that would raise it, it is gone all the same.
    let loud = RULE.replace("90%", "40%").replace("80%", "30%");
    let outlook = engine.foresee(now, Prepared::new(config(&loud).plan), &lost);
    assert_eq!(lines(&outlook), ["raise Warning /a", "close Warning /c"]);
}

#[test]
fn what_is_foreseen_is_what_happens() {
    let loud = RULE.replace("90%", "40%").replace("80%", "30%");
    for (old, new) in [(RULE, loud.as_str()), (loud.as_str(), RULE), (RULE, "")] {
        let (mut engine, now) = watched(old);
        let outlook = engine.clone().foresee(now, Prepared::new(config(new).plan), &[]);
        let open = |engine: &Engine| engine.incidents.incidents().filter(|i| i.state.is_open()).count();
        let before = open(&engine);
        let carried = engine.swap(now, Prepared::new(config(new).plan), &mut Step::default());
        see(&mut engine, now.plus(MINUTE), &MOUNTS);
        assert_eq!(open(&engine), before + outlook.raise.count - outlook.close.count);
        assert_eq!(carried, outlook.carried);
    }
}

/// Rows as a store keeps them.
type Rows = BTreeMap<(String, String), String>;

fn keep(rows: &mut Rows, step: &Step) {
    for row in &step.state {
        let key = (row.kind.to_owned(), row.key.clone());
        match &row.body {
            Some(body) => rows.insert(key, body.clone()),
            None => rows.remove(&key),
        };
    }
}

#[test]
fn a_crash_before_or_after_the_commit_of_a_swap_leads_to_the_same_end() {
    let next = RULE.replace("90%", "95%").replace("80%", "94%") + "match = { mount = [\"/a\", \"/b\"] }\n";
    let end = |is_committed: bool| {
        let (mut engine, mut now, mut rows) =
            (Engine::new(config(RULE).plan, 7), Moment::at(START), Rows::new());
        for _ in 0..5 {
            now = now.plus(MINUTE);
            keep(&mut rows, &see(&mut engine, now, &MOUNTS));
        }
        let mut step = Step::default();
        engine.swap(now.plus(SECOND), Prepared::new(config(&next).plan), &mut step);
        assert!(!step.is_empty(), "one ends with the swap");
        if is_committed {
            keep(&mut rows, &step);
        }
        // The new process reads what is on disk: the new set.
        let mut engine = Engine::new(config(&next).plan, 8);
        let saved = rows.into_iter().map(|((kind, key), body)| (kind, key, body)).collect();
        assert_eq!(engine.restore(now.plus(10 * SECOND), saved, 99), Vec::<String>::new());
        for minute in 1..20 {
            see(&mut engine, now.plus(minute * MINUTE), &MOUNTS);
            engine.handle_timeout(now.plus(minute * MINUTE), &mut Step::default());
        }
        let one = |i: &sexton::engine::record::Incident| {
            (i.number.clone(), i.instance.clone(), i.state, i.counters.reopens)
        };
        engine.incidents.incidents().map(one).collect::<Vec<_>>()
    };
    let (before, after) = (end(false), end(true));
    assert_eq!(before, after);
    assert_eq!(before.len(), 2, "never twice");
    assert!(before.iter().all(|(_, _, state, _)| !state.is_open()), "both have ended: {before:?}");
}

/// Rules about one mount each.
fn many(rules: usize, mounts: usize, limit: u32) -> String {
    let mut text = String::new();
    for i in 0..rules {
        let _ = write!(
            text,
            "[[rule]]\nid = \"t-{i:05}\"\non = \"fs\"\nmatch = {{ mount = [\"/m{}\"] }}\nfor = \"0s\"\n\
             raise = \"avg(fs.used, 10m) > {limit}%\"\nclear = \"avg(fs.used, 10m) < 10%\"\n",
            i % mounts
        );
    }
    text
}

#[test]
fn ten_thousand_rules_keep_their_state_and_windows_over_a_change_of_every_limit() {
    for mounts in [1, 1000] {
        let names: Vec<String> = (0..mounts).map(|i| format!("/m{i}")).collect();
        let seen: Vec<(&str, f64)> = names.iter().map(|name| (name.as_str(), 0.5)).collect();
        let (old, new) = (config(&many(10_000, mounts, 90)), config(&many(10_000, mounts, 91)));
        let (mut engine, mut now) = (Engine::new(Arc::clone(&old.plan), 7), Moment::at(START));
        for _ in 0..2 {
            now = now.plus(MINUTE);
            see(&mut engine, now, &seen);
        }
        let mut prepared = Prepared::new(new.plan);
        assert!(engine.rules.wants_of_history(&mut prepared).is_empty(), "the windows are the same");
        let outlook = engine.clone().foresee(now, prepared.clone(), &[]);
        assert_eq!(lines(&outlook), [""; 0]);
        let carried = engine.swap(now, prepared, &mut Step::default());
        // Each rule has a companion that says when nothing is seen: that one is the same.
        let expected =
            Carried { kept: 10_000, judged_anew: 10_000, windows_kept: mounts, ..Carried::default() };
        assert_eq!(carried, expected, "on {mounts} mounts");
    }
}
