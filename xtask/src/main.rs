//! The project's own commands: `cargo xtask check` holds the rules of the house, `cargo xtask test` runs every test,
//! `cargo xtask matrix` writes which requirement is shown by which test, `cargo xtask docs` the API reference,
//! `cargo xtask release` what is published.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that talks to the person who runs it"
)]

mod check;
mod docs;
mod matrix;
mod packages;
mod release;
mod steps;
mod test;

use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask check    floors, the suite's client, purity, sizes, texts, requirements and their tests, formatting, clippy
cargo xtask test     installs what the tests need if it is missing, then runs all of them
cargo xtask matrix   writes docs/conformance.md; with --check it only looks
cargo xtask docs     writes the API reference, a page and a PDF, to target/docs
cargo xtask sbom     prints what the program is made of, as CycloneDX
cargo xtask release  builds what is committed, packs it with its bill of materials and checksums, and signs them";

fn main() -> ExitCode {
    // Cargo sets the folder of this package when it compiles it; the repository is one above.
    let Some(root) = Path::new(env!("CARGO_MANIFEST_DIR")).parent() else {
        return ExitCode::FAILURE;
    };
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.as_slice() {
        [command] if command == "check" => check::run(root),
        [command] if command == "test" => test::run(root),
        [command] if command == "matrix" => matrix::write(root),
        [command] if command == "docs" => docs::run(root),
        [command] if command == "sbom" => packages::sbom(root),
        [command, rest @ ..] if command == "release" => release::run(root, rest),
        [command, flag] if command == "matrix" && flag == "--check" => matrix::only_check(root),
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
