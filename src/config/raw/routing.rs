//! What a `[[destination]]` says about which records it gets and when: `match`, `fallback`, `digest`,
//! `read_back`, `gone`.

use std::collections::BTreeMap;

use super::names;
use super::rule::{NATURES, SEVERITIES};
use crate::config::diagnose::{At, Finding, Report};
use crate::config::walk::{Key, Keys, Kind, LATER, Range, Walk, shorten};
use crate::config::{Doors, value};
use crate::engine::effect::RecordKind;
use crate::engine::moment::{DAY, MINUTE, SECOND};
use crate::engine::option::{Digest, DoorSpec, Filter, Gone};
use crate::engine::plan::Globs;
use crate::engine::record::Priority;

/// How long the other destination is down before a fallback steps in, when nothing is said.
const AFTER: i64 = 15 * MINUTE;

/// How a destination is reached and what comes back from it.
#[derive(Default)]
pub struct RawRouting {
    /// `match`.
    pub filter: Filter,
    /// In nanoseconds; 0 = never.
    pub read_back: Option<i64>,
    /// What becomes of a ticket that is gone.
    pub gone: Option<Gone>,
    /// The destination it steps in for, with its place, and after how many nanoseconds.
    pub fallback: Option<((String, At), i64)>,
    /// What is kept to be sent together.
    pub digest: Option<Digest>,
}

/// How often it is read back; 0 = never.
pub const READ_BACK: Range = 0..=DAY;
/// How long the other destination is down before a fallback steps in.
const AFTER_RANGE: Range = SECOND..=30 * DAY;
/// Between two digests.
const DIGEST_EVERY: Range = MINUTE..=DAY;

pub const MATCH: Keys = Keys {
    known: &[
        Key::new("record", Kind::Words(|| names(&RECORDS)), "kinds of records"),
        Key::new("priority", Kind::Words(|| names(&PRIORITIES)), "priorities that it has or had"),
        Key::new("severity", Kind::Words(|| names(&SEVERITIES)), "severities"),
        Key::new("nature", Kind::Words(|| names(&NATURES)), "natures of incidents"),
        Key::new("service", Kind::Globs, "globs on the service"),
        Key::new("labels", Kind::GlobsByLabel, "globs per label; each must match"),
        Key::new("category", Kind::Globs, "globs on area/topic"),
        Key::new("rule", Kind::Globs, "globs on ids of rules"),
    ],
    later: &["host"],
    instead: LATER,
    renamed: &[
        ("label", "labels"),
        ("kind", "record"),
        ("records", "record"),
        ("rules", "rule"),
        ("services", "service"),
        ("tags", "labels"),
    ],
};
pub const FALLBACK: Keys = Keys {
    known: &[
        Key::new("of", Kind::Form(value::ID), "the destination it steps in for").must(),
        Key::new("after", Kind::Duration(AFTER_RANGE), "how long that one must have been down").or("15m"),
    ],
    later: &[],
    instead: LATER,
    renamed: &[("for", "of"), ("destination", "of"), ("delay", "after")],
};
pub const DIGEST: Keys = Keys {
    known: &[
        Key::new("every", Kind::Duration(DIGEST_EVERY), "how often it is sent").must(),
        Key::new("priority", Kind::Words(|| names(PATIENT)), "what can wait").or("P4 and P5"),
    ],
    later: &[],
    instead: LATER,
    renamed: &[("interval", "every"), ("priorities", "priority")],
};
/// Priorities by name.
pub const PRIORITIES: [(&str, Priority); 5] = [
    ("P1", Priority::P1),
    ("P2", Priority::P2),
    ("P3", Priority::P3),
    ("P4", Priority::P4),
    ("P5", Priority::P5),
];

const RECORDS: [(&str, RecordKind); 2] =
    [("incident", RecordKind::Incident), ("problem", RecordKind::Problem)];
/// What becomes of a record whose ticket is gone.
pub const GONE: [(&str, Gone); 2] = [("recreate", Gone::Recreate), ("leave", Gone::Leave)];
/// What is pressing does not wait.
const PATIENT: &[(&str, Priority)] = PRIORITIES.split_at(2).1;

/// Reads these keys of one `[[destination]]`.
pub fn routing(
    walk: &Walk<'_>,
    door: Option<&'static DoorSpec>,
    doors: &Doors,
    report: &mut Report,
) -> RawRouting {
    let filter = walk.table("match", "`match` of a destination", report);
    RawRouting {
        filter: filter.map(|w| filter_of(&w, report)).unwrap_or_default(),
        read_back: read_back(walk, door, doors, report),
        gone: gone(walk, door, doors, report),
        fallback: fallback(walk, report),
        digest: digest(walk, door, doors, report),
    }
}

