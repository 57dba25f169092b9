//! Plots for a terminal: a series with its limits, and the state of the rule as a band below it.
//!
//! Everything is told by shape, colour only helps: limits are dashed and labelled, states are shades. Width
//! is given; without Unicode plain characters stand in. It must not know where a picture comes from.

use super::picture::{Band, Curve, Limit, Picture};
use super::play::Level;
use crate::engine::cond::human;
use crate::engine::moment::{DAY, HOUR, MINUTE, SECOND, human as duration};
use crate::engine::record::Severity;
use crate::engine::signal::{Base, Type};

/// How to draw.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Columns of the terminal.
    pub width: usize,
    /// ANSI colours.
    pub colour: bool,
    /// Dots and shades; else plain ASCII.
    pub unicode: bool,
}

/// Rows of a curve when it stands alone, and when there are several.
const ROWS: [usize; 2] = [9, 7];
/// Columns left of the drawing, for the scale.
const LEFT: usize = 12;
/// Columns right of it, for the names of limits.
const RIGHT: usize = 14;
/// Narrowest and widest drawing, in columns.
const WIDTH: std::ops::RangeInclusive<usize> = 20..=160;

/// Columns of the drawing itself on a terminal of that width.
pub fn columns(width: usize) -> usize {
    width.saturating_sub(LEFT + RIGHT).clamp(*WIDTH.start(), *WIDTH.end())
}

/// The picture as lines of text, each with its line end.
pub fn draw(picture: &Picture, style: Style) -> String {
    let columns = columns(style.width);
    let frame = Frame { picture, style, columns };
    let mut out = String::new();
    let rows = ROWS[usize::from(picture.curves.len() > 1)];
    for (i, curve) in picture.curves.iter().enumerate() {
        if i > 0 {
            out.push('\n');
        }
        frame.curve(curve, rows, &mut out);
    }
    frame.band(&mut out);
    frame.marks(&mut out);
    frame.ticks(&mut out);
    out
}

struct Frame<'a> {
    picture: &'a Picture,
    style: Style,
    columns: usize,
}

/// Lower and upper end of a scale.
struct Scale {
    low: f64,
    high: f64,
}

