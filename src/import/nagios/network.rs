//! `check_http`, `check_tcp` and the small ones after it: checks, and rules about them.

use std::collections::BTreeMap;

use super::command::Target;
use super::id_at;
use super::options::Options;
use super::plugin::{Made, Outcome, braces};
use crate::engine::cond::expr::literal;
use crate::engine::record::Severity;
use crate::engine::signal::{Base, Class, Type};
use crate::import::draft::Check;
use crate::import::say;
use crate::import::write::{list, quoted};

const SECONDS: Type = Type::of(Base::Seconds);
/// Longest time-out of a check, in seconds.
const LONGEST: f64 = 300.0;

/// A plugin that greets: its port, what is expected.
const GREETINGS: &[(&str, u16, &str)] = &[
    ("check_ssh", 22, "SSH-"),
    ("check_smtp", 25, "220"),
    ("check_ftp", 21, "220"),
    ("check_imap", 143, "* OK"),
    ("check_pop", 110, "+OK"),
    ("check_simap", 993, ""),
    ("check_spop", 995, ""),
    ("check_ssmtp", 465, ""),
];

/// `check_http`.
pub fn http(words: &[String], target: &Target, plugin: &str) -> Option<Outcome> {
    let options = Options::read(words, "HIpuwcesdCjfkatrRlMmTJKbAPNU");
    let mut outcome = Outcome::default();
    let is_tls = options.get("S").is_some()
        || options.get("C").is_some()
        || plugin == "check_https"
        || options.get("p") == Some("443");
    let (scheme, usual) = if is_tls { ("https", "443") } else { ("http", "80") };
    let named = options.get("H").filter(|h| !h.is_empty());
    let host = named
        .or_else(|| options.get("I"))
        .or(options.rest.first().map(String::as_str))
        .or(Some(&target.address))
        .filter(|h| !h.is_empty())?;
    if let (Some(_), Some(address)) = (named, options.get("I").filter(|a| Some(*a) != named)) {
        outcome.losses.push((
            format!("-I {address}"),
            "a name is asked here at the address it has",
            "the address in `url` and the name in `headers`",
        ));
    }
    let port = options.get("p").filter(|p| *p != usual).map(|p| format!(":{p}")).unwrap_or_default();
    let path = options.get("u").filter(|u| !u.is_empty()).unwrap_or("/");
    let url = if path.contains("://") {
        path.to_owned()
    } else {
        format!("{scheme}://{}{port}/{}", bracketed(host), path.trim_start_matches('/'))
    };
    let mut keys = vec![("url", quoted(&url))];
    if let Some(method) = options.get("j").filter(|m| ["HEAD", "POST", "PUT", "OPTIONS"].contains(m)) {
        keys.push(("method", quoted(method)));
    }
    if let Some(expect) = options.get("e") {
        let codes: Vec<String> = expect
            .split([',', ' '])
            .filter(|c| c.len() == 3 && c.parse::<u16>().is_ok())
            .map(str::to_owned)
            .collect();
        if codes.is_empty() {
            outcome.losses.push((
                format!("-e {expect}"),
                "a text in the status line; a check looks at the code",
                "`status` of the [[check]]",
            ));
        } else {
            keys.push(("status", list(&codes)));
        }
    }
    if let Some(text) = options.get("s").filter(|t| !t.is_empty()) {
        keys.push(("body_contains", quoted(text)));
    }
    if options.get("f").is_some_and(|f| f.starts_with("follow") || f.starts_with("sticky")) {
        keys.push(("redirects", "true".to_owned()));
    }
    for letter in ["r", "R", "a", "b", "P", "k", "m", "M", "d", "A"] {
        if let Some(value) = options.get(letter) {
            let shown = if letter == "a" { "-a …".to_owned() } else { format!("-{letter} {value}") };
            outcome.losses.push((
                shown,
                "this option is not carried over",
                "options of a check: docs/configuration.md",
            ));
        }
    }
    finish(outcome, "http", keys, &options, target)
}

