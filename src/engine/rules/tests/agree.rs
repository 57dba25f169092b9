//! The engine and the reference, side by side: the same verdict at every sample and in between.
//!
//! A case is made from its number. `SEXTON_CASES` says how many are played (`tests/run long` a million),
//! `SEXTON_CASE` plays one alone and prints it.

use super::conditions::{Cond, Text, WORLDS};
use super::naive::{NANO, Naive, TooNear};
use super::random::{Case, Random, Word, case, orderly};
use super::*;

const START: i64 = 1_000_000_000 * NANO;
/// Cases in a plain `cargo test`.
const CASES: u64 = 2000;

/// What was looked at.
#[derive(Clone, Copy, Debug, Default)]
struct Looked {
    moments: u64,
    known: u64,
    near: u64,
}

impl From<Word> for Value {
    fn from(word: Word) -> Self {
        match word {
            Word::Num(n) => Value::Num(n),
            Word::Bool(b) => Value::Bool(b),
            Word::Text(text) => Value::Text(text.into()),
        }
    }
}

/// The engine with the rule in question, `r`, and one that makes events, `s`.
pub(super) struct Pair {
    pub stage: Stage,
    instances: [Arc<Instance>; 2],
    intervals: [i64; 2],
}

impl Pair {
    pub fn new(case: &Case, clear: &str, for_: i64, keep: i64) -> Self {
        let world = &WORLDS[case.world];
        let raise = Text(world, &case.cond).to_string();
        let clear = if clear.is_empty() { format!("not ({raise})") } else { clear.to_owned() };
        let mut judged = rule("r", world.class, &[], &[(&raise, &clear, for_, keep, WARNING)]);
        let plan = Arc::make_mut(&mut judged);
        (plan.stale, plan.min_coverage) = (case.stale * SECOND, case.min_coverage);
        let other = rule("s", world.class, &[], &[("load.avg1 > 3", "load.avg1 < 2", 0, 0, WARNING)]);
        let own = Instance::of(world.class, world.labels);
        let stage = Stage::new(Arc::clone(&own), 0, &[judged, other]);
        Self { stage, instances: [host(), own], intervals: case.intervals.map(|i| i * SECOND) }
    }

    pub fn see(&mut self, case: &Case, seen: &super::random::Seen, now: i64, at: i64) {
        let which = usize::from(!seen.on_host);
        let instance = Arc::clone(&self.instances[which]);
        let mut observation = Observation::new(Moment::at(at), instance, self.intervals[which]);
        for (signal, word) in WORLDS[case.world].signals.iter().zip(&seen.words) {
            if let Some(word) = word {
                observation.samples.push((Metric::find(signal.name).unwrap(), word.map(Value::from)));
            }
        }
        self.stage.rules.observe(Moment::at(now), &observation, &mut self.stage.events);
    }

    fn machine(&self) -> Option<u32> {
        self.stage.rules.machines.iter().find(|(_, m)| m.bound.rule.id == "r").map(|(id, _)| id)
    }

    pub fn verdict(&mut self, t: i64) -> Option<bool> {
        let (t, rules) = (Moment::at(t), &mut self.stage.rules);
        rules.handle_timeout(t, &mut self.stage.events);
        let id = self.machine()?;
        let rules = &mut self.stage.rules;
        rules.judge(id, 0, t, t, &mut self.stage.events);
        let machine = rules.machines.get(id)?;
        let raise = machine.bound.raise(0);
        rules.sight(machine, t.mono).at(raise).verdict(&raise.program)
    }

    /// What its clear condition says, after [`Pair::verdict`].
    pub fn clear(&self, t: i64) -> Option<bool> {
        let rules = &self.stage.rules;
        let machine = rules.machines.get(self.machine()?)?;
        let clear = machine.bound.clear(0);
        rules.sight(machine, t).at(clear).verdict(&clear.program)
    }

    fn is_latched(&self) -> bool {
        let machine = self.machine().and_then(|id| self.stage.rules.machines.get(id));
        machine.is_some_and(|m| m.steps[0].latched.is_some())
    }
}

/// Plays a case; an error says where the two differ.
fn agree(case: &Case, looked: &mut Looked) -> Result<(), String> {
    let mut pair = Pair::new(case, "false", 0, 0);
    let intervals = case.intervals.map(|i| i * SECOND);
    let mut naive = Naive::new(&WORLDS[case.world], intervals, case.stale * SECOND, case.min_coverage);
    let (mut now, mut told) = (START, 0);
    for (n, seen) in case.seen.iter().enumerate() {
        now += seen.gap * NANO;
        // Nothing was seen before the rule was bound.
        let at = (now - seen.back * NANO).max(START);
        pair.see(case, seen, now, at);
        naive.see(at, &seen.words);
        for event in pair.stage.events[told..].iter().filter(|e| e.rule.id == "s") {
            let stamp = naive.events.last().map_or(at, |last| last.1.max(at));
            naive.events.push((n, stamp, format!("{}/s", event.kind.name())));
        }
        let later = now + seen.look * NANO;
        for t in [now, later] {
            let expected = match naive.verdict(&case.cond, t) {
                Ok(expected) => expected,
                Err(TooNear) => {
                    looked.near += 1;
                    continue;
                }
            };
            looked.moments += 1;
            looked.known += u64::from(expected.is_some());
            let found = pair.verdict(t);
            if found != expected {
                let since = (t - START) as f64 / 1e9;
                return Err(format!(
                    "observation {n}, at {since} s: {found:?}, the reference says {expected:?}"
                ));
            }
        }
        now = later;
        told = pair.stage.events.len();
    }
    Ok(())
}

