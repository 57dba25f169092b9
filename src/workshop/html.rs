//! The report of a replay as one page: figures, a table, and a plot for each rule and instance that was
//! raised.
//!
//! The page stands alone (styles and plots are in it, no script), follows the light or dark of its reader,
//! and can be printed. Limit: [`MOST_PLOTS`] plots; beyond them it says how many are left out.

mod plot;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;

use super::labels::Window;
use super::load::Recorded;
use super::replay::{Host, Report, Row};
use crate::engine::moment::{Stamp, human};
use crate::engine::plan::{Plan, Rule};
use crate::engine::signal::Metric;
use crate::history::Coarse;

/// Most plots of a page.
pub const MOST_PLOTS: usize = 60;

const STYLE: &str = include_str!("html/style.css");

/// Everything a page shows.
pub struct Page<'a> {
    /// The figures.
    pub report: &'a Report,
    /// The rules that were played.
    pub plan: &'a Plan,
    /// The series.
    pub hosts: &'a [Host],
    /// Labelled windows, when there are any.
    pub labels: &'a [Window],
}

impl Page<'_> {
    /// The whole page.
    pub fn render(&self) -> String {
        let mut out = String::new();
        // Writing into a string cannot fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let report = self.report;
        let (from, to) = (day(report.from), day(report.to));
        writeln!(out, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">")?;
        writeln!(out, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">")?;
        writeln!(out, "<meta name=\"color-scheme\" content=\"light dark\">\n<title>sexton replay</title>")?;
        writeln!(out, "<style>\n{STYLE}</style>\n</head>\n<body>\n<main>")?;
        writeln!(out, "<h1>Replay</h1>\n<p class=\"lead\">{}</p>", escape(&summary(report)))?;
        for note in notes(report) {
            writeln!(out, "<p class=\"lead\">{}</p>", escape(&note))?;
        }
        self.cards(out)?;
        self.table(out)?;
        for (title, ids, why) in [
            ("Quiet", &report.quiet, "rules that had series and raised nothing"),
            ("Blind", &report.blind, "rules that look at signals these series do not have"),
        ] {
            if !ids.is_empty() {
                let list =
                    ids.iter().map(|id| format!("<code>{}</code>", escape(id))).collect::<Vec<_>>().join(" ");
                let n = ids.len();
                writeln!(
                    out,
                    "<details><summary>{title} ({n}): {why}</summary><p class=\"ids\">{list}</p></details>"
                )?;
            }
        }
        if self.report.all.hits.is_some() {
            writeln!(out, "<p class=\"key\">Shaded: raised. Violet bar: labelled window.</p>")?;
        }
        self.plots(out)?;
        writeln!(out, "<footer>sexton {} · {from} to {to}</footer>", env!("CARGO_PKG_VERSION"))?;
        writeln!(out, "</main>\n</body>\n</html>")
    }

    fn cards(&self, out: &mut String) -> std::fmt::Result {
        let all = &self.report.all;
        let mut cards = vec![
            (
                "incidents",
                all.incidents.to_string(),
                format!("{} raises, {} reopened", all.raises, all.reopens),
            ),
            ("tickets per week", rate(all.per_week), format!("over {}", weeks(self.report.weeks))),
            ("time raised", span(all.raised_seconds), format!("longest {}", span(all.longest_seconds))),
            ("flapping", all.flapping.to_string(), "incidents that went up and down".to_owned()),
        ];
        if let Some(hits) = &all.hits {
            let delay = hits.delay_seconds.map_or_else(String::new, |d| format!("median delay {}", span(d)));
            cards.push(("windows hit", format!("{} of {}", hits.hit, hits.windows), delay));
            let noise = hits.noise.map_or("–".to_owned(), percent);
            cards.push(("noise", noise, format!("{} raises outside of windows", hits.false_raises)));
        }
        writeln!(out, "<section class=\"cards\">")?;
        for (name, value, more) in cards {
            let (value, more) = (escape(&value), escape(&more));
            writeln!(
                out,
                "<div class=\"card\"><span>{name}</span><b>{value}</b><small>{more}</small></div>"
            )?;
        }
        writeln!(out, "</section>")
    }

    fn table(&self, out: &mut String) -> std::fmt::Result {
        let labelled = self.report.all.hits.is_some();
        let mut heads = vec![
            "rule",
            "incidents",
            "per week",
            "raises",
            "reopens",
            "flapping",
            "instances",
            "raised",
            "longest",
        ];
        if labelled {
            heads.extend(["hit", "delay", "false", "noise"]);
        }
        let heads: String = heads.iter().map(|h| format!("<th>{h}</th>")).collect();
        writeln!(out, "<div class=\"wide\"><table>\n<thead><tr>{heads}</tr></thead>\n<tbody>")?;
        for row in &self.report.rules {
            let id = escape(&row.rule);
            writeln!(out, "<tr><th><a href=\"#{id}\">{id}</a></th>{}</tr>", cells(row, labelled))?;
        }
        if self.report.rules.is_empty() {
            writeln!(out, "<tr><th>nothing was raised</th></tr>")?;
        }
        writeln!(
            out,
            "</tbody>\n<tfoot><tr><th>all</th>{}</tr></tfoot>\n</table></div>",
            cells(&self.report.all, labelled)
        )
    }

    fn plots(&self, out: &mut String) -> std::fmt::Result {
        let mut left = MOST_PLOTS;
        let mut missing = 0;
        for row in &self.report.rules {
            let Some(rule) = self.plan.rules.iter().find(|r| r.id == row.rule) else { continue };
            let id = escape(&rule.id);
            writeln!(out, "<section class=\"rule\"><h2 id=\"{id}\">{id}</h2>")?;
            conditions(rule, out)?;
            for host in self.hosts {
                let spans = self.report.raised.get(&host.name).map(Vec::as_slice).unwrap_or_default();
                let mut instances: Vec<&str> =
                    spans.iter().filter(|s| s.rule == rule.id).map(|s| s.instance.as_str()).collect();
                instances.sort_unstable();
                instances.dedup();
                for instance in instances {
                    if left == 0 {
                        missing += 1;
                        continue;
                    }
                    left -= 1;
                    plot::draw(
                        rule,
                        host,
                        instance,
                        spans,
                        self.labels,
                        (self.report.from.0, self.report.to.0),
                        out,
                    )?;
                }
            }
            writeln!(out, "</section>")?;
        }
        if missing > 0 {
            writeln!(out, "<p class=\"lead\">{missing} more plots are left out.</p>")?;
        }
        Ok(())
    }
}

