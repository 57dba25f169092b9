//! Templates, actions, companions, declared objects, and where a key comes from.

use sexton::config::{self, Config, Layer};
use sexton::engine::moment::{HOUR, MINUTE, SECOND};
use sexton::engine::plan::{Action, Budget, Cause, Mode, OnFail, OnMissing, Rule};
use sexton::engine::record::{Nature, Severity};
use sexton::engine::signal::{Class, Instance};

use super::{doors, facts, good, load, texts};

fn rule<'c>(config: &'c Config, id: &str) -> &'c Rule {
    config.plan.rules.iter().find(|r| r.id == id).unwrap_or_else(|| panic!("no rule {id}"))
}

/// The names that a rule's `match` lists for a label.
fn globs(rule: &Rule, label: &str) -> Vec<String> {
    rule.matches.0.get(label).map(|g| g.0.clone()).unwrap_or_default()
}

const WEB: &str = r#"
[template.web]
on = "check"
match = { kind = ["http", "tcp"] }
category = "service/web"
labels = { team = "web", site = "sha" }
let = { slow = "check.latency > 2s", fine = "check.latency < 1s" }
for = "2m"
"#;

#[test]
fn a_rule_has_the_keys_of_its_template_and_may_write_each_again() {
    let config = good(texts(&[&format!(
        r#"{WEB}
        [[rule]]
        id = "slow"
        extends = "web"
        match = {{ check = ["shop-*"] }}
        labels = {{ site = "ber" }}
        let = {{ fine = "check.latency < 500ms" }}
        raise = "slow"
        clear = "fine"
        for = "3m"
        [[rule]]
        id = "down"
        extends = "web"
        step = [{{ raise = "not check.up", clear = "check.up" }}]
        "#
    )]));
    let slow = rule(&config, "slow");
    assert_eq!(
        (slow.class, slow.category.as_str(), slow.steps[0].for_),
        (Class::Check, "service/web", 3 * MINUTE)
    );
    assert_eq!(
        (globs(slow, "kind"), globs(slow, "check")),
        (vec!["http".into(), "tcp".into()], vec!["shop-*".into()])
    );
    assert_eq!((slow.labels["team"].as_str(), slow.labels["site"].as_str()), ("web", "ber"));
    assert_eq!(slow.steps[0].clear.canonical(), "check.latency < 0.5s");
    assert_eq!(slow.origin, "0.toml:10", "a rule is where it is written, not where its template is");
    assert_eq!(rule(&config, "down").steps[0].for_, 2 * MINUTE, "a step takes what its rule inherits");
}

