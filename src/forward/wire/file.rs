//! A file of lines that other programs read: written whole, synced, rotated.
//!
//! ```text
//! GET  /status         200 when the file can be written
//! GET  /find?KEY&KEY   200 ["KEY", …]: which of these stand in the newest lines
//! POST /               appends the lines of the body, then fdatasync, then 200
//! ```
//! A line is there whole or not at all: what a crash or a full disk left of one is cut off before the next is
//! written. Whoever moves the file away (logrotate) is noticed before each write. The file is locked while it
//! is written, so that two writers of one path take turns. Everything runs on a blocking thread, one request
//! at a time.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Sending, Wire};
use crate::engine::moment::Stamp;
use crate::engine::option::Options;
use crate::forward::connector::{Body, Failure, Method, Reply, Request};
use crate::forward::secrets::Secrets;

/// How much of the newest lines is searched for a key, in bytes; the file before the last rotation included.
const SEARCHED: u64 = 16 * 1024 * 1024;
/// How much is read at once while the end of a torn line is looked for.
const PIECE: usize = 64 * 1024;
/// How often a file that was moved away between opening and locking is opened again.
const TRIES: usize = 8;

/// The file of one destination.
pub struct Lines {
    log: Arc<Mutex<Log>>,
    timeout: Duration,
}

impl Lines {
    /// By the options `path`, `size_mib` and `keep`; a disk that hangs is waited for no longer than
    /// `timeout`.
    pub fn new(options: &Options, timeout: Duration) -> Self {
        let log = Log {
            path: PathBuf::from(options.text("path")),
            most: options.int("size_mib").max(1).unsigned_abs().saturating_mul(1 << 20),
            keep: usize::try_from(options.int("keep")).unwrap_or(1).max(1),
        };
        Self { log: Arc::new(Mutex::new(log)), timeout }
    }
}

impl Wire for Lines {
    fn send<'a>(&'a self, request: &'a Request, _: &'a Secrets, _: Stamp) -> Sending<'a> {
        let (log, request) = (Arc::clone(&self.log), request.clone());
        Box::pin(async move {
            let work = move || {
                // A panic of an earlier writer leaves nothing behind that the next one does not mend.
                let log = log.lock().unwrap_or_else(PoisonError::into_inner);
                log.answer(&request)
            };
            let doubt = |reason: String| Err(Failure { sent: true, reason });
            match tokio::time::timeout(self.timeout, tokio::task::spawn_blocking(work)).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(e)) => doubt(format!("the writer ended early: {e}")),
                Err(_) => doubt("the disk does not answer".to_owned()),
            }
        })
    }
}

struct Log {
    path: PathBuf,
    /// Bytes from which on the file is rotated.
    most: u64,
    /// Rotated files that are kept.
    keep: usize,
}

impl Log {
    fn answer(&self, request: &Request) -> Result<Reply, Failure> {
        let done = match (request.method, request.path.split_once('?')) {
            (Method::Get, Some((_, keys))) => self.find(keys),
            (Method::Get, None) => self.open().map(|_| Vec::new()),
            _ => match &request.body {
                Body::Text(lines) => self.append(lines.as_bytes()).map(|()| Vec::new()),
                _ => Err(io::Error::new(ErrorKind::InvalidInput, "no lines")),
            },
        };
        match done {
            Ok(body) => Ok(Reply { status: 200, body, ..Reply::default() }),
            Err(e) => Ok(self.refusal(&e)),
        }
    }

    /// The status of the same meaning: nothing was written.
    fn refusal(&self, error: &io::Error) -> Reply {
        let status = match error.kind() {
            ErrorKind::NotFound
            | ErrorKind::PermissionDenied
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::NotADirectory
            | ErrorKind::IsADirectory => 403,
            _ => 503,
        };
        let body = format!("cannot write {}: {error}", self.path.display()).into_bytes();
        Reply { status, body, ..Reply::default() }
    }

