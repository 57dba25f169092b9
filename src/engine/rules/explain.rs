//! Why a rule is or is not raised on an instance: its machine's state and clocks, and its conditions taken
//! apart.
//!
//! Nothing is changed: windows are copied and brought to the moment of the question, so that they say what
//! the next judgement would find. Verdicts are those of the evaluator; this file only puts them into words.

use std::sync::Arc;

use serde::Serialize;

use crate::engine::cond::{Heard, Node, Seen, Verdict, Witness};
use crate::engine::moment::{Moment, Stamp, human};
use crate::engine::plan::{Plan, Rule};
use crate::engine::record::Severity;
use crate::engine::signal::Instance;

use super::bound::{At, Pane, Part};
use super::machine::{Step, Verdicts, highest};
use super::series::Series;
use super::slab::Slab;
use super::standing::Standing;
use super::{Health, Machine, Rules, Sight};

/// Instances of its class that a rule does not bind, told by name.
const UNBOUND_MOST: usize = 50;

/// Why a rule is or is not raised on an instance.
#[derive(Clone, Debug, Serialize)]
pub struct Judgement {
    /// State, since when, value and limit.
    #[serde(flatten)]
    pub standing: Standing,
    /// Why it is in this state, in a sentence.
    pub verdict: String,
    /// What would have to happen for it to change.
    pub next: String,
    /// What missing data is made of now, when it decides something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
    /// Polled signals raise nothing before this moment, because the host still starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settles_at: Option<Stamp>,
    /// A rule that is judged only now and then: when it looks again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub looks_at: Option<Stamp>,
    /// Each step, in the order written.
    pub steps: Vec<StepJudgement>,
}

/// One step of a rule on an instance.
#[derive(Clone, Debug, Serialize)]
pub struct StepJudgement {
    /// Its severity.
    pub severity: Severity,
    /// Since when the condition was breached for which it is raised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latched_since: Option<Stamp>,
    /// How long `raise` must hold, seconds.
    #[serde(rename = "for")]
    pub for_: f64,
    /// How long `clear` must hold, seconds.
    pub keep: f64,
    /// The clock that runs, `for` or `keep`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<Clock>,
    /// Where it stands and what comes next, in a sentence.
    pub says: String,
    /// Its raise condition.
    pub raise: Node,
    /// Its clear condition.
    pub clear: Node,
}

/// A clock of a step that runs.
#[derive(Clone, Debug, Serialize)]
pub struct Clock {
    /// `for` or `keep`.
    pub of: &'static str,
    /// Since when the condition is true.
    pub since: Stamp,
    /// Seconds that count so far.
    pub held: f64,
    /// Seconds that are needed.
    pub needed: f64,
    /// When it is over if nothing changes; absent while it stands still.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due: Option<Stamp>,
    /// It stands still because nothing is known: since when, and when it is given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frozen: Option<(Stamp, Stamp)>,
}

/// An instance of a rule's class that it does not bind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unbound {
    /// Key of the instance.
    pub instance: String,
    /// Why.
    pub why: String,
}

/// The windows of a machine, copied and brought to one moment.
struct Still {
    panes: Slab<Pane>,
    windows: Box<[u32]>,
}

impl Rules {
    /// Why a rule is or is not raised on the instance of that key; `None` when it does not bind it.
    pub fn explain(&self, now: Moment, rule: &str, instance_key: &str) -> Option<Judgement> {
        let subject = self.subjects.get(*self.by_key.get(instance_key)?)?;
        let all = subject.machines.iter().filter_map(|id| self.machines.get(*id));
        let machine = all.into_iter().find(|machine| machine.bound.rule.id == rule)?;
        self.judgement(machine, now)
    }

