//! Puts the layers together: raw files in, a [`Config`] out.
//!
//! Always gives a configuration, so that every mistake is found in one run; whether it may be used is decided
//! by the report. A later file replaces a rule of the same id; `[[override]]` edits what is left; defaults
//! fill only absent keys.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::diagnose::{At, Finding, Report};
use super::raw::{
    RawCheck, RawCollect, RawCorrelate, RawDefaults, RawDesk, RawDestination, RawFile, RawHost,
};
use super::raw::{RawOverride, RawRelation, RawReload, RawRule, RawService, RawStore, RawTest, RawWindow};
use super::source::Role;
use super::suggest::{nearest, one_of};
use super::walk::shorten;
use super::{Config, Doors, HostFacts, ReloadLimit, door};
use crate::engine::moment::{DAY, SECOND};
use crate::engine::option::{
    CheckPlan, CollectorPlan, DeskPlan, DestinationPlan, DoorSpec, Fallback, HistoryPlan, StorePlan,
};
use crate::engine::plan::{Correlate, Globs, Host, MATRIX, Plan, Rule, SLA, Service};
use crate::engine::record::HostRef;
use crate::engine::signal::{Class, Metric};
use crate::engine::suppress::Terms;

mod action;
mod companion;
mod hash;
mod lint;
mod origin;
mod overrides;
mod relations;
mod rule;
mod test;
mod title;
mod windows;

pub use origin::{Layer, Origin, Origins, Relations, SwitchedOff};

/// Sampling interval when nothing is said.
const INTERVAL: i64 = 10 * SECOND;
/// Longest time of a probe when nothing is said; never longer than its interval.
const CHECK_TIMEOUT: i64 = 5 * SECOND;
/// Longest time of a request to a destination when nothing is said.
const DESTINATION_TIMEOUT: i64 = 30 * SECOND;
/// How often what people did at a destination is read back.
const READ_BACK: i64 = crate::engine::moment::MINUTE;
/// Most rules, checks, services and overrides of a host, each.
const MOST: usize = 50_000;
/// Most maintenance windows of a host.
const MOST_WINDOWS: usize = 1_000;
/// Most destinations of a host.
const MOST_DESTINATIONS: usize = 64;

/// All tables of all files, in the order of the layers.
#[derive(Default)]
struct Layers {
    host: Vec<RawHost>,
    collect: Vec<RawCollect>,
    correlate: Vec<RawCorrelate>,
    services: Vec<RawService>,
    checks: Vec<RawCheck>,
    destinations: Vec<RawDestination>,
    store: Vec<RawStore>,
    desk: Vec<RawDesk>,
    reload: Vec<RawReload>,
    overrides: Vec<RawOverride>,
    windows: Vec<RawWindow>,
    tests: Vec<RawTest>,
}

/// `[defaults]` of the layers below a file.
#[derive(Default)]
struct Below {
    builtin: RawDefaults,
    main: RawDefaults,
}

/// Compiles files in the order of their layers.
pub fn compile(
    files: Vec<(Role, RawFile)>,
    doors: &Doors,
    facts: &HostFacts,
    report: &mut Report,
) -> (Config, Origins) {
    let mut origins = Origins::new(report);
    let (mut layers, mut rules, below) = gather(files, &mut origins, report);
    limits(&layers, rules.len(), report);
    let interval = last(&layers.collect, |c| c.interval).unwrap_or(INTERVAL);
    let ancestors = relations::compile(&mut rules, report);
    companion::add(&mut rules);
    let overrides = overrides::compile(&layers.overrides, &rules, report);
    let host = host(&layers.host, tier(&layers, &below), facts, report);
    let windows = windows::compile(&layers.windows, &rules, &host.host.name, report);
    let tests = test::compile(std::mem::take(&mut layers.tests), &rules, report);
    let plans: Vec<_> = rules.values().filter_map(|r| r.plan.clone()).collect();
    layers.overrides.iter().for_each(|raw| origins.override_(raw, report));
    let plan = Plan {
        declared: companion::declared(&plans, &layers.checks),
        host,
        overrides,
        services: services(&layers, report),
        correlate: correlate(&layers.correlate),
        matrix: MATRIX,
        sla: SLA,
        suppress: Terms { ancestors, windows },
        rules: plans,
    };
    let collectors = collectors(&layers.collect, doors, interval, &plan.rules);
    let checks = checks(&layers.checks, interval, report);
    let destinations = destinations(layers.destinations, report);
    let mut config = Config {
        plan: Arc::new(plan),
        collectors,
        checks,
        destinations,
        store: store(&layers.store),
        history: history(&layers.store),
        desk: desk(&layers.desk),
        reload: reload(&layers.reload),
        tests,
        interval,
        hash: String::new(),
        files: Vec::new(),
        warnings: Vec::new(),
    };
    config.hash = hash::config(&config);
    lint::rules(&rules, &config, doors, report);
    (config, origins)
}

