//! The shape of `state.db`: settings of every connection, versions and migrations.
//!
//! `application_id` tells our files from others', `user_version` counts schema versions. A version that has
//! been released never changes; a new one is one more script in [`MIGRATIONS`]. Each migration and its
//! version number are one transaction. docs/store.md describes the tables.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use super::error::StoreError;

/// "SxSt": the mark of a store in the header of the file.
pub const APPLICATION_ID: i64 = 0x5378_5374;

/// Script `n` leads from version `n` to version `n + 1`.
const MIGRATIONS: &[&str] = &[include_str!("schema.sql"), include_str!("schema_2.sql")];

/// Columns that came without a new version, with what makes them and their index: an older reader ignores
/// them and leaves them NULL in the rows that it makes, a newer one reads NULL there.
const ADDED: &[(&str, &str, &str)] = &[(
    "outbox",
    "alert_key",
    "ALTER TABLE outbox ADD COLUMN alert_key TEXT;
     CREATE INDEX outbox_alert ON outbox (destination, alert_key, id) WHERE alert_key IS NOT NULL;",
)];

/// Tables without which a database of ours cannot be used.
const TABLES: [&str; 7] = ["journal", "state", "outbox", "outbox_body", "outbox_dropped", "counter", "tally"];

/// Prepared statements kept per connection; a little above the number of distinct statements.
const STATEMENTS: usize = 64;

/// Opens the database with our settings and brings it to the newest version. The file must exist (it may be
/// empty).
///
/// # Errors
/// `Foreign`, `Newer`, `Corrupt`, or what SQLite says.
pub fn connect(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(path, flags)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    conn.execute_batch(
        "PRAGMA busy_timeout = 5000; PRAGMA cache_size = -512; PRAGMA temp_store = MEMORY;
         PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;",
    )?;
    let version = check_identity(&conn, path)?;
    if version == 0 {
        // Takes effect only before the first table, and before WAL writes the first page.
        conn.execute_batch("PRAGMA auto_vacuum = INCREMENTAL")?;
    }
    let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode == "wal" {
        conn.execute_batch(
            "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 256;
             PRAGMA journal_size_limit = 4194304;",
        )?;
    } else {
        // Some network file systems refuse WAL. EXTRA keeps the promise of durability there, at a price.
        tracing::warn!(mode, "store runs without WAL: commits are slower");
        conn.execute_batch("PRAGMA synchronous = EXTRA")?;
    }
    migrate(&mut conn, MIGRATIONS)?;
    check_tables(&conn)?;
    add_columns(&mut conn)?;
    Ok(conn)
}

fn check_identity(conn: &Connection, path: &Path) -> Result<i64, StoreError> {
    let application: i64 = conn.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let version = user_version(conn)?;
    let objects: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let fresh = application == 0 && version == 0 && objects == 0;
    if !fresh && application != APPLICATION_ID {
        return Err(StoreError::Foreign { path: path.to_owned() });
    }
    Ok(version)
}

