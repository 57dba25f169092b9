//! Layers: built-in < main file < rules.d < overrides; defaults; what the hash of a rule depends on.

use std::fs;

use sexton::config::Config;
use sexton::engine::moment::{HOUR, MINUTE, SECOND};
use sexton::engine::option::{DoorSpec, OptionKind, OptionSpec, SecretRef};
use sexton::engine::plan::Rule;
use sexton::engine::record::{Nature, Severity};
use sexton::engine::signal::{Class, Instance};

use super::{good, load, texts};

const DISK: &str =
    "[[rule]]\nid = \"disk\"\non = \"fs\"\nraise = \"fs.used > 90%\"\nclear = \"fs.used < 80%\"\n";

fn rule<'c>(config: &'c Config, id: &str) -> &'c Rule {
    config.plan.rules.iter().find(|r| r.id == id).unwrap_or_else(|| panic!("no rule {id}"))
}

#[test]
fn rules_are_ordered_by_id_and_a_later_file_replaces_one_whole() {
    let config = good(texts(&["", DISK, &DISK.replace("90%", "95%").replace("clear", "urgency = 1\nclear")]));
    let ids: Vec<_> = config.plan.rules.iter().map(|r| &r.id).collect();
    assert!(ids.is_sorted());
    assert_eq!(ids.iter().filter(|id| **id == "disk").count(), 1);
    assert_eq!(rule(&config, "disk").steps[0].urgency, 1);
    assert_eq!(rule(&config, "disk").origin, "2.toml:1");
}

#[test]
fn a_built_in_rule_is_replaced_or_switched_off() {
    let before = good(texts(&[])).plan.rules.len();
    let config = good(texts(&["[[rule]]\nid = \"load-high\"\nenabled = false\n"]));
    assert_eq!(config.plan.rules.len(), before - 1);
    assert_eq!(config.warnings, []);
    let replaced = good(texts(&[&DISK.replace("\"disk\"", "\"fs-full\"")]));
    assert_eq!(replaced.plan.rules.len(), before);
    assert_eq!(rule(&replaced, "fs-full").steps.len(), 1);
    let off = good(texts(&[&format!("{DISK}enabled = false\n")]));
    assert!(off.plan.rules.iter().all(|r| r.id != "disk"));
}

#[test]
fn absent_keys_are_filled_by_the_nearest_layer() {
    let config = good(texts(&[
        "[defaults]\nfor = \"7m\"\nkeep = \"8m\"\nlabels = { team = \"ops\", site = \"a\" }\n",
        &format!("[defaults]\nfor = \"9m\"\nlabels = {{ site = \"b\" }}\n{DISK}"),
        &DISK.replace("\"disk\"", "\"other\""),
    ]));
    let disk = rule(&config, "disk");
    assert_eq!((disk.steps[0].for_, disk.steps[0].keep), (9 * MINUTE, 8 * MINUTE));
    assert_eq!(disk.labels["site"], "b");
    assert_eq!(disk.labels["team"], "ops");
    // [defaults] of a drop-in are for its own file.
    assert_eq!(rule(&config, "other").steps[0].for_, 7 * MINUTE);
    assert_eq!(rule(&config, "other").labels["site"], "a");
    // A key that is written stays.
    assert_eq!(rule(&config, "check-down").steps[0].for_, 30 * SECOND);
}

#[test]
fn what_nobody_says_has_the_documented_value() {
    let disk_of = |more: &str| {
        let config = good(texts(&["", &format!("{DISK}{more}")]));
        rule(&config, "disk").clone()
    };
    let disk = disk_of("");
    let step = &disk.steps[0];
    assert_eq!((step.severity, step.urgency, step.impact), (Severity::Warning, 3, None));
    assert_eq!((step.for_, step.keep), (MINUTE, 5 * MINUTE));
    assert_eq!((disk.nature, disk.reopen, disk.stale), (Nature::Fault, HOUR, 0));
    assert_eq!((disk.min_coverage, disk.outage), (0.5, false));
    assert_eq!(disk.category, "storage/filesystem");
    assert_eq!(disk_of("severity = \"critical\"").steps[0].urgency, 2);
    assert_eq!(disk_of("nature = \"capacity\"").reopen, 24 * HOUR);
    assert_eq!(disk_of("nature = \"degradation\"").reopen, 4 * HOUR);
}

