//! What is listed and shown, and that what is shown is the rule.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use super::*;
use crate::cli::doors::doors;
use crate::engine::plan::{Plan, Rule};
use crate::engine::record::Severity;
use crate::engine::signal::{Class, Instance};

fn facts() -> HostFacts {
    HostFacts { machine_id: "0123".into(), hostname: "web-01".into() }
}

fn terminal(lines: Option<usize>) -> Terminal {
    Terminal { colour: false, unicode: true, width: 80, lines }
}

fn args(config: impl Into<PathBuf>, verb: RulesVerb) -> RulesArgs {
    RulesArgs { config: config.into(), json: false, verb: Some(verb) }
}

fn ask(args: &RulesArgs) -> Result<String, (u8, String)> {
    rules(args, &doors(), &facts(), terminal(None))
}

fn show(config: impl Into<PathBuf>, id: &str, origin: bool) -> String {
    ask(&args(config, RulesVerb::Show { id: id.to_owned(), origin })).unwrap()
}

fn list(config: impl Into<PathBuf>, globs: &[&str]) -> Result<String, (u8, String)> {
    let globs = globs.iter().map(|g| (*g).to_owned()).collect();
    ask(&args(config, RulesVerb::List { globs }))
}

/// A configuration directory with one drop-in.
fn home(drop_in: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("rules.d")).unwrap();
    fs::write(dir.path().join("sexton.toml"), "[defaults]\nkeep = \"7m\"\n").unwrap();
    fs::write(dir.path().join("rules.d/10-own.toml"), drop_in).unwrap();
    dir
}

fn rule<'p>(plan: &'p Plan, id: &str) -> &'p Arc<Rule> {
    plan.rules.iter().find(|rule| rule.id == id).unwrap_or_else(|| panic!("no rule {id}"))
}

#[test]
fn what_is_shown_is_read_back_as_the_same_rule() {
    let mut mains: Vec<_> = fs::read_dir("config/examples").unwrap().map(|e| e.unwrap().path()).collect();
    mains.push("config/sexton.toml".into());
    let mut shown = 0;
    for main in mains {
        let (config, origins) = config::load_with_origins(&main, &doors(), &facts()).unwrap();
        let text = fs::read_to_string(&main).unwrap();
        let is_plain = |rule: &Rule| {
            rule.silence.of.is_none() && config.plan.overrides.iter().all(|o| o.edits(rule).is_none())
        };
        let own = config.plan.rules.iter().filter(|rule| !rule.origin.starts_with("built-in"));
        for rule in own.filter(|rule| is_plain(rule)) {
            let copy = show::show(&config, &origins, &rule.id, true, false).unwrap();
            let again = config::load_texts(&[("m", &text), ("copy", &copy)], &doors(), &facts());
            let again = again.unwrap_or_else(|all| panic!("{copy}\n{}", all.render(false)));
            assert_eq!(self::rule(&again.plan, &rule.id).hash, rule.hash, "{}: {copy}", main.display());
            shown += 1;
        }
    }
    assert!(shown > 30, "{shown} rules were compared");
}

const OWN: &str = r#"
[template.slow]
keep = "1h"
[[rule]]
id = "data"
extends = "slow"
on = "fs"
let = { left = "eta(fs.used, 100%, 6h)" }
nature = "capacity"
step = [
  { severity = "warning", raise = "fs.used > 80% and left < 3d", clear = "fs.used < 75%" },
  { severity = "critical", raise = "fs.used > 95%", clear = "fs.used < 90%", for = "90s" },
]
[[override]]
rule = "data"
match = { mount = "/a*" }
set = { severity = "info", for = "1h", labels = { team = "a", site = "x" } }
[[override]]
rule = "da*"
set = { severity = "critical", labels = { team = "all" } }
[[override]]
rule = "data"
match = { mount = "/a/b" }
set = { enabled = false }
[[rule]]
id = "load-high"
enabled = false
[[override]]
rule = "cpu-steal"
set = { enabled = false }
"#;

