//! A raise that is kept, and its row.
//!
//! The row is JSON with `"v":1`: class and labels of the instance, times `[steady, wall]` in ns, the reason.
//! Steady deadlines of a row from before the wall was set back move with it. A row of another version, or one
//! that cannot be read, is left out: the machine that raised it is found without its incident at the start,
//! and raises again.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::engine::effect::{StateChange, Step};
use crate::engine::event::Event;
use crate::engine::moment::Moment;
use crate::engine::record::Severity;
use crate::engine::signal::{Class, Instance};

use super::{PARENT_WAIT, SETTLE, Suppression};

/// Kind of all rows.
pub(in crate::engine) const KIND: &str = "suppressed";
const VERSION: u32 = 1;
/// Longest reason of a raise in bytes that is kept with it.
const WHY_MOST: usize = 1024;

/// An instance of a rule that explains another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Parent {
    pub rule: String,
    /// Key of the instance.
    pub instance: String,
    /// Its fingerprint.
    pub print: String,
}

/// Why a raise is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum By {
    /// A maintenance window covers it.
    Window { id: String, change: Option<String> },
    /// A parent stands that explains it.
    Symptom { of: Parent },
    /// The parent has ended; raised at `until` (steady time) if it holds on.
    Settling { of: Parent, until: i64 },
    /// A parent is pending; raised at `until` (steady time) if it does not stand by then.
    Waiting { of: Parent, until: i64 },
}

/// A raise that is kept.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub instance: Arc<Instance>,
    pub severity: Severity,
    /// When it was kept first.
    pub at: Moment,
    /// When its condition was first true.
    pub since: Moment,
    /// What it said.
    pub why: String,
    pub by: By,
    /// The reason before this one.
    pub before: Option<By>,
    /// Id of the incident on which it was counted last.
    pub counted: Option<String>,
    /// It is due, and its instance has not been seen since a restart: no time makes it ready.
    pub unseen: bool,
}

#[derive(Serialize, Deserialize)]
struct Row {
    v: u32,
    class: String,
    labels: BTreeMap<String, String>,
    severity: Severity,
    at: (i64, i64),
    since: (i64, i64),
    why: String,
    by: By,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<By>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    counted: Option<String>,
}

impl By {
    /// The word of the contract.
    pub fn word(&self) -> &'static str {
        match self {
            By::Window { .. } => "maintenance",
            By::Symptom { .. } | By::Settling { .. } | By::Waiting { .. } => "dependency",
        }
    }

    /// When it ends by itself, in steady time.
    pub fn until(&self) -> Option<i64> {
        match self {
            By::Settling { until, .. } | By::Waiting { until, .. } => Some(*until),
            By::Window { .. } | By::Symptom { .. } => None,
        }
    }

    /// Nothing waits longer than it may when the clock was set back meanwhile.
    fn rewind(&mut self, now: i64) {
        match self {
            By::Settling { until, .. } => *until = (*until).min(now.saturating_add(SETTLE)),
            By::Waiting { until, .. } => *until = (*until).min(now.saturating_add(PARENT_WAIT)),
            By::Window { .. } | By::Symptom { .. } => {}
        }
    }
}

impl Kept {
    pub fn new(event: &Event, by: By) -> Self {
        Self {
            instance: Arc::clone(&event.instance),
            severity: event.severity,
            at: event.at,
            since: event.since,
            why: short(&event.why),
            by,
            before: None,
            counted: None,
            unseen: false,
        }
    }

    /// When time alone changes something about it, in steady time.
    pub fn due(&self) -> Option<i64> {
        self.by.until().filter(|_| !self.unseen)
    }

    /// Another step is the highest one.
    pub fn follow(&mut self, event: &Event) {
        self.severity = event.severity;
        self.why = short(&event.why);
    }

    fn row(&self) -> Option<String> {
        let pair = |m: Moment| (m.mono, m.wall);
        let row = Row {
            v: VERSION,
            class: self.instance.class.name().to_owned(),
            labels: self.instance.labels.clone(),
            severity: self.severity,
            at: pair(self.at),
            since: pair(self.since),
            why: self.why.clone(),
            by: self.by.clone(),
            before: self.before.clone(),
            counted: self.counted.clone(),
        };
        serde_json::to_string(&row).ok()
    }

    fn read(now: Moment, body: &str) -> Result<Self, String> {
        let row: Row = serde_json::from_str(body).map_err(|e| e.to_string())?;
        if row.v != VERSION {
            return Err(format!("unknown version {}", row.v));
        }
        let class = Class::parse(&row.class).ok_or_else(|| format!("unknown class {}", row.class))?;
        let moment = |(mono, wall): (i64, i64)| Moment { mono: mono.min(now.mono), wall };
        let mut by = row.by;
        by.rewind(now.mono);
        Ok(Self {
            instance: Arc::new(Instance::new(class, row.labels)),
            severity: row.severity,
            at: moment(row.at),
            since: moment(row.since),
            why: row.why,
            by,
            before: row.before,
            counted: row.counted,
            unseen: false,
        })
    }
}

impl Suppression {
    /// Takes back saved rows of the kinds `suppressed` and `window`; other kinds are not ours. Returns a
    /// sentence for each row that cannot be read; such a row is left out.
    pub fn restore(&mut self, now: Moment, rows: &[(String, String, String)]) -> Vec<String> {
        let mut bad = Vec::new();
        for (kind, key, body) in rows {
            let taken = match (kind.as_str(), key.split_once('|')) {
                (KIND, Some((rule, instance))) => Kept::read(now, body).map(|kept| {
                    self.kept.insert((rule.to_owned(), instance.to_owned()), kept);
                }),
                (super::windows::KIND, _) => self.windows.restore(key, body),
                _ => Ok(()),
            };
            if let Err(reason) = taken {
                bad.push(format!("cannot read state row {kind}/{key}: {reason}"));
            }
        }
        self.restless = true;
        bad
    }

    /// A raise is kept of which nothing else is known: that its machine was raised before a restart, and no
    /// incident and no row is left of it. It is judged as any other with the next look.
    pub fn keep_lost(&mut self, now: Moment, rule: String, instance: Arc<Instance>) {
        let key = (rule.clone(), instance.key().to_owned());
        let of = Parent { rule, instance: key.1.clone(), print: String::new() };
        let (severity, by) = (Severity::Warning, By::Settling { of, until: now.mono });
        let (why, before, counted) = (String::new(), None, None);
        let unseen = false;
        self.kept.entry(key).or_insert(Kept {
            unseen,
            instance,
            severity,
            at: now,
            since: now,
            why,
            by,
            before,
            counted,
        });
        self.restless = true;
    }

    /// Keeps a raise, in memory and on disk.
    pub(super) fn keep(&mut self, key: (String, String), kept: Kept, out: &mut Step) {
        put(out, &key, kept.row());
        self.kept.insert(key, kept);
    }

    /// Keeps a raise no longer.
    pub(super) fn drop_kept(&mut self, key: &(String, String), out: &mut Step) {
        if self.kept.remove(key).is_some() {
            put(out, key, None);
        }
    }
}

fn put(out: &mut Step, (rule, instance): &(String, String), body: Option<String>) {
    let key = format!("{rule}|{instance}");
    // The newest row of a step wins.
    out.state.push(StateChange { kind: KIND, key, body });
}

fn short(why: &str) -> String {
    let mut end = why.len().min(WHY_MOST);
    while !why.is_char_boundary(end) {
        end -= 1;
    }
    why[..end].to_owned()
}
