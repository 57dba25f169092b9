//! Problem candidates: the cause, unknown yet, behind incidents that repeat.
//!
//! Owns the recurrence counters of all fingerprints and the problems opened from them. In this version a
//! candidate is opened by recurrence on the fingerprint (step 5a). Invariants: at most one live problem per
//! key; a member is linked once; counters are bounded. Knows incidents only as records handed to it.

mod recurrence;
mod remote;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::desks::Desks;
use super::effect::Step;
use super::id::{self, Uuid};
use super::incident::{Id, Ledger, Revised, Timers, json, put};
use super::moment::{DAY, Moment, Stamp, human};
use super::plan::Plan;
use super::record::{Actor, Incident, Link, Member, Problem, ProblemState, Reason, TimelineEntry};
use recurrence::{OPENINGS_MAX, Raise, Recurrence};
use remote::MUTED;
pub(super) use remote::{Read, is_live};

/// Fingerprints whose openings are counted; beyond it the one that has been quiet for longest is forgotten.
const FINGERPRINTS_MAX: usize = 4_096;
/// Members a problem names; the newest.
const MEMBERS_MAX: usize = 64;
/// A candidate without an opening for this long, or for three mean gaps when those are longer, expires; a
/// resolved problem is closed, a closed one forgotten.
const QUIET_LEAST: i64 = 7 * DAY;
const QUIET_GAPS: i64 = 3;
/// Kind of the state rows of the counters; their key is the fingerprint.
pub(super) const RECURRENCE_ROW: &str = "recurrence";

/// An incident's raise, as the problem layer needs it.
pub(super) struct Opened<'a> {
    pub now: Moment,
    pub plan: &'a Plan,
    pub incident: &'a Incident,
    /// When this raise was decided, and when its condition was first true.
    pub raised: Stamp,
    pub breach: Stamp,
    /// The object in words: `/data of web-01`.
    pub object: String,
}

/// A live problem; one state row.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Live {
    record: Problem,
    /// Numbers of the members that were closed before the problem was opened: counted, never linked.
    unlinked: Vec<String>,
    /// What each destination showed last.
    #[serde(default, skip_serializing_if = "Desks::is_empty")]
    desks: Desks,
}

/// All problems and the counters behind them.
#[derive(Clone, Debug, Default)]
pub(super) struct Problems {
    live: BTreeMap<Id, Live>,
    counters: BTreeMap<String, Recurrence>,
    timers: Timers,
    revised: BTreeSet<Id>,
    /// Live problems whose row changed without a revision.
    kept: BTreeSet<Id>,
    /// Live problems that are to be forgotten.
    over: BTreeSet<Id>,
    counted: BTreeSet<String>,
}

