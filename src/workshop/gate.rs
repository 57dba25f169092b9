//! The gate before a new configuration: plays the tests that may turn out otherwise than before.
//!
//! A test is due when it is new, has been edited or moved, when its rule is another one, or when what every
//! test is played with (overrides, services, the host, correlation) is. Tests in the binary are due nowhere:
//! they are about the rules as shipped, and a site may set other defaults. It must not know the time: the
//! caller says whether to go on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::prove::{Proof, prove_while};
use crate::config::Config;
use crate::config::test::RuleTest;
use crate::engine::plan::{Plan, Rule};
use crate::engine::suppress::Terms;

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
    let hashes = |plan: &Plan| -> BTreeMap<String, String> {
        plan.rules.iter().map(|r| (r.id.clone(), r.hash.clone())).collect()
    };
    let (before, after) = (hashes(&old.plan), hashes(&new.plan));
    let places: BTreeMap<_, Vec<&RuleTest>> = old.tests.iter().fold(BTreeMap::new(), |mut all, test| {
        all.entry(&test.place).or_insert_with(Vec::new).push(test);
        all
    });
    let is_known = |test: &RuleTest| places.get(&test.place).is_some_and(|all| all.contains(&test));
    let is_due = |test: &&RuleTest| !is_known(test) || before.get(&test.rule) != after.get(&test.rule);
    own(new).filter(is_due).collect()
}

/// What every test is played with.
fn around(plan: &Plan) -> String {
    let Plan { host, overrides, services, correlate, matrix, sla, .. } = plan;
    format!("{:?}", (host, overrides, services, correlate, matrix, sla))
}

/// Plays tests, for as long as `go_on` lets.
pub fn play<'c>(tests: &[&'c RuleTest], plan: &Plan, go_on: &dyn Fn() -> bool) -> Gate<'c> {
    let wanted: BTreeSet<&str> = tests.iter().map(|test| test.rule.as_str()).collect();
    let rules: BTreeMap<&str, &Arc<Rule>> =
        plan.rules.iter().map(|r| (r.id.as_str(), r)).filter(|(id, _)| wanted.contains(id)).collect();
    // Of thousands of rules each test needs one.
    let bare = Plan {
        rules: Vec::new(),
        declared: Vec::new(),
        suppress: Terms::default(),
        host: plan.host.clone(),
        overrides: plan.overrides.clone(),
        services: plan.services.clone(),
        correlate: plan.correlate.clone(),
        matrix: plan.matrix,
        sla: plan.sla,
    };
    let mut gate = Gate::default();
    for (i, test) in tests.iter().enumerate() {
        let rules = rules.get(test.rule.as_str()).map(|r| Arc::clone(r)).into_iter().collect();
        let proof = prove_while(test, &Plan { rules, ..bare.clone() }, go_on);
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
}
