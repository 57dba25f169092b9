//! Documents as the daemon gives them, and the lines that are made of them.

use serde_json::json;

use super::*;

const PLAIN: Terminal = Terminal { colour: false, unicode: true, width: 90, lines: None };

fn lines(answer: &Value) -> String {
    let text = plain(answer, PLAIN);
    for line in text.lines() {
        // A command is copied as it stands.
        let is_command = line.starts_with("All numbers");
        assert!((is_command || line.chars().count() <= 90) && line.trim_end() == line, "{line:?}");
    }
    // Colours and the width change nothing but themselves.
    let colourful = plain(answer, Terminal { colour: true, ..PLAIN });
    let stripped: String = colourful.split("\x1b[").enumerate().map(|(i, part)| painted(i, part)).collect();
    assert_eq!(stripped, text);
    text
}

fn painted(i: usize, part: &str) -> &str {
    if i == 0 { part } else { part.split_once('m').map_or("", |(_, rest)| rest) }
}

fn compare(text: &str, verdict: &str, shown: &str, margin: &str, parts: Value) -> Value {
    json!({"kind": "compare", "text": text, "verdict": verdict, "shown": shown,
           "margin": {"by": 1.0, "limit": 0.0, "shown": margin}, "parts": parts})
}

fn pending() -> Value {
    let polled = json!({"kind": "signal", "text": "fs.used", "shown": "91.2 %",
                        "signal": {"age": 3.2, "interval": 10.0, "stale_after": 30.0}});
    let window = json!({"kind": "window", "text": "eta(fs.used, 100%, 6h)", "shown": "2d 3h",
                        "window": {"span": 21600.0, "needed": 0.5, "shown": "2160 of 2160 samples (100 %)"},
                        "parts": [polled]});
    let level = compare("fs.used > 85%", "true", "91.2 %", "6.2 points above 85 %", json!([polled]));
    let left = compare("eta(fs.used, 100%, 6h) < 3d", "true", "2d 3h", "21h below 3d", json!([window]));
    let raise = json!({"kind": "and", "text": "fs.used > 85% and eta(fs.used, 100%, 6h) < 3d",
                       "verdict": "true", "parts": [level, left]});
    json!({
        "schema": "explain/1", "kind": "rule", "id": "filling", "origin": "rules.d/10.toml:1", "class": "fs",
        "at": "2026-11-22T10:03:20.5Z", "bound": 1, "unbound": [], "unbound_count": 0,
        "instances": [{"instance": "fs{mount=/data}", "state": "pending"}],
        "detail": {
            "judgement": {
                "rule": "filling", "instance": "fs{mount=/data}", "state": "pending", "severity": "warning",
                "since": "2026-11-22T10:00:00Z", "verdict": "true for 3m 20s of 10m: so it is", "next": "raised at 10:10",
                "steps": [{"severity": "warning", "for": 600.0, "keep": 300.0, "says": "true",
                           "clock": {"of": "for", "since": "2026-11-22T10:00:00Z", "held": 200.0, "needed": 600.0},
                           "raise": raise,
                           "clear": compare("fs.used < 80%", "false", "91.2 %", "11.2 points above 80 %", json!([]))}],
            },
            "priority": ["P4: impact 2 × urgency 3"],
            "suppression": [
                {"kind": "maintenance", "effect": "would", "text": "window night is open"},
                {"kind": "dependency", "effect": "none", "text": "fs-readonly (same mount) is well"}],
        },
    })
}

#[test]
fn a_pending_rule_reads_from_top_to_bottom() {
    let expected = "\
filling on fs{mount=/data}  (rules.d/10.toml:1)
PENDING warning since 2026-11-22 10:00:00Z, 3m 20s ago
  why    true for 3m 20s of 10m: so it is
  next   raised at 10:10

step warning   for 10m, keep 5m   P4: impact 2 × urgency 3
  for    ██████░░░░░░░░░░░░░░ 3m 20s of 10m, since 2026-11-22 10:00:00Z, 6m 40s left
  raise  TRUE     fs.used > 85% and eta(fs.used, 100%, 6h) < 3d
    ✓ fs.used > 85%                 91.2 %, 6.2 points above 85 %
    ✓ eta(fs.used, 100%, 6h) < 3d   2d 3h, 21h below 3d
        over 6h: 2160 of 2160 samples (100 %); fs.used 91.2 %, 3s old, every 10s
  clear  FALSE    fs.used < 80%   91.2 %, 11.2 points above 80 %

between a raise and an incident
  would keep it  maintenance  window night is open
  -              dependency   fs-readonly (same mount) is well
";
    assert_eq!(lines(&pending()), expected);
}

