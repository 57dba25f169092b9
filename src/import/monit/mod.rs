//! Monit: control files with their services, each test of which becomes a rule.
//!
//! Monit counts cycles; here they are time: a test that fails `for 3 cycles` of a minute has failed for two
//! minutes. What Monit does about it (restart, exec) becomes an action, which is a dry run until somebody
//! writes otherwise.

mod action;
mod connection;
mod lex;
mod service;
mod test;

use std::path::Path;

use super::Found;
use super::draft::{Aside, Place, shorten};
use super::input::{File, Reader, Refused};
use lex::Statement;
use service::Service;

use crate::engine::moment::SECOND;

/// Cycle when no `set daemon` says: what Debian ships says two minutes, the manual's examples one.
const CYCLE: i64 = 60 * SECOND;
/// Longest cycle that is believed.
const LONGEST: i64 = 24 * 3600;
/// Deepest chain of includes.
const DEEPEST: usize = 8;
/// Longest piece in a message.
const PIECE: usize = 90;

/// Reads all files and what they include.
///
/// # Errors
/// A file that cannot be read or is no control file.
pub fn read(reader: &mut Reader) -> Result<Found, Refused> {
    let mut all = Vec::new();
    for file in reader.named(&["monitrc", "conf", "cfg", "monit"])? {
        gather(reader, &file, &mut all, 0)?;
    }
    let mut found = Found::default();
    let cycle = all.iter().find_map(|(_, s)| daemon(s)).unwrap_or(CYCLE);
    let mut services: Vec<Service> = Vec::new();
    for (file, statement) in all {
        let place = Place { file, line: statement.line() };
        match statement.keyword() {
            "check" => services.push(Service::new(place, &statement)),
            "set" | "include" => set(&statement, place, &mut found),
            _ => match services.last_mut() {
                Some(service) => service.statements.push((place, statement)),
                None => found.asides.push(aside(place, &statement, "is not understood")),
            },
        }
    }
    for service in &services {
        found.items.extend(service.items(cycle));
    }
    service::depend(&services, &mut found.items);
    Ok(found)
}

fn aside(place: Place, statement: &Statement, instead: &str) -> Aside {
    Aside { place, piece: shorten(&statement.text(), PIECE), instead: instead.to_owned() }
}

/// All statements of a file with those of its includes in their place.
fn gather(
    reader: &mut Reader,
    file: &File,
    all: &mut Vec<(String, Statement)>,
    depth: usize,
) -> Result<(), Refused> {
    let statements = lex::statements(file)?;
    let is_monit = statements.iter().any(|s| matches!(s.keyword(), "check" | "set" | "include"));
    // What is included may be a file of comments only.
    if depth == 0 && !is_monit && !file.text.trim().is_empty() {
        let why = format!("{}: no `check` and no `set` in it: this is no control file of Monit", file.name);
        return Err(Refused { place: None, why });
    }
    for statement in statements {
        let pattern = statement.words.get(1).map(|w| w.raw.clone()).unwrap_or_default();
        let is_include = statement.keyword() == "include";
        let place = Place { file: file.name.clone(), line: statement.line() };
        all.push((file.name.clone(), statement));
        if !is_include {
            continue;
        }
        if depth >= DEEPEST {
            return Err(Refused::at(place, format!("includes more than {DEEPEST} levels deep")));
        }
        let before = all.len();
        for included in included(reader, Path::new(&file.name), &pattern) {
            gather(reader, &included?, all, depth + 1)?;
        }
        if all.len() > before {
            all.remove(before - 1);
        }
    }
    Ok(())
}

/// The files of an `include`: a path, or one with `*` in its last part.
fn included(reader: &mut Reader, from: &Path, pattern: &str) -> Vec<Result<File, Refused>> {
    let base = from.parent().unwrap_or(Path::new("."));
    let path = base.join(pattern);
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let dir = path.parent().unwrap_or(base);
    if !name.contains(['*', '?']) {
        let exists = path.is_file();
        return if exists { reader.read(&path).transpose().into_iter().collect() } else { Vec::new() };
    }
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut paths: Vec<_> = entries.flatten().map(|e| e.path()).filter(|p| p.is_file()).collect();
    paths.retain(|p| {
        let file = p.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        !file.starts_with('.') && crate::engine::plan::glob_matches(&name, &file)
    });
    paths.sort();
    paths.iter().filter_map(|p| reader.read(p).transpose()).collect()
}

/// `set daemon 60`.
fn daemon(statement: &Statement) -> Option<i64> {
    let [set, daemon, seconds, ..] = statement.words.as_slice() else { return None };
    let seconds =
        (set.text == "set" && daemon.text == "daemon").then(|| seconds.text.parse::<i64>().ok())??;
    (1..=LONGEST).contains(&seconds).then_some(seconds * SECOND)
}

/// Where settings have their place here.
fn set(statement: &Statement, place: Place, found: &mut Found) {
    let what = statement.words.get(1).map_or("", |w| w.text.as_str());
    let instead = match (statement.keyword(), what) {
        ("include", _) => "nothing was found there: import those files by name",
        (_, "daemon") => return,
        (_, "alert" | "mailserver" | "mail-format" | "eventqueue") => {
            "people are told by a [[destination]], kind = \"mail\" or the ITSM: docs/forwarding.md"
        }
        (_, "httpd") => "`sexton status` asks the daemon; `sexton desk` has pages",
        (_, "mmonit") => "the desk receives from all hosts: a [[destination]], kind = \"desk\"",
        (_, "log" | "logfile") => "logs go to the journal of systemd",
        (_, "pidfile" | "idfile" | "statefile") => "state is kept in [store] dir",
        (_, "limits" | "ssl" | "tls" | "fips" | "onreboot" | "init") => "has no counterpart",
        _ => "is not understood",
    };
    found.asides.push(aside(place, statement, instead));
}