fn filter_of(walk: &Walk<'_>, report: &mut Report) -> Filter {
    walk.check(&MATCH, &[], report);
    let mut globs = |key: &str| -> Globs {
        walk.get(key).and_then(|value| walk.globs_of(key, value, report)).unwrap_or_default()
    };
    let (service, category, rule) = (globs("service"), globs("category"), globs("rule"));
    let labels = walk.table("labels", "`labels` in `match`", report);
    let mut by_label = BTreeMap::new();
    for (key, value) in labels.iter().flat_map(Walk::entries) {
        if let Some(globs) = walk.globs_of(&key.value, value, report) {
            by_label.insert(key.value, globs);
        }
    }
    Filter {
        record: words(walk, "record", &RECORDS, report),
        priority: words(walk, "priority", &PRIORITIES, report),
        severity: words(walk, "severity", &SEVERITIES, report),
        nature: words(walk, "nature", &NATURES, report),
        service,
        labels: by_label,
        category,
        rule,
    }
}

/// A list of words; an empty list would let everything pass, which nobody means.
pub(super) fn words<T: Copy>(
    walk: &Walk<'_>,
    key: &str,
    table: &[(&'static str, T)],
    report: &mut Report,
) -> Vec<T> {
    let Some(texts) = walk.list(key, report) else { return Vec::new() };
    if texts.is_empty() {
        let finding = Finding::error(walk.key_at(key), format!("`{key}` is an empty list"));
        report.add(finding.help("leave the key out to let everything pass"));
    }
    let found = texts.iter().filter_map(|t| walk.word_of(key, t, table, report));
    found.map(|s| s.value).collect()
}

fn read_back(
    walk: &Walk<'_>,
    door: Option<&'static DoorSpec>,
    doors: &Doors,
    report: &mut Report,
) -> Option<i64> {
    let every = walk.duration("read_back", READ_BACK, report)?;
    if every.value > 0 && every.value < SECOND {
        let finding = Finding::error(every.at, "`read_back` is shorter than a second");
        report.add(finding.help("write \"0\" for never"));
        return None;
    }
    if every.value > 0 {
        able(walk, "read_back", door, &doors.reads, "nothing can be read back from it", report);
    }
    Some(every.value)
}

fn gone(
    walk: &Walk<'_>,
    door: Option<&'static DoorSpec>,
    doors: &Doors,
    report: &mut Report,
) -> Option<Gone> {
    let gone = walk.word("gone", &GONE, report)?;
    able(walk, "gone", door, &doors.reads, "nothing can be read back from it", report);
    Some(gone.value)
}

fn fallback(walk: &Walk<'_>, report: &mut Report) -> Option<((String, At), i64)> {
    let table = walk.table("fallback", "`fallback`", report)?;
    table.check(&FALLBACK, &[], report);
    if !table.has("of") {
        table.missing("of", "name the destination it steps in for: of = \"rt\"", report);
    }
    let after = table.duration("after", AFTER_RANGE, report).map_or(AFTER, |n| n.value);
    let of = table.text_that("of", |text| value::id(text).map(|()| text.to_owned()), report)?;
    Some(((of.value, of.at), after))
}

fn digest(
    walk: &Walk<'_>,
    door: Option<&'static DoorSpec>,
    doors: &Doors,
    report: &mut Report,
) -> Option<Digest> {
    let table = walk.table("digest", "`digest`", report)?;
    able(walk, "digest", door, &doors.digests, "it sends records one by one", report);
    table.check(&DIGEST, &[], report);
    if !table.has("every") {
        table.missing("every", "say how often it is sent: every = \"1h\"", report);
    }
    let every = table.duration("every", DIGEST_EVERY, report).map(|n| n.value);
    let priority = match table.has("priority") {
        true => words(&table, "priority", PATIENT, report),
        false => vec![Priority::P4, Priority::P5],
    };
    Some(Digest { every: every?, priority })
}

/// Reports a key that makes no sense for this kind of destination.
fn able(
    walk: &Walk<'_>,
    key: &str,
    door: Option<&'static DoorSpec>,
    kinds: &[&'static str],
    why: &str,
    report: &mut Report,
) {
    let Some(door) = door.filter(|door| !kinds.contains(&door.kind)) else { return };
    let message = format!("`{key}` does nothing for kind `{}`: {why}", shorten(door.kind));
    report.add(Finding::error(walk.key_at(key), message).help("take it out"));
}