/// The tier of what belongs to no service with one.
fn tier(layers: &Layers, below: &Below) -> Option<u8> {
    last(&layers.host, |h| h.tier).or_else(|| below.main.step.as_ref().and_then(|s| s.impact))
}

/// A rule as far as it could be compiled.
pub struct Known {
    id: (String, At),
    class: Option<Class>,
    /// It is built in, or takes the place of one that is.
    is_shipped: bool,
    /// `None`: switched off, or wrong.
    plan: Option<Arc<Rule>>,
    depends: Vec<RawRelation>,
    suppresses: Vec<RawRelation>,
}

fn gather(
    files: Vec<(Role, RawFile)>,
    origins: &mut Origins,
    report: &mut Report,
) -> (Layers, BTreeMap<String, Known>, Below) {
    let (mut layers, mut below) = (Layers::default(), Below::default());
    let (mut rules, mut shared) = (BTreeMap::new(), rule::Shared::default());
    // The defaults of the main file stand for all files, also for the one below it.
    let mut with_own = Vec::with_capacity(files.len());
    for (role, mut file) in files {
        let own = std::mem::take(&mut file.defaults);
        let own = match role {
            Role::Builtin => {
                below.builtin = own;
                None
            }
            Role::Main => {
                below.main = own;
                None
            }
            Role::DropIn => Some(own),
        };
        with_own.push((own, file));
    }
    for (own, file) in with_own {
        let chain: Vec<_> = own.iter().chain([&below.main, &below.builtin]).collect();
        door::unique("rule", file.rules.iter().map(|r| &r.id), report);
        for raw in file.rules {
            if report.wants_origins && !raw.retires {
                origins.rule(&raw, &chain, report);
            }
            take(raw, &chain, &mut rules, &mut shared, origins, report);
        }
        layers.host.extend(file.host);
        layers.collect.extend(file.collect);
        layers.correlate.push(file.correlate);
        layers.services.extend(file.services);
        layers.checks.extend(file.checks);
        layers.destinations.extend(file.destinations);
        layers.store.extend(file.store);
        layers.desk.extend(file.desk);
        layers.reload.extend(file.reload);
        layers.overrides.extend(file.overrides);
        layers.windows.extend(file.windows);
        layers.tests.extend(file.tests);
    }
    (layers, rules, below)
}

/// Adds a rule to the set, in the place of an earlier one of the same id.
fn take(
    raw: RawRule,
    chain: &[&RawDefaults],
    rules: &mut BTreeMap<String, Known>,
    shared: &mut rule::Shared,
    origins: &mut Origins,
    report: &mut Report,
) {
    let switch = raw.places.iter().find(|p| p.key == "enabled").map_or(raw.at, |p| p.at);
    if raw.retires {
        match rules.get_mut(&raw.id.0) {
            Some(known) => match known.plan.take() {
                Some(plan) if report.wants_origins => origins.switch_off(plan, switch, report),
                Some(_) => {}
                None => origins.still_off(&raw.id.0, switch, report),
            },
            None => {
                let ids = rules.keys().map(String::as_str);
                report.add(overrides::unknown(raw.id.1, &raw.id.0, ids, "switches off no rule"));
            }
        }
        return;
    }
    let mut plan = rule::compile(&raw, chain, shared, report).map(Arc::new);
    if !raw.enabled
        && let Some(plan) = plan.take().filter(|_| report.wants_origins)
    {
        origins.switch_off(plan, switch, report);
    }
    let old = rules.get(&raw.id.0);
    old.iter().for_each(|old| lint::replaced(&old.id, &raw.id, report));
    let is_shipped = lint::is_builtin(raw.id.1, report) || old.is_some_and(|old| old.is_shipped);
    let RawRule { id, class, depends, suppresses, .. } = raw;
    rules.insert(id.0.clone(), Known { id, class, is_shipped, plan, depends, suppresses });
}

