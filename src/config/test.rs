//! `[[test]]`: what a rule is to do on given series, and the notation of those series.
//!
//! The notation is a list of pieces with blanks between them: `80%` one sample, `80%x360` that many,
//! `80%+0.05%x400` so many with a step from one to the next, `_x10` missing ones, `@file.csv:column` a column
//! of a file. Units are those of conditions; text stands in single quotes. Pieces stay as they are written (a
//! test of a week costs no more memory than one of an hour); files are read by whoever plays the test. Limit:
//! [`MOST_SAMPLES`] per series.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use super::suggest::{nearest, one_of};
use super::walk::shorten;
use crate::engine::cond::{self, program::Root};
use crate::engine::moment::Stamp;
use crate::engine::record::{Priority, Severity};
use crate::engine::signal::{Base, Class, Instance, Metric, SIGNALS, Type, Value};

/// Most samples of one series of a test.
pub const MOST_SAMPLES: u64 = 1_000_000;
/// When the series of a test begin if it does not say: Monday, 2024-01-01T00:00:00Z.
pub const START: Stamp = Stamp(1_704_067_200 * crate::engine::moment::SECOND);

/// Where something stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Path of the file as shown to people.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// It is in the configuration within the binary.
    pub is_builtin: bool,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// One `[[test]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleTest {
    /// Its name; that of the rule when it has none of its own.
    pub name: String,
    /// Id of the rule that is tested.
    pub rule: String,
    /// Where it stands.
    pub place: Place,
    /// Distance of samples in ns.
    pub step: i64,
    /// When the first samples are taken.
    pub start: Stamp,
    /// What is seen.
    pub series: Vec<TestSeries>,
    /// What is expected, in the order written.
    pub expect: Vec<Expect>,
    /// Incidents of the rule in all, when the test says.
    pub incidents: Option<u64>,
}

/// One series of a test.
#[derive(Clone, Debug, PartialEq)]
pub struct TestSeries {
    /// The signal.
    pub metric: Metric,
    /// Of what; all series of one instance share it.
    pub instance: Arc<Instance>,
    /// Its samples in order, one every step.
    pub pieces: Vec<Piece>,
}

/// A run of samples.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// `count` samples from `first` on, each `step` more than the one before.
    Run {
        /// The first value.
        first: Value,
        /// What is added from one to the next; 0 for truths and texts.
        step: f64,
        /// How many.
        count: u64,
    },
    /// So many samples are missing.
    Missing(u64),
    /// A column of a CSV file.
    Column {
        /// The file; relative ones have been joined with the directory of the test.
        path: PathBuf,
        /// Name of the column, or its number from 1.
        column: String,
        /// Every number is multiplied by this.
        scale: f64,
    },
}

/// The state a test expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Neither raised nor pending.
    Ok,
    /// The raise condition holds, not yet for long enough.
    Pending,
    /// Raised.
    Raised,
    /// Not raised, and the condition cannot be judged.
    Unknown,
}

/// The words for them in a file.
pub const STATES: [(&str, Expected); 4] = [
    ("ok", Expected::Ok),
    ("pending", Expected::Pending),
    ("raised", Expected::Raised),
    ("unknown", Expected::Unknown),
];

impl Expected {
    /// As written in a file.
    pub fn word(self) -> &'static str {
        STATES.iter().find(|(_, s)| *s == self).map_or("", |(word, _)| word)
    }
}

/// One line of `expect`.
#[derive(Clone, Debug, PartialEq)]
pub struct Expect {
    /// Time since the start of the test, in ns.
    pub at: i64,
    /// State of the rule.
    pub state: Expected,
    /// Severity of the highest step that is raised, when the test says.
    pub severity: Option<Severity>,
    /// Priority of the open incident, when the test says.
    pub priority: Option<Priority>,
    /// Name of the instance, when the test has several; without it the worst counts.
    pub instance: Option<String>,
    /// Where it stands.
    pub place: Place,
}

/// What is wrong with the name of a series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameError {
    /// One line.
    pub message: String,
    /// The name that was probably meant.
    pub near: Option<&'static str>,
    /// How it is written.
    pub help: String,
}

