//! `[[window]]`: maintenance windows.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use toml::de::DeValue;

use super::names;
use super::routing::words;
use super::rule::SEVERITIES;
use crate::config::diagnose::{At, Finding, Report};
use crate::config::suggest::nearest;
use crate::config::value;
use crate::config::walk::{Key, Keys, Kind, LATER, Range, Sp, Text, Walk, shorten};
use crate::engine::moment::{DAY, MINUTE, Stamp, human};
use crate::engine::plan::Globs;
use crate::engine::suppress::{Calendar, Covers, Mode, Opening, When, Window};

mod every;

/// A fixed window without `to` lasts this long.
const LASTS: i64 = DAY;
/// Longest fixed window.
const LONGEST: i64 = 400 * DAY;
/// Longest stretch of a flexible window.
const STRETCH: Range = MINUTE..=30 * DAY;
/// Longest change id or reason in bytes.
const LONGEST_TEXT: usize = 1024;

/// `[[window]]`.
pub struct RawWindow {
    pub at: At,
    pub id: (String, At),
    /// Globs on rules, with their places.
    pub rules: Vec<Text>,
    /// Globs on names of hosts.
    pub hosts: Globs,
    /// All it says, without its origin.
    pub window: Window,
}

pub const WINDOW: Keys = Keys {
    known: &[
        Key::new("id", Kind::Form(value::ID), "names the window in incidents, status and journal").must(),
        Key::new("match", Kind::Table(&MATCH), "what it is about").or("everything"),
        Key::new(
            "every",
            Kind::ListOf(every::FORM),
            "days and hours: \"sun 02:00-04:00\", \"2nd tue 20:00-23:00\"",
        ),
        Key::new("tz", Kind::Text, "a name of the tz database, such as \"Asia/Shanghai\"").or("UTC"),
        Key::new("from", Kind::Moment, "once: when it begins"),
        Key::new("to", Kind::Moment, "once: when it ends").or("24 h after `from`"),
        Key::new(
            "duration",
            Kind::Duration(STRETCH),
            "flexible: begins with the first raise and lasts that long",
        ),
        Key::new("mode", Kind::Word(|| names(&MODES)), "raise nothing, or raise and say so").or("suppress"),
        Key::new("change", Kind::Form(super::tables::NAME), "id of the change; incidents carry it"),
        Key::new("reason", Kind::Form(super::tables::NAME), "for people"),
    ],
    later: &[],
    instead: LATER,
    renamed: &[
        ("name", "id"),
        ("start", "from"),
        ("begin", "from"),
        ("end", "to"),
        ("until", "to"),
        ("timezone", "tz"),
        ("zone", "tz"),
        ("cron", "every = \"sun 02:00-04:00\""),
        ("days", "every = \"sat,sun 02:00-04:00\""),
        ("recurrence", "every"),
        ("for", "duration"),
        ("filter", "match"),
        ("ticket", "change"),
        ("comment", "reason"),
        ("description", "reason"),
        ("action", "mode = \"suppress\" or mode = \"tag\""),
    ],
};
const MATCH: Keys = Keys {
    known: &[
        Key::new("rule", Kind::Globs, "globs on ids of rules"),
        Key::new("service", Kind::Globs, "globs on the service"),
        Key::new("severity", Kind::Words(|| names(&SEVERITIES)), "severities"),
        Key::new("labels", Kind::GlobsByLabel, "globs per label of host, rule and instance"),
        Key::new("host", Kind::Globs, "globs on the name of this host"),
    ],
    later: &["ci"],
    instead: LATER,
    renamed: &[
        ("rules", "rule"),
        ("services", "service"),
        ("label", "labels"),
        ("mount", "labels = { mount = [\"…\"] }"),
        ("unit", "labels = { unit = [\"…\"] }"),
        ("check", "labels = { check = [\"…\"] }"),
        ("hosts", "host"),
    ],
};
const MODES: [(&str, Mode); 2] = [("suppress", Mode::Suppress), ("tag", Mode::Tag)];

