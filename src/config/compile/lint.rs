//! Lints: what can be loaded and is probably not meant. Each has a name, a place, and what to write instead.
//!
//! | name | of what |
//! |---|---|
//! | missing-clear | a rule without a limit of its own for the end |
//! | never-clears | a `clear` that points the same way as `raise` |
//! | unit-mistake | a limit or a state that no value ever has, or a limit a thousand times off |
//! | percent-only | a share of a file system's size without space left or forecast |
//! | short-forecast | a forecast much further ahead than it looks back, or from too few samples |
//! | binds-nothing | a rule that no instance can have |
//! | shadowed-rule | a rule or step that another one hides |

use std::collections::BTreeMap;

use super::Known;
use crate::config::diagnose::{At, Finding, Report};
use crate::config::source::Role;
use crate::config::suggest::one_of;
use crate::config::value;
use crate::config::walk::{Text, shorten};
use crate::config::{Config, Doors};
use crate::engine::cond::{Compared, Cond, Relation, human};
use crate::engine::moment::{DAY, HOUR, MINUTE, human as duration};
use crate::engine::option::OptionValue;
use crate::engine::plan::{Globs, Rule};
use crate::engine::signal::{Base, Class, Instance, Metric, metric};

/// A rule without `clear`.
pub const MISSING_CLEAR: &str = "missing-clear";
const UNIT_MISTAKE: &str = "unit-mistake";
const PERCENT_ONLY: &str = "percent-only";
const SHORT_FORECAST: &str = "short-forecast";
const BINDS_NOTHING: &str = "binds-nothing";
const SHADOWED_RULE: &str = "shadowed-rule";
const NEVER_CLEARS: &str = "never-clears";

/// What systemd calls the states of a unit (`systemctl --state=help`, ACTIVE).
const UNIT_STATES: [&str; 8] =
    ["active", "reloading", "inactive", "failed", "activating", "deactivating", "maintenance", "refreshing"];
/// Classes whose signals come from what this version does not read yet.
const UNREAD: [Class; 4] = [Class::Plugin, Class::Log, Class::Beat, Class::Slo];

/// How many times its window a forecast may look ahead: six hours of data for six days.
const AHEAD: i64 = 24;
/// A tebibyte.
const TIB: f64 = 1_099_511_627_776.0;
/// Fewest samples that a slope is drawn through.
const FEWEST: i64 = 10;
/// Shares that may be more than one: of one CPU, not of all.
const BEYOND_ONE: [&str; 2] = ["proc.cpu", "cgroup.cpu"];

/// Looks at a raise condition.
pub fn raise(rule: &str, text: &Text, cond: &Cond, report: &mut Report) {
    units(rule, text, cond, report);
    states(rule, text, cond, report);
    forecasts(rule, text, cond, report);
}

/// Looks at a clear condition.
pub fn clear(rule: &str, text: &Text, cond: &Cond, raise: Option<&Cond>, report: &mut Report) {
    units(rule, text, cond, report);
    states(rule, text, cond, report);
    if let Some(raise) = raise {
        direction(rule, text, cond, raise, report);
    }
}

/// `clear = "fs.used > 80%"` beside `raise = "fs.used > 90%"`: what is well again is below both.
fn direction(rule: &str, text: &Text, cond: &Cond, raise: &Cond, report: &mut Report) {
    let is_up = |relation| match relation {
        Relation::Greater | Relation::GreaterOrEqual => Some(true),
        Relation::Less | Relation::LessOrEqual => Some(false),
        Relation::Equal | Relation::NotEqual => None,
    };
    let (ends, begins) = (cond.program().comparisons(), raise.program().comparisons());
    let ([end], [begin]) = (&ends[..], &begins[..]) else { return };
    let is_alone = |one: &Compared<'_>, of: &Cond| one.compare.text() == of.canonical();
    let is_same =
        end.metric == begin.metric && is_up(end.relation).is_some_and(|up| is_up(begin.relation) == Some(up));
    if !is_same || !is_alone(end, cond) || !is_alone(begin, raise) {
        return;
    }
    let sign = end.compare.relation.sign();
    let other = if sign.starts_with('>') { sign.replace('>', "<") } else { sign.replace('<', ">") };
    let message = format!("rule `{rule}`: `clear` points the same way as `raise`");
    let finding = Finding::warning(text.at, message).lint(NEVER_CLEARS);
    let better = end.compare.text().replacen(sign, &other, 1);
    report
        .add(finding.label("not true any more when all is well").help(format!("write clear = \"{better}\"")));
}

