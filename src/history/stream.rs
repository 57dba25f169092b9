//! The history as it was lived: observations of many series in the order of time, one at a time, for whoever
//! plays them again or fills windows with them.
//!
//! Where samples are gone their rollups stand in, spread out again (`spread`). Times are those of the steady
//! clock, placed by what it and the wall said last in their run: a clock that was set right during a run was
//! right from its start. Held at a time: the packed rows of one segment (an hour; at most 1 048 576 samples,
//! of rollups a day) and one observation. It must not know who listens.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::error::HistoryError;
use super::group::{Group, Merge};
use super::log::Entries;
use super::merge::Wanted;
use super::read::{Meta, Part, RAW, ROLLUP, Reader, Series, Table};
use super::rollup::{self, Rollup, Rows, STEP};
use super::spread::{Spread, Steps};
use crate::engine::moment::{Moment, SECOND, Stamp};
use crate::engine::signal::{Class, Instance, Kind, Metric, Observation, Value, metric};

const UPTIME: Metric = metric("host.uptime");
/// Where a quarter of all series is wanted, the rows of a segment are read in turn.
const MOST: usize = 4;
/// Samples of a full step, for estimates.
const FULL: u64 = 30;

/// What is wanted of the history.
pub struct Ask<'a> {
    /// From then on.
    pub from: Stamp,
    /// Until then; that moment belongs to it.
    pub to: Stamp,
    /// Which series.
    pub wants: &'a dyn Fn(&Series) -> bool,
    /// Signals that are wanted from before `from` too, and how far back, ns.
    pub before: BTreeMap<Metric, i64>,
}

/// Which part of what is asked for is kept as rollups only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Coarse {
    /// Start of the first step.
    pub from: Stamp,
    /// End of the last step.
    pub to: Stamp,
}

/// The daemon began anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restart {
    /// When, ns.
    pub at: i64,
    /// When something was seen last before, of whatever series, where that is known, ns.
    pub ended: Option<i64>,
    /// When the machine was booted, where that is known, ns.
    pub booted: Option<i64>,
}

/// Reads observation by observation.
pub struct Stream {
    from: i64,
    to: i64,
    before: BTreeMap<Metric, i64>,
    wanted: Wanted,
    /// Distance of a series' samples, for those made of rollups.
    paces: BTreeMap<u32, i64>,
    pieces: VecDeque<Piece>,
    body: Body,
    /// Steps of segments read before of which a later one has another part, by series.
    left: BTreeMap<u32, Vec<Rollup>>,
    /// Starts of the daemon that have not been told, by number.
    starts: VecDeque<(i64, i64)>,
    /// The last moment of each run of which there are samples, by its number.
    ends: BTreeMap<i64, i64>,
    uptime: Option<u32>,
    seen: Observation,
    is_ready: bool,
    /// How many there are in all, wanted or not.
    series: usize,
    coarse: Option<Coarse>,
    /// Observations left out, as their clock ran ahead of a later one.
    pub dropped: u64,
    /// Those of them that are of the host.
    pub dropped_of_host: u64,
}

/// A part with its place in time.
struct Piece {
    part: Part,
    /// Steady time to time here.
    shift: i64,
    /// What lies at or beyond is from a clock that ran ahead.
    until: i64,
}

/// The part that is being read.
enum Body {
    None,
    Merged(Piece, Box<Merge>),
    Recent(Piece, Box<Entries>),
}

