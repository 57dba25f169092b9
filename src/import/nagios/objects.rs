//! Files of Nagios to objects: `define … { }`, `command[…]=` of nrpe.cfg, macros of resource.cfg, and the
//! settings of nagios.cfg. Templates (`use`) are resolved here.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::draft::Place;
use super::super::input::{File, Reader, Refused};

/// Deepest chain of templates and of includes.
const DEEPEST: usize = 16;
/// Most objects of one import.
const MOST: usize = 50_000;

/// A value with its line.
pub type Entries = BTreeMap<String, (String, usize)>;

/// An object as written.
#[derive(Clone, Debug, Default)]
pub struct Object {
    /// `service`, `host`, `command`, …
    pub kind: String,
    /// Where it begins.
    pub place: Place,
    /// Its keys, those of its templates behind them.
    pub entries: Entries,
}

impl Object {
    /// A value; `null` switches an inherited one off.
    pub fn get(&self, key: &str) -> &str {
        self.entries.get(key).map_or("", |(v, _)| v).trim_start_matches('+')
    }

    /// Items of a list.
    pub fn list(&self, key: &str) -> Vec<&str> {
        self.get(key).split(',').map(str::trim).filter(|t| !t.is_empty() && *t != "null").collect()
    }

    /// A number.
    pub fn number(&self, key: &str) -> Option<f64> {
        self.get(key).parse().ok().filter(|n: &f64| n.is_finite() && *n >= 0.0 && *n < 1e6)
    }

    /// A template only.
    pub fn is_template(&self) -> bool {
        self.entries.get("register").is_some_and(|(v, _)| v == "0")
    }
}

/// Everything that was read.
#[derive(Default)]
pub struct Site {
    /// In their order.
    pub objects: Vec<Object>,
    /// `command[name]=line` with its place.
    pub nrpe: BTreeMap<String, (String, Place)>,
    /// `$USER1$` and the like, without dollars.
    pub macros: BTreeMap<String, String>,
    /// Lines of nagios.cfg and nrpe.cfg that are neither.
    pub settings: Vec<(Place, String, String)>,
}

/// Reads all files and what they include.
///
/// # Errors
/// A file that cannot be read or is not of Nagios.
pub fn read(reader: &mut Reader) -> Result<Site, Refused> {
    let mut site = Site::default();
    for file in reader.named(&["cfg"])? {
        let before = (site.objects.len(), site.nrpe.len(), site.macros.len(), site.settings.len());
        take(reader, &file, &mut site, 0)?;
        let has_more =
            (site.objects.len(), site.nrpe.len(), site.macros.len()) != (before.0, before.1, before.2);
        if !has_more && !file.text.trim().is_empty() {
            let why =
                format!("{}: no `define …` and no `command[…]=` in it: this is no file of Nagios", file.name);
            return Err(Refused { place: None, why });
        }
    }
    resolve(&mut site.objects);
    Ok(site)
}

/// Lines with continuations put together, each with the number of its first.
fn lines(text: &str) -> Vec<(usize, String)> {
    let mut all: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for (n, line) in text.lines().enumerate() {
        let body = line.strip_suffix('\\').unwrap_or(line);
        match all.last_mut().filter(|_| goes_on) {
            Some((_, whole)) => {
                whole.push(' ');
                whole.push_str(body.trim());
            }
            None => all.push((n + 1, body.trim().to_owned())),
        }
        goes_on = body.len() < line.len();
    }
    all
}

