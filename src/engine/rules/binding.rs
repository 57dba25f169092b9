//! Binding: which rules an instance gets, the series and windows they need, and what happens to all of it
//! when the plan, the instance's labels or the instance itself goes.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::cond::program::{Input, WindowSpec};
use crate::engine::event::Event;
use crate::engine::moment::Moment;
use crate::engine::plan::Plan;
use crate::engine::signal::{Class, Instance, Metric};
use crate::engine::window::Window;

use super::bound::{Bound, Pane};
use super::swap::says_the_same;
use super::{Machine, Rules, Subject, Timer, machine};

impl Rules {
    /// The number of an instance; a new one, or one whose labels changed, is bound to its rules.
    pub(super) fn subject_of(
        &mut self,
        instance: &Arc<Instance>,
        t: Moment,
        now: Moment,
        out: &mut Vec<Event>,
    ) -> u32 {
        let address = Arc::as_ptr(instance) as usize;
        if let Some(id) = self.by_address.get(&address) {
            let id = *id;
            self.seen(id);
            return id;
        }
        let known = self.by_key.get(instance.key()).copied();
        if let Some(id) = known
            && let Some(subject) = self.subjects.get_mut(id)
        {
            let old = std::mem::replace(&mut subject.instance, Arc::clone(instance));
            self.by_address.remove(&(Arc::as_ptr(&old) as usize));
            self.by_address.insert(address, id);
            self.seen(id);
            if old.labels != instance.labels {
                let old = self.unbind(id);
                let left = self.rebind(id, old, now);
                self.retire_all(left, now, "the rule no longer binds this instance", out);
            }
            return id;
        }
        let id = self.add_subject(instance);
        self.rebind(id, Vec::new(), t);
        id
    }

    fn seen(&mut self, subject: u32) {
        if let Some(subject) = self.subjects.get_mut(subject) {
            subject.is_awaited = false;
        }
    }

    pub(super) fn add_subject(&mut self, instance: &Arc<Instance>) -> u32 {
        let (series, panes, machines) = (Vec::new(), BTreeMap::new(), Vec::new());
        let (instance, is_awaited) = (Arc::clone(instance), false);
        let subject = Subject { instance, series, panes, machines, is_awaited };
        let (key, address) = (subject.instance.key().to_owned(), Arc::as_ptr(&subject.instance) as usize);
        let id = self.subjects.insert(subject);
        self.by_key.insert(key, id);
        self.by_address.insert(address, id);
        id
    }

    /// The host itself, which every rule may name.
    fn host(&mut self, t: Moment) -> u32 {
        match self.by_key.get(Class::Host.name()) {
            Some(id) => *id,
            None => {
                let id = self.add_subject(&Instance::of(Class::Host, &[]));
                self.rebind(id, Vec::new(), t);
                id
            }
        }
    }

    /// Takes an instance's machines away; their windows stay until [`Rules::release`].
    pub(super) fn unbind(&mut self, subject: u32) -> Vec<Machine> {
        let ids = self.subjects.get_mut(subject).map(|s| std::mem::take(&mut s.machines)).unwrap_or_default();
        let mut machines = Vec::new();
        for id in ids {
            let Some(mut machine) = self.machines.remove(id) else { continue };
            self.timers.remove(&(machine.due, Timer::Machine(id)));
            machine.due = i64::MAX;
            for metric in machine.bound.metrics() {
                if let Some(series) = self.known_series(subject, metric).and_then(|s| self.series.get_mut(s))
                {
                    series.machines.retain(|m| *m != id);
                }
            }
            if machine.is_dirty {
                self.dirty.retain(|d| *d != id);
            }
            machines.push(machine);
        }
        machines
    }

    /// Gives an instance the machines of the plan in force, each going on where `old` or the restored one of
    /// its rule stood. Returns the old ones that have no rule any more.
    pub(super) fn rebind(&mut self, subject: u32, old: Vec<Machine>, t: Moment) -> Vec<Machine> {
        let Some(instance) = self.subjects.get(subject).map(|s| Arc::clone(&s.instance)) else { return old };
        let mut old: BTreeMap<String, Machine> =
            old.into_iter().map(|m| (m.bound.rule.id.clone(), m)).collect();
        let plan = Arc::clone(&self.plan);
        let mut used = Vec::new();
        for bound in self.index.of(&instance) {
            let Some(rule) = plan.effective(&bound.rule, &instance) else { continue };
            let is_plain = Arc::ptr_eq(&rule, &bound.rule);
            let bound = if is_plain { bound } else { Arc::new(Bound::new(rule)) };
            let before = old.remove(&bound.rule.id);
            let carried = &mut self.carried;
            match &before {
                None => carried.begun += 1,
                Some(before) if says_the_same(&before.bound.rule, &bound.rule) => carried.kept += 1,
                Some(_) => carried.judged_anew += 1,
            }
            self.add_machine(subject, bound, before.as_ref(), t);
            used.extend(before);
        }
        for machine in &used {
            self.release(machine);
        }
        old.into_values().collect()
    }

