//! `[collect]`, `[[check]]`, `[[destination]]`: the tables whose options the doors state.

use toml::de::DeValue;

use super::names;
use super::routing::{self, RawRouting};
use super::tables;
use crate::config::diagnose::{At, Finding, Report};
use crate::config::walk::{Key, Keys, Kind, LATER, Range, Sp, Walk};
use crate::config::{Doors, door, value};
use crate::engine::moment::{DAY, HOUR, MINUTE, SECOND};
use crate::engine::option::{DoorSpec, Options};

/// Shortest and longest sampling interval.
const INTERVAL: Range = SECOND / 10..=DAY;
/// Longest time of a probe.
const PROBE: Range = SECOND / 100..=HOUR;
/// Longest time of a request.
const REQUEST: Range = SECOND..=10 * MINUTE;

/// `[collect]`.
#[derive(Default)]
pub struct RawCollect {
    /// Interval of all collectors that name none, in nanoseconds.
    pub interval: Option<i64>,
    /// Collectors that are named.
    pub collectors: Vec<RawCollector>,
}

/// One key of `[collect]`.
pub struct RawCollector {
    /// Which.
    pub door: &'static DoorSpec,
    /// Its own interval.
    pub interval: Option<i64>,
    /// `None`: switched off.
    pub options: Option<Options>,
}

/// `[[check]]`.
pub struct RawCheck {
    /// Its id.
    pub id: (String, At),
    /// Its kind.
    pub door: &'static DoorSpec,
    /// In nanoseconds.
    pub interval: Option<i64>,
    /// In nanoseconds.
    pub timeout: Option<Sp<i64>>,
    /// The service it belongs to.
    pub service: Option<String>,
    /// Options of its kind.
    pub options: Options,
}

/// `[[destination]]`.
pub struct RawDestination {
    /// Its id.
    pub id: (String, At),
    /// Its kind.
    pub door: &'static DoorSpec,
    /// What it gets, when, and what comes back.
    pub routing: RawRouting,
    /// Operations per second.
    pub pace: Option<f64>,
    /// In nanoseconds.
    pub timeout: Option<i64>,
    /// Options of its kind.
    pub options: Options,
}

/// `[collect]` and the table of a collector, beside its options.
pub const COLLECT: Keys =
    Keys::of(&[Key::new("interval", Kind::Duration(INTERVAL), "how often it is read").or("10s")]);
pub const CHECK: Keys = Keys {
    known: &[
        Key::new("id", Kind::Form(value::ID), "names the check: label `check`").must(),
        Key::new("kind", Kind::Text, "what is asked, and how").must(),
        Key::new("interval", Kind::Duration(INTERVAL), "how often it is asked").or("that of [collect]"),
        Key::new("timeout", Kind::Duration(PROBE), "how long an answer may take").or("5s"),
        Key::new("service", Kind::Form(tables::NAME), "the service it belongs to"),
    ],
    later: &["ci", "labels"],
    instead: LATER,
    renamed: &[
        ("name", "id"),
        ("type", "kind"),
        ("every", "interval"),
        ("period", "interval"),
        ("host", "address (\"host:port\") of kind tcp, or url of kind http"),
        ("port", "address (\"host:port\") of kind tcp, or url of kind http"),
        ("path", "url of kind http"),
        ("command", "kind = \"tcp\" or kind = \"http\": programs are not run"),
    ],
};
pub const DESTINATION: Keys = Keys {
    known: &[
        Key::new("id", Kind::Form(value::ID), "names the destination in status and incidents").must(),
        Key::new("kind", Kind::Text, "the product").must(),
        Key::new("match", Kind::Table(&routing::MATCH), "which records it gets").or("all"),
        Key::new("pace", Kind::Form(value::PACE), "operations per time").or("unlimited"),
        Key::new("timeout", Kind::Duration(REQUEST), "of one request").or("30s"),
        Key::new(
            "read_back",
            Kind::Duration(routing::READ_BACK),
            "how often what people did is read; \"0\" = never",
        )
        .or("60s"),
        Key::new(
            "gone",
            Kind::Word(|| names(&routing::GONE)),
            "what becomes of an open record whose ticket is gone",
        )
        .or("recreate"),
        Key::new("fallback", Kind::Table(&routing::FALLBACK), "steps in while another destination is down"),
        Key::new("digest", Kind::Table(&routing::DIGEST), "low priorities wait and go together"),
    ],
    later: &["batch", "filter_labels"],
    instead: LATER,
    renamed: &[
        ("name", "id"),
        ("type", "kind"),
        ("filter", "match"),
        ("rate", "pace (\"5/s\")"),
        ("readback", "read_back"),
    ],
};
/// Reads `[collect]`: `interval` and one key per collector.
pub fn collect(walk: &Walk<'_>, doors: &Doors, report: &mut Report) -> RawCollect {
    let interval = walk.duration("interval", INTERVAL, report).map(|n| n.value);
    let mut collectors = Vec::new();
    for (key, value) in walk.entries() {
        if key.value == "interval" {
            continue;
        }
        let Some(door) = door::collector(&key, &doors.collectors, report) else { continue };
        let raw = match value.get_ref() {
            DeValue::Boolean(true) => {
                RawCollector { door, interval: None, options: Some(door::defaults(door)) }
            }
            DeValue::Boolean(false) => RawCollector { door, interval: None, options: None },
            DeValue::Table(items) => {
                let table = Walk::new(walk.at(value), format!("collector `{}`", door.kind), items);
                let options = door::options(&table, door, &COLLECT, report);
                let interval = table.duration("interval", INTERVAL, report).map(|n| n.value);
                RawCollector { door, interval, options: Some(options) }
            }
            _ => {
                let message = format!("collector `{}` is configured by a table", door.kind);
                let help = format!("write {0} = {{ … }}, or {0} = false to switch it off", door.kind);
                report.add(Finding::error(walk.at(value), message).help(help));
                continue;
            }
        };
        collectors.push(raw);
    }
    RawCollect { interval, collectors }
}

/// Reads one `[[check]]`.
pub fn check(walk: &Walk<'_>, doors: &Doors, report: &mut Report) -> Option<RawCheck> {
    let id = id(walk, "an id names the check in incidents, rules and services", report);
    let door = door::pick(walk, &doors.checks, &CHECK, report);
    let interval = walk.duration("interval", INTERVAL, report).map(|n| n.value);
    let timeout = walk.duration("timeout", PROBE, report);
    let service = walk.text_that("service", tables::name, report).map(|s| s.value);
    let door = door?;
    let options = door::options(walk, door, &CHECK, report);
    Some(RawCheck { id: id?, door, interval, timeout, service, options })
}

/// Reads one `[[destination]]`.
pub fn destination(walk: &Walk<'_>, doors: &Doors, report: &mut Report) -> Option<RawDestination> {
    let id = id(walk, "an id names the destination in status and incidents", report);
    let door = door::pick(walk, &doors.connectors, &DESTINATION, report);
    let routing = routing::routing(walk, door, doors, report);
    let pace = walk.text_that("pace", value::pace, report).map(|n| n.value);
    let timeout = walk.duration("timeout", REQUEST, report).map(|n| n.value);
    let door = door?;
    let options = door::options(walk, door, &DESTINATION, report);
    Some(RawDestination { id: id?, door, routing, pace, timeout, options })
}

fn id(walk: &Walk<'_>, help: &str, report: &mut Report) -> Option<(String, At)> {
    if !walk.has("id") {
        walk.missing("id", help, report);
    }
    walk.text_that("id", |text| value::id(text).map(|()| text.to_owned()), report).map(|s| (s.value, s.at))
}
