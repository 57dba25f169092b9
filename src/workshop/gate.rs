//! The gate before a new configuration: plays the tests that may turn out otherwise than before.
//!
//! A test is due when it is new, has been edited or moved, when its rule, one that is played with it or a
//! declared object that it is about is another one, or when what every test is played with (overrides,
//! services, the host, correlation) is. Tests in the binary are due nowhere: they are about the rules as
//! shipped, and a site may set other defaults. It must not know the time: the caller says whether to go on.

use std::collections::BTreeMap;

use super::prove::{Proof, prove_while, stake};
use crate::config::Config;
use crate::config::test::RuleTest;
use crate::engine::plan::Plan;

/// What became of the tests that were due.
#[derive(Debug, Default)]
pub struct Gate<'c> {
    /// Played to the end.
    pub played: usize,
    /// Those that failed.
    pub failed: Vec<(&'c RuleTest, Proof)>,
    /// Not played, because it took too long.
    pub left: Vec<&'c RuleTest>,
}

/// The tests of a configuration that are due when it takes the place of another.
pub fn due<'c>(old: &Config, new: &'c Config) -> Vec<&'c RuleTest> {
    let own = |c: &'c Config| c.tests.iter().filter(|test| !test.place.is_builtin);
    if around(&old.plan) != around(&new.plan) {
        return own(new).collect();
    }
    let places: BTreeMap<_, Vec<&RuleTest>> = old.tests.iter().fold(BTreeMap::new(), |mut all, test| {
        all.entry(&test.place).or_insert_with(Vec::new).push(test);
        all
    });
    let is_known = |test: &RuleTest| places.get(&test.place).is_some_and(|all| all.contains(&test));
    let is_due = |test: &&RuleTest| !is_known(test) || stake(&old.plan, test) != stake(&new.plan, test);
    own(new).filter(is_due).collect()
}

/// What every test is played with.
fn around(plan: &Plan) -> String {
    let Plan { host, overrides, services, correlate, matrix, sla, .. } = plan;
    format!("{:?}", (host, overrides, services, correlate, matrix, sla))
}

/// Plays tests, for as long as `go_on` lets.
pub fn play<'c>(tests: &[&'c RuleTest], plan: &Plan, go_on: &dyn Fn() -> bool) -> Gate<'c> {
    let mut gate = Gate::default();
    for (i, test) in tests.iter().enumerate() {
        let proof = prove_while(test, plan, go_on);
        if !go_on() {
            gate.left = tests[i..].to_vec();
            return gate;
        }
        gate.played += 1;
        if !proof.passed() && !proof.skipped() {
            gate.failed.push((test, proof));
        }
    }
    gate
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Doors, HostFacts, load_texts};

    const RULE: &str = "[[rule]]\nid = \"a\"\non = \"host\"\nraise = \"cpu.busy > 90%\"\nclear = \"cpu.busy < 80%\"\nfor = \"0s\"\n";
    const TEST: &str = "[[test]]\nrule = \"a\"\nstep = \"1m\"\nseries = { \"cpu.busy\" = \"95%x5\" }\nexpect = [{ at = \"2m\", state = \"raised\" }]\n";

    fn config(files: &[(&str, &str)]) -> Config {
        let facts = HostFacts { machine_id: "m".to_owned(), hostname: "h".to_owned() };
        load_texts(files, &Doors::default(), &facts).unwrap()
    }

    #[test]
    fn due_is_what_may_turn_out_otherwise() {
        let base = config(&[("sexton.toml", ""), ("rules.d/a.toml", RULE), ("rules.d/b.toml", TEST)]);
        let with = |main: &str, rule: &str, test: &str| {
            config(&[("sexton.toml", main), ("rules.d/a.toml", rule), ("rules.d/b.toml", test)])
        };
        for (what, new, wanted) in [
            ("nothing", with("", RULE, TEST), 0),
            ("its rule, in another file", with("", &RULE.replace("90%", "91%"), TEST), 1),
            ("the test", with("", RULE, &TEST.replace("95%", "96%")), 1),
            ("its file", with("", RULE, &format!("# moved\\n\n{TEST}")), 1),
            (
                "another rule",
                with("[[rule]]\nid = \"z\"\non = \"host\"\nraise = \"cpu.busy > 1%\"\n", RULE, TEST),
                0,
            ),
            ("defaults of all rules", with("[defaults]\nkeep = \"9m\"\n", RULE, TEST), 1),
            ("an override", with("[[override]]\nrule = \"a\"\nset = { for = \"5m\" }\n", RULE, TEST), 1),
        ] {
            assert_eq!(due(&base, &new).len(), wanted, "{what}");
        }
    }

    #[test]
    fn a_failure_is_told_and_time_is_bounded() {
        let old = config(&[("sexton.toml", "")]);
        let bad = TEST.replace("state = \"raised\"", "state = \"ok\"");
        let new = config(&[("sexton.toml", RULE), ("rules.d/b.toml", TEST), ("rules.d/c.toml", &bad)]);
        let tests = due(&old, &new);
        let gate = play(&tests, &new.plan, &|| true);
        assert_eq!((gate.played, gate.failed.len(), gate.left.len()), (2, 1, 0));
        assert!(gate.failed[0].0.place.file.ends_with("c.toml"));
        let stopped = play(&tests, &new.plan, &|| false);
        assert_eq!((stopped.played, stopped.left.len()), (0, 2));
    }

    /// A rule that another explains, one that counts its raises, and a process that is never seen.
    const FAMILY: &str = r#"
