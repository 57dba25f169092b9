//! `sexton run`: the daemon.

use std::path::Path;

use super::{COULD_NOT_RUN, FINDING, FINE, RunArgs, asked_to_end, doors, fail, host, runtime};
use crate::config::{self, Config};
use crate::daemon::{Daemon, Ended, Setup};

/// Runs until SIGINT or SIGTERM.
pub fn run(args: &RunArgs) -> u8 {
    crate::telemetry::init(if args.verbose { tracing::Level::DEBUG } else { tracing::Level::INFO });
    let path = args.config.config.clone();
    let setup = Setup {
        load: Box::new({
            let path = path.clone();
            move || load(&path)
        }),
        watch: Some(path),
        socket: args.socket.socket.clone(),
        narrator: None,
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(why) => return fail(COULD_NOT_RUN, &why),
    };
    let local = tokio::task::LocalSet::new();
    let outcome = local.block_on(&runtime, async {
        match Daemon::start(setup).await.map_err(|why| (FINDING, why))?.run(asked_to_end()).await {
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
/// Every mistake, rendered for a person.
pub fn load(path: &Path) -> Result<Config, String> {
    config::load(path, &doors::doors(), &host::facts()).map_err(|d| d.render(false))
}
