//! One file as typed values with their places: keys checked, values of the right type and in range, nothing
//! filled in yet.
//!
//! What a single file can tell is checked here; what needs other files (duplicates, layers, the class of an
//! override) in `compile`. No serde shapes: the tables are walked by hand so that every message knows its
//! place.

use toml::de::DeTable;

use super::Doors;
use super::diagnose::{At, Finding, Report};
use super::source::Role;
use super::walk::{Key, Keys, Kind, LATER, Range, Walk};

mod action;
mod outside;
mod places;
mod relations;
mod routing;
mod rule;
mod tables;
mod template;
mod test;
mod window;

pub use action::RawAction;
pub use outside::{RawCheck, RawCollect, RawDestination};
pub use places::Place;
pub use relations::RawRelation;
pub use rule::{MOST_STEPS, RawDefaults, RawMeta, RawOverride, RawRule, RawStep};
pub use tables::{RawCorrelate, RawDesk, RawHost, RawReload, RawService, RawStore};
pub use template::Templates;
pub use test::RawTest;
pub use window::RawWindow;

/// The only version of the configuration format so far.
const SCHEMA: i64 = 1;
/// Numbers that could be a version.
const VERSIONS: Range = 1..=9999;

/// Everything one file says.
#[derive(Default)]
pub struct RawFile {
    /// `[host]`.
    pub host: Option<RawHost>,
    /// `[collect]`.
    pub collect: Option<RawCollect>,
    /// `[correlate]`.
    pub correlate: RawCorrelate,
    /// `[[service]]`.
    pub services: Vec<RawService>,
    /// `[[check]]`.
    pub checks: Vec<RawCheck>,
    /// `[[destination]]`.
    pub destinations: Vec<RawDestination>,
    /// `[store]`.
    pub store: Option<RawStore>,
    /// `[desk]`.
    pub desk: Option<RawDesk>,
    /// `[reload]`.
    pub reload: Option<RawReload>,
    /// `[defaults]`.
    pub defaults: RawDefaults,
    /// `[[rule]]`.
    pub rules: Vec<RawRule>,
    /// `[[override]]`.
    pub overrides: Vec<RawOverride>,
    /// `[[window]]`.
    pub windows: Vec<RawWindow>,
    /// `[[test]]`.
    pub tests: Vec<RawTest>,
}

/// The top level of a file.
pub const TOP: Keys = Keys {
    known: &[
        Key::new("schema", Kind::Int(SCHEMA..=SCHEMA), "version of the format").or("1"),
        Key::new("host", Kind::Table(&tables::HOST), "this host"),
        Key::new("collect", Kind::Collectors(&outside::COLLECT), "how often and what is read of this host"),
        Key::new("correlate", Kind::Table(&tables::CORRELATE), "how incidents are put together"),
        Key::new(
            "service",
            Kind::Tables(&tables::SERVICE),
            "what belongs together; the first that matches wins",
        ),
        Key::new("check", Kind::Checks(&outside::CHECK), "something that is asked"),
        Key::new("destination", Kind::Destinations(&outside::DESTINATION), "where records go"),
        Key::new("store", Kind::Table(&tables::STORE), "what is on disk"),
        Key::new("desk", Kind::Table(&tables::DESK), "what `sexton desk` serves"),
        Key::new("reload", Kind::Table(&tables::RELOAD), "what a change of the rules may do at once"),
        Key::new("defaults", Kind::Table(&rule::keys::DEFAULTS), "fills keys that rules leave out"),
        Key::new(
            "rule",
            Kind::Tables(&rule::keys::RULE),
            "what is watched, when it is a breach, when it is over",
        ),
        Key::new(
            "override",
            Kind::Tables(&rule::keys::OVERRIDE),
            "edits keys of rules, on some instances or all",
        ),
        Key::new("template", Kind::Named(&rule::keys::TEMPLATE), "keys that rules share: [template.NAME]"),
        Key::new("window", Kind::Tables(&window::WINDOW), "maintenance: nothing is raised meanwhile"),
        Key::new("test", Kind::Tables(&test::TEST), "proves a rule: `sexton test` plays it"),
    ],
    later: &[],
    instead: LATER,
    renamed: &[
        ("rules", "[[rule]]"),
        ("services", "[[service]]"),
        ("checks", "[[check]]"),
        ("destinations", "[[destination]]"),
        ("overrides", "[[override]]"),
        ("windows", "[[window]]"),
        ("maintenance", "[[window]]"),
        ("downtime", "[[window]]"),
        ("tests", "[[test]]"),
        ("default", "[defaults]"),
        ("templates", "[template.NAME]"),
        ("version", "schema = 1"),
        ("agent", "[host] or [collect]"),
        ("alert", "[[rule]]"),
        ("alerts", "[[rule]]"),
    ],
};