[[rule]]
id = "a-gate"
on = "proc"
match = { name = ["gate"] }
for = "0s"
raise = "proc.count < 1"
clear = "proc.count >= 1"
[[rule]]
id = "b-busy"
on = "host"
for = "1m"
depends = ["a-gate"]
raise = "cpu.busy > 90%"
clear = "cpu.busy < 80%"
[[rule]]
id = "c-often"
on = "host"
for = "0s"
raise = "events('raise/b-busy', 1h) >= 1"
clear = "events('raise/b-busy', 1h) < 1"
[[rule]]
id = "d-silent"
on = "proc"
match = { name = ["job"] }
on_missing = "raise"
for = "1m"
raise = "proc.count < 1"
clear = "proc.count >= 1"
"#;
    const FAMILY_TESTS: &str = r#"
[[test]]
rule = "b-busy"
name = "explained"
step = "1m"
series = { "cpu.busy" = "95%x5", "proc.count{name=gate}" = "0x5" }
expect = [{ at = "4m", state = "raised" }]
incidents = 0
[[test]]
rule = "c-often"
step = "1m"
series = { "cpu.busy" = "95%x5" }
expect = [{ at = "4m", state = "raised" }]
[[test]]
rule = "d-silent"
step = "1m"
series = { "cpu.busy" = "5%x10" }
expect = [{ at = "9m", state = "raised", instance = "job" }]
"#;

    #[test]
    fn a_test_is_played_with_all_that_its_rule_needs() {
        let load = |rules: &str, tests: &str| {
            let files = [("sexton.toml", ""), ("rules.d/a.toml", rules), ("rules.d/b.toml", tests)];
            config(&files)
        };
        let new = load(FAMILY, FAMILY_TESTS);
        let tests = due(&load("", ""), &new);
        let gate = play(&tests, &new.plan, &|| true);
        let failed: Vec<_> = gate.failed.iter().map(|(_, proof)| format!("{proof:?}")).collect();
        assert_eq!((gate.played, failed), (3, Vec::new()));
        let names = |rules: &str| {
            let changed = load(rules, FAMILY_TESTS);
            due(&new, &changed).iter().map(|test| test.rule.clone()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(FAMILY), "");
        let with = |from: &str, to: &str| FAMILY.replacen(from, to, 1);
        assert_eq!(names(&with("for = \"0s\"", "for = \"1s\"")), "b-busy c-often", "what explains");
        assert_eq!(names(&with("cpu.busy > 90%", "cpu.busy > 94%")), "b-busy c-often", "what is counted");
        let second = FAMILY.replace("d-silent", "e-silent").replace("\"job\"", "\"other\"");
        let second = &second[second.rfind("[[rule]]").unwrap()..];
        assert_eq!(names(&format!("{FAMILY}{second}")), "", "an object that no test is about");
    }
}
