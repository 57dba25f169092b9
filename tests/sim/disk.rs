//! The host's disk: the real store's files in a directory in memory, and what is left of them after a crash.
//!
//! With `synchronous=FULL` everything an answered transaction wrote is on the disk. A process that dies
//! leaves the files as they are; a power cut in the middle of a transaction leaves the file that was being
//! written with any of its changed sectors, new or old. (The log is synced before the database is touched:
//! so only one of the two files is torn.)

use std::path::{Path, PathBuf};

use super::random::Random;

/// Bytes that a disk writes whole.
const SECTOR: usize = 512;
/// Bytes of the header of SQLite's log.
const HEADER: usize = 32;

/// What the files of a store hold.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Image {
    database: Vec<u8>,
    log: Vec<u8>,
}

/// The directory of one world's store.
pub struct Disk {
    dir: tempfile::TempDir,
}

impl Disk {
    /// An empty one, in memory where there is such a place.
    pub fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        Self { dir: dir.expect("a directory for the store") }
    }

    /// Where the store lives.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    /// What is on it now.
    pub fn image(&self) -> Image {
        let read = |name| std::fs::read(self.path().join(name)).unwrap_or_default();
        Image { database: read("state.db"), log: read("state.db-wal") }
    }

    /// Puts that on it, after the store is closed.
    pub fn put(&self, image: &Image) {
        for (name, bytes) in [("state.db", &image.database), ("state.db-wal", &image.log)] {
            let path = self.path().join(name);
            if bytes.is_empty() {
                let _ = std::fs::remove_file(path);
            } else {
                std::fs::write(path, bytes).expect("the disk can be written");
            }
        }
        let _ = std::fs::remove_file(self.path().join("state.db-shm"));
    }

    /// Loses everything.
    pub fn wipe(&self) {
        let _ = std::fs::remove_dir_all(self.path());
    }
}

impl Image {
    /// What a power cut leaves of a transaction that led from this image to `after`.
    pub fn torn(&self, after: &Image, random: &mut Random) -> Image {
        let moved = self.database != after.database;
        let begun_anew = self.log.get(..HEADER) != after.log.get(..HEADER) && !self.log.is_empty();
        if moved && begun_anew {
            // Several things happened, and what lay between them cannot be known any more.
            return after.clone();
        }
        if moved && random.chance(50) {
            return Image { database: mix(&self.database, &after.database, random), log: after.log.clone() };
        }
        if begun_anew && random.chance(25) {
            return self.clone();
        }
        let mut log = mix(&self.log, &after.log, random);
        // A log that begins anew has its header synced before its first frame is written.
        if begun_anew && log.len() >= HEADER && after.log.len() >= HEADER {
            log[..HEADER].copy_from_slice(&after.log[..HEADER]);
        }
        Image { database: self.database.clone(), log }
    }
}

/// The file on its way from one content to the other: most often a prefix is written, sometimes any sectors
/// are, and sometimes a sector holds neither.
fn mix(before: &[u8], after: &[u8], random: &mut Random) -> Vec<u8> {
    let mut file = after.to_vec();
    let sectors = after.len().div_ceil(SECTOR);
    let cut = random.below(sectors as u64 + 1) as usize;
    let scattered = random.chance(40);
    for sector in 0..sectors {
        let range = sector * SECTOR..((sector + 1) * SECTOR).min(after.len());
        let changed = before.get(range.clone()) != Some(&after[range.clone()]);
        let lost = if scattered { random.chance(50) } else { sector >= cut };
        if !changed || !lost {
            continue;
        }
        for at in range {
            file[at] = before.get(at).copied().unwrap_or(0);
        }
    }
    if !scattered {
        let last = sectors.min(cut) * SECTOR;
        file.truncate(last.max(before.len()));
    }
    file
}
