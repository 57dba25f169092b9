//! The writing thread: what arrives is judged by revision and stored, many requests to one commit.
//!
//! The rule that makes delivery at least once safe: per (host, id) the highest `rev` stays. A lower one is
//! stale, the same one a duplicate; a link is stored once; of heartbeats the newest stays.

use std::collections::BTreeMap;
use std::sync::mpsc::Receiver;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use serde::Serialize;
use tokio::sync::broadcast;

use super::{DbError, Ingest, Job};
use crate::desk::wire::{Content, Delivery, HeartbeatRow, LinkRow, Row};
use crate::engine::effect::RecordKind;
use crate::engine::moment::{DAY, HOUR, SECOND, Stamp};
use crate::engine::record::HostRef;

/// Requests that share a commit at most.
const GROUP: usize = 64;
/// Rows kept in `event`; a page that was away longer loads anew.
const EVENTS_KEPT: i64 = 10_000;
/// Records that are over leave the desk after this time, in nanoseconds.
const KEEP_OVER: i64 = 400 * DAY;
/// Records dropped by age per commit at most, so that no commit grows long.
const DROP_AT_ONCE: i64 = 500;

/// What became of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::desk) enum Verdict {
    /// It is on disk now.
    Stored,
    /// The desk had exactly this revision.
    Duplicate,
    /// The desk holds a newer one.
    Stale(String),
    /// It will never be taken.
    Refused(String),
}

/// A stored change, for pages that are open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::desk) struct Change {
    /// Grows with every stored event.
    pub seq: i64,
    /// `incident`, `problem`, `link` or `host`.
    pub kind: String,
    /// Host id.
    pub host: String,
    /// Record id.
    pub id: String,
    /// Revision; 0 for links and hosts.
    pub rev: i64,
}

/// Serves requests until told to stop.
pub(super) fn run(mut db: Connection, jobs: &Receiver<Job<Ingest>>, changes: &broadcast::Sender<Change>) {
    let mut pruned = Stamp(0);
    let mut stopping = false;
    while !stopping {
        let Ok(Job::Do(first)) = jobs.recv() else { break };
        let mut group = vec![first];
        while group.len() < GROUP {
            match jobs.try_recv() {
                Ok(Job::Do(next)) => group.push(next),
                Ok(Job::Stop) => stopping = true,
                Err(_) => break,
            }
        }
        commit(&mut db, group, changes, &mut pruned);
    }
    if let Err(error) = db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)") {
        tracing::warn!(reason = %error, "the desk's WAL was not written back");
    }
}

fn commit(db: &mut Connection, group: Vec<Ingest>, changes: &broadcast::Sender<Change>, pruned: &mut Stamp) {
    match store(db, &group, pruned) {
        Ok((verdicts, stored)) => {
            for (ingest, verdicts) in group.into_iter().zip(verdicts) {
                // The sender may have hung up; it will ask again and hear "duplicate".
                let _ = ingest.reply.send(Ok(verdicts));
            }
            for change in stored {
                // No page open: nobody to tell.
                let _ = changes.send(change);
            }
        }
        Err(error) => {
            tracing::error!(reason = %error, "the desk cannot store what it was sent");
            for ingest in group {
                let again = rusqlite::Error::SqliteFailure(
                    error
                        .sqlite_error()
                        .copied()
                        .unwrap_or(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ERROR)),
                    Some(error.to_string()),
                );
                let _ = ingest.reply.send(Err(DbError::Sqlite(again)));
            }
        }
    }
}

type Outcome = (Vec<Vec<Verdict>>, Vec<Change>);

fn store(db: &mut Connection, group: &[Ingest], pruned: &mut Stamp) -> rusqlite::Result<Outcome> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut changes = Vec::new();
    let mut verdicts = Vec::with_capacity(group.len());
    let mut latest = Stamp(0);
    for ingest in group {
        let mut writer = Writer { tx: &tx, now: ingest.now, heard: BTreeMap::new(), changes: &mut changes };
        let judged: rusqlite::Result<Vec<_>> = ingest.events.iter().map(|e| writer.take(e)).collect();
        verdicts.push(judged?);
        writer.note_hosts()?;
        latest = latest.max(ingest.now);
    }
    tx.execute("DELETE FROM event WHERE seq <= (SELECT max(seq) FROM event) - ?1", params![EVENTS_KEPT])?;
    let due = latest.0 - pruned.0 > HOUR;
    if due {
        prune(&tx, latest)?;
    }
    tx.commit()?;
    if due {
        *pruned = latest;
    }
    Ok((verdicts, changes))
}

fn prune(tx: &Transaction<'_>, now: Stamp) -> rusqlite::Result<()> {
    let before = now.0 - KEEP_OVER;
    for table in ["incident", "problem"] {
        let old = format!("SELECT rowid FROM {table} WHERE open = 0 AND until < ?1 LIMIT ?2");
        tx.execute(&format!("DELETE FROM {table} WHERE rowid IN ({old})"), params![before, DROP_AT_ONCE])?;
    }
    Ok(())
}

/// Stores the events of one request.
struct Writer<'a> {
    tx: &'a Transaction<'a>,
    now: Stamp,
    heard: BTreeMap<String, String>,
    changes: &'a mut Vec<Change>,
}

