//! State machines per rule, bound instance and step: samples in, [`Event`]s out.
//!
//! An observation touches the series it names, the windows those feed and the machines that depend on them,
//! by number; nothing else is looked at. What can change by time alone (`for`, `keep`, staleness, `nodata`, a
//! window of a told signal) has a deadline in one ordered set; the owner asks [`Rules::poll_timeout`] and
//! calls [`Rules::handle_timeout`]. Deadlines that have passed are played at the time they were due, before
//! any later sample is looked at, so a late loop changes no verdict; what nobody could see, because the
//! machine was suspended, its owner excuses ([`Rules::excuse`]). Nothing here reads a clock or knows of
//! incidents.
//!
//! A machine judges at the stamp of the sample. A polled reference is unknown once it is older than `stale`,
//! a told one when "no value" is told; "no value" is unknown at once for both. A rule that names only told
//! signals and is new or changed is judged without waiting for the next word. An object that the plan
//! declares is bound before it is seen.

mod absence;
mod binding;
mod bound;
mod explain;
mod foresight;
mod index;
mod machine;
mod past;
mod raised;
mod saved;
mod series;
mod slab;
mod standing;
mod swap;
mod tally;
mod telling;
mod timing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::effect::StateChange;
use super::event::Event;
use super::moment::Moment;
use super::plan::{OnMissing, Plan};
use super::signal::{Instance, Kind, Metric, Observation, SIGNALS, Value};
use super::window::{Keeps, Window, silence};
use bound::{At, Bound, Pane, Part};
use index::Index;
use machine::{Step, Verdicts, Wants};
use saved::Saved;
use series::Series;
use slab::Slab;

pub use explain::{Clock as StepClock, Judgement, StepJudgement, Unbound};
pub use foresight::Stance;
pub use raised::{Latch, Trouble};
pub use saved::Raised;
pub use standing::{Health, Standing};
pub use swap::{Carried, Prepared};

/// Judges every rule on every instance it binds.
#[derive(Clone, Debug)]
pub struct Rules {
    plan: Arc<Plan>,
    index: Arc<Index>,
    subjects: Slab<Subject>,
    by_key: BTreeMap<String, u32>,
    /// The address of the instance last seen, which spares comparing keys; the subject holds it alive.
    by_address: BTreeMap<usize, u32>,
    series: Slab<Series>,
    panes: Slab<Pane>,
    machines: Slab<Machine>,
    timers: BTreeSet<(i64, Timer)>,
    /// Machines whose row differs from what was last drained.
    dirty: Vec<u32>,
    /// Keys of rows that are to be deleted.
    dropped: BTreeSet<String>,
    /// Restored machines whose instance has not been seen yet.
    saved: BTreeMap<String, Saved>,
    alive: saved::Alive,
    /// What was recorded before the start, until the instances have taken it up.
    past: Option<Box<past::Past>>,
    /// What was recorded and fills windows that begin with the swap under way.
    refill: Option<Box<past::Past>>,
    /// What became of machines and windows in the last swap.
    carried: Carried,
    /// Place of a metric among those of its class.
    ordinals: Vec<u16>,
    clock: Moment,
    /// Before this moment (steady time) polled signals raise nothing.
    settled: i64,
    /// Until when, and for how long before, nobody could look; see [`Rules::excuse`].
    unwatched: (i64, i64),
    mark: u64,
    refused: u64,
    touched_panes: Vec<u32>,
    touched_machines: Vec<u32>,
    /// Windows that count events.
    ears: Vec<u32>,
}

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// A machine wants to be judged.
    Machine(u32),
    /// A polled series that feeds windows may have fallen silent.
    Series(u32),
    /// Restored machines whose instance never came.
    Saved,
    /// While something is pending: note in the store that we live.
    Alive,
    /// Who has not taken up what was recorded of it will not come.
    Past,
}

/// An instance that was observed.
#[derive(Clone, Debug)]
struct Subject {
    instance: Arc<Instance>,
    /// Its series by the metric's place in the class.
    series: Vec<Option<u32>>,
    panes: BTreeMap<String, u32>,
    machines: Vec<u32>,
    /// It is declared, and nothing has been seen of it yet.
    is_awaited: bool,
}