impl std::fmt::Display for NameError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.near {
            Some(near) => write!(f, "{}; did you mean `{near}`?", self.message),
            None => write!(f, "{}; {}", self.message, self.help),
        }
    }
}

/// The signal and the labels of `fs.used{mount=/data,fstype=ext4}`.
///
/// # Errors
/// No such signal, a label that its class lacks, or a form that cannot be read.
pub fn series_name(text: &str) -> Result<(Metric, BTreeMap<String, String>), NameError> {
    let form = "write signal{label=value,label=value}, such as \"fs.used{mount=/data}\"";
    let wrong = |message: String| NameError { message, near: None, help: form.to_owned() };
    let (signal, labels) = match text.split_once('{') {
        Some((signal, rest)) => match rest.trim_end().strip_suffix('}') {
            Some(labels) => (signal.trim(), labels),
            None => return Err(wrong(format!("`{}` has no closing brace", shorten(text)))),
        },
        None => (text.trim(), ""),
    };
    let Some(metric) = Metric::find(signal) else {
        let near = nearest(signal, SIGNALS.iter().map(|s| s.name));
        return Err(NameError { near, ..wrong(format!("there is no signal `{}`", shorten(signal))) });
    };
    let class = metric.spec().class;
    let mut found = BTreeMap::new();
    for part in labels.split([',', ';']).map(str::trim).filter(|p| !p.is_empty()) {
        let Some((label, value)) = part.split_once('=') else {
            return Err(wrong(format!("`{}` is no label=value", shorten(part))));
        };
        let (label, value) = (label.trim(), value.trim().trim_matches(['"', '\'']));
        if !class_labels(class).any(|l| l == label) {
            return Err(no_label(label, class));
        }
        found.insert(label.to_owned(), value.to_owned());
    }
    Ok((metric, found))
}

fn class_labels(class: Class) -> impl Iterator<Item = &'static str> {
    let spec = class.spec();
    spec.identity.iter().chain(spec.other).copied()
}

fn no_label(label: &str, class: Class) -> NameError {
    let help = match class_labels(class).next() {
        Some(_) => format!("labels of `{}`: {}", class.name(), one_of(class_labels(class))),
        None => format!("class `{}` has one instance and no labels", class.name()),
    };
    let message = format!("class `{}` has no label `{}`", class.name(), shorten(label));
    NameError { message, near: nearest(label, class_labels(class)), help }
}

/// What is wrong with a piece of the notation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotationError {
    /// Bytes to underline.
    pub span: Range<usize>,
    /// One line.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl NotationError {
    fn new(span: &Range<usize>, message: impl Into<String>) -> Self {
        Self { span: span.clone(), message: message.into(), help: None }
    }

    fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

/// The pieces of a series of `metric`.
///
/// # Errors
/// The first piece that is wrong, with its bytes.
pub fn pieces(text: &str, metric: Metric) -> Result<Vec<Piece>, NotationError> {
    let mut all = Vec::new();
    for span in words(text) {
        all.push(piece(text.get(span.clone()).unwrap_or(""), &span, metric)?);
    }
    let count = |p: &Piece| match p {
        Piece::Run { count, .. } | Piece::Missing(count) => *count,
        Piece::Column { .. } => 0,
    };
    let whole = 0..text.len();
    if all.is_empty() {
        let error = NotationError::new(&whole, "this series has no samples");
        return Err(
            error.help(format!("write values with how often, such as \"{}x60\"", example(metric.spec().ty)))
        );
    }
    if all.iter().map(count).sum::<u64>() > MOST_SAMPLES {
        return Err(NotationError::new(&whole, format!("more than {MOST_SAMPLES} samples in one series")));
    }
    Ok(all)
}

/// The bytes of each piece; blanks within quotes belong to it.
fn words(text: &str) -> Vec<Range<usize>> {
    let (mut all, mut start, mut is_quoted) = (Vec::new(), None, false);
    for (at, c) in text.char_indices() {
        if c.is_whitespace() && !is_quoted {
            all.extend(start.take().map(|from| from..at));
            continue;
        }
        is_quoted ^= c == '\'';
        start.get_or_insert(at);
    }
    all.extend(start.map(|from| from..text.len()));
    all
}

