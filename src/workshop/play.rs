//! Plays series through the real engine as fast as it goes: samples at their times, deadlines at theirs.
//!
//! What comes out is what the daemon would have done: the transitions of every rule instance and the last
//! revision of every incident. It must not know where the series come from. Invariant: time never goes back;
//! every deadline is played before whatever comes after it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::source::{Restart, Source};
use crate::engine::core::Engine;
use crate::engine::effect::{StateChange, Step};
use crate::engine::event::{Event, EventKind};
use crate::engine::moment::{Moment, Stamp};
use crate::engine::plan::Plan;
use crate::engine::record::{Incident, Priority, Record, Severity};
use crate::engine::rules::Standing;
use crate::engine::signal::{Class, Observation};

/// Seed of the ids: the same series give the same records.
const SEED: u64 = 7;

/// Whether a rule instance is raised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Not raised.
    #[default]
    Ok,
    /// The highest step that is raised.
    Raised(Severity),
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Level::Ok => "ok",
            Level::Raised(Severity::Info) => "info",
            Level::Raised(Severity::Warning) => "warning",
            Level::Raised(Severity::Critical) => "critical",
        })
    }
}

/// A change of one rule instance.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Transition {
    /// When it was decided.
    pub at: Stamp,
    /// Rule id.
    pub rule: String,
    /// Instance key, `fs{mount=/data}`.
    pub instance: String,
    /// Before.
    pub from: Level,
    /// After.
    pub to: Level,
    /// Priority of its incident then, while it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// The numbers in a sentence.
    pub why: String,
}

/// What became of series that were played.
#[derive(Clone, Debug, Default)]
pub struct Played {
    /// In the order of time.
    pub transitions: Vec<Transition>,
    /// The last revision of each incident, in the order of their first raise.
    pub incidents: Vec<Incident>,
    /// Samples that were played.
    pub samples: u64,
    /// Samples that the engine refused, because they were older than the newest of their series.
    pub refused: u64,
    /// Time of the first sample, in ns since 1970; 0 when there was none.
    pub from: i64,
    /// Time of the end.
    pub to: i64,
}

/// The engine with what is kept of its doings.
pub struct Player {
    engine: Engine,
    step: Step,
    now: i64,
    played: Played,
    levels: BTreeMap<(String, String), Level>,
    places: BTreeMap<String, usize>,
    /// Something has been judged.
    is_begun: bool,
    /// Only windows have been filled so far.
    has_recalled: bool,
    /// What a store would hold, by kind and key.
    rows: BTreeMap<(String, String), String>,
    /// Time of the newest observation.
    newest: i64,
    /// The host is seen for others only, and counted where its own rules are judged.
    is_host_lent: bool,
    /// What was refused of it.
    lent_refused: u64,
}

impl Player {
    /// An engine that has seen nothing yet.
    pub fn new(plan: Arc<Plan>) -> Self {
        let mut engine = Engine::new(plan, SEED);
        engine.listen();
        Self {
            engine,
            step: Step::default(),
            now: i64::MIN,
            played: Played::default(),
            levels: BTreeMap::new(),
            places: BTreeMap::new(),
            is_begun: false,
            has_recalled: false,
            rows: BTreeMap::new(),
            newest: i64::MIN,
            is_host_lent: false,
            lent_refused: 0,
        }
    }

    /// The host is seen for the sake of others: its samples are counted elsewhere.
    pub fn lend_host(&mut self) {
        self.is_host_lent = true;
    }

    /// Fills windows with what was seen before anything is judged.
    pub fn recall(&mut self, seen: &Observation) {
        self.engine.recall(seen);
        self.has_recalled = true;
    }

    /// The daemon is started at `at`: what is declared is waited for from then on. Without a call it is
    /// started with the first observation.
    pub fn begin(&mut self, at: i64) {
        if self.is_begun {
            return;
        }
        self.is_begun = true;
        self.now = at;
        self.played.from = at;
        self.engine.restore(Moment::at(at), Vec::new(), 0);
        if self.has_recalled {
            self.engine.recalled(Moment::at(at));
        }
    }

    /// The daemon begins anew, with its saved state and its history; nobody looked since the last
    /// observation.
    pub fn restart(&mut self, restart: &Restart) {
        if self.is_begun {
            // What was due before the end happened, though nothing of these series was seen then.
            if let Some(ended) = restart.ended.filter(|ended| *ended > self.newest) {
                self.advance(ended);
                self.newest = ended;
            }
            self.played.refused += self.engine.rules.refused();
            self.now = self.now.max(restart.at);
            let saved = self.rows.iter().map(|((kind, key), body)| (kind.clone(), key.clone(), body.clone()));
            let rows = saved.collect();
            self.engine.restart(Moment::at(self.now), rows, self.newest);
        }
        if let Some(settled) = restart.settled {
            self.engine.rules.settle_until(settled);
        }
    }

