//! One rule on one instance: a latch per step, and what makes it close and open.
//!
//! Invariant: the latched steps are the lowest ones of the ranking (severity, then position); the highest of
//! them is the severity of the incident. This file must not know where verdicts come from.

use crate::engine::moment::Moment;

/// Most steps of a rule that are judged.
pub const STEPS: usize = 64;

/// State of one step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Step {
    /// Since when its condition is breached, while it is latched.
    pub latched: Option<Moment>,
    /// Not latched: raise is true and `for` runs. Latched: clear is true and `keep` runs.
    pub hold: Option<Hold>,
}

/// A condition that is true and has to stay so for a while.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hold {
    /// When it became true.
    pub since: Moment,
    /// Time in between that does not count, because nothing was known.
    pub excluded: i64,
    /// Since when nothing is known.
    pub frozen: Option<i64>,
}

impl Hold {
    fn new(since: Moment) -> Self {
        Self { since, excluded: 0, frozen: None }
    }

    fn end(&self, needed: i64) -> i64 {
        self.since.mono.saturating_add(self.excluded).saturating_add(needed)
    }
}

impl Step {
    /// Follows a condition; true when it has held for as long as it must. Unknown stops the clock for at most
    /// `patience`.
    fn follow(&mut self, verdict: Option<bool>, t: Moment, wants: &Wants) -> bool {
        let patience = wants.patience;
        let due = wants.due(self.latched.is_some());
        match (verdict, &mut self.hold) {
            (Some(false), hold) => {
                *hold = None;
                false
            }
            (Some(true), hold) => {
                let running = hold.get_or_insert_with(|| Hold::new(t));
                if let Some(frozen) = running.frozen.take() {
                    let gap = t.mono.saturating_sub(frozen).max(0);
                    if gap >= patience {
                        *running = Hold::new(t);
                    } else {
                        running.excluded = running.excluded.saturating_add(gap);
                    }
                }
                due(running) <= t.mono
            }
            (None, Some(running)) => {
                let frozen = *running.frozen.get_or_insert(t.mono);
                if t.mono.saturating_sub(frozen) >= patience {
                    self.hold = None;
                }
                false
            }
            (None, None) => false,
        }
    }
}

/// What a step needs to know to be judged.
pub struct Wants {
    /// How long raise must hold.
    pub for_: i64,
    /// How long clear must hold.
    pub keep: i64,
    /// How long unknown may last before a running hold is given up.
    pub patience: i64,
    /// Nothing is raised before this moment (steady time).
    pub not_before: i64,
}

impl Wants {
    /// When a running hold of a step that is latched, or is not, will have lasted long enough; meaningless
    /// while frozen.
    pub fn due(&self, is_latched: bool) -> impl Fn(&Hold) -> i64 {
        let (needed, not_before) =
            if is_latched { (self.keep, i64::MIN) } else { (self.for_, self.not_before) };
        move |hold| hold.end(needed).max(not_before)
    }
}

/// Where the verdicts come from: `raise` and `clear` of a step, by its index.
pub trait Verdicts {
    /// Whether it is a breach.
    fn raise(&self, step: usize) -> Option<bool>;
    /// Whether it is over.
    fn clear(&self, step: usize) -> Option<bool>;
    /// See [`Wants`].
    fn wants(&self, step: usize) -> Wants;
}

/// What one judgement changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// Some latch or hold is different now.
    pub changed: bool,
    /// Since when what happened is so: the earliest breach that latched, or the latest clear that opened a
    /// latch.
    pub since: Option<Moment>,
}

