//! What an operator reads in a ticket: plain text, the important first, bounded.

use std::fmt::Write;

use crate::engine::effect::{Job, Operation};
use crate::engine::moment::{SECOND, Stamp, human};
use crate::engine::record::{Evidence, Exhibit, Incident, Problem, Series, State, TimelineEntry};

/// The most bytes of one ticket or comment text.
pub const TEXT_BYTES: usize = 48 * 1024;
/// Columns of a sparkline.
const COLUMNS: usize = 60;
/// Members of a problem that are listed.
const MEMBERS: usize = 30;
/// Lines of a timeline that are listed, newest kept.
const LINES: usize = 60;

/// Subject of a comment, ending with the marker that proves it was said.
pub fn headline(number: &str, job: &Job) -> String {
    let verb = match job.operation {
        Operation::Create => "reported",
        Operation::Update => "updated",
        Operation::Resolve => "resolved",
        Operation::Reopen => "reopened",
        Operation::Link => "linked",
    };
    let number: String = number.chars().take(40).collect();
    format!("{number} {verb} [{}]", job.operation_key)
}

/// Text of an incident's ticket.
pub fn incident(incident: &Incident, key: &str) -> String {
    let mut out = String::new();
    line(&mut out, &incident.title);
    if !incident.description.is_empty() {
        line(&mut out, "");
        line(&mut out, &incident.description);
    }
    line(&mut out, "");
    fact(&mut out, "Host", &incident.host.name);
    if incident.ci.name != incident.host.name {
        fact(&mut out, "CI", &format!("{} ({})", incident.ci.name, incident.ci.class));
    }
    fact(&mut out, "Instance", &incident.instance);
    if let Some(service) = &incident.service {
        fact(&mut out, "Service", &format!("{service} (tier {})", incident.tier));
    }
    fact(&mut out, "Severity", word(&incident.severity).as_str());
    fact(&mut out, "Priority", &incident.priority_reason);
    fact(&mut out, "Category", &format!("{} ({})", incident.category, word(&incident.nature)));
    fact(&mut out, "Since", &at(incident.breach_at));
    let delay = incident.raised_at.0 - incident.breach_at.0;
    if delay >= SECOND {
        let delay = human(delay / SECOND * SECOND);
        fact(&mut out, "Raised", &format!("{} ({delay} after the first breach)", at(incident.raised_at)));
    }
    fact(&mut out, "Respond by", &at(incident.sla.respond.due));
    fact(&mut out, "Resolve by", &at(incident.sla.resolve.due));
    if let Some(runbook) = incident.links.runbook.as_ref().filter(|r| !incident.description.contains(*r)) {
        fact(&mut out, "Runbook", runbook);
    }
    fact(&mut out, "Rule", &format!("{}, version {}", incident.rule.id, incident.rule.hash));
    if !incident.labels.is_empty() {
        let labels: Vec<String> = incident.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        fact(&mut out, "Labels", &labels.join(" "));
    }
    fact(&mut out, "Record", &format!("{} {key}", incident.number));
    if let Some(previous) = &incident.links.previous {
        fact(&mut out, "Previous", &format!("sx-{previous} (the same trouble, over for too long to reopen)"));
    }
    evidence(&mut out, &incident.evidence);
    if !incident.timeline.is_empty() {
        line(&mut out, "\nTimeline");
        timeline(&mut out, incident.timeline.iter());
    }
    bounded(out)
}

/// Text of a problem's ticket.
pub fn problem(problem: &Problem, key: &str) -> String {
    let mut out = String::new();
    line(&mut out, &problem.title);
    if !problem.description.is_empty() {
        line(&mut out, "");
        line(&mut out, &problem.description);
    }
    line(&mut out, "");
    let untold: Vec<_> = problem.why.iter().filter(|w| !problem.description.contains(&w.text)).collect();
    for reason in &untold {
        line(&mut out, &format!("* {} (a problem from {} on)", reason.text, reason.expected));
    }
    if !untold.is_empty() {
        line(&mut out, "");
    }
    fact(&mut out, "CI", &format!("{} ({})", problem.ci.name, problem.ci.class));
    if let Some(service) = &problem.service {
        fact(&mut out, "Service", service);
    }
    fact(&mut out, "Priority", &format!("{:?}, {}", problem.priority, word(&problem.severity)));
    fact(&mut out, "Category", &problem.category);
    problem_numbers(&mut out, problem);
    fact(&mut out, "Record", &format!("{} {key}", problem.number));
    line(&mut out, "\nMember incidents");
    members(&mut out, problem);
    bounded(out)
}

