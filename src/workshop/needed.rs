//! Which rules have to be played beside some rules, so that those do what they do in the daemon.
//!
//! A rule does not stand alone: its raise may be explained by the rules it depends on, its conditions may
//! count the events of others, and a flexible window that keeps it begins with the first raise of whatever
//! the window covers. Whoever plays some rules only (a test, a replay, an explanation) plays these too, and
//! looks at its own. Rules of a plan are found by their order; nothing here walks all of them, but for
//! events that are counted by a pattern and for flexible windows.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::engine::cond::program::{Input, WindowSpec};
use crate::engine::event::EventKind;
use crate::engine::plan::{Plan, Rule, glob_matches};
use crate::engine::signal::Instance;
use crate::engine::suppress::{Terms, Window};

/// What an event is called where conditions count it.
const KINDS: [EventKind; 4] = [EventKind::Raise, EventKind::Step, EventKind::Clear, EventKind::Retire];

/// The rule of that id.
pub fn rule<'p>(plan: &'p Plan, id: &str) -> Option<&'p Arc<Rule>> {
    plan.rules.get(place(plan, id)?)
}

fn place(plan: &Plan, id: &str) -> Option<usize> {
    plan.rules.binary_search_by(|rule| rule.id.as_str().cmp(id)).ok()
}

/// Places of these rules in the plan, of those that explain them by `depends` or `suppresses`, of those whose
/// events they count, and so on. What is covered by a window of `windows` together with one of them is needed
/// when the window begins with a raise. Ids that the plan does not have are left out.
pub fn needed<'a>(
    plan: &Plan,
    ids: impl IntoIterator<Item = &'a str>,
    windows: &[Arc<Window>],
) -> BTreeSet<usize> {
    let mut open: Vec<usize> = ids.into_iter().filter_map(|id| place(plan, id)).collect();
    let mut flexible: Vec<&Window> =
        windows.iter().map(AsRef::as_ref).filter(|w| w.lasts.is_some()).collect();
    let mut all = BTreeSet::new();
    while let Some(at) = open.pop() {
        if !all.insert(at) {
            continue;
        }
        let rule = &plan.rules[at];
        let ancestors = plan.suppress.ancestors.get(&rule.id).into_iter().flatten();
        open.extend(ancestors.filter_map(|ancestor| place(plan, &ancestor.rule)));
        for glob in counted(rule) {
            open.extend(heard(plan, &glob));
        }
        flexible.retain(|window| {
            let covers = window.covers.rule.accepts(&rule.id);
            if covers {
                open.extend(places(plan, |other| window.covers.rule.accepts(&other.id)));
            }
            !covers
        });
    }
    all
}

/// The plan with these rules alone and with what explains them; whatever is declared and windows are given.
/// All else stays as it is.
pub fn narrowed(
    plan: &Plan,
    places: &BTreeSet<usize>,
    declared: Vec<Arc<Instance>>,
    windows: Vec<Arc<Window>>,
) -> Plan {
    let rules: Vec<_> = places.iter().filter_map(|at| plan.rules.get(*at)).cloned().collect();
    let ancestors =
        |rule: &Arc<Rule>| Some((rule.id.clone(), plan.suppress.ancestors.get(&rule.id)?.clone()));
    let suppress = Terms { ancestors: rules.iter().filter_map(ancestors).collect(), windows };
    Plan {
        rules,
        declared,
        suppress,
        host: plan.host.clone(),
        overrides: plan.overrides.clone(),
        services: plan.services.clone(),
        correlate: plan.correlate.clone(),
        matrix: plan.matrix,
        sla: plan.sla,
    }
}

/// The plan with the rules that are chosen and those that they need, to be played as the daemon plays it.
pub fn playable(plan: &Plan, is_chosen: impl Fn(&str) -> bool) -> Plan {
    let ids = plan.rules.iter().map(|rule| rule.id.as_str()).filter(|id| is_chosen(id));
    let windows = &plan.suppress.windows;
    narrowed(plan, &needed(plan, ids, windows), plan.declared.clone(), windows.clone())
}

