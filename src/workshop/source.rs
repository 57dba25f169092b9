//! Where series come from: one observation after the other, in the order of time.
//!
//! [`Source`] is all that whoever plays knows of it; the history of a host is another one (`past`).
//! [`Tracks`] holds series in memory and merges them. It must not know why they are played.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use crate::engine::moment::Moment;
use crate::engine::signal::{Base, Class, Instance, Metric, Observation, Value};

/// Series in the order of time.
pub trait Source {
    /// What was seen next; `None` at the end. Times never go back.
    ///
    /// # Errors
    /// A sentence saying what cannot be read.
    fn next(&mut self) -> Result<Option<&Observation>, String>;

    /// The daemon's start that lies before what comes next; series that nobody's daemon took have none.
    ///
    /// # Errors
    /// A sentence saying what cannot be read.
    fn restart(&mut self) -> Result<Option<Restart>, String> {
        Ok(None)
    }

    /// From when on rules are judged, in ns since 1970; what comes before only fills windows.
    fn judged_from(&self) -> i64 {
        i64::MIN
    }
}

/// A start of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restart {
    /// When, in ns since 1970.
    pub at: i64,
    /// Until when somebody looked before, where that is known.
    pub ended: Option<i64>,
    /// Before that moment polled signals raise nothing, as the machine has just been booted.
    pub settled: Option<i64>,
}

/// The series of one instance that are read together.
#[derive(Clone, Debug)]
pub struct Track {
    /// Of what.
    pub instance: Arc<Instance>,
    /// Expected distance of samples in ns; 0 when told.
    pub interval: i64,
    /// When, in ns since 1970, never going back.
    pub times: Vec<i64>,
    /// The signals, each with as many values as there are times.
    pub columns: Vec<(Metric, Column)>,
}

/// Values of one signal.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// Numbers, and truths as 0 and 1; NaN is a missing sample.
    Numbers(Vec<f64>),
    /// Texts.
    Texts(Vec<Option<Arc<str>>>),
}

impl Column {
    /// An empty column for values of that signal.
    pub fn of(metric: Metric) -> Self {
        match metric.spec().ty.base {
            Base::Text => Self::Texts(Vec::new()),
            _ => Self::Numbers(Vec::new()),
        }
    }

    /// Adds a value, or that it is missing.
    pub fn push(&mut self, value: Option<Value>) {
        match (self, value) {
            (Self::Numbers(all), Some(Value::Num(n))) => all.push(n),
            (Self::Numbers(all), Some(Value::Bool(b))) => all.push(f64::from(u8::from(b))),
            (Self::Numbers(all), _) => all.push(f64::NAN),
            (Self::Texts(all), Some(Value::Text(text))) => all.push(Some(text)),
            (Self::Texts(all), _) => all.push(None),
        }
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Numbers(all) => all.len(),
            Self::Texts(all) => all.len(),
        }
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A value as a sample of `metric`; `None` when it is missing.
    pub fn sample(&self, at: usize, metric: Metric) -> Option<Value> {
        match self {
            Self::Numbers(all) => {
                let n = all.get(at).copied().filter(|n| n.is_finite())?;
                Some(if metric.spec().ty.base == Base::Bool { Value::Bool(n != 0.0) } else { Value::Num(n) })
            }
            Self::Texts(all) => all.get(at)?.clone().map(Value::Text),
        }
    }
}

/// Series in memory, played in the order of time; those of the host first, which others may name.
pub struct Tracks {
    tracks: Vec<Arc<Track>>,
    /// One of each track, filled anew for every row.
    seen: Vec<Observation>,
    heads: BinaryHeap<Reverse<(i64, usize)>>,
    rows: Vec<usize>,
}

impl Tracks {
    /// Series to be played once.
    pub fn new(mut tracks: Vec<Arc<Track>>) -> Self {
        tracks.sort_by(|a, b| rank(a).cmp(&rank(b)));
        let seen =
            tracks.iter().map(|t| Observation::new(Moment::at(0), Arc::clone(&t.instance), t.interval));
        let heads = tracks.iter().enumerate().filter_map(|(i, t)| Some(Reverse((*t.times.first()?, i))));
        let (seen, heads, rows) = (seen.collect(), heads.collect(), vec![0; tracks.len()]);
        Self { tracks, seen, heads, rows }
    }

    /// The series themselves.
    pub fn tracks(&self) -> &[Arc<Track>] {
        &self.tracks
    }
}

fn rank(track: &Track) -> (bool, &str) {
    (track.instance.class != Class::Host, track.instance.key())
}

impl Source for Tracks {
    fn next(&mut self) -> Result<Option<&Observation>, String> {
        let Some(Reverse((at, index))) = self.heads.pop() else { return Ok(None) };
        let (track, row) = (&self.tracks[index], self.rows[index]);
        self.rows[index] += 1;
        if let Some(next) = track.times.get(row + 1) {
            self.heads.push(Reverse(((*next).max(at), index)));
        }
        let seen = &mut self.seen[index];
        seen.at = Moment::at(at);
        seen.samples.clear();
        for (metric, column) in &track.columns {
            if let Some(value) = column.sample(row, *metric) {
                seen.samples.push((*metric, Some(value)));
            }
        }
        Ok(Some(seen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::signal::metric;

    #[test]
    fn tracks_are_merged_by_time_the_host_first() {
        let track = |class, labels: &[(&str, &str)], name: &str, times: &[i64], values: &[f64]| Track {
            instance: Instance::of(class, labels),
            interval: 1,
            times: times.to_vec(),
            columns: vec![(Metric::find(name).unwrap(), Column::Numbers(values.to_vec()))],
        };
        let fs = track(Class::Fs, &[("mount", "/")], "fs.used", &[1, 3, 3], &[0.1, f64::NAN, 0.3]);
        let host = track(Class::Host, &[], "cpu.busy", &[1, 2, 3], &[1.0, 2.0, 3.0]);
        let mut tracks = Tracks::new(vec![Arc::new(fs), Arc::new(host)]);
        let mut seen = Vec::new();
        while let Some(o) = tracks.next().unwrap() {
            seen.push((o.at.mono, o.instance.name().to_owned(), o.samples.len()));
        }
        let row = |at, name: &str, n| (at, name.to_owned(), n);
        let expected = [
            row(1, "host", 1),
            row(1, "/", 1),
            row(2, "host", 1),
            row(3, "host", 1),
            row(3, "/", 0),
            row(3, "/", 1),
        ];
        assert_eq!(seen, expected);
        assert_eq!(Column::Numbers(vec![1.0]).sample(0, metric("net.up")), Some(Value::Bool(true)));
    }
}
