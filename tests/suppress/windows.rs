//! Maintenance windows: fixed, recurring, flexible, and from the shell.

use sexton::engine::record::Incident;

use crate::stage::{RULES, config, incident, play};

/// A Sunday.
const START: &str = "2026-11-22T01:00:00Z";

const DOWN: &str = r#"
[[rule]]
id = "t-down"
on = "check"
severity = "critical"
impact = 1
urgency = 1
raise = "not check.up"
clear = "check.up"
"#;

/// From 02:00 to 04:00 UTC on Sundays; `more` stands in it as well.
fn night(more: &str) -> String {
    format!("{DOWN}\n[[window]]\nid = \"night\"\nevery = \"sun 02:00-04:00\"\ntz = \"UTC\"\n{more}\n")
}

/// Plays a story under one configuration, from 01:00 on a Sunday.
fn story(rules: &str, story: &str) -> String {
    play(START, &[("a", config(&[RULES, rules]))], story)
}

/// The same, and what became of an incident.
fn after(rules: &str, story: &str, number: &str) -> Incident {
    incident(START, &[("a", config(&[RULES, rules]))], story, number)
}

#[test]
fn nothing_is_raised_in_a_window_and_what_holds_on_is_raised_at_its_end() {
    let said = story(
        &night("change = \"CHG0042\""),
        "00:30:00 windows
         01:10:00 down a b
         01:20:00 up a
         01:30:00 kept
         01:30:01 windows
         03:00:01 windows
         03:10:00 look",
    );
    insta::assert_snapshot!(said);
}

#[test]
fn what_is_raised_late_names_window_and_change() {
    let late = after(&night("change = \"CHG0042\""), "01:10:00 down a\n03:10:00 look", "INC000001");
    assert_eq!(late.links.maintenance.as_deref(), Some("night"));
    assert_eq!(late.links.change.as_deref(), Some("CHG0042"));
    assert_eq!(late.raised_at.to_string(), "2026-11-22T04:00:00Z");
    assert_eq!(late.breach_at.to_string(), "2026-11-22T02:10:00Z");
    assert_eq!(late.sla.respond.due.to_string(), "2026-11-22T04:15:00Z", "the clock begins with the raise");
}

#[test]
fn an_open_incident_stays_open_and_its_resolve_clock_stands_still() {
    // P1: resolve within 4 h of 01:10.
    let tale = "00:10:00 down a\n01:30:00 look\n03:30:00 look";
    let said = story(&night(""), tale);
    insta::assert_snapshot!(said);
    let open = after(&night(""), tale, "INC000001");
    assert_eq!(open.sla.paused_total, 7_200.0);
    assert_eq!(open.sla.resolve.due.to_string(), "2026-11-22T07:10:00Z");
    assert_eq!(open.sla.respond.due.to_string(), "2026-11-22T01:25:00Z", "people can answer meanwhile");
    assert_eq!(open.sla.paused_since, None);
}

#[test]
fn a_resolve_passes_and_a_return_within_the_window_waits_for_its_end() {
    let said = story(
        &night(""),
        "00:50:00 down a
         01:10:00 up a
         01:20:00 down a
         01:21:00 kept
         03:00:00 look",
    );
    insta::assert_snapshot!(said);
}

#[test]
fn a_window_that_tags_only_says_so() {
    let tale = "01:10:00 down a\n03:10:00 up a";
    let said = story(&night("mode = \"tag\"\nchange = \"CHG0042\""), tale);
    assert_eq!(
        said.lines().take(2).collect::<Vec<_>>(),
        [
            "01:10:00 INC000001 t-down a raised 0 s after the breach",
            "01:10:00 INC000001 t-down a maintenance: raised within the maintenance window night (change CHG0042)",
        ]
    );
    let tagged = after(&night("mode = \"tag\"\nchange = \"CHG0042\""), tale, "INC000001");
    assert_eq!((tagged.links.change.as_deref(), tagged.sla.paused_total), (Some("CHG0042"), 0.0));
}

#[test]
fn a_window_is_about_what_its_match_says() {
    for (matches, kept) in [
        ("", "a shop-a"),
        ("rule = [\"t-*\"]", "a shop-a"),
        ("rule = [\"*\", \"!t-down\"]", ""),
        ("service = [\"sho*\"]", "shop-a"),
        ("service = [\"!shop\"]", ""),
        ("service = [\"!mail\"]", "shop-a"),
        ("severity = [\"critical\"]", "a shop-a"),
        ("severity = [\"warning\", \"info\"]", ""),
        ("labels = { check = [\"a\"] }", "a"),
        ("labels = { env = [\"prod\"], check = \"shop*\" }", "shop-a"),
        ("labels = { env = [\"test\"] }", ""),
        ("labels = { mount = [\"*\"] }", ""),
        ("labels = { mount = [\"!/srv\"] }", ""),
        ("host = [\"web-*\"]", "a shop-a"),
        ("host = [\"db-*\"]", ""),
    ] {
        let said =
            story(&night(&format!("match = {{ {matches} }}")), "01:10:00 down a shop-a\n01:11:00 kept");
        let found: Vec<_> = said.lines().filter_map(|l| l.split_once("kept t-down check{check=")).collect();
        let found: Vec<_> =
            found.iter().filter_map(|(_, rest)| rest.split_once('}')).map(|(n, _)| n).collect();
        assert_eq!(found.join(" "), kept, "{matches}: {said}");
    }
}

