//! Which files make up a configuration, and their text.
//!
//! The only part of `config` that reads files (beside `watch`, which lists them through here). It must not
//! know what stands in them. Limits: [`LARGEST`] bytes per file, [`MOST_FILES`] files; beyond them: a
//! message, nothing is cut off.

use std::cell::OnceCell;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Name of the main file in a configuration directory.
pub const MAIN: &str = "sexton.toml";
/// Name of the directory of drop-in files beside the main file.
pub const DROP_INS: &str = "rules.d";
/// Largest file that is read, in bytes.
pub const LARGEST: u64 = 8 * 1024 * 1024;
/// Most drop-in files.
pub const MOST_FILES: usize = 1000;

/// Most files with other endings that are told of.
const MOST_PASSED_OVER: usize = 20;

/// Layer of a file; what may stand in it depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The file in the binary.
    Builtin,
    /// `sexton.toml`.
    Main,
    /// A file of `rules.d`.
    DropIn,
}

/// A file that was read.
pub struct Source {
    /// Its layer.
    pub role: Role,
    /// Path as shown to people.
    pub name: String,
    /// Its text, without a byte order mark.
    pub text: Arc<str>,
    /// How origins call it.
    short: String,
    starts: OnceCell<Vec<u32>>,
}

impl Source {
    /// A source from text in memory.
    pub fn new(role: Role, name: impl Into<String>, text: impl Into<Arc<str>>) -> Self {
        let name = name.into();
        let parts = match role {
            Role::Builtin => usize::MAX,
            Role::Main => 1,
            Role::DropIn => 2,
        };
        let mut short: Vec<_> = name.rsplit('/').take(parts).collect();
        short.reverse();
        Self { role, short: short.join("/"), name, text: text.into(), starts: OnceCell::new() }
    }

    /// Zero-based line of a byte offset, and the bytes of that line without its end.
    pub fn line(&self, offset: usize) -> (usize, std::ops::Range<usize>) {
        let starts = self.starts.get_or_init(|| line_starts(&self.text));
        let line = starts.partition_point(|s| *s as usize <= offset).saturating_sub(1);
        let start = starts.get(line).map_or(0, |s| *s as usize);
        let end = starts.get(line + 1).map_or(self.text.len(), |s| *s as usize);
        let body = self.text.get(start..end).unwrap_or("").trim_end_matches(['\n', '\r']);
        (line, start..start + body.len())
    }

    /// `rules.d/10-disk.toml:12`: the last two parts of the path when it is a drop-in, else the last.
    pub fn origin(&self, offset: usize) -> String {
        format!("{}:{}", self.short, self.line(offset).0 + 1)
    }
}

fn line_starts(text: &str) -> Vec<u32> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(i, _)| i as u32 + 1)).collect()
}

/// Why a file could not be taken.
#[derive(Debug)]
pub struct Trouble {
    /// The file.
    pub path: PathBuf,
    /// One sentence.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// Line and column (from 1) with the line as far as it can be shown, for bytes that are no text.
    pub at: Option<(usize, usize, String)>,
}

impl Trouble {
    fn new(path: &Path, message: impl Into<String>, help: Option<&str>) -> Self {
        Self { path: path.into(), message: message.into(), help: help.map(str::to_owned), at: None }
    }
}

/// The files of a configuration, main file first, then `rules.d/*.toml` in byte order of their names.
///
/// # Errors
/// When `path` is neither a directory with a main file nor a file, or `rules.d` cannot be listed.
pub fn files(path: &Path) -> Result<Vec<PathBuf>, Trouble> {
    let meta = fs::metadata(path).map_err(|e| cannot("read", path, &e))?;
    let main = if meta.is_dir() { path.join(MAIN) } else { path.to_owned() };
    if meta.is_dir() && fs::symlink_metadata(&main).is_err() {
        let message = format!("no {MAIN} in this directory");
        let help =
            "name the main file itself, or a directory that has a sexton.toml and, if wanted, a rules.d";
        return Err(Trouble::new(path, message, Some(help)));
    }
    let mut files = vec![main];
    files.extend(drop_ins(&drop_in_dir(path))?);
    Ok(files)
}

