//! `[host]`, `[correlate]`, `[[service]]`, `[store]`, `[desk]`.

use std::collections::BTreeMap;

use crate::config::diagnose::{At, Finding, Report};
use crate::config::door::SECRET;
use crate::config::suggest::{nearest, one_of};
use crate::config::value;
use crate::config::walk::{Key, Keys, Kind, LATER, Range, Sp, Text, Walk, shorten};
use crate::engine::moment::{DAY, HOUR, SECOND};
use crate::engine::option::SecretRef;
use crate::engine::plan::Globs;
use crate::engine::signal::{CLASSES, Class};

/// `[host]`.
#[derive(Default)]
pub struct RawHost {
    pub name: Option<String>,
    pub id: Option<String>,
    pub labels: BTreeMap<String, String>,
    pub service: Option<String>,
    pub tier: Option<u8>,
}

/// `[correlate]`, in nanoseconds.
#[derive(Default)]
pub struct RawCorrelate {
    pub failure_gap: Option<i64>,
    pub flap_half_life: Option<i64>,
}

/// `[[service]]`.
pub struct RawService {
    pub name: (String, At),
    pub tier: Option<u8>,
    pub matches: BTreeMap<Class, Globs>,
}

/// `[store]`.
#[derive(Default)]
pub struct RawStore {
    pub dir: Option<String>,
    pub outbox: Option<u64>,
    pub history: Option<u64>,
    pub journal: Option<i64>,
}

/// `[reload]`.
#[derive(Default)]
pub struct RawReload {
    pub raise: Option<usize>,
    pub close: Option<usize>,
}

/// `[desk]`.
#[derive(Default)]
pub struct RawDesk {
    pub listen: Option<String>,
    pub dir: Option<String>,
    pub tokens: Option<SecretRef>,
}

/// How long after a clear a raise is still the same failure.
const GAP: Range = 0..=30 * DAY;
/// Memory of the flap counter.
const HALF_LIFE: Range = SECOND..=DAY;
/// Importance of a service or host.
const TIER: Range = 1..=3;
/// Incidents that a reload may raise or close.
const COUNT: Range = 0..=1_000_000;
/// Age of the oldest journal entry.
const JOURNAL: Range = HOUR..=value::LONGEST;
/// What [`name`] accepts, as a regular expression, length aside.
pub const NAME: &str = r"\S";

pub const HOST: Keys = Keys {
    known: &[
        Key::new("name", Kind::Form(NAME), "as people call this host").or("FQDN or host name"),
        Key::new("id", Kind::Form("^[0-9a-f]{16}$"), "names this host for ever; made of the machine-id"),
        Key::new("labels", Kind::Labels, "on every record of this host"),
        Key::new("service", Kind::Form(NAME), "service of whatever names none"),
        Key::new("tier", Kind::Int(TIER), "importance, 1 (high) to 3; used as impact").or("3"),
    ],
    later: &[],
    instead: LATER,
    renamed: &[("hostname", "name"), ("tags", "labels"), ("impact", "tier (1 to 3)")],
};
pub const CORRELATE: Keys = Keys::of(&[
    Key::new("failure_gap", Kind::Duration(GAP), "a raise this long after the last clear is a new failure")
        .or("10m"),
    Key::new("flap_half_life", Kind::Duration(HALF_LIFE), "memory of the flap counter").or("15m"),
]);
pub const SERVICE: Keys = Keys {
    known: &[
        Key::new("name", Kind::Form(NAME), "as rules, checks and records call it").must(),
        Key::new("tier", Kind::Int(TIER), "importance, 1 (high) to 3; used as impact").or("that of the host"),
        Key::new("match", Kind::GlobsByClass, "what belongs to it: per class, globs on its first label"),
    ],
    later: &[],
    instead: LATER,
    renamed: &[("id", "name")],
};
pub const STORE: Keys = Keys {
    known: &[
        Key::new("dir", Kind::Form("^/"), "directory of state.db and history.db").or("/var/lib/sexton"),
        Key::new("limits", Kind::Table(&LIMITS), "how large the files may become"),
    ],
    later: &[],
    instead: LATER,
    renamed: &[("path", "dir")],
};
pub const LIMITS: Keys = Keys::of(&[
    Key::new("outbox", Kind::Size, "what waits for destinations; at least 1MiB").or("1GiB"),
    Key::new("history", Kind::Size, "the sample history; \"0B\" keeps none").or("128MiB"),
    Key::new("journal", Kind::Duration(JOURNAL), "age of the oldest entry").or("400d"),
]);
pub const RELOAD: Keys = Keys {
    known: &[Key::new(
        "limit",
        Kind::Table(&RELOAD_LIMIT),
        "how much a reload may raise or close at once without being forced",
    )],
    later: &[],
    instead: LATER,
    renamed: &[("limits", "limit"), ("raise", "limit = { raise = … }"), ("close", "limit = { close = … }")],
};
pub const RELOAD_LIMIT: Keys = Keys::of(&[
    Key::new("raise", Kind::Int(COUNT), "incidents that would be raised, or rise in severity").or("10"),
    Key::new("close", Kind::Int(COUNT), "incidents that would end").or("10"),
]);
pub const DESK: Keys = Keys {
    known: &[
        Key::new("listen", Kind::Form(":[0-9]{1,5}$"), "address:port of the page").or("127.0.0.1:7878"),
        Key::new("dir", Kind::Form("^/"), "directory of desk.db").or("/var/lib/sexton-desk"),
        Key::new("tokens", Kind::Secret(&SECRET), "one token per line; who sends records must show one"),
    ],
    later: &[],
    instead: LATER,
    renamed: &[("token", "tokens"), ("address", "listen"), ("port", "listen (address:port)")],
};

