//! `sexton reload`: has the daemon read its configuration again, and shows what that changes.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::handle::request_within;
use super::{FINE, SocketArgs, say};

/// Longest wait: the rules' own tests are played, and an attempt under way is waited for.
const PATIENCE: Duration = Duration::from_secs(180);

/// What `sexton reload` takes.
#[derive(Clone, Debug, Args)]
pub struct ReloadArgs {
    /// Put it in force however much it raises and closes at once
    #[arg(long, conflicts_with = "dry_run")]
    pub force: bool,
    /// Only show what it would change, raise and close
    #[arg(long)]
    pub dry_run: bool,
    /// Print the whole answer as JSON
    #[arg(long)]
    pub json: bool,
    /// Where the daemon listens.
    #[command(flatten)]
    pub socket: SocketArgs,
}

/// Asks and prints.
pub fn run(args: &ReloadArgs) -> u8 {
    let body = json!({"force": args.force, "dry_run": args.dry_run});
    match request_within(PATIENCE, &args.socket.socket, "POST", "/v1/reload", &body) {
        Ok(answer) if args.json => {
            say(&format!("{:#}\n", answer["reload"]));
            FINE
        }
        Ok(answer) => {
            say(&format!("{}\n", answer["message"].as_str().unwrap_or_default()));
            FINE
        }
        Err(error) => error.report(),
    }
}
