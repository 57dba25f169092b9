//! Recorded series from CSV files, made ready to be played.
//!
//! Two forms. A file with the columns time, metric, labels, value says itself what it holds: `records.csv`.
//! Any other column is told what it is: `cpu.busy=host.csv`, `fs.used{mount=/data}=host.csv:disk_u*1%`; files
//! may be named by a pattern, which no shell sees behind `=`: `cpu.busy=web-*.csv`. Rows
//! that go back in time are left out and counted; an empty value is a missing sample. It must not know what
//! the series are played for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::csv::{Table, time};
use super::prove::value;
use super::source::{Column, Track};
use crate::config::test::{number, series_name};
use crate::engine::moment::MINUTE;
use crate::engine::plan::glob_matches;
use crate::engine::signal::{Instance, Metric, Value};

/// Distance of samples of a series that has only one.
const LONE: i64 = MINUTE;
/// Files that one argument may name.
const MOST_FILES: usize = 10_000;
/// Most distances that are looked at to find the usual one.
const LOOKED: usize = 10_000;

/// A recorded series.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Name of the file without its ending, with as much of its directory as tells it from others; labels go
    /// by it.
    pub name: String,
    /// Column of the file.
    pub column: String,
    /// The series.
    pub track: Arc<Track>,
}

/// Everything that was read.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// The series in the order named.
    pub series: Vec<Recorded>,
    /// Rows left out because they go back in time.
    pub dropped: u64,
}

/// What an argument asks for.
#[derive(Debug, PartialEq)]
struct Asked {
    path: PathBuf,
    /// `None`: the file says itself what it holds.
    named: Option<Named>,
}

/// What a column is said to be.
#[derive(Debug, PartialEq)]
struct Named {
    metric: Metric,
    labels: BTreeMap<String, String>,
    /// The column, when it is named.
    column: Option<String>,
    scale: f64,
}

/// Reads all series that the arguments name.
///
/// # Errors
/// The first argument or row that cannot be understood.
pub fn load(arguments: &[String]) -> Result<Recording, String> {
    let mut tables: BTreeMap<PathBuf, Table> = BTreeMap::new();
    let mut recording = Recording::default();
    let mut raw = Vec::new();
    for argument in arguments {
        let Asked { path, named } = ask(argument)?;
        for path in files(&path).map_err(|why| format!("{argument}: {why}"))? {
            if !tables.contains_key(&path) {
                tables.insert(path.clone(), Table::read(&path)?);
            }
            let Some(table) = tables.get(&path) else { continue };
            match &named {
                Some(Named { metric, labels, column, scale }) => {
                    let (labels, column) = (labels.clone(), column.as_deref());
                    raw.push(one(table, *metric, labels, column, *scale, &mut recording.dropped)?);
                }
                None => raw.extend(all(table, &mut recording.dropped)?),
            }
        }
    }
    let names = names(tables.keys());
    // Labels that only one series of an instance tells hold for all of them.
    let mut instances: BTreeMap<String, Instance> = BTreeMap::new();
    for series in &raw {
        let new = Instance::new(series.metric.spec().class, series.labels.clone());
        let known = instances.entry(new.key().to_owned()).or_insert_with(|| new.clone());
        known.labels.extend(new.labels);
    }
    let instances: BTreeMap<String, Arc<Instance>> =
        instances.into_iter().map(|(k, i)| (k, Arc::new(i))).collect();
    for series in raw {
        let key = Instance::new(series.metric.spec().class, series.labels).key().to_owned();
        let Some(instance) = instances.get(&key).map(Arc::clone) else { continue };
        let (interval, times, columns) =
            (usual(&series.times), series.times, vec![(series.metric, series.values)]);
        let track = Arc::new(Track { instance, interval, times, columns });
        let name = names.get(&series.path).cloned().unwrap_or_default();
        recording.series.push(Recorded { name, column: series.column, track });
    }
    Ok(recording)
}

