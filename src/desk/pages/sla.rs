//! The two SLA clocks of an incident as a person reads them: how much is used, what is left, met, missed or
//! standing still.

use serde::Serialize;

use super::words::coarse;
use crate::engine::moment::{SECOND, Stamp};
use crate::engine::record::{Incident, SlaClock};

/// A share of the target from which on a clock warns, as the timeline does.
const WARN: f64 = 0.75;

/// One clock, ready for the page.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct SlaView {
    /// `ok`, `warn`, `breached`, `paused` while it runs or stands; `met`, `late`, `none` when it is decided.
    pub state: &'static str,
    /// Used share of the target in percent, 0..100.
    pub share: u8,
    /// What is left, in words.
    pub text: String,
    /// Target, in words.
    pub target: String,
    /// When it is due, nanoseconds UTC.
    pub due: i64,
}

/// Time to acknowledge and time to restore.
pub(super) fn clocks(incident: &Incident, now: Stamp) -> (SlaView, SlaView) {
    let over = !incident.state.is_open();
    let paused = incident.sla.paused_since;
    (view(&incident.sla.respond, None, over, now), view(&incident.sla.resolve, paused, over, now))
}

fn view(clock: &SlaClock, paused: Option<Stamp>, over: bool, now: Stamp) -> SlaView {
    let target = (clock.target.clamp(0.0, 1e9) * SECOND as f64) as i64;
    let at = clock.met_at.or(paused).unwrap_or(now);
    let left = clock.due.0.saturating_sub(at.0);
    let used = if target > 0 { 1.0 - left as f64 / target as f64 } else { 1.0 };
    let share = (used.clamp(0.0, 1.0) * 100.0).round() as u8;
    let missed = left < 0 || clock.breached_at.is_some();
    let (state, text) = match (clock.met_at, missed) {
        (Some(_), false) => ("met", format!("met with {} left", coarse(left.max(0)))),
        (Some(_), true) => ("late", format!("met {} late", coarse(left.saturating_neg().max(0)))),
        (None, false) if over => ("none", "not needed".to_owned()),
        (None, true) if over => ("late", "missed".to_owned()),
        (None, true) => ("breached", format!("breached {} ago", coarse(left.saturating_neg().max(0)))),
        (None, false) if paused.is_some() => ("paused", format!("on hold, {} left", coarse(left))),
        (None, false) if used >= WARN => ("warn", format!("only {} left", coarse(left))),
        (None, false) => ("ok", format!("{} left", coarse(left))),
    };
    let share = if matches!(state, "breached" | "late") { 100 } else { share };
    SlaView { state, share, text, target: coarse(target), due: clock.due.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::moment::MINUTE;

    #[test]
    fn a_clock_says_where_it_stands() {
        let start = Stamp(1_790_000_000 * SECOND);
        let min = |m: i64| start.plus(m * MINUTE);
        // now, met, paused, breached, over → state, share, text; the target is 100 minutes.
        let table = [
            (10, None, None, None, false, "ok", 10, "1h 30m left"),
            (80, None, None, None, false, "warn", 80, "only 20m left"),
            (130, None, None, None, false, "breached", 100, "breached 30m ago"),
            (130, Some(40), None, None, false, "met", 40, "met with 1h left"),
            (130, Some(105), None, Some(100), true, "late", 100, "met 5m late"),
            (130, None, Some(50), None, false, "paused", 50, "on hold, 50m left"),
            (10, None, None, None, true, "none", 10, "not needed"),
        ];
        for (now, met, paused, breached, over, state, share, text) in table {
            let clock = SlaClock {
                target: 6000.0,
                due: min(100),
                met_at: met.map(min),
                warned_at: None,
                breached_at: breached.map(min),
            };
            let view = view(&clock, paused.map(min), over, min(now));
            assert_eq!((view.state, view.share, view.text.as_str()), (state, share, text));
        }
    }
}