impl Stream {
    /// Looks what there is.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub fn begin(reader: &mut Reader<'_>, ask: Ask<'_>) -> Result<Self, HistoryError> {
        let Ask { from, to, wants, before } = ask;
        let longest = before.values().copied().max().unwrap_or(0);
        let oldest = from.plus(longest.saturating_neg());
        // All of it: what a run's clock said last may lie outside of what is asked for.
        let raw = reader.parts(RAW, Stamp(i64::MIN), Stamp(i64::MAX))?;
        let rollups = reader.parts(ROLLUP, oldest, to)?;
        let all = reader.series()?;
        let uptime = all.iter().find(|s| s.metric() == Some(UPTIME)).map(|s| s.id);
        let known = |s: &&Series| s.is_end() || s.metric().is_some();
        let wanted: Vec<&Series> = all.iter().filter(known).filter(|s| wants(s)).collect();
        let paces = if rollups.is_empty() { BTreeMap::new() } else { reader.paces(&wanted)? };
        let ahead = ahead(&raw);
        let starts = reader.starts()?.into_iter();
        let starts = starts.map(|(run, at)| (run, at.saturating_add(ahead.get(&run).copied().unwrap_or(0))));
        let pieces = pieces(rollups, raw, &ahead);
        let mut ends: BTreeMap<i64, i64> = BTreeMap::new();
        for piece in pieces.iter().filter(|p| p.part.meta().kind == RAW) {
            let end = ends.entry(piece.part.meta().run).or_insert(i64::MIN);
            *end = (*end).max(piece.part.meta().last + piece.shift);
        }
        let placed = |p: &Piece| (p.part.meta().first + p.shift, p.part.meta().last + p.shift);
        let mut pieces: VecDeque<Piece> =
            pieces.into_iter().filter(|p| placed(p).1 >= oldest.0 && placed(p).0 <= to.0).collect();
        pieces
            .make_contiguous()
            .sort_by_key(|p| (p.part.meta().kind != ROLLUP, placed(p).0, p.part.meta().id));
        let coarse = pieces.iter().filter(|p| p.part.meta().kind == ROLLUP).map(placed);
        let coarse = coarse.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
        let coarse = coarse.map(|(a, b)| Coarse { from: Stamp(a), to: Stamp(b + 1) });
        let series = all.len();
        let wanted = wanted.iter().map(|s| (s.id, (Arc::clone(&s.instance), s.metric())));
        let wanted = Wanted(wanted.collect());
        Ok(Self {
            from: from.0,
            to: to.0,
            before,
            wanted,
            paces,
            pieces,
            body: Body::None,
            left: BTreeMap::new(),
            starts: starts.collect(),
            ends,
            uptime,
            seen: Observation::new(Moment::at(0), Instance::of(Class::Host, &[]), 0),
            is_ready: false,
            series,
            coarse,
            dropped: 0,
            dropped_of_host: 0,
        })
    }

    /// How many samples there are to come, roughly.
    pub fn total(&self) -> u64 {
        let all = self.pieces.iter().map(|p| samples(p.part.meta())).sum();
        self.share(all, self.wanted.0.len())
    }

    /// What of it is kept as rollups only.
    pub fn coarse(&self) -> Option<Coarse> {
        self.coarse
    }

    /// The oldest moment, as placed.
    pub fn oldest(&self) -> Option<i64> {
        self.pieces.iter().map(|p| p.part.meta().first + p.shift).min()
    }

    /// The newest moment, as placed.
    pub fn newest(&self) -> Option<i64> {
        self.pieces.iter().map(|p| p.part.meta().last + p.shift).max()
    }

    /// Moves everything by so many ns.
    pub fn shift(&mut self, by: i64) {
        self.pieces.iter_mut().for_each(|piece| {
            piece.shift = piece.shift.saturating_add(by);
            piece.until = piece.until.saturating_add(by);
        });
        self.starts.iter_mut().for_each(|(_, at)| *at = at.saturating_add(by));
        self.ends.values_mut().for_each(|at| *at = at.saturating_add(by));
    }

    /// Leaves the oldest parts out, so that about `most` samples remain.
    pub fn shorten(&mut self, most: u64) {
        let (mut left, mut keep) = (most, 0);
        for piece in self.pieces.iter().rev() {
            let some = self.reaching(piece.part.meta().last + piece.shift).0.len();
            let share = self.share(samples(piece.part.meta()), some);
            if share > left {
                break;
            }
            (left, keep) = (left - share, keep + 1);
        }
        self.pieces.drain(..self.pieces.len() - keep);
    }

    /// What `some` of all series have of the samples of a part, roughly.
    fn share(&self, samples: u64, some: usize) -> u64 {
        (samples as f64 * some as f64 / self.series.max(1) as f64) as u64
    }

    /// The daemon's start that lies before what comes next, when there is one.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub fn restart(&mut self, reader: &mut Reader<'_>) -> Result<Option<Restart>, HistoryError> {
        if self.starts.is_empty() || !self.ready(reader)? {
            return Ok(None);
        }
        let (Body::Merged(piece, _) | Body::Recent(piece, _)) = &self.body else { return Ok(None) };
        let (meta, part, shift, at) = (*piece.part.meta(), piece.part, piece.shift, self.seen.at.mono);
        let is_over = |(run, start): &(i64, i64)| {
            if meta.kind == RAW { *run <= meta.run } else { *start <= at }
        };
        let mut last = None;
        while let Some(start) = self.starts.pop_front_if(|start| is_over(start)) {
            last = Some(start);
        }
        let Some((run, start)) = last else { return Ok(None) };
        let mut booted = None;
        if let Some(series) = self.uptime.filter(|_| meta.kind == RAW && run == meta.run) {
            let _ = reader.part(&part, series, &mut |sample| {
                if let Some(Value::Num(seconds)) = sample.value {
                    booted = Some(sample.at.saturating_add(shift).saturating_sub((seconds * 1e9) as i64));
                }
                std::ops::ControlFlow::Break(())
            })?;
        }
        let ended = self.ends.range(..run).map(|(_, end)| *end).max().filter(|end| *end <= at);
        Ok(Some(Restart { at: start.min(at), ended, booted }))
    }

    /// What was seen next; `None` at the end.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub fn next(&mut self, reader: &mut Reader<'_>) -> Result<Option<&Observation>, HistoryError> {
        if !self.ready(reader)? {
            return Ok(None);
        }
        self.is_ready = false;
        Ok(Some(&self.seen))
    }

    /// Has the next observation at hand; false at the end.
    fn ready(&mut self, reader: &mut Reader<'_>) -> Result<bool, HistoryError> {
        while !self.is_ready {
            let (piece, found) = match &mut self.body {
                Body::Merged(piece, merge) => (piece, merge.next(&mut self.seen)),
                Body::Recent(piece, entries) => (piece, recent(entries, &self.wanted, &mut self.seen)),
                Body::None => match self.pieces.pop_front() {
                    Some(piece) => {
                        self.body = self.open(reader, piece)?;
                        continue;
                    }
                    None => return Ok(false),
                },
            };
            if !found {
                self.body = Body::None;
                continue;
            }
            let at = self.seen.at.mono.saturating_add(piece.shift);
            self.seen.at = Moment::at(at);
            if at >= piece.until {
                self.dropped += 1;
                self.dropped_of_host += u64::from(self.seen.instance.class == Class::Host);
                continue;
            }
            if at < self.from {
                let (from, before) = (self.from, &self.before);
                let reaches = |m: &Metric| before.get(m).is_some_and(|span| from.saturating_sub(at) <= *span);
                self.seen.samples.retain(|(metric, _)| reaches(metric));
            }
            self.is_ready = at <= self.to && (self.seen.gone || !self.seen.samples.is_empty());
        }
        Ok(true)
    }

    fn open(&mut self, reader: &mut Reader<'_>, piece: Piece) -> Result<Body, HistoryError> {
        let meta = *piece.part.meta();
        let some = self.reaching(meta.last + piece.shift);
        let is_most = some.0.len() * MOST >= self.series;
        Ok(match piece.part {
            Part::Packed(_) if meta.kind == ROLLUP => {
                let limits = self.limits(&piece);
                let merge = reader.spread(&meta, &some, &self.paces, limits, &mut self.left)?;
                Body::Merged(piece, Box::new(merge))
            }
            Part::Packed(_) => Body::Merged(piece, Box::new(reader.merge(&meta, &some, is_most)?)),
            Part::Recent(_) => match reader.entries(&meta)? {
                Some(entries) => Body::Recent(piece, Box::new(entries)),
                None => Body::None,
            },
        })
    }

    /// Where a segment of rollups ends: where the next one begins, if that has a part of its steps, and where
    /// samples begin.
    fn limits(&self, piece: &Piece) -> (i64, i64) {
        let of = |kind: i64| self.pieces.iter().find(|p| p.part.meta().kind == kind);
        let (first, last) = (|p: &Piece| p.part.meta().first, piece.part.meta().last);
        let next = of(ROLLUP).map(first).filter(|next| *next <= last);
        let samples = of(RAW).map(|raw| first(raw).saturating_add(raw.shift).saturating_sub(piece.shift));
        (next.unwrap_or(i64::MAX), samples.unwrap_or(i64::MAX))
    }

    /// The series that are wanted of a part that ends then.
    fn reaching(&self, last: i64) -> Wanted {
        let reaches = |metric: &Option<Metric>| match metric {
            _ if last >= self.from => true,
            Some(m) => self.before.get(m).is_some_and(|span| self.from.saturating_sub(last) <= *span),
            None => true,
        };
        let some = self.wanted.0.iter().filter(|(_, (_, metric))| reaches(metric));
        Wanted(some.map(|(id, (i, m))| (*id, (Arc::clone(i), *m))).collect())
    }
}