#[test]
fn overrides_keep_their_order_in_a_copy() {
    let dir = home(OWN);
    let copy = show(dir.path(), "data", false);
    let before = config::load(dir.path(), &doors(), &facts()).unwrap();
    let alone = config::load_texts(&[("m", ""), ("copy", &copy)], &doors(), &facts()).unwrap();
    for mount in ["/", "/a", "/a/b"] {
        let instance = Instance::of(Class::Fs, &[("mount", mount)]);
        let says = |plan: &Plan| {
            plan.effective(rule(plan, "data"), &instance).map(|rule| {
                let steps: Vec<_> = rule.steps.iter().map(|s| (s.severity, s.for_, s.keep)).collect();
                (steps, rule.labels.clone())
            })
        };
        assert_eq!(says(&alone.plan), says(&before.plan), "{mount}: {copy}");
    }
    assert!(copy.contains("# only where mount \"/a*\":"), "{copy}");
    assert!(!copy.contains("set.severity") && copy.contains("set.labels.site"), "later for all: {copy}");
}

#[test]
fn every_key_says_where_it_comes_from() {
    let dir = home(OWN);
    let shown = show(dir.path(), "data", true);
    let file = dir.path().join("rules.d/10-own.toml").display().to_string();
    for (key, place) in [
        ("id = ", format!("# {file}:5")),
        ("keep = \"1h\"", format!("# {file}:3 template slow")),
        ("severity = ", format!("# {file}:20 override")),
        ("labels.team = ", format!("# {file}:20 override")),
        ("for = \"1m 30s\"", format!("# {file}:12")),
        ("for = \"1m\"", "# built-in/sexton.toml:74 [defaults]".to_owned()),
        ("reopen = \"1d\"", "# default".to_owned()),
        ("set.for = \"1h\"", format!("# {file}:17 override")),
        ("set.enabled = false", format!("# {file}:24 override")),
    ] {
        let line =
            shown.lines().find(|line| line.starts_with(key)).unwrap_or_else(|| panic!("{key}: {shown}"));
        assert!(line.ends_with(&place), "{line}\n{place}");
    }
    let plain = home("[[rule]]\nid = \"x\"\non = \"host\"\nraise = \"cpu.busy > 1%\"\n");
    let plain = show(plain.path(), "x", true);
    assert!(plain.lines().any(|l| l.starts_with("keep = \"7m\"") && l.ends_with(":2 [defaults]")), "{plain}");
    let clear = plain.lines().find(|l| l.starts_with("clear = \"cpu.busy <= 0.95%\""));
    assert!(clear.is_some_and(|l| l.ends_with("# default")), "{plain}");
    assert!(shown.contains("# impact: not written, so the tier of the service, else 3"), "{shown}");
}

#[test]
fn what_is_off_is_listed_and_says_where() {
    let dir = home(OWN);
    let listed = list(dir.path(), &["load-*", "cpu-steal", "data"]).unwrap();
    let state = |id: &str| {
        let line =
            listed.lines().find(|l| l.trim_start().starts_with(id)).unwrap_or_else(|| panic!("{listed}"));
        line.to_owned()
    };
    assert!(state("load-high").contains("  off  "), "{listed}");
    assert!(state("cpu-steal").contains("  off  "), "{listed}");
    assert!(state("data").contains("on, edited"), "{listed}");
    assert!(state("data").contains("rules.d/10-own.toml:4"), "{listed}");
    assert!(
        listed.ends_with("\n3 rules, 2 off; sexton rules show RULE --origin has every key\n"),
        "{listed}"
    );
    for (id, line) in [("load-high", 27), ("cpu-steal", 30)] {
        let shown = show(dir.path(), id, true);
        let off = shown.lines().find(|l| l.starts_with("enabled = false")).unwrap();
        assert!(off.contains(&format!("10-own.toml:{line}")), "{off}");
        assert!(shown.contains("# It is switched off: "), "{shown}");
    }
    let brought_back = home(&format!(
        "{OWN}[[rule]]\nid = \"io\"\nenabled = false\non = \"host\"\nraise = \"cpu.busy > 1%\"\nclear = \"cpu.busy < 1%\"\n"
    ));
    assert!(list(brought_back.path(), &["io"]).unwrap().contains("  off  "));
}