impl Frame<'_> {
    fn paint(&self, code: &str, text: &str) -> String {
        if self.style.colour && !text.trim().is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn line(&self, left: &str, edge: char, body: &str, right: &str, out: &mut String) {
        let gap = LEFT.saturating_sub(3);
        let text = format!("{left:>gap$} {edge} {body}  {right}");
        out.push_str(text.trim_end());
        out.push('\n');
    }

    fn curve(&self, curve: &Curve, rows: usize, out: &mut String) {
        let ty = curve.metric.spec().ty;
        let title = format!("{} of {}", curve.metric.name(), self.picture.instance);
        out.push_str(&format!("{:>gap$}   {}\n", "", self.paint("1", &title), gap = LEFT - 3));
        let scale = Scale::of(curve);
        let mut canvas = Canvas::new(self.columns, rows, self.style.unicode);
        canvas.curve(curve, self.picture, &scale);
        let row_of = |value: f64| {
            let share = ((value - scale.low) / (scale.high - scale.low)).clamp(0.0, 1.0);
            rows - 1 - (share * (rows - 1) as f64).round() as usize
        };
        let labelled = [0, rows / 2, rows - 1];
        for row in 0..rows {
            let limits: Vec<&Limit> = curve.limits.iter().filter(|l| row_of(l.value) == row).collect();
            let value = scale.high - (scale.high - scale.low) * row as f64 / (rows - 1) as f64;
            let left = if labelled.contains(&row) { human(value, ty) } else { String::new() };
            let edge = match (self.style.unicode, left.is_empty()) {
                (true, false) => '┤',
                (true, true) => '│',
                (false, _) => '|',
            };
            let code = limits.iter().map(|l| l.level).max().map(limit_colour);
            let body = self.row(&canvas.row(row), code);
            let right = self.paint(code.unwrap_or("0"), &names(&limits, ty));
            self.line(&left, edge, &body, &right, out);
        }
    }

    /// A row of a curve; where the curve is not, a limit is dashed through.
    fn row(&self, cells: &[char], limit: Option<&'static str>) -> String {
        let dash = if self.style.unicode { '┄' } else { '-' };
        let mut out = String::new();
        let mut at = 0;
        while at < cells.len() {
            let is_free = cells[at] == ' ';
            let end = cells[at..].iter().position(|c| (*c == ' ') != is_free).map_or(cells.len(), |n| at + n);
            let run: String = match (is_free, limit) {
                (true, Some(_)) => std::iter::repeat_n(dash, end - at).collect(),
                _ => cells[at..end].iter().collect(),
            };
            out.push_str(&self.paint(if is_free { limit.unwrap_or("0") } else { "36" }, &run));
            at = end;
        }
        out
    }

    fn band(&self, out: &mut String) {
        let shades = |band: Band| match (band, self.style.unicode) {
            (Band::Absent, _) => (' ', "0", ""),
            (Band::Ok, true) => ('─', "32", "ok"),
            (Band::Ok, false) => ('.', "32", "ok"),
            (Band::Unknown, _) => ('?', "35", "unknown"),
            (Band::Pending, true) => ('░', "33", "pending"),
            (Band::Pending, false) => ('p', "33", "pending"),
            (Band::Raised(Severity::Info), true) => ('▒', "34", "info"),
            (Band::Raised(Severity::Info), false) => ('i', "34", "info"),
            (Band::Raised(Severity::Warning), true) => ('▓', "33", "warning"),
            (Band::Raised(Severity::Warning), false) => ('w', "33", "warning"),
            (Band::Raised(Severity::Critical), true) => ('█', "31", "critical"),
            (Band::Raised(Severity::Critical), false) => ('C', "31", "critical"),
        };
        let mut body = String::new();
        let mut seen: Vec<Band> = Vec::new();
        for run in self.picture.band.chunk_by(|a, b| a == b) {
            let (shade, code, _) = shades(run[0]);
            body.push_str(&self.paint(code, &std::iter::repeat_n(shade, run.len()).collect::<String>()));
            if !seen.contains(&run[0]) && run[0] != Band::Absent {
                seen.push(run[0]);
            }
        }
        self.line("state", ' ', &body, "", out);
        seen.sort();
        let legend = |band: &Band| {
            let (shade, code, name) = shades(*band);
            format!("{} {name}", self.paint(code, &format!("{shade}{shade}")))
        };
        let legend: Vec<_> = seen.iter().map(legend).collect();
        self.line("", ' ', &legend.join("   "), "", out);
    }

    fn marks(&self, out: &mut String) {
        if self.picture.marks.is_empty() {
            return;
        }
        let mut cells = vec![None; self.columns];
        for (at, holds) in &self.picture.marks {
            let cell = &mut cells[self.column(*at)];
            *cell = Some(cell.unwrap_or(true) && *holds);
        }
        let (good, bad) = if self.style.unicode { ("✓", "✗") } else { ("^", "X") };
        let mark = |cell: &Option<bool>| match cell {
            None => " ".to_owned(),
            Some(true) => self.paint("32", good),
            Some(false) => self.paint("1;31", bad),
        };
        let body: String = cells.iter().map(mark).collect();
        self.line("expected", ' ', &body, "", out);
    }

    /// Times since the start at round distances.
    fn ticks(&self, out: &mut String) {
        const STEPS: [i64; 19] = [
            SECOND,
            5 * SECOND,
            10 * SECOND,
            30 * SECOND,
            MINUTE,
            2 * MINUTE,
            5 * MINUTE,
            10 * MINUTE,
            15 * MINUTE,
            30 * MINUTE,
            HOUR,
            2 * HOUR,
            3 * HOUR,
            6 * HOUR,
            12 * HOUR,
            DAY,
            2 * DAY,
            7 * DAY,
            28 * DAY,
        ];
        let span = (self.picture.to - self.picture.from).max(1);
        let most = (self.columns / 10).max(2) as i64;
        let step = STEPS.into_iter().find(|s| span / s <= most).unwrap_or(span / most);
        let mut body = vec![' '; self.columns + 8];
        let mut free = 0;
        for at in (0..=span).step_by(step as usize) {
            let (column, text) = (self.column(self.picture.from + at), duration(at));
            if column >= free {
                text.chars().enumerate().for_each(|(i, c)| {
                    if let Some(cell) = body.get_mut(column + i) {
                        *cell = c;
                    }
                });
                free = column + text.chars().count() + 1;
            }
        }
        let body: String = body.into_iter().collect();
        self.line("", ' ', &self.paint("2", body.trim_end()), "", out);
    }

    fn column(&self, at: i64) -> usize {
        column_of(at, self.picture, self.columns)
    }
}

fn column_of(at: i64, picture: &Picture, columns: usize) -> usize {
    let share = (at - picture.from) as f64 / (picture.to - picture.from).max(1) as f64;
    ((share * columns as f64) as usize).min(columns - 1)
}

