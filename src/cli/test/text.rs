//! The result of `sexton test` for people: a line for each test, and for one that fails what it did instead.

use super::{Done, complaints, count, verdict};
use crate::cli::table::lay_out;
use crate::cli::terminal::Terminal;
use crate::workshop::picture::picture;
use crate::workshop::play::Transition;
use crate::workshop::plot::{Style, columns, draw};
use crate::workshop::prove::{Proof, since};

/// Most transitions that are shown of one test.
const MOST_TRANSITIONS: usize = 40;

/// All of it.
pub fn text(all: &[Done<'_>], verbose: bool, terminal: Terminal) -> String {
    let mut out = String::new();
    for done in all {
        line(done, terminal, &mut out);
        if verbose && !done.proof.skipped() || verdict(&done.proof) == "FAILED" {
            details(done, terminal, &mut out);
        }
    }
    out.push_str(&summary(all));
    out
}

/// Tests that failed: what was expected, and what the rule did.
pub fn failures(all: &[Done<'_>], terminal: Terminal) -> String {
    let mut out = String::new();
    for done in all {
        line(done, terminal, &mut out);
        if done.proof.trouble.is_some() {
            complaints(&done.proof).iter().for_each(|c| out.push_str(&format!("  {c}\n")));
        } else {
            out.push_str(&expectations(&done.proof, terminal));
            out.push_str(&transitions(&done.proof, terminal));
        }
    }
    out
}

fn line(done: &Done<'_>, terminal: Terminal, out: &mut String) {
    let proof = &done.proof;
    let verdict = verdict(proof);
    let code = match verdict {
        "ok" => "32",
        "skipped" => "33",
        _ => "1;31",
    };
    let title =
        if proof.name == proof.rule { proof.rule.clone() } else { format!("{}: {}", proof.rule, proof.name) };
    let why = if proof.skipped() { format!("  ({})", complaints(proof).join("; ")) } else { String::new() };
    let place = paint(terminal, "2", &proof.place.to_string());
    out.push_str(&format!("{}  {title}  {place}{why}\n", paint(terminal, code, &format!("{verdict:<7}"))));
}

fn details(done: &Done<'_>, terminal: Terminal, out: &mut String) {
    let proof = &done.proof;
    if proof.trouble.is_some() {
        complaints(proof).iter().for_each(|c| out.push_str(&format!("  {c}\n\n")));
        return;
    }
    out.push('\n');
    out.push_str(&expectations(proof, terminal));
    out.push_str(&transitions(proof, terminal));
    let style = Style { width: terminal.width, colour: terminal.colour, unicode: terminal.unicode };
    if let Some(picture) = picture(done.test, done.plan, proof, columns(style.width)) {
        out.push('\n');
        out.push_str(&draw(&picture, style));
    }
    out.push('\n');
}

/// What was expected against what was found.
fn expectations(proof: &Proof, terminal: Terminal) -> String {
    let mut rows = vec![["", "at", "expected", "found"].map(str::to_owned).to_vec()];
    let (good, bad) = if terminal.unicode { ("✓", "✗") } else { ("ok", "NO") };
    let mark = |holds: bool| if holds { good } else { bad }.to_owned();
    for check in &proof.checks {
        let at = crate::engine::moment::human(check.at);
        rows.push(vec![mark(check.holds), at, check.expected.clone(), check.found.clone()]);
    }
    if let (Some(expected), found) = proof.incidents {
        let row = |n: u64| count(n, "incident");
        rows.push(vec![mark(expected == found), "in all".to_owned(), row(expected), row(found)]);
    }
    let bad = format!("  {bad}");
    let colour =
        |line: &str| if line.starts_with(&bad) { paint(terminal, "31", line) } else { line.to_owned() };
    lay_out(&rows).lines().map(|l| colour(l) + "\n").collect()
}

fn transitions(proof: &Proof, terminal: Terminal) -> String {
    if proof.transitions.is_empty() {
        return "\n  no transitions\n".to_owned();
    }
    let arrow = if terminal.unicode { "→" } else { "->" };
    let is_one = proof.transitions.iter().all(|t| t.instance == proof.transitions[0].instance);
    let row = |t: &Transition| {
        let priority = t.priority.map(|p| format!(" {p:?}")).unwrap_or_default();
        let mut row = vec![since(proof.start, t.at.0), format!("{} {arrow} {}{priority}", t.from, t.to)];
        if !is_one {
            row.push(t.instance.clone());
        }
        row.push(t.why.clone());
        row
    };
    let rows: Vec<_> = proof.transitions.iter().take(MOST_TRANSITIONS).map(row).collect();
    let shown: String = lay_out(&rows).lines().map(|l| clip(l, terminal.width)).collect();
    let of = if is_one { format!(" of {}", proof.transitions[0].instance) } else { String::new() };
    let more = match proof.transitions.len().saturating_sub(MOST_TRANSITIONS) {
        0 => String::new(),
        n => format!("  and {n} more\n"),
    };
    format!("\n  transitions{of}\n{shown}{more}")
}

/// A line not wider than the terminal.
fn clip(line: &str, width: usize) -> String {
    match line.char_indices().nth(width.max(20)) {
        Some(_) => line.chars().take(width.max(20) - 1).chain("…\n".chars()).collect(),
        None => format!("{line}\n"),
    }
}

fn summary(all: &[Done<'_>]) -> String {
    let of = |word: &str| all.iter().filter(|d| verdict(&d.proof) == word).count() as u64;
    let parts = [("ok", of("ok")), ("failed", of("FAILED")), ("skipped", of("skipped"))];
    let parts: Vec<_> = parts.iter().filter(|(_, n)| *n > 0).map(|(word, n)| format!("{n} {word}")).collect();
    match all.len() as u64 {
        0 => "no [[test]] here\n".to_owned(),
        n => format!("{}: {}\n", count(n, "test"), parts.join(", ")),
    }
}

fn paint(terminal: Terminal, code: &str, text: &str) -> String {
    if terminal.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}