/// Reads one `[[window]]`; `None` when it cannot be used.
pub fn window(walk: &Walk<'_>, report: &mut Report) -> Option<RawWindow> {
    let id = walk.text_that("id", |text| value::id(text).map(|()| text.to_owned()), report);
    let called = id.as_ref().map_or_else(|| "[[window]]".to_owned(), |id| format!("window `{}`", id.value));
    let named = walk.named(&called);
    named.check(&WINDOW, &[], report);
    if !walk.has("id") {
        walk.missing("id", "an id names the window in incidents and status: id = \"patch-night\"", report);
    }
    let (rules, hosts, covers) = covers(&named, report);
    let mode = named.word("mode", &MODES, report).map_or(Mode::Suppress, |m| m.value);
    let change = line(&named, "change", report);
    let reason = line(&named, "reason", report).unwrap_or_default();
    let lasts = named.duration("duration", STRETCH, report).map(|d| d.value);
    let when = when(&named, &called, report);
    let id = id.filter(|id| {
        let shell = id.value.starts_with("shell-");
        if shell {
            let finding =
                Finding::error(id.at, "an id that begins with `shell-` belongs to `sexton maintenance`");
            report.add(finding.help("choose another one"));
        }
        !shell
    })?;
    let window = Window {
        id: id.value.clone(),
        covers,
        when: when?,
        lasts,
        mode,
        change,
        reason,
        by: None,
        origin: String::new(),
    };
    Some(RawWindow { at: walk.at, id: (id.value, id.at), rules, hosts, window })
}

fn covers(walk: &Walk<'_>, report: &mut Report) -> (Vec<Text>, Globs, Covers) {
    let Some(table) = walk.table("match", "`match` of a window", report) else {
        return (Vec::new(), Globs::default(), Covers::default());
    };
    table.check(&MATCH, &[], report);
    let mut globs = |key: &str| -> Globs {
        table.get(key).and_then(|value| table.globs_of(key, value, report)).unwrap_or_default()
    };
    let (rule, service, host) = (globs("rule"), globs("service"), globs("host"));
    let rules = if rule.0.is_empty() { Vec::new() } else { table.list("rule", report).unwrap_or_default() };
    let severity = words(&table, "severity", &SEVERITIES, report);
    let mut labels = std::collections::BTreeMap::new();
    if let Some(by_label) = table.table("labels", "`labels` in `match`", report) {
        for (key, value) in by_label.entries() {
            if let Some(globs) = by_label.globs_of(&key.value, value, report) {
                labels.insert(key.value, globs);
            }
        }
    }
    (rules, host, Covers { rule, service, severity, labels })
}

/// One line of text, not empty.
fn line(walk: &Walk<'_>, key: &str, report: &mut Report) -> Option<String> {
    let accept = |text: &str| match text.trim() {
        "" => Err("is empty; leave the key out".to_owned()),
        t if t.len() > LONGEST_TEXT => Err(format!("is longer than {LONGEST_TEXT} bytes")),
        t if t.chars().any(char::is_control) => Err("has a control character".to_owned()),
        t => Ok(t.to_owned()),
    };
    walk.text_that(key, accept, report).map(|s| s.value)
}

fn when(walk: &Walk<'_>, called: &str, report: &mut Report) -> Option<When> {
    let (every, from) = (walk.has("every"), walk.has("from") || walk.has("to"));
    match (every, from) {
        (true, true) => {
            let key = if walk.has("from") { "from" } else { "to" };
            let message = format!("{called} has both `every` and `{key}`");
            report.add(
                Finding::error(walk.key_at(key), message).also(walk.key_at("every"), "it comes back").help(
                    "a window comes back (`every`) or is open once (`from` and `to`): make two of them",
                ),
            );
            None
        }
        (false, false) => {
            let help = "write every = \"sun 02:00-04:00\" and tz, or from = 2026-11-29T02:00:00Z and to";
            let finding = Finding::error(walk.at, format!("{called} does not say when it is open"));
            report.add(finding.help(help).absence());
            None
        }
        (true, false) => {
            let zone = zone(walk, report);
            let slots = every::slots(walk, report);
            if !walk.has("tz") {
                without_zone(walk, "every", report);
            }
            Some(When::Recurring(Calendar { slots: slots?, zone: zone? }))
        }
        (false, true) => fixed(walk, called, report).map(When::Fixed),
    }
}

fn without_zone(walk: &Walk<'_>, key: &str, report: &mut Report) {
    report.add(
        Finding::warning(walk.key_at(key), format!("{} has no `tz`: its times are UTC", walk.what))
            .help("write tz = \"Europe/Berlin\", or tz = \"UTC\" when that is meant"),
    );
}

