//! The names in `/proc`: which processes are new, at the price of one directory reading.
//!
//! A process is looked at when its number or the inode of its entry is new (a number may be used again within
//! one interval), once more at the next reading (it may have been caught between fork and exec), and every
//! minute (a shell may exec late). Otherwise its number costs nothing but its place in the list.

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;

use rustix::fs::{RawDir, SeekFrom, seek};

/// How often a new process is looked at before it counts as settled.
const LOOKS: u8 = 2;
/// Bytes of directory entries read at once.
const BUFFER: usize = 16 << 10;
/// More processes than this are not looked through.
pub(super) const PIDS_MAX: usize = 1 << 20;

/// A process as last seen in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    pid: i32,
    inode: u64,
    looks: u8,
}

/// The list of processes.
pub(super) struct Scan {
    dir: File,
    seen: Vec<Seen>,
    buffer: Box<[MaybeUninit<u8>]>,
}

impl Scan {
    /// Opens `/proc`.
    pub fn open() -> Result<Self, String> {
        let dir = File::open("/proc").map_err(|e| format!("cannot open /proc: {e}"))?;
        Ok(Self { dir, seen: Vec::new(), buffer: Box::new_uninit_slice(BUFFER) })
    }

    /// Reads the list and returns the processes to look at; with `all`, every one. Then [`Scan::runs`] is up
    /// to date.
    pub fn read(&mut self, all: bool) -> Result<Vec<i32>, String> {
        let entries = self.entries().map_err(|e| format!("cannot read /proc: {e}"))?;
        Ok(self.compare(entries, all))
    }

    /// Whether the process is in the list.
    pub fn runs(&self, pid: i32) -> bool {
        self.seen.binary_search_by_key(&pid, |s| s.pid).is_ok()
    }

    fn entries(&mut self) -> io::Result<Vec<(i32, u64)>> {
        seek(&self.dir, SeekFrom::Start(0))?;
        let mut entries = Vec::with_capacity(self.seen.len() + 8);
        let mut dir = RawDir::new(&self.dir, &mut self.buffer);
        while let Some(entry) = dir.next() {
            let entry = entry?;
            if let Ok(Ok(pid)) = entry.file_name().to_str().map(str::parse)
                && entries.len() < PIDS_MAX
            {
                entries.push((pid, entry.ino()));
            }
        }
        // The kernel lists them in this order; if it ever does not, the search below must still be right.
        entries.sort_unstable();
        Ok(entries)
    }

    fn compare(&mut self, entries: Vec<(i32, u64)>, all: bool) -> Vec<i32> {
        let mut old = self.seen.iter().peekable();
        let mut look = Vec::new();
        let mut seen = Vec::with_capacity(entries.len());
        for (pid, inode) in entries {
            while old.next_if(|s| s.pid < pid).is_some() {}
            let known = old.next_if(|s| s.pid == pid && s.inode == inode);
            let looks = known.map_or(0, |s| s.looks);
            if all || looks < LOOKS {
                look.push(pid);
            }
            seen.push(Seen { pid, inode, looks: (looks + 1).min(LOOKS) });
        }
        self.seen = seen;
        look
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_new_processes_are_looked_at() {
        let mut scan = Scan::open().unwrap();
        let mut look = |entries: &[(i32, u64)], all| scan.compare(entries.to_vec(), all);
        assert_eq!(look(&[(1, 10), (7, 70)], false), [1, 7]);
        assert_eq!(look(&[(1, 10), (7, 70), (9, 90)], false), [1, 7, 9], "again, they may have called exec");
        assert_eq!(look(&[(1, 10), (7, 70), (9, 90)], false), [9]);
        assert_eq!(look(&[(1, 10), (7, 71), (9, 90)], false), [7], "another process under an old number");
        assert_eq!(look(&[(1, 10)], true), [1]);
        assert_eq!(look(&[(1, 10), (7, 71)], false), [7], "gone and back");
    }

    #[test]
    fn the_list_holds_ourselves() {
        let mut scan = Scan::open().unwrap();
        let me = i32::try_from(std::process::id()).unwrap();
        assert!(scan.read(false).unwrap().contains(&me));
        assert!(scan.runs(me) && !scan.runs(-1));
        scan.read(false).unwrap();
        assert!(!scan.read(false).unwrap().contains(&me), "the inode of a living process stays");
    }
}
