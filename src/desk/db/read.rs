//! Questions to the desk's database, asked on the reading thread; every list has a limit.

use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params};

use serde::Serialize;

use super::Change;
use crate::engine::moment::{DAY, MINUTE, SECOND, Stamp};

/// A host is silent after three of its intervals, but not before this time, in nanoseconds.
const SILENT_LEAST: i64 = 30 * SECOND;
/// Interval of a host that announced none, in nanoseconds.
const USUAL_INTERVAL: i64 = MINUTE;
/// A host that was silent for this long no longer calls for attention, in nanoseconds.
const GONE: i64 = 7 * DAY;

/// A record as stored: its JSON, whole or summarised, and when it came.
#[derive(Clone, Debug)]
pub(in crate::desk) struct Stored {
    /// JSON text.
    pub json: String,
    /// When this revision reached the desk.
    pub received_at: Stamp,
}

/// Which records of a kind.
#[derive(Clone, Debug)]
pub(in crate::desk) struct Filter {
    /// Open ones, ones that are over, or both.
    pub open: Option<bool>,
    /// Of one host.
    pub host: Option<String>,
    /// At most so many.
    pub limit: u32,
}

/// Everything the first page shows.
#[derive(Debug)]
pub(in crate::desk) struct Overview {
    /// Open incidents by priority, P1 first.
    pub counts: [u64; 5],
    /// Summaries of open incidents, most pressing and oldest first, within the limit.
    pub open: Vec<Stored>,
    /// Summaries of those over, latest first.
    pub over: Vec<Stored>,
    /// Problems still to be worked on.
    pub problems: u64,
    /// Numbers of the problems that the incidents above name.
    pub names: Vec<ProblemName>,
    /// Hosts of each kind.
    pub hosts: HostCounts,
    /// The first of those that are silent.
    pub silent: Vec<HostLine>,
}

/// What a problem is called.
#[derive(Clone, Debug)]
pub(in crate::desk) struct ProblemName {
    /// Host id.
    pub host: String,
    /// Incident id of the member.
    pub incident: String,
    /// Problem id.
    pub problem: String,
    /// Its readable number and title; absent while the problem itself has not come.
    pub named: Option<(String, String)>,
}

/// A host as the desk knows it.
#[derive(Clone, Debug)]
pub(in crate::desk) struct HostLine {
    /// Host id.
    pub id: String,
    /// The name people use.
    pub name: String,
    /// When the desk first heard of it.
    pub first_at: Stamp,
    /// When anything last came from it, by the desk's clock.
    pub heard_at: Stamp,
    /// The newest heartbeat's own stamp.
    pub heartbeat_at: Option<Stamp>,
    /// Announced nanoseconds between heartbeats.
    pub interval: Option<i64>,
    /// Version of its agent.
    pub version: Option<String>,
    /// Open incidents.
    pub open: u64,
    /// Whether it is still heard of.
    pub life: Life,
}

/// Whether a host is still heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::desk) enum Life {
    /// Heard of within three of its intervals.
    Alive,
    /// Not, and somebody should ask why.
    Silent,
    /// Silent for so long that it has probably been taken away.
    Gone,
}

/// The moment for which hosts are judged. What passed before the desk itself was up does not count as
/// silence: it could not hear then.
#[derive(Clone, Copy, Debug)]
pub(in crate::desk) struct Hearing {
    /// Now.
    pub now: Stamp,
    /// When the desk started.
    pub since: Stamp,
}

/// How many hosts there are of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::desk) struct HostCounts {
    /// Alive ones.
    pub alive: u64,
    /// Silent ones.
    pub silent: u64,
    /// All, those gone included.
    pub all: u64,
    /// When anything last came from any of them.
    pub heard_at: Option<Stamp>,
}

/// A table of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::desk) enum Table {
    /// Incidents.
    Incident,
    /// Problems.
    Problem,
}

impl Table {
    fn name(self) -> &'static str {
        match self {
            Table::Incident => "incident",
            Table::Problem => "problem",
        }
    }

    /// Most pressing first. One order per state, so that an index serves each.
    fn order(self, open: Option<bool>) -> &'static str {
        match (self, open) {
            (Table::Incident, Some(true)) => "priority, since, id",
            (Table::Incident, Some(false)) => "until DESC, id",
            (Table::Incident, None) => {
                "open DESC, CASE open WHEN 1 THEN priority END, CASE open WHEN 1 THEN since END, until DESC"
            }
            (Table::Problem, Some(_)) => "weight DESC, until DESC",
            (Table::Problem, None) => "open DESC, weight DESC, until DESC",
        }
    }
}