/// Hosts with what the plots of a page show; only of a history anything has to be read.
///
/// # Errors
/// A history that cannot be read.
pub fn with_curves(report: &Report, plan: &Plan, mut hosts: Vec<Host>) -> Result<Vec<Host>, String> {
    for host in &mut hosts {
        let Some(past) = &host.past else { continue };
        let spans = report.raised.get(&host.name).map(Vec::as_slice).unwrap_or_default();
        let mut wanted: Vec<(String, Metric)> = Vec::new();
        for row in &report.rules {
            let Some(rule) = plan.rules.iter().find(|r| r.id == row.rule) else { continue };
            let mut instances: Vec<&str> =
                spans.iter().filter(|s| s.rule == rule.id).map(|s| s.instance.as_str()).collect();
            instances.sort_unstable();
            instances.dedup();
            wanted.extend(instances.into_iter().filter_map(|i| plot::curve(rule, host, i)));
        }
        wanted.truncate(MOST_PLOTS);
        wanted.sort();
        wanted.dedup();
        let mut curves = Vec::new();
        for (instance, metric) in wanted {
            let (name, column) = ("history".to_owned(), String::new());
            let track = past.outline(&instance, metric)?.map(Arc::new);
            curves.extend(track.map(|track| Recorded { name, column, track }));
        }
        host.series = curves;
    }
    Ok(hosts)
}

fn conditions(rule: &Rule, out: &mut String) -> std::fmt::Result {
    writeln!(out, "<dl>")?;
    for step in &rule.steps {
        let level = super::play::Level::Raised(step.severity);
        let (raise, clear) = (escape(&step.raise.source), escape(&step.clear.source));
        let (wait, keep) = (human(step.for_), human(step.keep));
        writeln!(
            out,
            "<dt class=\"{level}\">{level}</dt><dd><code>{raise}</code> for {wait}, until <code>{clear}</code> for {keep}</dd>"
        )?;
    }
    writeln!(out, "</dl>")
}

