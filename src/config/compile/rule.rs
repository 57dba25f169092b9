//! One rule: defaults filled in, conditions compiled.

use std::collections::BTreeMap;

use super::{action, hash, lint, title};
use crate::config::diagnose::{Finding, Report};
use crate::config::raw::{RawDefaults, RawMeta, RawRule, RawStep};
use crate::config::walk::{Text, shorten};
use crate::engine::cond::{self, Cond};
use crate::engine::moment::MINUTE;
use crate::engine::plan::{Rule, Silence, StepPlan, default_reopen};
use crate::engine::record::{Nature, Severity};
use crate::engine::signal::Class;

/// How long a raise must hold when no layer says.
const FOR: i64 = MINUTE;
/// How long a clear must hold when no layer says.
const KEEP: i64 = 5 * MINUTE;
/// Share of expected samples that a window needs when no layer says.
const MIN_COVERAGE: f64 = 0.5;

/// Conditions that were compiled: rules that say the same share one program.
#[derive(Default)]
pub struct Shared {
    conditions: BTreeMap<Said, Cond>,
    /// Those of `let`, which may be of any type.
    lets: BTreeMap<Said, Cond>,
}

/// What the meaning of a condition depends on: the class, the `let` expressions with their names, its text.
type Said = (Class, Vec<(String, String)>, String);

/// Compiles a rule; `defaults` are the layers below it, nearest first. `None` when something is wrong with
/// it.
pub fn compile(
    raw: &RawRule,
    defaults: &[&RawDefaults],
    shared: &mut Shared,
    report: &mut Report,
) -> Option<Rule> {
    let class = raw.class?;
    let mut conditions = Conditions::new(&raw.id.0, class);
    for (name, text) in &raw.lets {
        conditions.add_let(name, text, shared, report);
    }
    let titled = raw.title.as_ref().map(|t| title::check(t, class, &conditions.lets, &conditions.failed));
    let wrong = titled.unwrap_or_default();
    let sound = !wrong.iter().any(Finding::is_error) && conditions.failed.is_empty();
    wrong.into_iter().for_each(|finding| report.add(finding));

    let written: Vec<&RawStep> =
        if raw.steps.is_empty() { vec![&raw.own] } else { raw.steps.iter().collect() };
    let compiled = written.iter().map(|step| conditions.step(step, raw, defaults, shared, report));
    let steps: Option<Vec<_>> = compiled.collect::<Vec<_>>().into_iter().collect();
    let action = raw.action.as_ref().map(|action| action::compile(action, class, &conditions, report));
    let lets = conditions.lets;
    let steps = steps.filter(|_| sound)?;
    let raises: Vec<_> =
        written.iter().zip(&steps).filter_map(|(w, s)| Some((w.raise.as_ref()?, &s.raise))).collect();
    lint::percent(&raw.id.0, &raises, report);

    let first = |get: &dyn Fn(&RawMeta) -> Option<String>| {
        get(&raw.meta).or_else(|| defaults.iter().find_map(|d| get(&d.meta)))
    };
    let nature = pick(&raw.meta, defaults, |m| m.nature).unwrap_or(Nature::Fault);
    let mut rule = Rule {
        id: raw.id.0.clone(),
        hash: String::new(),
        origin: report.origin(raw.at),
        class,
        matches: raw.matches.clone(),
        title: raw.title.as_ref().map(|t| t.value.clone()).unwrap_or_default(),
        description: raw.description.as_ref().map(|d| d.trim().to_owned()).unwrap_or_default(),
        runbook: first(&|m| m.runbook.clone()),
        nature,
        category: first(&|m| m.category.clone()).unwrap_or_else(|| category(class).to_owned()),
        outage: pick(&raw.meta, defaults, |m| m.outage).unwrap_or(false),
        service: first(&|m| m.service.clone()),
        labels: labels(raw, defaults),
        reopen: pick(&raw.meta, defaults, |m| m.reopen).unwrap_or(default_reopen(nature)),
        stale: pick(&raw.meta, defaults, |m| m.stale).unwrap_or(0),
        min_coverage: pick(&raw.meta, defaults, |m| m.min_coverage).unwrap_or(MIN_COVERAGE),
        steps,
        lets,
        silence: Silence {
            on_missing: pick(&raw.meta, defaults, |m| m.on_missing).unwrap_or_default(),
            nodata_after: pick(&raw.meta, defaults, |m| m.nodata_after),
            of: None,
        },
        every: pick(&raw.meta, defaults, |m| m.every).unwrap_or(0),
        cause_hint: raw.cause_hint,
        action: action.map_or(Some(None), |a| a.map(Some))?,
    };
    rule.hash = hash::rule(&rule);
    Some(rule)
}

/// A key of the rule, else of the nearest layer that has it.
fn pick<T: Copy>(own: &RawMeta, defaults: &[&RawDefaults], get: impl Fn(&RawMeta) -> Option<T>) -> Option<T> {
    get(own).or_else(|| defaults.iter().find_map(|d| get(&d.meta)))
}

fn labels(raw: &RawRule, defaults: &[&RawDefaults]) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    for layer in defaults.iter().rev() {
        labels.extend(layer.meta.labels.clone());
    }
    labels.extend(raw.meta.labels.clone());
    labels
}

