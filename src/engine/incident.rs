//! The incident half of the engine: events of rule machines and commands of people in, a [`Step`] out.
//!
//! Owns every incident that is not closed, and through [`super::problem`] every problem candidate.
//! Must not know how a condition is judged, where a record goes, or what time it is. Invariants: at most one
//! open incident per fingerprint; one revision per record and step; `seq` gapless; whatever changed is in the
//! same step as the state row that says so. Clocks: SLA, closing and expiry run on wall time, flapping and
//! disputes on steady time. A wall deadline is turned into a steady one with the distance between the clocks
//! at the last call, and judged again by the wall when it is due.

mod evidence;
mod facts;
mod flapping;
mod gate;
mod held;
mod ledger;
mod lifecycle;
mod person;
mod priority;
mod quiet;
mod remote;
mod save;
mod sla;
#[cfg(test)]
mod tests;
mod timers;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::effect::{Command, EvidenceWanted, Step};
use super::event::{Event, EventKind};
use super::id;
use super::moment::Moment;
use super::plan::Plan;
use super::problem::{self, Opened, Problems};
use super::record::{Actor, Exhibit, Incident, Problem, Record, Series, State};
use super::signal::Class;
use facts::Sight;
use held::{Change, Held};
use person::Who;

pub use gate::Newest;

pub(super) use facts::{second, word};
pub(super) use ledger::{Ledger, Revised, json, put};
pub(super) use priority::reason;
pub(super) use timers::{Id, Timers};

/// Incidents held at once. Beyond it the one that has been resolved for longest is closed early; open ones
/// always stay: there are never more of them than rule instances.
const HELD_MAX: usize = 4_096;
/// Longest note of a person in bytes; a longer one is refused.
const NOTE_MAX: usize = 4 * 1024;
/// Longest name of a person in bytes; the rest is cut off.
const BY_MAX: usize = 100;

/// All incidents and problems of this host.
#[derive(Clone, Debug)]
pub struct Incidents {
    plan: Arc<Plan>,
    ledger: Ledger,
    held: BTreeMap<Id, Held>,
    /// The newest incident of each condition, by its fingerprint on this host as it is called now. Records
    /// keep the fingerprint they were made with.
    newest: BTreeMap<String, Id>,
    problems: Problems,
    wall: Timers,
    mono: Timers,
    /// Steady time minus wall time at the last call.
    shift: i64,
    changed: BTreeMap<Id, Change>,
    linked: Vec<(Id, String)>,
}

impl Incidents {
    /// No incidents yet; `seed` feeds the ids until a restored state takes over.
    pub fn new(plan: Arc<Plan>, seed: u64) -> Self {
        Self {
            plan,
            ledger: Ledger::new(seed),
            held: BTreeMap::new(),
            newest: BTreeMap::new(),
            problems: Problems::default(),
            wall: Timers::default(),
            mono: Timers::default(),
            shift: 0,
            changed: BTreeMap::new(),
            linked: Vec::new(),
        }
    }

    /// Goes by another plan from now on. Records change only with their next event.
    pub fn reload(&mut self, plan: Arc<Plan>) {
        let is_same = plan.host.host.id == self.plan.host.host.id;
        self.plan = plan;
        if !is_same {
            self.index_anew();
        }
        self.rearm();
    }

    /// Takes an event of a rule machine.
    pub fn event(&mut self, now: Moment, event: &Event, out: &mut Step) {
        self.shift = now.mono - now.wall;
        let plan = Arc::clone(&self.plan);
        let sight = Sight::new(&plan, now, event);
        let print = id::fingerprint(&event.rule.id, &plan.host.host.id, &event.instance);
        let known = self.newest.get(&print).cloned().filter(|id| self.held.contains_key(id));
        match (event.kind, known) {
            (EventKind::Raise, known) => self.raise(&sight, &print, known, out),
            (EventKind::Step, Some(id)) if self.follows(&id) => self.apply(&id, |held| held.step(&sight)),
            // A step without an incident: its raise was lost; the condition must not be.
            (EventKind::Step, known) => self.raise(&sight, &print, known, out),
            (EventKind::Clear, Some(id)) => self.apply(&id, |held| held.clear(&sight)),
            (EventKind::Retire, Some(id)) => self.apply(&id, |held| held.retire(&sight)),
            (EventKind::Clear | EventKind::Retire, None) => {}
        }
        if matches!(event.kind, EventKind::Clear | EventKind::Retire) {
            self.problems.cleared(&print, sight.since);
        }
        self.observe(&sight, &print, out);
        self.flush(now, out);
    }

