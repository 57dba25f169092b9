//! Splits the series of one host into parts that can be played apart.
//!
//! Rules look at one instance and at the host. So the instances go to the parts, each with the rules of its
//! class and with the series of the host that those rules name; the rules of the host itself are in one part
//! only.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::engine::plan::{Plan, Rule};
use crate::engine::signal::{Class, Metric};
use crate::workshop::source::{Column, Track};

/// Fewer samples than this are not worth a second thread.
const WORTH: u64 = 50_000;

/// A part: the rules that are judged in it, and what they see.
type Shard = (Arc<Plan>, Vec<Arc<Track>>);

/// Splits the series of a host into at most `most` parts of like size.
pub fn shards(plan: &Arc<Plan>, tracks: Vec<Arc<Track>>, most: usize) -> Vec<Shard> {
    let weight = |t: &Track| (t.times.len() * t.columns.len()) as u64;
    let total: u64 = tracks.iter().map(|t| weight(t)).sum();
    if most < 2 || total < WORTH || !is_separable(plan) {
        return vec![(Arc::clone(plan), tracks)];
    }
    let mut groups: BTreeMap<&str, (u64, Vec<&Arc<Track>>)> = BTreeMap::new();
    for track in &tracks {
        let group = groups.entry(track.instance.key()).or_default();
        group.0 += weight(track);
        group.1.push(track);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by(|a, b| (b.1.0, a.0).cmp(&(a.1.0, b.0)));
    let mut bins: Vec<(u64, Vec<Arc<Track>>)> = vec![(0, Vec::new()); most];
    for (_, (weight, members)) in groups {
        if let Some(lightest) = bins.iter_mut().min_by_key(|(sum, _)| *sum) {
            lightest.0 += weight;
            lightest.1.extend(members.into_iter().map(Arc::clone));
        }
    }
    let named = named_of_host(plan);
    let bins = bins.into_iter().map(|(_, bin)| bin).filter(|bin| !bin.is_empty());
    bins.map(|bin| shard(plan, bin, &tracks, &named)).collect()
}

fn shard(plan: &Plan, mut bin: Vec<Arc<Track>>, all: &[Arc<Track>], named: &BTreeSet<Metric>) -> Shard {
    let classes: BTreeSet<Class> = bin.iter().map(|t| t.instance.class).collect();
    if !classes.contains(&Class::Host) {
        let host = all.iter().filter(|t| t.instance.class == Class::Host);
        bin.extend(host.filter_map(|t| narrowed(t, named)).map(Arc::new));
    }
    let rules = plan.rules.iter().filter(|r| classes.contains(&r.class)).cloned().collect();
    (Arc::new(Plan { rules, ..plan.clone() }), bin)
}

/// The host's series with only those signals.
fn narrowed(track: &Track, named: &BTreeSet<Metric>) -> Option<Track> {
    let columns: Vec<(Metric, Column)> =
        track.columns.iter().filter(|(m, _)| named.contains(m)).cloned().collect();
    let (instance, interval, times) = (Arc::clone(&track.instance), track.interval, track.times.clone());
    (!columns.is_empty()).then_some(Track { instance, interval, times, columns })
}

/// Signals of the host that rules on other things name.
fn named_of_host(plan: &Plan) -> BTreeSet<Metric> {
    let others = plan.rules.iter().filter(|r| r.class != Class::Host);
    others.flat_map(|r| metrics(r)).filter(|m| m.spec().class == Class::Host).collect()
}

fn metrics(rule: &Rule) -> Vec<Metric> {
    let steps = rule.steps.iter().flat_map(|s| s.raise.metrics().iter().chain(s.clear.metrics()));
    steps.chain(rule.lets.iter().flat_map(|(_, l)| l.metrics())).copied().collect()
}

/// No rule looks at what others did, on whatever instance.
fn is_separable(plan: &Plan) -> bool {
    let listens = |text: &str| text.contains("events(");
    let conditions =
        |r: &Rule| r.steps.iter().any(|s| listens(s.raise.canonical()) || listens(s.clear.canonical()));
    // A parent may be another instance's.
    plan.suppress.ancestors.is_empty() && !plan.rules.iter().any(|r| conditions(r))
}
