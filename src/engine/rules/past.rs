//! What was recorded before the start: windows, last values and trails that the instances take up when they
//! are seen again.
//!
//! The past is lived through by machinery of its own, which judges nothing and tells nobody. An instance that
//! is observed takes its part out of it as its rules are bound, before they are judged for the first time: a
//! window as it would be had the daemon not stopped, short of what nobody saw. What has not been taken up
//! after ten minutes is gone, and with it instances that are no more.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::cond::program::{Clock, Num, Span, WindowSpec};
use crate::engine::moment::{DAY, MINUTE, Moment};
use crate::engine::plan::{Override, Plan, Rule};
use crate::engine::signal::{Instance, Metric, Observation};
use crate::engine::window::{Keeps, Window, silence};

use super::bound::{Bound, Part};
use super::index::Index;
use super::series::{Series, Trail};
use super::{Rules, Timer};

/// How far back every signal of a rule is wanted: its trail, and whether it is fresh.
pub(super) const PAST: i64 = 10 * MINUTE;
/// Time constants after which a sample is three in ten thousand of an exponentially weighted average.
const FADED: i64 = 8;
/// How long the past waits for its instances.
const WAIT: i64 = 10 * MINUTE;

/// The recorded past.
#[derive(Clone, Debug)]
pub struct Past {
    rules: Rules,
    /// Steady time of the newest observation.
    newest: i64,
    /// For how long nobody looked.
    gap: i64,
}

impl Past {
    /// Nothing recorded yet, to fill the windows of these rules.
    pub(super) fn new(plan: Arc<Plan>, index: Arc<Index>) -> Self {
        Self { rules: Rules::blank(plan, index), newest: i64::MIN, gap: 0 }
    }

    /// Takes in what was recorded next.
    pub(super) fn relive(&mut self, observation: &Observation) {
        self.newest = self.newest.max(observation.at.mono);
        self.rules.relive(observation);
    }
}

impl Rules {
    /// Which signals the plan's conditions need of the past, and how far back, ns.
    pub fn wants_past(&self) -> BTreeMap<Metric, i64> {
        let mut wants = BTreeMap::new();
        let mut want = |metric: Metric, span: i64| {
            let most = wants.entry(metric).or_insert(0);
            *most = span.max(*most);
        };
        let edited = self.edited();
        for bound in self.index.all().chain(&edited) {
            bound.metrics().into_iter().for_each(|metric| want(metric, PAST));
            for part in &bound.parts {
                spans(part).into_iter().for_each(|(metric, span)| want(metric, span));
            }
        }
        wants
    }

    /// Rules as overrides make them for some instances: a title of their own may name what the rule's own
    /// does not.
    fn edited(&self) -> Vec<Arc<Bound>> {
        let titled = self.plan.overrides.iter().filter_map(|o| Some((o, o.set.title.as_ref()?)));
        let of = |(over, title): (&Override, &String)| -> Vec<Arc<Bound>> {
            let rules = self.plan.rules.iter().filter(|rule| over.rule.accepts(&rule.id));
            let edit = |rule: &Arc<Rule>| Rule { title: title.clone(), ..Rule::clone(rule) };
            rules.map(|rule| Arc::new(Bound::new(Arc::new(edit(rule))))).collect()
        };
        titled.flat_map(of).collect()
    }

    /// Rules that begin anew with what others have seen until `newest`, ns: as if the daemon had been started
    /// anew, with all of that recorded.
    pub fn after(others: Rules, newest: i64) -> Self {
        let mut rules = Self::new(Arc::clone(&others.plan));
        rules.past = Some(Box::new(Past { rules: others, newest, gap: 0 }));
        rules
    }

    /// Takes in what was recorded, in order of time and before anything is observed.
    pub fn recall(&mut self, observation: &Observation) {
        let new = || Box::new(Past::new(Arc::clone(&self.plan), Arc::clone(&self.index)));
        self.past.get_or_insert_with(new).relive(observation);
    }

    /// Nothing more was recorded; the present begins.
    pub fn recalled(&mut self, now: Moment) {
        let Some(past) = &mut self.past else { return };
        past.gap = now.mono.saturating_sub(past.newest);
        let panes: Vec<u32> = past.rules.panes.iter().map(|(id, _)| id).collect();
        for id in panes {
            if let Some(pane) = past.rules.panes.get_mut(id) {
                pane.window.away(past.newest, now.mono);
            }
        }
        self.timers.insert((now.mono.saturating_add(WAIT), Timer::Past));
    }

