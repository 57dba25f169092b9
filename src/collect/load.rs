//! Run-queue load averages, through sysinfo.

use sysinfo::{LoadAvg, System};

use super::reading::{host, sample};
use super::{Poll, Source, Spec};
use crate::engine::moment::Moment;
use crate::engine::option::DoorSpec;
use crate::engine::signal::{Metric, Observation, metric};

/// The collector.
pub const SPEC: Spec = Spec {
    door: DoorSpec {
        kind: "load",
        about: "run-queue load averages",
        options: &[],
        signals: &["load.avg1", "load.avg5", "load.avg15"],
        check: crate::engine::option::any,
    },
    build: |_, _| Ok(Source::Poll(Box::new(Load))),
};

const AVG1: Metric = metric("load.avg1");
const AVG5: Metric = metric("load.avg5");
const AVG15: Metric = metric("load.avg15");

struct Load;

impl Poll for Load {
    fn poll(&mut self, now: Moment, out: &mut Vec<Observation>) -> Result<(), String> {
        let raw = System::load_average().map_err(|e| format!("cannot read the load average: {e}"))?;
        out.push(signals(&raw, now));
        Ok(())
    }
}

fn signals(raw: &LoadAvg, now: Moment) -> Observation {
    let mut seen = Observation::new(now, host(), 0);
    for (metric, value) in [(AVG1, raw.one), (AVG5, raw.five), (AVG15, raw.fifteen)] {
        sample(&mut seen, metric, (value >= 0.0).then_some(value));
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_that_make_no_sense_have_no_value() {
        let raw = LoadAvg { one: 0.5, five: f64::NAN, fifteen: -1.0 };
        let seen = signals(&raw, Moment::at(0));
        assert_eq!(seen.samples, [(AVG1, Some(0.5.into())), (AVG5, None), (AVG15, None)]);
    }
}
