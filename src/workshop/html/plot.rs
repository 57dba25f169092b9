//! One plot as inline SVG: the first signal of a rule with its limits, when it was raised, and the labelled
//! windows.

use std::fmt::{self, Write};

use super::{day, escape};
use crate::engine::cond::human;
use crate::engine::moment::Stamp;
use crate::engine::plan::Rule;
use crate::engine::signal::{Base, Class, Metric};
use crate::workshop::labels::Window;
use crate::workshop::picture::{Limit, limits};
use crate::workshop::play::Level;
use crate::workshop::replay::{Host, is_about};
use crate::workshop::source::{Column, Track};
use crate::workshop::span::Span;

/// The drawing in SVG units.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 170.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 92.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 40.0;
/// Columns that points are joined in.
const COLUMNS: usize = 840;

struct Frame {
    from: i64,
    to: i64,
    low: f64,
    high: f64,
}

impl Frame {
    fn x(&self, at: i64) -> f64 {
        let share = (at - self.from) as f64 / (self.to - self.from).max(1) as f64;
        LEFT + share.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        let share = (value - self.low) / (self.high - self.low);
        HEIGHT - BOTTOM - share.clamp(0.0, 1.0) * (HEIGHT - BOTTOM - TOP)
    }
}

/// Draws one instance of a rule on a host.
pub fn draw(
    rule: &Rule,
    host: &Host,
    instance: &str,
    spans: &[Span],
    labels: &[Window],
    period: (i64, i64),
    out: &mut String,
) -> fmt::Result {
    let own: Vec<&Span> = spans.iter().filter(|s| s.rule == rule.id && s.instance == instance).collect();
    let Some((metric, track, values)) = series(rule, host, instance) else { return Ok(()) };
    let ends =
        (track.times.first().copied().unwrap_or(period.0), track.times.last().copied().unwrap_or(period.1));
    let limits: Vec<Limit> =
        if metric.spec().ty.base == Base::Bool { Vec::new() } else { limits(rule, metric) };
    let shown = values.iter().copied().filter(|v| v.is_finite()).chain(limits.iter().map(|l| l.value));
    let (low, high) = shown.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
    let (low, high) = if low < high {
        (if low > 0.0 && low < high / 2.0 { 0.0 } else { low }, high)
    } else {
        (low - 1.0, low + 1.0)
    };
    let frame = Frame { from: ends.0, to: ends.1, low, high };
    let name = if host.name.is_empty() { String::new() } else { format!(" on {}", escape(&host.name)) };
    let raises =
        if own.len() == 1 { "raised once".to_owned() } else { format!("raised {} times", own.len()) };
    writeln!(
        out,
        "<figure><figcaption><b>{}</b> of {}{name}: {raises}</figcaption>",
        metric.name(),
        escape(instance)
    )?;
    writeln!(
        out,
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{} of {}\">",
        metric.name(),
        escape(instance)
    )?;
    axes(&frame, metric, out)?;
    for span in &own {
        raised(&frame, span, out)?;
    }
    for (i, limit) in limits.iter().enumerate() {
        let above = limits[..i].iter().any(|l| (frame.y(l.value) - frame.y(limit.value)).abs() < 11.0);
        draw_limit(&frame, limit, metric, !above, out)?;
    }
    writeln!(out, "<path class=\"line\" d=\"{}\"/>", path(&frame, track, values))?;
    for recorded in host.series.iter().filter(|s| std::ptr::eq(&*s.track, track)) {
        for window in labels.iter().filter(|w| is_about(w, recorded, Some(rule))) {
            let (a, b) = (frame.x(window.from), frame.x(window.to));
            let (y, width) = (HEIGHT - BOTTOM + 11.0, (b - a).max(2.0));
            let title = format!("labelled {} to {}", day(Stamp(window.from)), day(Stamp(window.to)));
            writeln!(
                out,
                "<rect class=\"window\" x=\"{a:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"5\"><title>{title}</title></rect>"
            )?;
        }
    }
    writeln!(out, "</svg></figure>")
}

/// Whose signal is drawn for an instance of a rule, and which.
pub fn curve(rule: &Rule, host: &Host, instance: &str) -> Option<(String, Metric)> {
    series(rule, host, instance).map(|(metric, track, _)| (track.instance.key().to_owned(), metric))
}

