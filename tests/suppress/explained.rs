//! What an explanation says of windows, parents, flapping and people, while they keep a raise or would.

use crate::stage::{RULES, config, play};

const START: &str = "2026-11-22T00:00:00Z";

const TERMS: &str = r#"
[[rule]]
id = "t-gateway"
on = "check"
match = { check = ["gateway*"] }
raise = "not check.up"
clear = "check.up"
[[rule]]
id = "t-down"
on = "check"
match = { check = ["*", "!gateway*"] }
raise = "not check.up"
clear = "check.up"
depends = ["t-gateway"]
[[window]]
id = "night"
every = "daily 01:00-02:00"
tz = "UTC"
change = "CHG7"
match = { service = ["shop*"] }
"#;

fn story(story: &str) -> Vec<String> {
    let said = play(START, &[("a", config(&[RULES, TERMS]))], story);
    said.lines().map(str::to_owned).collect()
}

/// The lines of the last question.
fn last(said: &[String]) -> String {
    let from = said.iter().rposition(|line| !line.contains("  ")).unwrap_or(0);
    said[from..].join("\n")
}

fn holds(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
}

#[test]
fn a_parent_explains_would_explain_and_is_well() {
    let said = last(&story("00:00 up gateway a\n00:01 why t-down a"));
    holds(&said, &["Ok: not raised: check.up is true", "None dependency: t-gateway is well"]);
    let said = last(&story("00:00 up a\n00:01 down gateway\n00:10 why t-down a"));
    holds(&said, &["Would dependency: t-gateway on check{check=gateway} (INC000001) is raised"]);
    let said = last(&story("00:00 down gateway\n00:01 down a\n00:10 why t-down a"));
    holds(
        &said,
        &["Raised: raised, and still true", "Keeps dependency: kept since 2026-11-22 00:00:01Z: symptom of"],
    );
    let said = last(&story("00:00 down gateway\n00:01 cancel INC000001\n00:02 up a\n00:10 why t-down a"));
    holds(&said, &["None dependency: t-gateway on check{check=gateway} (INC000001) was dismissed by people"]);
}

#[test]
fn a_window_keeps_would_keep_marks_and_is_about_something_else() {
    let said = last(&story("00:00 up shop\n00:01 why t-down shop"));
    holds(&said, &["None maintenance: window night (change CHG7) opens at 2026-11-22 01:00:00Z"]);
    let said = last(&story("00:00 up shop other\n01:10:00 why t-down shop"));
    holds(&said, &["Would maintenance: window night (change CHG7) is open until 2026-11-22 02:00:00Z"]);
    let said = last(&story("00:00 up shop other\n01:10:00 why t-down other"));
    holds(
        &said,
        &["None maintenance: window night (change CHG7) is open, and is not about this: service shop*"],
    );
    let said = last(&story("00:00 up shop\n01:10:00 down shop\n01:11:00 why t-down shop"));
    holds(
        &said,
        &["Keeps maintenance: kept since 2026-11-22 01:10:00Z: maintenance window night (change CHG7)"],
    );
    assert_eq!(
        said.matches("window night").count(),
        2,
        "the one that keeps it is told once more only as next\n{said}"
    );
    let said = last(&story("00:00 up other\n00:01 tag 600 new disk\n00:02 why t-down other"));
    holds(&said, &["Marks maintenance: window shell-1 is open until 2026-11-22 00:10:01Z"]);
}

#[test]
fn the_newest_incident_takes_a_raise_up_or_not() {
    let down = "00:00 down a\n";
    let said = last(&story(&format!("{down}00:10 why t-down a")));
    holds(&said, &["None incident: INC000001 is open: a raise is written on it"]);
    let said = last(&story(&format!("{down}01:00 up a\n01:10 why t-down a")));
    holds(&said, &["INC000001 is resolved: a raise before 2026-11-22 01:01:00Z reopens it"]);
    let said = last(&story(&format!("{down}01:00 up a\n01:10:00 why t-down a")));
    holds(&said, &["INC000001 is over: a raise is a new incident"]);
    let said = last(&story(&format!("{down}00:10 cancel INC000001\n00:20 why t-down a")));
    holds(&said, &["Keeps incident: INC000001 was ended by people while its condition holds on"]);
    let flaps: String = (0..8).map(|n| format!("00:{:02} {} a\n", n, ["down", "up"][n % 2])).collect();
    let said = last(&story(&format!("{flaps}00:10 why t-down a")));
    holds(&said, &["Marks flapping: INC000001 flaps", "it stays open until 2026-11-22 00:0"]);
}

#[test]
fn what_a_rule_does_not_bind_is_said() {
    let said = story("00:00 up gateway\n00:01 why t-down gateway");
    assert!(said.last().is_some_and(|line| line.ends_with("t-down does not bind gateway")), "{said:?}");
}
