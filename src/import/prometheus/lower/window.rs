//! Functions: of windows, of time, and the plain ones.

use super::super::labels;
use super::super::linear::{Linear, type_of};
use super::super::metrics::{self, Row, Source};
use super::{Cpus, Lower, Lowered, Value, Vector};
use crate::engine::cond::expr::{Expr, Node};
use crate::engine::moment::SECOND;
use crate::engine::signal::{Base, Type};
use crate::import::prometheus::promql::{Expr as Prom, Kind, Selector};
use crate::import::say::{self, NUMBER, RATIO};

/// The modes of CPU time, as node_exporter has them.
const MODES: [&str; 8] = ["user", "nice", "system", "irq", "softirq", "steal", "iowait", "idle"];
/// Shortest window here.
const SHORTEST: i64 = SECOND;

impl Lower<'_> {
    pub(super) fn call(&mut self, e: &Prom, name: &str, args: &[Prom]) -> Lowered<Vector> {
        match (name, args) {
            ("rate" | "irate" | "increase", [arg]) => self.rate(e, name, arg),
            ("predict_linear", [arg, ahead]) => self.forecast(e, arg, ahead),
            ("quantile_over_time", [q, arg]) => self.quantile(e, q, arg),
            ("time", []) => Ok(Vector::line(Linear { t: 1.0, ..Linear::constant(0.0) })),
            (
                "vector" | "scalar" | "abs" | "sort" | "sort_desc" | "label_replace" | "label_join",
                [arg, ..],
            ) => {
                let inner = self.lower(arg)?;
                if name == "abs" { self.abs(e, inner) } else { Ok(inner) }
            }
            ("round" | "floor" | "ceil", [arg, ..]) => {
                self.differs(e, "rounds there, is exact here");
                self.lower(arg)
            }
            ("clamp_min" | "clamp_max" | "clamp", [arg, ..]) => {
                self.differs(e, "is cut off there at a limit that a comparison does not need here");
                self.lower(arg)
            }
            ("absent" | "absent_over_time", [arg]) => self.absent(e, arg),
            ("hour" | "minute" | "day_of_week" | "day_of_month" | "month" | "year" | "days_in_month", _) => {
                self.fail(
                    e,
                    "the time of day is no condition here",
                    "a [[window]] with `every` keeps a rule quiet at these hours",
                )
            }
            (name, [arg])
                if name.ends_with("_over_time")
                    || ["delta", "idelta", "deriv", "changes"].contains(&name) =>
            {
                self.over_time(e, name, arg)
            }
            _ => self.fail(
                e,
                format!("{name}() has no counterpart"),
                "functions here: docs/rules.md, Conditions",
            ),
        }
    }

    fn abs(&mut self, e: &Prom, inner: Vector) -> Lowered<Vector> {
        let line = self.line(e, &inner)?;
        let (whole, ty) = self.done(e, line.expr())?;
        let call = self.built(e, say::call("abs", vec![whole]))?;
        Ok(Vector { value: Value::Line(Linear::of(call, ty, 1.0)), ..inner })
    }

    fn absent(&mut self, e: &Prom, arg: &Prom) -> Lowered<Vector> {
        if let Kind::Selector(s) = &arg.kind
            && s.name == "namedprocess_namegroup_num_procs"
        {
            let cond = self.instant_of(arg, s)?;
            let none = self.built(e, say::cond("proc.count < 1"))?;
            return Ok(Vector { when: Some(none), ..cond });
        }
        self.fail(
            e,
            "that a series is away is no condition of its own here",
            "a rule with `nodata_after`; what `match` names outright is expected to be there",
        )
    }

    fn instant_of(&mut self, e: &Prom, s: &Selector) -> Lowered<Vector> {
        self.instant(e, &Selector { range: None, ..s.clone() })
    }

    /// What is in the window, and its length.
    fn windowed<'p>(&mut self, e: &Prom, arg: &'p Prom) -> Lowered<(Vector, i64)> {
        let (vector, range): (Vector, i64) = match &arg.kind {
            Kind::Selector(s) if s.range.is_some() => (self.instant_of(arg, s)?, s.range.unwrap_or_default()),
            Kind::Subquery(inner, range) => {
                let inner: &'p Prom = inner;
                let vector = self.lower(inner)?;
                (self.without_windows(inner, vector)?, *range)
            }
            Kind::Moved => return self.lower(arg).map(|v| (v, 0)),
            _ => return self.fail(e, "needs a window: [5m]", ""),
        };
        if vector.when.is_some() {
            return self.fail(arg, "a condition within a window", "frac(condition, 1h) > 50%");
        }
        Ok((vector, range.max(SHORTEST)))
    }

    /// One window cannot stand in another: the inner one is smoothed by the outer one anyhow.
    fn without_windows(&mut self, at: &Prom, vector: Vector) -> Lowered<Vector> {
        let Value::Line(Linear { e: Some((e, ty)), a, b, t }) = vector.value.clone() else {
            return Ok(vector);
        };
        let bare = self.built(at, bare(&e))?;
        if bare.to_string() != e.to_string() {
            self.differs(at, "a window within a window: here the outer one sees the samples themselves");
        }
        Ok(Vector { value: Value::Line(Linear { e: Some((bare, ty)), a, b, t }), ..vector })
    }

    fn over_time(&mut self, e: &Prom, name: &str, arg: &Prom) -> Lowered<Vector> {
        let (vector, ns) = self.windowed(e, arg)?;
        if let Value::Truth(cond) = &vector.value {
            let cond = cond.clone();
            return self.truth_over(e, name, &cond, ns);
        }
        let line = self.line(arg, &vector)?;
        let window = self.built(e, say::duration(ns))?;
        let Some((_, ty)) = line.e.clone().filter(|_| line.t == 0.0) else {
            return self.fail(
                e,
                "a window over time stamps has no counterpart",
                "host.uptime, proc.age, check.cert_left",
            );
        };
        let is_falling = line.a < 0.0;
        let plain = |name: &'static str| move |x: Expr| say::call(name, vec![x, window]);
        let slope = Type { base: ty.base, per_second: true };
        let made = match name {
            "avg_over_time" => line.over(plain("avg"), ty),
            "max_over_time" => line.over(plain(if is_falling { "min" } else { "max" }), ty),
            "min_over_time" => line.over(plain(if is_falling { "max" } else { "min" }), ty),
            "last_over_time" => Ok(line.clone()),
            "sum_over_time" if line.b == 0.0 => line.over(plain("sum"), ty),
            "count_over_time" => line.over(plain("count"), NUMBER).map(|l| Linear { a: 1.0, b: 0.0, ..l }),
            "changes" => line.over(plain("changes"), NUMBER).map(|l| Linear { a: 1.0, b: 0.0, ..l }),
            "delta" => line.over(plain("delta"), ty).map(|l| Linear { b: 0.0, ..l }),
            "deriv" if !ty.per_second => line.over(plain("deriv"), slope).map(|l| Linear { b: 0.0, ..l }),
            _ => {
                return self.fail(
                    e,
                    format!("{name}() has no counterpart"),
                    "functions here: docs/rules.md, Conditions",
                );
            }
        };
        let line = self.done(e, made)?;
        Ok(Vector { value: Value::Line(line), ..vector })
    }

    fn truth_over(&mut self, e: &Prom, name: &str, cond: &Expr, ns: i64) -> Lowered<Vector> {
        let window = self.built(e, say::duration(ns))?;
        let share = |to: &str| -> say::Built { say::cond(&format!("frac({cond}, {window}) {to}")) };
        let call = |name: &str| say::call(name, vec![cond.clone(), window.clone()]);
        let value = match name {
            "avg_over_time" => Value::Line(Linear::of(self.built(e, call("frac"))?, RATIO, 1.0)),
            "sum_over_time" => Value::Line(Linear::of(self.built(e, call("count"))?, NUMBER, 1.0)),
            "min_over_time" => Value::Truth(self.built(e, share(">= 100%"))?),
            "max_over_time" => Value::Truth(self.built(e, share("> 0%"))?),
            "last_over_time" => Value::Truth(cond.clone()),
            "changes" if matches!(cond.node, Node::Name(_)) => {
                Value::Line(Linear::of(self.built(e, call("changes"))?, NUMBER, 1.0))
            }
            "changes" if cond.to_string().starts_with("unit.state") => {
                self.differs(e, "every change of the unit's state counts here");
                let state = self.built(
                    e,
                    say::name("unit.state").and_then(|s| say::call("changes", vec![s, window.clone()])),
                )?;
                Value::Line(Linear::of(state, NUMBER, 1.0))
            }
            _ => {
                return self.fail(
                    e,
                    format!("{name}() of what is 0 or 1 has no counterpart"),
                    "frac(condition, 1h)",
                );
            }
        };
        Ok(Vector::of(value))
    }

    fn quantile(&mut self, e: &Prom, q: &Prom, arg: &Prom) -> Lowered<Vector> {
        let (vector, ns) = self.windowed(e, arg)?;
        let line = self.line(arg, &vector)?;
        let share = self.lower(q)?;
        let Some(share) = self.line(q, &share)?.number().filter(|s| (0.0..=1.0).contains(s)) else {
            return self.fail(q, "a quantile is a number from 0 to 1", "");
        };
        let share = if line.a < 0.0 { 1.0 - share } else { share };
        let Some((_, ty)) = line.e.clone().filter(|_| line.t == 0.0) else {
            return self.fail(e, "a window over time stamps has no counterpart", "");
        };
        let (window, share) = (self.built(e, say::duration(ns))?, self.built(e, say::number(share, RATIO))?);
        let line = line.over(|x| say::call("p", vec![x, share, window]), ty);
        Ok(Vector { value: Value::Line(self.done(e, line)?), ..vector })
    }

    fn forecast(&mut self, e: &Prom, arg: &Prom, ahead: &Prom) -> Lowered<Vector> {
        let (vector, ns) = self.windowed(e, arg)?;
        let line = self.line(arg, &vector)?;
        let seconds = self.lower(ahead)?;
        let Some(seconds) = self.line(ahead, &seconds)?.number().filter(|s| *s >= 1.0 && *s < 3e7) else {
            return self.fail(ahead, "how far ahead is a number of seconds, at most a year", "");
        };
        let Some((_, ty)) = line.e.clone().filter(|_| line.t == 0.0) else {
            return self.fail(e, "a forecast of a time stamp", "");
        };
        let (window, ahead) =
            (self.built(e, say::duration(ns))?, self.built(e, say::number(seconds, say::SECONDS))?);
        let line = line.over(|x| say::call("forecast", vec![x, window, ahead]), ty);
        self.remark("a forecast goes on from the last value here, from the fitted line there".to_owned());
        Ok(Vector { value: Value::Line(self.done(e, line)?), ..vector })
    }

    fn rate(&mut self, e: &Prom, name: &str, arg: &Prom) -> Lowered<Vector> {
        let Kind::Selector(s) = &arg.kind else {
            return self.fail(
                e,
                format!("{name}() of something that is no counter"),
                "a rate of the metric itself",
            );
        };
        let Some(ns) = s.range else { return self.fail(e, "needs a window: [5m]", "") };
        let ns = ns.max(SHORTEST);
        if self.records.contains_key(&s.name) {
            return self.fail(e, format!("{name}() of a recording rule"), "");
        }
        let Some(row) = metrics::find(&s.name) else {
            let (why, instead) = metrics::missing(&s.name);
            return self.fail(e, why, instead);
        };
        self.join(e, row.class)?;
        if !row.differs.is_empty() {
            self.differs(e, row.differs);
        }
        let vector = match row.source {
            Source::Cpu => self.cpu_time(e, s)?,
            Source::Flow(signal, a) => {
                Vector::line(Linear::of(self.built(e, say::name(signal))?, type_of(signal), a))
            }
            Source::Counter(signal) => {
                self.pick(s, &[]);
                return self.counter(e, name, signal, ns);
            }
            _ => return self.gauge_rate(e, name, row),
        };
        self.pick(s, if row.source == Source::Cpu { &["mode"] } else { &[] });
        let line = self.line(e, &vector)?;
        if name == "irate" || line.e.is_none() {
            return Ok(vector);
        }
        let ty = line.e.as_ref().map_or(NUMBER, |(_, ty)| *ty);
        let window = self.built(e, say::duration(ns))?;
        let mean = line.over(|x| say::call("avg", vec![x, window.clone()]), ty);
        let mut line = self.done(e, mean)?;
        if name == "increase" {
            let seconds = ns as f64 / SECOND as f64;
            line = match ty.per_second {
                false => line.times(seconds),
                true => {
                    let total = |x| say::math(crate::engine::cond::expr::Math::Multiply, x, window.clone());
                    let whole = line.over(total, Type { per_second: false, ..ty });
                    self.done(e, whole)?
                }
            };
        }
        Ok(Vector { value: Value::Line(line), ..vector })
    }

    fn counter(&mut self, e: &Prom, name: &str, signal: &str, ns: i64) -> Lowered<Vector> {
        let (call, ty) = match name {
            "increase" => ("increase", NUMBER),
            _ => ("rate", Type::per_second(Base::Number)),
        };
        let window = self.built(e, say::duration(ns))?;
        let call = self.built(e, say::name(signal).and_then(|x| say::call(call, vec![x, window])))?;
        Ok(Vector::line(Linear::of(call, ty, 1.0)))
    }

    fn gauge_rate(&mut self, e: &Prom, name: &str, row: &Row) -> Lowered<Vector> {
        let why = format!("{name}() of {}, which is no counter", row.name);
        self.fail(e, why, "delta(x, 1h) or deriv(x, 1h)")
    }

    /// CPU time by mode as a share of all.
    fn cpu_time(&mut self, e: &Prom, s: &Selector) -> Lowered<Vector> {
        let on_mode: Vec<_> = s.matchers.iter().filter(|m| m.label == "mode").collect();
        let takes = |mode: &str| on_mode.iter().all(|m| labels::takes(m, mode));
        let modes: Vec<&str> = MODES.into_iter().filter(|m| takes(m)).collect();
        let count = modes.len() as f64;
        if modes.len() == MODES.len() || modes.is_empty() {
            return self.fail(
                e,
                "CPU time of all modes together is always the same",
                "mode=\"idle\", or mode!=\"idle\"",
            );
        }
        let is_idle = modes.contains(&"idle");
        let share: Vec<&str> = match is_idle {
            true => MODES.into_iter().filter(|m| !modes.contains(m)).collect(),
            false => modes,
        };
        let Some(text) = share_of(&share) else {
            return self.fail(
                e,
                format!("CPU time in {} by itself has no signal", share.join(", ")),
                "cpu.busy, cpu.user, cpu.system, cpu.iowait, cpu.steal",
            );
        };
        let line = Linear::of(self.built(e, say::cond(&text))?, RATIO, if is_idle { -1.0 } else { 1.0 });
        let line = if is_idle { Linear { b: 1.0, ..line } } else { line };
        Ok(Vector { cpus: Some(Cpus { each: true, modes: count }), ..Vector::line(line) })
    }
}

/// These modes in our signals. What is small and always counted with its neighbour goes with it.
fn share_of(modes: &[&str]) -> Option<String> {
    let has = |m: &str| modes.contains(&m);
    let mut parts = Vec::new();
    if has("user") && has("system") && has("steal") {
        parts.push("cpu.busy");
    } else {
        parts.extend(has("user").then_some("cpu.user"));
        parts.extend(has("system").then_some("cpu.system"));
        parts.extend(has("steal").then_some("cpu.steal"));
    }
    parts.extend(has("iowait").then_some("cpu.iowait"));
    (!parts.is_empty()).then(|| parts.join(" + "))
}

/// The expression with every window replaced by what is in it.
fn bare(e: &Expr) -> say::Built {
    match &e.node {
        Node::Call(name, _, args) if ["avg", "max", "min", "frac", "p"].contains(&name.as_str()) => {
            args.first().cloned().ok_or(say::TooLarge)
        }
        Node::Math(op, a, b) => say::math(*op, bare(a)?, bare(b)?),
        _ => Ok(e.clone()),
    }
}
