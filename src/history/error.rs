//! What can go wrong with the history. None of it ever stops the daemon.

use std::fmt;
use std::path::PathBuf;

use rusqlite::ErrorCode;

/// Why the history did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HistoryError {
    /// The file was written by a newer sexton.
    Newer {
        /// Its version.
        found: i64,
        /// The newest version this build knows.
        known: i64,
    },
    /// The file is of another program.
    Foreign,
    /// The file is damaged.
    Damaged(String),
    /// The disk is full.
    Full,
    /// A file cannot be made, opened or moved.
    File {
        /// What was attempted.
        doing: String,
        /// What the system said.
        reason: String,
    },
    /// There is no history: it is switched off, or cannot be had now.
    Absent(PathBuf),
    /// SQLite would have to write something and may not.
    ReadOnly(String),
    /// Anything else SQLite says: try again later.
    Sqlite(String),
    /// The history has been closed.
    Closed,
}

impl HistoryError {
    /// A failed file operation.
    pub(super) fn file(doing: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self::File { doing: doing.into(), reason: reason.to_string() }
    }
}

impl fmt::Display for HistoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newer { found, known } => {
                write!(f, "history is of version {found}, this sexton knows up to {known}")
            }
            Self::Foreign => f.write_str("history is a database of another program"),
            Self::Damaged(reason) => write!(f, "history is damaged: {reason}"),
            Self::Full => f.write_str("cannot write history: disk is full"),
            Self::File { doing, reason } => write!(f, "cannot {doing}: {reason}"),
            Self::Absent(path) => write!(f, "there is no history at {}", path.display()),
            Self::ReadOnly(reason) | Self::Sqlite(reason) => write!(f, "history failed: {reason}"),
            Self::Closed => f.write_str("history is closed"),
        }
    }
}

impl std::error::Error for HistoryError {}

impl From<rusqlite::Error> for HistoryError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen) => Self::ReadOnly(error.to_string()),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(error.to_string()),
            _ => Self::Sqlite(error.to_string()),
        }
    }
}
