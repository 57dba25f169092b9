//! Which maintenance windows are open: those of the configuration and those started from the shell.
//!
//! Owns what outlives a restart: a row `window / open|ID` per opening that has begun (so that its beginning
//! is told once, a flexible one begins once per span, and one ended early stays so), `window / shell|ID` per
//! window from the shell, `window / |count` for their numbers. Windows go by wall time. This file must not
//! know what is raised.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::calendar::{Opening, When};
use super::terms::{Covers, Mode, Subject, Window};
use crate::engine::effect::{Maintenance, StateChange, Step};
use crate::engine::moment::{DAY, MINUTE, Stamp};

/// Kind of all rows.
pub(super) const KIND: &str = "window";
/// Version of the rows.
const VERSION: u32 = 1;
const OPEN: &str = "open|";
const SHELL: &str = "shell|";
const COUNT: &str = "|count";
/// Windows from the shell at the same time.
pub const SHELL_MOST: usize = 100;
/// Shortest and longest window from the shell.
pub const SHELL_LASTS: std::ops::RangeInclusive<i64> = MINUTE..=30 * DAY;
/// Longest reason in bytes.
const REASON_MOST: usize = 1024;

/// An opening that has begun.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Begun {
    opening: Opening,
    /// For a flexible window: when it might begin.
    span: Option<Opening>,
    /// Ended early.
    over: bool,
}

/// A window that has opened or closed.
#[derive(Clone, Debug)]
pub(super) struct Turned {
    pub id: String,
    /// `None`: the configuration has no such window any more.
    pub window: Option<Arc<Window>>,
    pub opening: Opening,
    pub is_open: bool,
}

/// All windows and which of them are open.
#[derive(Clone, Debug, Default)]
pub(super) struct Windows {
    planned: Vec<Arc<Window>>,
    shell: BTreeMap<String, Arc<Window>>,
    begun: BTreeMap<String, Begun>,
    active: Vec<(Arc<Window>, Opening)>,
    /// Wall time within which nothing turns by itself.
    valid: Option<(i64, i64)>,
    count: u64,
    /// What has been ended since the last refresh.
    ended: Vec<Turned>,
}

#[derive(Serialize, Deserialize)]
struct OpenRow {
    v: u32,
    from: i64,
    to: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    span: Option<(i64, i64)>,
    #[serde(default)]
    over: bool,
}

#[derive(Serialize, Deserialize)]
struct ShellRow {
    v: u32,
    from: i64,
    to: i64,
    mode: Mode,
    reason: String,
    by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    change: Option<String>,
    covers: Covers,
}

#[derive(Serialize, Deserialize)]
struct CountRow {
    v: u32,
    started: u64,
}

impl Windows {
    pub fn new(planned: &[Arc<Window>]) -> Self {
        Self { planned: planned.to_vec(), ..Self::default() }
    }

    /// Goes by other windows of the configuration from now on.
    pub fn reload(&mut self, planned: &[Arc<Window>]) {
        self.planned = planned.to_vec();
        self.valid = None;
    }

    /// Windows that are open, in the order of the configuration, then those of the shell.
    pub fn active(&self) -> &[(Arc<Window>, Opening)] {
        &self.active
    }

    /// No window is open or may begin: a raise need not ask.
    pub fn is_idle(&self) -> bool {
        self.active.is_empty() && self.planned.iter().all(|window| window.lasts.is_none())
    }