impl Writer<'_> {
    fn take(&mut self, event: &Delivery) -> rusqlite::Result<Verdict> {
        let content = match &event.content {
            Ok(content) => content,
            Err(reason) => return Ok(Verdict::Refused(reason.clone())),
        };
        let (verdict, host) = match content {
            Content::Record(row) => (self.record(&event.id, row)?, &row.host),
            Content::Link(row) => (self.link(&event.id, row)?, &row.link.host),
            Content::Heartbeat(row) => (self.heartbeat(row)?, &row.heartbeat.host),
        };
        self.heard.insert(host.id.clone(), host.name.clone());
        Ok(verdict)
    }

    fn record(&mut self, event: &str, row: &Row) -> rusqlite::Result<Verdict> {
        let table = match row.kind {
            RecordKind::Problem => "problem",
            RecordKind::Incident | RecordKind::Link => "incident",
        };
        let held = format!("SELECT rev FROM {table} WHERE host = ?1 AND id = ?2");
        let held: Option<i64> = self
            .tx
            .prepare_cached(&held)?
            .query_row(params![row.host.id, row.id], |r| r.get(0))
            .optional()?;
        match held {
            Some(rev) if rev == row.rev => return Ok(Verdict::Duplicate),
            Some(rev) if rev > row.rev => return Ok(Verdict::Stale(format!("revision {rev} is held"))),
            _ => {}
        }
        let put = format!(
            "INSERT INTO {table} (host, id, rev, state, open, priority, since, until, weight,
             received_at, summary, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
             ON CONFLICT (host, id) DO UPDATE SET rev = excluded.rev, state = excluded.state,
             open = excluded.open, priority = excluded.priority, since = excluded.since,
             until = excluded.until, weight = excluded.weight,
             received_at = excluded.received_at, summary = excluded.summary, body = excluded.body"
        );
        self.tx.prepare_cached(&put)?.execute(params![
            row.host.id,
            row.id,
            row.rev,
            row.state,
            row.open,
            row.priority,
            row.since.0,
            row.until.map(|s| s.0),
            row.weight,
            self.now.0,
            row.summary,
            row.body,
        ])?;
        self.note(event, table, &row.host, &row.id, row.rev)?;
        Ok(Verdict::Stored)
    }

    fn link(&mut self, event: &str, row: &LinkRow) -> rusqlite::Result<Verdict> {
        let link = &row.link;
        let added = self
            .tx
            .prepare_cached(
                "INSERT INTO link (host, id, incident, problem, at, received_at, body)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (host, id) DO NOTHING",
            )?
            .execute(params![
                link.host.id,
                link.id,
                link.incident,
                link.problem,
                link.at.0,
                self.now.0,
                row.body
            ])?;
        if added == 0 {
            return Ok(Verdict::Duplicate);
        }
        self.note(event, "link", &link.host, &link.id, 0)?;
        Ok(Verdict::Stored)
    }

    fn heartbeat(&mut self, row: &HeartbeatRow) -> rusqlite::Result<Verdict> {
        let beat = &row.heartbeat;
        let held: Option<Option<i64>> = self
            .tx
            .prepare_cached("SELECT heartbeat_at FROM host WHERE id = ?1")?
            .query_row(params![beat.host.id], |r| r.get(0))
            .optional()?;
        match held.flatten() {
            Some(at) if at == beat.at.0 => return Ok(Verdict::Duplicate),
            Some(at) if at > beat.at.0 => {
                return Ok(Verdict::Stale(format!("the one of {} is held", Stamp(at))));
            }
            _ => {}
        }
        let interval = beat.interval.filter(|s| s.is_finite() && *s > 0.0);
        let interval = interval.map(|s| ((s * SECOND as f64) as i64).min(DAY));
        self.tx
            .prepare_cached(
                "INSERT INTO host (id, name, first_at, heard_at, heartbeat_at, interval, version, body)
                 VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT (id) DO UPDATE SET name = excluded.name, heartbeat_at = excluded.heartbeat_at,
                 interval = excluded.interval, version = excluded.version, body = excluded.body",
            )?
            .execute(params![
                beat.host.id,
                beat.host.name,
                self.now.0,
                beat.at.0,
                interval,
                beat.version,
                row.body
            ])?;
        if held.is_none() {
            self.tell(0, "host", &beat.host.id, &beat.host.id, 0);
        }
        Ok(Verdict::Stored)
    }

    /// Whatever a host sends shows that it lives, even a repetition.
    fn note_hosts(&mut self) -> rusqlite::Result<()> {
        for (id, name) in &self.heard {
            self.tx
                .prepare_cached(
                    "INSERT INTO host (id, name, first_at, heard_at) VALUES (?1, ?2, ?3, ?3)
                     ON CONFLICT (id) DO UPDATE SET name = excluded.name, heard_at = excluded.heard_at",
                )?
                .execute(params![id, name, self.now.0])?;
        }
        Ok(())
    }

    fn note(&mut self, event: &str, kind: &str, host: &HostRef, id: &str, rev: i64) -> rusqlite::Result<()> {
        self.tx
            .prepare_cached(
                "INSERT INTO event (event, kind, host, id, rev, received_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![event, kind, host.id, id, rev, self.now.0])?;
        self.tell(self.tx.last_insert_rowid(), kind, &host.id, id, rev);
        Ok(())
    }

    fn tell(&mut self, seq: i64, kind: &str, host: &str, id: &str, rev: i64) {
        let (kind, host, id) = (kind.to_owned(), host.to_owned(), id.to_owned());
        self.changes.push(Change { seq, kind, host, id, rev });
    }
}
