//! Draws a series around the breach as SVG: axis labels with units, the limit, and when it broke, was raised
//! and resolved.
//!
//! Pure: a series and stamps in, text out. Colours come from the style sheet by class, so that light and dark
//! follow the reader; nothing relies on colour alone. Anything a host may send is drawable: no points, one
//! point, huge values, gaps.

use std::fmt::Write as _;

use super::words::{Scale, TickFormat, escape, quantity, tick, trimmed};
use crate::engine::moment::{SECOND, Stamp};
use crate::engine::record::Series;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 232.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 36.0;
const BOTTOM: f64 = 26.0;
/// Points drawn at most; of a longer series the newest are.
const MAX_POINTS: usize = 4_000;

/// A vertical line with a word.
#[derive(Clone, Debug)]
pub(super) struct Marker {
    /// Where.
    pub at: Stamp,
    /// `breach`, `raised`, `resolved`.
    pub word: &'static str,
}

/// The plot as an `<svg>` element; `None` when there is nothing to draw.
pub(super) fn plot(series: &Series, markers: &[Marker]) -> Option<String> {
    let start = series.points.len().saturating_sub(MAX_POINTS);
    let points = &series.points[start..];
    let frame = Frame::around(series, points, markers)?;
    let mut svg = format!(
        "<svg class=\"plot\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
        escape(&caption(series)?)
    );
    frame.y_axis(&mut svg);
    frame.x_axis(&mut svg);
    frame.trouble(&mut svg, markers);
    frame.line(&mut svg, points);
    frame.limit(&mut svg, series.limit);
    frame.markers(&mut svg, markers);
    svg.push_str("</svg>");
    Some(svg)
}

/// The series in one sentence, for those who do not see the plot, and below it.
pub(super) fn caption(series: &Series) -> Option<String> {
    let values = || series.points.iter().filter_map(|p| p.1).filter(|v| v.is_finite());
    let last = values().next_back()?;
    let (least, most) = values().fold((last, last), |(a, b), v| (a.min(v), b.max(v)));
    let said = |v| said(series, v);
    let limit = series.limit.map(|l| format!(", limit {}", said(l))).unwrap_or_default();
    if series.unit == "bool" {
        return Some(format!("{}: last {}{limit}", series.signal, said(last)));
    }
    let (signal, least, most, last) = (&series.signal, said(least), said(most), said(last));
    Some(format!("{signal}: least {least}, most {most}, last {last}{limit}"))
}

fn said(series: &Series, value: f64) -> String {
    if series.unit == "bool" {
        truth(&series.signal, value >= 0.5).to_owned()
    } else {
        quantity(value, &series.unit)
    }
}

/// A truth in the words of its signal.
fn truth(signal: &str, value: bool) -> &'static str {
    let words = match signal.rsplit('.').next().unwrap_or_default() {
        "up" => ["down", "up"],
        "active" => ["inactive", "active"],
        "ok" => ["not ok", "ok"],
        "readonly" => ["writable", "read-only"],
        "hung" => ["answers", "hung"],
        _ => ["no", "yes"],
    };
    words[usize::from(value)]
}

/// Where values and times land on the paper.
struct Frame<'a> {
    series: &'a Series,
    from: f64,
    to: f64,
    low: f64,
    high: f64,
    ticks: Vec<f64>,
}

