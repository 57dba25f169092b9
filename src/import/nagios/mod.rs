//! Nagios: services with their commands, and the commands of nrpe.cfg.
//!
//! A service names a command, the command a plugin with arguments; a handful of the monitoring plugins look
//! at what sexton sees itself and become rules of ours. Any other stays a plugin: the rule for its exit code
//! is written, and waits for the collector that runs plugins.

mod command;
mod disk;
mod hosts;
mod network;
mod objects;
mod options;
mod plugin;

use std::collections::{BTreeMap, BTreeSet};

use super::draft::{Aside, Check, Item, Loss, Place, Rule, Step, kebab, shorten};
use super::input::{Reader, Refused};
use super::{Found, say, subject};
use command::{Line, Target};
use hosts::Hosts;
use objects::{Object, Site};
use plugin::Made;

use crate::engine::moment::SECOND;
use crate::engine::record::Severity;
use crate::engine::signal::Class;

/// Longest piece in a message.
const PIECE: usize = 90;
/// Most hosts that a check of the network is written out for.
const MOST_HOSTS: usize = 32;
/// Most hosts whose values are looked at.
const MOST_COMPARED: usize = 1000;

/// Reads all files.
///
/// # Errors
/// A file that cannot be read or is not of Nagios.
pub fn read(reader: &mut Reader) -> Result<Found, Refused> {
    let site = objects::read(reader)?;
    let mut found = Found::default();
    let mut used = BTreeSet::new();
    let hosts = Hosts::of(&site);
    for service in site.objects.iter().filter(|o| o.kind == "service" && !o.is_template()) {
        found.items.push(self::service(&site, &hosts, service, &mut used));
    }
    let alone: Vec<_> = site.nrpe.iter().filter(|(name, _)| !used.contains(*name)).collect();
    for (name, (line, place)) in alone {
        let mut item = Item { what: format!("command {name}"), place: place.clone(), ..Item::default() };
        let target = Target { name: name.trim_start_matches("check_").to_owned(), ..Target::default() };
        make(&site, &Line::of(&site, line, &[], &target), &target, 0, &mut item, &mut used);
        found.items.push(item);
    }
    found.items.sort_by(|a, b| a.place.cmp(&b.place));
    asides(&site, &mut found);
    Ok(found)
}

/// One service on its hosts.
fn service(site: &Site, all: &Hosts<'_>, service: &Object, used: &mut BTreeSet<String>) -> Item {
    let description =
        if service.get("service_description").is_empty() { "?" } else { service.get("service_description") };
    let hosts = all.of_service(service);
    let shown = if let [one] = hosts[..] { one.to_owned() } else { format!("{} hosts", hosts.len()) };
    let mut item = Item {
        what: format!("service {} on {}", shorten(description, 50), shorten(&shown, 40)),
        place: service.place.clone(),
        ..Item::default()
    };
    let at = service.entries.get("check_command").map_or(service.place.line, |(_, line)| *line);
    let command_place = Place { line: at, ..service.place.clone() };
    let given = service.get("check_command").to_owned();
    if given.is_empty() {
        item.losses.push(loss(&command_place, description, "names no check_command", ""));
        return item;
    }
    let pace = Pace::of(site, service);
    let (mut asked, mut known, mut others) = (0, None, Vec::new());
    for host in hosts.iter().take(MOST_COMPARED) {
        if asked == MOST_HOSTS {
            let why = format!("is on {} hosts: checks are written out for {MOST_HOSTS}", hosts.len());
            item.losses.push(loss(&command_place, &given, &why, "write the others by hand"));
            break;
        }
        let mut target = all.target(service, host);
        target.name = description.to_owned();
        target.interval = pace.interval;
        target.has_many = hosts.len() > 1;
        let line = Line::of_service(site, &given, &target);
        let mut one = Item { what: item.what.clone(), place: command_place.clone(), ..Item::default() };
        make(site, &line, &target, pace.wait, &mut one, used);
        if one.checks.is_empty() && !one.rules.is_empty() {
            let rules = outline(&one.rules);
            if let Some((_, first)) = &known {
                if *first != rules {
                    others.push(*host);
                }
                continue;
            }
            known = Some((*host, rules));
        }
        let is_asked = |c: &Check| item.checks.iter().any(|k| k.kind == c.kind && k.keys == c.keys);
        if !one.checks.is_empty() && one.checks.iter().all(is_asked) {
            // The same address for all of them, such as a name that the balancer has.
            item.remark("the same is asked for each of its hosts: once is enough");
            continue;
        }
        asked += usize::from(!one.checks.is_empty());
        item.checks.append(&mut one.checks);
        item.rules.append(&mut one.rules);
        one.losses.retain(|l| !item.losses.contains(l));
        item.losses.append(&mut one.losses);
        one.remarks.into_iter().for_each(|r| item.remark(r));
    }
    if let Some((first, _)) = known {
        if !others.is_empty() {
            let why = format!("these are the values of {first}; others are on {}", others.join(", "));
            let instead = "on each of those hosts the rule with its own values";
            item.losses.push(loss(&command_place, &given, &why, instead));
        }
        let names = shorten(&hosts.join(", "), 60);
        item.remark(format!("of {names}: a rule holds on the host where its file stands"));
    }
    if asked > 0 && pace.is_retry {
        let every = say::span(pace.interval);
        item.remark(format!(
            "asked every {every}, as there after a first failure: max_check_attempts of them count"
        ));
    }
    extras(site, service, &mut item);
    item
}

