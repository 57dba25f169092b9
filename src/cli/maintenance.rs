//! `sexton maintenance`: announces work on this host, and shows and ends windows.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::handle::{path, post, request};
use super::table::lay_out;
use super::{COULD_NOT_RUN, FINE, SocketArgs, fail, say};
use crate::config::duration;
use crate::engine::moment::SECOND;

/// What `sexton maintenance` takes.
#[derive(Clone, Debug, Args)]
pub struct MaintenanceArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Clone, Debug, Subcommand)]
enum Verb {
    /// Nothing is raised on this host from now on, for a while
    Start(StartArgs),
    /// Show windows and what they keep from being raised
    List(ListArgs),
    /// End a window early; what still holds is raised then
    End(EndArgs),
}

#[derive(Clone, Debug, Args)]
struct StartArgs {
    /// Why; it stands on incidents and in the journal
    #[arg(long)]
    reason: String,
    /// How long: 30m, 2h, 1h 30m; at most 30d
    #[arg(long = "for", value_name = "DURATION", default_value = "24h")]
    lasts: String,
    /// Only rules with these ids (globs, several times; `!` excludes)
    #[arg(long, value_name = "GLOB")]
    rule: Vec<String>,
    /// Only these services (globs)
    #[arg(long, value_name = "GLOB")]
    service: Vec<String>,
    /// Only these severities
    #[arg(long, value_name = "WORD", value_parser = ["info", "warning", "critical"])]
    severity: Vec<String>,
    /// Only with this label (globs): --label mount=/data
    #[arg(long, value_name = "NAME=GLOB")]
    label: Vec<String>,
    /// Id of the change; incidents carry it
    #[arg(long, value_name = "ID")]
    change: Option<String>,
    /// Raise, and only mark what is raised
    #[arg(long)]
    tag: bool,
    #[command(flatten)]
    socket: SocketArgs,
}

#[derive(Clone, Debug, Args)]
struct ListArgs {
    /// Print the whole answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: SocketArgs,
}

#[derive(Clone, Debug, Args)]
struct EndArgs {
    /// Id of the window, as in the list
    id: String,
    #[command(flatten)]
    socket: SocketArgs,
}

/// Runs the verb.
pub fn run(args: &MaintenanceArgs) -> u8 {
    match &args.verb {
        Verb::Start(args) => start(args),
        Verb::List(args) => list(args),
        Verb::End(args) => post(&args.socket.socket, &path(&["maintenance", &args.id, "end"]), &Value::Null),
    }
}

fn start(args: &StartArgs) -> u8 {
    match body(args) {
        Ok(body) => post(&args.socket.socket, "/v1/maintenance", &body),
        Err(why) => fail(COULD_NOT_RUN, &why),
    }
}

fn body(args: &StartArgs) -> Result<Value, String> {
    let lasts = duration(&args.lasts).map_err(|why| format!("--for: {:?} {why}", args.lasts))?;
    let mut labels: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for label in &args.label {
        let (name, glob) =
            label.split_once('=').ok_or_else(|| format!("--label: {label:?} is not NAME=GLOB"))?;
        labels.entry(name).or_default().push(glob);
    }
    let matches = json!({
        "rule": args.rule, "service": args.service, "severity": args.severity, "labels": labels,
    });
    let mode = if args.tag { "tag" } else { "suppress" };
    let lasts = lasts as f64 / SECOND as f64;
    Ok(json!({"for": lasts, "reason": args.reason, "change": args.change, "mode": mode, "match": matches}))
}

fn list(args: &ListArgs) -> u8 {
    match request(&args.socket.socket, "GET", "/v1/maintenance", &Value::Null) {
        Ok(answer) if args.json => say(&format!("{answer:#}\n")),
        Ok(answer) => say(&plain(&answer)),
        Err(error) => return error.report(),
    }
    FINE
}

