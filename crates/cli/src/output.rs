//! Results to standard output, everything else to standard error.

mod fields;
mod moment;

pub use fields::acts;

use fields::Fields;
use moment::Moment;
use std::{
    io::{self, BufRead, IsTerminal, Write},
    process::ExitCode,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tracing::{Level, Metadata};
use tracing_subscriber::{EnvFilter, filter::LevelFilter, fmt::MakeWriter};

/// A line for whoever reads the results.
#[macro_export]
macro_rules! say {
    ($($part:tt)*) => {
        $crate::output::line(&format!($($part)*))
    };
}

/// Writes a line to standard output. A closed pipe is no reason to fail.
pub fn line(text: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

/// Writes a line to standard error.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Asks on the terminal. Whoever is not at one has not agreed.
pub fn agreed(question: &str) -> bool {
    if !io::stdin().is_terminal() {
        return false;
    }
    note(&format!("{question} Type yes:"));
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).is_ok() && answer.trim() == "yes"
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

/// Whether standard error may have colours: at a terminal, and where nobody says otherwise (no-color.org).
#[allow(clippy::disallowed_methods, reason = "only the cli reads the environment")]
pub fn colours() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The log goes to standard error. `HALLPASS_LOG` takes a filter (`debug`, `hallpass_server=debug`).
#[allow(clippy::disallowed_methods, reason = "only the cli reads the environment")]
pub fn start_log(verbose: bool, server: bool) {
    let level = match (verbose, server) {
        (true, _) => LevelFilter::DEBUG,
        (false, true) => LevelFilter::INFO,
        (false, false) => LevelFilter::WARN,
    };
    let text = std::env::var("HALLPASS_LOG").unwrap_or_default();
    let filter = EnvFilter::builder().with_default_directive(level.into()).parse_lossy(text);
    std::thread::spawn(|| {
        loop {
            drop(ARRIVED.wait_while(waiting(), |waiting| waiting.is_empty()));
            std::thread::sleep(LOG_DELAY);
            flush_log();
        }
    });
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Log)
        .with_ansi(colours())
        .with_target(false)
        .with_timer(Moment)
        .fmt_fields(Fields)
        .init();
}

/// A line waits this long at most, so that a call does not pay for a system call of its own.
const LOG_DELAY: Duration = Duration::from_millis(50);
/// Lines that wait, in bytes. Whoever fills it writes it out: nothing is dropped, the writer waits.
const LOG_BUFFER: usize = 64 * 1024;

static WAITING: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static ARRIVED: Condvar = Condvar::new();

/// Collects lines. Warnings and errors go out at once, with everything before them.
struct Log;

/// One line.
struct Line {
    at_once: bool,
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { at_once: true }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Line {
        Line { at_once: *metadata.level() <= Level::WARN }
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut waiting = waiting();
        if waiting.is_empty() {
            ARRIVED.notify_one();
        }
        waiting.extend_from_slice(bytes);
        if self.at_once || waiting.len() >= LOG_BUFFER {
            write_out(&mut waiting);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes what waits: before the end, and every [`LOG_DELAY`].
pub fn flush_log() {
    write_out(&mut waiting());
}

fn waiting() -> MutexGuard<'static, Vec<u8>> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write_out(waiting: &mut Vec<u8>) {
    if !waiting.is_empty() {
        // A closed standard error is no reason to stop serving.
        let _ = io::stderr().lock().write_all(waiting);
        waiting.clear();
    }
}
