//! Plays the `[[test]]` tables of rule files and says where a rule does not do what is expected.
//!
//! A test plays its rule alone, with the rules that explain it and those whose events it counts; services,
//! overrides and defaults are those of the configuration. An expectation is looked at after the samples and
//! deadlines of its moment. Without `instance` it is about the worst instance. It must not know how a result
//! is shown.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::csv::Table;
use super::needed;
use super::play::{Played, Player, Transition};
use super::source::{Column, Source, Track, Tracks};
use crate::config::test::{Expect, Expected, MOST_SAMPLES, Piece, Place, RuleTest, TestSeries};
use crate::engine::moment::human;
use crate::engine::plan::Plan;
use crate::engine::record::{Priority, Severity};
use crate::engine::rules::{Health, Standing};
use crate::engine::signal::{Base, Instance, Metric, Value};

/// What became of a test.
#[derive(Clone, Debug)]
pub struct Proof {
    /// Name of the test.
    pub name: String,
    /// The rule it is about.
    pub rule: String,
    /// Where it stands.
    pub place: Place,
    /// What was looked at, in the order of time.
    pub checks: Vec<Check>,
    /// Incidents expected, when the test says, and found.
    pub incidents: (Option<u64>, u64),
    /// What the rule did.
    pub transitions: Vec<Transition>,
    /// Start of the series, in ns since 1970.
    pub start: i64,
    /// Why it was not played to the end: an error, or nothing to test.
    pub trouble: Option<Trouble>,
}

/// Why a test says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The rule is switched off: nothing to test.
    Skipped(String),
    /// It cannot be played.
    Broken(String),
}

/// One expectation.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// Time since the start, in ns.
    pub at: i64,
    /// What was expected.
    pub expected: String,
    /// What was found, in the same words.
    pub found: String,
    /// They agree.
    pub holds: bool,
    /// The instance that was looked at.
    pub instance: Option<String>,
    /// Where it stands.
    pub place: Place,
}

impl Proof {
    /// Everything is as expected.
    pub fn passed(&self) -> bool {
        let counted = self.incidents.0.is_none_or(|n| n == self.incidents.1);
        self.trouble.is_none() && counted && self.checks.iter().all(|c| c.holds)
    }

    /// Nothing was tested.
    pub fn skipped(&self) -> bool {
        matches!(self.trouble, Some(Trouble::Skipped(_)))
    }
}

/// Plays one test.
pub fn prove(test: &RuleTest, plan: &Plan) -> Proof {
    prove_while(test, plan, &|| true)
}

/// Plays one test for as long as `go_on` lets: one that is cut short is broken.
pub fn prove_while(test: &RuleTest, plan: &Plan, go_on: &dyn Fn() -> bool) -> Proof {
    let mut proof = Proof {
        name: test.name.clone(),
        rule: test.rule.clone(),
        place: test.place.clone(),
        checks: Vec::new(),
        incidents: (test.incidents, 0),
        transitions: Vec::new(),
        start: test.start.0,
        trouble: None,
    };
    if needed::rule(plan, &test.rule).is_none() {
        let why = format!("rule `{}` is switched off or does not exist here", test.rule);
        proof.trouble = Some(Trouble::Skipped(why));
        return proof;
    }
    match run(test, plan, go_on, &mut proof.checks) {
        Ok(played) => {
            let own = |i: &&crate::engine::record::Incident| i.rule.id == test.rule;
            proof.incidents.1 = played.incidents.iter().filter(own).count() as u64;
            proof.transitions = played.transitions.into_iter().filter(|t| t.rule == test.rule).collect();
        }
        Err(why) => proof.trouble = Some(Trouble::Broken(why)),
    }
    proof
}

fn run(
    test: &RuleTest,
    plan: &Plan,
    go_on: &dyn Fn() -> bool,
    checks: &mut Vec<Check>,
) -> Result<Played, String> {
    /// It is asked every so many observations whether to go on.
    const OFTEN: u64 = 1 << 12;
    let mut order: Vec<&Expect> = test.expect.iter().collect();
    order.sort_by_key(|e| e.at);
    let end = order.last().map_or(0, |e| test.start.0.saturating_add(e.at));
    let mut pending = order.into_iter().peekable();
    let mut source = tracks(test)?;
    let mut player = Player::new(Arc::new(only(plan, test)));
    player.begin(test.start.0);
    let mut count = 0_u64;
    while let Some(seen) = source.next()? {
        count += 1;
        if count.is_multiple_of(OFTEN) && !go_on() {
            return Err("it takes too long".to_owned());
        }
        let now = seen.at.mono;
        while let Some(expect) = pending.next_if(|e| test.start.0.saturating_add(e.at) < now) {
            checks.push(check(test, expect, &mut player));
        }
        player.feed(seen);
    }
    checks.extend(pending.map(|expect| check(test, expect, &mut player)));
    Ok(player.finish(end))
}