#[test]
fn a_flexible_window_begins_with_the_first_raise_and_once() {
    let rules = night("duration = \"30m\"");
    let said = story(
        &rules,
        "00:59:00 down early
         01:10:00 windows
         01:20:00 down a
         01:20:01 windows
         01:40:00 down b
         01:45:00 up a
         02:00:00 down c
         02:00:01 windows",
    );
    insta::assert_snapshot!(said);
}

#[test]
fn the_flexible_window_whose_time_it_is_begins_whatever_stands_before_it() {
    let other = "[[window]]\nid = \"noon\"\nevery = \"sun 12:00-13:00\"\ntz = \"UTC\"\nduration = \"10m\"\n";
    let said = story(
        &format!("{DOWN}\n{other}{}", &night("duration = \"30m\"")[DOWN.len()..]),
        "01:20:00 down a
         01:20:01 kept
         11:10:00 down b
         11:10:01 kept",
    );
    let kept: Vec<_> = said.lines().filter(|l| l.contains(" kept ")).collect();
    assert_eq!(kept.len(), 2, "{said}");
    assert!(kept[0].contains("night") && kept[1].contains("noon"), "{said}");
}

#[test]
fn a_flexible_window_moves_with_a_clock_that_is_set_back() {
    let said = story(
        &night("duration = \"30m\""),
        "01:20:00 down a
         01:25:00 clock -900
         01:27:00 down b
         01:54:00 windows
         01:56:00 look
         01:58:00 look",
    );
    for line in [
        "01:54:00 window night open 2026-11-22T02:12:00Z 2026-11-22T02:42:00Z keeps 2",
        "01:57:00 INC000001 t-down a raised",
        "01:57:00 INC000002 t-down b raised",
    ] {
        assert!(said.lines().any(|said| said.starts_with(line)), "{line}: {said}");
    }
    assert!(!said.contains("01:56:00 INC"), "{said}");
}

#[test]
fn an_incident_that_people_reopen_within_a_window_resolves_with_its_condition() {
    let reopened = |more: &str| {
        let story = format!(
            "00:10:00 down a
             00:20:00 up a
             01:10:00 down a
             01:20:00 reopen INC000001
             01:30:00 kept
             {more}"
        );
        after(&night(""), &story, "INC000001")
    };
    assert!(reopened("").state.is_open());
    let incident = reopened("01:40:00 up a");
    assert!(!incident.state.is_open(), "{:?}", incident.state);
    assert_eq!(incident.resolved_at.map(|at| at.to_string()).as_deref(), Some("2026-11-22T02:40:00Z"));
}

#[test]
fn a_window_from_the_shell_survives_restart_and_reload_and_ends_early() {
    let configs = [("a", config(&[RULES, DOWN])), ("b", config(&[RULES, &night("")]))];
    let said = play(
        START,
        &configs,
        "00:01:00 maintain 3600 new kernel
         00:02:00 down a
         00:03:00 restart 60
         00:05:00 windows
         00:06:00 reload b
         00:07:00 kept
         00:10:00 end shell-1
         00:11:00 end shell-1
         00:12:00 maintain 3600
         00:13:00 maintain 10 short
         00:14:00 maintain 2600000 long
         00:15:00 tag 600 look at it
         00:16:00 down b
         00:26:00 windows",
    );
    insta::assert_snapshot!(said);
}

#[test]
fn a_planned_window_can_be_ended_early_and_comes_back_the_next_time() {
    let daily = night("").replace("sun 02:00-04:00", "daily 02:00-04:00");
    let said = story(
        &daily,
        "00:30:00 end night
         01:10:00 down a
         01:30:00 end night
         01:31:00 windows
         01:32:00 down b
         02:00:00 restart 10
         02:01:00 down c
         25:10:00 down d
         25:11:00 kept",
    );
    insta::assert_snapshot!(said);
}

#[test]
fn a_restart_within_a_window_and_one_over_its_end() {
    let said = story(
        &night(""),
        "00:10:00 down open
         01:10:00 down a b
         01:20:00 restart 600
         01:40:00 kept
         02:50:00 restart 1200
         03:20:00 look",
    );
    insta::assert_snapshot!(said);
}

#[test]
fn a_reload_that_takes_the_window_away_ends_it() {
    let configs = [("a", config(&[RULES, &night("")])), ("none", config(&[RULES, DOWN]))];
    let said =
        play(START, &configs, "00:50:00 down open\n01:10:00 down a\n01:20:00 reload none\n01:21:00 windows");
    insta::assert_snapshot!(said);
}