    fn add_machine(&mut self, subject: u32, bound: Arc<Bound>, before: Option<&Machine>, t: Moment) {
        let (mut slots, mut panes) = (Vec::new(), Vec::new());
        for part in &bound.parts {
            for metric in &part.program.slots {
                slots.extend(self.bind_series(subject, *metric, t));
            }
            for spec in &part.program.windows {
                panes.extend(self.bind_pane(subject, spec, t));
            }
        }
        let order = &bound.order;
        let mut steps: Box<[_]> = order.iter().map(|_| machine::Step::default()).collect();
        let (mut told, mut is_stored, mut is_dirty) = (None, false, false);
        if let Some(before) = before {
            let is_same = before.bound.rule.steps.len() == order.len() && before.bound.order == *order;
            steps = if is_same { before.steps.clone() } else { machine::carry_over(&before.steps, order) };
            (told, is_stored, is_dirty) = (before.told, before.is_stored, before.is_dirty || !is_same);
        } else if let Some(saved) = self.take_saved(&bound.rule.id, subject) {
            steps = machine::carry_over(&saved.steps, order);
            (told, is_stored) = (saved.told, true);
        }
        let has_hold = steps.iter().any(|s| s.hold.is_some());
        let same = before.filter(|b| says_the_same(&b.bound.rule, &bound.rule));
        let (is_new, looked) = (same.is_none(), same.map_or(i64::MIN, |b| b.looked));
        let told_only = |s: &u32| self.series.get(*s).is_some_and(|s| s.interval == 0 && s.at.is_some());
        let wants_judgement =
            has_hold || bound.may_miss || bound.is_timed || (is_new && slots.iter().any(told_only));
        let (metrics, raised_by) = (bound.metrics(), bound.raised_by());
        let (slots, panes, due) = (slots.into(), panes.into(), i64::MAX);
        let mark = 0;
        let machine = Machine {
            bound,
            subject,
            slots,
            panes,
            steps,
            told,
            due,
            looked,
            mark,
            is_dirty: false,
            is_stored,
        };
        let id = self.machines.insert(machine);
        if let Some(subject) = self.subjects.get_mut(subject) {
            subject.machines.push(id);
        }
        for metric in metrics {
            let series = self.bind_series(subject, metric, t);
            if let Some(series) = series.and_then(|s| self.series.get_mut(s)) {
                series.machines.push(id);
            }
        }
        for metric in raised_by {
            let Some(id) = self.bind_series(subject, metric, t) else { continue };
            if self.series.get(id).is_some_and(|series| series.trail.is_none()) {
                let trail = self.recalled_trail(subject, metric).unwrap_or_default();
                if let Some(series) = self.series.get_mut(id) {
                    series.trail = Some(trail);
                }
            }
        }
        if is_dirty {
            self.touch(id);
        }
        if wants_judgement {
            self.wake(id, t.mono);
        }
    }

    /// Whose signal a metric is for an instance: its own, or the host's.
    fn owner_of(&mut self, subject: u32, metric: Metric, t: Moment) -> u32 {
        let class = self.subjects.get(subject).map(|s| s.instance.class);
        if Some(metric.spec().class) == class { subject } else { self.host(t) }
    }

    fn bind_series(&mut self, subject: u32, metric: Metric, t: Moment) -> Option<u32> {
        let owner = self.owner_of(subject, metric, t);
        self.series_of(owner, metric, t.mono)
    }

    /// The series of a metric for an instance, when there is one.
    pub(super) fn known_series(&self, subject: u32, metric: Metric) -> Option<u32> {
        let own = self.subjects.get(subject)?;
        let owner = if metric.spec().class == own.instance.class {
            own
        } else {
            self.subjects.get(*self.by_key.get(Class::Host.name())?)?
        };
        *owner.series.get(usize::from(self.ordinals[usize::from(metric.0)]))?
    }

    /// The window that a condition on an instance would use is there.
    pub(super) fn has_pane(&self, subject: u32, spec: &WindowSpec) -> bool {
        let Some(own) = self.subjects.get(subject) else { return false };
        let is_own = is_own(spec, own.instance.class);
        let host = || self.subjects.get(*self.by_key.get(Class::Host.name())?);
        let owner = if is_own { Some(own) } else { host() };
        owner.is_some_and(|owner| owner.panes.contains_key(&spec.key))
    }

