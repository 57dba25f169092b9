//! `sexton status`: what the daemon on this host sees and does, at a glance or as JSON.

use std::fmt::Write;

use clap::Args;
use serde_json::Value;

use super::handle::request;
use super::table::{lay_out, tamed};
use super::{FINE, SocketArgs, say};
use crate::engine::moment::{SECOND, Stamp, human};

/// What `sexton status` takes.
#[derive(Clone, Debug, Args)]
pub struct StatusArgs {
    /// Where the daemon listens.
    #[command(flatten)]
    pub socket: SocketArgs,
    /// Print the whole answer as JSON (status/1)
    #[arg(long)]
    pub json: bool,
    /// Also list every collector and check with its cost
    #[arg(long)]
    pub collectors: bool,
    /// Also list every rule instance that is not ok
    #[arg(long)]
    pub rules: bool,
}

/// Asks the daemon and prints.
pub fn run(args: &StatusArgs) -> u8 {
    let answer = match request(&args.socket.socket, "GET", "/v1/status", &Value::Null) {
        Ok(answer) => answer,
        Err(error) => return error.report(),
    };
    if args.json {
        say(&format!("{answer:#}\n"));
        return FINE;
    }
    say(&plain(&answer, args.collectors));
    if args.rules {
        match request(&args.socket.socket, "GET", "/v1/rules", &Value::Null) {
            Ok(answer) => say(&standing(&answer)),
            Err(error) => return error.report(),
        }
    }
    FINE
}

/// The status as text.
pub fn plain(s: &Value, collectors: bool) -> String {
    let s = &tamed(s);
    let mut out = String::new();
    let up = human((s["uptime"].as_f64().unwrap_or(0.0) * 1e9) as i64);
    let _ = writeln!(out, "sexton {} on {}, up {up}", text(&s["version"]), text(&s["host"]["name"]));
    let config = &s["config"];
    let _ = writeln!(
        out,
        "config      {}, {} rules on {} instances, loaded {}",
        text(&config["source"]),
        s["rules"]["rules"],
        s["rules"]["instances"],
        ago(s, &config["loaded_at"])
    );
    reload(s, config, &mut out);
    if let Some(error) = s["store"]["error"].as_str() {
        let _ = writeln!(out, "store       {error}; everything waits for it");
    }
    history(&s["history"], s, &mut out);
    incidents(s, &mut out);
    suppressed(s, &mut out);
    problems(s, &mut out);
    destinations(s, &mut out);
    sources(s, collectors, &mut out);
    out
}

/// What is on disk and refused, or what the last reload has changed.
fn reload(s: &Value, config: &Value, out: &mut String) {
    let last = &config["reload"];
    if let Some(error) = config["error"].as_str() {
        let first = error.lines().next().unwrap_or_default();
        let more = match last["refused_by"].as_str() {
            Some("tests") => "sexton test shows all",
            Some("limit") => "sexton reload --dry-run shows all, --force puts it in force",
            _ => "sexton check shows all",
        };
        let _ = writeln!(out, "            REFUSED what is on disk now: {first} ({more})");
        return;
    }
    if last["outcome"] != "applied" {
        return;
    }
    let (difference, outlook) = (&last["difference"], &last["outlook"]);
    let counts = [("added", "rules added"), ("changed", "changed"), ("removed", "removed")];
    let rules = counts.map(|(key, what)| (difference[key].as_u64().unwrap_or(0), what));
    let effects = [("raise", "raised"), ("close", "closed")];
    let effects = effects.map(|(key, what)| (outlook[key]["count"].as_u64().unwrap_or(0), what));
    let tables = (items(&difference["tables"]).len() as u64, "other tables changed");
    let all = rules.into_iter().chain([tables]).chain(effects);
    let told: Vec<_> = all.filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    let forced = if last["forced"] == true { " by force" } else { "" };
    let _ = writeln!(out, "            reloaded{forced} {}: {}", ago(s, &last["at"]), told.join(", "));
}

fn history(h: &Value, s: &Value, out: &mut String) {
    let Some(limit) = h["limit"].as_u64() else { return };
    if limit == 0 {
        let _ = writeln!(out, "history     none kept ([store] limits.history)");
        return;
    }
    let mib = |bytes: f64| format!("{:.1} MiB", bytes / f64::from(1 << 20));
    let size = mib(h["bytes"].as_f64().unwrap_or(0.0));
    let reach = match h["oldest"].as_str() {
        Some(_) => format!("back {}", age(s, &h["oldest"])),
        None => "empty".to_owned(),
    };
    let written = &h["written"];
    let _ = writeln!(out, "history     {size} of {}, {reach}, {written} samples written", mib(limit as f64));
    for (key, what) in [("dropped", "samples DROPPED"), ("damaged", "rows DAMAGED")] {
        if let Some(n) = h[key].as_u64().filter(|n| *n > 0) {
            let _ = writeln!(out, "            {n} {what} since the start");
        }
    }
    for sentence in ["error", "recovered"].iter().filter_map(|key| h[*key].as_str()) {
        let _ = writeln!(out, "            {sentence}");
    }
}

