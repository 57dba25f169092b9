//! Reads traces: what the doors say of some instances over a while, written by hand.
//!
//! ```text
//! fs mount=/data fstype=ext4 every 10s      an instance and its interval; `told` instead of `every …`
//!   fs.used    84%*1h 84%..96%*2h 90%       value*duration, a ramp, and to the end
//!   fs.avail   1GiB|2GiB/30s*1h none*5m silent*5m gone
//! ```
//! `a|b/30s` changes between two values every 30 s, without `/` at every sample. `none` is "there is no value
//! now", `silent` no word at all, `gone` the farewell to the instance. A told signal is given when it
//! changes.

use std::sync::Arc;

use sexton::engine::moment::{DAY, HOUR, MINUTE, Moment, SECOND};
use sexton::engine::signal::{Class, Instance, Metric, Observation, Value};

/// What the doors say.
#[derive(Debug, Default)]
pub struct Trace {
    pub subjects: Vec<Subject>,
}

/// An instance and its signals.
#[derive(Debug)]
pub struct Subject {
    instance: Arc<Instance>,
    /// 0 = told.
    interval: i64,
    lines: Vec<(Metric, Vec<Segment>)>,
}

#[derive(Debug)]
struct Segment {
    what: What,
    /// `None`: to the end.
    lasts: Option<i64>,
}

#[derive(Clone, Debug, PartialEq)]
enum What {
    Value(Value),
    Ramp(f64, f64),
    Turns(Value, Value, Option<i64>),
    None,
    Silent,
    Gone,
}

/// How often a told signal may change.
const TOLD: i64 = SECOND;

impl Trace {
    /// Takes one line of a trace.
    ///
    /// # Panics
    /// When it cannot be read.
    pub fn line(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let Some(first) = words.next() else { return };
        if let Some(metric) = Metric::find(first) {
            let segments = words.map(segment).collect();
            let subject = self.subjects.last_mut().unwrap_or_else(|| panic!("no instance above: {line}"));
            assert_eq!(metric.spec().class, subject.instance.class, "{line}");
            return subject.lines.push((metric, segments));
        }
        let class = Class::parse(first).unwrap_or_else(|| panic!("neither class nor signal: {line}"));
        let words: Vec<_> = words.collect();
        let labels: Vec<_> = words.iter().filter_map(|w| w.split_once('=')).collect();
        let interval = match words[labels.len()..] {
            ["told"] => 0,
            ["every", interval] => duration(interval),
            _ => panic!("`told` or `every 10s`: {line}"),
        };
        self.subjects.push(Subject { instance: Instance::of(class, &labels), interval, lines: Vec::new() });
    }

    /// How long it is.
    pub fn lasts(&self) -> i64 {
        let lines = self.subjects.iter().flat_map(|s| &s.lines);
        let ends = lines.map(|(_, segments)| segments.iter().filter_map(|s| s.lasts).sum());
        ends.max().unwrap_or(0)
    }

    /// Whether some signal is missing for a while.
    pub fn has_gap(&self) -> bool {
        let all = self.subjects.iter().flat_map(|s| &s.lines).flat_map(|(_, segments)| segments);
        all.into_iter().any(|s| matches!(s.what, What::None | What::Silent) && s.lasts >= Some(MINUTE))
    }

    /// Whether every signal is told.
    pub fn is_told(&self) -> bool {
        self.subjects.iter().all(|s| s.interval == 0)
    }

    /// What is said `t` ns after the start.
    pub fn at(&self, start: Moment, t: i64) -> Vec<Observation> {
        self.subjects.iter().filter_map(|s| s.at(start, t)).collect()
    }
}

impl Subject {
    fn at(&self, start: Moment, t: i64) -> Option<Observation> {
        let step = if self.interval == 0 { TOLD } else { self.interval };
        if t % step != 0 {
            return None;
        }
        let mut seen = Observation::new(start.plus(t), Arc::clone(&self.instance), self.interval);
        for (metric, segments) in &self.lines {
            let now = find(segments, t, step);
            if self.interval == 0 && t > 0 && find(segments, t - step, step) == now {
                continue;
            }
            match now {
                What::Gone => seen.gone = true,
                What::None => seen.samples.push((*metric, None)),
                What::Value(value) => seen.samples.push((*metric, Some(value))),
                _ => {}
            }
        }
        (seen.gone || !seen.samples.is_empty()).then_some(seen)
    }
}

/// What a signal says at `t`, as a plain value, `None`, `Silent` or `Gone`.
fn find(segments: &[Segment], t: i64, step: i64) -> What {
    let mut from = 0;
    for segment in segments {
        let end = segment.lasts.map_or(i64::MAX, |lasts| from + lasts);
        if t < end {
            return segment.what.at(t - from, segment.lasts, step);
        }
        from = end;
    }
    segments.last().map_or(What::Silent, |s| s.what.at(s.lasts.unwrap_or(0), s.lasts, step))
}

impl What {
    fn at(&self, t: i64, lasts: Option<i64>, step: i64) -> What {
        match self {
            What::Ramp(from, to) => {
                What::Value(Value::Num(from + (to - from) * t as f64 / lasts.unwrap_or(1).max(1) as f64))
            }
            What::Turns(a, b, every) => {
                let first = (t / every.unwrap_or(step)) % 2 == 0;
                What::Value(if first { a.clone() } else { b.clone() })
            }
            other => other.clone(),
        }
    }
}

fn segment(text: &str) -> Segment {
    let (what, lasts) = match text.split_once('*') {
        Some((what, lasts)) => (what, Some(duration(lasts))),
        None => (text, None),
    };
    let what = match what {
        "none" => What::None,
        "silent" => What::Silent,
        "gone" => What::Gone,
        _ => match (what.split_once(".."), what.split_once('|')) {
            (Some((from, to)), _) => What::Ramp(number(from), number(to)),
            (_, Some((a, b))) => {
                let (b, every) = b.split_once('/').map_or((b, None), |(b, e)| (b, Some(duration(e))));
                What::Turns(value(a), value(b), every)
            }
            _ => What::Value(value(what)),
        },
    };
    Segment { what, lasts }
}

fn value(text: &str) -> Value {
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ if text.starts_with(|c: char| c.is_ascii_digit()) => Value::Num(number(text)),
        _ => Value::from(text),
    }
}

/// A number with a unit of the condition language; rates are written without `/s`.
fn number(text: &str) -> f64 {
    let unit = text.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(unit);
    let factor = match unit {
        "" => 1.0,
        "%" => 0.01,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        unit => length(unit) as f64 / SECOND as f64,
    };
    digits.parse::<f64>().unwrap_or_else(|_| panic!("no number: {text}")) * factor
}

/// `90s`, `1h30m`.
pub fn duration(text: &str) -> i64 {
    let (mut ns, mut digits, mut unit) = (0, String::new(), String::new());
    for c in text.chars().chain(std::iter::once('0')) {
        if c.is_ascii_digit() && !unit.is_empty() {
            let count: i64 = digits.parse().unwrap_or_else(|_| panic!("no duration: {text}"));
            ns += count * length(&unit);
            (digits, unit) = (String::new(), String::new());
        }
        if c.is_ascii_digit() { digits.push(c) } else { unit.push(c) }
    }
    ns
}

fn length(unit: &str) -> i64 {
    match unit {
        "ms" => SECOND / 1000,
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        "d" => DAY,
        _ => panic!("no unit: {unit}"),
    }
}