    /// Does what a person or another part asks for.
    ///
    /// # Errors
    /// A sentence that says why not: no such incident, not in this state, too long.
    pub fn command(&mut self, now: Moment, command: &Command, out: &mut Step) -> Result<(), String> {
        self.shift = now.mono - now.wall;
        let (incident, by) = match command {
            Command::Remote { destination, remote } => return self.remote(now, destination, remote, out),
            Command::Gone { destination, record, rev } => {
                self.gone(now, destination, record, *rev, out);
                return Ok(());
            }
            Command::Acknowledge { incident, by }
            | Command::Resolve { incident, by, .. }
            | Command::Note { incident, by, .. }
            | Command::Start { incident, by }
            | Command::Hold { incident, by, .. }
            | Command::Cancel { incident, by, .. }
            | Command::Reopen { incident, by, .. }
            | Command::Assign { incident, by, .. } => (incident, by.as_str()),
            Command::Evidence { incident, .. } => (incident, ""),
        };
        let id =
            self.find(incident).ok_or_else(|| format!("no incident {incident} here: unknown or closed"))?;
        let who = Who { actor: Actor::Operator, name: name(by), place: "" };
        let (plan, rival) = (Arc::clone(&self.plan), self.rival(&id));
        let Some(held) = self.held.get_mut(&id) else { return Err(format!("no incident {incident} here")) };
        let change = match command {
            Command::Acknowledge { .. } => held.acknowledge(now, &who)?,
            Command::Start { .. } => held.start(now, &who)?,
            Command::Hold { reason, .. } => held.hold(now, &who, short(reason)?)?,
            Command::Resolve { note, .. } => held.resolve_by(now, &who, short(note)?)?,
            Command::Cancel { note, .. } => held.cancel(now, &who, short(note)?)?,
            Command::Reopen { note, .. } => match rival {
                Some(rival) => return Err(format!("{rival} is open for the same condition")),
                None => held.reopen_by(&plan, now, &who, short(note)?)?,
            },
            Command::Assign { to, .. } => held.assign(now, &who, name(to))?,
            Command::Note { text, .. } => write_note(held, now, who.name, short(text)?)?,
            Command::Evidence { exhibits, .. } if exhibits.is_empty() => return Ok(()),
            Command::Evidence { exhibits, .. } => add_evidence(held, now, exhibits),
            Command::Remote { .. } | Command::Gone { .. } => return Ok(()),
        };
        self.mark(&id, change);
        self.flush(now, out);
        Ok(())
    }

    /// Does what is due: SLA warnings and breaches, ends of flapping, disputes, closings, expiries.
    pub fn handle_timeout(&mut self, now: Moment, out: &mut Step) {
        self.shift = now.mono - now.wall;
        let plan = Arc::clone(&self.plan);
        let mut due = self.mono.due(now.mono);
        due.extend(self.wall.due(now.wall));
        for id in due {
            self.turn(&id, &plan, now, out);
        }
        self.problems.handle_timeout(now);
        self.flush(now, out);
    }

    /// Incidents whose series after the breach are due, as (id, rule, instance key).
    pub fn aftermath_due(&self, now: Moment) -> Vec<(String, String, String)> {
        let due = |held: &&Held| held.side.aftermath_due.is_some_and(|at| at <= now.mono);
        let ids = self.mono.due(now.mono);
        let held = ids.iter().filter_map(|id| self.held.get(id)).filter(due);
        held.map(|h| (h.record.id.clone(), h.record.rule.id.clone(), h.record.instance.clone())).collect()
    }