fn cells(row: &Row, labelled: bool) -> String {
    let mut cells = vec![
        row.incidents.to_string(),
        rate(row.per_week),
        row.raises.to_string(),
        row.reopens.to_string(),
        row.flapping.to_string(),
        row.instances.to_string(),
        span(row.raised_seconds),
        span(row.longest_seconds),
    ];
    if let (Some(hits), true) = (&row.hits, labelled) {
        cells.push(format!("{}/{}", hits.hit, hits.windows));
        cells.push(hits.delay_seconds.map_or("–".to_owned(), span));
        cells.push(hits.false_raises.to_string());
        cells.push(hits.noise.map_or("–".to_owned(), percent));
    }
    cells.iter().map(|c| format!("<td>{}</td>", escape(c))).collect()
}

/// One sentence about what was played.
pub fn summary(report: &Report) -> String {
    let (hosts, samples) = (report.hosts, grouped(report.samples));
    let hosts = if hosts == 1 { "one host".to_owned() } else { format!("{hosts} hosts") };
    let left = left_out(report.dropped).map(|left| format!("; {left}")).unwrap_or_default();
    let (from, to) = (day(report.from), day(report.to));
    format!("{samples} samples of {hosts}, {} in all, from {from} to {to}{left}", weeks(report.weeks))
}

/// How many samples were left out, if any.
pub fn left_out(dropped: u64) -> Option<String> {
    let count = match dropped {
        0 => return None,
        1 => "one sample that goes back in time was".to_owned(),
        n => format!("{} samples that go back in time were", grouped(n)),
    };
    Some(count + " left out")
}

/// What the history is short of.
pub fn shortages(coarse: Option<Coarse>, damaged: u64, unseen: &[String]) -> Vec<String> {
    let mut notes = Vec::new();
    notes.extend(coarse.map(coarse_words));
    match damaged {
        0 => {}
        1 => notes.push("One row of the history is damaged; its samples are missing.".to_owned()),
        n => {
            notes.push(format!("{} rows of the history are damaged; their samples are missing.", grouped(n)))
        }
    }
    if !unseen.is_empty() {
        let all = unseen.join(" ");
        notes.push(format!("Declared, but not in this history, and so counted as missing: {all}"));
    }
    notes
}

/// What else is to be said of the series: what the history is short of, and labels that are about nothing.
pub fn notes(report: &Report) -> Vec<String> {
    let mut notes = shortages(report.coarse, report.damaged, &report.unseen);
    if !report.adrift.is_empty() {
        let count = match report.adrift.len() {
            1 => "One labelled window is".to_owned(),
            n => format!("{} labelled windows are", grouped(n as u64)),
        };
        let names: BTreeSet<&str> = report.adrift.iter().map(String::as_str).collect();
        let names: Vec<&str> = names.into_iter().collect();
        notes.push(format!("{count} about no series here, and not counted: {}", names.join(", ")));
    }
    notes
}

/// That samples are gone, and what that means.
fn coarse_words(coarse: Coarse) -> String {
    format!(
        "From {} to {} only steps of five minutes are kept: number, mean and extremes of samples are right, \
         their order within a step is not, so that times there are true to five minutes.",
        day(coarse.from),
        day(coarse.to)
    )
}

/// `2014-02-14 14:27`.
pub fn day(stamp: Stamp) -> String {
    stamp.to_string().chars().take(16).map(|c| if c == 'T' { ' ' } else { c }).collect()
}

/// A number of seconds in words.
pub fn span(seconds: f64) -> String {
    human((seconds * 1e9) as i64)
}

/// A share: `12 %`, below one with a decimal.
pub fn percent(share: f64) -> String {
    if share > 0.0 && share < 0.01 {
        format!("{:.1} %", share * 100.0)
    } else {
        format!("{:.0} %", share * 100.0)
    }
}

/// Tickets per week.
pub fn rate(per_week: f64) -> String {
    if per_week >= 10.0 { format!("{per_week:.0}") } else { format!("{per_week:.1}") }
}

fn weeks(weeks: f64) -> String {
    human((weeks * 7.0 * crate::engine::moment::DAY as f64) as i64)
}

/// A number with a thin space between thousands.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, d) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(d);
    }
    out
}

/// Text within HTML or XML; what neither can hold becomes a question mark.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() && !matches!(c, '\n' | '\t') => out.push('?'),
            c => out.push(c),
        }
    }
    out
}
