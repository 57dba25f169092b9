//! What a window has seen, in figures, for people who ask why it says what it says.
//!
//! Nothing here is on the way of a sample, and nothing decides: whether a window is known is asked of
//! [`Window::read`], what it says of [`Reading`](super::Reading). A figure that there is not is left out.

use super::{Keeps, Window, quantile};

/// What a window has seen at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// It can be read.
    pub is_known: bool,
    /// Its length, ns; 0 until it is known, and for [`Keeps::Held`].
    pub span: i64,
    /// Expected distance of samples, ns; 0 for told values.
    pub interval: i64,
    /// Samples in it; for [`Keeps::Slots`] periods whose slot is known. `None` where samples do not count.
    pub samples: Option<f64>,
    /// How many there should be; `None` where values are told and held.
    pub expected: Option<f64>,
    /// Share of what is expected that is there, 0..1; of [`Keeps::Smooth`] the share of its weight.
    pub coverage: Option<f64>,
    /// Share that must be there, 0..1.
    pub needed: f64,
    /// Nanoseconds since the newest value; `None` when there is none now.
    pub newest: Option<i64>,
    /// What its functions are worked out of.
    pub figures: Vec<Figure>,
}

/// One number of a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// What it is.
    pub name: &'static str,
    /// The number; always finite.
    pub value: f64,
    /// Its unit, seen from that of the samples.
    pub unit: Unit,
}

/// The unit of a [`Figure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "plain words")]
pub enum Unit {
    Same,
    SamePerSecond,
    Number,
    Ratio,
}

impl Window {
    /// What it has seen at `t`, after [`Window::advance`] to it.
    pub fn facts(&self, t: i64, min_coverage: f64) -> Facts {
        let reading = super::Reading { window: self, t, min_coverage };
        let polled = self.interval > 0 && self.span > 0;
        let per_window = (self.span as f64 / self.interval.max(1) as f64).max(1.0);
        let (samples, expected) = match self.keeps {
            Keeps::Held | Keeps::Smooth => (None, None),
            Keeps::Events => (Some(reading.sum()), None),
            Keeps::Slots(periods) => (Some(self.slots_known(t, min_coverage)), Some(f64::from(periods))),
            Keeps::Spread if polled => (Some(reading.count()), Some(per_window.min(quantile::EXACT as f64))),
            _ => (Some(reading.count()), polled.then_some(per_window)),
        };
        let weight = self.smooth(t).filter(|_| polled).map(|smooth| smooth.weight);
        let share = samples.zip(expected).map(|(samples, expected)| (samples / expected).min(1.0));
        let needed = match self.keeps {
            Keeps::Smooth => 1.0 - (-min_coverage).exp(),
            _ => min_coverage,
        };
        Facts {
            is_known: self.read(t, min_coverage).is_some(),
            span: self.span,
            interval: self.interval,
            samples,
            expected,
            coverage: share.or(weight),
            needed,
            newest: self.newest.map(|newest| t.saturating_sub(newest.at).max(0)),
            figures: self.figures(&reading),
        }
    }

    fn figures(&self, reading: &super::Reading<'_>) -> Vec<Figure> {
        use Unit::{Number, Ratio, Same, SamePerSecond};
        let all: &[(&'static str, f64, Unit)] = &match self.keeps {
            Keeps::Total if self.interval > 0 => vec![("sum", reading.sum(), Same)],
            Keeps::Total => vec![("last", reading.last(), Same)],
            Keeps::Extremes => vec![("least", reading.min(), Same), ("largest", reading.max(), Same)],
            Keeps::Ends => vec![("change", reading.change(), Same), ("last", reading.last(), Same)],
            Keeps::Growth => vec![("growth", reading.sum(), Same), ("last", reading.last(), Same)],
            Keeps::Changes => vec![("changes", reading.sum(), Number)],
            Keeps::Line | Keeps::Medians => vec![
                ("slope", reading.slope(), SamePerSecond),
                ("fit", reading.fit(), Ratio),
                ("oldest", reading.first(), Same),
                ("last", reading.last(), Same),
            ],
            Keeps::Quantiles | Keeps::Spread => {
                vec![("median", reading.quantile(0.5), Same), ("last", reading.last(), Same)]
            }
            Keeps::Smooth | Keeps::Slots(_) => vec![("last", reading.last(), Same)],
            Keeps::Events | Keeps::Held => Vec::new(),
        };
        let figure = |&(name, value, unit): &(&'static str, f64, Unit)| Figure { name, value, unit };
        all.iter().filter(|(_, value, _)| value.is_finite()).map(figure).collect()
    }

    /// Of how many periods the slot of `t` is known.
    fn slots_known(&self, t: i64, min_coverage: f64) -> f64 {
        let super::Body::Slots(slots) = &self.body else { return 0.0 };
        let newest = self.newest.map(|sample| self.slot_of(sample, t));
        slots.known(t, newest, self.interval, min_coverage) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::moment::{MINUTE, SECOND};

    fn fed(keeps: Keeps, span: i64, interval: i64, values: &[f64]) -> Window {
        let mut window = Window::new(keeps, span);
        for (i, value) in values.iter().enumerate() {
            window.push(i as i64 * 10 * SECOND, *value, interval);
        }
        window
    }

    #[test]
    fn coverage_is_told_as_it_is_judged() {
        for n in 1..=6_usize {
            let t = (n as i64 - 1) * 10 * SECOND;
            let facts = fed(Keeps::Total, MINUTE, 10 * SECOND, &vec![1.0; n]).facts(t, 0.5);
            assert_eq!((facts.samples, facts.expected), (Some(n as f64), Some(6.0)));
            assert_eq!(facts.is_known, n >= 3, "{n} of 6");
            assert_eq!(facts.figures, [Figure { name: "sum", value: n as f64, unit: Unit::Same }]);
        }
        let told = fed(Keeps::Total, MINUTE, 0, &[1.0, 3.0]).facts(MINUTE, 0.5);
        assert_eq!((told.is_known, told.expected, told.coverage), (true, None, None));
        assert_eq!(told.newest, Some(50 * SECOND));
    }

    #[test]
    fn every_kind_has_facts_and_none_that_is_no_number() {
        let kinds = [
            Keeps::Total,
            Keeps::Extremes,
            Keeps::Ends,
            Keeps::Growth,
            Keeps::Changes,
            Keeps::Line,
            Keeps::Medians,
            Keeps::Quantiles,
            Keeps::Spread,
            Keeps::Smooth,
            Keeps::Slots(3),
            Keeps::Events,
            Keeps::Held,
        ];
        for keeps in kinds {
            for (interval, values) in [(0, vec![]), (0, vec![1.0, 2.0]), (10 * SECOND, vec![1.0, 2.0, 4.0])] {
                let facts = fed(keeps, MINUTE, interval, &values).facts(30 * SECOND, 0.5);
                assert!(facts.figures.iter().all(|f| f.value.is_finite()), "{keeps:?} {facts:?}");
                assert!(facts.coverage.is_none_or(|c| (0.0..=1.0).contains(&c)), "{keeps:?} {facts:?}");
            }
        }
        let line = fed(Keeps::Line, MINUTE, 10 * SECOND, &[1.0, 2.0, 3.0]).facts(20 * SECOND, 0.5);
        let slope = line.figures.iter().find(|f| f.name == "slope").map(|f| f.value);
        assert!(slope.is_some_and(|s| (s - 0.1).abs() < 1e-9), "{slope:?}");
    }
}