    /// Feeds series and windows; judges nothing.
    fn relive(&mut self, observation: &Observation) {
        let (t, instance) = (observation.at, &observation.instance);
        if observation.gone {
            return self.forget(instance, t, &mut Vec::new());
        }
        let subject = self.subject_of(instance, t, t, &mut Vec::new());
        self.mark += 1;
        for (metric, value) in &observation.samples {
            self.take(subject, *metric, value.as_ref(), t, observation.interval);
        }
        for id in std::mem::take(&mut self.touched_panes) {
            self.feed(id, t.mono, false);
        }
        self.touched_machines.clear();
    }

    /// What was recorded of a signal, by its place in the class.
    pub(super) fn recalled_series(&mut self, instance: &Instance, place: usize) -> Option<Series> {
        let Past { rules, gap, .. } = &mut **self.past.as_mut()?;
        let subject = rules.subjects.get_mut(*rules.by_key.get(instance.key())?)?;
        let mut series = rules.series.remove(subject.series.get_mut(place)?.take()?)?;
        series.machines.clear();
        series.panes.clear();
        series.watched = false;
        // What was told is held for ever, but not what changed while nobody listened.
        if series.interval == 0 && *gap > silence(0) {
            series.value = None;
        }
        Some(series)
    }

    /// The recorded window of that key.
    pub(super) fn recalled_window(&mut self, instance: &Instance, key: &str) -> Option<Window> {
        let both = [&mut self.refill, &mut self.past].into_iter().flatten();
        both.into_iter().find_map(|past| {
            let rules = &mut past.rules;
            let subject = rules.subjects.get_mut(*rules.by_key.get(instance.key())?)?;
            Some(rules.panes.remove(subject.panes.remove(key)?)?.window)
        })
    }

    /// The recorded last minutes of a signal that an instance of ours names.
    pub(super) fn recalled_trail(&mut self, subject: u32, metric: Metric) -> Option<Box<Trail>> {
        let rules = &mut self.refill.as_mut()?.rules;
        let key = self.subjects.get(subject)?.instance.key();
        let series = rules.known_series(*rules.by_key.get(key)?, metric)?;
        rules.series.get_mut(series)?.trail.take()
    }
}

/// How far back a window of that span looks: a baseline over all its periods and the running one, an average
/// until what is older has no weight.
fn reach(keeps: Keeps, span: i64) -> i64 {
    match keeps {
        Keeps::Slots(periods) => span.saturating_mul(i64::from(periods).saturating_add(1)),
        Keeps::Smooth => span.saturating_mul(FADED),
        _ => span,
    }
}

/// What one condition needs: the length of its windows, and how far back its clocks look.
fn spans(part: &Part) -> Vec<(Metric, i64)> {
    let program = &part.program;
    let slot = |slot: u16| program.slots.get(usize::from(slot)).copied();
    let clocks = program.clocks.iter().filter_map(|clock| match clock {
        Clock::Age(of, limit) => slot(*of).map(|m| (m, seconds(limit))),
        Clock::Silent(of, span) => slot(*of).map(|m| (m, length(span))),
        Clock::Missing(of, ns) => slot(*of).map(|m| (m, *ns)),
        Clock::Held(..) => None,
    });
    let clocks = clocks.map(|(m, span)| (m, span.saturating_add(PAST)));
    clocks.chain(windows(part, &|_| true)).collect()
}

/// What those windows of a condition need that are wanted.
pub(super) fn windows(part: &Part, wanted: &dyn Fn(&WindowSpec) -> bool) -> Vec<(Metric, i64)> {
    let program = &part.program;
    let all = program.windows.iter().filter(|spec| wanted(spec));
    let spans = all.flat_map(|spec| {
        let ns = reach(spec.keeps, length(&spec.span));
        spec.slots.iter().map(move |m| (*m, ns))
    });
    let clocks = program.clocks.iter().flat_map(|clock| {
        let Clock::Held(index, limit) = clock else { return Vec::new() };
        let spec = program.windows.get(usize::from(*index)).filter(|spec| wanted(spec));
        spec.into_iter().flat_map(|spec| spec.slots.iter().map(|m| (*m, seconds(limit)))).collect()
    });
    // A little more than the limit, so that what is just beyond it is known to be.
    spans.chain(clocks).map(|(m, span)| (m, span.saturating_add(PAST))).collect()
}

fn length(span: &Span) -> i64 {
    if let Span::Fixed(ns) = span { *ns } else { DAY }
}

fn seconds(limit: &Option<Num>) -> i64 {
    match limit {
        Some(Num::Const(seconds)) => (seconds * 1e9) as i64,
        _ => PAST,
    }
}