/// A rule on an instance.
#[derive(Clone, Debug)]
struct Machine {
    bound: Arc<Bound>,
    subject: u32,
    slots: Box<[u32]>,
    panes: Box<[u32]>,
    steps: Box<[Step]>,
    /// Highest latched step and its severity as last told in an event.
    told: Option<(usize, super::record::Severity)>,
    /// When it stands in the timers; `i64::MAX` when it does not.
    due: i64,
    /// When something was known at a judgement, for rules that are judged only now and then.
    looked: i64,
    mark: u64,
    is_dirty: bool,
    is_stored: bool,
}

impl Rules {
    /// Machines for a plan; instances come with their first observation.
    pub fn new(plan: Arc<Plan>) -> Self {
        let index = Arc::new(Index::new(&plan));
        Self::blank(plan, index)
    }

    /// No instances yet.
    fn blank(plan: Arc<Plan>, index: Arc<Index>) -> Self {
        let ordinal = |i: usize| SIGNALS[..i].iter().filter(|s| s.class == SIGNALS[i].class).count() as u16;
        Self {
            index,
            subjects: Slab::new(),
            by_key: BTreeMap::new(),
            by_address: BTreeMap::new(),
            series: Slab::new(),
            panes: Slab::new(),
            machines: Slab::new(),
            timers: BTreeSet::new(),
            dirty: Vec::new(),
            dropped: BTreeSet::new(),
            saved: BTreeMap::new(),
            alive: saved::Alive::default(),
            past: None,
            refill: None,
            carried: Carried::default(),
            ordinals: (0..SIGNALS.len()).map(ordinal).collect(),
            clock: Moment::default(),
            settled: i64::MIN,
            unwatched: (i64::MIN, 0),
            mark: 0,
            refused: 0,
            touched_panes: Vec::new(),
            touched_machines: Vec::new(),
            ears: Vec::new(),
            plan,
        }
    }

    /// The plan in force.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Samples refused because they were older than the newest of their series or of another class than their
    /// instance.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Before this moment (steady time) polled signals raise nothing, because the host still starts or wakes
    /// up and what is missing may be on its way. What holds on until then is raised then; told signals do not
    /// wait.
    pub fn settle_until(&mut self, mono: i64) {
        self.settled = mono;
    }

    /// Takes in what a door saw.
    pub fn observe(&mut self, now: Moment, observation: &Observation, out: &mut Vec<Event>) {
        let t = if observation.at.mono <= now.mono { observation.at } else { now };
        self.advance(t, now, out);
        if observation.gone {
            return self.forget(&observation.instance, now, out);
        }
        if observation.samples.iter().any(|(_, value)| value.is_some()) {
            self.hear(observation.instance.class, t.mono);
        }
        let subject = self.subject_of(&observation.instance, t, now, out);
        self.mark += 1;
        for (metric, value) in &observation.samples {
            self.take(subject, *metric, value.as_ref(), t, observation.interval);
        }
        let panes = std::mem::take(&mut self.touched_panes);
        for id in &panes {
            self.feed(*id, t.mono, false);
        }
        let machines = std::mem::take(&mut self.touched_machines);
        for id in &machines {
            self.judge(*id, observation.interval, t, now, out);
        }
        // The lists keep their room for the next observation.
        (self.touched_panes, self.touched_machines) = (panes, machines);
        self.touched_panes.clear();
        self.touched_machines.clear();
    }

    /// Plays every deadline up to `now`.
    pub fn handle_timeout(&mut self, now: Moment, out: &mut Vec<Event>) {
        self.advance(now, now, out);
    }

    /// When [`Rules::handle_timeout`] is due, in steady time; `None` when nothing waits.
    pub fn poll_timeout(&self) -> Option<i64> {
        self.timers.first().map(|(due, _)| *due)
    }

    /// The signal of that instance; made when it is new.
    fn series_of(&mut self, subject: u32, metric: Metric, since: i64) -> Option<u32> {
        let place = usize::from(*self.ordinals.get(usize::from(metric.0))?);
        let owner = self.subjects.get_mut(subject)?;
        if owner.series.len() <= place {
            owner.series.resize(place + 1, None);
        }
        if let Some(id) = owner.series[place] {
            return Some(id);
        }
        let is_fixed = metric.spec().kind == Kind::Attribute;
        let instance = Arc::clone(&owner.instance);
        let recalled = self.recalled_series(&instance, place);
        let id = self.series.insert(recalled.unwrap_or_else(|| Series::new(since, is_fixed)));
        self.subjects.get_mut(subject)?.series[place] = Some(id);
        Some(id)
    }

