//! Tells when the content of a configuration has changed; it does not load it.
//!
//! Directories are watched, never files: a watch on a file dies with the first rename of an editor, and the
//! swap of a `..data` link (Kubernetes) names no file of ours. Every event only leads to a look: the files
//! are hashed, and a signal is sent when the hash is another one. A look also happens every 30 s, for file
//! systems where inotify is mute, and re-arms watches whose directory was replaced. Invariants: the watches
//! are armed before the look, so nothing between them is missed; reading the files wakes nobody (`Access`
//! events are dropped in the callback). One thread beside that of notify.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use notify::{Event, RecursiveMode, Watcher};
use sha2::{Digest, Sha256};

use super::source;

/// Quiet time after an event before the look: an editor writes more than once.
const QUIET: Duration = Duration::from_millis(300);
/// Longest wait for quiet; a directory that never rests is looked at nevertheless.
const MOST_WAITS: u32 = 10;
/// Time between looks without any event.
const POLL: Duration = Duration::from_secs(30);
/// Stack of the thread.
const STACK: usize = 256 * 1024;

/// A running watch; dropping it ends it.
pub struct Watch {
    stopped: Arc<AtomicBool>,
    nudge: SyncSender<()>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // A full queue wakes the thread just as well.
        let _ = self.nudge.try_send(());
    }
}

/// Watches the configuration at `path` (directory or main file) and sends `()` whenever its content has
/// become another one. A signal that is still unread stands for later changes too.
///
/// # Errors
/// When the thread cannot be started. A path that does not exist yet, or a host without inotify, is no error:
/// then polling finds the change.
pub fn spawn(path: &Path, tx: tokio::sync::mpsc::Sender<()>) -> Result<Watch, String> {
    spawn_with(path, tx, POLL)
}

fn spawn_with(path: &Path, tx: tokio::sync::mpsc::Sender<()>, poll: Duration) -> Result<Watch, String> {
    let path = std::path::absolute(path).map_err(|e| format!("cannot watch {}: {e}", path.display()))?;
    let (nudge, nudges) = sync_channel(1);
    let stopped = Arc::new(AtomicBool::new(false));
    let mut armed = Armed::new(path, nudge.clone());
    // Armed and looked at before this returns: what changes from now on is noticed.
    armed.arm();
    let seen = armed.content();
    let loop_ = Loop { armed, seen, nudges, poll, tx, stopped: Arc::clone(&stopped) };
    std::thread::Builder::new()
        .name("config-watch".to_owned())
        .stack_size(STACK)
        .spawn(move || loop_.run())
        .map_err(|e| format!("cannot start the thread that watches the configuration: {e}"))?;
    Ok(Watch { stopped, nudge })
}

struct Loop {
    armed: Armed,
    seen: [u8; 32],
    nudges: Receiver<()>,
    poll: Duration,
    tx: tokio::sync::mpsc::Sender<()>,
    stopped: Arc<AtomicBool>,
}

impl Loop {
    fn run(mut self) {
        loop {
            if self.nudges.recv_timeout(self.poll).is_ok() {
                self.settle();
            }
            if self.stopped.load(Ordering::Relaxed) || self.tx.is_closed() {
                return;
            }
            self.armed.arm();
            let now = self.armed.content();
            if now != self.seen {
                self.seen = now;
                // A full channel holds an unread signal, which stands for this change too.
                let _ = self.tx.try_send(());
            }
        }
    }

    /// Waits until no event has come for a while.
    fn settle(&self) {
        for _ in 0..MOST_WAITS {
            if self.stopped.load(Ordering::Relaxed) || self.nudges.recv_timeout(QUIET).is_err() {
                return;
            }
        }
    }
}

/// The directories that are watched now, each with the inode it had then.
struct Armed {
    path: PathBuf,
    nudge: SyncSender<()>,
    dirs: BTreeMap<PathBuf, (u64, u64)>,
    watcher: Option<notify::RecommendedWatcher>,
}

impl Armed {
    fn new(path: PathBuf, nudge: SyncSender<()>) -> Self {
        Self { path, nudge, dirs: BTreeMap::new(), watcher: None }
    }

    /// Watches the right directories; a new watcher takes the place of the old one only when they are others
    /// than before.
    fn arm(&mut self) {
        let wanted = self.wanted();
        if self.watcher.is_some() && wanted == self.dirs {
            return;
        }
        let Ok(mut watcher) = notify::recommended_watcher(self.listener()) else {
            return; // no inotify instance left: polling goes on, and tries again
        };
        self.dirs = wanted;
        self.dirs.retain(|dir, _| watcher.watch(dir, RecursiveMode::NonRecursive).is_ok());
        self.watcher = Some(watcher);
    }

    /// The parent (for a directory that is replaced, or comes later), the directory, rules.d, and where links
    /// really lead.
    fn wanted(&self) -> BTreeMap<PathBuf, (u64, u64)> {
        let rules = source::drop_in_dir(&self.path);
        let mut dirs = vec![rules.clone()];
        dirs.extend(self.path.parent().map(Path::to_owned));
        if self.path.is_dir() {
            dirs.push(self.path.clone());
        }
        let files = source::files(&self.path).unwrap_or_default();
        for file in files.iter().chain([&self.path, &rules]) {
            let real = file.canonicalize().ok();
            dirs.extend(real.as_deref().and_then(Path::parent).map(Path::to_owned));
        }
        let identity = |dir: &PathBuf| std::fs::metadata(dir).ok().filter(std::fs::Metadata::is_dir);
        dirs.into_iter().filter_map(|dir| identity(&dir).map(|m| (dir, (m.dev(), m.ino())))).collect()
    }

    /// Runs on notify's thread. Of the parent directory, which may be a busy one, only our own name counts.
    fn listener(&self) -> impl FnMut(notify::Result<Event>) + Send + 'static {
        let (path, nudge) = (self.path.clone(), self.nudge.clone());
        let rules = source::drop_in_dir(&path);
        let is_file = path.is_file();
        move |event| {
            let ours = |p: &PathBuf| {
                p.parent() != path.parent() || p.file_name() == path.file_name() || (is_file && *p == rules)
            };
            let matters = match &event {
                Ok(event) => {
                    !event.kind.is_access() && (event.paths.is_empty() || event.paths.iter().any(ours))
                }
                Err(_) => true,
            };
            if matters {
                // A full queue holds a nudge already; a closed one has no more reader.
                let _ = nudge.try_send(());
            }
        }
    }

    /// A hash over names and content of all files; a file that cannot be read counts as its error.
    fn content(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hasher.update((bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        match source::files(&self.path) {
            Err(trouble) => part(trouble.message.as_bytes()),
            Ok(files) => {
                for file in files {
                    part(file.as_os_str().as_encoded_bytes());
                    match source::read_bytes(&file) {
                        Ok(bytes) => part(&bytes),
                        Err(trouble) => part(trouble.message.as_bytes()),
                    }
                }
            }
        }
        hasher.finalize().into()
    }
}

#[cfg(test)]
mod tests;
