//! `sexton run`: the daemon.

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use super::{COULD_NOT_RUN, FINDING, FINE, RunArgs, asked_to_end, doors, fail, host, runtime};
use crate::config::{self, Config};
use crate::daemon::{Daemon, Ended, Setup};
use crate::engine::record::Record;

/// Services come up one after the other; what is missing this long after a boot is missing.
const BOOT_GRACE: Duration = Duration::from_secs(120);

/// Runs until SIGINT or SIGTERM.
pub fn run(args: &RunArgs) -> u8 {
    crate::telemetry::init(if args.verbose { tracing::Level::DEBUG } else { tracing::Level::INFO });
    let path = args.config.config.clone();
    // A configuration with mistakes is a finding; whatever else stands in the way is not.
    let code = Rc::new(Cell::new(COULD_NOT_RUN));
    let setup = Setup {
        load: Box::new({
            let (path, code) = (path.clone(), Rc::clone(&code));
            move || {
                load(&path).map_err(|(why, all)| {
                    code.set(why);
                    all
                })
            }
        }),
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
    let outcome = local.block_on(&runtime, async {
        match Daemon::start(setup).await.map_err(|why| (code.get(), why))?.run(asked_to_end()).await {
            Ended::Asked => Ok(()),
            Ended::Broken(why) => Err((COULD_NOT_RUN, why)),
        }
    });
    // A hung mount must not keep the process: what blocks is left behind.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => FINE,
        Err((code, why)) => fail(code, &why),
    }
}

/// Reads the configuration for this host.
///
/// # Errors
/// The exit code, and every mistake, rendered for a person.
pub fn load(path: &Path) -> Result<Config, (u8, String)> {
    config::load(path, &doors::doors(), &host::facts()).map_err(|mistakes| {
        let code = if mistakes.unreadable { COULD_NOT_RUN } else { FINDING };
        (code, mistakes.render(false))
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