fn limits(layers: &Layers, rules: usize, report: &mut Report) {
    for (what, count, most) in [
        ("rules", rules, MOST),
        ("checks", layers.checks.len(), MOST),
        ("services", layers.services.len(), MOST),
        ("overrides", layers.overrides.len(), MOST),
        ("maintenance windows", layers.windows.len(), MOST_WINDOWS),
        ("tests", layers.tests.len(), MOST),
        ("destinations", layers.destinations.len(), MOST_DESTINATIONS),
    ] {
        if count > most {
            let at = At { file: 0, start: 0, end: 0 };
            report.add(Finding::error(at, format!("{count} {what}; a host can have at most {most}")));
        }
    }
}

/// The value of the latest layer that gives one.
fn last<L, T>(layers: &[L], get: impl Fn(&L) -> Option<T>) -> Option<T> {
    layers.iter().rev().find_map(get)
}

fn host(layers: &[RawHost], tier: Option<u8>, facts: &HostFacts, report: &mut Report) -> Host {
    let name = last(layers, |h| h.name.clone()).or_else(|| {
        let name = facts.hostname.trim();
        (!name.is_empty()).then(|| name.to_owned())
    });
    let name = name.unwrap_or_else(|| "localhost".to_owned());
    let id = last(layers, |h| h.id.clone()).unwrap_or_else(|| {
        let machine = facts.machine_id.trim();
        if machine.is_empty() {
            let at = At { file: 0, start: 0, end: 0 };
            report.add(
                Finding::warning(at, "this host has no /etc/machine-id: its id is made from its name").help(
                    "create one with systemd-machine-id-setup, or write [host] id = \"…\" (16 hex digits)",
                ),
            );
            return hash::host_id(&name);
        }
        hash::host_id(machine)
    });
    let mut labels = BTreeMap::new();
    layers.iter().for_each(|h| labels.extend(h.labels.clone()));
    Host { host: HostRef { id, name }, labels, service: last(layers, |h| h.service.clone()), tier }
}

fn correlate(layers: &[RawCorrelate]) -> Correlate {
    let builtin = Correlate::default();
    Correlate {
        failure_gap: last(layers, |c| c.failure_gap).unwrap_or(builtin.failure_gap),
        flap_half_life: last(layers, |c| c.flap_half_life).unwrap_or(builtin.flap_half_life),
    }
}

/// Services that checks name come first: they say so of themselves.
fn services(layers: &Layers, report: &mut Report) -> Vec<Service> {
    door::unique("service", layers.services.iter().map(|s| &s.name), report);
    let tier = |name: &str| layers.services.iter().find(|s| s.name.0 == name).and_then(|s| s.tier);
    let mut by_checks: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for check in &layers.checks {
        if let Some(service) = &check.service {
            by_checks.entry(service).or_default().push(check.id.0.clone());
        }
    }
    let explicit = by_checks.into_iter().map(|(name, checks)| Service {
        name: name.to_owned(),
        tier: tier(name),
        matches: BTreeMap::from([(Class::Check, Globs(checks))]),
    });
    let written = layers.services.iter().map(|s| Service {
        name: s.name.0.clone(),
        tier: s.tier,
        matches: s.matches.clone(),
    });
    explicit.chain(written).collect()
}

fn collectors(
    layers: &[RawCollect],
    doors: &Doors,
    interval: i64,
    rules: &[Arc<Rule>],
) -> Vec<CollectorPlan> {
    let names = literal_names(rules);
    let plan = |door: &&'static DoorSpec| {
        let written = layers.iter().rev().flat_map(|l| &l.collectors).find(|c| c.door.kind == door.kind);
        let options = match written {
            Some(raw) => raw.options.clone()?,
            None => door::defaults(door),
        };
        let of_processes =
            door.signals.iter().any(|s| Metric::find(s).is_some_and(|m| m.spec().class == Class::Proc));
        Some(CollectorPlan {
            kind: door.kind,
            interval: written.and_then(|c| c.interval).unwrap_or(interval),
            options,
            names: if of_processes { names.clone() } else { Vec::new() },
        })
    };
    doors.collectors.iter().filter_map(plan).collect()
}

/// Process names that rules name outright, so that a process that has never run is missed as well.
fn literal_names(rules: &[Arc<Rule>]) -> Vec<String> {
    let globs = rules.iter().filter(|r| r.class == Class::Proc).filter_map(|r| r.matches.0.get("name"));
    let literal = globs.flat_map(|g| &g.0).filter(|g| !g.starts_with('!') && !g.contains(['*', '?']));
    let mut names: Vec<_> = literal.cloned().collect();
    names.sort();
    names.dedup();
    names
}