fn take(reader: &mut Reader, file: &File, site: &mut Site, depth: usize) -> Result<(), Refused> {
    let place = |line| Place { file: file.name.clone(), line };
    if depth > DEEPEST {
        return Err(Refused::at(place(1), format!("includes more than {DEEPEST} levels deep")));
    }
    let mut open: Option<Object> = None;
    for (n, line) in lines(&file.text) {
        if line.is_empty() || line.starts_with('#') || line.starts_with(';') {
            continue;
        }
        if let Some(object) = &mut open {
            if line.starts_with('}') {
                site.objects.extend(open.take());
            } else {
                entry(object, &line, n);
            }
        } else if let Some(rest) = line.strip_prefix("define").filter(|r| r.starts_with([' ', '\t'])) {
            let (kind, inner) = rest.trim().split_once('{').unwrap_or((rest.trim(), ""));
            let mut object =
                Object { kind: kind.trim().to_ascii_lowercase(), place: place(n), ..Object::default() };
            if inner.trim().ends_with('}') {
                entry(&mut object, inner.trim().trim_end_matches('}'), n);
                site.objects.push(object);
            } else {
                entry(&mut object, inner, n);
                open = Some(object);
            }
        } else {
            setting(reader, file, site, depth, (n, &line))?;
        }
        if site.objects.len() > MOST {
            return Err(Refused::at(place(n), format!("more than {MOST} objects: import them in parts")));
        }
    }
    match open {
        Some(object) => {
            Err(Refused::at(object.place, format!("`define {}` is not closed: a }} is missing", object.kind)))
        }
        None => Ok(()),
    }
}

fn entry(object: &mut Object, line: &str, n: usize) {
    // A semicolon begins a comment, unless it is escaped.
    let mut end = line.len();
    for (at, _) in line.match_indices(';') {
        if !line[..at].ends_with('\\') {
            end = at;
            break;
        }
    }
    let Some((key, value)) = line[..end].trim().split_once(char::is_whitespace) else { return };
    let value = value.trim().replace("\\;", ";");
    object.entries.insert(key.to_ascii_lowercase(), (value, n));
}

fn setting(
    reader: &mut Reader,
    file: &File,
    site: &mut Site,
    depth: usize,
    (n, line): (usize, &str),
) -> Result<(), Refused> {
    let place = Place { file: file.name.clone(), line: n };
    let Some((key, value)) = line.split_once('=') else { return Ok(()) };
    let (key, value) = (key.trim(), value.trim());
    if let Some(name) = key.strip_prefix("command[").and_then(|k| k.strip_suffix(']')) {
        site.nrpe.entry(name.trim().to_owned()).or_insert((value.to_owned(), place));
        return Ok(());
    }
    if let Some(name) = key.strip_prefix('$').and_then(|k| k.strip_suffix('$')) {
        site.macros.insert(name.to_owned(), value.to_owned());
        return Ok(());
    }
    let base = Path::new(&file.name).parent().unwrap_or(Path::new("."));
    let path = base.join(value);
    let more = match key {
        "cfg_file" | "resource_file" | "include" | "include_file" if path.is_file() => {
            reader.read(&path)?.into_iter().collect()
        }
        "cfg_dir" | "include_dir" if path.is_dir() => reader.below(&path, &["cfg"])?,
        _ => {
            site.settings.push((place, key.to_owned(), value.to_owned()));
            Vec::new()
        }
    };
    for file in more {
        take(reader, &file, site, depth + 1)?;
    }
    Ok(())
}

/// Puts what templates say behind what an object says itself.
fn resolve(objects: &mut [Object]) {
    let mut templates: BTreeMap<(String, String), Entries> = BTreeMap::new();
    for object in objects.iter() {
        if let Some((name, _)) = object.entries.get("name") {
            templates.entry((object.kind.clone(), name.clone())).or_insert_with(|| object.entries.clone());
        }
    }
    for object in objects.iter_mut() {
        let own = std::mem::take(&mut object.entries);
        object.entries = inherited(&object.kind, own, &templates, 0);
    }
}

fn inherited(
    kind: &str,
    mut entries: Entries,
    templates: &BTreeMap<(String, String), Entries>,
    depth: usize,
) -> Entries {
    let Some((used, _)) = entries.get("use").cloned().filter(|_| depth < DEEPEST) else { return entries };
    for name in used.split(',').map(str::trim) {
        let Some(template) = templates.get(&(kind.to_owned(), name.to_owned())) else { continue };
        for (key, value) in inherited(kind, template.clone(), templates, depth + 1) {
            if !matches!(key.as_str(), "name" | "register" | "use") {
                entries.entry(key).or_insert(value);
            }
        }
    }
    entries
}
