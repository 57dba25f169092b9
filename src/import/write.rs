//! Drafts to TOML that a person reads: what stood where, what became of it, what did not and why.
//!
//! The order is that of the source; the same input gives the same bytes. Texts come from strangers' files:
//! everything is quoted here, and comments hold no control characters.

use std::fmt::Write;

use super::draft::{Aside, Check, Fate, Item, Loss, Rule, Step};
use super::{Found, Product, say};
use crate::engine::record::{Nature, Severity};

/// Width of comments.
const WIDTH: usize = 110;

/// The whole file.
pub fn file(product: Product, found: &Found) -> String {
    let mut out = head(product, found);
    for item in &found.items {
        out.push('\n');
        out.push_str(&self::item(item));
    }
    if !found.asides.is_empty() {
        out.push_str("\n# ---- settings that are no rules\n");
        for aside in &found.asides {
            comment(&mut out, &aside_line(aside), "  ");
        }
    }
    out
}

fn head(product: Product, found: &Found) -> String {
    let mut files: Vec<&str> = found.items.iter().map(|i| i.place.file.as_str()).collect();
    files.extend(found.asides.iter().map(|a| a.place.file.as_str()));
    files.sort_unstable();
    files.dedup();
    let count = |fate| found.items.iter().filter(|i| i.fate() == fate).count();
    let mut out = String::new();
    comment(&mut out, &format!("Imported from {}: {}", product.name(), files.join(", ")), "  ");
    let (whole, part, not) = (count(Fate::Whole), count(Fate::Part), count(Fate::Not));
    comment(&mut out, &format!("{whole} carried over whole, {part} in part, {not} not."), "");
    out.push_str(
        "#\n\
         # Look at what stands behind `in part` and `NOT carried over`, then:\n\
         #   sexton check --config THIS-FILE\n\
         #   cp THIS-FILE /etc/sexton/rules.d/\n\
         # `clear` is ours: a limit of its own for the end, so that a value that hovers does not flutter.\n",
    );
    out
}

/// One item: its comment, its checks, its rules.
pub fn item(item: &Item) -> String {
    let mut out = String::new();
    let fate = match item.fate() {
        Fate::Whole => "",
        Fate::Part => ": in part",
        Fate::Not => ": NOT carried over",
    };
    comment(&mut out, &format!("---- {} ({}){fate}", item.what, item.place.short()), "     ");
    for loss in &item.losses {
        for line in loss_lines(loss, &loss.place.short()) {
            comment(&mut out, &line, "    ");
        }
    }
    for remark in &item.remarks {
        comment(&mut out, remark, "  ");
    }
    for (i, check) in item.checks.iter().enumerate() {
        if i > 0 {
            out.push('\n');
        }
        out.push_str(&self::check(check));
    }
    for (i, rule) in item.rules.iter().enumerate() {
        if i > 0 || !item.checks.is_empty() {
            out.push('\n');
        }
        out.push_str(&self::rule(rule));
    }
    out
}

/// What was lost, in two lines: the piece with the reason, and what to do.
pub fn loss_lines(loss: &Loss, place: &str) -> Vec<String> {
    let mut lines = vec![format!("{place}: `{}`: {}", loss.piece, loss.why)];
    if !loss.instead.is_empty() {
        lines.push(format!("  instead: {}", loss.instead));
    }
    lines
}

/// A setting and where it goes.
pub fn aside_line(aside: &Aside) -> String {
    format!("{}: `{}`: {}", aside.place.short(), aside.piece, aside.instead)
}