    /// The file as it stands under its name now, locked, its last line whole.
    fn open(&self) -> io::Result<File> {
        for _ in 0..TRIES {
            let is_new = !self.path.exists();
            let mut file =
                OpenOptions::new().read(true).append(true).create(true).mode(0o640).open(&self.path)?;
            file.lock()?;
            let (held, named) = (file.metadata()?, std::fs::metadata(&self.path));
            if named.is_ok_and(|named| (named.dev(), named.ino()) == (held.dev(), held.ino())) {
                if !held.is_file() {
                    return Err(io::Error::new(ErrorKind::IsADirectory, "it is no plain file"));
                }
                if is_new {
                    self.sync_directory()?;
                }
                mend(&mut file)?;
                return Ok(file);
            }
        }
        Err(io::Error::other("the file is moved away again and again"))
    }

    fn append(&self, lines: &[u8]) -> io::Result<()> {
        let mut file = self.open()?;
        let mut length = file.metadata()?.len();
        if length > 0 && length.saturating_add(lines.len() as u64) > self.most {
            self.rotate()?;
            file = self.open()?;
            length = file.metadata()?.len();
        }
        let written = file.write_all(lines).and_then(|()| file.sync_data());
        written.inspect_err(|_| {
            // What was written of it is no line; when even this fails, the next open cuts it off.
            let _ = file.set_len(length).and_then(|()| file.sync_data());
        })
    }

    /// `path` becomes `path.1`, that becomes `path.2`, and so on up to the first gap; only a full row loses
    /// its last.
    fn rotate(&self) -> io::Result<()> {
        let numbered = |n: usize| match n {
            0 => self.path.clone(),
            n => PathBuf::from(format!("{}.{n}", self.path.display())),
        };
        let gap = (1..=self.keep).find(|n| !numbered(*n).exists()).unwrap_or(self.keep);
        for n in (0..gap).rev() {
            std::fs::rename(numbered(n), numbered(n + 1))?;
        }
        self.sync_directory()
    }

    fn sync_directory(&self) -> io::Result<()> {
        let parent = self.path.parent().filter(|p| !p.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new("."))).and_then(|dir| dir.sync_all())
    }

    /// Which of the keys, joined by `&`, stand in the newest lines.
    fn find(&self, keys: &str) -> io::Result<Vec<u8>> {
        let mut left: Vec<&str> = keys.split('&').filter(|k| !k.is_empty()).collect();
        let mut found: Vec<&str> = Vec::new();
        drop(self.open()?);
        let mut room = SEARCHED;
        for path in [self.path.clone(), PathBuf::from(format!("{}.1", self.path.display()))] {
            let text = match newest(&path, room) {
                Ok(text) => text,
                Err(e) if e.kind() == ErrorKind::NotFound => continue,
                Err(e) => return Err(e),
            };
            room -= (text.len() as u64).min(room);
            for line in text.split_inclusive(|b| *b == b'\n').filter(|line| line.ends_with(b"\n")) {
                left.retain(|key| {
                    let quoted = format!("\"{key}\"");
                    let here = line.windows(quoted.len()).any(|w| w == quoted.as_bytes());
                    found.extend(here.then_some(key));
                    !here
                });
                if left.is_empty() {
                    break;
                }
            }
        }
        serde_json::to_vec(&found).map_err(io::Error::other)
    }
}

/// The last bytes of a file.
fn newest(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(most)))?;
    let mut text = Vec::new();
    file.take(most).read_to_end(&mut text)?;
    Ok(text)
}