/// `check_tcp` and the like.
pub fn tcp(words: &[String], target: &Target, plugin: &str) -> Option<Outcome> {
    let options = Options::read(words, "HpwcsetdMmDCrvAUFPhjq");
    let mut outcome = Outcome::default();
    let known = GREETINGS.iter().find(|(name, ..)| *name == plugin);
    let port = match options.get("p").and_then(|p| p.parse::<u16>().ok()).filter(|p| *p > 0) {
        Some(port) => port,
        None => known.map(|(_, port, _)| *port)?,
    };
    let host = options
        .get("H")
        .filter(|h| !h.is_empty())
        .or(options.rest.first().map(String::as_str))
        .or(Some(&target.address))
        .filter(|h| !h.is_empty())?;
    let mut keys = vec![("address", quoted(&format!("{}:{port}", bracketed(host))))];
    if let Some(send) = options.get("s").filter(|s| !s.is_empty() && plugin == "check_tcp") {
        keys.push(("send", quoted(send)));
    }
    let expect = options
        .get("e")
        .filter(|e| !e.is_empty())
        .or(known.map(|(_, _, expect)| *expect).filter(|e| !e.is_empty()));
    if let Some(expect) = expect {
        keys.push(("expect", quoted(expect)));
    }
    if options.get("S").is_some() || options.get("D").is_some() {
        outcome.losses.push((
            "-S".to_owned(),
            "TLS is not spoken by tcp checks: only the port is asked",
            "an http check, where it is https",
        ));
    }
    finish(outcome, "tcp", keys, &options, target)
}

fn bracketed(host: &str) -> String {
    if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() }
}

/// The check and its rules: down, slow, certificate.
fn finish(
    mut outcome: Outcome,
    kind: &'static str,
    mut keys: Vec<(&'static str, String)>,
    options: &Options,
    target: &Target,
) -> Option<Outcome> {
    let check = id_at(target, "");
    if target.interval > 0 {
        keys.push(("interval", quoted(&say::span(target.interval))));
    }
    let timeout = options
        .get("t")
        .and_then(|t| t.split(':').next()?.parse::<f64>().ok())
        .filter(|t| *t >= 1.0 && *t <= LONGEST);
    if let Some(seconds) = timeout.filter(|s| target.interval == 0 || s * 1e9 <= target.interval as f64) {
        keys.push(("timeout", quoted(&say::span((seconds * 1e9) as i64))));
        if target.interval == 0 {
            keys.push(("interval", quoted("5m")));
        }
    }
    let matches = BTreeMap::from([("check".to_owned(), vec![check.clone()])]);
    let name = braces(&target.name);
    let rule = |what: &str, title: String, raises| {
        let id = if what.is_empty() { check.clone() } else { format!("{check}-{what}") };
        Made { id, class: Class::Check, matches: matches.clone(), title, raises }
    };
    let down = vec![(Severity::Critical, "not check.up".to_owned())];
    let mut rules = vec![rule("", format!("{name} does not answer ({{check}})"), down)];
    let mut slow = Vec::new();
    for (letter, severity) in [("w", Severity::Warning), ("c", Severity::Critical)] {
        let limit = options.get(letter).and_then(|t| t.trim_end_matches('s').parse::<f64>().ok());
        if let Some(limit) = limit.filter(|l| *l > 0.0 && *l < 3600.0) {
            slow.push((severity, format!("check.latency > {}", literal(limit, SECONDS))));
        } else if let Some(text) = options.get(letter) {
            outcome.losses.push((
                format!("-{letter} {text}"),
                "is no number of seconds",
                "check.latency > 5s",
            ));
        }
    }
    if !slow.is_empty() {
        rules.push(rule("slow", format!("{name} answers in {{check.latency}}"), slow));
    }
    if kind == "http"
        && let Some(days) = options.get("C")
    {
        let limits: Vec<f64> = days
            .split(',')
            .filter_map(|d| d.trim().parse().ok())
            .filter(|d| *d > 0.0 && *d < 4000.0)
            .collect();
        let words = [Severity::Warning, Severity::Critical];
        let raises: Vec<_> = limits
            .iter()
            .zip(words)
            .map(|(d, s)| (s, format!("check.cert_left < {}", literal(d * 86_400.0, SECONDS))))
            .collect();
        if raises.is_empty() {
            outcome.losses.push((format!("-C {days}"), "is no number of days", "check.cert_left < 30d"));
        } else {
            rules.push(rule(
                "certificate",
                format!("{name}: the certificate ends in {{check.cert_left}}"),
                raises,
            ));
        }
    }
    outcome.checks.push(Check { id: check.clone(), kind, keys });
    outcome.rules = rules;
    Some(outcome)
}
