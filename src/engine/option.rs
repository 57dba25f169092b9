//! Options of doors: what may be written in the table of a collector, a check or a destination.
//!
//! Each door states its options in its own file as a table of [`OptionSpec`]; `config` checks what a user
//! wrote against that table and hands the door an [`Options`] in which every value has its type and every
//! absent key its default.

use std::collections::BTreeMap;

/// Lists of globs, as options use them.
pub use super::plan::{Globs, glob_matches};

/// What a door is and what may be written in its table.
pub struct DoorSpec {
    /// Its name in the configuration: `kind = "…"`, or the key in `[collect]`.
    pub kind: &'static str,
    /// One line for the reference.
    pub about: &'static str,
    /// Its options.
    pub options: &'static [OptionSpec],
    /// The signals it yields, by name; empty for destinations.
    pub signals: &'static [&'static str],
    /// What the options must satisfy together; the error is a sentence that says what is missing.
    pub check: fn(&Options) -> Result<(), String>,
}

/// Any combination of options will do.
pub fn any(_: &Options) -> Result<(), String> {
    Ok(())
}

/// One option of a door.
pub struct OptionSpec {
    /// The key.
    pub key: &'static str,
    /// What may stand there, and what stands there when nothing is written.
    pub kind: OptionKind,
    /// One line for the reference, with unit and range.
    pub about: &'static str,
}

/// The type of an option, with its default; `None` in a default means the key may be left out.
#[derive(Clone, Copy, Debug)]
pub enum OptionKind {
    /// Must be written: text.
    RequiredText,
    /// Text.
    Text(Option<&'static str>),
    /// A file by its absolute path: its content, read with the configuration, becomes the text.
    FileText,
    /// One of these words; the first is the default.
    Choice(&'static [&'static str]),
    /// A list of texts.
    List(&'static [&'static str]),
    /// `true` or `false`.
    Bool(bool),
    /// A whole number within a range: default, least, most.
    Int(i64, i64, i64),
    /// A duration such as `"10s"`, in nanoseconds; 0 as default means absent.
    Duration(i64),
    /// A secret by reference.
    Secret,
    /// A secret by reference that must be written.
    RequiredSecret,
    /// A table of texts, keys free (`map = { queue.incident = "Incidents" }`, dotted keys joined by dots).
    Map,
}

/// A value of an option after checking.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "one per OptionKind")]
pub enum OptionValue {
    Text(String),
    List(Vec<String>),
    Bool(bool),
    Int(i64),
    Duration(i64),
    Secret(SecretRef),
    Map(BTreeMap<String, String>),
}

/// Where a secret is to be read; never the secret itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretRef {
    /// A systemd credential: `$CREDENTIALS_DIRECTORY/<name>`.
    Credential(String),
    /// A file.
    File(String),
    /// An environment variable.
    Env(String),
}

impl std::fmt::Display for SecretRef {
    /// Where the secret is read, never the secret: `credential NAME`, `file /path`, `variable NAME`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Credential(name) => write!(f, "credential {name}"),
            Self::File(path) => write!(f, "file {path}"),
            Self::Env(name) => write!(f, "variable {name}"),
        }
    }
}

/// The checked options of one door.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options(pub BTreeMap<String, OptionValue>);

impl Options {
    /// A text; empty when absent.
    pub fn text(&self, key: &str) -> &str {
        match self.0.get(key) {
            Some(OptionValue::Text(t)) => t,
            _ => "",
        }
    }

    /// A list; empty when absent.
    pub fn list(&self, key: &str) -> &[String] {
        match self.0.get(key) {
            Some(OptionValue::List(l)) => l,
            _ => &[],
        }
    }

    /// A truth; false when absent.
    pub fn bool(&self, key: &str) -> bool {
        matches!(self.0.get(key), Some(OptionValue::Bool(true)))
    }

    /// A whole number; 0 when absent.
    pub fn int(&self, key: &str) -> i64 {
        match self.0.get(key) {
            Some(OptionValue::Int(n)) => *n,
            _ => 0,
        }
    }

    /// A duration in nanoseconds; 0 when absent.
    pub fn duration(&self, key: &str) -> i64 {
        match self.0.get(key) {
            Some(OptionValue::Duration(n)) => *n,
            _ => 0,
        }
    }

