//! `sexton outbox`: what waits for the destinations, and what becomes of dead letters.

use std::path::Path;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::handle::{path, post, request};
use super::table::lay_out;
use super::{FINE, SocketArgs, say};

/// What `sexton outbox` takes.
#[derive(Clone, Debug, Args)]
pub struct OutboxArgs {
    /// Where the daemon listens.
    #[command(flatten)]
    pub socket: SocketArgs,
    /// Print the rows as JSON
    #[arg(long)]
    pub json: bool,
    /// What is to be done; without it the rows that are not delivered are listed.
    #[command(subcommand)]
    pub verb: Option<OutboxVerb>,
}

/// A repair of the outbox.
#[derive(Clone, Debug, Subcommand)]
pub enum OutboxVerb {
    /// Put a dead letter back into the line
    Requeue {
        /// Id of the destination
        destination: String,
        /// Id of the record
        record: String,
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
    match &args.verb {
        Some(OutboxVerb::Requeue { destination, record }) => {
            post(socket, &path(&["outbox", destination, record, "requeue"]), &Value::Null)
        }
        Some(OutboxVerb::Drop { destination, record, removed, reason }) => {
            let parts = [Some("outbox"), removed.as_deref(), destination.as_deref(), record.as_deref()];
            let parts: Vec<&str> = parts.into_iter().flatten().chain(["drop"]).collect();
            post(socket, &path(&parts), &json!({"note": reason}))
        }
        None => match request(socket, "GET", "/v1/outbox", &Value::Null) {
            Ok(answer) if args.json => {
                say(&format!("{answer:#}\n"));
                FINE
            }
            Ok(answer) => {
                say(&undelivered(&answer));
                FINE
            }
            Err(error) => error.report(),
        },
    }
}

fn undelivered(answer: &Value) -> String {
    let text = |row: &Value, key: &str| row[key].as_str().unwrap_or("-").to_owned();
    let line = |row: &Value| {
        let state = text(row, "state");
        let columns = ["destination", "kind", "record"].map(|key| text(row, key));
        let rest = [state, format!("{} attempts", row["attempts"]), text(row, "last_error")];
        columns.into_iter().chain(rest).collect::<Vec<_>>()
    };
    let rows = answer["rows"].as_array().map(Vec::as_slice).unwrap_or_default();
    let open: Vec<_> = rows.iter().filter(|row| row["state"] != "acked").map(line).collect();
    if open.is_empty() { "everything is delivered\n".to_owned() } else { lay_out(&open) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_delivered_is_left_out() {
        let row = |state: &str| {
            json!({"destination": "rt", "kind": "incident", "record": "i1", "state": state, "attempts": 2,
                   "last_error": "HTTP 422: no such queue"})
        };
        let shown = undelivered(&json!({"rows": [row("parked"), row("acked")]}));
        assert_eq!(shown.lines().count(), 1, "{shown}");
        assert!(shown.contains("parked") && shown.contains("2 attempts") && shown.contains("no such queue"));
        assert_eq!(undelivered(&json!({"rows": [row("acked")]})), "everything is delivered\n");
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