/// A state that no unit ever has.
fn states(rule: &str, text: &Text, cond: &Cond, report: &mut Report) {
    const STATE: Metric = metric("unit.state");
    let mut texts = cond.metrics().iter().filter(|m| m.spec().ty.base == Base::Text);
    if !cond.metrics().contains(&STATE) || texts.any(|m| *m != STATE) {
        return;
    }
    let words = cond.canonical().split('\'').skip(1).step_by(2);
    for word in words.filter(|word| !UNIT_STATES.contains(word)) {
        let message = format!("rule `{rule}`: `unit.state` is never '{}'", shorten(word));
        let finding = Finding::warning(place(text, &format!("'{word}'")), message).lint(UNIT_MISTAKE);
        report.add(finding.help(format!("states of systemd: {}", one_of(UNIT_STATES))));
    }
}

/// The bytes of a part of a condition, when it stands there as it is; else all of it.
fn place(text: &Text, part: &str) -> At {
    text.value.find(part).map_or(text.at, |at| text.part(at..at + part.len()))
}

/// Says which part is meant where it cannot be underlined by itself.
fn named(finding: Finding, text: &Text, part: String) -> Finding {
    if text.value.contains(&part) { finding } else { finding.label(part) }
}

fn units(rule: &str, text: &Text, cond: &Cond, report: &mut Report) {
    for compared in cond.program().comparisons() {
        let Some((why, help)) = odd(compared.metric, compared.relation, compared.limit) else { continue };
        let part = compared.compare.text();
        let finding =
            Finding::warning(place(text, &part), format!("rule `{rule}`: {why}")).lint(UNIT_MISTAKE);
        report.add(named(finding, text, part).help(help));
    }
}

/// What is odd about a limit of a signal, and what to write instead.
fn odd(metric: Metric, relation: Relation, limit: f64) -> Option<(String, String)> {
    let (name, ty) = (metric.name(), metric.spec().ty);
    let value = || human(limit, ty);
    let said = |help: String| Some((format!("{} is an odd limit for {name}", value()), help));
    match ty.base {
        _ if ty.per_second => None,
        Base::Ratio if BEYOND_ONE.contains(&name) => None,
        Base::Ratio => {
            let never = match relation {
                Relation::Greater => limit >= 1.0,
                Relation::GreaterOrEqual => limit > 1.0 + 1e-9,
                Relation::Less => limit <= 0.0,
                Relation::LessOrEqual => limit < 0.0,
                _ => false,
            };
            if never {
                let why = format!("{name} {} {} is never true", relation.sign(), value());
                return Some((why, format!("{name} goes from 0 % to 100 %")));
            }
            let meant = limit * 10_000.0;
            let tiny = (0.005..0.01).contains(&limit)
                && matches!(relation, Relation::Greater | Relation::GreaterOrEqual);
            if tiny {
                said(format!("0.9 of the whole is written 90%: write {meant:.0}% if that is meant"))
            } else {
                None
            }
        }
        Base::Bytes if limit > 0.0 && limit < 1_048_576.0 => {
            said("it is next to nothing: memory and disks are counted in MiB and GiB".to_owned())
        }
        Base::Seconds if name == "check.cert_left" && limit > 0.0 && limit < 3600.0 => {
            said("`m` is minutes and `s` seconds; days are `d`: write 21d".to_owned())
        }
        Base::Seconds if name.ends_with(".latency") && limit > 60.0 => {
            said(format!("nothing waits that long: write {:.0}ms if that is meant", limit))
        }
        _ => None,
    }
}

/// `fs.used > 95%` leaves 5 GB on one host and 1 TB on another: a rule that looks at nothing else is about
/// neither.
pub fn percent(rule: &str, raises: &[(&Text, &Cond)], report: &mut Report) {
    const USED: Metric = metric("fs.used");
    const AVAIL: Metric = metric("fs.avail");
    const RELIEVED: [&str; 6] = ["fs.avail", "fs.size", "eta(", "forecast(", "deriv(", "delta("];
    if raises.iter().any(|(_, cond)| RELIEVED.iter().any(|r| cond.canonical().contains(r))) {
        return;
    }
    for (text, cond) in raises {
        let is_share = |c: &Compared<'_>| {
            c.metric == USED && matches!(c.relation, Relation::Greater | Relation::GreaterOrEqual)
        };
        let comparisons = cond.program().comparisons();
        let Some(share) = comparisons.iter().find(|c| is_share(c)) else { continue };
        let part = share.compare.text();
        let message = format!("rule `{rule}`: a share alone says little about a large file system");
        let left = human((1.0 - share.limit).max(0.0) * 20.0 * TIB, AVAIL.spec().ty);
        let finding = Finding::warning(place(text, &part), message).lint(PERCENT_ONLY);
        report.add(finding.label(format!("of 20 TiB, {left} would be left")).help(format!(
            "add the space that is left or when it will be full:\n{part} and fs.avail < 50GiB\n{part} and \
             eta(fs.used, 100%, 6h) < 3d"
        )));
        return;
    }
}