    /// Adds the series after the breach to an incident's evidence; with none, only the waiting ends.
    pub fn aftermath(&mut self, now: Moment, incident: &str, series: &[Series], out: &mut Step) {
        self.shift = now.mono - now.wall;
        let change = if series.is_empty() { Change::Row } else { Change::Revision };
        self.apply(&Id::from(incident), |held| {
            held.aftermath(series);
            change
        });
        self.flush(now, out);
    }

    /// Follows the wall clock between events: when it steps forward, due times come nearer.
    pub fn keep_time(&mut self, now: Moment) {
        self.shift = now.mono - now.wall;
    }

    /// When [`Incidents::handle_timeout`] wants to be called, in steady nanoseconds; may lie in the past.
    pub fn poll_timeout(&self) -> Option<i64> {
        let wall = self.wall.first().into_iter().chain(self.problems.first_due());
        let steady = wall.map(|at| at.saturating_add(self.shift));
        steady.chain(self.mono.first()).min()
    }

    /// Every incident that is not closed, by id.
    pub fn incidents(&self) -> impl Iterator<Item = &Incident> {
        self.held.values().map(|held| &held.record)
    }

    /// Every live problem, by key.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.problems.iter()
    }

    /// Everything that is open, as it would be forwarded: incidents, problems and their links.
    pub fn open_records(&self, now: Moment) -> Vec<Record> {
        let open = self.held.values().filter(|held| held.record.state.is_open());
        let problems = self.problems.iter().filter(|p| problem::is_live(p.state));
        let mut records: Vec<Record> = problems.map(|p| Record::Problem(Box::new(p.clone()))).collect();
        for held in open {
            let problem = held.record.links.problem.as_ref();
            records.extend(problem.map(|p| Record::Link(problem::link(&held.record, p, now))));
            records.push(Record::Incident(Box::new(held.record.clone())));
        }
        records
    }

    /// The incident of that id or number, while it is held.
    pub fn incident(&self, id_or_number: &str) -> Option<&Incident> {
        let id = self.find(id_or_number)?;
        self.held.get(&id).map(|held| &held.record)
    }

    /// Writes a journal entry that is about no record: a start, a configuration taken or refused.
    pub fn journal(&mut self, now: Moment, kind: &'static str, subject: &str, body: String, out: &mut Step) {
        self.shift = now.mono - now.wall;
        self.ledger.enter(now, kind, subject, body, out);
    }

    fn find(&self, id_or_number: &str) -> Option<Id> {
        let text = id_or_number.trim();
        let by_number = |held: &&Held| held.record.number.eq_ignore_ascii_case(text);
        match self.held.get_key_value(text) {
            Some((id, _)) => Some(Arc::clone(id)),
            None => self.held.values().find(by_number).map(|held| held.record.id.as_str().into()),
        }
    }

    /// Another incident of the same fingerprint that is open, by number.
    fn rival(&self, id: &str) -> Option<String> {
        let print = self.print_of(&self.held.get(id)?.record);
        let newest = self.newest.get(&print).filter(|newest| ***newest != *id)?;
        let rival = self.held.get(newest).filter(|held| held.record.state.is_open())?;
        Some(rival.record.number.clone())
    }

    /// A step belongs to an incident whose condition is known to be true.
    fn follows(&self, id: &str) -> bool {
        self.held.get(id).is_some_and(|held| held.side.raised)
    }

    fn raise(&mut self, sight: &Sight<'_>, print: &str, known: Option<Id>, out: &mut Step) {
        let id = match known.and_then(|id| Some((self.held.get_mut(&id)?, Arc::clone(&id)))) {
            Some((held, id)) if held.record.state.is_open() => {
                let change = held.raise_again(sight);
                self.mark(&id, change);
                id
            }
            Some((held, id)) if held.side.raised => {
                // The machine has begun anew under a disputed resolve, of which the timer decides, or under a
                // cancellation, which stands while the condition does.
                held.step(sight);
                self.mark(&id, Change::Row);
                id
            }
            Some((held, id)) if can_reopen(held, sight) => {
                let change = held.reopen(sight);
                want(out, &held.record);
                self.mark(&id, change);
                id
            }
            Some((held, id)) => {
                let (flap, previous) = (held.side.flap.clone(), Some(id.to_string()));
                self.create(sight, print, previous, flap, out)
            }
            None => {
                let previous = self.problems.last_incident(print);
                self.create(sight, print, previous, Default::default(), out)
            }
        };
        self.correlate(&id, sight);
    }

    fn create(
        &mut self,
        sight: &Sight<'_>,
        print: &str,
        previous: Option<String>,
        flap: flapping::Flap,
        out: &mut Step,
    ) -> Id {
        self.make_room(sight.now);
        let names = self.ledger.incident(sight.now);
        let mut held = Held::new(sight, names, previous, flap);
        let change = held.open(sight);
        let id: Id = held.record.id.as_str().into();
        want(out, &held.record);
        self.newest.insert(print.to_owned(), Arc::clone(&id));
        self.held.insert(Arc::clone(&id), held);
        self.mark(&id, change);
        id
    }

    fn make_room(&mut self, now: Moment) {
        if self.held.len() < HELD_MAX {
            return;
        }
        let resolved =
            self.held.iter().filter(|(_, h)| h.record.state == State::Resolved && !h.record.disputed);
        let oldest = resolved.min_by_key(|(_, h)| h.record.resolved_at).map(|(id, _)| Arc::clone(id));
        if let Some((id, held)) = oldest.and_then(|id| self.held.get_mut(&id).map(|held| (id, held))) {
            held.close(now, Actor::Timer, "closed early: too many incidents are held");
            self.mark(&id, Change::Revision);
        }
    }

    /// Lets the problem layer count a raise, and links every held member of the problem it belongs to.
    fn correlate(&mut self, id: &Id, sight: &Sight<'_>) {
        let Some(held) = self.held.get(id) else { return };
        let opened = Opened {
            now: sight.now,
            plan: sight.plan,
            incident: &held.record,
            raised: sight.at,
            breach: sight.since,
            object: sight.object(),
        };
        let all = &self.held;
        let Some(problem) = self.problems.raised(&opened, &mut self.ledger, &|id| all.contains_key(id))
        else {
            return;
        };
        let Some(record) = self.problems.iter().find(|p| p.id == problem) else { return };
        let number = record.number.clone();
        let members: Vec<Id> = record.members.iter().map(|m| m.incident.as_str().into()).collect();
        for id in members {
            let Some(held) = self.held.get_mut(&id) else { continue };
            if held.record.links.problem.as_ref() == Some(&problem) {
                continue;
            }
            held.record.links.problem = Some(problem.clone());
            held.note(sight.at, Actor::Correlator, "problem", format!("member of problem {number}"));
            self.mark(&id, Change::Revision);
            self.linked.push((id, problem.clone()));
        }
    }

    fn turn(&mut self, id: &Id, plan: &Plan, now: Moment, out: &mut Step) {
        let Some(held) = self.held.get_mut(id) else { return };
        let half_life = plan.correlate.flap_half_life;
        let mut revised = false;
        if held.record.flapping && held.side.flap.ends(half_life) <= now.mono {
            held.steady(plan, now);
            revised = true;
        }
        if held.side.dispute_due.is_some_and(|due| due <= now.mono) {
            held.overrule(plan, now);
            want(out, &held.record);
            revised = true;
        }
        if held.record.state.is_open() {
            for said in sla::tick(&mut held.record.sla, now.stamp()) {
                held.note(now.stamp(), Actor::Timer, "sla", said);
                revised = true;
            }
        } else if held.wall_due().is_some_and(|due| due <= now.wall) {
            if held.record.state == State::Cancelled {
                put(out, Incident::KIND, id, None);
                self.forget(id);
                return;
            }
            held.close(now, Actor::Timer, "quiet since it was resolved");
            revised = true;
        }
        let explains = held.side.symptoms.tell_at.take_if(|due| *due <= now.mono).is_some();
        if explains && held.record.state.is_open() && held.tell_symptoms(now.stamp()) {
            revised = true;
        }
        // Whoever has the series gives them before this ([`Incidents::aftermath`]); nobody did.
        let waited = held.side.aftermath_due.take_if(|due| *due <= now.mono).is_some();
        match (revised, waited || explains) {
            (true, _) => self.mark(id, Change::Revision),
            (false, true) => self.mark(id, Change::Row),
            (false, false) => {}
        }
    }

    fn apply(&mut self, id: &Id, change: impl FnOnce(&mut Held) -> Change) {
        if let Some(held) = self.held.get_mut(id) {
            let change = change(held);
            self.mark(id, change);
        }
    }

    fn mark(&mut self, id: &Id, change: Change) {
        let marked = self.changed.entry(Arc::clone(id)).or_insert(change);
        *marked = change.max(*marked);
    }

    /// An event that makes no revision is in the journal all the same.
    fn observe(&mut self, sight: &Sight<'_>, print: &str, out: &mut Step) {
        let revised = self.changed.values().any(|change| *change == Change::Revision);
        if revised {
            return;
        }
        let event = sight.event;
        let held = self.newest.get(print).and_then(|id| self.held.get(id));
        let body = serde_json::json!({
            "event": format!("{:?}", event.kind).to_lowercase(),
            "rule": event.rule.id,
            "instance": event.instance.key(),
            "at": sight.at,
            "since": sight.since,
            "why": sight.why(),
            "incident": held.map(|h| h.record.number.as_str()),
            "suppressed_by": held.map(|h| if h.record.flapping { "flapping" } else { "duplicate" }),
        });
        self.ledger.enter(sight.now, "event", print, body.to_string(), out);
    }
}

