//! `[[test]]`: is there such a rule?

use std::collections::BTreeMap;

use super::{Known, overrides};
use crate::config::diagnose::Report;
use crate::config::raw::RawTest;
use crate::config::test::RuleTest;

/// Tests in the order of the files. One that tests no rule is a doubt here, and left out with its reason when
/// it is played: a fleet's file may speak of rules that only some hosts have.
pub fn compile(raws: Vec<RawTest>, rules: &BTreeMap<String, Known>, report: &mut Report) -> Vec<RuleTest> {
    let mut tests = Vec::with_capacity(raws.len());
    for raw in raws {
        let RawTest { at, name, rule, step, start, series, expect, incidents } = raw;
        if !rules.contains_key(&rule.value) {
            let ids = rules.keys().map(String::as_str);
            report.add(overrides::unknown(rule.at, &rule.value, ids, "is tested, but there is no such rule"));
        }
        let name = name.unwrap_or_else(|| rule.value.clone());
        let place = report.place(at);
        tests.push(RuleTest { name, rule: rule.value, place, step, start, series, expect, incidents });
    }
    tests
}
