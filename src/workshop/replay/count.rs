//! The figures of a replay: how many incidents, how long, and how much of it was about real trouble.

use serde::Serialize;

use super::{Host, Outcome};
use crate::engine::moment::DAY;
use crate::engine::plan::Rule;
use crate::engine::signal::Metric;
use crate::workshop::labels::Window;
use crate::workshop::span::{Span, covered, union};

/// What one rule, or all of them, did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Row {
    /// Rule id; empty for all together.
    pub rule: String,
    /// Incidents that were opened.
    pub incidents: u64,
    /// Incidents per week: tickets, when every incident is one.
    pub per_week: f64,
    /// Times it was raised.
    pub raises: u64,
    /// Times an incident was reopened.
    pub reopens: u64,
    /// Incidents that went up and down faster than a person can follow.
    pub flapping: u64,
    /// Instances that were raised.
    pub instances: u64,
    /// Time raised, in seconds; of all rules together on a host it counts once.
    pub raised_seconds: f64,
    /// The longest stretch, in seconds.
    pub longest_seconds: f64,
    /// Raised at the end of the series.
    pub open: u64,
    /// Against labelled windows, when there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hits: Option<Hits>,
}

/// How well it met the labelled windows.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Hits {
    /// Windows in which it was raised.
    pub hit: u64,
    /// Windows of series that it looks at.
    pub windows: u64,
    /// Median time from the start of a window that was hit to the raise, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_seconds: Option<f64>,
    /// Raises that touch no window.
    pub false_raises: u64,
    /// Share of the raised time outside of windows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noise: Option<f64>,
}

/// Labelled windows by host, with the slack behind each.
#[derive(Clone, Debug, Default)]
pub struct Labelled {
    by_host: Vec<Vec<(i64, i64)>>,
    slack: i64,
}

/// Whether a host has a series that a rule looks at, on an instance that it takes.
pub fn sees(rule: &Rule, host: &Host) -> bool {
    let takes = |i: &crate::engine::signal::Instance| i.class == rule.class && rule.matches.accepts(i);
    let has_instance =
        rule.class.spec().identity.is_empty() || host.series.iter().any(|s| takes(&s.track.instance));
    has_instance && host.series.iter().any(|s| names(rule, s))
}

fn names(rule: &Rule, series: &super::Recorded) -> bool {
    let mut metrics = series.track.columns.iter().map(|(m, _)| m);
    metrics.any(|m| rule.steps.iter().any(|s| s.raise.metrics().contains(m)))
}

/// Whether a window is about a series, or about one of its signals that the rule looks at.
pub fn is_about(window: &Window, series: &super::Recorded, rule: Option<&Rule>) -> bool {
    let key = series.track.instance.key();
    let labels = &key[series.track.instance.class.name().len().min(key.len())..];
    let looks = |m: &Metric| rule.is_none_or(|r| r.steps.iter().any(|s| s.raise.metrics().contains(m)));
    let named =
        |m: &Metric| window.subject.iter().any(|s| s == m.name() || *s == format!("{}{labels}", m.name()));
    window.is_about(&series.name, &series.column)
        || (window.series == series.name && series.track.columns.iter().any(|(m, _)| looks(m) && named(m)))
}

/// Names of the windows that are about no series of any host.
pub fn adrift(hosts: &[Host], windows: &[Window]) -> Vec<String> {
    let all = || hosts.iter().flat_map(|host| &host.series);
    let lost = windows.iter().filter(|window| !all().any(|series| is_about(window, series, None)));
    lost.map(Window::name).collect()
}

/// The labelled windows of the series that a rule looks at, or of all.
pub fn labelled(hosts: &[Host], windows: &[Window], slack: i64, rule: Option<&Rule>) -> Labelled {
    let of = |host: &Host| {
        let own = host.series.iter().filter(|s| rule.is_none_or(|r| names(r, s)));
        let about = own.flat_map(|s| windows.iter().filter(|w| is_about(w, s, rule)));
        let mut found: Vec<_> = about.map(|w| (w.from, w.to)).collect();
        found.sort_unstable();
        found.dedup();
        found
    };
    Labelled { by_host: hosts.iter().map(of).collect(), slack }
}

