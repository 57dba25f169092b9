//! The built-in rules, proven: trace in, journal out.
//!
//! `rules/<rule>.txt` holds the cases of one built-in rule. A case is a trace (see `rules/trace.rs`) and what
//! the real engine makes of it with the whole built-in configuration and the real doors: each line with `>`
//! is one transition of an incident, of whatever rule. A rule without its cases fails, and so does a case
//! whose journal does not show what its name promises. `REWRITE=1 cargo test --test rules` writes the
//! journals anew, for a person to read before they are committed.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::sync::Arc;

use sexton::config::test::{Expected, Piece, RuleTest};
use sexton::config::{self, Config, HostFacts};
use sexton::engine::core::Engine;
use sexton::engine::effect::Step;
use sexton::engine::moment::{DAY, Moment, SECOND, Stamp};
use sexton::engine::record::{Incident, Nature, Record};
use sexton::workshop::prove::prove;

#[path = "rules/quiet.rs"]
mod quiet;
#[path = "rules/trace.rs"]
mod trace;
use trace::Trace;

const FOLDER: &str = "tests/rules";
/// Every built-in rule has these; further ones may have any name.
const CASES: [&str; 5] = ["raise", "clear", "gap when well", "gap when raised", "hover"];
/// When every trace begins.
const START: Moment = Moment::at(20_000 * DAY);

fn built_in() -> Config {
    let facts = HostFacts { machine_id: "0123456789abcdef".into(), hostname: "web-01".into() };
    config::load_texts(&[], &sexton::cli::doors::doors(), &facts)
        .expect("the built-in configuration is right")
}

/// A transition of an incident.
#[derive(Clone, Debug, PartialEq)]
struct Transition {
    incident: String,
    kind: String,
    rule: String,
    line: String,
}

/// Plays a trace against the built-in rules.
fn play(config: &Config, trace: &Trace) -> Vec<Transition> {
    let mut engine = Engine::new(Arc::clone(&config.plan), 1);
    let mut seen = Vec::new();
    let mut take = |step: Step| {
        for record in &step.records {
            if let Record::Incident(incident) = record {
                seen.extend(transitions(incident));
            }
        }
    };
    for t in (0..=trace.lasts()).step_by(SECOND as usize) {
        while let Some(due) = engine.poll_timeout().filter(|due| *due <= START.mono + t) {
            let mut step = Step::default();
            engine.handle_timeout(Moment::at(due.max(START.mono)), &mut step);
            take(step);
        }
        let batch = trace.at(START, t);
        if !batch.is_empty() {
            let mut step = Step::default();
            engine.observe(START.plus(t), &batch, &mut step);
            take(step);
        }
    }
    seen
}

fn transitions(incident: &Incident) -> Vec<Transition> {
    let news = incident.timeline.iter().filter(|e| e.rev == incident.rev);
    let told = news.filter(|e| ["raised", "reopened", "step", "resolved", "flapping"].contains(&&*e.kind));
    let after = |at: Stamp| {
        let seconds = (at.0 - START.wall) / SECOND;
        format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
    };
    let line = |kind: &str| {
        let Incident { rule, instance, severity, priority, title, .. } = incident;
        let mut line = format!("{} {kind:<8} {}", after(incident.at), rule.id);
        if kind == "resolved" {
            let since = incident.resolved_at.map_or_else(String::new, after);
            let _ = write!(line, " on {instance} since {since}");
        } else {
            let severity = format!("{severity:?}").to_lowercase();
            let _ = write!(line, " on {instance} {severity} {priority:?}: {title}");
        }
        line
    };
    let transition = |kind: &String| Transition {
        incident: incident.number.clone(),
        kind: kind.clone(),
        rule: incident.rule.id.clone(),
        line: line(kind),
    };
    told.map(|e| transition(&e.kind)).collect()
}

