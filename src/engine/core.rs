//! The engine: rule machines and the incident layer behind one door.
//!
//! Whatever comes in (observations, commands, a new plan, the passing of time), what comes out is appended to
//! a [`Step`]. The daemon commits that step as one transaction before anything of it takes effect.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::effect::{Command, DestinationStatus, Maintenance, Step};
use super::event::Event;
use super::incident::Incidents;
use super::moment::Moment;
use super::option::DestinationPlan;
use super::plan::Plan;
use super::route::Routes;
use super::rules::{Carried, Prepared, Rules};
use super::signal::{Metric, Observation};
use super::suppress::Suppression;

/// The pure engine. See the module for its contract. A copy shares nothing with the original.
#[derive(Clone, Debug)]
pub struct Engine {
    /// The rule machines, to be read for status.
    pub rules: Rules,
    /// Incidents and problems, to be read for status.
    pub incidents: Incidents,
    /// Where records go, as far as it depends on what happens.
    pub routes: Routes,
    /// Raises that are kept from becoming incidents, to be read for status.
    pub suppression: Suppression,
    events: Vec<Event>,
    /// Copies of the events, for whoever listens.
    heard: Option<Vec<Event>>,
}

impl Engine {
    /// An engine that knows nothing yet. `seed` starts the id generator of a fresh store; a restored one goes
    /// on with its own.
    pub fn new(plan: Arc<Plan>, seed: u64) -> Self {
        let rules = Rules::new(Arc::clone(&plan));
        let suppression = Suppression::new(Arc::clone(&plan));
        let (incidents, routes) = (Incidents::new(plan, seed), Routes::default());
        Self { rules, incidents, routes, suppression, events: Vec::new(), heard: None }
    }

    /// Keeps a copy of every event of the rule machines from now on; see [`Engine::heard`].
    pub fn listen(&mut self) {
        self.heard.get_or_insert_default();
    }

    /// The events since the last call, when somebody listens: what the rules said, whatever became of it.
    pub fn heard(&mut self) -> Vec<Event> {
        self.heard.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Takes up the saved rows `(kind, key, body)` and goes on after `seq`, the last number in the journal.
    /// Returns a sentence for each row that could not be read. An incident whose rule machine was not saved,
    /// or not so that this version can read it, gets a stand-in: something must see its end.
    pub fn restore(&mut self, now: Moment, rows: Vec<(String, String, String)>, seq: u64) -> Vec<String> {
        let (machines, others): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(kind, ..)| kind == "machine");
        self.rules.restore(now, machines.into_iter().map(|(_, key, body)| (key, body)).collect());
        others.iter().for_each(|(kind, key, body)| self.routes.restore(kind, key, body));
        let mut bad = self.suppression.restore(now, &others);
        bad.extend(self.incidents.restore(now, others));
        self.incidents.resume_journal(seq);
        for (rule, instance) in self.rules.saved_raised() {
            if !self.incidents.follows_raise(&rule, &instance) {
                self.suppression.keep_lost(now, rule, instance);
            }
        }
        for raised in self.incidents.raised(now) {
            self.rules.stand_in(now, raised);
        }
        self.rules.await_declared(now, &mut self.events);
        bad
    }

    /// Which recorded signals would fill the windows of the plan, and how far back, ns.
    pub fn wants_past(&self) -> BTreeMap<Metric, i64> {
        self.rules.wants_past()
    }

    /// Takes in what was recorded before the start, in order of time and before the first observation.
    /// Nothing is judged by it: it fills windows.
    pub fn recall(&mut self, observation: &Observation) {
        self.rules.recall(observation);
    }

    /// All that was recorded has been given.
    pub fn recalled(&mut self, now: Moment) {
        self.rules.recalled(now);
    }

    /// Begins anew, as a daemon that is started again after nobody looked since `newest` (steady ns): with
    /// its saved rows and with everything seen until then recorded. Returns what [`Engine::restore`] does.
    pub fn restart(&mut self, now: Moment, rows: Vec<(String, String, String)>, newest: i64) -> Vec<String> {
        let mut fresh = Self::new(Arc::clone(self.rules.plan()), 0);
        let before = std::mem::replace(&mut self.rules, fresh.rules);
        fresh.rules = Rules::after(before, newest);
        fresh.heard = self.heard.take();
        *self = fresh;
        let bad = self.restore(now, rows, 0);
        self.recalled(now);
        bad
    }

