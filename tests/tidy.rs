//! The house rules, executed. Each rule is a function from a file's text to the places that break it, so that
//! it is tested below with small strings; `the_tree_is_tidy` runs all of them over this checkout and prints
//! `file:line: what to do`.
//!
//! The rules themselves are explained in CONTRIBUTING.md and docs/ARCHITECTURE.md.

use std::fs;
use std::path::{Path, PathBuf};

#[path = "tidy/source.rs"]
mod source;
use source::{Source, has_word, module_path};

const MAX_LINES: usize = 500;
const MAX_COLUMNS: usize = 110;

/// Rooms of `src/` and what of the crate each may import beside itself. A room that stands here with `*` sees
/// everything.
const ROOMS: &[(&str, &[&str])] = &[
    ("lib", &["*"]),
    ("main", &["*"]),
    ("daemon", &["*"]),
    ("cli", &["*"]),
    ("demo", &["*"]),
    ("telemetry", &[]),
    ("engine", &[]),
    ("config", &["engine"]),
    ("workshop", &["engine", "config", "history"]),
    ("import", &["engine", "config"]),
    ("clock", &["engine::moment"]),
    ("secret", &["engine::option"]),
    ("collect", DOOR),
    ("check", DOOR),
    ("act", DOOR),
    ("forward", DOOR),
    ("store", DOOR),
    ("history", DOOR),
    ("control", DOOR),
    ("desk", DOOR),
];
const DOOR: &[&str] = &[
    "engine::moment",
    "engine::signal",
    "engine::record",
    "engine::effect",
    "engine::option",
    "clock",
    "secret",
];

/// What code of the engine may not mention: it takes time and input as arguments and gives the same output
/// for them.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "std::io",
    "std::os",
    "Instant",
    "SystemTime",
    "HashMap",
    "HashSet",
    "tokio",
    "rustix",
    "rusqlite",
    "reqwest",
];

/// What reads the time. Only `src/clock.rs` may.
const TIME: &[&str] = &["Instant::now", "SystemTime::now", "clock_gettime", "Timestamp::now", "Zoned::now"];

/// Folders that grow by one file with a `SPEC` and one line in the table of their `mod.rs`.
const TABLES: &[&str] = &["src/collect", "src/check", "src/act", "src/forward/connector", "src/engine/func"];

#[test]
fn the_tree_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for file in files(root, &["src", "tests", "benches"], "rs") {
        let text = read(root, &file);
        let source = Source::new(&text);
        found.extend(size(&file, &text));
        found.extend(manners(&file, &source));
        if file.starts_with("src/") {
            found.extend(header(&file, &text));
            found.extend(imports(&file, &source));
            found.extend(time(&file, &source));
            found.extend(purity(&file, &source));
        }
    }
    for folder in TABLES {
        if let Ok(table) = fs::read_to_string(root.join(folder).join("mod.rs")) {
            let rows =
                files(root, &[folder], "rs").into_iter().map(|f| (read(root, &f), f)).collect::<Vec<_>>();
            found.extend(tables(folder, &table, &rows));
        }
    }
    found.extend(dependencies(&read(root, "Cargo.toml")));
    for file in text_files(root) {
        found.extend(places(&file, &read(root, &file), root));
    }
    assert!(found.is_empty(), "{} places break the house rules:\n{}", found.len(), found.join("\n"));
}

// ---- the rules

/// Files stay readable in one sitting, lines on one screen. Literals do not count: rustfmt cannot break them,
/// and a message or a line of /proc is worth having whole.
fn size(file: &str, text: &str) -> Vec<String> {
    let lines = text.lines().count();
    let mut found = Vec::new();
    if lines > MAX_LINES {
        found.push(format!("{file}:{lines}: longer than {MAX_LINES} lines: split it by what it owns"));
    }
    for (n, (line, literal)) in text.lines().zip(Source::new(text).literal).enumerate() {
        let columns = line.chars().count() - literal;
        if columns > MAX_COLUMNS {
            found.push(format!("{file}:{}: {columns} columns: break the line at {MAX_COLUMNS}", n + 1));
        }
    }
    found
}