fn piece(word: &str, span: &Range<usize>, metric: Metric) -> Result<Piece, NotationError> {
    if let Some(file) = word.strip_prefix('@') {
        return column(file, span, metric);
    }
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    let (body, count) = match word.rsplit_once('x').filter(|(body, n)| !body.is_empty() && digits(n)) {
        Some((body, n)) => (body, n.parse::<u64>().unwrap_or(u64::MAX)),
        None => (word, 1),
    };
    if count == 0 {
        return Err(NotationError::new(span, format!("`{word}` is no sample at all"))
            .help("the number behind the x says how many"));
    }
    if count > MOST_SAMPLES {
        return Err(NotationError::new(span, format!("`{word}` is more than {MOST_SAMPLES} samples")));
    }
    if body == "_" {
        return Ok(Piece::Missing(count));
    }
    match metric.spec().ty.base {
        Base::Bool => truth(body, span, metric).map(|first| Piece::Run { first, step: 0.0, count }),
        Base::Text => quoted(body, span, metric).map(|first| Piece::Run { first, step: 0.0, count }),
        _ => {
            let at = stepping(body);
            let (first, step) = body.split_at(at.unwrap_or(body.len()));
            let sub = |from: usize, len: usize| span.start + from..span.start + from + len;
            let first = number(first, &sub(0, first.len()), metric)?;
            let step = match at {
                Some(at) => number(step.strip_prefix('+').unwrap_or(step), &sub(at, step.len()), metric)?,
                None => 0.0,
            };
            Ok(Piece::Run { first: Value::Num(first), step, count })
        }
    }
}

/// Where the sign of the step stands: not the one in front, nor that of an exponent.
fn stepping(body: &str) -> Option<usize> {
    let bytes = body.as_bytes();
    let is_exponent = |at: usize| {
        matches!(bytes[at - 1], b'e' | b'E')
            && at >= 2
            && (bytes[at - 2].is_ascii_digit() || bytes[at - 2] == b'.')
    };
    (1..bytes.len()).find(|at| matches!(bytes[*at], b'+' | b'-') && !is_exponent(*at))
}

fn column(file: &str, span: &Range<usize>, metric: Metric) -> Result<Piece, NotationError> {
    let form = "write @file.csv:column, with a factor if the column has another unit: @file.csv:column*1%";
    let wrong = |what: String| NotationError::new(span, what).help(form);
    let (path, column) = file.rsplit_once(':').ok_or_else(|| wrong(format!("`@{file}` names no column")))?;
    let (column, scale) = match column.rsplit_once('*') {
        Some((column, factor)) => (column, number(factor, span, metric)?),
        None => (column, 1.0),
    };
    if path.is_empty() || column.is_empty() {
        return Err(wrong(format!("`@{file}` names no {}", if path.is_empty() { "file" } else { "column" })));
    }
    Ok(Piece::Column { path: PathBuf::from(path), column: column.to_owned(), scale })
}

fn truth(body: &str, span: &Range<usize>, metric: Metric) -> Result<Value, NotationError> {
    match body {
        "true" => Ok(Value::Bool(true)),
        "false" => Ok(Value::Bool(false)),
        _ => {
            let error =
                NotationError::new(span, format!("`{}` is true or false, not `{body}`", metric.name()));
            Err(error.help("write truex3 falsex10"))
        }
    }
}

fn quoted(body: &str, span: &Range<usize>, metric: Metric) -> Result<Value, NotationError> {
    match body.strip_prefix('\'').and_then(|t| t.strip_suffix('\'')) {
        Some(text) => Ok(Value::Text(text.into())),
        None => {
            let error =
                NotationError::new(span, format!("`{}` is text; `{body}` has no quotes", metric.name()));
            Err(error.help(format!("write '{}'x3", body.trim_matches('\''))))
        }
    }
}

/// A literal of the type of the signal, in base units. Nothing at all needs no unit.
///
/// # Errors
/// It is no literal, or one of another type.
pub fn number(text: &str, span: &Range<usize>, metric: Metric) -> Result<f64, NotationError> {
    let wanted = metric.spec().ty;
    let help = format!("values of {} look like {}", metric.name(), example(wanted));
    let constant = cond::compile_any(text, Class::Host, &[]).ok().and_then(|c| match &c.program().root {
        Root::Num(num) => num.constant().map(|value| (value, c.ty())),
        _ => None,
    });
    let Some((value, ty)) = constant.filter(|(value, _)| value.is_finite()) else {
        return Err(NotationError::new(span, format!("`{text}` is no value")).help(help));
    };
    if ty != wanted && value != 0.0 {
        let message = format!("`{}` is {}, `{text}` is {}", metric.name(), article(wanted), article(ty));
        return Err(NotationError::new(span, message).help(help));
    }
    Ok(value)
}