/// `tz`, or UTC; `None` when it is wrong, which has been told.
fn zone(walk: &Walk<'_>, report: &mut Report) -> Option<TimeZone> {
    if !walk.has("tz") {
        return Some(TimeZone::UTC);
    }
    let text = walk.text("tz", report)?;
    let name = text.value.trim();
    if name.eq_ignore_ascii_case("utc") {
        return Some(TimeZone::UTC);
    }
    if let Ok(zone) = TimeZone::get(name) {
        return Some(zone);
    }
    let finding =
        Finding::error(text.at, format!("`tz`: there is no time zone {:?} on this host", shorten(name)));
    let known: Vec<String> = jiff::tz::db().available().map(|zone| zone.to_string()).collect();
    let last = |zone: &&String| zone.rsplit('/').next().is_some_and(|city| city.eq_ignore_ascii_case(name));
    let near = known.iter().find(last).map(String::as_str);
    let near = near.or_else(|| nearest(name, known.iter().map(String::as_str)));
    report.add(match near {
        Some(near) => finding.label(format!("did you mean \"{near}\"?")),
        None if known.is_empty() => {
            finding.help("this host has no time zones: install tzdata, or write tz = \"UTC\"")
        }
        None => finding.help("write a name of the tz database, such as \"Asia/Shanghai\""),
    });
    None
}

fn fixed(walk: &Walk<'_>, called: &str, report: &mut Report) -> Option<Opening> {
    let zone = zone(walk, report);
    if !walk.has("from") {
        walk.missing("from", "say when it begins: from = 2026-11-29T02:00:00Z", report);
    }
    let (from, to) = (time(walk, "from", report), time(walk, "to", report));
    let is_civil = |t: &Option<Sp<When1>>| t.is_some_and(|t| matches!(t.value, When1::Civil(_)));
    if !walk.has("tz") && (is_civil(&from) || is_civil(&to)) {
        without_zone(walk, if is_civil(&from) { "from" } else { "to" }, report);
    }
    let zone = zone?;
    let start = from?.value.stamp(&zone, false)?;
    let end = match to {
        Some(to) => to.value.stamp(&zone, true)?,
        None if walk.has("to") => return None,
        None => start.plus(LASTS),
    };
    let at = to.map_or(walk.key_at("from"), |to| to.at);
    if end <= start {
        report.add(Finding::error(at, format!("{called} ends before it begins")));
        return None;
    }
    if end.0 - start.0 > LONGEST {
        let message = format!("{called} lasts {}; at most {}", human(end.0 - start.0), human(LONGEST));
        let help =
            "a window without an end hides for ever: switch the rule off, or let it come back with `every`";
        report.add(Finding::error(at, message).help(help));
        return None;
    }
    Some(Opening { from: start, to: end })
}

/// A time as written.
#[derive(Clone, Copy)]
enum When1 {
    Instant(Stamp),
    Civil(DateTime),
}

impl When1 {
    /// The moment. A time that the clock shows twice means the first one as a beginning and the last one as
    /// an end; one that it skips is as much later.
    fn stamp(self, zone: &TimeZone, end: bool) -> Option<Stamp> {
        let civil = match self {
            When1::Instant(stamp) => return Some(stamp),
            When1::Civil(civil) => zone.to_ambiguous_timestamp(civil),
        };
        let timestamp = if end { civil.later() } else { civil.compatible() }.ok()?;
        i64::try_from(timestamp.as_nanosecond()).ok().map(Stamp)
    }
}

/// A date and time: of TOML or as text, with an offset or by `tz`.
fn time(walk: &Walk<'_>, key: &str, report: &mut Report) -> Option<Sp<When1>> {
    let value = walk.get(key)?;
    let at = walk.at(value);
    let text = match value.get_ref() {
        DeValue::Datetime(datetime) => datetime.to_string(),
        DeValue::String(text) => text.trim().to_owned(),
        _ => String::new(),
    };
    let read = |text: &str| -> Option<When1> {
        if let Ok(stamp) = text.parse::<Stamp>() {
            return Some(When1::Instant(stamp));
        }
        let has_time = text.contains(':');
        text.parse::<DateTime>().ok().filter(|_| has_time).map(When1::Civil)
    };
    let found = read(&text);
    if found.is_none() {
        let message = match text.is_empty() {
            true => format!("`{key}` must be a date with a time"),
            false => format!("`{key}`: {:?} is no date with a time", shorten(&text)),
        };
        let help = format!("write {key} = 2026-11-29T02:00:00Z, or \"2026-11-29 02:00\" with `tz`");
        report.add(Finding::error(at, message).help(help));
    }
    found.map(|value| Sp { value, at })
}