fn limit_colour(level: Level) -> &'static str {
    match level {
        Level::Ok => "2;32",
        Level::Raised(Severity::Critical) => "31",
        Level::Raised(_) => "33",
    }
}

/// The names of the limits in one row, as many as fit; those that raise come first.
fn names(limits: &[&Limit], ty: Type) -> String {
    let mut text = String::new();
    for name in limits.iter().map(|l| limit_name(l, ty)) {
        if text.is_empty() {
            text = name;
        } else if text.chars().count() + 2 + name.chars().count() <= RIGHT - 2 {
            text = format!("{text}, {name}");
        }
    }
    text
}

/// `> 85 %`, or `clear < 80 %`.
fn limit_name(limit: &Limit, ty: Type) -> String {
    let what = if limit.level == Level::Ok { "clear " } else { "" };
    format!("{what}{} {}", limit.relation.sign(), human(limit.value, ty))
}

impl Scale {
    /// Around all points and limits; shares that come near them end at 0 % or 100 %.
    fn of(curve: &Curve) -> Self {
        let values = curve.points.iter().map(|(_, v)| *v).chain(curve.limits.iter().map(|l| l.value));
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
        if !low.is_finite() {
            return Self { low: 0.0, high: 1.0 };
        }
        let span = high - low;
        if span <= f64::EPSILON * high.abs() {
            let room = if high == 0.0 { 1.0 } else { high.abs() / 10.0 };
            return Self { low: if low == 0.0 { 0.0 } else { low - room }, high: high + room };
        }
        if curve.metric.spec().ty.base == Base::Ratio {
            let step = if span > 0.3 { 0.1 } else { 0.05 };
            let high = if high <= 1.0 { ((high / step - 1e-9).ceil() * step).min(1.0) } else { high };
            return Self { low: ((low / step + 1e-9).floor() * step).max(0.0).min(low), high };
        }
        let low = if low > 0.0 && low < span { 0.0 } else { low };
        Self { low, high }
    }
}

/// Dots: two by four in a cell with Unicode, else one.
struct Canvas {
    columns: usize,
    rows: usize,
    unicode: bool,
    dots: Vec<u8>,
}

impl Canvas {
    fn new(columns: usize, rows: usize, unicode: bool) -> Self {
        Self { columns, rows, unicode, dots: vec![0; columns * rows] }
    }

    /// Dots in a cell, across and down.
    fn fine(&self) -> (usize, usize) {
        if self.unicode { (2, 4) } else { (1, 1) }
    }

    fn curve(&mut self, curve: &Curve, picture: &Picture, scale: &Scale) {
        let (across, down) = self.fine();
        let (width, height) = (self.columns * across, self.rows * down);
        let place = |(at, value): (i64, f64)| {
            let x = column_of(at, picture, width);
            let share = ((value - scale.low) / (scale.high - scale.low)).clamp(0.0, 1.0);
            (x, height - 1 - (share * (height - 1) as f64).round() as usize)
        };
        let mut last: Option<(i64, (usize, usize))> = None;
        for point in &curve.points {
            let (x, y) = place(*point);
            match last {
                // A gap stays one.
                Some((at, from)) if point.0 - at <= curve.interval + curve.interval / 2 => {
                    self.stroke(from, (x, y))
                }
                _ => self.dot(x, y),
            }
            last = Some((point.0, (x, y)));
        }
    }

    fn stroke(&mut self, from: (usize, usize), to: (usize, usize)) {
        let (dx, dy) = (to.0 as f64 - from.0 as f64, to.1 as f64 - from.1 as f64);
        let steps = dx.abs().max(dy.abs()).max(1.0) as usize;
        for i in 0..=steps {
            let share = i as f64 / steps as f64;
            let (x, y) = (from.0 as f64 + dx * share, from.1 as f64 + dy * share);
            self.dot(x.round() as usize, y.round() as usize);
        }
    }

    fn dot(&mut self, x: usize, y: usize) {
        /// Bits of a braille cell by row and column.
        const BITS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];
        let (across, down) = self.fine();
        if let Some(cell) = self.dots.get_mut(y / down * self.columns + x / across) {
            *cell |= BITS[y % down][x % across];
        }
    }

    fn row(&self, row: usize) -> Vec<char> {
        let cells = &self.dots[row * self.columns..(row + 1) * self.columns];
        let cell = |bits: &u8| match (*bits, self.unicode) {
            (0, _) => ' ',
            (bits, true) => char::from_u32(0x2800 + u32::from(bits)).unwrap_or('*'),
            (_, false) => '*',
        };
        cells.iter().map(cell).collect()
    }
}
