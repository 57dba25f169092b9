//! Checking of calls that look at more than the moment: which window they need, over what, how long.
//!
//! A window takes any expression over signals of the bound instance and of the host, as long as no window
//! stands inside it. How long it is may depend on attributes of the instance (`beat.period`), on nothing else
//! that changes.

use std::sync::Arc;

use super::CondError;
use super::check::{BOOL, Checker, Typed};
use super::expr::{Expr, Node};
use super::hint;
use super::parse::parse;
use super::program::{Clock, Input, Num, Span, WindowSpec};
use crate::engine::event::EventKind;
use crate::engine::func::{self, Form, Gives, Param, Shape, Spec};
use crate::engine::moment::human;
use crate::engine::plan::glob_matches;
use crate::engine::signal::{Base, Class, Kind, Type};
use crate::engine::window::{Keeps, LONGEST, PERIODS, SHORTEST, SLOTS};

const SECONDS: Type = Type::of(Base::Seconds);
const RATIO: Type = Type::of(Base::Ratio);
const NUMBER: Type = Type::of(Base::Number);

/// How a line is drawn, and what is kept for it; the first is the default.
const METHODS: [(&str, Keeps); 2] = [("least-squares", Keeps::Line), ("theil-sen", Keeps::Medians)];

/// A window that is being put together: its own names, what goes in, the type of that.
struct Inner<'a> {
    checker: Checker<'a>,
    input: Input,
    ty: Type,
}

