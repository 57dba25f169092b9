//! Nagios: services with their commands, and the commands of nrpe.cfg.
//!
//! A service names a command, the command a plugin with arguments; a handful of the monitoring plugins look
//! at what sexton sees itself and become rules of ours. Any other stays a plugin: the rule for its exit code
//! is written, and waits for the collector that runs plugins.

mod command;
mod disk;
mod network;
mod objects;
mod options;
mod plugin;

use std::collections::{BTreeMap, BTreeSet};

use super::draft::{Aside, Check, Item, Loss, Place, Rule, Step, kebab, shorten};
use super::input::{Reader, Refused};
use super::{Found, say, subject};
use command::{Line, Target};
use objects::{Object, Site};
use plugin::Made;

use crate::engine::moment::SECOND;
use crate::engine::record::Severity;

/// Longest piece in a message.
const PIECE: usize = 90;
/// Most hosts that a check of the network is written out for.
const MOST_HOSTS: usize = 32;

/// Reads all files.
///
/// # Errors
/// A file that cannot be read or is not of Nagios.
pub fn read(reader: &mut Reader) -> Result<Found, Refused> {
    let site = objects::read(reader)?;
    let mut found = Found::default();
    let mut used = BTreeSet::new();
    for service in site.objects.iter().filter(|o| o.kind == "service" && !o.is_template()) {
        found.items.push(self::service(&site, service, &mut used));
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
fn service(site: &Site, service: &Object, used: &mut BTreeSet<String>) -> Item {
    let description =
        if service.get("service_description").is_empty() { "?" } else { service.get("service_description") };
    let hosts = hosts(site, service);
    let shown = if hosts.len() == 1 { hosts[0].clone() } else { format!("{} hosts", hosts.len()) };
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
    let minutes = site.settings.iter().find(|(_, k, _)| k == "interval_length");
    let length = minutes
        .and_then(|(_, _, v)| v.parse::<f64>().ok())
        .filter(|l| *l >= 1.0 && *l <= 3600.0)
        .unwrap_or(60.0);
    let attempts = service.number("max_check_attempts").unwrap_or(1.0).max(1.0);
    let retry = service.number("retry_interval").or(service.number("retry_check_interval")).unwrap_or(1.0);
    let wait = ((attempts - 1.0) * retry * length * SECOND as f64).min(86_400e9) as i64;
    let every = service.number("check_interval").or(service.number("normal_check_interval")).unwrap_or(5.0);
    let interval = ((every * length).clamp(1.0, 86_400.0) * SECOND as f64) as i64;
    let mut is_network = false;
    for host in hosts.iter().take(MOST_HOSTS) {
        let mut target = target(site, service, host);
        target.name = description.to_owned();
        target.interval = interval;
        target.has_many = hosts.len() > 1;
        let line = Line::of_service(site, &given, &target);
        let mut one = Item { what: item.what.clone(), place: command_place.clone(), ..Item::default() };
        make(site, &line, &target, wait, &mut one, used);
        is_network = !one.checks.is_empty();
        let is_asked = |c: &Check| item.checks.iter().any(|k| k.kind == c.kind && k.keys == c.keys);
        if is_network && one.checks.iter().all(is_asked) {
            // The same address for all of them, such as a name that the balancer has.
            item.remark("the same is asked for each of its hosts: once is enough");
            continue;
        }
        item.checks.append(&mut one.checks);
        item.rules.append(&mut one.rules);
        one.losses.retain(|l| !item.losses.contains(l));
        item.losses.append(&mut one.losses);
        one.remarks.into_iter().for_each(|r| item.remark(r));
        if !is_network {
            break;
        }
    }
    if is_network && hosts.len() > MOST_HOSTS {
        let why = format!("is on {} hosts: checks are written out for {MOST_HOSTS}", hosts.len());
        item.losses.push(loss(&command_place, &given, &why, "write the others by hand"));
    }
    if !is_network && !item.rules.is_empty() {
        let names = shorten(&hosts.join(", "), 60);
        item.remark(format!("of {names}: a rule holds on the host where its file stands"));
    }
    extras(service, &mut item);
    item
}

fn loss(place: &Place, piece: &str, why: &str, instead: &str) -> Loss {
    let (piece, why, instead) = (shorten(piece, PIECE), why.to_owned(), instead.to_owned());
    Loss { place: place.clone(), piece, why, instead, widens: false }
}

/// The hosts of a service, by name and by group.
fn hosts(site: &Site, service: &Object) -> Vec<String> {
    let mut all: Vec<String> = service.list("host_name").into_iter().map(str::to_owned).collect();
    let groups = service.list("hostgroup_name");
    for object in site.objects.iter().filter(|o| !o.is_template()) {
        let name = object.get("host_name").to_owned();
        let is_member = object.kind == "host" && object.list("hostgroups").iter().any(|g| groups.contains(g));
        if is_member && !all.contains(&name) {
            all.push(name);
        }
        if object.kind == "hostgroup" && groups.contains(&object.get("hostgroup_name")) {
            let members = object.list("members").into_iter().map(str::to_owned);
            all.extend(members.collect::<Vec<_>>().into_iter().filter(|m| !groups.contains(&m.as_str())));
        }
    }
    let out: Vec<String> = all.iter().filter_map(|h| h.strip_prefix('!').map(str::to_owned)).collect();
    all.retain(|h| !h.starts_with('!') && !out.contains(h));
    let mut seen = BTreeSet::new();
    all.retain(|h| seen.insert(h.clone()));
    if all.is_empty() { vec!["?".to_owned()] } else { all }
}

/// What macros of a service on a host stand for.
fn target(site: &Site, service: &Object, host: &str) -> Target {
    let object = site.objects.iter().find(|o| o.kind == "host" && o.get("host_name") == host);
    let mut custom = BTreeMap::new();
    for (prefix, object) in [("_HOST", object), ("_SERVICE", Some(service))] {
        for (key, (value, _)) in object.into_iter().flat_map(|o| &o.entries) {
            if let Some(name) = key.strip_prefix('_') {
                custom.insert(format!("{prefix}{}", name.to_ascii_uppercase()), value.clone());
            }
        }
    }
    let address = object.map(|o| o.get("address")).filter(|a| !a.is_empty()).unwrap_or(host);
    Target { host: host.to_owned(), address: address.to_owned(), custom, ..Target::default() }
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

/// Options of a service that have another place here.
fn extras(service: &Object, item: &mut Item) {
    let told = ["event_handler", "flap_detection_enabled", "freshness_threshold"];
    for (key, (value, line)) in service.entries.iter().filter(|(k, _)| told.contains(&k.as_str())) {
        let place = Place { line: *line, ..service.place.clone() };
        let (why, instead) = match key.as_str() {
            "event_handler" => ("runs a command when the state changes", "[rule.action] run = […]"),
            "freshness_threshold" => ("a passive result that stays away", "a heartbeat: `nodata_after`"),
            _ => continue,
        };
        item.losses.push(loss(&place, &format!("{key} {value}"), why, instead));
    }
    if matches!(service.get("active_checks_enabled"), "0") && !item.rules.is_empty() {
        item.remark("only passive results there");
    }
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
