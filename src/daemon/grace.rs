//! Boot grace: what is polled while the host still starts is not judged.
//!
//! A host that boots is busy and half there; that is no incident. What is told, what has gone and what we say
//! of ourselves is taken in from the beginning.

use crate::engine::moment::{MINUTE, human};
use crate::engine::signal::{Class, Observation};

/// For so long after the boot of the host (nanoseconds).
const GRACE: i64 = 2 * MINUTE;

/// What has been left out so far.
#[derive(Debug, Default)]
pub struct Grace {
    left_out: usize,
    is_over: bool,
}

impl Grace {
    /// Leaves out what is not judged yet, and says once how much that was. Does nothing any more after the
    /// first call beyond the grace.
    pub(super) fn apply(&mut self, uptime: i64, batches: &mut [Vec<Observation>]) {
        if self.is_over {
            return;
        }
        self.left_out += batches.iter_mut().map(|batch| leave_out(uptime, batch)).sum::<usize>();
        self.is_over = uptime >= GRACE;
        if self.is_over && self.left_out > 0 {
            let (observations, grace) = (self.left_out, human(GRACE));
            tracing::info!(observations, "polled signals of the first {grace} after boot were left out");
        }
    }
}

/// Takes out of a batch what is polled within the grace; returns how many observations that were.
fn leave_out(uptime: i64, batch: &mut Vec<Observation>) -> usize {
    let before = batch.len();
    if uptime < GRACE {
        batch.retain(|seen| seen.interval == 0 || seen.gone || seen.instance.class == Class::Sexton);
    }
    before - batch.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::moment::{Moment, SECOND};
    use crate::engine::signal::Instance;

    #[test]
    fn only_what_is_polled_soon_after_boot_is_left_out() {
        let seen = |class, interval| Observation::new(Moment::at(0), Instance::of(class, &[]), interval);
        let gone = Observation { gone: true, ..seen(Class::Fs, SECOND) };
        let batch = vec![
            seen(Class::Host, SECOND),
            seen(Class::Unit, 0),
            seen(Class::Sexton, SECOND),
            gone,
            seen(Class::Check, SECOND),
        ];
        let left = |uptime| {
            let (mut grace, mut batches) = (Grace::default(), [batch.clone()]);
            grace.apply(uptime, &mut batches);
            let classes: Vec<_> = batches[0].iter().map(|seen| seen.instance.class).collect();
            (classes, grace.left_out, grace.is_over)
        };
        assert_eq!(left(0), (vec![Class::Unit, Class::Sexton, Class::Fs], 2, false));
        assert_eq!(left(GRACE - 1), left(0));
        let all = vec![Class::Host, Class::Unit, Class::Sexton, Class::Fs, Class::Check];
        assert_eq!(left(GRACE), (all, 0, true));
    }
}