    /// Every window, open or not.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Window>> {
        self.planned.iter().chain(self.shell.values())
    }

    /// A flexible window has not begun in its present span.
    pub fn may_begin(&self, id: &str) -> bool {
        !self.begun.contains_key(id)
    }

    /// When a window turns next, in wall time; `i64::MAX` for never, now or earlier when that is not known.
    pub fn due(&self) -> i64 {
        self.valid.map_or(i64::MIN, |(_, to)| to)
    }

    /// The first open window of that mode that is about it.
    pub fn covering(&self, mode: Mode, subject: &Subject<'_>) -> Option<&(Arc<Window>, Opening)> {
        self.active.iter().find(|(window, _)| window.mode == mode && window.covers.accepts(subject))
    }

    /// Follows the wall clock: returns what has opened and closed since the last call.
    pub fn refresh(&mut self, now: Stamp, out: &mut Step) -> Vec<Turned> {
        if self.valid.is_some_and(|(from, to)| (from..to).contains(&now.0)) {
            return Vec::new();
        }
        self.follow_back(now, out);
        let mut turned = std::mem::take(&mut self.ended);
        let mut next = i64::MAX;
        for window in self.planned.clone().iter().chain(self.shell.clone().values()) {
            let was = self.begun.get(&window.id).copied();
            let is = is_begun(window, was, now);
            self.set(&window.id, was, is, out);
            let is_open = |b: &Begun| b.opening.contains(now) && !b.over;
            match (was.filter(|b| !b.over), is.filter(is_open)) {
                (None, Some(b)) => turned.push(Turned::new(window, b.opening, true)),
                (Some(b), None) => turned.push(Turned::new(window, b.opening, false)),
                _ => {}
            }
            next = next.min(self.next_turn(window, is, now));
        }
        self.forget_gone(now, &mut turned, out);
        self.valid = Some((now.0, next));
        self.list_active(now);
        turned
    }

    /// A flexible window that may begin and is about this raise begins with it.
    pub fn begin(&mut self, now: Stamp, subject: &Subject<'_>, out: &mut Step) -> Option<Turned> {
        let may = |w: &Arc<Window>| {
            let (span, lasts) = (w.when.at(now)?, w.lasts?);
            let begins = !self.begun.contains_key(&w.id) && w.covers.accepts(subject);
            begins.then(|| (Arc::clone(w), span, lasts))
        };
        let (window, span, lasts) = self.planned.iter().find_map(may)?;
        let opening = Opening { from: now, to: now.plus(lasts) };
        self.set(&window.id, None, Some(Begun { opening, span: Some(span), over: false }), out);
        self.valid = self.valid.map(|(_, to)| (now.0, to.min(opening.to.0)));
        self.list_active(now);
        Some(Turned::new(&window, opening, true))
    }

    /// Opens a window from the shell.
    ///
    /// # Errors
    /// A sentence that says why not: no reason, too long, too many.
    pub fn start(&mut self, now: Stamp, ask: &Maintenance, out: &mut Step) -> Result<Arc<Window>, String> {
        let reason = ask.reason.trim();
        if reason.is_empty() {
            return Err("a maintenance window needs a reason".to_owned());
        }
        if reason.len() > REASON_MOST {
            return Err(format!("the reason has {} bytes; at most {REASON_MOST} are taken", reason.len()));
        }
        if !SHELL_LASTS.contains(&ask.lasts) {
            return Err("a window from the shell lasts from 1m to 30d".to_owned());
        }
        if self.shell.len() >= SHELL_MOST {
            return Err(format!("{SHELL_MOST} windows from the shell are open; end one first"));
        }
        loop {
            self.count += 1;
            if self.all().all(|w| w.id != format!("shell-{}", self.count)) {
                break;
            }
        }
        let id = format!("shell-{}", self.count);
        let opening = Opening { from: now, to: now.plus(ask.lasts) };
        let window = Window {
            id: id.clone(),
            covers: Covers::of(ask),
            when: When::Fixed(opening),
            lasts: None,
            mode: if ask.tag { Mode::Tag } else { Mode::Suppress },
            change: ask.change.clone().filter(|c| !c.trim().is_empty()),
            reason: reason.to_owned(),
            by: Some(ask.by.clone()),
            origin: "shell".to_owned(),
        };
        let count = CountRow { v: VERSION, started: self.count };
        put(out, COUNT.to_owned(), serde_json::to_string(&count).ok());
        put(out, format!("{SHELL}{id}"), row_of(&window, opening));
        let window = Arc::new(window);
        self.shell.insert(id, Arc::clone(&window));
        self.valid = None;
        Ok(window)
    }

    /// Ends an open window early, wherever it comes from.
    ///
    /// # Errors
    /// There is no such window, or it is not open.
    pub fn end(&mut self, now: Stamp, id: &str, out: &mut Step) -> Result<(), String> {
        if self.shell.remove(id).is_some() {
            put(out, format!("{SHELL}{id}"), None);
        } else {
            let Some(window) = self.planned.iter().find(|w| w.id == id).cloned() else {
                return Err(format!("there is no maintenance window {id}"));
            };
            let open = |b: &Begun| b.opening.contains(now) && !b.over;
            let Some(begun) = self.begun.get(&window.id).copied().filter(open) else {
                return Err(format!("the maintenance window {id} is not open"));
            };
            self.set(id, Some(begun), Some(Begun { over: true, ..begun }), out);
            let opening = Opening { from: begun.opening.from, to: now };
            self.ended.push(Turned::new(&window, opening, false));
        }
        self.valid = None;
        Ok(())
    }

    /// Takes back a saved row.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn restore(&mut self, key: &str, body: &str) -> Result<(), String> {
        let version = |v: u32| if v == VERSION { Ok(()) } else { Err(format!("unknown version {v}")) };
        if let Some(id) = key.strip_prefix(OPEN) {
            let row: OpenRow = serde_json::from_str(body).map_err(|e| e.to_string())?;
            version(row.v)?;
            let span = row.span.map(|(from, to)| Opening { from: Stamp(from), to: Stamp(to) });
            let opening = Opening { from: Stamp(row.from), to: Stamp(row.to) };
            self.begun.insert(id.to_owned(), Begun { opening, span, over: row.over });
        } else if let Some(id) = key.strip_prefix(SHELL) {
            let row: ShellRow = serde_json::from_str(body).map_err(|e| e.to_string())?;
            version(row.v)?;
            self.shell.insert(id.to_owned(), Arc::new(shell_window(id, row)));
        } else if key == COUNT {
            let row: CountRow = serde_json::from_str(body).map_err(|e| e.to_string())?;
            version(row.v)?;
            self.count = self.count.max(row.started);
        }
        self.valid = None;
        Ok(())
    }

    /// A window from the shell began "now": when the clock was set back behind that, it moves with it and
    /// lasts no longer than it was to.
    fn follow_back(&mut self, now: Stamp, out: &mut Step) {
        let ahead = |w: &Window| matches!(w.when, When::Fixed(o) if o.from > now);
        for (id, window) in self.shell.iter_mut().filter(|(_, w)| ahead(w)) {
            let When::Fixed(opening) = window.when else { continue };
            let opening = opening.moved_to(now);
            let moved = Window { when: When::Fixed(opening), ..Window::clone(window) };
            put(out, format!("{SHELL}{id}"), row_of(&moved, opening));
            *window = Arc::new(moved);
        }
    }

    fn list_active(&mut self, now: Stamp) {
        let open = |w: &Arc<Window>| {
            let begun = self.begun.get(&w.id).filter(|b| b.opening.contains(now) && !b.over)?;
            Some((Arc::clone(w), begun.opening))
        };
        self.active = self.all().filter_map(open).collect();
    }

    fn next_turn(&self, window: &Window, begun: Option<Begun>, now: Stamp) -> i64 {
        let later = |at: Stamp| Some(at.0).filter(|at| *at > now.0);
        let ends = begun.and_then(|b| later(b.opening.to));
        let span_ends = begun.and_then(|b| b.span).and_then(|s| later(s.to));
        let begins = window.when.next(now).map(|o| o.from.0);
        ends.into_iter().chain(span_ends).chain(begins).min().unwrap_or(i64::MAX)
    }

    /// Windows of the shell that are over, and openings of windows that the configuration has lost.
    fn forget_gone(&mut self, now: Stamp, turned: &mut Vec<Turned>, out: &mut Step) {
        let is_over = |w: &Window| matches!(w.when, When::Fixed(o) if o.to <= now);
        let over: Vec<String> =
            self.shell.iter().filter(|(_, w)| is_over(w)).map(|(id, _)| id.clone()).collect();
        for id in over {
            self.shell.remove(&id);
            put(out, format!("{SHELL}{id}"), None);
        }
        let known: Vec<String> =
            self.planned.iter().chain(self.shell.values()).map(|w| w.id.clone()).collect();
        let gone: Vec<String> = self.begun.keys().filter(|id| !known.contains(id)).cloned().collect();
        for id in gone {
            let was = self.begun.get(&id).copied();
            self.set(&id, was, None, out);
            if let Some(begun) = was.filter(|b| !b.over) {
                let to = begun.opening.to.min(now);
                let opening = Opening { from: begun.opening.from, to };
                turned.push(Turned { id, window: None, opening, is_open: false });
            }
        }
    }

    /// Notes what has become of an opening, in memory and on disk.
    fn set(&mut self, id: &str, was: Option<Begun>, is: Option<Begun>, out: &mut Step) {
        if was == is {
            return;
        }
        let row = is.map(|b| OpenRow {
            v: VERSION,
            from: b.opening.from.0,
            to: b.opening.to.0,
            span: b.span.map(|s| (s.from.0, s.to.0)),
            over: b.over,
        });
        put(out, format!("{OPEN}{id}"), row.and_then(|row| serde_json::to_string(&row).ok()));
        match is {
            Some(begun) => self.begun.insert(id.to_owned(), begun),
            None => self.begun.remove(id),
        };
    }
}