/// How often a service is asked, and how long it must fail.
struct Pace {
    /// In nanoseconds.
    interval: i64,
    /// From the first failure to the last that it takes, in nanoseconds.
    wait: i64,
    /// The interval is that of retries.
    is_retry: bool,
}

impl Pace {
    /// A service that is to fail more than once is asked as often as it is retried there: one failure that
    /// nothing follows for five minutes would be a breach of five minutes here.
    fn of(site: &Site, service: &Object) -> Self {
        let minutes = site.settings.iter().find(|(_, k, _)| k == "interval_length");
        let length = minutes
            .and_then(|(_, _, v)| v.parse::<f64>().ok())
            .filter(|l| *l >= 1.0 && *l <= 3600.0)
            .unwrap_or(60.0);
        let number =
            |key: &str, old: &str, usual| service.number(key).or(service.number(old)).unwrap_or(usual);
        let span = |n: f64| ((n * length).clamp(1.0, 86_400.0) * SECOND as f64) as i64;
        let attempts = service.number("max_check_attempts").unwrap_or(1.0).max(1.0);
        let retry = number("retry_interval", "retry_check_interval", 1.0);
        let every = span(number("check_interval", "normal_check_interval", 5.0));
        let is_retry = attempts > 1.0 && span(retry) < every;
        let wait = ((attempts - 1.0) * retry * length * SECOND as f64).min(86_400e9) as i64;
        Self { interval: if is_retry { span(retry) } else { every }, wait, is_retry }
    }
}

/// What rules say, without their names.
fn outline(rules: &[Rule]) -> Vec<String> {
    let raises = |r: &Rule| r.steps.iter().map(|s| s.raise.to_string()).collect::<Vec<_>>().join(" | ");
    rules.iter().map(|r| format!("{} {:?} {}", r.class.name(), r.matches, raises(r))).collect()
}

fn loss(place: &Place, piece: &str, why: &str, instead: &str) -> Loss {
    let (piece, why, instead) = (shorten(piece, PIECE), why.to_owned(), instead.to_owned());
    Loss { place: place.clone(), piece, why, instead, widens: false }
}

/// Rules of a command line.
fn make(site: &Site, line: &Line, target: &Target, wait: i64, item: &mut Item, used: &mut BTreeSet<String>) {
    let place = item.place.clone();
    let line = match line.through_nrpe(site, target, used) {
        Ok(line) => line,
        Err((piece, why, instead)) => {
            item.losses.push(loss(&place, &piece, &why, &instead));
            return;
        }
    };
    if line.lost.iter().any(|text| text.starts_with("$HOSTADDRESS")) {
        let why = format!("the address of {} is not in these files", target.host);
        let instead = "import it together with the file that defines the host";
        item.losses.push(loss(&place, &line.words.join(" "), &why, instead));
        return;
    }
    for text in &line.lost {
        item.losses.push(loss(&place, text, "a macro without a value", "write the value into the rule"));
    }
    let made = plugin::read(&line, target);
    let shown = line.words.join(" ");
    for (piece, why, instead) in made.losses {
        item.losses.push(loss(&place, if piece.is_empty() { &shown } else { &piece }, why, instead));
    }
    made.remarks.into_iter().for_each(|r| item.remark(r));
    item.checks.extend(made.checks);
    for rule in made.rules {
        // What is asked once an interval holds until the next answer: half of one more lets that one speak.
        let asked = matches!(rule.class, Class::Check | Class::Plugin) && wait > 0;
        let wait = if asked { wait.saturating_add(target.interval / 2) } else { wait };
        if let Ok(rule) = finish(rule, &place, wait, &shown) {
            item.rules.push(rule);
        } else {
            item.losses.push(loss(
                &place,
                &shown,
                "has limits that no rule can hold",
                "write the rule by hand, see docs/rules.md",
            ));
        }
    }
}

/// A rule with its steps, clears and waits.
fn finish(made: Made, place: &Place, wait: i64, line: &str) -> say::Built<Rule> {
    let mut steps = Vec::new();
    for (severity, raise) in &made.raises {
        let raise = say::cond(raise)?;
        let clear = match raise.to_string().as_str() {
            // A plugin that goes from critical to warning is not well yet.
            "plugin.status == 1" => say::cond("plugin.status == 0")?,
            "plugin.status == 2" => say::cond("plugin.status in [0, 1]")?,
            _ => say::calm(&raise)?.0,
        };
        steps.push(Step {
            severity: *severity,
            impact: None,
            urgency: None,
            raise,
            clear,
            for_: wait,
            keep: None,
        });
    }
    let first = steps.first().ok_or(say::TooLarge)?.raise.clone();
    steps.sort_by_key(|s| s.severity);
    let is_critical = steps.iter().any(|s| s.severity == Severity::Critical);
    let mut rule = Rule::new(&made.id, place, made.class, steps);
    (rule.nature, rule.category, rule.outage) = subject::of(&first);
    rule.outage &= is_critical;
    rule.title = Some(made.title);
    rule.description = Some(format!("Was in Nagios: {}", shorten(line, 200)));
    rule.matches = made.matches;
    Ok(rule)
}