/// Reads `[host]`.
pub fn host(walk: &Walk<'_>, report: &mut Report) -> RawHost {
    walk.check(&HOST, &[], report);
    RawHost {
        name: walk.text_that("name", name, report).map(|n| n.value),
        id: walk.text_that("id", host_id, report).map(|n| n.value),
        labels: labels(walk, report),
        service: walk.text_that("service", name, report).map(|n| n.value),
        tier: tier(walk, report),
    }
}

/// Reads `[correlate]`.
pub fn correlate(walk: &Walk<'_>, report: &mut Report) -> RawCorrelate {
    walk.check(&CORRELATE, &[], report);
    RawCorrelate {
        failure_gap: walk.duration("failure_gap", GAP, report).map(|n| n.value),
        flap_half_life: walk.duration("flap_half_life", HALF_LIFE, report).map(|n| n.value),
    }
}

/// Reads one `[[service]]`.
pub fn service(walk: &Walk<'_>, report: &mut Report) -> Option<RawService> {
    walk.check(&SERVICE, &[], report);
    if !walk.has("name") {
        walk.missing("name", "a service has a name that rules, checks and records use", report);
    }
    let name = walk.text_that("name", name, report);
    let tier = tier(walk, report);
    let mut matches = BTreeMap::new();
    if let Some(table) = walk.table("match", "`match` of a service", report) {
        for (key, value) in table.entries() {
            let Some(class) = class(&key, report) else { continue };
            if class.spec().identity.is_empty() {
                let message = format!("`{}` has no label to match", key.value);
                report
                    .add(Finding::error(key.at, message).help("a host's own service is [host] service = …"));
            } else if let Some(globs) = table.globs_of(&key.value, value, report) {
                matches.insert(class, globs);
            }
        }
    }
    name.map(|n| RawService { name: (n.value, n.at), tier, matches })
}

/// Reads `[store]`.
pub fn store(walk: &Walk<'_>, report: &mut Report) -> RawStore {
    walk.check(&STORE, &[], report);
    let mut raw =
        RawStore { dir: walk.text_that("dir", absolute, report).map(|d| d.value), ..RawStore::default() };
    if let Some(limits) = walk.table("limits", "`limits` of [store]", report) {
        limits.check(&LIMITS, &[], report);
        raw.outbox = size(&limits, "outbox", 1 << 20, report);
        raw.history = size(&limits, "history", 0, report);
        raw.journal = limits.duration("journal", JOURNAL, report).map(|d| d.value);
    }
    raw
}

