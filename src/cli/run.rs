//! `sexton run`: the daemon.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::{COULD_NOT_RUN, FINDING, FINE, RunArgs, asked_to_end, doors, fail, host, runtime};
use crate::config::{self, Config};
use crate::daemon::{Daemon, Ended, Prove, Setup};
use crate::engine::record::Record;
use crate::workshop::gate;

/// Services come up one after the other; what is missing this long after a boot is missing.
const BOOT_GRACE: Duration = Duration::from_secs(120);

/// Runs until SIGINT or SIGTERM.
pub fn run(args: &RunArgs) -> u8 {
    crate::telemetry::init(if args.verbose { tracing::Level::DEBUG } else { tracing::Level::INFO });
    let path = args.config.config.clone();
    // Of a start that fails: set when it is the configuration that was refused.
    let code = Arc::new(OnceLock::new());
    let setup = Setup {
        load: Arc::new({
            let (path, code) = (path.clone(), Arc::clone(&code));
            move || {
                load(&path).map_err(|refused| {
                    let _ = code.set(refused.code);
                    refused.text
                })
            }
        }),
        prove: prove(),
        watch: Some(path),
        socket: args.socket.socket.clone(),
        narrator: Some(Box::new(log)),
        boot_grace: BOOT_GRACE,
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(why) => return fail(COULD_NOT_RUN, &why),
    };
    let local = tokio::task::LocalSet::new();
    let code = local.block_on(&runtime, async {
        let daemon = match Daemon::start(setup).await {
            Ok(daemon) => daemon,
            Err(text) => return Failure::of_start(code.get().copied(), text).report(),
        };
        match daemon.run(asked_to_end()).await {
            Ended::Asked => FINE,
            Ended::Broken(why) => fail(COULD_NOT_RUN, &why),
        }
    });
    // A hung mount must not keep the process: what blocks is left behind.
    runtime.shutdown_background();
    code
}

/// Why there is nothing to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit code: a configuration with mistakes is a finding.
    pub code: u8,
    /// The message for a person.
    pub text: String,
    /// What stands before it: nothing before what the configuration's renderer drew, which says `error:`
    /// itself.
    pub prefix: &'static str,
}

impl Failure {
    /// A start that failed; `refused` is the exit code when the configuration was refused.
    fn of_start(refused: Option<u8>, text: String) -> Self {
        match refused {
            Some(code) => Self { code, text, prefix: "" },
            None => Self { code: COULD_NOT_RUN, text, prefix: "sexton: " },
        }
    }

    /// Prints it and gives the exit code.
    pub fn report(&self) -> u8 {
        crate::telemetry::last_words(self.prefix, &self.text);
        self.code
    }
}

/// Reads the configuration for this host.
///
/// # Errors
/// Every mistake, rendered for a person.
pub fn load(path: &Path) -> Result<Config, Failure> {
    config::load(path, &doors::doors(), &host::facts()).map_err(|mistakes| {
        let code = if mistakes.unreadable { COULD_NOT_RUN } else { FINDING };
        Failure::of_start(Some(code), mistakes.render(false))
    })
}

/// Plays the rules' own tests before a reload, and says of those that fail what `sexton test` says.
pub fn prove() -> Prove {
    Arc::new(|old: &Config, new: &Config, go_on: &dyn Fn() -> bool| {
        let due = gate::due(old, new);
        let played = gate::play(&due, &new.plan, go_on);
        match super::test::refusal(&played, &new.plan) {
            Some(why) => Err(why),
            None => Ok(played.played),
        }
    })
}

/// One line for each change of an incident's state and each new problem; all else is on the record.
fn log(record: &Record) {
    match record {
        Record::Incident(i) => {
            let changes = i.timeline.iter().filter(|e| e.rev == i.rev && e.to.is_some());
            for entry in changes {
                tracing::info!(
                    rule = %i.rule.id,
                    priority = ?i.priority,
                    reason = %entry.note,
                    "{} {}: {}",
                    i.number,
                    entry.kind,
                    i.title
                );
            }
        }
        Record::Problem(p) if p.rev == 1 => {
            tracing::info!(priority = ?p.priority, "{} opened: {}", p.number, p.title);
        }
        Record::Problem(_) | Record::Link(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_configuration_speaks_for_itself() {
        let dir = tempfile::tempdir().unwrap();
        let missing = load(&dir.path().join("none")).unwrap_err();
        assert_eq!((missing.code, missing.prefix), (COULD_NOT_RUN, ""));
        assert!(missing.text.starts_with("error: "), "{}", missing.text);
        std::fs::write(dir.path().join("sexton.toml"), "nonsense = 1\n").unwrap();
        let wrong = load(dir.path()).unwrap_err();
        assert_eq!((wrong.code, wrong.prefix), (FINDING, ""));
        assert!(wrong.text.starts_with("error: "), "{}", wrong.text);
        let other = Failure::of_start(None, "cannot open store: no".to_owned());
        assert_eq!((other.code, other.prefix), (COULD_NOT_RUN, "sexton: "));
    }
}
