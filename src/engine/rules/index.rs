//! The rules of a plan made ready to be bound, and found by the labels that they name outright.
//!
//! Most rules of a large set are about one mount, one unit, one check. An instance asks only those that name
//! it and those with globs; without that a swap would ask every rule of every instance. An index is never
//! changed: it can be made beside the engine, and copies share it. It must not know of instances' state.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::plan::{Globs, Plan, Rule};
use crate::engine::signal::{Class, Instance};

use super::bound::Bound;

/// The rules of each class.
#[derive(Debug, Default)]
pub struct Index {
    classes: BTreeMap<Class, Rows>,
}

/// The rules of one class, in the order of the plan.
#[derive(Debug, Default)]
struct Rows {
    all: Vec<Arc<Bound>>,
    /// Places of the rules that every instance asks.
    asked: Vec<u32>,
    /// By label and value: places of the rules that are about nothing else.
    named: BTreeMap<String, BTreeMap<String, Vec<u32>>>,
}

impl Index {
    /// Makes the rules of a plan ready.
    pub fn new(plan: &Plan) -> Self {
        let mut index = Self::default();
        plan.rules.iter().for_each(|rule| index.add(Arc::new(Bound::new(Arc::clone(rule)))));
        index
    }

    /// The same rules without those that are not wanted.
    pub fn only(&self, wanted: impl Fn(&Rule) -> bool) -> Self {
        let mut index = Self::default();
        self.all().filter(|bound| wanted(&bound.rule)).for_each(|bound| index.add(Arc::clone(bound)));
        index
    }

    /// Every rule.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Bound>> {
        self.classes.values().flat_map(|rows| &rows.all)
    }

    /// The rules that may bind an instance, in the order of the plan.
    pub fn of(&self, instance: &Instance) -> Vec<Arc<Bound>> {
        let Some(rows) = self.classes.get(&instance.class) else { return Vec::new() };
        let named = rows.named.iter().filter_map(|(label, values)| values.get(instance.label(label)));
        let mut places: Vec<u32> = named.flatten().chain(&rows.asked).copied().collect();
        places.sort_unstable();
        places.dedup();
        places.into_iter().filter_map(|place| rows.all.get(place as usize)).map(Arc::clone).collect()
    }

    fn add(&mut self, bound: Arc<Bound>) {
        let rows = self.classes.entry(bound.rule.class).or_default();
        let place = rows.all.len() as u32;
        match name_of(&bound.rule) {
            Some((label, globs)) => {
                let values = rows.named.entry(label.to_owned()).or_default();
                globs.0.iter().for_each(|glob| values.entry(glob.clone()).or_default().push(place));
            }
            None => rows.asked.push(place),
        }
        rows.all.push(bound);
    }
}

/// The label by which a rule is found: one whose values are all written out, an identity label before others.
fn name_of(rule: &Rule) -> Option<(&str, &Globs)> {
    let identity = rule.class.spec().identity;
    let named = || rule.matches.0.iter().filter(|(_, globs)| names_outright(globs));
    let first = named().find(|(label, _)| identity.contains(&label.as_str()));
    first.or_else(|| named().next()).map(|(label, globs)| (label.as_str(), globs))
}

/// No text but these is accepted. An exclusion among them starts with `!` and is asked like a glob.
fn names_outright(globs: &Globs) -> bool {
    !globs.0.is_empty() && !globs.0.iter().any(|glob| glob.starts_with('!') || glob.contains(['*', '?']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::plan::Match;

    fn globs(list: &[&str]) -> Globs {
        Globs(list.iter().map(|glob| (*glob).to_owned()).collect())
    }

    #[test]
    fn only_lists_of_plain_values_are_names() {
        for (list, is_name) in [
            (&["/data"][..], true),
            (&["/data", "/srv"], true),
            (&[""], true),
            (&[], false),
            (&["/data*"], false),
            (&["/d?ta"], false),
            (&["!/data"], false),
            (&["/data", "!/srv"], false),
        ] {
            assert_eq!(names_outright(&globs(list)), is_name, "{list:?}");
        }
    }

    #[test]
    fn whoever_is_found_is_whoever_would_accept() {
        let plan = crate::engine::rules::tests::plan_of_matches(&[
            &[("mount", &["*"])],
            &[("mount", &["/a", "/b", "/a"])],
            &[("fstype", &["ext4"]), ("mount", &["/b"])],
            &[("fstype", &["xfs"])],
            &[("mount", &["/*", "!/b"])],
            &[("device", &[""])],
        ]);
        let index = Index::new(&plan);
        assert_eq!(index.all().count(), plan.rules.len());
        for (mount, fstype) in [("/a", "ext4"), ("/b", "ext4"), ("/b", "xfs"), ("/c", "")] {
            let instance = Instance::of(Class::Fs, &[("mount", mount), ("fstype", fstype)]);
            let accepts = |matches: &Match| matches.accepts(&instance);
            let found = index.of(&instance);
            let ids: Vec<&str> =
                found.iter().map(|b| &b.rule).filter(|r| accepts(&r.matches)).map(|r| &*r.id).collect();
            let wanted: Vec<&str> =
                plan.rules.iter().filter(|r| accepts(&r.matches)).map(|r| &*r.id).collect();
            assert_eq!(ids, wanted, "{mount} {fstype}");
            let asked = if mount == "/c" { 3 } else { found.len() };
            assert_eq!(found.len(), asked, "{mount}: only rules with globs, or about what has no device");
        }
    }
}
