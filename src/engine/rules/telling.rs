//! From a change of latches to an event that a person can read: title, reason, numbers, plots.

use std::sync::Arc;

use crate::engine::cond::program::{Root, Truth, Words};
use crate::engine::cond::{Piece, human};
use crate::engine::event::{Event, EventKind};
use crate::engine::moment::Moment;
use crate::engine::record::{Series as Plot, Severity};
use crate::engine::signal::{Base, Metric, Type, Value};

use super::bound::{At, Part};
use super::{Machine, Rules, Sight};

/// A step and its severity.
type Told = Option<(usize, Severity)>;

impl Rules {
    /// The event for a change of the highest latched step.
    pub(super) fn transition(
        &self,
        id: u32,
        before: Told,
        after: Told,
        since: Moment,
        t: Moment,
        now: Moment,
    ) -> Option<Event> {
        let machine = self.machines.get(id)?;
        let (kind, (step, severity)) = match (before, after) {
            (None, Some(after)) => (EventKind::Raise, after),
            (Some(_), Some(after)) => (EventKind::Step, after),
            (Some(before), None) => (EventKind::Clear, before),
            (None, None) => return None,
        };
        let (bound, sight) = (&machine.bound, self.sight(machine, t.mono));
        let last = bound.rule.steps.len().checked_sub(1)?;
        let step = step.min(last);
        let over = |step: usize| {
            let part = bound.clear(step.min(last));
            part.program.why(&sight.at(part))
        };
        let raise = bound.raise(step);
        let is_breach = kind != EventKind::Clear && sight.at(raise).verdict(&raise.program) == Some(true);
        let why = match before {
            _ if is_breach => raise.program.why(&sight.at(raise)),
            Some((left, _)) => over(left),
            None => String::new(),
        };
        let why = if why.is_empty() { self.absence_in_words(machine, t.mono) } else { why };
        let (value, limit) = numbers(&sight, step);
        let series = self.plots(machine, step, now);
        let (rule, instance) =
            (Arc::clone(&bound.rule), Arc::clone(&self.subjects.get(machine.subject)?.instance));
        let title = self.title(machine, t.mono);
        Some(Event { kind, rule, instance, step, severity, since, at: now, value, limit, why, title, series })
    }

    /// The event that ends a machine whose rule or instance has gone, when it was raised.
    pub(super) fn retirement(&self, machine: &Machine, now: Moment, why: &str) -> Option<Event> {
        let (step, severity) = machine.told?;
        let instance = Arc::clone(&self.subjects.get(machine.subject)?.instance);
        let rule = Arc::clone(&machine.bound.rule);
        let step = step.min(rule.steps.len().saturating_sub(1));
        let (title, why) = (self.title(machine, now.mono), why.to_owned());
        let (value, limit, series) = (None, None, Vec::new());
        let (kind, since, at) = (EventKind::Retire, now, now);
        Some(Event { kind, rule, instance, step, severity, since, at, value, limit, why, title, series })
    }

    fn title(&self, machine: &Machine, t: i64) -> String {
        let Some(subject) = self.subjects.get(machine.subject) else { return String::new() };
        let rule = &machine.bound.rule;
        if rule.title.is_empty() {
            return format!("{} on {}", rule.id, subject.instance.name());
        }
        let sight = self.sight(machine, t);
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Label(name) => subject.instance.label(name).to_owned(),
            Piece::Signal(metric) => self.signal_in_words(machine, *metric, t),
            Piece::Let(index) => match machine.bound.parts.get(*index) {
                Some(part) => in_words(part, &sight.at(part)),
                None => String::new(),
            },
        };
        machine.bound.title.iter().map(piece).collect()
    }

    fn signal_in_words(&self, machine: &Machine, metric: Metric, t: i64) -> String {
        let series = self.known_series(machine.subject, metric).and_then(|s| self.series.get(s));
        match series.and_then(|s| s.fresh(t, machine.bound.rule.stale)) {
            Some(Value::Num(n)) => human(*n, metric.spec().ty),
            Some(Value::Bool(b)) => b.to_string(),
            Some(Value::Text(text)) => text.to_string(),
            None => "unknown".to_owned(),
        }
    }

    /// The last ten minutes of the signals that a step's raise condition names.
    fn plots(&self, machine: &Machine, step: usize, now: Moment) -> Vec<Plot> {
        let program = &machine.bound.raise(step).program;
        let metrics = program.metrics.iter();
        metrics.filter_map(|m| self.plot(machine, *m, program.limit_of(*m), now)).collect()
    }

    fn plot(&self, machine: &Machine, metric: Metric, limit: Option<f64>, now: Moment) -> Option<Plot> {
        let spec = metric.spec();
        if spec.ty == Type::of(Base::Text) {
            return None;
        }
        let series = self.series.get(self.known_series(machine.subject, metric)?)?;
        let held = if series.interval == 0 { series.value.as_ref() } else { None };
        let points = series.trail.as_ref()?.points(now, held);
        if points.is_empty() {
            return None;
        }
        Some(Plot { signal: spec.name.to_owned(), unit: spec.ty.to_string(), points, limit })
    }

    /// The last ten minutes of each signal that the raise conditions of a rule name, on one instance.
    pub fn series(&self, rule: &str, instance_key: &str) -> Vec<Plot> {
        let subject = self.by_key.get(instance_key).and_then(|id| self.subjects.get(*id));
        let machines = subject.iter().flat_map(|s| &s.machines).filter_map(|id| self.machines.get(*id));
        let Some(machine) = machines.into_iter().find(|m| m.bound.rule.id == rule) else { return Vec::new() };
        let shown =
            machine.told.map_or(0, |(step, _)| step).min(machine.bound.rule.steps.len().saturating_sub(1));
        let limit = |m: Metric| machine.bound.raise(shown).program.limit_of(m);
        let metrics = machine.bound.raised_by().into_iter();
        metrics.filter_map(|m| self.plot(machine, m, limit(m), self.clock)).collect()
    }
}

/// Value and limit of the first numeric comparison of a step, where they are finite.
pub(super) fn numbers(sight: &Sight<'_>, step: usize) -> (Option<f64>, Option<f64>) {
    let part = sight.bound.raise(step);
    let pair = part.program.value_and_limit(&sight.at(part));
    let finite = |n: f64| n.is_finite().then_some(n);
    (pair.and_then(|p| finite(p.0)), pair.and_then(|p| finite(p.1)))
}

/// The value of a title's `let`.
fn in_words(part: &Part, view: &At<'_>) -> String {
    let unknown = || "unknown".to_owned();
    match &part.program.root {
        Root::Num(_) => human(view.quantity(&part.program), part.program.ty),
        Root::Truth(truth) => Truth::eval(truth, view).map_or_else(unknown, |b| b.to_string()),
        Root::Words(words) => Words::eval(words, view).map_or_else(unknown, str::to_owned),
    }
}
