//! Messages: where, what, and what instead.
//!
//! While a configuration is read, mistakes are gathered as `Finding`s in a `Report`; at the end they
//! become [`Diagnostic`]s that hold the lines they speak of and nothing else, so that a daemon can keep them.
//! Invariants: no message shows a secret; at most [`MOST`] of a kind are kept, the rest is counted; what
//! merely follows from a syntax error is left out.

use std::fmt;
use std::ops::Range;

use serde::Serialize;

use super::source::{Source, Trouble};

mod render;

/// Most errors, and most warnings, that are kept.
pub const MOST: usize = 100;

/// Bytes in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At {
    /// Index of the file.
    pub file: u32,
    /// First byte.
    pub start: u32,
    /// After the last byte.
    pub end: u32,
}

impl At {
    /// Bytes of a file.
    pub fn new(file: u32, bytes: Range<usize>) -> Self {
        Self { file, start: bytes.start as u32, end: bytes.end.max(bytes.start) as u32 }
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The configuration is refused.
    Error,
    /// It works, but probably not as meant.
    Warning,
}

/// A piece of a file with one place underlined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Excerpt {
    /// Path.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The line, cut around the place when it is very long.
    pub text: String,
    /// What is said of the place; may be empty.
    pub label: String,
    /// Bytes of `text` to underline.
    #[serde(skip)]
    pub mark: Range<usize>,
}

impl Excerpt {
    /// The text is a piece of its line.
    fn is_cut(&self) -> bool {
        self.text.get(..self.mark.start).is_none_or(|before| before.chars().count() + 1 != self.column)
    }
}

/// One mistake or doubt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Error or warning.
    pub level: Level,
    /// Name of the lint, of a doubt that has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lint: Option<&'static str>,
    /// What is wrong, one line.
    pub message: String,
    /// Where.
    pub at: Option<Excerpt>,
    /// Other places that belong to it, such as the first definition of a duplicate.
    pub also: Vec<Excerpt>,
    /// What to write instead.
    pub help: Vec<String>,
    /// The file, when there is no place in it.
    pub file: Option<String>,
}

impl Diagnostic {
    /// `file:line:column`, as far as known.
    pub fn place(&self) -> String {
        match (&self.at, &self.file) {
            (Some(at), _) => format!("{}:{}:{}", at.file, at.line, at.column),
            (None, Some(file)) => file.clone(),
            (None, None) => String::new(),
        }
    }

    /// The whole message as a person reads it, the place underlined.
    pub fn render(&self, colour: bool) -> String {
        render::render(self, colour)
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.place();
        let gap = if place.is_empty() { "" } else { ": " };
        write!(f, "{place}{gap}{}", self.message)?;
        self.help.first().map_or(Ok(()), |help| write!(f, " ({help})"))
    }
}

/// Why a configuration was refused: every mistake, in the order of the files, then the warnings.
#[derive(Clone, Debug)]
pub struct Diagnostics {
    /// Errors, then warnings.
    pub items: Vec<Diagnostic>,
    /// Number of all errors, also those beyond [`MOST`].
    pub errors: usize,
    /// Number of all warnings.
    pub warnings: usize,
    /// The configuration as such cannot be read (no such file); nothing was checked.
    pub unreadable: bool,
}

impl Diagnostics {
    /// Every message whole, as a person reads them.
    pub fn render(&self, colour: bool) -> String {
        self.items.iter().map(|item| item.render(colour)).collect::<Vec<_>>().join("\n\n")
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.items.first().map_or_else(String::new, ToString::to_string);
        match self.errors {
            0 | 1 => f.write_str(&first),
            n => write!(f, "{first}; and {} more", n - 1),
        }
    }
}

impl std::error::Error for Diagnostics {}

/// A mistake while it is being described.
#[must_use]
pub(super) struct Finding {
    level: Level,
    lint: Option<&'static str>,
    message: String,
    at: At,
    label: String,
    also: Vec<(At, String)>,
    help: Vec<String>,
    absence: bool,
    syntax: bool,
}

impl Finding {
    /// An error at a place.
    pub fn error(at: At, message: impl Into<String>) -> Self {
        let (message, level) = (message.into(), Level::Error);
        let (label, also, help) = (String::new(), Vec::new(), Vec::new());
        Self { level, lint: None, message, at, label, also, help, absence: false, syntax: false }
    }