    /// Judges what the doors saw.
    pub fn observe(&mut self, now: Moment, batch: &[Observation], out: &mut Step) {
        for observation in batch {
            self.rules.observe(now, observation, &mut self.events);
        }
        self.incidents.keep_time(now);
        self.suppression.keep_time(now);
        self.finish(now, out);
    }

    /// Carries out what a person or another part asks.
    ///
    /// # Errors
    /// A sentence saying why it is refused.
    pub fn command(&mut self, now: Moment, command: &Command, out: &mut Step) -> Result<(), String> {
        let done = self.incidents.command(now, command, out);
        self.look_again(now, out);
        done
    }

    /// Opens a maintenance window from the shell; returns what to say of it.
    ///
    /// # Errors
    /// A sentence saying why it is refused.
    pub fn start_maintenance(
        &mut self,
        now: Moment,
        ask: &Maintenance,
        out: &mut Step,
    ) -> Result<String, String> {
        let said = self.suppression.start(now, ask, out)?;
        self.look_again(now, out);
        Ok(said)
    }

    /// Ends a maintenance window early; returns what to say of it.
    ///
    /// # Errors
    /// A sentence saying why it is refused.
    pub fn end_maintenance(&mut self, now: Moment, id: &str, out: &mut Step) -> Result<String, String> {
        let said = self.suppression.end(now, id, out)?;
        self.look_again(now, out);
        Ok(said)
    }

    /// Follows the state of the destinations: whether one has to step in for another.
    pub fn destinations(
        &mut self,
        now: Moment,
        statuses: &[DestinationStatus],
        destinations: &[DestinationPlan],
        out: &mut Step,
    ) {
        self.routes.observe(now.stamp(), statuses, destinations, || self.incidents.open_records(now), out);
    }

    /// Takes up a new plan; what has not changed keeps its state.
    pub fn reload(&mut self, now: Moment, plan: Arc<Plan>, out: &mut Step) {
        self.swap(now, Prepared::new(plan), out);
    }

    /// As [`Engine::reload`], with a plan that was made ready before.
    pub fn swap(&mut self, now: Moment, prepared: Prepared, out: &mut Step) -> Carried {
        self.incidents.reload(Arc::clone(prepared.plan()));
        self.suppression.reload(Arc::clone(prepared.plan()));
        let carried = self.rules.reload(now, prepared, &mut self.events);
        self.finish(now, out);
        carried
    }

    /// Judges every rule on every instance now, as its next sample would.
    pub(super) fn judge_all(&mut self, now: Moment, out: &mut Step) {
        self.rules.judge_all(now, &mut self.events);
        self.finish(now, out);
    }

    /// When the engine wants to be called again though nothing came in; steady nanoseconds.
    pub fn poll_timeout(&self) -> Option<i64> {
        let all = [self.rules.poll_timeout(), self.incidents.poll_timeout(), self.suppression.poll_timeout()];
        all.into_iter().flatten().min()
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Moment, out: &mut Step) {
        self.rules.handle_timeout(now, &mut self.events);
        self.finish(now, out);
        for (incident, rule, instance) in self.incidents.aftermath_due(now) {
            let series = self.rules.series(&rule, &instance);
            self.incidents.aftermath(now, &incident, &series, out);
        }
        let told = out.journal.len();
        self.incidents.handle_timeout(now, out);
        if out.journal.len() > told {
            self.look_again(now, out);
        }
    }

    /// What incidents have become by other means than an event may free a raise that was kept.
    fn look_again(&mut self, now: Moment, out: &mut Step) {
        self.suppression.look_again(now, &self.rules, &mut self.incidents, out);
    }

