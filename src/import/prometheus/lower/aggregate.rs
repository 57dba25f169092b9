//! Aggregations. On one host most of them say nothing: there is one series for each object. CPU time is the
//! exception: its series of CPUs and modes are one share of all CPU time here.

use super::super::linear::Linear;
use super::{Cpus, Lower, Lowered, Value, Vector};
use crate::engine::cond::expr::Math;
use crate::engine::signal::Class;
use crate::import::prometheus::promql::{Aggregate, Expr as Prom, Kind};
use crate::import::say::{self, NUMBER};

/// Labels that name a host there.
const HOST: [&str; 7] = ["instance", "node", "nodename", "host", "hostname", "fqdn", "target"];

impl Lower<'_> {
    pub(super) fn aggregate(&mut self, e: &Prom, a: &Aggregate) -> Lowered<Vector> {
        if a.op == "count" && is_cpus(&a.inner) {
            let count = self.built(e, say::name("cpu.count"))?;
            return Ok(Vector::line(Linear::of(count, NUMBER, 1.0)));
        }
        let inner = self.lower(&a.inner)?;
        match a.op.as_str() {
            "sum" | "avg" | "min" | "max" | "group" => {}
            "count" if inner.when.is_some() => return Ok(Vector { value: Value::Count, ..inner }),
            "count" => {
                return self.fail(
                    e,
                    "counts objects",
                    "one rule for each object: `nodata_after` says when one is away",
                );
            }
            op => {
                return self.fail(
                    e,
                    format!("{op} over several objects has no counterpart"),
                    "a rule for each object",
                );
            }
        }
        if let Some(cpus) = inner.cpus {
            return self.cpus(e, a, inner, cpus);
        }
        self.objects(e, a);
        Ok(inner)
    }

    /// CPU time: over CPUs it is a mean already, over modes it is a sum.
    fn cpus(&mut self, e: &Prom, a: &Aggregate, inner: Vector, cpus: Cpus) -> Lowered<Vector> {
        let line = self.line(&a.inner, &inner)?;
        let (over_cpus, over_modes) = (cpus.each && !a.keeps("cpu"), cpus.modes > 1.0 && !a.keeps("mode"));
        let mut line = line;
        if a.op == "avg" && over_modes {
            line = line.times(1.0 / cpus.modes);
        }
        if a.op == "sum" && over_cpus {
            let whole = self.done(e, line.natural())?.0;
            let count = self.built(e, say::name("cpu.count"))?;
            let size = if line.e.is_some() { line.a.abs() } else { 1.0 };
            let product = self.built(e, say::math(Math::Multiply, whole, count))?;
            line = Linear::of(product, NUMBER, size);
        }
        if matches!(a.op.as_str(), "min" | "max") && over_cpus {
            self.differs(e, "a single CPU there, all of them together here: core.busy of class cpu has each");
        }
        let left = Cpus { each: cpus.each && !over_cpus, modes: if over_modes { 1.0 } else { cpus.modes } };
        let cpus = (left.each || left.modes > 1.0).then_some(left);
        self.hosts(e, a);
        Ok(Vector { value: Value::Line(line), cpus, ..inner })
    }

    /// Says what is judged for each object here that was one figure there.
    fn objects(&mut self, e: &Prom, a: &Aggregate) {
        let labels = named_by(self.class);
        if labels.is_empty() {
            self.hosts(e, a);
        } else if !labels.iter().any(|l| a.keeps(l)) {
            let what = self.class.name();
            if matches!(a.op.as_str(), "sum" | "avg") {
                self.differs(e, &format!("{} over all of class {what} there, each by itself here", a.op));
            } else {
                self.remark(format!("one alert for all of class {what} there, one for each here"));
            }
        }
    }

    fn hosts(&mut self, e: &Prom, a: &Aggregate) {
        if !HOST.iter().any(|l| a.keeps(l)) && matches!(a.op.as_str(), "sum" | "avg") {
            self.differs(e, "over all hosts there, this host by itself here");
        }
    }
}

/// The labels by which objects of a class are told apart there, any of them.
pub(super) fn named_by(class: Class) -> &'static [&'static str] {
    match class {
        Class::Fs => &["mountpoint", "device"],
        Class::Disk | Class::Net => &["device", "interface"],
        Class::Unit => &["name"],
        Class::Proc => &["groupname"],
        Class::Check => &HOST,
        _ => &[],
    }
}

/// `node_cpu_seconds_total` to be counted, also through a further count.
fn is_cpus(e: &Prom) -> bool {
    match &e.kind {
        Kind::Selector(s) => {
            s.range.is_none() && matches!(s.name.as_str(), "node_cpu_seconds_total" | "node_cpu")
        }
        Kind::Aggregate(a) => matches!(a.op.as_str(), "count" | "group" | "sum" | "max") && is_cpus(&a.inner),
        _ => false,
    }
}
