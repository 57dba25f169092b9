//! The series of one segment as they were read: samples of one instance at one moment come together.
//!
//! Series that were read together share their stamps, so they are decoded side by side and cost one place in
//! the queue. Of each only its packed row is held. The host comes first at a moment: others may name it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use super::chunk::{Stamps, Values};
use super::spread::Spread;
use crate::engine::moment::Moment;
use crate::engine::signal::{Class, Instance, Metric, Observation, Value};

/// Series of one instance with equal stamps.
pub struct Group {
    instance: Arc<Instance>,
    feed: Feed,
    /// Stamp and interval of the samples that are next.
    head: (i64, i64),
}

enum Feed {
    /// Samples as they were taken; a series without a signal says that the instance has gone.
    Taken { stamps: Stamps, elapsed: i64, columns: Vec<(Option<Metric>, Values)> },
    /// Samples made of rollups, and the one that is next.
    Spread { metric: Option<Metric>, samples: Box<Spread>, next: Option<Value> },
}

impl Group {
    /// Series that share stamps; `None` when there are none.
    pub fn taken(
        instance: Arc<Instance>,
        stamps: Stamps,
        columns: Vec<(Option<Metric>, Values)>,
    ) -> Option<Self> {
        let feed = Feed::Taken { stamps, elapsed: 0, columns };
        let mut group = Self { instance, feed, head: (0, 0) };
        group.advance().then_some(group)
    }

    /// A series made of its rollups; `None` when there are none.
    pub fn spread(instance: Arc<Instance>, metric: Option<Metric>, samples: Spread) -> Option<Self> {
        let feed = Feed::Spread { metric, samples: Box::new(samples), next: None };
        let mut group = Self { instance, feed, head: (0, 0) };
        group.advance().then_some(group)
    }

    /// Goes to the next stamp; false at the end.
    fn advance(&mut self) -> bool {
        let head = match &mut self.feed {
            Feed::Taken { stamps, elapsed, columns } if !columns.is_empty() => {
                stamps.next().map(|(at, interval, distance)| {
                    *elapsed = distance;
                    (at, interval)
                })
            }
            Feed::Taken { .. } => None,
            Feed::Spread { samples, next, .. } => samples.next().map(|(at, value)| {
                *next = Some(value);
                (at, samples.interval())
            }),
        };
        self.head = head.unwrap_or(self.head);
        head.is_some()
    }

    /// Adds the samples of the stamp that is next.
    fn give(&mut self, out: &mut Observation) {
        match &mut self.feed {
            Feed::Taken { elapsed, columns, .. } => columns.retain_mut(|(metric, values)| {
                let value = values.next(*elapsed);
                let is_whole = value.is_some();
                if let Some(value) = value {
                    add(out, *metric, value);
                }
                is_whole
            }),
            Feed::Spread { metric, next, .. } => add(out, *metric, next.take()),
        }
    }
}

fn add(out: &mut Observation, metric: Option<Metric>, value: Option<Value>) {
    match metric {
        Some(metric) => out.samples.push((metric, value)),
        None => out.gone = true,
    }
}

/// Groups in the order of time.
#[derive(Default)]
pub struct Merge {
    groups: Vec<Group>,
    queue: BinaryHeap<Reverse<(i64, usize)>>,
    /// Groups that stand in the observation that is being built.
    taken: Vec<usize>,
}

impl Merge {
    /// Merges groups.
    pub fn new(mut groups: Vec<Group>) -> Self {
        let rank = |g: &Group| (g.instance.class != Class::Host, Arc::clone(&g.instance));
        // Groups of one instance stand side by side.
        groups.sort_by_cached_key(rank);
        let queue = groups.iter().enumerate().map(|(i, g)| Reverse((g.head.0, i))).collect();
        Self { groups, queue, taken: Vec::new() }
    }

    /// Fills in what was seen next, its time in the time of the segment; false at the end.
    pub fn next(&mut self, out: &mut Observation) -> bool {
        let Some(Reverse((at, first))) = self.queue.pop() else { return false };
        let interval = self.groups[first].head.1;
        if !Arc::ptr_eq(&out.instance, &self.groups[first].instance) {
            out.instance = Arc::clone(&self.groups[first].instance);
        }
        (out.at, out.interval, out.gone) = (Moment::at(at), interval, false);
        out.samples.clear();
        self.groups[first].give(out);
        // A group that has another sample of this very moment stands in the queue only afterwards: that is
        // another observation.
        while let Some(Reverse((_, other))) = self.queue.peek().copied().filter(|Reverse((t, _))| *t == at) {
            let group = &mut self.groups[other];
            if group.head.1 != interval || !Arc::ptr_eq(&group.instance, &out.instance) {
                break;
            }
            self.queue.pop();
            group.give(out);
            self.taken.push(other);
        }
        for i in std::iter::once(first).chain(self.taken.drain(..)) {
            if self.groups[i].advance() {
                self.queue.push(Reverse((self.groups[i].head.0, i)));
            }
        }
        true
    }
}