impl<'a> Frame<'a> {
    fn around(series: &'a Series, points: &[(f64, Option<f64>)], markers: &[Marker]) -> Option<Frame<'a>> {
        let times = points.iter().map(|p| p.0).filter(|t| t.is_finite());
        let (mut from, mut to) = bounds(times)?;
        // A marker just outside widens the plot; one far away (resolved hours later) does not squeeze it.
        let room = (to - from).max(60.0);
        for at in markers.iter().map(|m| m.at.seconds()) {
            if at < from && from - at <= room * 0.5 {
                from = at;
            }
            if at > to && at - to <= room * 0.5 {
                to = at;
            }
        }
        if to - from < 1.0 {
            (from, to) = (from - 30.0, to + 30.0);
        }
        let values = points.iter().filter_map(|p| p.1).filter(|v| v.is_finite());
        let (low, high) = bounds(values.chain(series.limit.filter(|l| l.is_finite())))?;
        let (low, high, ticks) = value_axis(low, high, &series.unit);
        Some(Frame { series, from, to, low, high, ticks })
    }

    fn x(&self, t: f64) -> f64 {
        LEFT + (t - self.from) / (self.to - self.from) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, v: f64) -> f64 {
        let share = ((v - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
    }

    fn y_axis(&self, svg: &mut String) {
        let unit = self.series.unit.strip_suffix("/s").unwrap_or(&self.series.unit);
        let per = if self.series.unit.ends_with("/s") { "/s" } else { "" };
        let scale = Scale::of(self.low.abs().max(self.high.abs()), unit);
        let step = self.ticks.get(1).map_or(1.0, |t| t - self.ticks[0]) / scale.factor;
        // As many digits as tell two neighbouring ticks apart exactly.
        let exact = |d: &usize| (step * 10f64.powi(*d as i32)).fract().abs() < 1e-6;
        let digits = (0..6).find(exact).unwrap_or(6);
        for &value in &self.ticks {
            let y = self.y(value);
            let label = if unit == "bool" {
                truth(&self.series.signal, value >= 0.5).to_owned()
            } else {
                let number = trimmed(value / scale.factor, digits);
                if scale.name.is_empty() {
                    format!("{number}{per}")
                } else {
                    format!("{number} {}{per}", scale.name)
                }
            };
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 8.0,
                y + 4.0,
                escape(&label)
            );
        }
    }

    fn x_axis(&self, svg: &mut String) {
        let (ticks, format) = time_ticks(self.from, self.to);
        for t in ticks {
            let (x, at) = (self.x(t), Stamp((t * SECOND as f64) as i64));
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/>\
                 <text class=\"tick\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" data-tick=\"{}\" \
                 data-at=\"{t:.0}\">{}</text>",
                HEIGHT - BOTTOM,
                HEIGHT - BOTTOM + 4.0,
                HEIGHT - 8.0,
                format.name(),
                tick(at, format)
            );
        }
    }

    /// Shades the time from breach to resolve, or to the end while it lasts.
    fn trouble(&self, svg: &mut String, markers: &[Marker]) {
        let at = |word| markers.iter().find(|m| m.word == word).map(|m| m.at.seconds());
        let Some(breach) = at("breach") else { return };
        let (from, to) = (breach.max(self.from), at("resolved").unwrap_or(self.to).min(self.to));
        if to > from {
            let (x, width) = (self.x(from), self.x(to) - self.x(from));
            let height = HEIGHT - TOP - BOTTOM;
            let _ = write!(
                svg,
                "<rect class=\"trouble\" x=\"{x:.1}\" y=\"{TOP}\" width=\"{width:.1}\" \
                 height=\"{height:.1}\"/>"
            );
        }
    }

    fn line(&self, svg: &mut String, points: &[(f64, Option<f64>)]) {
        let steps = self.series.unit == "bool";
        let (mut path, mut area) = (String::new(), String::new());
        let floor = HEIGHT - BOTTOM;
        for run in points.split(|p| !p.0.is_finite() || !p.1.is_some_and(f64::is_finite)) {
            let mut before: Option<(f64, f64)> = None;
            let mut body = String::new();
            for (t, v) in run.iter().filter_map(|p| p.1.map(|v| (p.0, v))) {
                let (x, y) = (self.x(t), self.y(v));
                match before {
                    None => {
                        let _ = write!(body, "{x:.1} {y:.1}");
                    }
                    Some((_, last)) if steps => {
                        let _ = write!(body, "L{x:.1} {last:.1}L{x:.1} {y:.1}");
                    }
                    Some(_) => {
                        let _ = write!(body, "L{x:.1} {y:.1}");
                    }
                }
                before = Some((x, y));
            }
            let (Some((end, _)), Some(first)) = (before, run.first()) else { continue };
            let start = self.x(first.0);
            if run.len() == 1 {
                // A lone sample between two gaps would be invisible as a line.
                let _ = write!(path, "M{body}h0.01");
            } else {
                let _ = write!(path, "M{body}");
                let _ = write!(area, "M{start:.1} {floor:.1}L{body}L{end:.1} {floor:.1}Z");
            }
        }
        let _ = write!(svg, "<path class=\"area\" d=\"{area}\"/><path class=\"line\" d=\"{path}\"/>");
    }

    fn limit(&self, svg: &mut String, limit: Option<f64>) {
        let Some(limit) = limit.filter(|l| l.is_finite()) else { return };
        let y = self.y(limit);
        // Above the line, unless that is where the markers' words are.
        let text = if y - TOP < 14.0 { y + 13.0 } else { y - 5.0 };
        let _ = write!(
            svg,
            "<line class=\"limit\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text class=\"limit-word\" x=\"{:.1}\" y=\"{text:.1}\">limit {}</text>",
            WIDTH - RIGHT,
            LEFT + 6.0,
            escape(&said(self.series, limit))
        );
    }

    /// Words stand above the plot, on a second row where they would touch the one before.
    fn markers(&self, svg: &mut String, markers: &[Marker]) {
        let mut ends = [f64::MIN; 2];
        for marker in markers {
            let at = marker.at.seconds();
            if at < self.from || at > self.to {
                continue;
            }
            let x = self.x(at);
            let length = marker.word.len() as f64 * 6.6 + 10.0;
            let (anchor, from) = if x + length > WIDTH { ("end", x - length) } else { ("start", x) };
            let row = usize::from(from < ends[0]);
            ends[row] = from + length;
            let (y, word) = (14.0 + row as f64 * 14.0, marker.word);
            let shift = if anchor == "end" { -4.0 } else { 4.0 };
            let _ = write!(
                svg,
                "<line class=\"mark mark-{word}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/>\
                 <text class=\"mark-word\" x=\"{:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{word}</text>",
                y - 10.0,
                HEIGHT - BOTTOM,
                x + shift
            );
        }
    }
}

fn bounds(mut values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let first = values.next()?;
    Some(values.fold((first, first), |(a, b), v| (a.min(v), b.max(v))))
}

/// The span of the value axis and its ticks: round numbers in the unit that suits, zero included unless it is
/// far away.
fn value_axis(low: f64, high: f64, unit: &str) -> (f64, f64, Vec<f64>) {
    let base = unit.strip_suffix("/s").unwrap_or(unit);
    if base == "bool" {
        return (-0.15, 1.15, vec![0.0, 1.0]);
    }
    // Keeps every difference finite, whatever was sent.
    let (low, high) = (low.clamp(-1e300, 1e300), high.clamp(-1e300, 1e300));
    let zero = low >= 0.0 && low < high * 0.6;
    let (mut low, mut high) = (if zero { 0.0 } else { low }, high);
    if high - low <= high.abs().max(low.abs()) * 1e-6 {
        let pad = if high == 0.0 { 1.0 } else { high.abs() * 0.05 };
        (low, high) = (if low >= 0.0 { (low - pad).max(0.0) } else { low - pad }, high + pad);
    }
    let scale = Scale::of(low.abs().max(high.abs()), base).factor;
    let step = nice_step((high - low) / scale / 3.6) * scale;
    let first = (low / step).floor() * step;
    // A share never needs an axis beyond the whole.
    let last = if base == "ratio" && high <= 1.0 {
        ((high / step).ceil() * step).min(1.0_f64.max(first + step))
    } else {
        (high / step).ceil() * step
    };
    let count = ((last - first) / step).round().clamp(1.0, 12.0) as usize;
    (first, last, (0..=count).map(|i| first + step * i as f64).collect())
}

/// 1, 2 or 5 times a power of ten, not below `rough`.
fn nice_step(rough: f64) -> f64 {
    let power = 10f64.powf(rough.log10().floor());
    let by = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|m| m * power >= rough * 0.999).unwrap_or(10.0);
    by * power
}