/// Tables that only the main file may hold.
pub const MAIN_ONLY: [&str; 5] = ["host", "collect", "store", "desk", "reload"];

/// Reads one parsed file.
pub fn read<'t>(
    file: u32,
    role: Role,
    items: &'t DeTable<'t>,
    templates: &Templates<'t>,
    doors: &Doors,
    report: &mut Report,
) -> RawFile {
    let top = Walk::new(At::new(file, 0..0), "the top level", items);
    if !schema(&top, report) {
        return RawFile::default();
    }
    top.check(&TOP, &[], report);
    if role == Role::DropIn {
        for table in MAIN_ONLY.into_iter().filter(|t| top.has(t)) {
            let message = format!("[{table}] cannot stand in a file of rules.d");
            report.add(
                Finding::error(top.key_at(table), message).help("move it to the main file, sexton.toml"),
            );
        }
    }
    let each = |key: &str, what: &str, report: &mut Report| top.tables(key, what, report);
    RawFile {
        host: top.table("host", "[host]", report).map(|w| tables::host(&w, report)),
        collect: top.table("collect", "[collect]", report).map(|w| outside::collect(&w, doors, report)),
        correlate: top
            .table("correlate", "[correlate]", report)
            .map(|w| tables::correlate(&w, report))
            .unwrap_or_default(),
        services: each("service", "[[service]]", report)
            .iter()
            .filter_map(|w| tables::service(w, report))
            .collect(),
        checks: each("check", "[[check]]", report)
            .iter()
            .filter_map(|w| outside::check(w, doors, report))
            .collect(),
        destinations: each("destination", "[[destination]]", report)
            .iter()
            .filter_map(|w| outside::destination(w, doors, report))
            .collect(),
        store: top.table("store", "[store]", report).map(|w| tables::store(&w, report)),
        desk: top.table("desk", "[desk]", report).map(|w| tables::desk(&w, report)),
        reload: top.table("reload", "[reload]", report).map(|w| tables::reload(&w, report)),
        defaults: top
            .table("defaults", "[defaults]", report)
            .map(|w| rule::defaults(&w, role, report))
            .unwrap_or_default(),
        rules: each("rule", "[[rule]]", report)
            .iter()
            .filter_map(|w| rule::rule(w, templates, report))
            .collect(),
        overrides: each("override", "[[override]]", report)
            .iter()
            .filter_map(|w| rule::override_(w, report))
            .collect(),
        windows: each("window", "[[window]]", report)
            .iter()
            .filter_map(|w| window::window(w, report))
            .collect(),
        tests: each("test", "[[test]]", report).iter().filter_map(|w| test::test(w, report)).collect(),
    }
}

/// The words of a table of words.
pub fn names<T>(table: &[(&'static str, T)]) -> Vec<&'static str> {
    table.iter().map(|(name, _)| *name).collect()
}

/// False when the file is of another version, of which nothing can be said.
fn schema(top: &Walk<'_>, report: &mut Report) -> bool {
    match top.int("schema", VERSIONS, report) {
        Some(found) if found.value != SCHEMA => {
            report.add(
                Finding::error(found.at, format!("schema {} is not known to this version", found.value))
                    .label(format!("this version reads schema {SCHEMA}"))
                    .help("a newer sexton wrote this file, or the number is a slip; without the key it is 1"),
            );
            false
        }
        _ => true,
    }
}