#[test]
fn the_wall_clock_is_followed_when_it_is_set() {
    let said = story(
        &night(""),
        "00:10:00 clock 4000
         00:11:00 down a
         00:12:00 kept
         00:13:00 clock -4000
         00:14:00 down b
         00:15:00 look",
    );
    insta::assert_snapshot!(said);
}

#[test]
fn a_hold_and_a_window_do_not_start_each_others_clock() {
    // On hold for the vendor from before the window until within it, and from within it until after.
    for (tale, paused) in [
        ("00:10:00 down a\n00:20:00 hold INC000001\n01:30:00 start INC000001\n03:30:00 look", 9_600.0),
        ("00:10:00 down a\n01:30:00 hold INC000001\n03:30:00 start INC000001\n03:40:00 look", 9_000.0),
        ("00:10:00 down a\n01:30:00 resolve INC000001\n01:31:00 reopen INC000001\n03:40:00 look", 7_140.0),
    ] {
        assert_eq!(after(&night(""), tale, "INC000001").sla.paused_total, paused, "{tale}");
    }
}

#[test]
fn a_parent_kept_by_a_window_explains_its_symptoms_until_it_is_raised_itself() {
    let rules = format!(
        "{}\n[[rule]]\nid = \"t-gateway\"\non = \"check\"\nmatch = {{ check = [\"gateway\"] }}\nraise = \"not check.up\"\n\
         clear = \"check.up\"\n",
        night("match = { rule = [\"t-gateway\"] }").replace(
            "impact = 1",
            "impact = 1\nmatch = { check = [\"*\", \"!gateway\"] }\ndepends = [\"t-gateway\"]"
        )
    );
    let said = story(
        &rules,
        "01:10:00 down gateway
         01:11:00 down a
         01:12:00 kept
         03:05:00 kept
         03:10:00 up gateway
         03:11:00 look",
    );
    insta::assert_snapshot!(said);
}

#[test]
fn the_night_of_a_clock_change_in_two_zones() {
    // Berlin skips 02:00 to 03:00 on 28 March 2027 at 01:00Z; New York repeats 01:00 to 02:00 on 7 November
    // at 06:00Z.
    for (start, zone, hours, tale, raised) in [
        // 02:30 does not exist there: open from the jump at 01:00Z to 04:00 = 02:00Z.
        (
            "2027-03-28T00:00:00Z",
            "Europe/Berlin",
            "02:30-04:00",
            "00:59:00 down a\n01:00:00 down b\n01:59:00 down c\n02:00:00 look",
            "00:59 a, 02:00 b, 02:00 c",
        ),
        (
            "2027-03-28T00:00:00Z",
            "Asia/Shanghai",
            "08:00-10:00",
            "00:00:00 down a\n01:59:59 down b\n02:00:00 look",
            "02:00 a, 02:00 b",
        ),
        // 01:30 comes twice: open from the first one at 05:30Z to 03:00 = 08:00Z.
        (
            "2027-11-07T05:00:00Z",
            "America/New_York",
            "01:30-03:00",
            "00:29:00 down a\n00:30:00 down b\n02:59:00 down c\n03:00:00 look",
            "00:29 a, 03:00 b, 03:00 c",
        ),
    ] {
        let rules =
            format!("{DOWN}\n[[window]]\nid = \"night\"\nevery = \"daily {hours}\"\ntz = \"{zone}\"\n");
        let said = play(start, &[("a", config(&[RULES, &rules]))], tale);
        let seen: Vec<_> = said.lines().filter(|l| l.ends_with("after the breach")).collect();
        let short = |l: &&str| {
            let words: Vec<_> = l.split(' ').collect();
            let time =
                if words[0].len() == 8 { words[0][..5].to_owned() } else { format!("00:{}", &words[0][..2]) };
            format!("{time} {}", words[3])
        };
        assert_eq!(seen.iter().map(short).collect::<Vec<_>>().join(", "), raised, "{zone} {hours}");
    }
}

#[test]
fn a_window_from_the_shell_moves_with_a_clock_that_is_set_back() {
    let said = story(
        DOWN,
        "00:01:00 maintain 600 new disk
         00:02:00 down a
         00:03:00 clock -86400
         00:03:01 up b
         00:04:00 windows
         00:04:01 kept
         00:30:00 look",
    );
    insta::assert_snapshot!(said);
}

#[test]
fn a_symptom_begins_no_flexible_window_until_it_would_be_raised() {
    let rules = format!(
        "{}\n[[rule]]\nid = \"t-gateway\"\non = \"check\"\nmatch = {{ check = [\"gateway\"] }}\nraise = \"not check.up\"\n\
         clear = \"check.up\"\n",
        night("duration = \"10m\"").replace(
            "impact = 1",
            "impact = 1\nmatch = { check = [\"*\", \"!gateway\"] }\ndepends = [\"t-gateway\"]"
        )
    );
    let said = story(
        &rules,
        "00:50:00 down gateway
         01:10:00 down a
         01:11:00 windows
         01:20:00 up gateway
         01:21:00 kept
         01:21:01 windows
         01:40:00 look",
    );
    insta::assert_snapshot!(said);
}
