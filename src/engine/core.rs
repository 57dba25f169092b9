//! The engine: rule machines and the incident layer behind one door.
//!
//! Whatever comes in (observations, commands, a new plan, the passing of time), what comes out is appended to
//! a [`Step`]. The daemon commits that step as one transaction before anything of it takes effect.

use std::sync::Arc;

use super::effect::{Command, Step};
use super::event::Event;
use super::incident::Incidents;
use super::moment::Moment;
use super::plan::Plan;
use super::rules::Rules;
use super::signal::Observation;

/// The pure engine. See the module for its contract.
pub struct Engine {
    /// The rule machines, to be read for status.
    pub rules: Rules,
    /// Incidents and problems, to be read for status.
    pub incidents: Incidents,
    events: Vec<Event>,
}

impl Engine {
    /// An engine that knows nothing yet. `seed` starts the id generator of a fresh store; a restored one goes
    /// on with its own.
    pub fn new(plan: Arc<Plan>, seed: u64) -> Self {
        let rules = Rules::new(Arc::clone(&plan));
        Self { rules, incidents: Incidents::new(plan, seed), events: Vec::new() }
    }

    /// Takes up the saved rows `(kind, key, body)`. Returns a sentence for each row that could not be read.
    pub fn restore(&mut self, now: Moment, rows: Vec<(String, String, String)>) -> Vec<String> {
        let (machines, others): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(kind, ..)| kind == "machine");
        self.rules.restore(now, machines.into_iter().map(|(_, key, body)| (key, body)).collect());
        self.incidents.restore(now, others)
    }

    /// Judges what the doors saw.
    pub fn observe(&mut self, now: Moment, batch: &[Observation], out: &mut Step) {
        for observation in batch {
            self.rules.observe(now, observation, &mut self.events);
        }
        self.finish(now, out);
    }

    /// Carries out what a person or another part asks.
    ///
    /// # Errors
    /// A sentence saying why it is refused.
    pub fn command(&mut self, now: Moment, command: &Command, out: &mut Step) -> Result<(), String> {
        self.incidents.command(now, command, out)
    }

    /// Takes up a new plan; what has not changed keeps its state.
    pub fn reload(&mut self, now: Moment, plan: Arc<Plan>, out: &mut Step) {
        self.incidents.reload(Arc::clone(&plan));
        self.rules.reload(now, plan, &mut self.events);
        self.finish(now, out);
    }

    /// When the engine wants to be called again though nothing came in; steady nanoseconds.
    pub fn poll_timeout(&self) -> Option<i64> {
        [self.rules.poll_timeout(), self.incidents.poll_timeout()].into_iter().flatten().min()
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Moment, out: &mut Step) {
        self.rules.handle_timeout(now, &mut self.events);
        self.finish(now, out);
        for (incident, rule, instance) in self.incidents.aftermath_due(now) {
            let series = self.rules.series(&rule, &instance);
            self.incidents.aftermath(now, &incident, &series, out);
        }
        self.incidents.handle_timeout(now, out);
    }

    fn finish(&mut self, now: Moment, out: &mut Step) {
        for event in self.events.drain(..) {
            self.incidents.event(now, &event, out);
        }
        self.rules.changed_state(&mut out.state);
    }
}