/// Reads `[reload]`.
pub fn reload(walk: &Walk<'_>, report: &mut Report) -> RawReload {
    walk.check(&RELOAD, &[], report);
    let mut raw = RawReload::default();
    if let Some(limit) = walk.table("limit", "`limit` of [reload]", report) {
        limit.check(&RELOAD_LIMIT, &[], report);
        let mut count = |key: &str| limit.int(key, COUNT, report).and_then(|n| usize::try_from(n.value).ok());
        (raw.raise, raw.close) = (count("raise"), count("close"));
    }
    raw
}

/// Reads `[desk]`.
pub fn desk(walk: &Walk<'_>, report: &mut Report) -> RawDesk {
    walk.check(&DESK, &[], report);
    RawDesk {
        listen: walk.text_that("listen", address, report).map(|t| t.value),
        dir: walk.text_that("dir", absolute, report).map(|d| d.value),
        tokens: walk.get("tokens").and_then(|v| crate::config::door::secret(walk, "tokens", v, report)),
    }
}

/// A class by name, or what is wrong with it.
pub fn class(text: &Text, report: &mut Report) -> Option<Class> {
    const LATER: [&str; 8] = ["sensor", "cgroup", "plugin", "log", "beat", "slo", "exporter", "event"];
    if let Some(class) = Class::parse(&text.value) {
        return Some(class);
    }
    let names = || CLASSES.iter().map(|c| c.name);
    let message = match LATER.contains(&text.value.as_str()) {
        true => format!("class `{}` is not supported in this version", text.value),
        false => format!("there is no class `{}`", shorten(&text.value)),
    };
    let finding = Finding::error(text.at, message).help(format!("classes: {}", one_of(names())));
    report.add(match nearest(&text.value, names()) {
        Some(near) => finding.label(format!("did you mean `{near}`?")),
        None => finding,
    });
    None
}

/// The table `labels`: names to texts.
pub fn labels(walk: &Walk<'_>, report: &mut Report) -> BTreeMap<String, String> {
    let Some(table) = walk.table("labels", "`labels`", report) else { return BTreeMap::new() };
    let mut labels = BTreeMap::new();
    for (key, value) in table.entries() {
        if let Err(why) = value::ident(&key.value) {
            report.add(Finding::error(key.at, format!("label {:?} {why}", shorten(&key.value))));
        } else if let Some(text) = table.text_of(&key.value, value, report) {
            labels.insert(key.value, text.value);
        }
    }
    labels
}

/// A name of host or service: one line, not empty.
pub fn name(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("is empty".to_owned()),
        t if t.len() > 255 => Err("is longer than 255 characters".to_owned()),
        t if t.chars().any(char::is_control) => Err("has a control character".to_owned()),
        t => Ok(t.to_owned()),
    }
}

fn tier(walk: &Walk<'_>, report: &mut Report) -> Option<u8> {
    walk.int("tier", TIER, report).map(|Sp { value, .. }| value as u8)
}

fn size(walk: &Walk<'_>, key: &str, least: u64, report: &mut Report) -> Option<u64> {
    walk.text_that(
        key,
        |text| match value::size(text)? {
            n if n < least => Err(format!("is too small; at least {least} bytes")),
            n => Ok(n),
        },
        report,
    )
    .map(|n| n.value)
}

fn host_id(text: &str) -> Result<String, String> {
    let hex = text.len() == 16 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if hex { Ok(text.to_owned()) } else { Err("is no host id; it has 16 digits 0-9 a-f".to_owned()) }
}

fn absolute(text: &str) -> Result<String, String> {
    match text.starts_with('/') && !text.contains('\0') {
        true => Ok(text.to_owned()),
        false => Err("is no absolute path".to_owned()),
    }
}

fn address(text: &str) -> Result<String, String> {
    let parts = text.rsplit_once(':');
    match parts.filter(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok()) {
        Some(_) => Ok(text.to_owned()),
        None => Err("is no address; write address:port, such as \"127.0.0.1:7878\"".to_owned()),
    }
}