/// The category of rules that name none.
fn category(class: Class) -> &'static str {
    match class {
        Class::Host => "host/general",
        Class::Cpu => "cpu/core",
        Class::Fs => "storage/filesystem",
        Class::Disk => "storage/disk",
        Class::Net => "network/interface",
        Class::Unit => "service/unit",
        Class::Proc => "service/process",
        Class::Check | Class::Plugin => "service/endpoint",
        Class::Log => "log/pattern",
        Class::Beat => "job/heartbeat",
        Class::Slo => "service/slo",
        Class::Sexton => "monitoring/sexton",
    }
}

/// Compiles the conditions of one rule.
pub struct Conditions<'r> {
    rule: &'r str,
    class: Class,
    lets: Vec<(String, Cond)>,
    /// Names whose expression is wrong: that they are then unknown elsewhere is not worth a message.
    failed: Vec<String>,
}

impl<'r> Conditions<'r> {
    fn new(rule: &'r str, class: Class) -> Self {
        Self { rule, class, lets: Vec::new(), failed: Vec::new() }
    }

    fn add_let(&mut self, name: &Text, text: &Text, shared: &mut Shared, report: &mut Report) {
        let said = self.said(text);
        let compiled = match shared.lets.get(&said) {
            Some(cond) => Ok(cond.clone()),
            None => cond::compile_any(&text.value, self.class, &self.lets),
        };
        match compiled {
            Ok(compiled) => {
                shared.lets.entry(said).or_insert_with(|| compiled.clone());
                self.lets.push((name.value.clone(), compiled));
            }
            Err(error) => {
                self.refuse(&format!("let.{}", name.value), text, error, report);
                self.failed.push(name.value.clone());
            }
        }
    }

    fn condition(&self, key: &str, text: &Text, shared: &mut Shared, report: &mut Report) -> Option<Cond> {
        let said = self.said(text);
        if let Some(cond) = shared.conditions.get(&said) {
            return Some(cond.clone());
        }
        let compiled = self.compiled(key, text, cond::compile, report)?;
        shared.conditions.insert(said, compiled.clone());
        Some(compiled)
    }

    fn said(&self, text: &Text) -> Said {
        let lets = self.lets.iter().map(|(name, cond)| (name.clone(), cond.source.clone()));
        (self.class, lets.collect(), text.value.clone())
    }

    /// Compiles a text by one of the ways to compile a condition.
    pub fn compiled(
        &self,
        key: &str,
        text: &Text,
        compile: fn(&str, Class, &cond::Lets) -> Result<Cond, cond::CondError>,
        report: &mut Report,
    ) -> Option<Cond> {
        match compile(&text.value, self.class, &self.lets) {
            Ok(compiled) => Some(compiled),
            Err(error) => {
                self.refuse(key, text, error, report);
                None
            }
        }
    }

    fn refuse(&self, key: &str, text: &Text, error: cond::CondError, report: &mut Report) {
        let follows = text.value.get(error.span.clone()).is_some_and(|t| self.failed.iter().any(|f| f == t));
        if follows {
            return;
        }
        let message = format!("`{key}` of rule `{}`: {}", self.rule, error.message);
        let finding = Finding::error(text.part(error.span), message);
        report.add(match error.help {
            Some(help) => finding.help(help),
            None => finding,
        });
    }

    fn step(
        &self,
        step: &RawStep,
        raw: &RawRule,
        defaults: &[&RawDefaults],
        shared: &mut Shared,
        report: &mut Report,
    ) -> Option<StepPlan> {
        let layers = || [step, &raw.own].into_iter().chain(defaults.iter().filter_map(|d| d.step.as_ref()));
        let severity = layers().find_map(|l| l.severity).unwrap_or(Severity::Warning);
        let urgency = match severity {
            Severity::Critical => 2,
            Severity::Warning | Severity::Info => 3,
        };
        let raise_text = step.raise.as_ref();
        let raise = raise_text.and_then(|text| self.condition("raise", text, shared, report));
        if let (Some(cond), Some(text)) = (&raise, raise_text) {
            lint::raise(self.rule, text, cond, report);
        }
        let clear_text = step.clear.as_ref().or(raw.own.clear.as_ref());
        let clear = match (clear_text, &raise, raise_text) {
            (Some(text), ..) => {
                let clear = self.condition("clear", text, shared, report);
                clear.iter().for_each(|cond| lint::clear(self.rule, text, cond, raise.as_ref(), report));
                clear
            }
            (None, Some(raise), Some(text)) => {
                let clear = cond::default_clear(raise);
                report.add(no_clear(self.rule, text, &clear));
                Some(clear)
            }
            _ => None,
        };
        Some(StepPlan {
            severity,
            impact: [step, &raw.own].into_iter().find_map(|l| l.impact),
            urgency: layers().find_map(|l| l.urgency).unwrap_or(urgency),
            raise: raise?,
            clear: clear?,
            for_: layers().find_map(|l| l.for_).unwrap_or(FOR),
            keep: layers().find_map(|l| l.keep).unwrap_or(KEEP),
        })
    }
}

fn no_clear(rule: &str, text: &Text, clear: &Cond) -> Finding {
    Finding::warning(text.at, format!("rule `{rule}` has no `clear`"))
        .lint(lint::MISSING_CLEAR)
        .label(format!("ends when: {}", shorten(clear.canonical())))
        .help("give it a `clear` with a limit of its own, so that a value at the limit opens one incident")
}
