//! A reload in words, for the log, the answer to `sexton reload` and the incident about a refused one.

use std::fmt::Write;

use super::attempt::Seen;
use super::wants_restart;
use crate::config::Config;
use crate::config::difference::{Difference, Fate, KeyChange, RuleChange};
use crate::engine::foresee::{Changes, Foreseen, Outlook};
use crate::engine::moment::human;

/// Most rules, and most instances of each sort, that are named.
const NAMED: usize = 20;
/// Most keys that are named of one rule.
const KEYS: usize = 8;
/// Longest value of a key, in characters.
const VALUE: usize = 48;
/// Longest text in log and journal, in bytes.
const BYTES: usize = 16 * 1024;

/// It is in force.
pub fn applied(seen: &Seen, old: &Config, was_forced: bool, took_ns: i64) -> String {
    let (new, mut out) = (&seen.config, String::new());
    let forced = if was_forced { ", by force" } else { "" };
    let (rules, ms) = (new.plan.rules.len(), took_ns as f64 / 1e6);
    let _ = write!(out, "configuration read: {rules} rules in force{forced}; the swap took {ms:.1} ms");
    if wants_restart(old, new) {
        out.push_str("; [store] and [desk] take effect at the next start");
    }
    body(seen, "raises", "closes", &mut out);
    out
}

/// It would be put in force, or not.
pub fn dry_run(seen: &Seen, is_over: bool) -> String {
    let config = &seen.config;
    let mut out = match is_over {
        true => format!("dry run: this would be refused ({})", limits(seen)),
        false => format!("dry run: this would be put in force, {} rules", config.plan.rules.len()),
    };
    body(seen, "would raise", "would close", &mut out);
    out
}

/// It would raise or close too much.
pub fn over_limit(seen: &Seen) -> String {
    let mut out = limits(seen);
    body(seen, "would raise", "would close", &mut out);
    out.push_str("\nif that is meant: sexton reload --force; or set [reload] limit in the main file");
    out
}

fn limits(seen: &Seen) -> String {
    let (outlook, limit) = (&seen.outlook, seen.config.reload);
    format!(
        "it would raise {} and close {}; [reload] limit allows {} and {}",
        count(outlook.raise.count, "incident"),
        outlook.close.count,
        limit.raise,
        limit.close
    )
}

fn body(seen: &Seen, raises: &str, closes: &str, out: &mut String) {
    let Seen { difference, tests, outlook, .. } = seen;
    differences(difference, out);
    if *tests > 0 {
        let _ = write!(out, "\n  {} passed", count(*tests, "test"));
    }
    state(outlook, out);
    changes(raises, &outlook.raise, out);
    changes(closes, &outlook.close, out);
    changes("lowers", &outlook.lower, out);
    if outlook.kept_back > 0 {
        let _ = write!(
            out,
            "\n  {} kept back by a maintenance window or a parent",
            count(outlook.kept_back, "condition")
        );
    }
}

fn differences(difference: &Difference, out: &mut String) {
    for rule in difference.rules.iter().take(NAMED) {
        rule_change(rule, out);
    }
    more(difference.rules.len(), "rule", out);
    for table in difference.tables.iter().take(NAMED) {
        let _ = write!(out, "\n  {} {}", sign(table.fate), table.table);
    }
    more(difference.tables.len(), "table", out);
}

fn rule_change(rule: &RuleChange, out: &mut String) {
    let _ = write!(out, "\n  {} {}  {}", sign(rule.fate), rule.id, rule.origin);
    for KeyChange { key, from, to } in rule.keys.iter().take(KEYS) {
        let value = |value: &Option<String>| value.as_deref().map_or("(nothing)".to_owned(), clipped);
        let _ = write!(out, "\n      {key}: {} → {}", value(from), value(to));
    }
    if rule.keys.len() > KEYS {
        let _ = write!(out, "\n      and {} more keys", rule.keys.len() - KEYS);
    }
}

fn state(outlook: &Outlook, out: &mut String) {
    let carried = &outlook.carried;
    let mut parts = Vec::new();
    for (n, what) in [
        (carried.kept, "go on"),
        (carried.judged_anew, "judged anew"),
        (carried.begun, "new"),
        (carried.ended, "ended"),
    ] {
        if n > 0 {
            parts.push(format!("{n} {what}"));
        }
    }
    if !parts.is_empty() {
        let _ = write!(out, "\n  rule instances: {}", parts.join(", "));
    }
    if carried.windows_begun > 0 {
        let (kept, begun, filled) = (carried.windows_kept, carried.windows_begun, carried.windows_filled);
        let _ =
            write!(out, "\n  windows: {kept} go on, {begun} new, {filled} of them filled from the history");
    }
}

fn changes(verb: &str, changes: &Changes, out: &mut String) {
    if changes.count == 0 {
        return;
    }
    let _ = write!(out, "\n  {verb} {}", changes.count);
    for change in changes.list.iter().take(NAMED) {
        one(change, out);
    }
    if changes.count > NAMED {
        let _ = write!(out, "\n    and {} more", changes.count - NAMED);
    }
}

fn one(change: &Foreseen, out: &mut String) {
    let word = |severity| format!("{severity:?}").to_lowercase();
    let severity = match change.from {
        Some(from) => format!("{} → {}", word(from), word(change.severity)),
        None => word(change.severity),
    };
    let _ = write!(out, "\n    {severity:<8}  {} on {}", change.rule, change.instance);
    if change.after > 0 {
        let _ = write!(out, " in {}, if it holds on", human(change.after));
    }
    if !change.why.is_empty() {
        let _ = write!(out, ": {}", change.why);
    }
}

fn sign(fate: Fate) -> char {
    match fate {
        Fate::Added => '+',
        Fate::Changed => '~',
        Fate::Removed => '-',
    }
}

fn more(all: usize, what: &str, out: &mut String) {
    if all > NAMED {
        let _ = write!(out, "\n    and {} more", count(all - NAMED, what));
    }
}

fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// One line of a terminal holds two of them.
fn clipped(value: &str) -> String {
    let line = value.lines().next().unwrap_or_default();
    match line.char_indices().nth(VALUE) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None if line.len() < value.len() => format!("{line}…"),
        None => line.to_owned(),
    }
}

/// A text that is not too long for log and journal.
pub fn bounded(text: &str) -> &str {
    &text[..text.floor_char_boundary(BYTES)]
}