    /// Instances of a rule's class that were seen and that it does not bind, with the reason; at most 50, and
    /// how many there are.
    pub fn unbound(&self, rule: &str) -> (Vec<Unbound>, usize) {
        let Some(planned) = Self::rule(&self.plan, rule) else { return (Vec::new(), 0) };
        let subjects = self.by_key.values().filter_map(|id| self.subjects.get(*id));
        let of_class = subjects.filter(|s| s.instance.class == planned.class);
        let all: Vec<Unbound> = of_class
            .filter_map(|s| {
                let why = self.plan.refusal(&planned, &s.instance)?;
                Some(Unbound { instance: s.instance.key().to_owned(), why })
            })
            .collect();
        let count = all.len();
        (all.into_iter().take(UNBOUND_MOST).collect(), count)
    }

    /// The rule of a plan that has that id.
    pub fn planned<'p>(plan: &'p Plan, id: &str) -> Option<&'p Arc<Rule>> {
        plan.rules.iter().find(|rule| rule.id == id)
    }

    /// Keys of the instances that a rule binds, in order.
    pub fn instances_of(&self, rule: &Rule) -> Vec<String> {
        let machines = self.machines_of(rule.class, &rule.id);
        let subjects = machines.filter_map(|machine| self.subjects.get(machine.subject));
        subjects.map(|subject| subject.instance.key().to_owned()).collect()
    }

    /// The instance of that key, when it has been seen or is awaited.
    pub fn instance(&self, key: &str) -> Option<Arc<Instance>> {
        self.by_key.get(key).and_then(|id| self.subjects.get(*id)).map(|s| Arc::clone(&s.instance))
    }

    /// A declared instance that nothing has been seen of.
    pub fn is_awaited(&self, instance_key: &str) -> bool {
        let subject = self.by_key.get(instance_key).and_then(|id| self.subjects.get(*id));
        subject.is_some_and(|subject| subject.is_awaited)
    }

    /// Instances on which a rule was raised or pending before a restart, and which have not been seen since.
    pub fn unseen(&self, rule: &str) -> Vec<String> {
        let of_rule = self.saved.values().filter(|saved| saved.rule() == rule);
        of_rule.map(|saved| saved.instance().key().to_owned()).collect()
    }

    fn still(&self, machine: &Machine, t: i64) -> Still {
        let mut panes = Slab::new();
        let copied = machine.panes.iter().filter_map(|id| self.panes.get(*id)).map(|pane| {
            let mut pane = pane.clone();
            pane.window.advance(t);
            panes.insert(pane)
        });
        let windows = copied.collect();
        Still { panes, windows }
    }

    fn judgement(&self, machine: &Machine, now: Moment) -> Option<Judgement> {
        let t = now.mono.max(self.clock.mono);
        let still = self.still(machine, t);
        let sight = Sight { panes: &still.panes, windows: &still.windows, ..self.sight(machine, t) };
        let standing = self.standing_of(machine, &sight)?;
        let bound = &machine.bound;
        let missing = Some(self.absence_in_words(machine, t)).filter(|said| !said.is_empty());
        let steps: Vec<_> =
            (0..bound.rule.steps.len()).map(|i| step(machine, i, &sight, now, missing.as_deref())).collect();
        let shown = shown(machine);
        let verdict = match standing.state {
            Health::Ok => self.why_ok(&steps, &bound.order),
            Health::Unknown => {
                let unknown = steps.iter().find_map(|s| s.raise.why.clone());
                format!("cannot be judged: {}", unknown.unwrap_or_else(|| "nothing is known".to_owned()))
            }
            Health::Pending | Health::Raised => steps.get(shown).map(|s| s.says.clone()).unwrap_or_default(),
        };
        let looks = machine.looked.saturating_add(bound.rule.every);
        let looks = (bound.is_slow && machine.looked > i64::MIN && looks > t).then_some(looks);
        Some(Judgement {
            next: next(standing.state, steps.get(shown), bound.rule.steps.len()),
            standing,
            verdict,
            missing,
            settles_at: (self.settled > t).then(|| now.stamp_of(self.settled)),
            looks_at: looks.map(|at| now.stamp_of(at)),
            steps,
        })
    }

    fn why_ok(&self, steps: &[StepJudgement], order: &[usize]) -> String {
        let lowest = order.first().and_then(|i| steps.get(*i));
        match lowest {
            Some(step) => format!("not raised: {}", step.says.strip_prefix("false: ").unwrap_or(&step.says)),
            None => "not raised".to_owned(),
        }
    }
}

