//! Draws when a problem showed itself: one lane per member incident, one mark per opening, on a common time
//! axis.
//!
//! Pure: openings in, SVG text out. Lanes beyond the limit are counted in the last line.

use std::fmt::Write as _;

use super::plot::time_ticks;
use super::words::{escape, tick, utc};
use crate::engine::moment::{SECOND, Stamp};
use crate::engine::record::Member;

const WIDTH: f64 = 1110.0;
const LEFT: f64 = 96.0;
const RIGHT: f64 = 18.0;
const LANE: f64 = 26.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 26.0;
/// Lanes drawn at most: the newest members.
const MAX_LANES: usize = 20;

/// The strip as an `<svg>` element; `None` when no member has an opening.
pub(super) fn strip(members: &[Member], now: Stamp) -> Option<String> {
    let lanes = &members[members.len().saturating_sub(MAX_LANES)..];
    let all = || lanes.iter().flat_map(|m| m.openings.iter());
    let (first, last) = (all().min()?.seconds(), all().max()?.seconds());
    // The time since the last opening belongs to the picture, unless it dwarfs everything before.
    let until = now.seconds().max(last).min(last + (last - first).max(60.0));
    let room = (until - first).max(10.0);
    let (from, to) = (first - room * 0.02, first + room * 1.02);
    let x = |t: f64| LEFT + (t - from) / (to - from) * (WIDTH - LEFT - RIGHT);

    let height = TOP + LANE * lanes.len() as f64 + BOTTOM;
    let count = all().count();
    let label =
        format!("{count} openings of {} incidents since {}", lanes.len(), utc(Stamp((first * 1e9) as i64)));
    let mut svg = format!(
        "<svg class=\"strip\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}\">",
        escape(&label)
    );
    let (ticks, format) = time_ticks(from, to);
    for t in ticks {
        let (x, bottom) = (x(t), height - BOTTOM);
        let at = Stamp((t * SECOND as f64) as i64);
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom:.1}\"/>\
             <text class=\"tick\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" data-tick=\"{}\" \
             data-at=\"{t:.0}\">{}</text>",
            height - 8.0,
            format.name(),
            tick(at, format)
        );
    }
    for (i, member) in lanes.iter().enumerate() {
        let y = TOP + LANE * (i as f64 + 0.5);
        let _ = write!(
            svg,
            "<text class=\"lane-word\" x=\"0\" y=\"{:.1}\">{}</text>\
             <line class=\"lane\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>",
            y + 4.0,
            escape(&member.number.chars().take(12).collect::<String>()),
            WIDTH - RIGHT
        );
        for at in &member.openings {
            let _ = write!(
                svg,
                "<circle class=\"opening\" cx=\"{:.1}\" cy=\"{y:.1}\" r=\"5\">\
                 <title data-at=\"{:.0}\">{}</title></circle>",
                x(at.seconds()),
                at.seconds(),
                utc(*at)
            );
        }
    }
    svg.push_str("</svg>");
    Some(svg)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(number: &str, openings: &[i64]) -> Member {
        let openings = openings.iter().map(|s| Stamp(s * SECOND)).collect();
        Member { incident: "i".to_owned(), number: number.to_owned(), role: "primary".to_owned(), openings }
    }

    #[test]
    fn every_opening_has_its_mark_and_names_are_escaped() {
        let members = [member("INC000001", &[1000, 2000]), member("<b>", &[5000])];
        let svg = strip(&members, Stamp(6000 * SECOND)).unwrap();
        assert_eq!(svg.matches("<circle").count(), 3);
        assert!(svg.contains("INC000001") && svg.contains("&lt;b&gt;") && !svg.contains("<b>"));
    }

    #[test]
    fn without_openings_there_is_no_strip() {
        assert!(strip(&[member("INC000001", &[])], Stamp(0)).is_none());
        assert!(strip(&[member("INC000001", &[7])], Stamp(7 * SECOND)).is_some());
    }
}
