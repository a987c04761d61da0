//! The benchmark: the real program on one core, the load on another, bare servers that do the least beside it.
//!
//! `cargo run --release -p hallpass-bench`. How to read what it prints: `docs/benchmarks.md`.
//!
//! | to read | start at |
//! |---|---|
//! | what is measured, in which order | [`measure`] |
//! | the bare servers that set the scale | [`floor`] |
//! | how requests are sent and counted | [`load`] |
//! | how the real program is set up and what is asked of it | [`subject`], [`work`] |

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that talks to the person who runs it"
)]

mod client;
mod crowd;
mod exchange;
mod floor;
mod gateway;
mod load;
mod machines;
mod measure;
mod middleware;
mod nodes;
mod options;
mod peer;
mod process;
mod report;
mod start;
mod streams;
mod subject;
mod upstream;
mod work;

use anyhow::{Context, Result, bail};
use options::Options;
use process::{LOAD_CORE, pinned};
use std::process::{Command, ExitCode};

/// Connections that ask at the same time.
const CONNECTIONS: usize = 32;

const USAGE: &str = "\
cargo run --release -p hallpass-bench -- [--seconds N] [--only a,b,c,…] [--log LEVEL] [--write]

  --seconds N   length of each measurement (5); one second of warm-up comes before it
  --only LIST   a metadata, b code redemption, c refresh, d gateway, e start and idle memory, f introspection,
                g refresh under a flood of sign-ins, h refresh among a million grants,
                i refresh over two nodes on PostgreSQL, j and k a machine's token by secret and by signature,
                l refresh with a DPoP proof, m gateway at one connection, n gateway with tokens never seen,
                o calls beside thousands of open streams, p a list of 500 tools, q the tower layer alone,
                r, s, t the client: first call, its layer, the bridge from stdio
  --log LEVEL   HALLPASS_LOG of the program, such as `warn` (its own default: info, to a file)
  --write       puts the table into docs/benchmarks.md as well";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.split_first() {
        Some((command, rest)) if command == "floor" => floor::run(rest),
        Some((command, rest)) if command == "measure" => {
            Options::parse(rest).and_then(|options| measure::run(&options))
        }
        _ => match Options::parse(&arguments) {
            Ok(_) => prepare(&arguments),
            Err(error) => {
                eprintln!("{error:#}\n{USAGE}");
                return ExitCode::from(2);
            }
        },
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hallpass-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Builds the program under test, then goes on as a process that is pinned to the core of the load.
fn prepare(arguments: &[String]) -> Result<()> {
    if cfg!(debug_assertions) {
        bail!("figures of a debug build mean nothing: cargo run --release -p hallpass-bench");
    }
    println!("cargo build --release --bin hallpass");
    let built = Command::new("cargo")
        .args(["build", "--release", "--bin", "hallpass", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"))
        .status()
        .context("cargo cannot be started")?;
    if !built.success() {
        bail!("the program was not built");
    }
    let own = std::env::current_exe()?;
    let done = pinned(LOAD_CORE, &own).arg("measure").args(arguments).status();
    let done = done.context("taskset cannot be started: it is in util-linux")?;
    if done.success() { Ok(()) } else { bail!("the measurement ended early ({done})") }
}
