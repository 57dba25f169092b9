//! Checking of function calls: shapes of arguments, the windows they need, the type they give.
//!
//! A window takes any expression over signals of the bound instance and of the host, as long as no window
//! stands inside it; counters (`rate`, `increase`) and `age`, `nodata`, `changes` take the bare name of a
//! signal.

use std::ops::Range;
use std::sync::Arc;

use super::CondError;
use super::check::{BOOL, Checker, Typed};
use super::expr::{Expr, Node};
use super::hint;
use super::program::{Clock, Input, Num, Truth, WindowSpec, Words};
use crate::engine::func::{self, FUNCTIONS, Form, Gives, MOST_ARGUMENTS, Shape, Spec};
use crate::engine::moment::human;
use crate::engine::signal::{Base, Kind, Type};
use crate::engine::window::{Keeps, LONGEST, SHORTEST};

const SECONDS: Type = Type::of(Base::Seconds);
const RATIO: Type = Type::of(Base::Ratio);

impl Checker<'_> {
    /// A function call.
    pub(super) fn call(
        &mut self,
        whole: &Expr,
        name: &str,
        at: &Range<usize>,
        args: &[Expr],
    ) -> Result<Typed, CondError> {
        let Some(spec) = func::find(name) else {
            let error = CondError::new(at.clone(), format!("no function is called `{name}`"));
            let names: Vec<_> = FUNCTIONS.iter().map(|f| f.name).collect();
            let near = hint::did_you_mean(name, names.iter().copied());
            return Err(error.help(near.unwrap_or_else(|| format!("functions are {}", names.join(" ")))));
        };
        let (least, most) =
            (spec.params.len(), if spec.repeats { MOST_ARGUMENTS } else { spec.params.len() });
        if args.len() < least || args.len() > most {
            let text = format!("`{name}` takes {least} argument{}, here are {}", plural(least), args.len());
            return Err(CondError::new(whole.span.clone(), text).help(format!("write {}", spec.usage())));
        }
        match spec.form {
            Form::Window { keeps, value } => self.window_call(spec, keeps, value, args),
            Form::Map(f) => {
                let (num, ty) = self.numeric(spec, &args[0])?;
                Ok(Typed::Num(Num::Map(f, Box::new(num)), ty))
            }
            Form::Fold(f) => {
                let (first, ty) = self.numeric(spec, &args[0])?;
                let mut many = vec![first];
                for arg in &args[1..] {
                    many.push(self.like(spec, (&args[0], ty), arg)?);
                }
                Ok(Typed::Num(Num::Fold(f, many.into()), ty))
            }
            Form::Age => {
                let slot = self.signal(spec, &args[0], false)?;
                self.clocks.push(Clock::Age(slot, None));
                Ok(Typed::Num(Num::Age(slot), SECONDS))
            }
            Form::Silent => {
                let slot = self.signal(spec, &args[0], false)?;
                let ns = self.duration(spec, &args[1], "time")?;
                self.clocks.push(Clock::Silent(slot, ns));
                Ok(Typed::Truth(Truth::Silent(slot, ns)))
            }
            Form::If => self.either(spec, args),
            Form::Coalesce => {
                self.stale_matters = true;
                match self.pair(spec, &args[0], &args[1])? {
                    Pair::Num(a, b, ty) => Ok(Typed::Num(Num::Coalesce(Box::new((a, b))), ty)),
                    Pair::Truth(a, b) => Ok(Typed::Truth(Truth::Coalesce(Box::new((a, b))))),
                    Pair::Words(a, b) => Ok(Typed::Words(Words::Coalesce(Box::new((a, b))))),
                }
            }
        }
    }

    fn either(&mut self, spec: &Spec, args: &[Expr]) -> Result<Typed, CondError> {
        let cond = self.truth(&args[0])?;
        Ok(match self.pair(spec, &args[1], &args[2])? {
            Pair::Num(a, b, ty) => Typed::Num(Num::If(Box::new((cond, a, b))), ty),
            Pair::Truth(a, b) => Typed::Truth(Truth::If(Box::new((cond, a, b)))),
            Pair::Words(a, b) => Typed::Words(Words::If(Box::new((cond, a, b)))),
        })
    }

    /// Two expressions of one type.
    fn pair(&mut self, spec: &Spec, a: &Expr, b: &Expr) -> Result<Pair, CondError> {
        let (left, right) = (self.any(a)?, self.any(b)?);
        let types = (left.ty(), right.ty());
        match (left, right) {
            (Typed::Num(left, ty), Typed::Num(right, other)) if ty == other => Ok(Pair::Num(left, right, ty)),
            (Typed::Truth(left), Typed::Truth(right)) => Ok(Pair::Truth(left, right)),
            (Typed::Words(left), Typed::Words(right)) => Ok(Pair::Words(left, right)),
            _ => {
                let what = format!("choose in `{}` between", spec.name);
                Err(hint::types_differ(&what, (a, types.0), (b, types.1), b))
            }
        }
    }

    fn numeric(&mut self, spec: &Spec, arg: &Expr) -> Result<(Num, Type), CondError> {
        let need = format!("`{}` takes a number", spec.name);
        self.number(arg, &need).map_err(|error| match (&arg.node, error.help.is_none()) {
            (Node::Name(_), true) if matches!(spec.form, Form::Window { .. }) => {
                error.help(format!("for the share of time write frac({}, 5m)", hint::shown(arg)))
            }
            _ => error,
        })
    }

    fn like(&mut self, spec: &Spec, first: (&Expr, Type), arg: &Expr) -> Result<Num, CondError> {
        let (num, ty) = self.numeric(spec, arg)?;
        if ty == first.1 {
            return Ok(num);
        }
        let what = format!("mix in `{}`", spec.name);
        Err(hint::types_differ(&what, first, (arg, ty), arg))
    }

    /// The slot of an argument that must be the bare name of a signal, or of a counter.
    fn signal(&mut self, spec: &Spec, arg: &Expr, counter: bool) -> Result<u16, CondError> {
        let Node::Name(name) = &arg.node else {
            let what = if counter { "counter" } else { "signal" };
            let text = format!("`{}` takes the name of a {what}, not an expression", spec.name);
            return Err(CondError::new(arg.span.clone(), text));
        };
        let (slot, metric) = self.slot(arg, name)?;
        if counter && metric.spec().kind != Kind::Counter {
            let text = format!("`{}` needs a counter, `{name}` is a gauge", spec.name);
            let other = if spec.gives == Gives::FirstPerSecond { "deriv" } else { "delta" };
            return Err(CondError::new(arg.span.clone(), text).help(format!("write {other}({name}, …)")));
        }
        Ok(slot)
    }

    /// A constant duration in ns.
    fn duration(&mut self, spec: &Spec, arg: &Expr, noun: &str) -> Result<i64, CondError> {
        let need = format!("the {noun} of `{}` is a duration", spec.name);
        let (num, ty) = self.number(arg, &need)?;
        let error = |text: String| CondError::new(arg.span.clone(), text);
        if ty != SECONDS {
            let error = error(format!("{need}, `{}` is {}", hint::shown(arg), hint::with_article(ty)));
            return Err(match num.constant() {
                Some(n) if ty == Type::of(Base::Number) => error.help(format!("write {n}s or {n}m")),
                _ => error.help("write 10m"),
            });
        }
        let Some(seconds) = num.constant() else {
            return Err(error(format!("the {noun} of `{}` must be constant", spec.name)).help("write 10m"));
        };
        let ns = seconds * 1e9;
        if ns < SHORTEST as f64 || ns > LONGEST as f64 {
            let (from, to) = (human(SHORTEST), human(LONGEST));
            return Err(error(format!("the {noun} of `{}` must be from {from} to {to}", spec.name)));
        }
        Ok(ns.round() as i64)
    }

    /// A duration that need not be constant.
    fn seconds(&mut self, spec: &Spec, name: &str, arg: &Expr) -> Result<Num, CondError> {
        let (num, ty) = self.numeric(spec, arg)?;
        if ty == SECONDS {
            return Ok(num);
        }
        let text = format!("`{name}` of `{}` is a duration, here is {}", spec.name, hint::with_article(ty));
        Err(CondError::new(arg.span.clone(), text).help("write 4h"))
    }

    fn share(&mut self, spec: &Spec, arg: &Expr) -> Result<Num, CondError> {
        let (num, ty) = self.numeric(spec, arg)?;
        let error = |text: String| CondError::new(arg.span.clone(), text).help("write 95%");
        match num.constant() {
            Some(share) if ty == RATIO && (0.0..=1.0).contains(&share) => Ok(Num::Const(share)),
            Some(_) if ty == RATIO => Err(error("a quantile lies between 0% and 100%".to_owned())),
            _ => Err(error(format!("the quantile of `{}` must be a constant ratio", spec.name))),
        }
    }

    fn window_call(
        &mut self,
        spec: &'static Spec,
        keeps: Keeps,
        value: func::Value,
        args: &[Expr],
    ) -> Result<Typed, CondError> {
        let (input, slots, first) = self.input(spec, &args[0])?;
        let (mut span, mut more) = (0, Vec::new());
        for (param, arg) in spec.params.iter().zip(args).skip(1) {
            match param.shape {
                Shape::Window | Shape::Duration => span = self.duration(spec, arg, "window")?,
                Shape::Share => more.push(self.share(spec, arg)?),
                Shape::Seconds => more.push(self.seconds(spec, param.name, arg)?),
                _ => more.push(self.like(spec, (&args[0], first), arg)?),
            }
        }
        let key = format!("{keeps:?} {span} {}", args[0]);
        let index = self.windows.iter().position(|w| w.key == key).unwrap_or_else(|| {
            self.windows.push(Arc::new(WindowSpec { keeps, span, input, slots, key }));
            self.windows.len() - 1
        }) as u16;
        if keeps == Keeps::Held {
            self.clocks.push(Clock::Held(index, None));
        }
        let ty = match spec.gives {
            Gives::SameAsFirst | Gives::SameAsSecond => first,
            Gives::FirstPerSecond if first.per_second => {
                let text = format!("`{}` of a quantity that is per second already", spec.name);
                return Err(CondError::new(args[0].span.clone(), text));
            }
            Gives::FirstPerSecond => Type::per_second(first.base),
            Gives::Number => Type::of(Base::Number),
            Gives::Ratio => RATIO,
            Gives::Seconds => SECONDS,
            Gives::Bool => BOOL,
        };
        Ok(Typed::Num(Num::Window(index, value, more.into()), ty))
    }

    /// What goes into a window: an expression with slots of its own.
    fn input(
        &mut self,
        spec: &'static Spec,
        arg: &Expr,
    ) -> Result<(Input, Vec<crate::engine::signal::Metric>, Type), CondError> {
        if let Some(outer) = self.inside {
            let text = format!("a window cannot stand inside another: `{}` in `{outer}`", spec.name);
            return Err(CondError::new(arg.span.clone(), text));
        }
        let mut inner = Checker::new(self.class, self.lets);
        inner.inside = Some(spec.name);
        let (input, ty) = match spec.params[0].shape {
            Shape::Condition => (Input::Truth(inner.truth(arg)?), BOOL),
            Shape::Signal => (Input::Signal(inner.signal(spec, arg, false)?), BOOL),
            Shape::Counter => {
                let slot = inner.signal(spec, arg, true)?;
                (Input::Num(Num::Slot(slot)), inner.slots[usize::from(slot)].spec().ty)
            }
            _ => {
                let (num, ty) = inner.numeric(spec, arg)?;
                (Input::Num(num), ty)
            }
        };
        if inner.slots.is_empty() {
            let text =
                format!("`{}` needs a signal to follow, `{}` is constant", spec.name, hint::shown(arg));
            return Err(CondError::new(arg.span.clone(), text));
        }
        if !inner.clocks.is_empty() {
            let text = "`age` and `nodata` grow between samples and cannot stand inside a window".to_owned();
            return Err(CondError::new(arg.span.clone(), text));
        }
        for metric in &inner.metrics {
            if !self.metrics.contains(metric) {
                self.metrics.push(*metric);
            }
        }
        Ok((input, inner.slots, ty))
    }
}

enum Pair {
    Num(Num, Num, Type),
    Truth(Truth, Truth),
    Words(Words, Words),
}

fn plural(n: usize) -> &'static str {
    if n == 1 { "" } else { "s" }
}
