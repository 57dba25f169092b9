//! The command line: one verb per file, and what they share.
//!
//! Exit codes: 0 fine, 1 finding, 2 could not run (usage, no such file), 3 daemon not reachable.

pub mod check;
#[cfg(feature = "desk")]
pub mod demo;
#[cfg(feature = "desk")]
pub mod desk;
pub mod diff;
pub mod doctor;
pub mod doors;
pub mod explain;
pub mod handle;
pub mod history;
pub mod host;
pub mod import;
pub mod maintenance;
pub mod outbox;
pub mod reload;
pub mod replay;
pub mod rules;
pub mod run;
pub mod schema;
pub mod status;
pub mod table;
pub mod terminal;
pub mod test;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::OnceLock;

use clap::{Args, Parser, Subcommand};

use crate::config::DEFAULT_PATH;

/// Where a packaged daemon listens for the commands of this host.
pub const SOCKET: &str = "/run/sexton/control.sock";

/// Exit code: fine.
pub const FINE: u8 = 0;
/// Exit code: a finding, such as a bad configuration.
pub const FINDING: u8 = 1;
/// Exit code: could not run.
pub const COULD_NOT_RUN: u8 = 2;
/// Exit code: no daemon answers.
pub const NOT_REACHABLE: u8 = 3;

/// Watches this host, raises incidents by rules and hands them to the ITSM.
#[derive(Debug, Parser)]
#[command(name = "sexton", version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the daemon
    Run(RunArgs),
    /// Run the desk: takes records and shows them on a web page
    #[cfg(feature = "desk")]
    Desk(ConfigArgs),
    /// Agent and desk in one process on a throw-away directory, watching this very machine
    #[cfg(feature = "desk")]
    Demo(demo::DemoArgs),
    /// Check the configuration: every mistake in one run
    Check(check::CheckArgs),
    /// Play the tests of rule files: does each rule do what it is to do?
    Test(test::TestArgs),
    /// Play the rules over recorded series: what would they have raised?
    Replay(replay::ReplayArgs),
    /// Play two rule sets over the same series: what would be raised more, less, earlier, later?
    Diff(diff::DiffArgs),
    /// Make rules of the alert rules of Prometheus, Monit or Nagios; says line by line what is left
    Import(import::ImportArgs),
    /// List the rules, or show one as it is in force, with where each key is written
    Rules(rules::RulesArgs),
    /// Print the JSON Schema of a configuration file, with which editors complete and check it
    Schema(schema::SchemaArgs),
    /// Say why a rule is raised, or is not, with the numbers; or what became of an incident
    Explain(explain::ExplainArgs),
    /// Show what the daemon sees and does
    Status(status::StatusArgs),
    /// Acknowledge an incident
    Ack(handle::AckArgs),
    /// Say that somebody works on an incident, also after a hold
    Start(handle::AckArgs),
    /// Put an incident on hold; a reason with "vendor", "change", "maintenance" or "user" stops the resolve
    /// clock
    Hold(handle::NoteArgs),
    /// Resolve an incident by hand
    Resolve(handle::NoteArgs),
    /// Cancel an incident: a false alarm, or a duplicate
    Cancel(handle::NoteArgs),
    /// Reopen an incident that is resolved or cancelled
    Reopen(handle::NoteArgs),
    /// Say who works on an incident
    Assign(handle::AssignArgs),
    /// Write a note on an incident
    Note(handle::NoteArgs),
    /// Announce work on this host: nothing is raised meanwhile; list and end maintenance windows
    Maintenance(maintenance::MaintenanceArgs),
    /// Show what waits for the destinations; put dead letters back into the line
    Outbox(outbox::OutboxArgs),
    /// Show the samples that were kept: which series there are, and what they were
    History(history::HistoryArgs),
    /// Try every destination from end to end
    Doctor(doctor::DoctorArgs),
    /// Make the daemon read its configuration again: shows what changes and what that raises and closes
    Reload(reload::ReloadArgs),
}

/// Where the configuration is.
#[derive(Clone, Debug, Args)]
pub struct ConfigArgs {
    /// Directory with sexton.toml and rules.d, or a file
    #[arg(long, value_name = "DIR_OR_FILE", default_value = DEFAULT_PATH)]
    pub config: PathBuf,
}