fn forecasts(rule: &str, text: &Text, cond: &Cond, report: &mut Report) {
    if cond.windows().is_empty() {
        return;
    }
    let canonical = cond.canonical();
    for (name, window_at) in [("eta", 2), ("forecast", 1)] {
        for (call, args, rest) in calls(canonical, name) {
            let of = |at: usize| args.get(at).and_then(|a| value::duration(a).ok());
            let Some(window) = of(window_at).filter(|w| *w > 0) else { continue };
            let ahead = if name == "forecast" { of(2) } else { limit_behind(rest) };
            let short = ahead.filter(|ahead| *ahead > AHEAD * window);
            let message = match short {
                Some(ahead) => {
                    let (ahead, window) = (duration(ahead), duration(window));
                    format!("rule `{rule}`: looks {ahead} ahead from {window} of data")
                }
                None => continue,
            };
            let longer = duration(round(short.unwrap_or(window) / AHEAD));
            let finding = Finding::warning(place(text, call), message).lint(SHORT_FORECAST);
            report.add(
                named(finding, text, shorten(call))
                    .help(format!("a bump in the window becomes days: take at least {longer}")),
            );
        }
    }
}

/// A duration that a person would write.
fn round(ns: i64) -> i64 {
    [MINUTE, 5 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY]
        .into_iter()
        .find(|step| *step >= ns)
        .unwrap_or(ns)
}

/// `< 3d` behind a call: how far ahead it is asked.
fn limit_behind(rest: &str) -> Option<i64> {
    let limit = rest.trim_start().strip_prefix('<')?.trim_start_matches('=').trim_start();
    let end = limit.find([' ', ')', ',']).unwrap_or(limit.len());
    value::duration(&limit[..end]).ok()
}

/// The calls of a function in a canonical condition: the call, its arguments, what follows.
fn calls<'c>(canonical: &'c str, name: &str) -> Vec<(&'c str, Vec<&'c str>, &'c str)> {
    let mut all = Vec::new();
    for (start, _) in canonical.match_indices(name) {
        let open = start + name.len() + 1;
        if !canonical[start + name.len()..].starts_with('(') {
            continue;
        }
        let is_other = canonical[..start].ends_with(|c: char| c.is_ascii_alphanumeric() || "._-".contains(c));
        let (mut depth, mut args, mut from) = (1, Vec::new(), open);
        for (at, c) in canonical[open..].char_indices().map(|(i, c)| (open + i, c)) {
            match c {
                '(' | '[' => depth += 1,
                ')' | ']' => depth -= 1,
                _ => {}
            }
            if depth == 0 || (depth == 1 && c == ',') {
                args.push(canonical[from..at].trim());
                from = at + 1;
            }
            if depth == 0 {
                if !is_other {
                    all.push((&canonical[start..=at], args, &canonical[at + 1..]));
                }
                break;
            }
        }
    }
    all
}

/// A rule is built in.
pub fn is_builtin(at: At, report: &Report) -> bool {
    report.sources.get(at.file as usize).is_some_and(|s| s.role == Role::Builtin)
}

/// A rule takes the place of one of the same id: meant for one that is built in, doubtful for one's own.
pub fn replaced(old: &(String, At), new: &(String, At), report: &mut Report) {
    if is_builtin(old.1, report) || old.1.file == new.1.file {
        return;
    }
    let message = format!("rule `{}` takes the place of the one in an earlier file", shorten(&new.0));
    let finding =
        Finding::warning(new.1, message).lint(SHADOWED_RULE).also(old.1, "this one is never judged");
    report.add(finding.help("take one of them out, give it an id of its own, or edit it by [[override]]"));
}

