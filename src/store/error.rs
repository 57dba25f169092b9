//! What can go wrong with the store, sorted by what the caller can do about it.

use std::fmt;
use std::path::PathBuf;

use rusqlite::ErrorCode;

/// Why the store did not do what it was asked. Nothing is half-written when a call returns one of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// Another process holds the directory.
    Locked {
        /// The directory.
        dir: PathBuf,
        /// The process that wrote its id into the lock file, when it can be read.
        pid: Option<u32>,
    },
    /// The database was written by a newer sexton.
    Newer {
        /// Its schema version.
        found: i64,
        /// The newest schema version this build knows.
        known: i64,
    },
    /// The file is a healthy database of another program.
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A file or directory of the store cannot be made, read or moved.
    File {
        /// What was attempted: `create /var/lib/sexton`.
        doing: String,
        /// What the system said.
        reason: String,
    },
    /// The disk is full, the ballast is spent: try again later.
    Full,
    /// The database is damaged. A restart checks it and moves it aside.
    Corrupt(String),
    /// A journal entry of that number exists with another content: a fault of the caller.
    Conflict {
        /// The sequence number.
        seq: u64,
    },
    /// Anything else SQLite reports: try again later.
    Sqlite(String),
    /// The store has been closed.
    Closed,
}

impl StoreError {
    /// A failed file operation.
    pub(super) fn file(doing: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self::File { doing: doing.into(), reason: reason.to_string() }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked { dir, pid: Some(pid) } => {
                write!(f, "cannot open store: {} is in use by process {pid}", dir.display())
            }
            Self::Locked { dir, pid: None } => {
                write!(f, "cannot open store: {} is in use by another process", dir.display())
            }
            Self::Newer { found, known } => write!(
                f,
                "cannot open store: its schema version is {found}, this sexton knows up to {known}; \
                 run the newer sexton, or move state.db away to start anew"
            ),
            Self::Foreign { path } => {
                write!(f, "cannot open store: {} is a database of another program", path.display())
            }
            Self::File { doing, reason } => write!(f, "cannot {doing}: {reason}"),
            Self::Full => f.write_str("cannot write to store: disk is full"),
            Self::Corrupt(reason) => write!(f, "store is damaged: {reason}"),
            Self::Conflict { seq } => {
                write!(f, "cannot write to store: journal entry {seq} exists with another content")
            }
            Self::Sqlite(reason) => write!(f, "store failed: {reason}"),
            Self::Closed => f.write_str("store is closed"),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt(error.to_string()),
            _ => Self::Sqlite(error.to_string()),
        }
    }
}
