//! The store's directory: made private, locked for one daemon, damaged databases moved aside, the ballast
//! kept.
//!
//! The lock is an advisory `flock` on `state.lock`, held while the daemon lives; the kernel gives it back
//! however the daemon ends. The ballast is a file of [`BALLAST`] bytes that is given up on a full disk, so
//! that the incident about the full disk can still be committed.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};

use super::error::StoreError;
use crate::engine::moment::Stamp;

/// Size of the ballast in bytes.
pub const BALLAST: u64 = 1 << 20;

/// The ballast is made again when this many bytes would still be free afterwards.
const ROOM: u64 = 4 * BALLAST;

/// Damaged databases kept; older ones are deleted.
const CORRUPT_KEPT: usize = 3;

/// The directory of a store, locked for as long as this lives.
pub struct Dir {
    path: PathBuf,
    _lock: File,
}

impl Dir {
    /// Makes the directory if need be (0700) and locks it.
    ///
    /// # Errors
    /// `Locked` with the holder's process id; `File`.
    pub fn lock(path: &Path) -> Result<Self, StoreError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|e| StoreError::file(format!("create {}", path.display()), e))?;
        let lock_path = path.join("state.lock");
        let doing = || format!("lock {}", lock_path.display());
        let mut lock = private_file(&lock_path).map_err(|e| StoreError::file(doing(), e))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let read = (&mut lock).take(32).read_to_string(&mut text);
                let pid = read.ok().and_then(|_| text.trim().parse().ok());
                return Err(StoreError::Locked { dir: path.to_owned(), pid });
            }
            Err(TryLockError::Error(e)) => return Err(StoreError::file(doing(), e)),
        }
        // Only tells people who holds it; on a full disk the lock must still work.
        if let Err(e) = lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id())) {
            tracing::warn!(reason = %e, "cannot write process id into lock file");
        }
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.path.join("state.db")
    }

    /// Makes the database file if need be and closes it to others. Returns true when it was there but empty.
    ///
    /// # Errors
    /// `File`.
    pub fn prepare_database(&self) -> Result<bool, StoreError> {
        let path = self.database();
        let doing = || format!("create {}", path.display());
        let empty = std::fs::metadata(&path).is_ok_and(|meta| meta.len() == 0);
        let file = private_file(&path).map_err(|e| StoreError::file(doing(), e))?;
        let mode = file.metadata().map_err(|e| StoreError::file(doing(), e))?.permissions().mode();
        if mode & 0o077 != 0 {
            file.set_permissions(Permissions::from_mode(0o600)).map_err(|e| StoreError::file(doing(), e))?;
        }
        Ok(empty)
    }

    /// Asks the next start to check the whole database, because it was found damaged at work.
    pub fn suspect(&self) {
        if let Err(e) = private_file(&self.suspect_path()) {
            tracing::warn!(reason = %e, "cannot mark store as suspect");
        }
    }

    /// True when an earlier run asked for a check.
    pub fn is_suspect(&self) -> bool {
        self.suspect_path().exists()
    }

    /// Takes the mark of [`Dir::suspect`] away.
    pub fn clear_suspect(&self) {
        if self.is_suspect()
            && let Err(e) = std::fs::remove_file(self.suspect_path())
        {
            tracing::warn!(reason = %e, "cannot remove mark of a suspect store");
        }
    }

    fn suspect_path(&self) -> PathBuf {
        self.path.join("state.suspect")
    }

    /// Moves a damaged database to `state.db.corrupt-<stamp>` and returns that name.
    ///
    /// # Errors
    /// `File`.
    pub fn move_aside(&self, now: Stamp) -> Result<String, StoreError> {
        let stamp: String = now.to_string().chars().filter(|c| c.is_ascii_alphanumeric()).take(15).collect();
        let names = (0..).map(|n| match n {
            0 => format!("state.db.corrupt-{stamp}Z"),
            n => format!("state.db.corrupt-{stamp}Z.{n}"),
        });
        let mut free = names.filter(|name| !self.path.join(name).exists());
        let name = free.next().unwrap_or_default();
        for suffix in ["-wal", ""] {
            let from = self.path.join(format!("state.db{suffix}"));
            if from.exists() {
                let to = self.path.join(format!("{name}{suffix}"));
                std::fs::rename(&from, &to)
                    .map_err(|e| StoreError::file(format!("move {} aside", from.display()), e))?;
            }
        }
        // The shared index belongs to the log that has just gone.
        let _ = std::fs::remove_file(self.path.join("state.db-shm"));
        self.prune_corrupt();
        Ok(name)
    }

    fn prune_corrupt(&self) {
        let Ok(entries) = std::fs::read_dir(&self.path) else { return };
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.starts_with("state.db.corrupt-") && !name.ends_with("-wal"))
            .collect();
        names.sort_unstable();
        for name in names.iter().rev().skip(CORRUPT_KEPT) {
            let _ = std::fs::remove_file(self.path.join(name));
            let _ = std::fs::remove_file(self.path.join(format!("{name}-wal")));
        }
    }

    /// Makes the ballast unless it is there, when there is room for it and more. Returns true when it is
    /// there.
    pub fn keep_ballast(&self) -> bool {
        let path = self.ballast();
        if std::fs::metadata(&path).is_ok_and(|meta| meta.len() >= BALLAST) {
            return true;
        }
        let room = rustix::fs::statvfs(&self.path)
            .is_ok_and(|vfs| vfs.f_bavail.saturating_mul(vfs.f_frsize) >= BALLAST + ROOM);
        room && match private_file(&path).and_then(fill) {
            Ok(()) => true,
            Err(e) => {
                tracing::warn!(reason = %e, "cannot make ballast file");
                let _ = std::fs::remove_file(&path);
                false
            }
        }
    }

    /// Gives the ballast up. Returns true when that freed anything.
    pub fn free_ballast(&self) -> bool {
        std::fs::remove_file(self.ballast()).is_ok()
    }

    fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }
}