/// Samples of a part, of all series.
fn samples(meta: &Meta) -> u64 {
    let n = meta.samples.unsigned_abs();
    if meta.kind == ROLLUP { n.saturating_mul(FULL) } else { n }
}

/// What the clocks of each run said last: wall time less steady time. That goes by steady time, as the wall
/// may have been set back.
fn ahead(raw: &[Part]) -> BTreeMap<i64, i64> {
    let mut newest: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
    for meta in raw.iter().map(Part::meta) {
        let known = newest.entry(meta.run).or_insert((meta.last, meta.ahead));
        if meta.last >= known.0 {
            *known = (meta.last, meta.ahead);
        }
    }
    newest.into_iter().map(|(run, (_, ahead))| (run, ahead)).collect()
}

/// Parts with their place in time.
fn pieces(rollups: Vec<Part>, raw: Vec<Part>, ahead: &BTreeMap<i64, i64>) -> Vec<Piece> {
    let shift = |meta: &Meta| ahead.get(&meta.run).copied().unwrap_or(meta.ahead);
    // A run whose clock ran ahead ends where a later one with more to say begins.
    let mut runs: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
    for part in &raw {
        let meta = part.meta();
        let (samples, first) = runs.entry(meta.run).or_insert((0, i64::MAX));
        *samples += meta.samples;
        *first = (*first).min(meta.first + shift(meta));
    }
    let until = |run: i64| {
        let own = runs.get(&run).map_or(0, |(samples, _)| *samples);
        let later = runs.range(run + 1..).filter(|(_, (samples, _))| *samples > own);
        later.map(|(_, (_, first))| *first).min().unwrap_or(i64::MAX)
    };
    let coarse = rollups.into_iter().map(|part| Piece { part, shift: 0, until: i64::MAX });
    let fine = raw.into_iter().map(|part| {
        let (shift, until) = (shift(part.meta()), until(part.meta().run));
        Piece { part, shift, until }
    });
    coarse.chain(fine).collect()
}