fn ask(argument: &str) -> Result<Asked, String> {
    let mut depth = 0;
    let split = argument.char_indices().find(|(_, c)| {
        depth += i32::from(*c == '{') - i32::from(*c == '}');
        *c == '=' && depth == 0
    });
    let Some((at, _)) = split.filter(|_| !Path::new(argument).exists()) else {
        return Ok(Asked { path: argument.into(), named: None });
    };
    let (name, file) = (&argument[..at], &argument[at + 1..]);
    let (metric, labels) = series_name(name).map_err(|e| format!("{argument}: {e}"))?;
    let (file, scale) = match file.rsplit_once('*') {
        Some((before, factor)) => {
            let number =
                number(factor, &(0..factor.len()), metric).or_else(|e| factor.parse().map_err(|_| e));
            match number {
                Ok(factor) => (before, factor),
                // A `*` of a file's name is no factor.
                Err(_) if !factor_is_meant(file, factor) => (file, 1.0),
                Err(e) => return Err(format!("{argument}: {}", e.message)),
            }
        }
        None => (file, 1.0),
    };
    let (path, column) = match file.rsplit_once(':') {
        Some((path, column)) if !Path::new(file).exists() => (path, Some(column.to_owned())),
        _ => (file, None),
    };
    Ok(Asked { path: path.into(), named: Some(Named { metric, labels, column, scale }) })
}

/// Whether what stands behind the last `*` and is no number was to be one: a `*` of a file's name is none.
fn factor_is_meant(file: &str, factor: &str) -> bool {
    match file.rsplit_once(':') {
        Some((_, column)) if column.contains('*') => true,
        _ => factor.starts_with(|c: char| c.is_ascii_digit()) && files(Path::new(file)).is_err(),
    }
}

/// The files that a path names: one whose last part has `*` or `?` those that it fits, in order.
fn files(path: &Path) -> Result<Vec<PathBuf>, String> {
    let glob = path.file_name().and_then(|name| name.to_str()).filter(|name| name.contains(['*', '?']));
    let Some(glob) = glob.filter(|_| !path.exists()) else { return Ok(vec![path.to_owned()]) };
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let cannot = |e: std::io::Error| format!("cannot list {}: {e}", dir.unwrap_or(Path::new(".")).display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir.unwrap_or(Path::new("."))).map_err(cannot)? {
        let name = entry.map_err(cannot)?.file_name();
        if name.to_str().is_some_and(|name| !name.starts_with('.') && glob_matches(glob, name)) {
            found.push(path.with_file_name(name));
        }
    }
    found.sort();
    match found.len() {
        0 => Err(format!("no file matches {}", path.display())),
        n if n > MOST_FILES => Err(format!("{} fits {n} files, more than {MOST_FILES}", path.display())),
        _ => Ok(found),
    }
}

/// What files are called: by their names without the ending, and as much of the directories before as tells
/// them apart.
fn names<'p>(paths: impl Iterator<Item = &'p PathBuf>) -> BTreeMap<PathBuf, String> {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned()).with_extension("");
    let parts = |path: &Path| -> Vec<String> {
        real(path).components().rev().map(|c| c.as_os_str().to_string_lossy().into_owned()).collect()
    };
    let all: Vec<(&PathBuf, Vec<String>)> = paths.map(|path| (path, parts(path))).collect();
    let deepest = all.iter().map(|(_, parts)| parts.len()).max().unwrap_or(0);
    let mut names = BTreeMap::new();
    for depth in 1..=deepest {
        let name = |parts: &[String]| {
            let shown: Vec<&str> = parts.iter().take(depth).rev().map(String::as_str).collect();
            shown.join("/")
        };
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        all.iter().for_each(|(_, parts)| *counts.entry(name(parts)).or_default() += 1);
        for (path, parts) in all.iter().filter(|(path, _)| !names.contains_key(*path)).collect::<Vec<_>>() {
            let name = name(parts);
            if depth == deepest || counts.get(&name) == Some(&1) {
                names.insert((*path).clone(), name);
            }
        }
        if names.len() == all.len() {
            break;
        }
    }
    names
}

struct Raw {
    path: PathBuf,
    column: String,
    metric: Metric,
    labels: BTreeMap<String, String>,
    times: Vec<i64>,
    values: Column,
}

