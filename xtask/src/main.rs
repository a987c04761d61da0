//! The project's own commands: `cargo xtask check` holds the rules of the house, `cargo xtask test` runs every test.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that talks to the person who runs it"
)]

mod check;
mod steps;
mod test;

use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask check    floors, purity, sizes, texts, formatting, clippy
cargo xtask test     installs what the tests need if it is missing, then runs all of them";

fn main() -> ExitCode {
    // Cargo sets the folder of this package when it compiles it; the repository is one above.
    let Some(root) = Path::new(env!("CARGO_MANIFEST_DIR")).parent() else {
        return ExitCode::FAILURE;
    };
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.as_slice() {
        [command] if command == "check" => check::run(root),
        [command] if command == "test" => test::run(root),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