impl Problems {
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.live.values().map(|live| &live.record)
    }

    /// Wall time at which a candidate may expire.
    pub fn first_due(&self) -> Option<i64> {
        self.timers.first()
    }

    /// The incident that opened last under this fingerprint, held or not.
    pub fn last_incident(&self, fingerprint: &str) -> Option<String> {
        let opening = self.counters.get(fingerprint)?.openings.last()?;
        Some(opening.incident.to_string())
    }

    /// Counts a raise. When it belongs to a problem, opened by it or before, returns that problem's id.
    pub fn raised(
        &mut self,
        opened: &Opened<'_>,
        ledger: &mut Ledger,
        held: &dyn Fn(&str) -> bool,
    ) -> Option<String> {
        let print = opened.incident.fingerprint.as_str();
        let key: Id = format!("fingerprint:{print}").into();
        let is_opening = self.count(opened, self.live.contains_key(&key));
        let ring = self.counters.get(print)?;
        let tests = ring.holds();
        if let Some(live) = self.live.get_mut(&key).filter(|live| !is_live(live.record.state)) {
            let dismissed = live.record.state == ProblemState::Dismissed;
            let worse = opened.incident.severity > live.record.severity;
            if !is_opening || (dismissed && !worse) {
                return None;
            }
            live.record.state = if dismissed { ProblemState::Candidate } else { ProblemState::Open };
            let (kind, said) = match dismissed {
                true => ("unmuted", "worse than when it was dismissed"),
                false => ("reopened", "it has come back"),
            };
            note(&mut live.record, opened.raised, Actor::Correlator, kind, said.to_owned());
        }
        match self.live.get_mut(&key) {
            Some(live) if is_opening || !joined(&live.record, &opened.incident.id) => {
                follow(live, opened, ring, is_opening);
            }
            Some(live) => return Some(live.record.id.clone()),
            None if is_opening && !tests.is_empty() => {
                let problem = open(&key, opened, ring, ledger, held);
                self.live.insert(key.clone(), problem);
            }
            None => return None,
        }
        self.revised.insert(key.clone());
        self.live.get(&key).map(|live| live.record.id.clone())
    }

    /// The condition of this fingerprint ended at `at`.
    pub fn cleared(&mut self, fingerprint: &str, at: Stamp) {
        if let Some(ring) = self.counters.get_mut(fingerprint) {
            ring.clear(at);
            self.counted.insert(fingerprint.to_owned());
        }
    }

    /// Candidates that have been quiet for long enough expire, resolved problems are closed, and what was
    /// closed or dismissed is forgotten.
    pub fn handle_timeout(&mut self, now: Moment) {
        for key in self.timers.due(now.wall) {
            let Some(Live { record: problem, .. }) = self.live.get_mut(&key) else { continue };
            let quiet = human(now.wall - problem.last_at.0);
            let (state, kind, said) = match problem.state {
                ProblemState::Candidate => {
                    (ProblemState::Expired, "expired", format!("no opening for {quiet}"))
                }
                ProblemState::Resolved => {
                    (ProblemState::Closed, "closed", format!("no opening for {quiet} since it was resolved"))
                }
                _ => {
                    self.over.insert(key);
                    continue;
                }
            };
            problem.state = state;
            note(problem, now.stamp(), Actor::Timer, kind, said);
            self.revised.insert(key);
        }
    }

    /// Writes down what has changed since the last time.
    pub fn flush(&mut self, now: Moment, ledger: &mut Ledger, out: &mut Step) {
        for print in std::mem::take(&mut self.counted) {
            put(out, RECURRENCE_ROW, &print, self.counters.get(&print).map(json));
        }
        for key in std::mem::take(&mut self.revised) {
            let Some(live) = self.live.get_mut(&key) else { continue };
            ledger.revise(now, &mut live.record, out);
            if live.record.state == ProblemState::Expired {
                put(out, Problem::KIND, &key, None);
                self.live.remove(&key);
            } else {
                put(out, Problem::KIND, &key, Some(json(live)));
            }
            self.kept.remove(&key);
            self.timers.set(&key, self.expiry(&key));
        }
        for key in std::mem::take(&mut self.kept) {
            put(out, Problem::KIND, &key, self.live.get(&key).map(json));
        }
        for key in std::mem::take(&mut self.over) {
            put(out, Problem::KIND, &key, None);
            self.live.remove(&key);
            self.timers.set(&key, None);
        }
    }

    /// Takes back a row `problem` (key: the problem's key) and returns its sequence number and counter.
    pub fn restore_problem(&mut self, key: &str, body: &str) -> Result<(u64, u64), String> {
        let live: Live = serde_json::from_str(body).map_err(|e| e.to_string())?;
        let numbers = (live.record.seq, id::counter(&live.record.number).unwrap_or(0));
        self.live.insert(key.into(), live);
        Ok(numbers)
    }

    /// Takes back a row `recurrence`.
    pub fn restore_recurrence(&mut self, fingerprint: &str, body: &str) -> Result<(), String> {
        let ring: Recurrence = serde_json::from_str(body).map_err(|e| e.to_string())?;
        self.counters.insert(fingerprint.to_owned(), ring);
        Ok(())
    }

    /// Sets the timers anew, once all rows are back.
    pub fn rearm(&mut self) {
        let keys: Vec<Id> = self.live.keys().cloned().collect();
        for key in keys {
            self.timers.set(&key, self.expiry(&key));
        }
    }

    fn expiry(&self, key: &str) -> Option<i64> {
        let problem = self.live.get(key).map(|live| &live.record)?;
        let since = match problem.state {
            ProblemState::Candidate => problem.last_at,
            ProblemState::Resolved | ProblemState::Closed => problem.at,
            ProblemState::Dismissed => return Some(problem.at.plus(MUTED).0),
            _ => return None,
        };
        let ring = key.strip_prefix("fingerprint:").and_then(|print| self.counters.get(print));
        let gaps = ring.and_then(Recurrence::mean_gap).map_or(0, |gap| gap.saturating_mul(QUIET_GAPS));
        Some(since.plus(QUIET_LEAST.max(gaps)).0)
    }

    fn count(&mut self, opened: &Opened<'_>, serves: bool) -> bool {
        let incident = opened.incident;
        let Ok(id) = incident.id.parse::<Uuid>() else { return false };
        let print = &incident.fingerprint;
        if !self.counters.contains_key(print) && self.counters.len() >= FINGERPRINTS_MAX {
            let live = &self.live;
            let serves = |print: &str| live.contains_key(format!("fingerprint:{print}").as_str());
            self.counted.extend(recurrence::evict(&mut self.counters, serves));
        }
        let raise = Raise {
            raised: opened.raised,
            breach: opened.breach,
            incident: id,
            number: id::counter(&incident.number).unwrap_or(0),
            priority: incident.priority,
        };
        let ring = self.counters.entry(print.clone()).or_default();
        self.counted.insert(print.clone());
        ring.raise(raise, opened.plan.correlate.failure_gap, serves)
    }
}

/// The membership of an incident, as it is told to the desk.
pub(super) fn link(incident: &Incident, problem: &str, now: Moment) -> Link {
    Link {
        id: format!("{}-{problem}", incident.id),
        incident: incident.id.clone(),
        problem: problem.to_owned(),
        host: incident.host.clone(),
        at: now.stamp(),
    }
}

