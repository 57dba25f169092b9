//! Licences and bans of `deny.toml`, checked over the lock file as cargo resolves it for Linux.
//!
//! cargo-deny does this and more; this test needs nothing but cargo, so that no build goes without it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// The machine sexton is shipped for first; the lock file holds crates of other systems that are never built.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

struct Policy {
    allow: BTreeSet<String>,
    exceptions: BTreeMap<String, BTreeSet<String>>,
    banned: BTreeMap<String, String>,
}

#[test]
fn every_dependency_is_allowed() {
    let policy = Policy::read(include_str!("../deny.toml"));
    let packages = packages();
    assert!(packages.len() > 50, "cargo named only {} packages", packages.len());
    let found: Vec<String> =
        packages.iter().filter_map(|(name, license)| policy.refuses(name, license)).collect();
    assert!(found.is_empty(), "{}\nsee deny.toml", found.join("\n"));
}

impl Policy {
    fn read(text: &str) -> Self {
        let table: toml::Table = toml::from_str(text).expect("deny.toml is TOML");
        let texts = |v: &toml::Value| {
            let list = v.as_array().expect("a list").iter();
            list.map(|t| t.as_str().expect("text").to_owned()).collect::<BTreeSet<_>>()
        };
        let name = |v: &toml::Value| v["crate"].as_str().expect("a crate's name").to_owned();
        let rows = |v: &toml::Value| v.as_array().expect("a list").clone();
        let reason = |v: &toml::Value| v["reason"].as_str().expect("every ban has its reason").to_owned();
        Self {
            allow: texts(&table["licenses"]["allow"]),
            exceptions: rows(&table["licenses"]["exceptions"])
                .iter()
                .map(|v| (name(v), texts(&v["allow"])))
                .collect(),
            banned: rows(&table["bans"]["deny"]).iter().map(|v| (name(v), reason(v))).collect(),
        }
    }

    /// Why this package may not come in.
    fn refuses(&self, name: &str, license: &str) -> Option<String> {
        if let Some(reason) = self.banned.get(name) {
            return Some(format!("{name} is banned: {reason}"));
        }
        let accepted = |id: &str| {
            self.allow.contains(id) || self.exceptions.get(name).is_some_and(|more| more.contains(id))
        };
        (!holds(license, &accepted)).then(|| format!("{name}: licence \"{license}\" is not allowed"))
    }
}

/// Evaluates an SPDX expression: `AND` binds closer than `OR`; `/` is the old way to write `OR`.
fn holds(expression: &str, accepted: &dyn Fn(&str) -> bool) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let (value, rest) = alternatives(&words, accepted);
    value && rest.is_empty()
}

fn alternatives<'a>(words: &'a [&'a str], accepted: &dyn Fn(&str) -> bool) -> (bool, &'a [&'a str]) {
    let (mut value, mut rest) = conjunction(words, accepted);
    while let ["OR", after @ ..] = rest {
        let (more, left) = conjunction(after, accepted);
        (value, rest) = (value | more, left);
    }
    (value, rest)
}

fn conjunction<'a>(words: &'a [&'a str], accepted: &dyn Fn(&str) -> bool) -> (bool, &'a [&'a str]) {
    let (mut value, mut rest) = licence(words, accepted);
    while let ["AND", after @ ..] = rest {
        let (more, left) = licence(after, accepted);
        (value, rest) = (value & more, left);
    }
    (value, rest)
}

fn licence<'a>(words: &'a [&'a str], accepted: &dyn Fn(&str) -> bool) -> (bool, &'a [&'a str]) {
    match words {
        ["(", after @ ..] => match alternatives(after, accepted) {
            (value, [")", left @ ..]) => (value, left),
            (_, left) => (false, left),
        },
        // An exception to a licence only adds rights.
        [id, "WITH", _, left @ ..] => (accepted(id), left),
        [id, left @ ..] => (accepted(id), left),
        [] => (false, words),
    }
}

/// Name and licence of everything that is built on [`PLATFORM`].
fn packages() -> Vec<(String, String)> {
    let cargo = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline", "--all-features"])
        .args(["--filter-platform", PLATFORM, "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .expect("cargo runs");
    assert!(cargo.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&cargo.stderr));
    let json: serde_json::Value = serde_json::from_slice(&cargo.stdout).expect("cargo prints JSON");
    let text = |p: &serde_json::Value, key: &str| p[key].as_str().unwrap_or_default().to_owned();
    let packages = json["packages"].as_array().expect("packages");
    packages.iter().map(|p| (text(p, "name"), text(p, "license"))).collect()
}

#[test]
fn licence_expressions_are_read_as_spdx_says() {
    let accepted = |id: &str| ["MIT", "ISC"].contains(&id);
    for (expression, allowed) in [
        ("MIT", true),
        ("GPL-3.0-only", false),
        ("", false),
        ("MIT OR GPL-3.0-only", true),
        ("GPL-2.0/MIT", true),
        ("MIT AND GPL-3.0-only", false),
        ("MIT AND ISC", true),
        ("GPL-3.0-only OR MIT AND ISC", true),
        ("(MIT OR GPL-3.0-only) AND GPL-2.0-only", false),
        ("(MIT OR GPL-3.0-only) AND ISC", true),
        ("MIT WITH LLVM-exception", true),
        ("(MIT", false),
    ] {
        assert_eq!(holds(expression, &accepted), allowed, "{expression}");
    }
}

#[test]
fn bans_and_exceptions_are_by_crate() {
    let policy = Policy::read(include_str!("../deny.toml"));
    assert!(policy.refuses("openssl-sys", "MIT").is_some());
    assert!(policy.refuses("notify", "CC0-1.0").is_none());
    assert!(policy.refuses("other", "CC0-1.0").is_some());
    assert!(policy.refuses("other", "MIT OR Apache-2.0").is_none());
}
