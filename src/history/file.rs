//! The file `history.db`: its settings, its version, and what becomes of one that cannot be used.
//!
//! The write-ahead log is synced when it is copied into the file, not at each commit: after a power cut the
//! last minutes may be gone, the rest is whole. Nothing is checked at the start, so that it does not depend
//! on the size; damage is found by SQLite when it meets it, or by the seal of a row. What cannot be used is
//! moved aside under a name that says why.

use std::fs::{OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use super::error::HistoryError;
use crate::engine::moment::Stamp;

/// "SxHi": the mark of a history in the header of the file.
pub const APPLICATION_ID: i64 = 0x5378_4869;

/// Script `n` leads from version `n` to version `n + 1`.
const MIGRATIONS: &[&str] = &[include_str!("schema.sql")];
const TABLES: [&str; 7] = ["run", "instance", "series", "recent", "segment", "stamps", "chunk"];
/// Prepared statements kept per connection.
const STATEMENTS: usize = 24;
/// Files moved aside that are kept of each sort; they may be as large as the budget.
const ASIDE_KEPT: usize = 1;
/// The name of the file in the store's directory.
const NAME: &str = "history.db";

/// The history's file in that directory.
pub fn path(dir: &Path) -> PathBuf {
    dir.join(NAME)
}

/// Opens the file for writing; makes it and its directory when they are not there.
///
/// # Errors
/// See [`HistoryError`]; `Foreign`, `Newer` and `Damaged` call for [`move_aside`].
pub fn open(dir: &Path) -> Result<Connection, HistoryError> {
    let path = path(dir);
    let failed = |e: std::io::Error| HistoryError::file(format!("open {}", path.display()), e);
    std::fs::create_dir_all(dir).map_err(failed)?;
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = file.map_err(failed)?;
    if file.metadata().map_err(failed)?.permissions().mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600)).map_err(failed)?;
    }
    drop(file);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(&path, flags)?;
    settings(&conn)?;
    if identity(&conn)? == 0 {
        conn.execute_batch("PRAGMA auto_vacuum = INCREMENTAL")?;
    }
    let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode == "wal" {
        conn.execute_batch(
            "PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 64;
             PRAGMA journal_size_limit = 262144;",
        )?;
    }
    migrate(&mut conn)?;
    check_tables(&conn)?;
    Ok(conn)
}

/// Opens the file for reading, beside a daemon that writes it or without one.
///
/// SQLite needs files of its own beside one with a log (`-shm`). Where none can be made and there is no log
/// either, nobody writes the file, and it is read as it lies there.
///
/// # Errors
/// `Absent` when there is none; else see [`HistoryError`].
pub fn open_to_read(dir: &Path) -> Result<Connection, HistoryError> {
    let path = path(dir);
    if !path.exists() {
        return Err(HistoryError::Absent(path));
    }
    match usable(Connection::open_with_flags(&path, READING), &path) {
        Err(HistoryError::ReadOnly(_)) => {}
        other => return other,
    }
    std::fs::File::open(&path).map_err(|e| HistoryError::file(format!("open {}", path.display()), e))?;
    let log = path.with_file_name(format!("{NAME}-wal"));
    match std::fs::metadata(&log) {
        Ok(meta) if meta.len() > 0 => {
            let reason = "its log is beside it, and SQLite may not write here; copy all history.db* files to a \
                          directory of your own and name that";
            Err(HistoryError::file(format!("read {}", path.display()), reason))
        }
        _ => usable(Connection::open_with_flags(as_it_lies(&path), READING), &path),
    }
}

/// How a file is opened that is only read.
const READING: OpenFlags =
    OpenFlags::SQLITE_OPEN_READ_ONLY.union(OpenFlags::SQLITE_OPEN_NO_MUTEX).union(OpenFlags::SQLITE_OPEN_URI);

/// A connection to a history that can be read.
fn usable(conn: rusqlite::Result<Connection>, path: &Path) -> Result<Connection, HistoryError> {
    let conn = conn?;
    settings(&conn)?;
    if identity(&conn)? == 0 {
        return Err(HistoryError::Absent(path.to_owned()));
    }
    check_tables(&conn)?;
    Ok(conn)
}

