//! Reading many series at once: a segment's, to be merged in order of time; and rollups of any time.
//!
//! Series of a segment are merged sample by sample (`group`): of each only its packed row is held.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::chunk::{self, Stamps, Values};
use super::error::HistoryError;
use super::group::{Group, Merge};
use super::read::{self, Meta, ROLLUP, Reader, Table};
use super::rollup::{self, Roller, Rollup, STEP};
use crate::engine::moment::Stamp;
use crate::engine::signal::{Instance, Metric};

/// The series that are wanted, by number.
#[derive(Default)]
pub struct Wanted(pub(super) BTreeMap<u32, (Arc<Instance>, Option<Metric>)>);

impl Reader<'_> {
    /// The series of a segment of samples, to be read observation by observation. `is_most` when most of its
    /// series are wanted: then its rows are read in turn, else each is looked for.
    pub(super) fn merge(
        &mut self,
        meta: &Meta,
        wanted: &Wanted,
        is_most: bool,
    ) -> Result<Merge, HistoryError> {
        let mut packed = Vec::new();
        if is_most {
            self.values_of(meta, wanted, &mut packed)?;
        } else {
            for series in wanted.0.keys() {
                packed.extend(self.values(meta, *series)?.map(|(stamps, values)| (*series, stamps, values)));
            }
        }
        // By instance (its address tells it from others) and row of stamps.
        type Columns = (Arc<Instance>, Stamps, Vec<(Option<Metric>, Values)>);
        let mut groups: BTreeMap<(usize, i64), Columns> = BTreeMap::new();
        for (series, stamps_id, values) in packed {
            let Some((instance, metric)) = wanted.0.get(&series) else { continue };
            let place = (Arc::as_ptr(instance) as usize, stamps_id);
            if let Some((.., columns)) = groups.get_mut(&place) {
                columns.push((*metric, values));
                continue;
            }
            if let Some(stamps) = self.stamps(stamps_id)? {
                groups.insert(place, (Arc::clone(instance), stamps, vec![(*metric, values)]));
            }
        }
        let groups = groups.into_values();
        Ok(Merge::new(groups.filter_map(|(i, stamps, columns)| Group::taken(i, stamps, columns)).collect()))
    }

    /// The values of all wanted series of a segment, in the order of their numbers.
    fn values_of(
        &mut self,
        meta: &Meta,
        wanted: &Wanted,
        out: &mut Vec<(u32, i64, Values)>,
    ) -> Result<(), HistoryError> {
        let conn = self.conn;
        let mut statement =
            conn.prepare_cached("SELECT id, stamps, body FROM chunk WHERE id BETWEEN ?1 AND ?2 ORDER BY id")?;
        let mut rows = statement.query((read::row_id(meta.id, 0), read::row_id(meta.id + 1, 0) - 1))?;
        while let Some(row) = rows.next()? {
            let id: i64 = row.get(0)?;
            let series = (id & ((1 << read::SERIES_BITS) - 1)) as u32;
            if !wanted.0.contains_key(&series) {
                continue;
            }
            match chunk::unseal(id, row.get(2)?).and_then(Values::open) {
                Some(values) => out.push((series, row.get(1)?, values)),
                None => self.damaged.met(Table::Chunk, id),
            }
        }
        Ok(())
    }

    /// The rollups of a series in that time, in order: as they are kept, and made of samples where there
    /// still are such.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub fn rollups(
        &mut self,
        series: u32,
        from: Stamp,
        to: Stamp,
        each: &mut dyn FnMut(Rollup) -> ControlFlow<()>,
    ) -> Result<(), HistoryError> {
        let from = Stamp(from.0.div_euclid(STEP).saturating_mul(STEP));
        // A step of which a part was rolled up and a part was not comes as two rows of one start.
        let mut held: Option<Rollup> = None;
        let mut within = |row: Rollup| {
            if row.start < from || row.start > to {
                return ControlFlow::Continue(());
            }
            match &mut held {
                Some(before) if before.start == row.start => {
                    before.join(row);
                    ControlFlow::Continue(())
                }
                _ => held.replace(row).map_or(ControlFlow::Continue(()), &mut *each),
            }
        };
        for part in self.parts(ROLLUP, from, to)? {
            let meta = part.meta();
            let Some(row) = self.rollup_row(meta, series)? else { continue };
            let id = read::row_id(meta.id, series);
            let Some(rows) = chunk::unseal(id, row).and_then(rollup::read) else {
                self.damaged.met(Table::Chunk, id);
                continue;
            };
            for row in rows {
                if within(row).is_break() {
                    return Ok(());
                }
            }
        }
        let mut roller = Roller::default();
        let end = Stamp(to.0.div_euclid(STEP).saturating_mul(STEP).saturating_add(STEP - 1));
        let mut is_over = false;
        self.samples(series, from, end, &mut |sample| {
            let is_new = roller.take(sample.stamp, sample.value);
            is_over = is_new && roller.over().into_iter().any(|row| within(row).is_break());
            if is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if !is_over && roller.finish().into_iter().try_for_each(within).is_continue() {
            let _ = held.map(each);
        }
        Ok(())
    }
}
