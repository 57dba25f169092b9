//! The checked plan: everything a configuration says, compiled, with every default filled in.
//!
//! `config` builds a [`Plan`]; the engine only reads it. Durations are nanoseconds. Nothing in here can be
//! wrong any more.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::cond::Cond;
use super::moment::{DAY, HOUR, MINUTE, SECOND};
use super::record::{HostRef, Nature, Priority, Severity};
use super::signal::{Class, Instance};

mod action;
mod refusal;
mod silence;

pub use action::{Action, Argument, Budget, Mode, OnFail, Part};
pub use silence::{Cause, EXPECTED_WITHIN, OnMissing, Silence};

/// Everything the engine goes by.
#[derive(Clone, Debug)]
pub struct Plan {
    /// This host.
    pub host: Host,
    /// All enabled rules, ordered by id.
    pub rules: Vec<Arc<Rule>>,
    /// `[[override]]` tables in the order of the files.
    pub overrides: Vec<Override>,
    /// `[[service]]` tables in the order of the files; the first that matches wins.
    pub services: Vec<Service>,
    /// Objects that the configuration names outright, by key: that nothing is ever seen of them is a finding.
    pub declared: Vec<Arc<Instance>>,
    /// Correlation settings.
    pub correlate: Correlate,
    /// Priority for `[impact-1][urgency-1]`.
    pub matrix: [[Priority; 3]; 3],
    /// SLA targets by `Priority::number() - 1`: (respond, resolve).
    pub sla: [(i64, i64); 5],
    /// What keeps a raise from becoming an incident: dependencies and maintenance windows.
    pub suppress: super::suppress::Terms,
}

/// What the configuration says of the host itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Host {
    /// Id and name.
    pub host: HostRef,
    /// Labels put on every record.
    pub labels: BTreeMap<String, String>,
    /// Default service of its instances.
    pub service: Option<String>,
    /// Default tier of its instances, 1..3; `None` leaves it to the rule and the defaults.
    pub tier: Option<u8>,
}

/// A business service and what belongs to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Tier 1..3, used as impact.
    pub tier: Option<u8>,
    /// Per class: globs on the first identity label.
    pub matches: BTreeMap<Class, Globs>,
}

/// Correlation settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Correlate {
    /// A raise counts as a new opening only when this much time has passed since the last clear.
    pub failure_gap: i64,
    /// Half-life of the flap counter.
    pub flap_half_life: i64,
}

impl Default for Correlate {
    fn default() -> Self {
        Self { failure_gap: 10 * MINUTE, flap_half_life: 15 * MINUTE }
    }
}

/// The usual 3×3 matrix: impact + urgency − 1.
pub const MATRIX: [[Priority; 3]; 3] = [
    [Priority::P1, Priority::P2, Priority::P3],
    [Priority::P2, Priority::P3, Priority::P4],
    [Priority::P3, Priority::P4, Priority::P5],
];

/// Default SLA targets, (respond, resolve) for P1 … P5.
pub const SLA: [(i64, i64); 5] = [
    (15 * MINUTE, 4 * HOUR),
    (30 * MINUTE, 8 * HOUR),
    (4 * HOUR, 24 * HOUR),
    (8 * HOUR, 3 * DAY),
    (24 * HOUR, 5 * DAY),
];

/// A rule with all layers of defaults applied.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its id.
    pub id: String,
    /// Version: a hash over everything the rule says, 16 hex digits.
    pub hash: String,
    /// Where it was written, `rules.d/10-disk.toml:12`.
    pub origin: String,
    /// Class of the instances it binds.
    pub class: Class,
    /// Which instances of that class.
    pub matches: Match,
    /// Title with `{label}`, `{signal.name}` and `{let}` placeholders; empty = `<rule id> on <instance>`.
    pub title: String,
    /// What it means and what to do, for the ticket; may be empty.
    pub description: String,
    /// Link or path for whoever handles it.
    pub runbook: Option<String>,
    /// Nature.
    pub nature: Nature,
    /// `area/topic`.
    pub category: String,
    /// The service is down while this is raised.
    pub outage: bool,
    /// Service named by the rule.
    pub service: Option<String>,
    /// Labels put on its records.
    pub labels: BTreeMap<String, String>,
    /// How long after the resolve a raise reopens the same incident.
    pub reopen: i64,
    /// A reference older than this is unknown; 0 = 3 × its interval, at least 30 s.
    pub stale: i64,
    /// Share of expected samples a window needs, 0..1.
    pub min_coverage: f64,
    /// Steps in the order written.
    pub steps: Vec<StepPlan>,
    /// Named expressions for titles and conditions, in the order written.
    pub lets: Vec<(String, Cond)>,
    /// What missing data means.
    pub silence: Silence,
    /// It is judged only that often; 0 = at every word.
    pub every: i64,
    /// What is most likely behind it.
    pub cause_hint: Option<Cause>,
    /// The repair it names.
    pub action: Option<Arc<Action>>,
}

