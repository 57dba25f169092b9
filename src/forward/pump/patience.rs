//! How long a single job waits after its own failures.
//!
//! The outbox counts a record's attempts through every outage and every life of the daemon. To wait by that
//! count would let a job wait for minutes at a destination that has just come back. So failures are counted
//! here since the destination came up, in memory: what a restart forgets is only patience.

use std::collections::BTreeMap;

use super::flight::Carried;
use crate::forward::pace::{Backoff, Random};

/// Records whose failures are counted at most; any other waits by its attempts in the outbox.
const MOST: usize = 10_000;

/// So many refusals of a job that others have passed by park it: with the growing waits between them, seven
/// minutes after the first.
pub(super) const BLAMES_MOST: u32 = 4;

/// Failures of single jobs at one destination.
pub(super) struct Patience {
    backoff: Backoff,
    failures: BTreeMap<String, u32>,
    /// Jobs that were refused as if the destination were not fit: how often though another had passed since,
    /// and how many had passed at the last time.
    blames: BTreeMap<String, (u32, u64)>,
    /// Jobs that have passed.
    passed: u64,
}

impl Patience {
    pub fn new(backoff: Backoff) -> Self {
        Self { backoff, failures: BTreeMap::new(), blames: BTreeMap::new(), passed: 0 }
    }

    /// Counts a failure of that job and returns how long it waits, in nanoseconds.
    pub fn wait(&mut self, job: &Carried, random: &mut Random) -> i64 {
        let failures = match self.failures.get(&job.record) {
            Some(before) => before.saturating_add(1),
            None if self.failures.len() < MOST => 1,
            None => return self.backoff.wait(job.attempts.saturating_add(1), random),
        };
        self.failures.insert(job.record.clone(), failures);
        self.backoff.wait(failures, random)
    }

    /// That record's job is stored.
    pub fn passed(&mut self, record: &str) {
        self.passed += 1;
        self.forget(record);
    }

    /// That record's job is done.
    pub fn forget(&mut self, record: &str) {
        self.failures.remove(record);
        self.blames.remove(record);
    }

    /// A refusal of that job alone: how often it was refused though others had passed since the time before.
    /// `None` when none has: then the destination may be to blame.
    pub fn blame(&mut self, record: &str) -> Option<u32> {
        let passed = self.passed;
        if self.blames.len() >= MOST && !self.blames.contains_key(record) {
            return None;
        }
        let (blames, seen) = self.blames.entry(record.to_owned()).or_insert((0, passed));
        if *seen == passed {
            return None;
        }
        (*blames, *seen) = (*blames + 1, passed);
        Some(*blames)
    }

    /// How often that is by now.
    pub fn blames(&self, record: &str) -> u32 {
        self.blames.get(record).map_or(0, |(blames, _)| *blames)
    }

    /// The destination has come up: nobody is to blame for what failed before.
    pub fn begin_anew(&mut self) {
        self.failures.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::moment::SECOND;

    fn job(record: &str) -> Carried {
        Carried { record: record.to_owned(), rev: 1, attempts: 12 }
    }

    /// The power of two, in seconds, below which that wait stays in many draws.
    fn ceiling(wait: impl Fn(&mut Random) -> i64) -> i64 {
        let draws = (0..200).map(|n| wait(&mut Random::seeded(&[&n.to_string()])));
        (draws.max().unwrap_or(0) as u64).div_ceil(SECOND as u64).next_power_of_two() as i64
    }

    /// The ceiling of the wait after so many failures before, with what happened in between.
    fn after(failures: usize, between: impl Fn(&mut Patience)) -> i64 {
        ceiling(|random| {
            let mut patience = Patience::new(Backoff::default());
            (0..failures).for_each(|_| {
                patience.wait(&job("a"), random);
            });
            between(&mut patience);
            patience.wait(&job("a"), random)
        })
    }

    #[test]
    fn a_job_waits_by_what_it_failed_since_the_destination_came_up() {
        let nothing = |_: &mut Patience| {};
        assert_eq!([0, 1, 2, 4].map(|n| after(n, nothing)), [1, 2, 4, 16], "whatever the outbox counts");
        assert_eq!(after(4, |p| p.begin_anew()), 1);
        assert_eq!(after(4, |p| p.forget("a")), 1);
        assert_eq!(after(4, |p| p.forget("b")), 16, "another record's success is not this one's");
    }

    #[test]
    fn what_is_not_counted_any_more_waits_by_its_attempts() {
        let mut patience = Patience::new(Backoff::default());
        let mut random = Random::seeded(&["t"]);
        for n in 0..MOST {
            patience.wait(&job(&format!("r{n}")), &mut random);
        }
        let late = (0..50).map(|_| patience.wait(&job("late"), &mut random)).max();
        assert!(late > Some(100 * SECOND), "{late:?}");
        assert_eq!(patience.failures.len(), MOST);
    }
}