    /// A doubt at a place.
    pub fn warning(at: At, message: impl Into<String>) -> Self {
        Self { level: Level::Warning, ..Self::error(at, message) }
    }

    /// The configuration is refused because of it.
    pub fn is_error(&self) -> bool {
        self.level == Level::Error
    }

    /// The name of the lint that found it.
    pub fn lint(mut self, name: &'static str) -> Self {
        self.lint = Some(name);
        self
    }

    /// A syntax error: other findings on its line are left out.
    pub fn syntax(at: At, message: impl Into<String>) -> Self {
        Self { syntax: true, ..Self::error(at, message) }
    }

    /// What stands beside the underline.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// What to write instead.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// Another place that belongs to it.
    pub fn also(mut self, at: At, label: impl Into<String>) -> Self {
        self.also.push((at, label.into()));
        self
    }

    /// Something is not there: not said of a set of files with syntax errors, which may hide it.
    pub fn absence(mut self) -> Self {
        self.absence = true;
        self
    }
}

/// Everything found so far.
pub(super) struct Report {
    /// The files, in the order of the layers.
    pub sources: Vec<Source>,
    /// Somebody asks where each key of each rule stands.
    pub wants_origins: bool,
    findings: Vec<Finding>,
    secrets: Vec<At>,
    troubles: Vec<Trouble>,
}

impl Report {
    /// An empty report about these files.
    pub fn new(sources: Vec<Source>) -> Self {
        let (findings, secrets, troubles) = (Vec::new(), Vec::new(), Vec::new());
        Self { sources, wants_origins: false, findings, secrets, troubles }
    }