#[test]
fn an_override_for_some_mounts_edits_no_rule_that_is_about_something_else() {
    let all_but =
        "[[override]]\nrule = \"*\"\nmatch = { mount = [\"!/srv*\"] }\nset = { severity = \"info\" }\n";
    let dir = home(all_but);
    let listed = list(dir.path(), &["load-high", "fs-full"]).unwrap();
    let state = |id: &str| listed.lines().find(|line| line.trim_start().starts_with(id)).unwrap().to_owned();
    assert!(state("fs-full").contains("on, edited"), "{listed}");
    assert!(!state("load-high").contains("edited"), "{listed}");
    let plan = config::load(dir.path(), &doors(), &facts()).unwrap().plan;
    for (id, class, labels, edited) in [
        ("load-high", Class::Host, &[][..], false),
        ("fs-full", Class::Fs, &[("mount", "/"), ("fstype", "ext4")], true),
        ("fs-full", Class::Fs, &[("mount", "/srv/a"), ("fstype", "ext4")], false),
    ] {
        let severity =
            plan.effective(rule(&plan, id), &Instance::of(class, labels)).unwrap().steps[0].severity;
        assert_eq!(severity == Severity::Info, edited, "{id} {labels:?}");
    }
}

#[test]
fn names_are_globs_or_classes_and_strangers_get_a_word() {
    let config = "config/examples/30-overrides.toml";
    let units = list(config, &["unit"]).unwrap();
    assert!(units.contains("unit-failed") && !units.contains("fs-full"), "{units}");
    assert_eq!(
        list(config, &["fs-ful"]).unwrap_err(),
        (FINDING, "no rule matches `fs-ful`; did you mean `fs-full`?".into())
    );
    let unknown = ask(&args(config, RulesVerb::Show { id: "fs-ful".into(), origin: false })).unwrap_err();
    assert_eq!(unknown.0, FINDING);
    assert!(unknown.1.contains("did you mean `fs-full`?"), "{}", unknown.1);
    let broken = list("tests/config/bad/misspelt-keys.toml", &[]).unwrap_err();
    assert!(broken.0 == FINDING && broken.1.contains("did you mean"), "{}", broken.1);
    assert_eq!(list("tests/config/none.toml", &[]).unwrap_err().0, COULD_NOT_RUN);
}

#[test]
fn a_companion_is_shown_as_what_it_is() {
    let shown = show("config/sexton.toml", "check-down/nodata", true);
    assert!(shown.contains("It comes with rule check-down"), "{shown}");
    assert!(
        shown.lines().all(|line| line.is_empty() || line.starts_with('#')),
        "nobody can write it: {shown}"
    );
}

#[test]
fn lines_fit_the_terminal_and_json_has_everything() {
    let config = args("config/sexton.toml", RulesVerb::List { globs: Vec::new() });
    let narrow = rules(&config, &doors(), &facts(), terminal(Some(80))).unwrap();
    assert!(narrow.lines().all(|line| line.chars().count() <= 80), "{narrow}");
    let json = |args: RulesArgs| {
        let text = ask(&RulesArgs { json: true, ..args }).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap()
    };
    let listed = json(config);
    let full = listed["rules"].as_array().unwrap().iter().find(|r| r["id"] == "fs-full").unwrap();
    assert_eq!((&full["class"], &full["enabled"]), (&"fs".into(), &true.into()));
    assert_eq!(full["steps"][1]["severity"], "critical");
    assert!(full["steps"][0]["raise"].as_str().unwrap().contains("left < 3d"));
    let shown = json(args("config/sexton.toml", RulesVerb::Show { id: "fs-full".into(), origin: true }));
    assert_eq!(shown["tables"][2]["table"], "[[rule.step]]");
    assert!(shown["tables"][0]["keys"][0]["origin"].as_str().unwrap().starts_with("config/sexton.toml:"));
}
