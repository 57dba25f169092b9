//! The words of a problem candidate: title, reasons and description for whoever is to look for the cause.

use crate::engine::incident::{second, word};
use crate::engine::moment::{MINUTE, SECOND, Stamp, human};
use crate::engine::record::{Incident, Problem, Reason};

use super::recurrence::{Figures, Recurrence};

/// Openings that the description lists; the newest.
const LISTED: usize = 10;

/// The reason for one test that holds: `4th time in 7 d, usual gap 38h`.
pub(super) fn reason(
    (count, least, window, name): (usize, usize, i64, &str),
    median_gap: Option<f64>,
) -> Reason {
    let gap = median_gap.map_or(String::new(), |g| format!(", usual gap {}", span(g)));
    Reason {
        test: "recurrence".to_owned(),
        observed: count as f64,
        expected: least as f64,
        window: (window / SECOND) as f64,
        text: format!("{} time in {name}{gap}", ordinal(count as u64)),
    }
}

/// `unit-failed keeps returning on nginx.service of web-01: 4 times in 7 d`.
pub(super) fn title(incident: &Incident, object: &str, why: &[(usize, usize, i64, &'static str)]) -> String {
    let often = why.first().map_or(String::new(), |(count, _, _, name)| format!(": {count} times in {name}"));
    format!("{} keeps returning on {object}{often}", incident.rule.id)
}

/// The whole story; `unlinked` are the numbers of members whose record is no longer held.
pub(super) fn description(
    problem: &Problem,
    incident: &Incident,
    ring: &Recurrence,
    figures: &Figures,
    unlinked: &[String],
    now: Stamp,
) -> String {
    let mut lines = vec![format!("Symptom: {}", incident.title), String::new()];
    lines.push("Why this is taken for a problem:".to_owned());
    lines.extend(problem.why.iter().map(|w| format!("- {} (a problem from {} on)", w.text, w.expected)));
    lines.push(String::new());
    let listed = ring.openings.len().min(LISTED);
    lines.push(match ring.total() > listed as u64 {
        true => format!("Openings (the newest {listed} of {}):", ring.total()),
        false => "Openings, newest first:".to_owned(),
    });
    for opening in ring.openings.iter().rev().take(LISTED) {
        let trouble = opening.trouble(now);
        let state = match opening.restored {
            Some(_) => format!("lasted {}", human(trouble)),
            None if trouble < SECOND => "goes on".to_owned(),
            None => format!("goes on, {} so far", human(trouble)),
        };
        let number = crate::engine::id::incident_number(opening.number);
        lines.push(format!("- {} {number} {:?}, {state}", second(opening.breach), opening.priority));
    }
    lines.push(String::new());
    lines.push(format!(
        "Figures at {}: usual gap {}, between failures {} on average, restored in {} on average, {} of trouble, \
         pain {:.0} (open minutes weighted by priority).",
        second(now),
        or_none(figures.median_gap),
        or_none(figures.mtbf),
        or_none(figures.mttr),
        span(figures.downtime),
        figures.pain
    ));
    if !unlinked.is_empty() {
        let list = unlinked.join(", ");
        lines.push(format!("Counted but not linked, because already closed on the host: {list}."));
    }
    lines.push(String::new());
    lines.push(next(incident));
    lines.join("\n")
}

fn next(incident: &Incident) -> String {
    let mut text = format!(
        "Restoring has not removed the cause. Compare the evidence of the members, look for what changed or ran \
         before each opening, and ask whether rule {} ({}) is too strict.",
        incident.rule.id,
        word(incident.severity)
    );
    if let Some(runbook) = &incident.links.runbook {
        text.push_str(&format!(" Runbook: {runbook}"));
    }
    text
}

fn or_none(seconds: Option<f64>) -> String {
    seconds.map_or("unknown".to_owned(), span)
}

fn span(seconds: f64) -> String {
    let ns = (seconds * SECOND as f64) as i64;
    human(if ns > MINUTE { ns / SECOND * SECOND } else { ns })
}

/// `1st`, `2nd`, `3rd`, `4th`, `11th`, `21st`.
pub(super) fn ordinal(n: u64) -> String {
    let suffix = match (n % 10, n % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{n}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::moment::DAY;

    #[test]
    fn ordinals() {
        let text: Vec<_> = [1, 2, 3, 4, 11, 12, 13, 21, 32, 111].map(ordinal).into();
        assert_eq!(text.join(" "), "1st 2nd 3rd 4th 11th 12th 13th 21st 32nd 111th");
    }

    #[test]
    fn a_reason_names_count_window_and_gap() {
        let r = reason((4, 4, 7 * DAY, "7 d"), Some(38.0 * 3600.0));
        assert_eq!(r.text, "4th time in 7 d, usual gap 1d 14h");
        assert_eq!((r.observed, r.expected, r.window), (4.0, 4.0, 604_800.0));
    }
}