/// One step of a rule; a rule without `step` has exactly one.
#[derive(Clone, Debug)]
pub struct StepPlan {
    /// Severity.
    pub severity: Severity,
    /// Impact written in rule or step; `None` = by service tier, host tier, 3.
    pub impact: Option<u8>,
    /// Urgency 1..3.
    pub urgency: u8,
    /// When it is a breach.
    pub raise: Cond,
    /// When it is over.
    pub clear: Cond,
    /// How long `raise` must hold.
    pub for_: i64,
    /// How long `clear` must hold.
    pub keep: i64,
}

/// Which instances a rule or an override is about: globs per label; every label named must match.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Match(pub BTreeMap<String, Globs>);

impl Match {
    /// True when every label named matches.
    pub fn accepts(&self, instance: &Instance) -> bool {
        self.0.iter().all(|(label, globs)| globs.accepts(instance.label(label)))
    }
}

/// A list of globs; `!` excludes; the last one that matches decides; a list with only exclusions starts from
/// all.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Globs(pub Vec<String>);

impl Globs {
    /// True when the list lets `text` pass.
    pub fn accepts(&self, text: &str) -> bool {
        let start = self.0.iter().all(|g| g.starts_with('!'));
        self.0.iter().fold(start, |accepted, glob| match glob.strip_prefix('!') {
            Some(out) => accepted && !glob_matches(out, text),
            None => accepted || glob_matches(glob, text),
        })
    }
}

/// Shell-like match of a whole text: `*` any run, `?` one character. Every rule of a class asks it of every
/// instance, so it goes over the bytes and allocates nothing.
pub fn glob_matches(glob: &str, text: &str) -> bool {
    let (g, t) = (glob.as_bytes(), text.as_bytes());
    // Where the character after the one at `at` begins.
    let next = |at: usize| (at + 1..t.len()).find(|i| text.is_char_boundary(*i)).unwrap_or(t.len());
    let (mut gi, mut ti) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while ti < t.len() {
        match (g.get(gi), back) {
            (Some(b'*'), _) => {
                back = Some((gi, ti));
                gi += 1;
            }
            (Some(b'?'), _) => (gi, ti) = (gi + 1, next(ti)),
            (Some(c), _) if *c == t[ti] => (gi, ti) = (gi + 1, ti + 1),
            (_, Some((star, from))) => {
                back = Some((star, next(from)));
                (gi, ti) = (star + 1, next(from));
            }
            (_, None) => return false,
        }
    }
    g[gi..].iter().all(|c| *c == b'*')
}

/// Edits some keys of matching rules on matching instances.
#[derive(Clone, Debug)]
pub struct Override {
    /// Globs on rule ids.
    pub rule: Globs,
    /// Which instances.
    pub matches: Match,
    /// The keys it replaces, in the rule and in every step.
    pub set: Patch,
}

/// The keys an override may replace.
#[derive(Clone, Debug, Default)]
pub struct Patch {
    /// Switches the rule off for these instances.
    pub enabled: Option<bool>,
    /// See [`StepPlan::severity`].
    pub severity: Option<Severity>,
    /// See [`StepPlan::impact`].
    pub impact: Option<u8>,
    /// See [`StepPlan::urgency`].
    pub urgency: Option<u8>,
    /// See [`StepPlan::for_`].
    pub for_: Option<i64>,
    /// See [`StepPlan::keep`].
    pub keep: Option<i64>,
    /// See [`Rule::reopen`].
    pub reopen: Option<i64>,
    /// See [`Rule::title`].
    pub title: Option<String>,
    /// See [`Rule::runbook`].
    pub runbook: Option<String>,
    /// Added to [`Rule::labels`].
    pub labels: BTreeMap<String, String>,
}

impl Plan {
    /// The rule as it applies to one instance: `None` when it does not bind it, else with every matching
    /// override applied.
    pub fn effective(&self, rule: &Arc<Rule>, instance: &Instance) -> Option<Arc<Rule>> {
        if rule.class != instance.class || !rule.matches.accepts(instance) {
            return None;
        }
        let mut effective = Arc::clone(rule);
        for patch in self.overrides.iter().filter(|o| o.matches.accepts(instance)) {
            match patch.concern(rule) {
                Concern::None => {}
                Concern::Companion if patch.set.enabled == Some(false) => return None,
                Concern::Companion => Arc::make_mut(&mut effective).labels.extend(patch.set.labels.clone()),
                Concern::Whole if patch.set.enabled == Some(false) => return None,
                Concern::Whole => patch.set.apply(Arc::make_mut(&mut effective)),
            }
        }
        Some(effective)
    }