fn places(plan: &Plan, is_meant: impl Fn(&Rule) -> bool) -> impl Iterator<Item = usize> {
    plan.rules.iter().enumerate().filter(move |(_, rule)| is_meant(rule)).map(|(at, _)| at)
}

/// The events that a rule counts.
fn counted(rule: &Rule) -> Vec<Box<str>> {
    let conditions = rule.steps.iter().flat_map(|s| [&s.raise, &s.clear]);
    let windows = conditions.flat_map(|c| c.program().windows.iter());
    let glob = |spec: &Arc<WindowSpec>| match &spec.input {
        Input::Events(glob) => Some(glob.clone()),
        _ => None,
    };
    windows.filter_map(glob).collect()
}

/// The rules whose events such a pattern takes in.
fn heard(plan: &Plan, glob: &str) -> Vec<usize> {
    match glob.rsplit_once('/') {
        Some((_, id)) if !id.contains(['*', '?']) => place(plan, id).into_iter().collect(),
        _ => {
            let takes =
                |kind: &EventKind, rule: &Rule| glob_matches(glob, &format!("{}/{}", kind.name(), rule.id));
            places(plan, |rule| KINDS.iter().any(|kind| takes(kind, rule))).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Doors, HostFacts};

    fn plan(rest: &str) -> Arc<Plan> {
        let rule = |id: &str, more: &str| {
            format!(
                "[[rule]]\nid = \"{id}\"\non = \"host\"\nraise = \"cpu.busy > 90%\"\nclear = \"cpu.busy < 80%\"\n{more}\n"
            )
        };
        let text = rule("t-root", "")
            + &rule("t-child", "depends = [\"t-root\"]")
            + &rule("t-grandchild", "depends = [\"t-child\"]")
            + &rule("t-masks", "suppresses = [\"t-root\"]")
            + &rule("t-other", "")
            + "[[rule]]\nid = \"t-count\"\non = \"host\"\nraise = \"events('raise/t-child', 1h) > 3\"\nclear = \"events('raise/t-child', 1h) < 1\"\n"
            + "[[rule]]\nid = \"t-many\"\non = \"host\"\nraise = \"events('*/t-c*', 1h) > 3\"\nclear = \"events('raise/t-child', 1h) < 1\"\n"
            + rest;
        let facts = HostFacts { machine_id: "0123".into(), hostname: "web-01".into() };
        let config = config::load_texts(&[("rules.toml", &text)], &Doors::default(), &facts);
        config.unwrap_or_else(|all| panic!("{}", all.render(false))).plan
    }

    fn played(plan: &Plan, glob: &str) -> Vec<String> {
        let narrow = playable(plan, |id| glob_matches(glob, id));
        narrow.rules.iter().map(|rule| rule.id.trim_start_matches("t-").to_owned()).collect()
    }

    #[test]
    fn what_explains_and_what_is_counted_is_played_too() {
        let plan = plan("");
        for (glob, expected) in [
            ("t-other", &["other"][..]),
            ("t-root", &["masks", "root"]),
            ("t-grandchild", &["child", "grandchild", "masks", "root"]),
            ("t-count", &["child", "count", "masks", "root"]),
            ("t-many", &["child", "count", "many", "masks", "root"]),
            ("none", &[]),
        ] {
            assert_eq!(played(&plan, glob), expected, "{glob}");
        }
        assert_eq!(rule(&plan, "t-many").map(|r| r.id.as_str()), Some("t-many"));
        assert!(rule(&plan, "t-man").is_none());
    }

    #[test]
    fn a_window_that_begins_with_a_raise_needs_whoever_may_begin_it() {
        let window = |kind: &str| {
            plan(&format!(
                "[[window]]\nid = \"w\"\nfrom = 2026-11-29T20:00:00Z\nmatch = {{ rule = [\"t-o*\", \"t-root\"] }}\n{kind}"
            ))
        };
        let (fixed, flexible) = (window("to = 2026-11-29T22:00:00Z\n"), window("duration = \"1h\"\n"));
        assert_eq!(played(&fixed, "t-other"), ["other"]);
        assert_eq!(played(&flexible, "t-other"), ["masks", "other", "root"]);
        assert_eq!(played(&flexible, "t-masks"), ["masks"]);
    }
}
