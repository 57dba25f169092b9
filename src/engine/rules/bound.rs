//! A rule made ready to be judged: its programs in a row, so that a machine needs only two lists of numbers
//! to bind it.

use std::sync::Arc;

use crate::engine::cond::program::{Num, Program, Root, Truth, View};
use crate::engine::cond::{Piece, Title};
use crate::engine::plan::{OnMissing, Rule};
use crate::engine::signal::{Metric, Value};
use crate::engine::window::{Keeps, Reading, Window};

use super::series::Series;
use super::slab::Slab;

/// A rule with everything that is the same for all its instances.
#[derive(Debug)]
pub struct Bound {
    /// The rule, overrides applied.
    pub rule: Arc<Rule>,
    /// Steps from the lowest to the highest: by severity, then position.
    pub order: Box<[usize]>,
    /// Raise and clear of every step in turn, then the `let` expressions of the title.
    pub parts: Vec<Part>,
    /// The title's pieces; a `let` is the index of its part.
    pub title: Vec<Piece>,
    /// Its verdicts may change by time alone.
    pub is_timed: bool,
    /// They may do so between two polled samples.
    pub has_clocks: bool,
    /// It is judged only now and then.
    pub is_slow: bool,
    /// Missing data is more to it than unknown.
    pub may_miss: bool,
}

/// A program and where its slots and windows stand in the lists of a machine.
#[derive(Debug)]
pub struct Part {
    /// The program.
    pub program: Arc<Program>,
    slots_at: usize,
    panes_at: usize,
}

impl Bound {
    /// Makes a rule ready.
    pub fn new(rule: Arc<Rule>) -> Self {
        let mut order: Box<[usize]> = (0..rule.steps.len()).collect();
        order.sort_by_key(|i| (rule.steps[*i].severity, *i));
        let mut programs: Vec<_> = rule
            .steps
            .iter()
            .flat_map(|s| [Arc::clone(s.raise.program()), Arc::clone(s.clear.program())])
            .collect();
        let is_timed = programs.iter().any(|p| p.is_timed());
        // An event comes when it likes, so a window of events has no next sample to wait for.
        let waits = |p: &Arc<Program>| p.windows.iter().any(|w| w.keeps == Keeps::Events);
        let has_clocks = programs.iter().any(|p| p.stale_matters || !p.clocks.is_empty() || waits(p));
        // Titles were checked with the configuration; one that was not is shown as it stands.
        let title = Title::parse(&rule.title, rule.class, &rule.lets).map(|t| t.0);
        let mut title = title.unwrap_or_else(|_| vec![Piece::Text(rule.title.clone())]);
        for piece in &mut title {
            if let Piece::Let(index) = piece {
                programs.push(Arc::clone(rule.lets[*index].1.program()));
                *index = programs.len() - 1;
            }
        }
        let (mut parts, mut slots_at, mut panes_at) = (Vec::new(), 0, 0);
        for program in programs {
            let (slots, panes) = (program.slots.len(), program.windows.len());
            parts.push(Part { program, slots_at, panes_at });
            (slots_at, panes_at) = (slots_at + slots, panes_at + panes);
        }
        let (is_slow, may_miss) = (rule.every > 0, rule.silence.on_missing != OnMissing::Hold);
        Self { rule, order, parts, title, is_timed, has_clocks, is_slow, may_miss }
    }

    /// The raise condition of a step.
    pub fn raise(&self, step: usize) -> &Part {
        &self.parts[2 * step]
    }

    /// The clear condition of a step.
    pub fn clear(&self, step: usize) -> &Part {
        &self.parts[2 * step + 1]
    }

    /// All raise and clear conditions.
    pub fn conditions(&self) -> &[Part] {
        &self.parts[..2 * self.rule.steps.len()]
    }

    /// Every signal its conditions depend on, each once.
    pub fn metrics(&self) -> Vec<Metric> {
        let mut all: Vec<_> =
            self.conditions().iter().flat_map(|p| p.program.metrics.iter().copied()).collect();
        all.sort();
        all.dedup();
        all
    }

    /// Every signal its raise conditions name, in order of first mention.
    pub fn raised_by(&self) -> Vec<Metric> {
        let mut all = Vec::new();
        for metric in (0..self.rule.steps.len()).flat_map(|i| self.raise(i).program.metrics.iter()) {
            if !all.contains(metric) {
                all.push(*metric);
            }
        }
        all
    }
}

