//! Plugins by name: those that look at what sexton sees itself, and all others.

use std::collections::BTreeMap;

use super::command::{Line, Target};
use super::options::{Options, range};
use super::{disk, id, network};
use crate::engine::cond::expr::literal;
use crate::engine::record::Severity;
use crate::engine::signal::{Base, Class, Type};
use crate::import::draft::Check;
use crate::import::say::{NUMBER, RATIO};

/// A rule to be finished.
#[derive(Debug)]
pub struct Made {
    /// Wanted id.
    pub id: String,
    /// Its class.
    pub class: Class,
    /// Globs by label.
    pub matches: BTreeMap<String, Vec<String>>,
    /// Its title.
    pub title: String,
    /// Severity and condition of each step.
    pub raises: Vec<(Severity, String)>,
}

/// What a plugin became.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Rules.
    pub rules: Vec<Made>,
    /// Checks.
    pub checks: Vec<Check>,
    /// Piece (empty: the whole line), why, instead.
    pub losses: Vec<(String, &'static str, &'static str)>,
    /// What is good to know.
    pub remarks: Vec<String>,
}

impl Outcome {
    /// One rule.
    pub fn of(rule: Made) -> Self {
        Self { rules: vec![rule], ..Self::default() }
    }
}

/// Bytes.
pub const BYTES: Type = Type::of(Base::Bytes);

/// A command line as rules.
pub fn read(line: &Line, target: &Target) -> Outcome {
    let words = line.words.get(1..).unwrap_or_default();
    let plugin = line.plugin().trim_end_matches(".pl").trim_end_matches(".py").trim_end_matches(".sh");
    let native = match plugin {
        "check_disk" => disk::read(words, target),
        "check_load" => load(words, target),
        "check_procs" => procs(words, target),
        "check_swap" => swap(words, target),
        "check_uptime" => uptime(words, target),
        "check_http" | "check_https" | "check_curl" => network::http(words, target, plugin),
        "check_tcp" | "check_ssh" | "check_smtp" | "check_ftp" | "check_imap" | "check_pop"
        | "check_simap" | "check_spop" | "check_ssmtp" => network::tcp(words, target, plugin),
        _ => None,
    };
    native.filter(|o| !o.rules.is_empty()).unwrap_or_else(|| waits(plugin, target))
}

/// The rule for a plugin's exit code.
fn waits(plugin: &str, target: &Target) -> Outcome {
    let id = id(target, "");
    let raises = vec![
        (Severity::Warning, "plugin.status == 1".to_owned()),
        (Severity::Critical, "plugin.status == 2".to_owned()),
    ];
    let matches = BTreeMap::from([("check".to_owned(), vec![id.clone()])]);
    let title = format!("{}: plugin ends with {{plugin.status}}", braces(&target.name));
    let instead = match plugin {
        "check_ping" | "check_icmp" | "check_host" | "check_fping" => {
            "a tcp check on a port of that host does without it"
        }
        "check_mem" | "check_memory" | "check_free_mem" => {
            "mem.used is here without it: see the built-in rule mem-low"
        }
        "check_cpu" | "check_cpu_stats" => "cpu.busy is here without it: see the built-in rule cpu-saturated",
        "check_systemd" | "check_systemd_service" | "check_service" | "check_init_service" => {
            "unit.state is here without it: see the built-in rule unit-failed"
        }
        "check_ssl_cert" | "check_ssl_certificate" => "check.cert_left of an http check does without it",
        "check_iftraffic" | "check_net" => "net.rx and net.tx are here without it",
        "check_diskstat" | "check_disk_io" | "check_iostat" => {
            "disk.busy, disk.latency and disk.queue are here without it"
        }
        "check_ntp" | "check_ntp_time" | "check_chrony" => {
            "unit-failed sees chronyd or systemd-timesyncd fail"
        }
        _ => "keep it where it runs until then",
    };
    let why = "plugins are not run in this version: the rule waits for them";
    let losses = vec![(String::new(), why, instead)];
    Outcome { losses, ..Outcome::of(Made { id, class: Class::Plugin, matches, title, raises }) }
}

/// A stranger's name in a title.
pub fn braces(name: &str) -> String {
    name.replace('{', "{{").replace('}', "}}")
}

/// `-w` and `-c` as steps.
pub fn steps(options: &Options, of: impl Fn(&str) -> Option<String>) -> Option<Vec<(Severity, String)>> {
    let mut raises = Vec::new();
    for (name, severity) in [("w", Severity::Warning), ("c", Severity::Critical)] {
        if let Some(text) = options.get(name).filter(|t| !t.is_empty()) {
            raises.push((severity, of(text)?));
        }
    }
    (!raises.is_empty()).then_some(raises)
}