/// Fills in the next entry of a row that is not packed yet; false at the end.
fn recent(entries: &mut Entries, wanted: &Wanted, seen: &mut Observation) -> bool {
    for entry in entries {
        seen.samples.clear();
        seen.gone = false;
        let mut is_any = false;
        for (series, value) in entry.samples {
            let Some((instance, metric)) = wanted.0.get(&series) else { continue };
            if !is_any && !Arc::ptr_eq(instance, &seen.instance) {
                seen.instance = Arc::clone(instance);
            }
            is_any = true;
            match metric {
                Some(metric) => seen.samples.push((*metric, value)),
                None => seen.gone = true,
            }
        }
        if is_any {
            (seen.at, seen.interval) = (Moment::at(entry.at), entry.interval);
            return true;
        }
    }
    false
}

impl Reader<'_> {
    /// Starts of the daemon, by number, in steady time.
    fn starts(&mut self) -> Result<Vec<(i64, i64)>, HistoryError> {
        let mut statement = self.conn.prepare_cached("SELECT id, at FROM run ORDER BY id")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The interval that each series announced last, where there still are samples of it.
    fn paces(&mut self, series: &[&Series]) -> Result<BTreeMap<u32, i64>, HistoryError> {
        let newest = self.newest_segment()?;
        let mut paces = BTreeMap::new();
        for series in series {
            let sql = "SELECT min(segment, ?2) FROM series WHERE id = ?1";
            let mut statement = self.conn.prepare_cached(sql)?;
            let segment: i64 = statement.query_row((series.id, newest), |row| row.get(0))?;
            drop(statement);
            let meta = Meta { id: segment, kind: RAW, run: 0, ahead: 0, first: 0, last: 0, samples: 0 };
            let interval = match self.column(&meta, series.id)? {
                Some(mut column) => column.next().map(|(_, interval, _)| interval),
                None => None,
            };
            paces.extend(interval.map(|interval| (series.id, interval)));
        }
        Ok(paces)
    }

    /// The newest segment of samples.
    fn newest_segment(&mut self) -> Result<i64, HistoryError> {
        let sql = "SELECT coalesce(max(id), 0) FROM segment WHERE kind = ?1";
        Ok(self.conn.prepare_cached(sql)?.query_row([RAW], |row| row.get(0))?)
    }

    /// The series of a segment of rollups, as samples; of steps of which the next one has a part nothing yet.
    fn spread(
        &mut self,
        meta: &Meta,
        wanted: &Wanted,
        paces: &BTreeMap<u32, i64>,
        (next, samples): (i64, i64),
        left: &mut BTreeMap<u32, Vec<Rollup>>,
    ) -> Result<Merge, HistoryError> {
        let mut groups = Vec::new();
        for (series, (instance, metric)) in &wanted.0 {
            let (before, rows) = (left.remove(series).unwrap_or_default(), self.rollup_rows(meta, *series)?);
            if before.is_empty() && rows.is_none() {
                continue;
            }
            if next < i64::MAX {
                left.insert(*series, Steps::left(&before, rows.as_ref(), next));
            }
            let all = || Steps::new(before.clone(), rows.clone(), i64::MAX);
            let pace = paces.get(series).copied().unwrap_or_else(|| pace(instance.class, all()));
            let is_counter = metric.is_some_and(|m| m.spec().kind == Kind::Counter);
            let steps = Steps::new(before, rows, next);
            let spread = Spread::new(steps, if metric.is_none() { 0 } else { pace }, is_counter, samples);
            groups.extend(Group::spread(Arc::clone(instance), *metric, spread));
        }
        Ok(Merge::new(groups))
    }

    /// The rollups of a series in a segment; `None` when it has none, or damaged ones.
    fn rollup_rows(&mut self, meta: &Meta, series: u32) -> Result<Option<Rows>, HistoryError> {
        let id = super::read::row_id(meta.id, series);
        let Some(row) = self.rollup_row(meta, series)? else { return Ok(None) };
        let rows = super::chunk::unseal(id, row).and_then(rollup::rows);
        if rows.is_none() {
            self.damaged.met(Table::Chunk, id);
        }
        Ok(rows)
    }
}

/// The distance of the samples of a series of which only rollups are left: what systemd tells is told, all
/// else comes as often as in its fullest step.
fn pace(class: Class, steps: Steps) -> i64 {
    let (mut most, mut nearest, mut last) = (1, i64::MAX, None);
    for row in steps {
        if matches!(row.first, Value::Text(_)) || class == Class::Unit {
            return 0;
        }
        most = row.count.max(most);
        nearest = last.map_or(nearest, |last: i64| nearest.min(row.start.0 - last));
        last = Some(row.start.0);
    }
    match most {
        1 if nearest < i64::MAX => nearest.max(STEP),
        1 => STEP,
        n => ((STEP as f64 / n as f64 / SECOND as f64).round() as i64).max(1) * SECOND,
    }
}