fn incidents(s: &Value, out: &mut String) {
    let open = items(&s["incidents"]["list"]);
    let _ = writeln!(
        out,
        "incidents   {}",
        if open.is_empty() { "none open".to_owned() } else { format!("{} open", open.len()) }
    );
    let mut open: Vec<&Value> = open.iter().collect();
    open.sort_by_key(|i| (text(&i["priority"]), text(&i["raised_at"])));
    let row = |i: &&Value| {
        let mut marks = Vec::new();
        if i["flapping"].as_bool() == Some(true) {
            marks.push("flapping".to_owned());
        }
        if let Some(n) = i["reopens"].as_u64().filter(|n| *n > 0) {
            marks.push(format!("reopened {n}×"));
        }
        let marks = if marks.is_empty() { String::new() } else { format!(" ({})", marks.join(", ")) };
        vec![
            text(&i["priority"]),
            text(&i["number"]),
            text(&i["state"]).replace('_', " "),
            age(s, &i["raised_at"]),
            text(&i["title"]) + &marks,
        ]
    };
    out.push_str(&lay_out(&open.iter().map(row).collect::<Vec<_>>()));
}

/// Open maintenance windows, and what is true and no incident.
fn suppressed(s: &Value, out: &mut String) {
    for window in items(&s["maintenance"]) {
        let change = window["change"].as_str().map(|c| format!(", change {c}")).unwrap_or_default();
        let to = text(&window["to"]).split(['.', 'Z']).next().unwrap_or_default().replace('T', " ");
        let _ = writeln!(
            out,
            "maintenance {} until {to}Z: {}{change}",
            text(&window["id"]),
            text(&window["covers"])
        );
    }
    if let Some(count) = s["suppressed"]["count"].as_u64().filter(|n| *n > 0) {
        let _ = writeln!(out, "not raised  {count}");
        out.push_str(&super::maintenance::not_raised(items(&s["suppressed"]["list"])));
    }
}

fn problems(s: &Value, out: &mut String) {
    let list = items(&s["problems"]);
    if list.is_empty() {
        return;
    }
    let _ = writeln!(out, "problems    {} held", list.len());
    let row = |p: &Value| {
        let why = p["why"].get(0).map(text).unwrap_or_default();
        vec![
            text(&p["priority"]),
            text(&p["number"]),
            text(&p["state"]).replace('_', " "),
            text(&p["title"]),
            why,
        ]
    };
    out.push_str(&lay_out(&list.iter().map(row).collect::<Vec<_>>()));
}

fn destinations(s: &Value, out: &mut String) {
    let list = items(&s["destinations"]);
    for (id, rows) in s["outbox_orphaned"].as_object().into_iter().flatten() {
        let _ = writeln!(
            out,
            "orphaned    {rows} rows wait for {id}, which is no longer configured (sexton outbox drop --destination {id})"
        );
    }
    if list.is_empty() {
        let _ = writeln!(out, "forwarding  no [[destination]]: records stay on this host");
        return;
    }
    let _ = writeln!(out, "forwarding");
    let row = |d: &Value| {
        let count = |state: &str| d["rows"][state].as_u64().unwrap_or(0);
        let waiting = count("pending") + count("sending") + count("unknown");
        let mut note = format!("{waiting} waiting");
        if count("parked") > 0 {
            let _ = write!(note, ", {} PARKED", count("parked"));
        }
        if let Some(reason) = d["reason"].as_str() {
            let _ = write!(note, "; {reason}");
        }
        vec![text(&d["id"]), text(&d["kind"]), text(&d["state"]), note]
    };
    out.push_str(&lay_out(&list.iter().map(row).collect::<Vec<_>>()));
    if let Some(dropped) = s["outbox_dropped"].as_u64().filter(|n| *n > 0) {
        let _ = writeln!(out, "            {dropped} DROPPED so far because the outbox was full");
    }
}

fn sources(s: &Value, all: bool, out: &mut String) {
    for (title, key) in [("collectors", "collectors"), ("checks", "checks")] {
        let list = items(&s[key]);
        let bad: Vec<&Value> = list.iter().filter(|c| !c["error"].is_null()).collect();
        let verdict = if bad.is_empty() { "all well".to_owned() } else { format!("{} failing", bad.len()) };
        if list.is_empty() {
            continue;
        }
        let _ = writeln!(out, "{title:<11} {}, {verdict}", list.len());
        let shown: Vec<&Value> = if all { list.iter().collect() } else { bad };
        let row = |c: &&Value| {
            let name = if c["id"].is_null() { &c["kind"] } else { &c["id"] };
            let cost = c["cost_ns"].as_f64().map_or(String::new(), |ns| format!("{:.0} µs", ns / 1e3));
            vec![text(name), cost, c["error"].as_str().unwrap_or("ok").to_owned()]
        };
        out.push_str(&lay_out(&shown.iter().map(row).collect::<Vec<_>>()));
    }
}

