//! What the page of one incident and the page of one problem show beyond their rows.

use serde::Serialize;

use super::plot::{Marker, caption, plot};
use super::rows::{IncidentRow, ProblemRow, closure, nature, problem_state, state};
use super::strip::strip;
use super::words::{brief, plain};
use crate::desk::db::ProblemName;
use crate::engine::moment::Stamp;
use crate::engine::record::{Actor, Incident, Problem, Series, TimelineEntry};

/// The page of an incident.
#[derive(Debug, Serialize)]
pub(super) struct IncidentPage {
    pub row: IncidentRow,
    pub description: String,
    pub impact: u8,
    pub urgency: u8,
    pub priority_reason: String,
    pub raised_higher: Option<u8>,
    pub rule: String,
    pub rule_hash: String,
    pub category: String,
    pub nature: &'static str,
    pub tier: u8,
    pub calendar: String,
    pub paused_total: Option<String>,
    pub times: Vec<Time>,
    pub labels: Vec<(String, String)>,
    pub alert_key: String,
    pub closure: Option<Ending>,
    pub previous: Option<String>,
    /// A runbook that may be linked, and one that is only text.
    pub runbook_link: Option<String>,
    pub runbook_text: Option<String>,
    pub events: u64,
    pub flaps: u64,
    pub suppressed: u64,
    pub openings: Vec<Opening>,
    pub plots: Vec<Plot>,
    pub exhibits: Vec<ExhibitView>,
    pub timeline: Vec<Line>,
    pub received: i64,
}

/// A named moment.
#[derive(Debug, Serialize)]
pub(super) struct Time {
    pub name: &'static str,
    pub at: i64,
    /// How long after the breach.
    pub after: Option<String>,
}

/// How it ended.
#[derive(Debug, Serialize)]
pub(super) struct Ending {
    pub word: &'static str,
    pub note: String,
}

/// One span of trouble.
#[derive(Debug, Serialize)]
pub(super) struct Opening {
    pub from: i64,
    pub to: Option<i64>,
    pub lasted: String,
}

/// A drawn series.
#[derive(Debug, Serialize)]
pub(super) struct Plot {
    pub signal: String,
    pub svg: String,
    pub caption: String,
}

/// A piece of text evidence.
#[derive(Debug, Serialize)]
pub(super) struct ExhibitView {
    pub title: String,
    pub at: i64,
    pub text: String,
}

/// One line of a timeline.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    pub at: i64,
    pub actor: &'static str,
    pub kind: String,
    /// `New → Resolved`, when the state changed.
    pub change: Option<String>,
    pub note: String,
}

/// Everything the page of an incident says.
pub(super) fn incident(
    incident: &Incident,
    problem: Option<&ProblemName>,
    received: Stamp,
    now: Stamp,
) -> IncidentPage {
    let runbook = incident.links.runbook.clone();
    let (runbook_link, runbook_text) =
        if runbook.as_deref().is_some_and(is_web) { (runbook, None) } else { (None, runbook) };
    let highest = incident.priority_max.number();
    let lines = incident.timeline.iter().map(|e| line(e, change_of(e, state)));
    IncidentPage {
        row: IncidentRow::new(incident, problem, now),
        description: incident.description.clone(),
        impact: incident.impact,
        urgency: incident.urgency,
        priority_reason: incident.priority_reason.clone(),
        raised_higher: (highest < incident.priority.number()).then_some(highest),
        rule: incident.rule.id.clone(),
        rule_hash: incident.rule.hash.clone(),
        category: incident.category.clone(),
        nature: nature(incident.nature),
        tier: incident.tier,
        calendar: incident.sla.calendar.clone(),
        paused_total: (incident.sla.paused_total >= 1.0)
            .then(|| super::words::span(incident.sla.paused_total)),
        times: times(incident),
        labels: incident.labels.clone().into_iter().collect(),
        alert_key: incident.alert_key.clone(),
        closure: incident.closure.as_ref().map(|c| Ending { word: closure(c.code), note: c.note.clone() }),
        previous: incident.links.previous.clone(),
        runbook_link,
        runbook_text,
        events: incident.counters.events,
        flaps: incident.counters.flaps,
        suppressed: incident.counters.suppressed,
        openings: openings(incident, now),
        plots: incident.evidence.series.iter().filter_map(|s| drawn(s, &markers(incident))).collect(),
        exhibits: incident.evidence.exhibits.iter().map(exhibit).collect(),
        timeline: lines.collect(),
        received: received.0,
    }
}

fn is_web(link: &str) -> bool {
    link.starts_with("https://") || link.starts_with("http://")
}

fn times(incident: &Incident) -> Vec<Time> {
    let after = |at: Stamp| {
        let ns = at.0.saturating_sub(incident.breach_at.0);
        (ns > 0).then(|| brief(ns))
    };
    let named = [
        ("Breach", Some(incident.breach_at)),
        ("Detected", Some(incident.detected_at)),
        ("Raised", Some(incident.raised_at)),
        ("Acknowledged", incident.acknowledged_at),
        ("First action", incident.first_action_at),
        ("Resolved", incident.resolved_at),
        ("Confirmed", incident.confirmed_at),
        ("Closed", incident.closed_at),
    ];
    let some = named.into_iter().filter_map(|(name, at)| Some((name, at?)));
    some.map(|(name, at)| Time { name, at: at.0, after: after(at) }).collect()
}