/// Round times within the span, about six of them.
pub(super) fn time_ticks(from: f64, to: f64) -> (Vec<f64>, TickFormat) {
    const STEPS: &[f64] = &[
        1.0,
        5.0,
        10.0,
        15.0,
        30.0,
        60.0,
        120.0,
        300.0,
        600.0,
        900.0,
        1800.0,
        3600.0,
        7200.0,
        14_400.0,
        21_600.0,
        43_200.0,
        86_400.0,
        172_800.0,
        604_800.0,
        1_209_600.0,
        2_592_000.0,
        7_776_000.0,
        31_536_000.0,
    ];
    let rough = (to - from) / 7.0;
    // A day's worth of hours as labels tells nothing once a day has passed: then they carry the day as well.
    let step = STEPS.iter().copied().find(|s| *s >= rough).unwrap_or(rough.max(1.0));
    let format = match step {
        s if s < 60.0 => TickFormat::Seconds,
        s if s < 86_400.0 && to - from > 72_000.0 => TickFormat::Hours,
        s if s < 86_400.0 => TickFormat::Minutes,
        _ => TickFormat::Days,
    };
    let first = (from / step).ceil();
    let count = ((to / step).floor() - first).clamp(-1.0, 12.0) as i64;
    ((0..=count).map(|i| (first + i as f64) * step).collect(), format)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(unit: &str, points: Vec<(f64, Option<f64>)>, limit: Option<f64>) -> Series {
        Series { signal: "fs.used".to_owned(), unit: unit.to_owned(), points, limit }
    }

    #[test]
    fn axes_have_round_labels_with_units() {
        let table = [
            (0.80, 0.93, "ratio", vec!["80", "85", "90", "95"]),
            (0.0, 0.93, "ratio", vec!["0", "50", "100"]),
            (0.012, 0.9, "seconds", vec!["0", "0.25", "0.5", "0.75", "1"]),
            (0.0, 3.0e9, "bytes", vec!["0", "1", "2", "3"]),
        ];
        for (low, high, unit, wanted) in table {
            let (from, to, ticks) = value_axis(low, high, unit);
            let scale = Scale::of(from.abs().max(to.abs()), unit).factor;
            let labels: Vec<String> = ticks.iter().map(|t| trimmed(t / scale, 2)).collect();
            assert!(from <= low && to >= high, "{unit}: {from}..{to}");
            assert!(wanted.iter().all(|w| labels.iter().any(|l| l == w)), "{unit}: {labels:?}");
        }
    }

    #[test]
    fn a_gap_breaks_the_line_and_a_lone_sample_still_shows() {
        let points = vec![(0.0, Some(0.1)), (10.0, Some(0.2)), (20.0, None), (30.0, Some(0.3)), (40.0, None)];
        let svg = plot(&series("ratio", points, None), &[]).unwrap();
        let line = svg.split("class=\"line\" d=\"").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!(line.matches('M').count(), 2, "{line}");
        assert!(line.ends_with("h0.01"), "{line}");
    }

    #[test]
    fn anything_a_host_may_send_is_drawn_or_left_out() {
        for points in [
            vec![],
            vec![(0.0, None)],
            vec![(5.0, Some(0.0))],
            vec![(0.0, Some(1e308)), (1.0, Some(-1e308))],
            vec![(1e300, Some(1.0)), (-1e300, Some(2.0))],
            vec![(10.0, Some(1.0)), (0.0, Some(1.0))],
        ] {
            for unit in ["ratio", "bytes", "seconds", "bool", "number/s", "<b>"] {
                let svg = plot(&series(unit, points.clone(), Some(f64::MAX)), &[]);
                if let Some(svg) = svg {
                    assert!(!svg.contains("NaN") && !svg.contains("<b>"), "{unit} {points:?}: {svg}");
                }
            }
        }
    }

    #[test]
    fn the_plot_names_limit_breach_and_resolve() {
        let points = (0..60).map(|i| (f64::from(i) * 10.0, Some(0.8 + f64::from(i) * 0.002))).collect();
        let mark = |s: i64, word| Marker { at: Stamp(s * SECOND), word };
        let marks = [mark(200, "breach"), mark(210, "raised"), mark(500, "resolved")];
        let svg = plot(&series("ratio", points, Some(0.85)), &marks).unwrap();
        for wanted in ["limit 85 %", ">breach<", ">raised<", ">resolved<", "class=\"trouble\"", "90 %"] {
            assert!(svg.contains(wanted), "{wanted}: {svg}");
        }
    }
}