/// Text of a comment on an incident: what is new since the revision the desk has; `None` when nothing is
/// worth a comment.
pub fn incident_comment(incident: &Incident, job: &Job) -> Option<String> {
    let fresh: Vec<_> = incident.timeline.iter().filter(|e| e.rev > job.acked_rev).collect();
    if fresh.is_empty() && job.operation == Operation::Update {
        return None;
    }
    let mut out = String::new();
    let weight = format!("{}, {:?}", word(&incident.severity), incident.priority);
    let again = fresh.iter().any(|e| e.kind == "reopened");
    line(&mut out, &format!("{} is {} ({weight})", incident.number, standing(incident.state, again)));
    if let (false, Some(resolved)) = (incident.state.is_open(), incident.resolved_at) {
        let start = incident.intervals.last().map_or(incident.breach_at, |i| i.from);
        let lasted = human(resolved.0 - start.0);
        let code = incident.closure.as_ref().map(|c| word(&c.code).replace('_', " "));
        let code = code.map_or(String::new(), |code| format!("{code}: "));
        line(&mut out, &format!("{code}over since {}, lasted {lasted}", at(resolved)));
    }
    if let (false, Some(closure)) = (incident.state.is_open(), &incident.closure)
        && fresh.iter().all(|e| e.note != closure.note)
    {
        line(&mut out, &closure.note);
    }
    line(&mut out, "");
    timeline(&mut out, fresh.iter().copied());
    if fresh.iter().any(|e| e.kind == "evidence") {
        evidence(&mut out, &incident.evidence);
    }
    Some(bounded(out))
}

/// The state as a desk says it: a ticket that came back is not new.
fn standing(state: State, again: bool) -> String {
    match (state, again) {
        (State::New, true) => "open again".to_owned(),
        (State::New, false) => "open".to_owned(),
        (state, _) => word(&state).replace('_', " "),
    }
}

/// Text of a comment on a problem.
pub fn problem_comment(problem: &Problem, job: &Job) -> Option<String> {
    let fresh: Vec<_> = problem.timeline.iter().filter(|e| e.rev > job.acked_rev).collect();
    if fresh.is_empty() && job.operation == Operation::Update {
        return None;
    }
    let mut out = String::new();
    line(&mut out, &format!("{} is {}", problem.number, word(&problem.state).replace('_', " ")));
    for reason in &problem.why {
        line(&mut out, &format!("* {}", reason.text));
    }
    problem_numbers(&mut out, problem);
    line(&mut out, "");
    timeline(&mut out, fresh.iter().copied());
    Some(bounded(out))
}

fn problem_numbers(out: &mut String, problem: &Problem) {
    let span = |seconds: f64| human((seconds * SECOND as f64) as i64);
    fact(
        out,
        "Openings",
        &format!("{}, first {}, last {}", problem.openings, at(problem.first_at), at(problem.last_at)),
    );
    for (name, value) in [("Usual gap", problem.median_gap), ("MTBF", problem.mtbf), ("MTTR", problem.mttr)] {
        if let Some(seconds) = value {
            fact(out, name, &span(seconds));
        }
    }
    fact(out, "Downtime", &span(problem.downtime));
}

fn members(out: &mut String, problem: &Problem) {
    let skipped = problem.members.len().saturating_sub(MEMBERS);
    if skipped > 0 {
        line(out, &format!("  ({skipped} earlier ones left out)"));
    }
    for member in problem.members.iter().skip(skipped) {
        let last = member.openings.last().map(|s| at(*s)).unwrap_or_default();
        let openings = match member.openings.len() {
            1 => "1 opening".to_owned(),
            n => format!("{n} openings"),
        };
        line(out, &format!("  {}  {}  {openings}, last {last}", member.number, member.role));
    }
}

fn timeline<'a>(out: &mut String, entries: impl Iterator<Item = &'a TimelineEntry>) {
    let entries: Vec<_> = entries.collect();
    let skipped = entries.len().saturating_sub(LINES);
    if skipped > 0 {
        line(out, &format!("  ({skipped} earlier lines left out)"));
    }
    for entry in entries.into_iter().skip(skipped) {
        line(out, &format!("{}  {:<10} {:<12} {}", at(entry.at), word(&entry.actor), entry.kind, entry.note));
    }
}

fn evidence(out: &mut String, evidence: &Evidence) {
    for series in &evidence.series {
        plot(out, series);
    }
    for Exhibit { title, at: taken, text } in &evidence.exhibits {
        line(out, &format!("\n{title} ({})", at(*taken)));
        for l in text.lines() {
            line(out, &format!("  {l}"));
        }
    }
}

/// One line of blocks per series: reads well in any font, and survives mail. One value alone is no curve, and
/// stands in the description anyway.
fn plot(out: &mut String, series: &Series) {
    let values: Vec<f64> = series.points.iter().filter_map(|p| p.1).filter(|v| v.is_finite()).collect();
    let ([_, .., last], Some((from, _)), Some((to, _))) =
        (values.as_slice(), series.points.first(), series.points.last())
    else {
        return;
    };
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let span = human(((to - from) * SECOND as f64) as i64);
    line(out, &format!("\n{} over {span} until {}", series.signal, at(Stamp((to * SECOND as f64) as i64))));
    line(out, &format!("  {}", sparkline(&series.points, least, most)));
    let mut text = format!(
        "  least {}, most {}, last {}",
        quantity(least, &series.unit),
        quantity(most, &series.unit),
        quantity(*last, &series.unit)
    );
    if let Some(limit) = series.limit {
        let _ = write!(text, ", limit {}", quantity(limit, &series.unit));
    }
    line(out, &text);
}