/// The list as a person reads it.
fn plain(answer: &Value) -> String {
    let empty = Vec::new();
    let items = |name: &str| answer[name].as_array().unwrap_or(&empty).clone();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let second =
        |value: &Value| text(value).split(['.', 'Z']).next().unwrap_or_default().replace('T', " ") + "Z";
    let windows = items("windows");
    if windows.is_empty() {
        return "no maintenance window is open or planned\n".to_owned();
    }
    let row = |w: &Value| {
        let state = match (w["active"].as_bool(), w["flexible"].as_bool()) {
            (Some(true), _) => "OPEN",
            (_, Some(true)) => "flexible",
            _ => "planned",
        };
        let mut what = vec![text(&w["covers"])];
        what.extend(w["change"].as_str().map(|change| format!("change {change}")));
        what.extend(w["reason"].as_str().map(str::to_owned));
        what.extend(w["by"].as_str().map(|by| format!("by {by}")));
        if w["mode"] == "tag" {
            what.push("only marks".to_owned());
        }
        let span = format!("{} to {}", second(&w["from"]), second(&w["to"]));
        vec![text(&w["id"]), state.to_owned(), span, what.join("; ")]
    };
    let mut out = lay_out(&windows.iter().map(row).collect::<Vec<_>>());
    let kept = items("suppressed");
    if !kept.is_empty() {
        out.push_str(&format!("not raised  {}\n", kept.len()));
        out.push_str(&not_raised(&kept));
    }
    out
}

/// What is not raised, and why, line by line.
pub fn not_raised(kept: &[Value]) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let row =
        |k: &Value| vec![format!("{} on {}", text(&k["rule"]), text(&k["instance"])), text(&k["reason"])];
    lay_out(&kept.iter().map(row).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_reads_like_a_sentence() {
        let answer = json!({
            "windows": [
                {"id": "shell-1", "active": true, "flexible": false, "from": "2026-11-22T01:01:00.5Z",
                 "to": "2026-11-22T02:01:00.5Z", "covers": "rule fs-*", "change": "CHG0042", "reason": "new disk",
                 "by": "ada", "mode": "suppress"},
                {"id": "night", "active": false, "flexible": false, "from": "2026-11-29T02:00:00Z",
                 "to": "2026-11-29T04:00:00Z", "covers": "everything", "mode": "tag"}],
            "suppressed": [{"rule": "fs-full", "instance": "fs{mount=/data}",
                            "reason": "maintenance window shell-1 (change CHG0042)"}],
        });
        let expected = "  shell-1  OPEN     2026-11-22 01:01:00Z to 2026-11-22 02:01:00Z  rule fs-*; change CHG0042; new disk; by ada
  night    planned  2026-11-29 02:00:00Z to 2026-11-29 04:00:00Z  everything; only marks
not raised  1
  fs-full on fs{mount=/data}  maintenance window shell-1 (change CHG0042)
";
        assert_eq!(plain(&answer), expected);
    }

    #[test]
    fn what_cannot_be_read_is_said_before_the_daemon_is_asked() {
        use clap::Parser;
        #[derive(Debug, Parser)]
        struct Line {
            #[command(flatten)]
            args: StartArgs,
        }
        let body = |words: &[&str]| {
            let line = Line::try_parse_from(["sexton"].iter().chain(words)).map_err(|e| e.to_string())?;
            super::body(&line.args)
        };
        let good = body(&["--reason", "disk", "--for", "1h 30m", "--label", "mount=/data", "--tag"]).unwrap();
        assert_eq!((&good["for"], &good["mode"]), (&json!(5400.0), &json!("tag")));
        assert_eq!(good["match"]["labels"], json!({"mount": ["/data"]}));
        for (words, why) in [
            (&["--for", "1h"][..], "--reason"),
            (&["--reason", "x", "--for", "soon"], "--for: \"soon\""),
            (&["--reason", "x", "--label", "mount"], "NAME=GLOB"),
            (&["--reason", "x", "--severity", "bad"], "possible values"),
        ] {
            let error = body(words).unwrap_err();
            assert!(error.contains(why), "{words:?}: {error}");
        }
    }
}
