//! `sexton outbox`: what waits for the destinations, a closer look, hand-over, and what becomes of dead
//! letters.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::handle::{RequestError, path, post, request};
use super::table::lay_out;
use super::{COULD_NOT_RUN, FINDING, FINE, SocketArgs, fail, say};

/// What `sexton outbox` takes.
#[derive(Clone, Debug, Args)]
pub struct OutboxArgs {
    /// Where the daemon listens.
    #[command(flatten)]
    pub socket: SocketArgs,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// What is to be done; without it, as `ls`.
    #[command(subcommand)]
    pub verb: Option<OutboxVerb>,
}

/// A look into the outbox, or a repair.
#[derive(Clone, Debug, Subcommand)]
pub enum OutboxVerb {
    /// List what is not delivered: dead letters first, then by age
    Ls {
        /// Only rows of this destination
        #[arg(long, value_name = "ID")]
        destination: Option<String>,
        /// Only rows in this state: pending, blocked, sending, unknown, parked, acked
        #[arg(long)]
        state: Option<String>,
        /// Delivered ones too
        #[arg(long)]
        all: bool,
    },
    /// Show one row: where it stands, why, and what will be sent
    Show {
        /// Id of the destination
        destination: String,
        /// Id of the record
        record: String,
    },
    /// Check that the outbox holds together; reads all of it
    Verify,
    /// Write everything undelivered as JSON lines, to be handed over by other means; nothing is changed
    Export {
        /// Only rows of this destination
        #[arg(long, value_name = "ID")]
        destination: Option<String>,
        /// Where to write; standard output by default
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Put a dead letter back into the line, or all of a destination
    Requeue {
        /// Id of the destination
        destination: String,
        /// Id of the record
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        record: Option<String>,
        /// Every dead letter of this destination, 10 000 at a time
        #[arg(long)]
        all: bool,
    },
    /// Give up what waits of a record; one that was never created is dropped with all that follows
    Drop {
        /// Id of the destination
        #[arg(required_unless_present = "removed", requires = "record")]
        destination: Option<String>,
        /// Id of the record
        record: Option<String>,
        /// All that waits for this destination, which is no longer configured
        #[arg(long = "destination", value_name = "ID", conflicts_with_all = ["destination", "record"])]
        removed: Option<String>,
        /// Why
        #[arg(long)]
        reason: String,
    },
}

/// Asks the daemon and prints.
pub fn run(args: &OutboxArgs) -> u8 {
    let socket: &Path = &args.socket.socket;
    let done = match args.verb.clone() {
        Some(OutboxVerb::Requeue { destination, record, .. }) => {
            let place: Vec<&str> =
                ["outbox", &destination].into_iter().chain(record.as_deref()).chain(["requeue"]).collect();
            return post(socket, &path(&place), &Value::Null);
        }
        Some(OutboxVerb::Drop { destination, record, removed, reason }) => {
            let parts = [Some("outbox"), removed.as_deref(), destination.as_deref(), record.as_deref()];
            let parts: Vec<&str> = parts.into_iter().flatten().chain(["drop"]).collect();
            return post(socket, &path(&parts), &json!({"note": reason}));
        }
        Some(OutboxVerb::Show { destination, record }) => show(args, &destination, &record),
        Some(OutboxVerb::Verify) => verify(args),
        Some(OutboxVerb::Export { destination, file }) => export(socket, destination.as_deref(), file),
        Some(OutboxVerb::Ls { destination, state, all }) => {
            list(args, destination.as_deref(), state.as_deref(), all)
        }
        None => list(args, None, None, false),
    };
    done.unwrap_or_else(|error| error.report())
}

fn list(
    args: &OutboxArgs,
    destination: Option<&str>,
    state: Option<&str>,
    all: bool,
) -> Result<u8, RequestError> {
    let answer = request(&args.socket.socket, "GET", "/v1/outbox", &Value::Null)?;
    let mut rows = answer["rows"].as_array().cloned().unwrap_or_default();
    rows.retain(|row| {
        destination.is_none_or(|d| row["destination"] == d)
            && state.map_or(all || row["state"] != "acked", |s| row["state"] == s)
    });
    let filtered = destination.is_some() || state.is_some();
    match (args.json, rows.is_empty()) {
        (true, _) => say(&format!("{:#}\n", json!({"rows": rows}))),
        (false, true) if filtered => say("no such rows\n"),
        (false, true) => say("everything is delivered\n"),
        (false, false) => say(&table(&rows)),
    }
    Ok(FINE)
}

fn table(rows: &[Value]) -> String {
    let text = |row: &Value, key: &str| row[key].as_str().unwrap_or("-").to_owned();
    let line = |row: &Value| {
        let columns = ["destination", "state", "kind", "record"].map(|key| text(row, key));
        let rest = [format!("P{}", row["priority"]), tries(row), text(row, "last_error")];
        columns.into_iter().chain(rest).collect::<Vec<_>>()
    };
    let head = ["DESTINATION", "STATE", "KIND", "RECORD", "PRIORITY", "TRIES", "LAST ERROR"];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    lines.extend(rows.iter().map(line));
    lay_out(&lines)
}

fn tries(row: &Value) -> String {
    row["attempts"].to_string()
}

fn show(args: &OutboxArgs, destination: &str, record: &str) -> Result<u8, RequestError> {
    let whole = request(&args.socket.socket, "GET", &path(&["outbox", destination, record]), &Value::Null)?;
    say(&if args.json { format!("{whole:#}\n") } else { describe(&whole) });
    Ok(FINE)
}

fn describe(whole: &Value) -> String {
    let row = &whole["row"];
    let word = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let body = [&whole["sending"]["body"], &whole["body"]].into_iter().find(|b| !b.is_null());
    let fact = |name: &str, value: String| vec![name.to_owned(), value];
    let mut facts = vec![
        fact("destination", word(&row["destination"])),
        fact("record", format!("{} {}", word(&row["kind"]), word(&row["record"]))),
        fact("state", word(&row["state"])),
        fact("next", what_next(row, whole)),
        fact("revision", format!("{} wanted, {} there", row["rev"], row["acked_rev"])),
        fact("remote id", word(&row["remote_id"])),
        fact("tries", tries(row)),
        fact("last error", word(&row["last_error"])),
        fact("waiting since", word(&whole["created_at"])),
        fact("last stored", word(&whole["stored_at"])),
        fact("bytes", word(&row["bytes"])),
    ];
    if let Some(body) = body {
        facts.push(fact("title", word(&body["title"])));
    }
    lay_out(&facts)
}

fn what_next(row: &Value, whole: &Value) -> String {
    let when = match row["next"].as_str() {
        Some(at) if at.starts_with("1970-") => "at once".to_owned(),
        Some(at) => format!("at {at}"),
        None => "-".to_owned(),
    };
    match (row["state"].as_str().unwrap_or(""), whole["sending"]["key"].as_str()) {
        ("acked", _) => "nothing: it is delivered".to_owned(),
        ("parked", _) => "nothing until it is put back: sexton outbox requeue".to_owned(),
        ("blocked", _) => "waits until both ends of the link are stored".to_owned(),
        ("unknown", Some(key)) => {
            let record = whole["record_key"].as_str().unwrap_or("the record");
            format!("looks for {record} there, then repeats {key} {when}")
        }
        (_, Some(key)) => format!("{key} {when}"),
        (_, None) => when,
    }
}

fn verify(args: &OutboxArgs) -> Result<u8, RequestError> {
    let answer = request(&args.socket.socket, "GET", "/v1/outbox/verify", &Value::Null)?;
    let flaws = answer["flaws"].as_array().cloned().unwrap_or_default();
    if args.json {
        say(&format!("{answer:#}\n"));
    } else if flaws.is_empty() {
        say("the outbox holds together\n");
    }
    for flaw in flaws.iter().filter(|_| !args.json) {
        let (claim, place) = (&flaw["claim"], &flaw["place"]);
        say(&format!("not true: {}: {}\n", claim.as_str().unwrap_or(""), place.as_str().unwrap_or("")));
    }
    Ok(if flaws.is_empty() { FINE } else { FINDING })
}

fn export(socket: &Path, destination: Option<&str>, file: Option<PathBuf>) -> Result<u8, RequestError> {
    let mut out: Box<dyn Write> = match &file {
        None => Box::new(std::io::stdout().lock()),
        Some(path) => match std::fs::File::create_new(path) {
            Ok(file) => Box::new(std::io::BufWriter::new(file)),
            Err(e) => return Ok(fail(COULD_NOT_RUN, &format!("cannot create {}: {e}", path.display()))),
        },
    };
    let (mut after, mut count) = (0, 0_u64);
    loop {
        let answer = request(socket, "GET", &format!("/v1/outbox/export?after={after}"), &Value::Null)?;
        let rows = answer["rows"].as_array().cloned().unwrap_or_default();
        let Some(last) = rows.last() else { break };
        after = last["cursor"].as_i64().unwrap_or(i64::MAX);
        let wanted = |row: &&Value| destination.is_none_or(|d| row["row"]["destination"] == d);
        for row in rows.iter().filter(wanted) {
            count += 1;
            if let Err(e) = writeln!(out, "{row}") {
                return Ok(fail(COULD_NOT_RUN, &format!("cannot write: {e}")));
            }
        }
    }
    if let Err(e) = out.flush() {
        return Ok(fail(COULD_NOT_RUN, &format!("cannot write: {e}")));
    }
    if let Some(path) = file {
        say(&format!("{count} records written to {}\n", path.display()));
    }
    Ok(FINE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_reads_as_a_sentence_about_what_is_next() {
        let row = |state: &str, key: Option<&str>| {
            let whole = json!({"row": {"state": state, "next": "1970-01-01T00:00:00Z"}, "record_key": "sx-i1",
                "sending": key.map(|k| json!({"key": k}))});
            what_next(&whole["row"], &whole)
        };
        assert_eq!(row("pending", None), "at once");
        assert_eq!(
            row("unknown", Some("sx-i1-1-c")),
            "looks for sx-i1 there, then repeats sx-i1-1-c at once"
        );
        assert_eq!(row("acked", None), "nothing: it is delivered");
        assert!(row("parked", None).contains("requeue"));
    }

    #[test]
    fn a_list_has_a_head_and_one_line_per_row() {
        let row = json!({"destination": "rt", "kind": "incident", "record": "i1", "state": "parked",
            "attempts": 2, "priority": 1, "last_error": "HTTP 422: no such queue"});
        let shown = table(&[row]);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines.len(), 2, "{shown}");
        assert!(lines[0].contains("DESTINATION") && lines[1].contains("no such queue"), "{shown}");
        assert!(lines[1].contains("P1"));
    }

    #[test]
    fn a_record_or_everything_of_a_removed_destination_is_dropped_with_a_reason() {
        use clap::Parser;
        #[derive(Parser)]
        struct Line {
            #[command(flatten)]
            args: OutboxArgs,
        }
        for (line, fits) in [
            ("sexton drop rt i1 --reason old", true),
            ("sexton drop --destination rt --reason moved", true),
            ("sexton drop rt i1", false),
            ("sexton drop rt --reason x", false),
            ("sexton drop --reason x", false),
            ("sexton drop rt i1 --destination rt --reason x", false),
        ] {
            let parsed = Line::try_parse_from(line.split(' ')).map(|line| line.args.verb.is_some());
            assert_eq!(parsed.unwrap_or(false), fits, "{line}");
        }
    }
}