fn private_file(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn fill(mut file: File) -> std::io::Result<()> {
    if fallocate(&file, FallocateFlags::empty(), 0, BALLAST).is_ok() {
        return Ok(());
    }
    // Not every file system can preallocate. Holes would free nothing, so real bytes are written.
    let chunk = [0_u8; 4096];
    for _ in 0..BALLAST / 4096 {
        file.write_all(&chunk)?;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_names_the_holder() {
        let tmp = tempfile::tempdir().unwrap();
        let held = Dir::lock(tmp.path()).unwrap();
        let refused = Dir::lock(tmp.path()).err().unwrap();
        assert_eq!(refused, StoreError::Locked { dir: tmp.path().to_owned(), pid: Some(std::process::id()) });
        assert!(refused.to_string().contains(&format!("in use by process {}", std::process::id())));
        drop(held);
        assert!(Dir::lock(tmp.path()).is_ok());
    }

    #[test]
    fn everything_is_private() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("a/b");
        let dir = Dir::lock(&path).unwrap();
        dir.prepare_database().unwrap();
        assert!(dir.keep_ballast());
        let mode = |p: &Path| std::fs::metadata(p).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        for name in ["state.lock", "state.db", "ballast"] {
            assert_eq!(mode(&path.join(name)), 0o600, "{name}");
        }
    }

    #[test]
    fn the_ballast_takes_real_space_and_can_be_freed_once() {
        use std::os::unix::fs::MetadataExt;
        let tmp = tempfile::tempdir().unwrap();
        let dir = Dir::lock(tmp.path()).unwrap();
        assert!(dir.keep_ballast());
        assert!(std::fs::metadata(dir.ballast()).unwrap().blocks() * 512 >= BALLAST);
        assert!(dir.free_ballast());
        assert!(!dir.free_ballast());
        assert!(dir.keep_ballast());
    }

    #[test]
    fn only_the_newest_damaged_databases_are_kept() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = Dir::lock(tmp.path()).unwrap();
        let day = crate::engine::moment::DAY;
        let names: Vec<String> = (0..5)
            .map(|n| {
                std::fs::write(dir.database(), b"x").unwrap();
                dir.move_aside(Stamp(1_790_000_000_000_000_000).plus(n / 2 * day)).unwrap()
            })
            .collect();
        assert_eq!(names[0], "state.db.corrupt-20260921T141320Z");
        let kept: Vec<bool> = names.iter().map(|name| tmp.path().join(name).exists()).collect();
        assert_eq!(kept, [false, false, true, true, true]);
    }
}