    /// A reference to a secret.
    pub fn secret(&self, key: &str) -> Option<&SecretRef> {
        match self.0.get(key) {
            Some(OptionValue::Secret(s)) => Some(s),
            _ => None,
        }
    }

    /// An entry of a map option.
    pub fn mapped(&self, key: &str, entry: &str) -> Option<&str> {
        match self.0.get(key) {
            Some(OptionValue::Map(m)) => m.get(entry).map(String::as_str),
            _ => None,
        }
    }
}

/// One collector as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct CollectorPlan {
    /// Its kind, the name in `collect`'s table.
    pub kind: &'static str,
    /// Sampling interval in nanoseconds.
    pub interval: i64,
    /// Its options.
    pub options: Options,
    /// Literal names that rules of class `proc` match, to be watched beside `proc.watch`; empty for other
    /// collectors.
    pub names: Vec<String>,
}

/// One `[[check]]` as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckPlan {
    /// Its id, the identity label `check`.
    pub id: String,
    /// `tcp`, `http`, …
    pub kind: &'static str,
    /// Probe interval in nanoseconds.
    pub interval: i64,
    /// Longest time a probe may take, in nanoseconds.
    pub timeout: i64,
    /// Its options.
    pub options: Options,
}

/// One `[[destination]]` as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct DestinationPlan {
    /// Its id.
    pub id: String,
    /// The connector's kind.
    pub kind: &'static str,
    /// Which records it gets.
    pub filter: Filter,
    /// Operations per second at most; 0 = unlimited.
    pub pace: f64,
    /// Longest time one request may take, in nanoseconds.
    pub timeout: i64,
    /// How often what people did there is read back, in nanoseconds; 0 = never.
    pub read_back: i64,
    /// What becomes of an open record whose ticket is gone there.
    pub gone: Gone,
    /// It gets records only while another destination is down.
    pub fallback: Option<Fallback>,
    /// Records of low priority are kept and sent together.
    pub digest: Option<Digest>,
    /// The connector's options (`url`, `token`, `map`, …).
    pub options: Options,
}

/// What becomes of an open record whose ticket is found to be gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gone {
    /// The ticket is made anew.
    #[default]
    Recreate,
    /// Nothing.
    Leave,
}

/// Steps in for another destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// Id of the other destination.
    pub of: String,
    /// How long that one must have been down, in nanoseconds.
    pub after: i64,
}

/// What is kept back to be sent together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// Between two digests, in nanoseconds.
    pub every: i64,
    /// Priorities that can wait.
    pub priority: Vec<super::record::Priority>,
}

/// Which records a destination gets. An empty list lets everything pass.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// `incident`, `problem`; links pass with both.
    pub record: Vec<super::effect::RecordKind>,
    /// Priorities.
    pub priority: Vec<super::record::Priority>,
    /// Severities.
    pub severity: Vec<super::record::Severity>,
    /// Natures; a problem has none and passes.
    pub nature: Vec<super::record::Nature>,
    /// Business services; a record without one does not pass.
    pub service: Globs,
    /// Labels, each with what its value must match; a record without that label does not pass.
    pub labels: BTreeMap<String, Globs>,
    /// Categories, `area/topic`.
    pub category: Globs,
    /// Rules; a problem has none and passes.
    pub rule: Globs,
}

/// The store as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct StorePlan {
    /// Its directory.
    pub dir: std::path::PathBuf,
    /// Largest size of the outbox in bytes.
    pub outbox_limit: u64,
    /// Journal entries older than this are dropped, in nanoseconds.
    pub journal_limit: i64,
}

/// The sample history as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryPlan {
    /// Its directory, which is the store's.
    pub dir: std::path::PathBuf,
    /// Largest size of its file in bytes; less than 1 MiB = none is kept.
    pub limit: u64,
}

/// The desk as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct DeskPlan {
    /// `address:port` to listen on.
    pub listen: String,
    /// Its directory.
    pub dir: std::path::PathBuf,
    /// One token per line; whoever sends records must show one.
    pub tokens: Option<SecretRef>,
}
