//! Checking of function calls: how many arguments, of which shape, and the type they give. Windows are
//! checked in `windowed`.
//!
//! Counters (`rate`, `increase`) and `age`, `nodata`, `changes` take the bare name of a signal.

use std::ops::Range;

use super::CondError;
use super::check::{Checker, Typed};
use super::expr::{Expr, Node};
use super::hint;
use super::program::{Clock, Num, Truth, Words};
use crate::engine::func::{self, FUNCTIONS, Form, Gives, MOST_ARGUMENTS, Spec};
use crate::engine::signal::{Base, Kind, Type};

const SECONDS: Type = Type::of(Base::Seconds);

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
        let (least, most) = (spec.least(), if spec.repeats { MOST_ARGUMENTS } else { spec.params.len() });
        if args.len() < least || args.len() > most {
            let wanted = match (spec.repeats, most - least) {
                (true, _) => format!("{least} arguments or more"),
                (false, 0) => format!("{least} argument{}", plural(least)),
                (false, _) => format!("{least} or {most} arguments"),
            };
            let text = format!("`{name}` takes {wanted}, here are {}", args.len());
            return Err(CondError::new(whole.span.clone(), text).help(format!("write {}", spec.usage())));
        }
        match spec.form {
            Form::Window { keeps, value } => self.window_call(spec, keeps, value, args),
            Form::Events => self.events_call(spec, args),
            Form::Formula { class, source } => self.formula(spec, class, source, whole, args),
            Form::Map(f) => {
                let (num, ty) = self.numeric(spec, &args[0])?;
                Ok(Typed::Num(Num::Map(spec.which(), f, Box::new(num)), ty))
            }
            Form::Fold(f) => {
                let (first, ty) = self.numeric(spec, &args[0])?;
                let mut many = vec![first];
                for arg in &args[1..] {
                    many.push(self.like(spec, (&args[0], ty), arg)?);
                }
                Ok(Typed::Num(Num::Fold(spec.which(), f, many.into()), ty))
            }
            Form::Age => {
                let slot = self.signal(spec, &args[0], false)?;
                self.clocks.push(Clock::Age(slot, None));
                Ok(Typed::Num(Num::Age(slot), SECONDS))
            }
            Form::Silent => {
                let slot = self.signal(spec, &args[0], false)?;
                let span = self.duration(spec, &spec.params[1], &args[1])?;
                self.clocks.push(Clock::Silent(slot, span.clone()));
                Ok(Typed::Truth(Truth::Silent(slot, span)))
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

    /// A quantity for that function.
    pub(super) fn numeric(&mut self, spec: &Spec, arg: &Expr) -> Result<(Num, Type), CondError> {
        let need = format!("`{}` takes a number", spec.name);
        self.number(arg, &need).map_err(|error| match (&arg.node, error.help.is_none()) {
            (Node::Name(_), true) if matches!(spec.form, Form::Window { .. }) => {
                error.help(format!("for the share of time write frac({}, 5m)", hint::shown(arg)))
            }
            _ => error,
        })
    }

    /// A quantity of the type of the first argument.
    pub(super) fn like(&mut self, spec: &Spec, first: (&Expr, Type), arg: &Expr) -> Result<Num, CondError> {
        let (num, ty) = self.numeric(spec, arg)?;
        if ty == first.1 {
            return Ok(num);
        }
        let what = format!("mix in `{}`", spec.name);
        Err(hint::types_differ(&what, first, (arg, ty), arg))
    }

    /// The slot of an argument that must be the bare name of a signal, or of a counter.
    pub(super) fn signal(&mut self, spec: &Spec, arg: &Expr, counter: bool) -> Result<u16, CondError> {
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
}

enum Pair {
    Num(Num, Num, Type),
    Truth(Truth, Truth),
    Words(Words, Words),
}

fn plural(n: usize) -> &'static str {
    if n == 1 { "" } else { "s" }
}