/// The worst value of each of [`COLUMNS`] columns as a block; a column without samples is a blank.
fn sparkline(points: &[(f64, Option<f64>)], least: f64, most: f64) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let columns = points.len().min(COLUMNS);
    let column = |i: usize| &points[i * points.len() / columns..(i + 1) * points.len() / columns];
    let block = |values: &[(f64, Option<f64>)]| {
        let value = values
            .iter()
            .filter_map(|p| p.1)
            .filter(|v| v.is_finite())
            .fold(None, |m: Option<f64>, v| Some(m.map_or(v, |m| m.max(v))))?;
        let share = if most > least { (value - least) / (most - least) } else { 0.5 };
        Some(BLOCKS[((share * 7.0).round() as usize).min(7)])
    };
    (0..columns).map(|i| block(column(i)).unwrap_or(' ')).collect()
}

/// A value in its unit: `91.2 %`, `3.4 GiB`, `12 ms`.
fn quantity(value: f64, unit: &str) -> String {
    let (base, per) = unit.strip_suffix("/s").map_or((unit, ""), |b| (b, "/s"));
    match base {
        "ratio" => format!("{:.1} %{per}", value * 100.0),
        "bytes" => {
            let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
            let step = (0..5).find(|i| value.abs() < 1024_f64.powi(i + 1)).unwrap_or(5);
            let scaled = value / 1024_f64.powi(step);
            if step == 0 {
                format!("{scaled:.0} B{per}")
            } else {
                format!("{scaled:.1} {}{per}", units[step as usize])
            }
        }
        "seconds" if value.abs() < 1.0 => format!("{:.0} ms{per}", value * 1000.0),
        "seconds" => format!("{value:.1} s{per}"),
        "bool" => (if value == 0.0 { "no" } else { "yes" }).to_owned(),
        _ => {
            let text = format!("{value:.2}");
            format!("{}{per}", text.trim_end_matches('0').trim_end_matches('.'))
        }
    }
}

/// A time to the second, UTC.
fn at(stamp: Stamp) -> String {
    let whole = Stamp(stamp.0.div_euclid(SECOND).saturating_mul(SECOND));
    whole.to_string().replace('T', " ")
}

/// The word an enum has on the wire.
fn word<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

fn fact(out: &mut String, name: &str, value: &str) {
    line(out, &format!("{name:<11} {value}"));
}

fn line(out: &mut String, text: &str) {
    let clean = |c: char| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c };
    out.extend(text.chars().map(clean));
    out.push('\n');
}

fn bounded(text: String) -> String {
    crate::forward::connector::classify::clip(text.trim_end(), TEXT_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_in_their_unit() {
        for (value, unit, text) in [
            (0.912, "ratio", "91.2 %"),
            (0.0, "ratio", "0.0 %"),
            (512.0, "bytes", "512 B"),
            (3.5 * 1024.0 * 1024.0, "bytes/s", "3.5 MiB/s"),
            (5e18, "bytes", "4440.9 PiB"),
            (0.0123, "seconds", "12 ms"),
            (90.0, "seconds", "90.0 s"),
            (1.0, "bool", "yes"),
            (2.5, "number", "2.5"),
            (3.0, "number/s", "3/s"),
        ] {
            assert_eq!(quantity(value, unit), text, "{value} {unit}");
        }
    }

    #[test]
    fn a_sparkline_shows_the_worst_of_each_column_and_gaps() {
        let points: Vec<_> = [Some(0.0), Some(7.0), None, Some(3.5)].iter().map(|v| (0.0, *v)).collect();
        assert_eq!(sparkline(&points, 0.0, 7.0), "▁█ ▅");
        let long: Vec<_> = (0..600).map(|i| (f64::from(i), Some(if i == 300 { 9.0 } else { 1.0 }))).collect();
        let line = sparkline(&long, 1.0, 9.0);
        assert_eq!(line.chars().count(), COLUMNS);
        assert_eq!(line.chars().filter(|c| *c == '█').count(), 1);
        assert_eq!(sparkline(&[(0.0, Some(4.0))], 4.0, 4.0), "▅");
        assert_eq!(sparkline(&[], 0.0, 0.0), "");
    }

    #[test]
    fn control_characters_do_not_reach_the_desk() {
        let mut out = String::new();
        line(&mut out, "a\u{1b}[31mb\nc\0");
        assert_eq!(out, "a\u{fffd}[31mb\nc\u{fffd}\n");
    }
}