/// Judges all steps at `t`. `order` ranks the steps, lowest first.
pub fn judge(steps: &mut [Step], order: &[usize], t: Moment, verdicts: &impl Verdicts) -> Outcome {
    let (mut done, mut changed) = (0_u64, false);
    for (i, step) in steps.iter_mut().enumerate().take(STEPS) {
        let is_latched = step.latched.is_some();
        let verdict = if is_latched { is_over(i, verdicts) } else { verdicts.raise(i) };
        if step.hold.is_none() && verdict != Some(true) {
            continue;
        }
        let (before, wants) = (*step, verdicts.wants(i));
        done |= u64::from(step.follow(verdict, t, &wants)) << i;
        changed |= *step != before;
    }
    if done == 0 {
        return Outcome { changed, since: None };
    }
    let since = close(steps, order, done).or_else(|| open(steps, order, done));
    Outcome { changed: changed || since.is_some(), since }
}

/// Over is: clear is true and raise is not. Unknown is neither.
fn is_over(step: usize, verdicts: &impl Verdicts) -> Option<bool> {
    match verdicts.clear(step) {
        Some(false) => Some(false),
        clear => {
            if verdicts.raise(step) == Some(true) {
                Some(false)
            } else {
                clear
            }
        }
    }
}

fn is_done(done: u64, step: usize) -> bool {
    step < STEPS && done & (1 << step) != 0
}

/// Latches every step that is done and all below the highest of them. Returns the earliest breach among them.
fn close(steps: &mut [Step], order: &[usize], done: u64) -> Option<Moment> {
    let raised = |steps: &[Step], i: usize| is_done(done, i) && steps[i].latched.is_none();
    let highest = order.iter().rposition(|i| raised(steps, *i))?;
    let first = steps[order[highest]].hold.map(|h| h.since)?;
    let mut earliest = first;
    for i in &order[..=highest] {
        let own = if raised(steps, *i) { steps[*i].hold.map(|h| h.since) } else { None };
        let step = &mut steps[*i];
        if step.latched.is_none() {
            *step = Step { latched: Some(own.unwrap_or(first)), hold: None };
        }
        earliest = own.map_or(earliest, |own| own.min(earliest));
    }
    Some(earliest)
}

/// Opens the latches that are done, from the top, as far as they go. Returns the latest clear among them.
fn open(steps: &mut [Step], order: &[usize], done: u64) -> Option<Moment> {
    let mut latest = None;
    for i in order.iter().rev() {
        if steps[*i].latched.is_none() {
            continue;
        }
        if !is_done(done, *i) {
            break;
        }
        latest = latest.max(steps[*i].hold.map(|h| h.since));
        steps[*i] = Step::default();
    }
    latest
}

/// The highest latched step.
pub fn highest(steps: &[Step], order: &[usize]) -> Option<usize> {
    order.iter().rev().copied().find(|i| steps.get(*i).is_some_and(|s| s.latched.is_some()))
}