/// The step that is spoken of: the highest raised, else the highest pending, else the lowest.
fn shown(machine: &Machine) -> usize {
    let order = &machine.bound.order;
    let pending = |i: &usize| machine.steps[*i].hold.is_some() && machine.steps[*i].latched.is_none();
    let pending = order.iter().rev().copied().find(pending);
    highest(&machine.steps, order).or(pending).or(order.first().copied()).unwrap_or_default()
}

fn step(machine: &Machine, i: usize, sight: &Sight<'_>, now: Moment, missing: Option<&str>) -> StepJudgement {
    let (bound, state) = (&machine.bound, machine.steps[i]);
    let (plan, seconds) = (&bound.rule.steps[i], |ns: i64| ns as f64 / 1e9);
    let apart = |part: &Part| part.program.taken_apart(&sight.at(part));
    let (raise, clear) = (apart(bound.raise(i)), apart(bound.clear(i)));
    let clock = clock(&state, sight, i, now);
    let why = |part: &Part| part.program.why(&sight.at(part));
    let says = match state.latched {
        None => not_latched(sight.raise(i), &raise, clock.as_ref(), (why(bound.raise(i)), missing)),
        Some(_) => latched(sight, i, &clear, clock.as_ref(), (why(bound.raise(i)), why(bound.clear(i)))),
    };
    StepJudgement {
        severity: plan.severity,
        latched_since: state.latched.map(|since| now.stamp_of(since.mono)),
        for_: seconds(plan.for_),
        keep: seconds(plan.keep),
        clock,
        says,
        raise,
        clear,
    }
}

fn clock(state: &Step, sight: &Sight<'_>, i: usize, now: Moment) -> Option<Clock> {
    let hold = state.hold?;
    let (wants, is_latched) = (sight.wants(i), state.latched.is_some());
    let until = hold.frozen.unwrap_or(sight.t);
    let held = until.saturating_sub(hold.since.mono).saturating_sub(hold.excluded).max(0);
    let give_up = hold.frozen.map(|at| (now.stamp_of(at), now.stamp_of(at.saturating_add(wants.patience))));
    let due = hold.frozen.is_none().then(|| now.stamp_of(wants.due(is_latched)(&hold)));
    Some(Clock {
        of: if is_latched { "keep" } else { "for" },
        since: now.stamp_of(hold.since.mono),
        held: held as f64 / 1e9,
        needed: (if is_latched { wants.keep } else { wants.for_ }) as f64 / 1e9,
        due,
        frozen: give_up,
    })
}

/// Where a step stands that is not raised.
fn not_latched(
    verdict: Option<bool>,
    raise: &Node,
    clock: Option<&Clock>,
    (why, missing): (String, Option<&str>),
) -> String {
    let because = match (why.as_str(), missing) {
        ("", Some(missing)) => missing.to_owned(),
        ("", None) => raise.why.clone().unwrap_or_else(|| format!("`{}`", raise.text)),
        (why, _) => why.to_owned(),
    };
    match (verdict, clock) {
        (Some(true), Some(clock)) => {
            format!("true for {} of {}: {because}", lasted(clock.held), lasted(clock.needed))
        }
        (None, Some(clock)) => {
            format!("its clock stands still at {} of {}: {because}", lasted(clock.held), lasted(clock.needed))
        }
        (Some(true), None) => format!("true, to be judged with the next sample: {because}"),
        (Some(false), _) => format!("false: {because}"),
        (None, None) => format!("unknown: {because}"),
    }
}