/// Every file says what it owns before it says anything else.
fn header(file: &str, text: &str) -> Vec<String> {
    if text.starts_with("//!") {
        return Vec::new();
    }
    vec![format!(
        "{file}:1: no module header: begin with `//!` lines: what it owns, must not know, keeps true"
    )]
}

/// No silenced lint, nothing unfinished.
fn manners(file: &str, source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for (n, (code, comment)) in source.code.lines().zip(source.comments.lines()).enumerate() {
        for word in ["#[allow", "#![allow"] {
            if code.contains(word) {
                found.push(format!("{file}:{}: {word}(…)]: use #[expect(lint, reason = \"…\")]", n + 1));
            }
        }
        for word in ["todo!", "unimplemented!", "dbg!"] {
            if has_word(code, word) {
                found.push(format!("{file}:{}: {word}: finish it or leave it out", n + 1));
            }
        }
        for word in [concat!("FIX", "ME"), concat!("TO", "DO"), concat!("XX", "X")] {
            if has_word(comment, word) {
                found.push(format!("{file}:{}: {word}: mend it now or open an issue", n + 1));
            }
        }
    }
    found
}

/// Who imports whom. Test code of a door may use all of the engine, nothing else more.
fn imports(file: &str, source: &Source) -> Vec<String> {
    let module = module_path(file);
    let room = module.first().map_or("lib", String::as_str);
    let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
        return vec![format!(
            "{file}:1: unknown room: add it to ROOMS in tests/tidy.rs and to docs/ARCHITECTURE.md"
        )];
    };
    let mut found = Vec::new();
    for (line, path) in source.crate_paths(&module) {
        let target = path.join("::");
        let in_test = source.is_test(file, line);
        let fits = |a: &str| a == "*" || target == a || target.starts_with(&format!("{a}::"));
        let own = path.first().is_some_and(|p| p == room) || target.is_empty();
        if !(own || allowed.iter().any(|a| fits(a)) || in_test && fits("engine")) {
            let may = if allowed.is_empty() { "only itself".to_owned() } else { allowed.join(", ") };
            found.push(format!("{file}:{line}: {room} may not use crate::{target}: it may use {may}"));
        }
    }
    found
}

/// The engine thinks; it does not read, wait or ask for the time.
fn purity(file: &str, source: &Source) -> Vec<String> {
    if !file.starts_with("src/engine/") {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (n, code) in source.code.lines().enumerate() {
        for word in IMPURE {
            if has_word(code, word) && !source.is_test(file, n + 1) {
                let line = n + 1;
                found.push(format!(
                    "{file}:{line}: {word} in the engine: take it as an argument, keep maps ordered"
                ));
            }
        }
    }
    found
}

/// Only `clock.rs` reads the time; all others are told.
fn time(file: &str, source: &Source) -> Vec<String> {
    if file == "src/clock.rs" {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (n, code) in source.code.lines().enumerate() {
        for word in TIME {
            if has_word(code, word) && !source.is_test(file, n + 1) {
                found.push(format!("{file}:{}: {word}: take `now` as an argument, or hold a `Clock`", n + 1));
            }
        }
    }
    found
}

/// A file with a `SPEC` (a connector: a `CONNECTOR`) stands in the table of its folder.
fn tables(folder: &str, table: &str, rows: &[(String, String)]) -> Vec<String> {
    let table = Source::new(table).code;
    let mut found = Vec::new();
    for (text, file) in rows {
        let below = file.strip_prefix(&format!("{folder}/")).and_then(|f| f.strip_suffix(".rs"));
        let Some(name) = below.map(|b| b.strip_suffix("/mod").unwrap_or(b)) else { continue };
        // A file named by a keyword is a module with an underscore: `#[path = "if.rs"] mod if_;`.
        let named = [format!("{name}::"), format!("{name}_::")].iter().any(|n| has_word(&table, n));
        let code = Source::new(text).code;
        let entry = ["pub const SPEC:", "pub const CONNECTOR:"].iter().any(|c| code.contains(c));
        if entry && name != "mod" && !name.contains('/') && !named {
            found.push(format!("{file}:1: not in the table: add a line for {name} to {folder}/mod.rs"));
        }
    }
    found
}

/// Each dependency says what it is for.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut found = Vec::new();
    let (mut inside, mut said) = (false, false);
    for (n, line) in manifest.lines().enumerate() {
        let line = line.trim_end();
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
            said = false;
        } else if line.starts_with('#') {
            said = true;
        } else if inside && line.split_once('=').is_some() && !line.starts_with([' ', '\t', '}', ']']) {
            if !said {
                found
                    .push(format!("Cargo.toml:{}: no comment above: say what this dependency is for", n + 1));
            }
            said = false;
        }
    }
    found
}