/// The first signal of the rule with numbers, its track and its values.
fn series<'h>(rule: &Rule, host: &'h Host, instance: &str) -> Option<(Metric, &'h Track, &'h [f64])> {
    let metrics = rule.steps.iter().flat_map(|s| s.raise.metrics());
    metrics.copied().find_map(|metric| {
        let owner = if metric.spec().class == rule.class { instance } else { Class::Host.name() };
        let tracks = host.series.iter().map(|s| &*s.track).filter(|t| t.instance.key() == owner);
        tracks.into_iter().find_map(|track| match track.columns.iter().find(|(m, _)| *m == metric) {
            Some((_, Column::Numbers(values))) => Some((metric, track, values.as_slice())),
            _ => None,
        })
    })
}

fn axes(frame: &Frame, metric: Metric, out: &mut String) -> fmt::Result {
    let right = WIDTH - RIGHT;
    for i in 0..=2 {
        let value = frame.low + (frame.high - frame.low) * f64::from(i) / 2.0;
        let (y, text) = (frame.y(value), escape(&human(value, metric.spec().ty)));
        writeln!(out, "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>")?;
        writeln!(out, "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>", LEFT - 6.0, y + 4.0)?;
    }
    for i in 0..=6 {
        let at = frame.from + ((frame.to - frame.from) as f64 * f64::from(i) / 6.0) as i64;
        let (x, text) = (frame.x(at), day(Stamp(at)));
        let anchor = match i {
            0 => "start",
            6 => "end",
            _ => "middle",
        };
        let shown = text.get(5..).unwrap_or(&text);
        writeln!(out, "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"{anchor}\">{shown}</text>", HEIGHT - 6.0)?;
    }
    Ok(())
}

fn raised(frame: &Frame, span: &Span, out: &mut String) -> fmt::Result {
    let (a, b) = (frame.x(span.from.0), frame.x(span.to.0));
    let (class, width) = (Level::Raised(span.severity), (b - a).max(1.5));
    let end = if span.ended { day(span.to) } else { "the end".to_owned() };
    let title = format!("{class} {} to {end}, {}", day(span.from), super::span(span.length() as f64 / 1e9));
    let (height, base) = (HEIGHT - BOTTOM - TOP, HEIGHT - BOTTOM + 3.0);
    writeln!(
        out,
        "<rect class=\"raised {class}\" x=\"{a:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{height}\"/>"
    )?;
    writeln!(
        out,
        "<rect class=\"band {class}\" x=\"{a:.1}\" y=\"{base}\" width=\"{width:.1}\" height=\"6\"><title>{title}</title></rect>"
    )
}

fn draw_limit(frame: &Frame, limit: &Limit, metric: Metric, named: bool, out: &mut String) -> fmt::Result {
    let (y, right) = (frame.y(limit.value), WIDTH - RIGHT);
    writeln!(
        out,
        "<line class=\"limit {}\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>",
        limit.level
    )?;
    if !named {
        return Ok(());
    }
    let what = if limit.level == Level::Ok { "clear " } else { "" };
    let text = escape(&format!("{what}{} {}", limit.relation.sign(), human(limit.value, metric.spec().ty)));
    writeln!(out, "<text x=\"{}\" y=\"{:.1}\">{text}</text>", right + 6.0, y + 4.0)
}

/// The curve; many points in one column become its lowest and highest.
fn path(frame: &Frame, track: &Track, values: &[f64]) -> String {
    let mut out = String::new();
    let column = |at: i64| {
        ((at - frame.from) as f64 / (frame.to - frame.from).max(1) as f64 * COLUMNS as f64) as usize
    };
    let mut pen = false;
    let mut last = i64::MIN;
    let points: Vec<(i64, f64)> = track.times.iter().copied().zip(values.iter().copied()).collect();
    for chunk in points.chunk_by(|a, b| column(a.0) == column(b.0)) {
        let known = chunk.iter().filter(|(_, v)| v.is_finite());
        let low = known.clone().min_by(|a, b| a.1.total_cmp(&b.1));
        let high = known.max_by(|a, b| a.1.total_cmp(&b.1));
        let (Some(low), Some(high)) = (low, high) else {
            pen = false;
            continue;
        };
        let (first, second) = if low.0 <= high.0 { (low, high) } else { (high, low) };
        pen &= first.0.saturating_sub(last) <= 3 * track.interval.max(1);
        for point in [first, second].into_iter().take(if first == second { 1 } else { 2 }) {
            let _ =
                write!(out, "{}{:.1} {:.1}", if pen { 'L' } else { 'M' }, frame.x(point.0), frame.y(point.1));
            pen = true;
        }
        last = second.0;
    }
    out
}
