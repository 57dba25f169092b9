//! `sexton desk`: takes records and shows them on a web page.

use super::{COULD_NOT_RUN, ConfigArgs, FINE, asked_to_end, fail, run, runtime};
use crate::clock::Clock;
use crate::desk;

/// Runs until SIGINT or SIGTERM.
pub fn run(args: &ConfigArgs) -> u8 {
    crate::telemetry::init(tracing::Level::INFO);
    let config = match run::load(&args.config) {
        Ok(config) => config,
        Err(refused) => return refused.report(),
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(why) => return fail(COULD_NOT_RUN, &why),
    };
    let outcome = tokio::task::LocalSet::new().block_on(&runtime, async {
        let desk = desk::bind(config.desk, Clock::start()).await?;
        tracing::info!(address = %desk.address(), "the desk is open");
        desk.run(asked_to_end()).await
    });
    match outcome {
        Ok(()) => FINE,
        Err(error) => fail(COULD_NOT_RUN, &error.to_string()),
    }
}