/// What the name of a case promises of its rule.
fn promise(case: &str, trace: &Trace, of_rule: &[&Transition]) -> Result<(), String> {
    let kinds: Vec<_> = of_rule.iter().map(|t| t.kind.as_str()).collect();
    let incidents: BTreeSet<_> = of_rule.iter().map(|t| &t.incident).collect();
    let ends = kinds.iter().filter(|k| **k == "resolved").count();
    let expect = |fine: bool, what: &str| if fine { Ok(()) } else { Err(format!("`{case}` {what}")) };
    match case {
        "raise" => expect(incidents.len() == 1 && ends == 0, "raises and does not end"),
        "clear" => expect(incidents.len() == 1 && kinds.last() == Some(&"resolved"), "raises and ends"),
        "gap when well" => {
            expect(trace.has_gap(), "has a minute without values")?;
            expect(of_rule.is_empty(), "raises nothing")
        }
        "gap when raised" => {
            expect(trace.has_gap(), "has a minute without values")?;
            expect(incidents.len() == 1 && ends == 0, "raises and does not end in the gap")
        }
        "hover" => {
            let again = kinds.contains(&"reopened") && !trace.is_told();
            expect(incidents.len() == 1 && !again, "is one incident that is not reopened")
        }
        _ if case.ends_with("raises nothing") => expect(of_rule.is_empty(), "raises something"),
        _ if case.ends_with("one incident") => expect(incidents.len() == 1, "is not one incident"),
        _ => Ok(()),
    }
}

/// Plays all cases of a text; returns it with the journals that came of them, and which promises were broken.
fn replay(config: &Config, rule: &str, text: &str) -> (String, Vec<String>) {
    let (mut out, mut broken, mut cases) = (String::new(), Vec::new(), BTreeSet::new());
    let mut parts = text.split("== ");
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (name, body) = part.split_once('\n').unwrap_or((part, ""));
        let mut trace = Trace::default();
        let _ = writeln!(out, "== {name}");
        let given: Vec<_> = body.lines().filter(|l| !l.starts_with('>')).collect();
        for line in given.iter().filter(|l| !l.starts_with('#')) {
            trace.line(line);
        }
        let seen = play(config, &trace);
        let of_rule: Vec<_> = seen.iter().filter(|t| t.rule == rule).collect();
        broken.extend(promise(name, &trace, &of_rule).err());
        let blank = given.iter().rev().take_while(|l| l.is_empty()).count();
        let (given, blank) = given.split_at(given.len() - blank);
        let journal = seen.iter().map(|t| format!("> {}", t.line));
        let lines =
            given.iter().map(|l| (*l).to_owned()).chain(journal).chain(blank.iter().map(|l| (*l).to_owned()));
        lines.for_each(|line| out.push_str(&(line + "\n")));
        cases.insert(name);
    }
    let missing = CASES.iter().filter(|c| !cases.contains(**c));
    broken.extend(missing.map(|c| format!("there is no case `{c}`")));
    (out, broken)
}

