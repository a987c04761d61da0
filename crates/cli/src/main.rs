//! The program `hallpass`.

mod args;
mod commands;
mod config;
mod dumps;
mod node;
mod output;
mod state;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args = args::Args::typed();
    output::start_log(args.verbose, args.command.is_server());
    // Each command: those of operators hold master keys, those of a client tokens.
    if let Err(error) = dumps::forbid() {
        tracing::warn!(%error, "core dumps could not be switched off: after a crash one would hold keys");
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return output::failed(&anyhow::anyhow!(error).context("the runtime could not start")),
    };
    let outcome = runtime.block_on(commands::run(args.command));
    // A browser that is still open, or a hash that is still computed, must not keep the program.
    runtime.shutdown_background();
    output::flush_log();
    match outcome {
        Ok(code) => code,
        Err(error) => output::failed(&error),
    }
}
