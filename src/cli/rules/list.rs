//! `sexton rules list`: one line per rule.

use serde_json::json;

use super::rendered::{Rendered, render};
use crate::cli::FINDING;
use crate::cli::table::lay_out;
use crate::cli::terminal::Terminal;
use crate::config::{BUILTIN_NAME, Config, Origins, nearest};
use crate::engine::plan::{Plan, Rule, StepPlan, glob_matches};
use crate::engine::record::Priority;

/// Impact of what belongs to nothing that has a tier.
const LOWEST: u8 = 3;

/// The rules whose id or class matches one of the globs; without globs all.
///
/// # Errors
/// A glob that matches nothing.
pub fn list(
    config: &Config,
    origins: &Origins,
    globs: &[String],
    as_json: bool,
    terminal: Terminal,
) -> Result<String, (u8, String)> {
    let on = config.plan.rules.iter().map(|rule| render(rule, None, config, origins));
    let off = origins.off().values().map(|off| render(&off.rule, Some(off), config, origins));
    let mut all: Vec<Rendered> = on.chain(off).collect();
    all.sort_by(|a, b| a.rule.id.cmp(&b.rule.id));
    for glob in globs {
        if !all.iter().any(|r| is_named(&r.rule, glob)) {
            return Err((FINDING, nothing(glob, &all)));
        }
    }
    all.retain(|r| globs.is_empty() || globs.iter().any(|glob| is_named(&r.rule, glob)));
    if as_json {
        let all: Vec<_> = all.iter().map(|r| document(r, &config.plan)).collect();
        return Ok(format!("{:#}\n", json!({ "rules": all })));
    }
    Ok(table(&all, &config.plan, terminal))
}

fn is_named(rule: &Rule, glob: &str) -> bool {
    glob_matches(glob, &rule.id) || rule.class.name() == glob
}

fn nothing(glob: &str, all: &[Rendered]) -> String {
    match nearest(glob, all.iter().map(|r| r.rule.id.as_str())) {
        Some(near) => format!("no rule matches `{glob}`; did you mean `{near}`?"),
        None => format!("no rule matches `{glob}`: it is compared with ids and classes; `*` is any run"),
    }
}

fn table(all: &[Rendered], plan: &Plan, terminal: Terminal) -> String {
    let head = ["RULE", "CLASS", "SEVERITY", "PRIO", "STATE", "WRITTEN IN", "RAISES WHEN"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(all.iter().map(|r| row(r, plan)));
    let laid = lay_out(&rows);
    let lines = laid.lines().map(|line| cut(line, terminal.lines) + "\n");
    let off = all.iter().filter(|r| !r.enabled).count();
    let off = if off == 0 { String::new() } else { format!(", {off} off") };
    let count = if all.len() == 1 { "1 rule".to_owned() } else { format!("{} rules", all.len()) };
    lines.collect::<String>() + &format!("\n{count}{off}; sexton rules show RULE --origin has every key\n")
}

/// A line as wide as the terminal; what is piped is never cut.
fn cut(line: &str, width: Option<usize>) -> String {
    match width {
        Some(width) if line.chars().count() > width => {
            line.chars().take(width.saturating_sub(1)).chain(['…']).collect()
        }
        _ => line.to_owned(),
    }
}

fn row(rendered: &Rendered, plan: &Plan) -> Vec<String> {
    let rule = &rendered.rule;
    let state = match (rendered.enabled, rendered.overrides) {
        (false, _) => "off",
        (true, 0) => "on",
        (true, _) => "on, edited",
    };
    let more = match rule.steps.len() {
        0 | 1 => String::new(),
        2 => "  (+1 step)".to_owned(),
        n => format!("  (+{} steps)", n - 1),
    };
    let raise = rule.steps.first().map(|s| on_one_line(&s.raise.source)).unwrap_or_default();
    vec![
        rule.id.clone(),
        rule.class.name().to_owned(),
        span(rule.steps.iter().map(severity)),
        span(rule.steps.iter().map(|s| format!("{:?}", priority(rule, s, plan)))),
        state.to_owned(),
        rule.origin.replace(BUILTIN_NAME, "built-in"),
        raise + &more,
    ]
}

/// The first and the last of the steps, when they differ.
fn span(words: impl Iterator<Item = String>) -> String {
    let mut words: Vec<_> = words.collect();
    words.dedup();
    match &words[..] {
        [] => String::new(),
        [one] => one.clone(),
        [first, .., last] => format!("{first}–{last}"),
    }
}

fn on_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn severity(step: &StepPlan) -> String {
    format!("{:?}", step.severity).to_lowercase()
}

/// As it is for what belongs to no service with a tier of its own.
fn priority(rule: &Rule, step: &StepPlan, plan: &Plan) -> Priority {
    let named = rule.service.as_ref().and_then(|name| plan.services.iter().find(|s| s.name == *name));
    let tier = named.and_then(|s| s.tier).or(plan.host.tier);
    let impact = step.impact.or(tier).unwrap_or(LOWEST).clamp(1, LOWEST);
    plan.matrix[usize::from(impact - 1)][usize::from(step.urgency.clamp(1, 3) - 1)]
}

fn document(rendered: &Rendered, plan: &Plan) -> serde_json::Value {
    let rule = &rendered.rule;
    let step = |s: &StepPlan| {
        json!({
            "severity": s.severity,
            "priority": priority(rule, s, plan),
            "raise": s.raise.source,
            "clear": s.clear.source,
        })
    };
    json!({
        "id": rule.id,
        "class": rule.class.name(),
        "enabled": rendered.enabled,
        "off": rendered.off,
        "overrides": rendered.overrides,
        "origin": rule.origin,
        "nature": rule.nature,
        "category": rule.category,
        "title": rule.title,
        "hash": rule.hash,
        "companion_of": rule.silence.of,
        "steps": rule.steps.iter().map(step).collect::<Vec<_>>(),
    })
}