/// Where the drop-in files of this configuration are, whether the directory exists or not.
pub fn drop_in_dir(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(DROP_INS) } else { path.with_file_name(DROP_INS) }
}

fn drop_ins(dir: &Path) -> Result<Vec<PathBuf>, Trouble> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        // A link to what is gone or not mounted is no wish to have no drop-ins: every rule in them would end.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && dir.is_symlink() => {
            let help = "mount or create what it leads to, or remove the link";
            return Err(Trouble::new(dir, "is a link that leads nowhere", Some(help)));
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(cannot("list", dir, &e)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.map_err(|e| cannot("list", dir, &e))?.file_name();
        if name.as_bytes().ends_with(b".toml") && !name.as_bytes().starts_with(b".") {
            found.push(dir.join(name));
        }
        if found.len() > MOST_FILES {
            let message = format!("more than {MOST_FILES} files");
            return Err(Trouble::new(dir, message, Some("a file may hold any number of rules: join some")));
        }
    }
    found.sort_by(|a, b| a.as_os_str().as_bytes().cmp(b.as_os_str().as_bytes()));
    Ok(found)
}

/// Files beside the drop-ins that look as if they were meant to be some, and are not read because of their
/// endings.
pub fn passed_over(path: &Path) -> Vec<PathBuf> {
    const ENDINGS: [&str; 9] = ["toml", "tml", "conf", "cfg", "ini", "rules", "yaml", "yml", "txt"];
    let entries = fs::read_dir(drop_in_dir(path)).into_iter().flatten().flatten();
    let is_meant = |file: &PathBuf| {
        let ending = file.extension().map(|e| e.to_string_lossy().into_owned()).unwrap_or_default();
        let name = file.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
        let is_aside = name.starts_with('.') || name.starts_with("readme");
        ending != "toml" && ENDINGS.contains(&ending.to_lowercase().as_str()) && !is_aside && file.is_file()
    };
    let mut found: Vec<_> =
        entries.map(|entry| entry.path()).filter(is_meant).take(MOST_PASSED_OVER).collect();
    found.sort();
    found
}

/// The text of a file.
///
/// # Errors
/// When it is no regular file, cannot be read, is larger than [`LARGEST`] or is not UTF-8 text.
pub fn read(path: &Path) -> Result<String, Trouble> {
    let bytes = read_bytes(path)?;
    let text =
        String::from_utf8(bytes).map_err(|e| not_utf8(path, e.as_bytes(), e.utf8_error().valid_up_to()))?;
    if let Some(at) = text.find('\0') {
        let mut trouble = not_utf8(path, text.as_bytes(), at);
        trouble.message = "has a NUL byte: this is no text file".to_owned();
        trouble.help = None;
        return Err(trouble);
    }
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}

/// The bytes of a regular file of at most [`LARGEST`] bytes.
///
/// # Errors
/// As [`read`].
pub fn read_bytes(path: &Path) -> Result<Vec<u8>, Trouble> {
    let meta = fs::metadata(path).map_err(|e| cannot("read", path, &e))?;
    if meta.is_dir() {
        return Err(Trouble::new(path, "is a directory where a file is expected", None));
    }
    if !meta.is_file() {
        return Err(Trouble::new(path, "is no regular file (a device, pipe or socket)", None));
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(|e| cannot("read", path, &e))?;
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|e| cannot("read", path, &e))?;
    if bytes.len() as u64 > LARGEST {
        let size = meta.len().max(bytes.len() as u64);
        let message = format!("is {:.1} MiB; at most 8 MiB are read", size as f64 / 1_048_576.0);
        return Err(Trouble::new(path, message, Some("split it into several files in rules.d")));
    }
    Ok(bytes)
}