    /// Notes one sample and what it touches.
    fn take(&mut self, subject: u32, metric: Metric, value: Option<&Value>, t: Moment, interval: i64) {
        let class = self.subjects.get(subject).map(|s| s.instance.class);
        if SIGNALS.get(usize::from(metric.0)).map(|s| s.class) != class {
            self.refused += 1;
            return;
        }
        let Some(id) = self.series_of(subject, metric, t.mono) else { return };
        let excused = self.excused_since(t.mono);
        let Some(series) = self.series.get_mut(id) else { return };
        if t.mono < series.newest {
            self.refused += 1;
            return;
        }
        let value = value.filter(|v| !matches!(v, Value::Num(n) if !n.is_finite()));
        series.hear(t.mono, value, interval);
        if value.is_some() || interval == 0 {
            series.excused = excused;
        }
        if !series.watched && interval > 0 && !series.panes.is_empty() {
            series.watched = true;
            let due = t.mono.saturating_add(silence(interval)).saturating_add(1);
            self.timers.insert((due, Timer::Series(id)));
        }
        for pane in &series.panes {
            if let Some(p) = self.panes.get_mut(*pane).filter(|p| p.mark != self.mark) {
                p.mark = self.mark;
                self.touched_panes.push(*pane);
            }
        }
        for machine in &series.machines {
            if let Some(m) = self.machines.get_mut(*machine).filter(|m| m.mark != self.mark) {
                m.mark = self.mark;
                self.touched_machines.push(*machine);
            }
        }
    }

    /// Gives a window its next sample. The first polled signal of its expression sets the pace, so that two
    /// signals read a moment apart do not count twice; an expression over told signals is sampled at every
    /// word, and when the window is new. An attribute that changes makes it new.
    fn feed(&mut self, id: u32, t: i64, is_new: bool) {
        use super::cond::program::{Input, Num, Truth};
        let Some(pane) = self.panes.get(id) else { return };
        let moving = || pane.slots.iter().filter_map(|s| self.series.get(*s)).filter(|s| !s.is_fixed);
        let polled = moving().find(|s| s.interval > 0);
        let interval = polled.map_or(0, |s| s.interval);
        let view = At {
            series: &self.series,
            panes: &self.panes,
            slots: &pane.slots,
            windows: &[],
            t,
            stale: 0,
            min_coverage: 0.0,
        };
        let span = pane.spec.span.ns(&view).unwrap_or(0);
        let is_other = span != pane.window.span();
        let is_word = match polled {
            Some(series) => series.newest == t,
            None => is_new || is_other || moving().any(|s| s.newest == t),
        };
        let value = match &pane.spec.input {
            Input::Events(_) => None,
            _ if !is_word || (span == 0 && pane.spec.keeps != Keeps::Held) => None,
            Input::Num(num) => Some(Num::eval(num, &view)),
            Input::Truth(truth) => {
                Some(Truth::eval(truth, &view).map_or(f64::NAN, |b| f64::from(u8::from(b))))
            }
            Input::Signal(slot) => Some(view.any(*slot)),
        };
        let Some(pane) = self.panes.get_mut(id) else { return };
        if is_other {
            pane.window = Window::new(pane.spec.keeps, span);
        }
        // A told value that comes late still holds from now on; only what it was before is not rewritten.
        let at = if interval == 0 { t.max(pane.window.stamp()) } else { t };
        match value {
            Some(value) if value.is_finite() => pane.window.push(at, value, interval),
            Some(_) => pane.window.stop(at),
            None => {}
        }
    }