/// Cuts off what stands behind the last line end.
fn mend(file: &mut File) -> io::Result<()> {
    let length = file.metadata()?.len();
    let (mut end, mut piece) = (length, vec![0; PIECE]);
    while end > 0 {
        let begin = end.saturating_sub(PIECE as u64);
        let bytes = usize::try_from(end - begin).unwrap_or(PIECE).min(PIECE);
        // The usual case reads one byte only.
        let (begin, bytes) = if end == length { (length - 1, 1) } else { (begin, bytes) };
        file.seek(SeekFrom::Start(begin))?;
        file.read_exact(&mut piece[..bytes])?;
        if let Some(at) = piece[..bytes].iter().rposition(|b| *b == b'\n') {
            end = begin + at as u64 + 1;
            break;
        }
        end = begin;
    }
    if end == length {
        return Ok(());
    }
    tracing::warn!(bytes = length - end, "cut a torn line off the end of a file");
    file.set_len(end)?;
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(dir: &Path, most: u64, keep: usize) -> Log {
        Log { path: dir.join("out.jsonl"), most, keep }
    }

    fn read(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap()
    }

    fn find(log: &Log, keys: &str) -> Vec<String> {
        serde_json::from_slice(&log.find(keys).unwrap()).unwrap()
    }

    #[test]
    fn a_torn_line_is_cut_off_before_the_next_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(dir.path(), 1 << 30, 1);
        for (before, after) in [
            ("".to_owned(), "new\n".to_owned()),
            ("a\nb\n".to_owned(), "a\nb\nnew\n".to_owned()),
            ("a\ntorn".to_owned(), "a\nnew\n".to_owned()),
            ("torn".to_owned(), "new\n".to_owned()),
            (format!("a\n{}", "t".repeat(3 * PIECE)), "a\nnew\n".to_owned()),
            (format!("{}\nt", "a".repeat(2 * PIECE)), format!("{}\nnew\n", "a".repeat(2 * PIECE))),
        ] {
            std::fs::write(&log.path, &before).unwrap();
            log.append(b"new\n").unwrap();
            assert_eq!(read(&log.path), after);
        }
    }

    #[test]
    fn files_rotate_by_size_and_only_a_full_row_loses_its_last() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(dir.path(), 10, 3);
        let names = || {
            let all = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path());
            let mut all: Vec<_> = all.map(|p| (p.file_name().unwrap().to_owned(), read(&p))).collect();
            all.sort();
            all.into_iter().map(|(_, text)| text.trim().to_owned()).collect::<Vec<_>>()
        };
        for n in 0..6 {
            log.append(format!("line-{n}\n").as_bytes()).unwrap();
        }
        assert_eq!(names(), ["line-5", "line-4", "line-3", "line-2"]);
        // A crash in the midst of renaming left a gap: nothing more is lost.
        std::fs::remove_file(dir.path().join("out.jsonl.2")).unwrap();
        log.append(b"line-6\n").unwrap();
        assert_eq!(names(), ["line-6", "line-5", "line-4", "line-2"]);
        // A line longer than the limit stands alone.
        log.append(format!("{}\n", "x".repeat(50)).as_bytes()).unwrap();
        assert_eq!(names()[1], "line-6");
    }

    #[test]
    fn a_file_that_was_moved_away_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(dir.path(), 1 << 30, 1);
        log.append(b"one\n").unwrap();
        let away = dir.path().join("away");
        std::fs::rename(&log.path, &away).unwrap();
        log.append(b"two\n").unwrap();
        assert_eq!((read(&away).as_str(), read(&log.path).as_str()), ("one\n", "two\n"));
    }

    #[test]
    fn what_stands_there_is_found_in_whole_lines_only() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(dir.path(), 40, 2);
        log.append(b"{\"id\":\"sx-1-1-c\"}\n").unwrap();
        log.append(b"{\"id\":\"sx-2-1-c\"}\n").unwrap();
        log.append(b"{\"id\":\"sx-3-1-c\"}\n").unwrap();
        std::fs::write(dir.path().join("x"), "").unwrap();
        OpenOptions::new().append(true).open(&log.path).unwrap().write_all(b"{\"id\":\"sx-4-1-c\"}").unwrap();
        assert_eq!(find(&log, "sx-1-1-c&sx-3-1-c&sx-4-1-c&sx-1-1"), ["sx-3-1-c", "sx-1-1-c"]);
    }

    #[test]
    fn what_cannot_be_written_says_so() {
        let dir = tempfile::tempdir().unwrap();
        for (path, status) in
            [(dir.path().join("missing/out"), 403), (dir.path().to_owned(), 403), ("/dev/full".into(), 403)]
        {
            let log = Log { path, most: 100, keep: 1 };
            let error = log.append(b"x\n").unwrap_err();
            assert_eq!(log.refusal(&error).status, status, "{error}");
        }
        assert_eq!(log(dir.path(), 1, 1).refusal(&io::Error::from(ErrorKind::StorageFull)).status, 503);
    }
}