#[test]
fn what_is_kept_or_unknown_is_said_before_the_numbers() {
    let mut kept = pending();
    kept["detail"]["suppression"][0]["effect"] = json!("keeps");
    assert!(lines(&kept).contains("\n  but    no incident: window night is open\n"));
    let mut unknown = pending();
    let part = &mut unknown["detail"]["judgement"]["steps"][0]["raise"]["parts"][1];
    (part["verdict"], part["why"]) = (json!("unknown"), json!("still warming up, watched for 20s of 6h"));
    part["parts"][0]["why"] = part["why"].clone();
    let text = lines(&unknown);
    assert!(
        text.contains("    ? eta(fs.used, 100%, 6h) < 3d   unknown: still warming up, watched for 20s"),
        "{text}"
    );
    assert_eq!(text.matches("warming up").count(), 1, "once is enough\n{text}");
}

#[test]
fn instances_are_listed_worst_first_and_what_is_not_bound_with_its_reason() {
    let instance = |name: &str, state: &str| json!({"instance": name, "state": state, "verdict": "so it is"});
    let answer = json!({
        "kind": "rule", "id": "fs-full", "origin": "a.toml:1", "class": "fs", "bound": 3,
        "instances": [instance("fs{mount=/}", "ok"), instance("fs{mount=/a}", "unknown"),
                      instance("fs{mount=/data}", "raised")],
        "unbound": [{"instance": "fs{mount=/run}", "why": "its fstype is \"tmpfs\""}], "unbound_count": 7,
    });
    let expected = "\
fs-full  (a.toml:1)
judged for 3 fs
  RAISED   fs{mount=/data}  so it is
  UNKNOWN  fs{mount=/a}     so it is
  OK       fs{mount=/}      so it is
not bound    7
  fs{mount=/run}  its fstype is \"tmpfs\"
  and 6 more

All numbers of one: sexton explain fs-full 'fs{mount=/data}'
";
    assert_eq!(lines(&answer), expected);
}

#[test]
fn an_incident_says_where_it_went_and_why_it_did_not() {
    let answer = json!({
        "kind": "incident", "at": "2026-11-22T10:10:00Z", "held": true,
        "incident": {
            "id": "01", "number": "INC000012", "rev": 3, "state": "in_progress", "priority": "P2", "priority_max": "P2",
            "severity": "critical", "title": "/data 96 % used", "rule": {"id": "fs-full"}, "instance": "fs{mount=/data}",
            "host": {"name": "web-01"}, "impact": 2, "urgency": 1, "priority_reason": "P2: impact 2 × urgency 1",
            "raised_at": "2026-11-22T10:00:00.25Z", "counters": {"events": 1},
            "sla": {"respond": {"due": "2026-11-22T10:30:00Z"}, "resolve": {"due": "2026-11-22T10:05:00Z"}},
            "timeline": [{"at": "2026-11-22T10:00:00Z", "actor": "rule", "kind": "raised", "to": "new",
                          "note": "fs.used 96 % > 95 %"}],
            "evidence": {"series": [{"signal": "fs.used", "unit": "ratio", "limit": 0.95,
                                     "points": [[1.0, 0.9], [2.0, null], [3.0, 0.96]]}]},
        },
        "rule": {"in_force": true, "changed": true, "now": {"state": "ok", "verdict": "not raised", "next": "later"}},
        "kept": [{"at": "2026-11-22T09:50:00Z", "event": "raise", "by": "maintenance", "window": "night"}],
        "problem": null,
        "deliveries": [
            {"destination": "rt", "state": "parked", "record": "01", "rev": 3, "acked_rev": 1, "attempts": 2,
             "remote_id": "42", "last_error": "HTTP 422", "destination_state": "down", "destination_reason": "refused"},
            {"destination": "mail", "state": "none", "why": "its match lets no such priority pass"}],
    });
    let text = lines(&answer);
    for line in [
        "INC000012  P2 critical  IN PROGRESS\n",
        "  2026-11-22 10:00:00Z  raised  fs.used 96 % > 95 %\n",
        "  fs.used  ▁█ 2 samples, 90 % to 96 %, last 96 %, 1 missing, limit 95 %\n",
        "  respond   due 2026-11-22 10:30:00Z (in 20m)\n",
        "  resolve   due 2026-11-22 10:05:00Z (late)\n",
        "  2026-11-22 09:50:00Z  raise  maintenance window night\n",
        "  rt    PARKED  revision 1 is there, 3 waits; remote id 42; 2 failed attempts since",
        "sexton outbox requeue rt 01",
        "  mail  NONE    its match lets no such priority pass\n",
        "  note   it has been changed since this was raised\n",
        "--at 2026-11-22T10:00:00Z\n",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}