impl Raw {
    fn new(table: &Table, column: &str, metric: Metric, labels: BTreeMap<String, String>) -> Self {
        let (times, values) = (Vec::new(), Column::of(metric));
        Self { path: table.path.clone(), column: column.to_owned(), metric, labels, times, values }
    }

    fn push(&mut self, at: i64, value: Option<Value>, dropped: &mut u64) {
        if self.times.last().is_some_and(|last| at < *last) {
            *dropped += 1;
            return;
        }
        self.times.push(at);
        self.values.push(value);
    }
}

fn times_of(table: &Table) -> Result<usize, String> {
    let missing = || format!("{}: no column with the time: call it `time`", table.path.display());
    table.time_column().ok_or_else(missing)
}

/// One column.
fn one(
    table: &Table,
    metric: Metric,
    labels: BTreeMap<String, String>,
    column: Option<&str>,
    scale: f64,
    dropped: &mut u64,
) -> Result<Raw, String> {
    let when = times_of(table)?;
    let others: Vec<usize> = (0..table.header.len()).filter(|i| *i != when).collect();
    let place = match column {
        Some(name) => table.column(name),
        None => table.column("value").or(others.first().copied().filter(|_| others.len() == 1)),
    };
    let place = place.ok_or_else(|| {
        let (path, columns) = (table.path.display(), table.header.join(", "));
        match column {
            Some(name) => format!("{path} has no column `{name}`; it has {columns}"),
            None => format!("{path}: which column? write {}={path}:COLUMN; it has {columns}", metric.name()),
        }
    })?;
    let mut raw = Raw::new(table, &table.header[place], metric, labels);
    for (line, row) in table.rows() {
        let field = |at: usize| row.get(at).map_or("", |f| f.trim());
        let at = time(field(when)).map_err(|what| table.wrong(line, what))?;
        let sample = value(field(place), scale, metric).map_err(|what| table.wrong(line, what))?;
        raw.push(at.0, sample, dropped);
    }
    Ok(raw)
}

/// Every series of a file that says itself what it holds.
fn all(table: &Table, dropped: &mut u64) -> Result<Vec<Raw>, String> {
    let path = table.path.display();
    let (Some(metric_at), Some(value_at)) = (table.column("metric"), table.column("value")) else {
        return Err(format!(
            "{path}: which signals are these? write SIGNAL={path}:COLUMN, such as cpu.busy={path}:{}*1%; or give it \
             the columns time, metric, labels, value",
            table.header.get(1).map_or("value", String::as_str)
        ));
    };
    let (when, labels_at) = (times_of(table)?, table.column("labels"));
    let mut series: BTreeMap<(String, String), Raw> = BTreeMap::new();
    for (line, row) in table.rows() {
        let field = |at: usize| row.get(at).map_or("", |f| f.trim());
        let at = time(field(when)).map_err(|what| table.wrong(line, what))?;
        let key = (field(metric_at).to_owned(), labels_at.map_or("", field).to_owned());
        if !series.contains_key(&key) {
            let labels = key.1.trim_start_matches('{').trim_end_matches('}');
            let name = series_name(&format!("{}{{{labels}}}", key.0)).map_err(|e| table.wrong(line, e))?;
            series.insert(key.clone(), Raw::new(table, &key.0, name.0, name.1));
        }
        if let Some(raw) = series.get_mut(&key) {
            let sample = value(field(value_at), 1.0, raw.metric).map_err(|what| table.wrong(line, what))?;
            raw.push(at.0, sample, dropped);
        }
    }
    Ok(series.into_values().collect())
}

