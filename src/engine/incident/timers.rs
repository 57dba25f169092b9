//! Deadlines by name: the earliest is found without looking at the others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A shared name: an incident id, a problem key.
pub(in crate::engine) type Id = Arc<str>;

/// One deadline per name, in nanoseconds of whichever clock the owner means.
#[derive(Clone, Debug, Default)]
pub(in crate::engine) struct Timers {
    by_id: BTreeMap<Id, i64>,
    by_time: BTreeSet<(i64, Id)>,
}

impl Timers {
    /// Sets, moves or (with `None`) removes the deadline of `id`.
    pub fn set(&mut self, id: &Id, at: Option<i64>) {
        let before = match at {
            Some(at) => self.by_id.insert(Arc::clone(id), at),
            None => self.by_id.remove(id),
        };
        if let Some(before) = before {
            self.by_time.remove(&(before, Arc::clone(id)));
        }
        if let Some(at) = at {
            self.by_time.insert((at, Arc::clone(id)));
        }
    }

    /// The earliest deadline.
    pub fn first(&self) -> Option<i64> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// The names whose deadline is `now` or earlier, earliest first.
    pub fn due(&self, now: i64) -> Vec<Id> {
        self.by_time.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| Arc::clone(id)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_can_be_moved_and_removed() {
        let (a, b): (Id, Id) = ("a".into(), "b".into());
        let mut timers = Timers::default();
        timers.set(&a, Some(10));
        timers.set(&b, Some(5));
        timers.set(&a, Some(3));
        assert_eq!((timers.first(), timers.due(4)), (Some(3), vec![Arc::clone(&a)]));
        timers.set(&a, None);
        timers.set(&a, None);
        assert_eq!((timers.first(), timers.due(5)), (Some(5), vec![b]));
    }
}