    /// Judges one machine at `t`, tells what changed and sets its next deadline. `pace` is the interval of
    /// the sample that called for it, 0 for a told one or a timer.
    fn judge(&mut self, id: u32, pace: i64, t: Moment, now: Moment, out: &mut Vec<Event>) {
        let Some(machine) = self.machines.get(id) else { return };
        let (is_slow, may_miss) = (machine.bound.is_slow, machine.bound.may_miss);
        if is_slow && let Some(next) = self.next_look(id, t.mono) {
            // Another sample follows this one; without one it has to be woken.
            if pace == 0 {
                self.wake(id, next);
            }
            return;
        }
        let absent = if may_miss { self.absent(id, t.mono) } else { OnMissing::Hold };
        let Some(Machine { bound, steps, slots, panes, told, .. }) = self.machines.get_mut(id) else {
            return;
        };
        for (i, step) in steps.iter().enumerate() {
            let clear = step.latched.map(|_| bound.clear(i));
            for part in std::iter::once(bound.raise(i)).chain(clear) {
                for pane in part.own(slots, panes).1 {
                    if let Some(pane) = self.panes.get_mut(*pane) {
                        pane.window.advance(t.mono);
                    }
                }
            }
        }
        let (series, windows) = (&self.series, &self.panes);
        let settled = self.settled;
        let sight =
            Sight { bound, series, panes: windows, slots, windows: panes, t: t.mono, settled, absent };
        let outcome = machine::judge(steps, &bound.order, t, &sight);
        // A latch that stands may have another severity since the last reload.
        if outcome.changed || told.is_some() {
            let highest = machine::highest(steps, &bound.order);
            let tell = highest.map(|i| (i, bound.rule.steps[i].severity));
            let before = std::mem::replace(told, tell);
            if outcome.changed || before != tell {
                self.touch(id);
            }
            if before != tell {
                let event = self.transition(id, before, tell, outcome.since.unwrap_or(t), t, now);
                event.iter().for_each(|event| self.tally(event, t.mono));
                out.extend(event);
            }
        }
        if is_slow {
            self.note_look(id, t.mono);
        }
        self.schedule(id, pace, t.mono, now.mono);
    }

    /// Marks a machine's row as different from the stored one.
    fn touch(&mut self, id: u32) {
        if let Some(machine) = self.machines.get_mut(id).filter(|m| !m.is_dirty) {
            machine.is_dirty = true;
            self.dirty.push(id);
        }
    }

    /// Rows of machines whose latches, pending stamps or due times changed since the last call; never for a
    /// mere sample.
    pub fn changed_state(&mut self, out: &mut Vec<StateChange>) {
        self.drain_rows(out);
    }
}

/// One machine's conditions at one moment.
struct Sight<'a> {
    bound: &'a Bound,
    series: &'a Slab<Series>,
    panes: &'a Slab<Pane>,
    slots: &'a [u32],
    windows: &'a [u32],
    t: i64,
    settled: i64,
    /// What the rule makes of data that is missing, when some is.
    absent: OnMissing,
}

impl Sight<'_> {
    fn at(&self, part: &Part) -> At<'_> {
        let rule = &self.bound.rule;
        let (slots, windows) = part.own(self.slots, self.windows);
        let (series, panes, min_coverage) = (self.series, self.panes, rule.min_coverage);
        At { series, panes, slots, windows, t: self.t, stale: rule.stale, min_coverage }
    }
}

impl Verdicts for Sight<'_> {
    fn raise(&self, step: usize) -> Option<bool> {
        let part = self.bound.raise(step);
        self.at(part).verdict(&part.program).or(match self.absent {
            OnMissing::Hold => None,
            OnMissing::Raise => Some(true),
            OnMissing::Clear => Some(false),
        })
    }

    fn clear(&self, step: usize) -> Option<bool> {
        let part = self.bound.clear(step);
        self.at(part).verdict(&part.program).or(match self.absent {
            OnMissing::Hold => None,
            OnMissing::Raise => Some(false),
            OnMissing::Clear => Some(true),
        })
    }

    fn wants(&self, step: usize) -> Wants {
        let plan = &self.bound.rule.steps[step];
        let own = self.bound.rule.stale;
        let all = self.slots.iter().filter_map(|s| self.series.get(*s));
        let patience =
            if own > 0 { own } else { all.map(|s| silence(s.interval)).max().unwrap_or(silence(0)) };
        // One look at nothing does not end a hold.
        let patience = match self.bound.rule.every {
            0 => patience,
            every => patience.max(every.saturating_add(1)),
        };
        let (raised_by, _) = self.bound.raise(step).own(self.slots, self.windows);
        let is_polled =
            raised_by.iter().filter_map(|s| self.series.get(*s)).any(|s| s.interval > 0 && !s.is_fixed);
        let is_missed = self.bound.rule.silence.of.is_some() || self.absent == OnMissing::Raise;
        let not_before = if is_polled || is_missed { self.settled } else { i64::MIN };
        Wants { for_: plan.for_, keep: plan.keep, patience, not_before }
    }
}

#[cfg(test)]
mod tests;