fn checks(layers: &[RawCheck], interval: i64, report: &mut Report) -> Vec<CheckPlan> {
    door::unique("check", layers.iter().map(|c| &c.id), report);
    let mut checks = Vec::with_capacity(layers.len());
    for raw in layers {
        let interval = raw.interval.unwrap_or(interval);
        if let Some(timeout) = raw.timeout.filter(|t| t.value > interval) {
            report.add(
                Finding::warning(
                    timeout.at,
                    format!("`timeout` of check `{}` is longer than its interval", raw.id.0),
                )
                .help("a hanging probe then skips the next ones; a shorter time-out notices sooner"),
            );
        }
        checks.push(CheckPlan {
            id: raw.id.0.clone(),
            kind: raw.door.kind,
            interval,
            timeout: raw.timeout.map_or(CHECK_TIMEOUT.min(interval), |t| t.value),
            options: raw.options.clone(),
        });
    }
    checks
}

fn destinations(layers: Vec<RawDestination>, report: &mut Report) -> Vec<DestinationPlan> {
    door::unique("destination", layers.iter().map(|d| &d.id), report);
    fallbacks(&layers, report);
    let plan = |raw: RawDestination| DestinationPlan {
        id: raw.id.0,
        kind: raw.door.kind,
        filter: raw.routing.filter,
        pace: raw.pace.unwrap_or(0.0),
        timeout: raw.timeout.unwrap_or(DESTINATION_TIMEOUT),
        read_back: raw.routing.read_back.unwrap_or(READ_BACK),
        gone: raw.routing.gone.unwrap_or_default(),
        fallback: raw.routing.fallback.map(|((of, _), after)| Fallback { of, after }),
        digest: raw.routing.digest,
        options: raw.options,
    };
    layers.into_iter().map(plan).collect()
}

/// A fallback steps in for another destination that is no fallback itself.
fn fallbacks(layers: &[RawDestination], report: &mut Report) {
    for raw in layers {
        let Some(((of, at), _)) = &raw.routing.fallback else { continue };
        let id = &raw.id.0;
        match layers.iter().find(|d| d.id.0 == *of) {
            _ if of == id => {
                let message = format!("destination `{id}` cannot step in for itself");
                report.add(Finding::error(*at, message).help("name the one that it is the fallback of"));
            }
            None => {
                let ids = || layers.iter().map(|d| d.id.0.as_str()).filter(|other| other != id);
                let finding = Finding::error(*at, format!("there is no destination `{}`", shorten(of)));
                report.add(match nearest(of, ids()) {
                    Some(near) => finding.label(format!("did you mean `{near}`?")),
                    None => finding.help(format!("destinations: {}", one_of(ids()))),
                });
            }
            Some(other) if other.routing.fallback.is_some() => {
                let message = format!("`{of}` is a fallback itself, and `{id}` cannot step in for it");
                let help = "let both be fallbacks of the same destination, one later than the other";
                report.add(Finding::error(*at, message).help(help).also(other.id.1, "a fallback"));
            }
            Some(_) => {}
        }
    }
}

fn store(layers: &[RawStore]) -> StorePlan {
    StorePlan {
        dir: PathBuf::from(last(layers, |s| s.dir.clone()).unwrap_or_else(|| "/var/lib/sexton".to_owned())),
        outbox_limit: last(layers, |s| s.outbox).unwrap_or(1 << 30),
        journal_limit: last(layers, |s| s.journal).unwrap_or(400 * DAY),
    }
}

fn history(layers: &[RawStore]) -> HistoryPlan {
    HistoryPlan { dir: store(layers).dir, limit: last(layers, |s| s.history).unwrap_or(128 << 20) }
}

fn reload(layers: &[RawReload]) -> ReloadLimit {
    let builtin = ReloadLimit::default();
    ReloadLimit {
        raise: last(layers, |r| r.raise).unwrap_or(builtin.raise),
        close: last(layers, |r| r.close).unwrap_or(builtin.close),
    }
}

fn desk(layers: &[RawDesk]) -> DeskPlan {
    DeskPlan {
        listen: last(layers, |d| d.listen.clone()).unwrap_or_else(|| "127.0.0.1:7878".to_owned()),
        dir: PathBuf::from(
            last(layers, |d| d.dir.clone()).unwrap_or_else(|| "/var/lib/sexton-desk".to_owned()),
        ),
        tokens: last(layers, |d| d.tokens.clone()),
    }
}