#[test]
fn steps_take_from_their_rule_what_they_do_not_say() {
    let config = good(texts(&[r#"
        [[rule]]
        id = "disk"
        on = "fs"
        impact = 1
        for = "3m"
        clear = "fs.used < 80%"
        step = [
          { raise = "fs.used > 85%" },
          { severity = "critical", impact = 2, for = "1m", raise = "fs.used > 95%", clear = "fs.used < 90%" },
        ]"#]));
    let steps = &rule(&config, "disk").steps;
    assert_eq!((steps[0].severity, steps[0].impact, steps[0].for_), (Severity::Warning, Some(1), 3 * MINUTE));
    assert_eq!((steps[1].severity, steps[1].impact, steps[1].for_), (Severity::Critical, Some(2), MINUTE));
    assert_eq!((steps[0].urgency, steps[1].urgency), (3, 2));
}

#[test]
fn an_override_edits_matching_instances_only() {
    let config = good(texts(&[
        DISK,
        r#"
        [[override]]
        rule = "di*"
        match = { mount = ["/archive*"] }
        set = { severity = "info", for = "1h", labels = { team = "dba" } }
        [[override]]
        rule = "disk"
        match = { mount = "/scratch" }
        set = { enabled = false }"#,
    ]));
    let plan = &config.plan;
    let disk = plan.rules.iter().find(|r| r.id == "disk").unwrap();
    let on = |mount: &str| plan.effective(disk, &Instance::of(Class::Fs, &[("mount", mount)]));
    assert_eq!(on("/").unwrap().steps[0].severity, Severity::Warning);
    let archive = on("/archive/2024").unwrap();
    assert_eq!((archive.steps[0].severity, archive.steps[0].for_), (Severity::Info, HOUR));
    assert_eq!(archive.labels["team"], "dba");
    assert!(on("/scratch").is_none());
}

#[test]
fn the_host_and_its_services() {
    let config = good(texts(&[r#"
        [host]
        labels = { env = "prod" }
        service = "shop"
        [defaults]
        impact = 2
        [[service]]
        name = "db"
        tier = 1
        match = { proc = ["postgres"] }
        [[check]]
        id = "db-port"
        kind = "tcp"
        address = "127.0.0.1:5432"
        service = "db"
        [[check]]
        id = "odd"
        kind = "tcp"
        address = "127.0.0.1:1"
        service = "never declared""#]));
    let plan = &config.plan;
    assert_eq!(plan.host.host.name, "web-01.example");
    assert_eq!(plan.host.host.id, "8a563f8eceac3dbb");
    let of = |class, label, name| {
        let rule = plan.rules.iter().find(|r| r.class == class && r.service.is_none()).unwrap();
        plan.service_of(rule, &Instance::of(class, &[(label, name)]))
    };
    assert_eq!(of(Class::Proc, "name", "postgres"), (Some("db".into()), Some(1)));
    assert_eq!(of(Class::Check, "check", "db-port"), (Some("db".into()), Some(1)));
    assert_eq!(of(Class::Check, "check", "odd"), (Some("never declared".into()), Some(2)));
    assert_eq!(of(Class::Proc, "name", "sshd"), (Some("shop".into()), Some(2)));
}

#[test]
fn doors_get_their_options_with_defaults() {
    let config = good(texts(&[r#"
        [collect]
        interval = "5s"
        net = false
        fs = { interval = "1m", exclude = ["/mnt*"] }
        proc = { watch = ["sshd"] }
        [[rule]]
        id = "worker"
        on = "proc"
        match = { name = ["worker", "x-*", "!worker2"] }
        raise = "proc.count < 1"
        clear = "proc.count >= 1"
        [[check]]
        id = "front"
        kind = "http"
        url = "https://shop.example"
        [[destination]]
        id = "rt"
        kind = "rt"
        url = "https://rt.example"
        token = { credential = "rt-token" }
        pace = "30/m"
        match = { priority = ["P1"] }
        map = { queue.incident = "Incidents", field = { key = "K" } }"#]));
    let collector = |kind: &str| config.collectors.iter().find(|c| c.kind == kind);
    assert!(collector("net").is_none());
    assert_eq!(collector("cpu").unwrap().interval, 5 * SECOND);
    let fs = collector("fs").unwrap();
    assert_eq!((fs.interval, fs.options.list("exclude")), (MINUTE, &["/mnt*".to_owned()][..]));
    assert!(fs.options.list("fstypes").contains(&"!proc".to_owned()));
    assert_eq!(collector("proc").unwrap().names, ["worker"]);
    assert!(fs.names.is_empty());
    let front = &config.checks[0];
    assert_eq!((front.interval, front.timeout), (5 * SECOND, 5 * SECOND));
    assert_eq!((front.options.text("method"), front.options.bool("insecure")), ("GET", false));
    let rt = &config.destinations[0];
    assert_eq!(rt.options.secret("token"), Some(&SecretRef::Credential("rt-token".into())));
    assert_eq!(rt.options.mapped("map", "queue.incident"), Some("Incidents"));
    assert_eq!(rt.options.mapped("map", "field.key"), Some("K"));
    assert!(!rt.options.0.contains_key("proxy"));
    assert!((rt.pace - 0.5).abs() < 1e-9);
    assert_eq!(rt.filter.priority.len(), 1);
}

#[test]
fn numbers_and_durations_of_a_door_have_their_defaults_and_limits() {
    static PING: DoorSpec = DoorSpec {
        kind: "ping",
        about: "",
        options: &[
            OptionSpec { key: "count", kind: OptionKind::Int(3, 1, 9), about: "" },
            OptionSpec { key: "pause", kind: OptionKind::Duration(2 * SECOND), about: "" },
        ],
        signals: &[],
        check: sexton::engine::option::any,
    };
    let mut doors = super::doors();
    doors.checks.push(&PING);
    let check = |more: &str| {
        let text = format!("[[check]]\nid = \"x\"\nkind = \"ping\"\n{more}");
        sexton::config::load_texts(&[("m", &text)], &doors, &super::facts())
    };
    let numbers = |more: &str| {
        let options = good(check(more)).checks[0].options.clone();
        (options.int("count"), options.duration("pause"))
    };
    assert_eq!(numbers(""), (3, 2 * SECOND));
    assert_eq!(numbers("count = 9\npause = \"1m\""), (9, MINUTE));
    for wrong in ["count = 10", "count = \"3\"", "pause = 2", "pause = \"2\""] {
        assert_eq!(check(wrong).expect_err(wrong).errors, 1, "{wrong}");
    }
}

#[test]
fn formatting_does_not_change_a_hash_and_meaning_does() {
    let hashes = |text: &str| {
        let config = good(texts(&["", text]));
        (rule(&config, "disk").hash.clone(), config.hash)
    };
    let base = hashes(DISK);
    for same in [
        "# a comment\n[[rule]]\n\
         clear='fs.used<80%'\nraise = 'fs.used  >  90%'\non='fs'\nid='disk'\nfor='60s'\n",
        "rule = [{ id = \"disk\", on = \"fs\", \
         raise = \"\"\"\nfs.used > 90%\"\"\", clear = \"fs.used < 80%\" }]",
        &format!("[defaults]\nkeep = \"300s\"\n{DISK}severity = \"warning\"\n"),
    ] {
        assert_eq!(hashes(same), base, "{same}");
    }
    for other in [
        DISK.replace("90%", "91%"),
        DISK.replace("80%", "81%"),
        format!("{DISK}for = \"61s\"\n"),
        format!("{DISK}title = \"x\"\n"),
        format!("{DISK}match = {{ mount = \"/\" }}\n"),
        format!("{DISK}labels = {{ a = \"b\" }}\n"),
        format!("[defaults]\nkeep = \"1m\"\n{DISK}"),
        format!("{DISK}let = {{ x = \"fs.used\" }}\n"),
    ] {
        let changed = hashes(&other);
        assert_ne!(changed.0, base.0, "{other}");
        assert_ne!(changed.1, base.1, "{other}");
    }
}

#[test]
fn the_whole_hash_covers_every_table() {
    let base = good(texts(&[""])).hash;
    for text in [
        "[host]\nlabels = { a = \"b\" }",
        "[collect]\ninterval = \"11s\"",
        "[collect]\nnet = false",
        "[correlate]\nfailure_gap = \"1m\"",
        "[[service]]\nname = \"x\"",
        "[[check]]\nid = \"x\"\nkind = \"tcp\"\naddress = \"a:1\"",
        "[[destination]]\nid = \"x\"\nkind = \"desk\"\nurl = \"x\"\ntoken = { env = \"X\" }",
        "[store]\ndir = \"/x\"",
        "[desk]\nlisten = \"[::]:1\"",
        "[[override]]\nrule = \"*\"\nset = { impact = 1 }",
    ] {
        assert_ne!(good(texts(&[text])).hash, base, "{text}");
    }
    assert_eq!(good(texts(&["# nothing\nschema = 1"])).hash, base);
}

#[test]
fn a_directory_and_its_main_file_are_the_same_configuration() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("sexton.toml"), "[host]\nname = \"n\"\n").unwrap();
    fs::create_dir(dir.path().join("rules.d")).unwrap();
    fs::write(dir.path().join("rules.d/10-disk.toml"), format!("\u{feff}{DISK}")).unwrap();
    let (by_dir, by_file) = (good(load(dir.path())), good(load(dir.path().join("sexton.toml"))));
    assert_eq!(by_dir.hash, by_file.hash);
    assert_eq!(by_dir.files.len(), 2);
    assert_eq!(rule(&by_dir, "disk").origin, "rules.d/10-disk.toml:1");
}

#[test]
fn every_mistake_of_every_file_comes_in_one_run() {
    let all = texts(&["a = 1\nb = \n[host]\ntier = 9\n", "[[rule]]\nid = \"x\"\non = \"y\"\n", "z = 1"])
        .unwrap_err();
    let places: Vec<_> = all.items.iter().map(|d| d.place()).collect();
    assert_eq!(places, ["0.toml:1:1", "0.toml:2:5", "0.toml:4:8", "1.toml:3:6", "2.toml:1:1"]);
}

#[test]
fn a_host_without_machine_id_still_has_an_id_and_says_so() {
    let facts = sexton::config::HostFacts { machine_id: String::new(), hostname: "box".into() };
    let config = sexton::config::load_texts(&[], &super::doors(), &facts).unwrap();
    assert_eq!(config.plan.host.host.id.len(), 16);
    assert_eq!(config.warnings.len(), 1);
    let named =
        sexton::config::load_texts(&[("m", "[host]\nid = \"00112233445566ff\"\n")], &super::doors(), &facts);
    assert_eq!(named.unwrap().plan.host.host.id, "00112233445566ff");
}
