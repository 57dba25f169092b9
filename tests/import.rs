//! Import end to end: files of other products in, a rule file out that the real loader takes, and a report of
//! all that is left. Every fixture's output and report is a snapshot, for a person to read.

use std::fs;
use std::path::{Path, PathBuf};

use sexton::cli::doors::doors;
use sexton::cli::import::report;
use sexton::config::{self, Config, HostFacts};
use sexton::import::draft::Fate;
use sexton::import::input::Reader;
use sexton::import::{Imported, Product, import};
use sexton::workshop::prove::prove;

#[path = "import/garbage.rs"]
mod garbage;
#[path = "import/pieces.rs"]
mod pieces;

fn facts() -> HostFacts {
    HostFacts { machine_id: "0123456789abcdef".into(), hostname: "web-01".into() }
}

fn paths(files: &[&str]) -> Vec<PathBuf> {
    files.iter().map(|f| Path::new("tests/import").join(f)).collect()
}

fn imported(product: Product, files: &[&str]) -> Imported {
    import(product, &mut Reader::new(&paths(files)), &doors(), &facts()).unwrap_or_else(|e| panic!("{e}"))
}

fn of_text(product: Product, text: &str) -> Imported {
    let mut reader = Reader::of_texts(&[("a.file", text)]);
    import(product, &mut reader, &doors(), &facts()).unwrap_or_else(|e| panic!("{e}"))
}

/// The file as the daemon would load it.
fn loaded(toml: &str) -> Config {
    config::load_texts(&[("sexton.toml", ""), ("rules.d/imported.toml", toml)], &doors(), &facts())
        .unwrap_or_else(|all| panic!("{}\n{toml}", all.render(false)))
}

fn snapshot(name: &str, text: &str) {
    insta::with_settings!({
        snapshot_path => "import/snapshots",
        prepend_module_to_snapshot => false,
        omit_expression => true,
    }, { insta::assert_snapshot!(name, text) });
}

const FIXTURES: [(&str, Product, &[&str]); 4] = [
    ("prometheus-node", Product::Prometheus, &["prometheus/node.yaml"]),
    ("prometheus-probes", Product::Prometheus, &["prometheus/probes.yml"]),
    ("monit", Product::Monit, &["monit/monitrc"]),
    ("nagios", Product::Nagios, &["nagios/site.cfg", "nagios/nrpe.cfg"]),
];

#[test]
fn every_fixture_is_carried_over_as_its_snapshot_says() {
    for (name, product, files) in FIXTURES {
        let made = imported(product, files);
        snapshot(name, &made.toml);
        snapshot(&format!("{name}-report"), &report(&made, None, false));
    }
}

#[test]
fn every_output_loads_and_nothing_is_dropped() {
    for (name, product, files) in FIXTURES {
        let made = imported(product, files);
        let config = loaded(&made.toml);
        assert_eq!(config.warnings.len(), made.lints.len(), "{name}");
        for rule in made.items.iter().flat_map(|i| &i.rules) {
            let known = config.plan.rules.iter().any(|r| r.id == rule.id);
            assert_eq!(known, rule.enabled, "{name}: {}", rule.id);
        }
        for item in &made.items {
            let short = item.place.short();
            assert!(made.toml.contains(&short), "{name}: {short} is not in the file");
            let is_said = item.fate() == Fate::Whole || !item.losses.is_empty();
            assert!(is_said, "{name}: {} has no reason", item.what);
        }
        let again = imported(product, files);
        assert_eq!(made.toml, again.toml, "{name}: the same input gives another file");
    }
}

#[test]
fn every_alert_service_and_test_of_the_fixtures_is_an_item() {
    let text = |file: &str| fs::read_to_string(Path::new("tests/import").join(file)).unwrap();
    let count = |text: &str, what: &str| text.lines().filter(|l| l.trim_start().starts_with(what)).count();
    let node = imported(Product::Prometheus, &["prometheus/node.yaml"]);
    assert_eq!(node.items.len(), count(&text("prometheus/node.yaml"), "- alert:"));
    let nagios = imported(Product::Nagios, &["nagios/site.cfg"]);
    // One of the services is a template.
    assert_eq!(nagios.items.len(), count(&text("nagios/site.cfg"), "define service") - 1);
    let monit = imported(Product::Monit, &["monit/monitrc"]);
    // One `if` is the budget of the actions; one process is expected to be there without being asked for.
    assert_eq!(monit.items.len(), count(&text("monit/monitrc"), "if "));
}

#[test]
fn an_included_file_may_hold_comments_only() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("conf.d")).unwrap();
    fs::write(dir.path().join("conf.d/00-empty"), "# nothing yet\n").unwrap();
    fs::write(dir.path().join("conf.d/10-load"), "check system a\n if swap usage > 25% then alert\n")
        .unwrap();
    let main = dir.path().join("monitrc");
    fs::write(&main, format!("set daemon 30\ninclude {}/conf.d/*\n", dir.path().display())).unwrap();
    let read = |path: PathBuf| import(Product::Monit, &mut Reader::new(&[path]), &doors(), &facts());
    assert_eq!(read(main).map(|made| made.items.len()).map_err(|e| e.to_string()), Ok(1));
    assert!(read(dir.path().join("conf.d/00-empty")).is_err(), "what is named is to be of Monit");
}

/// The moments that promtool confirms (proof.promtool.yml) are the moments of the imported rules.
#[test]
fn imported_rules_raise_when_prometheus_would() {
    let proof = fs::read_to_string("tests/import/prometheus/proof.toml").unwrap();
    let node = imported(Product::Prometheus, &["prometheus/node.yaml", "prometheus/probes.yml"]);
    let config = loaded(&format!("{}\n{proof}", node.toml));
    let own: Vec<_> = config.tests.iter().filter(|t| !t.place.is_builtin).collect();
    assert_eq!(own.len(), 7);
    for test in own {
        let proof = prove(test, &config.plan);
        let said: Vec<_> = proof
            .checks
            .iter()
            .map(|c| format!("{}m: {} / {}", c.at / 60_000_000_000, c.expected, c.found))
            .collect();
        assert!(proof.passed(), "{}: {:?} {said:#?}", test.rule, proof.trouble);
    }
}