/// The plan with what a test needs: its rule, the rules that explain it away and those whose events it
/// counts; and the declared objects that the test is about. No window keeps anything. Everything that is not
/// a rule stays as it is.
pub fn only(plan: &Plan, test: &RuleTest) -> Plan {
    needed::narrowed(plan, &needed(plan, test), declared(plan, test), Vec::new())
}

fn needed(plan: &Plan, test: &RuleTest) -> BTreeSet<usize> {
    needed::needed(plan, [test.rule.as_str()], &[])
}

/// What a test is played with, of what a configuration says of single rules and objects: when it is equal for
/// two configurations, and so is all else that holds for every rule, the test turns out the same.
pub fn stake<'p>(plan: &'p Plan, test: &RuleTest) -> (Vec<(&'p str, &'p str)>, Vec<Arc<Instance>>) {
    let rules = needed(plan, test).into_iter().filter_map(|at| plan.rules.get(at));
    (rules.map(|rule| (rule.id.as_str(), rule.hash.as_str())).collect(), declared(plan, test))
}

/// The declared objects that a test names, by their series or in an expectation. A test without any series of
/// its rule's class is about all of them: that nothing is seen of them is what it shows.
fn declared(plan: &Plan, test: &RuleTest) -> Vec<Arc<Instance>> {
    let Some(rule) = needed::rule(plan, &test.rule) else { return Vec::new() };
    let with_series = test.series.iter().filter_map(|series| {
        let key = series.instance.key();
        plan.declared.binary_search_by(|object| object.key().cmp(key)).ok()
    });
    let mut places: BTreeSet<usize> = with_series.collect();
    let has_series = test.series.iter().any(|s| s.instance.class == rule.class);
    let names: Vec<&String> = test.expect.iter().filter_map(|e| e.instance.as_ref()).collect();
    if !has_series || !names.is_empty() {
        let is_meant = |object: &Instance| {
            names.iter().any(|name| is_called(object.key(), name))
                || (!has_series && rule.matches.accepts(object))
        };
        let own = |object: &Instance| object.class == rule.class && is_meant(object);
        places.extend(plan.declared.iter().enumerate().filter(|(_, object)| own(object)).map(|(at, _)| at));
    }
    places.into_iter().filter_map(|at| plan.declared.get(at)).cloned().collect()
}

fn check(test: &RuleTest, expect: &Expect, player: &mut Player) -> Check {
    let standing = player.look(test.start.0.saturating_add(expect.at));
    let wanted = |s: &&Standing| {
        s.rule == test.rule && expect.instance.as_ref().is_none_or(|name| is_called(&s.instance, name))
    };
    let worst = standing.iter().filter(wanted).max_by_key(|s| (weight(s.state), s.severity));
    let priority = worst.and_then(|s| player.open(&s.rule, &s.instance)).map(|i| i.priority);
    let expected = words(expect.state.word(), expect.severity, expect.priority);
    let (found, holds) = match worst {
        None => ("no instance of the rule".to_owned(), false),
        Some(s) => {
            let severity = s.severity.filter(|_| matches!(s.state, Health::Raised | Health::Pending));
            let priority = priority.filter(|_| s.state == Health::Raised);
            let shown =
                (severity.filter(|_| expect.severity.is_some() || s.state == Health::Raised), priority);
            let is_right = agrees(expect.state, s.state)
                && expect.severity.is_none_or(|e| severity == Some(e))
                && expect.priority.is_none_or(|e| priority == Some(e));
            let reason =
                s.reason.as_ref().filter(|_| !is_right).map(|r| format!(" ({r})")).unwrap_or_default();
            (words(word(s.state), shown.0, shown.1) + &reason, is_right)
        }
    };
    let (instance, place) = (worst.map(|s| s.instance.clone()), expect.place.clone());
    Check { at: expect.at, expected, found, holds, instance, place }
}

/// An instance by its key, `fs{mount=/data}`, or by one of its identity labels.
fn is_called(key: &str, name: &str) -> bool {
    let inner = key.split_once('{').map_or("", |(_, rest)| rest.trim_end_matches('}'));
    key == name || inner == name || inner.split_once('=').is_some_and(|(_, first)| first == name)
}

fn agrees(expected: Expected, found: Health) -> bool {
    match expected {
        Expected::Ok => matches!(found, Health::Ok | Health::Unknown),
        Expected::Pending => found == Health::Pending,
        Expected::Raised => found == Health::Raised,
        Expected::Unknown => found == Health::Unknown,
    }
}