/// Looks at all rules together with what they watch.
pub fn rules(rules: &BTreeMap<String, Known>, config: &Config, doors: &Doors, report: &mut Report) {
    for known in rules.values() {
        let Some(rule) = &known.plan else { continue };
        steps(rule, known.id.1, report);
        few_samples(rule, known.id.1, config.interval, report);
        if known.is_shipped {
            // It waits for what a host may have one day.
            continue;
        }
        if let Some(why) = binds_nothing(rule, config, doors) {
            let finding = Finding::warning(known.id.1, format!("rule `{}` binds nothing", rule.id));
            report.add(finding.lint(BINDS_NOTHING).label(why.0).help(why.1));
        }
    }
    // What a companion says twice its rule has said.
    let mut seen: BTreeMap<_, &Known> = BTreeMap::new();
    for known in rules.values() {
        let Some(rule) = known.plan.as_ref().filter(|rule| rule.silence.of.is_none()) else { continue };
        let conditions: Vec<_> = rule.steps.iter().map(|s| s.raise.canonical()).collect();
        let matches: Vec<_> = rule.matches.0.iter().map(|(label, globs)| (label, &globs.0)).collect();
        let meaning = (rule.class, matches, conditions);
        if let Some(other) = seen.get(&meaning) {
            let message = format!("rules `{}` and `{}` raise on the same condition", other.id.0, rule.id);
            let finding =
                Finding::warning(known.id.1, message).lint(SHADOWED_RULE).also(other.id.1, "the other one");
            report.add(finding.help("one fault becomes two incidents: take one out, or `enabled = false`"));
        } else {
            seen.insert(meaning, known);
        }
    }
}

/// A line through a handful of samples follows every jitter.
fn few_samples(rule: &Rule, at: At, interval: i64, report: &mut Report) {
    for (name, window_at) in [("eta", 2), ("forecast", 1), ("deriv", 1)] {
        let looking_back = rule.steps.iter().filter(|s| !s.raise.windows().is_empty());
        for canonical in looking_back.map(|s| s.raise.canonical()) {
            for (call, args, _) in calls(canonical, name) {
                let window = args.get(window_at).and_then(|a| value::duration(a).ok()).filter(|w| *w > 0);
                let Some(window) = window.filter(|w| *w < FEWEST * interval) else { continue };
                let message = format!(
                    "rule `{}`: {} draws a line through {} samples",
                    rule.id,
                    shorten(call),
                    window / interval
                );
                let least = duration(round(FEWEST * interval));
                let finding = Finding::warning(at, message).lint(SHORT_FORECAST);
                report.add(
                    finding.help(format!("samples come every {}: take at least {least}", duration(interval))),
                );
                return;
            }
        }
    }
}

/// A step whose condition is that of a more severe one is never the highest.
fn steps(rule: &Rule, at: At, report: &mut Report) {
    for (i, low) in rule.steps.iter().enumerate() {
        let hides = |high: &&crate::engine::plan::StepPlan| {
            let is_same = high.raise.canonical() == low.raise.canonical();
            is_same && high.severity > low.severity && high.for_ <= low.for_
        };
        if rule.steps.iter().find(hides).is_some() {
            let message = format!("step {} of rule `{}` never shows", i + 1, rule.id);
            let finding = Finding::warning(at, message).lint(SHADOWED_RULE);
            report.add(finding.help("a more severe step has the same condition and waits no longer"));
        }
    }
}

