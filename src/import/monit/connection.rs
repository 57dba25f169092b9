//! Connection tests of Monit, `if failed port 443 protocol https`, as checks with their rules.

use super::lex::Word;
use super::service::{Kind, Service};
use super::test::{Lost, STRANGE, Verdict};
use crate::engine::record::Severity;
use crate::engine::signal::Class;
use crate::import::draft::Check;
use crate::import::say;
use crate::import::write::quoted;

/// What a protocol says when it is well: what to send, what is expected.
const GREETINGS: &[(&str, u16, &str, &str)] = &[
    ("ssh", 22, "", "SSH-"),
    ("smtp", 25, "", "220"),
    ("smtps", 465, "", ""),
    ("ftp", 21, "", "220"),
    ("imap", 143, "", "* OK"),
    ("pop", 110, "", "+OK"),
    ("redis", 6379, "PING\\r\\n", "PONG"),
    ("mysql", 3306, "", ""),
    ("pgsql", 5432, "", ""),
    ("postgresql", 5432, "", ""),
    ("memcache", 11211, "version\\r\\n", "VERSION"),
    ("default", 0, "", ""),
];

/// What stands behind `failed`.
#[derive(Default)]
struct Asked {
    host: String,
    port: Option<u16>,
    protocol: String,
    is_tls: bool,
    request: String,
    url: String,
    status: Vec<String>,
    content: String,
    send: String,
    expect: String,
    method: String,
    timeout: Option<f64>,
    cert_days: Option<f64>,
    refused: Option<Lost>,
    lost: Vec<&'static str>,
}

/// The words behind `failed`.
pub fn read(service: &Service, words: &[Word], cycle: i64) -> Result<Verdict, Lost> {
    if service.kind == Kind::Network {
        return Verdict::new("link", "NAME has lost its link", "not net.up", Severity::Critical);
    }
    let mut asked = ask(service, words);
    if let Some(lost) = asked.refused {
        return Err(lost);
    }
    let is_http = asked.protocol.starts_with("http") || !asked.url.is_empty();
    if !is_http && asked.port.is_none() {
        return Err(Lost { why: "is no connection that can be asked here", instead: "a plugin rule" });
    }
    let mut check = if is_http { http(&asked) } else { tcp(&mut asked)? };
    let timeout = asked.timeout.filter(|t| *t >= 0.001 && *t * 1e9 <= cycle as f64);
    if timeout.is_none() && asked.timeout.is_some() {
        asked.lost.push("a time-out of no length, or longer than a cycle: the usual one holds");
    }
    check.keys.push(("interval", quoted(&say::span(cycle))));
    if let Some(timeout) = timeout {
        check.keys.push(("timeout", quoted(&say::span((timeout * 1e9) as i64))));
    }
    let port = asked.port.map_or_else(|| "http".to_owned(), |p| format!("port-{p}"));
    let title = "NAME does not answer ({check})";
    let mut verdict = Verdict::new(&port, title, "not check.up", Severity::Critical)?;
    verdict.class = Some(Class::Check);
    if let Some(days) = asked.cert_days.filter(|_| is_http) {
        let limit = crate::engine::cond::expr::literal(days * 86_400.0, say::SECONDS);
        let title = "NAME: the certificate ends in {check.cert_left}";
        let ends = format!("check.cert_left < {limit}");
        let mut more = Verdict::new("certificate", title, &ends, Severity::Warning)?;
        more.class = Some(Class::Check);
        verdict.more = Some(Box::new(more));
    } else if asked.cert_days.is_some() {
        asked.lost.push("tcp checks see no certificate: a rule with check.cert_left on an http check");
    }
    verdict.differs = asked.lost;
    verdict.check = Some(check);
    Ok(verdict)
}

