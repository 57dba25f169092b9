//! The guard of an action: a condition that may name, beside signals, the facts of the incident.

use std::sync::Arc;

use super::check::{self, Checker, Typed};
use super::expr::Expr;
use super::program::{Truth, Words};
use super::{Cond, CondError, Lets, expanded, hint};
use crate::engine::signal::{Base, Class, Metric, Type};

/// What is known of the incident whose action is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fact {
    /// `'info'`, `'warning'`, `'critical'`.
    Severity,
    /// `'P1'` to `'P5'`.
    Priority,
    /// A maintenance window is open for it.
    Maintenance,
    /// It flaps.
    Flapping,
}

impl Fact {
    /// Every fact.
    pub const ALL: [Fact; 4] = [Fact::Severity, Fact::Priority, Fact::Maintenance, Fact::Flapping];

    /// As conditions call it.
    pub fn name(self) -> &'static str {
        match self {
            Fact::Severity => "severity",
            Fact::Priority => "priority",
            Fact::Maintenance => "maintenance",
            Fact::Flapping => "flapping",
        }
    }

    /// What it may say; none for a truth.
    pub fn words(self) -> &'static [&'static str] {
        match self {
            Fact::Severity => &["info", "warning", "critical"],
            Fact::Priority => &["P1", "P2", "P3", "P4", "P5"],
            Fact::Maintenance | Fact::Flapping => &[],
        }
    }
}

/// Compiles the guard of an action (`only_if`) for instances of `class`: a condition over signals and
/// [`Fact`]s.
///
/// # Errors
/// The first mistake, with the bytes to underline.
pub fn compile_guard(source: &str, class: Class, lets: &Lets) -> Result<Cond, CondError> {
    let expr = expanded(source, lets)?;
    let program = check::guard(&expr, class, lets)?;
    if program.ty != Type::of(Base::Bool) {
        return Err(hint::not_a_condition(&expr, program.ty));
    }
    Ok(Cond { source: source.to_owned(), program: Arc::new(program), expr: None })
}

impl Checker<'_> {
    /// The fact of that name; a mistake where only signals can be named, unless a `let` is called so.
    pub(super) fn fact(&self, expr: &Expr, name: &str) -> Result<Option<Typed>, CondError> {
        let Some(fact) = Fact::ALL.into_iter().find(|f| f.name() == name) else {
            let is_signal = Metric::find(name).is_some() || !self.is_guard;
            let near = || hint::did_you_mean(name, Fact::ALL.into_iter().map(Fact::name));
            let Some(help) = (!is_signal).then(near).flatten() else { return Ok(None) };
            let text = format!("no signal, `let` or fact of an incident is called `{name}`");
            return Err(CondError::new(expr.span.clone(), text).help(help));
        };
        if !self.is_guard || self.inside.is_some() {
            let text = format!("`{name}` is known of an incident only, not of an instance");
            return Err(CondError::new(expr.span.clone(), text)
                .help("it can stand in the `only_if` of an action, outside of windows"));
        }
        Ok(Some(match fact.words() {
            [] => Typed::Truth(Truth::Fact(fact)),
            _ => Typed::Words(Words::Fact(fact)),
        }))
    }
}

/// A fact compared with a word that it never says is a slip.
pub(super) fn check_word(left: (&Words, &Expr), right: (&Words, &Expr)) -> Result<(), CondError> {
    for ((one, _), (other, written)) in [(left, right), (right, left)] {
        let (Words::Fact(fact), Words::Const(word)) = (one, other) else { continue };
        if fact.words().iter().any(|w| *w == &**word) {
            continue;
        }
        let text = format!("`{}` is never '{word}'", fact.name());
        let known: Vec<_> = fact.words().iter().map(|w| format!("'{w}'")).collect();
        return Err(CondError::new(written.span.clone(), text).help(format!("it is {}", known.join(", "))));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::cond::program::{Root, View};

    /// An incident: its severity, and whether it flaps. Nothing is known of signals.
    struct Incident(&'static str, bool);

    impl View for Incident {
        fn number(&self, _: u16) -> f64 {
            f64::NAN
        }
        fn truth(&self, _: u16) -> Option<bool> {
            None
        }
        fn words(&self, _: u16) -> Option<&str> {
            None
        }
        fn age(&self, _: u16) -> Option<i64> {
            None
        }
        fn waited(&self, _: u16) -> i64 {
            0
        }
        fn window(&self, _: u16) -> Option<crate::engine::window::Reading<'_>> {
            None
        }
        fn fact(&self, fact: Fact) -> Option<bool> {
            (fact == Fact::Flapping).then_some(self.1)
        }
        fn fact_words(&self, fact: Fact) -> Option<&str> {
            (fact == Fact::Severity).then_some(self.0)
        }
    }

    #[test]
    fn a_guard_asks_the_incident() {
        for (text, incident, verdict) in [
            ("severity == 'critical' and not flapping", Incident("critical", false), Some(true)),
            ("severity == 'critical' and not flapping", Incident("critical", true), Some(false)),
            ("severity in ['info', 'warning']", Incident("critical", false), Some(false)),
            ("not maintenance", Incident("critical", false), None),
            ("flapping or unit.active", Incident("info", true), Some(true)),
        ] {
            let cond = compile_guard(text, Class::Unit, &[]).unwrap();
            let Root::Truth(truth) = &cond.program().root else { panic!("{text}") };
            assert_eq!(truth.eval(&incident), verdict, "{text}");
        }
    }

    #[test]
    fn what_no_guard_can_ask_is_said() {
        for (text, said) in [
            ("severity == 'critcal'", "`severity` is never 'critcal'"),
            ("priority == 'high'", "`priority` is never 'high'"),
            ("severity > 2", "cannot compare"),
            ("not maintenence", "fact of an incident is called `maintenence`"),
            ("frac(flapping, 5m) > 10%", "known of an incident only"),
            ("fs.readonly", "is a signal of fs"),
        ] {
            let error = compile_guard(text, Class::Unit, &[]).unwrap_err();
            assert!(error.message.contains(said), "{text}: {}", error.message);
        }
        let error = crate::engine::cond::compile("not maintenance", Class::Unit, &[]).unwrap_err();
        assert!(error.message.contains("known of an incident only"), "{}", error.message);
    }
}