/// Why no instance can have this rule, and what to do.
fn binds_nothing(rule: &Rule, config: &Config, doors: &Doors) -> Option<(String, String)> {
    for (label, globs) in &rule.matches.0 {
        if accepts_nothing(globs) {
            let help = "the last glob that matches decides: put the exclusions before what is to be taken, or take them out";
            return Some((format!("`match.{label}` takes nothing"), help.to_owned()));
        }
    }
    if let Some(off) = switched_off(rule, config, doors) {
        let help = format!("take `{off} = false` out of [collect], or the rule");
        return Some((format!("the collector `{off}` is switched off"), help));
    }
    match rule.class {
        class if UNREAD.contains(&class) && !is_read(rule, doors) => {
            let help = "this version checks, tests and replays such a rule; nothing on a host feeds it yet";
            Some((format!("nothing reads {} in this version", signals(rule)), help.to_owned()))
        }
        Class::Unit => {
            let bare = rule
                .matches
                .0
                .get("unit")
                .filter(|globs| globs.0.iter().all(|g| !g.contains(['.', '*', '?'])))?;
            let name = bare.0.first()?;
            Some((format!("no unit is called {name:?}"), format!("write the whole name: \"{name}.service\"")))
        }
        Class::Check => {
            let of = |id: &str, kind: &str| Instance::of(Class::Check, &[("check", id), ("kind", kind)]);
            let bound = config.checks.iter().filter(|c| rule.matches.accepts(&of(&c.id, c.kind)));
            let kinds: Vec<_> = bound.map(|c| c.kind).collect();
            if !kinds.is_empty() {
                return unseen(rule, &kinds, doors);
            }
            let ids: Vec<_> = config.checks.iter().map(|c| c.id.as_str()).collect();
            let known = if ids.is_empty() {
                "there is none".to_owned()
            } else {
                format!("there are {}", shorten(&ids.join(", ")))
            };
            Some(("no [[check]] matches".to_owned(), format!("{known}: write one, or mend `match`")))
        }
        Class::Proc => {
            let watched = config.collectors.iter().flat_map(|c| {
                let watch = match c.options.0.get("watch") {
                    Some(OptionValue::List(names)) => names.as_slice(),
                    _ => &[],
                };
                watch.iter().chain(&c.names)
            });
            let of = |name: &str| Instance::of(Class::Proc, &[("name", name)]);
            let bound = doors.collectors.is_empty()
                || watched.into_iter().any(|name| rule.matches.accepts(&of(name)));
            let help = "write a name without `*` in match.name, or list names in [collect] proc = { watch = [\"…\"] }";
            (!bound).then(|| ("no process is watched that it matches".to_owned(), help.to_owned()))
        }
        _ => None,
    }
}

/// A signal that no check of these kinds has, and nothing else of a check is asked: `check.cert_left` of tcp.
fn unseen(rule: &Rule, kinds: &[&str], doors: &Doors) -> Option<(String, String)> {
    let has = |name: &str, kind: &str| {
        doors.checks.iter().any(|door| door.kind == kind && door.signals.contains(&name))
    };
    let metrics = rule.steps.iter().flat_map(|s| s.raise.metrics());
    let mut own = metrics.filter(|m| m.spec().class == Class::Check).map(|m| m.name()).peekable();
    let first = *own.peek()?;
    if own.any(|name| kinds.iter().any(|kind| has(name, kind))) {
        return None;
    }
    let able: Vec<_> =
        doors.checks.iter().filter(|door| door.signals.contains(&first)).map(|d| d.kind).collect();
    let why = format!("no check that it matches has {first}");
    Some((why, format!("checks of kind {} have it", one_of(able))))
}

fn signals(rule: &Rule) -> String {
    let mut names: Vec<_> = rule.steps.iter().flat_map(|s| s.raise.metrics()).map(|m| m.name()).collect();
    names.dedup();
    names.join(", ")
}

/// Something gives one of its own signals.
fn is_read(rule: &Rule, doors: &Doors) -> bool {
    let mut own = rule.steps.iter().flat_map(|s| s.raise.metrics()).filter(|m| m.spec().class == rule.class);
    let gives = |door: &&crate::engine::option::DoorSpec, name: &str| door.signals.contains(&name);
    own.any(|m| doors.collectors.iter().chain(&doors.checks).any(|door| gives(door, m.name())))
}

/// A collector that is off and without which the rule sees nothing.
fn switched_off(rule: &Rule, config: &Config, doors: &Doors) -> Option<&'static str> {
    let metrics = rule.steps.iter().flat_map(|s| s.raise.metrics());
    metrics.copied().filter(|m| m.spec().class == rule.class).find_map(|m| {
        let giving = || doors.collectors.iter().filter(move |d| d.signals.contains(&m.name()));
        let is_on = |kind: &str| config.collectors.iter().any(|c| c.kind == kind);
        giving().next().filter(|_| !giving().any(|d| is_on(d.kind))).map(|d| d.kind)
    })
}

/// No text that one of its own globs takes gets through.
fn accepts_nothing(globs: &Globs) -> bool {
    if !globs.0.iter().any(|g| g.starts_with('!')) {
        return false;
    }
    let positive: Vec<&String> = globs.0.iter().filter(|g| !g.starts_with('!')).collect();
    let mut samples = ["x", "/x", ""].map(str::to_owned).to_vec();
    samples.extend(
        positive.iter().flat_map(|g| ["", "x", "/x/"].map(|fill| g.replace('*', fill).replace('?', "x"))),
    );
    !samples.iter().any(|s| globs.accepts(s))
}