/// Summaries that pass the filter, and how many pass without the limit.
pub(in crate::desk) fn list(
    db: &Connection,
    table: Table,
    filter: &Filter,
) -> rusqlite::Result<(Vec<Stored>, u64)> {
    // Literal, not bound: the planner takes a partial index only then.
    let state = match filter.open {
        Some(true) => "open = 1",
        Some(false) => "open = 0",
        None => "1",
    };
    let (name, order) = (table.name(), table.order(filter.open));
    let pass = format!("{state} AND (?1 IS NULL OR host = ?1)");
    let total = db
        .prepare_cached(&format!("SELECT count(*) FROM {name} WHERE {pass}"))?
        .query_row(params![filter.host], |r| r.get::<_, i64>(0))?;
    let sql = format!("SELECT summary, received_at FROM {name} WHERE {pass} ORDER BY {order} LIMIT ?2");
    let mut query = db.prepare_cached(&sql)?;
    let rows = query.query_map(params![filter.host, filter.limit], stored)?;
    Ok((rows.collect::<Result<_, _>>()?, count(total)))
}

/// The whole record of that id; when two hosts claim the same id, the one heard last unless `host` says
/// which.
pub(in crate::desk) fn one(
    db: &Connection,
    table: Table,
    id: &str,
    host: Option<&str>,
) -> rusqlite::Result<Option<Stored>> {
    let sql = format!(
        "SELECT body, received_at FROM {} WHERE id = ?1 AND (?2 IS NULL OR host = ?2)
         ORDER BY received_at DESC LIMIT 1",
        table.name()
    );
    db.prepare_cached(&sql)?.query_row(params![id, host], stored).optional()
}

/// Summaries of the named incidents of one host; those the desk does not have are left out.
pub(in crate::desk) fn incidents_of(
    db: &Connection,
    host: &str,
    ids: &[String],
) -> rusqlite::Result<Vec<Stored>> {
    let mut query =
        db.prepare_cached("SELECT summary, received_at FROM incident WHERE host = ?1 AND id = ?2")?;
    let mut found = Vec::new();
    for id in ids {
        found.extend(query.query_row(params![host, id], stored).optional()?);
    }
    Ok(found)
}

/// The problem an incident is a member of: by a link that came, or by what the incident says (`said`).
pub(in crate::desk) fn problem_of(
    db: &Connection,
    host: &str,
    incident: &str,
    said: Option<&str>,
) -> rusqlite::Result<Option<ProblemName>> {
    let linked: Option<String> = db
        .prepare_cached(
            "SELECT problem FROM link WHERE host = ?1 AND incident = ?2 ORDER BY at DESC LIMIT 1",
        )?
        .query_row(params![host, incident], |r| r.get(0))
        .optional()?;
    let Some(problem) = said.map(str::to_owned).or(linked) else { return Ok(None) };
    let named = db
        .prepare_cached(
            "SELECT summary ->> 'number', summary ->> 'title' FROM problem WHERE host = ?1 AND id = ?2",
        )?
        .query_row(params![host, problem], |r| Ok((r.get(0)?, r.get(1)?)))
        .optional()?;
    Ok(Some(ProblemName { host: host.to_owned(), incident: incident.to_owned(), problem, named }))
}

/// The first page, in one look.
pub(in crate::desk) fn overview(
    db: &Connection,
    hearing: Hearing,
    open: u32,
    over: u32,
    silent: u32,
) -> rusqlite::Result<Overview> {
    let mut counts = [0; 5];
    let mut query =
        db.prepare_cached("SELECT priority, count(*) FROM incident WHERE open = 1 GROUP BY priority")?;
    for row in query.query_map([], |r| Ok((r.get::<_, u8>(0)?, r.get::<_, i64>(1)?)))? {
        let (priority, n) = row?;
        if let Some(slot) = counts.get_mut(usize::from(priority).wrapping_sub(1)) {
            *slot = count(n);
        }
    }
    let mut names = Vec::new();
    let mut read = |sql: &str, limit: u32| -> rusqlite::Result<Vec<Stored>> {
        let mut query = db.prepare_cached(sql)?;
        let rows = query.query_map(params![limit], |r| {
            let keys: (String, String, Option<String>) = (r.get(2)?, r.get(3)?, r.get(4)?);
            Ok((stored(r)?, keys))
        })?;
        let mut list = Vec::new();
        for row in rows {
            let (record, (host, id, said)) = row?;
            names.extend(problem_of(db, &host, &id, said.as_deref())?);
            list.push(record);
        }
        Ok(list)
    };
    let columns = "summary, received_at, host, id, summary ->> '$.links.problem'";
    let first =
        format!("SELECT {columns} FROM incident WHERE open = 1 ORDER BY priority, since, id LIMIT ?1");
    let last = format!("SELECT {columns} FROM incident WHERE open = 0 ORDER BY until DESC, id LIMIT ?1");
    let (open, over) = (read(&first, open)?, read(&last, over)?);
    let problems = db
        .prepare_cached("SELECT count(*) FROM problem WHERE open = 1")?
        .query_row([], |r| r.get::<_, i64>(0))?;
    let (hosts, silent) = (host_counts(db, hearing)?, hosts(db, hearing, true, silent)?);
    Ok(Overview { counts, open, over, problems: count(problems), names, hosts, silent })
}

