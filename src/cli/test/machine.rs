//! The result of `sexton test` for machines: JSON, and JUnit XML as CI systems read it.
//!
//! JUnit has no standard; this is the part that Jenkins, GitLab and GitHub's reporters agree on: testsuites,
//! one testsuite per file, a testcase with failure, error or skipped.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Done, complaints, count, verdict};
use crate::engine::moment::SECOND;
use crate::engine::record::Priority;
use crate::workshop::html::escape as xml;
use crate::workshop::prove::Trouble;

#[derive(Serialize)]
struct Document<'d> {
    exit_code: u8,
    passed: usize,
    failed: usize,
    skipped: usize,
    tests: Vec<One<'d>>,
}

#[derive(Serialize)]
struct One<'d> {
    name: &'d str,
    rule: &'d str,
    file: &'d str,
    line: usize,
    column: usize,
    /// `ok`, `failed` or `skipped`.
    verdict: String,
    complaints: Vec<String>,
    expect: Vec<Looked<'d>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    incidents_expected: Option<u64>,
    incidents: u64,
    transitions: Vec<Turned<'d>>,
}

#[derive(Serialize)]
struct Looked<'d> {
    /// Seconds since the start of the series.
    after: f64,
    expected: &'d str,
    found: &'d str,
    holds: bool,
    line: usize,
}

#[derive(Serialize)]
struct Turned<'d> {
    /// Seconds since the start of the series.
    after: f64,
    instance: &'d str,
    from: String,
    to: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<Priority>,
    why: &'d str,
}

/// One JSON document.
pub fn json(all: &[Done<'_>], exit_code: u8) -> String {
    let of = |word: &str| all.iter().filter(|d| verdict(&d.proof) == word).count();
    let document = Document {
        exit_code,
        passed: of("ok"),
        failed: of("FAILED"),
        skipped: of("skipped"),
        tests: all.iter().map(one).collect(),
    };
    serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
}

fn one<'d>(done: &'d Done<'_>) -> One<'d> {
    let proof = &done.proof;
    let seconds = |ns: i64| ns as f64 / SECOND as f64;
    let looked = proof.checks.iter().map(|c| Looked {
        after: seconds(c.at),
        expected: &c.expected,
        found: &c.found,
        holds: c.holds,
        line: c.place.line,
    });
    let turned = proof.transitions.iter().map(|t| Turned {
        after: seconds(t.at.0 - proof.start),
        instance: &t.instance,
        from: t.from.to_string(),
        to: t.to.to_string(),
        priority: t.priority,
        why: &t.why,
    });
    One {
        name: &proof.name,
        rule: &proof.rule,
        file: &proof.place.file,
        line: proof.place.line,
        column: proof.place.column,
        verdict: verdict(proof).to_lowercase(),
        complaints: complaints(proof),
        expect: looked.collect(),
        incidents_expected: proof.incidents.0,
        incidents: proof.incidents.1,
        transitions: turned.collect(),
    }
}

/// JUnit XML.
pub fn junit(all: &[Done<'_>]) -> String {
    let mut files: BTreeMap<&str, Vec<&Done<'_>>> = BTreeMap::new();
    for done in all {
        files.entry(&done.proof.place.file).or_default().push(done);
    }
    let mut out =
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {}>\n", counts(all.iter()));
    for (file, tests) in files {
        out.push_str(&format!("  <testsuite name=\"{}\" {}>\n", xml(file), counts(tests.iter().copied())));
        tests.iter().for_each(|done| case(done, &mut out));
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

fn counts<'d>(all: impl Iterator<Item = &'d Done<'d>> + Clone) -> String {
    let of = |wanted: fn(&Done<'_>) -> bool| all.clone().filter(|d| wanted(d)).count();
    let is_broken = |d: &Done<'_>| matches!(d.proof.trouble, Some(Trouble::Broken(_)));
    let is_failed = |d: &Done<'_>| d.proof.trouble.is_none() && !d.proof.passed();
    let (tests, failures, errors) = (of(|_| true), of(is_failed), of(is_broken));
    format!(
        "tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{}\"",
        of(|d| d.proof.skipped())
    )
}

fn case(done: &Done<'_>, out: &mut String) {
    let proof = &done.proof;
    let (name, rule, file, line) =
        (xml(&proof.name), xml(&proof.rule), xml(&proof.place.file), proof.place.line);
    out.push_str(&format!(
        "    <testcase name=\"{name}\" classname=\"{rule}\" file=\"{file}\" line=\"{line}\""
    ));
    let complaints = complaints(proof);
    let tag = match &proof.trouble {
        Some(Trouble::Skipped(_)) => "skipped",
        Some(Trouble::Broken(_)) => "error",
        None if proof.passed() => {
            out.push_str("/>\n");
            return;
        }
        None => "failure",
    };
    let first = complaints.first().map(String::as_str).unwrap_or_default();
    let summary = match complaints.len() {
        0 | 1 => first.to_owned(),
        n => format!("{first} (and {} more)", count(n as u64 - 1, "difference")),
    };
    let mut body = complaints.join("\n");
    for t in &proof.transitions {
        let after = crate::workshop::prove::since(proof.start, t.at.0);
        body.push_str(&format!("\n{after} {}: {} -> {} {}", t.instance, t.from, t.to, t.why));
    }
    let (message, body) = (xml(&summary), xml(&body));
    out.push_str(&format!(">\n      <{tag} message=\"{message}\">{body}</{tag}>\n    </testcase>\n"));
}