    /// The last minutes of a signal are kept for plots.
    pub(super) fn has_trail(&self, subject: u32, metric: Metric) -> bool {
        let series = self.known_series(subject, metric).and_then(|s| self.series.get(s));
        series.is_some_and(|series| series.trail.is_some())
    }

    /// The window of an instance; made when it is new, shared by all conditions that ask for the same.
    fn bind_pane(&mut self, subject: u32, spec: &Arc<WindowSpec>, t: Moment) -> Option<u32> {
        let class = self.subjects.get(subject)?.instance.class;
        let is_event = matches!(spec.input, Input::Events(_));
        let owner = if is_own(spec, class) { subject } else { self.host(t) };
        if let Some(id) = self.subjects.get(owner)?.panes.get(&spec.key).copied() {
            self.panes.get_mut(id)?.users += 1;
            return Some(id);
        }
        let slots: Box<[u32]> =
            spec.slots.iter().filter_map(|metric| self.bind_series(owner, *metric, t)).collect();
        let instance = self.subjects.get(owner).map(|s| Arc::clone(&s.instance))?;
        let recalled = self.recalled_window(&instance, &spec.key).filter(|window| !window.is_blank());
        let is_new = recalled.is_none();
        self.carried.windows_begun += 1;
        self.carried.windows_filled += usize::from(!is_new);
        let window = recalled.unwrap_or_else(|| Window::new(spec.keeps, 0));
        let (feeds, spec) = (slots.clone(), Arc::clone(spec));
        let key = spec.key.clone();
        let id = self.panes.insert(Pane { window, spec, slots, subject: owner, users: 1, mark: 0 });
        for series in feeds {
            if let Some(series) = self.series.get_mut(series) {
                series.panes.push(id);
            }
        }
        self.subjects.get_mut(owner)?.panes.insert(key, id);
        // What is known already is the first sample: a told value may never be told again.
        if is_new {
            self.feed(id, t.mono, true);
        }
        if is_event {
            self.ears.push(id);
        }
        Some(id)
    }

    /// Lets go of a machine's windows; one that nobody uses any more goes.
    fn release(&mut self, machine: &Machine) {
        for id in &machine.panes {
            let Some(pane) = self.panes.get_mut(*id) else { continue };
            pane.users = pane.users.saturating_sub(1);
            if pane.users > 0 {
                continue;
            }
            let Some(pane) = self.panes.remove(*id) else { continue };
            self.ears.retain(|ear| ear != id);
            for series in &pane.slots {
                if let Some(series) = self.series.get_mut(*series) {
                    series.panes.retain(|p| p != id);
                }
            }
            if let Some(subject) = self.subjects.get_mut(pane.subject) {
                subject.panes.remove(&pane.spec.key);
            }
        }
    }

    /// Ends machines that have no rule or instance any more.
    pub(super) fn retire_all(
        &mut self,
        machines: Vec<Machine>,
        now: Moment,
        why: &str,
        out: &mut Vec<Event>,
    ) {
        for machine in machines {
            let event = self.retirement(&machine, now, why);
            event.iter().for_each(|event| self.tally(event, now.mono));
            out.extend(event);
            if machine.is_stored {
                let key = machine.bound.rule.id.as_str();
                let instance = self.subjects.get(machine.subject).map(|s| s.instance.key().to_owned());
                self.dropped.insert(format!("{key}|{}", instance.unwrap_or_default()));
            }
            self.release(&machine);
        }
    }

    /// The instance has gone.
    pub(super) fn forget(&mut self, instance: &Arc<Instance>, now: Moment, out: &mut Vec<Event>) {
        self.forget_saved(instance, now, out);
        let Some(id) = self.by_key.get(instance.key()).copied() else { return };
        let machines = self.unbind(id);
        self.retire_all(machines, now, "the instance has gone", out);
        // The host is named by rules on everything else and never goes.
        if instance.class == Class::Host {
            self.rebind(id, Vec::new(), now);
            return;
        }
        self.by_key.remove(instance.key());
        if let Some(subject) = self.subjects.remove(id) {
            self.by_address.remove(&(Arc::as_ptr(&subject.instance) as usize));
            for series in subject.series.into_iter().flatten() {
                if self.series.remove(series).is_some_and(|s| s.watched) {
                    self.timers.retain(|(_, timer)| *timer != Timer::Series(series));
                }
            }
        }
        self.await_again(instance.key(), now);
    }

    /// The plan's own rule of that id.
    pub(super) fn rule(plan: &Plan, id: &str) -> Option<Arc<crate::engine::plan::Rule>> {
        Self::planned(plan, id).cloned()
    }
}

/// A window belongs to the instance, and not to the host as a whole.
fn is_own(spec: &WindowSpec, class: Class) -> bool {
    matches!(spec.input, Input::Events(_)) || spec.slots.iter().any(|m| m.spec().class == class)
}
