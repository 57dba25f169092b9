//! Plain limits and what people do to make them bearable, as rules in our language.
//!
//! The limit is the largest but a two-hundredth of the first 15 % of a series: what someone would set who has
//! looked at it for a while. `back` lies seven tenths of the way from the median to it, `far` half as much
//! beyond. Each policy adds one thing to the one before; the last two raise in another way.

use std::fmt::Write;

use super::data::{SIGNAL, Series};
use sexton::engine::moment::SECOND;

/// Each policy: id, what it does in words, incidents and windows hit: those that a plain count over the
/// samples gives too, but for `two`, where six samples across a gap make one incident more.
pub const POLICIES: [(&str, &str, usize, usize); 6] = [
    ("plain", "limit", 716, 51),
    ("band", "+ clears lower", 515, 51),
    ("keep", "+ clear held for 6 samples", 317, 51),
    ("reopen", "+ reopened within 4 h", 157, 51),
    ("two", "2 of 6 samples, or half as much again at once", 87, 46),
    ("strict", "held for 3 samples (strict `for`)", 19, 14),
];

/// The rules of all policies for one series.
pub fn rules(series: &Series) -> String {
    let mut learnt: Vec<f64> = series.values[..series.values.len() * 15 / 100].to_vec();
    learnt.sort_by(f64::total_cmp);
    let limit = learnt[learnt.len() * 995 / 1000];
    let middle = learnt[learnt.len() / 2];
    let (back, far) = (middle + 0.7 * (limit - middle), middle + 1.5 * (limit - middle));
    let step = series.step / SECOND;
    // A wait of six steps ends just before the seventh sample: a second more asks that one too.
    let keep = 6 * step + 1;
    let for_ = 3 * step + 1;
    // A resolve is dated back to the beginning of the clear: the same gap is longer by that.
    let reopen = 4 * 3600 + 6 * step;
    let over = format!("{SIGNAL} > {limit:?}");
    let two = format!("count({over}, {}s) >= 2 or {SIGNAL} > {far:?}", 6 * step);
    // Flapping would hold incidents open: it is not a part of these policies.
    let mut text = "[correlate]\nflap_half_life = \"1s\"\n".to_owned();
    for (id, raise, clear, for_, keep, reopen) in [
        ("plain", &over, limit, 0, 0, 0),
        ("band", &over, back, 0, 0, 0),
        ("keep", &over, back, 0, keep, 0),
        ("reopen", &over, back, 0, keep, reopen),
        ("two", &two, back, 0, keep, reopen),
        ("strict", &over, back, for_, keep, reopen),
    ] {
        let _ = writeln!(
            text,
            "[[rule]]\nid = \"{id}\"\non = \"host\"\nraise = \"{raise}\"\nclear = \"{SIGNAL} <= {clear:?}\"\n\
             for = \"{for_}s\"\nkeep = \"{keep}s\"\nreopen = \"{reopen}s\"\nstale = \"400d\"\nmin_coverage = \"1%\""
        );
    }
    text
}