/// Options of a service that have another place here; what kept it quiet there keeps its rules off.
fn extras(site: &Site, service: &Object, item: &mut Item) {
    for (key, (value, line)) in service.entries.iter().filter(|(_, (value, _))| value != "null") {
        let hours = "a [[window]] with `every` for the other hours";
        let is_always = || value.is_empty() || is_always(site, value);
        let (why, instead, widens) = match key.as_str() {
            "event_handler" => ("runs a command when the state changes", "[rule.action] run = […]", false),
            "freshness_threshold" => {
                ("a passive result that stays away", "a heartbeat: `nodata_after`", false)
            }
            "first_notification_delay" if service.number(key).is_some_and(|n| n > 0.0) => {
                ("waits before it tells anybody", "a longer `for`", false)
            }
            "notifications_enabled" if value == "0" => (
                "tells nobody",
                "`match` of the [[destination]] keeps it from people: docs/forwarding.md",
                true,
            ),
            "notification_options" if value == "n" || value == "none" => (
                "tells nobody",
                "`match` of the [[destination]] keeps it from people: docs/forwarding.md",
                true,
            ),
            "check_period" if !is_always() => ("is judged at some hours only", hours, true),
            "notification_period" if !is_always() => ("is told at some hours only", hours, true),
            _ => continue,
        };
        let place = Place { line: *line, ..service.place.clone() };
        item.losses.push(Loss { widens, ..loss(&place, &format!("{key} {value}"), why, instead) });
    }
    item.losses.sort_by(|a, b| a.place.cmp(&b.place));
    if item.losses.iter().any(|l| l.widens) {
        item.rules.iter_mut().for_each(|r| r.enabled = false);
    }
    if matches!(service.get("active_checks_enabled"), "0") && !item.rules.is_empty() {
        item.remark("only passive results there");
    }
}

/// Whether a time period is all hours of all days.
fn is_always(site: &Site, name: &str) -> bool {
    const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let defined = |o: &&Object| o.kind == "timeperiod" && o.get("timeperiod_name") == name;
    let is_whole = |o: &Object| DAYS.iter().all(|day| o.get(day) == "00:00-24:00");
    name == "24x7" || site.objects.iter().find(defined).is_some_and(is_whole)
}

/// What is no service.
fn asides(site: &Site, found: &mut Found) {
    let mut kinds: BTreeMap<&str, (usize, Place)> = BTreeMap::new();
    for object in site.objects.iter().filter(|o| !o.is_template()) {
        let entry = kinds.entry(&object.kind).or_insert_with(|| (0, object.place.clone()));
        entry.0 += 1;
    }
    for (kind, (count, place)) in kinds {
        let instead = match kind {
            "service" | "command" => continue,
            "host" => {
                "a host judges itself: sexton runs on each; that it is away the desk sees by its heartbeats"
            }
            "contact" | "contactgroup" => "people are told by [[destination]]s: docs/forwarding.md",
            "timeperiod" => "hours in which nothing is raised: a [[window]] with `every`",
            "servicedependency" | "hostdependency" => "`depends` in the rule",
            "serviceescalation" | "hostescalation" => {
                "the ITSM escalates; `step` in a rule raises the severity"
            }
            "hostgroup" | "servicegroup" => "labels of [host], `service` of a rule",
            _ => "has no counterpart",
        };
        let piece =
            if count == 1 { format!("define {kind}") } else { format!("define {kind} ({count} of them)") };
        found.asides.push(Aside { place, piece, instead: instead.to_owned() });
    }
    let quiet = [
        "interval_length",
        "log_file",
        "pid_file",
        "lock_file",
        "command_timeout",
        "debug",
        "nagios_user",
        "nagios_group",
        "nrpe_user",
        "nrpe_group",
    ];
    for (place, key, value) in &site.settings {
        let instead = match key.as_str() {
            "cfg_file" | "cfg_dir" | "resource_file" | "include" | "include_dir" => {
                "is not there: give it by name"
            }
            "allowed_hosts" | "server_port" | "server_address" | "dont_blame_nrpe" => {
                "nobody asks from outside: the host judges by itself and sends to its destinations"
            }
            key if quiet.contains(&key) => continue,
            _ => continue,
        };
        let piece = shorten(&format!("{key}={value}"), PIECE);
        found.asides.push(Aside { place: place.clone(), piece, instead: instead.to_owned() });
    }
}

/// An id from the name of a service.
fn id(target: &Target, what: &str) -> String {
    kebab(&format!("{}{what}", target.name))
}

/// An id from the name of a service, with the host when there are several.
fn id_at(target: &Target, what: &str) -> String {
    let host = if target.has_many { format!("{}-", target.host) } else { String::new() };
    kebab(&format!("{host}{}{what}", target.name))
}
