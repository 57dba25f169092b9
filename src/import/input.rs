//! Files that are imported: read whole, checked to be text, and never more than a limit.
//!
//! Limits: [`LARGEST`] bytes per file, [`MOST_FILES`] files with everything that is included. Beyond them
//! nothing is made: half an import would be taken for a whole one.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::draft::Place;

/// Largest file that is read, in bytes.
pub const LARGEST: u64 = 8 * 1024 * 1024;
/// Most files of one import.
pub const MOST_FILES: usize = 1000;

/// A file's text.
#[derive(Clone, Debug)]
pub struct File {
    /// As it was named.
    pub name: String,
    /// Without a byte order mark; lines end with `\n`.
    pub text: String,
}

/// Why nothing could be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Where, as far as there is a place.
    pub place: Option<Place>,
    /// What is wrong, and what to do.
    pub why: String,
}

impl Refused {
    /// Something wrong at a line.
    pub fn at(place: Place, why: impl Into<String>) -> Self {
        Self { place: Some(place), why: why.into() }
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{place}: {}", self.why),
            None => f.write_str(&self.why),
        }
    }
}

/// Reads files once each.
#[derive(Default)]
pub struct Reader {
    named: Vec<PathBuf>,
    seen: BTreeSet<PathBuf>,
    given: Vec<File>,
}

impl Reader {
    /// Files and directories as named on the command line.
    pub fn new(named: &[PathBuf]) -> Self {
        Self { named: named.to_vec(), ..Self::default() }
    }

    /// Texts instead of files.
    pub fn of_texts(texts: &[(&str, &str)]) -> Self {
        let file = |(name, text): &(&str, &str)| File { name: (*name).to_owned(), text: (*text).to_owned() };
        Self { given: texts.iter().map(file).collect(), ..Self::default() }
    }

    /// Everything that was named: of a directory the files with one of these endings, by name.
    ///
    /// # Errors
    /// A file that cannot be read, or that is no text.
    pub fn named(&mut self, endings: &[&str]) -> Result<Vec<File>, Refused> {
        let mut files = std::mem::take(&mut self.given);
        for path in std::mem::take(&mut self.named) {
            if path.is_dir() {
                let found = self.below(&path, endings)?;
                if found.is_empty() {
                    let endings = endings.join(", *.");
                    let why = format!("{}: no files *.{endings} in this directory", path.display());
                    return Err(Refused { place: None, why });
                }
                files.extend(found);
            } else {
                files.extend(self.read(&path)?);
            }
        }
        Ok(files)
    }

    /// The files of a directory with one of these endings, in byte order of their names.
    ///
    /// # Errors
    /// The directory or a file cannot be read.
    pub fn below(&mut self, dir: &Path, endings: &[&str]) -> Result<Vec<File>, Refused> {
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(dir).map_err(|e| cannot("list", dir, &e))? {
            let path = entry.map_err(|e| cannot("list", dir, &e))?.path();
            let is_hidden = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
            let ending = path.extension().map(|e| e.to_string_lossy().into_owned()).unwrap_or_default();
            let is_wanted = endings.is_empty() || endings.contains(&ending.as_str());
            if !is_hidden && is_wanted && path.is_file() {
                paths.push(path);
            }
        }
        paths.sort();
        let mut files = Vec::new();
        for path in paths {
            files.extend(self.read(&path)?);
        }
        Ok(files)
    }

    /// One file; nothing when it was read before.
    ///
    /// # Errors
    /// It cannot be read, is too large or is no text.
    pub fn read(&mut self, path: &Path) -> Result<Option<File>, Refused> {
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if !self.seen.insert(real) {
            return Ok(None);
        }
        let name = path.display().to_string();
        if self.seen.len() > MOST_FILES {
            let why = format!("{name}: more than {MOST_FILES} files: import them in parts");
            return Err(Refused { place: None, why });
        }
        let file = std::fs::File::open(path).map_err(|e| cannot("read", path, &e))?;
        let mut bytes = Vec::new();
        file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|e| cannot("read", path, &e))?;
        Ok(Some(File { text: text(&name, bytes)?, name }))
    }
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> Refused {
    Refused { place: None, why: format!("cannot {what} {}: {error}", path.display()) }
}

/// Bytes as text, lines ending with `\n`.
fn text(name: &str, bytes: Vec<u8>) -> Result<String, Refused> {
    let refuse = |why: String| Refused { place: None, why: format!("{name}: {why}") };
    if bytes.len() as u64 > LARGEST {
        return Err(refuse(format!("larger than {} MiB: this is no file of rules", LARGEST >> 20)));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(refuse("is UTF-16 text: convert it first: iconv -f UTF-16 -t UTF-8".to_owned()));
    }
    let line = |at: usize| bytes[..at.min(bytes.len())].iter().filter(|b| **b == b'\n').count() + 1;
    if let Some(at) = bytes.iter().position(|b| *b == 0) {
        return Err(refuse(format!("is no text: a zero byte in line {}", line(at))));
    }
    match String::from_utf8(bytes.clone()) {
        Ok(text) => Ok(text.trim_start_matches('\u{feff}').replace("\r\n", "\n")),
        Err(e) => {
            let line = line(e.utf8_error().valid_up_to());
            Err(refuse(format!(
                "is not UTF-8 text (line {line}): convert it first, perhaps iconv -f LATIN1 -t UTF-8"
            )))
        }
    }
}
