//! Configuration end to end: files in, a plan or messages out.
//!
//! `config/bad/` holds files that are wrong, named by symptom; the whole message of each is a snapshot, for a
//! person to read whether it helps. `config/doubtful/` holds files that work but raise a warning.

use std::fs;
use std::path::{Path, PathBuf};

use sexton::cli::doors::doors;
use sexton::config::diagnose::{Diagnostic, Diagnostics};
use sexton::config::{self, BUILTIN, Config, HostFacts};

#[path = "config/garbage.rs"]
mod garbage;
#[path = "config/layers.rs"]
mod layers;
#[path = "config/templates.rs"]
mod templates;
#[path = "config/verb.rs"]
mod verb;

fn facts() -> HostFacts {
    HostFacts { machine_id: "0123456789abcdef0123456789abcdef\n".into(), hostname: "web-01.example".into() }
}

fn load(path: impl AsRef<Path>) -> Result<Config, Diagnostics> {
    config::load(path.as_ref(), &doors(), &facts())
}

/// The main file and drop-ins from texts.
fn texts(texts: &[&str]) -> Result<Config, Diagnostics> {
    let named: Vec<_> = texts.iter().enumerate().map(|(i, t)| (format!("{i}.toml"), *t)).collect();
    let named: Vec<_> = named.iter().map(|(n, t)| (n.as_str(), *t)).collect();
    config::load_texts(&named, &doors(), &facts())
}

/// What must load, with its messages if it does not.
fn good(result: Result<Config, Diagnostics>) -> Config {
    result.unwrap_or_else(|all| panic!("{}", rendered(&all.items)))
}

fn rendered(items: &[Diagnostic]) -> String {
    items.iter().map(|d| d.render(false)).collect::<Vec<_>>().join("\n\n")
}

/// Entries of a directory in order.
fn entries(dir: &str) -> Vec<PathBuf> {
    let mut all: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    all.sort();
    all
}

fn snapshot(path: &Path, text: &str) {
    snapshot_in("config/snapshots", path, text);
}

fn snapshot_in(dir: &str, path: &Path, text: &str) {
    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
    insta::with_settings!({
        snapshot_path => dir,
        prepend_module_to_snapshot => false,
        omit_expression => true,
        description => path.display().to_string(),
    }, { insta::assert_snapshot!(name, text) });
}

#[test]
fn every_bad_file_has_its_message() {
    let files = entries("tests/config/bad");
    assert!(files.len() >= 20, "{} files", files.len());
    for file in files {
        match load(&file) {
            Ok(config) => panic!("{} loads, with {} rules", file.display(), config.plan.rules.len()),
            Err(all) => snapshot(&file, &rendered(&all.items)),
        }
    }
}

#[test]
fn every_doubtful_file_works_and_says_so() {
    for file in entries("tests/config/doubtful") {
        let config = good(load(&file));
        assert!(!config.warnings.is_empty(), "{}", file.display());
        snapshot(&file, &rendered(&config.warnings));
    }
}

/// What people write who come from Prometheus, Zabbix, Monit or Nagios, each with all it is told. Every
/// message is to say where, what, and what instead.
#[test]
fn every_mistake_of_a_newcomer_is_answered() {
    let files: Vec<_> = entries("tests/config/newcomer")
        .into_iter()
        .filter(|f| f.extension().is_some_and(|e| e == "toml"))
        .collect();
    assert!(files.len() >= 30, "{} mistakes", files.len());
    for file in files {
        let said = match load(&file) {
            Ok(config) => config.warnings,
            Err(all) => all.items,
        };
        assert!(!said.is_empty(), "{}: nothing is said", file.display());
        for one in &said {
            let instead =
                one.help.len() + one.also.len() + one.at.iter().filter(|at| !at.label.is_empty()).count();
            let names = ["units are", "to 3", "such as"].iter().any(|words| one.message.contains(words));
            assert!(one.at.is_some(), "{}: where? {}", file.display(), one.message);
            assert!(instead > 0 || names, "{}: what instead? {}", file.display(), one.message);
        }
        snapshot_in("config/newcomer/snapshots", &file, &rendered(&said));
    }
}

#[test]
fn tabs_line_ends_of_windows_and_a_byte_order_mark_change_nothing() {
    let text = fs::read_to_string("config/examples/20-rules.toml").unwrap();
    let foreign = format!("\u{feff}{}", text.replace(" = ", "\t=\t").replace('\n', "\r\n"));
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("sexton.toml"), &foreign).unwrap();
    let config = good(load(dir.path()));
    assert_eq!((rendered(&config.warnings).as_str(), config.hash), ("", good(texts(&[&text])).hash));
}

#[test]
fn a_rule_file_with_another_ending_is_told_of() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("rules.d")).unwrap();
    for name in [
        "sexton.toml",
        "rules.d/10.conf",
        "rules.d/20.toml.txt",
        "rules.d/30.TOML",
        "rules.d/README.txt",
        "rules.d/40.toml~",
    ] {
        fs::write(dir.path().join(name), "").unwrap();
    }
    let told = |warnings: &[Diagnostic]| {
        let file = |d: &Diagnostic| d.file.as_ref().and_then(|f| f.rsplit('/').next().map(str::to_owned));
        warnings.iter().filter_map(file).collect::<Vec<_>>()
    };
    assert_eq!(told(&good(load(dir.path())).warnings), ["10.conf", "20.toml.txt", "30.TOML"]);
    fs::write(dir.path().join("sexton.toml"), "x = 1").unwrap();
    let refused = load(dir.path()).unwrap_err();
    assert_eq!((refused.errors, refused.warnings, told(&refused.items).len()), (1, 3, 3));
}