#[test]
fn templates_extend_templates_and_later_names_win() {
    let config = good(texts(&[r#"
        [template.base]
        keep = "20m"
        for = "1m"
        urgency = 1
        [template.web]
        extends = "base"
        on = "check"
        for = "2m"
        [template.calm]
        for = "9m"
        nature = "degradation"
        [[rule]]
        id = "a"
        extends = "web"
        raise = "not check.up"
        clear = "check.up"
        [[rule]]
        id = "b"
        extends = ["web", "calm"]
        raise = "not check.up"
        clear = "check.up"
        [[rule]]
        id = "c"
        extends = ["calm", "web"]
        raise = "not check.up"
        clear = "check.up"
    "#]));
    let of = |id: &str| {
        let step = &rule(&config, id).steps[0];
        (step.for_ / MINUTE, step.keep / MINUTE, step.urgency, rule(&config, id).nature)
    };
    assert_eq!(of("a"), (2, 20, 1, Nature::Fault));
    assert_eq!(of("b"), (9, 20, 1, Nature::Degradation));
    assert_eq!(of("c"), (2, 20, 1, Nature::Degradation));
}

#[test]
fn a_template_of_the_same_file_comes_first_then_that_of_the_last_layer() {
    let template = |keep: &str| format!("[template.web]\non = \"check\"\nkeep = \"{keep}\"\n");
    let down = |id: &str| {
        format!(
            "[[rule]]\nid = \"{id}\"\nextends = \"web\"\nraise = \"not check.up\"\nclear = \"check.up\"\n"
        )
    };
    let main = format!("{}{}", template("1m"), down("in-main"));
    let config =
        good(texts(&[&main, &template("2m"), &format!("{}{}", template("3m"), down("own")), &down("none")]));
    let keep = |id: &str| rule(&config, id).steps[0].keep / MINUTE;
    assert_eq!((keep("in-main"), keep("own"), keep("none")), (1, 3, 3));
}

#[test]
fn template_keys_come_before_defaults_and_after_the_rule() {
    let config = good(texts(&[
        "[defaults]\nkeep = \"7m\"\nfor = \"7m\"\n",
        "[template.t]\nkeep = \"8m\"\non = \"fs\"\n[[rule]]\nid = \"disk\"\nextends = \"t\"\nraise = \"fs.used > 90%\"\nclear = \"fs.used < 80%\"\n",
    ]));
    let step = &rule(&config, "disk").steps[0];
    assert_eq!((step.for_, step.keep), (7 * MINUTE, 8 * MINUTE));
}

#[test]
fn every_key_says_where_it_was_written() {
    let files = [
        "[defaults]\nkeep = \"7m\"\nfor = \"7m\"\n",
        "[template.t]\non = \"fs\"\nmatch = { mount = \"/data*\", fstype = \"ext4\" }\n[template.t.action]\nrun = [\"sync\"]\n",
        r#"[[rule]]
id = "disk"
extends = "t"
match = { fstype = "xfs" }
step = [
  { raise = "fs.used > 90%", clear = "fs.used < 80%", for = "1m" },
]
[[override]]
rule = "dis*"
set = { keep = "1h" }
"#,
    ];
    let named: Vec<_> = ["0.toml", "1.toml", "2.toml"].into_iter().zip(files).collect();
    let (_, origins) = config::load_texts_with_origins(&named, &doors(), &facts()).unwrap();
    let said: Vec<_> =
        origins.of("disk").into_iter().map(|o| (o.key, o.place, o.layer == Layer::Override)).collect();
    let at =
        |key: &str| said.iter().find(|(k, _, over)| k == key && !over).map(|(_, place, _)| place.as_str());
    assert_eq!(at("on"), Some("1.toml:2"));
    assert_eq!((at("match.mount"), at("match.fstype")), (Some("1.toml:3"), Some("2.toml:4")));
    assert_eq!(at("action.run"), Some("1.toml:5"));
    assert_eq!(at("step[0].for"), Some("2.toml:6"));
    assert_eq!((at("for"), at("keep")), (None, Some("0.toml:2")), "every step says `for` itself");
    assert_eq!(said.last(), Some(&("keep".to_owned(), "2.toml:10".to_owned(), true)));
    assert!(at("min_coverage").is_some_and(|place| place.starts_with("built-in/sexton.toml:")));
    assert_eq!(origins.of("none"), []);
}

const UNIT: &str =
    "[[rule]]\nid = \"nginx\"\non = \"unit\"\nraise = \"unit.state == 'failed'\"\nclear = \"unit.active\"\n";

#[test]
fn an_action_is_carried_as_data() {
    let repair = r#"
[template.unit-restart.action]
run = ["systemctl", "restart", "{unit}"]
after = "1m"
max = "5 per 2h"
only_if = "severity == 'critical' and not maintenance and not flapping"
verify = "unit.active == true"
on_fail = "note"
mode = "auto"
"#;
    let extended =
        UNIT.replace("on =", "extends = \"unit-restart\"\non =") + "action = { max = \"1 per 1h\" }\n";
    let config = good(texts(&[&format!("{repair}{extended}")]));
    let action = rule(&config, "nginx").action.as_ref().unwrap();
    let unit = Instance::of(Class::Unit, &[("unit", "nginx.service")]);
    assert_eq!(action.argv(&unit), ["systemctl", "restart", "nginx.service"]);
    assert_eq!(action.budget, Budget { count: 1, per: HOUR }, "the rule writes one key of it again");
    assert_eq!((action.after, action.timeout, action.cooldown), (MINUTE, Action::TIMEOUT, Action::COOLDOWN));
    assert_eq!(
        (action.on_fail, action.mode, action.verify_in),
        (OnFail::Note, Mode::Auto, Action::VERIFY_IN)
    );
    assert!(action.only_if.is_some() && action.verify.is_some());
    let plain = good(texts(&[&format!(
        "{UNIT}action = {{ run = [\"/bin/sh\", \"-c\", \"echo \\\"$1\\\"\", \"sh\", \"{{unit}}\"] }}"
    )]));
    let action = rule(&plain, "nginx").action.as_ref().unwrap();
    assert_eq!(
        (action.mode, action.on_fail, action.budget),
        (Mode::DryRun, OnFail::Escalate, Action::BUDGET)
    );
    assert_ne!(rule(&plain, "nginx").hash, rule(&config, "nginx").hash);
}

#[test]
fn what_missing_data_means_is_carried() {
    let config = good(texts(&[&format!(
        "[defaults]\non_missing = \"clear\"\nevery = \"30s\"\n{UNIT}cause_hint = \"software\"\nnodata_after = \"5m\"\n"
    )]));
    let nginx = rule(&config, "nginx");
    assert_eq!((nginx.silence.on_missing, nginx.silence.nodata_after), (OnMissing::Clear, Some(5 * MINUTE)));
    assert_eq!((nginx.every, nginx.cause_hint), (30 * SECOND, Some(Cause::Software)));
    assert_eq!(rule(&config, "load-high").every, 30 * SECOND, "the defaults of the main file are for all");
    assert_eq!(rule(&config, "nginx/nodata").every, 0, "silence is judged as it falls");
}

#[test]
fn a_companion_stands_beside_its_rule() {
    let config =
        good(texts(&[&format!("{UNIT}nodata_after = \"5m\"\nimpact = 2\nlabels = {{ team = \"web\" }}\n")]));
    let companion = rule(&config, "nginx/nodata");
    assert!(config.plan.rules.is_sorted_by_key(|r| &r.id));
    assert_eq!((companion.nature, companion.category.as_str()), (Nature::Monitoring, "monitoring/nodata"));
    assert_eq!((companion.silence.of.as_deref(), companion.labels["team"].as_str()), (Some("nginx"), "web"));
    let step = &companion.steps[0];
    assert_eq!((step.severity, step.impact, step.for_, step.keep), (Severity::Warning, Some(2), 0, 0));
    assert_eq!(step.raise.canonical(), "no value for 5m of unit.state");
    assert_eq!(companion.title, "{unit}: no data for 5m, rule nginx is blind");
    for without in
        [UNIT.to_owned(), format!("{UNIT}nodata_after = \"0s\"\nmatch = {{ unit = \"a.service\" }}\n")]
    {
        let config = good(texts(&[&without]));
        assert!(config.plan.rules.iter().all(|r| r.id != "nginx/nodata"), "{without}");
    }
}

#[test]
fn an_override_of_a_rule_switches_its_companion_off_and_edits_it_only_by_name() {
    let config = good(texts(&[
        &format!("{UNIT}nodata_after = \"5m\"\n"),
        r#"
        [[override]]
        rule = "ngin*"
        match = { unit = "a.service" }
        set = { enabled = false }
        [[override]]
        rule = ["*", "!load*"]
        set = { severity = "critical", labels = { team = "ops" } }
        [[override]]
        rule = "*/nodata"
        set = { for = "1h" }
        [[override]]
        rule = "nginx/nodata"
        match = { unit = "b.service" }
        set = { enabled = false }
        "#,
    ]));
    let on = |id: &str, unit: &str| {
        let found = config.plan.rules.iter().find(|r| r.id == id).unwrap();
        config.plan.effective(found, &Instance::of(Class::Unit, &[("unit", unit)]))
    };
    assert!(on("nginx", "a.service").is_none() && on("nginx/nodata", "a.service").is_none());
    assert!(on("nginx", "b.service").is_some() && on("nginx/nodata", "b.service").is_none());
    let companion = on("nginx/nodata", "c.service").unwrap();
    let step = &companion.steps[0];
    assert_eq!(
        (step.severity, step.for_, companion.labels["team"].as_str()),
        (Severity::Warning, HOUR, "ops")
    );
    assert_eq!(on("nginx", "c.service").unwrap().steps[0].severity, Severity::Critical);
}

#[test]
fn what_is_named_outright_is_declared() {
    let declared = |text: &str| {
        let config = good(texts(&[text]));
        config.plan.declared.iter().map(|i| i.key().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        declared(&format!("{UNIT}match = {{ unit = [\"b.service\", \"a.service\"] }}")),
        ["unit{unit=a.service}", "unit{unit=b.service}"]
    );
    for none in ["a*", "!a.service"] {
        assert_eq!(
            declared(&format!("{UNIT}match = {{ unit = [\"b.service\", \"{none}\"] }}")),
            [""; 0],
            "{none}"
        );
    }
    assert_eq!(
        declared(&format!("{UNIT}match = {{ unit = \"a.service\" }}\nnodata_after = \"0s\"")),
        [""; 0]
    );
    let fs = "[[rule]]\nid = \"d\"\non = \"fs\"\nmatch = { mount = \"/data\", fstype = \"xfs\" }\nraise = \"fs.used > 90%\"\nclear = \"fs.used < 80%\"\n";
    let config = good(texts(&[fs]));
    assert_eq!(config.plan.declared[0].label("fstype"), "xfs", "what describes it is part of it");
    assert_eq!(rule(&config, "d/nodata").steps[0].raise.canonical(), "never seen in 10m: fs.used");
    let check = "[[check]]\nid = \"front\"\nkind = \"tcp\"\naddress = \"127.0.0.1:1\"\n";
    let config = good(texts(&[check]));
    assert_eq!(config.plan.declared[0].label("kind"), "tcp");
    let companion = rule(&config, "check-down/nodata");
    assert!(config.plan.effective(&companion.clone().into(), &config.plan.declared[0]).is_some());
}

#[test]
fn the_shipped_files_declare_nothing_by_themselves() {
    assert!(good(texts(&[])).plan.declared.is_empty());
    assert!(good(load("config/sexton.toml")).plan.declared.is_empty());
}

#[test]
fn templates_are_bounded_however_they_are_written() {
    let chain = |count: usize| {
        let each = (0..count).map(|i| format!("[template.t{i}]\nextends = \"t{}\"\n", i + 1));
        let last = format!("[template.t{count}]\non = \"check\"\n");
        let down = "[[rule]]\nid = \"d\"\nextends = \"t0\"\nraise = \"not check.up\"\nclear = \"check.up\"\n";
        format!("{}{last}{down}", each.collect::<String>())
    };
    assert_eq!(rule(&good(texts(&[&chain(31)])), "d").class, Class::Check);
    let refused = |text: &str| texts(&[text]).unwrap_err().items[0].message.clone();
    assert_eq!(refused(&chain(32)), "rule `d` lies over more than 32 templates");
    assert_eq!(refused(&chain(20_000)), "there are more than 1000 templates");
}