fn weight(state: Health) -> u8 {
    match state {
        Health::Ok => 0,
        Health::Unknown => 1,
        Health::Pending => 2,
        Health::Raised => 3,
    }
}

fn word(state: Health) -> &'static str {
    match state {
        Health::Ok => "ok",
        Health::Unknown => "unknown",
        Health::Pending => "pending",
        Health::Raised => "raised",
    }
}

fn words(state: &str, severity: Option<Severity>, priority: Option<Priority>) -> String {
    let severity = severity.map(|s| format!(" {}", super::play::Level::Raised(s))).unwrap_or_default();
    format!("{state}{severity}{}", priority.map(|p| format!(" {p:?}")).unwrap_or_default())
}

/// The series of a test, those of one instance side by side.
///
/// # Errors
/// A file that cannot be read, or that has too many rows.
pub fn tracks(test: &RuleTest) -> Result<Tracks, String> {
    let mut by_instance: BTreeMap<&str, Track> = BTreeMap::new();
    let mut files = BTreeMap::new();
    for series in &test.series {
        let column = column(series, &mut files)?;
        let new = || {
            let (instance, interval) = (Arc::clone(&series.instance), test.step);
            Track { instance, interval, times: Vec::new(), columns: Vec::new() }
        };
        by_instance.entry(series.instance.key()).or_insert_with(new).columns.push((series.metric, column));
    }
    let mut tracks: Vec<Track> = by_instance.into_values().collect();
    for track in &mut tracks {
        let longest = track.columns.iter().map(|(_, c)| c.len()).max().unwrap_or(0);
        let at = |i: usize| test.start.0.saturating_add(test.step.saturating_mul(i as i64));
        track.times = (0..longest).map(at).collect();
    }
    Ok(Tracks::new(tracks.into_iter().map(Arc::new).collect()))
}

fn column(series: &TestSeries, files: &mut BTreeMap<std::path::PathBuf, Table>) -> Result<Column, String> {
    let mut column = Column::of(series.metric);
    for piece in &series.pieces {
        match piece {
            Piece::Missing(count) => (0..*count).for_each(|_| column.push(None)),
            Piece::Run { first: Value::Num(first), step, count } => {
                // Not by adding up: 400 steps of 0.05 % must not drift.
                (0..*count).for_each(|i| column.push(Some(Value::Num(first + step * i as f64))));
            }
            Piece::Run { first, count, .. } => (0..*count).for_each(|_| column.push(Some(first.clone()))),
            Piece::Column { path, column: name, scale } => {
                if !files.contains_key(path) {
                    files.insert(path.clone(), Table::read(path)?);
                }
                if let Some(table) = files.get(path) {
                    from_file(table, name, *scale, series.metric, &mut column)?;
                }
            }
        }
        if column.len() as u64 > MOST_SAMPLES {
            return Err(format!("{}: more than {MOST_SAMPLES} samples", series.metric.name()));
        }
    }
    Ok(column)
}

fn from_file(table: &Table, name: &str, scale: f64, metric: Metric, out: &mut Column) -> Result<(), String> {
    let place = table.column(name).ok_or_else(|| {
        let (path, known) = (table.path.display(), table.header.join(", "));
        format!("{path} has no column `{name}`; it has {known}")
    })?;
    for (line, row) in table.rows() {
        let field = row.get(place).map_or("", |f| f.trim());
        out.push(value(field, scale, metric).map_err(|what| table.wrong(line, what))?);
    }
    Ok(())
}

/// A field as a sample; an empty one is missing.
///
/// # Errors
/// It is no value of that signal.
pub fn value(field: &str, scale: f64, metric: Metric) -> Result<Option<Value>, String> {
    if field.is_empty() {
        return Ok(None);
    }
    let wrong = || format!("`{field}` is no value of {}", metric.name());
    match metric.spec().ty.base {
        Base::Text => Ok(Some(field.into())),
        Base::Bool => match field {
            "1" | "true" | "True" | "TRUE" => Ok(Some(Value::Bool(true))),
            "0" | "false" | "False" | "FALSE" => Ok(Some(Value::Bool(false))),
            _ => Err(wrong()),
        },
        _ => match field.parse::<f64>() {
            Ok(n) if n.is_nan() => Ok(None),
            Ok(n) if n.is_finite() => Ok(Some(Value::Num(n * scale))),
            _ => Err(wrong()),
        },
    }
}

/// A time since the start of a test as it is written there: `7h 51m`.
pub fn since(start: i64, at: i64) -> String {
    human(at - start)
}

#[cfg(test)]
mod tests;