/// 0 alive, 1 silent, 2 gone; `?1` is now, `?2` when the desk started.
fn life() -> String {
    format!(
        "(CASE WHEN ?1 - heard_at > {GONE} THEN 2
               WHEN ?1 - max(heard_at, ?2) > max({SILENT_LEAST}, 3 * coalesce(interval, {USUAL_INTERVAL}))
               THEN 1
               ELSE 0 END)"
    )
}

/// Hosts by name, silent ones first; only those, when `only_silent`.
pub(in crate::desk) fn hosts(
    db: &Connection,
    hearing: Hearing,
    only_silent: bool,
    limit: u32,
) -> rusqlite::Result<Vec<HostLine>> {
    let mut query = db.prepare_cached(&format!(
        "SELECT id, name, first_at, heard_at, heartbeat_at, interval, version,
         (SELECT count(*) FROM incident WHERE incident.host = h.id AND open = 1), {life} AS life
         FROM host h WHERE ?3 = 0 OR life = 1 ORDER BY life = 1 DESC, life, name, id LIMIT ?4",
        life = life()
    ))?;
    let rows = query.query_map(params![hearing.now.0, hearing.since.0, only_silent, limit], |r| {
        Ok(HostLine {
            id: r.get(0)?,
            name: r.get(1)?,
            first_at: Stamp(r.get(2)?),
            heard_at: Stamp(r.get(3)?),
            heartbeat_at: r.get::<_, Option<i64>>(4)?.map(Stamp),
            interval: r.get(5)?,
            version: r.get(6)?,
            open: count(r.get(7)?),
            life: match r.get::<_, i64>(8)? {
                0 => Life::Alive,
                1 => Life::Silent,
                _ => Life::Gone,
            },
        })
    })?;
    rows.collect()
}

/// How many hosts there are of each kind.
pub(in crate::desk) fn host_counts(db: &Connection, hearing: Hearing) -> rusqlite::Result<HostCounts> {
    let mut query = db.prepare_cached(&format!(
        "SELECT {} AS life, count(*), max(heard_at) FROM host GROUP BY life",
        life()
    ))?;
    let mut counts = HostCounts::default();
    let rows = query.query_map(params![hearing.now.0, hearing.since.0], |r| {
        Ok((r.get::<_, i64>(0)?, r.get::<_, i64>(1)?, r.get::<_, i64>(2)?))
    })?;
    for row in rows {
        let (life, n, heard_at) = row?;
        counts.all += count(n);
        counts.heard_at = counts.heard_at.max(Some(Stamp(heard_at)));
        match life {
            0 => counts.alive = count(n),
            1 => counts.silent = count(n),
            _ => {}
        }
    }
    Ok(counts)
}

/// Changes after `seq`, oldest first; `None` when some of them are no longer kept.
pub(in crate::desk) fn changes_after(
    db: &Connection,
    seq: i64,
    limit: u32,
) -> rusqlite::Result<Option<Vec<Change>>> {
    let span = "SELECT coalesce(min(seq), 1), coalesce(max(seq), 0) FROM event";
    let (oldest, newest): (i64, i64) =
        db.prepare_cached(span)?.query_row([], |r| Ok((r.get(0)?, r.get(1)?)))?;
    if seq + 1 < oldest || seq > newest || newest - seq > i64::from(limit) {
        return Ok(None);
    }
    let mut query =
        db.prepare_cached("SELECT seq, kind, host, id, rev FROM event WHERE seq > ?1 ORDER BY seq")?;
    let rows = query.query_map(params![seq], |r| {
        Ok(Change { seq: r.get(0)?, kind: r.get(1)?, host: r.get(2)?, id: r.get(3)?, rev: r.get(4)? })
    })?;
    Ok(Some(rows.collect::<Result<_, _>>()?))
}

fn stored(row: &SqlRow<'_>) -> rusqlite::Result<Stored> {
    Ok(Stored { json: row.get(0)?, received_at: Stamp(row.get(1)?) })
}

fn count(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}
