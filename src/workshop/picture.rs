//! What happened in a test, made ready to be drawn: the series a rule looks at, its limits, and its state
//! over time.
//!
//! The test is played again, looked at as often as the drawing has columns. It must not know how it is drawn.

use std::sync::Arc;

use super::play::{Level, Player};
use super::prove::{Proof, only, tracks};
use super::source::{Column, Source, Track};
use crate::config::test::RuleTest;
use crate::engine::cond::Relation;
use crate::engine::plan::{Plan, Rule};
use crate::engine::rules::Health;
use crate::engine::signal::{Base, Class, Metric};

/// Most series of one picture.
const MOST_CURVES: usize = 3;
/// Most limits of one series.
const MOST_LIMITS: usize = 4;

/// A picture of one rule on one instance.
#[derive(Clone, Debug)]
pub struct Picture {
    /// The instance.
    pub instance: String,
    /// Start, in ns since 1970.
    pub from: i64,
    /// End.
    pub to: i64,
    /// Series with numbers that the rule looks at.
    pub curves: Vec<Curve>,
    /// State per column.
    pub band: Vec<Band>,
    /// Expectations: when, and whether it held.
    pub marks: Vec<(i64, bool)>,
}

/// One series.
#[derive(Clone, Debug)]
pub struct Curve {
    /// The signal.
    pub metric: Metric,
    /// Time in ns since 1970 and value, missing ones left out.
    pub points: Vec<(i64, f64)>,
    /// Expected distance of points in ns.
    pub interval: i64,
    /// What it is compared with.
    pub limits: Vec<Limit>,
}

/// A limit of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// Relation of the signal to the limit.
    pub relation: Relation,
    /// In base units.
    pub value: f64,
    /// Level of the step it raises; ok for a limit of a clear condition.
    pub level: Level,
}

/// State of a rule instance during a column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Band {
    /// Nothing is known of it yet.
    #[default]
    Absent,
    /// No breach.
    Ok,
    /// The condition cannot be judged.
    Unknown,
    /// The breach has not held for long enough.
    Pending,
    /// Raised, with the severity.
    Raised(crate::engine::record::Severity),
}

/// Plays a test again and takes `columns` looks at it; `None` when it cannot be played.
pub fn picture(test: &RuleTest, plan: &Plan, proof: &Proof, columns: usize) -> Option<Picture> {
    let rule = plan.rules.iter().find(|r| r.id == test.rule)?;
    let mut source = tracks(test).ok()?;
    let last = source.tracks().iter().filter_map(|t| t.times.last()).max().copied()?;
    let last_look = proof.checks.iter().map(|c| test.start.0 + c.at).max().unwrap_or(last);
    let (from, to) = (test.start.0, last.max(last_look).max(test.start.0 + test.step));
    let instance = shown(proof).or_else(|| {
        let own = |t: &&Arc<Track>| t.instance.class == rule.class && rule.matches.accepts(&t.instance);
        source.tracks().iter().find(own).map(|t| t.instance.key().to_owned())
    });
    let instance = instance.unwrap_or_else(|| rule.class.name().to_owned());
    let curves = curves(rule, source.tracks(), &instance);
    let mut player = Player::new(Arc::new(only(plan, test)));
    player.begin(from);
    let columns = columns.max(1);
    let at = |i: usize| from + ((to - from) as f64 * i as f64 / columns as f64) as i64;
    let mut band = Vec::with_capacity(columns);
    let mut look = |player: &mut Player, column: usize| {
        let all = player.look(at(column));
        let state = all.iter().find(|s| s.rule == test.rule && s.instance == instance);
        band.push(state.map_or(Band::Absent, |s| match (s.state, s.severity) {
            (Health::Ok, _) => Band::Ok,
            (Health::Unknown, _) => Band::Unknown,
            (Health::Pending, _) => Band::Pending,
            (Health::Raised, severity) => {
                Band::Raised(severity.unwrap_or(crate::engine::record::Severity::Warning))
            }
        }));
    };
    let mut column = 1;
    while let Ok(Some(seen)) = source.next() {
        while column <= columns && at(column) < seen.at.mono {
            look(&mut player, column);
            column += 1;
        }
        player.feed(seen);
    }
    (column..=columns).for_each(|column| look(&mut player, column));
    let marks = proof.checks.iter().map(|c| (from + c.at, c.holds)).collect();
    Some(Picture { instance, from, to, curves, band, marks })
}

/// The instance that a failure is about, else the first that did anything.
fn shown(proof: &Proof) -> Option<String> {
    let failed = proof.checks.iter().find(|c| !c.holds).and_then(|c| c.instance.clone());
    failed
        .or_else(|| proof.transitions.first().map(|t| t.instance.clone()))
        .or_else(|| proof.checks.iter().find_map(|c| c.instance.clone()))
}

fn curves(rule: &Rule, tracks: &[Arc<Track>], instance: &str) -> Vec<Curve> {
    let mut metrics: Vec<Metric> = Vec::new();
    for metric in rule.steps.iter().flat_map(|s| s.raise.metrics().iter().chain(s.clear.metrics())) {
        if !metrics.contains(metric) {
            metrics.push(*metric);
        }
    }
    let of = |metric: &Metric| {
        let spec = metric.spec();
        let owner = if spec.class == rule.class { instance } else { Class::Host.name() };
        let track = tracks.iter().find(|t| t.instance.key() == owner)?;
        let (_, column) = track.columns.iter().find(|(m, _)| m == metric)?;
        let Column::Numbers(values) = column else { return None };
        let points = track.times.iter().copied().zip(values.iter().copied()).filter(|(_, v)| v.is_finite());
        let limits = if spec.ty.base == Base::Bool { Vec::new() } else { limits(rule, *metric) };
        Some(Curve { metric: *metric, points: points.collect(), interval: track.interval, limits })
    };
    metrics.iter().filter_map(of).take(MOST_CURVES).collect()
}

/// What a signal is compared with in the conditions of a rule, by itself or through a window that keeps its
/// type.
pub fn limits(rule: &Rule, metric: Metric) -> Vec<Limit> {
    let mut found: Vec<Limit> = Vec::new();
    let raises = rule.steps.iter().map(|s| (&s.raise, Level::Raised(s.severity)));
    let clears = rule.steps.iter().map(|s| (&s.clear, Level::Ok));
    for (cond, level) in raises.chain(clears) {
        for compared in cond.program().comparisons().into_iter().filter(|c| c.metric == metric) {
            let (relation, value) = (compared.relation, compared.limit);
            let is_known = found.iter().any(|l| l.value == value);
            if value.is_finite() && !is_known && found.len() < MOST_LIMITS {
                found.push(Limit { relation, value, level });
            }
        }
    }
    found
}
