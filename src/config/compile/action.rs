//! The action of a rule: placeholders against the labels of its class, conditions compiled, defaults filled
//! in.

use std::sync::Arc;

use super::rule::Conditions;
use crate::config::diagnose::{Finding, Report};
use crate::config::raw::RawAction;
use crate::config::suggest::{nearest, one_of};
use crate::config::walk::{Text, shorten};
use crate::engine::cond;
use crate::engine::plan::{Action, Argument, Part};
use crate::engine::signal::Class;

/// Programs that take a text apart as code.
const SHELLS: [&str; 8] = ["sh", "bash", "dash", "zsh", "ksh", "ash", "busybox", "fish"];

/// Compiles an action. `None` when something is wrong with it.
pub fn compile(
    raw: &RawAction,
    class: Class,
    conditions: &Conditions<'_>,
    report: &mut Report,
) -> Option<Arc<Action>> {
    let run: Vec<_> = raw.run.iter().map(|text| argument(text, class, report)).collect();
    let run: Option<Vec<_>> = run.into_iter().collect();
    let is_sound = run.as_ref().is_some_and(|run| program(&raw.run, run, report));
    let guard = |text: &Text, report: &mut Report| {
        conditions.compiled("action.only_if", text, cond::compile_guard, report)
    };
    let check =
        |text: &Text, report: &mut Report| conditions.compiled("action.verify", text, cond::compile, report);
    let only_if = raw.only_if.as_ref().map(|text| guard(text, report));
    let verify = raw.verify.as_ref().map(|text| check(text, report));
    if let (Some(wait), None) = (raw.verify_in, &raw.verify) {
        report.add(
            Finding::warning(wait.at, "`verify_in` without `verify`: nothing is looked at in that time")
                .help("say how success is told: verify = \"…\", or take it out"),
        );
    }
    let action = Action {
        run: run.filter(|_| is_sound)?,
        after: raw.after.unwrap_or(0),
        timeout: raw.timeout.unwrap_or(Action::TIMEOUT),
        budget: raw.budget.unwrap_or(Action::BUDGET),
        cooldown: raw.cooldown.unwrap_or(Action::COOLDOWN),
        only_if: only_if.map_or(Some(None), |c| c.map(Some))?,
        verify: verify.map_or(Some(None), |c| c.map(Some))?,
        verify_in: raw.verify_in.map_or(Action::VERIFY_IN, |d| d.value),
        on_fail: raw.on_fail.unwrap_or_default(),
        mode: raw.mode.unwrap_or_default(),
    };
    Some(Arc::new(action))
}

/// An argument in pieces; `{{` and `}}` are braces.
fn argument(text: &Text, class: Class, report: &mut Report) -> Option<Argument> {
    let (mut pieces, mut plain, mut at) = (Vec::new(), String::new(), 0);
    let wrong = |bytes: std::ops::Range<usize>, message: &str, help: String, report: &mut Report| {
        report.add(Finding::error(text.part(bytes), format!("`run`: {message}")).help(help));
    };
    while let Some(rest) = text.value.get(at..)
        && let Some(c) = rest.chars().next()
    {
        if rest.starts_with("{{") || rest.starts_with("}}") {
            plain.push(c);
            at += 2;
        } else if c == '}' {
            wrong(at..at + 1, "`}` without `{`", "write }} for a brace".to_owned(), report);
            return None;
        } else if c == '{' {
            let Some(end) = rest.find('}') else {
                wrong(at..text.value.len(), "`{` without `}`", "write {{ for a brace".to_owned(), report);
                return None;
            };
            let name = &rest[1..end];
            if !labels(class).any(|label| label == name) {
                report.add(no_label(text, at..at + end + 1, name, class));
                return None;
            }
            if !plain.is_empty() {
                pieces.push(Part::Text(std::mem::take(&mut plain)));
            }
            pieces.push(Part::Label(name.to_owned()));
            at += end + 1;
        } else {
            plain.push(c);
            at += c.len_utf8();
        }
    }
    if !plain.is_empty() {
        pieces.push(Part::Text(plain));
    }
    Some(Argument(pieces))
}

fn labels(class: Class) -> impl Iterator<Item = &'static str> {
    class.spec().identity.iter().chain(class.spec().other).copied()
}

fn no_label(text: &Text, bytes: std::ops::Range<usize>, name: &str, class: Class) -> Finding {
    let message = format!("`run`: `{{{}}}` is no label of class `{}`", shorten(name), class.name());
    let finding = Finding::error(text.part(bytes), message).help(match labels(class).next() {
        Some(_) => format!("placeholders are labels: {}; write {{{{ for a brace", one_of(labels(class))),
        None => format!("class `{}` has no labels; write {{{{ for a brace", class.name()),
    });
    match nearest(name, labels(class)) {
        Some(near) => finding.label(format!("did you mean `{{{near}}}`?")),
        None => finding,
    }
}

/// Which program is run does not depend on what is observed, and no label becomes code.
fn program(texts: &[Text], run: &[Argument], report: &mut Report) -> bool {
    let (Some(text), Some(first)) = (texts.first(), run.first()) else { return false };
    let has_label = |argument: &Argument| argument.0.iter().any(|p| matches!(p, Part::Label(_)));
    let name = text.value.rsplit('/').next().unwrap_or_default();
    let finding = if has_label(first) {
        Finding::error(text.at, "`run`: the program itself cannot come from a label")
            .help("name it outright and give the label as an argument")
    } else if name.is_empty() || text.value.trim() != text.value {
        Finding::error(text.at, format!("`run`: {:?} is no program", shorten(&text.value)))
            .help("the first argument is the program: run = [\"systemctl\", \"restart\", \"{unit}\"]")
    } else if text.value.contains('/') && !text.value.starts_with('/') {
        Finding::error(text.at, format!("`run`: {:?} is no absolute path", shorten(&text.value)))
            .help("write the whole path, or a name without `/` that is found in PATH")
    } else if text.value.contains(' ') && run.len() == 1 {
        Finding::error(text.at, "`run` holds a whole command line in one argument")
            .help("each argument stands by itself: run = [\"systemctl\", \"restart\", \"{unit}\"]")
    } else if let Some(code) = code_of(name, texts).filter(|i| has_label(&run[*i])) {
        Finding::error(texts[code].at, "`run`: a label within the text of a shell would be run as code")
            .help("give it as an argument: run = [\"sh\", \"-c\", \"… \\\"$1\\\"\", \"sh\", \"{unit}\"]")
    } else {
        return true;
    };
    report.add(finding);
    false
}

/// Which argument a shell would take apart.
fn code_of(program: &str, texts: &[Text]) -> Option<usize> {
    let option = |t: &Text| t.value.starts_with('-') && !t.value.starts_with("--") && t.value.contains('c');
    let at = texts.iter().skip(1).position(option).filter(|_| SHELLS.contains(&program))? + 2;
    (at < texts.len()).then_some(at)
}
