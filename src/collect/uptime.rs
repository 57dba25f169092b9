//! Time since boot, through sysinfo.

use sysinfo::System;

use super::reading::host;
use super::{Poll, Source, Spec};
use crate::engine::moment::Moment;
use crate::engine::option::DoorSpec;
use crate::engine::signal::{Metric, Observation, metric};

/// The collector.
pub const SPEC: Spec = Spec {
    door: DoorSpec {
        kind: "uptime",
        about: "time since boot",
        options: &[],
        signals: &["host.uptime"],
        check: crate::engine::option::any,
    },
    build: |_, _| Ok(Source::Poll(Box::new(Uptime))),
};

const UPTIME: Metric = metric("host.uptime");

struct Uptime;

impl Poll for Uptime {
    fn poll(&mut self, now: Moment, out: &mut Vec<Observation>) -> Result<(), String> {
        let seconds = System::uptime().map_err(|e| format!("cannot read the uptime: {e}"))?;
        out.push(Observation::new(now, host(), 0).with(UPTIME, seconds as f64));
        Ok(())
    }
}