fn ask(service: &Service, words: &[Word]) -> Asked {
    let host = if service.kind == Kind::Host { service.subject.clone() } else { "localhost".to_owned() };
    let mut asked = Asked { host, ..Asked::default() };
    let raw = |i: usize| words.get(i).map(|w| w.raw.clone()).unwrap_or_default();
    // A sign between key and value may be left out: `status = 200`, `content "ok"`.
    let value = |i: usize| if ["=", "==", ">", "<", "!="].contains(&raw(i).as_str()) { i + 1 } else { i };
    let mut i = 0;
    while i < words.len() {
        let (word, next) = (words[i].text.as_str(), i + 1);
        let mut used = 2;
        match word {
            "host" | "hostname" => asked.host = raw(next),
            "port" => asked.port = raw(next).parse().ok().filter(|p| *p > 0),
            "protocol" | "proto" => asked.protocol = raw(next).to_ascii_lowercase(),
            "ssl" | "tls" | "tcpssl" => (asked.is_tls, used) = (true, 1),
            "type" => match raw(next).to_ascii_lowercase().as_str() {
                "udp" => {
                    asked.refused =
                        Some(Lost { why: "UDP is not asked here", instead: "a plugin rule with check_udp" })
                }
                "tcpssl" => asked.is_tls = true,
                _ => {}
            },
            "ping" | "ping4" | "ping6" | "icmp" => {
                asked.refused = Some(Lost {
                    why: "ping is not sent here",
                    instead: "a tcp check on a port of that host, or a plugin rule with check_ping",
                });
            }
            "unixsocket" | "unix" => {
                asked.refused = Some(Lost {
                    why: "sockets in the file system are not asked here",
                    instead: "a plugin rule, or a rule on the unit",
                });
            }
            "permission" | "uid" | "gid" | "checksum" => {
                asked.refused =
                    Some(Lost { why: "owner, rights and checksum have no signal", instead: "a plugin rule" });
            }
            "url" => asked.url = raw(next),
            "request" => asked.request = raw(next),
            "method" => asked.method = raw(next).to_ascii_uppercase(),
            "status" => {
                let at = value(next);
                match (raw(next).as_str(), raw(at)) {
                    ("<" | ">" | "!=", _) => {
                        asked.lost.push("a range of status codes: the check takes 2xx and 3xx")
                    }
                    (_, code) => asked.status.push(code),
                }
                used = at + 1 - i;
            }
            "content" => {
                let at = value(next);
                asked.content = raw(at);
                if raw(next) == "!=" || asked.content.contains(['*', '[', '\\', '|', '^', '$']) {
                    asked.content.clear();
                    asked.lost.push("a pattern over the content: a check looks for a plain text");
                }
                used = at + 1 - i;
            }
            "send" => asked.send = raw(next),
            "expect" => asked.expect = raw(next),
            "timeout" => {
                let scale = if raw(i + 2).starts_with("milli") { 0.001 } else { 1.0 };
                asked.timeout = raw(next).parse::<f64>().ok().map(|t| t * scale);
                used = if raw(i + 2).contains("second") { 3 } else { 2 };
            }
            "certificate" => {
                asked.cert_days = words[i..].iter().find_map(|w| w.text.parse().ok());
                asked.is_tls = true;
                used =
                    words[i..].iter().position(|w| w.text.starts_with("day")).map_or(words.len(), |n| n + 1);
            }
            "username" | "password" | "checksum-of" => {
                asked.lost.push("a login is not carried over: no password stands in rules")
            }
            "hostheader" | "http" => asked.lost.push("a header: write `headers` into the [[check]]"),
            "retry" => asked.lost.push("retries: the rule's `for` waits instead"),
            "response" | "responsetime" => {
                asked.lost.push("the time of the answer: a rule with check.latency")
            }
            _ => used = 1,
        }
        i += used.max(1);
    }
    asked
}

fn http(asked: &Asked) -> Check {
    let is_https = asked.protocol == "https" || asked.is_tls || asked.port == Some(443);
    let scheme = if is_https { "https" } else { "http" };
    let usual = if is_https { 443 } else { 80 };
    let port = asked.port.filter(|p| *p != usual).map(|p| format!(":{p}")).unwrap_or_default();
    let host = match asked.host.contains(':') && !asked.host.starts_with('[') {
        true => format!("[{}]", asked.host),
        false => asked.host.clone(),
    };
    let path = if asked.request.is_empty() { "/" } else { &asked.request };
    let slash = if path.starts_with('/') { "" } else { "/" };
    let url = if asked.url.is_empty() {
        format!("{scheme}://{host}{port}{slash}{path}")
    } else {
        asked.url.clone()
    };
    let mut keys = vec![("url", quoted(&url))];
    if ["HEAD", "POST", "PUT", "OPTIONS"].contains(&asked.method.as_str()) {
        keys.push(("method", quoted(&asked.method)));
    }
    let codes: Vec<String> =
        asked.status.iter().filter(|s| s.len() == 3 && s.parse::<u16>().is_ok()).cloned().collect();
    if !codes.is_empty() {
        keys.push(("status", crate::import::write::list(&codes)));
    }
    if !asked.content.is_empty() {
        keys.push(("body_contains", quoted(&asked.content)));
    }
    Check { id: String::new(), kind: "http", keys }
}

fn tcp(asked: &mut Asked) -> Result<Check, Lost> {
    let port = asked.port.ok_or(STRANGE)?;
    let host = match asked.host.contains(':') && !asked.host.starts_with('[') {
        true => format!("[{}]", asked.host),
        false => asked.host.clone(),
    };
    let known = GREETINGS.iter().find(|(name, ..)| *name == asked.protocol);
    let (send, expect) = match (&asked.send, &asked.expect, known) {
        (send, expect, _) if !send.is_empty() || !expect.is_empty() => (send.clone(), expect.clone()),
        (_, _, Some((_, _, send, expect))) if !asked.is_tls => {
            (send.replace("\\r\\n", "\r\n"), (*expect).to_owned())
        }
        _ => (String::new(), String::new()),
    };
    if asked.is_tls {
        asked.lost.push("TLS is not spoken by tcp checks: only the port is asked");
    } else if send.is_empty() && expect.is_empty() && !["", "default"].contains(&asked.protocol.as_str()) {
        asked.lost.push("this protocol is not spoken by tcp checks: only the port is asked");
    }
    let mut keys = vec![("address", quoted(&format!("{host}:{port}")))];
    for (key, value) in [("send", send), ("expect", expect)] {
        if !value.is_empty() {
            keys.push((key, quoted(&value)));
        }
    }
    Ok(Check { id: String::new(), kind: "tcp", keys })
}
