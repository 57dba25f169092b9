//! Conditions that nobody writes: what the companion of a rule goes by, and what never holds.

use std::sync::Arc;

use super::Cond;
use super::program::{Clock, Program, Root, Span, Truth};
use crate::engine::moment::human;
use crate::engine::signal::{Base, Metric, Type};

/// How the truths of several signals make one.
type Join = fn(Box<[Truth]>) -> Truth;

/// Nothing that can be used is known of one of the signals for `ns`.
pub fn missing(metrics: &[Metric], ns: i64) -> Cond {
    let each = |slot| (Truth::Missing(slot, ns), Clock::Missing(slot, ns));
    of(metrics, each, Truth::Or, format!("no value for {} of {}", human(ns), names(metrics, " or ")))
}

/// Nothing was ever known of any of the signals, which are waited for since `ns`.
pub fn unseen(metrics: &[Metric], ns: i64) -> Cond {
    let each = |slot| (Truth::Unseen(slot, ns), Clock::Silent(slot, Span::Fixed(ns)));
    of(metrics, each, Truth::And, format!("never seen in {}: {}", human(ns), names(metrics, ", ")))
}

/// There is a value of each of the signals, or with `any` of one of them.
pub fn known(metrics: &[Metric], any: bool) -> Cond {
    let each = |slot| (Truth::Not(Box::new(Truth::Missing(slot, 0))), Clock::Missing(slot, 0));
    let (join, word): (Join, _) = if any { (Truth::Or, " or ") } else { (Truth::And, " and ") };
    of(metrics, each, join, format!("there is a value of {}", names(metrics, word)))
}

/// A condition that never holds, for what stands in for a rule that is gone.
pub fn never() -> Cond {
    of(&[], |slot| (Truth::Slot(slot), Clock::Silent(slot, Span::Fixed(0))), Truth::Or, "false".to_owned())
}

fn names(metrics: &[Metric], between: &str) -> String {
    metrics.iter().map(|m| m.name()).collect::<Vec<_>>().join(between)
}

fn of(metrics: &[Metric], each: impl Fn(u16) -> (Truth, Clock), join: Join, canonical: String) -> Cond {
    let (truths, clocks): (Vec<_>, Vec<_>) = (0..metrics.len()).map(|slot| each(slot as u16)).unzip();
    let program = Program {
        root: Root::Truth(join(truths.into())),
        ty: Type::of(Base::Bool),
        slots: metrics.to_vec(),
        windows: Vec::new(),
        metrics: metrics.to_vec(),
        clocks,
        stale_matters: false,
        canonical: canonical.clone(),
    };
    Cond { source: canonical, program: Arc::new(program), expr: None }
}