    /// Service and tier of an instance: the rule's own service, a `[[service]]` that matches, the host's
    /// default.
    pub fn service_of(&self, rule: &Rule, instance: &Instance) -> (Option<String>, Option<u8>) {
        let tier_of = |name: &str| self.services.iter().find(|s| s.name == name).and_then(|s| s.tier);
        if let Some(name) = &rule.service {
            return (Some(name.clone()), tier_of(name).or(self.host.tier));
        }
        let by_match =
            |s: &&Service| s.matches.get(&instance.class).is_some_and(|g| g.accepts(instance.name()));
        match self.services.iter().find(by_match) {
            Some(s) => (Some(s.name.clone()), s.tier.or(self.host.tier)),
            None => (self.host.service.clone(), self.host.tier),
        }
    }
}

/// What an override has to do with a rule.
enum Concern {
    None,
    /// It edits the rule that this one is the companion of: a rule that is switched off is not missed either,
    /// and both go to the same people.
    Companion,
    Whole,
}

impl Override {
    /// A companion is edited by globs that name companions, which have a `/` in their ids. No rule is edited
    /// that is about objects without a label named: a host is no mount beside `!/srv`.
    fn concern(&self, rule: &Rule) -> Concern {
        let class = rule.class.spec();
        if !self.matches.0.keys().all(|label| class.has_label(label)) {
            return Concern::None;
        }
        let Some(of) = &rule.silence.of else {
            return if self.rule.accepts(&rule.id) { Concern::Whole } else { Concern::None };
        };
        let names_companions = self.rule.0.iter().any(|g| g.contains('/'));
        if names_companions && self.rule.accepts(&rule.id) {
            Concern::Whole
        } else if self.rule.accepts(of) {
            Concern::Companion
        } else {
            Concern::None
        }
    }

    /// The part of `set` that is about this rule; `None` when the override is not.
    pub fn edits(&self, rule: &Rule) -> Option<Patch> {
        match self.concern(rule) {
            Concern::None => None,
            Concern::Whole => Some(self.set.clone()),
            Concern::Companion => Some(Patch {
                enabled: self.set.enabled.filter(|on| !on),
                labels: self.set.labels.clone(),
                ..Patch::default()
            }),
        }
    }
}

impl Patch {
    /// Replaces its keys in the rule and in every step; whether the rule is enabled is asked elsewhere.
    pub fn apply(&self, rule: &mut Rule) {
        for step in &mut rule.steps {
            step.severity = self.severity.unwrap_or(step.severity);
            step.impact = self.impact.or(step.impact);
            step.urgency = self.urgency.unwrap_or(step.urgency);
            step.for_ = self.for_.unwrap_or(step.for_);
            step.keep = self.keep.unwrap_or(step.keep);
        }
        rule.reopen = self.reopen.unwrap_or(rule.reopen);
        if let Some(title) = &self.title {
            rule.title.clone_from(title);
        }
        if let Some(runbook) = &self.runbook {
            rule.runbook = Some(runbook.clone());
        }
        rule.labels.extend(self.labels.clone());
    }
}

/// How long after its resolve an incident of that nature can be reopened, when the rule does not say.
pub const fn default_reopen(nature: Nature) -> i64 {
    match nature {
        Nature::Fault => HOUR,
        Nature::Degradation | Nature::Monitoring => 4 * HOUR,
        Nature::Capacity => 24 * HOUR,
    }
}

/// The least age at which a reference is called stale.
pub const STALE_LEAST: i64 = 30 * SECOND;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_let_the_last_match_decide() {
        let globs = |list: &[&str]| Globs(list.iter().map(|s| (*s).to_owned()).collect());
        assert!(globs(&["*", "!/run*"]).accepts("/data"));
        assert!(!globs(&["*", "!/run*"]).accepts("/run/user"));
        assert!(globs(&["!tmpfs"]).accepts("ext4"));
        assert!(!globs(&["!tmpfs"]).accepts("tmpfs"));
        assert!(globs(&["!/run*", "/run/keep"]).accepts("/run/keep"));
        assert!(!globs(&["sshd"]).accepts("sshd2"));
    }

    #[test]
    fn a_star_backtracks() {
        assert!(glob_matches("*.service", "a.b.service"));
        assert!(glob_matches("a*b*c", "axxbyybzc"));
        assert!(!glob_matches("a*b*c", "axxbyyb"));
        assert!(glob_matches("*", "") && glob_matches("**", "x") && glob_matches("", ""));
        assert!(!glob_matches("?", "") && !glob_matches("", "x"));
    }

    #[test]
    fn a_question_mark_is_one_character_of_any_width() {
        for (glob, text, matches) in [
            ("?", "é", true),
            ("??", "é", false),
            ("/d?ta", "/dátа", false),
            ("/d?ta", "/dáta", true),
            ("*?é", "éé", true),
            ("*?é", "é", false),
            ("*é", "日é", true),
        ] {
            assert_eq!(glob_matches(glob, text), matches, "{glob} {text}");
        }
    }
}