fn not_utf8(path: &Path, bytes: &[u8], at: usize) -> Trouble {
    let line = bytes[..at].iter().filter(|b| **b == b'\n').count() + 1;
    let start = bytes[..at].iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
    let end = bytes[at..].iter().position(|b| *b == b'\n').map_or(bytes.len(), |i| at + i);
    let before = String::from_utf8_lossy(&bytes[start..at]);
    let shown = String::from_utf8_lossy(&bytes[start..end]).into_owned();
    let message = format!("is not UTF-8 text: byte 0x{:02x}", bytes.get(at).copied().unwrap_or(0));
    let mut trouble = Trouble::new(path, message, Some("save the file as UTF-8"));
    trouble.at = Some((line, before.chars().count() + 1, shown));
    trouble
}

fn cannot(verb: &str, path: &Path, error: &std::io::Error) -> Trouble {
    let help = match error.kind() {
        std::io::ErrorKind::PermissionDenied => Some("let the user of this process read it (group sexton)"),
        _ => None,
    };
    Trouble::new(path, format!("cannot {verb} it: {error}"), help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_origins() {
        let source = Source::new(Role::DropIn, "/etc/sexton/rules.d/10.toml", "ab\r\ncd\n");
        assert_eq!(source.line(0), (0, 0..2));
        assert_eq!(source.line(5), (1, 4..6));
        assert_eq!(source.line(99), (2, 7..7));
        assert_eq!(source.origin(5), "rules.d/10.toml:2");
        let main = Source::new(Role::Main, "/etc/sexton/sexton.toml", "");
        assert_eq!(main.origin(0), "sexton.toml:1");
    }

    #[test]
    fn drop_ins_come_in_byte_order_and_only_toml_files() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(MAIN), "").unwrap();
        fs::create_dir(dir.path().join(DROP_INS)).unwrap();
        for name in ["b.toml", "B.toml", "a.toml~", ".hidden.toml", "10.toml", "9.toml", "README"] {
            fs::write(dir.path().join(DROP_INS).join(name), "").unwrap();
        }
        let names = |path: &Path| -> Vec<String> {
            let files = files(path).unwrap();
            files.iter().map(|f| f.file_name().unwrap().to_string_lossy().into_owned()).collect()
        };
        let expected = ["sexton.toml", "10.toml", "9.toml", "B.toml", "b.toml"];
        assert_eq!(names(dir.path()), expected);
        assert_eq!(names(&dir.path().join(MAIN)), expected);
    }

    #[test]
    fn no_drop_ins_are_fine_but_a_link_to_none_is_not() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(MAIN), "").unwrap();
        let link = dir.path().join(DROP_INS);
        assert_eq!(files(dir.path()).unwrap().len(), 1);
        std::os::unix::fs::symlink(dir.path().join("v1"), &link).unwrap();
        for path in [dir.path(), &dir.path().join(MAIN)] {
            let trouble = files(path).unwrap_err();
            assert_eq!((&trouble.path, trouble.message.as_str()), (&link, "is a link that leads nowhere"));
        }
        fs::create_dir(dir.path().join("v1")).unwrap();
        fs::write(link.join("10.toml"), "").unwrap();
        assert_eq!(files(dir.path()).unwrap().len(), 2);
    }

    #[test]
    fn what_is_no_text_is_refused_with_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.toml");
        fs::write(&path, b"schema = 1\ntitle = \"caf\xe9\"\n").unwrap();
        let trouble = read(&path).unwrap_err();
        assert_eq!(trouble.at, Some((2, 13, "title = \"caf\u{fffd}\"".to_owned())));
        fs::write(&path, "\u{feff}schema = 1").unwrap();
        assert_eq!(read(&path).unwrap(), "schema = 1");
        assert!(read(dir.path()).unwrap_err().message.contains("directory"));
        assert!(read(Path::new("/dev/zero")).unwrap_err().message.contains("regular"));
        fs::File::create(&path).unwrap().set_len(100 << 20).unwrap();
        assert!(read(&path).unwrap_err().message.contains("100.0 MiB"));
    }
}