/// No path of the machine it was written on.
fn places(file: &str, text: &str, root: &Path) -> Vec<String> {
    let shared = ["/", "/tmp", "/root", "/home", "/opt", "/srv", "/src", "/usr/src", "/builds"];
    let mut needles = vec![root.display().to_string()];
    if let Some(parent) = root.parent().and_then(Path::to_str).filter(|p| !shared.contains(p)) {
        needles.push(format!("{parent}/"));
    }
    let mut found = Vec::new();
    for (n, line) in text.lines().enumerate() {
        let named = needles.iter().any(|needle| line.contains(needle.as_str()));
        if named || line.contains(concat!("/ho", "me/")) || line.contains(concat!("/Us", "ers/")) {
            found.push(format!("{file}:{}: a path of this machine: make it relative or an argument", n + 1));
        }
    }
    found
}

// ---- files

/// All files below the folders with that ending, as sorted paths relative to `root`.
fn files(root: &Path, folders: &[&str], ending: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = folders.iter().map(|f| root.join(f)).collect();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|t| t.is_dir()) {
                open.push(path);
            } else if ending.is_empty() || path.extension().is_some_and(|e| e == ending) {
                found.push(path.strip_prefix(root).expect("below root").to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

/// What is written by hand: the folders of the project and the files at its top.
fn text_files(root: &Path) -> Vec<String> {
    let mut found = files(root, &["src", "tests", "benches", "docs", "config", "systemd", ".ci"], "");
    let top = fs::read_dir(root).expect("the checkout can be read").flatten();
    let names = top.filter(|e| e.file_type().is_ok_and(|t| t.is_file())).map(|e| e.file_name());
    found.extend(names.map(|n| n.to_string_lossy().into_owned()).filter(|n| n != ".git"));
    found.retain(|f| fs::read_to_string(root.join(f)).is_ok());
    found
}

fn read(root: &Path, file: &str) -> String {
    fs::read_to_string(root.join(file)).unwrap_or_else(|e| panic!("cannot read {file}: {e}"))
}

// ---- the rules can fail

#[test]
fn long_files_and_long_lines_are_found() {
    assert_eq!(size("src/a.rs", &"x\n".repeat(MAX_LINES)), [""; 0]);
    assert_eq!(size("src/a.rs", &"x\n".repeat(MAX_LINES + 1)).len(), 1);
    assert_eq!(size("src/a.rs", &format!("x\n{}\n", "é".repeat(MAX_COLUMNS))), [""; 0]);
    assert!(
        size("src/a.rs", &format!("x\n{}\n", "é".repeat(MAX_COLUMNS + 1)))[0].starts_with("src/a.rs:2: 111")
    );
    assert_eq!(header("src/a.rs", "//! Owns a.\n"), [""; 0]);
    assert_eq!(header("src/a.rs", "use b;\n").len(), 1);
}

#[test]
fn manners_look_at_code_and_comments_but_not_at_strings() {
    let bad = |text: &str| manners("a.rs", &Source::new(text)).len();
    assert_eq!(bad("#[allow(dead_code)]\nfn f() { todo!() }\n"), 2);
    assert_eq!(bad(&format!("// {}: later\n", concat!("FIX", "ME"))), 1);
    assert_eq!(bad("let s = \"#[allow(x)] todo!()\"; // a todo! in words\nlet r = r#\"todo!(\"\"#;\n"), 0);
    assert_eq!(bad("fn f<'a>(x: &'a str, q: char) -> bool { q == '\"' } // '\ntodo!()\n"), 1);
}

#[test]
fn rooms_keep_to_their_neighbours() {
    let bad = |file: &str, text: &str| imports(file, &Source::new(text));
    assert_eq!(bad("src/collect/cpu.rs", "use crate::engine::{moment::Moment, signal};\n"), [""; 0]);
    assert_eq!(bad("src/collect/cpu.rs", "use crate::engine::{moment::Moment, plan::Rule};\n").len(), 1);
    assert_eq!(bad("src/collect/cpu.rs", "use crate::engine as e;\n").len(), 1);
    assert_eq!(bad("src/forward/connector/rt.rs", "use super::super::pump;\nuse super::Spec;\n"), [""; 0]);
    let climbs = bad("src/forward/connector/rt.rs", "\nuse super::super::super::store::Store;\n");
    assert_eq!(
        climbs,
        ["src/forward/connector/rt.rs:2: forward may not use crate::store::Store: it may use \
        engine::moment, engine::signal, engine::record, engine::effect, engine::option, clock, secret"]
    );
    assert_eq!(bad("src/engine/rule.rs", "fn f(c: &crate::clock::Clock) {}\n").len(), 1);
    assert_eq!(bad("src/engine/rule.rs", "pub(crate) fn f() {} // crate::clock\n"), [""; 0]);
    assert_eq!(bad("src/daemon.rs", "use crate::store::Store;\n"), [""; 0]);
    assert!(bad("src/attic/old.rs", "")[0].contains("unknown room"));
    let test = "#[cfg(test)]\nmod tests {\n use super::*;\n use crate::engine::plan::Plan;\n}\n";
    assert_eq!(bad("src/desk/page.rs", test), [""; 0]);
    assert_eq!(bad("src/desk/page.rs", &test.replace("engine::plan", "store")).len(), 1);
}

#[test]
fn the_engine_stays_pure_and_only_the_clock_reads_the_time() {
    let impure = |file: &str, text: &str| purity(file, &Source::new(text)).len();
    assert_eq!(impure("src/engine/a.rs", "use std::collections::HashMap;\nuse std::fs;\n"), 2);
    assert_eq!(impure("src/engine/a.rs", "/// Not a HashMap.\nlet distant = Instants;\n"), 0);
    assert_eq!(impure("src/store/a.rs", "use std::fs;\n"), 0);
    assert_eq!(impure("src/engine/a.rs", "#[cfg(test)]\nmod tests {\n use std::fs;\n}\n"), 0);
    let reads = |file: &str, text: &str| time(file, &Source::new(text)).len();
    assert_eq!(
        reads("src/daemon.rs", "let t = std::time::Instant::now();\nlet z = jiff::Zoned::now();\n"),
        2
    );
    assert_eq!(reads("src/clock.rs", "let t = Instant::now();\n"), 0);
}

#[test]
fn tables_dependencies_and_places_are_checked() {
    let rows = [("pub const SPEC: X = X;\n".to_owned(), "src/check/dns.rs".to_owned())];
    assert_eq!(tables("src/check", "mod dns;\nconst ALL: &[X] = &[dns::SPEC];\n", &rows), [""; 0]);
    assert_eq!(tables("src/check", "mod dns; // dns::SPEC\n", &rows).len(), 1);
    assert_eq!(
        dependencies("[dependencies]\n# For a.\na = \"1\"\nb = \"1\"\n[profile.dev]\nc = 1\n").len(),
        1
    );
    assert_eq!(
        dependencies("[dev-dependencies]\n# For a.\na = { version = \"1\",\n  features = [] }\n"),
        [""; 0]
    );
    let root = Path::new("/data/checkouts/sexton");
    assert_eq!(places("a.md", "see ./docs\n/data/checkouts/else/x\n", root).len(), 1);
    assert_eq!(places("a.md", "/tmp/x\n", Path::new("/tmp/sexton")), [""; 0]);
}
