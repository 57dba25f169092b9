//! What is known of one signal of one instance: the value now, how old it is, who wants to hear of it, and
//! its last ten minutes for the plot on a ticket.

use std::collections::VecDeque;

use crate::engine::moment::{MINUTE, Moment, SECOND};
use crate::engine::signal::Value;
use crate::engine::window::silence;

/// One signal of one instance.
#[derive(Clone, Debug)]
pub struct Series {
    /// The value now; `None` when there is none.
    pub value: Option<Value>,
    /// When the last real value was read; `None` when there never was one.
    pub at: Option<i64>,
    /// When the last real value before the newest stamp was read: a second word with that stamp may take the
    /// first one back.
    pub before: Option<i64>,
    /// When the last word came, "no value" included.
    pub newest: i64,
    /// Since when it is waited for.
    pub since: i64,
    /// How much of the time since its last value nobody can have looked, ns: it does not count as silence.
    pub excused: i64,
    /// Expected distance of samples; 0 = told and held.
    pub interval: i64,
    /// Machines whose conditions depend on it.
    pub machines: Vec<u32>,
    /// Windows it feeds.
    pub panes: Vec<u32>,
    /// It is an attribute: never too old.
    pub is_fixed: bool,
    /// A timer watches for its silence.
    pub watched: bool,
    /// Its last ten minutes, when a raise condition names it.
    pub trail: Option<Box<Trail>>,
}

impl Series {
    /// A signal nothing is known of yet.
    pub fn new(since: i64, is_fixed: bool) -> Self {
        let (machines, panes) = (Vec::new(), Vec::new());
        let (value, at, before, newest, interval) = (None, None, None, i64::MIN, 0);
        let (watched, trail) = (false, None);
        let excused = 0;
        Self {
            value,
            at,
            before,
            newest,
            since,
            excused,
            interval,
            machines,
            panes,
            is_fixed,
            watched,
            trail,
        }
    }

    /// Takes in a word at `t`, which is not older than the newest.
    pub fn hear(&mut self, t: i64, value: Option<&Value>, interval: i64) {
        if t > self.newest {
            self.before = self.at;
        }
        self.newest = t;
        self.interval = interval;
        self.at = if value.is_some() { Some(t) } else { self.before };
        if let Some(trail) = &mut self.trail {
            trail.push(t, value);
        }
        if self.value.as_ref() != value {
            self.value = value.cloned();
        }
    }

    /// How old a value may be; `stale` is the rule's own wish, 0 for none. Told values hold for ever.
    pub fn stale_after(&self, stale: i64) -> i64 {
        match (self.interval, stale) {
            _ if self.is_fixed => i64::MAX,
            (0, _) => i64::MAX,
            (interval, 0) => silence(interval),
            (_, stale) => stale,
        }
    }

    /// The value, unless there is none or it is too old.
    pub fn fresh(&self, t: i64, stale: i64) -> Option<&Value> {
        let at = self.at?;
        if t.saturating_sub(at) > self.stale_after(stale) { None } else { self.value.as_ref() }
    }

    /// How much of the time from `since` to `t` somebody could have looked.
    pub fn waited(&self, since: i64, t: i64) -> i64 {
        t.saturating_sub(since).saturating_sub(self.excused).max(0)
    }

    /// For how long nothing that can be used is known; `None` while there is.
    pub fn missing_for(&self, t: i64, stale: i64) -> Option<i64> {
        self.missing_since(t, stale).map(|since| self.waited(since, t))
    }

    /// Since when nothing that can be used is known; `None` while there is.
    fn missing_since(&self, t: i64, stale: i64) -> Option<i64> {
        match (self.fresh(t, stale), self.interval) {
            (Some(_), _) => None,
            // A told value held until it was said that there is none.
            (None, 0) => Some(self.newest.max(self.since)),
            (None, _) => Some(self.at.unwrap_or(self.since)),
        }
    }

    /// When it counts as missing for `ns` if no further word comes, be that past or still to come.
    pub fn goes_missing(&self, t: i64, stale: i64, ns: i64) -> i64 {
        match (self.missing_since(t, stale), self.at) {
            (Some(since), _) => since.saturating_add(self.excused).saturating_add(ns),
            (None, Some(at)) => {
                let gone = self.goes_stale(t, stale).unwrap_or(i64::MAX);
                at.saturating_add(self.excused).saturating_add(ns).max(gone)
            }
            (None, None) => i64::MAX,
        }
    }

    /// For how long it must be missing to count as such where a rule asks for no time of its own.
    pub fn patience(&self, stale: i64) -> i64 {
        if stale > 0 { stale } else { silence(self.interval) }
    }

    /// When the value becomes too old, if that is still to come.
    pub fn goes_stale(&self, t: i64, stale: i64) -> Option<i64> {
        self.value.as_ref()?;
        let end = self.at?.checked_add(self.stale_after(stale))?.checked_add(1)?;
        (end > t).then_some(end)
    }
}

/// How much of the past a trail holds.
const PAST: i64 = 10 * MINUTE;
/// Samples nearer together than this replace each other.
const NEAR: i64 = SECOND * 9 / 10;
/// Most points given out, and how many of the newest are given as they are.
const POINTS: usize = 120;
const RECENT: usize = 60;

/// The last ten minutes of a signal; a missing sample is NaN.
#[derive(Clone, Debug, Default)]
pub struct Trail {
    points: VecDeque<(i64, f64)>,
}

impl Trail {
    /// Adds a sample. The newest point before the ten minutes is kept: a told value holds since then.
    pub fn push(&mut self, at: i64, value: Option<&Value>) {
        let value = value.and_then(plotted).unwrap_or(f64::NAN);
        match self.points.back_mut() {
            Some(last) if at - last.0 < NEAR && last.1.is_nan() == value.is_nan() => last.1 = value,
            _ => self.points.push_back((at, value)),
        }
        while self.points.get(1).is_some_and(|p| p.0 < at - PAST) {
            self.points.pop_front();
        }
    }

    /// At most 120 points in seconds since the epoch: the newest 60 as they are, older ones thinned out
    /// evenly.
    pub fn points(&self, now: Moment, held: Option<&Value>) -> Vec<(f64, Option<f64>)> {
        let all: Vec<_> = self.points.iter().copied().filter(|p| p.0 >= now.mono - PAST).collect();
        let end = held.and_then(plotted).map(|v| (now.mono, v));
        let old = all.len().saturating_sub(RECENT);
        let step = old.div_ceil(POINTS - RECENT - 1).max(1);
        let thinned = all[..old].iter().step_by(step).chain(&all[old..]).copied().chain(end);
        let point =
            |(at, value): (i64, f64)| (now.stamp_of(at).seconds(), value.is_finite().then_some(value));
        thinned.map(point).collect()
    }
}

/// A value as a number in a plot.
fn plotted(value: &Value) -> Option<f64> {
    match value {
        Value::Num(n) => Some(*n),
        Value::Bool(b) => Some(f64::from(u8::from(*b))),
        Value::Text(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trail_is_bounded_in_time_and_points() {
        let mut trail = Trail::default();
        for i in 0..2000 {
            trail.push(i * SECOND, Some(&Value::Num(i as f64)));
        }
        assert!(trail.points.len() <= 602);
        let points = trail.points(Moment::at(1999 * SECOND), Some(&Value::Bool(true)));
        assert!(points.len() <= POINTS && points.len() > 100, "{}", points.len());
        assert_eq!(points.last(), Some(&(1999.0, Some(1.0))));
        assert!(points.windows(2).all(|p| p[0].0 <= p[1].0) && points[0].0 >= 1399.0);
    }
}
