//! Dependencies: a symptom is counted on what explains it.

use crate::stage::{RULES, config, incident, play};

const START: &str = "2026-11-22T00:00:00Z";

/// `t-down` on anything but the gateway depends on the gateway.
const GATEWAY: &str = r#"
[[rule]]
id = "t-gateway"
on = "check"
match = { check = ["gateway*"] }
raise = "not check.up"
clear = "check.up"
[[rule]]
id = "t-down"
on = "check"
match = { check = ["*", "!gateway*", "!upstream"] }
raise = "not check.up"
clear = "check.up"
depends = ["t-gateway"]
"#;

/// Plays a story under one configuration.
fn story(rules: &str, story: &str) -> String {
    play(START, &[("a", config(&[RULES, rules]))], story)
}

#[test]
fn a_storm_is_counted_on_its_parent_and_what_is_left_is_raised_after_it() {
    let said = story(
        GATEWAY,
        "00:00 down gateway
         00:01 down a b c d e f g
         00:02 kept
         01:00 down h
         05:00 up gateway
         05:10 up a b c d e
         05:20 kept
         05:40 up f
         20:00 look",
    );
    insta::assert_snapshot!(said);
}

#[test]
fn parent_and_child_of_one_batch_see_each_other_in_either_order() {
    for story_ in ["00:00 down a gateway", "00:00 down gateway a"] {
        let said = story(GATEWAY, story_);
        assert_eq!(said, "00:00 INC000001 t-gateway gateway raised 0 s after the breach\n", "{story_}");
    }
}

/// The parent's condition must hold for so long.
fn pending(for_: &str) -> String {
    GATEWAY.replacen("raise = ", &format!("for = \"{for_}\"\nraise = "), 1)
}

#[test]
fn a_pending_parent_delays_a_raise_by_at_most_thirty_seconds() {
    for (for_, what, tale, seen) in [
        (
            "20s",
            "it stands in time",
            "00:00 down gateway a\n00:10 kept\n01:00 look",
            "00:10 kept t-down check{check=a}: t-gateway on check{check=gateway} is pending; raised at 2026-11-22 00:00:30Z otherwise\n\
             00:20 INC000001 t-gateway gateway raised 20 s after the breach\n\
             00:50 INC000001 t-gateway gateway suppressed: 1 condition is explained by this and not raised on its own: t-down on a\n",
        ),
        (
            "2m",
            "it takes longer than that",
            "00:00 down gateway a\n01:00 look",
            "00:30 INC000001 t-down a raised 30 s after the breach\n\
             00:30 INC000001 t-down a suppressed: raised only now, 30s after 2026-11-22 00:00:00Z: t-gateway on check{check=gateway} was pending\n",
        ),
        (
            "2m",
            "it is well again",
            "00:00 down gateway a\n00:05 up gateway\n01:00 look",
            "00:05 INC000001 t-down a raised 5 s after the breach\n\
             00:05 INC000001 t-down a suppressed: raised only now, 5s after 2026-11-22 00:00:00Z: t-gateway on check{check=gateway} was pending\n",
        ),
        ("2m", "the child is", "00:00 down gateway a\n00:05 up a\n01:00 look", ""),
        (
            "2m",
            "it was not pending at that moment",
            "00:00 down a\n00:01 down gateway\n01:00 look",
            "00:00 INC000001 t-down a raised 0 s after the breach\n",
        ),
    ] {
        assert_eq!(story(&pending(for_), tale), seen, "{what}");
    }
}

#[test]
fn a_parent_that_comes_back_within_the_settle_time_goes_on_explaining() {
    let said = story(
        GATEWAY,
        "00:00 down gateway
         00:01 down a
         02:00 up gateway
         02:20 down gateway
         03:00 kept
         04:00 up gateway
         04:20 kept
         05:00 look",
    );
    insta::assert_snapshot!(said);
}

#[test]
fn a_parent_that_flaps_stands_until_its_incident_is_resolved() {
    let mut tale = String::new();
    for i in 0..4 {
        tale += &format!("00:{:02} down gateway\n00:{:02} up gateway\n", 2 * i, 2 * i + 1);
    }
    tale += "00:08 down a\n00:09 kept\n10:00 look";
    insta::assert_snapshot!(story(GATEWAY, &tale));
}

#[test]
fn what_people_have_dismissed_explains_nothing() {
    for verb in ["cancel", "resolve"] {
        let said = story(
            GATEWAY,
            &format!("00:00 down gateway\n00:01 down a\n01:00 {verb} INC000001\n01:29 look\n01:31 look"),
        );
        let raised = said.lines().find(|l| l.contains("t-down a raised")).expect("the symptom is raised");
        assert_eq!(raised, "01:30 INC000002 t-down a raised 89 s after the breach", "{verb}");
    }
}

#[test]
fn labels_that_must_be_the_same_tell_parents_apart() {
    let same = |label: &str| {
        format!(
            r#"
[[rule]]
id = "t-down"
on = "check"
raise = "not check.up"
clear = "check.up"
[[rule]]
id = "t-slow"
on = "check"
raise = "check.latency > 2s"
clear = "check.latency < 1s"
depends = {{ rule = "t-down", same = ["{label}"] }}
"#
        )
    };
    for (label, checks, raised) in [
        ("check", "shop-a", vec![]),
        ("check", "shop-b other", vec!["other", "shop-b"]),
        ("service", "shop-b other", vec!["other"]),
        ("kind", "shop-b other", vec![]),
    ] {
        let said = story(&same(label), &format!("00:00 down shop-a\n00:01 slow {checks}"));
        let seen: Vec<_> = said.lines().filter(|l| l.contains("t-slow")).collect();
        let names: std::collections::BTreeSet<_> =
            seen.iter().map(|l| l.split(' ').nth(3).unwrap()).collect();
        assert_eq!(names.into_iter().collect::<Vec<_>>(), raised, "{label} {checks}: {said}");
    }
}