/// A comment, broken at [`WIDTH`]; following lines are indented.
fn comment(out: &mut String, text: &str, indent: &str) {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let lead: String = text.chars().take_while(|c| *c == ' ').collect();
    let mut line = format!("# {lead}");
    let mut is_empty = true;
    for word in text.split_whitespace() {
        if !is_empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            out.push_str(&line);
            out.push('\n');
            line = format!("# {lead}{indent}");
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    out.push_str(line.trim_end());
    out.push('\n');
}

fn check(check: &Check) -> String {
    let mut out = format!("[[check]]\nid = {}\nkind = {}\n", quoted(&check.id), quoted(check.kind));
    for (key, value) in &check.keys {
        let _ = writeln!(out, "{key} = {value}");
    }
    out
}

fn rule(rule: &Rule) -> String {
    let mut out = format!("[[rule]]\nid = {}\non = {}\n", quoted(&rule.id), quoted(rule.class.name()));
    if !rule.enabled {
        let why = "it would raise more than it did there: see above, then take this line out";
        let _ = writeln!(out, "enabled = false                           # {why}");
    }
    if !rule.matches.is_empty() {
        let each: Vec<_> = rule.matches.iter().map(|(l, globs)| format!("{l} = {}", list(globs))).collect();
        let _ = writeln!(out, "match = {{ {} }}", each.join(", "));
    }
    for (key, text) in [("title", &rule.title), ("runbook", &rule.runbook)] {
        if let Some(text) = text {
            let _ = writeln!(out, "{key} = {}", quoted(text));
        }
    }
    if let Some(text) = &rule.description {
        let _ = writeln!(out, "description = {}", paragraph(text));
    }
    let _ = writeln!(out, "nature = {}", quoted(nature(rule.nature)));
    if !rule.category.is_empty() {
        let _ = writeln!(out, "category = {}", quoted(rule.category));
    }
    if rule.outage {
        out.push_str("outage = true\n");
    }
    conditions(&mut out, rule);
    rest(&mut out, rule);
    out
}

fn conditions(out: &mut String, rule: &Rule) {
    if !rule.lets.is_empty() {
        let each: Vec<_> =
            rule.lets.iter().map(|(name, e)| format!("{name} = {}", quoted(&e.to_string()))).collect();
        let _ = writeln!(out, "let = {{ {} }}", each.join(", "));
    }
    if let [step] = rule.steps.as_slice() {
        for line in step_keys(step) {
            let _ = writeln!(out, "{line}");
        }
        return;
    }
    out.push_str("step = [\n");
    for step in &rule.steps {
        let _ = writeln!(out, "  {{ {} }},", step_keys(step).join(", "));
    }
    out.push_str("]\n");
}

fn step_keys(step: &Step) -> Vec<String> {
    let mut keys = vec![format!("severity = {}", quoted(severity(step.severity)))];
    for (key, value) in [("impact", step.impact), ("urgency", step.urgency)] {
        keys.extend(value.map(|v| format!("{key} = {v}")));
    }
    keys.push(format!("raise = {}", quoted(&step.raise.to_string())));
    keys.push(format!("clear = {}", quoted(&step.clear.to_string())));
    keys.push(format!("for = {}", quoted(&say::span(step.for_))));
    keys.extend(step.keep.map(|k| format!("keep = {}", quoted(&say::span(k)))));
    keys
}

fn rest(out: &mut String, rule: &Rule) {
    for (key, value) in [("min_coverage", rule.min_coverage), ("nodata_after", rule.nodata_after)] {
        if let Some(value) = value {
            let _ = writeln!(out, "{key} = {}", quoted(value));
        }
    }
    if !rule.depends.is_empty() {
        let _ = writeln!(out, "depends = {}", list(&rule.depends));
    }
    if !rule.labels.is_empty() {
        let each: Vec<_> = rule.labels.iter().map(|(k, v)| format!("{} = {}", key(k), quoted(v))).collect();
        let _ = writeln!(out, "labels = {{ {} }}", each.join(", "));
    }
    let Some(action) = &rule.action else { return };
    let _ = writeln!(out, "[rule.action]\nrun = {}", list(&action.run));
    for (key, value) in [("after", &action.after), ("timeout", &action.timeout), ("max", &action.max)] {
        if let Some(value) = value {
            let _ = writeln!(out, "{key} = {}", quoted(value));
        }
    }
    out.push_str("mode = \"dry-run\"                          # `auto` must be written out\n");
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    }
}

fn nature(nature: Nature) -> &'static str {
    match nature {
        Nature::Fault => "fault",
        Nature::Degradation => "degradation",
        Nature::Capacity => "capacity",
        Nature::Monitoring => "monitoring",
    }
}

/// A list of texts.
pub fn list(texts: &[String]) -> String {
    let each: Vec<_> = texts.iter().map(|t| quoted(t)).collect();
    format!("[{}]", each.join(", "))
}

/// A key of a table, quoted where it must be.
fn key(name: &str) -> String {
    let is_bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if is_bare { name.to_owned() } else { quoted(name) }
}

/// A basic string of TOML.
pub fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        escape(&mut out, c);
    }
    out.push('"');
    out
}

fn escape(out: &mut String, c: char) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\t' => out.push_str("\\t"),
        c if c.is_control() => {
            let _ = write!(out, "\\u{:04X}", c as u32);
        }
        c => out.push(c),
    }
}

/// A text that may have several lines.
fn paragraph(text: &str) -> String {
    let text = text.trim();
    if !text.contains('\n') {
        return quoted(text);
    }
    let mut out = String::from("\"\"\"\n");
    for line in text.lines() {
        line.trim_end().chars().for_each(|c| escape(&mut out, c));
        out.push('\n');
    }
    out + "\"\"\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_texts_stay_texts() {
        for text in ["a \"b\" \\ c", "tab\there", "bell\u{7}", "\"\"\"", "é 中", "", "two\nlines\\", "#x"] {
            let toml = format!("a = {}\nb = {}\n", quoted(text), paragraph(text));
            let table: toml::Table = toml::from_str(&toml).unwrap();
            assert_eq!(table["a"].as_str(), Some(text));
            assert_eq!(table["b"].as_str().map(str::trim), Some(text.trim()));
        }
        let mut out = String::new();
        comment(&mut out, "line one\nid = \"evil\"\u{0}", "  ");
        assert_eq!(out, "# line one id = \"evil\"\n");
    }

    #[test]
    fn long_comments_are_broken() {
        let mut out = String::new();
        comment(&mut out, &format!("  {}", "word ".repeat(60)), "..");
        assert!(out.lines().count() == 3 && out.lines().all(|l| l.starts_with("#   ") && l.len() <= WIDTH));
        assert!(out.lines().nth(1).unwrap().starts_with("#   ..word"));
    }
}