fn standing(answer: &Value) -> String {
    let list = items(&answer["instances"]);
    let row = |r: &Value| {
        let reasons = [&r["suppressed_by"], &r["reason"]];
        let said = reasons.into_iter().find(|reason| !reason.is_null()).unwrap_or(&r["value"]);
        vec![text(&r["state"]), text(&r["rule"]), text(&r["instance"]), text(said)]
    };
    let not_ok: Vec<_> = list.iter().filter(|r| r["state"] != "ok").map(row).collect();
    format!("rules       {} of {} instances are not ok\n{}", not_ok.len(), list.len(), lay_out(&not_ok))
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn age(s: &Value, at: &Value) -> String {
    let stamp = |v: &Value| v.as_str().and_then(|t| t.parse::<Stamp>().ok());
    match (stamp(&s["now"]), stamp(at)) {
        (Some(now), Some(at)) => human((now.0 - at.0).max(0) / SECOND * SECOND),
        _ => "?".to_owned(),
    }
}

fn ago(s: &Value, at: &Value) -> String {
    format!("{} ago", age(s, at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_status_says_what_an_operator_looks_for() {
        let s = json!({
            "version": "0.1.0", "host": {"id": "00", "name": "web-01"}, "uptime": 3720.0, "now": "2026-11-22T10:00:00Z",
            "config": {"source": "/etc/sexton", "loaded_at": "2026-11-22T09:59:00Z", "error": "rules.d/a.toml:3:9: bad\nmore"},
            "rules": {"rules": 20, "instances": 41},
            "incidents": {"list": [
                {"priority": "P3", "number": "INC000002", "state": "in_progress", "raised_at": "2026-11-22T09:00:00Z",
                 "title": "/data 96 % used", "reopens": 2, "flapping": false},
                {"priority": "P1", "number": "INC000003", "state": "new", "raised_at": "2026-11-22T09:58:00Z",
                 "title": "front is down", "reopens": 0, "flapping": true}]},
            "problems": [], "destinations": [
                {"id": "rt", "kind": "rt", "state": "down", "reason": "connection refused", "rows": {"pending": 3, "parked": 1}}],
            "collectors": [{"kind": "cpu", "cost_ns": 41000.0, "error": null}], "checks": [],
            "outbox_orphaned": {"old": 2},
        });
        let expected = "\
sexton 0.1.0 on web-01, up 1h 2m
config      /etc/sexton, 20 rules on 41 instances, loaded 1m ago
            REFUSED what is on disk now: rules.d/a.toml:3:9: bad (sexton check shows all)
incidents   2 open
  P1  INC000003  new          2m  front is down (flapping)
  P3  INC000002  in progress  1h  /data 96 % used (reopened 2×)
orphaned    2 rows wait for old, which is no longer configured (sexton outbox drop --destination old)
forwarding
  rt  rt  down  3 waiting, 1 PARKED; connection refused
collectors  1, all well
";
        assert_eq!(plain(&s, false), expected);
    }

    #[test]
    fn the_last_reload_is_told_with_what_to_do_about_it() {
        let applied = json!({"outcome": "applied", "forced": true, "at": "2026-11-22T09:58:00Z",
            "difference": {"added": 1, "changed": 0, "removed": 2, "tables": []},
            "outlook": {"raise": {"count": 12}, "close": {"count": 0}}});
        for (config, line) in [
            (
                json!({"reload": applied}),
                "            reloaded by force 2m ago: 1 rules added, 2 removed, 12 raised\n",
            ),
            (
                json!({"error": "a.toml:3:9: bad\nmore"}),
                "            REFUSED what is on disk now: a.toml:3:9: bad (sexton check shows all)\n",
            ),
            (
                json!({"error": "it would raise 12", "reload": {"outcome": "refused", "refused_by": "limit"}}),
                "            REFUSED what is on disk now: it would raise 12 \
              (sexton reload --dry-run shows all, --force puts it in force)\n",
            ),
            (json!({"reload": {"outcome": "unchanged"}}), ""),
        ] {
            let (s, mut out) = (json!({"now": "2026-11-22T10:00:00Z", "config": config}), String::new());
            reload(&s, &s["config"], &mut out);
            assert_eq!(out, line);
        }
    }
}