/// What `sexton run` takes.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Where to listen for the commands of this host.
    #[command(flatten)]
    pub socket: SocketArgs,
    /// Log what is decided in detail
    #[arg(long, short)]
    pub verbose: bool,
}

/// Where the daemon listens.
#[derive(Clone, Debug, Args)]
pub struct SocketArgs {
    /// The daemon's control socket
    #[arg(long, value_name = "PATH", default_value = SOCKET)]
    pub socket: PathBuf,
}

/// Parses the command line and runs the verb.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { COULD_NOT_RUN } else { FINE });
        }
    };
    ExitCode::from(heard(match cli.verb {
        Verb::Run(args) => run::run(&args),
        #[cfg(feature = "desk")]
        Verb::Desk(args) => desk::run(&args),
        #[cfg(feature = "desk")]
        Verb::Demo(args) => demo::run(&args),
        Verb::Check(args) => check::run(&args, &doors::doors(), &host::facts()),
        Verb::Test(args) => test::run(&args, &doors::doors(), &host::facts()),
        Verb::Replay(args) => replay::run(&args, &doors::doors(), &host::facts()),
        Verb::Diff(args) => diff::run(&args, &doors::doors(), &host::facts()),
        Verb::Import(args) => import::run(&args, &doors::doors(), &host::facts()),
        Verb::Rules(args) => rules::run(&args, &doors::doors(), &host::facts()),
        Verb::Schema(args) => schema::run(&args, &doors::doors()),
        Verb::Explain(args) => explain::run(&args, &doors::doors(), &host::facts()),
        Verb::Status(args) => status::run(&args),
        Verb::Ack(args) => handle::ack(&args),
        Verb::Start(args) => handle::start(&args),
        Verb::Hold(args) => handle::told(&args, "hold"),
        Verb::Resolve(args) => handle::told(&args, "resolve"),
        Verb::Cancel(args) => handle::told(&args, "cancel"),
        Verb::Reopen(args) => handle::told(&args, "reopen"),
        Verb::Assign(args) => handle::assign(&args),
        Verb::Note(args) => handle::told(&args, "note"),
        Verb::Maintenance(args) => maintenance::run(&args),
        Verb::Outbox(args) => outbox::run(&args),
        Verb::History(args) => history::run(&args),
        Verb::Doctor(args) => doctor::run(&args),
        Verb::Reload(args) => reload::run(&args),
    }))
}

/// A runtime on this one thread, with few threads beside it for what may block.
///
/// # Errors
/// The system refuses a thread or an epoll descriptor.
pub fn runtime() -> Result<tokio::runtime::Runtime, String> {
    // Name look-ups and statvfs run on the blocking pool; eight hung mounts must not stop the ninth call.
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(16)
        .build()
        .map_err(|e| format!("cannot start the runtime: {e}"))
}

/// Why something that was to be said was not: whoever calls [`say`] goes on, and the process ends by it.
static UNSAID: OnceLock<String> = OnceLock::new();

/// Prints to standard output. That nobody reads any more (`sexton status | head`) is no error; what the
/// system does not take (`sexton replay > report` on a full disk) makes the exit code [`COULD_NOT_RUN`].
pub fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush())
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        let _ = UNSAID.set(error.to_string());
    }
}

/// The exit code of a verb, unless what it said was not taken.
fn heard(code: u8) -> u8 {
    match UNSAID.get() {
        Some(why) => fail(COULD_NOT_RUN, &format!("cannot write to standard output: {why}")),
        None => code,
    }
}

/// Prints an error the way every verb does and returns the exit code.
pub fn fail(code: u8, why: &str) -> u8 {
    crate::telemetry::last_words("sexton: ", why);
    code
}

/// Completes when the process is asked to end (SIGINT or SIGTERM) after this call, which needs a runtime.
pub fn asked_to_end() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    async {
        let (Ok(mut int), Ok(mut term)) = signals else { return std::future::pending().await };
        tokio::select! {
            _ = int.recv() => {}
            _ = term.recv() => {}
        }
    }
}