#[test]
fn a_test_begins_at_a_date_of_toml_or_a_text() {
    let start = |written: &str| {
        let series = "series = { \"cpu.busy\" = \"95%x10\" }\nincidents = 0";
        let text = format!("[[test]]\nrule = \"load-high\"\nstart = {written}\n{series}\n");
        texts(&["", &text]).map(|c| c.tests.iter().find(|t| !t.place.is_builtin).unwrap().start.to_string())
    };
    for written in ["2025-03-01T12:00:00Z", "2025-03-01T13:00:00+01:00", "\"2025-03-01T12:00:00Z\""] {
        assert_eq!(start(written).unwrap(), "2025-03-01T12:00:00Z", "{written}");
    }
    let said = rendered(&start("2025-03-01").unwrap_err().items);
    assert!(said.contains("`start`: 2025-03-01 is no time with an offset"), "{said}");
}

/// The example of what nothing reads yet: it is sound, its test passes, and the doubt about it is that one.
#[test]
fn what_is_documented_ahead_is_ready() {
    let text = fs::read_to_string("docs/rules.md").unwrap();
    let (_, block) = text.split_once("```toml ahead\n").unwrap();
    let config = good(texts(&["", block.split("```").next().unwrap()]));
    let lints: Vec<_> = config.warnings.iter().filter_map(|w| w.lint).collect();
    assert_eq!((lints.as_slice(), config.warnings.len()), (&["binds-nothing"][..], 1));
    let test = config.tests.iter().find(|t| t.rule == "orders-queue-stuck").unwrap();
    let proof = sexton::workshop::prove::prove(test, &config.plan);
    assert!(proof.passed(), "{:?}", proof.trouble);
}

#[test]
fn no_message_shows_a_secret() {
    for file in entries("tests/config/bad").iter().filter(|f| f.to_string_lossy().contains("secret")) {
        let all = load(file).unwrap_err();
        let said = rendered(&all.items) + &serde_json::to_string(&all.items).unwrap();
        assert!(!said.contains("5c6b7a8990"), "{said}");
    }
}

#[test]
fn every_shipped_file_loads_without_a_doubt() {
    let builtin = good(texts(&[]));
    assert!(builtin.plan.rules.len() >= 20);
    assert_eq!(builtin.warnings, []);
    let main = fs::read_to_string("config/sexton.toml").unwrap();
    assert_eq!(main, BUILTIN);
    // The documentation as a main file of its own says the same again.
    assert_eq!(good(load("config/sexton.toml")).hash, builtin.hash);
    for file in entries("config/examples") {
        let config = good(load(&file));
        assert_eq!(rendered(&config.warnings), "", "{}", file.display());
    }
}

#[test]
fn what_stands_as_a_comment_or_in_the_documentation_loads() {
    let (_, tables) = BUILTIN.split_once("the tables, as comments\n").unwrap();
    let (tables, _) = tables.split_once("defaults of all rules\n").unwrap();
    let lines: Vec<_> =
        tables.lines().filter_map(|l| l.strip_prefix("# ")).filter(|l| !l.starts_with('-')).collect();
    let config = good(texts(&[&lines.join("\n")]));
    assert_eq!((config.checks.len(), config.destinations.len()), (1, 1));
    assert_eq!(rendered(&config.warnings), "");
    for file in
        ["README.md", "docs/configuration.md", "docs/forwarding.md", "docs/rules.md", "docs/workshop.md"]
    {
        let text = fs::read_to_string(file).unwrap();
        for block in text.split("```toml\n").skip(1) {
            let block = block.split("```").next().unwrap_or_default();
            let config = good(texts(&[block]));
            assert_eq!(rendered(&config.warnings), "", "{file}: {block}");
        }
    }
}

#[test]
fn every_built_in_rule_helps_whoever_gets_the_ticket() {
    for rule in &good(texts(&[])).plan.rules {
        assert!(!rule.title.is_empty(), "{} has no title", rule.id);
        assert!(rule.description.contains("What to do:"), "{} does not say what to do", rule.id);
        assert!(rule.category.contains('/') && !rule.category.ends_with("/general"), "{}", rule.id);
        assert_eq!(rule.hash.len(), 16, "{}", rule.id);
        assert!(rule.origin.starts_with("built-in/sexton.toml:"), "{}", rule.origin);
    }
}

#[test]
fn the_reference_names_every_rule_signal_and_function() {
    let rules = fs::read_to_string("docs/rules.md").unwrap();
    let names = |text: &str, name: &str| {
        let part = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        text.split(|c| !part(c)).any(|word| word == name)
    };
    // Companions are described as such.
    for rule in good(texts(&[])).plan.rules.iter().filter(|r| r.silence.of.is_none()) {
        assert!(names(&rules, &rule.id), "docs/rules.md lacks the rule {}", rule.id);
    }
    for signal in sexton::engine::signal::SIGNALS {
        assert!(names(&rules, signal.name), "docs/rules.md lacks the signal {}", signal.name);
    }
    for function in sexton::engine::func::FUNCTIONS {
        assert!(names(&rules, function.name), "docs/rules.md lacks the function {}", function.name);
    }
}