/// One that is called only when it wants to be must stand, at every whole second, where one stands that
/// judges every second.
fn is_punctual(case: &Case) -> Result<(), String> {
    let [mut lazy, mut eager] = [(); 2].map(|()| Pair::new(case, "", 5 * SECOND, 7 * SECOND));
    let mut now = START;
    for seen in &case.seen {
        for _ in 0..(seen.gap + seen.look) / 1000 {
            now += SECOND;
            lazy.stage.rules.handle_timeout(Moment::at(now), &mut lazy.stage.events);
            eager.verdict(now);
            if lazy.is_latched() != eager.is_latched() {
                return Err(format!("at {} s: {}", (now - START) / SECOND, lazy.is_latched()));
            }
        }
        lazy.see(case, seen, now, now);
        eager.see(case, seen, now, now);
    }
    Ok(())
}

/// The smallest case found that still fails: fewer observations, a part of the condition.
fn shrink(mut case: Case, fails: &dyn Fn(&Case) -> bool) -> Case {
    loop {
        let Some(smaller) = smaller(&case).into_iter().find(|c| fails(c)) else { return case };
        case = smaller;
    }
}

fn smaller(case: &Case) -> Vec<Case> {
    let mut all = Vec::new();
    let parts: Vec<Cond> = match &case.cond {
        Cond::Not(one) => vec![(**one).clone()],
        Cond::And(many) | Cond::Or(many) => many.clone(),
        Cond::Same(a, b, _) => vec![(**a).clone(), (**b).clone()],
        Cond::If(three) => vec![three.0.clone(), three.1.clone(), three.2.clone()],
        Cond::Coalesce(two) => vec![two.0.clone(), two.1.clone()],
        _ => Vec::new(),
    };
    all.extend(parts.into_iter().map(|cond| Case { cond, ..case.clone() }));
    let n = case.seen.len();
    for size in [n / 2, n / 4, n / 8, 2, 1].into_iter().filter(|size| *size > 0) {
        for start in (1..n).step_by(size) {
            let seen = [&case.seen[..start], &case.seen[(start + size).min(n)..]].concat();
            all.push(Case { seen, ..case.clone() });
        }
    }
    for i in 0..n {
        let mut with = |change: &dyn Fn(&mut super::random::Seen)| {
            let mut other = case.clone();
            change(&mut other.seen[i]);
            all.push(other);
        };
        let seen = &case.seen[i];
        if seen.look > 0 {
            with(&|s| s.look = 0);
        }
        if seen.back > 0 {
            with(&|s| s.back = 0);
        }
        for word in 0..5 {
            if seen.words[word].is_some() {
                with(&|s| s.words[word] = None);
            }
        }
    }
    all
}

fn refuse(number: u64, case: Case, play: &dyn Fn(&Case) -> Result<(), String>) -> ! {
    let case = shrink(case, &|c| play(c).is_err());
    let why = play(&case).err().unwrap_or_default();
    let text = Text(&WORLDS[case.world], &case.cond).to_string();
    let seen: Vec<_> = case.seen.iter().map(|s| format!("{s:?}")).collect();
    let (intervals, stale, coverage) = (case.intervals, case.stale, case.min_coverage);
    panic!(
        "case {number}: {why}\n{text}\nintervals {intervals:?} stale {stale} coverage {coverage}\n{}",
        seen.join("\n")
    );
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The cases to be played, `share` of those asked for.
pub(super) fn cases(share: u64) -> std::ops::Range<u64> {
    match number("SEXTON_CASE") {
        Some(one) => one..one + 1,
        None => 0..number("SEXTON_CASES").unwrap_or(CASES) / share,
    }
}

#[test]
fn the_engine_says_what_the_reference_says() {
    let mut looked = Looked::default();
    let numbers = cases(1);
    let is_alone = numbers.end - numbers.start == 1;
    for n in numbers {
        let case = case(&mut Random(n));
        if agree(&case, &mut looked).is_err() {
            refuse(n, case, &|c| agree(c, &mut Looked::default()));
        }
    }
    println!("{looked:?}");
    // Most of what is looked at has a verdict, and hardly any is too near to call.
    assert!(
        is_alone || (looked.known * 3 > looked.moments && looked.near * 20 < looked.moments),
        "{looked:?}"
    );
}

#[test]
fn what_wants_to_be_called_is_called_in_time() {
    for n in cases(10) {
        let case = orderly(&mut Random(n), n % 3 > 0);
        if is_punctual(&case).is_err() {
            refuse(n, case, &is_punctual);
        }
    }
}