fn can_reopen(held: &Held, sight: &Sight<'_>) -> bool {
    let quiet = held.record.resolved_at.map(|at| sight.at.0 - at.0);
    held.record.state == State::Resolved && quiet.is_some_and(|quiet| quiet <= sight.event.rule.reopen)
}

/// Asks for text evidence, once per incident and step.
fn want(out: &mut Step, record: &Incident) {
    if out.evidence_wanted.iter().any(|wanted| wanted.incident == record.id) {
        return;
    }
    let class = record.instance.split('{').next().and_then(Class::parse).unwrap_or(Class::Host);
    let first = class.spec().identity.first();
    let name = first.and_then(|label| record.labels.get(*label)).map_or(class.name(), String::as_str);
    out.evidence_wanted.push(EvidenceWanted {
        incident: record.id.clone(),
        category: record.category.clone(),
        class: class.name(),
        name: name.to_owned(),
    });
}

fn name(by: &str) -> &str {
    evidence::cut(by.trim(), BY_MAX)
}

fn short(note: &str) -> Result<&str, String> {
    if note.len() > NOTE_MAX {
        return Err(format!("the note has {} bytes; at most {NOTE_MAX} are taken", note.len()));
    }
    Ok(note.trim())
}

fn write_note(held: &mut Held, now: Moment, by: &str, text: &str) -> Result<Change, String> {
    if text.is_empty() {
        return Err("the note is empty".to_owned());
    }
    held.note(now.stamp(), Actor::Operator, "note", format!("{by}: {text}"));
    Ok(Change::Revision)
}

fn add_evidence(held: &mut Held, now: Moment, exhibits: &[Exhibit]) -> Change {
    evidence::exhibit(&mut held.record.evidence, exhibits);
    let titles: Vec<_> = exhibits.iter().map(|e| evidence::cut(&e.title, BY_MAX)).collect();
    held.note(now.stamp(), Actor::Rule, "evidence", format!("taken: {}", titles.join(", ")));
    Change::Revision
}