fn openings(incident: &Incident, now: Stamp) -> Vec<Opening> {
    let spans = incident.intervals.iter();
    spans
        .map(|i| Opening {
            from: i.from.0,
            to: i.to.map(|s| s.0),
            lasted: brief(i.to.unwrap_or(now).0.saturating_sub(i.from.0).max(0)),
        })
        .collect()
}

/// The evidence is taken at the latest opening; so are the markers.
fn markers(incident: &Incident) -> Vec<Marker> {
    let last = incident.intervals.last();
    let breach = last.map_or(incident.breach_at, |i| i.from);
    let resolved = last.map_or(incident.resolved_at, |i| i.to);
    let raised = incident.timeline.iter().rev().find(|e| matches!(e.kind.as_str(), "raised" | "reopened"));
    let raised = raised.map_or(incident.raised_at, |e| e.at);
    let mut markers = vec![Marker { at: breach, word: "breach" }];
    if raised > breach {
        markers.push(Marker { at: raised, word: "raised" });
    }
    markers.extend(resolved.map(|at| Marker { at, word: "resolved" }));
    markers
}

fn drawn(series: &Series, markers: &[Marker]) -> Option<Plot> {
    let svg = plot(series, markers)?;
    Some(Plot { signal: series.signal.clone(), svg, caption: caption(series)? })
}

fn exhibit(exhibit: &crate::engine::record::Exhibit) -> ExhibitView {
    ExhibitView { title: exhibit.title.clone(), at: exhibit.at.0, text: exhibit.text.trim_end().to_owned() }
}

fn line(entry: &TimelineEntry, change: Option<String>) -> Line {
    let actor = match entry.actor {
        Actor::Rule => "rule",
        Actor::Timer => "timer",
        Actor::Operator => "operator",
        Actor::Action => "action",
        Actor::Itsm => "ITSM",
        Actor::Correlator => "correlator",
    };
    Line { at: entry.at.0, actor, kind: plain(&entry.kind), change, note: entry.note.clone() }
}

fn change_of(
    entry: &TimelineEntry,
    word: fn(crate::engine::record::State) -> &'static str,
) -> Option<String> {
    match (entry.from, entry.to) {
        (Some(from), Some(to)) if from != to => Some(format!("{} → {}", word(from), word(to))),
        (None, Some(to)) => Some(format!("→ {}", word(to))),
        _ => None,
    }
}

/// The page of a problem.
#[derive(Debug, Serialize)]
pub(super) struct ProblemPage {
    pub row: ProblemRow,
    pub description: String,
    pub category: String,
    pub key: String,
    pub why: Vec<Why>,
    pub strip: Option<String>,
    pub members: Vec<MemberView>,
    pub labels: Vec<(String, String)>,
    pub timeline: Vec<Line>,
    pub received: i64,
    pub state_note: &'static str,
}

/// A test that holds.
#[derive(Debug, Serialize)]
pub(super) struct Why {
    pub test: String,
    pub text: String,
    pub observed: String,
    pub expected: String,
    pub window: String,
}

/// A member incident: as the problem names it, and as the desk knows it.
#[derive(Debug, Serialize)]
pub(super) struct MemberView {
    pub id: String,
    pub number: String,
    pub role: String,
    pub openings: usize,
    pub row: Option<IncidentRow>,
}

/// Everything the page of a problem says; `known` are those of its members the desk has.
pub(super) fn problem(problem: &Problem, known: &[Incident], received: Stamp, now: Stamp) -> ProblemPage {
    let member = |m: &crate::engine::record::Member| MemberView {
        id: m.incident.clone(),
        number: m.number.clone(),
        role: m.role.clone(),
        openings: m.openings.len(),
        row: known.iter().find(|i| i.id == m.incident).map(|i| IncidentRow::new(i, None, now)),
    };
    let number = |v: f64| super::words::trimmed(v, 2);
    let why = |r: &crate::engine::record::Reason| Why {
        test: plain(&r.test),
        text: r.text.clone(),
        observed: number(r.observed),
        expected: number(r.expected),
        window: super::words::span(r.window),
    };
    ProblemPage {
        row: ProblemRow::new(problem),
        description: problem.description.clone(),
        category: problem.category.clone(),
        key: problem.key.clone(),
        why: problem.why.iter().map(why).collect(),
        strip: strip(&problem.members, now),
        members: problem.members.iter().rev().map(member).collect(),
        labels: problem.labels.clone().into_iter().collect(),
        timeline: problem.timeline.iter().map(|e| line(e, change_of(e, state))).collect(),
        received: received.0,
        state_note: match problem_state(problem.state) {
            "Candidate" => "found by sexton, not yet confirmed by a person",
            _ => "",
        },
    }
}