impl Turned {
    fn new(window: &Arc<Window>, opening: Opening, is_open: bool) -> Self {
        Self { id: window.id.clone(), window: Some(Arc::clone(window)), opening, is_open }
    }
}

/// What has begun of a window at a moment, given what had. A flexible one began "now": when the clock was set
/// back behind that, it moves with it, as one from the shell does.
fn is_begun(window: &Window, was: Option<Begun>, now: Stamp) -> Option<Begun> {
    if window.lasts.is_some() {
        // One that has begun counts until its span is over as well, so that it begins once.
        let lives = |b: &Begun| b.opening.contains(now) || b.span.is_some_and(|s| s.contains(now));
        let is = was.filter(lives)?;
        let opening = if is.opening.from > now { is.opening.moved_to(now) } else { is.opening };
        return Some(Begun { opening, over: is.over || now >= opening.to, ..is });
    }
    let opening = window.when.at(now)?;
    // An end that was moved is the same opening; after an early end it stays over until then.
    let over = was.is_some_and(|b| b.over && b.opening.to > now);
    Some(Begun { opening, span: None, over })
}

fn row_of(window: &Window, opening: Opening) -> Option<String> {
    let row = ShellRow {
        v: VERSION,
        from: opening.from.0,
        to: opening.to.0,
        mode: window.mode,
        reason: window.reason.clone(),
        by: window.by.clone().unwrap_or_default(),
        change: window.change.clone(),
        covers: window.covers.clone(),
    };
    serde_json::to_string(&row).ok()
}

fn shell_window(id: &str, row: ShellRow) -> Window {
    Window {
        id: id.to_owned(),
        covers: row.covers,
        when: When::Fixed(Opening { from: Stamp(row.from), to: Stamp(row.to) }),
        lasts: None,
        mode: row.mode,
        change: row.change,
        reason: row.reason,
        by: Some(row.by),
        origin: "shell".to_owned(),
    }
}

fn put(out: &mut Step, key: String, body: Option<String>) {
    // The newest row of a step wins.
    out.state.push(StateChange { kind: KIND, key, body });
}