    /// Shows it what was seen, after every deadline up to then.
    pub fn feed(&mut self, seen: &Observation) {
        self.begin(seen.at.mono);
        self.advance(seen.at.mono);
        self.newest = self.newest.max(seen.at.mono);
        let before = self.engine.rules.refused();
        self.engine.observe(Moment::at(self.now), std::slice::from_ref(seen), &mut self.step);
        if self.is_host_lent && seen.instance.class == Class::Host {
            self.lent_refused += self.engine.rules.refused().saturating_sub(before);
        } else {
            self.played.samples += seen.samples.len() as u64;
        }
        self.collect();
    }

    /// Shows it all that a source has: what lies before its time of judgement only fills windows, and where
    /// the daemon began anew, so does the engine. It is started at `begins`, or with the first observation if
    /// that is earlier. Tells every so often how many samples there were.
    ///
    /// # Errors
    /// What the source cannot read.
    pub fn take(
        &mut self,
        source: &mut dyn Source,
        begins: i64,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), String> {
        /// Progress is told every so many observations.
        const OFTEN: u64 = 1 << 14;
        let (mut count, from) = (0_u64, source.judged_from());
        loop {
            if let Some(restart) = source.restart()? {
                self.restart(&restart);
            }
            let Some(seen) = source.next()? else { break };
            if seen.at.mono < from {
                self.recall(seen);
                continue;
            }
            self.begin(begins.min(seen.at.mono));
            self.feed(seen);
            count += 1;
            if count.is_multiple_of(OFTEN) {
                progress(self.played.samples);
            }
        }
        progress(self.played.samples);
        self.begin(begins);
        Ok(())
    }

    /// Plays every deadline up to `to`, each when it is due.
    pub fn advance(&mut self, to: i64) {
        while let Some(due) = self.engine.poll_timeout().filter(|due| *due <= to) {
            self.now = self.now.max(due);
            self.engine.handle_timeout(Moment::at(self.now), &mut self.step);
            self.collect();
            if self.engine.poll_timeout() == Some(due) {
                // It asks again for the same moment: it wants to see later ones.
                break;
            }
        }
        self.now = self.now.max(to);
    }

    /// How every rule stands on every instance at `at`, which is not before what was played.
    pub fn look(&mut self, at: i64) -> Vec<Standing> {
        self.advance(at);
        self.engine.handle_timeout(Moment::at(self.now), &mut self.step);
        self.collect();
        self.engine.rules.standing()
    }

    /// The incident of a rule on an instance that is open now.
    pub fn open(&self, rule: &str, instance: &str) -> Option<&Incident> {
        let mut all = self.engine.incidents.incidents();
        all.find(|i| i.state.is_open() && i.rule.id == rule && i.instance == instance)
    }

    /// The engine as it stands, to be asked.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What has been played so far.
    pub fn played(&self) -> &Played {
        &self.played
    }

    /// Ends it at `to`.
    pub fn finish(mut self, to: i64) -> Played {
        self.advance(to);
        self.played.to = self.now;
        self.played.refused += self.engine.rules.refused();
        self.played.refused -= self.lent_refused;
        self.played
    }

    /// Takes over what the last call made; nothing of it is stored or sent.
    fn collect(&mut self) {
        if !self.step.is_empty() {
            let Step { state, records, .. } = std::mem::take(&mut self.step);
            for record in records {
                if let Record::Incident(incident) = record {
                    keep(&mut self.played.incidents, &mut self.places, *incident);
                }
            }
            for StateChange { kind, key, body } in state {
                let row = (kind.to_owned(), key);
                match body {
                    Some(body) => self.rows.insert(row, body),
                    None => self.rows.remove(&row),
                };
            }
        }
        for event in self.engine.heard() {
            self.note(&event);
        }
    }

    fn note(&mut self, event: &Event) {
        let to = match event.kind {
            EventKind::Raise | EventKind::Step => Level::Raised(event.severity),
            EventKind::Clear | EventKind::Retire => Level::Ok,
        };
        let (rule, instance) = (event.rule.id.clone(), event.instance.key().to_owned());
        let priority = self.open(&rule, &instance).map(|i| i.priority);
        let level = self.levels.entry((rule.clone(), instance.clone())).or_default();
        let from = std::mem::replace(level, to);
        let (at, why) = (event.at.stamp(), event.why.clone());
        self.played.transitions.push(Transition { at, rule, instance, from, to, priority, why });
    }
}

fn keep(incidents: &mut Vec<Incident>, places: &mut BTreeMap<String, usize>, incident: Incident) {
    match places.get(&incident.id).and_then(|at| incidents.get_mut(*at)) {
        Some(kept) => *kept = incident,
        None => {
            places.insert(incident.id.clone(), incidents.len());
            incidents.push(incident);
        }
    }
}

/// Plays a source to its end with an engine that has seen nothing yet, or on to `ends` when the source is
/// only a part of what was seen until then; so with `begins`, in ns since 1970.
///
/// # Errors
/// What the source cannot read.
pub fn play(
    mut player: Player,
    source: &mut dyn Source,
    (begins, ends): (i64, i64),
    progress: &mut dyn FnMut(u64),
) -> Result<Played, String> {
    player.take(source, begins, progress)?;
    let end = ends.max(player.now);
    Ok(player.finish(end))
}
