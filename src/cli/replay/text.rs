//! Replays and comparisons for people.

use crate::cli::table::{lay_out, tame};
use crate::workshop::compare::{Change, Comparison, Kind, Pair};
use crate::workshop::html::{day, left_out, notes, percent, rate, shortages, span, summary};
use crate::workshop::play::Level;
use crate::workshop::replay::{Report, Row};

/// Most differences that are shown one by one.
const MOST_CHANGES: usize = 50;

/// A report.
pub fn report(report: &Report) -> String {
    let labelled = report.all.hits.is_some();
    let mut head =
        vec!["rule", "incidents", "per week", "raises", "reopens", "flapping", "raised", "longest"];
    if labelled {
        head.extend(["hit", "delay", "false", "noise"]);
    }
    let mut rows = vec![head.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    rows.extend(report.rules.iter().map(|row| cells(&row.rule, row)));
    rows.push(cells("all", &report.all));
    let mut out = format!("{}\n\n", summary(report));
    if report.rules.is_empty() {
        out.push_str("  nothing was raised\n");
    } else {
        out.push_str(&lay_out(&rows));
    }
    out.push('\n');
    for note in notes(report) {
        out.push_str(&wrapped(&note));
    }
    for (ids, why) in [(&report.quiet, "quiet"), (&report.blind, "without series")] {
        if !ids.is_empty() {
            let count = if ids.len() == 1 { "1 rule".to_owned() } else { format!("{} rules", ids.len()) };
            out.push_str(&wrapped(&format!("{count} {why}: {}", ids.join(" "))));
        }
    }
    out
}

fn cells(name: &str, row: &Row) -> Vec<String> {
    let mut cells = vec![
        name.to_owned(),
        row.incidents.to_string(),
        rate(row.per_week),
        row.raises.to_string(),
        row.reopens.to_string(),
        row.flapping.to_string(),
        span(row.raised_seconds),
        span(row.longest_seconds),
    ];
    if let Some(hits) = &row.hits {
        cells.push(format!("{}/{}", hits.hit, hits.windows));
        cells.push(hits.delay_seconds.map_or("–".to_owned(), span));
        cells.push(hits.false_raises.to_string());
        cells.push(hits.noise.map_or("–".to_owned(), percent));
    }
    cells
}

/// A comparison, and what its series were short of.
pub fn comparison(comparison: &Comparison) -> String {
    let Comparison { coarse, damaged, unseen, dropped, .. } = comparison;
    let left_out = left_out(*dropped).map(|left| format!("In both {left}."));
    let notes = left_out.into_iter().chain(shortages(*coarse, *damaged, unseen));
    let notes: String = notes.map(|note| wrapped(&note)).collect();
    let gap = if notes.is_empty() { "" } else { "\n" };
    format!("{}{gap}{notes}", differences(comparison))
}

fn differences(comparison: &Comparison) -> String {
    if comparison.changes.is_empty() && comparison.rules.is_empty() {
        return format!("no difference: {}\n", alike(comparison.same));
    }
    let head = ["rule", "incidents", "per week", "raises", "raised"].map(str::to_owned).to_vec();
    let mut rows = vec![head];
    rows.extend(comparison.rules.iter().map(|pair| both(&pair.new.rule, pair)));
    rows.push(both("all", &comparison.all));
    let mut out = lay_out(&rows);
    if comparison.same > 0 {
        out.push_str(&format!("\n  {}\n", alike(comparison.same)));
    }
    out.push('\n');
    let counts = [
        (Kind::More, "more"),
        (Kind::Less, "less"),
        (Kind::Earlier, "earlier"),
        (Kind::Later, "later"),
        (Kind::Longer, "longer"),
        (Kind::Shorter, "shorter"),
        (Kind::Worse, "worse"),
        (Kind::Milder, "milder"),
    ];
    let of = |kind: Kind| comparison.changes.iter().filter(|c| c.kind == kind).count();
    let parts: Vec<_> =
        counts.iter().filter(|(k, _)| of(*k) > 0).map(|(k, name)| format!("{} {name}", of(*k))).collect();
    out.push_str(&format!("raised {}\n\n", parts.join(", ")));
    let name = |kind: Kind| counts.iter().find(|(k, _)| *k == kind).map_or("", |(_, n)| n);
    let rows: Vec<_> = comparison.changes.iter().take(MOST_CHANGES).map(|c| line(c, name(c.kind))).collect();
    out.push_str(&lay_out(&rows));
    if comparison.changes.len() > MOST_CHANGES {
        out.push_str(&format!("  and {} more\n", comparison.changes.len() - MOST_CHANGES));
    }
    out
}

fn alike(n: usize) -> String {
    if n == 1 { "1 rule raises the same".to_owned() } else { format!("{n} rules raise the same") }
}

fn line(change: &Change, kind: &str) -> Vec<String> {
    let by = match change.kind {
        Kind::Worse | Kind::Milder => String::new(),
        _ => span(change.seconds),
    };
    let span = &change.span;
    vec![
        kind.to_owned(),
        by,
        day(span.from),
        span.rule.clone(),
        span.instance.clone(),
        Level::Raised(span.severity).to_string(),
        change.host.clone(),
    ]
}

fn both(name: &str, pair: &Pair) -> Vec<String> {
    let (old, new) = (&pair.old, &pair.new);
    let change = |a: String, b: String| if a == b { a } else { format!("{a} → {b}") };
    vec![
        name.to_owned(),
        change(old.incidents.to_string(), new.incidents.to_string()),
        change(rate(old.per_week), rate(new.per_week)),
        change(old.raises.to_string(), new.raises.to_string()),
        change(span(old.raised_seconds), span(new.raised_seconds)),
    ]
}

/// Words in lines that fit a terminal.
fn wrapped(text: &str) -> String {
    const WIDTH: usize = 96;
    let text = tame(text);
    let (mut out, mut line) = (String::new(), 0);
    for word in text.split(' ') {
        let gap = if line == 0 { "" } else { " " };
        if line > 0 && line + 1 + word.chars().count() > WIDTH {
            out.push_str("\n  ");
            line = 2;
        } else {
            out.push_str(gap);
            line += gap.len();
        }
        out.push_str(word);
        line += word.chars().count();
    }
    out + "\n"
}
