//! Evidence of an incident and its bounds: at most 16 KiB as JSON.
//!
//! When it is too much, the oldest points are thinned first (the shape stays, its distant past gets coarser),
//! then the longest text is cut, with a mark that says so.

use crate::engine::record::{Evidence, Exhibit, Series};

use super::ledger::json;

/// Largest evidence as JSON, in bytes.
pub(super) const EVIDENCE_MAX: usize = 16 * 1024;
/// Series kept; the first ones are those the condition names first.
const SERIES_MAX: usize = 8;
/// Seconds without a point after which a plot shows a gap.
const BREAK_AFTER: f64 = 60.0;
/// Exhibits kept; the oldest are dropped.
const EXHIBITS_MAX: usize = 8;
/// Longest text of one exhibit in bytes.
const TEXT_MAX: usize = 6 * 1024;
/// Longest title of one exhibit in bytes.
const TITLE_MAX: usize = 120;
/// A series is not thinned below this many points while a text can still be cut.
const POINTS_LEAST: usize = 40;

/// Appends the points that are newer than those held; series not held yet are added.
pub(super) fn extend(evidence: &mut Evidence, series: &[Series]) {
    for new in series {
        match evidence.series.iter_mut().find(|s| s.signal == new.signal) {
            Some(held) => {
                let last = held.points.last().map_or(f64::NEG_INFINITY, |(t, _)| *t);
                let mut later = new.points.iter().filter(|(t, _)| *t > last).peekable();
                // What was not kept in between must not look like a line.
                if later.peek().is_some_and(|(t, _)| *t - last > BREAK_AFTER && last.is_finite()) {
                    held.points.push((last + 1.0, None));
                }
                held.points.extend(later);
                held.limit = new.limit.or(held.limit);
            }
            None => evidence.series.push(new.clone()),
        }
    }
    bound(evidence);
}

/// Adds texts; one with the title of a text held takes its place.
pub(super) fn exhibit(evidence: &mut Evidence, exhibits: &[Exhibit]) {
    for new in exhibits {
        evidence.exhibits.retain(|e| e.title != new.title);
        let title = cut(&new.title, TITLE_MAX).to_owned();
        evidence.exhibits.push(Exhibit { title, at: new.at, text: shorten(&new.text, TEXT_MAX) });
    }
    bound(evidence);
}

/// Brings the evidence under its bounds.
fn bound(evidence: &mut Evidence) {
    evidence.series.truncate(SERIES_MAX);
    let surplus = evidence.exhibits.len().saturating_sub(EXHIBITS_MAX);
    evidence.exhibits.drain(..surplus);
    // Every turn removes at least a tenth of something, so that this ends.
    while json(evidence).len() > EVIDENCE_MAX {
        let points = evidence.series.iter_mut().map(|s| &mut s.points).max_by_key(|p| p.len());
        let text = evidence.exhibits.iter_mut().map(|e| &mut e.text).max_by_key(|t| t.len());
        match (points, text) {
            (Some(points), _) if points.len() > POINTS_LEAST => thin(points),
            (_, Some(text)) if text.len() > MARK_LEAST => *text = shorten(text, text.len() * 3 / 4),
            (Some(points), _) if points.len() > 1 => thin(points),
            _ => {
                evidence.series.pop();
                evidence.exhibits.pop();
            }
        }
    }
}

/// Removes every second point of the older half.
fn thin<T>(points: &mut Vec<T>) {
    let half = points.len().div_ceil(2);
    let mut place = 0;
    points.retain(|_| {
        place += 1;
        place > half || place % 2 == 0
    });
}

const MARK: &str = "\n[cut here]";
/// A text this short is not worth cutting.
const MARK_LEAST: usize = 64;

/// The beginning of a text, with a mark, in at most `most` bytes; all of it when it fits.
fn shorten(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let body = text.strip_suffix(MARK).unwrap_or(text);
    format!("{}{MARK}", cut(body, most.saturating_sub(MARK.len())))
}

/// The longest beginning of `text` that has at most `most` bytes and ends between two characters.
pub(super) fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::moment::Stamp;

    fn series(signal: &str, from: i32, to: i32) -> Series {
        let points = (from..to).map(|i| (f64::from(i), Some(f64::from(i) / 7.0))).collect();
        Series { signal: signal.to_owned(), unit: "number".to_owned(), points, limit: None }
    }

    fn text(title: &str, len: usize) -> Exhibit {
        Exhibit { title: title.to_owned(), at: Stamp(0), text: "ü".repeat(len / 2) }
    }

    #[test]
    fn stays_under_its_limit_whatever_comes() {
        for (points, texts, len) in [(0, 3, 9_000), (5_000, 0, 0), (5_000, 20, 5_000), (300, 2, 800)] {
            let mut evidence = Evidence::default();
            extend(&mut evidence, &[series("a", 0, points), series("b", 0, points / 2)]);
            let exhibits: Vec<_> = (0..texts).map(|i| text(&format!("text {i}"), len)).collect();
            exhibit(&mut evidence, &exhibits);
            let size = json(&evidence).len();
            assert!(size <= EVIDENCE_MAX, "{points} {texts} {len}: {size}");
            assert!(evidence.exhibits.len() <= EXHIBITS_MAX);
            if points > 0 {
                let newest = evidence.series[0].points.last().unwrap().0;
                assert_eq!(newest, f64::from(points - 1), "the newest point is never thinned");
            }
        }
    }

    #[test]
    fn old_points_are_thinned_before_new_ones() {
        let mut evidence = Evidence::default();
        extend(&mut evidence, &[series("a", 0, 1_000)]);
        let points = &evidence.series[0].points;
        let gap = |i: usize| points[i + 1].0 - points[i].0;
        assert!(points.len() < 1_000 && gap(0) > gap(points.len() - 2), "{} points", points.len());
    }

    #[test]
    fn a_text_is_cut_between_characters_and_says_so() {
        let mut evidence = Evidence::default();
        exhibit(&mut evidence, &[text("unit status", 20_000)]);
        let text = &evidence.exhibits[0].text;
        assert!(text.ends_with(MARK) && text.len() <= TEXT_MAX);
        assert_eq!(shorten("short", 10), "short");
    }

    #[test]
    fn points_are_appended_once() {
        let mut evidence = Evidence::default();
        extend(&mut evidence, &[series("a", 0, 10)]);
        extend(&mut evidence, &[series("a", 5, 12), series("b", 0, 1)]);
        assert_eq!(evidence.series[0].points.len(), 12);
        assert_eq!(evidence.series.len(), 2);
    }

    #[test]
    fn what_was_not_kept_in_between_is_a_gap() {
        let mut evidence = Evidence::default();
        extend(&mut evidence, &[series("a", 0, 10)]);
        extend(&mut evidence, &[series("a", 200, 202)]);
        let points = &evidence.series[0].points;
        assert_eq!((points.len(), points[10]), (13, (10.0, None)));
    }
}