/// A window of one instance.
#[derive(Clone, Debug)]
pub struct Pane {
    /// Its contents.
    pub window: Window,
    /// What it is.
    pub spec: Arc<crate::engine::cond::program::WindowSpec>,
    /// The series of its expression.
    pub slots: Box<[u32]>,
    /// Whose it is.
    pub subject: u32,
    /// How many places use it.
    pub users: u32,
    /// The last observation that touched it.
    pub mark: u64,
}

/// The signals and windows of one instance at one moment, as one program sees them.
pub struct At<'a> {
    /// All series.
    pub series: &'a Slab<Series>,
    /// All windows.
    pub panes: &'a Slab<Pane>,
    /// The program's series by slot.
    pub slots: &'a [u32],
    /// The program's windows by index.
    pub windows: &'a [u32],
    /// Now.
    pub t: i64,
    /// How old a value may be; 0 = by its interval.
    pub stale: i64,
    /// Share of the expected samples that a window needs.
    pub min_coverage: f64,
}

impl<'a> At<'a> {
    pub(super) fn one(&self, slot: u16) -> Option<&'a Series> {
        self.series.get(*self.slots.get(usize::from(slot))?)
    }

    fn value(&self, slot: u16) -> Option<&'a Value> {
        self.one(slot)?.fresh(self.t, self.stale)
    }

    /// A text made a number, for counting its changes: FNV-1a, cut to what an f64 holds exactly.
    pub fn any(&self, slot: u16) -> f64 {
        match self.value(slot) {
            Some(Value::Num(n)) => *n,
            Some(Value::Bool(b)) => f64::from(u8::from(*b)),
            Some(Value::Text(text)) => {
                let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
                (text.bytes().fold(0xcbf2_9ce4_8422_2325, step) >> 11) as f64
            }
            None => f64::NAN,
        }
    }

    /// The verdict of a condition.
    pub fn verdict(&self, program: &Program) -> Option<bool> {
        match &program.root {
            Root::Truth(truth) => Truth::eval(truth, self),
            Root::Num(_) | Root::Words(_) => None,
        }
    }

    /// The value of a numeric expression; NaN when unknown or none.
    pub fn quantity(&self, program: &Program) -> f64 {
        match &program.root {
            Root::Num(num) => Num::eval(num, self),
            _ => f64::NAN,
        }
    }
}

impl Part {
    /// The slots and windows of this program among those of a machine.
    pub fn own<'a>(&self, slots: &'a [u32], panes: &'a [u32]) -> (&'a [u32], &'a [u32]) {
        let own = |all: &'a [u32], at: usize, len: usize| all.get(at..at + len).unwrap_or_default();
        let (slots_len, panes_len) = (self.program.slots.len(), self.program.windows.len());
        (own(slots, self.slots_at, slots_len), own(panes, self.panes_at, panes_len))
    }
}

impl View for At<'_> {
    fn number(&self, slot: u16) -> f64 {
        match self.value(slot) {
            Some(Value::Num(n)) => *n,
            _ => f64::NAN,
        }
    }

    fn truth(&self, slot: u16) -> Option<bool> {
        match self.value(slot) {
            Some(Value::Bool(b)) => Some(*b),
            _ => None,
        }
    }

    fn words(&self, slot: u16) -> Option<&str> {
        match self.value(slot) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    fn age(&self, slot: u16) -> Option<i64> {
        self.one(slot)?.at.map(|at| self.t.saturating_sub(at).max(0))
    }

    fn silent(&self, slot: u16) -> Option<i64> {
        let series = self.one(slot)?;
        series.at.map(|at| series.waited(at, self.t))
    }

    fn waited(&self, slot: u16) -> i64 {
        self.one(slot).map_or(0, |s| s.waited(s.since, self.t))
    }

    fn missing(&self, slot: u16) -> Option<i64> {
        self.one(slot)?.missing_for(self.t, self.stale)
    }

    fn window(&self, index: u16) -> Option<Reading<'_>> {
        let pane = self.panes.get(*self.windows.get(usize::from(index))?)?;
        pane.window.read(self.t, self.min_coverage)
    }
}
