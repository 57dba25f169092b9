//! What is said of a part: why it is unknown, how far it is from its limit, what its window has seen.

use super::program::equal;
use super::tree::{Arithmetic, Heard, Margin, Node, Seen, Verdict};
use super::units::human;
use crate::engine::moment;
use crate::engine::signal::{Base, Type};
use crate::engine::window::facts::{Facts, Figure, Unit};

/// Why a signal is unknown.
pub(super) fn why_silent(name: &str, heard: &Heard) -> String {
    match (heard.age, heard.stale_after) {
        (None, _) if heard.said_none => format!("{name} has no value here: its source says so"),
        (None, _) => format!("{name} was never seen, waited for {}", moment::human(heard.waited)),
        (Some(age), _) if heard.said_none => {
            format!("{name} has no value now: its source says so; the last one is {} old", moment::human(age))
        }
        (Some(age), Some(limit)) => {
            let (age, limit) = (moment::human(age), moment::human(limit));
            format!("{name} is stale: its last value is {age} old, and it counts for {limit}")
        }
        (Some(age), None) => format!("{name} has no value now; the last one is {} old", moment::human(age)),
    }
}

/// Why a window is unknown.
pub(super) fn why_window(seen: &Seen, fed: &[Node]) -> String {
    let facts = &seen.facts;
    let percent = |share: f64| human(share, Type::of(Base::Ratio));
    let watched = seen.fed_by.iter().map(|heard| heard.waited).min().unwrap_or(0);
    if facts.is_known {
        return "what it has seen is not enough to work it out".to_owned();
    }
    match (facts.coverage, facts.interval) {
        (Some(coverage), interval) if facts.newest.is_some() => {
            let seen = facts.samples.zip(facts.expected);
            let seen = seen.map(|(n, of)| format!("{n:.0} of {of:.0} samples, ")).unwrap_or_default();
            let covered = format!("{seen}{} covered, {} needed", percent(coverage), percent(facts.needed));
            if watched >= facts.span {
                return format!("coverage too low: {covered}");
            }
            let (watched, of) = (moment::human(watched), moment::human(facts.span));
            let missing = facts.samples.zip(facts.expected).map(|(n, of)| facts.needed * of - n);
            let soon = missing.map(|n| moment::human((n.max(0.0) * interval as f64) as i64));
            let soon = soon.map(|left| format!("; enough in about {left}")).unwrap_or_default();
            format!("still warming up, watched for {watched} of {of}: {covered}{soon}")
        }
        _ => first_why(fed).unwrap_or_else(|| "nothing is known of what it is made of".to_owned()),
    }
}

/// Of condition and two branches: why what was chosen is unknown.
pub(super) fn why_branch(parts: &[Node]) -> Option<String> {
    let [cond, yes, no] = parts else { return first_why(parts) };
    match cond.verdict {
        Some(Verdict::True) => yes.why.clone(),
        Some(Verdict::False) => no.why.clone(),
        _ => cond.why.clone(),
    }
}

pub(super) fn first_why(parts: &[Node]) -> Option<String> {
    parts.iter().find_map(|part| part.why.clone())
}

/// How far a value lies from its limit.
pub(super) fn margin(value: f64, limit: f64, ty: Type) -> Option<Margin> {
    if !value.is_finite() || !limit.is_finite() {
        return None;
    }
    let (by, at) = (value - limit, human(limit, ty));
    let size = match ty {
        Type { base: Base::Ratio, per_second: false } => {
            let points = human(by.abs() * 100.0, Type::of(Base::Number));
            format!("{points} {}", if points == "1" { "point" } else { "points" })
        }
        ty => human(by.abs(), ty),
    };
    let shown = match equal(value, limit) {
        true => format!("exactly {at}"),
        false => format!("{size} {} {at}", if by > 0.0 { "above" } else { "below" }),
    };
    Some(Margin { by, limit, shown })
}

/// What a window has seen, in figures and words. Of a condition the samples are truths.
pub(super) fn arithmetic(facts: &Facts, ty: Type, is_condition: bool, of_events: bool) -> Arithmetic {
    let ratio = Type::of(Base::Ratio);
    let unit = |unit: Unit| match unit {
        Unit::Same if is_condition => Type::of(Base::Number),
        Unit::Same => ty,
        Unit::SamePerSecond => Type::per_second(ty.base),
        Unit::Number => Type::of(Base::Number),
        Unit::Ratio => ratio,
    };
    let figure = |figure: &Figure| {
        let name = match (figure.name, is_condition) {
            ("sum", true) => "true",
            ("last", true) => "now",
            (name, _) => name,
        };
        let shown = match (name, is_condition) {
            ("now", true) => (figure.value != 0.0).to_string(),
            // A sum of shares is no share.
            ("sum", _) if ty == ratio => human(figure.value, Type::of(Base::Number)),
            _ => human_rate(figure.value, unit(figure.unit)),
        };
        (name.to_owned(), figure.value, shown)
    };
    let figures: Vec<_> = facts.figures.iter().map(figure).collect();
    let mut words = Vec::new();
    let what = if of_events { "events" } else { "samples" };
    match (facts.samples, facts.expected) {
        (Some(samples), Some(expected)) => {
            let covered = human(facts.coverage.unwrap_or(0.0), ratio);
            words.push(format!("{samples:.0} of {expected:.0} {what} ({covered})"));
        }
        (Some(samples), None) => words.push(format!("{samples:.0} {what}")),
        (None, _) => {
            let covered = facts.coverage.map(|c| format!("{} of its weight covered", human(c, ratio)));
            words.extend(covered);
        }
    }
    words.extend(figures.iter().map(|(name, _, shown)| match (name.as_str(), is_condition) {
        ("true", true) => format!("{shown} true"),
        (name, _) => format!("{name} {shown}"),
    }));
    let span = (facts.span > 0).then_some(facts.span as f64 / 1e9);
    let Facts { samples, expected, coverage, needed, .. } = *facts;
    Arithmetic { span, samples, expected, coverage, needed, figures, shown: words.join(", ") }
}

/// A value; slopes are small, and read better per hour or day.
fn human_rate(value: f64, ty: Type) -> String {
    if !ty.per_second || value == 0.0 {
        return human(value, ty);
    }
    let (whole, least) = (Type::of(ty.base), if ty.base == Base::Ratio { 0.001 } else { 1.0 });
    let steps = [(1.0, "s"), (60.0, "m"), (3600.0, "h"), (86400.0, "d")];
    let fits = steps.iter().find(|(seconds, _)| (value * seconds).abs() >= least);
    let (seconds, name) = fits.unwrap_or(&(86400.0, "d"));
    let size = match ty.base {
        Base::Ratio => format!("{:.2} points", value * seconds * 100.0),
        _ => human(value * seconds, whole),
    };
    format!("{size}/{name}")
}