/// The median distance of neighbours.
fn usual(times: &[i64]) -> i64 {
    let mut steps: Vec<i64> = times.windows(2).take(LOOKED).map(|w| w[1] - w[0]).filter(|d| *d > 0).collect();
    steps.sort_unstable();
    steps.get(steps.len() / 2).copied().unwrap_or(LONE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::moment::SECOND;

    fn file(dir: &tempfile::TempDir, name: &str, text: &str) -> String {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    #[test]
    fn columns_are_told_what_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let path = file(&dir, "nab.csv", "t,a,b\n0,50,1\n60,,2\n30,9,3\n60,95,4\n120,96,5\n");
        let recording =
            load(&[format!("cpu.busy={path}:a*1%"), format!("fs.avail{{mount=/,fstype=xfs}}={path}:b*1GiB")])
                .unwrap();
        let busy = &recording.series[0];
        assert_eq!((busy.name.as_str(), busy.column.as_str()), ("nab", "a"));
        assert_eq!(busy.track.times, [0, 60, 60, 120].map(|s| s * SECOND));
        assert_eq!((busy.track.interval, recording.dropped), (60 * SECOND, 2));
        let Column::Numbers(values) = &busy.track.columns[0].1 else { panic!() };
        assert!(values[1].is_nan() && (values[2] - 0.95).abs() < 1e-9);
        let avail = &recording.series[1].track;
        assert_eq!((avail.instance.key(), avail.instance.label("fstype")), ("fs{mount=/}", "xfs"));
    }

    #[test]
    fn a_file_may_say_itself_what_it_holds() {
        let dir = tempfile::tempdir().unwrap();
        let text = "time,metric,labels,value\n0,fs.used,mount=/a;fstype=ext4,0.5\n0,fs.avail,\"{mount=/a}\",7\n10,fs.used,mount=/a;fstype=ext4,0.6\n0,unit.state,unit=x,failed\n";
        let recording = load(&[file(&dir, "all.csv", text)]).unwrap();
        let seen: Vec<_> =
            recording.series.iter().map(|s| (s.track.instance.key(), s.track.times.len())).collect();
        assert_eq!(seen, [("fs{mount=/a}", 1), ("fs{mount=/a}", 2), ("unit{unit=x}", 1)]);
        assert_eq!(recording.series[0].track.instance.label("fstype"), "ext4", "told by the other series");
    }

    #[test]
    fn files_may_be_named_by_a_pattern_and_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        for (place, value) in
            [("a/web-1.csv", 25), ("a/web-2.csv", 50), ("b/web-1.csv", 75), ("b/.web-3.csv", 0)]
        {
            let path = dir.path().join(place);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, format!("t,cpu\n0,{value}\n")).unwrap();
        }
        let at = |name: &str| dir.path().join(name).display().to_string();
        let names = |arguments: &[String]| -> Vec<(String, f64)> {
            let first = |r: &Recorded| match &r.track.columns[0].1 {
                Column::Numbers(all) => all[0],
                Column::Texts(_) => f64::NAN,
            };
            load(arguments).unwrap().series.iter().map(|s| (s.name.clone(), first(s))).collect()
        };
        let one = [format!("cpu.busy={}", at("a/web-*.csv"))];
        assert_eq!(names(&one), [("web-1".to_owned(), 25.0), ("web-2".to_owned(), 50.0)]);
        let both = ["a", "b"].map(|d| format!("cpu.busy={}:cpu*1%", at(&format!("{d}/web-?.csv"))));
        let expected = [("a/web-1", 0.25), ("web-2", 0.5), ("b/web-1", 0.75)];
        assert_eq!(names(&both), expected.map(|(name, n)| (name.to_owned(), n)));
    }

    #[test]
    fn what_cannot_be_understood_says_what_to_write() {
        let dir = tempfile::tempdir().unwrap();
        let path = file(&dir, "x.csv", "t,a,b\n0,1,soon\n");
        for (argument, why) in [
            (path.clone(), "which signals are these? write SIGNAL="),
            (format!("cpu.busy={path}"), "which column? write cpu.busy="),
            (format!("cpu.busy={path}:c"), "has no column `c`; it has t, a, b"),
            (format!("cpu.busi={path}:a"), "did you mean `cpu.busy`?"),
            (format!("cpu.busy={path}:b"), "x.csv:2: `soon` is no value of cpu.busy"),
            ("cpu.busy=away.csv".to_owned(), "cannot read away.csv"),
            ("cpu.busy=away-*.csv".to_owned(), "no file matches away-*.csv"),
            (format!("cpu.busy={path}:a*1KiB"), "`1KiB` is"),
        ] {
            let error = load(std::slice::from_ref(&argument)).unwrap_err();
            assert!(error.contains(why), "{argument}: {error}");
        }
    }
}