#[test]
fn a_chain_leads_to_the_farthest_that_stands() {
    let chain = GATEWAY.replacen("[[rule]]", "[[rule]]\nid = \"t-upstream\"\non = \"check\"\nmatch = { check = [\"upstream\"] }\nraise = \"not check.up\"\nclear = \"check.up\"\nsuppresses = [\"t-gateway\"]\n[[rule]]", 1);
    let said = story(
        &chain,
        "00:00 down upstream
         00:01 down gateway
         00:02 down a
         00:03 kept
         00:04 up gateway
         00:05 down b
         00:06 kept
         02:00 up upstream
         03:00 look",
    );
    insta::assert_snapshot!(said);
}

#[test]
fn what_is_open_stays_open_and_every_resolve_passes() {
    let said = story(
        GATEWAY,
        "00:00 down a
         00:10 down gateway
         00:20 up a
         00:30 down a
         00:40 up a
         01:00 kept
         01:10 up gateway",
    );
    insta::assert_snapshot!(said);
}

#[test]
fn a_reload_that_takes_the_parent_away_frees_its_symptoms() {
    let without = GATEWAY.split("[[rule]]").nth(2).expect("the child");
    let without = format!("[[rule]]{}", without.replace("depends = [\"t-gateway\"]", ""));
    let loose = GATEWAY.replace("depends = [\"t-gateway\"]", "");
    let configs = [
        ("a", config(&[RULES, GATEWAY])),
        ("without", config(&[RULES, &without])),
        ("loose", config(&[RULES, &loose])),
    ];
    for name in ["without", "loose"] {
        let tale = format!("00:00 down gateway\n00:01 down a\n01:00 reload {name}\n01:10 kept\n02:00 look");
        let said = play(START, &configs, &tale);
        let raised = said.lines().find(|l| l.contains("t-down a raised"));
        assert_eq!(raised, Some("01:30 INC000002 t-down a raised 89 s after the breach"), "{name}: {said}");
    }
}

#[test]
fn a_reload_that_takes_the_child_away_leaves_nothing() {
    let only = GATEWAY.rsplit_once("[[rule]]").expect("two rules").0;
    let configs = [("a", config(&[RULES, GATEWAY])), ("only", config(&[RULES, only]))];
    let said = play(
        START,
        &configs,
        "00:00 down gateway\n00:01 down a\n00:40 reload only\n00:50 kept\n09:00 up gateway",
    );
    assert!(!said.contains("t-down a raised") && !said.contains("kept"), "{said}");
}

#[test]
fn a_restart_in_the_middle_changes_nothing() {
    let said = story(
        GATEWAY,
        "00:00 down gateway
         00:01 down a b
         00:05 restart 20
         00:30 up gateway
         00:35 restart 10
         00:50 kept
         01:00 up a
         02:00 down b
         03:00 look",
    );
    insta::assert_snapshot!(said);
}

#[test]
fn a_raise_of_which_nothing_is_left_is_judged_again() {
    for (lost, wanted) in [
        (
            "suppressed",
            "01:10 kept t-down check{check=a}: symptom of t-gateway on check{check=gateway} (INC000001)",
        ),
        ("incident", "01:00 INC000002 t-gateway gateway raised 60 s after the breach"),
        (
            "machine",
            "01:10 kept t-down check{check=a}: symptom of t-gateway on check{check=gateway} (INC000001)",
        ),
        (
            "none",
            "01:10 kept t-down check{check=a}: symptom of t-gateway on check{check=gateway} (INC000001)",
        ),
    ] {
        let said = story(
            GATEWAY,
            &format!(
                "00:00 down gateway\n00:01 down a\n01:00 lose {lost}\n01:10 kept\n03:00 up gateway\n04:00 look"
            ),
        );
        assert!(said.lines().any(|l| l == wanted), "{lost}: {said}");
        let late = said.lines().filter(|l| l.contains("t-down a raised") && l.starts_with("03:30"));
        assert_eq!(late.count(), 1, "{lost}: {said}");
    }
}

#[test]
fn what_is_due_and_cannot_be_seen_waits_without_asking_for_time() {
    let off = format!(
        "{GATEWAY}\n[[override]]\nrule = \"t-down\"\nmatch = {{ check = [\"a\"] }}\nset = {{ enabled = false }}\n"
    );
    let configs = [("a", config(&[RULES, GATEWAY])), ("off", config(&[RULES, &off]))];
    for (name, raised) in [("a", 1), ("off", 0)] {
        let tale = format!(
            "00:00 down gateway\n00:01 down a\n01:00 up gateway\n01:10 dark {name}\n03:00 look\n03:10 down a\n20:00 look"
        );
        let said = play(START, &configs, &tale);
        let seen = said.lines().filter(|l| *l == "03:10 INC000002 t-down a raised 189 s after the breach");
        assert_eq!(seen.count(), raised, "{name}: {said}");
    }
}

#[test]
fn a_storm_of_three_hundred_makes_few_revisions() {
    let checks: Vec<String> = (0..300).map(|i| format!("c{i}")).collect();
    let tale = format!("00:00 down gateway\n00:01 down {}\n09:00 look", checks.join(" "));
    let configs = [("a", config(&[RULES, GATEWAY]))];
    let parent = incident(START, &configs, &tale, "INC000001");
    assert_eq!((parent.rev, parent.counters.suppressed), (2, 300), "the raise, and what it explains");
    assert_eq!(story(GATEWAY, &tale).lines().filter(|l| l.ends_with("after the breach")).count(), 1);
}