    /// Adds a finding.
    pub fn add(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// Adds a file that could not be taken.
    pub fn trouble(&mut self, trouble: Trouble) {
        self.troubles.push(trouble);
    }

    /// Bytes that no message may show.
    pub fn secret(&mut self, at: At) {
        self.secrets.push(at);
    }

    /// `file:line` of a place, for the origin of a rule.
    pub fn origin(&self, at: At) -> String {
        self.sources.get(at.file as usize).map_or_else(String::new, |s| s.origin(at.start as usize))
    }

    /// File, line and column (both from 1) of a place.
    pub fn place(&self, at: At) -> super::test::Place {
        let Some(source) = self.sources.get(at.file as usize) else { return super::test::Place::default() };
        let (line, bytes) = source.line(at.start as usize);
        let before = source.text.get(bytes.start..at.start as usize).unwrap_or("");
        let is_builtin = source.role == super::source::Role::Builtin;
        let column = before.chars().count() + 1;
        super::test::Place { file: source.name.clone(), line: line + 1, column, is_builtin }
    }

    /// Ends the report: the warnings if nothing is wrong, else everything.
    ///
    /// # Errors
    /// Every mistake.
    pub fn finish(mut self) -> Result<Vec<Diagnostic>, Diagnostics> {
        let mut findings = std::mem::take(&mut self.findings);
        let line_of =
            |at: At| self.sources.get(at.file as usize).map(|s| (at.file, s.line(at.start as usize).0));
        let broken: std::collections::BTreeSet<_> =
            findings.iter().filter(|f| f.syntax).filter_map(|f| line_of(f.at)).collect();
        findings.retain(|f| {
            f.syntax
                || broken.is_empty()
                || !(f.absence || line_of(f.at).is_some_and(|l| broken.contains(&l)))
        });
        if !self.troubles.is_empty() || findings.iter().any(|f| f.level == Level::Error) {
            // What cannot be loaded is mended first; its lints come when it can.
            findings.retain(|f| f.lint.is_none());
        }
        findings.sort_by_key(|f| (f.level, f.at));
        // A piece that several rules share is read for each of them: a mistake in it is told once.
        findings.dedup_by(|later, first| {
            (later.level, later.at, later.absence) == (first.level, first.at, first.absence)
                && (!later.absence || later.message == first.message)
        });
        let warnings = findings.iter().filter(|f| f.level == Level::Warning).count();
        let errors = self.troubles.len() + findings.len() - warnings;
        let troubles = self.troubles.iter().take(MOST).map(unreadable);
        let (bad, doubts): (Vec<_>, Vec<_>) = findings.iter().partition(|f| f.level == Level::Error);
        let kept = bad.into_iter().take(MOST).chain(doubts.into_iter().take(MOST));
        let items: Vec<_> = troubles.chain(kept.map(|f| self.diagnostic(f))).collect();
        if errors == 0 { Ok(items) } else { Err(Diagnostics { items, errors, warnings, unreadable: false }) }
    }

    fn diagnostic(&self, finding: &Finding) -> Diagnostic {
        Diagnostic {
            level: finding.level,
            lint: finding.lint,
            message: finding.message.clone(),
            at: self.excerpt(finding.at, &finding.label),
            also: finding.also.iter().filter_map(|(at, label)| self.excerpt(*at, label)).collect(),
            help: finding.help.clone(),
            file: None,
        }
    }

    fn excerpt(&self, at: At, label: &str) -> Option<Excerpt> {
        let source = self.sources.get(at.file as usize)?;
        let (line, bytes) = source.line(at.start as usize);
        let mut text = source.text.get(bytes.clone())?.to_owned();
        for secret in self.secrets.iter().filter(|s| s.file == at.file) {
            hide(&mut text, &bytes, *secret);
        }
        let start = floor(&text, (at.start as usize).saturating_sub(bytes.start));
        let end = floor(&text, (at.end as usize).saturating_sub(bytes.start)).max(start);
        let column = text[..start].chars().count() + 1;
        let (text, mark) = window(&text, start..end);
        Some(Excerpt {
            file: source.name.clone(),
            line: line + 1,
            column,
            text,
            label: label.to_owned(),
            mark,
        })
    }
}

/// A file that looks as if it were meant to be read and is not.
pub fn passed_over(file: &std::path::Path) -> Diagnostic {
    Diagnostic {
        level: Level::Warning,
        lint: None,
        message: "this file is not read: its name does not end with .toml".to_owned(),
        at: None,
        also: Vec::new(),
        help: vec!["rename it, or move it out of the directory".to_owned()],
        file: Some(file.display().to_string()),
    }
}

/// The diagnostic for a file that could not be taken.
pub fn unreadable(trouble: &Trouble) -> Diagnostic {
    let file = trouble.path.display().to_string();
    let at = trouble.at.as_ref().map(|(line, column, text)| {
        let start = text.char_indices().nth(column - 1).map_or(text.len(), |(i, _)| i);
        let end = text[start..].chars().next().map_or(start, |c| start + c.len_utf8());
        let (text, mark) = window(text, start..end);
        Excerpt { file: file.clone(), line: *line, column: *column, text, label: String::new(), mark }
    });
    Diagnostic {
        level: Level::Error,
        lint: None,
        message: trouble.message.clone(),
        at,
        also: Vec::new(),
        help: trouble.help.iter().cloned().collect(),
        file: Some(file),
    }
}

/// Widest line that is shown whole, in bytes.
const WIDEST: usize = 400;

/// Cuts a very long line around the mark.
fn window(text: &str, mark: Range<usize>) -> (String, Range<usize>) {
    if text.len() <= WIDEST {
        return (text.to_owned(), mark);
    }
    let from = floor(text, mark.start.saturating_sub(WIDEST / 4));
    let to = floor(text, from + WIDEST);
    let end = mark.end.min(to);
    let (head, tail) = (if from > 0 { "…" } else { "" }, if to < text.len() { "…" } else { "" });
    let shift = |at: usize| at - from + head.len();
    (format!("{head}{}{tail}", &text[from..to]), shift(mark.start)..shift(end))
}

/// The nearest character boundary at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0)
}

/// Replaces the bytes of a secret within a line by as many asterisks.
fn hide(text: &mut String, line: &Range<usize>, secret: At) {
    let start = (secret.start as usize).max(line.start);
    let end = (secret.end as usize).min(line.end);
    if start < end {
        let (start, end) = (start - line.start, end - line.start);
        if text.is_char_boundary(start) && text.is_char_boundary(end) {
            text.replace_range(start..end, &"*".repeat(end - start));
        }
    }
}
