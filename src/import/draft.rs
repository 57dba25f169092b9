//! What an import makes before it is written: rules and checks as drafts, and what was lost on the way.
//!
//! A draft holds conditions as syntax trees of our own language, so that they are spelled the one canonical
//! way. Invariants after [`settle`]: ids are kebab-case, unique in the file, and none is that of a built-in
//! rule (it would replace it).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::config::{self, Doors, HostFacts};
use crate::engine::cond::expr::Expr;
use crate::engine::record::{Nature, Severity};
use crate::engine::signal::Class;

/// Longest id that is made, in bytes; the loader takes 64, and a number may follow.
const LONGEST_ID: usize = 60;

/// Where something stands in what is imported.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, as it was named.
    pub file: String,
    /// From 1.
    pub line: usize,
}

impl Place {
    /// With the name of the file only, for comments in a file that names it whole at its top.
    pub fn short(&self) -> String {
        format!("{}:{}", self.file.rsplit('/').next().unwrap_or(&self.file), self.line)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A piece that is not carried over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Where it stands.
    pub place: Place,
    /// The piece as written, shortened.
    pub piece: String,
    /// Why not.
    pub why: String,
    /// What to do instead; may be empty.
    pub instead: String,
    /// Without the piece the rule would raise more often than it did: such a rule is written but switched
    /// off.
    pub widens: bool,
}

/// A setting that is no rule: where it has its place here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aside {
    /// Where it stands.
    pub place: Place,
    /// The setting, shortened.
    pub piece: String,
    /// What to do instead.
    pub instead: String,
}

/// What became of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It means the same here.
    Whole,
    /// Something of it is missing or different.
    Part,
    /// Nothing came of it.
    Not,
}

/// One thing that stood there: an alert, a test of Monit, a service of Nagios.
#[derive(Clone, Debug, Default)]
pub struct Item {
    /// What it is: `alert HostDown`.
    pub what: String,
    /// Where it stands.
    pub place: Place,
    /// The rules it became.
    pub rules: Vec<Rule>,
    /// The checks that its rules are about.
    pub checks: Vec<Check>,
    /// What is not carried over.
    pub losses: Vec<Loss>,
    /// What is good to know and changes nothing.
    pub remarks: Vec<String>,
    /// Its rule is a step of that of another item, which stands there.
    pub merged_into: Option<Place>,
}

impl Item {
    /// What became of it.
    pub fn fate(&self) -> Fate {
        let is_nothing = self.rules.is_empty() && self.checks.is_empty() && self.merged_into.is_none();
        match (is_nothing, self.losses.is_empty()) {
            (true, _) => Fate::Not,
            (false, false) => Fate::Part,
            (false, true) => Fate::Whole,
        }
    }

    /// Says something once.
    pub fn remark(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.remarks.contains(&text) {
            self.remarks.push(text);
        }
    }
}

/// A step of a rule; a rule with one is written without `step`.
#[derive(Clone, Debug)]
pub struct Step {
    /// How bad it is.
    pub severity: Severity,
    /// 1 (high) to 3.
    pub impact: Option<u8>,
    /// 1 (high) to 3.
    pub urgency: Option<u8>,
    /// The breach.
    pub raise: Expr,
    /// Its end.
    pub clear: Expr,
    /// In nanoseconds.
    pub for_: i64,
    /// In nanoseconds; what the defaults say when absent.
    pub keep: Option<i64>,
}

/// The repair.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Action {
    /// Program and arguments.
    pub run: Vec<String>,
    /// How long the incident must be open.
    pub after: Option<String>,
    /// The budget, `3 per 1h`.
    pub max: Option<String>,
    /// How long it may run.
    pub timeout: Option<String>,
}

/// A rule as it will be written.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Wanted id before [`settle`], the id after it.
    pub id: String,
    /// Where it comes from.
    pub place: Place,
    /// `on`.
    pub class: Class,
    /// `match`: globs by label.
    pub matches: BTreeMap<String, Vec<String>>,
    /// With `{label}` and the like.
    pub title: Option<String>,
    /// Plain text.
    pub description: Option<String>,
    /// Address or text.
    pub runbook: Option<String>,
    /// Named expressions.
    pub lets: Vec<(String, Expr)>,
    /// At least one.
    pub steps: Vec<Step>,
    /// `nature`.
    pub nature: Nature,
    /// `category`.
    pub category: &'static str,
    /// `outage`.
    pub outage: bool,
    /// Of a share that is enough for windows; of events one is enough.
    pub min_coverage: Option<&'static str>,
    /// `nodata_after`.
    pub nodata_after: Option<&'static str>,
    /// `labels`.
    pub labels: BTreeMap<String, String>,
    /// Wanted ids of rules that explain it.
    pub depends: Vec<String>,
    /// `[rule.action]`.
    pub action: Option<Action>,
    /// False: it raises more than it did there, see [`Loss::widens`].
    pub enabled: bool,
    /// The clear is not the plain opposite of the raise.
    pub has_margin: bool,
}

impl Rule {
    /// A rule without anything but its condition.
    pub fn new(id: &str, place: &Place, class: Class, steps: Vec<Step>) -> Self {
        Self {
            id: kebab(id),
            place: place.clone(),
            class,
            matches: BTreeMap::new(),
            title: None,
            description: None,
            runbook: None,
            lets: Vec::new(),
            steps,
            nature: Nature::Fault,
            category: "",
            outage: false,
            min_coverage: None,
            nodata_after: None,
            labels: BTreeMap::new(),
            depends: Vec::new(),
            action: None,
            enabled: true,
            has_margin: false,
        }
    }
}

