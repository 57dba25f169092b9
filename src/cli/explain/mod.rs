//! `sexton explain`: why a rule is or is not raised, with the numbers, now or at a past moment; and what
//! became of an incident.
//!
//! Now is asked of the daemon. A past moment is replayed from history.db by the rules of the configuration,
//! and needs no daemon. Both give the same document, `explain/1`, of which `text` and `incident` make
//! lines.

mod incident;
mod past;
mod text;
mod when;

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use super::handle::{path, request};
use super::table::tamed;
use super::terminal::Terminal;
use super::{FINE, SocketArgs, say};
use crate::config::{DEFAULT_PATH, Doors, HostFacts};

/// What `sexton explain` takes.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  sexton explain fs-full                     every mount, one line each
  sexton explain fs-full /data               with all numbers
  sexton explain fs-full /data --at 14:05    as it was at five past two (also \"2h ago\", RFC 3339)
  sexton explain INC000012                   timeline, numbers at the raise, deliveries")]
pub struct ExplainArgs {
    /// Id of a rule; or an incident by number, id or the beginning of its id
    #[arg(value_name = "RULE|INCIDENT")]
    pub subject: String,
    /// The instance: its key fs{mount=/data}, its name /data, or a part of the key that no other has
    pub instance: Option<String>,
    /// As it was then, replayed from the history: RFC 3339, "14:05" (the last time it was that late), "2h
    /// ago"
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    /// With --at: where the configuration is
    #[arg(long, value_name = "DIR_OR_FILE", default_value = DEFAULT_PATH, requires = "at")]
    pub config: PathBuf,
    /// With --at: the directory of history.db, instead of what the configuration says
    #[arg(long, value_name = "DIR", requires = "at")]
    pub dir: Option<PathBuf>,
    /// Print JSON (explain/1)
    #[arg(long)]
    pub json: bool,
    /// Where the daemon listens.
    #[command(flatten)]
    pub socket: SocketArgs,
}

/// Explains and prints.
pub fn run(args: &ExplainArgs, doors: &Doors, facts: &HostFacts) -> u8 {
    let answer = match &args.at {
        Some(at) => past::answer(args, at, doors, facts),
        None => live(args),
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(code) => return code,
    };
    say(&if args.json { format!("{answer:#}\n") } else { plain(&answer, Terminal::ask()) });
    FINE
}

fn live(args: &ExplainArgs) -> Result<Value, u8> {
    let mut url = path(&["explain", &args.subject]);
    if let Some(instance) = &args.instance {
        // Escaped as a segment of a path is; a query needs no more.
        url.push_str(&format!("?instance={}", &path(&[instance])["/v1/".len()..]));
    }
    request(&args.socket.socket, "GET", &url, &Value::Null).map_err(|error| error.report())
}

fn plain(answer: &Value, terminal: Terminal) -> String {
    let answer = &tamed(answer);
    match answer["kind"].as_str() {
        Some("incident") => incident::plain(answer, terminal),
        _ => text::plain(answer, terminal),
    }
}

#[cfg(test)]
mod tests;