/// One rule of the host itself.
fn of_host(target: &Target, title: &str, raises: Vec<(Severity, String)>) -> Outcome {
    let (id, matches, title) = (id(target, ""), BTreeMap::new(), title.to_owned());
    Outcome::of(Made { id, class: Class::Host, matches, title, raises })
}

fn load(words: &[String], target: &Target) -> Option<Outcome> {
    let options = Options::read(words, "wc");
    let per_cpu = if options.get("r").is_some() { " * cpu.count" } else { "" };
    let raises = steps(&options, |text| {
        let limits: Vec<f64> = text.split(',').map(|t| t.trim().parse().ok()).collect::<Option<_>>()?;
        let last = *limits.last()?;
        let all = [("load.avg1", 0), ("load.avg5", 1), ("load.avg15", 2)];
        let each = all.map(|(signal, i)| {
            let limit = literal(limits.get(i).copied().unwrap_or(last), NUMBER);
            format!("{signal} > {limit}{per_cpu}")
        });
        Some(each.join(" or "))
    })?;
    Some(of_host(target, "load {load.avg1}, {load.avg5}, {load.avg15}", raises))
}

fn swap(words: &[String], target: &Target) -> Option<Outcome> {
    let options = Options::read(words, "wcn");
    let raises = steps(&options, |text| match text.strip_suffix('%') {
        Some(share) => {
            let limit = share.trim().parse::<f64>().ok().filter(|s| (0.0..=100.0).contains(s))?;
            Some(format!("swap.free / swap.total < {}", literal(limit / 100.0, RATIO)))
        }
        None => {
            let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
            let scale = match text[digits..].trim() {
                "" | "B" => 1.0,
                "K" | "KB" | "k" => 1024.0,
                "M" | "MB" | "m" => 1_048_576.0,
                "G" | "GB" | "g" => 1_073_741_824.0,
                _ => return None,
            };
            Some(format!("swap.free < {}", literal(text[..digits].parse::<f64>().ok()? * scale, BYTES)))
        }
    })?;
    Some(of_host(target, "swap: {swap.free} free of {swap.total}", raises))
}

fn uptime(words: &[String], target: &Target) -> Option<Outcome> {
    let options = Options::read(words, "wcu");
    let unit = match options.get("u") {
        None | Some("minutes") => 60.0,
        Some("seconds") => 1.0,
        Some("hours") => 3600.0,
        Some("days") => 86_400.0,
        Some(_) => return None,
    };
    let seconds = Type::of(Base::Seconds);
    let raises = steps(&options, |text| range(text, "host.uptime", |n| literal(n * unit, seconds)))?;
    Some(of_host(target, "up for {host.uptime}", raises))
}

fn procs(words: &[String], target: &Target) -> Option<Outcome> {
    let options = Options::read(words, "wcCamsuptzrPTkXo");
    let name = options.get("C").or_else(|| options.get("a")).filter(|n| !n.is_empty())?;
    if ["s", "u", "p", "z", "r", "P"].iter().any(|o| options.get(o).is_some()) {
        return None;
    }
    let mut outcome = Outcome::default();
    let whole = name.split_whitespace().next().unwrap_or(name).rsplit('/').next().unwrap_or(name).to_owned();
    if options.get("C").is_none() {
        let why = "a text in the arguments there, the name that `ps -o comm` shows here";
        outcome.losses.push((format!("-a {name}"), why, "see that `match.name` is right"));
    }
    let (signal, title, unit): (&str, &str, fn(f64) -> String) = match options.get("m").unwrap_or("PROCS") {
        "PROCS" => ("proc.count", "{name}: {proc.count} processes", |n| literal(n, NUMBER)),
        "CPU" => ("proc.cpu", "{name} uses {proc.cpu} of a CPU", |n| literal(n / 100.0, RATIO)),
        "RSS" => ("proc.rss", "{name} uses {proc.rss}", |n| literal(n * 1024.0, BYTES)),
        _ => return None,
    };
    if signal != "proc.count" {
        outcome.losses.push((String::new(), "of each process there, of all of that name together here", ""));
    }
    let raises = steps(&options, |text| range(text, signal, unit))?;
    let matches = BTreeMap::from([("name".to_owned(), vec![whole.replace(['*', '?', '[', '{'], "?")])]);
    outcome.rules.push(Made {
        id: id(target, ""),
        class: Class::Proc,
        matches,
        title: title.to_owned(),
        raises,
    });
    Some(outcome)
}
