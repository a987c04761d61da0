//! Results to standard output, everything else to standard error.

use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// A line for whoever reads the results.
#[macro_export]
macro_rules! say {
    ($($part:tt)*) => {
        $crate::output::line(&format!($($part)*))
    };
}

/// Writes a line to standard output. A closed pipe is no reason to fail.
pub fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

/// Writes a line to standard error.
pub fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// One sentence with its causes, each of which names the fix where there is one.
pub fn failed(error: &anyhow::Error) -> ExitCode {
    let mut text = String::new();
    for (at, cause) in error.chain().enumerate() {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text.push_str(if at == 0 { "" } else { ": " });
            text.push_str(&cause);
        }
    }
    note(&format!("hallpass: {text}"));
    ExitCode::from(1)
}

/// The log goes to standard error. `HALLPASS_LOG` takes a filter (`debug`, `hallpass_server=debug`).
#[allow(clippy::disallowed_methods, reason = "only the cli reads the environment")]
pub fn start_log(verbose: bool, server: bool) {
    let level = match (verbose, server) {
        (true, _) => LevelFilter::DEBUG,
        (false, true) => LevelFilter::INFO,
        (false, false) => LevelFilter::WARN,
    };
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let text = std::env::var("HALLPASS_LOG").unwrap_or_default();
    let filter = EnvFilter::builder().with_default_directive(level.into()).parse_lossy(text);
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        .with_target(false)
        .init();
}
