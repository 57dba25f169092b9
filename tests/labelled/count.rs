//! What rules did on recordings, held against what was really wrong.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use sexton::config::{self, Doors, HostFacts};
use sexton::engine::moment::{DAY, MINUTE};
use sexton::engine::plan::Plan;
use sexton::engine::suppress::Terms;
use sexton::workshop::replay::run;
use sexton::workshop::span::{covered, union};

use super::data::Series;

/// What one rule did.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Incidents the engine made.
    pub incidents: usize,
    /// Times it was raised.
    pub raises: usize,
    /// Raises that touch no labelled window.
    pub outside: usize,
    /// Windows during which it was raised.
    pub hit: usize,
    /// Time raised, and what of it lies within windows, in ns.
    pub raised: i64,
    pub within: i64,
    /// From the start of a window that was hit to the first raise in it, in ns.
    pub delays: Vec<i64>,
}

impl Tally {
    pub fn add(&mut self, other: &Tally) {
        self.incidents += other.incidents;
        self.raises += other.raises;
        self.outside += other.outside;
        self.hit += other.hit;
        self.raised += other.raised;
        self.within += other.within;
        self.delays.extend(&other.delays);
    }

    /// Share of the raised time outside of windows, in percent.
    pub fn noise(&self) -> f64 {
        100.0 * (1.0 - self.within as f64 / self.raised.max(1) as f64)
    }

    /// A line of the table.
    pub fn line(&self, what: &str, windows: usize) -> String {
        let mut delays = self.delays.clone();
        delays.sort_unstable();
        let delay = delays.get(delays.len() / 2).copied().unwrap_or(0) / MINUTE;
        let Tally { incidents, raises, outside, hit, .. } = self;
        let (days, noise) = (self.raised as f64 / DAY as f64, self.noise());
        format!(
            "| {what} | {incidents} | {hit} of {windows} | {delay} min | {raises} | {outside} | {days:.1} d | {noise:.0} % |"
        )
    }
}

/// The plan of these rules alone.
pub fn plan(text: &str, wanted: impl Fn(&str) -> bool) -> Arc<Plan> {
    let facts = HostFacts { machine_id: "0123".into(), hostname: "web-01".into() };
    let config = config::load_texts(&[("rules.toml", text)], &Doors::default(), &facts)
        .unwrap_or_else(|all| panic!("{}", all.render(false)));
    let rules: Vec<_> = config.plan.rules.iter().filter(|r| wanted(&r.id)).cloned().collect();
    assert!(!rules.is_empty());
    Arc::new(Plan { rules, suppress: Terms::default(), ..Plan::clone(&config.plan) })
}

/// Plays a plan over a series: what each of its rules did, and which windows it hit.
pub fn tally(plan: &Arc<Plan>, series: &Series) -> BTreeMap<String, (Tally, Vec<bool>)> {
    let outcomes =
        run(plan, std::slice::from_ref(&series.host), 1, &AtomicU64::new(0)).expect("it can be played");
    let outcome = &outcomes[0];
    let mut all = BTreeMap::new();
    for rule in &plan.rules {
        let spans: Vec<_> =
            outcome.spans.iter().filter(|s| s.rule == rule.id).map(|s| (s.from.0, s.to.0)).collect();
        let meets = |s: &(i64, i64), w: &(i64, i64)| s.0 <= w.1 && s.1 >= w.0;
        let first: Vec<Option<&(i64, i64)>> =
            series.windows.iter().map(|w| spans.iter().find(|s| meets(s, w))).collect();
        let delays =
            series.windows.iter().zip(&first).filter_map(|(w, s)| Some((s.as_ref()?.0 - w.0).max(0)));
        let real = union(series.windows.iter().map(|(from, to)| (*from, to + 1)).collect());
        let tally = Tally {
            incidents: outcome.played.incidents.iter().filter(|i| i.rule.id == rule.id).count(),
            raises: spans.len(),
            outside: spans.iter().filter(|s| !series.windows.iter().any(|w| meets(s, w))).count(),
            hit: first.iter().flatten().count(),
            raised: spans.iter().map(|s| s.1 - s.0).sum(),
            within: spans.iter().map(|s| covered(*s, &real)).sum(),
            delays: delays.collect(),
        };
        all.insert(rule.id.clone(), (tally, first.iter().map(Option::is_some).collect()));
    }
    all
}