/// `a ratio`, `bytes/s`.
fn article(ty: Type) -> String {
    match ty.base {
        Base::Bytes | Base::Seconds => ty.to_string(),
        _ => format!("a {ty}"),
    }
}

fn example(ty: Type) -> &'static str {
    match (ty.base, ty.per_second) {
        (Base::Bool, _) => "true",
        (Base::Text, _) => "'failed'",
        (Base::Number, false) => "5",
        (Base::Number, true) => "5/s",
        (Base::Ratio, false) => "80%",
        (Base::Ratio, true) => "1%/h",
        (Base::Bytes, false) => "4GiB",
        (Base::Bytes, true) => "4MiB/s",
        (Base::Seconds, _) => "30s",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(first: f64, step: f64, count: u64) -> Piece {
        Piece::Run { first: Value::Num(first), step, count }
    }

    fn of(name: &str, text: &str) -> Result<Vec<Piece>, NotationError> {
        pieces(text, Metric::find(name).expect("a signal"))
    }

    #[test]
    fn the_notation_is_read_with_the_units_of_conditions() {
        for (signal, text, expected) in [
            ("fs.used", "80%x360 80%+0.05%x400", vec![run(0.8, 0.0, 360), run(0.8, 0.0005, 400)]),
            ("cpu.busy", " 40% _x10 0x2 ", vec![run(0.4, 0.0, 1), Piece::Missing(10), run(0.0, 0.0, 2)]),
            (
                "kernel.oom_kills",
                "0x240 0+3x120 1e1-2e-1x3",
                vec![run(0.0, 0.0, 240), run(0.0, 3.0, 120), run(10.0, -0.2, 3)],
            ),
            ("swap.in", "4MiB/s-1MiB/sx4", vec![run(4_194_304.0, -1_048_576.0, 4)]),
            ("check.latency", "800msx2", vec![run(0.8, 0.0, 2)]),
        ] {
            assert_eq!(of(signal, text), Ok(expected), "{text}");
        }
        let text = |t: &str, count| Piece::Run { first: t.into(), step: 0.0, count };
        assert_eq!(of("unit.state", "'active'x5 'a b x3'"), Ok(vec![text("active", 5), text("a b x3", 1)]));
        let truth = |t: bool, count| Piece::Run { first: t.into(), step: 0.0, count };
        assert_eq!(of("check.up", "truex3 false"), Ok(vec![truth(true, 3), truth(false, 1)]));
        let column = Piece::Column { path: "a/c.csv".into(), column: "value".into(), scale: 0.01 };
        assert_eq!(of("cpu.busy", "@a/c.csv:value*1%"), Ok(vec![column]));
    }

    #[test]
    fn what_is_wrong_is_underlined_and_mended() {
        for (signal, text, span, message, help) in [
            ("fs.used", "80%x3 80x4", 6..8, "is a ratio, `80` is a number", "80%"),
            ("fs.used", "80%+5x4", 3..5, "`5` is a number", "80%"),
            ("fs.used", "80%x0", 0..5, "no sample at all", "how many"),
            ("fs.used", "", 0..0, "no samples", "80%x60"),
            ("fs.used", "80%x9999999", 0..11, "more than 1000000", ""),
            ("fs.used", "soon", 0..4, "`soon` is no value", "80%"),
            ("unit.state", "failedx3", 0..8, "has no quotes", "'failed'x3"),
            ("check.up", "1x3", 0..3, "true or false", "truex3"),
            ("fs.used", "@file.csv", 0..9, "names no column", "@file.csv:column"),
        ] {
            let error = of(signal, text).expect_err(text);
            assert_eq!(error.span, span, "{text}");
            assert!(error.message.contains(message), "{text}: {}", error.message);
            assert!(error.help.unwrap_or_default().contains(help), "{text}");
        }
    }
}