/// Time that was played, of all hosts together, in weeks.
pub fn weeks(outcomes: &[Outcome]) -> f64 {
    let played: i64 = outcomes.iter().map(|o| o.played.to - o.played.from).sum();
    played as f64 / (7 * DAY) as f64
}

/// Counts one rule, or all.
pub fn row(rule: Option<&str>, outcomes: &[Outcome], labelled: Option<&Labelled>, weeks: f64) -> Row {
    let is_meant = |id: &str| rule.is_none_or(|r| r == id);
    let incidents: Vec<_> =
        outcomes.iter().flat_map(|o| &o.played.incidents).filter(|i| is_meant(&i.rule.id)).collect();
    let mut row = Row {
        rule: rule.unwrap_or_default().to_owned(),
        incidents: incidents.len() as u64,
        per_week: if weeks > 0.0 { incidents.len() as f64 / weeks } else { 0.0 },
        reopens: incidents.iter().map(|i| i.counters.reopens).sum(),
        flapping: incidents.iter().filter(|i| i.timeline.iter().any(|t| t.kind == "flapping")).count() as u64,
        ..Row::default()
    };
    let (mut raised, mut longest, mut hits, mut delays, mut outside) = (0, 0, Hits::default(), Vec::new(), 0);
    for (at, outcome) in outcomes.iter().enumerate() {
        let own: Vec<&Span> = outcome.spans.iter().filter(|s| is_meant(&s.rule)).collect();
        row.raises += own.len() as u64;
        row.open += own.iter().filter(|s| !s.ended).count() as u64;
        let mut instances: Vec<_> = own.iter().map(|s| s.instance.as_str()).collect();
        instances.sort_unstable();
        instances.dedup();
        row.instances += instances.len() as u64;
        longest = own.iter().map(|s| s.length()).fold(longest, i64::max);
        let stretches = union(own.iter().map(|s| (s.from.0, s.to.0)).collect());
        let length: i64 = stretches.iter().map(|(from, to)| to - from).sum();
        raised += length;
        if let Some(labelled) = labelled {
            outside += length - meet(&own, &stretches, labelled, at, &mut hits, &mut delays);
        }
    }
    let seconds = |ns: i64| ns as f64 / 1e9;
    (row.raised_seconds, row.longest_seconds) = (seconds(raised), seconds(longest));
    row.hits = labelled.map(|_| {
        delays.sort_unstable();
        hits.delay_seconds = delays.get(delays.len() / 2).copied().map(seconds);
        hits.noise = (raised > 0).then(|| outside as f64 / raised as f64);
        hits
    });
    row
}

/// Holds the stretches of a host against its windows; how much of them lies inside.
fn meet(
    own: &[&Span],
    stretches: &[(i64, i64)],
    labelled: &Labelled,
    host: usize,
    hits: &mut Hits,
    delays: &mut Vec<i64>,
) -> i64 {
    let windows = labelled.by_host.get(host).map(Vec::as_slice).unwrap_or_default();
    hits.windows += windows.len() as u64;
    for (from, to) in windows {
        let first = own.iter().map(|s| s.from.0).filter(|at| at >= from && *at <= to + labelled.slack).min();
        hits.hit += u64::from(first.is_some());
        delays.extend(first.map(|at| at - from));
    }
    // A point counts as a moment.
    let wide = union(windows.iter().map(|(from, to)| (*from, to + labelled.slack + 1)).collect());
    hits.false_raises +=
        own.iter().filter(|s| covered((s.from.0, s.to.0.max(s.from.0 + 1)), &wide) == 0).count() as u64;
    stretches.iter().map(|s| covered(*s, &wide)).sum()
}
