//! What missing data means to a rule, and what is most likely behind a breach.
//!
//! A rule with `nodata_after`, and one that names its objects outright, has a companion: a rule of nature
//! monitoring, id `<rule>/nodata`, that is made with the plan, bound to the same instances and judged by the
//! same machines. So its incident is one of its own, closes by itself, can be overridden and is explained
//! like any other.

use crate::engine::moment::MINUTE;

/// A declared object of which nothing was ever seen is missing after this time, when its rule has no
/// `nodata_after`: as long as a restored incident waits for its object.
pub const EXPECTED_WITHIN: i64 = 10 * MINUTE;

/// What becomes of a rule whose data is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnMissing {
    /// Nothing: what is raised stays raised, nothing is raised.
    #[default]
    Hold,
    /// Missing data counts as a breach.
    Raise,
    /// Missing data counts as over.
    Clear,
}

/// What missing data means to a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Silence {
    /// Whether it counts as a breach, as over, or as neither.
    pub on_missing: OnMissing,
    /// After this time without data its companion raises; 0 = never, `None` = only for a declared object that
    /// was never seen. Nanoseconds.
    pub nodata_after: Option<i64>,
    /// This is the companion of the rule of that id.
    pub of: Option<String>,
}

/// What is behind an incident, as far as a rule can guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Cause {
    Hardware,
    Configuration,
    Load,
    Software,
    Dependency,
    Change,
    External,
    Unknown,
}

impl Cause {
    /// Every cause by its name in rule files and records.
    pub const NAMES: [(&str, Cause); 8] = [
        ("hardware", Cause::Hardware),
        ("configuration", Cause::Configuration),
        ("load", Cause::Load),
        ("software", Cause::Software),
        ("dependency", Cause::Dependency),
        ("change", Cause::Change),
        ("external", Cause::External),
        ("unknown", Cause::Unknown),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, cause)| *cause == self).map_or("unknown", |(name, _)| *name)
    }
}