/// The address of a file that nobody changes while it is read: https://sqlite.org/uri.html
fn as_it_lies(path: &Path) -> String {
    let mut address = String::from("file:");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                address.push(char::from(*byte));
            }
            other => address.push_str(&format!("%{other:02X}")),
        }
    }
    address + "?immutable=1"
}

fn settings(conn: &Connection) -> Result<(), HistoryError> {
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    // A cache of 64 KiB: rows are read once, in order.
    conn.execute_batch(
        "PRAGMA busy_timeout = 2000; PRAGMA cache_size = -64; PRAGMA temp_store = MEMORY;
         PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;",
    )?;
    Ok(())
}

/// The version of the file; 0 when it is empty.
fn identity(conn: &Connection) -> Result<i64, HistoryError> {
    let pragma = |name: &str| -> Result<i64, HistoryError> {
        Ok(conn.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))?)
    };
    let (application, version) = (pragma("application_id")?, pragma("user_version")?);
    let objects: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application != APPLICATION_ID && (application, version, objects) != (0, 0, 0) {
        return Err(HistoryError::Foreign);
    }
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if version > known {
        return Err(HistoryError::Newer { found: version, known });
    }
    Ok(version)
}

fn migrate(conn: &mut Connection) -> Result<(), HistoryError> {
    let found = identity(conn)?;
    for (version, script) in (1..).zip(MIGRATIONS).skip_while(|(version, _)| *version <= found) {
        let tx = Transaction::new(conn, TransactionBehavior::Immediate)?;
        tx.execute_batch(script)?;
        tx.execute_batch(&format!(
            "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {version}"
        ))?;
        tx.commit()?;
    }
    Ok(())
}

fn check_tables(conn: &Connection) -> Result<(), HistoryError> {
    let mut known = conn.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1")?;
    for table in TABLES {
        if !known.exists([table])? {
            return Err(HistoryError::Damaged(format!("table {table} is missing")));
        }
    }
    Ok(())
}

/// Moves a file that cannot be used to `history.db.<why>-<stamp>` and returns that name. Only the newest of
/// each sort is kept; another program's are all kept.
///
/// # Errors
/// `File`.
pub fn move_aside(dir: &Path, error: &HistoryError, now: Stamp) -> Result<String, HistoryError> {
    let why = match error {
        HistoryError::Foreign => "foreign",
        HistoryError::Newer { .. } => "newer",
        _ => "corrupt",
    };
    let stamp: String = now.to_string().chars().filter(|c| c.is_ascii_alphanumeric()).take(15).collect();
    let names = (0..).map(|n| match n {
        0 => format!("{NAME}.{why}-{stamp}Z"),
        n => format!("{NAME}.{why}-{stamp}Z.{n}"),
    });
    let mut free = names.filter(|name| !dir.join(name).exists());
    let name = free.next().unwrap_or_default();
    for suffix in ["-wal", ""] {
        let from = dir.join(format!("{NAME}{suffix}"));
        if from.exists() {
            std::fs::rename(&from, dir.join(format!("{name}{suffix}")))
                .map_err(|e| HistoryError::file(format!("move {} aside", from.display()), e))?;
        }
    }
    // The shared index belongs to the log that has just gone.
    let _ = std::fs::remove_file(dir.join(format!("{NAME}-shm")));
    if why != "foreign" {
        prune(dir, &format!("{NAME}.{why}-"));
    }
    Ok(name)
}

fn prune(dir: &Path, prefix: &str) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with(prefix) && !name.ends_with("-wal"))
        .collect();
    names.sort_unstable();
    for name in names.iter().rev().skip(ASIDE_KEPT) {
        let _ = std::fs::remove_file(dir.join(name));
        let _ = std::fs::remove_file(dir.join(format!("{name}-wal")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_beside_which_nothing_can_be_made_is_read_as_it_lies() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = tmp.path().join("a b?c%41#d");
        drop(open(&dir).unwrap());
        let before = std::fs::read_dir(&dir).unwrap().count();
        let conn =
            usable(Connection::open_with_flags(as_it_lies(&path(&dir)), READING), &path(&dir)).unwrap();
        let runs: i64 = conn.query_row("SELECT count(*) FROM run", [], |row| row.get(0)).unwrap();
        assert_eq!(
            (runs, std::fs::read_dir(&dir).unwrap().count()),
            (0, before),
            "nothing is made beside it"
        );
    }
}