fn open(
    key: &str,
    opened: &Opened<'_>,
    ring: &Recurrence,
    ledger: &mut Ledger,
    held: &dyn Fn(&str) -> bool,
) -> Live {
    let incident = opened.incident;
    let (id, number) = ledger.problem(opened.now);
    let mut problem = Problem {
        id: id.to_string(),
        schema: "problem/1".to_owned(),
        number,
        host: incident.host.clone(),
        seq: 0,
        rev: 0,
        at: opened.now.stamp(),
        labels: incident.labels.clone(),
        key: key.to_owned(),
        kind: "recurrence".to_owned(),
        state: ProblemState::Candidate,
        title: String::new(),
        description: String::new(),
        ci: incident.ci.clone(),
        service: incident.service.clone(),
        category: incident.category.clone(),
        severity: incident.severity,
        impact: incident.impact,
        urgency: incident.urgency,
        priority: incident.priority,
        why: Vec::new(),
        members: Vec::new(),
        openings: 0,
        first_at: ring.openings.first().map_or(opened.raised, |o| o.raised),
        last_at: opened.raised,
        median_gap: None,
        mtbf: None,
        mttr: None,
        downtime: 0.0,
        pain: 0.0,
        timeline: Vec::new(),
    };
    for opening in &ring.openings {
        let number = id::incident_number(opening.number);
        join(&mut problem, &opening.incident.to_string(), &number, Some(opening.raised));
    }
    let gone = problem.members.iter().filter(|m| !held(&m.incident));
    let unlinked: Vec<String> = gone.map(|m| m.number.clone()).collect();
    tell(&mut problem, opened, ring, &unlinked);
    let why: Vec<_> = problem.why.iter().map(|w| w.text.as_str()).collect();
    let said = format!("candidate opened: {}", why.join("; "));
    note(&mut problem, opened.raised, Actor::Correlator, "opened", said);
    Live { record: problem, unlinked, desks: Desks::default() }
}

/// A later opening, or a new incident of the same failure.
fn follow(live: &mut Live, opened: &Opened<'_>, ring: &Recurrence, is_opening: bool) {
    let problem = &mut live.record;
    let incident = opened.incident;
    join(problem, &incident.id, &incident.number, is_opening.then_some(opened.raised));
    problem.severity = problem.severity.max(incident.severity);
    problem.impact = problem.impact.min(incident.impact);
    problem.urgency = problem.urgency.min(incident.urgency);
    let cell = (usize::from(problem.impact.clamp(1, 3) - 1), usize::from(problem.urgency.clamp(1, 3) - 1));
    problem.priority = problem.priority.min(opened.plan.matrix[cell.0][cell.1]);
    problem.labels.retain(|name, value| incident.labels.get(name) == Some(value));
    if !is_opening {
        let said = format!("{} belongs to the same failure", incident.number);
        note(problem, opened.raised, Actor::Correlator, "member", said);
        return;
    }
    problem.last_at = opened.raised;
    tell(problem, opened, ring, &live.unlinked);
    let said = format!("{} opening: {}", text::ordinal(ring.total()), incident.number);
    note(problem, opened.raised, Actor::Correlator, "opening", said);
}

/// Brings reasons, figures and texts up to date. A test that held once stays, with the numbers it had.
fn tell(problem: &mut Problem, opened: &Opened<'_>, ring: &Recurrence, unlinked: &[String]) {
    let now = opened.raised;
    let figures = ring.figures(now);
    let tests = ring.holds();
    for test in &tests {
        let reason = text::reason(*test, figures.median_gap);
        let same = |w: &&mut Reason| w.test == reason.test && w.window == reason.window;
        match problem.why.iter_mut().find(same) {
            Some(why) => *why = reason,
            None => problem.why.push(reason),
        }
    }
    problem.openings = ring.total();
    problem.median_gap = figures.median_gap;
    problem.mtbf = figures.mtbf;
    problem.mttr = figures.mttr;
    problem.downtime = figures.downtime;
    problem.pain = figures.pain;
    if !tests.is_empty() || problem.title.is_empty() {
        problem.title = text::title(opened.incident, &opened.object, &tests);
    }
    problem.description = text::description(problem, opened.incident, ring, &figures, unlinked, now);
}

fn joined(problem: &Problem, incident: &str) -> bool {
    problem.members.iter().any(|m| m.incident == incident)
}

fn join(problem: &mut Problem, incident: &str, number: &str, opening: Option<Stamp>) {
    if !joined(problem, incident) {
        let member = Member {
            incident: incident.to_owned(),
            number: number.to_owned(),
            role: "primary".to_owned(),
            openings: Vec::new(),
        };
        problem.members.push(member);
        let surplus = problem.members.len().saturating_sub(MEMBERS_MAX);
        problem.members.drain(..surplus);
    }
    if let (Some(member), Some(at)) = (problem.members.iter_mut().find(|m| m.incident == incident), opening) {
        member.openings.push(at);
        let surplus = member.openings.len().saturating_sub(OPENINGS_MAX);
        member.openings.drain(..surplus);
    }
}

fn note(problem: &mut Problem, at: Stamp, actor: Actor, kind: &str, note: String) {
    let kind = kind.to_owned();
    problem.timeline.push(TimelineEntry { at, rev: 0, actor, kind, from: None, to: None, note });
}