/// The states a changed rule goes on with: step by step; latches above the last step move down to it, and the
/// invariant is restored for the new ranking.
pub fn carry_over(old: &[Step], order: &[usize]) -> Box<[Step]> {
    let mut steps: Box<[Step]> = (0..order.len()).map(|i| old.get(i).copied().unwrap_or_default()).collect();
    let beyond = old.iter().skip(order.len()).filter_map(|s| s.latched).min();
    if let (Some(since), Some(top)) = (beyond, order.last()) {
        steps[*top].latched.get_or_insert(since);
    }
    if let Some(top) = order.iter().rposition(|i| steps[*i].latched.is_some()) {
        let since = steps[order[top]].latched;
        for i in &order[..top] {
            if steps[*i].latched.is_none() {
                steps[*i] = Step { latched: since, hold: None };
            }
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed<'a>(&'a [(Option<bool>, Option<bool>)]);

    impl Verdicts for Fixed<'_> {
        fn raise(&self, step: usize) -> Option<bool> {
            self.0[step].0
        }
        fn clear(&self, step: usize) -> Option<bool> {
            self.0[step].1
        }
        fn wants(&self, _: usize) -> Wants {
            Wants { for_: 10, keep: 20, patience: 30, not_before: i64::MIN }
        }
    }

    const YES: Option<bool> = Some(true);
    const NO: Option<bool> = Some(false);

    /// Plays verdicts for one step and returns the moments at which its latch changed.
    fn play(verdicts: &[(i64, Option<bool>, Option<bool>)]) -> Vec<(i64, bool)> {
        let (mut steps, mut seen) = ([Step::default()], Vec::new());
        for (t, raise, clear) in verdicts {
            let before = steps[0].latched.is_some();
            judge(&mut steps, &[0], Moment::at(*t), &Fixed(&[(*raise, *clear)]));
            if before != steps[0].latched.is_some() {
                seen.push((*t, !before));
            }
        }
        seen
    }

    #[test]
    fn raise_must_hold_and_unknown_stops_the_clock_for_a_while() {
        assert_eq!(play(&[(0, YES, NO), (9, YES, NO), (10, YES, NO)]), [(10, true)]);
        assert_eq!(play(&[(0, YES, NO), (9, NO, NO), (10, YES, NO), (19, YES, NO)]), []);
        assert_eq!(
            play(&[(0, YES, NO), (5, None, NO), (25, YES, NO), (29, YES, NO), (30, YES, NO)]),
            [(30, true)]
        );
        assert_eq!(
            play(&[(0, YES, NO), (5, None, NO), (35, YES, NO), (44, YES, NO), (45, YES, NO)]),
            [(45, true)]
        );
    }

    #[test]
    fn clear_must_hold_and_neither_unknown_nor_a_raise_lets_it() {
        let raised = [(0, YES, NO), (10, YES, NO)];
        let then = |rest: &[(i64, Option<bool>, Option<bool>)]| play(&[&raised[..], rest].concat());
        assert_eq!(then(&[(20, NO, YES), (40, NO, YES)])[1..], [(40, false)]);
        assert_eq!(then(&[(20, YES, YES), (40, YES, YES), (60, YES, YES)])[1..], []);
        assert_eq!(then(&[(20, None, None), (400, None, None)])[1..], []);
        assert_eq!(then(&[(20, None, YES), (40, None, YES)])[1..], [(40, false)]);
        assert_eq!(then(&[(20, NO, YES), (30, NO, NO), (40, NO, YES), (59, NO, YES)])[1..], []);
    }

    #[test]
    fn a_latched_step_latches_those_below_and_holds_them() {
        let mut steps = [Step::default(); 2];
        let upper = [(NO, YES), (YES, NO)];
        judge(&mut steps, &[0, 1], Moment::at(0), &Fixed(&upper));
        let outcome = judge(&mut steps, &[0, 1], Moment::at(10), &Fixed(&upper));
        assert_eq!((highest(&steps, &[0, 1]), outcome.since), (Some(1), Some(Moment::at(0))));
        assert!(steps[0].latched.is_some());
        // The lower one is over for long, but must wait for the upper.
        for t in [20, 40, 60] {
            judge(&mut steps, &[0, 1], Moment::at(t), &Fixed(&upper));
            assert_eq!(highest(&steps, &[0, 1]), Some(1));
        }
        let over = [(NO, YES), (NO, YES)];
        judge(&mut steps, &[0, 1], Moment::at(70), &Fixed(&over));
        let outcome = judge(&mut steps, &[0, 1], Moment::at(90), &Fixed(&over));
        assert_eq!((highest(&steps, &[0, 1]), outcome.since), (None, Some(Moment::at(70))));
    }

    #[test]
    fn fewer_steps_keep_the_latch() {
        let latched = Step { latched: Some(Moment::at(5)), hold: None };
        let carried = carry_over(&[latched, latched, latched], &[1, 0]);
        assert_eq!(&*carried, [latched, latched]);
        assert_eq!(&*carry_over(&[Step::default(), latched], &[0]), [latched]);
        assert_eq!(&*carry_over(&[latched], &[1, 0]), [latched, latched]);
    }
}
