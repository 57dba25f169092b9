//! Configuration: TOML files in, a checked [`Config`] out, or every mistake with its place.
//!
//! The road is raw → compile → plan: [`source`] reads files, `syntax` parses them, `raw` gives every value
//! its type, `compile` puts the layers together (built-in < main file < rules.d < overrides) and compiles
//! conditions, [`diagnose`] says what is wrong. Nothing is validated twice and nothing is used unvalidated.
//! `config` must not know the doors: it is given their [`DoorSpec`]s; nor does it read anything but
//! configuration files: host facts are an argument.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::engine::option::{
    CheckPlan, CollectorPlan, DeskPlan, DestinationPlan, DoorSpec, HistoryPlan, StorePlan,
};
use crate::engine::plan::Plan;

mod compile;
pub mod diagnose;
pub mod difference;
mod door;
mod raw;
pub mod schema;
pub mod source;
mod suggest;
mod syntax;
pub mod test;
pub(crate) mod value;
mod walk;
pub mod watch;

pub use compile::{Layer, Origin, Origins, Relations, SwitchedOff};
pub use suggest::nearest;
pub use value::duration;

use diagnose::{Diagnostic, Diagnostics, Report};
use source::{Role, Source, Trouble};

/// The configuration in the binary: defaults, default rules, and their documentation.
pub const BUILTIN: &str = include_str!("../../config/sexton.toml");
/// The tests of its rules: read by those who ask for them, never by the daemon.
const BUILTIN_TESTS: &str = include_str!("../../config/tests.toml");
/// How messages call them.
const BUILTIN_TESTS_NAME: &str = "built-in/tests.toml";
/// How messages and origins call the configuration in the binary.
pub const BUILTIN_NAME: &str = "built-in/sexton.toml";
/// Where the configuration is looked for when nothing is said.
pub const DEFAULT_PATH: &str = "/etc/sexton";

/// The doors of this build: what may be written for collectors, checks and destinations.
#[derive(Clone, Default)]
pub struct Doors {
    /// Keys of `[collect]`.
    pub collectors: Vec<&'static DoorSpec>,
    /// Kinds of `[[check]]`.
    pub checks: Vec<&'static DoorSpec>,
    /// Kinds of `[[destination]]`.
    pub connectors: Vec<&'static DoorSpec>,
    /// Those of them that can send many records in one.
    pub digests: Vec<&'static str>,
    /// Those from which what people did is read back.
    pub reads: Vec<&'static str>,
}

/// What the host says of itself.
#[derive(Clone, Debug, Default)]
pub struct HostFacts {
    /// Content of /etc/machine-id; empty when there is none.
    pub machine_id: String,
    /// FQDN or host name.
    pub hostname: String,
}

/// A checked configuration, with every default filled in.
#[derive(Clone, Debug)]
pub struct Config {
    /// What the engine goes by.
    pub plan: Arc<Plan>,
    /// Collectors that are on, in the order of their table.
    pub collectors: Vec<CollectorPlan>,
    /// `[[check]]`.
    pub checks: Vec<CheckPlan>,
    /// `[[destination]]`.
    pub destinations: Vec<DestinationPlan>,
    /// `[store]`.
    pub store: StorePlan,
    /// `[store] limits.history`.
    pub history: HistoryPlan,
    /// `[desk]`.
    pub desk: DeskPlan,
    /// `[reload]`.
    pub reload: ReloadLimit,
    /// `[[test]]`, in the order of the files.
    pub tests: Vec<test::RuleTest>,
    /// Sampling interval in nanoseconds of everything that names none.
    pub interval: i64,
    /// Over the compiled meaning, 16 hex digits: formatting, comments and the order of files that do not
    /// differ do not matter.
    pub hash: String,
    /// Files that were read.
    pub files: Vec<PathBuf>,
    /// What works but is probably not meant.
    pub warnings: Vec<Diagnostic>,
}

/// `[reload] limit`: how much a reload may change at once of what people see. More than ten incidents that
/// open or close with a save of a file are a slip, on a host that has a handful of them on a bad day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReloadLimit {
    /// Most incidents that it may raise.
    pub raise: usize,
    /// Most incidents that it may close.
    pub close: usize,
}

impl Default for ReloadLimit {
    fn default() -> Self {
        Self { raise: 10, close: 10 }
    }
}

/// Loads a directory (`sexton.toml` and `rules.d/*.toml` in byte order) or a main file (with the `rules.d`
/// beside it).
///
/// # Errors
/// Every mistake in all files; `unreadable` when there is no such file or directory.
pub fn load(path: &Path, doors: &Doors, facts: &HostFacts) -> Result<Config, Diagnostics> {
    load_both(path, doors, facts, false).map(|(config, _)| config)
}