/// A check as it will be written.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// Wanted id before [`settle`], the id after it.
    pub id: String,
    /// `http` or `tcp`.
    pub kind: &'static str,
    /// The other keys with their values as TOML.
    pub keys: Vec<(&'static str, String)>,
}

/// A name as an id: lower case, words joined by `-`: `HostOutOfMemory` is `host-out-of-memory`.
pub fn kebab(name: &str) -> String {
    let mut id = String::new();
    let chars: Vec<char> = name.chars().collect();
    for (i, &c) in chars.iter().enumerate() {
        let before = i.checked_sub(1).and_then(|i| chars.get(i)).copied().unwrap_or(' ');
        let after = chars.get(i + 1).copied().unwrap_or(' ');
        let begins = c.is_ascii_uppercase()
            && (before.is_ascii_lowercase()
                || before.is_ascii_digit()
                || before.is_ascii_uppercase() && after.is_ascii_lowercase());
        if begins && !id.ends_with('-') {
            id.push('-');
        }
        match c {
            c if c.is_ascii_alphanumeric() => id.push(c.to_ascii_lowercase()),
            _ if !id.ends_with('-') => id.push('-'),
            _ => {}
        }
        if id.len() >= LONGEST_ID {
            break;
        }
    }
    id.truncate(LONGEST_ID);
    let id = id.trim_matches('-');
    if id.is_empty() { "imported".to_owned() } else { id.to_owned() }
}

/// Makes ids unique and none of them that of a built-in rule; `match` and `depends` follow.
pub fn settle(items: &mut [Item], doors: &Doors, facts: &HostFacts) {
    let builtin = config::load_texts(&[], doors, facts);
    let builtin: BTreeSet<String> =
        builtin.map(|c| c.plan.rules.iter().map(|r| r.id.clone()).collect()).unwrap_or_default();
    let mut taken = builtin.clone();
    let mut checks: BTreeMap<String, Check> = BTreeMap::new();
    let mut wanted: BTreeMap<String, String> = BTreeMap::new();
    for item in &mut *items {
        let mut renamed = BTreeMap::new();
        item.checks.retain_mut(|check| {
            let is_same = |known: &&Check| known.kind == check.kind && known.keys == check.keys;
            let known = checks.values().find(is_same).map(|c| c.id.clone());
            let is_new = known.is_none();
            let id = known.unwrap_or_else(|| unique(&check.id, |id| checks.contains_key(id)));
            renamed.insert(std::mem::replace(&mut check.id, id.clone()), id.clone());
            if is_new {
                checks.insert(id, check.clone());
            }
            is_new
        });
        let clash: Vec<_> =
            item.rules.iter().map(|r| r.id.clone()).filter(|id| builtin.contains(id)).collect();
        for id in clash {
            item.remark(format!(
                "there is a built-in rule `{id}`: where both raise, retire one: [[rule]] id = \"{id}\", enabled = false"
            ));
        }
        for rule in &mut item.rules {
            for glob in rule.matches.get_mut("check").into_iter().flatten() {
                if let Some(id) = renamed.get(glob) {
                    glob.clone_from(id);
                }
            }
            let id = unique(&rule.id, |id| taken.contains(id));
            taken.insert(id.clone());
            wanted.entry(std::mem::replace(&mut rule.id, id.clone())).or_insert(id);
        }
    }
    for rule in items.iter_mut().flat_map(|i| &mut i.rules) {
        let own = rule.id.clone();
        rule.depends = rule.depends.iter().filter_map(|d| wanted.get(d).cloned()).collect();
        rule.depends.retain(|d| *d != own);
        rule.depends.dedup();
    }
}

/// The id itself, or with the first number behind it that is free.
fn unique(wanted: &str, taken: impl Fn(&str) -> bool) -> String {
    if !taken(wanted) {
        return wanted.to_owned();
    }
    (2..).map(|n| format!("{wanted}-{n}")).find(|id| !taken(id)).unwrap_or_default()
}

/// A mount as the kernel names it: without the `/` that people put behind a directory.
pub fn mount(path: &str) -> &str {
    if path.starts_with('/') && path.trim_end_matches('/').is_empty() {
        "/"
    } else {
        path.trim_end_matches('/')
    }
}

/// A text on one line, shortened for a message.
pub fn shorten(text: &str, most: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= most {
        return line;
    }
    let head: String = line.chars().take(most.saturating_sub(1)).collect();
    format!("{}…", head.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_ids() {
        for (name, id) in [
            ("NodeFilesystemSpaceFillingUp", "node-filesystem-space-filling-up"),
            ("HostOOMKill", "host-oom-kill"),
            ("HTTP", "http"),
            ("instance_down", "instance-down"),
            ("Root Partition", "root-partition"),
            ("disk /var (%)", "disk-var"),
            ("k8sNode2Down", "k8s-node2-down"),
            ("über", "ber"),
            ("中文", "imported"),
            ("", "imported"),
        ] {
            assert_eq!(kebab(name), id, "{name}");
        }
        assert!(kebab(&"Abc".repeat(100)).len() <= LONGEST_ID);
    }
}