impl<'a> Checker<'a> {
    /// A call that reads a window over its first argument.
    pub(super) fn window_call(
        &mut self,
        spec: &'static Spec,
        mut keeps: Keeps,
        mut value: func::Value,
        args: &[Expr],
    ) -> Result<Typed, CondError> {
        let mut inner = self.input(spec, &args[0])?;
        let first = inner.ty;
        if spec.params[0].shape == Shape::Counted && matches!(inner.input, Input::Num(_)) {
            value = func::COUNT_ALL;
        }
        let (mut span, mut length, mut more) = (Span::Fixed(0), String::new(), Vec::new());
        for (param, arg) in spec.params.iter().zip(args).skip(1) {
            match param.shape {
                Shape::Window | Shape::Duration => {
                    span = inner.checker.duration(spec, param, arg)?;
                    length = arg.to_string();
                }
                Shape::Share => more.push(self.share(spec, arg)?),
                Shape::Seconds => more.push(self.seconds(spec, param.name, arg)?),
                Shape::Periods => keeps = Keeps::Slots(self.periods(spec, &span, arg)?),
                Shape::Method => keeps = method(spec, arg)?,
                _ => more.push(self.like(spec, (&args[0], first), arg)?),
            }
        }
        let over = args[0].to_string();
        let index = self.window(keeps, span, inner, &length, &over);
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
            Gives::Number => NUMBER,
            Gives::Ratio => RATIO,
            Gives::Seconds => SECONDS,
            Gives::Bool => BOOL,
        };
        Ok(Typed::Num(Num::Window(index, spec.which(), value, more.into()), ty))
    }

    /// The number of a window, which is shared by all that ask for the same.
    fn window(&mut self, keeps: Keeps, span: Span, inner: Inner<'_>, length: &str, over: &str) -> u16 {
        for metric in &inner.checker.metrics {
            if !self.metrics.contains(metric) {
                self.metrics.push(*metric);
            }
        }
        let key = match span {
            Span::Fixed(ns) => format!("{keeps:?} {ns} {over}"),
            Span::Bound(_) => format!("{keeps:?} {length} {over}"),
        };
        let index = self.windows.iter().position(|w| w.key == key).unwrap_or_else(|| {
            let (input, slots) = (inner.input, inner.checker.slots);
            let (over, length, ty) = (over.into(), length.into(), inner.ty);
            self.windows.push(Arc::new(WindowSpec { keeps, span, input, slots, key, over, length, ty }));
            self.windows.len() - 1
        });
        index as u16
    }

    fn inner(&self, spec: &'static Spec, at: &Expr) -> Result<Checker<'a>, CondError> {
        if let Some(outer) = self.inside {
            let text = format!("a window cannot stand inside another: `{}` in `{outer}`", spec.name);
            return Err(CondError::new(at.span.clone(), text));
        }
        let mut inner = Checker::new(self.class, self.lets);
        inner.inside = Some(spec.name);
        Ok(inner)
    }

    /// What goes into a window: an expression with slots of its own.
    fn input(&self, spec: &'static Spec, arg: &Expr) -> Result<Inner<'a>, CondError> {
        let mut inner = self.inner(spec, arg)?;
        let (input, ty) = match spec.params[0].shape {
            Shape::Condition => (Input::Truth(inner.truth(arg)?), BOOL),
            Shape::Counted => match inner.any(arg)? {
                Typed::Truth(truth) => (Input::Truth(truth), BOOL),
                Typed::Num(num, ty) => (Input::Num(num), ty),
                Typed::Words(_) => return Err(hint::not_a_condition(arg, Type::of(Base::Text))),
            },
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
        Ok(Inner { checker: inner, input, ty })
    }

    /// A duration that is constant for an instance.
    pub(super) fn duration(&mut self, spec: &Spec, param: &Param, arg: &Expr) -> Result<Span, CondError> {
        let noun = noun(param);
        let need = format!("the {noun} of `{}` is a duration", spec.name);
        let mut alone = Checker::new(self.class, self.lets);
        alone.inside = Some(spec.name);
        let (num, ty) = alone.number(arg, &need)?;
        let error = |text: String| CondError::new(arg.span.clone(), text);
        if ty != SECONDS {
            let error = error(format!("{need}, `{}` is {}", hint::shown(arg), hint::with_article(ty)));
            return Err(match num.constant() {
                Some(n) if ty == NUMBER => error.help(format!("write {n}s or {n}m")),
                _ if matches!(spec.form, Form::Window { keeps: Keeps::Extremes, .. }) => {
                    error.help("of two values least(a, b) is the smaller, greatest(a, b) the larger")
                }
                _ => error.help("write 10m"),
            });
        }
        let Some(seconds) = num.constant() else {
            let is_fixed =
                alone.clocks.is_empty() && alone.metrics.iter().all(|m| m.spec().kind == Kind::Attribute);
            return match is_fixed {
                true => Ok(Span::Bound(Box::new(self.number(arg, &need)?.0))),
                false => {
                    Err(error(format!("the {noun} of `{}` must be constant", spec.name)).help("write 10m"))
                }
            };
        };
        let ns = seconds * 1e9;
        let least = if param.name == "period" { SHORTEST * SLOTS } else { SHORTEST };
        if !(ns >= least as f64 && ns <= LONGEST as f64) {
            let (from, to) = (human(least), human(LONGEST));
            return Err(error(format!("the {noun} of `{}` must be from {from} to {to}", spec.name)));
        }
        Ok(Span::Fixed(ns.round() as i64))
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

    /// How many periods `baseline` looks back, within the longest window.
    fn periods(&mut self, spec: &Spec, period: &Span, arg: &Expr) -> Result<u8, CondError> {
        let (num, ty) = self.numeric(spec, arg)?;
        let error = |text: String| CondError::new(arg.span.clone(), text);
        let whole = num.constant().filter(|n| ty == NUMBER && n.fract() == 0.0);
        let Some(n) = whole.filter(|n| (1.0..=PERIODS as f64).contains(n)) else {
            let text = format!("`{}` looks back a whole number of periods, 1 to {PERIODS}", spec.name);
            return Err(error(text).help("write 7"));
        };
        match *period {
            Span::Fixed(ns) if ns as f64 * n > LONGEST as f64 => {
                let (all, most) = (human(ns.saturating_mul(n as i64)), human(LONGEST));
                Err(error(format!("`{}` would look back {all}, at most {most}", spec.name)))
            }
            _ => Ok(n as u8),
        }
    }

    /// `events('raise/disk-*', 1h)`.
    pub(super) fn events_call(&mut self, spec: &'static Spec, args: &[Expr]) -> Result<Typed, CondError> {
        let glob = glob(spec, &args[0])?;
        let mut checker = self.inner(spec, &args[0])?;
        let span = checker.duration(spec, &spec.params[1], &args[1])?;
        let inner = Inner { checker, input: Input::Events(glob.into()), ty: NUMBER };
        let (over, length) = (args[0].to_string(), args[1].to_string());
        let index = self.window(Keeps::Events, span, inner, &length, &over);
        Ok(Typed::Num(Num::Window(index, spec.which(), |r, _| r.sum(), Box::default()), NUMBER))
    }

    /// A function that stands for an expression over the signals of one class.
    pub(super) fn formula(
        &mut self,
        spec: &'static Spec,
        class: Class,
        source: &str,
        whole: &Expr,
        args: &[Expr],
    ) -> Result<Typed, CondError> {
        let name = class.name();
        if self.class != class {
            let text = format!("`{}` is about {name}, this rule is about {}", spec.name, self.class.name());
            return Err(
                CondError::new(whole.span.clone(), text).help(format!("write on = \"{name}\" in the rule"))
            );
        }
        if !matches!(&args[0].node, Node::Name(written) if written == name) {
            let text = format!("`{}` takes the word `{name}`, for the one the rule is judged for", spec.name);
            return Err(CondError::new(args[0].span.clone(), text).help(format!(
                "write {}({name}, {})",
                spec.name,
                hint::shown(&args[1])
            )));
        }
        self.inner(spec, whole)?.duration(spec, &spec.params[1], &args[1])?;
        let window = |name: &str| (name == "w").then(|| args[1].clone());
        let meant = parse(source).and_then(|formula| formula.expand(&window));
        meant.and_then(|formula| self.any(&formula)).map_err(|e| CondError { span: whole.span.clone(), ..e })
    }
}

/// What a duration is called in messages.
fn noun(param: &Param) -> &'static str {
    match param.name {
        "w" => "window",
        "tau" => "time constant",
        "period" => "period",
        _ => "time",
    }
}

fn method(spec: &Spec, arg: &Expr) -> Result<Keeps, CondError> {
    let names = || METHODS.iter().map(|(name, _)| *name);
    let Node::Text(text) = &arg.node else {
        let text = format!("the method of `{}` stands in quotes", spec.name);
        return Err(CondError::new(arg.span.clone(), text).help("write 'theil-sen', or leave it out"));
    };
    match METHODS.iter().find(|(name, _)| name == text) {
        Some((_, keeps)) => Ok(*keeps),
        None => {
            let error = CondError::new(arg.span.clone(), format!("no method is called '{text}'"));
            let near = hint::did_you_mean(text, names());
            Err(error.help(near.unwrap_or_else(|| "methods are 'least-squares' and 'theil-sen'".to_owned())))
        }
    }
}

/// A glob on `kind/rule` that can match something.
fn glob<'e>(spec: &Spec, arg: &'e Expr) -> Result<&'e str, CondError> {
    let kinds = || EventKind::ALL.map(EventKind::name);
    let error = |text: String| CondError::new(arg.span.clone(), text);
    let Node::Text(text) = &arg.node else {
        let text = format!("`{}` takes a glob in quotes: kind, `/`, id of the rule", spec.name);
        return Err(error(text).help("write 'raise/disk-*'"));
    };
    if text == "*" {
        return Ok(text);
    }
    let Some((kind, _)) = text.split_once('/') else {
        let text = "an event is named by its kind and the id of its rule".to_owned();
        return Err(error(text).help(format!("write 'raise/{}'", arg_text(arg))));
    };
    if kinds().iter().any(|known| glob_matches(kind, known)) {
        return Ok(text);
    }
    let error = error(format!("no kind of event is called `{kind}`"));
    let near = hint::did_you_mean(kind, kinds().into_iter());
    Err(error.help(near.unwrap_or_else(|| format!("kinds are {}", kinds().join(" ")))))
}

/// The text of a literal, short.
fn arg_text(arg: &Expr) -> String {
    hint::shown(arg).trim_matches('\'').to_owned()
}