/// As [`load`], and where every key of every rule was written, which a daemon need not hold.
///
/// # Errors
/// See [`load`].
pub fn load_with_origins(
    path: &Path,
    doors: &Doors,
    facts: &HostFacts,
) -> Result<(Config, Origins), Diagnostics> {
    load_both(path, doors, facts, true)
}

fn load_both(
    path: &Path,
    doors: &Doors,
    facts: &HostFacts,
    wants_origins: bool,
) -> Result<(Config, Origins), Diagnostics> {
    let files = source::files(path).map_err(|trouble| unreadable(&trouble))?;
    let (mut sources, mut troubles) = (Vec::new(), Vec::new());
    for (i, file) in files.iter().enumerate() {
        let role = if i == 0 { Role::Main } else { Role::DropIn };
        match source::read(file) {
            Ok(text) => sources.push(Source::new(role, file.display().to_string(), text)),
            Err(trouble) if i == 0 && !file.is_file() => return Err(unreadable(&trouble)),
            Err(trouble) => troubles.push(trouble),
        }
    }
    let passed_over = || source::passed_over(path).into_iter().map(|file| diagnose::passed_over(&file));
    match build(sources, troubles, doors, facts, wants_origins) {
        Ok((mut config, origins)) => {
            config.files = files;
            config.warnings.extend(passed_over());
            Ok((config, origins))
        }
        Err(mut all) => {
            let before = all.items.len();
            all.items.extend(passed_over());
            all.warnings += all.items.len() - before;
            Err(all)
        }
    }
}

/// Loads texts: the first is the main file, the others are files of `rules.d`; none at all is the built-in
/// configuration.
///
/// # Errors
/// Every mistake in all texts.
pub fn load_texts(texts: &[(&str, &str)], doors: &Doors, facts: &HostFacts) -> Result<Config, Diagnostics> {
    build(sources(texts), Vec::new(), doors, facts, false).map(|(config, _)| config)
}

/// The built-in configuration alone, with the tests of its rules.
///
/// # Errors
/// Every mistake in them; a test of this crate sees to it that there is none.
pub fn load_builtin(doors: &Doors, facts: &HostFacts) -> Result<Config, Diagnostics> {
    load_texts(&[(BUILTIN_TESTS_NAME, BUILTIN_TESTS)], doors, facts)
}

/// As [`load_texts`], with the origins of [`load_with_origins`].
///
/// # Errors
/// Every mistake in all texts.
pub fn load_texts_with_origins(
    texts: &[(&str, &str)],
    doors: &Doors,
    facts: &HostFacts,
) -> Result<(Config, Origins), Diagnostics> {
    build(sources(texts), Vec::new(), doors, facts, true)
}

fn sources(texts: &[(&str, &str)]) -> Vec<Source> {
    let roles = std::iter::once(Role::Main).chain(std::iter::repeat(Role::DropIn));
    texts.iter().zip(roles).map(|((name, text), role)| Source::new(role, *name, *text)).collect()
}

fn unreadable(trouble: &Trouble) -> Diagnostics {
    Diagnostics { items: vec![diagnose::unreadable(trouble)], errors: 1, warnings: 0, unreadable: true }
}

fn build(
    sources: Vec<Source>,
    troubles: Vec<Trouble>,
    doors: &Doors,
    facts: &HostFacts,
    wants_origins: bool,
) -> Result<(Config, Origins), Diagnostics> {
    let mut all = vec![Source::new(Role::Builtin, BUILTIN_NAME, BUILTIN)];
    all.extend(sources);
    let texts: Vec<_> = all.iter().map(|s| (s.role, Arc::clone(&s.text))).collect();
    let mut report = Report::new(all);
    report.wants_origins = wants_origins;
    for trouble in troubles {
        report.trouble(trouble);
    }
    let mut tables = Vec::with_capacity(texts.len());
    for (index, (_, text)) in texts.iter().enumerate() {
        tables.push(syntax::parse(index as u32, text, &mut report));
    }
    let templates = raw::Templates::gather(tables.iter().map(|t| t.get_ref()), &mut report);
    let mut files = Vec::with_capacity(texts.len());
    for (index, ((role, _), table)) in texts.iter().zip(&tables).enumerate() {
        let read = raw::read(index as u32, *role, table.get_ref(), &templates, doors, &mut report);
        files.push((*role, read));
    }
    let (config, origins) = compile::compile(files, doors, facts, &mut report);
    let warnings = report.finish()?;
    Ok((Config { warnings, ..config }, origins))
}