    fn finish(&mut self, now: Moment, out: &mut Step) {
        if let Some(heard) = &mut self.heard {
            heard.extend(self.events.iter().cloned());
        }
        let events = std::mem::take(&mut self.events);
        self.suppression.pass(now, events, &self.rules, &mut self.incidents, out);
        self.rules.changed_state(&mut out.state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::moment::{HOUR, MINUTE};
    use crate::engine::plan::{Correlate, Host, MATRIX, SLA};
    use crate::engine::record::{ClosureCode, HostRef};
    use crate::engine::signal::{Class, Instance, metric};

    fn plan() -> Arc<Plan> {
        let (id, name) = ("00c0ffee00c0ffee".to_owned(), "web-01".to_owned());
        let host = Host { host: HostRef { id, name }, labels: Default::default(), service: None, tier: None };
        let condition = |text| crate::engine::cond::compile(text, Class::Host, &[]).expect("a condition");
        let rule = crate::engine::plan::Rule {
            id: "busy".to_owned(),
            hash: String::new(),
            origin: String::new(),
            class: Class::Host,
            matches: Default::default(),
            title: String::new(),
            description: String::new(),
            runbook: None,
            nature: crate::engine::record::Nature::Fault,
            category: String::new(),
            outage: false,
            service: None,
            labels: Default::default(),
            reopen: HOUR,
            stale: 0,
            min_coverage: 0.5,
            steps: vec![crate::engine::plan::StepPlan {
                severity: crate::engine::record::Severity::Warning,
                impact: None,
                urgency: 3,
                raise: condition("cpu.busy > 90%"),
                clear: condition("cpu.busy < 80%"),
                for_: 0,
                keep: 0,
            }],
            lets: Vec::new(),
            silence: Default::default(),
            every: 0,
            cause_hint: None,
            action: None,
        };
        let (rules, overrides, services) = (vec![Arc::new(rule)], Vec::new(), Vec::new());
        let correlate = Correlate::default();
        Arc::new(Plan {
            host,
            rules,
            overrides,
            services,
            declared: Vec::new(),
            correlate,
            matrix: MATRIX,
            sla: SLA,
            suppress: Default::default(),
        })
    }

    /// Host seen so busy at that time.
    fn see(engine: &mut Engine, now: Moment, busy: f64) -> Step {
        let host = Instance::of(Class::Host, &[]);
        let seen = Observation::new(now, host, MINUTE).with(metric("cpu.busy"), busy);
        let mut step = Step::default();
        engine.observe(now, &[seen], &mut step);
        step
    }

    /// The rows that a step writes, without those of a kind.
    fn rows_without(step: Step, kind: &str) -> Vec<(String, String, String)> {
        let written = step.state.into_iter().filter(|row| row.kind != kind);
        written.filter_map(|row| Some((row.kind.to_owned(), row.key, row.body?))).collect()
    }

    #[test]
    fn an_incident_whose_machine_was_lost_still_ends() {
        let start = Moment::at(100 * HOUR);
        let raised = || see(&mut Engine::new(plan(), 7), start, 0.95);
        let later = start.plus(MINUTE);
        let restored = |plan: Arc<Plan>, rows| {
            let mut engine = Engine::new(plan, 7);
            assert_eq!(engine.restore(later, rows, 1), Vec::<String>::new());
            engine
        };
        let closure = |engine: &Engine| {
            let incident = engine.incidents.incidents().next().expect("one");
            incident.closure.as_ref().map(|closure| closure.code)
        };
        let unreadable = ("machine".to_owned(), "busy|host".to_owned(), "{\"v\":0}".to_owned());
        let lost = rows_without(raised(), "machine");
        for rows in [lost.clone(), [lost.clone(), vec![unreadable]].concat()] {
            let mut engine = restored(plan(), rows);
            assert!(see(&mut engine, later, 0.95).is_empty(), "raised as before: nothing to tell");
            let step = see(&mut engine, later.plus(MINUTE), 0.5);
            assert_eq!(closure(&engine), Some(ClosureCode::AutoCleared));
            let machine = step.state.iter().find(|row| row.kind == "machine" && row.key == "busy|host");
            assert_eq!(machine.map(|row| row.body.as_ref()), Some(None), "an unreadable row goes");
        }
        let without = Plan { rules: Vec::new(), ..Plan::clone(&plan()) };
        let mut engine = restored(Arc::new(without), lost);
        engine.handle_timeout(later, &mut Step::default());
        assert_eq!(closure(&engine), Some(ClosureCode::CiRetired), "its rule is gone as well");
    }

    #[test]
    fn a_host_that_is_called_otherwise_keeps_its_incidents() {
        let start = Moment::at(100 * HOUR);
        let renamed = || {
            let mut plan = Plan::clone(&plan());
            plan.host.host.id = "00decade00decade".to_owned();
            Arc::new(plan)
        };
        let mut living = Engine::new(plan(), 7);
        let raised = see(&mut living, start, 0.95);
        let mut restored = Engine::new(renamed(), 7);
        restored.restore(start, rows_without(raised, "none"), 1);
        let (later, mut step) = (start.plus(MINUTE), Step::default());
        living.reload(later, renamed(), &mut step);
        for mut engine in [living, restored] {
            let record = engine.incidents.incidents().next().expect("one").clone();
            assert!(see(&mut engine, later, 0.95).records.is_empty(), "raised as before: nothing to tell");
            see(&mut engine, later.plus(MINUTE), 0.5);
            see(&mut engine, later.plus(2 * MINUTE), 0.95);
            let all: Vec<_> = engine.incidents.incidents().collect();
            let [incident] = all.as_slice() else { panic!("{all:?}") };
            assert_eq!((incident.counters.reopens, &incident.id), (1, &record.id), "resolved and reopened");
            assert_eq!((&incident.alert_key, &incident.host.id), (&record.alert_key, &record.host.id));
        }
    }

    #[test]
    fn a_step_writes_a_record_once_also_when_what_it_held_was_taken_out() {
        let (start, mut engine, mut step) = (Moment::at(100 * HOUR), Engine::new(plan(), 7), Step::default());
        let mut see = |minute: i64, busy: f64, step: &mut Step| {
            let now = start.plus(minute * MINUTE);
            let seen = Observation::new(now, Instance::of(Class::Host, &[]), MINUTE);
            engine.observe(now, &[seen.with(metric("cpu.busy"), busy)], step);
        };
        see(0, 0.95, &mut step);
        see(1, 0.5, &mut step);
        assert_eq!((step.records.len(), step.journal.len()), (1, 1), "raised and resolved: one revision");
        assert!(step.journal[0].body.contains("auto_cleared"), "{}", step.journal[0].body);
        let rows = step.state.iter().filter(|row| row.kind == "incident").count();
        assert_eq!(rows, 1);
        (step.records, step.journal, step.state) = Default::default();
        see(2, 0.95, &mut step);
        assert_eq!((step.records.len(), step.journal.len()), (1, 1), "reopened");
        assert!(step.state.iter().any(|row| row.kind == "incident"));
    }

    #[test]
    fn the_journal_goes_on_though_the_books_are_lost() {
        let start = Moment::at(100 * HOUR);
        let rows = rows_without(see(&mut Engine::new(plan(), 7), start, 0.95), "engine");
        let mut engine = Engine::new(plan(), 7);
        engine.restore(start, rows, 41);
        let step = see(&mut engine, start.plus(MINUTE), 0.5);
        assert_eq!(step.journal.iter().map(|e| e.seq).collect::<Vec<_>>(), [42]);
    }

    #[test]
    fn a_wall_clock_that_steps_forward_brings_due_times_nearer_with_the_next_sample() {
        let mut engine = Engine::new(plan(), 7);
        let start = Moment::at(100 * HOUR);
        assert_eq!(see(&mut engine, start, 0.95).records.len(), 1);
        let later = start.plus(11 * MINUTE);
        engine.handle_timeout(later, &mut Step::default());
        // P5: a person should answer within 24 h, and 75 % of that is warned of.
        assert_eq!(engine.incidents.poll_timeout(), Some(start.mono + 18 * HOUR));
        let stepped = Moment { mono: later.mono + MINUTE, wall: later.wall + 20 * HOUR };
        see(&mut engine, stepped, 0.95);
        assert!(engine.poll_timeout().is_some_and(|due| due <= stepped.mono), "it is late already");
        let mut step = Step::default();
        engine.handle_timeout(stepped, &mut step);
        assert_eq!(step.records.len(), 1, "the warning");
    }
}
