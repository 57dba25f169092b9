//! `[rule.action]`: the repair of a rule, each key by itself. What depends on the class (placeholders,
//! conditions) is checked when it is compiled.

use toml::de::DeValue;

use crate::config::diagnose::{Finding, Report};
use crate::config::raw::names;
use crate::config::value;
use crate::config::walk::{Key, Keys, Kind, LATER, Range, Sp, Text, Walk};
use crate::engine::moment::{DAY, HOUR, SECOND};
use crate::engine::plan::{Budget, Mode, OnFail};

/// Most arguments, the program included.
const MOST_ARGUMENTS: usize = 64;
/// Most runs of a budget.
const MOST_RUNS: u32 = 10_000;
/// How long an action may wait for something.
const WAIT: Range = 0..=DAY;
/// How long a program may run.
const RUN: Range = SECOND..=HOUR;
/// The time of a budget.
const PER: Range = SECOND..=400 * DAY;

/// `[rule.action]`.
pub struct RawAction {
    pub run: Vec<Text>,
    pub after: Option<i64>,
    pub timeout: Option<i64>,
    pub budget: Option<Budget>,
    pub cooldown: Option<i64>,
    pub only_if: Option<Text>,
    pub verify: Option<Text>,
    pub verify_in: Option<Sp<i64>>,
    pub on_fail: Option<OnFail>,
    pub mode: Option<Mode>,
}

pub const ACTION: Keys = Keys {
    known: &[
        Key::new("run", Kind::Argv, "program and arguments; {label} stands for a label of the instance"),
        Key::new("after", Kind::Duration(WAIT), "how long the incident must have been open").or("0s"),
        Key::new("timeout", Kind::Duration(RUN), "how long it may run").or("1m"),
        Key::new("max", Kind::Form(r"^\s*[0-9]+\s+per\s+\S"), "budget over all instances").or("3 per 1h"),
        Key::new("cooldown", Kind::Duration(WAIT), "between two runs on one instance").or("10m"),
        Key::new("only_if", Kind::Condition, "condition at the start, over signals and the incident"),
        Key::new("verify", Kind::Condition, "condition over signals that says that it has helped"),
        Key::new("verify_in", Kind::Duration(WAIT), "how long that may take").or("2m"),
        Key::new("on_fail", Kind::Word(|| names(&ON_FAIL)), "what follows a failure").or("escalate"),
        Key::new("mode", Kind::Word(|| names(&MODES)), "only said on the incident, or run").or("dry-run"),
    ],
    later: &[],
    instead: LATER,
    renamed: &[
        ("command", "run"),
        ("cmd", "run"),
        ("exec", "run"),
        ("argv", "run"),
        ("script", "run"),
        ("shell", "run, a list of arguments: there is no shell"),
        ("delay", "after"),
        ("wait", "after"),
        ("budget", "max"),
        ("limit", "max"),
        ("retries", "max, such as max = \"3 per 1h\""),
        ("when", "only_if"),
        ("if", "only_if"),
        ("condition", "only_if"),
        ("check", "verify"),
        ("enabled", "mode = \"auto\" or \"dry-run\""),
        ("dry_run", "mode = \"dry-run\""),
    ],
};

const MODES: [(&str, Mode); 2] = [("dry-run", Mode::DryRun), ("auto", Mode::Auto)];
const ON_FAIL: [(&str, OnFail); 2] = [("escalate", OnFail::Escalate), ("note", OnFail::Note)];

/// Reads `action` of a rule, or with `is_piece` of a template, which need not be whole.
pub fn action(rule: &Walk<'_>, is_piece: bool, report: &mut Report) -> Option<RawAction> {
    if !rule.has("action") {
        return None;
    }
    let walk = rule.table("action", &format!("the action of {}", rule.what), report)?;
    walk.check(&ACTION, &[], report);
    if !walk.has("run") && !is_piece {
        let help = "name the program and its arguments: run = [\"systemctl\", \"restart\", \"{unit}\"]";
        walk.missing("run", help, report);
    }
    let run = argv(&walk, report);
    let wait = |key: &str, range: Range, report: &mut Report| walk.duration(key, range, report);
    let budget = walk.text_that("max", budget, report).map(|b| b.value);
    Some(RawAction {
        after: wait("after", WAIT, report).map(|d| d.value),
        timeout: wait("timeout", RUN, report).map(|d| d.value),
        cooldown: wait("cooldown", WAIT, report).map(|d| d.value),
        verify_in: wait("verify_in", WAIT, report),
        only_if: walk.text("only_if", report),
        verify: walk.text("verify", report),
        on_fail: walk.word("on_fail", &ON_FAIL, report).map(|w| w.value),
        mode: walk.word("mode", &MODES, report).map(|w| w.value),
        run: run?,
        budget,
    })
}

/// The argv: a list, because one text would need a shell to take it apart.
fn argv(walk: &Walk<'_>, report: &mut Report) -> Option<Vec<Text>> {
    let value = walk.get("run")?;
    if let DeValue::String(text) = value.get_ref() {
        let words: Vec<_> = text.split_whitespace().map(|w| format!("{w:?}")).collect();
        let finding = Finding::error(value.at(), "`run` must be a list of arguments, not one text")
            .help("there is no shell that takes a text apart: each argument stands by itself");
        report.add(match text.contains(['\'', '"', '\\', '|', ';', '&', '<', '>', '$', '`']) {
            true => finding.help("what needs a shell belongs in a script: run = [\"/usr/local/sbin/…\"]"),
            false => finding.help(format!("write run = [{}]", words.join(", "))),
        });
        return None;
    }
    let run = walk.list("run", report)?;
    if run.is_empty() || run.len() > MOST_ARGUMENTS {
        let message = match run.len() {
            0 => "`run` is an empty list: it runs nothing".to_owned(),
            n => format!("`run` has {n} arguments; at most {MOST_ARGUMENTS}"),
        };
        report.add(Finding::error(value.at(), message));
        return None;
    }
    if let Some(text) = run.iter().find(|t| t.value.contains('\0')) {
        report.add(Finding::error(text.at, "an argument cannot hold a zero byte"));
        return None;
    }
    Some(run)
}

/// `3 per 1h`.
fn budget(text: &str) -> Result<Budget, String> {
    const FORM: &str = "is no budget; write runs per time, such as \"3 per 1h\"";
    let words: Vec<_> = text.split_whitespace().collect();
    let [count, "per", per @ ..] = &words[..] else { return Err(FORM.to_owned()) };
    let count = count.parse::<u32>().map_err(|_| FORM.to_owned())?;
    if count == 0 || count > MOST_RUNS {
        return Err(format!("is out of range: from 1 to {MOST_RUNS} runs"));
    }
    let per = per.join(" ");
    let per = value::duration(&per).map_err(|why| format!("is no budget: {per:?} {why}"))?;
    if !PER.contains(&per) {
        return Err("is out of range: per 1s to 400d".to_owned());
    }
    Ok(Budget { count, per })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::moment::MINUTE;

    #[test]
    fn budgets() {
        for (text, count, per) in [("3 per 1h", 3, HOUR), (" 10  per 1h 30m", 10, 90 * MINUTE)] {
            assert_eq!(budget(text), Ok(Budget { count, per }), "{text}");
        }
        for text in ["3", "3/h", "3 per", "per 1h", "0 per 1h", "3 per hour", "3 per 0s", "-1 per 1h", ""] {
            assert!(budget(text).is_err(), "{text}");
        }
    }
}