/// Where a step stands that is raised.
fn latched(
    sight: &Sight<'_>,
    i: usize,
    clear: &Node,
    clock: Option<&Clock>,
    (raise_why, clear_why): (String, String),
) -> String {
    let why = |text: String| if text.is_empty() { String::new() } else { format!(": {text}") };
    match (sight.raise(i), sight.clear(i), clock) {
        (Some(true), ..) => format!("raised, and still true{}", why(raise_why)),
        (_, Some(true), Some(clock)) => {
            let (held, needed) = (lasted(clock.held), lasted(clock.needed));
            format!("raised; clear has held for {held} of {needed}{}", why(clear_why))
        }
        (_, Some(true), None) => {
            format!("raised; clear is true, to be judged with the next sample{}", why(clear_why))
        }
        (Some(false), Some(false), _) => {
            format!("raised; no longer a breach, and not clear yet{}", why(clear_why))
        }
        (_, None, _) => {
            let unknown = clear.why.clone().unwrap_or_else(|| "nothing is known".to_owned());
            format!("raised; whether it is over is unknown, and unknown clears nothing: {unknown}")
        }
        (None, Some(false), _) => format!("raised, and not clear{}", why(clear_why)),
    }
}

/// What would have to happen for the state to change.
fn next(state: Health, step: Option<&StepJudgement>, steps: usize) -> String {
    let Some(step) = step else { return String::new() };
    let which = if steps > 1 { format!(" ({})", word(step.severity)) } else { String::new() };
    let held = |seconds: f64| match seconds {
        0.0 => String::new(),
        seconds => format!(" for {}", lasted(seconds)),
    };
    match (state, &step.clock) {
        (Health::Pending, Some(Clock { due: Some(due), .. })) => {
            format!("raised{which} at {} if it stays true; ok again as soon as it is false", second(*due))
        }
        (Health::Pending, Some(Clock { frozen: Some((_, end)), .. })) => {
            format!("goes on when something is known again; ok if that is not by {}", second(*end))
        }
        (Health::Raised, Some(Clock { due: Some(due), .. })) if step.clear.verdict == Some(Verdict::True) => {
            format!("over{which} at {} if clear stays true and raise does not return", second(*due))
        }
        (Health::Raised, _) => {
            format!("over{which} once clear has been true{} and raise is not", held(step.keep))
        }
        (Health::Unknown, _) => "judged again as soon as its signals have values".to_owned(),
        _ => format!("raised{which} once raise has been true{}", held(step.for_)),
    }
    .replace("has been true and", "is true and")
}

fn word(severity: Severity) -> &'static str {
    crate::engine::incident::word(severity)
}

fn second(stamp: Stamp) -> String {
    crate::engine::incident::second(stamp)
}

fn lasted(seconds: f64) -> String {
    human((seconds * 1e9) as i64)
}

impl Witness for At<'_> {
    fn heard(&self, slot: u16) -> Option<Heard> {
        self.one(slot).map(|series| heard(series, self.t, self.stale))
    }

    fn seen(&self, index: u16) -> Option<Seen> {
        let pane = self.panes.get(*self.windows.get(usize::from(index))?)?;
        let fed_by = pane.slots.iter().filter_map(|s| self.series.get(*s));
        let fed_by = fed_by.map(|series| heard(series, self.t, 0)).collect();
        Some(Seen { facts: pane.window.facts(self.t, self.min_coverage), fed_by })
    }
}

fn heard(series: &Series, t: i64, stale: i64) -> Heard {
    let limit = series.stale_after(stale);
    Heard {
        value: series.fresh(t, stale).cloned(),
        age: series.at.map(|at| t.saturating_sub(at).max(0)),
        waited: t.saturating_sub(series.since).max(0),
        interval: series.interval,
        stale_after: (limit < i64::MAX).then_some(limit),
        said_none: series.value.is_none() && series.newest > i64::MIN,
    }
}