#[test]
fn every_built_in_rule_does_what_its_cases_say() {
    let config = built_in();
    let rewrite = std::env::var_os("REWRITE").is_some();
    let mut wrong = Vec::new();
    // Companions are made, and shown with the rule that they speak for.
    for rule in config.plan.rules.iter().filter(|r| r.silence.of.is_none()) {
        let file = format!("{FOLDER}/{}.txt", rule.id);
        let Ok(text) = fs::read_to_string(&file) else {
            wrong.push(format!("{file}: a built-in rule without cases: write {}", CASES.join(", ")));
            continue;
        };
        let (played, broken) = replay(&config, &rule.id, &text);
        wrong.extend(broken.into_iter().map(|what| format!("{file}: {what}")));
        if played != text && rewrite {
            fs::write(&file, &played).expect("the journals can be written");
        } else if played != text {
            wrong.push(format!("{file}: the journal is another one:\n{}", differences(&text, &played)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_tests_that_are_shipped_hold_and_leave_no_rule_out() {
    let facts = HostFacts { machine_id: "0123456789abcdef".into(), hostname: "web-01".into() };
    let config = config::load_builtin(&sexton::cli::doors::doors(), &facts)
        .unwrap_or_else(|all| panic!("{}", all.render(false)));
    let mut wrong = Vec::new();
    for rule in config.plan.rules.iter().filter(|r| r.silence.of.is_none()) {
        for name in ["raise and clear", "gap", "hover"] {
            let found = config.tests.iter().find(|t| t.rule == rule.id && t.name == name);
            match found {
                Some(test) => wrong.extend(unkept(test).map(|what| format!("{}: {name}: {what}", rule.id))),
                None => wrong.push(format!("{}: no [[test]] `{name}` in config/tests.toml", rule.id)),
            }
        }
    }
    for proof in config.tests.iter().map(|test| prove(test, &config.plan)).filter(|p| !p.passed()) {
        wrong.push(format!("{}: {} ({}) fails: {:?}", proof.rule, proof.name, proof.place, proof.checks));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What the name of a shipped test promises and its table does not ask for.
fn unkept(test: &RuleTest) -> Option<&'static str> {
    let states: Vec<_> = test.expect.iter().map(|e| e.state).collect();
    let last = states.last() == Some(&Expected::Raised);
    let is_one = test.incidents == Some(1);
    let has_gap = test.series.iter().any(|s| s.pieces.iter().any(|p| matches!(p, Piece::Missing(_))));
    match test.name.as_str() {
        "raise and clear"
            if states != [Expected::Ok, Expected::Raised, Expected::Ok]
                && states != [Expected::Ok, Expected::Raised, Expected::Raised, Expected::Ok] =>
        {
            Some("is well, raised and well again")
        }
        "gap" if !has_gap || !last => Some("is raised behind a gap"),
        "hover" if !last => Some("is raised to the end"),
        _ if !is_one => Some("is one incident"),
        _ => None,
    }
}

#[test]
fn every_file_of_cases_has_its_rule() {
    let config = built_in();
    for entry in fs::read_dir(FOLDER).expect("the folder can be read") {
        let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        if let Some(rule) = name.strip_suffix(".txt") {
            assert!(config.plan.rules.iter().any(|r| r.id == rule), "{name}: there is no such rule");
        }
    }
}

#[test]
fn a_check_that_never_says_anything_is_an_incident_of_monitoring() {
    let facts = HostFacts { machine_id: "0123456789abcdef".into(), hostname: "web-01".into() };
    let check = "[[check]]\nid = \"front\"\nkind = \"tcp\"\naddress = \"127.0.0.1:1\"\n";
    let config = config::load_texts(&[("main", check)], &sexton::cli::doors::doors(), &facts).expect("right");
    let mut engine = Engine::new(Arc::clone(&config.plan), 1);
    engine.restore(START, Vec::new(), 0);
    let (mut step, due) = (Step::default(), START.plus(15 * 60 * SECOND));
    engine.handle_timeout(due.plus(-1), &mut step);
    assert_eq!(step.records.len(), 0);
    engine.handle_timeout(due, &mut step);
    let [Record::Incident(incident)] = &step.records[..] else { panic!("{:?}", step.records) };
    assert_eq!(incident.title, "front: no data for 15m, rule check-down is blind");
    assert_eq!((incident.nature, incident.rule.id.as_str()), (Nature::Monitoring, "check-down/nodata"));
    assert!(
        incident.description.starts_with("Seen: no value of check.up for 15m\n"),
        "{}",
        incident.description
    );
    assert!(incident.description.contains("What to do:"));
}

#[test]
fn what_is_unknown_says_why() {
    let mut engine = Engine::new(built_in().plan, 1);
    let mut trace = Trace::default();
    for line in ["host every 10s", "cpu.busy 5%", "psi.mem.full none", "psi.mem.some none", "mem.used 40%"] {
        trace.line(line);
    }
    engine.observe(START, &trace.at(START, 0), &mut Step::default());
    let reason = |rule: &str| engine.rules.standing().into_iter().find(|s| s.rule == rule)?.reason;
    assert_eq!(reason("cpu-saturated").as_deref(), Some("too few samples in its window yet"));
    assert_eq!(reason("mem-pressure").as_deref(), Some("no value of psi.mem.full, psi.mem.some"));
    assert_eq!(reason("mem-low"), None);
}

fn differences(before: &str, after: &str) -> String {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (before, after) = (lines(before), lines(after));
    let minus = before.iter().filter(|l| !after.contains(l)).map(|l| format!("  - {l}"));
    let plus = after.iter().filter(|l| !before.contains(l)).map(|l| format!("  + {l}"));
    minus.chain(plus).collect::<Vec<_>>().join("\n")
}