fn user_version(conn: &Connection) -> Result<i64, StoreError> {
    Ok(conn.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

fn migrate(conn: &mut Connection, scripts: &[&str]) -> Result<(), StoreError> {
    let found = user_version(conn)?;
    let known = i64::try_from(scripts.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    for (version, script) in (1..).zip(scripts).skip_while(|(version, _)| *version <= found) {
        let tx = Transaction::new(conn, TransactionBehavior::Immediate)?;
        tx.execute_batch(script)?;
        tx.execute_batch(&format!(
            "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {version}"
        ))?;
        tx.commit()?;
    }
    Ok(())
}

fn add_columns(conn: &mut Connection) -> Result<(), StoreError> {
    for (table, column, script) in ADDED {
        let tx = Transaction::new(conn, TransactionBehavior::Immediate)?;
        let known = "SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2";
        if !tx.prepare(known)?.exists([table, column])? {
            tx.execute_batch(script)?;
            tx.commit()?;
        }
    }
    Ok(())
}

fn check_tables(conn: &Connection) -> Result<(), StoreError> {
    let mut known = conn.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1")?;
    for table in TABLES {
        if !known.exists([table])? {
            return Err(StoreError::Corrupt(format!("table {table} is missing")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.db");
        std::fs::File::create(&path).unwrap();
        (dir, path)
    }

    #[test]
    fn settings_are_the_durable_ones() {
        let (_dir, path) = file();
        let conn = connect(&path).unwrap();
        let pragma = |name: &str| -> String {
            conn.query_row(&format!("SELECT CAST({name} AS TEXT) FROM pragma_{name}"), [], |r| r.get(0))
                .unwrap()
        };
        for (name, value) in [
            ("journal_mode", "wal"),
            ("synchronous", "2"),
            ("auto_vacuum", "2"),
            ("user_version", "2"),
            ("application_id", "1400394612"),
            ("foreign_keys", "1"),
        ] {
            assert_eq!(pragma(name), value, "{name}");
        }
    }

    #[test]
    fn an_older_version_is_migrated_and_a_newer_one_refused() {
        let (_dir, path) = file();
        let mut conn = Connection::open(&path).unwrap();
        migrate(&mut conn, &["CREATE TABLE a (x)"]).unwrap();
        conn.execute("INSERT INTO a VALUES (7)", []).unwrap();
        migrate(&mut conn, &["CREATE TABLE a (x)", "ALTER TABLE a ADD COLUMN y DEFAULT 1"]).unwrap();
        let row: (i64, i64) =
            conn.query_row("SELECT x, y FROM a", [], |r| Ok((r.get(0)?, r.get(1)?))).unwrap();
        assert_eq!(row, (7, 1));
        let refused = migrate(&mut conn, &["CREATE TABLE a (x)"]);
        assert_eq!(refused, Err(StoreError::Newer { found: 2, known: 1 }));
    }

    #[test]
    fn a_migration_that_fails_leaves_the_old_version_whole() {
        let (_dir, path) = file();
        let mut conn = Connection::open(&path).unwrap();
        migrate(&mut conn, &["CREATE TABLE a (x)"]).unwrap();
        let broken = ["CREATE TABLE a (x)", "CREATE TABLE b (x); CREATE TABLE a (x)"];
        assert!(migrate(&mut conn, &broken).is_err());
        assert_eq!(user_version(&conn).unwrap(), 1);
        assert!(conn.prepare("SELECT * FROM b").is_err());
    }

    #[test]
    fn a_column_without_a_version_is_added_once_and_does_not_disturb_an_older_reader() {
        let (_dir, path) = file();
        let mut old = Connection::open(&path).unwrap();
        migrate(&mut old, MIGRATIONS).unwrap();
        let insert = |conn: &Connection, record: &str| {
            let sql =
                "INSERT INTO outbox (destination, record, kind, state, rank, priority, queued, rev, over,
                       created_at, bytes) VALUES ('d', ?1, 'incident', 'pending', 0, 1, 1, 1, 0, 0, 512)";
            conn.execute(sql, [record]).unwrap();
        };
        insert(&old, "before");
        connect(&path).unwrap();
        let conn = connect(&path).unwrap();
        migrate(&mut old, MIGRATIONS).unwrap();
        insert(&old, "after");
        let none = "SELECT count(*) FROM outbox WHERE alert_key IS NULL";
        assert_eq!(conn.query_row(none, [], |row| row.get::<_, i64>(0)).unwrap(), 2);
        assert_eq!(user_version(&conn).unwrap(), 2, "an older sexton goes on with it");
    }

    #[test]
    fn a_database_of_another_program_is_refused() {
        let (_dir, path) = file();
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
        assert_eq!(connect(&path).unwrap_err(), StoreError::Foreign { path });
    }
}
