//! What the readings share: files that stay open, rates of counters, instances by name.
//!
//! A file of the kernel is opened once and read with `pread` from its start; opening it each time would
//! double the cost. A rate exists only between two samples of a counter that did not go back: a reset or a
//! first sample has no value.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::engine::moment::{Moment, SECOND};
use crate::engine::signal::{Class, Instance, Metric, Observation, Value};

/// Largest file of the kernel that is read; a larger one is an error.
const FILE_MAX: usize = 4 << 20;
/// First size of a buffer; it doubles until the file fits.
const BUFFER_FIRST: usize = 256;
/// Instances remembered by name; beyond it they are forgotten and made anew.
const NAMES_MAX: usize = 4096;

/// A file that is read again and again.
pub(super) struct HotFile {
    path: PathBuf,
    file: Option<File>,
    buffer: Vec<u8>,
    /// The text when the file was not UTF-8.
    lossy: String,
}

impl HotFile {
    /// The file at `path`; it is opened at the first reading.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), file: None, buffer: Vec::new(), lossy: String::new() }
    }

    /// Its whole text now. A file that was replaced under its name (ENODEV, ESTALE) is opened anew once.
    /// Bytes that are not UTF-8 (a mount or an interface may be named with any) become replacement
    /// characters.
    pub fn read(&mut self) -> io::Result<&str> {
        let length = match self.fill() {
            Err(e) if self.file.is_some() && is_replaced(&e) => {
                self.file = None;
                self.fill()
            }
            other => other,
        };
        let length = length.inspect_err(|_| self.file = None)?;
        let bytes = &self.buffer[..length];
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text),
            Err(_) => {
                self.lossy = String::from_utf8_lossy(bytes).into_owned();
                Ok(&self.lossy)
            }
        }
    }

    /// The same, with the error as a sentence that names the file.
    pub fn text(&mut self) -> Result<&str, String> {
        let path = self.path.clone();
        self.read().map_err(|e| format!("cannot read {}: {e}", path.display()))
    }

    fn fill(&mut self) -> io::Result<usize> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(File::open(&self.path)?),
        };
        let mut length = 0;
        loop {
            if self.buffer.len() == length {
                if length >= FILE_MAX {
                    return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 4 MiB"));
                }
                self.buffer.resize((length * 2).max(BUFFER_FIRST), 0);
            }
            match file.read_at(&mut self.buffer[length..], length as u64) {
                Ok(0) => return Ok(length),
                Ok(n) => length += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
}

fn is_replaced(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NODEV | Errno::STALE))
}

/// A descriptor on the runtime, so that the kernel tells of it. Must be called inside a runtime.
pub(super) fn told_by(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    #[expect(
        deprecated,
        reason = "meant against types that change or close their descriptor, which an OwnedFd cannot; \
                  its successor is unsafe, and this crate forbids unsafe"
    )]
    AsyncFd::with_interest(fd, interest)
}

/// Growth of a counter; `None` after a reset.
pub(super) fn growth(before: u64, after: u64) -> Option<u64> {
    after.checked_sub(before)
}

/// Seconds from `before` to `after`; `None` unless time has passed.
pub(super) fn elapsed(before: Moment, after: Moment) -> Option<f64> {
    let ns = after.mono - before.mono;
    (ns > 0).then(|| ns as f64 / SECOND as f64)
}

/// A share of a whole, kept within 0..1 against the rounding of the kernel's clocks.
pub(super) fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| (part / whole).clamp(0.0, 1.0))
}

/// Adds a sample that may have no value.
pub(super) fn sample(to: &mut Observation, metric: Metric, value: Option<f64>) {
    to.samples.push((metric, value.filter(|v| v.is_finite()).map(Value::Num)));
}

/// The one instance of class `host`.
pub(super) fn host() -> Arc<Instance> {
    static HOST: LazyLock<Arc<Instance>> = LazyLock::new(|| Instance::of(Class::Host, &[]));
    Arc::clone(&HOST)
}

/// Instances of one class with one identity label, made once each.
pub(super) struct Names {
    class: Class,
    by_name: BTreeMap<String, Arc<Instance>>,
}

impl Names {
    /// None yet.
    pub fn new(class: Class) -> Self {
        Self { class, by_name: BTreeMap::new() }
    }

    /// The instance of that name.
    pub fn get(&mut self, name: &str) -> Arc<Instance> {
        if let Some(known) = self.by_name.get(name) {
            return Arc::clone(known);
        }
        if self.by_name.len() >= NAMES_MAX {
            self.by_name.clear();
        }
        let label = self.class.spec().identity.first().copied().unwrap_or_default();
        let instance = Instance::of(self.class, &[(label, name)]);
        self.by_name.insert(name.to_owned(), Arc::clone(&instance));
        instance
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hot_file_sees_what_is_written_and_survives_growth() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, "one").unwrap();
        let mut hot = HotFile::new(&path);
        assert_eq!(hot.read().unwrap(), "one");
        let long = "x".repeat(3 * BUFFER_FIRST + 1);
        std::fs::write(&path, &long).unwrap();
        assert_eq!(hot.read().unwrap(), long);
        std::fs::write(&path, "").unwrap();
        assert_eq!(hot.read().unwrap(), "");
    }

    #[test]
    fn a_missing_file_is_named_and_found_when_it_appears() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("late");
        let mut hot = HotFile::new(&path);
        assert!(hot.text().unwrap_err().contains("late"));
        std::fs::write(&path, "here").unwrap();
        assert_eq!(hot.text().unwrap(), "here");
    }

    #[test]
    fn bytes_that_are_not_text_do_not_hide_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("b");
        std::fs::write(&path, b"a\xff\nb").unwrap();
        assert_eq!(HotFile::new(&path).read().unwrap(), "a\u{fffd}\nb");
    }

    #[test]
    fn rates_have_no_value_where_there_is_none() {
        assert_eq!(growth(5, 4), None);
        assert_eq!(elapsed(Moment::at(5), Moment::at(5)), None);
        assert_eq!(elapsed(Moment::at(0), Moment::at(SECOND / 2)), Some(0.5));
        assert_eq!(ratio(1.0, 0.0), None);
        assert_eq!(ratio(1.02, 1.0), Some(1.0));
    }
}
